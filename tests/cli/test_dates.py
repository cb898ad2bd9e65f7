"""Every word of the vocabulary of dates, in front of ``histkit delete``: exactly the rows that plain Python selects."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from histkit.sandbox import Sandbox
from tests.cli.commands import run

pytestmark = pytest.mark.usefixtures("short_waits")

DAY = timedelta(days=1)
REFUSED = {  # what is typed, and what the message must suggest
    "01/10/2026": "2026-10-01 (1 October) or 2026-01-10 (10 January)",
    "13/10/2026": "use 2026-10-13",
    "10/13/2026": "use 2026-10-13",
    "10/2026": "use 2026-10",
    "1.10.2026": "use 2026-10-01",
    "Oct 1 2026": "use 2026-10-01",
    "October": "use 20",
    "1 October": "use 20",
    "20261001": "use 2026-10-01",
    "2026/10/01": "use 2026-10-01",
    "2026-1-5": "use 2026-01-05",
    "1790812800000": "use 1790812800 or 2026-10-01",
    "-5": "use one such as",
    "0": "use one such as",
    "1420070399": "use one such as",
    "4102444801": "use one such as",
    "1790812800.5": "use 1790812800",
    "inf": "use one such as",
    "nan": "use one such as",
    "NaT": "use one such as",
    "": "use one such as",
    " ": "use one such as",
    "all": "use one such as",
    "２０２６-10-01": "use 2026-10-01",
    "٢٠٢٦-١٠-٠١": "use 2026-10-01",
    "2026-02-30": "use 2026-02-28",
    "3m": "use 20",
    "6 months": "use 20",
    "now": "use 20",
    "tomorrow": "use 20",
    "last-month": "use 'last month'",
    "yestrday": "use yesterday",
}


def month_start(day: date, months: int) -> date:
    place = day.year * 12 + day.month - 1 + months
    return date(place // 12, place % 12 + 1, 1)


def spans(today: date) -> Iterator[tuple[str, date, date]]:
    """Compute by plain Python what each word means: the first day, and the day after the last."""
    monday, quarter = today - today.weekday() * DAY, month_start(today, -((today.month - 1) % 3))
    yield "2026-10-01", date(2026, 10, 1), date(2026, 10, 2)
    yield "2026-10", date(2026, 10, 1), date(2026, 11, 1)
    yield "2026-Q3", date(2026, 7, 1), date(2026, 10, 1)
    yield "2026-W40", date(2026, 9, 28), date(2026, 10, 5)
    yield "2026", date(2026, 1, 1), date(2027, 1, 1)
    yield "today", today, today + DAY
    yield "yesterday", today - DAY, today
    yield "7d", today - 7 * DAY, today - 6 * DAY
    yield "2w", today - 14 * DAY, today - 13 * DAY
    yield "this week", monday, monday + 7 * DAY
    yield "last week", monday - 7 * DAY, monday
    yield "this month", month_start(today, 0), month_start(today, 1)
    yield "last month", month_start(today, -1), month_start(today, 0)
    yield "this quarter", quarter, month_start(quarter, 3)
    yield "last quarter", month_start(quarter, -3), quarter
    yield "this year", date(today.year, 1, 1), date(today.year + 1, 1, 1)
    yield "last year", date(today.year - 1, 1, 1), date(today.year, 1, 1)


def meanings(zone: ZoneInfo) -> Iterator[tuple[str, int, int]]:
    """Compute the start and the end of each word in seconds, by plain Python."""

    def midnight(day: date) -> int:
        return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())

    for text, first, end in spans(datetime.now(zone).date()):
        yield text, midnight(first), midnight(end)
    noon = int(datetime(2026, 10, 1, 12, tzinfo=zone).timestamp())
    yield "2026-10-01T12:00", noon, noon + 1
    yield "2026-10-01 12:00:00.5", noon + 1, noon + 1
    yield "2026-10-01T12:00Z", 1_790_856_000, 1_790_856_001
    yield "2026-10-01T12:00+02:00", 1_790_848_800, 1_790_848_801
    yield "1790856000", 1_790_856_000, 1_790_856_001


@pytest.fixture
def box(box_of: Callable[..., Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox with a row at, and around, every start and end that a word can mean."""
    made = box_of(30, 3)
    moments = {moment for name in ("UTC", "Asia/Kolkata") for _, *both in meanings(ZoneInfo(name)) for moment in both}
    now = int(datetime.now(UTC).timestamp())
    for moment in sorted({moment + step for moment in moments for step in (-1, 0, 1)}):
        if moment <= now:
            made.add(1, date_unix=moment)
    monkeypatch.setenv("ELEVENLABS_BASE_URL", made.url)
    monkeypatch.setenv("ELEVENLABS_API_KEY", made.api_key)
    monkeypatch.chdir(tmp_path)
    return made


def dates_of(box: Sandbox) -> list[int]:
    return [row["date_unix"] for row in box.history()]


@pytest.mark.parametrize(
    ("name", "options"), [("UTC", ("after", "since", "before", "until")), ("Asia/Kolkata", ("since", "until"))]
)
def test_a_dry_run_of_every_word(box: Sandbox, name: str, options: tuple[str, ...]) -> None:
    dates = dates_of(box)
    run("sync")
    for text, start, end in meanings(ZoneInfo(name)):
        for option, expected in (
            ("after", [moment for moment in dates if moment >= start]),
            ("since", [moment for moment in dates if moment >= start]),
            ("before", [moment for moment in dates if moment < start]),
            ("until", [moment for moment in dates if moment < end]),
        ):
            if option not in options:
                continue
            shown = run("delete", f"--{option}", text, "--tz", name, "--json")
            facts: dict[str, Any] = json.loads(shown.stdout)
            assert facts["counts"].get("would delete", 0) == len(expected), (option, text)
            assert facts["dry_run"] is True
            assert f"Dates are days of {name}: rows " in shown.stderr
            assert f"(--{option} {text})" in shown.stderr
    assert dates_of(box) == dates


@pytest.mark.parametrize("option", ["after", "since", "before", "until"])
def test_what_is_confirmed_is_deleted(box: Sandbox, option: str) -> None:
    dates = dates_of(box)
    for text in ("2026-W40", "2026-10-01T12:00", "last month", "7d"):
        start, end = next((start, end) for word, start, end in meanings(ZoneInfo("UTC")) if word == text)
        other = ("--after", "2026-09-20") if option in ("before", "until") else ("--before", "2026-10-06")
        low, high = start, 1_791_244_800
        if option in ("before", "until"):
            low, high = 1_789_862_400, start if option == "before" else end
        if low > high:
            assert "is later than" in run("delete", f"--{option}", text, *other, "--confirm", code=1).stderr
            continue
        run("delete", f"--{option}", text, *other, "--confirm")
        dates = [moment for moment in dates if not low <= moment < high]
        assert sorted(dates_of(box)) == sorted(dates), text


def test_nothing_is_deleted_for_what_is_no_date(box: Sandbox) -> None:
    dates = dates_of(box)
    box.reset()
    for text, suggestion in REFUSED.items():
        for option in ("after", "since", "before", "until"):
            for more in ((), ("--confirm",)):
                result = run("delete", f"--{option}={text}", *more, code=1)
                assert result.stderr.startswith(f"histkit: --{option} {text!r} is not a date; "), result.stderr
                assert suggestion in result.stderr
                assert result.stderr.count("\n") == 1
    assert box.requests() == []
    assert dates_of(box) == dates


@pytest.mark.parametrize("command", ["usage", "report", "takes", "pull", "zip", "delete", "export", "quota"])
def test_both_pairs_are_on_every_command(box: Sandbox, command: str) -> None:
    where = {"zip": ["a.zip"], "export": ["a.csv"]}.get(command, [])
    for pair in (("--after", "--since"), ("--before", "--until")):
        result = run(command, *where, *(part for name in pair for part in (name, "2026-10-01")), code=2)
        assert f"{pair[1]} and {pair[0]} exclude each other." in result.stderr
    result = run(command, *where, "--since", "2026-10-02", "--until", "2026-10-01", code=1)
    assert "--since '2026-10-02' is later than --until '2026-10-01'." in result.stderr
    assert not list(Path.cwd().iterdir())


def test_a_relative_period_is_shown_as_what_it_is(box: Sandbox) -> None:
    run("sync")
    month = month_start(datetime.now(UTC).date(), -1)
    shown = run("statements", "last month", "--column", "source", "--json")
    assert f"note: the period is {month:%Y-%m}, UTC." in shown.stderr
    assert json.loads(shown.stdout)["facts"]["period"] == f"{month:%Y-%m}"
