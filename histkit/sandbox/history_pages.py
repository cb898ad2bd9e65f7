"""``GET /v1/history``: its parameters, its pages, and what may go wrong between pages."""

from collections.abc import Callable
from dataclasses import dataclass

from histkit.sandbox.faults import Faults
from histkit.sandbox.prng import number
from histkit.sandbox.responses import Invalid, Refusal, Reply
from histkit.sandbox.store import Filters, Key, Store

_BEFORE_ALL: Key = (-(1 << 62), -1)
_AFTER_ALL: Key = (1 << 62, 1 << 62)
_SOURCES = ("TTS", "STS", "Flows")


def _integer(query: dict[str, str], name: str) -> int | None:
    given = query.get(name)
    if given is None:
        return None
    try:
        return int(given)
    except ValueError:
        message = "Input should be a valid integer, unable to parse string as an integer"
        raise Invalid(["query", name], message, "int_parsing", given) from None


def _word(query: dict[str, str], name: str, words: tuple[str, ...]) -> str | None:
    given = query.get(name)
    if given is not None and given not in words:
        *most, last = (f"'{word}'" for word in words)
        raise Invalid(["query", name], f"Input should be {', '.join(most)} or {last}", "enum", given)
    return given


@dataclass(frozen=True)
class Asked:
    """A list request, checked."""

    size: int
    cursor: str | None
    ascending: bool
    filters: Filters


def asked(query: dict[str, str], faults: Faults) -> Asked:
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
    return Asked(100 if size is None else size, query.get("start_after_history_item_id") or None, ascending, filters)


class Listing:
    """The pages of the history; keeps nothing of its own between two requests."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self.store = store
        self.faults = faults

    def reply(self, query: dict[str, str], request: int) -> Reply:
        """Answer a list request."""
        wanted, struck = asked(query, self.faults), list[str]()

        def strikes(name: str) -> bool:
            happened = self.faults.strikes(name, request)
            if happened:
                struck.append(name)
            return happened

        with self.store.lock:
            if strikes("arriving"):
                self.store.add()
            if strikes("vanishing") and (unlucky := self.store.some(request)):
                self.store.remove([unlucky])
            body = self._page(wanted, strikes, request)
        return Reply(200, body, fault=struck[0] if struck else None)

    def _cursor(self, wanted: Asked) -> Key | None:
        """Return the place after which the page begins; None where the answer is an empty page."""
        start = _BEFORE_ALL if wanted.ascending else _AFTER_ALL
        if wanted.cursor is None:
            return start
        place = self.store.key(wanted.cursor)
        alive = self.store.number(wanted.cursor) is not None or self.store.is_alias(wanted.cursor)
        manner = self.faults["deleted_cursor"]
        if place is not None and (alive or manner == "continue"):
            return place
        if manner == "restart":
            return start
        if manner == "empty":
            return None
        raise Refusal(
            400,
            "validation_error",
            "invalid_cursor",
            "start_after_history_item_id is not a valid cursor.",
            param="start_after_history_item_id",
            fault="deleted_cursor" if place else None,
        )

    def _page(self, wanted: Asked, strikes: Callable[[str], bool], request: int) -> bytes:
        drop = tuple(self.faults["drop_fields"])
        place = self._cursor(wanted)
        if place is None:
            return self.store.page([], None, False, drop)
        numbers, positions = self.store.select(wanted.filters)
        # Everything below counts positions in reading order, whichever direction that is.
        if wanted.ascending:
            first = int(positions.searchsorted(self.store.older((place[0], place[1] + 1))))
        else:
            numbers = numbers[::-1]
            first = len(positions) - int(positions.searchsorted(self.store.older(place)))
        if wanted.cursor is not None and first > 0 and strikes("repeat_cursor"):
            first = max(0, first - wanted.size)
        elif first < len(numbers) and strikes("empty_pages"):
            return self.store.page([], self.store.alias(place, request), True, drop)
        size = wanted.size
        if size > 1 and first + 1 < len(numbers) and strikes("short_pages"):
            size = 1 + number(self.store.seed, "short", request) % (min(size, len(numbers) - first) - 1)
        found = numbers[first : first + size].tolist()
        more = first + size < len(numbers)
        last = self.store.id_of(found[-1]) if found else None
        shown = last
        if more and strikes("missing_cursor"):
            shown = None
        order = found
        if len(found) > 1 and strikes("shuffle"):
            order = sorted(found, key=lambda k: number(self.store.seed, f"shuffle {request}", k))
        body = self.store.page(order, shown, more, drop)
        if last is not None and strikes("vanish_cursor"):
            self.store.remove([last])
        return body
