"""Lines of a table of takes: which texts cost most, all their takes together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from histkit.frame.columns import whole_numbers
from histkit.frame.schema import require
from histkit.usage.aggregate import sums_by_code
from histkit.util.arrays import Ints

_NEEDED = ("line", "takes", "text", "credits", "thrown_away")


def line_table(
    found: pd.DataFrame,
    top: int | None = None,
    *,
    by: Sequence[str] = ("thrown_away", "credits"),
    several: bool = True,
) -> pd.DataFrame:
    """Sum takes by line, those that cost most first.

    Parameters
    ----------
    found : pandas.DataFrame
        What `histkit.takes` gives; only the texts of the lines that are shown are looked at.
    top : int, optional
        So many lines; default: all.
    by : sequence of str
        Sums that the lines are in order of, the largest first; lines that tie are in order of their keys.
    several : bool, default True
        Only lines with more than one take.

    Returns
    -------
    pandas.DataFrame
        ``text`` and ``voice`` (of the newest take; missing for a dialogue), ``takes``, ``credits`` and ``thrown_away``
        (Int64; missing where nothing is known), on an index of lines. ``attrs["histkit"]["lines"]`` counts them all.

    Examples
    --------
    >>> import histkit as hk
    >>> found = hk.takes(hk.sample_history(2000))
    >>> bool(line_table(found)["thrown_away"].sum() == found["thrown_away"].sum())
    True
    """
    require(found, _NEEDED, "the table of lines")
    codes, lines = pd.factorize(found["line"])
    wanted = codes >= 0
    if several:
        wanted &= found["takes"].gt(1).fillna(False).to_numpy(bool)
    rows = np.flatnonzero(wanted)
    codes = codes[rows]
    takes = np.bincount(codes, minlength=len(lines))
    sums = {name: sums_by_code(found[name].iloc[rows], codes, len(lines)) for name in ("credits", "thrown_away")}
    ranks = [np.where(sums[name].isna(), -np.inf, sums[name].to_numpy(float, na_value=0)) for name in by]
    present = np.flatnonzero(takes)
    count = len(present)
    if top is not None and top < count:  # only what can be among them is sorted: keys are slow to compare
        least = np.partition(ranks[0][present], count - top)[count - top]
        present = present[ranks[0][present] >= least]
    keys = np.array(lines[present].tolist(), dtype=str)
    order = np.lexsort([keys, *(-rank[present] for rank in reversed(ranks))])
    chosen = present[order[:top]]
    newest = found.iloc[_newest(found, rows, codes, chosen)]
    table = pd.DataFrame(
        {
            "text": newest["text"].array,
            "voice": newest["voice_name"].array if "voice_name" in found.columns else None,
            "takes": pd.array(takes[chosen], "Int64"),
            **{name: values[chosen] for name, values in sums.items()},
        },
        index=pd.Index(lines[chosen], name="line", dtype=found["line"].dtype),
    )
    table.attrs["histkit"] = {"lines": count}
    return table


def _newest(found: pd.DataFrame, rows: Ints, codes: Ints, chosen: Ints) -> Ints:
    """Give the position of the newest take of each chosen line."""
    places = np.flatnonzero(np.isin(codes, chosen))
    take = whole_numbers(found["take"].iloc[rows[places]])[0] if "take" in found.columns else places
    by_age = places[np.argsort(take, kind="stable")]
    newest = dict(zip(codes[by_age].tolist(), rows[by_age].tolist(), strict=True))
    return np.array([newest[code] for code in chosen.tolist()], np.int64)
