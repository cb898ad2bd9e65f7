"""`AsyncHistoryClient` has as many requests in flight as it says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

import histkit as hk
from histkit.sandbox import Sandbox


def test_as_many_calls_are_in_flight_as_the_client_says(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=20, latency=1.5)

    async def run() -> None:
        async with hk.AsyncHistoryClient(box.api_key, base_url=box.url, max_concurrency=24) as client:
            await asyncio.gather(*(client.list(page_size=1) for _ in range(24)))

    asyncio.run(run())
    assert box.peak_in_flight() == 24


def test_no_more_calls_are_in_flight_than_the_client_says(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=20, latency=0.05)

    async def run() -> None:
        async with hk.AsyncHistoryClient(box.api_key, base_url=box.url, max_concurrency=3) as client:
            await asyncio.gather(*(client.list(page_size=1) for _ in range(30)))

    asyncio.run(run())
    assert box.peak_in_flight() == 3


def test_the_event_loops_own_threads_stay_free(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=20, latency=0.5)
    names: list[str] = []

    async def run() -> None:
        async with hk.AsyncHistoryClient(box.api_key, base_url=box.url, max_concurrency=8) as client:
            calls = asyncio.gather(*(client.list(page_size=1) for _ in range(8)))
            await asyncio.sleep(0.2)  # lets the calls begin
            await asyncio.to_thread(lambda: names.extend(thread.name for thread in threading.enumerate()))
            await calls

    asyncio.run(run())
    assert sum(name.startswith("histkit") for name in names) == 8
    assert sum(name.startswith("asyncio") for name in names) == 1


def test_closing_ends_the_threads_and_the_next_call_starts_new_ones(shared_box: Sandbox) -> None:
    async def run() -> None:
        client = hk.AsyncHistoryClient(shared_box.api_key, base_url=shared_box.url, max_concurrency=4)
        for _ in range(2):
            page = await client.list(page_size=2)
            assert len(page.history) == 2
            pool: Any = client._workers._pool
            await client.close()
            await asyncio.to_thread(pool.shutdown)  # waits until they are gone
            assert not any(thread.is_alive() for thread in pool._threads)

    asyncio.run(run())


def test_many_open_streams_do_not_wait_for_each_other(shared_box: Sandbox, client: hk.HistoryClient) -> None:
    ids = [item.history_item_id for item in client.list(page_size=6).history]

    async def run() -> list[int]:
        async with hk.AsyncHistoryClient(shared_box.api_key, base_url=shared_box.url, max_concurrency=2) as service:

            async def size(item: str) -> int:
                return sum([len(chunk) async for chunk in service.get_audio(item)])

            return await asyncio.wait_for(asyncio.gather(*map(size, ids)), 60)

    assert asyncio.run(run()) == [sum(map(len, client.get_audio(item))) for item in ids]


def test_a_bad_argument_is_raised_when_the_client_is_made() -> None:
    with pytest.raises(hk.InputError, match="max_concurrency"):
        hk.AsyncHistoryClient("sk_x", max_concurrency=0)
