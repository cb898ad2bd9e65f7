"""Fonts for names in any script: the configured ones, then any installed one with the letters that these lack."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from histkit.util.callers import warn_caller
from histkit.util.text import quoted

NO_GLYPH = "□"
_BROAD = (  # looked at first
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
_PLACEHOLDERS = re.compile(r"last ?resort|adobe (blank|notdef)|fallback", re.IGNORECASE)  # boxes for all letters
_CJK = re.compile(r"CJK|HIRAGANA|KATAKANA|HANGUL|BOPOMOFO|IDEOGRAPH|FULLWIDTH|HALFWIDTH")
_COMMON = ("LATIN", "GREEK", "CYRILLIC", "COMBINING", "MODIFIER")  # in Noto Sans itself
_NORMAL = ("normal", "regular", "book", "medium", 400, 500)
_SHOWN_LETTERS = 12


class Lettering:
    """The letters of one chart: which fonts have them, and which letters no font has.

    Attributes
    ----------
    families : list of str
        The font families for all texts that `draw` returned.
    """

    def __init__(self) -> None:
        from matplotlib import rcParams

        self.families: list[str] = list(rcParams["font.family"])
        self._replaces = rcParams["svg.fonttype"] != "none"  # the viewer draws the texts of such an SVG, in its fonts
        self._configured = _letters_of(tuple(self.families))
        self._missing: dict[str, None] = {}

    def draw(self, text: str) -> str:
        """Return a text in which each run of letters that no font has is one box."""
        unknown = [letter for letter in dict.fromkeys(text) if letter != " " and ord(letter) not in self._configured]
        if not self._replaces or not unknown:
            return text
        found = fonts_with(unknown)
        for letter in unknown:
            family = found[letter]
            if family is None:
                self._missing[letter] = None
            elif family not in self.families:
                self.families.append(family)
        boxes = "".join("\0" if letter in self._missing else letter for letter in text)
        return re.sub("\0[\0 ]*\0|\0", NO_GLYPH, boxes)

    def warn(self) -> None:
        """Warn once of all letters that no font has, and name what to install."""
        if not self._missing:
            return
        letters = "".join(self._missing)
        shown = letters if len(letters) <= _SHOWN_LETTERS else f"{letters[:_SHOWN_LETTERS]}…"
        warn_caller(
            f"No installed font has the letters {quoted(shown)}; {NO_GLYPH} stands for them. "
            f"To see them, install {', '.join(dict.fromkeys(map(advice_for, letters)))}, and restart Python."
        )


def advice_for(letter: str) -> str:
    """Return a font that has a letter, and the package of Debian and Ubuntu that brings it.

    Examples
    --------
    >>> advice_for("さ"), advice_for("ක")
    ('Noto Sans CJK (fonts-noto-cjk)', 'Noto Sans Sinhala (fonts-noto-core)')
    """
    name = unicodedata.name(letter, "")
    if _CJK.search(name):
        return "Noto Sans CJK (fonts-noto-cjk)"
    if not name or unicodedata.category(letter)[0] in "SC" or name.startswith("MATHEMATICAL"):
        return "Symbola (fonts-symbola)"
    script = "" if name.split()[0] in _COMMON else f" {name.split()[0].title()}"
    return f"Noto Sans{script} (fonts-noto-core)"


_found: dict[str, str | None] = {}


def fonts_with(letters: Iterable[str]) -> dict[str, str | None]:
    """Return an installed font family for each letter; None where none has it."""
    unknown = [letter for letter in dict.fromkeys(letters) if letter not in _found]
    if unknown:
        _found.update(_search(unknown, _listed_fonts()))
        if left := [letter for letter in unknown if _found[letter] is None]:
            _found.update(_search(left, _unlisted_fonts()))
    return {letter: _found[letter] for letter in letters}


def _search(letters: Sequence[str], fonts: Iterable[Any]) -> dict[str, str | None]:
    found: dict[str, str | None] = dict.fromkeys(letters)
    left = list(letters)
    for entry in fonts:
        if not left:
            break
        if had := _has(entry.fname, left) and _has(_file_of(entry.name), left):
            found |= dict.fromkeys(had, entry.name)
            left = [letter for letter in left if letter not in had]
    return found


def _has(path: str, letters: Sequence[str]) -> list[str]:
    """Return those of the letters for which a font file has an outline."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        return [letter for letter in letters if font.get_char_index(ord(letter)) and any(_outline(font, letter))]
    except (OSError, RuntimeError):  # gone, or in a format that FreeType can't draw
        return []


def _outline(font: Any, letter: str) -> tuple[float, ...]:
    bbox: tuple[float, ...] = font.load_char(ord(letter)).bbox
    return bbox


def _file_of(family: str) -> str:
    from matplotlib.font_manager import FontProperties, fontManager

    return str(fontManager.findfont(FontProperties(family=[family])))


def _listed_fonts() -> list[Any]:
    """Return matplotlib's upright fonts of normal weight, the broad ones first."""
    from matplotlib.font_manager import fontManager

    entries = {
        entry.name: entry
        for entry in fontManager.ttflist
        if entry.style == "normal" and entry.weight in _NORMAL and not _PLACEHOLDERS.search(entry.name)
    }
    ranks = {name: rank for rank, name in enumerate(_BROAD)}
    return sorted(entries.values(), key=lambda entry: (ranks.get(entry.name, len(_BROAD)), entry.name))


def _unlisted_fonts() -> list[Any]:
    """Return fonts that were installed after matplotlib wrote its list, and add them to that list."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    known = {entry.fname for entry in fontManager.ttflist}
    before = len(fontManager.ttflist)
    for path in findSystemFonts():
        if path not in known:
            try:
                fontManager.addfont(path)
            except (OSError, RuntimeError, NotImplementedError):  # not a font that matplotlib can draw
                continue
    return [] if len(fontManager.ttflist) == before else _listed_fonts()


@lru_cache(maxsize=8)
def _letters_of(families: tuple[str, ...]) -> frozenset[int]:
    from matplotlib.font_manager import get_font

    codes: set[int] = set()
    for family in families:
        codes |= set(get_font(_file_of(family)).get_charmap())
    return frozenset(codes)


def escape_mathtext(label: str) -> str:
    """Escape characters that matplotlib reads as mathematics, or that hide a label from the legend."""
    label = label.replace("$", r"\$")
    return f" {label}" if label.startswith("_") else label
