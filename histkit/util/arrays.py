"""Type aliases of NumPy arrays, sums by code, and numbers of bits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Hashes = NDArray[np.uint64]
Mask = NDArray[np.bool_]
_MASKS = (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F, 0x0101010101010101)


def add_by_code(values: NDArray[Any], codes: Ints, size: int) -> NDArray[Any]:
    """Return the sum of the values of each code below `size`, in their dtype: also int64 beyond 2**53, and objects."""
    total = np.zeros(size, values.dtype)
    np.add.at(total, codes, values)
    return total


def running_maximum(values: Ints, starts: Ints, sizes: Ints) -> Ints:
    """Return the running maximum within each block; `starts` and `sizes` divide the values, and no block is empty."""
    if len(starts) < 2:
        return np.maximum.accumulate(values)
    steps = np.maximum.reduceat(values, starts)[:-1] - np.minimum.reduceat(values, starts)[1:]
    lift = np.repeat(np.r_[0, np.cumsum(steps)], sizes)  # so that no block is below the one before
    highest: Ints = np.maximum.accumulate(values + lift) - lift
    return highest


def bit_counts(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return the number of bits of each word that are set."""
    if hasattr(np, "bitwise_count"):
        counts: NDArray[np.uint8] = np.bitwise_count(words)
        return counts
    return added_bits(words)  # NumPy 1


def added_bits(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return the number of bits of each word that are set, added in pairs, fours and bytes."""
    odd, pairs, nibbles, ones = (np.uint64(mask) for mask in _MASKS)
    one, two, four, most = (np.uint64(places) for places in (1, 2, 4, 56))
    words = words - (words >> one & odd)
    words = (words & pairs) + (words >> two & pairs)
    words = words + (words >> four) & nibbles
    return (words * ones >> most).astype(np.uint8)
