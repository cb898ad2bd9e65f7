"""Download audio into one zip. Entries are in row order; `bulk` does not change the result."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import threading
import zipfile
from collections import Counter, deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pandas as pd

from histkit.api.client import HistoryClient, borrowed_client, check_client
from histkit.api.error_mapping import concerns_every_request
from histkit.api.options import RequestOptions
from histkit.api.retry import retrying
from histkit.audio.destination import uploaded_file
from histkit.audio.fetch import (
    CircuitBreaker,
    Clip,
    TooLargeError,
    UnusableResponseError,
    fetch_clip,
    proof_of,
    threads_for,
    write_body,
)
from histkit.audio.formats import BLOCK, size_of
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
    size_estimates,
    validate_options,
)
from histkit.audio.manifest import Entry, manifest_frame
from histkit.audio.naming import Template, stems_of
from histkit.audio.options import DEFAULT_NAME
from histkit.audio.structure import measure_clip
from histkit.audio.zip_files import (
    BrokenZipError,
    FileSlice,
    ZipEntry,
    entry_names,
    format_of,
    read_entries,
    write_clip,
    write_manifest,
)
from histkit.audio.zip_matching import (
    BulkRoute,
    EntryMatch,
    RequestedClip,
    match_entries,
    may_be_one_bad_row,
    plan_requests,
    requested_clips,
)
from histkit.errors import (
    DownloadError,
    HistkitError,
    InputError,
    RateLimitError,
    TransportError,
)
from histkit.frame.dates import timestamps_of
from histkit.util.background import Cancelled, check_stopped
from histkit.util.files import SUFFIX, TEMPORARY, is_write_fault
from histkit.util.outputs import ZIP, OutputFile
from histkit.util.progress import file_progress
from histkit.util.storage import STDOUT, check_storage_options, normalize_path
from histkit.util.text import hide_passwords, quoted
from histkit.util.threads import map_threads

Fetched = tuple[Entry, FileSlice | None]
_COMPARED = 3  # clips of a zip that are requested individually, until one arrives
_BULK_RETRIES = 2  # after that, halves or single requests are more promising


def download_zip(
    items: pd.DataFrame | pd.Series,
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    format: Literal["wav"] | None = None,
    bulk: bool = True,
    sample_rate: int | None = None,
    dry_run: bool = False,
    progress: bool | None = None,
    client: HistoryClient | None = None,
    storage_options: Mapping[str, Any] | None = None,
    force: bool = False,
) -> pd.DataFrame:
    """Download the audio of any number of rows into one zip, one entry per history item. Costs no credits.

    The same rows give the same bytes: entries are in row order and have the dates of their rows. The entry
    ``manifest.csv`` maps entries to rows. Memory use does not depend on the number of rows. During the download,
    unnamed temporary files of a few hundred clips are kept in the zip's folder.

    Parameters
    ----------
    items : DataFrame or Series
        As in `download_audio`. A history item that occurs in several rows is one entry.
    path : path-like or str
        The zip. An existing zip is replaced when the new one is complete. Links are followed; a device, a pipe and
        ``-`` (standard output) are streamed to. Also a URL that fsspec knows
        (``s3://bucket/all.zip``; extra ``remote``): the zip is written on this machine and uploaded.
    name : str, optional
        As in `download_audio`.
    format : {None, "wav"}
        As in `download_audio`.
    bulk : bool
        Request up to 50 clips at once, as zips of the service, where the names in these zips identify every clip. This
        needs rows of known format that were generated in different seconds (a Series of ids has neither). All others,
        and clips of a failed bulk request, are requested individually; with False, all are. One clip is requested both
        ways, and the service's zips are used only if both are equal, so that `bulk` does not change the result.
    sample_rate : int, optional
        As in `download_audio`.
    dry_run : bool
        Make no request and write nothing: ``status`` is ``pending``, ``path`` the entry that would be written.
    progress : bool, optional
        Show a progress bar; default: in a notebook and on a terminal.
    client : HistoryClient, optional
        Default: a client with the key and base URL of the environment.
    storage_options : mapping, optional
        Passed to fsspec.
    force : bool
        Also write to a name with another ending, and over a file of another kind.

    Returns
    -------
    DataFrame
        The manifest, as of `download_audio`; ``path`` is the entry. A clip that could not be downloaded is not in the
        zip, and its row has the ``error``. A clip of the service's zips has the ``proof`` ``length`` if it shows no end
        of its own; ``hash`` if it was also requested individually (``manifest.csv`` in the zip has ``length``, since
        which one it is depends on chance). ``attrs["histkit"]`` has ``zip`` (absolute path or URL) and ``requests``
        (made by the client meanwhile, retries included); of a dry run ``files``, ``requests`` (without retries) and
        ``estimated_bytes``.

    Raises
    ------
    InputError
        The template, the format, the path or another argument is invalid, or there are no rows. Raised before the
        first request, and before anything is created.
    DownloadError
        No clip could be downloaded, so no zip was written.
    AuthenticationError, PermissionDeniedError, OSError
        As in `download_audio`.

    Examples
    --------
    >>> import tempfile, histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=20) as box, tempfile.TemporaryDirectory() as folder:
    ...     client = hk.HistoryClient(box.api_key, base_url=box.url)
    ...     df = hk.read_history(client=client)
    ...     pulled = hk.download_zip(df.head(2), f"{folder}/two.zip", name="{index:02d} {voice}", client=client)
    >>> pulled.status.tolist(), pulled.attrs["histkit"]["requests"]
    (['done', 'done'], 2)
    """
    wav = validate_options(format, None, progress, sample_rate, bulk=bulk, dry_run=dry_run)
    check_client(client)
    template = Template.parse(DEFAULT_NAME if name is None else name)
    plan = _plan(items, template, wav=wav, bulk=bulk, sample_rate=sample_rate)
    target = _zip_path(path)
    check_storage_options(normalize_path(path), storage_options)
    output = zip_output(path, force=force)
    if dry_run:
        requests = len(plan.requests) + any(len(rows) > 1 for rows in plan.requests)  # one clip is compared
        return dry_run_manifest(items, plan.ids, plan.jobs, plan.known, wav=wav, requests=requests)
    with (
        borrowed_client(client) as service,
        uploaded_file(target, storage_options, ZIP, force=force) if output is None else output.open() as temporary,
        temporary.open("w+b") as file,
    ):
        before = service.transport.requests
        manifest = _write_zip(file, plan, ZipDownload(service, plan.jobs, plan.clips, wav, temporary.parent), progress)
        requests = service.transport.requests - before
    manifest.index = items.index
    place = hide_passwords(target) if output is None else STDOUT if target == STDOUT else str(output.path.absolute())
    manifest.attrs["histkit"] = {"zip": place, "requests": requests}
    return manifest


def zip_output(path: str | os.PathLike[str], *, force: bool = False) -> OutputFile | None:
    """Return the file of a zip on this machine; None for one that is uploaded to a URL.

    Raises
    ------
    InputError
        The path has another ending, is a folder, or a file is there that is no zip.
    ArchiveError
        It can't be written.
    """
    target = _zip_path(path)
    if "://" not in target:
        return OutputFile(target, ZIP, force=force)
    if not force:
        ZIP.check_ending(target.rpartition("/")[2], hide_passwords(target))
    return None


def _zip_path(path: str | os.PathLike[str]) -> str:
    target = normalize_path(path)
    if target.startswith("file:///"):
        target = target.removeprefix("file://")
    if target.endswith("://") or str(path).endswith("/"):
        raise InputError(f"path={quoted(str(path))} is a folder; add the name of the zip.")
    return target


@dataclass(frozen=True)
class _ZipPlan:
    """What to download: the jobs, and their positions by request.

    `ids` and `dates` have a value per row, `clips` one per job; `known` are clips that are not requested.
    """

    ids: list[str]
    dates: Sequence[datetime | None]
    known: dict[str, Entry]
    jobs: list[Job]
    clips: list[RequestedClip | None]
    requests: list[tuple[int, ...]]


def _plan(
    items: pd.DataFrame | pd.Series, template: Template, *, wav: bool, bulk: bool, sample_rate: int | None
) -> _ZipPlan:
    ids = ids_of(items, "downloading audio")
    check_accounts(items)
    if not ids:
        raise InputError("There are no rows to put into a zip.")
    dates = timestamps_of(items)
    known = known_missing(items, ids)
    stems = stems_of(items, template)
    jobs = [job for job in jobs_of(items, ids, stems, {}, sample_rate) if job.id not in known]
    check_stopped()
    firsts = first_rows(ids)
    rows = [firsts[job.id] for job in jobs]
    clips: list[RequestedClip | None] = [None] * len(jobs)
    if bulk:
        clips = requested_clips(items, jobs, rows, dates, wav)
    seconds = [None if clip is None else clip.second for clip in clips]
    return _ZipPlan(ids, dates, known, jobs, clips, plan_requests(seconds, size_estimates(items, rows, wav=wav)))


def _write_zip(file: BinaryIO, plan: _ZipPlan, download: ZipDownload, progress: bool | None) -> pd.DataFrame:
    """Write clips and manifest as they come; return the manifest."""
    dates = dict(zip(plan.ids, plan.dates, strict=True))
    entries = dict(plan.known)
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
        closing(download.clips(plan.requests, progress)) as clips,
    ):
        for entry, data in clips:
            entries[entry.history_item_id] = entry
            if data is not None:
                write_clip(archive, entry, data, dates[entry.history_item_id])
        if all(entry.path is None for entry in entries.values()):
            raise DownloadError(
                f"No clip could be downloaded, so no zip was written; the first error: {entries[plan.ids[0]].error}"
            )
        manifest = manifest_frame(entries[item] for item in plan.ids)
        write_manifest(archive, manifest)  # before the next line: which clip is compared is chance
    entries |= {item: entries[item].downloaded_twice() for item in download.compared}
    return manifest_frame(entries[item] for item in plan.ids)


class ZipDownload:
    """Downloads clips into unnamed temporary files, many per request where possible.

    Parameters
    ----------
    client : HistoryClient
        Client of the account.
    jobs : sequence of Job
        The clips.
    clips : sequence of RequestedClip or None
        What identifies each clip in a zip; None for clips that need a request of their own.
    wav : bool
        Whether WAV is requested.
    folder : Path
        Folder of the temporary files.
    """

    def __init__(
        self, client: HistoryClient, jobs: Sequence[Job], clips: Sequence[RequestedClip | None], wav: bool, folder: Path
    ) -> None:
        self._client, self._jobs, self._clips, self._wav, self._folder = client, jobs, clips, wav, folder
        self._threads, self._max_retries = threads_for(client), client.transport.max_retries
        self._cancel, self._lock = threading.Event(), threading.Lock()
        self._files: set[BinaryIO] = set()
        self._route = BulkRoute()
        self.compared: set[str] = set()
        self._breaker = CircuitBreaker.of_threads(self._threads)

    def clips(self, requests: Sequence[tuple[int, ...]], progress: bool | None) -> Generator[Fetched, None, None]:
        """Yield each clip in the order of the jobs; its bytes can be read until the next one is yielded."""
        fetched: dict[int, tuple[BinaryIO, Fetched]] = {}
        unread: Counter[BinaryIO] = Counter()
        due = 0
        try:
            with (
                file_progress(progress, len(self._jobs), "Zip") as count,
                closing(map_threads(self._fetch_rows, requests, self._threads, self._cancel, in_order=True)) as done,
            ):
                for _, (file, clips) in done:
                    unread[file] = len(clips)
                    fetched |= {row: (file, clip) for row, clip in clips.items()}
                    while due in fetched:
                        file, clip = fetched.pop(due)
                        yield clip
                        unread[file] -= 1
                        if not unread[file]:
                            del unread[file]
                            self._release(file)
                        due += 1
                        count(clip[0].bytes)
        finally:
            with self._lock:
                for file in self._files:
                    file.close()

    def _temporary_file(self) -> BinaryIO:
        with self._lock:
            if self._cancel.is_set():
                raise Cancelled
            file: BinaryIO = tempfile.TemporaryFile(dir=self._folder, prefix=TEMPORARY, suffix=SUFFIX)
            self._files.add(file)
            return file

    def _release(self, file: BinaryIO) -> None:
        with self._lock:
            self._files.discard(file)
            file.close()

    def _fetch_rows(self, rows: Sequence[int]) -> tuple[BinaryIO, dict[int, Fetched]]:
        """Download rows into one file: by a bulk request if possible, the remaining ones individually."""
        file = self._temporary_file()
        if len(rows) == 1:
            return file, {rows[0]: self._fetch_single(rows[0], file)}
        fetched: dict[int, Fetched] = {}
        remaining: list[int] = []
        groups = deque([rows])
        while groups:
            group = groups.popleft()
            if len(group) > 1 and self._route.is_open and not self._breaker.tripped:
                try:
                    fetched |= self._fetch_together(group, file)
                except HistkitError as error:
                    if self._cancel.is_set() or concerns_every_request(error):
                        raise
                    if isinstance(error, TooLargeError):
                        self._route.close()
                    self._route.failed()
                    if may_be_one_bad_row(error):
                        middle = len(group) // 2
                        groups += group[:middle], group[middle:]
                        continue
            remaining += [row for row in group if row not in fetched]
        return file, fetched | self._fetch_singly(remaining, file)

    def _fetch_single(self, row: int, file: BinaryIO) -> Fetched:
        """Download a clip into an empty file by a request of its own."""
        job = self._jobs[row]
        clip = self._breaker.call(lambda: fetch_clip(self._client, job.source, self._wav, file, self._cancel))
        if isinstance(clip, Clip):
            return entry_of(job, clip), FileSlice(file, 0, clip.bytes)
        if is_write_fault(clip):  # of the disk, not of this clip
            raise clip
        return failure_entry(job.id, clip), None

    def _fetch_singly(self, rows: Sequence[int], file: BinaryIO) -> dict[int, Fetched]:
        """Download clips by requests of their own in several threads, and append them to a file."""

        def fetch(row: int) -> tuple[BinaryIO, Fetched]:
            temporary = self._temporary_file()
            return temporary, self._fetch_single(row, temporary)

        fetched: dict[int, Fetched] = {}
        threads = min(len(rows), self._client.transport.limit.ceiling)
        with closing(map_threads(fetch, rows, threads, threading.Event())) as done:
            for number, (temporary, (entry, data)) in done:
                if data is not None:
                    start = size_of(file)
                    with data.open() as clip:
                        shutil.copyfileobj(clip, file, BLOCK)
                    data = FileSlice(file, start, data.size)
                self._release(temporary)
                fetched[rows[number]] = entry, data
        return fetched

    def _fetch_together(self, rows: Sequence[int], file: BinaryIO) -> dict[int, Fetched]:
        """Download clips by one bulk request; return the clips that could be identified."""
        start = size_of(file)
        for _ in range(2):  # a zip that can't be read is requested once more
            zipped = self._request_zip(rows, file, start)
            file.seek(start)
            if file.read(2) != b"PK":
                self._route.ambiguous(entirely=False)
                return {}
            with suppress(BrokenZipError):
                return self._identify_entries(rows, zipped)
        self._route.failed()
        return {}

    def _request_zip(self, rows: Sequence[int], file: BinaryIO, start: int) -> FileSlice:
        body: dict[str, Any] = {"history_item_ids": [self._jobs[row].id for row in rows]}
        if self._wav:
            body["output_format"] = "wav"
        options: RequestOptions = {"chunk_size": BLOCK, "max_retries": min(_BULK_RETRIES, self._max_retries)}

        def fetch() -> FileSlice:
            stream = self._client.transport.stream(
                "POST", "/v1/history/download", json=body, options=options, cancel=self._cancel, hold=True
            )
            return FileSlice(file, start, write_body(stream, file, self._cancel, start).size)

        restarts = self._max_retries // (_BULK_RETRIES + 1)  # the service may make a different zip each time
        return retrying(restarts, self._cancel, worth=_is_worth_another_zip, seconds=math.inf)(fetch)

    def _identify_entries(self, rows: Sequence[int], zipped: FileSlice) -> dict[int, Fetched]:
        """Return the clips of a zip if names and bytes identify them.

        A row without an entry is requested individually. Only if it is gone, or equals an entry without a matching
        name, is every other row one of the entries, and no entry can have the name of another row.
        """
        clips = [clip for clip in (self._clips[row] for row in rows) if clip is not None]
        names = entry_names(zipped, self._client.max_clip_bytes)
        match = match_entries(names, clips)
        if match.contradictory or (names and not match.rows):
            self._route.ambiguous(entirely=not match.rows)
            return {}
        entries = read_entries(zipped, self._client.max_clip_bytes)
        self._route.succeeded()
        self._breaker.record(answered=True)
        matched = set(match.rows.values())
        singles = self._fetch_singly([row for place, row in enumerate(rows) if place not in matched], zipped.file)
        if not self._explains_all(match, entries, [entry for entry, _ in singles.values()]):
            return singles
        verified: dict[int, Fetched] = {}
        for number, place in match.rows.items():
            clip = self._verified_clip(rows[place], entries[number])
            if clip is not None:
                verified[rows[place]] = clip
        return singles | verified if self._route.is_trusted(lambda: self._compare(verified)) else singles

    def _explains_all(self, match: EntryMatch, entries: Sequence[ZipEntry], singles: Sequence[Entry]) -> bool:
        """Return whether the rows without a matching name are the entries without a matching row."""
        existing = [entry for entry in singles if entry.status != "gone"]
        if Counter(entry.sha256 for entry in existing) == Counter(entries[number].sha256 for number in match.unmatched):
            return True
        if all(entry.status == "done" for entry in existing):
            self._route.ambiguous(entirely=False)
        return False

    def _compare(self, fetched: dict[int, Fetched]) -> bool | None:
        """Return whether a clip out of a zip equals the response to a single request; None if none came."""
        for row in sorted(fetched, key=lambda row: fetched[row][0].bytes or 0)[:_COMPARED]:
            file = self._temporary_file()
            entry, _ = self._fetch_single(row, file)
            self._release(file)
            if entry.status == "done":
                agree = entry.sha256 == fetched[row][0].sha256
                if agree:
                    self.compared.add(entry.history_item_id)
                return agree
        return None

    def _verified_clip(self, row: int, entry: ZipEntry) -> Fetched | None:
        job, data = self._jobs[row], entry.data
        try:
            audio_format = format_of(data, job.source, self._wav)
            if audio_format is None:
                return None
            with data.open() as file:
                structure = measure_clip(file, data.size, audio_format)
                # the zip states the entry's size and checksum, and both are right
                proof = proof_of(structure, file, data.size, audio_format, sized=True)
        except DownloadError:  # a single request shows whether the clip or the zip is wrong
            return None
        clip = Clip(audio_format.family, data.size, structure.seconds, entry.sha256, converted=self._wav, proof=proof)
        return entry_of(job, clip), data


def _is_worth_another_zip(error: BaseException) -> bool:
    return isinstance(error, (RateLimitError, UnusableResponseError)) or (
        isinstance(error, TransportError) and error.passing
    )
