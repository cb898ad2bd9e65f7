"""Chains of credit counters: each row recorded how the account's counter went ``from`` one value ``to`` another.

The dates of generations that ran concurrently are in no particular order, so the rows are divided into runs between
which the order is certain, and each run is replayed in counter order. Where a run starts below the end of the run
before it, the counter fell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from histkit.frame.clock import HOUR, SECOND
from histkit.frame.columns import whole_numbers
from histkit.frame.dates import instants_of
from histkit.money.falls import ADJUSTMENT, RESET, UNKNOWN, Billing, Falls, Gaps, explain_falls
from histkit.util.arrays import Ints, Mask, add_by_code, running_maximum

FROM, TO = "character_count_change_from", "character_count_change_to"
_MOST = 10**11  # larger counters are treated as errors; forty million of these add up within 64 bits
_CALL = 120 * SECOND  # rows whose dates are this far apart are in order
_LONG_CALL = HOUR  # unless a call was longer and its row fits into a gap of the rows dated before it


@dataclass(frozen=True)
class Entries:
    """The rows of one account that have counters, chained; arrays of shape (rows with counters,).

    Attributes
    ----------
    rows : int64 array
        Positions in the frame.
    times : int64 array
        Microseconds since 1970, UTC.
    spent, unseen, overlap : int64 arrays
        Credits, not negative.
    adjustment : int64 array
        Credits, not positive. In each cycle the counter grew by ``spent + unseen - overlap + adjustment``, apart from
        unknown falls.
    chained, concurrent : bool arrays
        Whether ``from`` equals the counter before the row, or is below it.
    unknown : bool array
        Whether the counter fell before the row for an unknown reason; its other figures are then 0.
    cycles : int64 array
        The billing cycle in which the row ended; 0 is the oldest.
    runs : int64 array
        The run in which the row ended, ascending with time. Within a run the counter only grows.
    counters : int64 array
        The counter at the end of the row.
    first_rows : int64 array, shape (0 or 1,)
        Positions in these arrays: the first row of all, which follows none.
    reset_rows : int64 array, shape (resets,)
        Positions in these arrays: the first row after each reset.
    """

    rows: Ints
    times: Ints
    spent: Ints
    unseen: Ints
    overlap: Ints
    adjustment: Ints
    chained: Mask
    concurrent: Mask
    unknown: Mask
    cycles: Ints
    runs: Ints
    counters: Ints
    first_rows: Ints
    reset_rows: Ints

    def select(self, kept: Mask) -> Entries:
        """Return some of the rows, chained as they are among all.

        A counter is raised to what an earlier row of its run had reached, so that the last counters stay the same.
        """
        if kept.all():
            return self
        earlier = self.times < self.times[kept].min() if kept.any() else ~kept
        reached = np.zeros(int(self.runs.max(initial=0)) + 1, np.int64)
        np.maximum.at(reached, self.runs[earlier], self.counters[earlier])
        place = np.cumsum(kept) - 1
        chosen: dict[str, Any] = {}
        for name, values in vars(self).items():
            positions = name in ("first_rows", "reset_rows")
            chosen[name] = place[values[kept[values]]] if positions else values[kept]
        chosen["counters"] = np.maximum(chosen["counters"], reached[chosen["runs"]])
        return Entries(**chosen)

    @property
    def last_counter(self) -> int:
        """The counter at the end of the last run; there must be a row."""
        return int(self.counters[self.runs == self.runs.max()].max())


def chain_counters(frame: pd.DataFrame, rows: Ints | None = None, billing: Billing | None = None) -> Entries:
    """Chain the counters of one account's rows.

    Parameters
    ----------
    frame : pandas.DataFrame
        Needs ``date``, ``character_count_change_from`` and ``_to``.
    rows : int64 array, optional
        The positions of its rows in a larger frame.
    billing : Billing, optional
        The known dates of the account's billing resets.
    """
    times, dated = instants_of(frame["date"])
    (before, has_from), (after, has_to) = whole_numbers(frame[FROM]), whole_numbers(frame[TO])
    usable = dated & has_from & has_to & (np.minimum(before, after) >= 0) & (np.maximum(before, after) <= _MOST)
    kept = np.flatnonzero(usable)
    times, before, after = times[kept], before[kept], after[kept]
    fallen = np.flatnonzero(2 * after < before)  # a fall within the row: two readings and no price
    ends = after.copy()
    ends[fallen] = before[fallen]
    points = _Points(
        np.r_[times, times[fallen]],
        np.r_[before, after[fallen]],
        np.r_[ends, after[fallen]],
        np.r_[np.zeros(len(kept), np.int64), before[fallen]],
    )
    owners = np.r_[np.arange(len(kept)), fallen]
    order, runs = _order(points)
    points, owners = _take(points, order), owners[order]
    links = _replay(points, runs, billing)
    size = len(kept)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    first, last = place[:size], place[:size].copy()
    last[fallen] = place[size:]
    unknown = np.zeros(size, bool)
    unknown[owners[links.unknown]] = True
    return Entries(
        rows=kept if rows is None else rows[kept],
        times=times,
        spent=np.maximum(after - before, 0),
        unseen=add_by_code(links.unseen, owners, size),
        overlap=add_by_code(links.overlap, owners, size),
        adjustment=add_by_code(links.adjustment, owners, size),
        chained=links.chained[first],
        concurrent=links.concurrent[first],
        unknown=unknown,
        cycles=links.cycles[last],
        runs=runs[last],
        counters=after,
        first_rows=owners[:1],
        reset_rows=owners[links.resets],
    )


@dataclass(frozen=True)
class _Points:
    """Readings of the counter: time, value before and after; for the second reading of a falling row also its start."""

    times: Ints
    before: Ints
    after: Ints
    heights: Ints


def _take(points: _Points, places: Any) -> _Points:
    return _Points(*(values[places] for values in vars(points).values()))


def _order(points: _Points) -> tuple[Ints, Ints]:
    """Return the order in which the counter took its values, and the run of each point in this order."""
    order = np.argsort(points.times, kind="stable")
    order = order[_order_within(points.times[order], *(values[order] for values in vars(points).values()))]
    runs = _runs(_take(points, order))
    if (runs[1:] < runs[:-1]).any():
        by_run = np.argsort(runs, kind="stable")
        order, runs = order[by_run], runs[by_run]
    return order[_order_within(runs, points.before[order], points.after[order])], runs


def _order_within(groups: Ints, *keys: Ints) -> Ints:
    """Return the order by the keys within each group; `groups` ascends. Groups that are in order cost little."""
    wrong = np.zeros(max(len(groups) - 1, 0), bool)
    equal = groups[1:] == groups[:-1]
    for key in keys:
        wrong |= equal & (key[1:] < key[:-1])
        equal &= key[1:] == key[:-1]
    order = np.arange(len(groups))
    if wrong.any():
        group = np.cumsum(np.diff(groups, prepend=groups[:1]) != 0)
        unsorted = np.zeros(int(group[-1]) + 1, bool)
        unsorted[group[1:][wrong]] = True
        places = np.flatnonzero(unsorted[group])
        order[places] = places[np.lexsort((*(key[places] for key in keys[::-1]), group[places]))]
    return order


def _runs(points: _Points) -> Ints:
    """Divide points that are sorted by time into runs, between which the order is certain.

    A run ends where a call's length passes without a row, and where the counter falls below its value a call earlier.
    """
    times = points.times
    starts = np.diff(times, prepend=times[:1] - _CALL) >= _CALL
    highest, end = _highest(points)
    opening, late = _low_falls(points, highest, end)
    starts[opening] = True
    _split_falls(points, starts, end, opening, late)
    runs: Ints = np.cumsum(starts)
    if late.any():
        places = np.flatnonzero(late)
        runs[places] = runs[opening[np.searchsorted(opening, places, "right") - 1]] - 1
    return runs


def _split_falls(points: _Points, starts: Mask, end: Ints, opening: Ints, late: Mask) -> None:
    """Start runs where the counter fell, and join those that only a long call parted; changes `starts`.

    The row of a long call is dated after rows that started after it. In counter order it fills a gap between them.
    """
    count = len(starts)
    counters = np.where(late, 0, points.after)
    heads = np.flatnonzero(starts)
    sizes = np.diff(heads, append=count)
    run = np.repeat(np.arange(len(heads)), sizes)
    highest = running_maximum(counters, heads, sizes)
    fallen = (end > heads[run]) & (points.before < highest[end - 1]) & ~late
    sessions = np.diff(points.times, prepend=points.times[:1] - _LONG_CALL) >= _LONG_CALL
    sessions[opening] = True
    begin = np.flatnonzero(sessions)
    session_sizes = np.diff(begin, append=count)
    earlier = np.roll(running_maximum(counters, begin, session_sizes), 1)[heads]
    earlier[sessions[heads]] = 0
    sunk = (points.before < earlier[run]) & ~late
    if not (fallen.any() or sunk.any()):
        return
    follower = _gap_fillers(points, np.repeat(np.arange(len(begin)), session_sizes), sunk | fallen)
    fallen &= follower < 0
    joins = np.zeros(len(heads) + 1, np.int64)
    parted = np.zeros(len(heads), bool)
    parted[run[sunk & (follower < 0)]] = True
    fills = np.flatnonzero(sunk & (follower >= 0) & ~parted[run])
    np.add.at(joins, run[follower[fills]] + 1, 1)
    np.add.at(joins, run[fills] + 1, -1)
    holder = np.maximum.accumulate(np.where(counters == highest, np.arange(count), 0))
    starts[heads[np.cumsum(joins)[:-1] > 0]] = False
    starts[opening] = True
    starts[np.roll(holder, 1)[fallen] + 1] = True


def _gap_fillers(points: _Points, session: Ints, wanted: Mask) -> Ints:
    """Return, for each point that fills a gap in counter order, the point after the gap; -1 for others.

    That point is dated earlier, but not by more than a long call. Only sessions with a wanted point are looked at.
    """
    affected = np.zeros(len(session), bool)
    affected[session[wanted]] = True
    places = np.flatnonzero(affected[session])
    order = places[np.lexsort((points.after[places], points.before[places], session[places]))]
    starts = np.flatnonzero(np.diff(session[order], prepend=-1))
    reached = running_maximum(points.after[order], starts, np.diff(starts, append=len(order)))
    here, after_it = order[:-1], order[1:]
    lower = np.roll(reached, 1)
    lower[starts] = 0
    passed = points.times[here] - points.times[after_it]
    fits = (session[here] == session[after_it]) & (passed >= 0) & (passed < _LONG_CALL)
    fits &= (points.before[here] >= lower[:-1]) & (points.after[here] <= points.before[after_it])
    follower = np.full(len(session), -1)
    follower[here[fits]] = after_it[fits]
    return follower


def _low_falls(points: _Points, highest: Any, end: Ints) -> tuple[Ints, Mask]:
    """Find the first point after each fall below half, and the points dated after it that belong before it.

    Such a point is below half of the counter a call earlier, or contains the fall. Points whose window starts before a
    fall that is already known are explained by it.
    """
    times, before = points.times, points.before
    low = (end > 0) & (2 * before < highest[end - 1])
    candidates = np.flatnonzero(low | (points.heights > 0))
    ends = end[candidates]
    begins = np.where(ends > 0, np.searchsorted(times, times[ends - 1] - _CALL, "right"), -1)  # -1: an empty window
    opening: list[int] = []
    late = np.zeros(len(times), bool)
    newest = -1
    for place, start, stop in zip(candidates.tolist(), begins.tolist(), ends.tolist(), strict=True):
        if start < newest or late[place]:
            continue
        first, height = place, int(points.heights[place])
        if not height:
            first, height = _find_fall(points, late, place, slice(start, stop))
        if height:
            opening.append(first)
            newest = first
            _mark_late(points, late, first, height)
    return np.array(opening, np.int64), late


def _find_fall(points: _Points, late: Mask, place: int, window: slice) -> tuple[int, int]:
    """Return the first point after the fall that a low point implies, and the counter before it (0: no fall).

    The window is a call's length that ends a call before the point.
    """
    counters = np.where(late[window], 0, points.after[window])
    height = int(counters.max(initial=0))
    if 2 * int(points.before[place]) >= height:
        return place, 0
    top = window.start + int(np.argmax(counters > 2 * points.before[place]))
    return top + 1 + int(np.argmax(2 * points.before[top + 1 : place + 1] < points.after[top])), height


def _highest(points: _Points) -> tuple[Any, Ints]:
    """Return the running maximum of the counter over a call's length, and the end of what is a call before each point.

    So ``highest[end - 1]`` is the counter that a point is compared with, if its `end` is not 0.
    """
    window = pd.Series(points.after.astype(np.float64), index=pd.DatetimeIndex(points.times.view("datetime64[us]")))
    highest = window.rolling(pd.Timedelta(_CALL, "us")).max().to_numpy()
    return highest, np.searchsorted(points.times, points.times - _CALL, "right")


def _mark_late(points: _Points, late: Mask, first: int, height: int) -> None:
    """Mark points dated up to a call after a reset that belong before it.

    The counter of such a point is high, and closer to the highest counter before the reset than to the highest one
    after it. Both rise from point to point; once they meet, no later point is closer to the former.
    """
    times, before, after = points.times, points.before, points.after
    end = int(np.searchsorted(times, times[first] + _CALL, "right"))
    if 2 * int(before[first]) >= height:
        return
    high = 2 * before[first:end] > int(before[first]) + height
    places = np.flatnonzero(high)
    if not len(places):
        return
    begin = int(np.searchsorted(times, times[first] - _CALL, "left"))
    old = max(height, int(after[begin:first].max(initial=0)))
    reached = np.maximum.accumulate(np.where(high, 0, after[first:end]))  # by the points that can't be late
    new = 0
    late[first + 1 : end] = False  # what was late for the reset before is decided again
    starts, stops = before[first:end][places], after[first:end][places]
    rows = zip(places.tolist(), starts.tolist(), stops.tolist(), reached[places].tolist(), strict=True)
    for place, start, stop, others in rows:
        new = max(new, others)
        if new >= old:
            break
        if 2 * start > old + new:
            late[first + place] = True
            old = max(old, stop)
        else:
            new = max(new, stop)


@dataclass(frozen=True)
class _Links:
    """How each point follows the one before it; `resets` are the first dated points after resets."""

    unseen: Ints
    overlap: Ints
    adjustment: Ints
    chained: Mask
    concurrent: Mask
    unknown: Mask
    cycles: Ints
    resets: Ints


def _replay(points: _Points, runs: Ints, billing: Billing | None) -> _Links:
    """Replay the points, which are in counter order within each run.

    The level of a point is its counter less the credits of all points before it. Within a block it only rises, by
    unseen credits: a point below it started before others were charged. Blocks start at the level of their first point.
    """
    count = len(runs)
    before, after = points.before, points.after
    spent = after - before
    added = np.cumsum(spent)
    level = before - added + spent
    starts = np.flatnonzero(_blocks(points, runs, level, spent))
    sizes = np.diff(starts, append=count)
    reached = running_maximum(level, starts, sizes)
    counted = running_maximum(np.maximum(before, after), starts, sizes)
    unseen, overlap = np.diff(reached, prepend=reached[:1]), np.zeros(count, np.int64)
    adjustment = np.minimum(spent, 0)  # of a row whose counter fell a little
    expected = reached + added  # the counter after each point, if all before it are charged
    heads, tails = starts[1:], starts[1:] - 1
    landings, heights = before[heads], np.minimum(counted[tails], expected[tails])
    unseen[heads] = np.maximum(landings - expected[tails], 0)
    fallen = np.flatnonzero(landings < heights)
    resets = unknown_falls = earliest = np.zeros(0, np.int64)
    if len(fallen):
        since = np.maximum.reduceat(points.times, starts)[fallen]
        until = np.maximum(np.minimum.reduceat(points.times, starts)[fallen + 1], since)
        falls = Falls(heights[fallen], landings[fallen], since, until)
        by_time = np.argsort(points.times, kind="stable")
        gaps = Gaps(points.times[by_time], unseen[by_time])
        kinds = explain_falls(falls, int(spent.max()), billing, gaps)
        adjusted, reset = fallen[kinds == ADJUSTMENT], fallen[kinds == RESET]
        adjustment[heads[adjusted]] += (landings - heights)[adjusted]
        unseen[heads[reset]] = landings[reset]
        resets, unknown_falls = heads[reset], heads[fallen[kinds == UNKNOWN]]
        spans = zip(resets.tolist(), np.r_[heads, count][reset + 1].tolist(), strict=True)
        earliest = np.array([start + int(np.argmin(points.times[start:stop])) for start, stop in spans], np.int64)
    unshown = np.flatnonzero(expected > counted)
    unshown = unshown[np.isin(unshown, np.r_[tails, count - 1])]
    follower = np.where(unshown + 1 < count, np.roll(before, -1)[unshown], 0)
    follower[np.isin(unshown + 1, np.r_[resets, unknown_falls])] = 0
    overlap[unshown] = expected[unshown] - np.maximum(counted[unshown], np.minimum(follower, expected[unshown]))
    concurrent = before < np.roll(counted, 1)
    concurrent[starts] = False
    for figures in (counted, expected):  # the counter before each point
        figures[1:] = figures[:-1].copy()
        figures[resets] = 0
    chained = (before == counted) | (before == expected)
    chained[:1] = False  # nothing is before the first
    cycles = np.zeros(count, np.int64)
    cycles[resets] = 1
    unknown = np.zeros(count, bool)
    unknown[unknown_falls] = True
    return _Links(unseen, overlap, adjustment, chained, concurrent, unknown, np.cumsum(cycles), earliest)


def _blocks(points: _Points, runs: Ints, level: Ints, spent: Ints) -> Mask:
    """Return which points start a block: the first of each run, and those from which the level stays lower.

    Calls that were still running would have been charged within two calls' time and raised the level again. Where rows
    start at the same counter, such calls can follow one another without end, so the level is not trusted.
    """
    times, count = points.times, len(runs)
    marks = np.diff(runs, prepend=runs[:1] - 1) > 0
    starts = np.flatnonzero(marks)
    top = running_maximum(level, starts, np.diff(starts, append=count))
    if not (level < top).any():
        return marks
    stretches = np.flatnonzero(marks | (np.diff(level, prepend=level[:1]) != 0))
    last = np.r_[stretches[1:], count] - 1
    same = (np.diff(points.before, prepend=-1) == 0) & (spent > 0) & (np.roll(spent, 1) > 0) & ~marks
    same &= np.abs(times - np.roll(times, 1)) < _CALL
    shared = np.cumsum(same)
    holder = np.maximum.accumulate(np.where(level == top, np.arange(count), 0))
    steady = (level < top)[stretches] & (times[last] - times[stretches] >= 2 * _CALL)
    steady &= shared[stretches] == shared[holder[stretches]]
    marks[stretches[steady]] = True
    return marks
