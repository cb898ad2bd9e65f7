"""`sample_history`: the history of a sandbox as a frame, without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histkit.frame.decode import PageDecoder
from histkit.frame.schema import to_frame
from histkit.sandbox.rows import check_size, history, page_bytes

if TYPE_CHECKING:
    import pandas as pd


def sample_history(n: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Generate a realistic history: the rows that ``sandbox.serve(items=n, seed=seed)`` serves, without a network.

    Parameters
    ----------
    n : int
        Number of rows, 1 to 1,000,000.
    seed : int
        Seed of the generator; the same seed always gives the same rows.

    Returns
    -------
    pandas.DataFrame
        As from `histkit.read_history`: the columns of `histkit.COLUMNS`, newest first.

    Raises
    ------
    InputError
        `n` or `seed` is not an integer, or is out of bounds.

    Examples
    --------
    >>> import histkit as hk
    >>> hk.sample_history(100).shape[0]
    100
    """
    n, seed = check_size(n, seed, "n")
    frame = to_frame([PageDecoder()(page_bytes(history(n, seed))).rows])
    frame.attrs["histkit"] = {"complete": True, "sample": True, "requests": 0, "rows": len(frame)}
    return frame
