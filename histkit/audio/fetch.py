"""Clips from the service into files: one at a time (`fetch_clip`), and many side by side."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import Any, BinaryIO

from histkit.api.client import HistoryClient
from histkit.api.options import RequestOptions, history_item_path
from histkit.api.transport import ByteStream
from histkit.audio import formats
from histkit.errors import DownloadError

_CHUNKS: RequestOptions = {"chunk_size": 1 << 18}


class Cancelled(Exception):
    """The pull is over; what this thread was doing is not wanted any more."""


@dataclass(frozen=True)
class Source:
    """A clip to pull: its id and what its row says it is."""

    history_item_id: str
    output_format: str | None = None
    content_type: str | None = None


@dataclass(frozen=True)
class Clip:
    """A clip that was pulled and verified.

    Attributes
    ----------
    extension : str
        By what the bytes are, without dot.
    bytes : int
        Size.
    seconds : float or None
        Length of the sound.
    sha256 : str
        In hexadecimal.
    converted : bool
        Whether it is WAV made of something else.
    """

    extension: str
    bytes: int
    seconds: float | None
    sha256: str
    converted: bool


def fetch_clip(client: HistoryClient, source: Source, wav: bool, file: BinaryIO, cancel: threading.Event) -> Clip:
    """Pull one clip into an open file and verify it.

    Parameters
    ----------
    client : HistoryClient
        Its limit on requests in flight and its retries hold here too.
    source : Source
        Which one.
    wav : bool
        Make it WAV: samples without a header get one here, MP3 and the like are converted by the service.
    file : binary file
        Empty, open for reading and writing.
    cancel : threading.Event
        Ends the pull at the next chunk.

    Raises
    ------
    DownloadError
        What came is not the clip.
    HistkitError
        The service refused, or no whole answer came.
    """
    wanted = formats.expected_format(source.output_format, source.content_type)
    if wav and wanted is not None and wanted.family != "wav" and not wanted.wrappable:
        return _converted(client, source, file, cancel)
    stream = client.transport.stream(
        "GET", history_item_path(source.history_item_id, "/audio"), options=_CHUNKS, cancel=cancel, hold=True
    )
    sent_type = stream.headers.get("content-type")
    size, digest = _spool(stream, file, cancel)
    if not source.output_format:  # the answer knows better than the row
        wanted = formats.expected_format(None, sent_type) or wanted
    kind = formats.identify(file, size, wanted)
    if wav and kind.wrappable:
        seconds = formats.seconds_of(file, size, kind)
        size = formats.add_wav_header(file, size, kind)
        return Clip("wav", size, seconds, _hash(file), converted=True)
    if wav and kind.family != "wav":
        file.seek(0)
        file.truncate()
        return _converted(client, source, file, cancel)
    return Clip(kind.family, size, formats.seconds_of(file, size, kind), digest, converted=False)


def _converted(client: HistoryClient, source: Source, file: BinaryIO, cancel: threading.Event) -> Clip:
    body = {"history_item_ids": [source.history_item_id], "output_format": "wav"}
    stream = client.transport.stream(
        "POST", "/v1/history/download", json=body, options=_CHUNKS, cancel=cancel, hold=True
    )
    size, digest = _spool(stream, file, cancel)
    kind = formats.identify(file, size, formats.AudioFormat("wav"))
    if kind.family != "wav":
        raise DownloadError(f"The service was asked for WAV and sent {kind.family}.")
    return Clip("wav", size, formats.seconds_of(file, size, kind), digest, converted=True)


def _spool(stream: ByteStream, file: BinaryIO, cancel: threading.Event) -> tuple[int, str]:
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


def _hash(file: Any) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def threads_for(client: HistoryClient) -> int:
    """Give how many threads pull: two more than requests may be in flight, which check and write meanwhile."""
    return client.transport.limit.ceiling + 2
