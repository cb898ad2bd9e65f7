"""The measurement of docs/faults.md, at a small size: nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import kills, matrix
from tests.faults.flips import count_clip_flips
from tests.warm_sandbox import SandboxForks

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


@pytest.mark.parametrize("operation", ["pull", "zip", "delete"])
def test_nothing_is_lost_by_faults_of_the_service(operation: str, forks: SandboxForks, tmp_path: Path) -> None:
    tally = matrix.measure(operation, 0.3, 5, forks, tmp_path)
    assert (tally.lost, tally.doubled, tally.wrong) == (0, 0, 0), tally.examples
    assert tally.compared > 0


def test_nothing_is_lost_by_a_kill(forks: SandboxForks, tmp_path: Path) -> None:
    count = kills.measure("export .csv", 2, 5, forks, tmp_path)
    assert (count.half, count.lost, count.left) == (0, 0, 0), count.examples
    assert count.kills == 2


def test_a_flipped_bit_of_a_clip_is_named(forks: SandboxForks, tmp_path: Path) -> None:
    for name, counts in count_clip_flips(12, 5, forks, tmp_path).items():
        assert counts["other values"] + counts["raw errors"] == 0, (name, counts)
        assert name != "clip" or counts["named"] == 12


def tables() -> dict[str, list[dict[str, str]]]:
    """Return the tables of docs/faults.md by the heading above them."""
    made: dict[str, list[dict[str, str]]] = {}
    for section in PAGE.read_text("utf-8").split("\n## ")[1:]:
        lines = section.splitlines()
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
        made[lines[0]] = [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]
    return made


def test_the_page_of_faults_was_measured_whole_and_nothing_was_lost() -> None:
    faults, kills_made, flipped, cuts = tables().values()
    assert int(faults[-1]["runs"]) >= 180
    assert {row["lost or doubled"] + row["wrong"] for row in faults} == {"00"}
    assert int(kills_made[-1]["kills"]) >= 300
    assert {value for row in kills_made for name, value in row.items() if name not in ("command", "kills")} == {"0"}
    assert int(flipped[0]["flips"].replace(",", "")) >= 1000
    assert {row["other values"] + row["raw errors and aborts"] for row in flipped} == {"00"}
    assert {row["cuts"] for row in cuts[:-1]} == {"300"}
    assert {row["taken for whole"] for row in cuts} == {"0"}
