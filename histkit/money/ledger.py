"""The credit ledger: the counters of the rows chained into what was seen, what was spent unseen, and billing resets.

Each row saw the account's counter go ``from`` one value ``to`` another. Rows are parted into cycles at the resets; in
each cycle they are swept in the order of the counter, not of the clock, because generations that ran side by side are
dated in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

import numpy as np
import pandas as pd

from histkit.frame.columns import whole_numbers
from histkit.frame.dates import instants_of
from histkit.frame.schema import require
from histkit.usage.buckets import bucket
from histkit.usage.clock import SECOND, timestamps, zone_of
from histkit.usage.periods import parse_freq
from histkit.util.arrays import Ints, Mask, add_by_code

FROM, TO = "character_count_change_from", "character_count_change_to"
SUMS = ("rows", "chained", "seen", "unseen", "overlap", "resets")
NOTE = "An estimate: a gap is everything that is not in this frame, also rows that were filtered out."
_MOST = 10**11  # no counter of credits is larger: forty million of them still add up within 64 bits
_CALL = 120 * SECOND
_TIERS = ((3600 * SECOND, 1), (_CALL, 2))  # so long after, a row is low below the counter, below half of the counter


@dataclass(frozen=True)
class Entries:
    """What the rows of one account tell of its counter, row by row; arrays of shape (rows that have counters,).

    Attributes
    ----------
    rows : int64 array
        Positions in the frame.
    times : int64 array
        Microseconds since 1970, UTC.
    spent, unseen, overlap : int64 arrays
        Credits, none negative. In each cycle the counter grew by ``spent + unseen - overlap``.
    chained, concurrent : bool arrays
        Whether ``from`` is the counter before, or lies below it.
    cycles, counters : int64 arrays
        Which cycle the row ended in, 0 is the oldest, and at which counter.
    reset_rows : int64 array, shape (resets,)
        Positions in these arrays: the first row after each reset.
    """

    rows: Ints
    times: Ints
    spent: Ints
    unseen: Ints
    overlap: Ints
    chained: Mask
    concurrent: Mask
    cycles: Ints
    counters: Ints
    reset_rows: Ints


def ledger(frame: pd.DataFrame, freq: str = "D", *, tz: str | tzinfo = "UTC") -> pd.DataFrame:
    """Chain the credit counters of the rows: what was seen, what was spent unseen, and billing resets, by period.

    Parameters
    ----------
    frame : pandas.DataFrame
        A whole history; needs ``date``, ``credits``, ``character_count_change_from`` and ``_to``. With several values
        in a column ``account`` (a missing one is a value too), each account has its own ledger.
    freq : str, default "D"
        Length of the periods, as `histkit.usage_table` takes it.
    tz : str or tzinfo, default "UTC"
        IANA name of the zone whose clock tells the periods apart.

    Returns
    -------
    pandas.DataFrame
        On a RangeIndex, oldest first, one row for each period in which there are rows with counters: ``account`` (as it
        is, only where there are several), ``period`` (``datetime64[us, tz]``, first instant), and as Int64

        - ``rows``: rows with counters
        - ``chained``: those that start where the counter stood
        - ``seen``: the sum of their ``credits``; missing where none is known
        - ``unseen``: an estimate of the credits spent outside these rows (music, effects, deleted rows, other seats)
        - ``overlap``: credits of rows that ran side by side and that the counter never showed; mostly 0
        - ``resets``: billing resets
        - ``counter``: the highest value of the counter that is known at the end of the period, in its last cycle

        ``attrs["histkit"]``: ``estimate`` (True), ``seen``, ``unseen``, ``overlap``, ``resets`` (instants, ISO 8601:
        the first row after each), ``chained`` (share of the rows that have one before them, None without any),
        ``concurrent`` (rows that start below the counter), ``rows``, ``rows_without_counters``, ``rows_without_date``,
        ``note``.

    Raises
    ------
    InputError
        `freq` or `tz` can't be used.
    SchemaError
        The frame lacks a column, or one holds something else than it should.

    Notes
    -----
    From the first value of the counter (0 after a reset) to its last, each cycle grew by ``seen + unseen - overlap``.
    A gap counts in the period of the row that shows it, the next one. What was spent between the last row before a
    reset and the reset itself can't be known and is in no number; what was spent between the reset and the first row
    after it is unseen, taking it that the counter starts again at 0.

    A reset is where a row starts below half of what the counter was two minutes earlier, or anywhere below what it was
    an hour earlier: calls that take up to two minutes never look like one. A row that itself ends below half of where
    it began is one too. Where all rows before a fall are less than two minutes older, it is taken for rows that ran
    side by side. A row that runs over a reset has no known price; what the counter shows of it is unseen.

    Rows that read the counter at the same moment count double; a gap that follows is taken for their credits first. So
    rows side by side never make unseen credits, and these are rather too low.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.money.ledger import ledger
    >>> df = hk.sample_history(2000)
    >>> table = ledger(df, "MS")
    >>> bool(table["seen"].sum() == df["credits"].sum())
    True
    >>> bool(table["resets"].sum() == len(table.attrs["histkit"]["resets"]))
    True
    """
    length, zone = parse_freq(freq), zone_of(tz)
    require(frame, ("date", "credits", FROM, TO), "the ledger")
    groups = _accounts(frame)
    counters = frame[["date", FROM, TO]]
    whole = [chain_counters(counters.iloc[rows], rows) for rows in groups]
    credits, known = whole_numbers(frame["credits"])
    times = np.concatenate([each.times for each in whole])
    codes, starts = bucket(times, length, zone)
    order = np.argsort(starts)
    places = np.empty(len(starts), np.int64)
    places[order] = np.arange(len(starts))
    parts = np.split(places[codes], np.cumsum([len(each.times) for each in whole])[:-1])
    tables = [_table(*each, credits, known) for each in zip(whole, parts, strict=True)]
    table = pd.concat(tables, ignore_index=True)
    table["period"] = timestamps(starts[order], zone)[table["period"].to_numpy()]
    if len(groups) > 1:
        owners = np.repeat([rows[0] for rows in groups], [len(each) for each in tables])
        table.insert(0, "account", frame["account"].iloc[owners].array)
    table.attrs["histkit"] = _facts(frame, whole, table)
    return table


def chain_counters(frame: pd.DataFrame, rows: Ints | None = None) -> Entries:
    """Chain the counters of one account's rows; `rows` are their positions in a larger frame, if there is one."""
    times, dated = instants_of(frame["date"])
    (before, has_from), (after, has_to) = whole_numbers(frame[FROM]), whole_numbers(frame[TO])
    usable = dated & has_from & has_to & (np.minimum(before, after) >= 0) & (np.maximum(before, after) <= _MOST)
    kept = np.flatnonzero(usable)
    times, before, after = times[kept], before[kept], after[kept]
    fallen = np.flatnonzero(after < before)  # such a row saw two values and no price: two points
    points = _Points(
        np.r_[times, times[fallen]],
        np.r_[before, after[fallen]],
        np.r_[np.maximum(before, after), after[fallen]],
        np.r_[np.zeros(len(kept), np.int64), np.where(2 * after < before, before, 0)[fallen]],
    )
    owners = np.r_[np.arange(len(kept)), fallen]
    cycles, opening = _cycles(points)
    unseen, overlap, chained, concurrent = _sweep_cycles(points, cycles)
    unseen, overlap = (add_by_code(each, owners, len(kept)) for each in (unseen, overlap))
    chained, concurrent = chained[: len(kept)], concurrent[: len(kept)]
    cycles[fallen] = cycles[len(kept) :]
    spent, kept = np.maximum(after - before, 0), kept if rows is None else rows[kept]
    reset_rows = owners[opening]
    return Entries(kept, times, spent, unseen, overlap, chained, concurrent, cycles[: len(kept)], after, reset_rows)


def several_accounts(frame: pd.DataFrame) -> bool:
    """Tell whether the rows are of more than one account; rows without a name are one, too."""
    return "account" in frame.columns and frame["account"].nunique(dropna=False) > 1


@dataclass(frozen=True)
class _Points:
    """Views of the counter: when, before and after what, and for the second view of a row that fell: from where."""

    times: Ints
    before: Ints
    after: Ints
    heights: Ints


def _accounts(frame: pd.DataFrame) -> list[Ints]:
    """Give the rows of each account, by name; rows without a name come last."""
    if not several_accounts(frame):
        return [np.arange(len(frame))]
    codes, names = pd.factorize(frame["account"])
    order = [*sorted(range(len(names)), key=lambda code: str(names[code])), -1]
    return [rows for rows in (np.flatnonzero(codes == code) for code in order) if len(rows)]


def _cycles(points: _Points) -> tuple[Ints, Ints]:
    """Give the cycle of each point, and the points that open the second, the third, ..."""
    order = np.lexsort((points.heights, points.after, points.before, points.times))
    opening, late = _resets(_Points(*(each[order] for each in vars(points).values())))
    marks = np.zeros(len(order), np.int64)
    marks[opening] = 1
    cycles = np.empty(len(order), np.int64)
    cycles[order] = np.cumsum(marks) - late
    return cycles, order[opening]


def _resets(points: _Points) -> tuple[Ints, Mask]:
    """Find the place of the first point after each reset, and the points dated after it that belong before it.

    Where a point lies too low there is a reset between the points it is compared with and itself. One that was found
    already explains all that reach back behind it. Points are sorted by time.
    """
    times, before, after = points.times, points.before, points.after
    since = np.where(points.heights > 0, _windows(times, _CALL)[0], -2)
    for wait, share in _TIERS:
        begin, end = _windows(times, wait)
        since = np.where((end > 0) & (share * before < _highest(times, after, wait)[end - 1]), begin, since)
    opening: list[int] = []
    late = np.zeros(len(times), bool)
    newest = -1
    candidates = np.flatnonzero(since > -2)
    for place, start in zip(candidates.tolist(), since[candidates].tolist(), strict=True):
        if start < newest or late[place]:
            continue
        first, height = place, int(points.heights[place])
        if not height:
            first, height = _find_reset(points, late, place, newest)
        if height:
            opening.append(first)
            newest = first
            _mark_late(points, late, first, height)
    return np.array(opening, np.int64), late


def _find_reset(points: _Points, late: Mask, place: int, newest: int) -> tuple[int, int]:
    """Give the place of the first point after the reset that a low point shows, and the counter before it; else 0."""
    for wait, share in _TIERS[::-1]:
        end = int(np.searchsorted(points.times, points.times[place] - wait, "right"))
        start = int(np.searchsorted(points.times, points.times[end - 1] - wait, "right")) if end else 0
        counters = np.where(late[start:end], 0, points.after[start:end])
        height = int(counters.max(initial=0))
        if start >= newest and share * int(points.before[place]) < height:
            if share == 1:
                return place, height
            top = start + int(np.argmax(counters > 2 * points.before[place]))
            return top + 1 + int(np.argmax(2 * points.before[top + 1 : place + 1] < points.after[top])), height
    return place, 0


def _windows(times: Ints, wait: int) -> tuple[Ints, Ints]:
    """Give the first place, and the one after the last, of the points each is compared with: -1 and 0 for none."""
    end = np.searchsorted(times, times - wait, "right")
    begin = np.searchsorted(times, times[end - 1] - wait, "right")
    return np.where(end > 0, begin, -1), end


def _highest(times: Ints, after: Ints, wait: int) -> Any:
    """Give the highest counter of the points up to each and less than `wait` older."""
    window = pd.Series(after.astype(np.float64), index=pd.DatetimeIndex(times.view("datetime64[us]")))
    return window.rolling(pd.Timedelta(wait, "us")).max().to_numpy()


def _mark_late(points: _Points, late: Mask, first: int, height: int) -> None:
    """Mark points dated up to a call after a reset that belong before it.

    Such a point lies high, and nearer to the counter before the reset than to the one after it.
    """
    times, before, after = points.times, points.before, points.after
    end = int(np.searchsorted(times, times[first] + _CALL, "right"))
    middle = (int(before[first]) + height) / 2
    if 2 * int(before[first]) >= height or before[first:end].max() <= middle:
        return
    begin = int(np.searchsorted(times, times[first] - _CALL, "left"))
    old = max(height, int(after[begin:first].max(initial=0)))
    new = int(after[first])
    for each in range(first + 1, end):
        start, stop = int(before[each]), int(after[each])
        late[each] = start > middle and abs(start - old) < start - new
        old, new = (max(old, stop), new) if late[each] else (old, max(new, stop))


def _sweep_cycles(points: _Points, cycles: Ints) -> tuple[Ints, Ints, Mask, Mask]:
    """Sweep each cycle in the order of the counter, and add up what it must have come to, were each row to add its own.

    By point: how far it starts above that sum (unseen), its part of what the sum stays above the counter in the end
    (overlap), and whether it starts at the counter before it, or below (chained, concurrent).
    """
    order = np.lexsort((points.after, points.before, cycles))
    before, after, own = points.before[order], points.after[order], cycles[order]
    starts = np.flatnonzero(np.diff(own, prepend=-1))
    sizes = np.diff(starts, append=len(own))
    spent = after - before
    added = np.cumsum(spent)
    added -= np.repeat(added[starts] - spent[starts], sizes)
    opening = np.where(own == 0, np.repeat(before[starts], sizes), 0)  # after a reset the counter starts again at 0
    hidden = np.maximum(_running(before - added + spent, starts, sizes), opening)
    shown, counted = _running(after, starts, sizes), hidden + added
    left = -_running((shown - counted)[::-1], len(own) - (starts + sizes)[::-1], sizes[::-1])[::-1]
    unseen, overlap = np.diff(hidden, prepend=0), np.diff(left, prepend=0)
    shown, counted = np.roll(shown, 1), np.roll(counted, 1)
    unseen[starts], overlap[starts] = (hidden - opening)[starts], left[starts]
    shown[starts] = counted[starts] = opening[starts]
    chained, concurrent = (before == shown) | (before == counted), before < shown
    chained[:1] &= own[:1] > 0  # there is nothing before the first
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return unseen[back], overlap[back], chained[back], concurrent[back]


def _running(values: Ints, starts: Ints, sizes: Ints) -> Ints:
    """Give the highest value so far in each block, none of which is empty."""
    if len(starts) < 2:
        return np.maximum.accumulate(values)
    steps = np.maximum.reduceat(values, starts)[:-1] - np.minimum.reduceat(values, starts)[1:]
    lift = np.repeat(np.r_[0, np.cumsum(steps)], sizes)  # so that no block lies below the one before
    highest: Ints = np.maximum.accumulate(values + lift) - lift
    return highest


def _table(whole: Entries, periods: Ints, credits: Ints, known: Mask) -> pd.DataFrame:
    """Sum one account's entries by period; ``period`` holds the number of each."""
    size = int(periods.max(initial=-1)) + 1
    counts = np.bincount(periods, minlength=size)
    unpriced = np.bincount(periods[known[whole.rows]], minlength=size) == 0
    held = np.flatnonzero(counts)
    sums = {
        "rows": counts,
        "chained": np.bincount(periods[whole.chained], minlength=size),
        "seen": add_by_code(credits[whole.rows], periods, size),
        "unseen": add_by_code(whole.unseen, periods, size),
        "overlap": add_by_code(whole.overlap, periods, size),
        "resets": np.bincount(periods[whole.reset_rows], minlength=size),
    }
    data: dict[str, Any] = {"period": held}
    for name in SUMS:
        missing = unpriced[held] if name == "seen" else np.zeros(len(held), bool)
        data[name] = pd.arrays.IntegerArray(sums[name][held].astype(np.int64), missing)
    data["counter"] = pd.array(_last_counters(whole, periods), dtype="Int64")
    return pd.DataFrame(data)


def _last_counters(whole: Entries, periods: Ints) -> Ints:
    """Give the highest counter of the last cycle of each period, up to its end."""
    by = pd.DataFrame({"period": periods, "cycle": whole.cycles, "counter": whole.counters})
    highest = by.groupby(["period", "cycle"], sort=True)["counter"].max()
    highest = highest.groupby(level="cycle").cummax()
    last: Ints = highest.groupby(level="period").last().to_numpy(np.int64)
    return last


def _facts(frame: pd.DataFrame, whole: list[Entries], table: pd.DataFrame) -> dict[str, Any]:
    rows = sum(len(each.times) for each in whole)
    followers = rows - sum(len(each.times) > 0 for each in whole)
    resets = np.sort(np.concatenate([each.times[each.reset_rows] for each in whole])).view("datetime64[us]")
    dateless = int(frame["date"].isna().sum())
    return {
        "estimate": True,
        **{name: int(table[name].sum()) for name in ("seen", "unseen", "overlap")},
        "resets": [f"{each}+00:00" for each in np.datetime_as_string(resets, unit="s").tolist()],
        "chained": int(table["chained"].sum()) / followers if followers else None,
        "concurrent": sum(int(each.concurrent.sum()) for each in whole),
        "rows": rows,
        "rows_without_counters": len(frame) - rows - dateless,
        "rows_without_date": dateless,
        "note": NOTE,
    }
