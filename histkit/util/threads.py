"""Worker threads that never delay Ctrl-C or the end of the process."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from histkit.util.background import check_stopped

J = TypeVar("J")
P = ParamSpec("P")
R = TypeVar("R")

_JOIN_SECONDS = 2.0  # how long an interrupted run waits for the requests in flight


class DaemonThreads:
    """Daemon threads, one per call; a thread that is blocked in a read is abandoned.

    Examples
    --------
    >>> threads = DaemonThreads()
    >>> threads.submit(pow, 2, 10).result()
    1024
    """

    def __init__(self) -> None:
        self._running: set[threading.Thread] = set()

    def submit(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Start a call in a new thread; its result or exception is the future's."""
        future: Future[R] = Future()

        def run() -> None:
            try:
                future.set_result(call(*args, **kwargs))
            except BaseException as error:  # raised by the future's `result`
                future.set_exception(error)
            finally:
                self._running.discard(thread)

        thread = threading.Thread(target=run, name="histkit", daemon=True)
        self._running.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the system has no further thread
            self._running.discard(thread)
            raise
        return future

    def join(self, seconds: float = _JOIN_SECONDS) -> None:
        """Wait for the threads to end, for at most `seconds` in total."""
        deadline = time.monotonic() + seconds
        for thread in tuple(self._running):
            with suppress(RuntimeError):  # Ctrl-C came while it was started
                thread.join(max(0.0, deadline - time.monotonic()))


def map_threads(
    work: Callable[[J], R], jobs: Sequence[J], workers: int, cancel: threading.Event, *, in_order: bool = False
) -> Generator[tuple[int, R], None, None]:
    """Call a function for each job in worker threads; yield the number of each job and its result.

    At most twice as many jobs as threads are started and not yet consumed. The first exception of a job ends the
    iteration and is raised; so does `Cancelled`, where the watch of the iterating thread is stopped. However the
    iteration ends, `cancel` is set, and it waits for the threads for two seconds at most.

    Parameters
    ----------
    work : callable
        Takes a job.
    jobs : sequence
        The jobs.
    workers : int
        Threads, 1 or more.
    cancel : threading.Event
        Set it to start no further job.
    in_order : bool
        Yield results in the order of the jobs; by default as they are ready.

    Examples
    --------
    >>> list(map_threads(abs, [-3, 4], 2, threading.Event(), in_order=True))
    [(0, 3), (1, 4)]
    """
    results: queue.SimpleQueue[tuple[int, Any, BaseException | None]] = queue.SimpleQueue()
    ahead = threading.Semaphore(2 * workers)
    numbers, drawing = iter(range(len(jobs))), threading.Lock()

    def run() -> None:
        while True:
            ahead.acquire()
            with drawing:
                number = None if cancel.is_set() else next(numbers, None)
            if number is None:
                ahead.release()
                return
            try:
                results.put((number, work(jobs[number]), None))
            except BaseException as error:  # raised in the waiting thread
                results.put((number, None, error))
                return

    threads, count = DaemonThreads(), min(workers, len(jobs))
    try:
        for _ in range(count):
            threads.submit(run)
        ready: dict[int, R] = {}
        due = 0
        for _ in jobs:
            number, result, error = _next(results)
            if error is not None:
                raise error
            ready[number] = result
            while (due if in_order else number) in ready:
                current = due if in_order else number
                yield current, ready.pop(current)
                due += 1
                ahead.release()
    finally:
        cancel.set()
        ahead.release(count or 1)
        threads.join()


def _next(results: queue.SimpleQueue[Any]) -> tuple[int, Any, BaseException | None]:
    while True:
        check_stopped()
        try:
            result: tuple[int, Any, BaseException | None] = results.get(timeout=0.5)  # Windows: Ctrl-C needs the pause
        except queue.Empty:
            continue
        return result
