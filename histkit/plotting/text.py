"""Names as a picture can show them: short, on one line, without mathematics, in letters that the fonts have."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import pandas as pd

LONGEST = 30
NO_GLYPH = "□"
MISSING, EMPTY = "(missing)", "(empty)"
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
    r"""Make a label of each group; all are different.

    Parameters
    ----------
    groups : sequence
        Values of one column, or tuples of several.
    voices : mapping
        Ids of the labels that are voices: those lose what follows " - " in a name.

    Returns
    -------
    list of str
        Ready for matplotlib: ``$`` is escaped, so it reads "\$" here and "$" in the picture.
    """
    whole = [_joined(group, voices, short=False) for group in groups]
    short = [_joined(group, voices, short=True) for group in groups]
    often = Counter(short)
    labels: list[str] = []
    for long, brief in zip(whole, short, strict=True):
        label = brief if often[brief] == 1 else long
        number = 2
        while label in labels:
            label, number = f"{long} #{number}", number + 1
        labels.append(label)
    return [plain(label) for label in labels]


def drawable_text(text: Any, longest: int) -> str:
    """Make one line of a text, ready for matplotlib: so many letters at most, and only such as can be drawn."""
    line = " ".join(_visible(str(text)).split())
    cut = line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
    return plain(_drawable(cut))


def fonts() -> list[str]:
    """Give the families to draw names with: the user's, then those with many scripts that are installed here."""
    from matplotlib import rcParams
    from matplotlib.font_manager import fontManager

    present = {font.name for font in fontManager.ttflist}
    return [*rcParams["font.family"], *(name for name in _BROAD if name in present)]


def _joined(group: Any, voices: Mapping[str, str | None], *, short: bool) -> str:
    values = group if isinstance(group, tuple) else (group,)
    return " · ".join(_label(value, voices, short=short) for value in values)


def _label(value: Any, voices: Mapping[str, str | None], *, short: bool) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return MISSING
    text = str(value)
    voice_id = voices.get(text)
    suffix = _SUFFIX.search(text)
    tail = suffix[0] if suffix and voice_id else ""
    name = text[: len(text) - len(tail)]
    if voice_id is not None and short:
        name = name.split(" - ")[0] or name
    name = " ".join(_visible(name).split())
    if not name and not tail:
        name = voice_id[:6] if voice_id else EMPTY
    drawn = _drawable(name)
    if NO_GLYPH in drawn and voice_id and voice_id[:6] not in tail:
        tail += f" ({voice_id[:6]})"
    if len(drawn) > LONGEST:
        drawn = (drawn[: LONGEST - 1].rstrip() if short else f"{drawn[:12].rstrip()}…{drawn[-14:].lstrip()}"[:-1]) + "…"
    return drawn + _drawable(" ".join(["", *_visible(tail).split()]))


def _visible(text: str) -> str:
    """Leave out what is not seen: controls become spaces, marks of direction and form go."""
    kept = []
    for letter in text:
        kind = unicodedata.category(letter)
        kept.append(" " if kind in ("Cc", "Zl", "Zp") else "" if kind in ("Cf", "Cs") or "︀" <= letter <= "️" else letter)
    return "".join(kept)


def _drawable(text: str) -> str:
    from matplotlib import rcParams

    if rcParams["svg.fonttype"] == "none":  # the texts of such an SVG are drawn by whoever shows it, in his fonts
        return text
    known = _glyphs(tuple(fonts()))
    shown = "".join(letter if letter == " " or ord(letter) in known else "\0" for letter in text)
    return re.sub("\0[\0 ]*\0|\0", NO_GLYPH, shown)


@lru_cache(maxsize=8)
def _glyphs(families: tuple[str, ...]) -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, fontManager, get_font

    found: set[int] = set()
    for family in families:
        path = fontManager.findfont(FontProperties(family=[family]))
        found |= set(get_font(path).get_charmap())
    return frozenset(found)


def plain(label: str) -> str:
    """Escape what matplotlib would take for mathematics, or for a label that is not meant for the legend."""
    label = label.replace("$", r"\$")
    return f" {label}" if label.startswith("_") else label
