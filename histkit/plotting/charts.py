"""Further charts: hours of the week, quota and forecast, texts with most credits thrown away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from histkit.errors import SchemaError
from histkit.frame.clock import name_of, timestamps, zone_of
from histkit.frame.columns import float_numbers, whole_numbers
from histkit.frame.dates import instants_of
from histkit.frame.keys import warn_of_duplicates
from histkit.frame.schema import check_frame, require
from histkit.plotting.style import (
    GREY,
    INK,
    PALETTE,
    SOFT,
    axes_or_new,
    bars_height,
    draw_empty_note,
    draw_grid,
    put_title,
)
from histkit.plotting.text import drawable_text, fonts
from histkit.retakes.lines import line_table
from histkit.retakes.takes import takes
from histkit.usage.aggregate import MEASURES
from histkit.util.arguments import one_of, whole_number
from histkit.util.text import count_noun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_TEXT_CHARACTERS = 44
_PERCENTILES = ("p10", "p50", "p90")


def plot_hours(
    frame: pd.DataFrame,
    *,
    tz: str | tzinfo = "UTC",
    measure: Literal["items", "characters", "credits"] = "items",
    ax: Axes | None = None,
) -> Axes:
    """Draw a heat map of the hours of the week at which speech is generated.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one; needs ``date``, and `measure` unless it is items.
    tz : str or tzinfo, default "UTC"
        The zone of the hours.
    measure : {"items", "characters", "credits"}
        Quantity to sum.
    ax : matplotlib.axes.Axes, optional
        The axes to draw into; default: those of a new pyplot figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes with the chart; without data, with a note instead.

    Raises
    ------
    InputError, SchemaError
        An argument is invalid; the frame lacks a column.

    Examples
    --------
    >>> import histkit as hk
    >>> axes = hk.plot_hours(hk.sample_history(300), tz="Europe/Berlin")
    >>> axes.images[0].get_array().shape
    (7, 24)
    """
    return hours_drawing(frame, tz=tz, measure=measure)(ax)


def hours_drawing(
    frame: pd.DataFrame,
    *,
    tz: str | tzinfo = "UTC",
    measure: Literal["items", "characters", "credits"] = "items",
) -> Callable[[Axes | None], Axes]:
    """Compute the sums of a `plot_hours` chart; return a function that draws them, in any size.

    Parameters and errors are those of `plot_hours`; the function takes its `ax`.
    """
    one_of("measure", measure, MEASURES, "is not a measure")
    require(frame, ["date"] if measure == "items" else ["date", measure], "the chart of hours")
    warn_of_duplicates(frame, "the chart of hours")
    zone = zone_of(tz)
    instants, dated = instants_of(frame["date"])
    weights = np.ones(len(frame)) if measure == "items" else whole_numbers(frame[measure])[0].astype(float)
    sums = np.zeros((7, 24))
    local = timestamps(instants[dated], zone)
    np.add.at(sums, (local.day_of_week.to_numpy(), local.hour.to_numpy()), weights[dated])
    details = [f"{int(sums.sum()):,} {measure}", f"clock of {name_of(zone)}"]
    if not dated.all():
        details.append(f"{count_noun(int((~dated).sum()), 'row')} without a date not drawn")
    empty = None if dated.any() else "no rows with a date" if len(frame) else "no rows"

    def draw(ax: Axes | None) -> Axes:
        ax = axes_or_new(ax, 3.4)
        if empty:
            draw_empty_note(ax, empty)
        else:
            _draw_hours(ax, sums)
        put_title(ax, f"{measure.capitalize()} by weekday and hour", " · ".join(details))
        return ax

    return draw


def _draw_hours(ax: Axes, sums: Any) -> None:
    from matplotlib.colors import PowerNorm
    from matplotlib.ticker import EngFormatter

    scale = PowerNorm(0.5, 0, max(float(sums.max()), 1.0))  # so that one busy hour does not dominate
    image = ax.imshow(sums, cmap="Blues", aspect="auto", norm=scale)
    ax.set_yticks(range(7), _DAYS)
    ax.set_xticks(range(0, 24, 3), [f"{hour:02d}:00" for hour in range(0, 24, 3)])
    ax.set_xticks(np.arange(-0.5, 24), minor=True)
    ax.set_yticks(np.arange(-0.5, 7), minor=True)
    ax.grid(True, which="minor", color="white", linewidth=1.2)
    ax.grid(False, which="major")
    ax.tick_params(which="both", length=0, labelsize=9, colors=INK)
    ax.spines[:].set_visible(False)
    if ax.figure is not None:
        bar = ax.figure.colorbar(image, ax=ax, pad=0.015, fraction=0.03, format=EngFormatter(sep=""))
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0, labelsize=8, colors=INK)


def plot_quota(forecast: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the credits used, their forecast and the plan's limit.

    Parameters
    ----------
    forecast : pandas.DataFrame
        As `histkit.forecast` returns it: ``date``, ``cumulative``, ``p10``, ``p50``, ``p90``. The limit, the reset and
        the day on which the credits run out are read from its ``attrs["histkit"]``, if present.
    ax : matplotlib.axes.Axes, optional
        The axes to draw into; default: those of a new pyplot figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes with the chart; without data, with a note instead.

    Raises
    ------
    SchemaError
        The frame lacks a column.

    Examples
    --------
    >>> import histkit as hk
    >>> plan = {"character_count": 4000, "character_limit": 9000, "next_character_count_reset_unix": 1794648600}
    >>> days = hk.forecast(hk.sample_history(300), subscription=plan, now="2026-10-31T20:00:00Z")
    >>> hk.plot_quota(days).get_ylabel()
    'credits'
    """
    require(forecast, ["date", "cumulative", *_PERCENTILES], "the chart of the quota")
    if not isinstance(forecast["date"].dtype, pd.DatetimeTZDtype):
        kind = forecast["date"].dtype
        raise SchemaError(f"Column 'date' ({kind}) holds something other than dates with a zone, as of forecast().")
    ax = axes_or_new(ax, 4)
    attached = forecast.attrs.get("histkit")
    facts: Mapping[str, Any] = attached if isinstance(attached, Mapping) else {}
    details = []
    if facts.get("used") is not None and facts.get("limit"):
        details.append(f"{facts['used']:,} of {facts['limit']:,} credits used")
    if facts.get("run_out"):
        details.append(f"runs out on {facts['run_out'][:10]}")
    details.append("the forecast is an estimate")
    if facts.get("backtest"):
        sentence = backtest_sentence(facts["backtest"])
        details[-1] += f"; {sentence[0].lower()}{sentence[1:]}"
    if forecast.empty:
        draw_empty_note(ax, "no days")
    else:
        _draw_quota(ax, forecast, facts)
    put_title(ax, "Credits used, and where they are heading", " · ".join(details))
    return ax


def backtest_sentence(test: Mapping[str, Any]) -> str:
    """Describe the back-test in the facts of a forecast."""
    days = count_noun(test["days"], "day")
    return f"The band held in {test['held']} of {count_noun(test['of'], 'past period')} of {days}"


def _draw_quota(ax: Axes, forecast: pd.DataFrame, facts: Mapping[str, Any]) -> None:
    limit = facts.get("limit")
    highest = max(_draw_forecast(ax, forecast, facts.get("until")), limit or 0)
    ax.set_ylim(0, max(highest * 1.12, 1.0))
    _mark_limit_and_days(ax, facts)
    _label_quota_axes(ax)
    ax.legend(loc="upper left", frameon=False, fontsize=9, ncols=3, bbox_to_anchor=(0, -0.07))  # off the limit's line


def _draw_forecast(ax: Axes, forecast: pd.DataFrame, until: str | None) -> float:
    """Draw the measured line, the median and the band between the percentiles; return the highest value.

    The last day ends at the end of the forecast, if that is known.
    """
    days = forecast["date"].dt.tz_localize(None).dt.normalize()  # by the clock: a day has 23 to 25 hours
    ends = (days + pd.Timedelta(days=1)).to_numpy("datetime64[us]")
    if until:
        ends = np.minimum(ends, pd.Timestamp(until).tz_localize(None).to_datetime64())
    values = {name: float_numbers(forecast[name]) for name in ("cumulative", *_PERCENTILES)}
    ahead = ~np.isnan(values["p50"])
    measured = ~np.isnan(values["cumulative"])
    if measured.any() and ahead.any():  # the forecast starts where the measured line ends
        last = np.flatnonzero(measured)[-1]
        for name in _PERCENTILES:
            values[name][last] = values["cumulative"][last]
        ahead[last] = True
    ax.plot(ends[measured], values["cumulative"][measured], color=PALETTE[0], linewidth=2.2, label="used, measured")
    ax.fill_between(
        ends[ahead],
        values["p10"][ahead],
        values["p90"][ahead],
        color=PALETTE[1],
        alpha=0.3,
        linewidth=0,
        label="10th to 90th percentile",
    )
    ax.plot(ends[ahead], values["p50"][ahead], color=PALETTE[5], linewidth=1.8, linestyle=(0, (4, 2)), label="median")
    return float(np.nanmax(np.concatenate(list(values.values()))))


def _mark_limit_and_days(ax: Axes, facts: Mapping[str, Any]) -> None:
    """Mark the plan's limit, the reset, and the day on which the credits run out, if known."""
    limit = facts.get("limit")
    if limit:
        ax.axhline(limit, color=INK, linewidth=1.2)
        ax.annotate(
            f"plan: {limit:,}",
            (0, limit),
            (4, 3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=9,
            color=INK,
        )
    for name, label in (("reset", "reset"), ("run_out", "runs out")):
        if facts.get(name):
            moment = pd.Timestamp(facts[name]).tz_localize(None).to_datetime64()
            ax.axvline(moment, color=GREY, linewidth=1.2, linestyle=":")
            ax.annotate(
                label,
                (moment, 0.02),
                (3, 0),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                fontsize=8,
                color=SOFT,
                rotation=90,
                va="bottom",
            )


def _label_quota_axes(ax: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import EngFormatter

    locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]
    ax.yaxis.set_major_formatter(EngFormatter(sep=""))
    ax.set_ylabel("credits")
    draw_grid(ax, along="y")


def plot_takes(frame: pd.DataFrame, *, top: int = 12, ax: Axes | None = None) -> Axes:
    """Draw the texts with the most credits thrown away, next to the credits of the kept takes.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or the table of takes that `histkit.takes` returns for it. Accounts are separate, unless the table
        was made with ``across_accounts=True``.
    top : int, default 12
        Number of texts, 1 to 40.
    ax : matplotlib.axes.Axes, optional
        The axes to draw into; default: those of a new pyplot figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes with the chart; without data, with a note instead.

    Raises
    ------
    InputError, SchemaError
        An argument is invalid; the frame lacks a column.

    Examples
    --------
    >>> import histkit as hk
    >>> hk.plot_takes(hk.sample_history(2000), top=5).get_xlabel()
    'credits'
    """
    return takes_drawing(frame, top=top)(ax)


def takes_drawing(frame: pd.DataFrame, *, top: int = 12) -> Callable[[Axes | None], Axes]:
    """Compute the lines of a `plot_takes` chart; return a function that draws them, in any size.

    Parameters and errors are those of `plot_takes`; the function takes its `ax`.
    """
    top = whole_number("top", top, 1, 40)
    check_frame(frame, "the chart of takes")
    table = frame if {"line", "keeper", "thrown_away"} <= set(frame.columns) else takes(frame)
    if table is frame:
        warn_of_duplicates(frame, "the chart of takes")
    require(table, ["line", "takes", "text", "credits", "keeper", "thrown_away"], "the chart of takes")
    lines = line_table(table, top)
    note = "no text has several takes" if len(table) else "no rows"
    texts = count_noun(lines.attrs["histkit"]["lines"], "text")
    details = f"{texts} with several takes · {int(table['thrown_away'].sum()):,} credits thrown away in all"

    def draw(ax: Axes | None) -> Axes:
        ax = axes_or_new(ax, bars_height(len(lines)))
        if lines.empty:
            draw_empty_note(ax, note)
        else:
            _draw_takes(ax, lines)
        put_title(ax, "Texts with most credits thrown away", details)
        return ax

    return draw


def _draw_takes(ax: Axes, lines: pd.DataFrame) -> None:
    from matplotlib.ticker import EngFormatter

    lost = lines["thrown_away"].to_numpy(float, na_value=0)
    kept = np.maximum(lines["credits"].to_numpy(float, na_value=0) - lost, 0)
    positions = np.arange(len(lines))
    ax.barh(positions, kept, color=PALETTE[0], height=0.7, label="kept")
    bars = ax.barh(
        positions,
        lost,
        left=kept,
        color=PALETTE[5],
        height=0.7,
        hatch="///",
        edgecolor="white",
        linewidth=0,
        label="thrown away",
    )
    labels = [
        f"{int(credits):,} in {count_noun(int(count) - 1, 'take')}"
        for credits, count in zip(lost, lines["takes"], strict=True)
    ]
    ax.bar_label(bars, labels, padding=4, fontsize=9, color=INK)
    texts = ["(dialogue)" if pd.isna(text) else drawable_text(text, _TEXT_CHARACTERS) for text in lines["text"]]
    if "account" in lines.columns:
        names = lines["account"].fillna("several or no account")
        texts = [f"{text} ({drawable_text(name, _TEXT_CHARACTERS)})" for text, name in zip(texts, names, strict=True)]
    ax.set_yticks(positions, texts, fontfamily=fonts())
    ax.set_ylim(len(lines) - 0.4, -0.6)
    ax.set_xlim(0, max(float((kept + lost).max()) * 1.3, 1.0))
    ax.set_xlabel("credits")
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    draw_grid(ax, along="x")
    ax.legend(loc="upper right", bbox_to_anchor=(1, -0.03), ncols=2, frameon=False, fontsize=9)
