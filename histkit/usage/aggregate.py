"""Partial aggregation: reduce each frame to partial sums, then combine these (as in Dask's tree reduction).

A partial sum is keyed by raw values: the id and name of a voice as written, the first instant of a period, the values
of other columns. Labels of voices, the rest beyond ``top`` and the order are decided from all rows together, in
`histkit.usage.table.build_table`. So partial sums can be computed anywhere and combined in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histkit.errors import InputError, SchemaError
from histkit.frame.columns import factorize_text, factorize_values, integer_array, whole_numbers
from histkit.frame.dates import instants_of
from histkit.frame.log_table import WHO_ADVICE
from histkit.frame.schema import require
from histkit.usage.buckets import bucket
from histkit.usage.dialogue import DialogueShares, SpeakerShares, apportion, parts_of
from histkit.usage.periods import Freq
from histkit.util.arrays import Ints, Mask, add_by_code
from histkit.util.text import escape_surrogates, quoted

if TYPE_CHECKING:
    from numpy.typing import NDArray


MEASURES = ("items", "characters", "credits")
WITHOUT = ("without_credits", "without_characters", "without_date")  # counts of rows
LATEST = "latest"
TEXT = pd.StringDtype("pyarrow")
_VOICES = ("voice", "speaker")
_WORDS = {"model": "model_id", "source": "source"}
RESERVED = frozenset((*_VOICES, *_WORDS, *MEASURES, "period"))  # words with a meaning in ``usage_table(by=)``
_DENSE = 100_000  # up to this many combinations, no hash table is needed


@dataclass(frozen=True)
class UsageQuery:
    """The checked arguments of a usage table.

    Attributes
    ----------
    names : tuple
        The groups.
    length : Freq or None
        Length of the periods.
    zone : tzinfo
        Zone of the periods.
    top : int or None
        Number of groups to keep.
    fill : (start, end) or None
        Span in which empty periods are added, in microseconds; a None in it is the end of the data.
    compare : bool
        Whether each period is compared with the one before.
    splits : tuple of str
        Columns that divide each group further; not subject to `top`.
    """

    names: tuple[Any, ...]
    length: Freq | None
    zone: tzinfo
    top: int | None
    fill: tuple[int | None, int | None] | None = None
    compare: bool = False
    splits: tuple[str, ...] = ()

    def all_names(self) -> tuple[Any, ...]:
        """Return the names of groups and splits."""
        return (*self.names, *self.splits)

    def voiced(self) -> bool:
        """Return whether the table is by voice, so that dialogues are divided among their voices."""
        return any(is_voice(name) for name in self.names)

    def columns(self) -> list[Any]:
        """Return the columns that the sums read, and ``date``, whose missing values are counted."""
        voices = ["voice_id", "voice_name", "dialogue"] if self.voiced() else []
        others = [column_of(name) for name in self.all_names() if not is_voice(name)]
        return list(dict.fromkeys([*voices, *others, "characters", "credits", "date"]))


@dataclass(frozen=True)
class Group:
    """A grouping: the value of each code, and the code of each row, in one or two blocks of rows."""

    name: Any
    values: Any
    codes: Sequence[Ints]

    def shared(self, spoken: DialogueShares) -> Group:
        """Return the grouping with a second block, the parts of dialogues."""
        return Group(self.name, self.values, [*self.codes, self.codes[0][spoken.rows]])


@dataclass(frozen=True)
class Measure:
    """Numbers to sum (or, for `LATEST`, to take the maximum of) and which are known, by block of rows."""

    name: str
    values: Sequence[NDArray[Any]]
    known: Sequence[Mask]

    def shared(self, spoken: DialogueShares) -> Measure:
        """Return the measure with a second block, the shares of the parts of dialogues."""
        values = self.values[0][spoken.rows].astype(np.int64, copy=False)
        if self.name != LATEST:
            values = apportion(values, spoken.weights, spoken.rows)
        return Measure(self.name, [*self.values, values], [*self.known, self.known[0][spoken.rows]])


def is_voice(name: Any) -> bool:
    """Return whether a group is the voice."""
    return isinstance(name, str) and name in _VOICES


def is_word(name: Any) -> bool:
    """Return whether a group is shown as text, with a word for missing values."""
    return isinstance(name, str) and name in _WORDS


def column_of(name: Any) -> Any:
    """Return the column of a group other than the voice."""
    return _WORDS[name] if is_word(name) else name


def partial_sums(frame: pd.DataFrame, query: UsageQuery) -> pd.DataFrame:
    """Sum the rows of one frame.

    Returns
    -------
    pandas.DataFrame
        ``voice_id``, ``voice_name`` (string; by voice), ``by0``, ``by1``, ... (the other groups, by their place in
        `query`), ``period`` (Int64, microseconds), ``items``, ``characters``, ``credits``, ``without_credits``, ...
        (Int64; missing where all are unknown), ``latest`` (Int64, microseconds; by voice).

    Raises
    ------
    InputError, SchemaError
        As `histkit.usage_table`.
    """
    require(frame, ("characters", "credits"), "a usage table")
    parts = _parts(frame) if query.voiced() else None
    groups = [_group(frame, name, f"by{place}") for place, name in enumerate(query.all_names()) if not is_voice(name)]
    sums = measures_of(frame)
    if query.length is not None:
        require(frame, ["date"], "usage over time")
    if query.length is not None or parts is not None:
        instants, known = instants_of(frame["date"])
        if query.length is not None:
            groups.append(_periods(instants, known, query.length, query.zone))
        if parts is not None:
            sums.append(Measure(LATEST, [instants], [known]))
    if parts is None:
        return aggregate(groups, sums, [len(frame)])
    spoken = parts.spoken
    groups = [*_voices(parts), *(group.shared(spoken) for group in groups)]
    sums = [measure.shared(spoken) for measure in sums]
    return aggregate(groups, sums, [len(frame), len(spoken.rows)], skipped=spoken.rows)


def combine(partials: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Combine partial sums into one; the operation is associative and commutative."""
    filled = [partial for partial in partials if len(partial)] or list(partials[:1])
    stacked = {name: _concat([partial[name] for partial in filled]) for name in filled[0].columns}
    keys = list(stacked)[: list(stacked).index(MEASURES[0])]
    groups = [any_column(name, stacked[name]) for name in keys]
    return aggregate(
        groups, [measure_of(stacked[name]) for name in stacked if name not in keys], [sum(map(len, filled))]
    )


def aggregate(
    groups: Sequence[Group], sums: Sequence[Measure], sizes: Sequence[int], skipped: Ints | None = None
) -> pd.DataFrame:
    """Sum the measures over each combination of groups that occurs.

    Parameters
    ----------
    groups : sequence of Group
        The groupings; rows of the result are in the order of their codes, the first group first.
    sums : sequence of Measure
        The measures; a sum is missing if no number is known.
    sizes : sequence of int
        Number of rows in each block.
    skipped : int64 array, optional
        Rows of the first block to leave out.
    """
    codes, span, steps = combined(groups, sizes)
    if skipped is not None:
        codes[skipped] = span  # a bin after all others
    counts = np.bincount(codes, minlength=span + 1)
    seen = np.flatnonzero(counts[:span])
    data: dict[Any, Any] = {group.name: None for group in groups}
    left = seen
    for group, uniques in zip(reversed(groups), reversed(steps), strict=True):
        left = left if uniques is None else uniques[left]
        left, place = np.divmod(left, len(group.values))
        data[group.name] = group.values.take(place)
    blocks = _blocks(codes, sizes)
    for measure in sums:
        total, missing = _total(measure, blocks, counts)
        data[measure.name] = integer_array(total[seen], missing[seen])
    return pd.DataFrame(data)


def combined(groups: Sequence[Group], sizes: Sequence[int]) -> tuple[Ints, int, list[Ints | None]]:
    """Combine the codes of groups.

    Returns
    -------
    codes : int64 array, shape (rows of all blocks,)
        Equal where the codes of all groups are equal; ordered as these, the first group first.
    span : int
        Greater than all codes.
    steps : list of int64 array or None
        For each group, the distinct combined codes that were renumbered at this group to keep `span` small.
    """
    codes, span = np.concatenate(groups[0].codes) if groups else np.zeros(sum(sizes), np.int64), 1
    steps: list[Ints | None] = []
    for place, group in enumerate(groups):
        if place:
            codes *= len(group.values)
            for block, group_codes in zip(_blocks(codes, sizes), group.codes, strict=True):
                block += group_codes
        span, uniques = span * len(group.values), None
        if span > max(_DENSE, len(codes)):
            codes, uniques = pd.factorize(codes, sort=True)
            codes, span = codes.astype(np.int64, copy=False), len(uniques)
        steps.append(uniques)
    return codes, span, steps


def distinct_rows(table: pd.DataFrame, names: Sequence[Any]) -> tuple[Ints, Ints]:
    """Return the first row of each distinct combination of values, in order of appearance, and each row's combination.

    Missing values are equal. Without `names`, all rows are one combination.
    """
    codes, _, _ = combined([any_column(name, table[name]) for name in names], [len(table)])
    codes = pd.factorize(codes)[0].astype(np.int64)
    return np.unique(codes, return_index=True)[1], codes


def sums_by_code(column: pd.Series, codes: Ints, size: int) -> pd.arrays.IntegerArray:
    """Return the sum of an integer column for each code below `size`; missing if all values are missing."""
    values, known = whole_numbers(column)
    return integer_array(add_by_code(values, codes, size), np.bincount(codes[known], minlength=size) == 0)


def ratio(parts: pd.Series, wholes: pd.Series) -> pd.Series:
    """Return each part divided by its total as Float64; missing if the total is 0 or a value is missing."""
    wholes = wholes.astype("Float64")
    return (parts.astype("Float64") / wholes.where(wholes != 0)).astype("Float64")


def _blocks(codes: Ints, sizes: Sequence[int]) -> list[Ints]:
    """Return views of the codes of each block."""
    return np.split(codes, np.cumsum(sizes)[:-1])


def _total(measure: Measure, blocks: Sequence[Ints], counts: Ints) -> tuple[Ints, Mask]:
    """Return the sum of a measure for each code, and which sums are missing."""
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
    """Return the grouping by a column, in its own dtype; missing values are one group."""
    codes, uniques = factorize_values(column)
    codes = np.where(codes < 0, len(uniques), codes)
    first = np.full(len(uniques) + 1, -1, np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    values = column.iloc[first[first >= 0]]  # only the missing value may have no row
    if values.dtype == object:  # halves of surrogate pairs, which no Arrow column can hold, become their escapes
        values = values.map(lambda value: escape_surrogates(value) if isinstance(value, str) else value)
    return Group(name, values.array, [codes])


def measures_of(frame: pd.DataFrame) -> list[Measure]:
    """Return the measures of a history: items, characters, credits, and counts of unknown values."""
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
    """Return the measure of an integer column."""
    values, known = whole_numbers(column)
    return Measure(str(column.name), [values], [known])


def _parts(frame: pd.DataFrame) -> SpeakerShares:
    require(frame, ("voice_id", "voice_name", "dialogue", "date"), "usage by voice")
    return parts_of(frame)


def _voices(parts: SpeakerShares) -> list[Group]:
    ids, texts = [None, *(voice_id for voice_id, _ in parts.keys)], [None, *parts.texts]
    return [
        Group("voice_id", pd.array(ids, dtype=TEXT), [parts.voices + 1, parts.spoken.voices + 1]),
        Group("voice_name", pd.array(texts, dtype=TEXT), [parts.names + 1, parts.spoken.names + 1]),
    ]


def _group(frame: pd.DataFrame, name: Any, label: str) -> Group:
    column = column_of(name)
    require(frame, [column], f"usage by {quoted(name)}", (*_VOICES, *_WORDS), WHO_ADVICE)
    if is_word(name):
        codes, texts = factorize_text(frame[column])
        codes += 1  # in place, since new memory costs more than the addition
        return Group(label, pd.array([None, *texts], dtype=TEXT), [codes])
    try:
        return any_column(label, frame[column])
    except SchemaError:
        raise InputError(
            f"by={quoted(name)} is not possible: rows can't be grouped by {frame[column].dtype}."
        ) from None


def _periods(instants: Ints, known: Mask, length: Freq, zone: tzinfo) -> Group:
    if known.all():
        codes, starts = bucket(instants, length, zone)
    else:
        codes = np.zeros(len(instants), np.int64)
        codes[known], starts = bucket(instants[known], length, zone)
        codes[~known] = len(starts)
    return Group("period", pd.array([*starts.tolist(), None], dtype="Int64"), [codes])


def _concat(columns: list[pd.Series]) -> pd.Series:
    if len(columns) == 1:
        return columns[0]
    if all(isinstance(column.dtype, pd.CategoricalDtype) for column in columns):
        return pd.Series(pd.api.types.union_categoricals(columns), name=columns[0].name)
    return pd.concat(columns, ignore_index=True)
