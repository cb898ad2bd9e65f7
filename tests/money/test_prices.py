"""Money: exact costs of measured credits, sums that add up to the last cent, nothing unknown counted as 0."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import histkit as hk
from histkit.money.costs import round_shares
from histkit.money.prices import Price, PriceBook

PLAIN = {"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]}
amounts = st.lists(st.decimals(-(10**6), 10**6, places=9), max_size=30)


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    df = hk.sample_history(1500, seed=4)
    df.loc[::50, "credits"] = pd.NA
    df.loc[7::90, "date"] = pd.NaT
    return df.assign(account=pd.Categorical(np.where(np.arange(1500) % 3, "studio", "agency")))


@given(amounts, st.integers(0, 4))
def test_rounded_lines_make_up_the_rounded_sum(exact: list[Decimal], digits: int) -> None:
    rounded = round_shares(exact, digits)
    unit = Decimal(1).scaleb(-digits)
    assert sum(rounded, Decimal(0)) == sum(exact, Decimal(0)).quantize(unit, ROUND_HALF_EVEN)
    assert all(abs(each - amount) < unit for each, amount in zip(rounded, exact, strict=True))
    assert all(each == each.quantize(unit) for each in rounded)


@given(amounts)
def test_an_exact_amount_stays_as_it_is(exact: list[Decimal]) -> None:
    assert round_shares(exact, 9) == exact


def by_hand(df: pd.DataFrame, book: PriceBook) -> list[Decimal | None]:
    """Price rows one by one, as one reads the book."""
    found: list[Decimal | None] = []
    for row in df.to_dict("records"):
        account = row.get("account")
        own = [each for each in book.prices if each.account == account] if isinstance(account, str) else []
        own = own or [each for each in book.prices if each.account is None]
        first = pd.Timestamp.min.tz_localize("UTC")
        began = [each for each in own if pd.notna(row["date"]) and (each.valid_from or first) <= row["date"]]
        price = max(began, key=lambda each: each.valid_from or first, default=None)
        known = pd.notna(row["credits"]) and price is not None
        found.append(Decimal(int(row["credits"])) * price.per_1000_credits / 1000 if known and price else None)
    return found


@pytest.mark.parametrize(
    "prices",
    [
        [{"per_1000_credits": "0.30"}],
        [{"per_1000_credits": "0.30"}, {"per_1000_credits": "0.123456789", "valid_from": "2026-07-01"}],
        [{"per_1000_credits": 1, "valid_from": "2025-12-31T23:00:00Z"}, {"per_1000_credits": 0, "account": "studio"}],
        [{"per_1000_credits": 0.1, "account": "agency"}],
    ],
)
def test_a_row_costs_its_credits_at_the_price_of_its_moment_and_account(
    history: pd.DataFrame, prices: list[dict[str, Any]]
) -> None:
    book = hk.read_prices({"currency": "EUR", "price": prices}, tz="Europe/Berlin")
    priced = hk.add_cost(history, book)
    expected = by_hand(history, book)
    assert [None if pd.isna(each) else each for each in priced["cost"]] == expected
    assert priced["currency"].notna().tolist() == [each is not None for each in expected]
    assert "cost" not in history.columns
    for by, freq in (("voice", None), (["model", "account"], "MS"), (None, None), ("source", "D")):
        table = hk.cost_table(history, by, freq, prices=book)
        usage = hk.usage_table(history, by, freq)
        assert table["credits"].sum() == usage["credits"].sum()
        assert table["items"].sum() == usage["items"].sum()
        assert len(table) == len(usage)
        total = sum((each for each in expected if each is not None), Decimal(0))
        assert Decimal(table.attrs["histkit"]["totals"]["EUR"]["exact"]) == total
        assert table["cost"].sum() == total.quantize(Decimal("0.01"), ROUND_HALF_EVEN)
        known = sum(history["credits"].dropna()[[each is not None for each in expected if True][:0] or slice(None)])
        assert table.attrs["histkit"]["priced_credits"] + table.attrs["histkit"]["unpriced_credits"] == known


def test_currencies_are_never_added(history: pd.DataFrame) -> None:
    prices = [
        {"per_1000_credits": "0.30", "account": "studio"},
        {"per_1000_credits": "45", "currency": "JPY", "account": "agency"},
    ]
    table = hk.cost_table(history, "model", prices={"currency": "EUR", "price": prices})
    totals = table.attrs["histkit"]["totals"]
    assert set(totals) == {"EUR", "JPY"}
    for code, own in table.dropna(subset=["currency"]).groupby("currency"):
        assert own["cost"].sum() == Decimal(totals[str(code)]["cost"])
        assert code == "EUR" or all(each == each.to_integral_value() for each in own["cost"])
    assert table["credits"].sum() == history["credits"].sum()


def test_what_has_no_price_has_no_cost_and_the_share_says_so(history: pd.DataFrame) -> None:
    book = {"currency": "USD", "price": [{"per_1000_credits": "0.3", "valid_from": "2026-10-15"}]}
    table = hk.cost_table(history, "voice", "MS", prices=book)
    early = table[table["period"] < "2026-10-01"]
    assert early["cost"].isna().all()
    assert (early["priced"].dropna() == 0).all()
    october = table[table["period"] == "2026-10-01"]
    assert october["priced"].between(0, 1, inclusive="neither").any()
    nothing = hk.cost_table(history.iloc[:0], "voice", prices=book)
    assert len(nothing) == 0
    assert nothing.attrs["histkit"]["priced"] is None


@pytest.mark.parametrize("by", ["voice", "model", ["source", "voice"]])
def test_all_but_the_largest_are_one_group(history: pd.DataFrame, by: Any) -> None:
    whole = hk.cost_table(history, by, prices=PLAIN)
    some = hk.cost_table(history, by, prices=PLAIN, top=3)
    assert len(some) <= 4
    assert some["cost"].sum() == whole["cost"].sum()
    pd.testing.assert_frame_equal(some[["items", "credits"]], hk.usage_table(history, by, top=3)[["items", "credits"]])


def test_the_order_of_rows_does_not_matter(history: pd.DataFrame) -> None:
    shuffled = history.sample(frac=1, random_state=2)
    for by, freq in (("voice", "MS"), (["model", "source"], None)):
        one, other = (hk.cost_table(each, by, freq, prices=PLAIN) for each in (history, shuffled))
        pd.testing.assert_frame_equal(one, other, check_categorical=False)


def test_a_price_book_is_a_file_a_mapping_or_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(
        'currency = "EUR"\ntz = "Europe/Berlin"\n[[price]]\nper_1000_credits = 0.30\n'
        '[[price]]\nper_1000_credits = "0.24"\nvalid_from = 2026-07-01\naccount = "studio"\n'
    )
    book = hk.read_prices(path)
    start = pd.Timestamp("2026-06-30T22:00:00Z")
    expected = Price("EUR", Decimal("0.30")), Price("EUR", Decimal("0.24"), start, "studio")
    assert book.prices == expected
    rows = {
        "currency": ["EUR"] * 2,
        "per_1000_credits": ["0.30", "0.24"],
        "account": [None, "studio"],
        "valid_from": [None, "2026-07-01"],
    }
    assert hk.read_prices(pd.DataFrame(rows), tz="Europe/Berlin").prices == expected
    assert hk.read_prices(book) is book


@pytest.mark.parametrize(
    ("prices", "words"),
    [
        ({}, "there is no price"),
        ({"price": [{"per_1000_credits": 1}]}, "three capital letters"),
        ({"currency": "EUR", "price": [{"per_1000_credits": -1}]}, "from 0 to a million"),
        ({"currency": "EUR", "price": [{"per_1000_credits": "x"}]}, "not an amount"),
        ({"currency": "EUR", "price": [{"per_1000_credits": float("nan")}]}, "from 0 to a million"),
        ({"currency": "EUR", "price": [{}]}, "not an amount"),
        ({"currency": "EUR", "price": [{"per_1000_credits": True}]}, "not an amount|from 0"),
        ({"currency": "EUR", "price": [{"per_1000_credits": "0.1234567891"}]}, "decimal places"),
        ({"currency": "EUR", "price": [{"per_1000_credits": 1, "valid_from": "noon"}]}, "not a date"),
        ({"currency": "EUR", "price": [{"per_1000_credits": 1}, {"per_1000_credits": 2}]}, "at the same time"),
        ({"currency": "EUR", "price": [{"per_1000_credits": 1, "voice": "x"}]}, "'voice' is unknown"),
        ({"currency": "EUR", "tz": "Nowhere", "price": [{"per_1000_credits": 1}]}, "Nowhere"),
        ("none.toml", "does not exist"),
        (7, "takes a TOML file"),
    ],
)
def test_a_price_book_that_can_not_be_used_is_one_line(prices: Any, words: str) -> None:
    with pytest.raises(hk.InputError, match=words) as caught:
        hk.read_prices(prices)
    assert "\n" not in str(caught.value)
