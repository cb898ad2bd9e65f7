"""Spans of time as people name them: "2026-10", "2026-Q3", two days; on the clock of a zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.usage.buckets import clock_time, wall_time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?:Q(?P<quarter>[1-4])|W(?P<week>[0-9]{2})|(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2}))?))?"
)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_FORMS = (
    "give a year '2026', a quarter '2026-Q3', a month '2026-10', an ISO week '2026-W41', a day '2026-10-05', "
    "or (start, end), two days or instants, the end exclusive"
)


@dataclass(frozen=True)
class Period:
    """A span of time, the end exclusive: how it is called, and its ends in seconds since 1970."""

    label: str
    start: int
    end: int


def read_period(period: Any, zone: tzinfo) -> Period:
    """Read a period, on the clock of a zone.

    Raises
    ------
    InputError
        It is none; the line lists the forms.

    Examples
    --------
    >>> read_period("2026-10", UTC)
    Period(label='2026-10', start=1790812800, end=1793491200)
    >>> read_period(("2026-10-01", "2026-10-15"), UTC).label
    '2026-10-01/2026-10-15'
    """
    try:
        if isinstance(period, str):
            label = period.upper()
            start, end = (clock_time(each, zone, "period") for each in _days(label))
        elif isinstance(period, (tuple, list)) and len(period) == 2:
            start, end = (clock_time(_moment(each), zone, "period") for each in period)
            label = f"{_end_label(start, zone)}/{_end_label(end, zone)}"
        elif isinstance(period, pd.Period):
            label = str(period)
            start, end = (clock_time(each.start_time, zone, "period") for each in (period, period + 1))
        else:
            raise ValueError
        iso(start, zone), iso(end, zone)  # a clock can't show every instant
    except (ValueError, TypeError, OverflowError):
        raise InputError(f"period={quoted(period)} is no period; {_FORMS}.") from None
    if start >= end:
        raise InputError(f"period={quoted(period)} ends before it has begun; {_FORMS}.")
    return Period(label, start, end)


def _days(label: str) -> tuple[date, date]:
    match = _NAMED.fullmatch(label)
    if match is None:
        raise ValueError
    year, quarter, week, month, day = (None if each is None else int(each) for each in match.groups())
    assert year is not None
    if week is not None:
        first = date.fromisocalendar(year, week, 1)
        return first, first + timedelta(days=7)
    if day is not None:
        first = date(year, month or 1, day)
        return first, first + timedelta(days=1)
    first = date(year, month or 3 * (quarter or 1) - 2, 1)
    months = year * 12 + first.month - 1 + (1 if month else 3 if quarter else 12)
    return first, date(months // 12, months % 12 + 1, 1)


def _moment(value: Any) -> Any:
    """Let through what is a day or an instant by itself: no number, and no text such as "today" or "12:30"."""
    if isinstance(value, (date, np.datetime64)) or (isinstance(value, str) and _MOMENT.fullmatch(value)):
        return value
    raise ValueError


def _end_label(seconds: int, zone: tzinfo) -> str:
    day = wall_time(seconds, zone).date()
    return day.isoformat() if clock_time(day, zone, "period") == seconds else iso(seconds, zone)


def iso(seconds: int, zone: tzinfo) -> str:
    """Write an instant (seconds since 1970) in ISO 8601, with the offset of the zone."""
    return (_EPOCH + timedelta(seconds=seconds)).astimezone(zone).isoformat()


def quoted(value: Any) -> str:
    """Quote what somebody gave for a message, in one line."""
    return " ".join(repr(value).split())[:80]
