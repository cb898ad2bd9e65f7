"""Pictures of usage: a frame in, a matplotlib Axes out. matplotlib is imported when a picture is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.dates import instants_of
from histkit.plotting.style import FAINT, GREY, INK, PALETTE, counted, draw_empty_note, inches_of, percent, put_title
from histkit.plotting.text import fonts, plain, plot_labels
from histkit.usage.aggregate import MEASURES
from histkit.usage.buckets import edges
from histkit.usage.clock import name_of
from histkit.usage.periods import Freq
from histkit.usage.table import OTHER, parse_query, usage_table
from histkit.util.arguments import whole_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

ALL = "all"
_MOST_BARS = 100  # more periods are drawn as one stepped area, without gaps between them
_FEWEST = 5  # one bar is as wide as if there were five
_TICKED = 14  # so few periods are named one by one
_UNITS = {"h": "hour", "D": "day", "W": "week", "M": "month", "B": "billing period"}
_MONTHS = {1: "month", 3: "quarter", 12: "year"}


def plot_usage(
    frame: pd.DataFrame,
    by: Any = "voice",
    freq: str | None = "D",
    *,
    tz: str | tzinfo = "UTC",
    measure: str = "credits",
    kind: str | None = None,
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
        What the groups are, as in `histkit.usage_table`; None: one group.
    freq : str or None, default "D"
        Length of the periods, as in `histkit.usage_table`. None: no time axis, one horizontal bar per group.
    tz : str or tzinfo, default "UTC"
        The zone whose clock tells the periods apart, and that the dates are shown in.
    measure : {"credits", "characters", "items"}
        What is summed.
    kind : {"bar", "area"}, optional
        Over time: a bar per period, as wide as the period is long, or a stepped area; by default bars while they are
        not too many to tell apart.
    top : int, default 9
        How many groups are shown (1 to 9, and up to 40 without `freq`), the largest by `measure`; the others are
        one grey group ``other``.
    billing, week_start : optional
        For ``freq="billing"`` and ``freq="W"``, as in `histkit.usage_table`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure of pyplot.

    Returns
    -------
    matplotlib.axes.Axes
        Its title states the total, the dates, the zone, and what part of the rows has no such number or no date. An
        empty history gives axes that say so.

    Raises
    ------
    InputError
        An argument that can't be used.
    SchemaError
        The frame lacks a column.

    Examples
    --------
    >>> import histkit as hk
    >>> axes = hk.plot_usage(hk.sample_history(300), "model", "MS", tz="Europe/Berlin")
    >>> axes.get_ylabel()
    'credits'
    """
    _check(measure, kind, top, freq)
    wanted = parse_query(by, freq, tz=tz, top=None, billing=billing, week_start=week_start)
    length, zone = wanted.length, wanted.zone
    table = usage_table(frame, by, freq, tz=tz, billing=billing, week_start=week_start)
    facts = table.attrs["histkit"]
    clock = None if length is None else _Clock(length, zone)
    names = list(table.columns[: list(table.columns).index(MEASURES[0]) - (length is not None)])
    series = _series(table, names, measure, top)
    owned = ax is None
    ax = _new_axes(length, len(series.labels)) if ax is None else ax
    dated = table if length is None else table[table["period"].notna()]
    if dated.empty:
        draw_empty_note(ax, "no rows" if table.empty else "no rows with a date")
        put_title(ax, _headline(names, measure, length), _details(table, facts, measure, dated, clock, frame))
        return ax
    elif clock is None:
        _draw_groups(ax, series)
    else:
        starts = table["period"].dt.tz_convert(None).to_numpy("datetime64[us]").view(np.int64)
        _draw_time(ax, series, starts, kind, clock)
        _put_legend(ax, owned)
    _style(ax, measure, length is not None)
    put_title(ax, _headline(names, measure, length), _details(table, facts, measure, dated, clock, frame))
    return ax


@dataclass(frozen=True)
class _Series:
    """What is drawn: labels from the largest down, colours, and for each row of the table its series and number."""

    labels: list[str]
    colours: list[str]
    codes: NDArray[np.int64]
    numbers: NDArray[np.int64]


@dataclass(frozen=True)
class _Clock:
    length: Freq
    zone: tzinfo


def _check(measure: str, kind: str | None, top: int, freq: str | None) -> None:
    if measure not in MEASURES:
        raise InputError(f"measure={measure!r} is not a measure; give one of 'credits', 'characters', 'items'.")
    kinds = (None, "bar") if freq is None else (None, "bar", "area")
    if kind not in kinds:
        allowed = ", ".join(repr(each) for each in kinds)
        raise InputError(f"kind={kind!r} can't be drawn {'without' if freq is None else 'with'} freq; give {allowed}.")
    whole_number("top", top, 1, 40 if freq is None else len(PALETTE))


def _series(table: pd.DataFrame, names: list[Any], measure: str, top: int) -> _Series:
    numbers = table[measure].to_numpy(np.int64, na_value=0)
    found: dict[tuple[Any, ...], int] = {}
    keys = zip(*(_values(table[name]) for name in names), strict=True) if names else [(ALL,)] * len(table)
    codes = np.array([found.setdefault(key, len(found)) for key in keys], np.int64)
    groups = list(found)
    sums = np.zeros(len(groups), np.int64)
    np.add.at(sums, codes, numbers)
    order = np.argsort(-sums, kind="stable")
    place = np.empty(len(groups), np.int64)
    place[order] = np.arange(len(groups))
    shown = min(top, len(groups))
    texts = plot_labels([groups[each] for each in order[:shown]], table.attrs["histkit"].get("voices", {}))
    colours = [PALETTE[each % len(PALETTE)] for each in range(shown)]
    if len(groups) > shown:
        texts, colours = [*texts, f"{OTHER} ({len(groups) - shown})"], [*colours, GREY]
    return _Series(texts, colours, np.minimum(place[codes], shown), numbers)


def _values(column: pd.Series) -> list[Any]:
    values: list[Any] = column.astype(object).where(column.notna(), None).tolist()
    return values


def _new_axes(length: Freq | None, bars: int) -> Axes:
    import matplotlib.pyplot as plt

    height = 4.5 if length is not None else 1.5 + 0.34 * max(bars, 2)
    return plt.subplots(figsize=(9, height), layout="constrained")[1]


def _draw_groups(ax: Axes, series: _Series) -> None:
    sums = np.zeros(len(series.labels), np.int64)
    np.add.at(sums, series.codes, series.numbers)
    places = np.arange(len(sums))
    bars = ax.barh(places, sums, color=[PALETTE[0] if each != GREY else GREY for each in series.colours], height=0.7)
    whole = int(sums.sum())
    shares = [f"{each:,}" + (f"  ({each / whole:.0%})" if whole else "") for each in sums.tolist()]
    ax.bar_label(bars, shares, padding=4, fontsize=9, color=INK)
    ax.set_yticks(places, series.labels, fontfamily=fonts())
    ax.set_ylim(len(sums) - 0.4, -0.6)
    ax.set_xlim(0, max(float(sums.max()) * 1.22, 1.0))


def _draw_time(ax: Axes, series: _Series, starts: NDArray[np.int64], kind: str | None, clock: _Clock) -> None:
    dated = starts > np.iinfo(np.int64).min
    steps = edges(starts[dated], clock.length, clock.zone)
    days = _days(steps)
    heights = np.zeros((len(series.labels), len(steps) - 1), np.int64)
    places = np.searchsorted(steps, starts)
    np.add.at(heights, (series.codes[dated], places[dated]), series.numbers[dated])
    tops = np.cumsum(heights, axis=0)
    bars = kind == "bar" or (kind is None and len(steps) - 1 <= _MOST_BARS)
    for each, (label, colour) in enumerate(zip(series.labels, series.colours, strict=True)):
        foot = tops[each] - heights[each]
        if bars:
            line = 0.4 if len(steps) < 60 else 0.0
            width = np.diff(days) * (0.9 if len(steps) <= _TICKED + 1 else 1.0)
            middle = (days[:-1] + days[1:]) / 2
            drawn = heights[each] > 0
            drawn[0] = True  # the legend needs a bar
            ax.bar(
                middle[drawn],
                heights[each][drawn],
                width[drawn],
                foot[drawn],
                label=label,
                color=colour,
                edgecolor="white",
                linewidth=line,
            )
        else:
            low, high = (np.r_[line, line[-1]] for line in (foot, tops[each]))
            ax.fill_between(days, low, high, step="post", label=label, color=colour, linewidth=0)
    ax.set_ylim(0, max(float(tops[-1].max()) * 1.05, 1.0))
    _put_dates(ax, days, steps, clock)


def _days(instants: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give matplotlib's dates: days since its epoch."""
    import matplotlib.dates

    units: Any = matplotlib.dates  # has no types
    days: NDArray[np.float64] = np.asarray(units.date2num(instants.astype("datetime64[us]")))
    return days


def _put_dates(ax: Axes, days: NDArray[np.float64], steps: NDArray[np.int64], clock: _Clock) -> None:
    import matplotlib.dates

    ax.xaxis_date(tz=clock.zone)
    count = len(steps) - 1
    margin = (days[-1] - days[0]) * max(0.01, (_FEWEST / count - 1) / 2)
    ax.set_xlim(days[0] - margin, days[-1] + margin)
    if count <= _TICKED:
        every = math.ceil(count / max(inches_of(ax) / 0.62, 1))
        middles = ((days[:-1] + days[1:]) / 2)[::every]
        ax.set_xticks(middles, _named_periods(steps[:-1:every], clock))
        return
    units: Any = matplotlib.dates  # has no types
    locator = units.AutoDateLocator(tz=clock.zone, minticks=3, maxticks=max(int(inches_of(ax) / 0.75), 4))
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


def _named_periods(starts: NDArray[np.int64], clock: _Clock) -> list[str]:
    """Name each period by its start; day, month or year stand below where they change."""
    names, before = [], ""
    for start in starts.tolist():
        when = datetime.fromtimestamp(start // 1_000_000, UTC).astimezone(clock.zone)
        day = f"{when.day} {when:%b}"
        short, below = {"h": (f"{when:%H:%M}", f"{day} {when.year}"), "D": (day, f"{when.year}")}.get(
            clock.length.unit, (day, f"{when.year}")
        )
        if clock.length.unit == "M":
            short, below = f"{when:%b}", f"{when.year}"
            if clock.length.count == 3 and clock.length.anchor == 0:
                short = f"Q{(when.month + 2) // 3}"
            elif clock.length.count == 12 and clock.length.anchor == 0:
                short, below = f"{when.year}", ""
        names.append(short if below == before else f"{short}\n{below}")
        before = below
    return names


def _put_legend(ax: Axes, owned: bool) -> None:
    handles, labels = ax.get_legend_handles_labels()
    if len(handles) < 2:
        return
    # the picture stacks upwards, the legend reads downwards
    options: dict[str, Any] = {"loc": "upper left", "frameon": False, "handlelength": 1.0, "handleheight": 1.0}
    if owned:
        options |= {"bbox_to_anchor": (1.005, 1.0), "borderaxespad": 0.0}
    else:  # within the axes, in room made above the data: outside it might cover a neighbour
        columns = min(max(int(inches_of(ax) / 1.5), 1), len(labels))
        inches = 0.14 * math.ceil(len(labels) / columns) + 0.15
        height = float(ax.get_position().height * ax.figure.bbox.height / ax.figure.dpi)
        ax.set_ylim(0, ax.get_ylim()[1] / max(1 - inches / height, 0.4))
        options |= {"ncols": columns, "columnspacing": 1.0, "labelspacing": 0.3}
    ax.legend(handles[::-1], labels[::-1], prop={"family": fonts(), "size": 9 if owned else 7}, **options)


def _style(ax: Axes, measure: str, over_time: bool) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axis = ax.yaxis if over_time else ax.xaxis
    axis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(EngFormatter(sep=""))
    axis.set_label_text(measure)
    ax.set_axisbelow(True)
    ax.grid(False)
    ax.grid(True, axis="y" if over_time else "x", color=FAINT, linewidth=0.8)
    ax.spines[["top", "right", "left" if over_time else "bottom"]].set_visible(False)
    ax.tick_params(length=0, labelsize=9, colors=INK)
    if over_time:
        ax.tick_params(axis="x", length=3)


def _headline(names: list[Any], measure: str, length: Freq | None) -> str:
    words = [measure.capitalize()]
    if length is not None:
        unit = _MONTHS.get(length.count, f"{length.count} months") if length.unit == "M" else _UNITS[length.unit]
        words.append(f"per {unit}" if length.unit != "h" or length.count == 1 else f"per {length.count} hours")
    if names:
        words.append("by " + " and ".join(plain(str(name)) for name in names))
    return " ".join(words)


def _details(
    table: pd.DataFrame,
    facts: dict[str, Any],
    measure: str,
    dated: pd.DataFrame,
    clock: _Clock | None,
    frame: pd.DataFrame,
) -> str:
    lacking = facts.get(f"rows_without_{measure}", 0)
    total = int(table[measure].sum())
    said = [f"{measure} unknown" if lacking and lacking == facts["rows"] else f"{total:,} {measure}"]
    if measure != "items":
        said.append(counted(int(table["items"].sum()), "item"))
    if clock is not None:
        said += [_span(frame["date"], clock.zone)] if len(dated) else []
        said.append(name_of(clock.zone))
    if lacking and lacking < facts["rows"]:
        said.append(f"{percent(lacking, facts['rows'])} of rows without {measure}")
    undated = facts.get("rows_without_date", 0)
    if undated and clock is not None:
        lost = total - int(dated[measure].sum())
        said.append(f"{counted(undated, 'row')} without a date ({lost:,} {measure}) not drawn")
    return " · ".join(said)


def _span(dates: pd.Series, zone: tzinfo) -> str:
    instants, known = instants_of(dates)
    ends = (int(instants[known].min()), int(instants[known].max()))
    first, last = (datetime.fromtimestamp(each // 1_000_000, UTC).astimezone(zone) for each in ends)
    if first.date() == last.date():
        return f"{first.day} {first:%b %Y}"
    year = "" if first.year == last.year else f" {first.year}"
    return f"{first.day} {first:%b}{year} to {last.day} {last:%b %Y}"


def plot_share(
    frame: pd.DataFrame, by: Any = "voice", *, measure: str = "credits", top: int = 10, ax: Axes | None = None
) -> Axes:
    """Draw each group's share of the whole: `plot_usage` without a time axis.

    Parameters
    ----------
    frame, by, measure, top, ax
        As in `plot_usage`.

    Examples
    --------
    >>> import histkit as hk
    >>> len(hk.plot_share(hk.sample_history(300), "model", top=3).patches)
    4
    """
    return plot_usage(frame, by, None, measure=measure, top=top, ax=ax)
