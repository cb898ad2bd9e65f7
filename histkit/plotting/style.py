"""The shared style of all charts: sizes, headlines, grids, empty charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from histkit.errors import InputError
from histkit.plotting.fit import Fit, inches_of, slot_of
from histkit.plotting.measure import Font, cut_text, wrap_text
from histkit.plotting.palette import Inks, inks_of
from histkit.util.text import quoted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROOMY = (2.6, 1.9)  # inches of axes in which texts have their full size
_LEAST_SIZE = 6.0  # points
_HEADLINE = (4 / 3, 1.2, 1.1, 1.0)  # sizes of the headline, in the size of the texts
_LINE, _ABOVE = 1.25, 0.6  # in the size of the texts: the height of a line, the room below the details


@dataclass(frozen=True)
class Look:
    """How a chart looks in its axes: the size of its texts, their colours, the room there is.

    Attributes
    ----------
    ax : matplotlib.axes.Axes
        The axes.
    owns_figure : bool
        Whether they are those of a new figure.
    size : float
        Points of the texts. The headline is a third larger.
    inks : Inks
        The colours.
    width, height : float
        The slot of the axes, their texts included, in inches.
    fit : Fit
        Runs what depends on the size of the axes.
    """

    ax: Axes
    owns_figure: bool
    size: float
    inks: Inks
    width: float
    height: float
    fit: Fit

    def font(self, points: float | None = None, families: Sequence[str] = (), weight: str = "normal") -> Font:
        """Return a font of the chart, at the present resolution of the figure; by default of the size of its texts."""
        return Font(points or self.size, self.ax.figure.dpi, tuple(families), weight)

    @property
    def clearance(self) -> float:
        """The points between the axes and the labels below them, clear of the "0" beside the corner."""
        return self.font().height() * 72 * 0.65 + 1.5

    @property
    def plot_height(self) -> float:
        """The inches of the slot below the headline and the details, as far as these are known."""
        return max(self.height - self.fit.above, 0.2)


def look_of(ax: Axes | None, height: float) -> Look:
    """Return the look of a chart in the axes of the user, else in those of a new pyplot figure, 9 inches wide.

    Raises
    ------
    InputError
        `ax` is something else.
    """
    from matplotlib import rcParams
    from matplotlib.axes import Axes

    if ax is not None and not isinstance(ax, Axes):
        raise InputError(f"ax={quoted(ax)} must be matplotlib axes, such as those of plt.subplots().")
    owns_figure = ax is None
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(9, height), layout="constrained")[1]
    slot, figure = slot_of(ax), ax.figure
    across, up = figure.bbox.width / figure.dpi, figure.bbox.height / figure.dpi
    box = ax.get_position(original=True)
    scale = min(rcParams["font.size"] / 10, box.width * across / _ROOMY[0], box.height * up / _ROOMY[1])
    return Look(
        ax, owns_figure, max(9 * scale, _LEAST_SIZE), inks_of(ax), slot.width * across, slot.height * up, Fit(ax)
    )


def bars_height(bars: int) -> float:
    """Return the height in inches of a figure with a number of horizontal bars."""
    return 1.5 + 0.34 * max(bars, 2)


def draw_empty_note(look: Look, text: str) -> None:
    """Write a note into empty axes."""
    size = look.size * 1.5
    note = cut_text(text, look.width * 0.8, look.font(size))
    place: dict[str, Any] = {"transform": look.ax.transAxes, "ha": "center", "va": "center"}
    look.ax.text(0.5, 0.5, note, color=look.inks.text, fontsize=size, **place)
    look.ax.set(xticks=[], yticks=[])
    look.ax.spines[:].set_visible(False)


def draw_grid(look: Look, *, along: Literal["x", "y"]) -> None:
    """Draw faint lines at the ticks of one axis, behind the data, and no frame on that axis."""
    ax = look.ax
    ax.set_axisbelow(True)
    ax.grid(False)
    ax.grid(True, axis=along, color=look.inks.faint, linewidth=0.8, linestyle="-")
    ax.spines[["top", "right", "left" if along == "y" else "bottom"]].set_visible(False)
    style_ticks(look)


def style_ticks(look: Look) -> None:
    """Set the size and colour of the tick labels."""
    sides: dict[str, Any] = {"top": False, "right": False, "labeltop": False, "labelright": False}
    look.ax.tick_params(which="both", length=0, labelsize=look.size, **sides)
    look.ax.tick_params(axis="x", which="both", pad=look.clearance, colors=look.inks.x_ticks)
    look.ax.tick_params(axis="y", which="both", colors=look.inks.y_ticks)


class Heading:
    """A headline and lines of details above the axes, wrapped to their width.

    A line that was wrapped stays as it is while it fits, so that a layout engine does not chase it.
    """

    def __init__(self, look: Look, headline: str, details: str, families: Sequence[str] = ()) -> None:
        self._look, self._headline, self._details = look, headline, details
        self._families = list(families) or None
        look.ax.set_title("")
        self._below = look.ax.annotate(
            details,
            (0, 1),
            (0, look.size * _ABOVE),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=look.size,
            linespacing=_LINE,
            color=look.inks.soft,
        )
        look.fit.heading = self._below
        self._title = self._set_title(headline, 1, look.size * _HEADLINE[0])
        look.fit.steps.append(self.fit)
        self.fit()

    def fit(self) -> None:
        """Wrap the texts to the present width of the axes."""
        look, width = self._look, max(inches_of(self._look.ax)[0], 0.5)
        if self._below not in look.ax.texts or look.ax.get_title(loc="left") != self._title:
            return  # somebody has changed them
        below = _wrapped(self._details, self._below.get_text(), width, int(np.clip(look.height, 0, 4)), look.font())
        self._below.set_text(below)
        most = 2 if look.height > 1.5 else 1
        for share in _HEADLINE:  # smaller, where it would be cut
            font = look.font(look.size * share, self._families or (), "bold")
            headline = _wrapped(self._headline, self._title, width, most, font)
            if headline.split() == self._headline.split():
                break
        self._title = self._set_title(headline, below.count("\n") + 1 if below else 0, font.points)

    def _set_title(self, text: str, lines: int, size: float) -> str:
        look = self._look
        pad = look.size * (_ABOVE + _LINE * lines) + 4
        look.fit.above = (pad + size * _LINE * (text.count("\n") + 1)) / 72
        style: dict[str, Any] = {
            "y": 1.0,
            "pad": pad,
            "fontsize": size,
            "fontweight": "bold",
            "fontfamily": self._families,
            "color": look.inks.title,
        }
        look.ax.set_title(text, loc="left", **style)
        return text


def _wrapped(text: str, earlier: str, width: float, lines: int, font: Font) -> str:
    """Return a text wrapped a little narrower than `width`; as it was wrapped earlier, if that fits as well."""
    best = wrap_text(text, width * 0.94, lines, font)
    same_lines = earlier.count("\n") == best.count("\n") and "…" not in earlier
    return earlier if same_lines and all(font.width(line) <= width for line in earlier.split("\n")) else best
