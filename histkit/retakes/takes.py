"""Takes: the same text spoken again by the same voice, which of them is kept, and what the others cost."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from histkit.errors import InputError
from histkit.frame.columns import dialogue_lines, factorize_text, integer_array, text_array, text_ranks, whole_numbers
from histkit.frame.dates import instants_of
from histkit.frame.schema import TEXT, require
from histkit.retakes.similarity import checked_near, link_similar
from histkit.util.arrays import Hashes, Ints, Mask
from histkit.util.text import is_text

_SAID = ("history_item_id", "voice_id", "voice_name", "text", "dialogue")
_NEEDED = ("history_item_id", "date", "voice_id", "voice_name", "text", "dialogue", "credits")
_SHOWN = ("history_item_id", "date", "voice_id", "voice_name", "model_id", "text", "characters", "credits")
_COUNTER = "character_count_change_from"
AGE = ("date", _COUNTER, "history_item_id", "credits")
_PLAIN = {
    **dict.fromkeys("‘’‚‛‹›′‵ʹʻʼʽ´΄", "'"),
    **dict.fromkeys("“”„‟«»″‶〝〞〟", '"'),
    **dict.fromkeys("‐‑‒–—―−﹘︱︲", "-"),
    "ŉ": "'n",
    "…": "...",
}
_TYPOGRAPHIC = re.compile(f"[{''.join(_PLAIN)}]")
_UNEVEN = r"[^ -~]|  |^ | $"  # RE2: not ASCII, or with other white space than single blanks between words


def takes(frame: pd.DataFrame, *, keep: str | Iterable[str] = "last", near: float | None = None) -> pd.DataFrame:
    """Find the takes of each line: rows in which the same voice says the same text.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one; needs ``history_item_id``, ``date``, ``voice_id``, ``voice_name``, ``text``,
        ``dialogue`` and ``credits``.
    keep : "last", "first", or history_item_ids, default "last"
        Which take of each line is kept: the newest, the oldest, or the one whose id is given here; a line of which no
        id is given keeps its last.
    near : float, optional
        Also count texts as the same that are nearly so (extra ``near``): the least likeness, 0.5 to 1, such as 0.9.

    Returns
    -------
    pandas.DataFrame
        All rows, in the frame's order and on its index: those of ``history_item_id``, ``date``, ``voice_id``,
        ``voice_name``, ``model_id``, ``text``, ``characters``, ``credits`` that the frame has, as they are, and

        - ``line`` (string): 16 hex digits, the same for the same line in every frame; missing where nothing is said
        - ``take`` (Int64): 1 is the oldest
        - ``takes`` (Int64): how many the line has
        - ``keeper`` (boolean): whether this take is the one that is kept
        - ``thrown_away`` (Int64): credits of a take that is not kept, missing where they are unknown; 0 for a keeper
        - ``free`` (boolean): whether it cost 0 credits; missing where unknown

        ``attrs["histkit"]`` counts ``rows``, ``lines``, ``lines_with_takes`` (more than one), ``thrown_away`` (credits)
        and ``rows_without_credits``.

    Raises
    ------
    InputError
        An id of `keep` is not in the frame, or two of them are takes of one line; `near` can't be used.
    SchemaError
        The frame lacks a column, or one holds something else than it should.

    Notes
    -----
    Texts are the same when they differ only in letter case, white space, typographic quotes, dashes and ellipses, or
    Unicode compatibility forms (NFKC). A voice is its id, or its name where the id is missing. A dialogue is the
    sequence of its voices and texts. A row that says nothing belongs to no line and is take 1 of 1, kept.

    With `near`, texts of one voice belong together whose likeness is at least `near`, also by way of a third: twice the
    characters that both have in the same order, over the characters of both (the normalised Indel similarity of
    rapidfuzz). Texts with other numbers in them ("Chapter 1", "Chapter 2") and dialogues never do. A line has the
    smallest ``line`` of its texts. Time grows with the square of the number of texts that a voice has of about one
    length.

    Takes of one second are told apart by the credit counter before them (``character_count_change_from``, if the frame
    has it), then by their ids; a row without a date counts as older than all others.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.retakes.takes import takes
    >>> df = hk.sample_history(2000)
    >>> table = takes(df)
    >>> bool(table["keeper"].sum() == table.attrs["histkit"]["lines"] + table["line"].isna().sum())
    True
    >>> bool(table["credits"][table["keeper"]].sum() + table["thrown_away"].sum() == df["credits"].sum())
    True
    """
    require(frame, _NEEDED, "the table of takes")
    chosen, likeness = _chosen(keep), checked_near(near)
    keys, said, talks = _line_hashes(frame)
    if likeness is not None:
        keys = _near_keys(frame, keys, said & ~talks, likeness)
    credits, known = whole_numbers(frame["credits"])
    lines = _lines_of(frame, keys, said)
    rows, own = lines.rows, lines.numbers
    take, total, keeper = np.ones(len(frame), np.int64), np.ones(len(frame), np.int64), ~said
    take[rows] = np.arange(len(rows)) - lines.starts[own] + 1
    total[rows] = lines.sizes[own]
    keeper[rows[_kept(frame, lines, keep, chosen)]] = True
    lost = np.where(keeper, 0, credits)
    table = frame[[name for name in _SHOWN if name in frame.columns]].assign(
        line=_hex(keys, said),
        take=integer_array(take),
        takes=integer_array(total),
        keeper=pd.arrays.BooleanArray(keeper, np.zeros(len(frame), bool)),
        thrown_away=integer_array(lost, ~(known | keeper)),
        free=pd.arrays.BooleanArray(credits == 0, ~known),
    )
    table.attrs["histkit"] = {
        "rows": len(frame),
        "lines": len(lines.starts),
        "lines_with_takes": int((lines.sizes > 1).sum()),
        "thrown_away": int(lost.sum()),
        "rows_without_credits": int((~known).sum()),
    }
    return table


def line_keys(frame: pd.DataFrame) -> pd.Series:
    """Give the number of each row's line, by which rows can be parted so that the takes of a line stay together.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one; needs ``history_item_id``, ``voice_id``, ``voice_name``, ``text`` and
        ``dialogue``.

    Returns
    -------
    pandas.Series
        uint64 on the frame's index, evenly spread: ``line`` of `takes` is this number in hex. A row of no line has a
        number made of its id. A number depends on nothing but the row (BLAKE2b of its words), so it is the same in
        every frame, process and machine.

    Raises
    ------
    SchemaError
        The frame lacks a column.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.retakes.takes import line_keys, takes
    >>> df = hk.sample_history(2000)
    >>> part = df[line_keys(df) % 4 == 0]
    >>> bool((takes(part)["takes"] == takes(df)["takes"][part.index]).all())
    True
    """
    require(frame, _SAID, "telling lines apart")
    return pd.Series(_line_hashes(frame)[0], index=frame.index, name="line_key")


@dataclass(frozen=True)
class _Lines:
    """Rows that say something, line by line and oldest first: positions, line of each, first place and size of each."""

    rows: Ints
    numbers: Ints
    starts: Ints
    sizes: Ints


def _lines_of(frame: pd.DataFrame, keys: Hashes, said: Mask) -> _Lines:
    some = np.flatnonzero(said)
    narrow = frame[[name for name in AGE if name in frame.columns]]
    rows = some[oldest_first(narrow.iloc[some], keys[some])]
    new = np.ones(len(rows), bool)
    new[1:] = keys[rows[1:]] != keys[rows[:-1]]
    starts = np.flatnonzero(new)
    return _Lines(rows, np.cumsum(new) - 1, starts, np.diff(np.r_[starts, len(rows)]))


def oldest_first(frame: pd.DataFrame, keys: Hashes) -> Ints:
    """Sort by line and age, by values alone: where rows stand in the frame must not matter."""
    instants, dated = instants_of(frame["date"])
    instants = np.where(dated, instants, np.iinfo(np.int64).min)
    counters = np.zeros(len(frame), np.int64)
    if _COUNTER in frame.columns:
        counters, counted = whole_numbers(frame[_COUNTER])
        counters = np.where(counted, counters, np.iinfo(np.int64).min)
    order = np.lexsort((counters, instants, keys))
    same = np.zeros(len(order), bool)
    same[1:] = True
    for each in (keys, instants, counters):
        same[1:] &= each[order[1:]] == each[order[:-1]]
    tied = np.flatnonzero(same | np.r_[same[1:], False])
    if len(tied):  # ids are sorted only here: sorting all texts would take longer than everything else
        rows, blocks = order[tied], np.cumsum(~same)[tied]
        ids, credits = _ranks(frame["history_item_id"].iloc[rows]), whole_numbers(frame["credits"].iloc[rows])[0]
        order[tied] = rows[np.lexsort((credits, ids, blocks))]
    return order


def _ranks(column: pd.Series) -> Ints:
    return text_ranks(*factorize_text(column))


def _chosen(keep: Any) -> list[str]:
    if isinstance(keep, str):
        keep = [] if keep in ("last", "first") else [keep]
    ids = list(keep) if isinstance(keep, Iterable) else [keep]
    for each in ids:
        if not is_text(each):
            raise InputError(f"keep= takes 'last', 'first' or a list of history_item_ids, not {each!r:.60}.")
    return list(dict.fromkeys(ids))


def _kept(frame: pd.DataFrame, lines: _Lines, keep: Any, chosen: list[str]) -> Ints:
    """Give the place, among the rows of all lines, of each line's keeper."""
    if not chosen:
        return lines.starts if keep == "first" else lines.starts + lines.sizes - 1
    ids = frame["history_item_id"]
    hits = np.flatnonzero(ids.isin(chosen).to_numpy(bool))
    found = set(ids.iloc[hits])
    unknown = [each for each in chosen if each not in found]
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        names = ", ".join(map(repr, unknown[:3]))
        raise InputError(
            f"keep= names what no row of the frame is: {names}{more}; give 'last', 'first' or ids of rows."
        )
    places = np.flatnonzero(np.isin(lines.rows, hits))
    picked: dict[int, tuple[int, str]] = {}
    named = ids.iloc[lines.rows[places]].tolist()
    for place, line, name in zip(places.tolist(), lines.numbers[places].tolist(), named, strict=True):
        other = picked.get(line, (place, name))[1]
        if other != name:
            raise InputError(f"keep= names two takes of one line: {other!r} and {name!r}; choose one of them.")
        picked[line] = place, name
    kept = lines.starts + lines.sizes - 1
    kept[list(picked)] = [place for place, _ in picked.values()]
    return kept


def _line_hashes(frame: pd.DataFrame) -> tuple[Hashes, Mask, Mask]:
    """Give the number of each row, whether the row says something, and whether it is a dialogue."""
    keys, said = _text_hashes(text_array(frame["text"]))
    keys = keys ^ _voices(factorize_text(frame["voice_id"]), factorize_text(frame["voice_name"]))
    rows, numbers = _dialogues(frame["dialogue"])
    keys[rows], said[rows] = numbers, True
    talks = np.zeros(len(frame), bool)
    talks[rows] = True
    silent = np.flatnonzero(~said)
    codes, ids = factorize_text(frame["history_item_id"].iloc[silent])
    keys[silent] = _numbers([*map(_encoded, ids), b""], b"row")[codes]
    return keys, said, talks


def _near_keys(frame: pd.DataFrame, keys: Hashes, texted: Mask, near: float) -> Hashes:
    """Give texts that are nearly the same one number."""
    rows = np.flatnonzero(texted)
    own, first, codes = np.unique(keys[rows], return_index=True, return_inverse=True)
    lines = frame[["voice_id", "voice_name", "text"]].iloc[rows[first]]
    voices = _voices(factorize_text(lines["voice_id"]), factorize_text(lines["voice_name"]))
    keys = keys.copy()
    keys[rows] = link_similar(own, voices, plain_texts(lines["text"]), near)[codes]
    return keys


def _text_hashes(texts: pa.Array) -> tuple[Hashes, Mask]:
    """Give the number of each text as it is compared, and whether there is anything in it."""
    encoded = texts.dictionary_encode()
    plain = [*_normalised(encoded.dictionary), b""]
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return _numbers(plain, b"text")[codes], np.fromiter(map(bool, plain), bool, len(plain))[codes]


def text_numbers(column: pd.Series) -> tuple[Hashes, Mask]:
    """Give a number for each text, the same for texts that are the same as `takes` sees it, and whether it says any."""
    return _text_hashes(text_array(column))


def plain_texts(column: pd.Series) -> list[str]:
    """Give texts as they are compared; a missing one is empty."""
    return [text.decode() for text in _normalised(text_array(column).fill_null(""))]


def _normalised(texts: pa.Array) -> list[bytes]:
    """Give texts as they are compared; the many that are plain ASCII only need to be in lower case."""
    plain: list[bytes] = pc.ascii_lower(texts).cast(pa.large_binary()).to_pylist()
    uneven = np.flatnonzero(pc.match_substring_regex(texts, _UNEVEN).to_numpy(zero_copy_only=False))
    for place, text in zip(uneven.tolist(), texts.take(pa.array(uneven)).to_pylist(), strict=True):
        plain[place] = _folded(text).encode()
    return plain


def _folded(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _TYPOGRAPHIC.sub(lambda found: _PLAIN[found[0]], text))
    text = text.casefold()
    even = text.isprintable() and "  " not in text  # the only printable white space is the blank
    return text.strip() if even else " ".join(text.split())


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _numbers(texts: Iterable[bytes], kind: bytes) -> Hashes:
    digests = b"".join([blake2b(text, digest_size=8, person=kind).digest() for text in texts])
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def _voices(ids: tuple[Ints, list[str]], names: tuple[Ints, list[str]]) -> Hashes:
    by_id = _numbers([*map(_encoded, ids[1]), b""], b"voice id")[ids[0]]
    by_name = _numbers([*map(_encoded, names[1]), b""], b"voice name")[names[0]]
    return np.where(ids[0] >= 0, by_id, by_name)


def _dialogues(column: pd.Series) -> tuple[Ints, Hashes]:
    """Give the rows that are dialogues in which something is said, and the number of each."""
    lines = dialogue_lines(column)
    talks = np.unique(lines.rows)
    parents = np.searchsorted(talks, lines.rows)
    keys, said = _text_hashes(lines.texts)
    voices = (pd.Series(texts.to_pylist(), dtype=object) for texts in (lines.voice_ids, lines.voice_names))
    keys = keys ^ _voices(*map(factorize_text, voices))
    heard = np.zeros(len(talks), bool)
    heard[parents[said]] = True
    data, ends = keys.astype("<u8").tobytes(), 8 * np.searchsorted(parents, np.arange(len(talks) + 1))
    spans = [data[start:end] for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]
    return talks[heard], _numbers(spans, b"dialogue")[heard]


def _hex(keys: Hashes, said: Mask) -> Any:
    digits = keys.astype(">u8").tobytes().hex().encode()
    offsets = np.arange(len(keys) + 1, dtype=np.int64) * 16
    texts = pa.LargeStringArray.from_buffers(len(keys), pa.py_buffer(offsets), pa.py_buffer(digits))
    return pd.StringDtype("pyarrow").__from_arrow__(pc.if_else(pa.array(said), texts, pa.scalar(None, TEXT)))
