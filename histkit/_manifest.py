"""A folder's record of its audio: ``manifest.parquet`` and ``manifest.csv``, and a journal while a pull runs.

Each finished clip is a line of ``manifest.jsonl`` at once; at the end the lines are folded into the two files, which
are only ever replaced whole. A pull that was killed leaves the journal, and the next one folds it in.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from histkit.errors import DownloadError, HistkitError
from histkit.exports import read_parquet, to_csv, to_parquet
from histkit.names import fold

COLUMNS = {
    "history_item_id": "string[pyarrow]",
    "path": "string[pyarrow]",
    "status": "string[pyarrow]",
    "bytes": "Int64",
    "seconds": "Float64",
    "sha256": "string[pyarrow]",
    "error": "string[pyarrow]",
}
TEMPORARY, SUFFIX = ".histkit-", ".part"


@dataclass(frozen=True)
class Entry:
    """One line of a manifest.

    Attributes
    ----------
    history_item_id : str
        Which clip.
    path : str or None
        Where it is, relative to the folder, with ``/``; None where there is no file.
    status : str
        ``done``, ``skipped``, ``failed``, ``gone``, or ``pending`` of a dry run.
    bytes : int or None
        Size of the file.
    seconds : float or None
        Length of the sound; None where a bare clip's rate is not known.
    sha256 : str or None
        Of the file, in hexadecimal.
    error : str or None
        One line: why there is no file.
    format : str or None
        ``"wav"`` where the file is not as it was generated.
    """

    history_item_id: str
    path: str | None
    status: str
    bytes: int | None = None
    seconds: float | None = None
    sha256: str | None = None
    error: str | None = None
    format: str | None = None

    def skipped(self) -> Entry:
        """Give the line of a run that found the file there."""
        return Entry(self.history_item_id, self.path, "skipped", self.bytes, self.seconds, self.sha256)

    def stem(self) -> str:
        """Give the path without its extension."""
        return (self.path or "").rpartition(".")[0]


def manifest_frame(entries: Iterable[Entry], index: Any = None) -> pd.DataFrame:
    """Make a manifest, typed also when there are no entries."""
    rows = list(entries)
    data = {
        name: pd.array([getattr(entry, name) for entry in rows], dtype=dtype)  # type: ignore[call-overload,unused-ignore]
        for name, dtype in COLUMNS.items()
    }
    return pd.DataFrame(data, index=index)


class Record:
    """What a folder holds, by its manifest; `add` may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Entry] = {}
        self._places: dict[tuple[str, str], list[Entry]] = {}
        self._troubles: dict[str, Entry] = {}
        self.lock = threading.RLock()
        self._journal: Any = None
        for entry in _saved(folder / "manifest.parquet"):
            self._take(entry)
        self._unfolded = _journaled(folder / "manifest.jsonl")
        for entry in self._unfolded:
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        if entry.status != "done":
            self._troubles[entry.history_item_id] = entry
        elif entry.path is not None and is_inside(entry.path):
            self._files[entry.path] = entry
            place = self._places.setdefault((entry.history_item_id, entry.stem()), [])
            place[:] = [other for other in place if other.path != entry.path] + [entry]
            self._troubles.pop(entry.history_item_id, None)

    def find(self, history_item_id: str, stem: str, wav: bool) -> Entry | None:
        """Give the finished file of a clip under a path without extension, as generated or as WAV."""
        for entry in reversed(self._places.get((history_item_id, stem), [])):
            made_wav = entry.format == "wav"
            if made_wav == wav or (wav and (entry.path or "").endswith(".wav")):
                return entry
        return None

    def owners(self) -> dict[str, str]:
        """Give the folded path without extension of each file, and whose it is."""
        return {fold(stem): item for item, stem in self._places}

    def files_of(self, ids: Iterable[str]) -> dict[str, Entry]:
        """Give a finished file of each clip that has one and whose file is there with its size."""
        wanted, found = set(ids), {}
        for entry in self._files.values():
            if entry.history_item_id in wanted and entry.path is not None:
                path = self._folder / entry.path
                with suppress(OSError):
                    if path.stat().st_size == entry.bytes and inside(self._folder, path):
                        found[entry.history_item_id] = entry
        return found

    def add(self, entry: Entry) -> None:
        """Write down a clip, at once."""
        with self.lock:
            if self._journal is None:
                self.fold()  # a torn last line of a killed pull must not swallow the next
                self._journal = (self._folder / "manifest.jsonl").open("ab")
            self._journal.write(msgspec.json.encode(asdict(entry)) + b"\n")
            self._journal.flush()
            self._unfolded.append(entry)
            self._take(entry)

    def fold(self) -> None:
        """Write the manifest's files whole and end the journal."""
        with self.lock:
            if self._journal is not None:
                self._journal.close()
                self._journal = None
            if self._unfolded:
                entries = sorted(self._files.values(), key=lambda entry: entry.path or "")
                entries += sorted(self._troubles.values(), key=lambda entry: entry.history_item_id)
                frame = manifest_frame(entries)
                frame["format"] = pd.array([entry.format for entry in entries], dtype="string[pyarrow]")
                to_csv(frame, self._folder / "manifest.csv")
                to_parquet(frame, self._folder / "manifest.parquet")
                self._unfolded = []
            (self._folder / "manifest.jsonl").unlink(missing_ok=True)

    def close(self) -> None:
        """Fold, and leave the journal for the next pull where that is not possible (a full disk)."""
        try:
            self.fold()
        finally:
            if self._journal is not None:
                self._journal.close()


def _saved(path: Path) -> list[Entry]:
    if not path.exists():
        return []
    try:
        frame = read_parquet(path)
        names = [*COLUMNS, "format"]
        columns = [frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in names]
        return [Entry(*row) for row in zip(*columns, strict=True)]
    except (HistkitError, KeyError) as error:
        raise DownloadError(
            f"{path} is no manifest that histkit can read ({' '.join(str(error).split())[:200]}). "
            "Move it away to pull everything in this folder again."
        ) from None


def _journaled(path: Path) -> list[Entry]:
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    entries = []
    for line in lines:
        with suppress(msgspec.DecodeError):  # the last line of a killed pull
            entries.append(msgspec.json.decode(line, type=Entry))
    return entries


def is_inside(path: str) -> bool:
    """Tell whether a recorded path stays in the folder."""
    return not path.startswith("/") and ".." not in path.split("/") and "\\" not in path and ":" not in path


def inside(folder: Path, path: Path) -> bool:
    """Tell whether a path, with all links followed, lies in the folder."""
    return path.resolve().is_relative_to(folder.resolve())


def sizes(folder: Path, parents: Iterable[str], *, tidy: bool) -> dict[str, int]:
    """Give the size of each regular file in some folders, and remove what a killed pull left there.

    Parameters
    ----------
    folder : Path
        The manifest's folder.
    parents : iterable of str
        Folders in it, relative, with ``/``.
    tidy : bool
        Whether to remove temporary files.
    """
    found = {}
    for parent in sorted(set(parents)):
        try:
            with os.scandir(folder / parent) as entries:
                for each in entries:
                    if each.is_file(follow_symlinks=False):
                        if each.name.startswith(TEMPORARY) and each.name.endswith(SUFFIX):
                            if tidy:
                                with suppress(OSError):
                                    Path(each.path).unlink()
                            continue
                        name = f"{parent}/{each.name}" if parent else each.name
                        found[name] = each.stat(follow_symlinks=False).st_size
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for one pull at a time, where the file system can (POSIX).

    Raises
    ------
    DownloadError
        Another pull is writing into it.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise DownloadError(f"Another pull is writing into {folder}: wait for it.") from None
        yield
    finally:
        os.close(handle)
