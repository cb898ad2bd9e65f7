"""Verify downloaded files: by the hashes in a folder's manifest, by their own structure, and by a second download."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec
import pandas as pd

from histkit.api.client import HistoryClient, borrowed_client, check_client
from histkit.audio import formats
from histkit.audio.destination import Destination, open_destination
from histkit.audio.fetch import CircuitBreaker, Clip, Proof, Source, fetch_clip, threads_for
from histkit.audio.jobs import failure_entry, validate_options
from histkit.audio.manifest import MANIFEST, Entry, FolderManifest
from histkit.audio.structure import inspect_clip
from histkit.errors import DownloadError, InputError
from histkit.util.files import sha256_of
from histkit.util.progress import progress_bar
from histkit.util.text import error_line
from histkit.util.threads import map_threads

_READERS = 4
PROVEN: tuple[Proof, ...] = ("structure", "hash")
"""Proofs that a clip is whole."""
_STRENGTH: tuple[Proof, ...] = ("none", "length", "hash", "structure")
COLUMNS = {
    "history_item_id": "string[pyarrow]",
    "path": "string[pyarrow]",
    "status": "string[pyarrow]",
    "bytes": "Int64",
    "sha256": "string[pyarrow]",
    "error": "string[pyarrow]",
    "proof": "string[pyarrow]",
}


@dataclass(frozen=True)
class FileCheck:
    """Result of reading one file of a manifest.

    Attributes
    ----------
    entry : Entry
        The file's line in the manifest.
    status, bytes, sha256, error, proof
        Columns of `verify`.
    seconds : float or None
        Length of the clip.
    raw : bool
        Whether it holds raw samples (PCM, mu-law, A-law), as they are or behind a header that was added here.
    sample_rate : int or None
        Of a WAV that was converted.
    """

    entry: Entry
    status: Literal["ok", "changed", "damaged", "missing", "unreadable"]
    bytes: int | None = None
    sha256: str | None = None
    error: str | None = None
    proof: Proof | None = None
    seconds: float | None = None
    raw: bool = False
    sample_rate: int | None = None

    @property
    def history_item_id(self) -> str:
        """The clip."""
        return self.entry.history_item_id

    @property
    def path(self) -> str:
        """The path in the folder."""
        return self.entry.path or ""


def verify(
    folder: str | os.PathLike[str],
    *,
    forget: bool = False,
    prove: bool = False,
    progress: bool | None = None,
    client: HistoryClient | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Verify the files of a `download_audio` folder: the hashes in its manifest, and each clip's own structure.

    Makes no request, unless `prove` is set.

    Parameters
    ----------
    folder : path-like or str
        The folder, or a URL that fsspec knows.
    forget : bool
        Remove changed, damaged and missing files from the manifest, so that the next `download_audio` replaces them.
        The files themselves stay until then.
    prove : bool
        Download every clip again whose proof is ``length`` or ``none``, and compare. Where both are equal, ``proof``
        becomes ``hash``, also in the manifest; where they differ, the file is ``damaged``. Costs no credits.
    progress : bool, optional
        Show a progress bar; default: in a notebook and on a terminal.
    client : HistoryClient, optional
        For `prove`. Default: a client with the key and base URL of the environment.
    storage_options : mapping, optional
        Passed to fsspec.

    Returns
    -------
    DataFrame
        One row per file of the manifest, sorted by path: ``history_item_id``, ``path``, ``status`` (``ok``,
        ``changed``, ``missing``, ``unreadable``, or ``damaged``: as it was downloaded, but not the whole clip),
        ``bytes`` (Int64) and ``sha256`` of the file read, ``error`` (one line), ``proof`` (how the clip is known to be
        whole, as in `download_audio`; missing where the status is not ``ok``). ``attrs["histkit"]`` has ``folder``
        (absolute path or URL), ``counts`` (files by status), ``proofs`` (files by proof) and ``forgotten`` (files).

    Raises
    ------
    InputError
        `folder` is neither a path nor a URL.
    DownloadError
        There is no such folder or no manifest, or it can't be read, or (with `forget` or `prove`) another download is
        writing into the folder.
    AuthenticationError, PermissionDeniedError
        With `prove`: the key is missing or refused.

    Notes
    -----
    The structure is read from the file each time, so that a manifest of histkit 0.1, which has no proofs, is judged
    by the bytes. A WAV that was made here of raw samples shows no more than the samples did.

    Examples
    --------
    >>> import tempfile, histkit as hk
    >>> from pathlib import Path
    >>> from histkit.sandbox import serve
    >>> with serve(items=20) as box, tempfile.TemporaryDirectory() as folder:
    ...     client = hk.HistoryClient(box.api_key, base_url=box.url)
    ...     pulled = hk.read_history(client=client, limit=3).speech.download_audio(folder, client=client)
    ...     size = Path(folder, pulled.path[0]).write_bytes(b"oops")
    ...     sorted(hk.verify(folder).status)
    ['changed', 'ok', 'ok']
    """
    validate_options(progress=progress, forget=forget, prove=prove)
    check_client(client)
    if client is not None and not prove:
        raise InputError("client= is for prove=True; without it, verify makes no request.")
    with closing(open_destination(folder, storage_options)) as destination:
        _existing_manifest(destination)  # before the lock, which would create the folder
        with destination.lock() if forget or prove else nullcontext():
            record = _existing_manifest(destination)
            if forget or prove:
                destination.sizes([""], tidy=True)
            checks = _check_files(destination, record.files(), progress)
            if prove:
                checks = _ProofRun(client, record).run(checks, progress)
            lost = [check.path for check in checks if check.status in ("changed", "damaged", "missing")]
            if forget and lost:
                record.forget(lost)
    data = {
        name: pd.array([getattr(check, name) for check in checks], dtype=dtype)  # type: ignore[call-overload,unused-ignore]
        for name, dtype in COLUMNS.items()
    }
    table = pd.DataFrame(data)
    table.attrs["histkit"] = {
        "folder": destination.address,
        "counts": _counts(table["status"]),
        "proofs": _counts(table["proof"]),
        "forgotten": len(lost) if forget else 0,
    }
    return table


def _counts(column: pd.Series) -> dict[str, int]:
    return {str(value): int(count) for value, count in column.value_counts().items()}


def verified_copies(
    folder: str | os.PathLike[str],
    ids: Iterable[str],
    *,
    progress: bool | None = False,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, FileCheck]:
    """Return the history items with a file that `verify` finds ``ok``; of several files, the best proven one.

    Parameters
    ----------
    folder : path-like or str
        A folder of `download_audio`, or a URL that fsspec knows.
    ids : iterable of str
        History items.
    progress : bool, optional
        Show a progress bar; None: in a notebook and on a terminal.
    storage_options : mapping, optional
        Passed to fsspec.

    Raises
    ------
    DownloadError
        There is no manifest, or it can't be read.
    """
    with closing(open_destination(folder, storage_options)) as destination:
        return copies_of(destination, _existing_manifest(destination), ids, progress=progress)


def copies_of(
    destination: Destination, record: FolderManifest, ids: Iterable[str], *, progress: bool | None = False
) -> dict[str, FileCheck]:
    """Return the history items with a file that is ``ok``, as `verified_copies` does, of a manifest that was read."""
    checks = _check_files(destination, record.files_of(ids), progress)
    copies: dict[str, FileCheck] = {}
    for check in checks:
        best = copies.get(check.history_item_id)
        if check.status == "ok" and (best is None or _strength(check) > _strength(best)):
            copies[check.history_item_id] = check
    return copies


def _strength(check: FileCheck) -> int:
    return _STRENGTH.index(check.proof or "none")


def _existing_manifest(destination: Destination) -> FolderManifest:
    record = FolderManifest(destination)
    if record.is_empty():
        reason = ""
        if not destination.remote and not Path(destination.name).is_dir():
            reason = ", but a file" if Path(destination.name).exists() else "; it does not exist"
        raise DownloadError(f"{destination.name} holds no {MANIFEST}: it is not a folder of downloaded audio{reason}.")
    return record


def _check_files(destination: Destination, entries: Sequence[Entry], progress: bool | None) -> list[FileCheck]:
    """Read and hash files in several threads; the results are in the order of `entries`."""

    def check(entry: Entry) -> FileCheck:
        try:
            with destination.open(str(entry.path)) as file:
                return _check_file(entry, file)  # type: ignore[arg-type]
        except FileNotFoundError:
            return FileCheck(entry, "missing", error="The file does not exist.")
        except (OSError, DownloadError) as error:
            return FileCheck(entry, "unreadable", error=error_line(error))

    checks = []
    with (
        progress_bar(progress, total=len(entries), desc="Verify", unit="file") as bar,
        closing(map_threads(check, entries, _READERS, threading.Event(), in_order=True)) as done,
    ):
        for _, result in done:
            checks.append(result)
            bar.update()
    return checks


def _check_file(entry: Entry, file: BinaryIO) -> FileCheck:
    digest = sha256_of(file)
    size = formats.size_of(file)
    if digest != entry.sha256:
        return FileCheck(entry, "changed", size, digest, f"Its content has changed; it had {entry.bytes:,} bytes.")
    family = (entry.path or "").rpartition(".")[2]
    try:
        audio_format = formats.identify(file, size, formats.AudioFormat(family))
    except DownloadError as error:
        return FileCheck(entry, "damaged", size, digest, str(error))
    structure = inspect_clip(file, size, audio_format)
    if structure.problem is not None:
        return FileCheck(entry, "damaged", size, digest, structure.problem)
    wrapped = entry.format == "wav" and structure.proof == "structure" and entry.proof != "structure"
    proof: Proof = "structure" if structure.proof == "structure" and not wrapped else _recorded_proof(entry)
    seconds = structure.seconds if structure.seconds is not None else entry.seconds
    rate = _sample_rate(file) if entry.format == "wav" else None
    return FileCheck(entry, "ok", size, digest, None, proof, seconds, wrapped or audio_format.headerless, rate)


def _sample_rate(file: BinaryIO) -> int | None:
    """Return the samples per second of a WAV whose header is of the usual form."""
    file.seek(0)
    head = file.read(28)
    return int.from_bytes(head[24:], "little") if head[12:16] == b"fmt " and len(head) == 28 else None


def _recorded_proof(entry: Entry) -> Proof:
    """Return the proof of a clip whose structure shows none; the manifest knows how it came."""
    return entry.proof if entry.proof in ("hash", "length") else "none"


class _ProofRun:
    """Second downloads of the clips whose own bytes don't show that they are whole.

    Parameters
    ----------
    client : HistoryClient or None
        None: a client of the environment, closed at the end.
    record : FolderManifest
        The folder's manifest, which gets the proofs.
    """

    def __init__(self, client: HistoryClient | None, record: FolderManifest) -> None:
        self._given, self._record = client, record
        self._cancel = threading.Event()

    def run(self, checks: Sequence[FileCheck], progress: bool | None) -> list[FileCheck]:
        """Return the checks, with the result of the second download in place of those that had no proof."""
        result = list(checks)
        due = [number for number, check in enumerate(checks) if check.status == "ok" and check.proof not in PROVEN]
        if not due:
            return result
        with borrowed_client(self._given) as self._client:
            threads = threads_for(self._client)
            self._breaker = CircuitBreaker.of_threads(threads)
            unproven = [checks[number] for number in due]
            try:
                with (
                    progress_bar(progress, total=len(due), desc="Prove", unit="file") as bar,
                    closing(map_threads(self._compare, unproven, threads, self._cancel)) as done,
                ):
                    for place, check in done:
                        result[due[place]] = check
                        if check.proof == "hash":
                            self._record.add(msgspec.structs.replace(check.entry, proof="hash"))
                        bar.update()
            finally:
                self._record.close()
        return result

    def _compare(self, check: FileCheck) -> FileCheck:
        """Download a clip again, and compare it with its file."""

        def fetch() -> Clip:
            with tempfile.TemporaryFile() as file:
                return fetch_clip(self._client, _source_of(check), check.entry.format == "wav", file, self._cancel)

        clip = self._breaker.call(fetch)
        if not isinstance(clip, Clip):
            return replace(check, error=f"Not downloaded again: {failure_entry(check.history_item_id, clip).error}")
        if clip.sha256 == check.sha256:
            return replace(check, proof="hash", error=None)
        problem = f"A second download differs: {clip.bytes:,} bytes of {clip.extension}, the file has {check.bytes:,}."
        return replace(check, status="damaged", proof=None, error=problem)


def _source_of(check: FileCheck) -> Source:
    """Return the clip of a file, with the format that its row declared."""
    entry = check.entry
    declared, content_type = entry.output_format, entry.content_type
    if declared is None and entry.format is None and (check.raw or content_type is None):
        declared = (entry.path or "").rpartition(".")[2]  # recognised before, or by histkit 0.1
    return Source(entry.history_item_id, declared, content_type, check.sample_rate)
