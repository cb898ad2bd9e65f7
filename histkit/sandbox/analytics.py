"""The workspace's usage figures by bucket and group: in credits, or in money for a workspace that is billed in it.

The answers have the shape of the service's analytics: ``columns``, ``column_types``, ``column_units``, ``rows``. What
the columns of times and figures are called is not documented; the faults ``usage_...`` cover what the service may do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from histkit.sandbox import catalog
from histkit.sandbox.columns import DIALOGUE
from histkit.sandbox.faults import Faults
from histkit.sandbox.prng import I64, chance
from histkit.sandbox.responses import Invalid, Refusal
from histkit.sandbox.rows import Rows
from histkit.sandbox.workspace import KEYS, MEMBERS, NO_KEY, keys_of, users_of

USAGE = "/v1/workspace/analytics/query/usage-by-product-over-time"
COST = "/v1/workspace/analytics/usage"
SCOPE = "workspace_analytics_full_read"
GROUPS = (
    *("product_type", "model", "voice_id", "user_id", "fiat_currency", "fiat_charge_type", "region"),
    *("reporting_workspace_id", "request_source", "resource_id", "subresource_id", "request_queue_type"),
    *("voice_multiplier", "hashed_xi_api_key", "billing_group_id", "surface", "actor"),
)
COST_GROUPS_FREE = ("model", "request_source", "fiat_charge_type", "fiat_currency")
COST_GROUPS_LIMITED = (
    *("user_id", "hashed_xi_api_key", "region", "reporting_workspace_id", "billing_group_id", "product_type"),
    *("surface", "actor"),
)
NOT_IN_CREDITS = (
    "This workspace is billed by cost: the time range reaches the date it moved to cost billing. Use "
    "/v1/workspace/analytics/usage instead."
)
NOT_IN_MONEY = (
    "This workspace is billed in credits. Use /v1/workspace/analytics/query/usage-by-product-over-time instead."
)
USD_A_CREDIT = 0.0003
ELSEWHERE = "Music"
_DAY, _WEEK = 86_400, 7 * 86_400
_EARLIEST = 1_577_836_800_000  # 2020-01-01
_WORKSPACE = "ws_studio"
_SHOWN = {"user_id": "user_label", "voice_id": "voice_name", "hashed_xi_api_key": "api_key_label"}
_RENAMED = {
    "timestamp": "bucket",
    "usage": "spent",
    "total_cost": "amount",
    "product_type": "product",
    "model": "model_id",
    "user_id": "user",
    "hashed_xi_api_key": "api_key_hash",
}
_OPERATIONS: dict[str, Callable[[Any, list[Any]], bool]] = {
    "in": lambda value, values: value in values,
    "not_in": lambda value, values: value not in values,
    "eq": lambda value, values: value == values[0],
    "neq": lambda value, values: value != values[0],
    "le": lambda value, values: value is not None and value <= values[0],
    "ge": lambda value, values: value is not None and value >= values[0],
    "lt": lambda value, values: value is not None and value < values[0],
    "gt": lambda value, values: value is not None and value > values[0],
}

Column = tuple[str, str, str | None]
"""Name, type and unit."""


@dataclass(frozen=True)
class Spending:
    """Everything that cost credits: the rows of the history, and what was spent outside it just before a row.

    Attributes
    ----------
    dates : int64 array
        Seconds since 1970.
    credits : int64 array
        Credits of each.
    columns : dict
        For each group column the codes of its values, and the values.
    """

    dates: I64
    credits: I64
    columns: dict[str, tuple[I64, list[Any]]]


def spending(rows: Rows, seed: int) -> Spending:
    """Return what the workspace spent, by the columns that can be grouped by."""
    data = rows.data
    own = data.stop - data.start
    before = np.r_[np.int64(0), data.stop[:-1]]
    unseen = np.where(data.start >= before, data.start - before, np.maximum(data.start, 0))
    unseen[:1] = 0
    others = np.flatnonzero(unseen)
    chosen = np.r_[np.arange(len(data)), others]
    music = np.arange(len(chosen)) >= len(data)
    keys, bits = keys_of(data, seed), (data.bits % np.uint64(6)).astype(np.int64)
    users = users_of(data, keys)
    models, voices = [model.model_id for model in catalog.MODELS], [voice.voice_id for voice in catalog.VOICES]
    project = data.source == catalog.SOURCES.index("Projects")
    agent = data.source == catalog.SOURCES.index("ConvAI")
    resource = np.where(project, data.voice % 3, np.where(agent, 3, 4))[chosen]
    web = (keys == NO_KEY).astype(np.int64)[chosen]
    none = np.zeros(len(chosen), np.int64)
    columns: dict[str, tuple[I64, list[Any]]] = {
        "product_type": (music.astype(np.int64), ["TTS", ELSEWHERE]),
        "model": (np.where(music, len(models), data.model[chosen]), [*models, "music_v1"]),
        "voice_id": (
            np.where(music | (data.kind[chosen] == DIALOGUE), len(voices), data.voice[chosen]),
            [*voices, None],
        ),
        "user_id": (users[chosen], [member.user_id for member in MEMBERS]),
        "hashed_xi_api_key": (np.where(keys == NO_KEY, len(KEYS), keys)[chosen], [*(key.hashed for key in KEYS), None]),
        "region": (bits[chosen] % 3, ["us", "eu", "us"]),
        "reporting_workspace_id": (none, [_WORKSPACE]),
        "request_source": (web, ["api", "web"]),
        "resource_id": (resource, ["project_1", "project_2", "project_3", "agent_1", None]),
        "subresource_id": (np.where(resource < 3, bits[chosen] % 2, 2), ["chapter_1", "chapter_2", None]),
        "request_queue_type": (agent.astype(np.int64)[chosen], ["default", "priority"]),
        "voice_multiplier": ((data.voice[chosen] == 2).astype(np.int64), [1.0, 1.5]),
        "billing_group_id": (none, [None]),
        "surface": (web, ["api", "studio"]),
        "actor": (users[chosen], ["user", "user", "service_account"]),
        "fiat_currency": (none, [None]),
        "fiat_charge_type": (none, [None]),
        "user_label": (users[chosen], [member.name for member in MEMBERS]),
        "voice_name": (
            np.where(music | (data.kind[chosen] == DIALOGUE), len(voices), data.voice[chosen]),
            [*(voice.later_name or voice.name for voice in catalog.VOICES), None],
        ),
        "api_key_label": (np.where(keys == NO_KEY, len(KEYS), keys)[chosen], [*(key.name for key in KEYS), None]),
    }
    return Spending(data.date[chosen], np.r_[own, unseen[others]], columns)


def usage_over_time(spent: Spending, body: dict[str, Any], faults: Faults, seed: int) -> dict[str, Any]:
    """Answer ``POST /v1/workspace/analytics/query/usage-by-product-over-time``.

    Raises
    ------
    Invalid, Refusal
        A field is missing or not possible, or the workspace is billed in money within the range.
    """
    start, end = _range(body)
    step = _whole(body, "interval_seconds", _DAY)
    groups = _groups(body, GROUPS, ["product_type"])
    zone = UTC if faults["usage_zone"] == "ignored" else _zone(body.get("time_zone"))
    since = faults["money_since"]
    if since is not None and end > since:
        raise Refusal(400, "invalid_request", "cost_billed_workspace", NOT_IN_CREDITS)
    chosen = (spent.dates >= start) & (spent.dates < end + (_DAY if faults["usage_end"] else 0))
    chosen &= _meets(spent, _filters(body, GROUPS))
    figures = _sums(spent, chosen, bucket_starts(spent.dates[chosen], step, zone), groups)
    columns: list[Column] = [("timestamp", "DateTime", "ms"), *_group_columns(groups)]
    columns += [("usage", "Float", "credits"), ("charged", "Float", "usd")]
    rows = [[time, *values, float(credits), 0.0] for (time, *values), credits in figures.items() if credits]
    return _arranged(spent, columns, rows, groups, faults, seed)


def cost_over_time(spent: Spending, body: dict[str, Any], faults: Faults, seed: int) -> dict[str, Any]:
    """Answer ``POST /v1/workspace/analytics/usage``: by days of UTC, in the workspace's currency.

    Raises
    ------
    Invalid, Refusal
        A field is missing or not possible, or the workspace is billed in credits.
    """
    start, end = _range(body)
    step = _whole(body, "interval_seconds", None)
    if step % _DAY:
        raise Invalid(["body", "interval_seconds"], "Value should be whole UTC days", "value_error", step)
    known = (*COST_GROUPS_FREE, *COST_GROUPS_LIMITED)
    groups, filters = _groups(body, known, []), _filters(body, known)
    limited = {name for name in groups if name in COST_GROUPS_LIMITED}
    narrowed = {name for name, operation, _ in filters if operation in ("eq", "in")} & limited
    used = limited | {name for name, _, _ in filters if name in COST_GROUPS_LIMITED}
    if len(used) > 2 or (len(limited) == 2 and not narrowed):
        raise Refusal(
            400,
            "invalid_request",
            "unsupported_grouping",
            "Group or filter by at most two of these, and by two only with an eq or in filter on one of them: "
            f"{', '.join(COST_GROUPS_LIMITED)}.",
        )
    since = faults["money_since"]
    if since is None:
        raise Refusal(400, "invalid_request", "credit_billed_workspace", NOT_IN_MONEY)
    chosen = (spent.dates >= max(start, since)) & (spent.dates < end + (_DAY if faults["usage_end"] else 0))
    money = Spending(
        spent.dates,
        spent.credits,
        spent.columns
        | {
            "fiat_currency": (spent.columns["fiat_currency"][0], ["usd"]),
            "fiat_charge_type": (spent.columns["fiat_charge_type"][0], ["usage"]),
        },
    )
    chosen &= _meets(money, filters)
    figures = _sums(money, chosen, bucket_starts(money.dates[chosen], step, UTC), groups)
    columns: list[Column] = [("timestamp", "DateTime", "ms"), *_group_columns(groups)]
    columns += [("total_cost", "Float", "usd"), ("total_charge_count", "Float", None)]
    rows = [
        [time, *values, round(credits * USD_A_CREDIT, 6), float(credits)]
        for (time, *values), credits in figures.items()
        if credits
    ]
    return _arranged(money, columns, rows, groups, faults, seed)


def bucket_starts(dates: I64, step: int, zone: tzinfo) -> list[int]:
    """Return the start of the bucket of each instant, in seconds since 1970.

    Whole weeks start on Mondays, whole days at local midnight, whole hours up to a day at local hours; everything else
    is counted from 1970, UTC.
    """
    cache: dict[int, int] = {}
    starts = []
    for date in dates.tolist():
        quarter = date // 900  # no offset from UTC has a finer part
        if step % 3600 or quarter not in cache:
            cache[quarter] = _bucket_start(date, step, zone)
        starts.append(cache[quarter])
    return starts


def _bucket_start(date: int, step: int, zone: tzinfo) -> int:
    if step % 3600 or (step > _DAY and step % _DAY):
        return date // step * step
    local = datetime.fromtimestamp(date, zone)
    if step < _DAY:
        wall = local.replace(minute=0, second=0)
        if step == 3600:
            return date - (local.minute * 60 + local.second)
        return int(wall.replace(hour=local.hour // (step // 3600) * (step // 3600), fold=0).timestamp())
    days = (local.date() - datetime(1970, 1, 5, tzinfo=UTC).date()).days  # a Monday
    first = local.date() - timedelta(days=days % (step // _DAY))
    midnight = int(datetime(first.year, first.month, first.day, tzinfo=zone).timestamp())
    # Where midnight is skipped, the day starts at the change of the clocks.
    while datetime.fromtimestamp(midnight, zone).date() < first:
        midnight += 900
    return midnight


def _range(body: dict[str, Any]) -> tuple[int, int]:
    """Return start and end in seconds."""
    start, end = (_whole(body, name, None) for name in ("start_time", "end_time"))
    for name, value in (("start_time", start), ("end_time", end)):
        if value < _EARLIEST:
            message = f"Input should be greater than or equal to {_EARLIEST}"
            raise Invalid(["body", name], message, "greater_than_equal", value)
    return start // 1000, -(-end // 1000)


def _whole(body: dict[str, Any], name: str, default: int | None) -> int:
    value = body.get(name, default)
    if value is None and default is None:
        raise Invalid(["body", name], "Field required", "missing")
    value = default if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise Invalid(["body", name], "Input should be a valid integer", "int_type", value)
    return value


def _groups(body: dict[str, Any], known: tuple[str, ...], default: list[str]) -> list[str]:
    groups = body.get("group_by")
    if groups is None:
        return default
    for place, name in enumerate(groups if isinstance(groups, list) else [groups]):
        if name not in known:
            message = f"Input should be {', '.join(map(repr, known))}"
            raise Invalid(["body", "group_by", place], message, "literal_error", name)
    return list(groups)


def _filters(body: dict[str, Any], known: tuple[str, ...]) -> list[tuple[str, str, list[Any]]]:
    filters = []
    for place, one in enumerate(body.get("filters") or []):
        if not isinstance(one, dict) or not isinstance(one.get("values"), list) or not one["values"]:
            raise Invalid(["body", "filters", place], "Input should be a valid filter", "dict_type", one)
        if one.get("column") not in known or one.get("operation") not in _OPERATIONS:
            raise Invalid(["body", "filters", place], "Unknown column or operation", "literal_error", one)
        filters.append((one["column"], one["operation"], one["values"]))
    return filters


def _zone(name: Any) -> tzinfo:
    try:
        return UTC if name in (None, "UTC") else ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        raise Invalid(["body", "time_zone"], "Input should be an IANA time zone", "value_error", name) from None


def _meets(spent: Spending, filters: list[tuple[str, str, list[Any]]]) -> Any:
    chosen = np.ones(len(spent.dates), np.bool_)
    for column, operation, values in filters:
        codes, labels = spent.columns[column]
        chosen &= np.array([_OPERATIONS[operation](label, values) for label in labels], np.bool_)[codes]
    return chosen


def _sums(spent: Spending, chosen: Any, starts: list[int], groups: list[str]) -> dict[tuple[Any, ...], int]:
    """Return the credits of each bucket and group that has some, oldest first."""
    columns = []
    for name in groups:
        codes, labels = spent.columns[name]
        columns.append([labels[code] for code in codes[chosen].tolist()])
    sums: dict[tuple[Any, ...], int] = {}
    for credits, *key in zip(spent.credits[chosen].tolist(), starts, *columns, strict=True):
        sums[tuple(key)] = sums.get(tuple(key), 0) + credits
    return {key: sums[key] for key in sorted(sums, key=lambda key: (key[0], *map(str, key[1:])))}


def _group_columns(groups: list[str]) -> list[Column]:
    return [(name, "Float" if name == "voice_multiplier" else "String", None) for name in groups]


def _arranged(
    spent: Spending, columns: list[Column], rows: list[list[Any]], groups: list[str], faults: Faults, seed: int
) -> dict[str, Any]:
    """Return rows as the answer, with display columns and what the faults make of them."""
    style, figure = faults["usage_columns"], len(groups) + 1
    nulls = float(faults["usage_nulls"])
    if faults["usage_all"] and groups:
        whole: dict[int, list[float]] = {}
        for row in rows:
            sums = whole.setdefault(row[0], [0.0] * (len(columns) - figure))
            whole[row[0]] = [total + value for total, value in zip(sums, row[figure:], strict=True)]
        rows = [*rows, *([time, *["All"] * len(groups), *sums] for time, sums in whole.items())]
    if nulls:
        rows = [
            [
                *row[:figure],
                None if chance(seed, "null figure", row[0] // 3600) < nulls else row[figure],
                *row[figure + 1 :],
            ]
            for row in rows
        ]
    if style != "bare":
        for name in groups:
            if name in _SHOWN:
                shown = dict(zip(spent.columns[name][1], spent.columns[_SHOWN[name]][1], strict=True))
                place = groups.index(name) + 1
                columns = [*columns, (_SHOWN[name], "String", None)]
                rows = [[*row, shown.get(row[place])] for row in rows]
    if style == "new":
        columns = [*columns, ("weather", "Quaternion", "furlong"), ("note", "JSON", None)]
        rows = [[*row, None, {"n": 1}] for row in rows]
    if style == "two_credits":
        columns = [("discounted", "Float", "credits"), *columns]
        rows = [[1.0, *row] for row in rows]
    clock = faults["usage_times"]
    place = next(place for place, column in enumerate(columns) if column[0] == "timestamp")
    columns[place] = ("timestamp", *_CLOCKS[clock][0])
    rows = [[*row[:place], _CLOCKS[clock][1](row[place]), *row[place + 1 :]] for row in rows]
    if style == "renamed":
        columns = [(_RENAMED.get(name, name), kind, unit) for name, kind, unit in columns]
    if style == "reordered":
        columns, rows = columns[::-1], [row[::-1] for row in rows]
    names, types, units = ([column[field] for column in columns] for field in range(3))
    return {"columns": names, "column_types": types, "column_units": units, "rows": rows}


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


_CLOCKS: dict[str, tuple[tuple[str, str | None], Callable[[int], Any]]] = {
    "ms": (("DateTime", "ms"), lambda seconds: seconds * 1000),
    "int_ms": (("Int", "ms"), lambda seconds: seconds * 1000),
    "int_s": (("Int", "s"), lambda seconds: seconds),
    "s": (("DateTime", "ms"), lambda seconds: seconds),
    "iso": (("DateTime", None), _iso),
    "naive": (("DateTime", None), lambda seconds: _iso(seconds).removesuffix("Z")),
}
