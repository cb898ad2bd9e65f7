"""The local history: `sync` keeps it up to date, `load` reads it, `scan` gives it to Dask.

A folder of Parquet files that any tool reads, one a month (see `histkit.archive.partitions`); the work of an unfinished
sync lies in its subfolder ``.histkit``.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from histkit.api.client import HistoryClient
from histkit.archive.manifest import WORK, read_manifest
from histkit.archive.partitions import FILE_SCHEMA
from histkit.archive.query import Wanted
from histkit.archive.sync import Run, checked_clients
from histkit.errors import ArchiveError, InputError
from histkit.fetch.reader import warn_of_problems
from histkit.frame.schema import to_frame
from histkit.util.files import locked
from histkit.util.progress import in_notebook
from histkit.util.storage import Store, folder_of

if TYPE_CHECKING:
    import dask.dataframe as dd
    import pandas as pd

_READERS = min(4, os.cpu_count() or 1)


def sync(
    path: str | os.PathLike[str] = "data/history",
    *,
    full: bool = False,
    accounts: Mapping[str, HistoryClient] | None = None,
    diff: bool = False,
    client: HistoryClient | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Bring a local history up to date and give it: everything is fetched the first time, then only what is new.

    Pages are written down as they arrive. Whatever ends a sync, the next one goes on there.

    Parameters
    ----------
    path : path-like, default "data/history"
        The folder; it is made.
    full : bool
        Read the whole history again: rows that changed are brought up to date, rows that the service has no more are
        kept and marked ``missing_since``.
    accounts : mapping of str to HistoryClient, optional
        Several accounts in one folder, told apart by the column ``account``. One that fails does not stop the others;
        a warning says so in the end.
    diff : bool
        Give the rows that are new, changed or missing instead of the history, which is then not read: memory stays
        flat, and a sync that finds nothing new takes a fraction of a second.
    client : HistoryClient, optional
        Default: one made of ``ELEVENLABS_API_KEY``.
    workers : int, optional
        Windows paged side by side; default: the client's ``max_concurrency`` (4).
    progress : bool, optional
        Show bars and a line of what was found; default: bars in notebooks and on terminals, the line always.

    Returns
    -------
    pandas.DataFrame
        As `load`. ``attrs["histkit"]`` also has ``diff`` (``new``, ``changed``, ``missing``: numbers of rows),
        ``requests`` and ``failed`` (account to error). With `diff`: one row for each row of the history that is new,
        changed or missing, with the columns ``change``, ``account``, ``history_item_id``, ``date``, ``voice_name``,
        ``characters``, ``credits``.

    Raises
    ------
    ArchiveError
        Another sync is writing into the folder; a file is damaged or can't be written; the key is of another account.
    PaginationError
        The history could not be read to its end. What was read is kept.
    InputError
        An argument that can't be used.
    ApiError, TransportError
        The first request failed (see `histkit.errors`).

    Notes
    -----
    New rows appear in the service's listing seconds late, and rows of one second tie. So the newest hour (at most 500
    rows) is read again each time, and rows that were still ``processing`` are asked for again for 30 days; ids tell
    what is known. A row that a full sync does not find is asked for by its id (up to 20 of them) before any is called
    missing.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=500) as box:
    ...     client = hk.HistoryClient(box.api_key, base_url=box.url)
    ...     df = hk.sync("history", client=client, progress=False)
    ...     new = box.add(3)
    ...     again = hk.sync("history", client=client, progress=False)
    >>> len(df), len(again), again.attrs["histkit"]["diff"]
    (500, 503, {'new': 3, 'changed': 0, 'missing': 0})
    """
    folder, clients = Path(folder_of(path)), checked_clients(path, accounts, client, workers)
    own = None
    if clients is None:
        own = HistoryClient(max_concurrency=max(4, workers or 0))
        clients = {"": own}
    busy = f"Another sync is writing into {folder}: wait for it to end."
    try:
        with locked(folder / WORK / "lock", busy):
            run = Run(folder, full=full, workers=workers, progress=progress, diff=diff)
            run.sync(clients)
    finally:
        if own is not None:
            own.close()
    if progress is not False:
        print(run.summary(), file=None if in_notebook() else sys.stderr)
    warn_of_problems(run.problems, stacklevel=3)
    if run.failed:
        failures = "; ".join(f"{name}: {error}" for name, error in run.failed.items())
        warnings.warn(f"{len(run.failed)} of {len(clients)} accounts were not synced: {failures}", stacklevel=2)
    frame = to_frame(run.diff_table()) if diff else load(folder)
    frame.attrs["histkit"] = {**frame.attrs.get("histkit", {}), **run.facts()}
    return frame


def load(
    path: str | os.PathLike[str] = "data/history",
    *,
    columns: Sequence[str] | None = None,
    after: Any = None,
    before: Any = None,
    voice: str | Iterable[str] | None = None,
    model: str | Iterable[str] | None = None,
    source: str | Iterable[str] | None = None,
    account: str | Iterable[str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Read a local history, or a part of it; no network but for a remote `path`.

    Months outside the dates, columns that are not asked for, and groups of rows without a voice that is asked for are
    not read from disk.

    Parameters
    ----------
    path : path-like or str
        The folder of `sync`, or a URL that fsspec knows (``s3://bucket/history``; extra ``remote``).
    columns : sequence of str, optional
        Only these columns, in this order.
    after, before : str, datetime, Timestamp or int, optional
        Dates: after is inclusive, before exclusive; a naive one is UTC, a number is seconds since 1970.
    voice, model, source : str or list of str, optional
        As in `read_history`.
    account : str or list of str, optional
        Names of accounts.
    storage_options : mapping, optional
        Passed to fsspec.

    Returns
    -------
    pandas.DataFrame
        The columns of `histkit.COLUMNS`, and ``account`` (category) and ``missing_since`` (datetime64[us, UTC]), newest
        first, those of one second as the service gave them, on a RangeIndex. ``attrs["histkit"]`` has ``complete``,
        ``synced_at`` and ``path``.

    Raises
    ------
    ArchiveError
        There is no local history; a file is missing or damaged, or a newer histkit wrote it. The message names it.
    InputError
        An argument that can't be used.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=500) as box:
    ...     df = hk.sync("history", client=hk.HistoryClient(box.api_key, base_url=box.url), progress=False)
    >>> hk.load("history", columns=["date", "credits"], after="2026-10-01").columns.tolist()
    ['date', 'credits']
    """
    opened = _opened(path, columns, after, before, account, storage_options, voice=voice, model=model, source=source)
    if len(opened.files) > 1:
        with ThreadPoolExecutor(min(_READERS, len(opened.files))) as pool:
            tables = list(pool.map(opened.read, opened.files))
    else:
        tables = [opened.read(file) for file in opened.files]
    frame = to_frame(pa.concat_tables([*tables, opened.empty()]))
    del tables
    frame.attrs["histkit"] = opened.facts
    return frame


def scan(
    path: str | os.PathLike[str] = "data/history",
    *,
    columns: Sequence[str] | None = None,
    after: Any = None,
    before: Any = None,
    voice: str | Iterable[str] | None = None,
    model: str | Iterable[str] | None = None,
    source: str | Iterable[str] | None = None,
    account: str | Iterable[str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> dd.DataFrame:
    """Give a local history to Dask, one partition a month; needs the extra ``dask``.

    ``filter``, ``usage``, ``label`` and ``takes`` run on it through the same ``ddf.speech``, with the same numbers.

    Parameters
    ----------
    path, columns, after, before, voice, model, source, account, storage_options
        As in `load`.

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy; the columns and dtypes of `load`, months from the newest down. Nothing is read but the manifest.

    Raises
    ------
    ArchiveError, InputError
        As `load`, as far as the manifest tells; a damaged month is named when it is computed.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=500) as box:
    ...     df = hk.sync("history", client=hk.HistoryClient(box.api_key, base_url=box.url), progress=False)
    >>> ddf = hk.scan("history")
    >>> int(ddf["credits"].sum().compute()) == int(df["credits"].sum())
    True
    """
    try:
        from histkit.dask import from_months
    except ImportError as error:
        raise InputError(f"scan() needs Dask ({error}): pip install 'histkit[dask]'.") from None
    opened = _opened(path, columns, after, before, account, storage_options, voice=voice, model=model, source=source)
    return from_months(opened.frame, opened.files or [None], to_frame(opened.empty()))


@dataclass(frozen=True)
class _Opened:
    """A local history opened for reading: where it is, what is wanted, and in which files."""

    store: Store
    wanted: Wanted
    files: list[str]
    facts: dict[str, Any]

    def read(self, file: str) -> pa.Table:
        return self.wanted.read(self.store, file)

    def frame(self, file: str | None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        if file is None:
            return to_frame(self.empty() if columns is None else self.empty().select(columns))
        return to_frame(self.wanted.read(self.store, file, columns))

    def empty(self) -> pa.Table:
        return pa.schema([FILE_SCHEMA.field(name) for name in self.wanted.columns]).empty_table()


def _opened(
    path: str | os.PathLike[str],
    columns: Sequence[str] | None,
    after: Any,
    before: Any,
    account: str | Iterable[str] | None,
    storage_options: Mapping[str, Any] | None,
    **conditions: Any,
) -> _Opened:
    wanted = Wanted.of(columns, after, before, account, **conditions)
    store = Store(path, storage_options)
    manifest = read_manifest(store)
    if manifest is None:
        if store.remote:
            raise ArchiveError(f"{store.name} holds no local history: copy the folder of a sync there.")
        begun = (Path(store.name) / WORK).is_dir()
        what = "a first sync that has not ended: sync again and it goes on" if begun else "no local history: sync first"
        raise ArchiveError(f"{store.name} holds {what} (histkit.sync({store.name!r}), or histkit sync).")
    wanted = wanted.within(manifest)
    facts = {"complete": True, "synced_at": manifest.synced_at, "path": store.name}
    return _Opened(store, wanted, wanted.files(manifest), facts)
