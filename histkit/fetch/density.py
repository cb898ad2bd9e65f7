"""Where to split a window so that an idle worker gets half of its remaining rows, by the density seen so far."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from histkit.api.pagination import PageWindow

_STEPS = 32


class RowDensity:
    """Rows per second over time, estimated from the pages seen: linear between them, constant beyond."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._rates: list[float] = []

    def add(self, dates: Sequence[int | None]) -> None:
        """Add the dates of one page."""
        known = [date for date in dates if date is not None]
        if not known:
            return
        oldest, newest = min(known), max(known)
        middle = (oldest + newest) / 2
        place = bisect_left(self._times, middle)
        self._times.insert(place, middle)
        self._rates.insert(place, len(known) / (newest - oldest + 1))

    def at(self, time: float) -> float:
        """Estimate the rows per second at a time."""
        if not self._times:
            return 0.0
        place = bisect_left(self._times, time)
        if place == 0:
            return self._rates[0]
        if place == len(self._times):
            return self._rates[-1]
        (left, right), (low, high) = self._times[place - 1 : place + 1], self._rates[place - 1 : place + 1]
        return low + (high - low) * (time - left) / (right - left) if right > left else low

    def rows(self, start: int, end: int) -> list[float]:
        """Estimate the rows in 32 equal steps of a span of seconds."""
        step = (end - start) / _STEPS
        return [self.at(start + (number + 0.5) * step) * step for number in range(_STEPS)]


def rows_remaining(window: PageWindow, density: RowDensity) -> float:
    """Estimate how many rows of a window have not been read."""
    span = _open_span(window)
    return sum(density.rows(*span)) if span else 0.0


def choose_split(window: PageWindow, density: RowDensity, coming: int) -> int | None:
    """Choose the second at which to split a window.

    Parameters
    ----------
    window : PageWindow
        A window with both ends known.
    density : RowDensity
        Estimate of the rows per second.
    coming : int
        Rows of the page that is already requested for this window.

    Returns
    -------
    int or None
        The newer part keeps the requested page and half of the rest. None if one part would be empty.
    """
    span = _open_span(window)
    if span is None:
        return None
    start, end = span
    steps = density.rows(start, end)
    older = (sum(steps) - coming) / 2  # rows of the older part
    width = (end - start) / _STEPS
    for number, rows in enumerate(steps):
        if rows >= older:
            at = start + round((number + (older / rows if rows else 0.0)) * width)
            return at if start < at < end else None
        older -= rows
    return None


def _open_span(window: PageWindow) -> tuple[int, int] | None:
    top = window.position + 1 if window.position is not None else window.before
    if window.after is None or top is None or top <= window.after:
        return None
    return window.after, top
