"""Measure the bars; see `benchmarks.bars`."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.__main__ import machine, write_table
from benchmarks.bars import Bar, Side, rooms

Figures = dict[str, Any]
OURS = "histkit"


def main() -> None:
    """Measure and print; with ``--write`` also put the table into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="bars whose work holds this text")
    parser.add_argument("--skip", default=None, metavar="TEXT", help="leave out bars whose work holds this text")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where data is made, and found again; default: a temporary one")
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md; all bars only")
    arguments = parser.parse_args()
    if arguments.write and arguments.only:
        parser.error("--write takes all bars; leave out --only")
    bars = [bar for bar in every_bar() if arguments.only.lower() in bar.work.lower()]
    left_out = ""
    if arguments.skip is not None:
        kept = [bar for bar in bars if arguments.skip.lower() not in bar.work.lower()]
        left_out = f" Not measured: {len(bars) - len(kept)} with {arguments.skip!r} in their name."
        bars = kept
    if not bars:
        parser.error(f"no bar has {arguments.only!r} in its work")
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or scratch
        Path(folder).mkdir(parents=True, exist_ok=True)
        lines = ["| work | histkit | beside it | aim |", "|---|---|---|---|"]
        for bar in bars:
            lines.append(line(bar, measured(bar, folder, arguments.rounds)))
            print(lines[-1], file=sys.stderr)
    rounds = "one round" if arguments.rounds == 1 else f"medians of {arguments.rounds} rounds, the sides in turn"
    table = "\n".join([*lines, "", f"{machine()}; {rounds}.{left_out}"])
    print(table)
    if arguments.write:
        write_table("bars", table)


def every_bar() -> list[Bar]:
    """Return the bars of all modules, in the order of their names."""
    names = sorted(module.name for module in pkgutil.iter_modules(rooms.__path__))
    return [bar for name in names for bar in importlib.import_module(f"{rooms.__name__}.{name}").BARS]


def measured(bar: Bar, folder: str, rounds: int) -> dict[str, Figures]:
    """Run the sides of a bar in turn; return the medians by side."""
    sides = {OURS: bar.ours, **bar.beside}
    runs: dict[str, list[Figures]] = {name: [] for name in sides}
    for _ in range(min(rounds, bar.rounds or rounds)):
        for name, results in runs.items():
            results.append(once(sides[name], folder))
            print(f"  {bar.work}: {name}: {results[-1]}", file=sys.stderr)
    values = {json.dumps(run["value"]) for results in runs.values() for run in results if run["value"] is not None}
    if len(values) > 1:
        raise SystemExit(f"{bar.work}: the sides differ: {sorted(values)}")
    keys = ("seconds", "processor", "memory", "peak")
    return {
        name: {key: statistics.median(run[key] for run in results) for key in keys} for name, results in runs.items()
    }


def once(side: Side, folder: str) -> Figures:
    """Run a side in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bars.measure", side.__module__, side.__name__, folder]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{side.__module__}.{side.__name__} failed:\n{done.stderr[-3000:]}")
    result: Figures = json.loads(done.stdout.splitlines()[-1])
    return result


def line(bar: Bar, medians: dict[str, Figures]) -> str:
    """Return a line of the table; an aim that is met is bold."""
    ours = medians[OURS]
    took = ours[bar.measure]
    beside = "; ".join(
        f"{name} {shown(figures[bar.measure])} ({took / figures[bar.measure]:.2f}x)"
        for name, figures in medians.items()
        if name != OURS
    )
    aims, met = [], True
    if bar.aim is not None:
        most = bar.aim * medians[bar.of][bar.measure] if bar.of else bar.aim
        met = took <= most
        aims.append(f"{bar.aim:g}x {bar.of}" if bar.of else shown(bar.aim))
    memory = ""
    if bar.memory is not None:
        met = met and ours["memory"] <= bar.memory
        memory = f", +{ours['memory']:.0f} MB"
        aims.append(f"+{bar.memory:.0f} MB")
    unit = " of processor time" * (bar.measure == "processor")
    figure = f"{shown(took)}{unit}{memory}"
    return f"| {bar.work} | {f'**{figure}**' if met and aims else figure} | {beside} | {', '.join(aims)} |"


def shown(seconds: float) -> str:
    """Return seconds to two digits at least."""
    if seconds < 0.001:
        return f"{1e6 * seconds:.0f} µs"
    return f"{1e3 * seconds:.0f} ms" if seconds < 0.1 else f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


if __name__ == "__main__":
    main()
