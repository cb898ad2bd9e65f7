"""Everything histkit raises on purpose.

::

    HistkitError
    ├── InputError                  an argument histkit can't use (also a ValueError)
    ├── ApiError                    the service answered, but not with what was asked for
    │   ├── BadRequestError         400
    │   ├── AuthenticationError     401: no key, or a key the service doesn't know
    │   ├── PermissionDeniedError   401 or 403: a good key that lacks a scope (`.scope`)
    │   ├── NotFoundError           404, or 400 with the code `invalid_id`
    │   ├── UnprocessableEntityError  422: a parameter the service can't read
    │   ├── RateLimitError          429
    │   └── ServerError             5xx
    ├── TransportError              no (whole) answer came: unreachable, cut off, timed out
    ├── PaginationError             the history could not be read to its end (`.partial`)
    ├── SchemaError                 a frame lacks a column, a row or a file breaks its form
    ├── DownloadError               audio that could not be pulled
    └── ArchiveError                a local history that can't be read or written

``str(error)`` is one line: what happened, where, and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _one_line(message: str) -> str:
    """Join the lines of a message; what it quotes (an array, an answer of the service) can have several."""
    return " ".join(line.strip() for line in message.splitlines())


class HistkitError(Exception):
    """Base of all errors raised by histkit."""

    def __str__(self) -> str:
        return _one_line(super().__str__())


class InputError(HistkitError, ValueError):
    """An argument that histkit can't use; the message names it and says what it takes."""


class ApiError(HistkitError):
    """The service answered with something else than the result.

    Takes the keywords of the official SDK's ``ApiError`` (`status_code`, `headers`, `body`) and three more.

    Attributes
    ----------
    status_code : int or None
        HTTP status; None when no request was made (no key).
    code : str or None
        The service's own word for the failure (``detail.code``, else ``detail.status``).
    message : str
        One line for a person: what happened and what to do.
    body : Any
        The answer: decoded JSON, else its text.
    headers : dict of str to str
        Response headers.
    request_id : str or None
        What the service's support asks for.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status_code: int | None = None,
        code: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code
        self.code = code
        self.body = body
        self.headers = dict(headers or {})
        self.request_id = request_id

    def __str__(self) -> str:
        facts = [f"HTTP {self.status_code}"] if self.status_code is not None else []
        if self.code:
            facts.append(self.code)
        if self.request_id:
            facts.append(f"request id {self.request_id}")
        message = _one_line(self.message) or "The service answered with an error."
        return f"{message} ({', '.join(facts)})" if facts else message


class BadRequestError(ApiError):
    """400: the service refuses the request as it stands."""


class AuthenticationError(ApiError):
    """401: there is no key, or the service doesn't know it."""


class PermissionDeniedError(ApiError):
    """401 or 403 for a key that is good but lacks a scope.

    Attributes
    ----------
    scope : str or None
        The missing scope, e.g. ``"speech_history_read"``, where the service names it.
    """

    scope: str | None = None


class NotFoundError(ApiError):
    """404: there is no such history item (any more)."""


class UnprocessableEntityError(ApiError):
    """422: a parameter that the service can't read; the message names it."""


class RateLimitError(ApiError):
    """429: too many requests, or too many at a time, also after all retries."""


class ServerError(ApiError):
    """5xx: the service failed, also after all retries."""


class TransportError(HistkitError):
    """No whole answer came: the server can't be reached, or the connection broke, also after all retries.

    Attributes
    ----------
    passing : bool
        Whether the fault may be gone at the next try (a refused TLS certificate is not).
    """

    passing: bool = True


class PaginationError(HistkitError):
    """The history could not be read to its end.

    Attributes
    ----------
    partial : Any
        The DataFrame of what `read_history` read before the stop, newest first; None from `HistoryClient.iter_pages`,
        which has handed its pages out.
    """

    def __init__(self, message: str, partial: Any = None) -> None:
        super().__init__(message)
        self.partial = partial


class SchemaError(HistkitError):
    """A frame lacks a column that is needed, or a row or a file doesn't have the agreed form."""


class DownloadError(HistkitError):
    """Audio that could not be pulled, or is not what it should be."""


class ArchiveError(HistkitError):
    """A local history that can't be read or written."""
