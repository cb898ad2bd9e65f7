"""The explorer and the picker of takes, without a browser: what is pressed, and the frames it gives."""

from __future__ import annotations

import datetime
import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import histkit as hk
from histkit.notebook.explorer import Explorer
from histkit.notebook.selection import ORDERS, FilterState, Selection
from histkit.sandbox import Sandbox
from tests.effort import examples


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    return hk.sample_history(1500)


def controls(widget: Any) -> dict[str, Any]:
    """Give every control of a widget by its description."""
    found = {}
    for child in getattr(widget, "children", ()):
        found |= controls(child)
    description = getattr(widget, "description", "")
    return found | ({description: widget} if description else {})


def said(explorer: Explorer) -> str:
    return str(explorer.view.message.value)


def test_filters_keep_what_filter_items_keeps_and_tell_the_call(df: pd.DataFrame) -> None:
    explorer = df.speech.explore(tz="Europe/Berlin")
    c = controls(explorer.widget)
    rachel = dict((label.split("  ·")[0], value) for label, value in c["Voice"].options)["Rachel"]
    c["Voice"].value = (rachel,)
    c["From"].value, c["To"].value = datetime.date(2025, 3, 30), datetime.date(2026, 8, 2)
    c["Text has"].value = "the (clock"
    c["Text has"].value = "the clock"
    c["Credits ≥"].value = "50"
    c["Credits ≤"].value = "1,000"
    wanted = df.speech.filter(
        voice=rachel,
        text="the clock",
        after=pd.Timestamp("2025-03-30", tz="Europe/Berlin"),
        before=pd.Timestamp("2026-08-03", tz="Europe/Berlin"),
    )
    wanted = wanted[wanted["credits"].between(50, 1000)]
    assert len(wanted)
    pd.testing.assert_frame_equal(explorer.filtered, wanted)
    pd.testing.assert_frame_equal(eval(explorer.code, {"df": df}), wanted)
    assert f"{len(wanted):,} of 1,500 rows" in explorer.view.summary.value
    c["Clear filters"].click()
    assert len(explorer.filtered) == len(df)
    assert explorer.code == "df"


@settings(max_examples=examples(25))
@given(
    conditions=st.builds(
        FilterState,
        voice=st.sampled_from([(), ("Rachel",), ("Rachel", "Lucía")]),
        model=st.sampled_from([(), ("eleven_v3",)]),
        source=st.sampled_from([(), ("TTS", "STS")]),
        first=st.none() | st.dates(datetime.date(2025, 1, 1), datetime.date(2025, 12, 1)),
        last=st.none() | st.dates(datetime.date(2025, 12, 1), datetime.date(2026, 10, 31)),
        text=st.sampled_from(["", "the", "'", '"', "\\", "a.b", "[", "e\n"]),
        least=st.none() | st.integers(0, 300),
        most=st.none() | st.integers(300, 1000),
    ),
    tz=st.sampled_from(["UTC", "America/St_Johns", "Asia/Tokyo"]),
)
def test_the_call_gives_the_same_rows_again(conditions: FilterState, tz: str) -> None:
    df = hk.sample_history(600)
    state = Selection(df, tz)
    state.filter(conditions)
    pd.testing.assert_frame_equal(eval(state.code, {"df": df}), state.filtered)


@settings(max_examples=examples(20))
@given(
    order=st.sampled_from([*ORDERS]),
    steps=st.lists(st.sampled_from(["next", "back", "tick", "narrow", "all", "none"]), max_size=12),
    size=st.integers(1, 40),
)
def test_ticks_stay_on_their_rows(order: str, steps: list[str], size: int) -> None:
    df = hk.sample_history(120)
    state = Selection(df, size=size)
    state.sort(order)
    ticked: set[str] = set()
    for step in steps:
        shown = df["history_item_id"].iloc[state.positions].tolist()
        if step in ("next", "back"):
            state.turn(1 if step == "next" else -1)
        elif step == "tick":
            state.tick([0, 2])
            ticked = (ticked - set(shown)) | set(shown[:1]) | set(shown[2:3])
        elif step == "narrow":
            state.filter(FilterState(text="the"))
            ticked &= set(state.filtered["history_item_id"])
        else:
            state.tick_all(step == "all")
            ticked = set(state.filtered["history_item_id"]) if step == "all" else set()
        assert set(state.selected["history_item_id"]) == ticked
        here = df["history_item_id"].iloc[state.positions].tolist()
        assert [here[row] for row in state.ticked_here()] == [each for each in here if each in ticked]
    pages = []
    state.turn(-10_000)
    for _ in range(state.pages):
        pages += state.positions.tolist()
        state.turn(1)
    name, ascending = ORDERS[order]
    column = df[name].astype("string") if isinstance(df[name].dtype, pd.CategoricalDtype) else df[name]
    wanted = column.loc[state.filtered.index].sort_values(ascending=ascending, kind="stable")
    assert pages == wanted.index.tolist()


def test_only_a_page_goes_to_the_browser(df: pd.DataFrame) -> None:
    explorer = df.speech.explore(page_size=10)
    assert len(explorer.view.table.df) == 10
    controls(explorer.widget)["Order"].value = "by voice"
    assert explorer.view.table.df.index.tolist() == [*range(10)]
    explorer.view.table.selected_rows = [1, 3]
    second = explorer.selected["history_item_id"].tolist()
    controls(explorer.widget)["Later page"].click()
    assert explorer.view.table.selected_rows == []
    explorer.view.table.selected_rows = [0]
    controls(explorer.widget)["Earlier page"].click()
    assert explorer.view.table.selected_rows == [1, 3]
    assert len(explorer.selected) == 3
    assert set(second) < set(explorer.selected["history_item_id"])
    assert "3 ticked" in explorer.view.summary.value
    with Image.open(io.BytesIO(explorer.view.chart.value)) as image:
        assert image.size[0] > 600


def test_what_goes_wrong_is_said_in_the_widget(
    df: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ELEVENLABS_API_KEY", raising=False)
    explorer = df.speech.explore()
    c = controls(explorer.widget)
    for press, line in (("Pull audio", "No row is ticked"), ("Listen", "No row is ticked"), ("Make zip", "No row is")):
        c[press].click()
        assert line in said(explorer)
    c["regular expression"].value = True
    c["Text has"].value = "(a"
    assert "text=" in said(explorer)
    assert len(explorer.filtered) == len(df)
    c["regular expression"].value = False
    c["Text has"].value = ""
    c["Credits ≥"].value = "many"
    assert "&#x27;many&#x27; is not a whole number" in said(explorer)
    c["Credits ≥"].value = ""
    assert said(explorer) == ""
    explorer.view.table.selected_rows = [0]
    c["Pull audio"].click()
    assert "ELEVENLABS_API_KEY" in said(explorer)
    assert isinstance(explorer.last_error, hk.AuthenticationError)
    c["CSV"].value = str(tmp_path / "none" / "\0.csv")
    c["Export CSV"].click()
    assert said(explorer) != ""


def test_rows_are_pulled_zipped_and_exported(
    box_of: Callable[..., Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    box = box_of(60)
    with hk.HistoryClient(box.api_key, base_url=box.url) as client:
        df = hk.read_history(client=client)
        explorer = df.speech.explore(client=client, page_size=5)
        c = controls(explorer.widget)
        explorer.view.table.selected_rows = [0, 1, 2]
        c["dry run"].value = True
        c["Pull audio"].click()
        assert "3 files would be pulled into audio" in said(explorer)
        assert not Path("audio").exists()
        c["dry run"].value = False
        c["Pull audio"].click()
        assert "audio: 3 done" in said(explorer)
        assert explorer.manifest is not None
        assert all(Path("audio", path).exists() for path in explorer.manifest["path"])
        c["Make zip"].click()
        with zipfile.ZipFile("audio.zip") as file:
            assert len(file.namelist()) == 4
        c["Export CSV"].click()
        assert "3 ticked rows" in said(explorer)
        assert len(hk.read_csv("rows.csv")) == 3
        c["Listen"].click()
        assert said(explorer) == ""


@pytest.mark.parametrize("size", [0, -1, 201, "10", True])
def test_a_page_has_1_to_200_rows(df: pd.DataFrame, size: Any) -> None:
    with pytest.raises(hk.InputError, match="page_size="):
        df.speech.explore(page_size=size)


def test_an_empty_history_is_shown_too(df: pd.DataFrame) -> None:
    explorer = df.head(0).speech.explore()
    assert "0 of 0 rows, 0 credits" in explorer.view.summary.value
    assert explorer.selected.empty
    with pytest.raises(hk.SchemaError, match="text"):
        df.drop(columns="text").speech.explore()
    with pytest.raises(hk.SchemaError, match="'date'"):
        df.assign(date=df["date"].astype(str)).speech.explore()


def test_any_index_is_kept(df: pd.DataFrame) -> None:
    for index in (df.set_index(["voice_id", "date"], drop=False), df.set_index(df.index * 0)):
        explorer = index.speech.explore()
        explorer.view.table.selected_rows = [0]
        pd.testing.assert_frame_equal(explorer.selected, index.head(1))


def test_what_is_not_installed_is_named(df: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "itables.widget", None)
    with pytest.raises(hk.InputError, match=r"pip install 'histkit\[notebook\]'"):
        df.speech.explore()
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    with pytest.raises(hk.InputError, match=r"pip install 'histkit\[near\]'"):
        df.speech.takes(near=0.9)


def test_rows_are_ticked_by_their_numbers(df: pd.DataFrame) -> None:
    explorer = df.speech.explore(page_size=5)
    c = controls(explorer.widget)
    c["Order"].value = "most credits first"
    c["Tick rows"].value = "2-3, 7"
    order = df["credits"].sort_values(ascending=False, kind="stable", na_position="last").index
    assert set(explorer.selected.index) == {order[1], order[2], order[6]}
    assert explorer.view.table.selected_rows == [1, 2]
    for wrong in ("0-2", "5-4", "1501", "a", "1,,2", "-3"):
        c["Tick rows"].value = wrong
        assert "Tick rows:" in said(explorer)
    assert len(explorer.selected) == 3
    c["Untick all"].click()
    assert explorer.selected.empty
    c["Tick all"].click()
    assert len(explorer.selected) == 1500


def test_takes_are_picked_line_by_line(df: pd.DataFrame) -> None:
    picker = df.speech.pick_takes()
    found = hk.takes(df)
    assert len(picker.lines) == found.attrs["histkit"]["lines_with_takes"]
    assert picker.keep == []
    pd.testing.assert_frame_equal(picker.keepers, hk.keepers(df))
    c = controls(picker.widget)
    first = c["Keep"].options[0][1]
    c["Keep"].value = first
    c["Later line"].click()
    assert picker.keep == [first]
    assert c["Keep"].value == c["Keep"].options[-1][1]
    c["Earlier line"].click()
    assert c["Keep"].value == first
    assert first in set(picker.keepers["history_item_id"])
    assert hk.takes(df, keep=picker.keep)["keeper"][found["history_item_id"] == first].all()
    empty = df.head(0).speech.pick_takes()
    assert "No text has several takes" in empty._head.value


def test_usage_is_shown_with_bars_and_words_stay_words(df: pd.DataFrame) -> None:
    table = hk.usage_table(df, "voice")
    html = hk.show_usage(table).to_html()
    assert f"{table['credits'].iloc[0]:,}" in html
    assert "linear-gradient" in html
    assert '<b>"Loud"</b>' not in html
    assert "&lt;b&gt;" in html
    prices = {"currency": "EUR", "price": [{"per_1000_credits": "0.3"}]}
    for other in (
        hk.ledger(df, "MS"),
        hk.waste(df, "model", "MS"),
        table.head(0),
        table.assign(credits=pd.NA),
        hk.cost_table(df, "voice", prices=prices),
    ):
        assert "<table" in hk.show_usage(other).to_html()
    with pytest.raises(hk.InputError, match="bar='voice'"):
        hk.show_usage(table, bar="voice")
