"""The words in which two texts differ: nothing is lost, in any script."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histkit.notebook.word_diff import word_diff
from histkit.util.text import one_line_text
from tests.effort import examples


def joined(spans: list[tuple[str, str]], op: str) -> str:
    """Return the text of one side without white space, which is not compared."""
    return "".join(text for kind, text in spans if kind in ("same", op)).replace(" ", "")


def spans_of(old: str, new: str) -> list[tuple[str, str]]:
    return [(span["op"], span["text"]) for span in word_diff(old, new)]


@pytest.mark.parametrize(
    ("old", "new", "spans"),
    [
        (
            "The old cat",
            "The new cat",
            [("same", "The "), ("del", "old"), ("same", " "), ("ins", "new"), ("same", " cat")],
        ),
        ("Hello world", "Hello, world", [("same", "Hello"), ("ins", ","), ("same", " world")]),
        ("Hello, world", "Hello world", [("same", "Hello"), ("del", ","), ("same", " world")]),
        ("the cat", "cat", [("del", "the"), ("same", " cat")]),
        ("the cat", "the", [("same", "the "), ("del", "cat")]),
        ("don't go", "do go", [("del", "don't"), ("same", " "), ("ins", "do"), ("same", " go")]),
        ("今日は良い天気", "今日は悪い天気", [("same", "今日は"), ("del", "良"), ("ins", "悪"), ("same", "い天気")]),
        ("สวัสดีครับ", "สวัสดีค่ะ", [("same", "สวัสดี"), ("del", "ครับ"), ("ins", "ค่ะ")]),
        (
            "שלום לכולם היום",
            "שלום לכם היום",
            [("same", "שלום "), ("del", "לכולם"), ("same", " "), ("ins", "לכם"), ("same", " היום")],
        ),
        ("में हूँ", "मे हूँ", [("del", "में"), ("same", " "), ("ins", "मे"), ("same", " हूँ")]),
        ("hi 👩‍👩‍👧", "hi 👩‍👧", [("same", "hi "), ("del", "👩‍👩‍👧"), ("same", " "), ("ins", "👩‍👧")]),
        ("a  b\nc", "a b c", [("same", "a b c")]),
        ("", "", []),
        ("", "x", [("ins", "x")]),
    ],
)
def test_differences_are_whole_words_or_characters_of_scripts_without_spaces(
    old: str, new: str, spans: list[tuple[str, str]]
) -> None:
    assert spans_of(old, new) == spans


ALPHABET = st.sampled_from([*"abAB' ,.-", "é", "e\u0301", "ש", "今", "日", "ก", "ำ", "👩", "\u200d", "🏽", "हि", "\n"])
TEXTS = st.lists(ALPHABET, max_size=20).map("".join) | st.text(max_size=12)


@settings(max_examples=examples(200), deadline=None)
@given(old=TEXTS, new=TEXTS)
def test_both_texts_are_there_whole(old: str, new: str) -> None:
    spans = spans_of(old, new)
    for text, op in ((old, "del"), (new, "ins")):
        assert joined(spans, op) == one_line_text(text).replace(" ", "")
    assert all(text for _, text in spans)
    assert all(one[0] != two[0] for one, two in pairwise(spans))
    assert not any(text != text.strip() for op, text in spans if op != "same")


def test_a_mark_is_never_cut_from_its_letter() -> None:
    for old, new in (("cafe\u0323 x", "cafe x"), ("กำ", "กา"), ("में", "म")):
        for op, text in spans_of(old, new):
            assert op == "same" or unicodedata.category(text[0])[0] != "M"


def test_long_texts_are_compared_within_bounds() -> None:
    old = " ".join(f"w{place}" for place in range(6_000))
    new = " ".join(f"x{place}" for place in range(6_000))
    assert [op for op, _ in spans_of(f"a {old} z", f"a {new} z")] == ["same", "del", "same", "ins", "same"]
