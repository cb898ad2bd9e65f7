"""Types of NumPy arrays, for annotations."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Hashes = NDArray[np.uint64]
Mask = NDArray[np.bool_]
