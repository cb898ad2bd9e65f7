"""Plans: a monthly fee that includes credits, and what further credits cost."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from histkit.errors import InputError
from histkit.money.currencies import currency_code, plain_amount
from histkit.util.arguments import whole_number
from histkit.util.files import read_toml
from histkit.util.text import is_text, quoted

_FIELDS = ("name", "currency", "monthly_fee", "included_credits", "per_1000_extra_credits")
_MOST_CREDITS = 10**15


@dataclass(frozen=True)
class Plan:
    """A plan.

    Attributes
    ----------
    name : str
        Of the caller's choice.
    currency : str
        Three letters (ISO 4217).
    monthly_fee : Decimal
        For each month, whatever is used.
    included_credits : int
        In each month; what is left of them is lost.
    per_1000_extra_credits : Decimal or None
        Price of the credits beyond; None: there are none to buy.
    """

    name: str
    currency: str
    monthly_fee: Decimal
    included_credits: int
    per_1000_extra_credits: Decimal | None = None

    def cost(self, credits: int) -> Decimal | None:
        """Return the exact cost of a month with this number of credits; None if the plan doesn't sell as many."""
        extra = max(0, credits - self.included_credits)
        if not extra:
            return self.monthly_fee
        if self.per_1000_extra_credits is None:
            return None
        return self.monthly_fee + self.per_1000_extra_credits.scaleb(-3) * extra


def read_plans(source: Any) -> tuple[Plan, ...]:
    """Read a plan, or several: a TOML file with a ``[[plan]]`` each, its content as a mapping, a plan, or a list.

    Raises
    ------
    InputError
        A plan is invalid; the message names it and the remedy.

    Examples
    --------
    >>> plans = read_plans({"name": "Pro", "currency": "EUR", "monthly_fee": "99", "included_credits": 500_000})
    >>> plans[0].cost(400_000), plans[0].cost(600_000)
    (Decimal('99'), None)
    """
    where, entry, currency = "plan", "plan", None
    if isinstance(source, (str, os.PathLike)):
        where = " ".join(str(source).split())
        entry = f"{where}, plan"
        source = read_toml(source, "plans", Decimal)
        if "plan" not in source:
            raise InputError(f"{where}: there is no plan; add at least one '[[plan]]' with monthly_fee.")
    if isinstance(source, Mapping) and "plan" in source:
        currency = source.get("currency")
        for key in source:
            if key not in ("currency", "plan"):
                raise InputError(f"{where}: {quoted(key, 60)} is unknown; there are currency and [[plan]].")
        source = source["plan"]
    tables = list(source) if isinstance(source, (list, tuple)) else [source]
    plans = tuple(
        _plan(table, f"{entry} {number}", f"plan {number}", currency) for number, table in enumerate(tables, 1)
    )
    names = [plan.name for plan in plans]
    if not plans or len(set(names)) < len(names):
        problem = "two plans have one name" if plans else "there is no plan"
        raise InputError(f"{where}: {problem}; write a [[plan]] with a name of its own for each.")
    return plans


def _plan(table: Any, where: str, name: str, currency: Any) -> Plan:
    if isinstance(table, Plan):
        return table
    if not isinstance(table, Mapping):
        raise InputError(f"{where} must be a table with {', '.join(_FIELDS)}, not {quoted(table, 60)}.")
    for key in table:
        if key not in _FIELDS:
            raise InputError(f"{where}: {quoted(key, 60)} is unknown; there are {', '.join(_FIELDS)}.")
    name = table.get("name", name)
    if not is_text(name):
        raise InputError(f"{where}: name = {quoted(name, 40)} must be a name.")
    code = currency_code(table.get("currency", currency), where)
    fee = _amount(table, "monthly_fee", where)
    if table.get("included_credits") is None:
        raise InputError(f"{where}: included_credits is missing; write how many credits a month has, or 0.")
    try:
        included = whole_number("included_credits", table["included_credits"], 0, _MOST_CREDITS)
    except InputError:
        shown = quoted(table["included_credits"], 40)
        raise InputError(f"{where}: included_credits = {shown} must be a whole number from 0 on.") from None
    extra = None if table.get("per_1000_extra_credits") is None else _amount(table, "per_1000_extra_credits", where)
    return Plan(name, code, fee, included, extra)


def _amount(table: Mapping[str, Any], name: str, where: str) -> Decimal:
    amount = plain_amount(table.get(name))
    if amount is None or not 0 <= amount < 10**9 or -int(amount.as_tuple().exponent) > 9:
        raise InputError(f'{where}: {name} = {quoted(table.get(name), 40)} is not an amount such as "22.00".')
    return amount
