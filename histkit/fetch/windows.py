"""The walk over a history: windows of time, paged side by side, until each is read to its end.

The newest and the oldest page are fetched, the span between them is cut into windows, and an idle worker takes half of
the largest rest. Rows of one second stay together. What becomes of the rows is the caller's business.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import pairwise

import pyarrow as pa

from histkit.api.client import HistoryClient
from histkit.api.pagination import PageWindow, Query
from histkit.errors import ApiError
from histkit.fetch.density import RowDensity, choose_split, rows_remaining
from histkit.frame.decode import Page, PageDecoder


class WindowRows:
    """A window, and the rows that a reader keeps for it in the service's order."""

    def __init__(self, window: PageWindow) -> None:
        self.window = window
        self.batches: list[pa.RecordBatch] = []
        self.busy = False


class WindowedFetch:
    """One way through a history, or through what is left of it.

    Parameters
    ----------
    client : HistoryClient
        Whose history.
    decoder : PageDecoder
        Page bytes to Arrow.
    keep : callable
        Is given each part, page, and the positions of the page's rows that are new and belong there.
    windows : sequence of Window
        What is to be read, newest first; several when a walk goes on.
    filters : mapping, optional
        Further query parameters.
    workers : int
        Windows read side by side; 1 follows the cursor alone.
    eager : bool
        Fetch the oldest page along with the newest, without waiting whether there is more than one.
    enough : callable, optional
        Tells, for one worker, that no further row is wanted.

    Attributes
    ----------
    parts : list of Part
        In time order, newest first.
    requests : int
        Pages asked for.
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
        self._decoding = threading.Lock()
        self.parts = [WindowRows(window) for window in windows]
        self.requests = 0

    def run(self) -> None:
        """Read everything; raises what `paging` and the transport raise."""
        try:
            self._alone() if self._workers == 1 else self._side_by_side()
        finally:
            self._cancel.set()  # ends waiting between tries; what is in flight is not waited for

    def _alone(self) -> None:
        for part in self.parts:
            while not part.window.done and not self._enough():
                self._read_page(part)

    def _read_page(self, part: WindowRows) -> None:
        query = part.window.query()
        self.requests += 1
        self._settle(part, lambda: self._fetch(query))

    def _side_by_side(self) -> None:
        if len(self.parts) == 1 and not self.parts[0].window.done:
            self._find_both_ends()
        flights: dict[Future[Page], WindowRows] = {}
        self._give_work(flights)
        while flights:
            landed, _ = wait(flights, return_when=FIRST_COMPLETED)
            for flight in landed:
                part = flights.pop(flight)
                part.busy = False
                self._settle(part, flight.result)
            self._give_work(flights)

    def _find_both_ends(self) -> None:
        newest = self.parts[0]
        asked = self._ask_oldest(newest.window) if self._eager else None
        while newest.window.position is None and not newest.window.done:
            self._read_page(newest)
        if not newest.window.done:
            self._take_oldest(asked or self._ask_oldest(newest.window))

    def _ask_oldest(self, window: PageWindow) -> Future[Page]:
        self.requests += 1
        return self._submit(Query(window.after, window.before, sort_direction="asc"))

    def _submit(self, query: Query) -> Future[Page]:
        """Fetch a page in a thread that holds nobody up: not Ctrl-C, not the end of the process."""
        future: Future[Page] = Future()

        def fetch() -> None:
            try:
                future.set_result(self._fetch(query))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=fetch, name="histkit", daemon=True).start()
        return future

    def _launch(self, flights: dict[Future[Page], WindowRows], part: WindowRows) -> None:
        part.busy = True
        self.requests += 1
        flights[self._submit(part.window.query())] = part

    def _give_work(self, flights: dict[Future[Page], WindowRows]) -> None:
        for part in self.parts:
            if len(flights) < self._workers and not part.busy and not part.window.done:
                self._launch(flights, part)
        while len(flights) < self._workers and len(self.parts) < self._most_parts:
            older = self._split_largest()
            if older is None:
                return
            self._launch(flights, older)

    def _split_largest(self) -> WindowRows | None:
        def left(part: WindowRows) -> float:
            return rows_remaining(part.window, self._density) - self._page_size * part.busy

        open_parts = [part for part in self.parts if not part.window.done]
        largest = max(open_parts, key=left, default=None)
        if largest is None or left(largest) < 2 * self._page_size:
            return None
        at = choose_split(largest.window, self._density, self._page_size * largest.busy)
        if at is None:
            return None
        older = WindowRows(largest.window.split(at))
        self.parts.insert(self.parts.index(largest) + 1, older)
        return older

    def _take_oldest(self, oldest: Future[Page]) -> None:
        """Take in the oldest page: everything before its newest second is read; that second may go on."""
        try:
            page = oldest.result()
        except ApiError:
            return  # oldest first is not to be had: the newest window reads on alone
        dates = [date for date in page.facts.dates if date is not None]
        newest = self.parts[0].window
        if not dates or len(dates) < len(page.facts.dates):
            return
        ascending = all(earlier <= later for earlier, later in pairwise(dates))
        start, end = dates[0], dates[-1]
        bounds = (newest.after or start, newest.position or start)
        if not ascending or start == end or start < bounds[0] or end > bounds[1]:
            return  # not sorted, not what was asked for, or both pages overlap: the newest window reads on alone
        self._density.add(dates)
        part = WindowRows(newest.split(end))
        part.window.done = True
        self.parts.append(part)
        inside = [row for row, date in enumerate(dates) if date < end]
        self._keep(part, page, inside[::-1])

    def _settle(self, part: WindowRows, result: Callable[[], Page]) -> None:
        try:
            page = result()
        except ApiError as error:
            part.window.fail(error)
            return
        self._density.add(page.facts.dates)
        self._keep(part, page, part.window.take(page.facts))

    def _fetch(self, query: Query) -> Page:
        return self._client.transport.request(
            "GET",
            "/v1/history",
            self._decode,
            params={"page_size": self._page_size, **vars(query), **self._filters},
            cancel=self._cancel,
        ).data

    def _decode(self, body: bytes) -> Page:
        with self._decoding:  # one at a time: threads that fight for the interpreter lock are slower than one
            return self._decoder(body)


def rows_of(page: Page, rows: list[int]) -> pa.RecordBatch:
    """Give some rows of a page."""
    return page.rows if rows == list(range(len(page.rows))) else page.rows.take(pa.array(rows, pa.int64()))
