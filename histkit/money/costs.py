"""Cost tables: exact sums, rounded once, so that the lines add up to the rounded total.

A total is rounded half to even to the currency's smallest unit, and the lines of a table by largest remainder. Amounts
in different currencies are never added.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from datetime import tzinfo
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from histkit.frame.columns import plain_values, whole_numbers
from histkit.frame.keys import refuse_duplicates
from histkit.frame.schema import require
from histkit.money.currencies import digits_of, exact_decimals
from histkit.money.price_match import NO_PRICE
from histkit.money.prices import PriceBook, read_prices, warn_of_names
from histkit.usage.aggregate import distinct_rows, partial_sums, ratio, sums_by_code
from histkit.usage.table import MEASURES, parse_query, sort_order, table_and_rest
from histkit.util.arrays import Mask, add_by_code

_PRICE = " price"  # a column that no history has
_MADE = ("cost", "currency", "priced")


def round_shares(amounts: Sequence[Decimal], digits: int) -> list[Decimal]:
    """Round amounts so that they add up to their rounded sum (largest remainder method).

    The sum is rounded half to even. Each amount is rounded down, and the units that are left go to the largest
    remainders, ties to the earlier amount. Each result differs from the exact amount by less than one unit.

    Parameters
    ----------
    amounts : sequence of Decimal
        Exact amounts.
    digits : int
        Decimal places.

    Examples
    --------
    >>> [str(share) for share in round_shares([Decimal("0.333")] * 3, 2)]
    ['0.34', '0.33', '0.33']
    """
    unit = Decimal(1).scaleb(-digits)
    with localcontext(prec=60):
        total = sum(amounts, Decimal(0)).quantize(unit, ROUND_HALF_EVEN)
        lower = [amount.quantize(unit, ROUND_FLOOR) for amount in amounts]
        left = int((total - sum(lower, Decimal(0))) / unit)
        order = sorted(range(len(amounts)), key=lambda row: (-(amounts[row] - lower[row]), row))
        for row in order[:left]:
            lower[row] += unit
    return lower


def cost_table(
    frame: pd.DataFrame,
    by: Literal["voice", "speaker", "model", "source"] | Hashable | Iterable[Hashable] = "voice",
    freq: str | None = None,
    *,
    prices: Any,
    tz: str | tzinfo = "UTC",
    top: int | None = None,
    billing: Any = None,
    week_start: str | None = None,
) -> pd.DataFrame:
    """Sum items, characters, credits and what they cost by group and period.

    Parameters
    ----------
    frame, by, freq, tz, top, billing, week_start
        As in `histkit.usage_table`.
    prices : path-like, mapping, DataFrame or PriceBook
        See `read_prices`.

    Returns
    -------
    pandas.DataFrame
        The columns of `histkit.usage_table`, then ``cost`` (decimal, in the currency's smallest unit; missing if
        nothing is priced), ``currency`` (string), ``priced`` (Float64, 0 to 1: the share of the credits that have a
        price; missing if no credits are known). If prices are in several currencies, a group has a row for each of its
        currencies, and one for credits without a price. ``attrs["histkit"]`` has the facts of the usage table,
        ``totals`` (by currency: ``cost``, ``exact`` and ``credits``, decimals as text), ``by_price`` (by the lines of
        the book that priced a row, such as "price 2: voice Rachel": their credits), ``priced_credits``,
        ``unpriced_credits`` and ``priced``.

    Raises
    ------
    InputError, SchemaError
        An argument is invalid; the frame lacks a column.

    Examples
    --------
    >>> import histkit as hk
    >>> book = {"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]}
    >>> table = hk.cost_table(hk.sample_history(300), "model", prices=book)
    >>> str(table["cost"].sum()) == table.attrs["histkit"]["totals"]["EUR"]["cost"]
    True
    """
    require(frame, ("date", *MEASURES[1:]), "a cost table")
    refuse_duplicates(frame, "the cost table")
    book = read_prices(prices, tz=tz)
    warn_of_names(book, frame)
    return cost_table_of(
        with_price_index(frame, book), book, by, freq, top, tz=tz, billing=billing, week_start=week_start
    )


@exact_decimals
def costs_by_currency(table: pd.DataFrame, column: str = "cost") -> pd.Series:
    """Return the costs of a cost table for display: each with the decimal places of its own currency.

    The column ``cost`` has one number of places, the largest of its currencies; a reader of a cost in yen expects none.
    """
    costs = []
    for cost, currency in zip(plain_values(table[column]), plain_values(table["currency"]), strict=True):
        costs.append(cost if cost is None or currency is None else round(cost, digits_of(currency)))
    return pd.Series(costs, table.index, dtype=object)


def with_price_index(frame: pd.DataFrame, book: PriceBook) -> pd.DataFrame:
    """Return the frame with the index of each row's price, as `cost_table_of` takes it."""
    credits, _ = whole_numbers(frame["credits"])
    return frame.assign(**{_PRICE: np.where(credits < 0, NO_PRICE, book.price_index(frame))})


def cost_table_of(
    frame: pd.DataFrame, book: PriceBook, by: Any, freq: str | None, top: int | None, **options: Any
) -> pd.DataFrame:
    """Return the cost table of a frame from `with_price_index`: see `cost_table`."""
    query = replace(parse_query(by, freq, top=top, made=_MADE, **options), splits=(_PRICE,))
    usage, rest = table_and_rest(partial_sums(frame, query), query)
    keys = [*query.names, *(["period"] if freq is not None else [])]
    with localcontext(prec=60):
        lines, rest = _price_lines(usage, rest, keys, book)
        lines = lines.iloc[sort_order(lines, [*query.names, "currency"], rest)].reset_index(drop=True)
        costs, totals = _round_costs(lines)
    places = max((digits_of(currency) for currency in totals), default=2)
    table = lines.assign(
        cost=pd.Series(pd.arrays.ArrowExtensionArray(pa.array(costs, pa.decimal128(38, places)))),
        priced=ratio(lines["priced"], lines["credits"]),
    )
    known = int(usage["credits"].sum())
    by_price = usage["credits"].groupby(usage[_PRICE]).sum()
    by_price = {book.sources()[price]: int(credits) for price, credits in by_price.items() if price != NO_PRICE}
    priced = sum(int(total["credits"]) for total in totals.values())
    table.attrs["histkit"] = {
        **usage.attrs["histkit"],
        "totals": totals,
        "by_price": by_price,
        "priced_credits": priced,
        "unpriced_credits": known - priced,
        "priced": priced / known if known else None,
    }
    return table


def _price_lines(usage: pd.DataFrame, rest: Mask, keys: list[Any], book: PriceBook) -> tuple[pd.DataFrame, Mask]:
    """Merge the rows of each group, period and currency: sums, exact cost (Decimal) and priced credits.

    Also returns which of these lines belong to the rest.
    """
    prices, (credits, known) = usage[_PRICE].to_numpy(np.int64), whole_numbers(usage["credits"])
    priced = (prices != NO_PRICE) & known
    rates = [price.per_1000_credits.scaleb(-3) for price in book.prices]
    exact = np.array([Decimal(0)] * len(usage), object)
    exact[priced] = [
        rates[price] * credit for price, credit in zip(prices[priced], credits[priced].tolist(), strict=True)
    ]
    currencies = np.full(len(usage), None, object)
    currencies[priced] = [book.prices[price].currency for price in prices[priced]]
    usage = usage.assign(currency=pd.array(currencies, "string[pyarrow]"))
    several = usage["currency"].nunique() > 1
    first, codes = distinct_rows(usage, [*keys, "currency"] if several else keys)
    lines = usage[keys].iloc[first].reset_index(drop=True)
    for name in MEASURES:
        lines[name] = sums_by_code(usage[name], codes, len(first))
    costs = add_by_code(exact, codes, len(first))
    costs[np.bincount(codes[priced], minlength=len(first)) == 0] = None
    lines["cost"] = pd.Series(costs, dtype=object)
    named = np.full(len(first), None, object)
    named[codes[priced]] = currencies[priced]
    lines["currency"] = pd.array(named, "string[pyarrow]")
    lines["priced"] = sums_by_code(usage["credits"].where(priced, 0), codes, len(first))
    return lines, rest[first]


def _round_costs(lines: pd.DataFrame) -> tuple[list[Decimal | None], dict[str, dict[str, str]]]:
    """Return the cost of each line, rounded so that those of a currency add up, and the total of each currency."""
    costs: list[Decimal | None] = [None] * len(lines)
    totals = {}
    currencies = np.array(plain_values(lines["currency"]), object)
    for currency in sorted(lines["currency"].dropna().unique()):
        rows = np.flatnonzero(currencies == currency)
        exact = lines["cost"].iloc[rows].tolist()
        rounded = round_shares(exact, digits_of(currency))
        for row, amount in zip(rows.tolist(), rounded, strict=True):
            costs[row] = amount
        totals[currency] = {
            "cost": str(sum(rounded, Decimal(0))),
            "exact": str(sum(exact, Decimal(0)).normalize()),
            "credits": str(int(lines["priced"].iloc[rows].sum())),
        }
    return costs, totals
