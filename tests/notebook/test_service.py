"""Requests of the explorer's views: replies, versions, several views, and one line for whatever is wrong."""

from __future__ import annotations

import json
import threading
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.notebook.columns import SHOWN
from histkit.notebook.filter_state import FilterState
from histkit.notebook.selection import Selection
from histkit.notebook.service import Service
from tests.effort import examples

KINDS = ("ping", "open", "query", "stop", "rows", "profiles", "chart", "tick", "columns", "detail", "find")


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    return hk.sample_history(800)


def ask(service: Service, kind: str, view: str = "a", **fields: Any) -> dict[str, Any]:
    reply, buffers = service.answer({"id": 1, "view": view, "kind": kind, **fields})
    assert buffers == []
    assert (reply["id"], reply["view"], reply["kind"]) == (1, view, kind)
    return reply


def listening(service: Service) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    service.listen(events.append)
    return events


@pytest.mark.parametrize("pattern", [r"(\w+\s?)+$!", r"(?=x)[^q]*$"])
def test_a_search_that_takes_long_is_stopped_and_others_are_answered_meanwhile(pattern: str) -> None:
    frame = hk.sample_history(400).assign(dialogue=None)
    frame["text"] = pd.array(["some words " * 1_500] * len(frame), frame["text"].dtype)
    service = Service(Selection(frame, "UTC"))
    replies: list[dict[str, Any]] = []
    filters = {"text": pattern, "pattern": True}
    search = threading.Thread(target=lambda: replies.append(ask(service, "query", filters=filters)), daemon=True)
    assert ask(service, "stop")["stopped"] is False
    search.start()
    while not ask(service, "stop", view="b")["stopped"] and search.is_alive():
        assert len(ask(service, "rows", start=0, stop=5)["rows"]) == 5
    search.join(5)
    assert replies[0]["error"] == "The search was stopped."
    assert service.selection.filters == FilterState()
    assert ask(service, "query", filters={"text": "some words"})["count"] == 400


def test_a_view_opens_with_everything_it_shows(df: pd.DataFrame) -> None:
    defaults = {"folder": "audio", "zip": "audio.zip", "csv": "rows.csv", "parquet": "rows.parquet"}
    reply = ask(Service(Selection(df, "Asia/Tokyo"), page_size=40, defaults=defaults), "open")
    assert reply["total"] == {"rows": 800, "credits": int(df["credits"].sum())}
    assert (reply["count"], reply["credits"]) == (800, int(df["credits"].sum()))
    assert (reply["tz"], reply["page"], reply["page_size"]) == ("Asia/Tokyo", 80, 40)
    assert (reply["defaults"], reply["code"], reply["empty"]) == (defaults, "df", None)
    assert reply["chart"] == {"by": "voice", "freq": "auto", "measure": "credits"}
    assert (reply["account_columns"], reply["alignments"]) == (False, False)
    assert reply["sort"] == [{"key": "date", "descending": True}]
    assert reply["ticked"] == {"count": 0, "credits": 0, "hidden": 0, "shown_only": False}
    assert [column["key"] for column in reply["columns"] if column["shown"]] == [*SHOWN]
    newest = df.sort_values("date", ascending=False, kind="stable").index[:80].tolist()
    assert [row["p"] for row in reply["rows"]["rows"]] == newest
    json.dumps(reply, allow_nan=False)


def test_views_share_filters_and_ticks_and_hear_of_one_another(df: pd.DataFrame) -> None:
    service = Service(Selection(df))
    events = listening(service)
    first = ask(service, "query", "one", filters={"text": "the"}, sort=[{"key": "credits", "descending": True}])
    assert events[-1]["event"] == "changed"
    assert events[-1]["by"] == "one"
    assert "rows" not in events[-1]
    assert {name: first[name] for name in events[-1] if name not in ("event", "by")} == {
        name: value for name, value in events[-1].items() if name not in ("event", "by")
    }
    other = ask(service, "rows", "two", version=first["version"], start=0, stop=60)
    assert other["version"] == first["version"]
    assert other["rows"] == first["rows"]["rows"]
    ticks = ask(service, "tick", "two", version=first["version"], op="set", positions=[5, 9], on=True)
    assert events[-1] == {"event": "changed_ticks", "by": "two", **{k: ticks[k] for k in ("version", "ticked")}}
    assert ask(service, "open", "three")["ticked"] == ticks["ticked"]
    service.change(filters=FilterState(text="clock"))
    assert (events[-1]["event"], events[-1]["by"]) == ("changed", None)
    assert events[-1]["version"] > first["version"]
    late = ask(service, "rows", "one", version=first["version"], start=0, stop=5)
    assert late["version"] == events[-1]["version"]


def test_ticks_by_number_need_the_rows_that_were_seen(df: pd.DataFrame) -> None:
    service = Service(Selection(df))
    old = ask(service, "open")["version"]
    ask(service, "query", "other", sort=[{"key": "text"}])
    for op in ({"op": "range", "from_n": 0, "to_n": 3}, {"op": "all"}):
        reply = ask(service, "tick", version=old, on=True, **op)
        assert "changed" in reply["error"]
    assert service.selection.ticked_count() == 0
    assert ask(service, "tick", version=old, op="set", positions=[3], on=True)["ticked"]["count"] == 1


def test_ticked_rows_are_counted_hidden_and_shown(df: pd.DataFrame) -> None:
    service = Service(Selection(df))
    without = df.index[~df["text"].str.contains("the", case=False).fillna(False) & df["dialogue"].isna()][:2].tolist()
    ask(service, "tick", op="set", positions=[*without, *df.index[df["text"] == df["text"].iloc[0]]], on=True)
    reply = ask(service, "query", filters={"text": "the"})
    assert reply["ticked"]["hidden"] >= 2
    shown = ask(service, "query", shown_only=True)
    assert shown["count"] == shown["ticked"]["count"] == len(service.selection.selected)
    assert shown["ticked"]["shown_only"] is True
    assert all(row["t"] for row in shown["rows"]["rows"])
    assert shown["code"] == reply["code"]
    ask(service, "tick", op="none")
    stays = ask(service, "rows", version=shown["version"], start=0, stop=9)["rows"]
    assert stays
    assert not any(row["t"] for row in stays)
    assert ask(service, "query", shown_only=True)["empty"] == "No row is ticked."
    assert ask(service, "query", shown_only=False)["count"] == reply["count"]
    assert ask(service, "query", filters={"text": "no such words"})["empty"] == "No row passes the filters."


def test_columns_are_chosen_and_keep_their_widths(df: pd.DataFrame) -> None:
    service = Service(Selection(df.assign(client="Acme")))
    events = listening(service)
    version = ask(service, "open")["version"]
    reply = ask(service, "columns", shown=["client", "date", "stability", "client"], widths={"client": 77, "text": 300})
    assert reply["version"] > version
    assert events[-1]["columns"] == reply["columns"]
    shown = [column for column in reply["columns"] if column["shown"]]
    assert [column["key"] for column in shown] == ["client", "date", "stability"]
    assert shown[0]["width"] == 77
    assert len(reply["rows"]["rows"][0]["c"]) == 3
    assert reply["rows"]["rows"][0]["c"][0] == "Acme"
    assert ask(service, "columns", widths={"date": 99})["version"] == reply["version"]
    for wrong in ({"shown": []}, {"shown": ["nothing"]}, {"shown": "date"}, {"widths": {"date": 0}}, {"widths": [1]}):
        assert "error" in ask(service, "columns", **wrong)
    assert service.shown == ["client", "date", "stability"]


def test_a_row_is_found_where_it_is_now(df: pd.DataFrame) -> None:
    service = Service(Selection(df))
    version = ask(service, "query", sort=[{"key": "credits", "descending": True}])["version"]
    order = df["credits"].sort_values(ascending=False, kind="stable", na_position="last").index.tolist()
    for n in (0, 1, 700):
        found = ask(service, "find", position=order[n])
        assert (found["version"], found["n"]) == (version, n)
    shown = ask(service, "query", filters={"text": "the clock"})["rows"]["rows"]
    assert ask(service, "find", position=shown[1]["p"])["n"] == 1
    left_out = df.index[~df.index.isin(service.selection.filtered.index)][0]
    assert ask(service, "find", position=int(left_out))["n"] is None
    assert "position=" in ask(service, "find", position=800)["error"]


def test_other_kinds_of_requests_may_be_added(df: pd.DataFrame) -> None:
    service = Service(Selection(df))
    service.handlers["clip"] = lambda message: ({"mime": "audio/mpeg", "position": message["position"]}, [b"sound"])

    def broken(message: Any) -> Any:
        raise RuntimeError("two\nlines")

    service.handlers["job"] = broken
    reply, buffers = service.answer({"id": "x", "view": "a", "kind": "clip", "position": 3})
    assert (reply["mime"], reply["position"], reply["id"], buffers) == ("audio/mpeg", 3, "x", [b"sound"])
    assert ask(service, "job")["error"] == "RuntimeError: two lines (see explorer.last_error)"
    assert isinstance(service.last_error, RuntimeError)


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 900)
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["\ud800", "a\udfff"])
    | st.sampled_from(
        [*KINDS, *SHOWN, "the", "2026-10-01", "9999-12-31", "0001-01-01", "D", "h", "YS", "set", "range"]
    ),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=5,
)
FIELDS = {
    "query": ["filters", "sort", "shown_only"],
    "rows": ["version", "start", "stop"],
    "profiles": ["version", "keys"],
    "chart": ["version", "by", "freq", "measure"],
    "tick": ["version", "op", "positions", "on", "from_n", "to_n"],
    "columns": ["shown", "widths"],
    "detail": ["position"],
    "find": ["position"],
}
FILTERS = [*"voice model source first last after before text pattern credits characters nothing".split()]
SERVICE = Service(Selection(hk.sample_history(60), "America/St_Johns"))


@st.composite
def messages(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(KINDS))
    message = {"id": draw(ANYTHING), "view": draw(ANYTHING), "kind": kind}
    message |= draw(st.dictionaries(st.sampled_from(FIELDS.get(kind, ["x"])), ANYTHING, max_size=4))
    if kind == "query" and draw(st.booleans()):
        message["filters"] = draw(st.dictionaries(st.sampled_from(FILTERS), ANYTHING, max_size=3))
    if kind == "query" and draw(st.booleans()):
        message["sort"] = [{"key": draw(st.sampled_from([*SHOWN, "x"])), "descending": draw(ANYTHING)}]
    return message


@settings(max_examples=examples(100), deadline=None)
@given(message=messages() | ANYTHING)
def test_any_message_has_an_answer_or_one_line(message: Any) -> None:
    SERVICE.last_error = None
    reply, buffers = SERVICE.answer(message)
    json.dumps(reply, allow_nan=False, ensure_ascii=False).encode()
    assert buffers == []
    if "error" in reply:
        assert reply["error"].strip()
        assert "\n" not in reply["error"]
        assert isinstance(SERVICE.last_error, hk.HistkitError), repr(SERVICE.last_error)
    assert len(eval(SERVICE.selection.code, {"df": SERVICE.selection.frame})) == SERVICE.selection.filtered_count()


@pytest.mark.parametrize("number", [10**400, -(10**400), 10**5_000, float("inf"), float("nan")], ids=[*"12345"])
def test_numbers_that_no_view_has_are_answered(df: pd.DataFrame, number: float) -> None:
    service = Service(Selection(df))
    for kind, fields in (("ping", {}), ("detail", {"position": number}), (number, {}), ("tick", {"from_n": number})):
        reply, _ = service.answer({"id": number, "view": number, "kind": kind, **fields})
        json.dumps(reply, allow_nan=False)
        assert isinstance(reply["id"], str)
        assert ("error" in reply) == (kind != "ping")


@pytest.mark.parametrize("text", ["\ud800", "a\x00\x1b[31m", "\u202eevil", "<script>", "", " ", "\r\n", "\U0010ffff"])
def test_hostile_texts_are_messages_too(df: pd.DataFrame, text: str) -> None:
    column = pd.Series([text if place % 2 else f"{text}{place % 5}" for place in range(60)], dtype=object)
    names = ["text", "voice_name", "voice_id", "model_id", "source", "history_item_id"]
    rows = df.head(60).assign(**dict.fromkeys(names, column), client=pd.Categorical(column))
    rows["history_item_id"] = pd.Series([f"{text}{place}" for place in range(60)], dtype=object)
    service = Service(Selection(rows))
    asked: list[tuple[str, dict[str, Any]]] = [
        ("open", {}),
        ("columns", {"shown": [*service.columns]}),
        ("profiles", {"keys": ["voice_name", "model_id", "source", "client", "state"]}),
        *(("chart", {"by": by}) for by in ("voice", "model", "source", "client")),
        *(("query", {"sort": [{"key": key, "descending": True}]}) for key in names),
        ("query", {"filters": {"text": "a"}}),
        *(("detail", {"position": place}) for place in (0, 1)),
    ]
    for kind, fields in asked:
        reply = ask(service, kind, **fields)
        assert "error" not in reply, reply
        json.dumps(reply, allow_nan=False, ensure_ascii=False).encode()
        assert "\x1b" not in str(reply.get("rows", "")) + str(reply.get("fields", "")) + str(reply.get("series", ""))


def test_handlers_may_run_on_several_threads(df: pd.DataFrame) -> None:
    service = Service(Selection(df))
    problems: list[Any] = []

    def work(view: str, text: str) -> None:
        for round_ in range(8):
            reply = ask(service, "query", view, filters={"text": text if round_ % 2 else ""})
            counts = {row["n"] for row in reply["rows"]["rows"]}
            if "error" in reply or len(counts) != min(60, reply["count"]):
                problems.append(reply)
            for kind, fields in (
                ("rows", {"start": 0, "stop": 30}),
                ("profiles", {"keys": ["credits", "voice_name"]}),
                ("chart", {"by": "model"}),
                ("tick", {"op": "set", "positions": [round_], "on": True}),
            ):
                answer = ask(service, kind, view, version=reply["version"], **fields)
                if "error" in answer:
                    problems.append(answer)

    threads = [threading.Thread(target=work, args=(f"view {text}", text)) for text in ("the", "clock", "a")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert service.selection.ticked_count() == 8
