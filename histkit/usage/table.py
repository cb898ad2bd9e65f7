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

from histkit.errors import InputError
from histkit.frame.columns import NO_CODE, factorize_text, text_ranks
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
from histkit.usage.clock import timestamps, zone_of
from histkit.usage.compare import COMPARED, add_comparison, fill_cells, span_of
from histkit.usage.dialogue import parts_of, voices_of
from histkit.usage.periods import Freq, billing_freq, parse_freq
from histkit.util.arguments import whole_number
from histkit.util.arrays import Ints

if TYPE_CHECKING:
    from numpy.typing import NDArray


UNKNOWN, OTHER = "(unknown)", "other"


def usage_table(
    frame: pd.DataFrame,
    by: Any = "voice",
    freq: str | None = None,
    *,
    tz: str | tzinfo = "UTC",
    top: int | None = None,
    fill: bool | tuple[Any, Any] = False,
    compare: str | None = None,
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
        ``"voice"`` (or ``"speaker"``, the same), ``"model"``, ``"source"``, or any column, or several of them. None or
        an empty list: all rows are one group.
    freq : str, optional
        A pandas alias: ``h`` (also ``2h``, ``6h``, ...), ``D``, ``W`` (weeks from Monday; see `week_start`), ``MS``,
        ``QS``, ``YS``, or an older spelling of these. Or ``"billing"``: from reset to reset of `billing`.
    tz : str or tzinfo, default "UTC"
        IANA name of the zone whose clock tells the buckets of `freq` apart.
    top : int, optional
        Keep this many groups, those of most credits over all periods; the others become one group ``other``.
    fill : bool or (start, end), default False
        Also the periods in which a group has no rows, with zeros: from the first period to the last, or those between
        two dates (a naive one is on the clock of `tz`; the end is exclusive; None: the history's). No row is left out.
    compare : {"previous"}, optional
        Set each period beside the one before: four more columns, see below.
    billing : Subscription, mapping, int or date, optional
        For ``freq="billing"``: ``client.subscription()`` or anything with its fields (next reset; monthly, 3 or 6
        months, or a year), a day of the month (from midnight), or the date of one reset (once a month).
    week_start : str, optional
        For ``freq="W"``: the day on which weeks start, by default Monday. (``W-SAT`` are weeks that end on Saturday.)

    Returns
    -------
    pandas.DataFrame
        On a RangeIndex: the columns of `by` (voice, model and source as string, any other column as it is), ``period``
        when `freq` is given (``datetime64[us, tz]``: first instant of the bucket; NaT for rows without a date), and
        ``items``, ``characters`` (Unicode code points), ``credits`` (all Int64). Most credits first, within each period
        if there are any; ``other`` last. ``attrs["histkit"]`` counts the rows, those without credits, characters or
        date, and maps each label of a voice to its id (``voices``). With `compare` also, in credits (Int64):
        ``credits_previous``, ``credits_change``, and the change split into ``volume`` and ``mix``.

    Raises
    ------
    InputError
        An argument can't be used, or `fill` would make more than a million rows.
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

    A billing period starts on the same day (in a month without it, on its last) at the same time on the clock of `tz`,
    in both directions from the reset; a period is the time from one start to the next. A month whose reset that clock
    skips starts where the clock goes on.

    Compared, a group without rows in the period before has 0 there; one that had rows then and has none now stands here
    with zeros. ``volume`` is what the change in characters would have cost at the previous period's average rate
    (credits per character, of all groups together), ``mix`` the rest: dearer or cheaper groups, voices or models, and
    what is not priced by characters. Each row's two add up to its change, and those of a period's rows to the split of
    its total, the same whatever `by` is while no credits are unknown: in whole numbers, what rounding leaves over by
    largest remainder. Missing are the first period's, those of unknown credits, and the split where the period before
    has no characters. A period that is not over yet is compared as it is.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.sample_history(300)
    >>> hk.usage_table(df, "model", "MS", tz="Europe/Berlin").columns.tolist()
    ['model', 'period', 'items', 'characters', 'credits']
    >>> bool(hk.usage_table(df, "voice")["credits"].sum() == df["credits"].sum())
    True
    """
    wanted = parse_query(by, freq, tz=tz, top=top, fill=fill, compare=compare, billing=billing, week_start=week_start)
    return build_table(partial_sums(frame, wanted), wanted)


def parse_query(
    by: Any,
    freq: str | None,
    *,
    tz: str | tzinfo,
    top: int | None,
    fill: Any = False,
    compare: str | None = None,
    billing: Any = None,
    week_start: str | None = None,
) -> UsageQuery:
    """Check the arguments of `usage_table`.

    Raises
    ------
    InputError
        One of them can't be used.
    """
    zone, span = zone_of(tz), span_of(fill, zone_of(tz))
    if compare not in (None, "previous"):
        raise InputError(f"compare={compare!r} is not possible; give 'previous' or None.")
    for given, text in ((span is not None, f"fill={fill!r}"), (compare is not None, f"compare={compare!r}")):
        if given and freq is None:
            raise InputError(f"{text} needs periods; give freq= too, such as freq='MS'.")
    names = _names(by, freq, [] if compare is None else COMPARED)
    if top is not None:
        top = whole_number("top", top, 1)
    if billing is not None and freq != "billing":
        raise InputError(f"billing= goes with freq='billing', not with freq={freq!r}.")
    if freq == "billing" and week_start is None:
        length: Freq | None = billing_freq(billing, zone)
    else:
        length = None if freq is None and week_start is None else parse_freq(freq, week_start)
    return UsageQuery(tuple(names), length, zone, top, span, compare is not None)


def build_table(partial: pd.DataFrame, wanted: UsageQuery) -> pd.DataFrame:
    """Make the table of a partial sum, or of several in one frame: see `usage_table`."""
    size, voices = len(partial), voices_in(partial) if wanted.voiced() else None
    groups = [_group(name, partial.get(f"by{place}"), voices) for place, name in enumerate(wanted.names)]
    sums = [measure_of(partial[name]) for name in MEASURES]
    other = None
    if wanted.top is not None and groups:
        groups, other = _folded(groups, sums, wanted.top)
    grid = None
    if wanted.fill is not None or wanted.compare:
        instants = partial["period"].to_numpy(np.int64, na_value=np.iinfo(np.int64).min)
        groups, sums, grid = fill_cells(groups, sums, instants, wanted)
    elif wanted.length is not None:
        groups.append(any_column("period", partial["period"]))
    if wanted.length is not None:
        groups[-1] = _shown(groups[-1], wanted.zone)
    table = aggregate(groups, sums, [len(groups[0].codes[0]) if groups else size])
    last = np.zeros(len(table), bool) if other is None else table[groups[0].name].isin([other]).to_numpy(bool)
    order = _order(table, list(wanted.names), last, wanted.length is not None)
    if wanted.compare and grid is not None:
        table = add_comparison(table, grid, order)
    table = table.iloc[order].reset_index(drop=True)
    facts: dict[str, Any] = {"rows": int(partial["items"].sum())}
    facts |= {f"rows_{name}": int(partial[name].sum()) for name in WITHOUT if name in partial.columns}
    if voices is not None:
        shown = set(table[next(name for name in wanted.names if is_voice(name))].unique())
        pairs = zip(voices.labels, voices.keys, strict=True)
        facts["voices"] = {label: voice_id for label, (voice_id, _) in pairs if label in shown}
    table.attrs["histkit"] = facts
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
    spoken = parts.spoken
    single = np.setdiff1d(np.arange(len(frame)), spoken.rows)
    ids = np.array([*(each for each, _ in parts.keys), None], object)
    names = np.array([*parts.texts, None], object)
    rows = np.r_[single, spoken.rows]
    data = {
        "row": rows,
        "voice_id": pd.array(ids[np.r_[parts.voices[single], spoken.voices]], dtype=TEXT),
        "voice_name": pd.array(names[np.r_[parts.names[single], spoken.names]], dtype=TEXT),
    }
    for each in measures_of(frame):
        if each.name in MEASURES:
            (values, shares), (known, _) = each.shared(spoken).values, each.shared(spoken).known
            data[each.name] = pd.arrays.IntegerArray(np.r_[values[single].astype(np.int64), shares], ~known[rows])
    return pd.DataFrame(data).iloc[np.argsort(rows, kind="stable")].reset_index(drop=True)


def _names(by: Any, freq: str | None, more: Iterable[str]) -> list[Any]:
    several = isinstance(by, Iterable) and not isinstance(by, (str, bytes))
    names = [] if by is None else list(dict.fromkeys(by)) if several else [by]
    for name in names:
        if name in (*MEASURES, *more) or (name == "period" and freq is not None):
            raise InputError(f"by={name!r} is not possible: the table has a column of that name already.")
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


def _shown(group: Group, zone: tzinfo) -> Group:
    """Turn the starts of periods into times on the zone's clock."""
    instants = pd.Series(group.values).to_numpy(np.int64, na_value=np.iinfo(np.int64).min)
    return Group(group.name, timestamps(instants, zone).array, group.codes)


def _folded(groups: list[Group], sums: list[Measure], top: int) -> tuple[list[Group], str]:
    """Make one group of all but the `top` largest; also give its label in the first column."""
    sizes = [len(groups[0].codes[0])]
    table = aggregate(groups, sums, sizes)
    order = _order(table, [group.name for group in groups], np.zeros(len(table), bool), timed=False)
    rest = np.zeros(len(table), bool)
    rest[order[top:]] = True
    others = rest[np.unique(combined(groups, sizes)[0], return_inverse=True)[1]]
    folded, labels = [], []
    for group in groups:
        texts = [None if pd.isna(each) else each for each in group.values]
        if not all(each is None or isinstance(each, str) for each in texts):
            raise InputError(f"top={top} is not possible by {group.name!r}: such a column can't hold {OTHER!r}.")
        label = OTHER
        while label in texts:
            label = f"({label})"
        codes = np.where(others, len(texts), group.codes[0])
        folded.append(Group(group.name, pd.array([*texts, label], dtype=TEXT), [codes]))
        labels.append(label)
    return folded, labels[0]


def _order(table: pd.DataFrame, names: list[Any], last: NDArray[np.bool_], timed: bool) -> Ints:
    """Sort by period, then the largest first; groups that are equal by their labels."""
    keys: list[tuple[Any, bool]] = [(table["period"], True)] if timed else []
    keys += [(last, True), (table["credits"], False), (table["items"], False)]
    keys += [(_rank(table[name]), True) for name in names]
    by = pd.DataFrame({place: key for place, (key, _) in enumerate(keys)})
    order: Ints = by.sort_values(list(by), ascending=[up for _, up in keys], kind="stable").index.to_numpy(np.int64)
    return order


def _rank(column: pd.Series) -> Ints:
    """Give each row of a column the place of its text among all texts, 0 where it is missing."""
    codes, uniques = pd.factorize(column)
    return text_ranks(codes, [*map(str, uniques)])


NO_VOICE = "(no voice)"


_SHORTEST_ID = 6


@dataclass(frozen=True)
class VoiceLabels:
    """The voice of each row of a partial, and what each voice is: id or name, and label."""

    codes: Ints
    keys: list[tuple[str | None, str | None]]
    labels: list[str]


def voices_in(partial: pd.DataFrame) -> VoiceLabels:
    """Name the voices of a partial sum, by its columns voice_id, voice_name and latest."""
    ids, id_values = factorize_text(partial["voice_id"])
    names, texts = factorize_text(partial["voice_name"])
    codes = voices_of(ids, names, len(id_values))
    keys = [*((each, None) for each in id_values), *((None, each) for each in texts)]
    seen = np.flatnonzero(np.bincount(codes + 1)[1:]).tolist()
    latest = _latest_names(codes, names, texts, partial["latest"])
    shown = {voice: latest.get(voice) or keys[voice][0] or "" for voice in seen}
    labels = _labels(shown, keys)
    return VoiceLabels(codes, keys, labels)


def _labels(names: dict[int, str], keys: list[tuple[str | None, str | None]]) -> list[str]:
    """Tell voices of one name apart by their ids; all labels are different."""
    alike: dict[str, list[str]] = {}
    for voice, name in names.items():
        alike.setdefault(name, []).append(keys[voice][0] or "")
    lengths = {name: _telling_length(ids) for name, ids in alike.items()}
    labels, taken = [""] * len(keys), {NO_VOICE}
    for voice in sorted(names, key=lambda each: (keys[each][0] is None, keys[each])):
        label, voice_id = names[voice], keys[voice][0]
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


def _latest_names(voices: Ints, names: Ints, texts: list[str], instants: pd.Series) -> dict[int, str]:
    never = np.iinfo(np.int64).min
    codes, pairs = pd.factorize(voices * (len(texts) + 1) + names)
    times = np.full(len(pairs), never)
    np.maximum.at(times, codes, instants.to_numpy(np.int64, na_value=never))
    found: dict[int, tuple[int, str]] = {}
    for time, pair in zip(times.tolist(), pairs.tolist(), strict=True):
        voice, name = divmod(pair + 1, len(texts) + 1)  # 0: no name
        if voice >= 0 and name:
            found[voice] = max(found.get(voice, (time, "")), (time, texts[name - 1]))
    return {voice: name for voice, (_, name) in found.items()}
