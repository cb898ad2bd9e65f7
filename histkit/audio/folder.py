"""Audio of history rows: as files in a folder (`download_audio`), as one zip (`download_zip`), in a notebook (`play`).

A folder's clips are pulled by their own ids; a zip's also by the service's own zips, as far as their entries, which
carry no id, leave no doubt. A clip is verified before it gets its name, and one bad clip costs one row.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from histkit.api.client import HistoryClient, borrowed_client, check_client
from histkit.audio.destination import Destination, open_destination
from histkit.audio.fetch import Cancelled, fetch_clip, threads_for
from histkit.audio.jobs import (
    Job,
    distinct,
    distinct_of,
    failure_entry,
    ids_of,
    jobs_of,
    known_missing,
    pending_entry,
    retry_jobs,
    validate_options,
)
from histkit.audio.manifest import Entry, FolderManifest, manifest_frame
from histkit.audio.naming import DEFAULT_NAME, Template, stems_of
from histkit.audio.zip_matching import estimate_of
from histkit.errors import HistkitError, InputError, TransportError
from histkit.frame.schema import require
from histkit.util.progress import progress_bar
from histkit.util.threads import map_threads

_CHARACTERS_A_SECOND = 15.0  # of speech; an estimate


def download_audio(
    items: pd.DataFrame | pd.Series,
    folder: str | os.PathLike[str],
    *,
    name: str = DEFAULT_NAME,
    workers: int | None = None,
    format: str | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: bool | None = None,
    client: HistoryClient | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Pull each row's audio into a folder; can be interrupted, repeated and trusted. Costs no credits.

    A second run makes no request for what the folder's manifest (``manifest.parquet``, ``manifest.csv``) says is done
    and is there with its size. Each clip is checked (whole, audio, of the type it should be), measured and hashed
    before it gets its name.

    Parameters
    ----------
    items : DataFrame or Series
        A history with ``history_item_id`` and the columns that the name needs, or a Series of ids.
    folder : path-like or str
        Where to; made if need be. Also a URL that fsspec knows (``s3://bucket/audio``; extra ``remote``): there the
        manifest is written every few seconds instead of after each clip, and nothing keeps two pulls apart.
    name : str
        Path of a file in the folder without extension. Fields: every column, and ``id``, ``voice`` (name, else id,
        ``dialogue``), ``model``, ``index`` (position from 0), ``date`` (UTC, ``{date:%Y-%m}``), ``text``
        (``{text:.40}`` is cut to 40 characters). Values never make folders. Rows that would share a path get their id
        added. The default becomes ``{id}`` where its columns are not there.
    workers : int, optional
        Clips worked on side by side. Requests in flight stay within the client's ``max_concurrency``; default: half
        again as many, so that checking and writing hold up no request.
    format : {None, "wav"}
        None keeps what was generated. "wav": PCM, mu-law and A-law get a header, the service converts the rest.
    overwrite : bool
        Pull again what is there.
    dry_run : bool
        Make no request and write nothing: ``status`` is ``pending`` for what would be pulled, ``path`` the file that it
        would be (its extension as far as the row tells).
    progress : bool, optional
        Show a bar; default: in a notebook and on a terminal.
    client : HistoryClient, optional
        Default: one made of the environment.
    storage_options : mapping, optional
        Passed to fsspec.

    Returns
    -------
    DataFrame
        On the index of `items`: ``history_item_id``, ``path`` (relative, with ``/``; missing where there is no file),
        ``status`` (``done``, ``skipped``, ``failed``, ``gone``: the service has it no more; a row that a local history
        marks as missing is not asked for), ``bytes`` (Int64),
        ``seconds`` (Float64; missing for samples whose rate nobody says), ``sha256``, ``error`` (one line). Of a dry
        run, ``attrs["histkit"]`` has ``files``, ``requests`` and ``estimated_bytes`` (15 characters a second, times
        the bit rate of the row's format, else 128 kbit/s; None for ids alone).

    Raises
    ------
    InputError
        The template, the format or another argument is not possible; before the first request.
    AuthenticationError, PermissionDeniedError
        The key is no good: nothing else could succeed.
    OSError
        The disk is full.
    DownloadError
        The folder can't be used.

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
    wav = validate_options(format, workers)
    check_client(client)
    template = Template.parse(name)
    ids = ids_of(items)
    stems = stems_of(items, template)
    target = open_destination(folder, storage_options)
    try:
        if dry_run or not ids:
            record = FolderManifest(target)
            jobs = jobs_of(items, ids, stems, record.owners())
            found = known_missing(items, ids) | ({} if overwrite else _there(target, record, jobs, wav, tidy=False))
            return _planned(items, ids, jobs, found, wav) if dry_run else manifest_frame([], items.index)
        target.prepare()
        with target.lock():
            record = FolderManifest(target)
            jobs = jobs_of(items, ids, stems, record.owners())
            there = _there(target, record, jobs, wav, tidy=True)
            found = known_missing(items, ids) | ({} if overwrite else there)
            todo = [job for job in jobs if job.source.history_item_id not in found]
            found |= FolderDownload(client, target, record, wav).all(todo, workers, progress)
    finally:
        target.close()
    manifest = manifest_frame((found[item] for item in ids), items.index)
    manifest.attrs["histkit"] = {"folder": target.name}
    return manifest


def retry_failed(
    manifest: pd.DataFrame,
    folder: str | os.PathLike[str] | None = None,
    *,
    workers: int | None = None,
    progress: bool | None = None,
    client: HistoryClient | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Pull the clips that failed once more, under the names that they should have had. Costs no credits.

    Parameters
    ----------
    manifest : DataFrame
        What `download_audio` returned, or any rows of it.
    folder : path-like or str, optional
        Where they were to go; default: the folder that the manifest names.
    workers, progress, client, storage_options
        As in `download_audio`.

    Returns
    -------
    DataFrame
        The manifest with the new lines in place of those of status ``failed``.

    Raises
    ------
    InputError
        The manifest names no folder, or the folder knows nothing of a clip.
    AuthenticationError, PermissionDeniedError, OSError, DownloadError
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
    validate_options(None, workers)
    require(manifest, ["history_item_id", "status"], "trying again")
    folder = folder or manifest.attrs.get("histkit", {}).get("folder")
    if folder is None:
        raise InputError("This manifest doesn't say its folder (of a zip there is none): give folder=.")
    ids = distinct_of(manifest.loc[(manifest["status"] == "failed").fillna(False), "history_item_id"])
    target = open_destination(folder, storage_options)
    try:
        with target.lock():
            record = FolderManifest(target)
            found, todo = retry_jobs(record, ids, target.name)
            for wav in (False, True):
                jobs = [job for job, as_wav in todo if as_wav == wav]
                found |= FolderDownload(client, target, record, wav).all(jobs, workers, progress)
    finally:
        target.close()
    again = (manifest["status"] == "failed").fillna(False).to_numpy(bool)
    entries = [found[item] for item, tried in zip(ids_of(manifest), again, strict=True) if tried]
    result = manifest.copy()
    for name, column in manifest_frame(entries).items():
        values = pd.array([None] * len(again), column.dtype)  # a manifest that was read from CSV has other dtypes
        if name in manifest:
            values = manifest[name].astype(column.dtype).array.copy()
        values[again] = column.array
        result[name] = values
    result.attrs["histkit"] = {"folder": target.name}
    return result


def _there(target: Destination, record: FolderManifest, jobs: list[Job], wav: bool, *, tidy: bool) -> dict[str, Entry]:
    size_of = target.sizes((job.stem.rpartition("/")[0] for job in jobs), tidy=tidy)
    found = {}
    for job in jobs:
        entry = record.find(job.source.history_item_id, job.stem, wav)
        if entry is not None and size_of.get(entry.path or "") == entry.bytes:
            found[entry.history_item_id] = entry.skipped()
    return found


def _planned(
    items: pd.DataFrame | pd.Series, ids: list[str], jobs: list[Job], there: dict[str, Entry], wav: bool
) -> pd.DataFrame:
    entries = {job.source.history_item_id: pending_entry(job, wav) for job in jobs} | there
    manifest = manifest_frame((entries[item] for item in ids), items.index)
    rows = [row for row in distinct(ids) if ids[row] not in there]
    manifest.attrs["histkit"] = {
        "dry_run": True,
        "files": len(rows),
        "requests": len(rows),
        "estimated_bytes": estimate_of(items, rows, wav=wav),
    }
    return manifest


_FEWEST_BROKEN = 8  # clips in a row without an answer, after which the service counts as out of reach


class FolderDownload:
    """Pulls clips into a folder and writes each down in its record.

    Parameters
    ----------
    client : HistoryClient or None
        None: one is made of the environment, and closed at the end.
    target : Target
        The folder, locked.
    record : Record
        Its manifest.
    wav : bool
        Make WAV of everything.
    """

    def __init__(self, client: HistoryClient | None, target: Destination, record: FolderManifest, wav: bool) -> None:
        self._given, self._target, self._record, self._wav = client, target, record, wav
        self._cancel = threading.Event()
        self._parts: set[Path] = set()
        self._broken = 0

    def all(self, jobs: Sequence[Job], workers: int | None, progress: bool | None) -> dict[str, Entry]:
        """Pull side by side; whatever ends it, no temporary file stays and what is finished is written down."""
        try:
            found = self._all(jobs, workers, progress) if jobs else {}
        except BaseException:
            self._leave()
            with suppress(HistkitError, OSError):  # the journal still has it
                self._record.close()
            raise
        self._record.close()
        return found

    def _all(self, jobs: Sequence[Job], workers: int | None, progress: bool | None) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        pulled = 0
        with borrowed_client(self._given, workers) as self._client:
            threads = workers or threads_for(self._client)
            self._most_broken = max(_FEWEST_BROKEN, 2 * threads)
            with (
                progress_bar(progress, total=len(jobs), desc="Audio", unit="file") as bar,
                closing(map_threads(self._one, jobs, threads, self._cancel)) as done,
            ):
                for _, entry in done:
                    found[entry.history_item_id] = entry
                    pulled += entry.bytes or 0
                    bar.set_postfix_str(f"{pulled / 1e6:.1f} MB", refresh=False)
                    bar.update()
        return found

    def _leave(self) -> None:
        with self._record.lock:  # after this no thread that still hangs in a request can name a file
            self._cancel.set()
            for part in self._parts:
                with suppress(OSError):
                    part.unlink(missing_ok=True)

    def _one(self, job: Job) -> Entry:
        broken = False
        try:
            if self._broken >= self._most_broken:
                raise TransportError(f"Not tried: {self._broken} clips before it got no answer from the service.")
            entry = self._pulled(job)
        except (HistkitError, OSError) as error:
            entry = self._trouble(job, error)
            broken = isinstance(error, TransportError)
        self._broken = self._broken + 1 if broken else 0
        return entry

    def _trouble(self, job: Job, error: HistkitError | OSError) -> Entry:
        source = job.source
        plain = failure_entry(source.history_item_id, error)
        entry = plain
        if plain.status == "failed":
            form = "wav" if self._wav else None
            told = source.output_format, source.content_type
            entry = replace(plain, format=form, stem=job.stem, output_format=told[0], content_type=told[1])
        self._note(entry)
        return entry

    def _note(self, entry: Entry, part: Path | None = None) -> None:
        """Give a whole file its name and write the clip down; neither once the pull is over."""
        if part is not None and self._target.remote:  # an upload holds nobody up, and may come too late to be noted
            self._target.put(part, str(entry.path))
            part = None
        with self._record.lock:
            if self._cancel.is_set():
                raise Cancelled
            if part is not None:
                self._target.put(part, str(entry.path))
            self._record.add(entry)

    def _pulled(self, job: Job) -> Entry:
        part = self._target.part(job.stem)
        try:
            with self._begun(part) as file:
                clip = fetch_clip(self._client, job.source, self._wav, file, self._cancel)
                file.flush()
                os.fsync(file.fileno())
            entry = Entry(
                job.source.history_item_id,
                f"{job.stem}.{clip.extension}",
                "done",
                clip.bytes,
                clip.seconds,
                clip.sha256,
                format="wav" if clip.converted else None,
            )
            self._note(entry, part)
            return entry
        finally:
            self._parts.discard(part)
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _begun(self, part: Path) -> BinaryIO:
        with self._record.lock:
            if self._cancel.is_set():
                raise Cancelled
            self._parts.add(part)
            return part.open("x+b")
