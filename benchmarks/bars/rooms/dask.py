"""The bars of `histkit.scan`: usage beside DuckDB's shared query, and work that DuckDB has no query for.

At four times the rows, the months are linked under other years, so that each row is there four times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import histkit as hk
from benchmarks.archive import SHARED
from benchmarks.bars import Bar, data

ROWS = 5_000_000
TIMES = 4
MEMORY = 300.0  # MB
NEAR = 0.9
RULES = [{"label": "Acme", "speaker": "Rachel"}]
PRICES = {"currency": "EUR", "price": [{"per_1000_credits": "0.30"}, {"per_1000_credits": "0.24", "voice": "Rachel"}]}


def _scanned(folder: str, path: str, work: Callable[[Any], int]) -> Iterator[int]:
    """Do something with a scan; Dask and `distributed`, which it looks for, are imported before."""
    work(hk.scan(data.history(folder, 10_000)))
    yield 0
    yield work(hk.scan(path))


def _credits(ddf: Any) -> int:
    return int(ddf.speech.usage("voice", "MS").compute()["credits"].sum())


def _duckdb(path: str) -> Iterator[int]:
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("SELECT 1").df()
        yield 0
        yield round(connection.execute(SHARED.format(files=f"{path}/*/*/history.parquet")).df()["credits"].sum())


def _linked(folder: str) -> str:
    return data.linked_history(data.history(folder, ROWS), TIMES)


def usage(folder: str) -> Iterator[int]:
    """Sum by voice and month."""
    return _scanned(folder, data.history(folder, ROWS), _credits)


def usage_duckdb(folder: str) -> Iterator[int]:
    """Sum by voice and month with DuckDB, dialogues shared out."""
    return _duckdb(data.history(folder, ROWS))


def usage_linked(folder: str) -> Iterator[int]:
    """Sum by voice and month, four times the rows."""
    return _scanned(folder, _linked(folder), _credits)


def usage_linked_duckdb(folder: str) -> Iterator[int]:
    """Sum four times the rows with DuckDB."""
    return _duckdb(_linked(folder))


def takes(folder: str) -> Iterator[int]:
    """Find the takes of all texts."""
    return _scanned(
        folder,
        data.history(folder, ROWS),
        lambda ddf: int(ddf.speech.takes()["thrown_away"].sum().compute()),
    )


def takes_near(folder: str) -> Iterator[int]:
    """Find the takes of similar texts."""
    return _scanned(
        folder,
        data.history(folder, ROWS),
        lambda ddf: int(ddf.speech.takes(near=NEAR)["thrown_away"].sum().compute()),
    )


def statement(folder: str) -> Iterator[int]:
    """Compute the statement of one client for one month, with prices."""
    return _scanned(folder, data.history(folder, ROWS), _billed)


def statement_pandas(folder: str) -> Iterator[int]:
    """Load the history and compute the same statement."""
    _billed(hk.load(data.history(folder, 10_000)))
    yield 0
    yield _billed(hk.load(data.history(folder, ROWS)))


def _billed(frame: Any) -> int:
    table = frame.speech.label(RULES).speech.statement("Acme", "2026-09", prices=PRICES)
    return int(table["credits"].sum())


BARS = (
    Bar(
        f"Dask: usage by voice and month, {ROWS:,} rows",
        usage,
        {"DuckDB": usage_duckdb},
        aim=1.0,
        of="DuckDB",
        memory=MEMORY,
    ),
    Bar(
        f"Dask: usage by voice and month, {TIMES * ROWS:,} rows (files linked)",
        usage_linked,
        {"DuckDB": usage_linked_duckdb},
        aim=1.0,
        of="DuckDB",
        memory=MEMORY,
    ),
    Bar(f"Dask: takes, {ROWS:,} rows", takes, rounds=1),
    Bar(f"Dask: takes of similar texts (near={NEAR}), {ROWS:,} rows", takes_near, rounds=1),
    Bar(
        f"Dask: statement of one client for one month, {ROWS:,} rows",
        statement,
        {"pandas, loaded": statement_pandas},
        memory=MEMORY,
        rounds=1,
    ),
)
