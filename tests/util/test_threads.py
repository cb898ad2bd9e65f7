"""The worker pool: every result once, in order if asked, and never in the way of an interruption."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histkit.util.threads import DaemonThreads, map_threads


@given(st.lists(st.integers(), max_size=60), st.integers(1, 9), st.booleans())
def test_each_job_gives_its_result_once(jobs: list[int], workers: int, in_order: bool) -> None:
    results = list(map_threads(lambda job: -job, jobs, workers, threading.Event(), in_order=in_order))
    assert sorted(results) == [(number, -job) for number, job in enumerate(jobs)]
    if in_order:
        assert [number for number, _ in results] == list(range(len(jobs)))


def test_no_more_jobs_are_started_than_workers_and_twice_as_many_ahead() -> None:
    running = most = started = 0
    lock = threading.Lock()

    def work(_: int) -> None:
        nonlocal running, most, started
        with lock:
            running, started = running + 1, started + 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1

    with closing(map_threads(work, range(100), 3, threading.Event())) as results:
        for consumed, _ in enumerate(results, 1):
            assert started <= consumed + 2 * 3 + 1
    assert most == 3


def test_the_first_exception_ends_it_and_no_job_is_started_after() -> None:
    cancel, started = threading.Event(), []

    def work(job: int) -> int:
        started.append(job)
        if job == 5:
            raise KeyError(job)
        return job

    with pytest.raises(KeyError):
        list(map_threads(work, range(1000), 2, cancel))
    assert cancel.is_set()
    count = len(started)
    time.sleep(0.1)
    assert len(started) == count < 100


def test_leaving_early_waits_for_no_thread_that_hangs() -> None:
    hanging, cancel = threading.Event(), threading.Event()
    results = map_threads(lambda job: job or hanging.wait(60), [1, 0], 2, cancel)
    assert next(results) == (0, 1)
    results.close()
    assert cancel.is_set()
    assert not hanging.is_set()
    hanging.set()


def test_a_call_in_a_thread_has_its_result_or_its_exception() -> None:
    threads = DaemonThreads()
    good, bad = threads.submit(int, "12", base=8), threads.submit(int, "x")
    assert good.result() == 10
    with pytest.raises(ValueError, match="invalid literal"):
        bad.result()
    threads.join()
    assert not threads._running


def test_a_thread_that_ctrl_c_kept_from_starting_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    threads = DaemonThreads()
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(KeyboardInterrupt):
        threads.submit(pow, 2, 10)
    monkeypatch.undo()
    threads.join()


def test_the_end_of_the_process_waits_for_no_thread() -> None:
    code = "import threading, histkit.util.threads as t; t.DaemonThreads().submit(threading.Event().wait)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
