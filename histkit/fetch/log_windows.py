"""Read the request log of a workspace between two times, whatever order and bounds the service has.

The route has no cursor, only times, and how it treats them is not documented. So nothing is concluded from the length
of an answer: a window has been read when the service says that it is empty. Each answer is a run of neighbours in time,
which leaves one window below it and one above. Both begin with the rows at the run's edge, which have to come again:
they prove that the service understood the bounds, and rows of one millisecond are not torn apart. Once the answers have
shown that their order is the requested one, only the window on the far side is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from histkit.api.client import HistoryClient
from histkit.api.models import decode_object
from histkit.errors import ApiError, AuthenticationError, PaginationError, RateLimitError, SchemaError, ServerError
from histkit.frame.columnar import decode_columns
from histkit.frame.dates import instants_of
from histkit.frame.log_table import NEVER, id_column, table_of, time_column
from histkit.util.arrays import Ints, Mask
from histkit.util.text import count_noun

REQUESTS = "/v1/workspace/analytics/requests"
PAGE_ROWS = 1000
EARLIEST = 1_577_836_800_000  # 2020-01-01 in milliseconds, the earliest time that the analytics routes take
_COARSER = {1: 1000, 1000: 60_000}  # milliseconds to which the service may round times
_MOST_IDS = 20_000  # of one millisecond

Order = Literal["asc", "desc"]


@dataclass(frozen=True)
class LogPage:
    """An answer: its rows, the time of each in microseconds (`NEVER`: none), its number, and the order asked for."""

    table: pa.Table
    times: Ints
    number: int
    asked: Order
    time_column: str
    id_column: str | None

    @property
    def moments(self) -> Ints:
        """The times that are known, in milliseconds, in the order of the answer."""
        known: Ints = self.times[self.times != NEVER] // 1000
        return known

    def order(self) -> Order | None:
        """Return the order of the rows; None if there is none, or all rows have one time."""
        steps = np.diff(self.moments)
        if not steps.any():
            return None
        return "asc" if (steps >= 0).all() else "desc" if (steps <= 0).all() else None

    def ids_at(self, moment: int) -> set[str | None]:
        """Return the ids of the rows of a millisecond."""
        return self._ids((self.times != NEVER) & (self.times // 1000 == moment))

    def ids(self) -> set[str | None]:
        """Return the ids of all rows."""
        return self._ids(np.ones(len(self.times), bool))

    def _ids(self, rows: Mask) -> set[str | None]:
        if self.id_column is None:
            return {None} if rows.any() else set()
        return set(self.table.column(self.id_column).filter(rows).cast(pa.large_string()).to_pylist())


@dataclass(frozen=True)
class LogWindow:
    """Milliseconds ``[start, end)`` that are still to be read.

    Attributes
    ----------
    anchor : int or None
        A millisecond in it of which a row is known, so that a row has to come again.
    proves : "asc", "desc" or None
        The order that the service is known to keep if the window holds no other row.
    tries : int
        How often it was asked for without a result.
    flipped : bool
        Whether it is asked for from its other side.
    """

    start: int
    end: int
    anchor: int | None = None
    proves: Order | None = None
    tries: int = 0
    flipped: bool = False


@dataclass
class Tie:
    """A millisecond whose rows alone filled an answer: it may have more of them if there are rows in `rest`."""

    moment: int
    rest: tuple[int, int]
    ids: set[str | None]
    page: LogPage
    cut: bool = False


@dataclass
class LogFetch:
    """One pass through the log between two times, in milliseconds.

    Parameters
    ----------
    client : HistoryClient
        A client of the workspace.
    start, end : int
        Inclusive and exclusive.
    open_start : bool
        Send no start time until the end is reached.

    Attributes
    ----------
    requests : int
        Requests sent.
    frontier : int
        All rows from here to the end have been read.
    unproven : list of int
        Milliseconds that have, or probably have, more rows than could be read.
    doubtful : list of int
        Milliseconds beside which there are no rows, so that nothing shows whether an answer had all of theirs.
    columns : pyarrow.Table or None
        The columns of the first answer, without rows.
    """

    client: HistoryClient
    start: int
    end: int
    open_start: bool = False
    requests: int = 0
    frontier: int = field(init=False)
    unproven: list[int] = field(default_factory=list)
    doubtful: list[int] = field(default_factory=list)
    columns: pa.Table | None = None
    _windows: list[LogWindow] = field(default_factory=list)
    _ties: list[Tie] = field(default_factory=list)
    _trusted: set[Order] = field(default_factory=set)
    _seen: set[Order] = field(default_factory=set)
    _obeyed: set[Order] | None = field(default_factory=set)
    _fractions: bool = False
    _column: str = ""
    _filters_work: bool | None = None
    _largest: int = 0
    _grain: int = 1
    _starts_inclusive: bool = False
    _ends_inclusive: bool = False
    _starts_ignored: bool = False
    _ends_ignored: bool = False

    def __post_init__(self) -> None:
        self.frontier = self.end
        if self.start < self.end:
            self._windows.append(LogWindow(self.start, self.end))

    def pages(self) -> Iterator[LogPage]:
        """Read the log; yield each answer that has rows. Rows may come twice, and lie outside of the window.

        Raises
        ------
        PaginationError
            The answers contradict each other, or a millisecond has more rows than can be told apart.
        SchemaError
            The rows have no times.
        """
        while self._windows:
            yield from self._step(self._windows.pop())
            yield from self._settle()
            waiting = [*(window.end for window in self._windows), *(tie.moment + 1 for tie in self._ties)]
            self.frontier = max([self.start, *waiting, *(moment + 1 for moment in self.unproven)])
        if self.unproven:
            moments = count_noun(len(self.unproven), "millisecond")
            raise PaginationError(
                f"{moments} of the request log, such as {_iso(self.unproven[0])}, may have more than the "
                f"{PAGE_ROWS:,} requests that the service returns; the others were read."
            )

    def doubts(self) -> list[str]:
        """Return a line for each millisecond that may have more rows, though nothing shows it."""
        return [
            f"{_iso(moment)} may have more requests: it has as many as the service returns in any answer"
            for moment in self.doubtful
        ]

    # Steps ------------------------------------------------------------------------------------------------

    def _step(self, window: LogWindow) -> Iterator[LogPage]:
        first, second = self._orders(flipped=window.flipped)
        page = self._ask(window.start, window.end, first)
        if page is None and window.anchor is None:
            page = self._ask(window.start, window.end, second)  # is it empty from this side, too?
            if page is None:
                self._found_empty(window)
                return
        if page is not None and not len(page.moments) and window.anchor is None:
            yield page
            if len(page.table) >= PAGE_ROWS:
                raise SchemaError(f"{REQUESTS}: no row of an answer has a time, so the log can't be read on.")
            if window.flipped:  # the service has the same few rows from both sides
                self._found_empty(window)
            else:
                self._windows.append(replace(window, flipped=True))
            return
        if self._is_contradicted(window, page):
            return
        assert page is not None
        yield page
        for tie in self._ties:
            if window.start < tie.rest[1] and window.end > tie.rest[0]:
                tie.cut |= bool(((page.moments >= tie.rest[0]) & (page.moments < tie.rest[1])).any())
        yield from self._divide(window, page)

    def _is_contradicted(self, window: LogWindow, page: LogPage | None) -> bool:
        """Return whether an answer can't be one to the window, and ask for the window again, in another way if need be.

        Raises
        ------
        PaginationError
            There is no other way.
        """
        start, end = self._bounds(window.start, window.end)
        late = page is not None and bool((page.moments > end).any()) and not self._ends_ignored
        early = page is not None and bool((page.moments < start).any()) and not self._starts_ignored
        if self.open_start and window.start == self.start:
            early = False
        missing = not late and not early and self._lacks_anchor(window, page)
        if not (late or early or missing):
            return False
        if window.tries == 0:  # a repeated or empty answer may pass
            self._windows.append(replace(window, tries=1))
            return True
        if missing:
            if self._grain not in _COARSER:
                assert window.anchor is not None
                raise PaginationError(
                    f"The service did not return the requests of {_iso(window.anchor)} again, which it had returned."
                )
            self._grain = _COARSER[self._grain]
        elif page is not None and self._is_rounded(start, end, page):
            self._grain = _COARSER[self._grain]
        else:
            self._ends_ignored |= late
            self._starts_ignored |= early
        if self._ends_ignored and self._starts_ignored:
            raise PaginationError("The service ignores start_time and end_time, so that only one page can be read.")
        self._windows.append(replace(window, tries=0))
        return True

    def _is_rounded(self, start: int, end: int, page: LogPage) -> bool:
        """Return whether rows outside of the bounds that were sent are inside of coarser ones."""
        grain = _COARSER.get(self._grain)
        if grain is None:
            return False
        moments = page.moments
        return bool(moments.min() >= start // grain * grain and moments.max() <= -(-end // grain) * grain)

    def _lacks_anchor(self, window: LogWindow, page: LogPage | None) -> bool:
        """Return whether rows that are known are missing where the answer should have them."""
        if window.anchor is None:
            return False
        if page is None or not len(page.moments):
            return True
        moments, order = page.moments, page.order()
        if (moments == window.anchor).any():
            return False
        below, above = bool(moments.min() < window.anchor), bool(moments.max() > window.anchor)
        return (below and above) or (below and order == "desc") or (above and order == "asc")

    def _divide(self, window: LogWindow, page: LogPage) -> Iterator[LogPage]:
        """Put the windows below and above an answer on the stack."""
        moments, order = page.moments, page.order()
        low, high = int(moments.min()), int(moments.max())
        self._check_run(page)
        below = low < window.start or self._begins_with(page, "asc")
        above = high >= window.end or self._begins_with(page, "desc")
        inner = moments[(moments >= window.start) & (moments < window.end)]
        if not len(inner):
            if (below and above) or (below and low >= window.end) or (above and high < window.start):
                self._found_empty(window)
            elif self._learn(window, page):
                self._windows.append(window)
            elif not window.flipped:
                self._windows.append(replace(window, flipped=True))
            else:
                yield from self._look_past(window, page)
            return
        low, high = int(inner.min()), int(inner.max())
        anchor = None if window.anchor is None or (moments == window.anchor).any() else window.anchor
        lower = None if below else LogWindow(window.start, low + 1, low)
        upper = None if above else LogWindow(high, window.end, high)
        if low == high and (low == window.end - 1 or low == window.start):
            if lower is not None and low == window.end - 1:
                if self._learn(window, page):
                    self._windows.append(window)
                    return
                yield from self._tie(low, (window.start, low), page)
                lower = LogWindow(window.start, low)
                upper = None
            elif upper is not None and low == window.start:
                yield from self._tie(low, (low + 1, window.end), page)
                upper = LogWindow(low + 1, window.end)
                lower = None
            proves = window.proves if low == window.anchor else None
            lower = None if lower is None else replace(lower, proves=proves)
            upper = None if upper is None else replace(upper, proves=proves)
        elif order is not None and window.proves is None and order not in self._trusted:
            if order == "desc" and upper is not None:
                upper = replace(upper, proves=order)
            elif order == "asc" and lower is not None:
                lower = replace(lower, proves=order)
        pair = [lower, upper] if order != "asc" else [upper, lower]  # the last one is read next
        for part in pair:
            if part is not None and part.start < part.end:
                inside = anchor is not None and part.start <= anchor < part.end
                self._windows.append(replace(part, anchor=anchor) if inside else part)

    def _begins_with(self, page: LogPage, end: Order) -> bool:
        """Return whether an answer begins at the oldest (asc) or newest (desc) request of its window, for certain."""
        if self._ends_ignored if end == "asc" else self._starts_ignored:
            return True  # `_check_run`
        if page.order() is None:
            return page.asked == end and self._obeyed == {"asc", "desc"}
        return page.order() == end and (end in self._trusted or self._obeyed == {"asc", "desc"})

    def _look_past(self, window: LogWindow, page: LogPage) -> Iterator[LogPage]:
        """Read a window for which the service returns its neighbours only, without these, by their ids."""
        edges = (page.moments == window.start - 1) | (page.moments == window.end)
        ids = page.ids()
        while None not in ids and len(ids) <= _MOST_IDS and self._has_filters(int(page.moments[0]), page):
            other = self._without(window.start, window.end, ids)
            if other is None:
                self._found_empty(window)
                return
            if not ids.isdisjoint(other.ids()) or not len(other.moments):
                break
            yield other
            if ((other.moments >= window.start) & (other.moments < window.end)).any():
                yield from self._divide(window, other)
                return
            ids = ids | other.ids()
        if self._grain == 1 and self._fractions and edges.all() and len(page.table) < PAGE_ROWS:
            self._note_doubt(int(page.moments[0]), page)
            self._found_empty(window)  # fractions of the milliseconds beside it, which the bounds can't leave out
            return
        raise PaginationError(
            f"The service does not return the requests before {_iso(window.end)} for the times of these alone."
        )

    def _found_empty(self, window: LogWindow) -> None:
        if window.proves is not None:
            self._trusted.add(window.proves)

    def _check_run(self, page: LogPage) -> None:
        """Raise `PaginationError` if a bound is ignored, and the order doesn't show that the other is kept."""
        order = page.order()
        if order is not None:
            self._seen.add(order)
        flat = len(set(page.moments.tolist())) == 1
        for ignored, name, needed in (
            (self._ends_ignored, "end_time", "asc"),
            (self._starts_ignored, "start_time", "desc"),
        ):
            if ignored and order != needed and not (flat and needed in self._seen):
                raise PaginationError(f"The service ignores {name}, and its answers are not in the order of sort.")

    def _learn(self, window: LogWindow, page: LogPage) -> bool:
        """Learn whether bounds are inclusive from rows that lie on them; return whether that is new."""
        if self._grain > 1 or self._fractions:
            return False  # an inclusive bound would leave out the fractions of its millisecond
        start, end = self._bounds(window.start, window.end)
        known = self._starts_inclusive, self._ends_inclusive
        self._starts_inclusive |= start < window.start and bool((page.moments == start).any())
        self._ends_inclusive |= end == window.end and bool((page.moments == end).any())
        return known != (self._starts_inclusive, self._ends_inclusive)

    # Rows of one millisecond ------------------------------------------------------------------------------

    def _tie(self, moment: int, rest: tuple[int, int], page: LogPage) -> Iterator[LogPage]:
        """Note an answer whose rows are all of one millisecond."""
        tie = Tie(moment, rest, page.ids_at(moment), page, cut=len(page.table) >= PAGE_ROWS)
        if tie.cut:
            yield from self._complete(tie)
        else:
            self._ties.append(tie)

    def _settle(self) -> Iterator[LogPage]:
        """Decide on the ties whose surroundings have been read."""
        waiting = []
        for tie in self._ties:
            if tie.cut:
                yield from self._complete(tie)
            elif any(window.start < tie.rest[1] and window.end > tie.rest[0] for window in self._windows):
                waiting.append(tie)
            elif len(tie.ids) == 1 and len(tie.page.table) < self._largest and self._filters_work is None:
                continue  # an answer can hold more, and to learn whether filters work would cost requests
            elif None not in tie.ids and self._has_filters(tie.moment, tie.page):
                yield from self._complete(tie)  # at the first or last millisecond nothing else shows a short answer
            else:
                self._note_doubt(tie.moment, tie.page)
        self._ties = waiting

    def _note_doubt(self, moment: int, page: LogPage) -> None:
        """Note a millisecond whose rows may be all that the service returns at once: no answer has had more."""
        if len(page.table) >= self._largest and moment not in self.doubtful:
            self.doubtful.append(moment)

    def _complete(self, tie: Tie) -> Iterator[LogPage]:
        """Read the further rows of a millisecond by excluding those that are known, until an answer proves the end."""
        ids, proven, passed, repeated = tie.ids, False, False, False
        while not proven and None not in ids and len(ids) <= _MOST_IDS and self._has_filters(tie.moment, tie.page):
            page = self._without(tie.moment, tie.moment + 1, ids)
            if page is not None and not ids.isdisjoint(page.ids()):
                if repeated:
                    break
                repeated = True  # the answer to another request may come again, once
                continue
            passes = page is not None and self._passes_over(page, tie.moment)
            proven = page is None or (passes and passed)
            passed = passes
            if page is not None and not passes:
                ids = ids | page.ids()
                yield page
        if not proven and tie.moment not in self.unproven:
            self.unproven.append(tie.moment)

    def _passes_over(self, page: LogPage, moment: int) -> bool:
        """Return whether an answer, a run of neighbours, shows that the window has no row of a millisecond."""
        moments = page.moments
        if not len(moments) or (moments == moment).any():
            return False
        low, high = int(moments.min()), int(moments.max())
        from_below, from_above = self._begins_with(page, "asc"), self._begins_with(page, "desc")
        return low < moment < high or (from_below and low > moment) or (from_above and high < moment)

    def _has_filters(self, moment: int, page: LogPage) -> bool:
        """Return whether the service filters the column of ids as it is asked to: tried once."""
        if self._filters_work is None:
            one: set[str | None] = {min(filter(None, page.ids_at(moment)))}
            found = self._filtered(moment, moment + 1, "in", one, "desc")
            works = found is not None and found.ids_at(moment) == one
            others = self._filtered(moment, moment + 1, "not_in", one, "desc") if works else None
            self._filters_work = works and (others is None or one.isdisjoint(others.ids()))
        return self._filters_work

    def _without(self, start: int, end: int, ids: set[str | None]) -> LogPage | None:
        """Return an answer to a window without rows of some ids; None: it is empty, from both sides."""
        first, second = self._orders()
        page = self._filtered(start, end, "not_in", ids, first)
        page = self._filtered(start, end, "not_in", ids, second) if page is None else page
        if page is not None:
            self._check_run(page)
        return page

    def _filtered(self, start: int, end: int, operation: str, ids: set[str | None], order: Order) -> LogPage | None:
        values = sorted(filter(None, ids))
        condition = {"column": self._column, "operation": operation, "values": values}
        try:
            return self._ask(start, end, order, [condition])
        except (AuthenticationError, RateLimitError, ServerError):
            raise
        except ApiError:
            if self._filters_work:
                raise
            return None  # which is not what the first try has to return

    def _orders(self, *, flipped: bool = False) -> tuple[Order, Order]:
        """Return the order to ask for, which begins at a bound that the service keeps, and the other one."""
        return ("asc", "desc") if self._ends_ignored ^ flipped else ("desc", "asc")

    # Requests ---------------------------------------------------------------------------------------------

    def _bounds(self, start: int, end: int) -> tuple[int, int]:
        """Return the times to send for a window: bounds that contain it, whether the service includes them or not."""
        first = start if self._starts_inclusive else start - 1
        last = end - 1 if self._ends_inclusive else end
        return first // self._grain * self._grain, -(-last // self._grain) * self._grain

    def _ask(self, start: int, end: int, order: Order, filters: list[dict[str, Any]] | None = None) -> LogPage | None:
        """Send a request for a window; return None if the answer has no rows."""
        first, last = self._bounds(start, end)
        body: dict[str, Any] = {"end_time": last, "limit": PAGE_ROWS, "sort": order}
        if not (self.open_start and start == self.start and order == "desc"):
            body["start_time"] = first
        if filters is not None:
            body["filters"] = filters
        self.requests += 1
        answer = decode_columns(
            self.client.transport.request("POST", REQUESTS, decode_object, json=body).data, REQUESTS
        )
        table = table_of(answer)
        self.columns = table.slice(0, 0) if self.columns is None else self.columns
        if not len(table):
            return None
        name = time_column(answer)
        micros, known = instants_of(answer.frame[name])
        times = np.where(known, micros, NEVER)
        request_id = id_column(list(answer.frame.columns))
        if request_id is not None:
            self._column = request_id
        page = LogPage(table, times, self.requests, order, name, request_id)
        self._largest = max(self._largest, len(table))
        self._note_order(page)
        self._fractions |= bool((times[known] % 1000).any())
        return page

    def _note_order(self, page: LogPage) -> None:
        """Note whether the service keeps the order it is asked for."""
        if (np.diff(page.moments) != 0).any() and self._obeyed is not None:
            self._obeyed = self._obeyed | {page.asked} if page.order() == page.asked else None


def _iso(moment: int) -> str:
    """Format milliseconds since 1970 in ISO 8601."""
    return f"{np.datetime64(moment, 'ms')}Z"
