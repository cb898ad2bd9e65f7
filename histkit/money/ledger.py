"""The credit ledger: seen and unseen credits, adjustments and billing resets by period.

`histkit.money.chains` chains the counters of the rows of each account; here their figures are summed.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from datetime import tzinfo
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.clock import timestamps, zone_of
from histkit.frame.columns import integer_array, whole_numbers
from histkit.frame.filters import RowFilter
from histkit.frame.keys import refuse_duplicates
from histkit.frame.log_table import WHO_ADVICE
from histkit.frame.schema import require
from histkit.money.chains import FROM as FROM
from histkit.money.chains import TO as TO
from histkit.money.chains import Entries as Entries
from histkit.money.chains import chain_counters as chain_counters
from histkit.money.falls import Billing
from histkit.usage.aggregate import UsageQuery, partial_sums
from histkit.usage.buckets import bucket
from histkit.usage.periods import RESET, billing_freq, parse_freq
from histkit.usage.table import build_table, parse_query
from histkit.util.arguments import true_or_false
from histkit.util.arrays import Ints, Mask, add_by_code, running_maximum
from histkit.util.text import quoted

SUMS = ("rows", "chained", "seen", "unseen", "adjustment", "overlap", "resets")
NOTE = "An estimate: a gap is everything that is not in this frame, also rows that were filtered out."
_NULLABLE = {"b": "boolean", "i": "Int64", "u": "UInt64"}
_UNKNOWN = ("unseen", "adjustment", "resets")  # missing in a period with a fall that nothing explains


def ledger(
    frame: pd.DataFrame,
    freq: str = "D",
    *,
    by: Hashable | Iterable[Hashable] = None,
    tz: str | tzinfo = "UTC",
    billing: Any = None,
    across_accounts: bool = False,
    after: Any = None,
    before: Any = None,
) -> pd.DataFrame:
    """Chain the credit counters of the rows: seen and unseen credits and billing resets by period.

    Parameters
    ----------
    frame : pandas.DataFrame
        The complete history; needs ``date``, ``credits``, ``character_count_change_from`` and ``_to``. With several
        values in a column ``account`` (missing counts as a value), each account has its own ledger.
    freq : str, default "D"
        Length of the periods, as `histkit.usage_table` takes it.
    by : str or list, optional
        Columns that divide what the rows say, such as ``"api_key"`` of an attributed history; as `histkit.usage_table`
        takes them. Each group gets a row of its own in each period.
    tz : str or tzinfo, default "UTC"
        Zone of the periods, an IANA name.
    billing : Subscription, mapping, int or date, optional
        The known dates of the billing resets, as `histkit.usage_table` takes them. With several accounts a dict of the
        account to these.
    across_accounts : bool, default False
        Whether to add up the ledgers of several accounts by period. Their counters are never chained to one another.
    after, before : str, date, datetime, Timestamp or int, optional
        Dates as in `histkit.filter_items`, in `tz`: only what these rows say is summed. All rows of the frame are
        chained, so that the first of them has its gap; a frame that was filtered before lacks it.

    Returns
    -------
    pandas.DataFrame
        With a RangeIndex, oldest first, one row for each period that has rows with counters: ``account`` (in its dtype,
        only if there are several), ``period`` (``datetime64[us, tz]``, first instant), and as Int64

        - ``rows``: rows with counters
        - ``chained``: rows that start at the counter before them
        - ``seen``: the sum of their ``credits``; missing if none is known
        - ``unseen``: an estimate of the credits spent outside these rows (music, effects, deleted rows, other seats)
        - ``adjustment``: by how much the counter fell without a reset, 0 or negative: refunds and corrections
        - ``overlap``: credits of concurrent rows that the counter never showed; usually 0
        - ``resets``: billing resets
        - ``counter``: the last known counter at the end of the period; missing `across_accounts`

        With `by`, its columns come before ``period``. A group has ``rows``, ``chained`` and ``seen``; the other
        figures, which belong to no group, are missing. They stand in a last row of each period, in which the columns
        of `by`, ``rows``, ``chained`` and ``seen`` are missing. So the sums are those of the ledger without `by`.

        ``unseen``, ``adjustment`` and ``resets`` are missing in a period with a fall of the counter that neither a
        reset nor an adjustment explains.

        ``attrs["histkit"]``: ``by`` (names), ``estimate`` (True), ``seen``, ``unseen``, ``adjustment`` and ``overlap``
        (sums of what is known, also within such periods), ``unknown`` (number of unexplained falls),
        ``periods_unknown`` (periods that have one), ``resets`` (instants of the first row after each, ISO 8601),
        ``chained`` (share of the rows that have a row before them; None if none has), ``concurrent`` (rows that start
        below the counter), ``rows``, ``rows_without_counters``, ``rows_without_date``, ``note``. With `after` or
        `before` they are of these rows, apart from ``rows_without_date``.

    Raises
    ------
    InputError
        `freq`, `by`, `tz`, `billing` or a date is invalid, or the frame has several accounts and `billing` is of one.
    SchemaError
        The frame lacks a column, or a column has values of another type.

    Notes
    -----
    From its first counter (0 after a reset) to its last, each cycle grew by ``seen + unseen + adjustment - overlap``,
    apart from unexplained falls. A gap counts in the period of the row after it. Credits spent between the last row
    before a reset and the reset itself are unknown and not counted; credits spent between the reset and the first row
    after it are unseen, assuming that the counter restarts at 0.

    A fall of the counter could be a refund if it is at most 400 credits or the largest row. A larger one that lands
    below a twentieth of the counter is a billing reset, so also after a change of plan. Others are resets on the dates
    of `billing`. Without these, none less than 27 days before or after another reset is one, and the landing must be
    what can have been spent since the row before: a tenth of the counter, twice its average over a month, or twice what
    the account spent outside its rows in about as much time at another time. Then a fall below half is a reset if it
    exceeds 400 credits, follows a pause of 4 days (12 hours if it lands at 0), or comes one to three months before or
    after another. One that lands higher is a reset if it comes whole months after and before the others. So are falls
    that no refund explains, wherever they land: below half one to three months from another reset, higher between two.
    What is no reset is an adjustment if a refund could explain it, or it lands above half and is less than a tenth of
    the counter; all else is unexplained.

    Dates of rows that ran at the same time are in no order, so rows within two minutes are chained by their counters,
    and a fall is seen when it is older than that. A row dated up to an hour late, after a long call, is put where it
    fits exactly. A row that ends below half of its own start contains a fall, and has no known price; what the counter
    shows of it after a reset is unseen.

    Rows that read the counter at the same time count twice; a gap soon after them is attributed to their credits first.
    So concurrent rows never produce unseen credits, and ``unseen`` is rather too low. Of a refund and unseen credits
    between two rows only the difference is known.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.money.ledger import ledger
    >>> df = hk.sample_history(2000)
    >>> table = ledger(df, "MS")
    >>> bool(table["seen"].sum() == df["credits"].sum())
    True
    >>> bool(table["resets"].sum() == len(table.attrs["histkit"]["resets"]))
    True
    """
    length, zone = parse_freq(freq), zone_of(tz)
    across_accounts = true_or_false("across_accounts", across_accounts)
    dates = RowFilter.of(after=after, before=before, tz=zone)
    query = None if by is None else parse_query(by, freq, tz=tz, made=(*SUMS, "counter"))
    require(frame, ("date", "credits", FROM, TO), "the ledger")
    refuse_duplicates(frame, "the ledger")
    groups = _accounts(frame)
    billings = _billings(frame, groups, billing, zone)
    counters = frame[["date", FROM, TO]]
    entries = [chain_counters(counters.iloc[rows], rows, resets) for rows, resets in zip(groups, billings, strict=True)]
    inside = dates.mask(frame)
    entries = [chained.select(inside[chained.rows]) for chained in entries]
    credits, known = whole_numbers(frame["credits"])
    times = np.concatenate([chained.times for chained in entries])
    codes, starts = bucket(times, length, zone)
    order = np.argsort(starts)
    places = np.empty(len(starts), np.int64)
    places[order] = np.arange(len(starts))
    parts = np.split(places[codes], np.cumsum([len(chained.times) for chained in entries])[:-1])
    tables = [_table(chained, periods, credits, known) for chained, periods in zip(entries, parts, strict=True)]
    table = pd.concat(tables, ignore_index=True)
    facts = _facts(frame, inside, entries, table)
    linked = [(chained.rows, chained.chained) for chained in entries]
    if across_accounts and len(groups) > 1:
        linked = [(np.concatenate([rows for rows, _ in linked]), np.concatenate([chained for _, chained in linked]))]
        tables = [_add_accounts(table)]
    for part in tables:
        part["period"] = timestamps(starts[order], zone)[part["period"].to_numpy()]
    if query is not None and len(tables) > 1:  # each account has a ledger of its own already
        query = replace(query, names=tuple(name for name in query.names if name != "account"))
    if query is not None and query.names:
        tables = [_divide(frame, *links, part, query) for links, part in zip(linked, tables, strict=True)]
    table = pd.concat(tables, ignore_index=True)
    if len(tables) > 1 and "account" not in table.columns:
        owners = np.repeat([rows[0] for rows in groups], [len(part) for part in tables])
        table.insert(0, "account", frame["account"].iloc[owners].array)
    table.attrs["histkit"] = {"by": [str(name) for name in query.names] if query is not None else [], **facts}
    return table


def several_accounts(frame: pd.DataFrame) -> bool:
    """Return whether the rows belong to more than one account; a missing name counts as an account."""
    return "account" in frame.columns and frame["account"].nunique(dropna=False) > 1


def _accounts(frame: pd.DataFrame) -> list[Ints]:
    """Return the rows of each account, sorted by name; rows without a name come last."""
    if not several_accounts(frame):
        return [np.arange(len(frame))]
    codes, names = pd.factorize(frame["account"])
    order = [*sorted(range(len(names)), key=lambda code: str(names[code])), -1]
    return [rows for rows in (np.flatnonzero(codes == code) for code in order) if len(rows)]


def _billings(frame: pd.DataFrame, groups: list[Ints], billing: Any, zone: tzinfo) -> list[Billing | None]:
    """Return the known dates of resets of each account."""
    by_account = isinstance(billing, Mapping) and RESET not in billing
    if billing is None or (len(groups) == 1 and not by_account):
        return [None if billing is None else Billing(billing_freq(billing, zone), zone)] * len(groups)
    if not by_account:
        raise InputError(
            "The frame has several accounts, each with its own resets: take those of one, df[df['account'] == '...'], "
            "or pass billing={account: ...}."
        )
    if "account" not in frame.columns:
        raise InputError(
            f"billing={{...}} has neither {RESET!r} nor names of accounts: the frame has no column 'account'."
        )
    names = [frame["account"].iloc[rows[0]] if len(rows) else None for rows in groups]
    if unknown := [name for name in billing if name not in names]:
        raise InputError(f"billing={{...}} names the account {quoted(unknown[0])}, which the frame doesn't have.")
    freqs = [billing_freq(billing[name], zone) if name in billing else None for name in names]
    return [None if freq is None else Billing(freq, zone) for freq in freqs]


def _table(entries: Entries, periods: Ints, credits: Ints, known: Mask) -> pd.DataFrame:
    """Sum the entries of one account by period; ``period`` is the number of the period."""
    size = int(periods.max(initial=-1)) + 1
    counts = np.bincount(periods, minlength=size)
    unpriced = np.bincount(periods[known[entries.rows]], minlength=size) == 0
    unknown = np.bincount(periods[entries.unknown], minlength=size) > 0
    held = np.flatnonzero(counts)
    sums = {
        "rows": counts,
        "chained": np.bincount(periods[entries.chained], minlength=size),
        "seen": add_by_code(credits[entries.rows], periods, size),
        "unseen": add_by_code(entries.unseen, periods, size),
        "adjustment": add_by_code(entries.adjustment, periods, size),
        "overlap": add_by_code(entries.overlap, periods, size),
        "resets": np.bincount(periods[entries.reset_rows], minlength=size),
    }
    data: dict[str, Any] = {"period": held}
    for name in SUMS:
        missing = unpriced if name == "seen" else unknown if name in _UNKNOWN else np.zeros(size, bool)
        data[name] = integer_array(sums[name][held].astype(np.int64), missing[held])
    data["counter"] = pd.array(_last_counters(entries, periods, size), dtype="Int64")
    return pd.DataFrame(data)


def _add_accounts(table: pd.DataFrame) -> pd.DataFrame:
    """Add up the ledgers of several accounts; what is unknown of one is unknown of the sum, and so is the counter."""
    groups = table.groupby("period", sort=True)
    sums = groups[list(SUMS)].sum(min_count=1)
    for name in _UNKNOWN:
        sums[name] = sums[name].mask(groups[name].count() < groups.size())
    return sums.assign(counter=pd.array([None] * len(sums), "Int64")).reset_index()


def _divide(frame: pd.DataFrame, rows: Ints, chained: Mask, table: pd.DataFrame, query: UsageQuery) -> pd.DataFrame:
    """Divide the rows of a ledger among groups; what no row can say stays in a row of its own."""
    columns = [name for name in query.columns() if name != "characters"]
    require(frame, columns, "a ledger by group", advice=WHO_ADVICE)
    counted = frame[columns].iloc[rows].assign(characters=integer_array(chained.astype(np.int64)))
    groups = build_table(partial_sums(counted, query), query)  # chained rows are summed in place of characters
    groups = groups.rename(columns={"items": "rows", "characters": "chained", "credits": "seen"})
    for name in query.names:  # so that they can be missing
        dtype = groups[name].dtype
        if isinstance(dtype, np.dtype) and dtype.kind in _NULLABLE:
            groups[name] = groups[name].astype(_NULLABLE[dtype.kind])
    rest = table.drop(columns=["rows", "chained", "seen"])
    lines = pd.concat([groups, rest], ignore_index=True)[[*query.names, *table.columns]]
    order = np.argsort(lines["period"].to_numpy(), kind="stable")
    return lines.iloc[order].astype({**groups.dtypes, **rest.dtypes}).reset_index(drop=True)


def _last_counters(entries: Entries, periods: Ints, size: int) -> Ints:
    """Return the highest counter of the last run of each period, up to the end of the period."""
    runs = np.full(size, -1)
    np.maximum.at(runs, periods, entries.runs)
    last = np.flatnonzero(entries.runs == runs[periods])
    highest = np.zeros(size, np.int64)
    np.maximum.at(highest, periods[last], entries.counters[last])
    held = np.flatnonzero(runs >= 0)
    starts = np.flatnonzero(np.diff(runs[held], prepend=-1))
    return running_maximum(highest[held], starts, np.diff(starts, append=len(held)))


def _facts(frame: pd.DataFrame, inside: Mask, entries: list[Entries], table: pd.DataFrame) -> dict[str, Any]:
    rows = sum(len(chained.times) for chained in entries)
    followers = rows - sum(len(chained.first_rows) for chained in entries)
    resets = np.sort(np.concatenate([chained.times[chained.reset_rows] for chained in entries])).view("datetime64[us]")
    dated = frame["date"].notna().to_numpy(bool)
    return {
        "estimate": True,
        "seen": int(table["seen"].sum()),
        **{
            name: sum(int(vars(chained)[name].sum()) for chained in entries)
            for name in ("unseen", "adjustment", "overlap")
        },
        "unknown": sum(int(chained.unknown.sum()) for chained in entries),
        "periods_unknown": int(table["unseen"].isna().sum()),
        "resets": [f"{instant}+00:00" for instant in np.datetime_as_string(resets, unit="s").tolist()],
        "chained": int(table["chained"].sum()) / followers if followers else None,
        "concurrent": sum(int(chained.concurrent.sum()) for chained in entries),
        "rows": rows,
        "rows_without_counters": int((inside & dated).sum()) - rows,
        "rows_without_date": int((~dated).sum()),
        "note": NOTE,
    }
