"""Read a local history: `load` and what `histkit.scan` needs.

The months are a `pyarrow.dataset` whose fragments have the month's dates as partition expression: pruning of months and
row groups, filters, and casts of older schemas are Arrow's.
"""

from __future__ import annotations

import os
import threading
import warnings
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import tzinfo
from functools import reduce
from operator import and_
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from histkit.archive.integrity import warn_of_strays
from histkit.archive.manifest import (
    WORK,
    HistoryManifest,
    Month,
    crc_of,
    month_label,
    newest_first,
    partition_span,
    read_manifest,
    read_replaced,
    twin_of,
)
from histkit.archive.merge import id_keys
from histkit.archive.partitions import (
    DAMAGE,
    FILE_SCHEMA,
    LOADED,
    REFETCH,
    TIE,
    GroupStatistics,
    PartitionReader,
    changed_error,
    damaged_error,
    rows_of_month,
    sort_rows,
)
from histkit.errors import ArchiveError, HistkitError, InputError
from histkit.frame.filters import RowFilter, known_names, name_test
from histkit.frame.names import KnownNames, warn_unmatched
from histkit.frame.parquet_metadata import read_footer, readable_schema, upgrade_schema
from histkit.frame.provenance import record_selection
from histkit.frame.schema import TEXT, category_dtype, to_frame
from histkit.util.arguments import column_names
from histkit.util.storage import ReadStore
from histkit.util.text import count_noun, error_line
from histkit.util.threads import map_threads

if TYPE_CHECKING:
    import pandas as pd

_READERS = min(4, os.cpu_count() or 1)
_ORDER = ("date_unix", "account", TIE)
_FORMAT = ds.ParquetFileFormat()
_TRIES = 3
_LATEST = 2**62  # seconds; beyond any date


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
    tz: str | tzinfo = "UTC",
) -> pd.DataFrame:
    """Read a local history, or a part of it. Only a remote `path` needs the network.

    Only what is needed is read from disk: months and row groups within the dates, row groups that can hold a requested
    voice, and the requested columns.

    Parameters
    ----------
    path : path-like or str
        The folder of `sync`, or a URL that fsspec knows (``s3://bucket/history``; extra ``remote``).
    columns : sequence of str, optional
        Only these columns, in this order.
    after, before : str, date, datetime, Timestamp or int, optional
        Dates, after inclusive and before exclusive, as in `filter_items`.
    voice, model, source : str or list of str, optional
        As in `read_history`.
    account : str or list of str, optional
        Names of accounts.
    storage_options : mapping, optional
        Passed to fsspec.
    tz : str or tzinfo, default "UTC"
        Zone of days and naive times in `after` and `before`, an IANA name.

    Returns
    -------
    pandas.DataFrame
        The columns of `histkit.COLUMNS`, and ``account`` (category) and ``missing_since`` (datetime64[us, UTC]), newest
        first, rows of the same second in the service's order, with a RangeIndex. ``attrs["histkit"]`` has ``complete``,
        ``synced_at``, ``accounts`` (name to the time of its last sync; one without a name is ``""``), ``path``, and as
        that of `histkit.read_history` ``rows`` and ``selection``.

    Raises
    ------
    ArchiveError
        There is no local history, or a file is missing, damaged or from a newer histkit; the message names the file.
    InputError
        An argument is invalid.

    Warns
    -----
    UserWarning
        A voice, model, source or account is not in this history; the line has the names that are close to it.

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
        path, columns, after, before, account, storage_options, voice=voice, model=model, source=source, tz=tz
    )
    reading = map_threads(opened.read, opened.files, _READERS, threading.Event(), in_order=True)
    tables = [table for _, table in reading]
    empty = opened.empty()
    frame = to_frame(pa.concat_tables([*tables, empty]).cast(empty.schema))  # dtypes do not depend on the rows
    del tables
    frame.attrs["histkit"] = opened.facts
    record_selection(frame, replace(opened.query.rows, after=opened.query.after, before=opened.query.before).facts())
    _warn_unmatched_words(opened.query.rows, frame, path, storage_options)
    return frame


def _warn_unmatched_words(
    rows: RowFilter, frame: pd.DataFrame, path: str | os.PathLike[str], storage_options: Mapping[str, Any] | None
) -> None:
    """Warn of models and sources that no row of the whole history has; the manifest doesn't list them."""
    words = RowFilter(model=rows.model, source=rows.source)
    if not words.has_names() or (len(frame) and words.single_names()):
        return
    everything = open_history(path, list(words.columns()), None, None, None, storage_options)
    values = to_frame(pa.concat_tables([*(everything.read(file) for file in everything.files), everything.empty()]))
    warn_unmatched(words.unmatched(known_names(values, words)), stacklevel=3)


@dataclass(frozen=True)
class LoadQuery:
    """Columns and conditions of a `load`, checked.

    Attributes
    ----------
    columns : tuple of str
        Columns to return.
    after, before : int or None
        Seconds since 1970, inclusive and exclusive.
    rows : RowFilter
        Conditions on voice, model, source and account.
    voices : tuple of (id or None, name or None), or None
        The manifest's voices that meet the condition on the voice.
    """

    columns: tuple[str, ...]
    after: int | None
    before: int | None
    rows: RowFilter
    voices: tuple[tuple[str | None, str | None], ...] | None = None

    @classmethod
    def of(cls, columns: Sequence[str] | None, after: Any, before: Any, account: Any, **conditions: Any) -> LoadQuery:
        """Check a user's arguments; raises `InputError`."""
        names = column_names(columns)
        names = [*LOADED] if names is None else names
        unknown = [name for name in names if name not in LOADED]
        if unknown:
            raise InputError(
                f"columns={unknown[0]!r} is not a column of a local history; the columns are {', '.join(LOADED)}."
            )
        rows = RowFilter.of(account=account, after=after, before=before, **conditions)
        without_dates = replace(rows, after=None, before=None)
        return cls(tuple(dict.fromkeys(names)), rows.after, rows.before, without_dates)

    def resolve_voices(self, manifest: HistoryManifest) -> LoadQuery:
        """Return the query with the matching voices of a manifest."""
        names = self.rows.voice
        if names is None:
            return self
        test = name_test(names)
        voices = tuple((key, name) for key, name in manifest.voices if key in names or (name and test(name)))
        return replace(self, voices=voices)

    def date_filter(self) -> ds.Expression | None:
        """Return the condition on the dates; None keeps all."""
        date, parts = ds.field("date_unix"), []
        if self.after is not None:
            parts.append(date >= max(-_LATEST, min(self.after, _LATEST)))
        if self.before is not None:
            parts.append(date < max(-_LATEST, min(self.before, _LATEST)))
        return reduce(and_, parts) if parts else None

    def prune(self, fragment: ds.ParquetFileFragment) -> ds.ParquetFileFragment:
        """Drop the row groups whose statistics rule out every voice: Arrow prunes by dates, not by dictionaries."""
        if self.voices is None:
            return fragment
        statistics = GroupStatistics(fragment.metadata)
        groups = [
            group
            for group in range(fragment.num_row_groups)
            if any(
                statistics.may_hold(group, *(("voice_name", name) if key is None else ("voice_id", key)))
                for key, name in self.voices
            )
        ]
        return fragment.subset(row_group_ids=groups)


@dataclass(frozen=True)
class LocalHistory:
    """A local history opened for reading; can be pickled, for the workers of a cluster.

    Attributes
    ----------
    store : ReadStore
        The folder.
    query : LoadQuery
        Columns and conditions.
    files : list of str
        The months that can hold matching rows, newest first.
    months : dict of str to Month
        What the manifest says of all months.
    facts : dict
        For ``attrs["histkit"]``.
    """

    store: ReadStore
    query: LoadQuery
    files: list[str]
    months: dict[str, Month]
    facts: dict[str, Any]

    def read(self, file: str, columns: Sequence[str] | None = None, *, ordered: bool = True) -> pa.Table:
        """Read the matching rows of a month, newest first (`ordered`): the columns of the query, or fewer.

        Raises
        ------
        ArchiveError
            The file is missing or damaged, or a newer histkit wrote it.
        """
        names = self.query.columns if columns is None else tuple(columns)
        order = _ORDER if ordered else () if self._has_checksum(file) else _ORDER[:1]  # of which dates are checked
        needed = list(dict.fromkeys((*names, *order, *self.query.rows.columns())))
        try:
            for attempt in range(_TRIES):
                with self._open(file) as source:  # once: a sync may replace the file between two opens
                    fault = self._fault(file, source)
                    if fault is None:
                        table = self._read(file, source, needed)
                        break
                if attempt == _TRIES - 1:
                    raise changed_error(self.store.place(file), fault)
        except HistkitError:
            raise
        except FileNotFoundError:
            raise ArchiveError(f"{self.store.place(file)} is missing: restore a copy, or {REFETCH}.") from None
        except OSError as error:
            if error.errno is not None:
                raise self._read_error(file, error) from None
            raise damaged_error(self.store.place(file), error) from None  # Arrow's, about the content
        except DAMAGE as error:
            raise damaged_error(self.store.place(file), error) from None
        except Exception as error:
            if not self.store.remote:
                raise
            raise self._read_error(file, error) from None  # a remote file system raises errors of its own
        rows = self.query.rows.select(table)
        return (sort_rows(rows) if ordered else rows).select(names)

    def _open(self, file: str) -> Any:
        """Open a month's file as Arrow does."""
        system, root = self.store.arrow_filesystem()
        return system.open_input_file(f"{root}/{file}")

    def _read(self, file: str, source: Any, needed: list[str]) -> pa.Table:
        fragment = _FORMAT.make_fragment(source, partition_expression=_dates_of(file))
        read_footer(fragment.metadata.metadata, self.store.place(file))
        options = ds.ParquetFragmentScanOptions(
            pre_buffer=self.store.remote, page_checksum_verification=not self._has_checksum(file)
        )
        table = self.query.prune(fragment).to_table(
            schema=readable_schema(FILE_SCHEMA, fragment.physical_schema),
            columns=needed,
            filter=self.query.date_filter(),
            use_threads=len(self.files) == 1,  # several months are read side by side
            fragment_scan_options=options,
        )
        table = upgrade_schema(table, self.store.place(file))
        if not self._has_checksum(file):
            self._check_dates(file, table)
        return table

    def _has_checksum(self, file: str) -> bool:
        """Return whether all bytes of a file are checked; those of a remote one would all have to be fetched."""
        return not self.store.remote and self.months[file].crc32 is not None

    def _fault(self, file: str, source: Any) -> str | None:
        """Return how a file differs from the manifest and from what a sync wrote since; None if it does not."""
        known = self.months[file]
        if self.store.remote:
            return self._fault_of_remote(file, source)
        if known.crc32 is None:
            return self._fault_of_older(file, source)
        found = crc_of(source)
        if found == known.checksum:
            return None
        if any(found == month.checksum for month in self._versions(file)):
            return None
        twin = twin_of(self.months, file, found)
        return "its checksum differs" if twin is None else f"it is a copy of {month_label(twin)}"

    def _fault_of_older(self, file: str, source: Any) -> str | None:
        """Return whether a month of an older version, which a killed sync may have left, holds rows twice."""
        if source.size() == self.months[file].bytes:
            return None
        with PartitionReader(self.store, file) as month:
            keys = id_keys(month.read(month.groups(), ["history_item_id", "account"]))
        twice = len(keys) - len(pc.unique(keys))
        return f"{count_noun(twice, 'row')} twice" if twice else None

    def _fault_of_remote(self, file: str, source: Any) -> str | None:
        """Compare size and footer; the pages that are read have checksums of their own."""
        known, size = self.months[file], int(source.size())

        def is_version(month: Month) -> bool:
            if month.bytes != size or month.footer_bytes is None:
                return month.bytes == size
            footer: bytes = source.read_at(month.footer_bytes, size - month.footer_bytes)
            return bool(zlib.crc32(footer) == month.footer_crc32)

        if is_version(known) or any(map(is_version, self._versions(file))):
            return None
        return f"{size:,} bytes instead of {known.bytes:,}" if size != known.bytes else "its footer's checksum differs"

    def _versions(self, file: str) -> list[Month]:
        """Return what syncs wrote of a month after the manifest was read."""
        months = [month.month for month in read_replaced(self.store).get(file, ())]
        manifest = read_manifest(self.store)
        return [*months, *([manifest.months[file]] if manifest is not None and file in manifest.months else [])]

    def _check_dates(self, file: str, table: pa.Table) -> None:
        count = len(table) - pc.sum(rows_of_month(table, file), min_count=0).as_py()
        if count:
            what = f"{count_noun(count, 'row')} of another month"
            raise changed_error(self.store.place(file), what)

    def _read_error(self, file: str, error: Exception) -> ArchiveError:
        return ArchiveError(f"{self.store.place(file)} can't be read: {error_line(error)}.")

    def frame(self, file: str | None, columns: Sequence[str] | None = None, *, ordered: bool = True) -> pd.DataFrame:
        """Read one month as a frame; no file, no rows."""
        if file is not None:
            return _with_plain_categories(to_frame(self.read(file, columns, ordered=ordered)))
        return to_frame(self.empty() if columns is None else self.empty().select(columns))

    def empty(self) -> pa.Table:
        """Return a table without rows, with the columns of the query."""
        return pa.schema([FILE_SCHEMA.field(name) for name in self.query.columns]).empty_table()


def _dates_of(file: str) -> ds.Expression:
    """Return the condition that the dates of a month's rows meet."""
    date, span = ds.field("date_unix"), partition_span(file)
    return date.is_null() if span is None else (date >= span[0]) & (date < span[1])


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
    query = LoadQuery.of(columns, after, before, account, **conditions)
    store = ReadStore(path, storage_options)
    manifest = read_manifest(store)
    if manifest is None:
        if store.remote:
            raise ArchiveError(f"{store.name} holds no local history: copy the folder of a sync there.")
        begun = (Path(store.name) / WORK).is_dir()
        what = "an unfinished first sync: run sync again to resume" if begun else "no local history: sync first"
        raise ArchiveError(f"{store.name} holds {what} (histkit.sync({store.name!r}), or histkit sync).")
    complete = _check_manifest(store, manifest)
    known = KnownNames(set(manifest.voices), accounts={name for name in manifest.accounts if name})
    names = RowFilter(voice=query.rows.voice, account=query.rows.account)
    if manifest.months:
        warn_unmatched(names.unmatched(known), stacklevel=3)
    query = query.resolve_voices(manifest)
    facts = {
        "complete": complete,
        "synced_at": manifest.synced_at,
        "accounts": {name: account.synced_at for name, account in manifest.accounts.items()},
        "path": store.absolute,
    }
    return LocalHistory(store, query, _matching_files(store, manifest, query), manifest.months, facts)


def _check_manifest(store: ReadStore, manifest: HistoryManifest) -> bool:
    """Warn of what the history lacks and of files that it doesn't have; return whether it is complete."""
    if not store.remote:
        warn_of_strays(Path(store.name), manifest)
        months = (month for months in read_replaced(store).values() for month in months)
        manifest.voices += [voice for month in months for voice in month.voices]
    lost = [name or "the account" for name, account in manifest.accounts.items() if account.incomplete]
    if lost:
        warnings.warn(
            f"{store.name}: rows of {', '.join(lost)} were lost with a month's file and not read again yet: run "
            "sync(full=True).",
            stacklevel=4,
        )
    _warn_of_doubles(store, manifest)
    return not lost


def _warn_of_doubles(store: ReadStore, manifest: HistoryManifest) -> None:
    """Warn of rows in two months, which can be there only if a month was damaged during a sync, and restored."""
    files = {file for files in manifest.unsearched.values() for file in files} & manifest.months.keys()
    if not files:
        return
    keys: dict[bool, list[pa.Array]] = {True: [], False: []}
    for file, known in manifest.months.items():
        with suppress(ArchiveError), PartitionReader(store, file, known) as month:  # a damaged one is named when read
            keys[file in files] += id_keys(month.read(month.groups(), ["history_item_id", "account"])).chunks
    stale = pa.chunked_array(keys[True], TEXT)
    twice = pc.sum(pc.is_in(stale, pa.chunked_array(keys[False], TEXT))).as_py() or 0
    if twice:
        months = ", ".join(month_label(file) for file in newest_first(files))
        verb = "is" if twice == 1 else "are"
        warnings.warn(
            f"{store.name}: {count_noun(twice, 'row')} {verb} there twice, in {months} and in the month of the later "
            "date, because the file was damaged when a sync stored them: run sync(full=True).",
            stacklevel=5,
        )


def _matching_files(store: ReadStore, manifest: HistoryManifest, query: LoadQuery) -> list[str]:
    """Return the months that can hold a matching row, newest first."""
    if query.voices == ():
        return []
    system, root = store.arrow_filesystem()
    fragments = {
        file: _FORMAT.make_fragment(f"{root}/{file}", system, partition_expression=_dates_of(file))
        for file in newest_first(manifest.months)
    }
    dataset = ds.FileSystemDataset(list(fragments.values()), FILE_SCHEMA, _FORMAT, system)
    kept = {fragment.path for fragment in dataset.get_fragments(query.date_filter())}
    return [file for file, fragment in fragments.items() if fragment.path in kept]


def _with_plain_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame in which categories of texts have one dtype, also where there are none: Dask requires that."""
    import pandas as pd

    none = pd.Index([], dtype=category_dtype())
    bare = [
        name
        for name, dtype in frame.dtypes.items()
        if isinstance(dtype, pd.CategoricalDtype) and dtype.categories.empty
    ]
    return frame.assign(
        **{str(name): pd.Categorical.from_codes(frame[name].cat.codes, categories=none) for name in bare}
    )
