"""Costs in tables: summed exactly, rounded once, and by lines that make up the rounded sum.

A sum is rounded half to even at the currency's smallest unit, and the lines of a table by largest remainder. Amounts of
different currencies are never added.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from histkit.money.prices import NO_PRICE, PriceBook, digits_of, read_prices
from histkit.usage.table import OTHER, usage_table
from histkit.util.arguments import whole_number

_PRICE = "price_number"


def round_shares(amounts: Sequence[Decimal], digits: int) -> list[Decimal]:
    """Round amounts so that they make up their rounded sum.

    The sum is rounded half to even; each amount is rounded down, and what is left goes to those with the largest
    remainders, the first of equals first. Each differs from its exact value by less than one smallest unit.

    Parameters
    ----------
    amounts : sequence of Decimal
        Exact amounts.
    digits : int
        Decimal places.

    Examples
    --------
    >>> [str(each) for each in round_shares([Decimal("0.333")] * 3, 2)]
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
    by: Any = "voice",
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
        As of `histkit.usage_table`, and ``cost`` (decimal, at the currency's smallest unit; missing where nothing is
        priced), ``currency`` (string), ``priced`` (Float64, 0 to 1: the share of the credits that have a price; missing
        where no credits are known). Groups with costs in several currencies have a row for each, and one more for what
        is not priced. ``attrs["histkit"]`` has, beside the facts of the usage table, ``totals`` (currency to ``cost``,
        ``exact`` and ``credits``, decimals as text), ``priced_credits``, ``unpriced_credits`` and ``priced``.

    Raises
    ------
    InputError, SchemaError
        Arguments that can't be used; a frame that lacks a column.

    Examples
    --------
    >>> import histkit as hk
    >>> book = {"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]}
    >>> table = hk.cost_table(hk.sample_history(300), "model", prices=book)
    >>> str(table["cost"].sum()) == table.attrs["histkit"]["totals"]["EUR"]["cost"]
    True
    """
    book = read_prices(prices, tz=tz)
    return cost_table_of(
        with_price_index(frame, book), book, by, freq, top, tz=tz, billing=billing, week_start=week_start
    )


def with_price_index(frame: pd.DataFrame, book: PriceBook) -> pd.DataFrame:
    """Give each row the number of its price, for `cost_table_of`."""
    return frame.assign(**{_PRICE: np.where(frame["credits"].lt(0).fillna(False), NO_PRICE, book.numbers(frame))})


def cost_table_of(
    frame: pd.DataFrame, book: PriceBook, by: Any, freq: str | None, top: int | None, **options: Any
) -> pd.DataFrame:
    """Make the cost table of rows that have the numbers of their prices: see `cost_table`."""
    names = [] if by is None else [by] if isinstance(by, str) else list(by)
    parts = usage_table(frame, [*names, _PRICE], freq, **options)
    facts = dict(parts.attrs["histkit"])
    kept = _folded(parts, [each for each in parts.columns[: parts.columns.get_loc(_PRICE)] if each != "period"], top)
    keys = [name for name in (*kept.columns[: kept.columns.get_loc(_PRICE)], *(["period"] if freq else []))]
    lines = _price_lines(kept, list(dict.fromkeys(keys)), book)
    table, totals = _rounded(lines, book)
    known = int(kept["credits"].sum())
    priced = sum(int(total["credits"]) for total in totals.values())
    facts |= {
        "totals": totals,
        "priced_credits": priced,
        "unpriced_credits": known - priced,
        "priced": priced / known if known else None,
    }
    table.attrs["histkit"] = facts
    return table


def _folded(parts: pd.DataFrame, names: list[str], top: int | None) -> pd.DataFrame:
    """Make one group of all but the largest ones."""
    if top is None or not names:
        return parts
    top = whole_number("top", top, 1)
    sums = parts.groupby(names, dropna=False, sort=False, observed=True)["credits"].sum()
    largest = sums.sort_values(ascending=False, kind="stable").index[:top]
    groups = pd.MultiIndex.from_frame(parts[names]) if len(names) > 1 else pd.Index(parts[names[0]])
    rest = ~groups.isin(largest)
    folded = parts.copy()
    for name in names:
        folded[name] = folded[name].astype("string[pyarrow]").where(~rest, OTHER)
    return folded


def _price_lines(parts: pd.DataFrame, keys: list[str], book: PriceBook) -> pd.DataFrame:
    """Make one line for each group, period and currency: sums, exact cost, and the credits that are priced."""
    currency = [book.prices[number].currency if number >= 0 else None for number in parts[_PRICE].astype(int)]
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    several = len(set(currency) - {None}) > 1
    columns = [parts[key].tolist() for key in keys]
    sums = [
        parts[name].astype(object).where(parts[name].notna(), None).tolist()
        for name in ("items", "characters", "credits", _PRICE)
    ]
    for code, *rest in zip(currency, *columns, *sums, strict=True):
        key, (items, characters, credits, number) = rest[: len(keys)], rest[len(keys) :]
        place = (*(None if pd.isna(each) else each for each in key), code if several else None)
        line = rows.setdefault(
            place,
            dict(zip(keys, key, strict=True))
            | {"items": 0, "characters": None, "credits": None, "cost": None, "currency": None, "priced": 0},
        )
        line["items"] += items
        for name, value in (("characters", characters), ("credits", credits)):
            if value is not None:
                line[name] = (line[name] or 0) + value
        if code is not None and credits is not None:
            price = book.prices[int(number)].per_1000_credits.scaleb(-3)
            line["cost"] = (line["cost"] or Decimal(0)) + price * credits
            line["currency"] = code
            line["priced"] += credits
    found = pd.DataFrame(
        list(rows.values()), columns=[*keys, "items", "characters", "credits", "cost", "currency", "priced"]
    )
    for key in keys:  # not astype: a column of nothing but missing moments has lost its zone
        found[key] = pd.Series(found[key].tolist(), dtype=parts[key].dtype)
    return found.astype({"items": "Int64", "characters": "Int64", "credits": "Int64", "currency": "string[pyarrow]"})


def _rounded(lines: pd.DataFrame, book: PriceBook) -> tuple[pd.DataFrame, dict[str, dict[str, str]]]:
    """Round the costs of each currency so that they make up its rounded total; put the lines in order."""
    keys = list(lines.columns[: lines.columns.get_loc("items")])
    other = (
        lines[[key for key in keys if key != "period"]].eq(OTHER).any(axis=1) if keys else np.zeros(len(lines), bool)
    )
    order = lines.assign(_other=other, _least=-lines["credits"].fillna(-1).astype("int64"))
    by = [
        *(["period"] if "period" in keys else []),
        "_other",
        "_least",
        *(key for key in keys if key != "period"),
        "currency",
    ]
    lines = lines.loc[order.sort_values(by, kind="stable", key=_sortable).index].reset_index(drop=True)
    totals: dict[str, dict[str, str]] = {}
    costs: list[Decimal | None] = [None] * len(lines)
    currencies: Iterable[str] = sorted({price.currency for price in book.prices})
    for code in currencies:
        rows = [row for row, own in enumerate(lines["currency"]) if not pd.isna(own) and own == code]
        if rows:
            exact = [lines["cost"].iloc[row] for row in rows]
            rounded = round_shares(exact, digits_of(code))
            for row, amount in zip(rows, rounded, strict=True):
                costs[row] = amount
            credits = sum(int(lines["priced"].iloc[row]) for row in rows)
            totals[code] = {
                "cost": str(sum(rounded, Decimal(0))),
                "exact": str(sum(exact, Decimal(0)).normalize()),
                "credits": str(credits),
            }
    places = max((digits_of(code) for code in totals), default=2)
    credits = lines["credits"].astype("Float64")
    share = (lines["priced"].astype("Float64") / credits.where(credits != 0)).astype("Float64")
    return lines.assign(
        cost=pd.Series(pd.arrays.ArrowExtensionArray(pa.array(costs, pa.decimal128(38, places)))), priced=share
    ), totals


def _sortable(column: pd.Series) -> pd.Series:
    return column.astype("string") if isinstance(column.dtype, (pd.CategoricalDtype, pd.StringDtype)) else column
