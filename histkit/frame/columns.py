"""Columns of a frame as arrays, whatever their dtype: integers, texts, categories as codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from histkit.errors import SchemaError
from histkit.frame.json_values import inferred_array, plain_value
from histkit.frame.schema import TEXT, one_array
from histkit.util.arrays import Floats, Ints, Mask
from histkit.util.text import error_line, escape_surrogates, is_valid_unicode, quoted

NO_CODE = -1  # the code of a missing value


def plain_values(column: pd.Series) -> list[Any]:
    """Return a column as Python values, None where a value is missing."""
    missing = column.isna().tolist()
    return [None if absent else value for value, absent in zip(column.tolist(), missing, strict=True)]


def values_of(frame: pd.DataFrame | pd.Series, name: str) -> list[Any]:
    """Return a column as Python values; None where a value is missing, and for each row if there is no such column."""
    if isinstance(frame, pd.DataFrame) and name in frame.columns:
        return plain_values(frame[name])
    return [None] * len(frame)


def strings_of(frame: pd.DataFrame | pd.Series, name: str) -> list[str | None]:
    """Return a column as texts; None where a value is missing, and for each row if there is no such column."""
    return [None if value is None else text_of(value) for value in values_of(frame, name)]


def text_of(value: Any) -> str:
    """Return the `str` of a cell; raise `InputError` for one that is nested too deep to have one."""
    if not isinstance(value, (str, int, float)):
        plain_value(value)
    return str(value)


def text_array(column: pd.Series) -> pa.Array:
    """Return a column of texts as an Arrow array; other values as their `str`, lone surrogates replaced."""
    return one_array(text_chunks(column))


def text_chunks(column: pd.Series) -> pa.ChunkedArray:
    """Return what `text_array` does, in the chunks of the column: their texts are not copied."""
    try:
        array = inferred_array(column).cast(TEXT)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        texts = (None if value is None else text_of(value) for value in plain_values(column))
        array = pa.array([None if text is None else escape_surrogates(text) for text in texts], TEXT)
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def factorize(column: pd.Series) -> tuple[Ints, pd.Index]:
    """Return codes and distinct values of a column of any dtype; missing values have the code -1.

    The values of a categorical column are its categories, also those that no row has.

    Raises
    ------
    SchemaError
        The column holds values that can't be compared (lists, for instance).
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy(np.int64), column.cat.categories
    return factorize_values(column)


def factorize_values(column: pd.Series) -> tuple[Ints, pd.Index]:
    """Return codes and distinct values as `factorize` does, but only values that a row has, in order of appearance."""
    if column.dtype == object and any(_is_broken(value) for value in column):
        # pandas 2.2 takes all texts with halves of surrogate pairs for one
        texts = [escape_surrogates(value) if isinstance(value, str) else value for value in column]
        column = pd.Series(texts, column.index, object, column.name)
    try:
        codes, values = pd.factorize(column)
    except (TypeError, NotImplementedError) as error:  # lists: a Python object, or an Arrow type
        what = f"Column {quoted(column.name)} ({column.dtype}) holds something other than texts or numbers"
        raise SchemaError(f"{what}: {error_line(error)}.") from None
    return codes.astype(np.int64), values


def _is_broken(value: Any) -> bool:
    return isinstance(value, str) and not value.isascii() and not is_valid_unicode(value)


def factorize_text(column: pd.Series) -> tuple[Ints, list[str]]:
    """Return codes and distinct texts of a column of any dtype; missing and empty texts have the code -1.

    Halves of surrogate pairs, which no Arrow column can hold, are replaced by their escapes.
    """
    codes, values = factorize(column)
    words = [escape_surrogates(str(value)) for value in values]
    texts = list(dict.fromkeys(words))
    positions = {text: position for position, text in enumerate(texts)}
    positions[""] = NO_CODE
    if len(texts) < len(values) or "" in texts:
        codes = np.array([*map(positions.__getitem__, words), NO_CODE], np.int64)[codes]
    return codes, texts


def text_ranks(codes: Ints, texts: Sequence[str]) -> Ints:
    """Return the alphabetical rank of each coded text, from 1 up; 0 where the code is -1."""
    ranks = {text: rank for rank, text in enumerate(sorted(set(texts)), 1)}
    result: Ints = np.array([*(ranks[text] for text in texts), 0], np.int64)[codes]
    return result


def whole_numbers(column: pd.Series) -> tuple[Ints, Mask]:
    """Return an integer column as int64, 0 where a value is missing, and a mask of the known values.

    Raises
    ------
    SchemaError
        The column holds other values; the message names it.
    """
    try:
        if isinstance(column.dtype, pd.CategoricalDtype):  # which a cast would truncate
            raise TypeError
        numbers = column if column.dtype == "Int64" else column.astype("Int64")
    except (TypeError, ValueError, OverflowError):
        raise SchemaError(
            f"Column {column.name!r} ({column.dtype}) holds something other than whole numbers."
        ) from None
    # The view replaces an unpickled dtype, with which `np.add.at` takes 20 times as long.
    return numbers.to_numpy(np.int64, na_value=0).view(np.int64), numbers.notna().to_numpy(bool)


def float_numbers(column: pd.Series) -> Floats:
    """Return a column of numbers as floats, NaN where a value is missing.

    Raises
    ------
    SchemaError
        The column holds other values; the message names it.
    """
    try:
        numbers: Floats = column.astype("Float64").to_numpy(float, na_value=np.nan)
    except (TypeError, ValueError):
        raise SchemaError(f"Column {column.name!r} ({column.dtype}) holds something other than numbers.") from None
    return numbers


def integer_array(values: Ints, missing: Mask | None = None) -> pd.arrays.IntegerArray:
    """Return integers as an array of dtype Int64."""
    return pd.arrays.IntegerArray(values, np.zeros(len(values), bool) if missing is None else missing)
