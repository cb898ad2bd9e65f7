"""Destinations and second tries: folders behind fsspec, `retry_failed`, `verify`, a service out of reach."""

from __future__ import annotations

import hashlib
import io
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pytest

import histkit as hk
from histkit import download_audio, retry_failed, verify
from histkit.audio.verify import verified_copies
from histkit.sandbox import Sandbox
from tests.conftest import client_of

pytestmark = pytest.mark.usefixtures("short_waits")

OWN = ("manifest.csv", "manifest.parquet")


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/bucket", recursive=True) if system.exists("/bucket") else None


def stored(system: Any) -> dict[str, str]:
    """Give the hash of each file of the bucket."""
    files = system.find("/bucket/audio")
    return {path.removeprefix("/bucket/audio/"): hashlib.sha256(system.cat_file(path)).hexdigest() for path in files}


def hashes(pulled: pd.DataFrame) -> dict[str, str]:
    return dict(zip(pulled["path"].dropna(), pulled["sha256"].dropna(), strict=True))


def without(files: dict[str, str], *names: str) -> dict[str, str]:
    return {name: digest for name, digest in files.items() if name not in names}


def test_a_bucket_gets_the_files_and_manifest_that_a_folder_gets(
    box_of: Callable[..., Sandbox], tmp_path: Path, memory: Any
) -> None:
    box = box_of(40, 8, clip_bytes=5000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        here = download_audio(df, tmp_path / "audio", client=client)
        there = download_audio(df, "memory://bucket/audio", client=client)
        box.reset()
        again = download_audio(df, "memory://bucket/audio", client=client)
    pd.testing.assert_frame_equal(there, here)
    assert without(stored(memory), *OWN) == hashes(here)
    assert set(OWN) < set(stored(memory))
    assert set(again["status"]) == {"skipped"}
    assert box.requests() == []
    assert set(verify("memory://bucket/audio")["status"]) == {"ok"}


def test_a_bucket_survives_faults_and_what_a_killed_pull_left_there(
    box_of: Callable[..., Sandbox], tmp_path: Path, memory: Any
) -> None:
    box = box_of(40, 8, clip_bytes=5000)
    memory.makedirs("/bucket/audio", exist_ok=True)
    memory.pipe_file("/bucket/audio/2026-10/.histkit-0123456789abcdef.part", b"half")
    with client_of(box, max_retries=10) as client:
        df = hk.read_history(client=client)
        clean = download_audio(df, tmp_path / "audio", client=client)
        box.set(reset=0.1, cut_off=0.1, error_500=0.05, html=0.05)
        pulled = download_audio(df, "memory://bucket/audio", client=client)
    pd.testing.assert_frame_equal(pulled, clean)
    assert without(stored(memory), *OWN) == hashes(clean)


def test_a_local_address_of_fsspec_is_a_folder_too(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(10, 8, clip_bytes=5000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        pulled = download_audio(df, f"file://{tmp_path}/audio", storage_options={"auto_mkdir": True}, client=client)
        assert set(download_audio(df, tmp_path / "audio", client=client)["status"]) == {"skipped"}
    for path, digest in hashes(pulled).items():
        assert hashlib.sha256((tmp_path / "audio" / path).read_bytes()).hexdigest() == digest
    assert list(tmp_path.rglob("*.part")) == []


def test_a_bucket_that_refuses_is_one_line_before_any_request(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(5)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        box.reset()
        (tmp_path / "x.zip").write_bytes(b"no zip")
        with pytest.raises(hk.DownloadError, match="zip://"):
            download_audio(df, f"zip://audio::{tmp_path}/x.zip", client=client)
        with pytest.raises(hk.DownloadError, match="nosuch"):
            download_audio(df, "nosuch://bucket/audio", client=client)
        with pytest.raises(hk.InputError, match="storage_options"):
            download_audio(df, tmp_path, storage_options={"anon": True}, client=client)
    assert box.requests() == []


def test_what_failed_is_pulled_again_under_its_name_and_nothing_else_is(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(30, 8, clip_bytes=5000)
    with client_of(box, max_retries=0) as client:
        df = hk.read_history(client=client).iloc[::-1]
        clean = download_audio(df, tmp_path / "clean", name="{voice}/{text:.20}-{id}", client=client)
        box.set(error_500=0.4)
        first = download_audio(df, tmp_path / "audio", name="{voice}/{text:.20}-{id}", client=client)
        failed = int((first["status"] == "failed").sum())
        assert 0 < failed < 30
        box.set(error_500=0)
        box.reset()
        again = retry_failed(first, client=client)
    assert len(box.requests()) == failed
    pd.testing.assert_frame_equal(again, clean)
    assert again.attrs == first.attrs
    assert set(first["status"]) == {"done", "failed"}
    assert set(verify(tmp_path / "audio")["status"]) == {"ok"}


def test_a_failed_wav_is_wav_when_it_is_tried_again(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(12, 8, clip_bytes=5000)
    with client_of(box, max_retries=0) as client:
        df = hk.read_history(client=client)
        box.set(error_500=True)
        first = download_audio(df, tmp_path, format="wav", client=client)
        assert set(first["status"]) == {"failed"}
        box.set(error_500=0)
        again = retry_failed(first.drop(columns=["sha256"]), client=client)
        assert again["path"].str.endswith(".wav").all()
        assert again["sha256"].notna().all()
        assert set(download_audio(df, tmp_path, format="wav", client=client)["status"]) == {"skipped"}


def test_trying_again_needs_to_know_the_folder_and_the_clips(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(5, 8, clip_bytes=5000)
    with client_of(box) as client:
        manifest = pd.DataFrame({"history_item_id": ["a"], "status": ["failed"]})
        with pytest.raises(hk.InputError, match="pass folder="):
            retry_failed(manifest, client=client)
        with pytest.raises(hk.InputError, match="has no record of a"):
            retry_failed(manifest, tmp_path, client=client)
        done = download_audio(hk.read_history(client=client), tmp_path, client=client)
        box.reset()
        pd.testing.assert_frame_equal(retry_failed(done, client=client), done)
    assert box.requests() == []


def test_a_manifest_that_was_saved_and_read_back_can_be_tried_again(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(12, 8, clip_bytes=5000)
    with client_of(box, max_retries=0) as client:
        df = hk.read_history(client=client)
        box.set(error_500=0.4)
        first = download_audio(df, tmp_path / "audio", client=client)
        box.set(error_500=0)
        for read in (pd.read_csv, hk.read_csv):
            saved = read(hk.to_csv(first, tmp_path / "saved.csv"))
            again = retry_failed(saved.sort_values("bytes"), tmp_path / "audio", client=client).sort_index()
            assert again["path"].notna().all()
            assert set(again["status"]) <= {"done", "skipped"}


@pytest.mark.parametrize("name", ["", "memory://", None, 5])
def test_what_is_no_place_is_refused(client: hk.HistoryClient, name: Any, tmp_path: Path) -> None:
    df = hk.sample_history(2)
    with pytest.raises((hk.InputError, hk.DownloadError), match=r"A path must be|folder"):
        hk.download_zip(df, name, client=client)
    if name != "memory://":
        with pytest.raises(hk.InputError, match="A path must be"):
            download_audio(df, name, client=client)
    with pytest.raises(hk.InputError, match=r"histkit\.HistoryClient, not str"):
        download_audio(df, tmp_path / "unused", client="key")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_link_out_of_the_folder_gets_nothing(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(5, 8, clip_bytes=5000)
    (tmp_path / "audio").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "audio" / "x").symlink_to(tmp_path / "out")
    with client_of(box) as client:
        pulled = download_audio(
            hk.read_history(client=client), tmp_path / "audio", name="x/{voice}/{id}", client=client
        )
    assert set(pulled["status"]) == {"failed"}
    assert list((tmp_path / "out").iterdir()) == []


def test_a_service_out_of_reach_ends_the_pull_after_a_few_clips(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    df = hk.sample_history(500)
    with hk.HistoryClient("sk_test", base_url=f"http://127.0.0.1:{port}", max_retries=0) as client:
        pulled = download_audio(df, tmp_path, client=client)
        assert client.transport.requests < 30
    assert set(pulled["status"]) == {"failed"}
    assert pulled["error"].str.startswith("Not tried").sum() > 450


def test_rows_that_a_local_history_knows_to_be_gone_are_not_asked_for(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(10, 8, clip_bytes=5000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        df["missing_since"] = pd.Series([pd.Timestamp("2026-11-01", tz="UTC")] * 4 + [pd.NaT] * 6)
        download_audio(df.tail(8).head(1).drop(columns="missing_since"), tmp_path, client=client)  # row 2 is here
        box.reset()
        plan = download_audio(df, tmp_path, dry_run=True, client=client)
        assert plan.attrs["histkit"]["requests"] == 6
        pulled = download_audio(df, tmp_path, client=client)
    assert pulled["status"].tolist() == ["gone", "gone", "skipped", "gone"] + ["done"] * 6
    assert pulled["error"][0] == "Not requested: missing from the service since 2026-11-01."
    assert len(box.requests()) == 6


def test_verify_reads_every_file_and_names_what_is_wrong(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(12, 8, clip_bytes=5000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        pulled = download_audio(df, tmp_path, client=client)
        paths = [tmp_path / path for path in pulled["path"]]
        whole = paths[0].read_bytes()
        paths[0].write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))  # one bit, same size
        paths[1].unlink()
        found = verify(tmp_path)
        assert len(found) == 12
        status = found.set_index("history_item_id")["status"]
        assert status[pulled["history_item_id"]].tolist() == ["changed", "missing"] + ["ok"] * 10
        assert found.attrs["histkit"]["counts"] == {"ok": 10, "changed": 1, "missing": 1}
        assert found.loc[found["status"] != "ok", "error"].notna().all()
        copies = verified_copies(tmp_path, pulled["history_item_id"].head(4))
        assert set(copies) == set(pulled["history_item_id"].iloc[2:4])
        assert download_audio(df, tmp_path, client=client)["status"].tolist()[0] == "skipped"  # its size is right
        verify(tmp_path, forget=True)
        again = download_audio(df, tmp_path, client=client)
    assert again["status"].tolist() == ["done"] + ["skipped"] * 11
    pd.testing.assert_frame_equal(again.drop(columns="status"), pulled.drop(columns="status"))
    assert set(verify(tmp_path)["status"]) == {"ok"}


def test_verify_of_no_folder_of_ours_says_so_and_makes_nothing(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(hk.DownloadError, match=r"holds no manifest\.parquet"):
            verify(folder, forget=True)
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_of_an_older_histkit_is_read(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(5, 8, clip_bytes=5000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        download_audio(df, tmp_path, client=client)
        old = hk.read_parquet(tmp_path / "manifest.parquet").drop(columns=["stem", "output_format", "content_type"])
        old.attrs = {}  # the checksum, which it didn't have
        hk.to_parquet(old, tmp_path / "manifest.parquet")
        assert set(download_audio(df, tmp_path, client=client)["status"]) == {"skipped"}


def test_rows_of_several_accounts_are_refused_with_the_way_out(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(6)
    with client_of(box) as client:
        df = hk.read_history(client=client).assign(account=["studio", "agency"] * 3)
        with pytest.raises(hk.InputError, match=r"2 accounts \(agency, studio\).*df\['account'\] == 'agency'"):
            download_audio(df, tmp_path, client=client)
        assert len(download_audio(df[df["account"] == "studio"], tmp_path, client=client)) == 3


def test_a_zip_goes_into_a_bucket_whole_or_not_at_all(
    box_of: Callable[..., Sandbox], tmp_path: Path, memory: Any
) -> None:
    box = box_of(30, 8, clip_bytes=5000)
    with client_of(box, max_retries=0) as client:
        df = hk.read_history(client=client)
        here = hk.download_zip(df, tmp_path / "all.zip", client=client)
        there = hk.download_zip(df, "memory://bucket/audio/all.zip", client=client)
        pd.testing.assert_frame_equal(there, here)
        assert memory.cat_file("/bucket/audio/all.zip") == (tmp_path / "all.zip").read_bytes()
        box.set(error_500=True)
        with pytest.raises(hk.DownloadError, match="No clip could be downloaded"):
            hk.download_zip(df, "memory://bucket/audio/none.zip", client=client)
        with pytest.raises(hk.InputError, match="storage_options"):
            hk.download_zip(df, tmp_path / "none.zip", storage_options={"anon": True}, client=client)
    assert [path.rpartition("/")[2] for path in memory.find("/bucket/audio")] == ["all.zip"]


def test_a_zip_in_a_bucket_replaces_a_zip_only(box_of: Callable[..., Sandbox], memory: Any) -> None:
    box = box_of(3, clip_bytes=5000)
    workbook, text = io.BytesIO(), b'currency = "EUR"\n'
    with zipfile.ZipFile(workbook, "w") as archive:
        archive.writestr("[Content_Types].xml", b"")
        archive.writestr("xl/workbook.xml", b"")
    with client_of(box) as client:
        df = hk.read_history(client=client)
        for name in ("rachel", "rachel.toml"):
            for dry_run in (True, False):
                with pytest.raises(hk.InputError, match=r"rachel(\.toml)? .*: use rachel\.zip, or force=True"):
                    hk.download_zip(df, f"memory://bucket/{name}", dry_run=dry_run, client=client)
        requests = client.transport.requests
        for content in (workbook.getvalue(), text):
            memory.pipe_file("/bucket/old.zip", content)
            with pytest.raises(hk.InputError, match=r"bucket/old\.zip exists and is not a zip: .*force=True"):
                hk.download_zip(df, "memory://bucket/old.zip", client=client)
            assert memory.cat_file("/bucket/old.zip") == content
        assert client.transport.requests == requests
        hk.download_zip(df, "memory://bucket/old.zip", force=True, client=client)
        first = memory.cat_file("/bucket/old.zip")
        assert len(zipfile.ZipFile(io.BytesIO(first)).namelist()) == 4
        hk.download_zip(df.head(1), "memory://bucket/old.zip", client=client)
        assert memory.cat_file("/bucket/old.zip") != first
        hk.download_zip(df, "memory://bucket/rachel", force=True, client=client)
    assert set(memory.find("/bucket")) == {"/bucket/old.zip", "/bucket/rachel"}
