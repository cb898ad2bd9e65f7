"""Tables on a terminal of any width: numbers and dates are never cut."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

import histkit as hk
from histkit.reports.model import ReportColumn, ReportTable, period_column, rows_of
from histkit.reports.sections import ledger_report_table, usage_report_table
from histkit.reports.terminal import rich_table


def printed(table: ReportTable, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(rich_table(table), crop=False)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


@pytest.fixture(scope="module")
def tables() -> list[ReportTable]:
    df = hk.sample_history(1000)
    voices = usage_report_table(
        hk.usage_table(df, "voice", "MS"), [period_column("MS"), ReportColumn("voice", "Voice")]
    )
    return [voices, ledger_report_table(hk.ledger(df, "h"), "h")]


@pytest.mark.parametrize("width", [30, 50, 80, 100, 160, 300])
def test_numbers_and_dates_are_whole_at_any_width(tables: list[ReportTable], width: int) -> None:
    for table in tables:
        lines = printed(table, width).splitlines()
        for cells in rows_of(table):
            whole = [cell for cell, column in zip(cells, table.columns, strict=True) if column.kind != "text"]
            assert any(line.split() and all(cell in line for cell in whole) for line in lines), cells


def test_a_table_fits_the_terminal_where_it_can_and_has_bars_where_there_is_room(tables: list[ReportTable]) -> None:
    for width in (80, 100, 160, 300):
        text = printed(tables[0], width)
        assert max(map(cell_len, text.splitlines())) <= width
        assert ("█" in text) == (width > 80)
    assert "Roger - Laid-Back, Casual, Resonant " in printed(tables[0], 160)


@given(
    names=st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=40), min_size=1, max_size=5
    ),
    width=st.integers(20, 200),
)
def test_any_texts_are_laid_out(names: list[str], width: int) -> None:
    frame = pd.DataFrame({"name": names, "count": range(10**6, 10**6 + len(names))})
    table = ReportTable("", frame, (ReportColumn("name", "Name"), ReportColumn("count", "Count", "count", bar=True)))
    text = printed(table, width)
    assert all(f"{count:,}" in text for count in frame["count"])
