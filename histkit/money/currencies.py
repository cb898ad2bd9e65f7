"""Currencies: the codes of ISO 4217, the decimal places of each, and amounts as people write them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from histkit.errors import InputError
from histkit.frame.names import did_you_mean
from histkit.util.text import quoted

# In force in 2026, without metals, bond units and test codes, which nobody is billed in.
_IN_FORCE = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CLF
CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF
IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT
MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD
SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS
VED VES VND VUV WST XAD XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
_WITHDRAWN = "ANG BGN CUC HRK SLL ZWL"  # since 2021: statements of earlier months are in them
CURRENCIES = frozenset((*_IN_FORCE.split(), *_WITHDRAWN.split()))

_DIGITS = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
_PLAIN = re.compile(r"[0-9]+(\.[0-9]+)?")


P = ParamSpec("P")
R = TypeVar("R")


def exact_decimals(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function compute with 60 digits, whatever the decimal context of its caller is."""

    @wraps(function)
    def run(*arguments: P.args, **options: P.kwargs) -> R:
        with localcontext(Context(prec=60)):
            return function(*arguments, **options)

    return run


def digits_of(currency: str) -> int:
    """Return the decimal places of a currency's smallest unit (ISO 4217); 2 unless the table above has others.

    The exceptions are listed here because they are few and rarely change; the package babel, which has the digits that
    are used in practice instead (none for some currencies whose smallest unit is a hundredth), needs 10 MB.
    """
    return _DIGITS.get(currency, 2)


def currency_code(value: Any, where: str) -> str:
    """Return a value as the code of a currency.

    Raises
    ------
    InputError
        It is not one of ISO 4217; the message begins with `where`.

    Examples
    --------
    >>> currency_code("EUR", "prices")
    'EUR'
    """
    if value is None:
        raise InputError(f"{where}: the currency is missing; add one, three capital letters such as EUR.")
    if not isinstance(value, str) or not re.fullmatch("[A-Z]{3}", value):
        raise InputError(f"{where}: currency = {quoted(value, 40)} must be three capital letters such as EUR.")
    if value not in CURRENCIES:
        hint = did_you_mean(value, CURRENCIES, "currency")
        hint = hint[:1].upper() + hint[1:] if hint.startswith("did ") else "Use a code such as EUR or USD."
        raise InputError(f"{where}: currency = {value!r} is no currency of ISO 4217. {hint}")
    return value


def plain_amount(value: Any) -> Decimal | None:
    """Return an amount as a Decimal; None unless it is a finite number, or digits as in "1200.50".

    Signs, exponents, underscores, spaces, thousands separators and digits of other scripts are refused in texts. A
    float is the shortest decimal that rounds to it.

    Examples
    --------
    >>> plain_amount("0.30"), plain_amount(0.1), plain_amount("1_0"), plain_amount(True)
    (Decimal('0.30'), Decimal('0.1'), None, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return Decimal(value) if _PLAIN.fullmatch(value) else None
    if isinstance(value, float):
        value = Decimal(float.__repr__(value))
    elif not isinstance(value, Decimal):
        try:
            value = Decimal(operator.index(value))
        except TypeError:
            return None
    number: Decimal = value
    if not number.is_finite():
        return None
    return number or Decimal(0)  # no negative zero


def amount_text(amount: Decimal) -> str:
    """Return an amount in plain notation without zeros at its end: equal amounts have equal texts.

    Examples
    --------
    >>> amount_text(Decimal("0.30")), amount_text(Decimal("1E+3")), amount_text(Decimal("0.000"))
    ('0.3', '1000', '0')
    """
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
