"""The explorer in Python: what its views select, the frames it gives. Styled tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import histkit as hk
from histkit.notebook.explorer import Explorer
from histkit.notebook.widget import bundle, make_widget


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    return hk.sample_history(1500)


def ask(explorer: Explorer, kind: str, **fields: Any) -> dict[str, Any]:
    reply, _ = explorer.service.answer({"id": 1, "view": "a", "kind": kind, **fields})
    return reply


def test_filters_keep_what_filter_items_keeps_and_tell_the_call(df: pd.DataFrame) -> None:
    explorer = df.speech.explore(tz="Europe/Berlin")
    bars = ask(explorer, "profiles", keys=["voice_name"])["profiles"]["voice_name"]["values"]
    rachel = next(bar["value"] for bar in bars if bar["label"] == "Rachel")
    filters = {
        "voice": [rachel],
        "first": "2025-03-30",
        "last": "2026-08-02",
        "text": "the clock",
        "credits": [50, 1000],
    }
    assert "error" in ask(explorer, "query", filters={"text": "the (clock", "pattern": True})
    reply = ask(explorer, "query", filters=filters)
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
    assert (reply["count"], reply["code"]) == (len(wanted), explorer.code)
    assert repr(explorer) == f"<explorer: {len(wanted):,} of 1,500 rows, 0 ticked>"
    empty = {"voice": [], "first": None, "last": None, "text": "", "credits": [None, None]}
    ask(explorer, "query", filters=empty)
    assert len(explorer.filtered) == len(df)
    assert explorer.code == "df"


def test_rows_are_ticked_by_their_numbers(df: pd.DataFrame) -> None:
    explorer = df.speech.explore()
    version = ask(explorer, "query", sort=[{"key": "credits", "descending": True}])["version"]
    ask(explorer, "tick", op="range", from_n=1, to_n=2, on=True, version=version)
    ask(explorer, "tick", op="range", from_n=6, to_n=6, on=True, version=version)
    order = df["credits"].sort_values(ascending=False, kind="stable", na_position="last").index
    assert set(explorer.selected.index) == {order[1], order[2], order[6]}
    shown = ask(explorer, "rows", version=version, start=0, stop=8)["rows"]
    assert [row["n"] for row in shown if row["t"]] == [1, 2, 6]
    for first, last in ((-1, 2), (1500, 1500), (0, 1500), ("a", 2), (None, 2), (1.5, 2)):
        assert "error" in ask(explorer, "tick", op="range", from_n=first, to_n=last, on=True, version=version)
    assert len(explorer.selected) == 3
    ask(explorer, "tick", op="none")
    assert explorer.selected.empty
    ask(explorer, "tick", op="all", on=True, version=version)
    assert len(explorer.selected) == 1500


def test_what_goes_wrong_is_kept(df: pd.DataFrame) -> None:
    explorer = df.speech.explore()
    assert explorer.last_error is None
    reply = ask(explorer, "query", filters={"text": "(a", "pattern": True})
    assert "text=" in reply["error"]
    assert str(explorer.last_error) == reply["error"]
    assert len(explorer.filtered) == len(df)


@pytest.mark.parametrize("size", [0, -1, 201, "10", True])
def test_a_page_has_1_to_200_rows(df: pd.DataFrame, size: Any) -> None:
    with pytest.raises(hk.InputError, match="page_size="):
        df.speech.explore(page_size=size)


def test_an_empty_history_is_shown_too(df: pd.DataFrame) -> None:
    explorer = df.head(0).speech.explore()
    reply = ask(explorer, "open")
    assert (reply["count"], reply["credits"], reply["rows"]["rows"]) == (0, 0, [])
    assert "hk.sync()" in reply["empty"]
    assert explorer.selected.empty
    assert "rows" in ask(explorer, "chart")["alt"]
    assert "error" in ask(explorer, "detail", position=0)


def test_what_is_not_installed_is_named(df: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(hk.InputError, match=r"pip install 'histkit\[notebook\]'"):
        df.speech.explore()
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    with pytest.raises(hk.InputError, match=r"pip install 'histkit\[near\]'"):
        df.speech.takes(near=0.9)


def test_a_front_end_that_is_not_there_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(hk.InputError, match=r"explorer\.js.*make frontend"):
        bundle(tmp_path)
    (tmp_path / "explorer.js").write_text("export default {}")
    with pytest.raises(hk.InputError, match=r"explorer\.css"):
        make_widget("explorer", lambda message: ({}, []), static=tmp_path)


def test_a_widget_answers_messages_and_passes_events_on(df: pd.DataFrame, tmp_path: Path) -> None:
    for name in ("explorer.js", "explorer.css"):
        (tmp_path / name).write_text(f"/* {name} */")
    explorer = df.speech.explore()
    sent: list[Any] = []
    widget = make_widget("explorer", explorer.service.answer, static=tmp_path)
    widget.send = lambda content, buffers=None: sent.append((content, buffers))
    explorer.service.listen(widget.send)
    assert widget.kind == "explorer"
    assert widget.trait_values(sync=True)["_esm"] == "/* explorer.js */"
    widget._handle_custom_msg({"id": 7, "view": "v", "kind": "query", "filters": {"text": "the"}}, [])
    (event, _), (reply, buffers) = sent
    assert (event["event"], event["by"], event["version"]) == ("changed", "v", reply["version"])
    assert (reply["id"], reply["view"], reply["kind"], buffers) == (7, "v", "query", [])
    assert reply["count"] == len(explorer.filtered) < len(df)


def test_the_explorer_displays_itself_in_jupyter_and_marimo(df: pd.DataFrame) -> None:
    explorer = df.speech.explore()
    data, _ = explorer._repr_mimebundle_()
    assert data["text/plain"] == "<explorer: 1,500 of 1,500 rows, 0 ticked>"
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.widget.model_id
    assert explorer._display_() is explorer.widget


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


def test_a_file_in_place_of_the_folder_is_refused_before_anything_is_shown(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for folder in (tmp_path / "notes.txt", tmp_path / "notes.txt" / "audio"):
        with pytest.raises(hk.DownloadError, match=r"notes\.txt is a file"):
            hk.sample_history(5).speech.explore(folder=folder)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    hk.sample_history(5).speech.explore(folder=tmp_path / "audio")
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]
