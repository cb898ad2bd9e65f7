"""The explorer's state in a file: what is restored, what is refused, what can't be saved."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.notebook.explorer import Explorer
from histkit.notebook.filter_state import FilterState
from histkit.notebook.sorting import SortKey
from tests.effort import examples
from tests.notebook.strategies import ZONES, filters

KEYS = ["date", "voice_name", "text", "credits", "characters", "model_id", "stability", "history_item_id"]


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    return hk.sample_history(400)


def ask(explorer: Explorer, kind: str, **fields: Any) -> dict[str, Any]:
    reply, _ = explorer.service.answer({"id": 1, "view": "a", "kind": kind, **fields})
    assert "error" not in reply
    return reply


def saved(explorer: Explorer) -> Any:
    assert explorer.state_file is not None
    explorer.state_file.flush()
    return json.loads(explorer.state_file.path.read_text("utf-8"))


def notes(explorer: Explorer) -> list[str]:
    return list(ask(explorer, "open")["notes"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(40))
@given(
    state=filters(),
    sort=st.lists(
        st.builds(SortKey, st.sampled_from(KEYS), st.booleans()), max_size=3, unique_by=lambda key: key.column
    ),
    ticked=st.sets(st.integers(0, 399), max_size=30),
    shown=st.lists(st.sampled_from(KEYS), min_size=1, unique=True),
    widths=st.dictionaries(st.sampled_from(KEYS), st.integers(1, 2000), max_size=3),
    chart=st.fixed_dictionaries(
        {
            "by": st.sampled_from(["voice", "model", "source", "model_id", "state"]),
            "freq": st.sampled_from(["auto", "D", "MS"]),
            "measure": st.sampled_from(["credits", "characters", "items"]),
        }
    ),
    tz=ZONES,
)
def test_what_is_saved_is_restored(
    df: pd.DataFrame,
    tmp_path: Path,
    state: FilterState,
    sort: list[SortKey],
    ticked: set[int],
    shown: list[str],
    widths: dict[str, int],
    chart: dict[str, str],
    tz: str,
) -> None:
    path = tmp_path / "state.json"
    path.unlink(missing_ok=True)
    first = df.speech.explore(state=path, tz=tz)
    ask(first, "query", filters=state.message(tz), sort=[{"key": key, "descending": down} for key, down in sort])
    ask(first, "tick", op="set", positions=sorted(ticked), on=True)
    ask(first, "columns", shown=shown, widths=widths)
    ask(first, "chart", **chart, chosen=True)
    saved(first)
    again = df.speech.explore(state=path, tz=tz)
    assert again.state.filters == first.state.filters
    assert again.state.sort == tuple(sort) == first.state.sort
    assert np.flatnonzero(again.state.ticked).tolist() == sorted(ticked)
    pd.testing.assert_frame_equal(again.selected, df.iloc[sorted(ticked)])
    one, other = (ask(explorer, "open") for explorer in (first, again))
    assert other["chart"] == chart
    for name in ("filters", "sort", "columns", "chart", "count", "credits", "ticked", "code", "rows", "notes"):
        assert one[name] == other[name]


def test_each_change_is_in_the_file_shortly_after(df: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.json"
    explorer = df.speech.explore(state=path)
    assert not path.exists()
    ask(explorer, "tick", op="set", positions=[3], on=True)
    end = time.monotonic() + 20
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.02)
    content = json.loads(path.read_text("utf-8"))
    assert (content["kind"], content["version"]) == ("histkit explorer", 1)
    assert content["ticked"] == [{"history_item_ids": [df["history_item_id"].iloc[3]]}]
    assert [entry.name for entry in path.parent.iterdir()] == ["state.json"]


def test_a_cell_that_is_run_again_at_once_has_the_last_change(df: pd.DataFrame, tmp_path: Path) -> None:
    first = df.speech.explore(state=tmp_path / "state.json")
    ask(first, "query", filters={"text": "the clock"})
    again = df.speech.explore(state=tmp_path / "state.json")
    assert again.code == first.code == "df.speech.filter(text='the clock')"


def test_a_chart_that_this_history_can_not_draw_is_said(df: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    labelled = df.assign(book=pd.Categorical(["one", "two"] * 200))
    first = labelled.speech.explore(state=path)
    ask(first, "chart", by="voice", freq="D")  # a view that follows filters chooses nothing
    assert not path.exists()
    ask(first, "chart", by="book", freq="W", chosen=True)
    assert saved(first)["chart"] == {"by": "book", "freq": "W", "measure": "credits"}
    with pytest.warns(UserWarning, match="no column 'book'"):
        again = df.speech.explore(state=path)
    assert ask(again, "open")["chart"] == {"by": "voice", "freq": "W", "measure": "credits"}
    assert notes(again) == [f"The history has no column 'book', which {path} names."]
    content = json.loads(path.read_text("utf-8"))
    for chart in ({"freq": "fortnight"}, {"measure": "words"}, {"by": 7}, []):
        path.write_text(json.dumps({**content, "chart": chart}), "utf-8")
        with pytest.raises(hk.InputError, match="is not the state of an explorer"):
            df.speech.explore(state=path)


def test_an_interpreter_that_ends_has_saved(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    code = (
        "import sys, histkit as hk\n"
        "explorer = hk.explore(hk.sample_history(50), state=sys.argv[1])\n"
        "explorer.service.answer({'id': 1, 'view': 'a', 'kind': 'tick', 'op': 'set', 'positions': [7], 'on': True})\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert hk.explore(hk.sample_history(50), state=path).state.ticked_count() == 1


def test_ticks_of_rows_that_are_gone_are_counted_and_kept(df: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    first = df.speech.explore(state=path)
    ask(first, "tick", op="set", positions=[1, 2, 399], on=True)
    saved(first)
    part = df.tail(200).speech.explore(state=path)
    assert part.selected["history_item_id"].tolist() == [df["history_item_id"].iloc[399]]
    assert notes(part) == [f"2 rows that were ticked: not in this history. {path} keeps the ticks."]
    ask(part, "query", filters={"text": "the"})
    saved(part)
    whole = df.speech.explore(state=path)
    assert np.flatnonzero(whole.state.ticked).tolist() == [1, 2, 399]
    assert notes(whole) == []
    ask(part, "tick", op="none")
    saved(part)
    assert df.speech.explore(state=path).selected.empty


def test_ticks_of_several_accounts_are_told_apart(df: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    parts = [df.head(30).assign(account="A"), df.head(30).assign(account="B"), df.tail(30).assign(account=None)]
    both = pd.concat(parts, ignore_index=True)
    both["account"] = both["account"].astype("category")
    first = both.speech.explore(state=path)
    ask(first, "tick", op="set", positions=[0, 31, 62, 89], on=True)
    content = saved(first)
    assert [group["account"] for group in content["ticked"]] == ["A", "B", ""]
    assert np.flatnonzero(both.speech.explore(state=path).state.ticked).tolist() == [0, 31, 62, 89]
    only = both[both["account"] == "B"].reset_index(drop=True).speech.explore(state=path)
    assert np.flatnonzero(only.state.ticked).tolist() == [1]
    assert notes(only)[0].startswith("3 rows")


def test_columns_that_the_frame_lacks_are_left_out_with_a_warning(df: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    wide = df.assign(client="Acme", length=1.5)
    first = wide.speech.explore(state=path)
    sort = [{"key": "client"}, {"key": "credits", "descending": True}]
    ask(first, "query", sort=sort)
    ask(first, "columns", shown=["length", "date", "client"], widths={"client": 300, "date": 200})
    saved(first)
    with pytest.warns(UserWarning, match="no columns 'length', 'client', which .*state.json names") as warned:
        again = df.speech.explore(state=path)
    assert warned[0].filename == __file__
    assert [column["key"] for column in ask(again, "open")["columns"] if column["shown"]] == ["date"]
    assert again.state.sort == (SortKey("credits", True),)
    assert notes(again) == [str(warned[0].message)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wide.speech.explore(state=path)


GOOD = {"kind": "histkit explorer", "version": 1}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is not the state of an explorer"),
        ("{", "is not the state of an explorer"),
        ("\x00\xff", "is not the state of an explorer"),
        ("[1, 2]", "is not the state of an explorer"),
        ('{"a": 1}', "is not the state of an explorer"),
        ("[" * 200_000, "is not the state of an explorer"),
        (json.dumps({**GOOD, "kind": "other"}), "kind='other'"),
        (json.dumps({**GOOD, "version": 2}), "has version 2"),
        (json.dumps({**GOOD, "filters": {"nonsense": 1}}), "nonsense"),
        (json.dumps({**GOOD, "filters": {"text": "(", "pattern": True}}), "text="),
        (json.dumps({**GOOD, "filters": {"first": "+262143-12-31"}}), "first="),
        (json.dumps({**GOOD, "sort": "date"}), "sort"),
        (json.dumps({**GOOD, "columns": {"widths": {"date": -1}}}), "width="),
        (json.dumps({**GOOD, "columns": {"shown": [1]}}), "columns.shown"),
        (json.dumps({**GOOD, "ticked": [{"history_item_ids": [1]}]}), "history_item_ids"),
        (json.dumps({**GOOD, "ticked": [{"history_item_ids": ["\ud800"]}]}), "is not the state of an explorer"),
    ],
)
def test_another_file_is_refused_in_a_line_and_stays(
    df: pd.DataFrame, tmp_path: Path, content: str, reason: str
) -> None:
    path = tmp_path / "my file.json"
    path.write_text(content, "latin-1" if "\xff" in content else "utf-8")
    before = path.read_bytes()
    with pytest.raises(hk.InputError) as refused:
        df.speech.explore(state=path)
    assert str(path) in str(refused.value)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600
    assert path.read_bytes() == before


def test_what_is_no_file_is_refused(df: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for state, reason in (
        (tmp_path, "is a folder"),
        ("/dev/null", "is a device"),
        (tmp_path / "loop", "leads to itself"),
        ("-", "standard output"),
        ("s3://bucket/state.json", "is a URL"),
        ("", "empty"),
        (5, "not int"),
    ):
        with pytest.raises(hk.InputError, match=reason):
            df.speech.explore(state=state)


def test_a_file_that_became_another_one_is_not_written_over(df: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    explorer = df.speech.explore(state=path)
    ask(explorer, "tick", op="set", positions=[1], on=True)
    saved(explorer)
    path.write_text("my notes")
    ask(explorer, "tick", op="set", positions=[2], on=True)
    assert explorer.state_file is not None
    explorer.state_file.flush()
    assert path.read_text() == "my notes"
    assert "is not the state of an explorer" in notes(explorer)[0]
    path.unlink()
    ask(explorer, "tick", op="set", positions=[3], on=True)
    assert len(saved(explorer)["ticked"][0]["history_item_ids"]) == 3


def test_a_folder_that_cant_be_written_is_said_once_and_nothing_is_lost(df: pd.DataFrame, tmp_path: Path) -> None:
    explorer = df.speech.explore(state=tmp_path / "file" / "state.json")
    (tmp_path / "file").write_text("")
    events: list[dict[str, Any]] = []
    explorer.service.listen(events.append)
    assert explorer.state_file is not None
    for position in (1, 2):
        ask(explorer, "tick", op="set", positions=[position], on=True)
        explorer.state_file.flush()
    said = [event["text"] for event in events if event["event"] == "note"]
    assert len(said) == 1
    assert said[0].startswith("The state is not saved: ")
    assert "is not a folder" in said[0]
    assert notes(explorer) == said
    assert isinstance(explorer.last_error, hk.ArchiveError)
    assert explorer.state.ticked_count() == 2


def test_rows_without_an_id_are_not_saved_and_any_number_of_ticks_is(tmp_path: Path) -> None:
    rows = hk.sample_history(20_000)
    rows.loc[rows.index[5], "history_item_id"] = None
    first = rows.speech.explore(state=tmp_path / "state.json")
    ask(first, "tick", op="all", on=True)
    assert len(saved(first)["ticked"][0]["history_item_ids"]) == 19_999
    assert rows.speech.explore(state=tmp_path / "state.json").state.ticked_count() == 19_999
