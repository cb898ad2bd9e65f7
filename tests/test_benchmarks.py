"""The benchmarks run: every contender and every job, at a size that says nothing about speed."""

from __future__ import annotations

from pathlib import Path

import pytest

import histkit as hk
from benchmarks import __main__ as bench
from benchmarks import archive, audio, explorer, explorer_browser, forecast, official, usage
from benchmarks.bars import Bar
from benchmarks.bars import __main__ as bars
from benchmarks.bars.__main__ import every_bar

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line]


def test_reading_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "ROWS", 1200)
    with bench.serve(items=1200) as box:
        bench.warm(box)
        medians = bench.compare(box, 1, workers=2)
    assert set(medians) == {"histkit", "requests by hand", "official SDK"}
    assert cells(bench.row("rows", medians, "seconds", "s", 2))[0][1].startswith("**")
    assert "ms" in bench.imports(1)
    assert "cores" in bench.machine()


def test_the_local_history_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "ROWS", 3000)
    monkeypatch.setattr(usage, "TURNS", 1)
    lines = cells(archive.table(1))
    assert lines[0][0] == "a local history of 3,000 rows"
    assert len(lines) == 19


def test_audio_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, small in (("CLIPS", 20), ("ZIP_CLIPS", 10), ("CLIP_BYTES", 4000), ("ZIP_CLIP_BYTES", 9000)):
        monkeypatch.setattr(audio, name, small)
    monkeypatch.setattr(audio, "FINISHED", 30)
    assert len(cells(audio.table(1))) == 7


def test_the_official_sdk_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official, "ROWS", 1200)
    monkeypatch.setattr(official, "ROUNDS", 1)
    assert cells(official.seconds_for_all_rows())[0][2] == "not possible"
    assert cells(official.requests_of_the_next_read())[0][1] == "**1 request**"


def test_the_coverage_of_the_forecast_is_measured() -> None:
    lines = cells(forecast.coverage_table(forecast.outcomes(1, first_seed=900_000)))
    assert [kind for kind, _, _ in lines[2:]] == [*forecast.KINDS, "**all**"]
    misses = forecast.prior_misses(28, 60, 2)
    assert len(misses) == 19
    assert misses == sorted(misses)


def test_the_explorer_is_measured() -> None:
    lines = explorer.measure(hk.sample_history(3000))
    assert lines[0].startswith("open: first rows")
    assert all(line.endswith(" kB") for line in lines)


def test_the_table_of_the_explorer_has_what_was_measured_and_says_what_was_not() -> None:
    results = {"histkit": {300: {"first rows": 0.5, "a far row": 0.2}}, "quak": {300: {"first rows": 1.25}}}
    lines = cells(explorer_browser.table(results, (300,), 3, {"quak": "0.3"}))
    assert ["first rows", "**0.50 s**", "1.00 s"] in lines
    assert ["a far row", "0.20 s", "0.15 s"] in lines
    assert ["first rows, 300 rows", "**0.50 s**", "1.25 s"] in lines
    assert ["a far row, 300 rows", "**0.20 s**", "– (rows come as one scrolls)"] in lines


@pytest.mark.parametrize("bar", every_bar(), ids=lambda bar: bar.work)
def test_a_bar_is_measured(bar: Bar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARS_SCALE", "0.002")
    cell = cells(bars.line(bar, bars.measured(bar, str(tmp_path), 1)))[0]
    assert cell[0] == bar.work
    assert len(cell) == 4
