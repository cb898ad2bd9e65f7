"""The local history: `sync` keeps it up to date, `load` reads it, `scan` gives it to Dask.

A folder of Parquet files that any tool reads, one a month (see `histkit.archive.partitions`); the work of an unfinished
sync lies in its subfolder ``.histkit``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from histkit.archive.manifest import WORK, HistoryManifest, newest_first, partition_span, read_manifest
from histkit.archive.partitions import FILE_SCHEMA, LOADED, TIE, PartitionReader, sort_rows
from histkit.errors import ArchiveError, InputError
from histkit.frame.dates import date_range
from histkit.frame.filters import RowFilter, as_name_list, name_test
from histkit.frame.schema import TEXT, to_frame
from histkit.util.storage import ReadStore

if TYPE_CHECKING:
    import pandas as pd

_READERS = min(4, os.cpu_count() or 1)


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
    opened = open_history(
        path, columns, after, before, account, storage_options, voice=voice, model=model, source=source
    )
    if len(opened.files) > 1:
        with ThreadPoolExecutor(min(_READERS, len(opened.files))) as pool:
            tables = list(pool.map(opened.read, opened.files))
    else:
        tables = [opened.read(file) for file in opened.files]
    frame = to_frame(pa.concat_tables([*tables, opened.empty()]))
    del tables
    frame.attrs["histkit"] = opened.facts
    return frame


@dataclass(frozen=True)
class LocalHistory:
    """A local history opened for reading: where it is, what is wanted, and in which files."""

    store: ReadStore
    wanted: LoadQuery
    files: list[str]
    facts: dict[str, Any]

    def read(self, file: str) -> pa.Table:
        """Read the matching rows of one month."""
        return self.wanted.read(self.store, file)

    def frame(self, file: str | None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Read one month as a frame; no file, no rows."""
        if file is None:
            return to_frame(self.empty() if columns is None else self.empty().select(columns))
        return to_frame(self.wanted.read(self.store, file, columns))

    def empty(self) -> pa.Table:
        """Return a table without rows, with the columns that are read."""
        return pa.schema([FILE_SCHEMA.field(name) for name in self.wanted.columns]).empty_table()


def open_history(
    path: str | os.PathLike[str],
    columns: Sequence[str] | None,
    after: Any,
    before: Any,
    account: str | Iterable[str] | None,
    storage_options: Mapping[str, Any] | None,
    **conditions: Any,
) -> LocalHistory:
    """Open a local history: check its manifest and choose the months that can hold matching rows."""
    wanted = LoadQuery.of(columns, after, before, account, **conditions)
    store = ReadStore(path, storage_options)
    manifest = read_manifest(store)
    if manifest is None:
        if store.remote:
            raise ArchiveError(f"{store.name} holds no local history: copy the folder of a sync there.")
        begun = (Path(store.name) / WORK).is_dir()
        what = "a first sync that has not ended: sync again and it goes on" if begun else "no local history: sync first"
        raise ArchiveError(f"{store.name} holds {what} (histkit.sync({store.name!r}), or histkit sync).")
    wanted = wanted.within(manifest)
    address = store.name if store.remote else str(Path(store.name).absolute())
    facts = {"complete": True, "synced_at": manifest.synced_at, "path": address}
    return LocalHistory(store, wanted, wanted.files(manifest), facts)


_ORDER = ("date_unix", "account", TIE)


@dataclass(frozen=True)
class LoadQuery:
    """Conditions and columns; `voices` are the (id, name) pairs that the condition on the voice means."""

    columns: tuple[str, ...] = LOADED
    after: int | None = None
    before: int | None = None
    selection: RowFilter = field(default_factory=RowFilter)
    accounts: tuple[str, ...] | None = None
    voices: tuple[tuple[str | None, str | None], ...] | None = None

    @classmethod
    def of(
        cls,
        columns: Sequence[str] | None,
        after: Any,
        before: Any,
        account: str | Iterable[str] | None,
        **conditions: Any,
    ) -> LoadQuery:
        """Check a user's arguments."""
        if isinstance(columns, str):
            raise InputError(f"columns= takes a list of names: columns=[{columns!r}].")
        names = LOADED if columns is None else tuple(columns)
        unknown = [name for name in names if name not in LOADED]
        if unknown:
            raise InputError(f"columns={unknown[0]!r} is no column of a local history; it has {', '.join(LOADED)}.")
        first, end = date_range(after, before)
        accounts = as_name_list(account, "account")
        return cls(tuple(dict.fromkeys(names)), first, end, RowFilter.of(**conditions), accounts)

    def within(self, manifest: HistoryManifest) -> LoadQuery:
        """Look up the voices that are meant."""
        names = self.selection.voice
        if names is None:
            return self
        test = name_test(names)
        pairs = tuple((item, name) for item, name in manifest.voices if item in names or (name and test(name)))
        return replace(self, voices=pairs)

    def files(self, manifest: HistoryManifest) -> list[str]:
        """Give the months that can hold such rows, newest first."""
        if self.voices is not None and not self.voices:
            return []
        found = []
        for file in newest_first(manifest.months):
            span = partition_span(file)
            early = self.before is not None and (span is None or span[0] >= self.before)
            late = self.after is not None and (span is None or span[1] <= self.after)
            if not early and not late:
                found.append(file)
        return found

    def read(self, store: ReadStore, file: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a month's rows that meet the conditions, newest first; `columns` are fewer than those wanted."""
        names = self.columns if columns is None else tuple(columns)
        with PartitionReader(store, file) as month:
            groups = [group for group in month.groups() if self._may_hold(month, group)]
            table = month.read(groups, list(dict.fromkeys((*names, *_ORDER, *self._needed()))))
        return sort_rows(self._filtered(table)).select(names)

    def _needed(self) -> list[str]:
        return [*self.selection.columns()]

    def _may_hold(self, month: PartitionReader, group: int) -> bool:
        dates = month.bounds(group, "date_unix")
        if dates is not None and (self.after is not None or self.before is not None):
            if dates[0] is None or (self.before is not None and dates[0] >= self.before):
                return False
            if self.after is not None and dates[1] < self.after:
                return False
        if self.voices is None:
            return True
        ids, names = month.bounds(group, "voice_id"), month.bounds(group, "voice_name")
        return any(_between(name, names) if item is None else _between(item, ids) for item, name in self.voices)

    def _filtered(self, table: pa.Table) -> pa.Table:
        dates = table.column("date_unix")
        masks = []
        if self.after is not None:
            masks.append(pc.greater_equal(dates, self.after))
        if self.before is not None:
            masks.append(pc.less(dates, self.before))
        if self.accounts is not None:
            masks.append(pc.is_in(table.column("account").cast(TEXT), pa.array(self.accounts, TEXT)))
        if masks:
            table = table.filter(pc.fill_null(reduce(pc.and_, masks), False))
        return self.selection.select(table)


def _between(word: str | None, bounds: tuple[Any, Any, int] | None) -> bool:
    if bounds is None:
        return True
    if word is None:
        return bounds[2] > 0
    return bounds[0] is not None and bounds[0] <= word <= bounds[1]
