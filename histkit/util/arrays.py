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
