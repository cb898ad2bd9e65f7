"""What the commands share: how errors end, which rows are meant, how results are told."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import pandas as pd

import histkit as hk
from histkit.frame.files import csv_text
from histkit.frame.json_values import plain_value, records
from histkit.reports.model import ReportTable
from histkit.reports.terminal import rich_table

HISTORY = "data/history"
FOLDER = click.Path(file_okay=False, path_type=Path)
SOME_FAILED = 5
_SHOWN = 10


class Commands(click.Group):
    """A group whose commands end an error of histkit's own with one line, not a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except hk.HistkitError as error:
            click.echo(f"histkit: {error}", err=True)
            ctx.exit(1)


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say which rows are meant, in order of the help page."""
    for option in (
        click.option("--live", is_flag=True, help="Read from the API also where there is a local history."),
        click.option("--account", multiple=True, help="Of a local history of several accounts; may be repeated."),
        click.option("--history", default=HISTORY, show_default=True, type=FOLDER, help="The local history."),
        click.option("--limit", type=click.IntRange(min=0), help="Only the newest so many rows."),
        click.option("--before", metavar="DATE", help="Rows before this date (UTC unless it says otherwise)."),
        click.option("--after", metavar="DATE", help="Rows at or after this date."),
        click.option("--search", metavar="TEXT", help="The service's own text search; reads from the API."),
        click.option("--source", multiple=True, help="Source (TTS, STS, Projects, ...); may be repeated."),
        click.option("--model", multiple=True, help="Model id; may be repeated."),
        click.option("--voice", multiple=True, help="Voice name or id; may be repeated."),
    ):
        command = option(command)
    return command


def rows_of(
    *,
    history: Path,
    account: tuple[str, ...],
    live: bool,
    search: str | None,
    limit: int | None,
    workers: int | None = None,
    client: hk.HistoryClient | None = None,
    **chosen: Any,
) -> pd.DataFrame:
    """Read the rows that the options of `filters` mean: of the local history, or of the API where there is none.

    Parameters
    ----------
    history, account, live, search, limit, **chosen
        As the options gave them.
    workers : int, optional
        Windows read side by side.
    client : HistoryClient, optional
        Default: one made of the environment.
    """
    given: dict[str, Any] = {name: value or None for name, value in chosen.items()}
    source = click.get_current_context().get_parameter_source("history")
    named = source is not None and source is not click.core.ParameterSource.DEFAULT
    if not live and not search and (named or (history / "_manifest.json").exists()):
        if workers is not None:
            raise click.UsageError("--workers is for reading from the API: add --live.")
        frame = hk.load(history, account=account or None, **given)
        return frame if limit is None else frame.head(limit)
    if account:
        raise click.UsageError("--account is for a local history; the API is read with the key of ELEVENLABS_API_KEY.")
    if not live:
        why = "--search is the service's" if search else f"no local history in {history}"
        click.echo(f"Reading from the API ({why}).", err=True)
    return hk.read_history(search=search, limit=limit, workers=workers, client=client, **given)


def report_failures(manifest: pd.DataFrame, failed: tuple[str, ...]) -> bool:
    """Show the first lines of a manifest that say what went wrong, on stderr; tell whether there are any."""
    bad = manifest[manifest["status"].isin(failed)]
    for item, error in zip(bad["history_item_id"].head(_SHOWN), bad["error"].head(_SHOWN), strict=True):
        click.echo(f"histkit: {item}: {error}", err=True)
    if len(bad) > _SHOWN:
        click.echo(f"histkit: ... and {len(bad) - _SHOWN:,} more", err=True)
    return bool(len(bad))


def counted(manifest: pd.DataFrame) -> dict[str, int]:
    """Count the statuses of a manifest."""
    return {str(status): int(count) for status, count in manifest["status"].value_counts(sort=False).items()}


def in_words(counts: Mapping[str, int]) -> str:
    """Say counts, such as "10 done, 2 skipped"."""
    return ", ".join(f"{count:,} {status}" for status, count in counts.items()) or "no rows"


def as_json(facts: Mapping[str, Any]) -> None:
    """Print facts as JSON."""
    json.dump(facts, sys.stdout)
    click.echo()


JSON = click.option("--json", "json_", is_flag=True, help="Print JSON.")


CSV = click.option("--csv", "csv_", is_flag=True, help="Print CSV.")


TZ = click.option("--tz", default="UTC", show_default=True, help="IANA name of the zone of days and months.")


RULES = click.option("--rules", type=click.Path(dir_okay=False), help="TOML of rules that name rows: --by client.")


PRICES = click.option("--prices", type=click.Path(dir_okay=False), help="TOML of prices; adds what it cost.")


def print_table(table: ReportTable, json_: bool, csv_: bool) -> None:
    """Print a table for a reader, or its frame as data."""
    if json_ and csv_:
        raise click.UsageError("Give --json or --csv, not both.")
    if json_:
        facts = plain_value(table.frame.attrs.get("histkit", {}))
        as_json({"rows": records(table.frame), "totals": plain_value(table.totals), "facts": facts})
    elif csv_:
        sys.stdout.write(csv_text(table.frame))
    else:
        from rich.console import Console

        Console(width=None if sys.stdout.isatty() else 160).print(rich_table(table))
