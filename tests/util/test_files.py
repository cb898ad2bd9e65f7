"""Files that are whole or not there, whatever ends the writing."""

from __future__ import annotations

import errno
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import histkit as hk
from histkit.util.files import (
    atomic_write,
    exclusive_lock,
    is_temporary,
    open_temporary,
    read_toml,
    remove_temporary_files,
    temporary_folder,
    temporary_name,
)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _write_half(temporary: Path, end: type[BaseException]) -> None:
    temporary.write_text("half")
    raise end("stop")


def test_a_file_is_replaced_only_when_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.csv"
    with atomic_write(target) as temporary:
        temporary.write_text("first")
        assert not target.exists()
        assert temporary.parent == target.parent
    for end in (KeyboardInterrupt, ValueError):
        with pytest.raises(end), atomic_write(target) as temporary:
            _write_half(temporary, end)
    assert target.read_text() == "first"
    assert names(target.parent) == ["a.csv"]


def test_a_name_as_long_as_the_file_system_allows_is_written(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 251 + ".csv")
    with atomic_write(target) as temporary:
        temporary.write_text("a")
    assert target.read_text() == "a"


def _missing(other: Path) -> None:
    other.read_bytes()


def _missing_for_arrow(other: Path) -> None:
    pq.read_table(other)


def _folder_there(other: Path) -> None:
    (other / "sub").mkdir()


def _broken_connection(other: Path) -> None:
    raise ConnectionResetError(errno.ECONNRESET, "reset")


def _renamed(other: Path) -> None:
    other.rename(other.with_suffix(".else"))


@pytest.mark.parametrize("act", [_missing, _missing_for_arrow, _folder_there, _broken_connection, _renamed])
def test_an_error_about_another_file_is_not_reported_as_the_targets(tmp_path: Path, act) -> None:
    with pytest.raises(OSError, match=r"other|reset") as caught, atomic_write(tmp_path / "a.csv"):
        act(tmp_path / "other.parquet")
    assert not isinstance(caught.value, hk.HistkitError)
    assert names(tmp_path) == []


def _no_space(temporary: Path) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _removed(temporary: Path) -> None:
    temporary.unlink()


@pytest.mark.parametrize(("act", "words"), [(_no_space, "No space left"), (_removed, "No such file")])
def test_an_error_about_the_temporary_file_names_the_target(tmp_path: Path, act, words: str) -> None:
    with (
        pytest.raises(hk.ArchiveError, match=rf"a\.csv can't be written: {words}"),
        atomic_write(tmp_path / "a.csv") as t,
    ):
        act(t)
    assert names(tmp_path) == []


def test_a_pipe_is_refused_and_stays_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(hk.ArchiveError, match="it is a device or a pipe"), atomic_write(tmp_path / "pipe"):
        pass
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_device_is_refused_and_stays_a_device(tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))  # not the machine's own, should the rule break
    except PermissionError:
        pytest.skip("only root makes devices")
    with pytest.raises(hk.ArchiveError, match="it is a device or a pipe"), atomic_write(device):
        pass
    assert stat.S_ISCHR(device.stat().st_mode)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(hk.ArchiveError, match="it is a folder"), atomic_write(tmp_path):
        pass


def test_the_file_behind_a_link_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "real" / "a.csv", tmp_path / "link.csv"
    real.parent.mkdir()
    real.write_text("old")
    link.symlink_to(real)
    with atomic_write(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_rights_follow_the_umask_which_is_never_changed(
    tmp_path: Path, mask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(mask)
    try:
        with monkeypatch.context() as patch:
            patch.delattr(os, "umask")  # a process has one for all its threads: nobody may touch it
            with atomic_write(tmp_path / "a") as temporary:
                temporary.write_text("x")
            with open_temporary(tmp_path / "b") as file:
                file.write(b"x")
        assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"} == {0o666 & ~mask}
    finally:
        os.umask(before)


def test_what_a_kill_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    left = [tmp_path / temporary_name(), tmp_path / "sub" / temporary_name()]
    kept = [tmp_path / "a.part", tmp_path / ".histkit-notes", tmp_path / "sub" / "history.parquet"]
    for path in left + kept:
        path.write_text("x")
    assert [is_temporary(path.name) for path in left + kept] == [True] * 2 + [False] * 3
    remove_temporary_files(tmp_path, ".", "*")
    assert [path.exists() for path in left + kept] == [False] * 2 + [True] * 3


def test_what_is_being_written_is_never_swept(tmp_path: Path) -> None:
    with (
        open_temporary(tmp_path / temporary_name()) as file,
        temporary_folder(tmp_path) as folder,
        atomic_write(tmp_path / "a.csv") as temporary,
    ):
        (folder / "part").write_text("x")
        remove_temporary_files(tmp_path, ".")
        assert Path(file.name).exists()
        assert (folder / "part").exists()
        assert temporary.exists()
        temporary.write_text("whole")
    remove_temporary_files(tmp_path, ".")
    assert names(tmp_path) == ["a.csv"]


def test_a_folder_that_a_kill_left_is_swept_and_nothing_else_of_that_name(tmp_path: Path) -> None:
    for name in (temporary_name(), temporary_name()):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sheet1.xml").write_text("x")
    pipe, link = tmp_path / temporary_name(), tmp_path / temporary_name()
    os.mkfifo(pipe)
    link.symlink_to(tmp_path / "elsewhere")
    remove_temporary_files(tmp_path, ".")
    assert {*names(tmp_path)} == {pipe.name, link.name}


def test_two_writers_of_one_folder_spare_each_other(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for turn in range(20):
            with atomic_write(tmp_path / f"{number}.csv") as temporary:
                temporary.write_text(f"{turn}")
                remove_temporary_files(tmp_path, ".")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["19"] * 4


def test_a_lock_is_held_by_one_and_given_back(tmp_path: Path) -> None:
    lock = tmp_path / "folder" / "lock"
    with exclusive_lock(lock, "busy"):
        with pytest.raises(hk.DownloadError, match=r"^busy$"), exclusive_lock(lock, "busy", hk.DownloadError):
            pass
    with exclusive_lock(lock, "busy"):
        pass


def test_toml_is_read_with_a_mark_and_from_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "r.toml").write_bytes(b"\xef\xbb\xbfa = 0.10\n")
    assert read_toml("~/r.toml", "rules") == {"a": 0.1}
    assert read_toml("~/r.toml", "prices", str) == {"a": "0.10"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a =", "is not TOML"),
        (b"a = " + b"[" * 100_000, "is not TOML"),
        (b"\xff", "is not UTF-8"),
        (b"a = " + b"9" * 5000, "is not TOML"),
        (None, "does not exist"),
    ],
)
def test_a_toml_file_that_can_not_be_read_is_one_line(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "r.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(hk.InputError, match=words) as caught:
        read_toml(path, "rules")
    assert "\n" not in str(caught.value)
    assert "r.toml" in str(caught.value)


def test_tables_are_written_by_path(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.parquet") as temporary:
        pq.write_table(pa.table({"a": [1]}), temporary)
    assert pq.read_table(tmp_path / "a.parquet").to_pydict() == {"a": [1]}
