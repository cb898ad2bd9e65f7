"""The histogram or bars in the heading of a column: how the rows that pass all other filters are distributed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histkit.frame.clock import SECOND, zone_of
from histkit.frame.columns import factorize, float_numbers, whole_numbers
from histkit.frame.dates import instants_of
from histkit.frame.keys import rows_checked
from histkit.frame.names import fold_name
from histkit.notebook.columns import TableColumn
from histkit.notebook.time_axis import TimeAxis, shortest_freq, time_axis
from histkit.usage.table import usage_table
from histkit.util.arrays import Ints, Mask
from histkit.util.text import escape_surrogates, format_value, one_line_text

_MOST_BINS, _MOST_BARS = 40, 100
_FOLDED = ("model", "source")  # filters that match in any letter case
_CROWDED = 0.75  # share of the rows in one bin from which bins grow by factors
_HUGE = 1e300
_LARGEST = 2**52  # integers that a browser's numbers hold, with room for an edge


@dataclass(frozen=True)
class Histogram:
    """Bins of a column: the bin of each row (-1: missing), the edges, labels, and the bounds that filter one bin."""

    codes: Ints
    edges: list[Any]
    labels: list[str]
    bounds: list[tuple[Any, Any]] | None

    @cached_property
    def _every(self) -> list[int]:
        return _counts(self.codes, None, len(self.labels))

    def message(self, rows: Mask) -> dict[str, Any]:
        """Return the counts of some rows, and of all, as JSON values."""
        every = self._every
        counts = every if rows.all() else _counts(self.codes, rows, len(self.labels))
        return {
            "kind": "histogram",
            "edges": self.edges,
            "labels": self.labels,
            "bounds": self.bounds,
            "counts": counts[:-1],
            "all": every[:-1],
            "missing": counts[-1],
        }


@dataclass(frozen=True)
class Bars:
    """Values of a column: the code of each row (-1: missing), the values as filters take them, and their labels."""

    codes: Ints
    values: list[str]
    labels: list[str]

    @cached_property
    def _every(self) -> list[int]:
        return _counts(self.codes, None, len(self.values))

    def message(self, rows: Mask) -> dict[str, Any]:
        """Return the counts of some rows, and of all, as JSON values."""
        every = self._every
        counts = every if rows.all() else _counts(self.codes, rows, len(self.values))
        order = sorted(range(len(self.values)), key=lambda place: -every[place])[:_MOST_BARS]
        shown = [
            {"value": self.values[place], "label": self.labels[place], "count": counts[place], "all": every[place]}
            for place in order
        ]
        other = {
            name: sum(numbers[:-1]) - sum(numbers[place] for place in order)
            for name, numbers in (("count", counts), ("all", every))
        }
        return {"kind": "bars", "values": shown, "other": other, "missing": counts[-1]}


def profile(frame: pd.DataFrame, column: TableColumn, tz: str, voices: dict[str, str]) -> Histogram | Bars:
    """Return the bins or values of a column, from all rows of the frame.

    Parameters
    ----------
    frame : DataFrame
        All rows.
    column : TableColumn
        One that has a profile.
    tz : str
        The zone of the days.
    voices : dict
        The label of each voice by its id.
    """
    if column.kind == "date":
        return _date_bins(*instants_of(frame[column.name]), tz)
    if column.kind in ("count", "number", "seconds"):
        return _number_bins(frame[column.name], column)
    source = frame["voice_id"] if column.filter == "voice" else frame[column.name]
    codes, values = factorize(source)
    used = np.flatnonzero(np.bincount(codes + 1, minlength=len(values) + 1)[1:]).tolist()
    bars: dict[str, int] = {}  # by what the filter compares
    texts: list[str] = []
    recoded = np.full(len(values) + 1, -1, np.int64)
    for place in used:
        text = escape_surrogates(str(values[place]))
        recoded[place] = bars.setdefault(fold_name(text) if column.filter in _FOLDED else text, len(bars))
        if len(bars) > len(texts):
            texts.append(text)
    labels = [one_line_text(voices.get(text, text) if column.filter == "voice" else text) for text in texts]
    return Bars(recoded[codes], texts, labels)


def voice_labels(frame: pd.DataFrame) -> dict[str, str]:
    """Return the label of each voice by its id: its latest name, as in usage tables."""
    with rows_checked():
        facts = usage_table(frame, "voice").attrs["histkit"]
    return {voice_id: label for label, voice_id in facts["voices"].items() if voice_id is not None}


def _counts(codes: Ints, rows: Mask | None, size: int) -> list[int]:
    """Return the number of rows with each code, and last that of the rows without one."""
    counts = np.bincount((codes if rows is None else codes[rows]) + 1, minlength=size + 1).tolist()
    return [*counts[1:], counts[0]]


def _coded(values: NDArray[Any], edges: list[Any], known: Mask) -> Ints:
    codes = np.searchsorted(np.array(edges, values.dtype), values, side="right") - 1
    return np.where(known, np.maximum(codes, 0), -1)


def _date_bins(instants: Ints, known: Mask, tz: str) -> Histogram:
    if not known.any():
        return Histogram(np.full(len(known), -1), [], [], [])
    first, last, zone = int(instants[known].min()), int(instants[known].max()), zone_of(tz)
    freq = shortest_freq(first, last, _MOST_BINS)
    if freq is None:  # centuries
        step = ((last - first) // SECOND // _MOST_BINS + 1) * SECOND
        start = first // SECOND * SECOND
        axis = TimeAxis("D", np.arange(start, last + step + 1, step), zone)
    else:
        axis = time_axis(first, last, freq, zone)
    codes = np.where(known, axis.places(instants), -1)
    return Histogram(codes, axis.seconds, axis.labels(), axis.bounds())


def _number_bins(column: pd.Series, kind: TableColumn) -> Histogram:
    numbers: NDArray[Any]
    if kind.kind == "count":
        numbers, known = whole_numbers(column)
    else:
        numbers = float_numbers(column)
        known = np.abs(numbers) < _HUGE  # false for NaN, too
    if not known.any():
        return Histogram(np.full(len(known), -1), [], [], [])
    low, high = numbers[known].min().item(), numbers[known].max().item()
    is_whole = isinstance(low, int) and -_LARGEST < low <= high < _LARGEST
    if not is_whole:
        numbers, low, high = numbers.astype(float), float(low), float(high)
    edges = _even_edges(low, high)
    codes = _coded(numbers, edges, known)
    crowded = np.bincount(codes[known]).max() > _CROWDED * np.count_nonzero(known)
    if is_whole and crowded and low >= 0 and high - low >= _MOST_BINS:
        edges = _growing_edges(high)
        codes = _coded(numbers, edges, known)
    pairs = list(pairwise(edges))
    if not is_whole:
        return Histogram(codes, edges, [f"{_number(start)} to {_number(end)}" for start, end in pairs], None)
    bounds = [(start, end - 1) for start, end in pairs]
    labels = [_number(start) if start == end else f"{_number(start)} to {_number(end)}" for start, end in bounds]
    return Histogram(codes, edges, labels, bounds if kind.filter else None)


def _number(value: float) -> str:
    return format_value(value, "count") if isinstance(value, int) else format_value(float(f"{value:.6g}"), "money")


def _even_edges(low: Any, high: Any) -> list[Any]:
    """Return round edges at even distances; the first is not above `low`, and the last is above `high`."""
    width = (high - low) / _MOST_BINS
    if isinstance(low, int):
        step: Any = next(step for step in _round_numbers(0) if step > width)
        first = low // step * step
        return [first + place * step for place in range((high - first) // step + 2)]
    if not width > 0 or width < 1e-9 * max(abs(low), abs(high)):
        width = max(abs(high), 1.0) / _MOST_BINS
    step = next(step for step in _round_numbers(math.floor(math.log10(width))) if step > width)
    first = math.floor(low / step)
    first -= first * step > low  # rounded up
    edges = [round(place * step, 12) if step > 1e-9 else place * step for place in range(first, first + _MOST_BINS + 3)]
    return edges[: next(place for place, edge in enumerate(edges) if edge > high) + 1]


def _growing_edges(high: int) -> list[int]:
    """Return the edges 0, 1, 2, 5, 10, 20, ... up to the first above `high`."""
    edges = [0]
    for number in _round_numbers(0):
        edges.append(int(number))
        if number > high:
            break
    return edges


def _round_numbers(exponent: int) -> Iterator[Any]:
    """Yield 1, 2, 5, 10, ... times a power of ten; ints from exponent 0."""
    while True:
        for digit in (1, 2, 5):
            yield digit * 10**exponent if exponent >= 0 else digit / 10**-exponent
        exponent += 1
