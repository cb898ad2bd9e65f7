"""Statements: what one client is billed for one period, the same bytes each time."""

from __future__ import annotations

import hashlib
import json
import zoneinfo
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from tests.effort import examples

PRICES = {
    "currency": "EUR",
    "price": [{"per_1000_credits": "0.30"}, {"per_1000_credits": "0.25", "valid_from": "2026-08-01"}],
}
RULES = [
    {"label": "Acme", "voice": "Rachel"},
    {"label": "Blue", "model": "eleven_flash_v2_5"},
    {"label": "Nobody", "before": "2000-01-01"},
]
FORMATS = ("md", "html", "xlsx", "csv", "json")
ZONES = sorted(zoneinfo.available_timezones())


def read_at(frame: pd.DataFrame, moment: str) -> pd.DataFrame:
    """Return a frame as if it had been read from the API at a moment."""
    frame = frame.copy(deep=False)
    frame.attrs["histkit"] = {**frame.attrs.get("histkit", {}), "complete": True, "fetched_at": moment}
    return frame


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    return read_at(hk.label(hk.sample_history(3000), RULES), "2027-02-01T00:00:00+00:00")


def facts_of(table: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = table.attrs["histkit"]
    return found


def test_lines_of_0_items_are_explained(tmp_path: Path) -> None:
    frame = hk.sample_history(3000)
    talks = frame[frame["dialogue"].notna()]
    month = talks["date"].max().strftime("%Y-%m")
    for rows, explained in ((talks, True), (frame[frame["voice_name"] == "Rachel"], False)):
        table = hk.statement(rows.assign(client="Acme"), "Acme", month, path=tmp_path / "a.md")
        assert bool((table["items"] == 0).any()) is explained
        assert ("each dialogue is one item" in (tmp_path / "a.md").read_text()) is explained
        assert table["items"].sum() == facts_of(table)["rows"]


def test_a_statement_bills_the_rows_of_the_client_in_the_period(df: pd.DataFrame) -> None:
    table = hk.statement(df, "Acme", "2026-10", tz="Europe/Berlin", prices=PRICES, by=["model"])
    local = df["date"].dt.tz_convert("Europe/Berlin")
    rows = df[(df["client"] == "Acme") & (local.dt.strftime("%Y-%m") == "2026-10")]
    facts = facts_of(table)
    assert facts["totals"]["credits"] == rows["credits"].sum()
    assert facts["totals"]["items"] == facts["rows"] == len(rows)
    assert dict(zip(table["model"], table["credits"], strict=True)) == (
        rows.groupby(rows["model_id"].astype("string"))["credits"].sum().to_dict()
    )
    assert (facts["start"], facts["end"]) == ("2026-10-01T00:00:00+02:00", "2026-11-01T00:00:00+01:00")
    exact = Decimal(int(rows["credits"].sum())) * Decimal("0.25") / 1000
    assert table["cost"].sum() == Decimal(facts["totals"]["cost"]["EUR"]) == round(exact, 2)
    assert table["credits"].is_monotonic_decreasing


def test_the_fingerprint_of_rows_is_of_ids_and_credits(df: pd.DataFrame) -> None:
    table = hk.statement(df, "Blue", "2026-Q3")
    rows = df[(df["client"] == "Blue") & (df["date"] >= "2026-07-01") & (df["date"] < "2026-10-01")]
    lines = sorted(
        f"{name}\t{'' if pd.isna(credits) else credits}\n"
        for name, credits in zip(rows["history_item_id"], rows["credits"], strict=True)
    )
    digest = hashlib.blake2b("".join(lines).encode(), digest_size=8).hexdigest()
    assert facts_of(table)["fingerprint"] == facts_of(table)["rows_fingerprint"] == digest
    assert facts_of(hk.statement(df, "Blue", "2026-Q3", prices=PRICES))["rows_fingerprint"] == digest
    fewer = df.drop(rows.index[0])
    dearer = df.assign(credits=df["credits"].where(df.index != rows.index[0], df["credits"] + 1))
    unknown = df.assign(credits=df["credits"].where(df.index != rows.index[0]))
    prints = {facts_of(hk.statement(each, "Blue", "2026-Q3"))["fingerprint"] for each in (df, fewer, dearer, unknown)}
    assert len(prints) == 4


@pytest.mark.parametrize("kind", FORMATS)
def test_a_month_stated_again_gives_the_same_bytes(df: pd.DataFrame, tmp_path: Path, kind: str) -> None:
    paths = [tmp_path / f"{turn}.{kind}" for turn in range(3)]
    until = df[df["date"] < "2026-10-01"]  # stated before a row of October has come
    shuffled = df.sample(frac=1, random_state=7)
    for path, frame in zip(paths, (until, df, shuffled), strict=True):
        hk.statement(frame, "Acme", "2026-09", path=path, prices=PRICES, tz="America/New_York")
    assert len({path.read_bytes() for path in paths}) == 1


def test_all_statements_are_all_rows_of_the_period(df: pd.DataFrame, tmp_path: Path) -> None:
    period = ("2026-07-10", "2026-10-10")
    found = hk.statements(df, period, folder=tmp_path, format="json", prices=PRICES, tz="Asia/Tokyo")
    local = df["date"].dt.tz_convert("Asia/Tokyo")
    rows = df[
        (local >= pd.Timestamp("2026-07-10", tz="Asia/Tokyo")) & (local < pd.Timestamp("2026-10-10", tz="Asia/Tokyo"))
    ]
    for name in ("characters", "credits"):
        assert found[name].sum() == rows[name].sum()
    assert found["items"].sum() == facts_of(found)["rows"] == len(rows)
    assert found["client"].tolist() == ["Acme", "Blue", "unassigned"]
    for client, path, fingerprint, cost in zip(
        found["client"], found["path"], found["fingerprint"], found["cost"], strict=True
    ):
        own = json.loads(Path(path).read_text())
        alone = hk.statement(df, client, period, prices=PRICES, tz="Asia/Tokyo")
        assert own["fingerprint"] == fingerprint == facts_of(alone)["fingerprint"]
        assert Decimal(own["totals"]["cost"]["EUR"]) == cost == sum(Decimal(line["cost"]) for line in own["lines"])
        assert own["totals"]["credits"] == sum(line["credits"] for line in own["lines"])


@settings(max_examples=examples(20))
@given(zone=st.sampled_from(ZONES), month=st.integers(1, 10), form=st.sampled_from(["M", "W", "Q", "D"]))
def test_periods_are_those_of_the_clock_in_every_zone(zone: str, month: int, form: str) -> None:
    df = hk.label(hk.sample_history(800), RULES)
    local = df["date"].dt.tz_convert(zone)
    iso = local.dt.isocalendar()
    day = pd.Timestamp(2026, month, 3)
    names = {
        "M": (f"2026-{month:02}", local.dt.strftime("%Y-%m")),
        "W": (f"{day:%G-W%V}", iso["year"].astype("string") + "-W" + iso["week"].astype("string").str.zfill(2)),
        "Q": (f"2026-Q{day.quarter}", local.dt.year.astype("string") + "-Q" + local.dt.quarter.astype("string")),
        "D": (f"{day:%Y-%m-%d}", local.dt.strftime("%Y-%m-%d")),
    }
    period, own = names[form]
    assert hk.statements(df, period, tz=zone)["items"].sum() == own.eq(period).sum()


def test_a_client_without_rows_in_the_period_owes_nothing(df: pd.DataFrame, tmp_path: Path) -> None:
    for client, period in (("Nobody", "2026-10"), ("Acme", "2019")):
        table = hk.statement(df, client, period, path=tmp_path / "none.md", prices=PRICES)
        assert table.empty
        assert facts_of(table)["totals"] == {"items": 0, "characters": 0, "credits": 0, "cost": {"EUR": "0.00"}}
        assert "0.00" in (tmp_path / "none.md").read_text()
    assert hk.statements(df, "2019").empty


def test_rows_of_no_client_are_unassigned(df: pd.DataFrame) -> None:
    missing = df.assign(client=df["client"].astype("string").where(df["client"] != "Acme"))
    there = hk.statement(missing, "unassigned", "2026")
    assert (
        facts_of(there)["rows"]
        == (missing["client"].fillna("unassigned").eq("unassigned") & (df["date"].dt.year == 2026)).sum()
    )
    assert hk.statements(missing, "2026")["client"].tolist() == ["Blue", "unassigned"]


def test_unknown_credits_are_told_and_not_billed_as_none(df: pd.DataFrame, tmp_path: Path) -> None:
    frame = df.assign(credits=df["credits"].where(df["voice_name"] != "Rachel"))
    facts = facts_of(hk.statement(frame, "Acme", "2026", prices=PRICES, path=tmp_path / "s.html"))
    assert facts["totals"]["credits"] is None
    assert facts["rows_without_credits"] == facts["rows"] > 0
    assert "are unknown; they count as items, not as 0 credits" in (tmp_path / "s.html").read_text()


def test_facts_of_an_open_month(df: pd.DataFrame) -> None:
    facts = facts_of(hk.statement(df, "Acme", "2026"))
    assert facts["open"]
    assert facts["newest"] == df["date"].max().isoformat(timespec="seconds")
    assert not facts_of(hk.statement(df, "Acme", "2026-09"))["open"]


def test_clients_of_hostile_names_get_files_of_their_own(tmp_path: Path) -> None:
    names = [
        "../../etc",
        "a/b",
        "A/B",
        "a:b",
        "CON",
        "",
        " ",
        "<script>alert(1)</script>",
        "é",
        "e\u0301",
        "=1+1",
        "x" * 300,
    ]
    df = hk.sample_history(len(names) * 5)
    df["client"] = [names[row % len(names)] for row in range(len(df))]
    found = hk.statements(df, ("2000-01-01", "2100-01-01"), folder=tmp_path, format="html")
    assert len(found) == len(set(names))
    assert len({path.lower() for path in found["path"]}) == len(found)
    assert {path.parent for path in tmp_path.rglob("*.html")} == {tmp_path}
    assert not any("<script>alert(1)" in path.read_text() for path in tmp_path.glob("*.html"))


def test_a_workbook_has_numbers_and_no_formula(df: pd.DataFrame, tmp_path: Path) -> None:
    frame = df.assign(client=df["client"].astype("string").replace("Acme", "=1+1"))
    table = hk.statement(frame, "=1+1", "2026-Q3", path=tmp_path / "s.xlsx", prices=PRICES)
    book = openpyxl.load_workbook(tmp_path / "s.xlsx")
    cells = [cell for sheet in book for row in sheet for cell in row]
    assert not any(cell.data_type == "f" for cell in cells)
    values = [cell.value for cell in cells]
    assert facts_of(table)["totals"]["credits"] in values
    assert float(facts_of(table)["totals"]["cost"]["EUR"]) in values


def test_several_currencies_are_several_rows(df: pd.DataFrame) -> None:
    book = {
        "price": [
            {"currency": "EUR", "per_1000_credits": "0.30", "valid_from": "2026-01-01"},
            {"currency": "JPY", "per_1000_credits": "48", "valid_from": "2026-09-01"},
        ]
    }
    found = hk.statements(df, "2026", prices=book)
    acme = found[found["client"] == "Acme"]
    assert acme["currency"].tolist() == ["EUR", "JPY"]
    assert acme["credits"].sum() == facts_of(hk.statement(df, "Acme", "2026"))["totals"]["credits"]
    totals = facts_of(hk.statement(df, "Acme", "2026", prices=book))["totals"]["cost"]
    assert [Decimal(each) for each in totals.values()] == acme["cost"].tolist()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"client": "Acmee"}, "did you mean 'Acme'"),
        ({"client": "zzz"}, "the clients are 'Acme', 'Blue', 'Nobody', 'unassigned'"),
        ({"client": 5}, "client=5 is not in the column"),
        *(
            ({"period": each}, "is not a period; use a year")
            for each in (
                "7d",
                "2026-10-01T12:00",
                1790812800,
                "2026-13",
                "2026-W60",
                "9999",
                "",
                None,
                ("2026-01-01",),
                (None, None),
            )
        ),
        ({"period": "2026-02-30"}, "is not a period; use 2026-02-28"),
        ({"period": "10/2026"}, "is not a period; use 2026-10"),
        ({"period": 2026}, "period=2026 is not a period; use '2026'"),
        ({"period": ("2026-10-01", "31.10.2026")}, "is not a date; use 2026-10-31"),
        ({"period": ("2026-10-02", "2026-10-02")}, "ends before it starts"),
        ({"path": "s.pdf"}, r"can't hold a statement; use one of \.html, \.xlsx, \.md, \.csv, \.json"),
        ({"path": 5}, "A path must be a non-empty string"),
        ({"column": "project"}, "no column 'project'"),
        ({"tz": "Mars/Base"}, "is not a time zone"),
        ({"by": "cost", "prices": PRICES}, "by='cost' is not possible"),
        ({"title": 7}, "title= must be a string"),
    ],
)
def test_careless_input_gets_one_line(df: pd.DataFrame, change: dict[str, Any], line: str) -> None:
    given: dict[str, Any] = {"client": "Acme", "period": "2026-10", **change}
    with pytest.raises(hk.InputError, match=line) as caught:
        hk.statement(df, given.pop("client"), given.pop("period"), **given)
    assert "\n" not in str(caught.value)


def test_periods_of_pandas_count_too(df: pd.DataFrame) -> None:
    wanted = facts_of(hk.statement(df, "Acme", "2026-Q3", tz="Europe/Berlin"))["totals"]
    assert facts_of(hk.statement(df, "Acme", pd.Period("2026Q3"), tz="Europe/Berlin"))["totals"] == wanted
    assert (
        facts_of(hk.statement(df, "Acme", ("2026-07-01", pd.Timestamp("2026-10-01")), tz="Europe/Berlin"))["totals"]
        == wanted
    )
    assert facts_of(df.speech.statement("Acme", "2026-Q3", tz="Europe/Berlin"))["totals"] == wanted


def test_a_file_that_cannot_be_written_leaves_the_old_one(df: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    with pytest.raises(hk.ArchiveError, match="can't be written"):
        hk.statement(df, "Acme", "2026-10", path=tmp_path / "file" / "s.md")
    with pytest.raises(hk.InputError, match="format='pdf'"):
        hk.statements(df, "2026-10", folder=tmp_path / "out", format="pdf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
