"""Which rows and columns of a local history are asked for, and reading no more than those need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from histkit.archive.manifest import Manifest, newest_first, span_of
from histkit.archive.partitions import LOADED, TIE, MonthFile, in_order
from histkit.errors import InputError
from histkit.frame.filters import Selection, as_unix, name_test, names_of
from histkit.frame.schema import TEXT
from histkit.util.storage import Store

_ORDER = ("date_unix", "account", TIE)
_FILTERS = {"voices": ("voice_id", "voice_name"), "models": ("model_id",), "sources": ("source",)}


@dataclass(frozen=True)
class Wanted:
    """Conditions and columns; `voices` are the (id, name) pairs that the condition on the voice means."""

    columns: tuple[str, ...] = LOADED
    after: int | None = None
    before: int | None = None
    selection: Selection = field(default_factory=Selection)
    accounts: tuple[str, ...] | None = None
    voices: tuple[tuple[str | None, str | None], ...] | None = None

    @classmethod
    def of(
        cls,
        columns: Sequence[str] | None,
        after: Any,
        before: Any,
        account: str | Iterable[str] | None,
        **conditions: Any,
    ) -> Wanted:
        """Check a user's arguments."""
        if isinstance(columns, str):
            raise InputError(f"columns= takes a list of names: columns=[{columns!r}].")
        names = LOADED if columns is None else tuple(columns)
        unknown = [name for name in names if name not in LOADED]
        if unknown:
            raise InputError(f"columns={unknown[0]!r} is no column of a local history; it has {', '.join(LOADED)}.")
        first = None if after is None else as_unix(after, "after")
        end = None if before is None else as_unix(before, "before")
        if first is not None and end is not None and first > end:
            raise InputError(f"after={after!r} is later than before={before!r}.")
        accounts = names_of(account, "account")
        return cls(tuple(dict.fromkeys(names)), first, end, Selection.of(**conditions), accounts)

    def within(self, manifest: Manifest) -> Wanted:
        """Look up the voices that are meant."""
        names = self.selection.voices
        if names is None:
            return self
        test = name_test(names)
        pairs = tuple((item, name) for item, name in manifest.voices if item in names or (name and test(name)))
        return replace(self, voices=pairs)

    def files(self, manifest: Manifest) -> list[str]:
        """Give the months that can hold such rows, newest first."""
        if self.voices is not None and not self.voices:
            return []
        found = []
        for file in newest_first(manifest.months):
            span = span_of(file)
            early = self.before is not None and (span is None or span[0] >= self.before)
            late = self.after is not None and (span is None or span[1] <= self.after)
            if not early and not late:
                found.append(file)
        return found

    def read(self, store: Store, file: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a month's rows that meet the conditions, newest first; `columns` are fewer than those wanted."""
        names = self.columns if columns is None else tuple(columns)
        with MonthFile(store, file) as month:
            groups = [group for group in month.groups() if self._may_hold(month, group)]
            table = month.read(groups, list(dict.fromkeys((*names, *_ORDER, *self._needed()))))
        return in_order(self._filtered(table)).select(names)

    def _needed(self) -> list[str]:
        asked = (names for condition, names in _FILTERS.items() if getattr(self.selection, condition) is not None)
        return [name for names in asked for name in names]

    def _may_hold(self, month: MonthFile, group: int) -> bool:
        dates = month.bounds(group, "date_unix")
        if dates is not None and (self.after is not None or self.before is not None):
            if dates[0] is None or (self.before is not None and dates[0] >= self.before):
                return False
            if self.after is not None and dates[1] < self.after:
                return False
        if self.voices is None:
            return True
        ids, names = month.bounds(group, "voice_id"), month.bounds(group, "voice_name")
        return any(_between(name, names) if item is None else _between(item, ids) for item, name in self.voices)

    def _filtered(self, table: pa.Table) -> pa.Table:
        dates = table.column("date_unix")
        masks = []
        if self.after is not None:
            masks.append(pc.greater_equal(dates, self.after))
        if self.before is not None:
            masks.append(pc.less(dates, self.before))
        if self.accounts is not None:
            masks.append(pc.is_in(table.column("account").cast(TEXT), pa.array(self.accounts, TEXT)))
        if masks:
            table = table.filter(pc.fill_null(reduce(pc.and_, masks), False))
        if self.selection.empty():
            return table
        return pa.Table.from_batches(map(self.selection.of_batch, table.to_batches()), schema=table.schema)


def _between(word: str | None, bounds: tuple[Any, Any, int] | None) -> bool:
    if bounds is None:
        return True
    if word is None:
        return bounds[2] > 0
    return bounds[0] is not None and bounds[0] <= word <= bounds[1]
