"""`filter_items` means the same on any frame, and the same as `read_history`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import histkit as hk
from histkit.filters import as_unix

DF = hk.sample_history(700, seed=3)


def values(column: str) -> list[str]:
    return sorted(DF[column].dropna().unique())


@given(
    voice=st.none() | st.lists(st.sampled_from([*values("voice_id"), *values("voice_name"), "roger"]), max_size=3),
    model=st.none() | st.sampled_from(values("model_id")) | st.lists(st.sampled_from(values("model_id")), max_size=2),
    source=st.none() | st.sampled_from(values("source")),
    text=st.none() | st.sampled_from([r"chapter \d+", "the", r"^\W", "ü|ö", r"(?=x)"]),
    dates=st.lists(st.sampled_from(DF["date"].tolist()), min_size=2, max_size=2).map(sorted),
)
def test_a_filter_equals_looking_at_each_row(voice: Any, model: Any, source: Any, text: Any, dates: list[Any]) -> None:
    got = DF.speech.filter(voice=voice, model=model, source=source, text=text, after=dates[0], before=dates[1])
    folded = {each.casefold() for each in voice or []}

    def meets(row: Any) -> bool:
        name = "" if pd.isna(row.voice_name) else row.voice_name.casefold()
        lines = [row.text] if isinstance(row.text, str) else []
        lines += [line["text"] for line in row.dialogue] if isinstance(row.dialogue, (list, np.ndarray)) else []
        return (
            (voice is None or row.voice_id in voice or bool({name, name.split(" - ")[0]} & folded))
            and (model is None or row.model_id in ([model] if isinstance(model, str) else model))
            and (source is None or row.source == source)
            and (text is None or any(re.search(text, line, re.IGNORECASE) for line in lines))
            and dates[0] <= row.date < dates[1]
        )

    assert got.index.tolist() == [row.Index for row in DF.itertuples() if meets(row)]


@pytest.mark.parametrize("change", ["reversed", "plain strings", "twice", "no extra columns", "odd index"])
def test_any_frame_will_do(change: str) -> None:
    frame = {
        "reversed": lambda: DF[::-1],
        "plain strings": lambda: DF.astype({"voice_id": object, "voice_name": object, "model_id": "string"}),
        "twice": lambda: pd.concat([DF, DF.head(20)]),
        "no extra columns": lambda: DF[["voice_id", "voice_name", "model_id"]],
        "odd index": lambda: DF.set_index("request_id", drop=False),
    }[change]()
    before = frame.copy()
    got = frame.speech.filter(voice="Rachel", model="eleven_multilingual_v2")
    assert len(got) == ((frame.voice_name == "Rachel") & (frame.model_id == "eleven_multilingual_v2")).sum() > 0
    pd.testing.assert_frame_equal(frame, before)


def test_a_speaker_is_found_in_dialogues_too() -> None:
    talks = DF[DF["dialogue"].notna()]
    name = talks["dialogue"].iloc[0][0]["voice_name"]
    own, spoken = DF.speech.filter(voice=name), DF.speech.filter(speaker=name)
    assert set(own.index) < set(spoken.index)
    assert talks.index[0] in spoken.index
    assert own["dialogue"].isna().all()


def test_text_is_searched_in_dialogue_lines() -> None:
    row = DF[DF["dialogue"].notna()].iloc[0]
    found = DF.speech.filter(text=re.escape(row["dialogue"][1]["text"]))
    assert row["history_item_id"] in found["history_item_id"].tolist()


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"text": "chapter ("}, hk.InputError, "regular expression"),
        ({"text": 3}, hk.InputError, "text="),
        ({"after": "noon"}, hk.InputError, "after="),
        ({"voice": [1]}, hk.InputError, "voice="),
    ],
)
def test_a_wrong_argument_is_one_clear_line(wrong: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        DF.speech.filter(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "asked"), [("voice_name", {"voice": "x"}), ("date", {"after": 0}), ("text", {"text": "x"})]
)
def test_a_frame_that_lost_a_column_names_it(column: str, asked: dict[str, Any]) -> None:
    with pytest.raises(hk.SchemaError, match=column):
        DF.drop(columns=column).speech.filter(**asked)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-10-01", 1_790_812_800),
        ("2026-10-01 02:00+02:00", 1_790_812_800),
        (date(2026, 10, 1), 1_790_812_800),
        (datetime(2026, 10, 1, tzinfo=UTC), 1_790_812_800),
        (pd.Timestamp("2026-10-01", tz="Asia/Kolkata"), 1_790_793_000),
        (np.datetime64("2026-10-01"), 1_790_812_800),
        (1_790_812_800, 1_790_812_800),
        (1_790_812_799.5, 1_790_812_800),
        ("2026-10-01 00:00:00.001", 1_790_812_801),
    ],
)
def test_dates_become_whole_seconds(value: Any, seconds: int) -> None:
    assert as_unix(value, "after") == seconds


@pytest.mark.parametrize("value", ["", "soon", None, float("nan"), True, [], "0000-99-99"])
def test_what_is_no_date_is_refused(value: Any) -> None:
    with pytest.raises(hk.InputError, match="before="):
        as_unix(value, "before")
