"""Money: exact costs of measured credits, sums that add up to the last cent, nothing unknown counted as 0."""

from __future__ import annotations

import itertools
import json
import warnings
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.frame.dialogues import dialogues_of
from histkit.money.costs import round_shares
from histkit.money.currencies import CURRENCIES, amount_text, digits_of, plain_amount
from histkit.money.prices import Price, PriceBook
from tests.effort import examples

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


KINDS = ("client", "voice", "model", "source", "account")


def is_one_of(name: Any, names: tuple[str, ...], kind: str) -> bool:
    """Return whether one of the names means a value, as one reads them."""
    if pd.isna(name):
        return kind == "client" and "unassigned" in names
    if kind in ("client", "account"):
        return str(name) in names
    return str(name).casefold() in {each.casefold() for each in names}


def meets(row: dict[str, Any], price: Price, lines: list[dict[str, Any]]) -> bool:
    for kind, column in zip(KINDS, ("client", "voice_name", "model_id", "source", "account"), strict=True):
        names = getattr(price, kind)
        if names is None:
            continue
        if kind == "voice":
            voices = lines or [row]
            if not all(
                each["voice_id"] in names
                or is_one_of(each["voice_name"], names, kind)
                or is_one_of(str(each["voice_name"]).split(" - ")[0], names, kind)
                for each in voices
            ):
                return False
        elif column not in row or not is_one_of(row[column], names, kind):
            return False
    return True


class Tie(Exception):
    """Two prices apply to a row, and none takes precedence."""


def by_hand(df: pd.DataFrame, book: PriceBook) -> list[int | None]:
    """Find the price of each row one by one, as one reads the book."""
    first = pd.Timestamp.min.tz_localize("UTC")
    apart = {
        name
        for price in book.prices
        if price.account and not any(getattr(price, kind) for kind in KINDS[:4])
        for name in price.account
    }
    found: list[int | None] = []
    for row, lines in zip(df.to_dict("records"), dialogues_of(df), strict=True):
        ranks: dict[Any, list[int]] = {}
        for number, price in enumerate(book.prices):
            has = tuple(getattr(price, kind) is not None for kind in KINDS)
            if pd.isna(row["date"]) or (price.valid_from or first) > row["date"] or not meets(row, price, lines):
                continue
            if not any(has) and row.get("account") in apart:
                continue
            ranks.setdefault((sum(has), has, price.valid_from or first), []).append(number)
        best = ranks[max(ranks)] if ranks else [None]
        if len(best) > 1:
            raise Tie(best)
        found.append(best[0])
    return found


def are_equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two prices have the same conditions and start, and a name in common in each condition."""
    if one.get("valid_from") != other.get("valid_from") or {*one} != {*other}:
        return False
    return all(
        any(
            is_one_of(name, tuple(other[kind]), kind) and (kind != "client" or name in other[kind])
            for name in one[kind]
        )
        for kind in KINDS
        if kind in one
    )


def cost_of(row: dict[str, Any], book: PriceBook, number: int | None) -> Decimal | None:
    if number is None or pd.isna(row["credits"]):
        return None
    return Decimal(int(row["credits"])) * book.prices[number].per_1000_credits / 1000


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
    expected = [
        cost_of(row, book, number)
        for row, number in zip(history.to_dict("records"), by_hand(history, book), strict=True)
    ]
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
        facts = table.attrs["histkit"]
        assert facts["priced_credits"] + facts["unpriced_credits"] == history["credits"].sum()
        assert sum(facts["by_price"].values()) == facts["priced_credits"]


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
    expected = Price("EUR", Decimal("0.30")), Price("EUR", Decimal("0.24"), start, ("studio",))
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
        ({"price": [{"per_1000_credits": 1}]}, "the currency is missing; add one, three capital letters such as EUR"),
        ({"currency": "EUR", "price": [{"per_1000_credits": -1}]}, "from 0 to a million"),
        ({"currency": "EUR", "price": [{"per_1000_credits": "x"}]}, "not an amount"),
        ({"currency": "EUR", "price": [{"per_1000_credits": float("nan")}]}, "not an amount"),
        ({"currency": "EUR", "price": [{}]}, "not an amount"),
        ({"currency": "EUR", "price": [{"per_1000_credits": True}]}, "not an amount|from 0"),
        ({"currency": "EUR", "price": [{"per_1000_credits": "0.1234567891"}]}, "decimal places"),
        ({"currency": "EUR", "price": [{"per_1000_credits": 1, "valid_from": "noon"}]}, "not a date"),
        ({"currency": "EUR", "price": [{"per_1000_credits": 1}, {"per_1000_credits": 2}]}, "at the same time"),
        ({"currency": "EUR", "price": [{"per_1000_credits": 1, "voices": "x"}]}, "'voices' is unknown"),
        ({"currency": "EUR", "price": [{"per_1000_credits": 1, "voice": []}]}, "a name or a list of names"),
        ({"currency": "EUR", "price": [{"per_1000_credits": 1, "voice": 7}]}, "a name or a list of names"),
        ({"currency": "EUR", "price": [{"per_1000_credits": 1, "client": " "}]}, "a name or a list of names"),
        ({"currency": "EUX", "price": [{"per_1000_credits": 1}]}, "no currency of ISO 4217"),
        ({"currency": "XAU", "price": [{"per_1000_credits": 1}]}, "no currency of ISO 4217"),
        ({"currency": "eur", "price": [{"per_1000_credits": 1}]}, "three capital letters"),
        ({"currency": "EUR", "column": 3, "price": [{"per_1000_credits": 1}]}, "name of the column of clients"),
        ({"currency": "EUR", "prices": [{"per_1000_credits": 1}]}, "'prices' is unknown"),
        ({"currency": "EUR", "tz": "Nowhere", "price": [{"per_1000_credits": 1}]}, "Nowhere"),
        ("none.toml", "does not exist"),
        (7, "takes a TOML file"),
    ],
)
def test_a_price_book_that_can_not_be_used_is_one_line(prices: Any, words: str) -> None:
    with pytest.raises(hk.InputError, match=words) as caught:
        hk.read_prices(prices)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "1_0",
        "٣",
        "３",
        " 1",
        "1 ",
        "1e3",
        "1E-2",
        "+1",
        "-1",
        "-0",
        "1,50",
        "1.",
        ".5",
        "0x1",
        "NaN",
        "inf",
        "",
        "1.2.3",
    ],
)
def test_an_amount_is_digits(text: str) -> None:
    with pytest.raises(hk.InputError, match="not an amount"):
        hk.read_prices({"currency": "EUR", "price": [{"per_1000_credits": text}]})


@pytest.mark.parametrize("value", [True, False, None, [1], (0, (1, 2), -1), b"1", 1j, float("inf"), Decimal("sNaN")])
def test_what_is_no_number_is_no_amount(value: Any) -> None:
    with pytest.raises(hk.InputError, match="not an amount"):
        hk.read_prices({"currency": "EUR", "price": [{"per_1000_credits": value}]})


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (3, "3"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (np.float64(0.3), "0.3"),
        (np.int64(7), "7"),
        ("007.50", "7.5"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.0"), "0"),
    ],
)
def test_numbers_are_amounts(value: Any, amount: str) -> None:
    book = hk.read_prices({"currency": "EUR", "price": [{"per_1000_credits": value}]})
    assert amount_text(book.prices[0].per_1000_credits) == amount


@given(st.decimals(0, 10**6, places=9))
def test_equal_amounts_have_equal_texts(amount: Decimal) -> None:
    text = amount_text(amount)
    assert plain_amount(text) == amount
    assert text == amount_text(amount * Decimal("1.000"))


def test_the_currencies_are_those_that_countries_use() -> None:
    from babel import core, numbers

    today = {
        code
        for uses in core.get_global("territory_currencies").values()
        for code, _, end, tender in uses
        if end is None and tender
    }
    assert today <= CURRENCIES
    assert set(numbers.list_currencies()) >= CURRENCIES
    in_practice = {code: numbers.get_currency_precision(code) for code in CURRENCIES}
    less = {code for code in CURRENCIES if in_practice[code] < digits_of(code)}
    assert all(in_practice[code] == digits_of(code) for code in CURRENCIES - less)
    # of these, whose smallest unit is too small to be used, the table keeps the digits of ISO 4217
    assert less == set("AFN ALL COP HUF IDR IQD IRR KPW LAK LBP MGA MMK SLL SOS SYP YER".split())


CONDITIONED = {
    "currency": "EUR",
    "price": [
        {"per_1000_credits": "1"},
        {"per_1000_credits": "2", "voice": "rachel"},
        {"per_1000_credits": "3", "model": ["eleven_v3", "ELEVEN_FLASH_V2_5"]},
        {"per_1000_credits": "4", "voice": "Roger", "valid_from": "2026-07-01"},
        {"per_1000_credits": "5", "source": "Projects", "model": "eleven_multilingual_v2"},
        {"per_1000_credits": "6", "client": "Acme"},
        {"per_1000_credits": "7", "client": "unassigned", "source": "TTS", "valid_from": "2026-08-01"},
        {"per_1000_credits": "8", "account": "studio", "valid_from": "2026-06-01"},
        {"per_1000_credits": "9", "account": "agency", "voice": ["Rachel", "Roger"]},
        {"per_1000_credits": "10", "voice": "Rachel", "valid_from": "2026-09-01"},
    ],
}


@pytest.fixture(scope="module")
def labelled(history: pd.DataFrame) -> pd.DataFrame:
    clients = np.array(["Acme", "Beta", None], object)[np.arange(len(history)) % 7 % 3]
    return history.assign(client=clients)


def test_the_more_specific_price_applies(labelled: pd.DataFrame) -> None:
    book = hk.read_prices(CONDITIONED)
    expected = by_hand(labelled, book)
    assert [None if each < 0 else each for each in book.price_index(labelled).tolist()] == expected
    assert set(expected) == {None, *range(len(book.prices))}
    priced = hk.add_cost(labelled, book)
    sources = [None if pd.isna(each) else each for each in priced["cost_source"]]
    known = priced["credits"].notna()
    assert sources == [
        book.sources()[each] if each is not None and ok else None for each, ok in zip(expected, known, strict=True)
    ]
    assert priced["cost_source"].isna().equals(priced["cost"].isna())
    assert "price 4: voice Roger, from 2026-07-01" in set(sources)
    sums = priced.groupby("cost_source")["credits"].sum().to_dict()
    for by in (None, "voice", ["client", "model"]):
        facts = hk.cost_table(labelled, by, prices=book).attrs["histkit"]
        assert {name: credits for name, credits in facts["by_price"].items() if credits} == {
            name: credits for name, credits in sums.items() if credits
        }


names_of = {
    "client": ["Acme", "Beta", "unassigned", "acme"],
    "voice": ["Rachel", "roger", "Roger - Laid-Back, Casual, Resonant", "21m00Tcm4TlvDq8ikWAM", "Narrator"],
    "model": ["eleven_v3", "eleven_multilingual_v2", "ELEVEN_V3"],
    "source": ["TTS", "projects"],
    "account": ["studio", "agency", "lab"],
}
price_tables = st.fixed_dictionaries(
    {"per_1000_credits": st.integers(0, 50)},
    optional={
        "valid_from": st.sampled_from(["2026-03-01", "2026-06-01", "2026-09-15T12:00"]),
        **{kind: st.lists(st.sampled_from(names), min_size=1, max_size=2) for kind, names in names_of.items()},
    },
)


@settings(max_examples=examples(60))
@given(st.lists(price_tables, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_every_book_prices_as_it_reads_or_is_refused(
    labelled: pd.DataFrame, tables: list[dict[str, Any]], random: Any
) -> None:
    rows = labelled.sample(300, random_state=random.randrange(1000))
    source = {"currency": "EUR", "price": tables}
    if any(are_equal(one, other) for one, other in itertools.combinations(tables, 2)):
        with pytest.raises(hk.InputError, match="start at the same time"):
            hk.read_prices(source)
        return
    book = hk.read_prices(source)
    try:
        expected = by_hand(rows, book)
    except Tie:
        with pytest.raises(hk.InputError, match="none takes precedence"):
            book.price_index(rows)
        return
    index = book.price_index(rows)
    assert [None if each < 0 else each for each in index.tolist()] == expected
    order = list(range(len(tables)))
    random.shuffle(order)
    shuffled = hk.read_prices({"currency": "EUR", "price": [tables[place] for place in order]})
    assert [-1 if each < 0 else order[each] for each in shuffled.price_index(rows).tolist()] == index.tolist()


def dialogue(*voices: str) -> list[dict[str, str]]:
    return [{"text": "Hm.", "voice_id": f"id of {voice}", "voice_name": voice} for voice in voices]


def test_a_voice_prices_a_dialogue_that_it_speaks_alone() -> None:
    frame = hk.sample_history(6)
    frame["voice_id"] = frame["voice_name"] = pd.Categorical([None] * 6)
    frame["dialogue"] = pd.Series(
        [
            json.dumps(each) if each is not None else None
            for each in (dialogue("Ada"), dialogue("Ada", "Ben"), dialogue("Ben", "Ada"), [], None, dialogue("Ben"))
        ],
        dtype="string[pyarrow]",
    )
    book = {
        "currency": "EUR",
        "price": [{"per_1000_credits": 1}, {"per_1000_credits": 2, "voice": "ada"}],
    }
    assert hk.read_prices(book).price_index(frame).tolist() == [1, 0, 0, 0, 0, 0]
    book["price"][1]["voice"] = ["Ada", "id of Ben"]
    assert hk.read_prices(book).price_index(frame).tolist() == [1, 1, 1, 0, 0, 1]
    without = frame.drop(columns="dialogue")
    with pytest.raises(hk.SchemaError, match="no column 'dialogue'"):
        hk.read_prices(book).price_index(without)


def test_two_prices_for_the_same_rows_are_refused() -> None:
    frame = hk.sample_history(400)
    rachel = frame.loc[frame["voice_name"] == "Rachel", "voice_id"].iloc[0]
    both = [{"per_1000_credits": 1, "voice": rachel}, {"per_1000_credits": 2, "voice": "Rachel"}]
    count = int((frame["voice_id"] == rachel).sum())
    with pytest.raises(hk.InputError, match=f"prices 1 and 2 apply to the same {count} rows, and none"):
        hk.add_cost(frame, {"currency": "EUR", "price": both})
    better = [*both, {"per_1000_credits": 3, "voice": "Rachel", "source": ["TTS", "STS", "Projects"]}]
    left = int(((frame["voice_id"] == rachel) & ~frame["source"].isin(["TTS", "STS", "Projects"])).sum())
    assert left
    with pytest.raises(hk.InputError, match=f"the same {left} row"):
        hk.add_cost(frame, {"currency": "EUR", "price": better})
    same = [{"per_1000_credits": 1, "voice": ["Ada", "RACHEL"]}, {"per_1000_credits": 2, "voice": "rachel"}]
    with pytest.raises(hk.InputError, match="prices 1 and 2 start at the same time and have the same conditions"):
        hk.read_prices({"currency": "EUR", "price": same})


def test_a_price_by_client_needs_the_column_and_a_book_can_name_another() -> None:
    frame = hk.sample_history(100).assign(team=["Ads", "Games"] * 50)
    book: dict[str, Any] = {"currency": "EUR", "price": [{"per_1000_credits": 1, "client": "Ads"}]}
    with pytest.raises(hk.SchemaError, match="no column 'client'"):
        hk.add_cost(frame, book)
    priced = hk.add_cost(frame, {**book, "column": "team"})
    assert priced["cost"].notna().tolist() == (frame["team"].eq("Ads") & frame["credits"].notna()).tolist()


@pytest.mark.parametrize("call", [hk.add_cost, lambda df, prices: hk.cost_table(df, prices=prices)])
def test_a_mistyped_name_is_a_warning_of_its_own(history: pd.DataFrame, call: Any) -> None:
    tables = [
        {"per_1000_credits": 1, "account": "studoi"},
        {"per_1000_credits": 1, "account": "branch office"},
        {"per_1000_credits": 1, "model": "elven_v3"},
        {"per_1000_credits": 1, "voice": ["Rachl", "Rachel"]},
        {"per_1000_credits": 1, "source": "TTS"},
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(history, {"currency": "EUR", "price": tables})
    lines = [str(each.message) for each in caught]
    assert lines == [
        "prices: price 1: account='studoi' matches no account; did you mean 'studio'?",
        "prices: price 3: model='elven_v3' matches no model; did you mean 'eleven_v3' or 'eleven_v4'?",
        "prices: price 4: voice='Rachl' matches no voice; did you mean 'Rachel'?",
        "prices: 1 name matches none of the rows: account='branch office' (price 2). Check its spelling.",
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(history.drop(columns="account"), {"currency": "EUR", "price": tables[:1] + tables[4:]})
    assert [str(each.message) for each in caught] == [
        "prices: the frame has no column 'account': prices by account are for none of it."
    ]


def test_a_voice_that_only_speaks_in_dialogues_is_no_mistake() -> None:
    frame = hk.sample_history(500)
    spoken = {line["voice_name"] for lines in dialogues_of(frame) for line in lines}
    only = frame[frame["dialogue"].notna()].copy()
    name = sorted(spoken)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hk.add_cost(only, {"currency": "EUR", "price": [{"per_1000_credits": 1, "voice": name}]})


@pytest.mark.parametrize(
    ("zone", "day"),
    [("America/Santiago", "2026-09-06"), ("Africa/Cairo", "2026-04-24"), ("America/Havana", "2026-11-01")],
)
def test_a_price_from_a_day_without_one_midnight_is_described_as_that_day(zone: str, day: str) -> None:
    """The clocks skip the midnight of that day, or show it twice."""
    frame = pd.DataFrame(
        {"history_item_id": ["a"], "date": pd.to_datetime(["2026-12-01"], utc=True), "credits": [1000]}
    )
    book = {"currency": "EUR", "tz": zone, "price": [{"per_1000_credits": "0.30", "valid_from": day}]}
    assert hk.add_cost(frame, book)["cost_source"].tolist() == [f"price 1: from {day}"]
    late = {**book, "price": [{"per_1000_credits": "0.30", "valid_from": f"{day}T05:00"}]}
    assert hk.add_cost(frame, late)["cost_source"][0].startswith(f"price 1: from {day}T05:00:00")
