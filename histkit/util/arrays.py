"""Type aliases of NumPy arrays, and sums by code."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Hashes = NDArray[np.uint64]
Mask = NDArray[np.bool_]


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
