"""``histkit usage``, ``report``, ``quota``, ``ledger`` and ``takes``: usage as tables or as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import pandas as pd

import histkit as hk
from histkit.archive.partitions import LOADED
from histkit.cli.common import (
    checked_prices,
    date_bounds,
    labelled_rows,
    newest_rows,
    print_json,
    print_table,
    print_written,
    rows_and_size,
    rows_of,
    whole_history,
)
from histkit.cli.cut_periods import limit_note, limited_bounds, note_cut_periods
from histkit.cli.options import PERIODS
from histkit.cli.output import print_note, print_paragraph
from histkit.cli.request_log import columns_of, join_log, log_beside
from histkit.frame.clock import zone_of
from histkit.frame.names import KnownNames, UnmatchedNameError
from histkit.frame.provenance import record_selection
from histkit.money.forecast import forecast, used_share
from histkit.money.key_account import refuse_other_account
from histkit.money.spenders import BY
from histkit.reports.model import (
    ReportColumn,
    ReportTable,
    group_column,
    heading,
    name_missing,
    period_column,
    total_of,
)
from histkit.reports.quota import quota_lines
from histkit.reports.report import KINDS
from histkit.reports.sections import ROUNDING_NOTE, ledger_report_table, line_report_table, usage_report_table
from histkit.retakes.lines import line_table
from histkit.usage.aggregate import UsageQuery, column_of, is_voice
from histkit.usage.label_rules import COLUMN, read_rules
from histkit.usage.periods import parse_freq
from histkit.usage.table import parse_query
from histkit.util.outputs import output_of
from histkit.util.text import count_noun

OVER_QUOTA = 4
_NO_ROWS = "No rows: nothing in this history meets the options."


def labelled_history(
    rules: str | None,
    client: tuple[str, ...],
    chosen: dict[str, Any],
    join: Callable[[pd.DataFrame, list[str]], pd.DataFrame] | None = None,
    columns: Sequence[str] | None = None,
) -> tuple[pd.DataFrame, str]:
    """Read the rows that the options select, with the labels of the rules; also return the column of clients.

    `join` adds further columns before the rules are applied, from the rows and the columns that the rules name.
    `columns` is what the command needs of a local history where there are no rules; None is all.
    """
    column, parsed = read_rules(rules, chosen["tz"]) if rules else (COLUMN, [])  # raises before anything is read
    if client and not rules:
        raise click.UsageError("--client needs --rules, a TOML file that assigns rows to clients.")
    frame = rows_of(**chosen | ({"limit": None} if client else {}), columns=None if rules else columns)
    if frame.empty:
        print_note(_NO_ROWS)
    frame = frame if join is None else join(frame, columns_of(parsed))
    if not rules:
        return frame, column
    labelled = labelled_rows(frame, parsed, column, rules, **chosen)
    return newest_rows(_of_clients(labelled, column, client), chosen["limit"]) if client else labelled, column


def _of_clients(labelled: pd.DataFrame, column: str, client: tuple[str, ...]) -> pd.DataFrame:
    """Return the rows of some clients; a name that is no label of the rules ends the command."""
    known = KnownNames(clients=set(labelled[column].cat.categories))
    for name in client:
        if problem := known.problem("client", name):
            raise UnmatchedNameError(problem)
    selected = labelled[labelled[column].isin(client)].reset_index(drop=True)
    record_selection(selected, {"client": [*client]})
    return selected


def usage(
    period: str,
    by: tuple[str, ...],
    log: Path | None,
    log_key: str,
    top: int | None,
    compare: bool,
    reset_day: int | None,
    tz: str,
    rules: str | None,
    client: tuple[str, ...],
    prices: str | None,
    json_: bool,
    csv_: bool,
    **chosen: Any,
) -> None:
    """Run ``histkit usage`` with the values of its options."""
    if compare and prices:
        raise click.UsageError("--compare and --prices exclude each other.")
    if COLUMN in by and rules is None:
        raise click.UsageError(f"--by {COLUMN}: add --rules, a TOML file that assigns rows to clients.")
    book = hk.read_prices(prices, tz=tz) if prices else None  # raises before anything is read
    freq = PERIODS[period]
    frame, column = labelled_history(
        rules,
        client,
        {**chosen, "tz": tz},
        lambda rows, used: join_log(rows, [*by, *used], log, log_key, tz=tz, **chosen),
        None if log or book is not None else _needed_columns(by, freq),
    )
    options: dict[str, Any] = {"tz": tz, "top": top}
    if freq == "billing":
        options["billing"] = reset_day if reset_day is not None else _subscription(frame)
    elif reset_day is not None:
        raise click.UsageError("--reset-day is for billing periods.")
    if compare:
        options["compare"] = "previous"
    with checked_prices(frame, book, column, **chosen) as book:
        if book is None:
            table = hk.usage_table(frame, list(by) or None, freq, **options)
        else:
            table = hk.cost_table(frame, list(by) or None, freq, prices=book, **options)
    groups = [group_column(name) for name in by]
    if freq is not None:
        groups.insert(0, period_column(freq))
    unknown = table.attrs["histkit"].get("rows_without_credits", 0)
    notes = [limit_note(frame), f"The credits of {count_noun(unknown, 'item')} are unknown." if unknown else ""]
    if prices:
        notes.append(ROUNDING_NOTE)
    if freq is not None:
        bounds = date_bounds(**{name: chosen[name] for name in ("after", "before", "since", "until")}, tz=tz)
        length = parse_query((), freq, tz=tz, billing=options.get("billing")).length
        assert length is not None
        notes.append(note_cut_periods(table, length, zone_of(tz), limited_bounds(frame, bounds)))
    print_table(usage_report_table(table, groups, " ".join(filter(None, notes))), json_, csv_)


def _needed_columns(by: tuple[str, ...], freq: str | None) -> list[str] | None:
    """Return the columns of a local history that a usage table needs; None is all.

    All are read for a group that is no column of a history, which a log of requests has or an error explains, and for
    billing periods, whose subscription has to be that of the rows' account.
    """
    if freq == "billing" or any(column_of(name) not in LOADED and not is_voice(name) for name in by):
        return None
    return [*dict.fromkeys(["history_item_id", "account", *UsageQuery(by, None, UTC, None).columns()])]


def _subscription(frame: pd.DataFrame) -> Any:
    """Request the subscription of the account whose rows these are."""
    with hk.HistoryClient() as client:
        refuse_other_account(frame, client)
        return client.subscription()


def report(
    path: Path | None,
    title: str | None,
    with_quota: bool,
    force: bool,
    tz: str,
    rules: str | None,
    client: tuple[str, ...],
    prices: str | None,
    **chosen: Any,
) -> None:
    """Run ``histkit report`` with the values of its options."""
    output = None if path is None else output_of(path, KINDS, "a report", force=force)
    book = hk.read_prices(prices, tz=tz) if prices else None  # raises before anything is read
    frame, column = labelled_history(rules, client, {**chosen, "tz": tz})
    subscription = _subscription(frame) if with_quota else None
    with checked_prices(frame, book, column, **chosen) as book:
        hk.report(frame, path, title=title, tz=tz, prices=book, subscription=subscription, force=force)
    if output is not None:
        print_written(output, rows_and_size(output, len(frame)))


def quota(fail_over: str | None, tz: str, json_: bool, **chosen: Any) -> None:
    """Run ``histkit quota`` with the values of its options."""
    limit = _share(fail_over)
    frame = rows_of(**chosen, tz=tz)
    subscription = _subscription(frame)
    used = used_share(subscription)
    facts = forecast(frame, subscription=subscription, tz=tz).attrs["histkit"]
    if json_:
        print_json(facts)
    else:
        for line in quota_lines(facts):
            print_paragraph(line)
    if limit is not None:
        if used is None:
            raise hk.InputError("--fail-over: this plan has no limit, so no share of it is used.")
        if used > limit:
            raise SystemExit(OVER_QUOTA)


def _share(text: str | None) -> Fraction | None:
    if text is None:
        return None
    number = text.strip().removesuffix("%").strip()
    try:
        share = Fraction(number) / (100 if text.strip().endswith("%") else 1)
    except (ValueError, ZeroDivisionError):
        raise click.BadParameter(f"{text} is not a share such as 90% or 0.9.", param_hint="--fail-over") from None
    if not 0 <= share <= 10:
        raise click.BadParameter(f"{text} is not from 0% to 1000%.", param_hint="--fail-over")
    return share


def ledger(
    period: str,
    by: tuple[str, ...],
    log: Path | None,
    log_key: str,
    reset_day: int | None,
    across_accounts: bool,
    official: bool,
    requests: bool,
    tz: str,
    after: str | None,
    before: str | None,
    since: str | None,
    until: str | None,
    json_: bool,
    csv_: bool,
    **chosen: Any,
) -> None:
    """Run ``histkit ledger`` with the values of its options."""
    if official and (log or across_accounts):
        raise click.UsageError("--official excludes --log and --across-accounts.")
    if official and by and not requests:
        raise click.UsageError("--official --by needs --requests: only the request log has keys, users and the like.")
    if requests and not official:
        raise click.UsageError("--requests needs --official.")
    typed = {"after": after, "before": before, "since": since, "until": until}
    bounds = date_bounds(**typed, tz=tz)
    frame = whole_history(**chosen)
    freq: Any = PERIODS[period]  # one of those that reconcile takes, too
    options: dict[str, Any] = {"tz": tz, "billing": reset_day, "after": bounds.after, "before": bounds.before}
    if official:
        words = list(by or BY) if requests else []
        requested = log_beside(chosen["history"], words) if requests else None
        figures = hk.reconcile(frame, freq, requests=requested, by=words or None, **options)
        note = note_cut_periods(
            figures, parse_freq(freq), zone_of(tz), bounds.of_range(figures.attrs["histkit"]), what="figures"
        )
        table = _spender_table(figures, freq, words, note) if requests else _official_table(figures, freq, note)
    else:
        if by or log:
            rows = hk.filter_items(frame, after=bounds.after, before=bounds.before)
            joined = join_log(rows, by, log, log_key, tz=tz, **typed, **chosen)
            frame = frame.join(joined[[name for name in joined.columns if name not in frame.columns]])
        figures = hk.ledger(frame, freq, by=list(by) or None, across_accounts=across_accounts, **options)
        note = note_cut_periods(figures, parse_freq(freq), zone_of(tz), bounds)
        table = ledger_report_table(figures, freq, note)
    if figures.empty:
        print_note(_NO_ROWS)
    print_table(replace(table, frame=figures) if json_ or csv_ else table, json_, csv_)


def _official_table(figures: pd.DataFrame, freq: str, note: str) -> ReportTable:
    """Arrange the result of `histkit.reconcile` for readers, with totals."""
    counts = (
        ReportColumn("history", "History", "count"),
        ReportColumn("gap", "Gap (estimate)", "count"),
        ReportColumn("adjustment", "Adjustment", "count", drop_rank=1),
        ReportColumn("official", "Official", "count", bar=True),
        ReportColumn("unexplained", "Unexplained", "count"),
    )
    totals = {column.name: total_of(figures[column.name]) for column in counts}
    notes = [
        note,
        *_missing_notes(figures, official="an official figure", gap="a known gap: the counter fell unexplained"),
    ]
    return ReportTable("", figures, (period_column(freq), *counts), totals, " ".join(filter(None, notes)))


def _spender_table(lines: pd.DataFrame, freq: str, words: Sequence[str], note: str) -> ReportTable:
    """Arrange the result of `histkit.reconcile` with a request log for readers, with totals."""
    counts = (ReportColumn("requests", "Requests", "count", drop_rank=1), ReportColumn("credits", "Credits", "count"))
    totals = {column.name: total_of(lines[column.name]) for column in counts}
    facts = lines.attrs["histkit"]
    notes = ["What the official figures have beyond this history, by the requests that are in none of its rows."]
    if not lines["assigned"].all():
        notes.append("The last line of a period has what no request explains.")
    for name, noun, what in (
        ("requests_without_id", "request", "no id: they may be in the history, and are not assigned"),
        ("requests_without_credits", "request", "no credits in the log"),
        ("rows_without_request", "row", "no request id: their requests count as not in the history"),
    ):
        if facts[name]:
            notes.append(f"{count_noun(facts[name], noun)} with {what}.")
    notes += [note, *_missing_notes(lines, official="an official figure")]
    frame = name_missing(lines, words, lines["assigned"])
    columns = (period_column(freq), *(ReportColumn(word, heading(word)) for word in words), *counts)
    return ReportTable("", frame, columns, totals, " ".join(filter(None, notes)))


def _missing_notes(figures: pd.DataFrame, **words: str) -> list[str]:
    """Return sentences on the periods that lack a value; `words` say what is lacking, by column."""
    missing = figures.attrs["histkit"]["missing"]
    return [
        f"{count_noun(missing[name], 'period')} without {what}; totals are of the others."
        for name, what in words.items()
        if missing[name]
    ]


def takes(top: int, near: float | None, across_accounts: bool, json_: bool, csv_: bool, **chosen: Any) -> None:
    """Run ``histkit takes`` with the values of its options."""
    rows = rows_of(**chosen)
    takes = hk.takes(rows, near=near, across_accounts=across_accounts)
    facts = takes.attrs["histkit"]
    note = (
        f"{limit_note(rows)} "
        f"{facts['lines_with_takes']:,} of {facts['lines']:,} texts have several takes; "
        f"{facts['thrown_away']:,} credits went into those that were not kept."
    )
    measures = (
        ReportColumn("credits", "Credits", "count"),
        ReportColumn("thrown_away", "Thrown away", "count", bar=True),
    )
    table = line_report_table(line_table(takes, top), measures, note.strip())
    table.frame.attrs["histkit"] = facts
    print_table(table, json_, csv_)
