"""The words in which two texts differ."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Literal, TypedDict

from histkit.notebook.windows import belongs_together
from histkit.util.text import one_line_text

_MOST_COMPARED = 2_000  # words of each text, without those that both begin and end with: the time grows with the square
_UNSPACED = (  # scripts without spaces between words: first and last character
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF)),  # Thai, Lao, Myanmar, Khmer
    *((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x30FF), (0x31F0, 0x31FF)),  # radicals, kana
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x1B000, 0x1B16F), (0x20000, 0x3FFFF)),
)
_INSIDE = "'’ʼ-‐‑"  # belong to a word between two of its letters


class Span(TypedDict):
    """A part of two texts: what both have, or one of them."""

    op: Literal["same", "ins", "del"]
    text: str


def word_diff(old: str, new: str) -> list[Span]:
    """Return two texts as one: what both have, the words of the old one alone (del), those of the new one alone (ins).

    White space is not compared. A word is what stands between white space or marks; in scripts without spaces it is a
    character with its combining marks.

    Examples
    --------
    >>> [(span["op"], span["text"]) for span in word_diff("The old cat sat.", "The cat sat down.")]
    [('same', 'The '), ('del', 'old'), ('same', ' cat sat '), ('ins', 'down'), ('same', '.')]
    """
    olds, news = _words(one_line_text(old)), _words(one_line_text(new))
    changes = [*_changes([word for word, _ in olds], [word for word, _ in news])]
    spans: list[Span] = []
    for (op, of_old, of_new), (_, next_old, _) in pairwise([*changes, ("", slice(0, 0), slice(0, 0))]):
        before, after = olds[of_old], news[of_new]
        if op == "equal":
            has_old_gap = next_old.start < next_old.stop  # what comes next is of the old text
            _add(spans, "same", [*after[:-1], before[-1] if has_old_gap else after[-1]])
            continue
        _add(spans, "del", before)
        if before and after and not (_is_alone(before[-1][0]) and _is_alone(after[0][0])):
            _append(spans, "same", " ")
        _add(spans, "ins", after)
    if spans and spans[-1]["text"] == " ":
        spans.pop()
    return spans


def _words(text: str) -> list[tuple[str, str]]:
    """Return the words and marks of a line, each with the white space behind it."""
    words: list[tuple[str, str]] = []
    for place, char in enumerate(text):
        if char == " ":
            if words:
                words[-1] = words[-1][0], " "
        elif words and not words[-1][1] and _continues(text, place):
            words[-1] = words[-1][0] + char, ""
        else:
            words.append((char, ""))
    return words


def _continues(text: str, place: int) -> bool:
    """Return whether a character belongs to the word before it, where no white space stands between."""
    before, char = text[place - 1], text[place]
    if belongs_together(before, char) or unicodedata.category(char) == "Cf":
        return True
    if char in _INSIDE:
        return _is_letter(before) and place + 1 < len(text) and _is_letter(text[place + 1])
    return _is_letter(char) and (
        _is_letter(before) or (before in _INSIDE and place > 1 and _is_letter(text[place - 2]))
    )


def _is_letter(char: str) -> bool:
    """Return whether a character is part of a word that may go on: a letter, a digit, a mark on one."""
    return unicodedata.category(char)[0] in "LNM" and not _is_alone(char)


def _is_alone(word: str) -> bool:
    """Return whether a word is of a script without spaces."""
    return any(first <= ord(word[0]) <= last for first, last in _UNSPACED)


def _changes(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, slice, slice]]:
    """Yield what is equal and what is not, as slices of both; none is empty in both."""
    shorter = min(len(old), len(new))
    start = next((place for place in range(shorter) if old[place] != new[place]), shorter)
    rest = shorter - start
    end = next((place for place in range(rest) if old[-1 - place] != new[-1 - place]), rest)
    old_end, new_end = len(old) - end, len(new) - end
    if start:
        yield "equal", slice(0, start), slice(0, start)
    if max(old_end, new_end) - start > _MOST_COMPARED:
        yield "replace", slice(start, old_end), slice(start, new_end)
    else:
        matcher = SequenceMatcher(None, old[start:old_end], new[start:new_end], autojunk=False)
        for op, one, two, three, four in matcher.get_opcodes():
            yield op, slice(start + one, start + two), slice(start + three, start + four)
    if end:
        yield "equal", slice(old_end, len(old)), slice(new_end, len(new))


def _add(spans: list[Span], op: Literal["same", "ins", "del"], words: Sequence[tuple[str, str]]) -> None:
    """Add words; the white space behind them belongs to both texts."""
    if not words:
        return
    text = "".join(word + gap for word, gap in words)
    _append(spans, op, text.rstrip(" ") if op != "same" else text)
    if op != "same" and text.endswith(" "):
        _append(spans, "same", " ")


def _append(spans: list[Span], op: Literal["same", "ins", "del"], text: str) -> None:
    if spans and spans[-1]["op"] == "same" and text == " " and spans[-1]["text"].endswith(" "):
        return
    if spans and spans[-1]["op"] == op:
        spans[-1]["text"] += text
    else:
        spans.append({"op": op, "text": text})
