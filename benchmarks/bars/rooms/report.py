"""The bars of reports, ledgers and statements, and of the search for a pattern in texts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import histkit as hk
from benchmarks import money
from benchmarks.bars import Bar, data
from histkit.util.arrays import Ints

ROWS = 1_000_000
PATTERN = "lighthouse|chapter [0-9]+"


def search(folder: str) -> Iterator[int]:
    """Search the texts and the lines of dialogues for a pattern."""
    df = data.frame(folder, ROWS)
    yield 0
    yield len(hk.filter_items(df, text=PATTERN))


def search_by_hand(folder: str) -> Iterator[int]:
    """Search the same with pandas; the pattern has no signs that JSON escapes."""
    df = data.frame(folder, ROWS)
    yield 0
    found = df["text"].str.contains(PATTERN, case=False, na=False)
    yield len(df[found | df["dialogue"].str.contains(PATTERN, case=False, na=False)])


def jumpy(df: pd.DataFrame) -> pd.DataFrame:
    """Return a history whose credit counter jumps or falls every few rows, half of the time to less than 1,000."""
    random = np.random.default_rng(1)
    order = np.argsort(df["date"].to_numpy("datetime64[us]"), kind="stable")
    credits: Ints = df["credits"].fillna(0).to_numpy(np.int64)[order]
    runs = np.cumsum(random.random(len(df)) < 0.2)
    starts = np.where(
        random.random(len(df)) < 0.5, random.integers(0, 1_000, len(df)), random.integers(0, 10**6, len(df))
    )
    before = np.cumsum(credits) - credits
    first = np.searchsorted(runs, runs)
    counters = np.empty(len(df), np.int64)
    counters[order] = before - before[first] + starts[runs]
    after = counters + df["credits"].fillna(0).to_numpy(np.int64)
    return df.assign(
        character_count_change_from=pd.array(counters, "Int64"), character_count_change_to=pd.array(after, "Int64")
    )


def _written(folder: str, df: pd.DataFrame) -> Iterator[None]:
    path = Path(folder) / f"report-{os.getpid()}.html"
    yield None
    hk.report(df, path)
    yield None
    path.unlink()


def report(folder: str) -> Iterator[None]:
    """Write a report as HTML."""
    return _written(folder, data.frame(folder, ROWS))


def report_on_jumps(folder: str) -> Iterator[None]:
    """Write a report on a history whose counter jumps."""
    return _written(folder, jumpy(data.frame(folder, ROWS)))


def ledger(folder: str) -> Iterator[int]:
    """Compute the ledger by day."""
    df = data.frame(folder, ROWS)
    yield 0
    yield len(hk.ledger(df, "D"))


def ledger_by_hand(folder: str) -> Iterator[int]:
    """Chain the counters with polars."""
    df = data.frame(folder, ROWS)
    yield 0
    yield len(money.chain_in_polars(df))


def statement(folder: str) -> Iterator[int]:
    """Bill a client for a month."""
    df = money.labelled(data.frame(folder, ROWS))
    yield 0
    yield len(hk.statement(df, money.CLIENT, money.MONTH, prices=money.PRICES))


def statement_by_hand(folder: str) -> Iterator[int]:
    """Bill the client with DuckDB."""
    df = money.labelled(data.frame(folder, ROWS))
    yield 0
    yield len(money.bill_in_duckdb(df))


BARS = (
    Bar(f"`filter(text=...)` by a pattern, {ROWS:,} rows", search, {"pandas `str.contains`": search_by_hand}, aim=0.7),
    Bar(f"`report` as HTML, {ROWS:,} rows", report, aim=3, memory=300),
    Bar(f"`report` as HTML, {ROWS:,} rows, a counter that jumps", report_on_jumps, aim=3, memory=300),
    Bar(f"`ledger` by day, {ROWS:,} rows", ledger, {"polars, by hand": ledger_by_hand}, aim=0.4),
    Bar(f"`statement` of a client, {ROWS:,} rows", statement, {"DuckDB, by hand": statement_by_hand}, aim=0.21),
)
