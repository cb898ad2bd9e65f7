"""Lines of a table of takes: the texts whose takes cost most together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from histkit.frame.columns import factorize_text, whole_numbers
from histkit.frame.kept_rows import rows_at
from histkit.frame.schema import require
from histkit.usage.aggregate import sums_by_code
from histkit.util.arrays import Ints

_NEEDED = ("line", "takes", "text", "credits", "thrown_away")


def line_table(
    takes_table: pd.DataFrame,
    top: int | None = None,
    *,
    by: Sequence[str] = ("thrown_away", "credits"),
    several: bool = True,
) -> pd.DataFrame:
    """Sum takes by line, most expensive lines first.

    Parameters
    ----------
    takes_table : pandas.DataFrame
        The result of `histkit.takes`; only the texts of the returned lines are read.
    top : int, optional
        Number of lines to return; default: all.
    by : sequence of str
        Sums to sort by, largest first; ties are sorted by key.
    several : bool, default True
        Whether to return only lines with more than one take.

    Returns
    -------
    pandas.DataFrame
        ``text`` and ``voice`` (of the newest take; missing for a dialogue), ``account`` (only if there are several in
        the table; missing if a line is of several), ``takes``, ``credits`` and ``thrown_away`` (Int64; missing if
        nothing is known), indexed by line. ``attrs["histkit"]["lines"]`` is the number of lines
        before `top`.

    Examples
    --------
    >>> import histkit as hk
    >>> takes_table = hk.takes(hk.sample_history(2000))
    >>> bool(line_table(takes_table)["thrown_away"].sum() == takes_table["thrown_away"].sum())
    True
    """
    require(takes_table, _NEEDED, "the table of lines")
    codes, lines = pd.factorize(takes_table["line"])
    included = codes >= 0
    if several:
        included &= takes_table["takes"].gt(1).fillna(False).to_numpy(bool)
    rows = np.flatnonzero(included)
    codes = codes[rows]
    takes = np.bincount(codes, minlength=len(lines))
    sums = {name: sums_by_code(takes_table[name].iloc[rows], codes, len(lines)) for name in ("credits", "thrown_away")}
    ranks = [np.where(sums[name].isna(), -np.inf, sums[name].to_numpy(float, na_value=0)) for name in by]
    present = np.flatnonzero(takes)
    count = len(present)
    if top is not None and top < count:  # sort only the candidates, since keys are slow to compare
        least = np.partition(ranks[0][present], count - top)[count - top]
        present = present[ranks[0][present] >= least]
    keys = np.array(lines[present].tolist(), dtype=str)
    order = np.lexsort([keys, *(-rank[present] for rank in reversed(ranks))])
    chosen = present[order[:top]]
    shown = takes_table[[name for name in ("text", "voice_name") if name in takes_table.columns]]
    newest = rows_at(shown, _newest(takes_table, rows, codes, chosen))
    index = pd.Index(lines[chosen], name="line", dtype=takes_table["line"].dtype)
    table = pd.DataFrame(
        {
            "text": newest["text"].set_axis(index),  # as it is: pandas would infer the dtype of an array
            "voice": newest["voice_name"].set_axis(index) if "voice_name" in newest.columns else None,
            **_accounts(takes_table, rows, codes, chosen),
            "takes": pd.array(takes[chosen], "Int64"),
            **{name: values[chosen] for name, values in sums.items()},
        },
        index=index,
    )
    table.attrs["histkit"] = {"lines": count}
    return table


def _accounts(takes_table: pd.DataFrame, rows: Ints, codes: Ints, chosen: Ints) -> dict[str, Any]:
    """Return the column of accounts, if there are several; missing for a line of several."""
    if "account" not in takes_table.columns:
        return {}
    accounts, names = factorize_text(takes_table["account"])
    if len(np.unique(accounts)) < 2:
        return {}
    size = int(codes.max(initial=-1)) + 1
    first, last = np.full(size, len(names), np.int64), np.full(size, -1, np.int64)
    np.minimum.at(first, codes, accounts[rows])
    np.maximum.at(last, codes, accounts[rows])
    texts = np.array([*names, None], dtype=object)
    return {"account": pd.array(texts[np.where(first == last, first, -1)[chosen]], "string[pyarrow]")}


def _newest(takes_table: pd.DataFrame, rows: Ints, codes: Ints, chosen: Ints) -> Ints:
    """Return the position of the newest take of each chosen line."""
    places = np.flatnonzero(np.isin(codes, chosen))
    take = whole_numbers(takes_table["take"].iloc[rows[places]])[0] if "take" in takes_table.columns else places
    by_age = places[np.argsort(take, kind="stable")]
    newest = dict(zip(codes[by_age].tolist(), rows[by_age].tolist(), strict=True))
    return np.array([newest[code] for code in chosen.tolist()], np.int64)
