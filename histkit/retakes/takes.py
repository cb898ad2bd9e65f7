"""Takes: the same text spoken repeatedly by the same voice, which take is kept, and what the others cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from histkit.errors import InputError
from histkit.frame.columns import (
    factorize_text,
    integer_array,
    text_array,
    text_chunks,
    text_ranks,
    whole_numbers,
)
from histkit.frame.dates import instants_of
from histkit.frame.dialogues import flat_lines
from histkit.frame.keys import refuse_duplicates
from histkit.frame.schema import TEXT, one_array, require
from histkit.retakes.normal_form import BLOCK, normalised
from histkit.retakes.similarity import checked_near, link_similar
from histkit.util.arguments import true_or_false
from histkit.util.arrays import Hashes, Ints, Mask
from histkit.util.text import is_text, quoted

_SAID = ("history_item_id", "voice_id", "voice_name", "text", "dialogue")
_NEEDED = ("history_item_id", "date", "voice_id", "voice_name", "text", "dialogue", "credits")
_SHOWN = ("history_item_id", "account", "date", "voice_id", "voice_name", "model_id", "text", "characters", "credits")
_ACCOUNT = "account"
_COUNTER = "character_count_change_from"
AGE = ("date", _COUNTER, "history_item_id", "credits")


def takes(
    frame: pd.DataFrame,
    *,
    keep: Literal["last", "first"] | Iterable[str] = "last",
    near: float | None = None,
    across_accounts: bool = False,
) -> pd.DataFrame:
    """Find the takes of each line: the rows in which the same voice says the same text.

    Accounts are separate: a premade voice has the same id in all of them.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one; needs ``history_item_id``, ``date``, ``voice_id``, ``voice_name``, ``text``,
        ``dialogue`` and ``credits``.
    keep : "last", "first", or history_item_ids, default "last"
        The take to keep of each line: the newest, the oldest, or the one whose id is in this list; lines without an id
        in it keep the newest.
    near : float, optional
        Also treat similar texts as the same (extra ``near``): the least similarity, 0.5 to 1, such as 0.9.
    across_accounts : bool, default False
        Whether the same text and voice in two accounts is one line. Without a column ``account`` all rows are of one
        account; rows whose account is missing are another one.

    Returns
    -------
    pandas.DataFrame
        All rows in the order and with the index of the frame. Its columns ``history_item_id``, ``account``, ``date``,
        ``voice_id``, ``voice_name``, ``model_id``, ``text``, ``characters`` and ``credits``, if present, and

        - ``line`` (string): 16 hex digits, the same for the same line of an account in every frame; missing for a row
          without text
        - ``take`` (Int64): number of the take, 1 is the oldest
        - ``takes`` (Int64): number of takes of the line
        - ``keeper`` (boolean): whether this take is kept
        - ``thrown_away`` (Int64): credits of a take that is not kept, missing if unknown; 0 for a keeper
        - ``free`` (boolean): whether the take cost 0 credits; missing if unknown

        ``attrs["histkit"]`` has the number of ``rows``, ``lines``, ``lines_with_takes`` (more than one),
        ``rows_without_credits``, and the credits ``thrown_away``.

    Raises
    ------
    InputError
        An id in `keep` is not in the frame, or two ids are takes of one line; `near` is invalid.
    SchemaError
        The frame lacks a column, or a column has values of another type.

    Notes
    -----
    Texts are the same if they differ only in letter case, white space, typographic quotes, dashes and ellipses, or
    Unicode compatibility forms (NFKC). Voices are compared by id, or by name if the id is missing. A dialogue is
    compared as the sequence of its voices and texts. A row without text belongs to no line; it is take 1 of 1 and kept.

    With `near`, texts of one voice in one account are linked if their similarity is at least `near`; links are
    transitive. Similarity is twice the number of characters that both share in the same order, over the characters of
    both (the normalised Indel similarity of rapidfuzz). Dialogues, and texts with different numbers ("Chapter 1",
    "Chapter 2"), are never linked. A line of linked texts has the smallest ``line`` among them. The time grows with the
    square of the number of texts of similar length that a voice has, though few of these are compared letter by letter.

    Takes of the same second are ordered by the credit counter before them (``character_count_change_from``, if the
    frame has it), then by id. Rows without a date count as the oldest.

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
    refuse_duplicates(frame, "the table of takes")
    chosen, likeness = _chosen(keep), checked_near(near)
    mixed = true_or_false("across_accounts", across_accounts)
    keys, has_text, talks = _line_hashes(frame, mixed)
    if likeness is not None:
        keys = _near_keys(frame, keys, has_text & ~talks, likeness, mixed)
    credits, known = whole_numbers(frame["credits"])
    lines = _lines_of(frame, keys, has_text)
    rows, line = lines.rows, lines.numbers
    take, total, keeper = np.ones(len(frame), np.int64), np.ones(len(frame), np.int64), ~has_text
    take[rows] = np.arange(len(rows)) - lines.starts[line] + 1
    total[rows] = lines.sizes[line]
    keeper[rows[_kept(frame, lines, keep, chosen)]] = True
    lost = np.where(keeper, 0, credits)
    table = frame[[name for name in _SHOWN if name in frame.columns]].assign(
        line=_hex(keys, has_text),
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


def line_keys(frame: pd.DataFrame, *, across_accounts: bool = False) -> pd.Series:
    """Return the key of each row's line, for partitioning rows so that the takes of a line stay together.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one; needs ``history_item_id``, ``voice_id``, ``voice_name``, ``text`` and
        ``dialogue``.
    across_accounts : bool, default False
        As in `takes`.

    Returns
    -------
    pandas.Series
        uint64 with the frame's index, uniformly distributed: ``line`` of `takes` is this key in hex. A row without
        text has a key from its id. The key is a hash (BLAKE2b) of the row's text, voice and account alone, so it is the
        same in every frame, process and machine.

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
    return pd.Series(_line_hashes(frame, across_accounts)[0], index=frame.index, name="line_key")


def voice_keys(frame: pd.DataFrame, *, across_accounts: bool = False) -> pd.Series:
    """Return a key of each row's voice, for partitioning rows so that similar texts stay together.

    Parameters
    ----------
    frame, across_accounts
        As in `line_keys`.

    Returns
    -------
    pandas.Series
        As that of `line_keys`; rows of one voice and account have one key. A dialogue, which is similar to none, and a
        row without text have their own.
    """
    require(frame, _SAID, "telling lines apart")
    keys, has_text, talks = _line_hashes(frame, across_accounts)
    voices = _voices(factorize_text(frame["voice_id"]), factorize_text(frame["voice_name"]))
    voices = np.where(has_text & ~talks, voices ^ _accounts(frame, across_accounts), keys)
    return pd.Series(voices, index=frame.index, name="line_key")


def account_codes(frame: pd.DataFrame, *, across_accounts: bool = False) -> Ints:
    """Return a number for the account of each row, -1 where it is missing; all are equal if accounts don't matter."""
    if across_accounts or _ACCOUNT not in frame.columns:
        return np.zeros(len(frame), np.int64)
    return factorize_text(frame[_ACCOUNT])[0]


@dataclass(frozen=True)
class _Lines:
    """Rows with text, line by line and oldest first: position and line of each row, start and size of each line."""

    rows: Ints
    numbers: Ints
    starts: Ints
    sizes: Ints


def _lines_of(frame: pd.DataFrame, keys: Hashes, has_text: Mask) -> _Lines:
    some = np.flatnonzero(has_text)
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
    for values in (keys, instants, counters):
        same[1:] &= values[order[1:]] == values[order[:-1]]
    tied = np.flatnonzero(same | np.r_[same[1:], False])
    if len(tied):  # only here, since sorting all ids would take longer than everything else
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
    for id_ in ids:
        if not is_text(id_):
            raise InputError(f"keep= takes 'last', 'first' or a list of history_item_ids, not {quoted(id_, 60)}.")
    return list(dict.fromkeys(ids))


def _kept(frame: pd.DataFrame, lines: _Lines, keep: Any, chosen: list[str]) -> Ints:
    """Return the position of each line's keeper among the rows of all lines."""
    if not chosen:
        return lines.starts if keep == "first" else lines.starts + lines.sizes - 1
    ids = frame["history_item_id"]
    hits = np.flatnonzero(ids.isin(chosen).to_numpy(bool))
    existing = set(ids.iloc[hits])
    unknown = [id_ for id_ in chosen if id_ not in existing]
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        names = ", ".join(map(quoted, unknown[:3]))
        raise InputError(f"keep= has ids that are not in the frame: {names}{more}; use 'last', 'first' or ids of rows.")
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


def _line_hashes(frame: pd.DataFrame, across_accounts: bool) -> tuple[Hashes, Mask, Mask]:
    """Return the line hash of each row, whether the row has text, and whether it is a dialogue."""
    keys, has_text = _text_hashes(text_chunks(frame["text"]))
    keys = keys ^ _voices(factorize_text(frame["voice_id"]), factorize_text(frame["voice_name"]))
    rows, numbers = _dialogues(frame["dialogue"])
    keys[rows], has_text[rows] = numbers, True
    talks = np.zeros(len(frame), bool)
    talks[rows] = True
    silent = np.flatnonzero(~has_text)
    codes, ids = factorize_text(frame["history_item_id"].iloc[silent])
    keys[silent] = _numbers([*map(_encoded, ids), b""], b"row")[codes]
    return keys ^ _accounts(frame, across_accounts), has_text, talks


def _accounts(frame: pd.DataFrame, across_accounts: bool) -> Hashes:
    """Return the hash of each row's account; 0 where it is missing, as if there were no such column."""
    if across_accounts or _ACCOUNT not in frame.columns:
        return np.zeros(len(frame), np.uint64)
    codes, names = factorize_text(frame[_ACCOUNT])
    hashes: Hashes = np.r_[_numbers(map(_encoded, names), b"account"), np.zeros(1, np.uint64)][codes]
    return hashes


def _near_keys(frame: pd.DataFrame, keys: Hashes, texted: Mask, near: float, across_accounts: bool) -> Hashes:
    """Return the hashes with those of similar texts made equal."""
    rows = np.flatnonzero(texted)
    distinct, first, codes = np.unique(keys[rows], return_index=True, return_inverse=True)
    lines = frame[[name for name in (*_SAID, _ACCOUNT) if name in frame.columns]].iloc[rows[first]]
    voices = _voices(factorize_text(lines["voice_id"]), factorize_text(lines["voice_name"]))
    voices = voices ^ _accounts(lines, across_accounts)
    keys = keys.copy()
    keys[rows] = link_similar(distinct, voices, plain_texts(lines["text"]), near)[codes]
    return keys


def _text_hashes(texts: pa.ChunkedArray) -> tuple[Hashes, Mask]:
    """Return the hash of each normalised text, and whether the text is not empty.

    Texts that occur twice in a block are hashed once.
    """
    hashes, has_text = np.zeros(len(texts), np.uint64), np.zeros(len(texts), bool)
    for start in range(0, len(texts), BLOCK):
        encoded = one_array(texts.slice(start, BLOCK)).dictionary_encode()
        plain = [*normalised(encoded.dictionary), b""]  # the last one is of missing texts
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        hashes[start : start + BLOCK] = _numbers(plain, b"text")[codes]
        has_text[start : start + BLOCK] = np.array([bool(text) for text in plain])[codes]
    return hashes, has_text


def text_numbers(column: pd.Series) -> tuple[Hashes, Mask]:
    """Return the hash of each text, equal for texts that `takes` treats as the same, and whether it is not empty."""
    return _text_hashes(text_chunks(column))


def plain_texts(column: pd.Series) -> list[str]:
    """Return normalised texts; a missing one is empty."""
    return [text.decode() for text in normalised(text_array(column).fill_null(""))]


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
    """Return the rows that are dialogues with text, and the hash of each."""
    lines = flat_lines(column)
    talks = np.unique(lines.rows)
    parents = np.searchsorted(talks, lines.rows)
    keys, has_text = _text_hashes(pa.chunked_array([lines.texts]))
    voices = (pd.Series(texts.to_pylist(), dtype=object) for texts in (lines.voice_ids, lines.voice_names))
    keys = keys ^ _voices(*map(factorize_text, voices))
    heard = np.zeros(len(talks), bool)
    heard[parents[has_text]] = True
    data, ends = keys.astype("<u8").tobytes(), 8 * np.searchsorted(parents, np.arange(len(talks) + 1))
    spans = [data[start:end] for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]
    return talks[heard], _numbers(spans, b"dialogue")[heard]


def _hex(keys: Hashes, has_text: Mask) -> Any:
    digits = keys.astype(">u8").tobytes().hex().encode()
    offsets = np.arange(len(keys) + 1, dtype=np.int64) * 16
    texts = pa.LargeStringArray.from_buffers(len(keys), pa.py_buffer(offsets), pa.py_buffer(digits))
    return pd.StringDtype("pyarrow").__from_arrow__(pc.if_else(pa.array(has_text), texts, pa.scalar(None, TEXT)))
