"""Speakers of each row: a row of one voice is one part, a dialogue has one part for each voice that speaks in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from histkit.frame.columns import NO_CODE, factorize_text
from histkit.frame.dialogues import flat_lines
from histkit.util.arrays import Ints, Mask, add_by_code


@dataclass(frozen=True)
class DialogueShares:
    """The parts of the dialogues.

    Attributes
    ----------
    rows : int64 array, shape (parts,)
        Row of each part; ascending.
    voices, names : int64 arrays, shape (parts,)
        As in `SpeakerShares`.
    weights : int64 array, shape (parts,)
        Characters of each part, in proportion to which a dialogue is divided.
    """

    rows: Ints
    voices: Ints
    names: Ints
    weights: Ints


@dataclass(frozen=True)
class SpeakerShares:
    """Rows divided by speaking voice.

    Attributes
    ----------
    voices, names : int64 arrays, shape (rows,)
        Voice of each row, as positions in `keys` and `texts`; -1 for none. Not used for dialogues.
    spoken : DialogueShares
        Voices of the rows that are dialogues.
    keys : list of (id or None, name or None)
        Voices: the id, or the name if the id is missing.
    texts : list of str
        Names.
    """

    voices: Ints
    names: Ints
    spoken: DialogueShares
    keys: list[tuple[str | None, str | None]]
    texts: list[str]


def apportion(totals: Ints, weights: Ints, groups: Ints) -> Ints:
    """Divide integers in proportion to weights by largest remainder (see `gets_unit`).

    Parameters
    ----------
    totals : int64 array, shape (parts,)
        Total of the group of each part.
    weights : int64 array, shape (parts,)
        Not negative, not all 0 in a group, with a sum below 2**31.
    groups : int64 array, shape (parts,)
        Group of each part, ascending.

    Returns
    -------
    int64 array, shape (parts,)
        Shares that add up to the total of each group; not negative if the total is not.
    """
    if not totals.any():
        return totals.copy()
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    sizes = np.diff(np.r_[starts, len(groups)])
    total_weight = np.repeat(np.add.reduceat(weights, starts), sizes)
    rounds, rest = totals // total_weight, totals % total_weight  # two steps, since total * weight may exceed 64 bits
    shares = rounds * weights + rest * weights // total_weight
    left = np.repeat(totals[starts] - np.add.reduceat(shares, starts), sizes)
    result: Ints = shares + gets_unit(rest * weights % total_weight, groups, left)
    return result


def gets_unit(remainders: Ints, groups: Ints, left: Any) -> Mask:
    """Return which parts are rounded up by the largest remainder method.

    The parts of a group are rounded down first. The units that are left go to the parts with the largest remainders,
    one each; ties go to the earlier part.

    Parameters
    ----------
    remainders : int64 array, shape (parts,)
        Remainder of each part, on a scale that is the same within a group.
    groups : int64 array, shape (parts,)
        Group of each part: small numbers, in any order.
    left : array of integers, shape (parts,)
        Number of units left in the group of each part.
    """
    sizes = np.bincount(groups)
    rank = np.empty(len(groups), np.int64)
    rank[np.lexsort((-remainders, groups))] = np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.asarray(rank < left, bool)


def parts_of(frame: pd.DataFrame) -> SpeakerShares:
    """Divide the rows by speaking voice; needs the columns voice_id, voice_name and dialogue."""
    ids, id_values = factorize_text(frame["voice_id"])
    names, name_values = factorize_text(frame["voice_name"])
    lines = _lines(frame["dialogue"])
    line_ids, id_values = _joined(lines.ids, id_values)
    line_names, name_values = _joined(lines.names, name_values)
    keys = [*((voice_id, None) for voice_id in id_values), *((None, name) for name in name_values)]
    voices = voices_of(ids, names, len(id_values))
    if len(lines.rows):
        spoken = _speaking(lines.rows, voices_of(line_ids, line_names, len(id_values)), line_names, lines.lengths)
    else:
        spoken = DialogueShares(lines.rows, line_ids, line_names, lines.lengths)
    return SpeakerShares(voices, names, spoken, keys, name_values)


def count_voices(frame: pd.DataFrame) -> int:
    """Return the number of distinct voices of the rows, those that speak in dialogues included."""
    parts = parts_of(frame)
    alone = np.ones(len(frame), bool)
    alone[parts.spoken.rows] = False
    voices = np.unique(np.r_[parts.voices[alone], parts.spoken.voices])
    return int((voices >= 0).sum())


def spoken_by(
    frame: pd.DataFrame, has_id: Callable[[str], bool], has_name: Callable[[str], bool]
) -> tuple[Ints, Ints, Ints]:
    """Return how much of each dialogue some voices speak.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history; needs the columns voice_id, voice_name and dialogue.
    has_id, has_name : callable
        Whether an id, or the name that a voice has in the dialogue, is that of one of the voices.

    Returns
    -------
    rows, spoken, total : int64 arrays, shape (dialogues,)
        Positions of the rows that are dialogues, the characters that these voices speak, and all characters: the
        weights by which usage divides a dialogue.
    """
    talks = np.flatnonzero(frame["dialogue"].notna().to_numpy(bool))
    parts = parts_of(frame[["voice_id", "voice_name", "dialogue"]].iloc[talks])
    by_key = [has_id(key) if key is not None else has_name(name or "") for key, name in parts.keys]
    by_name = [*map(has_name, parts.texts)]
    spoken = parts.spoken
    theirs = np.array([*by_key, False], bool)[spoken.voices] | np.array([*by_name, False], bool)[spoken.names]
    rows, codes = np.unique(spoken.rows, return_inverse=True)
    total = add_by_code(spoken.weights, codes, len(rows))
    return talks[rows], add_by_code(np.where(theirs, spoken.weights, 0), codes, len(rows)), total


@dataclass(frozen=True)
class _Lines:
    """Dialogue lines: row, voice id, voice name, characters of each."""

    rows: Ints
    ids: tuple[Ints, list[str]]
    names: tuple[Ints, list[str]]
    lengths: Ints


def _lines(column: pd.Series) -> _Lines:
    lines = flat_lines(column)
    lengths = pc.fill_null(pc.utf8_length(lines.texts), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return _Lines(lines.rows, _arrow_words(lines.voice_ids), _arrow_words(lines.voice_names), lengths)


def _arrow_words(array: pa.Array) -> tuple[Ints, list[str]]:
    encoded = array.dictionary_encode()
    codes = pc.fill_null(encoded.indices, NO_CODE).to_numpy(zero_copy_only=False)
    recoded, texts = factorize_text(pd.Series(encoded.dictionary.to_pylist(), dtype=object))
    return np.r_[recoded, NO_CODE][codes], texts


def _joined(words: tuple[Ints, list[str]], values: list[str]) -> tuple[Ints, list[str]]:
    """Recode the texts of dialogue lines to the positions in `values`, with new texts appended."""
    codes, texts = words
    places = {text: place for place, text in enumerate(values)}
    for text in texts:
        places.setdefault(text, len(places))
    table = np.array([*(places[text] for text in texts), NO_CODE], np.int64)
    return table[codes], list(places)


def voices_of(ids: Ints, names: Ints, known: int) -> Ints:
    """Return the key of each voice: its id, or its name (numbered after the ids) if the id is missing."""
    lacking = (ids < 0) & (names >= 0)
    return np.where(lacking, names + known, ids) if lacking.any() else ids


def _speaking(rows: Ints, voices: Ints, names: Ints, lengths: Ints) -> DialogueShares:
    """Merge the lines of each voice in a dialogue; omit voices without characters, unless all are."""
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
