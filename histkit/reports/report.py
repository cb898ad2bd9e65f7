"""Usage reports: built once, written as HTML, XLSX or Markdown, or printed on the terminal."""

from __future__ import annotations

import os
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from histkit.frame.columns import whole_numbers
from histkit.frame.dates import as_unix, instants_of
from histkit.frame.keys import refuse_duplicates, rows_checked, warn_of_duplicates
from histkit.frame.schema import DESCRIPTIVE_COLUMNS, require
from histkit.frame.scope import Scope, scope_of
from histkit.money.costs import with_price_index
from histkit.money.prices import read_prices, warn_of_names
from histkit.reports.html import html
from histkit.reports.markdown import markdown
from histkit.reports.model import Report, Section, check_title
from histkit.reports.quota import quota_section
from histkit.reports.sections import (
    ReportSpec,
    counter_table,
    headline_facts,
    ledger_section,
    omissions_section,
    takes_section,
    text_section,
    usage_sections,
)
from histkit.reports.terminal import print_report
from histkit.reports.xlsx import write_xlsx
from histkit.retakes.takes import takes
from histkit.usage.table import parse_query
from histkit.util.arguments import whole_number
from histkit.util.outputs import HTML, MARKDOWN, XLSX, OutputFile, output_of
from histkit.util.text import count_noun
from histkit.util.threads import DaemonThreads

_NO_LEDGER = (
    "Not for a part of a history: the credit counter is that of the account, so the rows that are left out would look "
    "like credits spent elsewhere. The ledger takes the whole history."
)
_NO_FORECAST = "Not for a part of a history: the forecast takes the credits of all rows."
_UNKNOWN_SCOPE = "It is not known whether these rows are a whole history. If others lie between them, {}."
_UNKNOWN_GAPS = "It is not known whether the rows that are left out lie between these. If some do, {}."
_DISTORTED = "the unseen credits are also theirs"
KINDS = (HTML, XLSX, MARKDOWN)
_MOST_DAYS_BY_DAY, _MOST_DAYS_BY_MONTH = 62, 800  # default periods: days, months; quarters for a longer history


def report(
    frame: pd.DataFrame,
    path: str | os.PathLike[str] | None = None,
    *,
    title: str | None = None,
    tz: str = "UTC",
    freq: str | None = None,
    top: int = 15,
    prices: Any = None,
    subscription: Any = None,
    billing: Any = None,
    now: Any = None,
    force: bool = False,
) -> Path | None:
    """Write a usage report, or print it on the terminal.

    Its sections: totals, usage by period, voice, model and source, top texts, takes, ledger, omissions. The same rows
    and arguments give the same bytes; a report doesn't contain the current date.

    A report on a part of a history says so: rows that `filter_items`, `load` or `read_history` selected, or that were
    cut from such a frame. Where the rest lies between the rows, as with one voice of several, it has no ledger, no
    unseen credits and no forecast, which the credits of the rest would distort. Where that is not known, it says so.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one. Columns ``client`` (of `label`) and ``account`` get sections of their own.
    path : path-like, optional
        The file; its extension selects the format: ``.html`` (one file, inline charts), ``.xlsx`` (extra ``xlsx``) or
        ``.md``. An existing report is replaced. Links are followed; a device, a pipe and ``-`` (standard output) are
        streamed to, as HTML if they have no extension. None: print on the terminal.
    title : str, optional
        The headline.
    tz : str, default "UTC"
        IANA name of the zone of all dates.
    freq : str, optional
        Length of the periods, as in `usage_table`; default: days, months or quarters, depending on the length of the
        history.
    top : int, default 15
        Maximum number of rows of a table; the others become ``other``.
    prices : path, mapping, DataFrame or PriceBook, optional
        Prices of credits, see `read_prices`: adds costs to the tables, with the share that is priced.
    subscription : Subscription or mapping, optional
        Plan and counter (``client.subscription()``): adds the quota and its forecast.
    billing : Subscription, mapping, int or date, optional
        For ``freq="billing"``, as in `usage_table`; default: `subscription`.
    now : str, datetime or Timestamp, optional
        Start of the forecast; a naive date is UTC. Default: the current time.
    force : bool
        Also replace a file of another kind.

    Returns
    -------
    pathlib.Path or None
        The file.

    Raises
    ------
    SchemaError
        The frame lacks a column; with `prices`, rows occur twice.
    InputError
        An argument is invalid, the file has another extension, or it exists and is of another kind.
    ArchiveError
        The file can't be written.

    Warns
    -----
    UserWarning
        Rows occur twice. The report then has usage only: no texts, takes, ledger and quota.

    Examples
    --------
    >>> import tempfile, histkit as hk
    >>> df = hk.sample_history(300)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = hk.report(df, f"{folder}/october.html", title="October")
    ...     "October</h1>" in path.read_text()
    True
    """
    output = None if path is None else output_of(path, KINDS, "a report", force=force)
    top = whole_number("top", top, 1)
    check_title(title)
    built = build_report(
        frame,
        title=title,
        tz=tz,
        freq=freq,
        top=top,
        prices=prices,
        subscription=subscription,
        billing=billing,
        now=now,
    )
    with rows_checked():  # charts are drawn now
        if output is None:
            print_report(built)
            return None
        write_report(built, output)
    return output.path


def build_report(
    frame: pd.DataFrame,
    *,
    title: str | None = None,
    tz: str = "UTC",
    freq: str | None = None,
    top: int = 15,
    prices: Any = None,
    subscription: Any = None,
    billing: Any = None,
    now: Any = None,
) -> Report:
    """Build a report, independent of its format; parameters as in `report`."""
    require(frame, DESCRIPTIVE_COLUMNS, "a report")
    for name in ("characters", "credits"):
        whole_numbers(frame[name])  # raises SchemaError
    span = _date_span(frame["date"])
    freq = _default_freq(span) if freq is None else freq
    billing = subscription if billing is None and isinstance(freq, str) and freq == "billing" else billing
    zone = parse_query(None, freq, tz=tz, top=None, billing=billing).zone
    if now is not None:
        as_unix(now, "now")
    book = None if prices is None else read_prices(prices, tz=tz)
    duplicates = None
    if book is None:
        duplicates = warn_of_duplicates(frame, "the report")
    else:
        refuse_duplicates(frame, "a report with prices")
        warn_of_names(book, frame, stacklevel=3)
    priced = frame if book is None else with_price_index(frame, book)
    spec = ReportSpec(priced, tz, freq, billing, top, book, subscription, now, duplicates)
    scope = scope_of(frame, zone)
    dates = "no dated rows"
    if span is not None:
        dates = " to ".join(f"{moment.tz_convert(zone):%Y-%m-%d}" for moment in span)
    with rows_checked():
        part = f"; part of a history: {scope.part}" if scope.part else ""
        subtitle = f"{dates}, {tz}; {count_noun(len(frame), 'item')}{part}"
        return _assemble(spec, frame, scope, title or "Speech usage", subtitle)


def _date_span(dates: pd.Series) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """Return the first and the last date in UTC; None where no row has one."""
    instants, dated = instants_of(dates)
    known = pd.to_datetime(instants[dated], unit="us", utc=True)
    return (known.min(), known.max()) if len(known) else None


def _default_freq(span: tuple[pd.Timestamp, pd.Timestamp] | None) -> str:
    days = 0 if span is None else (span[1] - span[0]).days + 1
    return "D" if days <= _MOST_DAYS_BY_DAY else "MS" if days <= _MOST_DAYS_BY_MONTH else "QS"


def _assemble(spec: ReportSpec, frame: pd.DataFrame, scope: Scope, title: str, subtitle: str) -> Report:
    """Compute the sections of a report and put them in order."""
    if spec.duplicates is not None:
        only_usage = (*usage_sections(spec), omissions_section(spec, None, scope.part))
        return Report(title, subtitle, headline_facts(spec, None, None), only_usage)
    future = DaemonThreads().submit(copy_context().run, takes, frame)  # the takes are half of the work
    counters = None if scope.gaps else counter_table(spec)
    sections: list[Section] = [*usage_sections(spec)]
    if spec.subscription is not None:
        sections.append(Section("quota", "Quota", (_NO_FORECAST,)) if scope.gaps else quota_section(spec))
    retakes = future.result()
    sections += [text_section(spec, retakes), takes_section(spec, retakes, scope.part)]
    if scope.gaps:
        sections.append(Section("ledger", "Ledger", (_NO_LEDGER,)))
    if counters is not None:
        section = ledger_section(counters, spec.ledger_freq)
        if scope.gaps is None:
            doubt = (_UNKNOWN_GAPS if scope.part else _UNKNOWN_SCOPE).format(_DISTORTED)
            section = replace(section, notes=(*section.notes, doubt))
        sections.append(section)
        if not scope.counters_tell(counters.attrs["histkit"]["chained"]):
            counters = None  # no headline
    sections.append(omissions_section(spec, counters, scope.part))
    return Report(title, subtitle, headline_facts(spec, retakes, counters), tuple(sections))


def write_report(report: Report, output: OutputFile) -> None:
    """Write a report atomically; the same report gives the same bytes.

    Parameters
    ----------
    report : Report
        The report.
    output : OutputFile
        Its kind is one of `KINDS`.

    Raises
    ------
    ArchiveError
        The file can't be written.
    InputError
        XlsxWriter is not installed.
    """
    with output.open() as temporary:
        if output.kind is XLSX:
            write_xlsx(report, temporary)
        else:
            text = markdown(report) if output.kind is MARKDOWN else html(report)
            temporary.write_text(text, encoding="utf-8", newline="\n", errors="replace")
