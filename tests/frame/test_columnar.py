"""Columnar answers: typed by what they state and by what they hold, found by unit and type, never by place."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import histkit as hk
from histkit.frame.columnar import decode_columns

ROUTE = "/v1/example"
START = 1_790_812_800  # 2026-10-01
OCTOBER = [pd.Timestamp("2026-10-01", tz="UTC"), pd.Timestamp("2026-10-02", tz="UTC")]


def answer_of(*columns: tuple[Any, Any, Any, list[Any]]) -> dict[str, Any]:
    """Return an answer from columns of name, type, unit and values."""
    names, types, units, values = (list(part) for part in zip(*columns, strict=True))
    return {
        "columns": names,
        "column_types": types,
        "column_units": units,
        "rows": [list(row) for row in zip(*values, strict=True)],
    }


@pytest.mark.parametrize(
    ("kind", "unit", "values", "dtype", "expected"),
    [
        ("String", None, ["a", None], "string", ["a", None]),
        ("String", None, [1, True], "string", ["1", "true"]),
        ("Float", "credits", [24.5, None], "Float64", [24.5, None]),
        ("Float", "usd", ["0.125", 1], "Float64", [0.125, 1.0]),
        ("Float", None, [float("nan"), 2], "Float64", [None, 2.0]),
        ("Int", None, [1, None], "Int64", [1, None]),
        ("Int", None, [1.0, 2], "Int64", [1, 2]),
        ("Int", "credits", [1.5, 2], "Float64", [1.5, 2.0]),
        ("Int", None, [2**70, 2], "Float64", [float(2**70), 2.0]),
        ("Int", "ms", [312, 48], "Int64", [312, 48]),  # a latency
        ("Float", "s", [0.3, None], "Float64", [0.3, None]),
        ("Bool", None, [True, None], "boolean", [True, None]),
        ("Bool", None, [True, "yes"], "string", ["true", "yes"]),
        ("JSON", None, [{"a": [1]}, None], "string", ['{"a":[1]}', None]),
        ("Map", None, ['{"a": 1}', None], "string", ['{"a": 1}', None]),
        ("Array", None, [["x"], []], "string", ['["x"]', "[]"]),
        ("Quaternion", None, ["1", "2"], "string", ["1", "2"]),
        ("Quaternion", None, [1, None], "Int64", [1, None]),
        (None, None, [False, True], "boolean", [False, True]),
        (None, None, [[1], "x"], "string", ["[1]", "x"]),
        ("Float", "credits", [None, None], "Float64", [None, None]),
        ("New", None, [None, None], "string", [None, None]),
        ("DateTime", None, ["yesterday", None], "string", ["yesterday", None]),
        (7, 8, [1, 2], "Int64", [1, 2]),
        ("String", None, ["\ud800", "b"], "string", ["\\ud800", "b"]),
    ],
)
def test_a_column_has_the_dtype_of_its_type_or_else_of_its_values(
    kind: Any, unit: Any, values: list[Any], dtype: str, expected: list[Any]
) -> None:
    column = decode_columns(answer_of(("c", kind, unit, values)), ROUTE).frame["c"]
    assert str(column.dtype) == dtype
    assert [None if pd.isna(value) else value for value in column.tolist()] == expected


@pytest.mark.parametrize(
    ("kind", "unit", "values"),
    [
        ("DateTime", "ms", [START * 1000, START * 1000 + 86_400_000]),
        ("DateTime", "ms", [START, START + 86_400]),  # seconds under the name of milliseconds
        ("DateTime", None, [START, START + 86_400]),
        ("DateTime", None, [START * 1_000_000, (START + 86_400) * 1_000_000]),
        ("DateTime", None, ["2026-10-01T00:00:00Z", "2026-10-02T02:00:00+02:00"]),
        ("DateTime", None, ["2026-10-01", "2026-10-02 00:00:00.000"]),
        ("DateTime", None, [str(START), str(START + 86_400)]),
        ("DateTime64", None, ["2026-10-01T00:00:00Z", "2026-10-02T00:00:00Z"]),
        ("Int", "ms", [START * 1000, START * 1000 + 86_400_000]),
        ("Int", "s", [START, START + 86_400]),
        ("Int", "ms", [START, START + 86_400]),
        ("Float", "us", [START * 1e6, (START + 86_400) * 1e6]),
        (None, "MS", [START * 1000, START * 1000 + 86_400_000]),
    ],
)
def test_times_are_read_in_any_unit_and_never_lie_in_1970(kind: Any, unit: Any, values: list[Any]) -> None:
    answer = decode_columns(answer_of(("n", "Int", None, [1, 2]), ("when", kind, unit, values)), ROUTE)
    assert answer.time_column() == "when"
    assert answer.frame["when"].tolist() == OCTOBER
    assert str(answer.frame["when"].dtype) == "datetime64[us, UTC]"


def test_missing_times_stay_missing_and_a_time_without_offset_is_said() -> None:
    values = ["2026-10-01T00:00:00", None, "1970-01-01 00:00:00"]
    answer = decode_columns(answer_of(("a", "DateTime", None, values), ("b", "DateTime", "ms", [0, None, 0])), ROUTE)
    assert answer.frame.isna().to_numpy().tolist() == [[False, True], [True, True], [True, True]]
    assert answer.without_offset == {"a"}
    assert answer.time_column("a") == "a"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"columns": ["a"], "rows": [[1], [1, 2]]}, "row 1 has 2 values for 1 columns"),
        ({"columns": ["a", "b"], "rows": [[1]]}, "row 0 has 1 values for 2 columns"),
        ({"columns": ["a"], "rows": ["x"]}, "row 0 is 'x'"),
        ({"columns": None, "rows": []}, "columns is None"),
        ({"columns": ["a"]}, "rows is None"),
        ({"columns": ["a"], "column_types": ["Int", "Int"], "rows": []}, "column_types has 2 entries for 1 columns"),
        ({"columns": ["a"], "column_units": "ms", "rows": []}, "column_units is 'ms'"),
        ([1], "no object"),
    ],
)
def test_a_form_that_says_nothing_is_refused_by_route(answer: Any, message: str) -> None:
    with pytest.raises(hk.SchemaError, match=message) as caught:
        decode_columns(answer, ROUTE)
    assert ROUTE in str(caught.value)


def test_columns_without_a_name_of_their_own_are_told_apart() -> None:
    columns = [(name, None, None, [place]) for place, name in enumerate(["a", "a", None, "", "a_2", 5, "a"])]
    frame = decode_columns(answer_of(*columns), ROUTE).frame
    assert frame.columns.tolist() == ["a", "a_3", "column_3", "column_4", "a_2", "column_6", "a_4"]
    assert frame.iloc[0].tolist() == list(range(7))


def test_of_two_columns_of_a_unit_none_is_taken_unless_a_name_decides() -> None:
    two = decode_columns(
        answer_of(("total", "Float", "credits", [1.0]), ("net", "Float", "Credits", [2.0]), ("x", "Int", "usd", [1])),
        ROUTE,
    )
    with pytest.raises(hk.SchemaError, match=r"2 columns in credits.*'total' \(Float, credits\)"):
        two.unit_column("credits")
    assert two.unit_column("credits", names=("gone", "net")) == "net"
    assert two.unit_column("eur", "usd") == "x"
    with pytest.raises(hk.SchemaError, match="no column in pln"):
        two.unit_column("pln")
    with pytest.raises(hk.SchemaError, match="no column of times"):
        two.time_column()
    text = decode_columns(answer_of(("c", "Float", "credits", ["many"])), ROUTE)
    with pytest.raises(hk.SchemaError, match="does not hold numbers"):
        text.unit_column("credits")


def test_a_value_nested_too_deep_is_named_and_takes_nothing_with_it() -> None:
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    answer = decode_columns(answer_of(("a", "JSON", None, [deep, {"b": 1}])), ROUTE)
    assert answer.frame["a"].tolist() == ["(nested deeper than 100 levels)", '{"b":1}']


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
WORDS = st.none() | st.sampled_from(
    ["String", "Float", "DateTime", "Int", "Bool", "JSON", "Map", "Array", "ms", "s", "credits", "usd", "x"]
)


@given(st.lists(st.tuples(st.none() | st.text(max_size=3), WORDS, WORDS), max_size=5), st.data())
def test_any_answer_of_the_form_is_read_and_loses_no_value(columns: list[Any], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.tuples(*[JSON for _ in columns]).map(list), max_size=4))
    names, types, units = ([column[place] for column in columns] for place in range(3))
    answer = decode_columns({"columns": names, "column_types": types, "column_units": units, "rows": rows}, ROUTE)
    assert answer.frame.shape == (len(rows), len(columns))
    assert answer.frame.columns.is_unique
    for place, name in enumerate(answer.frame.columns):
        for row, missing in zip(rows, answer.frame[name].isna(), strict=True):
            value = row[place]
            none = value is None or value != value
            zero = types[place] == "DateTime" and value == 0
            assert missing == none or (missing and zero)


@given(st.permutations(range(4)), st.lists(st.floats(0, 1e9) | st.none(), min_size=1, max_size=8))
def test_the_order_of_the_columns_does_not_matter(order: list[int], credits: list[float | None]) -> None:
    days = [(START + 86_400 * day) * 1000 for day in range(len(credits))]
    columns: list[tuple[Any, Any, Any, list[Any]]] = [
        ("a", "DateTime", "ms", days),
        ("b", "Float", "credits", credits),
        ("c", "String", None, ["x"] * len(credits)),
        ("d", "Float", "usd", [0.0] * len(credits)),
    ]
    answer = decode_columns(answer_of(*(columns[place] for place in order)), ROUTE)
    assert answer.unit_column("credits") == "b"
    assert answer.time_column() == "a"
    assert [None if pd.isna(value) else value for value in answer.frame["b"]] == credits
    assert answer.frame["a"].tolist() == [datetime.fromtimestamp(day / 1000, UTC) for day in days]


def test_a_large_answer_is_read_in_no_time() -> None:
    rows = [[(START + k) * 1000, f"key{random.Random(k).random()}", k / 2] for k in range(20_000)]
    body = json.loads(
        json.dumps({"columns": ["t", "k", "v"], "column_types": ["Int", "String", "Float"], "rows": rows})
    )
    body["column_units"] = ["ms", None, "credits"]
    assert len(decode_columns(body, ROUTE).frame) == 20_000


MOMENTS = [0, START, START * 1000, START * 1_000_000]
whole = st.integers(-(2**64), 2**64) | st.sampled_from([*MOMENTS, 2**63 - 1, -(2**63)])
fractions = st.floats() | st.sampled_from([*(moment + 0.25 for moment in MOMENTS), 0.0, 2.0**63, -(2.0**63)])


def instants(numbers: list[Any], unit: str | None) -> list[Any] | None:
    """Return the microseconds of numbers in the first unit that suits all of them, None for 0."""
    scales = {"s": 1_000_000, "ms": 1000, "us": 1}
    for scale in [scales[unit], *scales.values()] if unit in scales else scales.values():
        if all(number == 0 or 946_684_800 <= number * scale / 1e6 < 4_102_444_800 for number in numbers):
            return [None if number == 0 else round(number * scale) for number in numbers]
    return None


@given(
    kind=st.sampled_from(["Float", "Int", "DateTime"]),
    unit=st.sampled_from(["s", "ms", "credits", None]),
    values=st.lists(st.none() | whole) | st.lists(st.none() | fractions) | st.lists(st.sampled_from(MOMENTS)),
)
def test_numbers_are_instants_or_whole_or_floats_or_texts(kind: str, unit: str | None, values: list[Any]) -> None:
    known = [value for value in values if value is not None and value == value]
    times = instants(known, unit)
    if kind != "DateTime" and (unit not in ("s", "ms") or not known or 0 in known):
        times = None
    finite = all(math.isfinite(number) for number in known)
    is_whole = finite and all(number == int(number) and -(2**63) <= number < 2**63 for number in known)
    if times is not None:
        dtype, expected = "datetime64[us, UTC]", times
    elif is_whole and (kind == "Int" or (kind == "DateTime" and known)):
        dtype, expected = "Int64", [int(number) for number in known]
    elif finite:
        dtype, expected = "Float64", [float(number) for number in known]
    else:
        dtype, expected = "string", ['"inf"' if number > 0 else '"-inf"' for number in known if math.isinf(number)]
    column = decode_columns(answer_of(("c", kind, unit, values)), ROUTE).frame["c"]
    assert str(column.dtype) == dtype
    assert column[[value is None or value != value for value in values]].isna().all()
    found: list[Any] = column[[value is not None and value == value for value in values]].tolist()
    if dtype == "string":
        assert [text for text in found if "inf" in text] == expected
    elif times is not None:
        assert [None if pd.isna(moment) else moment.value // 1000 for moment in found] == expected
    else:
        assert found == expected


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=[])) | st.sampled_from(["", "\ud800", "ü😀"])))
def test_texts_are_kept_and_halves_of_surrogate_pairs_escaped(values: list[str | None]) -> None:
    column = decode_columns(answer_of(("c", "String", None, values)), ROUTE).frame["c"]
    escaped = [None if value is None else value.encode("utf-8", "backslashreplace").decode() for value in values]
    assert [None if pd.isna(value) else value for value in column] == escaped
