"""One zip of many clips: entries in the order of the rows, the same rows give the same bytes by any route."""

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
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from histkit.api.client import HistoryClient, borrowed_client
from histkit.api.options import RequestOptions
from histkit.api.retry import retrying
from histkit.audio.destination import written_file
from histkit.audio.fetch import Cancelled, fetch_clip, threads_for
from histkit.audio.formats import BLOCK, seconds_of, size_of
from histkit.audio.jobs import (
    Job,
    distinct,
    failure_entry,
    ids_of,
    jobs_of,
    known_missing,
    pending_entry,
    validate_options,
)
from histkit.audio.manifest import Entry, manifest_frame
from histkit.audio.naming import DEFAULT_NAME, Template, stems_of
from histkit.audio.zip_files import BrokenZipError, Piece, Unpacked, kind_of, names_in, put, put_manifest, unpacked
from histkit.audio.zip_matching import (
    BulkRoute,
    RequestedClip,
    asked_of,
    estimate_of,
    match_entries,
    may_be_one_of_many,
    moments_of,
    plan_requests,
    sizes_of,
)
from histkit.errors import (
    AuthenticationError,
    DownloadError,
    HistkitError,
    InputError,
    PermissionDeniedError,
    RateLimitError,
    TransportError,
)
from histkit.util.files import SUFFIX, TEMPORARY, temporary_beside
from histkit.util.progress import progress_bar
from histkit.util.storage import normalize_path
from histkit.util.threads import map_threads

Spooled = tuple[Entry, Piece | None]
_FEWEST_BROKEN = 8  # clips in a row without an answer, after which the service counts as out of reach
_SAMPLES = 3  # of a zip are asked for alone until one comes
_BULK_TRIES = 2  # after the first: halves, or requests of their own, are a better next try


def download_zip(
    items: pd.DataFrame | pd.Series,
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    format: str | None = None,
    bulk: bool = True,
    dry_run: bool = False,
    progress: bool | None = None,
    client: HistoryClient | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Pull the audio of any number of rows into one zip, one entry for each clip. Costs no credits.

    The same rows give the same bytes: entries stand in the order of the rows and have their dates. ``manifest.csv`` in
    it says which entry is which row. Memory does not grow with the number of rows; beside the zip lie nameless
    temporary files of some hundred clips.

    Parameters
    ----------
    items : DataFrame or Series
        As in `download_audio`; a clip that stands in several rows is one entry.
    path : path-like or str
        The zip; it is replaced only when the new one is whole. Also a URL that fsspec knows (``s3://bucket/all.zip``;
        extra ``remote``): it is made on this machine and then put there.
    name : str, optional
        As in `download_audio`.
    format : {None, "wav"}
        As in `download_audio`.
    bulk : bool
        Ask for up to 50 clips in one request, in the service's own zips, where their names leave no doubt which entry
        is which row: rows whose second and format are known (a Series of ids has neither), of different seconds. All
        others, and what goes wrong, is asked for clip by clip; so is everything with False. One clip is asked for in
        both ways, and the service's zips are used only if it is the same, so that the zip is the same too.
    dry_run : bool
        Make no request and write nothing: ``status`` is ``pending``, ``path`` the entry that would be there.
    progress : bool, optional
        Show a bar; default: in a notebook and on a terminal.
    client : HistoryClient, optional
        Default: one made of the environment.
    storage_options : mapping, optional
        Passed to fsspec.

    Returns
    -------
    DataFrame
        The manifest, as of `download_audio`; ``path`` is the entry. A clip that could not be had is not in the zip,
        and its row says why. ``attrs["histkit"]`` has ``zip``, the path, and ``requests``, how many the client made
        meanwhile, tries included; of a dry run ``files``, ``requests`` (without tries) and ``estimated_bytes``.

    Raises
    ------
    InputError
        The template, the format or the path is not possible, or there are no rows; before the first request.
    DownloadError
        No clip could be had; there is no zip then.
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
    wav = validate_options(format, None)
    template = Template.parse(DEFAULT_NAME if name is None else name)
    ids = ids_of(items)
    if not ids:
        raise InputError("There are no rows to put into a zip.")
    jobs = jobs_of(items, ids, stems_of(items, template), {})
    where = normalize_path(path)
    if where.endswith("://") or str(path).endswith("/") or ("://" not in where and Path(where).is_dir()):
        raise InputError(f"path={str(path)!r} is a folder; give the name of the zip.")
    moments = moments_of(items)
    found = known_missing(items, ids)
    rows = [row for row in distinct(ids) if ids[row] not in found]
    jobs = [job for job in jobs if job.source.history_item_id not in found]
    sizes = sizes_of(items, rows, wav=wav)
    asked = asked_of(items, jobs, rows, moments, wav) if bulk else [None] * len(jobs)
    parts = plan_requests([each.second if each is not None else None for each in asked], sizes)
    if dry_run:
        found |= {job.source.history_item_id: pending_entry(job, wav) for job in jobs}
        manifest = manifest_frame((found[item] for item in ids), items.index)
        requests = len(parts) + any(len(part) > 1 for part in parts)  # one clip is compared
        facts = {"files": len(jobs), "requests": requests, "estimated_bytes": estimate_of(items, rows, wav=wav)}
        manifest.attrs["histkit"] = {"dry_run": True} | facts
        return manifest
    dates = dict(zip(ids, moments, strict=True))
    with (
        written_file(where, storage_options) as target,
        borrowed_client(client) as client,
        temporary_beside(target) as file,
    ):
        before = client.transport.requests
        with (
            zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
            closing(ZipDownload(client, jobs, asked, wav, target.parent).all(parts, progress)) as clips,
        ):
            for entry, piece in clips:
                found[entry.history_item_id] = entry
                if piece is not None:
                    put(archive, entry, piece, dates[entry.history_item_id])
            if all(entry.path is None for entry in found.values()):
                raise DownloadError(f"No clip could be had, so there is no zip; the first: {found[ids[0]].error}")
            manifest = manifest_frame((found[item] for item in ids), items.index)
            put_manifest(archive, manifest)
        requests = client.transport.requests - before
    manifest.attrs["histkit"] = {"zip": where, "requests": requests}
    return manifest


class ZipDownload:
    """Pulls clips into nameless temporary files, many in one request where that is possible.

    Parameters
    ----------
    client : HistoryClient
        Of the account.
    jobs : sequence of Job
        The clips.
    asked : sequence of Asked or None
        What is known of each that may be asked for together with others.
    wav : bool
        Make WAV of everything.
    folder : Path
        Where the temporary files lie.
    """

    def __init__(
        self, client: HistoryClient, jobs: Sequence[Job], asked: Sequence[RequestedClip | None], wav: bool, folder: Path
    ) -> None:
        self._client, self._jobs, self._asked, self._wav, self._folder = client, jobs, asked, wav, folder
        self._threads, self._tries = threads_for(client), client.transport.max_retries
        self._cancel, self._lock = threading.Event(), threading.Lock()
        self._files: set[BinaryIO] = set()
        self._route = BulkRoute()
        self._broken, self._most_broken = 0, max(_FEWEST_BROKEN, 2 * self._threads)

    def all(self, parts: Sequence[tuple[int, ...]], progress: bool | None) -> Generator[Spooled, None, None]:
        """Pull side by side, and give clip by clip in order; a clip's bytes can be read until the next is asked for."""
        held: dict[int, tuple[BinaryIO, Spooled]] = {}
        waiting: Counter[BinaryIO] = Counter()
        due = pulled = 0
        try:
            with (
                progress_bar(progress, total=len(self._jobs), desc="Zip", unit="file") as bar,
                closing(map_threads(self._part, parts, self._threads, self._cancel, in_order=True)) as done,
            ):
                for _, (file, part) in done:
                    waiting[file] = len(part)
                    held |= {row: (file, spooled) for row, spooled in part.items()}
                    while due in held:
                        file, (entry, piece) = held.pop(due)
                        yield entry, piece
                        waiting[file] -= 1
                        if not waiting[file]:
                            del waiting[file]
                            self._close(file)
                        due += 1
                        pulled += entry.bytes or 0
                        bar.set_postfix_str(f"{pulled / 1e6:.1f} MB", refresh=False)
                        bar.update()
        finally:
            with self._lock:
                for file in self._files:
                    file.close()

    def _spool(self) -> BinaryIO:
        with self._lock:
            if self._cancel.is_set():
                raise Cancelled
            file: BinaryIO = tempfile.TemporaryFile(dir=self._folder, prefix=TEMPORARY, suffix=SUFFIX)
            self._files.add(file)
            return file

    def _close(self, file: BinaryIO) -> None:
        with self._lock:
            self._files.discard(file)
            file.close()

    def _part(self, rows: Sequence[int]) -> tuple[BinaryIO, dict[int, Spooled]]:
        """Pull rows into one file: together as far as that goes, the rest by requests of their own."""
        file = self._spool()
        if len(rows) == 1:
            return file, {rows[0]: self._one(rows[0], file)}
        found: dict[int, Spooled] = {}
        alone: list[int] = []
        parts = deque([rows])
        while parts:
            part = parts.popleft()
            if len(part) == 1 or not self._route.is_open or self._broken >= self._most_broken:
                alone += part
                continue
            try:
                found |= self._together(part, file)
            except HistkitError as error:
                if self._cancel.is_set() or isinstance(error, (AuthenticationError, PermissionDeniedError)):
                    raise
                self._route.failed()
                if may_be_one_of_many(error):
                    middle = len(part) // 2
                    parts += part[:middle], part[middle:]
                else:
                    alone += part
            else:
                alone += [row for row in part if row not in found]
        return file, found | self._alone(alone, file)

    def _one(self, row: int, file: BinaryIO) -> Spooled:
        """Pull a clip into an empty file by a request of its own."""
        job, broken = self._jobs[row], False
        try:
            if self._broken >= self._most_broken:
                raise TransportError(f"Not tried: {self._broken} clips before it got no answer from the service.")
            clip = fetch_clip(self._client, job.source, self._wav, file, self._cancel)
            path = f"{job.stem}.{clip.extension}"
            entry = Entry(job.source.history_item_id, path, "done", clip.bytes, clip.seconds, clip.sha256)
            spooled: Spooled = entry, Piece(file, 0, clip.bytes)
        except (HistkitError, OSError) as error:
            spooled = failure_entry(job.source.history_item_id, error), None
            broken = isinstance(error, TransportError)
        self._broken = self._broken + 1 if broken else 0
        return spooled

    def _alone(self, rows: Sequence[int], file: BinaryIO) -> dict[int, Spooled]:
        """Pull clips by requests of their own, side by side, to the end of a file."""

        def pull(row: int) -> tuple[BinaryIO, Spooled]:
            own = self._spool()
            return own, self._one(row, own)

        found: dict[int, Spooled] = {}
        threads = min(len(rows), self._client.transport.limit.ceiling)
        with closing(map_threads(pull, rows, threads, threading.Event())) as done:
            for number, (own, (entry, piece)) in done:
                if piece is not None:
                    start = size_of(file)
                    with piece.open() as clip:
                        shutil.copyfileobj(clip, file, BLOCK)
                    piece = Piece(file, start, piece.size)
                self._close(own)
                found[rows[number]] = entry, piece
        return found

    def _together(self, rows: Sequence[int], file: BinaryIO) -> dict[int, Spooled]:
        """Pull clips by one request; give those of which nothing is in doubt, and those that had to be asked for."""
        start = size_of(file)
        for _ in range(2):  # a zip that can't be read is asked for once more
            zipped = self._zip_of(rows, file, start)
            file.seek(start)
            if file.read(2) != b"PK":
                self._route.doubted(wholly=False)
                return {}
            with suppress(BrokenZipError):
                return self._told(rows, zipped)
        self._route.failed()
        return {}

    def _zip_of(self, rows: Sequence[int], file: BinaryIO, start: int) -> Piece:
        body: dict[str, Any] = {"history_item_ids": [self._jobs[row].source.history_item_id for row in rows]}
        if self._wav:
            body["output_format"] = "wav"
        options: RequestOptions = {"chunk_size": BLOCK, "max_retries": min(_BULK_TRIES, self._tries)}

        def fetch() -> Piece:
            file.seek(start)
            file.truncate()
            stream = self._client.transport.stream(
                "POST", "/v1/history/download", json=body, options=options, cancel=self._cancel, hold=True
            )
            with closing(stream):
                for chunk in stream:
                    if self._cancel.is_set():
                        raise Cancelled
                    file.write(chunk)
            return Piece(file, start, file.tell() - start)

        again = self._tries // (_BULK_TRIES + 1)  # from the start: the service may make another zip each time
        return retrying(again, self._cancel, worth=_is_worth_another_zip, seconds=math.inf)(fetch)

    def _told(self, rows: Sequence[int], zipped: Piece) -> dict[int, Spooled]:
        """Give the clips of a zip as far as names and bytes tell which is which.

        A row without an entry is asked for alone. Only if it is gone, or is what an entry without a clear name holds,
        each of the other rows is an entry, and none can have another's name.
        """
        asked = [each for each in (self._asked[row] for row in rows) if each is not None]
        names = names_in(zipped)
        tied = match_entries(names, asked)
        if tied.foreign or (names and not tied.rows):
            self._route.doubted(wholly=not tied.rows)
            return {}
        entries = unpacked(zipped)
        self._route.worked()
        self._broken = 0
        sure = set(tied.rows.values())
        found = self._alone([row for place, row in enumerate(rows) if place not in sure], zipped.file)
        came = [entry for entry, _ in found.values() if entry.status != "gone"]
        if Counter(entry.sha256 for entry in came) != Counter(entries[entry].sha256 for entry in tied.unclear):
            if all(entry.status == "done" for entry in came):
                self._route.doubted(wholly=False)
            return found
        clips = {rows[place]: self._clip(rows[place], entries[entry]) for entry, place in tied.rows.items()}
        good = {row: clip for row, clip in clips.items() if clip is not None}
        return found | good if self._route.agrees(lambda: self._compared(good)) else found

    def _compared(self, found: dict[int, Spooled]) -> bool | None:
        """Tell whether a clip out of a zip has the bytes that it has when asked for alone; None where nobody says."""
        for row in sorted(found, key=lambda row: found[row][0].bytes or 0)[:_SAMPLES]:
            own = self._spool()
            entry, _ = self._one(row, own)
            self._close(own)
            if entry.status == "done":
                return entry.sha256 == found[row][0].sha256
        return None

    def _clip(self, row: int, entry: Unpacked) -> Spooled | None:
        job, piece = self._jobs[row], entry.piece
        try:
            kind = kind_of(piece, job.source, self._wav)
            if kind is None:
                return None
            with piece.open() as file:
                seconds = seconds_of(file, piece.size, kind)
        except DownloadError:  # a request of its own says whether it is the clip or the zip
            return None
        path = f"{job.stem}.{kind.family}"
        return Entry(job.source.history_item_id, path, "done", piece.size, seconds, entry.sha256), piece


def _is_worth_another_zip(error: BaseException) -> bool:
    return isinstance(error, (RateLimitError, TransportError))
