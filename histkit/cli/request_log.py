"""The options that join a log to the rows of a command: the synced request log, or a log of the caller's own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import pandas as pd

import histkit as hk
from histkit.cli.common import FILE
from histkit.cli.output import print_note
from histkit.usage.attribution import FACT, WHO, coverage_line, read_log, who_column

_KEY = "request_id"


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a log."""
    for option in (
        click.option(
            "--log-key", default=_KEY, show_default=True, help="The column of rows and --log that joins them."
        ),
        click.option("--log", type=FILE, help="Your own log (CSV, JSON lines, Parquet), whose columns --by can name."),
    ):
        command = option(command)
    return command


def join_log(frame: pd.DataFrame, by: Sequence[str], log: Path | None, log_key: str, history: Any) -> pd.DataFrame:
    """Add the columns of a log: of the file, or, where `by` names a key or user, of the log beside the history.

    Prints how much of the rows it covers.
    """
    words = [word for word in by if word in WHO and word not in frame.columns]
    on: tuple[str, str] = (log_key, log_key)
    if log is not None:
        table, columns = read_log(log, log_key), None
    elif words:
        table, columns = hk.load_requests(history), words
        on = (_KEY, table.attrs["histkit"]["id_column"] or _KEY)
    else:
        return frame
    for word in words:
        if word not in table.columns:
            table[word] = who_column(table, word)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the line is printed in any case
        joined = hk.attribute(frame, table, on, columns=columns)
    print_note(coverage_line(joined.attrs["histkit"][FACT]))
    return joined
