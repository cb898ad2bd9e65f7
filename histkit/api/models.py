"""The API's objects, with its field names (from the service's OpenAPI document).

They are as tolerant as those of the official SDK: an absent optional field is None, an unknown enum value is accepted,
and an unknown field is kept (in ``model_extra``, and as an attribute).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

import msgspec

from histkit.util.raw_json import read_shallow


@dataclass(frozen=True, kw_only=True)
class ApiObject:
    """Base of all API objects: built from decoded JSON, with unknown fields as attributes."""

    _nested: ClassVar[dict[str, type[ApiObject]]] = {}
    model_extra: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_api(cls, raw: Mapping[str, Any]) -> Self:
        """Build the object from decoded JSON; a missing field becomes None."""
        known = _field_names(cls)
        values = {name: raw.get(name) for name in known}
        for name, part in cls._nested.items():
            value = values.get(name)
            if isinstance(value, Mapping):
                values[name] = part.from_api(value)
            elif isinstance(value, list):
                values[name] = [part.from_api(item) if isinstance(item, Mapping) else item for item in value]
        extra = {name: value for name, value in raw.items() if name not in known}
        return cls(**values, model_extra=extra)

    def __getattr__(self, name: str) -> Any:
        extra = self.__dict__.get("model_extra")
        if extra is not None and name in extra:
            return extra[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def model_dump(self) -> dict[str, Any]:
        """Return the object as dicts and lists, with unknown fields (named as in pydantic)."""
        return {
            **{name: _plain(getattr(self, name)) for name in _field_names(type(self))},
            **self.model_extra,
        }

    def model_dump_json(self) -> str:
        """Return `model_dump` as JSON text."""
        return msgspec.json.encode(self.model_dump()).decode()

    dict = model_dump
    json = model_dump_json


def _plain(value: Any) -> Any:
    if isinstance(value, ApiObject):
        return value.model_dump()
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _field_names(cls: type[ApiObject]) -> tuple[str, ...]:
    names = _NAMES.get(cls)
    if names is None:
        names = _NAMES[cls] = tuple(item.name for item in fields(cls) if item.name != "model_extra")
    return names


_NAMES: dict[type[ApiObject], tuple[str, ...]] = {}  # a cache of facts about classes, not state


@dataclass(frozen=True, kw_only=True)
class HistoryAlignment(ApiObject):
    """Times of each character in the audio: three lists of equal length, in seconds."""

    characters: list[str]
    character_start_times_seconds: list[float]
    character_end_times_seconds: list[float]


@dataclass(frozen=True, kw_only=True)
class HistoryAlignments(ApiObject):
    """Alignment of the text as sent, and of the text as spoken (for instance with numbers written out)."""

    _nested: ClassVar[dict[str, type[ApiObject]]] = {
        "alignment": HistoryAlignment,
        "normalized_alignment": HistoryAlignment,
    }
    alignment: HistoryAlignment
    normalized_alignment: HistoryAlignment


@dataclass(frozen=True, kw_only=True)
class DialogueInput(ApiObject):
    """One line of a dialogue and the voice that speaks it."""

    text: str
    voice_id: str
    voice_name: str


@dataclass(frozen=True, kw_only=True)
class SpeechHistoryItemResponse(ApiObject):
    """One generation. ``character_count_change_to - character_count_change_from`` is its price in credits.

    ``date_unix`` is in seconds, UTC. When ``dialogue`` is set, the top-level ``text`` and ``voice_id`` are empty.
    """

    _nested: ClassVar[dict[str, type[ApiObject]]] = {
        "alignments": HistoryAlignments,
        "dialogue": DialogueInput,
    }
    history_item_id: str
    request_id: str | None = None
    voice_id: str | None = None
    model_id: str | None = None
    voice_name: str | None = None
    voice_category: str | None = None
    text: str | None = None
    date_unix: int
    character_count_change_from: int
    character_count_change_to: int
    content_type: str
    state: Any
    settings: dict[str, Any] | None = None
    share_link_id: str | None = None
    source: str | None = None
    alignments: HistoryAlignments | None = None
    dialogue: list[DialogueInput] | None = None
    output_format: str | None = None


@dataclass(frozen=True, kw_only=True)
class GetSpeechHistoryResponse(ApiObject):
    """One page of the history. ``last_history_item_id`` is the last item of this page: the cursor for the next."""

    _nested: ClassVar[dict[str, type[ApiObject]]] = {"history": SpeechHistoryItemResponse}
    history: list[SpeechHistoryItemResponse]
    last_history_item_id: str | None = None
    has_more: bool
    scanned_until: int | None = None


@dataclass(frozen=True, kw_only=True)
class DeleteHistoryItemResponse(ApiObject):
    """Response to a deletion: ``status`` is ``"ok"``."""

    status: str


@dataclass(frozen=True, kw_only=True)
class ModelRates(ApiObject):
    """Cost factors as the service states them; a hint only, since the measured price can differ."""

    character_cost_multiplier: float
    cost_discount_multiplier: float | None = None


@dataclass(frozen=True, kw_only=True)
class Model(ApiObject):
    """A model of the service. Only ``model_id`` is guaranteed; other fields are available as attributes."""

    _nested: ClassVar[dict[str, type[ApiObject]]] = {"model_rates": ModelRates}
    model_id: str
    name: str | None = None
    description: str | None = None
    can_do_text_to_speech: bool | None = None
    can_do_voice_conversion: bool | None = None
    token_cost_factor: float | None = None
    maximum_text_length_per_request: int | None = None
    languages: list[dict[str, Any]] | None = None
    model_rates: ModelRates | None = None
    concurrency_group: str | None = None


@dataclass(frozen=True, kw_only=True)
class Subscription(ApiObject):
    """The account's plan and counter; fields not listed here stay available as attributes.

    ``character_count`` of ``character_limit`` credits are used; ``max_credit_limit_extension`` is a number or
    ``"unlimited"``; ``next_character_count_reset_unix`` is in seconds.
    """

    tier: str
    character_count: int
    character_limit: int
    status: str | None = None
    currency: str | None = None
    billing_period: str | None = None
    character_refresh_period: str | None = None
    next_character_count_reset_unix: int | None = None
    max_credit_limit_extension: int | str | None = None
    can_extend_character_limit: bool | None = None
    current_overage: dict[str, Any] | None = None
    next_invoice: dict[str, Any] | None = None
    open_invoices: list[dict[str, Any]] | None = None


def decode_json(body: bytes) -> Any:
    """Decode a response body.

    Raises
    ------
    msgspec.DecodeError
        The body is not JSON.
    """
    try:
        return msgspec.json.decode(body)
    except RecursionError:  # one value that is nested too deep takes no other with it
        return read_shallow(body)
    except msgspec.DecodeError as error:
        try:  # lone surrogates, which only Python's decoder accepts
            return json.loads(body.decode("utf-8", "replace").encode("utf-8", "replace"))
        except RecursionError:
            return read_shallow(body)
        except ValueError:
            raise error from None


def decode_object(body: bytes) -> dict[str, Any]:
    """Decode a response body that has to be a JSON object; otherwise raise `msgspec.DecodeError`."""
    raw = decode_json(body)
    if not isinstance(raw, dict):
        raise msgspec.DecodeError("the answer is not a JSON object")
    return raw
