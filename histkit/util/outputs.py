"""Files that a user names to be written: one rule for all of them.

A link is followed: its target is written and the link stays. Devices, pipes and ``-`` (standard output) are streamed
to. A folder is refused. An existing file is overwritten only if it is of the kind that is written, by its ending and
its content; ``force`` overwrites any regular file. What killed processes left beside a file is removed first.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from histkit.errors import ArchiveError, InputError
from histkit.util.arguments import true_or_false
from histkit.util.files import (
    remove_temporary_files,
    replacement,
    scratch_folder,
    shown_path,
    write_errors,
    write_reason,
)
from histkit.util.storage import STDOUT, local_path
from histkit.util.text import quoted, terminal_lines

_HEAD = 8192  # bytes of a file that show what it is
_MOST_LINKS = 40  # as the kernel follows
_DESCRIPTOR = re.compile(r"/dev/fd/(\d+)|/proc/(?:self|thread-self|\d+)/fd/(\d+)")
_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_CONTROLS = bytes({*range(9), *range(14, 27), *range(28, 32)})  # no text has them


@dataclass(frozen=True)
class FileKind:
    """A kind of files.

    Attributes
    ----------
    name : str
        With its article, as in "it is not a zip".
    endings : tuple of str
        Of its names, in lower case; the first one is suggested. None: any name will do.
    holds : callable
        Whether a file begins like one of the kind; takes its first bytes and the open file.
    is_text : bool
        Whether it can be shown on a terminal.
    """

    name: str
    endings: tuple[str, ...]
    holds: Callable[[bytes, BinaryIO], bool]
    is_text: bool = False

    def check_ending(self, name: str, shown: str) -> None:
        """Raise `InputError` if the name of a file has none of the endings; `shown` is its path for the message."""
        ending = PurePath(name).suffix.lower()
        if not self.endings or ending in self.endings:
            return
        what = f"doesn't end in {self.endings[0]}" if ending else "has no ending"
        raise InputError(f"{shown} {what}: use {PurePath(name).with_suffix(self.endings[0])}, or force=True.")

    def check_content(self, file: BinaryIO, shown: str) -> None:
        """Raise `InputError` if an open file holds something of another kind; `shown` is its path for the message."""
        head = file.read(_HEAD)
        if head and not self.holds(head, file):
            advice = ", or force=True to overwrite it" if self.endings else ""
            raise InputError(f"{shown} exists and is not {self.name}: use another name{advice}.")


def _is_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    return not head.startswith(b"%PDF") and not set(head) & set(_CONTROLS)


def _entries(file: BinaryIO) -> set[str]:
    """Return the names in a zip; empty for a damaged one."""
    try:
        with zipfile.ZipFile(file) as archive:
            return set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return set()


def _is_workbook(head: bytes, file: BinaryIO) -> bool:
    return head.startswith(b"PK") and "xl/workbook.xml" in _entries(file)


def _is_plain_zip(head: bytes, file: BinaryIO) -> bool:
    """Return whether a file is a zip, not a document or program that is stored as one."""
    if not head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return False
    names = _entries(file)
    return not names & {"[Content_Types].xml", "mimetype", "META-INF/MANIFEST.MF", "AndroidManifest.xml"}


def _is_page(head: bytes, _: BinaryIO) -> bool:
    return _is_text(head) and head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def _is_json(head: bytes, _: BinaryIO) -> bool:
    return _is_text(head) and head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))


CSV = FileKind("a CSV file", (".csv",), lambda head, _: _is_text(head), is_text=True)
PARQUET = FileKind("a Parquet file", (".parquet", ".pq"), lambda head, _: head.startswith(b"PAR1"))
XLSX = FileKind("an Excel workbook", (".xlsx",), _is_workbook)
ZIP = FileKind("a zip", (".zip",), _is_plain_zip)
HTML = FileKind("an HTML file", (".html", ".htm"), _is_page, is_text=True)
MARKDOWN = FileKind("a Markdown file", (".md", ".markdown"), lambda head, _: _is_text(head), is_text=True)
JSON = FileKind("a JSON file", (".json",), _is_json, is_text=True)
JSON_LINES = FileKind("a file of JSON lines", (), _is_json, is_text=True)
PNG = FileKind("a PNG picture", (".png",), lambda head, _: head.startswith(b"\x89PNG\r\n\x1a\n"))


class OutputFile:
    """A file that is to be written; made before any work, so that a refusal costs nothing.

    Parameters
    ----------
    path : path-like
        As a user passed it; ``-`` is standard output.
    kind : FileKind
        What will be written.
    force : bool
        Write to a name with any ending, and over a file of any kind.

    Attributes
    ----------
    path : Path
        The path, ``~`` expanded; links are not resolved.
    exists : bool
        Whether a file that is not empty will be replaced.
    streamed : bool
        Whether it is a device, a pipe or standard output.

    Raises
    ------
    InputError
        It is a folder, the name has another ending, or the file that exists is of another kind.
    ArchiveError
        It can't be written: a disk, a socket, a link that leads to itself.
    """

    def __init__(self, path: str | os.PathLike[str], kind: FileKind, *, force: bool = False) -> None:
        self.path, self.kind = local_path(path), kind
        self._force = true_or_false("force", force)
        self.exists = False
        try:
            self._target = _resolve(self.path)
            self._mode = self._look()
        except OSError as error:
            raise ArchiveError(f"{shown_path(self.path)} can't be written: {write_reason(error)}.") from None
        if not self.streamed:
            self._check_place()
            self._check_ending()
            self._check_content()

    @property
    def streamed(self) -> bool:
        """Whether it is a device, a pipe or standard output."""
        return isinstance(self._target, int) or self._mode is not None

    def _look(self) -> int | None:
        """Return the mode of a device or pipe; None for a regular file, or one that does not exist yet."""
        if isinstance(self._target, int):
            return None
        try:
            mode = self._target.stat().st_mode
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(mode):
            raise InputError(f"{shown_path(self.path)} is a folder; add the name of {self.kind.name}.")
        refused = {stat.S_IFBLK: "a disk", stat.S_IFSOCK: "a socket"}
        what = refused.get(stat.S_IFMT(mode))
        if what is not None:
            raise ArchiveError(f"{shown_path(self.path)} can't be written: it is {what}.")
        return None if stat.S_ISREG(mode) else mode

    def _check_place(self) -> None:
        """Raise `InputError` for a Parquet file in a local history, which would be read as a part of it."""
        assert isinstance(self._target, Path)
        for folder in list(self._target.parents)[:3] if self.kind is PARQUET else ():
            if (folder / "_manifest.json").is_file():
                raise InputError(f"{shown_path(self.path)} is in the history {folder}: write it elsewhere.")

    def _check_ending(self) -> None:
        assert isinstance(self._target, Path)
        if self._force:
            return
        self.kind.check_ending(self.path.name, shown_path(self.path))
        if self._target.suffix:
            self.kind.check_ending(self._target.name, shown_path(self._target))

    def _check_content(self) -> None:
        """Raise `InputError` if a file is there that is of another kind."""
        assert isinstance(self._target, Path)
        try:
            with self._target.open("rb") as file:
                if not self._force:
                    self.kind.check_content(file, shown_path(self.path))
                self.exists = os.fstat(file.fileno()).st_size > 0
        except FileNotFoundError:
            return
        except OSError as error:
            raise ArchiveError(f"{shown_path(self.path)} can't be read: {write_reason(error)}.") from None

    @contextmanager
    def open(self) -> Iterator[Path]:
        """Yield the path of a temporary file that becomes the file, or is streamed, when the block succeeds.

        Raises
        ------
        ArchiveError
            The file can't be written. The old one is unchanged.
        """
        with write_errors(self.path):
            if self.streamed:
                with scratch_folder() as parent:
                    temporary = parent / self.path.name
                    yield temporary
                    self._stream(temporary)
                return
            assert isinstance(self._target, Path)
            remove_temporary_files(self._target.parent, ".")
            with replacement(self._target) as temporary:
                yield temporary
                if not self.exists:
                    self._check_content()  # one may have been made meanwhile

    def _stream(self, temporary: Path) -> None:
        """Copy a complete temporary file to the device, pipe or descriptor."""
        try:
            if self._target == 1:
                self._write_stdout(temporary)
                return
            with self._open_stream() as stream:
                if stream.isatty():
                    stream.write(self._for_terminal(temporary).encode("utf-8", "replace"))
                else:
                    _copy(temporary, stream)
        except OSError as error:
            if self._target == 1 and isinstance(error, BrokenPipeError):  # the reader of a pipe may stop early
                raise
            raise ArchiveError(f"{shown_path(self.path)} can't be written: {write_reason(error)}.") from None

    def _open_stream(self) -> BinaryIO:
        if isinstance(self._target, int):
            return os.fdopen(os.dup(self._target), "wb")
        return os.fdopen(os.open(self._target, os.O_WRONLY), "wb")  # neither created nor cut

    def _write_stdout(self, temporary: Path) -> None:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "standard output is closed")
        binary: Any = getattr(sys.stdout, "buffer", None)
        sys.stdout.flush()
        if sys.stdout.isatty() or binary is None:  # the latter: a notebook
            sys.stdout.write(self._for_terminal(temporary))
        else:
            _copy(temporary, binary)
        sys.stdout.flush()

    def _for_terminal(self, temporary: Path) -> str:
        if not self.kind.is_text:
            raise InputError(f"{shown_path(self.path)}: a terminal shows text, not {self.kind.name}; write to a file.")
        return terminal_lines(temporary.read_text("utf-8"))


def output_of(path: Any, kinds: Sequence[FileKind], what: str, *, force: bool = False) -> OutputFile:
    """Make the output of a path whose ending selects the kind.

    Parameters
    ----------
    path : path-like
        As a user passed it. Standard output, or a device or pipe without an ending, gets the first kind.
    kinds : sequence of FileKind
        What can be written.
    what : str
        What is written, for the message.
    force : bool
        Replace a file of any kind.

    Raises
    ------
    InputError
        The ending is of none of the kinds, or the file exists and is of another kind.
    ArchiveError
        It can't be written.
    """
    target = local_path(path)
    kind = next((kind for kind in kinds if target.suffix.lower() in kind.endings), None)
    if kind is None:
        output = OutputFile(target, FileKind(what, (), lambda *_: True))
        if not output.streamed:
            endings = ", ".join(kind.endings[0] for kind in kinds)
            raise InputError(f"path={quoted(str(path))} can't hold {what}; use one of {endings}.")
        kind = kinds[0]
    return OutputFile(target, kind, force=force)


def _copy(temporary: Path, stream: BinaryIO) -> None:
    with temporary.open("rb") as file:
        shutil.copyfileobj(file, stream)
    stream.flush()


def _resolve(path: Path) -> Path | int:
    """Follow links to the file that a path means, or to the descriptor of an open one."""
    if str(path) == STDOUT:
        return 1
    current = path.absolute()
    for _ in range(_MOST_LINKS):
        number = _STANDARD.get(str(current))
        match = _DESCRIPTOR.fullmatch(str(current))
        if number is not None or match is not None:
            return number if match is None else int(match[1] or match[2])  # type: ignore[return-value]
        if not current.is_symlink():
            return current.parent.resolve() / current.name
        current = Path(os.path.normpath(current.parent.resolve() / current.readlink()))
    raise ArchiveError(f"{shown_path(path)} can't be written: it is a link that leads to itself.")
