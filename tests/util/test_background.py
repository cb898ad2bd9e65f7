"""Work that another thread watches: progress, warnings, and a stop at any step."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

import histkit as hk
from histkit.util.background import Cancelled, Watch, check_stopped, report_progress, stoppable, watched
from histkit.util.callers import warn_caller
from histkit.util.threads import map_threads


def test_a_thread_without_a_watch_is_not_stopped() -> None:
    watch = Watch(lambda *_: None)
    watch.stop.set()
    stopped: list[str] = []

    def other() -> None:
        check_stopped()
        report_progress(1, 2)
        stopped.append("not")

    with watched(watch):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        for stops in (check_stopped, lambda: report_progress(1, 2), lambda: list(stoppable("abc"))):
            with pytest.raises(Cancelled):
                stops()
    check_stopped()
    assert stopped == ["not"]


def test_a_stop_ends_threads_that_wait_for_an_answer() -> None:
    watch, cancel, answer = Watch(lambda *_: None), threading.Event(), threading.Event()

    def work(job: int) -> int:
        if job == 1:
            watch.stop.set()
            answer.wait(30)
        return job

    with watched(watch), pytest.raises(Cancelled):
        list(map_threads(work, range(5), 2, cancel))
    assert cancel.is_set()
    answer.set()


def test_warnings_reach_the_watch_or_the_caller() -> None:
    watch = Watch(lambda *_: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with watched(watch):
            warn_caller("nobody there")
    assert watch.warnings == ["nobody there"]
    with pytest.warns(UserWarning, match="somebody"):
        warn_caller("somebody")


@pytest.mark.parametrize(("write", "name"), [(hk.to_csv, "rows.csv"), (hk.to_parquet, "rows.parquet")])
def test_a_stopped_export_leaves_the_old_file(write: Any, name: str, tmp_path: Path) -> None:
    df = hk.sample_history(300)
    old = write(df.head(5), tmp_path / name).read_bytes()
    steps: list[tuple[int, int, int]] = []
    watch = Watch(lambda *step: steps.append(step))
    watch.stop.set()
    with watched(watch), pytest.raises(Cancelled):
        write(df, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == old
    watch.stop.clear()
    with watched(watch):
        write(df, tmp_path / name)
    assert (tmp_path / name).read_bytes() == write(df, tmp_path / f"other {name}").read_bytes()
    if write is hk.to_csv:
        assert steps[-1] == (300, 300, 0)
