"""Sort rows by several columns as pandas' stable sort does, with missing values last in both directions.

Each column is reduced once to ranks. A sort packs the ranks of its keys and the row's position into one integer.
Sorting plain integers is fast, and stable because no two of them are equal.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from histkit.errors import SchemaError
from histkit.frame.columns import factorize, text_array
from histkit.util.arrays import Ints, Mask

Ranked = NDArray[np.int32]
_BITS = 62  # of a packed key
_MOST_RANKS = 2**31 - 2
_NAT = np.iinfo(np.int64).min


class SortKey(NamedTuple):
    """A column to sort by, and whether its largest values come first."""

    column: Hashable
    descending: bool = False


class Ranks(NamedTuple):
    """The rank of each row's value from 0 up; `missing` is greater than all ranks."""

    values: Ranked
    missing: int


class RowSorter:
    """Sorts the rows of a frame; the ranks of a column are computed when it is first sorted by."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._ranks: dict[Hashable, Ranks] = {}
        self._whole: tuple[tuple[SortKey, ...], Ints] | None = None  # the last keys of all rows, and their order

    def order(self, rows: Ints, keys: Sequence[SortKey]) -> Ints:
        """Return some rows in the order of their keys; rows that are equal stay in the order of the frame.

        Parameters
        ----------
        rows : int64 array
            Positions in the frame, ascending.
        keys : sequence of SortKey
            The first key first; none: the order of the frame.
        """
        if not keys or not len(rows):
            return rows
        if self._whole is not None and self._whole[0] == tuple(keys):
            every, is_wanted = self._whole[1], np.zeros(len(self._frame), bool)
            is_wanted[rows] = True
            wanted: Ints = every[is_wanted[every]]
            return wanted
        order = self._sorted(rows, keys)
        if len(rows) == len(self._frame):
            self._whole = tuple(keys), order
        return order

    def _sorted(self, rows: Ints, keys: Sequence[SortKey]) -> Ints:
        codes, span = self._codes(rows, keys[0])
        position_bits = int(len(rows) - 1).bit_length()
        for key in keys[1:]:
            more, more_span = self._codes(rows, key)
            if (span * more_span).bit_length() + position_bits > _BITS:
                uniques, codes = np.unique(codes, return_inverse=True)
                span = len(uniques)
            codes, span = codes.astype(np.int64) * more_span + more, span * more_span
        if span.bit_length() + position_bits > _BITS:
            return rows[np.argsort(codes, kind="stable")]
        packed = (codes.astype(np.int64) << position_bits) | np.arange(len(rows))
        packed.sort()
        order: Ints = rows[packed & ((1 << position_bits) - 1)]
        return order

    def _codes(self, rows: Ints, key: SortKey) -> tuple[NDArray[Any], int]:
        """Return numbers that sort as the key does, and an integer greater than all of them."""
        ranks = self._ranks.get(key.column)
        if ranks is None:
            ranks = self._ranks[key.column] = rank_values(self._frame[key.column])
        values = ranks.values if len(rows) == len(ranks.values) else ranks.values[rows]
        if key.descending:
            values = np.where(values == ranks.missing, ranks.missing, ranks.missing - 1 - values)
        return values, ranks.missing + 1


def rank_values(column: pd.Series) -> Ranks:
    """Return the ranks of a column's values: equal where pandas sorts them as equal.

    Texts sort by code point, categories by their texts (ordered ones by their order), other values as they compare.
    Values that don't compare sort by their texts.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.StringDtype):
        is_arrow = dtype.storage == "pyarrow"
        return _rank_texts(pa.array(column.array) if is_arrow else text_array(column))
    missing: Mask = column.isna().to_numpy(bool)
    if isinstance(dtype, np.dtype | pd.DatetimeTZDtype) and dtype.kind in "mM":
        index = pd.TimedeltaIndex(column) if dtype.kind == "m" else pd.DatetimeIndex(column)
        return _rank_numbers(_coarsened(index.asi8), missing)
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_integer_dtype(dtype):
        unsigned = getattr(dtype, "kind", "i") == "u"
        return _rank_numbers(column.to_numpy(np.uint64 if unsigned else np.int64, na_value=0), missing)
    if pd.api.types.is_float_dtype(dtype):
        return _rank_numbers(column.to_numpy(np.float64, na_value=np.nan), missing)
    try:
        codes, values = factorize(column)
    except SchemaError:  # lists
        codes, values = factorize(column.map(str, na_action="ignore"))
    if isinstance(dtype, pd.CategoricalDtype) and dtype.ordered:
        return _rank_numbers(codes, codes < 0)
    return _rank_codes(codes, values.tolist())


def _coarsened(instants: Ints) -> Ints:
    """Return instants in the largest unit of which all are multiples; NaT may become anything."""
    known = instants[instants != _NAT]
    for factor in (10**9, 10**6, 10**3):
        coarse = known // factor
        if np.array_equal(coarse * factor, known):
            return coarse if len(known) == len(instants) else instants // factor
    return instants


def _rank_numbers(numbers: NDArray[Any], missing: Mask) -> Ranks:
    if numbers.dtype.kind == "f":
        missing = missing | np.isnan(numbers)
    known = numbers[~missing] if missing.any() else numbers
    if not len(known):
        return Ranks(np.zeros(len(numbers), np.int32), 0)
    low, high = known.min(), known.max()
    if numbers.dtype.kind in "iu" and int(high) - int(low) < _MOST_RANKS:
        with np.errstate(over="ignore"):  # of missing values
            ranks = (numbers - low).astype(np.int32)
        return _with_missing(ranks, missing, int(high) - int(low) + 1)
    distinct, places = np.unique(known, return_inverse=True)
    ranks = np.zeros(len(numbers), np.int32)
    ranks[~missing] = places
    return _with_missing(ranks, missing, len(distinct))


def _rank_texts(texts: pa.Array | pa.ChunkedArray) -> Ranks:
    ranks = pc.rank(texts, "ascending", tiebreaker="dense").to_numpy().astype(np.int32) - 1  # nulls last
    known = len(texts) - texts.null_count
    is_missing = texts.is_null().to_numpy(zero_copy_only=False) if known < len(texts) else np.zeros(len(texts), bool)
    return _with_missing(ranks, is_missing, int(ranks[~is_missing].max(initial=-1)) + 1)


def _rank_codes(codes: Ints, values: list[Any]) -> Ranks:
    try:
        keys = {value: rank for rank, value in enumerate(sorted(set(values)))}
    except TypeError:
        values = [*map(str, values)]
        keys = {value: rank for rank, value in enumerate(sorted(set(values)))}
    table = np.array([*(keys[value] for value in values), len(keys)], np.int32)
    return Ranks(table[codes], len(keys))


def _with_missing(ranks: Ranked, missing: Mask, number: int) -> Ranks:
    ranks[missing] = number
    return Ranks(ranks, number)
