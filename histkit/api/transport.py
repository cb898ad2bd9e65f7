"""HTTP transport: with its parts `exchange` and `sessions`, the only module that imports requests.

It sets and redacts the API key, checks the base URL, and applies timeouts, retries (tenacity) and the limit on requests
in flight. Redirects are never followed. The service sends 429 without ``Retry-After``, and proxies in front of
it send HTML; both are handled.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import math
import numbers
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests

from histkit.api.bounds import ERROR_BYTES, Bounds, Watchdog, seconds_of, too_slow
from histkit.api.concurrency import AdaptiveLimit, Slot
from histkit.api.credentials import (
    PRODUCTION,
    SANDBOX,
    SANDBOX_KEY,
    Redactor,
    Secret,
    check_base_url,
    find_key,
    is_loopback,
    is_secret_name,
    masked_url,
    validate_key,
)
from histkit.api.error_mapping import CONCURRENCY_CODES, error_from_response, parse_error_body
from histkit.api.exchange import Exchange, transport_error
from histkit.api.options import HttpResponse, RequestOptions, options_of
from histkit.api.retry import asks_too_much, is_passing, is_refused_for_rate, is_retried, retry_after, retrying
from histkit.api.sessions import Heads, own_session
from histkit.errors import ApiError, AuthenticationError, HistkitError, InputError, TransportError
from histkit.util.arguments import whole_number
from histkit.util.text import error_line, quoted

T = TypeVar("T")

_CONNECT_SECONDS = 10.0
_NO_PROXY: Any = {"http": None, "https": None, "all": None}
_log = logging.getLogger("histkit")


class _KeyAuth(requests.auth.AuthBase):
    """Sets the API key of a request, also over a key among the session's headers; without a key, changes nothing."""

    def __init__(self, key: Secret | None) -> None:
        self.key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.key is not None:
            request.headers["xi-api-key"] = self.key
        return request


class Transport:
    """Sends requests for one account: holds the key, retries, and limits the requests in flight.

    Parameters are those of `histkit.HistoryClient`.
    """

    def __init__(
        self,
        api_key: str | None,
        base_url: str | None,
        timeout: float,
        max_retries: int,
        max_concurrency: int,
        session: requests.Session | None,
        bounds: Bounds = Bounds(),  # noqa: B008  # immutable
    ) -> None:
        if session is not None and not isinstance(session, requests.Session):
            raise InputError(f"session= takes a requests.Session, not {type(session).__name__}.")
        self._key = validate_key(api_key) if api_key is not None else None
        self._base_url = check_base_url(base_url) if base_url is not None else None
        self.timeout = seconds_of("timeout", timeout)
        self.bounds = bounds
        self.max_retries = whole_number("max_retries", max_retries, 0)
        self.limit = AdaptiveLimit(whole_number("max_concurrency", max_concurrency, 1))
        self.requests = 0
        self._counting = threading.Lock()
        self._not_before: dict[bytes, tuple[float, ApiError]] = {}
        self._watchdog = Watchdog()
        self._heads = Heads(self._watchdog)
        self._session = session
        self._local_session: requests.Session | None = None

    def __repr__(self) -> str:
        return f"Transport(base_url={self.shown_url!r}, max_concurrency={self.limit.ceiling})"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._key is not None:
            raise TypeError(
                "a client with an explicit key can't be pickled; create it where it is used, or set "
                "ELEVENLABS_API_KEY there"
            )
        return Transport, (None, self._base_url, self.timeout, self.max_retries, self.limit.ceiling, None, self.bounds)

    @property
    def base_url(self) -> str:
        """The base URL: argument, else ``ELEVENLABS_BASE_URL``, else production; read at call time."""
        return self._base_url or check_base_url(os.environ.get("ELEVENLABS_BASE_URL") or PRODUCTION)

    @property
    def shown_url(self) -> str:
        """The base URL without a password, valid or not: for a repr, which must not raise."""
        return str(masked_url(self._base_url or os.environ.get("ELEVENLABS_BASE_URL") or PRODUCTION))

    @property
    def service(self) -> str:
        """The host that has the account; ``"sandbox"`` for a made-up account of `histkit.sandbox`, "" without a key."""
        key = self._own_key()
        if not key:
            return ""
        if is_loopback(self.base_url) and key.startswith(SANDBOX_KEY):
            return SANDBOX
        return urlsplit(self.base_url).hostname or ""

    @property
    def identity(self) -> str:
        """A hash of base URL and key, equal for clients of one key; "" without a key."""
        key = self._own_key()
        return _digest(self.base_url, key).hex() if key else ""

    def close(self) -> None:
        """Close the connections that were opened here."""
        if self._local_session is not None:
            self._local_session.close()
            self._local_session = None

    def request(
        self,
        method: str,
        path: str,
        decode: Callable[[bytes], T],
        *,
        params: Mapping[str, Any] | None = None,
        json: Mapping[str, Any] | None = None,
        options: RequestOptions | None = None,
        cancel: threading.Event | None = None,
    ) -> HttpResponse[T]:
        """Send a request, read the whole response and decode it; retry where that is safe.

        Parameters
        ----------
        method, path : str
            ``GET`` (and ``POST``, which is used for reading only) is retried after connection faults, broken bodies,
            408, 409, 429 and 5xx; ``DELETE`` after 429 only.
        decode : callable
            Converts the body to the result; `msgspec.DecodeError` means a broken body.
        params : mapping, optional
            Query parameters; None values are dropped.
        json : mapping, optional
            The body.
        options : RequestOptions, optional
            Options of this call.
        cancel : threading.Event, optional
            Set it to stop waiting between attempts.
        """

        def attempt() -> HttpResponse[T]:
            with self.limit.slot(cancel) as slot:
                exchange = self._send(method, path, params, json, options)
                status, headers = exchange.response.status_code, exchange.headers()
                if not 200 <= status < 300:
                    raise self._refusal(status, headers, exchange.error_body(), path, slot, exchange.account)
                body = exchange.page(self.bounds.for_call(options))
                slot.succeeded()
                try:
                    return HttpResponse(decode(body), headers, status)
                except msgspec.DecodeError:
                    text = exchange.redactor.text(body[:ERROR_BYTES].decode("utf-8", "replace"))
                    del body  # which can hold a key that the service echoes, from the traceback's frames
                    failure: HistkitError = error_from_response(status, headers, text, path=path)
            raise failure

        worth = is_refused_for_rate if method == "DELETE" else is_passing
        return retrying(self._retries(options), cancel, worth=worth)(attempt)

    def stream(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        options: RequestOptions | None = None,
        cancel: threading.Event | None = None,
        hold: bool = False,
    ) -> ByteStream:
        """Open a response of bytes (audio, zip).

        Parameters
        ----------
        cancel : threading.Event, optional
            Set it to stop waiting, for the response or between attempts.
        hold : bool
            Count the stream as in flight until it is closed: for a caller that reads it to its end at once. A caller
            that pauses, or opens others in between, would block itself.
        """
        requested = options_of(options).get("chunk_size")
        chunk_size = 1024 if requested is None else whole_number("chunk_size", requested, 1)
        bounds = self.bounds.for_call(options)
        as_it_is = _uncompressed(options)
        policy = retrying(self._retries(options), cancel, worth=is_passing)  # the bulk POST only reads: safe as a GET

        def attempt() -> OpenBody:
            slot = self.limit.slot(cancel)
            with slot.on_error():
                exchange = self._send(method, path, None, json, as_it_is, cancel)
                status, headers = exchange.response.status_code, exchange.headers()
                is_text = headers.get("content-type", "").startswith(("text/html", "application/json"))
                if is_text or not 200 <= status < 300:
                    raise self._refusal(status, headers, exchange.error_body(), path, slot, exchange.account)
            if not hold:
                slot.succeeded()
                slot.release()
            return OpenBody(status, headers, slot, lambda: exchange.clip(bounds, chunk_size), exchange.response.close)

        return ByteStream(lambda: policy(attempt), self._retries(options), path, cancel or threading.Event())

    def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        json: Mapping[str, Any] | None,
        options: RequestOptions | None,
        cancel: threading.Event | None = None,
    ) -> Exchange:
        """Send a request once; return the open response."""
        options = options_of(options)
        url = self.base_url + path
        arguments = self._arguments(url, params, json, options)
        account = self._account(url, arguments)
        self._check_refusals(account)
        total = self.bounds.for_call(options).total_timeout
        with self._counting:
            self.requests += 1
        started = time.monotonic()
        try:
            with self._heads.until(started + total, cancel):
                response = self._open_session().request(method, url, **arguments)
        except requests.RequestException as error:
            failure: BaseException = transport_error(error, url)
            if time.monotonic() >= started + total:
                failure = too_slow(url, total)
        except ValueError as error:  # half a surrogate pair, or an int of too many digits
            failure = InputError(f"The request can't be written: {error_line(error)}.")
        except KeyboardInterrupt:
            failure = KeyboardInterrupt()
        else:
            _log.debug("%s %s %s %.0f ms", method, path, response.status_code, 1e3 * (time.monotonic() - started))
            redactor = Redactor(response.request.headers, response.request.url or url, arguments["json"])
            interrupt: Any = self._heads.interrupt or getattr(response.raw, "shutdown", response.close)
            error_seconds = min(arguments["timeout"][1], total)
            return Exchange(
                response, redactor, path, account, self._watchdog, interrupt, started, error_seconds, cancel
            )
        # Raised here so that no traceback contains frames that hold the headers with the key.
        raise failure

    def _arguments(
        self, url: str, params: Mapping[str, Any] | None, json: Mapping[str, Any] | None, options: RequestOptions
    ) -> dict[str, Any]:
        """Return the arguments of `requests.Session.request` for one request."""
        query = {**(params or {}), **(options.get("additional_query_parameters") or {})}
        extra = options.get("additional_body_parameters")
        headers = headers_of(options.get("additional_headers") or {})
        seconds = options.get("timeout_in_seconds")
        timeout = self.timeout if seconds is None else seconds_of("timeout_in_seconds", seconds)
        return {
            "params": {name: query_value(name, value) for name, value in query.items() if value is not None},
            "json": {**(json or {}), **(extra or {})} if json is not None or extra else None,
            "headers": headers,
            "auth": _KeyAuth(self._key_for(headers)),
            "timeout": (min(_CONNECT_SECONDS, timeout), timeout),
            "allow_redirects": False,
            "stream": True,
            "proxies": self._proxies(url),
            "verify": self._certificates(),
        }

    def _refuse_until(self, until: float, account: bytes, error: ApiError) -> ApiError:
        """Record that the service wants no request of an account for long; return the error.

        Requests that were in flight together get the error of the first.
        """
        with self._counting:
            known = self._not_before.get(account)
            if known is not None and known[0] > time.time():
                until, error = max(until, known[0]), known[1]
            self._not_before[account] = until, error
        return copy.copy(error)

    def _check_refusals(self, account: bytes) -> None:
        """Raise the error that told to send no request before a time, which is not over."""
        until, error = self._not_before.get(account, (0.0, None))
        if error is not None and time.time() < until:
            raise copy.copy(error)

    def _refusal(
        self, status: int, headers: dict[str, str], content: Any, path: str, slot: Slot, account: bytes
    ) -> ApiError:
        """Return the error of a response, and let the limit on requests in flight learn from it."""
        wait = retry_after(headers)
        if wait is not None and asks_too_much(headers) and is_retried(status):
            return self._refuse_until(
                time.time() + wait, account, error_from_response(status, headers, content, path=path, wait=wait)
            )
        if status == 429 and parse_error_body(content).has(CONCURRENCY_CODES):
            slot.refused()
        elif status == 429:
            self.limit.pause(wait or 0.0)
        return error_from_response(status, headers, content, path=path)

    def _retries(self, options: RequestOptions | None) -> int:
        retries = options_of(options).get("max_retries")
        return self.max_retries if retries is None else whole_number("max_retries", retries, 0)

    def _open_session(self) -> requests.Session:
        if self._session is not None:
            return self._session
        with self._counting:
            if self._local_session is None:
                self._local_session = own_session(self.limit.ceiling, self._heads)
            return self._local_session

    def _proxies(self, url: str) -> Any:
        """Return the environment's proxies; none for this machine, where a proxy would see the key unencrypted."""
        if is_loopback(url):
            return _NO_PROXY
        return requests.utils.get_environ_proxies(url) if self._session is None else None

    def _certificates(self) -> str | bool | None:
        """Return the file of trusted certificates that the environment names, as requests reads it."""
        if self._session is not None:
            return None
        return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True

    def _account(self, url: str, arguments: Mapping[str, Any]) -> bytes:
        """Return a digest of the host and the key of a request."""
        key = arguments["auth"].key or find_key(arguments["headers"]) or self._session_key() or ""
        return _digest(urlsplit(url).netloc, key)

    def _own_key(self) -> str:
        """Return the key of requests that bring none: the argument's, the session's or the environment's, or ""."""
        return self._key or self._session_key() or (os.environ.get("ELEVENLABS_API_KEY") or "").strip()

    def _session_key(self) -> str | None:
        return None if self._session is None else find_key(self._session.headers)

    def _key_for(self, headers: Mapping[str, Any]) -> Secret | None:
        """Return the key to set: the argument's, else the environment's; None where a header of the call has one.

        A key among the session's headers stays unless the client was given its own.
        """
        if find_key(headers) is not None:
            return None
        if self._key is not None:
            return self._key
        if self._session_key() is not None:
            return None
        key = Secret(os.environ.get("ELEVENLABS_API_KEY") or "")
        if not key:
            raise AuthenticationError("No API key: set ELEVENLABS_API_KEY or pass HistoryClient(api_key=...).")
        return validate_key(key)


def _digest(place: str, key: str) -> bytes:
    """Return a digest that stands for a key at a place, and shows neither."""
    return hashlib.sha256(f"{place}\n{key}".encode("utf-8", "replace")).digest()


@dataclass(frozen=True)
class OpenBody:
    """An open response of bytes.

    Attributes
    ----------
    status_code : int
        HTTP status.
    headers : dict of str to str
        Response headers.
    slot : Slot
        Its place among the requests in flight.
    chunks : callable
        Reads the body.
    close : callable
        Closes the connection.
    """

    status_code: int
    headers: dict[str, str]
    slot: Slot
    chunks: Callable[[], Iterator[bytes]]
    close: Callable[[], object]


class BodyChangedError(TransportError):
    """A body that broke off is another one the second time; a new request may bring it whole."""


class ByteStream:
    """The body of one response, to iterate over once.

    If the connection breaks within the body, the request is sent again, and the bytes already returned are read again
    and compared. The result is one complete body or an error, never a mix of two.
    """

    def __init__(self, open_body: Callable[[], OpenBody], max_retries: int, path: str, cancel: threading.Event) -> None:
        self._open = open_body
        self._max_retries = max_retries
        self._path = path
        self._cancel = cancel
        self._body = open_body()
        self.headers = self._body.headers
        self.status_code = self._body.status_code

    def close(self) -> None:
        """Close the response and free its slot."""
        self._body.close()
        self._body.slot.release()

    def __iter__(self) -> Iterator[bytes]:
        size, digest = 0, hashlib.sha256()
        policy = retrying(self._max_retries, self._cancel, worth=_is_broken_off, seconds=math.inf)
        try:
            for attempt in policy:
                with attempt, closing(self):
                    if attempt.retry_state.attempt_number > 1:
                        self._body = self._open()
                        if self._body.status_code != self.status_code:
                            raise BodyChangedError(f"{self._path} changed while it was being read: start again.")
                    for chunk in self._rest(size, digest.digest()):
                        size += len(chunk)
                        digest.update(chunk)
                        yield chunk
                    self._body.slot.succeeded()
                    return
        except requests.RequestException as error:
            failure = transport_error(error, self._path)
        raise failure

    def _rest(self, returned: int, expected: bytes) -> Iterator[bytes]:
        """Yield the chunks after the bytes that were returned already, if those are the same (by their digest)."""
        skipped, digest = 0, hashlib.sha256()
        for chunk in self._body.chunks():
            if skipped >= returned:
                yield chunk
                continue
            head, tail = chunk[: returned - skipped], chunk[returned - skipped :]
            skipped += len(head)
            digest.update(head)
            if skipped == returned and digest.digest() != expected:
                raise BodyChangedError(f"{self._path} changed while it was being read: start again.")
            if tail:
                yield tail
        if skipped < returned:
            raise BodyChangedError(f"{self._path} became shorter while it was being read: start again.")


def _is_broken_off(error: BaseException) -> bool:
    return isinstance(error, requests.RequestException)


def headers_of(additional: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of a request; the values of secret ones are hidden from every repr."""
    headers = {"user-agent": "histkit"}
    for name, value in additional.items():
        if value is not None:
            headers[name] = Secret(value) if is_secret_name(name) else str(value)
    return headers


def _uncompressed(options: RequestOptions | None) -> RequestOptions:
    """Return options that ask for a body as it is: the declared length of a compressed one is not that of the sound."""
    options = options_of(options)
    headers = {"accept-encoding": "identity", **(options.get("additional_headers") or {})}
    return {**options, "additional_headers": headers}


def query_value(name: str, value: Any) -> Any:
    """Return a query parameter as the service reads it: booleans in lower case.

    Raises
    ------
    InputError
        The value is not a string, number or date, nor a list of them.
    """
    values = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
    if not all(isinstance(item, (str, numbers.Number, date)) for item in values):
        raise InputError(f"{name}={quoted(value)} can't be sent; use a string, a number or a list of them.")
    return str(value).lower() if isinstance(value, bool) else value
