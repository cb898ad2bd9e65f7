"""Horizontal bars with names and numbers: the names beside the bars, or above them in narrow axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from histkit.plotting.fit import inches_of
from histkit.plotting.measure import Font, cut_text
from histkit.plotting.style import Look, draw_grid
from histkit.plotting.ticks import put_count_ticks
from histkit.util.arrays import Floats

_BESIDE = 0.4  # names take at most this share of the slot's width beside the bars
_LEAST = 6.5  # points of a name
_TEXT_SHARE = 0.66  # of a row with the name above its bar
_LINE = 1.25
_GAP = 0.06  # inches between a bar and its number


def are_beside(look: Look, names: Sequence[str], families: Sequence[str]) -> bool:
    """Return whether names have room beside their bars."""
    return max(map(look.font(families=families).width, names)) <= _BESIDE * look.width


def rows_with_room(look: Look, names: Sequence[str], families: Sequence[str]) -> int:
    """Return how many of the bars the axes have room for, at least 2."""
    beside = are_beside(look, names, families)
    points = look.plot_height * 72 - look.size * (4 if beside else 2)  # less the ticks and their label; or a legend
    return max(int(points / (_LEAST * _LINE / (1 if beside else _TEXT_SHARE))), 2)


class Bars:
    """Rows of stacked bars from the top down.

    Parameters
    ----------
    look : Look
        The chart.
    names : list of str
        A name per row.
    families : list of str
        The fonts of the names.
    parts : list of (float array, dict)
        The lengths of one part of each bar, from the left, and matplotlib's options for them.
    numbers : list of (str, str)
        What stands at the end of each row, and its short form for narrow axes.
    label : str
        The label of the horizontal axis.
    """

    def __init__(
        self,
        look: Look,
        names: Sequence[str],
        families: Sequence[str],
        parts: Sequence[tuple[Floats, Mapping[str, Any]]],
        numbers: Sequence[tuple[str, str]],
        label: str,
    ) -> None:
        ax = look.ax
        self._look, self._names, self._families, self._numbers = look, list(names), tuple(families), list(numbers)
        self._heads: list[Any] = []
        self._tails: list[Any] = []
        rows = np.arange(len(names))
        self._beside = are_beside(look, names, families)
        self.handles: list[Any] = []
        self._ends = np.zeros(len(names))
        for lengths, options in parts:
            height, middle = (0.7, 0.0) if self._beside else (0.92 - _TEXT_SHARE, _TEXT_SHARE / 2 + 0.015)
            self.handles.append(ax.barh(rows + middle, lengths, height, left=self._ends.copy(), **options))
            self._ends += lengths
        self._limits = (0.0, 1.0)
        ax.set_xlim(self._limits)
        ax.set_ylim(len(names) - (0.4 if self._beside else 0.5), -0.6)
        ax.set_xlabel(label, fontsize=look.size * 10 / 9, color=look.inks.label)
        put_count_ticks(ax.xaxis, look.size)
        draw_grid(look, along="x")
        text = partial(ax.text, color=look.inks.text, fontfamily=list(families))
        if self._beside:
            ax.set_yticks(rows, names, fontfamily=list(families))
            offset: dict[str, Any] = {"xytext": (72 * _GAP, 0), "textcoords": "offset points", "va": "center"}
            self._tails = [
                ax.annotate("", (end, row), color=look.inks.text, **offset)
                for end, row in zip(self._ends, rows, strict=True)
            ]
        else:
            ax.set_yticks([])
            ax.spines["left"].set_visible(False)
            ax.xaxis.set_visible(False)  # each bar has its number
            place: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "va": "center"}
            lines = rows + _TEXT_SHARE / 2 - 0.5
            self._heads = [text(0, line, name, **place) for line, name in zip(lines, names, strict=True)]
            self._tails = [text(1, line, "", ha="right", **place) for line in lines]
        look.fit.steps.append(self.fit)

    def fit(self) -> None:
        """Set sizes, numbers and the length of the axis for the present size of the axes."""
        ax = self._look.ax
        width, height = inches_of(ax)
        low, high = ax.get_ylim()
        row = height / (low - high) * (1 if self._beside else _TEXT_SHARE)
        sizes = (self._look.size * share for share in np.arange(1, 0.4, -0.05))
        font = next(
            (font for size in sizes if (font := self._look.font(size, self._families)).height() <= row),
            self._look.font(self._look.size * 0.4, self._families),
        )
        size = font.points
        numbers = self._numbers_for(width, font)
        room = np.array([font.width(number) for number in numbers]) + 1.5 * _GAP
        for tail, number in zip(self._tails, numbers, strict=True):
            tail.set(text=number, fontsize=size)
        if self._beside:
            ax.tick_params(axis="y", labelsize=size)
            share = np.clip(1 - room / width, 0.2, 1)
        else:
            share = np.ones(len(numbers))
            for head, name, taken in zip(self._heads, self._names, room, strict=True):
                head.set(text=cut_text(name, max(width - taken - _GAP, 0.1), font), fontsize=size)
        if ax.get_xlim() == self._limits:  # nobody has changed them
            ax.set_xlim(0, max(float((self._ends / share).max()), 1.0))
            self._limits = ax.get_xlim()

    def _numbers_for(self, width: float, font: Font) -> list[str]:
        for form in (0, 1):
            numbers = [number[form] for number in self._numbers]
            if max(map(font.width, numbers)) <= width * 0.45:
                break
        return numbers
