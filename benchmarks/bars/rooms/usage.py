"""The bars of usage: the command, and sums by voice and month from files, beside DuckDB on the same files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from benchmarks import archive
from benchmarks.bars import Bar, data

ROWS = 1_000_000
_DUCKDB = "import sys, duckdb; print(duckdb.sql(sys.argv[1]).df().to_string())"


def command(folder: str) -> Iterator[int | None]:
    """Run the command, as a process of its own."""
    history = data.history(folder, ROWS)
    yield None
    words = ["histkit.cli", "usage", "monthly", "--by", "voice", "--history", history]
    subprocess.run([sys.executable, "-m", *words], check=True, stdout=subprocess.DEVNULL)
    yield None


def command_duckdb(folder: str) -> Iterator[int | None]:
    """Run a script that has DuckDB sum the same files, with dialogues shared out."""
    history = data.history(folder, ROWS)
    yield None
    query = archive.SHARED.format(files=f"{history}/*/*/history.parquet")
    subprocess.run([sys.executable, "-c", _DUCKDB, query], check=True, stdout=subprocess.DEVNULL)
    yield None


def files(folder: str) -> Iterator[int | None]:
    """Load the columns that usage needs, and sum."""
    import histkit.archive.load
    import histkit.usage.table  # noqa: F401

    history = data.history(folder, ROWS)
    yield None
    yield archive.usage_pandas(history)


def files_duckdb(folder: str) -> Iterator[int | None]:
    """Sum the same files with DuckDB, with dialogues shared out."""
    import duckdb  # noqa: F401
    import pandas as pd  # noqa: F401

    history = data.history(folder, ROWS)
    yield None
    yield archive.usage_duckdb_shared(history)


BARS = (
    Bar(
        f"`histkit usage monthly --by voice`, {ROWS:,} rows on disk",
        command,
        {"DuckDB in a script": command_duckdb},
        aim=1.0,
    ),
    Bar(f"usage by voice and month from files, {ROWS:,} rows", files, {"DuckDB": files_duckdb}, 1.0, "DuckDB"),
)
