"""The credit ledger: chain the counters of the rows to find seen and unseen credits and billing resets.

Each row recorded how the account's counter went ``from`` one value ``to`` another. The rows are divided into billing
cycles at the resets. Each cycle is replayed in counter order, not in order of time, because the dates of generations
that ran concurrently are in no particular order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

import numpy as np
import pandas as pd

from histkit.frame.clock import SECOND, timestamps, zone_of
from histkit.frame.columns import whole_numbers
from histkit.frame.dates import instants_of
from histkit.frame.keys import refuse_duplicates
from histkit.frame.schema import require
from histkit.usage.buckets import bucket
from histkit.usage.periods import parse_freq
from histkit.util.arrays import Ints, Mask, add_by_code

FROM, TO = "character_count_change_from", "character_count_change_to"
SUMS = ("rows", "chained", "seen", "unseen", "overlap", "resets")
NOTE = "An estimate: a gap is everything that is not in this frame, also rows that were filtered out."
_MOST = 10**11  # larger counters are treated as errors; forty million of these add up within 64 bits
_CALL = 120 * SECOND
_TIERS = ((3600 * SECOND, 1), (_CALL, 2))  # this long after a counter, a row below it, or half of it, implies a reset


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
        Credits, not negative. In each cycle the counter grew by ``spent + unseen - overlap``.
    chained, concurrent : bool arrays
        Whether ``from`` equals the counter before the row, or is below it.
    cycles, counters : int64 arrays
        The cycle in which the row ended (0 is the oldest), and the counter at its end.
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
    """Chain the credit counters of the rows: seen and unseen credits and billing resets by period.

    Parameters
    ----------
    frame : pandas.DataFrame
        The complete history; needs ``date``, ``credits``, ``character_count_change_from`` and ``_to``. With several
        values in a column ``account`` (missing counts as a value), each account has its own ledger.
    freq : str, default "D"
        Length of the periods, as `histkit.usage_table` takes it.
    tz : str or tzinfo, default "UTC"
        Zone of the periods, an IANA name.

    Returns
    -------
    pandas.DataFrame
        With a RangeIndex, oldest first, one row for each period that has rows with counters: ``account`` (in its dtype,
        only if there are several), ``period`` (``datetime64[us, tz]``, first instant), and as Int64

        - ``rows``: rows with counters
        - ``chained``: rows that start at the counter before them
        - ``seen``: the sum of their ``credits``; missing if none is known
        - ``unseen``: an estimate of the credits spent outside these rows (music, effects, deleted rows, other seats)
        - ``overlap``: credits of concurrent rows that the counter never showed; usually 0
        - ``resets``: billing resets
        - ``counter``: the highest known counter of the last cycle at the end of the period

        ``attrs["histkit"]``: ``estimate`` (True), ``seen``, ``unseen``, ``overlap``, ``resets`` (instants of the first
        row after each, ISO 8601), ``chained`` (share of the rows that have a row before them; None if none has),
        ``concurrent`` (rows that start below the counter), ``rows``, ``rows_without_counters``, ``rows_without_date``,
        ``note``.

    Raises
    ------
    InputError
        `freq` or `tz` is invalid.
    SchemaError
        The frame lacks a column, or a column has values of another type.

    Notes
    -----
    From its first counter (0 after a reset) to its last, each cycle grew by ``seen + unseen - overlap``. A gap counts
    in the period of the row after it. Credits spent between the last row before a reset and the reset itself are
    unknown and not counted; credits spent between the reset and the first row after it are unseen, assuming that the
    counter restarts at 0.

    A counter below the running maximum implies a reset in between, if it is below half of the counter two minutes
    earlier, or below the counter one hour earlier; so calls of up to two minutes are never mistaken for a reset. A row
    that ends below half of its own start contains a reset. If all rows before a drop are less than two minutes older,
    they are treated as concurrent rows. A row that spans a reset has no known price; what the counter shows of it is
    unseen.

    Rows that read the counter at the same time count twice; a gap after them is attributed to their credits first. So
    concurrent rows never produce unseen credits, and ``unseen`` is rather too low.

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
    refuse_duplicates(frame, "the ledger")
    groups = _accounts(frame)
    counters = frame[["date", FROM, TO]]
    entries = [chain_counters(counters.iloc[rows], rows) for rows in groups]
    credits, known = whole_numbers(frame["credits"])
    times = np.concatenate([chained.times for chained in entries])
    codes, starts = bucket(times, length, zone)
    order = np.argsort(starts)
    places = np.empty(len(starts), np.int64)
    places[order] = np.arange(len(starts))
    parts = np.split(places[codes], np.cumsum([len(chained.times) for chained in entries])[:-1])
    tables = [_table(chained, periods, credits, known) for chained, periods in zip(entries, parts, strict=True)]
    table = pd.concat(tables, ignore_index=True)
    table["period"] = timestamps(starts[order], zone)[table["period"].to_numpy()]
    if len(groups) > 1:
        owners = np.repeat([rows[0] for rows in groups], [len(part) for part in tables])
        table.insert(0, "account", frame["account"].iloc[owners].array)
    table.attrs["histkit"] = _facts(frame, entries, table)
    return table


def chain_counters(frame: pd.DataFrame, rows: Ints | None = None) -> Entries:
    """Chain the counters of one account's rows; `rows` are their positions in a larger frame, if there is one."""
    times, dated = instants_of(frame["date"])
    (before, has_from), (after, has_to) = whole_numbers(frame[FROM]), whole_numbers(frame[TO])
    usable = dated & has_from & has_to & (np.minimum(before, after) >= 0) & (np.maximum(before, after) <= _MOST)
    kept = np.flatnonzero(usable)
    times, before, after = times[kept], before[kept], after[kept]
    fallen = np.flatnonzero(after < before)  # such a row has two readings and no price
    points = _Points(
        np.r_[times, times[fallen]],
        np.r_[before, after[fallen]],
        np.r_[np.maximum(before, after), after[fallen]],
        np.r_[np.zeros(len(kept), np.int64), np.where(2 * after < before, before, 0)[fallen]],
    )
    owners = np.r_[np.arange(len(kept)), fallen]
    cycles, opening = _cycles(points)
    unseen, overlap, chained, concurrent = _replay_cycles(points, cycles)
    unseen, overlap = (add_by_code(credits, owners, len(kept)) for credits in (unseen, overlap))
    chained, concurrent = chained[: len(kept)], concurrent[: len(kept)]
    cycles[fallen] = cycles[len(kept) :]
    spent, kept = np.maximum(after - before, 0), kept if rows is None else rows[kept]
    reset_rows = owners[opening]
    return Entries(kept, times, spent, unseen, overlap, chained, concurrent, cycles[: len(kept)], after, reset_rows)


def several_accounts(frame: pd.DataFrame) -> bool:
    """Return whether the rows belong to more than one account; a missing name counts as an account."""
    return "account" in frame.columns and frame["account"].nunique(dropna=False) > 1


@dataclass(frozen=True)
class _Points:
    """Readings of the counter: time, value before and after; for the second reading of a falling row also its start."""

    times: Ints
    before: Ints
    after: Ints
    heights: Ints


def _accounts(frame: pd.DataFrame) -> list[Ints]:
    """Return the rows of each account, sorted by name; rows without a name come last."""
    if not several_accounts(frame):
        return [np.arange(len(frame))]
    codes, names = pd.factorize(frame["account"])
    order = [*sorted(range(len(names)), key=lambda code: str(names[code])), -1]
    return [rows for rows in (np.flatnonzero(codes == code) for code in order) if len(rows)]


def _cycles(points: _Points) -> tuple[Ints, Ints]:
    """Return the cycle of each point, and the first points of all cycles but the oldest."""
    order = np.lexsort((points.heights, points.after, points.before, points.times))
    opening, late = _resets(_Points(*(values[order] for values in vars(points).values())))
    marks = np.zeros(len(order), np.int64)
    marks[opening] = 1
    cycles = np.empty(len(order), np.int64)
    cycles[order] = np.cumsum(marks) - late
    return cycles, order[opening]


def _resets(points: _Points) -> tuple[Ints, Mask]:
    """Find the first point after each reset, and the points dated after a reset that belong before it.

    A counter below the running maximum implies a reset in between. Points whose window starts before a reset that is
    already known are explained by that reset. Points are sorted by time.
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
    """Return the first point after the reset that a low point implies, and the counter before it (0: no reset)."""
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
    """Return start and end of the window of points that each point is compared with; -1 and 0 if it is empty."""
    end = np.searchsorted(times, times - wait, "right")
    begin = np.searchsorted(times, times[end - 1] - wait, "right")
    return np.where(end > 0, begin, -1), end


def _highest(times: Ints, after: Ints, wait: int) -> Any:
    """Return the running maximum of the counter over the last `wait`."""
    window = pd.Series(after.astype(np.float64), index=pd.DatetimeIndex(times.view("datetime64[us]")))
    return window.rolling(pd.Timedelta(wait, "us")).max().to_numpy()


def _mark_late(points: _Points, late: Mask, first: int, height: int) -> None:
    """Mark points dated up to a call after a reset that belong before it.

    The counter of such a point is high, and closer to the counter before the reset than to the one after it.
    """
    times, before, after = points.times, points.before, points.after
    end = int(np.searchsorted(times, times[first] + _CALL, "right"))
    middle = (int(before[first]) + height) / 2
    if 2 * int(before[first]) >= height or before[first:end].max() <= middle:
        return
    begin = int(np.searchsorted(times, times[first] - _CALL, "left"))
    old = max(height, int(after[begin:first].max(initial=0)))
    new = int(after[first])
    for place in range(first + 1, end):
        start, stop = int(before[place]), int(after[place])
        late[place] = start > middle and abs(start - old) < start - new
        old, new = (max(old, stop), new) if late[place] else (old, max(new, stop))


def _replay_cycles(points: _Points, cycles: Ints) -> tuple[Ints, Ints, Mask, Mask]:
    """Replay each billing cycle in counter order and compute the counter the listed rows alone would reach.

    Returns, for each point, how far it starts above that counter (unseen), its part of the excess of that counter over
    the recorded one at the end (overlap), whether it starts at the counter before it (chained) or below it
    (concurrent).
    """
    order = np.lexsort((points.after, points.before, cycles))
    before, after, cycle = points.before[order], points.after[order], cycles[order]
    starts = np.flatnonzero(np.diff(cycle, prepend=-1))
    sizes = np.diff(starts, append=len(cycle))
    spent = after - before
    added = np.cumsum(spent)
    added -= np.repeat(added[starts] - spent[starts], sizes)
    opening = np.where(cycle == 0, np.repeat(before[starts], sizes), 0)  # the counter restarts at 0
    hidden = np.maximum(_running(before - added + spent, starts, sizes), opening)
    replayed, counted = _running(after, starts, sizes), hidden + added
    left = -_running((replayed - counted)[::-1], len(cycle) - (starts + sizes)[::-1], sizes[::-1])[::-1]
    unseen, overlap = np.diff(hidden, prepend=0), np.diff(left, prepend=0)
    replayed, counted = np.roll(replayed, 1), np.roll(counted, 1)
    unseen[starts], overlap[starts] = (hidden - opening)[starts], left[starts]
    replayed[starts] = counted[starts] = opening[starts]
    chained, concurrent = (before == replayed) | (before == counted), before < replayed
    chained[:1] &= cycle[:1] > 0  # nothing is before the first
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return unseen[back], overlap[back], chained[back], concurrent[back]


def _running(values: Ints, starts: Ints, sizes: Ints) -> Ints:
    """Return the running maximum within each block; no block is empty."""
    if len(starts) < 2:
        return np.maximum.accumulate(values)
    steps = np.maximum.reduceat(values, starts)[:-1] - np.minimum.reduceat(values, starts)[1:]
    lift = np.repeat(np.r_[0, np.cumsum(steps)], sizes)  # so that no block is below the one before
    highest: Ints = np.maximum.accumulate(values + lift) - lift
    return highest


def _table(entries: Entries, periods: Ints, credits: Ints, known: Mask) -> pd.DataFrame:
    """Sum the entries of one account by period; ``period`` is the number of the period."""
    size = int(periods.max(initial=-1)) + 1
    counts = np.bincount(periods, minlength=size)
    unpriced = np.bincount(periods[known[entries.rows]], minlength=size) == 0
    held = np.flatnonzero(counts)
    sums = {
        "rows": counts,
        "chained": np.bincount(periods[entries.chained], minlength=size),
        "seen": add_by_code(credits[entries.rows], periods, size),
        "unseen": add_by_code(entries.unseen, periods, size),
        "overlap": add_by_code(entries.overlap, periods, size),
        "resets": np.bincount(periods[entries.reset_rows], minlength=size),
    }
    data: dict[str, Any] = {"period": held}
    for name in SUMS:
        missing = unpriced[held] if name == "seen" else np.zeros(len(held), bool)
        data[name] = pd.arrays.IntegerArray(sums[name][held].astype(np.int64), missing)
    data["counter"] = pd.array(_last_counters(entries, periods), dtype="Int64")
    return pd.DataFrame(data)


def _last_counters(entries: Entries, periods: Ints) -> Ints:
    """Return the highest counter of the last cycle of each period, up to the end of the period."""
    by = pd.DataFrame({"period": periods, "cycle": entries.cycles, "counter": entries.counters})
    highest = by.groupby(["period", "cycle"], sort=True)["counter"].max()
    highest = highest.groupby(level="cycle").cummax()
    last: Ints = highest.groupby(level="period").last().to_numpy(np.int64)
    return last


def _facts(frame: pd.DataFrame, entries: list[Entries], table: pd.DataFrame) -> dict[str, Any]:
    rows = sum(len(chained.times) for chained in entries)
    followers = rows - sum(len(chained.times) > 0 for chained in entries)
    resets = np.sort(np.concatenate([chained.times[chained.reset_rows] for chained in entries])).view("datetime64[us]")
    dateless = int(frame["date"].isna().sum())
    return {
        "estimate": True,
        **{name: int(table[name].sum()) for name in ("seen", "unseen", "overlap")},
        "resets": [f"{instant}+00:00" for instant in np.datetime_as_string(resets, unit="s").tolist()],
        "chained": int(table["chained"].sum()) / followers if followers else None,
        "concurrent": sum(int(chained.concurrent.sum()) for chained in entries),
        "rows": rows,
        "rows_without_counters": len(frame) - rows - dateless,
        "rows_without_date": dateless,
        "note": NOTE,
    }
