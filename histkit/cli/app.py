"""``histkit ...``: the package's functions from the command line. Data to stdout, progress and errors to stderr."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pandas as pd

import histkit as hk
from histkit.cli import audio, statements, usage
from histkit.cli.common import FOLDER, HISTORY, Commands, filters, rows_of
from histkit.sandbox.faults import FAULTS

_WRITERS: dict[str, Callable[[pd.DataFrame, Path], Path]] = {
    "parquet": hk.to_parquet,
    "csv": hk.to_csv,
    "xlsx": hk.to_xlsx,
}


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(hk.__version__)
def main() -> None:
    """Read the speech history of an ElevenLabs account: everything generated, as tables, charts and audio.

    The key is read from ELEVENLABS_API_KEY. No key? Try: histkit demo
    """


@main.command()
@click.argument("folder", type=FOLDER, default=HISTORY)
@click.option("--full", is_flag=True, help="Read everything again; mark rows that the service has no more.")
@click.option(
    "--account",
    multiple=True,
    metavar="NAME=VARIABLE",
    help="Several accounts: a name, and the environment variable that holds its key; may be repeated.",
)
@click.option("--changes", type=click.Path(dir_okay=False, path_type=Path), help="Write what changed to this CSV file.")
@click.option("--workers", type=click.IntRange(min=1), help="Windows read side by side (4).")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def sync(
    folder: Path, full: bool, account: tuple[str, ...], changes: Path | None, workers: int | None, as_json: bool
) -> None:
    """Bring the local history in FOLDER (data/history) up to date: all the first time, then what is new.

    Interrupted? Run it again: it goes on. Exit code 5: some accounts failed, the others are synced.
    """
    accounts = dict(map(_account, account)) or None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = hk.sync(folder, full=full, accounts=accounts, workers=workers, diff=True)
    facts = found.attrs["histkit"]
    if changes is not None:
        hk.to_csv(found, changes)
    if as_json:
        click.echo(json.dumps(facts))
    for warning in caught:
        click.echo(f"histkit: {warning.message}", err=True)
    if facts["failed"]:
        raise SystemExit(5)


def _account(text: str) -> tuple[str, hk.HistoryClient]:
    name, mark, variable = text.partition("=")
    if not (name and mark and variable):
        raise click.BadParameter(f"{text}: write NAME=VARIABLE, e.g. studio=STUDIO_KEY", param_hint="--account")
    key = os.environ.get(variable)
    if not key:
        raise click.BadParameter(f"{variable} is not set in the environment", param_hint=f"--account {name}")
    return name, hk.HistoryClient(key)


@main.command()
@click.argument("path", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--format", "kind", type=click.Choice([*_WRITERS]), help="Default: by the file's ending.")
@click.option("--excel", is_flag=True, help="CSV that opens right in Excel (byte order mark).")
@click.option("--workers", type=click.IntRange(min=1), help="Windows of the API read side by side (4).")
@filters
def export(path: Path | None, kind: str | None, excel: bool, workers: int | None, **chosen: Any) -> None:
    """Write the local history, or a part of it, to PATH (.parquet, .csv or .xlsx; default: history.FORMAT)."""
    if path is None:
        if kind is None:
            raise click.UsageError("Say what to write: PATH, or --format csv, parquet or xlsx.")
        path = Path(f"history.{kind}")
    kind = kind or {f".{each}": each for each in _WRITERS}.get(path.suffix.lower())
    if kind is None:
        raise click.BadParameter(f"{path} ends in none of .parquet, .csv, .xlsx: add --format.", param_hint="PATH")
    frame = rows_of(workers=workers, **chosen)
    hk.to_csv(frame, path, excel=True) if excel and kind == "csv" else _WRITERS[kind](frame, path)
    click.echo(f"{path}: {len(frame):,} rows, {path.stat().st_size / 1e6:,.1f} MB")


@main.command()
@click.option("--items", default=1000, show_default=True, type=click.IntRange(min=0), help="Rows in the history.")
@click.option("--seed", default=0, show_default=True, help="Another seed, another account.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Default: any free port.")
@click.option("--fault", multiple=True, metavar="NAME=VALUE", help=f"Misbehave: {', '.join(sorted(FAULTS))}.")
def sandbox(items: int, seed: int, port: int, fault: tuple[str, ...]) -> None:
    """Serve a made-up account on this machine until Ctrl-C, to try things without a key."""
    from histkit.sandbox import Sandbox, run

    def announce(box: Sandbox) -> None:
        click.echo(f"export ELEVENLABS_BASE_URL={box.url}")
        click.echo(f"export ELEVENLABS_API_KEY={box.api_key}")
        click.echo(f"{items:,} made-up rows are served; end with Ctrl-C.", err=True)

    try:
        run(items, seed, port=port, started=announce, **dict(map(_fault, fault)))
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from None


@main.command()
@click.option("--folder", default="data/demo", show_default=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--items", default=5000, show_default=True, type=click.IntRange(min=1), help="Rows in the history.")
def demo(folder: Path, items: int) -> None:
    """Show the whole way on a made-up account: read, tables, chart, audio, zip. No key, no network."""
    from histkit.cli.demo import run_demo

    run_demo(folder, items)


audio.add_to(main)
usage.add_to(main)
statements.add_to(main)


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


if __name__ == "__main__":
    sys.exit(main())
