"""Dialogues: JSON text in the frame and in files, read here as lines.

A dialogue is a list of objects with ``text``, ``voice_id`` and ``voice_name``, and with whatever else the service sent.
Frames and files of older versions hold lists instead of text. All functions read both.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pajson

from histkit.errors import SchemaError
from histkit.frame.columns import strings_of, text_of, values_of
from histkit.frame.json_values import read_json
from histkit.frame.schema import LINE, TEXT, one_array, require, to_frame
from histkit.util.arrays import Ints
from histkit.util.text import error_line, escape_surrogates, quoted, replace_surrogates

_LINES = pa.list_(LINE)
_PARSING = pajson.ParseOptions(
    explicit_schema=pa.schema([("lines", _LINES)]), newlines_in_values=False, unexpected_field_behavior="ignore"
)
_BLOCK = pajson.ReadOptions(block_size=1 << 22)


@dataclass(frozen=True)
class DialogueLines:
    """The lines of all dialogues of a column, flattened: the position of each line's row, and its three texts."""

    rows: Ints
    voice_ids: pa.Array
    voice_names: pa.Array
    texts: pa.Array


def dialogue_lines(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the lines of the dialogues, one row each.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history; needs the column ``dialogue``.

    Returns
    -------
    pandas.DataFrame
        ``history_item_id`` (missing where the frame has no such column), ``line`` (Int64, from 0 in each dialogue),
        ``voice_id``, ``voice_name`` and ``text``, with the dtypes of `histkit.COLUMNS`. The index has the label of the
        row that each line is from, so that ``df.join(...)`` and ``df.loc[...]`` find it. Rows that are no dialogues
        have no lines.

    Raises
    ------
    SchemaError
        The frame lacks the column, or it holds something other than lines.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.sample_history(500)
    >>> lines = hk.dialogue_lines(df)
    >>> lines.columns.tolist()
    ['history_item_id', 'line', 'voice_id', 'voice_name', 'text']
    >>> int(lines["text"].str.len().sum()) == int(df.loc[df["dialogue"].notna(), "characters"].sum())
    True
    """
    require(frame, ["dialogue"], "the table of dialogue lines")
    lines = flat_lines(frame["dialogue"])
    starts = np.flatnonzero(np.r_[True, np.diff(lines.rows) != 0]) if len(lines.rows) else lines.rows
    numbers = np.arange(len(lines.rows)) - np.repeat(starts, np.diff(np.r_[starts, len(lines.rows)]))
    ids = strings_of(frame.iloc[lines.rows], "history_item_id")
    texts = (array.dictionary_encode() for array in (lines.voice_ids, lines.voice_names))
    voices = [pa.chunked_array([array]) for array in texts]
    table = pa.table([pa.array(numbers, pa.int64()), *voices, lines.texts], ["line", "voice_id", "voice_name", "text"])
    result = to_frame(table)
    result.insert(
        0,
        "history_item_id",
        pd.array([item and escape_surrogates(item) for item in ids], dtype=pd.StringDtype("pyarrow")),
    )
    result.index = frame.index[lines.rows]
    return result


def flat_lines(column: pd.Series) -> DialogueLines:
    """Flatten a column of dialogues: JSON texts, Arrow lists, or Python lists, also mixed.

    Raises
    ------
    SchemaError
        The column holds something other than lists of lines.
    """
    spoken = np.flatnonzero(column.notna().to_numpy(bool))
    if not len(spoken):
        return DialogueLines(np.zeros(0, np.int64), *(pa.array([], TEXT) for _ in LINE))
    try:
        array = _line_lists(column.iloc[spoken])
        filled = np.flatnonzero(pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False))
        array = array if len(filled) == len(array) else array.take(pa.array(filled))
        rows = spoken[filled][pc.list_parent_indices(array).to_numpy(zero_copy_only=False)]
        lines = pc.list_flatten(array)
        ids, names, texts = (pc.struct_field(lines, name).cast(TEXT) for name in ("voice_id", "voice_name", "text"))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _no_lines(error) from None
    return DialogueLines(rows, ids, names, texts)


def parsed_dialogues(column: pd.Series) -> pd.Series:
    """Return a column of dialogues as Arrow lists, which all functions here read without parsing them again.

    Raises
    ------
    SchemaError
        The column holds something other than lists of lines.
    """
    spoken = np.flatnonzero(column.notna().to_numpy(bool))
    places = np.full(len(column), -1)
    places[spoken] = np.arange(len(spoken))
    try:
        array = _line_lists(column.iloc[spoken]) if len(spoken) else pa.array([], _LINES)
        lists = array.take(pa.array(places, mask=places < 0))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _no_lines(error) from None
    return pd.Series(pd.arrays.ArrowExtensionArray(lists), index=column.index, name=column.name)


def dialogues_of(frame: pd.DataFrame | pd.Series) -> list[list[Mapping[str, Any]]]:
    """Return the lines of each row; an empty list where there are none, or where they can't be read."""
    if not isinstance(frame, pd.DataFrame) or "dialogue" not in frame.columns:
        return [[] for _ in range(len(frame))]
    column = frame["dialogue"]
    dialogues: list[list[Mapping[str, Any]]] = [[] for _ in range(len(column))]
    for row in np.flatnonzero(column.notna().to_numpy(bool)).tolist():
        with suppress(TypeError, ValueError):
            dialogues[row] = [line for line in _lines_of(column.iloc[row]) or () if isinstance(line, Mapping)]
    return dialogues


def spoken_texts(frame: pd.DataFrame) -> list[str | None]:
    """Return the spoken text of each row: its text, or the first line of a dialogue."""
    texts = []
    for text, lines in zip(values_of(frame, "text"), dialogues_of(frame), strict=True):
        if not text and lines:
            text = lines[0].get("text")
        texts.append(None if text is None else text_of(text))
    return texts


def _no_lines(error: Exception) -> SchemaError:
    reason = error_line(error)
    return SchemaError(f"Column 'dialogue' holds no lists of lines (text, voice_id, voice_name): {reason}")


def _line_lists(column: pd.Series) -> pa.Array:
    """Return a column without missing values as an array of lists."""
    if isinstance(column.dtype, pd.ArrowDtype) and pa.types.is_nested(column.dtype.pyarrow_dtype):
        return one_array(pa.array(column.array))
    if column.dtype != object or all(isinstance(cell, str) for cell in column):
        lists = _parsed(one_array(pa.array(column, from_pandas=True).cast(TEXT)))
        if lists is not None:
            return lists
    return pa.array([_plain_lines(cell) for cell in column], _LINES)


def _parsed(texts: pa.Array) -> pa.Array | None:
    """Parse JSON texts by Arrow; None where it is stricter than JSON (a lone surrogate, a name that occurs twice)."""
    before, after, between = (pa.scalar(text, TEXT) for text in ('{"lines":', "}\n", ""))
    joined = pc.binary_join_element_wise(before, texts, after, between)
    try:
        table = pajson.read_json(pa.BufferReader(joined.buffers()[2]), _BLOCK, _PARSING)
    except pa.ArrowException:
        return None
    return table.column("lines").combine_chunks() if len(table) == len(texts) else None


def _lines_of(cell: Any) -> list[Any] | None:
    """Return a cell as a list of lines, None where it is missing; raise TypeError or ValueError if it is no list."""
    value = read_json(cell) if isinstance(cell, str) else cell
    if isinstance(value, (list, tuple, np.ndarray)):
        return list(value)
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    raise TypeError(quoted(value))


def _plain_lines(cell: Any) -> list[Any] | None:
    """Return a cell as lists of the three texts, without halves of surrogate pairs, which Arrow can't hold."""
    lines = _lines_of(cell)
    if lines is None:
        return None
    plain: list[Any] = []
    for line in lines:
        if not isinstance(line, Mapping):
            plain.append(line)
            continue
        values = {field.name: line.get(field.name) for field in LINE}
        plain.append({key: replace_surrogates(text) if isinstance(text, str) else text for key, text in values.items()})
    return plain
