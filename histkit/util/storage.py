"""Paths and URLs that a user passes, and reading from folders of this machine or of fsspec (``s3://...``)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from histkit.errors import ArchiveError, InputError
from histkit.util.text import error_line, hide_passwords, is_valid_unicode, quoted

STDOUT = "-"

_NAME_BYTES = 255  # of one file or folder name, on all common file systems


def normalize_path(path: Any) -> str:
    """Return a path or URL that a user passed as text; a leading ``~`` becomes the home folder.

    Every public function that takes a path calls this, or `local_path`, so that a path means the same everywhere.

    Raises
    ------
    InputError
        The argument is not a path, is empty, is not a legal file name, or names a home folder that does not exist.

    Examples
    --------
    >>> normalize_path("data/history"), normalize_path("s3://bucket/history/")
    ('data/history', 's3://bucket/history')
    """
    name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(name, str) or not name:
        kind = "an empty string" if name == "" else type(path).__name__
        raise InputError(
            f"A path must be a non-empty string such as 'data/history', a pathlib.Path or a URL, not {kind}."
        )
    if "\0" in name:
        raise InputError(f"The path {quoted(name)} has a zero byte, which no file name has.")
    scheme, mark, rest = name.partition("://")
    if mark:
        return f"{scheme}://{rest.rstrip('/')}"
    try:
        expanded = Path(name).expanduser()
        longest = max(map(len, map(os.fsencode, expanded.parts)), default=0)
    except RuntimeError:
        raise InputError(f"The path {quoted(name)} names a home folder that is not known.") from None
    except UnicodeEncodeError:
        raise InputError(f"The path {quoted(name)} {unencodable_reason(name)}.") from None
    if longest > _NAME_BYTES:
        raise InputError(
            f"The path {quoted(name)} has a name of {longest} bytes; a file name has at most {_NAME_BYTES}."
        )
    return str(expanded)


def local_path(path: Any) -> Path:
    """Return a path of this machine that a user passed; a leading ``~`` becomes the home folder.

    Raises
    ------
    InputError
        The argument is not a path, or is a URL.
    """
    name = normalize_path(path)
    if "://" in name:
        raise InputError(f"{hide_passwords(name)} is a URL; use a path on this machine.")
    return Path(name)


def folder_name(path: Any) -> str:
    """Return the path or URL of a folder to write into, as `normalize_path` does.

    Raises
    ------
    InputError
        The argument is none, or ``-``, standard output, which holds no files.
    """
    name = normalize_path(path)
    if name == STDOUT:
        raise InputError("- is standard output, and a folder is due here; a folder of that name is ./-.")
    return name


def local_folder(path: Any) -> Path:
    """Return a folder of this machine to write into, as `folder_name` and `local_path` do."""
    folder_name(path)
    return local_path(path)


def open_filesystem(name: str, options: Mapping[str, Any] | None = None) -> tuple[Any, str] | None:
    """Open the file system of a URL; return it and the path in it, or None for a path of this machine.

    Raises
    ------
    InputError
        Options are given without a URL, or fsspec is not installed.
    ArchiveError
        fsspec can't open it.
    """
    check_storage_options(name, options)
    if "://" not in name:
        return None
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise InputError(f"{hide_passwords(name)} needs fsspec: pip install 'histkit[remote]'.") from None
    try:
        opened: tuple[Any, str] = url_to_fs(name, **(options or {}))
    except Exception as error:  # of any kind: no driver, no rights, no network, nothing of that kind there
        raise ArchiveError(hide_passwords(f"{name} can't be opened: {error_line(error)}.")) from None
    return opened


def unencodable_reason(name: str) -> str:
    """Return why the system can't encode a file name."""
    if not is_valid_unicode(name):
        return "has half of a surrogate pair, which no file name has"
    encoding = sys.getfilesystemencoding()
    return f"has letters that file names can't have in this locale ({encoding}): set PYTHONUTF8=1 in the environment"


def check_storage_options(name: str, options: Mapping[str, Any] | None) -> None:
    """Raise `InputError` for storage options that are no mapping, or are given without a URL."""
    if options is not None and not isinstance(options, Mapping):
        raise InputError(f"storage_options= takes a dict of options for fsspec, not {quoted(options)}.")
    if options and "://" not in name:
        raise InputError(f"storage_options= is for URLs such as 's3://bucket/history', not for {quoted(name)}.")


class ReadStore:
    """A folder to read from; can be pickled, so that it reaches the workers of a cluster.

    Parameters
    ----------
    path : path-like or str
        A folder, or a URL of a file system that fsspec knows.
    options : mapping, optional
        Storage options for fsspec; only with a URL.
    """

    def __init__(self, path: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> None:
        self._address = normalize_path(path)
        check_storage_options(self._address, options)
        self.name = hide_passwords(self._address)
        self._options = dict(options or {})
        self.remote = "://" in self.name
        self.absolute = self.name if self.remote else str(Path(self.name).absolute())
        self._files: Any = None

    def __repr__(self) -> str:
        return f"ReadStore({self.name!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_files": None}

    def place(self, file: str) -> str:
        """Return the full path or URL of a file."""
        return f"{self.name}/{file}"

    def open(self, file: str) -> Any:
        """Open a file for reading; raises FileNotFoundError or another OSError."""
        if not self.remote:
            return open(self.place(file), "rb")  # noqa: PTH123 - the caller closes it
        system, root = self._system()
        return self._call(file, lambda: system.open(f"{root}/{file}", "rb"))

    def arrow_filesystem(self) -> tuple[Any, str]:
        """Return the folder's file system for pyarrow, and the folder's path in it."""
        from pyarrow import fs

        if not self.remote:
            return fs.LocalFileSystem(), self.absolute
        system, root = self._system()
        return fs.PyFileSystem(fs.FSSpecHandler(system)), root

    def read(self, file: str) -> bytes:
        """Return the bytes of a file."""
        with self.open(file) as opened:
            data: bytes = self._call(file, opened.read)
        return data

    def _call(self, file: str, act: Callable[[], Any]) -> Any:
        """Call a file system; errors of remote ones (no rights, no network) can be of any class."""
        try:
            return act()
        except OSError:
            raise
        except Exception as error:
            raise ArchiveError(hide_passwords(f"{self.place(file)} can't be read: {error_line(error)}.")) from error

    def _system(self) -> tuple[Any, str]:
        if self._files is None:
            self._files = open_filesystem(self._address, self._options)
        opened: tuple[Any, str] = self._files
        return opened
