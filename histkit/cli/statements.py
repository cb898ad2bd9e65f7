"""``histkit statement`` and ``statements``: what clients are billed for a period."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click
import pandas as pd

import histkit as hk
from histkit.cli.common import CSV, FOLDER, HISTORY, JSON, PRICES, RULES, TZ, print_table, rows_of
from histkit.frame.files import csv_text
from histkit.reports.model import MEASURE_COLUMNS, ReportColumn, ReportTable, measure_totals
from histkit.reports.statement_files import FORMATS, caveats, json_text, statement_report
from histkit.reports.terminal import print_report
from histkit.usage.labels import COLUMN, label, read_rules


def add_to(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(statement)
    group.add_command(statements)


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--live", is_flag=True, help="Read from the API also where there is a local history."),
        click.option("--account", multiple=True, help="Of a local history of several accounts; may be repeated."),
        click.option("--history", default=HISTORY, show_default=True, type=FOLDER, help="The local history."),
        CSV,
        JSON,
        click.option(
            "--by",
            multiple=True,
            default=("voice", "model"),
            show_default=True,
            help="What lines are told apart by; may be repeated.",
        ),
        click.option("--column", help="Column that names the client of each row; default: what the rules say."),
        PRICES,
        RULES,
        TZ,
    ):
        command = option(command)
    return command


def _labelled(rules: str | None, column: str | None, **chosen: Any) -> tuple[pd.DataFrame, str]:
    if rules is None and column is None:
        raise click.UsageError("Give --rules, a TOML that tells whose rows are whose, or --column, such as account.")
    named = column or (COLUMN if rules is None else read_rules(rules)[0])
    none: tuple[str, ...] = ()
    frame = rows_of(**chosen, search=None, limit=None, voice=none, model=none, source=none, after=None, before=None)
    return frame if rules is None else label(frame, rules, column=named), named


def _doubted(facts: dict[str, Any]) -> None:
    for doubt in caveats(facts):
        click.echo(f"histkit: note: {doubt}.", err=True)


@click.command()
@click.argument("client")
@click.argument("period")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file: .html, .xlsx, .md, .csv or .json; without it the statement is printed.",
)
@click.option("--title", help="Headline.")
@_options
def statement(
    client: str,
    period: str,
    output: Path | None,
    title: str | None,
    tz: str,
    rules: str | None,
    prices: str | None,
    column: str | None,
    by: tuple[str, ...],
    json_: bool,
    csv_: bool,
    **chosen: Any,
) -> None:
    """Bill CLIENT for PERIOD: lines, totals, and a fingerprint of the rows.

    PERIOD is a year 2026, a quarter 2026-Q3, a month 2026-10, an ISO week 2026-W41 or a day 2026-10-05. Made again of
    the same rows, a statement has the same bytes.
    """
    if json_ and csv_:
        raise click.UsageError("Give --json or --csv, not both.")
    frame, named = _labelled(rules, column, **chosen)
    found = hk.statement(frame, client, period, path=output, column=named, tz=tz, prices=prices, by=by, title=title)
    _doubted(found.attrs["histkit"])
    if json_:
        sys.stdout.write(json_text(found))
    elif csv_:
        sys.stdout.write(csv_text(found))
    elif output is None:
        print_report(statement_report(found))
    else:
        facts = found.attrs["histkit"]
        click.echo(f"{output}: {facts['rows']:,} rows, fingerprint {facts['fingerprint']}")


@click.command()
@click.argument("period")
@click.option(
    "-o", "--output", type=FOLDER, help="Folder for a file of each client; without it only the sums are told."
)
@click.option("--format", default="html", show_default=True, type=click.Choice(FORMATS), help="Of these files.")
@_options
def statements(
    period: str,
    output: Path | None,
    format: Literal["md", "html", "xlsx", "csv", "json"],
    tz: str,
    rules: str | None,
    prices: str | None,
    column: str | None,
    by: tuple[str, ...],
    json_: bool,
    csv_: bool,
    **chosen: Any,
) -> None:
    """Bill every client for PERIOD, which is told as for `statement`; together they are all rows of the period."""
    frame, named = _labelled(rules, column, **chosen)
    table = hk.statements(frame, period, folder=output, format=format, column=named, tz=tz, prices=prices, by=by)
    _doubted(table.attrs["histkit"])
    columns = [ReportColumn("client", "Client"), *MEASURE_COLUMNS]
    totals = measure_totals(table)
    if prices is not None:
        columns += [
            ReportColumn("cost", "Cost", "money"),
            ReportColumn("currency", "Currency"),
            ReportColumn("priced", "Priced", "share"),
        ]
        if table["currency"].nunique() == 1:
            totals["cost"] = sum(table["cost"].dropna())
    if output is not None:
        columns.append(ReportColumn("path", "File"))
    columns.append(ReportColumn("fingerprint", "Fingerprint"))
    print_table(ReportTable("", table, tuple(columns), totals), json_, csv_)
