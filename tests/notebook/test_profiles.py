"""The profile of a column counts the rows that pass all other filters, in bins that filters don't move."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.notebook.columns import table_columns
from histkit.notebook.filter_state import FilterState
from histkit.notebook.profiles import profile
from histkit.notebook.row_masks import FIELDS
from histkit.notebook.selection import Selection
from histkit.notebook.service import Service
from tests.effort import examples
from tests.notebook.strategies import ZONES, filters

DF = hk.sample_history(600)
KEYS = ["date", "voice_name", "credits", "characters", "model_id", "source"]


def profiles_of(service: Service, keys: list[str]) -> dict[str, Any]:
    reply, _ = service.answer({"id": 1, "view": "a", "kind": "profiles", "keys": keys})
    assert "error" not in reply, reply
    result: dict[str, Any] = reply["profiles"]
    return result


def others(conditions: FilterState, field: str | None, tz: str) -> pd.DataFrame:
    """Apply the filters of all columns but one."""
    blank = {name: getattr(FilterState(), name) for name in FIELDS.get(field or "", ())}
    return replace(conditions, **blank).apply(DF, tz)


@settings(max_examples=examples(10))
@given(conditions=filters(), tz=ZONES, bin_of=st.integers(0, 1000))
def test_a_profile_counts_the_rows_that_pass_all_other_filters(conditions: FilterState, tz: str, bin_of: int) -> None:
    service = Service(Selection(DF, tz))
    before = profiles_of(service, KEYS)
    service.change(filters=conditions)
    after = profiles_of(service, KEYS)
    for key in ("credits", "characters"):
        rows, found = others(conditions, key, tz)[key], after[key]
        assert (found["edges"], found["all"]) == (before[key]["edges"], before[key]["counts"])
        assert found["counts"] == [int(rows.between(*pair).sum()) for pair in found["bounds"]]
        assert sum(found["counts"]) + found["missing"] == len(rows)
    rows, found = others(conditions, "date", tz)["date"], after["date"]
    assert (found["edges"], found["all"]) == (before["date"]["edges"], before["date"]["counts"])
    pairs = [(pd.Timestamp(first), pd.Timestamp(end)) for first, end in found["bounds"]]
    assert found["counts"] == [int(((rows >= first) & (rows < end)).sum()) for first, end in pairs]
    assert [int(first.timestamp()) for first, _ in pairs] == found["edges"][:-1]
    for key, field, column in (
        ("voice_name", "voice", "voice_id"),
        ("model_id", "model", "model_id"),
        ("source", "source", "source"),
    ):
        rows = others(conditions, field, tz)[column]
        counts = rows.astype("string").value_counts().to_dict()
        assert {bar["value"]: bar["count"] for bar in after[key]["values"] if bar["count"]} == counts
        assert after[key]["missing"] == int(rows.isna().sum())
        assert [bar["all"] for bar in after[key]["values"]] == [bar["count"] for bar in before[key]["values"]]
    for key, field in (("credits", "credits"), ("date", None)):
        place = bin_of % len(after[key]["bounds"])
        low, high = after[key]["bounds"][place]
        change = {field: [low, high]} if field else {"after": low, "before": high, "first": None, "last": None}
        reply, _ = service.answer({"id": 1, "view": "a", "kind": "query", "filters": change})
        assert reply["count"] == after[key]["counts"][place]
        service.change(filters=conditions)


def test_voices_are_called_as_in_usage_tables() -> None:
    df = pd.concat([DF, DF.assign(voice_id=DF["voice_id"].astype("string").str.upper())], ignore_index=True)
    df["history_item_id"] = pd.array([f"id{place}" for place in range(len(df))], "string[pyarrow]")
    voices = hk.usage_table(df, "voice").attrs["histkit"]["voices"]
    found = profiles_of(Service(Selection(df)), ["voice_name"])["voice_name"]["values"]
    assert len({bar["label"] for bar in found}) == len(found)
    assert {bar["value"]: bar["label"] for bar in found}.items() <= {
        id_: label for label, id_ in voices.items()
    }.items()


def test_values_that_a_filter_takes_for_one_are_one_bar() -> None:
    source = DF["source"].astype("string")
    df = DF.assign(source=source.where(DF.index % 2 == 0, source.str.lower()))
    service = Service(Selection(df))
    bars = profiles_of(service, ["source"])["source"]["values"]
    assert len(bars) == DF["source"].nunique()
    for bar in bars:
        reply, _ = service.answer({"id": 1, "view": "a", "kind": "query", "filters": {"source": [bar["value"]]}})
        assert reply["count"] == bar["all"] > 0


@pytest.mark.parametrize("dtype", ["Int64", "int64", "uint8", "uint64", "Float64", "float64"])
@settings(max_examples=examples(30))
@given(data=st.data())
def test_every_number_is_in_its_bin(dtype: str, data: st.DataObject) -> None:
    if dtype == "uint8":
        element: st.SearchStrategy[Any] = st.integers(0, 255)
    elif dtype == "uint64":
        element = st.integers(0, 2**64 - 1)
    elif "nt" in dtype:
        element = st.integers(-(2**63), 2**63 - 1) | st.integers(-50, 50) | st.integers(0, 10**6)
    else:
        element = st.floats() | st.floats(0, 1) | st.floats(-1e3, 1e3)
    if dtype[0] in "IF":
        element = st.none() | element
    values = data.draw(st.lists(element, min_size=1, max_size=30))
    column = pd.Series(pd.array(values, dtype)) if dtype[0] in "IF" else pd.Series(np.array(values, dtype))
    df = DF.head(len(values)).assign(number=column.array)
    rows = np.ones(len(df), bool)
    found = profile(df, table_columns(df)["number"], "UTC", {}).message(rows)
    edges = found["edges"]
    assert all(low < high for low, high in pairwise(edges))
    assert sum(found["counts"]) + found["missing"] == len(values)
    assert len(found["counts"]) <= 45
    known = [float(value) for value in values if value is not None and abs(float(value)) < 1e300]
    assert found["missing"] == len(values) - len(known)
    if known:
        assert edges[0] <= min(known)
        assert max(known) <= edges[-1]
    if all(float(edge).is_integer() and abs(edge) < 2**50 for edge in edges):
        expected = [sum(low <= value < high for value in known) for low, high in pairwise(edges)]
        assert found["counts"] == expected


def test_crowded_numbers_are_told_apart_by_growing_bins() -> None:
    df = DF.assign(credits=pd.array([place % 60 if place else 1_000_000 for place in range(len(DF))], "Int64"))
    found = profiles_of(Service(Selection(df)), ["credits"])["credits"]
    assert found["edges"][:7] == [0, 1, 2, 5, 10, 20, 50]
    assert found["edges"][-1] > 1_000_000
    assert found["bounds"][3] == (5, 9)
    assert sum(found["counts"]) == len(df)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2026-10-01T10:00Z", "2026-10-01T10:00Z"),
        ("2026-10-24T20:00Z", "2026-10-25T06:00Z"),
        ("1700-01-01", "2026-01-01"),
    ],
)
def test_dates_of_any_span_have_bins(first: str, last: str) -> None:
    dates = [pd.Timestamp(text).tz_localize("UTC") if "Z" not in text else pd.Timestamp(text) for text in (first, last)]
    df = DF.head(3).assign(date=pd.Series([*dates, pd.NaT]).astype("datetime64[us, UTC]"))
    found = profiles_of(Service(Selection(df, "Europe/Berlin")), ["date"])["date"]
    assert (sum(found["counts"]), found["missing"]) == (2, 1)
    assert found["counts"][0]
    assert found["counts"][-1]
    assert 1 <= len(found["counts"]) <= 60
    assert len(set(found["labels"])) == len(found["labels"])


def test_an_empty_frame_has_empty_profiles() -> None:
    for found in profiles_of(Service(Selection(DF.head(0))), KEYS).values():
        assert not found.get("counts")
        assert not found.get("values")
        assert found["missing"] == 0
