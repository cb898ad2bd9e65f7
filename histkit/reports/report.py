"""Usage reports: one model of a report, written as HTML, XLSX, Markdown, or on the terminal."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from histkit.errors import InputError
from histkit.frame.dates import instants_of
from histkit.frame.schema import require
from histkit.money.costs import with_price_index
from histkit.money.prices import read_prices
from histkit.reports.html import html
from histkit.reports.markdown import markdown
from histkit.reports.model import Report
from histkit.reports.quota import quota_section
from histkit.reports.sections import (
    ReportSpec,
    counters,
    ledger_section,
    left_out,
    summary,
    takes_section,
    text_section,
    usage_sections,
)
from histkit.reports.terminal import print_report
from histkit.reports.xlsx import write_xlsx
from histkit.retakes.takes import takes
from histkit.usage.clock import zone_of
from histkit.util.arguments import whole_number
from histkit.util.files import atomic_write

NEEDED = (
    "history_item_id",
    "date",
    "voice_id",
    "voice_name",
    "model_id",
    "source",
    "text",
    "dialogue",
    "characters",
    "credits",
)
_DAYS, _MONTHS = 62, 800  # so long a history is told by days, by months; a longer one by quarters


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
) -> Path | None:
    """Write a usage report, or print it on the terminal.

    Its sections: summary, usage by period, voice, model and source, top texts, takes, ledger, what is missing.
    The same rows and arguments give the same bytes: a report bears no time of its own.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one. Columns ``client`` (of `label`) and ``account`` get sections of their own.
    path : path-like, optional
        The file, by its ending: ``.html`` (one file, charts inline), ``.xlsx`` (extra ``xlsx``), ``.md``. None: print
        on the terminal.
    title : str, optional
        Its headline.
    tz : str, default "UTC"
        IANA name of the zone of all dates.
    freq : str, optional
        Length of the periods, as in `usage_table`; default: days, months or quarters, by the length of the history.
    top : int, default 15
        Rows of a table at most; the others become ``other``.
    prices : path, mapping, DataFrame or PriceBook, optional
        What credits cost, see `read_prices`: adds cost to the tables, with the share that is priced.
    subscription : Subscription or mapping, optional
        Plan and counter (``client.subscription()``): adds the quota and its forecast.
    billing : Subscription, mapping, int or date, optional
        For ``freq="billing"``, as in `usage_table`; default: `subscription`.
    now : str, datetime or Timestamp, optional
        The moment that the forecast starts from; default: the present.

    Returns
    -------
    pathlib.Path or None
        The file.

    Raises
    ------
    SchemaError
        The frame lacks a column.
    InputError
        An argument that can't be used, or another ending.
    ArchiveError
        The file can't be written.

    Examples
    --------
    >>> import tempfile, histkit as hk
    >>> df = hk.sample_history(300)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = hk.report(df, f"{folder}/october.html", title="October")
    ...     "October</h1>" in path.read_text()
    True
    """
    target = None if path is None else Path(path).expanduser()
    if target is not None and target.suffix.lower() not in ENDINGS:
        raise InputError(f"path={str(path)!r}: a report is .html, .xlsx or .md.")
    top = whole_number("top", top, 1)
    made = build_report(
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
    if target is None:
        print_report(made)
        return None
    write_report(made, target)
    return target


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
    """Make a report, whatever it is written as; parameters as in `report`."""
    require(frame, NEEDED, "a report")
    zone_of(tz)
    instants, dated = instants_of(frame["date"])
    known = pd.to_datetime(instants[dated], unit="us", utc=True)
    first, last = (known.min(), known.max()) if len(known) else (None, None)
    days = 0 if first is None or last is None else (last - first).days + 1
    book = None if prices is None else read_prices(prices, tz=tz)
    wanted = ReportSpec(
        frame if book is None else with_price_index(frame, book),
        tz,
        freq or ("D" if days <= _DAYS else "MS" if days <= _MONTHS else "QS"),
        (subscription if billing is None else billing) if freq == "billing" else billing,
        top,
        book,
        subscription,
        None if now is None else pd.Timestamp(now),
    )
    lengths = "MS" if freq == "billing" else wanted.freq
    with ThreadPoolExecutor(1) as thread:  # takes are half of the work
        taken = thread.submit(takes, frame)
        counter = counters(frame, lengths, tz)
        sections = [*usage_sections(wanted)]
        if subscription is not None:
            sections.append(quota_section(wanted))
        found = taken.result()
    sections += [text_section(wanted, found), takes_section(wanted, found)]
    if counter is not None:
        sections.append(ledger_section(counter, lengths))
    sections.append(left_out(wanted, counter))
    span = "no dated rows"
    if first is not None and last is not None:
        span = f"{first.tz_convert(tz):%Y-%m-%d} to {last.tz_convert(tz):%Y-%m-%d}"
    facts = summary(wanted, found, counter)
    return Report(title or "Speech usage", f"{span}, {tz}; {len(frame):,} items", facts, tuple(sections))


ENDINGS = (".html", ".htm", ".xlsx", ".md")


def write_report(report: Report, path: Path) -> None:
    """Write a report, all of it or nothing; the same report gives the same bytes.

    Parameters
    ----------
    report : Report
        What to write.
    path : Path
        With one of `ENDINGS`.

    Raises
    ------
    ArchiveError
        The file can't be written.
    InputError
        A package is missing that writes it.
    """
    ending = path.suffix.lower()
    with atomic_write(path) as temporary:
        if ending == ".xlsx":
            write_xlsx(report, temporary)
        else:
            text = markdown(report) if ending == ".md" else html(report)
            temporary.write_text(text, encoding="utf-8", newline="\n", errors="replace")
