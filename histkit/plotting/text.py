"""Texts for charts: short, on one line, without mathematics, in letters that a font has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from histkit.plotting.fonts import NO_GLYPH, Lettering, escape_mathtext
from histkit.plotting.measure import keep_ends
from histkit.util.text import one_line_text, shorten

LONGEST = 30
MISSING, EMPTY = "(missing)", "(empty)"
_INVISIBLE = re.compile("[\u200c\u200d\ufe00-\ufe0f]")
_SUFFIX = re.compile(r"(?: \([^()]*\))+$")


def plot_labels(groups: Sequence[Any], voices: Mapping[str, str | None], lettering: Lettering) -> list[str]:
    r"""Return a label per group; all are different.

    Parameters
    ----------
    groups : sequence
        Values of one column, or tuples of several.
    voices : mapping
        Label of each voice to its id. What follows " - " in the name of a voice is left out.
    lettering : Lettering
        The fonts of the chart.

    Returns
    -------
    list of str
        Ready for matplotlib: ``$`` is escaped, so it reads "\$" here and "$" in the chart.
    """
    short = [_joined(group, voices, lettering, short=True) for group in groups]
    uses = Counter(short)
    labels: list[str] = []
    for group, label in zip(groups, short, strict=True):
        if uses[label] > 1 or label in labels:
            label = long = _joined(group, voices, lettering, short=False)
            number = 2
            while label in labels:
                label, number = f"{long} #{number}", number + 1
        labels.append(label)
    return [escape_mathtext(label) for label in labels]


def drawable_text(text: Any, longest: int, lettering: Lettering) -> str:
    """Return a text for matplotlib: one line of at most `longest` characters, all of which can be drawn."""
    return escape_mathtext(lettering.draw(shorten(_visible(str(text)), longest)))


def _joined(group: Any, voices: Mapping[str, str | None], lettering: Lettering, *, short: bool) -> str:
    values = group if isinstance(group, tuple) else (group,)
    return " · ".join(_label(value, voices, lettering, short=short) for value in values)


def _label(value: Any, voices: Mapping[str, str | None], lettering: Lettering, *, short: bool) -> str:
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
    drawn = lettering.draw(name)
    if NO_GLYPH in drawn and voice_id and voice_id[:6] not in suffix:
        suffix += f" ({voice_id[:6]})"
    if len(drawn) > LONGEST:
        drawn = shorten(drawn, LONGEST) if short else keep_ends(drawn, LONGEST)
    return drawn + lettering.draw(" ".join(["", *_visible(suffix).split()]))


def _split_suffix(label: str) -> tuple[str, str]:
    """Split the label of a voice into its name and the suffix that distinguishes voices of that name."""
    suffix = _SUFFIX.search(label)
    return (label[: suffix.start()], suffix[0]) if suffix else (label, "")


def _visible(text: str) -> str:
    """Return a text as one line, without the invisible joiners and variation selectors that no font draws."""
    return " ".join(_INVISIBLE.sub("", one_line_text(text)).split())
