"""CSV files of `to_csv` that a spreadsheet saved again: other separators, encodings, and its own way with values.

What a spreadsheet changed for good (an id that became a number, a date without its seconds) is refused by name.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from histkit.frame.schema import DATE
from histkit.util.text import quoted

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_FLAGS = {  # as spreadsheets of several languages write them
    **dict.fromkeys("true wahr vrai vero verdadero verdadeiro waar sant prawda sandt tosi истина".split(), True),
    **dict.fromkeys("false falsch faux falso onwaar falskt fałsz falsk epätosi ложь".split(), False),
}
_SHORTENED = r"^-?[0-9](?:[.,][0-9]+)?E\+[0-9]+$"
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?: (\d{1,2}):(\d{2})(?::(\d{2}))?)?")
_YEAR_FIRST = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?: (\d{1,2}):(\d{2})(?::(\d{2}))?)?")


def as_utf8(data: bytes) -> bytes:
    """Return a text file as UTF-8: UTF-16 has a byte order mark, and what is no UTF-8 is Windows-1252."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace").encode("utf-8", "replace")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace").encode()
    return data


def find_separator(data: bytes, known: Collection[str]) -> tuple[bytes, str]:
    """Return the file without Excel's line ``sep=``, and what separates its columns.

    Parameters
    ----------
    data : bytes
        The file in UTF-8.
    known : collection of str
        Names of columns. The separator that finds most of them in the first line is taken.

    Raises
    ------
    ValueError
        The first line seems to have another separator.
    """
    stated = re.match(rb"sep=(.)\r?\n", data)
    if stated:
        return data[stated.end() :], stated[1].decode("latin-1")
    first = data[:65_536].decode("utf-8", "replace")
    found = {separator: _names(first, separator) for separator in SEPARATORS}
    separator = max(
        SEPARATORS, key=lambda each: (len(found[each] & set(known)), len(found[each]) if each == "," else 0)
    )
    names = found[separator]
    if len(names) == 1 and not names & set(known):
        words = [name for name in known if re.search(rf"\b{re.escape(name)}\b", next(iter(names)))]
        if len(words) > 1:
            between = re.search(rf"{re.escape(words[0])}\W*?([^\w\s\"'])", next(iter(names)))
            what = f"by {quoted(between[1])}" if between else "in another way"
            raise ValueError(f"its columns are separated {what}, not by commas, semicolons or tabs")
    return data, separator


def _names(text: str, separator: str) -> set[str]:
    return set(next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), []))


def refuse_shortened(column: pa.ChunkedArray) -> None:
    """Raise ValueError if a spreadsheet made a number of an id."""
    shortened = column.filter(pc.match_substring_regex(column, _SHORTENED))
    if len(shortened):
        value = quoted(shortened[0].as_py())
        raise ValueError(f"{value} is a number that a spreadsheet made of an id; import that column as text")


def read_flags(column: pa.ChunkedArray) -> pa.Array:
    """Return ``True`` and ``False``, also in capitals and in other languages; raise ValueError for another word."""
    words = column.to_pylist()
    for word in words:
        if word is not None and word.casefold() not in _FLAGS:
            raise ValueError(f"{quoted(word)} is neither True nor False")
    return pa.array([None if word is None else _FLAGS[word.casefold()] for word in words], pa.bool_())


def read_numbers(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return numbers, also those with a decimal comma; raise ValueError for a number that was shortened."""
    shortened = column.filter(pc.match_substring_regex(column, _SHORTENED))
    if len(shortened) and pa.types.is_integer(kind):
        raise ValueError(f"{quoted(shortened[0].as_py())} is a number that a spreadsheet shortened; import it as text")
    if pa.types.is_floating(kind):
        column = pc.replace_substring_regex(column, r"^(-?[0-9]+),([0-9]+(?:[eE][-+]?[0-9]+)?)$", r"\1.\2")
    return column.cast(kind)


def decimal_commas(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of an unknown name as numbers, if all its values have a decimal comma or no decimals at all."""
    texts = pc.drop_null(column)
    numbers = len(texts) and pc.all(pc.match_substring_regex(texts, r"^-?[0-9]+(?:,[0-9]+)?$")).as_py()
    return read_numbers(column, pa.float64()) if numbers else column


def read_dates(column: pa.ChunkedArray, seconds: pa.ChunkedArray | None) -> pa.ChunkedArray | pa.Array:
    """Return dates in ISO 8601, in UTC without an offset.

    A spreadsheet writes them in its own way. Then those of `seconds`, the column ``date_unix``, are taken.

    Raises
    ------
    ValueError
        A date could mean two days, or has lost its seconds.
    """
    try:
        return column.cast(DATE)
    except pa.ArrowException:
        if seconds is not None and pc.all(pc.equal(pc.is_null(seconds), pc.is_null(column))).as_py():
            return pc.multiply(read_numbers(seconds, pa.int64()), 1_000_000).cast(DATE)
    return pa.array([None if text is None else _moment(text) for text in column.to_pylist()], DATE)


def _moment(text: str) -> datetime:
    keep = "keep the column date_unix, or write ISO dates (2026-10-01 14:30:05)"
    try:
        moment = datetime.fromisoformat(text) if len(text) > 16 else None
    except ValueError:
        moment = None
    if moment is not None:
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    dotted, iso = _DAY_FIRST.fullmatch(text.strip()), _YEAR_FIRST.fullmatch(text.strip())
    if dotted is None and iso is None:
        raise ValueError(f"{quoted(text)} could mean several days, or none; {keep}")
    parts = dotted.groups() if dotted else iso.groups() if iso else ()
    if parts[5] is None:
        raise ValueError(f"{quoted(text)} has lost its seconds; {keep}")
    year, day = (parts[2], parts[0]) if dotted else (parts[0], parts[2])
    return datetime(int(year), int(parts[1]), int(day), int(parts[3]), int(parts[4]), int(parts[5]), tzinfo=UTC)
