"""Statements: the bill of one client for one period, computed from the rows of that period alone.

The same rows and arguments give the same bytes in any order of the rows: no current time is written, lines are sorted
by credits and names, and a fingerprint identifies the billed rows and their prices.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from histkit.errors import InputError
from histkit.frame.clock import SECOND, iso, name_of, zone_of
from histkit.frame.columns import factorize, factorize_text
from histkit.frame.dates import instants_of
from histkit.frame.keys import refuse_duplicates, repeated_rows
from histkit.frame.names import UnmatchedNameError, did_you_mean
from histkit.frame.schema import require
from histkit.money.costs import cost_table_of, with_price_index
from histkit.money.currencies import digits_of, exact_decimals
from histkit.money.prices import PriceBook, read_prices, warn_of_names
from histkit.reports.amounts import compute_amounts
from histkit.reports.bill import MONEY, UNIT_PRICE, Bill, Voices, line_order
from histkit.reports.billed_rows import billed_rows, exact_costs, fingerprint, rows_fingerprint
from histkit.reports.changes import RowMatcher
from histkit.reports.completeness import history_reasons, history_state, row_reasons
from histkit.reports.issue import Issue, Issuer
from histkit.reports.model import check_title, total_of
from histkit.reports.options import FORMATS
from histkit.reports.register import Entry, HistoryRegisters, Key, history_folder, register_of
from histkit.reports.statement_files import statement_output, write_statement
from histkit.reports.terms import Terms, TermsBook, read_terms
from histkit.usage.aggregate import MEASURES, is_voice, partial_sums
from histkit.usage.label_rules import COLUMN, UNASSIGNED
from histkit.usage.label_zones import check_label_zone
from histkit.usage.labels import RULES_FACT
from histkit.usage.periods import Period, parse_period
from histkit.usage.table import NO_VOICE, VoiceLabels, parse_query, usage_table, voices_in
from histkit.util.arguments import one_of, true_or_false
from histkit.util.arrays import Ints, Mask
from histkit.util.filenames import safe_name, unique_names
from histkit.util.outputs import OutputFile
from histkit.util.storage import local_folder
from histkit.util.text import quoted

_SUMMED = ("cost", "currency", "priced")  # in the table of `statements`
_NAME_BYTES = 160  # of a client's name in a file name: leaves room for the period and a distinguishing suffix
_NO_ID = " (no id)"


@dataclass(frozen=True)
class _StatementRequest:
    """The checked arguments of statements, and the complete frame."""

    frame: pd.DataFrame
    period: Period
    zone: tzinfo
    names: list[Any]
    book: PriceBook | None
    prices: Any  # what the book was read from
    column: str
    clients: list[str]
    codes: Ints  # the client of each row, as a position in `clients`
    instants: Ints
    dated: Mask
    terms: TermsBook
    with_terms: bool
    periods: dict[tuple[int, int, str], _PeriodRows] = field(default_factory=dict)

    def columns(self, names: Sequence[Any]) -> list[Any]:
        """Return the columns that a statement reads; only these are copied."""
        needed = ["history_item_id", *parse_query([*names], None, tz=self.zone, top=None).columns()]
        if self.book is not None:
            needed += self.book.columns(self.frame)
        require(self.frame, needed, "a statement")
        others = [name for name in ("account", "state") if name in self.frame.columns]
        return list(dict.fromkeys([*needed, *others]))

    @cached_property
    def voices(self) -> VoiceLabels:
        """The labels of all voices of the frame: they don't depend on the period."""
        query = parse_query(["voice"], None, tz=self.zone, top=None)
        columns = [name for name in query.columns() if name in self.frame.columns]
        return voices_in(partial_sums(self.frame[columns], query))

    def of_period(self, period: Period, zone: tzinfo, *, compare: bool = True, issued: str = "") -> _PeriodRows:
        """Return the rows of a period by client, and (`compare`) why they may not be all.

        `issued` names the statement that would be corrected, for messages.
        """
        key = period.start, period.end, name_of(zone)
        if key not in self.periods:
            inside = self.dated & (self.instants >= period.start * SECOND) & (self.instants < period.end * SECOND)
            rows = np.flatnonzero(inside)
            rows = rows[np.argsort(self.codes[rows], kind="stable")]
            state = history_state(self.frame)
            reasons = []
            if compare:
                check_label_zone(self.frame, self.column, zone, inside, issued)
                span = period.start, period.end
                reasons = history_reasons(self.frame, state, *span, zone, self.instants, self.dated)
            newest = int(self.instants[self.dated].max()) // SECOND if self.dated.any() else None
            is_open = newest is None or newest < period.end
            facts = {
                "period": period.label,
                "start": iso(period.start, zone),
                "end": iso(period.end, zone),
                "tz": name_of(zone),
                "open": is_open,
                "incomplete": state.incomplete,
                "newest": iso(newest, zone) if is_open and newest is not None else None,
            }
            self.periods[key] = _PeriodRows(rows, self.codes[rows], reasons, facts)
        return self.periods[key]

    def book_of(self, zone: tzinfo) -> PriceBook | None:
        """Return the prices whose days are those of a zone."""
        if self.book is None or name_of(zone) == name_of(self.zone):
            return self.book
        return read_prices(self.prices, tz=zone).for_clients(self.column)

    @cached_property
    def repeated(self) -> Ints:
        """The rows that another account has, too: an id is unique in the service, so one of them has another name."""
        ids = self.frame["history_item_id"]
        later = repeated_rows(ids.to_frame())
        return np.flatnonzero(ids.isin(ids.iloc[later]).to_numpy(bool)) if len(later) else later

    @cached_property
    def undated(self) -> Ints:
        """The number of rows without a date, by client."""
        return np.bincount(self.codes[~self.dated], minlength=len(self.clients))

    def bill(self, client: str, *, title: str | None = None, entry: Entry | None = None) -> Bill:
        """Compute the statement of a client for the period, or for that of an entry in the register."""
        period, zone, names, issued = self.period, self.zone, self.names, ""
        if entry is not None:
            zone = zone_of(entry.tz)
            period = Period(entry.period, entry.key[1], entry.key[2])
            names = [name for name in entry.by if is_voice(name) or name in (*self.frame.columns, "model", "source")]
            issued = f"statement {entry.number} of {quoted(entry.client)}, {entry.period}"
        of_period = self.of_period(period, zone, issued=issued)
        code = self.clients.index(client) if client in self.clients else -1
        start, stop = np.searchsorted(of_period.codes, (code, code + 1)) if code >= 0 else (0, 0)
        places = of_period.rows[start:stop]
        rows, twice = self.frame[self.columns(names)].iloc[places], int(np.isin(places, self.repeated).sum())
        undated = int(self.undated[code]) if code >= 0 else 0
        return _bill(rows, self, of_period, client, undated, twice, period, zone, names, title)

    def locate(self, went: pd.DataFrame, *, clients: bool = True) -> dict[str, int]:
        """Return where rows are that were billed: words to the number of rows."""
        rows = np.flatnonzero(self.frame["history_item_id"].isin(went["history_item_id"]).to_numpy(bool))
        places = {"in another period": len(rows)} if len(rows) and not clients else {}
        for code, count in zip(*np.unique(self.codes[rows], return_counts=True), strict=True) if clients else ():
            places[f"now of {quoted(self.clients[code])}"] = int(count)
        lost = len(went) - len(rows)
        return {**places, "no longer in the frame": lost} if lost > 0 else places


@dataclass(frozen=True)
class _PeriodRows:
    """The rows of a period, sorted by client; why they may not be all; facts that all its statements share."""

    rows: Ints
    codes: Ints
    reasons: list[str]
    facts: dict[str, Any]


@exact_decimals
def statement(
    frame: pd.DataFrame,
    client: str,
    period: Any,
    *,
    path: str | os.PathLike[str] | None = None,
    column: str = COLUMN,
    tz: str | tzinfo = "UTC",
    prices: Any = None,
    by: Any = ("voice", "model"),
    title: str | None = None,
    terms: Any = None,
    number: str | None = None,
    issue_date: Any = None,
    locale: str | None = None,
    issue: bool = False,
    correct: bool = False,
    register: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> pd.DataFrame:
    """Compute the statement of one client for one period: line items, totals, and a fingerprint of the billed rows.

    Parameters
    ----------
    frame : pandas.DataFrame
        The complete history with a column of clients, as `histkit.label` adds it; needs ``history_item_id``, ``date``
        and the columns of `histkit.usage_table`. The rows of the client and the period are selected here.
    client : str
        A value of the column, such as "Acme" or "unassigned". Rows with a missing value count as "unassigned".
    period : str or (start, end)
        A year "2026", a quarter "2026-Q3", a month "2026-10", an ISO week "2026-W41", a day "2026-10-05"; or two days
        or instants (str, date, datetime), the end exclusive. All in `tz`.
    path : path-like, optional
        Also write it to this file: ``.html`` (one file, prints well), ``.xlsx`` (extra ``xlsx``), ``.md``, ``.csv``
        (the lines alone) or ``.json``; the same statement gives the same bytes. An existing file of the same kind is
        replaced. Links are followed; devices, pipes and ``-`` (standard output) are streamed to.
    column : str, default "client"
        The column with the client of each row.
    tz : str or tzinfo, default "UTC"
        IANA name of the zone of the period, and of the days in `prices`.
    prices : path-like, mapping, DataFrame or PriceBook, optional
        See `histkit.read_prices`; adds costs.
    by : str or list, default ("voice", "model")
        The groups that make the lines, as in `histkit.usage_table`.
    title : str, optional
        Default: "Statement for <client>, <period>".
    terms : path-like or mapping, optional
        A TOML file, or its content, with the parties, the minimum fee, the markup and the tax; see Notes.
    number : str, optional
        The number; ``{n}`` in it is counted in the register, as in ``"2026-{n:03}"``; ``{year}`` and ``{month}`` are
        those of the issue date. Default: that of `terms`, else ``"{year}-{n:04}"``.
    issue_date : str or date, optional
        Default: that of `terms`, else the day of issue in `tz`.
    locale : str, optional
        Format numbers and dates as in a locale, such as ``"de_DE"`` (extra ``locale``). CSV and JSON stay as they are.
    issue : bool
        Enter the statement in the register. A statement that was issued is written again with the same bytes; if its
        rows, prices or terms have changed, this is an error that says how. So is a first statement in another zone than
        the client's statements before it: rows in between would be billed twice or never.
    correct : bool
        Where it was issued and has changed, make a correction: a statement that bills the difference. Where rows are
        billed to other clients that are no longer theirs, correct these first. Without `issue`, a preview; if there is
        nothing to correct, this is an error.
    register : path-like, optional
        The register: a file of JSON lines, or the folder of a history. Default: ``_statements.jsonl`` in the folder of
        the local history that the frame was loaded from.
    force : bool
        Also replace a file of another kind.

    Returns
    -------
    pandas.DataFrame
        On a RangeIndex: the columns of `by`, ``items``, ``characters`` and ``credits`` (Int64), and with `prices` also
        ``cost`` (decimal), ``currency`` (string) and ``priced`` (Float64, 0 to 1), as in `histkit.cost_table`; with
        `terms` also ``per_1000_credits`` (decimal), the price of the line. Most credits first, then by name. A
        correction has all lines as they are now, a first column ``entry``, and a line that takes back each statement
        before it. ``attrs["histkit"]`` has ``client``, ``period``, ``title``, ``start`` and ``end``
        (ISO 8601 with offset), ``tz``, ``totals`` (``items``, ``characters``, ``credits``: None if no value is known;
        ``cost``: currency to decimal text), ``rows``, ``rows_without_credits``, ``rows_without_date`` (of the client,
        in no period), ``fingerprint``, ``rows_fingerprint``, ``provisional`` (the reasons why the period is not
        complete; empty if it is), ``open`` (whether the newest row of the frame is older than the period's end),
        ``newest`` (that row's date, if so), ``incomplete`` (whether the history was not read to its end), and with
        `prices` ``priced``, ``priced_credits`` and ``unpriced_credits``. With `terms` also ``issuer``, ``recipient``,
        ``notes``, ``terms``, ``tax_name``, ``locale``, ``number``, and with prices ``amounts`` (by currency, decimals
        as text: ``lines``, ``markup``, ``minimum``, ``tax``, ``total``). Of an issued statement also ``issued``,
        ``again`` (whether it was issued before), ``number``, ``issue_date``, ``register`` and ``path``; of a correction
        ``corrects`` and ``changes``; and ``corrections``, those of other clients that were issued with it (in a
        preview: would be, without numbers).

    Raises
    ------
    InputError
        The client or the column doesn't exist, the period is invalid, or another argument is; or the file exists and is
        of another kind. With `issue`: the statement is provisional, was issued and has changed, or has rows that are
        billed already; the message has the number of the other statement.
    SchemaError
        The frame lacks a column of a history.
    ArchiveError
        The file can't be written; a line of the register was changed.

    Warns
    -----
    UserWarning
        Rows are under another account than in the register: they are known by their ids, and not billed again.

    Notes
    -----
    A statement is provisional, and its file says so, if the history was synced or read before the period's end (each
    account counts; rows appear up to 15 minutes late), was not read to its end, or lacks rows that its folder has; or
    if rows of the client are still ``processing``, have no date, or are there under two accounts, as after one got
    another name. It can't be issued.

    ``rows_fingerprint`` is the BLAKE2b hash (8 bytes, in hex) of the billed rows: one line per row, made of its id, a
    tab, its credits (empty if unknown) and a newline; the lines are sorted. ``fingerprint`` covers the prices too:
    before the newline are a tab and the price that the row got, as in ``EUR 0.3``; and after the lines those terms
    that change amounts, as in ``tax_rate=19``. Without prices and such terms it is the same.

    The costs of the lines are rounded by largest remainder: they add up to the exact total, rounded half to even. The
    markup is computed from this total (or the priced credits), the minimum fee is reached by a top-up to lines and
    markup, and the tax is on the three; markup and tax are rounded half up to the currency's smallest unit. So the
    amounts add up to the total.

    Voices of one name are told apart by letters of their ids, the same in all periods of a frame.

    Terms, all of them optional; those of ``[client.NAME]`` replace the others, and there can be ``name``, ``address``,
    ``tax_id`` and ``contact`` of the client. A minimum fee is for clients with rows in the period; one of
    ``[client.NAME]`` also for a period without::

        number = "2026-{n:03}"
        currency = "EUR"                   # refuses prices in another one
        locale = "de_DE"
        minimum_fee = "50.00"
        markup_percent = "15"              # or markup_per_1000 = "0.05"
        tax_rate = "19"                    # per cent
        tax_name = "VAT"
        notes = "Payable within 14 days."
        unit_prices = true                 # false: lines are not divided by price
        [issuer]
        name = "Studio North"
        address = ["1 Main Street", "10115 Berlin"]
        tax_id = "DE123456789"
        [client.Acme]
        name = "Acme Inc."
        address = ["5 Side Street", "20095 Hamburg"]
        minimum_fee = "100.00"

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.label(hk.sample_history(500), [{"label": "Acme", "voice": "Rachel"}])
    >>> month = df["date"].max().strftime("%Y-%m")
    >>> lines = statement(df, "Acme", month, tz="Europe/Berlin", by="model")
    >>> lines.columns.tolist()
    ['model', 'items', 'characters', 'credits']
    >>> int(lines["credits"].sum()) == lines.attrs["histkit"]["totals"]["credits"]
    True
    """
    output = None if path is None else statement_output(path, force=force)
    check_title(title)
    issue, correct = true_or_false("issue", issue), true_or_false("correct", correct)
    single = {"number": number, "issue_date": issue_date, "locale": locale}
    request = _parse_request(frame, period, column, tz, prices, by, terms, **single)
    issuer = None
    if issue or correct:
        issuer = _issuer(
            request, register, correct, _beside(output, (client, request.period.start, request.period.end), force)
        )
    known = isinstance(client, str) and client in request.clients
    if not known and not (issuer is not None and _was_issued(issuer, client, request.period)):
        raise UnmatchedNameError(_unknown_client(client, request.clients, column))
    bill = request.bill(client, title=title)
    if issue and issuer is not None:
        first, *others = _own_first(issuer.issue([bill]), bill)
        table = _issued_table(first, issuer)
        table.attrs["histkit"]["corrections"] = [_issued_facts(other) for other in others]
        return table
    _spare_issued_files([output], frame, register)
    others = []
    if issuer is not None:
        bill, others = issuer.preview(bill)
    table = bill.table()
    if others:
        table.attrs["histkit"]["corrections"] = [_planned_facts(other) for other in others]
    if output is not None:
        write_statement(table, output)
    return table


def _spare_issued_files(outputs: Sequence[OutputFile | None], frame: pd.DataFrame, register: Any) -> None:
    """Raise if a preview would replace the file of an issued statement."""
    if outputs == [None] or (register is None and history_folder(frame) is None):
        return
    opened = register_of(frame, register)
    entries = opened.read().entries
    for output in outputs:
        if output is not None and not output.streamed:
            opened.check_free(output.path, entries)


def _own_first(issues: list[Issue], bill: Bill) -> list[Issue]:
    return sorted(issues, key=lambda issue: issue.bill.key != bill.key)


def _was_issued(issuer: Issuer, client: Any, period: Period) -> bool:
    return (client, period.start, period.end) in issuer.register.read_intact().by_key


def _issuer(request: _StatementRequest, register: Any, correct: bool, place: Any) -> Issuer:
    opened, folder = register_of(request.frame, register), history_folder(request.frame)
    return Issuer(
        opened,
        lambda entry: request.bill(entry.client, entry=entry),
        request.locate,
        place,
        correct,
        RowMatcher(),
        None if folder is None else HistoryRegisters(folder, opened),
    )


@dataclass(frozen=True)
class Clients:
    """The rows of a frame by client, to compare them with what was issued.

    Attributes
    ----------
    priced : bool
        Whether rows have prices.
    locate : callable
        As in `Issuer`.
    own_zone : bool
        Whether the days in the prices are those of a zone that was passed, not of each statement's own.
    matcher : RowMatcher
        Finds rows among those that are billed.
    """

    request: _StatementRequest
    known: bool
    own_zone: bool
    matcher: RowMatcher = field(default_factory=RowMatcher)

    @property
    def priced(self) -> bool:
        """Whether rows have prices."""
        return self.request.book is not None

    def rows_now(self, net: pd.DataFrame, entry: Entry) -> pd.DataFrame:
        """Return the rows of an entry's client and period as they are now, as `billed_rows` does.

        Without the column of clients of the entry: those that were billed, if they are still in the period.
        """
        request, (client, start, end) = self.request, entry.key
        of_period = request.of_period(Period(entry.period, start, end), zone_of(entry.tz), compare=False)
        if self._knows(entry):
            code = request.clients.index(client) if client in request.clients else -1
            rows = of_period.rows[of_period.codes == code]
        else:
            ids = request.frame["history_item_id"].iloc[of_period.rows]
            rows = of_period.rows[ids.isin(net["history_item_id"]).to_numpy(bool)]
        book = request.book if self.own_zone else request.book_of(zone_of(entry.tz))
        now = billed_rows(request.frame[request.columns([])].iloc[rows], book)
        return now if self._knows(entry) else self.matcher.common(net, now).reset_index(drop=True)

    def unbilled(self, client: str, entries: Sequence[Entry], billed: pd.DataFrame) -> pd.DataFrame:
        """Return the client's rows between its periods that are not among the billed ones: ids, accounts, dates."""
        request, spans = self.request, sorted({entry.key[1:] for entry in entries if self._knows(entry)})
        if not spans or client not in request.clients:
            return pd.DataFrame({"date": []})
        inside = request.dated & (request.codes == request.clients.index(client))
        inside &= (request.instants >= spans[0][0] * SECOND) & (request.instants < max(spans)[1] * SECOND)
        for start, end in spans:
            inside &= ~((request.instants >= start * SECOND) & (request.instants < end * SECOND))
        rows = billed_rows(request.frame[request.columns([])][inside], None).assign(date=request.instants[inside])
        return rows.drop(self.matcher.common(billed, rows).index)

    def locate(self, went: pd.DataFrame, entry: Entry) -> dict[str, int]:
        """Return where rows are that were billed: words to the number of rows."""
        return self.request.locate(went, clients=self._knows(entry))

    def _knows(self, entry: Entry) -> bool:
        return self.known and entry.column == self.request.column


def clients_of(frame: pd.DataFrame, column: str | None, prices: Any, tz: Any) -> Clients:
    """Return the rows of a frame by client; without a column, all are of one."""
    known = column is not None
    if not known:
        column = "all rows"
        frame = frame.assign(**{column: "all"})
    zone = "UTC" if tz is None else tz
    request = _parse_request(frame, ("1970-01-01", "1970-01-02"), column, zone, prices, (), None)
    return Clients(request, known, tz is not None)


def _beside(output: OutputFile | None, key: Key, force: bool) -> Any:
    """Return the file of each bill: the one that was passed, and beside it those of corrections of other clients."""

    def place(bill: Bill, number: str | None, file: str | None) -> OutputFile | None:
        if output is None or bill.key == key:
            return output
        return statement_output(output.path.with_name(_correction_name(bill, number, output.path.suffix)), force=force)

    return place


def _correction_name(bill: Bill, number: str | None, suffix: str) -> str:
    stem = f"{safe_name(bill.facts['client'], 80)}-{safe_name(bill.facts['period'], 60)}"
    return f"{stem}-correction-{safe_name(str(number), 60)}{suffix}"


def _issued_facts(issue: Issue) -> dict[str, Any]:
    """Return where a statement is that was issued."""
    assert issue.entry is not None
    entry = issue.entry
    path = issue.output.path if issue.output is not None else None
    return {
        "number": entry.number,
        "client": entry.client,
        "period": entry.period,
        "corrects": entry.corrects,
        "path": None if path is None else str(path),
    }


def _planned_facts(issue: Issue) -> dict[str, Any]:
    """Return which statement a preview would correct."""
    first = issue.earlier[0]
    facts = {"client": first.client, "period": first.period, "corrects": first.number}
    return {"number": None, **facts, "path": None}


def _issued_table(issue: Issue, issuer: Issuer) -> pd.DataFrame:
    table = issue.bill.table()
    facts = _issued_facts(issue)
    table.attrs["histkit"] = {
        **issue.bill.facts,
        "issued": True,
        "again": issue.again,
        "path": facts["path"],
        "register": str(issuer.register.path),
    }
    return table


@exact_decimals
def statements(
    frame: pd.DataFrame,
    period: Any,
    *,
    folder: str | os.PathLike[str] | None = None,
    format: Literal["md", "html", "xlsx", "csv", "json"] = "md",
    column: str = COLUMN,
    tz: str | tzinfo = "UTC",
    prices: Any = None,
    by: Any = ("voice", "model"),
    terms: Any = None,
    issue_date: Any = None,
    locale: str | None = None,
    issue: bool = False,
    correct: bool = False,
    register: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> pd.DataFrame:
    """Compute the statements of all clients for one period; together they bill every row of the period.

    Parameters
    ----------
    frame, period, column, tz, prices, by, terms, issue_date, locale, register
        As in `statement`.
    folder : path-like, optional
        Also write each statement into this folder, to a file named by client and period.
    format : {"md", "html", "xlsx", "csv", "json"}
        The format of these files.
    issue : bool
        Enter all of them in the register, or none; but not the rows that are "unassigned".
    correct : bool
        With `issue`: as in `statement`. The file of a correction has its number in its name.
    force : bool
        Also replace files of another kind.

    Returns
    -------
    pandas.DataFrame
        One row per client with rows in the period, sorted by name: ``client`` (string), ``items``, ``characters``,
        ``credits`` (Int64), with `prices` ``cost`` (decimal, that of the lines), ``currency`` (string) and ``priced``
        (Float64, 0 to 1), with `terms` too ``total`` (decimal), then ``path`` (string; missing without `folder`) and
        ``fingerprint`` (string), and with `issue` ``number`` and ``corrects`` (string). A client with costs in several
        currencies has a row for each, and one more for unpriced credits. A client without rows that has terms of its
        own with a minimum fee has a row, too.
        ``attrs["histkit"]`` has the facts of `statement` that all clients share, the counts of rows, ``replaced``,
        the number of files that existed, and with `issue` ``register``, ``issued_now`` and ``issued_before``, numbers.

    Raises
    ------
    InputError, SchemaError, ArchiveError
        As `statement`.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.label(hk.sample_history(500), [{"label": "Acme", "voice": "Rachel"}])
    >>> table = statements(df, "2026")
    >>> table["client"].tolist()
    ['Acme', 'unassigned']
    >>> int(table["items"].sum()) == int((df["date"].dt.year == 2026).sum())
    True
    """
    one_of("format", format, FORMATS)
    issue, correct = true_or_false("issue", issue), true_or_false("correct", correct)
    if correct and not issue:
        raise InputError("correct=True needs issue=True; the preview of a correction is a statement of one client.")
    request = _parse_request(frame, period, column, tz, prices, by, terms, issue_date=issue_date, locale=locale)
    of_period = request.of_period(request.period, request.zone)
    clients = [request.clients[code] for code in np.unique(of_period.codes).tolist()]
    clients = sorted({*clients, *_charged_clients(request)})
    names = dict(zip(request.clients, _file_names(request.clients, request.period, format), strict=True))
    root = None if folder is None else local_folder(folder)
    results: list[tuple[pd.DataFrame, OutputFile | None]] = []
    facts: dict[str, Any] = {}
    if issue:
        issuer = _issuer(request, register, correct, _in_folder(root, names, format, force, request))
        bills = [request.bill(client) for client in clients if client != UNASSIGNED]
        span = request.period.start, request.period.end
        issues = issuer.issue(bills, span, request.column)
        results = [(_issued_table(issued, issuer), issued.output) for issued in issues]
        if UNASSIGNED in clients:
            results.append((request.bill(UNASSIGNED).table(), None))
        results.sort(key=lambda result: result[0].attrs["histkit"]["client"])
        numbers = {again: [i.entry.number for i in issues if i.entry and i.again is again] for again in (False, True)}
        facts = {"register": str(issuer.register.path), "issued_now": numbers[False], "issued_before": numbers[True]}
    else:
        outputs = {
            client: None if root is None else statement_output(root / names[client], force=force) for client in clients
        }
        if root is not None:
            _spare_issued_files([*outputs.values()], frame, register)
        for client in clients:
            table, output = request.bill(client).table(), outputs[client]
            if output is not None:
                write_statement(table, output)
            results.append((table, output))
    return _summary(request, results, facts, issue=issue)


def _charged_clients(request: _StatementRequest) -> list[str]:
    """Return the clients that owe a minimum fee also for a period without rows."""
    return [name for name in request.clients if request.terms.of(name, has_rows=False).minimum_fee]


def _in_folder(
    root: Path | None, names: Mapping[str, str], format: str, force: bool, request: _StatementRequest
) -> Any:
    """Return the file of each bill in a folder."""

    def place(bill: Bill, number: str | None, file: str | None) -> OutputFile | None:
        if root is None:
            return None
        client = bill.facts["client"]
        if number is not None:
            name = _correction_name(bill, number, f".{format}")
        elif client in names:
            name = names[client]
        else:
            name = _file_names([client], request.period, format)[0]
        return statement_output(root / name, force=force)

    return place


def _summary(
    request: _StatementRequest,
    results: Sequence[tuple[pd.DataFrame, OutputFile | None]],
    facts: Mapping[str, Any],
    *,
    issue: bool,
) -> pd.DataFrame:
    """Return the table of `statements`."""
    lines: list[dict[str, Any]] = []
    for table, output in results:
        own = table.attrs["histkit"]
        proof = {"path": None if output is None else str(output.path), "fingerprint": own["fingerprint"]}
        proof |= {"number": own.get("number"), "corrects": own.get("corrects")}
        lines += [{"client": own["client"], **totals, **proof} for totals in _totals_by_currency(table)]
    priced = request.book is not None
    result = _statements_frame(lines, priced=priced, total=priced and request.with_terms, issued=issue)
    of_period = request.of_period(request.period, request.zone)
    reasons = dict.fromkeys(reason for table, _ in results for reason in table.attrs["histkit"]["provisional"])
    undated, processing = int(request.undated.sum()), _processing(request.frame.iloc[of_period.rows])
    counts = {"rows": len(of_period.rows), "rows_without_date": undated}
    twice = int(np.isin(of_period.rows, request.repeated).sum())
    all_reasons = [*of_period.reasons, *row_reasons(undated, processing, twice)]
    replaced = sum(
        output is not None and output.exists and not table.attrs["histkit"].get("again") for table, output in results
    )
    shared = {**of_period.facts, "provisional": all_reasons if reasons or undated else []}
    result.attrs["histkit"] = {**shared, **counts, **facts, "replaced": replaced}
    return result


def _statements_frame(lines: list[dict[str, Any]], *, priced: bool, total: bool, issued: bool) -> pd.DataFrame:
    """Build the table of `statements` with its dtypes."""
    money = [*_SUMMED, *(["total"] if total else [])] if priced else []
    proof = ["path", "fingerprint", *(["number", "corrects"] if issued else [])]
    table = pd.DataFrame(lines, columns=["client", *MEASURES, *money, *proof], dtype=object)
    texts = dict.fromkeys(("client", *proof), "string[pyarrow]")
    table = table.astype({**texts, **dict.fromkeys(MEASURES, "Int64")})
    if priced:
        table = table.astype({"currency": "string[pyarrow]", "priced": "Float64"})
        digits = max((digits_of(code) for code in table["currency"].dropna()), default=2)
        for name in ("cost", "total") if total else ("cost",):
            costs = pa.array(table[name].tolist(), pa.decimal128(38, digits))
            table[name] = pd.Series(pd.arrays.ArrowExtensionArray(costs))
    return table


def _processing(rows: pd.DataFrame) -> int:
    """Return the number of rows that are still processing."""
    if "state" not in rows.columns:
        return 0
    codes, states = factorize_text(rows["state"])
    return int(np.isin(codes, [code for code, state in enumerate(states) if state == "processing"]).sum())


def _parse_request(
    frame: pd.DataFrame, period: Any, column: Any, tz: Any, prices: Any, by: Any, terms: Any, **single: Any
) -> _StatementRequest:
    zone = zone_of(tz)
    span = parse_period(period, zone)
    names = list(parse_query(by, None, tz=zone, top=None).names)
    book = None if prices is None else read_prices(prices, tz=zone).for_clients(column)
    taken = (*MONEY, "entry", "provisional")
    for name in names:
        if isinstance(name, str) and name in (taken if book is not None else taken[-2:]):
            raise InputError(f"by={name!r} is not possible: the statement has a column of that name already.")
    require(frame, ["date"], "a statement")
    refuse_duplicates(frame, "the statement")
    if not isinstance(column, str) or column not in frame.columns:
        raise InputError(
            f"The frame has no column {quoted(column)}; run df.speech.label(rules) first, or pass column=."
        )
    if book is not None:
        warn_of_names(book, frame, stacklevel=4)
    terms_book = read_terms(terms, **single)
    codes, clients = _clients(frame[column])
    terms_book.check_clients(clients)
    if book is None and any(terms_book.of(client).money() for client in [*clients, *terms_book.clients]):
        raise InputError("A minimum fee, a markup and a tax need prices: pass prices=.")
    instants, dated = instants_of(frame["date"])
    with_terms = terms is not None
    return _StatementRequest(
        frame, span, zone, names, book, prices, column, clients, codes, instants, dated, terms_book, with_terms
    )


def _clients(column: pd.Series) -> tuple[Ints, list[str]]:
    """Return the client of each row, as a position in the sorted list of clients."""
    codes, values = factorize(column)
    texts = [*map(str, values), UNASSIGNED]  # a missing value has the code -1, the last
    clients = sorted(set(texts if (codes < 0).any() else texts[:-1]))
    places = {text: place for place, text in enumerate(clients)}
    return np.array([places.get(text, -1) for text in texts], np.int64)[codes], clients


def _unknown_client(client: Any, clients: Sequence[str], column: str) -> str:
    """Return the message for a client that has no row, with the closest names."""
    start = f"client={quoted(client)} is not in the column {column!r}"
    if not isinstance(client, str):
        return f"{start}; the clients are names."
    return f"{start}; {did_you_mean(client, clients, 'client')}"


def _bill(
    rows: pd.DataFrame,
    request: _StatementRequest,
    of_period: _PeriodRows,
    client: str,
    undated: int,
    twice: int,
    period: Period,
    zone: tzinfo,
    names: list[Any],
    title: str | None,
) -> Bill:
    """Compute the statement of the billed rows of one client."""
    terms, book = request.terms.of(client, has_rows=len(rows) > 0), request.book_of(zone)
    billed = billed_rows(rows, book)
    if book is None:
        table = usage_table(rows, names, tz=zone)
    elif terms.unit_prices:
        table = _table_with_unit_prices(rows, billed["price"], names, book, zone)
    else:
        table = cost_table_of(with_price_index(rows, book), book, names, None, None, tz=zone)
    costs = table.attrs["histkit"]
    voices = _label_voices(table, names, request) if any(map(is_voice, names)) else []
    table = table.iloc[line_order(table)].reset_index(drop=True)
    sums = {name: total_of(table[name]) for name in MEASURES}
    totals: dict[str, Any] = {name: None if pd.isna(value) else int(value) for name, value in sums.items()}
    facts = {
        **of_period.facts,
        "client": client,
        "title": f"Statement for {client}, {period.label}" if title is None else title,
        "totals": totals,
        "rows": len(rows),
        "rows_without_credits": int(rows["credits"].isna().sum()),
        "rows_without_date": undated,
        "fingerprint": fingerprint(billed, terms.money_lines()),
        "rows_fingerprint": rows_fingerprint(billed),
        "provisional": [*of_period.reasons, *row_reasons(undated, _processing(rows), twice)],
    }
    amounts = {}
    if book is not None:
        totals["cost"] = _cost_totals(costs, book, terms, len(rows))
        facts |= {name: costs[name] for name in ("priced", "priced_credits", "unpriced_credits")}
        priced = {currency: credits for currency, (_, credits) in exact_costs(billed).items()}
        sums = {currency: (Decimal(cost), priced.get(currency, 0)) for currency, cost in totals["cost"].items()}
        try:
            amounts = compute_amounts(sums, terms)
        except InputError as error:
            raise InputError(_amounts_line(facts, str(error), sorted(sums), charged=bool(priced))) from None
    if request.with_terms or terms.formats is not None:
        facts |= _terms_facts(terms, request.with_terms)
        if book is not None and request.with_terms:
            facts["amounts"] = {currency: amount.texts() for currency, amount in sorted(amounts.items())}
    key = client, period.start, period.end
    rules = _rules_fingerprint(request.frame, request.column)
    own_title = title is not None
    table.attrs = {}
    return Bill(key, table, facts, billed, terms, amounts, request.column, names, voices, own_title, rules)


def _amounts_line(facts: Mapping[str, Any], error: str, currencies: Sequence[str], *, charged: bool) -> str:
    """Return why a client's amounts can't be computed, and what helps: first of all complete rows."""
    what = f"The statement of {quoted(facts['client'])} for {facts['period']}"
    first = f" is provisional ({'; '.join(facts['provisional'])}), and its amounts can't be computed" * bool(
        facts["provisional"]
    )
    cure = ""
    if not charged and len(currencies) > 1:  # which of the prices' currencies the fee is in
        cure = f' Write currency = "{currencies[0]}" below [client.{json.dumps(facts["client"])}] in the terms.'
    return f"{what}{first}: {error}{cure}"


def _terms_facts(terms: Terms, with_terms: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"locale": None if terms.formats is None else terms.formats.name}
    if with_terms:
        facts |= {
            "number": None,
            "issuer": terms.issuer.lines(),
            "recipient": terms.recipient.lines(),
            "notes": list(terms.notes),
            "terms": terms.shown(),
            "tax_name": terms.tax_name,
        }
    return facts


def _rules_fingerprint(frame: pd.DataFrame, column: str) -> str | None:
    facts = frame.attrs.get("histkit")
    rules = facts.get(RULES_FACT) if isinstance(facts, Mapping) else None
    own = rules.get(column) if isinstance(rules, Mapping) else None
    return own if isinstance(own, str) else None


def _table_with_unit_prices(
    rows: pd.DataFrame, prices: pd.Series, names: list[Any], book: PriceBook, zone: tzinfo
) -> pd.DataFrame:
    """Return a cost table whose lines have one price each, with this price."""
    codes, texts = factorize_text(prices)
    column = pd.Series(pd.arrays.IntegerArray(codes, codes < 0), rows.index)
    priced = with_price_index(rows.assign(**{UNIT_PRICE: column}), book)
    table = cost_table_of(priced, book, [*names, UNIT_PRICE], None, None, tz=zone)
    rates = [Decimal(text.split()[1]) for text in texts]
    written = {price.per_1000_credits for price in book.prices}
    places = max((-int(rate.as_tuple().exponent) for rate in written), default=0)
    cells = [None if pd.isna(code) else rates[code] for code in table[UNIT_PRICE].astype(object)]
    array = pd.arrays.ArrowExtensionArray(pa.array(cells, pa.decimal128(38, max(places, 0))))
    facts = table.attrs["histkit"]
    table = table.assign(**{UNIT_PRICE: pd.Series(array, table.index)})
    order = [*names, *MEASURES, UNIT_PRICE, "cost", "currency", "priced"]
    table = table[order]
    table.attrs["histkit"] = facts
    return table


def _label_voices(table: pd.DataFrame, names: Sequence[Any], request: _StatementRequest) -> Voices:
    """Label the voices of a table as in the complete frame; return id, name and label of each."""
    known = dict(zip(request.voices.keys, request.voices.labels, strict=True))
    voices: dict[str, tuple[str | None, str | None, str]] = {}
    for label, voice_id in table.attrs["histkit"]["voices"].items():
        name = None
        if voice_id is None:
            name = label
            while (None, name) not in known and name.endswith(_NO_ID):
                name = name.removesuffix(_NO_ID)
        voices[label] = voice_id, name, known.get((voice_id, name), label)
    voices.pop(NO_VOICE, None)
    for column in names:
        if is_voice(column):
            labels = [voices[label][2] if label in voices else label for label in table[column]]
            table[column] = pd.array(labels, dtype=table[column].dtype)
    return sorted(voices.values(), key=str)


def _cost_totals(costs: Mapping[str, Any], book: PriceBook, terms: Terms, rows: int) -> dict[str, str]:
    """Return the cost per currency as decimal text; without rows, zero in the currency of the terms or the prices."""
    if rows and (costs["totals"] or not terms.minimum_fee):
        return {code: total["cost"] for code, total in costs["totals"].items()}
    currencies = {price.currency for price in book.prices} if terms.currency is None else {terms.currency}
    return {code: f"{0:.{digits_of(code)}f}" for code in sorted(currencies)}


def _totals_by_currency(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the totals of a statement: one row, or one per currency and one for unpriced credits."""
    facts = table.attrs["histkit"]
    if "cost" not in table.columns:
        yield facts["totals"]
        return
    if facts.get("corrects") is not None:  # the sums of its lines
        for place, (code, cost) in enumerate(facts["totals"]["cost"].items()):
            counts = {name: facts["totals"][name] if place == 0 else 0 for name in MEASURES}
            yield {**counts, "cost": Decimal(cost), "currency": code, "total": _total(facts, code)}
        return
    unpriced = table["currency"].isna()
    currencies: list[str | None] = [None] if len(table) and unpriced.all() else list(facts["totals"]["cost"])
    if len(currencies) == 1:
        yield _currency_totals(table, facts, currencies[0], facts["priced_credits"])
        return
    for code in [*currencies, *([None] if unpriced.any() else [])]:
        yield _currency_totals(table[unpriced if code is None else table["currency"].eq(code)], facts, code, None)


def _currency_totals(
    lines: pd.DataFrame, facts: dict[str, Any], code: str | None, priced_credits: int | None
) -> dict[str, Any]:
    """Return the totals of the lines in one currency; `priced_credits` None: all of them are priced."""
    sums = {name: total_of(lines[name]) for name in MEASURES}
    credits = 0 if pd.isna(sums["credits"]) else int(sums["credits"])
    priced = 0 if code is None else credits if priced_credits is None else priced_credits
    cost = None if code is None else Decimal(facts["totals"]["cost"][code])
    share = priced / credits if credits else None
    return {**sums, "cost": cost, "currency": code, "priced": share, "total": _total(facts, code)}


def _total(facts: Mapping[str, Any], code: str | None) -> Decimal | None:
    amounts = facts.get("amounts", {})
    return Decimal(amounts[code]["total"]) if code in amounts else None


def _file_names(clients: Sequence[str], period: Period, format: str) -> list[str]:
    """Return a file name per client. All differ in any letter case; a period without rows of a client changes none."""
    stems = [f"{safe_name(client, _NAME_BYTES)}-{safe_name(period.label, 80)}" for client in clients]
    digests = [hashlib.blake2b(client.encode("utf-8", "replace"), digest_size=8).hexdigest() for client in clients]
    return [f"{stem}.{format}" for stem in unique_names(stems, digests, {})]
