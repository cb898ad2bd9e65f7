"""Terms of statements: number, parties, minimum fee, markup and tax, from a TOML file or a mapping."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from histkit.errors import InputError
from histkit.frame.names import did_you_mean, has_suggestion
from histkit.money.currencies import amount_text, currency_code, digits_of, plain_amount
from histkit.reports.number_formats import NumberFormats, number_formats
from histkit.usage.label_rules import UNASSIGNED
from histkit.util.files import read_toml
from histkit.util.text import is_text, one_line_text, quoted

DEFAULT_NUMBER = "{year}-{n:04}"
_PARTY = ("name", "address", "tax_id", "contact")
_MOST_PLACES = 9
_ZERO = Decimal(0)
_LONGEST = 200  # characters of a number
_FIELDS = ("n", "year", "month")


@dataclass(frozen=True)
class Party:
    """One side of a statement: its name, the lines of its address, its tax number, its contact."""

    name: str = ""
    address: tuple[str, ...] = ()
    tax_id: str = ""
    contact: str = ""

    def lines(self) -> list[str]:
        """Return the lines to print."""
        return [line for line in (self.name, *self.address, self.tax_id, self.contact) if line]


@dataclass(frozen=True)
class Terms:
    """The terms of one client's statement; None, empty or 0: without.

    Attributes
    ----------
    number : str or None
        The number, or a template with ``{n}``, which is counted.
    issue_date : date or None
        Default: the day of issue.
    currency : str or None
        The only currency that the prices may have.
    formats : NumberFormats or None
        Of numbers and dates.
    minimum_fee, markup_percent, markup_per_1000 : Decimal
        Amounts in the currency; per cent.
    tax_rate : Decimal or None
        Per cent; a rate of 0 is shown, unlike None.
    tax_name : str
        Such as "VAT".
    notes : tuple of str
        Paragraphs.
    unit_prices : bool
        Whether each line has its price per 1,000 credits; lines of several prices are divided.
    issuer, recipient : Party
        Both parties.
    """

    number: str | None = None
    issue_date: date | None = None
    currency: str | None = None
    formats: NumberFormats | None = None
    minimum_fee: Decimal = Decimal(0)
    markup_percent: Decimal = Decimal(0)
    markup_per_1000: Decimal = Decimal(0)
    tax_rate: Decimal | None = None
    tax_name: str = "Tax"
    notes: tuple[str, ...] = ()
    unit_prices: bool = False
    issuer: Party = field(default_factory=Party)
    recipient: Party = field(default_factory=Party)

    def money(self) -> dict[str, str]:
        """Return the terms that change amounts, as text; empty if there are none."""
        names = ("minimum_fee", "markup_percent", "markup_per_1000", "tax_rate")
        values = {name: getattr(self, name) for name in names}
        return {name: amount_text(value) for name, value in values.items() if value}

    def shown(self) -> dict[str, str]:
        """Return `money`, and a tax rate of 0 that was given: it has a line, and changes no amount."""
        return self.money() | ({"tax_rate": "0"} if self.tax_rate == 0 else {})

    def money_lines(self) -> list[str]:
        """Return `money` as lines of a fingerprint."""
        return [f"{name}={value}" for name, value in self.money().items()]

    def letter(self) -> dict[str, Any]:
        """Return the terms that change no amount, as JSON values."""
        parties = {"issuer": self.issuer.lines(), "recipient": self.recipient.lines()}
        return {
            **{name: lines for name, lines in parties.items() if lines},
            **({"notes": list(self.notes)} if self.notes else {}),
            **({"tax_name": self.tax_name} if self.tax_rate is not None else {}),
            **({"locale": self.formats.name} if self.formats is not None else {}),
            **({"unit_prices": True} if self.unit_prices else {}),
        }


@dataclass(frozen=True)
class TermsBook:
    """The terms of all clients: see `read_terms`."""

    general: Terms
    clients: Mapping[str, Mapping[str, Any]]
    where: str

    def of(self, client: str, *, has_rows: bool = True) -> Terms:
        """Return the terms of a client; without rows, a minimum fee is only one of its own."""
        own = self.clients.get(client)
        if own is None:
            terms = self.general
            if client == UNASSIGNED:  # no client
                terms = replace(terms, minimum_fee=_ZERO, markup_percent=_ZERO, markup_per_1000=_ZERO, tax_rate=None)
        else:
            party = {name: value for name, value in own.items() if name in _PARTY}
            rest = {name: value for name, value in own.items() if name not in _PARTY}
            where = f"{self.where}, client {quoted(client, 60)}"
            if {"markup_percent", "markup_per_1000"} & set(rest):
                general = replace(self.general, markup_percent=Decimal(0), markup_per_1000=Decimal(0))
            else:
                general = self.general
            terms = _terms(rest, where, general)
            terms = replace(terms, recipient=_party(party, where)) if party else terms
        if not has_rows and (own is None or "minimum_fee" not in own):
            terms = replace(terms, minimum_fee=_ZERO)
        return terms if terms.recipient.lines() else replace(terms, recipient=Party(one_line_text(client)))

    def check_clients(self, clients: Iterable[str]) -> None:
        """Raise `InputError` for terms of a client that is close to one that exists; others may have no rows yet."""
        existing = list(clients)
        for client in self.clients:
            if client not in existing:
                problem = f"{self.where}: client {quoted(client, 60)} has no rows; "
                problem += did_you_mean(client, existing, "client")
                if has_suggestion(problem):
                    raise InputError(problem)


def read_terms(source: Any, **single: Any) -> TermsBook:
    """Read the terms of statements.

    Parameters
    ----------
    source : path-like, mapping or None
        A TOML file or its content: see `histkit.statement`.
    **single
        Terms that were passed as arguments; those that are not None replace those of the source.

    Raises
    ------
    InputError
        A term is unknown or invalid; the message names it.
    """
    where, table = "terms", source
    if isinstance(source, (str, os.PathLike)):
        where, table = str(source), read_toml(source, "terms", Decimal)
    if table is None:
        table = {}
    if not isinstance(table, Mapping):
        raise InputError(f"terms= takes a TOML file or a mapping, not {type(source).__name__}.")
    clients = table.get("client", {})
    if not isinstance(clients, Mapping) or not all(isinstance(own, Mapping) for own in clients.values()):
        raise InputError(f"{where}: client is a table for each client; write [client.Acme] above its terms.")
    for client in clients:
        if not is_text(client):
            raise InputError(f"{where}: client {quoted(client, 60)} is not a name.")
    defaults = Terms(unit_prices=source is not None)
    general = _terms({name: value for name, value in table.items() if name != "client"}, where, defaults)
    for name, value in single.items():
        if value is not None:
            general = _terms({name: value}, "", general)
    book = TermsBook(general, clients, where)
    for client in clients:
        book.of(str(client))  # raises InputError
    return book


def _terms(table: Mapping[str, Any], where: str, general: Terms) -> Terms:
    names = [name for name in Terms.__dataclass_fields__ if name != "formats"] + ["locale"]
    changes: dict[str, Any] = {}
    for name, value in table.items():
        if name not in names:
            known = [*names, *_PARTY] if ", client " in where else [*names, "client"]
            raise InputError(f"{where}: {quoted(name, 40)} is unknown; {did_you_mean(str(name), known, 'term')}")
        shown = f"{where}: {name} = {quoted(value, 60)}" if where else f"{name}={quoted(value, 60)}"
        changes["formats" if name == "locale" else name] = _READERS[name](value, shown)
    terms = replace(general, **changes)
    if terms.markup_percent and terms.markup_per_1000:
        raise InputError(f"{where}: there are markup_percent and markup_per_1000; use one of them.")
    if terms.currency is not None:
        check_minimum(terms, terms.currency, where)
    return terms


def check_minimum(terms: Terms, currency: str, where: str = "terms") -> None:
    """Raise `InputError` if the minimum fee has more decimal places than a currency."""
    if terms.minimum_fee != terms.minimum_fee.quantize(Decimal(1).scaleb(-digits_of(currency))):
        digits = digits_of(currency)
        places = f"{digits} decimal places" if digits else "no decimal places"
        raise InputError(f"{where}: minimum_fee = {amount_text(terms.minimum_fee)}: {currency} has {places}.")


def _decimal(value: Any, shown: str, most: Decimal) -> Decimal:
    amount = plain_amount(value)
    if amount is None:
        raise InputError(f'{shown} is not an amount such as "12.50".')
    if amount < 0 or amount > most:
        raise InputError(f"{shown} must be from 0 to {most:,f}.")
    if -int(amount.as_tuple().exponent) > _MOST_PLACES:
        raise InputError(f"{shown} has more than {_MOST_PLACES} decimal places.")
    return amount


def _date(value: Any, shown: str) -> date:
    if isinstance(value, datetime):
        raise InputError(f"{shown} has a time; use a day such as 2026-10-01.")
    if isinstance(value, date):
        return value
    try:
        if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            raise ValueError
        return date.fromisoformat(value)
    except ValueError:
        raise InputError(f"{shown} is not a day such as 2026-10-01.") from None


def _number(value: Any, shown: str) -> str:
    if not is_text(value) or one_line_text(value) != value or len(value) > _LONGEST:
        raise InputError(f"{shown} must be one line of text, such as '2026-014' or '2026-{{n:03}}'.")
    try:
        parts = [(name, spec, conversion) for _, name, spec, conversion in string.Formatter().parse(value)]
        named = [part for part in parts if part[0] is not None]
        if any(
            name not in _FIELDS or conversion or not re.fullmatch(r"(0\d)?", spec or "")
            for name, spec, conversion in named
        ):
            raise ValueError
        if [name for name, _, _ in named].count("n") > 1 or "{{" in value or "}}" in value:
            raise ValueError
    except ValueError:
        raise InputError(
            f"{shown}: in braces are {{n}}, once, which is counted, {{year}} or {{month}} of the issue date, with a "
            "width as in {n:04}."
        ) from None
    return str(value)


def is_counted(number: str) -> bool:
    """Return whether a number is a template that is counted.

    Examples
    --------
    >>> is_counted("2026-{n:03}"), is_counted("2026-014")
    (True, False)
    """
    return any(name == "n" for _, name, _, _ in string.Formatter().parse(number))


def counted_number(template: str, issue_date: date, n: int) -> str:
    """Return the number for a count."""
    return _filled(template, issue_date, n)


def count_series(template: str, issue_date: date) -> str:
    """Return what the count is of: the template with its year and month."""
    return _filled(template, issue_date, None)


def _filled(template: str, issue_date: date, n: int | None) -> str:
    """Return a template with its year and month, and with the count; None leaves ``{n}``."""
    values = {"n": str(n), "year": f"{issue_date.year:04}", "month": f"{issue_date.month:02}"}
    parts = []
    for literal, name, spec, _ in string.Formatter().parse(template):
        parts.append(literal)
        if name is not None:
            parts.append("{n}" if name == "n" and n is None else values[name].zfill(int(spec or 0)))
    return "".join(parts)


def _line(value: Any, shown: str) -> str:
    if not isinstance(value, str) or not one_line_text(value):
        raise InputError(f"{shown} must be a text.")
    return one_line_text(value)


def _lines(value: Any, shown: str) -> tuple[str, ...]:
    values = value.splitlines() if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)) or not all(isinstance(line, str) for line in values):
        raise InputError(f"{shown} must be a text or a list of texts.")
    return tuple(line for line in map(one_line_text, values) if line)


def _flag(value: Any, shown: str) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{shown} must be true or false.")
    return value


def _party(value: Any, shown: str) -> Party:
    if isinstance(value, str):
        return Party(_line(value, shown))
    if not isinstance(value, Mapping):
        raise InputError(f"{shown} must be a name, or a table with {', '.join(_PARTY)}.")
    unknown = [name for name in value if name not in _PARTY]
    if unknown:
        raise InputError(f"{shown}: {quoted(unknown[0], 40)} is unknown; there are {', '.join(_PARTY)}.")
    readers: dict[str, Any] = {"name": _line, "address": _lines, "tax_id": _line, "contact": _line}
    parts: dict[str, Any] = {name: readers[name](part, f"{shown}: {name}") for name, part in value.items()}
    return Party(**parts)


_READERS: dict[str, Any] = {
    "number": _number,
    "issue_date": _date,
    "currency": lambda value, shown: currency_code(value, shown.partition(":")[0]),
    "locale": lambda value, shown: number_formats(value, shown),
    "minimum_fee": lambda value, shown: _decimal(value, shown, Decimal(10**9)),
    "markup_percent": lambda value, shown: _decimal(value, shown, Decimal(1000)),
    "markup_per_1000": lambda value, shown: _decimal(value, shown, Decimal(10**6)),
    "tax_rate": lambda value, shown: _decimal(value, shown, Decimal(100)),
    "tax_name": _line,
    "notes": _lines,
    "unit_prices": _flag,
    "issuer": _party,
    "recipient": _party,
}
