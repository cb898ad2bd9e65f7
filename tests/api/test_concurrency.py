"""The limit on requests in flight: it shrinks to what the server bears, and grows back."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from histkit.api.concurrency import AdaptiveLimit
from histkit.sandbox import Sandbox
from tests.conftest import client_of


def test_the_limit_shrinks_to_what_the_server_bears_and_grows_back(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=300, concurrency=2, latency=0.02)
    client = client_of(box, max_concurrency=8)
    with ThreadPoolExecutor(8) as pool:
        assert len([*pool.map(lambda _: client.list(page_size=5), range(40))]) == 40
        assert client.transport.limit.current < 8
        box.set(concurrency=None, latency=0)
        [*pool.map(lambda _: client.list(page_size=5), range(160))]
    assert client.transport.limit.current == 8


@given(st.integers(1, 12), st.lists(st.booleans(), max_size=60))
def test_the_limit_stays_between_one_and_the_ceiling(ceiling: int, outcomes: list[bool]) -> None:
    limit = AdaptiveLimit(ceiling)
    for good in outcomes:
        with limit.slot() as slot:
            assert 1 <= limit.in_flight <= limit.current <= ceiling
            slot.succeeded() if good else slot.refused()
    assert limit.in_flight == 0
