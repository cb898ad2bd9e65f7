"""Is a folder's audio still what was pulled? Every file is read and hashed again."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from typing import Any

import pandas as pd

from histkit.audio.destination import Destination, open_destination
from histkit.audio.manifest import MANIFEST, Entry, FolderManifest
from histkit.errors import DownloadError
from histkit.util.progress import progress_bar
from histkit.util.text import error_line
from histkit.util.threads import map_threads

_READERS = 4
COLUMNS = {
    "history_item_id": "string[pyarrow]",
    "path": "string[pyarrow]",
    "status": "string[pyarrow]",
    "bytes": "Int64",
    "sha256": "string[pyarrow]",
    "error": "string[pyarrow]",
}


def verify(
    folder: str | os.PathLike[str],
    *,
    forget: bool = False,
    progress: bool | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Read every file of a folder of `download_audio` and compare it with what the manifest says. No request.

    Parameters
    ----------
    folder : path-like or str
        The folder, or a URL that fsspec knows.
    forget : bool
        Take files that are changed or missing out of the manifest, so that the next pull fetches them again. The files
        stay until then.
    progress : bool, optional
        Show a bar; default: in a notebook and on a terminal.
    storage_options : mapping, optional
        Passed to fsspec.

    Returns
    -------
    DataFrame
        One row for each file of the manifest, by path: ``history_item_id``, ``path``, ``status`` (``ok``, ``changed``,
        ``missing``, ``unreadable``), ``bytes`` (Int64) and ``sha256`` as found, ``error`` (one line).
        ``attrs["histkit"]`` counts them, and names the ``folder``.

    Raises
    ------
    DownloadError
        There is no manifest, or it can't be read, or another pull is writing into the folder.

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
    target = open_destination(folder, storage_options)
    try:
        with target.lock() if forget and FolderManifest(target).files() else nullcontext():
            record = FolderManifest(target)
            entries = record.files()
            _refuse_strange(target, record)
            found = _looked_at(target, entries, progress)
            lost = [entry.path for entry, status, *_ in found if status in ("changed", "missing") and entry.path]
            if forget and lost:
                record.forget(lost)
    finally:
        target.close()
    rows = [(e.history_item_id, e.path, status, *rest) for e, status, *rest in found]
    table = pd.DataFrame(
        {name: pd.array([row[at] for row in rows], dtype=dtype) for at, (name, dtype) in enumerate(COLUMNS.items())}  # type: ignore[call-overload,unused-ignore]
    )
    counts = {status: int(count) for status, count in table["status"].value_counts().items()}
    table.attrs["histkit"] = {"folder": target.name, "counts": counts, "forgotten": len(lost) if forget else 0}
    return table


def verified_copies(
    folder: str | os.PathLike[str],
    ids: Iterable[str],
    *,
    progress: bool | None = False,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, Entry]:
    """Give a file of each clip that has one whose bytes are those that were pulled; each is read and hashed.

    Parameters
    ----------
    folder : path-like or str
        A folder of `download_audio`, or a URL that fsspec knows.
    ids : iterable of str
        History items.
    progress : bool, optional
        Show a bar; None: in a notebook and on a terminal.
    storage_options : mapping, optional
        Passed to fsspec.

    Raises
    ------
    DownloadError
        There is no manifest, or it can't be read.
    """
    target = open_destination(folder, storage_options)
    try:
        record = FolderManifest(target)
        _refuse_strange(target, record)
        found = _looked_at(target, record.files_of(ids), progress)
    finally:
        target.close()
    return {entry.history_item_id: entry for entry, status, *_ in found if status == "ok"}


def _refuse_strange(target: Destination, record: FolderManifest) -> None:
    if record.empty():
        raise DownloadError(f"{target.name} holds no {MANIFEST}: it is no folder of download_audio.")


Look = tuple[Entry, str, int | None, str | None, str | None]


def _looked_at(target: Destination, entries: Sequence[Entry], progress: bool | None) -> list[Look]:
    """Hash files side by side; gives entry, status, bytes, sha256 and what is wrong, in order."""

    def look(entry: Entry) -> Look:
        try:
            with target.open(str(entry.path)) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
                size = file.tell()
        except FileNotFoundError:
            return entry, "missing", None, None, "The file is not there."
        except (OSError, DownloadError) as error:
            return entry, "unreadable", None, None, error_line(error)
        if digest == entry.sha256:
            return entry, "ok", size, digest, None
        return entry, "changed", size, digest, f"It was {entry.bytes:,} bytes of another content."

    found = []
    with (
        progress_bar(progress, total=len(entries), desc="Verify", unit="file") as bar,
        closing(map_threads(look, entries, _READERS, threading.Event(), in_order=True)) as done,
    ):
        for _, looked in done:
            found.append(looked)
            bar.update()
    return found
