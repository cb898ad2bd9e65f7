"""Statements as files: HTML, XLSX and Markdown for readers, CSV and JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd

from histkit.frame.files import csv_text
from histkit.frame.json_values import plain_value, records
from histkit.money.costs import costs_by_currency
from histkit.reports.bill import ENTRY, MONEY, UNIT_PRICE
from histkit.reports.html import html
from histkit.reports.markdown import markdown
from histkit.reports.model import Fact, Report, ReportColumn, ReportTable, Section, group_column, heading, no_name
from histkit.reports.number_formats import PLAIN, NumberFormats
from histkit.reports.report import KINDS
from histkit.reports.sections import DIALOGUE_NOTE
from histkit.reports.xlsx import write_xlsx
from histkit.util.outputs import CSV, HTML, JSON, MARKDOWN, XLSX, FileKind, OutputFile, output_of

PROVISIONAL = "provisional"
_PART_NOTE = (
    "A line with 0 items is of a voice that speaks a smaller part of dialogues: each dialogue is one item, counted for "
    "the voice with most of its characters."
)
_HISTORY_FACTS = ("open", "newest", "incomplete", "rows_without_date")  # of the history, not of the billed rows
_COUNTS = ("items", "characters", "credits")
_CHANGES = {
    "came": "Rows that came",
    "went": "Rows that went",
    "credits": "Rows whose credits changed",
    "price": "Rows whose price changed",
}


def statement_output(path: Any, *, force: bool = False) -> OutputFile:
    """Return the file of a statement, whose extension selects the format.

    Raises
    ------
    InputError
        The extension is unknown, or the file exists and is of another kind.
    ArchiveError
        It can't be written.
    """
    return output_of(path, (*KINDS, CSV, JSON), "a statement", force=force)


def write_statement(table: pd.DataFrame, output: OutputFile) -> None:
    """Write a statement atomically.

    Raises
    ------
    ArchiveError
        The file can't be written.
    """
    with output.open() as temporary:
        render_statement(table, output.kind, temporary)


def render_statement(table: pd.DataFrame, kind: FileKind, path: Path) -> None:
    """Write a statement of a kind to a new file; the same statement gives the same bytes.

    Raises
    ------
    InputError
        XlsxWriter is not installed.
    OSError
        The file can't be written.
    """
    if kind is XLSX:
        write_xlsx(statement_report(table, numbers=True), path)
        return
    if kind in (CSV, JSON):
        table = with_own_places(table)
    renderers = {HTML: _html_text, MARKDOWN: _markdown_text, CSV: statement_csv, JSON: json_text}
    path.write_bytes(renderers[kind](table).encode("utf-8", "replace"))


def _html_text(table: pd.DataFrame) -> str:
    return html(statement_report(table))


def _markdown_text(table: pd.DataFrame) -> str:
    return markdown(statement_report(table))


def statement_csv(table: pd.DataFrame, *, for_terminal: bool = False) -> str:
    """Return the lines of a statement as CSV; those of a provisional one say so in a column."""
    reasons = table.attrs["histkit"][PROVISIONAL]
    if reasons:
        table = table.assign(**{PROVISIONAL: "; ".join(reasons)})
    return csv_text(table, for_terminal=for_terminal)


def statement_report(table: pd.DataFrame, *, numbers: bool = False) -> Report:
    """Build the report that shows a statement to readers.

    Parameters
    ----------
    table : pandas.DataFrame
        As `histkit.statement` returns it.
    numbers : bool
        Leave numbers as numbers, for a workbook, also where there is a locale.
    """
    facts = table.attrs["histkit"]
    formats = NumberFormats(facts["locale"]) if facts.get("locale") else PLAIN
    title = f"Provisional: {facts['title']}" if facts[PROVISIONAL] else facts["title"]
    dates = _span(facts["start"], facts["end"], formats)
    subtitle = f"{facts['client']}; {dates}, {facts['tz']}"
    sections = [
        *_provisional(facts),
        *_parties(facts),
        _lines(table, facts),
        *_amounts(facts, formats),
        *_changes(facts),
        _proof(facts, formats),
        *_notes(facts),
    ]
    report = Report(title, subtitle, tuple(_headline(facts, formats)), tuple(sections))
    return report if numbers or formats is PLAIN else _localized(report, formats)


def _localized(report: Report, formats: NumberFormats) -> Report:
    """Return a report whose numbers are texts of a locale."""
    facts = tuple(Fact(fact.label, formats.value(fact.value, fact.kind), fact.kind, fact.note) for fact in report.facts)
    sections = []
    for section in report.sections:
        tables = tuple(_localized_table(table, formats) for table in section.tables)
        sections.append(Section(section.key, section.title, section.notes, tables))
    return Report(report.title, report.subtitle, facts, tuple(sections))


def _localized_table(table: ReportTable, formats: NumberFormats) -> ReportTable:
    kinds = {column.name: column.kind for column in table.columns if column.numeric}
    texts = {
        name: [formats.value(value, kind) for value in table.frame[name].astype(object)] for name, kind in kinds.items()
    }
    frame = table.frame.assign(
        **{name: pd.Series(values, table.frame.index, dtype=object) for name, values in texts.items()}
    )
    totals = {name: formats.value(value, kinds.get(name, "text")) for name, value in table.totals.items()}
    return replace(table, frame=frame, totals=totals, values=table.frame)


def _headline(facts: dict[str, Any], formats: NumberFormats) -> Iterator[Fact]:
    totals = facts["totals"]
    unknown = facts["rows_without_credits"]
    note = f"of {_count(unknown, 'item', formats)} they are not known" if unknown else "measured"
    if facts.get("corrects"):
        note = "difference to what was billed"
    for currency, amounts in facts.get("amounts", {}).items():
        yield Fact(f"Total in {currency}", Decimal(amounts["total"]), "money")
    if "number" in facts:
        yield Fact("Number", facts["number"] or "not issued", "text")
    if facts.get("issue_date"):
        yield Fact("Issue date", formats.date(date.fromisoformat(facts["issue_date"])), "text")
    if facts.get("corrects"):
        yield Fact("Corrects", facts["corrects"], "text")
    yield Fact("Items", totals["items"])
    yield Fact("Characters", totals["characters"])
    yield Fact("Credits", totals["credits"], note=note)
    for currency, cost in totals.get("cost", {}).items():
        yield Fact(f"Cost in {currency}", Decimal(cost), "money", _coverage(facts, formats))


def _count(number: int, noun: str, formats: NumberFormats) -> str:
    return f"{formats.value(number, 'count')} {noun}{'s' if number != 1 else ''}"


def _span(start: str, end: str, formats: NumberFormats) -> str:
    """Describe a period by its first and last day if it consists of complete days, else by its instants."""
    first, stop = datetime.fromisoformat(start), datetime.fromisoformat(end)
    if first.time() == stop.time() == time():
        return f"{formats.date(first.date())} to {formats.date((stop - timedelta(days=1)).date())}"
    return f"from {start} to before {end}"


def _provisional(facts: dict[str, Any]) -> Iterator[Section]:
    if facts[PROVISIONAL]:
        notes = [f"{reason[0].upper()}{reason[1:]}." for reason in facts[PROVISIONAL]]
        first = "This statement is provisional: the same period may have other rows or credits later."
        yield Section(PROVISIONAL, "Provisional", (first, *notes))


def _parties(facts: dict[str, Any]) -> Iterator[Section]:
    if facts.get("issuer") or len(facts.get("recipient", [])) > 1:
        parties = {"From": facts.get("issuer", []), "To": facts.get("recipient", [])}
        columns = {name: lines for name, lines in parties.items() if lines}
        rows = list(zip_longest(*columns.values(), fillvalue=""))
        frame = pd.DataFrame(rows, columns=[*columns], dtype=object)
        table = ReportTable("", frame, tuple(ReportColumn(n, n) for n in columns), sortable=False)
        yield Section("parties", "Parties", (), (table,))


def _lines(table: pd.DataFrame, facts: dict[str, Any]) -> Section:
    groups = [str(name) for name in table.columns if name not in (*_COUNTS, *MONEY)]
    columns = [
        *(group_column(name) if ENTRY not in groups else ReportColumn(name, heading(name)) for name in groups),
        *(ReportColumn(name, name.capitalize(), "count") for name in _COUNTS),
    ]
    totals: dict[str, Any] = {name: facts["totals"][name] for name in _COUNTS}
    if UNIT_PRICE in table.columns:
        columns.append(ReportColumn(UNIT_PRICE, "Price", "money"))
    if "cost" in table.columns:
        costs = facts["totals"]["cost"]
        columns.append(ReportColumn("cost", f"Cost in {next(iter(costs))}" if len(costs) == 1 else "Cost", "money"))
        if len(costs) == 1:
            totals["cost"] = Decimal(next(iter(costs.values())))
        else:
            columns.append(ReportColumn("currency", "Currency"))
        if facts["priced"] not in (1, None):
            columns.append(ReportColumn("priced", "Priced", "share"))
            totals["priced"] = None if ENTRY in groups else facts["priced"]
    notes = []
    if UNIT_PRICE in table.columns:
        notes.append("Prices are per 1,000 credits.")
    if {"voice", "speaker"} & set(groups):
        notes.append(DIALOGUE_NOTE)
        now = table if ENTRY not in groups else table[table[ENTRY] == "now"]
        if (now["items"] == 0).any():
            notes.append(_PART_NOTE)
    if "cost" in table.columns:
        notes.append("Costs are computed exactly; the lines are rounded so that they add up to the rounded total.")
    if ENTRY in groups:
        notes.append(
            f"All lines as they are now, less what was billed before; together, what {facts['corrects']} lacks."
        )
    rows = with_own_places(table).set_axis([str(name) for name in table.columns], axis=1)
    if ENTRY in groups:  # a line that takes back a statement has no group, and no name for it
        nameless = {name: rows[name].isna() & (rows[ENTRY] == "now") for name in groups}
        named = {
            name: rows[name].astype(object).mask(where, no_name(name))
            for name, where in nameless.items()
            if where.any()
        }
        rows = rows.assign(**named)
    return Section("lines", "Lines", tuple(notes), (ReportTable("", rows, tuple(columns), totals),))


def _amounts(facts: dict[str, Any], formats: NumberFormats) -> Iterator[Section]:
    """Yield the section that leads from the lines to the total."""
    if "amounts" not in facts:
        return
    terms = facts["terms"]
    tables = []
    for currency, amounts in facts["amounts"].items():
        known = {name: Decimal(value) for name, value in amounts.items()}
        net = known["lines"] + known["markup"] + known["minimum"]
        rows = [("Lines", known["lines"])]
        if "markup_percent" in terms or "markup_per_1000" in terms or known["markup"]:
            rows.append((f"Markup{_markup(terms, currency, formats)}", known["markup"]))
        if "minimum_fee" in terms or known["minimum"]:
            fee = f" of {_amount(terms['minimum_fee'], formats)} {currency}" if "minimum_fee" in terms else ""
            rows.append((f"Top-up to the minimum fee{fee}", known["minimum"]))
        if len(rows) > 1 and ("tax_rate" in terms or known["tax"]):
            rows.append(("Net", net))
        if "tax_rate" in terms or known["tax"]:
            rate = f" ({_amount(terms['tax_rate'], formats)} %)" if "tax_rate" in terms else ""
            rows.append((f"{facts['tax_name']}{rate}", known["tax"]))
        frame = pd.DataFrame(rows, columns=["line", "amount"], dtype=object)
        columns = (ReportColumn("line", "Amounts"), ReportColumn("amount", f"In {currency}", "money"))
        tables.append(ReportTable("", frame, columns, {"amount": known["total"]}, sortable=False))
    notes = ("Markup and tax are computed from the amounts above them, and rounded half up.",)
    rounded = any(Decimal(terms.get(name, "0")) for name in ("markup_percent", "markup_per_1000", "tax_rate"))
    yield Section("amounts", "Amounts", notes if rounded else (), tuple(tables))


def with_own_places(table: pd.DataFrame) -> pd.DataFrame:
    """Return a statement whose costs have the decimal places of their currencies each."""
    return table.assign(cost=costs_by_currency(table)) if "cost" in table.columns else table


def _markup(terms: dict[str, str], currency: str, formats: NumberFormats) -> str:
    if "markup_percent" in terms:
        return f" ({_amount(terms['markup_percent'], formats)} %)"
    if "markup_per_1000" in terms:
        return f" ({_amount(terms['markup_per_1000'], formats)} {currency} per 1,000 credits)"
    return ""


def _amount(text: str, formats: NumberFormats) -> str:
    return formats.value(Decimal(text), "money")


def _coverage(facts: dict[str, Any], formats: NumberFormats) -> str:
    if not facts["unpriced_credits"]:
        return "all credits are priced"
    share = formats.value(1 - facts["priced"], "share")
    return f"{formats.value(facts['unpriced_credits'], 'count')} credits ({share}) have no price"


def _changes(facts: dict[str, Any]) -> Iterator[Section]:
    counts = facts.get("changes")
    if counts is not None:
        rows = [(label, counts.get(name, 0)) for name, label in _CHANGES.items()]
        frame = pd.DataFrame(rows, columns=["change", "rows"], dtype=object)
        columns = (ReportColumn("change", "Change"), ReportColumn("rows", "Rows", "count"))
        yield Section("changes", "Changes", (), (ReportTable("", frame, columns, sortable=False),))


def _proof(facts: dict[str, Any], formats: NumberFormats) -> Section:
    what = "rows and credits"
    if facts["fingerprint"] != facts["rows_fingerprint"]:
        has_terms = any(Decimal(value) for value in facts.get("terms", {}).values())
        what = "rows, credits, prices and terms" if has_terms else "rows, credits and prices"
    notes = [
        f"Computed from {_count(facts['rows'], 'row', formats)} of the history with the fingerprint "
        f"{facts['fingerprint']}. A statement of the same {what} has the same fingerprint.",
    ]
    if what != "rows and credits":
        notes.append(f"The fingerprint of the rows and their credits alone is {facts['rows_fingerprint']}.")
    if facts["rows_without_credits"]:
        rows = _count(facts["rows_without_credits"], "row", formats)
        notes.append(f"The credits of {rows} are unknown; they count as items, not as 0 credits.")
    return Section("proof", "Proof", tuple(notes))


def _notes(facts: dict[str, Any]) -> Iterator[Section]:
    if facts.get("notes"):
        yield Section("notes", "Notes", tuple(facts["notes"]))


def json_text(table: pd.DataFrame, *, ascii_only: bool = False) -> str:
    """Return a statement as JSON, without the facts that later rows of the history change.

    `ascii_only` escapes all other characters, for a terminal of any encoding.
    """
    facts = {name: value for name, value in table.attrs["histkit"].items() if name not in _HISTORY_FACTS}
    return json.dumps({**plain_value(facts), "lines": records(table)}, ensure_ascii=ascii_only, indent=2) + "\n"


def caveats(facts: dict[str, Any]) -> list[str]:
    """Return the reasons why a statement, or those of a table, are provisional."""
    return list(facts[PROVISIONAL])
