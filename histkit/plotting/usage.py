"""Charts of usage: from a frame to a matplotlib Axes. matplotlib is imported when a chart is drawn."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from histkit.frame.clock import name_of, timestamps
from histkit.frame.columns import plain_values
from histkit.frame.dates import instants_of
from histkit.frame.keys import rows_checked, warn_of_duplicates
from histkit.plotting.fonts import Lettering, escape_mathtext
from histkit.plotting.palette import GREY, MOST_COLOURS, PALETTE, group_colours, visible_on
from histkit.plotting.style import Heading, Look, bars_height, draw_empty_note, draw_grid, look_of
from histkit.plotting.text import plot_labels
from histkit.usage.aggregate import MEASURES
from histkit.usage.buckets import edges
from histkit.usage.periods import Freq, parse_freq
from histkit.usage.table import OTHER, parse_query, usage_table
from histkit.util.arguments import one_of, whole_number
from histkit.util.arrays import Floats, Ints, add_by_code
from histkit.util.text import count_noun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ALL = "all"
_MOST_BARS = 100  # more periods are drawn as one stepped area, without gaps
_MOST_PERIODS = 400  # of more, longer ones are drawn
_LONGER = ("D", "W", "MS", "YS")
_LEAST_SLOTS = 5  # the time axis of fewer periods is as long as that of five
_MOST_TICKS = 14  # up to this many periods each have a tick, where its label has room
_UNITS = {"h": "hour", "D": "day", "W": "week", "M": "month", "B": "billing period"}
_MONTHS = {1: "month", 3: "quarter", 12: "year"}


def plot_usage(
    frame: pd.DataFrame,
    by: Literal["voice", "speaker", "model", "source"] | Hashable | Iterable[Hashable] = "voice",
    freq: str | None = "D",
    *,
    tz: str | tzinfo = "UTC",
    measure: Literal["items", "characters", "credits"] = "credits",
    kind: Literal["bar", "area"] | None = None,
    top: int = 9,
    billing: Any = None,
    week_start: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw usage over time, stacked by group, or as one bar per group.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one, with the columns that `histkit.usage_table` needs.
    by : str or list, default "voice"
        The groups, as in `histkit.usage_table`; None: one group.
    freq : str or None, default "D"
        Length of the periods, as in `histkit.usage_table`. None: one horizontal bar per group, no time axis.
    tz : str or tzinfo, default "UTC"
        The zone of the periods and of the dates shown.
    measure : {"credits", "characters", "items"}
        Quantity to sum.
    kind : {"bar", "area"}, optional
        Over time: a bar per period, as wide as the period is long, or a stepped area. Default: bars for at most 100
        periods, an area for at most 400; if there are more, the periods are longer than `freq`, such as weeks for three
        years of days, and the chart says so.
    top : int, default 9
        Number of groups shown, the largest by `measure`: 1 to 40. Each has a colour of its own; colour-blind readers
        can distinguish the first nine. The others are one grey group ``other``. Small axes show as many horizontal bars
        as there is room for.
    billing, week_start : optional
        For ``freq="billing"`` and ``freq="W"``, as in `histkit.usage_table`.
    ax : matplotlib.axes.Axes, optional
        The axes to draw into; default: those of a new pyplot figure. In small axes the texts are smaller, and the
        legend counts the groups for which it has no room.

    Returns
    -------
    matplotlib.axes.Axes
        The title states the total, the dates, the zone, and how many rows have no date or an unknown `measure`. An
        empty history gives axes with a note.

    Raises
    ------
    InputError
        An argument is invalid.
    SchemaError
        The frame lacks a column.

    Examples
    --------
    >>> import histkit as hk
    >>> axes = hk.plot_usage(hk.sample_history(300), "model", "MS", tz="Europe/Berlin")
    >>> axes.get_ylabel()
    'credits'
    """
    drawing = usage_drawing(
        frame, by, freq, tz=tz, measure=measure, kind=kind, top=top, billing=billing, week_start=week_start
    )
    return drawing(ax)


def usage_drawing(
    frame: pd.DataFrame,
    by: Literal["voice", "speaker", "model", "source"] | Hashable | Iterable[Hashable] = "voice",
    freq: str | None = "D",
    *,
    tz: str | tzinfo = "UTC",
    measure: Literal["items", "characters", "credits"] = "credits",
    kind: Literal["bar", "area"] | None = None,
    top: int = 9,
    billing: Any = None,
    week_start: str | None = None,
) -> Callable[[Axes | None], Axes]:
    """Compute the numbers of a `plot_usage` chart; return a function that draws them.

    Parameters
    ----------
    frame, by, freq, tz, measure, kind, top, billing, week_start
        As in `plot_usage`.

    Returns
    -------
    callable
        Takes the axes, as `plot_usage` does, and draws as often as it is called, in any size.

    Raises
    ------
    InputError, SchemaError
        As `plot_usage`.
    """
    _check(measure, kind, top, freq)
    query = parse_query(by, freq, tz=tz, top=None, billing=billing, week_start=week_start)
    names = list(query.names)
    clock = None if query.length is None else _Clock(query.length, query.zone)
    with rows_checked():
        table = usage_table(frame, names, freq, tz=tz, billing=billing, week_start=week_start)
        if clock is not None and kind is None and (longer := _longer_freq(frame, clock)):
            table = usage_table(frame, names, longer, tz=tz)
            clock = _Clock(parse_freq(longer), clock.zone, clock.length)
    warn_of_duplicates(frame, "the chart")
    dated = table if clock is None else table[table["period"].notna()]
    groups = _rank_groups(table, names, measure)
    bars = min(len(groups.keys), top + 1)
    headline, details = _headline(names, measure, clock), _details(table, dated, measure, clock, frame)

    def draw(ax: Axes | None) -> Axes:
        look = look_of(ax, bars_height(bars) if clock is None else 4.5 + 0.05 * max(bars - 10, 0))
        lettering = Lettering()
        drawn_headline = lettering.draw(headline)
        Heading(look, drawn_headline, details, lettering.families)
        if dated.empty:
            draw_empty_note(look, "no rows" if table.empty else "no rows with a date")
        elif clock is None:
            _draw_groups(look, groups, table, top, measure, lettering)
        else:
            starts = table["period"].dt.tz_convert(None).to_numpy("datetime64[us]").view(np.int64)
            _draw_time(look, _series(groups, table, top, look, lettering), starts, kind, clock)
            _style_time(look, measure)
        look.fit.run()
        lettering.warn()
        return look.ax

    return draw


@dataclass(frozen=True)
class _Groups:
    """The groups of a table from the largest down, the group of each row of the table, and the row's value."""

    keys: list[Any]
    codes: Ints
    values: Ints


@dataclass(frozen=True)
class _Series:
    """The series of a chart from the largest down, and the series and value of each row of the table."""

    labels: list[str]
    families: list[str]
    colours: list[str]
    codes: Ints
    values: Ints


@dataclass(frozen=True)
class _Clock:
    """The periods of a time axis: their length, the zone of its dates, and the length that was too short to draw."""

    length: Freq
    zone: tzinfo
    too_short: Freq | None = None


def _check(measure: str, kind: str | None, top: int, freq: str | None) -> None:
    one_of("measure", measure, MEASURES, "is not a measure")
    kinds = (None, "bar") if freq is None else (None, "bar", "area")
    one_of("kind", kind, kinds, f"can't be drawn {'without' if freq is None else 'with'} freq=")
    whole_number("top", top, 1, MOST_COLOURS)


def _longer_freq(frame: pd.DataFrame, clock: _Clock) -> str | None:
    """Return the first frequency whose periods a chart can show; None if it can show those that were asked for."""
    if clock.length.unit == "B" or _count_periods(frame, clock.length) <= _MOST_PERIODS:
        return None
    lengths = [(freq, parse_freq(freq)) for freq in _LONGER]
    longer = [item for item in lengths if item[1].usual_length() > clock.length.usual_length()]
    shown = (freq for freq, length in longer if _count_periods(frame, length) <= _MOST_PERIODS)
    return next(shown, longer[-1][0] if longer else None)


def _count_periods(frame: pd.DataFrame, length: Freq) -> int:
    """Return about how many periods the dates of a frame span."""
    instants, dated = instants_of(frame["date"])
    return int(np.ptp(instants[dated])) // length.usual_length() + 1 if dated.any() else 0


def _rank_groups(table: pd.DataFrame, names: list[Any], measure: str) -> _Groups:
    values = table[measure].to_numpy(np.int64, na_value=0)
    positions: dict[tuple[Any, ...], int] = {}
    keys = zip(*(plain_values(table[name]) for name in names), strict=True) if names else [(ALL,)] * len(table)
    codes = np.array([positions.setdefault(key, len(positions)) for key in keys], np.int64)
    order = np.argsort(-add_by_code(values, codes, len(positions)), kind="stable")
    rank = np.empty(len(positions), np.int64)
    rank[order] = np.arange(len(positions))
    found = list(positions)
    return _Groups([found[position] for position in order], rank[codes], values)


def _series(groups: _Groups, table: pd.DataFrame, top: int, look: Look, lettering: Lettering) -> _Series:
    shown = min(top, len(groups.keys))
    labels = plot_labels(groups.keys[:shown], table.attrs["histkit"].get("voices", {}), lettering)
    colours = group_colours(shown, look.inks.face)
    if len(groups.keys) > shown:
        labels = [*labels, f"{OTHER} ({len(groups.keys) - shown})"]
        colours.append(visible_on(look.inks.face, GREY))
    return _Series(labels, lettering.families, colours, np.minimum(groups.codes, shown), groups.values)


def _draw_groups(
    look: Look, groups: _Groups, table: pd.DataFrame, top: int, measure: str, lettering: Lettering
) -> None:
    from histkit.plotting.bars import Bars, rows_with_room

    series = _series(groups, table, top, look, lettering)
    if not look.owns_figure:
        room = rows_with_room(look, series.labels, series.families)
        if room < len(series.labels):
            top = room - 1
            series = _series(groups, table, top, look, lettering)
    sums = add_by_code(series.values, series.codes, len(series.labels))
    rest = len(groups.keys) > top
    colours = [visible_on(look.inks.face, PALETTE[0])] * (len(sums) - rest) + series.colours[-1:] * rest
    total = int(sums.sum())
    numbers = [
        (f"{value:,}" + (f"  ({value / total:.0%})" if total else ""), f"{value / total:.0%}" if total else "0")
        for value in sums.tolist()
    ]
    parts = [(sums.astype(float), {"color": colours, "linewidth": 0})]
    Bars(look, series.labels, series.families, parts, numbers, measure)


def _draw_time(look: Look, series: _Series, starts: Ints, kind: str | None, clock: _Clock) -> None:
    from histkit.plotting.key import Key, put_key_beside
    from histkit.plotting.ticks import matplotlib_days

    dated = starts > np.iinfo(np.int64).min
    bounds = edges(starts[dated], clock.length, clock.zone)
    heights = np.zeros((len(series.labels), len(bounds) - 1), np.int64)
    np.add.at(heights, (series.codes[dated], np.searchsorted(bounds, starts)[dated]), series.values[dated])
    tops = np.cumsum(heights, axis=0)
    days = matplotlib_days(bounds)
    draw = _draw_bars if kind == "bar" or (kind is None and len(bounds) - 1 <= _MOST_BARS) else _draw_area
    handles = [
        draw(look, days, height, top, label=label, color=colour)
        for height, top, label, colour in zip(heights, tops, series.labels, series.colours, strict=True)
    ]
    look.ax.set_ylim(0, max(float(tops[-1].max()) * 1.05, 1.0))
    _put_dates(look, days, bounds, clock)
    if len(handles) > 1:
        put = put_key_beside if look.owns_figure else Key
        put(look, handles, series.labels, series.families)


def _draw_bars(look: Look, days: Floats, heights: Ints, tops: Ints, **options: Any) -> Any:
    count = len(heights)
    widths = np.diff(days) * (0.9 if count <= _MOST_TICKS else 1.0)
    middles = (days[:-1] + days[1:]) / 2
    drawn = heights > 0
    drawn[0] = True  # the legend needs a bar
    bottoms = (tops - heights)[drawn]
    options |= {"edgecolor": look.inks.face, "linewidth": 0.4 if count < 59 else 0.0}
    return look.ax.bar(middles[drawn], heights[drawn], widths[drawn], bottoms, **options)


def _draw_area(look: Look, days: Floats, heights: Ints, tops: Ints, **options: Any) -> Any:
    low, high = (np.r_[line, line[-1]] for line in (tops - heights, tops))
    return look.ax.fill_between(days, low, high, step="post", linewidth=0, **options)


def _put_dates(look: Look, days: Floats, bounds: Ints, clock: _Clock) -> None:
    from histkit.plotting.ticks import put_calendar_ticks, put_period_ticks

    look.ax.xaxis_date(tz=clock.zone)
    count = len(bounds) - 1
    margin = (days[-1] - days[0]) * max(0.01, (_LEAST_SLOTS / count - 1) / 2)
    look.ax.set_xlim(days[0] - margin, days[-1] + margin)
    if count <= _MOST_TICKS:
        put_period_ticks(look.ax, bounds, clock.length, clock.zone, look.size)
    else:
        put_calendar_ticks(look.ax, clock.zone, look.size)


def _style_time(look: Look, measure: str) -> None:
    from histkit.plotting.ticks import put_count_ticks

    put_count_ticks(look.ax.yaxis, look.size)
    draw_grid(look, along="y")
    look.ax.tick_params(axis="x", length=3, pad=look.clearance - 3)
    look.ax.set_ylabel(measure, fontsize=look.size * 10 / 9, color=look.inks.label)


def _headline(names: list[Any], measure: str, clock: _Clock | None) -> str:
    words = [measure.capitalize()]
    if clock is not None:
        words.append(f"per {_period_name(clock.length)}")
    if names:
        words.append("by " + " and ".join(escape_mathtext(str(name)) for name in names))
    return " ".join(words)


def _period_name(length: Freq) -> str:
    if length.unit == "M":
        return _MONTHS.get(length.count, f"{length.count} months")
    return f"{length.count} hours" if length.unit == "h" and length.count > 1 else _UNITS[length.unit]


def _details(table: pd.DataFrame, dated: pd.DataFrame, measure: str, clock: _Clock | None, frame: pd.DataFrame) -> str:
    """Return the line below the headline: total, dates, zone, and what is unknown or not drawn."""
    facts = table.attrs["histkit"]
    unknown = facts.get(f"rows_without_{measure}", 0)
    total = int(table[measure].sum())
    parts = [f"{measure} unknown" if unknown and unknown == facts["rows"] else f"{total:,} {measure}"]
    if measure != "items":
        parts.append(count_noun(int(table["items"].sum()), "item"))
    if clock is not None and clock.too_short:
        parts.append(f"{_period_name(clock.too_short)}s drawn by {_period_name(clock.length)}")
    if clock is not None:
        parts += [_date_span(frame["date"], clock.zone)] if len(dated) else []
        parts.append(name_of(clock.zone))
    if unknown and unknown < facts["rows"]:
        parts.append(f"{_percent(unknown, facts['rows'])} of rows without {measure}")
    undated = facts.get("rows_without_date", 0)
    if undated and clock is not None:
        lost = total - int(dated[measure].sum())
        parts.append(f"{count_noun(undated, 'row')} without a date ({lost:,} {measure}) not drawn")
    return " · ".join(parts)


def _percent(part: int, total: int) -> str:
    """Format a share strictly between 0 and 1, never rounded to 0 or 100 %."""
    share = 100 * part / total
    return "less than 1 %" if share < 1 else f"{min(share, 99):.0f} %"


def _date_span(dates: pd.Series, zone: tzinfo) -> str:
    instants, dated = instants_of(dates)
    first, last = timestamps(np.array([instants[dated].min(), instants[dated].max()]), zone)
    if first.date() == last.date():
        return f"{first.day} {first:%b %Y}"
    year = "" if first.year == last.year else f" {first.year}"
    return f"{first.day} {first:%b}{year} to {last.day} {last:%b %Y}"


def plot_share(
    frame: pd.DataFrame,
    by: Literal["voice", "speaker", "model", "source"] | Hashable | Iterable[Hashable] = "voice",
    *,
    measure: Literal["items", "characters", "credits"] = "credits",
    top: int = 10,
    ax: Axes | None = None,
) -> Axes:
    """Draw each group's share of the total: `plot_usage` without a time axis.

    Parameters
    ----------
    frame, by, measure, top, ax
        As in `plot_usage`.

    Returns
    -------
    matplotlib.axes.Axes
        As `plot_usage`: one horizontal bar per group.

    Raises
    ------
    InputError, SchemaError
        As `plot_usage`.

    Examples
    --------
    >>> import histkit as hk
    >>> len(hk.plot_share(hk.sample_history(300), "model", top=3).patches)
    4
    """
    return plot_usage(frame, by, None, measure=measure, top=top, ax=ax)
