"""The cost of a row as a history grows: processor time of the same work at 10,000 to 5,000,000 rows.

``python -m benchmarks.growth`` measures and prints a table; ``--write`` puts it into docs/benchmarks.md, and the chart
into docs/pictures/growth.png. Each figure is taken in a process of its own, which has done the work with few rows
before: imports and whatever else happens once are left out. ``BARS_SCALE`` in the environment makes it fewer rows.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import histkit as hk
from benchmarks.__main__ import machine, write_table
from benchmarks.bars import Side, data
from benchmarks.bars.__main__ import once

SIZES = (10_000, 100_000, 1_000_000, 5_000_000)
FEW = 1_000
MOST = 1.3  # the most that the cost of a row may be, times that of the next smaller history
ROUNDS = 3
PICTURE = "docs/pictures/growth.png"


def _of_service(rows: int, work: Callable[[hk.HistoryClient], Any]) -> Iterator[int]:
    with data.serving(FEW) as box, hk.HistoryClient(box.api_key, base_url=box.url) as client:
        work(client)
    with data.serving(data.scaled(rows)) as box, hk.HistoryClient(box.api_key, base_url=box.url) as client:
        yield 0
        yield len(work(client))


def _of_frame(folder: str, rows: int, work: Callable[[Any], Any]) -> Iterator[int]:
    work(hk.sample_history(FEW))
    frame = data.frame(folder, rows)
    yield 0
    work(frame)
    yield len(frame)


def read(folder: str, rows: int) -> Iterator[int]:
    """Read the whole history from the service."""
    return _of_service(rows, lambda client: hk.read_history(client=client, progress=False))


def sync(folder: str, rows: int) -> Iterator[int]:
    """Sync for the first time."""

    def work(client: hk.HistoryClient) -> Any:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            return hk.sync(scratch, client=client, diff=True, progress=False)

    return _of_service(rows, work)


def load(folder: str, rows: int) -> Iterator[int]:
    """Load the local history."""
    path = data.history(folder, rows)
    hk.load(data.history(folder, SIZES[0]))
    yield 0
    yield len(hk.load(path))


def usage(folder: str, rows: int) -> Iterator[int]:
    """Sum by voice and month."""
    return _of_frame(folder, rows, lambda df: hk.usage_table(df, "voice", "MS"))


def takes(folder: str, rows: int) -> Iterator[int]:
    """Find the takes of all texts."""
    return _of_frame(folder, rows, hk.takes)


def report(folder: str, rows: int) -> Iterator[int]:
    """Write the report as HTML."""

    def work(df: Any) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            hk.report(df, Path(scratch) / "report.html")

    return _of_frame(folder, rows, work)


WORK = {work.__name__: work for work in (read, sync, load, usage, takes, report)}
ONCE = ("read", "sync")  # at the largest size, which takes minutes


def _side(name: str, rows: int) -> Side:
    def side(folder: str) -> Iterator[Any]:
        return WORK[name](folder, rows)

    side.__module__, side.__name__ = "benchmarks.growth", f"{name}_{rows}"
    return side


SIDES = {(name, rows): _side(name, rows) for name in WORK for rows in SIZES}
globals().update({side.__name__: side for side in SIDES.values()})  # where `benchmarks.bars.measure` looks for them


def measure(folder: str, names: list[str]) -> dict[str, list[float]]:
    """Return the microseconds of processor time for a row, by work, one for each size."""
    costs: dict[str, list[float]] = {}
    for name in names:
        costs[name] = []
        for rows in SIZES:
            rounds = 1 if name in ONCE and rows == SIZES[-1] else ROUNDS
            runs = [once(SIDES[name, rows], folder) for _ in range(rounds)]
            costs[name].append(1e6 * statistics.median(run["processor"] / run["value"] for run in runs))
            print(f"  {name}, {rows:,} rows: {costs[name][-1]:.2f} µs a row", file=sys.stderr)
    return costs


def table(costs: dict[str, list[float]]) -> str:
    """Return the table; a cost that is more than `MOST` times that of fewer rows is bold."""
    head = "| processor time of a row | " + " | ".join(f"{data.scaled(rows):,} rows" for rows in SIZES)
    lines = [f"{head} | most from one to the next |", "|---|" + "---:|" * (len(SIZES) + 1)]
    for name, values in costs.items():
        ratios = [after / before for before, after in pairwise(values)]
        cells = [_shown(values[0])]
        cells += [
            f"**{_shown(value)}**" if ratio > MOST else _shown(value)
            for value, ratio in zip(values[1:], ratios, strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} | {max(ratios):.2f}x |")
    return "\n".join([*lines, "", f"{machine()}; medians of {ROUNDS} rounds."])


def _shown(microseconds: float) -> str:
    return f"{microseconds:.2f} µs" if microseconds < 10 else f"{microseconds:.0f} µs"


def draw(costs: dict[str, list[float]], path: str) -> None:
    """Draw the cost of a row over the number of rows, with the name of the work at the end of each line."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from histkit.plotting.palette import group_colours
    from histkit.plotting.style import Heading, draw_grid, look_of

    look = look_of(None, 4.2)
    ax, sizes = look.ax, [data.scaled(rows) for rows in SIZES]
    ax.set(xscale="log", yscale="log", xlim=(sizes[0] * 0.8, sizes[-1] * 2.6))
    ends = dict(zip(costs, _apart([values[-1] for values in costs.values()], costs), strict=True))
    for (name, values), colour in zip(costs.items(), group_colours(len(costs), look.inks.face), strict=True):
        ax.plot(sizes, values, color=colour, linewidth=2.2, marker="o", markersize=5)
        ax.annotate(
            name,
            (sizes[-1], ends[name]),
            (9, 0),
            textcoords="offset points",
            va="center",
            color=look.inks.text,
            fontsize=look.size * 1.1,
        )
    draw_grid(look, along="y")
    ax.set_xticks(sizes, [f"{rows:,}" for rows in sizes])
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g} µs")
    ax.minorticks_off()
    ax.set_xlabel("rows", fontsize=look.size)
    Heading(
        look,
        "Processor time of a row as a history grows",
        "from a first sync to the report, all of it; both axes are logarithmic",
    )
    plt.savefig(path, dpi=110)
    plt.close("all")


def _apart(values: list[float], costs: dict[str, list[float]], least: float = 0.065) -> list[float]:
    """Return the heights of labels: those of the values, moved up where they would cover one another."""
    import numpy as np

    every = np.log10([value for each in costs.values() for value in each])
    gap = least * float(np.ptp(every) * 1.1)
    heights = np.log10(values)
    placed = -np.inf
    for place in np.argsort(heights):
        placed = heights[place] = max(heights[place], placed + gap)
    return [float(10**height) for height in heights]


def main() -> None:
    """Measure and print; with ``--write`` also write the table and the chart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=WORK, help="one piece of work")
    parser.add_argument("--folder", help="where data is made, and found again; default: a temporary one")
    parser.add_argument("--write", action="store_true", help=f"write docs/benchmarks.md and {PICTURE}; all work only")
    arguments = parser.parse_args()
    if arguments.write and arguments.only:
        parser.error("--write takes all work; leave out --only")
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or scratch
        Path(folder).mkdir(parents=True, exist_ok=True)
        costs = measure(folder, [arguments.only] if arguments.only else [*WORK])
    print(table(costs))
    if arguments.write:
        picture = f"![Processor time of a row as a history grows]({Path(PICTURE).relative_to('docs').as_posix()})"
        write_table("growth", f"{picture}\n\n{table(costs)}")
        draw(costs, PICTURE)


if __name__ == "__main__":
    main()
