"""``histkit statement`` and ``statements``: the bills of clients for a period."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click
import pandas as pd

import histkit as hk
from histkit.archive.manifest import MANIFEST
from histkit.cli.common import (
    check_output,
    checked_prices,
    labelled_rows,
    print_table,
    print_written,
    was_typed,
    whole_history,
)
from histkit.cli.group import SOME_FAILED
from histkit.cli.output import print_data, print_line, print_message
from histkit.cli.request_log import columns_of, join_log
from histkit.frame.clock import name_of, zone_of
from histkit.frame.names import UnmatchedNameError, did_you_mean
from histkit.money.costs import costs_by_currency
from histkit.reports.model import MEASURE_COLUMNS, ReportColumn, ReportTable, measure_totals
from histkit.reports.register import Register
from histkit.reports.statement_files import (
    caveats,
    json_text,
    statement_csv,
    statement_output,
    statement_report,
    with_own_places,
)
from histkit.reports.terminal import print_report
from histkit.usage.label_rules import COLUMN, read_rules
from histkit.util.files import read_toml, shown_path
from histkit.util.text import count_noun, quoted


def _zone(tz: str | None, rules: str | None, prices: str | None) -> str:
    """Return the zone of a statement's days: the one that was passed, else that of the files; say so."""
    if tz is not None:
        return tz
    zones: list[tuple[str, str]] = []
    if rules is not None:
        parsed = read_rules(rules)[1]
        zones += [(name_of(parsed[0].tz), rules)] if parsed and parsed[0].own_tz else []
    if prices is not None:
        zone = read_toml(prices, "prices").get("tz")
        zones += [(name_of(zone_of(zone)), prices)] if zone is not None else []
    if not zones:
        return "UTC"
    name, path = zones[0]
    print_message(f"note: days are those of {name}, the tz of {path}; --tz names another zone.")
    return name


def _labelled(
    rules: str | None,
    column: str | None,
    zone: str,
    by: Sequence[str],
    log: Path | None,
    log_key: str,
    **chosen: Any,
) -> tuple[pd.DataFrame, str]:
    """Read the complete history, joined with a log, with its column of clients; also return that column's name."""
    if rules is None and column is None:
        raise click.UsageError("Add --rules, a TOML file that assigns rows to clients, or --column, such as account.")
    default, parsed = (COLUMN, []) if rules is None else read_rules(rules, zone)
    name = column or default
    used = [*by, *columns_of(parsed), *([] if column is None else [column])]
    frame = join_log(whole_history(**chosen), used, log, log_key, tz=zone, **chosen)
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
        print_message(f"note: provisional: {caveat}.")


def _print_issued(now: list[str], before: list[str], register: str) -> None:
    parts = [f"issued {len(now):,} now ({_first_and_last(now)})"] if now else ["issued none now"]
    parts += [f"{len(before):,} before ({_first_and_last(before)})"] if before else []
    print_message(f"note: {', '.join(parts)}; the register is {shown_path(register)}.")


def _first_and_last(numbers: list[str]) -> str:
    return ", ".join(numbers) if len(numbers) < 4 else f"{numbers[0]} to {numbers[-1]}"


def statement(
    client: str,
    period: str,
    output: Path | None,
    title: str | None,
    number: str | None,
    tz: str | None,
    rules: str | None,
    prices: str | None,
    terms: str | None,
    issue_date: str | None,
    locale: str | None,
    issue: bool,
    correct: bool,
    register: Path | None,
    column: str | None,
    by: tuple[str, ...],
    log: Path | None,
    log_key: str,
    json_: bool,
    csv_: bool,
    force: bool,
    **chosen: Any,
) -> None:
    """Run ``histkit statement`` with the values of its options."""
    check_output(json_, csv_)
    target = None if output is None else statement_output(output, force=force)
    zone = _zone(tz, rules, prices)
    book = hk.read_prices(prices, tz=zone) if prices else None  # raises before anything is read
    frame, name = _labelled(rules, column, zone, by, log, log_key, **chosen)
    options: dict[str, Any] = {"path": output, "column": name, "tz": zone, "by": by, "force": force}
    options |= {"terms": terms, "number": number, "issue_date": issue_date, "locale": locale}
    options |= {"issue": issue, "correct": correct, "register": register}
    with checked_prices(frame, book, name, **chosen) as book:
        lines = hk.statement(frame, client, period, title=title, prices=book, **options)
    facts = lines.attrs["histkit"]
    _print_caveats(facts, period)
    for other in facts.get("corrections", ()):
        if other["number"] is None:
            print_message(
                f"note: issued, it would first correct {other['corrects']} of {quoted(other['client'])}, "
                f"{other['period']}."
            )
            continue
        where = f", {other['path']}" if other["path"] else ""
        print_message(f"note: {other['number']} corrects {other['corrects']} of {quoted(other['client'])}{where}.")
    issued = ""
    if facts.get("issued"):
        numbers = [facts["number"]]
        _print_issued([] if facts["again"] else numbers, numbers if facts["again"] else [], facts["register"])
    if facts.get("issued"):
        issued = f"{'issued before' if facts['again'] else 'issued'} as {facts['number']}, "
    if json_:
        print_data(json_text(with_own_places(lines), ascii_only=True))
    elif csv_:
        print_data(statement_csv(with_own_places(lines), for_terminal=True))
    elif target is None:
        print_report(statement_report(lines))
    else:
        target.exists = target.exists and not facts.get("again")
        print_written(target, f"{issued}{count_noun(facts['rows'], 'row')}, fingerprint {facts['fingerprint']}")


def statements(
    period: str | None,
    output: Path | None,
    format: Literal["md", "html", "xlsx", "csv", "json"],
    check: bool,
    tz: str | None,
    rules: str | None,
    prices: str | None,
    terms: str | None,
    issue_date: str | None,
    locale: str | None,
    issue: bool,
    correct: bool,
    register: Path | None,
    column: str | None,
    by: tuple[str, ...],
    log: Path | None,
    log_key: str,
    json_: bool,
    csv_: bool,
    force: bool,
    **chosen: Any,
) -> None:
    """Run ``histkit statements`` with the values of its options."""
    check_output(json_, csv_)
    if check:
        if period is not None or issue or correct or output is not None:
            raise click.UsageError("--check excludes PERIOD, --output, --issue and --correct.")
        _check(register, rules, prices, column, tz, log, log_key, json_, csv_, **chosen)
        return
    if period is None:
        raise click.UsageError("Missing argument 'PERIOD'.")
    zone = _zone(tz, rules, prices)
    book = hk.read_prices(prices, tz=zone) if prices else None  # raises before anything is read
    frame, name = _labelled(rules, column, zone, by, log, log_key, **chosen)
    options: dict[str, Any] = {"folder": output, "format": format, "column": name, "tz": zone, "by": by}
    options |= {"terms": terms, "issue_date": issue_date, "locale": locale}
    options |= {"issue": issue, "correct": correct, "register": register}
    with checked_prices(frame, book, name, **chosen) as book:
        table = hk.statements(frame, period, force=force, prices=book, **options)
    _print_caveats(table.attrs["histkit"], period)
    if table.attrs["histkit"]["replaced"]:
        print_message(f"{count_noun(table.attrs['histkit']['replaced'], 'file')} replaced.")
    columns = [ReportColumn("client", "Client"), *MEASURE_COLUMNS]
    totals = measure_totals(table)
    if issue:
        facts = table.attrs["histkit"]
        _print_issued(facts["issued_now"], facts["issued_before"], facts["register"])
        if table["number"].isna().any() or table["corrects"].isna().nunique() > 1:
            totals = {}  # of statements and differences, or of rows that are billed to nobody
        columns.insert(0, ReportColumn("number", "Number", whole=True))
        if table["corrects"].notna().any():
            columns.insert(1, ReportColumn("corrects", "Corrects", whole=True, drop_rank=3))
    if prices is not None:
        columns += [
            ReportColumn("cost", "Cost", "money"),
            *([ReportColumn("total", "Total", "money")] if "total" in table.columns else []),
            ReportColumn("currency", "Currency"),
            ReportColumn("priced", "Priced", "share"),
        ]
        for money in ("cost", "total"):
            if money in table.columns and table["currency"].nunique() == 1:
                totals |= {money: sum(table[money].dropna())} if totals else {}
            if money in table.columns:
                table[money] = costs_by_currency(table, money)
    if output is not None:
        columns.append(ReportColumn("path", "File", drop_rank=2, whole=True))
    columns.append(ReportColumn("fingerprint", "Fingerprint", drop_rank=1, whole=True))
    print_table(ReportTable("", table, tuple(columns), totals), json_, csv_)


def _check(
    register: Path | None,
    rules: str | None,
    prices: str | None,
    column: str | None,
    tz: str | None,
    log: Path | None,
    log_key: str,
    json_: bool,
    csv_: bool,
    *,
    history: Path | str,
    **chosen: Any,
) -> None:
    """Prove the register, and end with its exit code."""
    place = Register(history if register is None else register)
    if not place.exists():
        if register is not None or was_typed("history"):
            raise hk.InputError(f"{place.path} does not exist: nothing was issued there.")
        print_message("nothing is issued.")
        return
    frame, name = None, column
    if rules is not None or column is not None:
        frame, name = _labelled(rules, column, tz or "UTC", (), log, log_key, history=history, **chosen)
    elif (Path(history) / MANIFEST).is_file():
        frame = whole_history(history=history, **chosen)
    findings = hk.check_statements(place.path, frame, column=name, prices=prices, tz=tz)
    facts = findings.attrs["histkit"]
    if json_ or csv_:
        print_table(ReportTable("", findings, ()), json_, csv_)
    else:
        for kind, number, client, period, problem in findings.itertuples(index=False):
            what = {"changed": "changed since", "unbilled": "not billed"}.get(kind, "failed")
            whose = f"{number}, {quoted(client)}, {period}: " if pd.notna(number) else ""
            print_line(f"{what}: {whose}{problem}")
        proven = "all proven" if findings.empty else count_noun(len(findings), "finding")
        counts = f"{count_noun(facts['statements'], 'statement')}, {count_noun(facts['rows'], 'billed row')}"
        print_line(f"{place.path}: {counts}; {proven}")
    if (findings["kind"] == "failed").any():
        raise SystemExit(1)
    if len(findings):
        raise SystemExit(SOME_FAILED)
