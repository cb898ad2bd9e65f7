"""Buckets of time: instants in, the local hours, days, weeks and months that hold them out.

An instant belongs to the bucket of what a clock in the zone shows, so each belongs to exactly one. A bucket starts at
its first instant: 01:00 on a day whose midnight the clocks skip, the earlier of two midnights. Hours are also told
apart by their offset from UTC: the hour that the autumn repeats makes two buckets. A billing period is the time from
one reset to the next: it starts where the clock first shows the time of the reset.
"""

from __future__ import annotations

from datetime import UTC, tzinfo

import numpy as np
import pandas as pd

from histkit.usage.clock import _FIRST_DAY, _LAST_DAY, DAY, HOUR, SECOND, _change, _first_instant, _offset_of, wall_time
from histkit.usage.periods import Freq
from histkit.util.arrays import Ints

_FEW = 5_000  # rows that are not worth a look at their order


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
