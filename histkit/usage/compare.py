"""Grid of groups and periods: empty cells, and the comparison of each period with the one before.

A period without rows is known to have no usage, so its numbers are 0. What is before the first period, or has no date,
is unknown and missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.columns import integer_array, whole_numbers
from histkit.frame.dates import as_unix
from histkit.usage.aggregate import Group, Measure, UsageQuery, combined
from histkit.usage.buckets import bucket, edges
from histkit.usage.dialogue import gets_unit
from histkit.usage.periods import Freq
from histkit.util.arrays import Ints, Mask, add_by_code
from histkit.util.text import quoted

if TYPE_CHECKING:
    from datetime import tzinfo


COMPARED = ("credits_previous", "credits_change", "volume", "mix")
MOST_ROWS = 1_000_000
_NEVER = np.iinfo(np.int64).min


def span_of(fill: Any, zone: tzinfo) -> tuple[int | None, int | None] | None:
    """Parse `fill`: None for no empty cells, else start and end in microseconds, either of them None for the data's.

    Raises
    ------
    InputError
        `fill` is neither a flag nor a pair of dates.
    """
    if fill is None or fill is False:
        return None
    if fill is True:
        return None, None
    if isinstance(fill, str) or not isinstance(fill, Sequence) or len(fill) != 2:
        raise InputError(f"fill={quoted(fill)} is not possible; use True, or a pair of dates (start, end).")
    start, end = (None if date is None else as_unix(date, "fill", zone) * 1_000_000 for date in fill)
    if start is not None and end is not None and start >= end:
        raise InputError(f"fill={quoted(fill)}: the end is not later than the start.")
    return start, end


@dataclass(frozen=True)
class Grid:
    """The rows of a table as cells of a grid of groups and periods.

    Attributes
    ----------
    starts : int64 array, shape (buckets,)
        First instant of each bucket, empty ones too; microseconds since 1970, UTC.
    cells : int64 array, shape (rows of the table,)
        Ascending, in the order of `aggregate`: group * (buckets + 1) + bucket; the last bucket is "without a date".
    """

    starts: Ints
    cells: Ints

    def buckets(self) -> Ints:
        """Return the bucket of each row."""
        buckets: Ints = self.cells % (len(self.starts) + 1)
        return buckets

    def previous(self) -> tuple[Ints, Mask]:
        """Return the row of the same group in the previous bucket (-1: none), and which rows have a previous bucket."""
        place = np.searchsorted(self.cells, self.cells - 1)
        exists = self.cells[np.minimum(place, len(self.cells) - 1)] == self.cells - 1 if len(place) else place > 0
        known = (self.buckets() > 0) & (self.buckets() < len(self.starts))
        return np.where(exists & known, place, -1), known


def fill_cells(
    groups: Sequence[Group], sums: Sequence[Measure], instants: Ints, query: UsageQuery
) -> tuple[list[Group], list[Measure], Grid]:
    """Add the required cells that have no rows.

    Parameters
    ----------
    groups : sequence of Group
        Without the period; one block of rows.
    sums : sequence of Measure
        Of the same rows.
    instants : int64 array
        Start of each row's period; the least int64 for rows without a date.
    query : UsageQuery
        With `fill`, all cells of its span are required; with `compare`, those after a cell that has rows.

    Returns
    -------
    groups : list of Group
        The last is ``period``; its values are `Grid.starts` and a missing one.
    sums : list of Measure
        With zeros for the added cells.
    grid : Grid
        The cells, in the order in which `aggregate` will return them.

    Raises
    ------
    InputError
        There would be too many rows.
    """
    assert query.length is not None
    dated = instants != _NEVER
    numbers, first, group_of_row = np.unique(
        combined(groups, [len(instants)])[0], return_index=True, return_inverse=True
    )
    count = len(numbers) if groups else 1
    starts, low, high = _starts(instants[dated], query, count)
    width = len(starts) + 1
    buckets = np.where(dated, np.searchsorted(starts, instants), len(starts))
    cells = np.unique(group_of_row * width + buckets)
    if query.fill is not None:
        needed = (np.arange(count)[:, None] * width + np.arange(low, high)).ravel()
    else:
        needed = cells[cells % width < len(starts) - 1] + 1
    added = np.setdiff1d(needed, cells)
    like = first[added // width] if groups else np.zeros(len(added), np.int64)
    wider = [replace(group, codes=[np.r_[group.codes[0], group.codes[0][like]]]) for group in groups]
    period = pd.array([*starts.tolist(), None], dtype="Int64")
    wider.append(Group("period", period, [np.r_[buckets, added % width]]))
    zeros, sure = np.zeros(len(added), np.int64), np.ones(len(added), bool)
    filled = [Measure(sum_.name, [np.r_[sum_.values[0], zeros]], [np.r_[sum_.known[0], sure]]) for sum_ in sums]
    return wider, filled, Grid(starts, np.union1d(cells, added))


def _starts(instants: Ints, query: UsageQuery, groups: int) -> tuple[Ints, int, int]:
    """Return the starts of all buckets, and the first and the end of those to fill."""
    length, zone = query.length, query.zone
    assert length is not None
    start, end = query.fill or (None, None)
    span = [instant for instant in (start, None if end is None else end - 1) if instant is not None]
    held = bucket(np.array(span, np.int64), length, zone)[1]
    every = np.r_[instants, held]
    if not len(every):
        return every, 0, 0
    rows = _too_many(every, length, groups if query.fill is not None else 1)
    if rows:
        what = "fill= would make" if query.fill is not None else "compare= would look at"
        raise InputError(
            f"{what} about {rows:,} periods of all groups, and at most {MOST_ROWS:,} are possible; "
            "give a longer freq, fewer groups (top=), or fewer dates."
        )
    starts = edges(every, length, zone)[:-1]
    return (
        starts,
        0 if start is None else int(np.searchsorted(starts, bucket(np.array([start]), length, zone)[1][0])),
        len(starts) if end is None else int(np.searchsorted(starts, end)),
    )


def _too_many(instants: Ints, length: Freq, groups: int) -> int:
    rows = ((int(instants.max()) - int(instants.min())) // length.usual_length() + 1) * groups
    return rows if rows > MOST_ROWS else 0


def add_comparison(table: pd.DataFrame, grid: Grid, order: Ints) -> pd.DataFrame:
    """Add the comparison of each bucket with the one before.

    Parameters
    ----------
    table : pandas.DataFrame
        In the order of `grid`.
    grid : Grid
        The cells of its rows.
    order : int64 array
        Order of the rows in the final table, for ties in rounding.

    Returns
    -------
    pandas.DataFrame
        With the columns `COMPARED` (Int64); see `histkit.usage_table`.
    """
    before, known = grid.previous()
    previous = {name: _taken(table[name], before, known) for name in ("characters", "credits")}
    change = table["credits"].array - previous["credits"]
    volume = _volumes(table["characters"], change, previous, grid.buckets(), order)
    return table.assign(credits_previous=previous["credits"], credits_change=change, volume=volume, mix=change - volume)


def _taken(column: pd.Series, rows: Ints, known: Mask) -> Any:
    values, priced = whole_numbers(column)
    values, missing = np.r_[values, 0], np.r_[~priced, False]  # an entry for -1: no rows, so 0
    return integer_array(values[rows], missing[rows] | ~known)


def _volumes(characters: pd.Series, change: Any, previous: dict[str, Any], buckets: Ints, order: Ints) -> Any:
    """Return the change in characters of each row, priced at the average rate of the previous bucket.

    Whole numbers by largest remainder: those of a bucket add up to its rounded total. Unknown characters (of speech to
    speech) count as 0. Missing where the change is missing, and where the previous bucket has no characters.
    """
    count = int(buckets.max()) + 1 if len(buckets) else 0
    old = whole_numbers(pd.Series(previous["characters"]))[0]
    grown = whole_numbers(characters)[0] - old
    paid, priced = whole_numbers(pd.Series(previous["credits"]))
    then = add_by_code(np.where(priced, old, 0), buckets, count)
    spent = add_by_code(paid, buckets, count)
    missing = change.isna() | (then == 0)[buckets]
    rows = order[~missing[order]]
    if float(np.abs(grown).max(initial=0)) * float(spent.max(initial=0)) + float(then.sum()) * len(rows) > 2**62:
        grown, then, spent = (numbers.astype(object) for numbers in (grown, then, spent))  # which don't overflow
    places = buckets[rows]
    price = grown[rows] * spent[places]
    floors, rests = price // then[places], price % then[places]
    left = (2 * add_by_code(rests, places, count) + then) // np.maximum(2 * then, 1)
    extra = gets_unit(rests.astype(np.int64), places, left[places])
    fits = add_by_code((np.abs(floors) >= 2**62).astype(np.int64), places, count)[places] == 0
    values = np.zeros(len(buckets), np.int64)
    values[rows[fits]] = (floors[fits] + extra[fits]).astype(np.int64)
    missing[rows[~fits]] = True
    return pd.arrays.IntegerArray(values, missing)
