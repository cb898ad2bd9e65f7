"""Lines of a table of takes: which texts cost most, all their takes together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from histkit.schema import require

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
    codes, lines = pd.factorize(found["line"], sort=True)
    wanted = codes >= 0
    if several:
        wanted &= found["takes"].gt(1).fillna(False).to_numpy(bool)
    rows = np.flatnonzero(wanted)
    present, at = np.unique(codes[rows], return_inverse=True)
    table = pd.DataFrame({"takes": np.bincount(at, minlength=len(present))})
    for name in ("credits", "thrown_away"):
        values = found[name].astype("Int64")
        known = values.notna().to_numpy()[rows]
        sums = np.zeros(len(present), np.int64)
        np.add.at(sums, at[known], values.to_numpy(np.int64, na_value=0)[rows[known]])
        table[name] = pd.arrays.IntegerArray(sums, np.bincount(at[known], minlength=len(present)) == 0)
    table = table.sort_values(list(by), ascending=False, kind="stable", na_position="last")
    table.attrs["histkit"] = {"lines": len(table)}
    shown = table.head(len(table) if top is None else top).astype({"takes": "Int64"})
    newest = np.full(len(present), -1, np.int64)
    take = found["take"].to_numpy(np.int64, na_value=0)[rows] if "take" in found.columns else np.arange(len(rows))
    by_age = np.argsort(take, kind="stable")
    newest[at[by_age]] = rows[by_age]
    chosen = found.iloc[newest[shown.index]]
    shown.insert(0, "text", chosen["text"].array)
    shown.insert(1, "voice", chosen["voice_name"].array if "voice_name" in found.columns else None)
    shown.index = pd.Index(lines[present[shown.index]], name="line", dtype=found["line"].dtype)
    return shown
