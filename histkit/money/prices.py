"""What credits cost: a price book turns measured credits into money, in decimal arithmetic, at report time.

A row costs its credits times the price of the moment and the account it was generated at, exactly. A row whose credits,
date or price is unknown has no cost: missing, never 0.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from histkit.errors import InputError
from histkit.frame.columns import factorize_text
from histkit.frame.dates import instants_of
from histkit.frame.schema import TEXT, require
from histkit.usage.clock import clock_time, zone_of
from histkit.util.files import read_toml
from histkit.util.text import quoted

_DIGITS = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
}  # ISO 4217; all others have 2
_PLACES = 12  # of an exact cost
_MOST_PLACES = 9  # of a price per 1,000 credits
_FIELDS = {"currency", "per_1000_credits", "valid_from", "account"}
NO_PRICE = -1


@dataclass(frozen=True)
class Price:
    """A price.

    Attributes
    ----------
    currency : str
        Three letters (ISO 4217).
    per_1000_credits : Decimal
        Not negative.
    valid_from : Timestamp or None
        The first instant it holds; None: ever since. It holds until the next one of its account.
    account : str or None
        None: of every account that has no price of its own.
    """

    currency: str
    per_1000_credits: Decimal
    valid_from: pd.Timestamp | None = None
    account: str | None = None


@dataclass(frozen=True)
class PriceBook:
    """Prices, those of each account by the moment from which they hold; see `read_prices`."""

    prices: tuple[Price, ...]

    def numbers(self, frame: pd.DataFrame) -> Any:
        """Give the number of each row's price, -1 for none (also for rows without a date); an int64 array."""
        require(frame, ["date"], "finding prices")
        instants, dated = instants_of(frame["date"])
        found = np.full(len(frame), NO_PRICE, np.int64)
        accounts = frame["account"] if "account" in frame.columns else pd.Series(None, frame.index, dtype=object)
        codes, names = factorize_text(accounts)
        for code, name in [(-1, None), *enumerate(names)]:
            rows = np.flatnonzero((codes == code) & dated)
            own = self._of(name)
            if len(rows) and own:
                starts = np.array([_micro(self.prices[number].valid_from) for number in own], np.int64)
                places = np.searchsorted(starts, instants[rows], side="right") - 1
                found[rows] = np.where(places >= 0, np.array(own)[np.maximum(places, 0)], NO_PRICE)
        return found

    def _of(self, account: str | None) -> list[int]:
        own = [number for number, price in enumerate(self.prices) if account is not None and price.account == account]
        own = own or [number for number, price in enumerate(self.prices) if price.account is None]
        return sorted(own, key=lambda number: _micro(self.prices[number].valid_from))


def _micro(moment: pd.Timestamp | None) -> int:
    return np.iinfo(np.int64).min if moment is None else int(moment.as_unit("us").asm8.view(np.int64))


def digits_of(currency: str) -> int:
    """Give the decimal places of a currency's smallest unit (ISO 4217)."""
    return _DIGITS.get(currency, 2)


def read_prices(source: Any, *, tz: str | tzinfo = "UTC") -> PriceBook:
    """Read a price book.

    Parameters
    ----------
    source : path-like, mapping, DataFrame or PriceBook
        A TOML file, or the same as a mapping: see Notes. Or a frame with the columns ``currency``,
        ``per_1000_credits``, and optionally ``valid_from`` and ``account``.
    tz : str or tzinfo, default "UTC"
        The zone in whose midnight a price without a time of day begins; ``tz`` in the file goes before it.

    Raises
    ------
    InputError
        It can't be used; the line says which price and what to do.

    Notes
    -----
    A file, whose ``currency`` holds where a price names none::

        currency = "EUR"
        tz = "Europe/Berlin"               # optional
        [[price]]
        per_1000_credits = "0.30"
        [[price]]
        per_1000_credits = "0.24"
        valid_from = 2026-07-01
        [[price]]
        account = "studio"
        per_1000_credits = "0.20"

    An account that has prices of its own uses only these.

    Examples
    --------
    >>> book = read_prices({"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]})
    >>> book.prices[0].per_1000_credits
    Decimal('0.30')
    """
    if isinstance(source, PriceBook):
        return source
    where, table = "prices", source
    if isinstance(source, pd.DataFrame):
        rows = source.astype(object).where(source.notna(), None).to_dict("records")
        table = {"price": [{name: value for name, value in row.items() if value is not None} for row in rows]}
    elif isinstance(source, (str, os.PathLike)):
        where = str(source)
        table = read_toml(source, "prices", Decimal)
    if not isinstance(table, Mapping):
        raise InputError(f"prices= takes a TOML file, a mapping or a DataFrame, not {type(source).__name__}.")
    unknown = set(table) - {"currency", "tz", "price"}
    if unknown:
        raise InputError(f"{where}: {sorted(map(str, unknown))[0]!r} is unknown; there are currency, tz, [[price]].")
    given = table.get("price")
    if not isinstance(given, list) or not given:
        raise InputError(f"{where}: there is no price; give at least one '[[price]]' with per_1000_credits.")
    zone = zone_of(table.get("tz", tz))
    prices = [
        _price(each, f"{where}, price {number}", table.get("currency"), zone) for number, each in enumerate(given, 1)
    ]
    seen: dict[tuple[str | None, int], int] = {}
    for number, price in enumerate(prices, 1):
        key = price.account, _micro(price.valid_from)
        if key in seen:
            raise InputError(f"{where}: prices {seen[key]} and {number} begin at one moment; remove one.")
        seen[key] = number
    return PriceBook(tuple(prices))


def _price(table: Any, where: str, currency: Any, zone: tzinfo) -> Price:
    if not isinstance(table, Mapping):
        raise InputError(f"{where} must be a table with per_1000_credits, not {table!r:.60}.")
    unknown = sorted(set(map(str, table)) - _FIELDS)
    if unknown:
        raise InputError(f"{where}: {unknown[0]!r} is unknown; there are {', '.join(sorted(_FIELDS))}.")
    code = table.get("currency", currency)
    if not isinstance(code, str) or not re.fullmatch("[A-Z]{3}", code):
        raise InputError(f"{where}: currency = {code!r:.40} must be three capital letters such as EUR.")
    amount = _amount(table.get("per_1000_credits"), where)
    account = table.get("account")
    if account is not None and (not isinstance(account, str) or not account):
        raise InputError(f"{where}: account = {account!r:.40} must be the name of an account.")
    return Price(code, amount, _moment(table.get("valid_from"), where, zone), account)


def _amount(value: Any, where: str) -> Decimal:
    try:
        amount = Decimal(repr(value) if isinstance(value, float) else value)
    except (InvalidOperation, TypeError, ValueError):
        raise InputError(f'{where}: per_1000_credits = {value!r:.40} is no amount such as "0.30".') from None
    if isinstance(value, bool) or not amount.is_finite() or amount < 0 or amount >= 10**6:
        raise InputError(f"{where}: per_1000_credits = {value!r:.40} must be an amount from 0 to a million.")
    if -int(amount.as_tuple().exponent) > _MOST_PLACES:
        raise InputError(f"{where}: per_1000_credits = {value!r:.40} has more than {_MOST_PLACES} decimal places.")
    return amount


def _moment(value: Any, where: str, zone: tzinfo) -> pd.Timestamp | None:
    if value is None:
        return None
    try:
        if not isinstance(value, (str, date)):
            raise ValueError
        return pd.Timestamp(clock_time(value, zone, "valid_from"), unit="s", tz="UTC")
    except ValueError:
        raise InputError(f"{where}: valid_from = {quoted(value):.40} is no date such as 2026-07-01.") from None


def add_cost(frame: pd.DataFrame, prices: Any, *, tz: str | tzinfo = "UTC") -> pd.DataFrame:
    """Add what each row cost.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one; needs ``date`` and ``credits``, and ``account`` for prices by account.
    prices : path-like, mapping, DataFrame or PriceBook
        See `read_prices`.
    tz : str or tzinfo, default "UTC"
        As in `read_prices`.

    Returns
    -------
    pandas.DataFrame
        A new frame with ``cost`` (decimal, 12 places, exact; missing where credits, date or price is unknown, and for
        negative credits) and ``currency`` (string, missing where the cost is).

    Raises
    ------
    InputError, SchemaError
        Prices that can't be used; a frame that lacks a column.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.add_cost(hk.sample_history(100), {"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]})
    >>> df["cost"].sum() == df["credits"].sum() * __import__("decimal").Decimal("0.0003")
    True
    """
    require(frame, ["date", "credits"], "adding costs")
    book = read_prices(prices, tz=tz)
    numbers = book.numbers(frame)
    each = pa.array([price.per_1000_credits.scaleb(-3) for price in book.prices], pa.decimal128(18, _PLACES))
    credits = pa.array(frame["credits"].astype("Int64"), pa.int64(), from_pandas=True)
    priced = pc.and_(pa.array(numbers != NO_PRICE), pc.fill_null(pc.greater_equal(credits, 0), False))
    rate = pc.if_else(priced, each.take(pa.array(np.maximum(numbers, 0))), None)
    cost = pc.multiply(credits.cast(pa.decimal128(19, 0)), rate)
    names = pa.array([price.currency for price in book.prices], TEXT).take(pa.array(np.maximum(numbers, 0)))
    return frame.assign(
        cost=pd.Series(pd.arrays.ArrowExtensionArray(cost), frame.index),
        currency=pd.array(pc.if_else(priced, names, None).to_pylist(), "string[pyarrow]"),
    )
