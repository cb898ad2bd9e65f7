"""Map an unsuccessful HTTP response to one error that a user can act on. Pure: no I/O, no key.

The service describes failures in five shapes of JSON (two of them documented); a proxy in front of it answers in HTML.
All are parsed here, and only here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
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
from histkit.util.text import format_duration, quoted

CONCURRENCY_CODES = frozenset({"concurrent_limit_exceeded", "too_many_concurrent_requests"})
_SCOPE_CODES = frozenset({"missing_permissions", "insufficient_permissions"})
_QUOTA_CODES = frozenset({"quota_exceeded", "insufficient_credits"})
_KEY_CODES = frozenset({"invalid_api_key", "missing_api_key", "api_key_not_found"})
_GENERIC_CODES = frozenset({"unauthorized", "authentication_error", "forbidden", "authorization_error"})
_FORBIDDEN_CODES = frozenset({"feature_not_available", "subscription_required"}) | _SCOPE_CODES
_GONE_CODES = frozenset({"history_item_not_found", "invalid_id"})
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
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
    facts = next((inner for inner in (detail, body.get("error")) if isinstance(inner, Mapping)), body)
    codes = tuple(_line(facts[name]) for name in ("code", "status", "error", "type") if _is_code(facts.get(name)))
    # The legacy status says more than a code such as "unauthorized", which several causes share.
    codes = tuple(sorted(codes, key=lambda code: code in _GENERIC_CODES))
    request_id = facts.get("request_id")
    words = next((facts[name] for name in ("message", "msg", "error_description") if facts.get(name)), "")
    return ErrorDetail(codes, _line(words), _line(request_id) if request_id else None)


def _is_code(value: Any) -> bool:
    return bool(value) and isinstance(value, (str, int))


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


def error_from_response(
    status: int, headers: Mapping[str, str], body: Any, *, path: str = "", wait: float | None = None
) -> ApiError:
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
    wait : float, optional
        Seconds that the service asks to wait, if that is longer than a call may take.
    """
    detail = parse_error_body(body)
    rule = next(rule for rule in _RULES if rule.applies(status, detail, path))
    lowered = {name.lower(): value for name, value in headers.items()}
    reason = detail.message or rule.no_reason or path
    message = rule.message if wait is None else _LONG_WAIT.format(wait=_wait_words(wait), reason="{reason}")
    code = detail.codes[0] if detail.codes else "no error code"
    error = rule.kind(
        message.format(
            reason=reason.rstrip(".") if "{reason}." in message else reason,
            code=code,
            title=_title_of(body),
            content=_content_of(lowered, body),
        ).rstrip(),
        status_code=status,
        code=detail.codes[0] if detail.codes else None,
        body=body,
        headers=lowered,
        request_id=detail.request_id or lowered.get("request-id") or lowered.get("x-trace-id"),
    )
    if isinstance(error, PermissionDeniedError) and wait is None:
        match = _SCOPE.search(detail.message)
        error.scope = match.group() if match else None
        if error.scope:
            error.message = (
                f"The API key is valid but lacks the scope {error.scope}: allow it for this key in the ElevenLabs "
                "dashboard (Developers, API keys), or use another key."
            )
    return error


def _title_of(body: Any) -> str:
    """Return the title of a web page in brackets, with a blank before it, or ""."""
    match = _TITLE.search(body) if isinstance(body, str) else None
    title = _line(unescape(match[1])) if match else ""
    return f" ({quoted(title)})" if title else ""


def _content_of(headers: Mapping[str, str], body: Any) -> str:
    """Describe what a response holds: its type, and how it begins."""
    kind = _line(headers.get("content-type", "").partition(";")[0]) or "no content type"
    text = _line(body) if isinstance(body, str) else body
    return f"{kind} without a body" if text in ("", None) else f"{kind}: {quoted(text)}"


def concerns_every_request(error: BaseException) -> bool:
    """Return whether the cause of an error is the key or the account, so that another request would fail too."""
    return isinstance(error, ApiError) and error.status_code in (None, 401, 402, 403)


def _wait_words(seconds: float) -> str:
    """Return a wait and its end, as in "22 hours, until 2026-11-27 16:03 UTC"."""
    try:
        end = datetime.now(UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return format_duration(seconds)
    return f"{format_duration(seconds)}, until {end:%Y-%m-%d %H:%M} UTC"


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
    only : bool
        Only bodies whose codes are all among `codes`; also those without one.
    wordless : bool
        Only bodies without a code and a message.
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
    only: bool = False
    wordless: bool = False
    html: bool = False
    other_route: str | None = None

    def applies(self, status: int, detail: ErrorDetail, path: str) -> bool:
        """Return whether a response belongs to this class."""
        return (
            status in self.statuses
            and (detail.html or not self.html)
            and (self.codes is None or self._fits(detail))
            and not (self.wordless and (detail.codes or detail.message))
            and not (self.other_route is not None and path.endswith(self.other_route))
        )

    def _fits(self, detail: ErrorDetail) -> bool:
        assert self.codes is not None
        return detail.has(self.codes) if not self.only else self.codes.issuperset(detail.codes)


_ANY, _REDIRECTS, _SERVER = range(1000), range(300, 400), range(500, 1000)
_WEB_PAGE = (
    "A web page{title} came back instead of the API's answer: something on the way to the service (a proxy, a login "
    "page, bot protection) intercepted the request. Check the network and the base URL."
)
_CREDITS_USED = "The account's credits are used up; the API key is fine. The service says: {reason}"
_UNUSUAL = "The service refuses this network for the account's plan; the key is known. It says: {reason}"
_FORBIDDEN = "The API key is known but may not do this. The service says: {reason}"
_WRONG_KEY = (
    "The service doesn't accept this API key. Check ELEVENLABS_API_KEY or api_key=, and that the base URL is the "
    "region the key was made in."
)
_UNAUTHORIZED = f"{_WRONG_KEY} The service says: {{reason}}"
_REFUSED = "The service refuses the request ({code}): {reason}"
_LONG_WAIT = (
    "The service asks to wait {wait}. That is longer than a call waits, so this client sends no request before. The "
    "service says: {reason}"
)
_GONE = "Not found, or deleted: {reason}"
_TOO_MANY = (
    "Too many requests{at_a_time}, in each attempt: use a smaller max_concurrency or try again later. The service "
    "says: {{reason}}"
)
_REDIRECTED = "The service redirects the request; a request with a key is never redirected."
_UNREADABLE = "The service's answer is not the JSON or audio that was requested, but {content}."
_NONE_GIVEN = "it gives no reason"

_RULES = (  # the first that applies
    _Rule((401,), AuthenticationError, _WEB_PAGE, html=True),
    _Rule((403,), PermissionDeniedError, _WEB_PAGE, html=True),
    _Rule(_SERVER, ServerError, _WEB_PAGE, html=True),
    _Rule(_ANY, ApiError, _WEB_PAGE, html=True),
    _Rule((401, 402, 403), ApiError, _CREDITS_USED, codes=_QUOTA_CODES),
    _Rule((401,), ApiError, _UNUSUAL, codes=frozenset({"detected_unusual_activity"})),
    _Rule((401,), PermissionDeniedError, _FORBIDDEN, codes=_SCOPE_CODES),
    _Rule((401,), AuthenticationError, _WRONG_KEY, codes=_KEY_CODES),
    _Rule((401,), AuthenticationError, _WRONG_KEY, wordless=True),
    _Rule((401,), AuthenticationError, _REFUSED, codes=frozenset(), only=True),
    _Rule((401,), AuthenticationError, _UNAUTHORIZED, _NONE_GIVEN, codes=_GENERIC_CODES, only=True),
    _Rule((401,), ApiError, _REFUSED, _NONE_GIVEN),
    _Rule((403,), PermissionDeniedError, _FORBIDDEN, codes=_FORBIDDEN_CODES),
    _Rule((403,), PermissionDeniedError, _FORBIDDEN, codes=_GENERIC_CODES, only=True),
    _Rule((403,), PermissionDeniedError, _REFUSED, _NONE_GIVEN),
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
