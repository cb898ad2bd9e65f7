"""Pagination of a time window of the history: state and decisions only, no I/O.

A `PageWindow` is a half-open interval of seconds ``[after, before)`` that is read from its newest row backwards. It
follows the service's cursor and checks each page. Where the cursor fails (repeated, missing, or its row deleted), it
restarts at the last date seen, inclusive, and drops rows it already has. It never loops: every restart has to return a
new row.

Facts of the service: ``date_after_unix`` is inclusive, ``date_before_unix`` exclusive; dates are whole seconds, so rows
tie; an empty page has no cursor. Undocumented: what happens when the cursor's row is deleted, and whether a short or
empty page can have ``has_more``. All cases are handled.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from histkit.errors import ApiError, PaginationError

_STATE = (
    *("page_size", "remember", "after", "before", "from_top", "position", "newest", "done"),
    *("_cursor", "_restarted_at", "_cursor_faults", "_length", "_asked_before"),
)
_EMPTY_PAGES = 50  # empty pages in a row that still say has_more
_STALE_PAGES = 4  # pages in a row without a new row


@dataclass(frozen=True)
class PageFacts:
    """Ids and dates of a page's rows in the service's order, and its cursor."""

    ids: Sequence[str]
    dates: Sequence[int | None]
    has_more: bool
    last_id: str | None


@dataclass(frozen=True)
class Query:
    """One request for a page; the fields are the service's parameters."""

    date_after_unix: int | None = None
    date_before_unix: int | None = None
    start_after_history_item_id: str | None = None
    sort_direction: str = "desc"


class PageWindow:
    """A time window of the history and the state of reading it.

    Parameters
    ----------
    after, before : int, optional
        Seconds, inclusive and exclusive; None leaves the side open.
    page_size : int
        Rows requested in a page.
    remember : int, optional
        Approximate number of recent ids to keep; default: all. With a limit, memory use is constant, but rows are
        accepted twice if the service restarts from the top.
    from_top : bool
        Don't send `after`: read from the newest row until a page passes it. Rows without a date, which a filter by date
        leaves out, are then returned where the listing has them.

    Attributes
    ----------
    position : int or None
        The oldest date read so far; everything newer in the window is read.
    done : bool
        Whether the window is read to its end.
    newest : int or None
        The newest date read.
    """

    def __init__(
        self,
        after: int | None = None,
        before: int | None = None,
        page_size: int = 1000,
        remember: int | None = None,
        *,
        from_top: bool = False,
    ) -> None:
        self.page_size = page_size
        self.from_top = from_top
        self.remember = remember
        self.after = after
        self.before = before
        self.position: int | None = None
        self.newest: int | None = None
        self.done = False
        self._ids: set[str] = set()
        self._recent: deque[list[str]] = deque()
        self._at_position: set[str] = set()
        self._end_confirmations = 0  # empty pages in a row that confirm the end
        self._unseen: set[str] = set()  # rows of the second of the last restart that were not returned again
        self._cursor: str | None = None
        self._cursors: set[str] = set()
        self._restarted_at: int | None = None
        self._cursor_faults = 0
        self._empty = 0
        self._stale = 0
        self._length = 0
        self._asked_before = before

    def __repr__(self) -> str:
        return f"Window({self.after}, {self.before}, position={self.position}, done={self.done})"

    def state(self) -> dict[str, Any]:
        """Return the checkpoint state as JSON-compatible values."""
        return {name: getattr(self, name) for name in _STATE}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> PageWindow:
        """Restore a window from a checkpoint; rows fetched before the checkpoint are returned again."""
        window = cls()
        for name in _STATE:
            setattr(window, name, state[name])
        window._cursors = {window._cursor} if window._cursor is not None else set()
        return window

    def query(self) -> Query:
        """Return the next request."""
        return Query(None if self.from_top else self.after, self._asked_before, self._cursor)

    def accept_page(self, page: PageFacts) -> list[int]:
        """Process the page that answered `query`.

        Returns
        -------
        list of int
            Positions in the page of the rows that are new and belong to this window.

        Raises
        ------
        PaginationError
            The rest of the window can't be read without a gap.
        """
        fresh = self._fresh_rows(page)
        unseen = len(self._unseen)
        self._unseen.difference_update(page.ids)
        returned = len(self._unseen) < unseen  # rows of the second of a restart, which were to come again
        dates = [date for date in page.dates if date is not None]
        crossed = self.after is not None and bool(dates) and min(dates) < self.after
        in_order = all(newer >= older for newer, older in itertools.pairwise(dates))
        if dates and self.position is not None:
            in_order = in_order and dates[0] <= self.position
        before_page = self.position
        self._advance(page, fresh)
        if crossed and in_order:
            self.done = True  # a split moved the lower end up while this page was under way
        elif crossed:
            top = before_page if before_page is not None else self.newest
            self.from_top = False  # out of order: only dates say what belongs here
            self._restart(top if top is not None else max(dates))
        elif not page.ids:
            self._accept_empty_page(page)
        else:
            self._continue_after(page, fresh, returned=returned)
        return fresh

    def handle_refusal(self, error: ApiError) -> None:
        """Process a refusal of `query`; raise `error` unless the cursor can be its cause."""
        if self._cursor is None or error.status_code not in (400, 404, 422):
            raise error
        self._abandon_cursor()

    def split(self, at: int) -> PageWindow:
        """Return the part older than `at` as a new window; this one keeps ``[at, before)``."""
        lower = PageWindow(self.after, at, self.page_size, self.remember)
        self.after = at
        return lower

    def _fresh_rows(self, page: PageFacts) -> list[int]:
        ids, dates = set(page.ids), [date for date in page.dates if date is not None]
        inside = not dates or (self._is_inside(min(dates)) and self._is_inside(max(dates)))
        if inside and len(ids) == len(page.ids) and self._ids.isdisjoint(ids):
            self._ids |= ids
            fresh = list(range(len(page.ids)))
        else:
            fresh = []
            for row, (item, date) in enumerate(zip(page.ids, page.dates, strict=True)):
                if (date is None or self._is_inside(date)) and item not in self._ids:
                    self._ids.add(item)
                    fresh.append(row)
        if self.remember is not None:
            self._recent.append([page.ids[row] for row in fresh])
            while len(self._ids) - len(self._recent[0]) > self.remember:
                self._ids.difference_update(self._recent.popleft())
        return fresh

    def _is_inside(self, date: int) -> bool:
        return (self.after is None or date >= self.after) and (self.before is None or date < self.before)

    def _advance(self, page: PageFacts, fresh: list[int]) -> None:
        dates = [date for date in (page.dates[row] for row in fresh) if date is not None]
        if dates:
            if self.position is None or min(dates) < self.position:
                self.position = min(dates)
                self._at_position = set()
            self._at_position.update(page.ids[row] for row in fresh if page.dates[row] == self.position)
            self.newest = max(dates) if self.newest is None else max(self.newest, *dates)
            if self.before is None:
                self.before = self.newest + 1  # rows that arrive from now on shift nothing
        if page.ids:
            self._empty = 0
            self._length = len(page.ids)

    def _accept_empty_page(self, page: PageFacts) -> None:
        if not page.has_more:
            # Nothing after a cursor that promised more may mean that the cursor's row is gone: make sure by date.
            if self._cursor is not None and self.position is not None and not self._is_end_confirmed():
                self._restart(self.position, again=self._end_confirmations > 0)
            else:
                self.done = True
            return
        self._empty += 1
        if self._empty > _EMPTY_PAGES:
            raise PaginationError(f"{_EMPTY_PAGES} empty pages in a row say that there is more{self._where()}.")
        if page.last_id is None:
            self._abandon_cursor()
        elif page.last_id in self._cursors:
            raise PaginationError(f"An empty page repeats its cursor{self._where()}.")
        else:
            self._follow(page.last_id)

    def _is_end_confirmed(self) -> bool:
        """Return whether two restarts by date confirmed the end: the page had room and returned all known rows."""
        end = self._restarted_at == self.position and self._length < self.page_size and not self._unseen
        self._end_confirmations = self._end_confirmations + 1 if end else 0
        return self._end_confirmations == 2

    def _continue_after(self, page: PageFacts, fresh: list[int], *, returned: bool) -> None:
        stale = not fresh and not returned and self._ids.issuperset(page.ids)
        self._stale = self._stale + 1 if stale else 0
        if self._stale > _STALE_PAGES:
            raise PaginationError(f"Page after page brings only known rows{self._where()}.")
        if stale and self._cursor is not None and self._restarted_at is None:
            self._abandon_cursor()
            return
        if not page.has_more:
            self.done = True
            return
        cursor = page.last_id or page.ids[-1]
        dates_suffice = self._cursor_faults > 1 and self.position not in (None, self._restarted_at)
        if cursor in self._cursors or dates_suffice:
            self._abandon_cursor()
        else:
            self._follow(cursor)

    def _follow(self, cursor: str) -> None:
        self._cursor = cursor
        self._cursors.add(cursor)
        if self.position != self._restarted_at:
            self._restarted_at = None

    def _abandon_cursor(self) -> None:
        self._cursor_faults += 1
        if self.position is None:
            raise PaginationError("The service stopped before the first row and returned no cursor: try again later.")
        self._restart(self.position)

    def _restart(self, date: int, *, again: bool = False) -> None:
        if self._restarted_at == date and not again:
            raise PaginationError(
                f"The cursor fails and a page holds no more than rows of one second{self._where()}: they can't be "
                "told apart by date."
            )
        self._restarted_at = date
        self._unseen = set(self._at_position) if date == self.position else set()
        self.before = self._asked_before = date + 1
        self._cursor = None
        self._cursors.clear()

    def _where(self) -> str:
        return f" (at date_unix {self.position})" if self.position is not None else ""
