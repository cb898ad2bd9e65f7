"""Similarity of texts: link lines that differ in a few characters (rapidfuzz)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from histkit.errors import InputError
from histkit.retakes.candidates import candidate_pairs
from histkit.util.arguments import real_number
from histkit.util.arrays import Hashes, Ints
from histkit.util.progress import progress_bar
from histkit.util.text import quoted

if TYPE_CHECKING:
    from numpy.typing import NDArray


_DIGITS = re.compile(r"\d+")
_FEW = 64  # texts of which all pairs are compared at once
_PAIRS = 65_536  # pairs that are compared at a time
_DENSE = 4  # where one pair in so many or more has to be compared, all pairs are: that is faster for each pair
_LONG = 10_000  # texts of a voice from which on a bar is shown


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
    several = [sorted(members, key=lambda place: len(texts[place])) for members in groups.values() if len(members) > 1]
    roots = np.arange(len(keys))
    total = sum(map(len, several))
    most = max(map(len, several), default=0)
    with progress_bar(
        None if most > _LONG else False, total=total, desc="Near texts", unit=" texts", unit_scale=True, leave=False
    ) as bar:
        for group in several:
            members = np.array(group, np.int64)
            clusters = _Clusters(len(members))
            for compared in _link([texts[place] for place in group], near, clusters):
                bar.update(compared)
            roots[members] = members[clusters.roots()]
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


class _Clusters:
    """Sets of linked positions."""

    def __init__(self, size: int) -> None:
        self._parents = np.arange(size)

    def roots(self) -> Ints:
        """Return the least position that each one is linked to."""
        while not np.array_equal(self._parents, higher := self._parents[self._parents]):
            self._parents = higher
        return self._parents

    def link(self, ones: Ints, others: Ints) -> None:
        """Link the positions of each pair."""
        parents = self._parents
        for one, other in zip(ones.tolist(), others.tolist(), strict=True):
            low, high = sorted((self._root(one), self._root(other)))
            parents[high] = low

    def _root(self, place: int) -> int:
        parents = self._parents
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = int(parents[place])
        return place


def _link(texts: Sequence[str], near: float, clusters: _Clusters) -> Iterator[int]:
    """Link similar texts, given texts in order of length; yield numbers of texts that have been compared.

    Pairs that are linked already, over others, are not compared.
    """
    if len(texts) < _FEW:
        ones, others = np.nonzero(_scores(texts, texts, near))
        clusters.link(ones[others > ones], others[others > ones])
        yield len(texts)
        return
    waiting, number = list[tuple[Ints, Ints]](), 0
    for compared, ones, others in candidate_pairs(texts, near):
        waiting.append((ones, others))
        number += len(ones)
        yield compared
        if number >= _PAIRS:
            _link_similar_ones(texts, near, clusters, waiting)
            waiting, number = [], 0
    _link_similar_ones(texts, near, clusters, waiting)


def _link_similar_ones(
    texts: Sequence[str], near: float, clusters: _Clusters, pairs: Sequence[tuple[Ints, Ints]]
) -> None:
    if not pairs:
        return
    ones, others = (np.concatenate(places) for places in zip(*pairs, strict=True))
    for start in range(0, len(ones), _PAIRS):
        roots, some = clusters.roots(), slice(start, start + _PAIRS)
        separate = roots[ones[some]] != roots[others[some]]
        _link_pairs(texts, near, clusters, ones[some][separate], others[some][separate])


def _link_pairs(texts: Sequence[str], near: float, clusters: _Clusters, ones: Ints, others: Ints) -> None:
    from rapidfuzz.process import cpdist

    rows, columns = np.unique(ones), np.unique(others)
    if len(ones) * _DENSE >= len(rows) * len(columns):
        first, second = np.nonzero(_scores(_at(texts, rows), _at(texts, columns), near))
        ones, others = rows[first], columns[second]
    else:
        scores = cpdist(
            _at(texts, ones),
            _at(texts, others),
            scorer=_scorer(),
            score_cutoff=near,
            dtype=np.float32,
            workers=-1,
        )
        similar = np.ravel(scores) > 0
        ones, others = ones[similar], others[similar]
    clusters.link(ones, others)


def _at(texts: Sequence[str], places: Ints) -> list[str]:
    return [texts[place] for place in places.tolist()]


def _scores(queries: Sequence[str], texts: Sequence[str], near: float) -> NDArray[np.float32]:
    """Return the similarity of all pairs, 0 where it is below `near`."""
    from rapidfuzz.process import cdist

    scores: NDArray[np.float32] = cdist(
        queries, texts, scorer=_scorer(), score_cutoff=near, dtype=np.float32, workers=-1
    )
    return scores


def _scorer() -> Any:
    try:
        from rapidfuzz.distance import Indel
    except ImportError:
        raise InputError("near= needs rapidfuzz: pip install 'histkit[near]'.") from None
    return Indel.normalized_similarity
