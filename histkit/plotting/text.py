"""Texts for charts: short, on one line, without mathematics, in characters that the fonts have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import pandas as pd

from histkit.util.text import one_line_text, shorten

LONGEST = 30
NO_GLYPH = "□"
MISSING, EMPTY = "(missing)", "(empty)"
_INVISIBLE = re.compile("[\u200c\u200d\ufe00-\ufe0f]")
_SUFFIX = re.compile(r"(?: \([^()]*\))+$")
_BROAD = (
    "Noto Sans CJK JP",
    "Noto Sans Arabic",
    "Noto Sans Devanagari",
    "Arial Unicode MS",
    "Hiragino Sans",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Nirmala UI",
    "Segoe UI",
    "Segoe UI Symbol",
)


def plot_labels(groups: Sequence[Any], voices: Mapping[str, str | None]) -> list[str]:
    r"""Return a label per group; all are different.

    Parameters
    ----------
    groups : sequence
        Values of one column, or tuples of several.
    voices : mapping
        Label of each voice to its id. What follows " - " in the name of a voice is left out.

    Returns
    -------
    list of str
        Ready for matplotlib: ``$`` is escaped, so it reads "\$" here and "$" in the chart.
    """
    long = [_joined(group, voices, short=False) for group in groups]
    short = [_joined(group, voices, short=True) for group in groups]
    uses = Counter(short)
    labels: list[str] = []
    for long_label, short_label in zip(long, short, strict=True):
        label = short_label if uses[short_label] == 1 else long_label
        number = 2
        while label in labels:
            label, number = f"{long_label} #{number}", number + 1
        labels.append(label)
    return [escape_mathtext(label) for label in labels]


def drawable_text(text: Any, longest: int) -> str:
    """Return a text for matplotlib: one line of at most `longest` characters, all of which can be drawn."""
    return escape_mathtext(_replace_missing_glyphs(shorten(_visible(str(text)), longest)))


def fonts() -> list[str]:
    """Return the font families for names: the configured ones, then installed ones that cover many scripts."""
    from matplotlib import rcParams
    from matplotlib.font_manager import fontManager

    present = {font.name for font in fontManager.ttflist}
    return [*rcParams["font.family"], *(name for name in _BROAD if name in present)]


def _joined(group: Any, voices: Mapping[str, str | None], *, short: bool) -> str:
    values = group if isinstance(group, tuple) else (group,)
    return " · ".join(_label(value, voices, short=short) for value in values)


def _label(value: Any, voices: Mapping[str, str | None], *, short: bool) -> str:
    """Return the label of one value; `short` leaves out the part of a voice's name after " - "."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return MISSING
    voice_id = voices.get(str(value))
    name, suffix = _split_suffix(str(value)) if voice_id else (str(value), "")
    if voice_id is not None and short:
        name = name.split(" - ")[0] or name
    name = _visible(name)
    if not name and not suffix:
        name = voice_id[:6] if voice_id else EMPTY
    drawn = _replace_missing_glyphs(name)
    if NO_GLYPH in drawn and voice_id and voice_id[:6] not in suffix:
        suffix += f" ({voice_id[:6]})"
    if len(drawn) > LONGEST:
        drawn = shorten(drawn, LONGEST) if short else _cut_middle(drawn)
    return drawn + _replace_missing_glyphs(" ".join(["", *_visible(suffix).split()]))


def _split_suffix(label: str) -> tuple[str, str]:
    """Split the label of a voice into its name and the suffix that distinguishes voices of that name."""
    suffix = _SUFFIX.search(label)
    return (label[: suffix.start()], suffix[0]) if suffix else (label, "")


def _cut_middle(name: str) -> str:
    return f"{name[:12].rstrip()}…{name[-14:].lstrip()}"


def _visible(text: str) -> str:
    """Return a text as one line, without the invisible joiners and variation selectors that no font draws."""
    return " ".join(_INVISIBLE.sub("", one_line_text(text)).split())


def _replace_missing_glyphs(text: str) -> str:
    """Replace each run of characters that no font has with one box."""
    from matplotlib import rcParams

    if rcParams["svg.fonttype"] == "none":  # the viewer draws the texts of such an SVG, in its own fonts
        return text
    known = _glyphs(tuple(fonts()))
    marked = "".join(letter if letter == " " or ord(letter) in known else "\0" for letter in text)
    return re.sub("\0[\0 ]*\0|\0", NO_GLYPH, marked)


@lru_cache(maxsize=8)
def _glyphs(families: tuple[str, ...]) -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, fontManager, get_font

    codes: set[int] = set()
    for family in families:
        path = fontManager.findfont(FontProperties(family=[family]))
        codes |= set(get_font(path).get_charmap())
    return frozenset(codes)


def escape_mathtext(label: str) -> str:
    """Escape characters that matplotlib reads as mathematics, or that hide a label from the legend."""
    label = label.replace("$", r"\$")
    return f" {label}" if label.startswith("_") else label
