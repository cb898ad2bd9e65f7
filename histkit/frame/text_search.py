r"""Search texts for a regular expression with the results of Python's `re`, by RE2 where both are certain to agree.

RE2 is several times as fast, but the two differ on Unicode: on character classes and on letter case. So only patterns
of a small language are translated, and each character or class becomes the exact set of characters that `re` matches.
Only single characters and classes may be repeated. Then the engines' rules for choosing among several matches, and for
loops over empty ones, can't affect whether there is a match. Word boundaries (``\b``) next to letters beyond ASCII are
left to `re`.

`re` can take exponential time, holds the interpreter's lock and can't be stopped. So a search by `re` has a time limit:
patterns that take at most quadratic time are searched here, with a look at the clock between texts; all others in a
process of their own, which is killed when the time is over.
"""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from histkit.errors import InputError
from histkit.util.arrays import Mask
from histkit.util.background import check_stopped
from histkit.util.text import error_reason, quoted

FEW = 100_000  # texts that `re` has searched before the sets of characters are computed
FEW_FOR_WORDS = 2_000  # the same for patterns of plain characters, whose sets take no time
_LARGEST, _MOST_TIMES = 1_200, 10  # ranges of characters, and counted repeats: with more, RE2 can be the slower one
_CASED_END = 0x20000  # no character from here on has another letter case
_MARK = r"\\[dDwWsS!-/:-@\[-^`{-~ ]"  # a kind of character, or a mark that stands for itself
_ONE = r"[A-Za-z0-9 _,;:!'\"<>=@%/#]|[^\x00-\x7f]"
_ATOM = re.compile(rf"{_ONE}|[.&~`-]|{_MARK}|\[\^?(?:(?:{_ONE})-(?:{_ONE})|{_ONE}|[.?()+*$]|{_MARK})+\]")
_WORDS = re.compile(rf"(?:{_ONE}|[&~`-]|\\[^\w\n])+")
_TIMES = re.compile(r"([*+?]|\{([0-9]{1,2})(?:,([0-9]{0,2}))?\})\??(?![*+?{])")
_OPEN, _CLOSE = re.compile(r"\((?:\?:)?(?!\?)"), re.compile(r"\)(\??)\??(?![*+?{])")
_SURROGATES = (0xD800, 0xE000)
TIME_LIMIT = 10.0  # seconds for a search by `re`, and one more for each of these many characters
_CHARACTERS_A_SECOND = 2_000_000
_LONGEST, _CHUNK = 20_000, 20_000  # characters of a text that is searched here, and between two looks at the clock
_MOST_ALTERNATIVES = 10
_LOOK_SECONDS = 0.1  # after which it is looked whether a search in a process of its own is to stop
_MUCH, _MOST_THREADS = 10_000_000, 4  # bytes of texts that are searched by RE2 on several cores, and threads for it
_PLAIN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?|(?<=[*+?}])[?+]", re.DOTALL)  # holds no repeats of its own
_SEARCH = """
import pickle, re, sys
pattern, flags, texts = pickle.load(sys.stdin.buffer)
search = re.compile(pattern, flags).search
sys.stdout.buffer.write(bytes(search(text) is not None for text in texts))
"""


def search_mask(texts: pd.Series, pattern: re.Pattern[str], *, few: int = FEW, time_limit: float = TIME_LIMIT) -> Mask:
    """Return a mask of the texts in which `pattern.search` finds a match; other values have none.

    Parameters
    ----------
    texts : pandas.Series
        Of any dtype; fast for pandas' string dtypes.
    pattern : re.Pattern
        Compiled, with any flags.
    few : int
        Minimum number of texts for which RE2 is used, if it finds the same; less for patterns of plain characters.
    time_limit : float
        Seconds for a search by `re`; long texts get more.

    Raises
    ------
    InputError
        The search took longer.
    Cancelled
        The watch of this thread stopped it, where `re` searches.

    Examples
    --------
    >>> search_mask(pd.Series(["Chapter 1", None, "Kapitel 2"]), re.compile("chapter", re.IGNORECASE)).tolist()
    [True, False, False]
    """
    translated = None
    if isinstance(texts.dtype, pd.StringDtype) and len(texts) >= (
        min(few, FEW_FOR_WORDS) if is_words(pattern) else few
    ):
        translated = to_re2(pattern)
    if translated is None:
        return _search(texts, pattern, time_limit)
    array = pa.chunked_array(pa.array(texts.array, pa.large_string()))
    try:
        mask = _search_by_re2(array, translated)
    except pa.ArrowInvalid:  # too large for RE2
        return _search(texts, pattern, time_limit)
    if r"\b" in translated:
        beyond_ascii = np.flatnonzero(~pc.fill_null(pc.string_is_ascii(array), True).to_numpy().astype(bool))
        mask[beyond_ascii] = _search(texts.iloc[beyond_ascii], pattern, time_limit)
    return mask


def _search_by_re2(texts: pa.ChunkedArray, pattern: str) -> Mask:
    """Search by RE2; many texts on several cores, of which Arrow uses one."""
    parts = min(os.cpu_count() or 1, _MOST_THREADS) if texts.nbytes > _MUCH else 1
    size = -(-len(texts) // parts) or 1
    pieces = [texts.slice(start, size) for start in range(0, len(texts), size)] or [texts]

    def search(piece: pa.ChunkedArray) -> Mask:
        found: Mask = pc.fill_null(pc.match_substring_regex(piece, pattern), False).to_numpy().astype(bool)
        return found

    if len(pieces) == 1:
        return search(texts)
    with ThreadPoolExecutor(len(pieces)) as pool:
        return np.concatenate([*pool.map(search, pieces)])


def is_words(pattern: re.Pattern[str]) -> bool:
    r"""Return whether a pattern is a text as it is, perhaps in any letter case.

    Examples
    --------
    >>> [is_words(re.compile(text)) for text in (re.escape("C++ & co."), "wörter", "a.c", r"\d", "a|b")]
    [True, True, False, False, False]
    """
    return _WORDS.fullmatch(pattern.pattern) is not None


def _search(texts: pd.Series, pattern: re.Pattern[str], time_limit: float) -> Mask:
    """Search by `re`, within a time limit."""
    values = texts.tolist()
    rows = [row for row, text in enumerate(values) if isinstance(text, str)]
    mask: Mask = np.zeros(len(values), bool)
    if not rows:
        return mask
    strings = [values[row] for row in rows] if len(rows) < len(values) else values
    time_limit += sum(map(len, strings)) / _CHARACTERS_A_SECOND
    search = _search_here if is_quadratic(pattern) and max(map(len, strings)) <= _LONGEST else _search_apart
    mask[rows] = search(strings, pattern, time_limit)
    return mask


def is_quadratic(pattern: re.Pattern[str]) -> bool:
    """Return whether searching surely takes at most quadratic time: it has one repeat, or few alternatives.

    Examples
    --------
    >>> [is_quadratic(re.compile(text)) for text in ("chapter [0-9]+", "a|b|c+", "(a+)+$", "(a|b)*", "a.*b.*c")]
    [True, True, False, False, False]
    """
    text = pattern.pattern
    if "#" in text or pattern.flags & re.VERBOSE:  # a comment could hide brackets
        return False
    plain = _PLAIN.sub("", text)
    repeats, alternatives = sum(map(plain.count, "*+?{")), plain.count("|")
    if repeats == 0:
        return alternatives <= _MOST_ALTERNATIVES
    grouped = "(" in text and (alternatives > 0 or "(?P=" in text or re.search(r"\\[1-9]", text) is not None)
    return repeats == 1 and not grouped


def _search_here(texts: list[str], pattern: re.Pattern[str], time_limit: float) -> list[bool]:
    search, end, characters = pattern.search, time.monotonic() + time_limit, 0
    matches = []
    for text in texts:
        matches.append(search(text) is not None)
        characters += len(text)
        if characters > _CHUNK:
            characters = 0
            check_stopped()
            if time.monotonic() > end:
                raise _too_slow(pattern, time_limit)
    return matches


def _search_apart(texts: list[str], pattern: re.Pattern[str], time_limit: float) -> Mask:
    task = pickle.dumps((pattern.pattern, pattern.flags & ~re.DEBUG, texts))
    command, pipe = [sys.executable, "-I", "-S", "-c", _SEARCH], subprocess.PIPE
    try:
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
    except OSError as error:
        raise InputError(f"The search for text={quoted(pattern.pattern)} can't start: {error_reason(error)}.") from None
    with process:
        try:
            output = _output(process, task, time_limit)
        except BaseException:
            process.kill()
            raise
    if output is None:
        raise _too_slow(pattern, time_limit)
    if process.returncode or len(output) != len(texts):
        raise InputError(f"The search for text={quoted(pattern.pattern)} failed; use a simpler pattern or regex=False.")
    return np.frombuffer(output, np.uint8).astype(bool)


def _output(process: subprocess.Popen[bytes], task: bytes, time_limit: float) -> bytes | None:
    """Return what a process answers to a task; None, and it is killed, if the time is over."""
    message: bytes | None = task
    end = time.monotonic() + time_limit
    while True:
        left = end - time.monotonic()
        try:
            return process.communicate(message, timeout=max(min(left, _LOOK_SECONDS), 0))[0]
        except subprocess.TimeoutExpired:
            message = None  # it has it, or is still being given it
            if left <= 0:
                process.kill()
                return None
            check_stopped()


def _too_slow(pattern: re.Pattern[str], time_limit: float) -> InputError:
    return InputError(
        f"text={quoted(pattern.pattern)} took more than {time_limit:.0f} seconds; use a simpler pattern, without "
        "repeats inside repeats such as (a+)+, or search for the text as it is: regex=False."
    )


def to_re2(pattern: re.Pattern[str]) -> str | None:
    r"""Translate a pattern for RE2 so that it finds the same in every text; None where that is not certain.

    Where ``\b`` is in the result, it holds for texts of ASCII only.

    Examples
    --------
    >>> to_re2(re.compile("^k?", re.IGNORECASE))
    '\\A[\\x{4b}\\x{6b}\\x{212a}]?'
    >>> to_re2(re.compile(r"(a)\1")) is None
    True
    """
    text, flags = pattern.pattern, pattern.flags
    if not isinstance(text, str) or flags & ~re.IGNORECASE != re.UNICODE:
        return None
    start = 1 if text.startswith("^") else 0
    steps = [_Step(r"\A", 1)] if start else []
    while start < len(text):
        step = _translate_atom(text, start, flags) or _translate_mark(text, start)
        if step is None:
            return None
        steps.append(step)
        start = step.end
    runs = ((folded, "".join(step.text for step in run)) for folded, run in groupby(steps, lambda step: step.folded))
    result = "".join(f"(?i:{run})" if folded else run for folded, run in runs)
    repeats = sum(step.repeats for step in steps)
    return None if result.count("-") > _LARGEST or repeats > _MOST_TIMES else result


class _Step(NamedTuple):
    """A translated piece of a pattern.

    Attributes
    ----------
    text : str
        For RE2.
    end : int
        Where the piece ends in the pattern.
    repeats : int
        Its counted repeats.
    folded : bool
        Whether RE2 is to find the text in any letter case; it is twice as fast at that as at classes.
    """

    text: str
    end: int
    repeats: int = 0
    folded: bool = False


def _translate_atom(text: str, start: int, flags: int) -> _Step | None:
    """Translate a character or class and its quantifier."""
    atom = _ATOM.match(text, start)
    if atom is None:
        return None
    times = _TIMES.match(text, atom.end())
    if times is None and flags & re.IGNORECASE and _folds_as_re2(atom[0]):
        return _Step(f"\\x{{{ord(atom[0][-1]):x}}}", atom.end(), folded=True)
    characters = _characters(atom[0], flags)
    if times is None:
        return _Step(characters, atom.end())
    repeats = max(int(times[2]), int(times[3] or 0)) if times[2] else 0
    return _Step(characters + times[1], times.end(), repeats)


def _translate_mark(text: str, start: int) -> _Step | None:
    """Translate a group's bracket, an alternative, a word boundary, or the end of the text."""
    if opened := _OPEN.match(text, start):
        return _Step("(?:", opened.end())
    if closed := _CLOSE.match(text, start):
        return _Step(f"){closed[1]}", closed.end())
    if text[start:] == "$":  # `re` also finds it before the line feed that ends the text
        return _Step(r"\x{a}?\z", len(text))
    for mark in ("|", r"\b"):
        if text.startswith(mark, start):
            return _Step(mark, start + len(mark))
    return None


def _folds_as_re2(atom: str) -> bool:
    """Return whether an atom is a character that RE2 and `re` find in the same letter cases: ASCII, but for the i."""
    return atom.isascii() and atom[-1] not in "iI" and _WORDS.fullmatch(atom) is not None


@lru_cache(maxsize=512)
def _characters(atom: str, flags: int) -> str:
    """Return the class of the characters that `re` matches by an atom."""
    char = atom[-1]
    if (
        _WORDS.fullmatch(atom) and not _SURROGATES[0] <= ord(char) < _SURROGATES[1]
    ):  # one character: only those of other letter cases may match it, too
        candidates = _cased() if flags & re.IGNORECASE else ""
        return _class_of(sorted({char, *re.findall(atom, candidates, flags)}))
    runs = [match.span() for match in re.compile(f"(?:{atom})+", flags).finditer(_alphabet())]
    low, high = _SURROGATES  # in no text that Arrow holds
    cut = [
        part for start, end in runs for part in ((start, min(end, low)), (max(start, high), end)) if part[0] < part[1]
    ]
    ranges = (f"\\x{{{start:x}}}" + (f"-\\x{{{end - 1:x}}}" if end - start > 1 else "") for start, end in cut)
    return f"[{''.join(ranges)}]" if cut else r"[^\x{0}-\x{10ffff}]"


def _class_of(chars: list[str]) -> str:
    """Return the class of some characters, which are in ascending order."""
    codes = (f"\\x{{{ord(char):x}}}" for char in chars)
    return f"[{''.join(codes)}]"


@lru_cache(maxsize=1)
def _cased() -> str:
    """Return a string of all characters that have another letter case."""
    chars = map(chr, range(_CASED_END))
    return "".join(char for char in chars if not char == char.lower() == char.upper() == char.casefold())


@lru_cache(maxsize=1)
def _alphabet() -> str:
    """Return a string of all characters, each at the position of its code point."""
    return "".join(map(chr, range(sys.maxunicode + 1)))
