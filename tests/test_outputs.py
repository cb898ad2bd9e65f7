"""Every function that writes a file: links keep pointing, devices, pipes and folders stay what they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import histkit as hk
from histkit.sandbox import Sandbox
from tests.conftest import client_of

ENDINGS = {"to_csv": "csv", "to_parquet": "parquet", "to_xlsx": "xlsx", "report": "md", "statement": "csv"}
ENDINGS |= {"download_zip": "zip"}


@pytest.fixture
def writers(shared_box: Sandbox) -> dict[str, Callable[[Path], Any]]:
    """The functions that write a file, each as a call with its path."""
    client = client_of(shared_box)
    df = hk.read_history(client=client, limit=3, progress=False)
    clients = df.assign(client="Acme")
    return {
        "to_csv": lambda path: hk.to_csv(df, path),
        "to_parquet": lambda path: hk.to_parquet(df, path),
        "to_xlsx": lambda path: hk.to_xlsx(df, path),
        "report": lambda path: hk.report(df, path),
        "statement": lambda path: hk.statement(clients, "Acme", "2026", path=path),
        "download_zip": lambda path: hk.download_zip(df, path, client=client, progress=False),
    }


@pytest.mark.parametrize("name", ENDINGS)
def test_a_link_still_leads_to_the_file_that_is_written(
    writers: dict[str, Callable[[Path], Any]], name: str, tmp_path: Path
) -> None:
    real, link = tmp_path / "real" / f"a.{ENDINGS[name]}", tmp_path / f"link.{ENDINGS[name]}"
    link.symlink_to(real)
    for _ in range(2):
        writers[name](link)
        assert link.is_symlink()
        assert real.is_file()
        assert [*real.parent.iterdir()] == [real]
    assert {*tmp_path.iterdir()} == {real.parent, link}


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("name", ENDINGS)
def test_a_pipe_and_a_folder_are_refused_and_stay(
    writers: dict[str, Callable[[Path], Any]], name: str, linked: bool, tmp_path: Path
) -> None:
    pipe, folder = tmp_path / f"pipe.{ENDINGS[name]}", tmp_path / f"folder.{ENDINGS[name]}"
    os.mkfifo(pipe)
    folder.mkdir()
    for path, words in ((pipe, "it is a device or a pipe"), (folder, "is a folder")):
        target = path
        if linked:
            target = path.with_stem(f"link to {path.stem}")
            target.symlink_to(path)
        with pytest.raises(hk.HistkitError, match=words):
            writers[name](target)
        assert target.is_symlink() == linked
    assert pipe.is_fifo()
    assert [*folder.iterdir()] == []


@pytest.mark.parametrize("file", ["manifest.parquet", "manifest.jsonl"])
def test_a_folder_of_clips_that_can_not_be_read_is_an_error_in_one_line(tmp_path: Path, file: str) -> None:
    rows = pd.DataFrame({"history_item_id": ["abcdefghijklmnopqrst"]})
    plain = tmp_path / "plain.txt"
    plain.write_text("no folder")
    with pytest.raises(hk.DownloadError, match=r"holds no manifest\.parquet"):
        hk.verify(plain)
    with pytest.raises(hk.DownloadError, match=r"holds no manifest\.parquet"):
        hk.delete(rows, only_verified=plain)
    (tmp_path / "clips" / file).mkdir(parents=True)
    with pytest.raises(hk.DownloadError, match=rf"{file} can't be read: Is a directory\."):
        hk.verify(tmp_path / "clips")
