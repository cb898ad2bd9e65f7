"""What was thrown away: the takes that were not kept, paid and free, by voice, model and period."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.retakes.takes import takes
from histkit.usage.table import usage_table

_KIND = " kind of take"
_KINDS = ("kept", "paid", "free", "unknown")
_MADE = ("items", "thrown_away_items", "paid", "free", "credits", "thrown_away", "share")


def waste(
    frame: pd.DataFrame,
    by: Any = "voice",
    freq: str | None = None,
    *,
    keep: str | Iterable[str] = "last",
    near: float | None = None,
    tz: str | tzinfo = "UTC",
    week_start: str | None = None,
    billing: Any = None,
) -> pd.DataFrame:
    """Sum the takes that were not kept by group and period: how many were paid, how many free, and their credits.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one, as `histkit.takes` and `histkit.usage_table` need it.
    by, freq, tz, week_start, billing
        As in `histkit.usage_table`.
    keep, near
        As in `histkit.takes`.

    Returns
    -------
    pandas.DataFrame
        The groups and ``period`` as in a usage table, then ``items`` (Int64, all of the group), ``thrown_away_items``
        (Int64, takes that were not kept), ``paid`` and ``free`` of them (Int64; where neither, the credits are not
        known), ``credits`` (Int64, of all items), ``thrown_away`` (Int64, credits of the takes that were not kept;
        missing where none of them is known) and ``share`` (Float64, of the credits; missing where they are 0 or not
        known). Most credits thrown away first, or in order of time. ``attrs["histkit"]`` is that of `takes`.

    Raises
    ------
    InputError, SchemaError
        As `histkit.takes` and `histkit.usage_table`.

    Notes
    -----
    A dialogue counts once, with its credits shared out among its voices, as in a usage table.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.sample_history(2000)
    >>> table = hk.waste(df, "model")
    >>> bool(table["thrown_away"].sum() == hk.takes(df)["thrown_away"].sum())
    True
    """
    found = takes(frame, keep=keep, near=near)
    table = waste_table_of(frame, found, by, freq, tz=tz, week_start=week_start, billing=billing)
    table.attrs["histkit"] = found.attrs["histkit"]
    return table


def waste_table_of(
    frame: pd.DataFrame, found: pd.DataFrame, by: Any, freq: str | None = None, **options: Any
) -> pd.DataFrame:
    """Sum the takes that were not kept, given what `histkit.takes` found in the frame: see `waste`."""
    names = [] if by is None else [by] if isinstance(by, str) else list(by)
    for name in names:
        if name in _MADE:
            raise InputError(f"by={name!r} is not possible: the table has a column of that name already.")
    free = found["free"].astype("Float64").to_numpy(float, na_value=np.nan)
    kinds = np.where(found["keeper"].to_numpy(bool), 0, np.where(np.isnan(free), 3, np.where(free > 0, 2, 1)))
    marked = frame.assign(**{_KIND: pd.Categorical.from_codes(kinds, categories=[*_KINDS])})
    parts = usage_table(marked, [*names, _KIND], freq, **options)
    keys = [*names, *(["period"] if freq is not None else [])]
    kind = parts[_KIND].astype(object).to_numpy()
    rows, codes = _groups(parts, keys)
    table = parts[keys].iloc[rows].reset_index(drop=True) if keys else pd.DataFrame(index=range(len(rows)))
    items, credits = parts["items"], parts["credits"]
    lost = kind != "kept"
    table["items"] = _sums(items, codes, len(rows))
    table["thrown_away_items"] = _sums(items[lost], codes[lost], len(rows))
    for name in ("paid", "free"):
        table[name] = _sums(items[kind == name], codes[kind == name], len(rows))
    table["credits"] = _sums(credits, codes, len(rows), known=True)
    none = np.bincount(codes[lost], minlength=len(rows)) == 0
    table["thrown_away"] = _sums(credits[lost], codes[lost], len(rows), known=True).mask(none, 0)
    share = table["thrown_away"].astype("Float64") / table["credits"].astype("Float64").replace(0, pd.NA)
    table["share"] = share.astype("Float64")
    if freq is None:
        table = table.sort_values("thrown_away", ascending=False, kind="stable", ignore_index=True)
    return table


def _groups(parts: pd.DataFrame, keys: list[Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Give the first row of each group, in order, and the group of each row."""
    if not keys:
        return np.arange(min(len(parts), 1)), np.zeros(len(parts), np.int64)
    grouper = parts.groupby(keys, sort=False, dropna=False, observed=True)
    codes = grouper.ngroup().to_numpy()
    return np.unique(codes, return_index=True)[1], codes


def _sums(values: pd.Series, codes: np.ndarray[Any, Any], size: int, *, known: bool = False) -> pd.Series:
    """Sum by group; with `known`, missing where there are values and none is known."""
    sums = values.groupby(codes).sum(min_count=1 if known else 0).astype("Int64")
    sums = sums.reindex(range(size))
    return sums if known else sums.fillna(0)
