"""The exceptions of histkit.

::

    HistkitError
    ├── InputError                  an invalid argument (also a ValueError)
    ├── ApiError                    the service answered with an error
    │   ├── BadRequestError         400
    │   ├── AuthenticationError     401: no key, or an unknown one
    │   ├── PermissionDeniedError   401 or 403: the key lacks a scope (`.scope`)
    │   ├── NotFoundError           404, or 400 with the code `invalid_id`
    │   ├── UnprocessableEntityError  422: a parameter the service can't read
    │   ├── RateLimitError          429
    │   └── ServerError             5xx
    ├── TransportError              no complete response: unreachable, cut off, timed out
    ├── PaginationError             the history could not be read to its end (`.partial`)
    ├── SchemaError                 a frame lacks a column, or a row or file doesn't follow its schema
    ├── DownloadError               audio that could not be downloaded or verified
    └── ArchiveError                a local history that can't be read or written

``str(error)`` is one line: what happened, where, and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _one_line(message: str) -> str:
    """Join the lines of a message; a quoted value can span several."""
    return " ".join(line.strip() for line in message.splitlines())


class HistkitError(Exception):
    """Base of all errors raised by histkit."""

    def __str__(self) -> str:
        return _one_line(super().__str__())


class InputError(HistkitError, ValueError):
    """An invalid argument; the message names it and says what is accepted."""


class ApiError(HistkitError):
    """The service answered with an error.

    Accepts the keywords of the official SDK's ``ApiError`` (`status_code`, `headers`, `body`) and three more.

    Attributes
    ----------
    status_code : int or None
        HTTP status; None when no request was made (no key).
    code : str or None
        The service's error code (``detail.code``, else ``detail.status``).
    message : str
        One line for the user: what happened and what to do.
    body : Any
        The response: decoded JSON, else its text.
    headers : dict of str to str
        Response headers.
    request_id : str or None
        Id of the request, for the service's support.
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
    """400: the service refuses the request."""


class AuthenticationError(ApiError):
    """401: the API key is missing or unknown."""


class PermissionDeniedError(ApiError):
    """401 or 403: the key is valid but lacks a scope.

    Attributes
    ----------
    scope : str or None
        The missing scope, such as ``"speech_history_read"``, if the service names it.
    """

    scope: str | None = None


class NotFoundError(ApiError):
    """404: the history item does not exist or was deleted."""


class UnprocessableEntityError(ApiError):
    """422: the service can't read a parameter; the message names it."""


class RateLimitError(ApiError):
    """429: too many requests, or too many concurrent ones; raised after all retries."""


class ServerError(ApiError):
    """5xx: the service failed; raised after all retries."""


class TransportError(HistkitError):
    """No complete response: the server is unreachable, or the connection broke; raised after all retries.

    Attributes
    ----------
    passing : bool
        Whether a retry may succeed; False for a refused TLS certificate.
    """

    passing: bool = True


class PaginationError(HistkitError):
    """The history could not be read to its end.

    Attributes
    ----------
    partial : Any
        The DataFrame of the rows that `read_history` had read, newest first; None from `HistoryClient.iter_pages`,
        which has yielded its pages already.
    """

    def __init__(self, message: str, partial: Any = None) -> None:
        super().__init__(message)
        self.partial = partial


class SchemaError(HistkitError):
    """A frame lacks a required column, or a row or a file doesn't follow its schema."""


class DownloadError(HistkitError):
    """Audio could not be downloaded or verified."""


class ArchiveError(HistkitError):
    """A file or a local history can't be read or written."""
