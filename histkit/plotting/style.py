"""The shared style of all charts: a palette for colour-blind readers, figure sizes, titles, empty charts."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Literal

from histkit.errors import InputError
from histkit.util.text import quoted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's seven colours that are visible on white, and two that colour-blind readers can distinguish from them
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#332288", "#882255")
GREY = "#A9A9A9"
INK, SOFT, FAINT = "#333333", "#555555", "#DDDDDD"


def axes_or_new(ax: Axes | None, height: float) -> Axes:
    """Return the axes to draw into: those of the user, else those of a new pyplot figure, 9 inches wide.

    Raises
    ------
    InputError
        `ax` is something else.
    """
    from matplotlib.axes import Axes

    if isinstance(ax, Axes):
        return ax
    if ax is not None:
        raise InputError(f"ax={quoted(ax)} must be matplotlib axes, such as those of plt.subplots().")
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(9, height), layout="constrained")[1]


def bars_height(bars: int) -> float:
    """Return the height in inches of a figure with a number of horizontal bars."""
    return 1.5 + 0.34 * max(bars, 2)


def width_of(ax: Axes) -> float:
    """Return the width of the axes in inches."""
    figure = ax.figure
    return float(ax.get_position().width * figure.bbox.width / figure.dpi)


def draw_empty_note(ax: Axes, text: str) -> None:
    """Write a note into empty axes."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color="#777777", fontsize=14)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def draw_grid(ax: Axes, *, along: Literal["x", "y"]) -> None:
    """Draw faint lines at the ticks of one axis, behind the data, and no frame on that axis."""
    ax.set_axisbelow(True)
    ax.grid(False)
    ax.grid(True, axis=along, color=FAINT, linewidth=0.8)
    ax.spines[["top", "right", "left" if along == "y" else "bottom"]].set_visible(False)
    ax.tick_params(length=0, labelsize=9, colors=INK)


def put_title(ax: Axes, headline: str, details: str) -> None:
    """Put a headline and a line of details above the axes."""
    below = textwrap.fill(details, max(int(width_of(ax) * 14), 20))
    ax.set_title("")
    ax.set_title(headline, loc="left", fontweight="bold", fontsize=12, pad=10 + 13 * (below.count("\n") + 1))
    ax.annotate(below, (0, 1), (0, 6), xycoords="axes fraction", textcoords="offset points", fontsize=9, color=SOFT)
