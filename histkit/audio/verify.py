"""Verify downloaded files against the hashes in a folder's manifest."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from histkit.audio.destination import Destination, open_destination
from histkit.audio.jobs import validate_options
from histkit.audio.manifest import MANIFEST, Entry, FolderManifest
from histkit.errors import DownloadError
from histkit.util.files import sha256_of
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


@dataclass(frozen=True)
class FileCheck:
    """Result of reading one file of a manifest; the attributes but `entry` are columns of `verify`."""

    entry: Entry
    status: Literal["ok", "changed", "missing", "unreadable"]
    bytes: int | None = None
    sha256: str | None = None
    error: str | None = None

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
    progress: bool | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Verify the files of a `download_audio` folder against the hashes in its manifest. Makes no request.

    Parameters
    ----------
    folder : path-like or str
        The folder, or a URL that fsspec knows.
    forget : bool
        Remove changed and missing files from the manifest, so that the next `download_audio` replaces them. The files
        themselves stay until then.
    progress : bool, optional
        Show a progress bar; default: in a notebook and on a terminal.
    storage_options : mapping, optional
        Passed to fsspec.

    Returns
    -------
    DataFrame
        One row per file of the manifest, sorted by path: ``history_item_id``, ``path``, ``status`` (``ok``,
        ``changed``, ``missing``, ``unreadable``), ``bytes`` (Int64) and ``sha256`` of the file read, ``error`` (one
        line). ``attrs["histkit"]`` has ``folder`` (absolute path or URL), ``counts`` (files by status) and
        ``forgotten`` (files).

    Raises
    ------
    InputError
        `folder` is neither a path nor a URL.
    DownloadError
        There is no manifest, or it can't be read, or (with `forget`) another download is writing into the folder.

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
    validate_options(progress=progress, forget=forget)
    with closing(open_destination(folder, storage_options)) as destination:
        _existing_manifest(destination)  # before the lock, which would create the folder
        with destination.lock() if forget else nullcontext():
            record = _existing_manifest(destination)
            checks = _check_files(destination, record.files(), progress)
            lost = [check.path for check in checks if check.status in ("changed", "missing")]
            if forget and lost:
                record.forget(lost)
    data = {
        name: pd.array([getattr(check, name) for check in checks], dtype=dtype)  # type: ignore[call-overload,unused-ignore]
        for name, dtype in COLUMNS.items()
    }
    table = pd.DataFrame(data)
    counts = {status: int(count) for status, count in table["status"].value_counts().items()}
    forgotten = len(lost) if forget else 0
    table.attrs["histkit"] = {"folder": destination.address, "counts": counts, "forgotten": forgotten}
    return table


def verified_copies(
    folder: str | os.PathLike[str],
    ids: Iterable[str],
    *,
    progress: bool | None = False,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, Entry]:
    """Return the history items that have a file whose hash matches the manifest. Each file is read.

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
        record = _existing_manifest(destination)
        checks = _check_files(destination, record.files_of(ids), progress)
    return {check.history_item_id: check.entry for check in checks if check.status == "ok"}


def _existing_manifest(destination: Destination) -> FolderManifest:
    record = FolderManifest(destination)
    if record.is_empty():
        raise DownloadError(f"{destination.name} holds no {MANIFEST}: it is not a folder of download_audio.")
    return record


def _check_files(destination: Destination, entries: Sequence[Entry], progress: bool | None) -> list[FileCheck]:
    """Read and hash files in several threads; the results are in the order of `entries`."""

    def check(entry: Entry) -> FileCheck:
        try:
            with destination.open(str(entry.path)) as file:
                digest = sha256_of(file)  # type: ignore[arg-type]
                size = file.tell()
        except FileNotFoundError:
            return FileCheck(entry, "missing", error="The file does not exist.")
        except (OSError, DownloadError) as error:
            return FileCheck(entry, "unreadable", error=error_line(error))
        if digest == entry.sha256:
            return FileCheck(entry, "ok", size, digest)
        return FileCheck(entry, "changed", size, digest, f"Its content has changed; it had {entry.bytes:,} bytes.")

    checks = []
    with (
        progress_bar(progress, total=len(entries), desc="Verify", unit="file") as bar,
        closing(map_threads(check, entries, _READERS, threading.Event(), in_order=True)) as done,
    ):
        for _, result in done:
            checks.append(result)
            bar.update()
    return checks
