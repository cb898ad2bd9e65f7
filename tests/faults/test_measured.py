"""The measurement of docs/faults.md, at a small size: nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import kills, matrix
from tests.faults.flips import count_clip_flips
from tests.warm_sandbox import SandboxForks

pytestmark = pytest.mark.any_pandas


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
