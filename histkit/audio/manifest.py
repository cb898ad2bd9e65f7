"""A folder's record of its audio: ``manifest.parquet`` and ``manifest.csv``, and a journal while a pull runs.

Each finished clip is a line of ``manifest.jsonl`` at once (in a remote folder every few seconds); at the end the lines
are folded into the two files, which are only ever replaced whole. A pull that was killed leaves the journal, and the
next one folds it in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from histkit.audio.destination import JOURNAL, Destination, PullJournal
from histkit.errors import DownloadError
from histkit.frame.files import to_csv, to_parquet
from histkit.util.filenames import casefold_path
from histkit.util.files import TEMPORARY as TEMPORARY
from histkit.util.text import error_line

MANIFEST = "manifest.parquet"
COLUMNS = {
    "history_item_id": "string[pyarrow]",
    "path": "string[pyarrow]",
    "status": "string[pyarrow]",
    "bytes": "Int64",
    "seconds": "Float64",
    "sha256": "string[pyarrow]",
    "error": "string[pyarrow]",
}


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
        ``"wav"`` where the file is not as it was generated, or should not be.
    stem, output_format, content_type : str or None
        Of a clip that failed: its path without extension and what its row says it is, to try again.
    """

    history_item_id: str
    path: str | None
    status: str
    bytes: int | None = None
    seconds: float | None = None
    sha256: str | None = None
    error: str | None = None
    format: str | None = None
    stem: str | None = None
    output_format: str | None = None
    content_type: str | None = None

    def skipped(self) -> Entry:
        """Give the line of a run that found the file there."""
        return Entry(self.history_item_id, self.path, "skipped", self.bytes, self.seconds, self.sha256)

    def place(self) -> str:
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


_FURTHER = [field.name for field in fields(Entry)][len(COLUMNS) :]


class FolderManifest:
    """What a folder holds, by its manifest; `add` may be called from any thread."""

    def __init__(self, target: Destination) -> None:
        self._target = target
        self._files: dict[str, Entry] = {}
        self._places: dict[tuple[str, str], list[Entry]] = {}
        self._troubles: dict[str, Entry] = {}
        self.lock = threading.RLock()
        self._journal: PullJournal | None = None
        for entry in _saved(target):
            self._take(entry)
        self._unfolded = _journaled(target)
        for entry in self._unfolded:
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        if entry.status != "done":
            self._troubles[entry.history_item_id] = entry
        elif entry.path is not None and is_inside(entry.path):
            self._files[entry.path] = entry
            place = self._places.setdefault((entry.history_item_id, entry.place()), [])
            place[:] = [other for other in place if other.path != entry.path] + [entry]
            self._troubles.pop(entry.history_item_id, None)

    def files(self) -> list[Entry]:
        """Give every finished file, by its path."""
        return sorted(self._files.values(), key=lambda entry: entry.path or "")

    def empty(self) -> bool:
        """Tell whether nothing was ever pulled into the folder."""
        return not self._files and not self._troubles

    def find(self, history_item_id: str, stem: str, wav: bool) -> Entry | None:
        """Give the finished file of a clip under a path without extension, as generated or as WAV."""
        for entry in reversed(self._places.get((history_item_id, stem), [])):
            made_wav = entry.format == "wav"
            if made_wav == wav or (wav and (entry.path or "").endswith(".wav")):
                return entry
        return None

    def trouble(self, history_item_id: str) -> Entry | None:
        """Give what went wrong with a clip that has no file."""
        return self._troubles.get(history_item_id)

    def owners(self) -> dict[str, str]:
        """Give the folded path without extension of each file, and whose it is."""
        return {casefold_path(stem): item for item, stem in self._places}

    def files_of(self, ids: Iterable[str]) -> list[Entry]:
        """Give the finished files of some clips; whether they are still there is another question."""
        wanted = set(ids)
        return [entry for entry in self._files.values() if entry.history_item_id in wanted]

    def add(self, entry: Entry) -> None:
        """Write down a clip, at once."""
        with self.lock:
            if self._journal is None:
                self.fold()  # a torn last line of a killed pull must not swallow the next
                self._journal = self._target.journal()
            self._journal.write(msgspec.json.encode(entry) + b"\n")
            self._unfolded.append(entry)
            self._take(entry)

    def forget(self, paths: Iterable[str]) -> None:
        """Take files out of the manifest, so that the next pull fetches them again; then write it."""
        with self.lock:
            for path in paths:
                entry = self._files.pop(path)
                place = self._places[entry.history_item_id, entry.place()]
                place.remove(entry)
                if not place:
                    del self._places[entry.history_item_id, entry.place()]
            self._save()

    def fold(self) -> None:
        """Write the manifest's files whole and end the journal."""
        with self.lock:
            self._end_journal()
            if self._unfolded:
                self._save()
            self._target.remove(JOURNAL)

    def close(self) -> None:
        """Fold, and leave the journal for the next pull where that is not possible (a full disk)."""
        try:
            self.fold()
        finally:
            self._end_journal()

    def _end_journal(self) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()

    def _save(self) -> None:
        entries = self.files()
        entries += sorted(self._troubles.values(), key=lambda entry: entry.history_item_id)
        frame = manifest_frame(entries)
        for name in _FURTHER:
            frame[name] = pd.array([getattr(entry, name) for entry in entries], dtype="string[pyarrow]")
        self._write("manifest.csv", lambda part: to_csv(frame[[*COLUMNS, "format"]], part))
        self._write(MANIFEST, lambda part: to_parquet(frame, part))
        self._unfolded = []

    def _write(self, file: str, make: Callable[[Path], Any]) -> None:
        part = self._target.part(file)
        try:
            make(part)
            self._target.put(part, file)
        finally:
            part.unlink(missing_ok=True)


def _saved(target: Destination) -> list[Entry]:
    try:
        with target.open(MANIFEST) as file:
            data = file.read()
    except FileNotFoundError:
        return []
    try:
        table = pq.read_table(pa.BufferReader(data))
        columns = [table.column(name).to_pylist() for name in COLUMNS]
        there = set(table.column_names)
        columns += [table.column(name).to_pylist() if name in there else [None] * len(table) for name in _FURTHER]
        return [Entry(*row) for row in zip(*columns, strict=True)]
    except (pa.ArrowException, KeyError, OSError) as error:
        raise DownloadError(
            f"{target.name}/{MANIFEST} is no manifest that histkit can read ({error_line(error)}). "
            "Move it away to pull everything in this folder again."
        ) from None


def _journaled(target: Destination) -> list[Entry]:
    try:
        with target.open(JOURNAL) as file:
            lines = file.read().split(b"\n")
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
