"""Periods that --since and --until cut are named; an error of usage is one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import histkit as hk
from histkit.cli import main


def run(local: Path, *arguments: str) -> tuple[str, list[str]]:
    """Return the text of ``histkit usage``, and the cut periods of its JSON."""
    command = ["usage", *arguments, "--history", str(local)]
    text, data = CliRunner().invoke(main, command), CliRunner().invoke(main, [*command, "--json"])
    assert (text.exit_code, data.exit_code) == (0, 0), text.stderr + data.stderr
    return " ".join(text.stdout.split()), json.loads(data.stdout)["facts"].get("cut_periods")


@pytest.mark.parametrize(
    ("arguments", "cut"),
    [
        (("monthly", "--since", "2026-08-15", "--until", "2026-09"), ["2026-08-01"]),
        (("monthly", "--since", "2026-08-15", "--before", "2026-09-20"), ["2026-08-01", "2026-09-01"]),
        (("monthly", "--since", "2026-08-15", "--until", "2026-08-20"), ["2026-08-01"]),
        (("monthly", "--since", "2026-08", "--until", "2026-09"), []),
        (("monthly", "--since", "2026-08", "--tz", "Europe/Berlin"), []),
        (("monthly", "--since", "2026-08-01T00:00:00Z", "--tz", "Europe/Berlin"), ["2026-08-01"]),
        (("weekly", "--since", "2026-08-12", "--before", "2026-08-24"), ["2026-08-10"]),
        (("quarterly", "--since", "2026-08"), ["2026-07-01"]),
        (("yearly", "--until", "2026-08"), ["2026-01-01"]),
        (("billing", "--reset-day", "5", "--since", "2026-08", "--before", "2026-09-05"), ["2026-07-05"]),
        (("daily", "--since", "2026-08-12", "--until", "2026-08-13"), []),
        (("total", "--since", "2026-08-12"), None),
        (("monthly",), []),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_a_period_that_the_dates_cut_is_named(local: Path, arguments: tuple[str, ...], cut: list[str] | None) -> None:
    text, found = run(local, *arguments)
    assert found == cut
    for day in cut or ():
        assert f"The period {day} is cut: it has rows " in text
    assert text.count("is cut") == len(cut or ())


def test_the_note_says_what_is_there(local: Path) -> None:
    text, _ = run(local, "monthly", "--since", "2026-08-15", "--before", "2026-08-20", "--tz", "Europe/Berlin")
    assert "it has rows from 2026-08-15T00:00:00+02:00 on and before 2026-08-20T00:00:00+02:00 only." in text


@pytest.mark.parametrize("number", [1, 7, 60])
@pytest.mark.parametrize("dates", [(), ("--since", "2026-01-15")])
def test_a_limit_names_itself_and_the_oldest_period(local: Path, number: int, dates: tuple[str, ...]) -> None:
    text, cut = run(local, "monthly", "--limit", str(number), *dates)
    oldest = hk.load(local)["date"].iloc[number - 1]
    assert cut == [f"{oldest:%Y-%m}-01"]
    assert f"Only the newest {number} row{'s' if number > 1 else ''} (--limit)." in text
    assert f"The period {cut[0]} is cut: it has rows from {oldest.floor('s').isoformat()} on only." in text


def test_a_limit_that_leaves_nothing_out_is_not_mentioned(local: Path) -> None:
    text, cut = run(local, "monthly", "--limit", "1000000")
    assert cut == []
    assert "--limit" not in text


def test_tables_without_periods_name_the_limit_too(local: Path) -> None:
    for command in (["usage", "total"], ["takes"], ["reprice", "total", "--on-model", "eleven_flash_v2_5"]):
        done = CliRunner().invoke(main, [*command, "--limit", "40", "--history", str(local)])
        assert "Only the newest 40 rows (--limit)." in " ".join(done.stdout.split()), done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["usage", "--foo"], "No such option '--foo'"),
        (["usage", "monthy"], "Invalid value for 'PERIOD': 'monthy' is not one of 'hourly', "),
        (["usage", "decadely"], "Invalid value for 'PERIOD': 'decadely' is not one of 'hourly', 'daily', "),
        (["statement"], "Missing argument 'CLIENT'"),
        (["--foo"], "No such option '--foo'"),
        (["foo"], "No such command 'foo'"),
        (["usage", "--top", "0"], "Invalid value for '--top': 0 is not in the range x>=1"),
        (["usage", "--by", "client"], "--by client: add --rules"),
        (["sync", "a", "b\x1b[31m"], "Got unexpected extra argument"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_an_error_of_usage_is_one_line(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(main, arguments, prog_name="histkit")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"histkit: {words}")
    assert done.stderr.endswith(" --help.\n")
    assert "\x1b" not in done.stderr


def test_a_misspelt_period_names_the_one_that_is_meant() -> None:
    done = CliRunner().invoke(main, ["usage", "monthy"], prog_name="histkit")
    assert done.stderr.endswith("'total'. Did you mean 'monthly'? See histkit usage --help.\n")


def test_no_command_shows_the_commands() -> None:
    done = CliRunner().invoke(main, [])
    assert "Commands:" in done.output
