"""Statements as files: what a client reads (HTML, XLSX, Markdown), and what a program does (CSV, JSON)."""

from __future__ import annotations

import json
import os
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from histkit.errors import InputError
from histkit.frame.files import csv_text
from histkit.frame.json_values import plain_value, records
from histkit.reports.model import Fact, Report, ReportColumn, ReportTable, Section
from histkit.reports.report import write_report
from histkit.util.files import atomic_write

FORMATS = ("md", "html", "xlsx", "csv", "json")
_CHANGING = ("open", "newest", "incomplete", "rows_without_date")  # of the history, not of the rows that are billed
_COUNTS = ("items", "characters", "credits")


def statement_path(path: Any) -> Path:
    """Take a path whose ending tells the format of a statement.

    Raises
    ------
    InputError
        It tells none.
    """
    target = Path(path).expanduser() if isinstance(path, (str, os.PathLike)) else Path()
    if target.suffix[1:].lower() not in FORMATS:
        endings = ", ".join(f".{each}" for each in FORMATS)
        raise InputError(f"path={str(path)!r:.80} is no file for a statement: one ends in {endings}.")
    return target


def write_statement(table: pd.DataFrame, path: Path) -> None:
    """Write what `histkit.statement` gives, all of it or nothing.

    Raises
    ------
    ArchiveError
        The file can't be written.
    """
    ending = path.suffix[1:].lower()
    if ending not in ("csv", "json"):
        write_report(statement_report(table), path)
        return
    text = csv_text(table) if ending == "csv" else json_text(table)
    with atomic_write(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))


def statement_report(table: pd.DataFrame) -> Report:
    """Make the report that a statement is read as."""
    facts = table.attrs["histkit"]
    totals = facts["totals"]
    lines = _lines(table, facts)
    unknown = facts["rows_without_credits"]
    shown = [
        Fact("Items", totals["items"]),
        Fact("Characters", totals["characters"]),
        Fact("Credits", totals["credits"], note=f"of {unknown:,} items they are not known" if unknown else "measured"),
    ]
    for currency, cost in totals.get("cost", {}).items():
        shown.append(Fact(f"Cost in {currency}", Decimal(cost), "money", _priced(facts)))
    subtitle = f"{facts['client']}; {_span(facts['start'], facts['end'])}, {facts['tz']}"
    return Report(facts["title"], subtitle, tuple(shown), (lines, _proof(facts)))


def _span(start: str, end: str) -> str:
    """Tell a span by its first and its last day where it is made of whole days."""
    first, after = (datetime.fromisoformat(each) for each in (start, end))
    if first.time() == after.time() == time():
        return f"{first:%Y-%m-%d} to {after - timedelta(days=1):%Y-%m-%d}"
    return f"from {start} to before {end}"


def _lines(table: pd.DataFrame, facts: dict[str, Any]) -> Section:
    named = [str(name) for name in table.columns if name not in (*_COUNTS, "cost", "currency", "priced")]
    columns = [
        *(ReportColumn(name, name.replace("_", " ").capitalize()) for name in named),
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
    if {"voice", "speaker"} & set(named):
        notes.append("The credits of a dialogue are shared out among its voices by their characters.")
    if "cost" in table.columns:
        notes.append("Costs are exact until the end; lines are rounded so that they make up the rounded total.")
    rows = table.set_axis([str(name) for name in table.columns], axis=1)
    return Section("lines", "Lines", tuple(notes), (ReportTable("", rows, tuple(columns), totals),))


def _priced(facts: dict[str, Any]) -> str:
    if not facts["unpriced_credits"]:
        return "all credits are priced"
    return f"{facts['unpriced_credits']:,} credits ({100 * (1 - facts['priced']):.1f} %) have no price"


def _proof(facts: dict[str, Any]) -> Section:
    notes = [
        f"Made of {facts['rows']:,} rows of the history. Their fingerprint is {facts['fingerprint']}: a statement made "
        "again of the same rows and credits bears the same one.",
    ]
    if facts["rows_without_credits"]:
        notes.append(
            f"{facts['rows_without_credits']:,} rows don't tell what they cost; they count as items, not as 0."
        )
    return Section("proof", "What this is made of", tuple(notes))


def json_text(table: pd.DataFrame) -> str:
    """Give a statement as JSON."""
    facts = {name: value for name, value in table.attrs["histkit"].items() if name not in _CHANGING}
    return json.dumps({**plain_value(facts), "lines": records(table)}, ensure_ascii=False, indent=2) + "\n"


def caveats(facts: dict[str, Any]) -> list[str]:
    """Say why a statement may come out otherwise later; nothing of it is written into one."""
    found = []
    if facts["open"]:
        newest = f"its newest row is of {facts['newest']}" if facts["newest"] else "it has no dated row"
        found.append(f"the history doesn't reach the end of the period ({newest}); what comes later is not in here")
    if facts["incomplete"]:
        found.append("the history was not read to its end: rows may be missing")
    if facts["rows_without_date"]:
        found.append(f"{facts['rows_without_date']:,} rows have no date and are in no period")
    return found
