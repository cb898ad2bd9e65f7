"""The deprecated route of the usage figures: a time axis, and a list of figures for each label."""

from typing import Any

import numpy as np

from histkit.sandbox import catalog
from histkit.sandbox.analytics import ELSEWHERE, Spending
from histkit.sandbox.faults import Faults
from histkit.sandbox.prng import I64, chance
from histkit.sandbox.responses import Invalid, Refusal
from histkit.sandbox.workspace import KEYS, MEMBERS

STATS = "/v1/usage/character-stats"
INTERVALS = {"hour": 3600, "day": 86_400, "week": 7 * 86_400}
BREAKDOWNS = {
    "none": None,
    "voice": "voice_id",
    "voice_multiplier": "voice_multiplier",
    "user": "user_id",
    "groups": "billing_group_id",
    "api_keys": "hashed_xi_api_key",
    "all_api_keys": "hashed_xi_api_key",
    "product_type": "product_type",
    "model": "model",
    "resource": "resource_id",
    "request_queue": "request_queue_type",
    "region": "region",
    "subresource_id": "subresource_id",
    "reporting_workspace_id": "reporting_workspace_id",
    "has_api_key": "hashed_xi_api_key",
    "request_source": "request_source",
}
"""For each breakdown the column of the successor that it follows."""
_MONDAY = 4 * 86_400  # 1970-01-05


def character_stats(spent: Spending, query: dict[str, str], faults: Faults, seed: int) -> dict[str, Any]:
    """Answer ``GET /v1/usage/character-stats``; times in it are milliseconds.

    Raises
    ------
    Invalid, Refusal
        A parameter is missing or not possible.
    """
    start, end = (_milliseconds(query, name) // 1000 for name in ("start_unix", "end_unix"))
    interval = _word(query, "aggregation_interval", "day", (*INTERVALS, "month", "cumulative"))
    breakdown = _word(query, "breakdown_type", "none", tuple(BREAKDOWNS))
    _word(query, "metric", "credits", ("credits",))
    workspace = _word(query, "include_workspace_metrics", "false", ("false", "true", "False", "True")).lower() == "true"
    if breakdown == "user" and not workspace:
        message = "breakdown_type cannot be user if include_workspace_metrics is False."
        raise Refusal(400, "invalid_request", "invalid_parameters", message)
    last = end + 1 if faults["usage_end"] else end
    times = _times(start, last, interval)
    chosen = (spent.dates >= start) & (
        spent.dates < (int(times[-1]) + INTERVALS.get(interval, 0) if last > end else end)
    )
    place = np.searchsorted(times, spent.dates[chosen], side="right") - 1
    codes, labels = _labels(spent, breakdown)
    usage: dict[str, list[float | None]] = {}
    for label in dict.fromkeys(labels):  # two voices of one name are one label
        own = np.isin(codes, [code for code, name in enumerate(labels) if name == label])
        credits = spent.credits * own
        if breakdown == "none" or credits[chosen].any():
            usage[label] = _sums(place, credits[chosen], len(times))
    if faults["usage_all"]:
        usage["All"] = _sums(place, spent.credits[chosen], len(times))
        if breakdown == "none":
            music = spent.columns["product_type"][0] == 1
            parts = ((ELSEWHERE, music), ("TTS", ~music))
            usage |= {name: _sums(place, (spent.credits * part)[chosen], len(times)) for name, part in parts}
    if nulls := float(faults["usage_nulls"]):
        gone = [chance(seed, "null figure", int(time) // 3600) < nulls for time in times]
        usage = {
            name: [None if lost else figure for lost, figure in zip(gone, figures, strict=True)]
            for name, figures in usage.items()
        }
    unit = 1 if faults["usage_times"] in ("s", "int_s") else 1000
    return {"time": (times * unit).tolist(), "usage": usage}


def _labels(spent: Spending, breakdown: str) -> tuple[I64, list[str]]:
    """Return the label of each event, as codes and labels: names where the service has them."""
    column = BREAKDOWNS[breakdown]
    if column is None:
        return np.zeros(len(spent.dates), np.int64), ["All"]
    codes, values = spent.columns[column]
    if breakdown == "voice":
        return codes, [*(voice.name for voice in catalog.VOICES), ELSEWHERE]
    if breakdown == "user":
        return codes, [member.name for member in MEMBERS]
    if breakdown == "has_api_key":
        return codes, [str(value is not None).lower() for value in values]
    if column == "hashed_xi_api_key":
        return codes, [*(key.name for key in KEYS), "None"]
    return codes, [str(value) for value in values]


def _sums(places: I64, credits: I64, count: int) -> list[float | None]:
    return [float(total) for total in np.bincount(places, credits.astype(float), count)] if count else []


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
