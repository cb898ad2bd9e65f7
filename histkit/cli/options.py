"""Options and arguments that several commands have, and their types. Nothing here imports pandas."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from histkit.frame.names import close_names
from histkit.util.storage import local_folder, local_path
from histkit.util.text import quoted

HISTORY = "data/history"
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


class PeriodName(click.Choice[str]):
    """One of some periods; the message on another word names the period that is close to it."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return the message of click, and the periods that are close to the word."""
        close = close_names(str(value), self.choices)
        hint = f" Did you mean {' or '.join(map(quoted, close))}?" if close else ""
        return super().get_invalid_choice_message(value, ctx) + hint


def period_argument(names: Iterable[str], default: str) -> Callable[..., Any]:
    """Return the argument PERIOD; the help text of a command lists its values, which a usage line would break."""
    return click.argument("period", type=PeriodName([*names]), default=default, metavar="[PERIOD]")


class LocalPath(click.Path):
    """A path of this machine. A URL is refused, which as a path would be a folder named ``s3:``, and a folder ``-``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path that was typed."""
        if isinstance(value, str) and value:
            (local_path if self.allow_dash else local_folder)(value)  # raises InputError
        return super().convert(value, param, ctx)


class History(LocalPath):
    """A local history to read: a folder of this machine, or a URL, which stays a text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path or URL that was typed."""
        return value if isinstance(value, str) and "://" in value else super().convert(value, param, ctx)


FILE = LocalPath(dir_okay=False, allow_dash=True, path_type=Path)
FOLDER = LocalPath(file_okay=False, path_type=Path)
HISTORY_TO_READ = History(file_okay=False, path_type=Path)
LOG_KEY = "request_id"
EXPORT_FORMATS = ("parquet", "csv", "xlsx")

JSON = click.option("--json", "json_", is_flag=True, help="Print JSON.")
CSV = click.option("--csv", "csv_", is_flag=True, help="Print CSV.")
TZ = click.option("--tz", default="UTC", show_default=True, help="IANA name of the zone of days and months.")
RULES = click.option("--rules", type=click.Path(dir_okay=False), help="TOML file of rules that assign rows to clients.")
CLIENT = click.option("--client", multiple=True, help="Client of the --rules; may be repeated.")
PRICES = click.option("--prices", type=click.Path(dir_okay=False), help="TOML file of prices; adds costs.")
FORCE = click.option("--force", is_flag=True, help="Also replace a file of another kind.")
WORKERS = click.option("--workers", type=click.IntRange(min=1), help="Parallel requests to the API (4).")


def source(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select the source of the rows."""
    for option in (
        click.option("--live", is_flag=True, help="Read from the API even if there is a local history."),
        click.option("--account", multiple=True, help="One account of a local history; may be repeated."),
        click.option(
            "--history", default=HISTORY, show_default=True, type=HISTORY_TO_READ, help="The local history; also a URL."
        ),
    ):
        command = option(command)
    return command


_DATES = (
    TZ,
    click.option("--until", metavar="DATE", help="Until the end of this day, month, ..."),
    click.option("--since", metavar="DATE", help="The same as --after."),
    click.option("--before", metavar="DATE", help="Before the start of a date."),
    click.option("--after", metavar="DATE", help="From a date on: 2026-10-01, 2026-10, 7d, 'last month', ..."),
)


def dates(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of dates and their zone."""
    for option in _DATES:
        command = option(command)
    return command


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select rows, and those of `source`."""
    command = source(command)
    for option in (
        click.option("--limit", type=click.IntRange(min=0), help="Only the newest rows, up to this number."),
        *_DATES,
        click.option("--literal", is_flag=True, help="Search for the --text as it is, not as a pattern."),
        click.option("--text", metavar="PATTERN", help="Rows whose text matches this regular expression."),
        click.option("--search", metavar="TEXT", help="The service's own text search; reads from the API."),
        click.option("--source", multiple=True, help="Source (TTS, STS, Projects, ...); may be repeated."),
        click.option("--model", multiple=True, help="Model id; may be repeated."),
        click.option("--voice", multiple=True, help="Voice name or id; may be repeated."),
    ):
        command = option(command)
    return command


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a log."""
    for option in (
        click.option(
            "--log-key", default=LOG_KEY, show_default=True, help="The column of rows and --log that joins them."
        ),
        click.option("--log", type=FILE, help="Your own log (CSV, JSON lines, Parquet), whose columns --by can name."),
    ):
        command = option(command)
    return command
