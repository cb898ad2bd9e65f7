"""``GET /v1/history``: its parameters, its pages, and the faults of paging."""

from collections.abc import Callable
from dataclasses import dataclass

from histkit.sandbox.faults import Faults
from histkit.sandbox.prng import I64, number
from histkit.sandbox.responses import Invalid, Refusal, Reply
from histkit.sandbox.store import Filters, Key, Store

_BEFORE_ALL: Key = (-(1 << 62), -1)
_AFTER_ALL: Key = (1 << 62, 1 << 62)
_SOURCES = ("TTS", "STS", "Flows")


def _integer(query: dict[str, str], name: str) -> int | None:
    value = query.get(name)
    if value is None:
        return None
    try:
        return int(value)
    except ValueError:
        message = "Input should be a valid integer, unable to parse string as an integer"
        raise Invalid(["query", name], message, "int_parsing", value) from None


def _word(query: dict[str, str], name: str, words: tuple[str, ...]) -> str | None:
    value = query.get(name)
    if value is not None and value not in words:
        *most, last = (f"'{word}'" for word in words)
        raise Invalid(["query", name], f"Input should be {', '.join(most)} or {last}", "enum", value)
    return value


@dataclass(frozen=True)
class ListQuery:
    """The checked parameters of a list request."""

    size: int
    cursor: str | None
    ascending: bool
    filters: Filters


def parse_query(query: dict[str, str], faults: Faults) -> ListQuery:
    """Check the query of a list request.

    Raises
    ------
    Invalid
        For a value of the wrong type or outside its enum (422).
    Refusal
        For a page size outside 1 to 1,000 (400).
    """
    size = _integer(query, "page_size")
    before, after = _integer(query, "date_before_unix"), _integer(query, "date_after_unix")
    direction = _word(query, "sort_direction", ("asc", "desc"))
    source = _word(query, "source", _SOURCES)
    if size is not None and not 1 <= size <= 1000:
        raise Refusal(
            400, "validation_error", "invalid_page_size", "page_size must be between 1 and 1000.", param="page_size"
        )
    for name in ("search", "model"):
        if faults[f"{name}_needs_source"] and query.get("search" if name == "search" else "model_id") and not source:
            raise Invalid(["query", "source"], f"Field required with {name}", "missing")
    if faults["ignore_dates"]:
        before = after = None
    ascending = direction == "asc" and not faults["ignore_sort"]
    filters = Filters(query.get("voice_id"), query.get("model_id"), source, query.get("search") or None, before, after)
    return ListQuery(
        100 if size is None else size, query.get("start_after_history_item_id") or None, ascending, filters
    )


class HistoryPages:
    """Pages of the history; no state is kept between requests."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self.store = store
        self.faults = faults

    def reply(self, query: dict[str, str], request: int) -> Reply:
        """Answer a list request."""
        list_query, happened = parse_query(query, self.faults), list[str]()

        def strikes(name: str) -> bool:
            strikes = self.faults.strikes(name, request)
            if strikes:
                happened.append(name)
            return strikes

        with self.store.lock:
            if strikes("arriving"):
                self.store.add()
            if strikes("vanishing") and (victim := self.store.some(request)):
                self.store.remove([victim])
            body = self._page(list_query, strikes, request)
        return Reply(200, body, fault=happened[0] if happened else None)

    def _cursor(self, list_query: ListQuery) -> Key | None:
        """Return the place after which the page begins; None where the answer is an empty page."""
        start = _BEFORE_ALL if list_query.ascending else _AFTER_ALL
        if list_query.cursor is None:
            return start
        place = self.store.key(list_query.cursor)
        alive = self.store.number(list_query.cursor) is not None or self.store.is_alias(list_query.cursor)
        treatment = self.faults["deleted_cursor"]
        if place is not None and (alive or treatment == "continue"):
            return place
        if treatment == "restart":
            return start
        if treatment == "empty":
            return None
        raise Refusal(
            400,
            "validation_error",
            "invalid_cursor",
            "start_after_history_item_id is not a valid cursor.",
            param="start_after_history_item_id",
            fault="deleted_cursor" if place else None,
        )

    def _page(self, list_query: ListQuery, strikes: Callable[[str], bool], request: int) -> bytes:
        drop = tuple(self.faults["drop_fields"])
        place = self._cursor(list_query)
        if place is None:
            return self.store.page([], None, False, drop)
        numbers, first = self._in_reading_order(list_query, place)
        if list_query.cursor is not None and first > 0 and strikes("repeat_cursor"):
            first = max(0, first - list_query.size)
        elif first < len(numbers) and strikes("empty_pages"):
            return self.store.page([], self.store.alias(place, request), True, drop)
        size = self._page_size(list_query.size, len(numbers) - first, strikes, request)
        rows = numbers[first : first + size].tolist()
        more = first + size < len(numbers)
        last = self.store.id_of(rows[-1]) if rows else None
        cursor = None if more and strikes("missing_cursor") else last
        if len(rows) > 1 and strikes("shuffle"):
            rows.sort(key=lambda k: number(self.store.seed, f"shuffle {request}", k))
        body = self.store.page(rows, cursor, more, drop)
        if last is not None and strikes("vanish_cursor"):
            self.store.remove([last])
        return body

    def _in_reading_order(self, list_query: ListQuery, place: Key) -> tuple[I64, int]:
        """Return the numbers of the selected rows in the order of the listing, and the position after a place."""
        numbers, positions = self.store.select(list_query.filters)
        if list_query.ascending:
            return numbers, int(positions.searchsorted(self.store.older((place[0], place[1] + 1))))
        return numbers[::-1], len(positions) - int(positions.searchsorted(self.store.older(place)))

    def _page_size(self, size: int, remaining: int, strikes: Callable[[str], bool], request: int) -> int:
        """Return the rows of a page: as requested, or fewer where the fault of short pages happens."""
        if size > 1 and remaining > 1 and strikes("short_pages"):
            return 1 + number(self.store.seed, "short", request) % (min(size, remaining) - 1)
        return size
