"""A report as one self-contained HTML file: inline SVG charts, no requests, all texts of the history escaped.

The page is complete without its one script, which sorts the tables. Its Content Security Policy allows this script by
its hash, and nothing else that runs or loads.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pandas as pd

from histkit.plotting.palette import GREY, PALETTE, visible_on
from histkit.reports.model import Chart, Report, ReportTable, Section, bar_shares, rows_of, totals_of
from histkit.reports.svg import svg_of
from histkit.util.text import format_value, one_line_text

_LONGEST_WORD = 26  # characters that fit beside the other columns
_LONG_NAME, _LONG_TEXT = 16, 60  # characters; columns with longer ones need room on a phone
_MOST_STACKED = 5  # columns of numbers that fit side by side on a phone
_SIZES = {"large": (9.0, 1.0), "small": (3.9, 1.15)}  # of a chart on pages, on phones: inches wide; times its height
_DARK_PAPER = "#16181b"


@dataclass(frozen=True)
class _Cell:
    text: str
    bar_percent: int | None
    long_words: bool  # that have to be broken, unlike a model's name


@dataclass(frozen=True)
class _Head:
    label: str
    first: str  # direction of the first click
    ranks: str | None


@dataclass(frozen=True)
class _Table:
    title: str
    label: str
    classes: str  # n2: the second column is of numbers, d: dates, w: names, t: long texts, b: bars
    numbers: int  # columns of numbers that a phone shows below the names of their row; 0: beside them
    heads: list[_Head]
    rows: Iterator[list[_Cell]]
    totals: list[str]
    note: str


@dataclass(frozen=True)
class _RenderedChart:
    title: str
    large: object
    small: object


@dataclass(frozen=True)
class _Script:
    text: object
    hash: str


def html(report: Report) -> str:
    """Render a report as one HTML document."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_clean
    )
    template = environment.from_string(_file("report.html.jinja"))
    tables = [table for section in report.sections for table in section.tables]
    return template.render(
        report=report,
        charts={section.key: [_rendered(chart) for chart in section.charts] for section in report.sections},
        tables={section.key: [*_tables(section)] for section in report.sections},
        columns=max((len(table.columns) for table in tables), default=1),
        script=_script() if any(_is_sortable(table) for table in tables) else None,
        colours=_colours(report),
        format_value=format_value,
    )


def _file(name: str) -> str:
    return files("histkit.reports").joinpath(name).read_text("utf-8")


def _script() -> _Script:
    """Return the script and its hash for the Content Security Policy."""
    from markupsafe import Markup

    text = "\n" + _file("sort.js")
    digest = hashlib.sha256(text.encode()).digest()
    return _Script(Markup(text), f"sha256-{base64.b64encode(digest).decode()}")


def _colours(report: Report) -> dict[str, dict[str, str]]:
    """Return the colours of its charts by the names of their CSS variables, and those that differ on dark paper."""
    if not any(section.charts for section in report.sections):
        return {"light": {}, "dark": {}}
    light = {f"c{place}": colour for place, colour in enumerate((GREY, *PALETTE))}
    dark = {name: visible_on(_DARK_PAPER, colour) for name, colour in light.items()}
    return {
        "light": light,
        "dark": {name: colour for name, colour in dark.items() if colour.lower() != light[name].lower()},
    }


def _clean(value: object) -> object:
    """Return what the template prints: of a text only the visible characters; SVG, which is safe, as it is."""
    return one_line_text(value) if type(value) is str else value


def _rendered(chart: Chart) -> _RenderedChart:
    """Draw a chart for pages, and again for phones, on which the letters of the first would be too small."""
    from markupsafe import Markup

    draw = chart.prepare()
    drawn = {
        size: Markup(svg_of(draw, (width, chart.height * times), f"{chart.title}, {size}", size))
        for size, (width, times) in _SIZES.items()
    }
    return _RenderedChart(chart.title, **drawn)


def _tables(section: Section) -> Iterator[_Table]:
    for place, table in enumerate(section.tables, 1):
        label = f"{section.title}: {table.title}" if table.title else section.title
        numbered = not table.title and len(section.tables) > 1
        yield _Table(
            table.title,
            f"{label}, table {place}" if numbered else label,
            " ".join(_classes(table)),
            _stacked_numbers(table),
            [*_heads(table)],
            _rows(table),
            totals_of(table) if table.has_totals_line else [],
            table.note,
        )


def _stacked_numbers(table: ReportTable) -> int:
    """Return the number of columns of numbers if a phone has no room for them beside the names before them."""
    kinds = [column.numeric for column in table.columns]
    names, numbers = kinds.count(False), kinds.count(True)
    classes = [*_room_classes(table)]
    wide = names > 1 or numbers > 3 or any(name.startswith(("w", "t")) for name in classes)
    if kinds != sorted(kinds) or "d1" in classes:
        return 0
    return numbers if 3 <= numbers <= _MOST_STACKED and wide else 0


def _classes(table: ReportTable) -> Iterator[str]:
    if _is_sortable(table):
        yield "sortable"
    if _stacked_numbers(table):
        yield "stack"
    yield from _room_classes(table)


def _room_classes(table: ReportTable) -> Iterator[str]:
    for place, column in enumerate(table.columns, 1):
        if column.numeric:
            yield f"n{place}"
        elif column.kind in ("moment", "day"):
            yield f"d{place}"
        else:
            longest = max((len(str(text)) for text in table.frame[column.name]), default=0)
            if longest > _LONG_NAME:
                yield f"{'t' if longest > _LONG_TEXT else 'w'}{place}"
        if column.bar:
            yield f"b{place}"


def _is_sortable(table: ReportTable) -> bool:
    return table.sortable and len(table.frame) > 1


def _heads(table: ReportTable) -> Iterator[_Head]:
    values = table.frame if table.values is None else table.values
    for column in table.columns:
        ranks = ranks_of(values[column.name]) if _is_sortable(table) else None
        yield _Head(column.label, "descending" if column.numeric else "ascending", ranks)


def ranks_of(values: pd.Series) -> str:
    """Return the ranks of values in the order in which pandas sorts them, equal ones alike, nothing for missing ones.

    Examples
    --------
    >>> ranks_of(pd.Series(["b", None, "a", "b"]))
    '1,,0,1'
    """
    codes: Any = pd.factorize(values, sort=True)[0]
    return ",".join("" if code < 0 else str(code) for code in codes.tolist())


def _rows(table: ReportTable) -> Iterator[list[_Cell]]:
    bars = {column.name: bar_shares(table, column.name) for column in table.columns if column.bar}
    for row, texts in enumerate(rows_of(table)):
        yield [
            _Cell(
                text,
                round(100 * bars[column.name][row]) if column.bar else None,
                not column.numeric and any(len(word) > _LONGEST_WORD for word in text.split()),
            )
            for text, column in zip(texts, table.columns, strict=True)
        ]
