"""Pulling audio: one call that can be interrupted, repeated and trusted."""

from __future__ import annotations

import errno
import hashlib
import os
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tinytag import TinyTag

import histkit as hk
from histkit import HistoryClient, download_audio
from histkit.audio.destination import LocalFolder
from histkit.audio.manifest import Entry, FolderManifest
from histkit.sandbox import Sandbox, serve
from histkit.util.text import format_size
from tests.conftest import client_of

COLUMNS = ["history_item_id", "path", "status", "bytes", "seconds", "sha256", "error", "proof"]
DTYPES = ["string", "string", "string", "Int64", "Float64", "string", "string", "string"]


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with serve(items=400, seed=5, clip_bytes=4000) as box:
        yield box


@pytest.fixture(scope="module")
def df(box: Sandbox) -> pd.DataFrame:
    with client_of(box) as client:
        return hk.read_history(client=client)


@pytest.fixture
def client(box: Sandbox) -> Iterator[HistoryClient]:
    box.reset()
    with client_of(box) as client:
        yield client


def files(folder: Path) -> dict[str, str]:
    """Give the hash of each file below a folder but the manifest's own."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("manifest.")
    }


def test_each_row_becomes_a_verified_file_and_a_line(
    box: Sandbox, df: pd.DataFrame, client: HistoryClient, tmp_path: Path
) -> None:
    rows = df.sample(60, random_state=1)
    pulled = download_audio(rows, tmp_path, client=client)
    assert pulled.index.equals(rows.index)
    assert pulled.columns.tolist() == COLUMNS
    assert [str(dtype) for dtype in pulled.dtypes] == DTYPES
    assert pulled["history_item_id"].tolist() == rows["history_item_id"].tolist()
    assert set(pulled["status"]) == {"done"}
    assert pulled["error"].isna().all()
    assert dict(zip(pulled["path"], pulled["sha256"], strict=True)) == files(tmp_path)
    for path, size, seconds in zip(pulled["path"], pulled["bytes"], pulled["seconds"], strict=True):
        assert (tmp_path / path).stat().st_size == size
        if not path.endswith((".pcm", ".ulaw")):
            assert TinyTag.get(tmp_path / path).duration == pytest.approx(seconds)
    assert len(box.requests()) == 60
    assert box.peak_in_flight() <= client.transport.limit.ceiling


def test_a_text_or_voice_that_is_a_path_stays_inside_the_folder(
    df: pd.DataFrame, client: HistoryClient, tmp_path: Path
) -> None:
    rows = df[df["text"].notna()].head(3).copy()
    rows["text"] = ["../../etc/passwd is not a bedtime story.", "/etc/passwd", r"..\..\windows\system32"]
    rows["voice_name"] = ["..", "../..", "C:"]
    pulled = download_audio(rows, tmp_path / "audio", client=client)
    assert set(pulled["status"]) == {"done"}
    assert dict(zip(pulled["path"], pulled["sha256"], strict=True)) == files(tmp_path / "audio")
    assert [path.name for path in tmp_path.iterdir()] == ["audio"]


def test_a_second_run_makes_no_request(box: Sandbox, df: pd.DataFrame, client: HistoryClient, tmp_path: Path) -> None:
    first = download_audio(df.head(30), tmp_path, client=client)
    box.reset()
    again = download_audio(df.head(30), tmp_path, client=client)
    assert box.requests() == []
    assert set(again["status"]) == {"skipped"}
    pd.testing.assert_frame_equal(again.drop(columns="status"), first.drop(columns="status"))
    download_audio(df.head(35), tmp_path, client=client)
    assert len(box.requests()) == 5


def test_a_file_that_is_gone_or_of_another_size_is_pulled_again(
    box: Sandbox, df: pd.DataFrame, client: HistoryClient, tmp_path: Path
) -> None:
    first = download_audio(df.head(4), tmp_path, client=client)
    (tmp_path / first["path"].iloc[0]).unlink()
    (tmp_path / first["path"].iloc[1]).write_bytes(b"short")
    box.reset()
    again = download_audio(df.head(4), tmp_path, client=client)
    assert again["status"].tolist() == ["done", "done", "skipped", "skipped"]
    assert len(box.requests()) == 2
    assert files(tmp_path) == dict(zip(first["path"], first["sha256"], strict=True))


def test_overwrite_pulls_again_and_another_name_is_another_file(
    box: Sandbox, df: pd.DataFrame, client: HistoryClient, tmp_path: Path
) -> None:
    first = download_audio(df.head(3), tmp_path, client=client)
    assert set(download_audio(df.head(3), tmp_path, overwrite=True, client=client)["status"]) == {"done"}
    other = download_audio(df.head(3), tmp_path, name="flat {id}", client=client)
    assert set(other["status"]) == {"done"}
    assert set(files(tmp_path)) == {*first["path"], *other["path"]}
    box.reset()
    for name in ("flat {id}", "{date:%Y-%m}/{voice}/{text:.40}-{id}"):
        assert set(download_audio(df.head(3), tmp_path, name=name, client=client)["status"]) == {"skipped"}
    assert box.requests() == []


@pytest.mark.parametrize("number", [1000, pytest.param(10_000, marks=pytest.mark.faults)])
def test_thousands_of_finished_files_are_skipped_without_a_request(box: Sandbox, tmp_path: Path, number: int) -> None:
    df = hk.sample_history(number)
    rows = download_audio(df, tmp_path, dry_run=True)
    assert rows.attrs["histkit"]["files"] == len(df)
    from histkit.audio.naming import Template, stems_of
    from histkit.audio.options import DEFAULT_NAME

    record = FolderManifest(LocalFolder(tmp_path))
    for stem, item in zip(stems_of(df, Template.parse(DEFAULT_NAME)), df["history_item_id"], strict=True):
        path = tmp_path / f"{stem}.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        record.add(Entry(item, f"{stem}.mp3", "done", 1, 1.0, "0" * 64))
    record.close()
    box.reset()
    with client_of(box) as client:
        pulled = download_audio(df, tmp_path, client=client)
    assert set(pulled["status"]) == {"skipped"}
    assert box.requests() == []


def test_the_manifest_lies_beside_the_audio_as_parquet_and_csv(
    df: pd.DataFrame, client: HistoryClient, tmp_path: Path
) -> None:
    pulled = download_audio(df.head(12), tmp_path, client=client)
    wanted = pulled.sort_values("path")
    for saved in (hk.read_parquet(tmp_path / "manifest.parquet"), pd.read_csv(tmp_path / "manifest.csv")):
        assert saved["path"].tolist() == wanted["path"].tolist()
        assert saved["sha256"].tolist() == wanted["sha256"].tolist()
        assert saved["bytes"].tolist() == wanted["bytes"].tolist()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["manifest.csv", "manifest.parquet"]


def test_a_clip_in_several_rows_is_pulled_once_and_each_row_has_its_line(
    box: Sandbox, df: pd.DataFrame, client: HistoryClient, tmp_path: Path
) -> None:
    rows = df.iloc[[3, 1, 3, 3]].set_axis(["a", "b", "a", "c"])
    pulled = download_audio(rows, tmp_path, name="{index} {id}", client=client)
    assert pulled.index.tolist() == ["a", "b", "a", "c"]
    assert pulled["path"].iloc[0] == pulled["path"].iloc[2] == pulled["path"].iloc[3]
    assert len(box.requests()) == 2


def test_a_series_of_ids_is_enough(df: pd.DataFrame, client: HistoryClient, tmp_path: Path) -> None:
    ids = df["history_item_id"].sample(30, random_state=2)
    pulled = download_audio(ids, tmp_path, client=client)
    assert set(pulled["status"]) == {"done"}
    assert pulled.index.equals(ids.index)
    assert all(Path(path).stem == item for path, item in zip(pulled["path"], ids, strict=True))
    assert set(download_audio(ids, tmp_path, client=client)["status"]) == {"skipped"}


def test_no_rows_give_an_empty_typed_manifest(
    box: Sandbox, df: pd.DataFrame, client: HistoryClient, tmp_path: Path
) -> None:
    for items in (df.head(0), df["history_item_id"].head(0)):
        pulled = download_audio(items, tmp_path / "none", client=client)
        assert len(pulled) == 0
        assert pulled.columns.tolist() == COLUMNS
        assert [str(dtype) for dtype in pulled.dtypes] == DTYPES
    assert not (tmp_path / "none").exists()
    assert box.requests() == []


def test_a_dry_run_says_what_would_be_pulled_and_asks_nothing(
    box: Sandbox, df: pd.DataFrame, client: HistoryClient, tmp_path: Path
) -> None:
    rows = df[df["output_format"] == "mp3_44100_128"].head(5)
    download_audio(rows.head(2), tmp_path, client=client)
    box.reset()
    plan = download_audio(rows, tmp_path, dry_run=True, client=client)
    assert plan["status"].tolist() == ["skipped"] * 2 + ["pending"] * 3
    estimate = rows["characters"].iloc[2:].sum() / 15 * 16_000
    assert plan.attrs["histkit"] == {
        "dry_run": True,
        "files": 3,
        "requests": 3,
        "estimated_bytes": pytest.approx(estimate, abs=1),
    }
    assert box.requests() == []
    download_audio(rows, tmp_path / "new", dry_run=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"name": "{voise}/{id}"},
        {"name": "../{id}"},
        {"name": "{text:d}"},
        {"format": "mp3"},
        {"format": "wave"},
        {"workers": 0},
    ],
)
def test_what_is_not_possible_is_refused_before_the_first_request(
    box: Sandbox, df: pd.DataFrame, client: HistoryClient, tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(hk.InputError):
        download_audio(df, tmp_path / "out", client=client, **options)
    assert box.requests() == []
    assert not (tmp_path / "out").exists()


def test_items_that_are_no_rows_are_refused(df: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(hk.InputError, match="list"):
        download_audio(["abc"], tmp_path)  # type: ignore[arg-type]
    with pytest.raises(hk.SchemaError, match="history_item_id"):
        download_audio(df[["text"]], tmp_path)


def test_two_takes_of_one_second_and_text_are_both_saved(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(20, 1)
    takes = box.add(3, text="The same words.", voice_name="Ann", date_unix=1_790_000_000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        rows = df[df["history_item_id"].isin(takes)]
        pulled = download_audio(rows, tmp_path, name="{date:%H%M%S} {voice} {text}", client=client)
        assert set(pulled["status"]) == {"done"}
        assert len(files(tmp_path)) == 3
        assert pulled["sha256"].nunique() == 3
        again = download_audio(rows.iloc[::-1], tmp_path, name="{date:%H%M%S} {voice} {text}", client=client)
        assert set(again["status"]) == {"skipped"}


def test_a_newcomer_never_takes_the_file_of_another_row(
    df: pd.DataFrame, client: HistoryClient, tmp_path: Path
) -> None:
    old = download_audio(df.iloc[[5]], tmp_path, name="take", client=client)
    both = download_audio(df.iloc[[2, 5]], tmp_path, name="take", client=client)
    assert both["status"].tolist() == ["done", "skipped"]
    assert both["path"].iloc[1] == old["path"].iloc[0]
    assert files(tmp_path) == dict(zip(both["path"], both["sha256"], strict=True))


def test_samples_are_never_called_mp3(df: pd.DataFrame, client: HistoryClient, tmp_path: Path) -> None:
    bare = df[df["content_type"].isin(["audio/pcm", "audio/basic"])]
    assert set(bare["output_format"].isna()) == {True, False}
    pulled = download_audio(bare, tmp_path, client=client)
    wanted = bare["content_type"].astype(str).map({"audio/pcm": "pcm", "audio/basic": "ulaw"})
    assert pulled["path"].str.rpartition(".")[2].tolist() == wanted.tolist()
    known = bare["output_format"].astype(str) == "pcm_24000"
    assert (pulled.loc[known, "seconds"] == pulled.loc[known, "bytes"] / 48_000).all()
    unknown = bare["output_format"].isna() & (bare["content_type"] == "audio/pcm")
    assert pulled.loc[unknown, "seconds"].isna().all()  # nobody says the rate


def test_format_wav_gives_a_playable_wav_of_every_row(
    box: Sandbox, df: pd.DataFrame, client: HistoryClient, tmp_path: Path
) -> None:
    rows = df.groupby(["output_format", "content_type"], observed=True, dropna=False).head(3)
    pulled = download_audio(rows, tmp_path, format="wav", client=client)
    assert set(pulled["status"]) == {"done"}
    assert pulled["path"].str.endswith(".wav").all()
    for path, seconds in zip(pulled["path"], pulled["seconds"], strict=True):
        assert TinyTag.get(tmp_path / path).duration == pytest.approx(seconds, abs=0.01)
    samples = pulled[rows["output_format"].astype(str) == "pcm_16000"]
    for path in samples["path"]:
        with wave.open(str(tmp_path / path)) as sound:
            assert (sound.getframerate(), sound.getsampwidth()) == (16_000, 2)
            assert sound.getnframes() > 0
    by_route = pd.Series([each["path"].endswith("/download") for each in box.requests()])
    bare_or_wav = rows["output_format"].astype(str).str.startswith(("pcm", "ulaw", "wav")) | rows["content_type"].isin(
        ["audio/wav", "audio/basic"]
    )
    assert by_route.sum() == (~bare_or_wav).sum()
    box.reset()
    assert set(download_audio(rows, tmp_path, format="wav", client=client)["status"]) == {"skipped"}
    assert box.requests() == []


def test_a_series_of_ids_becomes_wav_too(df: pd.DataFrame, client: HistoryClient, tmp_path: Path) -> None:
    rows = df.groupby(["output_format", "content_type"], observed=True, dropna=False).head(1)
    pulled = download_audio(rows["history_item_id"], tmp_path, format="wav", client=client)
    assert set(pulled["status"]) == {"done"}
    assert all(TinyTag.get(tmp_path / path).duration for path in pulled["path"])


def test_what_the_service_has_no_more_is_gone_and_the_rest_is_pulled(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(30, 3, clip_bytes=3000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        box.remove(df["history_item_id"].iloc[[4, 7]].tolist())
        pulled = download_audio(df, tmp_path, client=client)
    assert pulled["status"].iloc[[4, 7]].tolist() == ["gone", "gone"]
    assert pulled["error"].iloc[4].startswith("The service has no audio of it")
    assert pulled["path"].iloc[[4, 7]].isna().all()
    assert (pulled["status"] == "done").sum() == 28
    saved = hk.read_parquet(tmp_path / "manifest.parquet")
    assert saved["status"].value_counts().to_dict() == {"done": 28, "gone": 2}


def test_a_bad_clip_costs_one_row_and_is_pulled_the_next_time(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(12, 3, clip_bytes=3000)
    with client_of(box, max_retries=0, max_concurrency=1) as client:
        df = hk.read_history(client=client)
        box.set(error_500=2)
        pulled = download_audio(df, tmp_path, client=client)
        failed = pulled["status"] == "failed"
        assert failed.sum() == 2
        assert set(pulled["status"][~failed]) == {"done"}
        assert pulled["error"][failed].str.startswith("The service failed").all()
        again = download_audio(df, tmp_path, client=client)
    assert set(again["status"][failed]) == {"done"}
    assert set(again["status"][~failed]) == {"skipped"}
    assert set(hk.read_parquet(tmp_path / "manifest.parquet")["status"]) == {"done"}


def test_a_row_without_id_and_one_with_a_hostile_id_cost_one_row_each(
    df: pd.DataFrame, client: HistoryClient, tmp_path: Path
) -> None:
    ids = pd.Series([None, "..", "../../v1/models", "a/b?x=1", df["history_item_id"].iloc[0]])
    pulled = download_audio(ids, tmp_path / "in", client=client)
    assert pulled["status"].tolist() == ["failed", "failed", "gone", "gone", "done"]
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("key", ["bad", "scope"])
def test_a_key_that_is_no_good_ends_the_pull_at_once(box_of: Callable[..., Sandbox], tmp_path: Path, key: str) -> None:
    box = box_of(100, 3)
    ids = pd.Series([row["history_item_id"] for row in box.history()])
    wanted = hk.AuthenticationError if key == "bad" else hk.PermissionDeniedError
    api_key = "sk_wrong" if key == "bad" else box.key("user_read")
    with client_of(box, api_key=api_key) as client, pytest.raises(wanted):
        download_audio(ids, tmp_path, client=client)
    assert len(box.requests()) <= 8
    assert files(tmp_path) == {}


def test_a_link_out_of_the_folder_is_not_followed(df: pd.DataFrame, client: HistoryClient, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "away").symlink_to(tmp_path / "out")
    pulled = download_audio(df.head(2), tmp_path / "in", name="away/{id}", client=client)
    assert pulled["status"].tolist() == ["failed", "failed"]
    assert "leads out" in pulled["error"].iloc[0]
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_is_a_file_is_said(df: pd.DataFrame, client: HistoryClient, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "audio"):
        for dry_run in (False, True):
            with pytest.raises(hk.DownloadError) as caught:
                download_audio(df.head(1), folder, client=client, dry_run=dry_run)
            assert str(caught.value) == f"{folder} can't be used as a folder: {tmp_path / 'file'} is a file."
    assert (tmp_path / "file").read_text() == "x"


def test_a_name_that_a_folder_has_costs_one_row(df: pd.DataFrame, client: HistoryClient, tmp_path: Path) -> None:
    rows = df[df["content_type"] == "audio/mpeg"].head(2)
    (tmp_path / f"{rows['history_item_id'].iloc[0]}.mp3").mkdir()
    pulled = download_audio(rows, tmp_path, name="{id}", client=client)
    assert pulled["status"].tolist() == ["failed", "done"]
    assert list(tmp_path.rglob("*.part")) == []


def test_a_full_disk_ends_the_pull_at_once(
    box: Sandbox, df: pd.DataFrame, client: HistoryClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}"):
        download_audio(df.head(100), tmp_path, client=client)
    monkeypatch.undo()
    assert len(box.requests()) <= 12
    assert files(tmp_path) == {}
    assert set(download_audio(df.head(5), tmp_path, client=client)["status"]) == {"done"}


def test_a_manifest_that_is_none_is_said(df: pd.DataFrame, client: HistoryClient, tmp_path: Path) -> None:
    (tmp_path / "manifest.parquet").write_bytes(b"no parquet")
    with pytest.raises(hk.DownloadError, match="Move it away"):
        download_audio(df.head(1), tmp_path, client=client)


def test_a_manifest_that_points_out_of_the_folder_is_not_believed(df: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "secret.mp3").write_bytes(b"x")
    (tmp_path / "in").mkdir()
    record = FolderManifest(LocalFolder(tmp_path / "in"))
    record.add(Entry("a", "../secret.mp3", "done", 1))
    record.close()
    assert FolderManifest(LocalFolder(tmp_path / "in")).files_of(["a"]) == []


def test_two_pulls_into_one_folder_at_a_time_are_refused(
    df: pd.DataFrame, client: HistoryClient, tmp_path: Path
) -> None:
    with LocalFolder(tmp_path).lock(), pytest.raises(hk.DownloadError, match="Another download"):
        download_audio(df.head(1), tmp_path, client=client)
    assert download_audio(df.head(1), tmp_path, client=client)["status"].tolist() == ["done"]


def test_the_bar_counts_files_and_bytes(
    df: pd.DataFrame, client: HistoryClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pulled = download_audio(df.head(5), tmp_path, progress=True, client=client)
    shown = capsys.readouterr().err
    assert "5/5" in shown
    assert format_size(int(pulled["bytes"].sum())) in shown
    download_audio(df.head(5), tmp_path, client=client)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("key", ["bad", "scope"])
def test_a_refused_key_leaves_no_empty_folder(box: Sandbox, df: pd.DataFrame, tmp_path: Path, key: str) -> None:
    (tmp_path / "there").mkdir()
    api_key = "sk_wrong" if key == "bad" else box.key("user_read")
    with client_of(box, api_key=api_key) as client:
        for parent in ("there", "new/er"):
            with pytest.raises((hk.AuthenticationError, hk.PermissionDeniedError)):
                download_audio(df.head(20), tmp_path / parent / "audio", client=client)
            with pytest.raises((hk.AuthenticationError, hk.PermissionDeniedError)):
                hk.download_zip(df.head(20), tmp_path / parent / "zips" / "all.zip", client=client)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["there"]


def test_a_client_of_another_kind_leaves_no_folder(df: pd.DataFrame, tmp_path: Path) -> None:
    wrong: Any = "sk_key"
    with pytest.raises(hk.InputError, match="client="):
        download_audio(df.head(1), tmp_path / "new" / "audio", client=wrong)
    with pytest.raises(hk.InputError, match="client="):
        hk.download_zip(df.head(1), tmp_path / "new" / "all.zip", client=wrong)
    assert list(tmp_path.iterdir()) == []


def test_failed_clips_are_found_again_from_another_directory(
    box: Sandbox, df: pd.DataFrame, client: HistoryClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    box.set(html=2, only="audio")
    try:
        with client_of(box, max_retries=0, max_concurrency=1) as impatient:
            first = download_audio(df.head(3), "audio", client=impatient)
    finally:
        box.set(html=None, only=None)
    assert sorted(first["status"]) == ["done", "failed", "failed"]
    assert first.attrs["histkit"]["folder"] == str(tmp_path / "audio")
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = hk.retry_failed(first, client=client)
    assert set(again["status"]) == {"done"}
    checked = hk.verify("../audio")
    assert Path(checked.attrs["histkit"]["folder"]).samefile(tmp_path / "audio")
    assert checked.attrs["histkit"]["counts"] == {"ok": 3}
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_that_is_not_there_any_more_is_said_and_not_made(
    df: pd.DataFrame, client: HistoryClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    failed = download_audio(df.head(2), "audio", dry_run=True).assign(status="failed")
    for folder in ("audio", str(tmp_path / "audio"), 5, None):
        failed.attrs["histkit"] = {"folder": folder}
        with pytest.raises(hk.InputError, match="pass folder="):
            hk.retry_failed(failed, client=client)
    with pytest.raises(hk.InputError, match="has no record of"):
        hk.retry_failed(failed, "audio", client=client)
    for forget in (False, True):
        with pytest.raises(hk.DownloadError, match=r"holds no manifest\.parquet"):
            hk.verify("audio", forget=forget)
    assert list(tmp_path.iterdir()) == []
