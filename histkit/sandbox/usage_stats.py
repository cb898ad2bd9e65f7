"""The account's official usage figures: the growth of its counter, including usage outside the history."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from histkit.sandbox import catalog
from histkit.sandbox.responses import Invalid
from histkit.sandbox.rows import Rows

I64 = NDArray[np.int64]

STATS = "/v1/usage/character-stats"
SUCCESSOR = "/v1/workspace/analytics/query/usage-by-product-over-time"
INTERVALS = {"hour": 3600, "day": 86_400, "week": 7 * 86_400}
BREAKDOWNS = ("none", "voice", "model", "product_type", "request_source")
_MONDAY = 4 * 86_400  # 1970-01-05
_ELSEWHERE = "Music"


def character_stats(rows: Rows, query: dict[str, str]) -> dict[str, Any]:
    """Answer ``GET /v1/usage/character-stats``; times in it are milliseconds.

    Raises
    ------
    Invalid
        A parameter is missing or not possible.
    """
    start, end = (_milliseconds(query, name) // 1000 for name in ("start_unix", "end_unix"))
    interval = _word(query, "aggregation_interval", "day", (*INTERVALS, "month", "cumulative"))
    breakdown = _word(query, "breakdown_type", "none", BREAKDOWNS)
    _word(query, "metric", "credits", ("credits",))
    times = _times(start, end, interval)
    labels, dates, credits = _spent(rows, breakdown)
    chosen = (dates >= start) & (dates < end)
    place = np.searchsorted(times, dates[chosen], side="right") - 1
    usage: dict[str, list[float]] = {}  # two voices of one name are one label
    for number, label in enumerate(labels):
        own = chosen & (credits[number] != 0)
        if breakdown == "none" or own.any():
            sums = _sums(place, credits[number][chosen], len(times))
            usage[label] = [sum(pair) for pair in zip(usage.get(label, [0.0] * len(sums)), sums, strict=True)]
    return {"time": (times * 1000).tolist(), "usage": usage}


def by_product(rows: Rows, body: dict[str, Any]) -> dict[str, Any]:
    """Answer ``POST /v1/workspace/analytics/query/usage-by-product-over-time``: columns and rows of a table.

    Raises
    ------
    Invalid
        A field is missing or not possible.
    """
    for name in ("start_time", "end_time", "interval_seconds"):
        if not isinstance(body.get(name), int):
            raise Invalid(["body", name], "Input should be a valid integer", "int_type", body.get(name))
    start, end, step = body["start_time"] // 1000, body["end_time"] // 1000, body["interval_seconds"]
    times = np.arange(start // step * step, max(end, start), step, dtype=np.int64)
    labels, dates, credits = _spent(rows, "product_type")
    chosen = (dates >= start) & (dates < end)
    place = np.searchsorted(times, dates[chosen], side="right") - 1
    table = []
    for number, label in enumerate(labels):
        sums = _sums(place, credits[number][chosen], len(times))
        table += [[int(times[at]) * 1000, label, amount, 0.0] for at, amount in enumerate(sums) if amount]
    return {
        "columns": ["timestamp", "product_type", "usage", "charged"],
        "column_types": ["DateTime", "String", "Float", "Float"],
        "column_units": ["ms", None, "credits", "usd"],
        "rows": table,
    }


def _sums(places: I64, credits: I64, count: int) -> list[float]:
    return [float(total) for total in np.bincount(places, credits.astype(float), count)] if count else []


def _spent(rows: Rows, breakdown: str) -> tuple[list[str], I64, list[I64]]:
    """Return labels, the date of each row, and for each label the credits at that row: its own and those before it."""
    data = rows.data
    own = data.stop - data.start
    before = np.r_[np.int64(0), data.stop[:-1]]
    unseen = np.where(data.start >= before, data.start - before, np.maximum(data.start, 0))
    unseen[:1] = 0
    if breakdown == "none":
        return ["All"], data.date, [own + unseen]
    if breakdown == "product_type":
        return ["TTS", _ELSEWHERE], data.date, [own, unseen]
    names, groups = {
        "voice": ([voice.name for voice in catalog.VOICES], data.voice),
        "model": ([model.model_id for model in catalog.MODELS], data.model),
        "request_source": (list(catalog.SOURCES), data.source),
    }[breakdown]
    by_label = [np.where(groups == number, own, 0) for number in range(len(names))]
    return [*map(str, names), _ELSEWHERE], data.date, [*by_label, unseen]


def _times(start: int, end: int, interval: str) -> I64:
    if interval == "cumulative":
        return np.array([start], dtype=np.int64)
    if interval == "month":
        first = np.datetime64(start, "s").astype("datetime64[M]")
        months = np.arange(first, np.datetime64(max(end - 1, start), "s").astype("datetime64[M]") + 1)
        return months.astype("datetime64[s]").astype(np.int64)
    step, shift = INTERVALS[interval], _MONDAY if interval == "week" else 0
    return np.arange((start - shift) // step * step + shift, end, step, dtype=np.int64)


def _milliseconds(query: dict[str, str], name: str) -> int:
    value = query.get(name)
    if value is None:
        raise Invalid(["query", name], "Field required", "missing")
    try:
        return int(value)
    except ValueError:
        raise Invalid(["query", name], "Input should be a valid integer", "int_parsing", value) from None


def _word(query: dict[str, str], name: str, default: str, words: tuple[str, ...]) -> str:
    value = query.get(name, default)
    if value not in words:
        raise Invalid(["query", name], f"Input should be one of {', '.join(words)}", "enum", value)
    return value
