"""The files of a local history, one Parquet file a month.

Rows are stored in time slices, newest first, and within a slice by voice, so that the statistics of a row group are
narrow in date and in voice. The column `TIE` keeps the service's order among rows of one second: ``ORDER BY date DESC,
tie`` gives a history as the service does.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from histkit.archive.manifest import Month, ReplacedMonth, crc_of, footer_of, note_replaced, partition_span
from histkit.errors import ArchiveError
from histkit.frame.columns import NO_CODE, text_ranks
from histkit.frame.parquet_metadata import make_footer, read_footer, upgrade_schema
from histkit.frame.schema import ARCHIVE_COLUMNS, COLUMNS, KINDS, TEXT, one_array
from histkit.util.files import atomic_write
from histkit.util.storage import ReadStore
from histkit.util.text import error_line

TIE = "tie"
FILE_SCHEMA = pa.schema(
    [*((column.name, column.arrow) for column in (*COLUMNS, *ARCHIVE_COLUMNS)), (TIE, pa.int32())],
    metadata=make_footer({"page_checksums": True}),
)
LOADED = tuple(name for name in FILE_SCHEMA.names if name != TIE)
# What reading a damaged file can raise; Arrow passes some errors of its C++ libraries on as others than its own.
DAMAGE = (
    pa.ArrowException,
    OSError,
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    SystemError,
)
_SLICE_ROWS, _GROUP_ROWS = 32_768, 8_192
_WITH_STATISTICS = [name for name in FILE_SCHEMA.names if name not in ("text", "dialogue", "extra")]
_CATEGORIES = [field.name for field in FILE_SCHEMA if pa.types.is_dictionary(field.type)]
REFETCH = "run sync(full=True), which fetches that month again (except rows that the service no longer has)"


class ChangedMonthError(ArchiveError):
    """A month's file is not the one that the manifest knows."""


class GroupStatistics:
    """The statistics of a Parquet file's row groups, by column."""

    def __init__(self, metadata: pq.FileMetaData) -> None:
        self._metadata = metadata
        self._positions: dict[str, int] = {}

    def bounds(self, group: int, name: str) -> tuple[Any, Any, int] | None:
        """Return least value, greatest value and number of missing values in a row group; None where unknown."""
        row_group = self._metadata.row_group(group)
        if not self._positions:
            names = (row_group.column(position).path_in_schema for position in range(row_group.num_columns))
            self._positions = {name: position for position, name in enumerate(names)}
        statistics = row_group.column(self._positions[name]).statistics if name in self._positions else None
        if statistics is None or not statistics.has_null_count:
            return None
        if not statistics.has_min_max:
            return (None, None, statistics.null_count) if statistics.null_count == row_group.num_rows else None
        return statistics.min, statistics.max, statistics.null_count

    def may_hold(self, group: int, name: str, value: str | None) -> bool:
        """Return whether a row group can hold a value; None is a missing one."""
        bounds = self.bounds(group, name)
        if bounds is None:
            return True
        if value is None:
            return bounds[2] > 0
        return bounds[0] is not None and bounds[0] <= value <= bounds[1]


class PartitionReader(AbstractContextManager["PartitionReader"]):
    """A month's file, opened for reading.

    Parameters
    ----------
    store : ReadStore
        The folder.
    file : str
        The file in it.
    known : Month, optional
        What the manifest says of the file; its checksum is compared before anything else is read.

    Raises
    ------
    ArchiveError
        The file does not exist, is damaged, is not the one that the manifest knows, or was written by a newer histkit.
    """

    def __init__(self, store: ReadStore, file: str, known: Month | None = None) -> None:
        self.where = store.place(file)
        try:
            self._opened = store.open(file)
        except FileNotFoundError:
            raise ArchiveError(f"{self.where} is missing: restore a copy, or {REFETCH}.") from None
        except OSError as error:
            raise ArchiveError(f"{self.where} can't be read: {error_line(error)}.") from None
        try:
            if known is not None and known.crc32 is not None and crc_of(self._opened) != known.checksum:
                raise changed_error(self.where)
            self._file = pq.ParquetFile(self._opened, page_checksum_verification=True)
            facts = read_footer(self._file.schema_arrow.metadata, self.where)
        except DAMAGE as error:
            self._opened.close()
            raise self._damaged(error) from None
        except BaseException:
            self._opened.close()
            raise
        self.has_page_checksums = bool(facts.get("page_checksums"))
        self.names = set(self._file.schema_arrow.names)
        self._statistics = GroupStatistics(self._file.metadata)

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def groups(self) -> range:
        """Return the numbers of the row groups."""
        return range(self._file.num_row_groups)

    def bounds(self, group: int, name: str) -> tuple[Any, Any, int] | None:
        """Return least value, greatest value and number of missing values in a row group; None where unknown."""
        return self._statistics.bounds(group, name)

    def date_chunks(self) -> list[tuple[int, int, int]] | None:
        """Return newest date, oldest date and rows of each row group; None where a group has no statistics."""
        chunks = []
        for group in self.groups():
            bounds = self.bounds(group, "date_unix")
            if bounds is None or bounds[0] is None:
                return None  # another tool wrote the file
            chunks.append((bounds[1], bounds[0], int(self._file.metadata.row_group(group).num_rows)))
        return chunks

    def slices(self) -> list[list[int]]:
        """Group row groups whose dates overlap; each slice is newer than the next."""
        known = {}
        for group in self.groups():
            bounds = self.bounds(group, "date_unix")
            if bounds is None or bounds[0] is None or bounds[2]:
                return [[*self.groups()]]  # rows without a date, or another tool wrote it
            known[group] = bounds
        slices: list[list[int]] = []
        oldest = None
        for group in sorted(known, key=lambda number: known[number][1], reverse=True):
            if oldest is None or known[group][1] < oldest:
                slices.append([])
                oldest = known[group][0]
            slices[-1].append(group)
            oldest = min(oldest, known[group][0])
        return [sorted(groups) for groups in slices]

    def read(self, groups: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Read columns of row groups in today's types; a column that the file lacks is missing in each row."""
        existing = [name for name in columns if name in self.names]
        try:
            table = self._file.read_row_groups(list(groups), columns=existing)
        except DAMAGE as error:
            raise self._damaged(error) from None
        table = upgrade_schema(table.replace_schema_metadata(None), self.where)
        arrays = []
        for name in columns:
            kind = KINDS.get(name, pa.int32())
            arrays.append(table.column(name) if name in existing else _missing(len(table), kind))
        return pa.table(arrays, names=list(columns))

    def _damaged(self, error: BaseException) -> ArchiveError:
        return damaged_error(self.where, error)


def damaged_error(where: str, error: BaseException) -> ArchiveError:
    """Return the error for a month's file that Arrow can't read."""
    return ArchiveError(f"{where} is damaged ({error_line(error)}). Restore a copy, or {REFETCH}.")


def changed_error(where: str, what: str = "its checksum differs") -> ChangedMonthError:
    """Return the error for a month's file that is not the one that histkit wrote."""
    return ChangedMonthError(
        f"{where} is damaged, or another program wrote it ({what}). Restore a copy, or {REFETCH}. "
        "histkit check shows the state of all months."
    )


def word_rows(table: pa.Table, name: str, word: str) -> pa.ChunkedArray:
    """Return a mask without missing values of the rows that have a word in a category column."""
    return pc.fill_null(pc.equal(table.column(name).cast(TEXT), word), False)


def rows_of_month(table: pa.Table, file: str) -> pa.ChunkedArray:
    """Return a mask without missing values of the rows whose date is of a month's file."""
    dates, span = table.column("date_unix"), partition_span(file)
    if span is None:
        return pc.is_null(dates)
    return pc.fill_null(pc.and_(pc.greater_equal(dates, span[0]), pc.less(dates, span[1])), False)


def _missing(rows: int, kind: pa.DataType) -> pa.ChunkedArray:
    if kind == pa.int32():
        return pa.chunked_array([pa.array(np.zeros(rows, np.int32))])
    if pa.types.is_dictionary(kind):
        return pa.chunked_array([pa.nulls(rows, kind.value_type).dictionary_encode().cast(kind)])
    return pa.chunked_array([pa.nulls(rows, kind)])


def sort_rows(table: pa.Table) -> pa.Table:
    """Sort rows newest first, rows of the same second by account and then in the service's order."""
    places = order_of(table)
    if np.array_equal(places, np.arange(len(table))):
        return table
    return table.take(pa.array(places))


def order_of(table: pa.Table) -> Any:
    """Return the positions that sort a table's rows; needs date_unix, account and `TIE`."""
    dates = pc.fill_null(table.column("date_unix"), -(2**62)).to_numpy()
    ties = pc.fill_null(table.column(TIE), 0).to_numpy()
    ranks = word_ranks(table.column("account"))
    if ranks.any():
        return np.lexsort((ties, ranks, -dates))
    if not len(ties) or (ties.max() < 2**20 and abs(dates[dates > -(2**62)]).max(initial=0) < 2**40):
        return np.argsort(ties - np.maximum(dates, -(2**41)) * 2**20, kind="stable")
    return np.lexsort((ties, -dates))


def word_ranks(column: pa.ChunkedArray) -> Any:
    """Return the alphabetical rank of each row's word; missing ones come first."""
    if not len(column):
        return np.zeros(0, np.int64)
    encoded = one_array(column.unify_dictionaries())
    codes = encoded.indices.fill_null(NO_CODE).to_numpy(zero_copy_only=False)
    return text_ranks(codes, encoded.dictionary.to_pylist())


@contextmanager
def writing_month(
    folder: str | os.PathLike[str],
    file: str,
    voices: Iterable[tuple[str | None, str | None]] = (),
    *,
    note: bool = True,
) -> Iterator[PartitionWriter]:
    """Yield the writer of a month's file, which replaces the file when the block ends without an error.

    Parameters
    ----------
    folder, file : path-like, str
        The local history, and the file in it.
    voices : iterable of (id, name)
        Voices that the manifest does not know yet.
    note : bool
        Note the file among the replaced ones, so that it counts as whole until the manifest is written.
    """
    with atomic_write(Path(folder) / file) as temporary:
        with _writer_of(temporary) as writer:
            yield writer
        with temporary.open("rb", buffering=0) as written:
            writer.month = _month_of(written, writer.written)
        if note:
            note_replaced(folder, ReplacedMonth(file, writer.month, list(voices)))


def month_written_again(table: pa.Table) -> Month:
    """Return what the manifest would say of rows if they were written now; no file is written.

    Equal checksums prove equal values. Others prove nothing: another version of Arrow can write other bytes.
    """
    buffer = io.BytesIO()
    with _writer_of(buffer) as writer:
        writer.add(sort_rows(table.unify_dictionaries()))
    return _month_of(buffer, writer.written)


@contextmanager
def _writer_of(target: Any) -> Iterator[PartitionWriter]:
    """Yield the writer of a month into a path or an open file."""
    with pq.ParquetWriter(
        target,
        FILE_SCHEMA,
        compression="zstd",
        use_dictionary=_CATEGORIES,
        write_statistics=_WITH_STATISTICS,
        write_page_checksum=True,
    ) as parquet:
        writer = PartitionWriter(parquet)
        yield writer
        writer.finish()


def _month_of(written: Any, rows: int) -> Month:
    crc32, size = crc_of(written)
    return Month(rows, size, crc32, *footer_of(written, size))


class PartitionWriter:
    """Writes sorted tables; the file depends on the rows alone, not on how they are divided into tables.

    Attributes
    ----------
    written : int
        Rows added.
    month : Month
        What the manifest is to say of the file; set when the file is complete.
    """

    month: Month

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self.written = 0
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def add(self, table: pa.Table) -> None:
        """Add rows, which follow those added before."""
        self._waiting.append(table.select(FILE_SCHEMA.names))
        self._rows += len(table)
        self.written += len(table)
        while self._rows >= 2 * _SLICE_ROWS:
            self._flush()

    def finish(self) -> None:
        """Write the remaining rows."""
        while self._rows:
            self._flush()

    def _flush(self) -> None:
        table = pa.concat_tables(self._waiting)
        cut = _end_of_second(table.column("date_unix"), _SLICE_ROWS)
        ready, rest = table.slice(0, cut), table.slice(cut)
        by_voice = np.argsort(word_ranks(ready.column("voice_id")), kind="stable")
        ready = ready.unify_dictionaries().take(pa.array(by_voice)).cast(FILE_SCHEMA)
        for place, name in enumerate(ready.column_names):
            if name in _CATEGORIES:
                ready = ready.set_column(place, FILE_SCHEMA.field(name), _with_a_category(ready.column(name)))
        self._writer.write_table(ready, row_group_size=_GROUP_ROWS)
        self._waiting, self._rows = [rest], len(rest)


def _with_a_category(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a category column that has a category, an empty name that no row has, also where all rows are missing.

    Without one, pandas and Dask can't tell that the categories are texts, and don't combine them with another month's.
    """
    if any(len(chunk.dictionary) for chunk in column.chunks):
        return column
    return pa.chunked_array([pa.DictionaryArray.from_arrays(pa.nulls(len(column), pa.int32()), pa.array([""], TEXT))])


def _end_of_second(dates: pa.ChunkedArray, start: int) -> int:
    """Return the first position from `start` on at which a new second begins."""
    if start >= len(dates):
        return len(dates)
    rest = pc.fill_null(dates.slice(start - 1), -(2**62)).to_numpy()
    changes = np.flatnonzero(rest[1:] != rest[0])
    return start + int(changes[0]) if len(changes) else len(dates)
