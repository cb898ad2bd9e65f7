"""The bars of syncs: many accounts beside one with as many rows, a first and a full sync beside a read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack

import histkit as hk
from benchmarks.bars import Bar, data
from histkit.sandbox import Sandbox, serve

ACCOUNT_ROWS = 2_000


def _sync(boxes: list[Sandbox]) -> Iterator[int | None]:
    """Sync the accounts of some sandboxes for the first time; the sandboxes have made their pages before."""
    clients = {f"account {number}": hk.HistoryClient(box.api_key, base_url=box.url) for number, box in enumerate(boxes)}
    for client in clients.values():
        hk.read_history(client=client, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        yield None
        yield len(hk.sync(folder, accounts=clients, diff=True, progress=False))


def _accounts(number: int) -> Iterator[int | None]:
    with ExitStack() as stack:
        boxes = [stack.enter_context(serve(items=ACCOUNT_ROWS, seed=seed)) for seed in range(data.scaled(number))]
        yield from _sync(boxes)


def _one(number: int) -> Iterator[int | None]:
    with serve(items=ACCOUNT_ROWS * data.scaled(number)) as box:
        yield from _sync([box])


def sync_50(folder: str) -> Iterator[int | None]:
    """Sync 50 accounts."""
    return _accounts(50)


def sync_200(folder: str) -> Iterator[int | None]:
    """Sync 200 accounts."""
    return _accounts(200)


def one_as_50(folder: str) -> Iterator[int | None]:
    """Sync one account with as many rows as 50."""
    return _one(50)


def one_as_200(folder: str) -> Iterator[int | None]:
    """Sync one account with as many rows as 200."""
    return _one(200)


BARS = (
    Bar(f"first `sync` of 50 accounts of {ACCOUNT_ROWS:,} rows", sync_50, {"one account": one_as_50}, 2, "one account"),
    Bar(
        f"first `sync` of 200 accounts of {ACCOUNT_ROWS:,} rows",
        sync_200,
        {"one account": one_as_200},
        2,
        "one account",
        rounds=1,
    ),
)
