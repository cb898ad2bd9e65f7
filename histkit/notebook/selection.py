"""The state of the explorer, without widgets: filters, order and ticked rows of a frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from histkit.errors import InputError, SchemaError
from histkit.frame.columns import factorize, whole_numbers
from histkit.frame.kept_rows import rows_where
from histkit.frame.schema import DESCRIPTIVE_COLUMNS, require
from histkit.notebook.filter_state import FilterState
from histkit.notebook.row_masks import RowMasks
from histkit.notebook.sorting import RowSorter, SortKey
from histkit.util.arrays import Ints, Mask
from histkit.util.text import quoted

NEWEST_FIRST: tuple[SortKey, ...] = (SortKey("date", descending=True),)


class Totals(NamedTuple):
    """A number of rows, and the sum of their credits; None if no row's credits are known."""

    rows: int
    credits: int | None


class Selection:
    """The rows of an explorer: all of them, the filtered ones, those in the table, the ticked ones.

    Parameters
    ----------
    frame : DataFrame
        All rows. Columns that are assigned to it afterwards don't change the selection.
    tz : str
        The zone of its days.

    Attributes
    ----------
    filters : FilterState
        The filters in force.
    sort : tuple of SortKey
        The keys of the table's order.
    shown_only : bool
        Whether the table has the ticked rows instead of the filtered ones.
    version : int
        Grows with every change of filters, sort or `shown_only`.
    positions : int64 array
        The positions in the frame of the rows in the table, in its order.

    Raises
    ------
    SchemaError
        The frame lacks a column, or a column holds something else.
    """

    def __init__(self, frame: pd.DataFrame, tz: str = "UTC") -> None:
        require(frame, DESCRIPTIVE_COLUMNS, "the explorer")
        if not isinstance(frame["date"].dtype, pd.DatetimeTZDtype):
            kind = frame["date"].dtype
            raise SchemaError(f"Column 'date' ({kind}) holds no dates with a zone; histkit.read_csv makes them.")
        for name in ("characters", "credits"):
            whole_numbers(frame[name])  # raises SchemaError
        for name in ("voice_id", "voice_name", "model_id", "source"):
            factorize(frame[name])  # raises SchemaError
        self.frame, self.tz = frame.copy(deep=False), tz
        self.filters, self.sort, self.shown_only, self.version = FilterState(), NEWEST_FIRST, False, 0
        self.masks, self._sorter = RowMasks(self.frame, tz), RowSorter(self.frame)
        self._credits, self._has_credits = whole_numbers(frame["credits"])
        self._ticked: Mask = np.zeros(len(frame), bool)
        self._kept = self.masks.passing(self.filters)
        self.positions: Ints = self._sorter.order(np.arange(len(frame)), self.sort)

    def change(
        self,
        *,
        filters: FilterState | None = None,
        sort: Sequence[SortKey] | None = None,
        shown_only: bool | None = None,
    ) -> None:
        """Change filters, order, or which rows are in the table; ticks stay as they are.

        Raises
        ------
        InputError
            The filters or keys are invalid; the selection is unchanged.
        """
        new_filters = self.filters if filters is None else filters
        new_sort = self.sort if sort is None else tuple(sort)
        for key in new_sort:
            if key.column not in self.frame.columns:
                raise InputError(f"The frame has no column {quoted(key.column)} to sort by.")
        new_shown_only = self.shown_only if shown_only is None else shown_only
        kept = self._kept if new_filters == self.filters else self.masks.passing(new_filters)
        rows = np.flatnonzero(self._ticked if new_shown_only else kept)
        positions = self._sorter.order(rows, new_sort)
        self.filters, self.sort, self.shown_only = new_filters, new_sort, new_shown_only
        self._kept, self.positions = kept, positions
        self.version += 1

    @property
    def kept(self) -> Mask:
        """Which rows pass the filters."""
        return self._kept

    @property
    def filtered(self) -> pd.DataFrame:
        """The filtered rows, in the frame's order, with all columns."""
        return rows_where(self.frame, self._kept)

    @property
    def selected(self) -> pd.DataFrame:
        """The ticked rows, in the frame's order, with all columns."""
        return rows_where(self.frame, self._ticked)

    @property
    def code(self) -> str:
        """The expression that returns `filtered` again."""
        return self.filters.code(self.tz)

    @property
    def ticked(self) -> Mask:
        """Which rows are ticked."""
        return self._ticked

    def totals(self, rows: Mask | Ints | None = None) -> Totals:
        """Return the number and credits of some rows, by default those in the table."""
        rows = self.positions if rows is None else rows
        number = int(np.count_nonzero(rows)) if rows.dtype == bool else len(rows)
        if number == len(self.frame):
            credits, known = self._credits, self._has_credits
        else:
            credits, known = self._credits[rows], self._has_credits[rows]
        unknown = bool(number) and not known.any()
        return Totals(number, None if unknown else int(credits.sum()))  # where unknown, the number is 0

    def filtered_count(self) -> int:
        """Return the number of rows that pass the filters."""
        return int(np.count_nonzero(self._kept))

    def ticked_count(self) -> int:
        """Return the number of ticked rows."""
        return int(np.count_nonzero(self._ticked))

    def hidden(self) -> int:
        """Return the number of ticked rows that the filters leave out."""
        return int(np.count_nonzero(self._ticked & ~self._kept))

    def tick(self, positions: Iterable[int], on: bool) -> None:
        """Tick or untick rows by their positions in the frame.

        Raises
        ------
        InputError
            A position is not that of a row; no row is changed.
        """
        rows = list(positions)
        for row in rows:
            if not 0 <= row < len(self.frame):
                raise InputError(f"There is no row {row:,}: the history has {len(self.frame):,} rows.")
        self._ticked[rows] = on

    def tick_range(self, first: int, last: int, on: bool) -> None:
        """Tick or untick the rows of the table from one number to another, both inclusive and counted from 0.

        Raises
        ------
        InputError
            A number is not that of a row; no row is changed.
        """
        first, last = min(first, last), max(first, last)
        if not 0 <= first <= last < len(self.positions):
            raise InputError(
                f"Rows {first:,} to {last:,} are not in the table, which has {len(self.positions):,} rows."
            )
        self._ticked[self.positions[first : last + 1]] = on

    def tick_all(self, on: bool) -> None:
        """Tick or untick all rows of the table; other rows stay as they are."""
        self._ticked[self.positions] = on

    def untick(self) -> None:
        """Untick every row, also those that the filters leave out."""
        self._ticked[:] = False
