"""File names: from a template and a row to a path that is safe on Linux, macOS and Windows.

Voice names and texts come from outside and are hostile: whatever they hold, a path has exactly the folders that the
template writes, each part is a legal name everywhere (pathvalidate), and no two rows get one path, in any letter case.
"""

from __future__ import annotations

import hashlib
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, lru_cache
from itertools import chain, count
from typing import Any

import pandas as pd
from pathvalidate import FileNameSanitizer, ValidationError, validate_filename

from histkit.errors import InputError, SchemaError

DEFAULT_NAME = "{date:%Y-%m}/{voice}/{text:.40}-{id}"
EXTENSIONS = ("mp3", "wav", "opus", "ogg", "m4a", "flac", "pcm", "ulaw", "alaw")
_NAME_BYTES = 255  # of one name, on every file system in wide use
_ROOM = _NAME_BYTES - 1 - max(map(len, EXTENSIONS))
_SANITIZER = FileNameSanitizer(max_len=_NAME_BYTES, platform="universal", fs_encoding="utf-8")
_PLAINLY_SAFE = re.compile(r"[\w ,;.!'()&-]{16,80}")  # no reserved name is so long, and pathvalidate changes none of it
_JOINERS = "\u200c\u200d"  # format characters that scripts and emoji need
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_EDGES, _TAIL = "-~. \u200c\u200d", ". \u200c\u200d"


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
        return "/".join([*map(_folder, path[:-1]), clean(path[-1], _ROOM)])

    def _formatted(self, field: str, spec: str, value: Any) -> list[str]:
        try:
            if isinstance(value, date):  # the format's own '/' is the template's, so it makes folders
                specs = spec.split("/") if spec else ["%Y-%m-%d" + ("_%H-%M-%S" if isinstance(value, datetime) else "")]
                return [format(value, each) for each in specs]
            if isinstance(value, (int, float, _Missing)):
                return [format(value, spec)]
            return [format(plain(str(value)), spec).rstrip()]
        except (ValueError, OverflowError) as error:
            raise InputError(f"name={self.text!r}: {{{field}:{spec}}} of {value!r:.40}: {error}.") from None


def plain(text: str) -> str:
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


def clean(text: str, room: int = _NAME_BYTES) -> str:
    """Make one part of a path of any text: legal everywhere, no folder, at most `room` bytes, never empty.

    Parameters
    ----------
    text : str
        Anything.
    room : int
        Bytes of UTF-8 that it may take; 16 or more.

    Examples
    --------
    >>> clean("../etc"), clean("a/b: c?"), clean("CON"), clean("...")
    ('_etc', 'a_b_ c_', 'CON_', 'unknown')
    """
    name = plain(text)
    if not _PLAINLY_SAFE.fullmatch(name):
        name = _SANITIZER.sanitize(name, "_")
    name = _cut(name.lstrip(_EDGES), room)
    if _is_reserved(name.partition(".")[0].strip().upper()):
        name = _cut("_" + name, room)
    return name or "unknown"


def _cut(name: str, room: int) -> str:
    if len(name) * 4 > room and len(name.encode()) > room:
        name = name.encode()[:room].decode(errors="ignore")
    return name.rstrip(_TAIL)


@lru_cache(maxsize=1024)
def _folder(text: str) -> str:
    return clean(text)


def _is_reserved(root: str) -> bool:
    return len(root) <= 8 and _is_reserved_word(root)


@cache
def _is_reserved_word(root: str) -> bool:
    if root in ("", "CONIN$", "CONOUT$"):
        return root != ""
    try:
        validate_filename(root, platform="universal")
    except ValidationError as error:
        return error.reserved_name is not None and bool(error.reserved_name)
    return False


def fold(path: str) -> str:
    """Give what two paths share that a file system may take for one: letter case and Unicode form."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


def tell_apart(stems: Sequence[str], ids: Sequence[str], owners: Mapping[str, str]) -> list[str]:
    """Give rows that would share a path one each, by their id; the same rows always get the same paths.

    Parameters
    ----------
    stems : sequence of str
        Paths without extension.
    ids : sequence of str
        Their history items, each once.
    owners : mapping of str to str
        Folded path without extension to history item, of files that are there already: who has a path keeps it.

    Returns
    -------
    list of str
        No two alike, in any letter case.
    """
    folded = [fold(stem) for stem in stems]
    claims = Counter(folded)
    found: list[str | None] = [None] * len(stems)
    taken = set(owners)
    for row, (stem, key, item) in enumerate(zip(stems, folded, ids, strict=True)):
        own = owners.get(key)
        if own is None and owners and owners.get(fold(_suffixed(stem, item))) == item:
            continue
        if own == item or (own is None and claims[key] == 1):
            found[row] = stem
            taken.add(key)
    for row, stem in enumerate(stems):
        if found[row] is None:
            found[row] = _apart(stem, ids[row], owners, taken)
    return [stem for stem in found if stem is not None]


def _apart(stem: str, item: str, owners: Mapping[str, str], taken: set[str]) -> str:
    digest = hashlib.sha256(item.encode("utf-8", "replace")).hexdigest()
    for suffix in chain((item, f"{item[:40]}-{digest[:8]}"), (f"{digest}-{turn}" for turn in count(1))):
        candidate = _suffixed(stem, suffix)
        key = fold(candidate)
        if key not in taken or owners.get(key) == item:
            break
    taken.add(key)
    return candidate


def _suffixed(stem: str, suffix: str) -> str:
    folder, slash, name = stem.rpartition("/")
    suffix = "-" + _UNSAFE.sub("_", suffix)[:80]
    return f"{folder}{slash}{_cut(name, _ROOM - len(suffix))}{suffix}"


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
        str(name): lambda name=name: _filled(_values(frame[name]), _UNKNOWN)  # type: ignore[misc]
        for name in frame.columns
    }
    makers["id"] = lambda: _filled(_values(frame["history_item_id"]), _UNKNOWN)
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


def _values(column: pd.Series) -> list[Any]:
    missing = column.isna().tolist()
    return [None if gone else value for value, gone in zip(column.tolist(), missing, strict=True)]


def values_of(frame: pd.DataFrame | pd.Series, name: str) -> list[Any]:
    """Give a column as plain values, None where there is none and for a column that is not there."""
    if isinstance(frame, pd.DataFrame) and name in frame.columns:
        return _values(frame[name])
    return [None] * len(frame)


def _filled(values: list[Any], missing: _Missing) -> list[Any]:
    return [missing if value is None or value == "" else value for value in values]


def _dates(column: pd.Series) -> list[Any]:
    try:
        moments = pd.to_datetime(column, utc=True)
    except (ValueError, TypeError) as error:
        raise SchemaError(f"Column 'date' holds no dates: {' '.join(str(error).split())[:200]}") from None
    return _filled([None if pd.isna(each) else each.to_pydatetime(warn=False) for each in moments], _UNKNOWN)


def texts_of(frame: pd.DataFrame) -> list[str | None]:
    """Give what was spoken in each row: its text, or the first line of a dialogue."""
    pairs = zip(values_of(frame, "text"), values_of(frame, "dialogue"), strict=True)
    return [text or (lines[0].get("text") if lines is not None and len(lines) else None) for text, lines in pairs]


def _voices(frame: pd.DataFrame) -> list[Any]:
    columns = (values_of(frame, name) for name in ("voice_name", "voice_id", "dialogue"))
    return [
        "dialogue" if lines is not None and len(lines) else name or key or _UNKNOWN
        for name, key, lines in zip(*columns, strict=True)
    ]
