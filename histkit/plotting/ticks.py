"""Ticks that fit the axes: as many as have room for their labels, whatever size the axes are drawn in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.dates import date2num
from matplotlib.ticker import EngFormatter, Formatter, Locator, MaxNLocator

from histkit.frame.clock import DAY, FIRST_DAY, LAST_DAY, timestamps
from histkit.plotting.fit import inches_of
from histkit.plotting.measure import Font
from histkit.usage.buckets import edges
from histkit.usage.periods import Freq
from histkit.util.arrays import Floats, Ints

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_GAP = 0.08  # inches between labels
_MOST = 12
_STEPS = (
    *((Freq("h", hours), 1) for hours in (1, 2, 3, 6, 12)),
    *((Freq("D"), days) for days in (1, 2, 3)),
    *((Freq("W"), weeks) for weeks in (1, 2)),
    *((Freq("M", months), 1) for months in (1, 2, 3, 6)),
    *((Freq("M", 12), years) for years in (1, 2, 5, 10, 20, 50, 100)),
)


def put_count_ticks(axis: Axis, size: float) -> None:
    """Put ticks at round whole numbers, labelled as in "2.5k", along an axis that starts at 0."""
    axis.set_major_locator(_CountTicks(size))
    axis.set_major_formatter(EngFormatter(sep=""))


class _CountTicks(MaxNLocator):
    def __init__(self, size: float) -> None:
        super().__init__(nbins=6, integer=True, steps=[1, 2, 2.5, 5, 10])
        self._size = size

    def tick_values(self, vmin: float, vmax: float) -> Any:
        axis: Any = self.axis
        upright = axis.axis_name == "y"
        inches = inches_of(axis.axes)[upright]
        label = 2 * self._size / 72 if upright else Font(self._size, axis.figure.dpi).width("2.50M") + _GAP
        self.set_params(nbins=int(np.clip(inches / label, 1, 6)))
        return super().tick_values(vmin, vmax)


def put_index_ticks(axis: Axis, labels: Sequence[str], steps: Sequence[int], size: float) -> None:
    """Put ticks at 0, 1, ..., or at every second, third, ... of these (`steps`), so that the labels have room."""
    axis.set_major_locator(_IndexTicks(labels, steps, size))
    axis.set_major_formatter(_Labels(dict(enumerate(labels))))


class _IndexTicks(Locator):
    def __init__(self, labels: Sequence[str], steps: Sequence[int], size: float) -> None:
        self._labels, self._steps, self._size = labels, steps, size

    def __call__(self) -> Any:
        axis: Any = self.axis
        upright = axis.axis_name == "y"
        room = inches_of(axis.axes)[upright] / len(self._labels)
        widest = max(map(Font(self._size, axis.figure.dpi).width, self._labels)) + _GAP
        need = 1.3 * self._size / 72 if upright else widest
        step = next((step for step in self._steps if step * room >= need), self._steps[-1])
        return self.tick_values(0, step)

    def tick_values(self, vmin: float, vmax: float) -> Any:
        return np.arange(0, len(self._labels), int(vmax))


class _Labels(Formatter):
    def __init__(self, labels: dict[float, str]) -> None:
        self.labels = labels

    def __call__(self, x: float, pos: int | None = None) -> str:
        return self.labels.get(x, "")


def put_period_ticks(ax: Axes, bounds: Ints, length: Freq, zone: tzinfo, size: float) -> None:
    """Put a tick in the middle of each of few periods, or of every second, third, ...; `bounds` are their edges."""
    _put_dates(ax, _PeriodTicks(bounds, length, zone, size))


def put_calendar_ticks(ax: Axes, zone: tzinfo, size: float) -> None:
    """Put ticks at the starts of hours, days, weeks, months or years, as the room for their labels has it."""
    _put_dates(ax, _CalendarTicks(zone, size))


def _put_dates(ax: Axes, ticks: _DateTicks) -> None:
    ax.xaxis.set_major_locator(ticks)
    ax.xaxis.set_major_formatter(_DateLabels(ticks))


class _DateTicks(Locator):
    """Ticks on a time axis, with the labels that fit between them."""

    def __init__(self, zone: tzinfo, size: float) -> None:
        self.zone, self.size = zone, size
        self.shown: dict[float, str] = {}

    def __call__(self) -> Any:
        axis: Any = self.axis
        return self.tick_values(*sorted(axis.get_view_interval()))

    def tick_values(self, vmin: float, vmax: float) -> Any:
        axis: Any = self.axis
        per_day = inches_of(axis.axes)[0] / max(vmax - vmin, 1e-9)
        places, labels = self.choose(vmin, vmax, per_day)
        self.shown = dict(zip(places.tolist(), labels, strict=True))
        return places

    @abstractmethod
    def choose(self, low: float, high: float, per_day: float) -> tuple[Floats, list[str]]:
        """Return the ticks between two days, and their labels, with `per_day` inches from one day to the next."""

    def fits(self, places: Floats, labels: Sequence[str], per_day: float) -> bool:
        """Return whether no label touches the next."""
        axis: Any = self.axis
        font = Font(self.size, axis.figure.dpi)
        widths = np.array([max(map(font.width, label.split("\n"))) for label in labels])
        return bool((np.diff(places) * per_day >= (widths[:-1] + widths[1:]) / 2 + _GAP).all())


class _PeriodTicks(_DateTicks):
    def __init__(self, bounds: Ints, length: Freq, zone: tzinfo, size: float) -> None:
        super().__init__(zone, size)
        self._starts, self._length = bounds[:-1], length
        days = matplotlib_days(bounds)
        self._middles = (days[:-1] + days[1:]) / 2

    def choose(self, low: float, high: float, per_day: float) -> tuple[Floats, list[str]]:
        for every in range(1, len(self._starts) + 1):
            places = self._middles[::every]
            labels = _tick_labels(self._starts[::every], self._length, self.zone)
            if self.fits(places, labels, per_day):
                break
        return places, labels


class _CalendarTicks(_DateTicks):
    def choose(self, low: float, high: float, per_day: float) -> tuple[Floats, list[str]]:
        first, last = (_instant(day) for day in (low, high))
        one: tuple[Floats, list[str]] = np.empty(0), []
        for length, every in _STEPS:
            if (last - first) / (length.usual_length() * every) > 2 * _MOST:
                continue
            starts = edges(np.array([first, last]), length, self.zone)[:-1]
            starts = starts[starts > first][: -1 if starts[-1] == last else None]
            starts = _every(starts, length, every, self.zone)
            places = matplotlib_days(starts)
            labels = _tick_labels(starts, length if length.count == 12 else replace(length, count=1), self.zone)
            if len(starts) <= _MOST and self.fits(places, labels, per_day):
                return places, labels
            if len(starts):
                one = places[:1], labels[:1]
        return one


class _DateLabels(Formatter):
    def __init__(self, ticks: _DateTicks) -> None:
        self._ticks = ticks

    def __call__(self, x: float, pos: int | None = None) -> str:
        if x in self._ticks.shown:
            return self._ticks.shown[x]
        return f"{timestamps(np.array([_instant(x)]), self._ticks.zone)[0]:%Y-%m-%d %H:%M}"


def matplotlib_days(instants: Ints) -> Floats:
    """Convert microseconds since 1970 to matplotlib's dates: days since its epoch."""
    days: Floats = np.asarray(date2num(instants.astype("datetime64[us]")))  # type: ignore[no-untyped-call]
    return days


def _instant(day: float) -> int:
    """Convert matplotlib's date to microseconds since 1970, in the years 1 to 9999."""
    days = day - float(matplotlib_days(np.zeros(1, np.int64))[0])
    return int(np.clip(days, FIRST_DAY + 400, LAST_DAY - 400) * DAY)


def _every(starts: Ints, length: Freq, every: int, zone: tzinfo) -> Ints:
    """Return every second, third, ... start; of years, those that `every` divides."""
    if length.unit != "M" or every == 1:
        return starts[::every]
    divided: Ints = starts[np.array([start.year % every == 0 for start in timestamps(starts, zone)], bool)]
    return divided


def _tick_labels(starts: Ints, length: Freq, zone: tzinfo) -> list[str]:
    """Label each period by its start, with day, month or year on a second line where that changes."""
    labels, previous = [], ""
    for start in timestamps(starts, zone):
        first, second = _tick_label(start, length)
        labels.append(first if second == previous else f"{first}\n{second}")
        previous = second
    return labels


def _tick_label(start: pd.Timestamp, length: Freq) -> tuple[str, str]:
    day = f"{start.day} {start:%b}"
    if length.unit == "h":
        return f"{start:%H:%M}", f"{day} {start.year}"
    if length.unit == "M" and length.count == 12 and length.anchor == 0:
        return f"{start.year}", ""
    if length.unit == "M" and length.count == 3 and length.anchor == 0:
        return f"Q{start.quarter}", f"{start.year}"
    return (f"{start:%b}" if length.unit == "M" else day), f"{start.year}"
