"""What if: estimates hold what a simulated service would have charged, the identity is what was measured."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.money.model_costs import BASES, estimate_credits, read_multipliers
from histkit.money.plans import read_plans
from tests.effort import examples

PRICED = {"eleven_multilingual_v2": 1, "eleven_v3": 1, "eleven_flash_v2_5": Fraction(1, 2), "eleven_turbo_v2": 0.5}
BOOK = {
    "currency": "EUR",
    "price": [{"per_1000_credits": "0.30"}, {"per_1000_credits": "0.50", "model": "eleven_flash_v2_5"}],
}


def charge(characters: int, model: str, voice: Fraction) -> int:
    """Charge a text as the service is known to: half-even rounding, a floor of one character."""
    exact = Decimal(max(1, characters)) * Decimal(str(float(PRICED[model]))) * Decimal(voice.numerator)
    return int((exact / Decimal(voice.denominator)).quantize(Decimal(1), ROUND_HALF_EVEN))


def history_of(rows: list[tuple[str, str, int]], voices: dict[str, Fraction], free: tuple[int, ...] = ()) -> Any:
    frame = hk.sample_history(len(rows)).drop(columns=["text"])
    frame["dialogue"] = pd.array([None] * len(rows), "string[pyarrow]")
    frame["source"] = "TTS"
    frame["voice_id"] = pd.Categorical([voice for voice, _, _ in rows])
    frame["voice_name"] = frame["voice_id"]
    frame["model_id"] = pd.Categorical([model for _, model, _ in rows])
    frame["characters"] = pd.array([size for _, _, size in rows], "Int64")
    costs = [
        0 if place in free else charge(size, model, voices[voice]) for place, (voice, model, size) in enumerate(rows)
    ]
    frame["credits"] = pd.array(costs, "Int64")
    return frame


row = st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(sorted(PRICED)), st.integers(1, 5000))


@settings(max_examples=examples(150))
@given(st.lists(row, min_size=1, max_size=30), st.sampled_from(sorted(PRICED)), st.sampled_from(["1", "5/4", "3"]))
def test_an_estimate_holds_what_the_service_would_have_charged(
    rows: list[tuple[str, str, int]], target: str, factor: str
) -> None:
    voices = {"a": Fraction(1), "b": Fraction(factor), "c": Fraction(2)}
    frame = history_of(rows, voices)
    found = estimate_credits(frame, target, read_multipliers(None))
    for place, (voice, model, size) in enumerate(rows):
        truth = charge(size, target, voices[voice])
        assert found.low[place] <= truth <= found.high[place]
        if model == target:
            assert found.low[place] == found.high[place] == truth
            assert BASES[found.basis[place]] == "measured"
        elif voice == "a":
            assert found.high[place] - found.low[place] <= 1
        assert BASES[found.basis[place]] in ("measured", "documented")


def test_what_is_free_stays_free_and_what_is_not_known_is_missing() -> None:
    rows = [("a", "eleven_v3", 100)] * 3 + [("a", "eleven_flash_v2_5", 1)] + [("a", "eleven_flash_v2_5", 100)] * 2
    frame = history_of(rows, {"a": Fraction(1)}, free=(1,))
    frame.loc[2, "credits"] = pd.NA
    frame["model_id"] = frame["model_id"].astype("string")
    table = hk.reprice(frame, "eleven_multilingual_v2", freq=None)
    assert frame["credits"].tolist()[:2] == [100, 0]
    assert frame["credits"][3] == 0  # one character on half a price
    line = table.iloc[0]
    assert (line["credits"], line["compared"], line["without_estimate"]) == (200, 200, 1)
    assert (line["credits_low"], line["credits_high"]) == (100 + 1 + 200, 100 + 1 + 200)
    assert line["basis"] == "documented, unknown"
    frame["model_id"] = "eleven_v9"
    with pytest.raises(hk.InputError, match=r"model='eleven_v99' is not known; did you mean 'eleven_v9'"):
        hk.reprice(frame, "eleven_v99")
    frame.loc[0, "model_id"] = "eleven_v10"
    frame["voice_id"] = frame["voice_name"] = pd.Categorical(list("bacdef"))
    unknown = hk.reprice(frame, "eleven_v10", freq=None).iloc[0]  # nobody knows what it costs the other voices
    assert (unknown["compared"], unknown["without_estimate"]) == (100, 4)
    known = hk.reprice(frame, "eleven_v10", freq=None, multipliers={"eleven_v10": "1"}).iloc[0]
    assert known["without_estimate"] == 1


@pytest.mark.parametrize("model", [None, "eleven_v3"])
@pytest.mark.parametrize(("by", "freq"), [(None, "MS"), ("voice", None), (["model", "source"], "QS"), (None, None)])
def test_the_identity_is_what_was_measured(model: str | None, by: Any, freq: str | None) -> None:
    df = hk.sample_history(800, seed=3)
    if model is not None:
        df = df[df["model_id"] == model]
    table = hk.reprice(df, model, by, freq, prices=BOOK)
    usage = hk.usage_table(df, by, freq)
    costs = hk.cost_table(df, by, freq, prices=BOOK)
    pd.testing.assert_frame_equal(table[usage.columns.tolist()], usage, check_categorical=False)
    known = df["credits"].notna()
    assert table["compared"].sum() == table["credits_low"].sum() == table["credits_high"].sum() == df["credits"].sum()
    assert table["without_estimate"].sum() == int((~known).sum())
    for name in ("cost", "cost_low", "cost_high"):
        assert table[name].tolist() == costs["cost"].tolist()
    facts = table.attrs["histkit"]
    assert not facts["estimate"]
    assert facts["totals"]["cost"] == costs.attrs["histkit"]["totals"]["EUR"]["cost"]


def test_sums_are_those_of_the_rows_with_dialogues_and_prices_of_the_other_model() -> None:
    df = hk.sample_history(1200, seed=5)
    df.loc[::40, "credits"] = pd.NA
    df.loc[5::97, "date"] = pd.NaT
    found = estimate_credits(df, "eleven_flash_v2_5", read_multipliers(None))
    known = np.array([BASES[basis] != "unknown" for basis in found.basis])
    kept = np.array([BASES[basis] == "unchanged" for basis in found.basis])
    dated = df["date"].notna().to_numpy()
    for by, freq in ((None, None), ("voice", "MS"), (["speaker", "model"], "W")):
        table = hk.reprice(df, "eleven_flash_v2_5", by, freq, prices=BOOK)
        assert table["credits"].sum() == df["credits"].sum()
        assert table["compared"].sum() == df["credits"][known].sum()
        assert table["credits_low"].sum() == found.low[known].sum()
        assert table["credits_high"].sum() == found.high[known].sum()
        assert table["without_estimate"].sum() == (~known).sum()
        facts = table.attrs["histkit"]
        assert sum(each["rows"] for each in facts["bases"].values()) == len(df)
        assert facts["unpriced_credits"] == df["credits"][known & ~dated].sum()
        rates = np.where(kept, 3, 5)
        for name, credits in (("cost_low", found.low), ("cost_high", found.high)):
            exact = Decimal(int((credits * rates)[known & dated].sum())) / 10_000
            assert table[name].sum() == exact.quantize(Decimal("0.01"), ROUND_HALF_EVEN)
        now = hk.add_cost(df[known & dated], BOOK)["cost"].sum()
        assert table["cost"].sum() == now.quantize(Decimal("0.01"), ROUND_HALF_EVEN)


def test_another_book_beside_the_one_of_now() -> None:
    df = hk.sample_history(300)
    cheap = {"currency": "EUR", "price": [{"per_1000_credits": "0.1"}]}
    table = hk.reprice(df, prices=cheap, current_prices=BOOK)
    assert table["cost"].tolist() == hk.cost_table(df, None, "MS", prices=BOOK)["cost"].tolist()
    assert table["cost_low"].tolist() == hk.cost_table(df, None, "MS", prices=cheap)["cost"].tolist()
    with pytest.raises(hk.InputError, match="in EUR and USD"):
        hk.reprice(df, prices={"currency": "USD", "price": [{"per_1000_credits": 1}]}, current_prices=BOOK)


@pytest.mark.filterwarnings("ignore:prices. 1 name matches none")
def test_a_book_in_two_currencies_compares_the_rows_of_one_client() -> None:
    df = hk.sample_history(200)
    df = df.assign(client=["Acme", "Globex"] * 100)
    book = {
        "price": [
            {"client": "Acme", "currency": "EUR", "per_1000_credits": "0.3"},
            {"client": "Globex", "currency": "JPY", "per_1000_credits": "40"},
        ]
    }
    with pytest.raises(hk.InputError, match=r"EUR and JPY.* rows of one client or account"):
        hk.reprice(df, prices=book)
    for client, currency in (("Acme", "EUR"), ("Globex", "JPY")):
        part = df[df["client"] == client]
        table = hk.reprice(part, prices=book)
        costs = hk.cost_table(part, None, "MS", prices=book)
        assert table.attrs["histkit"]["totals"]["currency"] == currency
        assert table["cost"].tolist() == costs["cost"].tolist()
    assert hk.reprice(df[:0], prices=book)["cost"].isna().all()


PLANS = {
    "currency": "EUR",
    "plan": [
        {"name": "Small", "monthly_fee": "22.00", "included_credits": 5000, "per_1000_extra_credits": "0.3"},
        {"name": "Big", "monthly_fee": 99, "included_credits": 50_000},
        {"name": "Yen", "currency": "JPY", "monthly_fee": 1000, "included_credits": 0, "per_1000_extra_credits": 45},
    ],
}


@pytest.mark.parametrize("source", ["STS", "sts"])
def test_the_voice_changer_keeps_its_model_and_its_price(source: str) -> None:
    df = hk.sample_history(100).assign(source=source)
    book = {**BOOK, "price": [BOOK["price"][0], {"per_1000_credits": 10, "model": "eleven_flash_v2_5"}]}
    table = hk.reprice(df, "eleven_flash_v2_5", freq=None, prices=book, current_prices=BOOK)
    assert table["basis"].tolist() == ["measured, unchanged"]
    other = df["model_id"] != "eleven_flash_v2_5"
    expected = hk.cost_table(df[other], None, prices=BOOK)["cost"][0]
    same = hk.cost_table(df[~other], None, prices=book)["cost"][0]
    assert table["cost_low"].tolist() == table["cost_high"].tolist() == [expected + same]


def test_a_month_costs_its_fee_and_what_is_beyond(tmp_path: Path) -> None:
    df = hk.sample_history(600, seed=1)
    df = df[df["date"].dt.month != 9]  # a month without rows costs its fee, too
    path = tmp_path / "plans.toml"
    path.write_text(
        'currency = "EUR"\n[[plan]]\nname = "Small"\nmonthly_fee = "22.00"\nincluded_credits = 5000\n'
        'per_1000_extra_credits = 0.3\n[[plan]]\nname = "Big"\nmonthly_fee = 99\nincluded_credits = 50_000\n'
        '[[plan]]\nname = "Yen"\ncurrency = "JPY"\nmonthly_fee = 1000\nincluded_credits = 0\n'
        "per_1000_extra_credits = 45\n"
    )
    assert read_plans(path) == read_plans(PLANS)
    table = hk.reprice(df, plan=path)
    usage = hk.usage_table(df, None, "MS", fill=True)
    assert len(table) == 3 * len(usage)
    for name, fee, included, extra, unit in (
        ("Small", "22", 5000, "0.3", "0.01"),
        ("Big", "99", 50_000, None, "0.01"),
        ("Yen", "1000", 0, "45", "1"),
    ):
        lines = table[table["plan"] == name]
        assert lines["credits"].tolist() == usage["credits"].tolist()
        total = Decimal(0)
        for cost, beyond, credits in lines[["plan_cost_high", "extra_high", "credits"]].itertuples(index=False):
            over = max(0, int(credits) - included)
            assert beyond == over
            if over and extra is None:
                assert pd.isna(cost)
                continue
            assert cost == (Decimal(fee) + over * Decimal(extra or 0) / 1000).quantize(Decimal(unit), ROUND_HALF_EVEN)
            total += cost
        if not lines["plan_cost_high"].isna().any():
            assert Decimal(table.attrs["histkit"]["totals"]["plans"][name]["high"]) == total


def test_a_plan_is_of_an_account_and_of_dated_rows() -> None:
    df = hk.sample_history(200).assign(account=["a", "b"] * 100)
    for several in (df, df.assign(account=["a", None] * 100)):
        with pytest.raises(hk.InputError, match="several accounts"):
            hk.reprice(several, plan=PLANS)
    table = hk.reprice(df, plan=PLANS, by="account")
    assert set(table["account"]) == {"a", "b"}
    df = df[df["account"] == "a"].copy()
    df.iloc[0, df.columns.get_loc("date")] = pd.NaT
    table = hk.reprice(df, plan=PLANS)
    assert table[table["period"].isna()]["plan_cost_low"].isna().all()
    assert table[table["period"].isna()]["extra_high"].isna().all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": ""}, "must be the id of a model"),
        ({"model": 3}, "must be the id of a model"),
        ({"model": "eleven_flsh_v2_5"}, "did you mean 'eleven_flash_v2_5'"),
        ({"plan": PLANS, "prices": BOOK}, "exclude each other"),
        ({"current_prices": BOOK}, "needs prices="),
        ({"plan": PLANS, "freq": "D"}, "a fee for each month"),
        ({"plan": PLANS, "by": "voice"}, "a plan is of an account"),
        ({"plan": {"monthly_fee": 1, "currency": "EUR"}}, "included_credits is missing"),
        ({"plan": {"monthly_fee": "1e3", "currency": "EUR", "included_credits": 1}}, "not an amount"),
        ({"plan": {"monthly_fee": 1, "currency": "EUX", "included_credits": 1}}, "no currency of ISO 4217"),
        (
            {"plan": [{"monthly_fee": 1, "currency": "EUR", "included_credits": -5}]},
            "^plan 1: included_credits = -5 must be a whole number",
        ),
        ({"plan": {"fee": 1}}, "^plan 1: 'fee' is unknown"),
        ({"plan": {"plan": []}}, "there is no plan"),
        ({"plan": [{"monthly_fee": 1, "currency": "EUR", "included_credits": 1, "name": "x"}] * 2}, "have one name"),
        ({"plan": 7}, "must be a table"),
        ({"multipliers": {"x": "1_0"}}, "credits per character"),
        ({"multipliers": [1]}, "must be a mapping"),
        ({"by": "compared"}, "by='compared' is not possible"),
    ],
)
def test_what_can_not_be_is_one_line(options: dict[str, Any], words: str) -> None:
    with pytest.raises(hk.InputError, match=words) as caught:
        hk.reprice(hk.sample_history(20), **options)
    assert "\n" not in str(caught.value)


def test_a_plan_in_a_file_is_named_by_file_and_number(tmp_path: Path) -> None:
    path = tmp_path / "plans.toml"
    path.write_text('currency = "EUR"\n[[plan]]\nmonthly_fee = 1\nincluded_credits = 1\n')
    assert [plan.name for plan in read_plans(path)] == ["plan 1"]
    path.write_text(path.read_text() + '[[plan]]\nname = "b"\nmonthly_fee = "x"\nincluded_credits = 1\n')
    with pytest.raises(hk.InputError, match=r"plans\.toml, plan 2: monthly_fee = 'x' is not an amount"):
        read_plans(path)


def test_no_rows_and_no_credits_are_no_estimate() -> None:
    empty = hk.reprice(hk.sample_history(5).iloc[:0], "eleven_v3", "voice", prices=BOOK)
    assert len(empty) == 0
    df = hk.sample_history(5)
    df["credits"] = pd.array([None] * 5, "Int64")
    line = hk.reprice(df, "eleven_v3", freq=None, prices=BOOK).iloc[0]
    assert pd.isna(line["credits_low"])
    assert pd.isna(line["cost"])
    assert line["without_estimate"] == 5
    assert json.dumps(hk.reprice(df, "eleven_v3", prices=BOOK).attrs["histkit"])
