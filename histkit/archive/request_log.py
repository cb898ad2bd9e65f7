"""The request log beside a local history: synced by `histkit.sync`, read by `load_requests`.

The log of each account is in Arrow files, one a month (UTC), under ``_requests`` in the history's folder; tools that
read the folder skip such a name. A file that changes is written under a new name. The state, which is written last,
names the files and their checksums, so that a kill at any time leaves a whole log. The state also has the spans of time
that were read to their end: a sync reads the rest, and the newest hour again, since rows may appear late.
"""

from __future__ import annotations

import os
import time
import warnings
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from histkit.api.client import HistoryClient
from histkit.archive.account import describe_service, is_other_service
from histkit.archive.integrity import BUSY, MonthState, set_aside
from histkit.archive.manifest import WORK, check_json, json_with_checksum
from histkit.errors import ArchiveError, InputError, SchemaError
from histkit.fetch.log_windows import EARLIEST
from histkit.fetch.request_log import LogReading, LogRows, warn_of_log_problems
from histkit.frame.clock import iso, zone_of
from histkit.frame.dates import date_range
from histkit.frame.filters import as_name_list
from histkit.frame.log_table import NEVER, id_column, join_tables, newest_first, read_once, with_known_names
from histkit.frame.schema import CATEGORY, DATE, TEXT
from histkit.util.arguments import column_names
from histkit.util.arrays import Ints
from histkit.util.files import atomic_write, exclusive_lock, remove_temporary_files
from histkit.util.progress import progress_bar
from histkit.util.storage import ReadStore, normalize_path
from histkit.util.text import error_line, error_reason, quoted

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "_requests"
STATE = "_state.json"
_VERSION = 1
_OVERLAP = 3_600_000  # milliseconds that are read again
_COMMIT_ROWS = 30_000
_TRIES = 3
_UNDATED = "undated"
_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")
_FULL = "sync(full=True, requests=True)"
_REFETCH = f"restore a copy, or run {_FULL}, which reads the log again (except requests that the service no longer has)"
_MISSING = "missing"
Span = tuple[int, int]


class DamagedStateError(ArchiveError):
    """The state of the logs is damaged, or missing beside files of a log; `fault` says which."""

    def __init__(self, where: str, fault: str) -> None:
        super().__init__(f"{where} is {fault}: {_REFETCH}.")
        self.fault = fault


class MissingFileError(ArchiveError):
    """A file of a log is missing: a sync may have replaced it since the state was read."""


class LogFile(msgspec.Struct):
    """A month's file of a log: its name, rows and CRC-32."""

    name: str
    rows: int
    crc32: int


class LogAccount(msgspec.Struct):
    """The state of an account's log.

    Attributes
    ----------
    months : dict of str to LogFile
        The files by month ("2026-10", "undated").
    read : list of (int, int)
        Spans, in milliseconds, that were read to their end, oldest first. The last one ends with the newest request,
        not with the moment of reading, which is that of another clock.
    service, synced_at : str
        Where and when it was read; ISO, UTC.
    time_column, id_column : str or None
        The columns of times and ids, by the names of the first rows.
    newest : int or None
        The newest time, in milliseconds.
    """

    months: dict[str, LogFile] = msgspec.field(default_factory=dict)
    read: list[Span] = msgspec.field(default_factory=list)
    service: str = ""
    synced_at: str = ""
    time_column: str | None = None
    id_column: str | None = None
    newest: int | None = None


class LogState(msgspec.Struct):
    """The state of the logs in a folder, by account (the one without a name is "")."""

    version: int = _VERSION
    accounts: dict[str, LogAccount] = msgspec.field(default_factory=dict)


@dataclass
class LogSync:
    """Updates the log of one account; the caller holds the folder's lock.

    Parameters
    ----------
    folder : Path
        The local history.
    name : str
        The account; "" where accounts have no names.
    client : HistoryClient
        The account's client.
    progress : bool, optional
        Whether to show a bar.

    Attributes
    ----------
    requests, new : int
        Requests sent; rows that were not there before.
    repaired : list of str
        What was damaged, and where it was moved: by a full sync, which reads it again.
    """

    folder: Path
    name: str
    client: HistoryClient
    progress: bool | None
    requests: int = 0
    new: int = 0
    repaired: list[str] = field(default_factory=list)
    _state: LogState = field(default_factory=LogState)
    _torn: bool = False

    def run(self, *, full: bool) -> None:
        """Read what is missing, and the last hour again; with `full` everything.

        Raises
        ------
        ArchiveError
            A file is damaged or can't be written, or the log is of another service.
        HistkitError
            The log could not be read to its end; what was read is kept.
        """
        self._state = self._read_state(full=full)
        account = self._state.accounts.setdefault(self.name, LogAccount())
        service = self.client.transport.service
        if is_other_service(account.service, service):
            raise ArchiveError(
                f"{self.folder / FOLDER} has the request log of {describe_service(account.service)}, and this key is "
                f"of {describe_service(service)}: sync into another folder."
            )
        account.service = service
        if full:
            self._set_damaged_aside(account)
        self._write_state()  # first of all: files without a state are those of a damaged log
        now = int(time.time() * 1000)
        known = [] if full else _without_newest(account.read)
        label = f"requests {self.name}".rstrip()
        with progress_bar(self.progress, desc=label, unit=" rows", unit_scale=True) as bar:
            for start, end in _gaps(known, now):
                self._read(account, start, end, bar, is_newest=end == now)
        account.synced_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._write_state()

    def _read_state(self, *, full: bool) -> LogState:
        try:
            return _existing_state(self.folder) or LogState()
        except DamagedStateError as error:
            if not full:
                raise
            moved = set_aside(self.folder, FOLDER)
            self.repaired.append(f"{self.folder / FOLDER / STATE}: {error.fault}; {FOLDER} moved to {moved}")
            return LogState()

    def _set_damaged_aside(self, account: LogAccount) -> None:
        """Move damaged files aside, and forget what was read."""
        store = ReadStore(self.folder)
        for month, file in list(account.months.items()):
            _, fault = _bytes_of(store, self._place, file)
            if not fault:
                continue
            path = self.folder / self._place / file.name
            moved = f"; moved to {set_aside(self.folder, f'{self._place}/{file.name}')}" if path.exists() else ""
            self.repaired.append(f"{path}: {fault}{moved}")
            self.new -= file.rows
            del account.months[month]
            account.read = []

    def _read(self, account: LogAccount, start: int, end: int, bar: Any, *, is_newest: bool) -> None:
        """Read a span, newest first, and store it part by part."""
        reading = LogReading(
            start,
            end,
            open_start=start <= EARLIEST,
            time_column=account.time_column,
            id_column=account.id_column,
        )
        fetch = reading.fetch(self.client)
        frontier = end
        try:
            for page in fetch.pages():
                bar.update(reading.keep(page))
                bar.set_postfix_str(f"{fetch.requests} requests", refresh=False)
                if reading.rows >= _COMMIT_ROWS:
                    self._commit(account, reading, fetch.frontier, end, is_newest=is_newest)
            frontier = start
            warn_of_log_problems(fetch.doubts(), 2)
        finally:
            self.requests += fetch.requests
            if not self._torn:  # else rows may be neither stored nor kept: they are read again
                self._commit(account, reading, min(frontier, fetch.frontier), end, is_newest=is_newest)

    def _commit(self, account: LogAccount, reading: LogReading, start: int, end: int, *, is_newest: bool) -> None:
        """Store the rows that were read, and that a span is complete."""
        self._torn = True
        rows = reading.take()
        warn_of_log_problems([f"request {quoted(item, 40)} has several rows that differ" for item in rows.clashes], 2)
        account.time_column, account.id_column = reading.time_column, reading.id_column
        for month, places in _by_month(rows.times).items():
            self._merge(account, month, rows.table.take(places), rows.times[places])
        if (rows.times != NEVER).any():
            account.newest = max(account.newest or 0, int(rows.times.max()) // 1000)
        if is_newest:
            end = min(end, 0 if account.newest is None else account.newest + 1)
        account.read = _joined([*account.read, (start, end)])
        self._write_state()
        self._torn = False

    def _merge(self, account: LogAccount, month: str, table: pa.Table, times: Ints) -> None:
        known = account.months.get(month)
        store = ReadStore(self.folder)
        old = table.slice(0, 0) if known is None else _read_file(store, self._place, known)
        try:
            joined = join_tables([old, table])
        except SchemaError as error:
            raise ArchiveError(
                f"{str(error).rstrip('.')}, or since the last sync: move {self.folder / FOLDER} away to begin anew."
            ) from None
        request_id = _id_column(account, joined)
        stamps = np.r_[_times_of(old, account.time_column), times]
        pages = np.r_[np.zeros(len(old), np.int64), np.ones(len(table), np.int64)]
        places, _ = read_once(joined, request_id, stamps, pages)
        places = newest_first(stamps, places)
        kept = joined.take(places)
        self.new += len(kept) - len(old)
        if known is not None and kept.equals(old):
            return
        data = _encode(kept)
        checksum = zlib.crc32(data)
        file = LogFile(f"{month}.{checksum:08x}.arrow", len(kept), checksum)
        with atomic_write(self.folder / self._place / file.name) as temporary:
            temporary.write_bytes(data)
        account.months[month] = file

    @property
    def _place(self) -> str:
        return _place_of(self.name)

    def _write_state(self) -> None:
        """Write the state, then remove the files that it no longer names."""
        with atomic_write(self.folder / FOLDER / STATE) as temporary:
            temporary.write_bytes(json_with_checksum(self._state))
        self._sweep()

    def _sweep(self) -> None:
        folder = self.folder / self._place
        remove_temporary_files(self.folder / FOLDER, ".", "*")
        names = {file.name for file in self._state.accounts[self.name].months.values()}
        for path in folder.glob("*.arrow"):
            if path.name not in names:
                with suppress(OSError):  # Windows: a reader has it open
                    path.unlink()


def load_requests(
    path: str | os.PathLike[str] = "data/history",
    *,
    columns: Sequence[str] | None = None,
    after: Any = None,
    before: Any = None,
    account: str | Iterable[str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
    tz: str | tzinfo = "UTC",
) -> pd.DataFrame:
    """Read the request log that ``sync(requests=True)`` keeps beside a local history.

    Parameters
    ----------
    path : path-like or str
        The folder of `sync`, or a URL that fsspec knows (extra ``remote``).
    columns : sequence of str, optional
        Only these columns, in this order.
    after, before : str, date, datetime, Timestamp or int, optional
        Dates, after inclusive and before exclusive, as in `filter_items`. Rows without a time are in neither.
    account : str or list of str, optional
        Names of accounts.
    storage_options : mapping, optional
        Passed to fsspec.
    tz : str or tzinfo, default "UTC"
        Zone of days and naive times in `after` and `before`, an IANA name.

    Returns
    -------
    pandas.DataFrame
        As `read_requests`, with ``account`` (category) where accounts have names. ``attrs["histkit"]`` also has
        ``synced_at``, and ``complete``: whether all of the span was read, up to the last sync.

    Raises
    ------
    ArchiveError
        There is no request log, or a file is missing or damaged; the message names it.
    InputError
        An argument is invalid.

    Warns
    -----
    UserWarning
        A part of the span was not read, since a sync did not come to its end.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=300) as box:
    ...     client = hk.HistoryClient(box.api_key, base_url=box.url)
    ...     df = hk.sync("history", requests=True, client=client, progress=False)
    >>> log = hk.load_requests("history")
    >>> bool(df["request_id"].isin(log["request_id"]).all())
    True
    """
    start, end = date_range(after, before, zone_of(tz))
    names = column_names(columns)
    accounts = as_name_list(account, "account")
    store = ReadStore(path, storage_options)
    for attempt in range(_TRIES):
        state = read_state(store)
        if state is None:
            raise ArchiveError(f"{store.name} has no request log; run sync(requests=True) first.")
        try:
            return _load(store, state, start, end, accounts, names)
        except MissingFileError:
            if attempt == _TRIES - 1:
                raise
    raise AssertionError


def _load(
    store: ReadStore,
    state: LogState,
    start: int | None,
    end: int | None,
    accounts: tuple[str, ...] | None,
    columns: list[str] | None,
) -> pd.DataFrame:
    unknown = sorted(set(accounts or ()) - state.accounts.keys())
    if unknown:
        known = ", ".join(map(quoted, filter(None, state.accounts))) or "none with a name"
        raise InputError(f"account={quoted(unknown[0])} is not in this request log; its accounts: {known}.")
    chosen = {name: log for name, log in state.accounts.items() if accounts is None or name in accounts}
    parts = [_account_rows(store, name, log, start, end) for name, log in chosen.items()]
    first = next((log for log in chosen.values() if log.time_column is not None), LogAccount())
    table = join_tables(
        with_known_names(rows, {log.time_column: first.time_column, log.id_column: first.id_column})
        for (rows, _), log in zip(parts, chosen.values(), strict=True)
    )
    times = np.concatenate([np.zeros(0, np.int64), *(times for _, times in parts)])
    places = newest_first(times, np.arange(len(times)))
    rows = LogRows(table.take(places), times[places], first.time_column, _id_column(first, table), [])
    holes = [hole for log in chosen.values() for hole in _holes(log, start, end)]
    synced = [log.synced_at for log in chosen.values() if log.synced_at]
    frame = rows.frame({"complete": not holes, "synced_at": min(synced, default=""), "path": store.absolute})
    if holes:
        begin, last = (iso(moment // 1000, UTC) for moment in holes[0])
        warnings.warn(
            f"The request log in {store.name} was not read from {begin} to {last}: run histkit sync --requests again.",
            stacklevel=4,
        )
    if columns is not None:
        absent = next((name for name in columns if name not in frame.columns), None)
        if absent is not None:
            raise InputError(
                f"columns={quoted(absent)} is not a column of this request log; "
                f"the columns are {', '.join(map(quoted, frame.columns))}."
            )
        facts = frame.attrs
        frame = frame[columns]
        frame.attrs = facts
    return frame


def _account_rows(
    store: ReadStore, name: str, log: LogAccount, start: int | None, end: int | None
) -> tuple[pa.Table, Ints]:
    """Return the rows of an account between two times, each once, and the time of each."""
    first = None if start is None else f"{np.datetime64(start, 's').astype('datetime64[M]')}"
    last = None if end is None else f"{np.datetime64(end, 's').astype('datetime64[M]')}"
    months = sorted(log.months, reverse=True)
    wanted = [
        month
        for month in months
        if (month == _UNDATED and start is None and end is None)
        or (month != _UNDATED and (first is None or month >= first) and (last is None or month <= last))
    ]
    tables = [_read_file(store, _place_of(name), log.months[month]) for month in wanted or months[:1]]
    table = join_tables(tables)
    times = _times_of(table, log.time_column)
    places, _ = read_once(table, _id_column(log, table), times, np.arange(len(times)))
    inside = np.ones(len(places), bool)
    if start is not None:
        inside &= times[places] >= start * 1_000_000
    if end is not None:
        inside &= (times[places] < end * 1_000_000) & (times[places] != NEVER)
    table, times = table.take(places[inside]), times[places[inside]]
    if name:
        account = pa.repeat(pa.scalar(name, TEXT), len(table)).dictionary_encode().cast(CATEGORY)
        table = table.append_column("account" if "account" not in table.column_names else "account_name", account)
    return table, times


def read_state(store: ReadStore) -> LogState | None:
    """Read the state of the logs in a folder; None if there is none.

    Raises
    ------
    ArchiveError
        It can't be read, is damaged, or a newer histkit wrote it.
    """
    where = store.place(f"{FOLDER}/{STATE}")
    try:
        data = store.read(f"{FOLDER}/{STATE}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ArchiveError(f"{where} can't be read: {error_line(error)}.") from None
    try:
        if not check_json(data):
            raise ValueError("its checksum is missing")
        state = msgspec.json.decode(data, type=LogState)
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedStateError(where, f"damaged ({error_line(error)})") from None
    if state.version > _VERSION:
        raise ArchiveError(f"{where} was written by a newer histkit: upgrade with pip install -U histkit.")
    return state


def _existing_state(folder: Path) -> LogState | None:
    """Read the state of the logs in a folder as `read_state` does; without one, files of a log are an error."""
    store = ReadStore(folder)
    state = read_state(store)
    if state is None and any((folder / FOLDER).glob("*/*.arrow")):
        raise DamagedStateError(store.place(f"{FOLDER}/{STATE}"), _MISSING)
    return state


def check_log(path: str | os.PathLike[str]) -> list[MonthState]:
    """Compare the request log beside a local history with its state, every byte of it.

    Parameters
    ----------
    path : path-like or str
        The folder of `histkit.sync`.

    Returns
    -------
    list of MonthState
        For each account one line if its log is whole, else the files that are not. Empty if there is no log.

    Raises
    ------
    ArchiveError
        Another process is writing into the folder, or the log is of a newer histkit.
    """
    folder = Path(normalize_path(path))
    store = ReadStore(folder)
    with exclusive_lock(folder / WORK / "lock", BUSY.format(folder)):
        try:
            state = _existing_state(folder)
        except DamagedStateError as error:
            return [MonthState(f"{FOLDER}/{STATE}", error.fault, _FULL, label="request log")]
        states = []
        for name, log in sorted(state.accounts.items() if state is not None else ()):
            place, label = _place_of(name), f"request log of {name}" if name else "request log"
            faults = {month: _bytes_of(store, place, file)[1] for month, file in sorted(log.months.items())}
            states += [
                MonthState(f"{place}/{log.months[month].name}", fault, _FULL, label=f"{month} ({label})")
                for month, fault in faults.items()
                if fault
            ]
            if not any(faults.values()):
                states.append(MonthState(place, rows=sum(file.rows for file in log.months.values()), label=label))
    return states


def _bytes_of(store: ReadStore, place: str, file: LogFile) -> tuple[bytes, str]:
    """Return the bytes of a log's file, and what is wrong with it; empty if nothing is."""
    try:
        data = store.read(f"{place}/{file.name}")
    except FileNotFoundError:
        return b"", _MISSING
    except OSError as error:
        return b"", f"damaged ({error_reason(error)})"
    return data, "" if zlib.crc32(data) == file.crc32 else "damaged (checksum differs)"


def _read_file(store: ReadStore, place: str, file: LogFile) -> pa.Table:
    data, fault = _bytes_of(store, place, file)
    if fault:
        kind = MissingFileError if fault == _MISSING else ArchiveError
        raise kind(f"{store.place(place)}/{file.name} is {fault}: {_REFETCH}.")
    with pa.ipc.open_file(pa.BufferReader(data)) as reader:
        return reader.read_all()


def _encode(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table.combine_chunks())
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _place_of(name: str) -> str:
    """Return the folder of an account's files, relative to the history."""
    return f"{FOLDER}/{sha256(name.encode()).hexdigest()[:12] if name else 'log'}"


def _id_column(log: LogAccount, table: pa.Table) -> str | None:
    """Return the name of the column of ids."""
    return log.id_column if log.id_column in table.column_names else id_column(table.column_names)


def _times_of(table: pa.Table, name: str | None) -> Ints:
    """Return the time of each row in microseconds."""
    if name is None or name not in table.column_names or not pa.types.is_timestamp(table.schema.field(name).type):
        return np.full(len(table), NEVER)
    numbers = table.column(name).cast(DATE).cast(pa.int64()).fill_null(NEVER)
    times: Ints = numbers.to_numpy()
    return times


def _by_month(times: Ints) -> dict[str, Ints]:
    """Return the places of the rows of each month."""
    known = times != NEVER
    months = np.full(len(times), _UNDATED, "U8")
    months[known] = times[known].astype("datetime64[us]").astype("datetime64[M]").astype(str)
    return {str(month): np.flatnonzero(months == month) for month in np.unique(months)}


def _joined(spans: list[Span]) -> list[Span]:
    """Return spans as few as possible, oldest first."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined


def _without_newest(spans: list[Span]) -> list[Span]:
    """Return the spans without the last hour of the newest, which is read again."""
    until = spans[-1][1] - _OVERLAP if spans else 0
    return [(start, min(end, until)) for start, end in spans if start < until]


def _gaps(known: list[Span], now: int) -> list[Span]:
    """Return the spans up to now that are not known, newest first."""
    gaps, start = [], EARLIEST
    for first, end in known:
        if start < first:
            gaps.append((start, first))
        start = max(start, end)
    return [*([(start, now)] if start < now else []), *gaps[::-1]]


def _holes(log: LogAccount, start: int | None, end: int | None) -> list[Span]:
    """Return the spans between two times in seconds that were not read, though later ones were."""
    if not log.read:
        return [(EARLIEST, EARLIEST)]
    first = EARLIEST if start is None else max(EARLIEST, start * 1000)
    last = log.read[-1][1] if end is None else min(log.read[-1][1], end * 1000)
    inside = [(max(a, first), min(b, last)) for a, b in _gaps(log.read, log.read[-1][1])]
    return [(a, b) for a, b in inside if a < b]
