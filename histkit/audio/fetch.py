"""Download single clips: request, verify, convert to WAV on request."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import BinaryIO, Literal, TypeVar

import msgspec

from histkit.api.bodies import body_defect, range_size
from histkit.api.client import HistoryClient
from histkit.api.error_mapping import concerns_every_request
from histkit.api.existence import item_exists
from histkit.api.options import RequestOptions, history_item_path
from histkit.api.retry import asks_too_much, retrying
from histkit.api.transport import BodyChangedError, ByteStream
from histkit.audio import formats
from histkit.audio.samples import may_be_samples
from histkit.audio.structure import ClipStructure, measure_clip
from histkit.errors import (
    ApiError,
    DownloadError,
    HistkitError,
    NotFoundError,
    TransportError,
)
from histkit.util.background import Cancelled
from histkit.util.files import sha256_of

T = TypeVar("T")
Proof = Literal["structure", "hash", "length", "none"]

_MIN_FAILURES = 8
_NOTE_OF_SAMPLES = "The clip has no header, and its row states no known format: saved as raw samples"
_NOTE_OF_PCM = (
    f"{_NOTE_OF_SAMPLES} (16-bit PCM) of unknown rate. sample_rate= states it, and format='wav' adds the header."
)


class UnusableResponseError(DownloadError):
    """The response is not the whole clip. Another response may be, so it is worth a retry."""


class TooLargeError(DownloadError):
    """The response is larger than the client's ``max_clip_bytes``."""


class Source(msgspec.Struct, frozen=True, gc=False):
    """A clip at the service: its id, the format that its row declares, and the rate of samples that declare none."""

    history_item_id: str
    output_format: str | None = None
    content_type: str | None = None
    sample_rate: int | None = None

    def expected_format(self) -> formats.AudioFormat | None:
        """Return the format that the row declares; None if it declares none."""
        return self.with_rate(formats.expected_format(self.output_format, self.content_type))

    @property
    def declared(self) -> bool:
        """Whether the row names a known format in ``output_format``, which is sure; its content type is not."""
        return formats.expected_format(self.output_format, None) is not None

    def with_rate(self, audio_format: formats.AudioFormat | None) -> formats.AudioFormat | None:
        """Return a format with `sample_rate`, if it is headerless and its own rate is unknown."""
        if audio_format is not None and audio_format.headerless and audio_format.rate is None:
            return replace(audio_format, rate=self.sample_rate)
        return audio_format


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
    proof : {"structure", "hash", "length", "none"}
        How it is known to be whole: see `histkit.audio.manifest`.
    note : str or None
        One line about a clip that was saved with a reservation.
    """

    extension: str
    bytes: int
    seconds: float | None
    sha256: str
    converted: bool
    proof: Proof = "none"
    note: str | None = None


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

    def call(self, request: Callable[[], T]) -> T | HistkitError | OSError:
        """Return the result of a request, or its error as a value, and count whether the service answered."""
        try:
            self.check()
            result: T | HistkitError | OSError = request()
        except (HistkitError, OSError) as error:
            result = error
        self.record(answered=not isinstance(result, TransportError))
        return result

    def record(self, *, answered: bool) -> None:
        """Count a request; any answer, also a refusal, resets the count."""
        self._failures = 0 if answered else min(self._failures + 1, self.limit)


def fetch_clip(
    client: HistoryClient,
    source: Source,
    wav: bool,
    file: BinaryIO,
    cancel: threading.Event,
    *,
    retries: int | None = None,
) -> Clip:
    """Download one clip into an open file and verify it. A response that is not the whole clip is retried.

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
    retries : int, optional
        Further attempts after the first; default: those of the client.

    Raises
    ------
    DownloadError
        No response was the whole clip.
    NotFoundError
        The history item does not exist, also if the service refused the clip for another reason.
    HistkitError
        The service refused, or no complete response came.
    """
    retries = client.transport.max_retries if retries is None else retries
    options: RequestOptions = {"chunk_size": formats.BLOCK, "max_retries": retries}
    policy = retrying(retries, cancel, worth=_is_unusable, seconds=math.inf)
    try:
        return policy(_fetch_once, client, source, wav, file, cancel, options)
    except HistkitError as error:
        failure = error
    if _may_be_gone(failure) and not cancel.is_set():
        _check_exists(client, source.history_item_id)
    raise failure


def _is_unusable(error: BaseException) -> bool:
    return isinstance(error, (UnusableResponseError, BodyChangedError))


def _may_be_gone(error: HistkitError) -> bool:
    """Return whether to look the history item up after an error: this clip was refused, not every one would be.

    Not while the service asks for a long wait, and not if its answer says already that the item does not exist.
    """
    if not isinstance(error, ApiError):
        return isinstance(error, UnusableResponseError)
    refused = 400 <= (error.status_code or 0) < 500 and not isinstance(error, NotFoundError)
    return refused and not concerns_every_request(error) and not asks_too_much(error.headers)


def _check_exists(client: HistoryClient, item: str) -> None:
    """Raise `NotFoundError` if the service says that a history item does not exist."""
    try:
        exists = item_exists(client, item, min(2, client.transport.max_retries))
    except HistkitError:
        return
    if exists is False:
        raise NotFoundError("The history item does not exist.", status_code=404)


def _fetch_once(
    client: HistoryClient,
    source: Source,
    wav: bool,
    file: BinaryIO,
    cancel: threading.Event,
    options: RequestOptions,
) -> Clip:
    expected = source.expected_format()
    may_be_samples = not source.declared and source.sample_rate is not None
    if wav and expected is not None and expected.family != "wav" and not expected.wrappable and not may_be_samples:
        return _fetch_as_wav(client, source, file, cancel, options)
    stream = client.transport.stream(
        "GET", history_item_path(source.history_item_id, "/audio"), options=options, cancel=cancel, hold=True
    )
    body = write_body(stream, file, cancel)
    if not source.declared:  # the response's content type is more reliable than the row's
        expected = source.with_rate(formats.expected_format(None, body.content_type)) or expected
    audio_format = _identify(file, body, expected, source)
    if wav and audio_format.family != "wav" and not audio_format.wrappable:
        return _fetch_as_wav(client, source, file, cancel, options)
    structure = _usable_structure(file, body, audio_format)
    guessed = audio_format.headerless and (expected is None or not expected.headerless)
    proof = proof_of(structure, file, body.size, audio_format, sized=body.sized and not guessed)
    if wav and audio_format.wrappable:  # its header proves nothing, since it is made for the bytes that came
        size = formats.add_wav_header(file, body.size, audio_format)
        return Clip("wav", size, structure.seconds, sha256_of(file), converted=True, proof=proof)
    note = None
    if guessed:
        note = _NOTE_OF_PCM if audio_format.rate is None else f"{_NOTE_OF_SAMPLES} ({audio_format.family})."
    return Clip(audio_format.family, body.size, structure.seconds, body.sha256, converted=False, proof=proof, note=note)


def _fetch_as_wav(
    client: HistoryClient, source: Source, file: BinaryIO, cancel: threading.Event, options: RequestOptions
) -> Clip:
    request = {"history_item_ids": [source.history_item_id], "output_format": "wav"}
    stream = client.transport.stream(
        "POST", "/v1/history/download", json=request, options=options, cancel=cancel, hold=True
    )
    body = write_body(stream, file, cancel)
    audio_format = _identify(file, body, formats.AudioFormat("wav"), source)
    if audio_format.headerless:
        raise UnusableResponseError(
            "The service sent raw samples although WAV was requested; their rate adds the header: pass sample_rate=."
        )
    if audio_format.family != "wav":
        raise UnusableResponseError(f"The service sent {audio_format.family} although WAV was requested.")
    structure = _usable_structure(file, body, audio_format)
    proof = proof_of(structure, file, body.size, audio_format, sized=body.sized)
    return Clip("wav", body.size, structure.seconds, body.sha256, converted=True, proof=proof)


def _identify(file: BinaryIO, body: Body, expected: formats.AudioFormat | None, source: Source) -> formats.AudioFormat:
    try:
        audio_format = formats.identify(
            file, body.size, expected, undeclared=not source.declared, stated=source.sample_rate is not None
        )
    except DownloadError as error:
        raise UnusableResponseError(str(error)) from None
    return source.with_rate(audio_format) or audio_format


def _usable_structure(file: BinaryIO, body: Body, audio_format: formats.AudioFormat) -> ClipStructure:
    try:
        return measure_clip(file, body.size, audio_format)
    except DownloadError as error:
        raise UnusableResponseError(str(error)) from None


def proof_of(
    structure: ClipStructure, file: BinaryIO, size: int, audio_format: formats.AudioFormat, *, sized: bool
) -> Proof:
    """Return how a clip is known to be whole; `sized` if the service declared its size.

    The length of bytes that are said to be raw samples, and look like none, shows nothing: they may be a part of a
    compressed file.
    """
    if structure.proof == "structure":
        return "structure"
    if not sized or (audio_format.headerless and not may_be_samples(file, size, audio_format.family)):
        return "none"
    return "length"


@dataclass(frozen=True)
class Body:
    """A response body that was written to a file.

    Attributes
    ----------
    size : int
        Bytes.
    sha256 : str
        Hexadecimal.
    content_type : str or None
        From the response.
    sized : bool
        Whether the response declared this size.
    """

    size: int
    sha256: str
    content_type: str | None
    sized: bool


def write_body(stream: ByteStream, file: BinaryIO, cancel: threading.Event, start: int = 0) -> Body:
    """Write a response body to a file in place of what is there from `start`, and close the stream.

    Raises
    ------
    UnusableResponseError
        The status is not 200, the body is a part of the clip, encoded in an unknown way or empty, or it has not the
        size that was declared.
    TooLargeError
        It is larger than the client's ``max_clip_bytes``; what was written is removed.
    Cancelled
        `cancel` was set.
    """
    size, digest = 0, hashlib.sha256()
    file.seek(start)
    file.truncate()
    try:
        defect = body_defect(stream.status_code, stream.headers)
        if defect is not None:
            raise UnusableResponseError(defect)
        for chunk in stream:
            if cancel.is_set():
                raise Cancelled
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    except TransportError as error:
        if error.passing:
            raise
        file.seek(start)
        file.truncate()
        raise TooLargeError(str(error)) from None
    finally:
        stream.close()
    declared = _declared_sizes(stream)
    for number in declared:
        if number != size:
            raise UnusableResponseError(f"{size:,} of {number:,} bytes came.")
    if not size:
        raise UnusableResponseError("The clip came empty.")
    return Body(size, digest.hexdigest(), stream.headers.get("content-type"), bool(declared))


def _declared_sizes(stream: ByteStream) -> list[int]:
    """Return the numbers of bytes that a response declared; none for a compressed body, whose own size they are."""
    if stream.headers.get("content-encoding", "identity") != "identity":
        return []
    sizes = []
    length = stream.headers.get("content-length", "").strip()
    if length.isdecimal() and "transfer-encoding" not in stream.headers:
        sizes.append(int(length))
    spanned = range_size(stream.headers.get("content-range", ""))
    return sizes if spanned is None else [*sizes, spanned]


def threads_for(client: HistoryClient) -> int:
    """Return the number of download threads: two more than requests in flight, to verify and write meanwhile."""
    return client.transport.limit.ceiling + 2
