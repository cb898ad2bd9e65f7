"""Destinations of audio: a local folder, or a remote one of fsspec (``s3://...``). Files are complete or absent.

A local file is written to the folder of its target and renamed. On a remote file system it is uploaded under a
temporary name and renamed there. An object store shows an upload only when it is complete, and its rename is a copy, so
the file is uploaded directly.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol, TypeVar

from histkit.errors import ArchiveError, DownloadError
from histkit.util.files import (
    AppendOnlyFile,
    exclusive_lock,
    is_temporary,
    remove_if_abandoned,
    scratch_folder,
    temporary_name,
)
from histkit.util.outputs import FileKind
from histkit.util.storage import folder_name, open_filesystem, unencodable_reason
from histkit.util.text import error_line, error_reason, hide_passwords, quoted

T = TypeVar("T")
JOURNAL = "manifest.jsonl"
_LOCK = ".histkit.lock"
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "r2", "b2", "swift"}
_JOURNAL_SECONDS = 2.0  # minimum time between two uploads of a remote journal
_JOURNAL_SHARE = 20.0  # minimum time between them, as a multiple of the duration of the last one


class PullJournal(Protocol):
    """Append-only lines that survive a killed process."""

    def write(self, line: bytes) -> None:
        """Append a line."""

    def close(self) -> None:
        """Flush buffered lines and close."""


class Destination(Protocol):
    """A folder of audio files. File names are relative to it, with ``/``.

    Attributes
    ----------
    name : str
        The path as passed, for messages.
    address : str
        Absolute path or URL.
    remote : bool
        Whether it is accessed through fsspec.
    """

    name: str
    address: str
    remote: bool

    def check(self) -> None:
        """Raise `DownloadError` if it is a file; nothing is created."""

    def prepare(self) -> None:
        """Create the folder; raises `DownloadError` if that fails."""

    def lock(self) -> AbstractContextManager[None]:
        """Hold the folder exclusively; raises `DownloadError` if another process holds it."""

    def part(self, file: str) -> Path:
        """Return a path on this machine for the temporary file that will become `file`."""

    def put(self, part: Path, file: str) -> None:
        """Move a complete temporary file to its final name."""

    def open(self, file: str) -> IO[bytes]:
        """Open a file for reading; raises FileNotFoundError."""

    def sizes(self, parents: Iterable[str], *, tidy: bool) -> dict[str, int]:
        """Return the size of each file in some folders; `tidy` removes temporary files of killed processes."""

    def journal(self) -> PullJournal:
        """Start a new journal."""

    def remove(self, file: str) -> None:
        """Remove a file if it exists."""

    def close(self) -> None:
        """Remove temporary files, and folders that were created and stayed empty."""


def open_destination(path: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Destination:
    """Open a destination; nothing is created yet.

    Parameters
    ----------
    path : path-like or str
        A folder, or a URL of a file system that fsspec knows.
    options : mapping, optional
        Storage options for fsspec; only with a URL.

    Raises
    ------
    InputError
        `path` is neither, or fsspec is not installed.
    DownloadError
        fsspec can't open the URL.
    """
    name = folder_name(path)
    try:
        system = open_filesystem(name, options)
    except ArchiveError as error:
        raise DownloadError(str(error)) from None
    return LocalFolder(Path(name)) if system is None else RemoteFolder(name, *system)


@contextmanager
def uploaded_file(url: str, options: Mapping[str, Any] | None, kind: FileKind, *, force: bool) -> Iterator[Path]:
    """Yield the path on this machine at which a file is to be written that is uploaded at the end of the block.

    Parameters
    ----------
    url : str
        Of a file system that fsspec knows.
    options : mapping or None
        Storage options for fsspec.
    kind : FileKind
        What is written.
    force : bool
        Replace a file of any kind.

    Raises
    ------
    InputError
        A file is there that is of another kind.
    DownloadError
        The place can't be written.
    """
    scheme, _, rest = url.partition("://")
    parent, _, file = rest.rpartition("/")
    destination = open_destination(f"{scheme}://{parent}", options)
    try:
        if not force:
            _check_content(destination, file, kind)
        destination.prepare()
        part = destination.part(file)
        yield part
        destination.put(part, file)
    finally:
        destination.close()


def _check_content(destination: Destination, name: str, kind: FileKind) -> None:
    """Raise `InputError` if a file is there that is of another kind."""
    shown = f"{destination.name}/{name}"
    try:
        with destination.open(name) as file:
            kind.check_content(file, shown)  # type: ignore[arg-type]
    except FileNotFoundError:
        return
    except OSError as error:
        raise DownloadError(hide_passwords(f"{shown} can't be read: {error_line(error)}.")) from None


class LocalFolder:
    """A folder of this machine."""

    remote = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = str(folder)
        self.address = str(folder.absolute())
        self._created: list[Path] = []
        self._usable: set[Path] = set()

    def check(self) -> None:
        """Check that neither it nor a parent is a file, as far as these may be looked at."""
        file = next(
            filter(os.path.isfile, (self.folder, *self.folder.parents)), None
        )  # False if it may not be looked at
        if file is not None:
            raise DownloadError(f"{self.folder} can't be used as a folder: {file} is a file.")

    def prepare(self) -> None:
        """Create the folder."""
        try:
            self._create(self.folder)
        except OSError as error:
            raise DownloadError(f"{self.folder} can't be used as a folder: {error_reason(error)}.") from None

    def _create(self, folder: Path) -> None:
        absent = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        self._created += reversed(absent)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder exclusively."""
        busy = f"Another download is writing into {self.folder}: wait for it to end."
        lock = self.folder / _LOCK
        with exclusive_lock(lock, busy, DownloadError):
            try:
                yield
            finally:
                with suppress(OSError):  # filelock treats a removed file as unlocked, so another process can take it
                    lock.unlink()

    def part(self, file: str) -> Path:
        """Return a temporary path in the folder of `file`, which is created."""
        try:
            os.fsencode(file)
        except UnicodeEncodeError:
            raise DownloadError(f"The file name {quoted(file)} {unencodable_reason(file)}.") from None
        parent = (self.folder / file).parent
        if parent not in self._usable:
            if not resolves_inside(self.folder, parent):
                raise DownloadError(f"{parent} leads out of the folder (a link); nothing was written there.")
            self._create(parent)
            self._usable.add(parent)
        return parent / temporary_name()

    def put(self, part: Path, file: str) -> None:
        """Rename."""
        part.replace(self.folder / file)

    def open(self, file: str) -> BinaryIO:
        """Open for reading; a link that leads out of the folder counts as absent."""
        path = self.folder / file
        if not resolves_inside(self.folder, path):
            raise FileNotFoundError(f"{path} leads out of the folder")
        return path.open("rb")

    def sizes(self, parents: Iterable[str], *, tidy: bool) -> dict[str, int]:
        """Return the size of each regular file in some folders."""
        sizes = {}
        for parent in sorted({"", *parents}):  # the manifest's own temporary files are in the folder itself
            try:
                with os.scandir(self.folder / parent) as files:
                    for file in files:
                        if not file.is_file(follow_symlinks=False):
                            continue
                        if not is_temporary(file.name):
                            name = f"{parent}/{file.name}" if parent else file.name
                            sizes[name] = file.stat(follow_symlinks=False).st_size
                        elif tidy:
                            remove_if_abandoned(Path(file.path))
            except (FileNotFoundError, NotADirectoryError):
                continue
        return sizes

    def journal(self) -> PullJournal:
        """Start a journal that is appended to."""
        return AppendOnlyFile(self.folder / JOURNAL)

    def remove(self, file: str) -> None:
        """Remove."""
        (self.folder / file).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove folders that were created and stayed empty."""
        for folder in reversed(self._created):
            with suppress(OSError):
                folder.rmdir()
        self._created.clear()


class RemoteFolder:
    """A remote folder of fsspec. It is not locked: the user must run one download at a time."""

    remote = True

    def __init__(self, name: str, system: Any, root: str) -> None:
        self.name = self.address = hide_passwords(name)
        self._system, self._root = system, root.rstrip("/")
        protocols = {system.protocol} if isinstance(system.protocol, str) else set(system.protocol)
        self._direct = bool(protocols & _OBJECT_STORES)
        self._created: set[str] = set()
        self._exit = ExitStack()
        self._parts = self._exit.enter_context(scratch_folder())

    def check(self) -> None:
        """Do nothing: `prepare` finds out."""

    def prepare(self) -> None:
        """Create the folder, and check that it is writable before any clip is requested."""
        probe = self._parts / temporary_name()
        probe.write_bytes(b"")
        name = temporary_name()
        self.put(probe, name)
        self.remove(name)

    def lock(self) -> AbstractContextManager[None]:
        """Do nothing: object stores have no locks."""
        return nullcontext()

    def part(self, file: str) -> Path:
        """Return a path in a temporary folder of this machine."""
        return self._parts / temporary_name()

    def put(self, part: Path, file: str) -> None:
        """Upload, and check the size that arrived."""
        target, size = f"{self._root}/{file}", part.stat().st_size
        parent = target.rpartition("/")[0]
        upload = target if self._direct else f"{parent}/{temporary_name()}"

        def call() -> None:
            if parent not in self._created:
                self._system.makedirs(parent, exist_ok=True)
                self._created.add(parent)
            self._system.put_file(str(part), upload)
            arrived = self._system.size(upload)
            if arrived != size:
                raise DownloadError(f"{self.name}/{file}: {arrived} of {size} bytes arrived.")
            if upload != target:
                self._system.mv(upload, target)

        self._call(file, call)
        part.unlink()

    def open(self, file: str) -> IO[bytes]:
        """Open for reading."""
        opened: IO[bytes] = self._call(file, lambda: self._system.open(f"{self._root}/{file}", "rb"))
        return opened

    def sizes(self, parents: Iterable[str], *, tidy: bool) -> dict[str, int]:
        """Return the size of each file, from one recursive listing of the folder."""

        def call() -> dict[str, int]:
            self._system.invalidate_cache()
            try:
                listed = self._system.find(self._root, detail=True)
            except FileNotFoundError:
                return {}
            return {path.removeprefix(f"{self._root}/"): info["size"] for path, info in listed.items()}

        sizes = {}
        for name, size in self._call("", call).items():
            if not is_temporary(name.rpartition("/")[2]):
                sizes[name] = size
            elif tidy:
                self.remove(name)
        return sizes

    def journal(self) -> PullJournal:
        """Start a journal that is rewritten every few seconds."""
        return _RewrittenJournal(self)

    def remove(self, file: str) -> None:
        """Remove."""

        def call() -> None:
            with suppress(FileNotFoundError):
                self._system.rm_file(f"{self._root}/{file}")

        self._call(file, call)

    def close(self) -> None:
        """Remove the temporary files."""
        self._exit.close()

    def _call(self, file: str, call: Callable[[], T]) -> T:
        """Call the file system; its errors, which may be of any type, become `DownloadError`."""
        try:
            return call()
        except (FileNotFoundError, DownloadError):
            raise
        except Exception as error:
            message = f"{self.name}/{file}: {type(error).__name__}: {error_line(error)}."
            raise DownloadError(hide_passwords(message)) from error


class _RewrittenJournal:
    def __init__(self, folder: RemoteFolder) -> None:
        self._folder = folder
        self._lines: list[bytes] = []
        self._written = 0
        self._not_before = 0.0
        self._upload()

    def write(self, line: bytes) -> None:
        self._lines.append(line)
        if time.monotonic() >= self._not_before:
            self._upload()

    def close(self) -> None:
        if self._written < len(self._lines):
            self._upload()

    def _upload(self) -> None:
        started = time.monotonic()
        part = self._folder.part(JOURNAL)
        part.write_bytes(b"".join(self._lines))
        self._folder.put(part, JOURNAL)
        self._written = len(self._lines)
        now = time.monotonic()
        self._not_before = now + max(_JOURNAL_SECONDS, _JOURNAL_SHARE * (now - started))


def stays_inside(path: str) -> bool:
    """Return whether a recorded path is relative and has no part that leaves its folder, on any system."""
    return not path.startswith("/") and ".." not in path.split("/") and "\\" not in path and ":" not in path


def resolves_inside(folder: Path, path: Path) -> bool:
    """Return whether a path is in a folder after all links are resolved."""
    return path.resolve().is_relative_to(folder.resolve())
