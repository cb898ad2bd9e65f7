"""What if: the same rows on another model, at other prices, or on another plan, beside what was measured."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from histkit.errors import InputError
from histkit.frame.columns import integer_array, text_array, whole_numbers
from histkit.frame.keys import refuse_duplicates
from histkit.frame.log_table import WHO_ADVICE
from histkit.frame.schema import require
from histkit.money.costs import round_shares
from histkit.money.currencies import digits_of
from histkit.money.ledger import several_accounts
from histkit.money.model_costs import (
    BASES,
    UNKNOWN,
    Estimates,
    changes_voices,
    estimate_credits,
    read_multipliers,
)
from histkit.money.plans import Plan, read_plans
from histkit.money.price_match import NO_PRICE
from histkit.money.prices import PriceBook, read_prices, warn_of_names
from histkit.usage.aggregate import combine, distinct_rows, partial_sums, sums_by_code
from histkit.usage.table import build_table, parse_query, sort_order
from histkit.util.arguments import one_of
from histkit.util.arrays import Ints, Mask
from histkit.util.text import is_text, quoted

_WHAT, _PRICE = " what", " price"  # columns that no history has
_ALL, _LOW, _HIGH, _NOW = 0, 1, 2, 10  # `_NOW` and the basis
_CREDITS = ("compared", "credits_low", "credits_high", "without_estimate", "basis")
_COSTS = ("cost", "cost_low", "cost_high")
_PLAN = ("plan", "extra_low", "extra_high", "plan_cost_low", "plan_cost_high")


@dataclass(frozen=True)
class _Books:
    """The prices of now and of the comparison, and which of them each row has."""

    now: PriceBook
    then: PriceBook
    now_index: Ints
    then_index: Ints
    currency: str

    @property
    def both(self) -> Mask:
        """Which rows have a price in both."""
        mask: Mask = (self.now_index != NO_PRICE) & (self.then_index != NO_PRICE)
        return mask


def reprice(
    frame: pd.DataFrame,
    model: str | None = None,
    by: Literal["voice", "speaker", "model", "source"] | Hashable | Iterable[Hashable] = None,
    freq: str | None = "MS",
    *,
    prices: Any = None,
    current_prices: Any = None,
    plan: Any = None,
    multipliers: Mapping[str, Any] | None = None,
    tz: str | tzinfo = "UTC",
    billing: Any = None,
    week_start: str | None = None,
) -> pd.DataFrame:
    """Estimate what the rows would have cost on another model, at other prices or on other plans.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one. More rows give better estimates: what a voice costs on the model is measured in
        them.
    model : str, optional
        The other model. Default: each row stays on its own, and costs what was measured.
    by : str or list, optional
        Groups, as in `histkit.usage_table`; ``model`` is the one that was used. Default: all rows are one group.
    freq : str, default "MS"
        Length of the periods, as in `histkit.usage_table`; None for the total.
    prices : path-like, mapping, DataFrame or PriceBook, optional
        The other prices, see `read_prices`. Prices by model are those of the other model. Those of the rows of `frame`
        are in one currency.
    current_prices : path-like, mapping, DataFrame or PriceBook, optional
        The prices of what was measured. Default: `prices`.
    plan : path-like, mapping, list of mappings, optional
        One plan, or several to compare: see Notes. Not with `prices`.
    multipliers : mapping of str to number, optional
        Credits per character of models that are not documented here, or whose price has changed.
    tz, billing, week_start
        As in `histkit.usage_table`; `tz` also for the days in prices.

    Returns
    -------
    pandas.DataFrame
        The groups and ``period``, ``items``, ``characters``, ``credits`` (measured, of all items), then ``compared``
        (measured, of the items that have an estimate), ``credits_low`` and ``credits_high`` (what these would have
        cost; Int64, missing if no item has an estimate), ``without_estimate`` (Int64, the number of the other items),
        ``basis`` (string: what the estimates rest on, "measured", "documented", "unchanged" or several, and "unknown"
        if an item has none). With prices: ``cost``, ``cost_low``, ``cost_high`` (decimal, of the same items, if both
        books have a price for them) and ``currency``. With plans a row for each: ``plan``, ``extra_low`` and
        ``extra_high`` (Int64, credits beyond the included ones), ``plan_cost_low`` and ``plan_cost_high`` (decimal;
        missing if the plan doesn't sell as many, and for rows without a date) and ``currency``. ``attrs["histkit"]``
        has ``estimate`` (False if all is measured), ``model``, ``totals``, ``bases`` (``rows`` and ``credits`` by
        basis), with prices ``unpriced_credits`` (measured, without a price in one of the books).

    Raises
    ------
    InputError
        An argument is invalid, or nothing is known of the model.
    SchemaError
        The frame lacks a column; rows occur twice.

    Notes
    -----
    The estimate of a row is a range, by the first of these that is possible:

    - *measured*: it was made on this model; or its voice has other rows on this model, which show how many credits a
      character costs.
    - *documented*: the list price of the model is known (one credit a character, or half on Flash and Turbo; rounding
      is not documented, so that a half is a range). A row that didn't cost the list price of its own model has a voice
      that multiplies, or a price that was changed by a promotion: its range holds both possibilities. A row that was
      free stays free.
    - *unchanged*: it is of the voice changer, which other models can't replace.
    - *unknown*: its credits, or the price of the model, are not known. It is left out of the comparison.

    An estimate doesn't know promotions to come, nor whether the model speaks the language or the dialogue. What was
    spent outside the history counts towards a plan as well: see ``unseen`` of `histkit.ledger`.

    Plans as a TOML file; the last field is left out if a plan has no more credits to sell::

        currency = "EUR"
        [[plan]]
        name = "Creator"
        monthly_fee = "22.00"
        included_credits = 100000
        per_1000_extra_credits = "0.30"

    With plans the periods are months (``MS`` or ``billing``), empty ones included, and `by` is None, or "account",
    where a frame has several accounts.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.sample_history(500)
    >>> same = hk.reprice(df)
    >>> bool((same["credits_low"] == same["credits"]).all())
    True
    >>> flash = hk.reprice(df, "eleven_flash_v2_5", freq=None)
    >>> bool(flash["credits_high"][0] < flash["compared"][0])
    True
    """
    if model is not None and not is_text(model):
        raise InputError(f"model={quoted(model)} must be the id of a model.")
    if plan is not None and (prices is not None or current_prices is not None):
        raise InputError("plan= and prices= exclude each other: a plan has prices of its own.")
    if prices is None and current_prices is not None:
        raise InputError("current_prices= needs prices= to compare with.")
    plans = () if plan is None else read_plans(plan)
    made = (*_CREDITS, *(_PLAN if plans else ()), *(_COSTS if prices is not None else ()), "currency")
    query = parse_query(
        by, freq, tz=tz, fill=bool(plans) and freq is not None, billing=billing, week_start=week_start, made=made
    )
    if plans:
        _check_months(frame, list(query.names), freq)
    require(frame, ["date", "characters", "credits"], "reprice")
    if model is not None:
        require(frame, ["model_id", "source", "voice_id", "voice_name", "dialogue"], "reprice on another model")
    refuse_duplicates(frame, "reprice")
    estimates = estimate_credits(frame, model, read_multipliers(multipliers))
    books = None if prices is None else _books(frame, model, prices, current_prices, query.zone)
    partials = _partial_sums(frame, estimates, books, replace(query, splits=(_WHAT, _PRICE)))
    parts = build_table(combine(partials), replace(query, splits=(_WHAT, _PRICE)))
    keys = [*query.names, *(["period"] if freq is not None else [])]
    table = _lines(parts, keys)
    facts = {
        **parts.attrs["histkit"],
        "rows": len(frame),
        "model": model,
        "estimate": bool((estimates.low != estimates.high).any() or _rests_on_documents(estimates)),
        "bases": _facts_of_bases(frame, estimates),
        "totals": {name: int(table[name].sum()) for name in ("credits", *_CREDITS[:4])},
    }
    for name in ("rows_without_credits", "rows_without_characters", "rows_without_date"):
        column = name.removeprefix("rows_without_")
        facts[name] = int(frame[column].isna().sum())
    order = sort_order(table, list(query.names), np.zeros(len(table), bool))
    if books is not None:
        table, totals = _with_costs(table, parts, keys, books)
        facts["totals"] |= totals
        compared = (estimates.basis != UNKNOWN) & ~books.both
        facts["unpriced_credits"] = int(whole_numbers(frame["credits"])[0][compared].sum())
    table = table.iloc[order].reset_index(drop=True)
    if plans:
        table, facts["totals"]["plans"] = _on_plans(table, plans)
    table.attrs["histkit"] = facts
    return table


def _check_months(frame: pd.DataFrame, names: Sequence[Any], freq: str | None) -> None:
    one_of("freq", freq, ("MS", "billing"), "is not possible with plan=, which has a fee for each month")
    if names not in ([], ["account"]):
        raise InputError(f"by={quoted(names)} is not possible with plan=: a plan is of an account; use by='account'.")
    if not names and several_accounts(frame):
        raise InputError("The frame has several accounts, and each has a plan of its own: use by='account'.")


def _books(frame: pd.DataFrame, model: str | None, prices: Any, current: Any, zone: tzinfo) -> _Books:
    then = read_prices(prices, tz=zone)
    now = then if current is None else read_prices(current, tz=zone)
    for book in (now, then) if now is not then else (now,):
        warn_of_names(book, frame, stacklevel=3, models=() if model is None else (model,))
    changed = frame
    if model is not None:
        models = pd.Series(text_array(frame["model_id"]).to_pylist(), frame.index, "string")
        changed = frame.assign(model_id=models.where(changes_voices(frame), model))
    index_now, index_then = now.price_index(frame), then.price_index(changed)
    used = [book.prices[at] for book, index in ((now, index_now), (then, index_then)) for at in set(index[index >= 0])]
    currencies = sorted({price.currency for price in used or then.prices[:1]})
    if len(currencies) > 1:
        raise InputError(
            f"The prices of these rows are in {' and '.join(currencies)}; a comparison is in one currency: take "
            "the rows of one client or account, or a book in one currency."
        )
    return _Books(now, then, index_now, index_then, currencies[0])


def _partial_sums(frame: pd.DataFrame, estimates: Estimates, books: _Books | None, query: Any) -> list[pd.DataFrame]:
    """Sum the measured credits, and those of the rows that have an estimate: measured, lowest, highest."""
    columns = [name for name in query.columns() if name not in (_WHAT, _PRICE)]
    require(frame, columns, "reprice", ("voice", "speaker", "model", "source"), WHO_ADVICE)
    rows = frame[columns]
    unknown = estimates.basis == UNKNOWN
    none = np.full(len(frame), NO_PRICE, np.int64)
    priced = np.zeros(len(frame), bool) if books is None else books.both
    now = none if books is None else np.where(priced & ~unknown, books.now_index, NO_PRICE)
    then = none if books is None else np.where(priced & ~unknown, books.then_index, NO_PRICE)
    low, high = integer_array(estimates.low, unknown), integer_array(estimates.high, unknown)
    measured = rows["credits"].mask(unknown)
    return [
        partial_sums(rows.assign(**{_WHAT: _ALL, _PRICE: none}), query),
        partial_sums(rows.assign(credits=measured, **{_WHAT: _NOW + estimates.basis, _PRICE: now}), query),
        partial_sums(rows.assign(credits=low, **{_WHAT: _LOW, _PRICE: then}), query),
        partial_sums(rows.assign(credits=high, **{_WHAT: _HIGH, _PRICE: then}), query),
    ]


def _lines(parts: pd.DataFrame, keys: list[Any]) -> pd.DataFrame:
    """Return a line for each group and period from the sums of `_partial_sums`."""
    what = parts[_WHAT].to_numpy(np.int64)
    first, codes = distinct_rows(parts, keys)
    size = len(first)

    def sums(name: str, rows: Mask) -> pd.arrays.IntegerArray:
        return sums_by_code(parts[name][rows], codes[rows], size)

    table = parts[keys].iloc[first].reset_index(drop=True)
    if not keys:
        table = pd.DataFrame(index=pd.RangeIndex(size))
    for name in ("items", "characters", "credits"):
        table[name] = sums(name, what == _ALL)
    table["compared"] = sums("credits", (what >= _NOW) & (what != _NOW + UNKNOWN))
    table["credits_low"] = sums("credits", what == _LOW)
    table["credits_high"] = sums("credits", what == _HIGH)
    table["without_estimate"] = sums("items", what == _NOW + UNKNOWN).fillna(0)
    bases = [np.bincount(codes[(what == _NOW + basis) & _used(parts)], minlength=size) for basis in range(len(BASES))]
    texts = [", ".join(name for name, counts in zip(BASES, bases, strict=True) if counts[line]) for line in range(size)]
    table["basis"] = pd.array([text or None for text in texts], "string[pyarrow]")
    return table


def _used(parts: pd.DataFrame) -> Mask:
    """Return which sums are of rows, and not of a period that was added without any."""
    used: Mask = (parts[["items", "characters", "credits"]].fillna(0) != 0).any(axis=1).to_numpy(bool)
    return used


def _with_costs(
    table: pd.DataFrame, parts: pd.DataFrame, keys: list[Any], books: _Books
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Add the costs of the lines, each column rounded so that it adds up to its rounded total."""
    what, price = (parts[name].to_numpy(np.int64) for name in (_WHAT, _PRICE))
    _, codes = distinct_rows(parts, keys)
    credits = parts["credits"].fillna(0).to_numpy(np.int64)
    digits = digits_of(books.currency)
    totals = {}
    with localcontext(prec=60):
        for name, book, rows in (
            ("cost", books.now, what >= _NOW),
            ("cost_low", books.then, what == _LOW),
            ("cost_high", books.then, what == _HIGH),
        ):
            rates = [each.per_1000_credits.scaleb(-3) for each in book.prices]
            exact: list[Decimal | None] = [None] * len(table)
            for place in np.flatnonzero(rows & (price != NO_PRICE)).tolist():
                line = int(codes[place])
                exact[line] = (exact[line] or Decimal(0)) + rates[price[place]] * int(credits[place])
            known = [line for line, amount in enumerate(exact) if amount is not None]
            rounded = round_shares([exact[line] or Decimal(0) for line in known], digits)
            amounts: list[Decimal | None] = [None] * len(table)
            for line, amount in zip(known, rounded, strict=True):
                amounts[line] = amount
            table[name] = _decimals(amounts, digits)
            totals[name] = str(sum(rounded, Decimal(0).quantize(Decimal(1).scaleb(-digits))))
    currencies = [books.currency if is_priced else None for is_priced in table["cost"].notna()]
    table["currency"] = pd.array(currencies, "string[pyarrow]")
    return table, {**totals, "currency": books.currency}


def _decimals(amounts: Sequence[Decimal | None], digits: int) -> pd.Series:
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(amounts, pa.decimal128(38, digits))))


def _on_plans(table: pd.DataFrame, plans: Sequence[Plan]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return a line for each month and plan, and the totals of each plan."""
    lines = table.iloc[np.repeat(np.arange(len(table)), len(plans))].reset_index(drop=True)
    several = [plans[number % len(plans)] for number in range(len(lines))]
    lines["plan"] = pd.array([plan.name for plan in several], "string[pyarrow]")
    totals: dict[str, Any] = {plan.name: {"currency": plan.currency} for plan in plans}
    places = max(digits_of(plan.currency) for plan in plans)
    dated = lines["period"].notna().to_numpy(bool)  # the rows without a date are in no month
    for side in ("low", "high"):
        credits = lines[f"credits_{side}"].fillna(0).to_numpy(np.int64)
        extra = np.maximum(0, credits - np.array([plan.included_credits for plan in several], np.int64))
        lines[f"extra_{side}"] = integer_array(extra, ~dated)
    for side in ("low", "high"):
        amounts: list[Decimal | None] = []
        for plan, number, is_month in zip(several, lines[f"credits_{side}"].fillna(0).tolist(), dated, strict=True):
            cost = plan.cost(int(number)) if is_month else None
            unit = Decimal(1).scaleb(-digits_of(plan.currency))
            amounts.append(None if cost is None else cost.quantize(unit, ROUND_HALF_EVEN))
        lines[f"plan_cost_{side}"] = _decimals(amounts, places)
        for plan in plans:
            months = zip(amounts, several, dated, strict=True)
            of_plan = [amount for amount, each, is_month in months if each is plan and is_month]
            known = [amount for amount in of_plan if amount is not None]
            totals[plan.name][side] = str(sum(known, Decimal(0))) if len(known) == len(of_plan) else None
    lines["currency"] = pd.array([plan.currency for plan in several], "string[pyarrow]")
    return lines, totals


def _rests_on_documents(estimates: Estimates) -> bool:
    return bool((estimates.basis == BASES.index("documented")).any())


def _facts_of_bases(frame: pd.DataFrame, estimates: Estimates) -> dict[str, dict[str, int]]:
    facts, credits = {}, whole_numbers(frame["credits"])[0]
    for basis, name in enumerate(BASES):
        rows = estimates.basis == basis
        if rows.any():
            facts[name] = {"rows": int(rows.sum()), "credits": int(credits[rows].sum())}
    return facts
