"""The page that a notebook keeps of the explorer: what is in it, what is left out, that it is small and harmless."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest

import histkit as hk
from histkit.notebook.explorer import Explorer
from histkit.notebook.snapshot import COLOURS, MOST_BYTES, explorer_page
from histkit.plotting.palette import contrast

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">\'"&&amp;'


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    return hk.sample_history(1200)


class Page(HTMLParser):
    """The texts of a page's tables, and all of its tags with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.text = ""
        self._table = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag == "table":
            self._table = attributes.get("class") or self._table
            self.tables.setdefault(self._table, [])
        elif tag == "tr":
            self.tables[self._table].append([])
        elif tag in ("td", "th"):
            self.tables[self._table][-1].append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        rows = self.tables.get(self._table)
        if rows and rows[-1]:
            rows[-1][-1] += data


def ask(explorer: Explorer, kind: str, **fields: Any) -> dict[str, Any]:
    reply, _ = explorer.service.answer({"id": 1, "view": "a", "kind": kind, **fields})
    assert "error" not in reply
    return reply


def test_the_page_has_rows_totals_filters_chart_and_code(df: pd.DataFrame) -> None:
    explorer = df.speech.explore(tz="Europe/Berlin")
    sort = [{"key": "credits", "descending": True}, {"key": "date"}]
    reply = ask(explorer, "query", filters={"text": "the", "credits": [50, None]}, sort=sort)
    ask(explorer, "tick", op="range", from_n=0, to_n=1, on=True)
    page = Page(explorer_page(explorer.service))
    assert "Run this cell to continue." in page.text
    assert f"{reply['count']:,} of 1,200 rows, {reply['credits']:,} credits; 2 ticked" in page.text
    assert "Filters: text “the”; credits from 50" in page.text
    assert explorer.code in page.text
    head, *rows = page.tables["histkit-rows"]
    assert head == ["Ticked", "Date", "Voice", "Text", "Credits", "Characters", "Model", "Source"]
    assert len(rows) == 25
    assert [row[0] for row in rows] == ["✓", "✓", *[""] * 23]
    assert [row[1] for row in rows] == [row["c"][0] for row in reply["rows"]["rows"][:25]]
    usage = hk.usage_table(explorer.filtered, "voice", top=10)
    shown = [row[2] for row in page.tables["histkit-key"]]
    assert shown[:10] == [f"{credits:,}" for credits in usage["credits"].head(10)]


def test_the_bars_are_as_high_as_the_sums(df: pd.DataFrame) -> None:
    explorer = df.speech.explore()
    chart = ask(explorer, "chart")
    page = Page(explorer_page(explorer.service))
    source = next(attrs["src"] or "" for tag, attrs in page.tags if tag == "img" and attrs["width"] == "720")
    svg = base64.b64decode(source.partition("base64,")[2]).decode()
    top = int(page.tables["histkit-chart"][0][0].replace(",", ""))
    assert max(chart["totals"]) <= top < 2 * max(chart["totals"]) + 1
    drawn = [
        sum(float(low) - float(high) for low, high in re.findall(r"M\S+ ([\d.]+)V([\d.]+)h", path))
        for path in re.findall(r'fill="[^"]+" d="([^"]*)"', svg)
    ]
    for height, series in zip(drawn, chart["series"], strict=True):
        assert height / 148 * top == pytest.approx(series["total"], abs=0.01 * top * len(chart["periods"]) / 148 + 1)
    assert svg.count("<path") == 1 + len(chart["series"])


def test_colours_are_visible_on_light_and_dark_pages() -> None:
    assert len(set(COLOURS)) == 11
    for colour in COLOURS:
        assert contrast(colour, "white") >= 3
        assert contrast(colour, "#111111") >= 2.9


def test_without_keep_no_word_that_was_spoken_or_searched_for_is_in_it() -> None:
    df = hk.sample_history(300)
    df = df.assign(title=df["text"].fillna("a dialogue"), part=pd.Categorical(df["text"]), length=df["characters"])
    explorer = df.speech.explore(keep=False)
    ask(explorer, "columns", shown=["date", "text", "title", "part", "length", "model_id", "extra", "history_item_id"])
    ask(explorer, "query", filters={"text": "the clock"})
    assert explorer.filtered["text"].notna().any()
    data, _ = explorer._repr_mimebundle_()
    page = Page(data["text/html"])
    assert page.tables["histkit-rows"][0] == ["Date", "Length", "Model", "History item"]
    assert "not kept: Text, Title, Part, Extra" in page.text
    assert "clock" not in data["text/html"]
    for text in explorer.filtered["text"].dropna():
        assert text[:12] not in data["text/html"]
    kept = explorer_page(explorer.service)
    assert "clock" in kept


def test_texts_and_names_are_only_texts(df: pd.DataFrame) -> None:
    rows = df.head(40).copy()
    rows["text"] = HOSTILE
    for name in ("voice_name", "model_id", "source"):
        rows[name] = pd.Categorical([HOSTILE] * len(rows))
    rows[HOSTILE] = HOSTILE
    explorer = rows.speech.explore()
    ask(explorer, "columns", shown=["text", "voice_name", "model_id", "source", HOSTILE])
    ask(explorer, "query", filters={"model": [HOSTILE], "text": "alert(1)"})
    assert len(explorer.filtered) == 40
    page = Page(explorer_page(explorer.service))
    assert {tag for tag, _ in page.tags} == {
        *("style", "div", "p", "table", "caption", "thead", "tbody", "tr", "th", "td", "img", "code"),
    }
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert all(
        (attrs["src"] or "").startswith("data:image/svg+xml;base64,") for tag, attrs in page.tags if tag == "img"
    )
    assert page.tables["histkit-rows"][1][0].startswith("<script>alert(1)</script>")


def test_the_page_is_small_whatever_is_shown(df: pd.DataFrame) -> None:
    rows = pd.concat([df] * 3, ignore_index=True).drop_duplicates("history_item_id").head(1200).copy()
    wide = rows.assign(**{f"column {'&' * 80} {number}": '"' * 500 for number in range(60)})
    wide["text"] = "'<&\"" * 3000
    wide["voice_name"] = pd.Categorical([f"{'&' * 300}{number % 30}" for number in range(len(wide))])
    explorer = wide.speech.explore(page_size=200)
    ask(explorer, "columns", shown=list(explorer.service.columns))
    ask(explorer, "query", filters={"source": ["TTS", *map(str, range(9000))], "model": []})
    html = explorer_page(explorer.service)
    assert len(html.encode()) < MOST_BYTES
    page = Page(html)
    assert len(page.tables["histkit-rows"]) > 2
    assert "more columns are not kept here" in page.text
    assert "explorer.code has all of it" in page.text


def test_an_explorer_without_rows_has_a_page_that_says_why(df: pd.DataFrame) -> None:
    for rows, filters, words in ((df.head(0), {}, "hk.sync()"), (df, {"text": "no such words"}, "No row passes")):
        explorer = rows.speech.explore()
        ask(explorer, "query", filters=filters)
        page = Page(explorer_page(explorer.service))
        assert words in page.text
        assert page.tables == {}


@pytest.mark.parametrize("keep", ["no", 0, None])
def test_keep_is_true_or_false(df: pd.DataFrame, keep: Any) -> None:
    with pytest.raises(hk.InputError, match="keep="):
        df.speech.explore(keep=keep)
