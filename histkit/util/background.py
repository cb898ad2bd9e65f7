"""Work that another thread watches: its progress, its warnings, and a stop that ends it as Ctrl-C does.

A background job calls a public function within `watched`. The loops that take long call `report_progress` or
`check_stopped` in the thread of the caller, and these find the watch of their thread; elsewhere they do nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")
Report = Callable[[int, int, int], None]
_CHECKED_ITEMS = 1000  # a check costs a tenth of a microsecond, and so do the shortest steps


class Cancelled(Exception):
    """The work was stopped; the result of its thread is dropped."""


@dataclass(frozen=True)
class Watch:
    """What the work of a thread reports to, and what stops it.

    Attributes
    ----------
    report : callable
        Takes the units that are done, all units, and the bytes so far. Called in the thread of the work.
    stop : threading.Event
        Set it, in any thread, to have the work end with `Cancelled`; files that are incomplete are removed.
    warnings : list of str
        What the work would have warned of.
    """

    report: Report
    stop: threading.Event = field(default_factory=threading.Event)
    warnings: list[str] = field(default_factory=list)


_watch: ContextVar[Watch | None] = ContextVar("histkit_watch", default=None)


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Have a watch for the work that this thread does in the block."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


def check_stopped() -> None:
    """Raise `Cancelled` if the watch of this thread says so."""
    watch = _watch.get()
    if watch is not None and watch.stop.is_set():
        raise Cancelled


def stoppable(items: Iterable[T]) -> Iterator[T]:
    """Yield the items of a long loop; raise `Cancelled` before one of them if the watch of this thread says so."""
    for number, item in enumerate(items):
        if not number % _CHECKED_ITEMS:
            check_stopped()
        yield item


def report_progress(done: int, total: int, size: int = 0) -> None:
    """Report to the watch of this thread; raise `Cancelled` if it says so.

    Examples
    --------
    >>> with watched(Watch(print)):
    ...     report_progress(3, 10, 4096)
    3 10 4096
    """
    check_stopped()
    watch = _watch.get()
    if watch is not None:
        watch.report(done, total, size)


def take_warning(message: str) -> bool:
    """Return whether the watch of this thread takes a warning, as nobody reads the output of a background job."""
    watch = _watch.get()
    if watch is not None:
        watch.warnings.append(message)
    return watch is not None
