"""Pairs of texts that can be similar: counts of letters and bigrams bound their distance, so that few are compared.

The Indel distance of two texts is the number of insertions and deletions that make one of the other. One insertion
changes one count of letters, and three counts of bigrams at most: it parts one bigram and makes two. So the counts of
two texts differ by no more than once or three times their distance. Letters and bigrams share classes, which makes the
differences smaller, never larger. Counts are compared as bits, one for each threshold of a class: two texts differ in
no more bits than their counts differ by, whichever thresholds are chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from histkit.util.arrays import Ints, bit_counts

_LETTERS, _FREQUENT = 64, 48  # classes of letters; the most frequent letters are classes of their own
_BIGRAMS = 256  # classes of bigrams
_BIGRAM_CHANGES = 3  # counts of bigrams that an insertion changes, at most
_LETTER_WORDS, _FIRST, _BIGRAM_WORDS = 4, 3, 8  # of 64 bits; the first ones of the letters are compared for all pairs
_SAMPLE = 1024  # texts from which the thresholds are chosen
_HIGHEST = 64  # threshold
_TEXTS, _CELLS = 4096, 65_536  # texts counted, and pairs compared, at a time
_BAND = 1.05  # longest length over shortest of the texts that are compared by the same thresholds
_CODE_POINTS = 0x110000

Words = NDArray[np.uint64]
Counts = NDArray[np.uint8]


def candidate_pairs(texts: Sequence[str], near: float) -> Iterator[tuple[int, Ints, Ints]]:
    """Yield the pairs of texts whose lengths, letters and bigrams allow that they are similar.

    Parameters
    ----------
    texts : sequence of str
        In order of length.
    near : float
        The least similarity.

    Yields
    ------
    compared : int
        Number of texts of which all pairs with longer texts have been compared since the last time.
    ones, others : int64 arrays
        Positions of the texts of each pair; the first is less than the second.
    """
    lengths = np.array([len(text) for text in texts], np.int64)
    ends = np.searchsorted(lengths, np.floor(lengths * (2 - near) / near + 1e-9), side="right")
    letters, bigrams = _counts(texts)
    start = 0
    while start < len(texts):
        stop = int(np.searchsorted(lengths, lengths[start] * _BAND, side="right"))
        block = slice(start, int(ends[stop - 1]))
        words = _threshold_bits(letters[block], _LETTER_WORDS), _threshold_bits(bigrams[block], _BIGRAM_WORDS)
        while start < stop:
            end, last = int(np.searchsorted(lengths, lengths[start], side="right")), int(ends[start])
            most = np.floor((1 - near) * (lengths[start:last] + lengths[start]) + 1e-6).astype(np.int64)
            rows = max(1, _CELLS // (last - start))
            for first in range(start, end, rows):
                queries = slice(first - block.start, min(end, first + rows) - block.start)
                others = slice(first - block.start, last - block.start)
                pairs = _close(*words, queries, others, most[first - start :])
                yield queries.stop - queries.start, pairs[0] + first, pairs[1] + first
            start = end


def _close(letters: Words, bigrams: Words, queries: slice, texts: slice, most: Ints) -> tuple[Ints, Ints]:
    """Return the pairs of a query and a later text whose bits allow a distance of no more than that of the text."""
    distances = bit_counts(letters[0, queries, None] ^ letters[0, None, texts])
    for word in range(1, _FIRST):
        distances += bit_counts(letters[word, queries, None] ^ letters[word, None, texts])
    places = np.flatnonzero(distances <= np.minimum(most, 255).astype(np.uint8))
    ones, others = np.divmod(places, texts.stop - texts.start)
    later = others > ones
    ones, others, places = ones[later], others[later], places[later]
    close = distances.ravel()[places] + _differing(letters[_FIRST:], queries, texts, ones, others) <= most[others]
    ones, others = ones[close], others[close]
    total = np.zeros(len(ones), np.int64)
    for words in (bigrams[: _BIGRAM_WORDS // 2], bigrams[_BIGRAM_WORDS // 2 :]):
        total += _differing(words, queries, texts, ones, others)
        close = total <= _BIGRAM_CHANGES * most[others]
        ones, others, total = ones[close], others[close], total[close]
    return ones, others


def _differing(words: Words, queries: slice, texts: slice, ones: Ints, others: Ints) -> Ints:
    """Return in how many bits each pair differs."""
    total = np.zeros(len(ones), np.int64)
    for word in words:
        total += bit_counts(word[queries][ones] ^ word[texts][others])
    return total


def _counts(texts: Sequence[str]) -> tuple[Counts, Counts]:
    """Return the number of letters, and of bigrams, of each class in each text."""
    frequency = np.zeros(_CODE_POINTS, np.int64)
    for codes, _, _ in _code_points(texts):
        frequency += np.bincount(codes, minlength=_CODE_POINTS)
    classes = _FREQUENT + np.arange(_CODE_POINTS) % (_LETTERS - _FREQUENT)
    classes[np.argsort(-frequency, kind="stable")[:_FREQUENT]] = np.arange(_FREQUENT)
    letters, bigrams = [], []
    for codes, rows, size in _code_points(texts):
        letter = classes[codes]
        letters.append(_count(rows, letter, size, _LETTERS))
        within = rows[1:] == rows[:-1]
        pairs = (37 * letter[:-1] + 149 * letter[1:]) % _BIGRAMS
        bigrams.append(_count(rows[1:][within], pairs[within], size, _BIGRAMS))
    return np.concatenate(letters), np.concatenate(bigrams)


def _count(rows: Ints, classes: Ints, size: int, number: int) -> Counts:
    counts = np.bincount(rows * number + classes, minlength=size * number).reshape(size, number)
    return np.minimum(counts, 255).astype(np.uint8)


def _code_points(texts: Sequence[str]) -> Iterator[tuple[NDArray[np.uint32], Ints, int]]:
    """Yield the code points of some texts at a time, the number of the text that each is of, and how many texts."""
    for start in range(0, len(texts), _TEXTS):
        some = texts[start : start + _TEXTS]
        codes = np.frombuffer("".join(some).encode("utf-32-le", "surrogatepass"), "<u4")
        yield codes, np.repeat(np.arange(len(some)), [len(text) for text in some]), len(some)


def _threshold_bits(counts: Counts, words: int) -> Words:
    """Return rows of words, in each row a word of each text: whether its counts reach thresholds.

    The thresholds are those that tell most of the texts apart; the first words have the best ones.
    """
    sample = counts[:: -(-len(counts) // _SAMPLE)]
    highest = int(np.clip(sample.max(initial=1), 1, _HIGHEST))
    share = np.array([(sample >= threshold).mean(axis=0) for threshold in range(1, highest + 1)])
    best = np.argsort(-(share * (1 - share)), axis=None, kind="stable")[: 64 * words]
    thresholds, classes = np.unravel_index(best, share.shape)
    reached = np.zeros((len(counts), 64 * words), bool)
    reached[:, : len(best)] = counts[:, classes] >= (thresholds + 1).astype(np.uint8)
    return np.ascontiguousarray(np.packbits(reached, axis=1).view(np.uint64).T)
