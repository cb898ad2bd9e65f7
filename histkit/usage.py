"""Usage: items, characters and credits summed by voice, model, source, any column, and by period.

The sums over the groups of a table are the sums over the rows, exactly: a dialogue is shared out among its voices in
whole numbers, an instant belongs to one bucket of time, what has no group is a group of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histkit._parts import NOBODY, Parts, parts_of, words
from histkit._periods import Freq, bucket, parse_freq, zone_of
from histkit.errors import InputError, SchemaError
from histkit.filters import instants_of
from histkit.schema import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

MEASURES = ("items", "characters", "credits")
NO_VOICE, UNKNOWN, OTHER = "(no voice)", "(unknown)", "other"
_VOICES = ("voice", "speaker")
_WORDS = {"voice": "voice_id", "speaker": "voice_id", "model": "model_id", "source": "source"}
_SHORTEST_ID = 6
_DENSE = 100_000  # so many combinations are counted without a hash table
_TEXT = pd.StringDtype("pyarrow")


def usage_table(
    frame: pd.DataFrame,
    by: Any = "voice",
    freq: str | None = None,
    *,
    tz: str | tzinfo = "UTC",
    top: int | None = None,
) -> pd.DataFrame:
    """Sum items, characters and credits by group and period.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one; needs ``characters``, ``credits``, the columns of `by`, and ``date`` for `freq`.
        By voice it needs ``voice_id``, ``voice_name``, ``dialogue`` and ``date``.
    by : str or list, default "voice"
        ``"voice"`` (or ``"speaker"``, the same), ``"model"``, ``"source"``, or any column, or several of them. None or
        an empty list: all rows are one group.
    freq : str, optional
        A pandas alias: ``h`` (also ``2h``, ``6h``, ...), ``D``, ``W`` (weeks from Monday; ``W-SAT``: that end on
        Saturday), ``MS``, ``QS``, ``YS``, or an older spelling of these.
    tz : str or tzinfo, default "UTC"
        IANA name of the zone whose clock tells the buckets of `freq` apart.
    top : int, optional
        Keep this many groups, those of most credits over all periods; the others become one group ``other``.

    Returns
    -------
    pandas.DataFrame
        On a RangeIndex: the columns of `by` (voice, model and source as string, any other column as it is), ``period``
        when `freq` is given (``datetime64[us, tz]``: first instant of the bucket; NaT for rows without a date), and
        ``items``, ``characters`` (Unicode code points), ``credits`` (all Int64). Most credits first, within each period
        if there are any; ``other`` last. ``attrs["histkit"]`` counts the rows, those without credits, characters or
        date, and maps each label of a voice to its id (``voices``).

    Raises
    ------
    InputError
        `by`, `freq`, `tz` or `top` can't be used.
    SchemaError
        The frame lacks a column.

    Notes
    -----
    A voice is its id. It is shown by its latest name; voices of one name are told apart by the first letters of their
    ids, and a row without a voice is ``(no voice)``.

    A dialogue counts for the voices that speak in it, in proportion to their characters. Items, characters and credits
    are each shared out in whole numbers by largest remainder (ties to the first speaker), so a voice with a small part
    may get 0 items. A dialogue of empty lines goes to its first speaker.

    A row whose credits are unknown counts as an item and adds nothing to the credits. Where all credits of a group are
    unknown its sum is missing, not 0; the same for characters.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.sample_history(300)
    >>> hk.usage_table(df, "model", "MS", tz="Europe/Berlin").columns.tolist()
    ['model', 'period', 'items', 'characters', 'credits']
    >>> bool(hk.usage_table(df, "voice")["credits"].sum() == df["credits"].sum())
    True
    """
    names = _names(by, freq)
    if top is not None and (isinstance(top, bool) or not isinstance(top, int) or top < 1):
        raise InputError(f"top={top!r} is no number of groups; give 1 or more, or None for all.")
    length, zone = None if freq is None else parse_freq(freq), zone_of(tz)
    require(frame, ("characters", "credits"), "a usage table")
    parts = _parts(frame) if any(name in _VOICES for name in names) else None
    sums = _measures(frame, parts)
    groups = [_group(frame, name, parts) for name in names]
    others = np.zeros(len(sums[0].values), bool)
    if top is not None and groups:
        groups, others = _folded(groups, sums, top)
    if length is not None:
        groups.append(_periods(frame, length, zone, parts))
    table, first = _summed(groups, sums)
    table = table.iloc[_order(table, names, others[first], length is not None)].reset_index(drop=True)
    table.attrs["histkit"] = _facts(frame, table, groups, parts)
    return table


def speakers(frame: pd.DataFrame) -> pd.DataFrame:
    """Share out each row among the voices that speak in it, as `usage_table` does.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history; needs ``voice_id``, ``voice_name``, ``dialogue``, ``characters`` and ``credits``.

    Returns
    -------
    pandas.DataFrame
        One row per row of the history and voice that speaks in it, in the order of the history and of the first lines:
        ``row`` (int64, position in `frame`), ``voice_id``, ``voice_name`` (string; as written in that row), ``items``,
        ``characters``, ``credits`` (Int64, whole-number shares that add up to the row's). A row of one voice stands
        here as it is; a voice without a character in a dialogue is left out, unless the dialogue has none at all: that
        goes to its first speaker.

    Raises
    ------
    SchemaError
        The frame lacks a column.

    Examples
    --------
    >>> import histkit as hk
    >>> hk.speakers(hk.sample_history(300)).columns.tolist()
    ['row', 'voice_id', 'voice_name', 'items', 'characters', 'credits']
    """
    require(frame, ("voice_id", "voice_name", "dialogue", "characters", "credits"), "the table of speakers")
    parts = parts_of(frame)
    ids = np.array([*(each for each, _ in parts.keys), None], object)
    names = np.array([*parts.texts, None], object)
    table = pd.DataFrame(
        {
            "row": parts.rows,
            "voice_id": pd.array(ids[parts.voices], dtype=_TEXT),
            "voice_name": pd.array(names[parts.names], dtype=_TEXT),
            **{each.name: pd.array(each.values, dtype="Int64") for each in _measures(frame, parts)},
        }
    )
    for each in _measures(frame, parts):
        table.loc[~each.known, each.name] = pd.NA
    return table.iloc[np.argsort(parts.rows, kind="stable")].reset_index(drop=True)


@dataclass(frozen=True)
class _Measure:
    """What is summed: a whole number for each part, and whether it is known."""

    name: str
    values: Ints
    known: NDArray[np.bool_]


@dataclass(frozen=True)
class _Group:
    """What is grouped by: a code for each part, and the value of each code."""

    name: Any
    codes: Ints
    values: Any


def _names(by: Any, freq: str | None) -> list[Any]:
    several = isinstance(by, Iterable) and not isinstance(by, (str, bytes))
    names = [] if by is None else list(dict.fromkeys(by)) if several else [by]
    for name in names:
        if name in MEASURES or (name == "period" and freq is not None):
            raise InputError(f"by={name!r} is not possible: the table has a column of that name already.")
    return names


def _parts(frame: pd.DataFrame) -> Parts:
    require(frame, ("voice_id", "voice_name", "dialogue", "date"), "usage by voice")
    return parts_of(frame)


def _measures(frame: pd.DataFrame, parts: Parts | None) -> list[_Measure]:
    found = []
    for name in MEASURES:
        values, known = np.ones(len(frame), np.int64), np.ones(len(frame), bool)
        if name != "items":
            values, known = _whole_numbers(frame[name], name)
        if parts is not None:
            values, known = parts.share(values), known[parts.rows]
        found.append(_Measure(name, values, known))
    return found


def _whole_numbers(column: pd.Series, name: str) -> tuple[Ints, NDArray[np.bool_]]:
    try:
        numbers = column.astype("Int64")
    except (TypeError, ValueError):
        raise SchemaError(f"Column {name!r} ({column.dtype}) holds something else than whole numbers.") from None
    return numbers.to_numpy(np.int64, na_value=0), numbers.notna().to_numpy()


def _group(frame: pd.DataFrame, name: Any, parts: Parts | None) -> _Group:
    column = _WORDS.get(name, name) if isinstance(name, str) else name
    require(frame, [column], f"usage by {name!r}")
    if name in _VOICES and parts is not None:
        labels = _labels(parts, instants_of(frame["date"])[0])
        return _Group(name, parts.voices + 1, pd.array([NO_VOICE, *labels], dtype=_TEXT))
    if column is not name or name == "source":
        codes, texts = words(frame[column])
        if UNKNOWN in texts:
            codes = np.where(codes == texts.index(UNKNOWN), NOBODY, codes)
        codes, values = codes + 1, pd.array([UNKNOWN, *texts], dtype=_TEXT)
    else:
        codes, values = _any_column(frame[column])
    return _Group(name, codes if parts is None else codes[parts.rows], values)


def _any_column(column: pd.Series) -> tuple[Ints, Any]:
    """Give codes and values of a column in its own dtype; all missing ones are one value."""
    try:
        codes, uniques = pd.factorize(column)
    except (TypeError, NotImplementedError):
        raise InputError(f"by={column.name!r} is not possible: rows can't be grouped by {column.dtype}.") from None
    codes = np.where(codes < 0, len(uniques), codes)
    first = _first(codes)
    seen, compact = np.flatnonzero(first >= 0), np.cumsum(first >= 0) - 1
    return compact[codes], column.iloc[first[seen]].array


def _periods(frame: pd.DataFrame, length: Freq, zone: tzinfo, parts: Parts | None) -> _Group:
    require(frame, ["date"], "usage over time")
    instants, known = instants_of(frame["date"])
    codes = np.zeros(len(frame), np.int64)
    codes[known], starts = bucket(instants[known], length, zone)
    codes[~known] = len(starts)
    stamps = pd.DatetimeIndex([*starts.astype("datetime64[us]"), np.datetime64("NaT", "us")], dtype="datetime64[us]")
    stamps = stamps.tz_localize("UTC")
    try:
        values = stamps.tz_convert(getattr(zone, "key", zone)).array  # by its name, as pandas would hold it
    except KeyError:
        values = stamps.tz_convert(zone).array
    return _Group("period", codes if parts is None else codes[parts.rows], values)


def _labels(parts: Parts, instants: Ints) -> list[str]:
    """Give the name that each voice is shown by: the latest, told apart from others of that name; all are different."""
    latest = _latest_names(parts, instants)
    seen = np.flatnonzero(np.bincount(parts.voices + 1)[1:]).tolist()
    names = {voice: latest.get(voice) or parts.keys[voice][0] or "" for voice in seen}
    alike: dict[str, list[str]] = {}
    for voice, name in names.items():
        alike.setdefault(name, []).append(parts.keys[voice][0] or "")
    lengths = {name: _telling_length(ids) for name, ids in alike.items()}
    labels, taken = [""] * len(parts.keys), {NO_VOICE}
    for voice in sorted(names, key=lambda each: (parts.keys[each][0] is None, parts.keys[each])):
        label, voice_id = names[voice], parts.keys[voice][0]
        suffix = f" ({voice_id[: lengths[label]]})" if voice_id else " (no id)"
        if len(alike[label]) > 1:
            label += suffix
        while label in taken:
            label += suffix
        taken.add(label)
        labels[voice] = label
    return labels


def _telling_length(ids: list[str]) -> int:
    length = _SHORTEST_ID
    while len({each[:length] for each in ids}) < len(ids):
        length += 1
    return length


def _latest_names(parts: Parts, instants: Ints) -> dict[int, str]:
    codes, pairs = pd.factorize(parts.voices * (len(parts.texts) + 1) + parts.names)
    times = np.full(len(pairs), np.iinfo(np.int64).min)
    np.maximum.at(times, codes, instants[parts.rows] if len(parts.weights) else instants)
    found: dict[int, tuple[int, str]] = {}
    for time, pair in zip(times.tolist(), pairs.tolist(), strict=True):
        voice, name = divmod(pair + 1, len(parts.texts) + 1)  # 0: no name
        if voice >= 0 and name:
            found[voice] = max(found.get(voice, (time, "")), (time, parts.texts[name - 1]))
    return {voice: name for voice, (_, name) in found.items()}


def _first(codes: Ints) -> Ints:
    """Give the first place of each code, -1 for codes that don't occur."""
    first = np.full(int(codes.max(initial=-1)) + 1, -1, np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return first


def _combined(groups: list[_Group], size: int) -> Ints:
    """Give one code for each combination of values that occurs."""
    codes, span = np.zeros(size, np.int64), 1
    for group in groups:
        codes, span = codes * len(group.values) + group.codes, span * len(group.values)
        if span > _DENSE:
            codes, uniques = pd.factorize(codes)
            codes, span = codes.astype(np.int64, copy=False), len(uniques)
    seen = np.bincount(codes, minlength=1) > 0
    compact: Ints = (np.cumsum(seen) - 1)[codes]
    return compact


def _summed(groups: list[_Group], sums: list[_Measure]) -> tuple[pd.DataFrame, Ints]:
    """Sum each combination of groups; also give the first part of each."""
    codes = _combined(groups, len(sums[0].values))
    first = _first(codes)
    data = {group.name: group.values.take(group.codes[first]) for group in groups}
    for each in sums:
        total, known = np.zeros(len(first), np.int64), np.zeros(len(first), bool)
        np.add.at(total, codes, each.values)
        known[codes[each.known]] = True
        data[each.name] = pd.arrays.IntegerArray(total, ~known)
    return pd.DataFrame(data), first


def _folded(groups: list[_Group], sums: list[_Measure], top: int) -> tuple[list[_Group], NDArray[np.bool_]]:
    """Make one group of all but the `top` largest; also tell which parts are in it."""
    table, first = _summed(groups, sums)
    order = _order(table, [group.name for group in groups], np.zeros(len(first), bool), timed=False)
    rest = np.zeros(len(first), bool)
    rest[order[top:]] = True
    others = rest[_combined(groups, len(sums[0].values))]
    folded = []
    for group in groups:
        texts = [None if pd.isna(each) else each for each in group.values]
        if not all(each is None or isinstance(each, str) for each in texts):
            raise InputError(f"top={top} is not possible by {group.name!r}: such a column can't hold {OTHER!r}.")
        label = OTHER
        while label in texts:
            label = f"({label})"
        codes = np.where(others, len(texts), group.codes)
        folded.append(_Group(group.name, codes, pd.array([*texts, label], dtype=_TEXT)))
    return folded, others


def _order(table: pd.DataFrame, names: list[Any], last: NDArray[np.bool_], timed: bool) -> Ints:
    """Sort by period, then the largest first; groups that are equal by their labels."""
    keys: list[tuple[Any, bool]] = [(table["period"], True)] if timed else []
    keys += [(last, True), (table["credits"], False), (table["items"], False)]
    keys += [(table[name].astype(str), True) for name in names]
    by = pd.DataFrame({place: key for place, (key, _) in enumerate(keys)})
    order: Ints = by.sort_values(list(by), ascending=[up for _, up in keys], kind="stable").index.to_numpy(np.int64)
    return order


def _facts(frame: pd.DataFrame, table: pd.DataFrame, groups: list[_Group], parts: Parts | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"rows": len(frame)}
    for name in ("credits", "characters", "date"):
        if name in frame.columns:
            facts[f"rows_without_{name}"] = int(frame[name].isna().sum())
    voiced = [group for group in groups if group.name in _VOICES]
    if parts is not None and voiced:
        shown = set(table[voiced[0].name])
        pairs = zip(voiced[0].values[1:], parts.keys, strict=False)
        facts["voices"] = {label: voice_id for label, (voice_id, _) in pairs if label in shown}
    return facts
