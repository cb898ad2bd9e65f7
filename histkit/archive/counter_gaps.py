"""Gaps in the credit counter between rows: a sign of rows that were not in the listing when it was read.

Each row recorded how the account's counter went ``from`` one value ``to`` another. Credits that no row accounts for
were spent by rows that are missing here, or by products that the history doesn't list, such as music. `histkit.ledger`
is the complete account of them; here they only tell whether a full sync is due.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from histkit.archive.checkpoint import StagedPage
from histkit.archive.partitions import word_rows
from histkit.util.arrays import Ints

_COLUMNS = ["date_unix", "character_count_change_from", "character_count_change_to"]
_MOST = 10**11  # larger counters are treated as errors


def counter_gaps(pages: Sequence[StagedPage], after: int, before: int) -> list[tuple[int, int]]:
    """Find the gaps in the counter between fetched rows.

    Parameters
    ----------
    pages : sequence of StagedPage
        The fetched rows of one account; a row may be in it several times.
    after, before : int
        Seconds since 1970: gaps whose later row has a date in ``[after, before)`` are returned.

    Returns
    -------
    list of (int, int)
        Date of the first row after the gap, and credits.
    """
    tables = [page.read([*_COLUMNS, "state"]) for page in pages if page.newest is not None]
    if not tables:
        return []
    table = pa.concat_tables(tables)
    table = table.filter(pc.invert(word_rows(table, "state", "processing"))).select(_COLUMNS).drop_null()
    dates, start, end = (column.to_numpy() for column in table.columns)
    usable = (start >= 0) & (end >= start) & (end > 0) & (end <= _MOST)
    return _gaps(dates[usable], start[usable], end[usable], after, before)


def _gaps(dates: Ints, start: Ints, end: Ints, after: int, before: int) -> list[tuple[int, int]]:
    order = np.lexsort((end, start))
    dates, start, end = dates[order], start[order], end[order]
    highest = np.maximum.accumulate(end)
    holes = np.flatnonzero(start[1:] > highest[:-1]) + 1
    # The row that reached the counter below a gap; of several, the first. After a reset it is newer than the row above.
    below = dates[np.searchsorted(highest, highest[holes - 1], side="left")]
    real = holes[(below <= dates[holes]) & (dates[holes] >= after) & (dates[holes] < before)]
    credits = start[real] - highest[real - 1]
    return sorted(zip(dates[real].tolist(), credits.tolist(), strict=True))
