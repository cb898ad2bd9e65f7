"""`sync` under kills, full disks and strange services: the next one goes on, and ends as if nothing had happened."""

from __future__ import annotations

import json
import multiprocessing
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import histkit as hk
from histkit.sandbox import Sandbox
from tests.conftest import client_of
from tests.fetch.test_strange_service import BASE, paged, row, service  # noqa: F401 - a fixture
from tests.local_history import leftovers

FAULTS = {"error_500": 0.03, "reset": 0.03, "cut_off": 0.02, "rate_limit": 0.02}
WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(["histkit.archive.sync", "histkit.archive.load", "histkit.sandbox"])


def sync_in_child(path: Path, url: str, key: str, full: bool, bytes_a_file: int | None = None) -> None:
    """Sync; with `bytes_a_file` on a disk that is full when a file gets longer than that."""
    if bytes_a_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, resource.RLIM_INFINITY))
    client = hk.HistoryClient(key, base_url=url, max_retries=12)
    try:
        hk.sync(path, client=client, full=full, diff=True, progress=False, workers=3)
    except hk.ArchiveError as error:
        (path.parent / "error").write_text(str(error)[: bytes_a_file or 1000])
        raise SystemExit(3) from None


def child(path: Path, box: Sandbox, **options: Any) -> Any:
    process = WARM.Process(target=sync_in_child, args=(path, box.url, box.api_key), kwargs={"full": False, **options})
    process.start()
    return process


def read(box: Sandbox) -> pd.DataFrame:
    with client_of(box, max_retries=12) as client:
        return hk.read_history(client=client, progress=False)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("least", [8, pytest.param(50, marks=pytest.mark.faults)])
def test_however_often_it_is_killed_the_history_is_that_of_an_uninterrupted_sync(
    box_of: Callable[..., Sandbox], tmp_path: Path, least: int
) -> None:
    box = box_of(items=9000, seed=3, latency=0.01, **FAULTS)
    dice, kills, histories = random.Random(11), 0, 0
    started = time.monotonic()
    process = child(tmp_path / "undisturbed", box)
    process.join()
    undisturbed = time.monotonic() - started  # so that kills hit every moment of a sync, also on a busy machine
    reference = None
    while kills < least or histories < 3:  # the third history is synced again in full
        path, killed = tmp_path / str(histories), 0
        if histories % 3 == 2:  # kill a later sync, which has rows to merge into months that are there
            path = tmp_path / str(histories - 1)
            box.add(40, date_unix=BASE + 1000 * histories)
        full = histories % 3 == 2
        box.reset()
        while True:
            process = child(path, box, full=full)
            process.join(dice.random() ** 1.5 * undisturbed if killed < least // 2 else None)
            if process.exitcode is None:
                process.kill()
                process.join()
                kills += 1
                killed += 1
                continue
            assert process.exitcode == 0
            break
        histories += 1
        good = [each for each in box.requests() if each["status"] == 200 and each["fault"] is None]
        pages = 2 * (-(-len(box.history()) // 1000) + 2 * 3 + 3)  # a full walk may be finished and a short one follow
        assert len(good) <= pages + killed * (3 + 3 + 2)
        if reference is None or full:
            reference = read(box)
        pd.testing.assert_frame_equal(hk.load(path)[reference.columns], reference, check_categorical=False)
        assert hk.load(path)["missing_since"].isna().all()
        assert leftovers(path) == []


@pytest.mark.parametrize("where", ["fetch", "merge"])
def test_a_full_disk_is_said_and_the_next_sync_goes_on(
    box_of: Callable[..., Sandbox], tmp_path: Path, where: str
) -> None:
    box = box_of(items=6000)
    path = tmp_path / "history"
    if where == "merge":  # pages that are there already, and months that are longer than the disk allows
        path.mkdir()
        (path / "year=2026").write_text("a file in the way")
        process = child(path, box)
        process.join()
        assert process.exitcode == 3
        (path / "year=2026").unlink()
        assert any(path.rglob("*.arrow"))
    process = child(path, box, bytes_a_file=20_000)
    process.join()
    assert process.exitcode == 3
    words = (tmp_path / "error").read_text()
    assert "can't be written" in words
    assert "\n" not in words
    with client_of(box) as client:
        df = hk.sync(path, client=client, progress=False)
    pd.testing.assert_frame_equal(df[read(box).columns], read(box), check_categorical=False)
    assert leftovers(path) == []


def test_ctrl_c_keeps_what_was_read(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(items=20_000, latency=0.1)
    code = (
        "import histkit as hk, sys; client = hk.HistoryClient(sys.argv[2], base_url=sys.argv[1]); "
        "hk.sync(sys.argv[3], client=client, workers=1)"
    )
    path = tmp_path / "history"
    process = subprocess.Popen([sys.executable, "-c", code, box.url, box.api_key, str(path)], stderr=subprocess.PIPE)
    while len(list(path.rglob("*.arrow"))) < 3:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in process.communicate()[1]
    box.set(latency=0)
    box.reset()
    with client_of(box) as client:
        df = hk.sync(path, client=client, progress=False, workers=1)
    assert df["history_item_id"].tolist() == [each["history_item_id"] for each in box.history()]
    assert len([each for each in box.requests() if each["path"] == "/v1/history"]) < 20


@pytest.mark.parametrize("items", [20_000, pytest.param(60_000, marks=pytest.mark.faults)])
def test_memory_does_not_grow_with_the_history(box_of: Callable[..., Sandbox], tmp_path: Path, items: int) -> None:
    box = box_of(items=items)
    code = (
        "import histkit as hk, sys; client = hk.HistoryClient(sys.argv[2], base_url=sys.argv[1]); "
        "hk.sync(sys.argv[3], client=client, diff=True, progress=False); "
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    arguments = [sys.executable, "-c", code, box.url, box.api_key, str(tmp_path)]
    peak = int(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
    assert peak < 320_000  # kB; pandas and pyarrow alone have some 130,000


def broken_rows() -> list[dict[str, Any]]:
    rows = [row(number, BASE - 10 * number, text=f"text {number}") for number in range(2500)]
    rows[3] = row(3, None)
    rows[7] = {**row(7, BASE - 70), "history_item_id": None}
    rows[9] = {**row(9, BASE - 90), "settings": {"stability": "high"}, "mood": {"a": 1}}
    return rows


def test_rows_that_break_the_form_are_kept_once(service: Any, tmp_path: Path) -> None:  # noqa: F811
    rows = broken_rows()

    def answer(query: dict[str, str]) -> dict[str, Any]:
        first, end = int(query.get("date_after_unix", -1)), int(query.get("date_before_unix", 10**12))
        places = {each["history_item_id"]: place for place, each in enumerate(rows)}
        after = places.get(query.get("start_after_history_item_id", ""), -1)
        found = [each for each in rows[after + 1 :] if each["date_unix"] is None or first <= each["date_unix"] < end]
        page = found[:1000]
        last = page[-1]["history_item_id"] if page else None
        return {"history": page, "has_more": len(found) > 1000, "last_history_item_id": last}

    client = service(answer)
    for full in (False, False, True):
        with pytest.warns(UserWarning, match="violate the API's schema"):
            df = hk.sync(tmp_path, client=client, full=full, progress=False, workers=1)
        assert len(df) == 2500
    assert df["date"].isna().sum() == df["history_item_id"].isna().sum() == 1
    assert json.loads(df.set_index("history_item_id").loc["id9", "extra"])["mood"] == {"a": 1}
    assert (tmp_path / "year=0/month=0/history.parquet").exists()
    assert len(hk.load(tmp_path, after="2000-01-01")) == 2499


def test_rows_that_a_listing_leaves_out_are_not_called_missing(service: Any, tmp_path: Path) -> None:  # noqa: F811
    rows = [row(number, BASE - 10 * number) for number in range(1500)]
    listed = list(rows)

    def answer(query: dict[str, str]) -> dict[str, Any]:
        if not query:  # a single item
            return rows[700]
        return paged(listed)(query)

    client = service(answer)
    hk.sync(tmp_path, client=client, progress=False)
    del listed[700:720]
    with pytest.raises(hk.PaginationError, match="Nothing was marked missing"):
        hk.sync(tmp_path, client=client, full=True, progress=False)
    assert hk.load(tmp_path)["missing_since"].isna().all()


def test_a_row_that_moves_to_another_month_is_not_there_twice(service: Any, tmp_path: Path) -> None:  # noqa: F811
    rows = [row(number, BASE - 86_400 * number) for number in range(100)]
    client = service(lambda query: paged(sorted(rows, key=lambda each: -each["date_unix"]))(query))
    hk.sync(tmp_path, client=client, progress=False)
    rows[60]["date_unix"] = BASE + 5
    df = hk.sync(tmp_path, client=client, full=True, progress=False)
    assert len(df) == 100
    assert df["history_item_id"].is_unique
    assert df["history_item_id"].iloc[0] == "id60"
