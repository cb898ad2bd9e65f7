"""``histkit official`` and ``who``: the service's own figures for readers, and as data."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from rich.cells import cell_len

import histkit as hk
from histkit.sandbox import Sandbox
from histkit.sandbox.workspace import KEYS, MEMBERS
from tests.cli.commands import run
from tests.cli.test_output import NUMBER, hidden, on_a_terminal
from tests.conftest import client_of

OCTOBER = ("--since", "2026-10", "--until", "2026-10")


@pytest.fixture
def box(box_of: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox that the commands read from."""
    made = box_of(2500)
    monkeypatch.setenv("ELEVENLABS_BASE_URL", made.url)
    monkeypatch.setenv("ELEVENLABS_API_KEY", made.api_key)
    return made


def data(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_official_prints_what_the_frame_says(box: Sandbox) -> None:
    with client_of(box) as client:
        table = hk.official_usage("2026-10-01", "2026-11-01", by="voice", freq="W", tz="Europe/Berlin", client=client)
    arguments = ("official", "weekly", "--by", "voice", *OCTOBER, "--tz", "Europe/Berlin")
    found = data(*arguments)
    assert [row["credits"] for row in found["rows"]] == table["credits"].tolist()
    assert [row["period"] for row in found["rows"]] == [each.isoformat() for each in table["period"]]
    assert found["totals"]["credits"] == table["credits"].sum()
    assert found["facts"]["route"] == table.attrs["histkit"]["route"]
    assert found["facts"]["cut_periods"] == ["2026-09-28", "2026-10-26"]
    text = run(*arguments).stdout
    assert "Rachel" in text
    assert "The period 2026-09-28 is cut: it has figures from 2026-10-01" in text
    frame = pd.read_csv(io.StringIO(run(*arguments, "--csv").stdout))
    assert frame["credits"].sum() == table["credits"].sum()


def test_without_dates_the_last_30_days_are_shown(box: Sandbox) -> None:
    rows = data("official")["rows"]
    assert len(rows) == 31  # with today
    assert data("official", "total")["totals"]["credits"] == sum(row["credits"] for row in rows)


def test_the_periods_that_the_range_cuts_are_those_of_whole_days(box: Sandbox) -> None:
    facts = data("official", "monthly")["facts"]  # from 30 days ago, up to now
    first = pd.Timestamp(facts["after"])
    assert facts["cut_periods"] == ([] if first.day == 1 else [f"{first:%Y-%m}-01"])
    noon = ("--after", "2026-10-15T12:00", "--before", "2026-10-17T12:00")
    assert data("official", *noon)["facts"]["cut_periods"] == []  # extended to whole days
    text = " ".join(run("official", "monthly", *noon).stdout.split())
    assert "figures from 2026-10-15T00:00:00+00:00 on and before 2026-10-18T00:00:00+00:00 only" in text


def test_who_spent_it_has_names_and_shares(box: Sandbox) -> None:
    found = data("who", *OCTOBER)
    assert sum(row["share"] for row in found["rows"]) == pytest.approx(1)
    assert {row["user_label"] for row in found["rows"]} <= {member.name for member in MEMBERS}
    assert {row["api_key"] for row in found["rows"]} <= {None, *(key.hashed for key in KEYS)}
    text = run("who", *OCTOBER).stdout
    assert "From 2026-10-01 to 2026-10-31 (UTC)." in text
    assert "(no API key)" in text
    assert "app-prod" in text
    monthly = data("who", "monthly", "--since", "2026-09", "--until", "2026-10", "--by", "user")
    shares = pd.DataFrame(monthly["rows"]).groupby("period")["share"].sum()
    assert shares.tolist() == pytest.approx([1, 1])
    box.set(usage_columns="bare")
    bare = run("who", *OCTOBER).stdout
    assert f"{KEYS[0].hashed[:12]}…" in bare
    assert MEMBERS[0].user_id in bare


def test_a_missing_scope_is_one_line(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELEVENLABS_API_KEY", box.key("speech_history_read"))
    result = run("who", code=1)
    assert re.fullmatch(r"histkit: [^\n]*lacks the scope workspace_analytics_full_read[^\n]*\n", result.stderr)
    assert result.stdout == ""
    assert "Figures of the older route" in run("official", *OCTOBER).stdout


def test_money_has_its_currency_and_missing_figures_are_said(box: Sandbox) -> None:
    box.set(usage_nulls=0.3)
    text = run("official", *OCTOBER).stdout
    missing = int(re.search(r"(\d+) figures missing", text)[1])  # type: ignore[index]
    assert text.count("  –") == missing
    box.set(usage_nulls=None, money_since=1_780_000_000)
    text = run("who", *OCTOBER).stdout
    assert "Cost in USD" in text
    assert "Credits" not in text
    assert "billed by cost" in text
    found = data("who", *OCTOBER)
    assert sum(row["share"] for row in found["rows"]) == pytest.approx(1)
    assert all(len(str(row["cost"])) < 12 for row in found["rows"])  # no noise of floats
    result = run("official", "--by", "voice", *OCTOBER, code=1)
    assert "billed by cost" in result.stderr
    assert "can't be broken down by voice" in result.stderr


def test_two_columns_of_credits_need_a_name(box: Sandbox) -> None:
    box.set(usage_columns="two_credits")
    assert "Name the right one: --column." in run("official", *OCTOBER, code=1).stderr
    assert data("official", *OCTOBER, "--column", "usage")["totals"]["credits"] > 0


@pytest.mark.parametrize("columns", [24, 48, 80, 200])
@pytest.mark.parametrize(
    "arguments", [("official", "--by", "voice", *OCTOBER), ("who", "weekly", *OCTOBER), ("who", *OCTOBER)]
)
def test_a_terminal_of_any_width_shows_whole_numbers(
    shared_box: Sandbox, monkeypatch: pytest.MonkeyPatch, columns: int, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ELEVENLABS_BASE_URL", shared_box.url)
    monkeypatch.setenv("ELEVENLABS_API_KEY", shared_box.api_key)
    lines = on_a_terminal(columns, *arguments)
    assert hidden("".join(lines)) == set()
    assert max(map(cell_len, lines)) <= columns
    monkeypatch.delenv("COLUMNS", raising=False)
    assert set(NUMBER.findall(" ".join(lines))) <= set(NUMBER.findall(run(*arguments).stdout))


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["official", "--by", "weather"], 1, "--by 'weather' is not possible"),
        (["official", "fortnightly"], 2, "'fortnightly' is not one of"),
        (["who", "--since", "01/10/2026"], 1, "--since '01/10/2026' is not a date"),
        (["who", "--since", "2026-10", "--before", "2026-09"], 1, "is later than"),
        (["who", "--before", "2026-01"], 1, "--before '2026-01' is earlier than the last 30 days"),
        (["who", "--json", "--csv"], 2, "exclude each other"),
        (["official", "--tz", "Mars"], 1, "--tz 'Mars' is not a time zone"),
    ],
)
def test_a_mistake_is_said_in_a_line(box: Sandbox, arguments: list[str], code: int, says: str) -> None:
    result = run(*arguments, code=code)
    assert says in result.stderr
    assert result.stdout == ""
