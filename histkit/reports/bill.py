"""A bill: what a statement will hold before it has a number, and what a correction bills of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from histkit.money.currencies import digits_of
from histkit.reports.amounts import Amounts, nothing
from histkit.reports.register import Entry, Key
from histkit.reports.terms import Terms
from histkit.usage.aggregate import MEASURES

ENTRY = "entry"  # column of a correction's lines
UNIT_PRICE = "per_1000_credits"
MONEY = (UNIT_PRICE, "cost", "currency", "priced")
Voices = list[tuple[str | None, str | None, str]]


@dataclass(frozen=True)
class Bill:
    """A statement as computed from the rows.

    Attributes
    ----------
    key : (client, start, end)
        Whose, and of which period in seconds since 1970.
    lines : pandas.DataFrame
        The table.
    facts : dict
        For ``attrs["histkit"]``.
    rows : pandas.DataFrame
        See `billed_rows`.
    terms : Terms
        Of this client.
    amounts : dict of str to Amounts
        By currency; empty without prices.
    column : str
        The column with the clients.
    names : list
        The groups that make the lines.
    voices : list of (id or None, name or None, label)
        How the voices in the lines are labelled.
    own_title : bool
        Whether the caller chose the title.
    rules : str or None
        Fingerprint of the rules that labelled the rows, if known.
    """

    key: Key
    lines: pd.DataFrame
    facts: dict[str, Any]
    rows: pd.DataFrame
    terms: Terms
    amounts: dict[str, Amounts]
    column: str
    names: list[Any]
    voices: Voices
    own_title: bool = False
    rules: str | None = None

    @property
    def totals(self) -> dict[str, int | None]:
        """Items, characters and credits of all lines."""
        return {name: self.facts["totals"][name] for name in MEASURES}

    def table(self) -> pd.DataFrame:
        """Return the lines with the facts in ``attrs``."""
        table = self.lines.copy(deep=False)
        table.attrs["histkit"] = self.facts
        return table


def corrected(bill: Bill, entries: Sequence[Entry], changes: Mapping[str, int]) -> Bill:
    """Return the correction that bills the difference to what entries of the same client and period have billed.

    Its lines are all lines as they are now, and a credit line for each entry (and currency); so they add up to the
    difference.

    Parameters
    ----------
    bill : Bill
        The statement as it is now.
    entries : sequence of Entry
        What was issued, oldest first.
    changes : mapping of str to int
        What changed since, for the readers.
    """
    credits = [line for entry in entries for line in _credit_lines(entry, bill)]
    lines = _with_credit_lines(bill, credits)
    totals: dict[str, Any] = {
        name: _difference(bill.totals[name], [entry.totals.get(name) for entry in entries]) for name in MEASURES
    }
    amounts = dict(bill.amounts)
    for entry in entries:
        for currency, texts in entry.amounts.items():
            amounts[currency] = amounts.get(currency, nothing(currency)) - Amounts.of(texts)
    facts = {**bill.facts, "corrects": entries[0].number, "changes": dict(changes), "totals": totals}
    if "cost" in bill.facts["totals"]:
        totals["cost"] = {currency: f"{amount.lines:f}" for currency, amount in sorted(amounts.items())}
    if "amounts" in facts:
        facts["amounts"] = {currency: amount.texts() for currency, amount in sorted(amounts.items())}
    if not bill.own_title:
        facts["title"] = correction_title(bill, entries[0].number)
    return replace(bill, lines=lines, facts=facts, amounts=amounts)


def correction_title(bill: Bill, number: str) -> str:
    """Return the default title of the correction of a statement."""
    return f"Correction of statement {number} for {bill.facts['client']}, {bill.facts['period']}"


def relabelled(bill: Bill, voices: Voices) -> Bill:
    """Return a bill with the labels of voices that an issued one has."""
    recorded = {(voice_id, name): label for voice_id, name, label in voices}
    labels = {label: recorded.get((voice_id, name), label) for voice_id, name, label in bill.voices}
    if all(label == new for label, new in labels.items()):
        return bill
    lines = bill.lines
    for name in ("voice", "speaker"):
        if name in bill.names:
            texts = [labels.get(label, label) for label in lines[name]]
            lines = lines.assign(**{name: pd.array(texts, dtype=lines[name].dtype)})
    lines = lines.iloc[line_order(lines)].reset_index(drop=True)
    named = [(voice_id, name, labels[label]) for voice_id, name, label in bill.voices]
    return replace(bill, lines=lines, voices=named)


def line_order(table: pd.DataFrame) -> list[int]:
    """Return the positions of the lines by credits, the largest first and unknown ones last; ties by their names."""
    names = [name for name in table.columns if name not in (*MEASURES, "cost", "priced")]
    credits = [(True, 0) if pd.isna(value) else (False, -int(value)) for value in table["credits"]]
    groups = [[_sort_key(value) for value in table[name]] for name in names]
    keys = [(credit, *(column[row] for column in groups)) for row, credit in enumerate(credits)]
    return sorted(range(len(keys)), key=keys.__getitem__)


def _sort_key(value: Any) -> tuple[str, str]:
    return ("", "") if pd.isna(value) else (str(value), type(value).__name__)


def _difference(now: int | None, before: Sequence[int | None]) -> int | None:
    if now is None or any(value is None for value in before):
        return None
    return now - sum(value for value in before if value is not None)


def _credit_lines(entry: Entry, bill: Bill) -> list[dict[str, Any]]:
    """Return the line, or a line per currency, that takes back an entry."""
    counts: dict[str, Any] = {
        name: None if entry.totals.get(name) is None else -int(entry.totals[name] or 0) for name in MEASURES
    }
    line: dict[str, Any] = {ENTRY: f"less {entry.number}", **counts}
    if "cost" not in bill.lines.columns:
        return [line]
    lines = [{**line, "cost": None, "currency": None}]
    for place, (currency, texts) in enumerate(sorted(entry.amounts.items())):
        money = {"cost": -Decimal(texts["lines"]), "currency": currency}
        if place == 0:
            lines[0].update(money)
        else:  # the counts stand in the first line
            lines.append({**line, **dict.fromkeys(MEASURES, 0), **money})
    return lines


def _with_credit_lines(bill: Bill, credits: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    lines = bill.lines
    first = pd.array(["now"] * len(lines), dtype=pd.StringDtype("pyarrow"))
    now = lines.assign(**{ENTRY: first})[[ENTRY, *lines.columns]]
    if not credits:
        return now
    columns: dict[Any, Any] = {}
    for name in now.columns:
        values = [line.get(name) for line in credits]
        if name == "cost":
            both = [*now[name].tolist(), *values]
            known = [value for value in both if value is not None and not pd.isna(value)]
            digits = max([2, *(-int(value.as_tuple().exponent) for value in known)]) if known else 2
            digits = max((digits_of(code) for code in _currencies(now, credits)), default=digits)
            cells = [None if value is None or pd.isna(value) else value for value in both]
            columns[name] = pd.arrays.ArrowExtensionArray(pa.array(cells, pa.decimal128(38, digits)))
            continue
        added = pd.Series(values, dtype=object)
        target = now[name].dtype
        if name == ENTRY or name in MEASURES or name == "currency":
            columns[name] = pd.concat([now[name], added.astype(target)], ignore_index=True).array
        else:  # of no group: missing
            columns[name] = now[name].reindex(range(len(now) + len(credits))).array
    return pd.DataFrame(columns)


def _currencies(now: pd.DataFrame, credits: Sequence[Mapping[str, Any]]) -> set[str]:
    return {*now["currency"].dropna(), *(line["currency"] for line in credits if line.get("currency"))}
