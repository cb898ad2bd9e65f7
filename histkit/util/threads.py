"""A pool of worker threads that can be interrupted."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, TypeVar

J = TypeVar("J")


R = TypeVar("R")


_LEAVE_SECONDS = 2.0  # how long an interrupted pull waits for the requests in flight


def map_threads(
    work: Callable[[J], R], jobs: Sequence[J], workers: int, cancel: threading.Event, *, in_order: bool = False
) -> Generator[tuple[int, R], None, None]:
    """Do jobs in threads and give number and result of each as it ends, or in their order.

    At most twice as many jobs as threads are begun and not yet consumed. The first exception of a job ends all and is
    raised. However the iteration ends, `cancel` is set, and no thread is waited for longer than two seconds: they are
    daemons, and one that hangs in a read must not hold up Ctrl-C.
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
            except BaseException as error:  # handed to the thread that waits
                results.put((number, None, error))
                return

    threads = [threading.Thread(target=run, name="histkit", daemon=True) for _ in range(min(workers, len(jobs)))]
    try:
        for thread in threads:
            thread.start()
        held: dict[int, R] = {}
        due = 0
        for _ in jobs:
            number, result, error = _next(results)
            if error is not None:
                raise error
            held[number] = result
            while (due if in_order else number) in held:
                given = due if in_order else number
                yield given, held.pop(given)
                due += 1
                ahead.release()
    finally:
        cancel.set()
        ahead.release(len(threads) or 1)
        join_threads(threads)


def join_threads(threads: Iterable[threading.Thread], seconds: float = _LEAVE_SECONDS) -> None:
    """Wait for threads to end, for so many seconds together at most."""
    deadline = time.monotonic() + seconds
    for thread in tuple(threads):
        thread.join(max(0.0, deadline - time.monotonic()))


def _next(results: queue.SimpleQueue[Any]) -> tuple[int, Any, BaseException | None]:
    while True:
        try:
            result: tuple[int, Any, BaseException | None] = results.get(timeout=0.5)  # Windows: Ctrl-C needs the pause
        except queue.Empty:
            continue
        return result
