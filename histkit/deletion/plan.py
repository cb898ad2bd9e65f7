"""What a deletion is made of: the plan, the journal, and the one request that can't be taken back."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

from histkit.api.options import history_item_path
from histkit.audio.jobs import distinct, ids_of
from histkit.audio.verify import verified_copies
from histkit.errors import (
    InputError,
)
from histkit.frame.columns import values_of
from histkit.frame.schema import require
from histkit.util.storage import normalize_path

Json = dict[str, Any]
Found = tuple[str, str | None]  # status, and what went wrong

COLUMNS = {
    "history_item_id": "string[pyarrow]",
    "status": "string[pyarrow]",
    "path": "string[pyarrow]",
    "credits": "Int64",
    "error": "string[pyarrow]",
}
PLANNED = ("would delete", "kept")
_ROWS_AT_ONCE = 256  # that are made ready for the journal


@dataclass(frozen=True)
class DeletionPlan:
    """What is to be deleted.

    Attributes
    ----------
    items : DataFrame or Series
        The rows.
    all_ids : list of str
        Id of each row.
    ids : dict of str to int
        What would be deleted, in order, and its first row.
    paths : dict of str to str, or None
        Verified files; None where nobody asked for them.
    folder : str
        Where these are.
    prices : list of int or None
        Credits of each row.
    account : str or None
        Whose the rows are; None where they don't say.
    """

    items: pd.DataFrame | pd.Series
    all_ids: list[str]
    ids: dict[str, int]
    paths: dict[str, str] | None
    folder: str
    prices: list[int | None]
    account: str | None

    @property
    def kept(self) -> int:
        """Ids that have no verified file."""
        return len(set(self.all_ids)) - len(self.ids)

    @property
    def counts(self) -> dict[str, int]:
        """Ids by status of a dry run."""
        return dict(zip(PLANNED, (len(self.ids), self.kept), strict=True))

    def credits_of(self, ids: Iterable[str]) -> Json:
        """Sum up what some of the ids cost; None where no price is known."""
        prices = [self.prices[self.ids[item]] for item in ids]
        known = [price for price in prices if price is not None]
        total = sum(known) if known or not prices else None
        return {"credits": total, "credits_unknown": len(prices) - len(known)}

    def records(self) -> Iterator[tuple[str, Json]]:
        """Give each id and its whole row as JSON values."""
        ids, rows = list(self.ids), list(self.ids.values())
        if isinstance(self.items, pd.Series):
            yield from ((item, {"history_item_id": item}) for item in ids)
            return
        for start in range(0, len(ids), _ROWS_AT_ONCE):
            part = self.items.iloc[rows[start : start + _ROWS_AT_ONCE]]
            columns = [part[name].tolist() for name in part.columns]
            names = [str(name) for name in part.columns]
            for item, row in zip(ids[start:], zip(*columns, strict=True), strict=False):
                yield item, dict(zip(names, map(_plain, row), strict=True))

    def frame(self, found: Mapping[str, Found], facts: Json) -> pd.DataFrame:
        """Make the table on the index of the rows; `found` has status and error of each id, none of a dry run."""
        first, second = PLANNED
        told = [found.get(item, (first if item in self.ids else second, None)) for item in self.all_ids]
        paths = self.paths or {}
        columns = (
            self.all_ids,
            [status for status, _ in told],
            [paths.get(item) for item in self.all_ids],
            self.prices,
            [error for _, error in told],
        )
        data = {
            name: pd.array(values, dtype=dtype)  # type: ignore[call-overload,unused-ignore]
            for (name, dtype), values in zip(COLUMNS.items(), columns, strict=True)
        }
        table = pd.DataFrame(data, index=self.items.index)
        table.attrs["histkit"] = facts
        return table

    def summary(self) -> str:
        """Give the line that is printed of a dry run."""
        if not self.ids:
            return f"Nothing would be deleted{self._kept()}."
        line = (
            f"Would delete {rows_of(len(self.ids))}{self._days()} ({price_of(self.credits_of(self.ids))}){self._kept()}"
        )
        return f"{line}. Nothing was deleted: confirm=True (--confirm) does it."

    def _kept(self) -> str:
        if self.paths is None:
            return ""
        return f"; {len(self.ids):,} with a verified copy in {self.folder}, {self.kept:,} without are kept"

    def _days(self) -> str:
        moments = _moments(self.items, list(self.ids.values()))
        first, last = (f"{each:%Y-%m-%d}" if pd.notna(each) else "" for each in (moments.min(), moments.max()))
        return f" of {first}" + (f" to {last}" if first != last else "") if first else ""


def plan_deletion(items: pd.DataFrame | pd.Series, only_verified: Any, progress: bool | None) -> DeletionPlan:
    """Collect the ids and look at their files; no request.

    Raises
    ------
    InputError
        A row can't be deleted: it has no id, or an account of its own.
    DownloadError
        The folder's manifest can't be read.
    """
    if isinstance(items, pd.DataFrame):
        require(items, ["history_item_id"], "deleting")
    ids = ids_of(items)
    missing = ids.count("")
    if missing:
        raise InputError(f"{rows_of(missing)} of {len(ids):,} without an id can't be deleted: leave them out.")
    firsts = {ids[row]: row for row in distinct(ids)}
    for item in firsts:
        history_item_path(item)  # raises for what is no id
    account = None
    if isinstance(items, pd.DataFrame):
        if len({str(name) for name in items.columns}) < len(items.columns):
            raise InputError("Two columns have one name, and the journal could hold only one: rename them first.")
        accounts = sorted({str(name or "") for name in values_of(items, "account")})
        if len(accounts) > 1:
            raise InputError(f"Some rows are of the account {accounts[-1]} and some name none: delete them separately.")
        account = accounts[0] or None if accounts else None
    prices = [_whole(each) for each in values_of(items, "credits")]
    if only_verified is None:
        return DeletionPlan(items, ids, firsts, None, "", prices, account)
    copies = verified_copies(only_verified, firsts, progress=progress)
    paths = {item: str(entry.path) for item, entry in copies.items()}
    wanted = {item: row for item, row in firsts.items() if item in paths}
    return DeletionPlan(items, ids, wanted, paths, normalize_path(only_verified), prices, account)


def rows_of(count: int) -> str:
    """Write a number of rows out."""
    return f"{count:,} row{'s' * (count != 1)}"


def price_of(facts: Json) -> str:
    """Write credits out, and of how many rows they are unknown."""
    total, unknown = facts["credits"], facts["credits_unknown"]
    if total is None:
        return "credits unknown"
    return f"{total:,} credit{'s' * (total != 1)}" + (f", unknown of {rows_of(unknown)}" if unknown else "")


def _moments(items: pd.DataFrame | pd.Series, rows: list[int]) -> pd.Series:
    """Give when some rows were generated; missing where nothing says so."""
    for name in ("date_unix", "date"):
        if isinstance(items, pd.DataFrame) and name in items:
            column = items[name].iloc[rows]
            if name == "date_unix":
                return pd.to_datetime(pd.to_numeric(column, errors="coerce"), unit="s", utc=True, errors="coerce")
            return pd.to_datetime(column, utc=True, format="ISO8601", errors="coerce")
    return pd.Series([], dtype="datetime64[us, UTC]")


def _whole(value: Any) -> int | None:
    if not isinstance(value, numbers.Real) or not math.isfinite(value):
        return None
    return int(float(value)) if not isinstance(value, numbers.Integral) else int(value)


def _plain(value: Any) -> Any:
    """Make a JSON value of whatever a frame holds."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
        return [_plain(each) for each in value]
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if isinstance(value, (str, bool, int)) else str(value)
