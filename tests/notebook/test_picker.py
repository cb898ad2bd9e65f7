"""The picker of takes: requests of its views, what they choose, and what Python sees of it."""

from __future__ import annotations

import html
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.notebook.picker import Picker
from histkit.sandbox import Sandbox
from tests.conftest import client_of
from tests.effort import examples


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    return hk.sample_history(1500)


def ask(picker: Picker, kind: str, **fields: Any) -> dict[str, Any]:
    reply, buffers = picker.service.answer({"id": 1, "view": "a", "kind": kind, **fields})
    assert buffers == []
    return reply


def history(*rows: dict[str, Any]) -> pd.DataFrame:
    """Return a history of rows, each a second after the other."""
    sample = hk.sample_history(max(len(rows), 1)).head(len(rows))
    first = {
        "text": "Hello.",
        "voice_id": "v",
        "voice_name": "Rachel",
        "dialogue": None,
    }
    dates = pd.date_range("2026-01-01", periods=len(rows), freq="s", tz="UTC").as_unit("us")
    names = dict.fromkeys([*first, *(name for row in rows for name in row)])
    columns = {name: pd.Series([{**first, **row}.get(name) for row in rows], dtype=object) for name in names}
    ids = [f"item{place}" for place in range(len(rows))]
    return sample.reset_index(drop=True).assign(**columns, date=dates, history_item_id=ids)


def test_takes_are_picked_line_by_line_and_python_sees_it_at_once(df: pd.DataFrame) -> None:
    picker = df.speech.pick_takes()
    found = hk.takes(df)
    assert len(picker.lines) == found.attrs["histkit"]["lines_with_takes"]
    assert picker.keep == []
    pd.testing.assert_frame_equal(picker.takes, found)
    pd.testing.assert_frame_equal(picker.keepers, hk.keepers(df))
    line = ask(picker, "open_picker")["line"]
    rows = found[found["line"] == picker.lines[0]].sort_values("take")
    assert [take["position"] for take in line["takes"]] == rows.index.tolist()
    assert (line["n"], line["place"], line["chosen"], line["keeper"]) == (0, 0, None, rows.index[-1])

    first = rows.index[0]
    reply = ask(picker, "choose", n=0, position=int(first))
    assert (reply["chosen"], reply["chosen_take"], reply["keeper"]) == (first, 1, first)
    assert (reply["next"]["n"], reply["progress"]) == (1, {"chosen": 1, "steps": 1})
    assert picker.keep == [df["history_item_id"][first]]
    assert picker.takes["keeper"][first]
    assert not picker.takes["keeper"][rows.index[-1]]
    pd.testing.assert_frame_equal(picker.keepers, hk.keepers(df, keep=picker.keep))
    assert repr(picker) == f"<picker of takes: {len(picker.lines):} lines with several, 1 chosen>"

    ask(picker, "choose", n=0, position=None)
    assert picker.keep == []
    pd.testing.assert_frame_equal(picker.keepers, hk.keepers(df))


def test_undo_goes_back_step_by_step(df: pd.DataFrame) -> None:
    picker = df.speech.pick_takes()
    takes = [ask(picker, "line", place=place)["takes"] for place in range(2)]
    ids = [[df["history_item_id"][take["position"]] for take in each] for each in takes]
    for n, take in ((0, 0), (1, 1), (0, 1), (0, 1), (1, None)):
        ask(picker, "choose", n=n, position=None if take is None else takes[n][take]["position"])
    seen = [set(picker.keep)]
    lines = []
    while (reply := ask(picker, "undo"))["line"] is not None:
        seen.append(set(picker.keep))
        lines.append(reply["line"]["n"])
    assert seen == [{ids[0][1]}, {ids[0][1], ids[1][1]}, {ids[0][0], ids[1][1]}, {ids[0][0]}, set()]
    assert lines == [1, 0, 1, 0]  # choosing the same take again is no step
    assert reply == {"id": 1, "view": "a", "kind": "undo", "line": None, "progress": {"chosen": 0, "steps": 0}}


def test_after_a_choice_comes_the_next_line_without_one() -> None:
    picker = hk.sample_history(400).speech.pick_takes()
    last = len(picker.lines) - 1

    def choose(n: int, **fields: Any) -> Any:
        take = int(picker.service.choice.takes[n][0])
        following = ask(picker, "choose", n=n, position=take, **fields)["next"]
        return None if following is None else following["n"]

    assert choose(1) == 2
    assert choose(0) == 2
    assert choose(last) == 2  # from the first on
    found = ask(picker, "lines", text="clock", start=0, stop=500)
    numbers = [line["n"] for line in found["lines"]]
    assert found["count"] == len(numbers) < len(picker.lines)
    while (following := choose(numbers[0], text="clock")) is not None:
        assert following in numbers
        numbers.remove(following)
        choose(following)
    assert len(picker.keep) < len(picker.lines)
    for n in range(last + 1):
        left = choose(n)
    assert left is None
    assert len(picker.keep) == len(picker.lines)


def test_lines_are_searched_as_the_explorer_searches_rows(df: pd.DataFrame) -> None:
    picker = df.speech.pick_takes()
    newest = df.iloc[[takes[-1] for takes in picker.service.choice.takes]]
    for text in ("the", "Clock above", "no such words", ""):
        expected = set(newest.speech.filter(text=text)["history_item_id"]) if text else None
        reply = ask(picker, "lines", text=text, start=0, stop=500)
        ids = {newest["history_item_id"].iloc[line["n"]] for line in reply["lines"]}
        assert expected is None or ids == expected
        assert reply["count"] == len(picker.lines if expected is None else expected)
    part = ask(picker, "lines", text="the", start=2, stop=4, n=0)
    whole = ask(picker, "lines", text="the", start=0, stop=500)["lines"]
    assert part["lines"] == whole[2:4]
    places = {line["n"]: place for place, line in enumerate(whole)}
    assert part["place"] == places.get(0)
    assert ask(picker, "line", place=3, text="the")["n"] == whole[3]["n"]
    assert ask(picker, "line", place=3, text="the")["place"] == 3


def test_takes_show_the_settings_in_which_they_differ_only() -> None:
    frame = history(
        {"stability": 0.5, "speed": 1.0, "model_id": "eleven_v3"},
        {"stability": 0.1 + 0.2, "speed": 1.0, "model_id": "eleven_v3"},
        {"stability": None, "speed": None, "model_id": "eleven_v3"},
    ).astype({"stability": "Float64", "speed": "Float64"})
    line = ask(frame.speech.pick_takes(), "open_picker")["line"]
    assert [take["settings"] for take in line["takes"]] == [
        [{"label": "Stability", "value": value}] for value in ("0.5", "0.3", "–")
    ]
    assert line["takes"][0]["date"] == "2026-01-01 00:00:00"
    assert [take["spans"] for take in line["takes"]] == [None, None, None]


def test_near_takes_are_compared_with_the_first(df: pd.DataFrame) -> None:
    pytest.importorskip("rapidfuzz")
    texts = ["The old harbour was quiet.", "The old harbour was so quiet.", "the old harbour was quiet."]
    frame = history(*({"text": text} for text in texts))
    assert len(ask(frame.speech.pick_takes(), "open_picker")["line"]["takes"]) == 2
    line = ask(frame.speech.pick_takes(near=0.8), "open_picker")["line"]
    spans = [[(span["op"], span["text"]) for span in take["spans"]] for take in line["takes"]]
    assert spans[0] == [("same", texts[0])]
    assert spans[1] == [("same", "The old harbour was "), ("ins", "so"), ("same", " quiet.")]
    assert spans[2][:3] == [("del", "The"), ("same", " "), ("ins", "the")]
    hebrew = history({"text": "שלום לכם"}, {"text": "שלום  לכם"}, {"text": "שלום, לכם"})
    picker = hebrew.speech.pick_takes(near=0.8)
    line = ask(picker, "open_picker")["line"]
    assert line["rtl"] is True
    assert all(take["rtl"] for take in line["takes"])


def test_accounts_are_named_where_there_are_several() -> None:
    both = history({"account": "a"}, {"account": "a"}, {"account": "b"}, {"account": "b"}, {"account": "b"})
    picker = both.speech.pick_takes()
    lines = ask(picker, "open_picker")["lines"]["lines"]
    assert sorted((line["account"], line["takes"]) for line in lines) == [("a", 2), ("b", 3)]
    assert ask(picker, "line", place=0)["account"] == lines[0]["account"]
    one = both.head(2).speech.pick_takes()
    assert ask(one, "open_picker")["line"]["account"] is None
    mixed = ask(both.speech.pick_takes(across_accounts=True), "open_picker")["line"]
    assert mixed["account"] is None
    assert [take["settings"][0]["value"] for take in mixed["takes"]] == ["a", "a", "b", "b", "b"]


def test_of_very_many_takes_the_newest_are_shown_and_the_chosen_one() -> None:
    frame = history(*({} for _ in range(64)))
    picker = frame.speech.pick_takes()
    line = ask(picker, "open_picker")["line"]
    assert [take["take"] for take in line["takes"]] == [*range(15, 65)]
    assert line["left_out"] == 14
    ask(picker, "choose", n=0, position=3)
    line = ask(picker, "line", place=0)
    assert [take["take"] for take in line["takes"]] == [4, *range(16, 65)]


def test_a_history_without_takes_says_what_to_do() -> None:
    for frame, words in (
        (
            history({"text": "One."}, {"text": "Two."}),
            "No text has several takes. Generate a line again, or pass near=",
        ),
        (hk.sample_history(3).head(0), "The history has no rows. Get some with df = hk.sync()"),
    ):
        picker = frame.speech.pick_takes()
        reply = ask(picker, "open_picker")
        assert reply["empty"].startswith(words)
        assert (reply["total"], reply["line"], reply["lines"]["lines"]) == (0, None, [])
        assert picker.lines == picker.keep == []
        assert len(picker.keepers) == len(frame)
        assert "error" in ask(picker, "line", place=0)
        assert "error" in ask(picker, "choose", n=0, position=0)
        assert ask(picker, "undo")["line"] is None


def test_views_hear_what_another_one_chose(df: pd.DataFrame) -> None:
    picker = df.speech.pick_takes()
    events: list[dict[str, Any]] = []
    picker.service.listen(events.append)
    position = ask(picker, "line", place=2)["takes"][0]["position"]
    reply = ask(picker, "choose", n=2, position=position)
    names = ("n", "chosen", "chosen_take", "keeper", "progress")
    assert events == [{"event": "chosen", "by": "a", **{name: reply[name] for name in names}}]
    assert ask(picker, "lines", start=2, stop=3)["lines"][0]["chosen"] == 1
    ask(picker, "undo")
    assert [event["chosen"] for event in events] == [position, None]


def test_clips_come_from_the_folder_else_once_from_the_service(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(600, 2, clip_bytes=5000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        picker = df.speech.pick_takes(client=client)
        one, two, three = next(takes.tolist() for takes in picker.service.choice.takes if len(takes) > 2)[:3]
        df.iloc[[one]].speech.download_audio(tmp_path / "audio", name="{id}", client=client)
        picker = df.speech.pick_takes(client=client, folder=tmp_path / "audio")
        box.reset()
        for position, origin, requests in ((one, "folder", 0), (two, "service", 1), (two, "service", 1)):
            reply, (sound,) = picker.service.answer({"kind": "clip", "position": position})
            assert (reply["from"], len(box.requests())) == (origin, requests)
            assert sound
        box.remove([df["history_item_id"].iloc[three]])
        gone = ask(picker, "clip", position=three, quiet=True)
        assert "Not found, or deleted" in gone["error"]
        assert picker.last_error is None  # nobody asked to hear it
        assert "Not found, or deleted" in ask(picker, "clip", position=three)["error"]
        assert isinstance(picker.last_error, hk.NotFoundError)
        box.close()
        down = ask(df.speech.pick_takes(client=client), "clip", position=two)["error"]
        assert "refused" in down
        assert "\n" not in down


def test_what_is_wrong_is_one_line(df: pd.DataFrame, tmp_path: Path) -> None:
    picker = df.speech.pick_takes()
    other = int(picker.service.choice.takes[1][0])
    for kind, fields, words in (
        ("choose", {"n": 0, "position": other}, "is no take of this line"),
        ("choose", {"n": len(picker.lines), "position": 0}, "n="),
        ("choose", {"n": 0, "position": "0"}, "position="),
        ("line", {"place": -1}, "place="),
        ("line", {"place": 0, "text": "no such words"}, "No line has this text."),
        ("lines", {"start": 0, "stop": 501}, "at most 500"),
        ("lines", {"start": 0, "stop": 5, "text": 5}, "text="),
        ("clip", {"position": len(df)}, "position="),
        ("clip", {"position": 0}, "No API key"),
        ("query", {}, "is no kind of request"),
    ):
        reply = ask(picker, kind, **fields)
        assert words in reply["error"]
        assert isinstance(picker.last_error, hk.HistkitError)
    assert picker.keep == []
    no_rows = ask(df.head(0).speech.pick_takes(), "clip", position=0)["error"]
    assert no_rows.startswith("The history has no rows.")
    nameless = df.assign(history_item_id=df["history_item_id"].where(df.index != 2))
    with pytest.raises(hk.SchemaError, match="no history_item_id"):
        nameless.speech.pick_takes()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(hk.DownloadError, match=r"notes\.txt is a file"):
        df.speech.pick_takes(folder=tmp_path / "notes.txt")


ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 200), st.floats(), st.text(max_size=4), st.sampled_from(["the", "\ud800"])
)
KINDS = ["ping", "open_picker", "lines", "line", "choose", "undo", "words", "x"]
PICKER = hk.sample_history(300).speech.pick_takes()


@settings(max_examples=examples(100), deadline=None)
@given(
    message=st.fixed_dictionaries(
        {"kind": st.sampled_from(KINDS), "view": ANYTHING},
        optional=dict.fromkeys(["n", "position", "place", "text", "start", "stop", "quiet"], ANYTHING),
    )
    | ANYTHING
)
def test_any_message_has_an_answer_or_one_line(message: Any) -> None:
    reply, _ = PICKER.service.answer(message)
    json.dumps(reply, allow_nan=False, ensure_ascii=False).encode()
    assert "\n" not in reply.get("error", "")
    assert len(set(PICKER.keep)) == len(PICKER.keep) == len(PICKER.service.choice.chosen)
    if reply["kind"] in ("choose", "undo"):
        assert len(PICKER.keepers) == int(PICKER.takes["keeper"].sum())


@pytest.mark.parametrize("text", ["\ud800", "a\x00\x1b[31m", "\u202eevil", "<script>", "\r\nx", "\U0010ffff"])
def test_hostile_texts_are_messages_too(text: str) -> None:
    frame = history(*({"text": text, "voice_name": text, "account": text, "model_id": text} for _ in range(3)))
    reply = ask(frame.speech.pick_takes(), "open_picker")
    assert reply["total"] == 1
    json.dumps(reply, allow_nan=False, ensure_ascii=False).encode()
    assert "\x1b" not in str(reply)


def test_handlers_may_run_on_several_threads() -> None:
    picker = hk.sample_history(400).speech.pick_takes()
    problems: list[Any] = []

    def work(start: int) -> None:
        for n in range(start, len(picker.lines), 3):
            position = int(picker.service.choice.takes[n][0])
            for kind, fields in (
                ("choose", {"n": n, "position": position, "text": ("the", "clock", "")[start]}),
                ("lines", {"text": ("the", "clock", "")[start], "start": 0, "stop": 9}),
            ):
                reply = ask(picker, kind, **fields)
                if "error" in reply:
                    problems.append(reply)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert len(picker.keep) == len(picker.lines)


def test_the_picker_displays_itself_and_the_notebook_keeps_no_text(df: pd.DataFrame) -> None:
    pytest.importorskip("anywidget")
    picker = df.speech.pick_takes()
    data, _ = picker._repr_mimebundle_()
    assert data["text/plain"] == repr(picker)
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == picker.widget.model_id
    assert picker.widget.kind == "picker"
    assert picker._display_() is picker.widget
    page = data["text/html"]
    assert f"{len(picker.lines)} lines with several takes, 0 chosen" in page
    assert "Run this cell to continue" in page
    opened = ask(picker, "open_picker")
    assert not any(line["text"][:40] in page for line in opened["lines"]["lines"])
    for n in range(3):
        ask(picker, "choose", n=n, position=int(picker.service.choice.takes[n][0]))
    page = picker._repr_mimebundle_()[0]["text/html"]
    code = html.unescape(page[page.index("<code>") + 6 : page.index("</code>")])
    assert eval(code, {"df": df})["history_item_id"].tolist() == picker.keepers["history_item_id"].tolist()
    assert not any(line["text"][:40] in page for line in opened["lines"]["lines"])
