"""The model of a report, independent of its output format: facts, tables and charts in sections."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from histkit.errors import InputError
from histkit.usage.periods import parse_freq
from histkit.util.text import NOTHING, ValueKind, format_column, format_value, is_missing, quoted


@dataclass(frozen=True)
class ReportColumn:
    """A column of a table.

    Attributes
    ----------
    name : str
        The frame's column.
    label : str
        The heading.
    kind : {"text", "count", "share", "money", "moment", "day"}
        How its values are formatted. A share is 0 to 1, a moment is a timestamp.
    bar : bool
        Whether its cells show a bar behind the number.
    drop_rank : int
        When a terminal is too narrow for the table, columns are left out in this order, 1 first; 0: never.
    whole : bool
        Whether its texts are never folded, because people copy them: paths, fingerprints.
    missing : str
        What its cells show for a missing value.
    """

    name: str
    label: str
    kind: ValueKind = "text"
    bar: bool = False
    drop_rank: int = 0
    whole: bool = False
    missing: str = NOTHING

    @property
    def numeric(self) -> bool:
        """Whether its cells are numbers."""
        return self.kind in ("count", "share", "money")

    @property
    def foldable(self) -> bool:
        """Whether its cells can be folded on a terminal."""
        return self.kind == "text" and not self.whole


@dataclass(frozen=True)
class ReportTable:
    """The rows of a frame under labelled columns, with an optional line of totals.

    Attributes
    ----------
    title : str
        The heading above it; may be empty.
    frame : pandas.DataFrame
        The rows.
    columns : tuple of ReportColumn
        Its columns, in their order.
    totals : dict
        The values of the line of totals, by column.
    note : str
        A line below the table.
    sortable : bool
        Whether readers of a page can sort its rows: not where each row leads to the next.
    values : pandas.DataFrame or None
        The values that they are sorted by, where `frame` has texts in their place.
    """

    title: str
    frame: pd.DataFrame
    columns: tuple[ReportColumn, ...]
    totals: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    sortable: bool = True
    values: pd.DataFrame | None = None

    @property
    def has_totals_line(self) -> bool:
        """Whether the totals are shown: not below columns of numbers only, whose one row is the total."""
        return bool(self.totals) and not all(column.numeric for column in self.columns)


@dataclass(frozen=True)
class Chart:
    """A chart: a description in words, and a function that computes it.

    Attributes
    ----------
    title : str
        The description.
    prepare : callable
        Returns a function that draws the chart into an Axes, as often as it is called.
    height : float
        The height of the figure in inches; its width is that of the medium.
    """

    title: str
    prepare: Callable[[], Callable[[Any], Any]]
    height: float = 3.6


@dataclass(frozen=True)
class Fact:
    """A headline number: its label, its value, and a note that qualifies it."""

    label: str
    value: Any
    kind: ValueKind = "count"
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A section of a report; one that `needs_charts` is left out where there are none."""

    key: str
    title: str
    notes: tuple[str, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    charts: tuple[Chart, ...] = ()
    needs_charts: bool = False


@dataclass(frozen=True)
class Report:
    """A report; the same history gives an equal report."""

    title: str
    subtitle: str
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]

    def text_sections(self) -> list[Section]:
        """Return the sections of an output without charts."""
        return [section for section in self.sections if not section.needs_charts]


MEASURE_COLUMNS = (
    ReportColumn("items", "Items", "count", drop_rank=4),
    ReportColumn("characters", "Characters", "count", drop_rank=5),
    ReportColumn("credits", "Credits", "count", bar=True),
)


def check_title(title: Any) -> None:
    """Raise `InputError` unless a title is None or a string."""
    if title is not None and not isinstance(title, str):
        raise InputError(f"title= must be a string, not {quoted(title)}.")


def heading(name: str) -> str:
    """Return the heading of a column.

    Examples
    --------
    >>> heading("api_key"), heading("voice"), heading("user_label")
    ('API key', 'Voice', 'User label')
    """
    words = _words(name)
    return words[:1].upper() + words[1:]


def no_name(name: str) -> str:
    """Return what stands for a missing value in a column of groups.

    Examples
    --------
    >>> no_name("api_key"), no_name("user")
    ('(no API key)', '(no user)')
    """
    return f"(no {_words(name)})"


def name_missing(table: pd.DataFrame, names: Iterable[str], of_groups: pd.Series) -> pd.DataFrame:
    """Return a table whose columns of groups say `no_name` where a group has no value.

    In the other lines, which are of no group, they stay missing.
    """
    named = {name: table[name].astype(object).mask(of_groups & table[name].isna(), no_name(name)) for name in names}
    return table.assign(**named)


def _words(name: str) -> str:
    return re.sub(r"\bapi\b", "API", name.replace("_", " "))


def group_column(name: str) -> ReportColumn:
    """Return the column of a group, headed by its name."""
    return ReportColumn(name, heading(name), missing=no_name(name))


def period_column(freq: str | None) -> ReportColumn:
    """Return the column of the starts of periods: days, or with a time of day where periods can start within one."""
    timed = freq == "billing" or (freq is not None and parse_freq(freq).unit == "h")
    return ReportColumn("period", "From", "moment" if timed else "day")


def measure_totals(table: pd.DataFrame) -> dict[str, Any]:
    """Return the totals of `MEASURE_COLUMNS`."""
    return {column.name: total_of(table[column.name]) for column in MEASURE_COLUMNS}


def total_of(values: pd.Series) -> Any:
    """Sum the known values: 0 for an empty column, missing if no value is known.

    Examples
    --------
    >>> total_of(pd.Series([1, None], dtype="Int64")), total_of(pd.Series([None], dtype="Int64"))
    (np.int64(1), <NA>)
    """
    return values.sum(min_count=1) if len(values) else 0


def share_of(values: pd.Series) -> pd.Series:
    """Return each value's share of the sum, 0 to 1; missing if the sum is 0 or unknown."""
    total = values.sum()
    if pd.isna(total) or not total:
        return pd.Series(pd.array([None] * len(values), "Float64"), values.index)
    return (values.astype("Float64") / float(total)).astype("Float64")


def rows_of(table: ReportTable) -> Iterator[list[str]]:
    """Yield the formatted cells of each row."""
    columns = [_cells(table.frame[column.name].astype(object), column) for column in table.columns]
    yield from map(list, zip(*columns, strict=True))


def _cells(values: pd.Series, column: ReportColumn) -> list[str]:
    texts = format_column(values, column.kind)
    return [column.missing if is_missing(value) else text for value, text in zip(values, texts, strict=True)]


def totals_of(table: ReportTable) -> list[str]:
    """Return the formatted cells of the line of totals."""
    cells = []
    for position, column in enumerate(table.columns):
        if column.name in table.totals:
            cells.append(format_value(table.totals[column.name], column.kind))
        else:
            cells.append("" if position else "Total")
    return cells


def bar_shares(table: ReportTable, name: str) -> list[float]:
    """Return the length of the bar of each cell of a column, 0 to 1 of the largest value."""
    values = [0.0 if pd.isna(value) else abs(float(value)) for value in table.frame[name].astype(object)]
    largest = max(values, default=0.0)
    return [value / largest if largest else 0.0 for value in values]
