"""Pulling audio while everything goes wrong: the same files, or an honest line; never half a file."""

from __future__ import annotations

import _thread
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import histkit as hk
from histkit import download_audio, download_zip
from histkit.sandbox import Sandbox
from tests.conftest import client_of

pytestmark = pytest.mark.usefixtures("short_waits")

KINDS = ("reset", "cut_off", "html", "error_500", "too_many", "rate_limit")


def tree(folder: Path) -> dict[str, str]:
    """Give the hash of each file below a folder, the journal and temporary files too, but not of the manifest."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("manifest.csv", "manifest.parquet")
    }


def history(box: Sandbox) -> pd.DataFrame:
    with client_of(box) as client:
        return hk.read_history(client=client)


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_with_faults_the_files_are_those_of_a_clean_run(
    box_of: Callable[..., Sandbox], tmp_path: Path, share: float
) -> None:
    box = box_of(50, 8, clip_bytes=20_000)
    df = history(box)
    with client_of(box) as client:
        clean = download_audio(df, tmp_path / "clean", client=client)
        download_zip(df, tmp_path / "clean.zip", client=client)
    box.set(**dict.fromkeys(KINDS, share / len(KINDS)))
    with client_of(box, max_retries=12) as client:
        pulled = download_audio(df, tmp_path / "faulty", client=client)
        download_zip(df, tmp_path / "faulty.zip", client=client)
    pd.testing.assert_frame_equal(pulled, clean, check_exact=True)
    assert tree(tmp_path / "faulty") == tree(tmp_path / "clean")
    assert (tmp_path / "faulty.zip").read_bytes() == (tmp_path / "clean.zip").read_bytes()
    assert list(tmp_path.rglob("*.part")) == []


@pytest.mark.parametrize("kind", KINDS)
def test_without_retries_each_fault_costs_rows_and_runs_again_bring_them(
    box_of: Callable[..., Sandbox], tmp_path: Path, kind: str
) -> None:
    box = box_of(24, 8, clip_bytes=6000)
    df = history(box)
    box.set(**{kind: 0.3})
    done = 0
    with client_of(box, max_retries=0) as client:
        for _ in range(40):
            pulled = download_audio(df, tmp_path, client=client)
            assert set(pulled["status"]) <= {"done", "skipped", "failed"}
            assert pulled.loc[pulled["status"] == "failed", "error"].notna().all()
            assert list(tmp_path.rglob("*.part")) == []
            assert (pulled["status"] == "skipped").sum() == done
            done = int(pulled["path"].notna().sum())
            assert set(tree(tmp_path)) == set(pulled["path"].dropna())
            if done == len(df):
                break
    assert done == len(df)
    box.set(**{kind: None})
    with client_of(box) as client:
        download_audio(df, tmp_path / "clean", client=client)
    assert (
        tree(tmp_path / "clean").items()
        <= {name.removeprefix("clean/"): each for name, each in tree(tmp_path).items()}.items()
    )


PULL = """
import sys, pandas as pd, histkit as hk
url, key, folder, ids = sys.argv[1:]
client = hk.HistoryClient(key, base_url=url)
hk.download_audio(pd.Series(ids.split(",")), folder, client=client, name="{id}")
"""


def start(box: Sandbox, ids: pd.Series, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PULL, box.url, box.api_key, str(folder), ",".join(ids)],
        stderr=subprocess.PIPE,
    )


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_pull_that_is_killed_goes_on_where_it_was_and_gives_the_same_tree(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(60, 4, clip_bytes=30_000, bandwidth=600_000)
    ids = history(box)["history_item_id"]
    folder = tmp_path / "killed"
    process = start(box, ids, folder)
    wait_for(lambda: (folder / "manifest.jsonl").exists() and len(list(folder.glob("*.*"))) > 15)
    wait_for(lambda: any(folder.glob(".histkit-*.part")))
    process.kill()
    _, _ = process.communicate()
    saved = set(tree(folder))
    lines = (folder / "manifest.jsonl").read_bytes().count(b"\n")
    with (folder / "manifest.jsonl").open("ab") as journal:
        journal.write(b'{"history_item_id": "torn')  # as if the kill came in the middle of a line
    box.reset()
    box.set(bandwidth=None)
    with client_of(box) as client:
        pulled = download_audio(ids, folder, client=client, name="{id}")
        assert len(box.requests()) == len(ids) - lines
        assert len([name for name in saved if not name.startswith((".", "manifest"))]) - lines <= 4
        download_audio(ids, tmp_path / "clean", client=client, name="{id}")
    assert (pulled["status"] == "skipped").sum() == lines > 0
    assert tree(folder) == tree(tmp_path / "clean")
    assert list(folder.rglob("*.part")) == []


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to another process")
def test_ctrl_c_ends_promptly_and_leaves_whole_files_and_their_lines(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(60, 4, clip_bytes=30_000, bandwidth=400_000)
    ids = history(box)["history_item_id"]
    process = start(box, ids, tmp_path / "in")
    wait_for(lambda: len(list((tmp_path / "in").glob("*.*"))) > 10)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, said = process.communicate(timeout=20)
    assert time.monotonic() - started < 5
    assert b"KeyboardInterrupt" in said
    saved = hk.read_parquet(tmp_path / "in" / "manifest.parquet")
    assert len(saved) > 0
    assert tree(tmp_path / "in") == dict(zip(saved["path"], saved["sha256"], strict=True))


@pytest.mark.skipif(os.name == "nt", reason="a hanging read can't be woken there")
def test_ctrl_c_does_not_wait_for_requests_that_hang(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(20, 4)
    ids = history(box)["history_item_id"]
    box.set(audio_delay=30)
    with client_of(box) as client:
        threading.Timer(1.0, _thread.interrupt_main).start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            download_audio(ids, tmp_path, client=client)
        assert time.monotonic() - started < 6
    assert tree(tmp_path) == {}


def test_an_interrupted_zip_leaves_nothing(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(40, 4, clip_bytes=30_000, bandwidth=200_000)
    ids = history(box)["history_item_id"]
    with client_of(box) as client:
        threading.Timer(0.7, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt):
            download_zip(ids, tmp_path / "all.zip", client=client)
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_beside_the_manifest_goes_at_the_next_write(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(10, 4, clip_bytes=3000)
    df = history(box)
    left = tmp_path / ".histkit-0123456789abcdef.part"
    with client_of(box) as client:
        pulled = download_audio(df.head(3), tmp_path, client=client, name="{voice}/{id}")
        for write in (
            lambda: download_audio(df.head(3), tmp_path, client=client, name="{voice}/{id}"),
            lambda: hk.verify(tmp_path, forget=True, progress=False),
            lambda: hk.verify(tmp_path, prove=True, client=client, progress=False),
            lambda: hk.retry_failed(pulled.assign(status="failed"), tmp_path, client=client),
        ):
            left.write_bytes(b"half a manifest")
            write()
            assert list(tmp_path.rglob("*.part")) == []
        left.write_bytes(b"half a manifest")
        hk.verify(tmp_path, progress=False)  # it writes nothing
        assert left.exists()
