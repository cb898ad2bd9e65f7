"""The width of a terminal, and texts that are folded to it."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

_DEFAULT_WIDTH = 80  # of a terminal that doesn't state its size
_NUMBER = re.compile(r"[+-]?\d(?:[\d.,:/-]*\d)?%?|.", re.DOTALL)


def output_width(stream: Any = None) -> int | None:
    """Return the columns of the terminal, at most those of ``COLUMNS``; without a terminal ``COLUMNS`` or None.

    Parameters
    ----------
    stream : file, optional
        Default: standard output.
    """
    text = os.environ.get("COLUMNS", "")
    columns = int(text) if text.isascii() and text.isdigit() and int(text) > 0 else None
    try:
        terminal = os.get_terminal_size((stream or sys.stdout).fileno()).columns or _DEFAULT_WIDTH
    except (AttributeError, OSError, ValueError):  # no standard output, a pipe or a file, one that is closed
        return columns
    return min(terminal, columns or terminal)


def cell_length(text: str) -> int:
    """Return the number of cells that a text takes on a terminal."""
    from rich.cells import cell_len

    return cell_len(text)


def fold(text: str, width: int, *, whole_words: bool = False) -> list[str]:
    """Fold a text into lines of at most `width` terminal cells, at spaces where possible and never within a number.

    A number, and with `whole_words` any word, that is longer than a line exceeds it.

    Examples
    --------
    >>> fold("Chapter 12,345 of Bartholomew", 8)
    ['Chapter', '12,345', 'of Barth', 'olomew']
    >>> fold("12,345", 3)
    ['12,345']
    """
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_length(joined) <= width:
            lines[-1] = joined
        elif whole_words or cell_length(word) <= width:
            lines.append(word)
        else:
            lines += _broken(word, width, lines.pop())
    return lines


def _broken(word: str, width: int, line: str) -> list[str]:
    """Break a word that is longer than a line; it goes on in the current line."""
    lines, gap = [line], " " if line else ""
    for piece in pieces_of(word):
        joined = lines[-1] + gap + piece
        if cell_length(joined) <= width or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(piece)
        gap = ""
    return lines


def pieces_of(word: str) -> list[str]:
    """Return the parts of a word that stay whole: its numbers, and its other characters with their marks."""
    pieces: list[str] = []
    for piece in _NUMBER.findall(word):
        if pieces and not cell_length(piece):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return pieces
