"""Columns: one table, one meaning, the same dtypes whatever the rows; nothing of a page is lost."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import histkit as hk
from histkit.frame.decode import PageDecoder
from histkit.frame.schema import COLUMNS, SCHEMA, to_frame

ROW: dict[str, Any] = {
    "history_item_id": "ja9xsmfGhxYcymxGcOGB",
    "date_unix": 1714650306,
    "character_count_change_from": 17189,
    "character_count_change_to": 17231,
    "content_type": "audio/mpeg",
    "state": "created",
    "text": "Hello, wörld! 👍",
    "settings": {"stability": 0.71, "similarity_boost": 0.5, "style": 0, "use_speaker_boost": True},
}


def frame_of(*rows: dict[str, Any]) -> pd.DataFrame:
    body = json.dumps({"history": [{**ROW, **row} for row in rows], "has_more": False}).encode()
    return to_frame([PageDecoder()(body).rows])


def test_a_row_becomes_its_typed_values() -> None:
    row = frame_of({}).iloc[0]
    assert row["date"] == pd.Timestamp("2024-05-02 11:45:06+00:00")
    assert (row["characters"], row["credits"]) == (15, 42)
    assert (row["stability"], row["style"], row["use_speaker_boost"]) == (0.71, 0.0, True)
    missing = ["voice_id", "model_id", "speed", "source", "dialogue", "extra", "output_format", "request_id"]
    assert row[missing].isna().all()


def test_dtypes_are_those_of_the_table_for_any_frame() -> None:
    full, empty = hk.sample_history(400), to_frame([])
    filtered = full.speech.filter(before="2000-01-01")
    for frame in (full, empty, filtered):
        assert frame.columns.tolist() == [column.name for column in COLUMNS]
        for column in COLUMNS:
            shown = str(frame[column.name].dtype).replace("string", "string[pyarrow]", 1)
            assert shown == column.pandas
    assert full.dtypes.astype(str).equals(empty.dtypes.astype(str))
    assert full["voice_id"].cat.categories.dtype == empty["voice_id"].cat.categories.dtype
    assert full["text"].dtype == pd.StringDtype("pyarrow")


@pytest.mark.parametrize(("start", "end", "price"), [(10, 10, 0), (10, 37, 27), (37, 10, None), (None, 10, None)])
def test_credits_are_to_minus_from_and_missing_when_unknown(start: Any, end: Any, price: int | None) -> None:
    row = {"character_count_change_from": start, "character_count_change_to": end}
    got = frame_of(row)["credits"][0]
    assert pd.isna(got) if price is None else got == price


def test_a_dialogue_has_its_lines_and_no_voice_of_its_own() -> None:
    lines = [{"text": "Hé?", "voice_id": "a", "voice_name": "A"}, {"text": "नमस्ते", "voice_id": "b", "voice_name": "B"}]
    for empty in ("", None):
        row = frame_of({"dialogue": lines, "text": empty, "voice_id": empty, "voice_name": empty}, {}).iloc[0]
        assert row["dialogue"] == json.dumps(lines, ensure_ascii=False, separators=(",", ":"))
        assert row["characters"] == 3 + 6
        assert row[["text", "voice_id", "voice_name"]].isna().all()


def test_unknown_fields_are_kept_in_extra() -> None:
    df = frame_of({}, {"new": {"a": [1, "ü"]}, "feedback": None}, {"feedback": {"thumbs_up": True}, "new": 0})
    assert df["extra"].isna().tolist() == [True, False, False]
    assert json.loads(df["extra"][1]) == {"new": {"a": [1, "ü"]}}
    assert json.loads(df["extra"][2]) == {"feedback": {"thumbs_up": True}, "new": 0}
    df = frame_of({"settings": {"stability": 1, "accent": "scots"}})
    assert json.loads(df["extra"][0]) == {"settings": {"accent": "scots"}}
    assert df["stability"][0] == 1.0


def test_unknown_enum_values_pass() -> None:
    row = frame_of({"source": "Telepathy", "voice_category": "famous", "state": "resting"}).iloc[0]
    assert row[["source", "voice_category", "state"]].tolist() == ["Telepathy", "famous", "resting"]


@pytest.mark.parametrize(
    ("wrong", "column"),
    [
        ({"date_unix": "soon"}, "date"),
        ({"character_count_change_to": 1.5}, "credits"),
        ({"content_type": None}, "content_type"),
        ({"text": 12}, None),
        ({"dialogue": "no list"}, "dialogue"),
        ({"state": 5}, None),
    ],
)
def test_a_row_that_breaks_the_form_is_kept_and_named(wrong: dict[str, Any], column: str | None) -> None:
    rows = [ROW, {**ROW, **wrong, "history_item_id": "brokenbrokenbroken99"}, ROW]
    page = PageDecoder()(json.dumps({"history": rows, "has_more": True}).encode())
    assert len(page.rows) == 3
    assert [problem.split(":")[0] for problem in page.problems] == ["brokenbrokenbroken99"]
    df = to_frame([page.rows])
    assert df["credits"][0] == 42
    if column is not None:
        assert pd.isna(df[column][1])


def test_a_lone_surrogate_in_a_text_loses_no_row() -> None:
    body = json.dumps({"history": [{**ROW, "text": "a\ud800b"}], "has_more": False}).encode()
    assert to_frame([PageDecoder()(body).rows])["text"][0] == "a?b"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"history": 1, "has_more": true}', b'{"history": ['])
def test_what_is_no_page_is_a_decode_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        PageDecoder()(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.dictionaries(st.sampled_from([*ROW, "dialogue", "source", "novel", "feedback"]), JSON), max_size=4))
def test_any_json_rows_make_as_many_typed_rows(rows: list[dict[str, Any]]) -> None:
    body = msgspec.json.encode({"history": rows, "has_more": False})
    page = PageDecoder()(body)
    assert page.rows.schema == SCHEMA
    assert len(page.rows) == len(page.facts.ids) == len(rows)
    assert len(to_frame([page.rows])) == len(rows)


def test_sample_history_is_the_sandboxes() -> None:
    first, again, other = hk.sample_history(300), hk.sample_history(300), hk.sample_history(300, seed=1)
    pd.testing.assert_frame_equal(first, again)
    assert first["history_item_id"].is_unique
    assert first["date"].is_monotonic_decreasing
    assert not first["history_item_id"].equals(other["history_item_id"])
