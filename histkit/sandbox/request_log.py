"""The workspace's request log: one row for each request, those of the history among them.

What the service answers is not documented beyond its shape (``columns``, ``column_types``, ``column_units``,
``rows``), so the names are plausible ones, and the faults ``log_...`` cover what else a service may do.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from histkit.sandbox import catalog
from histkit.sandbox.faults import Faults
from histkit.sandbox.prng import I64, below, identities, number, uniform
from histkit.sandbox.responses import Invalid, Refusal
from histkit.sandbox.store import Store
from histkit.sandbox.workspace import KEYS, MEMBERS, NO_KEY, keys_of, users_of

REQUESTS = "/v1/workspace/analytics/requests"
SCOPE = "workspace_analytics_full_read"
COLUMNS: tuple[tuple[str, str, str | None], ...] = (
    ("timestamp", "DateTime", "ms"),
    ("request_id", "String", None),
    ("product_type", "String", None),
    ("model", "String", None),
    ("voice_id", "String", None),
    ("voice_name", "String", None),
    ("hashed_xi_api_key", "String", None),
    ("api_key_name", "String", None),
    ("user_id", "String", None),
    ("user_label", "String", None),
    ("request_source", "String", None),
    ("region", "String", None),
    ("status_code", "Int", None),
    ("error_code", "String", None),
    ("latency", "Float", "ms"),
    ("credits", "Float", "credits"),
    ("is_streaming", "Bool", None),
    ("metadata", "JSON", None),
)
"""Name, type and unit of each column."""
_NAMES = tuple(name for name, _, _ in COLUMNS)
_RENAMED = {
    "timestamp": "event_time",
    "request_id": "history_request_id",
    "latency": "duration_ms",
    "model": "model_id",
}
_FAILURES = (
    (429, "rate_limit_exceeded"),
    (429, "concurrent_limit_exceeded"),
    (422, "validation_error"),
    (401, "quota_exceeded"),
    (500, "internal_error"),
)
_MOST = 1000
_USUAL = 100
_SUCCESS, _OTHER, _FAILED, _BURST = range(4)
_OPERATIONS = ("in", "not_in", "le", "ge", "lt", "gt", "eq", "neq")

Entry = tuple[int, int, int]
"""A request: its time in milliseconds, its kind, and its number among those of the kind (-1 and below: added later)."""
Row = list[Any]


@dataclass(frozen=True)
class Query:
    """A checked body of a request to the log."""

    start: int | None
    end: int | None
    limit: int
    descending: bool
    search: str | None
    filters: list[dict[str, Any]]


class RequestLog:
    """The log of a workspace whose history is in a store; made on first use, then kept."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._faults = faults
        self._lock = threading.Lock()
        self._burst = -1
        self._times: I64 = np.zeros(0, np.int64)
        self._kinds: I64 = self._times
        self._places: I64 = self._times
        self._ids: list[NDArray[np.bytes_]] = []
        self._last: dict[str, Any] | None = None

    def answer(self, body: dict[str, Any], request: int) -> dict[str, Any]:
        """Answer a request to the log; `request` is its number.

        Raises
        ------
        Invalid, Refusal
            A field is missing or not possible.
        """
        query = parse_query(body)
        faults = self._faults
        if faults.strikes("arriving", request):
            self._store.add()
        if query.filters and faults["log_filters"] == "refused":
            raise Refusal(400, "invalid_request", "unsupported_filter", "This column can't be filtered.")
        with self._lock:
            self._build()
            last = self._last
            if last is not None and faults.strikes("log_repeat", request):
                return last
            rows = [] if faults.strikes("log_empty", request) else self._rows(query)
            if faults["log_order"] == "shuffled":
                rows.sort(key=lambda row: crc32(f"{request} {row[1]}".encode()))
            self._last = self._arranged(rows, request)
            return self._last

    # Selecting --------------------------------------------------------------------------------------------

    def _build(self) -> None:
        """Draw the requests of the history, and others; again where the size of the burst changed."""
        burst = int(self._faults["log_burst"])
        if burst == self._burst:
            return
        data, seed = self._store.rows.data, self._store.seed
        n = len(data)
        moment = data.date * 1000 + (data.bits % np.uint64(1000)).astype(np.int64)
        before = np.r_[np.int64(0), data.stop[:-1]]
        elsewhere = np.where(data.start >= before, data.start - before, np.maximum(data.start, 0))
        elsewhere[:1] = 0
        others = np.flatnonzero(elsewhere)
        failed = np.flatnonzero(uniform(seed, "failed request", n) < 0.03)
        middle = int(moment[n // 2])
        self._keys = keys_of(data, seed)
        self._users = users_of(data, self._keys)
        self._rows_of = [np.arange(n), others, failed, np.full(burst, n // 2)]
        self._elsewhere = elsewhere
        self._failures = below(seed, "failure", len(failed), len(_FAILURES))
        self._ids = [
            data.requests,
            identities(seed, "music request", len(others)),
            identities(seed, "failed request", len(failed)),
            identities(seed, "burst request", burst),
        ]
        times = [moment, (data.date * 1000 + moment % 1000 // 2)[others], moment[failed] - 1200, np.full(burst, middle)]
        kinds = [np.full(len(part), kind) for kind, part in enumerate(times)]
        places = [np.arange(len(part)) for part in times]
        time = np.concatenate(times)
        order = np.argsort(time, kind="stable")
        self._times, self._kinds, self._places = (
            time[order],
            np.concatenate(kinds)[order],
            np.concatenate(places)[order],
        )
        self._burst = burst

    def _entries(self, query: Query) -> Iterator[Entry]:
        """Yield the requests within the times of a query, in its order."""
        second = 1000 if self._faults["log_times"] == "s" else 1
        times = self._times // second * second if second > 1 else self._times
        starts, ends = self._faults["log_starts"], self._faults["log_ends"]
        start = None if starts == "ignored" else query.start
        end = None if ends == "ignored" else query.end
        low = 0 if start is None else np.searchsorted(times, start, "left" if starts == "inclusive" else "right")
        high = len(times) if end is None else np.searchsorted(times, end, "right" if ends == "inclusive" else "left")
        descending = {"ascending": False, "descending": True}.get(self._faults["log_order"], query.descending)
        step = range(int(high) - 1, int(low) - 1, -1) if descending else range(int(low), int(high))
        base = ((int(times[k]), int(self._kinds[k]), int(self._places[k])) for k in step)
        later = []
        for k, row in enumerate(self._store.arrived()):
            time = int(row["date_unix"]) * 1000
            above = start is None or time > start or (time == start and starts == "inclusive")
            if above and (end is None or time < end or (time == end and ends == "inclusive")):
                later.append((time, _SUCCESS, -1 - k))
        later.sort(reverse=descending)
        yield from _merged(base, iter(later), descending)

    def _rows(self, query: Query) -> list[Row]:
        cap = self._faults["log_cap"]
        most = query.limit if cap is None else min(query.limit, int(cap))
        ignored = self._faults["log_filters"] == "ignored"
        filters = [] if ignored else query.filters
        added = self._store.arrived()
        rows: list[Row] = []
        for entry in self._entries(query):
            row = self._row(entry, added)
            if all(_meets(row, one) for one in filters) and (not query.search or _mentions(row, query.search)):
                rows.append(row)
                if len(rows) == most:
                    break
        return rows

    # Rows -------------------------------------------------------------------------------------------------

    def _row(self, entry: Entry, added: list[dict[str, Any]]) -> Row:
        time, kind, place = entry
        if place < 0:
            return self._row_of_added(time, added[-1 - place])
        data = self._store.rows.data
        k = int(self._rows_of[kind][place])
        bits, key, user = int(data.bits[k]), int(self._keys[k]), int(self._users[k])
        voice: tuple[str | None, str | None] = (None, None)
        if kind != _OTHER and data.kind[k] != 2:
            voice = (
                catalog.VOICES[int(data.voice[k])].voice_id,
                self._store.rows.name(int(data.voice[k]), time // 1000),
            )
        status, error = _FAILURES[int(self._failures[place])] if kind == _FAILED else (200, None)
        credits: float | None = None
        if kind == _SUCCESS:
            credits = float(data.stop[k] - data.start[k])
        elif kind == _OTHER:
            credits = float(self._elsewhere[k])
        blank = self._faults["log_blank"]
        lost = number(self._store.seed, "blank row", time * 7 + place) % 1_000_003 / 1_000_003 < blank
        return [
            None if lost and bits % 2 else time,
            None if lost and not bits % 2 else self._ids[kind][place].decode(),
            "Music" if kind == _OTHER else "TTS",
            "music_v1" if kind == _OTHER else catalog.MODELS[int(data.model[k])].model_id,
            *voice,
            *_principals(key, user),
            "web" if key == NO_KEY else "api",
            ("us", "eu", "us")[bits % 3],
            status,
            error,
            None if kind == _FAILED and bits % 5 == 0 else 80.0 + bits % 4000 / 2,
            credits,
            bits % 4 == 0,
            '{"sdk":"python"}' if bits % 9 == 0 else None,
        ]

    def _row_of_added(self, time: int, row: dict[str, Any]) -> Row:
        spent = int(row["character_count_change_to"]) - int(row["character_count_change_from"])
        voice = (row.get("voice_id"), row.get("voice_name"))
        last = (*_principals(0, KEYS[0].user), "api", "us", 200, None, 120.0, float(spent), False, None)
        return [time, row.get("request_id"), "TTS", row.get("model_id"), *voice, *last]

    # Columns ----------------------------------------------------------------------------------------------

    def _arranged(self, rows: list[Row], request: int) -> dict[str, Any]:
        """Return rows as the answer, with the columns that the faults leave."""
        columns = [*COLUMNS]
        style = self._faults["log_columns"]
        if style == "bare":
            columns = [column for column in columns if column[0] != "request_id"]
        elif style == "reordered" or (style == "changing" and request % 3 == 1):
            columns = columns[::-1]
        elif style == "changing" and request % 3 == 2:
            columns = [column for column in columns if column[0] != "region"]
            columns = [("status_code", "String", None) if name == "status_code" else (name, kind, unit)
                       for name, kind, unit in columns]  # fmt: skip
        elif style == "unit" and request % 2:
            columns = [(name, kind, "s" if name == "latency" else unit) for name, kind, unit in columns]
        clock = self._faults["log_times"]
        unit = {"ms": "ms", "s": "s", "us": None, "iso": None}[clock]
        names = [_RENAMED.get(name, name) if style == "renamed" else name for name, _, _ in columns]
        picked = [_NAMES.index(name) for name, _, _ in columns]
        clocked = [(name == "timestamp", kind == "String" and name == "status_code") for name, kind, _ in columns]
        table = [
            [
                _clock(row[place], clock) if is_time else str(row[place]) if as_text else row[place]
                for place, (is_time, as_text) in zip(picked, clocked, strict=True)
            ]
            for row in rows
        ]
        return {
            "columns": names,
            "column_types": [kind for _, kind, _ in columns],
            "column_units": [unit if name == "timestamp" else of for name, _, of in columns],
            "rows": table,
        }


def _principals(key: int, user: int) -> tuple[str | None, str | None, str, str]:
    """Return the hash and the name of a key, and the id and the name of a user."""
    hashed, name = (None, None) if key == NO_KEY else (KEYS[key].hashed, KEYS[key].name)
    return hashed, name, MEMBERS[user].user_id, MEMBERS[user].name


def _merged(base: Iterator[Entry], later: Iterator[Entry], descending: bool) -> Iterator[Entry]:
    """Yield the entries of two sorted iterators in order; an entry that was added is the later of two of one time."""
    one, other = next(base, None), next(later, None)
    while one is not None or other is not None:
        if other is None:
            first = True
        elif one is None:
            first = False
        else:
            first = one[0] > other[0] if descending else one[0] <= other[0]
        if first and one is not None:
            yield one
            one = next(base, None)
        elif other is not None:
            yield other
            other = next(later, None)


def _clock(time: int | None, kind: str) -> Any:
    if time is None or kind == "ms":
        return time
    if kind == "iso":
        return datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return time // 1000 if kind == "s" else time * 1000


def _mentions(row: Row, term: str) -> bool:
    return any(isinstance(value, str) and term.casefold() in value.casefold() for value in row)


def _meets(row: Row, condition: dict[str, Any]) -> bool:
    value, values = row[_NAMES.index(condition["column"])], condition["values"]
    match condition["operation"]:
        case "in" | "eq":
            return value in values
        case "not_in" | "neq":
            return value is not None and value not in values  # as in SQL
        case "lt":
            return value is not None and bool(value < values[0])
        case "le":
            return value is not None and bool(value <= values[0])
        case "gt":
            return value is not None and bool(value > values[0])
    return value is not None and bool(value >= values[0])


def parse_query(body: dict[str, Any]) -> Query:
    """Check the body of a request to the log.

    Raises
    ------
    Invalid, Refusal
        A field is missing or not possible.
    """
    start, end = (_optional(body, name, int, "integer", "int_type") for name in ("start_time", "end_time"))
    if start is None and end is None:
        message = "At least one of start_time or end_time must be provided."
        raise Refusal(400, "invalid_request", "missing_time_range", message)
    limit = _optional(body, "limit", int, "integer", "int_type")
    if limit is not None and not 1 <= limit <= _MOST:
        bound, kind = (("greater than or equal to 1", "greater_than_equal") if limit < 1
                       else (f"less than or equal to {_MOST}", "less_than_equal"))  # fmt: skip
        raise Invalid(["body", "limit"], f"Input should be {bound}", kind, limit)
    sort = body.get("sort")
    if sort not in (None, "asc", "desc"):
        raise Invalid(["body", "sort"], "Input should be 'asc' or 'desc'", "literal_error", sort)
    descending = sort == "desc" if sort is not None else end is not None
    filters = body.get("filters") or []
    for place, one in enumerate(filters):
        if not isinstance(one, dict) or not {"column", "operation", "values"} <= one.keys():
            raise Invalid(["body", "filters", place], "Field required", "missing", one)
        if one["operation"] not in _OPERATIONS or not isinstance(one["values"], list):
            raise Invalid(["body", "filters", place, "operation"], "Input is not valid", "literal_error", one)
        if one["column"] not in _NAMES:
            raise Refusal(400, "invalid_request", "invalid_column", f"Unknown column {one['column']!r}.")
    search = _optional(body, "search", str, "string", "string_type")
    return Query(start, end, _USUAL if limit is None else limit, descending, search, filters)


def _optional(body: dict[str, Any], name: str, kind: type, word: str, code: str) -> Any:
    value = body.get(name)
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        raise Invalid(["body", name], f"Input should be a valid {word}", code, value)
    return value
