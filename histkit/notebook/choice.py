"""Which take of each line is kept: the choice of the picker, and what undoes it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from histkit.frame.columns import strings_of, whole_numbers
from histkit.retakes.lines import line_table
from histkit.util.arrays import Ints, Mask


class Choice:
    """The takes of each line with several, and the chosen ones; of other lines the last take is kept.

    Parameters
    ----------
    takes_table : DataFrame
        The result of `histkit.takes`.

    Attributes
    ----------
    lines : list of str
        The lines with more than one take, those with most credits thrown away first.
    takes : list of int64 arrays
        The positions of each line's takes in the table, the oldest first.
    accounts : list of str or None
        The account of each line, where the table has several; None if a line is of several, too.
    chosen : dict of int to int
        The position of the chosen take by the number of its line in `lines`.
    """

    def __init__(self, takes_table: pd.DataFrame) -> None:
        table = line_table(takes_table)
        self.lines: list[str] = table.index.tolist()
        self.accounts = strings_of(table, "account")
        numbers = pd.Index(self.lines, dtype=object).get_indexer(takes_table["line"].astype(object))
        order = np.lexsort((whole_numbers(takes_table["take"])[0], numbers))
        order = order[np.count_nonzero(numbers < 0) :]
        starts = np.flatnonzero(np.diff(numbers[order])) + 1
        self.takes: list[Ints] = np.split(order, starts) if self.lines else []
        self.chosen: dict[int, int] = {}
        self._before: list[tuple[int, int | None]] = []

    @property
    def steps(self) -> int:
        """The number of changes that can be undone."""
        return len(self._before)

    def keeper(self, line: int) -> int:
        """Return the position of the take that is kept of a line."""
        return self.chosen.get(line, int(self.takes[line][-1]))

    def choose(self, line: int, take: int | None) -> None:
        """Choose a take of a line, by its position; None takes the choice back."""
        before = self.chosen.get(line)
        if before != take:
            self._before.append((line, before))
            self._set(line, take)

    def undo(self) -> int | None:
        """Undo the last change, and return its line; None if there is none."""
        if not self._before:
            return None
        line, before = self._before.pop()
        self._set(line, before)
        return line

    def _set(self, line: int, take: int | None) -> None:
        if take is None:
            del self.chosen[line]
        else:
            self.chosen[line] = take

    def next_line(self, line: int, among: Mask) -> int | None:
        """Return the next line without a choice among some, after the last from the first on; None if there is none."""
        is_open = among.copy()
        is_open[list(self.chosen)] = False
        open_lines = np.flatnonzero(is_open)
        if not len(open_lines):
            return None
        later = open_lines[open_lines > line]
        return int(later[0] if len(later) else open_lines[0])
