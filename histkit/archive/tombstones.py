"""Tombstones: rows that were deleted from the service stay in the local history, marked as deleted."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from histkit.api.existence import DELETED as STATE
from histkit.archive.checkpoint import SyncCheckpoint
from histkit.archive.integrity import HistoryFolder
from histkit.archive.manifest import WORK, HistoryManifest, read_manifest, write_manifest
from histkit.archive.merge import account_rows
from histkit.archive.partitions import FILE_SCHEMA, PartitionReader, sort_rows, word_rows, writing_month
from histkit.errors import ArchiveError
from histkit.frame.schema import CATEGORY, DATE, TEXT
from histkit.util.files import exclusive_lock
from histkit.util.storage import ReadStore, normalize_path

_LOOKED_AT = ["history_item_id", "account", "state", "missing_since"]


@dataclass(frozen=True)
class DeletionTarget:
    """The rows to mark: their ids, and their account (None: any)."""

    ids: pa.Array
    account: str | None

    def unmarked(self, table: pa.Table) -> pa.ChunkedArray:
        """Return a mask without missing values of the rows that have to be marked."""
        marked = pc.and_(word_rows(table, "state", STATE), pc.is_valid(table.column("missing_since")))
        rows = pc.and_(pc.is_in(table.column("history_item_id"), self.ids), pc.invert(marked))
        return rows if self.account is None else pc.and_(rows, account_rows(table, self.account))


def mark_deleted(
    path: str | os.PathLike[str], ids: Iterable[str], moment: datetime, *, account: str | None = None
) -> int:
    """Mark rows of a local history as deleted; they keep all their values.

    A marked row has the ``state`` ``deleted`` and a ``missing_since``, which keeps its value where it is set already.
    Months without such a row are not written. A month is read in slices of time, so that memory does not grow with it.

    Parameters
    ----------
    path : path-like or str
        The folder of `histkit.sync`.
    ids : iterable of str
        The rows; ids that the folder doesn't have are ignored.
    moment : datetime
        When the rows were deleted, with a time zone.
    account : str, optional
        Only rows of this account; default: rows of any account.

    Returns
    -------
    int
        Newly marked rows; rows that were marked before don't count.

    Raises
    ------
    ArchiveError
        There is no local history, a sync is writing into it, or a file is damaged or can't be written. The rows of
        other files are marked.

    Notes
    -----
    An unfinished sync with one of the rows in its pages is discarded, since it would restore the row; the next sync
    fetches these pages again.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> import histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=50) as box:
    ...     df = hk.sync("history", client=hk.HistoryClient(box.api_key, base_url=box.url), progress=False)
    >>> mark_deleted("history", df["history_item_id"].head(3), datetime.now(UTC))
    3
    >>> hk.load("history")["state"].eq("deleted").sum().item()
    3
    """
    folder = Path(normalize_path(path))
    _manifest_of(folder)  # before the lock, which would create the folder
    target = DeletionTarget(pa.array(list(ids), TEXT), account)
    with exclusive_lock(folder / WORK / "lock", f"a sync is writing into {folder}"):
        history = HistoryFolder(folder, deep=False)
        manifest, bad = history.manifest, {state.file for state in history.problems}
        if history.damaged_manifest is not None:
            raise history.damaged_manifest
        history.upgrade()
        _drop_unfinished(folder, target)
        marked, failed = 0, None
        try:
            for file in sorted(manifest.months.keys() - bad):
                try:
                    marked += _mark_month(folder, file, manifest, target, moment)
                except ArchiveError as error:  # the other months are marked first
                    failed = failed or error
        finally:
            waited = _forget_processing(manifest, target)
            if marked or waited:
                write_manifest(folder, manifest)
        if failed is not None:
            raise failed
        history.raise_problems()
    return marked


def _manifest_of(folder: Path) -> HistoryManifest:
    manifest = read_manifest(ReadStore(folder))
    if manifest is None:
        raise ArchiveError(f"{folder} holds no local history.")
    return manifest


def _drop_unfinished(folder: Path, target: DeletionTarget) -> None:
    for path in sorted(path for path in (folder / WORK).iterdir() if path.is_dir()):
        checkpoint = SyncCheckpoint(path)
        ids = (page.read(["history_item_id"]).column(0) for page in checkpoint.pages())
        if any(pc.any(pc.is_in(page_ids, target.ids)).as_py() for page_ids in ids):
            checkpoint.discard()


def _forget_processing(manifest: HistoryManifest, target: DeletionTarget) -> bool:
    """Remove rows from the lists of those still processing, which would be requested again."""
    gone = set(target.ids.to_pylist())
    waited = False
    for name, account in manifest.accounts.items():
        for item in account.processing.keys() & gone if target.account in (None, name) else ():
            del account.processing[item]
            waited = True
    return waited


def _mark_month(folder: Path, file: str, manifest: HistoryManifest, target: DeletionTarget, moment: datetime) -> int:
    with PartitionReader(ReadStore(folder), file, manifest.months[file]) as month:
        marked = sum(pc.sum(target.unmarked(month.read([group], _LOOKED_AT))).as_py() or 0 for group in month.groups())
        if not marked:
            return 0
        with writing_month(folder, file) as writer:
            for groups in month.slices():
                table = sort_rows(month.read(groups, FILE_SCHEMA.names))
                writer.add(_marked(table, target.unmarked(table), moment))
        manifest.months[file] = writer.month
    return int(marked)


def _marked(table: pa.Table, rows: pa.ChunkedArray, moment: datetime) -> pa.Table:
    since, state = table.column("missing_since"), table.column("state").cast(TEXT)
    lost = pc.and_(rows, pc.is_null(since))
    values = {
        "missing_since": pc.if_else(lost, pa.scalar(moment, DATE), since),
        "state": pc.if_else(rows, pa.scalar(STATE, TEXT), state).dictionary_encode().cast(CATEGORY),
    }
    for name, column in values.items():
        table = table.set_column(table.column_names.index(name), name, column)
    return table
