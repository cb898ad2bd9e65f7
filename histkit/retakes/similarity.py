"""Similarity of texts: link lines that differ in a few characters (rapidfuzz)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from histkit.errors import InputError
from histkit.util.arguments import real_number
from histkit.util.arrays import Hashes
from histkit.util.progress import progress_bar
from histkit.util.text import quoted

if TYPE_CHECKING:
    from numpy.typing import NDArray


_DIGITS = re.compile(r"\d+")
_CELLS = 4_000_000  # pairs compared at a time: 16 MB of scores
_LONG = 50_000_000  # pairs from which on a bar is shown


def checked_near(near: Any) -> float | None:
    """Return a similarity threshold from 0.5 to 1, or None.

    Raises
    ------
    InputError
        `near` is not a number from 0.5 to 1, or rapidfuzz is not installed.
    """
    if near is None:
        return None
    threshold = real_number(near)
    if threshold is None or not 0.5 <= threshold <= 1:
        raise InputError(f"near={quoted(near, 40)} is not a similarity; use a number from 0.5 to 1, such as 0.9.")
    _scorer()
    return threshold


def link_similar(keys: Hashes, voices: Hashes, texts: Sequence[str], near: float) -> Hashes:
    """Return the cluster key of each line: the smallest key among the lines linked to it.

    Parameters
    ----------
    keys : uint64 array
        Keys of the lines, distinct.
    voices : uint64 array
        Voices of the lines; only lines of the same voice are linked.
    texts : sequence of str
        Normalised texts of the lines.
    near : float
        Two texts are linked if their `likeness` is at least this and they contain the same numbers.

    Returns
    -------
    uint64 array
        Independent of the order of the lines; links are transitive.
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    for place, (voice, text) in enumerate(zip(voices.tolist(), texts, strict=True)):
        groups.setdefault((voice, *_DIGITS.findall(text)), []).append(place)
    parents = list(range(len(keys)))
    several = [sorted(members, key=lambda place: len(texts[place])) for members in groups.values() if len(members) > 1]
    total = sum(len(members) ** 2 for members in several)
    with progress_bar(
        None if total > _LONG else False, total=total, desc="Near texts", unit="pair", unit_scale=True, leave=False
    ) as bar:
        for members in several:
            for one, other in _similar_pairs([texts[place] for place in members], near):
                low, high = sorted((_root(parents, members[one]), _root(parents, members[other])))
                parents[high] = low
            bar.update(len(members) ** 2)
    roots = np.array([_root(parents, place) for place in range(len(keys))], np.int64)
    smallest = np.full(len(keys), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(smallest, roots, keys)
    result: Hashes = smallest[roots]
    return result


def nearest(queries: Sequence[str], texts: Sequence[str], near: float) -> Iterator[tuple[int, list[int]]]:
    """Return for each query the positions of the most similar texts that are similar enough and have its numbers."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, text in enumerate(texts):
        groups.setdefault(tuple(_DIGITS.findall(text)), []).append(place)
    for number, text in enumerate(queries):
        members = groups.get(tuple(_DIGITS.findall(text)), [])
        scores = _scores([text], [texts[place] for place in members], near)[0] if members else np.zeros(0, np.float32)
        best = scores.max(initial=0)
        yield number, [members[place] for place in np.flatnonzero(scores == best).tolist()] if best > 0 else []


def likeness(one: str, other: str) -> float:
    """Return the similarity of two texts: twice the characters they share in order, over the characters of both.

    Examples
    --------
    >>> likeness("the cat sat", "the cat sat"), likeness("abcd", "abxd"), likeness("a", "b")
    (1.0, 0.75, 0.0)
    """
    return float(_scorer()(one, other))


def _similar_pairs(texts: Sequence[str], near: float) -> Iterator[tuple[int, int]]:
    """Return the pairs of similar texts, given texts in order of length; lengths that differ much are skipped."""
    lengths = np.array([len(text) for text in texts], np.int64)
    ends = np.searchsorted(lengths, np.floor(lengths * (2 - near) / near + 1e-9), side="right")
    start = 0
    while start < len(texts):
        stop = min(len(texts), start + max(1, _CELLS // max(1, int(ends[start]) - start)))
        end = int(ends[stop - 1])
        scores = _scores(texts[start:stop], texts[start:end], near)
        ones, others = np.nonzero(scores)
        later = others > ones
        yield from zip((ones[later] + start).tolist(), (others[later] + start).tolist(), strict=True)
        start = stop


def _scores(queries: Sequence[str], texts: Sequence[str], near: float) -> NDArray[np.float32]:
    """Return the similarity of all pairs, 0 where it is below `near`."""
    from rapidfuzz.process import cdist

    scores: NDArray[np.float32] = cdist(
        queries, texts, scorer=_scorer(), score_cutoff=near, dtype=np.float32, workers=-1
    )
    return scores


def _root(parents: list[int], place: int) -> int:
    while parents[place] != place:
        parents[place] = parents[parents[place]]
        place = parents[place]
    return place


def _scorer() -> Any:
    try:
        from rapidfuzz.distance import Indel
    except ImportError:
        raise InputError("near= needs rapidfuzz: pip install 'histkit[near]'.") from None
    return Indel.normalized_similarity
