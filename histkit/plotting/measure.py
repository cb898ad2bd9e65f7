"""Texts of charts in the room that there is: their width, cut or wrapped to fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from histkit.plotting.fonts import escape_mathtext
from histkit.util.text import shorten


@dataclass(frozen=True)
class Font:
    """How a text is drawn: its size in points, the resolution, the font families (default: those configured)."""

    points: float
    dpi: float
    families: tuple[str, ...] = ()
    weight: str = "normal"

    def width(self, text: str) -> float:
        """Return the width of a line of text in inches."""
        return _size(text, self)[0]

    def height(self) -> float:
        """Return the height of a line of text in inches, in whole pixels."""
        return _size("lp", self)[1]


@lru_cache(maxsize=4096)
def _size(text: str, font: Font) -> tuple[float, float]:
    from matplotlib import rcParams
    from matplotlib.font_manager import FontProperties

    families = list(font.families or rcParams["font.family"])
    properties = FontProperties(family=families, size=font.points, weight=font.weight)
    plain = text.replace(r"\$", "$")
    width, height, _ = _renderer(font.dpi).get_text_width_height_descent(plain, properties, ismath=False)
    return float(width) / font.dpi, (int(height) + 1) / font.dpi


@lru_cache(maxsize=4)
def _renderer(dpi: float) -> Any:
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, dpi)  # type: ignore[no-untyped-call]


def wrap_text(text: str, inches: float, lines: int, font: Font) -> str:
    """Return a text in at most `lines` lines of at most `inches`; what does not fit is cut and ends in an ellipsis."""
    done: list[str] = []
    words = text.split()
    while words and len(done) < lines:
        fitting = (count for count in range(len(words), 0, -1) if font.width(" ".join(words[:count])) <= inches)
        count = next(fitting, 0)
        if len(done) == lines - 1 and count < len(words):
            cut = (" ".join([*words[:kept], "…"]) for kept in range(count, 0, -1))
            done.append(next((line for line in cut if font.width(line) <= inches), cut_text(words[0], inches, font)))
            break
        done.append(" ".join(words[:count]) if count else cut_text(words[0], inches, font))
        words = words[max(count, 1) :]
    return "\n".join(done)


def cut_text(text: str, inches: float, font: Font) -> str:
    """Return as much of a text as fits into `inches`, with an ellipsis where it was cut."""
    return _longest(text, inches, font, shorten)


def cut_middle(text: str, inches: float, font: Font) -> str:
    """Return as much of the start and the end of a text as fits into `inches`, with an ellipsis between them."""
    return _longest(text, inches, font, keep_ends)


def keep_ends(text: str, longest: int) -> str:
    """Return the start and the end of a text, with an ellipsis between them: at most `longest` characters.

    Examples
    --------
    >>> keep_ends("eleven_multilingual_sts_v2", 14)
    'eleven_…sts_v2'
    """
    if len(text) <= longest:
        return text
    head = longest // 2
    return f"{text[:head].rstrip()}…{text[len(text) - (longest - 1 - head) :].lstrip()}"


def _longest(text: str, inches: float, font: Font, cut: Callable[[str, int], str]) -> str:
    if font.width(text) <= inches:
        return text
    plain = text.replace(r"\$", "$")
    low, high = 2, len(plain)
    while low < high:
        middle = (low + high + 1) // 2
        if font.width(cut(plain, middle)) <= inches:
            low = middle
        else:
            high = middle - 1
    return escape_mathtext(cut(plain, low))
