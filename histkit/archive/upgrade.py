"""Upgrade a local history of an older version in place, before a sync or a deletion writes into it."""

from __future__ import annotations

import filecmp
import shutil
from contextlib import suppress
from pathlib import Path

from histkit.archive.manifest import OLD_UNDATED, UNDATED, HistoryManifest, Month, write_manifest
from histkit.archive.partitions import FILE_SCHEMA, PartitionReader, sort_rows, writing_month
from histkit.util.files import atomic_write
from histkit.util.storage import ReadStore


def rewrite_month(folder: Path, file: str) -> Month:
    """Write a month of an older version again: with checksums of its pages, and today's types of columns.

    Plain tools read a folder only if its files have the same types. The month is read in slices of time, so that memory
    does not grow with it.
    """
    with PartitionReader(ReadStore(folder), file) as month, writing_month(folder, file) as writer:
        for groups in month.slices():
            writer.add(sort_rows(month.read(groups, FILE_SCHEMA.names)))
    return writer.month


def move_undated(folder: Path, manifest: HistoryManifest) -> None:
    """Move the rows without a date from Hive's partition of missing values, which few tools read, to `UNDATED`.

    The caller holds the folder's lock. A kill leaves both files; the manifest names the one that counts.
    """
    old, new = folder / OLD_UNDATED, folder / UNDATED
    if OLD_UNDATED in manifest.months and old.is_file():
        if UNDATED not in manifest.months:
            with atomic_write(new) as temporary:
                shutil.copyfile(old, temporary)
            manifest.months[UNDATED] = manifest.months[OLD_UNDATED]
        del manifest.months[OLD_UNDATED]
        write_manifest(folder, manifest)
    if UNDATED in manifest.months and OLD_UNDATED not in manifest.months and is_copied(folder):
        old.unlink()
        for path in (old.parent, old.parent.parent):
            with suppress(OSError):  # it does not exist, or holds other files
                path.rmdir()


def is_copied(folder: Path) -> bool:
    """Return whether both files of rows without a date are there with the same bytes: `move_undated` was killed."""
    try:
        return filecmp.cmp(folder / OLD_UNDATED, folder / UNDATED, shallow=False)
    except OSError:
        return False
