"""Rows of a frame by mask or position, without a copy of the texts of the others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from histkit.util.arrays import Ints, Mask


def rows_where(frame: pd.DataFrame, mask: Mask) -> pd.DataFrame:
    """Return ``frame[mask]``, without a copy of the texts that are left out.

    Arrow's take, which pandas uses, joins the chunks of a column before it takes rows from it. Its filter does not.

    Parameters
    ----------
    frame : pandas.DataFrame
        Any frame.
    mask : bool array
        Which of its rows to keep.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.sample_history(300)
    >>> kept = (df["credits"] > 100).to_numpy(bool)
    >>> rows_where(df, kept).equals(df[kept])
    True
    """
    chunked = [] if mask.all() else [place for place in range(frame.shape[1]) if _is_chunked(frame.iloc[:, place])]
    if not chunked:
        return frame[mask]
    light = frame.copy(deep=False)
    for place in chunked:
        light.isetitem(place, mask)  # in place of the texts
    rows, kept = light.iloc[np.flatnonzero(mask)], pa.array(mask)
    for place in chunked:
        column = frame.iloc[:, place]
        rows.isetitem(place, column.dtype.__from_arrow__(pa.array(column.array).filter(kept)))
    return rows


def rows_at(frame: pd.DataFrame, positions: Ints) -> pd.DataFrame:
    """Return ``frame.iloc[positions]``, without a copy of the texts that are left out.

    Parameters
    ----------
    frame : pandas.DataFrame
        Any frame.
    positions : int64 array
        Rows in any order, from 0 up; they may repeat.

    Examples
    --------
    >>> import numpy as np, histkit as hk
    >>> df = hk.sample_history(300)
    >>> rows_at(df, np.array([7, 2, 7])).equals(df.iloc[[7, 2, 7]])
    True
    """
    mask = np.zeros(len(frame), bool)
    mask[positions] = True
    return rows_where(frame, mask).iloc[np.searchsorted(np.flatnonzero(mask), positions)]


def _is_chunked(column: pd.Series) -> bool:
    """Return whether a column is of Arrow's, and in several chunks."""
    dtype = column.dtype
    if not (isinstance(dtype, pd.ArrowDtype) or (isinstance(dtype, pd.StringDtype) and dtype.storage == "pyarrow")):
        return False
    array = pa.array(column.array)
    return isinstance(array, pa.ChunkedArray) and array.num_chunks > 1
