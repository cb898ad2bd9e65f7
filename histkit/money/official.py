"""The official usage figures of a workspace by period and group, in credits or in money."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from histkit.api.client import HistoryClient, borrowed_client
from histkit.errors import InputError
from histkit.frame.clock import SECOND, iso, name_of, timestamps, zone_of
from histkit.frame.columns import float_numbers, plain_values
from histkit.frame.dates import as_unix
from histkit.money.dimensions import dimensions_of
from histkit.money.usage_routes import EARLIEST, Figures, Question, fetch_figures
from histkit.usage.buckets import bucket, edges
from histkit.usage.periods import Freq, parse_freq
from histkit.util.arrays import Ints
from histkit.util.text import quoted

_INTERVALS = {"h": "hour", "D": "day", "W": "week"}
_MONTHS = {1: "month", 3: "quarter", 12: "year"}
_MOST_YEARS = 100
_MOST_CELLS = 20_000_000  # groups times buckets
_DECIMALS = 9  # of a sum: what follows is the noise of floats
_WHOLE = Freq("D")


def official_usage(
    after: Any,
    before: Any = None,
    *,
    by: str | Sequence[str] | None = None,
    freq: str | None = "D",
    tz: str | tzinfo = "UTC",
    column: str | None = None,
    client: HistoryClient | None = None,
) -> pd.DataFrame:
    """Fetch the workspace's own usage figures by period and group. Costs no credits.

    Parameters
    ----------
    after, before : str, date, datetime, Timestamp or int
        Start and end as in `filter_items`, in `tz`, extended to whole days (with hours in `freq`, to whole hours).
        Default of `before`: now.
    by : str or list of str, optional
        Breakdown: ``"api_key"``, ``"user"``, ``"model"``, ``"voice"``, ``"product"``, ``"region"``, ``"source"``,
        ``"resource"``, ``"subresource"``, ``"workspace"``, ``"billing_group"``, ``"queue"``, ``"voice_multiplier"``,
        ``"surface"``, ``"actor"``, ``"currency"``, ``"charge"``, ``"group"``, ``"has_api_key"``, or a name that the
        API has for one of these, such as ``"hashed_xi_api_key"``.
    freq : str or None, default "D"
        Length of the periods, as `histkit.usage_table` takes it: ``h``, ``D``, ``W``, ``MS``, ...; None: one figure for
        the whole range.
    tz : str, default "UTC"
        IANA name of the zone of the periods.
    column : str, optional
        The column of the figures, where an answer has several in one unit, or states no unit. Without it such an
        answer is an error; so is one without that column, or with it in another unit.
    client : HistoryClient, optional
        Default: a client with the key and base URL of the environment.

    Returns
    -------
    pandas.DataFrame
        Oldest first, with a RangeIndex:

        - ``period`` (``datetime64[us, tz]``, first instant), unless `freq` is None
        - a column for each name in `by`: ids and labels as the service has them (string; an API key is its hash);
          missing for usage without one
        - names for these ids as the service appends them, such as ``user_label`` and ``voice_name`` (string)
        - ``credits`` (Float64); for a workspace that is billed in money instead ``currency`` (string, such as ``USD``)
          and ``cost`` (Float64)

        Every period of the range is there, for each group that has usage in it. A figure is missing where the service
        sends null for any part of it; one without usage is 0, unless it comes from the older route, which sends every
        bucket. ``attrs["histkit"]``: ``route``, ``unit`` (credits or the currency), ``interval``, ``tz``, ``after``
        and ``before`` (the range in ISO 8601), ``missing`` (number of missing figures), ``refusals`` (what other routes
        said before).

    Raises
    ------
    InputError
        An argument is invalid, or no route answers such a question.
    ApiError
        The service refused; the message has the reason of each route. A `PermissionDeniedError` names the missing
        scope (``workspace_analytics_full_read``).
    SchemaError
        An answer is not understood: it has no column of times or figures, or several; a bucket is not one of `tz`.

    Notes
    -----
    Three routes have such figures. A workspace that is billed in credits is asked for
    ``/v1/workspace/analytics/query/usage-by-product-over-time``, one that is billed in money for
    ``/v1/workspace/analytics/usage`` (by days of UTC, by two of most columns at most; days before it was billed in
    money cost 0 there). Where the key lacks the scope for these, the deprecated ``/v1/usage/character-stats`` is used:
    one breakdown, with labels instead of ids, and except by user the figures of the key's own user.

    Longer periods are summed from days (hours from hours), so days of 23 and 25 hours and months are right in any zone.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=500) as box:
    ...     client = hk.HistoryClient(box.api_key, base_url=box.url)
    ...     days = hk.official_usage("2026-10-01", "2026-10-08", client=client)
    ...     keys = hk.official_usage("2026-10", by=["api_key", "user"], freq="MS", client=client)
    >>> len(days), str(days.credits.dtype)
    (7, 'Float64')
    >>> keys.columns.tolist()
    ['period', 'api_key', 'user', 'api_key_label', 'user_label', 'credits']
    """
    zone = zone_of(tz)
    if zone is not UTC and not isinstance(zone, ZoneInfo):
        raise InputError(f"tz={quoted(tz)} must be the IANA name of a zone, such as 'Europe/Berlin'.")
    if column is not None and not isinstance(column, str):
        raise InputError(f"column={quoted(column)} must be the name of a column.")
    dimensions = dimensions_of(by)
    length = None if freq is None else parse_freq(freq)
    now = datetime.now(UTC)
    first = as_unix(after, "after", zone, now=now)
    end = int(now.timestamp()) if before is None else as_unix(before, "before", zone, now=now)
    hours = length is not None and length.unit == "h"
    question = Question(*whole_buckets(first, end, zone, hours=hours), "h" if hours else "D", zone, dimensions, column)
    with borrowed_client(client) as client:
        figures = fetch_figures(client, question)
    return _usage_frame(figures, question, length)


def whole_buckets(first: int, end: int, zone: tzinfo, *, hours: bool = False) -> tuple[int, int]:
    """Return two instants (seconds since 1970) extended to the limits of days, or hours, of a zone.

    Raises
    ------
    InputError
        There is no day between them, or too many.
    """
    if first >= end:
        raise InputError("after= must be earlier than before=.")
    if end - first > _MOST_YEARS * 366 * 86_400:
        raise InputError(f"after= lies more than {_MOST_YEARS} years before before=; use a later date.")
    ends = np.array([first, end - 1], np.int64) * SECOND
    limits = edges(ends, Freq("h") if hours else _WHOLE, zone)
    starts = bucket(ends, Freq("h") if hours else _WHOLE, zone)[1]
    return int(starts[0]) // SECOND, int(limits[np.searchsorted(limits, ends[1], "right")]) // SECOND


def _usage_frame(figures: Figures, question: Question, length: Freq | None) -> pd.DataFrame:
    """Arrange figures by period and group, with every period of the question."""
    words = [*question.by]
    if figures.money:
        words = [word for word in words if question.by[word].word != "currency"] + ["currency"]
    codes, groups = _groups(figures.table, words)
    days = question.grid
    if len(groups) * len(days) > _MOST_CELLS:
        raise InputError(
            f"by={quoted([*question.by])} has {len(groups):,} groups in {len(days):,} buckets, which is too much for a "
            "frame; use fewer, or a shorter range."
        )
    amounts = _cells(figures, codes, len(groups), days)
    if length is None:
        periods, starts = np.zeros(len(days), np.int64), days[:1]
    else:
        periods, starts = bucket(days, length, question.zone)
    places = np.flatnonzero(np.diff(periods, prepend=-1))
    sums = np.add.reduceat(amounts, places, axis=1)  # NaN where a part is missing
    for place in zip(*np.nonzero((sums % 1 != 0) & ~np.isnan(sums)), strict=True):
        sums[place] = round(sums[place], _DECIMALS)
    totals = np.nansum(sums, axis=1)
    order = np.argsort(-totals, kind="stable")
    if question.by:
        order = order[(np.isnan(sums).any(axis=1) | (sums != 0).any(axis=1))[order]]
    group, period = np.tile(order, len(starts)), np.repeat(np.arange(len(starts)), len(order))
    columns: dict[str, Any] = {}
    if length is not None:
        columns["period"] = timestamps(starts, question.zone)[period]
    shown = [name for name in figures.shown if name not in words]
    names = _names(figures.table, codes, shown, len(groups))
    for name in (*words, *shown):
        values = [row[words.index(name)] for row in groups] if name in words else names[name]
        dtype = figures.table[name].dtype if len(figures.table) else "string[pyarrow]"
        columns[name] = pd.Series(pd.array(values, dtype)).take(group).array
    figure = "cost" if figures.money else "credits"
    if figures.money:
        columns["currency"] = columns.pop("currency")  # beside the figures
    columns[figure] = pd.array(sums[group, period], "Float64")
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(group)))
    units = sorted({str(row[-1]) for row in groups if row[-1] is not None}) if figures.money else ["credits"]
    frame.attrs["histkit"] = {
        "route": figures.route,
        "unit": " ".join(units) or None,
        "interval": None if length is None else _INTERVALS.get(length.unit) or _MONTHS.get(length.count, "months"),
        "tz": name_of(question.zone),
        "after": iso(question.start, question.zone),
        "before": iso(question.end, question.zone),
        "missing": int(np.isnan(sums).sum()),
        "refusals": figures.refusals,
    }
    return frame


def _groups(table: pd.DataFrame, words: list[str]) -> tuple[Ints, list[tuple[Any, ...]]]:
    """Return the group of each row as a code, and the groups; without a breakdown one group, also of no rows."""
    if not words:
        return np.zeros(len(table), np.int64), [()]
    found: dict[tuple[Any, ...], int] = {}
    rows = zip(*(plain_values(table[word]) for word in words), strict=True)
    codes = [found.setdefault(row, len(found)) for row in rows]
    return np.array(codes, np.int64), [*found]


def _names(table: pd.DataFrame, codes: Ints, shown: list[str], count: int) -> dict[str, list[Any]]:
    """Return the latest known name of each group, for each column of display names."""
    newest = np.argsort(table["period"].to_numpy(np.int64), kind="stable")
    names: dict[str, list[Any]] = {}
    for column in shown:
        latest: list[Any] = [None] * count
        values = plain_values(table[column])
        for row in newest.tolist():
            if values[row] is not None:
                latest[codes[row]] = values[row]
        names[column] = latest
    return names


def _cells(figures: Figures, codes: Ints, count: int, days: Ints) -> Any:
    """Return the figure of each group in each bucket, NaN where it is missing."""
    amounts = np.zeros((count, len(days)))
    seen = np.zeros((count, len(days)), bool)
    places = np.searchsorted(days, figures.table["period"].to_numpy(np.int64))
    values = float_numbers(figures.table["amount"])
    np.add.at(amounts, (codes, places), values)
    seen[codes, places] = True
    absent_is_zero = (days >= EARLIEST * SECOND) if figures.absent_is_zero else np.zeros(len(days), bool)
    amounts[~seen & ~absent_is_zero] = np.nan
    return amounts
