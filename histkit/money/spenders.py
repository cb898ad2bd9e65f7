"""Who spent what the history lacks: the requests of the log that no row has, by key, user and more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import tzinfo
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError, SchemaError
from histkit.frame.clock import timestamps
from histkit.frame.columns import float_numbers, integer_array, plain_values, strings_of
from histkit.frame.dates import instants_of
from histkit.frame.names import MissingColumnError, did_you_mean
from histkit.frame.schema import check_frame, require
from histkit.money.dimensions import dimensions_of
from histkit.usage.aggregate import distinct_rows
from histkit.usage.buckets import bucket
from histkit.usage.periods import Freq
from histkit.util.text import quoted

BY = ("api_key", "user")
_TAKEN = ("period", "requests", "credits", "assigned")
_DIGITS = 6  # of credits that the service sends as floats


def split_by_requests(
    table: pd.DataFrame, frame: pd.DataFrame, requests: pd.DataFrame, by: Any, length: Freq, zone: tzinfo, end: int
) -> pd.DataFrame:
    """Divide what the official figures have beyond the history among the requests that are in no row.

    Parameters
    ----------
    table : pandas.DataFrame
        The periods with ``history`` and ``official``, as `histkit.reconcile` returns them.
    frame : pandas.DataFrame
        The history, with ``request_id``.
    requests : pandas.DataFrame
        The log, as `histkit.read_requests` returns it.
    by : str or list of str
        Words as in `histkit.official_usage`, or columns of the log.
    length, zone, end
        Of the periods; the end of the last one in microseconds.

    Returns
    -------
    pandas.DataFrame
        See `histkit.reconcile`.
    """
    check_frame(requests, "a split by requests")
    require(frame, ["request_id"], "finding the requests that the history lacks")
    facts = requests.attrs.get("histkit", {})
    time, key = facts.get("time_column", "timestamp"), facts.get("id_column", "request_id")
    require(requests, [time, key], "a split by requests")
    requests = _of_account(requests, frame)
    groups = _columns(requests, by)
    of_history = {text for text in strings_of(frame, "request_id") if text}
    ids = strings_of(requests, key)
    twice = next((text for text, count in Counter(filter(None, ids)).items() if count > 1), None)
    if twice is not None:
        raise SchemaError(f"The log has the request {quoted(twice)} twice, and would count its credits twice.")
    instants, dated = instants_of(requests[time])
    start = int(instants_of(table["period"])[0][0]) if len(table) else 0
    with_id = np.array([bool(text) for text in ids], bool)
    extra = np.array([text not in of_history for text in ids], bool) & with_id
    inside = dated & (instants >= start) & (instants < end)
    rows = requests[extra & inside]
    credits_column = _credits_column(requests)
    lines = pd.DataFrame({"period": _periods(instants[extra & inside], length, zone)})
    for word, column in groups.items():
        lines[word] = rows[column].array
    credits = np.full(len(rows), np.nan) if credits_column is None else float_numbers(rows[credits_column])
    first, codes = distinct_rows(lines, list(lines.columns))
    assigned = lines.iloc[first].reset_index(drop=True)
    assigned["requests"] = integer_array(np.bincount(codes, minlength=len(first)).astype(np.int64))
    sums = np.zeros(len(first))
    np.add.at(sums, codes, np.nan_to_num(credits))
    known = np.bincount(codes[~np.isnan(credits)], minlength=len(first)) > 0
    assigned["credits"] = pd.array(np.where(known, sums, np.nan), "Float64")
    assigned["assigned"] = True
    result = _with_rest(table, assigned, list(groups))
    result.attrs["histkit"] = {
        **table.attrs["histkit"],
        "requests": int((extra & inside).sum()),
        "requests_in_history": int((with_id & ~extra & inside).sum()),
        "requests_without_id": int((~with_id & inside).sum()),
        "requests_without_credits": int(np.isnan(credits).sum()),
        "requests_without_time": int((~dated).sum()),
        "rows_without_request": sum(not text for text in strings_of(frame, "request_id")),
        "credits_column": credits_column,
        "assigned": float(assigned["credits"].sum()),
        "unassigned": float(result["credits"][~result["assigned"]].sum()),
    }
    return result


def _of_account(requests: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the requests of the account whose rows the frame has.

    Raises
    ------
    InputError
        The log has several accounts, or another one, and the rows don't tell theirs.
    """
    if "account" not in requests.columns:
        return requests
    names = plain_values(requests["account"].drop_duplicates())
    own = plain_values(frame["account"].drop_duplicates()) if "account" in frame.columns else []
    if not own:
        if len(names) > 1:
            listed = ", ".join(quoted(name) for name in names if name is not None)
            raise InputError(
                f"The log has the requests of several accounts ({listed}), and the rows have no column 'account': pass "
                "those of their account, load_requests(..., account=...)."
            )
        return requests
    mask = requests["account"].isna() if own[0] is None else requests["account"].eq(own[0]).fillna(False)
    if len(requests) and not mask.any():
        raise InputError(
            f"The log has no requests of account {quoted(own[0])}, whose rows these are: pass those of that account."
        )
    return requests[mask.to_numpy(bool)]


def _columns(requests: pd.DataFrame, by: Any) -> dict[str, str]:
    """Return the columns of the log that are grouped by, by the words of the caller."""
    words = [by] if isinstance(by, str) else list(by) if isinstance(by, Iterable) else []
    if not words or not all(isinstance(word, str) for word in words) or len(set(words)) < len(words):
        raise InputError(f"by={quoted(by)} must be one or more different words, such as ['api_key', 'user'].")
    columns = {}
    for word in words:
        if word in _TAKEN:
            raise InputError(f"by={quoted(word)} is not possible: the table has a column of that name already.")
        names = [word]
        if word not in requests.columns:
            one = next(iter(dimensions_of([word]).values()))  # raises InputError
            names = [name for name in (one.usage, one.stats) if name is not None]
        found = next((name for name in names if name in requests.columns), None)
        if found is None:
            hint = did_you_mean(str(word), map(str, requests.columns), "column")
            raise MissingColumnError(f"by={quoted(word)}: the log has no column {' or '.join(names)}; {hint}")
        columns[word] = found
    return columns


def _credits_column(requests: pd.DataFrame) -> str | None:
    """Return the column of credits, which the log's units name; None if it has none.

    Raises
    ------
    SchemaError
        Several columns are in credits.
    """
    units = requests.attrs.get("histkit", {}).get("units", {})
    columns = [name for name, unit in units.items() if unit == "credits" and name in requests.columns]
    if not units and "credits" in requests.columns:
        columns = ["credits"]
    if len(columns) > 1:
        raise SchemaError(f"The log has several columns of credits ({', '.join(columns)}); drop all but one.")
    return columns[0] if columns else None


def _periods(instants: Any, length: Freq, zone: tzinfo) -> Any:
    codes, starts = bucket(instants, length, zone)
    return timestamps(starts[codes], zone).array


def _with_rest(table: pd.DataFrame, assigned: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    """Add a line to each period with what no request explains, so that its lines add up to what the history lacks."""
    outside = table["official"] - table["history"].astype("Float64")
    by_period: dict[Any, float] = {}
    for period, credits in zip(assigned["period"], plain_values(assigned["credits"]), strict=True):
        by_period[period] = by_period.get(period, 0.0) + (credits or 0.0)
    rest = pd.DataFrame({"period": table["period"]})
    for word in groups:
        rest[word] = pd.Series([None] * len(table), dtype=object)
    rest["requests"] = pd.array([0] * len(table), "Int64")
    rest["credits"] = pd.array(
        [
            None if amount is None else round(amount - by_period.get(period, 0.0), _DIGITS)
            for period, amount in zip(table["period"], plain_values(outside), strict=True)
        ],
        "Float64",
    )
    rest["assigned"] = False
    result = rest.iloc[:0].copy()
    for name in rest.columns:
        dtype = assigned[name].dtype
        texts = [*plain_values(assigned[name]), *plain_values(rest[name])]
        result[name] = pd.Series(texts, dtype="string[pyarrow]" if name in groups else dtype)
    result["assigned"] = result["assigned"].astype(bool)
    keys = pd.DataFrame(
        {
            "period": result["period"],
            "rest": ~result["assigned"],
            "credits": -result["credits"].fillna(0),
            "requests": -result["requests"],
            **{f"by{place}": result[word] for place, word in enumerate(groups)},
        }
    )
    order = keys.sort_values(list(keys.columns), kind="stable").index
    result = result.loc[order]
    empty = ~result["assigned"] & result["credits"].eq(0).fillna(False)
    return result[~empty].reset_index(drop=True)
