"""`HistoryClient`: the five history calls of the official SDK, with its parameters, defaults and errors.

Code written for ``client.history.list(...)`` runs on it unchanged (`HistoryClient.history` is the client itself).
Additions: `iter_pages`, `models`, `subscription`, and retries for audio. Redirects are not followed, and no repr, log,
traceback or pickle shows the key.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack

from histkit.api.bodies import check_whole
from histkit.api.bounds import Bounds
from histkit.api.credentials import Secret
from histkit.api.models import (
    ApiObject,
    DeleteHistoryItemResponse,
    GetSpeechHistoryResponse,
    Model,
    SpeechHistoryItemResponse,
    Subscription,
    decode_json,
    decode_object,
)
from histkit.api.options import HttpResponse, RequestOptions, history_item_path
from histkit.api.pagination import PageFacts, PageWindow
from histkit.errors import ApiError, InputError, SchemaError
from histkit.util.text import quoted

if TYPE_CHECKING:
    import requests

    from histkit.api.transport import Transport

A = TypeVar("A", bound=ApiObject)
DEFAULT_CONCURRENCY = 4  # requests in flight
OMIT: Any = ...  # the SDK's default where None is sent as null


class ListParameters(TypedDict, total=False):
    """Query parameters of ``GET /v1/history``."""

    page_size: int | None
    start_after_history_item_id: str | None
    voice_id: str | None
    model_id: str | None
    date_before_unix: int | None
    date_after_unix: int | None
    sort_direction: Literal["asc", "desc"] | str | None
    search: str | None
    source: Literal["TTS", "STS", "Flows"] | str | None


class RawHistoryClient:
    """The same five calls, returning `HttpResponse` (``.data``, ``.headers``, ``.status_code``).

    ``get_audio`` and ``download`` are context managers here, as in the official SDK.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self, *, request_options: RequestOptions | None = None, **parameters: Unpack[ListParameters]
    ) -> HttpResponse[GetSpeechHistoryResponse]:
        """See `HistoryClient.list`."""
        unknown = parameters.keys() - ListParameters.__annotations__.keys()
        if unknown:
            raise TypeError(f"list() got an unexpected keyword argument {min(unknown)!r}")
        return self._transport.request(
            "GET",
            "/v1/history",
            _object(GetSpeechHistoryResponse),
            params=parameters,
            options=request_options,
        )

    def get(
        self, history_item_id: str, *, request_options: RequestOptions | None = None
    ) -> HttpResponse[SpeechHistoryItemResponse]:
        """See `HistoryClient.get`."""
        decode = _object(SpeechHistoryItemResponse)
        return self._transport.request("GET", history_item_path(history_item_id), decode, options=request_options)

    def delete(
        self, history_item_id: str, *, request_options: RequestOptions | None = None
    ) -> HttpResponse[DeleteHistoryItemResponse]:
        """See `HistoryClient.delete`."""
        decode = _object(DeleteHistoryItemResponse)
        return self._transport.request("DELETE", history_item_path(history_item_id), decode, options=request_options)

    @contextmanager
    def get_audio(
        self, history_item_id: str, *, request_options: RequestOptions | None = None
    ) -> Iterator[HttpResponse[Iterator[bytes]]]:
        """See `HistoryClient.get_audio`."""
        stream = self._transport.stream("GET", history_item_path(history_item_id, "/audio"), options=request_options)
        try:
            yield HttpResponse(iter(stream), stream.headers, stream.status_code)
        finally:
            stream.close()

    @contextmanager
    def download(
        self,
        *,
        history_item_ids: Sequence[str],
        output_format: str | None = OMIT,
        request_options: RequestOptions | None = None,
    ) -> Iterator[HttpResponse[Iterator[bytes]]]:
        """See `HistoryClient.download`."""
        ids = history_item_ids
        if not isinstance(ids, str):
            ids = list(ids) if isinstance(ids, Iterable) else [ids]
            if not all(isinstance(item, str) for item in ids):
                raise InputError(f"history_item_ids= takes a list of ids, not {quoted(history_item_ids)}.")
        body: dict[str, Any] = {"history_item_ids": ids}
        if output_format is not OMIT:
            if output_format is not None and not isinstance(output_format, str):
                raise InputError(f"output_format={quoted(output_format)} is not possible; use a string such as 'wav'.")
            body["output_format"] = output_format
        stream = self._transport.stream("POST", "/v1/history/download", json=body, options=request_options)
        try:
            yield HttpResponse(iter(stream), stream.headers, stream.status_code)
        finally:
            stream.close()


class HistoryClient:
    """The speech history of one ElevenLabs account.

    Thread-safe. All calls only read, except `delete`.

    Parameters
    ----------
    api_key : str, optional
        API key; by default ``ELEVENLABS_API_KEY``, read at each call, so that a notebook can set it after the import.
        It takes precedence over a key among the session's headers.
    base_url : str, optional
        URL of the service; by default ``ELEVENLABS_BASE_URL``, else production. Plain http is accepted for this machine
        only, a URL with a user name or password never.
    timeout : float
        Seconds without data after which a request fails; at most 10 for connecting.
    max_retries : int
        Further attempts after a connection fault, a broken body, 408, 409, 429 or 5xx. Waits grow exponentially with
        full jitter, follow ``Retry-After``, and end 300 s after the first attempt.
    max_concurrency : int
        Maximum number of requests in flight; halved after a 429 for concurrency, and increased again after successes.
    session : requests.Session, optional
        Session to use, for instance with a proxy or an adapter; the key is never stored in it.
    total_timeout : float, optional
        Seconds for one attempt of a request, from sending it to the last byte of the response, however steadily bytes
        arrive; default: ``HISTKIT_TOTAL_TIMEOUT``, else 10 minutes. Audio and zips get one more second for each 8 KiB
        that arrived, so that large files finish on slow lines. With a `session`, the status line and the headers
        are bounded by `timeout` only.
    max_page_bytes : int, optional
        Largest JSON response, in bytes after decompression; default: ``HISTKIT_MAX_PAGE_BYTES``, else 256 MiB (1,000
        rows of 5,000 characters with alignments are about 180 MB).
    max_clip_bytes : int, optional
        Largest audio file or zip in bytes; default: ``HISTKIT_MAX_CLIP_BYTES``, else 2 GiB. A larger
        zip is replaced by smaller ones in `download_zip`.

    Examples
    --------
    >>> from histkit.sandbox import serve
    >>> with serve(items=50) as sandbox:
    ...     client = HistoryClient(sandbox.api_key, base_url=sandbox.url)
    ...     page = client.list(page_size=10)
    >>> len(page.history), page.has_more
    (10, True)
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float = 60.0,
        max_retries: int = 5,
        max_concurrency: int = DEFAULT_CONCURRENCY,
        session: requests.Session | None = None,
        total_timeout: float | None = None,
        max_page_bytes: int | None = None,
        max_clip_bytes: int | None = None,
    ) -> None:
        api_key = (
            Secret(api_key) if isinstance(api_key, str) else api_key
        )  # from here on no traceback's variables show it
        from histkit.api.transport import Transport  # imports requests, which functions on frames do without

        bounds = Bounds.of(total_timeout, max_page_bytes, max_clip_bytes)
        self.transport = Transport(api_key, base_url, timeout, max_retries, max_concurrency, session, bounds)

    def __repr__(self) -> str:
        return f"HistoryClient(base_url={self.transport.shown_url!r})"

    def __enter__(self) -> HistoryClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()

    @property
    def history(self) -> HistoryClient:
        """The client itself, so that ``client.history.list(...)`` reads as with the official SDK."""
        return self

    @property
    def total_timeout(self) -> float:
        """Seconds for one attempt of a request, its response included."""
        return self.transport.bounds.total_timeout

    @property
    def max_page_bytes(self) -> int:
        """Largest JSON response, in bytes."""
        return self.transport.bounds.max_page_bytes

    @property
    def max_clip_bytes(self) -> int:
        """Largest audio file or zip, in bytes."""
        return self.transport.bounds.max_clip_bytes

    @property
    def with_raw_response(self) -> RawHistoryClient:
        """The same calls, with the status and headers of their responses."""
        return RawHistoryClient(self.transport)

    def list(
        self,
        *,
        page_size: int | None = None,
        start_after_history_item_id: str | None = None,
        voice_id: str | None = None,
        model_id: str | None = None,
        date_before_unix: int | None = None,
        date_after_unix: int | None = None,
        sort_direction: Literal["asc", "desc"] | str | None = None,
        search: str | None = None,
        source: Literal["TTS", "STS", "Flows"] | str | None = None,
        request_options: RequestOptions | None = None,
    ) -> GetSpeechHistoryResponse:
        """Fetch one page of the history, newest first (``GET /v1/history``).

        Parameters
        ----------
        page_size : int, optional
            Rows in the page, 1 to 1000; the service's default is 100.
        start_after_history_item_id : str, optional
            Cursor, exclusive: the previous page's ``last_history_item_id``.
        voice_id, model_id : str, optional
            Only rows of this voice, of this model.
        date_before_unix, date_after_unix : int, optional
            Seconds, UTC; before is exclusive, after inclusive.
        sort_direction : {"desc", "asc"}, optional
            Newest (default) or oldest first.
        search : str, optional
            Text search of the service; its rules are not documented.
        source : {"TTS", "STS", "Flows"}, optional
            Only rows of this source; the service filters no others.
        request_options : RequestOptions, optional
            Timeout, retries, extra headers and query parameters of this call.

        Returns
        -------
        GetSpeechHistoryResponse
            ``history``, ``has_more``, ``last_history_item_id``, ``scanned_until``.

        Raises
        ------
        UnprocessableEntityError
            A parameter is invalid.
        ApiError
            Any other refusal (see `histkit.errors`).
        TransportError
            There was no complete response after all retries.
        """
        return self.with_raw_response.list(
            page_size=page_size,
            start_after_history_item_id=start_after_history_item_id,
            voice_id=voice_id,
            model_id=model_id,
            date_before_unix=date_before_unix,
            date_after_unix=date_after_unix,
            sort_direction=sort_direction,
            search=search,
            source=source,
            request_options=request_options,
        ).data

    def get(self, history_item_id: str, *, request_options: RequestOptions | None = None) -> SpeechHistoryItemResponse:
        """Fetch one history item (``GET /v1/history/{history_item_id}``).

        Parameters
        ----------
        history_item_id : str
            Id of the item.
        request_options : RequestOptions, optional
            Timeout, retries, extra headers and query parameters of this call.

        Returns
        -------
        SpeechHistoryItemResponse
            The item; an optional field that is absent is None.

        Raises
        ------
        NotFoundError
            The item does not exist or was deleted.
        """
        return self.with_raw_response.get(history_item_id, request_options=request_options).data

    def delete(
        self, history_item_id: str, *, request_options: RequestOptions | None = None
    ) -> DeleteHistoryItemResponse:
        """Delete the text and audio of one history item permanently (``DELETE /v1/history/{history_item_id}``).

        Retried only after a 429, because other failures may occur after the deletion.

        Parameters
        ----------
        history_item_id : str
            Id of the item.
        request_options : RequestOptions, optional
            Timeout, retries, extra headers and query parameters of this call.

        Returns
        -------
        DeleteHistoryItemResponse
            ``status`` is ``"ok"``.

        Raises
        ------
        NotFoundError
            The item does not exist or was deleted before.
        """
        return self.with_raw_response.delete(history_item_id, request_options=request_options).data

    def get_audio(self, history_item_id: str, *, request_options: RequestOptions | None = None) -> Iterator[bytes]:
        """Stream the audio of one item as it was generated. Costs no credits.

        The request is sent when the first chunk is read. The format is the row's ``output_format``: not always MP3, and
        PCM has no header.

        Parameters
        ----------
        history_item_id : str
            Id of the item.
        request_options : RequestOptions, optional
            Options of this call; ``chunk_size`` is the size of a chunk in bytes (default 1024).

        Yields
        ------
        bytes
            Chunks of the audio.

        Raises
        ------
        NotFoundError
            The item has no audio, or does not exist.
        TransportError
            There was no complete response after all retries, or only a part (HTTP 206) that was not asked for.
        """
        with self.with_raw_response.get_audio(history_item_id, request_options=request_options) as response:
            yield from check_whole(response, request_options).data

    def download(
        self,
        *,
        history_item_ids: Sequence[str],
        output_format: str | None = OMIT,
        request_options: RequestOptions | None = None,
    ) -> Iterator[bytes]:
        """Stream the audio of one item, or a zip of several (``POST /v1/history/download``). Costs no credits.

        Parameters
        ----------
        history_item_ids : sequence of str
            Ids of the items.
        output_format : {"wav", "default"}, optional
            ``"wav"`` converts to WAV; by default the audio is as generated.
        request_options : RequestOptions, optional
            As in `get_audio`.

        Yields
        ------
        bytes
            Chunks of the audio file or of the zip.

        Raises
        ------
        ApiError
            The service refused the request.
        TransportError
            There was no complete response after all retries, or only a part (HTTP 206) that was not asked for.
        """
        with self.with_raw_response.download(
            history_item_ids=history_item_ids, output_format=output_format, request_options=request_options
        ) as response:
            yield from check_whole(response, request_options).data

    def iter_pages(
        self,
        *,
        page_size: int = 1000,
        voice_id: str | None = None,
        model_id: str | None = None,
        date_before_unix: int | None = None,
        date_after_unix: int | None = None,
        search: str | None = None,
        source: Literal["TTS", "STS", "Flows"] | str | None = None,
        request_options: RequestOptions | None = None,
    ) -> Iterator[GetSpeechHistoryResponse]:
        """Iterate over the pages of the history, newest first, each row once.

        Parameters
        ----------
        page_size : int
            Rows of a page, 1 to 1000.
        voice_id, model_id, date_before_unix, date_after_unix, search, source
            As in `list`.
        request_options : RequestOptions, optional
            Options of each request.

        Yields
        ------
        GetSpeechHistoryResponse
            A page without the rows of earlier pages; pages without a new row are skipped.

        Raises
        ------
        PaginationError
            The cursor fails and paging by date can't replace it. The iteration never ends early without this error.
        """
        for name, value in (("date_after_unix", date_after_unix), ("date_before_unix", date_before_unix)):
            if value is not None and not isinstance(value, numbers.Real):
                raise InputError(f"{name}={quoted(value)} must be a number of seconds since 1970.")
        window = PageWindow(date_after_unix, date_before_unix, page_size)
        while not window.done:
            query = window.query()
            try:
                page = self.list(
                    page_size=page_size,
                    date_after_unix=query.date_after_unix,
                    date_before_unix=query.date_before_unix,
                    start_after_history_item_id=query.start_after_history_item_id,
                    sort_direction=query.sort_direction,
                    voice_id=voice_id,
                    model_id=model_id,
                    search=search,
                    source=source,
                    request_options=request_options,
                )
            except ApiError as error:
                window.handle_refusal(error)
                continue
            fresh = window.accept_page(_facts(page))
            if fresh:
                yield replace(page, history=[page.history[row] for row in fresh], has_more=not window.done)

    def models(self, *, request_options: RequestOptions | None = None) -> Sequence[Model]:
        """List the service's models (``GET /v1/models``).

        Parameters
        ----------
        request_options : RequestOptions, optional
            Options of this call.

        Returns
        -------
        sequence of Model
            The models.
        """
        decode = _objects(Model)
        return self.transport.request("GET", "/v1/models", decode, options=request_options).data

    def subscription(self, *, request_options: RequestOptions | None = None) -> Subscription:
        """Fetch the plan and the credit counter (``GET /v1/user/subscription``).

        Parameters
        ----------
        request_options : RequestOptions, optional
            Options of this call.

        Returns
        -------
        Subscription
            Plan, counter and next reset.

        Raises
        ------
        PermissionDeniedError
            The key lacks the scope ``user_read``.
        """
        decode = _object(Subscription)
        return self.transport.request("GET", "/v1/user/subscription", decode, options=request_options).data


def _object(kind: type[A]) -> Callable[[bytes], A]:
    return lambda body: kind.from_api(decode_object(body))


def _objects(kind: type[A]) -> Callable[[bytes], Sequence[A]]:
    return lambda body: [kind.from_api(raw) for raw in decode_json(body)]


def _facts(page: GetSpeechHistoryResponse) -> PageFacts:
    rows = page.history
    if not isinstance(page.has_more, bool) or not isinstance(rows, list):
        raise SchemaError("A page of the history has no list of rows, or no has_more.")
    for item in rows:
        if not isinstance(item, SpeechHistoryItemResponse) or not isinstance(item.date_unix, int | None):
            raise SchemaError(f"A row of the history does not follow the API's schema: {str(item)[:120]!r}.")
    return PageFacts(
        [item.history_item_id for item in page.history],
        [item.date_unix for item in page.history],
        bool(page.has_more),
        page.last_history_item_id,
    )


def check_client(client: Any, name: str = "client=", *, required: bool = False) -> None:
    """Raise `InputError` unless the argument `name` is a `HistoryClient`; None is accepted unless `required`."""
    if not isinstance(client, HistoryClient) and (required or client is not None):
        raise InputError(f"{name} takes a histkit.HistoryClient, not {type(client).__name__}.")


@contextmanager
def borrowed_client(client: HistoryClient | None, workers: int | None = None) -> Iterator[HistoryClient]:
    """Yield the caller's client, or a new client of the environment that is closed at the end.

    Parameters
    ----------
    client : HistoryClient, optional
        What the caller passed as ``client=``.
    workers : int, optional
        Maximum of requests in flight of a new client (default 4).

    Raises
    ------
    InputError
        The argument is not a `HistoryClient`.
    """
    check_client(client)
    if client is not None:
        yield client
        return
    with HistoryClient(max_concurrency=workers or DEFAULT_CONCURRENCY) as owned:
        yield owned
