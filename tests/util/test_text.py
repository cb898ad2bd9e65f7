"""Errors and texts as one line that is safe to show."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from histkit.util.text import (
    error_line,
    error_reason,
    escape_surrogates,
    is_valid_unicode,
    one_line_text,
    quoted,
    replace_surrogates,
)


@given(st.text(), st.integers(1, 300))
def test_an_error_is_one_line_of_bounded_length(message: str, length: int) -> None:
    line = error_line(ValueError(message), length)
    assert len(line.splitlines()) <= 1
    assert len(line) <= length


def test_the_reason_of_an_error_of_the_system_is_its_own_words() -> None:
    assert error_reason(FileNotFoundError(2, "No such file or directory", "/tmp/a")) == "No such file or directory"
    assert error_reason(OSError("a\nb")) == "a b"
    assert error_reason(ValueError("a\n b")) == "a b"


@given(st.text())
def test_a_line_of_text_holds_no_control_and_no_bidi_override(text: str) -> None:
    line = one_line_text(text)
    assert len(line.splitlines()) <= 1
    assert line == one_line_text(line)
    assert not {unicodedata.category(char) for char in line if char not in "\u200c\u200d"} & {"Cc", "Cf", "Cs", "Co"}
    assert not set(line) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


class Broken:
    """A value without a repr."""

    def __repr__(self) -> str:
        raise RuntimeError("broken")


@given(st.text() | st.binary() | st.integers() | st.sampled_from([10**5000, -(10**5000), Broken(), [Broken()]]))
def test_any_value_is_quoted_in_one_line_of_at_most_80_characters(value: object) -> None:
    line = quoted(value)
    assert line
    assert len(line) <= 80
    assert "\n" not in line


@given(st.text(st.characters(categories=["L", "Cs"])), st.text(st.characters(categories=["L", "Cs"])))
def test_halves_of_surrogate_pairs_are_replaced_or_escaped_and_other_texts_stay(text: str, other: str) -> None:
    for change in (replace_surrogates, escape_surrogates):
        assert is_valid_unicode(change(text))
        assert change(text) == text or not is_valid_unicode(text)
    assert (escape_surrogates(text) == escape_surrogates(other)) == (text == other)
