"""Periods of a table that the options of the command line cut: a part of a month is no month."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, tzinfo

import numpy as np
import pandas as pd

from histkit.cli.common import DateBounds
from histkit.frame.clock import SECOND, iso, timestamps
from histkit.frame.dates import instants_of
from histkit.frame.provenance import selections_of
from histkit.usage.buckets import edges
from histkit.usage.periods import Freq
from histkit.util.text import count_noun


def note_cut_periods(table: pd.DataFrame, length: Freq, zone: tzinfo, bounds: DateBounds, *, what: str = "rows") -> str:
    """Return a sentence about the periods that the dates cut, "" for none; their first days become ``cut_periods``.

    Parameters
    ----------
    table : pandas.DataFrame
        Has ``period``. Its ``attrs["histkit"]`` gets the list of days.
    length : Freq
        Length of the periods.
    zone : tzinfo
        Their zone.
    bounds : DateBounds
        The dates.
    what : str, default "rows"
        What a period has.

    Examples
    --------
    >>> from datetime import UTC
    >>> from histkit.usage.periods import parse_freq
    >>> table = pd.DataFrame({"period": pd.to_datetime(["2026-10-01"], utc=True)})
    >>> table.attrs["histkit"] = {}
    >>> note_cut_periods(table, parse_freq("MS"), UTC, DateBounds("2026-10-15T00:00:00+00:00", None, ""))
    'The period 2026-10-01 is cut: it has rows from 2026-10-15T00:00:00+00:00 on only.'
    >>> table.attrs["histkit"]
    {'cut_periods': ['2026-10-01']}
    """
    parts = _cut_parts(table["period"], length, zone, bounds)
    days = dict(zip(parts, timestamps(np.array([*parts], np.int64), zone).strftime(_form(length)), strict=True))
    table.attrs["histkit"]["cut_periods"] = [*days.values()]
    return " ".join(f"The period {days[start]} is cut: it has {what} {part} only." for start, part in parts.items())


def _cut_parts(periods: pd.Series, length: Freq, zone: tzinfo, bounds: DateBounds) -> dict[int, str]:
    """Return the starts of the periods that the dates cut, and which part of each is left, in words."""
    starts = np.unique(
        periods.dropna().dt.tz_convert("UTC").dt.as_unit("us").to_numpy("datetime64[us]").astype(np.int64)
    )
    if not len(starts):
        return {}
    every = edges(starts, length, zone)
    first, last, end = int(starts[0]), int(starts[-1]), int(every[-1])
    parts = {}
    after, before = _instant(bounds.after), _instant(bounds.before)
    if after is not None and first < after * SECOND < int(every[1]):
        parts[first] = f"from {iso(after, zone)} on"
    if before is not None and last < before * SECOND < end:
        lower = f"{parts[last]} and " if last in parts else ""
        parts[last] = f"{lower}before {iso(before, zone)}"
    return parts


def limit_note(rows: pd.DataFrame) -> str:
    """Return a sentence that ``--limit`` left out older rows; "" if it did not."""
    limits = [step["limit"] for step in selections_of(rows) if "limit" in step]
    return f"Only the newest {count_noun(limits[-1], 'row')} (--limit)." if limits else ""


def limited_bounds(rows: pd.DataFrame, bounds: DateBounds) -> DateBounds:
    """Return the bounds of rows: where ``--limit`` left out older ones, they begin with the oldest that is left."""
    instants, dated = instants_of(rows["date"])
    if not (limit_note(rows) and dated.any()):
        return bounds
    oldest = int(instants[dated].min()) // SECOND
    after = _instant(bounds.after)
    return bounds if after is not None and after >= oldest else replace(bounds, after=iso(oldest, UTC))


def _instant(text: str | None) -> int | None:
    return None if text is None else int(datetime.fromisoformat(text).timestamp())


def _form(length: Freq) -> str:
    return "%Y-%m-%d %H:%M" if length.unit == "h" else "%Y-%m-%d"
