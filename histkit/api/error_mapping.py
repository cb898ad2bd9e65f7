"""From an HTTP answer that is not a success to one error that a user can act on. Pure: no I/O, no key.

The service answers failures in five shapes of JSON (its documentation knows two of them) and, from in front of it,
in HTML; all are read here, and only here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from histkit.errors import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    UnprocessableEntityError,
)

CONCURRENCY_CODES = frozenset({"concurrent_limit_exceeded", "too_many_concurrent_requests"})
_SCOPE_CODES = frozenset({"missing_permissions", "insufficient_permissions"})
_QUOTA_CODES = frozenset({"quota_exceeded", "insufficient_credits"})
_GONE_CODES = frozenset({"history_item_not_found", "invalid_id"})
_SCOPE = re.compile(r"\b[a-z]+(?:_[a-z]+)*_(?:read|write|access)\b")


@dataclass(frozen=True)
class ErrorDetail:
    """What an error body says, whatever its shape."""

    codes: tuple[str, ...] = ()
    message: str = ""
    request_id: str | None = None
    html: bool = False

    def has(self, codes: frozenset[str]) -> bool:
        """Tell whether any of the body's words for the failure is one of `codes`."""
        return not codes.isdisjoint(self.codes)


def parse_error_body(body: Any) -> ErrorDetail:
    """Read an error body of any of the known shapes.

    Parameters
    ----------
    body : Any
        Decoded JSON, or text when it was none.
    """
    if isinstance(body, str):
        html = body.lstrip()[:200].lower().startswith(("<!doctype", "<html", "<head", "<body"))
        return ErrorDetail(message="" if html else _line(body), html=html)
    if not isinstance(body, Mapping):
        return ErrorDetail()
    detail = body.get("detail")
    if isinstance(detail, str):
        return ErrorDetail(message=_line(detail))
    if isinstance(detail, list):
        return ErrorDetail(message=_line("; ".join(map(_validation_line, detail))))
    facts = detail if isinstance(detail, Mapping) else body
    codes = tuple(_line(facts[name]) for name in ("code", "status", "error", "type") if facts.get(name))
    request_id = facts.get("request_id")
    return ErrorDetail(codes, _line(facts.get("message") or ""), _line(request_id) if request_id else None)


def _line(text: Any) -> str:
    """Make one printable line of at most 500 characters of whatever the service sent."""
    line = " ".join("".join(each if each.isprintable() else " " for each in str(text)).split())
    return line if len(line) <= 500 else f"{line[:499]}…"


def _validation_line(problem: Any) -> str:
    if not isinstance(problem, Mapping):
        return str(problem)
    loc = problem.get("loc")
    parts = loc if isinstance(loc, list) else [loc] if loc else []
    where = [str(part) for part in parts if part not in ("query", "body", "path", "header")]
    return f"{'.'.join(where) or 'request'}: {problem.get('msg', 'not valid')}"


def error_from_response(status: int, headers: Mapping[str, str], body: Any, *, path: str = "") -> ApiError:
    """Make the one error for an answer that is not the result that was asked for.

    Parameters
    ----------
    status : int
        HTTP status; a 2xx here means that the body was not what it should be.
    headers : mapping
        Response headers.
    body : Any
        Decoded JSON, else text.
    path : str
        Route, to tell the bulk route's 400 from a history item that is gone.
    """
    failure = parse_error_body(body)
    kind, message = _judge(status, failure, path)
    lowered = {name.lower(): value for name, value in headers.items()}
    error = kind(
        message,
        status_code=status,
        code=failure.codes[0] if failure.codes else None,
        body=body,
        headers=lowered,
        request_id=failure.request_id or lowered.get("request-id") or lowered.get("x-trace-id"),
    )
    if isinstance(error, PermissionDeniedError):
        named = _SCOPE.search(failure.message)
        error.scope = named.group() if named else None
        if error.scope:
            error.message = (
                f"The API key is good but lacks the scope {error.scope}: allow it for this key in the ElevenLabs "
                "dashboard (Developers, API keys), or use another key."
            )
    return error


def _judge(status: int, failure: ErrorDetail, path: str) -> tuple[type[ApiError], str]:
    said = failure.message
    if failure.html:
        kind = {403: PermissionDeniedError, 401: AuthenticationError, 404: NotFoundError}.get(status, ApiError)
        kind = ServerError if status >= 500 else kind
        return kind, (
            "A web page came back instead of the API's answer: something between here and the service (a proxy, a "
            "login page, bot protection) took the request. Check the network and the base URL."
        )
    if status in (401, 402, 403) and failure.has(_QUOTA_CODES):
        return ApiError, f"The account's credits are used up; the API key is fine. The service says: {said}"
    if status == 401 and "detected_unusual_activity" in failure.codes:
        return (
            ApiError,
            f"The service refuses this network for the account's plan; the key is known. It says: {said}",
        )
    if status == 403 or (status == 401 and failure.has(_SCOPE_CODES)):
        return PermissionDeniedError, f"The API key is known but may not do this. The service says: {said}"
    if status == 401:
        return AuthenticationError, (
            "The service doesn't accept this API key. Check ELEVENLABS_API_KEY or api_key=, and that the base URL is "
            "the region the key was made in."
        )
    if status == 404 or (status == 400 and failure.has(_GONE_CODES) and not path.endswith("/download")):
        return NotFoundError, f"Not there (any more): {said or path}"
    if status == 400:
        return BadRequestError, f"The service refuses the request: {said or 'it gives no reason'}"
    if status == 422:
        return (
            UnprocessableEntityError,
            f"The service can't read a parameter: {said or 'it does not say which'}",
        )
    if status == 429:
        return RateLimitError, (
            f"Too many requests{' at a time' if failure.has(CONCURRENCY_CODES) else ''}, also after waiting: use a "
            f"smaller max_concurrency or try again later. The service says: {said}"
        )
    if status >= 500:
        return ServerError, f"The service failed: {said or 'it gives no reason'}. Try again later."
    if 300 <= status < 400:
        return (
            ApiError,
            "The service wants to send the request elsewhere; a request with a key is never redirected.",
        )
    if status < 300:
        return ApiError, "The service's answer is not the JSON or audio that was asked for."
    return ApiError, said or "The service answered with an error."
