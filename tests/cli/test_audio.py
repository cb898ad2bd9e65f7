"""``histkit pull``, ``zip``, ``verify``, ``delete``: what they print, what they leave, how they exit."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

import histkit as hk
from histkit.cli import main
from histkit.sandbox import Sandbox
from tests.cli.commands import run
from tests.conftest import client_of

pytestmark = pytest.mark.usefixtures("short_waits")


@pytest.fixture
def box(box_of: Callable[..., Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox that the environment names, and an empty working directory."""
    made = box_of(60, 3, clip_bytes=5000)
    monkeypatch.setenv("ELEVENLABS_BASE_URL", made.url)
    monkeypatch.setenv("ELEVENLABS_API_KEY", made.api_key)
    monkeypatch.chdir(tmp_path)
    return made


def data(*arguments: str, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code).stdout)


def history(box: Sandbox) -> pd.DataFrame:
    with client_of(box) as client:
        return hk.read_history(client=client)


def test_clips_behind_a_long_wait_are_one_line(box: Sandbox) -> None:
    run("sync")
    box.set(rate_limit=True, retry_after=80000)
    box.reset()
    done = run("pull", "-o", "clips", code=5)
    assert done.stderr.count("\n") == 1
    assert " and 59 more: The service asks to wait 22 hours, until " in done.stderr
    assert len(box.requests()) <= 4
    box.set(rate_limit=0, payment_issue=True)
    refused = run("pull", "-o", "clips", code=1)
    assert refused.stderr.count("\n") == 1
    assert "(payment_issue): Your last payment failed." in refused.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--script", "none.txt"], "--script 'none.txt' can't be read: No such file or directory"),
        (["--script", "blank.txt"], "--script has no line; use a file with a text a line."),
        (["-o", "blank.txt"], "blank.txt can't be used as a folder: blank.txt is a file."),
        (["-o", "blank.txt/clips", "--dry-run"], "can't be used as a folder: blank.txt is a file."),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_what_pull_cannot_use_is_said_before_anything_is_read(box: Sandbox, options: list[str], words: str) -> None:
    Path("blank.txt").write_text("\n \n")
    box.reset()
    done = run("pull", *options, code=1)
    assert done.stderr.startswith("histkit: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert box.requests() == []
    assert Path("blank.txt").read_text() == "\n \n"


def test_pull_shows_then_does_then_skips(box: Sandbox) -> None:
    rows = history(box).speech.filter(voice="Rachel")
    assert len(rows) > 0
    plan = run("pull", "--voice", "Rachel", "-o", "clips", "--dry-run")
    assert plan.stdout.startswith(f"{len(rows)} files would be pulled: {len(rows)} requests, about ")
    assert "(an estimate)" in plan.stdout
    assert plan.stderr == "Reading from the API (no local history in data/history).\n"
    assert not Path("clips").exists()
    done = run("pull", "--voice", "Rachel", "-o", "clips")
    assert done.stdout.startswith(f"clips: {len(rows)} done, ")
    made = {path.relative_to("clips").as_posix() for path in Path("clips").rglob("*") if path.is_file()}
    for line in plan.stdout.splitlines()[1:]:
        assert line.strip() in {*made, "..."}
    assert data("pull", "--voice", "Rachel", "-o", "clips")["counts"] == {"skipped": len(rows)}
    assert data("pull", "--voice", "Rachel", "-o", "clips", "--dry-run")["files"] == 0


def test_pull_takes_the_rows_of_the_local_history_where_there_is_one(box: Sandbox) -> None:
    run("sync")
    box.reset()
    assert data("pull", "--limit", "3", "--name", "{id}", "--format", "wav")["counts"] == {"done": 3}
    assert not any(path.startswith("/v1/history?") for path in map(str, box.requests()))
    assert len(list(Path("audio").glob("*.wav"))) == 3
    item = history(box)["history_item_id"][40]
    assert data("pull", "--id", item)["counts"] == {"done": 1}
    assert "selected rows have no such id" in run("pull", "--id", "nobody", code=2).stderr


def test_some_failed_is_exit_code_5_and_names_them(box: Sandbox) -> None:
    run("sync")
    gone = history(box)["history_item_id"].head(2).tolist()
    box.remove(gone)
    assert data("pull", "--limit", "6")["counts"] == {"gone": 2, "done": 4}
    box.set(html=True, only="audio")
    failed = CliRunner().invoke(main, ["pull", "-o", "other", "--limit", "3", "--before", "2026-10-01"], env={})
    assert failed.exit_code == 5
    assert failed.stdout.startswith("other: 3 failed")
    assert failed.stderr.count("histkit: ") == 3


def test_zip_holds_each_row_once(box: Sandbox) -> None:
    run("sync")
    plan = data("zip", "all.zip", "--dry-run")
    assert plan["files"] == 60
    assert not Path("all.zip").exists()
    assert data("zip", "all.zip")["counts"] == {"done": 60}
    run("zip", "one.zip", "--one-by-one")
    assert Path("one.zip").read_bytes() == Path("all.zip").read_bytes()
    with zipfile.ZipFile("all.zip") as bundle:
        assert len(bundle.namelist()) == 61


def test_verify_names_what_is_wrong_and_the_cure(box: Sandbox) -> None:
    run("pull", "--limit", "5", "--live")
    assert run("verify").stdout.startswith("audio: 5 ok, ")
    path = next(Path("audio").rglob("*.mp3"))
    path.write_bytes(path.read_bytes()[::-1])
    broken = run("verify", "audio", code=5)
    assert broken.stdout.startswith("audio: ")
    assert "content has changed" in broken.stderr
    assert "--forget" in broken.stderr
    assert data("verify", "--forget", code=5)["forgotten"] == 1
    assert data("pull", "--limit", "5")["counts"] == {"done": 1, "skipped": 4}
    assert "holds no manifest.parquet" in run("verify", "nowhere", code=1).stderr


def test_delete_shows_then_deletes_what_is_safe_here(box: Sandbox) -> None:
    run("sync")
    run("pull", "--limit", "4")
    before = len(history(box))
    shown = run("delete", "--limit", "6", "--only-verified", "audio")
    assert "Would delete 4 rows" in shown.output
    assert "2 without are kept" in shown.output
    assert len(history(box)) == before
    assert "complete history" in run("delete", "--confirm", code=2).stderr
    done = data("delete", "--limit", "6", "--only-verified", "audio", "--confirm")
    assert done["counts"]["deleted"] == 4
    assert len(history(box)) == before - 4
    local = hk.load()
    assert len(local) == before
    assert (local["state"] == "deleted").sum() == 4
    assert Path("data/deleted.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pull", "--name", "{nobody}"], "{nobody}"),
        (["pull", "-o", "nosuch://x"], "nosuch"),
        (["pull", "--after", "noon"], "--after 'noon' is not a date"),
        (["zip", ".", "--limit", "1"], "is a directory"),
        (["delete", "--only-verified", "nowhere", "--limit", "1"], "nowhere"),
    ],
)
def test_what_can_not_be_is_one_line(box: Sandbox, arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code in (1, 2)
    assert words in result.stderr
    assert "Traceback" not in result.output
