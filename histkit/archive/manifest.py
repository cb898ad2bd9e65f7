"""The layout of a local history: the path of each month's file, and the manifest, which is written last.

``year=2026/month=10/history.parquet`` (UTC). Rows without a date lie in ``year=0/month=0``: Hive's name for a missing
value would make year and month texts, which pandas and Dask can't combine with the numbers of the other months.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from histkit.errors import ArchiveError
from histkit.frame.schema import SCHEMA_VERSION
from histkit.util.files import atomic_write
from histkit.util.storage import ReadStore
from histkit.util.text import error_line

MANIFEST = "_manifest.json"  # tools skip names that begin with an underscore or a dot
WORK = ".histkit"
UNDATED = "year=0/month=0/history.parquet"
OLD_UNDATED = "year=__HIVE_DEFAULT_PARTITION__/month=__HIVE_DEFAULT_PARTITION__/history.parquet"  # until 0.2


class Month(msgspec.Struct):
    """A month's file: rows, and bytes on disk."""

    rows: int
    bytes: int


class Account(msgspec.Struct):
    """The state of an account.

    Attributes
    ----------
    watermark : int or None
        The newest date up to which everything was read; never later than the moment of reading, whatever a row says.
    synced_at, full_at : str
        When it was synced, and when it was last read completely; ISO, UTC.
    service : str
        The host that it was read from, or ``"sandbox"``; empty in folders of histkit 0.1.
    processing : dict of str to int or None
        Ids and dates of the rows that were still ``processing``.
    full_until : int or None
        The watermark when it was last read completely.
    gaps : list of (int, int)
        Dates and credits of the gaps in the counter since then (see `counter_gaps`).
    """

    watermark: int | None = None
    synced_at: str = ""
    full_at: str | None = None
    service: str = ""
    processing: dict[str, int | None] = msgspec.field(default_factory=dict)
    full_until: int | None = None
    gaps: list[tuple[int, int]] = msgspec.field(default_factory=list)


class HistoryManifest(msgspec.Struct):
    """The content of a folder: files, accounts (the one without a name is ``""``), voices (id, name) ever seen."""

    schema_version: int = SCHEMA_VERSION
    synced_at: str = ""
    months: dict[str, Month] = msgspec.field(default_factory=dict)
    accounts: dict[str, Account] = msgspec.field(default_factory=dict)
    voices: list[tuple[str | None, str | None]] = msgspec.field(default_factory=list)

    def rows(self) -> int:
        """Return the number of rows of all months."""
        return sum(month.rows for month in self.months.values())


def partition_path(date_unix: int | None) -> str:
    """Return the file of a date's rows, relative to the folder.

    Examples
    --------
    >>> partition_path(1793476799)
    'year=2026/month=10/history.parquet'
    """
    if date_unix is None:
        return UNDATED
    date = datetime.fromtimestamp(date_unix, UTC)
    return f"year={date.year}/month={date.month}/history.parquet"


def partition_span(file: str) -> tuple[int, int] | None:
    """Return the seconds ``[start, end)`` of a month's file; None for the file of rows without a date."""
    if file in (UNDATED, OLD_UNDATED):
        return None
    year, month, _ = (part.partition("=")[2] for part in file.split("/"))
    start = np.datetime64(f"{int(year):04}-{int(month):02}", "M")
    first, end = np.array([start, start + 1]).astype("datetime64[s]").astype(np.int64).tolist()
    return first, end


def months_of(oldest: int, newest: int) -> list[str]:
    """Return the files of all months from one date to another."""
    first, last = (np.datetime64(date, "s").astype("datetime64[M]") for date in (oldest, newest))
    starts = np.arange(first, last + 1).astype("datetime64[s]").astype(np.int64)
    return [partition_path(start) for start in starts.tolist()]


def newest_first(files: Iterable[str]) -> list[str]:
    """Sort months' files newest first; rows without a date come last."""
    return sorted(files, key=lambda file: partition_span(file) or (-(2**62), 0), reverse=True)


def read_manifest(store: ReadStore) -> HistoryManifest | None:
    """Read the manifest; None if there is none yet.

    Raises
    ------
    ArchiveError
        It can't be read, or a newer histkit wrote it.
    """
    where = store.place(MANIFEST)
    try:
        data = store.read(MANIFEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArchiveError(f"{where} can't be read: {error_line(error)}.") from None
    try:
        version = msgspec.json.decode(data, type=dict[str, Any])["schema_version"]
        if version > SCHEMA_VERSION:
            raise ArchiveError(f"{where} was written by a newer histkit: upgrade with pip install -U histkit.")
        manifest = msgspec.json.decode(data, type=HistoryManifest)
        newest_first(manifest.months)
        return manifest
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise ArchiveError(
            f"{where} is damaged ({error_line(error)}). Restore a copy, or delete it and run sync(full=True): the "
            "months stay and are read in again."
        ) from None


def write_manifest(folder: str | os.PathLike[str], manifest: HistoryManifest) -> None:
    """Write the manifest."""
    manifest.schema_version = SCHEMA_VERSION
    with atomic_write(Path(folder) / MANIFEST) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
