"""Rows as the explorer sends them: cells formatted, long texts cut between signs, directions, what can be played."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import histkit as hk
from histkit.notebook.columns import SHOWN, cell_texts, table_columns
from histkit.notebook.details import MOST_TAKES, TakeFinder, row_details
from histkit.notebook.selection import Selection
from histkit.notebook.windows import MOST_ROWS, rows_at, runs_right_to_left, short_line, window
from histkit.util.text import one_line_text


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    return hk.sample_history(1500)


def all_rows(df: pd.DataFrame, keys: list[str], tz: str = "UTC") -> list[dict[str, Any]]:
    columns = table_columns(df)
    state = Selection(df, tz)
    state.change(sort=[])
    rows = []
    for start in range(0, len(df), MOST_ROWS):
        rows += window(state, [columns[key] for key in keys], start, start + MOST_ROWS)["rows"]
    return rows


def test_windows_are_the_rows_in_their_order(df: pd.DataFrame) -> None:
    rows = all_rows(df, [*SHOWN, "stability", "history_item_id"])
    assert [row["p"] for row in rows] == [row["n"] for row in rows] == [*range(len(df))]
    for column, values in zip(
        [*SHOWN, "stability", "history_item_id"], zip(*(row["c"] for row in rows), strict=True), strict=True
    ):
        missing = df[column].isna()
        if column in ("credits", "characters"):
            assert [cell and int(cell.replace(",", "")) for cell in values] == [
                *df[column].astype(object).where(~missing, None)
            ]
        elif column in ("model_id", "source", "history_item_id"):
            assert [*values] == [*df[column].astype(object).where(~missing, None)]
    dialogues = df["dialogue"].notna().tolist()
    voices = [row["c"][1] for row in rows]
    assert [voice == "(dialogue)" for voice in voices] == dialogues
    for row, text in zip(rows, df["text"], strict=True):
        if isinstance(text, str):
            assert row["c"][2].removesuffix(" …") in one_line_text(text)
            assert row.get("full", False) == (row["c"][2] != one_line_text(text))
    assert all(row["playable"] for row in rows)
    json.dumps(rows, allow_nan=False)


@pytest.mark.parametrize(
    ("start", "stop", "numbers"),
    [(0, 3, [0, 1, 2]), (1498, 1510, [1498, 1499]), (5000, 5010, []), (7, 3, []), (0, 10**9, [*range(MOST_ROWS)])],
)
def test_a_window_may_reach_beyond_the_table(df: pd.DataFrame, start: int, stop: int, numbers: list[int]) -> None:
    found = window(Selection(df), [table_columns(df)["text"]], start, stop)
    assert [row["n"] for row in found["rows"]] == numbers


def test_rows_of_several_chunks_are_those_of_pandas(df: pd.DataFrame) -> None:
    chunked = pd.concat([df, df.head(7), df], ignore_index=True)
    positions = np.array([2999, 0, 1503, 17, 17])
    expected = chunked.iloc[positions].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows_at(chunked, [*df.columns], positions), expected)
    pd.testing.assert_frame_equal(rows_at(chunked, [*df.columns], positions[:0]), chunked.head(0))


def test_times_are_those_of_the_zone_and_two_hours_of_one_name_are_told_apart(df: pd.DataFrame) -> None:
    instants = pd.to_datetime(["2026-10-24T23:30Z", "2026-10-25T00:30Z", "2026-10-25T01:30Z", None], utc=True)
    column = pd.Series(instants).astype("datetime64[us, UTC]")
    assert cell_texts("date", column, "Europe/Berlin") == [
        "2026-10-25 01:30:00",
        "2026-10-25 02:30:00 +0200",
        "2026-10-25 02:30:00 +0100",
        None,
    ]
    assert cell_texts("date", column, "UTC")[1] == "2026-10-25 00:30:00"
    assert all_rows(df.head(1), ["date"], "Asia/Tokyo")[0]["c"] == [
        df["date"].dt.tz_convert("Asia/Tokyo").dt.strftime("%Y-%m-%d %H:%M:%S").iloc[0]
    ]


def test_values_of_any_column_are_one_line() -> None:
    df = hk.sample_history(4)
    df["cost"] = [Decimal("1234.50"), None, Decimal("0.1"), Decimal("7")]
    df["share"] = [0.1 + 0.2, np.nan, 1e21, 1234.5]
    df["flag"] = pd.array([True, None, False, True], "boolean")
    df["seconds"] = [1.25, 61.0, None, 3600.0]
    df["large"] = np.array([2**64 - 1, 1, 2, 3], np.uint64)
    df["lists"] = [["a", "b"], None, [], ["\n"]]
    df["evil"] = ["\x1b[31mred\u202e", "a\nb", "", None]
    df[5] = [1, 2, 3, 4]
    keys = ["cost", "share", "flag", "seconds", "large", "lists", "evil", "5"]
    columns = [*zip(*(row["c"] for row in all_rows(df, keys)), strict=True)]
    assert columns[0] == ("1,234.50", None, "0.1", "7")
    assert columns[1] == ("0.3", None, "1e+21", "1,234.5")
    assert columns[2] == ("True", None, "False", "True")
    assert columns[3] == ("1.2 s", "61.0 s", None, "3,600.0 s")
    assert columns[4][0] == "18,446,744,073,709,551,615"
    assert columns[5][1] is None
    assert columns[6] == ("[31mred", "a b", "", None)
    assert columns[7] == ("1", "2", "3", "4")
    assert [table_columns(df)[key].align for key in keys[:2]] == ["left", "right"]


FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"


SIGNS = ["a", " ", "\n", FAMILY, "e\u0301", "\U0001f1e9\U0001f1ea", "👍🏽", "ש"]


@given(st.lists(st.sampled_from(SIGNS), max_size=20), st.integers(0, 1100))
def test_a_cut_text_is_a_beginning_of_the_text(signs: list[str], length: int) -> None:
    text = "".join(signs * 1100)[:length]
    line, was_cut = short_line(text)
    whole = one_line_text(text)
    assert was_cut == (line != whole)
    assert len(line) <= 282
    assert whole.startswith(line.removesuffix(" …"))
    assert "\n" not in line


@pytest.mark.parametrize("sign", [FAMILY, "e\u0301\u0323", "👍🏽"])
def test_signs_of_several_characters_are_not_cut(sign: str) -> None:
    for before in range(12):
        line, was_cut = short_line("x" * before + sign * 300)
        assert was_cut
        assert re.fullmatch(f"x*(?:{one_line_text(sign)})+ …", line)


def test_a_text_that_runs_from_right_to_left_is_marked(df: pd.DataFrame) -> None:
    rows = df.head(4).assign(text=pd.array(["שלום עולם", "مرحبا", "Hello שלום", "12 … שלום"], df["text"].dtype))
    rows["dialogue"] = pd.array([None] * 4, df["dialogue"].dtype)
    assert [row.get("rtl", False) for row in all_rows(rows, ["text"])] == [True, True, False, True]
    assert not runs_right_to_left("")


def test_a_row_without_an_id_cannot_be_played(df: pd.DataFrame) -> None:
    rows = df.head(3).assign(history_item_id=pd.array(["a", None, " "], "string[pyarrow]"))
    assert [row["playable"] for row in all_rows(rows, ["text"])] == [True, False, False]


def test_the_panel_has_everything_about_a_row(df: pd.DataFrame) -> None:
    columns = table_columns(df)
    talk = int(np.flatnonzero(df["dialogue"].notna())[0])
    details = row_details(df, talk, columns, "UTC")
    lines = hk.dialogue_lines(df.iloc[[talk]])
    assert [line["text"] for line in details["dialogue"]] == lines["text"].tolist()
    assert details["text"] == ""
    assert {"label": "Voice", "value": "(dialogue)"} in details["fields"]
    single = int(np.flatnonzero(df["dialogue"].isna() & df["stability"].notna())[0])
    details = row_details(df.assign(text="two\n\x1blines"), single, columns, "UTC")
    assert details["text"] == "two\nlines"
    assert details["dialogue"] == []
    assert details["settings"][0] == {"label": "Stability", "value": str(df["stability"].iloc[single])}
    labels = [field["label"] for field in details["fields"]]
    assert len(set(labels)) == len(labels)
    assert "Stability" not in labels
    json.dumps(details, allow_nan=False)


def test_takes_are_those_of_the_table_of_takes(df: pd.DataFrame) -> None:
    table = hk.takes(df)
    several = table.index[table["takes"] > 1]
    assert len(several)
    finder = TakeFinder(df)
    for position in [*several[:25], *table.index[table["takes"] == 1][:5]]:
        found = finder.takes(position, "UTC")
        same = table.index[(table["line"] == table["line"][position]).fillna(False)]
        assert {take["position"] for take in found} == (set(same) if len(same) > 1 else set())
        assert [take["position"] for take in found if take["same"]] == ([position] if len(same) > 1 else [])
        dates = [take["date"] for take in found]
        assert dates == sorted(dates, reverse=True)
        assert [take["credits"] for take in found] == [df["credits"][take["position"]] for take in found]


def test_accounts_have_takes_of_their_own(df: pd.DataFrame) -> None:
    twice = pd.concat([df.head(3).assign(account="A"), df.head(3).assign(account="B")], ignore_index=True)
    assert [TakeFinder(twice).takes(position, "UTC") for position in range(6)] == [[]] * 6


def test_of_very_many_takes_the_newest_are_listed_and_the_row(df: pd.DataFrame) -> None:
    rows = df[df["text"].notna()].iloc[[0] * 80].reset_index(drop=True)
    rows["history_item_id"] = pd.array([f"id{place}" for place in range(80)], "string[pyarrow]")
    rows["date"] = rows["date"] - pd.to_timedelta(range(80), unit="D")
    found = TakeFinder(rows).takes(79, "UTC")
    assert [take["position"] for take in found] == [*range(MOST_TAKES - 1), 79]
