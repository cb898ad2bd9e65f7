"""Periods and frequencies: "2026-10", "2026-Q3", two days; "D", "QS-FEB", billing periods."""

from __future__ import annotations

import numbers
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Any

from histkit.errors import InputError
from histkit.frame.clock import DAY, HOUR, iso, name_of, wall_time
from histkit.frame.dates import as_unix, parse_date
from histkit.util.arguments import real_number
from histkit.util.text import quoted

_DAYS_AGO = re.compile(r"\s*[0-9]+[dw]\s*", re.IGNORECASE)
_FORMS = (
    "use a year '2026', a quarter '2026-Q3', a month '2026-10', an ISO week '2026-W41', a day '2026-10-05', "
    "'last month', or (start, end), two days or instants, the end exclusive"
)


@dataclass(frozen=True)
class Period:
    """A span of time: its label, its start and its exclusive end in seconds since 1970."""

    label: str
    start: int
    end: int


def parse_period(period: Any, zone: tzinfo) -> Period:
    """Parse a period: a span of `parse_date`, or a pair of dates. Days and naive times are in `zone`.

    A day starts at its first instant, also where its midnight is skipped or repeated.

    Raises
    ------
    InputError
        `period` has an unknown form; the message lists the accepted ones.

    Examples
    --------
    >>> parse_period("2026-10", UTC)
    Period(label='2026-10', start=1790812800, end=1793491200)
    >>> parse_period(("2026-10-01", "2026-10-15"), UTC).label
    '2026-10-01/2026-10-15'
    """
    try:
        if isinstance(period, (tuple, list)):
            first, last = period
            now = datetime.now(UTC)
            if first is None or last is None:
                raise ValueError
            start, end = (as_unix(date, "period", zone, now=now) for date in (first, last))
            label = f"{_end_label(start, zone)}/{_end_label(end, zone)}"
        else:
            span = parse_date(period, "period", zone, kind="period", forms=_FORMS)
            if not span.label or (isinstance(period, str) and _DAYS_AGO.fullmatch(period)):
                raise ValueError
            start, end, label = span.start, span.end, span.label
        iso(start, zone), iso(end, zone)  # not every instant can be shown in every zone
    except InputError:
        raise
    except (ValueError, TypeError, OverflowError):
        raise InputError(f"period={quoted(period)} is not a period; {_FORMS}.") from None
    if start >= end:
        raise InputError(f"period={quoted(period)} ends before it starts; {_FORMS}.")
    return Period(label, start, end)


def _end_label(seconds: int, zone: tzinfo) -> str:
    day = wall_time(seconds, zone).date()
    return day.isoformat() if as_unix(day, "period", zone) == seconds else iso(seconds, zone)


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_WEEKDAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ALIAS = re.compile(r"([0-9]{0,3})([A-Za-z]+)(?:-([A-Za-z]{3}))?")


@dataclass(frozen=True)
class Freq:
    """A bucket length: `count` units, counted from `anchor` (a weekday, 0 Monday; a month, 0 January).

    The unit is "h", "D", "W", "M", or "B" for billing months. These start on `day` (the last day of a month without
    it), `time` seconds after midnight; if `reset` is given (seconds since 1970), in its month at this instant.
    """

    unit: str
    count: int = 1
    anchor: int = 0
    day: int = 1
    time: int = 0
    reset: int | None = None

    def max_days(self) -> int:
        """Return the number of days that no bucket exceeds."""
        return {"h": 2, "D": 3, "W": 9, "M": 31 * self.count + 2, "B": 31 * self.count + 5}[self.unit]

    def usual_length(self) -> int:
        """Return the length of a long bucket without clock changes, in microseconds."""
        return {"h": HOUR * self.count, "D": DAY, "W": 7 * DAY}.get(self.unit, 31 * DAY * self.count)


def parse_freq(freq: object, week_start: object = None) -> Freq:
    """Parse a pandas frequency alias.

    Parameters
    ----------
    freq : str
        ``h``, ``D``, ``W``, ``MS``, ``QS``, ``YS``, an older spelling of these, with an anchor (``W-SAT``, ``QS-FEB``)
        or a multiple that divides a day or a year (``6h``, ``4MS``).
    week_start : str, optional
        For ``W`` without an anchor: the day on which weeks start.

    Raises
    ------
    InputError
        `freq` is not such an alias, or `week_start` is not a weekday or does not apply to `freq`.
    """
    if week_start is not None:
        if not (isinstance(freq, str) and freq in ("W", "w")):
            raise InputError(f"week_start={quoted(week_start)} requires freq='W', not freq={quoted(freq)}.")
        return Freq("W", 1, _weekday(week_start))
    match = _ALIAS.fullmatch(freq) if isinstance(freq, str) else None
    parse = _PARSERS.get(match[2].upper()) if match else None
    length = parse(int(match[1] or 1), (match[3] or "").upper()) if match and parse else None
    if length is None:
        raise InputError(
            f"freq={quoted(freq)} is not a known frequency; use one of 'h', 'D', 'W', 'MS', 'QS', "
            "'YS', or e.g. '6h', 'W-SAT' (weeks that end on Saturday), 'QS-FEB'."
        )
    return length


def _hours(count: int, anchor: str) -> Freq | None:
    return Freq("h", count) if count and 24 % count == 0 and not anchor else None


def _day(count: int, anchor: str) -> Freq | None:
    return Freq("D") if count == 1 and not anchor else None


def _week(count: int, anchor: str) -> Freq | None:
    last = anchor or "SUN"
    return Freq("W", 1, (_WEEKDAYS.index(last) + 1) % 7) if count == 1 and last in _WEEKDAYS else None


def _months(length: int, at_end: bool, count: int, anchor: str) -> Freq | None:
    """Return buckets of `count` times `length` months; `anchor` is their first month, or their last (`at_end`)."""
    months = count * length
    if not months or 12 % months or (anchor and (length == 1 or anchor not in _MONTHS)):
        return None
    return Freq("M", months, (_MONTHS.index(anchor) + at_end) % months if anchor else 0)


_PARSERS: dict[str, Callable[[int, str], Freq | None]] = {
    "H": _hours,
    "D": _day,
    "W": _week,
    **{unit: partial(_months, 1, unit != "MS") for unit in ("M", "MS", "ME")},
    **{unit: partial(_months, 3, unit != "QS") for unit in ("Q", "QS", "QE")},
    **{unit: partial(_months, 12, unit not in ("YS", "AS")) for unit in ("Y", "YS", "YE", "A", "AS")},
}


def _weekday(name: object) -> int:
    start = name.lower() if isinstance(name, str) else ""
    days = [day for day, full in enumerate(_WEEKDAY_NAMES) if len(start) > 1 and full.startswith(start)]
    if not days:
        raise InputError(f"week_start={quoted(name)} is not a day of the week; use one such as 'Monday' or 'Sunday'.")
    return days[0]


REFRESH_MONTHS = {"monthly_period": 1, "3_month_period": 3, "6_month_period": 6, "annual_period": 12}
RESET = "next_character_count_reset_unix"
PERIODS = ("character_refresh_period", "billing_period")  # the counter's own period comes first


def billing_freq(billing: Any, zone: tzinfo) -> Freq:
    """Return the billing periods of an account.

    Parameters
    ----------
    billing : histkit.api.models.Subscription, mapping, int, or date
        The account's subscription (anything with its fields, also the official SDK's object), a day of the month (1 to
        31, from midnight), or the date of one reset (monthly, in both directions). A naive date is in
        `zone`.
    zone : tzinfo
        The zone in which the reset keeps its wall-clock time.

    Raises
    ------
    InputError
        `billing` is none of these, or the subscription has no reset or an unknown period.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> billing_freq({"next_character_count_reset_unix": 1794700800}, ZoneInfo("Asia/Tokyo"))
    Freq(unit='B', count=1, anchor=0, day=15, time=32400, reset=1794700800)
    """
    if isinstance(billing, numbers.Real):
        days = [day for day in range(1, 32) if day == real_number(billing)]
        if not days:
            raise InputError(f"billing={quoted(billing)} is not a day of the month; use 1 to 31, or a reset's date.")
        return Freq("B", day=days[0])
    count = 1
    if isinstance(billing, Mapping) or hasattr(billing, RESET):
        billing, count = _reset_of(billing)
        seconds = billing
    elif billing is None:
        raise InputError(
            "freq='billing' needs billing=: the account's subscription, or the day of the month of the reset."
        )
    else:
        seconds = as_unix(billing, "billing", zone)
    try:
        wall = wall_time(seconds, zone)
    except OverflowError:
        raise InputError(
            f"billing={quoted(billing)} is too far from today in {name_of(zone)}; use another reset."
        ) from None
    month = (wall.year - 1970) * 12 + wall.month - 1
    return Freq("B", count, month % count, wall.day, wall.hour * 3600 + wall.minute * 60 + wall.second, seconds)


def _reset_of(subscription: Any) -> tuple[int, int]:
    """Return the next reset in seconds since 1970, and the number of months between two resets."""
    fields = {
        name: subscription.get(name) if isinstance(subscription, Mapping) else getattr(subscription, name, None)
        for name in (RESET, *PERIODS)
    }
    reset, periods = real_number(fields[RESET]), [fields[name] for name in PERIODS if fields[name] is not None]
    if reset is None:
        raise InputError(
            f"The subscription states no reset ({RESET}={quoted(fields[RESET])}); pass a day of the month as billing=."
        )
    period = str(periods[0]) if periods else "monthly_period"
    if period not in REFRESH_MONTHS:
        raise InputError(
            f"The subscription's {period!r} is none of {', '.join(REFRESH_MONTHS)}; pass billing=, the day of a reset."
        )
    return int(reset), REFRESH_MONTHS[period]
