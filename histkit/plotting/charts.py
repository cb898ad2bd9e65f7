"""Further charts: hours of the week, quota and forecast, texts with most credits thrown away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from histkit.errors import SchemaError
from histkit.frame.clock import name_of, timestamps, zone_of
from histkit.frame.columns import whole_numbers
from histkit.frame.dates import instants_of
from histkit.frame.keys import warn_of_duplicates
from histkit.frame.schema import check_frame, require
from histkit.plotting.fonts import Lettering
from histkit.plotting.palette import PALETTE, mix, visible_on
from histkit.plotting.quota import PERCENTILES, draw_quota
from histkit.plotting.style import Heading, Look, bars_height, draw_empty_note, look_of, style_ticks
from histkit.plotting.text import drawable_text
from histkit.retakes.lines import line_table
from histkit.retakes.takes import takes
from histkit.usage.aggregate import MEASURES
from histkit.util.arguments import one_of, whole_number
from histkit.util.text import count_noun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_TEXT_CHARACTERS = 44
_NO_ACCOUNT = "several or no account"


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
        look = look_of(ax, 3.4)
        Heading(look, f"{measure.capitalize()} by weekday and hour", " · ".join(details))
        if empty:
            draw_empty_note(look, empty)
        else:
            _draw_hours(look, sums)
        look.fit.run()
        return look.ax

    return draw


def _draw_hours(look: Look, sums: Any) -> None:
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    from histkit.plotting.ticks import put_count_ticks, put_index_ticks

    ax, face = look.ax, look.inks.face
    scale = PowerNorm(0.5, 0, max(float(sums.max()), 1.0))  # so that one busy hour does not dominate
    shades = [mix(look.inks.text, face, 0.05), PALETTE[0], mix(PALETTE[0], look.inks.text, 0.4)]
    image = ax.imshow(
        sums,
        cmap=LinearSegmentedColormap.from_list("hours", shades),
        aspect="auto",
        norm=scale,
        interpolation="none",
        origin="upper",
    )
    put_index_ticks(ax.xaxis, [f"{hour:02d}:00" for hour in range(24)], (1, 2, 3, 4, 6, 12, 24), look.size)
    put_index_ticks(ax.yaxis, _DAYS, (1, 2, 3, 6, 7), look.size)
    ax.set_xticks(np.arange(-0.5, 24), minor=True)
    ax.set_yticks(np.arange(-0.5, 7), minor=True)
    ax.grid(False, which="major")
    ax.grid(True, which="minor", color=face, linestyle="-", linewidth=1.2 * min(look.size / 9, 1))
    style_ticks(look)
    ax.spines[:].set_visible(False)
    side = ax.inset_axes((1.015, 0.0, 0.02, 1.0))
    bar = ax.figure.colorbar(image, cax=side)
    put_count_ticks(side.yaxis, look.size)
    bar.outline.set_visible(False)
    side.tick_params(length=0, labelsize=look.size * 8 / 9, colors=look.inks.y_ticks)
    side.minorticks_off()


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
    require(forecast, ["date", "cumulative", *PERCENTILES], "the chart of the quota")
    if not isinstance(forecast["date"].dtype, pd.DatetimeTZDtype):
        kind = forecast["date"].dtype
        raise SchemaError(f"Column 'date' ({kind}) holds something other than dates with a zone, as of forecast().")
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
    look = look_of(ax, 4)
    Heading(look, "Credits used, and where they are heading", " · ".join(details))
    if forecast.empty:
        draw_empty_note(look, "no days")
    else:
        draw_quota(look, forecast, facts)
    look.fit.run()
    return look.ax


def backtest_sentence(test: Mapping[str, Any]) -> str:
    """Describe the back-test in the facts of a forecast."""
    days = count_noun(test["days"], "day")
    return f"The band held in {test['held']} of {count_noun(test['of'], 'past period')} of {days}"


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
        look, lettering = look_of(ax, bars_height(len(lines))), Lettering()
        Heading(look, "Texts with most credits thrown away", details)
        if lines.empty:
            draw_empty_note(look, note)
        else:
            _draw_takes(look, lines, lettering)
        look.fit.run()
        lettering.warn()
        return look.ax

    return draw


def _draw_takes(look: Look, lines: pd.DataFrame, lettering: Lettering) -> None:
    from histkit.plotting.bars import Bars, rows_with_room
    from histkit.plotting.key import Key

    texts = _texts_of(lines, lettering)
    if not look.owns_figure:
        lines = lines.head(rows_with_room(look, texts, lettering.families))
    lost = lines["thrown_away"].to_numpy(float, na_value=0)
    kept = np.maximum(lines["credits"].to_numpy(float, na_value=0) - lost, 0)
    numbers = [
        (f"{int(credits):,} in {count_noun(int(count) - 1, 'take')}", f"{int(credits):,}")
        for credits, count in zip(lost, lines["takes"], strict=True)
    ]
    face = look.inks.face
    hatched = {"hatch": "///", "edgecolor": face, "linewidth": 0, "label": "thrown away"}
    parts: list[tuple[Any, dict[str, Any]]] = [
        (kept, {"color": visible_on(face, PALETTE[0]), "linewidth": 0, "label": "kept"}),
        (lost, {"color": visible_on(face, PALETTE[5]), **hatched}),
    ]
    bars = Bars(look, texts[: len(lines)], lettering.families, parts, numbers, "credits")
    Key(look, bars.handles, ["kept", "thrown away"], lettering.families)


def _texts_of(lines: pd.DataFrame, lettering: Lettering) -> list[str]:
    """Return what a line of several takes says, and its account where the frame has them."""
    texts = [
        "(dialogue)" if pd.isna(text) else drawable_text(text, _TEXT_CHARACTERS, lettering) for text in lines["text"]
    ]
    if "account" not in lines.columns:
        return texts
    names = [drawable_text(name, _TEXT_CHARACTERS, lettering) for name in lines["account"].fillna(_NO_ACCOUNT)]
    return [f"{text} ({name})" for text, name in zip(texts, names, strict=True)]
