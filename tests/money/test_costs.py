"""Groups and the rest: a group keeps its own sums whatever it is called, in tables of usage and of costs."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import histkit as hk

pytestmark = [
    pytest.mark.filterwarnings("ignore:The frame has no column 'history_item_id'"),
    pytest.mark.filterwarnings("ignore:prices. 1 name matches none of the rows"),
]

PRICES = {"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]}
TWO_CURRENCIES = {
    "price": [
        {"currency": "EUR", "per_1000_credits": "0.30"},
        {"currency": "JPY", "per_1000_credits": "45", "account": "agency"},
    ]
}
NAMES = ["other", "(rest)", "((rest))", "Acme", "acme", "1", "", "None", "nan", None]


def history_of(clients: Any, credits: list[int] | None = None, accounts: list[str] | None = None) -> pd.DataFrame:
    """Return a history with a row for each client."""
    size = len(clients)
    frame = pd.DataFrame(
        {
            "date": pd.date_range("2026-10-01", periods=size, freq="h", tz="UTC").astype("datetime64[us, UTC]"),
            "characters": pd.array([100] * size, "Int64"),
            "credits": pd.array(credits or [100] * size, "Int64"),
            "client": clients,
        }
    )
    return frame if accounts is None else frame.assign(account=pd.Categorical(accounts))


def test_a_client_called_other_is_not_billed_with_the_rest() -> None:
    frame = history_of(["other"] * 300 + ["Acme"] * 150 + ["Zed"] * 150)
    for table in (hk.cost_table(frame, "client", prices=PRICES, top=1), hk.usage_table(frame, "client", top=1)):
        assert table[["client", "items"]].values.tolist() == [["other", 300], ["(rest)", 300]]
    assert hk.cost_table(frame, "client", prices=PRICES, top=1)["cost"].tolist() == [Decimal("9.00")] * 2


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 400)), min_size=1, max_size=25),
    st.integers(1, 6),
    st.sampled_from(["object", "string", "category"]),
    st.sampled_from([None, "D"]),
)
@example([("other", 5), ("(rest)", 4), ("other", 3), (None, 2), ("Acme", 1)], 2, "object", None)
@example([("Acme", 5), ("other", 1), ("Zed", 1)], 1, "string", "D")
def test_the_sums_of_a_group_are_its_own_and_the_rest_is_last(
    rows: list[tuple[str | None, int]], top: int, dtype: str, freq: str | None
) -> None:
    clients = pd.Series([name for name, _ in rows], dtype=object).astype(dtype)
    frame = history_of(clients, [credits for _, credits in rows])
    expected: dict[Any, int] = {}
    for name, credits in rows:
        expected[name] = expected.get(name, 0) + credits
    plain = hk.usage_table(frame, "client")["client"]
    kept = [None if pd.isna(name) else name for name in plain][:top]
    table = hk.cost_table(frame, "client", freq, prices=PRICES, top=top)
    sums: dict[Any, int] = {}
    for name, credits in zip(table["client"], table["credits"], strict=True):
        key = None if pd.isna(name) else name
        sums[key] = sums.get(key, 0) + credits
    folded = sum(credits for name, credits in expected.items() if name not in kept)
    rest = [name for name in sums if name not in kept]
    assert {name: sums[name] for name in kept} == {name: expected[name] for name in kept}
    assert len(rest) == (len(expected) > top)
    assert sum(sums[name] for name in rest) == folded
    if rest:
        assert rest[0] not in expected
        assert rest[0] == ("other" if "other" not in expected else rest[0])
        for _, part in table.groupby("period") if freq else [(None, table)]:
            assert not part["client"].iloc[:-1].isin(rest).any()
    total = Decimal(sum(expected.values())) * Decimal("0.0003")
    assert table["cost"].sum() == total.quantize(Decimal("0.01"), ROUND_HALF_EVEN)
    usage = hk.usage_table(frame, "client", freq, top=top)
    pd.testing.assert_frame_equal(table[usage.columns.tolist()], usage)


@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.integers(0, 400), st.sampled_from(["studio", "agency"])),
        min_size=1,
        max_size=20,
    ),
    st.integers(1, 4),
)
def test_the_rest_in_several_currencies_is_last_too(rows: list[tuple[str | None, int, str]], top: int) -> None:
    frame = history_of([name for name, _, _ in rows], [each for _, each, _ in rows], [each for _, _, each in rows])
    table = hk.cost_table(frame, "client", prices=TWO_CURRENCIES, top=top)
    usage = hk.usage_table(frame, "client", top=top)
    sums = table.groupby("client", dropna=False, sort=False)["credits"].sum()
    for name, credits in zip(usage["client"], usage["credits"], strict=True):
        assert credits == sums[sums.index.isna() if pd.isna(name) else sums.index == name].sum()
    if len({name for name, _, _ in rows}) > top:
        assert table["client"].iloc[-1] == usage["client"].iloc[-1]


@pytest.mark.parametrize(
    "values",
    [
        pd.array([1, 1, 2, None] * 5, "Int64"),
        np.array([1, 1, 2, 3] * 5),
        np.array([1.5, 1.5, 2.5, np.nan] * 5),
        pd.array([True, True, False, None] * 5, "boolean"),
        pd.Categorical([1, 1, 2, 3] * 5),
    ],
    ids=lambda values: str(values.dtype),
)
def test_a_column_that_holds_no_text_keeps_its_dtype_or_is_refused(values: Any) -> None:
    frame = history_of(values)
    table = hk.cost_table(frame, "client", prices=PRICES)
    assert table["client"].dtype == frame["client"].dtype
    pd.testing.assert_frame_equal(table[["client", "credits"]], hk.usage_table(frame, "client")[["client", "credits"]])
    for call in (hk.usage_table, lambda *args, **options: hk.cost_table(*args, prices=PRICES, **options)):
        with pytest.raises(hk.InputError, match="can't hold 'other'"):
            call(frame, "client", top=1)


def test_a_report_with_prices_keeps_a_group_called_other(tmp_path: Any) -> None:
    frame = hk.sample_history(300, seed=2)
    voices = frame["voice_name"].astype(str).where(frame["voice_id"] != frame["voice_id"].mode()[0], "other")
    frame = frame.assign(voice_name=pd.Categorical(voices))
    usage = hk.usage_table(frame, "voice", top=2)
    costs = hk.cost_table(frame, "voice", prices=PRICES, top=2)
    pd.testing.assert_frame_equal(costs[usage.columns.tolist()], usage)
    path = tmp_path / "report.md"
    hk.report(frame, path, prices=PRICES, top=2)
    assert "| (rest) |" in path.read_text("utf-8")


@pytest.mark.parametrize("by", ["cost", "currency", "priced", "items"])
def test_a_group_can_not_have_the_name_of_a_column_of_the_table(by: str) -> None:
    frame = hk.add_cost(hk.sample_history(50), PRICES)
    with pytest.raises(hk.InputError, match=f"by='{by}' is not possible"):
        hk.cost_table(frame, by, prices=PRICES)
