"""The order of the explorer's rows is that of pandas' stable sort, by any columns, with missing values last."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.notebook.sorting import RowSorter, SortKey, rank_values
from tests.effort import examples


def comparable(df: pd.DataFrame) -> pd.DataFrame:
    """Make categories texts, which is what the explorer sorts them by."""
    texts = {
        name: df[name].astype("string")
        for name in df.columns
        if isinstance(df[name].dtype, pd.CategoricalDtype) and not df[name].cat.ordered
    }
    return df.assign(**texts)


def by_pandas(df: pd.DataFrame, rows: np.ndarray[Any, Any], keys: list[SortKey]) -> list[int]:
    part = comparable(df).iloc[rows]
    names, descending = [key.column for key in keys], [key.descending for key in keys]
    return part.sort_values(names, ascending=[not down for down in descending], kind="stable").index.tolist()


def history() -> pd.DataFrame:
    df = hk.sample_history(400).drop(columns="dialogue")
    numbers = np.arange(len(df))
    df["ordered"] = pd.Categorical(
        np.array(["low", "high", "medium"])[numbers % 3], ["low", "medium", "high"], ordered=True
    )
    df["float"] = np.where(numbers % 5 == 0, np.nan, numbers % 7 / 4 - 0.5)
    df["decimal"] = [None if place % 4 == 0 else Decimal(place % 9) / 4 for place in numbers.tolist()]
    df["naive"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(numbers % 13 * 1_000_000_007, unit="ns")
    df["span"] = pd.to_timedelta(numbers % 11, unit="h")
    df["large"] = pd.array([2**62 if place % 3 else -(2**62) for place in numbers.tolist()], "Int64")
    df["unsigned"] = (numbers % 5).astype(np.uint64) + np.uint64(2**63)
    df["small"] = (numbers % 200).astype(np.uint8)
    df["flag"] = numbers % 3 == 0
    df["object"] = pd.Series(np.array(["b", "a", "ä", "Z", ""])[numbers % 5], dtype=object)
    df["empty"] = pd.array([None] * len(df), "Int64")
    return df


HISTORY = history()
SORTER = RowSorter(HISTORY)


@settings(max_examples=examples(60))
@given(
    keys=st.lists(
        st.builds(SortKey, st.sampled_from([*HISTORY.columns]), st.booleans()),
        min_size=1,
        max_size=4,
        unique_by=lambda key: key.column,
    ),
    seed=st.integers(0, 3),
)
def test_the_order_is_that_of_pandas(keys: list[SortKey], seed: int) -> None:
    rows = np.arange(len(HISTORY))
    if seed:
        rows = np.flatnonzero(np.random.default_rng(seed).random(len(HISTORY)) < 0.6)
    assert SORTER.order(rows, keys).tolist() == by_pandas(HISTORY, rows, keys)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("column", [*HISTORY.columns])
def test_every_column_sorts_in_both_directions(column: str, descending: bool) -> None:
    rows = np.arange(len(HISTORY))
    keys = [SortKey(column, descending)]
    assert SORTER.order(rows, keys).tolist() == by_pandas(HISTORY, rows, keys)
    by_two = [SortKey("source"), *keys] if column != "source" else [SortKey("model_id"), *keys]
    assert SORTER.order(rows, by_two).tolist() == by_pandas(HISTORY, rows, by_two)


@settings(max_examples=examples(60))
@given(
    values=st.lists(st.none() | st.text("aAbäßé\U0001f600\uffff ", max_size=3), max_size=30),
    descending=st.booleans(),
    dtype=st.sampled_from(["string[pyarrow]", "string[python]", "object", "category"]),
)
def test_texts_sort_as_in_pandas(values: list[str | None], descending: bool, dtype: str) -> None:
    df = pd.DataFrame({"text": pd.Series(values, dtype=dtype)})
    rows, keys = np.arange(len(df)), [SortKey("text", descending)]
    assert RowSorter(df).order(rows, keys).tolist() == by_pandas(df, rows, keys)


@settings(max_examples=examples(60))
@given(
    values=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3), max_size=30),
    more=st.lists(st.none() | st.floats(allow_infinity=True, allow_nan=True), min_size=30, max_size=30),
    descending=st.tuples(st.booleans(), st.booleans()),
)
def test_numbers_of_any_size_sort_as_in_pandas(
    values: list[Any], more: list[Any], descending: tuple[bool, bool]
) -> None:
    floats = [float("nan") if number is None else number for number in more[: len(values)]]
    df = pd.DataFrame({"whole": pd.array(values, "Int64"), "float": np.array(floats, float)})
    rows = np.arange(len(df))
    for keys in ([SortKey("whole", descending[0])], [SortKey("float", descending[1]), SortKey("whole", descending[0])]):
        assert RowSorter(df).order(rows, keys).tolist() == by_pandas(df, rows, keys)


@settings(max_examples=examples(30))
@given(
    kept=st.sets(st.integers(0, len(HISTORY) - 1)), descending=st.booleans(), second=st.sampled_from(["date", "text"])
)
def test_some_rows_sort_the_same_after_all_were_sorted(kept: set[int], descending: bool, second: str) -> None:
    rows, keys = np.array(sorted(kept), np.int64), [SortKey("source", descending), SortKey(second)]
    sorter = RowSorter(HISTORY)
    alone = sorter.order(rows, keys).tolist()
    sorter.order(np.arange(len(HISTORY)), keys)
    assert sorter.order(rows, keys).tolist() == alone == by_pandas(HISTORY, rows, keys)
    assert sorter.order(rows, keys[:1]).tolist() == by_pandas(HISTORY, rows, keys[:1])


def test_values_that_do_not_compare_sort_by_their_texts() -> None:
    df = pd.DataFrame(
        {"mixed": pd.Series([5, "x", None, 10, "a"], dtype=object), "lists": [["b"], ["a"], None, [], ["b"]]}
    )
    assert RowSorter(df).order(np.arange(5), [SortKey("mixed")]).tolist() == [3, 0, 4, 1, 2]
    assert RowSorter(df).order(np.arange(5), [SortKey("lists", True)]).tolist() == [3, 0, 4, 1, 2]


def test_a_column_is_ranked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ranked: list[Any] = []
    monkeypatch.setattr(
        "histkit.notebook.sorting.rank_values", lambda column: ranked.append(column.name) or rank_values(column)
    )
    sorter = RowSorter(HISTORY)
    for descending in (False, True, False):
        sorter.order(np.arange(len(HISTORY)), [SortKey("text", descending), SortKey("date")])
    assert ranked == ["text", "date"]


def test_many_keys_of_many_values_fit() -> None:
    rng = np.random.default_rng(0)
    df = pd.DataFrame({name: rng.integers(-(2**40), 2**40, 3000) // 2 * 2 for name in "abcd"})
    df["a"] = rng.integers(0, 3, 3000) * 2**40
    df["b"] = rng.integers(0, 3, 3000) * 2**40
    keys = [SortKey("a", True), SortKey("b"), SortKey("c", True), SortKey("d")]
    rows = np.arange(len(df))
    assert RowSorter(df).order(rows, keys).tolist() == by_pandas(df, rows, keys)
