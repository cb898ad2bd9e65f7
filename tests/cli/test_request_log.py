"""``histkit sync --requests`` and ``histkit usage --by api_key``: who spent it, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import histkit as hk
from histkit.cli.app import main
from histkit.sandbox import Sandbox


@pytest.fixture
def box(box_of, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    box = box_of(items=300, seed=3)
    monkeypatch.setenv("ELEVENLABS_API_KEY", box.api_key)
    monkeypatch.setenv("ELEVENLABS_BASE_URL", box.url)
    monkeypatch.chdir(tmp_path)
    return box


def test_usage_by_key_user_and_a_log_of_ones_own(box):
    assert CliRunner().invoke(main, ["sync"]).exit_code == 0
    without = CliRunner().invoke(main, ["usage", "total", "--by", "api_key"])
    assert without.exit_code == 1
    assert "data/history has no request log; run histkit sync --requests first." in without.output
    assert "request log: " in CliRunner().invoke(main, ["sync", "--requests"]).output
    frame, log = hk.load("data/history"), hk.load_requests("data/history")
    for word, column in (("api_key", "api_key_name"), ("user", "user_label")):
        shown = CliRunner().invoke(main, ["usage", "total", "--by", word, "--json"])
        assert "300 of 300 rows (100.0 %)" in shown.stderr
        rows = json.loads(shown.stdout)["rows"]
        spent = (
            frame.merge(log[["request_id", column]], on="request_id").groupby(column, observed=True)["credits"].sum()
        )
        assert {row[word]: row["credits"] for row in rows if row[word]} == spent.to_dict()
        assert sum(row["credits"] for row in rows) == frame["credits"].sum()
    text = CliRunner().invoke(main, ["usage", "total", "--by", "api_key"]).output
    assert "API key" in text
    assert "(no API key)" in text
    assert "–" not in text
    frame[["request_id"]].head(100).assign(app="web").to_csv("app.csv", index=False)
    own = CliRunner().invoke(main, ["usage", "total", "--by", "app", "--log", "app.csv", "--json"])
    assert "100 of 300 rows (33.3 %)" in own.stderr
    assert sum(row["items"] for row in json.loads(own.stdout)["rows"]) == 300


def test_the_ledger_by_key_has_the_credits_of_the_usage(box):
    assert CliRunner().invoke(main, ["sync", "--requests"]).exit_code == 0
    spent = {}
    for command, period, credits in (("usage", "yearly", "credits"), ("ledger", "yearly", "seen")):
        shown = CliRunner().invoke(main, [command, period, "--by", "api_key", "--json"])
        assert "300 of 300 rows (100.0 %)" in shown.stderr
        spent[command] = {
            (row["period"], row["api_key"]): row[credits] for row in json.loads(shown.stdout)["rows"] if row[credits]
        }
    assert spent["ledger"] == spent["usage"]
    assert len({key for _, key in spent["usage"]}) > 1
    hk.load("data/history")[["request_id"]].assign(app="web").to_csv("app.csv", index=False)
    own = CliRunner().invoke(main, ["ledger", "--by", "app", "--log", "app.csv", "--json"])
    assert {row["app"] for row in json.loads(own.stdout)["rows"] if row["seen"]} == {"web"}
    wrong = CliRunner().invoke(main, ["ledger", "--official", "--log", "app.csv"])
    assert (wrong.exit_code, "--official excludes" in wrong.output) == (2, True)


def test_a_group_without_a_name_is_named_alike_and_differs_from_what_no_row_can_say(box_of, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    box = box_of(items=60, seed=3)
    with hk.HistoryClient(box.api_key, base_url=box.url) as client:
        df = hk.sync("data/history", client=client, progress=False)
    df[["request_id"]].head(20).assign(app="web").to_csv("app.csv", index=False)
    text = CliRunner().invoke(main, ["ledger", "yearly", "--by", "app", "--log", "app.csv"]).stdout
    cells = [line.split() for line in text.splitlines() if line.strip()[:2] == "20"]
    assert {tuple(row[1:3]) for row in cells} >= {("(no", "app)"), ("–", "–")}
    assert "(no app)" in CliRunner().invoke(main, ["usage", "--by", "app", "--log", "app.csv"]).stdout
    data = CliRunner().invoke(main, ["ledger", "yearly", "--by", "app", "--log", "app.csv", "--json"]).stdout
    assert {row["app"] for row in json.loads(data)["rows"]} == {"web", None}


def test_who_spent_what_the_history_lacks(box):
    assert CliRunner().invoke(main, ["sync"]).exit_code == 0
    command = ["ledger", "quarterly", "--official", "--requests"]
    without = CliRunner().invoke(main, command)
    assert without.exit_code == 1
    assert "data/history has no request log; run histkit sync --requests first" in without.stderr
    assert CliRunner().invoke(main, ["sync", "--requests"]).exit_code == 0
    frame, log = hk.load("data/history"), hk.load_requests("data/history")
    for words in (["api_key", "user"], ["product"]):
        options = [part for word in words for part in ("--by", word)] if words == ["product"] else []
        found = json.loads(CliRunner().invoke(main, [*command, *options, "--json"]).stdout)
        table = hk.reconcile(frame, "QS", requests=log, by=words)
        for name in ("requests", "credits"):
            assert found["totals"][name] == table[name].sum()
            assert [row[name] for row in found["rows"]] == [None if pd.isna(each) else each for each in table[name]]
        assert {*found["rows"][0]} == {"period", *words, "requests", "credits", "assigned"}
    keys = {row["api_key"] for row in json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)["rows"]}
    assert keys <= {None, *log["api_key_name"]}  # names, where the log has them
    text = " ".join(CliRunner().invoke(main, command).stdout.split())
    assert "by the requests that are in none of its rows" in text
    assert "(no API key)" in text
    later = json.loads(CliRunner().invoke(main, [*command, "--since", "2026-10", "--json"]).stdout)
    bounds = {"after": "2026-10-01", "before": frame["date"].max() + pd.Timedelta("1s")}
    assert later["totals"]["requests"] == hk.reconcile(frame, requests=log, **bounds)["requests"].sum() > 0
    assert later["facts"]["cut_periods"] == []


def test_the_ledger_of_some_time_counts_the_log_of_that_time(box):
    assert CliRunner().invoke(main, ["sync", "--requests"]).exit_code == 0
    rows = hk.filter_items(hk.load("data/history"), after="2026-10")
    shown = CliRunner().invoke(main, ["ledger", "yearly", "--by", "user", "--since", "2026-10", "--json"])
    assert f"{len(rows)} of {len(rows)} rows (100.0 %)" in shown.stderr
    found = json.loads(shown.stdout)
    assert found["totals"]["seen"] == rows["credits"].sum()
    assert sum(row["rows"] or 0 for row in found["rows"]) == len(rows) > 0


def test_requests_without_a_row_are_those_of_the_same_dates_and_accounts(box_of, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    accounts = {}
    for seed, name in enumerate(("agency", "studio"), 3):
        box = box_of(items=200, seed=seed)
        accounts[name] = hk.HistoryClient(box.api_key, base_url=box.url)
    hk.sync("data/history", accounts=accounts, requests=True, progress=False)
    for client in accounts.values():
        client.close()
    frame, log = hk.load("data/history"), hk.load_requests("data/history")
    without = log[~log["request_id"].isin(frame["request_id"])]
    assert len(without) > 1
    last = log["timestamp"].max()
    month = f"{last:%Y-%m}"
    here = without[without["timestamp"] >= pd.Timestamp(f"{month}-01", tz="UTC")]

    def line(*options):
        return CliRunner().invoke(main, ["usage", "total", "--by", "api_key", *options]).stderr

    def count(rows):
        return (
            f"; {len(rows)} row{'s' if len(rows) > 1 else ''} of the log without one"
            if len(rows)
            else " are in the log."
        )

    assert count(without) in line()
    assert count(here) in line("--since", month, "--until", month)
    assert count(without[without["account"] == "agency"]) in line("--account", "agency")
    assert "of the log without" not in line("--voice", frame["voice_name"].dropna().iloc[0])
    summed = CliRunner().invoke(main, ["ledger", "yearly", "--across-accounts", "--by", "account"]).stdout
    assert summed.count("Account") == 1
    refused = CliRunner().invoke(main, ["ledger", "--reset-day", "5"])
    assert refused.stderr.endswith("each with its own resets: use --account NAME.\n")


def test_a_key_without_the_scope_ends_with_5_and_names_it(box, monkeypatch):
    monkeypatch.setenv("ELEVENLABS_API_KEY", box.key("speech_history_read"))
    result = CliRunner().invoke(main, ["sync", "--requests"])
    assert result.exit_code == 5
    assert "workspace_analytics_full_read" in result.output
    assert len(hk.load("data/history")) == 300
