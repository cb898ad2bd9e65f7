"""Files that are whole or not there, and folders that one process writes at a time."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from histkit.errors import ArchiveError, HistkitError
from histkit.util.text import error_line


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary file beside `path` that takes its place when the block ends well, and vanishes otherwise.

    Raises
    ------
    ArchiveError
        The file can't be written.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ArchiveError(f"{target} can't be written: {error.strerror or error_line(error)}.") from None


@contextmanager
def exclusive_lock(path: Path, busy: str, kind: type[HistkitError] = ArchiveError) -> Iterator[None]:
    """Hold a lock file for one process at a time; raises an error of a `kind`, saying `busy`, when another holds it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire(timeout=0)
    except Timeout:
        raise kind(busy) from None
    except OSError as error:
        raise kind(f"{path.parent} can't be written: {error.strerror or error_line(error)}.") from None
    try:
        yield
    finally:
        lock.release()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


TEMPORARY, SUFFIX = ".histkit-", ".part"


def temporary_name() -> str:
    """Return a random name for a temporary file; `is_temporary` knows it again after a kill."""
    return f"{TEMPORARY}{secrets.token_hex(8)}{SUFFIX}"


def is_temporary(name: str) -> bool:
    """Return whether a file name is one of `temporary_name`."""
    return name.startswith(TEMPORARY) and name.endswith(SUFFIX)


@contextmanager
def temporary_beside(target: Path) -> Iterator[BinaryIO]:
    """Yield a temporary file that replaces `target` when the block ends without an error, and is removed otherwise."""
    part = target.parent / temporary_name()
    try:
        with part.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def sha256_of(file: BinaryIO) -> str:
    """Return the SHA-256 of an open file in hexadecimal, read from its start."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
