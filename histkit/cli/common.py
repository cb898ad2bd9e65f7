"""Shared by the commands: error messages with option names, options, reading of rows, printing of results."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pandas as pd

import histkit as hk
from histkit.cli.output import (
    give_up,
    print_data,
    print_line,
    print_message,
    print_note,
    standard_streams,
    warnings_as_lines,
)
from histkit.frame.clock import iso_in_range, name_of, zone_of
from histkit.frame.columns import factorize
from histkit.frame.dates import parse_date
from histkit.frame.files import csv_text
from histkit.frame.filters import RowFilter
from histkit.frame.json_values import plain_value, records
from histkit.frame.names import MissingColumnError, UnmatchedNameError, UnmatchedNameWarning, close_names
from histkit.frame.provenance import record_selection
from histkit.frame.schema import KINDS
from histkit.money.prices import PriceBook
from histkit.reports import terminal
from histkit.reports.model import ReportTable
from histkit.usage.label_rules import Rule, rules_name
from histkit.usage.labels import assign_labels, unmatched_names
from histkit.util.outputs import OutputFile
from histkit.util.storage import local_folder, local_path
from histkit.util.text import count_noun, format_size, quoted, terminal_text

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
SOME_FAILED = 5
NO_SUCH_NAME = 3
INTERRUPTED = 130
_NOTHING_HALF = "Interrupted. Files are complete or as they were; run it again."
_INTERRUPTED = {
    "sync": "Interrupted. What was read is kept; run it again to resume.",
    "pull": "Interrupted. Finished clips are kept; run it again to resume.",
    "zip": "Interrupted. The zip was not written; run it again.",
    "delete": "Interrupted. Deleted rows are in the journal; run it again for the rest.",
}
_MOST_FAILURES = 10

# Parameters of the package that a command takes under another name.
_NAMES = {
    "accounts": "--account",
    "api_key": "ELEVENLABS_API_KEY",
    "base_url": "ELEVENLABS_BASE_URL",
    "billing": "--reset-day",
    "bulk": "--one-by-one",
    "freq": "PERIOD",
    "keep": "--keepers",
}


def _periods(match: re.Match[str]) -> str:
    """Return a message on ``freq=`` with the names that PERIOD has for the lengths of periods."""
    names = {frequency: name for name, frequency in PERIODS.items()}
    words = [names.get(None if word == "None" else word.strip("'"), word) for word in match["words"].split(", ")]
    return f"freq={names.get(match[1], match[1])!r} {match['problem']}; use one of {', '.join(map(repr, words))}"


# What the package tells a Python user to do, as the command line does it.
_PHRASES = (
    (re.compile(r"\bregex=False\b"), "--literal"),
    (
        re.compile(r"(?:histkit\.)?\bsync\((\w+=True(?:, \w+=True)*)\)"),
        lambda match: f"histkit sync --{match[1].replace('=True', '').replace(', ', ' --')}",
    ),
    (
        re.compile(r"verify\((?P<quote>['\"])(?P<folder>.*?)(?P=quote), prove=True\)"),
        r"histkit verify \g<folder> --prove",
    ),
    (
        re.compile(r"HistoryClient\((total_timeout|max_page_bytes|max_clip_bytes)=\.\.\.\)"),
        lambda match: f"the environment variable HISTKIT_{match[1].upper()}",
    ),
    (re.compile(r"confirm to delete"), "--confirm deletes them"),
    (re.compile(r"\(overwrite=True\)"), "(histkit pull --overwrite)"),
    (re.compile(r"overwrite=True downloads"), "histkit pull --overwrite downloads"),
    (re.compile(r" or pass HistoryClient\(api_key=\.\.\.\)"), ""),
    (re.compile(r"ELEVENLABS_API_KEY or api_key="), "ELEVENLABS_API_KEY"),
    (re.compile(r"histkit\.sync\(.*\), or histkit sync"), "histkit sync"),
    (re.compile(r"^The frame (?=has |lacks )"), "The history "),
    (re.compile(r"(?:take those of one, )?df\[df\['account'\] == '\.\.\.'\]"), "use --account NAME"),
    (re.compile(r"(?:take those of one, )?df\[df\['account'\] == (?=['\"])"), "use --account "),
    (re.compile(r"(--account (?:'[^']*'|\"[^\"]*\"))\], with its client"), r"\1, with its key"),
    (re.compile(r", or pass billing=\{account: \.\.\.\}"), ""),
    (re.compile(r"run df\.speech\.label\(rules\) first"), "add --rules"),
    (re.compile(r"or choose the columns that agree by columns="), "or leave only the columns that agree"),
    (re.compile(r"\bmodel=(?=(?:'[^']*'|\"[^\"]*\") is not known)"), "on_model="),
    (
        re.compile(r"\bfreq=(?:None\b|'(\w+)') (?P<problem>.*?); use one of (?P<words>[^.]*)"),
        _periods,
    ),
    (re.compile(r"; or pass a list of strings"), "; use a text file"),
    (
        re.compile(r"use a text file, a list of strings, or a frame with the column 'text'"),
        "use a file with a text a line",
    ),
)
_PARAMETER = re.compile(  # year= and month= are folders
    r"""
    (?P<quoted> (?<!\w) (?: '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" ) (?!\w) )  # quoted user input is left unchanged
    | (?<![\w.?&/-]) (?!(?:year|month)=) (?P<name>[a-z_]+)= (?P<value> True\b | '(?:[^'\\]|\\.)*' | (?=[^\s.,:;)]) )?
    """,
    re.VERBOSE,
)


class _WrongUsage(click.ClickException):
    """A usage error, shown as one line like every other error."""

    exit_code = click.UsageError.exit_code

    def __init__(self, error: click.UsageError) -> None:
        if isinstance(error, click.BadParameter) and isinstance(error.param, click.Argument) and not error.param_hint:
            error.param_hint = f"'{(error.param.name or '').upper()}'"  # else all choices, which the message has, too
        message = terminal_text(" ".join(error.format_message().split()))
        end = "" if message.endswith((".", ")", "?")) else "."
        place = f" See {error.ctx.command_path} --help." if error.ctx is not None else ""
        super().__init__(message + end + place)

    def show(self, file: Any = None) -> None:
        """Print the line on standard error."""
        print_message(self.message)


@contextmanager
def _usage_in_one_line() -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        raise _WrongUsage(error) from None


class Commands(click.Group):
    """A group of commands that ends an error of histkit with one line on stderr and exit code 1.

    The exit code of a name that matches nothing is 3, that of a wrong command line 2.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line."""
        with standard_streams():
            return super().main(*args, **kwargs)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the command line up to the name of the command."""
        with _usage_in_one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            with warnings_as_lines(), _usage_in_one_line():
                return super().invoke(ctx)
        except (UnmatchedNameWarning, UnmatchedNameError, MissingColumnError) as problem:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            print_message(in_option_names(str(problem), command))
            ctx.exit(NO_SUCH_NAME)
        except hk.HistkitError as error:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            print_message(in_option_names(str(error), command))
            ctx.exit(1)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            give_up(error)
        except KeyboardInterrupt:
            print_message(_INTERRUPTED.get(ctx.invoked_subcommand or "", _NOTHING_HALF))
            ctx.exit(INTERRUPTED)
        except click.ClickException as error:
            error.message = terminal_text(error.message)  # type: ignore[misc]
            raise


def in_option_names(message: str, command: click.Command | None) -> str:
    """Replace the Python parameters in a message by the options and arguments of a command.

    Parameters
    ----------
    message : str
        A message of the package, which names a parameter as in ``near=2`` or ``near=``.
    command : click.Command, optional
        The command that was run.

    Examples
    --------
    >>> option = click.Option(["--near"])
    >>> in_option_names("near='x' needs freq=.", click.Command("takes", params=[option]))
    "--near 'x' needs PERIOD."
    """
    options, flags = dict(_NAMES), set()
    for parameter in command.params if command is not None else ():
        name = max(parameter.opts, key=len)
        if isinstance(parameter, click.Argument):
            options[name] = name.upper()
        else:
            options[name.removeprefix("--").replace("-", "_")] = name
        if getattr(parameter, "is_flag", False):
            flags.add(name)

    def replacement(match: re.Match[str]) -> str:
        if match["quoted"] is not None:
            return match["quoted"]
        name, value = match["name"], match["value"]
        option = options.get(name, name.replace("_", " "))
        return option if value is None or (value == "True" and option in flags) else f"{option} {value}"

    for phrase, words in _PHRASES:
        message = phrase.sub(words, message)
    return _PARAMETER.sub(replacement, message)


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
        frame = _read_rows(history, account, live, search, limit if text is None else None, workers, client, arguments)
    if text is None:
        return frame
    return newest_rows(hk.filter_items(frame, text=text, regex=not literal).reset_index(drop=True), limit)


def _read_rows(
    history: Path | str,
    account: tuple[str, ...],
    live: bool,
    search: str | None,
    limit: int | None,
    workers: int | None,
    client: hk.HistoryClient | None,
    arguments: dict[str, Any],
) -> pd.DataFrame:
    if not live and not search and _is_local(history):
        if workers is not None:
            raise click.UsageError("--workers is for reading from the API: add --live.")
        frame = hk.load(history, account=account or None, **arguments)
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
