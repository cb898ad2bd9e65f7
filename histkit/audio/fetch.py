"""Clips from the service into files: one at a time (`fetch`), and many side by side."""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

from histkit.api.client import HistoryClient
from histkit.api.options import RequestOptions, item_path
from histkit.api.transport import ByteStream
from histkit.audio import formats
from histkit.errors import DownloadError, InputError

J = TypeVar("J")
R = TypeVar("R")
_CHUNKS: RequestOptions = {"chunk_size": 1 << 18}
_LEAVE_SECONDS = 2.0  # how long an interrupted pull waits for the requests in flight


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


def fetch(client: HistoryClient, source: Source, wav: bool, file: BinaryIO, cancel: threading.Event) -> Clip:
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
    wanted = formats.expected(source.output_format, source.content_type)
    if wav and wanted is not None and wanted.family != "wav" and not wanted.wrappable:
        return _converted(client, source, file, cancel)
    stream = client.transport.stream(
        "GET", item_path(source.history_item_id, "/audio"), options=_CHUNKS, cancel=cancel, hold=True
    )
    sent_type = stream.headers.get("content-type")
    size, digest = _spool(stream, file, cancel)
    if not source.output_format:  # the answer knows better than the row
        wanted = formats.expected(None, sent_type) or wanted
    kind = formats.identify(file, size, wanted)
    if wav and kind.wrappable:
        seconds = formats.seconds_of(file, size, kind)
        size = formats.wrap(file, size, kind)
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
    kind = formats.identify(file, size, formats.Kind("wav"))
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


def check_client(client: HistoryClient | None) -> None:
    """Refuse a client of another kind."""
    if client is not None and not isinstance(client, HistoryClient):
        raise InputError(f"client= takes a histkit.HistoryClient, not {type(client).__name__}.")


@contextmanager
def client_or_own(client: HistoryClient | None, workers: int | None = None) -> Iterator[HistoryClient]:
    """Give the client, or one made now and closed at the end."""
    check_client(client)
    if client is not None:
        yield client
        return
    with HistoryClient(max_concurrency=workers or 4) as own:
        yield own


def threads_for(client: HistoryClient) -> int:
    """Give how many threads pull: two more than requests may be in flight, which check and write meanwhile."""
    return client.transport.limit.ceiling + 2


def side_by_side(
    work: Callable[[J], R], jobs: Sequence[J], workers: int, cancel: threading.Event, *, in_order: bool = False
) -> Generator[tuple[int, R], None, None]:
    """Do jobs in threads and give number and result of each as it ends, or in their order.

    At most twice as many jobs as threads are begun and not yet consumed. The first exception of a job ends all and is
    raised. However the iteration ends, `cancel` is set, and no thread is waited for longer than two seconds: they are
    daemons, and one that hangs in a read must not hold up Ctrl-C.
    """
    results: queue.SimpleQueue[tuple[int, Any, BaseException | None]] = queue.SimpleQueue()
    ahead = threading.Semaphore(2 * workers)
    numbers, drawing = iter(range(len(jobs))), threading.Lock()

    def run() -> None:
        while True:
            ahead.acquire()
            with drawing:
                number = None if cancel.is_set() else next(numbers, None)
            if number is None:
                ahead.release()
                return
            try:
                results.put((number, work(jobs[number]), None))
            except BaseException as error:  # handed to the thread that waits
                results.put((number, None, error))
                return

    threads = [threading.Thread(target=run, name="histkit", daemon=True) for _ in range(min(workers, len(jobs)))]
    try:
        for thread in threads:
            thread.start()
        held: dict[int, R] = {}
        due = 0
        for _ in jobs:
            number, result, error = _next(results)
            if error is not None:
                raise error
            held[number] = result
            while (due if in_order else number) in held:
                given = due if in_order else number
                yield given, held.pop(given)
                due += 1
                ahead.release()
    finally:
        cancel.set()
        ahead.release(len(threads) or 1)
        deadline = time.monotonic() + _LEAVE_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def _next(results: queue.SimpleQueue[Any]) -> tuple[int, Any, BaseException | None]:
    while True:
        try:
            result: tuple[int, Any, BaseException | None] = results.get(timeout=0.5)  # Windows: Ctrl-C needs the pause
        except queue.Empty:
            continue
        return result
