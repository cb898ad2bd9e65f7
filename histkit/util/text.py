"""Text: errors as one line, values formatted for readers, characters that are safe to display."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Literal, TypeGuard


def error_line(error: BaseException, length: int = 200) -> str:
    """Return the message of an error as one line of at most `length` visible characters."""
    return one_line_text(str(error))[:length]


def error_reason(error: BaseException) -> str:
    """Return the operating system's message of an error ("No such file or directory"), else the error as one line."""
    return getattr(error, "strerror", None) or error_line(error)


def quoted(value: object, length: int = 80) -> str:
    """Return the repr of a value for a message: one line of at most `length` characters, without passwords in URLs.

    A value that was cut has an ellipsis at its end, before the closing quote. A value without a repr (an int of too
    many digits, a broken ``__repr__``) is its type in angle brackets.

    Examples
    --------
    >>> quoted("Once upon a time", 12)
    "'Once upon…'"
    """
    try:
        line = " ".join(hide_passwords(repr(value)).split())
    except Exception:
        return f"<{type(value).__name__}>"
    if len(line) <= length:
        return line
    end = "…" + (line[-1] if line[-1] in "'\"" else "")
    return line[: length - len(end)].rstrip() + end


REDACTED = "(redacted)"  # stands for a secret in a message


def hide_passwords(text: str) -> str:
    """Return a URL, or a text with URLs, without the user names and passwords before their hosts.

    Examples
    --------
    >>> hide_passwords("s3://key:secret@bucket/a@b can't be opened")
    "s3://(redacted)@bucket/a@b can't be opened"
    """
    return re.sub(r"(?<=://)[^/\s]*@", f"{REDACTED}@", text)


def is_text(value: object) -> TypeGuard[str]:
    """Return whether a value is a string that UTF-8 can encode and that is not blank."""
    if not isinstance(value, str) or not value.strip():
        return False
    return is_valid_unicode(value)


def is_valid_unicode(text: str) -> bool:
    """Return whether UTF-8 can encode a string: it has no lone surrogate."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def replace_surrogates(text: str) -> str:
    """Return a text that UTF-8 can hold: each half of a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def escape_surrogates(text: str) -> str:
    r"""Return a text that UTF-8 can hold: each half of a surrogate pair as ``\udxxx``, so that texts stay distinct."""
    return text.encode("utf-8", "backslashreplace").decode()


_JOINERS = "\u200c\u200d"  # format characters that scripts and emoji need
_INVISIBLE = re.compile(  # letters and marks that show nothing, variation selectors, joiners outside joining scripts
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
    f"|(?<![\u0600-\u1cff])[{_JOINERS}]|[{_JOINERS}](?![\u0600-\u1cff])"
)


class FormattedText(str):
    """A number or date as text, whose spaces and marks belong to its locale: it is shown as it is."""


def one_line_text(text: str) -> str:
    """Return a text as one line: NFC, white space collapsed, without control and bidi-override characters."""
    if isinstance(text, FormattedText):
        return text
    if not text.isascii():
        text = unicodedata.normalize("NFC", text if text.isprintable() else replace_surrogates(text))
    if text.isprintable():  # then its only white space is U+0020
        if "  " not in text and text[:1] != " " and text[-1:] != " ":
            return text
    else:  # it holds anything but letters, marks, numbers, signs and U+0020
        text = "".join(map(_visible, " ".join(text.split())))
        text = unicodedata.normalize("NFC", text)  # what was kept apart may now belong together
    return " ".join(text.split())


@cache
def _visible(char: str) -> str:
    kind = unicodedata.category(char)
    return "" if kind[0] == "C" and char not in _JOINERS and kind != "Cn" else char


def terminal_text(text: str) -> str:
    r"""Return a text as one line that is safe on a terminal and as wide as its visible characters.

    As `one_line_text`, and without variation selectors, invisible letters, and joiners between emoji, whose width
    terminals disagree on. Unassigned characters, and a text of which nothing is left, become U+FFFD.

    Examples
    --------
    >>> terminal_text("Rachel\x1b[31m\r\nEvil\u202e")
    'Rachel[31m Evil'
    """
    line = one_line_text(text)
    if not line.isascii():
        line = " ".join(_INVISIBLE.sub("", line).split())
        line = line if line.isprintable() else "".join(map(_on_a_line, line))
    return line or ("\ufffd" if text.strip() else "")


def cell_text(text: str) -> str:
    r"""Return a text for a cell of a workbook: only visible characters, tabs and line feeds, which XML can hold.

    Examples
    --------
    >>> cell_text("Rachel\x1b[31m\r\nEvil\u202e\ufffe")
    'Rachel[31m\nEvil'
    """
    if text.isprintable():
        return text
    text = replace_surrogates(text).replace("\r\n", "\n").translate({0x85: "\n", 0x2028: "\n", 0x2029: "\n"})
    return "".join(char if char in "\n\t" else "" if _is_noncharacter(char) else _visible(char) for char in text)


def _is_noncharacter(char: str) -> bool:
    return ord(char) & 0xFFFE == 0xFFFE or "\ufdd0" <= char <= "\ufdef"


def terminal_lines(text: str) -> str:
    r"""Return lines that are safe on a terminal and otherwise unchanged: only line feeds and visible characters.

    Examples
    --------
    >>> terminal_lines("name,credits\nRachel\x1b[31m\t,5\r\n")
    'name,credits\nRachel[31m ,5\n'
    """
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    lines = _INVISIBLE.sub("", replace_surrogates(text)).split("\n")
    return "\n".join(line if line.isprintable() else "".join(map(_on_a_line, line)) for line in lines)


def _on_a_line(char: str) -> str:
    if char.isprintable() or char in _JOINERS:
        return char
    return " " if char.isspace() and char != "\r" else "\ufffd" if unicodedata.category(char) == "Cn" else ""


def encodable_text(text: str, encoding: str) -> str:
    """Return a text that an encoding can write; other characters are replaced by a similar one or a question mark.

    Examples
    --------
    >>> encodable_text("Lucía – 5 …", "ascii")
    'Luc?a - 5 .'
    """
    if text.isascii():
        return text
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_SIMILAR).encode(encoding, "replace").decode(encoding)
    except LookupError:
        return text.encode("ascii", "replace").decode()
    return text


_SIMILAR = str.maketrans({"–": "-", "…": ".", "█": "#", "─": "-", "’": "'", "“": '"', "”": '"'})

NOTHING = "–"  # for a value that is not known: never 0
ValueKind = Literal["text", "count", "share", "money", "moment", "day"]


def format_value(value: Any, kind: ValueKind) -> str:
    """Format a value for a reader: thousands separated, shares in per cent, an unknown value as a dash.

    Examples
    --------
    >>> format_value(1234567, "count"), format_value(None, "count")
    ('1,234,567', '–')
    >>> format_value(0.1234, "share"), format_value(0.0004, "share")
    ('12.3 %', '<0.1 %')
    """
    if is_missing(value):
        return NOTHING
    if isinstance(value, FormattedText):
        return value
    if kind == "count":
        return f"{value:,.0f}"
    if kind == "share":
        return format_share(value)
    if kind == "money":
        return f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"
    if kind == "moment":
        return f"{value:%Y-%m-%d %H:%M}"
    if kind == "day":
        return f"{value:%Y-%m-%d}" if isinstance(value, datetime) else str(value)
    return one_line_text(str(value))


def is_missing(value: Any) -> bool:
    """Return whether a value is not known: None, NA, NaN or NaT."""
    import pandas as pd  # late: the sandbox's process starts without it

    return value is None or (not isinstance(value, (str, list, tuple, dict)) and bool(pd.isna(value)))


def format_share(value: Any) -> str:
    """Format a share in per cent with one decimal: 0 % and 100 % only if it is exactly that.

    Examples
    --------
    >>> [format_share(value) for value in (1, 0.99999, 0.9994, 0.00001, 0, 1.0001)]
    ['100.0 %', '>99.9 %', '99.9 %', '<0.1 %', '0.0 %', '>100.0 %']
    """
    if 0 < value < 0.0005:
        return "<0.1 %"
    text = f"{100 * value:.1f} %"
    if text == "100.0 %" and value != 1:
        return ">99.9 %" if value < 1 else ">100.0 %"
    return text


def format_size(size: float) -> str:
    """Format a number of bytes for a reader: in GB, MB, or kB, of which every file that is not empty has one.

    Examples
    --------
    >>> format_size(22_974_409_493), format_size(3_812_345), format_size(49_512), format_size(12), format_size(0)
    ('23.0 GB', '3.8 MB', '50 kB', '1 kB', '0 kB')
    """
    if size >= 999_950_000:
        return f"{size / 1e9:,.1f} GB"
    return f"{size / 1e6:,.1f} MB" if size >= 999_500 else f"{max(round(size / 1e3), int(size > 0))} kB"


def format_column(values: Iterable[Any], kind: ValueKind) -> list[str]:
    """Format the values of a column; two moments never get the same text.

    Moments that a clock shows alike, as in the hour that autumn repeats, get their offset from UTC.

    Examples
    --------
    >>> import pandas as pd
    >>> hours = pd.date_range("2026-10-25", periods=4, freq="h", tz="Europe/Berlin")
    >>> format_column(hours[1:], "moment")
    ['2026-10-25 01:00', '2026-10-25 02:00+02:00', '2026-10-25 02:00+01:00']
    """
    cells = list(values)
    texts = [format_value(cell, kind) for cell in cells]
    if kind not in ("moment", "day"):
        return texts
    moments: dict[str, set[Any]] = {}
    for cell, text in zip(cells, texts, strict=True):
        if isinstance(cell, datetime) and text != NOTHING:
            moments.setdefault(text, set()).add(cell)
    return [
        cell.isoformat(" ", "minutes") if len(moments.get(text, ())) > 1 else text
        for cell, text in zip(cells, texts, strict=True)
    ]


def shorten(line: str, longest: int) -> str:
    """Cut a line to at most `longest` characters; a line that was cut ends in an ellipsis, and never within a number.

    Examples
    --------
    >>> shorten("Once upon a time", 12), shorten("Once", 12)
    ('Once upon …', 'Once')
    >>> shorten("Chapter 12,345", 13)
    'Chapter …'
    """
    if len(line) <= longest:
        return line
    kept = line[: longest - 2]
    if line[longest - 2].isdigit() or line[longest - 2 : longest - 1] in (".", ","):
        kept = _LAST_NUMBER.sub("", kept)
    return kept.rstrip() + " …"


_LAST_NUMBER = re.compile(r"(?<=\D)[\d.,]*\d[.,]?$")  # of a line that has something before it


def count_noun(number: int, noun: str) -> str:
    """Return a number with its noun, as in ``1 row`` and ``1,200 rows``."""
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def join_counts(counts: Mapping[str, int]) -> str:
    """Return counts as one line, as in ``10 done, 2 skipped``; zeros are left out.

    Examples
    --------
    >>> join_counts({"done": 10, "gone": 0, "skipped": 2}), join_counts({})
    ('10 done, 2 skipped', 'no rows')
    """
    return ", ".join(f"{count:,} {word}" for word, count in counts.items() if count) or "no rows"


def format_duration(seconds: float) -> str:
    """Return a duration in its largest sensible unit, rounded.

    Examples
    --------
    >>> [format_duration(seconds) for seconds in (1, 90, 1800, 80000, 604800)]
    ['1 second', '90 seconds', '30 minutes', '22 hours', '7 days']
    """
    for unit, length, least in (("day", 86400, 48), ("hour", 3600, 2), ("minute", 60, 2)):
        if seconds >= least * (3600 if unit == "day" else length):
            return count_noun(round(seconds / length), unit)
    return count_noun(max(1, round(seconds)), "second")
