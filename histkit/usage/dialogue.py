"""Who speaks in each row: a row of one voice is one part, a dialogue one part for each voice that speaks in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from histkit.frame.columns import NO_CODE, dialogue_lines, factorize_text
from histkit.util.arrays import Ints, add_by_code


@dataclass(frozen=True)
class DialogueShares:
    """The parts of the dialogues.

    Attributes
    ----------
    rows : int64 array, shape (parts,)
        The row that each part is of; ascending.
    voices, names : int64 arrays, shape (parts,)
        As those of `SpeakerShares`.
    weights : int64 array, shape (parts,)
        Characters, by which a dialogue is shared out among its parts.
    """

    rows: Ints
    voices: Ints
    names: Ints
    weights: Ints


@dataclass(frozen=True)
class SpeakerShares:
    """Rows cut up by speaking voice.

    Attributes
    ----------
    voices, names : int64 arrays, shape (rows,)
        The own voice of each row: positions in `keys` and `texts`; -1 where there is none. Not for dialogues.
    spoken : Spoken
        Who speaks in the rows that are dialogues.
    keys : list of (id or None, name or None)
        Voices: the id, or the name where the id is missing.
    texts : list of str
        Names.
    """

    voices: Ints
    names: Ints
    spoken: DialogueShares
    keys: list[tuple[str | None, str | None]]
    texts: list[str]


def apportion(totals: Ints, weights: Ints, groups: Ints) -> Ints:
    """Share out whole numbers in proportion to weights, by largest remainder; ties go to the earlier part.

    Parameters
    ----------
    totals : int64 array, shape (parts,)
        What the group of each part has to share.
    weights : int64 array, shape (parts,)
        Not negative, and not all 0 in a group; their sum stays below 2**31.
    groups : int64 array, shape (parts,)
        Ascending numbers: parts of one group stand together.

    Returns
    -------
    int64 array, shape (parts,)
        Not negative where the total is not; the parts of a group add up to its total.
    """
    if not totals.any():
        return totals.copy()
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    sizes = np.diff(np.r_[starts, len(groups)])
    whole = np.repeat(np.add.reduceat(weights, starts), sizes)
    rounds, rest = totals // whole, totals % whole  # two steps: total * weight might not fit into 64 bits
    shares = rounds * weights + rest * weights // whole
    left = np.repeat(totals[starts] - np.add.reduceat(shares, starts), sizes)
    order = np.lexsort((-(rest * weights % whole), groups))
    place = np.empty(len(groups), np.int64)
    place[order] = np.arange(len(groups)) - np.repeat(starts, sizes)
    result: Ints = shares + (place < left)
    return result


def parts_of(frame: pd.DataFrame) -> SpeakerShares:
    """Cut the rows up by speaking voice; needs the columns voice_id, voice_name and dialogue."""
    ids, id_values = factorize_text(frame["voice_id"])
    names, name_values = factorize_text(frame["voice_name"])
    lines = _lines(frame["dialogue"])
    line_ids, id_values = _joined(lines.ids, id_values)
    line_names, name_values = _joined(lines.names, name_values)
    keys = [*((each, None) for each in id_values), *((None, each) for each in name_values)]
    voices = voices_of(ids, names, len(id_values))
    if len(lines.rows):
        spoken = _speaking(lines.rows, voices_of(line_ids, line_names, len(id_values)), line_names, lines.lengths)
    else:
        spoken = DialogueShares(lines.rows, line_ids, line_names, lines.lengths)
    return SpeakerShares(voices, names, spoken, keys, name_values)


@dataclass(frozen=True)
class _Lines:
    """Dialogue lines: row, voice id, voice name, characters of each."""

    rows: Ints
    ids: tuple[Ints, list[str]]
    names: tuple[Ints, list[str]]
    lengths: Ints


def _lines(column: pd.Series) -> _Lines:
    lines = dialogue_lines(column)
    lengths = pc.fill_null(pc.utf8_length(lines.texts), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return _Lines(lines.rows, _arrow_words(lines.voice_ids), _arrow_words(lines.voice_names), lengths)


def _arrow_words(array: pa.Array) -> tuple[Ints, list[str]]:
    encoded = array.dictionary_encode()
    codes = pc.fill_null(encoded.indices, NO_CODE).to_numpy(zero_copy_only=False)
    found, texts = factorize_text(pd.Series(encoded.dictionary.to_pylist(), dtype=object))
    return np.r_[found, NO_CODE][codes], texts


def _joined(words: tuple[Ints, list[str]], values: list[str]) -> tuple[Ints, list[str]]:
    """Give the words of dialogue lines the numbers of those of the column, new words after them."""
    codes, texts = words
    places = {text: place for place, text in enumerate(values)}
    for text in texts:
        places.setdefault(text, len(places))
    table = np.array([*(places[text] for text in texts), NO_CODE], np.int64)
    return table[codes], list(places)


def voices_of(ids: Ints, names: Ints, known: int) -> Ints:
    """Give the key of each voice: its id, or its name (numbered after the ids) where the id is missing."""
    lacking = (ids < 0) & (names >= 0)
    return np.where(lacking, names + known, ids) if lacking.any() else ids


def _speaking(rows: Ints, voices: Ints, names: Ints, lengths: Ints) -> DialogueShares:
    """Put the lines of each voice in a dialogue together; leave out voices without a character, unless all are."""
    codes, pairs = pd.factorize(rows * (int(voices.max()) + 2) + voices + 1)
    weights = add_by_code(lengths, codes, len(pairs))
    first = np.zeros(len(pairs), np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    spoken = np.full(len(pairs), NO_CODE, np.int64)
    named = np.flatnonzero(names >= 0)[::-1]
    spoken[codes[named]] = names[named]  # the first name of the voice in this dialogue
    rows, voices = rows[first], voices[first]
    starts = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])
    silent = starts[np.add.reduceat(weights, starts) == 0]
    weights[silent] = 1
    kept = weights > 0
    return DialogueShares(rows[kept], voices[kept], spoken[kept], weights[kept])
