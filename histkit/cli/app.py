"""The command ``histkit``: the package's functions on the command line. Data goes to stdout, messages to stderr."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pandas as pd

import histkit as hk
from histkit.archive.integrity import check_history
from histkit.archive.request_log import check_log
from histkit.archive.sync import DamagedMonthError
from histkit.cli import audio, official, statements, usage, what_if
from histkit.cli.common import (
    CSV,
    FILE,
    FOLDER,
    FORCE,
    HISTORY,
    JSON,
    SOME_FAILED,
    WORKERS,
    Commands,
    check_output,
    filters,
    in_words_of_command,
    print_json,
    print_table,
    print_written,
    reported_warnings,
    rows_and_size,
    rows_of,
)
from histkit.cli.output import print_message
from histkit.reports.model import ReportColumn, ReportTable
from histkit.sandbox.faults import FAULTS
from histkit.util import outputs
from histkit.util.text import count_noun

_WRITERS: dict[str, tuple[outputs.FileKind, Callable[..., Path]]] = {
    "parquet": (outputs.PARQUET, hk.to_parquet),
    "csv": (outputs.CSV, hk.to_csv),
    "xlsx": (outputs.XLSX, hk.to_xlsx),
}


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(hk.__version__)
def main() -> None:
    """Read the speech history of an ElevenLabs account, as tables, charts and audio.

    The key is read from ELEVENLABS_API_KEY. No key? Try: histkit demo
    """


@main.command()
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
def sync(
    folder: Path,
    full: bool,
    account: tuple[str, ...],
    changes: Path | None,
    requests: bool,
    workers: int | None,
    json_: bool,
    force: bool,
) -> None:
    """Update the local history in FOLDER (data/history): all rows the first time, then the new ones.

    An interrupted sync resumes when it is run again. Exit code 1: a file is damaged; what was read is stored. Exit code
    5: some accounts or request logs failed, the others are synced.
    """
    named = [*map(_account, account)]
    accounts = dict(named) or None
    if accounts is not None and len(accounts) < len(named):
        raise click.BadParameter("two accounts have one name", param_hint="--account")
    if changes is not None:
        outputs.OutputFile(changes, outputs.CSV, force=force)  # raises before anything is read
    damage: DamagedMonthError | None = None
    with reported_warnings():
        try:
            changed_rows = hk.sync(folder, full=full, accounts=accounts, workers=workers, diff=True, requests=requests)
        except DamagedMonthError as error:  # after the sync: its changes are written first
            damage, changed_rows = error, error.changes
    facts = changed_rows.attrs["histkit"]
    if changes is not None:
        hk.to_csv(changed_rows, changes, force=force)
    if json_:
        print_json(facts)
    if damage is not None:
        raise damage
    if facts["failed"] or facts.get("failed_logs"):
        raise SystemExit(SOME_FAILED)


@main.command()
@click.argument("folder", type=FOLDER, default=HISTORY)
@click.option("--repair", is_flag=True, help="Repair what needs no request; replaced files are kept in .histkit-aside.")
@JSON
@CSV
def check(folder: Path, repair: bool, json_: bool, csv_: bool) -> None:
    """Check every byte of the local history in FOLDER (data/history), and of its request log, against checksums.

    Exit code 1: something is not right; the table says what, and what cures it. A damaged month that --repair can't
    repair stays until histkit sync --full replaces it and keeps the old file in .histkit-aside.
    """
    check_output(json_, csv_)
    history = check_history(folder, repair=repair)
    states = [*history.states(), *check_log(folder)]
    rows = [
        (
            state.label,
            state.rows,
            in_words_of_command(state.state),
            in_words_of_command(state.cure),
            state.file,
        )
        for state in states
    ]
    frame = pd.DataFrame(rows, columns=["month", "rows", "state", "cure", "file"]).astype({"rows": "Int64"})
    columns = [ReportColumn("month", "Month"), ReportColumn("rows", "Rows", "count")]
    columns += [ReportColumn("state", "State"), ReportColumn("cure", "Cure")]
    print_table(ReportTable("", frame, tuple(columns)), json_, csv_)
    for note in history.notes:
        print_message(in_words_of_command(note))
    if any(state.cure for state in states):
        raise SystemExit(1)


def _account(text: str) -> tuple[str, hk.HistoryClient]:
    name, mark, variable = text.partition("=")
    if not (name and mark and variable):
        raise click.BadParameter(f"{text}: write NAME=VARIABLE, e.g. studio=STUDIO_KEY", param_hint="--account")
    key = os.environ.get(variable)
    if not key:
        raise click.BadParameter(f"{variable} is not set in the environment", param_hint=f"--account {name}")
    return name, hk.HistoryClient(key)


@main.command()
@click.argument("path", required=False, type=FILE)
@click.option("--format", "format_", type=click.Choice([*_WRITERS]), help="Default: by the file's ending.")
@click.option("--excel", is_flag=True, help="CSV that Excel opens correctly (with a byte order mark).")
@FORCE
@WORKERS
@filters
def export(
    path: Path | None, format_: str | None, excel: bool, force: bool, workers: int | None, **chosen: Any
) -> None:
    """Write the local history, or a part of it, to PATH (.parquet, .csv or .xlsx; default: history.FORMAT).

    With --format, PATH can be - (standard output). A file of the same kind is replaced.
    """
    if path is None:
        if format_ is None:
            raise click.UsageError("PATH or --format (csv, parquet, xlsx) is missing.")
        path = Path(f"history.{format_}")
    ending = path.suffix.lower().removeprefix(".")
    format_ = format_ or next((name for name, (kind, _) in _WRITERS.items() if f".{ending}" in kind.endings), None)
    if format_ is None:
        raise click.BadParameter(f"{path} ends in none of .parquet, .csv, .xlsx: add --format.", param_hint="PATH")
    kind, write = _WRITERS[format_]
    output = outputs.OutputFile(path, kind, force=force)
    frame = rows_of(workers=workers, **chosen)
    write(frame, path, force=force, **({"excel": True} if excel and format_ == "csv" else {}))
    print_written(output, rows_and_size(output, len(frame)))


@main.command()
@click.option("--items", default=1000, show_default=True, type=click.IntRange(min=1), help="Rows in the history.")
@click.option("--seed", default=0, show_default=True, help="Selects the account.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="0: any free port.")
@click.option("--fault", multiple=True, metavar="NAME=VALUE", help=f"Injected fault: {', '.join(sorted(FAULTS))}.")
def sandbox(items: int, seed: int, port: int, fault: tuple[str, ...]) -> None:
    """Serve a made-up account on this machine until Ctrl-C, to try histkit without a key."""
    from histkit.sandbox import Sandbox, run

    def announce(box: Sandbox) -> None:
        click.echo(f"export ELEVENLABS_BASE_URL={box.url}")
        click.echo(f"export ELEVENLABS_API_KEY={box.api_key}")
        click.echo(f"Serving {count_noun(items, 'made-up row')}; stop with Ctrl-C.", err=True)

    try:
        run(items, seed, port=port, started=announce, **dict(map(_fault, fault)))
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from None


@main.command()
@click.option("--folder", default="data/demo", show_default=True, type=FOLDER)
@click.option("--items", default=5000, show_default=True, type=click.IntRange(min=1), help="Rows in the history.")
def demo(folder: Path, items: int) -> None:
    """Run every step on a made-up account: read, tables, chart, audio, zip. No key, no network."""
    from histkit.cli.demo import run_demo

    run_demo(folder, items)


for command in (*audio.COMMANDS, *usage.COMMANDS, *official.COMMANDS, *statements.COMMANDS, *what_if.COMMANDS):
    main.add_command(command)

_IN_A_LINE = {  # of the list of commands, which cuts longer sentences at 80 columns
    "check": "Check the local history against its checksums.",
    "delete": "Delete rows from the service; only with --confirm.",
    "demo": "Run every step on a made-up account; no key, no network.",
    "export": "Write rows to a .parquet, .csv or .xlsx file.",
    "ledger": "Compare the credit counter with the rows, by period.",
    "official": "Print the workspace's own usage figures.",
    "pull": "Download audio into a folder; costs no credits.",
    "quota": "Print the credits used, and when they run out.",
    "report": "Write or print a usage report.",
    "reprice": "Estimate costs on another model, price list or plan.",
    "sandbox": "Serve a made-up account, to try histkit without a key.",
    "statement": "Bill one client for a period.",
    "statements": "Bill every client for a period, or check what was issued.",
    "sync": "Update the local history from the service.",
    "takes": "List texts that one voice generated more than once.",
    "usage": "Sum items, characters and credits by period and group.",
    "verify": "Verify the audio files in a folder.",
    "who": "Print usage by API key and user, with shares.",
    "zip": "Download audio into one zip; costs no credits.",
}
for name, line in _IN_A_LINE.items():
    main.commands[name].short_help = line


def _fault(text: str) -> tuple[str, Any]:
    name, mark, value = text.partition("=")
    if not mark:
        raise ValueError(f"--fault {text}: write NAME=VALUE, e.g. error_500=0.1")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, {"true": True, "false": False, "none": None}.get(value.lower(), value)
