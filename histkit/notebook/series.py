"""The numbers of the explorer's chart: those of a usage table, as one series for each group."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.clock import name_of, zone_of
from histkit.frame.dates import instants_of
from histkit.frame.keys import rows_checked
from histkit.notebook.time_axis import FREQS, TimeAxis, number_of_periods, shortest_freq, time_axis
from histkit.usage.table import usage_table
from histkit.util.text import NOTHING, count_noun, format_value, one_line_text

TOP, OTHER = 10, "Other"
MOST_PERIODS = 2_000
_AUTO_PERIODS = 90
_PERIODS = {"h": "hour", "D": "day", "W": "week", "MS": "month", "QS": "quarter", "YS": "year"}
GROUPS = ("voice", "model", "source")


def chart_series(
    rows: pd.DataFrame, by: Hashable, freq: str, measure: str, tz: str, voices: Mapping[str, str]
) -> dict[str, Any]:
    """Sum a measure of some rows by period and group.

    Parameters
    ----------
    rows : DataFrame
        A part of a history.
    by : hashable
        ``voice``, ``model``, ``source``, or a column, as in `histkit.usage_table`.
    freq : str
        Length of the periods, or ``auto``.
    measure : {"credits", "characters", "items"}
        What is summed.
    tz : str
        The zone of the periods.
    voices : mapping
        The label of each voice by its id; the rows' own labels are used for others.

    Returns
    -------
    dict
        As the protocol has it. The series add up to the usage table of the rows: the ten largest groups, then the
        others as one.

    Raises
    ------
    InputError
        There would be more than 2,000 periods, or the rows can't be grouped.
    """
    instants, known = instants_of(rows["date"])
    freq, axis = _axis(instants[known], freq, tz)
    with rows_checked():
        table = usage_table(rows, [by], freq, tz=tz)
    labels = table.attrs["histkit"].get("voices", {})
    codes, groups = pd.factorize(table[by], use_na_sentinel=False)
    sums = np.zeros(len(groups), np.int64)
    values = table[measure].to_numpy(np.int64, na_value=0)
    np.add.at(sums, codes, values)
    order = np.argsort(-sums, kind="stable")
    rank = np.empty(len(groups), np.int64)
    rank[order] = np.arange(len(groups))
    places = np.minimum(rank[codes], TOP)
    names: list[tuple[str | None, str]] = [_name(groups[place], by, labels, voices) for place in order[:TOP].tolist()]
    if len(groups) > TOP:
        names.append((None, OTHER))
    dated = table["period"].notna().to_numpy(bool)
    heights = _heights(table[dated], places[dated], len(names), measure, axis)
    totals = [int(sums[order[place]]) if place < TOP else int(sums[order[TOP:]].sum()) for place in range(len(names))]
    series = [
        {"key": key, "label": label, "values": row, "total": total}
        for (key, label), row, total in zip(names, heights, totals, strict=True)
    ]
    facts = table.attrs["histkit"]
    return {
        "by": by,
        "freq": freq,
        "measure": measure,
        "periods": [] if axis is None else axis.labels(),
        "starts": [] if axis is None else axis.seconds[:-1],
        "bounds": [] if axis is None else axis.bounds(),
        "series": series,
        "totals": _totals(heights, 0 if axis is None else len(axis.edges) - 1),
        "alt": _alt(series, freq, by, measure, tz, axis, facts),
        "note": _note(table, facts, measure, int(rows["dialogue"].notna().sum()) if by == "voice" else 0),
    }


def _axis(instants: Any, freq: str, tz: str) -> tuple[str, TimeAxis | None]:
    """Return the length of the periods, and the periods of the rows with a date."""
    if not len(instants):
        return ("D" if freq == "auto" else freq), None
    first, last = int(instants.min()), int(instants.max())
    if freq == "auto":
        freq = shortest_freq(first, last, _AUTO_PERIODS) or "YS"
    if number_of_periods(first, last, freq) > MOST_PERIODS:
        longer = shortest_freq(first, last, MOST_PERIODS)
        advice = f"; choose {_PERIODS[longer]}s" if longer else ""
        raise InputError(f"The chart would have more than {MOST_PERIODS:,} {_PERIODS[freq]}s{advice}.")
    return freq, time_axis(first, last, freq, zone_of(tz))


def _name(group: Any, by: Hashable, labels: Mapping[str, str], voices: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the key by which a group is filtered, None if it can't be, and its label."""
    if by == "voice":
        voice_id = labels.get(group)
        return voice_id, one_line_text(str(group if voice_id is None else voices.get(voice_id, group)))
    label = NOTHING if pd.isna(group) else one_line_text(str(group))
    return (None if by not in GROUPS or group == "(unknown)" else str(group)), label


def _heights(
    table: pd.DataFrame, places: Any, size: int, measure: str, axis: TimeAxis | None
) -> list[list[int | None]]:
    """Return the sum of each series and period; None where rows exist and none of their values is known."""
    if axis is None:
        return [[] for _ in range(size)]
    shape = size, len(axis.edges) - 1
    periods = axis.places(instants_of(table["period"])[0])
    sums, cells, unknown = (np.zeros(shape, np.int64) for _ in range(3))
    np.add.at(sums, (places, periods), table[measure].to_numpy(np.int64, na_value=0))
    np.add.at(cells, (places, periods), 1)
    np.add.at(unknown, (places, periods), table[measure].isna().to_numpy(bool).astype(np.int64))
    missing = (cells > 0) & (cells == unknown)
    return [
        [None if gap else height for height, gap in zip(row, gaps, strict=True)]
        for row, gaps in zip(sums.tolist(), missing.tolist(), strict=True)
    ]


def _totals(heights: list[list[int | None]], periods: int) -> list[int | None]:
    """Return the sum of all series for each period; None where nothing is known."""
    totals: list[int | None] = []
    for place in range(periods):
        column = [row[place] for row in heights]
        known = [value for value in column if value is not None]
        gone = len(known) < len(column) and not any(known)
        totals.append(None if gone else sum(known))
    return totals


def _alt(
    series: list[dict[str, Any]],
    freq: str,
    by: Hashable,
    measure: str,
    tz: str,
    axis: TimeAxis | None,
    facts: Mapping[str, Any],
) -> str:
    """Describe the chart in words."""
    if not series or axis is None:
        return f"Chart without {'rows' if not facts['rows'] else 'rows that have a date'}."
    total = sum(each["total"] for each in series)
    labels = axis.labels()
    span = labels[0] if len(labels) == 1 else f"{labels[0]} to {labels[-1]}"
    head = f"{measure.capitalize()} per {_PERIODS[freq]} by {by}, {span}, {name_of(zone_of(tz))}: {total:,}"
    shares = [f"{each['label']} {format_value(each['total'] / total, 'share')}" for each in series[:5] if total]
    return f"{head}. {', '.join(shares)}." if shares else f"{head}."


def _note(table: pd.DataFrame, facts: Mapping[str, Any], measure: str, dialogues: int) -> str | None:
    """Return a line on rows without a date or with an unknown measure, and on dialogues that the chart divides."""
    parts = []
    undated = facts.get("rows_without_date", 0)
    if undated:
        lost = int(table.loc[table["period"].isna(), measure].sum())
        parts.append(f"{count_noun(undated, 'row')} without a date ({lost:,} {measure}) not drawn")
    unknown = facts.get(f"rows_without_{measure}", 0)
    if unknown:
        parts.append(f"{measure} of {count_noun(unknown, 'row')} not known")
    if dialogues:
        them = ("it is", "its", "it") if dialogues == 1 else ("they are", "their", "them")
        parts.append(
            f"{count_noun(dialogues, 'dialogue')}: here {them[0]} divided among {them[1]} voices, "
            f"a filter by voice leaves {them[2]} out"
        )
    return " · ".join(parts) or None


CHART_FREQS = ("auto", *FREQS)
