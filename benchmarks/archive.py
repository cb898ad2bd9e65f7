"""The local history at a million rows: sync, sync again, load, and usage by voice and month beside DuckDB.

Each figure is taken in a process of its own: ``python -m benchmarks.archive JOB FOLDER [URL KEY]`` does one job and
prints seconds and peak memory as JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import usage
from benchmarks.measure import peak_megabytes
from histkit.sandbox import serve

ROWS = 1_000_000
NEEDED = ["voice_id", "voice_name", "date", "credits", "characters", "dialogue"]
# As people write it: a dialogue has no voice of its own and ends up under no name.
PLAIN = """
SELECT voice_name, date_trunc('month', date) AS period, count(*) AS items, sum(characters) AS characters,
       sum(credits) AS credits
FROM read_parquet('{files}') GROUP BY ALL ORDER BY period, credits DESC
"""
# What histkit counts: a dialogue is shared out among the voices that speak in it (here in fractions).
SHARED = """
WITH rows AS (
    SELECT history_item_id, voice_name, date, characters, credits, dialogue FROM read_parquet('{files}')
), lines AS (
    SELECT history_item_id, date, characters, credits, unnest(
        from_json(dialogue, '[{{"text": "VARCHAR", "voice_id": "VARCHAR", "voice_name": "VARCHAR"}}]'),
        recursive := true
    ) FROM rows WHERE dialogue IS NOT NULL
), parts AS (
    SELECT voice_name, any_value(date) AS date, sum(length(text)) / greatest(any_value(characters), 1) AS items,
           items * any_value(characters) AS characters, items * any_value(credits) AS credits
    FROM lines GROUP BY history_item_id, voice_id, voice_name
)
SELECT voice_name, date_trunc('month', date) AS period, sum(items) AS items, sum(characters) AS characters,
       sum(credits) AS credits
FROM (
    SELECT voice_name, date, 1.0 AS items, characters, credits FROM rows WHERE dialogue IS NULL
    UNION ALL SELECT voice_name, date, items, characters, credits FROM parts
) GROUP BY ALL ORDER BY period, credits DESC
"""


def sync(folder: str, url: str, key: str) -> int:
    """Sync, without loading what is there."""
    import histkit as hk

    with hk.HistoryClient(key, base_url=url) as client:
        return len(hk.sync(folder, client=client, diff=True, progress=False))


def load_all(folder: str) -> int:
    """Load everything."""
    import histkit as hk

    return len(hk.load(folder))


def load_month(folder: str) -> int:
    """Load one month of 24."""
    import histkit as hk

    return len(hk.load(folder, after="2026-09-01", before="2026-10-01"))


def load_voice(folder: str) -> int:
    """Load one voice."""
    import histkit as hk

    return len(hk.load(folder, voice="Lucía"))


def usage_pandas(folder: str) -> int:
    """Load the columns that usage needs, and sum."""
    import histkit as hk

    return int(hk.load(folder, columns=NEEDED).speech.usage("voice", "MS")["credits"].sum())


def usage_dask(folder: str) -> int:
    """Sum with Dask, threads, one partition a month."""
    import histkit as hk

    return int(hk.scan(folder).speech.usage("voice", "MS").compute()["credits"].sum())


def usage_duckdb(folder: str, query: str = PLAIN) -> int:
    """Sum with DuckDB on the same files."""
    import duckdb

    table = duckdb.sql(query.format(files=f"{folder}/*/*/history.parquet")).df()
    return round(table["credits"].sum())


def usage_duckdb_shared(folder: str) -> int:
    """Sum with DuckDB, dialogues shared out."""
    return usage_duckdb(folder, SHARED)


JOBS: dict[str, Callable[..., int]] = {
    job.__name__: job
    for job in (
        *(sync, load_all, load_month, load_voice),
        *(usage_pandas, usage_dask, usage_duckdb, usage_duckdb_shared),
    )
}


def once(job: str, *arguments: str) -> dict[str, Any]:
    """Do a job in a process of its own; return seconds, peak memory and what it counted."""
    command = [sys.executable, "-m", "benchmarks.archive", job, *arguments]
    result: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    print(f"  {job}: {result}", file=sys.stderr)
    return result


def median(job: str, rounds: int, *arguments: str) -> dict[str, Any]:
    """Do a job several times and return the medians."""
    runs = [once(job, *arguments) for _ in range(rounds)]
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def table(rounds: int) -> str:
    """Measure everything and return the table."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = f"{scratch}/history"
        with serve(items=ROWS) as box:
            first = once("sync", folder, box.url, box.api_key)
            again = median("sync", rounds, folder, box.url, box.api_key)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
        jobs = [job for job in JOBS if job != "sync"]
        runs = {job: [] for job in jobs}  # type: dict[str, list[dict[str, Any]]]
        for _ in range(rounds):  # in turn, so that what else the machine does meets all
            for job, results in runs.items():
                results.append(once(job, folder))
        in_memory = usage.table(folder, rounds)
    seconds = {job: statistics.median(run["seconds"] for run in results) for job, results in runs.items()}
    credits = {results[0]["counted"] for job, results in runs.items() if job.startswith("usage")}
    if first["counted"] != ROWS or len(credits) != 1:
        raise SystemExit(f"rows or credits differ: {first}, {credits}")
    shared, plain = seconds["usage_duckdb_shared"], seconds["usage_duckdb"]
    summed = [
        f"| usage by voice and month with {name} | **{took:.2f} s** ({took / shared:.1f}x the second query of DuckDB) |"
        for name, took in (("pandas", seconds["usage_pandas"]), ("Dask", seconds["usage_dask"]))
    ]
    return "\n".join(
        [
            f"| a local history of {ROWS:,} rows | |",
            "|---|---|",
            f"| first sync | **{first['seconds']:.0f} s**, {ROWS / first['seconds']:,.0f} rows a second, "
            f"peak {first['peak_mb']:.0f} MB |",
            f"| on disk | {size / ROWS:.0f} bytes a row |",
            f"| sync with nothing new | **{again['seconds']:.2f} s**, 1 request |",
            f"| load everything; one month of 24; one voice of 15 | {seconds['load_all']:.2f} s; "
            f"{seconds['load_month']:.2f} s; {seconds['load_voice']:.2f} s |",
            *summed,
            f"| ... with DuckDB, dialogues left out; shared out among their voices | {plain:.2f} s; {shared:.2f} s |",
            "",
            in_memory,
        ]
    )


def main() -> None:
    """Do one job."""
    job, *arguments = sys.argv[1:]
    if job == "sync":
        import histkit.archive.load
    elif "duckdb" in job:
        import duckdb  # noqa: F401
        import pandas  # noqa: F401
    else:
        import histkit.archive.load
        import histkit.usage.table
    if "dask" in job:
        import histkit.dask  # noqa: F401
    started = time.perf_counter()
    counted = JOBS[job](*arguments)
    print(json.dumps({"seconds": time.perf_counter() - started, "peak_mb": peak_megabytes(), "counted": counted}))


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
