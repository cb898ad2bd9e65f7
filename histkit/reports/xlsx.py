"""A report as an Excel workbook: a sheet per section, with typed numbers and dates and without formulas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import zip_longest
from math import ceil
from pathlib import Path
from typing import Any

import pandas as pd

from histkit.frame.workbook import open_workbook
from histkit.reports.model import Report, ReportColumn, ReportTable, Section
from histkit.util.text import NOTHING, ValueKind, cell_text, format_column, format_value, is_missing, one_line_text

_OPTIONS = {
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "nan_inf_to_errors": False,
}
_MOST_PLACES = 4  # of a currency
_NUMBER_FORMATS = {
    "count": "#,##0",
    "share": "0.0%",
    **{text: f'"{text}"' for text in ("<0.1 %", ">99.9 %", ">100.0 %")},  # which "0.0%" would round to 0 % and 100 %
    "money": "#,##0.00####",
    "moment": "yyyy-mm-dd hh:mm",
    "day": "yyyy-mm-dd",
    **{f"money {places}": f"#,##0{'.' if places else ''}{'0' * places}" for places in range(_MOST_PLACES + 1)},
}
_CELL_CHARACTERS = 32_767
_A4 = 9  # Excel's number of it
_LINE = 100  # characters: width of a sheet without a table
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # the same report gives the same bytes


Formats = dict[str, Any]


def write_xlsx(report: Report, path: Path) -> None:
    """Write a report as a workbook.

    Raises
    ------
    InputError
        XlsxWriter is not installed.
    """
    with open_workbook(path, _OPTIONS, "An .xlsx report") as book:
        book.set_properties({"title": one_line_text(report.title), "created": _EPOCH})
        book.set_size(2400, 1600)
        right = {"align": "right"}
        cells = {kind: book.add_format({"num_format": code, **right}) for kind, code in _NUMBER_FORMATS.items()}
        wrapped = {"text_wrap": True, "valign": "top"}
        cells |= {
            "text": book.add_format(wrapped),
            "title": book.add_format({"bold": True, "font_size": 16, **wrapped}),
            "subtitle": book.add_format({"bold": True, "font_size": 12}),
            "heading": book.add_format({"bold": True, "bottom": 1, "text_wrap": True}),
            "note": book.add_format({"font_color": "#5F6670", **wrapped}),
        }
        bold = {"bold": True, "top": 1}
        totals = {kind: book.add_format({"num_format": code, **bold}) for kind, code in _NUMBER_FORMATS.items()}
        totals["text"] = book.add_format(bold)
        _write_summary(book.add_worksheet("Summary"), report, cells)
        for section in report.text_sections():
            _write_section(book.add_worksheet(section.title[:31]), section, cells, totals)


def _write_summary(sheet: Any, report: Report, formats: Formats) -> None:
    widths = (34, 22, 60)
    lines = _Lines(sheet, widths)
    _set_up_printing(sheet, widths)
    lines.write(0, report.title, formats["title"])
    lines.write(1, report.subtitle, formats["note"])
    for row, fact in enumerate(report.facts, 3):
        _write_text(sheet, row, 0, fact.label)
        _write_cell(sheet, row, 1, fact.value, fact.kind, formats)
        _write_text(sheet, row, 2, fact.note, formats["note"])


def _write_section(sheet: Any, section: Section, formats: Formats, totals: Formats) -> None:
    columns = [table.columns for table in section.tables]
    widths = [max(map(_width_of, filter(None, places))) for places in zip_longest(*columns)] or [_LINE]
    lines = _Lines(sheet, widths)
    _set_up_printing(sheet, widths)
    lines.write(0, section.title, formats["title"])
    row = 1
    for note in section.notes:
        lines.write(row, note, formats["note"])
        row += 1
    for table in section.tables:
        if len(section.tables) == 1:
            sheet.repeat_rows(row + 1 + bool(table.title))
        row = _write_table(sheet, row + 1, table, lines, formats, totals)


def _set_up_printing(sheet: Any, widths: Sequence[int]) -> None:
    """Print in landscape, as wide as the paper, with the number of the page."""
    for position, width in enumerate(widths):
        sheet.set_column(position, position, width)
    sheet.set_landscape()
    sheet.set_paper(_A4)
    sheet.fit_to_pages(1, 0)
    sheet.set_footer("&L&A&R&P / &N")


@dataclass(frozen=True)
class _Lines:
    """Writes lines of words across the columns of a sheet, which else would be printed beyond them."""

    sheet: Any
    widths: Sequence[int]

    def write(self, row: int, text: str, style: Any) -> None:
        """Write a line; it is as high as its words need, which Excel doesn't see to in merged cells."""
        text = cell_text(text)[:_CELL_CHARACTERS]
        size = style.font_size
        if len(self.widths) > 1:
            self.sheet.merge_range(row, 0, row, len(self.widths) - 1, "", style)
        self.sheet.write_string(row, 0, text, style)
        in_a_line = max(sum(self.widths) * 11 / size * 0.9, 1)  # a column's width is in digits of 11 points
        self.sheet.set_row(row, 1.36 * size * ceil(max(len(text), 1) / in_a_line))


def _write_text(sheet: Any, row: int, position: int, text: str, style: Any = None) -> None:
    sheet.write_string(row, position, cell_text(text)[:_CELL_CHARACTERS], style)


def _width_of(column: ReportColumn) -> int:
    return 50 if column.name == "text" else 30 if column.kind == "text" else 17


def _write_table(sheet: Any, row: int, table: ReportTable, lines: _Lines, formats: Formats, totals: Formats) -> int:
    """Write a table from `row` on; return the row below it."""
    if table.title:
        _write_text(sheet, row, 0, table.title, formats["subtitle"])
        row += 1
    for position, column in enumerate(table.columns):
        _write_text(sheet, row, position, column.label, formats["heading"])
        _write_column(sheet, row + 1, position, table.frame[column.name].astype(object).tolist(), column, formats)
    row += 1 + len(table.frame)
    if table.has_totals_line:
        for position, column in enumerate(table.columns):
            value = table.totals.get(column.name, None if position else "Total")
            kind = column.kind if column.name in table.totals else "text"
            _write_cell(sheet, row, position, value, kind, totals)
        row += 1
    if table.note:
        lines.write(row, table.note, formats["note"])
        row += 1
    return row


def _write_column(
    sheet: Any, row: int, position: int, values: list[Any], column: ReportColumn, formats: Formats
) -> None:
    kind = column.kind
    for offset, (value, text) in enumerate(zip(values, format_column(values, kind), strict=True)):
        if kind == "text" and is_missing(value):
            _write_text(sheet, row + offset, position, column.missing, formats[kind])
        elif text == format_value(value, kind):
            _write_cell(sheet, row + offset, position, value, kind, formats)
        else:  # a moment that needs its offset from UTC, which no cell with a date can hold
            _write_cell(sheet, row + offset, position, text, "text", formats | {"text": formats[kind]})


def _write_cell(sheet: Any, row: int, position: int, value: Any, kind: ValueKind, formats: Formats) -> None:
    if is_missing(value):
        if kind == "text":
            _write_text(sheet, row, position, NOTHING)
        else:
            sheet.write_blank(row, position, None, formats["text"])
    elif kind in ("moment", "day") and isinstance(value, datetime):
        naive = pd.Timestamp(value).tz_localize(None).to_pydatetime(warn=False)
        sheet.write_datetime(row, position, naive, formats[kind])
    elif isinstance(value, Decimal):
        sheet.write_number(row, position, float(value), formats[f"money {min(_places(value), _MOST_PLACES)}"])
    elif kind == "share":
        sheet.write_number(row, position, float(value), formats.get(format_value(value, kind), formats[kind]))
    elif kind in ("count", "money"):
        sheet.write_number(row, position, float(value), formats[kind])
    else:
        _write_text(sheet, row, position, str(value), formats["text"])


def _places(amount: Decimal) -> int:
    """Return the decimal places of an amount, which are those of its currency."""
    return max(0, -int(amount.as_tuple().exponent))
