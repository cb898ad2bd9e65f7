"""Measure what is lost when everything goes wrong, and write the tables of docs/faults.md.

``python tools/faults.py`` prints the tables; ``--write`` puts them into the page. The seeds are fixed; what a kill or a
fault hits also depends on how busy the machine is. The exit code is 1 if anything was lost, doubled or wrong.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import histkit as hk  # noqa: E402
from tests.archive.flips import count_flips  # noqa: E402
from tests.audio.test_structure_cuts import CLIPS, count_cuts  # noqa: E402
from tests.faults import kills, matrix  # noqa: E402
from tests.faults.flips import count_clip_flips  # noqa: E402
from tests.warm_sandbox import SandboxForks  # noqa: E402

PAGE = ROOT / "docs" / "faults.md"
RUNS, KILLS, FLIPS, CLIP_FLIPS, CUTS = 12, 300, 1000, 200, 300


class Measurement:
    """Runs the parts, and keeps what went wrong."""

    def __init__(self, share: float, forks: SandboxForks) -> None:
        self._share, self._forks = share, forks
        self.wrong: list[str] = []

    def _number(self, number: int) -> int:
        return max(1, round(number * self._share))

    def matrix(self) -> str:
        """Run the fault matrix."""
        rows = []
        for operation in matrix.OPERATIONS:
            for rate in matrix.RATES:
                tally = matrix.Tally()
                for seed in range(self._number(RUNS)):
                    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
                        tally += matrix.measure(operation, rate, seed, self._forks, Path(folder))
                report(f"{operation} {rate:.0%}: {tally}")
                self._expect_none(f"{operation} at {rate:.0%}", tally, ("lost", "doubled", "wrong"))
                counts = (tally.runs, tally.requests, tally.hit, tally.again, tally.compared)
                rows.append(
                    (operation, f"{rate:.0%}", *counts, tally.lost + tally.doubled, tally.wrong, tally.unproven)
                )
        heads = ("operation", "faults", "runs", "requests", "hit by a fault", "started again", "compared")
        return table((*heads, "lost or doubled", "wrong", "not provable"), rows, text=2)

    def kills(self) -> str:
        """Kill each command that writes."""
        rows = []
        each = -(-self._number(KILLS) // len(kills.COMMANDS))
        for name in kills.COMMANDS:
            with tempfile.TemporaryDirectory(prefix="kills-") as folder:
                count = kills.measure(name, each, 1, self._forks, Path(folder))
            report(f"{name}: {count}")
            self._expect_none(f"{name}, killed", count, ("half", "lost", "left"))
            rows.append((f"`histkit {name}`", count.kills, count.half, count.lost, count.left))
        heads = ("command", "kills", "half a file", "another result in the end", "temporary files in the end")
        return table(heads, rows)

    def flips(self) -> str:
        """Flip bits of local histories and of audio folders."""
        with tempfile.TemporaryDirectory(prefix="flips-") as folder:
            history = count_flips(self._number(FLIPS), 1, Path(folder))
            clips = count_clip_flips(self._number(CLIP_FLIPS), 1, self._forks, Path(folder))
        rows = []
        for name, counts in {"local history": history, **clips}.items():
            report(f"{name}: {dict(counts)}")
            wrong, raw = counts["other values"], counts["raw errors"] + counts.get("aborts", 0)
            if wrong or raw:
                self.wrong.append(f"{name}, a bit flipped: {counts}")
            rows.append((name, sum(counts.values()), counts["named"], counts["no effect"], wrong, raw))
        return table(("files", "flips", "named", "no effect", "other values", "raw errors and aborts"), rows)

    def cuts(self) -> str:
        """Cut clips of each format."""
        rows = []
        for name in CLIPS:
            count = count_cuts(name, self._number(CUTS), 7)
            report(f"{name}: {dict(count)}")
            if count["wrong"]:
                self.wrong.append(f"{name}, cut: {count['wrong']} taken for whole")
            rows.append((name, count.total(), count["caught"], count["not provable"], count["wrong"]))
        return table(("format", "cuts", "refused", "not provable", "taken for whole"), rows)

    def _expect_none(self, what: str, counts: object, names: Iterable[str]) -> None:
        bad = {name: getattr(counts, name) for name in names if getattr(counts, name)}
        if bad:
            examples = "; ".join(getattr(counts, "examples", [])[:20])
            self.wrong.append(f"{what}: {bad} {examples}")


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], text: int = 1) -> str:
    """Return a Markdown table; the first `text` columns are text, the others numbers with a sum."""
    total: list[object] = ["all", *[""] * (text - 1)]
    for column in list(zip(*rows, strict=True))[text:]:
        numbers = [value for value in column if isinstance(value, int)]
        total.append(sum(numbers) if len(numbers) == len(rows) else "")
    lines: list[Sequence[object]] = [heads, ["---"] * text + ["---:"] * (len(heads) - text), *rows, total]
    shown = [[f"{value:,}" if isinstance(value, int) else str(value) for value in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in shown)


def report(line: str) -> None:
    """Print a line of progress on stderr."""
    print(line, file=sys.stderr, flush=True)


def conditions(seconds: float) -> str:
    """Describe where and when this was measured."""
    versions = f"Python {platform.python_version()}, pandas {pd.__version__}, pyarrow {pa.__version__}"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    today = datetime.now(UTC).date().isoformat()
    return (
        f"Measured on {today} with histkit {hk.__version__}, {versions}, on {machine}, in {seconds / 60:.0f} minutes."
    )


def main() -> int:
    """Measure, print or write, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/faults.md")
    parser.add_argument("--share", type=float, default=1.0, help="do only this share of each part")
    parser.add_argument("parts", nargs="*", choices=["matrix", "kills", "flips", "cuts", []], help="default: all")
    options = parser.parse_args()
    os.environ["PYTHONWARNINGS"] = "ignore"  # killed processes leave semaphores, of which multiprocessing warns
    parts = options.parts or ["matrix", "kills", "flips", "cuts"]
    started = time.monotonic()
    forks = SandboxForks()
    try:
        measurement = Measurement(options.share, forks)
        tables = {part: getattr(measurement, part)() for part in parts}
    finally:
        forks.close()
    if options.write:
        write(tables, conditions(time.monotonic() - started))
    else:
        print("\n\n".join(tables.values()))
    for line in measurement.wrong:
        report(f"NOT RIGHT: {line}")
    return int(bool(measurement.wrong))


def write(tables: dict[str, str], line: str) -> None:
    """Replace the tables of the page."""
    page = PAGE.read_text("utf-8")
    for part, content in {**tables, "conditions": line}.items():
        begin, end = f"<!-- {part}: tools/faults.py -->", f"<!-- end of {part} -->"
        head, _, rest = page.partition(begin)
        _, _, tail = rest.partition(end)
        page = f"{head}{begin}\n\n{content}\n\n{end}{tail}"
    PAGE.write_text(page, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
