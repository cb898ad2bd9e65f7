"""Periods along an axis of time: how long they are, where they start, what they are called."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from itertools import pairwise

import numpy as np

from histkit.frame.clock import SECOND, is_repeated, iso, iso_in_range, wall_time
from histkit.usage.buckets import bucket, edges
from histkit.usage.periods import parse_freq
from histkit.util.arrays import Ints

FREQS = {"h": 3600, "D": 86_400, "W": 7 * 86_400, "MS": 30 * 86_400, "QS": 91 * 86_400, "YS": 365 * 86_400}  # seconds


@dataclass(frozen=True)
class TimeAxis:
    """Consecutive periods.

    Attributes
    ----------
    freq : str
        Their length, one of `FREQS`.
    edges : int64 array
        The start of each period and the end of the last, microseconds since 1970.
    zone : tzinfo
        The zone of the days.
    """

    freq: str
    edges: Ints
    zone: tzinfo

    @property
    def seconds(self) -> list[int]:
        """The edges in seconds since 1970."""
        return [int(edge) for edge in self.edges // SECOND]

    def labels(self) -> list[str]:
        """Return the name of each period."""
        return [_label(second, self.freq, self.zone) for second in self.seconds[:-1]]

    def bounds(self) -> list[tuple[str, str]]:
        """Return the first instant of each period and that of the next, in ISO 8601."""
        texts = [iso_in_range(second, self.zone) for second in self.seconds]
        return list(pairwise(texts))

    def places(self, instants: Ints) -> Ints:
        """Return the number of the period of each instant; the instants must be within the axis."""
        return np.searchsorted(self.edges, instants, side="right") - 1


def time_axis(first: int, last: int, freq: str, zone: tzinfo) -> TimeAxis:
    """Return the periods from that of one instant to that of another, in microseconds."""
    length = parse_freq(freq)
    _, starts = bucket(np.array([first, last], np.int64), length, zone)
    return TimeAxis(freq, edges(np.sort(starts), length, zone), zone)


def number_of_periods(first: int, last: int, freq: str) -> float:
    """Return about how many periods are between two instants in microseconds."""
    return (last - first) / SECOND / FREQS[freq] + 1


def shortest_freq(first: int, last: int, most: int) -> str | None:
    """Return the shortest period of which at most so many are between two instants; None if there is none."""
    return next((freq for freq in FREQS if number_of_periods(first, last, freq) <= most), None)


def _label(second: int, freq: str, zone: tzinfo) -> str:
    try:
        wall = wall_time(second, zone)
    except OverflowError:
        return "?"
    if freq == "h":
        return f"{wall:%Y-%m-%d %H:%M}" + (f" {iso(second, zone)[-6:]}" if is_repeated(wall, zone) else "")
    if freq == "QS":
        return f"{wall.year:04}-Q{(wall.month + 2) // 3}"
    return {"D": f"{wall:%Y-%m-%d}", "W": f"week of {wall:%Y-%m-%d}", "MS": f"{wall:%Y-%m}"}.get(
        freq, f"{wall.year:04}"
    )
