"""Statements: what one client is billed for one period, from the rows of that period and nothing else.

The same rows and arguments give the same bytes, whatever the order of the rows: nothing of the present moment is
written, lines are in order of their credits and names, and a fingerprint tells which rows were billed.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from histkit.errors import InputError
from histkit.frame.columns import factorize
from histkit.frame.dates import instants_of
from histkit.frame.schema import TEXT, require
from histkit.money.costs import cost_table
from histkit.money.prices import PriceBook, digits_of, read_prices
from histkit.reports.model import total_of
from histkit.reports.statement_files import FORMATS, statement_path, write_statement
from histkit.usage.aggregate import MEASURES
from histkit.usage.clock import iso, name_of, zone_of
from histkit.usage.labels import COLUMN
from histkit.usage.periods import Period, parse_period
from histkit.usage.table import parse_query, usage_table
from histkit.util.arrays import Ints, Mask
from histkit.util.filenames import safe_name, unique_names
from histkit.util.text import quoted

UNASSIGNED = "unassigned"  # as `label` calls the rows that no rule matches; also those whose label is missing
_MONEY = ("cost", "currency", "priced")
_NAME_ROOM = 160  # bytes of a client's name in a file's: leaves room for the period and what tells names apart


@dataclass(frozen=True)
class _StatementRequest:
    """What statements are asked for, and what the whole frame tells about them."""

    period: Period
    zone: tzinfo
    names: list[Any]
    book: PriceBook | None
    clients: list[str]
    codes: Ints  # the client of each row
    inside: Mask  # which rows are of the period
    dated: Mask
    facts: dict[str, Any]  # of every statement alike

    def columns(self, frame: pd.DataFrame) -> list[Any]:
        """Give the columns that are read: what is not copied costs no time."""
        read = ["history_item_id", *parse_query(self.names, None, tz=self.zone, top=None).columns()]
        if self.book is not None and "account" in frame.columns:
            read.append("account")
        require(frame, read, "a statement")
        return list(dict.fromkeys(read))


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
) -> pd.DataFrame:
    """Make the statement of one client for one period: line items, totals, and proof of the rows billed.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history with a column of clients, as `histkit.label` adds it; needs ``history_item_id``, ``date`` and what
        `histkit.usage_table` needs. Give the whole history: the rows are chosen here.
    client : str
        A value of the column, such as "Acme" or "unassigned". Rows whose value is missing count as "unassigned".
    period : str or (start, end)
        A year "2026", a quarter "2026-Q3", a month "2026-10", an ISO week "2026-W41", a day "2026-10-05"; or two days
        or instants (str, date, datetime), the end exclusive. All on the clock of `tz`.
    path : path-like, optional
        Also write it: ``.html`` (one file, prints well), ``.xlsx`` (extra ``xlsx``), ``.md``, ``.csv`` (the lines
        alone) or ``.json``; the same statement gives the same bytes.
    column : str, default "client"
        The column that names the client of each row.
    tz : str or tzinfo, default "UTC"
        IANA name of the zone whose clock tells periods, and days in `prices`.
    prices : path-like, mapping, DataFrame or PriceBook, optional
        See `histkit.read_prices`; adds costs.
    by : str or list, default ("voice", "model")
        What the lines are told apart by, as in `histkit.usage_table`.
    title : str, optional
        Default: "Statement for <client>, <period>".

    Returns
    -------
    pandas.DataFrame
        On a RangeIndex: the columns of `by`, ``items``, ``characters`` and ``credits`` (Int64), and with `prices` also
        ``cost`` (decimal), ``currency`` (string) and ``priced`` (Float64, 0 to 1), as in `histkit.cost_table`. Most
        credits first, then by name. ``attrs["histkit"]`` has ``client``, ``period``, ``title``, ``start`` and ``end``
        (ISO 8601 with offset), ``tz``, ``totals`` (``items``, ``characters``, ``credits``; None where rows have none
        that is known; ``cost``: currency to decimal text), ``rows``, ``rows_without_credits``, ``rows_without_date``
        (of the client, in no period), ``fingerprint``, ``open`` (whether the newest row of the frame is older than the
        period's end), ``newest`` (that row's date, if so), ``incomplete`` (whether the history says that it was not
        read to its end), and with `prices` ``priced``, ``priced_credits`` and ``unpriced_credits``.

    Raises
    ------
    InputError
        A client or a period that is none, a column that is not there, another argument that can't be used.
    SchemaError
        The frame lacks a column of a history.
    ArchiveError
        The file can't be written.

    Notes
    -----
    The fingerprint is the BLAKE2b hash (8 bytes, in hex) of the rows billed: a line for each, its id, a tab, its
    credits (nothing where unknown) and a newline, the lines sorted.

    The costs of the lines are rounded by largest remainder: they add up to the exact total, rounded half to even.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.label(hk.sample_history(500), [{"label": "Acme", "voice": "Rachel"}])
    >>> month = df["date"].max().strftime("%Y-%m")
    >>> found = statement(df, "Acme", month, tz="Europe/Berlin", by="model")
    >>> found.columns.tolist()
    ['model', 'items', 'characters', 'credits']
    >>> int(found["credits"].sum()) == found.attrs["histkit"]["totals"]["credits"]
    True
    """
    target = None if path is None else statement_path(path)
    if title is not None and not isinstance(title, str):
        raise InputError(f"title= takes a text, not {quoted(title)}.")
    asked = _parse_request(frame, period, column, tz, prices, by)
    if not isinstance(client, str) or client not in asked.clients:
        raise InputError(_unknown(client, asked.clients, column))
    own = asked.codes == asked.clients.index(client)
    rows = frame[asked.columns(frame)].iloc[np.flatnonzero(own & asked.inside)]
    table = _bill(rows, asked, client, int((own & ~asked.dated).sum()), title)
    if target is not None:
        write_statement(table, target)
    return table


def statements(
    frame: pd.DataFrame,
    period: Any,
    *,
    folder: str | os.PathLike[str] | None = None,
    format: str = "md",
    column: str = COLUMN,
    tz: str | tzinfo = "UTC",
    prices: Any = None,
    by: Any = ("voice", "model"),
) -> pd.DataFrame:
    """Make the statements of all clients for one period; their rows are all rows of the period.

    Parameters
    ----------
    frame, period, column, tz, prices, by
        As in `statement`.
    folder : path-like, optional
        Also write each statement there, into a file named by client and period.
    format : {"md", "html", "xlsx", "csv", "json"}
        What is written.

    Returns
    -------
    pandas.DataFrame
        One row per client that has rows in the period, by name: ``client`` (string), ``items``, ``characters``,
        ``credits`` (Int64), with `prices` ``cost`` (decimal, the total of the statement), ``currency`` (string) and
        ``priced`` (Float64, 0 to 1), then ``path`` (string; missing without `folder`) and ``fingerprint`` (string). A
        client with costs in several currencies has a row for each, and one more for what is not priced.
        ``attrs["histkit"]`` has those facts of `statement` that are the same for all clients, and counts the rows.

    Raises
    ------
    InputError, SchemaError, ArchiveError
        As `statement`.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.label(hk.sample_history(500), [{"label": "Acme", "voice": "Rachel"}])
    >>> found = statements(df, "2026")
    >>> found["client"].tolist()
    ['Acme', 'unassigned']
    >>> int(found["items"].sum()) == int((df["date"].dt.year == 2026).sum())
    True
    """
    if format not in FORMATS:
        raise InputError(f"format={quoted(format)} is not possible; give one of {', '.join(map(repr, FORMATS))}.")
    asked = _parse_request(frame, period, column, tz, prices, by)
    files = _files(asked.clients, asked.period, format)
    rows = np.flatnonzero(asked.inside)
    rows = rows[np.argsort(asked.codes[rows], kind="stable")]
    whole, codes = frame[asked.columns(frame)].iloc[rows], asked.codes[rows]
    undated = np.bincount(asked.codes[~asked.dated], minlength=len(asked.clients))
    found: list[dict[str, Any]] = []
    for code in np.unique(codes).tolist():
        first, end = np.searchsorted(codes, (code, code + 1))
        table = _bill(whole.iloc[first:end], asked, asked.clients[code], int(undated[code]), None)
        path = None if folder is None else Path(folder).expanduser() / files[code]
        if path is not None:
            write_statement(table, path)
        more = {"path": path and str(path), "fingerprint": table.attrs["histkit"]["fingerprint"]}
        found += [{"client": asked.clients[code], **each, **more} for each in _summed(table)]
    money = _MONEY if asked.book is not None else ()
    result = pd.DataFrame(found, columns=["client", *MEASURES, *money, "path", "fingerprint"], dtype=object)
    texts = dict.fromkeys(("client", "path", "fingerprint"), "string[pyarrow]")
    result = result.astype({**texts, **dict.fromkeys(MEASURES, "Int64")})
    if money:
        result = result.astype({"currency": "string[pyarrow]", "priced": "Float64"})
        places = max((digits_of(code) for code in result["currency"].dropna()), default=2)
        costs = pa.array(result["cost"].tolist(), pa.decimal128(38, places))
        result["cost"] = pd.Series(pd.arrays.ArrowExtensionArray(costs))
    result.attrs["histkit"] = {**asked.facts, "rows": len(rows), "rows_without_date": int(undated.sum())}
    return result


def _parse_request(frame: pd.DataFrame, period: Any, column: Any, tz: Any, prices: Any, by: Any) -> _StatementRequest:
    zone = zone_of(tz)
    span = parse_period(period, zone)
    names = list(parse_query(by, None, tz=zone, top=None).names)
    book = None if prices is None else read_prices(prices, tz=zone)
    for name in names if book is not None else ():
        if name in _MONEY:
            raise InputError(f"by={name!r} is not possible: the statement has a column of that name already.")
    if not isinstance(column, str) or column not in frame.columns:
        raise InputError(
            f"The frame has no column {quoted(column)}; run df.speech.label(rules) first, or give column=."
        )
    require(frame, ["date"], "a statement")
    codes, clients = _clients(frame[column], column)
    instants, dated = instants_of(frame["date"])
    inside = dated & (instants >= span.start * 1_000_000) & (instants < span.end * 1_000_000)
    newest = int(instants[dated].max()) if dated.any() else None
    told = frame.attrs.get("histkit")
    facts = {
        "period": span.label,
        "start": iso(span.start, zone),
        "end": iso(span.end, zone),
        "tz": name_of(zone),
        "open": newest is None or newest < span.end * 1_000_000,
        "incomplete": isinstance(told, Mapping) and told.get("complete") is False,
    }
    facts["newest"] = iso(newest // 1_000_000, zone) if facts["open"] and newest is not None else None
    return _StatementRequest(span, zone, names, book, clients, codes, inside, dated, facts)


def _clients(column: pd.Series, name: str) -> tuple[Ints, list[str]]:
    """Give the client of each row as a position in the list of clients, which is sorted."""
    try:
        codes, values = factorize(column)
    except (TypeError, NotImplementedError):
        raise InputError(f"Column {name!r} ({column.dtype}) holds something else than names of clients.") from None
    texts = [*map(str, values), UNASSIGNED]  # the last is found by -1
    clients = sorted(set(texts if (codes < 0).any() else texts[:-1]))
    places = {text: place for place, text in enumerate(clients)}
    return np.array([places.get(text, -1) for text in texts], np.int64)[codes], clients


def _unknown(client: Any, clients: Sequence[str], column: str) -> str:
    folded: dict[str, list[str]] = {}
    for each in clients:
        folded.setdefault(each.casefold(), []).append(each)
    near = difflib.get_close_matches(client.casefold(), folded, n=3) if isinstance(client, str) else []
    close = [each for key in near for each in folded[key]][:3]
    start = f"client={quoted(client)} is not in the column {column!r}"
    if close:
        return f"{start}; did you mean {' or '.join(map(quoted, close))}?"
    some = ", ".join(map(quoted, clients[:5])) + (f" and {len(clients) - 5} more" if len(clients) > 5 else "")
    return f"{start}; there {'are ' + some if clients else 'is none'}."


def _bill(rows: pd.DataFrame, asked: _StatementRequest, client: str, undated: int, title: str | None) -> pd.DataFrame:
    """Make the statement of the rows that are billed."""
    if asked.book is None:
        table = usage_table(rows, asked.names, tz=asked.zone)
    else:
        table = cost_table(rows, asked.names, prices=asked.book, tz=asked.zone)
    made = table.attrs["histkit"]
    table = table.iloc[_order(table)].reset_index(drop=True)
    sums = {name: total_of(table[name]) for name in MEASURES}
    totals: dict[str, Any] = {name: None if pd.isna(value) else int(value) for name, value in sums.items()}
    facts = {
        **asked.facts,
        "client": client,
        "title": f"Statement for {client}, {asked.period.label}" if title is None else title,
        "totals": totals,
        "rows": len(rows),
        "rows_without_credits": int(rows["credits"].isna().sum()),
        "rows_without_date": undated,
        "fingerprint": _fingerprint(rows),
    }
    if asked.book is not None:
        totals["cost"] = {code: total["cost"] for code, total in made["totals"].items()}
        if not len(rows):
            totals["cost"] = {
                code: f"{0:.{digits_of(code)}f}" for code in sorted({p.currency for p in asked.book.prices})
            }
        facts |= {name: made[name] for name in ("priced", "priced_credits", "unpriced_credits")}
    table.attrs["histkit"] = facts
    return table


def _order(table: pd.DataFrame) -> list[int]:
    """Sort by credits, the most first and unknown ones last; lines that tie by their names."""
    names = [name for name in table.columns if name not in (*MEASURES, "cost", "priced")]
    credits = [None if pd.isna(each) else int(each) for each in table["credits"]]
    texts = [
        [("", "") if pd.isna(each) else (str(each), type(each).__name__) for each in table[name]] for name in names
    ]
    keys = [(each is None, -(each or 0), *(column[row] for column in texts)) for row, each in enumerate(credits)]
    return sorted(range(len(keys)), key=keys.__getitem__)


def _fingerprint(rows: pd.DataFrame) -> str:
    ids = pa.array(rows["history_item_id"].astype("string"), TEXT, from_pandas=True)
    credits = pa.array(rows["credits"].astype("Int64"), pa.int64(), from_pandas=True).cast(TEXT)
    parts = [ids, pa.scalar("\t", TEXT), credits, pa.scalar("\n", TEXT), pa.scalar("", TEXT)]
    lines = pc.binary_join_element_wise(*parts, null_handling="replace", null_replacement="")
    text = "".join(lines.take(pc.array_sort_indices(lines)).to_pylist())
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _summed(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Give the totals of a statement: one row, or one for each currency."""
    facts = table.attrs["histkit"]
    if "cost" not in table.columns:
        yield facts["totals"]
        return
    own = table["currency"].astype(object).where(table["currency"].notna(), None)
    currencies = [None] if own.isna().all() else list(facts["totals"]["cost"])
    several = len(currencies) > 1
    for code in [*currencies, *([None] if several and own.isna().any() else [])]:
        lines = table[own.isna() if code is None else own.eq(code)] if several else table
        sums = {name: total_of(lines[name]) for name in MEASURES}
        credits = 0 if pd.isna(sums["credits"]) else int(sums["credits"])
        priced = 0 if code is None else credits if several else facts["priced_credits"]
        cost = None if code is None else Decimal(facts["totals"]["cost"][code])
        yield {**sums, "cost": cost, "currency": code, "priced": priced / credits if credits else None}


def _files(clients: Sequence[str], period: Period, format: str) -> list[str]:
    """Name the file of each client; all names differ, in any letter case and whoever has rows in the period."""
    stems = [f"{safe_name(each, _NAME_ROOM)}-{safe_name(period.label, 80)}" for each in clients]
    digests = [hashlib.blake2b(each.encode("utf-8", "replace"), digest_size=8).hexdigest() for each in clients]
    return [f"{stem}.{format}" for stem in unique_names(stems, digests, {})]
