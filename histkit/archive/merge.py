"""Merge the fetched pages of all accounts into the months: an upsert by account and id.

A month is written once, whatever the number of accounts, and not at all without a change. It is merged in slices of
time, so that memory does not grow with the month.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from histkit.archive.checkpoint import StagedPage
from histkit.archive.manifest import (
    HistoryManifest,
    Month,
    newest_first,
    partition_path,
    partition_span,
)
from histkit.archive.partitions import (
    FILE_SCHEMA,
    TIE,
    ChangedMonthError,
    PartitionReader,
    sort_rows,
    word_ranks,
    word_rows,
    writing_month,
)
from histkit.errors import ArchiveError
from histkit.frame.schema import CATEGORY, DATE, SCHEMA, TEXT, one_array
from histkit.util.arrays import Ints, Mask
from histkit.util.storage import ReadStore

_IDENTITY = ["history_item_id", "account", "missing_since"]
_MOST_ROWS, _MOST_BLOCK_ROWS = 65_536, 131_072  # in a slice, and in the months that are read at once, about
_NO_MONTH = -(2**40)
_SEPARATOR = pa.scalar("\0", TEXT)
_JSON = ("extra", "dialogue")
_DIFF_COLUMNS = ("account", "history_item_id", "date", "voice_name", "characters", "credits")
DIFF_SCHEMA = pa.schema([("change", CATEGORY), *(FILE_SCHEMA.field(name) for name in _DIFF_COLUMNS)])


@dataclass
class Diff:
    """The changes of a sync: numbers of new, changed and missing rows, and the rows themselves if `keep_rows`.

    Restored rows were lost with a month's file and are fetched again.
    """

    keep_rows: bool
    new: int = 0
    changed: int = 0
    missing: int = 0
    restored: int = 0
    moved: int = 0  # rows that are in another month now
    tables: list[pa.Table] = field(default_factory=list)

    def add(self, other: Diff) -> None:
        """Add the changes of another part of the sync."""
        self.new += other.new
        self.changed += other.changed
        self.missing += other.missing
        self.restored += other.restored
        self.tables += other.tables

    def record(self, change: str, rows: pa.Table) -> None:
        """Count rows of one kind of change, and keep them if `keep_rows`."""
        setattr(self, change, getattr(self, change) + len(rows))
        if self.keep_rows and len(rows):
            columns = [_all(change, len(rows)), *(rows.column(name) for name in _DIFF_COLUMNS)]
            self.tables.append(pa.table(columns, schema=DIFF_SCHEMA))

    def any(self) -> bool:
        """Return whether anything changed."""
        return bool(self.new or self.changed or self.missing or self.restored or self.moved)


@dataclass(frozen=True)
class FetchedAccount:
    """What one account brings into a merge.

    Attributes
    ----------
    name : str
        Name of the account, "" for none.
    pages : sequence of StagedPage
        The fetched pages in order; if a row was fetched twice, the later one is used.
    gone : sequence of str
        Ids that the service no longer has.
    dates : sequence of int or None
        Dates of other rows whose months are merged as well.
    known_until : int, optional
        Date up to which the account's rows had been read. As many of these as a month has lost, the oldest first, are
        restored and not new.
    """

    name: str
    pages: Sequence[StagedPage]
    gone: Sequence[str] = ()
    dates: Sequence[int | None] = ()
    known_until: int | None = None

    def files(self) -> set[str]:
        """Return the months of the pages and of the other dates."""
        files = {partition_path(date) for date in self.dates}
        return files.union(*(page.months() for page in self.pages))


class NeededMonthError(ArchiveError):
    """A month that some accounts need is damaged or missing; nothing was written.

    Attributes
    ----------
    accounts : dict of str to ArchiveError
        What is wrong, by the name of the account.
    """

    def __init__(self, accounts: dict[str, ArchiveError]) -> None:
        super().__init__("; ".join({str(error): None for error in accounts.values()}))
        self.accounts = accounts


class PartitionMerge:
    """Merge of fetched pages into the months.

    Parameters
    ----------
    folder : Path
        The local history.
    manifest : HistoryManifest
        Its months and voices are updated; the caller writes it.
    accounts : sequence of FetchedAccount
        The pages by account.
    full : bool
        Whether they are complete histories, so that a row that was not fetched is missing.
    now : int
        Seconds since 1970, for ``missing_since``.
    diff : bool
        Whether to keep the rows that change.
    """

    def __init__(
        self,
        folder: Path,
        manifest: HistoryManifest,
        accounts: Sequence[FetchedAccount],
        *,
        full: bool,
        now: int,
        diff: bool = False,
    ) -> None:
        self._folder = folder
        self._store = ReadStore(folder)
        self._manifest = manifest
        self._accounts = accounts
        self._pages = [page for account in accounts for page in account.pages]
        self._names = [account.name for account in accounts]
        self._full = full
        self._gone = pa.concat_arrays(
            [self._keys_of(account.name, pa.array(account.gone, TEXT)) for account in accounts]
        )
        self._now = pa.scalar(now * 1_000_000, pa.int64()).cast(DATE)
        self._fetched, self._fetched_months = self._ids_and_months()
        self._moved = pa.array([], TEXT)
        self._left: set[str] = set()  # months that rows leave
        self._files: list[str] = []
        spans = [(page.newest, page.oldest, page.rows) for page in self._pages if page.newest is not None]
        self._spans = np.array(spans, np.int64).reshape(-1, 3).T
        self._block = SCHEMA.empty_table()
        self._block_start = self._block_end = -1
        self._voices = set(manifest.voices)
        self.diff = Diff(diff)

    def known(self) -> dict[str, tuple[int, int, list[str]]]:
        """Return what is on disk of each account: rows, how many were fetched again, and the ids of the others.

        Rows that were marked missing before and were not fetched don't count.
        """
        tables = [FILE_SCHEMA.empty_table().select(_IDENTITY)]
        for file in self._manifest.months:
            if self._exists(file):
                with PartitionReader(self._store, file, self._manifest.months.get(file)) as month:
                    table = month.read(month.groups(), _IDENTITY)
                tables.append(table.filter(self._rows_of(table)))
        table = pa.concat_tables(tables)
        again = pc.is_in(self._id_keys(table), self._fetched)
        lost = pc.and_(pc.invert(again), pc.is_null(table.column("missing_since")))
        known = {}
        for name in self._names:
            rows = account_rows(table, name)
            absent = table.filter(pc.and_(rows, lost)).column("history_item_id").drop_null().to_pylist()
            fetched = pc.sum(pc.and_(rows, again)).as_py() or 0
            known[name] = fetched + len(absent), fetched, absent
        return known

    def files(self) -> list[str]:
        """Return the months to merge, newest first: those of the accounts, and those that rows left.

        In a full sync these are all months.

        Raises
        ------
        NeededMonthError
            A month is damaged or missing.
        """
        needed = {account.name: account.files() for account in self._accounts}
        if self._full:
            needed = {name: months | self._manifest.months.keys() for name, months in needed.items()}
        files = set().union(*needed.values())
        self._find_moved(files, needed)
        self._files = newest_first(files | self._left)
        return self._files

    def _find_moved(self, files: set[str], needed: Mapping[str, set[str]]) -> None:
        """Find fetched rows that are on disk in another month than their date's, and the months that they leave.

        Months other than `files` are read only if a fetched row is not in the month of its date. A damaged one is left
        to the full sync that heals it, which finds the rows that leave it.
        """
        moved, failed, damaged = [self._moved], dict[str, ArchiveError](), dict[str, ArchiveError]()
        unseen = np.ones(len(self._fetched), bool)
        for file in sorted(self._manifest.months, key=lambda file: file not in files):
            if file not in files and not unseen.any():
                break
            try:
                if not self._exists(file):
                    continue
                with PartitionReader(self._store, file, self._manifest.months.get(file)) as month:
                    table = month.read(month.groups(), ["history_item_id", "account"])
            except ChangedMonthError as error:
                failed |= {name: error for name, months in needed.items() if file in months and name not in failed}
                damaged[file] = error  # the rows of other months are stored; the sync names it at its end
                continue
            except ArchiveError as error:
                failed |= {name: error for name in needed if name not in failed}
                continue
            ids = self._id_keys(table.filter(self._rows_of(table)))
            places = pc.index_in(ids, self._fetched).drop_null().to_numpy()
            unseen[places] = False
            places = places[self._fetched_months[places] != _month_number(file)]
            if len(places):
                self._left.add(file)
                moved.append(self._fetched.take(pa.array(places)))
        if failed:
            raise NeededMonthError(failed)
        self._moved = pa.concat_arrays(moved)
        if damaged:
            for name in self._accounts_of(self._fetched.filter(pa.array(unseen))):
                known = self._manifest.unsearched.get(name, [])
                self._manifest.unsearched[name] = sorted({*known, *damaged})

    def month(self, file: str) -> None:
        """Merge one month; a month without a change is not written."""
        if not self._exists(file):
            self._merge(file, None)
            if not (self._folder / file).exists():
                self._manifest.months.pop(file, None)  # its file was lost, and the service has no row of it
            return
        with PartitionReader(self._store, file, self._manifest.months.get(file)) as month:
            self._merge(file, month)

    def finish(self) -> None:
        """Write the voices into the manifest."""
        pairs = sorted(self._voices, key=lambda pair: (pair[0] or "", pair[1] or ""))
        self._manifest.voices = [(voice_id, name) for voice_id, name in pairs]

    def _exists(self, file: str) -> bool:
        """Return whether a month has a file; only a full sync replaces one that the manifest has and the disk lacks."""
        known = self._manifest.months.get(file)
        exists = known is not None and (self._folder / file).exists()
        if not exists and known is not None and not self._full:
            with PartitionReader(self._store, file, known):  # raises, and says what to do
                raise AssertionError
        return exists

    def _merge(self, file: str, month: PartitionReader | None) -> None:
        quick = month is not None and not self._full and not len(self._gone) and file not in self._left
        if not (quick and month is not None and not self._has_changes(file, month)):
            slices = self._slices(file, month)
            diff, merged = Diff(self.diff.keep_rows), None
            for start, end in reversed(slices):  # of lost rows the oldest ones first
                merged = self._slice(month, start, end, diff, self._manifest.lost.get(file, 0))
                self._voices |= voices_of(merged)
            self.diff.add(diff)
            if diff.restored:
                self._manifest.lost[file] -= diff.restored
            if diff.any() or (month is not None and self._full and not month.has_page_checksums):
                tables = [merged] if len(slices) == 1 else (self._slice(month, *span, Diff(False)) for span in slices)
                self._manifest.months[file] = self._write(file, tables)

    def _write(self, file: str, tables: Iterable[pa.Table]) -> Month:
        voices = self._voices.difference(self._manifest.voices)
        with writing_month(self._folder, file, voices) as writer:
            for table in tables:
                writer.add(table)
        return writer.month

    def _has_changes(self, file: str, month: PartitionReader) -> bool:
        """Return whether the fetched rows change a month; only their span is read."""
        span, diff = partition_span(file), Diff(False)
        if span is None:
            self._slice(month, None, None, diff)
            return diff.any()
        dates = [date for page in self._pages for date in (page.oldest, page.newest) if date is not None]
        start, end = max(span[0], min(dates, default=span[1])), min(span[1], max(dates, default=span[0]) + 1)
        if start < end:
            self._slice(month, start, end, diff)
        return diff.any()

    def _slices(self, file: str, month: PartitionReader | None) -> list[tuple[int | None, int | None]]:
        """Cut a month into spans ``[start, end)`` of seconds, newest first; the month without dates has no bounds."""
        span = partition_span(file)
        if span is None:
            return [(None, None)]
        stored = month.date_chunks() if month is not None else []
        if stored is None:
            return [span]
        fetched = [
            (page.newest, page.oldest, page.rows)
            for page in self._pages
            if page.holds(*span) and page.newest is not None and page.oldest is not None
        ]
        return [*_cut_span(*span, [*stored, *fetched])]

    def _slice(
        self, month: PartitionReader | None, start: int | None, end: int | None, diff: Diff, lost: int = 0
    ) -> pa.Table:
        """Return the rows of a span of seconds, stored and fetched ones merged, in their order.

        `lost` is the number of rows that the month has lost.
        """
        stored = sort_rows(self._stored(month, start, end))
        existing, others = _parted(stored, self._rows_of(stored))
        fetched = self._newly_fetched(start, end)
        existing_keys, keys = self._keys(existing), self._keys(fetched)
        positions = pc.index_in(keys, existing_keys)
        kept = existing.filter(pc.invert(pc.is_in(existing_keys, keys)))
        if len(kept):  # a row that was fetched with another date has left this month
            remaining = kept.filter(pc.invert(pc.is_in(self._keys(kept), self._fetched)))
            diff.moved += len(kept) - len(remaining)
            kept = remaining
        updated, added = _parted(fetched, pc.is_valid(positions))
        before = existing.take(pc.drop_null(positions))
        moved, new = _parted(added, pc.is_in(self._keys(added), self._moved))
        restored, new = _parted(new, self._were_known(new, lost - diff.restored))
        diff.record("new", new)
        diff.record("restored", restored)
        diff.record("changed", moved)
        diff.record("changed", updated.filter(pa.array(_differ(before, updated))))
        kept = self._mark_missing(kept, diff)
        ties = pc.fill_null(existing.column(TIE).take(positions), -1)
        fetched = fetched.set_column(fetched.column_names.index(TIE), TIE, ties)
        table = pa.concat_tables([_assign_ties(fetched, kept.select(fetched.column_names)), others])
        return sort_rows(table)

    def _were_known(self, rows: pa.Table, most: int) -> pa.Array:
        """Return a mask of the rows that were known before the month lost rows: the oldest, as far as can be told."""
        known = np.zeros(len(rows), bool)
        if most > 0:
            dates = pc.fill_null(rows.column("date_unix"), 0).to_numpy()
            before = np.zeros(len(rows), bool)
            for account in self._accounts:
                if account.known_until is not None:
                    before |= account_rows(rows, account.name).to_numpy() & (dates <= account.known_until)
            order = np.argsort(dates, kind="stable")
            known[order[before[order]][:most]] = True
        return pa.array(known)

    def _mark_missing(self, kept: pa.Table, diff: Diff) -> pa.Table:
        since = kept.column("missing_since")
        lost = pc.is_null(since)
        if not self._full:
            lost = pc.and_(lost, pc.is_in(self._id_keys(kept), self._gone))
        if not pc.any(lost).as_py():
            return kept
        diff.record("missing", kept.filter(lost))
        position = kept.column_names.index("missing_since")
        return kept.set_column(position, "missing_since", pc.if_else(lost, self._now, since))

    def _stored(self, month: PartitionReader | None, start: int | None, end: int | None) -> pa.Table:
        if month is None:
            return FILE_SCHEMA.empty_table()
        groups = [
            group
            for group in month.groups()
            if start is None or end is None or _overlap(month.bounds(group, "date_unix"), start, end)
        ]
        return _within(month.read(groups, FILE_SCHEMA.names), start, end)

    def _newly_fetched(self, start: int | None, end: int | None) -> pa.Table:
        """Return the distinct fetched rows of a span, in their latest version."""
        table = self._fetched_rows(start, end).unify_dictionaries()
        table = _last_of_each(table, self._keys(table))
        table = table.append_column("missing_since", pa.nulls(len(table), DATE))
        return table.append_column(TIE, pa.array(np.zeros(len(table), np.int32)))

    def _fetched_rows(self, start: int | None, end: int | None) -> pa.Table:
        """Return the fetched rows of a span; pages that reach over several months are read once for a block of them."""
        if start is None or end is None:
            return self._read_pages(start, end)
        if not (self._block_start <= start and end <= self._block_end):
            self._block_start, self._block_end = self._start_of_block(start, end), end
            self._block = self._read_pages(self._block_start, end)
        return _within(self._block, start, end)

    def _start_of_block(self, start: int, end: int) -> int:
        """Return the start of the oldest of the following months that make a block of about `_MOST_BLOCK_ROWS` rows."""
        for file in self._files[self._files.index(partition_path(start)) + 1 :]:
            span = partition_span(file)
            if span is None or self._estimate(span[0], end) > _MOST_BLOCK_ROWS:
                break
            start = span[0]
        return start

    def _estimate(self, start: int, end: int) -> float:
        """Estimate the number of fetched rows of a span; the rows of a page may be anywhere between its dates."""
        newest, oldest, rows = self._spans
        shared = np.minimum(newest, end - 1) - np.maximum(oldest, start) + 1
        return float((np.maximum(shared, 0) / (newest - oldest + 1) * rows).sum())

    def _read_pages(self, start: int | None, end: int | None) -> pa.Table:
        tables = [SCHEMA.append(FILE_SCHEMA.field("account")).empty_table()]
        for account in self._accounts:
            pages = [_within(page.read(), start, end) for page in account.pages if page.holds(start, end)]
            if pages:
                table = pa.concat_tables(pages)
                tables.append(table.append_column("account", _all(account.name or None, len(table))))
        return pa.concat_tables(tables)

    def _ids_and_months(self) -> tuple[pa.Array, Ints]:
        """Return the distinct keys of the fetched ids, and the months of their dates as `_month_number` counts."""
        if not self._manifest.months:
            return pa.array([], TEXT), np.zeros(0, np.int64)
        columns = ["history_item_id", "date_unix"]
        keys, dates = [pa.array([], TEXT)], [pa.array([], pa.int64())]
        for account in self._accounts:
            for page in account.pages:
                table = page.read(columns)
                table = table.filter(pc.is_valid(table.column("history_item_id")))
                keys += [self._keys_of(account.name, chunk) for chunk in table.column("history_item_id").chunks]
                dates += table.column("date_unix").chunks
        table = pa.table({"key": pa.chunked_array(keys), "date": pa.chunked_array(dates)})
        table = _last_of_each(table, table.column("key"))
        seconds = pc.fill_null(table.column("date"), 0).to_numpy()
        months = seconds.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
        months[table.column("date").is_null().to_numpy()] = _NO_MONTH
        return one_array(table.column("key")), months

    def _rows_of(self, table: pa.Table) -> pa.ChunkedArray:
        """Return a mask without missing values of the rows of the accounts that are merged."""
        if len(self._names) == 1:
            return account_rows(table, self._names[0])
        return pc.is_in(table.column("account").cast(TEXT), pa.array(self._names, TEXT))

    def _keys(self, table: pa.Table) -> pa.ChunkedArray:
        """Return a key of each row, of one account's rows or of several's."""
        return _keys(table) if len(self._names) == 1 else row_keys(table)

    def _id_keys(self, table: pa.Table) -> pa.ChunkedArray:
        """Return the key of each row's id; missing where it has none."""
        return table.column("history_item_id") if len(self._names) == 1 else _keys_of_ids(table)

    def _keys_of(self, name: str, ids: pa.Array) -> pa.Array:
        """Return the keys of an account's ids."""
        return ids if len(self._names) == 1 else _joined(pa.scalar(name, TEXT), ids)

    def _accounts_of(self, keys: pa.Array) -> set[str]:
        """Return the accounts of some keys."""
        if len(self._names) == 1:
            return {*self._names[: len(keys)]}
        return {key.partition(_SEPARATOR.as_py())[0] for key in keys.to_pylist()}


def _month_number(file: str) -> int:
    """Return a month's file as the number of months since January 1970; `_NO_MONTH` for rows without a date."""
    span = partition_span(file)
    return _NO_MONTH if span is None else int(np.datetime64(span[0], "s").astype("datetime64[M]").astype(np.int64))


def _cut_span(start: int, end: int, chunks: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int | None, int | None]]:
    """Yield spans of about `_MOST_ROWS` rows, newest first; `chunks` are newest date, oldest date and rows."""
    rows = 0
    for _, oldest, count in sorted(chunks, reverse=True):
        rows += count
        if rows >= _MOST_ROWS and start < oldest < end:
            yield oldest, end
            end, rows = oldest, 0
    yield start, end


def voices_of(table: pa.Table) -> set[tuple[str | None, str | None]]:
    """Return the distinct voices of rows, as pairs of id and name."""
    pairs = pa.table({name: table.column(name).cast(TEXT) for name in ("voice_id", "voice_name")})
    distinct = pairs.group_by(["voice_id", "voice_name"]).aggregate([])
    return set(zip(*(distinct.column(name).to_pylist() for name in pairs.column_names), strict=True))


def account_rows(table: pa.Table, account: str) -> pa.ChunkedArray:
    """Return a mask without missing values of the rows of an account ("": the one without a name)."""
    return word_rows(table, "account", account) if account else pc.is_null(table.column("account").cast(TEXT))


def _all(word: str | None, rows: int) -> pa.ChunkedArray:
    """Return a category column that holds one value in each row, or none."""
    codes = pa.array(np.zeros(rows, np.int32), mask=np.full(rows, word is None))
    return pa.chunked_array([pa.DictionaryArray.from_arrays(codes, pa.array([word] if word is not None else [], TEXT))])


def _overlap(bounds: tuple[Any, Any, int] | None, start: int, end: int) -> bool:
    return bounds is None or (bounds[0] is not None and bounds[1] >= start and bounds[0] < end)


def _within(table: pa.Table, start: int | None, end: int | None) -> pa.Table:
    dates = table.column("date_unix")
    if start is None or end is None:
        return table.filter(pc.is_null(dates))
    inside = pc.and_(pc.greater_equal(dates, start), pc.less(dates, end))
    return table if pc.all(inside, skip_nulls=False).as_py() else table.filter(pc.fill_null(inside, False))


def _parted(table: pa.Table, mask: pa.Array | pa.ChunkedArray) -> tuple[pa.Table, pa.Table]:
    """Return the rows of a mask without missing values, and the others; nothing is copied where all are of one kind."""
    chosen = pc.sum(mask).as_py() or 0
    if chosen in (0, len(table)):
        whole, none = table, table.slice(0, 0)
        return (whole, none) if chosen else (none, whole)
    return table.filter(mask), table.filter(pc.invert(mask))


def _keys(table: pa.Table) -> pa.ChunkedArray:
    """Return the key of each row: its id, or a hash of all its values where it has none."""
    ids = table.column("history_item_id")
    if not ids.null_count:
        return ids
    keys = ids.to_pylist()
    for position in np.flatnonzero(ids.is_null().to_numpy()):
        row = table.slice(position, 1).select(SCHEMA.names).to_pylist()[0]
        keys[position] = "?" + hashlib.sha256(json.dumps(row, default=str, sort_keys=True).encode()).hexdigest()
    return pa.chunked_array([pa.array(keys, TEXT)])


def id_keys(table: pa.Table) -> pa.ChunkedArray:
    """Return account and id of each row that has an id, as one text."""
    return _keys_of_ids(table).drop_null()


def _keys_of_ids(table: pa.Table) -> pa.ChunkedArray:
    """Return account and id of each row, as one text; missing where a row has no id."""
    return _of_accounts(table, table.column("history_item_id"))


def row_keys(table: pa.Table) -> pa.ChunkedArray:
    """Return a key of each row that is unique in a folder: account and id."""
    return _of_accounts(table, _keys(table))


def _of_accounts(table: pa.Table, keys: pa.ChunkedArray) -> pa.ChunkedArray:
    return _joined(pc.fill_null(table.column("account").cast(TEXT), ""), keys)


def _joined(accounts: Any, keys: Any) -> Any:
    """Return accounts and keys as one text each."""
    return pc.binary_join_element_wise(accounts, keys, _SEPARATOR)


def _last_of_each(table: pa.Table, keys: pa.ChunkedArray) -> pa.Table:
    """Return the last row of each key, in their order."""
    encoded = one_array(keys).dictionary_encode()
    if len(encoded.dictionary) == len(table):
        return table
    last = np.zeros(len(encoded.dictionary), np.int64)
    last[encoded.indices.to_numpy()] = np.arange(len(table))  # of several assignments the last one stays
    return table.take(pa.array(np.sort(last)))


def _assign_ties(fetched: pa.Table, kept: pa.Table) -> pa.Table:
    """Assign each row its position within its second, among the rows of its account.

    A second that was fetched completely is in the service's order, followed by rows that the service no longer has. A
    second that was fetched in part keeps its order, with new rows in front.
    """
    table = pa.concat_tables([fetched, kept])
    dates = pc.fill_null(table.column("date_unix"), -(2**62)).to_numpy()
    accounts = word_ranks(table.column("account"))
    blocks = np.lexsort((dates, accounts)) if accounts.any() else np.argsort(dates, kind="stable")
    changes = (np.diff(dates[blocks]) != 0) | (np.diff(accounts[blocks]) != 0)
    seconds = np.empty(len(blocks), np.int64)
    seconds[blocks] = np.r_[0, np.cumsum(changes)] if len(blocks) else blocks
    present = seconds[len(fetched) :][kept.column("missing_since").is_null().to_numpy()]
    before = np.where(np.isin(seconds, present), table.column(TIE).to_numpy(), 0)
    order = np.lexsort((before, seconds))
    starts = np.flatnonzero(np.r_[True, np.diff(seconds[order]) != 0]) if len(order) else order
    ties = np.empty(len(order), np.int32)
    ties[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    return table.set_column(table.column_names.index(TIE), TIE, pa.array(ties))


def _differ(before: pa.Table, after: pa.Table) -> Mask:
    """Return which rows differ from before; a row that was missing and is back differs."""
    differ: Mask = before.column("missing_since").is_valid().to_numpy()
    for name in SCHEMA.names:
        old, new = before.column(name), after.column(name)
        if pa.types.is_dictionary(old.type):
            old, new = old.cast(TEXT), new.cast(TEXT)
        if old.equals(new):
            continue
        same = pc.fill_null(pc.equal(old, new), False)
        same = pc.or_(same, pc.and_(pc.is_null(old), pc.is_null(new)))
        if pa.types.is_floating(old.type):
            same = pc.or_(same, pc.fill_null(pc.and_(pc.is_nan(old), pc.is_nan(new)), False))
        unequal = ~same.to_numpy()
        if name in _JSON and unequal.any():
            places = pa.array(np.flatnonzero(unequal))
            pairs = zip(old.take(places).to_pylist(), new.take(places).to_pylist(), strict=True)
            unequal[unequal] = [not _same_json(one, other) for one, other in pairs]
        differ |= unequal
    return differ


def _same_json(one: str | None, other: str | None) -> bool:
    """Return whether two JSON texts have the same value, however they are written."""
    if one is None or other is None:
        return one is other
    try:
        values = (json.loads(text, parse_int=_number, parse_float=_number) for text in (one, other))
        texts = [json.dumps(value, sort_keys=True) for value in values]
    except (ValueError, RecursionError):
        return False
    return texts[0] == texts[1]


def _number(digits: str) -> int | float | str:
    """Read a number of JSON, a whole one as an int in any spelling: 1, 1.0 and 1e0 are the same."""
    try:
        return int(digits)
    except ValueError:
        number = float(digits)
    if math.isinf(number):
        return digits
    return int(number) if number.is_integer() else number
