"""Clocks of time zones: instants, wall times, the first instant that shows a wall time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.dates import as_unix
from histkit.util.arrays import Ints

SECOND = 1_000_000


HOUR = 3600 * SECOND


DAY = 24 * HOUR


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


_WALL = _EPOCH.replace(tzinfo=None)


_FIRST_DAY, _LAST_DAY = -719_000, 2_932_000  # the years that `datetime` knows


def zone_of(tz: object) -> tzinfo:
    """Give the time zone of an IANA name, or the `ZoneInfo` or fixed offset itself.

    Raises
    ------
    InputError
        There is no such zone.
    """
    if tz is UTC or isinstance(tz, ZoneInfo) or type(tz) is type(UTC):
        return tz
    if isinstance(tz, str) and tz:
        try:
            return UTC if tz == "UTC" else ZoneInfo(tz)
        except (KeyError, ValueError, OSError):
            pass
    raise InputError(f"tz={tz!r} is not a time zone; give an IANA name such as 'Europe/Berlin', 'Asia/Tokyo' or 'UTC'.")


def name_of(zone: tzinfo) -> str:
    """Give the name of a zone for a person to read."""
    return str(getattr(zone, "key", None) or zone)


def clock_time(value: Any, zone: tzinfo, name: str) -> int:
    """Return a date in whole seconds since 1970, as `as_unix` does; a naive one is on the clock of `zone`.

    Raises
    ------
    InputError
        It is no date; `name` is the argument's name.
    """
    seconds = as_unix(value, name)
    dated = isinstance(value, (str, date, np.datetime64))
    return _first_instant(seconds, zone) if dated and pd.Timestamp(value).tzinfo is None else seconds


def wall_time(seconds: int, zone: tzinfo) -> datetime:
    """Give what a clock in `zone` shows at an instant."""
    return (_EPOCH + timedelta(seconds=seconds)).astimezone(zone).replace(tzinfo=None)


def _offset_of(zone: tzinfo) -> Callable[[int], int]:
    def offset(seconds: int) -> int:
        shown = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone).utcoffset() or timedelta()
        return round(shown.total_seconds())

    return offset


def _change(early: int, late: int, zone: tzinfo) -> int:
    """Give the first second with another offset than `early`, which is not later than `late`."""
    offset = _offset_of(zone)
    old = offset(early)
    while late - early > 1:
        middle = (early + late) // 2
        early, late = (middle, late) if offset(middle) == old else (early, middle)
    return late


def _first_instant(wall: int, zone: tzinfo) -> int:
    """Give the first instant at which a clock shows `wall` or, where that is skipped, more (PEP 495)."""
    if not _FIRST_DAY < wall // 86_400 < _LAST_DAY:
        return wall
    shown = _WALL + timedelta(seconds=wall)
    first, second = (
        wall - round((shown.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta()).total_seconds())
        for fold in (0, 1)
    )
    return first if first <= second else _change(second, first, zone)


def stamps(starts: Ints, zone: tzinfo) -> pd.DatetimeIndex:
    """Show instants (microseconds since 1970, UTC) in a zone."""
    shown = pd.DatetimeIndex(starts.view("datetime64[us]")).tz_localize("UTC")
    try:
        return shown.tz_convert(getattr(zone, "key", zone))  # by its name, as pandas would hold it
    except KeyError:
        return shown.tz_convert(zone)
