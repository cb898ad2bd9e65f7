"""Usage tables styled for a notebook; the frames stay plain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from histkit.errors import InputError
from histkit.frame.schema import check_frame
from histkit.util.text import NOTHING, ValueKind, format_column, format_value, one_line_text, quoted

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

_BARS = ("thrown_away", "credits", "unseen", "official", "cost")  # the first of these in a table gets the bars
_SHARES = ("share", "priced")
_BAR_COLOR = "rgba(0, 114, 178, .28)"


def show_usage(table: pd.DataFrame, *, bar: str | None = None) -> Styler:
    """Style a usage table for a notebook: separated thousands, percentages, bars in one column.

    Parameters
    ----------
    table : pandas.DataFrame
        As `histkit.usage_table`, `cost_table`, `waste`, `ledger`, `reconcile` or `statements` return it, or a part of
        it. It is not modified.
    bar : str, optional
        The column with bars; default: the first present of ``thrown_away``, ``credits``, ``unseen``, ``official`` and
        ``cost``.

    Returns
    -------
    pandas.io.formats.style.Styler
        Displays itself. Texts are escaped; unknown values are a dash.

    Raises
    ------
    InputError
        `table` is not a DataFrame, or `bar` is not one of its numeric columns.
    SchemaError
        Two columns have the same name.

    Examples
    --------
    >>> import histkit as hk
    >>> html = hk.show_usage(hk.sample_history(300).speech.usage("model")).to_html()
    >>> "<table" in html
    True
    """
    check_frame(table, "the styled table")
    rows = table.reset_index(drop=True).rename(columns=str)
    check_frame(rows, "the styled table")
    kinds = {name: _kind(name, rows[name]) for name in rows.columns}
    numbers = [name for name, kind in kinds.items() if kind in ("count", "share", "money")]
    bar = _bar_column(bar, numbers)
    formatters = {name: _formatter(rows[name], kind) for name, kind in kinds.items()}
    if bar is not None:
        rows[bar] = rows[bar].astype("Float64")  # Styler.bar can't compute with decimals
    style = rows.style.format(formatters, escape="html").hide(axis="index")
    style = style.set_properties(subset=numbers, **{"text-align": "right", "font-variant-numeric": "tabular-nums"})
    texts = [name for name in rows.columns if name not in numbers]
    style = style.set_properties(subset=texts, **{"text-align": "left"})
    headings: Any = {name: [{"selector": "th", "props": "text-align: left"}] for name in texts}
    style = style.set_table_styles(headings, overwrite=False)
    return style if bar is None else _add_bars(style, rows[bar], bar)


def _bar_column(bar: Any, numbers: Sequence[str]) -> str | None:
    """Return the column with bars; None if the table has none of the default ones."""
    if bar is None:
        return next((name for name in _BARS if name in numbers), None)
    name = bar if isinstance(bar, str) else quoted(bar)  # the names of a table's columns as texts: 5 is "5"
    if name not in numbers:
        raise InputError(f"bar={quoted(bar)} is not a numeric column of this table.")
    return name


def _add_bars(style: Styler, values: pd.Series, name: str) -> Styler:
    largest = values.abs().max()
    if pd.isna(largest) or not largest:
        return style
    least = -float(largest) if values.min() < 0 else 0.0
    align = "zero" if least else "left"
    return style.bar(subset=[name], color=_BAR_COLOR, align=align, vmin=least, vmax=float(largest), height=70)


def _kind(name: str, column: pd.Series) -> ValueKind:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        clock = column.dropna().dt.tz_localize(None)  # normalizing fails at a midnight that the clocks skip or repeat
        return "day" if clock.dt.normalize().eq(clock).all() else "moment"
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return "text"
    if name in _SHARES:
        return "share"
    first = column.dropna().head(1).tolist()
    return "money" if first and isinstance(first[0], Decimal) else "count"


def _formatter(column: pd.Series, kind: ValueKind) -> Callable[[Any], str]:
    """Return the function that formats a value of a column."""
    if kind == "text":
        return lambda value: one_line_text(format_value(value, "text"))
    if kind == "money":
        digits = max((-int(value.as_tuple().exponent) for value in column.dropna()), default=0)
        return lambda value: NOTHING if pd.isna(value) else f"{value:,.{digits}f}"
    if kind in ("moment", "day"):
        labels = dict(zip(column, format_column(column, kind), strict=True))
        return lambda value: labels.get(value, NOTHING)
    return lambda value: format_value(value, kind)
