"""``histkit statement`` and ``statements``: the bills of clients for a period."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click
import pandas as pd

import histkit as hk
from histkit.cli.common import (
    CSV,
    FILE,
    FOLDER,
    FORCE,
    JSON,
    PRICES,
    RULES,
    TZ,
    check_output,
    checked_prices,
    labelled_rows,
    print_table,
    print_written,
    source,
    whole_history,
)
from histkit.cli.output import print_data, print_message
from histkit.frame.files import csv_text
from histkit.frame.names import UnmatchedNameError, did_you_mean
from histkit.money.costs import costs_by_currency
from histkit.reports.model import MEASURE_COLUMNS, ReportColumn, ReportTable, measure_totals
from histkit.reports.statement_files import (
    FORMATS,
    caveats,
    json_text,
    statement_output,
    statement_report,
    with_own_places,
)
from histkit.reports.terminal import print_report
from histkit.usage.labels import COLUMN, read_rules
from histkit.util.text import count_noun, quoted


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = source(command)
    for option in (
        FORCE,
        CSV,
        JSON,
        click.option(
            "--by",
            multiple=True,
            default=("voice", "model"),
            show_default=True,
            help="Groups that make the lines; may be repeated.",
        ),
        click.option("--column", help="Column with the client of each row. Default: the column of the rules."),
        PRICES,
        RULES,
        TZ,
    ):
        command = option(command)
    return command


def _labelled(rules: str | None, column: str | None, tz: str, **chosen: Any) -> tuple[pd.DataFrame, str]:
    """Read the complete history with its column of clients; also return the name of that column."""
    if rules is None and column is None:
        raise click.UsageError("Add --rules, a TOML file that assigns rows to clients, or --column, such as account.")
    default, parsed = (COLUMN, []) if rules is None else read_rules(rules, tz)
    name = column or default
    frame = whole_history(**chosen)
    if rules is not None:
        return labelled_rows(frame, parsed, name, rules, **chosen), name
    if name not in frame.columns:
        columns = map(str, frame.columns)
        raise UnmatchedNameError(
            f"column={quoted(name)} is not in the history; {did_you_mean(name, columns, 'column')}"
        )
    return frame, name


def _print_caveats(facts: dict[str, Any], period: str) -> None:
    if facts["period"] != period.strip().upper():  # such as "last month"
        print_message(f"note: the period is {facts['period']}, {facts['tz']}.")
    for caveat in caveats(facts):
        print_message(f"note: {caveat}.")


@click.command()
@click.argument("client")
@click.argument("period")
@click.option(
    "-o",
    "--output",
    type=FILE,
    help="File to write: .html, .xlsx, .md, .csv or .json. Default: print the statement.",
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
    force: bool,
    **chosen: Any,
) -> None:
    """Bill CLIENT for PERIOD: lines, totals, and a fingerprint of the rows.

    PERIOD is a year 2026, a quarter 2026-Q3, a month 2026-10, an ISO week 2026-W41, a day 2026-10-05, or 'last month'.
    The same rows always give the same file.
    """
    check_output(json_, csv_)
    target = None if output is None else statement_output(output, force=force)
    book = hk.read_prices(prices, tz=tz) if prices else None  # raises before anything is read
    frame, name = _labelled(rules, column, tz, **chosen)
    options: dict[str, Any] = {"path": output, "column": name, "tz": tz, "by": by, "force": force}
    with checked_prices(frame, book, name, **chosen) as book:
        lines = hk.statement(frame, client, period, title=title, prices=book, **options)
    facts = lines.attrs["histkit"]
    _print_caveats(facts, period)
    if json_:
        print_data(json_text(with_own_places(lines), ascii_only=True))
    elif csv_:
        print_data(csv_text(with_own_places(lines), for_terminal=True))
    elif target is None:
        print_report(statement_report(lines))
    else:
        print_written(target, f"{count_noun(facts['rows'], 'row')}, fingerprint {facts['fingerprint']}")


@click.command()
@click.argument("period")
@click.option(
    "-o", "--output", type=FOLDER, help="Folder for a file per client; default: write none, print the totals."
)
@click.option("--format", default="html", show_default=True, type=click.Choice(FORMATS), help="Format of these files.")
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
    force: bool,
    **chosen: Any,
) -> None:
    """Bill every client for PERIOD (see histkit statement): together, all rows of the period."""
    check_output(json_, csv_)
    book = hk.read_prices(prices, tz=tz) if prices else None  # raises before anything is read
    frame, name = _labelled(rules, column, tz, **chosen)
    options: dict[str, Any] = {"folder": output, "format": format, "column": name, "tz": tz, "by": by}
    with checked_prices(frame, book, name, **chosen) as book:
        table = hk.statements(frame, period, force=force, prices=book, **options)
    _print_caveats(table.attrs["histkit"], period)
    if table.attrs["histkit"]["replaced"]:
        print_message(f"{count_noun(table.attrs['histkit']['replaced'], 'file')} replaced.")
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
        table = table.assign(cost=costs_by_currency(table))
    if output is not None:
        columns.append(ReportColumn("path", "File", drop_rank=2, whole=True))
    columns.append(ReportColumn("fingerprint", "Fingerprint", drop_rank=1, whole=True))
    print_table(ReportTable("", table, tuple(columns), totals), json_, csv_)


COMMANDS = (statement, statements)
