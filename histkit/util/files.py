"""Atomic file writes, locked folders, and TOML files.

A file is written under a temporary name in the folder of its target, flushed to the disk and renamed. A process that
is killed leaves at most a temporary file, which `remove_temporary_files` finds by its name.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from histkit.errors import ArchiveError, HistkitError, InputError
from histkit.util.storage import local_path
from histkit.util.text import error_line, error_reason, replace_surrogates

TEMPORARY, SUFFIX = ".histkit-", ".part"
_WRITE_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}  # a write raises them without naming its file


def temporary_name() -> str:
    """Return a new name for an incomplete file."""
    return f"{TEMPORARY}{secrets.token_hex(8)}{SUFFIX}"


def is_temporary(name: str) -> bool:
    """Return whether a file name is that of an incomplete file."""
    return name.startswith(TEMPORARY) and name.endswith(SUFFIX)


def remove_temporary_files(folder: Path, *patterns: str) -> None:
    """Remove what killed processes left in the subfolders that match glob patterns (``"."`` is the folder itself).

    The caller holds the lock of the folder, so that no other process is writing there.
    """
    for pattern in patterns:
        for path in folder.glob(f"{pattern}/{TEMPORARY}*{SUFFIX}"):
            with suppress(OSError):
                path.unlink()


def flush_to_disk(file: BinaryIO) -> None:
    """Write an open file's buffers to the disk, so that a rename after it never shows a file without its content."""
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def temporary_beside(target: Path) -> Iterator[BinaryIO]:
    """Yield an open temporary file that replaces the target when the block succeeds, and is removed otherwise.

    Raises
    ------
    OSError
        The file can't be written.
    """
    with _replacement(target) as temporary, temporary.open("r+b") as file:
        yield file


def replaceable_file(path: Path) -> Path:
    """Return the file that a new one may take the place of: `path`, or where it is a link, what it leads to.

    Raises
    ------
    ArchiveError
        It is a folder, a device or a pipe.
    """
    target = path.resolve()
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        kind = "a folder" if target.is_dir() else "a device or a pipe"
        raise ArchiveError(f"{path} can't be written: it is {kind}.")
    return target


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the path of a temporary file that replaces `path` when the block succeeds, and is removed otherwise.

    The folder is created. Where `path` is a link, the file it leads to is replaced. An `OSError` that the block raises
    about another file is passed on as it is.

    Raises
    ------
    ArchiveError
        The file can't be written.
    """
    expanded = local_path(path)
    temporary: Path | None = None
    try:
        target = replaceable_file(expanded)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _replacement(target) as temporary:
            yield temporary
    except OSError as error:
        if temporary is not None and not _is_about(error, temporary):
            raise
        raise ArchiveError(f"{expanded} can't be written: {error_reason(error)}.") from None


@contextmanager
def _replacement(target: Path) -> Iterator[Path]:
    temporary = target.parent / temporary_name()
    try:
        temporary.open("xb").close()  # with the rights that the umask leaves a new file
        yield temporary
        with temporary.open("r+b") as file:
            flush_to_disk(file)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _is_about(error: OSError, temporary: Path) -> bool:
    """Return whether an error is about the temporary file, not about another one that the caller's block uses."""
    names = (error.filename, error.filename2)
    if names == (None, None):
        return error.errno in _WRITE_FAULTS or str(temporary) in str(error)
    return any(name is not None and os.fsdecode(name) == str(temporary) for name in names if not isinstance(name, int))


def sha256_of(file: BinaryIO) -> str:
    """Return the SHA-256 of an open file in hexadecimal, read from its start."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


@contextmanager
def exclusive_lock(path: Path, busy: str, kind: type[HistkitError] = ArchiveError) -> Iterator[None]:
    """Hold a lock file exclusively; its folder is created.

    Parameters
    ----------
    path : Path
        The lock file.
    busy : str
        Message of the error when another process holds it.
    kind : type
        Class of the errors.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire(timeout=0)
    except Timeout:
        raise kind(busy) from None
    except OSError as error:
        raise kind(f"{path.parent} can't be written: {error_reason(error)}.") from None
    try:
        yield
    finally:
        lock.release()


def read_toml(path: str | os.PathLike[str], content: str, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """Read a TOML file, UTF-8 with or without a byte order mark.

    Parameters
    ----------
    path : path-like
        The file; ``~`` is the home folder.
    content : str
        What the file holds ("rules"), for the message.
    parse_float : callable
        Makes a number of its digits; `decimal.Decimal` for amounts of money.

    Raises
    ------
    InputError
        The file does not exist, can't be read, or is not TOML.
    """
    name = replace_surrogates(" ".join(str(path).split()))
    file = local_path(path)
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"), parse_float=parse_float)
    except FileNotFoundError:
        raise InputError(f"{name}: the file does not exist; use the path of a TOML file with {content}.") from None
    except (OSError, UnicodeEncodeError) as error:  # the latter: a name that no file system can hold
        reason = error_reason(error)
        raise InputError(f"{name} can't be read: {reason}; use a TOML file with {content}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{name} is not UTF-8; save it again in that encoding.") from None
    except (ValueError, RecursionError, ArithmeticError) as error:
        advice = "put texts between quotes, expressions in single ones"
        raise InputError(f"{name} is not TOML: {error_line(error)}; {advice}.") from None


class AppendOnlyFile:
    """Append-only file of lines; a written line survives a killed process.

    Parameters
    ----------
    path : Path
        Created if it does not exist. An incomplete last line, as a killed process leaves it, is ended first.

    Raises
    ------
    OSError
        The file can't be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab+", buffering=0)
        try:
            if self._file.seek(0, os.SEEK_END):
                self._file.seek(-1, os.SEEK_END)
                if self._file.read(1) != b"\n":
                    self.write(b"\n")
        except OSError:
            self._file.close()
            raise

    def write(self, line: bytes) -> None:
        """Append a line that ends with a line feed; raises OSError if the disk is full before its end."""
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def flush_to_disk(self) -> None:
        """Flush the written lines to disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
