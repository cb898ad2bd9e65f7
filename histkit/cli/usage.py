"""``histkit usage``, ``report``, ``quota``, ``ledger``, ``takes``: what was spent, told on a terminal or as data."""

from __future__ import annotations

import re
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import pandas as pd

import histkit as hk
from histkit.cli.common import CSV, JSON, PRICES, RULES, TZ, as_json, filters, print_table, rows_of
from histkit.errors import InputError
from histkit.frame.json_values import plain_value
from histkit.money.forecast import forecast, used_share
from histkit.reports.model import ReportColumn, ReportTable, period_column, total_of
from histkit.reports.quota import quota_lines
from histkit.reports.sections import ledger_report_table, line_report_table, usage_report_table
from histkit.retakes.lines import line_table
from histkit.usage.clock import clock_time, zone_of
from histkit.usage.labels import label
from histkit.util.text import count_noun

PERIODS = {
    "hourly": "h",
    "daily": "D",
    "weekly": "W",
    "monthly": "MS",
    "quarterly": "QS",
    "yearly": "YS",
    "billing": "billing",
    "total": None,
}
OVER_QUOTA = 4
_SINCE = click.option("--since", metavar="DATE", help="From this day on, in the zone of --tz.")
_UNTIL = click.option("--until", metavar="DATE", help="To the end of this day, in the zone of --tz.")
_DAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")


def add_to(group: click.Group) -> None:
    """Add the commands."""
    for command in (usage, report, quota, ledger, takes):
        group.add_command(command)


def _rows(since: str | None, until: str | None, tz: str, rules: str | None, chosen: dict[str, Any]) -> pd.DataFrame:
    for given, name, days, instead in ((since, "since", 0, "after"), (until, "until", 1, "before")):
        if given is not None:
            if chosen[instead]:
                raise click.UsageError(f"--{name} and --{instead} say the same: give one.")
            chosen[instead] = _midnight(given, f"--{name}", tz, days)
    frame = rows_of(**chosen)
    if frame.empty:
        click.echo("No rows: nothing in this history is what the options ask for.", err=True)
    return label(frame, rules) if rules else frame


def _midnight(text: str, option: str, tz: str, days: int) -> pd.Timestamp:
    """Return the first instant of the day that lies `days` after the one given."""
    try:
        zone = zone_of(tz)
    except InputError:
        raise click.BadParameter(f"{tz} is no time zone.", param_hint="--tz") from None
    match = _DAY.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        day = date(*map(int, match.groups())) + timedelta(days=days)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{text} is no day such as 2026-10-31.", param_hint=option) from None
    return pd.Timestamp(clock_time(day, zone, option), unit="s", tz="UTC").tz_convert(zone)


@click.command()
@click.argument("period", type=click.Choice([*PERIODS]), default="monthly")
@click.option("--by", multiple=True, help="voice, model, source, account, client, or any column; may be repeated.")
@click.option("--top", type=click.IntRange(min=1), help="So many groups, the others as one.")
@click.option("--compare", is_flag=True, help="Beside the period before: change, volume, mix.")
@click.option("--reset-day", type=click.IntRange(1, 31), help="For billing periods; default: asks the subscription.")
@_SINCE
@_UNTIL
@TZ
@RULES
@PRICES
@JSON
@CSV
@filters
def usage(
    period: str,
    by: tuple[str, ...],
    top: int | None,
    compare: bool,
    reset_day: int | None,
    since: str | None,
    until: str | None,
    tz: str,
    rules: str | None,
    prices: str | None,
    json_: bool,
    csv_: bool,
    **chosen: Any,
) -> None:
    """Sum items, characters and credits by period: by the hour up to the year, by billing period, or in total."""
    frame = _rows(since, until, tz, rules, chosen)
    freq = PERIODS[period]
    options: dict[str, Any] = {"tz": tz, "top": top}
    if freq == "billing":
        options["billing"] = reset_day if reset_day is not None else _subscription()
    elif reset_day is not None:
        raise click.UsageError("--reset-day is for billing periods.")
    if compare:
        if prices:
            raise click.UsageError("--compare and --prices: give one.")
        options["compare"] = "previous"
    if prices:
        table = hk.cost_table(frame, list(by) or None, freq, prices=prices, **options)
    else:
        table = hk.usage_table(frame, list(by) or None, freq, **options)
    groups = [ReportColumn(name, name.capitalize()) for name in by]
    if freq is not None:
        groups.insert(0, period_column(freq))
    unknown = table.attrs["histkit"].get("rows_without_credits", 0)
    note = f"The credits of {count_noun(unknown, 'item')} are unknown." if unknown else ""
    print_table(usage_report_table(table, groups, note), json_, csv_)


def _subscription() -> Any:
    with hk.HistoryClient() as client:
        return client.subscription()


@click.command()
@click.argument("path", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--title", help="Headline.")
@click.option("--quota", "with_quota", is_flag=True, help="Ask for the subscription: adds quota and forecast.")
@_SINCE
@_UNTIL
@TZ
@RULES
@PRICES
@filters
def report(
    path: Path | None,
    title: str | None,
    with_quota: bool,
    since: str | None,
    until: str | None,
    tz: str,
    rules: str | None,
    prices: str | None,
    **chosen: Any,
) -> None:
    """Write a usage report to PATH (.html, .xlsx, .md); without PATH print it."""
    frame = _rows(since, until, tz, rules, chosen)
    subscription = _subscription() if with_quota else None
    made = hk.report(frame, path, title=title, tz=tz, prices=prices, subscription=subscription)
    if made is not None:
        click.echo(f"{made}: {len(frame):,} rows, {made.stat().st_size / 1e6:,.1f} MB")


@click.command()
@click.option("--fail-over", metavar="SHARE", help="Exit with 4 when more than this is used, e.g. 90%.")
@TZ
@JSON
@filters
def quota(fail_over: str | None, tz: str, json_: bool, **chosen: Any) -> None:
    """Tell how much of the plan's credits is used and when they run out (an estimate).

    Exit code 4: more is used than --fail-over allows. The counter is asked from the service, the rate is the history's.
    """
    limit = _share(fail_over)
    subscription = _subscription()
    used = used_share(subscription)
    facts = forecast(rows_of(**chosen), subscription=subscription, tz=tz).attrs["histkit"]
    if json_:
        as_json(plain_value(facts))
    else:
        click.echo("\n".join(quota_lines(facts)))
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
        raise click.BadParameter(f"{text} is no share such as 90% or 0.9.", param_hint="--fail-over") from None
    if not 0 <= share <= 10:
        raise click.BadParameter(f"{text}: write 90% or 0.9.", param_hint="--fail-over")
    return share


@click.command()
@click.argument(
    "period", type=click.Choice([name for name in PERIODS if name not in ("billing", "total")]), default="monthly"
)
@click.option("--official", is_flag=True, help="Beside the account's own figures, asked from the service (UTC).")
@TZ
@JSON
@CSV
@click.option("--history", default="data/history", show_default=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--account", multiple=True, help="Of a local history of several accounts; may be repeated.")
@click.option("--live", is_flag=True, help="Read from the API also where there is a local history.")
def ledger(period: str, official: bool, tz: str, json_: bool, csv_: bool, **chosen: Any) -> None:
    """Chain the credit counters: what was seen, what was spent outside this history, resets (an estimate)."""
    none: tuple[str, ...] = ()
    frame = rows_of(**chosen, search=None, limit=None, voice=none, model=none, source=none, after=None, before=None)
    freq: Any = PERIODS[period]  # one of those that reconcile takes, too
    if official and tz != "UTC":
        raise click.UsageError("--official: the account's own figures are by days of UTC.")
    table = _official_table(hk.reconcile(frame, freq), freq) if official else None
    print_table(table or ledger_report_table(hk.ledger(frame, freq, tz=tz), freq), json_, csv_)


def _official_table(figures: pd.DataFrame, freq: str) -> ReportTable:
    """Arrange the result of `histkit.reconcile` for readers, with totals."""
    counts = (
        ReportColumn("history", "History", "count"),
        ReportColumn("gap", "Gap (estimate)", "count"),
        ReportColumn("official", "Official", "count", bar=True),
        ReportColumn("unexplained", "Unexplained", "count"),
    )
    totals = {column.name: total_of(figures[column.name]) for column in counts}
    return ReportTable("", figures, (period_column(freq), *counts), totals)


@click.command()
@click.option("--top", default=20, show_default=True, type=click.IntRange(min=1), help="So many texts.")
@click.option("--near", type=float, help="Texts as like as this (0.5 to 1, such as 0.9) are takes of one line.")
@JSON
@CSV
@filters
def takes(top: int, near: float | None, json_: bool, csv_: bool, **chosen: Any) -> None:
    """List the texts that were generated more than once by one voice, by the credits thrown away."""
    takes = hk.takes(rows_of(**chosen), near=near)
    facts = takes.attrs["histkit"]
    note = (
        f"{facts['lines_with_takes']:,} of {facts['lines']:,} texts have several takes; "
        f"{facts['thrown_away']:,} credits went into those that were not kept."
    )
    measures = (
        ReportColumn("credits", "Credits", "count"),
        ReportColumn("thrown_away", "Thrown away", "count", bar=True),
    )
    table = line_report_table(line_table(takes, top), measures, note)
    table.frame.attrs["histkit"] = facts
    print_table(table, json_, csv_)
