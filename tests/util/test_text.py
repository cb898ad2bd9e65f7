"""Errors and texts as one line that is safe to show."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from histkit.util.text import error_line, error_reason, one_line_text


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
