"""Buckets of time: instants in, the local hours, days, weeks and months that hold them out.

An instant belongs to the bucket of what a clock in the zone shows, so each belongs to exactly one. A bucket starts at
its first instant: 01:00 on a day whose midnight the clocks skip, the earlier of two midnights. Hours are also told
apart by their offset from UTC: the hour that the autumn repeats makes two buckets. A billing period is the time from
one reset to the next: it starts where the clock first shows the time of the reset.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.filters import as_unix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WALL = _EPOCH.replace(tzinfo=None)
_FEW = 5_000  # rows that are not worth a look at their order
_FIRST_DAY, _LAST_DAY = -719_000, 2_932_000  # the years that `datetime` knows
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
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


def bucket(instants: Ints, freq: Freq, zone: tzinfo) -> tuple[Ints, Ints]:
    """Put instants into buckets.

    Parameters
    ----------
    instants : int64 array, shape (n,)
        Microseconds since 1970, UTC.
    freq : Freq
        Length of the buckets.
    zone : tzinfo
        Whose clock counts.

    Returns
    -------
    codes : int64 array, shape (n,)
        Which bucket each instant belongs to.
    starts : int64 array, shape (buckets,)
        First instant of each bucket, microseconds since 1970, UTC; each bucket holds an instant.
    """
    runs = _runs(instants, freq, zone) if len(instants) > _FEW and freq.unit != "B" else None
    if runs is None:
        return _bucket(instants, freq, zone)
    first, sizes = runs
    codes, starts = _bucket(instants[first], freq, zone)
    return np.repeat(codes, sizes), starts


def _bucket(instants: Ints, freq: Freq, zone: tzinfo) -> tuple[Ints, Ints]:
    offsets = _offsets(instants, zone)
    local = instants + offsets
    if freq.unit == "B":
        return _billed(instants, local, freq, zone)
    if freq.unit == "h" and freq.count == 1:
        return _hours(instants, local, offsets, zone)
    if freq.unit == "h":
        codes, walls = _factorize(local // (HOUR * freq.count))
        walls = walls * HOUR * freq.count
    else:
        codes, days = _factorize(local // DAY)
        walls = _first_days(days, freq) * DAY
    if zone is UTC:
        return _merge(codes, walls)
    codes, walls = _merge(codes, walls)
    return _merge(codes, np.array([_first_instant(int(wall) // SECOND, zone) for wall in walls], np.int64) * SECOND)


def _runs(instants: Ints, freq: Freq, zone: tzinfo) -> tuple[Ints, Ints] | None:
    """Give the first row and the size of runs of rows of one bucket, None where the rows are not in order of time.

    A history is: then the rows are cut at all instants at which a bucket could end, instead of each being looked at.
    """
    rising = bool(instants[0] <= instants[-1])
    ordered = instants if rising else instants[::-1]
    step, low, high = HOUR if freq.unit == "h" else DAY, int(ordered[0]), int(ordered[-1])
    if (high - low) // step > len(instants) // 4 or not (ordered[:-1] <= ordered[1:]).all():
        return None
    begins, ends, offsets = _stretches(low, high, zone)
    cuts = [
        np.arange((begin + offset) // step, (end + offset) // step + 1) * step - offset
        for begin, end, offset in zip(begins, ends, offsets, strict=True)
    ]
    places = np.searchsorted(ordered, np.sort(np.r_[*cuts, begins]))
    places = np.unique(np.r_[0, places[places < len(ordered)]])
    sizes = np.diff(np.r_[places, len(ordered)])
    return (places, sizes) if rising else ((len(ordered) - places - sizes)[::-1], sizes[::-1])


def _stretches(low: int, high: int, zone: tzinfo) -> tuple[list[int], list[int], list[int]]:
    """Cut the time from `low` to `high` where the clocks change: beginnings, ends and offsets, in microseconds."""
    days = np.arange(low // DAY, high // DAY + 2)
    offset = _offset_of(zone)
    shown = (
        [0] if zone is UTC else [offset(int(each)) for each in np.clip(days, _FIRST_DAY, _LAST_DAY) * (DAY // SECOND)]
    )
    changed = np.flatnonzero(np.diff(shown)).tolist()
    seconds = (days * (DAY // SECOND)).tolist()
    changes = [_change(seconds[each], seconds[each + 1], zone) * SECOND for each in changed]
    offsets = [shown[0], *(shown[each + 1] for each in changed)]
    return [low, *changes], [*changes, high], [each * SECOND for each in offsets]


def edges(starts: Ints, freq: Freq, zone: tzinfo) -> Ints:
    """Give the starts of all buckets from the first to the last of `starts`, also the empty ones, and the last's end.

    Returns
    -------
    int64 array, ascending
        Microseconds since 1970, UTC; one more than there are buckets.
    """
    step = HOUR // 4 if freq.unit == "h" else DAY // 2
    first, last = int(starts.min()), int(starts.max())
    found = bucket(np.arange(first, last + freq.days() * DAY, step, dtype=np.int64), freq, zone)[1]
    found = np.union1d(found[found >= first], starts)
    end: Ints = found[: np.searchsorted(found, last) + 2]
    return end


def _hours(instants: Ints, local: Ints, offsets: Ints, zone: tzinfo) -> tuple[Ints, Ints]:
    floors = instants - local % HOUR
    codes, hours = _factorize(floors // SECOND * (4 * DAY // SECOND) + offsets // SECOND)
    first = np.zeros(len(hours), np.int64)
    first[codes] = np.arange(len(codes))
    starts, wanted = floors[first], offsets[first]
    for odd in np.flatnonzero(_offsets(starts, zone) != wanted):  # the clocks changed within this hour
        seconds = int(starts[odd]) // SECOND
        starts[odd] = _change(seconds, seconds + 3600, zone) * SECOND
    return _merge(codes, starts)


def _billed(instants: Ints, local: Ints, freq: Freq, zone: tzinfo) -> tuple[Ints, Ints]:
    codes, days = _factorize(local // DAY)
    months = _months(days)
    needed = np.unique(np.r_[months, months + 1])
    resets = _resets(needed, freq, zone)
    own, after = (resets[np.searchsorted(needed, each)][codes] for each in (months, months + 1))
    months = months[codes] - (instants < own) + (instants >= after)  # after: where a month's last hours come twice
    codes, months = _factorize(months - (months - freq.anchor) % freq.count)
    return codes, _resets(months, freq, zone)


def _resets(months: Ints, freq: Freq, zone: tzinfo) -> Ints:
    """Give the instant of the reset in each month, in microseconds."""
    first, end = (
        each.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) for each in (months, months + 1)
    )
    walls = np.minimum(first + freq.day - 1, end - 1) * (DAY // SECOND) + freq.time
    starts = walls if zone is UTC else np.array([_first_instant(int(wall), zone) for wall in walls], np.int64)
    if freq.reset is not None:
        shown = np.datetime64(wall_time(freq.reset, zone), "M").astype(np.int64)
        starts = np.where(months == shown, freq.reset, starts)
    return starts * SECOND


def _months(days: Ints) -> Ints:
    months: Ints = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return months


def _first_days(days: Ints, freq: Freq) -> Ints:
    if freq.unit == "D":
        return days
    if freq.unit == "W":
        return days - (days + 3 - freq.anchor) % 7  # 1970-01-01 was a Thursday
    months = _months(days)
    months -= (months - freq.anchor) % freq.count
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def _offsets(instants: Ints, zone: tzinfo) -> Ints:
    """Give the zone's offset from UTC at each instant, in microseconds. No zone changes twice within three days."""
    if zone is UTC:
        return np.zeros(len(instants), np.int64)
    codes, days = _factorize(instants // DAY)
    offset = _offset_of(zone)
    seconds = np.clip(days, _FIRST_DAY, _LAST_DAY) * (DAY // SECOND)
    before = np.array([offset(int(each)) for each in seconds], np.int64)
    after = np.array([offset(int(each) + DAY // SECOND) for each in seconds], np.int64)
    result: Ints = before[codes] * SECOND
    odd = np.flatnonzero(before != after)
    if len(odd):
        change = np.full(len(days), np.iinfo(np.int64).max)
        change[odd] = [_change(int(each), int(each) + DAY // SECOND, zone) * SECOND for each in seconds[odd]]
        late = instants >= change[codes]
        result[late] = after[codes[late]] * SECOND
    return result


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


def _merge(codes: Ints, starts: Ints) -> tuple[Ints, Ints]:
    merged, values = _factorize(starts)
    return (codes if len(values) == len(starts) else merged[codes]), values


def _factorize(values: Ints) -> tuple[Ints, Ints]:
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    if high - low < len(values):  # a table is faster than a hash table
        places = values - low
        seen = np.flatnonzero(np.bincount(places))
        table = np.zeros(high - low + 1, np.int64)
        table[seen] = np.arange(len(seen))
        return table[places], seen + low
    codes, uniques = pd.factorize(values)
    return codes.astype(np.int64, copy=False), np.asarray(uniques, np.int64)
