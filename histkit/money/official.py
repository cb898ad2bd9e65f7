"""Official usage figures of the account, and their reconciliation with the history.

``GET /v1/usage/character-stats`` takes and returns milliseconds, whatever its parameters are called, and is deprecated.
If it is refused, its successor is used (``POST /v1/workspace/analytics/query/usage-by-product-over-time``), whose
column of credits is identified by its unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pandas as pd

from histkit.api.client import HistoryClient, borrowed_client
from histkit.api.models import decode_object
from histkit.errors import ApiError, AuthenticationError, InputError, RateLimitError, SchemaError, ServerError
from histkit.frame.clock import timestamps
from histkit.frame.columns import float_numbers
from histkit.frame.dates import as_unix, instants_of
from histkit.frame.keys import refuse_duplicates, rows_checked
from histkit.frame.schema import require
from histkit.money.ledger import ledger, several_accounts
from histkit.usage.buckets import bucket
from histkit.usage.periods import parse_freq
from histkit.usage.table import usage_table
from histkit.util.arguments import one_of

STATS = "/v1/usage/character-stats"
SUCCESSOR = "/v1/workspace/analytics/query/usage-by-product-over-time"
_DAY = 86_400
_MOST_DAYS = 366  # of one request
_BREAKDOWNS = {None: "none", "voice": "voice", "model": "model", "product": "product_type"}
_MOST_YEARS = 100
_FREQS = ("D", "W", "MS", "QS", "YS")


def official_usage(
    after: Any,
    before: Any = None,
    *,
    by: Literal["voice", "model", "product"] | None = None,
    client: HistoryClient | None = None,
) -> pd.DataFrame:
    """Fetch the account's own usage, day by day (UTC). Costs no credits.

    Parameters
    ----------
    after, before : str, date, datetime, Timestamp or int
        Start and end as in `filter_items`, extended to whole days of UTC. Default of `before`: now.
    by : {None, "voice", "model", "product"}
        Breakdown. The service decides whether a voice is a name or an id. Its successor route knows products only.
    client : HistoryClient, optional
        Default: a client with the key and base URL of the environment.

    Returns
    -------
    pandas.DataFrame
        ``period`` (``datetime64[us, UTC]``, first instant of the day), `by` (string) if given, ``credits`` (Float64).
        Days without usage are included if the service returns them. ``attrs["histkit"]`` has the ``route`` used.

    Raises
    ------
    InputError
        An argument is invalid.
    ApiError
        The service refused both routes; a `PermissionDeniedError` names the missing scope.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=500) as box:
    ...     client = hk.HistoryClient(box.api_key, base_url=box.url)
    ...     days = hk.official_usage("2026-10-01", "2026-10-08", client=client)
    >>> len(days), str(days.credits.dtype)
    (7, 'Float64')
    """
    one_of("by", by, _BREAKDOWNS)
    now = datetime.now(UTC)
    end = int(now.timestamp()) if before is None else as_unix(before, "before", now=now)
    return _official_usage(*_whole_days(as_unix(after, "after", now=now), end), by, client)


def _official_usage(first: int, end: int, by: str | None, client: HistoryClient | None) -> pd.DataFrame:
    with borrowed_client(client) as client:
        try:
            parts = [_stats(client, *span, by) for span in _spans(first, end)]
            route = STATS
        except (AuthenticationError, RateLimitError, ServerError):
            raise
        except ApiError as refusal:
            if by not in (None, "product"):
                raise
            try:
                parts = [_by_product(client, *span, by) for span in _spans(first, end)]
            except ApiError:
                raise refusal from None
            route = SUCCESSOR
    table = pd.concat(parts, ignore_index=True)
    table.attrs["histkit"] = {"route": route, "unit": "credits", "interval": "day", "tz": "UTC"}
    return table


def reconcile(
    frame: pd.DataFrame,
    freq: Literal["MS", "D", "W", "QS", "YS"] = "MS",
    *,
    after: Any = None,
    before: Any = None,
    official: pd.DataFrame | None = None,
    client: HistoryClient | None = None,
) -> pd.DataFrame:
    """Compare the credits of the history and the gaps of the ledger with the official figures of the account.

    Parameters
    ----------
    frame : pandas.DataFrame
        The complete history of one account, with the columns that `ledger` needs.
    freq : {"MS", "D", "W", "QS", "YS"}
        Length of the periods, in UTC like the official figures.
    after, before : str, date, datetime, Timestamp or int, optional
        Start and end as in `filter_items`, extended to whole days; default: the days of the frame.
    official : DataFrame, optional
        The result of `official_usage`; default: it is fetched.
    client : HistoryClient, optional
        Default: a client with the key and base URL of the environment.

    Returns
    -------
    pandas.DataFrame
        ``period`` (``datetime64[us, UTC]``), ``history`` (Int64, measured), ``gap`` (Int64, the ledger's estimate of
        the credits spent outside the history), ``official`` (Float64), ``unexplained`` (Float64, official minus history
        minus gap). ``attrs["histkit"]`` has their sums, and ``rows_without_date``.

    Raises
    ------
    InputError, SchemaError
        An argument is invalid; the rows belong to several accounts; the frame lacks a column.
    ApiError
        The official figures can't be read with this key.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=2000) as box:
    ...     client = hk.HistoryClient(box.api_key, base_url=box.url)
    ...     table = hk.reconcile(hk.read_history(client=client), client=client)
    >>> bool((table.official == table.history + table.gap + table.unexplained).all())
    True
    """
    require(frame, ["date", "credits"], "comparing with the official figures")
    refuse_duplicates(frame, "the comparison")
    one_of("freq", freq, _FREQS, "is not possible: the official figures are daily")
    if several_accounts(frame):
        raise InputError("These rows belong to several accounts: compare each with its own client.")
    micros, known = instants_of(frame["date"])
    if not known.any() and (after is None or before is None):
        raise InputError("The frame has no dates: pass after= and before=.")
    seconds = micros[known] // 1_000_000
    now = datetime.now(UTC)
    first, end = _whole_days(
        int(seconds.min()) if after is None else as_unix(after, "after", now=now),
        int(seconds.max()) + 1 if before is None else as_unix(before, "before", now=now),
    )
    official = _official_usage(first, end, None, client) if official is None else _daily(official)
    start, stop = (pd.Timestamp(moment, unit="s", tz="UTC") for moment in (first, end))
    seen = frame[known & (micros >= first * 1_000_000) & (micros < end * 1_000_000)]
    with rows_checked():
        counted = ledger(frame, "D")  # of all rows: the gap of the first day follows from the day before
        used = usage_table(seen, None, "D")
    counted = counted[(counted["period"] >= start) & (counted["period"] < stop)]
    columns = {
        "history": _sum_by_bucket(used, "credits", freq),
        "gap": _sum_by_bucket(counted, "unseen", freq),
        "official": _sum_by_bucket(official[official["period"].between(start, stop, "left")], "credits", freq),
    }
    table = pd.DataFrame(columns).fillna(0).astype({name: column.dtype for name, column in columns.items()})
    table["unexplained"] = table["official"] - table["history"] - table["gap"]
    table = table.rename_axis("period").reset_index().astype({"period": "datetime64[us, UTC]"})
    sums: dict[str, Any] = {name: float(table[name].sum()) for name in table.columns[1:]}
    table.attrs["histkit"] = {**sums, "estimate": True, "rows_without_date": int((~known).sum())}
    return table


def _whole_days(first: int, end: int) -> tuple[int, int]:
    """Return two instants extended to the limits of UTC days.

    Raises
    ------
    InputError
        There is no day between them, or more days than the service can be queried for.
    """
    first, end = first // _DAY * _DAY, -(-end // _DAY) * _DAY
    if first >= end:
        raise InputError("after= must be earlier than before=.")
    if end - first > _MOST_YEARS * 366 * _DAY:
        raise InputError(f"after= lies more than {_MOST_YEARS} years before before=; use a later date.")
    return first, end


def _daily(official: pd.DataFrame) -> pd.DataFrame:
    """Return the columns ``period`` and ``credits`` of a frame of `official_usage`, checked."""
    require(official, ["period", "credits"], "reconcile(official=)")
    micros, known = instants_of(official["period"])
    credits = pd.array(float_numbers(official["credits"]), "Float64")
    return pd.DataFrame({"period": pd.DatetimeIndex(micros.astype("datetime64[us]"), tz="UTC"), "credits": credits})[
        known
    ]


def _sum_by_bucket(table: pd.DataFrame, column: str, freq: str) -> pd.Series:
    """Return the sums of a column over the buckets of UTC, in its dtype, on an index of their first instants."""
    micros, known = instants_of(table["period"])
    codes, starts = bucket(micros[known], parse_freq(freq), UTC)
    sums = table.loc[known, column].groupby(codes).sum()
    return sums.set_axis(timestamps(starts, UTC)).sort_index()


def _spans(first: int, end: int) -> list[tuple[int, int]]:
    step = _MOST_DAYS * _DAY
    return [(start, min(start + step, end)) for start in range(first, end, step)]


def _stats(client: HistoryClient, first: int, end: int, by: str | None) -> pd.DataFrame:
    params = {
        "start_unix": first * 1000,
        "end_unix": end * 1000,
        "breakdown_type": _BREAKDOWNS[by],
        "aggregation_interval": "day",
        "metric": "credits",
    }
    body = client.transport.request("GET", STATS, decode_object, params=params).data
    times, usage = body.get("time"), body.get("usage")
    if not isinstance(times, list) or not isinstance(usage, Mapping):
        raise SchemaError(f"{STATS} answered in a form that histkit doesn't know.")
    parts = []
    for label, values in usage.items():
        if not isinstance(values, list) or len(values) != len(times):
            raise SchemaError(f"{STATS}: {label!r} must have one value for each of {len(times)} times.")
        parts.append(_part(times, [label] * len(times), values, by))
    return pd.concat(parts, ignore_index=True) if parts else _part([], [], [], by)


def _by_product(client: HistoryClient, first: int, end: int, by: str | None) -> pd.DataFrame:
    body: dict[str, Any] = {
        "start_time": first * 1000,
        "end_time": end * 1000,
        "interval_seconds": _DAY,
        "time_zone": "UTC",
        "group_by": ["product_type"],
    }
    answer = client.transport.request("POST", SUCCESSOR, decode_object, json=body).data
    try:
        types, units, rows = answer["column_types"], answer["column_units"], answer["rows"]
        when, amount = types.index("DateTime"), units.index("credits")
        name = types.index("String") if "String" in types else None
        labels = [None if name is None else row[name] for row in rows]
        table = _part([_moment(row[when]) for row in rows], labels, [row[amount] for row in rows], "product")
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise SchemaError(f"{SUCCESSOR} answered in a form that histkit doesn't know ({error}).") from None
    return table if by else table.groupby("period", as_index=False)["credits"].sum()


def _moment(value: Any) -> float:
    """Return milliseconds; the service may send a time as a number or in ISO 8601."""
    if not isinstance(value, str):
        return float(value)
    moment = pd.Timestamp(value)
    return float((moment if moment.tzinfo is not None else moment.tz_localize("UTC")).timestamp()) * 1000


def _part(times: list[Any], labels: list[Any], values: list[Any], by: str | None) -> pd.DataFrame:
    try:
        moments = (np.array(times, np.float64) // (1000 * _DAY) * _DAY * 1_000_000).astype("datetime64[us]")
        credits = pd.array(np.array(values, np.float64), "Float64")
    except (TypeError, ValueError) as error:
        raise SchemaError(f"The official figures are not numbers ({error}).") from None
    table = pd.DataFrame({"period": pd.DatetimeIndex(moments).tz_localize("UTC")})
    if by is not None:
        table[by] = pd.array(labels, "string[pyarrow]")
    return table.assign(credits=credits)
