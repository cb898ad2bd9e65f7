"""Statements as files: HTML, XLSX and Markdown for readers, CSV and JSON for programs."""

from __future__ import annotations

import json
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd

from histkit.frame.files import csv_text
from histkit.frame.json_values import plain_value, records
from histkit.money.costs import costs_by_currency
from histkit.reports.model import Fact, Report, ReportColumn, ReportTable, Section
from histkit.reports.report import KINDS, write_report
from histkit.reports.sections import DIALOGUE_NOTE
from histkit.util.outputs import CSV, JSON, OutputFile, output_of
from histkit.util.text import count_noun, format_value

FORMATS = ("md", "html", "xlsx", "csv", "json")
_HISTORY_FACTS = ("open", "newest", "incomplete", "rows_without_date")  # of the history, not of the billed rows
_COUNTS = ("items", "characters", "credits")


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
    if output.kind in KINDS:
        write_report(statement_report(table), output)
        return
    table = with_own_places(table)
    text = csv_text(table) if output.kind is CSV else json_text(table)
    with output.open() as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))


def statement_report(table: pd.DataFrame) -> Report:
    """Build the report that shows a statement to readers."""
    facts = table.attrs["histkit"]
    totals = facts["totals"]
    lines = _lines(table, facts)
    unknown = facts["rows_without_credits"]
    note = f"of {count_noun(unknown, 'item')} they are not known" if unknown else "measured"
    headline = [
        Fact("Items", totals["items"]),
        Fact("Characters", totals["characters"]),
        Fact("Credits", totals["credits"], note=note),
    ]
    for currency, cost in totals.get("cost", {}).items():
        headline.append(Fact(f"Cost in {currency}", Decimal(cost), "money", _coverage(facts)))
    subtitle = f"{facts['client']}; {_span(facts['start'], facts['end'])}, {facts['tz']}"
    return Report(facts["title"], subtitle, tuple(headline), (lines, _proof(facts)))


def _span(start: str, end: str) -> str:
    """Describe a period by its first and last day if it consists of complete days, else by its instants."""
    first, stop = datetime.fromisoformat(start), datetime.fromisoformat(end)
    if first.time() == stop.time() == time():
        return f"{first:%Y-%m-%d} to {stop - timedelta(days=1):%Y-%m-%d}"
    return f"from {start} to before {end}"


def _lines(table: pd.DataFrame, facts: dict[str, Any]) -> Section:
    groups = [str(name) for name in table.columns if name not in (*_COUNTS, "cost", "currency", "priced")]
    columns = [
        *(ReportColumn(name, name.replace("_", " ").capitalize()) for name in groups),
        *(ReportColumn(name, name.capitalize(), "count") for name in _COUNTS),
    ]
    totals: dict[str, Any] = {name: facts["totals"][name] for name in _COUNTS}
    if "cost" in table.columns:
        costs = facts["totals"]["cost"]
        columns.append(ReportColumn("cost", f"Cost in {next(iter(costs))}" if len(costs) == 1 else "Cost", "money"))
        if len(costs) == 1:
            totals["cost"] = Decimal(next(iter(costs.values())))
        else:
            columns.append(ReportColumn("currency", "Currency"))
        if facts["priced"] not in (1, None):
            columns.append(ReportColumn("priced", "Priced", "share"))
            totals["priced"] = facts["priced"]
    notes = []
    if {"voice", "speaker"} & set(groups):
        notes.append(DIALOGUE_NOTE)
    if "cost" in table.columns:
        notes.append("Costs are computed exactly; the lines are rounded so that they add up to the rounded total.")
    rows = with_own_places(table).set_axis([str(name) for name in table.columns], axis=1)
    return Section("lines", "Lines", tuple(notes), (ReportTable("", rows, tuple(columns), totals),))


def with_own_places(table: pd.DataFrame) -> pd.DataFrame:
    """Return a statement whose costs have the decimal places of their currencies each."""
    return table.assign(cost=costs_by_currency(table)) if "cost" in table.columns else table


def _coverage(facts: dict[str, Any]) -> str:
    if not facts["unpriced_credits"]:
        return "all credits are priced"
    return f"{facts['unpriced_credits']:,} credits ({format_value(1 - facts['priced'], 'share')}) have no price"


def _proof(facts: dict[str, Any]) -> Section:
    notes = [
        f"Computed from {count_noun(facts['rows'], 'row')} of the history with the fingerprint {facts['fingerprint']}. "
        "A statement of the same rows and credits has the same fingerprint.",
    ]
    if facts["rows_without_credits"]:
        rows = count_noun(facts["rows_without_credits"], "row")
        notes.append(f"The credits of {rows} are unknown; they count as items, not as 0 credits.")
    return Section("proof", "Proof", tuple(notes))


def json_text(table: pd.DataFrame, *, ascii_only: bool = False) -> str:
    """Return a statement as JSON, without the facts that later rows of the history change.

    `ascii_only` escapes all other characters, for a terminal of any encoding.
    """
    facts = {name: value for name, value in table.attrs["histkit"].items() if name not in _HISTORY_FACTS}
    return json.dumps({**plain_value(facts), "lines": records(table)}, ensure_ascii=ascii_only, indent=2) + "\n"


def caveats(facts: dict[str, Any]) -> list[str]:
    """Return the reasons why the same statement may differ later; they are not part of its file."""
    reasons = []
    if facts["open"]:
        newest = f"its newest row is of {facts['newest']}" if facts["newest"] else "it has no dated row"
        reasons.append(f"the history doesn't reach the end of the period ({newest}); later rows are not included")
    if facts["incomplete"]:
        reasons.append("the history was not read to its end: rows may be missing")
    if facts["rows_without_date"]:
        reasons.append(f"{facts['rows_without_date']:,} rows have no date and are in no period")
    return reasons
