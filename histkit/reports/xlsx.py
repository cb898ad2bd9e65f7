"""A report as an Excel workbook: a sheet for each section, real numbers and dates, no formula made of data."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from histkit.errors import InputError
from histkit.reports.model import Fact, Report, ReportTable, Section
from histkit.util.text import NOTHING

_PLAIN = {
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "nan_inf_to_errors": False,
}
_FORMS = {"count": "#,##0", "share": "0.0%", "money": "#,##0.00####", "moment": "yyyy-mm-dd hh:mm", "day": "yyyy-mm-dd"}
_CELL_CHARACTERS = 32_767
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # the same report, the same bytes


def write_xlsx(report: Report, path: Path) -> None:
    """Write a report as a workbook.

    Raises
    ------
    InputError
        XlsxWriter is not installed.
    """
    try:
        import xlsxwriter
    except ImportError:
        raise InputError("An .xlsx report needs XlsxWriter: pip install 'histkit[xlsx]'.") from None
    with xlsxwriter.Workbook(path, _PLAIN) as book:
        book.set_properties({"title": report.title, "created": _EPOCH})
        book.set_size(2400, 1600)
        forms = {kind: book.add_format({"num_format": form, "align": "right"}) for kind, form in _FORMS.items()}
        forms |= {
            "text": book.add_format({"text_wrap": True, "valign": "top"}),
            "title": book.add_format({"bold": True, "font_size": 16}),
            "part": book.add_format({"bold": True, "font_size": 12}),
            "head": book.add_format({"bold": True, "bottom": 1, "text_wrap": True}),
            "soft": book.add_format({"font_color": "#5F6670"}),
        }
        totals = {kind: book.add_format({"num_format": form, "bold": True, "top": 1}) for kind, form in _FORMS.items()}
        totals["text"] = book.add_format({"bold": True, "top": 1})
        _summary(book.add_worksheet("Summary"), report, forms)
        for section in report.sections:
            _section(book.add_worksheet(section.title[:31]), section, forms, totals)


def _summary(sheet: Any, report: Report, forms: dict[str, Any]) -> None:
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, 1, 22)
    sheet.set_column(2, 2, 60)
    sheet.write_string(0, 0, report.title[:_CELL_CHARACTERS], forms["title"])
    sheet.write_string(1, 0, report.subtitle, forms["soft"])
    for row, fact in enumerate(report.facts, 3):
        sheet.write_string(row, 0, fact.label)
        _write(sheet, row, 1, fact.value, _kind_of(fact), forms)
        sheet.write_string(row, 2, fact.note, forms["soft"])


def _kind_of(fact: Fact) -> str:
    return fact.kind if fact.kind in _FORMS else "text"


def _section(sheet: Any, section: Section, forms: dict[str, Any], totals: dict[str, Any]) -> None:
    sheet.write_string(0, 0, section.title, forms["title"])
    row = 1
    for note in section.notes:
        sheet.write_string(row, 0, note, forms["soft"])
        row += 1
    widths: dict[int, int] = {}
    for table in section.tables:
        row = _table(sheet, row + 1, table, forms, totals, widths)
    for place, width in widths.items():
        sheet.set_column(place, place, width)


def _table(
    sheet: Any, row: int, table: ReportTable, forms: dict[str, Any], totals: dict[str, Any], widths: dict[int, int]
) -> int:
    if table.title:
        sheet.write_string(row, 0, table.title, forms["part"])
        row += 1
    for place, column in enumerate(table.columns):
        sheet.write_string(row, place, column.label, forms["head"])
        wide = 50 if column.name in ("text", "said") else 30 if column.kind == "text" else 17
        widths[place] = max(widths.get(place, 0), wide)
    row += 1
    for place, column in enumerate(table.columns):
        values = table.frame[column.name].astype(object).tolist()
        for down, value in enumerate(values):
            _write(sheet, row + down, place, value, column.kind, forms)
    row += len(table.frame)
    if table.totals:
        for place, column in enumerate(table.columns):
            value = table.totals.get(column.name, None if place else "Total")
            kind = column.kind if column.name in table.totals else "text"
            _write(sheet, row, place, value, kind, totals)
        row += 1
    if table.note:
        sheet.write_string(row, 0, table.note, forms["soft"])
        row += 1
    return row


def _write(sheet: Any, row: int, place: int, value: Any, kind: str, forms: dict[str, Any]) -> None:
    missing = value is None or (not isinstance(value, str) and pd.isna(value))
    if missing:
        sheet.write_blank(row, place, None, forms["text"]) if kind != "text" else sheet.write_string(
            row, place, NOTHING
        )
    elif kind in ("moment", "day") and isinstance(value, datetime):
        sheet.write_datetime(row, place, pd.Timestamp(value).tz_localize(None).to_pydatetime(warn=False), forms[kind])
    elif kind in ("count", "share", "money"):
        sheet.write_number(row, place, float(value), forms[kind])
    else:
        sheet.write_string(row, place, str(value)[:_CELL_CHARACTERS], forms["text"])
