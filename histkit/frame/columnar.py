"""Columnar answers of the analytics routes: ``columns``, ``column_types``, ``column_units``, ``rows``.

Such an answer describes itself, and nothing else about it is certain: columns may be renamed, reordered, null or new.
So a column is found by its type and unit, never by its place. A type is a statement too: where a value contradicts it,
the column gets the dtype of its values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from histkit.errors import SchemaError
from histkit.frame.clock import timestamps
from histkit.frame.json_values import json_text, plain_value
from histkit.util.arrays import Floats, Ints, Mask
from histkit.util.raw_json import MOST_NESTED, is_deep
from histkit.util.text import escape_surrogates, quoted

CREDITS = "credits"
CURRENCIES = ("usd", "eur", "inr", "pln", "gbp")
TIME_UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}  # microseconds in each
_EARLIEST, _LATEST = 946_684_800_000_000, 4_102_444_800_000_000  # of an instant: the years 2000 to 2099
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = int(np.iinfo(np.int64).min)  # a missing instant
_MOST_LISTED = 12
_WITHOUT_NAN = {str, int, bool, type(None), dict, list}
Kinds = Set[type]  # of the values that are known
Build = Callable[[list[Any], Kinds], "pd.Series | None"]


@dataclass(frozen=True)
class ColumnarAnswer:
    """A decoded answer of an analytics route.

    Attributes
    ----------
    route : str
        The route, for messages.
    frame : pandas.DataFrame
        One column for each of the answer's, in its order: ``string``, ``Float64``, ``Int64``, ``boolean`` or
        ``datetime64[us, UTC]``; JSON, maps and arrays as JSON text. A column without a name is ``column_`` and its
        place, a repeated name gets a number.
    types : dict of str to (str or None)
        The stated type of each column: String, Float, DateTime, Int, Bool, JSON, Map, Array, or one that is new.
    units : dict of str to (str or None)
        The stated unit of each column: ms, s, min, duration, credits, usd, eur, inr, pln, gbp, ratio, rating, or new.
    without_offset : frozenset of str
        Columns whose times are texts without an offset from UTC; they were read as UTC.
    """

    route: str
    frame: pd.DataFrame
    types: dict[str, str | None]
    units: dict[str, str | None]
    without_offset: frozenset[str] = frozenset()

    def time_column(self, *names: str) -> str:
        """Return the name of the column of instants.

        Parameters
        ----------
        *names : str
            Names that decide where there are several such columns, the most telling first.

        Raises
        ------
        SchemaError
            There is no such column, or there are several and none or more than one has such a name.
        """
        times = [name for name in self.frame.columns if isinstance(self.frame[name].dtype, pd.DatetimeTZDtype)]
        return self._only(times, "of times", names)

    def unit_column(self, *units: str, names: Sequence[str] = ()) -> str:
        """Return the name of the column of numbers in a unit.

        Parameters
        ----------
        *units : str
            One or more units, such as ``"credits"``.
        names : sequence of str
            Names that decide where there are several such columns.

        Raises
        ------
        SchemaError
            There is no such column, or several, or it does not hold numbers.
        """
        what = f"in {' or '.join(units)}"
        name = self._only(self.in_units(*units), what, names)
        self._check_numbers(name, what)
        return name

    def named_column(self, name: str, *units: str) -> str:
        """Return the name of the column of numbers that the user names; its unit may be missing.

        Raises
        ------
        SchemaError
            There is no such column, it is in another unit, or it does not hold numbers.
        """
        if name not in self.frame.columns:
            raise SchemaError(f"{self.route} answered without the column {quoted(name)}; it has {self.described()}.")
        unit = self.units[name]
        if unit is not None and unit.casefold() not in units:
            raise SchemaError(f"{self.route}: the column {quoted(name)} is in {unit}, not in {' or '.join(units)}.")
        self._check_numbers(name, f"in {unit or units[0]}")
        return name

    def _check_numbers(self, name: str, what: str) -> None:
        dtype = self.frame[name].dtype
        if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype):
            raise SchemaError(f"{self.route}: the column {quoted(name)} {what} does not hold numbers.")

    def in_units(self, *units: str) -> list[str]:
        """Return the names of the columns in one of these units, in the answer's order."""
        return [name for name, unit in self.units.items() if unit is not None and unit.casefold() in units]

    def described(self) -> str:
        """Return the columns with type and unit in a line, for messages."""
        columns = [
            f"{quoted(name, 40)} ({', '.join(filter(None, (self.types[name], self.units[name]))) or 'no type'})"
            for name in self.frame.columns
        ]
        more = len(columns) - _MOST_LISTED
        listed = [*columns[:_MOST_LISTED], *([f"{more} more"] if more > 0 else [])]
        return ", ".join(listed) if listed else "no columns"

    def _only(self, found: list[str], what: str, names: Sequence[str]) -> str:
        if len(found) > 1:
            named = next((name for name in names if name in found), None)
            found = [named] if named is not None else found
        if len(found) == 1:
            return found[0]
        problem = (
            f"{len(found)} columns {what}, of which none is known to be the right one" if found else f"no column {what}"
        )
        raise SchemaError(f"{self.route} answered with {problem}; it has {self.described()}.")


def decode_columns(answer: Mapping[str, Any], route: str) -> ColumnarAnswer:
    """Decode a columnar answer into a frame with typed columns.

    Parameters
    ----------
    answer : mapping
        The decoded JSON object.
    route : str
        The route that sent it, for messages.

    Returns
    -------
    ColumnarAnswer
        Numbers that are instants by their unit and size are dates: a number in ``ms`` is a date only from the year 2000
        on, and a duration below that.

    Raises
    ------
    SchemaError
        The answer has no columns or rows, its lists are of different lengths, or a row has another number of values.

    Examples
    --------
    >>> answer = decode_columns(
    ...     {
    ...         "columns": ["spent", "start"],
    ...         "column_types": ["Float", "Int"],
    ...         "column_units": ["credits", "ms"],
    ...         "rows": [[24.5, 1790812800000], [None, 1790899200000]],
    ...     },
    ...     "/v1/example",
    ... )
    >>> answer.time_column(), answer.unit_column("credits")
    ('start', 'spent')
    >>> answer.frame["start"].dt.day.tolist(), answer.frame["spent"].isna().tolist()
    ([1, 2], [False, True])
    """
    names, rows = (_list_of(answer, field, route) for field in ("columns", "rows"))
    types, units = (_words_of(answer, field, len(names), route) for field in ("column_types", "column_units"))
    for place, row in enumerate(rows):
        if not isinstance(row, (list, tuple)):
            raise SchemaError(f"{route}: row {place} is {quoted(row, 40)}, not a list of {len(names)} values.")
        if len(row) != len(names):
            raise SchemaError(f"{route}: row {place} has {len(row)} values for {len(names)} columns.")
    unique = _unique_names(names)
    columns: dict[str, pd.Series] = {}
    without_offset = set()
    for place, name in enumerate(unique):
        values = list(map(itemgetter(place), rows))
        columns[name], naive = _column(values, types[place], units[place])
        if naive:
            without_offset.add(name)
    index, labels = pd.RangeIndex(len(rows)), pd.Index(unique, dtype=object)
    frame = pd.DataFrame(columns, index=index, columns=labels, copy=False)
    stated = dict(zip(unique, types, strict=True)), dict(zip(unique, units, strict=True))
    return ColumnarAnswer(route, frame, *stated, frozenset(without_offset))


def _list_of(answer: Mapping[str, Any], field: str, route: str) -> list[Any]:
    value = answer.get(field) if isinstance(answer, Mapping) else None
    if not isinstance(value, (list, tuple)):
        what = f"{field} is {quoted(value, 40)}" if isinstance(answer, Mapping) else "it is no object"
        raise SchemaError(f"{route} answered in a form that histkit doesn't know: {what}, not a list.")
    return list(value)


def _words_of(answer: Mapping[str, Any], field: str, count: int, route: str) -> list[str | None]:
    """Return the stated types or units; None for each column if the answer has no such list."""
    if answer.get(field) is None:
        return [None] * count
    words = _list_of(answer, field, route)
    if len(words) != count:
        raise SchemaError(f"{route}: {field} has {len(words)} entries for {count} columns.")
    return [escape_surrogates(word) if isinstance(word, str) and word else None for word in words]


def _unique_names(names: Iterable[Any]) -> list[str]:
    """Return texts that are distinct: a column without a name is its place, a repeated name gets a number."""
    texts = [
        escape_surrogates(name) if isinstance(name, str) and name else f"column_{place}"
        for place, name in enumerate(names, 1)
    ]
    taken = set(texts)
    unique: list[str] = []
    seen: set[str] = set()
    for text in texts:
        name, number = text, 2
        while name in seen or (name != text and name in taken):
            name, number = f"{text}_{number}", number + 1
        seen.add(name)
        unique.append(name)
    return unique


def _column(values: list[Any], stated: str | None, unit: str | None) -> tuple[pd.Series, bool]:
    """Return a column, and whether it holds texts of times without an offset."""
    kinds = {*map(type, values)}
    if not kinds <= _WITHOUT_NAN:
        values = [None if isinstance(value, float) and math.isnan(value) else value for value in values]
        kinds = {*map(type, values)}
    kinds.discard(type(None))
    unit = unit.casefold() if unit is not None else None
    is_time = stated is not None and stated.startswith("Date")
    if is_time or (unit in TIME_UNITS and stated in ("Int", "Float", None)):
        times = _times(values, kinds, unit, is_time=is_time)
        if times is not None:
            return times
    for build in (_BUILDERS.get(stated or ""), *_INFERRED):
        column = None if build is None else build(values, kinds)
        if column is not None:
            return column, False
    return _texts(values, kinds), False


def _times(values: list[Any], kinds: Kinds, unit: str | None, *, is_time: bool) -> tuple[pd.Series, bool] | None:
    """Return instants and whether they are texts without an offset; None where the values are no instants.

    In a column of times, 0 and the first instant of 1970 are missing: no time of the service is so early.
    """
    known, naive = np.array([value is not None for value in values], bool), False
    if not kinds and not is_time:
        return None
    numbers = _one_kind(values, known, kinds)
    micros: Sequence[int] | Ints | None
    if numbers is None:
        given: list[Any] = [value for value in values if value is not None]
        if is_time and any(isinstance(value, str) and not _is_numeral(value) for value in given):
            moments = [_parse_time(value) for value in given]
            naive = any(moment is not None and moment.tzinfo is None for moment in moments)
            given = [None if moment is None else _micros_of(moment) for moment in moments]
            unit = "us"
        given = [_number(value) for value in given]
        if None in given:
            return None
        micros = _scaled(given, unit, is_time=is_time)
    else:
        micros = _scaled_array(numbers, unit, is_time=is_time)
    if micros is None:
        return None
    instants = np.full(len(values), _NEVER, np.int64)
    instants[known] = micros
    return pd.Series(timestamps(instants, UTC)), naive


def _one_kind(values: list[Any], known: Mask, kinds: Kinds) -> Ints | Floats | None:
    """Return the values that are known, if all are int or all are float; None otherwise, or if an int has 64 bits."""
    if kinds not in ({int}, {float}):
        return None
    found = values if known.all() else [value for value in values if value is not None]
    try:
        return np.array(found, np.int64) if kinds == {int} else np.array(found, np.float64)
    except OverflowError:
        return None


def _units_by_likelihood(unit: str | None) -> list[int]:
    """Return the microseconds of each unit of time, the stated one first."""
    return [scale for _, scale in sorted(TIME_UNITS.items(), key=lambda entry: entry[0] != unit)]


def _scaled_array(numbers: Ints | Floats, unit: str | None, *, is_time: bool) -> Ints | None:
    """Return numbers as `_scaled` does."""
    for scale in _units_by_likelihood(unit):
        with np.errstate(over="ignore"):
            scaled = numbers * scale
        if numbers.dtype == np.int64:
            fits = (numbers >= _EARLIEST // scale) & (numbers < _LATEST // scale)  # the product may be too large
        else:
            fits = (scaled >= _EARLIEST) & (scaled < _LATEST)
        if (fits | (is_time & (numbers == 0))).all():
            return np.where(fits, np.rint(scaled), _NEVER).astype(np.int64)
    return None


def _scaled(numbers: list[Any], unit: str | None, *, is_time: bool) -> list[int] | None:
    """Return numbers as microseconds since 1970: in their unit, or in the one whose range all of them are in."""
    for scale in _units_by_likelihood(unit):
        if all(_EARLIEST <= number * scale < _LATEST or (is_time and number == 0) for number in numbers):
            return [_NEVER if number == 0 else round(number * scale) for number in numbers]
    return None


def _parse_time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text.strip())
    except (ValueError, AttributeError):
        return None


def _micros_of(moment: datetime) -> int:
    """Return a time in microseconds since 1970; a naive one is UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def _is_numeral(text: str) -> bool:
    return text.strip().removeprefix("-").replace(".", "", 1).isdecimal() and text.isascii()


def _number(value: Any) -> int | float | None:
    """Return a finite number, also one that is written as text; None for anything else."""
    if isinstance(value, str):
        if not _is_numeral(value) or len(value) > 40:
            return None
        return float(value) if "." in value else int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def _floats(values: list[Any], kinds: Kinds) -> pd.Series | None:
    numbers: Any = values
    if not kinds <= {int, float}:
        numbers = [None if value is None else _number(value) for value in values]
        if any(number is None and value is not None for number, value in zip(numbers, values, strict=True)):
            return None
    try:
        found = np.array(numbers, np.float64)  # None is NaN
    except OverflowError:  # an int beyond all floats
        return None
    return None if np.isinf(found).any() else pd.Series(pd.arrays.FloatingArray(found, np.isnan(found)))


def _whole_numbers(values: list[Any], kinds: Kinds) -> pd.Series | None:
    known = np.array([value is not None for value in values], bool)
    found = _one_kind(values, known, kinds)
    if found is not None:
        is_whole = kinds == {int} or ((found == np.floor(found)) & (found >= -(2.0**63)) & (found < 2.0**63)).all()
        if not is_whole:
            return None
        numbers = np.ones(len(values), np.int64)
        numbers[known] = found
        return pd.Series(pd.arrays.IntegerArray(numbers, ~known))
    read = [None if value is None else _number(value) for value in values]
    if any(
        value is not None and (number is None or number != int(number) or not -(2**63) <= number < 2**63)
        for number, value in zip(read, values, strict=True)
    ):
        return None
    return pd.Series(pd.array([None if number is None else int(number) for number in read], "Int64"))


def _flags(values: list[Any], kinds: Kinds) -> pd.Series | None:
    return pd.Series(pd.array(values, "boolean")) if kinds <= {bool} else None


def _texts(values: list[Any], kinds: Kinds) -> pd.Series:
    """Return texts as they are, everything else as its JSON."""
    if kinds <= {str}:
        with suppress(UnicodeEncodeError):
            return pd.Series(pd.StringDtype("pyarrow").__from_arrow__(pa.array(values, pa.large_string())))
    return pd.Series([None if value is None else _text(value) for value in values], dtype="string[pyarrow]")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return escape_surrogates(value)
    if is_deep(value):
        return f"(nested deeper than {MOST_NESTED} levels)"
    return escape_surrogates(json_text(plain_value(value)))


def _known_numbers(build: Build) -> Build:
    """Return a builder that takes numbers only, and at least one: numerals in a column of texts are texts."""

    def build_numbers(values: list[Any], kinds: Kinds) -> pd.Series | None:
        return build(values, kinds) if kinds and not any(issubclass(kind, (str, bool)) for kind in kinds) else None

    return build_numbers


def _known_flags(values: list[Any], kinds: Kinds) -> pd.Series | None:
    return _flags(values, kinds) if kinds else None


_BUILDERS: dict[str, Build] = {
    "String": _texts,
    "JSON": _texts,
    "Map": _texts,
    "Array": _texts,
    "Float": _floats,
    "Int": _whole_numbers,
    "Bool": _flags,
}
_INFERRED = (
    _known_flags,
    _known_numbers(_whole_numbers),
    _known_numbers(_floats),
)  # where no type is known, or it lies
