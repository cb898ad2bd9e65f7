"""Read the history in time windows, concurrently, until each is read to its end.

The newest and the oldest page are fetched, the span between them is split into windows, and an idle worker takes half
of the largest remainder. Where the service does not sort oldest first, the oldest row is looked for by date, in steps
that grow from the length of the newest page to that of the longest history; each is a page of the result. Rows of one
second stay together. The caller decides what to do with the rows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import pairwise

import pyarrow as pa

from histkit.api.client import HistoryClient
from histkit.api.pagination import PageWindow, Query
from histkit.api.retry import http_date
from histkit.errors import ApiError
from histkit.fetch.density import RowDensity, choose_reach, choose_split, choose_stride, rows_remaining
from histkit.frame.decode import Page, PageDecoder, ParsedPage
from histkit.util.threads import DaemonThreads


class WindowRows:
    """A window, and the rows that a reader keeps for it in the service's order."""

    def __init__(self, window: PageWindow) -> None:
        self.window = window
        self.batches: list[pa.RecordBatch] = []
        self.busy = False

    @property
    def is_empty(self) -> bool:
        """Whether the window is known to have no row."""
        return self.window.done and self.window.newest is None


class WindowedFetch:
    """One pass through a history, or through the windows that an earlier pass left unread.

    Parameters
    ----------
    client : HistoryClient
        The account's client.
    decoder : PageDecoder
        Converts page bytes to Arrow.
    keep : callable
        Called with the `WindowRows`, the page, and the positions of the page's rows that are new and belong to the
        window.
    windows : sequence of PageWindow
        The windows to read, newest first; several when an interrupted pass is resumed.
    filters : mapping, optional
        Further query parameters.
    workers : int
        Number of windows read concurrently; 1 only follows the cursor.
    eager : bool
        Request the oldest page along with the newest, before it is known whether there is more than one page.
    enough : callable, optional
        With one worker: whether no further row is needed.

    Attributes
    ----------
    parts : list of WindowRows
        In time order, newest first.
    requests : int
        Pages requested.
    served_at : int or None
        When the service sent the first page, by its own clock (header ``Date``); seconds since 1970.
    sort_ignored : bool
        Whether the service did not sort oldest first, so that the oldest row was looked for by date.
    """

    def __init__(
        self,
        client: HistoryClient,
        decoder: PageDecoder,
        keep: Callable[[WindowRows, Page, list[int]], None],
        windows: Sequence[PageWindow],
        *,
        filters: Mapping[str, str] | None = None,
        workers: int = 1,
        eager: bool = True,
        enough: Callable[[], bool] = lambda: False,
    ) -> None:
        self._client = client
        self._decoder = decoder
        self._keep = keep
        self._filters = dict(filters or {})
        self._workers = workers
        self._eager = eager
        self._enough = enough
        self._page_size = windows[0].page_size
        self._density = RowDensity()
        self._most_parts = max(2 * workers, len(windows))
        self._cancel = threading.Event()
        self._parsing = threading.Lock()
        self._threads = DaemonThreads()
        self.parts = [WindowRows(window) for window in windows]
        self.requests = 0
        self.served_at: int | None = None
        self.sort_ignored = False
        self._stride: float | None = None
        self._has_undated = False  # rows that filters by date leave out

    def run(self) -> None:
        """Read all windows; errors of the pagination and of the transport are raised.

        Afterwards no request is started. Requests in flight are awaited for at most two seconds.
        """
        try:
            self._read_alone() if self._workers == 1 else self._read_side_by_side()
        finally:
            self._cancel.set()
            self._threads.join()

    def _read_alone(self) -> None:
        for part in self.parts:
            while not part.window.done and not self._enough():
                self._read_page(part)

    def _read_page(self, part: WindowRows) -> None:
        query = part.window.query()
        self.requests += 1
        self._process(part, lambda: self._fetch(query))

    def _read_side_by_side(self) -> None:
        if len(self.parts) == 1 and not self.parts[0].window.done:
            self._find_both_ends()
        pending: dict[Future[ParsedPage], WindowRows] = {}
        self._assign_work(pending)
        while pending:
            finished, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                part = pending.pop(future)
                part.busy = False
                self._process(part, future.result, lambda: self._assign_work(pending))

    def _find_both_ends(self) -> None:
        newest = self.parts[0]
        oldest = self._request_oldest(newest.window) if self._eager else None
        while newest.window.position is None and not newest.window.done:
            self._read_page(newest)
        if not newest.window.done:
            self._process_oldest(oldest or self._request_oldest(newest.window))

    def _split(self, part: WindowRows, at: int) -> WindowRows:
        older = WindowRows(part.window.split(at))
        self.parts.insert(self.parts.index(part) + 1, older)
        return older

    def _request_oldest(self, window: PageWindow) -> Future[ParsedPage]:
        self.requests += 1
        return self._threads.submit(self._fetch, Query(window.after, window.before, sort_direction="asc"))

    def _launch(self, pending: dict[Future[ParsedPage], WindowRows], part: WindowRows) -> None:
        part.busy = True
        self.requests += 1
        pending[self._threads.submit(self._fetch, part.window.query())] = part

    def _assign_work(self, pending: dict[Future[ParsedPage], WindowRows]) -> None:
        for part in self.parts:
            if len(pending) < self._workers and not part.busy and not part.window.done:
                self._launch(pending, part)
        while len(pending) < self._workers and self._count_parts() < self._most_parts:
            older = self._split_open_end() or self._split_largest()
            if older is None:
                return
            self._launch(pending, older)

    def _count_parts(self) -> int:
        """Count the windows; the empty ones that showed where the rows end don't count."""
        empty = sum(part.is_empty for part in self.parts) if self.sort_ignored else 0
        return len(self.parts) - min(empty, self._workers)

    def _split_open_end(self) -> WindowRows | None:
        """Split the oldest window while its oldest row is not known: the first part that is empty shows where it is."""
        first, last = self.parts[0].window, self.parts[-1]
        is_known = not self.sort_ignored or last.window.done or last.window.after is not None
        if is_known or self._has_undated or any(part.is_empty for part in self.parts):
            return None
        if self._stride is None:
            self._stride = choose_stride(first, self._workers)
        at = choose_reach(last.window, first, self._stride)
        return None if at is None else self._split(last, at)

    def _split_largest(self) -> WindowRows | None:
        def remaining(part: WindowRows) -> float:
            return rows_remaining(part.window, self._density) - self._page_size * part.busy

        open_parts = [part for part in self.parts if not part.window.done]
        largest = max(open_parts, key=remaining, default=None)
        if largest is None:
            return None
        at = choose_split(largest.window, self._density, self._page_size * largest.busy)
        return None if at is None else self._split(largest, at)

    def _process_oldest(self, oldest: Future[ParsedPage]) -> None:
        """Process the oldest page: everything before its newest second is read; more rows of that second may follow.

        If the page is unusable, the newest window is read to the end instead.
        """
        try:
            page = oldest.result()
        except ApiError:  # the service refuses to sort oldest first
            self.sort_ignored = True
            return
        newest = self.parts[0].window
        dates = _ascending_dates(page)
        self.sort_ignored = _is_newest_first(page)
        if not dates or not _is_below(newest, dates[0], dates[-1]):
            return
        self._density.add(dates)
        part = self._split(self.parts[0], dates[-1])
        part.window.done = True
        inside = [row for row, date in enumerate(dates) if date < dates[-1]]
        self._keep(part, page.finish(), inside[::-1])

    def _process(
        self, part: WindowRows, result: Callable[[], ParsedPage], request_next: Callable[[], None] = lambda: None
    ) -> None:
        """Process a page; the next ones are requested before its rows are converted."""
        window = part.window
        top = window.before if window.position is None else None
        try:
            page = result()
        except ApiError as error:
            window.handle_refusal(error)
            request_next()
            return
        self._density.add(page.facts.dates)
        self._has_undated = self._has_undated or None in page.facts.dates
        rows = window.accept_page(page.facts)
        if top is not None and window.newest is not None:
            self._density.add_gap(window.newest + 1, top - 1)
        elif top is not None and window.done:
            self._density.add_gap(top - 1, top - 1)
        try:
            request_next()
        finally:
            self._keep(part, page.finish(), rows)

    def _fetch(self, query: Query) -> ParsedPage:
        response = self._client.transport.request(
            "GET",
            "/v1/history",
            self._parse,
            params={"page_size": self._page_size, **vars(query), **self._filters},
            cancel=self._cancel,
        )
        if self.served_at is None:
            date = http_date(response.headers.get("date", ""))
            self.served_at = None if date is None else int(date)
        return response.data

    def _parse(self, body: bytes) -> ParsedPage:
        with self._parsing:  # one at a time: threads that contend for the interpreter lock are slower than one
            return self._decoder.parse(body)


def _ascending_dates(page: ParsedPage) -> list[int]:
    """Return the dates of a page sorted oldest first; empty if a date is missing or the order differs."""
    dates = [date for date in page.facts.dates if date is not None]
    ascending = all(earlier <= later for earlier, later in pairwise(dates))
    return dates if ascending and len(dates) == len(page.facts.dates) else []


def _is_newest_first(page: ParsedPage) -> bool:
    """Return whether a page that was to be sorted oldest first is sorted newest first."""
    dates = [date for date in page.facts.dates if date is not None]
    descending = all(earlier >= later for earlier, later in pairwise(dates))
    return descending and len(dates) == len(page.facts.dates) and dates[:1] != dates[-1:]


def _is_below(window: PageWindow, oldest: int, newest: int) -> bool:
    """Return whether a page of several seconds is within a window and older than the rows read so far."""
    lowest = oldest if window.after is None else window.after
    highest = oldest if window.position is None else window.position
    return oldest != newest and lowest <= oldest and newest <= highest


def rows_of(page: Page, rows: list[int]) -> pa.RecordBatch:
    """Return some rows of a page."""
    return page.rows if rows == list(range(len(page.rows))) else page.rows.take(pa.array(rows, pa.int64()))
