"""Ids of rows that a local history has, to find out whether a key is of their account."""

from __future__ import annotations

import pyarrow.compute as pc

from histkit.archive.manifest import HistoryManifest, newest_first
from histkit.archive.merge import account_rows
from histkit.archive.partitions import PartitionReader
from histkit.util.storage import ReadStore


def some_known_ids(store: ReadStore, manifest: HistoryManifest, account: str, months: int, rows: int) -> list[str]:
    """Return ids of an account that are not marked missing, from months spread over a local history.

    Parameters
    ----------
    store : ReadStore
        The folder.
    manifest : HistoryManifest
        Its manifest.
    account : str
        The account; "" where accounts have no names.
    months, rows : int
        About how many months to read, and how many ids of each.

    Raises
    ------
    ArchiveError
        A month is damaged.
    """
    ids: list[str] = []
    files = newest_first(manifest.months)
    for file in files[:: -(-len(files) // months) or 1]:
        with PartitionReader(store, file, manifest.months[file]) as month:
            table = month.read(month.groups()[:1], ["account", "history_item_id", "missing_since"])
        table = table.filter(pc.and_(account_rows(table, account), pc.is_null(table.column("missing_since"))))
        ids += table.column("history_item_id").drop_null().slice(0, rows).to_pylist()
    return ids
