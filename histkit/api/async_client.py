"""`AsyncHistoryClient`: the calls of `HistoryClient` for ``await`` and ``async for``, in a thread pool of its own."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, Unpack

from histkit.api.bodies import check_whole
from histkit.api.client import HistoryClient, ListParameters, RawHistoryClient
from histkit.api.credentials import Secret
from histkit.api.models import DeleteHistoryItemResponse, GetSpeechHistoryResponse, SpeechHistoryItemResponse
from histkit.api.options import HttpResponse, RequestOptions

if TYPE_CHECKING:
    import requests

P = ParamSpec("P")
R = TypeVar("R")


def _awaited(
    call: Callable[Concatenate[HistoryClient, P], R],
) -> Callable[Concatenate[AsyncHistoryClient, P], Awaitable[R]]:
    """Return the awaitable form of a call: the same call in a worker thread."""

    @functools.wraps(call)
    async def awaited(self: AsyncHistoryClient, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._workers.run(call, self._client, *args, **kwargs)

    return awaited  # type: ignore[return-value]  # functools.wraps hides that it is a method


def _streamed(
    call: Callable[Concatenate[HistoryClient, P], Iterator[R]],
) -> Callable[Concatenate[AsyncHistoryClient, P], AsyncIterator[R]]:
    """Return the ``async for`` form of a call that returns an iterator."""

    @functools.wraps(call)
    async def streamed(self: AsyncHistoryClient, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        chunks = call(self._client, *args, **kwargs)
        try:
            async for chunk in self._workers.iterate(chunks):
                yield chunk
        finally:
            # After a cancellation a thread may still be running it; then it is closed when that thread is done.
            with contextlib.suppress(ValueError):
                chunks.close()  # type: ignore[attr-defined]

    return streamed  # type: ignore[return-value]


def _chunked(name: str) -> Callable[..., Any]:
    """Return the ``async for`` form of ``get_audio`` or ``download``; cancelling it closes the connection."""

    @functools.wraps(getattr(HistoryClient, name))
    async def chunked(self: AsyncHistoryClient, *args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
        async with getattr(self.with_raw_response, name)(*args, **kwargs) as response:
            async for chunk in check_whole(response, kwargs.get("request_options")).data:
                yield chunk

    return chunked


class Workers:
    """Threads for the calls of one client, as many as it may have requests in flight.

    The event loop's own pool has few threads (six on two processors), and other code waits in it too.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a call in a thread, with the context variables of the caller."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="histkit")
        bound = functools.partial(contextvars.copy_context().run, call, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, bound)

    async def iterate(self, chunks: Iterator[R]) -> AsyncIterator[R]:
        """Iterate over an iterator, each step in a thread."""
        end: Any = object()
        while (chunk := await self.run(next, chunks, end)) is not end:
            yield chunk

    @asynccontextmanager
    async def enter(self, manager: Any) -> AsyncIterator[HttpResponse[AsyncIterator[bytes]]]:
        """Enter and exit a context manager of `RawHistoryClient` in threads."""
        response = await self.run(manager.__enter__)
        try:
            yield HttpResponse(self.iterate(response.data), response.headers, response.status_code)
        finally:
            await self.run(manager.__exit__, None, None, None)

    def close(self) -> None:
        """End the threads that are idle, and the others after their call; the next call starts new ones."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None


class AsyncRawHistoryClient:
    """`RawHistoryClient` with ``await`` and ``async with``; the requests run in worker threads."""

    def __init__(self, raw: RawHistoryClient, workers: Workers) -> None:
        self._raw = raw
        self._workers = workers

    async def list(
        self, *, request_options: RequestOptions | None = None, **parameters: Unpack[ListParameters]
    ) -> HttpResponse[GetSpeechHistoryResponse]:
        """See `HistoryClient.list`."""
        return await self._workers.run(self._raw.list, request_options=request_options, **parameters)

    async def get(
        self, history_item_id: str, *, request_options: RequestOptions | None = None
    ) -> HttpResponse[SpeechHistoryItemResponse]:
        """See `HistoryClient.get`."""
        return await self._workers.run(self._raw.get, history_item_id, request_options=request_options)

    async def delete(
        self, history_item_id: str, *, request_options: RequestOptions | None = None
    ) -> HttpResponse[DeleteHistoryItemResponse]:
        """See `HistoryClient.delete`."""
        return await self._workers.run(self._raw.delete, history_item_id, request_options=request_options)

    @asynccontextmanager
    async def get_audio(self, *args: Any, **kwargs: Any) -> AsyncIterator[HttpResponse[AsyncIterator[bytes]]]:
        """See `HistoryClient.get_audio`."""
        async with self._workers.enter(self._raw.get_audio(*args, **kwargs)) as response:
            yield response

    @asynccontextmanager
    async def download(self, *args: Any, **kwargs: Any) -> AsyncIterator[HttpResponse[AsyncIterator[bytes]]]:
        """See `HistoryClient.download`."""
        async with self._workers.enter(self._raw.download(*args, **kwargs)) as response:
            yield response


class AsyncHistoryClient:
    """`HistoryClient` for ``await`` and ``async for``.

    requests is not an async library, so each request runs in a thread of the client's own pool and doesn't block the
    event loop. The pool has ``max_concurrency`` threads, which is also the maximum number of requests in flight.

    Parameters
    ----------
    api_key, base_url, timeout, max_retries, max_concurrency, session, total_timeout, max_page_bytes, max_clip_bytes
        As in `HistoryClient`.

    Examples
    --------
    >>> import asyncio
    >>> from histkit.sandbox import serve
    >>> async def count(client):
    ...     async with client:
    ...         return [len(page.history) async for page in client.iter_pages(page_size=100)]
    >>> with serve(items=250) as sandbox:
    ...     asyncio.run(count(AsyncHistoryClient(sandbox.api_key, base_url=sandbox.url)))
    [100, 100, 50]
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float = 60.0,
        max_retries: int = 5,
        max_concurrency: int = 4,
        session: requests.Session | None = None,
        total_timeout: float | None = None,
        max_page_bytes: int | None = None,
        max_clip_bytes: int | None = None,
    ) -> None:
        api_key = Secret(api_key) if isinstance(api_key, str) else api_key
        self._client = HistoryClient(
            api_key,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            max_concurrency=max_concurrency,
            session=session,
            total_timeout=total_timeout,
            max_page_bytes=max_page_bytes,
            max_clip_bytes=max_clip_bytes,
        )
        self._workers = Workers(self._client.transport.limit.ceiling)

    def __repr__(self) -> str:
        return f"Async{self._client!r}"

    async def __aenter__(self) -> AsyncHistoryClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections and end the threads."""
        try:
            await self._workers.run(self._client.close)
        finally:
            self._workers.close()

    @property
    def history(self) -> AsyncHistoryClient:
        """The client itself, as in `HistoryClient.history`."""
        return self

    @property
    def total_timeout(self) -> float:
        """As `HistoryClient.total_timeout`."""
        return self._client.total_timeout

    @property
    def max_page_bytes(self) -> int:
        """As `HistoryClient.max_page_bytes`."""
        return self._client.max_page_bytes

    @property
    def max_clip_bytes(self) -> int:
        """As `HistoryClient.max_clip_bytes`."""
        return self._client.max_clip_bytes

    @property
    def with_raw_response(self) -> AsyncRawHistoryClient:
        """The same calls, with the status and headers of their responses."""
        return AsyncRawHistoryClient(self._client.with_raw_response, self._workers)

    list = _awaited(HistoryClient.list)
    get = _awaited(HistoryClient.get)
    delete = _awaited(HistoryClient.delete)
    get_audio = _chunked("get_audio")
    download = _chunked("download")
    iter_pages = _streamed(HistoryClient.iter_pages)
    models = _awaited(HistoryClient.models)
    subscription = _awaited(HistoryClient.subscription)
