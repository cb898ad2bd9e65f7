"""Further charts: the hours of the week, the quota and where it is heading, the takes of the dearest texts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.dates import instants_of
from histkit.frame.schema import require
from histkit.plotting.style import FAINT, GREY, INK, PALETTE, counted, draw_empty_note, put_title
from histkit.plotting.text import drawable_text, fonts
from histkit.retakes.lines import line_table
from histkit.retakes.takes import takes
from histkit.usage.clock import name_of, zone_of
from histkit.util.arguments import whole_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEASURES = ("items", "characters", "credits")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_TEXT_CHARACTERS = 44


def plot_hours(
    frame: pd.DataFrame, *, tz: str | tzinfo = "UTC", measure: str = "items", ax: Axes | None = None
) -> Axes:
    """Draw at what hours of the week speech is generated: a heat map of weekdays by hours.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one; needs ``date``, and `measure` unless it is items.
    tz : str or tzinfo, default "UTC"
        The zone whose clock tells the hours.
    measure : {"items", "characters", "credits"}
        What is summed.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure of pyplot.

    Raises
    ------
    InputError, SchemaError
        An argument that can't be used; a frame that lacks a column.

    Examples
    --------
    >>> import histkit as hk
    >>> axes = hk.plot_hours(hk.sample_history(300), tz="Europe/Berlin")
    >>> axes.images[0].get_array().shape
    (7, 24)
    """
    if measure not in MEASURES:
        raise InputError(f"measure={measure!r} is not a measure; give one of {', '.join(map(repr, MEASURES))}.")
    require(frame, ["date"] if measure == "items" else ["date", measure], "the chart of hours")
    zone = zone_of(tz)
    ax = _new_axes(9, 3.4) if ax is None else ax
    instants, dated = instants_of(frame["date"])
    weights = np.ones(len(frame)) if measure == "items" else frame[measure].fillna(0).to_numpy(float)
    sums = np.zeros((7, 24))
    clock = pd.DatetimeIndex(instants[dated].astype("datetime64[us]")).tz_localize("UTC").tz_convert(zone)
    np.add.at(sums, (clock.day_of_week.to_numpy(), clock.hour.to_numpy()), weights[dated])
    details = [f"{int(sums.sum()):,} {measure}", f"clock of {name_of(zone)}"]
    if not dated.all():
        details.append(f"{counted(int((~dated).sum()), 'row')} without a date not drawn")
    if not dated.any():
        draw_empty_note(ax, "no rows with a date" if len(frame) else "no rows")
    else:
        _draw_hours(ax, sums)
    put_title(ax, f"{measure.capitalize()} by weekday and hour", " · ".join(details))
    return ax


def _draw_hours(ax: Axes, sums: Any) -> None:
    from matplotlib.colors import PowerNorm
    from matplotlib.ticker import EngFormatter

    scale = PowerNorm(0.5, 0, max(float(sums.max()), 1.0))  # one busy hour must not hide the others
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
    """Draw the credits used against the plan's, and where they are heading.

    Parameters
    ----------
    forecast : pandas.DataFrame
        What `histkit.forecast` gives: ``date``, ``cumulative``, ``p10``, ``p50``, ``p90``; the limit, the reset and the
        day they run out are told by its ``attrs["histkit"]``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure of pyplot.

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
    require(forecast, ["date", "cumulative", "p10", "p50", "p90"], "the chart of the quota")
    ax = _new_axes(9, 4) if ax is None else ax
    told = forecast.attrs.get("histkit")
    facts: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    details = []
    if facts.get("used") is not None and facts.get("limit"):
        details.append(f"{facts['used']:,} of {facts['limit']:,} credits used")
    if facts.get("run_out"):
        details.append(f"runs out on {facts['run_out'][:10]}")
    details.append("the forecast is an estimate")
    if forecast.empty:
        draw_empty_note(ax, "no days")
    else:
        _draw_quota(ax, forecast, facts)
    put_title(ax, "Credits used, and where they are heading", " · ".join(details))
    return ax


def _draw_quota(ax: Axes, forecast: pd.DataFrame, facts: Mapping[str, Any]) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import EngFormatter

    ends = (forecast["date"] + pd.Timedelta(days=1)).dt.tz_localize(None).to_numpy("datetime64[us]")
    values = {
        name: forecast[name].astype("Float64").to_numpy(float, na_value=np.nan)
        for name in ("cumulative", "p10", "p50", "p90")
    }
    ahead = ~np.isnan(values["p50"])
    known = ~np.isnan(values["cumulative"])
    if known.any() and ahead.any():  # the forecast begins where the measured line ends
        last = np.flatnonzero(known)[-1]
        for name in ("p10", "p50", "p90"):
            values[name][last] = values["cumulative"][last]
        ahead[last] = True
    ax.plot(ends[known], values["cumulative"][known], color=PALETTE[0], linewidth=2.2, label="used, measured")
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
    top = np.nanmax(np.concatenate(list(values.values())))
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
        top = max(top, limit)
    ax.set_ylim(0, max(float(top) * 1.12, 1.0))
    for name, words in (("reset", "reset"), ("run_out", "runs out")):
        if facts.get(name):
            moment = pd.Timestamp(facts[name]).tz_localize(None).to_datetime64()
            ax.axvline(moment, color=GREY, linewidth=1.2, linestyle=":")
            ax.annotate(
                words,
                (moment, 0.02),
                (3, 0),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                fontsize=8,
                color="#555555",
                rotation=90,
                va="bottom",
            )
    locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]
    ax.yaxis.set_major_formatter(EngFormatter(sep=""))
    ax.set_ylabel("credits")
    ax.grid(True, axis="y", color=FAINT, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(length=0, labelsize=9, colors=INK)
    ax.legend(loc="upper left", frameon=False, fontsize=9, bbox_to_anchor=(0, 0.9 if limit else 1))


def plot_takes(frame: pd.DataFrame, *, top: int = 12, ax: Axes | None = None) -> Axes:
    """Draw the texts whose takes cost most: what was kept, and what was thrown away.

    Parameters
    ----------
    frame : pandas.DataFrame
        What `histkit.takes` gives, or a history.
    top : int, default 12
        So many texts, 1 to 40.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure of pyplot.

    Raises
    ------
    InputError, SchemaError
        An argument that can't be used; a frame that lacks a column.

    Examples
    --------
    >>> import histkit as hk
    >>> hk.plot_takes(hk.sample_history(2000), top=5).get_xlabel()
    'credits'
    """
    top = whole_number("top", top, 1, 40)
    found = frame if {"line", "keeper", "thrown_away"} <= set(frame.columns) else takes(frame)
    require(found, ["line", "takes", "text", "credits", "keeper", "thrown_away"], "the chart of takes")
    table = line_table(found, top)
    ax = _new_axes(9, 1.6 + 0.34 * max(len(table), 2)) if ax is None else ax
    lost = int(found["thrown_away"].sum())
    if table.empty:
        draw_empty_note(ax, "no text has several takes" if len(found) else "no rows")
    else:
        _draw_takes(ax, table)
    lines = table.attrs["histkit"]["lines"]
    said = f"{counted(lines, 'text')} with several takes · {lost:,} credits thrown away in all"
    put_title(ax, "Texts with most credits thrown away", said)
    return ax


def _draw_takes(ax: Axes, table: pd.DataFrame) -> None:
    from matplotlib.ticker import EngFormatter

    lost = table["thrown_away"].to_numpy(float, na_value=0)
    kept = np.maximum(table["credits"].to_numpy(float, na_value=0) - lost, 0)
    places = np.arange(len(table))
    ax.barh(places, kept, color=PALETTE[0], height=0.7, label="kept")
    bars = ax.barh(
        places,
        lost,
        left=kept,
        color=PALETTE[5],
        height=0.7,
        hatch="///",
        edgecolor="white",
        linewidth=0,
        label="thrown away",
    )
    said = [
        f"{int(part):,} in {counted(int(count) - 1, 'take')}" for part, count in zip(lost, table["takes"], strict=True)
    ]
    ax.bar_label(bars, said, padding=4, fontsize=9, color=INK)
    texts = ["(dialogue)" if pd.isna(text) else drawable_text(text, _TEXT_CHARACTERS) for text in table["text"]]
    ax.set_yticks(places, texts, fontfamily=fonts())
    ax.set_ylim(len(table) - 0.4, -0.6)
    ax.set_xlim(0, max(float((kept + lost).max()) * 1.3, 1.0))
    ax.set_xlabel("credits")
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.grid(True, axis="x", color=FAINT, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.tick_params(length=0, labelsize=9, colors=INK)
    ax.legend(loc="upper right", bbox_to_anchor=(1, -0.03), ncols=2, frameon=False, fontsize=9)


def _new_axes(width: float, height: float) -> Axes:
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]
