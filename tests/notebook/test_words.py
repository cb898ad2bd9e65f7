"""Words and their times, from alignments as they come: also from broken ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histkit.notebook.words import word_times

TIMES = st.floats(0, 1000, allow_nan=False)


def cell(characters: list[Any], starts: list[Any], ends: list[Any]) -> str:
    alignment = {
        "characters": characters,
        "character_start_times_seconds": starts,
        "character_end_times_seconds": ends,
    }
    return json.dumps({"alignment": alignment, "normalized_alignment": alignment})


@given(timed=st.lists(st.tuples(st.sampled_from("ab é,\n\t😀"), TIMES, TIMES), max_size=60))
def test_words_are_those_of_the_text_and_never_go_back(timed: list[tuple[str, float, float]]) -> None:
    characters, starts, ends = ([part[place] for part in timed] for place in range(3))
    words = word_times(cell(characters, starts, ends))
    assert [word["text"] for word in words or []] == "".join(characters).split()
    assert (words is None) == (not "".join(characters).split())
    begun = [word["start"] for word in words or []]
    assert begun == sorted(begun)
    assert all(word["start"] <= word["end"] for word in words or [])


@given(characters=st.lists(st.sampled_from("ab c"), min_size=1, max_size=40), step=st.integers(1, 50))
def test_a_word_lasts_from_its_first_character_to_its_last(characters: list[str], step: int) -> None:
    starts = [place * step / 8 for place in range(len(characters))]
    ends = [start + step / 8 for start in starts]
    words = word_times(cell(characters, starts, ends)) or []
    place = 0
    text = "".join(characters)
    for word in words:
        place = text.index(word["text"], place)
        assert word["start"] == starts[place]
        place += len(word["text"])
        assert word["end"] == ends[place - 1]


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"alignment": null}',
        '{"alignment": {"characters": ["a"]}}',
        cell(["a", "b"], [0.0], [1.0]),
        cell(["a"], ["0"], [1.0]),
        cell([1], [0.0], [1.0]),
        cell(["a"], [None], [1.0]),
        cell([" "], [0.0], [1.0]),
    ],
)
def test_what_is_no_alignment_has_no_words(broken: str) -> None:
    assert word_times(broken) is None
    assert word_times(None) is None


def test_times_that_fall_are_evened_out() -> None:
    words = word_times(cell(list("ab cd ef"), [60, 60, 61, 59, 59, 62, 62, 62], [60, 61, 61, 59, 58, 62, 62, 63]))
    assert words == [
        {"text": "ab", "start": 60.0, "end": 61.0},
        {"text": "cd", "start": 61.0, "end": 61.0},
        {"text": "ef", "start": 62.0, "end": 63.0},
    ]
