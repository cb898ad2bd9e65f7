"""Usage tables: items, characters and credits summed by voice, model, source, any column, and by period.

The groups of a table add up to the rows exactly: a dialogue is divided among its voices in whole numbers, an
instant belongs to one time bucket, and missing values form one group.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Literal

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.clock import timestamps, zone_of
from histkit.frame.columns import NO_CODE, factorize, factorize_text, text_ranks
from histkit.frame.keys import warn_of_duplicates
from histkit.frame.schema import require
from histkit.usage.aggregate import MEASURES as MEASURES
from histkit.usage.aggregate import (
    TEXT,
    WITHOUT,
    Group,
    Measure,
    UsageQuery,
    aggregate,
    any_column,
    combined,
    is_voice,
    is_word,
    measure_of,
    measures_of,
    partial_sums,
)
from histkit.usage.compare import COMPARED, Grid, add_comparison, fill_cells, span_of
from histkit.usage.dialogue import parts_of, voices_of
from histkit.usage.periods import Freq, billing_freq, parse_freq
from histkit.util.arguments import whole_number
from histkit.util.arrays import Ints, Mask
from histkit.util.text import quoted

UNKNOWN, OTHER, REST = "(unknown)", "other", "(rest)"


def usage_table(
    frame: pd.DataFrame,
    by: Literal["voice", "speaker", "model", "source"] | Hashable | Iterable[Hashable] = "voice",
    freq: str | None = None,
    *,
    tz: str | tzinfo = "UTC",
    top: int | None = None,
    fill: bool | tuple[Any, Any] = False,
    compare: Literal["previous"] | None = None,
    billing: Any = None,
    week_start: str | None = None,
) -> pd.DataFrame:
    """Sum items, characters and credits by group and period.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one; needs ``characters``, ``credits``, the columns of `by`, and ``date`` for `freq`.
        By voice it needs ``voice_id``, ``voice_name``, ``dialogue`` and ``date``.
    by : str or list, default "voice"
        ``"voice"`` (or its synonym ``"speaker"``), ``"model"``, ``"source"``, or the name of any column, or a list of
        these. None or an empty list: all rows are one group.
    freq : str, optional
        A pandas alias: ``h`` (also ``2h``, ``6h``, ...), ``D``, ``W`` (weeks from Monday; see `week_start`), ``MS``,
        ``QS``, ``YS``, or an older spelling of these. Or ``"billing"``: from reset to reset of `billing`.
    tz : str or tzinfo, default "UTC"
        Zone of the periods, an IANA name.
    top : int, optional
        Number of groups to keep, those of most credits over all periods. The rest becomes one group ``other``, or
        ``(rest)`` if a group has that name.
    fill : bool or (start, end), default False
        Whether to add the periods in which a group has no rows, with zeros: from the first period to the last, or
        between two dates (naive ones are in `tz`; the end is exclusive; None: that of the history). Rows outside stay.
    compare : {"previous"}, optional
        Compare each period with the one before; adds the four columns described under Returns.
    billing : Subscription, mapping, int or date, optional
        For ``freq="billing"``: ``client.subscription()`` or anything with its fields (next reset; a period of 1, 3, 6
        or 12 months), a day of the month (from midnight), or the date of one monthly reset.
    week_start : str, optional
        For ``freq="W"``: the day on which weeks start, by default Monday. (``W-SAT`` are weeks that end on Saturday.)

    Returns
    -------
    pandas.DataFrame
        With a RangeIndex. The columns of `by` (voice, model and source as string, other columns in their dtype);
        ``period`` if `freq` is given (``datetime64[us, tz]``, first instant of the period; NaT for rows without a
        date); ``items``, ``characters`` (Unicode code points) and ``credits`` (Int64). Sorted by period, then by
        credits, largest first; the rest is last. With `compare` also, in credits (Int64): ``credits_previous``,
        ``credits_change``, and the parts of the change ``volume`` and ``mix``.

        ``attrs["histkit"]`` has the number of ``rows``, of those without credits, characters or date, and ``voices``,
        which maps the label of each voice to its id.

    Raises
    ------
    InputError
        An argument is invalid, or `fill` would make more than a million rows.
    SchemaError
        The frame lacks a column.

    Notes
    -----
    Voices are grouped by id and labelled by their latest name. Voices of the same name are distinguished by the
    first letters of their ids, and rows without a voice are ``(no voice)``.

    A dialogue counts for the voices that speak in it, in proportion to their characters. Items, characters and credits
    are each divided in whole numbers by largest remainder: the shares are rounded down, and the units that are left
    go to the largest remainders, ties to the first speaker. So a voice with a small part may have 0 items. A dialogue
    of empty lines counts for its first speaker.

    A row of unknown credits counts as an item and adds nothing to the credits. The sum of a group whose credits are all
    unknown is missing, not 0; the same holds for characters.

    Billing periods start on the same day of the month (the last of a month without it) at the same wall-clock time in
    `tz`, in both directions from the reset. A start that the clocks skip is the instant at which they are set forward.

    With `compare`, a group without rows in the previous period has 0 there; a group with rows only in the previous
    period gets a row of zeros. ``volume`` is the change in characters at the average rate of the previous period
    (credits per character, of all groups), ``mix`` the rest: more or less expensive voices or models, and what is not
    billed by characters. In each row they add up to the change; over a period they add up to the split of its total,
    the same for any `by` unless credits are unknown (whole numbers by largest remainder). They are missing in the first
    period and for unknown credits, and if the previous period has no characters. The current period is compared as it
    is, even if it is not over.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.sample_history(300)
    >>> hk.usage_table(df, "model", "MS", tz="Europe/Berlin").columns.tolist()
    ['model', 'period', 'items', 'characters', 'credits']
    >>> bool(hk.usage_table(df, "voice")["credits"].sum() == df["credits"].sum())
    True
    """
    query = parse_query(by, freq, tz=tz, top=top, fill=fill, compare=compare, billing=billing, week_start=week_start)
    partial = partial_sums(frame, query)
    warn_of_duplicates(frame, "the usage table")
    return build_table(partial, query)


def parse_query(
    by: Any,
    freq: str | None,
    *,
    tz: str | tzinfo,
    top: int | None = None,
    fill: Any = False,
    compare: str | None = None,
    billing: Any = None,
    week_start: str | None = None,
    made: Iterable[str] = (),
) -> UsageQuery:
    """Check the arguments of `usage_table`.

    `made` are the columns that the caller adds to the table; `by` can't name them.

    Raises
    ------
    InputError
        An argument is invalid.
    """
    zone = zone_of(tz)
    span = span_of(fill, zone)
    if compare is not None and not (isinstance(compare, str) and compare == "previous"):
        raise InputError(f"compare={quoted(compare)} is not possible; use 'previous' or None.")
    for is_set, text in ((span is not None, f"fill={quoted(fill)}"), (compare is not None, f"compare={compare!r}")):
        if is_set and freq is None:
            raise InputError(f"{text} needs periods; pass freq= too, such as freq='MS'.")
    top = None if top is None else whole_number("top", top, 1)
    taken = (*MEASURES, *made, *(["period"] if freq is not None else []), *(COMPARED if compare is not None else []))
    names = _group_names(by, taken)
    return UsageQuery(tuple(names), _length(freq, billing, week_start, zone), zone, top, span, compare is not None)


def _length(freq: str | None, billing: Any, week_start: str | None, zone: tzinfo) -> Freq | None:
    billed = isinstance(freq, str) and freq == "billing"
    if billing is not None and not billed:
        raise InputError(f"billing= requires freq='billing', not freq={quoted(freq)}.")
    if billed and week_start is None:
        return billing_freq(billing, zone)
    return None if freq is None and week_start is None else parse_freq(freq, week_start)


def build_table(partial: pd.DataFrame, query: UsageQuery) -> pd.DataFrame:
    """Return the usage table of a partial sum, or of several in one frame: see `usage_table`."""
    return table_and_rest(partial, query)[0]


def table_and_rest(partial: pd.DataFrame, query: UsageQuery) -> tuple[pd.DataFrame, Mask]:
    """Return the usage table of a partial sum, and which of its rows belong to the groups beyond `top`."""
    voices = voices_in(partial) if query.voiced() else None
    columns = [_group(name, partial.get(f"by{place}"), voices) for place, name in enumerate(query.all_names())]
    groups, splits = columns[: len(query.names)], columns[len(query.names) :]
    sums = [measure_of(partial[name]) for name in MEASURES]
    rest_label = None
    if query.top is not None and groups:
        groups, rest_label = fold_groups(groups, sums, query.top)
    groups, sums, grid = _add_periods([*groups, *splits], sums, partial, query)
    table = aggregate(groups, sums, [len(groups[0].codes[0]) if groups else len(partial)])
    if rest_label is None:
        rest: Mask = np.zeros(len(table), bool)
    else:
        rest = table[query.names[0]].isin([rest_label]).to_numpy(bool)
    order = sort_order(table, query.all_names(), rest)
    if grid is not None and query.compare:
        table = add_comparison(table, grid, order)
    table = table.iloc[order].reset_index(drop=True)
    table.attrs["histkit"] = _facts(partial, table, query, voices)
    return table, rest[order]


def _add_periods(
    groups: list[Group], sums: list[Measure], partial: pd.DataFrame, query: UsageQuery
) -> tuple[list[Group], list[Measure], Grid | None]:
    """Add the period as the last group, if there is one; with `fill` or `compare` also cells without rows."""
    if query.length is None:
        return groups, sums, None
    grid = None
    if query.fill is not None or query.compare:
        instants = partial["period"].to_numpy(np.int64, na_value=np.iinfo(np.int64).min)
        groups, sums, grid = fill_cells(groups, sums, instants, query)
    else:
        groups = [*groups, any_column("period", partial["period"])]
    starts = pd.Series(groups[-1].values).to_numpy(np.int64, na_value=np.iinfo(np.int64).min)
    return [*groups[:-1], Group("period", timestamps(starts, query.zone).array, groups[-1].codes)], sums, grid


def _facts(partial: pd.DataFrame, table: pd.DataFrame, query: UsageQuery, voices: VoiceLabels | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"rows": int(partial["items"].sum())}
    facts |= {f"rows_{name}": int(partial[name].sum()) for name in WITHOUT if name in partial.columns}
    if voices is not None:
        labels = set(table[next(name for name in query.names if is_voice(name))].unique())
        pairs = zip(voices.labels, voices.keys, strict=True)
        facts["voices"] = {label: voice_id for label, (voice_id, _) in pairs if label in labels}
    return facts


def speakers(frame: pd.DataFrame) -> pd.DataFrame:
    """Divide each row among the voices that speak in it, as `usage_table` does.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history; needs ``voice_id``, ``voice_name``, ``dialogue``, ``characters`` and ``credits``.

    Returns
    -------
    pandas.DataFrame
        One row for each row of the history and voice that speaks in it, in the order of the history and of the voices'
        first lines: ``row`` (int64, position in `frame`), ``voice_id``, ``voice_name`` (string, as written in that
        row), ``items``, ``characters``, ``credits`` (Int64, shares that add up to the row's). A voice without
        characters in a dialogue is left out; a dialogue without any characters counts for its first speaker.

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
    warn_of_duplicates(frame, "the table of speakers")
    parts = parts_of(frame)
    spoken = parts.spoken
    single = np.setdiff1d(np.arange(len(frame)), spoken.rows)
    ids = np.array([*(voice_id for voice_id, _ in parts.keys), None], object)
    names = np.array([*parts.texts, None], object)
    rows = np.r_[single, spoken.rows]
    data = {
        "row": rows,
        "voice_id": pd.array(ids[np.r_[parts.voices[single], spoken.voices]], dtype=TEXT),
        "voice_name": pd.array(names[np.r_[parts.names[single], spoken.names]], dtype=TEXT),
    }
    for measure in measures_of(frame):
        if measure.name in MEASURES:
            (values, shares), (known, _) = measure.shared(spoken).values, measure.shared(spoken).known
            data[measure.name] = pd.arrays.IntegerArray(np.r_[values[single].astype(np.int64), shares], ~known[rows])
    return pd.DataFrame(data).iloc[np.argsort(rows, kind="stable")].reset_index(drop=True)


def _group_names(by: Any, taken: Iterable[str]) -> list[Any]:
    """Return the distinct names in `by`; see `usage_table`."""
    several = isinstance(by, Iterable) and not isinstance(by, (str, bytes))
    try:
        names = [] if by is None else list(dict.fromkeys(by)) if several else [by]
        columns = {name: 0 for name in names}
    except TypeError:
        raise InputError(f"by={quoted(by)} is not possible; use the name of a column, or a list of names.") from None
    if pd.NA in columns:  # it equals nothing
        raise InputError("by= has a missing value; use the name of a column, or a list of names.")
    for name in taken:
        if name in columns:
            raise InputError(f"by={quoted(name)} is not possible: the table has a column of that name already.")
    return names


def _group(name: Any, column: pd.Series | None, voices: VoiceLabels | None) -> Group:
    if column is None:  # the voice has two columns
        assert voices is not None
        return Group(name, pd.array([NO_VOICE, *voices.labels], dtype=TEXT), [voices.codes + 1])
    if not is_word(name):
        return any_column(name, column)
    codes, texts = factorize_text(column)
    if UNKNOWN in texts:
        codes = np.where(codes == texts.index(UNKNOWN), NO_CODE, codes)
    return Group(name, pd.array([UNKNOWN, *texts], dtype=TEXT), [codes + 1])


def fold_groups(groups: Sequence[Group], sums: Sequence[Measure], top: int) -> tuple[list[Group], str | None]:
    """Merge all but the `top` largest groups into one, the rest.

    Parameters
    ----------
    groups : sequence of Group
        At least one; one block of rows.
    sums : sequence of Measure
        Of the same rows; groups are ranked as `sort_order` does.
    top : int
        Number of groups to keep.

    Returns
    -------
    groups : list of Group
        With string values; the rest is called `OTHER` or, in a column that has this value, `REST`.
    label : str or None
        Name of the rest in the first column, which no other group has; None if there is no rest.

    Raises
    ------
    InputError
        A column can't hold the name of the rest.
    """
    sizes = [len(groups[0].codes[0])]
    table = aggregate(groups, sums, sizes)
    is_rest = np.zeros(len(table), bool)
    is_rest[sort_order(table, [group.name for group in groups], is_rest)[top:]] = True
    rows = is_rest[np.unique(combined(groups, sizes)[0], return_inverse=True)[1]]
    folded, labels = [], []
    for group in groups:
        texts = [None if pd.isna(value) else value for value in group.values]
        if not all(text is None or isinstance(text, str) for text in texts):
            raise InputError(
                f"top={quoted(top)} is not possible by {quoted(group.name)}: such a column can't hold {OTHER!r}."
            )
        label = OTHER if OTHER not in texts else REST
        while label in texts:
            label = f"({label})"
        codes = np.where(rows, len(texts), group.codes[0])
        folded.append(Group(group.name, pd.array([*texts, label], dtype=TEXT), [codes]))
        labels.append(label)
    return folded, labels[0] if is_rest.any() else None


def sort_order(table: pd.DataFrame, names: Sequence[Any], rest: Mask) -> Ints:
    """Return the order of a table's rows: by period, the rest last, most credits, most items, then by name."""
    keys: list[tuple[Any, bool]] = [(table["period"], True)] if "period" in {*table.columns} - {*names} else []
    keys += [(rest, True), (table["credits"], False), (table["items"], False)]
    keys += [(_rank(table[name]), True) for name in names]
    by = pd.DataFrame({place: key for place, (key, _) in enumerate(keys)})
    order: Ints = by.sort_values(list(by), ascending=[up for _, up in keys], kind="stable").index.to_numpy(np.int64)
    return order


def _rank(column: pd.Series) -> Ints:
    """Return the alphabetical rank of each value's text; 0 where it is missing."""
    codes, values = factorize(column)
    return text_ranks(codes, [str(value) for value in values])


NO_VOICE = "(no voice)"


_SHORTEST_ID = 6


@dataclass(frozen=True)
class VoiceLabels:
    """The voices of a partial sum: a code for each of its rows, and the key (id or name) and label of each voice."""

    codes: Ints
    keys: list[tuple[str | None, str | None]]
    labels: list[str]


def voices_in(partial: pd.DataFrame) -> VoiceLabels:
    """Return the voices of a partial sum, from its columns voice_id, voice_name and latest."""
    ids, id_values = factorize_text(partial["voice_id"])
    names, texts = factorize_text(partial["voice_name"])
    codes = voices_of(ids, names, len(id_values))
    keys = [*((voice_id, None) for voice_id in id_values), *((None, name) for name in texts)]
    seen = np.flatnonzero(np.bincount(codes + 1)[1:]).tolist()
    latest = _latest_names(codes, names, texts, partial["latest"])
    current_names = {voice: latest.get(voice) or keys[voice][0] or "" for voice in seen}
    labels = _labels(current_names, keys)
    return VoiceLabels(codes, keys, labels)


def _labels(names: dict[int, str], keys: list[tuple[str | None, str | None]]) -> list[str]:
    """Return a distinct label for each voice: its name, with letters of its id if other voices have that name."""
    alike: dict[str, list[str]] = {}
    for voice, name in names.items():
        alike.setdefault(name, []).append(keys[voice][0] or "")
    lengths = {name: _distinct_length(ids) for name, ids in alike.items()}
    labels, taken = [""] * len(keys), {NO_VOICE}
    for voice in sorted(names, key=lambda voice: (keys[voice][0] is None, keys[voice])):
        label, voice_id = names[voice], keys[voice][0]
        suffix = f" ({voice_id[: lengths[label]]})" if voice_id else " (no id)"
        if len(alike[label]) > 1:
            label += suffix
        while label in taken:
            label += suffix
        taken.add(label)
        labels[voice] = label
    return labels


def _distinct_length(ids: list[str]) -> int:
    length = _SHORTEST_ID
    while len({voice_id[:length] for voice_id in ids}) < len(ids):
        length += 1
    return length


def _latest_names(voices: Ints, names: Ints, texts: list[str], instants: pd.Series) -> dict[int, str]:
    never = np.iinfo(np.int64).min
    codes, pairs = pd.factorize(voices * (len(texts) + 1) + names)
    times = np.full(len(pairs), never)
    np.maximum.at(times, codes, instants.to_numpy(np.int64, na_value=never))
    latest: dict[int, tuple[int, str]] = {}
    for time, pair in zip(times.tolist(), pairs.tolist(), strict=True):
        voice, name = divmod(pair + 1, len(texts) + 1)  # 0: no name
        if voice >= 0 and name:
            latest[voice] = max(latest.get(voice, (time, "")), (time, texts[name - 1]))
    return {voice: name for voice, (_, name) in latest.items()}
