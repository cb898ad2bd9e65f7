"""A legend that leaves the plot its room: in columns above the data, or the largest groups only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from histkit.plotting.fit import inches_of
from histkit.plotting.measure import Font, cut_middle
from histkit.plotting.style import Look

_MOST_ROWS = 3
_FEW = 4  # groups
_SHARE = 0.35  # of the height of the axes
_PAD, _HANDLE, _TEXT_PAD, _COLUMN_GAP, _LINE = 0.4, 1.2, 0.5, 1.2, 1.4  # in the size of the text


class Key:
    """A legend in the axes, above the data, for which the vertical axis is made longer.

    It has as many columns as the axes have room for, and at most three rows. Groups for which there is no room are
    counted: "+6 more".

    Parameters
    ----------
    look : Look
        The chart; its vertical limits are those of the data.
    handles, labels : list
        The artists of the groups and their labels, the largest group first.
    families : list of str
        The fonts of the labels.
    spare : float
        Inches between the data and the legend, for texts there.
    """

    def __init__(
        self, look: Look, handles: Sequence[Any], labels: Sequence[str], families: Sequence[str], spare: float = 0.0
    ) -> None:
        self._look, self._handles, self._labels = look, list(handles), list(labels)
        self._families, self._spare = tuple(families), spare
        self._size = look.size * 0.9
        self._data = look.ax.get_ylim()
        self._limits = self._data
        self._legend: Any = None
        self._arranged: tuple[list[str], int, int] | None = None
        look.fit.steps.append(self.fit)

    def fit(self) -> None:
        """Arrange the legend in the present size of the axes."""
        ax = self._look.ax
        if ax.get_legend() is not self._legend or ax.get_ylim() != self._limits:
            return  # somebody has changed them
        width, height = inches_of(ax)
        arranged = self._arrange(width, height)
        if arranged != self._arranged:
            self._arranged = arranged
            self._draw(*arranged)
        rows = arranged[2]
        room = self._spare + (self._height(rows) + 0.06 if rows else 0.0)
        low, high = self._data
        ax.set_ylim(low, low + (high - low) / max(1 - room / height, 0.4))
        self._limits = ax.get_ylim()

    def _arrange(self, width: float, height: float) -> tuple[list[str], int, int]:
        """Return the labels shown, the number of others, and the number of rows; none where there is no room.

        Where fewer than four groups have room, long labels are cut so that they stand in two columns.
        """
        most_rows = min(_MOST_ROWS, int((_SHARE * height * 72 / self._size - 2 * _PAD) / _LINE))
        for labels, least in ((self._labels, _FEW), (self._cut(width / 2), 1)):
            for shown in range(len(labels), min(len(labels), least) - 1, -1):
                hidden = len(labels) - shown
                for rows in range(1, most_rows + 1):
                    if self._width(_texts(labels[:shown], hidden), rows) <= width:
                        return labels[:shown], hidden, rows
        return [], 0, 0

    def _cut(self, width: float) -> list[str]:
        room = width - (_HANDLE + _TEXT_PAD + _COLUMN_GAP / 2 + _PAD) * self._size / 72
        return [cut_middle(label, max(room * 0.97, 0.1), self._font) for label in self._labels]

    @property
    def _font(self) -> Font:
        return self._look.font(self._size, self._families)

    def _width(self, texts: list[str], rows: int) -> float:
        columns = math.ceil(len(texts) / rows)
        widths = list(map(self._font.width, texts))
        widest = [max(widths[column::columns]) for column in range(columns)]
        ems = columns * (_HANDLE + _TEXT_PAD) + (columns - 1) * _COLUMN_GAP + 2 * _PAD
        return 1.02 * sum(widest) + ems * self._size / 72

    def _height(self, rows: int) -> float:
        return (rows * _LINE + 2 * _PAD) * self._size / 72

    def _draw(self, labels: list[str], hidden: int, rows: int) -> None:
        from matplotlib.lines import Line2D

        ax, look = self._look.ax, self._look
        if self._legend is not None:
            self._legend.remove()
            self._legend = None
        if not labels:
            return
        texts = _texts(labels, hidden)
        handles = [*self._handles[: len(labels)], Line2D([], [], linestyle="none", marker="")]
        columns = math.ceil(len(texts) / rows)
        order = [place for column in range(columns) for place in range(column, len(texts), columns)]
        self._legend = ax.legend(
            [handles[place] for place in order],
            [texts[place] for place in order],
            loc="upper left",
            ncols=columns,
            prop={"family": list(self._families), "size": self._size},
            labelcolor=look.inks.text,
            facecolor=look.inks.face,
            framealpha=1.0,  # no grid line through it
            edgecolor="none",
            fancybox=False,
            shadow=False,
            borderpad=_PAD,
            borderaxespad=0.0,
            handlelength=_HANDLE,
            handleheight=1.0,
            handletextpad=_TEXT_PAD,
            columnspacing=_COLUMN_GAP,
            labelspacing=0.25,
        )


def _texts(labels: list[str], hidden: int) -> list[str]:
    return [*labels, f"+{hidden} more"] if hidden else labels


def put_key_beside(look: Look, handles: Sequence[Any], labels: Sequence[str], families: Sequence[str]) -> None:
    """Put a legend to the right of the axes of a new figure, the largest group at the bottom, as in the stack."""
    rows = max(int((look.height * 72 - 5 * look.size) / (look.size * _LINE)), 1)
    look.ax.legend(
        handles[::-1],
        labels[::-1],
        loc="upper left",
        bbox_to_anchor=(1.005, 1.0),
        borderaxespad=0.0,
        frameon=False,
        ncols=math.ceil(len(labels) / rows),
        columnspacing=_COLUMN_GAP,
        labelspacing=0.4,
        handlelength=1.0,
        handleheight=1.0,
        labelcolor=look.inks.label,
        prop={"family": list(families), "size": look.size},
    )
