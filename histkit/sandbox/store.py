"""The rows of a sandbox in order, changes to them, and pages of them as JSON."""

import threading
import time
from array import array
from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from histkit.sandbox import catalog
from histkit.sandbox.columns import DIALOGUE, PLAIN
from histkit.sandbox.prng import I64, identity, number
from histkit.sandbox.rows import Rows, page, searched
from histkit.sandbox.timeline import DAY
from histkit.util.arrays import Mask

Fields = dict[str, Any]
Key = tuple[int, int]
"""A position in the history: the date and, for rows of the same second, the number of the row."""
_CACHED_BYTES = 256 << 20


@dataclass(frozen=True)
class Filters:
    """The filters of a list request."""

    voice_id: str | None = None
    model_id: str | None = None
    source: str | None = None
    search: str | None = None
    before: int | None = None
    after: int | None = None

    def selective(self) -> bool:
        """Return whether there is a filter besides the dates."""
        return not (self.voice_id is None and self.model_id is None and self.source is None and not self.search)


class Store:
    """The rows of a history, which can be added, changed and removed; thread-safe."""

    def __init__(self, rows: Rows, seed: int) -> None:
        self.rows = rows
        self.seed = seed
        self.lock = threading.RLock()
        self._base = len(rows)
        self._order = array("q", range(self._base))
        self._dates = array("q", rows.data.date.tobytes())
        self._changed: dict[int, Fields] = {}
        self._date: dict[int, int] = {}
        self._numbers: dict[str, int] = dict(zip(rows.data.ids.astype("U20").tolist(), range(self._base), strict=True))
        self._next = self._base
        self._gone: set[int] = set()
        self._aliases: dict[str, Key] = {}
        self._version = 0
        self._pages: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()
        self._page_bytes = 0
        self._masks: dict[tuple[str | None, ...], Mask] = {}
        self._selection: tuple[int, Filters, I64] | None = None

    # Rows -------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Return the number of rows that are not removed."""
        return len(self._order)

    def number(self, history_item_id: str) -> int | None:
        """Return the number of an existing row, else None."""
        number = self._numbers.get(history_item_id)
        return None if number in self._gone else number

    def key(self, history_item_id: str) -> Key | None:
        """Return the place of a row, also of a removed one; None for an unknown id."""
        if history_item_id in self._aliases:
            return self._aliases[history_item_id]
        number = self._numbers.get(history_item_id)
        return None if number is None else (self._moment(number), number)

    def is_alias(self, history_item_id: str) -> bool:
        """Return whether an id is an alias of a position between rows."""
        return history_item_id in self._aliases

    def newest(self) -> Fields:
        """Return the newest row, or an empty one."""
        with self.lock:
            return self.fields(self._order[-1]) if len(self._order) else {}

    def alias(self, place: Key, salt: int) -> str:
        """Create an alias: an id of a position between rows."""
        made = identity(self.seed, "alias", salt)
        self._aliases[made] = place
        return made

    def _moment(self, number: int) -> int:
        date = self._date.get(number)
        return int(self.rows.data.date[number]) if date is None else date

    def _position(self, place: Key) -> int:
        """Return the number of existing rows that are older than a place."""
        date, number = place
        k = bisect_left(self._dates, date)
        while k < len(self._order) and self._dates[k] == date and self._order[k] < number:
            k += 1
        return k

    def fields(self, number: int) -> Fields:
        """Return a row as the API's fields."""
        if number in self._changed:
            return self._changed[number]
        made: Fields = msgspec.json.decode(msgspec.json.encode(self.rows.item(number)))
        return made

    def encoded(self, number: int, drop: tuple[str, ...] = ()) -> bytes:
        """Return a row as JSON, without the fields named in `drop`."""
        if drop:
            return msgspec.json.encode({k: v for k, v in self.fields(number).items() if k not in drop})
        if number in self._changed:
            return msgspec.json.encode(self._changed[number])
        return msgspec.json.encode(self.rows.item(number))

    # Changes ----------------------------------------------------------------------------------------------

    def add(self, n: int = 1, **fields: Any) -> list[str]:
        """Add `n` rows, newer than every other unless `date_unix` is given."""
        with self.lock:
            return [self._arrive(dict(fields)) for _ in range(n)]

    def _arrive(self, fields: Fields) -> str:
        number, self._next = self._next, self._next + 1
        newest = self.fields(self._order[-1]) if len(self._order) else {}
        moment = max(int(newest.get("date_unix", 0)) + 1, int(time.time()))
        row = msgspec.json.decode(msgspec.json.encode(self.rows.item(self._like(number))))
        price = {model.model_id: model.price for model in catalog.MODELS}.get(
            fields.get("model_id", row["model_id"]), 1.0
        )
        spent = round(len(fields.get("text", row["text"]) or "") * price)
        before = int(newest.get("character_count_change_to", 0))
        row |= {
            "history_item_id": identity(self.seed, "late item", number),
            "request_id": identity(self.seed, "late request", number),
            "date_unix": moment,
            "character_count_change_from": before,
            "character_count_change_to": before + spent,
        }
        row |= fields
        self._numbers[row["history_item_id"]] = number
        self._put(number, row)
        return str(row["history_item_id"])

    def _like(self, salt: int) -> int:
        """Choose the row that an arriving one resembles: plain speech of the newest quarter."""
        data, newest = self.rows.data, max(1, self._base // 4)
        for step in range(self._base):
            k = self._base - 1 - (number(self.seed, "like", salt) + step) % (newest if step < newest else self._base)
            if data.kind[k] == PLAIN and data.source[k] == 0:
                return k
        return self._base - 1

    def _put(self, number: int, row: Fields) -> None:
        self._changed[number] = row
        self._date[number] = int(row["date_unix"])
        k = self._position((self._date[number], number))
        self._order.insert(k, number)
        self._dates.insert(k, self._date[number])
        self._version += 1

    def _take(self, number: int) -> None:
        k = self._position((self._moment(number), number))
        del self._order[k], self._dates[k]
        self._version += 1

    def remove(self, ids: list[str]) -> int:
        """Remove rows; return how many existed."""
        with self.lock:
            numbers = [number for one in ids if (number := self.number(one)) is not None]
            for number in set(numbers):
                self._take(number)
                self._gone.add(number)
            return len(set(numbers))

    def update(self, history_item_id: str, **fields: Any) -> bool:
        """Change fields of a row; return whether the row exists."""
        with self.lock:
            number = self.number(history_item_id)
            if number is None:
                return False
            row = dict(self.fields(number))
            self._take(number)
            self._put(number, row | fields)
            return True

    def some(self, salt: int) -> str | None:
        """Return the id of a pseudo-random existing row."""
        if not len(self._order):
            return None
        return self.id_of(self._order[number(self.seed, "some row", salt) % len(self._order)])

    def id_of(self, number: int) -> str:
        """Return the id of a row."""
        if number in self._changed:
            return str(self._changed[number]["history_item_id"])
        return str(self.rows.data.ids[number].decode())

    def arrived(self) -> list[Fields]:
        """Return the rows that were added, also those that were removed since, in the order of their arrival."""
        with self.lock:
            return [self._changed[number] for number in range(self._base, self._next)]

    # Selecting --------------------------------------------------------------------------------------------

    def _mask(self, filters: Filters) -> Mask:
        """Return a mask of the original rows that match the filters."""
        key = (filters.voice_id, filters.model_id, filters.source, filters.search)
        if key not in self._masks:
            data, mask = self.rows.data, np.ones(self._base, dtype=np.bool_)
            if filters.voice_id is not None:
                codes = [k for k, voice in enumerate(catalog.VOICES) if voice.voice_id == filters.voice_id]
                mask &= np.isin(data.voice, codes) & (data.kind != DIALOGUE)
            if filters.model_id is not None:
                codes = [k for k, model in enumerate(catalog.MODELS) if model.model_id == filters.model_id]
                mask &= np.isin(data.model, codes) & (data.date >= data.end - 660 * DAY)
            if filters.source is not None:
                codes = [k for k, source in enumerate(catalog.SOURCES) if source == filters.source]
                mask &= np.isin(data.source, codes) & (data.date >= data.end - 600 * DAY)
            if filters.search:
                mask &= searched(self.rows, filters.search)
            self._masks[key] = mask
        return self._masks[key]

    def _answers(self, number: int, filters: Filters) -> bool:
        """Return whether a row that was added or changed later matches the filters."""
        row = self._changed[number]
        lines = row.get("dialogue") or []
        text = "\n".join([row.get("text") or "", *(line["text"] for line in lines)])
        return (
            filters.voice_id in (None, row.get("voice_id"))
            and filters.model_id in (None, row.get("model_id"))
            and filters.source in (None, row.get("source"))
            and (filters.search or "").casefold() in text.casefold()
        )

    def select(self, filters: Filters) -> tuple[I64, I64]:
        """Return the numbers of the rows that match the filters, oldest first, and their positions."""
        with self.lock:
            if self._selection is None or self._selection[:2] != (self._version, filters):
                order = np.array(self._order, dtype=np.int64)
                if filters.selective():
                    mask = np.zeros(self._next, dtype=np.bool_)
                    mask[: self._base] = self._mask(filters)
                    for number in self._changed:
                        mask[number] = self._answers(number, filters)
                    positions = np.flatnonzero(mask[order])
                else:
                    positions = np.arange(len(order))
                low = 0 if filters.after is None else bisect_left(self._dates, filters.after)
                high = len(order) if filters.before is None else bisect_left(self._dates, filters.before)
                positions = positions[(positions >= low) & (positions < high)]
                self._selection = (self._version, filters, positions)
                self._order_array = order
            positions = self._selection[2]
            return self._order_array[positions], positions

    def place(self, number: int) -> Key:
        """Return the place of a row."""
        return self._moment(number), number

    def older(self, place: Key) -> int:
        """Return the number of existing rows that are older than a place."""
        return self._position(place)

    # Pages ------------------------------------------------------------------------------------------------

    def page(self, numbers: list[int], last: str | None, more: bool, drop: tuple[str, ...]) -> bytes:
        """Return the JSON of one page; repeated pages come from a cache."""
        with self.lock:
            key = (self._version, tuple(numbers), last, more, drop)
            if key in self._pages:
                self._pages.move_to_end(key)
                return self._pages[key]
            scanned = self._moment(numbers[-1]) if numbers else None
            made = page([self.encoded(number, drop) for number in numbers], last, more, scanned)
            self._pages[key] = made
            self._page_bytes += len(made)
            while self._page_bytes > _CACHED_BYTES and len(self._pages) > 1:
                self._page_bytes -= len(self._pages.popitem(last=False)[1])
            return made

    def history(self) -> bytes:
        """Return all rows as one JSON array, newest first."""
        with self.lock:
            return b"[" + b",".join(self.encoded(number) for number in reversed(self._order)) + b"]"
