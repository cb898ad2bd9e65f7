"""The service's own usage figures: the three routes that have them, and which of them answers a question.

- `USAGE`: credits, by up to 17 columns, in any zone; for workspaces that are billed in credits. It sends only buckets
  with usage, so an absent one is 0.
- `COST`: money, by days of UTC, for workspaces that are billed in it; an absent bucket is 0, too.
- `STATS`: credits, by one breakdown, in UTC; deprecated. It sends every bucket, so an absent one is unknown. It is
  asked where the others refuse, because it needs no scope.

The columns of an answer are found by unit and type (`histkit.frame.columnar`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from histkit.api.client import HistoryClient
from histkit.api.error_mapping import parse_error_body
from histkit.api.models import decode_object
from histkit.errors import (
    ApiError,
    InputError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    SchemaError,
    ServerError,
)
from histkit.frame.clock import DAY, HOUR, SECOND, first_instant, iso, name_of
from histkit.frame.columnar import CREDITS, CURRENCIES, ColumnarAnswer, decode_columns
from histkit.frame.columns import float_numbers, plain_values
from histkit.frame.dates import instants_of
from histkit.money.dimensions import BY_NAME, Dimension
from histkit.usage.buckets import edges
from histkit.usage.periods import Freq
from histkit.util.arrays import Ints
from histkit.util.text import quoted

STATS = "/v1/usage/character-stats"
USAGE = "/v1/workspace/analytics/query/usage-by-product-over-time"
COST = "/v1/workspace/analytics/usage"
EARLIEST = 1_577_836_800  # 2020-01-01: USAGE and COST know no earlier time
_ALL = "all"  # the label of a total beside its parts, in any letter case
_DAYS_AT_ONCE = {"D": 366, "h": 31}
_TIMES = ("timestamp", "time", "bucket", "date", "start_time")
_SHOWN = ("_label", "_name")  # how columns of display names end


@dataclass(frozen=True)
class Question:
    """What is asked of the routes.

    Attributes
    ----------
    start, end : int
        Seconds since 1970, the end exclusive; both are starts of a bucket.
    grain : {"D", "h"}
        Buckets of the figures: local days or hours.
    zone : tzinfo
        The zone of these.
    by : dict of str to Dimension
        The breakdown, under the names that the columns get.
    column : str, optional
        The column of the figures, where an answer has several in its unit.
    """

    start: int
    end: int
    grain: str
    zone: tzinfo
    by: Mapping[str, Dimension] = field(default_factory=dict)
    column: str | None = None

    @cached_property
    def grid(self) -> Ints:
        """The start of each bucket, in microseconds since 1970."""
        ends = np.array([self.start, self.end], np.int64) * SECOND
        every = edges(ends, Freq(self.grain), self.zone)
        within: Ints = every[(every >= ends[0]) & (every < ends[1])]
        return within

    def spans(self, earliest: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield the starts and ends of the requests, which together cover the range from `earliest` on."""
        starts = self.grid // SECOND
        starts = starts if earliest is None else starts[starts >= earliest]
        step = _DAYS_AT_ONCE[self.grain] * (24 if self.grain == "h" else 1)
        for first in range(0, len(starts), step):
            yield int(starts[first]), int(starts[first + step]) if first + step < len(starts) else self.end


@dataclass(frozen=True)
class Figures:
    """The figures of one route.

    Attributes
    ----------
    route : str
        The route that answered.
    table : pandas.DataFrame
        ``period`` (int64, microseconds since 1970), the columns of the breakdown, ``currency`` for money, display names
        as the service appended them, ``amount`` (Float64, missing where the service sends null).
    shown : tuple of str
        Its columns of display names.
    absent_is_zero : bool
        Whether a bucket that is not there had no usage; else its usage is unknown.
    money : bool
        Whether the amounts are money.
    refusals : dict of str to str
        What the routes said that were asked before.
    """

    route: str
    table: pd.DataFrame
    shown: tuple[str, ...]
    absent_is_zero: bool
    money: bool
    refusals: dict[str, str]


def fetch_figures(client: HistoryClient, question: Question) -> Figures:
    """Query the routes in order until one answers.

    Raises
    ------
    ApiError
        All refused: the error of the first, with the reasons of the others. `PermissionDeniedError` if the key lacks a
        scope.
    SchemaError
        An answer has no column of times or figures, or several.
    """
    refusals: dict[str, ApiError | str] = {}
    for route, limit, fetch in (
        (USAGE, _usage_limit, _usage),
        (COST, _cost_limit, _cost),
        (STATS, _stats_limit, _stats),
    ):
        if not _is_next(route, refusals.get(USAGE)):
            continue
        problem = limit(question)
        if problem:
            refusals[route] = problem
            continue
        try:
            table, shown = fetch(client, question)
        except ApiError as error:
            if _ends_the_search(error):
                raise
            refusals[route] = error
            continue
        said = {name: _reason(refusal) for name, refusal in refusals.items() if isinstance(refusal, ApiError)}
        return Figures(route, table, shown, route != STATS, route == COST, said)
    raise _refused(refusals)


def _ends_the_search(error: ApiError) -> bool:
    """Return whether no other route can answer: the key is unknown, the account blocked, the service overloaded."""
    if isinstance(error, PermissionDeniedError) or _concerns_money(error):
        return False
    return isinstance(error, (RateLimitError, ServerError)) or error.status_code in (None, 401, 402)


def _is_next(route: str, refusal: ApiError | str | None) -> bool:
    """Return whether a route is worth a request after what `USAGE` said."""
    if route == USAGE or not isinstance(refusal, ApiError):
        return route != COST
    if route == COST:  # the same scope, and as new
        return _concerns_money(refusal) or not isinstance(refusal, (PermissionDeniedError, NotFoundError))
    return not _concerns_money(refusal)  # whose credits, if STATS has any, would not be what was spent


def _concerns_money(refusal: ApiError) -> bool:
    words = parse_error_body(refusal.body).message.casefold()
    return COST in words or "billed by cost" in words or "cost billing" in words


def _reason(refusal: ApiError | str) -> str:
    if isinstance(refusal, str):
        return refusal
    return parse_error_body(refusal.body).message or refusal.message


def _refused(refusals: dict[str, ApiError | str]) -> Exception:
    """Return the error that tells what every route said."""
    errors = {route: refusal for route, refusal in refusals.items() if isinstance(refusal, ApiError)}
    if not errors:
        return InputError("; ".join(dict.fromkeys(map(_reason, refusals.values()))))
    route, first = next(iter(errors.items()))
    lacks_scope = isinstance(first, PermissionDeniedError) and first.scope is not None
    others = {name: refusal for name, refusal in refusals.items() if name != route}
    if lacks_scope:  # what that key could ask is beside the point
        others = {name: refusal for name, refusal in others.items() if isinstance(refusal, ApiError)}
    reasons = [f"{name}: {_reason(refusal).rstrip('.')}" for name, refusal in others.items()]
    if not reasons:
        return first
    own = first.message if lacks_scope else f"The official figures can't be read. {route}: {_reason(first)}"
    facts = {name: getattr(first, name) for name in ("status_code", "code", "body", "headers", "request_id")}
    error = type(first)(f"{own.rstrip('.')}; {'; '.join(reasons)}.", **facts)
    if isinstance(first, PermissionDeniedError) and isinstance(error, PermissionDeniedError):
        error.scope = first.scope
    return error


def _usage_limit(question: Question) -> str:
    missing = [word for word, one in question.by.items() if one.usage is None]
    return f"by={missing[0]!r} is known to {STATS} only, and alone" if missing else ""


def _usage(client: HistoryClient, question: Question) -> tuple[pd.DataFrame, tuple[str, ...]]:
    names = {word: str(one.usage) for word, one in question.by.items()}

    def ask(start: int, end: int, groups: Mapping[str, str]) -> pd.DataFrame:
        body: dict[str, Any] = {
            "start_time": start * 1000,
            "end_time": end * 1000,
            "interval_seconds": (DAY if question.grain == "D" else HOUR) // SECOND,
            "group_by": [*groups.values()],
            "time_zone": name_of(question.zone),
        }
        answer = client.transport.request("POST", USAGE, decode_object, json=body).data
        return _table(decode_columns(answer, USAGE), groups, question, question.zone)

    return _joined(ask, names, question, EARLIEST)


def _cost_limit(question: Question) -> str:
    missing = [word for word, one in question.by.items() if not one.cost]
    if missing:
        return f"figures in money can't be broken down by {missing[0]}"
    if question.zone is not UTC or question.grain != "D":
        return "figures in money are by days of UTC: use tz='UTC' and days or longer"
    limited = [word for word, one in question.by.items() if one.limited]
    return f"figures in money can be broken down by two of {', '.join(limited)} at most" if len(limited) > 2 else ""


def _cost(client: HistoryClient, question: Question) -> tuple[pd.DataFrame, tuple[str, ...]]:
    names = {word: str(one.usage) for word, one in question.by.items() if one.word != "currency"}
    limited = [one.usage for one in question.by.values() if one.limited]

    def post(start: int, end: int, groups: list[str | None], filters: list[dict[str, Any]]) -> ColumnarAnswer:
        body: dict[str, Any] = {
            "start_time": start * 1000,
            "end_time": end * 1000,
            "interval_seconds": DAY // SECOND,
            "group_by": groups,
        }
        if filters:
            body["filters"] = filters
        return decode_columns(client.transport.request("POST", COST, decode_object, json=body).data, COST)

    def ask(start: int, end: int, groups: Mapping[str, str]) -> pd.DataFrame:
        filters: list[dict[str, Any]] = []
        if len(limited) == 2 and groups:  # the route asks for a filter on one of them: all values it has
            of_one = post(start, end, [limited[0]], [])
            if of_one.frame.empty:
                return _table(of_one, {}, question, UTC)
            column = _group_columns(of_one, {"": str(limited[0])})[""]
            values = list(dict.fromkeys(plain_values(of_one.frame[column])))
            filters = [{"column": limited[0], "operation": "in", "values": values}]
        answer = post(start, end, [*groups.values(), "fiat_currency"], filters)
        return _table(answer, groups, question, UTC, money=True)

    return _joined(ask, names, question, EARLIEST)


def _stats_limit(question: Question) -> str:
    if len(question.by) > 1:
        return f"{STATS} has one breakdown at a time"
    missing = [word for word, one in question.by.items() if one.stats is None]
    if missing:
        return f"{STATS} has no breakdown by {missing[0]}"
    if (question.grid % HOUR).any():
        unit = "days" if question.grain == "D" else "hours"
        return f"{STATS} counts by hours of UTC, which are no {unit} of {name_of(question.zone)}"
    return ""


def _stats(client: HistoryClient, question: Question) -> tuple[pd.DataFrame, tuple[str, ...]]:
    names = {word: str(one.stats) for word, one in question.by.items()}
    hourly = question.grain == "h" or question.zone is not UTC
    asked = Question(question.start, question.end, "h" if hourly else "D", UTC, question.by)

    def ask(start: int, end: int, groups: Mapping[str, str]) -> pd.DataFrame:
        breakdown = next(iter(groups.values()), "none")
        params = {
            "start_unix": start * 1000,
            "end_unix": end * 1000,
            "breakdown_type": breakdown,
            "aggregation_interval": "hour" if hourly else "day",
            "metric": CREDITS,
        }
        if breakdown == "user":
            params["include_workspace_metrics"] = True
        answer = client.transport.request("GET", STATS, decode_object, params=params).data
        return _table(_as_columns(answer, breakdown), groups, asked, UTC)

    table, shown = _joined(ask, names, asked, None)
    if hourly and question.grain == "D":
        table = table.assign(period=_days_of(table["period"].to_numpy(np.int64), question))
    return table, shown


def _days_of(hours: Ints, question: Question) -> Ints:
    """Return the start of the local day of each hour."""
    days = question.grid
    return days[np.searchsorted(days, hours, "right") - 1] if len(hours) else hours


def _as_columns(answer: Mapping[str, Any], breakdown: str) -> ColumnarAnswer:
    """Return an answer of `STATS` as a columnar one."""
    times, usage = answer.get("time"), answer.get("usage")
    if not isinstance(times, list) or not isinstance(usage, Mapping):
        raise SchemaError(f"{STATS} answered in a form that histkit doesn't know: it has no lists time and usage.")
    rows = []
    for label, values in usage.items():
        if not isinstance(values, list) or len(values) != len(times):
            raise SchemaError(f"{STATS}: {quoted(label)} must have one value for each of {len(times)} times.")
        rows += [[time, label, value] for time, value in zip(times, values, strict=True)]
    columns = {
        "columns": ["time", breakdown, CREDITS],
        "column_types": ["Int", "String", "Float"],
        "column_units": ["ms", None, CREDITS],
        "rows": rows,
    }
    return decode_columns(columns, STATS)


Ask = Callable[[int, int, Mapping[str, str]], pd.DataFrame]


def _joined(
    ask: Ask, names: Mapping[str, str], question: Question, earliest: int | None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the answers of all spans as one table, without totals beside their parts, and its display columns."""
    tables = []
    for start, end in question.spans(earliest):
        table = ask(start, end, names)
        if names and len(table):
            table = _without_totals(table, [*names], partial(ask, start, end, {}))
        tables.append(table)
    if not tables:
        tables = [pd.DataFrame({"period": pd.Series(dtype="int64"), **dict.fromkeys(names, pd.Series(dtype="string"))})]
        tables[0]["amount"] = pd.array([], "Float64")
    filled = [table for table in tables if len(table)] or tables[:1]
    table = pd.concat(filled, ignore_index=True)
    used = {"period", "amount", "currency", *names}
    return table, tuple(name for name in table.columns if name not in used)


def _table(
    answer: ColumnarAnswer, groups: Mapping[str, str], question: Question, zone: tzinfo, *, money: bool = False
) -> pd.DataFrame:
    """Return an answer as the table of `Figures`, with the buckets of the question only."""
    frame = answer.frame
    columns: dict[str, Any] = {}
    if frame.empty:
        columns = {"period": pd.Series(dtype="int64"), **{word: pd.Series(dtype="string[pyarrow]") for word in groups}}
        if money:
            columns["currency"] = pd.Series(dtype="string[pyarrow]")
        return pd.DataFrame({**columns, "amount": pd.array([], "Float64")})
    time = answer.time_column(*_TIMES)
    amount, currency = _amount_column(answer, question.column, money=money)
    micros, dated = instants_of(frame[time])
    if not dated.all():
        raise SchemaError(f"{answer.route}: {int((~dated).sum())} rows have no time in the column {quoted(time)}.")
    micros = _placed(micros, time in answer.without_offset, question, zone, answer.route)
    columns["period"] = micros
    found = _group_columns(answer, groups)
    for word, name in found.items():
        columns[word] = frame[name].array
        if isinstance(frame[name].dtype, pd.StringDtype):  # an empty label is none
            columns[word] = frame[name].mask(frame[name].eq("").fillna(False)).array
    if money:
        columns["currency"] = currency
    for name in frame.columns if groups else ():
        is_shown = name.endswith(_SHOWN) and answer.types[name] in ("String", None)
        if is_shown and name not in found.values() and name not in (*columns, "amount"):
            columns[name] = frame[name].astype("string[pyarrow]").array
    columns["amount"] = pd.array(float_numbers(frame[amount]), "Float64")
    table = pd.DataFrame(columns)
    if not groups:
        table = _only_totals(table, frame, (time, amount))
    return table[(table["period"] >= question.start * SECOND) & (table["period"] < question.end * SECOND)]


def _amount_column(answer: ColumnarAnswer, column: str | None, *, money: bool) -> tuple[str, Any]:
    """Return the column of the figures, and for money the currency of each row."""
    units = CURRENCIES if money else (CREDITS,)
    names = ["total_cost"] if money else []
    stated = answer.frame["fiat_currency"].astype("string[pyarrow]") if "fiat_currency" in answer.frame else None
    try:
        in_rows = [name for name in names if name in answer.frame and money and stated is not None]
        if column is not None and answer.route != STATS:  # which has no columns
            unit_of_rows = (answer.units.get(column) or "").casefold() if stated is not None else ""
            others = [unit_of_rows] if unit_of_rows not in ("", CREDITS) else []  # any currency: the rows say which
            amount = answer.named_column(column, *units, *others)
        elif in_rows and not answer.in_units(*units):  # only the rows say the currency
            amount = in_rows[0]
        else:
            amount = answer.unit_column(*units, names=names)
    except SchemaError as error:
        undecided = column is None and len(answer.in_units(*units)) != 1
        raise SchemaError(f"{error}{' Name the right one: column=.' if undecided else ''}") from None
    if not money:
        return amount, None
    unit = pd.Series([answer.units[amount]] * len(answer.frame), dtype="string[pyarrow]")
    return amount, (unit if stated is None else stated.fillna(unit)).str.upper().array


def _group_columns(answer: ColumnarAnswer, groups: Mapping[str, str]) -> dict[str, str]:
    """Return the answer's column for each group: by its name, or as the only text that is left for the only group left.

    Raises
    ------
    SchemaError
        A group has no such column.
    """
    found: dict[str, str] = {}
    for word, name in groups.items():
        plain = {name, word, BY_NAME[name].word if name in BY_NAME else name}
        known = [
            column for column in answer.frame.columns if column.casefold() in plain and column not in found.values()
        ]
        if known:
            found[word] = name if name in known else known[0]
    missing = [word for word in groups if word not in found]
    left = [
        name
        for name in answer.frame.columns
        if name not in found.values()
        and answer.types[name] == "String"
        and not name.endswith(_SHOWN)
        and name != "fiat_currency"
    ]
    if len(missing) == 1 and len(left) == 1:
        found[missing[0]] = left[0]
    elif missing:
        raise SchemaError(
            f"{answer.route} answered without a column that is known to be {groups[missing[0]]}; it has "
            f"{answer.described()}."
        )
    return {word: found[word] for word in groups}


def _placed(micros: Ints, naive: bool, question: Question, zone: tzinfo, route: str) -> Ints:
    """Return the start of the bucket of each row; a time outside of the range stays as it is.

    Raises
    ------
    SchemaError
        A time within the range is not the start of a bucket.
    """
    grid = question.grid

    def first_off(times: Ints) -> Ints:
        within = times[(times >= grid[0]) & (times < question.end * SECOND)]
        off: Ints = within[~np.isin(within, grid)]
        return off

    off = first_off(micros)
    if naive and zone is not UTC:  # a time without an offset: of UTC, or of the zone
        if question.grain == "h":
            raise SchemaError(f"{route} sends times without an offset from UTC, so hours are known in tz='UTC' only.")
        if len(off):
            local = np.array([first_instant(int(wall) // SECOND, zone) for wall in micros], np.int64) * SECOND
            micros, off = local, first_off(local)
    if len(off):
        what = "day" if question.grain == "D" else "hour"
        at = iso(int(off[0]) // SECOND, UTC)
        raise SchemaError(f"{route}: a bucket starts at {at}, where no {what} starts in {name_of(zone)}.")
    return micros


def _only_totals(table: pd.DataFrame, frame: pd.DataFrame, used: tuple[str, ...]) -> pd.DataFrame:
    """Return the rows of totals in each bucket in which an answer that was asked for totals has parts beside them."""
    total = np.zeros(len(frame), bool)
    for name in frame.columns:
        if name not in used and isinstance(frame[name].dtype, pd.StringDtype):
            total |= frame[name].str.casefold().eq(_ALL).fillna(False).to_numpy(bool)
    return table[total | ~table["period"].isin(table.loc[total, "period"]).to_numpy(bool)]


def _without_totals(table: pd.DataFrame, words: list[str], ask_total: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """Remove the rows of a total beside its parts; what the parts lack of it becomes a row without labels.

    A label that is called All is a total only if it equals what the route answers without a breakdown.
    """
    labels = table[words].astype("string[pyarrow]")
    is_all = labels.apply(lambda column: column.str.casefold().eq(_ALL).fillna(False)).all(axis=1).to_numpy(bool)
    if not is_all.any() or is_all.all():
        return table
    keys = [name for name in ("period", "currency") if name in table.columns]  # amounts in two currencies have no sum
    totals, parts, truth = (
        part.groupby(keys, dropna=False)["amount"] for part in (table[is_all], table[~is_all], ask_total())
    )
    sums = pd.DataFrame({"total": totals.sum(min_count=1), "truth": truth.sum(min_count=1)})
    known = sums.dropna().astype(float)
    if not np.isclose(known["total"], known["truth"], rtol=1e-9, atol=1e-6).all():
        return table
    complete = parts.sum(min_count=1).where(parts.count() == parts.size())
    rest = (sums["total"] - complete.reindex(sums.index, fill_value=0)).dropna()
    rest = rest[rest > 1e-6]
    columns: dict[str, Any] = {name: rest.index.get_level_values(name) for name in keys}
    columns["amount"] = pd.array(rest.to_numpy(float), "Float64")
    more = pd.DataFrame(columns).reindex(columns=table.columns).astype(table.dtypes)
    return pd.concat([table[~is_all], more], ignore_index=True) if len(more) else table[~is_all]
