"""Map an unsuccessful HTTP response to one error that a user can act on. Pure: no I/O, no key.

The service describes failures in five shapes of JSON (two of them documented); a proxy in front of it answers in HTML.
All are parsed here, and only here.
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
    """Codes, message and request id of an error body, whatever its shape."""

    codes: tuple[str, ...] = ()
    message: str = ""
    request_id: str | None = None
    html: bool = False

    def has(self, codes: frozenset[str]) -> bool:
        """Return whether any of the body's codes is one of `codes`."""
        return not codes.isdisjoint(self.codes)


def parse_error_body(body: Any) -> ErrorDetail:
    """Parse an error body of any of the known shapes.

    Parameters
    ----------
    body : Any
        Decoded JSON, or the text if the body is not JSON.
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
    """Return what the service sent as one printable line of at most 500 characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())
    return line if len(line) <= 500 else f"{line[:499]}…"


def _validation_line(problem: Any) -> str:
    if not isinstance(problem, Mapping):
        return str(problem)
    loc = problem.get("loc")
    parts = loc if isinstance(loc, list) else [loc] if loc else []
    where = [str(part) for part in parts if part not in ("query", "body", "path", "header")]
    return f"{'.'.join(where) or 'request'}: {problem.get('msg', 'not valid')}"


def error_from_response(status: int, headers: Mapping[str, str], body: Any, *, path: str = "") -> ApiError:
    """Return the error for a response that is not the requested result.

    Parameters
    ----------
    status : int
        HTTP status; 2xx if the body is not JSON or audio as it should be.
    headers : mapping
        Response headers.
    body : Any
        Decoded JSON, else text.
    path : str
        Route: a 400 of the bulk route does not mean that a history item is gone.
    """
    detail = parse_error_body(body)
    rule = next(rule for rule in _RULES if rule.applies(status, detail, path))
    lowered = {name.lower(): value for name, value in headers.items()}
    reason = detail.message or rule.no_reason or path
    error = rule.kind(
        rule.message.format(reason=reason.rstrip(".") if "{reason}." in rule.message else reason).rstrip(),
        status_code=status,
        code=detail.codes[0] if detail.codes else None,
        body=body,
        headers=lowered,
        request_id=detail.request_id or lowered.get("request-id") or lowered.get("x-trace-id"),
    )
    if isinstance(error, PermissionDeniedError):
        match = _SCOPE.search(detail.message)
        error.scope = match.group() if match else None
        if error.scope:
            error.message = (
                f"The API key is valid but lacks the scope {error.scope}: allow it for this key in the ElevenLabs "
                "dashboard (Developers, API keys), or use another key."
            )
    return error


@dataclass(frozen=True)
class _Rule:
    """One class of failures: which responses belong to it, its error class, and the message for the user.

    Attributes
    ----------
    statuses : range or tuple of int
        HTTP statuses.
    kind : type
        Error class.
    message : str
        Text with ``{reason}`` for the service's own message.
    no_reason : str
        Replaces the reason if the service states none.
    codes : frozenset of str, optional
        Only bodies with one of these codes.
    html : bool
        Only web pages.
    other_route : str
        Suffix of the paths that are excluded.
    """

    statuses: range | tuple[int, ...]
    kind: type[ApiError]
    message: str
    no_reason: str = "(no reason)"
    codes: frozenset[str] | None = None
    html: bool = False
    other_route: str | None = None

    def applies(self, status: int, detail: ErrorDetail, path: str) -> bool:
        """Return whether a response belongs to this class."""
        return (
            status in self.statuses
            and (detail.html or not self.html)
            and (self.codes is None or detail.has(self.codes))
            and not (self.other_route is not None and path.endswith(self.other_route))
        )


_ANY, _REDIRECTS, _SERVER = range(1000), range(300, 400), range(500, 1000)
_WEB_PAGE = (
    "A web page came back instead of the API's answer: something on the way to the service (a proxy, a login page, "
    "bot protection) intercepted the request. Check the network and the base URL."
)
_CREDITS_USED = "The account's credits are used up; the API key is fine. The service says: {reason}"
_UNUSUAL = "The service refuses this network for the account's plan; the key is known. It says: {reason}"
_FORBIDDEN = "The API key is known but may not do this. The service says: {reason}"
_WRONG_KEY = (
    "The service doesn't accept this API key. Check ELEVENLABS_API_KEY or api_key=, and that the base URL is the "
    "region the key was made in."
)
_GONE = "Not found, or deleted: {reason}"
_TOO_MANY = (
    "Too many requests{at_a_time}, also after waiting: use a smaller max_concurrency or try again later. The service "
    "says: {{reason}}"
)
_REDIRECTED = "The service redirects the request; a request with a key is never redirected."
_UNREADABLE = "The service's answer is not the JSON or audio that was requested."
_NONE_GIVEN = "it gives no reason"

_RULES = (  # the first that applies
    _Rule((401,), AuthenticationError, _WEB_PAGE, html=True),
    _Rule((403,), PermissionDeniedError, _WEB_PAGE, html=True),
    _Rule((404,), NotFoundError, _WEB_PAGE, html=True),
    _Rule(_SERVER, ServerError, _WEB_PAGE, html=True),
    _Rule(_ANY, ApiError, _WEB_PAGE, html=True),
    _Rule((401, 402, 403), ApiError, _CREDITS_USED, codes=_QUOTA_CODES),
    _Rule((401,), ApiError, _UNUSUAL, codes=frozenset({"detected_unusual_activity"})),
    _Rule((401,), PermissionDeniedError, _FORBIDDEN, codes=_SCOPE_CODES),
    _Rule((403,), PermissionDeniedError, _FORBIDDEN),
    _Rule((401,), AuthenticationError, _WRONG_KEY),
    _Rule((404,), NotFoundError, _GONE, ""),
    _Rule((400,), NotFoundError, _GONE, "", codes=_GONE_CODES, other_route="/download"),
    _Rule((400,), BadRequestError, "The service refuses the request: {reason}", _NONE_GIVEN),
    _Rule((422,), UnprocessableEntityError, "The service can't read a parameter: {reason}", "it does not say which"),
    _Rule((429,), RateLimitError, _TOO_MANY.format(at_a_time=" at a time"), codes=CONCURRENCY_CODES),
    _Rule((429,), RateLimitError, _TOO_MANY.format(at_a_time="")),
    _Rule(_SERVER, ServerError, "The service failed: {reason}. Try again later.", _NONE_GIVEN),
    _Rule(_REDIRECTS, ApiError, _REDIRECTED),
    _Rule(range(300), ApiError, _UNREADABLE),
    _Rule(_ANY, ApiError, "{reason}", "The service answered with an error."),
)
