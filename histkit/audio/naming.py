"""File names: a template and a row make a path that is safe on Linux, macOS and Windows.

Voice names and texts are untrusted input. Whatever they contain, a path has exactly the folders that the template
writes, and each part is a legal file name on every system (pathvalidate).
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pandas as pd

from histkit.audio.options import DEFAULT_NAME
from histkit.errors import InputError
from histkit.frame.columns import strings_of, values_of
from histkit.frame.dates import timestamps_of
from histkit.frame.dialogues import dialogues_of, spoken_texts
from histkit.util.background import stoppable
from histkit.util.filenames import EXTENSIONS, STEM_BYTES, safe_folder, safe_name
from histkit.util.text import one_line_text, quoted

Part = tuple[str, str | None, str]  # literal text, then a field or None, and the field's format


class _Missing:
    """A missing value: formatted as one word, whatever the format."""

    def __init__(self, word: str) -> None:
        self._word = word

    def __format__(self, spec: str) -> str:
        return self._word


_SHORT_SPEC = 8  # characters of a format with a maximum that is worth the look at the beginning alone
_UNKNOWN, _EMPTY = _Missing("unknown"), _Missing("")


@dataclass(frozen=True)
class Template:
    r"""A parsed name template: (literal, field or None, format) triples.

    Examples
    --------
    >>> template = Template.parse("{voice}/{text:.5}")
    >>> template.stem({"voice": "../AC\\DC", "text": "Hello there"})
    '_AC_DC/Hello'
    """

    text: str
    parts: tuple[Part, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Parse a template.

        Raises
        ------
        InputError
            `text` is not a template, leads out of the folder, or ends in an extension (histkit adds the right one).
        """
        if not isinstance(text, str) or not text:
            raise InputError(f"name= takes a template such as {DEFAULT_NAME!r}, not {quoted(text)}.")
        try:
            parts = [_parse_part(*part) for part in string.Formatter().parse(text)]
        except ValueError as error:
            raise InputError(f"name={quoted(text)} is not a template: {error}.") from None
        _check_folders(text, parts)
        _check_extension(text, parts)
        return cls(text, tuple(parts))

    @property
    def fields(self) -> tuple[str, ...]:
        """The distinct fields."""
        return tuple(dict.fromkeys(field for _, field, _ in self.parts if field is not None))

    def stem(self, values: Mapping[str, Any]) -> str:
        """Return the path of one row, without extension: safe parts joined by ``/``.

        Parameters
        ----------
        values : mapping of str to Any
            The value of each field: text, number or date; other types are converted by ``str``.

        Raises
        ------
        InputError
            A format does not fit its value.
        """
        path = [""]
        for literal, field, spec in self.parts:
            if "/" in literal:
                head, *folders = literal.split("/")
                path[-1] += head
                path += folders
            else:
                path[-1] += literal
            if field is not None:
                value = values[field]
                head, *folders = self._formatted(field, spec, value)
                path[-1] += head
                path += folders
        return "/".join([*map(safe_folder, path[:-1]), safe_name(path[-1], STEM_BYTES)])

    def _formatted(self, field: str, spec: str, value: Any) -> list[str]:
        try:
            if isinstance(value, str):
                return [format(_beginning(str(value), spec), spec).rstrip()]
            if isinstance(value, date):  # the format's own '/' is the template's, so it makes folders
                specs = spec.split("/") if spec else ["%Y-%m-%d" + ("_%H-%M-%S" if isinstance(value, datetime) else "")]
                return [format(value, part) for part in specs]
            if isinstance(value, (int, float, _Missing)):
                return [format(value, spec)]
            return [format(_beginning(str(value), spec), spec).rstrip()]
        except (ValueError, OverflowError) as error:
            raise InputError(f"name={quoted(self.text)}: {{{field}:{spec}}} of {quoted(value, 40)}: {error}.") from None


def _beginning(text: str, spec: str) -> str:
    """Return a text as one line, or as much of it as a format such as ``.40`` leaves."""
    if spec[:1] == "." and spec[1:].isdecimal() and len(spec) < _SHORT_SPEC:
        kept = int(spec[1:])
        head = text[: 2 * kept + 1]
        if head.isascii():  # of which only the last letter can depend on what follows it
            line = one_line_text(head)
            if len(line) > kept:
                return line
    return one_line_text(text)


def _parse_part(literal: str, field: str | None, spec: str | None, conversion: str | None) -> Part:
    if conversion or "{" in (spec or ""):
        raise ValueError("no conversion (!r) and no field inside a field")
    return literal, field, spec or ""


def _check_folders(text: str, parts: Sequence[Part]) -> None:
    """Raise `InputError` for a template that is not a relative path; the value of a field never adds a folder."""
    literals = "".join(literal for literal, _, _ in parts)
    has_drive = ":" in parts[0][0].partition("/")[0][:2]
    if text.startswith("/") or text.endswith("/") or "//" in text or "\\" in literals or has_drive:
        raise InputError(f"name={quoted(text)} must be a path inside the folder, with single '/' between its parts.")
    if any(folder in (".", "..") for folder in literals.split("/")):
        raise InputError(f"name={quoted(text)} must not hold '.' or '..' as a folder.")


def _check_extension(text: str, parts: Sequence[Part]) -> None:
    literal, field, _ = parts[-1]
    extension = literal.rpartition(".")[2].lower()
    if field is None and extension in EXTENSIONS:
        raise InputError(f"name={quoted(text)}: leave .{extension} out, the extension follows from the bytes.")


def stems_of(items: pd.DataFrame | pd.Series, template: Template) -> list[str]:
    """Return the path of each row, without extension.

    Parameters
    ----------
    items : DataFrame or Series
        A history, or ids.
    template : Template
        ``DEFAULT_NAME`` becomes ``{id}`` if its columns are absent.

    Raises
    ------
    InputError
        The template has a field that the rows lack, or a format that does not fit.
    SchemaError
        A date is needed and the column ``date`` holds something else.
    """
    frame = items if isinstance(items, pd.DataFrame) else pd.DataFrame({"history_item_id": items})
    readers = _field_readers(frame)
    missing = [field for field in template.fields if field not in readers]
    if missing and template.text == DEFAULT_NAME:
        template = Template.parse("{id}")
    elif missing:
        raise InputError(
            f"name={quoted(template.text)} has the field {{{missing[0]}}}, which these rows don't have; "
            f"they have: {', '.join(sorted(readers))}."
        )
    columns = {field: readers[field]() for field in template.fields}
    if not columns:
        return [template.stem({})] * len(frame)
    names = tuple(columns)
    rows = stoppable(zip(*columns.values(), strict=True))
    return [template.stem(dict(zip(names, row, strict=True))) for row in rows]


def _field_readers(frame: pd.DataFrame) -> dict[str, Callable[[], list[Any]]]:
    """Return a function for each available field that reads its values, one per row."""

    def reader(column: str) -> Callable[[], list[Any]]:
        return lambda: _filled(values_of(frame, column), _UNKNOWN)

    columns = set(frame.columns)
    readers = {str(name): reader(name) for name in frame.columns}
    readers["id"] = reader("history_item_id")
    readers["index"] = lambda: list(range(len(frame)))
    if "model_id" in columns:
        readers["model"] = reader("model_id")
    if "date" in columns:
        readers["date"] = lambda: _filled([_as_datetime(date) for date in timestamps_of(frame)], _UNKNOWN)
    if columns & {"voice_name", "voice_id", "dialogue"}:
        readers["voice"] = lambda: [voice or _UNKNOWN for voice in speakers_of(frame, "dialogue")]
    if columns & {"text", "dialogue"}:
        readers["text"] = lambda: _filled(spoken_texts(frame), _EMPTY)
    return readers


def _as_datetime(date: pd.Timestamp | None) -> datetime | None:
    return None if date is None else date.to_pydatetime(warn=False)


def _filled(values: list[Any], missing: _Missing) -> list[Any]:
    return [missing if value is None or value == "" else value for value in values]


def speakers_of(items: pd.DataFrame | pd.Series, dialogue: str) -> list[str | None]:
    """Return who speaks in each row: the voice's name, else its id, or the word `dialogue` for several voices."""
    names, voices = strings_of(items, "voice_name"), strings_of(items, "voice_id")
    return [
        dialogue if lines else name or voice
        for name, voice, lines in zip(names, voices, dialogues_of(items), strict=True)
    ]
