"""Which rows pass each filter of the explorer, computed once for each value of a filter.

The rows that pass all filters but one, which the profile of a column shows, need no further search.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from histkit.frame.columns import whole_numbers
from histkit.frame.dialogues import DialogueLines, flat_lines
from histkit.frame.filters import RowFilter, text_mask
from histkit.frame.kept_rows import rows_where
from histkit.frame.text_search import FEW, FEW_FOR_WORDS, is_words, to_re2
from histkit.notebook.filter_state import BOUNDS, NAMES, FilterState
from histkit.util.arrays import Mask

FIELDS: dict[str, tuple[str, ...]] = {  # of FilterState, by what they filter
    **{name: (name,) for name in NAMES},
    "date": ("first", "last", "after", "before"),
    **BOUNDS,
    "text": ("text", "pattern"),  # last: the others leave fewer texts to search
}
_KEPT_TEXTS = 4  # searched for, of which the matches are kept: people go back, and views ask for the search before


class RowMasks:
    """The masks of a frame's rows by filter. Threads may ask at the same time: at worst both compute a mask."""

    def __init__(self, frame: pd.DataFrame, tz: str) -> None:
        self._frame, self._tz = frame, tz
        self._everywhere: Mask = np.ones(len(frame), bool)
        self._masks: dict[str, tuple[FilterState, Mask]] = {}
        self._texts: dict[FilterState, _TextMatches] = {}  # the newest last
        self._lines: DialogueLines | None = None

    def passing(self, filters: FilterState, *, without: str | None = None) -> Mask:
        """Return a mask of the rows that pass all filters, or all but those of `without`, one of `FIELDS`.

        Raises
        ------
        InputError
            A filter is invalid, or its search takes too long.
        Cancelled
            The watch of this thread stopped the search.
        """
        mask = self._everywhere
        for name in FIELDS:
            part = _part(filters, name)
            if name == without or part == _NO_FILTERS:
                continue
            mask = mask & (self._searched(part, mask) if name == "text" else self._mask(name, part))
        return mask

    def _mask(self, name: str, part: FilterState) -> Mask:
        known = self._masks.get(name)
        if known is not None and known[0] == part:
            return known[1]
        mask = part.row_filter(self._tz).mask(self._frame)
        for column, method, bound in part.bounds():
            values, is_known = whole_numbers(self._frame[column])
            mask &= is_known & (values >= bound if method == "ge" else values <= bound)
        self._masks[name] = part, mask
        return mask

    def _searched(self, part: FilterState, rows: Mask) -> Mask:
        """Return which of some rows have the text; the search looks at rows that it hasn't seen before."""
        matches = self._texts.get(part) or _TextMatches(part.row_filter(self._tz), len(self._frame))
        if self._lines is None:
            self._lines = flat_lines(self._frame["dialogue"])
        found = matches.among(rows, self._frame, self._lines)
        others = [(text, kept) for text, kept in self._texts.items() if text != part]
        self._texts = dict([*others[1 - _KEPT_TEXTS :], (part, matches)])
        return found


class _TextMatches:
    """The rows that have a text, as far as they were searched."""

    def __init__(self, conditions: RowFilter, size: int) -> None:
        assert conditions.text is not None
        self._conditions = conditions
        enough = size >= (FEW_FOR_WORDS if is_words(conditions.text) else FEW)
        self._is_fast = enough and to_re2(conditions.text) is not None
        self._matches: Mask = np.zeros(size, bool)
        self._is_known: Mask = np.zeros(size, bool)

    def among(self, rows: Mask, frame: pd.DataFrame, lines: DialogueLines) -> Mask:
        unknown = rows & ~self._is_known
        number = np.count_nonzero(unknown)
        if number == len(rows) or (self._is_fast and number):
            assert self._conditions.text is not None
            self._matches = text_mask(frame["text"], lines, self._conditions.text)
            self._is_known[:] = True
        elif number:
            self._matches[unknown] = self._conditions.mask(rows_where(frame[["text", "dialogue"]], unknown))
            self._is_known |= unknown
        return self._matches


_NO_FILTERS = FilterState()


def _part(filters: FilterState, name: str) -> FilterState:
    """Return the filters of one kind alone."""
    part = replace(_NO_FILTERS, **{field: getattr(filters, field) for field in FIELDS[name]})
    return _NO_FILTERS if name == "text" and not part.text else part
