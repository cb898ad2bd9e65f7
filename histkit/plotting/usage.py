"""Charts of usage: from a frame to a matplotlib Axes. matplotlib is imported when a chart is drawn."""

from __future__ import annotations

import math
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
from histkit.plotting.style import (
    GREY,
    INK,
    PALETTE,
    axes_or_new,
    bars_height,
    draw_empty_note,
    draw_grid,
    put_title,
    width_of,
)
from histkit.plotting.text import escape_mathtext, fonts, plot_labels
from histkit.usage.aggregate import MEASURES
from histkit.usage.buckets import edges
from histkit.usage.periods import Freq
from histkit.usage.table import OTHER, parse_query, usage_table
from histkit.util.arguments import one_of, whole_number
from histkit.util.arrays import Floats, Ints
from histkit.util.text import count_noun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ALL = "all"
_MOST_BARS = 100  # more periods are drawn as one stepped area, without gaps
_LEAST_SLOTS = 5  # the time axis of fewer periods is as long as that of five
_MOST_TICKS = 14  # up to this many periods each have a tick
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
        Over time: a bar per period, as wide as the period is long, or a stepped area; default: bars for at most 100
        periods.
    top : int, default 9
        Number of groups shown, the largest by `measure`: 1 to 9, up to 40 without `freq`. The others are one grey group
        ``other``.
    billing, week_start : optional
        For ``freq="billing"`` and ``freq="W"``, as in `histkit.usage_table`.
    ax : matplotlib.axes.Axes, optional
        The axes to draw into; default: those of a new pyplot figure.

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
    with rows_checked():
        table = usage_table(frame, names, freq, tz=tz, billing=billing, week_start=week_start)
    warn_of_duplicates(frame, "the chart")
    clock = None if query.length is None else _Clock(query.length, query.zone)
    dated = table if clock is None else table[table["period"].notna()]
    headline, details = _headline(names, measure, clock), _details(table, dated, measure, clock, frame)

    def draw(ax: Axes | None) -> Axes:
        series = _series(table, names, measure, top)
        owns_figure = ax is None
        ax = axes_or_new(ax, bars_height(len(series.labels)) if clock is None else 4.5)
        if dated.empty:
            draw_empty_note(ax, "no rows" if table.empty else "no rows with a date")
        elif clock is None:
            _draw_groups(ax, series)
            _style(ax, measure, over_time=False)
        else:
            starts = table["period"].dt.tz_convert(None).to_numpy("datetime64[us]").view(np.int64)
            _draw_time(ax, series, starts, kind, clock)
            _put_legend(ax, owns_figure)
            _style(ax, measure, over_time=True)
        put_title(ax, headline, details)
        return ax

    return draw


@dataclass(frozen=True)
class _Series:
    """The series of a chart from the largest down, and the series and value of each row of the table."""

    labels: list[str]
    colours: list[str]
    codes: Ints
    values: Ints


@dataclass(frozen=True)
class _Clock:
    """The periods of a time axis: their length, and the zone of its dates."""

    length: Freq
    zone: tzinfo


def _check(measure: str, kind: str | None, top: int, freq: str | None) -> None:
    one_of("measure", measure, MEASURES, "is not a measure")
    kinds = (None, "bar") if freq is None else (None, "bar", "area")
    one_of("kind", kind, kinds, f"can't be drawn {'without' if freq is None else 'with'} freq=")
    whole_number("top", top, 1, 40 if freq is None else len(PALETTE))


def _series(table: pd.DataFrame, names: list[Any], measure: str, top: int) -> _Series:
    values = table[measure].to_numpy(np.int64, na_value=0)
    positions: dict[tuple[Any, ...], int] = {}
    keys = zip(*(plain_values(table[name]) for name in names), strict=True) if names else [(ALL,)] * len(table)
    codes = np.array([positions.setdefault(key, len(positions)) for key in keys], np.int64)
    groups = list(positions)
    sums = np.zeros(len(groups), np.int64)
    np.add.at(sums, codes, values)
    order = np.argsort(-sums, kind="stable")
    rank = np.empty(len(groups), np.int64)
    rank[order] = np.arange(len(groups))
    shown = min(top, len(groups))
    labels = plot_labels([groups[position] for position in order[:shown]], table.attrs["histkit"].get("voices", {}))
    colours = [PALETTE[position % len(PALETTE)] for position in range(shown)]
    if len(groups) > shown:
        labels, colours = [*labels, f"{OTHER} ({len(groups) - shown})"], [*colours, GREY]
    return _Series(labels, colours, np.minimum(rank[codes], shown), values)


def _draw_groups(ax: Axes, series: _Series) -> None:
    sums = np.zeros(len(series.labels), np.int64)
    np.add.at(sums, series.codes, series.values)
    positions = np.arange(len(sums))
    colours = [GREY if colour == GREY else PALETTE[0] for colour in series.colours]
    bars = ax.barh(positions, sums, color=colours, height=0.7)
    total = int(sums.sum())
    labels = [f"{value:,}" + (f"  ({value / total:.0%})" if total else "") for value in sums.tolist()]
    ax.bar_label(bars, labels, padding=4, fontsize=9, color=INK)
    ax.set_yticks(positions, series.labels, fontfamily=fonts())
    ax.set_ylim(len(sums) - 0.4, -0.6)
    ax.set_xlim(0, max(float(sums.max()) * 1.22, 1.0))


def _draw_time(ax: Axes, series: _Series, starts: Ints, kind: str | None, clock: _Clock) -> None:
    dated = starts > np.iinfo(np.int64).min
    bounds = edges(starts[dated], clock.length, clock.zone)
    heights = np.zeros((len(series.labels), len(bounds) - 1), np.int64)
    np.add.at(heights, (series.codes[dated], np.searchsorted(bounds, starts)[dated]), series.values[dated])
    tops = np.cumsum(heights, axis=0)
    days = _matplotlib_days(bounds)
    draw = _draw_bars if kind == "bar" or (kind is None and len(bounds) - 1 <= _MOST_BARS) else _draw_area
    for height, top, label, colour in zip(heights, tops, series.labels, series.colours, strict=True):
        draw(ax, days, height, top, label=label, color=colour)
    ax.set_ylim(0, max(float(tops[-1].max()) * 1.05, 1.0))
    _put_dates(ax, days, bounds, clock)


def _draw_bars(ax: Axes, days: Floats, heights: Ints, tops: Ints, **options: Any) -> None:
    count = len(heights)
    widths = np.diff(days) * (0.9 if count <= _MOST_TICKS else 1.0)
    middles = (days[:-1] + days[1:]) / 2
    drawn = heights > 0
    drawn[0] = True  # the legend needs a bar
    bottoms = (tops - heights)[drawn]
    line = 0.4 if count < 59 else 0.0
    ax.bar(middles[drawn], heights[drawn], widths[drawn], bottoms, edgecolor="white", linewidth=line, **options)


def _draw_area(ax: Axes, days: Floats, heights: Ints, tops: Ints, **options: Any) -> None:
    low, high = (np.r_[line, line[-1]] for line in (tops - heights, tops))
    ax.fill_between(days, low, high, step="post", linewidth=0, **options)


def _matplotlib_days(instants: Ints) -> Floats:
    """Convert microseconds since 1970 to matplotlib's dates: days since its epoch."""
    import matplotlib.dates

    units: Any = matplotlib.dates  # has no types
    days: Floats = np.asarray(units.date2num(instants.astype("datetime64[us]")))
    return days


def _put_dates(ax: Axes, days: Floats, bounds: Ints, clock: _Clock) -> None:
    import matplotlib.dates

    ax.xaxis_date(tz=clock.zone)
    count = len(bounds) - 1
    margin = (days[-1] - days[0]) * max(0.01, (_LEAST_SLOTS / count - 1) / 2)
    ax.set_xlim(days[0] - margin, days[-1] + margin)
    if count <= _MOST_TICKS:
        every = math.ceil(count / max(width_of(ax) / 0.62, 1))
        middles = ((days[:-1] + days[1:]) / 2)[::every]
        ax.set_xticks(middles, _tick_labels(bounds[:-1:every], clock))
        return
    units: Any = matplotlib.dates  # has no types
    locator = units.AutoDateLocator(tz=clock.zone, minticks=3, maxticks=max(int(width_of(ax) / 0.75), 4))
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(
        units.ConciseDateFormatter(
            locator,
            tz=clock.zone,
            show_offset=False,
            formats=["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%S.%f"],
            zero_formats=["", "%b\n%Y", "%b", "%d %b", "%H:%M", "%H:%M"],
        )
    )


def _tick_labels(starts: Ints, clock: _Clock) -> list[str]:
    """Label each period by its start, with day, month or year on a second line where that changes."""
    labels, previous = [], ""
    for start in timestamps(starts, clock.zone):
        first, second = _tick_label(start, clock.length)
        labels.append(first if second == previous else f"{first}\n{second}")
        previous = second
    return labels


def _tick_label(start: pd.Timestamp, length: Freq) -> tuple[str, str]:
    day = f"{start.day} {start:%b}"
    if length.unit == "h":
        return f"{start:%H:%M}", f"{day} {start.year}"
    if length.unit == "M" and length.count == 12 and length.anchor == 0:
        return f"{start.year}", ""
    if length.unit == "M" and length.count == 3 and length.anchor == 0:
        return f"Q{start.quarter}", f"{start.year}"
    return (f"{start:%b}" if length.unit == "M" else day), f"{start.year}"


def _put_legend(ax: Axes, owns_figure: bool) -> None:
    handles, labels = ax.get_legend_handles_labels()
    if len(handles) < 2:
        return
    options: dict[str, Any] = {"loc": "upper left", "frameon": False, "handlelength": 1.0, "handleheight": 1.0}
    if owns_figure:
        options |= {"bbox_to_anchor": (1.005, 1.0), "borderaxespad": 0.0}
    else:  # inside the axes, above the data: outside it might cover other axes
        columns = min(max(int(width_of(ax) / 1.5), 1), len(labels))
        inches = 0.14 * math.ceil(len(labels) / columns) + 0.15
        height = float(ax.get_position().height * ax.figure.bbox.height / ax.figure.dpi)
        ax.set_ylim(0, ax.get_ylim()[1] / max(1 - inches / height, 0.4))
        options |= {"ncols": columns, "columnspacing": 1.0, "labelspacing": 0.3}
        options |= {"frameon": True, "framealpha": 1.0, "edgecolor": "none"}  # no grid line through it
    font = {"family": fonts(), "size": 9 if owns_figure else 7}
    ax.legend(handles[::-1], labels[::-1], prop=font, **options)  # reversed: the chart stacks upwards


def _style(ax: Axes, measure: str, *, over_time: bool) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axis = ax.yaxis if over_time else ax.xaxis
    axis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(EngFormatter(sep=""))
    axis.set_label_text(measure)
    draw_grid(ax, along="y" if over_time else "x")
    if over_time:
        ax.tick_params(axis="x", length=3)


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
