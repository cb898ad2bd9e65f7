"""Messages of the command line speak its own words: options and arguments, no parameters of Python."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import histkit as hk
from histkit.cli import main
from histkit.cli.group import _PHRASES, in_option_names
from histkit.sandbox import serve
from tests.conftest import client_of

PACKAGE = Path(hk.__file__).parent
ARGUMENTS = {"client": "TTS", "period": "2026"}
NEEDED = {"statement": ["--column", "source"], "statements": ["--column", "source"]}
ALONE = {"sandbox", "demo"}  # serve until they are stopped; all their options are checked by click
PYTHON = re.compile(
    r"(?<![\w?&])[a-z_]+=|Timestamp\(|datetime|None\b|\w\(\)|histkit\.\w+\(|HistoryClient|a list of|a frame"
)


def commands() -> list[tuple[str, click.Parameter]]:
    return [
        (name, parameter)
        for name, command in main.commands.items()
        if name not in ALONE
        for parameter in command.params
        if not getattr(parameter, "is_flag", False) and not isinstance(parameter.type, (click.Choice, click.IntRange))
    ]


def is_in_its_own_words(stderr: str) -> bool:
    return PYTHON.search(stderr.replace("studio=STUDIO_KEY", "")) is None and "Traceback" not in stderr


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "history"
    with serve(items=60) as box, client_of(box) as client:
        hk.sync(folder, client=client, progress=False)
    return folder


@pytest.fixture
def offline(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a local history, and no key."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/history").symlink_to(small)
    return tmp_path


@pytest.mark.parametrize(("name", "parameter"), commands(), ids=lambda each: getattr(each, "name", each))
@pytest.mark.parametrize("value", ["no such thing", "-7.5", "/proc/none/x.pdf", "{bad!r:", "a=b"])
def test_no_bad_value_of_any_option_shows_python(
    offline: Path, name: str, parameter: click.Parameter, value: str
) -> None:
    options, arguments = [*NEEDED.get(name, ())], dict(ARGUMENTS if name == "statement" else {})
    if name == "statements":
        arguments = {"period": ARGUMENTS["period"]}
    if isinstance(parameter, click.Argument):
        arguments[str(parameter.name)] = value
    else:
        options.append(f"{max(parameter.opts, key=len)}={value}")
    result = CliRunner().invoke(main, [name, *options, "--", *arguments.values()])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    shown = result.stderr.replace(value, "").replace(repr(value)[1:-1], "")
    assert is_in_its_own_words(shown), result.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["usage", "--since", "2026-10-10", "--until", "2026-10-01"],
            "--since '2026-10-10' is later than --until '2026-10-01'.",
        ),
        (
            ["usage", "--after", "2026-10-10", "--until", "2026-10-01"],
            "--after '2026-10-10' is later than --until '2026-10-01'.",
        ),
        (["takes", "--near", "7"], "--near 7.0 "),
        (["usage", "--tz", "Mars"], "--tz 'Mars' is not a time zone"),
        (["usage", "--by", "credits"], "--by 'credits' is not possible"),
        (["report", "x.pdf"], "PATH 'x.pdf' can't hold a report; use one of .html, .xlsx, .md."),
        (["statement", "Nobody", "2026", "--column", "source"], "CLIENT 'Nobody' is not in the column 'source'"),
        (["statement", "TTS", "soon", "--column", "source"], "PERIOD 'soon' is not a period"),
        (["statement", "TTS", "2026", "--column", "mood"], "--column 'mood' is not in the history; the columns are "),
        (["pull", "--name", "{nobody}"], "--name '{nobody}'"),
        (["pull", "--near", "0.9"], "--near needs --keepers or --script."),
        (["pull", "--script", "none.txt"], "--script 'none.txt' can't be read: No such file or directory; use a text"),
        (["pull", "--script", "/dev/null"], "--script has no line; use a file with a text a line."),
        (["quota"], "No API key: set ELEVENLABS_API_KEY.\n"),
        (["export", "a.csv", "--history", "none"], "none holds no local history: sync first (histkit sync).\n"),
    ],
)
def test_a_mistake_is_told_by_the_option_it_was_made_with(offline: Path, arguments: list[str], line: str) -> None:
    result = CliRunner().invoke(main, arguments)
    no_such_name = "is not in the" in line
    assert result.exit_code in ((3,) if no_such_name else (1, 2))
    assert line in result.stderr
    assert is_in_its_own_words(result.stderr)


@pytest.mark.parametrize("arguments", [["sync"], ["usage", "--live"], ["quota"]])
def test_a_missing_key_is_told_also_beside_a_made_up_history(
    offline: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.delenv("ELEVENLABS_API_KEY", raising=False)
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stderr) == (1, "histkit: No API key: set ELEVENLABS_API_KEY.\n")


def test_a_wrong_key_is_told_without_parameters() -> None:
    with serve(items=1) as box:
        known = {"ELEVENLABS_BASE_URL": box.url, "ELEVENLABS_API_KEY": "sk_wrong"}
        result = CliRunner().invoke(main, ["quota", "--live"], env=known)
    assert "Check ELEVENLABS_API_KEY, and that the base URL" in result.stderr
    assert is_in_its_own_words(result.stderr)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_what_a_user_typed_is_never_translated(text: str) -> None:
    command = click.Command("x", params=[click.Option(["--near"])])
    message = f"near={text!r} is wrong; near= takes a number."
    assert in_option_names(message, command) == f"--near {text!r} is wrong; --near takes a number."


@pytest.mark.parametrize(
    ("name", "message", "line"),
    [
        (
            "quota",
            "The frame has several accounts; a counter belongs to one: df[df['account'] == '...'].",
            "The history has several accounts; a counter belongs to one: use --account NAME.",
        ),
        (
            "ledger",
            "The frame has several accounts, each with its own resets: take those of one, df[df['account'] == '...'], "
            "or pass billing={account: ...}.",
            "The history has several accounts, each with its own resets: use --account NAME.",
        ),
        (
            "pull",
            "a client reads one: take those of one, df[df['account'] == 'studio'], with its client.",
            "a client reads one: use --account 'studio', with its key.",
        ),
        (
            "report",
            "The frame has no column 'client', which prices by client need; run df.speech.label(rules) first.",
            "The history has no column 'client', which prices by client need; add --rules.",
        ),
        (
            "reprice",
            "freq=None is not possible with plan=, which has a fee; use one of 'MS', 'billing'.",
            "PERIOD 'total' is not possible with --plan, which has a fee; use one of 'monthly', 'billing'.",
        ),
        (
            "reprice",
            "model='x' is not known; did you mean 'y'?",
            "--on-model 'x' is not known; did you mean 'y'?",
        ),
        ("reprice", "model='flash' matches no model.", "--model 'flash' matches no model."),
        ("usage", "or choose the columns that agree by columns=.", "or leave only the columns that agree."),
        ("sync", "requests=True needs a key.", "--requests needs a key."),
        ("usage", "run sync(requests=True).", "run histkit sync --requests."),
        ("sync", "histkit.sync(full=True, requests=True) heals it.", "histkit sync --full --requests heals it."),
        ("statement", "correct=True needs issue=True; name='x'.", "--correct needs --issue; name 'x'."),
        ("export", "exists: use another name, or force=True.", "exists: use another name, or --force."),
    ],
)
def test_what_python_would_do_is_told_as_the_command_does_it(name: str, message: str, line: str) -> None:
    assert in_option_names(message, main.commands[name]) == line


def test_every_phrase_that_is_translated_stands_in_the_package() -> None:
    used = set()
    for path in set(PACKAGE.rglob("*.py")) - {PACKAGE / "cli" / "common.py"}:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            text = message_of(node)
            for place, (phrase, words) in enumerate(_PHRASES):
                changed = phrase.sub(words, text)
                used |= {place} if changed != text else set()
                text = changed
    assert [phrase.pattern for place, (phrase, _) in enumerate(_PHRASES) if place not in used] == []


def message_of(node: ast.AST) -> str:
    """Return the text of a string or an f-string, whose values are quoted names."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "'x'" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def test_advice_of_the_package_is_that_of_the_commands(offline: Path) -> None:
    Path("prices.toml").write_text('currency = "EUR"\n[[price]]\nclient = "A"\nper_1000_credits = "0.3"\n', "utf-8")
    Path("plans.toml").write_text('[[plan]]\nname = "P"\ncurrency = "EUR"\nmonthly_fee = "1"\nincluded_credits = 1\n')
    pd.DataFrame({"request_id": ["a", "a"], "app": ["x", "y"]}).to_csv("log.csv", index=False)
    for arguments, words in (
        (["report", "--prices", "prices.toml"], "add --rules"),
        (["reprice", "total", "--plan", "plans.toml"], "PERIOD 'total' is not possible with --plan"),
        (["reprice", "--on-model", "flush"], "--on-model 'flush' is not known"),
        (["usage", "--by", "app", "--log", "log.csv"], "or leave only the columns that agree."),
    ):
        result = CliRunner().invoke(main, arguments)
        assert words in result.stderr
        assert is_in_its_own_words(result.stderr)


def test_the_sandbox_has_at_least_one_row() -> None:
    result = CliRunner().invoke(main, ["sandbox", "--items", "0"])
    assert result.exit_code == 2
    assert "'--items': 0 is not in the range x>=1." in result.stderr
    assert "Traceback" not in result.output


def test_a_table_is_printed_for_the_width_there_is(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: dict[str, Any] = {}
    for width in ("80", "160", "no terminal"):
        monkeypatch.setenv("COLUMNS", width)
        lines[width] = CliRunner().invoke(main, ["usage", "monthly", "--by", "voice"]).stdout.splitlines()
        assert max(map(len, lines[width])) <= (80 if width == "80" else 160)
    assert lines["160"] == lines["no terminal"]  # a pipe has no width of its own
    assert lines["80"] != lines["160"]
