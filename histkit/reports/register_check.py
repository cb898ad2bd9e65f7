"""Read and prove the register of issued statements."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from histkit.errors import ArchiveError
from histkit.frame.clock import SECOND, iso
from histkit.money.currencies import digits_of, exact_decimals
from histkit.reports.amounts import Amounts, compute_amounts, nothing
from histkit.reports.billed_rows import decode_rows, exact_costs, net_rows
from histkit.reports.changes import Changes, compare_rows
from histkit.reports.register import Entry, Key, Register, RegisterState
from histkit.reports.statement import Clients, clients_of
from histkit.reports.terms import Terms
from histkit.usage.label_rules import COLUMN
from histkit.util.files import hash_of, shown_path
from histkit.util.text import count_noun, error_line, quoted

FAILED, CHANGED, UNBILLED = "failed", "changed", "unbilled"
_PARTS = ("lines", "markup", "minimum", "tax", "total")
_FINDINGS = ["kind", "number", "client", "period", "problem"]
_STRING = "string[pyarrow]"
_MOST_SHOWN = 3


@exact_decimals
def issued_statements(register: str | os.PathLike[str] = "data/history") -> pd.DataFrame:
    """Read the register of issued statements.

    Parameters
    ----------
    register : path-like, default "data/history"
        The register's file, or the folder of a local history.

    Returns
    -------
    pandas.DataFrame
        One row per statement and currency (one without prices), oldest first: ``number``, ``corrects`` (the number of
        the statement that a correction corrects), ``client``, ``period`` (string), ``start``, ``end``
        (datetime64[us, UTC], the end exclusive), ``tz`` (string), ``issue_date`` (date32), ``issued_at``
        (datetime64[us, UTC]), ``items``, ``characters``, ``credits`` (Int64; of a correction the difference),
        ``currency`` (string), ``lines``, ``markup``, ``minimum``, ``tax``, ``total`` (decimal, exact; in the places of
        the currency that has most, so 333 yen beside euros are 333.00), ``fingerprint``,
        ``rows_fingerprint``, ``rules`` (fingerprint of the rules of `histkit.label`, if known), ``path`` (absolute) and
        ``sha256`` of the file (string). A second currency of a statement has 0 items, characters and credits.
        ``attrs["histkit"]`` has ``register`` and ``problems``, the lines of the register that are not as they were
        written, and are left out.

    Raises
    ------
    ArchiveError, InputError
        The file can't be read, or is something else. Without a file there are no rows.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.label(hk.sample_history(500), [{"label": "Acme", "voice": "Rachel"}])
    >>> lines = hk.statement(df, "Acme", "2026-08", issue=True, register="statements.jsonl")
    >>> issued_statements("statements.jsonl")[["number", "client", "period"]].iloc[0, 1:].tolist()
    ['Acme', '2026-08']
    """
    opened = Register(register)
    state = opened.read()
    rows = [row for entry in state.entries for row in _rows_of(entry, opened)]
    texts = ["number", "corrects", "client", "period", "tz", "currency"]
    proofs = ["fingerprint", "rows_fingerprint", "rules", "path", "sha256"]
    columns = [*texts[:4], "start", "end", "tz", "issue_date", "issued_at", "items", "characters", "credits"]
    table = pd.DataFrame(rows, columns=[*columns, "currency", *_PARTS, *proofs], dtype=object)
    table = table.astype({**dict.fromkeys([*texts, *proofs], _STRING), "items": "Int64"})
    table = table.astype({"characters": "Int64", "credits": "Int64"})
    for name in ("start", "end", "issued_at"):
        table[name] = pd.to_datetime(table[name], utc=True, format="ISO8601").astype("datetime64[us, UTC]")
    days = pa.array([date.fromisoformat(day) for day in table["issue_date"]], pa.date32())
    table["issue_date"] = pd.Series(pd.arrays.ArrowExtensionArray(days), table.index)
    places = max((digits_of(code) for code in table["currency"].dropna()), default=2)
    for name in _PARTS:
        amounts = pa.array([None if pd.isna(value) else value for value in table[name]], pa.decimal128(38, places))
        table[name] = pd.Series(pd.arrays.ArrowExtensionArray(amounts), table.index)
    table.attrs["histkit"] = {"register": str(opened.path), "problems": _line_problems(state)}
    return table


def _rows_of(entry: Entry, register: Register) -> Iterator[dict[str, Any]]:
    facts = {name: getattr(entry, name) for name in ("number", "corrects", "client", "period", "start", "end", "tz")}
    facts |= {
        name: getattr(entry, name) for name in ("issue_date", "issued_at", "fingerprint", "rows_fingerprint", "rules")
    }
    facts |= {"sha256": entry.sha256, "path": None if entry.file is None else str(register.place(entry.file))}
    for place, (currency, texts) in enumerate(entry.amounts.items() or [(None, {})]):
        counts = entry.totals if place == 0 else dict.fromkeys(entry.totals, 0)
        amounts = {name: Decimal(texts[name]) if texts else None for name in _PARTS}
        yield {**facts, **counts, "currency": currency, **amounts}


def _line_problems(state: RegisterState) -> list[str]:
    return [*state.problems, *([state.torn] if state.torn else [])]


def issued_rows(register: str | os.PathLike[str] = "data/history") -> pd.DataFrame:
    """Read which rows each issued statement bills, or credits.

    Parameters
    ----------
    register : path-like, default "data/history"
        As in `issued_statements`.

    Returns
    -------
    pandas.DataFrame
        One row per statement and row of the history: ``number``, ``client``, ``period``, ``account``,
        ``history_item_id`` (string), ``credits`` (Int64), ``price`` (string: currency and amount per 1,000 credits) and
        ``sign`` (int64: 1 billed, -1 credited by a correction). The signs of a row add up to 1 where it is billed, to 0
        where it no longer is.

    Raises
    ------
    ArchiveError, InputError
        The register can't be read, or a line of it was changed.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.label(hk.sample_history(500), [{"label": "Acme", "voice": "Rachel"}])
    >>> lines = hk.statement(df, "Acme", "2026-08", issue=True, register="statements.jsonl")
    >>> int(issued_rows("statements.jsonl")["sign"].sum()) == lines.attrs["histkit"]["rows"]
    True
    """
    opened = Register(register)
    state = opened.read()
    if state.problems:
        raise ArchiveError(state.problems[0])
    names = ["number", "client", "period"]
    frames = []
    for entry in state.entries:
        try:
            rows = decode_rows(entry.rows)
        except ValueError as error:
            raise ArchiveError(f"{shown_path(opened.path)}, statement {entry.number}: {error_line(error)}.") from None
        facts = {name: pd.array([getattr(entry, name)] * len(rows), dtype=_STRING) for name in names}
        frames.append(rows.assign(**facts)[[*names, *rows.columns]])
    if not frames:
        empty = decode_nothing()
        return empty.assign(**{name: pd.array([], dtype=_STRING) for name in names})[[*names, *empty.columns]]
    return pd.concat(frames, ignore_index=True)


def decode_nothing() -> pd.DataFrame:
    """Return a frame of signed rows without any."""
    return net_rows([]).drop(columns="times").assign(sign=np.zeros(0, np.int64))


@exact_decimals
def check_statements(
    register: str | os.PathLike[str] = "data/history",
    frame: pd.DataFrame | None = None,
    *,
    column: str | None = COLUMN,
    prices: Any = None,
    tz: str | None = None,
) -> pd.DataFrame:
    """Prove the register of issued statements, and list what has changed since.

    It proves that each line is as it was written, numbers are unique and counted ones have no gap, each file is there
    with its bytes, totals follow from the billed rows, and no row is billed twice net of corrections.

    Parameters
    ----------
    register : path-like, default "data/history"
        As in `issued_statements`.
    frame : pandas.DataFrame, optional
        The complete history: also list the rows that came, went or changed since.
    column : str or None, default "client"
        The frame's column of clients; None: only look for the billed rows themselves, not for rows that came.
    prices : path-like, mapping, DataFrame or PriceBook, optional
        Also list rows that have another price now.
    tz : str, optional
        Zone of the days in `prices`. Default: that of each statement.

    Returns
    -------
    pandas.DataFrame
        One row per finding (string): ``kind`` ("failed", "changed" for rows that changed since, or "unbilled" for rows
        of a client between its periods that are in no statement, as after a change of zone), ``number``,
        ``client``, ``period`` and ``problem``, a sentence. No rows: all is proven. ``attrs["histkit"]`` has
        ``register``, ``statements`` (number of entries) and ``rows`` (net number of billed rows).

    Raises
    ------
    ArchiveError, InputError, SchemaError
        The register can't be read; the frame lacks a column.

    Warns
    -----
    UserWarning
        Rows are under another account than when they were billed.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.label(hk.sample_history(500), [{"label": "Acme", "voice": "Rachel"}])
    >>> lines = hk.statement(df, "Acme", "2026-08", issue=True, register="statements.jsonl")
    >>> len(check_statements("statements.jsonl", df))
    0
    """
    opened = Register(register)
    state = opened.read()
    clients = None if frame is None else clients_of(frame, column, prices, tz)
    findings: list[tuple[str, str | None, str | None, str | None, str]] = []
    findings += [(FAILED, None, None, None, line) for line in _line_problems(state)]
    findings += [
        (FAILED, entry.number, entry.client, entry.period, line) for entry, line in _entry_problems(state, opened)
    ]
    nets: dict[Key, pd.DataFrame] = {}
    for key, entries in state.by_key.items():
        nets[key], problems = _recomputed(entries)
        findings += [(FAILED, entry.number, entry.client, entry.period, line) for entry, line in problems]
    findings += [(FAILED, None, None, None, line) for line in _billed_twice(nets, state)]
    if clients is not None:
        for key, entries in state.by_key.items():
            last = entries[-1]
            line = _changed(nets[key], last, clients)
            if line:
                findings.append((CHANGED, entries[0].number, last.client, last.period, line))
        findings += [(UNBILLED, None, client, None, line) for client, line in _unbilled(nets, state, clients)]
    if clients is not None and clients.matcher.renamed:
        warnings.warn(clients.matcher.note(), stacklevel=3)
    table = pd.DataFrame(findings, columns=_FINDINGS, dtype=object).astype(_STRING)
    rows = sum(int(net["times"].sum()) for net in nets.values())
    facts = {"register": str(opened.path), "statements": len(state.entries), "rows": rows}
    table.attrs["histkit"] = facts
    return table


def _entry_problems(state: RegisterState, register: Register) -> Iterator[tuple[Entry, str]]:
    """Yield problems with numbers and files."""
    numbers = Counter(entry.number for entry in state.entries)
    counts: dict[str, list[Entry]] = {}
    for entry in state.entries:
        if numbers[entry.number] > 1:
            yield entry, f"the number {entry.number} is that of {numbers[entry.number]} statements"
        if entry.series is not None:
            counts.setdefault(entry.series, []).append(entry)
        if entry.file is not None:
            yield from ((entry, line) for line in _file_problems(entry, register))
    for series, entries in counts.items():
        present = {entry.count for entry in entries}
        before, _, after = series.partition("{n}")
        for count in range(1, max(entry.count or 0 for entry in entries)):
            literal = re.compile(re.escape(before) + f"0*{count}" + re.escape(after))
            if count not in present and not any(map(literal.fullmatch, numbers)):
                yield entries[-1], f"the numbers {series} have a gap: {count} is missing"


def _file_problems(entry: Entry, register: Register) -> Iterator[str]:
    path = register.place(entry.file or "")
    digest = hash_of(path)
    if digest == entry.sha256:
        return
    if entry.sha256 is not None and (register.staging / entry.sha256).is_file():
        yield f"its file {shown_path(path)} is not in its place yet: the next issue writes it"
    elif digest is None:
        yield f"its file {shown_path(path)} is missing: move it there, where it was when it was issued"
    else:
        yield f"its file {shown_path(path)} is not as it was issued"


def _recomputed(entries: list[Entry]) -> tuple[pd.DataFrame, list[tuple[Entry, str]]]:
    """Return the net rows of a client and period, and the entries whose totals don't follow from their rows."""
    problems: list[tuple[Entry, str]] = []
    decoded: list[pd.DataFrame] = []
    amounts: dict[str, Amounts] = {}
    items, credits = 0, 0
    net = net_rows([])
    for entry in entries:
        try:
            decoded.append(decode_rows(entry.rows))
            for currency, texts in entry.amounts.items():
                amounts[currency] = amounts.get(currency, nothing(currency)) + Amounts.of(texts)
        except (ValueError, KeyError, ArithmeticError) as error:
            problems.append((entry, error_line(error)))
            continue
        net = net_rows(decoded)
        if (net["times"] != 1).any():
            count = int((net["times"] != 1).sum())
            problems.append((entry, f"{count_noun(count, 'row')} is billed more than once or credited without a bill"))
            continue
        items += entry.totals.get("items") or 0
        credits += entry.totals.get("credits") or 0
        if items != len(net):
            problems.append((entry, f"its items are {items:,}, and its rows {len(net):,}"))
        if int(net["credits"].sum()) != credits and all(e.totals.get("credits") is not None for e in entries):
            problems.append(
                (entry, f"its credits are {credits:,}, and those of its rows {int(net['credits'].sum()):,}")
            )
        problems += [(entry, line) for line in _amount_problems(net, entry, amounts)]
    return net, problems


def _amount_problems(net: pd.DataFrame, entry: Entry, amounts: Mapping[str, Amounts]) -> Iterator[str]:
    money: dict[str, Any] = {name: Decimal(text) for name, text in entry.terms.items()}
    terms = Terms(**money)
    costs = exact_costs(net)
    if not costs and len(amounts) > 1:
        return  # nothing is priced, and which currency has the minimum fee is not known
    for currency in sorted({*amounts, *(costs if entry.priced else ())}):
        exact, credits = costs.get(currency, (Decimal(0), 0))
        with localcontext(prec=60):
            rounded = exact.quantize(Decimal(1).scaleb(-digits_of(currency)), ROUND_HALF_EVEN)
        expected = nothing(currency)
        if currency in costs or not costs:
            expected = compute_amounts({currency: (rounded, credits)}, terms)[currency]
        billed = amounts.get(currency, nothing(currency))
        if billed != expected:
            yield (
                f"what is billed, {currency} {billed.total:f}, is not what follows from its rows, prices and terms, "
                f"{currency} {expected.total:f}"
            )


def _billed_twice(nets: Mapping[Key, pd.DataFrame], state: RegisterState) -> Iterator[str]:
    """Yield the rows that several clients or periods bill, or one of them under two accounts."""
    frames = [net.assign(owner=place) for place, net in enumerate(nets.values()) if len(net)]
    if not frames:
        return
    rows = pd.concat(frames, ignore_index=True)
    repeated = rows[rows["history_item_id"].duplicated(keep=False)]
    keys = list(nets)
    owners = repeated.groupby("history_item_id")["owner"].unique()
    groups = Counter(tuple(sorted(values.tolist())) for values in owners)
    for places, count in groups.items():
        numbers = [f"{state.by_key[keys[place]][0].number} of {quoted(keys[place][0])}" for place in places]
        twice = "twice " if len(numbers) == 1 else ""
        yield f"{count_noun(count, 'row')} {'is' if count == 1 else 'are'} billed {twice}by {' and by '.join(numbers)}"


def _unbilled(nets: Mapping[Key, pd.DataFrame], state: RegisterState, clients: Clients) -> Iterator[tuple[str, str]]:
    """Yield clients, and which of their rows are in none of their periods and in no statement, but between them."""
    names = sorted({key[0] for key in nets})
    if not names:
        return
    billed = pd.concat(nets.values(), ignore_index=True)
    for client in names:
        rows = clients.unbilled(client, [entry for entry in state.entries if entry.client == client], billed)
        if len(rows):
            first, last = (iso(int(edge) // SECOND, UTC) for edge in (rows["date"].min(), rows["date"].max()))
            yield (
                client,
                f"{count_noun(len(rows), 'row')} of {quoted(client)} between its periods "
                f"{'is' if len(rows) == 1 else 'are'} in no statement: from {first} to {last}",
            )


def _changed(net: pd.DataFrame, entry: Entry, clients: Clients) -> str:
    """Return how the rows of an entry's client and period differ now; empty if they don't."""
    rows = clients.rows_now(net, entry)
    issued = net if clients.priced else net.assign(price=pd.array([None] * len(net), dtype=_STRING))
    signed, counts, went = compare_rows(issued, rows, clients.matcher)
    return (
        "; ".join(Changes(signed, counts, went, []).lines(lambda rows: clients.locate(rows, entry)))
        if len(signed)
        else ""
    )
