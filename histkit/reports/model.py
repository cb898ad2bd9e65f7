"""What a report is made of, whatever it is written as: facts, tables and charts in sections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import pandas as pd

NOTHING = "–"  # for a value that is not known: never 0


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name : str
        Of the frame's column.
    label : str
        As it is headed.
    kind : str
        ``text``, ``count``, ``share`` (0 to 1), ``money``, ``moment`` (date and time), ``day``.
    bar : bool
        Whether its cells show a bar behind the number.
    """

    name: str
    label: str
    kind: str = "text"
    bar: bool = False

    @property
    def number(self) -> bool:
        """Whether its cells are numbers."""
        return self.kind in ("count", "share", "money")


@dataclass(frozen=True)
class Table:
    """A table: rows of a frame under labelled columns, and a last line with totals, if any."""

    title: str
    frame: pd.DataFrame
    columns: tuple[Column, ...]
    totals: dict[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """A chart: what it shows in words, and the function that draws it into an Axes."""

    title: str
    draw: Callable[[Any], Any]
    inches: tuple[float, float] = (9.0, 3.6)


@dataclass(frozen=True)
class Fact:
    """A number that stands out: its label, what is shown, and what qualifies it."""

    label: str
    value: Any
    kind: str = "count"
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a report."""

    key: str
    title: str
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()


@dataclass(frozen=True)
class Report:
    """A whole report; the same history gives the same report."""

    title: str
    subtitle: str
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]


def shown(value: Any, kind: str) -> str:
    """Write a value as it is read: thousands separated, shares in per cent, what is not known as a dash.

    Examples
    --------
    >>> shown(1234567, "count"), shown(0.1234, "share"), shown(None, "count"), shown(0.0004, "share")
    ('1,234,567', '12.3 %', '–', '<0.1 %')
    """
    if value is None or (not isinstance(value, (str, list, tuple, dict)) and pd.isna(value)):
        return NOTHING
    if kind == "count":
        return f"{value:,.0f}"
    if kind == "share":
        return "<0.1 %" if 0 < value < 0.0005 else f"{100 * value:.1f} %"
    if kind == "money":
        return f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"
    if kind == "moment":
        return f"{value:%Y-%m-%d %H:%M}"
    if kind == "day":
        return f"{value:%Y-%m-%d}" if isinstance(value, datetime) else str(value)
    return str(value)


def period_kind(freq: str | None) -> str:
    """Tell whether the starts of periods are days, or moments of a day."""
    return "moment" if freq in ("h", "billing") else "day"


def total_of(values: pd.Series) -> Any:
    """Give the sum of what is known; missing where there are values and none is known.

    Examples
    --------
    >>> total_of(pd.Series([1, None], dtype="Int64")), total_of(pd.Series([None], dtype="Int64"))
    (np.int64(1), <NA>)
    """
    return values.sum(min_count=1) if len(values) else 0


def share_of(values: pd.Series) -> pd.Series:
    """Give each value's share of their sum, 0 to 1; missing where the sum is 0."""
    total = values.sum()
    if pd.isna(total) or not total:
        return pd.Series(pd.array([None] * len(values), "Float64"), values.index)
    return (values.astype("Float64") / float(total)).astype("Float64")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Give a frame's rows as JSON can hold them."""
    columns = {str(name): [plain_value(value) for value in frame[name].astype(object)] for name in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def plain_value(value: Any) -> Any:
    """Give a value as JSON can hold it: decimals as text, moments in ISO 8601, what is missing as null."""
    if isinstance(value, dict):
        return {str(name): plain_value(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(each) for each in value]
    if value is None or isinstance(value, (str, bool)):
        return value
    if pd.isna(value):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    number = value.item() if hasattr(value, "item") else value
    return number if isinstance(number, (int, float, bool)) else str(number)
