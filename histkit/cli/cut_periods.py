"""Periods of a table that the dates of the command line cut: a part of a month is no month."""

from __future__ import annotations

from datetime import datetime, tzinfo

import numpy as np
import pandas as pd

from histkit.cli.common import DateBounds
from histkit.frame.clock import SECOND, iso, timestamps
from histkit.usage.buckets import edges
from histkit.usage.periods import Freq


def cut_periods(
    periods: pd.Series, length: Freq, zone: tzinfo, bounds: DateBounds, *, what: str = "rows"
) -> tuple[list[str], str]:
    """Return the first days of the periods that the dates cut, and a sentence about them; "" for none.

    Parameters
    ----------
    periods : Series of Timestamp
        The periods of a table.
    length : Freq
        Their length.
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
    >>> october = pd.Series(pd.to_datetime(["2026-10-01"], utc=True))
    >>> cut_periods(october, parse_freq("MS"), UTC, DateBounds("2026-10-15T00:00:00+00:00", None, ""))
    (['2026-10-01'], 'The period 2026-10-01 is cut: it has rows from 2026-10-15T00:00:00+00:00 on only.')
    """
    starts = np.unique(
        periods.dropna().dt.tz_convert("UTC").dt.as_unit("us").to_numpy("datetime64[us]").astype(np.int64)
    )
    if not len(starts):
        return [], ""
    every = edges(starts, length, zone)
    first, last, end = int(starts[0]), int(starts[-1]), int(every[-1])
    parts = {}
    after, before = _instant(bounds.after), _instant(bounds.before)
    if after is not None and first < after * SECOND < int(every[1]):
        parts[first] = f"from {iso(after, zone)} on"
    if before is not None and last < before * SECOND < end:
        lower = f"{parts[last]} and " if last in parts else ""
        parts[last] = f"{lower}before {iso(before, zone)}"
    days = dict(zip(parts, timestamps(np.array([*parts], np.int64), zone).strftime(_form(length)), strict=True))
    lines = [f"The period {days[start]} is cut: it has {what} {part} only." for start, part in parts.items()]
    return [*days.values()], " ".join(lines)


def _instant(text: str | None) -> int | None:
    return None if text is None else int(datetime.fromisoformat(text).timestamp())


def _form(length: Freq) -> str:
    return "%Y-%m-%d %H:%M" if length.unit == "h" else "%Y-%m-%d"
