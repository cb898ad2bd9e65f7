"""Charts as inline SVG for a page: short, in the page's fonts, and in colours that follow its theme."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Callable, Iterator
from html import escape
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

from histkit.plotting.palette import GREY, PALETTE

_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_EDGES = (0.005, 0.01, 0.995, 0.99)  # left, bottom, right, top of the axes, as shares of the figure
_NUMBER = re.compile(r"-?\d+\.\d+")
_REFERENCE = re.compile(r"url\(#([\w-]+)\)")
_SAME_LOOK = re.compile(r'<path d="([^"]+)("[^>]*/>)<path d="([^"]+)\2')
_UPRIGHT = re.compile(r"rotate\(-?0(?:\.0)? [-\d.]+ [-\d.]+\)")
_HEX = re.compile("#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})")
_SERIES = {colour.lower(): f"var(--c{place})" for place, colour in enumerate(PALETTE, 1)} | {
    GREY.lower(): "var(--c0)"  # the rest
}
_NEUTRALS = ((0x40, "var(--ink)"), (0x90, "var(--soft)"), (0xFE, "var(--faint)"), (0xFF, "var(--paper)"))
_ONLY_M = str.maketrans("Lz", "  ")
_TINGE = 8  # of a colour that still counts as neutral: the distance of its channels
_PAGE_DECIDES = {"font-family", "stroke-linejoin", "stroke-linecap", "stroke-miterlimit", "version"}
_DEFAULTS = {("text-anchor", "start"), ("stroke-width", "1.0"), ("stroke-dashoffset", "0"), ("font-weight", "400")}


def svg_of(draw: Callable[[Any], Any], inches: tuple[float, float], name: str, style: str) -> str:
    """Draw a chart as SVG.

    Colours are CSS variables: ``--ink``, ``--soft``, ``--faint`` and ``--paper`` for neutral ones, ``--c1`` to ``--c9``
    for the palette and ``--c0`` for its grey. Fonts and line ends are the page's. The same data gives the same text.

    Parameters
    ----------
    draw : callable
        Draws into a matplotlib Axes.
    inches : tuple of float
        Width and height of the figure; the unit of the SVG is 1/72 inch.
    name : str
        Name of the chart on its page, from which the ids are made; no two SVG of a page may share it.
    style : str
        Its CSS class.
    """
    import matplotlib.style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",  # the browser draws the letters, in its own fonts
        "svg.hashsalt": hashlib.sha256(name.encode()).hexdigest(),
        "font.size": 10,
        "image.interpolation": "none",  # a pixel per cell
    }
    with matplotlib.style.context(["default", settings]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure = Figure(figsize=inches)
        FigureCanvasSVG(figure)
        figure.subplots_adjust(*_EDGES)  # the chart makes room for its texts itself, faster than a layout engine
        draw(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return compact_svg(buffer.getvalue(), style)


def compact_svg(document: str, style: str) -> str:
    """Return the SVG of matplotlib as the inline SVG of a page, much shorter.

    Examples
    --------
    >>> path = '<g id="patch_1"><path d="M 1.23456 0 L 2 3 z" style="fill: #0072b2; stroke-linejoin: miter"/></g>'
    >>> compact_svg(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{path}</svg>', "large")
    '<svg class="large" viewBox="0 0 9 9"><path d="M1.2 0l.8 3z" fill="var(--c1)"/></svg>'
    """
    root = ET.fromstring(document.encode())  # matplotlib's own
    references = set(_REFERENCE.findall(document)) | {link[1:] for link in _links(root)}
    inside = "".join(_written(child, references) for child in root)
    while (joined := _SAME_LOOK.sub(r'<path d="\1\3\2', inside)) != inside:  # the bars of a series are one path
        inside = joined
    return f'<svg class="{style}" viewBox="{root.get("viewBox", "")}">{inside}</svg>'


def _links(root: ET.Element) -> Iterator[str]:
    return (node.get(_LINK, "") for node in root.iter(f"{_SVG}use"))


def _written(node: ET.Element, references: set[str]) -> str:
    """Return an element as text; nothing for what shows nothing, the children alone for a group that says nothing."""
    tag = node.tag.removeprefix(_SVG)
    if tag.startswith("{") or tag in ("metadata", "style"):
        return ""
    attributes = dict(_attributes(node, references))
    if tag == "path" and attributes.get("fill") == "none" and "stroke" not in attributes:
        return ""
    words = tag in ("text", "tspan")
    inside = escape(node.text or "") if words else ""
    for child in node:
        inside += _written(child, references) + (escape(child.tail or "") if words else "")
    if tag in ("g", "defs") and (not inside or (tag == "g" and not attributes)):
        return inside
    start = tag + "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
    return f"<{start}>{inside}</{tag}>" if inside else f"<{start}/>"


def _attributes(node: ET.Element, references: set[str]) -> Iterator[tuple[str, str]]:
    styles = (item.split(":", 1) for item in node.get("style", "").split(";") if ":" in item)
    for name, value in [*node.attrib.items(), *((name.strip(), value.strip()) for name, value in styles)]:
        if name == "style" or name in _PAGE_DECIDES or (name, value) in _DEFAULTS:
            continue
        if name == "id":
            if value in references:
                yield name, value
        elif name == _LINK:
            yield "href", "".join(value.split())
        elif name in ("fill", "stroke"):
            yield name, _themed(value)
        elif name == "d":
            yield name, _path(value)
        elif name == "transform":
            if not _UPRIGHT.fullmatch(value):
                yield name, _rounded(value, 4 if "matrix" in value or "scale" in value else 1)
        elif name in ("x", "y", "width", "height"):
            yield name, _rounded(value, 1)
        else:
            yield name, value.removesuffix("px")


def _path(value: str) -> str:
    """Return a path in tenths of a unit, without points on the way of a straight line; only lines are shortened."""
    if "C" in value or "Q" in value:
        return re.sub(r" ?([A-Za-z]) ?", r"\1", " ".join(_rounded(value, 1).split()))
    closed = value.rstrip().endswith("z")
    parts = (_line([float(number) for number in part.split()]) for part in re.split("M", value.translate(_ONLY_M)))
    return "".join(f"M{part}{'z' if closed else ''}" for part in parts if part)


def _line(numbers: list[float]) -> str:
    """Return the points of a line: the first, then the way from each to the next."""
    points: list[tuple[int, int]] = []
    for point in zip(*(map(round, (10 * number for number in numbers[axis::2])) for axis in (0, 1)), strict=True):
        while len(points) > 1 and _is_between(points[-1], points[-2], point):
            points.pop()
        if not points or point != points[-1]:
            points.append(point)
    ways = (_way(x - before_x, y - before_y) for (before_x, before_y), (x, y) in pairwise(points))
    return f"{_tenths(points[0][0])} {_tenths(points[0][1])}{''.join(ways) or 'h0'}" if points else ""


def _is_between(point: tuple[int, int], before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Return whether a point lies on a horizontal or vertical line between two others."""
    (x, y), (x0, y0), (x1, y1) = point, before, after
    return (x0 == x == x1 and (y - y0) * (y1 - y) >= 0) or (y0 == y == y1 and (x - x0) * (x1 - x) >= 0)


def _way(x: int, y: int) -> str:
    return f"v{_tenths(y)}" if not x else f"h{_tenths(x)}" if not y else f"l{_tenths(x)} {_tenths(y)}"


def _tenths(number: int) -> str:
    return f"{number / 10:.1f}".removesuffix(".0").replace("0.", ".", 1) if abs(number) < 10 else f"{number / 10:g}"


def _rounded(value: str, digits: int) -> str:
    """Round the numbers of an attribute."""
    return _NUMBER.sub(
        lambda number: f"{round(float(number[0]), digits) + 0.0:.{digits}f}".rstrip("0").rstrip("."), value
    )


def _themed(colour: str) -> str:
    """Return the variable of a colour; a colour that is neither neutral nor of the palette as it is."""
    if colour in _SERIES:
        return _SERIES[colour]
    parts = _HEX.fullmatch(colour)
    if parts is None:
        return colour
    levels = [int(part, 16) for part in parts.groups()]
    if max(levels) - min(levels) > _TINGE:
        return colour
    return next(variable for most, variable in _NEUTRALS if max(levels) <= most)
