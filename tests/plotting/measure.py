"""Properties of a figure as it is drawn: which texts, where, in which colour, on which background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


@dataclass(frozen=True)
class DrawnText:
    """A text, its box in pixels from the lower left, its colour (red, green, blue; 0 to 1), the pixels behind it."""

    text: str
    box: Bbox
    colour: tuple[float, ...]
    behind: np.ndarray[Any, Any]

    @property
    def contrast(self) -> float:
        """The least contrast of WCAG 2 between the text and a pixel behind it, in plain arithmetic."""
        ink = _luminance(np.array(self.colour))
        paper = _luminance(self.behind.reshape(-1, 3))
        return float(((np.maximum(ink, paper) + 0.05) / (np.minimum(ink, paper) + 0.05)).min())


def drawn_texts(figure: Figure) -> list[DrawnText]:
    """Draw a figure without its texts, and return these."""
    noted: list[tuple[Text, Bbox]] = []

    def note(text: Text, renderer: RendererBase) -> None:
        if text.get_visible() and text.get_text().strip():
            noted.append((text, text.get_window_extent(renderer)))

    draw = Text.draw
    Text.draw = note
    try:
        renderer = RendererAgg(*figure.bbox.size, figure.dpi)
        figure.draw(renderer)
    finally:
        Text.draw = draw
    pixels = np.asarray(renderer.buffer_rgba())[::-1, :, :3] / 255
    height, width = pixels.shape[:2]
    texts = []
    for text, box in noted:
        rows = slice(max(round(box.y0), 0), min(round(box.y1), height))
        columns = slice(max(round(box.x0), 0), min(round(box.x1), width))
        texts.append(DrawnText(text.get_text(), box, to_rgb(text.get_color()), pixels[rows, columns]))
    return texts


def problems(figure: Figure) -> list[str]:
    """Return what is wrong with the texts of a figure: too faint, over one another, or not within the figure."""
    texts = drawn_texts(figure)
    found = [f"contrast {text.contrast:.1f}: {text.text!r}" for text in texts if text.contrast < 4.5]
    edge = figure.bbox
    for text in texts:
        over = max(edge.x0 - text.box.x0, text.box.x1 - edge.x1, edge.y0 - text.box.y0, text.box.y1 - edge.y1)
        if over > 0.5:
            found.append(f"{over:.1f} px outside: {text.text!r}")
    for place, text in enumerate(texts):
        for other in texts[:place]:
            across = min(text.box.x1, other.box.x1) - max(text.box.x0, other.box.x0)
            up = min(text.box.y1, other.box.y1) - max(text.box.y0, other.box.y0)
            if across > 0.5 and up > 0.5:
                found.append(f"{across:.1f} by {up:.1f} px common: {other.text!r} and {text.text!r}")
    return found


def _luminance(rgb: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return 0.2126 * linear[..., 0] + 0.7152 * linear[..., 1] + 0.0722 * linear[..., 2]
