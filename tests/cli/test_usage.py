"""``histkit usage``, ``report``, ``quota``, ``ledger``, ``takes``, ``statement``: for readers, and as data."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

import histkit as hk
from histkit.cli import main
from histkit.sandbox import Sandbox
from tests.cli.commands import run


@pytest.fixture
def offline(local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a local history, and no key: nothing can be asked from anywhere."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/history").symlink_to(local)
    return tmp_path


@pytest.fixture
def online(offline: Path, shared_box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ELEVENLABS_BASE_URL", shared_box.url)
    monkeypatch.setenv("ELEVENLABS_API_KEY", shared_box.api_key)
    return offline


def data(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


@pytest.mark.parametrize(
    ("period", "freq"),
    [("hourly", "h"), ("daily", "D"), ("weekly", "W"), ("monthly", "MS"), ("quarterly", "QS"), ("yearly", "YS")],
)
def test_usage_tells_what_the_frame_tells(offline: Path, whole: pd.DataFrame, period: str, freq: str) -> None:
    table = hk.usage_table(whole, ["voice", "source"], freq, tz="Europe/Berlin")
    found = data("usage", period, "--by", "voice", "--by", "source", "--tz", "Europe/Berlin")
    assert [row["credits"] for row in found["rows"]] == table["credits"].tolist()
    assert [row["period"] for row in found["rows"]] == [each.isoformat() for each in table["period"]]
    assert [row["voice"] for row in found["rows"]] == table["voice"].astype(str).tolist()
    assert found["totals"]["credits"] == whole["credits"].sum()


@pytest.mark.parametrize(
    "arguments",
    [
        ["monthly", "--by", "voice"],
        ["daily", "--by", "model", "--by", "voice", "--top", "3", "--csv"],
        ["weekly", "--by", "source", "--tz", "America/New_York", "--json", "--limit", "500"],
        ["total", "--by", "account"],
        ["total", "--by", "request_id", "--top", "2"],
        ["total", "--by", "missing_since"],
        ["total", "--by", "credits"],
        ["total", "--by", "nothing"],
        ["quarterly", "--by", "voice", "--by", "voice"],
        ["monthly", "--compare", "--by", "voice_name", "--voice", "Lucía"],
        ["monthly", "--by", "voice", "--model", "eleven_v3", "--text", "the"],
        ["billing", "--reset-day", "3"],
        ["yearly", "--voice", "Nobody"],
    ],
)
def test_columns_that_are_not_read_change_nothing(
    offline: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def result() -> tuple[int, str, str]:
        done = CliRunner().invoke(main, ["usage", *arguments])
        return done.exit_code, done.stdout, done.stderr

    narrow = result()
    monkeypatch.setattr("histkit.cli.usage._needed_columns", lambda *_: None)
    assert narrow == result()


def test_usage_in_total_and_as_csv(offline: Path, whole: pd.DataFrame) -> None:
    result = run("usage", "total", "--by", "model", "--csv")
    assert result.stderr == ""
    table = pd.read_csv(io.StringIO(result.stdout))
    assert dict(zip(table["model"], table["credits"], strict=True)) == {
        name: credits for name, credits in hk.usage_table(whole, "model")[["model", "credits"]].itertuples(index=False)
    }


def test_a_reader_gets_a_table_with_totals(offline: Path, whole: pd.DataFrame) -> None:
    lines = run("usage", "yearly", "--by", "voice", "--top", "2").stdout.splitlines()
    assert lines[1].split() == ["From", "Voice", "Items", "Characters", "Credits", "Share"]
    total = next(line.split() for line in lines if line.strip().startswith("Total"))
    assert total == ["Total", f"{len(whole):,}", f"{whole['characters'].sum():,}", f"{whole['credits'].sum():,}"]
    assert sum("other" in line for line in lines) == whole["date"].dt.year.nunique()


@pytest.mark.parametrize(
    ("day", "zone", "start", "end"),
    [
        ("2026-04-24", "Africa/Cairo", "2026-04-24 01:00+03:00", "2026-04-25 00:00+03:00"),
        ("2026-09-06", "America/Santiago", "2026-09-06 01:00-03:00", "2026-09-07 00:00-03:00"),
        ("2026-10-29", "Africa/Cairo", "2026-10-29 00:00+03:00", "2026-10-30 00:00+02:00"),
        ("2026-03-28", "Asia/Beirut", "2026-03-28 00:00+02:00", "2026-03-29 01:00+03:00"),
    ],
)
def test_a_day_whose_midnight_the_clocks_skip_or_repeat(
    offline: Path, whole: pd.DataFrame, day: str, zone: str, start: str, end: str
) -> None:
    rows = whole[(whole["date"] >= pd.Timestamp(start)) & (whole["date"] < pd.Timestamp(end))]
    found = data("usage", "total", "--since", day, "--until", day, "--tz", zone)
    assert found["totals"]["items"] == len(rows)


def test_since_and_until_are_whole_days_of_the_zone(offline: Path, whole: pd.DataFrame) -> None:
    found = data("usage", "total", "--since", "2026-10-01", "--until", "2026-10-24", "--tz", "Asia/Kolkata")
    kept = whole.speech.filter(after="2026-10-01T00:00+05:30", before="2026-10-25T00:00+05:30")
    assert found["totals"]["items"] == len(kept) > 0
    assert data("usage", "total", "--since", "2026-10-24", "--until", "2026-10-24")["totals"]["items"] == len(
        whole.speech.filter(after="2026-10-24", before="2026-10-25")
    )


def test_money_by_client_offline(offline: Path, whole: pd.DataFrame) -> None:
    Path("rules.toml").write_text('[[rule]]\nlabel = "Acme"\nvoice = "Rachel"\n')
    Path("prices.toml").write_text('currency = "EUR"\n[[price]]\nper_1000_credits = "0.30"\n')
    found = data("usage", "total", "--by", "client", "--rules", "rules.toml", "--prices", "prices.toml")
    costs = {row["client"]: row["cost"] for row in found["rows"]}
    assert set(costs) == {"Acme", "unassigned"}
    table = hk.cost_table(hk.label(whole, "rules.toml"), "client", prices="prices.toml")
    assert costs == {client: str(cost) for client, cost in zip(table["client"], table["cost"], strict=True)}
    assert found["totals"]["cost"] == table.attrs["histkit"]["totals"]["EUR"]["cost"]
    head = run("usage", "total", "--by", "client", "--rules", "rules.toml", "--prices", "prices.toml").stdout
    assert "Cost in EUR" in head


def test_compare_shows_volume_and_mix(offline: Path, whole: pd.DataFrame) -> None:
    found = data("usage", "monthly", "--compare", "--by", "model")
    table = hk.usage_table(whole, "model", "MS", compare="previous")
    assert [row["mix"] for row in found["rows"]] == [None if pd.isna(each) else each for each in table["mix"]]


def test_billing_periods_from_the_plan_or_from_a_day(online: Path, whole: pd.DataFrame) -> None:
    assert data("usage", "billing")["totals"]["credits"] == whole["credits"].sum()
    found = data("usage", "billing", "--reset-day", "31")
    table = hk.usage_table(whole, None, "billing", billing=31)
    assert [row["period"] for row in found["rows"]] == [each.isoformat() for each in table["period"]]


def test_the_report_is_written_or_printed(online: Path, whole: pd.DataFrame) -> None:
    said = run("report", "out.html", "--title", "Autumn", "--quota").stdout
    assert said == f"out.html: 5,500 rows, {round(Path('out.html').stat().st_size / 1000)} kB\n"
    assert "Autumn</h1>" in Path("out.html").read_text("utf-8")
    assert ">Quota</h2>" in Path("out.html").read_text("utf-8")
    assert "Top texts" in run("report").stdout
    assert (
        run("report", "out.pdf", code=1).stderr
        == "histkit: PATH 'out.pdf' can't hold a report; use one of .html, .xlsx, .md.\n"
    )
    assert not Path("out.pdf").exists()


def test_quota_exits_with_4_when_more_is_used_than_allowed(
    online: Path, shared_box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hk.HistoryClient(shared_box.api_key, base_url=shared_box.url) as client:
        plan = client.subscription()
    used = 100 * plan.character_count / plan.character_limit
    assert 0 < used < 100
    assert run("quota", "--fail-over", f"{used + 1}%").stdout.startswith(f"{plan.character_count:,} of ")
    assert run("quota", "--fail-over", f"{(used - used / 2) / 100}", code=4).stdout.startswith(
        f"{plan.character_count:,}"
    )
    facts = data("quota")
    assert facts["used"] == plan.character_count
    wide = run("quota").stdout
    assert facts["projected"] is None or "the counter will be between" in wide
    monkeypatch.setenv("COLUMNS", "48")
    narrow = run("quota").stdout
    assert max(map(len, narrow.splitlines())) <= 48
    assert narrow.split() == wide.split()


def test_the_ledger_and_the_official_figures(online: Path, whole: pd.DataFrame) -> None:
    found = data("ledger", "yearly")
    table = hk.ledger(whole, "YS")
    assert [(row["seen"], row["unseen"]) for row in found["rows"]] == list(
        zip(table["seen"], table["unseen"], strict=True)
    )
    for tz in ("UTC", "Europe/Berlin"):
        official = data("ledger", "monthly", "--official", "--tz", tz)
        assert all(row["unexplained"] == 0 for row in official["rows"][1:])
    assert "Unseen (estimate)" in run("ledger").stdout


def test_takes_are_listed_by_what_they_cost(offline: Path, whole: pd.DataFrame) -> None:
    found = data("takes", "--top", "1000000")
    facts = hk.takes(whole).attrs["histkit"]
    assert sum(row["thrown_away"] for row in found["rows"]) == facts["thrown_away"]
    assert len(found["rows"]) == facts["lines_with_takes"]
    lost = [row["thrown_away"] for row in data("takes")["rows"]]
    assert lost == sorted(lost, reverse=True)
    assert len(lost) == 20


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["usage", "--since", "31.10.2026"], 1, "--since '31.10.2026' is not a date; use 2026-10-31."),
        (["usage", "--since", "2026-02-30"], 1, "--since '2026-02-30' is not a date; use 2026-02-28."),
        (["usage", "--since", "2026-10-01", "--after", "2026-10-01"], 2, "--since and --after exclude each other."),
        (["usage", "--since", "2026-10-01", "--tz", "Mars"], 1, "--tz 'Mars' is not a time zone"),
        (["usage", "--tz", "Mars"], 1, "--tz 'Mars' is not a time zone"),
        (["usage", "--by", "mood"], 3, "The history has no column 'mood'"),
        (["usage", "--json", "--csv"], 2, "--json and --csv exclude each other."),
        (["usage", "--reset-day", "3"], 2, "--reset-day is for billing periods."),
        (["usage", "--rules", "none.toml"], 1, "none.toml: the file does not exist"),
        (["usage", "--prices", "none.toml"], 1, "none.toml: the file does not exist"),
        (["usage", "--compare", "--prices", "x.toml"], 2, "--compare and --prices exclude each other."),
        (["usage", "fortnightly"], 2, "'fortnightly' is not one of"),
        (["quota", "--fail-over", "much"], 2, "much is not a share such as 90% or 0.9."),
        (["quota", "--fail-over", "9000%"], 2, "9000% is not from 0% to 1000%."),
        (["quota"], 1, "ELEVENLABS_API_KEY"),
    ],
)
def test_a_mistake_is_said_in_a_line(offline: Path, arguments: list[str], code: int, says: str) -> None:
    result = run(*arguments, code=code)
    assert says in result.stderr
    assert result.stdout == ""


def test_nothing_found_is_said_beside_an_empty_table(offline: Path) -> None:
    result = run("usage", "--before", "2000-01-01", "--json")
    assert json.loads(result.stdout)["rows"] == []
    assert result.stderr.startswith("No rows: ")


def test_data_goes_to_stdout_and_everything_else_to_stderr(online: Path) -> None:
    command = [sys.executable, "-m", "histkit.cli", "usage", "total", "--live", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(result.stdout)["totals"]["items"] == 5500
    assert "Traceback" not in result.stderr


RULES = '[[rule]]\nlabel = "Acme Büro"\nvoice = "Rachel"\n'
PRICES = 'currency = "EUR"\n[[price]]\nper_1000_credits = "0.30"\n'


def test_a_statement_on_the_terminal_as_data_and_as_a_file(offline: Path, whole: pd.DataFrame) -> None:
    Path("rules.toml").write_text(RULES, "utf-8")
    Path("prices.toml").write_text(PRICES, "utf-8")
    month = f"{whole['date'].max().tz_convert('Asia/Tokyo'):%Y-%m}"
    asked = ("statement", "Acme Büro", month, "--rules", "rules.toml", "--prices", "prices.toml", "--tz", "Asia/Tokyo")
    local = whole["date"].dt.tz_convert("Asia/Tokyo")
    rows = whole[whole["voice_name"].eq("Rachel") & (local.dt.strftime("%Y-%m") == month)]
    found = data(*asked)
    assert found["totals"]["credits"] == rows["credits"].sum()
    assert f"{rows['credits'].sum():,}" in run(*asked).stdout
    first = run(*asked, "-o", "acme.html")
    assert first.stdout == f"acme.html: {len(rows):,} rows, fingerprint {found['fingerprint']}\n"
    assert "before the end of the period" in first.stderr
    written = Path("acme.html").read_bytes()
    run(*asked, "-o", "acme.html")
    assert Path("acme.html").read_bytes() == written
    assert run(*asked, "--csv").stdout.startswith('"voice","model","items"')


def test_statements_of_all_clients(offline: Path, whole: pd.DataFrame) -> None:
    Path("rules.toml").write_text(RULES, "utf-8")
    found = data("statements", "2026", "--rules", "rules.toml", "-o", "bills", "--format", "md")
    assert found["totals"]["credits"] == whole["credits"][whole["date"].dt.year == 2026].sum()
    assert sorted(path.name for path in Path("bills").iterdir()) == ["Acme Büro-2026.md", "unassigned-2026.md"]
    names = {row["client"] for row in data("statements", "2026", "--column", "voice_name")["rows"]}
    assert names >= {"Rachel"}


def test_a_report_on_a_part_of_the_history_says_so(offline: Path, whole: pd.DataFrame) -> None:
    for options, said in (
        (["--voice", "Rachel"], "; part of a history: voice Rachel"),
        (["--text", "the", "--model", "eleven_v3"], "; part of a history: model eleven_v3, text matching 'the'"),
        (["--text", "the", "--limit", "9"], "; part of a history: text matching 'the', the newest 9 rows"),
    ):
        shown = " ".join(run("report", *options).stdout.split())
        assert said in shown
        assert "Unseen" not in shown
        assert "Not for a part of a history" in shown
    for options, said in (
        (["--since", "2026-03", "--until", "2026-08"], "; part of a history: from 2026-03-01, before 2026-09-01"),
        (["--limit", "500"], "; part of a history: the newest 500 rows"),
    ):
        shown = " ".join(run("report", *options).stdout.split())
        assert said in shown
        assert " Unseen: " in shown
        assert "not known whether" not in shown
    assert "part of a history" not in run("report").stdout


def test_a_statement_in_another_zone_than_its_rules_is_refused(offline: Path, whole: pd.DataFrame) -> None:
    late = whole[whole["date"].dt.hour >= 22].iloc[-1]
    day = f"{late['date'] + pd.Timedelta(hours=3):%Y-%m-%d}"  # the same evening is this day in Berlin
    rules = f'[[rule]]\nlabel = "New"\nafter = {day}\n[[rule]]\nlabel = "Old"\nbefore = {day}\n'
    Path("rules.toml").write_text(f'tz = "UTC"\n{rules}')
    asked = ("statements", day, "--rules", "rules.toml", "--tz", "Europe/Berlin")
    line = run(*asked, code=1).stderr.splitlines()[-1]
    assert f"its rules read {day} as a date of UTC, and this is a statement of Europe/Berlin" in line
    assert line.endswith("; write tz = 'Europe/Berlin' into the rules, or use --tz 'UTC' here.")
    Path("rules.toml").write_text(rules)  # one --tz for both
    assert [row["client"] for row in data(*asked)["rows"]] == ["New"]


def test_rules_by_other_columns_and_dialogues(offline: Path, whole: pd.DataFrame) -> None:
    Path("rules.toml").write_text("""
        [[rule]]
        label = "Studio"
        where = { source = ["Projects", "Dubbing"] }
        [[rule]]
        label = "Rachel"
        voice = "Rachel"
        dialogues = "most"
    """)
    found = {
        row["client"]: row["items"] for row in data("usage", "total", "--by", "client", "--rules", "rules.toml")["rows"]
    }
    expected = hk.label(whole, "rules.toml")["client"].value_counts()
    assert found == {name: count for name, count in expected.items() if count}
    assert found["Rachel"] > (whole["voice_name"].eq("Rachel") & ~whole["source"].isin(["Projects", "Dubbing"])).sum()
    Path("rules.toml").write_text('[[rule]]\nlabel = "Web"\nwhere = { source = "Projets" }\n')
    rows = ("usage", "--limit", "1", "--rules", "rules.toml")
    assert "rule 'Web': source='Projets' matches no value; did you mean 'Projects'?" in run(*rows, code=3).stderr
    Path("rules.toml").write_text('[[rule]]\nlabel = "Web"\nwhere = { source = "Projects" }\n')
    assert "rules.toml" not in run(*rows).stderr  # the value is in the whole history
    Path("rules.toml").write_text('[[rule]]\nlabel = "Web"\nwhere = { sourc = "Projects" }\n')
    assert "no column 'sourc', which the rule for 'Web' needs. Did you mean 'source'?" in run(*rows, code=3).stderr


def test_statements_need_to_know_whose_rows_are_whose(offline: Path) -> None:
    Path("rules.toml").write_text(RULES, "utf-8")
    assert "Add --rules" in run("statement", "Acme", "2026", code=2).stderr
    assert "did you mean 'Acme Büro'?" in run("statement", "Acme Buro", "2026", "--rules", "rules.toml", code=3).stderr
    assert "is not a period" in run("statements", "soon", "--rules", "rules.toml", code=1).stderr
    assert (
        "exclude each other" in run("statement", "Acme", "2026", "--column", "source", "--csv", "--json", code=2).stderr
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--voice", "Rachl"], "--voice 'Rachl' matches no voice; did you mean 'Rachel'?"),
        (["--voice", "Rachel", "--voice", "Rachl"], "--voice 'Rachl' matches no voice; did you mean 'Rachel'?"),
        (["--model", "eleven_v9"], "--model 'eleven_v9' matches no model; did you mean 'eleven_v3'"),
        (["--source", "TTTS"], "--source 'TTTS' matches no source; did you mean 'TTS'"),
        (["--account", "nosuch"], "--account 'nosuch' matches no account; the rows have none."),
    ],
    ids=str,
)
@pytest.mark.parametrize("command", ["usage", "report", "takes", "pull", "zip", "delete", "export"])
def test_a_name_that_matches_nothing_ends_every_command(
    offline: Path, command: str, arguments: list[str], words: str
) -> None:
    where = {"zip": ["a.zip"], "export": ["a.csv"]}.get(command, [])
    before = sorted(Path.cwd().rglob("*"))
    result = run(command, *where, *arguments, code=3)
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert sorted(Path.cwd().rglob("*")) == before


BILLING = [
    ["usage"],
    ["usage", "--by", "client", "--after", "2026-09", "--limit", "5"],
    ["usage", "--model", "eleven_v3"],
    ["usage", "--before", "2000-01-01"],
    ["usage", "--live", "--after", "2026-09"],
    ["usage", "--live"],
    ["report"],
    ["report", "report.html"],
    ["statement", "Acme", "2026-09", "-o", "acme.html"],
    ["statement", "Acme", "2026-09", "--live", "--json"],
    ["statements", "2026-09", "-o", "bills"],
]


@pytest.mark.parametrize("arguments", BILLING, ids=str)
def test_a_mistyped_name_in_rules_ends_every_command(online: Path, arguments: list[str]) -> None:
    Path("rules.toml").write_text('[[rule]]\nlabel = "Acme"\nvoice = ["Rachel", "Rachl"]\nmodel = "Elven_v3"\n')
    before = sorted(Path.cwd().rglob("*"))
    result = run(*arguments, "--rules", "rules.toml", code=3)
    lines = [line for line in result.stderr.splitlines() if "rules.toml" in line]
    assert len(lines) == 2
    assert lines[0] == "histkit: rules.toml: rule 'Acme': voice='Rachl' matches no voice; did you mean 'Rachel'?"
    assert lines[1].startswith("histkit: rules.toml: rule 'Acme': model='Elven_v3' matches no model; did you mean")
    assert result.stdout == ""
    assert sorted(Path.cwd().rglob("*")) == before


@pytest.mark.parametrize("arguments", BILLING, ids=str)
def test_a_rule_for_a_voice_that_is_not_used_yet_is_one_line(online: Path, arguments: list[str]) -> None:
    names = '"Nobody at all", "0123456789abcdefghij"'
    Path("rules.toml").write_text(f'[[rule]]\nlabel = "Acme"\nvoice = ["Rachel", {names}]\n')
    result = run(*arguments, "--rules", "rules.toml")
    assert [line for line in result.stderr.splitlines() if "rules.toml" in line] == [
        "histkit: rules.toml: 2 names match none of the rows: voice='Nobody at all' (rule 'Acme'), "
        "voice='0123456789abcdefghij' (rule 'Acme'). Check their spelling."
    ]
    if arguments == ["usage", "--live"]:  # a part of the history may lack a voice of the rest
        assert "3 names match none of the rows: " in run(*arguments, "--limit", "9", "--rules", "rules.toml").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["usage", "--limit", "1"],
        ["usage", "--voice", "Rachel", "--model", "eleven_v3"],
        ["report", "--before", "2000-01-01"],
        ["statements", "2026-09"],
    ],
    ids=str,
)
def test_a_rule_for_rows_that_the_options_leave_out_is_no_mistake(
    offline: Path, whole: pd.DataFrame, arguments: list[str]
) -> None:
    names = {"voice": "voice_name", "model": "model_id", "source": "source", "speaker": "voice_name"}
    rules = [
        f'[[rule]]\nlabel = "{condition}"\n{condition} = {sorted(whole[column].dropna().astype(str).unique())}\n'
        for condition, column in names.items()
    ]
    Path("rules.toml").write_text("".join([*rules, '[[rule]]\nlabel = "x"\nsource = "VoicePreview"\n']), "utf-8")
    assert "rules.toml" not in run(*arguments, "--rules", "rules.toml").stderr


@pytest.mark.parametrize("command", [["usage"], ["report"], ["statements", "2026-09"]], ids=str)
def test_rules_that_are_wrong_end_a_command_before_it_reads(
    online: Path, shared_box: Sandbox, command: list[str]
) -> None:
    Path("rules.toml").write_text('[[rule]]\nlabel = "Acme"\nvoise = "Rachel"\n')
    before = len(shared_box.requests())
    assert "'voise' is not a condition" in run(*command, "--live", "--rules", "rules.toml", code=1).stderr
    assert len(shared_box.requests()) == before


def test_a_client_or_a_column_that_does_not_exist_ends_with_the_code_of_names(offline: Path) -> None:
    Path("rules.toml").write_text(RULES, "utf-8")
    result = run("statement", "Acme Büro", "2026-09", "--rules", "rules.toml", "--by", "clint", code=3)
    assert "The history has no column 'clint'" in result.stderr
    assert "Did you mean 'client'" in result.stderr
    result = run("statements", "2026-09", "--column", "acount", code=3)
    assert result.stderr == "histkit: --column 'acount' is not in the history; did you mean 'account'?\n"


def test_a_name_without_rows_in_the_dates_is_no_mistake(offline: Path) -> None:
    assert "No rows" in run("usage", "--voice", "rachel", "--before", "2020-01-01").stderr


def test_a_client_is_a_filter_of_the_commands_that_take_rules(offline: Path, whole: pd.DataFrame) -> None:
    Path("rules.toml").write_text(
        "[[rule]]\nlabel = 'Acme'\nvoice = 'Rachel'\n[[rule]]\nlabel = 'Zed'\nsource = 'STS'\n"
    )
    labelled = hk.label(whole, "rules.toml")
    rules = ("--rules", "rules.toml")
    for names in (["Acme"], ["Acme", "unassigned"]):
        chosen = [word for name in names for word in ("--client", name)]
        rows = labelled[labelled["client"].isin(names)]
        assert data("usage", "total", *rules, *chosen)["totals"]["credits"] == rows["credits"].sum()
        newest = data("usage", "total", *rules, *chosen, "--limit", "5")
        assert newest["totals"]["credits"] == rows["credits"].head(5).sum()
    reprice = data("reprice", "total", *rules, "--client", "Zed", "--on-model", "eleven_flash_v2_5")
    assert reprice["totals"]["credits"] == labelled.loc[labelled["client"] == "Zed", "credits"].sum()
    run("report", "acme.md", *rules, "--client", "Acme")
    assert "client Acme" in Path("acme.md").read_text("utf-8")
    wrong = run("usage", *rules, "--client", "Acne", code=3)
    assert wrong.stdout == ""
    assert wrong.stderr == "histkit: --client 'Acne' matches no client; did you mean 'Acme'?\n"
    assert "--client needs --rules" in run("usage", "--client", "Acme", code=2).stderr


def test_clients_need_rules(offline: Path) -> None:
    assert "--by client: add --rules" in run("usage", "--by", "client", code=2).stderr
    assert "Did you mean 'voice'" in run("usage", "--by", "voic", code=3).stderr


def test_a_text_is_a_pattern_or_literal(offline: Path, whole: pd.DataFrame) -> None:
    for typed, options, expected in (
        (r"chapter \d+", (), whole.speech.filter(text=r"chapter \d+")),
        ("the", ("--literal",), whole.speech.filter(text="the", regex=False)),
        ("C++", ("--literal",), whole.iloc[:0]),
    ):
        assert data("usage", "total", "--text", typed, *options)["totals"]["items"] == len(expected)
    run("export", "a.csv", "--text", "the", "--limit", "3")
    kept = whole.speech.filter(text="the")["history_item_id"].head(3)
    assert hk.read_csv("a.csv")["history_item_id"].tolist() == kept.tolist()
    assert "with --literal it is searched for" in run("usage", "--text", "C++(", code=1).stderr
    assert "--literal needs --text." in run("usage", "--literal", code=2).stderr


PRICING = [
    ["usage", "--by", "voice", "--after", "2026-09"],
    ["usage", "--model", "eleven_v3"],
    ["usage", "--before", "2000-01-01"],
    ["usage", "--live"],
    ["report", "report.html"],
    ["statement", "Acme", "2026-09", "-o", "acme.html"],
    ["statements", "2026-09", "-o", "bills"],
]


@pytest.mark.parametrize("arguments", PRICING, ids=str)
def test_a_mistyped_name_in_prices_ends_every_command(online: Path, arguments: list[str]) -> None:
    Path("rules.toml").write_text('[[rule]]\nlabel = "Acme"\nvoice = "Rachel"\n')
    Path("prices.toml").write_text(
        'currency = "EUR"\n[[price]]\nper_1000_credits = "0.30"\n'
        '[[price]]\nclient = "Acne"\nper_1000_credits = 1\n[[price]]\nvoice = "Rachl"\nper_1000_credits = 1\n'
    )
    before = sorted(Path.cwd().rglob("*"))
    result = run(*arguments, "--rules", "rules.toml", "--prices", "prices.toml", code=3)
    lines = [line for line in result.stderr.splitlines() if "prices.toml" in line]
    assert sorted(lines) == [
        "histkit: prices.toml: price 2: client='Acne' matches no client; did you mean 'Acme'?",
        "histkit: prices.toml: price 3: voice='Rachl' matches no voice; did you mean 'Rachel'?",
    ]
    assert result.stdout == ""
    assert sorted(Path.cwd().rglob("*")) == before


@pytest.mark.parametrize("arguments", PRICING, ids=str)
def test_a_price_for_a_voice_that_is_not_used_yet_is_one_line(online: Path, arguments: list[str]) -> None:
    Path("rules.toml").write_text('[[rule]]\nlabel = "Acme"\nvoice = "Rachel"\n')
    Path("prices.toml").write_text(
        'currency = "EUR"\n[[price]]\nper_1000_credits = "0.30"\nclient = ["Acme", "unassigned"]\n'
        '[[price]]\nvoice = ["Nobody at all", "Rachel"]\nper_1000_credits = 1\n'
    )
    result = run(*arguments, "--rules", "rules.toml", "--prices", "prices.toml")
    assert [line for line in result.stderr.splitlines() if "prices.toml" in line] == [
        "histkit: prices.toml: 1 name matches none of the rows: voice='Nobody at all' (price 2). Check its spelling."
    ]


def test_prices_by_client_need_the_rules(offline: Path) -> None:
    Path("prices.toml").write_text('currency = "EUR"\n[[price]]\nper_1000_credits = 1\nclient = "Acme"\n')
    assert "no column 'client'" in run("usage", "--prices", "prices.toml", code=3).stderr


def test_yen_have_no_cents_beside_other_currencies(offline: Path) -> None:
    Path("prices.toml").write_text(
        '[[price]]\nper_1000_credits = "0.3"\ncurrency = "EUR"\n'
        '[[price]]\nmodel = "eleven_v3"\nper_1000_credits = 45\ncurrency = "JPY"\n'
        '[[price]]\nmodel = "eleven_flash_v2_5"\nper_1000_credits = "0.5"\ncurrency = "KWD"\n'
    )
    places = {"EUR": 2, "JPY": 0, "KWD": 3}
    rows = data("usage", "total", "--by", "model", "--prices", "prices.toml")["rows"]
    assert {row["currency"] for row in rows} >= {"EUR", "JPY", "KWD"}
    for row in rows:
        assert len(row["cost"].partition(".")[2]) == places[row["currency"]]
    text = run("usage", "total", "--by", "model", "--prices", "prices.toml").stdout
    assert all(row["cost"] in text.replace(",", "").split() for row in rows)
    Path("rules.toml").write_text('[[rule]]\nlabel = "Acme"\nvoice = "Rachel"\n')
    for form in ("--json", "--csv"):
        bill = run("statement", "Acme", "2026", "--rules", "rules.toml", "--prices", "prices.toml", form).stdout
        costs = (
            [(row["currency"], row["cost"]) for row in json.loads(bill)["lines"]]
            if form == "--json"
            else pd.read_csv(io.StringIO(bill), dtype=str)[["currency", "cost"]].itertuples(index=False)
        )
        assert all(len(cost.partition(".")[2]) == places[code] for code, cost in costs)


def test_reprice_says_what_another_model_would_have_cost(offline: Path, whole: pd.DataFrame) -> None:
    Path("plans.toml").write_text(
        'currency = "EUR"\n[[plan]]\nname = "Big"\nmonthly_fee = "99.00"\nincluded_credits = 500000\n'
    )
    found = data("reprice", "quarterly", "--on-model", "eleven_flash_v2_5", "--by", "voice")
    table = hk.reprice(whole, "eleven_flash_v2_5", "voice", "QS")
    assert [row["credits_low"] for row in found["rows"]] == table["credits_low"].tolist()
    assert found["totals"]["credits_high"] == table["credits_high"].sum()
    text = run("reprice", "total", "--on-model", "eleven_flash_v2_5").stdout
    assert "An estimate: " in text
    assert "% less credits on eleven_flash_v2_5." in text
    plans = run("reprice", "--plan", "plans.toml").stdout
    months = len(hk.usage_table(whole, None, "MS", fill=True))
    assert f"Big: {99 * months}.00 EUR in all." in plans
    assert "did you mean 'eleven_flash_v2_5'" in run("reprice", "--on-model", "eleven_flsh_v2_5", code=3).stderr
    assert "Add what to change" in run("reprice", code=2).stderr
    assert "need --reset-day" in run("reprice", "billing", "--plan", "plans.toml", code=2).stderr


def test_the_ledger_by_group_and_with_the_day_of_resets(online: Path, whole: pd.DataFrame) -> None:
    found = data("ledger", "yearly", "--by", "model", "--reset-day", "14", "--across-accounts")
    table = hk.ledger(whole, "YS", by="model", billing=14)
    assert [row["seen"] for row in found["rows"]] == [None if pd.isna(seen) else seen for seen in table["seen"]]
    assert found["totals"]["unseen"] == table.attrs["histkit"]["unseen"]
    assert "what no row can say" in run("ledger", "--by", "model").stdout
    assert "--official --by needs --requests" in run("ledger", "--official", "--by", "model", code=2).stderr
    assert "--requests needs --official" in run("ledger", "--requests", code=2).stderr


def test_the_ledger_of_some_time_has_the_gaps_of_the_whole(online: Path, whole: pd.DataFrame) -> None:
    dates = ("--since", "2026-08-10", "--until", "2026-09")
    found = data("ledger", "monthly", *dates, "--tz", "Europe/Berlin")
    bounds = {"after": "2026-08-10", "before": "2026-10-01"}
    table = hk.ledger(whole, "MS", tz="Europe/Berlin", **bounds)
    assert [row["unseen"] for row in found["rows"]] == table["unseen"].tolist()
    assert found["totals"]["seen"] == hk.filter_items(whole, tz="Europe/Berlin", **bounds)["credits"].sum()
    assert found["facts"]["cut_periods"] == ["2026-08-01"]
    text = " ".join(run("ledger", *dates).stdout.split())
    assert "The period 2026-08-01 is cut: it has rows from 2026-08-10" in text
    shown = data("ledger", "daily", *dates)
    every = {row["period"]: row for row in data("ledger", "daily")["rows"]}
    assert shown["rows"] == [row for day, row in every.items() if "2026-08-10" <= day < "2026-10-01"] != []
    assert run("ledger", "--since", "2031").stderr == "No rows: nothing in this history meets the options.\n"
    assert "is later than" in run("ledger", "--since", "2026-10", "--until", "2026-09", code=1).stderr


def test_the_official_figures_of_some_time(online: Path, whole: pd.DataFrame) -> None:
    options = ("ledger", "monthly", "--official", "--reset-day", "14", "--after", "2026-08-10T12:00")
    found = data(*options)
    every = data("ledger", "daily", "--official", "--reset-day", "14")["rows"]
    expected = sum(row["official"] for row in every if row["period"] >= "2026-08-10")  # whole days
    assert found["totals"]["official"] == expected > 0
    assert found["facts"]["cut_periods"] == ["2026-08-01"]
    assert "it has figures from 2026-08-10T00:00:00+00:00 on" in " ".join(run(*options).stdout.split())
