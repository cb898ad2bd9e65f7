"""Prices: a price book converts measured credits to money in decimal arithmetic.

The cost of a row is exactly its credits times the price at its date for its account. If credits, date or price are
unknown the cost is missing, never 0.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, tzinfo
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from histkit.errors import InputError
from histkit.frame.clock import zone_of
from histkit.frame.columns import factorize, whole_numbers
from histkit.frame.dates import as_unix, parse_date
from histkit.frame.filters import CONDITION_COLUMNS, RowFilter, known_names
from histkit.frame.keys import refuse_duplicates
from histkit.frame.names import fold_name, split_problems, warn_unmatched
from histkit.frame.schema import TEXT, require
from histkit.money.currencies import currency_code, plain_amount
from histkit.money.model_costs import MULTIPLIERS
from histkit.money.price_match import CONDITIONS, NO_PRICE, columns_of, kinds_of, match_prices, rank_of
from histkit.usage.label_rules import COLUMN, UNASSIGNED
from histkit.util.arrays import Ints
from histkit.util.files import read_toml
from histkit.util.text import is_text, one_line_text, quoted, shorten

_PLACES = 12  # decimal places of an exact cost
_MOST_PLACES = 9  # decimal places of a price per 1,000 credits
_LONGEST_LINE = 120  # characters of what names a price
_FIELDS = ("currency", "per_1000_credits", "valid_from", *CONDITIONS)

Names = tuple[str, ...] | None


@dataclass(frozen=True)
class Price:
    """A price, and the rows that it is for; a condition that is None holds for all rows.

    Attributes
    ----------
    currency : str
        Three letters (ISO 4217).
    per_1000_credits : Decimal
        Not negative.
    valid_from : Timestamp or None
        First instant at which it applies, in the zone of the book; None: from the beginning.
    account, client : tuple of str or None
        Exact values of these columns.
    voice, model, source : tuple of str or None
        As `histkit.filter_items` takes them; a voice's price is also that of a dialogue whose lines are all its.
    """

    currency: str
    per_1000_credits: Decimal
    valid_from: pd.Timestamp | None = None
    account: Names = None
    client: Names = None
    voice: Names = None
    model: Names = None
    source: Names = None

    def description(self) -> str:
        """Return the conditions and the start as one line; empty if there are none."""
        parts = [f"{name} {' or '.join(getattr(self, name))}" for name in kinds_of(self)]
        if self.valid_from is not None:
            first = as_unix(self.valid_from.date(), "valid_from", self.valid_from.tz or UTC)  # some days lack midnight
            is_day = self.valid_from == pd.Timestamp(first, unit="s", tz="UTC")
            parts.append(f"from {self.valid_from:%Y-%m-%d}" if is_day else f"from {self.valid_from.isoformat()}")
        return shorten(one_line_text(", ".join(parts)), _LONGEST_LINE)


@dataclass(frozen=True)
class PriceBook:
    """The prices of all rows and times; see `read_prices`.

    Attributes
    ----------
    prices : tuple of Price
        In the order of the file.
    column : str or None
        The column with the client of each row, if the book names it.
    where : str
        The file, for messages.
    """

    prices: tuple[Price, ...]
    column: str | None = None
    where: str = field(default="prices", compare=False, repr=False)

    def for_clients(self, column: str) -> PriceBook:
        """Return the book with a column of clients; the one that the book names takes precedence."""
        return self if self.column is not None else replace(self, column=column)

    @property
    def client_column(self) -> str:
        """The column with the client of each row."""
        return COLUMN if self.column is None else self.column

    def columns(self, frame: pd.DataFrame) -> list[str]:
        """Return the columns that `price_index` reads."""
        columns = columns_of(self.prices, self.client_column)
        by_account = any(price.account is not None for price in self.prices)
        return [*columns, "account"] if by_account and "account" in frame.columns else columns

    def price_index(self, frame: pd.DataFrame) -> Ints:
        """Return the position of each row's price in `prices`; -1 for none, also for rows without a date.

        Raises
        ------
        InputError
            Two prices that apply to a row have the same precedence.
        SchemaError
            The frame lacks a column that a condition needs.
        """
        return match_prices(frame, self.prices, self.client_column, self.where)

    def sources(self) -> list[str]:
        """Return a line for each price that names it: its number in the book, conditions and start."""
        lines = []
        for number, price in enumerate(self.prices, 1):
            description = price.description()
            lines.append(f"price {number}: {description}" if description else f"price {number}")
        return lines

    def unmatched_names(self, frame: pd.DataFrame, models: Iterable[str] = ()) -> tuple[list[str], list[str]]:
        """Return messages on the names in the book that match nothing in a frame; without rows nothing is known.

        Documented models and `models` exist, too: a book is also for rows to come.

        Returns
        -------
        mistyped : list of str
            A message for each name that is close to one that exists.
        absent : list of str
            At most one message for all other names, and one if prices are by account and the frame has no accounts.
        """
        names: dict[str, Any] = {}
        for condition in CONDITIONS:
            used = (name for price in self.prices for name in getattr(price, condition) or ())
            names[condition] = tuple(dict.fromkeys(used)) or None
        if frame.empty:
            return [], []
        no_accounts = []
        if names["account"] and "account" not in frame.columns:
            no_accounts.append(
                f"{self.where}: the frame has no column 'account': prices by account are for none of it."
            )
            names["account"] = None
        clients = names.pop("client")
        for condition, used_names in names.items():
            lacking = [column for column in CONDITION_COLUMNS[condition] if column not in frame.columns]
            names[condition] = None if lacking else used_names
        known = known_names(frame, RowFilter(**names), unused=True)
        if any(known.problem("voice", name) for name in names["voice"] or ()) and "dialogue" in frame.columns:
            known.voices |= known_names(frame, RowFilter(speaker=names["voice"]), unused=True).voices
        known.models |= {*MULTIPLIERS, *models}
        if clients and self.client_column in frame.columns:
            names["client"] = clients
            known.clients = {*map(str, factorize(frame[self.client_column])[1]), UNASSIGNED}
        first_use: dict[tuple[str, str], int] = {}
        for number, price in enumerate(self.prices, 1):
            for condition in CONDITIONS:
                for name in (getattr(price, condition) or ()) if names.get(condition) else ():
                    first_use.setdefault((condition, name), number)
        problems = [
            (f"{condition}={quoted(name, 60)}", f"price {number}", problem)
            for (condition, name), number in first_use.items()
            if (problem := known.problem(condition, name)) is not None
        ]
        mistyped, absent = split_problems(problems, self.where)
        return mistyped, [*absent, *no_accounts]


def warn_of_names(book: PriceBook, frame: pd.DataFrame, stacklevel: int = 2, models: Iterable[str] = ()) -> None:
    """Warn of each name in a book that matches nothing in a frame; the level is counted from the caller's caller."""
    mistyped, absent = book.unmatched_names(frame, models)
    warn_unmatched([*mistyped, *absent], stacklevel=stacklevel + 1)


def read_prices(source: Any, *, tz: str | tzinfo = "UTC") -> PriceBook:
    """Read a price book.

    Parameters
    ----------
    source : path-like, mapping, DataFrame or PriceBook
        A TOML file or its content as a mapping, see Notes; or a frame with the columns ``currency``,
        ``per_1000_credits``, and optionally ``valid_from`` and the conditions.
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
    An example; ``currency`` is the default of the prices below, each of which can name its own::

        currency = "EUR"
        tz = "Europe/Berlin"               # optional
        column = "client"                  # optional: the column of clients
        [[price]]
        per_1000_credits = "0.30"
        [[price]]
        per_1000_credits = "0.24"
        valid_from = 2026-07-01
        [[price]]
        account = "studio"
        per_1000_credits = "0.20"
        [[price]]
        client = "Acme"
        voice = ["Rachel", "Roger"]
        per_1000_credits = "0.50"
        [[price]]
        client = "Globex Ltd"
        currency = "GBP"
        per_1000_credits = "0.26"

    The conditions ``client``, ``voice``, ``model``, ``source`` and ``account`` are a name or a list of names. Voices,
    models and sources are matched as in `histkit.filter_items`; accounts and clients are exact values of their columns,
    and a row without a client is "unassigned". A dialogue meets ``voice`` if all of its lines are of the voices that
    the price names; it has one price, that of the row.

    A price applies to a row that meets all of its conditions, from ``valid_from`` on. Of those that apply, the one with
    the most conditions is the row's price; of as many, the one that has the first condition, in the order above, that
    the other lacks; of the same conditions the one that started last. If that leaves two, they are refused.

    An account with prices of its own (``account`` is their only condition) uses only those, and those with other
    conditions that it meets, never the prices without conditions: before its first price it has none.

    Amounts are in plain notation, such as "0.30" or "1200"; currencies are those of ISO 4217.

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
        where = " ".join(str(source).split())
        table = read_toml(source, "prices", Decimal)
    if not isinstance(table, Mapping):
        raise InputError(f"prices= takes a TOML file, a mapping or a DataFrame, not {type(source).__name__}.")
    for key in table:
        if key not in ("currency", "tz", "column", "price"):
            raise InputError(
                f"{where}: {quoted(key, 60)} is unknown; there are currency, tz, column and, for each price, [[price]]."
            )
    column = table.get("column")
    if column is not None and not is_text(column):
        raise InputError(f"{where}: column = {quoted(column, 60)} must be the name of the column of clients.")
    entries = table.get("price")
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{where}: there is no price; add at least one '[[price]]' with per_1000_credits.")
    zone = zone_of(table.get("tz", tz))
    prices = tuple(
        _price(entry, f"{where}, price {number}", table.get("currency"), zone)
        for number, entry in enumerate(entries, 1)
    )
    _refuse_equals(prices, where)
    return PriceBook(prices, column, where)


def _refuse_equals(prices: Sequence[Price], where: str) -> None:
    """Raise if two prices have the same conditions, a name in common in each, and the same start."""
    seen: dict[tuple[Any, ...], list[int]] = {}
    for number, price in enumerate(prices):
        folded = [{fold_name(name) for name in getattr(price, kind)} for kind in kinds_of(price)]
        for first in folded[0] if folded else {""}:
            for other in seen.setdefault((rank_of(price), first), []):
                others = [{fold_name(name) for name in getattr(prices[other], kind)} for kind in kinds_of(price)]
                exact = [
                    not {*getattr(price, kind)}.isdisjoint(getattr(prices[other], kind))
                    for kind in kinds_of(price)
                    if kind in ("client", "account")
                ]
                if all(not mine.isdisjoint(its) for mine, its in zip(folded, others, strict=True)) and all(exact):
                    numbers = f"prices {other + 1} and {number + 1}"
                    same = " and have the same conditions" if folded else ""
                    raise InputError(f"{where}: {numbers} start at the same time{same}; remove one.")
            seen[rank_of(price), first].append(number)


def _price(table: Any, where: str, currency: Any, zone: tzinfo) -> Price:
    if not isinstance(table, Mapping):
        raise InputError(f"{where} must be a table with per_1000_credits, not {quoted(table, 60)}.")
    for key in table:
        if key not in _FIELDS:
            raise InputError(f"{where}: {quoted(key, 60)} is unknown; there are {', '.join(_FIELDS)}.")
    code = currency_code(table.get("currency", currency), where)
    amount = _amount(table.get("per_1000_credits"), where)
    conditions = {name: _names(table[name], name, where) for name in CONDITIONS if table.get(name) is not None}
    return Price(code, amount, _moment(table.get("valid_from"), where, zone), **conditions)


def _names(value: Any, condition: str, where: str) -> tuple[str, ...]:
    names = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    if not names or not all(is_text(name) for name in names):
        raise InputError(f"{where}: {condition} = {quoted(value, 60)} must be a name or a list of names.")
    return tuple(dict.fromkeys(names))


def _amount(value: Any, where: str) -> Decimal:
    shown = f"{where}: per_1000_credits = {quoted(value, 40)}"
    amount = plain_amount(value)
    if amount is None:
        raise InputError(f'{shown} is not an amount such as "0.30": digits, with a point before decimals.')
    if amount < 0 or amount >= 10**6:
        raise InputError(f"{shown} must be an amount from 0 to a million.")
    if -int(amount.as_tuple().exponent) > _MOST_PLACES:
        raise InputError(f"{shown} has more than {_MOST_PLACES} decimal places.")
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
    return pd.Timestamp(first.start, unit="s", tz="UTC").tz_convert(zone)


def add_cost(frame: pd.DataFrame, prices: Any, *, tz: str | tzinfo = "UTC") -> pd.DataFrame:
    """Add the cost of each row.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one; needs ``date`` and ``credits``, and the columns of the conditions of the prices.
    prices : path-like, mapping, DataFrame or PriceBook
        See `read_prices`.
    tz : str or tzinfo, default "UTC"
        As in `read_prices`.

    Returns
    -------
    pandas.DataFrame
        A new frame with ``cost`` (decimal, 12 places, exact; missing if credits, date or price is unknown, and for
        negative credits), ``currency`` and ``cost_source`` (string, missing where the cost is): the line of the book
        that priced the row, such as "price 2: voice Rachel".

    Raises
    ------
    InputError, SchemaError
        The prices are invalid; the frame lacks a column.

    Warns
    -----
    UserWarning
        A name in the prices matches nothing in the frame: a line for each that is close to one that does, and one for
        the others.

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
    warn_of_names(book, frame)
    index = book.price_index(frame)
    credits, known = whole_numbers(frame["credits"])
    priced = pa.array((index != NO_PRICE) & known & (credits >= 0))
    places = pa.array(np.maximum(index, 0))
    rates = pa.array([price.per_1000_credits.scaleb(-3) for price in book.prices], pa.decimal128(18, _PLACES))
    cost = pc.multiply(pa.array(credits).cast(pa.decimal128(19, 0)), pc.if_else(priced, rates.take(places), None))

    def texts(values: Sequence[str]) -> Any:
        return pd.StringDtype("pyarrow").__from_arrow__(pc.if_else(priced, pa.array(values, TEXT).take(places), None))

    return frame.assign(
        cost=pd.Series(pd.arrays.ArrowExtensionArray(cost), frame.index),
        currency=texts([price.currency for price in book.prices]),
        cost_source=texts(book.sources()),
    )
