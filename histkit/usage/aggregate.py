"""Partial sums of usage: the rows of one frame made a small frame, and several of these made one.

A partial is keyed by raw values: a voice's id and name as written, the first instant of a period, the values of other
columns. What a voice is called, what is ``other`` and what comes first is told in the end, from all rows together
(`histkit.usage.table.finish`). So partials can be made anywhere, and combined in any grouping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.columns import factorize_text, whole_numbers
from histkit.frame.dates import instants_of
from histkit.frame.schema import require
from histkit.usage.buckets import bucket
from histkit.usage.dialogue import DialogueShares, SpeakerShares, apportion, parts_of
from histkit.usage.periods import Freq
from histkit.util.arrays import Ints, Mask

if TYPE_CHECKING:
    from numpy.typing import NDArray


MEASURES = ("items", "characters", "credits")
WITHOUT = ("without_credits", "without_characters", "without_date")  # rows that lack these are counted
LATEST = "latest"
TEXT = pd.StringDtype("pyarrow")
_VOICES = ("voice", "speaker")
_WORDS = {"model": "model_id", "source": "source"}
_DENSE = 100_000  # so many combinations are counted without a hash table


@dataclass(frozen=True)
class UsageQuery:
    """What a table is asked for: its groups, its periods and the zone of their clock, and how many groups are kept.

    `fill` is the span in which empty periods are wanted (its start and end in microseconds; None: the data's), None for
    none; `compare` tells whether each period is set beside the one before.
    """

    names: tuple[Any, ...]
    length: Freq | None
    zone: tzinfo
    top: int | None
    fill: tuple[int | None, int | None] | None = None
    compare: bool = False

    def voiced(self) -> bool:
        """Tell whether a group is the voice, so that dialogues are shared out."""
        return any(is_voice(name) for name in self.names)

    def columns(self) -> list[Any]:
        """Give the columns that the sums are made of, and ``date``, which is counted in any case."""
        voices = ["voice_id", "voice_name", "dialogue"] if self.voiced() else []
        others = [column_of(name) for name in self.names if not is_voice(name)]
        return list(dict.fromkeys([*voices, *others, "characters", "credits", "date"]))


@dataclass(frozen=True)
class Group:
    """What is grouped by: the value of each code, and a code for each row, in one or two blocks of rows."""

    name: Any
    values: Any
    codes: Sequence[Ints]

    def shared(self, spoken: DialogueShares) -> Group:
        """Add the block of the parts of dialogues."""
        return Group(self.name, self.values, [*self.codes, self.codes[0][spoken.rows]])


@dataclass(frozen=True)
class Measure:
    """What is summed (of `LATEST`: what the largest is of): a number for each row and which are known, by block."""

    name: str
    values: Sequence[NDArray[Any]]
    known: Sequence[Mask]

    def shared(self, spoken: DialogueShares) -> Measure:
        """Add the block of the parts of dialogues, each with its share."""
        values = self.values[0][spoken.rows].astype(np.int64, copy=False)
        if self.name != LATEST:
            values = apportion(values, spoken.weights, spoken.rows)
        return Measure(self.name, [*self.values, values], [*self.known, self.known[0][spoken.rows]])


def is_voice(name: Any) -> bool:
    """Tell whether a group is the voice."""
    return isinstance(name, str) and name in _VOICES


def is_word(name: Any) -> bool:
    """Tell whether a group is shown as text, with a word for what is missing."""
    return isinstance(name, str) and name in _WORDS


def column_of(name: Any) -> Any:
    """Give the column of a group other than the voice."""
    return _WORDS[name] if is_word(name) else name


def partial_sums(frame: pd.DataFrame, wanted: UsageQuery) -> pd.DataFrame:
    """Sum the rows of one frame.

    Returns
    -------
    pandas.DataFrame
        ``voice_id``, ``voice_name`` (string; by voice), ``by0``, ``by1``, ... (the other groups, by their place in
        `wanted`), ``period`` (Int64, microseconds), ``items``, ``characters``, ``credits``, ``without_credits``, ...
        (Int64; missing where all are unknown), ``latest`` (Int64, microseconds; by voice).

    Raises
    ------
    InputError, SchemaError
        As `histkit.usage_table`.
    """
    require(frame, ("characters", "credits"), "a usage table")
    parts = _parts(frame) if wanted.voiced() else None
    groups = [_group(frame, name, f"by{place}") for place, name in enumerate(wanted.names) if not is_voice(name)]
    sums = measures_of(frame)
    if wanted.length is not None:
        require(frame, ["date"], "usage over time")
    if wanted.length is not None or parts is not None:
        instants, known = instants_of(frame["date"])
        if wanted.length is not None:
            groups.append(_periods(instants, known, wanted.length, wanted.zone))
        if parts is not None:
            sums.append(Measure(LATEST, [instants], [known]))
    if parts is None:
        return aggregate(groups, sums, [len(frame)])
    spoken = parts.spoken
    groups = [*_voices(parts), *(group.shared(spoken) for group in groups)]
    return aggregate(
        groups, [each.shared(spoken) for each in sums], [len(frame), len(spoken.rows)], skipped=spoken.rows
    )


def combine(partials: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Make one partial of several; which are combined first does not matter."""
    filled = [each for each in partials if len(each)] or list(partials[:1])
    whole = {name: _joined([each[name] for each in filled]) for name in filled[0].columns}
    keys = list(whole)[: list(whole).index(MEASURES[0])]
    groups = [any_column(name, whole[name]) for name in keys]
    return aggregate(groups, [measure_of(whole[name]) for name in whole if name not in keys], [sum(map(len, filled))])


def aggregate(
    groups: Sequence[Group], sums: Sequence[Measure], sizes: Sequence[int], skipped: Ints | None = None
) -> pd.DataFrame:
    """Sum each combination of groups that occurs.

    Parameters
    ----------
    groups : sequence of Group
        Combinations come in the order of their codes.
    sums : sequence of Measure
        A sum is missing where nothing is known.
    sizes : sequence of int
        How many rows there are in each block.
    skipped : int64 array, optional
        Rows of the first block to leave out.
    """
    codes, span, steps = combined(groups, sizes)
    if skipped is not None:
        codes[skipped] = span  # a place behind all others
    counts = np.bincount(codes, minlength=span + 1)
    seen = np.flatnonzero(counts[:span])
    data: dict[Any, Any] = {group.name: None for group in groups}
    left = seen
    for group, uniques in zip(reversed(groups), reversed(steps), strict=True):
        left = left if uniques is None else uniques[left]
        left, own = np.divmod(left, len(group.values))
        data[group.name] = group.values.take(own)
    blocks = _blocks(codes, sizes)
    for each in sums:
        data[each.name] = pd.arrays.IntegerArray(*(found[seen] for found in _total(each, blocks, counts)))
    return pd.DataFrame(data)


def combined(groups: Sequence[Group], sizes: Sequence[int]) -> tuple[Ints, int, list[Ints | None]]:
    """Combine the codes of groups.

    Returns
    -------
    codes : int64 array, shape (rows of all blocks,)
        The same for the same values of all groups; ordered as the codes of the groups, the first group first.
    span : int
        A number that is above all codes.
    steps : list of int64 array or None
        For each group what its codes, combined with those before, were numbered by.
    """
    codes, span = np.concatenate(groups[0].codes) if groups else np.zeros(sum(sizes), np.int64), 1
    steps: list[Ints | None] = []
    for place, group in enumerate(groups):
        if place:
            codes *= len(group.values)
            for block, own in zip(_blocks(codes, sizes), group.codes, strict=True):
                block += own
        span, uniques = span * len(group.values), None
        if span > max(_DENSE, len(codes)):
            codes, uniques = pd.factorize(codes, sort=True)
            codes, span = codes.astype(np.int64, copy=False), len(uniques)
        steps.append(uniques)
    return codes, span, steps


def _blocks(codes: Ints, sizes: Sequence[int]) -> list[Ints]:
    """Give views of the codes of each block."""
    return np.split(codes, np.cumsum(sizes)[:-1])


def _total(measure: Measure, blocks: Sequence[Ints], counts: Ints) -> tuple[Ints, Mask]:
    """Sum a measure by code; also tell which sums are missing."""
    latest = measure.name == LATEST
    total = np.full(len(counts), np.iinfo(np.int64).min if latest else 0)
    unknown = np.zeros(len(counts), np.int64)
    for codes, values, known in zip(blocks, measure.values, measure.known, strict=True):
        if latest:
            np.maximum.at(total, codes, values)
        elif values.dtype != bool:
            np.add.at(total, codes, values)
        elif values.all():
            total += counts if len(blocks) == 1 else np.bincount(codes, minlength=len(counts))
        elif values.any():
            total += np.bincount(codes[values], minlength=len(counts))
        if not known.all():
            unknown += np.bincount(codes[~known], minlength=len(counts))
    return total, unknown == counts


def any_column(name: Any, column: pd.Series) -> Group:
    """Group by a column in its own dtype; all missing ones are one value."""
    codes, uniques = pd.factorize(column)
    codes = np.where(codes < 0, len(uniques), codes)
    first = np.full(len(uniques) + 1, -1, np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return Group(name, column.iloc[first[first >= 0]].array, [codes])  # only the last value can lack a row


def measures_of(frame: pd.DataFrame) -> list[Measure]:
    """Give what is summed over the rows of a history: items, characters, credits, and what is unknown."""
    everywhere: Mask = np.ones(len(frame), bool)
    sums = [Measure("items", [everywhere], [everywhere])]
    for name in MEASURES[1:]:
        sums.append(measure_of(frame[name]))
    for without in WITHOUT:
        name = without.removeprefix("without_")
        if name in frame.columns:
            sums.append(Measure(without, [frame[name].isna().to_numpy()], [everywhere]))
    return sums


def measure_of(column: pd.Series) -> Measure:
    """Give what is summed of a column of whole numbers."""
    values, known = whole_numbers(column)
    return Measure(str(column.name), [values], [known])


def _parts(frame: pd.DataFrame) -> SpeakerShares:
    require(frame, ("voice_id", "voice_name", "dialogue", "date"), "usage by voice")
    return parts_of(frame)


def _voices(parts: SpeakerShares) -> list[Group]:
    ids, texts = [None, *(each for each, _ in parts.keys)], [None, *parts.texts]
    return [
        Group("voice_id", pd.array(ids, dtype=TEXT), [parts.voices + 1, parts.spoken.voices + 1]),
        Group("voice_name", pd.array(texts, dtype=TEXT), [parts.names + 1, parts.spoken.names + 1]),
    ]


def _group(frame: pd.DataFrame, name: Any, label: str) -> Group:
    column = column_of(name)
    require(frame, [column], f"usage by {name!r}")
    if is_word(name):
        codes, texts = factorize_text(frame[column])
        codes += 1  # in place: new memory costs more than the sum
        return Group(label, pd.array([None, *texts], dtype=TEXT), [codes])
    try:
        return any_column(label, frame[column])
    except (TypeError, NotImplementedError):
        raise InputError(f"by={name!r} is not possible: rows can't be grouped by {frame[column].dtype}.") from None


def _periods(instants: Ints, known: Mask, length: Freq, zone: tzinfo) -> Group:
    if known.all():
        codes, starts = bucket(instants, length, zone)
    else:
        codes = np.zeros(len(instants), np.int64)
        codes[known], starts = bucket(instants[known], length, zone)
        codes[~known] = len(starts)
    return Group("period", pd.array([*starts.tolist(), None], dtype="Int64"), [codes])


def _joined(columns: list[pd.Series]) -> pd.Series:
    if len(columns) == 1:
        return columns[0]
    if all(isinstance(each.dtype, pd.CategoricalDtype) for each in columns):
        return pd.Series(pd.api.types.union_categoricals(columns), name=columns[0].name)
    return pd.concat(columns, ignore_index=True)
