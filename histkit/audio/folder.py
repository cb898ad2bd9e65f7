"""Download audio into a folder, one file per history item. Interrupted runs resume; finished files are kept."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import msgspec
import pandas as pd

from histkit.api.client import HistoryClient, borrowed_client, check_client
from histkit.api.existence import absence_hint
from histkit.audio.destination import Destination, open_destination
from histkit.audio.fetch import CircuitBreaker, Source, fetch_clip, threads_for
from histkit.audio.jobs import (
    Job,
    check_accounts,
    dry_run_manifest,
    entry_of,
    failure_entry,
    first_rows,
    ids_of,
    jobs_of,
    known_missing,
    validate_options,
)
from histkit.audio.manifest import Entry, FolderManifest, manifest_frame
from histkit.audio.naming import Template, stems_of
from histkit.audio.options import DEFAULT_NAME
from histkit.errors import HistkitError, InputError
from histkit.frame.schema import require
from histkit.util.background import Cancelled, check_stopped
from histkit.util.callers import warn_caller
from histkit.util.files import flush_to_disk
from histkit.util.progress import file_progress
from histkit.util.threads import map_threads


def download_audio(
    items: pd.DataFrame | pd.Series,
    folder: str | os.PathLike[str],
    *,
    name: str = DEFAULT_NAME,
    workers: int | None = None,
    format: Literal["wav"] | None = None,
    overwrite: bool = False,
    sample_rate: int | None = None,
    dry_run: bool = False,
    progress: bool | None = None,
    client: HistoryClient | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Download each row's audio into a folder. Interrupted runs resume; finished files are not requested again.

    Each clip is verified (whole, audio, of the expected format), measured and hashed before it gets its final name. A
    response that is not the whole clip is retried like any passing fault: an empty one, a part (HTTP 206), a body whose
    structure shows that its end is missing.
    The folder's manifest (``manifest.parquet``, ``manifest.csv``) records it. A later run skips files that the manifest
    lists and that exist with the recorded size. Costs no credits.

    Parameters
    ----------
    items : DataFrame or Series
        A history with ``history_item_id`` and the columns that `name` needs, or a Series of ids.
    folder : path-like or str
        Target folder; created if it does not exist. Also a URL that fsspec knows (``s3://bucket/audio``; extra
        ``remote``). There the manifest is written every few seconds instead of after each clip, and two downloads at
        the same time are not detected.
    name : str
        Template of the path in the folder, without extension. Fields: every column, and ``id``, ``voice`` (name, else
        id, ``dialogue``), ``model``, ``index`` (position from 0), ``date`` (UTC, ``{date:%Y-%m}``), ``text``
        (``{text:.40}``: the first 40 characters). Values never create folders. Where rows would share a path, their ids
        are appended. The default becomes ``{id}`` if its columns are absent.
    workers : int, optional
        Threads that download, verify and write. Requests in flight stay within the client's ``max_concurrency``;
        default: two more than that, so that verifying and writing delay no request.
    format : {None, "wav"}
        None keeps the generated format. "wav": PCM, mu-law and A-law get a header, the service converts other formats.
    overwrite : bool
        Download finished files again. Where the bytes are those of the first download, ``proof`` becomes ``hash``.
    sample_rate : int, optional
        Samples per second of raw samples (PCM without a header) whose row states no rate; rows older than 2026-03 can
        have such. With it, ``seconds`` is known and ``format="wav"`` adds the header here.
    dry_run : bool
        Make no request and write nothing: ``status`` is ``pending`` for clips that would be downloaded, ``path`` the
        expected file (with the extension that the row declares, if any).
    progress : bool, optional
        Show a progress bar; default: in a notebook and on a terminal.
    client : HistoryClient, optional
        Default: a client with the key and base URL of the environment.
    storage_options : mapping, optional
        Passed to fsspec.

    Returns
    -------
    DataFrame
        On the index of `items`: ``history_item_id``, ``path`` (relative, with ``/``; missing if there is no file),
        ``status`` (``done``, ``skipped``, ``failed``, or ``gone``: no longer at the service; a row that a local history
        marks as missing is not requested), ``bytes`` (Int64), ``seconds`` (Float64, measured; missing for raw samples
        of unknown rate), ``sha256``, ``error`` (one line), ``proof`` (how the clip is known to be whole: see Notes;
        missing if there is no file, or if histkit 0.1 downloaded it). ``attrs["histkit"]`` has ``folder`` (absolute
        path or URL); of a dry run ``files``, ``requests`` and ``estimated_bytes`` (15 characters per second, times the
        bit rate of the row's format, else 128 kbit/s; None for ids alone).

    Raises
    ------
    InputError
        The template, the format or another argument is invalid. Raised before the first request.
    SchemaError
        `items` lacks ``history_item_id``, or a column can't be read.
    AuthenticationError, PermissionDeniedError
        The key is missing or refused; no other clip could succeed.
    OSError
        The disk is full.
    DownloadError
        The folder can't be used, or another download is writing into it.

    Warns
    -----
    UserWarning
        None of the requested clips exists in the account of the key.

    Notes
    -----
    ``proof`` is ``structure`` if the container shows the clip's end (the sizes of a WAV, the last page of an Ogg, MP3
    frames up to the last byte), ``hash`` if two downloads were equal, ``length`` if the service declared the number of
    bytes and so many came, else ``none``. Raw samples have no structure; `verify` with ``prove=True`` makes it
    ``hash``.

    Examples
    --------
    >>> import tempfile, histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=20) as box, tempfile.TemporaryDirectory() as folder:
    ...     client = hk.HistoryClient(box.api_key, base_url=box.url)
    ...     df = hk.read_history(client=client)
    ...     first = hk.download_audio(df.head(3), folder, name="{voice}/{id}", client=client)
    ...     again = hk.download_audio(df.head(4), folder, name="{voice}/{id}", client=client)
    >>> again.status.tolist()
    ['skipped', 'skipped', 'skipped', 'done']
    """
    wav = validate_options(format, workers, progress, sample_rate, overwrite=overwrite, dry_run=dry_run)
    check_client(client)
    template = Template.parse(name)
    ids = ids_of(items, "downloading audio")
    check_accounts(items)
    stems = stems_of(items, template)
    entries = known_missing(items, ids)
    with closing(open_destination(folder, storage_options)) as destination:
        destination.check()
        if dry_run or not ids:
            record = FolderManifest(destination, first_rows(ids))
            jobs = jobs_of(items, ids, stems, record.paths_in_use(_folders_of(stems)), sample_rate)
            if not overwrite:
                entries |= _finished(destination, record, jobs, wav, tidy=False)
            if dry_run:
                return dry_run_manifest(items, ids, jobs, entries, wav=wav, requests=len(jobs) - len(entries))
            return manifest_frame([], items.index)
        destination.prepare()
        with destination.lock():
            record = FolderManifest(destination, first_rows(ids))
            jobs = jobs_of(items, ids, stems, record.paths_in_use(_folders_of(stems)), sample_rate)
            check_stopped()
            finished = _finished(destination, record, jobs, wav, tidy=True)
            if not overwrite:
                entries |= finished
            due = [job for job in jobs if job.id not in entries]
            fetched = FolderDownload(client, destination, record, wav, again=overwrite).run(due, workers, progress)
    _warn_of_absent(fetched)
    entries |= fetched
    manifest = manifest_frame((entries[item] for item in ids), items.index)
    manifest.attrs["histkit"] = {"folder": destination.address}
    return manifest


def retry_failed(
    manifest: pd.DataFrame,
    folder: str | os.PathLike[str] | None = None,
    *,
    workers: int | None = None,
    sample_rate: int | None = None,
    progress: bool | None = None,
    client: HistoryClient | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Download failed clips again, under the paths of the first attempt. Costs no credits.

    Parameters
    ----------
    manifest : DataFrame
        The result of `download_audio`, or some of its rows.
    folder : path-like or str, optional
        The folder of that download; default: the folder that the manifest names, if it still exists.
    workers, sample_rate, progress, client, storage_options
        As in `download_audio`.

    Returns
    -------
    DataFrame
        The manifest, with new lines in place of those of status ``failed``.

    Raises
    ------
    InputError
        The manifest names no existing folder, or the folder has no record of a clip.
    SchemaError
        `manifest` lacks ``history_item_id`` or ``status``.
    AuthenticationError, PermissionDeniedError, OSError, DownloadError
        As in `download_audio`.

    Warns
    -----
    UserWarning
        As in `download_audio`.

    Examples
    --------
    >>> import tempfile, histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=20, reset=4) as box, tempfile.TemporaryDirectory() as folder:
    ...     client = hk.HistoryClient(box.api_key, base_url=box.url, max_retries=0)
    ...     df = hk.sample_history(20)
    ...     first = hk.download_audio(df, folder, client=client)
    ...     again = hk.retry_failed(first, client=client)
    >>> set(first.status) == {"failed", "done"}, set(again.status)
    (True, {'done'})
    """
    validate_options(None, workers, progress, sample_rate)
    check_client(client)
    require(manifest, ["history_item_id", "status"], "trying again")
    failed = (manifest["status"] == "failed").fillna(False).to_numpy(bool)
    failed_ids = ids_of(manifest[failed], "trying again")
    ids = list(first_rows(failed_ids))
    folder = _recorded_folder(manifest) if folder is None else folder
    with closing(open_destination(folder, storage_options)) as destination:
        entries: dict[str, Entry] = {}
        fetched: dict[str, Entry] = {}
        if ids:
            record = FolderManifest(destination)
            _retry_jobs(destination, record, ids, sample_rate)  # refuses a wrong folder before it is locked
            with destination.lock():
                record = FolderManifest(destination)
                entries, jobs = _retry_jobs(destination, record, ids, sample_rate)
                destination.sizes(_folders_of(job.stem for job in chain(*jobs.values())), tidy=True)
                for wav, due in jobs.items():
                    fetched |= FolderDownload(client, destination, record, wav).run(due, workers, progress)
    _warn_of_absent(fetched)
    entries |= fetched
    result = _with_lines(manifest, failed, [entries[item] for item in failed_ids])
    result.attrs["histkit"] = {"folder": destination.address}
    return result


def _warn_of_absent(fetched: Mapping[str, Entry]) -> None:
    """Warn the caller of a public function if none of the requested clips exists in the account of the key."""
    hint = absence_hint(len(fetched), sum(entry.status == "gone" for entry in fetched.values()))
    if hint is not None:
        warn_caller(hint)


def _recorded_folder(manifest: pd.DataFrame) -> str:
    """Return the folder that a manifest names, if it still exists."""
    facts = manifest.attrs.get("histkit")
    folder = facts.get("folder") if isinstance(facts, Mapping) else None
    if not isinstance(folder, str):
        raise InputError("This manifest names no folder (that of a zip has none): pass folder=.")
    if "://" not in folder and not (Path(folder).is_absolute() and Path(folder).is_dir()):
        raise InputError(f"The folder that this manifest names, {folder}, does not exist: pass folder=.")
    return folder


def _retry_jobs(
    destination: Destination, record: FolderManifest, ids: Sequence[str], sample_rate: int | None
) -> tuple[dict[str, Entry], dict[bool, list[Job]]]:
    """Return the clips that have a file or are gone by now, and the jobs of the others by whether WAV was requested."""
    files = {entry.history_item_id: entry for entry in record.files_of(ids)}
    entries: dict[str, Entry] = {}
    jobs: dict[bool, list[Job]] = {False: [], True: []}
    for item in ids:
        failure = record.failure_of(item)
        if failure is not None and failure.stem is not None:
            source = Source(item, failure.output_format, failure.content_type, sample_rate)
            jobs[failure.format == "wav"].append(Job(source, failure.stem))
        elif failure is not None or item in files:
            entries[item] = failure or files[item].skipped()
        else:
            raise InputError(f"{destination.name} has no record of {item}: call download_audio with its row.")
    return entries, jobs


def _with_lines(manifest: pd.DataFrame, rows: Any, entries: Sequence[Entry]) -> pd.DataFrame:
    """Return a copy of a manifest with new lines in some rows (a boolean mask)."""
    result = manifest.copy()
    for name, column in manifest_frame(entries).items():
        values = pd.array([None] * len(manifest), column.dtype)
        if name in manifest:
            values = manifest[name].astype(column.dtype).array.copy()  # one read from CSV has other dtypes
        values[rows] = column.array
        result[name] = values
    return result


def _finished(
    destination: Destination, record: FolderManifest, jobs: Sequence[Job], wav: bool, *, tidy: bool
) -> dict[str, Entry]:
    """Return the clips whose file exists with the recorded size; `tidy` removes temporary files."""
    sizes = destination.sizes(_folders_of(job.stem for job in jobs), tidy=tidy)
    finished = {}
    for job in jobs:
        entry = record.find(job.id, job.stem, wav)
        if entry is not None and sizes.get(entry.path or "") == entry.bytes:
            finished[job.id] = entry.skipped()
    return finished


def _folders_of(stems: Iterable[str]) -> set[str]:
    """Return the folders that a download writes into: those of its clips, and that of the manifest."""
    return {"", *(stem.rpartition("/")[0] for stem in stems)}


class FolderDownload:
    """Downloads clips into a folder, and records each in its manifest.

    Parameters
    ----------
    client : HistoryClient or None
        None: a client of the environment, closed at the end.
    destination : Destination
        The folder, locked.
    record : FolderManifest
        Its manifest.
    wav : bool
        Whether WAV is requested.
    again : bool
        Whether finished files are among the jobs: a second download of the same bytes proves them.
    """

    def __init__(
        self,
        client: HistoryClient | None,
        destination: Destination,
        record: FolderManifest,
        wav: bool,
        *,
        again: bool = False,
    ) -> None:
        self._given, self._destination, self._record, self._wav = client, destination, record, wav
        self._again = again
        self._cancel = threading.Event()
        self._parts: set[Path] = set()

    def run(self, jobs: Sequence[Job], workers: int | None, progress: bool | None) -> dict[str, Entry]:
        """Download in several threads. However this ends, finished clips are recorded and temporary files removed."""
        try:
            entries = self._run(jobs, workers, progress) if jobs else {}
        except BaseException:
            self._abandon()
            with suppress(HistkitError, OSError):  # the journal is kept
                self._record.close()
            raise
        self._record.close()
        return entries

    def _run(self, jobs: Sequence[Job], workers: int | None, progress: bool | None) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        with borrowed_client(self._given, workers) as self._client:
            threads = workers or threads_for(self._client)
            self._breaker = CircuitBreaker.of_threads(threads)
            with (
                file_progress(progress, len(jobs), "Audio") as count,
                closing(map_threads(self._fetch, jobs, threads, self._cancel)) as done,
            ):
                for _, entry in done:
                    entries[entry.history_item_id] = entry
                    count(entry.bytes)
        return entries

    def _abandon(self) -> None:
        with self._record.lock:  # after this, a thread that still waits for a response can't create a file
            self._cancel.set()
            for part in self._parts:
                with suppress(OSError):
                    part.unlink(missing_ok=True)

    def _fetch(self, job: Job) -> Entry:
        """Download one clip; return its line, also after a failure."""
        entry = self._breaker.call(lambda: self._download(job))
        return entry if isinstance(entry, Entry) else self._record_failure(job, entry)

    def _download(self, job: Job) -> Entry:
        part = self._create_part(job)
        try:
            with part.open("r+b") as file:
                clip = fetch_clip(self._client, job.source, self._wav, file, self._cancel)
                flush_to_disk(file)
            entry = entry_of(job, clip)
            before = self._record.find(job.id, job.stem, self._wav) if self._again else None
            if before is not None and (before.path, before.sha256) == (entry.path, entry.sha256):
                entry = entry.downloaded_twice()
            self._finish(entry, part)
            return entry
        finally:
            self._parts.discard(part)
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _create_part(self, job: Job) -> Path:
        """Create the temporary file of a clip, and its folder, unless the download was cancelled."""
        with self._record.lock:
            if self._cancel.is_set():
                raise Cancelled
            part = self._destination.part(job.stem)
            self._parts.add(part)
            part.open("xb").close()
            return part

    def _finish(self, entry: Entry, part: Path | None = None) -> None:
        """Move a complete file to its final name and record its clip, unless the download was cancelled."""
        if part is not None and self._destination.remote:  # not under the lock: an upload takes long
            self._destination.put(part, str(entry.path))
            part = None
        with self._record.lock:
            if self._cancel.is_set():
                raise Cancelled
            if part is not None:
                self._destination.put(part, str(entry.path))
            self._record.add(entry)

    def _record_failure(self, job: Job, error: HistkitError | OSError) -> Entry:
        try:
            entry = failure_entry(job.id, error)
        except OSError as disk_full:
            disk_full.filename = disk_full.filename or self._destination.name
            raise
        if entry.status == "failed":
            source = job.source
            entry = msgspec.structs.replace(
                entry,
                format="wav" if self._wav else None,
                stem=job.stem,
                output_format=source.output_format,
                content_type=source.content_type,
            )
        self._finish(entry)
        return entry
