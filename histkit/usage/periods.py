"""Spans of time as people name them: "2026-10", "2026-Q3", two days; on the clock of a zone."""

from __future__ import annotations

import numbers
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.usage.clock import DAY, HOUR, clock_time, name_of, wall_time

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


def parse_period(period: Any, zone: tzinfo) -> Period:
    """Read a period, on the clock of a zone.

    Raises
    ------
    InputError
        It is none; the line lists the forms.

    Examples
    --------
    >>> parse_period("2026-10", UTC)
    Period(label='2026-10', start=1790812800, end=1793491200)
    >>> parse_period(("2026-10-01", "2026-10-15"), UTC).label
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


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


_DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


REFRESH_MONTHS = {"monthly_period": 1, "3_month_period": 3, "6_month_period": 6, "annual_period": 12}
_MONTHS_OF = {"M": 1, "MS": 1, "ME": 1, "Q": 3, "QS": 3, "QE": 3, "Y": 12, "YS": 12, "YE": 12, "A": 12, "AS": 12}


@dataclass(frozen=True)
class Freq:
    """A length of buckets: `count` units, counted from `anchor` (a weekday, 0 Monday; a month, 0 January).

    The unit "B" are billing months: they start on `day` (in a month without it on its last), `time` seconds after
    midnight; in one month, if `reset` is given, at this instant (seconds since 1970).
    """

    unit: str
    count: int = 1
    anchor: int = 0
    day: int = 1
    time: int = 0
    reset: int | None = None

    def days(self) -> int:
        """Give the most days that a bucket can last, rounded up."""
        return {"h": 2, "D": 3, "W": 9, "M": 31 * self.count + 2, "B": 31 * self.count + 5}[self.unit]

    def usual(self) -> int:
        """Give how long a long bucket is, in microseconds."""
        return {"h": HOUR * self.count, "D": DAY, "W": 7 * DAY}.get(self.unit, 31 * DAY * self.count)


def parse_freq(freq: object, week_start: object = None) -> Freq:
    """Read a pandas alias: h, D, W, MS, QS, YS, older spellings, anchors, and the multiples that divide a day or year.

    Raises
    ------
    InputError
        It is none of them; or `week_start`, the day on which the weeks of "W" start, is no day or goes with another.
    """
    if week_start is not None:
        if freq not in ("W", "w"):
            raise InputError(f"week_start={week_start!r} goes with freq='W', not with freq={freq!r}.")
        return Freq("W", 1, _weekday(week_start))
    match = re.fullmatch(r"(\d{0,3})([A-Za-z]+)(?:-([A-Za-z]{3}))?", freq) if isinstance(freq, str) else None
    if match:
        count, unit, anchor = int(match[1] or 1), match[2].upper(), (match[3] or "").upper()
        if unit == "H" and not anchor and count and 24 % count == 0:
            return Freq("h", count)
        if unit == "D" and not anchor and count == 1:
            return Freq("D")
        if unit == "W" and count == 1 and (anchor or "SUN") in _DAYS:
            return Freq("W", 1, (_DAYS.index(anchor or "SUN") + 1) % 7)
        months = count * _MONTHS_OF.get(unit, 0)
        if months and 12 % months == 0 and (not anchor or (anchor in _MONTHS and _MONTHS_OF[unit] > 1)):
            first = _MONTHS.index(anchor) + (not unit.endswith("S")) if anchor else 0
            return Freq("M", months, first % months)
    raise InputError(
        f"freq={freq!r} is not a length of time that is known here; give one of 'h', 'D', 'W', 'MS', 'QS', 'YS', "
        "or e.g. '6h', 'W-SAT' (weeks that end on Saturday), 'QS-FEB'."
    )


def _weekday(name: object) -> int:
    start = name.lower() if isinstance(name, str) else ""
    found = [day for day, each in enumerate(_WEEK) if len(start) > 1 and each.startswith(start)]
    if not found:
        raise InputError(f"week_start={name!r} is no day of the week; give one such as 'Monday' or 'Sunday'.")
    return found[0]


RESET = "next_character_count_reset_unix"


PERIODS = ("character_refresh_period", "billing_period")  # the counter's own first: it is what is reset


def billing_freq(billing: Any, zone: tzinfo) -> Freq:
    """Read when the counter is reset.

    Parameters
    ----------
    billing : histkit.api.models.Subscription, mapping, int, or date
        The account's subscription (anything with its fields, also the official SDK's object), a day of the month (1 to
        31, from midnight), or the date of one reset (from then on and before, once a month). A naive date is on the
        clock of `zone`.
    zone : tzinfo
        On whose clock the time of the reset stays the same.

    Raises
    ------
    InputError
        It is none of them, or the subscription states no reset or a period that is not known here.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> billing_freq({"next_character_count_reset_unix": 1794700800}, ZoneInfo("Asia/Tokyo"))
    Freq(unit='B', count=1, anchor=0, day=15, time=32400, reset=1794700800)
    """
    if isinstance(billing, numbers.Real):
        days = [day for day in range(1, 32) if day == billing and not isinstance(billing, bool)]
        if not days:
            raise InputError(f"billing={billing!r} is no day of the month; give 1 to 31, or the date of a reset.")
        return Freq("B", day=days[0])
    count = 1
    if isinstance(billing, Mapping) or hasattr(billing, RESET):
        billing, count = _reset_of(billing)
    elif billing is None:
        raise InputError(
            "freq='billing' needs billing=: the account's subscription, or the day of the month of the reset."
        )
    seconds = clock_time(billing, zone, "billing")
    try:
        shown = wall_time(seconds, zone)
    except OverflowError:
        raise InputError(
            f"billing={billing!r} lies too far from today in {name_of(zone)}; give another reset."
        ) from None
    month = (shown.year - 1970) * 12 + shown.month - 1
    return Freq("B", count, month % count, shown.day, shown.hour * 3600 + shown.minute * 60 + shown.second, seconds)


def _reset_of(subscription: Any) -> tuple[int, int]:
    """Give the next reset in seconds, and how many months lie between two."""
    fields = {
        name: subscription.get(name) if isinstance(subscription, Mapping) else getattr(subscription, name, None)
        for name in (RESET, *PERIODS)
    }
    reset, stated = fields[RESET], [fields[name] for name in PERIODS if fields[name] is not None]
    if not isinstance(reset, numbers.Real) or isinstance(reset, bool):
        raise InputError(f"The subscription states no reset ({RESET}={reset!r}); give billing= a day of the month.")
    period = str(stated[0]) if stated else "monthly_period"
    if period not in REFRESH_MONTHS:
        raise InputError(
            f"The subscription's {period!r} is none of {', '.join(REFRESH_MONTHS)}; give billing= a day of the month."
        )
    return int(float(reset)), REFRESH_MONTHS[period]
