"""The rows that a mask keeps, or that positions name, are those of pandas, in all that a frame has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.frame.kept_rows import rows_at, rows_where
from tests.effort import examples

HISTORY = hk.sample_history(120)
PIECE = st.lists(st.none() | st.text(max_size=4), max_size=8)


def assert_kept(frame: pd.DataFrame, mask: np.ndarray[Any, Any]) -> None:
    ours, theirs = rows_where(frame, mask), frame[mask]
    pd.testing.assert_frame_equal(ours, theirs)
    assert type(ours) is type(theirs)
    assert (ours.attrs, ours.flags) == (theirs.attrs, theirs.flags)
    for place in range(frame.shape[1]):
        arrays = [pa.array(each.iloc[:, place].array) for each in (ours, theirs) if _is_of_arrow(each.iloc[:, place])]
        assert len({str(array.type) for array in arrays}) < 2


def _is_of_arrow(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.ArrowDtype) or getattr(column.dtype, "storage", "") == "pyarrow"


@settings(max_examples=examples(60))
@given(
    pieces=st.lists(PIECE, max_size=4),
    kept=st.randoms(use_true_random=False),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    storage=st.sampled_from(["string", "large_string", "arrow", "lists"]),
)
def test_texts_in_chunks_are_kept_as_pandas_keeps_them(
    pieces: list[list[str | None]], kept: Any, share: float, storage: str
) -> None:
    kind = {"string": pa.string(), "large_string": pa.large_string(), "lists": pa.list_(pa.string())}
    values = [[None if text is None else [text] for text in piece] if storage == "lists" else piece for piece in pieces]
    chunks = pa.chunked_array(values, kind.get(storage, pa.string()))
    if storage in ("arrow", "lists"):
        column = pd.Series(pd.arrays.ArrowExtensionArray(chunks))
    else:
        column = pd.Series(pd.StringDtype("pyarrow").__from_arrow__(chunks))
    size = len(column)
    frame = pd.DataFrame({"number": np.arange(size), "text": column, 3: column, "flag": np.arange(size) % 2 == 0})
    frame.index = pd.Index([*"abc"] * size)[:size]
    assert_kept(frame, np.array([kept.random() < share for _ in range(size)], bool))


@settings(max_examples=examples(20))
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1), parts=st.integers(1, 5))
def test_the_rows_of_a_history_are_kept_whole(seed: int, share: float, parts: int) -> None:
    pieces = [HISTORY.iloc[start::parts] for start in range(parts)]
    frame = pd.concat(pieces, ignore_index=True)
    frame.attrs["histkit"] = {"rows": len(frame)}
    assert_kept(frame, np.random.default_rng(seed).random(len(frame)) < share)


def test_a_frame_keeps_its_class_its_flags_and_columns_of_one_name() -> None:
    class Mine(pd.DataFrame):
        @property
        def _constructor(self) -> Any:
            return Mine

    column = pd.concat([HISTORY["text"].iloc[:3], HISTORY["text"].iloc[5:9]], ignore_index=True)
    frame = Mine(pd.concat([column, column.str.len(), column], axis=1))
    assert frame.columns.tolist() == ["text", "text", "text"]
    assert_kept(frame, np.array([True, False, True, True, False, False, True]))
    plain = pd.DataFrame({"text": column}).set_flags(allows_duplicate_labels=False)
    assert_kept(plain, np.array([True, False, True, True, False, False, True]))


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_change_of_the_kept_rows_leaves_the_frame_as_it_was(share: float) -> None:
    frame = pd.concat([HISTORY, HISTORY], ignore_index=True)
    before = frame.copy(deep=True)
    kept = rows_where(frame, np.random.default_rng(0).random(len(frame)) < share)
    kept.loc[:, "text"] = "changed"
    kept["credits"] = 0
    pd.testing.assert_frame_equal(frame, before)


@settings(max_examples=examples(40))
@given(pieces=st.lists(PIECE, min_size=1, max_size=4), data=st.data())
def test_rows_at_positions_are_those_of_pandas(pieces: list[list[str | None]], data: st.DataObject) -> None:
    column = pd.Series(pd.StringDtype("pyarrow").__from_arrow__(pa.chunked_array(pieces, pa.large_string())))
    frame = pd.DataFrame({"text": column, "number": np.arange(len(column))}, index=np.arange(len(column)) // 2)
    places = st.lists(st.integers(0, len(column) - 1), max_size=12) if len(column) else st.just([])
    rows = np.array(data.draw(places), np.int64)
    pd.testing.assert_frame_equal(rows_at(frame, rows), frame.iloc[rows])
