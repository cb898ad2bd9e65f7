"""The command ``histkit``: its commands with their options and help texts.

What a command does is in another module, which is imported when the command runs: help and a wrong command line need
click alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import histkit as hk
from histkit.audio.options import DEFAULT_NAME, SAMPLE_RATES
from histkit.cli.group import Commands
from histkit.cli.options import (
    CLIENT,
    CSV,
    EXPORT_FORMATS,
    FILE,
    FOLDER,
    FORCE,
    HISTORY,
    JSON,
    PERIODS,
    PRICES,
    RULES,
    WORKERS,
    dates,
    filters,
    log_options,
    period_argument,
    source,
)
from histkit.deletion.options import DEFAULT_JOURNAL
from histkit.money.dimensions import DIMENSIONS
from histkit.reports.options import FORMATS, REGISTER
from histkit.sandbox.faults import FAULTS


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(hk.__version__)
def main() -> None:
    """Read the speech history of an ElevenLabs account, as tables, charts and audio.

    The key is read from ELEVENLABS_API_KEY. No key? Try: histkit demo
    """


@main.command(short_help="Update the local history from the service.")
@click.argument("folder", type=FOLDER, default=HISTORY)
@click.option("--full", is_flag=True, help="Read all rows again; mark rows that the service no longer has.")
@click.option(
    "--account",
    multiple=True,
    metavar="NAME=VARIABLE",
    help="One of several accounts: a name, and the environment variable with its key; may be repeated.",
)
@click.option("--changes", type=FILE, help="Write the changed rows to this CSV file.")
@click.option("--requests", is_flag=True, help="Also update the workspace's request log, beside the history.")
@FORCE
@WORKERS
@JSON
def sync(**options: Any) -> None:
    """Update the local history in FOLDER (data/history): all rows the first time, then the new ones.

    An interrupted sync resumes when it is run again. Exit code 1: a file is damaged; what was read is stored. Exit code
    5: some accounts or request logs failed, the others are synced.
    """
    from histkit.cli.history import sync as run

    run(**options)


@main.command(short_help="Check the local history against its checksums.")
@click.argument("folder", type=FOLDER, default=HISTORY)
@click.option("--repair", is_flag=True, help="Repair what needs no request; replaced files are kept in .histkit-aside.")
@JSON
@CSV
def check(**options: Any) -> None:
    """Check every byte of the local history in FOLDER (data/history), and of its request log, against checksums.

    Exit code 1: something is not right; the table says what, and what cures it. A damaged month that --repair can't
    repair stays until histkit sync --full replaces it and keeps the old file in .histkit-aside.
    """
    from histkit.cli.history import check as run

    run(**options)


@main.command(short_help="Write rows to a .parquet, .csv or .xlsx file.")
@click.argument("path", required=False, type=FILE)
@click.option("--format", "format_", type=click.Choice(EXPORT_FORMATS), help="Default: by the file's ending.")
@click.option("--excel", is_flag=True, help="CSV that Excel opens correctly (with a byte order mark).")
@FORCE
@WORKERS
@filters
def export(**options: Any) -> None:
    """Write the local history, or a part of it, to PATH (.parquet, .csv or .xlsx; default: history.FORMAT).

    With --format, PATH can be - (standard output). A file of the same kind is replaced.
    """
    from histkit.cli.history import export as run

    run(**options)


@main.command(short_help="Serve a made-up account, to try histkit without a key.")
@click.option("--items", default=1000, show_default=True, type=click.IntRange(min=1), help="Rows in the history.")
@click.option("--seed", default=0, show_default=True, help="Selects the account.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="0: any free port.")
@click.option("--fault", multiple=True, metavar="NAME=VALUE", help=f"Injected fault: {', '.join(sorted(FAULTS))}.")
def sandbox(**options: Any) -> None:
    """Serve a made-up account on this machine until Ctrl-C, to try histkit without a key."""
    from histkit.cli.sandbox import sandbox as run

    run(**options)


@main.command(short_help="Run every step on a made-up account; no key, no network.")
@click.option("--folder", default="data/demo", show_default=True, type=FOLDER)
@click.option("--items", default=5000, show_default=True, type=click.IntRange(min=1), help="Rows in the history.")
def demo(folder: Path, items: int) -> None:
    """Run every step on a made-up account: read, tables, chart, audio, zip. No key, no network."""
    from histkit.cli.demo import run_demo

    run_demo(folder, items)


_NAME = click.option("--name", default=DEFAULT_NAME, show_default=True, metavar="TEMPLATE", help="Name of each file.")
_WAV = click.option("--format", "format_", type=click.Choice(["wav"]), help="Convert to WAV.")
_IDS = click.option("--id", "ids", multiple=True, metavar="ID", help="Only this history item; may be repeated.")
_RATE = click.option(
    "--sample-rate", type=click.IntRange(*SAMPLE_RATES), metavar="HZ", help="Of raw samples whose rate is unknown."
)
_DRY = click.option("--dry-run", is_flag=True, help="Print what would be downloaded; write nothing.")


@main.command(short_help="Download audio into a folder; costs no credits.")
@click.option(
    "-o", "--folder", default="audio", show_default=True, help="Target folder, or a URL such as s3://bucket/a."
)
@_NAME
@_WAV
@_IDS
@click.option("--overwrite", is_flag=True, help="Download finished files again.")
@_RATE
@_DRY
@click.option("--workers", type=click.IntRange(min=1), help="Parallel downloads.")
@click.option("--keepers", "kept", is_flag=True, help="Only the last of several takes of a text, in each account.")
@click.option("--script", type=click.Path(dir_okay=False), help="Text file: only the last takes of its lines.")
@click.option("--near", type=float, help="With --keepers or --script: similarity (0.5 to 1) of takes of one line.")
@JSON
@filters
def pull(**options: Any) -> None:
    """Download the audio of the selected rows into a folder; costs no credits.

    Interrupted? Run it again: it resumes. Exit code 5: some clips failed, the others are complete.
    """
    from histkit.cli.audio import pull as run

    run(**options)


@main.command("zip", short_help="Download audio into one zip; costs no credits.")
@click.argument("path", type=click.Path(dir_okay=False))
@_NAME
@_WAV
@_IDS
@click.option("--one-by-one", is_flag=True, help="Request each clip individually, not in zips of the service.")
@_RATE
@_DRY
@FORCE
@JSON
@filters
def zip_(**options: Any) -> None:
    """Download the audio of the selected rows into one zip; costs no credits.

    Exit code 5: some clips failed and are not in the zip.
    """
    from histkit.cli.audio import zip_ as run

    run(**options)


@main.command(short_help="Verify the audio files in a folder.")
@click.argument("folder", default="audio")
@click.option("--forget", is_flag=True, help="Have the next pull replace changed, damaged and missing files.")
@click.option("--prove", is_flag=True, help="Download the clips again that show no end of their own, and compare.")
@JSON
def verify(**options: Any) -> None:
    """Verify the files in FOLDER (audio): the hashes of its manifest, and whether each clip is whole.

    Makes no request without --prove; costs no credits. Exit code 5: some files are changed, damaged, missing or
    unreadable.
    """
    from histkit.cli.audio import verify as run

    run(**options)


@main.command(short_help="Delete rows from the service; only with --confirm.")
@_IDS
@click.option("--only-verified", metavar="FOLDER", help="Only rows with a verified file in this folder.")
@click.option("--confirm", is_flag=True, help="Delete; without this nothing is deleted.")
@click.option("--journal", default=DEFAULT_JOURNAL, show_default=True, help="Record of deleted rows.")
@JSON
@filters
def delete(**options: Any) -> None:
    """Delete the selected rows from the service; without --confirm, print what would be deleted.

    The local history keeps the rows, marked as deleted. Exit code 5: some rows could not be deleted.
    """
    from histkit.cli.audio import delete as run

    run(**options)


@main.command(short_help="Sum items, characters and credits by period and group.")
@period_argument(PERIODS, "monthly")
@click.option(
    "--by", multiple=True, help="voice, model, source, account, client, api_key, user, or any column; may be repeated."
)
@log_options
@click.option("--top", type=click.IntRange(min=1), help="Number of groups; the others are one group.")
@click.option("--compare", is_flag=True, help="Compare with the previous period: change, volume, mix.")
@click.option("--reset-day", type=click.IntRange(1, 31), help="For billing periods; default: from the subscription.")
@RULES
@CLIENT
@PRICES
@JSON
@CSV
@filters
def usage(**options: Any) -> None:
    """Sum items, characters and credits by period (hour to year, or billing period) and group.

    PERIOD: hourly, daily, weekly, monthly (default), quarterly, yearly, billing, or total for one sum of all.

    --by api_key and --by user need the request log (histkit sync --requests), or --log.
    """
    from histkit.cli.usage import usage as run

    run(**options)


@main.command(short_help="Write or print a usage report.")
@click.argument("path", required=False, type=FILE)
@click.option("--title", help="Headline.")
@click.option("--quota", "with_quota", is_flag=True, help="Read the subscription: adds quota and forecast.")
@RULES
@CLIENT
@PRICES
@FORCE
@filters
def report(**options: Any) -> None:
    """Write a usage report to PATH (.html, .xlsx, .md), or print it. PATH - is HTML on standard output."""
    from histkit.cli.usage import report as run

    run(**options)


@main.command(short_help="Print the credits used, and when they run out.")
@click.option("--fail-over", metavar="SHARE", help="Exit with code 4 if more than this is used, e.g. 90%.")
@JSON
@filters
def quota(**options: Any) -> None:
    """Print how much of the plan's credits is used and when they run out (an estimate).

    The counter is read from the service, the rate from the history. Exit code 4: more is used than --fail-over allows.
    """
    from histkit.cli.usage import quota as run

    run(**options)


@main.command(short_help="Compare the credit counter with the rows, by period.")
@period_argument((name for name in PERIODS if name not in ("billing", "total")), "monthly")
@click.option(
    "--by",
    multiple=True,
    help="voice, model, source, api_key, user, or any column: splits the seen credits; repeatable.",
)
@log_options
@click.option("--reset-day", type=click.IntRange(1, 31), help="Day of the month on which the counter is reset.")
@click.option("--across-accounts", is_flag=True, help="Add up the ledgers of several accounts.")
@click.option("--official", is_flag=True, help="Compare with the account's own figures, read from the service.")
@click.option(
    "--requests",
    is_flag=True,
    help="With --official: who spent what this history lacks, --by api_key and user unless other columns are named.",
)
@dates
@JSON
@CSV
@source
def ledger(**options: Any) -> None:
    """Compare the account's credit counter with the rows: what they spent, and what else did (an estimate).

    Each row shows the counter before and after it. Seen: credits of these rows. Unseen: what the counter rose by
    between them. Adjustments, such as refunds, and resets are counted apart.

    PERIOD: hourly, daily, weekly, monthly (default), quarterly, yearly. The counter is followed through all rows; the
    dates select what is summed. --by api_key, --by user and --requests need the request log
    (histkit sync --requests); --by also takes the columns of --log.
    """
    from histkit.cli.usage import ledger as run

    run(**options)


@main.command(short_help="List texts that one voice generated more than once.")
@click.option("--top", default=20, show_default=True, type=click.IntRange(min=1), help="Number of texts.")
@click.option("--near", type=float, help="Also group similar texts: minimum similarity, 0.5 to 1.")
@click.option("--across-accounts", is_flag=True, help="Also group takes of a text in several accounts.")
@JSON
@CSV
@filters
def takes(**options: Any) -> None:
    """List the texts that one voice generated more than once, with most credits thrown away first."""
    from histkit.cli.usage import takes as run

    run(**options)


_PERIODS = [name for name in PERIODS if name != "billing"]
_BY = f"{', '.join(one.word for one in DIMENSIONS[:8])}, ...; may be repeated."
_COLUMN = click.option("--column", help="Column of the figures, if the service sends several in one unit.")


@main.command(short_help="Print the workspace's own usage figures.")
@period_argument(_PERIODS, "daily")
@click.option("--by", multiple=True, help=_BY)
@_COLUMN
@JSON
@CSV
@dates
def official(**options: Any) -> None:
    """Print the workspace's own usage figures, read from the service (default: the last 30 days).

    PERIOD: hourly, daily (default), weekly, monthly, quarterly, yearly, or total for one sum of all.

    The unit is credits or, for a workspace that is billed in money, its currency. Most breakdowns need a key with the
    scope workspace_analytics_full_read.
    """
    from histkit.cli.official import official as run

    run(**options)


@main.command(short_help="Print usage by API key and user, with shares.")
@period_argument(_PERIODS, "total")
@click.option("--by", multiple=True, default=("api_key", "user"), help=f"Default: api_key and user. {_BY}")
@_COLUMN
@JSON
@CSV
@dates
def who(**options: Any) -> None:
    """Print who spent it: usage by API key and user, with shares (default: the last 30 days).

    PERIOD: hourly, daily, weekly, monthly, quarterly, yearly, or total (default).

    Needs a key with the scope workspace_analytics_full_read. An API key is shown by its name or its hash, as the
    service has it.
    """
    from histkit.cli.official import who as run

    run(**options)


_ZONE = click.option(
    "--tz", help="IANA name of the zone of days. Default: tz of the rules, else of the prices, else UTC."
)


def _statement_options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = source(command)
    for option in (
        FORCE,
        click.option(
            "--register", type=FILE, help=f"Register of issued statements. Default: {REGISTER} in the history."
        ),
        click.option("--correct", is_flag=True, help="Correct what was issued and has changed: bill the difference."),
        click.option("--issue", is_flag=True, help="Number it and enter it in the register of issued statements."),
        click.option("--locale", help="Format numbers and dates as in a locale, such as de_DE."),
        click.option("--issue-date", metavar="DATE", help="Default: that of the terms, else the day of issue."),
        click.option("--terms", type=click.Path(dir_okay=False), help="TOML file: parties, minimum fee, markup, tax."),
        CSV,
        JSON,
        click.option(
            "--by",
            multiple=True,
            default=("voice", "model"),
            show_default=True,
            help="Groups that make the lines: voice, model, api_key, user, or any column; may be repeated.",
        ),
        click.option(
            "--column",
            help="Column with the client of each row, such as account or api_key. Default: that of the rules.",
        ),
        log_options,
        PRICES,
        RULES,
        _ZONE,
    ):
        command = option(command)
    return command


@main.command(short_help="Bill one client for a period.")
@click.argument("client")
@click.argument("period")
@click.option(
    "-o",
    "--output",
    type=FILE,
    help="File to write: .html, .xlsx, .md, .csv or .json. Default: print the statement.",
)
@click.option("--title", help="Headline.")
@click.option("--number", help="Its number; {n} is counted, as in 2026-{n:03}. Default: that of the terms.")
@_statement_options
def statement(**options: Any) -> None:
    """Bill CLIENT for PERIOD: lines, totals, and a fingerprint of the rows.

    PERIOD is a year 2026, a quarter 2026-Q3, a month 2026-10, an ISO week 2026-W41, a day 2026-10-05, or 'last month'.
    The same rows always give the same file. With --issue a row is billed at most once. --by api_key, --column user and
    such columns in rules need the request log (histkit sync --requests), or --log.
    """
    from histkit.cli.statements import statement as run

    run(**options)


@main.command(short_help="Bill every client for a period, or check what was issued.")
@click.argument("period", required=False)
@click.option(
    "-o", "--output", type=FOLDER, help="Folder for a file per client; default: write none, print the totals."
)
@click.option("--format", default="html", show_default=True, type=click.Choice(FORMATS), help="Format of these files.")
@click.option("--check", is_flag=True, help="Prove the register of issued statements instead; without PERIOD.")
@_statement_options
def statements(**options: Any) -> None:
    """Bill every client for PERIOD (see histkit statement): together, all rows of the period.

    With --check, the register of issued statements is proven: each file is there with its bytes, numbers have no gap,
    totals follow from the rows, no row is billed twice. With --rules or --column, rows that came, went or changed since
    are listed too, and rows between a client's periods that are in no statement. Exit code 1: something is not as it
    was issued; 5: only rows have changed since, or are not billed.
    """
    from histkit.cli.statements import statements as run

    run(**options)


@main.command(short_help="Estimate costs on another model, price list or plan.")
@period_argument(PERIODS, "monthly")
@click.option("--on-model", metavar="MODEL", help="The other model, such as eleven_flash_v2_5.")
@click.option("--current-prices", type=click.Path(dir_okay=False), help="TOML file of the prices to compare with.")
@click.option("--plan", type=click.Path(dir_okay=False), help="TOML file of plans: what each month costs on them.")
@click.option("--by", multiple=True, help="voice, model, source, account, client, or any column; may be repeated.")
@click.option("--reset-day", type=click.IntRange(1, 31), help="For billing periods.")
@RULES
@CLIENT
@click.option(
    "--prices", type=click.Path(dir_okay=False), help="TOML file of the other prices; one currency for all rows."
)
@JSON
@CSV
@filters
def reprice(**options: Any) -> None:
    """Estimate what the rows would have cost on another model, at other prices (--prices) or on other plans.

    PERIOD: hourly, daily, weekly, monthly (default), quarterly, yearly, billing, or total for one sum of all. Estimates
    are ranges. What was measured stands beside them.
    """
    from histkit.cli.what_if import reprice as run

    run(**options)
