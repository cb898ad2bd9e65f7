"""The history and the gaps of its ledger beside the official figures of the account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

import numpy as np
import pandas as pd

from histkit.api.client import HistoryClient, borrowed_client, check_client
from histkit.errors import InputError
from histkit.frame.clock import SECOND, iso, name_of, timestamps, zone_of
from histkit.frame.columns import float_numbers
from histkit.frame.dates import as_unix, instants_of
from histkit.frame.keys import refuse_duplicates, rows_checked
from histkit.frame.schema import require
from histkit.money.key_account import refuse_other_account
from histkit.money.ledger import ledger, several_accounts
from histkit.money.official import official_usage, whole_buckets
from histkit.money.spenders import BY, split_by_requests
from histkit.usage.buckets import bucket, edges
from histkit.usage.periods import Freq, parse_freq
from histkit.usage.table import usage_table
from histkit.util.arguments import one_of
from histkit.util.arrays import Ints
from histkit.util.text import quoted

_FREQS = ("D", "W", "MS", "QS", "YS", "h")


def reconcile(
    frame: pd.DataFrame,
    freq: Literal["MS", "D", "W", "QS", "YS", "h"] = "MS",
    *,
    after: Any = None,
    before: Any = None,
    tz: str | tzinfo = "UTC",
    billing: Any = None,
    official: pd.DataFrame | None = None,
    requests: pd.DataFrame | None = None,
    by: str | Sequence[str] | None = None,
    client: HistoryClient | None = None,
) -> pd.DataFrame:
    """Compare the credits of the history and the gaps of the ledger with the official figures of the account.

    Parameters
    ----------
    frame : pandas.DataFrame
        The complete history of one account, with the columns that `ledger` needs.
    freq : {"MS", "D", "W", "QS", "YS", "h"}
        Length of the periods.
    after, before : str, date, datetime, Timestamp or int, optional
        Start and end as in `filter_items`, extended to whole days; default: the days of the frame.
    tz : str, default "UTC"
        IANA name of the zone of the periods.
    billing : Subscription, mapping, int or date, optional
        The known dates of the billing resets, as `ledger` takes them.
    official : DataFrame, optional
        The result of `official_usage` by days of `tz` (by hours for hours); default: it is fetched.
    requests : DataFrame, optional
        The request log of the time, as `read_requests` returns it: see Notes. With a column ``account``, the requests
        of the frame's account are taken.
    by : str or list of str, optional
        With `requests`: words as in `official_usage`, or columns of the log. Default: ``["api_key", "user"]``.
    client : HistoryClient, optional
        Default: a client with the key and base URL of the environment.

    Returns
    -------
    pandas.DataFrame
        ``period`` (``datetime64[us, tz]``), ``history`` (Int64, measured), ``gap`` (Int64, the ledger's estimate of the
        credits spent outside the history), ``adjustment`` (Int64, 0 or negative: the ledger's refunds and corrections),
        ``official`` (Float64), ``unexplained`` (Float64, official minus the others). A value is missing where a part of
        its period is: a day without an official figure, or a fall of the counter that nothing explains.

        ``attrs["histkit"]`` has the sums of the known values, ``missing`` (for each column the number of periods
        without a value), ``after`` and ``before`` (the range in ISO 8601), ``rows_without_date``.

    Raises
    ------
    InputError, SchemaError
        An argument is invalid; the rows belong to several accounts, or none of those looked up exists in the account
        of the key; the frame lacks a column; the workspace is billed in money.
    ApiError
        The official figures can't be read with this key.

    Notes
    -----
    With `requests`, the table says instead who spent what the official figures have beyond the history (``official``
    minus ``history``): ``period``, the columns of `by` (string), ``requests`` (Int64: requests of the log that are in
    no row, by request id), ``credits`` (Float64: theirs, missing if the log has none) and ``assigned`` (bool). In each
    period a last line, which is not assigned, has what is left, so that the lines add up; it is negative if the
    requests have more than the official figures, and left out if it is 0. ``attrs["histkit"]`` also has ``assigned``,
    ``unassigned``, ``requests``, ``requests_in_history``, ``requests_without_id`` (which may be in the history, and are
    not assigned), ``requests_without_credits`` and ``rows_without_request``: rows without a request id can't be told
    from what the history lacks.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=2000) as box:
    ...     client = hk.HistoryClient(box.api_key, base_url=box.url)
    ...     table = hk.reconcile(hk.read_history(client=client), client=client)
    >>> bool((table.official == table.history + table.gap + table.adjustment + table.unexplained).all())
    True
    """
    if by is not None and requests is None:
        raise InputError("by= needs requests=, a request log; see read_requests. (official_usage(by=) needs none.)")
    require(frame, ["date", "credits"], "comparing with the official figures")
    refuse_duplicates(frame, "the comparison")
    one_of("freq", freq, _FREQS, "is not possible: the official figures are daily or hourly")
    if several_accounts(frame):
        raise InputError("The frame has several accounts; official figures belong to one: df[df['account'] == '...'].")
    zone, length = zone_of(tz), parse_freq(freq)
    base: Literal["h", "D"] = "h" if length.unit == "h" else "D"
    micros, known = instants_of(frame["date"])
    if not known.any() and (after is None or before is None):
        raise InputError("The frame has no dates: pass after= and before=.")
    seconds = micros[known] // SECOND
    now = datetime.now(UTC)
    first = int(seconds.min()) if after is None else as_unix(after, "after", zone, now=now)
    end = int(seconds.max()) + 1 if before is None else as_unix(before, "before", zone, now=now)
    if first >= end and before is None:
        raise InputError(
            f"after={quoted(after)} is later than the last row: pass before= to compare days without rows."
        )
    if first >= end and after is None:
        raise InputError(f"before={quoted(before)} is earlier than the first row: pass after=, too.")
    first, end = whole_buckets(first, end, zone, hours=base == "h")
    if official is None:
        start, stop = (pd.Timestamp(moment, unit="s", tz="UTC") for moment in (first, end))
        check_client(client)
        with borrowed_client(client) as service:
            refuse_other_account(frame, service)
            official = official_usage(start, stop, freq=base, tz=tz, client=service)
    days = edges(np.array([first, end], np.int64) * SECOND, Freq(base), zone)
    days = days[days < end * SECOND]
    inside = frame[known & (micros >= days[0]) & (micros < end * SECOND)]
    with rows_checked():
        used = usage_table(inside, None, base, tz=zone)
        counted = ledger(
            frame, base, tz=zone, billing=billing
        )  # of all rows: the gap of the first day follows from the day before
    columns = {
        "history": _by_bucket(used, "credits", days, 0).fillna(0),
        "gap": _by_bucket(counted, "unseen", days, 0),
        "adjustment": _by_bucket(counted, "adjustment", days, 0),
        "official": _official(official, days, end, base, zone),
    }
    codes, starts = bucket(days, length, zone)
    table = pd.DataFrame({"period": timestamps(starts, zone)})
    for name, values in columns.items():
        table[name] = _sums(values, codes, len(starts)).astype("Float64" if name == "official" else "Int64")
    explained = table["history"] + table["gap"] + table["adjustment"]
    table["unexplained"] = table["official"] - explained.astype("Float64")
    figures = [name for name in table.columns if name != "period"]
    table.attrs["histkit"] = {
        **{name: float(table[name].sum()) for name in figures},
        "missing": {name: int(table[name].isna().sum()) for name in figures},
        "estimate": True,
        "tz": name_of(zone),
        "after": iso(first, zone),
        "before": iso(end, zone),
        "rows_without_date": int((~known).sum()),
    }
    if requests is not None:
        return split_by_requests(table, frame, requests, BY if by is None else by, length, zone, end * SECOND)
    return table


def _by_bucket(table: pd.DataFrame, column: str, days: Ints, absent: int | None) -> pd.Series:
    """Return a column of a table by period, on the starts of all buckets; `absent` stands for a bucket without row."""
    if column not in table.columns:
        return pd.Series(absent, days, dtype="Int64")
    values = table[column].set_axis(instants_of(table["period"])[0])
    values = values[np.isin(values.index.to_numpy(), days)]
    new = np.setdiff1d(days, values.index.to_numpy())
    return pd.concat([values, pd.Series(absent, new, dtype=values.dtype)]).reindex(days)


def _official(official: pd.DataFrame, days: Ints, end: int, base: str, zone: tzinfo) -> pd.Series:
    """Return the credits of a frame of `official_usage` on the starts of all buckets, missing where it has none.

    Raises
    ------
    InputError
        Its figures are money, or its periods are other buckets.
    SchemaError
        It lacks a column, or a column has values of another type.
    """
    if isinstance(official, pd.DataFrame) and "cost" in official.columns and "credits" not in official.columns:
        raise InputError(
            "This workspace is billed in money: its official figures are not credits, and can't be compared with the "
            "history. See official_usage for them."
        )
    require(official, ["period", "credits"], "reconcile(official=)")
    micros, known = instants_of(official["period"])
    known = known & (micros >= days[0]) & (micros < end * SECOND)
    values = pd.Series(float_numbers(official["credits"])[known], micros[known])
    unit = "days" if base == "D" else "hours"
    if not np.isin(values.index.to_numpy(), days).all():
        raise InputError(
            f"official= has periods that are not {unit} of {name_of(zone)}; use the result of "
            f"official_usage(..., freq={base!r}, tz={name_of(zone)!r})."
        )
    sums = values.groupby(level=0).agg(lambda amounts: amounts.sum(skipna=False))
    return sums.astype("Float64").reindex(days)


def _sums(values: pd.Series, codes: Ints, count: int) -> pd.Series:
    """Return the sums by code; missing where a value is."""
    numbers = values.to_numpy(float, na_value=np.nan)
    sums = np.zeros(count)
    np.add.at(sums, codes, numbers)
    return pd.Series(pd.array(sums, "Float64"))
