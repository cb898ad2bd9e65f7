"""Statements: the bill of one client for one period, computed from the rows of that period alone.

The same rows and arguments give the same bytes in any order of the rows: no current time is written, lines are sorted
by credits and names, and a fingerprint identifies the billed rows.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from histkit.errors import InputError
from histkit.frame.clock import SECOND, iso, name_of, zone_of
from histkit.frame.columns import factorize, whole_numbers
from histkit.frame.dates import instants_of
from histkit.frame.keys import refuse_duplicates
from histkit.frame.names import UnmatchedNameError, did_you_mean
from histkit.frame.schema import TEXT, require
from histkit.money.costs import cost_table_of, with_price_index
from histkit.money.currencies import digits_of
from histkit.money.prices import PriceBook, read_prices, warn_of_names
from histkit.reports.model import check_title, total_of
from histkit.reports.statement_files import FORMATS, statement_output, write_statement
from histkit.usage.aggregate import MEASURES
from histkit.usage.label_zones import check_label_zone
from histkit.usage.labels import COLUMN, UNASSIGNED
from histkit.usage.periods import Period, parse_period
from histkit.usage.table import parse_query, usage_table
from histkit.util.arguments import one_of
from histkit.util.arrays import Ints, Mask
from histkit.util.filenames import safe_name, unique_names
from histkit.util.outputs import OutputFile
from histkit.util.storage import local_folder
from histkit.util.text import quoted

_MONEY = ("cost", "currency", "priced")
_NAME_BYTES = 160  # of a client's name in a file name: leaves room for the period and a distinguishing suffix


@dataclass(frozen=True)
class _StatementRequest:
    """The checked arguments of statements, and facts of the complete frame."""

    period: Period
    zone: tzinfo
    names: list[Any]
    book: PriceBook | None
    clients: list[str]
    codes: Ints  # the client of each row, as a position in `clients`
    inside: Mask  # which rows are in the period
    dated: Mask
    facts: dict[str, Any]  # the same in every statement

    def columns(self, frame: pd.DataFrame) -> list[Any]:
        """Return the columns that a statement reads; only these are copied."""
        needed = ["history_item_id", *parse_query(self.names, None, tz=self.zone, top=None).columns()]
        if self.book is not None:
            needed += self.book.columns(frame)
        require(frame, needed, "a statement")
        return list(dict.fromkeys(needed))


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
    force : bool
        Also replace a file of another kind.

    Returns
    -------
    pandas.DataFrame
        On a RangeIndex: the columns of `by`, ``items``, ``characters`` and ``credits`` (Int64), and with `prices` also
        ``cost`` (decimal), ``currency`` (string) and ``priced`` (Float64, 0 to 1), as in `histkit.cost_table`. Most
        credits first, then by name. ``attrs["histkit"]`` has ``client``, ``period``, ``title``, ``start`` and ``end``
        (ISO 8601 with offset), ``tz``, ``totals`` (``items``, ``characters``, ``credits``: None if no value is known;
        ``cost``: currency to decimal text), ``rows``, ``rows_without_credits``, ``rows_without_date`` (of the client,
        in no period), ``fingerprint``, ``open`` (whether the newest row of the frame is older than the period's end),
        ``newest`` (that row's date, if so), ``incomplete`` (whether the history was not read to its end), and with
        `prices` ``priced``, ``priced_credits`` and ``unpriced_credits``.

    Raises
    ------
    InputError
        The client or the column doesn't exist, the period is invalid, or another argument is; or the file exists and is
        of another kind.
    SchemaError
        The frame lacks a column of a history.
    ArchiveError
        The file can't be written.

    Notes
    -----
    The fingerprint is the BLAKE2b hash (8 bytes, in hex) of the billed rows: one line per row, made of its id, a tab,
    its credits (empty if unknown) and a newline; the lines are sorted.

    The costs of the lines are rounded by largest remainder: they add up to the exact total, rounded half to even.

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
    request = _parse_request(frame, period, column, tz, prices, by)
    if not isinstance(client, str) or client not in request.clients:
        raise UnmatchedNameError(_unknown_client(client, request.clients, column))
    of_client = request.codes == request.clients.index(client)
    rows = frame[request.columns(frame)].iloc[np.flatnonzero(of_client & request.inside)]
    table = _bill(rows, request, client, int((of_client & ~request.dated).sum()), title)
    if output is not None:
        write_statement(table, output)
    return table


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
    force: bool = False,
) -> pd.DataFrame:
    """Compute the statements of all clients for one period; together they bill every row of the period.

    Parameters
    ----------
    frame, period, column, tz, prices, by
        As in `statement`.
    folder : path-like, optional
        Also write each statement into this folder, to a file named by client and period.
    format : {"md", "html", "xlsx", "csv", "json"}
        The format of these files.
    force : bool
        Also replace files of another kind.

    Returns
    -------
    pandas.DataFrame
        One row per client with rows in the period, sorted by name: ``client`` (string), ``items``, ``characters``,
        ``credits`` (Int64), with `prices` ``cost`` (decimal, the total of the statement), ``currency`` (string) and
        ``priced`` (Float64, 0 to 1), then ``path`` (string; missing without `folder`) and ``fingerprint`` (string). A
        client with costs in several currencies has a row for each, and one more for unpriced credits.
        ``attrs["histkit"]`` has the facts of `statement` that all clients share, the counts of rows, and ``replaced``,
        the number of files that existed.

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
    request = _parse_request(frame, period, column, tz, prices, by)
    files = _file_names(request.clients, request.period, format)
    rows = np.flatnonzero(request.inside)
    rows = rows[np.argsort(request.codes[rows], kind="stable")]
    billed, codes = frame[request.columns(frame)].iloc[rows], request.codes[rows]
    undated = np.bincount(request.codes[~request.dated], minlength=len(request.clients))
    outputs: dict[int, OutputFile] = {}
    for code in np.unique(codes).tolist() if folder is not None else ():
        outputs[code] = statement_output(local_folder(folder) / files[code], force=force)
    lines: list[dict[str, Any]] = []
    for code in np.unique(codes).tolist():
        client = request.clients[code]
        start, stop = np.searchsorted(codes, (code, code + 1))
        table = _bill(billed.iloc[start:stop], request, client, int(undated[code]), None)
        output = outputs.get(code)
        if output is not None:
            write_statement(table, output)
        proof = {
            "path": None if output is None else str(output.path),
            "fingerprint": table.attrs["histkit"]["fingerprint"],
        }
        lines += [{"client": client, **totals, **proof} for totals in _totals_by_currency(table)]
    result = _statements_frame(lines, priced=request.book is not None)
    counts = {"rows": len(rows), "rows_without_date": int(undated.sum())}
    replaced = sum(output.exists for output in outputs.values())
    result.attrs["histkit"] = {**request.facts, **counts, "replaced": replaced}
    return result


def _statements_frame(lines: list[dict[str, Any]], *, priced: bool) -> pd.DataFrame:
    """Build the table of `statements` with its dtypes."""
    money = _MONEY if priced else ()
    table = pd.DataFrame(lines, columns=["client", *MEASURES, *money, "path", "fingerprint"], dtype=object)
    texts = dict.fromkeys(("client", "path", "fingerprint"), "string[pyarrow]")
    table = table.astype({**texts, **dict.fromkeys(MEASURES, "Int64")})
    if priced:
        table = table.astype({"currency": "string[pyarrow]", "priced": "Float64"})
        digits = max((digits_of(code) for code in table["currency"].dropna()), default=2)
        costs = pa.array(table["cost"].tolist(), pa.decimal128(38, digits))
        table["cost"] = pd.Series(pd.arrays.ArrowExtensionArray(costs))
    return table


def _parse_request(frame: pd.DataFrame, period: Any, column: Any, tz: Any, prices: Any, by: Any) -> _StatementRequest:
    zone = zone_of(tz)
    span = parse_period(period, zone)
    names = list(parse_query(by, None, tz=zone, top=None).names)
    book = None if prices is None else read_prices(prices, tz=zone).for_clients(column)
    for name in names if book is not None else ():
        if isinstance(name, str) and name in _MONEY:
            raise InputError(f"by={name!r} is not possible: the statement has a column of that name already.")
    require(frame, ["date"], "a statement")
    refuse_duplicates(frame, "the statement")
    if not isinstance(column, str) or column not in frame.columns:
        raise InputError(
            f"The frame has no column {quoted(column)}; run df.speech.label(rules) first, or pass column=."
        )
    if book is not None:
        warn_of_names(book, frame, stacklevel=3)
    codes, clients = _clients(frame[column])
    instants, dated = instants_of(frame["date"])
    inside = dated & (instants >= span.start * SECOND) & (instants < span.end * SECOND)
    check_label_zone(frame, column, zone, inside)
    newest = int(instants[dated].max()) // SECOND if dated.any() else None
    is_open = newest is None or newest < span.end
    history = frame.attrs.get("histkit")
    facts = {
        "period": span.label,
        "start": iso(span.start, zone),
        "end": iso(span.end, zone),
        "tz": name_of(zone),
        "open": is_open,
        "incomplete": isinstance(history, Mapping) and history.get("complete") is False,
        "newest": iso(newest, zone) if is_open and newest is not None else None,
    }
    return _StatementRequest(span, zone, names, book, clients, codes, inside, dated, facts)


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


def _bill(rows: pd.DataFrame, request: _StatementRequest, client: str, undated: int, title: str | None) -> pd.DataFrame:
    """Compute the statement of the billed rows of one client."""
    if request.book is None:
        table = usage_table(rows, request.names, tz=request.zone)
    else:
        priced = with_price_index(rows, request.book)
        table = cost_table_of(priced, request.book, request.names, None, None, tz=request.zone)
    costs = table.attrs["histkit"]
    table = table.iloc[_line_order(table)].reset_index(drop=True)
    sums = {name: total_of(table[name]) for name in MEASURES}
    totals: dict[str, Any] = {name: None if pd.isna(value) else int(value) for name, value in sums.items()}
    facts = {
        **request.facts,
        "client": client,
        "title": f"Statement for {client}, {request.period.label}" if title is None else title,
        "totals": totals,
        "rows": len(rows),
        "rows_without_credits": int(rows["credits"].isna().sum()),
        "rows_without_date": undated,
        "fingerprint": _fingerprint(rows),
    }
    if request.book is not None:
        totals["cost"] = _cost_totals(costs, request.book, len(rows))
        facts |= {name: costs[name] for name in ("priced", "priced_credits", "unpriced_credits")}
    table.attrs["histkit"] = facts
    return table


def _cost_totals(costs: Mapping[str, Any], book: PriceBook, rows: int) -> dict[str, str]:
    """Return the cost per currency as decimal text; without rows, zero in each currency of the prices."""
    if rows:
        return {code: total["cost"] for code, total in costs["totals"].items()}
    return {code: f"{0:.{digits_of(code)}f}" for code in sorted({price.currency for price in book.prices})}


def _line_order(table: pd.DataFrame) -> list[int]:
    """Return the positions of the lines by credits, the largest first and unknown ones last; ties by their names."""
    names = [name for name in table.columns if name not in (*MEASURES, "cost", "priced")]
    credits = [(True, 0) if pd.isna(value) else (False, -int(value)) for value in table["credits"]]
    groups = [[_sort_key(value) for value in table[name]] for name in names]
    keys = [(credit, *(column[row] for column in groups)) for row, credit in enumerate(credits)]
    return sorted(range(len(keys)), key=keys.__getitem__)


def _sort_key(value: Any) -> tuple[str, str]:
    return ("", "") if pd.isna(value) else (str(value), type(value).__name__)


def _fingerprint(rows: pd.DataFrame) -> str:
    ids = pa.array(rows["history_item_id"].astype("string"), TEXT, from_pandas=True)
    values, known = whole_numbers(rows["credits"])
    credits = pa.array(values, mask=~known).cast(TEXT)
    parts = [ids, pa.scalar("\t", TEXT), credits, pa.scalar("\n", TEXT), pa.scalar("", TEXT)]
    lines = pc.binary_join_element_wise(*parts, null_handling="replace", null_replacement="")
    text = "".join(lines.take(pc.array_sort_indices(lines)).to_pylist())
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _totals_by_currency(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the totals of a statement: one row, or one per currency and one for unpriced credits."""
    facts = table.attrs["histkit"]
    if "cost" not in table.columns:
        yield facts["totals"]
        return
    unpriced = table["currency"].isna()
    currencies: list[str | None] = [None] if unpriced.all() else list(facts["totals"]["cost"])
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
    return {**sums, "cost": cost, "currency": code, "priced": priced / credits if credits else None}


def _file_names(clients: Sequence[str], period: Period, format: str) -> list[str]:
    """Return a file name per client. All differ in any letter case; a period without rows of a client changes none."""
    stems = [f"{safe_name(client, _NAME_BYTES)}-{safe_name(period.label, 80)}" for client in clients]
    digests = [hashlib.blake2b(client.encode("utf-8", "replace"), digest_size=8).hexdigest() for client in clients]
    return [f"{stem}.{format}" for stem in unique_names(stems, digests, {})]
