"""Tables on a terminal of any width: numbers and dates are never cut."""

from __future__ import annotations

import io
import itertools
import re
import unicodedata

import openpyxl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len
from rich.console import Console

import histkit as hk
from histkit.reports.html import html
from histkit.reports.markdown import escaped, markdown
from histkit.reports.model import Fact, Report, ReportColumn, ReportTable, Section, period_column, rows_of, totals_of
from histkit.reports.sections import ledger_report_table, usage_report_table
from histkit.reports.terminal import rich_table
from histkit.reports.xlsx import write_xlsx
from histkit.util.folding import fold
from histkit.util.text import encodable_text, one_line_text, terminal_text


def printed(table: ReportTable, width: int, *, fixed: bool = True, encoding: str = "utf-8") -> str:
    file = io.BytesIO()
    console = Console(file=io.TextIOWrapper(file, encoding, newline=""), width=width)
    console.print(rich_table(table, fixed=fixed), crop=False)
    console.file.flush()
    return file.getvalue().decode(encoding)


@pytest.fixture(scope="module")
def tables() -> list[ReportTable]:
    df = hk.sample_history(1000)
    voices = usage_report_table(
        hk.usage_table(df, "voice", "MS"), [period_column("MS"), ReportColumn("voice", "Voice")]
    )
    return [voices, ledger_report_table(hk.ledger(df, "h"), "h")]


@pytest.mark.parametrize("width", [66, 80, 100, 160, 300])
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


def test_a_row_that_is_the_total_is_shown_once() -> None:
    table = usage_report_table(hk.usage_table(hk.sample_history(1000), []), [])
    report = Report("Usage", "", (), (Section("total", "Total", tables=(table,)),))
    for text in (printed(table, 80), printed(table, 20), markdown(report), html(report)):
        assert text.count("1,000") == 1
    assert table.totals["items"] == 1000


HOSTILE = "\x1b[31mRed\x07\u202eevil\r\n\t\x9b\u2028\u200b\u2066\ud800\ufe0f\u200d"
TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.sampled_from(
        [
            "",
            HOSTILE,
            "宮崎 駿 12,345",
            "עברית 2026",
            "👩‍👩‍👧 family 7",
            "Chapter 1234567890 of 99",
            "id21m00Tcm4TlvDq8ikWAM",
        ]
    ),
)
VALUES = {
    "text": TEXTS,
    "count": st.one_of(st.none(), st.integers(-(10**15), 10**15)),
    "share": st.one_of(st.none(), st.floats(-2, 20)),
    "money": st.one_of(st.none(), st.decimals(-(10**9), 10**9, places=4)),
    "moment": st.one_of(st.none(), st.datetimes(pd.Timestamp(1990, 1, 1), pd.Timestamp(2100, 1, 1))),
    "day": st.one_of(st.none(), st.datetimes(pd.Timestamp(1990, 1, 1), pd.Timestamp(2100, 1, 1))),
}


@st.composite
def any_tables(draw: st.DrawFn) -> ReportTable:
    kinds = [draw(st.sampled_from(["text", "day", "moment"]))]
    kinds += draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=7))
    rows = draw(st.integers(0, 4))
    columns, data = [], {}
    for place, kind in enumerate(kinds):
        label = draw(st.sampled_from(["Items", "Unseen (estimate)", "A_long_name_without_spaces", "宮崎 駿", HOSTILE]))
        bar, rank = kind == "count" and draw(st.booleans()), draw(st.integers(0, 3))
        columns.append(ReportColumn(f"c{place}", f"{label} {'ABCDEFGH'[place]}", kind, bar, rank))  # type: ignore[arg-type]
        data[f"c{place}"] = pd.Series(draw(st.lists(VALUES[kind], min_size=rows, max_size=rows)), dtype=object)
    totals = {
        column.name: draw(VALUES[column.kind]) for column in columns[1:] if column.numeric and draw(st.booleans())
    }
    return ReportTable("", pd.DataFrame(data), tuple(columns), totals, draw(st.sampled_from(["", "Of 1,234 rows."])))


NUMBER = re.compile(r"\d+")


@given(table=any_tables(), width=st.integers(20, 250), encoding=st.sampled_from(["utf-8", "cp1252", "ascii"]))
def test_every_number_that_is_printed_is_in_the_data_and_no_first_column_is_lost(
    table: ReportTable, width: int, encoding: str
) -> None:
    text = printed(table, width, encoding=encoding)
    lines = text.splitlines()

    def clean(value: str) -> str:
        return encodable_text(terminal_text(value), encoding)

    rows = [[clean(cell) for cell in cells] for cells in rows_of(table)]
    totals = [clean(cell) for cell in totals_of(table)] if table.totals else []
    labels = [clean(column.label) for column in table.columns]
    known = {number for cell in itertools.chain(*rows, totals, labels, [table.note]) for number in NUMBER.findall(cell)}
    assert set(NUMBER.findall(text)) <= known
    shown = [place for place, label in enumerate(labels) if "Not shown" not in text or not _is_named(label, text)]
    assert 0 in shown
    for cells in (*rows, totals):
        for place in shown if cells else ():
            if table.columns[place].kind != "text":
                assert cells[place] in text
            else:
                assert set(NUMBER.findall(cells[place])) <= set(NUMBER.findall(text))
    unbreakable = max((cell_len(cell) for cell in itertools.chain(*rows, totals, labels)), default=0)
    assert all(cell_len(line) <= max(width, unbreakable) for line in lines)
    assert all(line.isprintable() for line in lines) or "\u200c" in text or "\u200d" in text
    assert lines == [line.rstrip() for line in lines]


def _is_named(label: str, text: str) -> bool:
    """Return whether a label is among those of the columns that were left out."""
    note = " ".join(text[text.index("Not shown") :].split())
    return "".join(label.split()) in "".join(note.split())


@given(table=any_tables(), width=st.integers(20, 250))
def test_a_pipe_loses_no_column(table: ReportTable, width: int) -> None:
    text = printed(table, width, fixed=False)
    assert "Not shown" not in text
    for cells in rows_of(table):
        assert all(cell in text for cell, column in zip(cells, table.columns, strict=True) if column.kind != "text")


def test_columns_go_by_rank_then_rows_are_stacked(tables: list[ReportTable]) -> None:
    narrow = printed(tables[1], 48)
    assert "Not shown at this width: Rows, Chained; use a\nwider terminal." in narrow
    assert max(map(cell_len, narrow.splitlines())) <= 48
    stacked = printed(tables[1], 20).splitlines()
    assert stacked[1].startswith("From: ") or stacked[1] == "From:"
    assert "Not shown" not in "".join(stacked)


@given(text=TEXTS, width=st.integers(1, 60))
def test_folding_loses_nothing_and_breaks_no_number(text: str, width: int) -> None:
    text = terminal_text(text)
    lines = fold(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert [n for line in lines for n in NUMBER.findall(line)] == NUMBER.findall(text)


@given(name=TEXTS)
def test_a_name_is_clean_in_markdown_html_and_a_workbook(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    frame = pd.DataFrame({"name": pd.Series([name], dtype=object), "count": [5]})
    table = ReportTable(name, frame, (ReportColumn("name", name), ReportColumn("count", "Count", "count")), {}, name)
    report = Report(name, name, (Fact(name, 5, note=name),), (Section("a", "A", (name,), (table,)),))
    allowed = set("\n\u200c\u200d")
    for text in (markdown(report), html(report)):
        assert {char for char in text if unicodedata.category(char) in HIDDEN} <= allowed
        text.encode()
    document = html(report)
    assert document.count("<script") == document.count("<img") == 0
    file = tmp_path_factory.mktemp("xlsx") / "a.xlsx"
    write_xlsx(report, file)
    for sheet in openpyxl.load_workbook(file).worksheets:
        for cell in itertools.chain.from_iterable(sheet.iter_rows()):
            assert cell.data_type != "f"
            if isinstance(cell.value, str):
                assert {char for char in cell.value if unicodedata.category(char) in HIDDEN} <= allowed | {"\t"}


HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


@given(text=TEXTS)
def test_a_text_escaped_for_markdown_is_plain_text(text: str) -> None:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(escaped(text))
    kinds = {token.type for token in tokens} | {part.type for token in tokens for part in token.children or ()}
    assert kinds <= {"paragraph_open", "inline", "text", "text_special", "paragraph_close"}
    shown = "".join(part.content for token in tokens for part in token.children or ())
    assert shown.strip() == one_line_text(text).strip()


@pytest.mark.parametrize(
    "text",
    [
        "1. a",
        "12) b",
        "- c",
        "+ d",
        "===",
        "---",
        "# e",
        "> f",
        "http://a.b/c",
        "www.a.b",
        "a@b.c",
        "![i](j)",
        "`k`",
        "a|b",
    ],
)
def test_what_markdown_would_format_stays_as_it_is(text: str) -> None:
    test_a_text_escaped_for_markdown_is_plain_text.hypothesis.inner_test(text)  # type: ignore[attr-defined]
    assert not re.search(r"(?<!\\)(?:://|@)|www\.", escaped(text))  # what GitHub makes links of
