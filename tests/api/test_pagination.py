"""Windows against a made-up service that may do anything a service could do: all rows once, or an error, and an end."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from histkit.api.pagination import PageFacts, PageWindow, Query
from histkit.errors import ApiError, NotFoundError, PaginationError, ServerError
from histkit.fetch.density import RowDensity, choose_split
from tests.effort import examples


@dataclass
class Service:
    """Rows (newest first), a page size, and what happens to the cursor at each request."""

    dates: list[int]
    size: int
    faults: list[str] = field(default_factory=list)
    requests: int = 0

    def __post_init__(self) -> None:
        self.rows = [(f"id{number}", date) for number, date in enumerate(sorted(self.dates, reverse=True))]

    def page(self, query: Query) -> PageFacts:
        fault = self.faults[self.requests] if self.requests < len(self.faults) else "none"
        self.requests += 1
        assert self.requests < 40 + 12 * len(self.rows), "never a loop"
        rows = [
            row
            for row in self.rows
            if (query.date_after_unix is None or row[1] >= query.date_after_unix)
            and (query.date_before_unix is None or row[1] < query.date_before_unix)
        ]
        cursor = query.start_after_history_item_id
        if cursor is not None:
            if fault == "gone":
                raise NotFoundError("no such cursor", status_code=404)
            if fault == "empty":
                return PageFacts([], [], False, None)
            if fault != "repeat":
                at = next(place for place, row in enumerate(self.rows) if row[0] == cursor)
                rows = [row for row in rows if self.rows.index(row) > at]
        page, more = rows[: self.size], len(rows) > self.size
        if fault == "short" and len(page) > 1:
            page, more = page[:-1], True
        last = page[-1][0] if page else None
        if fault == "shuffle":
            page = page[::-1]
        if fault == "no_cursor":
            last = None
        return PageFacts([row[0] for row in page], [row[1] for row in page], more, last)


def read(service: Service, window: PageWindow) -> list[str]:
    found: list[str] = []
    while not window.done:
        query = window.query()
        try:
            page = service.page(query)
        except ApiError as error:
            window.handle_refusal(error)
            continue
        found += [page.ids[row] for row in window.accept_page(page)]
    return found


DATES = st.lists(st.integers(0, 60), max_size=60)
FAULTS = st.sampled_from(["none", "none", "repeat", "gone", "empty", "short", "shuffle", "no_cursor"])


@given(DATES, st.integers(1, 12))
def test_a_good_service_is_read_in_as_many_requests_as_pages(dates: list[int], size: int) -> None:
    service = Service(dates, size)
    assert read(service, PageWindow()) == [row[0] for row in service.rows]
    assert service.requests == max(1, -(-len(dates) // size))


@settings(max_examples=examples(150))
@given(DATES, st.integers(1, 12), st.lists(FAULTS, max_size=60))
@example([0, 0, 0], 2, ["none", "repeat", "short", "empty"])
def test_any_mix_of_faults_gives_all_rows_once_or_an_error(dates: list[int], size: int, faults: list[str]) -> None:
    # Short pages and then nothing, twice at one place, is how a service says has_more up to an empty page.
    assume(min(faults.count("short"), faults.count("empty")) < 2)
    service = Service(dates, size, faults)
    try:
        found = read(service, PageWindow(page_size=size))
    except (PaginationError, NotFoundError):
        told_apart = all(dates.count(date) < size for date in dates)
        assert not told_apart or not dates or faults[0] in ("no_cursor", "gone", "empty"), "dates would have done"
        return
    assert sorted(found) == sorted(row[0] for row in service.rows)


@given(st.lists(st.integers(0, 10_000), max_size=60, unique=True), st.integers(1, 12))
def test_has_more_up_to_an_empty_page_is_no_fault(dates: list[int], size: int) -> None:
    class Eager(Service):
        def page(self, query: Query) -> PageFacts:
            page = super().page(query)
            return PageFacts(page.ids, page.dates, bool(page.ids), page.last_id)

    service = Eager(dates, size)
    assert read(service, PageWindow()) == [row[0] for row in service.rows]


@pytest.mark.parametrize("fault", ["repeat", "gone", "empty", "no_cursor", "shuffle", "short"])
def test_a_lasting_fault_is_survived_where_dates_tell_rows_apart(fault: str) -> None:
    service = Service(list(range(100)), 10, [fault] * 500)
    assert sorted(read(service, PageWindow())) == sorted(row[0] for row in service.rows)
    assert service.requests <= 36


def test_rows_of_one_second_that_no_page_holds_are_an_error_without_a_cursor() -> None:
    service = Service([5] * 30 + [4], 10, ["repeat"] * 500)
    with pytest.raises(PaginationError, match="one second"):
        read(service, PageWindow())


def test_rows_of_one_second_are_read_by_a_good_cursor() -> None:
    service = Service([5] * 30 + [4], 10)
    assert len(read(service, PageWindow())) == 31


@given(DATES, st.integers(1, 12), st.integers(-5, 65), st.lists(FAULTS, max_size=20))
def test_split_windows_chain_without_overlap_or_gap(dates: list[int], size: int, at: int, faults: list[str]) -> None:
    service = Service(dates, size, faults)
    newer = PageWindow(0, 61, size)
    older = newer.split(min(max(at, 1), 60))
    try:
        found = [*read(service, newer), *read(service, older)]
    except (PaginationError, NotFoundError):
        return
    assert sorted(found) == sorted(row[0] for row in service.rows)


@given(DATES, st.integers(1, 12), st.integers(1, 60), st.integers(0, 4), st.booleans())
def test_a_split_while_a_page_is_under_way_loses_nothing(
    dates: list[int], size: int, at: int, after_pages: int, shuffled: bool
) -> None:
    service = Service(dates, size, ["shuffle"] * 200 if shuffled else [])
    newer, older, found = PageWindow(0, None, size), None, []
    for number in range(500):
        if newer.done:
            break
        page = service.page(newer.query())
        if number == after_pages and (newer.position is None or at < newer.position):
            older = newer.split(at)  # the page was asked for with the old lower end
        found += [page.ids[row] for row in newer.accept_page(page)]
    if older is not None:
        found += read(service, older)
    assert sorted(found) == sorted(row[0] for row in service.rows)


@pytest.mark.parametrize("rows", [1, 9, 10, 11, 80, 300])
def test_a_split_below_many_rows_of_one_second_finds_that_they_are_all(rows: int) -> None:
    service = Service([50] * rows + [5] * 30, 10)
    newer = PageWindow(0, None, 10)
    found: list[str] = []
    while len(found) < rows:  # the page after them is promised, and then left to the other window
        page = service.page(newer.query())
        found += [page.ids[row] for row in newer.accept_page(page)]
    if newer.position == 50:
        found += read(service, newer.split(20)) + read(service, newer)
    else:
        found += read(service, newer)
    assert sorted(found) == sorted(row[0] for row in service.rows)


def test_a_refusal_without_a_cursor_is_raised() -> None:
    window = PageWindow()
    with pytest.raises(ServerError):
        window.handle_refusal(ServerError("down", status_code=500))


def test_pages_that_never_come_to_an_end_are_an_error() -> None:
    window = PageWindow()
    for number in range(50):
        window.accept_page(PageFacts([], [], True, f"cursor{number}"))
    with pytest.raises(PaginationError, match="empty pages"):
        window.accept_page(PageFacts([], [], True, "cursor50"))


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 50)), max_size=8), st.integers(0, 900))
def test_a_cut_lies_inside_the_window(pages: list[tuple[int, int]], start: int) -> None:
    density = RowDensity()
    for date, width in pages:
        density.add([date, date + width])
    window = PageWindow(start, start + 100)
    at = choose_split(window, density, 0)
    assert at is None or start < at < start + 100
