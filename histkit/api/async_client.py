"""`AsyncHistoryClient`: the calls of `HistoryClient` for ``await`` and ``async for``, made from them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, Unpack

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
    """Make the awaited form of a call: the same call in a worker thread."""

    @functools.wraps(call)
    async def awaited(self: AsyncHistoryClient, *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.to_thread(call, self._client, *args, **kwargs)

    return awaited  # type: ignore[return-value]  # functools.wraps hides that it is a method


def _streamed(
    call: Callable[Concatenate[HistoryClient, P], Iterator[R]],
) -> Callable[Concatenate[AsyncHistoryClient, P], AsyncIterator[R]]:
    """Make the ``async for`` form of a call that gives an iterator."""

    @functools.wraps(call)
    async def streamed(self: AsyncHistoryClient, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        chunks = call(self._client, *args, **kwargs)
        try:
            async for chunk in _async_chunks(chunks):
                yield chunk
        finally:
            # After a cancellation its thread may still be in it; then it is closed when that thread lets go of it.
            with contextlib.suppress(ValueError):
                chunks.close()  # type: ignore[attr-defined]

    return streamed  # type: ignore[return-value]


def _chunked(name: str) -> Callable[..., Any]:
    """Make the ``async for`` form of ``get_audio`` or ``download``; cancelling it breaks the connection off."""

    @functools.wraps(getattr(HistoryClient, name))
    async def chunked(self: AsyncHistoryClient, *args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
        async with getattr(self.with_raw_response, name)(*args, **kwargs) as response:
            async for chunk in response.data:
                yield chunk

    return chunked


async def _async_chunks(chunks: Iterator[R]) -> AsyncIterator[R]:
    end = object()
    while (chunk := await asyncio.to_thread(next, chunks, end)) is not end:
        yield chunk  # type: ignore[misc]


class AsyncRawHistoryClient:
    """`RawHistoryClient` with ``await`` and ``async with``; the requests run in worker threads."""

    def __init__(self, raw: RawHistoryClient) -> None:
        self._raw = raw

    async def list(
        self, *, request_options: RequestOptions | None = None, **parameters: Unpack[ListParameters]
    ) -> HttpResponse[GetSpeechHistoryResponse]:
        """See `HistoryClient.list`."""
        return await asyncio.to_thread(self._raw.list, request_options=request_options, **parameters)

    async def get(
        self, history_item_id: str, *, request_options: RequestOptions | None = None
    ) -> HttpResponse[SpeechHistoryItemResponse]:
        """See `HistoryClient.get`."""
        return await asyncio.to_thread(self._raw.get, history_item_id, request_options=request_options)

    async def delete(
        self, history_item_id: str, *, request_options: RequestOptions | None = None
    ) -> HttpResponse[DeleteHistoryItemResponse]:
        """See `HistoryClient.delete`."""
        return await asyncio.to_thread(self._raw.delete, history_item_id, request_options=request_options)

    @asynccontextmanager
    async def get_audio(self, *args: Any, **kwargs: Any) -> AsyncIterator[HttpResponse[AsyncIterator[bytes]]]:
        """See `HistoryClient.get_audio`."""
        async with _entered(self._raw.get_audio(*args, **kwargs)) as response:
            yield response

    @asynccontextmanager
    async def download(self, *args: Any, **kwargs: Any) -> AsyncIterator[HttpResponse[AsyncIterator[bytes]]]:
        """See `HistoryClient.download`."""
        async with _entered(self._raw.download(*args, **kwargs)) as response:
            yield response


@asynccontextmanager
async def _entered(manager: Any) -> AsyncIterator[HttpResponse[AsyncIterator[bytes]]]:
    response = await asyncio.to_thread(manager.__enter__)
    try:
        yield HttpResponse(_async_chunks(response.data), response.headers, response.status_code)
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)


class AsyncHistoryClient:
    """`HistoryClient` for ``await`` and ``async for``; same parameters.

    requests is not an async library: each request runs in a worker thread (`asyncio.to_thread`), so the event loop
    stays free, and ``max_concurrency`` limits the requests in flight as in `HistoryClient`.
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
    ) -> None:
        api_key = Secret(api_key) if isinstance(api_key, str) else api_key
        self._client = HistoryClient(
            api_key,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            max_concurrency=max_concurrency,
            session=session,
        )

    def __repr__(self) -> str:
        return f"Async{self._client!r}"

    async def __aenter__(self) -> AsyncHistoryClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self._client.close)

    @property
    def history(self) -> AsyncHistoryClient:
        """The client itself, as in `HistoryClient.history`."""
        return self

    @property
    def with_raw_response(self) -> AsyncRawHistoryClient:
        """The same calls, answering with status and headers too."""
        return AsyncRawHistoryClient(self._client.with_raw_response)

    list = _awaited(HistoryClient.list)
    get = _awaited(HistoryClient.get)
    delete = _awaited(HistoryClient.delete)
    get_audio = _chunked("get_audio")
    download = _chunked("download")
    iter_pages = _streamed(HistoryClient.iter_pages)
    models = _awaited(HistoryClient.models)
    subscription = _awaited(HistoryClient.subscription)
