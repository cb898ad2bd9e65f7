"""Types of a call: its options, its path, its response. Imports no HTTP library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote

from histkit.errors import InputError
from histkit.util.text import is_text, quoted

T = TypeVar("T")


class RequestOptions(TypedDict, total=False):
    """Options of one call, named as in the official SDK.

    ``timeout_in_seconds``, ``max_retries``, ``additional_headers``, ``additional_query_parameters``,
    ``additional_body_parameters``, and ``chunk_size`` (bytes, for audio and zips). Additions: ``total_timeout``,
    ``max_page_bytes`` and ``max_clip_bytes`` replace those of the client.
    """

    timeout_in_seconds: float
    max_retries: int
    additional_headers: dict[str, Any]
    additional_query_parameters: dict[str, Any]
    additional_body_parameters: dict[str, Any]
    chunk_size: int
    total_timeout: float
    max_page_bytes: int
    max_clip_bytes: int


@dataclass(frozen=True)
class HttpResponse(Generic[T]):
    """A result with status and headers, as returned by ``with_raw_response``.

    Attributes
    ----------
    data : T
        The result of the call.
    headers : dict of str to str
        Response headers, names in lower case.
    status_code : int
        HTTP status.
    """

    data: T
    headers: dict[str, str]
    status_code: int


def options_of(options: RequestOptions | None) -> RequestOptions:
    """Return the options of a request as a mapping, empty for None.

    Raises
    ------
    InputError
        The argument is not a mapping, or one of its ``additional_...`` values is not.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise InputError(f"request_options= takes a dict such as {{'timeout_in_seconds': 10}}, not {quoted(options)}.")
    for name in ("additional_headers", "additional_query_parameters", "additional_body_parameters"):
        value = options.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise InputError(f"request_options: {name} takes a dict, not {quoted(value)}.")
    return options


def history_item_path(history_item_id: str, suffix: str = "") -> str:
    """Return the path of a history item; the id is escaped, so that it can't change the path."""
    if not is_text(history_item_id) or history_item_id in (".", ".."):
        raise InputError(
            f"history_item_id must be an id such as 'VW7YKqPnjY4h39yTbx2L', not {quoted(history_item_id)}."
        )
    return f"/v1/history/{quote(history_item_id, safe='')}{suffix}"
