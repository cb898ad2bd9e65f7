"""``make bench``: histkit beside the official SDK and a loop by hand, on one sandbox, in one run; prints four tables.

The second is about the local history, the third about sums over it, the fourth about audio: see `benchmarks.archive`,
`benchmarks.usage` and `benchmarks.audio`.

Each contender runs in a process of its own, the three in turn, several rounds; medians and ratios to histkit are
shown. The sandbox is warmed first (it keeps encoded pages), so that its own work is the same for all.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import pandas as pd

from benchmarks import archive, audio
from benchmarks.contenders import CONTENDERS
from histkit.sandbox import Sandbox, serve

ROWS = 60_000
ALIGNED_ROWS = 8_000  # their pages are ten times as large, and the SDK takes minutes for more


def main() -> None:
    """Measure and print; with ``--write`` also put the tables into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write the tables into docs/benchmarks.md")
    arguments = parser.parse_args()
    lines = ["| what | histkit | requests by hand | official SDK |", "|---|---|---|---|"]
    with serve(items=ROWS) as box:
        warm(box)
        box.set(latency=0.15)
        slow = compare(box, arguments.rounds, workers=8)
        lines.append(row(f"{ROWS:,} rows, 150 ms a page, 8 workers", slow, "seconds", "s", 1))
        box.set(latency=0)
        fast = compare(box, arguments.rounds, workers=1)
        lines.append(row(f"{ROWS:,} rows, no latency, 1 worker", fast, "seconds", "s", 2))
        lines.append(row("... peak memory", fast, "peak_mb", "MB", 0))
    with serve(items=ALIGNED_ROWS, alignments=True) as box:
        warm(box)
        for wanted, words in ((False, "not wanted"), (True, "wanted")):
            heavy = compare(box, 1, workers=1, alignments=wanted)
            lines.append(row(f"{ALIGNED_ROWS:,} rows with alignments, {words}, 1 worker", heavy, "seconds", "s", 2))
            lines.append(row("... peak memory", heavy, "peak_mb", "MB", 0))
    lines.append(imports(arguments.rounds + 4))
    below = f"{machine()}, against the sandbox on the same machine; medians, ratios to histkit."
    table = "\n".join([*lines, "", archive.table(arguments.rounds), "", audio.table(arguments.rounds), "", below])
    print(table)
    if arguments.write:
        write_table("bench", table)


def write_table(name: str, table: str) -> None:
    """Put a table into docs/benchmarks.md, between the marks of its name."""
    page = Path("docs/benchmarks.md")
    head, _, rest = page.read_text("utf-8").partition(f"<!-- {name} -->")
    tail = rest.partition(f"<!-- /{name} -->")[2]
    page.write_text(f"{head}<!-- {name} -->\n{table}\n<!-- /{name} -->{tail}", "utf-8")


def warm(box: Sandbox) -> None:
    """Let the sandbox encode every page once, for cursors and for windows."""
    for name in ("histkit", "histkit", "requests by hand"):
        measure(name, box, 1, False)


def compare(box: Sandbox, rounds: int, workers: int, alignments: bool = False) -> dict[str, dict[str, float]]:
    """Run all contenders in turn and return the medians."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name, results in runs.items():
            results.append(measure(name, box, workers, alignments))
    return {
        name: {key: statistics.median(run[key] for run in results) for key in ("seconds", "peak_mb")}
        for name, results in runs.items()
    }


def measure(name: str, box: Sandbox, workers: int, alignments: bool) -> dict[str, float]:
    """Run one contender once, in its own process."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.measure",
        name,
        box.url,
        box.api_key,
        str(workers),
        str(int(alignments)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    if result["rows"] not in (ROWS, ALIGNED_ROWS):
        raise SystemExit(f"{name} lost rows: {result}")
    print(f"  {name}: {result}", file=sys.stderr)
    return result


def row(what: str, medians: dict[str, dict[str, float]], key: str, unit: str, digits: int) -> str:
    """Return a line of the table: the figure of histkit, those of the others with their ratio to it."""
    ours = medians["histkit"][key]
    others = (
        f"{medians[name][key]:.{digits}f} {unit} ({medians[name][key] / ours:.1f}x)" for name in list(CONTENDERS)[1:]
    )
    return f"| {what} | **{ours:.{digits}f} {unit}** | {' | '.join(others)} |"


def imports(rounds: int) -> str:
    """Time ``import histkit`` in processes that have imported pandas."""
    code = (
        "import time; t = time.perf_counter(); import pandas; u = time.perf_counter(); import histkit; "
        "print(u - t, time.perf_counter() - u)"
    )
    runs = [
        [
            float(seconds)
            for seconds in subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
        ]
        for _ in range(rounds)
    ]
    base, ours = (statistics.median(seconds) for seconds in zip(*runs, strict=True))
    return f"| `import histkit` after `import pandas` ({1e3 * base:.0f} ms) | **{1e3 * ours:+.0f} ms** | | |"


def machine() -> str:
    """Describe the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"Measured on {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, "
        f"pandas {pd.__version__}"
    )


if __name__ == "__main__":
    main()
