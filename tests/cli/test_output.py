"""What the commands print: nothing that a terminal obeys, in any encoding, into any pipe."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import threading
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

import histkit as hk
from histkit.cli import main
from histkit.cli.output import print_data, print_line, print_message
from histkit.sandbox import serve
from histkit.util.text import terminal_lines, terminal_text
from tests.raw_service import Service, row

HOSTILE = (
    "Ra\x1b[31mchel\x07\u202e\u2066evil\r\n\tX\x9b1m\u2028Y\u2029\u200b\ufeff\ufe0f\u200d|`<b>=1+1 宮崎 12,345 عربي"
)
TABLES = (
    ("usage", "yearly", "--by", "voice"),
    ("usage", "daily", "--by", "voice", "--by", "model", "--by", "source", "--compare"),
    ("ledger", "daily"),
    ("takes",),
    ("report",),
    ("statement", HOSTILE, "2026", "--column", "voice_name"),
    ("statements", "2026", "--column", "voice_name"),
)
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def hidden(text: str) -> set[str]:
    """Return the characters of a text that a terminal obeys, or shows nothing of."""
    kinds = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    return {char for char in text if unicodedata.category(char) in kinds and char != "\n"} | set(text) & {"\ufe0f"}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a history whose names and texts attack a terminal."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = [
        row(
            number,
            1_767_225_600 + number * 86_400,
            character_count_change_from=number * 1000,
            character_count_change_to=number * 1000 + 900,
            voice_id=f"v{number % 3}",
            voice_name=HOSTILE + "x" * (number % 3),
            model_id="eleven" + HOSTILE,
            source="TTS",
            text=HOSTILE * (1 + number % 2),
        )
        for number in range(40, 0, -1)
    ]
    with Service(rows) as service:
        hk.sync(folder / "data/history", client=service.client, progress=False)
    return folder


@pytest.mark.parametrize("arguments", TABLES, ids=lambda each: " ".join(each)[:20])
@pytest.mark.parametrize("form", ["", "--csv", "--json"])
def test_nothing_that_a_terminal_obeys_is_printed(
    hostile: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], form: str
) -> None:
    monkeypatch.chdir(hostile)
    if form and arguments[0] == "report":
        form = ""
    result = CliRunner().invoke(main, [*arguments, *([form] if form else [])])
    assert result.exit_code == 0, result.output
    assert hidden(result.stdout) == set()
    assert hidden(result.stderr) == set()


def test_csv_and_json_on_standard_output_are_still_data(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(hostile)
    frame = hk.load("data/history")
    expected = hk.usage_table(frame, "voice")
    printed = CliRunner().invoke(main, ["usage", "total", "--by", "voice", "--csv"]).stdout
    table = pd.read_csv(io.StringIO(printed))
    assert table["credits"].tolist() == expected["credits"].tolist()
    assert len(table["voice"].unique()) == 3
    rows = json.loads(CliRunner().invoke(main, ["usage", "total", "--by", "voice", "--json"]).stdout)["rows"]
    assert [each["voice"] for each in rows] == expected["voice"].astype(str).tolist()


def test_messages_and_warnings_are_one_clean_line_each(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(hostile)
    for arguments in (["usage", "--by", HOSTILE], ["pull", "--id", HOSTILE], ["statement", "a", HOSTILE], [HOSTILE]):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code != 0
        assert hidden(result.stderr) == set(), arguments
        assert hidden(result.stdout) == set(), arguments


@given(text=st.text(st.characters(codec="utf-8")) | st.just(HOSTILE))
def test_every_kind_of_output_is_clean(text: str) -> None:
    runner = CliRunner()
    with runner.isolation() as (out, err, _):
        print_line(text)
        print_message(text)
        print_data(text + "\n")
        shown = out.getvalue().decode(), err.getvalue().decode()
    for stream in shown:
        assert hidden(stream) <= {"\u200c", "\u200d"}  # joiners within words of scripts that need them
    assert shown[1].count("\n") == 1
    assert terminal_text(terminal_text(text)) == terminal_text(text)
    assert terminal_lines(terminal_lines(text)) == terminal_lines(text)


def run(folder: Path, *arguments: str, command: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own; `command` is a shell's way to run ``"$@"``."""
    call = [sys.executable, "-m", "histkit.cli", *arguments]
    if command:
        call = ["bash", "-c", command, "bash", *call]
    return subprocess.run(
        call, cwd=folder, env={**os.environ, **environment}, capture_output=True, check=False, timeout=60
    )


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-16", "cp437"])
@pytest.mark.parametrize("arguments", [*TABLES, (*TABLES[0], "--csv"), (*TABLES[5], "--json")], ids=lambda a: a[0])
def test_characters_that_an_encoding_lacks_are_replaced(
    hostile: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(hostile)
    result = CliRunner(charset=encoding).invoke(main, arguments)
    assert result.exit_code == 0, result.exception
    assert len(result.stdout) > 100


def test_a_c_locale_is_no_error(hostile: Path) -> None:
    result = run(hostile, *TABLES[0], LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (result.returncode, result.stderr) == (0, b"")
    assert "12,345" in result.stdout.decode("ascii")


def test_file_names_that_a_locale_lacks_are_one_line(hostile: Path) -> None:
    ascii_names = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = run(hostile, "pull", "--dry-run", "--name", "{voice:.6}", "-o", "audio", **ascii_names)
    assert (result.returncode, result.stderr) == (0, b"")
    result = run(hostile, "statements", "2026", "--column", "voice_name", "-o", "bills", **ascii_names)
    line = result.stderr.decode("ascii").splitlines()[-1]
    assert result.returncode == 1
    assert line.startswith("histkit: The path 'bills/")
    assert line.endswith(
        "has letters that file names can't have in this locale (ascii): set PYTHONUTF8=1 in the environment."
    )


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ('"$@" | head -1', ("usage", "hourly", "--by", "voice", "--csv")),
        ('"$@" | true', ("report",)),
        ('"$@" >&- 2>&-', TABLES[0]),
    ],
)
def test_a_pipe_that_closes_is_no_error(hostile: Path, command: str, arguments: tuple[str, ...]) -> None:
    assert run(hostile, *arguments, command=command).stderr == b""


@pytest.mark.parametrize("arguments", [TABLES[0], ("--help",)])
def test_standard_output_that_cannot_be_written_is_one_line(
    hostile: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    result = run(hostile, *arguments, command=f'ulimit -f 0; "$@" >{tmp_path / "output"}')  # no file may grow
    assert result.returncode == 1
    assert result.stderr == b"histkit: the output can't be written: File too large.\n"


def on_a_terminal(columns: int, *arguments: str) -> list[str]:
    """Run a command on a terminal; return the lines it prints, without the sequences for styles."""
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, columns))
    data = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):  # of a terminal whose other side is closed
            while block := os.read(ours, 65_536):
                data.extend(block)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        patch.setenv("TERM", "xterm-256color")
        patch.setattr(sys, "stdout", open(theirs, "w", encoding="utf-8"))  # noqa: PTH123 - a descriptor
        with pytest.raises(SystemExit) as ended:
            main.main(list(arguments), prog_name="histkit")
        sys.stdout.close()
    reader.join(10)
    os.close(ours)
    assert ended.value.code == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", data.decode()).replace("\r\n", "\n").split("\n")


@pytest.mark.parametrize("columns", [24, 48, 80, 200])
@pytest.mark.parametrize("arguments", TABLES, ids=lambda each: each[0])
def test_a_terminal_of_any_width_shows_whole_numbers(
    hostile: Path, monkeypatch: pytest.MonkeyPatch, columns: int, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(hostile)
    lines = on_a_terminal(columns, *arguments)
    assert hidden("".join(lines)) == set()
    assert max(map(cell_len, lines)) <= columns
    monkeypatch.delenv("COLUMNS", raising=False)
    complete = CliRunner().invoke(main, arguments).stdout
    assert set(NUMBER.findall(" ".join(lines))) <= set(NUMBER.findall(complete))


def test_the_first_column_is_there_at_any_width(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(hostile)
    dates = []
    for columns in (20, 48, 80):
        text = "\n".join(on_a_terminal(columns, "ledger", "daily"))
        dates.append(sorted(set(re.findall(r"\d{4}-\d\d-\d\d", text))))
    assert len(dates[0]) == 40
    assert dates == [dates[0]] * 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "s3://bucket/h.csv"),
        ("export", "file:///h.csv"),
        ("report", "s3://bucket/r.html"),
        ("statement", "a", "2026", "--column", "voice_name", "-o", "s3://bucket/s.html"),
        ("statements", "2026", "--column", "voice_name", "-o", "s3://bucket"),
        ("delete", "--history", "s3://bucket/h", "--limit", "1"),
        ("check", "s3://bucket/h"),
        ("sync", "s3://bucket/h"),
        ("demo", "--folder", "s3://bucket/h"),
    ],
    ids=lambda each: each[0],
)
def test_a_url_is_not_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "is a URL; use a path on this machine" in result.stderr
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "arguments",
    [
        ("sync", "-"),
        ("pull", "-o", "-"),
        ("statements", "2026", "--column", "voice_name", "-o", "-"),
        ("demo", "--folder", "-"),
        ("usage", "--history", "-"),
    ],
    ids=lambda each: each[0],
)
def test_standard_output_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stderr) == (
        1,
        "histkit: - is standard output, and a folder is due here; a folder of that name is ./-.\n",
    )
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_is_called_dash_can_be_named(hostile: Path, tmp_path: Path) -> None:
    history = hk.load(hostile / "data/history")
    with pytest.raises(hk.InputError, match=r"- is standard output"):
        hk.download_audio(history, "-", dry_run=True)
    with pytest.raises(hk.InputError, match=r"- is standard output"):
        hk.statements(history, "2026", column="voice_name", folder="-")
    assert hk.download_audio(history, tmp_path / "-", dry_run=True, progress=False)["status"].eq("pending").all()


def test_the_commands_read_a_history_at_a_url(
    hostile: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    import fsspec

    system = fsspec.filesystem("memory")
    system.put(str(hostile / "data/history"), "memory://commands/history", recursive=True)
    request.addfinalizer(lambda: system.rm("memory://commands", recursive=True))
    monkeypatch.chdir(hostile)
    for arguments in (
        ("usage", "--by", "voice", "--csv"),
        ("ledger", "daily", "--json"),
        ("takes", "--csv"),
        ("export", "-", "--format", "csv"),
        ("statements", "2026", "--column", "voice_name", "--csv"),
    ):
        there = CliRunner().invoke(main, [*arguments, "--history", "memory://commands/history"])
        here = CliRunner().invoke(main, [*arguments, "--history", "data/history"])
        assert (there.exit_code, there.stdout) == (0, here.stdout), there.stderr
    absent = CliRunner().invoke(main, ["usage", "--history", "memory://nowhere"])
    assert (absent.exit_code, absent.stderr.count("\n")) == (1, 1)
    assert "memory://nowhere" in absent.stderr


def test_every_ending_of_a_format_is_known(hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(hostile)
    path = tmp_path / "h.pq"
    assert CliRunner().invoke(main, ["export", str(path)]).exit_code == 0
    assert len(pd.read_parquet(path)) == 40


def test_a_folder_named_dash_does_not_take_the_place_of_standard_output(
    hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").mkdir()
    result = CliRunner().invoke(main, ["report", "-", "--history", str(hostile / "data/history")])
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("<!doctype html>")


def test_sync_has_the_option_that_its_refusal_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("changes.txt").write_text("mine")
    with serve(5) as box:
        monkeypatch.setenv("ELEVENLABS_BASE_URL", box.url)
        monkeypatch.setenv("ELEVENLABS_API_KEY", box.api_key)
        refused = CliRunner().invoke(main, ["sync", "--changes", "changes.txt"])
        assert (refused.exit_code, Path("changes.txt").read_text()) == (1, "mine")
        assert "--force" in refused.stderr
        forced = CliRunner().invoke(main, ["sync", "--changes", "changes.txt", "--force"])
    assert forced.exit_code == 0, forced.stderr
    assert len(pd.read_csv("changes.txt")) == 5
