"""Atomic file writes, locked folders, and TOML files.

A file is written under a temporary name in the folder of its target, flushed to the disk and renamed. A process that
is killed leaves at most a temporary file, which `remove_temporary_files` finds by its name, and knows to be abandoned
because its lock (``flock``) is free: the system releases the locks of a process that ends, however it ends.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where an open file can't be removed
    fcntl = None  # type: ignore[assignment]

from histkit.errors import ArchiveError, HistkitError, InputError
from histkit.util.storage import local_path
from histkit.util.text import error_line, error_reason, replace_surrogates

TEMPORARY, SUFFIX = ".histkit-", ".part"
_SHOWN_CHARACTERS = 300
_ABANDONED_SECONDS = 86_400  # age of a temporary file, where there are no locks
_WRITE_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}  # a write raises them without naming its file


def temporary_name() -> str:
    """Return a new name for an incomplete file."""
    return f"{TEMPORARY}{secrets.token_hex(8)}{SUFFIX}"


def is_temporary(name: str) -> bool:
    """Return whether a file name is that of an incomplete file."""
    return name.startswith(TEMPORARY) and name.endswith(SUFFIX)


def open_temporary(path: Path) -> BinaryIO:
    """Create a temporary file; as long as it is open, `remove_temporary_files` spares it.

    Raises
    ------
    OSError
        The file exists, or can't be written.
    """
    while True:
        file = path.open("x+b")
        _lock_descriptor(file.fileno())
        if fcntl is None or os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # another process took it for an abandoned one before it was locked


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Yield a new temporary folder, which is removed with its files at the end.

    Raises
    ------
    OSError
        The folder can't be created.
    """
    folder, descriptor = _make_temporary_folder(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a new temporary folder where the system has its own; what killed processes left there is removed first.

    Raises
    ------
    OSError
        The folder can't be created.
    """
    place = Path(tempfile.gettempdir())
    remove_temporary_files(place, ".")
    with temporary_folder(place) as folder:
        yield folder


def _make_temporary_folder(parent: Path) -> tuple[Path, int | None]:
    """Create a temporary folder; return it and the descriptor that locks it."""
    while True:
        folder = parent / temporary_name()
        folder.mkdir(mode=0o700)
        if fcntl is None:
            return folder, None
        with suppress(FileNotFoundError):  # another process took it for an abandoned one before it was locked
            descriptor = os.open(folder, os.O_RDONLY)
            _lock_descriptor(descriptor)
            if folder.exists():
                return folder, descriptor
            os.close(descriptor)


def _lock_descriptor(descriptor: int) -> None:
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks, where nothing is ever swept
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def remove_temporary_files(folder: Path, *patterns: str) -> None:
    """Remove what killed processes left in the subfolders that match glob patterns (``"."`` is the folder itself).

    The temporary files of processes that are still writing stay.
    """
    for pattern in patterns:
        for path in folder.glob(f"{pattern}/{TEMPORARY}*{SUFFIX}"):
            remove_if_abandoned(path)


def remove_if_abandoned(path: Path) -> None:
    """Remove a temporary file or folder unless a running process is writing it."""
    with suppress(OSError):
        mode = path.lstat().st_mode
        if fcntl is None:
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()
        elif stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if stat.S_ISDIR(mode):
                    shutil.rmtree(path)
                else:
                    path.unlink()
            finally:
                os.close(descriptor)


def flush_to_disk(file: BinaryIO) -> None:
    """Write an open file's buffers to the disk, so that a rename after it never shows a file without its content."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Write a folder's names to the disk, where the system can."""
    with suppress(OSError):  # Windows can't open a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def resolve_file(path: Path) -> Path:
    """Return the file that a path leads to; a link is followed, also where its target does not exist yet.

    Raises
    ------
    ArchiveError
        It is a folder, a device, a pipe, or a link that leads to itself.
    OSError
        The path can't be read.
    """
    try:
        target = path.resolve()
        mode = target.stat().st_mode
    except FileNotFoundError:
        return target
    except (OSError, RuntimeError) as error:  # the latter: a loop, before Python 3.13
        if isinstance(error, OSError) and error.errno != errno.ELOOP:
            raise
        raise ArchiveError(f"{path} can't be written: it is a link that leads to itself.") from None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
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
    with write_errors(expanded), replacement(resolve_file(expanded)) as temporary:
        yield temporary


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Raise the errors of writing a file as `ArchiveError`; errors about other files pass.

    The block raises them about the file's temporary name, or, where the disk is full, about none.
    """
    try:
        yield
    except OSError as error:
        if not _is_about(error, path):
            raise
        raise ArchiveError(f"{shown_path(path)} can't be written: {write_reason(error)}.") from None


@contextmanager
def replacement(target: Path) -> Iterator[Path]:
    """Yield the path of a temporary file that replaces a regular file, with its rights, when the block succeeds.

    The folder is created, and removed again if the block fails and it is empty.

    Raises
    ------
    OSError
        The file can't be written.
    """
    with _temporary_beside(target) as temporary:
        yield temporary
        with suppress(OSError):
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        with temporary.open("r+b") as file:
            flush_to_disk(file)
        temporary.replace(target)


def check_writable(path: Path) -> None:
    """Raise `ArchiveError` if no file can be written beside a path; nothing stays of the attempt."""
    with write_errors(path), _temporary_beside(path):
        pass


@contextmanager
def _temporary_beside(target: Path) -> Iterator[Path]:
    """Yield a new temporary file; at the end it is removed, and the folders that were created, if they are empty."""
    created = [folder for folder in target.parents if not folder.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target.parent)) from None
    temporary = target.parent / temporary_name()
    held: BinaryIO | None = None
    try:
        held = open_temporary(temporary)  # with the rights that the umask leaves a new file
        if fcntl is None:
            held.close()
        yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if held is not None:
            held.close()
        for folder in created:
            with suppress(OSError):
                folder.rmdir()


def shown_path(path: str | os.PathLike[str]) -> str:
    """Return a path for a message: one line, a very long one without its middle."""
    text = replace_surrogates(" ".join(os.fspath(path).split()))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:60]} ... {text[-60:]}"


def write_reason(error: OSError) -> str:
    """Return the system's words for an error, also for one that another library raised in its own."""
    if error.errno == errno.ENOTDIR and isinstance(error.filename, str):
        places = [Path(error.filename), *Path(error.filename).parents]
        return f"{next((str(place) for place in places if place.is_file()), error.filename)} is not a folder"
    return os.strerror(error.errno) if error.errno else error_reason(error)


def is_write_fault(error: BaseException) -> bool:
    """Return whether an error is that of a full or broken disk."""
    return isinstance(error, OSError) and error.errno in _WRITE_FAULTS


def _is_about(error: OSError, path: Path) -> bool:
    """Return whether an error is about a temporary file, or about a path, not about another one that a block uses."""
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    if not names:
        return error.errno in _WRITE_FAULTS or f"/{TEMPORARY}" in str(error)
    places = {str(path), *map(str, path.parents), *map(str, path.resolve().parents), str(path.resolve())}
    return any(name in places or any(map(is_temporary, Path(name).parts)) for name in names)


def sha256_of(file: BinaryIO) -> str:
    """Return the SHA-256 of an open file in hexadecimal, read from its start."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def hash_of(path: Path) -> str | None:
    """Return the SHA-256 of a file in hexadecimal; None if it can't be read."""
    try:
        with path.open("rb") as file:
            return sha256_of(file)
    except OSError:
        return None


@contextmanager
def exclusive_lock(
    path: Path, busy: str, kind: type[HistkitError] = ArchiveError, *, timeout: float = 0
) -> Iterator[None]:
    """Hold a lock file exclusively; its folder is created.

    Parameters
    ----------
    path : Path
        The lock file.
    busy : str
        Message of the error when another process holds it.
    kind : type
        Class of the errors.
    timeout : float
        Seconds to wait for that process.
    """
    from filelock import FileLock, Timeout  # late: the command line's help needs the rest of this module

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire(timeout=timeout)
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
