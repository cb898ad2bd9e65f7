"""Amounts of a statement: lines, markup, minimum fee and tax, exact in the currency's smallest unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import ROUND_HALF_UP, Decimal, localcontext

from histkit.errors import InputError
from histkit.money.currencies import digits_of
from histkit.reports.terms import Terms, check_minimum


@dataclass(frozen=True)
class Amounts:
    """The amounts of one currency, each in its smallest unit; they add up to the total.

    Attributes
    ----------
    lines : Decimal
        The costs of the lines.
    markup : Decimal
        On the lines.
    minimum : Decimal
        What lines and markup lack of the minimum fee.
    tax : Decimal
        On the three.
    """

    lines: Decimal
    markup: Decimal
    minimum: Decimal
    tax: Decimal

    @property
    def net(self) -> Decimal:
        """The total without tax."""
        return self.lines + self.markup + self.minimum

    @property
    def total(self) -> Decimal:
        """The sum of all four."""
        return self.net + self.tax

    def __sub__(self, other: Amounts) -> Amounts:
        return Amounts(*(getattr(self, part.name) - getattr(other, part.name) for part in fields(self)))

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(self)))

    def texts(self) -> dict[str, str]:
        """Return the amounts and their total as decimal text."""
        return {**{part.name: f"{getattr(self, part.name):f}" for part in fields(self)}, "total": f"{self.total:f}"}

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Amounts:
        """Return the amounts of `texts`; raises ValueError if they do not add up to the total."""
        amounts = cls(*(Decimal(texts[part.name]) for part in fields(cls)))
        if amounts.total != Decimal(texts["total"]):
            raise ValueError("its amounts do not add up to the total")
        return amounts


def nothing(currency: str) -> Amounts:
    """Return amounts of zero."""
    zero = Decimal(0).scaleb(-digits_of(currency))
    return Amounts(zero, zero, zero, zero)


def compute_amounts(costs: Mapping[str, tuple[Decimal, int]], terms: Terms) -> dict[str, Amounts]:
    """Compute the amounts of each currency.

    The markup, and then the tax, are computed from the rounded amounts before them, and rounded half up.

    Parameters
    ----------
    costs : mapping
        Currency to the rounded cost of all lines, and their priced credits.
    terms : Terms
        The terms of the client.

    Raises
    ------
    InputError
        There is a minimum fee, and prices in several currencies; or a price is not in the currency of the terms.
    """
    if terms.currency is not None and set(costs) - {terms.currency}:
        other = min(set(costs) - {terms.currency})
        raise InputError(f"The terms are in {terms.currency}, and prices in {other}: use prices in one currency.")
    if terms.minimum_fee and len(costs) > 1:
        raise InputError(f"minimum_fee needs prices in one currency, not in {', '.join(sorted(costs))}.")
    return {currency: _amounts(currency, cost, credits, terms) for currency, (cost, credits) in costs.items()}


def _amounts(currency: str, cost: Decimal, credits: int, terms: Terms) -> Amounts:
    unit = Decimal(1).scaleb(-digits_of(currency))
    check_minimum(terms, currency)
    with localcontext(prec=60):
        lines = cost.quantize(unit)
        share = lines * terms.markup_percent / 100 + terms.markup_per_1000 * credits / 1000
        markup = share.quantize(unit, ROUND_HALF_UP)
        minimum = max(Decimal(0), terms.minimum_fee - lines - markup).quantize(unit)
        tax = ((lines + markup + minimum) * (terms.tax_rate or 0) / 100).quantize(unit, ROUND_HALF_UP)
    return Amounts(lines, markup, minimum, tax)
