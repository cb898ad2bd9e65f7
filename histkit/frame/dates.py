"""Date arguments and date columns as instants since 1970, UTC.

One vocabulary, that of `parse_date`, holds for every date a user passes or types. There is no free-form parsing:
everything else is refused.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError, SchemaError
from histkit.frame.clock import first_instant
from histkit.frame.date_spellings import suggest_spellings
from histkit.util.arguments import real_number
from histkit.util.arrays import Ints, Mask
from histkit.util.text import quoted

_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall-clock time
_EPOCH = _NAIVE_EPOCH.replace(tzinfo=UTC)
_FIRST_SECOND, _LAST_SECOND = 1_420_070_400, 4_102_444_800  # 2015-01-01 and 2100-01-01
_NAMED = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?:Q(?P<quarter>[1-4])|W(?P<week>[0-9]{2})|(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2}))?))?"
)
_TIME = re.compile(
    r"(?P<minute>[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-9]{2})(?P<second>:[0-9]{2})?"
    r"(?:(?<=:[0-9]{2}:[0-9]{2})\.(?P<fraction>[0-9]+))?(?P<offset>Z|[+-][0-9]{2}(?::?[0-9]{2}(?::[0-9]{2})?)?)?"
)
_AGO = re.compile(r"([1-9][0-9]{0,3})([DW])")
_CALENDAR = re.compile(r"(THIS|LAST) (WEEK|MONTH|QUARTER|YEAR)")
_EXAMPLES = "2026-10-01, 2026-10-01T14:30Z, 2026-10, 2026-Q3, today, yesterday, 7d, 2w or 'last month'"


@dataclass(frozen=True)
class DateSpan:
    """A parsed date: an instant, or a span such as a day or a month.

    Attributes
    ----------
    start, end : int
        Seconds since 1970, the end exclusive. An instant ends with its second.
    label : str
        The span in ISO 8601: ``2026-10-01``, ``2026-W40``, ``2026-10``, ``2026-Q3``, ``2026``; empty for an instant.
    relative : bool
        Whether it depends on the current day.
    """

    start: int
    end: int
    label: str = ""
    relative: bool = False


def as_unix(value: Any, name: str, zone: tzinfo = UTC, *, now: datetime | None = None) -> int:
    """Return the start of a date in whole seconds since 1970.

    Fractions of a second are rounded up. The history's dates are whole seconds, so comparisons stay exact.

    Parameters
    ----------
    value : str, date, datetime, pandas.Timestamp or Period, or int
        See `parse_date`.
    name : str
        The argument's name, for the error.
    zone : tzinfo, default UTC
        Zone of days and naive times.
    now : datetime, optional
        The current time, aware; default: that of the clock.

    Raises
    ------
    InputError
        The value is not a date; the message has the ISO spelling of what it could mean.

    Examples
    --------
    >>> as_unix("2026-10-01", "after"), as_unix("2026-10", "after"), as_unix(1790812800, "after")
    (1790812800, 1790812800, 1790812800)
    >>> as_unix("01/10/2026", "after")
    Traceback (most recent call last):
    histkit.errors.InputError: after='01/10/2026' is not a date; use 2026-10-01 (1 October) or 2026-01-10 (10 January).
    """
    return parse_date(value, name, zone, now=now).start


def parse_date(
    value: Any,
    name: str,
    zone: tzinfo = UTC,
    *,
    now: datetime | None = None,
    kind: str = "date",
    forms: str = f"use one such as {_EXAMPLES}",
) -> DateSpan:
    """Parse a date, which is one of these.

    - an ISO day ``2026-10-01``, or time ``2026-10-01T14:30`` with a blank or T, seconds, fractions, ``Z`` or an offset
    - an ISO month ``2026-10``, quarter ``2026-Q3``, week ``2026-W40`` or year ``2026``
    - ``today``, ``yesterday``, ``7d`` (the day seven days ago), ``2w`` (the day two weeks ago), and ``last`` or
      ``this`` with ``week`` (from Monday), ``month``, ``quarter`` or ``year``
    - a whole number, also as text: seconds since 1970, from 2015 to 2100
    - a date, datetime, Timestamp, ``numpy.datetime64`` or pandas Period

    A day or a naive time is that of a clock in `zone`, and starts at the first instant at which the clock shows it or,
    where it is skipped, a later time.

    Parameters
    ----------
    value, name, zone, now
        As in `as_unix`.
    kind, forms : str
        For the message: what the argument is, and its accepted forms.

    Raises
    ------
    InputError
        The value is not a date.

    Examples
    --------
    >>> parse_date("last month", "after", now=datetime(2026, 11, 26, tzinfo=UTC))
    DateSpan(start=1790812800, end=1793491200, label='2026-10', relative=True)
    """
    now = datetime.now(UTC) if now is None else now
    parsed = _parse(value, zone, now)
    if parsed is not None:
        return parsed
    spellings = suggest_spellings(value, now.astimezone(zone), lambda text: _parse(text, zone, now) is not None)
    if spellings:
        forms = f"use {' or '.join(spellings)}"
    elif kind == "date" and real_number(value) is not None:
        forms = f"a number is whole seconds since 1970, from 2015 to 2100; {forms}"
    raise InputError(f"{name}={quoted(value)} is not a {kind}; {forms}.")


def _parse(value: Any, zone: tzinfo, now: datetime) -> DateSpan | None:
    try:
        if isinstance(value, str):
            return _parse_text(value.strip(), zone, now)
        if isinstance(value, pd.Period):
            wall = [_seconds_of(first.start_time) for first in (value, value + 1)]
            return _span_of(wall[0], wall[1], zone, str(value))
        if isinstance(value, (date, np.datetime64)):
            return None if pd.isna(value) else _parse_object(value, zone)
        number = real_number(value)
        return _parse_seconds(int(number)) if number is not None and number == int(number) else None
    except (ValueError, TypeError, OverflowError):
        return None


def _parse_text(text: str, zone: tzinfo, now: datetime) -> DateSpan | None:
    text = text.upper() if text.isascii() else ""
    if text.isdecimal() and len(text) == 10:
        return _parse_seconds(int(text))
    label = _relative_label(text, now.astimezone(zone).date())
    match = _NAMED.fullmatch(label or text)
    if match is not None:
        first, days = _days_of(match)
        wall = (first - _NAIVE_EPOCH.date()).days * 86_400
        return _span_of(wall, wall + days * 86_400, zone, match[0], relative=label is not None)
    match = _TIME.fullmatch(text)
    return None if match is None else _parse_time(match, zone)


def _relative_label(text: str, today: date) -> str | None:
    """Return the ISO spelling of a relative date, None for other texts."""
    if text in ("TODAY", "YESTERDAY"):
        return str(today - timedelta(days=text == "YESTERDAY"))
    if match := _AGO.fullmatch(text):
        return str(today - timedelta(days=int(match[1]) * (7 if match[2] == "W" else 1)))
    match = _CALENDAR.fullmatch(text)
    if match is None:
        return None
    unit, last = match[2], match[1] == "LAST"
    if unit == "WEEK":
        year, week, _ = (today - timedelta(days=7 * last)).isocalendar()
        return f"{year:04}-W{week:02}"
    months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}[unit]
    year, place = divmod((today.year * 12 + today.month - 1) // months - last, 12 // months)
    return f"{year:04}" + {"MONTH": f"-{place + 1:02}", "QUARTER": f"-Q{place + 1}", "YEAR": ""}[unit]


def _days_of(match: re.Match[str]) -> tuple[date, int]:
    """Return the first day of a span, and its number of days."""
    year, quarter, week, month, day = (None if part is None else int(part) for part in match.groups())
    assert year is not None
    if week is not None:
        return date.fromisocalendar(year, week, 1), 7
    if day is not None:
        assert month is not None
        return date(year, month, day), 1
    first = month if month is not None else 3 * (quarter or 1) - 2
    months = range(first, first + (1 if month is not None else 3 if quarter else 12))
    return date(year, first, 1), sum(calendar.monthrange(year, month)[1] for month in months)


def _parse_time(match: re.Match[str], zone: tzinfo) -> DateSpan:
    moment = datetime.fromisoformat(match["minute"] + (match["second"] or "") + (match["offset"] or ""))
    fraction = int(match["fraction"] or 0) > 0
    if moment.tzinfo is None:
        second = first_instant(_seconds_of(moment), zone)
    else:
        second = (moment - _EPOCH) // timedelta(seconds=1)
    return DateSpan(second + fraction, second + 1)


def _parse_object(value: Any, zone: tzinfo) -> DateSpan:
    if isinstance(value, date) and not isinstance(value, datetime):
        wall = (value - _NAIVE_EPOCH.date()).days * 86_400
        return _span_of(wall, wall + 86_400, zone, value.isoformat())
    stamp = pd.Timestamp(value)
    if stamp.tzinfo is None:
        start = first_instant(_seconds_of(stamp), zone)
    else:
        start = _seconds_of(stamp.tz_convert("UTC").tz_localize(None))
    return DateSpan(start, start + 1 if stamp == stamp.floor("s") else start)


def _seconds_of(moment: datetime | pd.Timestamp) -> int:
    """Return a naive time in seconds since 1970, rounded up."""
    if isinstance(moment, pd.Timestamp):
        moment = moment.ceil("us").to_pydatetime(warn=False)
    return int(-((_NAIVE_EPOCH - moment) // timedelta(seconds=1)))


def _parse_seconds(seconds: int) -> DateSpan | None:
    return DateSpan(seconds, seconds + 1) if _FIRST_SECOND <= seconds <= _LAST_SECOND else None


def _span_of(start: int, end: int, zone: tzinfo, label: str, *, relative: bool = False) -> DateSpan:
    return DateSpan(first_instant(start, zone), first_instant(end, zone), label, relative)


def date_range(
    after: Any, before: Any, zone: tzinfo = UTC, *, now: datetime | None = None
) -> tuple[int | None, int | None]:
    """Return the arguments ``after=`` and ``before=`` in seconds since 1970; None leaves a side open.

    Raises
    ------
    InputError
        One of them is not a date, or `after` is later than `before`.
    """
    now = datetime.now(UTC) if now is None else now
    first = None if after is None else as_unix(after, "after", zone, now=now)
    end = None if before is None else as_unix(before, "before", zone, now=now)
    if first is not None and end is not None and first > end:
        raise InputError(f"after={quoted(after)} is later than before={quoted(before)}.")
    return first, end


def to_micros(seconds: int) -> int:
    """Return seconds as microseconds, within the range of an int64."""
    return max(-(2**62), min(2**62, seconds * 1_000_000))


def _holds_numbers(column: pd.Series) -> bool:
    kinds = ("integer", "floating", "mixed-integer", "mixed-integer-float", "decimal", "complex", "boolean")
    return column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) in kinds


def instants_of(column: pd.Series) -> tuple[Ints, Mask]:
    """Return a column of dates in microseconds since 1970, UTC, and a mask of the known ones; a naive date is UTC.

    Raises
    ------
    SchemaError
        The column holds something other than dates.
    """
    text = not (pd.api.types.is_datetime64_any_dtype(column.dtype) or isinstance(column.dtype, pd.ArrowDtype))
    try:
        if pd.api.types.is_numeric_dtype(column.dtype) or _holds_numbers(column):
            raise TypeError
        dates = pd.to_datetime(column, utc=True, format="ISO8601" if text else None).astype("datetime64[us, UTC]")
    except (TypeError, ValueError):
        raise SchemaError(f"Column {column.name!r} ({column.dtype}) holds something other than dates.") from None
    return dates.dt.tz_convert(None).to_numpy("datetime64[us]").view(np.int64), dates.notna().to_numpy()


def timestamps_of(frame: pd.DataFrame | pd.Series, name: str = "date") -> list[pd.Timestamp | None]:
    """Return the date of each row, UTC; None where it is missing or there is no such column.

    Raises
    ------
    SchemaError
        The column holds something other than dates.
    """
    if not isinstance(frame, pd.DataFrame) or name not in frame.columns:
        return [None] * len(frame)
    micros, known = instants_of(frame[name])
    dates = pd.to_datetime(micros, unit="us", utc=True)
    return [date if has_date else None for date, has_date in zip(dates, known.tolist(), strict=True)]
