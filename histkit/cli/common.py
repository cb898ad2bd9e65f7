"""Shared by the commands: reading of the rows that the options select, printing of results."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pandas as pd

import histkit as hk
from histkit.cli.group import NO_SUCH_NAME, in_option_names
from histkit.cli.output import (
    print_data,
    print_line,
    print_message,
    print_note,
)
from histkit.frame.clock import iso_in_range, name_of, zone_of
from histkit.frame.columns import factorize
from histkit.frame.dates import parse_date
from histkit.frame.files import csv_text
from histkit.frame.filters import RowFilter
from histkit.frame.json_values import plain_value, records
from histkit.frame.names import UnmatchedNameWarning
from histkit.frame.provenance import record_selection
from histkit.frame.schema import KINDS
from histkit.money.prices import PriceBook
from histkit.reports import terminal
from histkit.reports.model import ReportTable
from histkit.usage.label_rules import Rule, rules_name
from histkit.usage.labels import assign_labels, unmatched_names
from histkit.util.outputs import OutputFile
from histkit.util.text import count_noun, format_size, quoted

_MOST_FAILURES = 10


def whole_history(**chosen: Any) -> pd.DataFrame:
    """Read all rows from the source that the options of `source` select."""
    return rows_of(**chosen, search=None, limit=None)


@dataclass(frozen=True)
class DateBounds:
    """The date options of a command, resolved: instants in ISO 8601, or None for an open side.

    Attributes
    ----------
    after, before : str or None
        Inclusive and exclusive.
    description : str
        The same for a reader, with the zone and what the user typed; empty without date options.
    """

    after: str | None
    before: str | None
    description: str

    def of_range(self, facts: Mapping[str, Any]) -> DateBounds:
        """Return the sides that were typed as a function extended them: its facts ``after`` and ``before``."""
        after, before = (None if getattr(self, side) is None else str(facts[side]) for side in ("after", "before"))
        return replace(self, after=after, before=before)


def date_bounds(after: str | None, before: str | None, since: str | None, until: str | None, tz: str) -> DateBounds:
    """Resolve the date options; days and naive times are in `tz`, and `until` includes its day or span.

    Raises
    ------
    InputError
        A value is not a date, or the bounds are in the wrong order.
    click.UsageError
        Two options are for the same side.
    """
    for side in ({"since": since, "after": after}, {"until": until, "before": before}):
        if None not in side.values():
            raise click.UsageError(f"{' and '.join(f'--{name}' for name in side)} exclude each other.")
    zone, now = zone_of(tz), datetime.now(UTC)
    start = end = None
    parts = []
    for name, text in (("after", after), ("since", since)):
        if text is not None:
            start = parse_date(text, name, zone, now=now).start
            parts.append(f"from {iso_in_range(start, zone)} (--{name} {text})")
            typed = f"--{name} {quoted(text)}"
    for name, text in (("before", before), ("until", until)):
        if text is not None:
            span = parse_date(text, name, zone, now=now)
            end = span.start if name == "before" else span.end
            if start is not None and (start > end or (start == end and name == "until")):
                raise hk.InputError(f"{typed} is later than --{name} {quoted(text)}.")
            parts.append(f"before {iso_in_range(end, zone)} (--{name} {text})")
    description = f"Dates are days of {name_of(zone)}: rows {' and '.join(parts)}." if parts else ""
    lower, upper = (None if side is None else iso_in_range(side, UTC) for side in (start, end))
    return DateBounds(lower, upper, description)


def rows_of(
    *,
    history: Path | str,
    account: tuple[str, ...],
    live: bool,
    search: str | None,
    limit: int | None,
    tz: str = "UTC",
    after: str | None = None,
    before: str | None = None,
    since: str | None = None,
    until: str | None = None,
    text: str | None = None,
    literal: bool = False,
    workers: int | None = None,
    client: hk.HistoryClient | None = None,
    columns: Sequence[str] | None = None,
    **chosen: Any,
) -> pd.DataFrame:
    """Read the rows that the options of `filters` select, from the local history or, without one, from the API.

    Parameters
    ----------
    history, account, live, search, limit, tz, after, before, since, until, text, literal, **chosen
        The values of the options.
    workers : int, optional
        Parallel requests.
    client : HistoryClient, optional
        Default: a client with the key and base URL of the environment.
    columns : sequence of str, optional
        What the command needs of a local history; the frame can have more.
    """
    bounds = date_bounds(after, before, since, until, tz)
    arguments: dict[str, Any] = {"after": bounds.after, "before": bounds.before}
    arguments |= {name: value or None for name, value in chosen.items()}
    if search is not None and not search.strip():
        raise click.UsageError("--search is empty; use a text to search for.")
    if literal and text is None:
        raise click.UsageError("--literal needs --text.")
    RowFilter.of(text=text, regex=not literal)  # raises InputError, before anything is read
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnmatchedNameWarning)  # ends the command: see Commands
        if text is None:
            return _read_rows(history, account, live, search, limit, workers, client, columns, arguments)
        frame = _read_rows(history, account, live, search, None, workers, client, None, arguments)
    return newest_rows(hk.filter_items(frame, text=text, regex=not literal).reset_index(drop=True), limit)


def _read_rows(
    history: Path | str,
    account: tuple[str, ...],
    live: bool,
    search: str | None,
    limit: int | None,
    workers: int | None,
    client: hk.HistoryClient | None,
    columns: Sequence[str] | None,
    arguments: dict[str, Any],
) -> pd.DataFrame:
    if not live and not search and _is_local(history):
        if workers is not None:
            raise click.UsageError("--workers is for reading from the API: add --live.")
        frame = hk.load(history, account=account or None, columns=columns, **arguments)
        return newest_rows(frame, limit)
    if account:
        raise click.UsageError("--account is for a local history; the API is read with the key of ELEVENLABS_API_KEY.")
    if not live:
        why = "--search is the service's" if search else f"no local history in {history}"
        print_note(f"Reading from the API ({why}).")
    return hk.read_history(search=search, limit=limit, workers=workers, client=client, **arguments)


def newest_rows(frame: pd.DataFrame, limit: int | None) -> pd.DataFrame:
    """Return the first rows of a frame, the newest ones; it knows that the others were left out."""
    if limit is None or limit >= len(frame):
        return frame
    newest = frame.head(limit)
    record_selection(newest, {"limit": limit})
    return newest


def _is_local(history: Path | str) -> bool:
    return was_typed("history") or (Path(history) / "_manifest.json").exists()


def labelled_rows(
    frame: pd.DataFrame,
    rules: list[Rule],
    column: str,
    path: str,
    *,
    history: Path | str,
    live: bool,
    search: str | None = None,
    **_: Any,
) -> pd.DataFrame:
    """Add the clients of some rows; end the command if a rule has a mistyped name.

    Names are compared with the whole local history, else with the rows that were read. One that matches nothing is
    mistyped if it is close to one that exists; others are printed.

    Parameters
    ----------
    frame : pandas.DataFrame
        The rows that `rows_of` read with the other options.
    rules : list of Rule
        As `read_rules` returns them.
    column : str
        The new column.
    path : str
        The file of the rules, for messages.
    history, live, search
        The values of the options.
    """
    labelled = assign_labels(frame, rules, column)
    where = rules_name(path)
    problems = unmatched_names(frame, rules, where)
    if (any(problems) or frame.empty) and not live and not search and _is_local(history):
        columns = {column for rule in rules for column in rule.name_columns() if column in KINDS}
        problems = unmatched_names(frame, rules, where, whole=_named_columns(history, columns))
    _report_names(*problems)
    return labelled


@contextmanager
def checked_prices(
    frame: pd.DataFrame,
    book: PriceBook | None,
    column: str,
    *,
    history: Path | str,
    live: bool,
    search: str | None = None,
    **_: Any,
) -> Iterator[PriceBook | None]:
    """End the command if some prices have a mistyped name, else yield them for the functions that price the rows.

    Names are compared as in `labelled_rows`.

    Parameters
    ----------
    frame : pandas.DataFrame
        The rows that will be priced.
    book : PriceBook or None
        None: no prices.
    column : str
        The column of clients, unless the book names one.
    history, live, search
        The values of the options.
    """
    if book is None:
        yield None
        return
    book = book.for_clients(column)
    problems = book.unmatched_names(frame)
    if (any(problems) or frame.empty) and not live and not search and _is_local(history):
        columns = [name for name in book.columns(frame) if name in KINDS or name == "account"]
        whole = _named_columns(history, columns)
        if book.client_column in frame.columns:  # of the rules, whose labels without rows are categories
            clients = pd.Categorical([None] * len(whole), factorize(frame[book.client_column])[1])
            whole = whole.assign(**{book.client_column: clients})
        problems = book.unmatched_names(whole)
    _report_names(*problems)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnmatchedNameWarning)  # they were printed
        yield book


def _report_names(mistyped: list[str], absent: list[str]) -> None:
    for message in (*mistyped, *absent):
        print_message(message)
    if mistyped:
        click.get_current_context().exit(NO_SUCH_NAME)


def _named_columns(history: Path | str, columns: Iterable[str]) -> pd.DataFrame:
    """Read the columns of a whole local history that hold the names in rules or prices."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the same history were printed when the rows were read
        return hk.load(history, columns=sorted(columns) or ["date"])


def was_typed(name: str) -> bool:
    """Return whether a parameter of the command was given, instead of its default."""
    return click.get_current_context().get_parameter_source(name) not in (None, click.core.ParameterSource.DEFAULT)


def report_failures(manifest: pd.DataFrame) -> bool:
    """Print the first failed rows of a manifest on stderr; return whether there are any.

    Rows of one error are one line.
    """
    failed = manifest[manifest["status"] == "failed"]
    errors = failed.groupby("error", sort=False, dropna=False)["history_item_id"].agg(["first", "size"])
    for error, item, rows in errors.head(_MOST_FAILURES).itertuples():
        print_message(f"{item}{f' and {rows - 1:,} more' if rows > 1 else ''}: {error}")
    more = int(errors["size"].iloc[_MOST_FAILURES:].sum())
    if more:
        print_message(f"... and {more:,} more")
    return bool(len(failed))


def in_words_of_command(text: str) -> str:
    """Return a text of the package with the options of the command that runs in place of Python's parameters."""
    return in_option_names(text, click.get_current_context().command)


@contextmanager
def reported_warnings() -> Iterator[None]:
    """Print warnings of the package in the words of the command that runs."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for warning in caught:
                print_message(in_words_of_command(str(warning.message)))


def print_json(facts: Mapping[str, Any], *, err: bool = False) -> None:
    """Print facts as one line of JSON; `err`: on standard error."""
    print_data(json.dumps(plain_value(facts)) + "\n", err=err)


def print_written(output: OutputFile, what: str) -> None:
    """Print a file that was written, what it holds, and whether it replaced another; on stderr if it was streamed."""
    line = f"{output.path}: {what}{' (replaced)' if output.exists else ''}"
    if output.streamed:
        print_note(line)
    else:
        print_line(line)


def rows_and_size(output: OutputFile, rows: int) -> str:
    """Return the number of rows in a file that was written, and its size unless it was streamed."""
    size = "" if output.streamed else f", {format_size(output.path.stat().st_size)}"
    return count_noun(rows, "row") + size


def check_output(json_: bool, csv_: bool) -> None:
    """Refuse two output formats at once."""
    if json_ and csv_:
        raise click.UsageError("--json and --csv exclude each other.")


def print_table(table: ReportTable, json_: bool, csv_: bool) -> None:
    """Print a table for a reader, or its frame as JSON or CSV."""
    check_output(json_, csv_)
    if json_:
        facts = table.frame.attrs.get("histkit", {})
        print_json({"rows": records(table.frame), "totals": table.totals, "facts": facts})
    elif csv_:
        print_data(csv_text(table.frame, for_terminal=True))
    else:
        terminal.print_table(table, "use --csv, --json or a wider terminal")
