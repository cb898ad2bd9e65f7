"""The page of a report as people meet it: on phones and wide screens, sorted, printed, in every theme."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import matplotlib.style
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import histkit as hk
from histkit.plotting.usage import usage_drawing
from histkit.reports.html import html, ranks_of
from histkit.reports.model import Report, ReportColumn, ReportTable, Section, rows_of
from histkit.reports.report import build_report
from histkit.reports.statement_files import statement_report
from histkit.reports.svg import svg_of
from tests.axe import violations
from tests.browser import Page, chromium_page

PRICES = {"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]}
WIDTHS = (390, 800, 1440)
DATE = r"\d{4}-\d\d-\d\d"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium_page() as made:
        yield made


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    return hk.label(hk.sample_history(3000), {"rule": [{"label": "Acme", "voice": ["Rachel"]}]})


@pytest.fixture(scope="module")
def built(df: pd.DataFrame) -> Report:
    """A report with every section."""
    last = df["date"].max()
    reset = int((last + pd.Timedelta(days=9)).timestamp())
    plan = {"character_count": 60_000, "character_limit": 110_000, "next_character_count_reset_unix": reset}
    return build_report(df, title="October", tz="Europe/Berlin", prices=PRICES, subscription=plan, now=last)


@pytest.fixture(scope="module")
def pages(df: pd.DataFrame, built: Report, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of every kind."""
    folder = tmp_path_factory.mktemp("pages")
    texts = {
        "full": html(built),
        "hours": html(build_report(df.tail(400), tz="Europe/Berlin", freq="6h", prices=PRICES)),
        "statement": html(statement_report(hk.statement(df, "Acme", "2026-10", prices=PRICES, by="model"))),
        "bill": html(statement_report(hk.statement(df, "unassigned", "2026-10", prices=PRICES))),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, "utf-8")
    return {name: folder / f"{name}.html" for name in texts}


KINDS = ("full", "hours", "statement", "bill")


def test_charts_do_not_depend_on_the_style_in_force() -> None:
    draw = usage_drawing(hk.sample_history(50), "model", "MS")
    plain = svg_of(draw, (4, 3), "chart", "small")
    with matplotlib.style.context("dark_background"):
        assert svg_of(draw, (4, 3), "chart", "small") == plain
    assert "var(--ink)" in plain


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_page_fits_its_screen_and_keeps_rows_low(pages: dict[str, Path], page: Page, kind: str, width: int) -> None:
    page.show(pages[kind], scheme="light", width=width)
    assert page.value("document.documentElement.scrollWidth") == width
    lines = page.value(
        """[...document.querySelectorAll("tbody tr")].map(row => [
            row.innerText,
            row.getBoundingClientRect().height / parseFloat(getComputedStyle(row.cells[0]).lineHeight),
        ])"""
    )
    dated = [height for text, height in lines if re.match(DATE, text)]
    assert all(height < 2 for height in dated)  # a line and its padding
    assert len(dated) > 20 or kind in ("statement", "bill")
    assert max(height for _, height in lines) < 5
    inside = page.value("[...document.querySelectorAll('main > *')].map(each => each.getBoundingClientRect().right)")
    assert max(inside) <= width


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 500, 640, 800])
def test_a_bill_is_whole_on_any_screen(pages: dict[str, Path], page: Page, width: int, scheme: str) -> None:
    page.show(pages["bill"], scheme=scheme, width=width)
    ends = page.value("[...document.querySelectorAll('th, td')].map(each => each.getBoundingClientRect().right)")
    assert max(ends) <= width
    assert page.texts("#lines tfoot td")[-1] != ""
    rows = page.value(
        """["thead tr", "tbody tr:nth-child(2)"].map(row =>
            [...document.querySelectorAll(`#lines ${row} > *`)].map(cell =>
                Math.round(cell.getBoundingClientRect().right)))
        """
    )
    assert rows[0] == rows[1]  # heads are over their cells


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 500])
def test_a_table_that_scrolls_shows_it_at_its_edge(pages: dict[str, Path], page: Page, width: int) -> None:
    page.show(pages["hours"], scheme="light", width=width)
    hidden = "[...document.querySelectorAll('.wide')].filter(each => each.scrollWidth > each.clientWidth)"
    shadows = page.value(f"{hidden}.map(each => getComputedStyle(each).backgroundAttachment)")
    assert set(shadows) == {"local, local, scroll, scroll"}
    names = page.value(f"{hidden}.map(each => each.querySelector('th').innerText)")
    assert set(names) <= {"From", "Text"}  # whose rows are one line each, or long anyway


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
def test_charts_are_drawn_for_the_width_of_the_screen(pages: dict[str, Path], page: Page, width: int) -> None:
    page.show(pages["full"], scheme="light", width=width)
    charts = page.value(
        """[...document.querySelectorAll("figure")].map(figure => {
            const shown = [...figure.children].filter(svg => getComputedStyle(svg).display !== "none");
            const scale = shown[0].getBoundingClientRect().width / shown[0].viewBox.baseVal.width;
            const texts = [...shown[0].querySelectorAll("text")];
            return {
                count: shown.length,
                small: shown[0].classList.contains("small"),
                box: shown[0].getBoundingClientRect().toJSON(),
                sizes: texts.map(text => scale * parseFloat(getComputedStyle(text).fontSize)),
                texts: texts.map(text => [text.textContent, text.getBoundingClientRect().toJSON()]),
            };
        })"""
    )
    assert len(charts) == 7
    for chart in charts:
        assert (chart["count"], chart["small"]) == (1, width == 390)
        assert min(chart["sizes"]) >= 9
        box = chart["box"]
        for text, place in chart["texts"]:
            assert place["left"] >= box["left"] - 2, text
            assert place["right"] <= box["right"] + 2, text
            assert box["top"] - 2 <= place["top"] < place["bottom"] <= box["bottom"] + 2, text
        assert not [(one, other) for one, other in pairs(chart["texts"]) if overlap(one[1], other[1])]


@pytest.mark.browser
def test_a_click_on_a_heading_sorts_as_pandas_does(built: Report, pages: dict[str, Path], page: Page) -> None:
    page.show(pages["full"], scheme="light", width=1000)
    tables = [table for section in built.sections for table in section.tables]
    assert page.count("table") == len(tables) > 8
    for place, table in enumerate(tables):
        assert_sorts(page, place, table)
    assert page.problems == []


@pytest.mark.browser
def test_missing_values_stay_last_and_equal_ones_keep_their_order(page: Page, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "name": pd.array(["b", None, "a", "b", "Ä", "\U0001d4d0", "\uff21", None, "a"], "string"),
            "count": pd.array([10, 9, None, 10, 2, 100, None, 9, 10], "Int64"),
            "share": pd.array([0.0001, 0.0002, 0.0004, None, 0.5, 0.5, 0.1, 0.1, None], "Float64"),
            "cost": [Decimal("9.90"), None, Decimal("10.00"), Decimal("-1"), None, *[Decimal("10")] * 4],
            "day": pd.to_datetime([None, "2026-10-02", "2025-12-01", None, *["2026-01-01"] * 5]).tz_localize("UTC"),
        }
    )
    kinds: Any = {"name": "text", "count": "count", "share": "share", "cost": "money", "day": "day"}
    columns = tuple(ReportColumn(name, name, kind) for name, kind in kinds.items())
    table = ReportTable("", frame, columns, {"count": 150})
    path = tmp_path / "page.html"
    path.write_text(html(Report("T", "", (), (Section("s", "S", (), (table,)),))), "utf-8")
    page.show(path, scheme="dark", width=800)
    assert_sorts(page, 0, table)
    page.click("thead button")
    assert page.texts("tfoot td") == ["Total", "150", "", "", ""]
    assert page.count("tfoot tr + tr") == 0


@pytest.mark.browser
def test_lines_of_a_statement_sort_by_value_in_any_locale(df: pd.DataFrame, page: Page, tmp_path: Path) -> None:
    terms = {"issuer": "Studio Nord", "tax_rate": "19"}
    options: dict[str, Any] = {"prices": PRICES, "terms": terms, "locale": "de_DE"}
    report = statement_report(hk.statement(df, "unassigned", "2026", by=["voice", "model"], **options))
    (lines,) = [section.tables[0] for section in report.sections if section.key == "lines"]
    assert any("." in text for text in lines.frame["characters"])  # a thousand and more, by their marks
    path = tmp_path / "page.html"
    path.write_text(html(report), "utf-8")
    page.show(path, scheme="light", width=1000)
    assert page.count("table.sortable") == 1  # not the way from the lines to the total
    assert page.count("table") == 3
    assert_sorts(page, 1, lines)


@given(st.lists(st.none() | st.sampled_from(["a", "b", "Z", "é", "", "\U0001d4d0", "\uff21"])))
def test_ranks_are_those_of_a_stable_sort_of_words(values: list[str | None]) -> None:
    assert_ranks(pd.Series(values, dtype="string"))


@given(st.lists(st.none() | st.integers(-5, 5)))
def test_ranks_are_those_of_a_stable_sort_of_numbers(values: list[int | None]) -> None:
    assert_ranks(pd.Series(values, dtype="Int64"))


@given(st.lists(st.none() | st.decimals(-2, 2, places=1)))
def test_ranks_are_those_of_a_stable_sort_of_money(values: list[Decimal | None]) -> None:
    assert_ranks(pd.Series(values, dtype=object))


def assert_ranks(values: pd.Series) -> None:
    ranks = ranks_of(values).split(",") if len(values) else []
    for ascending in (True, False):
        sign = 1 if ascending else -1
        key = [(not rank, sign * int(rank or 0), place) for place, rank in enumerate(ranks)]
        order = [place for *_, place in sorted(key)]
        expected = values.reset_index(drop=True).sort_values(kind="stable", ascending=ascending, na_position="last")
        assert order == expected.index.tolist()


@pytest.mark.browser
def test_headings_sort_by_keyboard_and_say_how(pages: dict[str, Path], page: Page) -> None:
    page.show(pages["full"], scheme="light", width=1000)
    days = page.texts("#periods tbody td:first-child")
    assert page.count("[aria-sort]") == 0
    for _ in range(60):
        page.press("Tab")
        if page.value("document.activeElement.matches('#periods th:nth-child(4) button')"):
            break
    assert page.value("document.activeElement.textContent") == "Credits"
    assert page.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    numbers = [int(text.replace(",", "")) for text in page.texts("#periods tbody td:nth-child(4)")]
    page.press("Enter")
    assert page.value("document.activeElement.parentElement.ariaSort") == "descending"
    assert column(page, "#periods", 4) == sorted(numbers, reverse=True)
    page.press("Space")
    assert page.value("document.activeElement.parentElement.ariaSort") == "ascending"
    assert column(page, "#periods", 4) == sorted(numbers)
    page.press("Tab")
    page.press("Enter")
    assert page.value("[...document.querySelectorAll('[aria-sort]')].map(each => each.textContent)") == ["Share"]
    page.press("Enter")
    page.press("Enter")
    assert page.count("[aria-sort]") == 0
    assert page.texts("#periods tbody td:first-child") == days


def test_only_the_script_of_the_page_may_run(built: Report) -> None:
    text = html(built)
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert script is not None
    assert policy is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert policy[1].split("; ") == [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "img-src data:",
        f"script-src 'sha256-{digest}'",
    ]
    single = html(Report("T", "", (), (Section("s", "S", ("A note.",)),)))
    assert "script" not in single  # nothing to sort


@pytest.mark.browser
def test_a_script_that_comes_into_the_page_does_not_run(pages: dict[str, Path], page: Page) -> None:
    page.show(pages["full"], scheme="light", width=800)
    page.value(
        """() => {
            const script = document.createElement("script");
            script.textContent = "document.title = 'taken'";
            document.body.append(script);
        }"""
    )
    assert page.value("document.title") == "October"
    assert "Content Security Policy" in " ".join(page.problems)


@pytest.mark.browser
def test_a_page_is_whole_without_its_script(pages: dict[str, Path], page: Page) -> None:
    page.show(pages["full"], scheme="light", width=800)
    texts = page.texts("main")
    assert page.count("th button") > 40
    page.show(pages["full"], scheme="light", width=800, java_script_enabled=False)
    assert page.count("th button") == 0
    assert page.texts("main") == texts


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_high_contrast_has_no_soft_colours(pages: dict[str, Path], page: Page, scheme: str) -> None:
    page.show(pages["full"], scheme=scheme, width=800, contrast="more")
    colours = {page.value(f"getComputedStyle(document.querySelector('{each}')).color") for each in ("p", ".soft", "th")}
    assert len(colours) == 1
    assert page.value("getComputedStyle(document.querySelector('nav a')).textDecorationLine") == "underline"
    assert (
        page.value("getComputedStyle(document.querySelector('figure path[fill^=\"var(--c\"]')).strokeWidth") == "0.6px"
    )
    page.show(pages["full"], scheme=scheme, width=800, forced_colors="active")
    ink, fill = page.value(
        """['body', 'figure text'].map((selector, place) =>
            getComputedStyle(document.querySelector(selector))[["color", "fill"][place]])"""
    )
    assert ink == fill


@pytest.mark.browser
def test_print_cuts_no_row_and_repeats_heads(page: Page, tmp_path: Path) -> None:
    words = "word " * 20
    rows = pd.DataFrame({"text": [f"begin{n:03d} {words}end{n:03d}" for n in range(150)], "takes": range(150)})
    columns = (ReportColumn("text", "Spoken"), ReportColumn("takes", "Count", "count", bar=True))
    table = ReportTable("Texts", rows, columns, {"takes": 11_175})
    path = tmp_path / "page.html"
    path.write_text(html(Report("T", "", (), (Section("s", "S", (), (table,)),))), "utf-8")
    page.show(path, scheme="dark", width=390)
    printed = texts_of(page.pdf())
    assert len(printed) > 4
    for number in range(150):
        (sheet,) = [text for text in printed if f"begin{number:03d}" in text]
        assert f"end{number:03d}" in sheet
    assert [text.count("Spoken") for text in printed] == [1] * len(printed)
    assert "11,175" in printed[-1]
    assert "end149" in printed[-1]  # the totals don't stand alone
    assert sum("11,175" in text for text in printed) == 1


@pytest.mark.browser
def test_the_whole_report_prints_its_headings_with_what_they_head(
    built: Report, pages: dict[str, Path], page: Page
) -> None:
    page.show(pages["full"], scheme="light", width=1440)
    printed = texts_of(page.pdf())
    assert len(printed) > 8
    for section in built.sections:
        for table in section.tables:
            first = next(rows_of(table))[0]
            heads = [column.label for column in table.columns]
            sheets = [text for text in printed if first in text and all(head.split()[0] in text for head in heads)]
            assert sheets, (section.title, first)
    titles = tuple(section.title for section in built.sections)
    assert not [text for text in printed if text.endswith(titles)]
    page.show(pages["full"], scheme="light", width=688)  # A4 within its margins
    page.as_print()
    assert page.value("document.documentElement.scrollWidth") == 688


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["full", "bill"])
def test_axe_finds_nothing_on_a_page(pages: dict[str, Path], page: Page, kind: str, scheme: str) -> None:
    page.show(pages[kind], scheme=scheme, width=390)
    assert violations(page.value) == []
    page.show(pages[kind], scheme=scheme, width=1000, contrast="more")
    page.click("thead button")
    assert page.count("[aria-sort]") == 1
    assert violations(page.value) == []


@pytest.mark.browser
def test_axe_sees_what_is_wrong(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<title>T</title><main><h1>T</h1><p style='color: #ccc'>pale</p><img src=''></main>", "utf-8")
    page.show(path, scheme="light", width=390)
    assert {line.split(":")[0] for line in violations(page.value)} == {"color-contrast", "html-has-lang", "image-alt"}


def texts_of(document: bytes) -> list[str]:
    """Return the words of each page of a PDF."""
    import pypdf

    return [" ".join(sheet.extract_text().split()) for sheet in pypdf.PdfReader(io.BytesIO(document)).pages]


def assert_sorts(page: Page, place: int, table: ReportTable) -> None:
    """Assert that clicks on each heading of a table sort as pandas does, both ways, and then no more."""
    cells = [tuple(row) for row in rows_of(table)]
    for position, each in enumerate(table.columns):
        values = (table.frame if table.values is None else table.values)[each.name].reset_index(drop=True)
        first = not each.numeric
        for ascending in (first, not first):
            order = values.sort_values(kind="stable", ascending=ascending, na_position="last").index
            assert clicked(page, place, position) == [shown(cells[row]) for row in order], each.name
            direction = "ascending" if ascending else "descending"
            assert page.value(SORTED, [place, position]) == direction
        assert clicked(page, place, position) == [shown(row) for row in cells]
        assert page.value(SORTED, [place, position]) is None


SORTED = "([table, head]) => document.querySelectorAll('table')[table].tHead.rows[0].cells[head].ariaSort"


def clicked(page: Page, place: int, position: int) -> list[str]:
    """Click on a heading; return the rows."""
    rows: list[str] = page.value(
        """([place, position]) => {
            const table = document.querySelectorAll("table")[place];
            table.tHead.rows[0].cells[position].querySelector("button").click();
            return [...table.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.textContent).join("|"));
        }""",
        [place, position],
    )
    return rows


def shown(row: tuple[str, ...]) -> str:
    return "|".join(" ".join(text.split()) for text in row)


def column(page: Page, section: str, place: int) -> list[int]:
    return [int(text.replace(",", "")) for text in page.texts(f"{section} tbody td:nth-child({place})")]


def pairs(texts: list[Any]) -> Iterator[tuple[Any, Any]]:
    return ((one, other) for place, one in enumerate(texts) for other in texts[place + 1 :])


def overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    """Return whether two boxes share more than their edges."""
    wide = min(one["right"], other["right"]) - max(one["left"], other["left"])
    high = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
    return wide > 1 and high > 3
