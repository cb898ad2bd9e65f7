"""The state of the explorer: what its filters keep, that the call gives it again, and ticks that stay."""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.notebook.filter_state import FilterState
from histkit.notebook.selection import Selection
from histkit.notebook.sorting import SortKey
from tests.effort import examples
from tests.notebook.strategies import ZONES, filters

DF = hk.sample_history(600)


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    return hk.sample_history(1500)


@settings(max_examples=examples(25))
@given(conditions=filters(), tz=ZONES)
def test_the_call_gives_the_same_rows_again(conditions: FilterState, tz: str) -> None:
    df = DF
    state = Selection(df, tz)
    state.change(filters=conditions)
    pd.testing.assert_frame_equal(eval(state.code, {"df": df}), state.filtered)
    pd.testing.assert_frame_equal(conditions.apply(df, tz), state.filtered)
    again = FilterState().changed(conditions.message(tz), tz)
    assert again == conditions


@settings(max_examples=examples(8))
@given(sequence=st.lists(filters(), min_size=2, max_size=6), tz=ZONES)
def test_filters_one_after_another_keep_what_each_keeps_alone(sequence: list[FilterState], tz: str) -> None:
    df = DF
    state = Selection(df, tz)
    for conditions in sequence:
        state.change(filters=conditions)
        assert state.filtered.index.tolist() == conditions.apply(df, tz).index.tolist()
        assert state.filtered_count() == len(state.filtered)
        assert state.totals().credits == (int(state.filtered["credits"].sum()) if len(state.filtered) else 0)


def test_days_are_those_of_the_zone(df: pd.DataFrame) -> None:
    state = Selection(df, "Europe/Berlin")
    day = df["date"].dt.tz_convert("Europe/Berlin").dt.date
    state.change(filters=FilterState(first=datetime.date(2025, 3, 30), last=datetime.date(2026, 8, 2)))
    wanted = df[(day >= datetime.date(2025, 3, 30)) & (day <= datetime.date(2026, 8, 2))]
    pd.testing.assert_frame_equal(state.filtered, wanted)


LETTERS = "iIİıßẞsSſσΣςkKKŉffǅǄǆᾳᾼ𐐀𐐨 x"


def lettered(size: int) -> pd.DataFrame:
    """Return rows whose texts are pairs of letters that differ in case in their own ways."""
    texts = [LETTERS[place % len(LETTERS)] + LETTERS[place // 7 % len(LETTERS)] for place in range(size)]
    df = DF.head(40).iloc[np.arange(size) % 40].reset_index(drop=True)
    df["history_item_id"] = pd.array([f"id{place}" for place in range(size)], df["history_item_id"].dtype)
    df["text"] = pd.array(texts, df["text"].dtype)
    return df


@pytest.mark.parametrize("size", [40, 5_000])
def test_a_text_is_found_in_every_letter_case_as_filter_items_finds_it(size: int) -> None:
    df = lettered(size)
    state = Selection(df)
    for text in [*LETTERS, "SS", "ss", "ŉ", "\u0345", "iI", "σς", "\U00010400"]:
        state.change(filters=FilterState(text=text))
        wanted = hk.filter_items(df, text=text, regex=False)
        assert state.filtered.index.tolist() == wanted.index.tolist()
        found = re.compile(re.escape(text), re.IGNORECASE)
        plain = [isinstance(value, str) and bool(found.search(value)) for value in df["text"].tolist()]
        assert set(df.index[plain]) <= set(wanted.index)


@settings(max_examples=examples(20))
@given(
    keys=st.lists(st.tuples(st.sampled_from(["date", "credits", "voice_name", "text"]), st.booleans()), max_size=2),
    steps=st.lists(
        st.sampled_from(["set", "unset", "range", "narrow", "widen", "all", "not all", "none", "ticked", "filtered"]),
        max_size=12,
    ),
    numbers=st.lists(st.integers(0, 10_000), min_size=12, max_size=12),
)
def test_ticks_stay_on_their_rows_whatever_the_filters(
    keys: list[tuple[str, bool]], steps: list[str], numbers: list[int]
) -> None:
    df = DF.head(120)
    ids = df["history_item_id"]
    state = Selection(df)
    state.change(sort=[SortKey(*key) for key in dict(keys).items()])
    ticked: set[str] = set()
    for step, number in zip(steps, numbers, strict=False):
        version, table = state.version, ids.iloc[state.positions].tolist()
        if step in ("set", "unset"):
            state.tick([number % 120], step == "set")
            ticked = ticked | {ids[number % 120]} if step == "set" else ticked - {ids[number % 120]}
        elif step == "range" and table:
            first, last = sorted((number % len(table), number // 7 % len(table)))
            state.tick_range(last, first, True)
            ticked |= set(table[first : last + 1])
        elif step in ("narrow", "widen"):
            state.change(filters=FilterState(text="the" if step == "narrow" else ""))
        elif step in ("all", "not all"):
            state.tick_all(step == "all")
            ticked = ticked | set(table) if step == "all" else ticked - set(table)
        elif step == "none":
            state.untick()
            ticked = set()
        elif step in ("ticked", "filtered"):
            state.change(shown_only=step == "ticked")
            rows = state.selected if step == "ticked" else state.filtered
            assert sorted(state.positions.tolist()) == sorted(rows.index)
        assert set(state.selected["history_item_id"]) == ticked
        assert state.selected.index.is_monotonic_increasing
        assert state.ticked_count() == len(ticked)
        assert state.hidden() == len(ticked - set(state.filtered["history_item_id"]))
        assert (state.version > version) == (step in ("narrow", "widen", "ticked", "filtered"))


def test_what_is_refused_changes_nothing(df: pd.DataFrame) -> None:
    state = Selection(df)
    state.change(filters=FilterState(text="the"))
    state.tick([3, 5], True)
    before = state.filters, state.sort, state.version, state.positions.tolist(), state.selected.index.tolist()
    day = datetime.date(2026, 1, 1)
    refused: list[Any] = [
        lambda: state.change(filters=FilterState(text="(a", pattern=True)),
        lambda: state.change(filters=FilterState(first=day, last=day - datetime.timedelta(days=1))),
        lambda: state.change(filters=FilterState(after=10**9, before=10**9 - 1)),
        lambda: state.change(filters=FilterState(first=datetime.date.min, last=datetime.date.max)),
        lambda: state.change(filters=FilterState(after=10**18)),
        lambda: state.change(sort=[SortKey("nothing")]),
        lambda: state.tick([7, len(df)], True),
        lambda: state.tick([-1], True),
        lambda: state.tick_range(0, len(df), True),
        lambda: state.tick_range(-2, 3, True),
    ]
    for call in refused:
        with pytest.raises(hk.InputError):
            call()
    assert before == (state.filters, state.sort, state.version, state.positions.tolist(), [3, 5])


def test_any_index_is_kept(df: pd.DataFrame) -> None:
    for indexed in (df.set_index(["voice_id", "date"], drop=False), df.set_index(df.index * 0)):
        state = Selection(indexed)
        state.tick([0], True)
        pd.testing.assert_frame_equal(state.selected, indexed.head(1))
        state.change(filters=FilterState(text="the", least=20))
        wanted = hk.filter_items(indexed, text="the")
        pd.testing.assert_frame_equal(state.filtered, wanted[wanted["credits"] >= 20], check_flags=False)


def test_what_comes_back_can_be_changed_without_changing_the_explorer(df: pd.DataFrame) -> None:
    frame = df.copy()
    state = Selection(frame)
    rows = state.filtered
    rows["credits"] = 0
    rows.loc[rows.index[0], "text"] = "changed"
    pd.testing.assert_frame_equal(frame, df)
    assert state.totals().credits == int(df["credits"].sum())
    frame["credits"] = 0
    frame["text"] = "changed"
    pd.testing.assert_frame_equal(state.filtered, df)


def test_frames_that_cannot_be_shown_are_refused(df: pd.DataFrame) -> None:
    with pytest.raises(hk.SchemaError, match="text"):
        Selection(df.drop(columns="text"))
    with pytest.raises(hk.SchemaError, match="'date'"):
        Selection(df.assign(date=df["date"].astype(str)))
    with pytest.raises(hk.SchemaError, match="'credits'"):
        Selection(df.assign(credits="many"))
    with pytest.raises(hk.SchemaError, match="'voice_id'"):
        Selection(df.assign(voice_id=pd.Series([["a"]] * len(df))))


@pytest.mark.parametrize("pattern", ["the|clock", r"\bthe\b", r"\d+", 'say "', "a\\\\", "\n|\\\\", "(?-i:The)"])
def test_the_call_has_the_regular_expression(df: pd.DataFrame, pattern: str) -> None:
    state = Selection(df)
    state.change(filters=FilterState(text=pattern, pattern=True))
    pd.testing.assert_frame_equal(eval(state.code, {"df": df}), df.speech.filter(text=pattern))
    pd.testing.assert_frame_equal(state.filtered, df.speech.filter(text=pattern))


def test_the_call_is_easy_to_read() -> None:
    codes = [FilterState(text=text).code("UTC") for text in ("the clock", "C++")]
    assert codes == ["df.speech.filter(text='the clock')", "df.speech.filter(text='C++', regex=False)"]
    assert FilterState(text=r"\d", pattern=True, least=5).code("UTC") == (
        'df.speech.filter(text=r"\\d").loc[lambda rows: rows["credits"].ge(5).fillna(False)]'
    )
