"""Decode pages: bytes to typed rows by msgspec, and to one Arrow batch per page.

Alignments are skipped, not decoded, unless requested. `feedback` and `avatar_context` are still sent but no longer
documented, so they go to `extra` with whatever else this version doesn't know.
"""

from __future__ import annotations

import hashlib
import math
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from histkit.api.pagination import PageFacts
from histkit.frame.json_values import LINE_FIELDS, json_text
from histkit.frame.schema import DATE, FIRST_SECOND, KINDS, LAST_SECOND, SCHEMA, SETTINGS, TEXT, schema
from histkit.util.raw_json import JsonText, is_deep, read_value, split_array, split_object
from histkit.util.text import is_valid_unicode, quoted, replace_surrogates

_OPTIONAL_TEXTS = (
    "request_id",
    "voice_id",
    "voice_name",
    "voice_category",
    "model_id",
    "text",
    "share_link_id",
    "source",
    "output_format",
)
_NUMBERS = ("date_unix", "character_count_change_from", "character_count_change_to")
_PLAIN_COLUMNS = (*_OPTIONAL_TEXTS, *_NUMBERS, *SETTINGS, "history_item_id", "content_type", "state")
_SECONDS = pa.timestamp("s", DATE.tz)
_FEW = 100  # of them at a time, tuples and iterators are too few to make Python look for garbage, which takes longer
_UNDOCUMENTED = ("feedback", "avatar_context")
_EXTRA = "(no column)"  # of a row that was decoded leniently, as it came; no field is called so
_REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_RANGE = (-(2**53), 2**53)
_LARGEST = int(sys.float_info.max)
_RANGES = {"date_unix": (FIRST_SECOND, LAST_SECOND)}
_SETTING_TYPES: dict[str, set[type]] = {
    name: {bool, type(None)} if SCHEMA.field(name).type == pa.bool_() else {int, float, type(None)} for name in SETTINGS
}


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    text: str | None = None
    voice_id: str | None = None
    voice_name: str | None = None


class _Settings(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    stability: float | None = None
    similarity_boost: float | None = None
    style: float | None = None
    speed: float | None = None
    use_speaker_boost: bool | None = None


_NO_SETTINGS = _Settings()
_Dialogue = list[_Line] | list[dict[str, Any]]


@dataclass(frozen=True)
class Page:
    """A decoded page: rows as Arrow, the facts that paging needs, and the problems of single rows."""

    rows: pa.RecordBatch
    facts: PageFacts
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class ParsedPage:
    """A page that has been parsed: the facts that the next request needs; `finish` converts the rows."""

    facts: PageFacts
    finish: Callable[[], Page]


class PageDecoder:
    """Decodes pages to Arrow.

    Rows are decoded into typed structs that refuse unknown fields. The name of a new field is remembered, so that later
    pages with it are decoded as fast. Settings are structs as well, until a row has one that is unknown or of another
    type: from then on they are dicts. A page with a row that breaks the required types is decoded leniently: a value
    that can't be read is missing, and the row is named in ``Page.problems``, not dropped.

    Parameters
    ----------
    alignments : bool
        Whether to decode ``alignments``; otherwise they are skipped.
    """

    def __init__(self, *, alignments: bool = False) -> None:
        self._alignments = alignments
        self._unknown: tuple[str, ...] = _UNDOCUMENTED
        self._plain_settings = False
        self._learning = threading.Lock()

    def __call__(self, body: bytes) -> Page:
        """Decode a page; raise `msgspec.DecodeError` if the body is not a page."""
        return self.parse(body).finish()

    def parse(self, body: bytes) -> ParsedPage:
        """Parse a page, a third of the work of decoding it; raise `msgspec.DecodeError` if the body is not a page."""
        with suppress(*_REFUSALS):
            return self._parse_typed(body)
        page = self._decode_anew(body)
        return ParsedPage(page.facts, lambda: page)

    def _decode_anew(self, body: bytes) -> Page:
        """Decode a page that holds something unknown."""
        with suppress(*_REFUSALS):
            if self._learn(msgspec.json.decode(body, type=_PlainPage).history):
                return self._parse_typed(body, again=True).finish()
        page = _read_page(body)
        if self._learn([row.values for row in page.rows]):
            with suppress(*_REFUSALS):  # a value of the wrong type as well
                return self._parse_typed(body, again=True).finish()
        return self._decode_page_leniently(page)

    def _learn(self, rows: list[dict[str, Any]]) -> bool:
        """Remember new field names, except those that a struct can't have, and odd settings; return whether any is new.

        Settings are decoded as dicts once a row has an odd one.
        """
        names = {name for row in rows for name in row} - _known_fields()
        settings = [row.get("settings") for row in rows]
        odd = any(isinstance(values, dict) and _odd_settings(values) for values in settings)
        with self._learning:
            new = sorted(name for name in names.difference(self._unknown) if re.fullmatch(r"[\w.-]+", name))
            self._unknown = (*self._unknown, *new)
            learnt = bool(new) or odd > self._plain_settings
            self._plain_settings |= odd
        return learnt

    def _parse_typed(self, body: bytes, *, again: bool = False) -> ParsedPage:
        with self._learning:
            unknown, plain = self._unknown, self._plain_settings
        decoder, names = _page_decoder(unknown, self._alignments, plain)
        page = decoder.decode(body)
        ids = [row.history_item_id for row in page.history]
        if "" in ids:
            raise msgspec.DecodeError("a row without an id")
        dates = [row.date_unix for row in page.history]
        facts = PageFacts(ids, dates, page.has_more, page.last_history_item_id or None)

        def finish() -> Page:
            with nullcontext() if again else suppress(*_REFUSALS):
                return Page(self._typed_batch(page.history, names, unknown, plain), facts)
            return self._decode_anew(body)

        return ParsedPage(facts, finish)

    def _typed_batch(
        self, rows: list[msgspec.Struct], names: tuple[str, ...], unknown: tuple[str, ...], plain_settings: bool
    ) -> pa.RecordBatch:
        columns = _columns_of(rows, names)
        extra = _unknown_values(columns, unknown, plain_settings)
        if plain_settings:
            settings = _settings_columns(columns["settings"])
        else:
            structs = [struct or _NO_SETTINGS for struct in columns["settings"]]
            settings = _columns_of(structs, _Settings.__struct_fields__)
        return self._batch({**columns, **settings}, extra)

    def _decode_page_leniently(self, page: _RawPage) -> Page:
        problems: list[str] = []
        rows = [_decode_leniently(row, self._alignments, problems) for row in page.rows]
        columns = {name: [row.get(name) for row in rows] for name in _known_fields()}
        columns |= _settings_columns(columns["settings"])
        extra = {place: row[_EXTRA] for place, row in enumerate(rows) if row[_EXTRA]}
        repeats = _repeats([row.body for row in page.rows])
        ids = [
            item or _stand_in(row.body, repeat)
            for item, row, repeat in zip(columns["history_item_id"], page.rows, repeats, strict=True)
        ]
        facts = PageFacts(ids, columns["date_unix"], page.has_more, page.last_id)
        return Page(self._batch(columns, extra), facts, tuple(problems))

    def _batch(self, columns: Mapping[str, Sequence[Any]], extra: Mapping[int, Mapping[str, Any]]) -> pa.RecordBatch:
        dialogue = columns["dialogue"]
        spoken = [row for row, lines in enumerate(dialogue) if lines]
        columns = {**columns, "text": _without_empty(columns["text"], spoken)}
        arrays = {name: _array(columns[name], KINDS[name]) for name in _PLAIN_COLUMNS}
        arrays["date"] = arrays["date_unix"].cast(_SECONDS).cast(DATE)
        price = pc.subtract(arrays["character_count_change_to"], arrays["character_count_change_from"])
        arrays["credits"] = pc.if_else(pc.less(price, 0), pa.scalar(None, pa.int64()), price)
        arrays["characters"] = _lengths(arrays["text"], dialogue, spoken)
        arrays["dialogue"] = _sparse_texts({row: json_text(dialogue[row]) for row in spoken}, len(dialogue))
        arrays["extra"] = _sparse_texts({row: _extra_text(values) for row, values in extra.items()}, len(dialogue))
        if self._alignments:
            arrays["alignments"] = pa.array([_alignments_text(value) for value in columns["alignments"]], TEXT)
        target = schema(alignments=self._alignments)
        return pa.RecordBatch.from_arrays([arrays[name] for name in target.names], schema=target)


def _columns_of(rows: Sequence[msgspec.Struct], names: tuple[str, ...]) -> dict[str, list[Any]]:
    """Return the values of structs by name of the field."""
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for start in range(0, len(rows), _FEW):
        values = zip(*map(msgspec.structs.astuple, rows[start : start + _FEW]), strict=True)
        for column, part in zip(columns.values(), values, strict=True):
            column += part
    return columns


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if not pa.types.is_dictionary(kind):
        return pa.array(values, kind)
    places = _Places({None: -1, "": -1})  # the service sends "" for "none", e.g. the voice of a dialogue
    codes = np.fromiter(map(places.__getitem__, values), np.int32, len(values))
    texts = pa.array(list(places)[2:], TEXT)
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), texts, safe=False)


class _Places(dict[str | None, int]):
    """The places of texts in a dictionary array, in the order in which they are looked up."""

    def __missing__(self, text: str | None) -> int:
        place = self[text] = len(self) - 2
        return place


def _settings_columns(settings: Sequence[dict[str, Any] | None]) -> dict[str, list[Any]]:
    """Return the column of each known setting; a value that doesn't fit it is missing there."""
    return {name: [_setting(values, name) for values in settings] for name in SETTINGS}


def _setting(values: dict[str, Any] | None, name: str) -> Any:
    value = values.get(name) if values else None
    if value is None or not _fits(name, value):
        return None
    return value if isinstance(value, bool) else float(value)


def _fits(name: str, value: Any) -> bool:
    if type(value) is int and not -_LARGEST <= value <= _LARGEST:
        return False
    return type(value) in _SETTING_TYPES[name]


def _odd_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that have no column, or whose value doesn't fit it."""
    return {name: value for name, value in settings.items() if name not in _SETTING_TYPES or not _fits(name, value)}


def _unknown_values(
    columns: Mapping[str, list[Any]], unknown: tuple[str, ...], plain_settings: bool
) -> dict[int, dict[str, Any]]:
    """Return what has no column, by the row's place."""
    rows = len(columns["settings"])
    parts: dict[int, dict[str, Any]] = {}
    for name in unknown:
        values = columns[name]
        if values.count(None) < rows:
            for row, value in enumerate(values):
                if value is not None:
                    parts.setdefault(row, {})[name] = value
    for row, settings in enumerate(columns["settings"] if plain_settings else ()):
        odd = _odd_settings(settings) if settings else None
        if odd:
            parts.setdefault(row, {})["settings"] = odd
    return parts


def _extra_text(values: Mapping[str, Any]) -> str:
    return f"{{{', '.join(f'{json_text(name)}: {_bounded_json(values[name])}' for name in sorted(values))}}}"


def _bounded_json(value: Any) -> str:
    if isinstance(value, (dict, list)) and is_deep(value):
        raise RecursionError  # decoded leniently, the value is its JSON as a text
    return json_text(value)


def _sparse_texts(texts: Mapping[int, str], rows: int) -> pa.Array:
    """Return a column of the texts of a few rows."""
    return pa.array(map(texts.get, range(rows)), TEXT, size=rows) if texts else pa.nulls(rows, TEXT)


def _without_empty(texts: Sequence[str | None], rows: list[int]) -> Sequence[str | None]:
    """Return the texts; those of some rows are missing where they are empty."""
    if all(texts[row] != "" for row in rows):
        return texts
    texts = list(texts)
    for row in rows:
        texts[row] = texts[row] or None
    return texts


def _lengths(texts: pa.Array, dialogue: Sequence[_Dialogue | None], spoken: list[int]) -> pa.Array:
    """Return the code points of each text, or of the lines where there is a dialogue."""
    lengths = pc.utf8_length(texts)
    if spoken:
        mask = np.zeros(len(texts), bool)
        mask[spoken] = True
        counts = [sum(map(_length, dialogue[row] or ())) for row in spoken]
        lengths = pc.replace_with_mask(lengths, mask, pa.array(counts, lengths.type))
    return lengths.cast(pa.int64())


def _alignments_text(value: msgspec.Raw | bytes | msgspec.UnsetType | None) -> str | None:
    """Return the bytes of an object as compact text, and None for null."""
    if not value:
        return None
    text = value.decode() if isinstance(value, bytes) else msgspec.json.format(bytes(value), indent=-1).decode()
    if text[0] not in "{n":
        raise msgspec.DecodeError("alignments that are not an object")
    return None if text == "null" else text


def _length(line: _Line | Mapping[str, Any]) -> int:
    return len((line.text if isinstance(line, _Line) else line.get("text")) or "")


@cache
def _known_fields() -> frozenset[str]:
    fields = ("history_item_id", "content_type", "state", "settings", "dialogue", "alignments")
    return frozenset((*fields, *_NUMBERS, *_OPTIONAL_TEXTS))


@lru_cache(maxsize=64)
def _page_decoder(unknown: tuple[str, ...], alignments: bool, plain_settings: bool) -> tuple[Any, tuple[str, ...]]:
    raw = msgspec.Raw | msgspec.UnsetType
    fields: list[Any] = [("history_item_id", str), ("content_type", str)]
    for name in _NUMBERS:
        lowest, highest = _RANGES.get(name, _RANGE)
        fields.append((name, Annotated[int, msgspec.Meta(ge=lowest, le=highest)]))
    fields += [("state", str | None)]
    fields += [(name, str | None, None) for name in _OPTIONAL_TEXTS]
    fields += [
        ("settings", (dict[str, Any] if plain_settings else _Settings) | None, None),
        ("dialogue", list[_Line] | None, None),
    ]
    fields += [("alignments", raw, msgspec.UNSET)]
    fields += [(f"unknown_{number}", Any, None) for number in range(len(unknown))]
    rename = {f"unknown_{number}": name for number, name in enumerate(unknown)}
    row = msgspec.defstruct("Row", fields, rename=rename, forbid_unknown_fields=True, gc=False, kw_only=True)
    page = msgspec.defstruct(
        "Page",
        [("history", list[row]), ("has_more", bool), ("last_history_item_id", str | None, None)],  # type: ignore[valid-type]
        kw_only=True,
    )
    names = tuple(rename.get(name, name) for name in row.__struct_fields__)
    return msgspec.json.Decoder(page), names


@dataclass(frozen=True)
class _RawRow:
    """A row of a page that is decoded leniently: as it is written, its values, and what is wrong with it so far."""

    body: bytes
    values: dict[str, Any]
    faults: list[str]


@dataclass(frozen=True)
class _RawPage:
    """A page that is decoded leniently."""

    rows: list[_RawRow]
    has_more: bool
    last_id: str | None


class _PlainPage(msgspec.Struct):
    history: list[dict[str, Any]]


class _Envelope(msgspec.Struct):
    history: list[msgspec.Raw]
    has_more: bool
    last_history_item_id: str | None = None


def _read_page(body: bytes) -> _RawPage:
    with suppress(*_REFUSALS):
        page = msgspec.json.decode(body, type=_Envelope)
        rows = [_read_row(bytes(row)) for row in page.history]
        return _RawPage(rows, page.has_more, page.last_history_item_id or None)
    members = dict(split_object(body))
    has_more, last = (members.get(name, b"null") for name in (b'"has_more"', b'"last_history_item_id"'))
    if b'"history"' not in members or has_more not in (b"true", b"false"):
        raise msgspec.DecodeError("the answer is not a page of the history")
    last_id = read_value(last)[0]
    rows = [_read_row(row) for row in split_array(members[b'"history"'])]
    return _RawPage(rows, has_more == b"true", last_id if isinstance(last_id, str) and last_id else None)


def _read_row(body: bytes) -> _RawRow:
    """Read the values of a row; one that is no object has the value as its only field, ``row``."""
    with suppress(*_REFUSALS):
        values = msgspec.json.decode(body)
        if isinstance(values, dict) and not is_deep(values):
            return _RawRow(body, values, [])
    if not body.startswith(b"{"):
        value, problem = read_value(body)
        return _RawRow(body, {"row": value}, [f"the row is not an object{f', and {problem}' if problem else ''}"])
    values, faults = {}, []
    for key, text in split_object(body):
        name, (value, problem) = read_value(key)[0], read_value(text)
        if not isinstance(name, str):
            raise msgspec.DecodeError("the name of a field is not a text")
        if name == "settings" and isinstance(value, JsonText) and text.startswith(b"{"):
            value = {str(read_value(setting)[0]): read_value(inner)[0] for setting, inner in split_object(text)}
        values[name] = value
        if problem:
            faults.append(f"{quoted(name) if name not in _known_fields() else name} {problem}")
    return _RawRow(body, values, faults)


def _decode_leniently(row: _RawRow, alignments: bool, problems: list[str]) -> dict[str, Any]:
    """Return the fields of a row; a value that its column can't hold goes to `_EXTRA` as it came."""
    faults, known = list(row.faults), _known_fields()
    kept = {name: value for name, value in row.values.items() if name not in known and value is not None}
    out: dict[str, Any] = {_EXTRA: kept}
    for name in ("history_item_id", "content_type", "state", *_OPTIONAL_TEXTS):
        out[name] = _text(row.values.get(name), name, faults, kept)
    for name in _NUMBERS:
        out[name] = _whole(row.values.get(name), name, faults, kept)
    for name in ("history_item_id", "content_type"):
        if not row.values.get(name):
            faults.append(f"{name} is missing")
    out["settings"] = _object(row.values.get("settings"), "settings", faults, kept)
    odd = _odd_settings(out["settings"]) if out["settings"] else None
    if odd:
        kept["settings"] = odd
    out["dialogue"] = _lines(row.values.get("dialogue"), faults, kept)
    if alignments and _object(row.values.get("alignments"), "alignments", faults, kept) is not None:
        out["alignments"] = _compact(dict(split_object(row.body))[b'"alignments"'], row.values["alignments"])
    if faults:
        problems.append(f"{out['history_item_id'] or 'a row without id'}: {', '.join(faults)}")
    return out


def _text(value: Any, name: str, faults: list[str], kept: dict[str, Any]) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) and not isinstance(value, JsonText) else None
    if name == "history_item_id" and isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
    if text is not value:
        faults.append(f"{name} is {quoted(value, 40)}, not a text")
        kept[name] = value
    elif text is not None and not is_valid_unicode(text):
        faults.append(f"{name} has half of a surrogate pair")
        kept[name] = value
    return None if text is None else replace_surrogates(text)


def _whole(value: Any, name: str, faults: list[str], kept: dict[str, Any]) -> int | None:
    """Return a whole number: also one that is written as text or as a fraction of zero, and a date rounded down."""
    number = value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,16}", value):
        number = int(value)
    elif isinstance(value, float) and (value.is_integer() or name == "date_unix") and abs(value) < _RANGE[1]:
        number = math.floor(value)
    lowest, highest = _RANGES.get(name, _RANGE)
    whole = isinstance(number, int) and not isinstance(number, bool) and lowest <= number <= highest
    if not whole or number != value:
        faults.append(f"{name} is {quoted(value, 40)}, not a whole number")
        if value is not None:
            kept[name] = value
    return int(number) if whole else None


def _object(value: Any, name: str, faults: list[str], kept: dict[str, Any]) -> dict[str, Any] | None:
    if value is None or isinstance(value, dict):
        return value
    faults.append(f"{name} is {quoted(value, 40)}, not an object")
    kept[name] = value
    return None


def _compact(body: bytes, value: Any) -> bytes:
    """Return a value as it is written, without the white space; encoded anew where it has a lone surrogate or NaN."""
    try:
        return msgspec.json.format(body, indent=-1)
    except msgspec.DecodeError:
        return json_text(value).encode()


def _lines(dialogue: Any, faults: list[str], kept: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return dialogue lines with the known fields first; None if a line is no object of texts."""
    if dialogue is None:
        return None
    if isinstance(dialogue, list) and all(map(_is_line, dialogue)):
        return [{**dict.fromkeys(LINE_FIELDS), **line} for line in dialogue]
    faults.append("dialogue is not a list of lines of text")
    kept["dialogue"] = dialogue
    return None


def _is_line(line: Any) -> bool:
    return isinstance(line, dict) and all(isinstance(line.get(name), str | None) for name in LINE_FIELDS)


def _repeats(rows: list[bytes]) -> Iterator[int]:
    """Yield how often the same row occurred in the page before."""
    seen: Counter[bytes] = Counter()
    for row in rows:
        yield seen[row]
        seen[row] += 1


def _stand_in(row: bytes, repeat: int) -> str:
    return f"?{hashlib.sha256(row).hexdigest()[:24]}.{repeat}"
