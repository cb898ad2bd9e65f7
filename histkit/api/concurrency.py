"""A limit on requests in flight that shrinks when the service refuses and grows back after successes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from histkit.errors import TransportError


class AdaptiveLimit:
    """The number of requests that may be in flight.

    A refusal for concurrency halves the limit (or undoes the last step up), never below one; a run of successes adds
    one, up to the ceiling. Refusals of requests that began before the last cut are ignored.

    Parameters
    ----------
    ceiling : int
        Maximum of requests in flight.

    Examples
    --------
    >>> limit = AdaptiveLimit(4)
    >>> with limit.slot() as slot:
    ...     slot.refused()
    >>> limit.current
    2
    """

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.current = ceiling
        self.in_flight = 0
        self._epoch = 0
        self._streak = 0
        self._stepped_up = False
        self._not_before = 0.0
        self._changed = threading.Condition()

    def slot(self, cancel: threading.Event | None = None) -> Slot:
        """Wait for a free slot and occupy it.

        Raises
        ------
        TransportError
            `cancel` was set.
        """
        with self._changed:
            while True:
                if cancel is not None and cancel.is_set():
                    raise TransportError("The request was cancelled before it was sent.")
                wait = self._not_before - time.monotonic()
                if self.in_flight < self.current and wait <= 0:
                    self.in_flight += 1
                    return Slot(self, self._epoch)
                self._changed.wait(min(wait if wait > 0 else 60.0, 60.0 if cancel is None else 0.2))

    def pause(self, seconds: float) -> None:
        """Delay new requests by the number of seconds that the service requested, at most 60."""
        with self._changed:
            self._not_before = max(self._not_before, time.monotonic() + min(seconds, 60.0))

    def _release(self) -> None:
        with self._changed:
            self.in_flight -= 1
            self._changed.notify_all()

    def _shrink(self, epoch: int) -> None:
        with self._changed:
            self._streak = 0
            if epoch == self._epoch:
                self._epoch += 1
                self.current = max(1, self.current - 1 if self._stepped_up else self.current // 2)
                self._stepped_up = False

    def _grow(self) -> None:
        with self._changed:
            self._streak += 1
            if self._streak >= 4 * self.current and self.current < self.ceiling:
                self._streak = 0
                self._stepped_up = True
                self.current += 1
                self._changed.notify_all()


class Slot:
    """A place among the requests in flight; `release` or the end of the ``with`` block frees it."""

    def __init__(self, limit: AdaptiveLimit, epoch: int) -> None:
        self._limit = limit
        self._epoch = epoch
        self._held = True

    def succeeded(self) -> None:
        """Record a success, after a run of which the limit grows."""
        self._limit._grow()

    def refused(self) -> None:
        """Record a refusal for concurrency, after which the limit shrinks."""
        self._limit._shrink(self._epoch)

    def release(self) -> None:
        """Free the slot; a second call does nothing."""
        if self._held:
            self._held = False
            self._limit._release()

    @contextmanager
    def on_error(self) -> Iterator[None]:
        """Release the slot if the block raises, keep it otherwise."""
        try:
            yield
        except BaseException:
            self.release()
            raise

    def __enter__(self) -> Slot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
