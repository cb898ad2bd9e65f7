"""A window of the explorer's table: a few rows as JSON values, with long texts cut."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from histkit.frame.columns import strings_of
from histkit.frame.dialogues import dialogues_of
from histkit.notebook.columns import TableColumn, cell_texts, shown_text, voice_text
from histkit.notebook.selection import Selection
from histkit.util.arrays import Ints
from histkit.util.text import is_text, one_line_text, shorten

MOST_ROWS = 500  # of a window
_CHARACTERS = 280  # of a cell
_LOOKED_AT = 1_000  # characters in which the direction of a text is looked for


def window(selection: Selection, columns: Sequence[TableColumn], start: int, stop: int) -> dict[str, Any]:
    """Return rows of the table.

    Parameters
    ----------
    selection : Selection
        Whose rows.
    columns : sequence of TableColumn
        The columns shown.
    start, stop : int
        Numbers in the present order, from 0, the last exclusive; what is beyond the table is left out.

    Returns
    -------
    dict
        ``start``, and ``rows``: ``p`` (position in the frame), ``n`` (number in the order), ``t`` (ticked), ``c`` (a
        text for each column, None if missing), ``playable``, and, where true, ``full`` (a text was cut) and ``rtl``.
    """
    start = min(max(start, 0), len(selection.positions))
    positions = selection.positions[start : max(start, min(stop, start + MOST_ROWS))]
    names = [*dict.fromkeys(["text", "dialogue", "history_item_id", *(column.name for column in columns)])]
    frame = rows_at(selection.frame, names, positions)
    lines = dialogues_of(frame)
    texts = [*map(shown_text, frame["text"], lines)]
    cells, cut = _cells(frame, columns, texts, lines, selection.tz)
    ids = strings_of(frame, "history_item_id")
    ticks = selection.ticked[positions].tolist()
    rows = []
    for place, (position, ticked, item, text) in enumerate(zip(positions.tolist(), ticks, ids, texts, strict=True)):
        row: dict[str, Any] = {
            "p": position,
            "n": start + place,
            "t": ticked,
            "c": [column[place] for column in cells],
            "playable": is_text(item),
        }
        if cut[place]:
            row["full"] = True
        if text is not None and runs_right_to_left(text):
            row["rtl"] = True
        rows.append(row)
    return {"start": start, "rows": rows}


def rows_at(frame: pd.DataFrame, names: Sequence[Hashable], positions: Ints) -> pd.DataFrame:
    """Return some columns of a few rows, on a new index.

    Arrow copies a column of several chunks before it takes rows from it; here texts are looked up one by one.
    """
    data: dict[Hashable, pd.Series] = {}
    for name in names:
        column = frame[name]
        if isinstance(column.dtype, pd.StringDtype) and column.dtype.storage == "pyarrow":
            array = pa.array(column.array)
            texts = [array[position].as_py() for position in positions.tolist()]
            data[name] = pd.Series(texts, dtype=column.dtype)
        else:
            data[name] = column.iloc[positions].reset_index(drop=True)
    return pd.DataFrame(data)


def _cells(
    frame: pd.DataFrame,
    columns: Sequence[TableColumn],
    texts: list[str | None],
    lines: list[Any],
    tz: str,
) -> tuple[list[list[str | None]], list[bool]]:
    cells, cut = [], [False] * len(frame)
    for column in columns:
        values = frame[column.name]
        if column.key == "text":
            whole = texts
        elif column.key == "voice_name":
            whole = [*map(voice_text, values, lines)]
        else:
            whole = cell_texts(column.kind, values, tz)
        short = [(None, False) if text is None else short_line(text) for text in whole]
        cells.append([line for line, _ in short])
        cut = [already or shortened for already, (_, shortened) in zip(cut, short, strict=True)]
    return cells, cut


def short_line(text: str) -> tuple[str, bool]:
    """Return a text as one line of a cell, and whether it was cut: between characters of different signs."""
    line = one_line_text(text[: 4 * _CHARACTERS])  # a text can be very long
    if len(line) <= _CHARACTERS:
        return (f"{line} …", True) if len(text) > 4 * _CHARACTERS else (line, False)
    end = _CHARACTERS
    while end > _CHARACTERS // 2 and belongs_together(line[end - 3], line[end - 2]):
        end -= 1
    return shorten(line, end), True


def belongs_together(before: str, after: str) -> bool:
    """Return whether a text may not be cut between two characters: marks, joiners, parts of an emoji."""
    joined = "\u200d" in (before, after) or unicodedata.category(after) in ("Mn", "Me", "Mc")
    return joined or "\U0001f3fb" <= after <= "\U0001f3ff" or "\U0001f1e6" <= after <= "\U0001f1ff"


def runs_right_to_left(text: str) -> bool:
    """Return whether the first letter with a direction runs from right to left.

    Examples
    --------
    >>> runs_right_to_left("12 שלום"), runs_right_to_left("Hello שלום"), runs_right_to_left("12")
    (True, False, False)
    """
    for char in text[:_LOOKED_AT]:
        direction = unicodedata.bidirectional(char)
        if direction in ("L", "R", "AL"):
            return direction != "L"
    return False
