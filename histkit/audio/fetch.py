"""Download single clips: request, verify, convert to WAV on request."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import BinaryIO

from histkit.api.client import HistoryClient
from histkit.api.options import RequestOptions, history_item_path
from histkit.api.transport import ByteStream
from histkit.audio import formats
from histkit.audio.structure import measure_clip
from histkit.errors import DownloadError, TransportError
from histkit.util.files import sha256_of

_MIN_FAILURES = 8
_CHUNKS: RequestOptions = {"chunk_size": formats.BLOCK}


class Cancelled(Exception):
    """The download was cancelled; the result of this thread is dropped."""


@dataclass(frozen=True)
class Source:
    """A clip at the service: its id and the format that its row declares."""

    history_item_id: str
    output_format: str | None = None
    content_type: str | None = None

    def expected_format(self) -> formats.AudioFormat | None:
        """Return the format that the row declares; None if it declares none."""
        return formats.expected_format(self.output_format, self.content_type)


@dataclass(frozen=True)
class Clip:
    """A downloaded and verified clip.

    Attributes
    ----------
    extension : str
        From the bytes, without dot.
    bytes : int
        Size.
    seconds : float or None
        Duration.
    sha256 : str
        Hexadecimal.
    converted : bool
        Whether it is WAV made from another format.
    """

    extension: str
    bytes: int
    seconds: float | None
    sha256: str
    converted: bool


class CircuitBreaker:
    """Count consecutive requests without an answer, and refuse further ones after a limit.

    Parameters
    ----------
    limit : int
        Consecutive failures after which the service counts as unreachable.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._failures = 0

    @classmethod
    def of_threads(cls, threads: int) -> CircuitBreaker:
        """Return a breaker for requests of several threads: two failures of each, at least 8."""
        return cls(max(_MIN_FAILURES, 2 * threads))

    @property
    def tripped(self) -> bool:
        """Whether the limit is reached."""
        return self._failures >= self.limit

    def check(self) -> None:
        """Raise `TransportError` if the limit is reached."""
        if self.tripped:
            raise TransportError(f"Not tried: the {self.limit} clips before it got no response from the service.")

    def record(self, *, answered: bool) -> None:
        """Count a request; any answer, also a refusal, resets the count."""
        self._failures = 0 if answered else min(self._failures + 1, self.limit)


def fetch_clip(client: HistoryClient, source: Source, wav: bool, file: BinaryIO, cancel: threading.Event) -> Clip:
    """Download one clip into an open file and verify it.

    Parameters
    ----------
    client : HistoryClient
        Its limit on requests in flight and its retry policy apply.
    source : Source
        The clip.
    wav : bool
        Convert to WAV: raw samples get a header locally, other formats are converted by the service.
    file : binary file
        Empty, open for reading and writing.
    cancel : threading.Event
        Ends the download at the next chunk.

    Raises
    ------
    DownloadError
        The response is not the clip.
    HistkitError
        The service refused, or no complete response came.
    """
    expected = source.expected_format()
    if wav and expected is not None and expected.family != "wav" and not expected.wrappable:
        return _fetch_as_wav(client, source, file, cancel)
    stream = client.transport.stream(
        "GET", history_item_path(source.history_item_id, "/audio"), options=_CHUNKS, cancel=cancel, hold=True
    )
    content_type = stream.headers.get("content-type")
    size, digest = write_body(stream, file, cancel)
    if not source.output_format:  # the response's content type is more reliable than the row's
        expected = formats.expected_format(None, content_type) or expected
    audio_format = formats.identify(file, size, expected)
    if wav and audio_format.wrappable:
        seconds = measure_clip(file, size, audio_format).seconds
        size = formats.add_wav_header(file, size, audio_format)
        return Clip("wav", size, seconds, sha256_of(file), converted=True)
    if wav and audio_format.family != "wav":
        file.seek(0)
        file.truncate()
        return _fetch_as_wav(client, source, file, cancel)
    return Clip(audio_format.family, size, measure_clip(file, size, audio_format).seconds, digest, converted=False)


def _fetch_as_wav(client: HistoryClient, source: Source, file: BinaryIO, cancel: threading.Event) -> Clip:
    body = {"history_item_ids": [source.history_item_id], "output_format": "wav"}
    stream = client.transport.stream(
        "POST", "/v1/history/download", json=body, options=_CHUNKS, cancel=cancel, hold=True
    )
    size, digest = write_body(stream, file, cancel)
    audio_format = formats.identify(file, size, formats.AudioFormat("wav"))
    if audio_format.family != "wav":
        raise DownloadError(f"The service sent {audio_format.family} although WAV was requested.")
    return Clip("wav", size, measure_clip(file, size, audio_format).seconds, digest, converted=True)


def write_body(stream: ByteStream, file: BinaryIO, cancel: threading.Event) -> tuple[int, str]:
    """Write a response body to a file and close the stream; return size and SHA-256.

    Raises
    ------
    Cancelled
        `cancel` was set.
    """
    size, digest = 0, hashlib.sha256()
    try:
        for chunk in stream:
            if cancel.is_set():
                raise Cancelled
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    finally:
        stream.close()
    return size, digest.hexdigest()


def threads_for(client: HistoryClient) -> int:
    """Return the number of download threads: two more than requests in flight, to verify and write meanwhile."""
    return client.transport.limit.ceiling + 2
