"""Usage tables as people like to read them in a notebook; the frames stay plain."""

from __future__ import annotations

from collections.abc import Hashable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from histkit.errors import InputError
from histkit.frame.schema import check_frame
from histkit.util.text import NOTHING, ValueKind, format_value, one_line_text, quoted

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

_BARS = ("thrown_away", "credits", "unseen", "official", "cost")  # the first that a table has gets the bars
_SHARES = ("share", "priced")
_BAR = "rgba(0, 114, 178, .28)"


def show_usage(table: pd.DataFrame, *, bar: str | None = None) -> Styler:
    """Show a usage table in a notebook: thousands separated, shares in per cent, a bar in the cells of one column.

    Parameters
    ----------
    table : pandas.DataFrame
        What `histkit.usage_table`, `cost_table`, `waste`, `ledger`, `reconcile` or `statements` give, or a part of it.
        It is not changed.
    bar : str, optional
        The column with bars; default: ``thrown_away``, ``credits``, ``unseen``, ``official`` or ``cost``, the first
        that is there.

    Returns
    -------
    pandas.io.formats.style.Styler
        Shows itself. Words are text, whatever is in them; what is not known is a dash.

    Raises
    ------
    InputError
        `bar` is no column of numbers.

    Examples
    --------
    >>> import histkit as hk
    >>> html = hk.show_usage(hk.sample_history(300).speech.usage("model")).to_html()
    >>> "<table" in html
    True
    """
    check_frame(table, "show_usage")
    if bar is None:
        bar = next((name for name in _BARS if name in table.columns), None)
    elif not isinstance(bar, Hashable) or bar not in table.columns or not _number(table[bar]):
        raise InputError(f"bar={quoted(bar)} is no column of numbers of this table.")
    rows = table.reset_index(drop=True).rename(columns=str)
    kinds = {name: _kind(name, rows[name]) for name in rows.columns}
    style = rows.style.format(
        {name: lambda value, kind=kind: _cell(value, kind) for name, kind in kinds.items()}, escape="html"
    ).hide(axis="index")
    numbers = [name for name, kind in kinds.items() if kind in ("count", "share", "money")]
    style = style.set_properties(subset=numbers, **{"text-align": "right", "font-variant-numeric": "tabular-nums"})
    words = [name for name in rows.columns if name not in numbers]
    style = style.set_properties(subset=words, **{"text-align": "left"})
    heads: Any = {name: [{"selector": "th", "props": "text-align: left"}] for name in words}
    style = style.set_table_styles(heads, overwrite=False)
    return style if bar is None else style.apply(_bars, subset=[str(bar)])


def _kind(name: str, column: pd.Series) -> ValueKind:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        known = column.dropna()
        return "day" if known.dt.normalize().eq(known).all() else "moment"
    if not _number(column):
        return "text"
    if name in _SHARES:
        return "share"
    first = column.dropna().head(1).tolist()
    return "money" if first and isinstance(first[0], Decimal) else "count"


def _number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _cell(value: Any, kind: ValueKind) -> str:
    text = format_value(value, kind)
    return one_line_text(text) if kind == "text" and text != NOTHING else text


def _bars(column: pd.Series) -> list[str]:
    values = [0.0 if pd.isna(each) else float(each) for each in column]
    most = max(map(abs, values), default=0.0) or 1.0
    return [
        f"background: linear-gradient({_BAR}, {_BAR}) no-repeat right / {100 * abs(value) / most:.1f}% 70%"
        for value in values
    ]
