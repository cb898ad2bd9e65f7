"""What a report is made of, whatever it is written as: facts, tables and charts in sections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from histkit.util.text import format_value


@dataclass(frozen=True)
class ReportColumn:
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
class ReportTable:
    """A table: rows of a frame under labelled columns, and a last line with totals, if any."""

    title: str
    frame: pd.DataFrame
    columns: tuple[ReportColumn, ...]
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
    tables: tuple[ReportTable, ...] = ()
    charts: tuple[Chart, ...] = ()


@dataclass(frozen=True)
class Report:
    """A whole report; the same history gives the same report."""

    title: str
    subtitle: str
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]


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


def rows_of(table: ReportTable) -> Iterator[list[str]]:
    """Give the cells of each row as they are read."""
    columns = [table.frame[column.name].astype(object).tolist() for column in table.columns]
    for values in zip(*columns, strict=True):
        yield [format_value(value, column.kind) for value, column in zip(values, table.columns, strict=True)]


def totals_of(table: ReportTable) -> list[str]:
    """Give the cells of the last line."""
    found = []
    for place, column in enumerate(table.columns):
        if column.name in table.totals:
            found.append(format_value(table.totals[column.name], column.kind))
        else:
            found.append("Total" if not place else "")
    return found


def bar_shares(table: ReportTable, name: str) -> list[float]:
    """Give how far the bar of each cell of a column goes, 0 to 1 of the largest."""
    values = [
        0.0 if value is None else float(value)
        for value in table.frame[name].astype(object).where(table.frame[name].notna(), None).tolist()
    ]
    largest = max(map(abs, values), default=0.0)
    return [abs(value) / largest if largest else 0.0 for value in values]
