"""``histkit statement --issue``, ``statements --issue`` and ``--check``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import histkit as hk
from histkit.sandbox import Sandbox
from tests.cli.commands import run

RULES = '[[rule]]\nlabel = "Acme"\nvoice = "Rachel"\n[[rule]]\nlabel = "Beta"\nvoice = "Roger"\n'
MOVED = '[[rule]]\nlabel = "Acme"\nmodel = "Nothing"\n[[rule]]\nlabel = "Beta"\nvoice = ["Rachel", "Roger"]\n'
COMMON = ("--rules", "rules.toml", "--prices", "prices.toml")


@pytest.fixture
def history(local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A local history of the test's own, with rules, prices and terms."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(local, "data/history")
    Path("rules.toml").write_text(RULES)
    Path("prices.toml").write_text('currency = "EUR"\n[[price]]\nper_1000_credits = "0.30"\n')
    Path("terms.toml").write_text('number = "A{n}"\ntax_rate = 19\nissue_date = 2026-09-01\n')
    return tmp_path


def test_issue_move_correct_and_check(history: Path) -> None:
    issue = (*COMMON, "--terms", "terms.toml", "--issue")
    assert "issued as A1, " in run("statement", "Acme", "2026-08", "-o", "acme.md", *issue).stdout
    again = run("statement", "Acme", "2026-08", "-o", "acme.md", *issue)
    assert "issued before as A1, " in again.stdout
    assert "replaced" not in again.stdout
    assert "1 statement, " in run("statements", "--check", *COMMON).stdout
    Path("rules.toml").write_text(MOVED)
    refused = run("statement", "Beta", "2026-08", "-o", "beta.md", *issue, code=1)
    assert "billed already by statement A1 of 'Acme', 2026-08. With --correct, a correction" in refused.stderr
    assert not Path("beta.md").exists()
    assert "changed since: A1, 'Acme', 2026-08: " in run("statements", "--check", *COMMON, code=5).stdout
    done = run("statement", "Beta", "2026-08", "-o", "beta.md", *issue, "--correct")
    assert "note: A2 corrects A1 of 'Acme', Acme-2026-08-correction-A2.md." in done.stderr
    assert "issued as A3, " in done.stdout
    assert "all proven" in run("statements", "--check", *COMMON).stdout
    assert "all proven" in run("statements", "--check").stdout
    found = json.loads(run("statements", "--check", "--json").stdout)
    assert found["rows"] == []
    assert found["facts"]["statements"] == 3
    Path("acme.md").write_text("paid")
    assert "acme.md is not as it was issued" in run("statements", "--check", code=1).stdout


def test_all_clients_at_once(history: Path) -> None:
    issue = ("2026-Q3", *COMMON, "--terms", "terms.toml", "-o", "bills", "--issue", "--json")
    rows = json.loads(run("statements", *issue).stdout)["rows"]
    assert [(row["client"], row["number"]) for row in rows] == [("Acme", "A1"), ("Beta", "A2"), ("unassigned", None)]
    Path("rules.toml").write_text(MOVED)
    assert "differs now" in run("statements", *issue, code=1).stderr
    rows = json.loads(run("statements", *issue, "--correct").stdout)["rows"]
    assert [(row["number"], row["corrects"]) for row in rows] == [("A3", "A1"), ("A4", "A2"), (None, None)]
    assert "all proven" in run("statements", "--check", *COMMON).stdout


def test_the_zone_of_the_rules_is_that_of_the_statements(history: Path) -> None:
    Path("rules.toml").write_text('tz = "Europe/Berlin"\n' + RULES)
    issue = (*COMMON, "--terms", "terms.toml", "--issue")
    first = run("statements", "2026-08", *issue)
    assert "note: days are those of Europe/Berlin, the tz of rules.toml; --tz names another zone." in first.stderr
    assert "note: issued 2 now (A1, A2); the register is " in first.stderr
    assert "Total" not in first.stdout.splitlines()[-1]
    again = run("statements", "2026-08", *issue)
    assert "note: issued none now, 2 before (A1, A2); the register is " in again.stderr
    refused = run("statement", "Acme", "2026-09", *issue, "--tz", "UTC", code=1).stderr
    assert "A1 of 'Acme', 2026-08 is in Europe/Berlin, and this one, 2026-09, is in UTC" in refused
    assert refused.strip().endswith("Use --tz 'Europe/Berlin'.")
    Path("rules.toml").write_text(RULES)
    Path("prices.toml").write_text('tz = "Europe/Berlin"\n' + Path("prices.toml").read_text())
    assert "the tz of prices.toml" in run("statements", "2026-08", *issue).stderr
    assert "billed twice or never" in run("statements", "2026-08", *issue, "--tz", "UTC", code=1).stderr


def test_bills_by_key_user_and_a_log_of_ones_own(
    box_of: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    box = box_of(items=300, seed=3)
    monkeypatch.setenv("ELEVENLABS_API_KEY", box.key("speech_history_read", "workspace_analytics_full_read"))
    monkeypatch.setenv("ELEVENLABS_BASE_URL", box.url)
    monkeypatch.chdir(tmp_path)
    run("sync")
    assert "has no request log" in run("statements", "2026", "--column", "user", code=1).stderr
    run("sync", "--requests")
    frame, log = hk.load("data/history"), hk.load_requests("data/history")
    joined = frame.merge(log[["request_id", "api_key_name", "user_label"]], on="request_id", how="left")
    months = joined["date"].dt.strftime("%Y-%m")
    name = str(months[months < months.max()].mode()[0])
    month = joined[months == name]
    users = month.groupby("user_label", observed=True)["credits"].sum()
    shown = run("statements", name, "--column", "user", "--json")
    assert "300 of 300 rows (100.0 %)" in shown.stderr
    rows = json.loads(shown.stdout)["rows"]
    assert {row["client"]: row["credits"] for row in rows} == users[users > 0].to_dict()
    user = max(users.index, key=lambda one: users[one])
    keys = month[month["user_label"] == user].groupby("api_key_name", observed=True)["credits"].sum()
    lines = json.loads(run("statement", user, name, "--column", "user", "--by", "api_key", "--json").stdout)["lines"]
    assert {line["api_key"]: line["credits"] for line in lines if line["api_key"]} == keys.to_dict()
    assert len(users) > 1
    Path("rules.toml").write_text(f'[[rule]]\nlabel = "Acme"\nwhere = {{ user = {json.dumps(user)} }}\n')
    usage = json.loads(run("usage", "total", "--by", "client", "--rules", "rules.toml", "--json").stdout)["rows"]
    assert {row["client"] for row in usage} == {"Acme", "unassigned"}
    assert "issued as 2026-0001" not in run("statements", "--check").stdout
    run("statement", "Acme", name, "--rules", "rules.toml", "--by", "api_key", "-o", "acme.md", "--issue")
    assert "all proven" in run("statements", "--check", "--rules", "rules.toml").stdout
    assert "| API key | Items |" in Path("acme.md").read_text()
    frame[["request_id"]].assign(app="web").to_csv("app.csv", index=False)
    own = ("--column", "app", "--log", "app.csv", "--json")
    (line,) = json.loads(run("statements", name, *own).stdout)["rows"]
    assert (line["client"], line["credits"]) == ("web", month["credits"].sum())
    refused = run("statement", "web", name, *own, "--issue", code=1).stderr
    assert "billed already by statement" in refused
    assert "once they are another client's there, correct it with --column 'client'" in refused


def test_rows_between_periods_are_not_billed(history: Path) -> None:
    issue = (*COMMON, "--terms", "terms.toml", "--issue")
    run("statement", "Acme", "2026-06", *issue)
    run("statement", "Acme", "2026-08", *issue)
    found = run("statements", "--check", *COMMON, code=5).stdout
    assert "not billed: " in found
    assert "of 'Acme' between its periods are in no statement" in found


def test_a_correction_is_previewed_for_one_client(history: Path) -> None:
    refused = run("statements", "2026-08", *COMMON, "--correct", code=1).stderr
    assert "histkit." not in refused
    assert "--correct needs --issue; the preview of a correction is a statement of one client." in refused
    run("statement", "Acme", "2026-08", *COMMON, "--issue")
    Path("rules.toml").write_text(MOVED)
    preview = run("statement", "Beta", "2026-08", *COMMON, "--correct")
    assert "note: issued, it would first correct 2026-0001 of 'Acme', 2026-08." in preview.stderr


def test_what_cannot_be_issued_or_checked_is_one_line(history: Path) -> None:
    assert (
        "is provisional and can't be issued"
        in run("statement", "Acme", "2026", "--rules", "rules.toml", "--issue", code=1).stderr
    )
    assert run("statements", "--check").stderr == "histkit: nothing is issued.\n"
    assert "does not exist" in run("statements", "--check", "--register", "none.jsonl", code=1).stderr
    assert "excludes PERIOD" in run("statements", "2026", "--check", code=2).stderr
    assert "PERIOD" in run("statements", "--rules", "rules.toml", code=2).stderr
    assert (
        "--correct needs --issue" in run("statements", "2026-08", "--rules", "rules.toml", "--correct", code=1).stderr
    )
    assert (
        "--locale 'xx' is not a locale"
        in run("statement", "Acme", "2026-08", "--rules", "rules.toml", "--locale", "xx", code=1).stderr
    )
