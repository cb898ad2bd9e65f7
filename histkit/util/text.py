"""Text: errors as one line, values as people read them, characters that are safe to show."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

import pandas as pd


def error_line(error: BaseException, length: int = 200) -> str:
    """Return the message of an error as one line of at most `length` characters."""
    return " ".join(str(error).split())[:length]


def quoted(value: object) -> str:
    """Return the repr of a value for a message: one line of at most 80 characters."""
    return " ".join(repr(value).split())[:80]


_JOINERS = "\u200c\u200d"  # format characters that scripts and emoji need


def one_line_text(text: str) -> str:
    """Give a text in one line: NFC, white space collapsed, no control and no bidi-override characters."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
        text = unicodedata.normalize("NFC", text)
    if not text.isprintable():  # also true of anything but letters, marks, numbers, signs and U+0020
        text = "".join(map(_visible, " ".join(text.split())))
        text = unicodedata.normalize("NFC", text)  # what was kept apart may now belong together
    return " ".join(text.split())


@cache
def _visible(char: str) -> str:
    kind = unicodedata.category(char)
    return "" if kind[0] == "C" and char not in _JOINERS and kind != "Cn" else char


NOTHING = "–"  # for a value that is not known: never 0


def format_value(value: Any, kind: str) -> str:
    """Write a value as it is read: thousands separated, shares in per cent, what is not known as a dash.

    Examples
    --------
    >>> format_value(1234567, "count"), format_value(None, "count")
    ('1,234,567', '–')
    >>> format_value(0.1234, "share"), format_value(0.0004, "share")
    ('12.3 %', '<0.1 %')
    """
    if value is None or (not isinstance(value, (str, list, tuple, dict)) and pd.isna(value)):
        return NOTHING
    if kind == "count":
        return f"{value:,.0f}"
    if kind == "share":
        return "<0.1 %" if 0 < value < 0.0005 else f"{100 * value:.1f} %"
    if kind == "money":
        return f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"
    if kind == "moment":
        return f"{value:%Y-%m-%d %H:%M}"
    if kind == "day":
        return f"{value:%Y-%m-%d}" if isinstance(value, datetime) else str(value)
    return str(value)
