"""The options that join a log to the rows of a command: the synced request log, or a log of the caller's own."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import histkit as hk
from histkit.cli.common import date_bounds
from histkit.cli.options import LOG_KEY
from histkit.cli.output import print_note
from histkit.frame.columns import strings_of
from histkit.frame.filters import filter_items
from histkit.frame.log_table import WHO
from histkit.usage.attribution import FACT, coverage_line, read_log, who_column
from histkit.usage.label_rules import Rule

_DIVIDING = ("voice", "model", "source", "search", "text", "limit")  # options that the log does not know


def columns_of(rules: Iterable[Rule]) -> list[str]:
    """Return the columns whose values some rules name in ``where``, which a log may have."""
    return list(dict.fromkeys(column for rule in rules for column, _ in rule.where))


def join_log(
    frame: pd.DataFrame, by: Sequence[str], log: Path | None, log_key: str, *, history: Any, **chosen: Any
) -> pd.DataFrame:
    """Add the columns of a log: of the file, or, where `by` has a key or user, of the log beside the history.

    Prints how much of the rows it covers, and how many requests of the log beside the history no row has: of the same
    dates and accounts, and not if other options (`chosen`) selected the rows.
    """
    words = [word for word in by if word in WHO and word not in frame.columns]
    on: tuple[str, str] = (log_key, log_key)
    if log is not None:
        table, columns = _with_names(read_log(log, log_key), words), None
    elif words:
        table, columns = log_beside(history, words), words
        on = (LOG_KEY, table.attrs["histkit"]["id_column"] or LOG_KEY)
        table = _of_selection(table, on[1], frame, **chosen)
    else:
        return frame
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the line is printed in any case
        joined = hk.attribute(frame, table, on, columns=columns)
    print_note(coverage_line(joined.attrs["histkit"][FACT]))
    return joined


def log_beside(history: Any, words: Sequence[str]) -> pd.DataFrame:
    """Read the request log beside a local history; keys and users that `words` name are shown by their names."""
    return _with_names(hk.load_requests(history), [word for word in words if word in WHO])


def _with_names(table: pd.DataFrame, words: Sequence[str]) -> pd.DataFrame:
    for word in words:
        if word not in table.columns:
            table[word] = who_column(table, word)
    return table


def _of_selection(
    requests: pd.DataFrame,
    key: str,
    frame: pd.DataFrame,
    *,
    tz: str,
    account: tuple[str, ...],
    after: str | None = None,
    before: str | None = None,
    since: str | None = None,
    until: str | None = None,
    **chosen: Any,
) -> pd.DataFrame:
    """Return the requests that rows have, and the others of the dates and accounts that the options select."""
    time = requests.attrs["histkit"]["time_column"]
    if key not in requests.columns or time not in requests.columns:
        return requests
    ids = {text for text in strings_of(frame, LOG_KEY) if text}
    kept = np.array([text in ids for text in strings_of(requests, key)], bool)
    if not any(chosen.get(name) not in (None, ()) for name in _DIVIDING):
        bounds = date_bounds(after, before, since, until, tz)
        times = pd.DataFrame({"date": requests[time].array, "place": np.arange(len(requests))})
        inside = np.zeros(len(requests), bool)
        inside[filter_items(times, after=bounds.after, before=bounds.before)["place"]] = True
        if account and "account" in requests.columns:
            inside &= requests["account"].isin(account).to_numpy(bool)
        kept |= inside
    return requests[kept]
