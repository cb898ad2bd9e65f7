"""Fitting a chart to its axes, in whatever size these are laid out and drawn.

matplotlib asks the locator of axes for their position before each layout and each drawing. A `Fit` is such a locator:
when the size has changed, it runs the chart's steps (wrap the headline, put the legend in columns, make room for
numbers), and where nothing else lays out the figure it makes the axes smaller until all texts are within their slot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

_EDGE = 0.03  # inches between a text and the end of the slot
_LEFT, _UP = 0.7, 0.6  # shares of a gap that belong to the axes to the right of it, and below it
_TRIES = 6
_LEAST = 0.3  # of the width or height that axes keep
_TOLERANCE = 0.003  # inches


def inches_of(ax: Axes) -> tuple[float, float]:
    """Return the present width and height of axes in inches."""
    return float(ax.bbox.width / ax.figure.dpi), float(ax.bbox.height / ax.figure.dpi)


def slot_of(ax: Axes) -> Bbox:
    """Return the part of the figure that belongs to axes and their texts, in fractions of the figure.

    It ends at the edges of the figure, and within the gaps to the axes beside, above and below.
    """
    from matplotlib.transforms import Bbox

    box = ax.get_position(original=True)
    across, up = (_EDGE * ax.figure.dpi / length for length in (ax.figure.bbox.width, ax.figure.bbox.height))
    left, bottom, right, top = across, up, 1 - across, 1 - up
    for other in ax.figure.axes:
        if other is ax or not other.get_visible():
            continue
        near = other.get_position(original=True)
        if near.y0 < box.y1 and near.y1 > box.y0:
            if near.x1 <= box.x0:
                left = max(left, box.x0 - (box.x0 - near.x1) * _LEFT + across)
            elif near.x0 >= box.x1:
                right = min(right, box.x1 + (near.x0 - box.x1) * (1 - _LEFT) - across)
        if near.x0 < box.x1 and near.x1 > box.x0:
            if near.y1 <= box.y0:
                bottom = max(bottom, box.y0 - (box.y0 - near.y1) * (1 - _UP) + up)
            elif near.y0 >= box.y1:
                top = min(top, box.y1 + (near.y0 - box.y1) * _UP - up)
    return Bbox.from_extents(min(left, box.x0), min(bottom, box.y0), max(right, box.x1), max(top, box.y1))


class Fit:
    """The locator of axes with a chart.

    Attributes
    ----------
    steps : list of callables
        Run in this order when the axes have a new size; each changes only what the chart itself has drawn.
    above : float
        The height of the headline and the details, in inches.
    heading : matplotlib.text.Text
        A text of the chart: axes that have it no longer were cleared, and are not the chart's.
    """

    def __init__(self, ax: Axes) -> None:
        earlier = ax.get_axes_locator()
        self.ax = ax
        self.steps: list[Callable[[], None]] = []
        self.above = 0.0
        self.heading: Any = None
        self._inner: Any = earlier._inner if isinstance(earlier, Fit) else earlier
        self._box: Bbox = ax.get_position(original=True)
        self._state: tuple[float, ...] = ()
        self._busy = False
        ax.set_axes_locator(self)

    def __call__(self, _: Any, renderer: Any) -> Bbox:
        """Return the position of the axes, in fractions of the figure."""
        ax = self.ax
        if self.heading is not None and self.heading not in ax.texts:
            ax.set_axes_locator(self._inner)
            return self._inner(ax, renderer) if self._inner else ax.get_position(original=True)
        if not self._busy:
            outer = self._inner(ax, renderer) if self._inner else ax.get_position(original=True)
            places = [outer, *(other.get_position(original=True) for other in ax.figure.axes if other is not ax)]
            inches = np.array(ax.figure.bbox.size) / ax.figure.dpi
            state = (ax.figure.dpi, *inches.round(3), *(round(edge, 5) for place in places for edge in place.extents))
            if state != self._state:
                self._busy = True
                try:
                    self._place(outer, renderer)
                finally:
                    self._busy = False
                self._state = state
        return self._box

    def get_subplotspec(self) -> Any:
        """Return the place of the axes in a grid, which tight layout reads from a locator."""
        return self.ax.get_subplotspec()

    def run(self) -> None:
        """Run the steps for the present size of the axes."""
        for step in self.steps:
            step()

    def _place(self, outer: Bbox, renderer: Any) -> None:
        from matplotlib.transforms import Bbox

        self._move(outer)
        if self._is_laid_out() or self._inner:
            return
        figure = self.ax.figure
        slot = np.array(slot_of(self.ax).extents)
        sizes = np.tile(figure.bbox.size, 2)
        for _ in range(_TRIES):
            tight = self.ax.get_tightbbox(renderer)
            if tight is None:
                return
            drawn = figure.transSubfigure.inverted().transform_bbox(tight).extents
            lacks = np.maximum((slot - drawn) * (1, 1, -1, -1), 0)
            if max(lacks * sizes) < _TOLERANCE * figure.dpi:
                return
            x0, y0, x1, y1 = self._box.extents
            x0, x1 = _shrunk(x0 + lacks[0], x1 - lacks[2], outer.width * _LEAST)
            y0, y1 = _shrunk(y0 + lacks[1], y1 - lacks[3], outer.height * _LEAST)
            self._move(Bbox.from_extents(x0, y0, x1, y1))

    def _move(self, box: Bbox) -> None:
        self._box = box
        self.ax.apply_aspect(box)
        self.run()

    def _is_laid_out(self) -> bool:
        """Return whether the figure's layout engine moves these axes."""
        from matplotlib.layout_engine import PlaceHolderLayoutEngine

        engine = self.ax.figure.get_layout_engine()
        if engine is None or isinstance(engine, PlaceHolderLayoutEngine):
            return False
        return self.ax.get_subplotspec() is not None and self.ax.get_in_layout()


def _shrunk(low: float, high: float, least: float) -> tuple[float, float]:
    """Return the ends of a span, moved apart where it is shorter than `least`."""
    lack = max(least - (high - low), 0) / 2
    return low - lack, high + lack
