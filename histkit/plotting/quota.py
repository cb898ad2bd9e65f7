"""The chart of a forecast: credits used, their forecast, the plan's limit, the days that matter."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

import numpy as np
import pandas as pd

from histkit.frame.columns import float_numbers
from histkit.plotting.fit import inches_of
from histkit.plotting.palette import GREY, PALETTE, visible_on
from histkit.plotting.style import Look, draw_grid

PERCENTILES = ("p10", "p50", "p90")
_MARKS = (("reset", "reset"), ("run_out", "runs out"))
_GAP = 0.04  # inches


def draw_quota(look: Look, forecast: pd.DataFrame, facts: Mapping[str, Any]) -> None:
    """Draw the days of a forecast, and what the facts in its attrs say of the plan."""
    from matplotlib import rcParams

    from histkit.plotting.key import Key
    from histkit.plotting.ticks import put_calendar_ticks, put_count_ticks

    ax, limit = look.ax, facts.get("limit")
    handles, highest = _draw_forecast(look, forecast, facts.get("until"))
    ax.set_ylim(0, max(highest * 1.04, limit or 0, 1.0))
    put_calendar_ticks(ax, UTC, look.size)
    put_count_ticks(ax.yaxis, look.size)
    ax.set_ylabel("credits", fontsize=look.size * 10 / 9, color=look.inks.label)
    draw_grid(look, along="y")
    spare = look.size * 1.6 / 72 if limit else 0.0
    Key(look, handles, [handle.get_label() for handle in handles], rcParams["font.family"], spare)
    _Marks(look, facts)


def _draw_forecast(look: Look, forecast: pd.DataFrame, until: str | None) -> tuple[list[Any], float]:
    """Draw the measured line, the median and the band between the percentiles; return them, and the highest value.

    The last day ends at the end of the forecast, if that is known.
    """
    ax, face = look.ax, look.inks.face
    days = forecast["date"].dt.tz_localize(None).dt.normalize()  # by the clock: a day has 23 to 25 hours
    ends = (days + pd.Timedelta(days=1)).to_numpy("datetime64[us]")
    if until:
        ends = np.minimum(ends, pd.Timestamp(until).tz_localize(None).to_datetime64())
    values = {name: float_numbers(forecast[name]) for name in ("cumulative", *PERCENTILES)}
    ahead = ~np.isnan(values["p50"])
    measured = ~np.isnan(values["cumulative"])
    if measured.any() and ahead.any():  # the forecast starts where the measured line ends
        last = np.flatnonzero(measured)[-1]
        for name in PERCENTILES:
            values[name][last] = values["cumulative"][last]
        ahead[last] = True
    solid: dict[str, Any] = {"color": visible_on(face, PALETTE[0]), "linewidth": 2.2, "linestyle": "-"}
    dashed: dict[str, Any] = {"color": visible_on(face, PALETTE[5]), "linewidth": 1.8, "linestyle": (0, (4, 2))}
    used = ax.plot(ends[measured], values["cumulative"][measured], marker="", label="used, measured", **solid)
    band = ax.fill_between(
        ends[ahead],
        values["p10"][ahead],
        values["p90"][ahead],
        color=PALETTE[1],
        alpha=0.3,
        linewidth=0,
        label="10th to 90th percentile",
    )
    median = ax.plot(ends[ahead], values["p50"][ahead], marker="", label="median", **dashed)
    return [*used, *median, band], float(np.nanmax(np.concatenate(list(values.values()))))


class _Marks:
    """The plan's limit, the reset, and the day on which the credits run out, if known; no label covers another."""

    def __init__(self, look: Look, facts: Mapping[str, Any]) -> None:
        from matplotlib.dates import date2num

        ax, self._look = look.ax, look
        style: dict[str, Any] = {"color": look.inks.text, "fontsize": look.size}
        self._limit, self._limit_text = facts.get("limit"), f"plan: {facts.get('limit') or 0:,}"
        if self._limit:
            ax.axhline(self._limit, color=look.inks.text, linewidth=1.2, linestyle="-")
            place: dict[str, Any] = {"textcoords": "offset points", "va": "bottom"}
            ax.annotate(self._limit_text, (0, self._limit), (4, 2), ("axes fraction", "data"), **place, **style)
        self._labels = []
        for name, label in _MARKS:
            if facts.get(name):
                units: Any = date2num  # has no types
                day = float(units(pd.Timestamp(facts[name]).tz_localize(None).to_datetime64()))
                ax.axvline(day, color=visible_on(look.inks.face, GREY), linewidth=1.2, linestyle=":")
                text = ax.annotate(label, (day, 0), xytext=(0, 0), textcoords="offset points", rotation=90, **style)
                text.xycoords = ("data", "axes fraction")
                text.set(va="bottom", rotation_mode="default")
                self._labels.append((day, text))
        look.fit.steps.append(self.fit)

    def fit(self) -> None:
        """Place the labels of the days where they have room; a label that has none is hidden."""
        ax, size, font = self._look.ax, self._look.size, self._look.font()
        width, height = inches_of(ax)
        left, right = ax.get_xlim()
        low, high = ax.get_ylim()
        lines = [(day - left) / (right - left) * width for day, _ in self._labels]
        thick = size * 1.35 / 72
        top, taken = height, []
        if self._limit:
            top = (self._limit - low) / (high - low) * height
            taken.append((0.0, top, 0.1 + font.width(self._limit_text), top + thick))
        for (_, text), line in zip(self._labels, lines, strict=True):
            length = font.width(text.get_text()) + _GAP
            spots = [
                (start, bottom, start + thick, bottom + length)
                for bottom in (_GAP, *(box[3] + _GAP for box in taken if box[3] < top))
                for start in (line + _GAP, line - _GAP - thick)
            ]
            free = (spot for spot in spots if _is_free(spot, width, top, taken, [x for x in lines if x != line]))
            spot = next(free, None)
            text.set_visible(spot is not None)
            if spot is not None:
                taken.append(spot)
                text.set(position=((spot[0] - line) * 72, spot[1] * 72), ha="left")


_Box = tuple[float, float, float, float]


def _is_free(box: _Box, width: float, top: float, taken: list[_Box], lines: list[float]) -> bool:
    """Return whether a box (left, bottom, right, top) is within the axes, and covers no other box and no line."""
    if box[0] < 0 or box[2] > width or box[3] > top:
        return False
    if any(box[0] <= line <= box[2] for line in lines):
        return False
    return not any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in taken
    )
