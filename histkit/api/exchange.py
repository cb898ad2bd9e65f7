"""One request that was sent, and its response, whose body is read within bounds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import requests

from histkit.api.bounds import ERROR_BYTES, SLOWEST_STREAM, Bounds, Watchdog, too_slow
from histkit.api.credentials import Redactor
from histkit.errors import TransportError

_READ_BYTES = 1 << 18


class _SlowBodyError(Exception):
    """A body was not complete in time."""


@dataclass(frozen=True)
class Exchange:
    """A request that was sent, and its response, whose body is still unread.

    Attributes
    ----------
    response : requests.Response
        The response.
    redactor : Redactor
        Removes the secrets that were sent.
    path : str
        Route, for messages.
    account : bytes
        Digest of the host and the key.
    watchdog : Watchdog
        Ends reads that take too long.
    interrupt : callable
        Ends a read in another thread.
    started : float
        When the request was sent (`time.monotonic`).
    error_seconds : float
        Seconds for the body of an error.
    cancel : threading.Event or None
        Set it to end a read.
    """

    response: requests.Response
    redactor: Redactor
    path: str
    account: bytes
    watchdog: Watchdog
    interrupt: Callable[[], object]
    started: float
    error_seconds: float
    cancel: threading.Event | None = None

    def headers(self) -> dict[str, str]:
        """Return the response headers without secrets, names in lower case."""
        return self.redactor.headers(self.response.headers)

    def page(self, bounds: Bounds) -> bytes:
        """Read the body of a JSON response.

        Raises
        ------
        TransportError
            The connection broke, or the body exceeds a bound.
        """
        pieces, size = [], 0
        with self.response:
            bounds.check_page(self._declared_size(), self.path)
            try:
                for piece in self._pieces(_READ_BYTES, lambda size: bounds.total_timeout):
                    size += len(piece)
                    bounds.check_page(size, self.path)
                    pieces.append(piece)
                return b"".join(pieces)
            except requests.RequestException as error:
                failure = transport_error(error, self.path)
            except _SlowBodyError:
                failure = too_slow(self.path, bounds.total_timeout)
        raise failure

    def error_body(self) -> Any:
        """Read the body of an error without its secrets: decoded JSON, else its text.

        Of one that is too large or too slow, the beginning is returned.
        """
        pieces, size, complete = [], 0, True
        with self.response:
            try:
                for piece in self._pieces(_READ_BYTES, lambda size: self.error_seconds):
                    pieces.append(piece)
                    size += len(piece)
                    if size > ERROR_BYTES:
                        complete = False
                        break
            except _SlowBodyError:
                complete = False
            except requests.RequestException as error:
                raise transport_error(error, self.path) from None
        return self.redactor.json(b"".join(pieces)[:ERROR_BYTES], complete=complete)

    def clip(self, bounds: Bounds, chunk_size: int) -> Iterator[bytes]:
        """Yield the chunks of an audio file or a zip.

        Raises
        ------
        TransportError
            The body exceeds a bound.
        requests.RequestException
            The connection broke.
        """
        bounds.check_clip(self._declared_size(), self.path)
        received = 0
        try:
            for chunk in self._pieces(chunk_size, lambda size: bounds.total_timeout + size / SLOWEST_STREAM):
                received += len(chunk)
                bounds.check_clip(received, self.path)
                yield chunk
        except _SlowBodyError:
            failure = too_slow(self.path, bounds.total_timeout, stream=True)
        else:
            return
        raise failure

    def _declared_size(self) -> int:
        """Return the size that the response declares, 0 if it declares none."""
        declared = self.response.headers.get("content-length", "")
        return int(declared) if declared.isascii() and declared.isdecimal() else 0

    def _pieces(self, size: int, seconds: Callable[[int], float]) -> Iterator[bytes]:
        """Yield the body in pieces of at most `size` bytes.

        Parameters
        ----------
        size : int
            Bytes of a piece.
        seconds : callable
            Seconds that the response may take, by the number of bytes received. The time between two pieces, which is
            the caller's, doesn't count.
        """
        pieces = self.response.iter_content(size)
        received, began = 0, self.started
        while True:
            deadline = began + seconds(received)
            if time.monotonic() >= deadline:
                raise _SlowBodyError
            with self.watchdog.watch(deadline, self.interrupt, self.cancel) as watch:
                try:
                    piece = next(pieces, b"")
                except Exception as error:
                    if watch.expired:
                        raise _SlowBodyError from error
                    raise
            if watch.expired:
                raise _SlowBodyError
            if not piece:
                if self.cancel is not None and self.cancel.is_set():  # then the end may be that of the connection
                    raise requests.ConnectionError("The request was cancelled.")
                return
            received += len(piece)
            paused = time.monotonic()
            yield piece
            began += time.monotonic() - paused


def transport_error(error: requests.RequestException, where: str) -> TransportError:
    """Return the error of a request without a complete response."""
    what = {
        requests.exceptions.SSLError: "the TLS certificate was not accepted",
        requests.exceptions.ProxyError: "the proxy refused the connection",
        requests.exceptions.ConnectTimeout: "no connection within the timeout",
        requests.exceptions.ReadTimeout: "no answer within the timeout",
        requests.exceptions.ChunkedEncodingError: "the connection broke in the middle of the answer",
        requests.exceptions.ContentDecodingError: "the answer's compression is broken",
        requests.exceptions.InvalidHeader: "the answer's headers contradict each other",
        requests.exceptions.ConnectionError: "the connection failed or was refused",
    }
    reason = next((text for kind, text in what.items() if isinstance(error, kind)), type(error).__name__)
    failure = TransportError(f"No complete response from {where}: {reason}. Check the network and the base URL.")
    failure.passing = not isinstance(error, (requests.exceptions.SSLError, requests.exceptions.InvalidURL))
    return failure
