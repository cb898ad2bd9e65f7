"""The layout of a local history: the path of each month's file, and the manifest, which is written last.

The manifest has the CRC-32 of each file, and of itself. A month's file that is replaced before the manifest is written
is noted in ``.histkit/replaced.jsonl`` first, so that after a kill it is known to be whole.

``year=2026/month=10/history.parquet`` (UTC). Rows without a date lie in ``year=0/month=0``: Hive's name for a missing
value would make year and month texts, which pandas and Dask can't combine with the numbers of the other months.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from histkit.errors import ArchiveError
from histkit.frame.schema import FIRST_SECOND, LAST_SECOND, SCHEMA_VERSION
from histkit.util.files import AppendOnlyFile, atomic_write
from histkit.util.storage import ReadStore
from histkit.util.text import error_line, error_reason, quoted

MANIFEST = "_manifest.json"  # tools skip names that begin with an underscore or a dot
WORK = ".histkit"
REPLACED = "replaced.jsonl"
UNDATED = "year=0/month=0/history.parquet"
OLD_UNDATED = "year=__HIVE_DEFAULT_PARTITION__/month=__HIVE_DEFAULT_PARTITION__/history.parquet"  # until 0.2
_CHECKSUM = re.compile(rb',\n "crc32": (\d{1,10})\n}\s*$')
_CHUNK = 1 << 20
_FOOTER_END = 8  # bytes: the footer's length, and Parquet's name


class DamagedManifestError(ArchiveError):
    """The manifest is damaged."""


class Month(msgspec.Struct):
    """A month's file: rows, bytes on disk, and their CRC-32 (None: an older version wrote the manifest).

    The footer's length and CRC-32 serve those who read a few pages from a URL; pages have checksums of their own.
    """

    rows: int
    bytes: int
    crc32: int | None = None
    footer_bytes: int | None = None
    footer_crc32: int | None = None

    @property
    def checksum(self) -> tuple[int | None, int]:
        """The CRC-32 and the size, as `crc_of` returns them."""
        return self.crc32, self.bytes


class ReplacedMonth(msgspec.Struct):
    """A month's file that was replaced after the manifest was written, and voices that the manifest may not know."""

    file: str
    month: Month
    voices: list[tuple[str | None, str | None]] = msgspec.field(default_factory=list)


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
    incomplete : bool
        Whether rows were lost with a month's file, and not read again yet.
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
    incomplete: bool = False
    full_until: int | None = None
    gaps: list[tuple[int, int]] = msgspec.field(default_factory=list)


class HistoryManifest(msgspec.Struct):
    """The content of a folder: files, accounts (the one without a name is ``""``), voices (id, name) ever seen.

    `lost` has the number of rows that a month has lost with its file, until every account is read completely again.
    `unsearched` has, by account, months that were damaged when rows were stored which may have left them.
    """

    schema_version: int = SCHEMA_VERSION
    synced_at: str = ""
    months: dict[str, Month] = msgspec.field(default_factory=dict)
    accounts: dict[str, Account] = msgspec.field(default_factory=dict)
    voices: list[tuple[str | None, str | None]] = msgspec.field(default_factory=list)
    lost: dict[str, int] = msgspec.field(default_factory=dict)
    unsearched: dict[str, list[str]] = msgspec.field(default_factory=dict)

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


def month_label(file: str) -> str:
    """Return a month's file for readers; another path as it is.

    Examples
    --------
    >>> month_label("year=2026/month=9/history.parquet")
    '2026-09'
    """
    if not is_month(file):
        return file
    span = partition_span(file)
    return "(no date)" if span is None else f"{datetime.fromtimestamp(span[0], UTC):%Y-%m}"


def twin_of(months: Mapping[str, Month], file: str, checksum: tuple[int, int] | None) -> str | None:
    """Return the month that a file of some checksum is a copy of; None if it is of none."""
    return next((name for name, month in months.items() if name != file and month.checksum == checksum), None)


def months_of(oldest: int, newest: int) -> list[str]:
    """Return the files of all months from one date to another."""
    first, last = (np.datetime64(date, "s").astype("datetime64[M]") for date in (oldest, newest))
    starts = np.arange(first, last + 1).astype("datetime64[s]").astype(np.int64)
    return [partition_path(start) for start in starts.tolist()]


def newest_first(files: Iterable[str]) -> list[str]:
    """Sort months' files newest first; rows without a date come last."""
    return sorted(files, key=lambda file: partition_span(file) or (-(2**62), 0), reverse=True)


def is_month(file: str) -> bool:
    """Return whether a path is that of a month's file, as this module writes it."""
    if file in (UNDATED, OLD_UNDATED):
        return True
    try:
        span = partition_span(file)
        return span is not None and partition_path(span[0]) == file
    except (ValueError, OverflowError):
        return False


def read_manifest(store: ReadStore) -> HistoryManifest | None:
    """Read the manifest; None if there is none yet.

    Raises
    ------
    ArchiveError
        It can't be read, is damaged, or a newer histkit wrote it; or the folder is a file.
    """
    where = store.place(MANIFEST)
    try:
        data = store.read(MANIFEST)
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        raise _damaged(where, "it is a folder") from None
    except NotADirectoryError:
        raise ArchiveError(
            f"{store.name} is a file, not the folder of a local history, which sync makes. "
            "A single file is read by histkit.read_parquet or histkit.read_csv."
        ) from None
    except OSError as error:
        raise ArchiveError(f"{where} can't be read: {error_line(error)}.") from None
    try:
        return decode_manifest(data, where)
    except ValueError as error:
        raise _damaged(where, error_line(error)) from None


def _damaged(where: str, reason: str) -> DamagedManifestError:
    return DamagedManifestError(
        f"{where} is damaged ({reason}): restore a copy, or run sync(full=True), which makes it again from the months."
    )


def decode_manifest(data: bytes, where: str) -> HistoryManifest:
    """Decode a manifest and check it.

    Raises
    ------
    ValueError
        It is damaged.
    ArchiveError
        A newer histkit wrote it.
    """
    has_checksum = check_json(data)
    try:
        content = msgspec.json.decode(data, type=dict[str, Any])
        if "schema_version" not in content:
            raise ValueError("it has no schema_version")
        if content["schema_version"] > SCHEMA_VERSION:
            raise ArchiveError(f"{where} was written by a newer histkit: upgrade with pip install -U histkit.")
        lacking = {"months", "accounts"} - content.keys()
        if lacking:
            raise ValueError(f"it has no {min(lacking)}")
        manifest = msgspec.json.decode(data, type=HistoryManifest)
    except (TypeError, RecursionError) as error:
        raise ValueError(error_line(error)) from None
    for file, month in manifest.months.items():
        if not is_month(file) or month.rows < 0 or month.bytes < 0:
            raise ValueError(f"{quoted(file)} is no month's file")
        if not has_checksum and month.crc32 is not None:
            raise ValueError("its checksum is missing")
    for account in manifest.accounts.values():
        if account.watermark is not None and not FIRST_SECOND <= account.watermark <= LAST_SECOND:
            raise ValueError("a watermark is no date")
        for moment in (account.synced_at, account.full_at):
            seconds_of(moment)
    return manifest


def check_json(data: bytes) -> bool:
    """Return whether JSON that `json_with_checksum` made still has its checksum; raise ValueError where it differs."""
    checksum = _CHECKSUM.search(data)
    if checksum is not None and zlib.crc32(data[: checksum.start()]) != int(checksum[1]):
        raise ValueError("its checksum differs")
    return checksum is not None


def json_with_checksum(value: msgspec.Struct) -> bytes:
    """Return an object as JSON whose last line is the CRC-32 of the lines before."""
    content = msgspec.json.format(msgspec.json.encode(value), indent=1).rstrip()
    content = content[:-1].rstrip()  # the brace is part of the last line
    return content + b',\n "crc32": %d\n}\n' % zlib.crc32(content)


def seconds_of(moment: str | None) -> int:
    """Return a moment of the manifest in seconds since 1970; 0 where there is none."""
    return int(datetime.fromisoformat(moment).timestamp()) if moment else 0


def write_manifest(folder: str | os.PathLike[str], manifest: HistoryManifest) -> None:
    """Write the manifest, with its checksum in the last line; the list of replaced months has served its purpose."""
    manifest.schema_version = SCHEMA_VERSION
    with atomic_write(Path(folder) / MANIFEST) as temporary:
        temporary.write_bytes(json_with_checksum(manifest))
    (Path(folder) / WORK / REPLACED).unlink(missing_ok=True)


def read_replaced(store: ReadStore) -> dict[str, list[ReplacedMonth]]:
    """Read the list of months that were replaced after the manifest was written, oldest first."""
    try:
        lines = store.read(f"{WORK}/{REPLACED}").splitlines()
    except (OSError, ArchiveError):
        return {}
    replaced: dict[str, list[ReplacedMonth]] = {}
    for line in lines:
        with suppress(msgspec.DecodeError):  # cut off by a kill
            month = msgspec.json.decode(line, type=ReplacedMonth)
            replaced.setdefault(month.file, []).append(month)
    return replaced


def note_replaced(folder: str | os.PathLike[str], month: ReplacedMonth) -> None:
    """Note a month's file that is about to be replaced, so that a kill before the manifest is written does no harm."""
    path = Path(folder) / WORK / REPLACED
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(AppendOnlyFile(path)) as file:
            file.write(msgspec.json.encode(month) + b"\n")
            file.flush_to_disk()
    except OSError as error:
        raise ArchiveError(f"{path} can't be written: {error_reason(error)}.") from None


def footer_of(file: Any, size: int) -> tuple[int, int]:
    """Return the length of the footer of an open Parquet file of a size, and its CRC-32."""
    file.seek(size - _FOOTER_END)
    length = int.from_bytes(file.read(4), "little") + _FOOTER_END
    file.seek(size - length)
    return length, zlib.crc32(file.read(length))


def crc_of(file: Any) -> tuple[int, int]:
    """Return the CRC-32 and the size of an open file, which is then at its start."""
    buffer = memoryview(bytearray(_CHUNK))
    crc = size = 0
    file.seek(0)
    while count := file.readinto(buffer):
        crc, size = zlib.crc32(buffer[:count], crc), size + count
    file.seek(0)
    return crc, size
