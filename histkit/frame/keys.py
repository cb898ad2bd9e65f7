"""Rows that occur twice: a history's key is `history_item_id`, with `account` where the frame has it.

Two reads that overlap, or a merge that fans out, double every sum. Functions of money refuse such a frame, the others
warn. The check is exact, and takes about 10 ms for a million rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from histkit.errors import SchemaError
from histkit.frame.columns import text_array
from histkit.util.arrays import Hashes, Ints
from histkit.util.callers import warn_caller
from histkit.util.text import count_noun, quoted

_ID, _ACCOUNT = "history_item_id", "account"
_WORD = 8  # bytes
_checked: ContextVar[bool] = ContextVar("rows are checked", default=False)


def refuse_duplicates(frame: pd.DataFrame, purpose: str, *, total: int | None = None) -> None:
    """Raise if rows occur twice; warn if the frame has no ids to tell.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one.
    purpose : str
        What would count them twice, for the message: ``"the ledger"``.
    total : int, optional
        The number of rows of the history, if the frame has not all of them, but all whose id occurs twice.

    Raises
    ------
    SchemaError
        Two rows have one key; the message counts them and names one.
    """
    problem = _problem(frame, purpose, total)
    if problem is not None:
        raise SchemaError(problem)


def warn_of_duplicates(frame: pd.DataFrame, purpose: str) -> str | None:
    """Warn once if rows occur twice, or if the frame has no ids to tell; parameters as in `refuse_duplicates`.

    Returns
    -------
    str or None
        The warning; None if no row occurs twice.
    """
    problem = _problem(frame, purpose)
    if problem is not None:
        warn_caller(problem)
    return problem


@contextmanager
def rows_checked() -> Iterator[None]:
    """Skip the check in the functions that a function calls with a frame that it has checked."""
    token = _checked.set(True)
    try:
        yield
    finally:
        _checked.reset(token)


def repeated_rows(frame: pd.DataFrame) -> Ints:
    """Return the positions of the rows whose key an earlier row has; rows without an id have no key.

    A row without an account repeats any row of its id: it comes from a read without accounts.
    """
    candidates = _candidates(frame[_ID])
    if not len(candidates):
        return candidates
    named = _ACCOUNT in frame.columns
    keys = frame[[_ID, _ACCOUNT] if named else [_ID]].iloc[candidates].reset_index(drop=True).astype(object)
    repeated = keys.duplicated()
    if named:
        without_account = keys.loc[keys[_ACCOUNT].isna(), _ID]
        repeated |= keys[_ID].duplicated() & keys[_ID].isin(without_account)
    rows: Ints = candidates[repeated.to_numpy(bool)]
    return rows


def id_endings(column: pd.Series) -> Hashes:
    """Return the last eight bytes of each id as a number, which is the same in every frame; 0 where there is none."""
    texts = text_array(column).fill_null("")
    lengths = pc.binary_length(texts).to_numpy(zero_copy_only=False)
    short = np.flatnonzero(lengths < _WORD)
    endings: Hashes = np.zeros(len(texts), np.uint64)
    if not len(short):
        endings[:] = _endings(texts)
        return endings
    long = np.flatnonzero(lengths >= _WORD)
    endings[long] = _endings(texts.take(pa.array(long)))
    codes, values = pd.factorize(np.array(texts.take(pa.array(short)).to_pylist(), object))
    endings[short] = np.array([int.from_bytes(value.encode(), "little") for value in values], np.uint64)[codes]
    return endings


def _problem(frame: pd.DataFrame, purpose: str, total: int | None = None) -> str | None:
    if _checked.get() or len(frame) < 2:
        return None
    if _ID not in frame.columns:
        warn_caller(f"The frame has no column {_ID!r}, so {purpose} can't tell whether a row occurs twice.")
        return None
    rows = repeated_rows(frame)
    if not len(rows):
        return None
    example = frame.iloc[rows[0]]
    same_account = _ACCOUNT in frame.columns and not frame[_ACCOUNT].isna().any()
    keys = f'["{_ACCOUNT}", "{_ID}"]' if same_account else f'"{_ID}"'
    total = len(frame) if total is None else total
    counts = f"{count_noun(len(rows), 'row')} of {total:,} {'repeats' if len(rows) == 1 else 'repeat'} another"
    what = f"{counts} ({_ID} {quoted(example[_ID])}), and {purpose} would count them twice"
    return f"{what}: drop them with df.drop_duplicates({keys})."


def _candidates(column: pd.Series) -> Ints:
    """Return the rows whose id may occur twice: those that share its last bytes with another row."""
    rows = np.flatnonzero(column.notna().to_numpy(bool))
    column = column if len(rows) == len(column) else column.iloc[rows]
    texts = text_array(column)
    filled = np.flatnonzero(pc.binary_length(texts).to_numpy(zero_copy_only=False))
    if len(filled) < len(texts):  # an empty id is none
        texts, rows = texts.take(pa.array(filled)), rows[filled]
    endings = _endings(texts)
    ordered = np.sort(endings)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    return rows[np.isin(endings, repeated)] if len(repeated) else np.zeros(0, np.int64)


def _endings(texts: pa.Array) -> Any:
    """Return the last eight bytes of each text as a number; a code for each distinct text if one is shorter."""
    if not len(texts):
        return np.zeros(0, np.uint64)
    offsets = np.frombuffer(texts.buffers()[1], np.int64, len(texts) + 1, texts.offset * _WORD)
    if np.diff(offsets).min() < _WORD:
        return pc.dictionary_encode(texts).indices.to_numpy()
    words = np.ndarray((int(offsets[-1]) - _WORD + 1,), "<u8", texts.buffers()[2], 0, (1,))  # one begins at each byte
    return words[offsets[1:] - _WORD]
