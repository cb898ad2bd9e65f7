"""A request log over a real socket, which may treat times, order and limits in any way."""

from __future__ import annotations

import random
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self

import msgspec

from tests.raw_service import JsonServer

Request = tuple[int, str]
"""The time of a request in microseconds, and its id."""


@dataclass
class LogService(JsonServer):
    """A log of requests.

    Attributes
    ----------
    log : list of (microseconds, id)
        What it has; the values of the other columns follow from these.
    starts, ends : str
        How it treats the bounds: ``inclusive``, ``exclusive`` or ``ignored``.
    order : str
        ``asked``, ``ascending``, ``descending``, or ``shuffled`` (within an answer).
    cap : int
        Maximum of rows in an answer.
    grain : int
        Milliseconds to which it rounds bounds down.
    short : bool
        Whether answers have a random number of rows.
    repeats, empties : int
        Answers in a hundred that are those to the request before, or have no rows; the next one is right.
    filters : str
        ``applied``, ``ignored`` or ``refused``.
    names : (str, str or None)
        Its columns of times and ids; None: it sends no ids.
    new_names : (str, str or None), optional
        These from answer `renames_at` on.
    """

    log: list[Request] = field(default_factory=list)
    starts: str = "inclusive"
    ends: str = "exclusive"
    order: str = "asked"
    cap: int = 1000
    grain: int = 1
    short: bool = False
    repeats: int = 0
    empties: int = 0
    filters: str = "applied"
    names: tuple[str, str | None] = ("at", "request_id")
    new_names: tuple[str, str | None] | None = None
    renames_at: int = 0
    seed: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._last: list[Request] = []
        self._wrong = False
        self.start()

    def respond(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer to a request."""
        query = msgspec.json.decode(body)
        self.asked.append(query)
        if query.get("filters") and self.filters == "refused":
            return 400, msgspec.json.encode({"detail": {"status": "invalid", "message": "no filters"}})
        return 200, msgspec.json.encode(self.table(self.answer(query)))

    def become(self, log: list[Request], **behaviour: Any) -> Self:
        """Have another log and behave in another way from now on."""
        for attribute in fields(self):
            if attribute.init and attribute.default is not MISSING:
                setattr(self, attribute.name, attribute.default)
        for name, value in behaviour.items():
            setattr(self, name, value)
        self.log, self.asked, self._last, self._wrong = log, [], [], False
        self._chance = random.Random(self.seed)
        return self

    def answer(self, body: dict[str, Any]) -> list[Request]:
        """Return the rows of an answer."""
        chance, wrong = self._chance.randrange(100), not self._wrong
        self._wrong = wrong and len(self.asked) > 1 and chance < self.repeats + self.empties
        if self._wrong:
            return self._last if chance < self.repeats else []
        rows = [row for row in self.log if self._is_within(row[0], body) and self._passes(row[1], body)]
        descending = body.get("sort") == "desc"
        descending = {"ascending": False, "descending": True}.get(self.order, descending)
        rows.sort(key=lambda row: row[0], reverse=descending)
        most = min(self.cap, body.get("limit", 100))
        rows = rows[: self._chance.randint(1, most) if self.short else most]
        if self.order == "shuffled":
            self._chance.shuffle(rows)
        self._last = rows
        return rows

    def _is_within(self, time: int, body: dict[str, Any]) -> bool:
        start, end = (
            None if body.get(name) is None else body[name] // self.grain * self.grain * 1000
            for name in ("start_time", "end_time")
        )
        above = start is None or self.starts == "ignored" or time > start
        below = end is None or self.ends == "ignored" or time < end
        return (above or (time == start and self.starts == "inclusive")) and (
            below or (time == end and self.ends == "inclusive")
        )

    def _passes(self, item: str, body: dict[str, Any]) -> bool:
        if self.filters == "ignored":
            return True
        return all((item in one["values"]) == (one["operation"] == "in") for one in body.get("filters") or [])

    def table(self, rows: list[Request]) -> dict[str, Any]:
        """Return rows as the service sends them."""
        is_new = self.new_names is not None and len(self.asked) > self.renames_at
        at, request_id = self.new_names if self.new_names is not None and is_new else self.names
        columns: list[tuple[str | None, str, str | None]] = [
            (at, "DateTime", "us"),
            (request_id, "String", None),
            ("user_id", "String", None),
            ("latency", "Int", "ms"),
        ]
        sent = [place for place, column in enumerate(columns) if column[0] is not None]
        values = [(time, item, f"u{time % 3}", time % 1000) for time, item in rows]
        return {
            **{
                name: [columns[place][field] for place in sent]
                for field, name in enumerate(("columns", "column_types", "column_units"))
            },
            "rows": [[row[place] for place in sent] for row in values],
        }
