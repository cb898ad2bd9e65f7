"""Columns of a frame as arrays: whole numbers, texts, lists, categories as codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import SchemaError
from histkit.util.arrays import Ints, Mask


def _values(column: pd.Series) -> list[Any]:
    missing = column.isna().tolist()
    return [None if gone else value for value, gone in zip(column.tolist(), missing, strict=True)]


def values_of(frame: pd.DataFrame | pd.Series, name: str) -> list[Any]:
    """Give a column as plain values, None where there is none and for a column that is not there."""
    if isinstance(frame, pd.DataFrame) and name in frame.columns:
        return _values(frame[name])
    return [None] * len(frame)


def texts_of(frame: pd.DataFrame) -> list[str | None]:
    """Give what was spoken in each row: its text, or the first line of a dialogue."""
    pairs = zip(values_of(frame, "text"), values_of(frame, "dialogue"), strict=True)
    return [text or (lines[0].get("text") if lines is not None and len(lines) else None) for text, lines in pairs]


NOBODY = -1


def factorize_text(column: pd.Series) -> tuple[Ints, list[str]]:
    """Give codes and values of a column of texts, whatever its dtype; missing and empty ones have the code -1."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, values = column.cat.codes.to_numpy(), column.cat.categories
    else:
        codes, values = pd.factorize(column)
    codes = codes.astype(np.int64)
    texts = list(dict.fromkeys(each if isinstance(each, str) else str(each) for each in values))
    places = {text: place for place, text in enumerate(texts)}
    places[""] = NOBODY
    if len(texts) < len(values) or "" in texts:
        codes = np.array([*(places[str(each)] for each in values), NOBODY], np.int64)[codes]
    return codes, texts


def as_list(value: Any) -> list[Any] | None:
    """Return a cell of a list column as a list, None where it is missing or no list."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return list(value)
    if pd.isna(value):
        return None
    raise TypeError(f"{value!r:.60}")


def integers_of(column: pd.Series) -> tuple[Ints, Mask]:
    """Give a column of whole numbers, 0 where there is none, and where there is one."""
    try:
        whole = column if column.dtype == "Int64" else column.astype("Int64")
    except (TypeError, ValueError, OverflowError):
        raise SchemaError(f"Column {column.name!r} ({column.dtype}) holds something else than whole numbers.") from None
    return whole.to_numpy(np.int64, na_value=0), whole.notna().to_numpy(bool)
