"""Time zones: conversion between instants and wall-clock times."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pandas as pd

from histkit.errors import InputError
from histkit.util.arrays import Ints
from histkit.util.text import quoted

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
FIRST_DAY, LAST_DAY = -719_000, 2_932_000  # days since 1970; the years that `datetime` can represent
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = _EPOCH.replace(tzinfo=None)


def zone_of(tz: object) -> tzinfo:
    """Return the time zone of an IANA name; a `ZoneInfo` or fixed offset is returned as it is.

    Raises
    ------
    InputError
        The zone is unknown.
    """
    if tz is UTC or isinstance(tz, ZoneInfo) or type(tz) is type(UTC):
        return tz
    if isinstance(tz, str) and tz:
        try:
            return UTC if tz == "UTC" else ZoneInfo(tz)
        except (KeyError, ValueError, OSError):
            pass
    raise InputError(
        f"tz={quoted(tz)} is not a time zone; use an IANA name such as 'Europe/Berlin', 'Asia/Tokyo' or 'UTC'."
    )


def name_of(zone: tzinfo) -> str:
    """Return the display name of a zone."""
    return str(getattr(zone, "key", None) or zone)


def wall_time(seconds: int, zone: tzinfo) -> datetime:
    """Return the naive wall-clock time in `zone` at an instant (seconds since 1970)."""
    return _at(seconds, zone).replace(tzinfo=None)


def is_repeated(wall: datetime, zone: tzinfo) -> bool:
    """Return whether a clock in `zone` shows a naive time twice, as in the hour that autumn repeats."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return first is not None and second is not None and first > second


def iso(seconds: int, zone: tzinfo) -> str:
    """Format an instant (seconds since 1970) in ISO 8601, with the offset of the zone."""
    return _at(seconds, zone).isoformat()


def iso_in_range(seconds: int, zone: tzinfo) -> str:
    """Format an instant as `iso` does; one that the zone can't show is the first or last that UTC can.

    Examples
    --------
    >>> iso_in_range(10**15, UTC)
    '9999-12-31T23:59:59+00:00'
    """
    try:
        return iso(seconds, zone)
    except OverflowError:
        return "0001-01-01T00:00:00+00:00" if seconds < 0 else "9999-12-31T23:59:59+00:00"


def _at(seconds: int, zone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(seconds=seconds)).astimezone(zone)


def utc_offset_in(zone: tzinfo) -> Callable[[int], int]:
    """Return a function from an instant to the zone's offset from UTC, both in seconds."""

    def offset(seconds: int) -> int:
        return _seconds(_at(seconds, zone).utcoffset())

    return offset


def _seconds(offset: timedelta | None) -> int:
    return round((offset or timedelta()).total_seconds())


def first_change(early: int, late: int, zone: tzinfo) -> int:
    """Return the first second in ``(early, late]`` whose offset differs from that at `early`, by bisection.

    The offset must change exactly once in between.
    """
    offset = utc_offset_in(zone)
    old = offset(early)
    while late - early > 1:
        middle = (early + late) // 2
        early, late = (middle, late) if offset(middle) == old else (early, middle)
    return late


def first_instant(wall: int, zone: tzinfo) -> int:
    """Return the first instant at which a clock in `zone` shows `wall` or, where that is skipped, a later time.

    Parameters
    ----------
    wall : int
        Wall-clock time, in seconds since the wall-clock time 1970-01-01 00:00.
    zone : tzinfo
        The time zone; its ``fold`` semantics are those of PEP 495.

    Returns
    -------
    int
        Seconds since 1970, UTC.
    """
    if not FIRST_DAY < wall // 86_400 < LAST_DAY:
        return wall
    naive = _NAIVE_EPOCH + timedelta(seconds=wall)
    first, second = (wall - _seconds(naive.replace(tzinfo=zone, fold=fold).utcoffset()) for fold in (0, 1))
    return first if first <= second else first_change(second, first, zone)


def timestamps(instants: Ints, zone: tzinfo) -> pd.DatetimeIndex:
    """Return instants (microseconds since 1970, UTC; the least int64 is missing) as timestamps in a zone."""
    utc = pd.DatetimeIndex(instants.view("datetime64[us]")).tz_localize("UTC")
    try:
        return utc.tz_convert(getattr(zone, "key", zone))  # by name: the dtype that pandas itself would have
    except KeyError:
        return utc.tz_convert(zone)
