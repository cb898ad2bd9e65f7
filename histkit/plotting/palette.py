"""Colours of charts: contrast, inks that can be read on what lies behind them, and colours for groups.

Contrast is that of WCAG 2: 1 for equal colours, 21 for black on white; texts need 4.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histkit.util.arrays import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's seven colours that are visible on white, and two that colour-blind readers can distinguish from them
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#332288", "#882255")
# For more groups: each is the colour farthest (in OKLab, for normal, protanopic and deuteranopic readers) from those
# before it, among those visible on white and on black.
MORE_COLOURS = (
    *("#1030E0", "#C01020", "#B0D090", "#8080E0", "#C02090", "#90D0E0", "#7020B0", "#507050", "#901010", "#6060E0"),
    *("#60C070", "#E08020", "#C0D030", "#107080", "#40A0C0", "#E01040", "#C030C0", "#205060", "#404080", "#D07060"),
    *("#A070A0", "#C04060", "#606020", "#70D0B0", "#70C0D0", "#50B080", "#70D060", "#105040", "#9050A0", "#60A0E0"),
    "#209080",
)
GREY = "#A9A9A9"
MOST_COLOURS = len(PALETTE) + len(MORE_COLOURS)
READABLE = 4.5
_VISIBLE = 3.0  # of a bar or line on a dark background
_DARK = 0.18  # luminance of a middle grey
_SOFT, _FAINT = 0.7, 0.13  # shares of ink in small print, and in grid lines


def contrast(first: Any, second: Any) -> float:
    """Return the contrast of two opaque colours, 1 to 21.

    Examples
    --------
    >>> contrast("black", "white"), round(contrast("#333333", "black"), 1)
    (21.0, 1.7)
    """
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: Any) -> float:
    """Return the relative luminance of an opaque colour: 0 for black, 1 for white."""
    rgb = _rgb(colour)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def mix(colour: Any, other: Any, share: float) -> str:
    """Return a blend of two opaque colours, `share` (0 to 1) of it the first."""
    from matplotlib.colors import to_hex

    blend = _rgb(colour) * share + _rgb(other) * (1 - share)
    return to_hex((float(blend[0]), float(blend[1]), float(blend[2])))


def readable(colour: Any, behind: Iterable[Any], least: float = READABLE) -> str:
    """Return a colour, moved towards black or white by as little as gives it a contrast of `least` to all of `behind`.

    Where none has that much, the colour with the most contrast is returned.

    Examples
    --------
    >>> readable("#333333", ["white"]), contrast(readable("#333333", ["black"]), "black") >= 4.5
    ('#333333', True)
    """
    backgrounds = list(behind)
    best, most = "", 0.0
    for share in np.linspace(1, 0, 101):
        for pole in ("black", "white"):
            moved = mix(colour, pole, float(share))
            reached = min(contrast(moved, background) for background in backgrounds)
            if reached >= least:
                return moved
            if reached > most:
                best, most = moved, reached
    return best


def group_colours(number: int, face: Any) -> list[str]:
    """Return a colour for each of at most 40 groups, the largest first; on a dark `face` dark ones are lighter."""
    return [visible_on(face, colour) for colour in (*PALETTE, *MORE_COLOURS)[:number]]


def visible_on(face: Any, colour: Any) -> str:
    """Return a bar's or a line's colour; on a dark `face` it is moved until it stands out."""
    return readable(colour, [face], _VISIBLE) if luminance(face) < _DARK else mix(colour, colour, 1)


@dataclass(frozen=True)
class Inks:
    """The colours of a chart's texts and lines, from the style in force and what lies behind them.

    Attributes
    ----------
    title, soft : str
        Texts above the axes: the headline, the small print.
    label, x_ticks, y_ticks : str
        Texts beside the axes.
    text : str
        Texts, and strong lines, in the axes.
    face, faint : str
        The background of the axes, and grid lines on it.
    """

    title: str
    soft: str
    label: str
    x_ticks: str
    y_ticks: str
    text: str
    face: str
    faint: str


def inks_of(ax: Axes) -> Inks:
    """Return the inks of axes in the style in force."""
    from matplotlib import rcParams

    text = rcParams["text.color"]
    papers = _papers(ax, text)
    faces = [_over(ax.patch, paper) for paper in papers]
    title = text if rcParams["axes.titlecolor"] == "auto" else rcParams["axes.titlecolor"]
    x_ticks, y_ticks = rcParams["xtick.labelcolor"], rcParams["ytick.labelcolor"]
    faint = mix(readable(text, faces), faces[0], _FAINT)
    return Inks(
        title=readable(title, papers),
        soft=readable(mix(readable(title, papers), papers[0], _SOFT), papers),
        label=readable(rcParams["axes.labelcolor"], papers),
        x_ticks=readable(rcParams["xtick.color"] if x_ticks == "inherit" else x_ticks, papers),
        y_ticks=readable(rcParams["ytick.color"] if y_ticks == "inherit" else y_ticks, papers),
        text=readable(text, [*faces, faint]),
        face=faces[0],
        faint=faint,
    )


def _papers(ax: Axes, text: Any) -> list[str]:
    """Return what lies behind the axes: on screen, and in a saved file where the style has another colour for that.

    Nobody knows what lies behind a transparent figure: it is taken to be black or white, whichever `text` is not.
    """
    from matplotlib import rcParams
    from matplotlib.colors import to_rgba

    root, own = ax.figure.canvas.figure, ax.figure
    unknown = "black" if luminance(text) > _DARK else "white"
    screen = _over(root.patch, unknown)
    saved = rcParams["savefig.facecolor"]
    papers = [screen] if isinstance(saved, str) and saved == "auto" else [screen, _blend(to_rgba(saved), unknown)]
    return papers if own is root else [_over(own.patch, paper) for paper in papers]


def _over(patch: Any, below: str) -> str:
    return _blend(patch.get_facecolor(), below) if patch.get_visible() else below


def _blend(rgba: Sequence[float], below: str) -> str:
    return mix(rgba[:3], below, float(rgba[3]))


def _rgb(colour: Any) -> Floats:
    """Return red, green and blue in 0 to 1, in the 256 steps of a screen."""
    from matplotlib.colors import to_rgb

    rgb: Floats = np.round(np.array(to_rgb(colour)) * 255) / 255
    return rgb
