"""`read_requests`: the workspace's request log as a DataFrame whose columns are those that the service names."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from histkit.api.client import HistoryClient, borrowed_client
from histkit.errors import HistkitError, PaginationError, SchemaError
from histkit.fetch.log_windows import EARLIEST, LogFetch, LogPage
from histkit.frame.clock import zone_of
from histkit.frame.dates import date_range
from histkit.frame.log_table import (
    NEVER,
    id_column,
    is_naive,
    join_tables,
    log_frame,
    newest_first,
    read_once,
    stated,
    with_known_names,
)
from histkit.util.arrays import Ints, Mask
from histkit.util.progress import progress_bar
from histkit.util.text import count_noun, quoted

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 3


def read_requests(
    after: Any = None,
    before: Any = None,
    *,
    tz: str | tzinfo = "UTC",
    progress: bool | None = None,
    client: HistoryClient | None = None,
) -> pd.DataFrame:
    """Read the request log of the workspace: one row for each API request, with its key, user, status and latency.

    The key needs the scope ``workspace_analytics_full_read``. The columns are those that the service sends; they are
    not documented, so their names, types and units are read from its answers.

    Parameters
    ----------
    after, before : str, date, datetime, Timestamp or int, optional
        Dates, after inclusive and before exclusive, as in `filter_items`. Default: from the first request up to now.
    tz : str or tzinfo, default "UTC"
        Zone of days and naive times in `after` and `before`, an IANA name.
    progress : bool, optional
        Show a progress bar; default: in a notebook and on a terminal.
    client : HistoryClient, optional
        Default: a client with the key and base URL of the environment.

    Returns
    -------
    pandas.DataFrame
        Newest first, with a RangeIndex; each request id once. The ids of requests are ``string``, other texts of few
        values ``category``, numbers ``Int64`` or ``Float64``, times ``datetime64[us, UTC]``, nested values JSON text.
        ``attrs["histkit"]`` has ``time_column``, ``id_column``, ``units`` and ``types`` (as the service states them),
        ``complete``, ``fetched_at``, ``requests``, ``rows_without_time`` and ``rows_without_id``, and ``problems``.
        Rows without a time are kept and stand last.

    Raises
    ------
    PaginationError
        The log could not be read to its end, or a millisecond has more requests than the service returns;
        ``.partial`` is the frame of what was read.
    InputError
        An argument is invalid.
    ApiError, TransportError
        The first request failed; a `PermissionDeniedError` names the missing scope.
    SchemaError
        The first answer has no rows with times.

    Warns
    -----
    UserWarning
        Two rows of one request id differ in one answer; the later one is returned. Times have no offset from UTC.
        A millisecond has as many requests as any answer, and neither ids nor filters can show that it has no more.

    Notes
    -----
    The route returns at most 1,000 rows and has no cursor. The log is read back by time until the service says that
    nothing is left; an answer is not taken for complete because it is short. Rows at the edge of an answer have to
    come again in the next one. Where the service ignores a bound or the order, another way is tried, and a
    `PaginationError` says so if there is none.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=300) as box:
    ...     log = hk.read_requests("2026-10", client=hk.HistoryClient(box.api_key, base_url=box.url))
    >>> log.attrs["histkit"]["id_column"], log.attrs["histkit"]["units"]["latency"]
    ('request_id', 'ms')
    """
    start, end = date_range(after, before, zone_of(tz))
    reading = LogReading.of(start, end)
    with (
        borrowed_client(client) as client,
        progress_bar(progress, desc="requests", unit=" rows", unit_scale=True) as bar,
    ):
        fetch = reading.fetch(client)
        try:
            for page in fetch.pages():
                bar.update(reading.keep(page))
                bar.set_postfix_str(f"{fetch.requests} requests", refresh=False)
        except HistkitError as error:
            if not reading.rows and not isinstance(error, PaginationError):
                raise
            partial = reading.frame(fetch, complete=False)
            rows = count_noun(len(partial), "row")
            stop = f"The request log could not be read to its end ({rows} in .partial): {error}"
            raise PaginationError(stop, partial=partial) from error
    frame = reading.frame(fetch, complete=True)
    warn_of_log_problems(frame.attrs["histkit"]["problems"], stacklevel=2)
    return frame


def warn_of_log_problems(problems: list[str], stacklevel: int) -> None:
    """Warn of what is uncertain in a log."""
    if problems:
        more = "; ..." if len(problems) > _SHOWN else ""
        shown = "; ".join(problems[:_SHOWN]) + more
        warnings.warn(f"The request log: {shown}", stacklevel=stacklevel + 1)


@dataclass
class LogReading:
    """The rows of a log between two times, in milliseconds, as they are read.

    The columns of times and ids keep the names that they have first, or that are known from an earlier reading: the
    service may rename them.
    """

    start: int
    end: int
    open_start: bool = False
    rows: int = 0
    time_column: str | None = None
    id_column: str | None = None
    _tables: list[pa.Table] = field(default_factory=list)
    _times: list[Ints] = field(default_factory=list)
    _numbers: list[Ints] = field(default_factory=list)

    @classmethod
    def of(cls, start: int | None, end: int | None) -> LogReading:
        """Return a reading between two times in seconds; None: from the first request, up to now."""
        last = int(time.time() * 1000) if end is None else end * 1000
        return cls(EARLIEST if start is None else start * 1000, last, open_start=start is None)

    def fetch(self, client: HistoryClient) -> LogFetch:
        """Return what fetches the pages."""
        return LogFetch(client, self.start, self.end, self.open_start)

    def keep(self, page: LogPage) -> int:
        """Keep the rows of a page between the times, and those without one; return their number.

        Raises
        ------
        SchemaError
            The rows have ids and others had none, or the other way round: rows that come twice can't be recognized.
        """
        rows = np.flatnonzero(self._selected(page.times))
        if self.time_column is not None and (self.id_column is None) != (page.id_column is None):
            change = "now sends" if self.id_column is None else "no longer sends"
            raise SchemaError(
                f"The service {change} request ids ({quoted(page.id_column or self.id_column)}), so that rows which "
                "were read before can't be recognized: read the log anew, a synced one without its folder _requests."
            )
        table = with_known_names(page.table, {page.time_column: self.time_column, page.id_column: self.id_column})
        self.time_column = self.time_column or page.time_column
        self.id_column = self.id_column or page.id_column
        self._tables.append(table.take(rows))
        self._times.append(page.times[rows])
        self._numbers.append(np.full(len(rows), page.number))
        self.rows += len(rows)
        return len(rows)

    def _selected(self, times: Ints) -> Mask:
        early = np.zeros(len(times), bool) if self.open_start else times < self.start * 1000
        selected: Mask = (times == NEVER) | ~(early | (times >= self.end * 1000))
        return selected

    def take(self) -> LogRows:
        """Return the rows that were kept, each once, newest first, and forget them."""
        table = join_tables(self._tables)
        times = np.concatenate([np.zeros(0, np.int64), *self._times])
        numbers = np.concatenate([np.zeros(0, np.int64), *self._numbers])
        self._tables, self._times, self._numbers, self.rows = [], [], [], 0
        name = self.id_column if self.id_column in table.column_names else id_column(table.column_names)
        places, clashes = read_once(table, name, times, numbers)
        places = newest_first(times, places)
        return LogRows(table.take(places), times[places], self.time_column, name, clashes)

    def frame(self, fetch: LogFetch, *, complete: bool) -> pd.DataFrame:
        """Return the frame of the rows that were kept, with its facts."""
        if not self.rows and fetch.columns is not None:
            self._tables, self._times, self._numbers = [fetch.columns], [], []
        facts = {
            "complete": complete,
            "fetched_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "requests": fetch.requests,
        }
        frame = self.take().frame(facts)
        frame.attrs["histkit"]["problems"] += fetch.doubts()
        return frame


@dataclass(frozen=True)
class LogRows:
    """Rows of a log, each once: table, times in microseconds, the columns of times and ids, ids of several rows."""

    table: pa.Table
    times: Ints
    time_column: str | None
    id_column: str | None
    clashes: list[str]

    def frame(self, facts: dict[str, Any]) -> pd.DataFrame:
        """Return the rows as a frame with its facts."""
        table, name = self.table, self.id_column
        frame = log_frame(table, name)
        problems = [f"request {quoted(item, 40)} has several rows that differ" for item in self.clashes]
        if is_naive(table):
            problems.append("times have no offset from UTC and were read as UTC")
        frame.attrs["histkit"] = {
            "time_column": self.time_column,
            "id_column": name,
            "units": stated(table, "unit"),
            "types": stated(table, "type"),
            **facts,
            "rows_without_time": int((self.times == NEVER).sum()),
            "rows_without_id": len(table) if name is None else int(table.column(name).null_count),
            "problems": problems,
        }
        return frame
