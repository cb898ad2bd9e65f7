"""Time buckets: assign instants to local hours, days, weeks, months and billing periods.

An instant belongs to the bucket of the wall-clock time in the zone, so to exactly one. A bucket starts at its first
instant: at 01:00 on a day whose midnight the clocks skip, at the earlier of two midnights. Hours of different offset
from UTC are different buckets, so the hour that is repeated in autumn is two. A billing period lasts from one reset to
the next; it starts when the clock first shows the time of the reset.
"""

from __future__ import annotations

from datetime import UTC, tzinfo

import numpy as np
import pandas as pd

from histkit.frame.clock import (
    DAY,
    FIRST_DAY,
    HOUR,
    LAST_DAY,
    SECOND,
    first_change,
    first_instant,
    utc_offset_in,
    wall_time,
)
from histkit.usage.periods import Freq
from histkit.util.arrays import Ints

_FEW = 5_000  # fewer rows are not worth a check whether they are sorted


def bucket(instants: Ints, freq: Freq, zone: tzinfo) -> tuple[Ints, Ints]:
    """Assign instants to buckets.

    Parameters
    ----------
    instants : int64 array, shape (n,)
        Microseconds since 1970, UTC.
    freq : Freq
        Length of the buckets.
    zone : tzinfo
        The zone of the wall clock.

    Returns
    -------
    codes : int64 array, shape (n,)
        Position in `starts` of the bucket of each instant.
    starts : int64 array, shape (buckets,)
        First instant of each bucket that holds an instant, microseconds since 1970, UTC.
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
    return _merge(codes, np.array([first_instant(int(wall) // SECOND, zone) for wall in walls], np.int64) * SECOND)


def _runs(instants: Ints, freq: Freq, zone: tzinfo) -> tuple[Ints, Ints] | None:
    """Return first row and length of the runs of rows of one bucket; None where the rows are not sorted by time.

    Rows of a history are sorted. Cutting them at every instant at which a bucket could end is faster than computing
    the bucket of each row.
    """
    rising = bool(instants[0] <= instants[-1])
    ordered = instants if rising else instants[::-1]
    step, low, high = HOUR if freq.unit == "h" else DAY, int(ordered[0]), int(ordered[-1])
    if (high - low) // step > len(instants) // 4 or not (ordered[:-1] <= ordered[1:]).all():
        return None
    begins, ends, offsets = _constant_offsets(low, high, zone)
    cuts = [
        np.arange((begin + offset) // step, (end + offset) // step + 1) * step - offset
        for begin, end, offset in zip(begins, ends, offsets, strict=True)
    ]
    places = np.searchsorted(ordered, np.sort(np.r_[*cuts, begins]))
    places = np.unique(np.r_[0, places[places < len(ordered)]])
    sizes = np.diff(np.r_[places, len(ordered)])
    return (places, sizes) if rising else ((len(ordered) - places - sizes)[::-1], sizes[::-1])


def _constant_offsets(low: int, high: int, zone: tzinfo) -> tuple[list[int], list[int], list[int]]:
    """Split ``[low, high]`` at the clock changes: starts, ends and offsets from UTC, in microseconds."""
    days = np.arange(low // DAY, high // DAY + 2)
    offset = utc_offset_in(zone)
    midnights = np.clip(days, FIRST_DAY, LAST_DAY) * (DAY // SECOND)
    by_day = [0] if zone is UTC else [offset(midnight) for midnight in midnights.tolist()]
    changed = np.flatnonzero(np.diff(by_day)).tolist()
    seconds = (days * (DAY // SECOND)).tolist()
    changes = [first_change(seconds[day], seconds[day + 1], zone) * SECOND for day in changed]
    offsets = [by_day[0], *(by_day[day + 1] for day in changed)]
    return [low, *changes], [*changes, high], [seconds * SECOND for seconds in offsets]


def edges(starts: Ints, freq: Freq, zone: tzinfo) -> Ints:
    """Return the edges of all buckets from the first to the last of `starts`, empty ones included.

    Returns
    -------
    int64 array, ascending
        Microseconds since 1970, UTC: the start of each bucket, and the end of the last.
    """
    step = HOUR // 4 if freq.unit == "h" else DAY // 2
    first, last = int(starts.min()), int(starts.max())
    grid = np.arange(first, last + freq.max_days() * DAY, step, dtype=np.int64)
    every = bucket(grid, freq, zone)[1]
    every = np.union1d(every[every >= first], starts)
    result: Ints = every[: np.searchsorted(every, last) + 2]
    return result


def _hours(instants: Ints, local: Ints, offsets: Ints, zone: tzinfo) -> tuple[Ints, Ints]:
    floors = instants - local % HOUR
    codes, hours = _factorize(floors // SECOND * (4 * DAY // SECOND) + offsets // SECOND)
    first = np.zeros(len(hours), np.int64)
    first[codes] = np.arange(len(codes))
    starts, expected = floors[first], offsets[first]
    for odd in np.flatnonzero(_offsets(starts, zone) != expected):  # the clocks changed within this hour
        seconds = int(starts[odd]) // SECOND
        starts[odd] = first_change(seconds, seconds + 3600, zone) * SECOND
    return _merge(codes, starts)


def _billed(instants: Ints, local: Ints, freq: Freq, zone: tzinfo) -> tuple[Ints, Ints]:
    codes, days = _factorize(local // DAY)
    months = _months(days)
    needed = np.unique(np.r_[months, months + 1])
    resets = _resets(needed, freq, zone)
    current, following = (resets[np.searchsorted(needed, month)][codes] for month in (months, months + 1))
    months = months[codes] - (instants < current) + (instants >= following)  # the latter: a month's last hours repeat
    codes, months = _factorize(months - (months - freq.anchor) % freq.count)
    return codes, _resets(months, freq, zone)


def _resets(months: Ints, freq: Freq, zone: tzinfo) -> Ints:
    """Return the instant of the reset in each month, in microseconds."""
    first, end = _month_starts(months), _month_starts(months + 1)
    walls = np.minimum(first + freq.day - 1, end - 1) * (DAY // SECOND) + freq.time
    starts = walls if zone is UTC else np.array([first_instant(int(wall), zone) for wall in walls], np.int64)
    if freq.reset is not None:
        reset_month = np.datetime64(wall_time(freq.reset, zone), "M").astype(np.int64)
        starts = np.where(months == reset_month, freq.reset, starts)
    return starts * SECOND


def _months(days: Ints) -> Ints:
    months: Ints = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return months


def _month_starts(months: Ints) -> Ints:
    days: Ints = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return days


def _first_days(days: Ints, freq: Freq) -> Ints:
    if freq.unit == "D":
        return days
    if freq.unit == "W":
        return days - (days + 3 - freq.anchor) % 7  # 1970-01-01 was a Thursday
    months = _months(days)
    return _month_starts(months - (months - freq.anchor) % freq.count)


def _offsets(instants: Ints, zone: tzinfo) -> Ints:
    """Return the offset from UTC at each instant, in microseconds. No zone changes twice within three days."""
    if zone is UTC:
        return np.zeros(len(instants), np.int64)
    codes, days = _factorize(instants // DAY)
    offset = utc_offset_in(zone)
    seconds = np.clip(days, FIRST_DAY, LAST_DAY) * (DAY // SECOND)
    before = np.array([offset(int(start)) for start in seconds], np.int64)
    after = np.array([offset(int(start) + DAY // SECOND) for start in seconds], np.int64)
    result: Ints = before[codes] * SECOND
    odd = np.flatnonzero(before != after)
    if len(odd):
        change = np.full(len(days), np.iinfo(np.int64).max)
        change[odd] = [first_change(int(start), int(start) + DAY // SECOND, zone) * SECOND for start in seconds[odd]]
        late = instants >= change[codes]
        result[late] = after[codes[late]] * SECOND
    return result


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
