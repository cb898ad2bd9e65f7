"""Where clips go: a folder of this machine, or one behind fsspec (``s3://...``). Files are whole or not there.

A remote folder gets each file under a temporary name first and is renamed there; an object store, where an upload
shows up only when it is complete and a rename is a copy, gets it directly.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol, TypeVar

from histkit.errors import ArchiveError, DownloadError
from histkit.util.files import SUFFIX, TEMPORARY, exclusive_lock
from histkit.util.storage import normalize_path, open_filesystem
from histkit.util.text import error_line

T = TypeVar("T")
JOURNAL = "manifest.jsonl"
_LOCK = ".histkit.lock"
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "r2", "b2", "swift"}
_JOURNAL_SECONDS, _JOURNAL_SHARE = 2.0, 20.0  # a remote journal is written whole: not oftener, nor for longer


class PullJournal(Protocol):
    """Lines that outlive a kill: what a pull has finished so far."""

    def write(self, line: bytes) -> None:
        """Add a line."""

    def close(self) -> None:
        """Write what is still held."""


class Destination(Protocol):
    """A folder for clips; names in it are relative, with ``/``."""

    name: str
    remote: bool

    def prepare(self) -> None:
        """Make the folder; raises `DownloadError` where that can't be."""

    def lock(self) -> AbstractContextManager[None]:
        """Hold the folder for one pull at a time; raises `DownloadError` when another holds it."""

    def part(self, file: str) -> Path:
        """Name a temporary file of this machine, for what will become `file`."""

    def put(self, part: Path, file: str) -> None:
        """Give a whole temporary file its place and name."""

    def open(self, file: str) -> IO[bytes]:
        """Open a file for reading; raises FileNotFoundError."""

    def sizes(self, parents: Iterable[str], *, tidy: bool) -> dict[str, int]:
        """Give the size of each file in some folders; `tidy` removes what a killed pull left there."""

    def journal(self) -> PullJournal:
        """Begin a new journal."""

    def remove(self, file: str) -> None:
        """Remove a file; one that is not there is as good."""

    def close(self) -> None:
        """Let go of what was held on this machine."""


def open_destination(path: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Destination:
    """Open a folder for clips.

    Parameters
    ----------
    path : path-like or str
        A folder, or a URL of a file system that fsspec knows.
    options : mapping, optional
        Storage options for fsspec; only with a URL.

    Raises
    ------
    InputError
        It is neither, or fsspec is not installed.
    DownloadError
        fsspec can't open it.
    """
    name = normalize_path(path)
    try:
        system = open_filesystem(name, options)
    except ArchiveError as error:
        raise DownloadError(str(error)) from None
    return LocalFolder(Path(name)) if system is None else RemoteFolder(name, *system)


@contextmanager
def written_file(name: str, options: Mapping[str, Any] | None) -> Iterator[Path]:
    """Give the file of this machine that is to be written; one that is meant for elsewhere is put there afterwards."""
    parent, _, file = name.rpartition("/")
    if "://" not in name:
        open_destination(name, options)  # refuses options
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path
        return
    target = open_destination(parent, options)
    try:
        target.prepare()
        part = target.part(file)
        yield part
        target.put(part, file)
    finally:
        target.close()


class LocalFolder:
    """A folder of this machine."""

    remote = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = str(folder)
        self._made: set[Path] = set()

    def prepare(self) -> None:
        """Make the folder."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DownloadError(f"{self.folder} can't be used as a folder: {error.strerror}.") from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for one pull at a time."""
        busy = f"Another pull is writing into {self.folder}: wait for it."
        lock = self.folder / _LOCK
        with exclusive_lock(lock, busy, DownloadError):
            try:
                yield
            finally:
                with suppress(OSError):  # filelock takes a file that vanished for no lock, so this parts nobody
                    lock.unlink()

    def part(self, file: str) -> Path:
        """Name a temporary file beside `file`, whose folder is made."""
        parent = (self.folder / file).parent
        if parent not in self._made:
            if not inside(self.folder, parent):
                raise DownloadError(f"{parent} leads out of the folder (a link); nothing was written there.")
            parent.mkdir(parents=True, exist_ok=True)
            self._made.add(parent)
        return parent / _temporary()

    def put(self, part: Path, file: str) -> None:
        """Rename."""
        part.replace(self.folder / file)

    def open(self, file: str) -> BinaryIO:
        """Open for reading; a link that leads out of the folder is no file of it."""
        path = self.folder / file
        if not inside(self.folder, path):
            raise FileNotFoundError(f"{path} leads out of the folder")
        return path.open("rb")

    def sizes(self, parents: Iterable[str], *, tidy: bool) -> dict[str, int]:
        """Give the size of each regular file in some folders."""
        found = {}
        for parent in sorted(set(parents)):
            try:
                with os.scandir(self.folder / parent) as entries:
                    for each in entries:
                        if not each.is_file(follow_symlinks=False):
                            continue
                        if is_temporary(each.name):
                            if tidy:
                                with suppress(OSError):
                                    Path(each.path).unlink()
                            continue
                        name = f"{parent}/{each.name}" if parent else each.name
                        found[name] = each.stat(follow_symlinks=False).st_size
            except (FileNotFoundError, NotADirectoryError):
                continue
        return found

    def journal(self) -> PullJournal:
        """Begin a journal that is appended to."""
        return _Appended((self.folder / JOURNAL).open("wb", buffering=0))

    def remove(self, file: str) -> None:
        """Remove."""
        (self.folder / file).unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is held."""


class RemoteFolder:
    """A folder behind fsspec; nobody locks it, so one pull at a time is up to the user."""

    remote = True

    def __init__(self, name: str, system: Any, root: str) -> None:
        self.name = name
        self._system, self._root = system, root.rstrip("/")
        protocols = {system.protocol} if isinstance(system.protocol, str) else set(system.protocol)
        self._direct = bool(protocols & _OBJECT_STORES)
        self._made: set[str] = set()
        self._parts = tempfile.TemporaryDirectory(prefix="histkit-")

    def prepare(self) -> None:
        """Make the folder, and see that it can be written to before any clip is fetched."""
        probe = Path(self._parts.name) / _temporary()
        probe.write_bytes(b"")
        name = _temporary()
        self.put(probe, name)
        self.remove(name)

    def lock(self) -> AbstractContextManager[None]:
        """Lock nothing: object stores have no locks."""
        return nullcontext()

    def part(self, file: str) -> Path:
        """Name a temporary file of this machine."""
        return Path(self._parts.name) / _temporary()

    def put(self, part: Path, file: str) -> None:
        """Upload, and see that all of it arrived."""
        place, size = f"{self._root}/{file}", part.stat().st_size
        parent = place.rpartition("/")[0]
        upload = place if self._direct else f"{parent}/{_temporary()}"

        def act() -> None:
            if parent not in self._made:
                self._system.makedirs(parent, exist_ok=True)
                self._made.add(parent)
            self._system.put_file(str(part), upload)
            arrived = self._system.size(upload)
            if arrived != size:
                raise DownloadError(f"{self.name}/{file}: {arrived} of {size} bytes arrived.")
            if upload != place:
                self._system.mv(upload, place)

        self._asked(file, act)
        part.unlink()

    def open(self, file: str) -> IO[bytes]:
        """Open for reading."""
        opened: IO[bytes] = self._asked(file, lambda: self._system.open(f"{self._root}/{file}", "rb"))
        return opened

    def sizes(self, parents: Iterable[str], *, tidy: bool) -> dict[str, int]:
        """Give the size of each file, by one listing of the whole folder."""

        def act() -> dict[str, int]:
            self._system.invalidate_cache()
            try:
                listed = self._system.find(self._root, detail=True)
            except FileNotFoundError:
                return {}
            return {path.removeprefix(f"{self._root}/"): info["size"] for path, info in listed.items()}

        found = {}
        for name, size in self._asked("", act).items():
            if not is_temporary(name.rpartition("/")[2]):
                found[name] = size
            elif tidy:
                self.remove(name)
        return found

    def journal(self) -> PullJournal:
        """Begin a journal that is written whole every few seconds."""
        return _Rewritten(self)

    def remove(self, file: str) -> None:
        """Remove."""

        def act() -> None:
            with suppress(FileNotFoundError):
                self._system.rm_file(f"{self._root}/{file}")

        self._asked(file, act)

    def close(self) -> None:
        """Remove the temporary files."""
        self._parts.cleanup()

    def _asked(self, file: str, act: Callable[[], T]) -> T:
        """Ask the file system, whose errors may be of any kind (no rights, no network)."""
        try:
            return act()
        except (FileNotFoundError, DownloadError):
            raise
        except Exception as error:
            raise DownloadError(f"{self.name}/{file}: {type(error).__name__}: {error_line(error)}.") from error


class _Appended:
    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, line: bytes) -> None:
        self._file.write(line)

    def close(self) -> None:
        self._file.close()


class _Rewritten:
    def __init__(self, target: RemoteFolder) -> None:
        self._target = target
        self._lines: list[bytes] = []
        self._written = 0
        self._not_before = 0.0
        self._put()

    def write(self, line: bytes) -> None:
        self._lines.append(line)
        if time.monotonic() >= self._not_before:
            self._put()

    def close(self) -> None:
        if self._written < len(self._lines):
            self._put()

    def _put(self) -> None:
        started = time.monotonic()
        part = self._target.part(JOURNAL)
        part.write_bytes(b"".join(self._lines))
        self._target.put(part, JOURNAL)
        self._written = len(self._lines)
        now = time.monotonic()
        self._not_before = now + max(_JOURNAL_SECONDS, _JOURNAL_SHARE * (now - started))


def is_temporary(name: str) -> bool:
    """Tell whether a file is what a pull has not finished."""
    return name.startswith(TEMPORARY) and name.endswith(SUFFIX)


def inside(folder: Path, path: Path) -> bool:
    """Tell whether a path, with all links followed, lies in the folder."""
    return path.resolve().is_relative_to(folder.resolve())


def _temporary() -> str:
    return f"{TEMPORARY}{secrets.token_hex(8)}{SUFFIX}"
