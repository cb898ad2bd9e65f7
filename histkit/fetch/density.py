"""Where to split a window so that an idle worker gets half of its remaining pages, by the density seen so far."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

from histkit.api.pagination import PageWindow

_STEPS = 32
_GAP_ROWS = 250
_BEGAN = 1_640_995_200  # 2022-01-01; no history of the service is older
_LEAST = 1.2  # pages that remain: of fewer, two parts would probably take a request more


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
        self._insert((oldest + newest) / 2, len(known) / (newest - oldest + 1))

    def add_gap(self, start: int, end: int) -> None:
        """Add a span of seconds without rows, unless it is as short as one between neighbours."""
        if start == end or self.at(start) * (end - start) > _GAP_ROWS:
            self._insert(start, 0.0)
            self._insert(end, 0.0)

    def _insert(self, time: float, rate: float) -> None:
        place = bisect_left(self._times, time)
        self._times.insert(place, time)
        self._rates.insert(place, rate)

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
        The newer part keeps the requested page and half of the pages that follow, or one more. None if there are not
        enough rows, or one part would be empty.
    """
    span = _open_span(window)
    if span is None:
        return None
    start, end = span
    steps = density.rows(start, end)
    rest = (sum(steps) - coming) / window.page_size
    if rest < _LEAST:
        return None
    pages = math.ceil(rest)
    older = rest * (pages // 2) / pages * window.page_size  # rows of the older part
    width = (end - start) / _STEPS
    for number, rows in enumerate(steps):
        if rows >= older:
            at = start + round((number + (older / rows if rows else 0.0)) * width)
            return at if start < at < end else None
        older -= rows
    return None


def choose_stride(window: PageWindow, steps: int) -> float:
    """Return the factor by which to look further back, step by step, from a first page to the beginning of the service.

    Parameters
    ----------
    window : PageWindow
        The newest window, of which the first page has been read.
    steps : int
        In so many steps the beginning is reached.
    """
    if window.newest is None or window.position is None or window.newest <= _BEGAN:
        return 2.0
    page = window.newest - window.position + 1
    return float(min(max(((window.newest - _BEGAN) / page) ** (1 / steps), 2), 16))


def choose_reach(window: PageWindow, first: PageWindow, stride: float) -> int | None:
    """Choose the second at which to split a window whose oldest row is not known.

    Parameters
    ----------
    window, first : PageWindow
        The oldest window, and the newest, of which a page has been read.
    stride : float
        How many times as far back as the oldest window's top.

    Returns
    -------
    int or None
        None before the beginning of the service.
    """
    top = window.position if window.position is not None else window.before
    if top is None or first.newest is None or top <= _BEGAN:
        return None
    return first.newest - math.ceil(stride * (first.newest - top + 1))


def _open_span(window: PageWindow) -> tuple[int, int] | None:
    top = window.position + 1 if window.position is not None else window.before
    if window.after is None or top is None or top <= window.after:
        return None
    return window.after, top
