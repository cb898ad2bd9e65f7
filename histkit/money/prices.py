"""Prices: a price book converts measured credits to money in decimal arithmetic.

The cost of a row is exactly its credits times the price at its date for its account. If credits, date or price are
unknown the cost is missing, never 0.
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
from histkit.frame.clock import zone_of
from histkit.frame.columns import factorize_text, whole_numbers
from histkit.frame.dates import instants_of, parse_date
from histkit.frame.keys import refuse_duplicates
from histkit.frame.schema import TEXT, require
from histkit.util.arrays import Ints
from histkit.util.files import read_toml
from histkit.util.text import quoted

_DIGITS = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
_PLACES = 12  # decimal places of an exact cost
_MOST_PLACES = 9  # decimal places of a price per 1,000 credits
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
        First instant at which it applies; None: from the beginning. It applies until the next price of its account.
    account : str or None
        None: all accounts that have no price of their own.
    """

    currency: str
    per_1000_credits: Decimal
    valid_from: pd.Timestamp | None = None
    account: str | None = None


@dataclass(frozen=True)
class PriceBook:
    """The prices of all accounts and times; see `read_prices`."""

    prices: tuple[Price, ...]

    def price_index(self, frame: pd.DataFrame) -> Ints:
        """Return the index of each row's price in `prices`; -1 for none, also for rows without a date."""
        require(frame, ["date"], "finding prices")
        instants, dated = instants_of(frame["date"])
        index = np.full(len(frame), NO_PRICE, np.int64)
        accounts = frame["account"] if "account" in frame.columns else pd.Series(None, frame.index, dtype=object)
        codes, names = factorize_text(accounts)
        for code, account in [(-1, None), *enumerate(names)]:
            rows = np.flatnonzero((codes == code) & dated)
            prices = self._of_account(account)
            if len(rows) and prices:
                starts = np.array([_micros(self.prices[price].valid_from) for price in prices], np.int64)
                places = np.searchsorted(starts, instants[rows], side="right") - 1
                index[rows] = np.where(places >= 0, np.array(prices)[np.maximum(places, 0)], NO_PRICE)
        return index

    def _of_account(self, account: str | None) -> list[int]:
        """Return the indices of the prices of an account, or else of those for all accounts, by time."""
        by_account: dict[str | None, list[int]] = {}
        for number, price in enumerate(self.prices):
            by_account.setdefault(price.account, []).append(number)
        prices = by_account.get(account) or by_account.get(None, [])
        return sorted(prices, key=lambda number: _micros(self.prices[number].valid_from))


def _micros(moment: pd.Timestamp | None) -> int:
    return np.iinfo(np.int64).min if moment is None else int(moment.as_unit("us").asm8.view(np.int64))


def digits_of(currency: str) -> int:
    """Return the decimal places of a currency's smallest unit (ISO 4217); 2 unless the table above has others.

    The exceptions are listed here because they are few and rarely change; the package babel, which has them, needs 10
    MB.
    """
    return _DIGITS.get(currency, 2)


def read_prices(source: Any, *, tz: str | tzinfo = "UTC") -> PriceBook:
    """Read a price book.

    Parameters
    ----------
    source : path-like, mapping, DataFrame or PriceBook
        A TOML file or its content as a mapping, see Notes; or a frame with the columns ``currency``,
        ``per_1000_credits``, and optionally ``valid_from`` and ``account``.
    tz : str or tzinfo, default "UTC"
        Zone of ``valid_from`` values without one; a day starts at its first instant there. ``tz`` in the file takes
        precedence.

    Returns
    -------
    PriceBook
        The checked prices, for ``prices=`` of `cost_table`, `add_cost`, `report` and `statement`.

    Raises
    ------
    InputError
        The prices are invalid; the message names the price and the remedy.

    Notes
    -----
    An example; ``currency`` is the default of the prices below::

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

    An account that has prices of its own uses only those.

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
    entries = table.get("price")
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{where}: there is no price; add at least one '[[price]]' with per_1000_credits.")
    zone = zone_of(table.get("tz", tz))
    prices = [
        _price(entry, f"{where}, price {number}", table.get("currency"), zone)
        for number, entry in enumerate(entries, 1)
    ]
    seen: dict[tuple[str | None, int], int] = {}
    for number, price in enumerate(prices, 1):
        key = price.account, _micros(price.valid_from)
        if key in seen:
            raise InputError(f"{where}: prices {seen[key]} and {number} start at the same time; remove one.")
        seen[key] = number
    return PriceBook(tuple(prices))


def _price(table: Any, where: str, currency: Any, zone: tzinfo) -> Price:
    if not isinstance(table, Mapping):
        raise InputError(f"{where} must be a table with per_1000_credits, not {quoted(table, 60)}.")
    unknown = sorted(set(map(str, table)) - _FIELDS)
    if unknown:
        raise InputError(f"{where}: {unknown[0]!r} is unknown; there are {', '.join(sorted(_FIELDS))}.")
    code = table.get("currency", currency)
    if not isinstance(code, str) or not re.fullmatch("[A-Z]{3}", code):
        raise InputError(f"{where}: currency = {quoted(code, 40)} must be three capital letters such as EUR.")
    amount = _amount(table.get("per_1000_credits"), where)
    account = table.get("account")
    if account is not None and (not isinstance(account, str) or not account):
        raise InputError(f"{where}: account = {quoted(account, 40)} must be the name of an account.")
    return Price(code, amount, _moment(table.get("valid_from"), where, zone), account)


def _amount(value: Any, where: str) -> Decimal:
    try:
        amount = Decimal(repr(value) if isinstance(value, float) else value)
    except (InvalidOperation, TypeError, ValueError):
        raise InputError(f'{where}: per_1000_credits = {quoted(value, 40)} is not an amount such as "0.30".') from None
    if isinstance(value, bool) or not amount.is_finite() or amount < 0 or amount >= 10**6:
        raise InputError(f"{where}: per_1000_credits = {quoted(value, 40)} must be an amount from 0 to a million.")
    if -int(amount.as_tuple().exponent) > _MOST_PLACES:
        raise InputError(
            f"{where}: per_1000_credits = {quoted(value, 40)} has more than {_MOST_PLACES} decimal places."
        )
    return amount


def _moment(value: Any, where: str, zone: tzinfo) -> pd.Timestamp | None:
    if value is None:
        return None
    if not isinstance(value, (str, date)):
        raise InputError(f"{where}: valid_from = {quoted(value, 40)} is not a date such as 2026-07-01.")
    try:
        first = parse_date(value, "valid_from", zone)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    if first.relative:
        raise InputError(f"{where}: valid_from = {quoted(value)} moves with the calendar; use its date, {first.label}.")
    return pd.Timestamp(first.start, unit="s", tz="UTC")


def add_cost(frame: pd.DataFrame, prices: Any, *, tz: str | tzinfo = "UTC") -> pd.DataFrame:
    """Add the cost of each row.

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
        A new frame with ``cost`` (decimal, 12 places, exact; missing if credits, date or price is unknown, and for
        negative credits) and ``currency`` (string, missing where the cost is).

    Raises
    ------
    InputError, SchemaError
        The prices are invalid; the frame lacks a column.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.add_cost(hk.sample_history(100), {"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]})
    >>> df["cost"].sum() == df["credits"].sum() * __import__("decimal").Decimal("0.0003")
    True
    """
    require(frame, ["date", "credits"], "adding costs")
    refuse_duplicates(frame, "the costs")
    book = read_prices(prices, tz=tz)
    index = book.price_index(frame)
    credits, known = whole_numbers(frame["credits"])
    priced = pa.array((index != NO_PRICE) & known & (credits >= 0))
    places = pa.array(np.maximum(index, 0))
    rates = pa.array([price.per_1000_credits.scaleb(-3) for price in book.prices], pa.decimal128(18, _PLACES))
    cost = pc.multiply(pa.array(credits).cast(pa.decimal128(19, 0)), pc.if_else(priced, rates.take(places), None))
    names = pa.array([price.currency for price in book.prices], TEXT).take(places)
    return frame.assign(
        cost=pd.Series(pd.arrays.ArrowExtensionArray(cost), frame.index),
        currency=pd.array(pc.if_else(priced, names, None).to_pylist(), "string[pyarrow]"),
    )
