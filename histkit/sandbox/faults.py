"""What the sandbox can do wrong when it is asked to, and the dice that decide when."""

import threading
from dataclasses import dataclass
from typing import Any

from histkit.sandbox.noise import chance

RATE, FLAG, NUMBER, WORD, NAMES, ADDRESS, PAUSE = range(7)


@dataclass(frozen=True)
class Fault:
    """One fault: what kind of value it takes, its value when nobody asked, the words it knows, what it does."""

    kind: int
    default: Any
    meaning: str
    words: tuple[str, ...] = ()


FAULTS: dict[str, Fault] = {
    "rate_limit": Fault(RATE, 0, "429 rate_limit_exceeded"),
    "too_many": Fault(RATE, 0, "429 too_many_concurrent_requests, the older words"),
    "concurrency": Fault(NUMBER, None, "429 concurrent_limit_exceeded while more than this many are in flight"),
    "retry_after": Fault(PAUSE, None, 'Retry-After of 429 and 503: seconds, or "date" for an HTTP date'),
    "error_500": Fault(RATE, 0, "500 internal_error"),
    "error_503": Fault(RATE, 0, "503 service_unavailable"),
    "error_408": Fault(RATE, 0, "408 request_timeout"),
    "reset": Fault(RATE, 0, "the connection is reset before any byte"),
    "cut_off": Fault(RATE, 0, "the connection closes in mid-body"),
    "html": Fault(RATE, 0, "200 with a web page instead of the answer"),
    "html_403": Fault(RATE, 0, "403 with a web page"),
    "redirect": Fault(ADDRESS, 0, "302 to a help page of the sandbox, or to the given URL each time"),
    "truncated_json": Fault(RATE, 0, "200 with JSON that ends too early"),
    "quota_401": Fault(RATE, 0, "401 quota_exceeded"),
    "unusual_activity": Fault(RATE, 0, "401 detected_unusual_activity"),
    "latency": Fault(NUMBER, 0.0, "seconds before each answer"),
    "jitter": Fault(NUMBER, 0.0, "up to so many seconds more"),
    "audio_delay": Fault(NUMBER, 0.0, "seconds before each audio or zip"),
    "bandwidth": Fault(NUMBER, None, "bytes a second for each connection"),
    "repeat_cursor": Fault(RATE, 0, "a request with a cursor gets the page before once more"),
    "missing_cursor": Fault(RATE, 0, "last_history_item_id is null although has_more is true"),
    "shuffle": Fault(RATE, 0, "the rows of a page come out of order"),
    "short_pages": Fault(RATE, 0, "fewer rows than page_size although more follow"),
    "empty_pages": Fault(RATE, 0, "an empty page with has_more and a new cursor"),
    "deleted_cursor": Fault(WORD, "continue", "a cursor whose row is gone", ("continue", "error", "empty", "restart")),
    "vanish_cursor": Fault(RATE, 0, "the last row of a page vanishes after it was sent"),
    "arriving": Fault(RATE, 0, "a new row arrives before a list request"),
    "vanishing": Fault(RATE, 0, "a row vanishes before a list request"),
    "ignore_sort": Fault(FLAG, False, "sort_direction has no effect"),
    "ignore_dates": Fault(FLAG, False, "date_before_unix and date_after_unix have no effect"),
    "search_needs_source": Fault(FLAG, False, "search without source is a 422"),
    "model_needs_source": Fault(FLAG, False, "model_id without source is a 422"),
    "unknown_ids": Fault(WORD, "error", "unknown ids in a bulk download", ("error", "omit")),
    "drop_fields": Fault(NAMES, [], "fields that rows do not have"),
    "clip_bytes": Fault(NUMBER, None, "approximate size of each audio"),
    "error_shape": Fault(WORD, "current", "shape of error bodies", ("current", "legacy")),
    "zip_collisions": Fault(WORD, "suffix", "two entries of one name in a zip", ("suffix", "duplicate")),
    "zip_names": Fault(WORD, "safe", "voice names in a zip's entries, made safe or as they are", ("safe", "raw")),
    "only": Fault(WORD, None, "the one kind of request that fails", ("list", "item", "audio", "download", "delete",
                                                                      "account")),
}  # fmt: skip


def _fits(fault: Fault, value: Any) -> bool:
    if value is None:
        return True
    number = isinstance(value, int | float)
    match fault.kind:
        case 0:
            return number and (0 <= value <= 1 or (isinstance(value, int) and value >= 0))
        case 1:
            return isinstance(value, bool)
        case 2:
            return number and not isinstance(value, bool) and value >= 0
        case 3:
            return value in fault.words
        case 4:
            return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
        case 5:
            return isinstance(value, str) or (number and value >= 0)
        case _:
            return value == "date" or (number and not isinstance(value, bool) and value >= 0)


def check(faults: dict[str, Any]) -> dict[str, Any]:
    """Return the faults as they are sent to the server.

    Raises
    ------
    ValueError
        For a name that is no fault, naming it and those there are, and for a value that a fault can't have.
    """
    for name, value in faults.items():
        if name not in FAULTS:
            raise ValueError(f"unknown fault {name!r}; the sandbox knows {', '.join(sorted(FAULTS))}")
        if isinstance(value, str) and name == "drop_fields":
            raise ValueError("drop_fields is a list of field names")
        if not _fits(FAULTS[name], value):
            raise ValueError(f"{name}={value!r} is not possible: {FAULTS[name].meaning}")
    return {name: FAULTS[name].default if value is None else value for name, value in faults.items()}


class Faults:
    """The faults that are set now; a rate below 1 is a chance, True is always, a whole number the next so many."""

    def __init__(self, seed: int, faults: dict[str, Any]) -> None:
        self.seed = seed
        self._lock = threading.Lock()
        self._set = {name: fault.default for name, fault in FAULTS.items()} | check(faults)

    def set(self, faults: dict[str, Any]) -> None:
        """Change some faults."""
        with self._lock:
            self._set |= check(faults)

    def all(self) -> dict[str, Any]:
        """Return every fault that differs from its default."""
        with self._lock:
            return {name: value for name, value in self._set.items() if value != FAULTS[name].default}

    def __getitem__(self, name: str) -> Any:
        """Return the value of a fault."""
        return self._set[name]

    def strikes(self, name: str, request: int) -> bool:
        """Tell whether a fault happens to the request of that number; a counted one is used up by it."""
        with self._lock:
            value = self._set[name]
            if isinstance(value, str | bool):
                return bool(value)
            if isinstance(value, int):
                if value > 0:
                    self._set[name] = value - 1
                return value > 0
        return chance(self.seed, f"fault {name}", request) < float(value)
