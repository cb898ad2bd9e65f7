"""``histkit reprice``: the same rows on another model, at other prices, or on other plans."""

from __future__ import annotations

from typing import Any

import click
import pandas as pd

import histkit as hk
from histkit.cli.common import (
    check_output,
    checked_prices,
    print_table,
)
from histkit.cli.cut_periods import limit_note
from histkit.cli.options import PERIODS
from histkit.cli.usage import labelled_history
from histkit.reports.model import ReportColumn, ReportTable, group_column, period_column
from histkit.util.text import count_noun

_MONEY = ("cost", "cost_low", "cost_high")


def reprice(
    period: str,
    on_model: str | None,
    current_prices: str | None,
    plan: str | None,
    by: tuple[str, ...],
    reset_day: int | None,
    tz: str,
    rules: str | None,
    client: tuple[str, ...],
    prices: str | None,
    json_: bool,
    csv_: bool,
    **chosen: Any,
) -> None:
    """Run ``histkit reprice`` with the values of its options."""
    check_output(json_, csv_)
    if on_model is None and prices is None and plan is None:
        raise click.UsageError("Add what to change: --on-model, --prices or --plan.")
    freq = PERIODS[period]
    if (freq == "billing") != (reset_day is not None):
        raise click.UsageError("Billing periods need --reset-day, and no others have one.")
    then = hk.read_prices(prices, tz=tz) if prices else None  # raises before anything is read
    now = hk.read_prices(current_prices, tz=tz) if current_prices else None
    frame, column = labelled_history(rules, client, {**chosen, "tz": tz})
    with checked_prices(frame, then, column, **chosen) as then, checked_prices(frame, now, column, **chosen) as now:
        table = hk.reprice(
            frame,
            on_model,
            list(by) or None,
            freq,
            prices=then,
            current_prices=now,
            plan=plan,
            tz=tz,
            billing=reset_day,
        )
    print_table(what_if_report_table(table, list(by), freq, limit_note(frame)), json_, csv_)


def what_if_report_table(table: pd.DataFrame, by: list[str], freq: str | None, note: str = "") -> ReportTable:
    """Arrange the table of `histkit.reprice` for readers, with totals and what the estimates rest on."""
    facts = table.attrs["histkit"]
    totals = {name: facts["totals"][name] for name in ("credits", "compared", "credits_low", "credits_high")}
    columns = [group_column(name) for name in by]
    if freq is not None:
        columns.insert(0, period_column(freq))
    columns.append(ReportColumn("credits", "Credits", "count"))
    if facts["totals"]["without_estimate"]:
        columns.append(ReportColumn("compared", "Compared", "count", drop_rank=5))
    if facts["estimate"]:
        columns.append(ReportColumn("credits_low", "Low", "count"))
        columns.append(ReportColumn("credits_high", "High", "count"))
        columns.append(ReportColumn("basis", "Basis", drop_rank=1))
    if "cost" in table.columns:
        code = facts["totals"]["currency"]
        labels = ["Cost", "Low", "High"] if facts["estimate"] else ["Cost", "Other cost", ""]
        for name, label in zip(_MONEY, labels, strict=True):
            if label:
                columns.append(ReportColumn(name, f"{label} in {code}", "money"))
        totals |= {name: sum(table[name].dropna()) for name in _MONEY if table[name].notna().any()}
    if "plan" in table.columns:
        totals = {}  # a month has a line for each plan
        columns.append(ReportColumn("plan", "Plan"))
        for side, label in (("low", "low"), ("high", "high")) if facts["estimate"] else (("low", ""),):
            columns.append(ReportColumn(f"extra_{side}", f"Extra {label}".strip(), "count", drop_rank=2))
            columns.append(ReportColumn(f"plan_cost_{side}", f"Cost {label}".strip(), "money"))
        columns.append(ReportColumn("currency", "Currency", drop_rank=3))
    return ReportTable("", table, tuple(columns), totals, " ".join(filter(None, [note, *_notes(facts)])))


def _notes(facts: dict[str, Any]) -> list[str]:
    """Return sentences on what the estimates rest on, what they leave out, and what each plan costs in all."""
    notes = []
    totals = facts["totals"]
    if facts["estimate"] and totals["compared"]:
        shares = [100 * (1 - totals[name] / totals["compared"]) for name in ("credits_high", "credits_low")]
        word = "less" if shares[0] >= 0 else "more"
        if (shares[0] >= 0) == (shares[1] >= 0):
            least, most = sorted(map(abs, shares))
            percent = f"{least:.1f} %" if f"{least:.1f}" == f"{most:.1f}" else f"{least:.1f} to {most:.1f} %"
            notes.append(f"An estimate: {percent} {word} credits on {facts['model']}.")
        else:
            notes.append(f"An estimate: {-shares[0]:.1f} % more to {shares[1]:.1f} % less credits on {facts['model']}.")
    if totals["without_estimate"]:
        verbs = ("has", "is") if totals["without_estimate"] == 1 else ("have", "are")
        items = count_noun(totals["without_estimate"], "item")
        notes.append(f"{items} {verbs[0]} no estimate and {verbs[1]} not compared.")
    if facts.get("unpriced_credits"):
        notes.append(f"{facts['unpriced_credits']:,} credits have no price in one of the books; costs leave them out.")
    for name, plan in totals.get("plans", {}).items():
        if plan["low"] is None or plan["high"] is None:
            notes.append(f"{name}: not enough credits in some months.")
        else:
            amount = plan["low"] if plan["low"] == plan["high"] else f"{plan['low']} to {plan['high']}"
            notes.append(f"{name}: {amount} {plan['currency']} in all.")
    return notes
