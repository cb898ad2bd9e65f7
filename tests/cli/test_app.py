"""The command line: data on stdout, one line for an error, and the demo makes what it says."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import histkit as hk
from histkit.cli import main
from histkit.cli.group import in_option_names
from histkit.sandbox import Sandbox


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, which is ten times as fast as starting one."""
    result = CliRunner().invoke(main, arguments, env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)


def test_the_list_of_commands_is_whole_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("--help").stdout.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == sorted(main.commands)
    assert all(line.endswith(".") and not line.endswith("..") for line in lines)
    for name in main.commands:
        assert max(map(len, run(name, "--help").stdout.splitlines())) <= 80


@dataclass
class Demos:
    """What the demo printed with ``histkit`` on the path and without, the second time into the same folder."""

    folder: Path
    output: dict[bool, str]


def path_with_histkit(on_path: bool) -> str:
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if not Path(folder, "histkit").exists()]
    return os.pathsep.join([sysconfig.get_path("scripts"), *folders] if on_path else folders)


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Demos:
    made = Demos(tmp_path_factory.mktemp("demos"), {})
    demo = [Path(sysconfig.get_path("scripts"), "histkit"), "demo", "--folder", "a folder", "--items", "1200"]
    for on_path in (True, False):
        environment = {**os.environ, "PATH": path_with_histkit(on_path)}
        done = subprocess.run(demo, capture_output=True, text=True, cwd=made.folder, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        assert "\r" not in done.stderr  # no progress bars in a pipe
        made.output[on_path] = done.stdout
    return made


def account(box: Sandbox) -> dict[str, str]:
    return {"ELEVENLABS_BASE_URL": box.url, "ELEVENLABS_API_KEY": box.api_key}


def test_export_writes_what_read_history_reads(shared_box: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    done = run("export", str(path), "--live", "--voice", "Rachel", "--after", "2026-06-01", **account(shared_box))
    assert (done.returncode, done.stderr) == (0, "")
    df = hk.read_parquet(path)
    assert len(df) > 0
    assert set(df["voice_name"]) == {"Rachel"}
    assert re.fullmatch(rf"{re.escape(str(path))}: {len(df):,} rows, \d+ kB\n", done.stdout)
    done = run("export", str(tmp_path / "a.csv"), "--live", "--limit", "7", "--excel", **account(shared_box))
    assert len(hk.read_csv(tmp_path / "a.csv")) == 7


def test_sync_then_export_works_offline(shared_box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("sync", "--json", **account(shared_box))
    assert done.returncode == 0
    assert json.loads(done.stdout)["diff"] == {"new": 5500, "changed": 0, "missing": 0}
    assert re.fullmatch(r"data/history: 5,500 rows; 5,500 new, 0 changed, 0 missing \([78] requests\)\n", done.stderr)
    again = run("sync", "--changes", "changes.csv", **account(shared_box))
    assert again.stderr == "data/history: 5,500 rows; 0 new, 0 changed, 0 missing (1 request)\n"
    assert hk.read_csv("changes.csv").empty
    history = hk.load()
    for kind in ("parquet", "csv", "xlsx"):
        assert run("export", "--format", kind, "--voice", "Rachel").returncode == 0
    rachel = history.speech.filter(voice="Rachel").reset_index(drop=True)
    pd.testing.assert_frame_equal(hk.read_parquet("history.parquet"), rachel, check_categorical=False)
    assert len(hk.read_csv("history.csv")) == len(pd.read_excel("history.xlsx")) == len(rachel)


def test_sync_of_several_accounts_says_which_failed(
    shared_box: Sandbox, box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    keys = {"STUDIO": shared_box.api_key, "AGENCY": "sk_wrong", "ELEVENLABS_BASE_URL": shared_box.url}
    done = run("sync", str(tmp_path), "--account", "studio=STUDIO", "--account", "agency=AGENCY", **keys)
    assert done.returncode == 5
    assert "1 of 2 accounts were not synced: agency: " in done.stderr
    assert set(hk.load(tmp_path)["account"]) == {"studio"}


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["export", "a.xls"], "none of .parquet, .csv, .xlsx", 2),
        (["export", "--history", "/none"], "PATH or --format", 2),
        (["export", "a.csv", "--history", "/none"], "no local history: sync first", 1),
        (["export", "a.csv", "--history", "/none", "--workers", "2"], "add --live", 2),
        (["export", "a.csv", "--account", "studio"], "--account is for a local history", 2),
        (["export", "a.csv", "--search", "x"], "doesn't accept this API key", 1),
        (["export", "a.csv", "--live", "--after", "noon"], "--after 'noon' is not a date", 1),
        (["export", "a.csv", "--live"], "doesn't accept this API key", 1),
        (["export", "/proc/none/a.csv", "--live", "--limit", "0"], "can't be written", 1),
        (["sync", "/proc/none"], "can't be written", 1),
        (["sync", "a", "--account", "studio"], "NAME=VARIABLE", 2),
        (["sync", "a", "--account", "studio=NO_SUCH_KEY"], "NO_SUCH_KEY is not set", 2),
        (["sandbox", "--fault", "rat_limit=1"], "rat_limit", 2),
        (["sandbox", "--fault", "rate_limit"], "NAME=VALUE", 2),
        (["dance"], "No such command", 2),
    ],
)
def test_an_error_is_said_without_a_traceback(
    shared_box: Sandbox, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str, code: int
) -> None:
    monkeypatch.setenv("ELEVENLABS_BASE_URL", shared_box.url)
    monkeypatch.setenv("ELEVENLABS_API_KEY", "sk_wrong")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_the_sandbox_command_prints_url_and_key_and_ends_with_ctrl_c() -> None:
    command = [sys.executable, "-m", "histkit.cli", "sandbox", "--items", "12", "--fault", "latency=0.01"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url, key = (process.stdout.readline().strip().partition("=")[2] for _ in range(2))
        assert len(hk.HistoryClient(key, base_url=url).list().history) == 12
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert "Traceback" not in process.stderr.read()  # type: ignore[union-attr]


def test_the_demo_makes_what_it_says_twice(demos: Demos) -> None:
    folder, output = demos.folder / "a folder", demos.output[False]
    assert "Usage by voice" in output
    assert "Usage by month" in output
    assert "Try next" in output
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"history.parquet", "history.csv", "usage.png", "audio.zip"} <= made
    assert len(hk.read_parquet(folder / "history.parquet")) == 1200
    assert len(hk.read_csv(folder / "history.csv")) == 1200
    clips = {name for name in made if name.startswith("audio/") and "manifest" not in name}
    assert len(clips) == 10
    with zipfile.ZipFile(folder / "audio.zip") as bundle:
        assert len([name for name in bundle.namelist() if "manifest" not in name]) == 10
        assert bundle.testzip() is None
    assert (folder / "usage.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("on_path", [True, False])
def test_what_the_demo_suggests_works_as_it_stands(
    on_path: bool, demos: Demos, shared_box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", path_with_histkit(on_path))
    monkeypatch.setenv("ELEVENLABS_BASE_URL", shared_box.url)
    monkeypatch.chdir(demos.folder)
    for path in (Path("a folder/report.html"), Path("data/history")):
        assert not path.exists()
    commands = [line.strip() for line in demos.output[on_path].partition("Try next:")[2].splitlines() if line.strip()]
    assert len(commands) == 5  # no notebooks here
    for command in commands:
        assert (" histkit " in f" {command}") == on_path
        command = command.replace("sk_...", shared_box.api_key)
        shell = ["bash", "-c", f"exec {command}" if " sandbox " in command else command]
        with subprocess.Popen(shell, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            first_line = ""
            if " sandbox " in command:
                assert process.stdout is not None
                first_line = process.stdout.readline()
                assert "ELEVENLABS_BASE_URL=http" in first_line
                process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
            assert first_line or output or errors
    Path("a folder/report.html").unlink()
    assert Path("data/history/_manifest.json").is_file()
    shutil.rmtree("data")


def test_messages_say_what_to_type_on_the_command_line(
    shared_box: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ELEVENLABS_BASE_URL", shared_box.url)
    no_key = CliRunner().invoke(main, ["sync", str(tmp_path / "a")]).stderr
    monkeypatch.setenv("ELEVENLABS_API_KEY", "sk_wrong")
    wrong_key = CliRunner().invoke(main, ["sync", str(tmp_path / "a")]).stderr
    assert "set ELEVENLABS_API_KEY." in no_key
    assert "Check ELEVENLABS_API_KEY, and" in wrong_key
    for message in (no_key, wrong_key, in_option_names("Run sync(full=True) later.", None)):
        assert "=" not in message.replace(shared_box.url, "")
        assert "HistoryClient" not in message
    assert in_option_names("Run sync(full=True) later.", None) == "Run histkit sync --full later."


def test_a_file_in_the_home_directory_is_written_and_measured(
    local: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    result = CliRunner().invoke(main, ["export", "~/rows.csv", "--history", str(local), "--limit", "3"])
    assert result.exit_code == 0, result.output
    assert len(hk.read_csv(tmp_path / "rows.csv")) == 3
