"""Audio of history rows: as files in a folder (`download_audio`), as one zip (`download_zip`), in a notebook (`play`).

Each clip is pulled by its own id: names in the service's own zips carry no id and collide within a second, so no entry
of them can be tied to its row for sure. A clip is verified before it gets its name, and one bad clip costs one row.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from histkit._jobs import Job, checked, distinct, ids_of, jobs_of, trouble
from histkit._manifest import SUFFIX, TEMPORARY, Entry, Record, inside, locked, manifest_frame, sizes
from histkit._players import play
from histkit._progress import progress_bar
from histkit._pull import Cancelled, client_or_own, fetch, side_by_side, threads_for
from histkit._zips import download_zip
from histkit.client import HistoryClient
from histkit.clips import bytes_a_second
from histkit.errors import DownloadError, HistkitError
from histkit.names import DEFAULT_NAME, Template, stems_of, texts_of, values_of

__all__ = ["download_audio", "download_zip", "play"]

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
) -> pd.DataFrame:
    """Pull each row's audio into a folder; can be interrupted, repeated and trusted. Costs no credits.

    A second run makes no request for what the folder's manifest (``manifest.parquet``, ``manifest.csv``) says is done
    and is there with its size. Each clip is checked (whole, audio, of the type it should be), measured and hashed
    before it gets its name.

    Parameters
    ----------
    items : DataFrame or Series
        A history with ``history_item_id`` and the columns that the name needs, or a Series of ids.
    folder : path-like
        Where to; made if need be.
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
        Make no request and write nothing: ``status`` is ``pending`` for what would be pulled.
    progress : bool, optional
        Show a bar; default: in a notebook and on a terminal.
    client : HistoryClient, optional
        Default: one made of the environment.

    Returns
    -------
    DataFrame
        On the index of `items`: ``history_item_id``, ``path`` (relative, with ``/``; missing where there is no file),
        ``status`` (``done``, ``skipped``, ``failed``, ``gone``: the service has it no more), ``bytes`` (Int64),
        ``seconds`` (Float64; missing for samples whose rate nobody says), ``sha256``, ``error`` (one line). Of a dry
        run, ``attrs["histkit"]`` has ``files``, ``requests`` and ``estimated_bytes`` (15 characters a second, times
        the bit rate of the row's format, else 128 kbit/s).

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
    wav = checked(format, workers)
    template = Template.parse(name)
    ids = ids_of(items)
    stems = stems_of(items, template)
    target = Path(folder)
    if dry_run or not ids:
        record = Record(target)
        jobs = jobs_of(items, ids, stems, record.owners())
        there = {} if overwrite else _there(target, record, jobs, wav, tidy=False)
        return _planned(items, ids, jobs, there, wav) if dry_run else manifest_frame([], items.index)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"{target} can't be used as a folder: {error.strerror}.") from None
    with locked(target):
        record = Record(target)
        jobs = jobs_of(items, ids, stems, record.owners())
        found = _there(target, record, jobs, wav, tidy=True)
        found = {} if overwrite else found
        todo = [job for job in jobs if job.source.history_item_id not in found]
        with client_or_own(client, workers) as client:
            found |= _Pull(client, target, record, wav).all(todo, workers, progress)
    manifest = manifest_frame((found[item] for item in ids), items.index)
    manifest.attrs["histkit"] = {"folder": str(target)}
    return manifest


def _there(folder: Path, record: Record, jobs: list[Job], wav: bool, *, tidy: bool) -> dict[str, Entry]:
    size_of = sizes(folder, (job.stem.rpartition("/")[0] for job in jobs), tidy=tidy)
    found = {}
    for job in jobs:
        entry = record.find(job.source.history_item_id, job.stem, wav)
        if entry is not None and size_of.get(entry.path or "") == entry.bytes:
            found[entry.history_item_id] = entry.skipped()
    return found


def _planned(
    items: pd.DataFrame | pd.Series, ids: list[str], jobs: list[Job], there: dict[str, Entry], wav: bool
) -> pd.DataFrame:
    entries = {job.source.history_item_id: Entry(job.source.history_item_id, None, "pending") for job in jobs} | there
    manifest = manifest_frame((entries[item] for item in ids), items.index)
    counted, texts = values_of(items, "characters"), [""] * len(ids)
    if isinstance(items, pd.DataFrame):
        texts = [text or "" for text in texts_of(items)]
    formats = values_of(items, "output_format")
    pending = [row for row in distinct(ids) if ids[row] not in there]
    seconds = [
        (counted[row] if counted[row] is not None else len(texts[row])) / _CHARACTERS_A_SECOND for row in pending
    ]
    rates = [bytes_a_second(formats[row], wav=wav) for row in pending]
    manifest.attrs["histkit"] = {
        "dry_run": True,
        "files": len(pending),
        "requests": len(pending),
        "estimated_bytes": round(sum(map(float.__mul__, seconds, rates))),
    }
    return manifest


class _Pull:
    """Pulls clips into a folder and writes each down in its record."""

    def __init__(self, client: HistoryClient, folder: Path, record: Record, wav: bool) -> None:
        self._client, self._folder, self._record, self._wav = client, folder, record, wav
        self._cancel = threading.Event()
        self._parts: set[Path] = set()

    def all(self, jobs: Sequence[Job], workers: int | None, progress: bool | None) -> dict[str, Entry]:
        """Pull side by side; whatever ends it, no temporary file stays and what is finished is written down."""
        found: dict[str, Entry] = {}
        if not jobs:
            self._record.close()
            return found
        pulled = 0
        workers = workers or threads_for(self._client)
        try:
            with (
                progress_bar(progress, total=len(jobs), desc="Audio", unit="file") as bar,
                closing(side_by_side(self._one, jobs, workers, self._cancel)) as done,
            ):
                for _, entry in done:
                    found[entry.history_item_id] = entry
                    pulled += entry.bytes or 0
                    bar.set_postfix_str(f"{pulled / 1e6:.1f} MB", refresh=False)
                    bar.update()
        except BaseException:
            self._leave()
            with suppress(HistkitError, OSError):  # the journal still has it
                self._record.close()
            raise
        self._record.close()
        return found

    def _leave(self) -> None:
        with self._record.lock:  # after this no thread that still hangs in a request can name a file
            self._cancel.set()
            for part in self._parts:
                with suppress(OSError):
                    part.unlink(missing_ok=True)

    def _one(self, job: Job) -> Entry:
        item = job.source.history_item_id
        try:
            return self._pulled(job)
        except (HistkitError, OSError) as error:
            entry = trouble(item, error)
        self._note(entry)
        return entry

    def _note(self, entry: Entry, part: Path | None = None) -> None:
        """Give a whole file its name and write the clip down; neither once the pull is over."""
        with self._record.lock:
            if self._cancel.is_set():
                raise Cancelled
            if part is not None:
                part.replace(self._folder / str(entry.path))
            self._record.add(entry)

    def _pulled(self, job: Job) -> Entry:
        parent = (self._folder / job.stem).parent
        parent.mkdir(parents=True, exist_ok=True)
        if not inside(self._folder, parent):
            raise DownloadError(f"{parent} leads out of the folder (a link); nothing was written there.")
        part = parent / f"{TEMPORARY}{secrets.token_hex(8)}{SUFFIX}"
        try:
            with self._begun(part) as file:
                clip = fetch(self._client, job.source, self._wav, file, self._cancel)
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
