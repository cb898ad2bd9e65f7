"""One zip of many clips: entries in the order of the rows, the same rows give the same bytes."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from histkit._jobs import Job, checked, ids_of, jobs_of, trouble
from histkit._manifest import SUFFIX, TEMPORARY, Entry, manifest_frame
from histkit._progress import progress_bar
from histkit._pull import client_or_own, fetch, side_by_side, threads_for
from histkit.client import HistoryClient
from histkit.clips import BLOCK
from histkit.errors import DownloadError, HistkitError, InputError
from histkit.exports import to_csv
from histkit.names import DEFAULT_NAME, Template, stems_of

Spooled = tuple[Entry, BinaryIO | None]


def download_zip(
    items: pd.DataFrame | pd.Series,
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    format: str | None = None,
    progress: bool | None = None,
    client: HistoryClient | None = None,
) -> pd.DataFrame:
    """Pull the audio of any number of rows into one zip, one entry for each clip. Costs no credits.

    The same rows give the same bytes: entries stand in the order of the rows and have their dates. ``manifest.csv`` in
    it says which entry is which row. Memory does not grow with the number of rows.

    Parameters
    ----------
    items : DataFrame or Series
        As in `download_audio`; a clip that stands in several rows is one entry.
    path : path-like
        The zip; it is replaced only when the new one is whole.
    name : str, optional
        As in `download_audio`.
    format : {None, "wav"}
        As in `download_audio`.
    progress : bool, optional
        Show a bar; default: in a notebook and on a terminal.
    client : HistoryClient, optional
        Default: one made of the environment.

    Returns
    -------
    DataFrame
        The manifest, as of `download_audio`; ``path`` is the entry. A clip that could not be had is not in the zip,
        and its row says why. ``attrs["histkit"]["zip"]`` is the path.

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
    >>> pulled.status.tolist()
    ['done', 'done']
    """
    wav = checked(format, None)
    template = Template.parse(DEFAULT_NAME if name is None else name)
    ids = ids_of(items)
    if not ids:
        raise InputError("There are no rows to put into a zip.")
    jobs = jobs_of(items, ids, stems_of(items, template), {})
    moments = dict(zip(ids, _moments(items), strict=True))
    target = Path(path)
    if target.is_dir():
        raise InputError(f"path={str(path)!r} is a folder; give the name of the zip.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with client_or_own(client) as client, _beside(target) as file:
        found: dict[str, Entry] = {}
        with (
            zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
            closing(_spooled(client, jobs, wav, target.parent, progress)) as clips,
        ):
            for entry, spool in clips:
                found[entry.history_item_id] = entry
                if spool is not None:
                    _put(archive, entry, spool, moments[entry.history_item_id])
            if all(entry.path is None for entry in found.values()):
                raise DownloadError(f"No clip could be had, so there is no zip; the first: {found[ids[0]].error}")
            manifest = manifest_frame((found[item] for item in ids), items.index)
            _put_manifest(archive, manifest)
    manifest.attrs["histkit"] = {"zip": str(target)}
    return manifest


def _moments(items: pd.DataFrame | pd.Series) -> list[datetime | None]:
    if not isinstance(items, pd.DataFrame) or "date" not in items.columns:
        return [None] * len(items)
    return [None if pd.isna(each) else each for each in pd.to_datetime(items["date"], utc=True)]


def _spooled(
    client: HistoryClient, jobs: Sequence[Job], wav: bool, folder: Path, progress: bool | None
) -> Generator[Spooled, None, None]:
    """Pull clips side by side into nameless temporary files, and give them one by one in order."""
    cancel, lock = threading.Event(), threading.Lock()
    spools: set[BinaryIO] = set()

    def pull(job: Job) -> Spooled:
        item = job.source.history_item_id
        spool: BinaryIO = tempfile.TemporaryFile(dir=folder, prefix=TEMPORARY, suffix=SUFFIX)
        with lock:
            spools.add(spool)
        try:
            clip = fetch(client, job.source, wav, spool, cancel)
        except (HistkitError, OSError) as error:
            spool.close()
            return trouble(item, error), None
        path = f"{job.stem}.{clip.extension}"
        return Entry(item, path, "done", clip.bytes, clip.seconds, clip.sha256), spool

    workers, pulled = threads_for(client), 0
    try:
        with (
            progress_bar(progress, total=len(jobs), desc="Zip", unit="file") as bar,
            closing(side_by_side(pull, jobs, workers, cancel, in_order=True)) as done,
        ):
            for _, (entry, spool) in done:
                yield entry, spool
                if spool is not None:
                    spool.close()
                    with lock:
                        spools.discard(spool)
                pulled += entry.bytes or 0
                bar.set_postfix_str(f"{pulled / 1e6:.1f} MB", refresh=False)
                bar.update()
    finally:
        with lock:
            for spool in spools:
                spool.close()


def _put(archive: zipfile.ZipFile, entry: Entry, spool: BinaryIO, moment: datetime | None) -> None:
    info = _info(str(entry.path), moment)
    info.file_size = entry.bytes or 0  # tells zipfile whether the entry needs ZIP64
    spool.seek(0)
    with archive.open(info, "w") as file:
        shutil.copyfileobj(spool, file, BLOCK)


def _put_manifest(archive: zipfile.ZipFile, manifest: pd.DataFrame) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive.writestr(_info("manifest.csv", None), to_csv(manifest, Path(folder) / "manifest.csv").read_bytes())


def _info(name: str, moment: datetime | None) -> zipfile.ZipInfo:
    known = moment is not None and 1980 <= moment.year <= 2107
    info = zipfile.ZipInfo(name, moment.timetuple()[:6] if moment is not None and known else (1980, 1, 1, 0, 0, 0))
    info.external_attr, info.create_system = 0o644 << 16, 3  # the same on every system
    return info


@contextmanager
def _beside(target: Path) -> Iterator[BinaryIO]:
    """Give a temporary file that takes the target's place when the block ends well, and vanishes otherwise."""
    part = target.parent / f"{TEMPORARY}{secrets.token_hex(8)}{SUFFIX}"
    try:
        with part.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
