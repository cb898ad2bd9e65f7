"""The filters of the explorer: a plain value, the expression that applies it, and its form in messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta, tzinfo
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.clock import iso, wall_time, zone_of
from histkit.frame.dates import as_unix, parse_date
from histkit.frame.filters import RowFilter, filter_items
from histkit.frame.kept_rows import rows_where
from histkit.util.arguments import true_or_false, whole_number
from histkit.util.text import is_valid_unicode, quoted

NAMES = ("voice", "model", "source")
BOUNDS = {"credits": ("least", "most"), "characters": ("shortest", "longest")}  # by column
_MOST_NAMES, _LONGEST_TEXT = 10_000, 10_000
_SIGNED = 2**63
_SPECIAL = re.compile(r"[\\^$.|?*+(){}\[\]]")  # what a regular expression takes for something else


@dataclass(frozen=True)
class FilterState:
    """The filters of an explorer; the defaults keep every row.

    Attributes
    ----------
    voice, model, source : tuple of str
        As in `histkit.filter_items`.
    first, last : date or None
        Days, both inclusive, in the explorer's zone.
    after, before : int or None
        Instants in seconds since 1970, `after` inclusive, `before` exclusive. They narrow `first` and `last`.
    text : str
        Searched for in any letter case.
    pattern : bool
        Whether `text` is a regular expression.
    least, most : int or None
        Bounds of the credits, both inclusive; either drops rows with unknown credits.
    shortest, longest : int or None
        Bounds of the characters, both inclusive; either drops rows with unknown characters.
    """

    voice: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None
    after: int | None = None
    before: int | None = None
    text: str = ""
    pattern: bool = False
    least: int | None = None
    most: int | None = None
    shortest: int | None = None
    longest: int | None = None

    def arguments(self, tz: str) -> dict[str, Any]:
        """Return the arguments of `histkit.filter_items`.

        Raises
        ------
        InputError
            The last day is before the first, or a date can't be shown in the zone.
        """
        if self.first and self.last and self.first > self.last:
            raise InputError(f"The last day ({self.last}) is before the first ({self.first}).")
        lists = {"voice": self.voice, "model": self.model, "source": self.source}
        arguments: dict[str, Any] = {
            name: values[0] if len(values) == 1 else list(values) for name, values in lists.items() if values
        }
        if self.text:
            arguments["text"] = self.text
            if not self.pattern and _SPECIAL.search(self.text):
                arguments["regex"] = False
        zone = zone_of(tz)
        try:
            arguments |= {name: iso(second, zone) for name, second in self._instants(zone).items()}
        except (OverflowError, ValueError):
            raise InputError("A date of the filters is too far from today.") from None
        return arguments

    def _instants(self, zone: tzinfo) -> dict[str, int]:
        """Return the bounds of the dates that are set, in seconds since 1970: the narrower one of day and instant."""
        starts = [self.after, None if self.first is None else as_unix(self.first, "first", zone)]
        ends = [self.before, None if self.last is None else as_unix(self.last + timedelta(days=1), "last", zone)]
        after = max((start for start in starts if start is not None), default=None)
        before = min((end for end in ends if end is not None), default=None)
        return {name: second for name, second in (("after", after), ("before", before)) if second is not None}

    def bounds(self) -> list[tuple[str, str, int]]:
        """Return the bounds of numbers that are set: column, comparison, number."""
        return [
            (column, method, getattr(self, name))
            for column, names in BOUNDS.items()
            for name, method in zip(names, ("ge", "le"), strict=True)
            if getattr(self, name) is not None
        ]

    def code(self, tz: str) -> str:
        """Return the expression that filters a frame called ``df`` in the same way."""
        arguments = ", ".join(f"{name}={_literal(value)}" for name, value in self.arguments(tz).items())
        code = f"df.speech.filter({arguments})" if arguments else "df"
        for column, method, bound in self.bounds():
            code += f'.loc[lambda rows: rows["{column}"].{method}({bound}).fillna(False)]'
        return code

    def apply(self, frame: pd.DataFrame, tz: str) -> pd.DataFrame:
        """Filter a frame; the rows stay in their order and on their index."""
        arguments = self.arguments(tz)
        kept = filter_items(frame, **arguments) if arguments else frame
        bounds = self.bounds()
        if not bounds:
            return kept
        inside = np.ones(len(kept), bool)
        for column, method, bound in bounds:
            inside &= getattr(kept[column], method)(bound).fillna(False).to_numpy(bool)
        return rows_where(kept, inside)

    def row_filter(self, tz: str) -> RowFilter:
        """Return the conditions as `histkit.filter_items` reads them, without the bounds of numbers.

        Raises
        ------
        InputError
            A condition is invalid.
        """
        return RowFilter.of(**self.arguments(tz))

    def changed(self, message: Any, tz: str) -> FilterState:
        """Return the filters with the fields of a message; fields that it lacks stay.

        Raises
        ------
        InputError
            A field is unknown or invalid.
        """
        if not isinstance(message, Mapping):
            raise InputError(f"filters={quoted(message)} must be an object.")
        zone = zone_of(tz)
        changes: dict[str, Any] = {}
        for name, value in message.items():
            if name in BOUNDS:
                changes |= zip(BOUNDS[name], _bounds(name, value), strict=True)
            elif name in _PARSERS:
                changes[name] = _PARSERS[name](name, value, zone)
            else:
                raise InputError(f"filters has no field {quoted(name)}.")
        state = replace(self, **changes)
        state.row_filter(tz)  # raises what filtering would raise
        return state

    def message(self, tz: str) -> dict[str, Any]:
        """Return the filters as JSON values, all fields."""
        zone = zone_of(tz)
        fields: dict[str, Any] = {name: list(getattr(self, name)) for name in NAMES}
        for name in ("first", "last"):
            day = getattr(self, name)
            fields[name] = None if day is None else day.isoformat()
        for name in ("after", "before"):
            second = getattr(self, name)
            fields[name] = None if second is None else iso(second, zone)
        fields |= {"text": self.text, "pattern": self.pattern}
        return fields | {column: [getattr(self, name) for name in names] for column, names in BOUNDS.items()}


def _literal(value: Any) -> str:
    """Return a value as Python writes it, a pattern with backslashes as a raw string where that can hold it."""
    is_raw = isinstance(value, str) and "\\" in value and '"' not in value and value.isprintable()
    return f'r"{value}"' if is_raw and not value.endswith("\\") else repr(value)


def _names(name: str, value: Any, _: tzinfo) -> tuple[str, ...]:
    values = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(values, Iterable) or isinstance(values, Mapping) or not all(map(_is_name, names := list(values))):
        raise InputError(f"{name}={quoted(value)} must be a list of texts.")
    if len(names) > _MOST_NAMES:
        raise InputError(f"{name} has more than {_MOST_NAMES:,} values.")
    return tuple(dict.fromkeys(names))


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and is_valid_unicode(value)


def _day(name: str, value: Any, zone: tzinfo) -> date | None:
    if value is None or value == "":
        return None
    span = parse_date(value, name, zone)
    try:
        return wall_time(span.start if name == "first" else max(span.start, span.end - 1), zone).date()
    except OverflowError:
        raise InputError(f"{name}={quoted(value)} is too far from today.") from None


def _instant(name: str, value: Any, zone: tzinfo) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        raise InputError(f"{name}={quoted(value)} is not a date.")
    second = int(value) if isinstance(value, (int, float)) and value == value // 1 else as_unix(value, name, zone)
    try:
        iso(second, zone)
    except (OverflowError, ValueError):
        raise InputError(f"{name}={quoted(value)} is too far from today.") from None
    return second


def _text(name: str, value: Any, _: tzinfo) -> str:
    if value is None:
        return ""
    if not _is_name(value) or len(value) > _LONGEST_TEXT:
        raise InputError(f"{name}={quoted(value)} must be a text of at most {_LONGEST_TEXT:,} characters.")
    return str(value)


def _bounds(name: str, value: Any) -> tuple[int | None, int | None]:
    pair = (None, None) if value is None else value
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        raise InputError(f"{name}={quoted(value)} must be two whole numbers or null: the least and the most.")
    least, most = (None if bound is None else whole_number(name, bound, -_SIGNED, _SIGNED - 1) for bound in pair)
    return least, most


_PARSERS: dict[str, Callable[[str, Any, tzinfo], Any]] = {
    **dict.fromkeys(NAMES, _names),
    **dict.fromkeys(("first", "last"), _day),
    **dict.fromkeys(("after", "before"), _instant),
    "text": _text,
    "pattern": lambda name, value, _: true_or_false(name, value),
}
