"""The bars of exports."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import histkit as hk
from benchmarks.bars import Bar, data

ROWS = 1_000_000


def csv(folder: str) -> Iterator[int | None]:
    """Write a million rows as CSV."""
    df, path = data.frame(folder, ROWS), Path(folder) / f"ours-{os.getpid()}.csv"
    yield None
    hk.to_csv(df, path)
    yield None
    path.unlink()


def csv_by_hand(folder: str) -> Iterator[int | None]:
    """Write the same rows with pandas."""
    df, path = data.frame(folder, ROWS), Path(folder) / f"pandas-{os.getpid()}.csv"
    yield None
    df.to_csv(path, index=False)
    yield None
    path.unlink()


def csv_by_arrow(folder: str) -> Iterator[int | None]:
    """Write the same rows with pyarrow: a text that is a formula stays one."""
    import pyarrow as pa
    import pyarrow.csv as pacsv

    df, path = data.frame(folder, ROWS), Path(folder) / f"arrow-{os.getpid()}.csv"
    yield None
    table = pa.Table.from_pandas(df, preserve_index=False)
    texts = [
        column.cast(pa.large_string()) if pa.types.is_dictionary(column.type) else column for column in table.columns
    ]
    pacsv.write_csv(pa.table(texts, names=table.column_names), path)
    yield None
    path.unlink()


BARS = (
    Bar(f"`to_csv`, {ROWS:,} rows", csv, {"pandas": csv_by_hand, "pyarrow, no formula guarded": csv_by_arrow}, aim=3.5),
)
