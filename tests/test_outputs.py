"""Every function that writes a file: links are followed, devices and pipes streamed to, nothing else is destroyed."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

import histkit as hk
from histkit.cli import main
from histkit.sandbox import Sandbox
from tests.conftest import client_of

ENDINGS = {"to_csv": "csv", "to_parquet": "parquet", "to_xlsx": "xlsx", "report": "md", "statement": "csv"}
ENDINGS |= {"download_zip": "zip"}


def zip_of(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return file.getvalue()


def link_to(path: Path) -> Path:
    link = path.with_stem(f"link to {path.stem}")
    link.unlink(missing_ok=True)
    link.symlink_to(path)
    return link


@pytest.fixture
def writers(shared_box: Sandbox) -> dict[str, Callable[..., Any]]:
    """The functions that write a file, each as a call with its path."""
    client = client_of(shared_box)
    df = hk.read_history(client=client, limit=3, progress=False)
    clients = df.assign(client="Acme")
    return {
        "to_csv": partial(hk.to_csv, df),
        "to_parquet": partial(hk.to_parquet, df),
        "to_xlsx": partial(hk.to_xlsx, df),
        "report": partial(hk.report, df),
        "statement": lambda path, **options: hk.statement(clients, "Acme", "2026", path=path, **options),
        "download_zip": partial(hk.download_zip, df, client=client, progress=False),
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


Writers = dict[str, Callable[..., Any]]


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("name", ENDINGS)
def test_a_folder_a_disk_and_a_link_to_itself_are_refused_and_stay(
    writers: Writers, name: str, linked: bool, tmp_path: Path
) -> None:
    folder, loop = tmp_path / f"folder.{ENDINGS[name]}", tmp_path / f"loop.{ENDINGS[name]}"
    folder.mkdir()
    loop.symlink_to(loop)
    for path, words in ((folder, "is a folder"), (loop, "is a link that leads to itself")):
        target = path
        if linked:
            target = path.with_stem(f"link to {path.stem}")
            target.symlink_to(path)
        with pytest.raises(hk.HistkitError, match=words):
            writers[name](target)
        assert target.is_symlink() == (linked or path is loop)
    assert [*folder.iterdir()] == []


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("name", ENDINGS)
def test_a_pipe_is_streamed_to_and_stays_a_pipe(writers: Writers, name: str, linked: bool, tmp_path: Path) -> None:
    pipe, plain = tmp_path / f"pipe.{ENDINGS[name]}", tmp_path / f"plain.{ENDINGS[name]}"
    os.mkfifo(pipe)
    target = pipe
    if linked:
        target = tmp_path / f"link.{ENDINGS[name]}"
        target.symlink_to(pipe)
    with ThreadPoolExecutor(1) as threads:
        read = threads.submit(pipe.read_bytes)
        writers[name](target)
    writers[name](plain)
    assert pipe.is_fifo()
    if name != "to_xlsx":  # which states when it was made
        assert read.result() == plain.read_bytes()
    assert read.result()[:4] == plain.read_bytes()[:4]


@pytest.mark.parametrize("name", ENDINGS)
def test_standard_output_is_a_file_too(writers: Writers, name: str, tmp_path: Path, capfdbinary: Any) -> None:
    writers[name]("-")
    assert len(capfdbinary.readouterr().out) > 100
    assert not Path("-").exists()


def test_a_terminal_gets_text_that_is_safe_and_nothing_else(writers: Writers, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs)
    frame = pd.DataFrame({"text": ["Rachel\x1b[31m", "two\nlines"]})
    try:
        hk.to_csv(frame, name)
        data = os.read(ours, 10_000)
        assert b"Rachel[31m" in data
        assert b"\x1b" not in data
        with pytest.raises(hk.InputError, match="a terminal shows text"):
            writers["to_parquet"](name)
    finally:
        os.close(theirs)
        os.close(ours)


def test_a_device_is_written_to_and_stays_a_device(writers: Writers, tmp_path: Path) -> None:
    device = tmp_path / "null.csv"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))  # not the machine's own, should the rule break
    except PermissionError:
        pytest.skip("only root makes devices")
    for name in ENDINGS:
        writers[name](device)
        assert stat.S_ISCHR(device.stat().st_mode)
    disk = tmp_path / "disk.csv"
    os.mknod(disk, 0o666 | stat.S_IFBLK, os.makedev(7, 250))  # a loop device that does not exist
    with pytest.raises(hk.ArchiveError, match="it is a disk"):
        writers["to_csv"](disk)


CONTENTS = {
    "csv": b"a,b\n1,2\n",
    "toml": b'currency = "EUR"\n',
    "html": b"<!doctype html><html></html>",
    "md": b"# Title\n",
    "json": b'{"a": 1}\n',
    "mp3": b"ID3\x04\0\0\0\0\0\0" + bytes(100),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "pdf": b"%PDF-1.4\n",
    "parquet": b"PAR1" + bytes(100) + b"PAR1",
    "zip": zip_of("a.mp3"),
    "xlsx": zip_of("[Content_Types].xml", "xl/workbook.xml"),
    "docx": zip_of("[Content_Types].xml", "word/document.xml"),
    "jar": zip_of("META-INF/MANIFEST.MF", "A.class"),
    "epub": zip_of("mimetype", "index.html"),
}
TEXT = {"csv", "toml", "md", "json", "html"}


@pytest.mark.parametrize("name", ENDINGS)
def test_an_existing_file_of_another_kind_is_refused_and_unchanged(writers: Writers, name: str, tmp_path: Path) -> None:
    kind = ENDINGS[name]
    for content, data in CONTENTS.items():
        target = tmp_path / f"{content}.{kind}"
        target.write_bytes(data)
        if content == kind or (kind in TEXT and content in TEXT):  # texts are told apart by their endings alone
            writers[name](target)
            assert target.read_bytes() != data
            continue
        for path in (target, link_to(target)):
            with pytest.raises(hk.InputError, match=r"exists and is not a.*: use another name, or force=True"):
                writers[name](path)
        assert target.read_bytes() == data
        writers[name](target, force=True)
        assert target.read_bytes() != data
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".histkit")]


@pytest.mark.parametrize("damage", ["cut", "a version to come", "a name that is not UTF-8"])
def test_a_damaged_zip_is_a_file_of_another_kind(tmp_path: Path, damage: str) -> None:
    data = bytearray(zip_of("é/workbook.xml"))
    entry = data.index(b"PK\x01\x02")
    if damage == "cut":
        del data[-4:]
    elif damage == "a version to come":
        data[entry + 6] = 255
    else:
        data[entry + 46] = 255
    target = tmp_path / "x.xlsx"
    target.write_bytes(data)
    with pytest.raises(hk.InputError, match="exists and is not an Excel workbook"):
        hk.to_xlsx(hk.sample_history(3), target)
    assert target.read_bytes() == data


@pytest.mark.parametrize("name", ENDINGS)
def test_a_name_without_the_ending_is_refused_and_told_a_better_one(
    writers: Writers, name: str, tmp_path: Path
) -> None:
    kind = ENDINGS[name]
    for ending in {"", ".toml", ".mp3", ".txt", ".csv", ".zip", ".xlsx", ".md"} - {f".{kind}"}:
        for existing in (False, True):
            target = tmp_path / f"prices{ending}"
            if existing:
                target.write_text("precious")
            if name in ("report", "statement"):
                if ending not in (".csv", ".xlsx", ".md"):  # there the ending selects the format
                    with pytest.raises(hk.InputError, match="can't hold a"):
                        writers[name](target)
                continue
            with pytest.raises(hk.InputError, match=rf"use prices\.{kind}, or force=True"):
                writers[name](target)
            assert existing == target.exists()
            link = tmp_path / f"link.{kind}"
            link.symlink_to(target)
            if existing and ending:
                with pytest.raises(hk.InputError, match=rf"use prices\.{kind}|exists and is not"):
                    writers[name](link)
            link.unlink()
            assert not existing or target.read_text() == "precious"


@pytest.mark.parametrize("name", ENDINGS)
def test_an_empty_file_is_of_any_kind_and_rights_are_kept(writers: Writers, name: str, tmp_path: Path) -> None:
    target = tmp_path / f"A.{ENDINGS[name].upper()}"
    target.touch(0o600)
    writers[name](target)
    assert target.stat().st_size > 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_no_parquet_file_is_written_into_a_history(client: hk.HistoryClient, tmp_path: Path) -> None:
    df = hk.sync(tmp_path / "history", client=client, progress=False)
    month = next((tmp_path / "history").rglob("*.parquet"))
    before = month.read_bytes()
    for path in (month, tmp_path / "history" / "october.parquet", month.with_name("x.parquet")):
        with pytest.raises(hk.InputError, match="is in the history"):
            hk.to_parquet(df.head(1), path)
    assert month.read_bytes() == before
    hk.to_csv(df.head(1), tmp_path / "history" / "october.csv")


@pytest.mark.parametrize("name", ENDINGS)
def test_what_can_not_be_written_is_one_line_and_leaves_nothing(writers: Writers, name: str, tmp_path: Path) -> None:
    kind = ENDINGS[name]
    (tmp_path / "plain").write_text("a file")
    deep = Path(tmp_path, *["x" * 200] * 25)
    for path, words in (
        (tmp_path / "plain" / f"a.{kind}", "plain is not a folder"),
        (tmp_path / "plain" / "sub" / f"a.{kind}", "plain is not a folder"),
        (deep / f"a.{kind}", "File name too long"),
        (tmp_path / f"{'x' * 300}.{kind}", "a file name has at most 255"),
    ):
        with pytest.raises(hk.HistkitError, match=words) as caught:
            writers[name](path)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 600
    assert [path.name for path in tmp_path.iterdir()] == ["plain"]
    writers[name](tmp_path / "new" / "folder" / f"a.{kind}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte that is nearly full, with an old file."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    command = [mount or "", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", str(disk)]
    if mount is None or os.name != "posix" or os.geteuid() or subprocess.run(command, check=False).returncode:
        pytest.skip("only root mounts a small disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("name", ENDINGS)
def test_a_full_disk_and_one_that_is_read_only_keep_the_old_file(writers: Writers, name: str, small_disk: Path) -> None:
    target = small_disk / f"old.{ENDINGS[name]}"
    writers[name](target)
    old = target.read_bytes()
    filler = small_disk / "filler"
    free = shutil.disk_usage(small_disk).free
    for left in (0, 4096) if len(old) > 8192 else (0,):
        filler.write_bytes(bytes(max(0, free - left)))
        with pytest.raises(hk.HistkitError, match=r"can't be written: No space left on device\.") as caught:
            writers[name](target)
        assert "\n" not in str(caught.value)
        assert target.read_bytes() == old
        assert {*small_disk.iterdir()} == {target, filler}
        filler.unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for path in (target, small_disk / "new" / f"a.{ENDINGS[name]}"):
        with pytest.raises(hk.HistkitError, match=r"can't be written: Read-only file system\."):
            writers[name](path)
    assert target.read_bytes() == old


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


def test_a_pull_on_a_full_disk_is_one_line(
    box_of: Callable[..., Sandbox], small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = box_of(40, 3, clip_bytes=60_000)
    monkeypatch.setenv("ELEVENLABS_BASE_URL", box.url)
    monkeypatch.setenv("ELEVENLABS_API_KEY", box.api_key)
    result = CliRunner().invoke(main, ["pull", "-o", str(small_disk / "audio"), "--live"])
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if not line.startswith("Reading from the API")]
    assert len(lines) == 1
    assert "can't be written: No space left on device." in lines[0]
    assert list(small_disk.rglob(".histkit-*")) == []
