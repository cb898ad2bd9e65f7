"""`read_history`: the whole history, or a part of it, as one DataFrame.

Plan: what the service can filter is sent to it, everything else is filtered here, page by page; the result is the same
as filtering the whole history. Then the newest and the oldest page are fetched, the span between them is cut into
windows which are paged side by side, and an idle worker takes half of the largest rest. Rows of one second stay
together.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from histkit._progress import progress_bar
from histkit._split import Density, cut, left_to_read
from histkit.client import HistoryClient
from histkit.errors import ApiError, HistkitError, InputError, PaginationError
from histkit.filters import Selection, as_unix
from histkit.pages import Page, PageDecoder
from histkit.paging import Query, Window
from histkit.schema import to_frame

if TYPE_CHECKING:
    import pandas as pd

PAGE_SIZE = 1000
_SERVER_SOURCES = {"tts": "TTS", "sts": "STS", "flows": "Flows"}


def read_history(
    *,
    voice: str | Iterable[str] | None = None,
    model: str | Iterable[str] | None = None,
    source: str | Iterable[str] | None = None,
    search: str | None = None,
    after: Any = None,
    before: Any = None,
    limit: int | None = None,
    workers: int | None = None,
    alignments: bool = False,
    progress: bool | None = None,
    client: HistoryClient | None = None,
) -> pd.DataFrame:
    """Read the history from the API, newest first, with no cap.

    Parameters
    ----------
    voice : str or list of str, optional
        Ids or names. A name matches in any letter case, and a modern name by the part before " - ". A dialogue has no
        voice of its own and matches none. One id is sent to the service; if it finds nothing, everything is read to see
        whether the id is a name.
    model, source : str or list of str, optional
        Model ids; sources (``TTS``, ``STS``, ``Projects``, ...).
    search : str, optional
        The service's own text search (its rules are not documented). For regular expressions read first and then use
        ``df.speech.filter(text=...)``.
    after, before : str, datetime, Timestamp or int, optional
        Dates: after is inclusive, before exclusive; a naive one is UTC, a number is seconds since 1970.
    limit : int, optional
        Only the newest so many rows.
    workers : int, optional
        Windows paged side by side; default: the client's ``max_concurrency`` (4). 1 follows the cursor alone.
    alignments : bool
        Also the column ``alignments`` (can be fifty times the rest).
    progress : bool, optional
        Show a bar; default: in notebooks and on terminals.
    client : HistoryClient, optional
        Default: one made of ``ELEVENLABS_API_KEY``.

    Returns
    -------
    pandas.DataFrame
        The columns of `histkit.COLUMNS` on a RangeIndex; an empty result has the same columns and dtypes.
        ``attrs["histkit"]``: ``complete``, ``fetched_at`` (ISO, UTC), ``requests``, ``problems`` (rows that break the
        API's own form, by id; they are kept).

    Raises
    ------
    PaginationError
        The history could not be read to its end; ``.partial`` is the frame of what was read.
    InputError
        An argument that can't be used.
    ApiError, TransportError
        The first request failed (see `histkit.errors`).

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=3000) as sandbox:
    ...     client = hk.HistoryClient(sandbox.api_key, base_url=sandbox.url)
    ...     df = hk.read_history(after="2026-01-01", client=client)
    >>> df.date.is_monotonic_decreasing, df.history_item_id.is_unique
    (True, True)
    """
    plan = make_plan(voice, model, source, search, after, before, limit)
    _check_count("workers", workers, 1)
    if client is not None and not isinstance(client, HistoryClient):
        raise InputError(f"client= takes a histkit.HistoryClient, not {type(client).__name__}.")
    own = client is None
    if client is None:
        client = HistoryClient(max_concurrency=max(4, workers or 0))
    workers = workers or client.transport.limit.ceiling
    try:
        while True:
            run = Reading(client, plan, 1 if limit is not None else workers, alignments, progress)
            try:
                frame = run.frame()
                if len(frame) or "voice_id" not in plan.server:
                    return frame
                plan = plan.without("voice_id")  # what looks like an id may be a name
            except ApiError as error:
                weaker = plan.without_refused_filter(error)
                if weaker is None:
                    raise
                plan = weaker
    finally:
        if own:
            client.close()


@dataclass(frozen=True)
class Plan:
    """Which rows are asked for: what the service filters, what is filtered here."""

    server: dict[str, str] = field(default_factory=dict)
    local: Selection = field(default_factory=Selection)
    search: str | None = None
    after: int | None = None
    before: int | None = None
    limit: int | None = None

    @property
    def page_size(self) -> int:
        """Rows to ask for in a page."""
        return PAGE_SIZE if self.limit is None or not self.local.empty() else max(1, min(PAGE_SIZE, self.limit))

    def without_refused_filter(self, error: ApiError) -> Plan | None:
        """Give the plan that does here what the service refused to do, None when the refusal has another cause.

        The documentation contradicts itself on whether ``model_id`` or ``search`` needs ``source``; if the service
        insists, the filter moves here.
        """
        if error.status_code not in (400, 422) or "source" in self.server:
            return None
        if "search" in self.server:
            local = replace(self.local, contains=self.server["search"])
            return replace(self.without("search"), local=local)
        return self.without("model_id") if "model_id" in self.server else None

    def without(self, name: str) -> Plan:
        """Give the plan that doesn't send one filter."""
        return replace(self, server={key: value for key, value in self.server.items() if key != name})


def make_plan(
    voice: str | Iterable[str] | None,
    model: str | Iterable[str] | None,
    source: str | Iterable[str] | None,
    search: str | None,
    after: Any,
    before: Any,
    limit: int | None,
) -> Plan:
    """Decide what the service filters: one voice id, one model, one of three sources, dates, search."""
    _check_count("limit", limit, 0)
    local = Selection.of(voice=voice, model=model, source=source)
    first = None if after is None else as_unix(after, "after")
    end = None if before is None else as_unix(before, "before")
    if first is not None and end is not None and first > end:
        raise InputError(f"after={after!r} is later than before={before!r}.")
    server: dict[str, str] = {}
    if local.voices is not None and len(local.voices) == 1 and _looks_like_id(local.voices[0]):
        server["voice_id"] = local.voices[0]
    if local.models is not None and len(local.models) == 1:
        server["model_id"] = local.models[0]
    if local.sources is not None and len(local.sources) == 1 and local.sources[0].lower() in _SERVER_SOURCES:
        server["source"] = _SERVER_SOURCES[local.sources[0].lower()]
    if search:
        server["search"] = search
    return Plan(server, local, search, first, end, limit)


def _check_count(name: str, value: object, least: int) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
        raise InputError(f"{name} must be a whole number from {least} up, not {value!r}.")


def _looks_like_id(voice: str) -> bool:
    """Tell ids (20 letters and digits, both kinds) from names; a name is only ever filtered here."""
    return len(voice) == 20 and voice.isascii() and voice.isalnum() and any(map(str.isdigit, voice))


class Part:
    """A window and the rows read for it, in the service's order."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.batches: list[pa.RecordBatch] = []
        self.busy = False


class Reading:
    """One run of `read_history`: parts in time order (newest first), and the workers that fill them."""

    def __init__(
        self, client: HistoryClient, plan: Plan, workers: int, alignments: bool, progress: bool | None
    ) -> None:
        self._client = client
        self._plan = plan
        self._workers = workers
        self._alignments = alignments
        self._decoder = PageDecoder(alignments=alignments)
        self._density = Density()
        self._parts = [Part(Window(plan.after, plan.before, plan.page_size))]
        self._most_parts = 2 * workers
        self._cancel = threading.Event()
        self._decoding = threading.Lock()
        self._bar = progress_bar(progress, desc="history", unit=" rows", unit_scale=True)
        self.rows = 0
        self.requests = 0
        self.problems: list[str] = []

    def frame(self) -> pd.DataFrame:
        """Read everything and make the frame."""
        plan = self._plan
        try:
            if plan.limit != 0 and (plan.after is None or plan.after != plan.before):
                self._read_alone() if self._workers == 1 else self._read_side_by_side()
        except (PaginationError, HistkitError) as error:
            if not self.rows and not isinstance(error, PaginationError):
                raise
            stop = f"The history could not be read to its end ({self.rows:,} rows are in .partial): {error}"
            raise PaginationError(stop, partial=self._collect(complete=False)) from error
        finally:
            self._cancel.set()
            self._bar.close()
        return self._collect(complete=True)

    def _collect(self, *, complete: bool) -> pd.DataFrame:
        batches = [batch for part in self._parts for batch in part.batches]
        frame = to_frame(batches, alignments=self._alignments)
        if not frame["date"].is_monotonic_decreasing:
            frame = frame.sort_values("date", ascending=False, kind="stable", ignore_index=True)
        if self._plan.limit is not None:
            frame = frame.head(self._plan.limit)
        frame.attrs["histkit"] = {
            "complete": complete,
            "fetched_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "requests": self.requests,
            "problems": self.problems,
        }
        if self.problems:
            warnings.warn(
                f"{len(self.problems)} rows break the API's own form and are kept with missing values: "
                f"{'; '.join(self.problems[:3])}{'; ...' if len(self.problems) > 3 else ''}",
                stacklevel=4,
            )
        return frame

    def _read_alone(self) -> None:
        part = self._parts[0]
        while not part.window.done and not self._enough():
            self._read_page(part)

    def _read_page(self, part: Part) -> None:
        query = part.window.query()
        self.requests += 1
        self._settle(part, lambda: self._fetch(query))

    def _read_side_by_side(self) -> None:
        newest = self._parts[0]
        try:
            self.requests += 1
            oldest = self._submit(Query(self._plan.after, self._plan.before, sort_direction="asc"))
            while newest.window.position is None and not newest.window.done:
                self._read_page(newest)
            if not newest.window.done:
                self._take_oldest(oldest)
            flights: dict[Future[Page], Part] = {}
            self._give_work(flights)
            while flights:
                landed, _ = wait(flights, return_when=FIRST_COMPLETED)
                for flight in landed:
                    part = flights.pop(flight)
                    part.busy = False
                    self._settle(part, flight.result)
                self._give_work(flights)
        finally:
            self._cancel.set()  # ends waiting between tries; what is in flight is not waited for

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

    def _launch(self, flights: dict[Future[Page], Part], part: Part) -> None:
        part.busy = True
        self.requests += 1
        flights[self._submit(part.window.query())] = part

    def _give_work(self, flights: dict[Future[Page], Part]) -> None:
        for part in self._parts:
            if not part.busy and not part.window.done:
                self._launch(flights, part)
        while len(flights) < self._workers and len(self._parts) < self._most_parts:
            older = self._split_largest()
            if older is None:
                return
            self._launch(flights, older)

    def _split_largest(self) -> Part | None:
        def left(part: Part) -> float:
            return left_to_read(part.window, self._density) - PAGE_SIZE * part.busy

        open_parts = [part for part in self._parts if not part.window.done]
        largest = max(open_parts, key=left, default=None)
        if largest is None or left(largest) < 2 * PAGE_SIZE:
            return None
        at = cut(largest.window, self._density, PAGE_SIZE * largest.busy)
        if at is None:
            return None
        older = Part(largest.window.split(at))
        self._parts.insert(self._parts.index(largest) + 1, older)
        return older

    def _take_oldest(self, oldest: Future[Page]) -> None:
        """Take in the oldest page: everything before its newest second is read; that second may go on."""
        try:
            page = oldest.result()
        except ApiError:
            return  # oldest first is not to be had: the newest window reads on alone
        dates = [date for date in page.facts.dates if date is not None]
        newest_part = self._parts[0].window
        if not dates or len(dates) < len(page.facts.dates):
            return
        ascending = all(earlier <= later for earlier, later in pairwise(dates))
        start, end = dates[0], dates[-1]
        bounds = (newest_part.after or start, newest_part.position or start)
        if not ascending or start == end or start < bounds[0] or end > bounds[1]:
            return  # not sorted, not what was asked for, or both pages overlap: the newest window reads on alone
        self._density.add(dates)
        part = Part(newest_part.split(end))
        part.window.done = True
        self._parts.append(part)
        inside = [row for row, date in enumerate(dates) if date < end]
        self._keep(part, page, inside[::-1])

    def _settle(self, part: Part, result: Callable[[], Page]) -> None:
        try:
            page = result()
        except ApiError as error:
            part.window.fail(error)
            return
        self._density.add(page.facts.dates)
        self._keep(part, page, part.window.take(page.facts))

    def _keep(self, part: Part, page: Page, rows: list[int]) -> None:
        self.problems += page.problems
        batch = page.rows if rows == list(range(len(page.rows))) else page.rows.take(pa.array(rows, pa.int64()))
        batch = self._plan.local.of_batch(batch)
        if len(batch):
            part.batches.append(batch)
        self.rows += len(batch)
        self._bar.update(len(batch))
        self._bar.set_postfix_str(f"{self.requests} requests", refresh=False)

    def _fetch(self, query: Query) -> Page:
        return self._client.transport.request(
            "GET",
            "/v1/history",
            self._decode,
            params={"page_size": self._plan.page_size, **vars(query), **self._plan.server},
            cancel=self._cancel,
        ).data

    def _decode(self, body: bytes) -> Page:
        with self._decoding:  # one at a time: threads that fight for the interpreter lock are slower than one
            return self._decoder(body)

    def _enough(self) -> bool:
        return self._plan.limit is not None and self.rows >= self._plan.limit
