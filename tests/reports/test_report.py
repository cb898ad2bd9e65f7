"""Reports: one model as a web page, a workbook, Markdown and on a terminal; the page in a real browser."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console

import histkit as hk
from histkit.reports.model import period_column, rows_of
from histkit.reports.report import build_report
from histkit.reports.sections import usage_report_table
from histkit.reports.terminal import print_report
from tests.browser import Page, chromium_page

pytestmark = pytest.mark.filterwarnings("ignore:The frame has no column 'history_item_id'")

HOSTILE = [
    '<img src=x onerror="document.title=1">',
    '=HYPERLINK("http://x",1)',
    "a|b `c` *d* [e](http://f) $g$ \\",
    "</script><script>document.title='taken'</script>",
    "@SUM(A1)\n\nnext & last",
]
PRICES = {"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]}
RULES = {"rule": [{"label": "Acme", "voice": ["Rachel"]}, {"label": "Blue & Sons", "source": "TTS"}]}


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    return hk.label(hk.sample_history(3000), RULES)


@pytest.fixture(scope="module")
def options(df: pd.DataFrame) -> dict[str, Any]:
    last = df["date"].max()
    reset = int((last + pd.Timedelta(days=9)).timestamp())
    plan = {"character_count": 60_000, "character_limit": 110_000, "next_character_count_reset_unix": reset}
    return {"title": "October", "tz": "Europe/Berlin", "prices": PRICES, "subscription": plan, "now": last}


@pytest.fixture(scope="module")
def hostile() -> pd.DataFrame:
    """A history in which every word is an attack."""
    df = hk.sample_history(60).drop(columns="dialogue").assign(dialogue=None)
    for name in ("voice_name", "model_id", "source", "text"):
        df[name] = pd.Series([HOSTILE[place % len(HOSTILE)] for place in range(len(df))], df.index, dtype="string")
    df["voice_id"] = df["voice_name"]
    df["client"] = df["voice_name"]
    return df


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium_page() as made:
        yield made


@pytest.fixture(scope="module")
def full_page(df: pd.DataFrame, options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every section, as a page."""
    return written(df, tmp_path_factory.mktemp("page") / "report.html", **options)


SECTIONS = [
    "Usage by period",
    "Usage by voice",
    "Usage by model",
    "Usage by source",
    "Usage by client",
    "When it is generated",
    "Quota",
    "Top texts",
    "Takes",
    "Ledger",
    "What is not included",
]
SORT = (Path(hk.__file__).parent / "reports/sort.js").read_text("utf-8")
TEXT_SECTIONS = [title for title in SECTIONS if title != "When it is generated"]  # which is only a chart


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_shown_by_a_browser(df: pd.DataFrame, full_page: Path, page: Page, scheme: str) -> None:
    page.show(full_page, scheme=scheme, width=1000)
    assert page.problems == []
    assert page.requests == []  # it loads nothing but itself
    assert page.texts("h1") == ["October"]
    assert page.texts("h2") == SECTIONS
    assert page.count("figure svg.large") == page.count("figure svg.small") == 7
    assert page.value("document.documentElement.scrollWidth <= innerWidth")
    for section in ("periods", "by-voice", "by-model", "by-source", "by-client"):
        total = page.texts(f"#{section} tfoot td")
        assert total[1:4] == ["3,000", f"{df['characters'].sum():,}", f"{df['credits'].sum():,}"]
        lines = page.texts(f"#{section} tbody td:nth-child(4)")
        assert sum(int(text.replace(",", "")) for text in lines) == df["credits"].sum()
    ink, paper = (page.value(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    assert contrast(ink, paper) > 10
    soft = page.value("getComputedStyle(document.querySelector('.soft')).color")
    assert contrast(soft, paper) > 4.5
    assert (luminance(paper) < 0.1) == (scheme == "dark")


@pytest.mark.browser
def test_the_page_fits_a_phone_and_prints_in_black_on_white(full_page: Path, page: Page) -> None:
    page.show(full_page, scheme="dark", width=390)
    assert page.value("document.documentElement.scrollWidth <= innerWidth")
    page.as_print()
    ink, paper = (page.value(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    assert (luminance(ink), luminance(paper)) == (0, 1)
    assert page.value("getComputedStyle(document.querySelector('figure image')).filter") == "none"
    assert page.pdf().startswith(b"%PDF")


@pytest.mark.browser
def test_no_column_of_a_statement_is_cut_on_paper(df: pd.DataFrame, tmp_path: Path, page: Page) -> None:
    """Of the widest one: a correction with prices, voices with long names and models."""
    options: dict[str, Any] = {
        "prices": {"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]},
        "terms": {"issuer": {"name": "Studio North", "address": "1 Main Street"}, "tax_rate": 19},
        "register": tmp_path / "register.jsonl",
        "issue": True,
    }
    month = df["date"].min().strftime("%Y-%m")
    for place, rows in enumerate((df.iloc[::2], df)):
        path = tmp_path / f"{place}.html"
        hk.statement(rows.assign(client="Acme"), "Acme", month, path=path, correct=bool(place), **options)
    page.show(path, scheme="light", width=687)  # A4 within its margins, 182 mm
    page.as_print()
    right = "Math.max(...[...document.querySelectorAll('td, th')].map(cell => cell.getBoundingClientRect().right))"
    assert 600 < page.value(right) <= 687.5
    assert page.texts("#lines th")[-1] == "Cost in EUR"
    assert page.value("getComputedStyle(document.querySelector('#lines .wide')).overflowX") == "visible"
    assert page.pdf().startswith(b"%PDF")


@pytest.mark.browser
def test_words_of_the_history_stay_words_on_the_page(hostile: pd.DataFrame, tmp_path: Path, page: Page) -> None:
    page.show(written(hostile, tmp_path / "report.html", title="</title><b>x"), scheme="light", width=1000)
    assert page.problems == []
    assert page.count("img, b") == 0
    assert page.value("[...document.scripts].map(each => each.textContent.trim())") == [SORT.strip()]
    assert page.value("document.title") == "</title><b>x"
    assert set(page.texts("#by-voice tbody td:first-child")) == {" ".join(each.split()) for each in HOSTILE}


def test_the_same_rows_give_the_same_bytes(df: pd.DataFrame, options: dict[str, Any], tmp_path: Path) -> None:
    rows = df.head(600)
    for ending in ("html", "xlsx", "md"):
        first = written(rows, tmp_path / f"first.{ending}", **options)
        second = written(rows.sample(frac=1, random_state=1), tmp_path / f"second.{ending}", **options)
        assert first.read_bytes() == second.read_bytes()
    assert len(list(tmp_path.iterdir())) == 6


def test_the_workbook_holds_numbers_dates_and_no_formula(
    df: pd.DataFrame, options: dict[str, Any], hostile: pd.DataFrame, tmp_path: Path
) -> None:
    hk.report(df, tmp_path / "report.xlsx", **options)
    book = openpyxl.load_workbook(tmp_path / "report.xlsx")
    assert book.sheetnames == ["Summary", *TEXT_SECTIONS]
    sheet = book["Usage by period"]
    rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    head = next(place for place, row in enumerate(rows) if row[0] == "From")
    assert rows[head][:6] == ["From", "Items", "Characters", "Credits", "Share", "Cost in EUR"]
    months = hk.cost_table(df, None, "MS", tz="Europe/Berlin", prices=PRICES)
    lines = rows[head + 1 : head + 1 + len(months)]
    assert [line[0] for line in lines] == [each.tz_localize(None) for each in months["period"]]
    assert [line[3] for line in lines] == months["credits"].tolist()
    assert [Decimal(str(line[5])) for line in lines] == months["cost"].tolist()
    total = rows[head + 1 + len(months)]
    assert (total[0], total[1], total[3]) == ("Total", len(df), df["credits"].sum())
    hk.report(hostile, tmp_path / "hostile.xlsx")
    rude = openpyxl.load_workbook(tmp_path / "hostile.xlsx")
    cells = [cell for sheet in rude for row in sheet.iter_rows() for cell in row]
    assert not [cell for cell in cells if cell.data_type == "f" or cell.hyperlink]
    assert any(cell.value == HOSTILE[1] for cell in cells)


def test_a_workbook_prints_across_a_page_with_its_heads(
    df: pd.DataFrame, options: dict[str, Any], tmp_path: Path
) -> None:
    hk.report(df, tmp_path / "report.xlsx", **options)
    hk.report(df.assign(voice_name=HOSTILE[0]), tmp_path / "long.xlsx", title="A title. " * 60)
    hk.statement(df, "Acme", "2026-10", prices=PRICES, path=tmp_path / "statement.xlsx")
    for name in ("report", "long", "statement"):
        book = openpyxl.load_workbook(tmp_path / f"{name}.xlsx")
        for sheet in book:
            setup = sheet.page_setup
            assert (setup.orientation, setup.fitToWidth or 1, setup.fitToHeight) == ("landscape", 1, 0)
            assert sheet.sheet_properties.pageSetUpPr.fitToPage
            widths = [sheet.column_dimensions[letter].width for letter in "ABCDEFGHIJ"[: sheet.max_column]]
            for row, height in sheet.row_dimensions.items():  # the rows of words: they lie across the table, and fit
                cell = sheet.cell(row, 1)
                if height.height is None:
                    continue
                assert sheet.max_column == 1 or f"{cell.coordinate}:" in str(sheet.merged_cells)
                lines = len(str(cell.value)) * cell.font.size / 11 / sum(widths)
                assert height.height >= 1.2 * cell.font.size * lines
                assert cell.alignment.wrap_text
    book = openpyxl.load_workbook(tmp_path / "report.xlsx")
    for sheet in book:
        heads = [cell.row for cell in sheet["A"] if cell.border.bottom.style and cell.font.bold]
        assert sheet.print_title_rows == (f"${heads[0]}:${heads[0]}" if len(heads) == 1 else None)
    assert len([sheet for sheet in book if sheet.print_title_rows]) == 7


def test_markdown_holds_the_same_numbers_and_no_markup_of_others(
    df: pd.DataFrame, options: dict[str, Any], hostile: pd.DataFrame, tmp_path: Path
) -> None:
    path = written(df, tmp_path / "report.md", **options)
    lines = path.read_text("utf-8").splitlines()
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == TEXT_SECTIONS
    assert f"- **Credits**: {df['credits'].sum():,} (measured)" in lines
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in lines if line.startswith("|")]
    assert all(width > 2 for width in widths)
    rude = written(hostile, tmp_path / "hostile.md")
    text = rude.read_text("utf-8")
    assert "\\<img src=x onerror=" in text
    assert not re.search(r"(?<!\\)[<`$]", text.split("\n## ", 1)[1])
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line.replace(r"\\", ""))) for line in block.splitlines()}) == 1


def test_the_terminal_shows_all_of_it(df: pd.DataFrame, options: dict[str, Any]) -> None:
    console = Console(file=io.StringIO(), width=110)
    print_report(build_report(df, **options), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert [line for line in text.splitlines() if line in SECTIONS] == TEXT_SECTIONS
    assert f"Credits: {df['credits'].sum():,}  measured" in text
    assert max(map(cell_len, text.splitlines())) <= 110


@pytest.mark.parametrize("ending", ["html", "xlsx", "md"])
def test_a_group_without_a_name_reads_the_same_in_every_format(tmp_path: Path, ending: str) -> None:
    names = hk.sample_history(40)["voice_id"].astype(object)
    names.iloc[:5] = None
    path = hk.report(hk.sample_history(40).assign(account=names, client=names), tmp_path / f"report.{ending}")
    words = {"(no account)", "(no client)"}
    if ending == "xlsx":
        cells = [cell.value for sheet in openpyxl.load_workbook(path) for row in sheet.iter_rows() for cell in row]
        assert words <= set(cells)
    else:
        assert all(word in path.read_text("utf-8") for word in words)


@pytest.mark.parametrize("ending", ["html", "xlsx", "md"])
@pytest.mark.parametrize("rows", ["none", "one", "no dates", "no credits", "no counters"])
def test_any_history_makes_a_report(df: pd.DataFrame, tmp_path: Path, ending: str, rows: str) -> None:
    frame = {
        "none": df.head(0),
        "one": df.head(1),
        "no dates": df.head(5).assign(date=pd.Series([pd.NaT] * 5, df.index[:5], dtype=df["date"].dtype)),
        "no credits": df.head(5).assign(credits=pd.array([pd.NA] * 5, "Int64")),
        "no counters": df.head(50).drop(columns=["character_count_change_from", "character_count_change_to"]),
    }[rows]
    path = written(frame, tmp_path / f"report.{ending}", prices=PRICES)
    assert path.stat().st_size > 500
    if ending == "md" and rows == "no credits":
        assert "The credits of 5 rows are unknown; they count as rows, not as 0 credits." in path.read_text("utf-8")
        assert "- **Credits**: – (of 5 more items it is not known)" in path.read_text("utf-8")


def test_dates_without_a_zone_are_utc_and_words_are_none(df: pd.DataFrame, tmp_path: Path) -> None:
    naive = df.assign(date=df["date"].dt.tz_localize(None)).head(60)
    assert written(naive, tmp_path / "a.md").read_bytes() == written(df.head(60), tmp_path / "b.md").read_bytes()
    with pytest.raises(hk.SchemaError, match=r"Column 'date' .* holds something other than dates"):
        hk.report(df.assign(date="soon"), tmp_path / "c.md")
    assert not (tmp_path / "c.md").exists()


def test_costs_in_two_currencies_have_no_sum(df: pd.DataFrame, tmp_path: Path) -> None:
    middle = f"{df['date'].quantile(0.5):%Y-%m-%d}"
    book = {
        "price": [
            {"currency": "EUR", "per_1000_credits": "0.30", "valid_from": "2000-01-01"},
            {"currency": "USD", "per_1000_credits": "0.33", "valid_from": middle},
        ]
    }
    path = written(df, tmp_path / "report.md", prices=book)
    text = path.read_text("utf-8")
    assert "**Cost in EUR**" in text
    assert "**Cost in USD**" in text
    assert "| Cost | Currency |" in text


def test_hours_are_told_by_the_hour(df: pd.DataFrame, tmp_path: Path) -> None:
    path = written(df.head(40), tmp_path / "report.md", freq="h", tz="Asia/Kolkata")
    hour = df["date"].iloc[0].tz_convert("Asia/Kolkata").floor("30min")
    assert re.search(rf"\| {hour:%Y-%m-%d} \d\d:\d\d \|", path.read_text("utf-8"))


FREQS = ("h", "2h", "6h", "12h", "24h", "D", "W", "W-SAT", "MS", "QS", "QS-FEB", "YS", "billing")
CHANGES = (  # days around changes of the clocks: ordinary ones, by half an hour, at midnight, of a day that never was
    ("UTC", "2026-10-25"),
    ("Europe/Berlin", "2026-10-25"),
    ("Europe/Berlin", "2026-03-29"),
    ("America/St_Johns", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("America/Havana", "2026-11-01"),
    ("Africa/Cairo", "2026-04-24"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("Pacific/Apia", "2011-12-30"),
    ("Europe/Amsterdam", "1937-07-01"),
)


@pytest.mark.parametrize("freq", FREQS)
@pytest.mark.parametrize(("tz", "day"), CHANGES)
def test_no_two_periods_have_one_label(freq: str, tz: str, day: str) -> None:
    count = 300
    dates = pd.date_range(pd.Timestamp(day, tz="UTC") - pd.Timedelta(days=2), periods=count, freq="29min")
    frame = pd.DataFrame({"date": dates, "characters": pd.array([1] * count), "credits": pd.array([1] * count)})
    periods = hk.usage_table(frame, None, freq, tz=tz, billing=25 if freq == "billing" else None)
    labels = [cells[0] for cells in rows_of(usage_report_table(periods, [period_column(freq)]))]
    assert len(set(labels)) == len(labels) == len(periods)
    shown = re.findall(r">([12]\d{3}-[^<]*)</td>", hk.show_usage(periods).to_html())
    assert len(set(shown)) == len(periods)


@pytest.mark.parametrize("ending", ["html", "xlsx", "md"])
def test_hours_that_the_clock_repeats_are_told_apart_in_every_format(
    df: pd.DataFrame, tmp_path: Path, ending: str
) -> None:
    start = pd.Timestamp("2026-10-24T23:40Z")
    frame = df.head(8).assign(date=pd.date_range(start, periods=8, freq="20min"))
    path = written(frame, tmp_path / f"report.{ending}", freq="h", tz="Europe/Berlin")
    if ending == "xlsx":
        cells = [cell for row in openpyxl.load_workbook(path)["Usage by period"].iter_rows() for cell in row]
        text = " ".join(str(cell.value) for cell in cells)
    else:
        text = path.read_text("utf-8")
    assert "2026-10-25 02:00+02:00" in text
    assert "2026-10-25 02:00+01:00" in text
    assert "2026-10-25 01:00" in text
    assert "2026-10-25 01:00+" not in text


def test_hours_of_any_multiple_are_shown_with_their_time(df: pd.DataFrame, tmp_path: Path) -> None:
    text = written(df, tmp_path / "report.md", freq="6h").read_text("utf-8")
    periods = hk.usage_table(df, None, "6h")["period"]
    labels = re.findall(r"^\| (\d{4}-\d\d-\d\d \d\d:00) \|", text.split("## Usage by voice")[0], re.MULTILINE)
    assert labels == [f"{period:%Y-%m-%d %H:%M}" for period in periods]


@pytest.mark.parametrize("prices", [None, PRICES])
def test_a_client_named_other_is_not_billed_with_the_rest(df: pd.DataFrame, tmp_path: Path, prices: Any) -> None:
    clients = [*["other"] * 4, *(f"client {number}" for number in range(6))]
    frame = df.assign(client=[clients[row % 10] for row in range(len(df))])
    text = written(frame, tmp_path / "report.md", prices=prices, top=3).read_text("utf-8")
    table = text.split("## Usage by client")[1].split("\n## ")[0]
    lines = [line.strip("|").split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    credits = {line[0].strip(): int(line[3].strip("* ").replace(",", "")) for line in lines}
    assert credits.pop("**Total**") == frame["credits"].sum()
    sums = frame.groupby("client")["credits"].sum().sort_values(ascending=False)
    top, rest = sums.head(3), sums.iloc[3:].sum()
    assert "other" in top  # the client, of 40 % of the rows, and the group of the rest stand apart
    assert credits == top.to_dict() | {"(rest)": rest}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"path": "report.pdf"}, r"path='report\.pdf' can't hold a report; use one of \.html, \.xlsx, \.md\."),
        ({"path": "r.md", "top": 0}, "top=0 must be a whole number of at least 1."),
        ({"path": "r.md", "tz": "Mars"}, "tz='Mars' is not a time zone"),
        ({"path": "r.md", "freq": "fortnight"}, "freq='fortnight'"),
        ({"path": "r.md", "prices": "none.toml"}, "none.toml: the file does not exist"),
        ({"path": "r.md", "now": "garbage"}, "now='garbage' is not a date"),
        ({"path": "r.md", "now": "garbage", "subscription": {"character_count": 1}}, "now='garbage' is not a date"),
    ],
)
def test_bad_arguments_are_named_and_leave_no_file(
    df: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(hk.InputError, match=says):
        hk.report(df, **change)
    assert not list(tmp_path.iterdir())


def test_a_frame_without_credits_is_refused_by_name(df: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(hk.SchemaError, match="credits"):
        hk.report(df.drop(columns="credits"), tmp_path / "report.html")


def written(frame: pd.DataFrame, path: Path, **options: Any) -> Path:
    """Write a report."""
    made = hk.report(frame, path, **options)
    assert made == path
    return path


def luminance(color: str) -> float:
    """Give the relative luminance of a CSS colour, as WCAG 2 defines it."""
    parts = [float(part) / 255 for part in re.findall(r"[\d.]+", color)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return round(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2], 6)


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_a_workbook_shows_each_amount_with_the_places_of_its_currency(tmp_path: Path) -> None:
    df = hk.sample_history(400)
    prices = [
        {"per_1000_credits": "0.3", "currency": "EUR"},
        {"per_1000_credits": 45, "currency": "JPY", "model": "eleven_v3"},
        {"per_1000_credits": "0.5", "currency": "KWD", "model": "eleven_flash_v2_5"},
    ]
    hk.report(df, tmp_path / "report.xlsx", prices={"price": prices})
    sheet = openpyxl.load_workbook(tmp_path / "report.xlsx")["Usage by model"]
    rows = list(sheet.iter_rows())
    head = next(place for place, row in enumerate(rows) if "Cost" in [cell.value for cell in row])
    cost, currency = ([cell.value for cell in rows[head]].index(name) for name in ("Cost", "Currency"))
    formats = {row[currency].value: row[cost].number_format for row in rows[head + 1 :] if row[0].value != "Total"}
    assert formats == {"EUR": "#,##0.00", "JPY": "#,##0", "KWD": "#,##0.000"}
    hk.report(df, tmp_path / "yen.xlsx", prices={"currency": "JPY", "price": [{"per_1000_credits": 45}]})
    for sheet in openpyxl.load_workbook(tmp_path / "yen.xlsx"):
        assert not [cell.coordinate for row in sheet.iter_rows() for cell in row if "0.00" in str(cell.number_format)]


def test_numbers_that_are_texts_and_halves_of_characters_give_the_report_of_the_numbers(
    df: pd.DataFrame, tmp_path: Path
) -> None:
    rows = df.head(300)
    texts = rows.assign(
        **{name: rows[name].astype(object).map(str, na_action="ignore") for name in ("credits", "characters")}
    )
    want = written(rows, tmp_path / "numbers.html", title="x").read_bytes()
    assert written(texts, tmp_path / "texts.html", title="x").read_bytes() == want
    half = pd.Series(["\ud800x", "\udfff"] * 150, rows.index, dtype=object)
    table = hk.usage_table(rows.assign(client=half), by="client")
    assert sorted(table["client"]) == ["\\ud800x", "\\udfff"]
    assert table["credits"].sum() == rows["credits"].sum()
    page = written(rows.assign(client=half), tmp_path / "clients.html", title="x").read_text("utf-8")
    assert "\\ud800x" in page
