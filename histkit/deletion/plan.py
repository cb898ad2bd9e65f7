"""Plan of a deletion: which history items, what they cost, and where their verified files are. Makes no request."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from histkit.api.options import history_item_path
from histkit.audio.jobs import check_accounts, first_rows, ids_of
from histkit.deletion.copies import Copies, how_to_prove, judge_copies
from histkit.errors import InputError, SchemaError
from histkit.frame.columns import values_of
from histkit.frame.dates import timestamps_of
from histkit.frame.json_values import plain_value
from histkit.util.storage import normalize_path
from histkit.util.text import count_noun

Json = dict[str, Any]
Result = tuple[str, str | None]  # status and error

COLUMNS = {
    "history_item_id": "string[pyarrow]",
    "status": "string[pyarrow]",
    "path": "string[pyarrow]",
    "credits": "Int64",
    "error": "string[pyarrow]",
}
PLANNED, KEPT = "would delete", "kept"
_ROWS_AT_ONCE = 256  # converted for the journal
_LATEST_DATE = 253_402_300_800  # the year 10000, in seconds since 1970


@dataclass(frozen=True)
class DeletionPlan:
    """History items to delete.

    Attributes
    ----------
    items : DataFrame or Series
        All rows.
    all_ids : list of str
        Id of each row.
    ids : dict of str to int
        The ids to delete, in order, and the first row of each.
    copies : Copies or None
        Verified files of these ids; None if no verification was requested.
    folder : str
        Folder of the verified files.
    prices : list of int or None
        Credits of each row.
    account : str or None
        Account of the rows; None if unknown.
    """

    items: pd.DataFrame | pd.Series
    all_ids: list[str]
    ids: dict[str, int]
    copies: Copies | None
    folder: str
    prices: list[int | None]
    account: str | None

    @property
    def kept(self) -> int:
        """Number of ids that are not deleted, since no verified file of them is known to be whole."""
        return len(set(self.all_ids)) - len(self.ids)

    @property
    def counts(self) -> dict[str, int]:
        """Number of ids by status of a dry run."""
        return {PLANNED: len(self.ids), KEPT: self.kept}

    @property
    def proof_facts(self) -> Json:
        """What is known of the copies: ids known by their length only, kept as unproven, and kept as suspect."""
        if self.copies is None:
            return {}
        unproven, suspect = self.copies.unproven, len(self.copies.suspect)
        return {"known_by_length": len(self.copies.by_length), "unproven": unproven, "suspect": suspect}

    def credits_of(self, ids: Iterable[str]) -> Json:
        """Sum the credits of some ids; None if no price is known."""
        prices = [self.prices[self.ids[item]] for item in ids]
        known = [price for price in prices if price is not None]
        total = sum(known) if known or not prices else None
        return {"credits": total, "credits_unknown": len(prices) - len(known)}

    def records(self) -> Iterator[tuple[str, Json]]:
        """Yield each id to delete, and its row as JSON values."""
        ids, rows = list(self.ids), list(self.ids.values())
        if isinstance(self.items, pd.Series):
            yield from ((item, {"history_item_id": item}) for item in ids)
            return
        names = [str(name) for name in self.items.columns]
        for start in range(0, len(ids), _ROWS_AT_ONCE):
            part = self.items.iloc[rows[start : start + _ROWS_AT_ONCE]]
            columns = [part.iloc[:, place].tolist() for place in range(len(names))]
            for item, row in zip(ids[start:], zip(*columns, strict=True), strict=False):
                yield item, dict(zip(names, map(plain_value, row), strict=True))

    def table(self, results: Mapping[str, Result], facts: Json) -> pd.DataFrame:
        """Return the status of each row on the index of `items`; `results` is empty in a dry run."""
        planned: dict[str, Result] = dict.fromkeys(self.ids, (PLANNED, None))
        if self.copies is not None:
            planned |= {item: (KEPT, reason) for item, reason in self.copies.reasons.items()}
        lines = [results.get(item) or planned.get(item, (KEPT, None)) for item in self.all_ids]
        paths = self.copies.paths if self.copies is not None else {}
        columns: dict[str, Sequence[Any]] = {
            "history_item_id": self.all_ids,
            "status": [status for status, _ in lines],
            "path": [paths.get(item) for item in self.all_ids],
            "credits": self.prices,
            "error": [error for _, error in lines],
        }
        data = {
            name: pd.array(columns[name], dtype=dtype)  # type: ignore[call-overload,unused-ignore]
            for name, dtype in COLUMNS.items()
        }
        table = pd.DataFrame(data, index=self.items.index)
        table.attrs["histkit"] = facts | self.proof_facts
        return table

    def summary(self) -> str:
        """Return the line that a dry run prints."""
        kept = ""
        if self.copies is not None:
            kept = f"; {len(self.ids):,} with a verified copy in {self.folder}, {self.kept:,} without are kept"
            kept += self.kept_reasons()
        if not self.ids:
            return f"Nothing would be deleted{kept}."
        price = price_text(self.credits_of(self.ids))
        line = f"Would delete {count_noun(len(self.ids), 'row')}{self._days()} ({price})"
        line += f"{self.length_note(self.ids)}{kept}"
        return f"{line}. Nothing was deleted yet: confirm to delete."

    def length_note(self, ids: Iterable[str]) -> str:
        """Return how many of some rows are known to be whole by their length only; empty if none."""
        count = len(self.copies.by_length.intersection(ids)) if self.copies is not None else 0
        return f", {count:,} of them known to be whole by their length only" if count else ""

    def kept_reasons(self) -> str:
        """Return in brackets why rows with a verified file are kept; empty if there are none."""
        if self.copies is None or not self.copies.reasons:
            return ""
        unproven, suspect = self.copies.unproven, len(self.copies.suspect)
        reasons = []
        if unproven:
            reasons.append(
                f"{unproven:,} not proven whole: {how_to_prove(self.folder)} downloads them again to compare"
            )
        if suspect:
            reasons.append(f"{suspect:,} far too short: overwrite=True downloads them again")
        return f" ({'; '.join(reasons)})"

    def _days(self) -> str:
        """Return the first and last date of the rows to delete, as part of a sentence; empty if unknown."""
        dates = [f"{date:%Y-%m-%d}" for date in _dates_of(self.items, list(self.ids.values())) if pd.notna(date)]
        if not dates:
            return ""
        first, last = min(dates), max(dates)
        return f" of {first}" + (f" to {last}" if first != last else "") + " UTC"


def plan_deletion(
    items: pd.DataFrame | pd.Series, only_verified: str | os.PathLike[str] | None, progress: bool | None
) -> DeletionPlan:
    """Collect the ids to delete and verify their files.

    Raises
    ------
    InputError
        A row has no id, or the rows belong to several accounts.
    SchemaError
        There is no column ``history_item_id``, or two columns have one name.
    DownloadError
        `only_verified` is not a folder of `download_audio`, or its manifest can't be read.
    """
    ids = _deletable_ids(items)
    firsts = first_rows(ids)
    account = _account_noun(items)
    prices = [_whole_credits(value) for value in values_of(items, "credits")]
    if only_verified is None:
        return DeletionPlan(items, ids, firsts, None, "", prices, account)
    copies = judge_copies(items, firsts, only_verified, progress)
    verified = {item: row for item, row in firsts.items() if item in copies.paths}
    return DeletionPlan(items, ids, verified, copies, normalize_path(only_verified), prices, account)


def _deletable_ids(items: pd.DataFrame | pd.Series) -> list[str]:
    ids = ids_of(items, "deleting")
    missing = ids.count("")
    if missing:
        raise InputError(
            f"{count_noun(missing, 'row')} of {len(ids):,} without an id can't be deleted: leave them out."
        )
    for item in ids:
        history_item_path(item)  # raises InputError for an invalid id
    return ids


def _account_noun(items: pd.DataFrame | pd.Series) -> str | None:
    """Return the account of the rows, None if they name none; raise `InputError` for several."""
    check_accounts(items)
    if isinstance(items, pd.DataFrame) and len({str(name) for name in items.columns}) < len(items.columns):
        raise InputError("Two columns have one name, and the journal could hold only one: rename them first.")
    accounts = sorted({str(name or "") for name in values_of(items, "account")})
    if len(accounts) > 1:
        raise InputError(f"Some rows are of the account {accounts[-1]} and some name none: delete them separately.")
    return accounts[0] or None if accounts else None


def price_text(facts: Json) -> str:
    """Return credits as text, with the number of rows whose credits are unknown."""
    total, unknown = facts["credits"], facts["credits_unknown"]
    if total is None:
        return "credits unknown"
    return count_noun(total, "credit") + (f", unknown of {count_noun(unknown, 'row')}" if unknown else "")


def _dates_of(items: pd.DataFrame | pd.Series, rows: list[int]) -> list[Any]:
    """Return the dates of some rows for a message; what can't be read counts as missing."""
    if isinstance(items, pd.DataFrame) and "date_unix" in items:
        seconds = pd.to_numeric(items["date_unix"].iloc[rows], errors="coerce")
        seconds = seconds.where(seconds.abs() < _LATEST_DATE)  # pandas 2.2 raises for infinity
        return list(pd.to_datetime(seconds, unit="s", utc=True, errors="coerce"))
    with suppress(SchemaError):
        return timestamps_of(items.iloc[rows])
    return []


def _whole_credits(value: Any) -> int | None:
    is_number = isinstance(value, (int, float, np.integer)) and -(1 << 63) <= value < 1 << 63  # False for NaN
    return int(value) if is_number else None
