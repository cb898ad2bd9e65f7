"""Bad input: every public function of usage, money and retakes refuses it with an error of histkit, on one line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import histkit as hk
from tests.effort import QUICK, examples

pytestmark = pytest.mark.filterwarnings("ignore:The frame has no column 'history_item_id'")

FRAME = hk.sample_history(30)
PRICES = {"currency": "EUR", "price": [{"per_1000_credits": "0.3"}]}
SUBSCRIPTION = {"character_count": 33459, "character_limit": 100_000, "next_character_count_reset_unix": 1794648600}
OFFICIAL = pd.DataFrame(
    {"period": pd.to_datetime(["2026-10-01"], utc=True), "credits": pd.array([1.0], dtype="Float64")}
)
CALLS: dict[str, dict[str, Any]] = {
    "usage_table": {"frame": FRAME},
    "speakers": {"frame": FRAME},
    "label": {"frame": FRAME, "rules": [{"label": "A", "voice": "Rachel"}]},
    "cost_table": {"frame": FRAME, "prices": PRICES},
    "add_cost": {"frame": FRAME, "prices": PRICES},
    "read_prices": {"source": PRICES},
    "forecast": {"frame": FRAME, "subscription": SUBSCRIPTION},
    "ledger": {"frame": FRAME},
    "reconcile": {"frame": FRAME, "official": OFFICIAL},
    "official_usage": {"after": "2026-10-01", "before": "2026-10-02", "client": "no client"},
    "takes": {"frame": FRAME},
    "keepers": {"frame": FRAME},
    "waste": {"frame": FRAME},
}
COMPOSED = ("waste", "keepers", "cost_table", "reconcile")  # call the others, for which every kind is tried
OF_A_FRAME = [name for name, arguments in CALLS.items() if "frame" in arguments]
FOR_PERIODS = {"billing": "billing", "fill": "MS", "compare": "MS", "week_start": "W"}  # arguments that need a freq
VALUES: list[Any] = [
    5,
    -1,
    0,
    1.5,
    float("nan"),
    float("inf"),
    True,
    "x",
    "",
    "a\nb",
    "\ud800",
    b"x",
    [],
    ["voice"],
    [["a"]],
    [None],
    {},
    {"a": 1},
    {1, 2},
    object(),
    len,
    pd.Series(["a", "b"]),
    pd.Series([1, 2]),
    FRAME,
    np.array([1, 2]),
    np.array([["a"]]),
    np.int64(3),
    10**30,
    pd.NaT,
    pd.NA,
    np.datetime64("NaT"),
    date(2026, 1, 1),
    "9999-12-31",
    "0001-01-01",
    pd.Period("2026-10", "M"),
]


def refuses_or_works(function: Callable[..., Any], **arguments: Any) -> str | None:
    """Call a function; return the message of its refusal, which is one line, or None."""
    try:
        function(**arguments)
    except hk.HistkitError as error:
        message = str(error)
        assert message
        assert "\n" not in message
        return message
    return None


PARAMETERS = [(name, each) for name in CALLS for each in inspect.signature(getattr(hk, name)).parameters]


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_an_argument_of_any_type_is_taken_or_refused_on_one_line(name: str, parameter: str) -> None:
    more = {"freq": FOR_PERIODS[parameter]} if parameter in FOR_PERIODS and name != "official_usage" else {}
    for value in VALUES:
        refuses_or_works(getattr(hk, name), **{**CALLS[name], **more, parameter: value})


def columns_of(column: str) -> dict[str, Any]:
    """Return what a column may hold after odd concats, reads and casts."""
    values = {
        "object": FRAME[column].astype(object),
        "text": ["x"] * 30,
        "list": pd.Series([[1]] * 30, dtype=object),
        "dict": pd.Series([{}] * 30, dtype=object),
        "mixed": pd.Series([1, "a", None] * 10, dtype=object),
        "bytes": pd.Series([b"x"] * 30, dtype=object),
        "too large": pd.Series([2**70] * 30, dtype=object),
        "unsigned": np.full(30, 2**63 + 5, np.uint64),
        "float": [1.5] * 30,
        "bool": True,
        "integer": [3] * 30,
        "missing": pd.Series([None] * 30, dtype=object),
        "category": pd.Categorical(["x"] * 30),
        "naive": pd.Timestamp("2026-10-01"),
    }
    return {kind: FRAME.assign(**{column: value}) for kind, value in values.items()}


SOME_KINDS = {"object", "text", "list", "mixed", "too large"}


@pytest.mark.parametrize("name", OF_A_FRAME)
@pytest.mark.filterwarnings("ignore:rules:histkit.frame.names.UnmatchedNameWarning")  # of a voice in no row
def test_a_frame_with_odd_columns_is_taken_or_refused(name: str) -> None:
    used = [
        column
        for column in FRAME.columns
        if refuses_or_works(getattr(hk, name), **{**CALLS[name], "frame": FRAME.drop(columns=column)}) is not None
    ]
    assert used or name == "label"
    every_kind = name not in COMPOSED or examples(QUICK) > QUICK
    for column in dict.fromkeys([*used, "voice_id", "voice_name", "character_count_change_from"]):
        for kind, frame in columns_of(column).items():
            if every_kind or kind in SOME_KINDS:
                refuses_or_works(getattr(hk, name), **{**CALLS[name], "frame": frame})


@pytest.mark.parametrize("name", OF_A_FRAME)
def test_what_is_no_frame_or_has_two_columns_of_one_name_is_refused(name: str) -> None:
    function, arguments = getattr(hk, name), CALLS[name]
    twice = pd.concat([FRAME, FRAME[["credits"]]], axis=1)
    for frame in (FRAME["credits"], FRAME.to_dict("list"), [1], None, 5, "x", FRAME.to_numpy()):
        with pytest.raises(hk.InputError, match=type(frame).__name__):
            function(**{**arguments, "frame": frame})
    with pytest.raises(hk.SchemaError, match="several columns named 'credits'"):
        function(**{**arguments, "frame": twice})
    unnamed = FRAME.set_axis(range(len(FRAME.columns)), axis=1)
    levels = FRAME.set_axis(pd.MultiIndex.from_product([["a"], FRAME.columns]), axis=1)
    for frame in (unnamed, levels, FRAME.iloc[:, :0], pd.DataFrame()):
        with pytest.raises(hk.SchemaError, match="no column"):
            function(**{**arguments, "frame": frame})


@pytest.mark.parametrize("name", OF_A_FRAME)
def test_an_index_of_equal_labels_and_no_rows_are_fine(name: str) -> None:
    function, arguments = getattr(hk, name), CALLS[name]
    function(**{**arguments, "frame": FRAME.set_axis([1] * 30)})
    empty = {**arguments, "frame": FRAME.iloc[:0]}
    refusal = refuses_or_works(function, **empty)
    assert refusal is None or "no dates" in refusal


@pytest.mark.parametrize("function", [hk.cost_table, hk.waste, hk.usage_table])
@pytest.mark.parametrize("by", [5, 1.5, ["voice", 5], [["voice"]], {"voice": [1]}, [{}], b"voice", pd.NA])
def test_a_group_that_is_no_column_is_refused(function: Callable[..., Any], by: Any) -> None:
    arguments = {"prices": PRICES} if function is hk.cost_table else {}
    if isinstance(by, dict):
        assert len(function(FRAME, by, **arguments))  # its keys
        return
    with pytest.raises(hk.HistkitError, match=r"no column|by=.* is not possible|by= has a missing value"):
        function(FRAME, by, **arguments)


@pytest.mark.parametrize("dtype", ["object", "arrow"])
def test_a_column_of_lists_can_not_be_grouped_by(dtype: str) -> None:
    lists = pd.Series([[1]] * len(FRAME), index=FRAME.index, dtype="object")
    frame = FRAME.assign(tags=lists if dtype == "object" else lists.astype(pd.ArrowDtype(pa.list_(pa.int64()))))
    with pytest.raises(hk.InputError, match=r"^by=.tags. is not possible: rows can.t be grouped by (object|list)"):
        hk.usage_table(frame, "tags")
    with pytest.raises(hk.SchemaError, match=r"^Column 'tags' \(.*\) holds something other than texts or numbers"):
        hk.statement(frame, "Acme", "2026-10", column="tags")


def test_a_missing_column_of_credits_is_named() -> None:
    with pytest.raises(hk.SchemaError, match="'credits', which a cost table needs"):
        hk.cost_table(FRAME.drop(columns="credits"), prices=PRICES)
    with pytest.raises(hk.SchemaError, match="'credits'"):
        hk.add_cost(FRAME.drop(columns="credits"), prices=PRICES)
