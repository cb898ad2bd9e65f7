"""Terms of statements: parties, minimum fee, markup, tax, and the formats of locales."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, localcontext
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.reports.terms import count_series, counted_number
from tests.effort import examples
from tests.reports.test_statement import read_at

LATER = "2027-02-01T00:00:00+00:00"
PRICES = {"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]}
PARTIES = {
    "issuer": {"name": "Studio North", "address": ["1 Main Street", "10115 Berlin"], "tax_id": "DE123"},
    "client": {"Acme": {"name": "Acme Inc.", "address": "5 Side Street\n20095 Hamburg"}},
}


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    frame = hk.label(
        hk.sample_history(1500), [{"label": "Acme", "voice": "Rachel"}, {"label": "Blue", "voice": "Roger"}]
    )
    return read_at(frame, LATER)


def rows(credits: list[int], client: str = "Acme") -> pd.DataFrame:
    """Return a history of so many rows of one client in August."""
    frame = hk.sample_history(max(len(credits), 1)).iloc[: len(credits)].reset_index(drop=True)
    frame["credits"] = pd.array(credits, "Int64")
    frame["date"] = pd.to_datetime(["2026-08-10"] * len(credits), utc=True).astype("datetime64[us, UTC]")
    frame["client"] = client
    frame["state"] = pd.Categorical(["created"] * len(credits))
    return read_at(frame, LATER)


def amounts_of(table: pd.DataFrame) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = table.attrs["histkit"]["amounts"]
    return found


CENTS = st.integers(0, 10**6).map(lambda cents: Decimal(cents).scaleb(-2))
PERCENT = st.integers(0, 10_000).map(lambda part: Decimal(part).scaleb(-2))


@settings(max_examples=examples(25))
@given(
    credits=st.lists(st.integers(0, 10**6), min_size=1, max_size=5),
    rate=st.integers(0, 10**6).map(lambda part: Decimal(part).scaleb(-4)),
    currency=st.sampled_from(["EUR", "JPY", "KWD"]),
    fee=st.integers(0, 10**5),
    markup=st.one_of(st.tuples(st.just("markup_percent"), PERCENT), st.tuples(st.just("markup_per_1000"), CENTS)),
    tax=st.integers(0, 100_00).map(lambda part: Decimal(part).scaleb(-2)),
)
def test_amounts_are_those_of_plain_arithmetic(
    credits: list[int], rate: Decimal, currency: str, fee: int, markup: tuple[str, Decimal], tax: Decimal
) -> None:
    unit = {"EUR": Decimal("0.01"), "JPY": Decimal(1), "KWD": Decimal("0.001")}[currency]
    name, value = markup
    terms = {"minimum_fee": str(fee), name: str(value), "tax_rate": str(tax)}
    book = {"currency": currency, "price": [{"per_1000_credits": str(rate)}]}
    table = hk.statement(rows(credits), "Acme", "2026-08", prices=book, terms=terms)
    lines = (sum(credits) * rate / 1000).quantize(unit, ROUND_HALF_EVEN)
    exact = lines * value / 100 if name == "markup_percent" else sum(credits) * value / 1000
    marked = exact.quantize(unit, ROUND_HALF_UP)
    top_up = max(Decimal(0), fee - lines - marked)
    taxed = ((lines + marked + top_up) * tax / 100).quantize(unit, ROUND_HALF_UP)
    found = {part: Decimal(text) for part, text in amounts_of(table)[currency].items()}
    assert found == {
        "lines": lines,
        "markup": marked,
        "minimum": top_up,
        "tax": taxed,
        "total": lines + marked + top_up + taxed,
    }
    assert table["cost"].sum() == lines
    assert found["total"] == found["total"].quantize(unit)


def test_the_fingerprint_covers_prices_and_terms(df: pd.DataFrame) -> None:
    def prints(**options: Any) -> tuple[str, str]:
        facts = hk.statement(df, "Acme", "2026-08", **options).attrs["histkit"]
        return facts["fingerprint"], facts["rows_fingerprint"]

    doubled = {"currency": "EUR", "price": [{"per_1000_credits": "0.60"}]}
    dollars = {"currency": "USD", "price": [{"per_1000_credits": "0.30"}]}
    unused = {
        "currency": "EUR",
        "price": [{"per_1000_credits": "0.300"}, {"per_1000_credits": "9", "valid_from": "2026-09-01"}],
    }
    each = [
        prints(),
        prints(prices=PRICES),
        prints(prices=doubled),
        prints(prices=dollars),
        prints(prices=PRICES, terms={"tax_rate": 19}),
        prints(prices=PRICES, terms={"tax_rate": 20}),
        prints(prices=PRICES, terms={"markup_percent": 20}),
    ]
    assert len({fingerprint for fingerprint, _ in each}) == len(each)
    assert len({of_rows for _, of_rows in each}) == 1
    assert prints(prices=unused) == prints(prices=PRICES)
    assert prints(prices=PRICES, terms={"notes": "Thank you.", "tax_rate": "0.0"}) == prints(prices=PRICES)


def test_the_proof_names_all_that_the_fingerprint_covers(df: pd.DataFrame, tmp_path: Path) -> None:
    for options, what in (
        ({}, "same rows and credits has"),
        ({"prices": PRICES}, "same rows, credits and prices has"),
        ({"prices": PRICES, "terms": {"notes": "Thanks."}}, "same rows, credits and prices has"),
        ({"prices": PRICES, "terms": {"tax_rate": 19}}, "same rows, credits, prices and terms has"),
    ):
        hk.statement(df, "Acme", "2026-08", path=tmp_path / "a.md", **options)
        assert what in (tmp_path / "a.md").read_text()


def test_a_tax_of_0_that_was_given_is_shown(df: pd.DataFrame, tmp_path: Path) -> None:
    """As for a client abroad: the tax has its line, and changes no amount and no fingerprint."""
    common: dict[str, Any] = {"prices": PRICES, "path": tmp_path / "a.md"}
    shown = {}
    for terms in ({"tax_name": "VAT"}, {"tax_name": "VAT", "tax_rate": "0"}, {"tax_name": "VAT", "tax_rate": 0.0}):
        facts = hk.statement(df, "Acme", "2026-08", terms=terms, **common).attrs["histkit"]
        shown["tax_rate" in terms] = "| VAT (0 %) | 0.00 |" in (tmp_path / "a.md").read_text()
        assert facts["amounts"]["EUR"]["tax"] == "0.00"
        assert "same rows, credits and prices has" in (tmp_path / "a.md").read_text()
        plain = hk.statement(df, "Acme", "2026-08", prices=PRICES)
        assert facts["fingerprint"] == plain.attrs["histkit"]["fingerprint"]
    assert shown == {False: False, True: True}
    own = {"tax_rate": 19, "tax_name": "VAT", "client": {"Acme": {"tax_rate": 0}}}
    for client, rate in (("Acme", "VAT (0 %)"), ("Blue", "VAT (19 %)"), ("unassigned", "")):
        hk.statement(df, client, "2026-08", terms=own, **common)
        assert rate in (tmp_path / "a.md").read_text()
        assert ("VAT" in (tmp_path / "a.md").read_text()) == bool(rate)
    issue: dict[str, Any] = {"issue": True, "register": tmp_path / "r.jsonl", "prices": PRICES}
    hk.statement(df, "Acme", "2026-08", terms={}, **issue)
    with pytest.raises(hk.InputError, match="the terms changed"):
        hk.statement(df, "Acme", "2026-08", terms={"tax_rate": 0}, **issue)


def test_each_line_has_one_price(df: pd.DataFrame) -> None:
    book = {
        "currency": "EUR",
        "price": [{"per_1000_credits": "0.30"}, {"per_1000_credits": "0.2500", "valid_from": "2026-08-11"}],
    }
    table = hk.statement(df, "Acme", "2026-08", prices=book, terms=PARTIES, by="model")
    mine = df[(df["client"] == "Acme") & (df["date"] >= "2026-08-01") & (df["date"] < "2026-09-01")]
    early = mine["date"] < "2026-08-11"
    expected = {
        **{
            (model, Decimal("0.30")): n
            for model, n in mine[early].groupby("model_id", observed=True)["credits"].sum().items()
        },
        **{
            (model, Decimal("0.25")): n
            for model, n in mine[~early].groupby("model_id", observed=True)["credits"].sum().items()
        },
    }
    found = dict(zip(zip(table["model"], table["per_1000_credits"], strict=True), table["credits"], strict=True))
    assert found == expected
    assert table.columns.tolist() == [
        *("model", "items", "characters", "credits", "per_1000_credits", "cost", "currency", "priced")
    ]
    exact = sum(credits * price / 1000 for (_, price), credits in expected.items())
    assert table["cost"].sum() == round(exact, 2)
    plain = hk.statement(df, "Acme", "2026-08", prices=book, terms={"unit_prices": False}, by="model")
    assert "per_1000_credits" not in plain.columns
    assert plain["cost"].sum() == table["cost"].sum()


def test_a_minimum_fee_is_owed_without_rows_only_by_terms_of_the_client(df: pd.DataFrame) -> None:
    general = {"minimum_fee": "10.00"}
    own = {"client": {"Blue": {"minimum_fee": "25.00"}}}
    period = "2019"
    assert amounts_of(hk.statement(df, "Blue", period, prices=PRICES, terms=general))["EUR"]["total"] == "0.00"
    assert amounts_of(hk.statement(df, "Blue", period, prices=PRICES, terms=own))["EUR"]["total"] == "25.00"
    table = hk.statements(df, period, prices=PRICES, terms=own)
    assert table["client"].tolist() == ["Blue"]
    assert table["total"].tolist() == [Decimal("25.00")]
    august = hk.statements(df, "2026-08", prices=PRICES, terms=general)
    totals = dict(zip(august["client"], august["total"], strict=True))
    assert totals["Acme"] == totals["Blue"] == Decimal("10.00")
    assert totals["unassigned"] == august.set_index("client").loc["unassigned", "cost"]


@pytest.mark.parametrize(
    ("locale", "number", "money", "day"),
    [
        ("de_DE", "1.234.567", "12.345,68", "02.09.2026"),
        ("de-CH", "1'234'567", "12'345.68", "02.09.2026"),
        ("en_US", "1,234,567", "12,345.68", "Sep 2, 2026"),
        ("fr_FR", "1\u202f234\u202f567", "12\u202f345,68", "2 sept. 2026"),
        ("hi_IN", "12,34,567", "12,345.68", "2 सित॰ 2026"),
        ("ar_EG", "1,234,567", "12,345.68", "02\u200f/09\u200f/2026"),
    ],
)
def test_numbers_and_dates_are_those_of_the_locale(
    tmp_path: Path, locale: str, number: str, money: str, day: str | None
) -> None:
    book = {"currency": "EUR", "price": [{"per_1000_credits": "10.000005"}]}
    terms = {**PARTIES, "issue_date": "2026-09-02"}
    options: dict[str, Any] = {"prices": book, "terms": terms, "locale": locale}
    options |= {"issue": True, "register": tmp_path / "register.jsonl"}
    frame = rows([1_234_567])
    for kind in ("html", "md"):
        path = tmp_path / f"a.{kind}"
        options["register"] = tmp_path / f"{kind}.jsonl"
        hk.statement(frame, "Acme", "2026-08", path=path, **options)
        text = path.read_text("utf-8").replace("&#39;", "'").replace("\\", "")
        assert number in text
        assert money in text
        assert day is None or day in text
    options["register"] = tmp_path / "json.jsonl"
    table = hk.statement(frame, "Acme", "2026-08", path=tmp_path / "a.json", **options)
    assert json.loads((tmp_path / "a.json").read_text())["totals"]["credits"] == 1_234_567  # for programs
    assert table["credits"].tolist() == [1_234_567]


def test_yen_have_no_decimals_in_any_format(tmp_path: Path) -> None:
    book = {"currency": "JPY", "price": [{"per_1000_credits": "48"}]}
    options: dict[str, Any] = {"prices": book, "terms": {"tax_rate": 10}, "locale": "ja_JP"}
    frame = rows([1_000_000])
    for kind in ("md", "html", "csv", "json"):
        hk.statement(frame, "Acme", "2026-08", path=tmp_path / f"a.{kind}", **options)
        text = (tmp_path / f"a.{kind}").read_text()
        assert "52,800" in text if kind in ("md", "html") else "48000" in text
        assert "48,000." not in text
        assert "48000." not in text
    hk.statement(frame, "Acme", "2026-08", path=tmp_path / "a.xlsx", **options)
    cells = [cell for sheet in openpyxl.load_workbook(tmp_path / "a.xlsx") for row in sheet for cell in row]
    assert 52_800 in [cell.value for cell in cells]


def test_yen_beside_euros_are_exact_in_frames(tmp_path: Path) -> None:
    """One type for all currencies of a column; those of one currency are whole numbers again."""
    for currency, client in (("EUR", "Acme"), ("JPY", "Blue")):
        prices = {"currency": currency, "price": [{"per_1000_credits": "100"}]}
        options: dict[str, Any] = {"prices": prices, "issue": True, "register": tmp_path / "r.jsonl"}
        frame = rows([3333], client).assign(history_item_id=client)
        frame.attrs["histkit"] = rows([]).attrs["histkit"]
        hk.statement(frame, client, "2026-08", **options)
    table = hk.issued_statements(tmp_path / "r.jsonl")
    assert [*map(str, table["total"])] == ["333.30", "333.00"]
    assert table.loc[table["currency"] == "JPY", "total"].astype("int64").tolist() == [333]


def test_without_babel_a_locale_is_one_clear_line(df: pd.DataFrame) -> None:
    code = (
        "import sys, histkit as hk; sys.modules['babel'] = None\n"
        "df = hk.sample_history(50).assign(client='Acme')\n"
        "hk.statement(df, 'Acme', '2026')\n"
        "try:\n    hk.statement(df, 'Acme', '2026', locale='de_DE')\n"
        "except hk.InputError as error:\n    print(error)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "locale='de_DE' needs babel: pip install 'histkit[locale]'.\n"


def test_the_letter_is_in_every_format_for_readers(df: pd.DataFrame, tmp_path: Path) -> None:
    terms = {**PARTIES, "tax_rate": 19, "tax_name": "VAT", "notes": ["Payable within 14 days.", "<b>Thanks</b>"]}
    for kind in ("md", "html", "json"):
        hk.statement(df, "Acme", "2026-08", path=tmp_path / f"a.{kind}", prices=PRICES, terms=terms)
        text = (tmp_path / f"a.{kind}").read_text()
        for words in ("Studio North", "10115 Berlin", "DE123", "Acme Inc.", "20095 Hamburg", "Payable within 14 days"):
            assert words in text.replace("\\", "")
        assert "<b>" not in text or kind == "json"
    hk.statement(df, "Acme", "2026-08", path=tmp_path / "a.xlsx", prices=PRICES, terms=terms)
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    assert [*book.sheetnames] == ["Summary", "Parties", "Lines", "Amounts", "Proof", "Notes"]
    assert "VAT (19 %)" in [cell.value for row in book["Amounts"] for cell in row]


def test_terms_come_from_a_file(df: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "terms.toml").write_text(
        'tax_rate = 7.7\nminimum_fee = 12.5\nissue_date = 2026-09-02\n[client.Acme]\ntax_rate = "0"\n', "utf-8"
    )
    facts = hk.statement(df, "Blue", "2026-08", prices=PRICES, terms=tmp_path / "terms.toml").attrs["histkit"]
    assert facts["terms"] == {"tax_rate": "7.7", "minimum_fee": "12.5"}
    facts = hk.statement(df, "Acme", "2026-08", prices=PRICES, terms=tmp_path / "terms.toml").attrs["histkit"]
    assert facts["terms"] == {"minimum_fee": "12.5", "tax_rate": "0"}


@pytest.mark.parametrize(
    ("terms", "line"),
    [
        ({"numbr": "1"}, "'numbr' is unknown; did you mean 'number'"),
        ({"minimum_fee": "1_0"}, "is not an amount"),
        ({"minimum_fee": "١٢"}, "is not an amount"),
        ({"minimum_fee": True}, "is not an amount"),
        ({"minimum_fee": "0.001"}, "EUR has 2 decimal places"),
        ({"tax_rate": 101}, "must be from 0 to 100"),
        ({"tax_rate": float("nan")}, "is not an amount"),
        ({"tax_rate": -1}, "must be from 0 to 100"),
        ({"markup_percent": 1, "markup_per_1000": 1}, "use one of them"),
        ({"number": "{n!r}"}, "in braces are {n}"),
        ({"number": "{}"}, "in braces are {n}"),
        ({"number": "{n}-{n:03}"}, "in braces are {n}, once"),
        ({"number": "{{n}}-{n}"}, "in braces are {n}, once"),
        ({"number": "{n:3}"}, "with a width as in {n:04}"),
        ({"number": ""}, "must be one line of text"),
        ({"issue_date": "02.09.2026"}, "is not a day such as 2026-10-01"),
        ({"issue_date": "2026-02-30"}, "is not a day such as 2026-10-01"),
        ({"currency": "USD"}, "The terms are in USD, and prices in EUR"),
        ({"currency": "Euro"}, "three capital letters"),
        ({"locale": "xx_YY"}, "is not a locale"),
        ({"issuer": {"nme": "x"}}, "'nme' is unknown"),
        ({"client": {"Acmee": {"tax_rate": 1}}}, "did you mean 'Acme'"),
        ({"client": {"Acme": {"taxrate": 1}}}, "'taxrate' is unknown"),
        ({"client": {1: {"tax_rate": 1}}}, "client 1 is not a name"),
        ({"unit_prices": "yes"}, "must be true or false"),
        (5, "takes a TOML file or a mapping"),
    ],
)
def test_careless_terms_get_one_line(df: pd.DataFrame, terms: Any, line: str) -> None:
    with pytest.raises(hk.InputError) as caught:
        hk.statement(df, "Acme", "2026-08", prices=PRICES, terms=terms)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["md", "html", "xlsx", "csv", "json"])
def test_the_decimal_context_of_the_caller_changes_nothing(df: pd.DataFrame, tmp_path: Path, kind: str) -> None:
    prices = {"currency": "EUR", "price": [{"per_1000_credits": "1234.567891"}]}
    terms = {"tax_rate": "19", "markup_percent": "12.5", "minimum_fee": "5"}
    options: dict[str, Any] = {"prices": prices, "terms": terms, "register": tmp_path / "register.jsonl"}

    def compute(name: str) -> list[Any]:
        path = tmp_path / f"{name}.{kind}"
        issued = hk.statement(df, "Acme", "2026-Q3", path=path, issue=True, **options).attrs["histkit"]["amounts"]
        dearer = {**options, "prices": {**prices, "price": [{"per_1000_credits": "2000"}]}}
        difference = hk.statement(df, "Acme", "2026-Q3", correct=True, **dearer).attrs["histkit"]["amounts"]
        table = hk.statements(df, "2026-Q3", prices=prices, terms=terms)
        known = hk.issued_statements(options["register"])["total"].tolist()
        proof = hk.check_statements(options["register"], df, prices=prices)["problem"].tolist()
        return [issued, difference, table["total"].tolist(), known, proof, path.read_bytes()]

    expected = compute("a")
    with localcontext(Context(prec=3, rounding=ROUND_DOWN)):
        assert compute("b") == expected


@settings(max_examples=examples(30))
@given(
    parts=st.lists(st.sampled_from(["{year}", "{month}", "{month:04}", "A-", "/", "2026", "0"]), max_size=4),
    place=st.integers(0, 4),
    width=st.integers(0, 9),
)
def test_a_counted_number_is_its_series_with_the_count(parts: list[str], place: int, width: int) -> None:
    template = "".join([*parts[:place], f"{{n:0{width}}}" if width else "{n}", *parts[place:]])
    day = date(2026, 3, 1)
    series = count_series(template, day)
    assert series.count("{n}") == 1
    assert counted_number(template, day, 7) == series.replace("{n}", "7".zfill(width))


def test_money_terms_need_prices_and_a_minimum_one_currency(df: pd.DataFrame) -> None:
    with pytest.raises(hk.InputError, match="need prices"):
        hk.statement(df, "Acme", "2026-08", terms={"tax_rate": 19})
    several = {
        "price": [
            {"currency": "EUR", "per_1000_credits": "0.30", "valid_from": "2026-01-01"},
            {"currency": "JPY", "per_1000_credits": "48", "valid_from": "2026-08-15"},
        ]
    }
    with pytest.raises(
        hk.InputError, match="'Acme' for 2026-08: minimum_fee needs prices in one currency, not in EUR, JPY"
    ):
        hk.statement(df, "Acme", "2026-08", prices=several, terms={"minimum_fee": 5})
    taxed = amounts_of(hk.statement(df, "Acme", "2026-08", prices=several, terms={"tax_rate": 10}))
    assert set(taxed) == {"EUR", "JPY"}
