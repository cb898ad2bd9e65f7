"""File names: from a template and a row to a path that is safe on Linux, macOS and Windows.

Voice names and texts come from outside and are hostile: whatever they hold, a path has exactly the folders that the
template writes, each part is a legal name everywhere (pathvalidate), and no two rows get one path, in any letter case.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pandas as pd

from histkit.errors import InputError, SchemaError
from histkit.frame.columns import plain_values, texts_of, values_of
from histkit.util.filenames import _ROOM, EXTENSIONS, _folder, safe_name
from histkit.util.text import error_line, one_line_text

DEFAULT_NAME = "{date:%Y-%m}/{voice}/{text:.40}-{id}"


class _Missing:
    """A value that is not there: one word, whatever the format."""

    def __init__(self, word: str) -> None:
        self._word = word

    def __format__(self, spec: str) -> str:
        return self._word


_UNKNOWN, _NOTHING = _Missing("unknown"), _Missing("")


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
    parts: tuple[tuple[str, str | None, str], ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Take a template apart.

        Raises
        ------
        InputError
            It is no template, leads out of the folder, or ends in an extension (histkit adds the right one).
        """
        if not isinstance(text, str) or not text:
            raise InputError(f"name= takes a template such as {DEFAULT_NAME!r}, not {text!r}.")
        parts = []
        try:
            for literal, field, spec, conversion in string.Formatter().parse(text):
                if conversion or "{" in (spec or ""):
                    raise ValueError("no conversion (!r) and no field inside a field")
                parts.append((literal, field, spec or ""))
        except ValueError as error:
            raise InputError(f"name={text!r} is not a template: {error}.") from None
        literals = "\0".join(literal for literal, _, _ in parts)
        folders = re.split(r"[/\0]", literals)
        if text.startswith("/") or text.endswith("/") or "//" in text or "\\" in literals or ":" in folders[0][:2]:
            raise InputError(f"name={text!r} must be a path inside the folder, with single '/' between its parts.")
        if any(folder in (".", "..") for folder in literals.replace("\0", "").split("/")):
            raise InputError(f"name={text!r} must not hold '.' or '..' as a folder.")
        ending = literals.rpartition("\0")[2].rpartition(".")[2].lower()
        if parts[-1][1] is None and ending in EXTENSIONS:
            raise InputError(f"name={text!r}: leave .{ending} out, the extension follows what the bytes are.")
        return cls(text, tuple(parts))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields in it, each once."""
        return tuple(dict.fromkeys(field for _, field, _ in self.parts if field is not None))

    def stem(self, values: Mapping[str, Any]) -> str:
        """Make the path of one row, without extension: safe parts joined by ``/``.

        Parameters
        ----------
        values : mapping of str to Any
            The value of each field; texts, numbers, dates, anything else by its ``str``.

        Raises
        ------
        InputError
            A format that doesn't fit its value.
        """
        path = [""]
        for literal, field, spec in self.parts:
            head, *folders = literal.split("/")
            path[-1] += head
            path += folders
            if field is not None:
                head, *folders = self._formatted(field, spec, values[field])
                path[-1] += head
                path += folders
        return "/".join([*map(_folder, path[:-1]), safe_name(path[-1], _ROOM)])

    def _formatted(self, field: str, spec: str, value: Any) -> list[str]:
        try:
            if isinstance(value, date):  # the format's own '/' is the template's, so it makes folders
                specs = spec.split("/") if spec else ["%Y-%m-%d" + ("_%H-%M-%S" if isinstance(value, datetime) else "")]
                return [format(value, each) for each in specs]
            if isinstance(value, (int, float, _Missing)):
                return [format(value, spec)]
            return [format(one_line_text(str(value)), spec).rstrip()]
        except (ValueError, OverflowError) as error:
            raise InputError(f"name={self.text!r}: {{{field}:{spec}}} of {value!r:.40}: {error}.") from None


def stems_of(items: pd.DataFrame | pd.Series, template: Template) -> list[str]:
    """Make the path of each row, without extension.

    Parameters
    ----------
    items : DataFrame or Series
        A history, or ids.
    template : Template
        ``DEFAULT_NAME`` becomes ``{id}`` where its columns are not there.

    Raises
    ------
    InputError
        The template has a field that the rows don't, or a format that doesn't fit.
    """
    frame = items if isinstance(items, pd.DataFrame) else pd.DataFrame({"history_item_id": items})
    makers = _makers(frame)
    lacking = [field for field in template.fields if field not in makers]
    if lacking and template.text == DEFAULT_NAME:
        template = Template.parse("{id}")
    elif lacking:
        raise InputError(
            f"name={template.text!r} has the field {{{lacking[0]}}}, which these rows don't have; "
            f"they have: {', '.join(sorted(makers))}."
        )
    columns = {field: makers[field]() for field in template.fields}
    if not columns:
        return [template.stem({})] * len(frame)
    names = tuple(columns)
    return [template.stem(dict(zip(names, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _makers(frame: pd.DataFrame) -> dict[str, Callable[[], list[Any]]]:
    """Give, for each field that the rows have, what makes the list of its values."""
    makers: dict[str, Callable[[], list[Any]]] = {
        str(name): lambda name=name: _filled(plain_values(frame[name]), _UNKNOWN)  # type: ignore[misc]
        for name in frame.columns
    }
    makers["id"] = lambda: _filled(plain_values(frame["history_item_id"]), _UNKNOWN)
    makers["index"] = lambda: list(range(len(frame)))
    here = set(frame.columns)
    if "model_id" in here:
        makers["model"] = makers["model_id"]
    if "date" in here:
        makers["date"] = lambda: _dates(frame["date"])
    if here & {"voice_name", "voice_id", "dialogue"}:
        makers["voice"] = lambda: _voices(frame)
    if here & {"text", "dialogue"}:
        makers["text"] = lambda: _filled(texts_of(frame), _NOTHING)
    return makers


def _filled(values: list[Any], missing: _Missing) -> list[Any]:
    return [missing if value is None or value == "" else value for value in values]


def _dates(column: pd.Series) -> list[Any]:
    try:
        moments = pd.to_datetime(column, utc=True)
    except (ValueError, TypeError) as error:
        raise SchemaError(f"Column 'date' holds no dates: {error_line(error)}") from None
    return _filled([None if pd.isna(each) else each.to_pydatetime(warn=False) for each in moments], _UNKNOWN)


def _voices(frame: pd.DataFrame) -> list[Any]:
    columns = (values_of(frame, name) for name in ("voice_name", "voice_id", "dialogue"))
    return [
        "dialogue" if lines is not None and len(lines) else name or key or _UNKNOWN
        for name, key, lines in zip(*columns, strict=True)
    ]
