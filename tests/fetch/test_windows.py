"""`WindowedFetch` on histories of any shape: every row once, in few requests, whether the service sorts or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self, cast

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histkit.api.client import HistoryClient
from histkit.api.pagination import PageFacts, PageWindow
from histkit.errors import ApiError
from histkit.fetch.windows import WindowedFetch, WindowRows
from histkit.frame.decode import Page, PageDecoder, ParsedPage
from tests.effort import examples

DAY = 86_400
NOW = 1_790_000_000
PAGE_SIZE = 10


@dataclass
class Answer:
    """A page as the transport returns it."""

    data: ParsedPage
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class History:
    """A client, its transport and its answers: a history of dates in memory, newest first, each row's id its place."""

    dates: list[int]
    sorts: bool = True
    refuses: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)

    @property
    def transport(self) -> Self:
        """The history itself."""
        return self

    def request(self, method: str, path: str, decode: Any, params: dict[str, Any], cancel: Any) -> Answer:
        """Answer a request for a page."""
        self.asked.append(params)
        ascending = params["sort_direction"] == "asc"
        if self.refuses and ascending:
            raise ApiError("sort_direction is not known", status_code=422)
        first, end = params["date_after_unix"], params["date_before_unix"]
        found = [
            row
            for row, date in enumerate(self.dates)
            if (first is None or date >= first) and (end is None or date < end)
        ]
        found = found[::-1] if ascending and self.sorts else found
        cursor = params["start_after_history_item_id"]
        found = found if cursor is None else found[found.index(int(cursor)) + 1 :]
        page = found[: params["page_size"]]
        ids = [str(row) for row in page]
        facts = PageFacts(ids, [self.dates[row] for row in page], len(found) > len(page), ids[-1] if ids else None)
        rows = pa.record_batch({"history_item_id": pa.array(ids, pa.string())})
        return Answer(ParsedPage(facts, lambda: Page(rows, facts)))


def read(history: History, workers: int, after: int | None = None) -> tuple[list[str], WindowedFetch]:
    """Read a history; return the ids in the order of the windows."""
    ids: dict[int, list[str]] = {}

    def keep(part: WindowRows, page: Page, rows: list[int]) -> None:
        ids.setdefault(id(part), []).extend(page.facts.ids[row] for row in rows)

    windows = [PageWindow(after, None, PAGE_SIZE)]
    fetch = WindowedFetch(cast(HistoryClient, history), PageDecoder(), keep, windows, workers=workers)
    fetch.run()
    return [item for part in fetch.parts for item in ids.get(id(part), [])], fetch


bursts = st.tuples(
    st.integers(0, 900 * DAY), st.integers(1, 80), st.sampled_from([1, 60, DAY, 100 * DAY]), st.randoms()
)
histories = st.lists(bursts, max_size=6).map(
    lambda found: sorted(
        (NOW - age - random.randrange(span) for age, count, span, random in found for _ in range(count)), reverse=True
    )
)


@pytest.mark.parametrize("service", [{}, {"sorts": False}, {"refuses": True}], ids=str)
@settings(max_examples=examples(40), deadline=None)
@given(dates=histories, workers=st.sampled_from([1, 2, 4, 8]), bounded=st.booleans())
def test_every_row_comes_once_and_in_order(
    service: dict[str, Any], dates: list[int], workers: int, bounded: bool
) -> None:
    history = History(dates, **service)
    after = NOW - 500 * DAY if bounded else None
    ids, fetch = read(history, workers, after)
    assert ids == [str(row) for row, date in enumerate(dates) if after is None or date >= after]
    assert fetch.requests == len(history.asked)
    pages = -(-len(ids) // PAGE_SIZE)
    assert fetch.requests <= max(pages, 1) + 3 * workers + 2


@pytest.mark.parametrize("service", [{"sorts": False}, {"refuses": True}], ids=str)
@pytest.mark.parametrize("span", [DAY, 30 * DAY, 700 * DAY])
def test_a_service_that_does_not_sort_is_read_in_as_many_windows(service: dict[str, Any], span: int) -> None:
    dates = [NOW - row * span // 1000 for row in range(1000)]
    history = History(dates, **service)
    ids, fetch = read(history, 8)
    assert ids == [str(row) for row in range(1000)]
    assert fetch.sort_ignored
    longest = max(
        sum(params["date_before_unix"] == before and params["sort_direction"] == "desc" for params in history.asked)
        for before in {params["date_before_unix"] for params in history.asked}
    )
    assert longest <= 30  # of 100 pages, one after another
    assert fetch.requests <= 100 + 2 * 8 + 2
