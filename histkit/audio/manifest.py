"""Manifest of an audio folder: ``manifest.parquet`` and ``manifest.csv``, and a journal during a download.

Each finished clip is appended to ``manifest.jsonl`` immediately (in a remote folder every few seconds). At the end the
journal is merged into the two files, which are replaced atomically. A killed download leaves its journal, and the next
one merges it.

The column ``proof`` states how a clip is known to be whole:

``structure``
    Its container shows that it ends where the bytes end: the sizes of a WAV, the last page of an Ogg, MP3 frames up to
    the last byte.
``hash``
    A second download had the same SHA-256, or the service's zip and the single clip are equal.
``length``
    The service declared the number of bytes, and so many came. Weaker: a server that cuts a clip can declare the part.
``none``
    Nothing shows it: raw samples or a WAV of a stream, whose length the service did not declare, or samples that were
    only recognised by their likeness.

It is missing for a row without a file, and in manifests of histkit 0.1.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any, BinaryIO, Literal

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from histkit.audio.destination import JOURNAL, Destination, PullJournal, stays_inside
from histkit.audio.fetch import Proof
from histkit.errors import ArchiveError, DownloadError
from histkit.frame.files import write_csv, write_parquet
from histkit.frame.parquet_metadata import read_footer
from histkit.util.filenames import casefold_path
from histkit.util.files import flush_to_disk, open_temporary
from histkit.util.text import count_noun, error_line, error_reason, format_size

MANIFEST = "manifest.parquet"
_CHECKSUM = "crc32"  # of the values, in the footer
Status = Literal["done", "skipped", "failed", "gone", "pending"]
COLUMNS = {
    "history_item_id": "string[pyarrow]",
    "path": "string[pyarrow]",
    "status": "string[pyarrow]",
    "bytes": "Int64",
    "seconds": "Float64",
    "sha256": "string[pyarrow]",
    "error": "string[pyarrow]",
    "proof": "string[pyarrow]",
}


@dataclass(frozen=True)
class Entry:
    """One line of a manifest.

    Attributes
    ----------
    history_item_id : str
        The clip.
    path : str or None
        Path of its file, relative to the folder, with ``/``; None if there is no file.
    status : {"done", "skipped", "failed", "gone", "pending"}
        ``pending`` only in a dry run.
    bytes : int or None
        Size of the file.
    seconds : float or None
        Duration; None for a headerless clip of unknown rate.
    sha256 : str or None
        Of the file, hexadecimal.
    error : str or None
        One line: why there is no file, or with which reservation it was saved.
    proof : {"structure", "hash", "length", "none"} or None
        How the clip is known to be whole; None if there is no file, or in a manifest of histkit 0.1.
    format : str or None
        ``"wav"`` if the file was, or was to be, converted to WAV.
    stem : str or None
        Of a failed clip: its path without extension, for the next attempt.
    output_format, content_type : str or None
        The format that the row declared, for another download.
    """

    history_item_id: str
    path: str | None
    status: Status
    bytes: int | None = None
    seconds: float | None = None
    sha256: str | None = None
    error: str | None = None
    proof: Proof | None = None
    format: str | None = None
    stem: str | None = None
    output_format: str | None = None
    content_type: str | None = None

    def skipped(self) -> Entry:
        """Return the line of a later run, which keeps the file."""
        return replace(self, status="skipped")

    def downloaded_twice(self) -> Entry:
        """Return the line after a second download of the same bytes."""
        return self if self.proof == "structure" else replace(self, proof="hash")

    def path_stem(self) -> str:
        """Return the path without its extension."""
        return (self.path or "").rpartition(".")[0]

    def parent(self) -> str:
        """Return the folder part of the path."""
        return (self.path or "").rpartition("/")[0]


def manifest_frame(entries: Iterable[Entry], index: Any = None) -> pd.DataFrame:
    """Return entries as a DataFrame; its dtypes are the same without entries."""
    lines = list(entries)
    data = {
        name: pd.array([getattr(entry, name) for entry in lines], dtype=dtype)  # type: ignore[call-overload,unused-ignore]
        for name, dtype in COLUMNS.items()
    }
    return pd.DataFrame(data, index=index)


# columns of manifest.parquet only
_FILE_ONLY = [field.name for field in fields(Entry)][len(COLUMNS) :]


def status_counts(manifest: pd.DataFrame) -> dict[str, int]:
    """Return the number of rows of each status of a manifest frame, in order of appearance."""
    counts = manifest["status"].value_counts(sort=False)
    return {str(status): int(count) for status, count in counts.items() if count}


def describe_plan(facts: Mapping[str, Any], target: str | None = None) -> str:
    """Describe what a dry run found, from its facts: files, requests and estimated size.

    Examples
    --------
    >>> describe_plan({"files": 3, "requests": 3, "estimated_bytes": 1_200_000}, "audio")
    '3 files would be pulled into audio: 3 requests, about 1.2 MB (an estimate).'
    """
    estimate = facts["estimated_bytes"]
    size = "of unknown size" if estimate is None else f"about {format_size(estimate)} (an estimate)"
    files, requests = count_noun(facts["files"], "file"), count_noun(facts["requests"], "request")
    return f"{files} would be pulled{f' into {target}' if target else ''}: {requests}, {size}."


class FolderManifest:
    """Manifest of a folder; `add` may be called from any thread.

    Parameters
    ----------
    destination : Destination
        The folder. Its manifest and journal are read now.

    Raises
    ------
    DownloadError
        The manifest can't be read.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._files: dict[str, Entry] = {}
        self._by_stem: dict[tuple[str, str], list[Entry]] = {}
        self._failures: dict[str, Entry] = {}
        self.lock = threading.RLock()
        self._journal: PullJournal | None = None
        for entry in _read_manifest(destination):
            self._record(entry)
        self._unmerged = _read_journal(destination)
        for entry in self._unmerged:
            self._record(entry)

    def _record(self, entry: Entry) -> None:
        if entry.status != "done":
            self._failures[entry.history_item_id] = entry
        elif entry.path is not None and stays_inside(entry.path):
            self._files[entry.path] = entry
            alternatives = self._by_stem.setdefault((entry.history_item_id, entry.path_stem()), [])
            alternatives[:] = [other for other in alternatives if other.path != entry.path] + [entry]
            self._failures.pop(entry.history_item_id, None)

    def files(self) -> list[Entry]:
        """Return every finished file, sorted by path."""
        return sorted(self._files.values(), key=lambda entry: entry.path or "")

    def is_empty(self) -> bool:
        """Return whether nothing was ever downloaded into the folder."""
        return not self._files and not self._failures

    def find(self, history_item_id: str, stem: str, wav: bool) -> Entry | None:
        """Return the finished file of a clip under a path without extension, as generated or as WAV."""
        for entry in reversed(self._by_stem.get((history_item_id, stem), [])):
            converted = entry.format == "wav"
            if converted == wav or (wav and (entry.path or "").endswith(".wav")):
                return entry
        return None

    def failure_of(self, history_item_id: str) -> Entry | None:
        """Return the failure of a clip that has no file."""
        return self._failures.get(history_item_id)

    def paths_in_use(self) -> dict[str, str]:
        """Return the case-folded path without extension of each file, and the clip that it belongs to."""
        return {casefold_path(stem): item for item, stem in self._by_stem}

    def files_of(self, ids: Iterable[str]) -> list[Entry]:
        """Return the recorded files of some clips; whether they still exist is not checked."""
        requested = set(ids)
        return [entry for entry in self._files.values() if entry.history_item_id in requested]

    def add(self, entry: Entry) -> None:
        """Record a clip, and append it to the journal immediately."""
        with self.lock:
            if self._journal is None:
                self.merge_journal()  # an incomplete last line of a killed process must not swallow the next
                self._journal = self._destination.journal()
            self._journal.write(msgspec.json.encode(entry) + b"\n")
            self._unmerged.append(entry)
            self._record(entry)

    def forget(self, paths: Iterable[str]) -> None:
        """Remove files from the manifest, so that the next run downloads them again, and write it."""
        with self.lock:
            for path in paths:
                entry = self._files.pop(path)
                key = entry.history_item_id, entry.path_stem()
                self._by_stem[key].remove(entry)
                if not self._by_stem[key]:
                    del self._by_stem[key]
            self._save()

    def merge_journal(self) -> None:
        """Write the manifest and remove the journal."""
        with self.lock:
            self._close_journal()
            if self._unmerged:
                self._save()
            self._destination.remove(JOURNAL)

    def close(self) -> None:
        """Merge the journal; where that fails (disk full), keep it for the next run."""
        try:
            self.merge_journal()
        finally:
            self._close_journal()

    def _close_journal(self) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()

    def _save(self) -> None:
        entries = self.files()
        entries += sorted(self._failures.values(), key=lambda entry: entry.history_item_id)
        frame = manifest_frame(entries)
        for name in _FILE_ONLY:
            frame[name] = pd.array([getattr(entry, name) for entry in entries], dtype="string[pyarrow]")
        self._write("manifest.csv", lambda part: write_csv(frame[[*COLUMNS, "format"]], part))
        frame.attrs["histkit"] = {_CHECKSUM: _checksum_of(frame[name].tolist() for name in [*COLUMNS, *_FILE_ONLY])}
        self._write(MANIFEST, lambda part: write_parquet(frame, part))
        self._unmerged = []

    def _write(self, file: str, write: Callable[[BinaryIO], None]) -> None:
        part = self._destination.part(file)
        try:
            with open_temporary(part) as opened:
                write(opened)
                flush_to_disk(opened)
            self._destination.put(part, file)
        except OSError as error:
            raise DownloadError(f"{self._destination.name}/{file} can't be written: {error_reason(error)}.") from None
        finally:
            part.unlink(missing_ok=True)


def _read_manifest(destination: Destination) -> list[Entry]:
    data = _read(destination, MANIFEST)
    if data is None:
        return []
    try:
        table = pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
        absent = {*_FILE_ONLY, "proof"} - set(table.column_names)  # of an older version
        names = [*COLUMNS, *_FILE_ONLY]
        columns = [[None] * len(table) if name in absent else table.column(name).to_pylist() for name in names]
        checksum = read_footer(table.schema.metadata, MANIFEST).get(_CHECKSUM)
        if checksum not in (None, _checksum_of(columns)):
            raise ValueError("its rows are not those that were written")
        return [Entry(*row) for row in zip(*columns, strict=True)]
    except (pa.ArrowException, KeyError, OSError, ValueError, TypeError, ArchiveError) as error:
        raise DownloadError(
            f"{destination.name}/{MANIFEST} is not a manifest that histkit can read ({error_line(error)}). "
            "Move it away to download everything in this folder again."
        ) from None


def _checksum_of(columns: Iterable[Iterable[Any]]) -> int:
    """Return a checksum of a manifest's values, by column; a flipped bit in the file's own structure changes them."""
    values = [[None if value is pd.NA else value for value in column] for column in columns]
    return zlib.crc32(msgspec.json.encode(values))


def _read(destination: Destination, name: str) -> bytes | None:
    """Return the bytes of a file of a folder; None if the file or the folder does not exist."""
    try:
        with destination.open(name) as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DownloadError(f"{destination.name}/{name} can't be read: {error_reason(error)}.") from None


def _read_journal(destination: Destination) -> list[Entry]:
    entries = []
    for line in (_read(destination, JOURNAL) or b"").split(b"\n"):
        with suppress(msgspec.DecodeError):  # the incomplete last line of a killed process
            entries.append(msgspec.json.decode(line, type=Entry))
    return entries
