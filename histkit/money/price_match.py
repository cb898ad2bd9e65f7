"""Which price of a book applies to each row.

Rows that agree in all columns of the conditions, and that lie between the same starts of prices, have the same price.
So the conditions are tested on distinct rows only, and each price is laid over the ones it takes precedence over.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.columns import factorize
from histkit.frame.dates import instants_of
from histkit.frame.dialogues import flat_lines
from histkit.frame.filters import CONDITION_COLUMNS, RowFilter
from histkit.frame.names import MissingColumnError
from histkit.frame.schema import require
from histkit.usage.aggregate import distinct_rows
from histkit.usage.label_rules import UNASSIGNED
from histkit.util.arrays import Ints, Mask
from histkit.util.text import count_noun, quoted

if TYPE_CHECKING:
    from histkit.money.prices import Price

CONDITIONS = (
    "client",
    "voice",
    "model",
    "source",
    "account",
)  # of prices with as many, the first that one lacks counts
NO_PRICE = -1
_ALWAYS = np.iinfo(np.int64).min


def start_of(price: Price) -> int:
    """Return the first instant of a price in microseconds."""
    moment = price.valid_from
    return int(_ALWAYS) if moment is None else int(moment.as_unit("us").asm8.view(np.int64))


def kinds_of(price: Price) -> tuple[str, ...]:
    """Return the names of the conditions that a price has."""
    return tuple(name for name in CONDITIONS if getattr(price, name) is not None)


def rank_of(price: Price) -> tuple[Any, ...]:
    """Return the precedence of a price: of those that apply to a row, the one of the highest rank is its price."""
    kinds = kinds_of(price)
    return len(kinds), tuple(name in kinds for name in CONDITIONS), start_of(price)


def columns_of(prices: Sequence[Price], client_column: str) -> list[str]:
    """Return the columns that decide which of the prices a row has, without ``account``, which is optional."""
    used = {name for price in prices for name in kinds_of(price)}
    columns = ["date"]
    if "client" in used:
        columns.append(client_column)
    if "voice" in used:
        columns += CONDITION_COLUMNS["speaker"]  # a dialogue has no voice of its own
    for name in ("model", "source"):
        columns += CONDITION_COLUMNS[name] if name in used else ()
    return list(dict.fromkeys(columns))


def match_prices(frame: pd.DataFrame, prices: Sequence[Price], client_column: str, where: str) -> Ints:
    """Return the position in `prices` of each row's price; `NO_PRICE` for none.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history with `columns_of` the prices.
    prices : sequence of Price
        In any order.
    client_column : str
        The column of clients.
    where : str
        Begins a message: the file of the prices.

    Raises
    ------
    InputError
        Two prices of the same rank apply to a row.
    SchemaError
        The frame lacks a column.
    """
    columns = columns_of(prices, client_column)
    if client_column in columns and client_column not in frame.columns:
        raise MissingColumnError(
            f"The frame has no column {quoted(client_column)}, which prices by client need; run df.speech.label(rules) "
            "first, or name another column in the prices."
        )
    require(frame, columns, "finding prices")
    index = np.full(len(frame), NO_PRICE, np.int64)
    starts = np.unique([start_of(price) for price in prices])
    instants, dated = instants_of(frame["date"])
    spans = np.searchsorted(starts, instants, side="right") - 1
    priced = np.flatnonzero(dated & (spans >= 0))
    if "account" in frame.columns and any(price.account is not None for price in prices):
        columns.append("account")
    rows = _DistinctRows(frame, [name for name in columns if name != "date"], client_column)
    cell_of_row, cells = pd.factorize(rows.codes[priced] * len(starts) + spans[priced])
    kinds, cell_spans = np.divmod(cells, len(starts))
    ranks = [rank_of(price) for price in prices]
    accounts = tuple(name for price in prices if kinds_of(price) == ("account",) for name in price.account or ())
    priced_apart = rows.mask(account=accounts)
    winner = np.full(len(cells), NO_PRICE, np.int64)
    clashes: list[tuple[Ints, Ints, int]] = []
    for _, equals in groupby(sorted(range(len(prices)), key=ranks.__getitem__), key=ranks.__getitem__):
        laid: Mask = np.zeros(len(cells), bool)
        for position in equals:
            price = prices[position]
            applies = rows.price_mask(price) if kinds_of(price) else ~priced_apart
            meets = applies[kinds] & (starts[cell_spans] >= start_of(price))
            both = np.flatnonzero(meets & laid)
            if len(both):
                clashes.append((both, winner[both], position))
            winner[meets] = position
            laid |= meets
    for both, others, position in clashes:
        disputed = winner[both] == position
        if disputed.any():
            numbers = sorted((int(others[disputed][0]) + 1, position + 1))
            count = count_noun(int(np.isin(cell_of_row, both[disputed]).sum()), "row")
            raise InputError(
                f"{where}: prices {numbers[0]} and {numbers[1]} apply to the same {count}, and none takes precedence: "
                "remove one, or add a condition or another valid_from to one."
            )
    index[priced] = winner[cell_of_row]
    return index


class _DistinctRows:
    """The rows of a frame that differ in the columns of conditions; each dialogue is a row of its own.

    Attributes
    ----------
    codes : int64 array, shape (rows of the frame,)
        The distinct row of each row.
    """

    def __init__(self, frame: pd.DataFrame, columns: Sequence[str], client_column: str) -> None:
        """Find the distinct rows."""
        self._client_column = client_column
        keys = [name for name in columns if name != "dialogue"]
        first, self.codes = distinct_rows(frame, keys) if keys else _one_kind(len(frame))
        spoken: Ints = np.zeros(0, np.int64)
        if "dialogue" in columns:
            lines = flat_lines(frame["dialogue"])
            self._line_starts = np.flatnonzero(np.r_[True, np.diff(lines.rows) != 0]) if len(lines.rows) else lines.rows
            spoken = lines.rows[self._line_starts]
            self.codes[spoken] = len(first) + np.arange(len(spoken))
            texts = {"voice_id": lines.voice_ids, "voice_name": lines.voice_names}
            self._lines = pd.DataFrame({name: pd.Categorical(array.to_pandas()) for name, array in texts.items()})
        self._spoken = len(spoken)
        rows = frame[keys].iloc[np.r_[first, spoken]]
        self._rows = rows.set_axis(pd.RangeIndex(len(rows)), axis=0).astype("category")

    def price_mask(self, price: Price) -> Mask:
        """Return which of the distinct rows meet the conditions of a price, whatever their date."""
        mask = self.mask(voice=price.voice, model=price.model, source=price.source)
        if price.account is not None:
            mask = mask & self.mask(account=price.account)
        if price.client is not None:
            codes, values = factorize(self._rows[self._client_column])
            mask = (
                mask & np.array([*(str(value) in price.client for value in values), UNASSIGNED in price.client])[codes]
            )
        return mask

    def mask(self, voice: Any = None, account: Any = None, **conditions: Any) -> Mask:
        """Return which of the distinct rows meet the conditions."""
        if account is not None and "account" not in self._rows.columns:
            return np.zeros(len(self._rows), bool)
        mask = RowFilter(voice=voice, account=account, **conditions).mask(self._rows)
        if voice is not None and self._spoken:
            by_line = RowFilter(voice=voice).mask(self._lines)
            others = RowFilter(account=account, **conditions).mask(self._rows)[-self._spoken :]
            mask[-self._spoken :] = np.logical_and.reduceat(by_line, self._line_starts) & others
        return mask


def _one_kind(size: int) -> tuple[Ints, Ints]:
    return np.zeros(min(size, 1), np.int64), np.zeros(size, np.int64)
