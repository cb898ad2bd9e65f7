"""Frames and values as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa

from histkit.errors import InputError
from histkit.util.raw_json import MOST_NESTED

_NESTED = (Mapping, list, tuple, set, frozenset, np.ndarray)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as JSON values."""
    columns = {str(name): [plain_value(value) for value in frame[name].astype(object)] for name in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def plain_value(value: Any) -> Any:
    """Return a value as a JSON value: decimals as text, dates in ISO 8601, missing values as null.

    Numbers that are not finite, and types that JSON lacks, become text.

    Raises
    ------
    InputError
        The value is nested deeper than `MOST_NESTED`.
    """
    return _plain_value(value, MOST_NESTED)


def _plain_value(value: Any, levels: int) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, _NESTED):
        if levels == 0:
            raise _too_deep()
        if isinstance(value, Mapping):
            return {str(name): _plain_value(element, levels - 1) for name, element in value.items()}
        return [_plain_value(element, levels - 1) for element in value]
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value if isinstance(value, float) and math.isfinite(value) else str(value)


def _too_deep() -> InputError:
    return InputError(f"A value is nested deeper than {MOST_NESTED} levels; store it as text.")


def json_text(value: Any) -> str:
    """Return a value as compact JSON: in UTF-8, or, for a lone surrogate, with escapes."""
    try:
        return msgspec.json.encode(value, enc_hook=_plain_string).decode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))


def _plain_string(value: Any) -> str:
    if isinstance(value, str):  # of a subclass
        return str(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def read_json(text: str) -> Any:
    """Read JSON text, also with lone surrogates; raise ValueError if it is not JSON, or nested too deep."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return json.loads(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deep") from None


LINE_FIELDS = ("text", "voice_id", "voice_name")


def dialogue_json(lines: Any) -> str:
    """Return the lines of a dialogue as JSON: the known fields of each line first, whatever else it has after them."""
    plain = [{**dict.fromkeys(LINE_FIELDS), **line} if isinstance(line, Mapping) else line for line in lines]
    return json_text(plain)


def inferred_array(column: pd.Series) -> pa.Array | pa.ChunkedArray:
    """Return a column in the type that Arrow infers.

    Raises
    ------
    pyarrow.ArrowException, TypeError, ValueError
        The values have no common type.
    InputError
        A cell is nested deeper than `MOST_NESTED`: Arrow would end the process.
    """
    if column.dtype == object:
        for cell in column:
            if isinstance(cell, _NESTED):
                plain_value(cell)
    return pa.array(column, from_pandas=True)


def json_array(name: str, column: pd.Series | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return the column ``dialogue`` or ``alignments`` as JSON texts; lists, structs and dicts are converted.

    Raises
    ------
    TypeError
        A cell is neither text nor nested.
    InputError
        A cell is nested deeper than `MOST_NESTED`.
    """
    array = column
    if isinstance(column, pd.Series):
        if column.dtype == object and not pd.api.types.is_string_dtype(column):  # lists, also beside texts
            return pa.array([_nested_text(name, cell) for cell in column], pa.large_string())
        array = pa.array(column, from_pandas=True)
    if not pa.types.is_nested(array.type) or pa.types.is_dictionary(array.type):
        return array
    return pa.array([_nested_text(name, cell) for cell in array.to_pylist()], pa.large_string())


def _nested_text(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if name == "dialogue" and isinstance(value, (list, tuple, np.ndarray)):
        try:
            return dialogue_json(value)
        except RecursionError:
            raise _too_deep() from None
    if isinstance(value, (Mapping, list, tuple, np.ndarray)):
        return json_text(plain_value(value))
    if pd.isna(value):
        return None
    raise TypeError(f"a cell is {type(value).__name__}, neither JSON text nor a list")
