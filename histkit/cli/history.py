"""``histkit sync``, ``check`` and ``export``: the local history."""

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
from histkit.cli.common import (
    check_output,
    in_words_of_command,
    print_json,
    print_table,
    print_written,
    reported_warnings,
    rows_and_size,
    rows_of,
)
from histkit.cli.group import SOME_FAILED
from histkit.cli.output import print_message
from histkit.reports.model import ReportColumn, ReportTable
from histkit.util import outputs

_WRITERS: dict[str, tuple[outputs.FileKind, Callable[..., Path]]] = {
    "parquet": (outputs.PARQUET, hk.to_parquet),
    "csv": (outputs.CSV, hk.to_csv),
    "xlsx": (outputs.XLSX, hk.to_xlsx),
}


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
    """Run ``histkit sync`` with the values of its options."""
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


def check(folder: Path, repair: bool, json_: bool, csv_: bool) -> None:
    """Run ``histkit check`` with the values of its options."""
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


def export(
    path: Path | None, format_: str | None, excel: bool, force: bool, workers: int | None, **chosen: Any
) -> None:
    """Run ``histkit export`` with the values of its options."""
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
