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
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, BinaryIO, Literal

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from histkit.audio.destination import JOURNAL, Destination, PullJournal, stays_inside
from histkit.audio.fetch import Proof
from histkit.errors import ArchiveError, DownloadError
from histkit.frame.files import write_csv, write_parquet
from histkit.frame.parquet_metadata import read_footer
from histkit.frame.schema import one_array
from histkit.util.filenames import casefold_path
from histkit.util.files import flush_to_disk, open_temporary
from histkit.util.text import count_noun, error_line, error_reason, format_size

MANIFEST = "manifest.parquet"
_CHECKSUM = "crc32"  # of the values, in the footer
_ARROW_CHECKSUM = "arrow_crc32"  # of the same values, found without decoding them
_LEAVES_FOLDER = r"^/|(^|/)\.\.(/|$)|[\\:]"  # what `stays_inside` refuses
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


class Entry(msgspec.Struct, frozen=True, gc=False):
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
        return msgspec.structs.replace(self, status="skipped")

    def downloaded_twice(self) -> Entry:
        """Return the line after a second download of the same bytes."""
        return self if self.proof == "structure" else msgspec.structs.replace(self, proof="hash")

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
_FILE_ONLY = list(Entry.__struct_fields__[len(COLUMNS) :])
_NUMBERS = {"bytes": pa.int64(), "seconds": pa.float64()}


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
    ids : collection of str, optional
        The clips that will be asked for. Only these are decoded until another one, or all of them, are needed.

    Raises
    ------
    DownloadError
        The manifest can't be read.
    """

    def __init__(self, destination: Destination, ids: Collection[str] | None = None) -> None:
        self._destination = destination
        self._files: dict[str, Entry] = {}
        self._by_stem: dict[tuple[str, str], list[Entry]] = {}
        self._failures: dict[str, Entry] = {}
        self.lock = threading.RLock()
        self._journal: PullJournal | None = None
        self._rest: pa.Table | None = None  # the lines of other clips than `_known`, not decoded yet
        self._known: frozenset[str] = frozenset()
        lines = _read_manifest(destination)
        self._unmerged = _read_journal(destination)
        if lines is not None:
            if ids is not None and 2 * len(ids) < len(lines) and not self._unmerged and _in_order(lines):
                self._known = frozenset(ids)
                self._rest = lines
                lines = lines.filter(self._lines_of_known())
            self._record_lines(lines)
        for entry in self._unmerged:
            self._record(entry)

    def _lines_of_known(self) -> pa.ChunkedArray:
        """Return which of the undecoded lines are of clips that are known."""
        assert self._rest is not None
        column = self._rest.column("history_item_id")
        return pc.is_in(column, value_set=pa.array(self._known, column.type))

    def _record_lines(self, lines: pa.Table) -> None:
        columns = [_values(lines.column(name)) for name in Entry.__struct_fields__]
        for row in zip(*columns, strict=True):
            self._record(Entry(*row))

    def _decode_rest(self) -> None:
        """Decode the lines that are not decoded yet; nothing was recorded since the manifest was read."""
        with self.lock:
            if self._rest is not None:
                rest = self._rest.filter(pc.invert(self._lines_of_known()))
                self._rest = None
                self._record_lines(rest)

    def _need(self, ids: Iterable[str]) -> None:
        """Decode what is needed to answer for some clips."""
        if self._rest is not None and not self._known.issuperset(ids):
            self._decode_rest()

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
        self._decode_rest()
        return sorted(self._files.values(), key=lambda entry: entry.path or "")

    def is_empty(self) -> bool:
        """Return whether nothing was ever downloaded into the folder."""
        self._decode_rest()
        return not self._files and not self._failures

    def find(self, history_item_id: str, stem: str, wav: bool) -> Entry | None:
        """Return the finished file of a clip under a path without extension, as generated or as WAV."""
        self._need((history_item_id,))
        for entry in reversed(self._by_stem.get((history_item_id, stem), [])):
            converted = entry.format == "wav"
            if converted == wav or (wav and (entry.path or "").endswith(".wav")):
                return entry
        return None

    def failure_of(self, history_item_id: str) -> Entry | None:
        """Return the failure of a clip that has no file."""
        self._need((history_item_id,))
        return self._failures.get(history_item_id)

    def paths_in_use(self, folders: Collection[str]) -> dict[str, str]:
        """Return the case-folded path without extension of each file, and the clip that it belongs to.

        Files in other folders than `folders`, in any letter case, may be left out.
        """
        if self._rest is None:
            return {casefold_path(stem): item for item, stem in self._by_stem}
        files = _files_in(self._rest, {casefold_path(folder) for folder in folders})
        items, paths = (_values(files.column(name)) for name in ("history_item_id", "path"))
        return {casefold_path(path.rpartition(".")[0]): item for item, path in zip(items, paths, strict=True)}

    def files_of(self, ids: Iterable[str]) -> list[Entry]:
        """Return the recorded files of some clips; whether they still exist is not checked."""
        requested = set(ids)
        self._need(requested)
        return [entry for entry in self._files.values() if entry.history_item_id in requested]

    def add(self, entry: Entry) -> None:
        """Record a clip, and append it to the journal immediately."""
        with self.lock:
            if self._journal is None:
                self._decode_rest()
                self.merge_journal()  # an incomplete last line of a killed process must not swallow the next
                self._journal = self._destination.journal()
            self._journal.write(msgspec.json.encode(entry) + b"\n")
            self._unmerged.append(entry)
            self._record(entry)

    def forget(self, paths: Iterable[str]) -> None:
        """Remove files from the manifest, so that the next run downloads them again, and write it."""
        with self.lock:
            self._decode_rest()
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
        frame.attrs["histkit"] = {
            _CHECKSUM: _checksum_of(frame[name].tolist() for name in Entry.__struct_fields__),
            _ARROW_CHECKSUM: _arrow_checksum_of(pa.array(frame[name]) for name in Entry.__struct_fields__),
        }
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


def _read_manifest(destination: Destination) -> pa.Table | None:
    """Return the lines of the manifest, None if there is none; a column of each field of `Entry`."""
    data = _read(destination, MANIFEST)
    if data is None:
        return None
    try:
        table = pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
        absent = {*_FILE_ONLY, "proof"} - set(table.column_names)  # of an older version
        nothing = pa.nulls(len(table), pa.large_string())
        columns = {name: nothing if name in absent else table.column(name) for name in Entry.__struct_fields__}
        facts = read_footer(table.schema.metadata, MANIFEST)
        table = pa.table(columns)
        known = facts.get(_ARROW_CHECKSUM)  # None, as the other one, in a file of an older version
        if known is None or known != _arrow_checksum_of(table.columns):
            checksum = facts.get(_CHECKSUM)
            if checksum not in (known, _checksum_of(column.to_pylist() for column in table.columns)):
                raise ValueError("its rows are not those that were written")
        return table
    except (pa.ArrowException, KeyError, OSError, ValueError, TypeError, ArchiveError) as error:
        raise DownloadError(
            f"{destination.name}/{MANIFEST} is not a manifest that histkit can read ({error_line(error)}). "
            "Move it away to download everything in this folder again."
        ) from None


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Return the values of a column of texts or numbers, None where one is missing."""
    if column.null_count == len(column):
        return [None] * len(column)
    numbers = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    if _holds_texts(column.type) or (numbers and column.null_count == 0):
        values: list[Any] = column.to_numpy().tolist()  # a quarter of the time of `to_pylist`
        return values
    return list(column.to_pylist())


def _holds_texts(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _in_order(lines: pa.Table) -> bool:
    """Return whether each line of a file has a path inside the folder, and they are sorted by it, as they are written.

    Then no line replaces another one, so that any of them can be decoded alone.
    """
    if not all(_holds_texts(lines.schema.field(name).type) for name in ("history_item_id", "path", "status")):
        return False
    paths = one_array(_files(lines).column("path"))
    if paths.null_count or pc.any(pc.match_substring_regex(paths, _LEAVES_FOLDER)).as_py():
        return False
    ordered: bool = pc.all(pc.less(paths[:-1], paths[1:])).as_py() is not False
    return ordered


def _files(lines: pa.Table) -> pa.Table:
    return lines.filter(pc.equal(lines.column("status"), "done"))


def _files_in(lines: pa.Table, folders: Collection[str]) -> pa.Table:
    """Return the lines of the files in some folders, which are case-folded."""
    files = _files(lines)
    parts = one_array(pc.split_pattern(files.column("path"), "/", max_splits=1, reverse=True))
    has_folder = pc.equal(pc.list_value_length(parts), 2)
    parents = pc.if_else(has_folder, pc.list_element(parts, 0), "").dictionary_encode()
    wanted = [casefold_path(parent) in folders for parent in parents.dictionary.to_pylist()]
    return files.filter(pa.array(np.array(wanted, bool)[parents.indices.to_numpy()]))


def _checksum_of(columns: Iterable[Iterable[Any]]) -> int:
    """Return a checksum of a manifest's values, by column; a flipped bit in the file's own structure changes them."""
    values = [[None if value is pd.NA else value for value in column] for column in columns]
    return zlib.crc32(msgspec.json.encode(values))


def _arrow_checksum_of(columns: Iterable[pa.Array | pa.ChunkedArray]) -> int:
    """Return a checksum of a manifest's values, by column, from their bytes: lengths and texts, or numbers."""
    checksum = 0
    for name, column in zip(Entry.__struct_fields__, columns, strict=True):
        array = one_array(column).cast(_NUMBERS.get(name, pa.large_string()))
        if name in _NUMBERS:
            known, data = array.is_valid(), pc.fill_null(array, 0).to_numpy()
            checksum = zlib.crc32(known.to_numpy(zero_copy_only=False), zlib.crc32(data, checksum))
        else:
            lengths = pc.fill_null(pc.binary_length(array), -1).to_numpy()
            checksum = zlib.crc32(_joined(array), zlib.crc32(lengths, checksum))
    return checksum


def _joined(array: pa.Array) -> Any:
    """Return the bytes of all texts of an array."""
    array = array.drop_null()
    _, offsets, data = array.buffers()
    if data is None or not len(array):
        return b""
    first, last = np.frombuffer(offsets, np.int64)[[array.offset, array.offset + len(array)]].tolist()
    return data.slice(first, last - first)


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
