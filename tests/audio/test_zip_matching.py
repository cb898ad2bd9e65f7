"""Zips by the service's own zips: few requests, the bytes of the single route, and no clip under another's name."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import histkit as hk
from histkit import download_zip
from histkit.sandbox import Sandbox, serve
from tests.conftest import client_of

pytestmark = pytest.mark.usefixtures("short_waits")

KINDS = ("reset", "cut_off", "html", "error_500", "too_many", "rate_limit", "zip_broken", "zip_bare")
START = 1_790_000_000  # rows of that time say their output format


def history(box: Sandbox) -> pd.DataFrame:
    with client_of(box) as client:
        return hk.read_history(client=client)


def spread(box: Sandbox, n: int, gap: int = 1, **fields: Any) -> pd.DataFrame:
    """Let rows of known seconds arrive and give them, newest first."""
    ids = [box.add(date_unix=START + gap * place, **fields)[0] for place in range(n)]
    df = history(box)
    return df[df["history_item_id"].isin(ids)].reset_index(drop=True)


def asked_for(box: Sandbox) -> dict[str, int]:
    """Count the requests for audio by their route."""
    paths = [entry["path"] for entry in box.requests() if entry["path"] != "/v1/history"]
    return dict(Counter("bulk" if path.endswith("/download") else "single" for path in paths))


def zipped(box: Sandbox, df: pd.DataFrame, path: Path, **options: Any) -> tuple[pd.DataFrame, bytes, dict[str, int]]:
    """Make a zip; give its manifest, its bytes and what was asked for."""
    box.reset()
    with client_of(box, max_retries=options.pop("max_retries", 5)) as client:
        manifest = download_zip(df, path, client=client, **options)
    assert [each.name for each in path.parent.iterdir() if each.name.startswith(".")] == []
    return manifest, path.read_bytes(), asked_for(box)


def clips_in(zipped: bytes) -> dict[str, tuple[Any, bytes]]:
    """Give what a zip holds but for the manifest, whose words on a clip that is gone have the id of the request."""
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        infos = archive.infolist()[:-1]
        return {info.filename: (info.date_time, archive.read(info)) for info in infos}


def single(box: Sandbox, df: pd.DataFrame, path: Path, **options: Any) -> bytes:
    """Make the zip of the single route, as it has to be."""
    return zipped(box, df, path, bulk=False, **options)[1]


@pytest.fixture(scope="module")
def two_hundred(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, pd.DataFrame, bytes]]:
    """A sandbox, 200 rows of different seconds, and the zip that they have to make."""
    with serve(items=10, seed=8, clip_bytes=4000) as box:
        df = spread(box, 200)
        yield box, df, single(box, df, tmp_path_factory.mktemp("good") / "good.zip")


@pytest.fixture
def faulty(two_hundred: tuple[Sandbox, pd.DataFrame, bytes]) -> Iterator[tuple[Sandbox, pd.DataFrame, bytes]]:
    """The same; faults that a test sets end with it."""
    yield two_hundred
    box = two_hundred[0]
    box.set(**dict.fromkeys(box.faults().keys() - {"clip_bytes"}))


def test_three_hundred_rows_are_six_requests_and_the_same_bytes(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(50, 6, clip_bytes=12_000)
    df = spread(box, 300, output_format="mp3_44100_128")
    manifest, found, asked = zipped(box, df, tmp_path / "a.zip")
    assert asked == {"bulk": 6, "single": 1}  # one clip is compared
    assert manifest.attrs["histkit"]["requests"] == 7
    assert zipped(box, df, tmp_path / "b.zip", bulk=False)[2] == {"single": 300}
    assert (tmp_path / "b.zip").read_bytes() == found
    with zipfile.ZipFile(io.BytesIO(found)) as archive:
        for row in manifest.itertuples():
            assert hashlib.sha256(archive.read(row.path)).hexdigest() == row.sha256


def test_a_history_of_all_formats_is_the_same_by_both_routes(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(900, 6, clip_bytes=12_000)
    df = history(box)
    assert df["output_format"].isna().any()
    assert df["dialogue"].notna().any()
    assert {"audio/mpeg", "audio/basic", "audio/pcm", "audio/ogg", "audio/wav"} == set(df["content_type"])
    manifest, found, asked = zipped(box, df, tmp_path / "a.zip")
    assert found == single(box, df, tmp_path / "b.zip")
    assert manifest["status"].eq("done").all()
    assert asked["bulk"] < 20
    assert asked["bulk"] + asked["single"] < 100


@pytest.mark.parametrize("form", ["pcm_24000", "ulaw_8000", "opus_48000_32", "wav_44100", "mp3_44100_192"])
def test_the_extension_follows_bytes_and_row_not_the_name_in_the_zip(
    box_of: Callable[..., Sandbox], tmp_path: Path, form: str
) -> None:
    box = box_of(10, 6, clip_bytes=12_000)
    df = spread(box, 20, output_format=form)
    manifest, found, asked = zipped(box, df, tmp_path / "a.zip")
    assert asked == {"bulk": 1, "single": 1}
    assert manifest["path"].str.endswith(f".{form.partition('_')[0]}").all()
    assert found == single(box, df, tmp_path / "b.zip")


def test_bare_samples_of_rows_that_do_not_say_so_are_asked_for_alone(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(10, 6, clip_bytes=12_000)
    df = spread(box, 12, output_format=None, content_type="audio/mpeg")
    for item in df["history_item_id"].head(3):
        box.update(item, output_format="pcm_24000")
    manifest, found, asked = zipped(box, df, tmp_path / "a.zip")  # the frame still takes them for MP3
    assert asked == {"bulk": 1, "single": 1 + 3}
    assert found == single(box, df, tmp_path / "b.zip")
    assert manifest["path"].str.endswith(".pcm").sum() == 3


def test_wav_reaches_the_service_and_what_it_need_not_convert_is_asked_for_alone(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(10, 6, clip_bytes=12_000)
    df = spread(box, 40, output_format="mp3_44100_128")
    for place, form in enumerate(("pcm_16000", "ulaw_8000", "wav_44100", "opus_48000_32")):
        box.update(df["history_item_id"][place], output_format=form)
    df = history(box).merge(df[["history_item_id"]])
    manifest, found, asked = zipped(box, df, tmp_path / "a.zip", format="wav")
    assert asked == {"bulk": 1 + 1, "single": 3}  # the clip that is compared is converted by the same route
    assert manifest["path"].str.endswith(".wav").all()
    assert found == single(box, df, tmp_path / "b.zip", format="wav")


def test_rows_of_one_second_are_never_asked_for_together(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(10, 6, clip_bytes=60_000)
    ids = [item for second in range(40) for item in box.add(10, date_unix=START + second)]
    df = history(box)
    df = df[df["history_item_id"].isin(ids)]
    manifest, found, asked = zipped(box, df, tmp_path / "a.zip")
    assert asked == {"bulk": 8, "single": 1 + 80}  # eight of the ten of each second
    assert found == single(box, df, tmp_path / "b.zip")
    assert manifest["sha256"].is_unique


def test_dialogues_and_hostile_voices(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(10, 6, clip_bytes=12_000, zip_names="raw")
    names = ("../../etc/passwd", "a/b\\c: <d>", "ElevenLabs_2026-10-10T20_05_10_x", "Ünï – & , (1)", "", "x" * 200)
    ids = [box.add(date_unix=START + place, voice_name=names[place % 6])[0] for place in range(48)]
    lines = [{"text": "Hello", "voice_id": "v", "voice_name": "Ann"}]
    ids += [box.add(date_unix=START + 100 + each, dialogue=lines, text="", voice_name="")[0] for each in range(10)]
    df = history(box)
    df = df[df["history_item_id"].isin(ids)]
    manifest, found, asked = zipped(box, df, tmp_path / "a.zip")
    assert asked == {"bulk": 2, "single": 1}
    assert found == single(box, df, tmp_path / "b.zip")
    assert manifest["status"].eq("done").all()


def test_a_voice_that_holds_a_moment_ties_nothing(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(10, 6, clip_bytes=12_000, zip_names="raw")
    df = spread(box, 20)
    moment = datetime.fromtimestamp(START + 3, UTC)
    box.update(df["history_item_id"][5], voice_name=f"x/ElevenLabs_{moment:%Y-%m-%dT%H_%M_%S}_Ann")
    manifest, found, asked = zipped(box, df, tmp_path / "a.zip")
    assert asked == {"bulk": 1, "single": 1 + 1}
    assert found == single(box, df, tmp_path / "b.zip")
    assert manifest["status"].eq("done").all()


@pytest.mark.parametrize(
    "style",
    [
        {"zip_order": "shuffled"},
        {"zip_times": "spaces"},
        {"zip_times": "colons", "zip_order": "shuffled"},
        {"zip_ids": True, "zip_ahead": 7200},
        {"zip_packed": True},
        {"unknown_ids": "omit"},
    ],
    ids=str,
)
def test_zips_of_every_known_kind_are_read(
    faulty: tuple[Sandbox, pd.DataFrame, bytes], tmp_path: Path, style: dict[str, Any]
) -> None:
    box, df, good = faulty
    box.set(**style)
    manifest, found, asked = zipped(box, df, tmp_path / "a.zip")
    assert asked == {"bulk": 4, "single": 1}
    assert found == good
    assert manifest["status"].eq("done").all()


@pytest.mark.parametrize("ahead", [1, 7, 3600])
@pytest.mark.parametrize("gone", [0, 1])
def test_a_clock_that_is_not_utc_never_gives_a_clip_another_name(
    box_of: Callable[..., Sandbox], tmp_path: Path, ahead: int, gone: int
) -> None:
    box = box_of(10, 6, clip_bytes=60_000, zip_ahead=ahead, unknown_ids="omit")
    df = spread(box, 150, gap=7 if ahead == 7 else 1)
    for first in (0, 50, 100):  # without the newest of each request, every name is that of another row
        box.remove(df["history_item_id"][first : first + gone].tolist())
    manifest, found, asked = zipped(box, df, tmp_path / "a.zip")
    assert clips_in(found) == clips_in(single(box, df, tmp_path / "b.zip"))
    assert manifest["status"].eq("gone").sum() == 3 * gone
    assert manifest["sha256"].dropna().is_unique
    assert asked["bulk"] <= 3


def test_ids_that_the_service_leaves_out_are_asked_for_alone_and_the_others_not(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(10, 6, clip_bytes=12_000, unknown_ids="omit")
    df = spread(box, 50)
    box.remove(df["history_item_id"][[3, 17, 49]].tolist())
    manifest, found, asked = zipped(box, df, tmp_path / "a.zip")
    assert asked == {"bulk": 1, "single": 1 + 3}
    assert manifest["status"].eq("gone").sum() == 3
    assert clips_in(found) == clips_in(single(box, df, tmp_path / "b.zip"))


@pytest.mark.parametrize("status", [400, 404, 422, 500])
def test_an_id_that_spoils_its_zip_is_isolated_by_halving(
    faulty: tuple[Sandbox, pd.DataFrame, bytes], tmp_path: Path, status: int
) -> None:
    box, df, good = faulty
    box.set(poisoned=[df["history_item_id"][117]], poison_status=status)
    manifest, found, asked = zipped(box, df, tmp_path / "a.zip", max_retries=0)
    assert asked["single"] <= 1 + 4  # the last halves are single rows
    assert asked["bulk"] <= 4 + 2 * 6
    assert manifest["status"].eq("done").all()
    assert found == good


def test_dates_that_do_not_fit_their_rows_cost_requests_and_nothing_else(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(200, 6, clip_bytes=12_000)
    df = history(box)
    good = single(box, df, tmp_path / "b.zip", name="{id}")
    wrong = df.assign(date_unix=df["date_unix"].to_numpy()[::-1])
    assert zipped(box, wrong, tmp_path / "a.zip", name="{id}")[1] == good
    shuffled = df.assign(date_unix=df["date_unix"].sample(frac=1, random_state=1).to_numpy()).drop(columns="date")
    sums = zipped(box, shuffled, tmp_path / "a.zip", name="{id}")[0]["sha256"]
    right = zipped(box, df, tmp_path / "b.zip", name="{id}", bulk=False)[0]["sha256"]
    assert (sums != right).sum() == 0


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_with_faults_the_zip_is_that_of_a_clean_run(
    box_of: Callable[..., Sandbox], tmp_path: Path, share: float
) -> None:
    box = box_of(250, 8, clip_bytes=8000)
    df = history(box)
    good = single(box, df, tmp_path / "clean.zip")
    box.set(**dict.fromkeys(KINDS, share / len(KINDS)))
    for turn in range(3):
        assert zipped(box, df, tmp_path / f"{turn}.zip", max_retries=12)[1] == good


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_alone_at_thirty_percent(
    faulty: tuple[Sandbox, pd.DataFrame, bytes], tmp_path: Path, kind: str
) -> None:
    box, df, good = faulty
    box.set(**{kind: 0.3})
    struck = False
    for _ in range(4):
        assert zipped(box, df, tmp_path / "faulty.zip", max_retries=12)[1] == good
        struck |= any(entry["fault"] == kind for entry in box.requests())
    assert struck


@pytest.mark.parametrize("fault", ["error_500", "zip_broken", "zip_bare", "html", "cut_off"])
def test_a_bulk_route_that_never_works_is_given_up(
    faulty: tuple[Sandbox, pd.DataFrame, bytes], tmp_path: Path, fault: str
) -> None:
    box, df, good = faulty
    box.set(only="download", **{fault: True})
    manifest, found, asked = zipped(box, df, tmp_path / "a.zip", max_retries=0)
    assert found == good
    assert manifest["status"].eq("done").all()
    assert asked["single"] == 200
    assert asked["bulk"] <= 20


def test_zips_whose_clips_are_other_files_are_not_used(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(10, 8, clip_bytes=4000)
    df = spread(box, 400)
    good = single(box, df, tmp_path / "b.zip")
    box.set(zip_tagged=True)
    _, found, asked = zipped(box, df, tmp_path / "a.zip")
    assert found == good
    assert asked["bulk"] <= 8
    assert asked["single"] <= 401


def test_memory_does_not_grow_with_the_zip(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(10, 6, clip_bytes=400_000)
    df = spread(box, 200)
    with client_of(box) as client:
        download_zip(df.head(8), tmp_path / "x.zip", client=client)
        tracemalloc.start()
        download_zip(df, tmp_path / "x.zip", client=client)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (tmp_path / "x.zip").stat().st_size > 70_000_000
    assert peak < 12_000_000


def test_a_refused_key_ends_it_at_once(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(300, 8)
    df = history(box)
    box.reset()
    with client_of(box, api_key=box.key("user_read")) as client, pytest.raises(hk.PermissionDeniedError):
        download_zip(df, tmp_path / "a.zip", client=client)
    assert len(box.requests()) < 20
    assert list(tmp_path.iterdir()) == []


def test_a_service_that_is_gone_ends_it_soon(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(300, 8)
    df = history(box)
    client = client_of(box, max_retries=0)
    box.close()
    before = client.transport.requests
    with client, pytest.raises(hk.DownloadError, match="No clip could be downloaded"):
        download_zip(df, tmp_path / "a.zip", client=client)
    assert client.transport.requests - before < 60
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_makes_no_request(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(10, 6, clip_bytes=12_000)
    df = spread(box, 120)
    box.reset()
    planned = download_zip(df, tmp_path / "new" / "a.zip", dry_run=True)
    assert (box.requests(), list(tmp_path.iterdir())) == ([], [])
    facts = planned.attrs["histkit"]
    assert (facts["dry_run"], facts["files"], facts["requests"]) == (True, 120, 4)
    pulled, _, asked = zipped(box, df, tmp_path / "a.zip")
    assert pulled["path"].tolist() == planned["path"].tolist()
    assert sum(asked.values()) == facts["requests"]


def test_rows_that_are_known_to_be_gone_are_not_asked_for(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(10, 6, clip_bytes=12_000)
    df = spread(box, 10)
    df["missing_since"] = pd.Series([pd.Timestamp("2026-11-01", tz="UTC"), *[pd.NaT] * 9])
    manifest, _, asked = zipped(box, df, tmp_path / "a.zip")
    assert manifest["status"].tolist() == ["gone"] + ["done"] * 9
    assert asked == {"bulk": 1, "single": 1}


ZIP = """
import sys, histkit as hk
url, key, path = sys.argv[1:]
client = hk.HistoryClient(key, base_url=url)
hk.download_zip(hk.read_history(client=client), path, client=client)
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL, no SIGINT to another process")
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_a_run_that_is_ended_leaves_the_old_zip_and_one_temporary_file_at_most(
    box_of: Callable[..., Sandbox], tmp_path: Path, how: str
) -> None:
    box = box_of(300, 4, clip_bytes=20_000, bandwidth=600_000)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("old.mp3", "the old one")
    old = (tmp_path / "all.zip").read_bytes()
    command = [sys.executable, "-c", ZIP, box.url, box.api_key, str(tmp_path / "all.zip")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not any(each.stat().st_size > 100_000 for each in tmp_path.glob(".*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(getattr(signal, how))
    process.communicate(timeout=20)
    left = [each.name for each in tmp_path.iterdir()]
    assert (tmp_path / "all.zip").read_bytes() == old
    assert len(left) == (2 if how == "SIGKILL" else 1)
