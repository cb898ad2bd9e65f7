"""Decode pages: bytes to typed rows by msgspec, and to one Arrow batch per page.

Alignments are skipped, not decoded, unless requested. `feedback` and `avatar_context` are still sent but no longer
documented, so they go to `extra` with whatever else this version doesn't know.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from histkit.api.models import decode_object
from histkit.api.pagination import PageFacts
from histkit.errors import SchemaError
from histkit.frame.json_values import LINE_FIELDS, json_text
from histkit.frame.schema import CATEGORY, DATE, SCHEMA, SETTINGS, TEXT, schema
from histkit.util.text import quoted, replace_surrogates

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
_UNDOCUMENTED = ("feedback", "avatar_context")
_KEPT = "\0kept"  # column of lenient decoding: values that go to `extra` unchanged
_RANGE = (-(2**53), 2**53)
_RANGES = {"date_unix": (-62_135_596_800, 253_402_300_799)}  # the years 1 to 9999
_SETTING_TYPES: dict[str, set[type]] = {
    name: {bool, type(None)} if SCHEMA.field(name).type == pa.bool_() else {int, float, type(None)} for name in SETTINGS
}


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    text: str | None = None
    voice_id: str | None = None
    voice_name: str | None = None


_Dialogue = list[_Line] | list[dict[str, Any]]


@dataclass(frozen=True)
class Page:
    """A decoded page: rows as Arrow, the facts that paging needs, and the problems of single rows."""

    rows: pa.RecordBatch
    facts: PageFacts
    problems: tuple[str, ...] = ()


class PageDecoder:
    """Decodes pages to Arrow.

    Rows are decoded into typed structs that refuse unknown fields. The name of a new field is remembered, so that later
    pages with it are decoded as fast. A page with a row that breaks the required types is decoded leniently: a value
    that can't be read is missing, and the row is named in ``Page.problems``, not dropped.

    Parameters
    ----------
    alignments : bool
        Whether to decode ``alignments``; otherwise they are skipped.
    """

    def __init__(self, *, alignments: bool = False) -> None:
        self._alignments = alignments
        self._unknown: tuple[str, ...] = _UNDOCUMENTED
        self._learning = threading.Lock()

    def __call__(self, body: bytes) -> Page:
        """Decode a page; raise `msgspec.DecodeError` if the body is not a page."""
        with suppress(msgspec.DecodeError):
            return self._decode_typed(body)
        raw = decode_object(body)
        if not isinstance(raw.get("history"), list) or not isinstance(raw.get("has_more"), bool):
            raise msgspec.DecodeError("the answer is not a page of the history")
        names = {str(name) for row in raw["history"] if isinstance(row, dict) for name in row}
        unknown = names - _known_fields()
        if self._add_fields(unknown):
            with suppress(msgspec.DecodeError):  # a value of the wrong type as well
                return self._decode_typed(body)
        return self._decode_page_leniently(raw, tuple(sorted(unknown)))

    def _add_fields(self, names: set[str]) -> bool:
        """Remember new field names, except those that a struct can't have; return whether there were any."""
        with self._learning:
            new = sorted(name for name in names.difference(self._unknown) if re.fullmatch(r"[\w.-]+", name))
            self._unknown = (*self._unknown, *new)
        return bool(new)

    def _decode_typed(self, body: bytes) -> Page:
        unknown = self._unknown
        decoder, names = _page_decoder(unknown, self._alignments)
        page = decoder.decode(body)
        rows = zip(*map(msgspec.structs.astuple, page.history), strict=True) if page.history else [()] * len(names)
        columns = dict(zip(names, rows, strict=True))
        if "" in columns["history_item_id"]:
            raise msgspec.DecodeError("a row without an id")
        facts = PageFacts(
            columns["history_item_id"], columns["date_unix"], page.has_more, page.last_history_item_id or None
        )
        return Page(self._batch(columns, unknown), facts)

    def _decode_page_leniently(self, raw: dict[str, Any], unknown: tuple[str, ...]) -> Page:
        problems: list[str] = []
        rows = [
            _decode_leniently(row, unknown, self._alignments, problems)
            for row in raw["history"]
            if isinstance(row, dict)
        ]
        columns = {name: [row[name] for row in rows] for name in (*_row_fields(unknown), _KEPT)}
        invalid = len(raw["history"]) - len(rows)
        if invalid:
            raise SchemaError(f"{invalid} rows of a page are not JSON objects; ids before: {_ids_of(rows)}.")
        ids = [item or _stand_in(*row) for item, row in zip(columns["history_item_id"], _counted(raw), strict=True)]
        last = raw.get("last_history_item_id")
        facts = PageFacts(ids, columns["date_unix"], raw["has_more"], last if isinstance(last, str) and last else None)
        return Page(self._batch(columns, unknown), facts, tuple(problems))

    def _batch(self, columns: Mapping[str, Sequence[Any]], unknown: tuple[str, ...]) -> pa.RecordBatch:
        settings = columns["settings"]
        arrays: dict[str, pa.Array] = {
            name: _settings_array(settings, name, SCHEMA.field(name).type) for name in SETTINGS
        }
        for name in (*_OPTIONAL_TEXTS, *_NUMBERS, "history_item_id", "content_type", "state"):
            arrays[name] = _array(columns[name], SCHEMA.field(name).type)
        arrays["date"] = pc.multiply(arrays["date_unix"], 1_000_000).cast(DATE)
        price = pc.subtract(arrays["character_count_change_to"], arrays["character_count_change_from"])
        arrays["credits"] = pc.if_else(pc.less(price, 0), pa.scalar(None, pa.int64()), price)
        _add_dialogue(arrays, columns["dialogue"])
        arrays["extra"] = _extra_array(columns, unknown)
        if self._alignments:
            arrays["alignments"] = pa.array([_alignments_text(value) for value in columns["alignments"]], TEXT)
        target = schema(alignments=self._alignments)
        return pa.RecordBatch.from_arrays([arrays[name] for name in target.names], schema=target)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if not pa.types.is_dictionary(kind):
        return pa.array(values, kind)
    array = pa.array(values, TEXT)
    empty = pc.equal(array, "")  # the service sends "" for "none", e.g. the voice of a dialogue
    if pc.any(empty).as_py():
        array = pc.if_else(empty, pa.scalar(None, TEXT), array)
    return array.dictionary_encode().cast(CATEGORY)


def _settings_array(settings: Sequence[dict[str, Any] | None], name: str, kind: pa.DataType) -> pa.Array:
    values = [setting.get(name) if setting else None for setting in settings]
    if not {*map(type, values)} <= _SETTING_TYPES[name]:
        values = [value if type(value) in _SETTING_TYPES[name] else None for value in values]
    return pa.array(values, kind) if pa.types.is_boolean(kind) else pa.array(_floats(values), kind)


def _floats(values: list[Any]) -> list[float | None]:
    return [None if value is None else float(value) for value in values]


def _odd_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that have no column, or whose value doesn't fit it."""
    return {
        name: value
        for name, value in settings.items()
        if name not in _SETTING_TYPES or type(value) not in _SETTING_TYPES[name]
    }


def _extra_array(columns: Mapping[str, Sequence[Any]], unknown: tuple[str, ...]) -> pa.Array:
    parts: dict[int, list[str]] = {}
    for name in unknown:
        values = columns[name]
        if values.count(None) == len(values):
            continue
        for row, value in enumerate(values):
            if value is not None:
                parts.setdefault(row, []).append(f"{_json(name)}: {_json(value)}")
    kept = columns.get(_KEPT) or [None] * len(columns["settings"])
    for row, (settings, unchanged) in enumerate(zip(columns["settings"], kept, strict=True)):
        odd = _odd_settings(settings) if settings else {}
        for name, value in {"settings": odd, **(unchanged or {})}.items():
            if value:
                parts.setdefault(row, []).append(f"{_json(name)}: {_json(value)}")
    if not parts:
        return pa.nulls(len(columns["settings"]), TEXT)
    return pa.array(
        [f"{{{', '.join(parts[row])}}}" if row in parts else None for row in range(len(columns["settings"]))], TEXT
    )


def _add_dialogue(arrays: dict[str, pa.Array], dialogue: Sequence[_Dialogue | None]) -> None:
    text = arrays["text"]
    spoken = [row for row, lines in enumerate(dialogue) if lines]
    if not spoken:
        arrays["dialogue"] = pa.nulls(len(dialogue), TEXT)
        arrays["characters"] = pc.cast(pc.utf8_length(text), pa.int64())
        return
    arrays["dialogue"] = pa.array([json_text(lines) if lines else None for lines in dialogue], TEXT)
    texts = text.to_pylist()
    lengths = [None if value is None else len(value) for value in texts]
    for row in spoken:
        lengths[row] = sum(map(_length, dialogue[row] or ()))
        texts[row] = texts[row] or None
    arrays["text"] = pa.array(texts, TEXT)
    arrays["characters"] = pa.array(lengths, pa.int64())


def _alignments_text(value: msgspec.Raw | bytes | msgspec.UnsetType | None) -> str | None:
    """Return the bytes of an object as compact text, and None for null."""
    if not value:
        return None
    text = msgspec.json.format(bytes(value), indent=-1).decode()
    if text[0] not in "{n":
        raise msgspec.DecodeError("alignments that are not an object")
    return None if text == "null" else text


def _length(line: _Line | Mapping[str, Any]) -> int:
    return len((line.text if isinstance(line, _Line) else line.get("text")) or "")


def _known_fields() -> set[str]:
    return {
        "history_item_id",
        "content_type",
        "state",
        "settings",
        "dialogue",
        "alignments",
        *_NUMBERS,
        *_OPTIONAL_TEXTS,
    }


def _row_fields(unknown: tuple[str, ...]) -> list[str]:
    return [*sorted(_known_fields()), *unknown]


@lru_cache(maxsize=64)
def _page_decoder(unknown: tuple[str, ...], alignments: bool) -> tuple[Any, tuple[str, ...]]:
    raw = msgspec.Raw | msgspec.UnsetType
    fields: list[Any] = [("history_item_id", str), ("content_type", str)]
    for name in _NUMBERS:
        lowest, highest = _RANGES.get(name, _RANGE)
        fields.append((name, Annotated[int, msgspec.Meta(ge=lowest, le=highest)]))
    fields += [("state", str | None)]
    fields += [(name, str | None, None) for name in _OPTIONAL_TEXTS]
    fields += [("settings", dict[str, Any] | None, None), ("dialogue", list[_Line] | None, None)]
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


def _decode_leniently(
    row: dict[str, Any], unknown: tuple[str, ...], alignments: bool, problems: list[str]
) -> dict[str, Any]:
    out: dict[str, Any] = {name: _cleaned(row.get(name)) for name in unknown}
    faults: list[str] = []
    kept: dict[str, Any] = {}
    for name in ("history_item_id", "content_type", "state", *_OPTIONAL_TEXTS):
        out[name] = _text(row.get(name), name, faults)
    for name in _NUMBERS:
        out[name] = _whole(row.get(name), name, faults)
    for name in ("history_item_id", "content_type"):
        if not row.get(name):
            faults.append(f"{name} is missing")
    settings, dialogue = _cleaned(row.get("settings")), row.get("dialogue")
    out["settings"] = settings if isinstance(settings, dict) else None
    if settings is not None and not isinstance(settings, dict):
        kept["settings"] = settings
        faults.append("settings is not an object")
    out["dialogue"] = _lines(dialogue, faults)
    if dialogue is not None and out["dialogue"] is None:
        kept["dialogue"] = dialogue
    out[_KEPT] = kept
    out["alignments"] = _alignments(row.get("alignments"), faults) if alignments else None
    if faults:
        problems.append(f"{row.get('history_item_id') or 'a row without id'}: {', '.join(faults)}")
    return out


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, dict):
        return {_cleaned(name): _cleaned(element) for name, element in value.items()}
    return [_cleaned(element) for element in value] if isinstance(value, list) else value


def _text(value: Any, name: str, faults: list[str]) -> str | None:
    if value is None or isinstance(value, str):
        return None if value is None else replace_surrogates(value)
    faults.append(f"{name} is {quoted(value, 40)}, not a text")
    return _json(_cleaned(value))


def _whole(value: Any, name: str, faults: list[str]) -> int | None:
    lowest, highest = _RANGES.get(name, _RANGE)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and lowest <= value <= highest and value == int(value):
        return int(value)
    faults.append(f"{name} is {quoted(value, 40)}, not a whole number")
    return None


def _alignments(value: Any, faults: list[str]) -> bytes | None:
    if value is None or isinstance(value, dict):
        return None if value is None else json_text(value).encode()
    faults.append("alignments is not an object")
    return None


def _lines(dialogue: Any, faults: list[str]) -> list[dict[str, Any]] | None:
    """Return dialogue lines with the known fields first; None if a line is no object of texts."""
    if dialogue is None:
        return None
    lines = dialogue if isinstance(dialogue, list) else [dialogue]
    if isinstance(dialogue, list) and all(map(_is_line, lines)):
        return [{**dict.fromkeys(LINE_FIELDS), **line} for line in lines]
    faults.append("dialogue is not a list of lines of text")
    return None


def _is_line(line: Any) -> bool:
    return isinstance(line, dict) and all(isinstance(line.get(name), str | None) for name in LINE_FIELDS)


def _counted(raw: dict[str, Any]) -> Iterator[tuple[bytes, int]]:
    """Yield the bytes of each row, and how often the same bytes occurred in the page before."""
    seen: Counter[bytes] = Counter()
    for row in raw["history"]:
        body = msgspec.json.encode(_cleaned(row))
        yield body, seen[body]
        seen[body] += 1


def _stand_in(row: bytes, repeat: int) -> str:
    return f"?{hashlib.sha256(row).hexdigest()[:24]}.{repeat}"


def _ids_of(rows: list[dict[str, Any]]) -> str:
    return ", ".join(str(row["history_item_id"]) for row in rows[-3:]) or "none"
