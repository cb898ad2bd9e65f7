"""What all charts share: colours that the colour-blind tell apart, titles, sizes, what an empty chart says."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's seven colours that show on white, and two that stay apart from them to the colour-blind
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#332288", "#882255")
GREY = "#A9A9A9"
INK, FAINT = "#333333", "#DDDDDD"


def inches_of(ax: Axes) -> float:
    """Give the width of the axes in inches."""
    figure = ax.figure
    return float(ax.get_position().width * figure.bbox.width / figure.dpi)


def draw_empty_note(ax: Axes, text: str) -> None:
    """Say that there is nothing to draw."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color="#777777", fontsize=14)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def counted(number: int, word: str) -> str:
    """Say a number of things."""
    return f"{number:,} {word}{'s' if number != 1 else ''}"


def percent(part: int, whole: int) -> str:
    """Say a share."""
    share = 100 * part / whole
    return "less than 1 %" if share < 1 else f"{min(share, 99):.0f} %"


def put_title(ax: Axes, headline: str, details: str) -> None:
    """Put a headline and a line of details above the axes."""
    room = max(int(inches_of(ax) * 14), 20)
    below = textwrap.fill(details, room)
    ax.set_title("")
    ax.set_title(headline, loc="left", fontweight="bold", fontsize=12, pad=10 + 13 * (below.count("\n") + 1))
    ax.annotate(
        below, (0, 1), (0, 6), xycoords="axes fraction", textcoords="offset points", fontsize=9, color="#555555"
    )
