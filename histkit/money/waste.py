"""Waste: the takes that were not kept, paid and free, by voice, model and period."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import replace
from datetime import tzinfo
from typing import Any, Literal

import numpy as np
import pandas as pd

from histkit.retakes.takes import takes
from histkit.usage.aggregate import distinct_rows, partial_sums, ratio, sums_by_code
from histkit.usage.table import build_table, parse_query
from histkit.util.arrays import Mask

_KIND = " kind of take"  # a column that no history has
_KINDS = ("kept", "paid", "free", "unknown")
_MADE = ("items", "thrown_away_items", "paid", "free", "credits", "thrown_away", "share")


def waste(
    frame: pd.DataFrame,
    by: Literal["voice", "speaker", "model", "source"] | Hashable | Iterable[Hashable] = "voice",
    freq: str | None = None,
    *,
    keep: Literal["last", "first"] | Iterable[str] = "last",
    near: float | None = None,
    across_accounts: bool = False,
    tz: str | tzinfo = "UTC",
    week_start: str | None = None,
    billing: Any = None,
) -> pd.DataFrame:
    """Sum the takes that were not kept by group and period: their number, paid and free, and their credits.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one, as `histkit.takes` and `histkit.usage_table` need it.
    by, freq, tz, week_start, billing
        As in `histkit.usage_table`.
    keep, near, across_accounts
        As in `histkit.takes`: accounts are separate.

    Returns
    -------
    pandas.DataFrame
        The groups and ``period`` as in a usage table, then ``items`` (Int64, all items of the group),
        ``thrown_away_items`` (Int64, takes that were not kept), ``paid`` and ``free`` of these (Int64; takes of unknown
        credits are in neither), ``credits`` (Int64, of all items), ``thrown_away`` (Int64, credits of the takes that
        were not kept; missing if none is known) and ``share`` (Float64, of the credits; missing if they are 0 or
        unknown). Sorted by ``thrown_away``, largest first, or by period. ``attrs["histkit"]`` is that of `takes`.

    Raises
    ------
    InputError, SchemaError
        As `histkit.takes` and `histkit.usage_table`.

    Notes
    -----
    A dialogue is one take; its items and credits are divided among its voices as in a usage table.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.sample_history(2000)
    >>> table = hk.waste(df, "model")
    >>> bool(table["thrown_away"].sum() == hk.takes(df)["thrown_away"].sum())
    True
    """
    takes_of_frame = takes(frame, keep=keep, near=near, across_accounts=across_accounts)
    table = waste_table_of(frame, takes_of_frame, by, freq, tz=tz, week_start=week_start, billing=billing)
    table.attrs["histkit"] = takes_of_frame.attrs["histkit"]
    return table


def waste_table_of(
    frame: pd.DataFrame, takes_of_frame: pd.DataFrame, by: Any, freq: str | None = None, **options: Any
) -> pd.DataFrame:
    """Return the waste table of a frame, given its table of takes: see `waste`."""
    query = replace(parse_query(by, freq, made=_MADE, **options), splits=(_KIND,))
    parts = build_table(partial_sums(frame.assign(**{_KIND: _kinds(takes_of_frame)}), query), query)
    kind, lost = parts[_KIND].astype(object).to_numpy(), (parts[_KIND] != "kept").to_numpy(bool)
    keys = [*query.names, *(["period"] if freq is not None else [])]
    first, codes = distinct_rows(parts, keys)

    def sums(name: str, rows: Mask) -> pd.arrays.IntegerArray:
        return sums_by_code(parts[name][rows], codes[rows], len(first))

    everything = np.ones(len(parts), bool)
    table = parts[keys].iloc[first].reset_index(drop=True)
    table["items"] = sums("items", everything)
    table["thrown_away_items"] = sums("items", lost).fillna(0)
    table["paid"] = sums("items", kind == "paid").fillna(0)
    table["free"] = sums("items", kind == "free").fillna(0)
    table["credits"] = sums("credits", everything)
    table["thrown_away"] = sums("credits", lost)
    table.loc[np.bincount(codes[lost], minlength=len(first)) == 0, "thrown_away"] = 0
    table["share"] = ratio(table["thrown_away"], table["credits"])
    if freq is None:
        table = table.sort_values("thrown_away", ascending=False, kind="stable", ignore_index=True)
    return table


def _kinds(takes_of_frame: pd.DataFrame) -> pd.Categorical:
    """Return whether each take is kept, else paid, free, or of unknown credits."""
    free = takes_of_frame["free"]
    kinds = np.select(
        [takes_of_frame["keeper"].to_numpy(bool), free.isna().to_numpy(bool), free.fillna(False).to_numpy(bool)],
        [_KINDS.index("kept"), _KINDS.index("unknown"), _KINDS.index("free")],
        _KINDS.index("paid"),
    )
    return pd.Categorical.from_codes(kinds, categories=[*_KINDS])
