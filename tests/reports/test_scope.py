"""The scope of a report: a part of a history says so, and reads nothing of the rest as spent elsewhere."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest

import histkit as hk
from histkit.frame.clock import zone_of
from histkit.frame.scope import has_index_gaps, scope_of
from histkit.reports.model import Report
from histkit.reports.report import build_report
from histkit.usage.dialogue import count_voices
from histkit.util.text import format_share, format_value

DF = hk.sample_history(2000)
UTC = zone_of("UTC")


def labels(report: Report) -> set[str]:
    return {fact.label for fact in report.facts}


def words(report: Report) -> str:
    return "\n".join(note for section in report.sections for note in section.notes)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (lambda df: df.speech.filter(voice="Rachel"), "part of a history: voice Rachel"),
        (lambda df: df.speech.filter(model=["eleven_v3", "eleven_flash_v2_5"]), "model eleven_v3 or eleven_flash_v2_5"),
        (lambda df: df.speech.filter(text="the").speech.filter(source="TTS"), "text matching 'the', source TTS"),
        (lambda df: df[df["voice_name"] == "Rachel"], "of 2,000 rows that were read"),
        (lambda df: df.sample(frac=0.5, random_state=1), "1,000 of 2,000 rows that were read"),
        (lambda df: hk.label(df.speech.filter(voice="Rachel"), [{"label": "A", "model": "eleven_v3"}]), "voice Rachel"),
    ],
)
def test_a_part_says_so_and_has_no_ledger(part: Any, said: str) -> None:
    frame = part(DF)
    subscription = {"character_count": 10, "character_limit": 100, "next_character_count_reset_unix": 1795000000}
    found = build_report(frame, subscription=subscription, now="2026-11-01")
    assert said in found.subtitle
    assert "part of a history: " in found.subtitle
    assert "Unseen" not in labels(found)
    ledger = next(section for section in found.sections if section.key == "ledger")
    assert not ledger.tables
    assert "Not for a part of a history" in ledger.notes[0]
    quota = next(section for section in found.sections if section.key == "quota")
    assert not quota.charts
    assert "credits that the counter shows" not in words(found)
    assert "The rest of the history" in words(found)
    assert "Only the rows of this report are compared" in words(found)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (lambda df: df.speech.filter(after="2026-01-01", before="2026-10"), "from 2026-01-01, before 2026-10-01"),
        (lambda df: df.iloc[300:900], "600 of 2,000 rows that were read"),
    ],
)
def test_a_span_of_dates_keeps_its_ledger(part: Any, said: str) -> None:
    frame = part(DF)
    found = build_report(frame)
    assert said in found.subtitle
    unseen = next(fact.value for fact in found.facts if fact.label == "Unseen")
    assert unseen == hk.ledger(frame, "MS").attrs["histkit"]["unseen"]
    ledger = next(section for section in found.sections if section.key == "ledger")
    assert ledger.tables
    assert len(ledger.notes) == 1


def test_a_whole_history_says_nothing_of_a_part() -> None:
    for frame in (DF, DF.sample(frac=1, random_state=3), DF.reset_index(drop=True), DF.drop(columns="extra")):
        found = build_report(frame)
        assert "part of" not in found.subtitle + words(found)
        assert "not known whether" not in words(found)
        assert "Unseen" in labels(found)


def test_where_it_is_not_known_the_report_says_that() -> None:
    unknown = DF.copy()
    unknown.attrs = {}
    found = build_report(unknown)
    assert "It is not known whether these rows are a whole history." in words(found)
    assert "Unseen" in labels(found)  # nearly every row starts where the one before ended
    sparse = unknown.sample(frac=0.3, random_state=1)
    assert "Unseen" not in labels(build_report(sparse))
    assert "It is not known whether these rows are" in words(build_report(sparse))
    latest = DF[DF["date"] > "2026-06-01"]  # or the index was made anew
    assert "It is not known whether the rows that are left out lie between these." in words(build_report(latest))
    assert "Unseen" not in labels(build_report(latest))
    few_left_out = DF[DF["credits"] > 0].reset_index(drop=True)
    assert hk.ledger(few_left_out).attrs["histkit"]["chained"] > 0.95
    assert "Unseen" not in labels(build_report(few_left_out))
    anew = DF[DF["voice_name"] == "Rachel"].reset_index(drop=True)  # the index doesn't tell any more
    assert scope_of(anew, UTC).gaps is None
    assert "Unseen" not in labels(build_report(anew))


@pytest.mark.parametrize(
    ("index", "gaps"),
    [
        ([0, 1, 2], None),
        ([5, 3, 4], False),
        ([0, 2], True),
        ([7], False),
        ([8, 9, 12], None),
        ([1, 1], None),
        ([-1, 0], None),
        (["a", "b"], None),
        ([], None),
    ],
)
def test_the_index_tells_what_was_left_out(index: list[Any], gaps: bool | None) -> None:
    assert has_index_gaps(pd.DataFrame({"x": 0}, index=pd.Index(index)), 10) is gaps


@pytest.mark.parametrize(
    "facts",
    [
        5,
        {"rows": "many"},
        {"rows": True},
        {"selection": 5},
        {"selection": [5, {"voice": 7, "after": "x", "limit": "y", "text": None}], "rows": 2000},
        {"rows": 10},
    ],
)
def test_facts_of_any_kind_are_no_error(facts: Any) -> None:
    frame = DF.copy()
    frame.attrs["histkit"] = facts
    scope_of(frame, UTC)
    build_report(frame.head(50))


def test_hostile_names_are_one_short_line() -> None:
    frame = DF.copy()
    frame.attrs["histkit"] = {"rows": 2000, "selection": [{"voice": ["a\n\x1b[31m\u202eb", "y" * 500, "c", "d", "e"]}]}
    part = scope_of(frame, UTC).part
    assert "\n" not in part
    assert "\x1b" not in part
    assert "\u202e" not in part
    assert len(part) < 150
    assert part.endswith("or c or 2 more")


def test_a_selection_stays_known_through_files(tmp_path: Path) -> None:
    hk.to_parquet(DF.speech.filter(voice="Rachel"), tmp_path / "rachel.parquet")
    assert scope_of(hk.read_parquet(tmp_path / "rachel.parquet"), UTC) == scope_of(
        DF.speech.filter(voice="Rachel"), UTC
    )


def test_voices_of_dialogues_count() -> None:
    talks = DF[DF["dialogue"].notna()]
    lines = hk.dialogue_lines(talks)
    spoken = set(lines.loc[lines["text"].str.len() > 0, "voice_id"])
    assert count_voices(talks) == len(spoken) > 1
    own = set(DF["voice_id"].dropna().astype(str))
    assert count_voices(DF) == len(own | spoken)
    assert next(fact.value for fact in build_report(talks).facts if fact.label == "Voices") == len(spoken)
    assert count_voices(DF.head(0)) == 0
    for frame, note in ((DF, "those in dialogues included"), (DF.speech.filter(voice="Rachel"), "is not counted")):
        assert next(fact.note for fact in build_report(frame).facts if fact.label == "Voices").endswith(note)


@pytest.mark.parametrize("missing", [0, 1, 10, 1000])
def test_all_is_only_what_is_all(missing: int) -> None:
    values = [Decimal(10_000_000 - missing) / 10_000_000, 1 - missing / 10_000_000, np.float64(1 - missing / 1e7)]
    for value in values:
        assert (format_share(value) == "100.0 %") == (missing == 0)
        assert (format_value(1 - value, "share") == "0.0 %") == (missing == 0)


def test_a_report_that_is_not_priced_to_the_last_credit_says_so(tmp_path: Path) -> None:
    book = {"currency": "EUR", "price": [{"per_1000_credits": "0.30", "account": "a"}]}
    frame = DF.head(400).assign(account="a")
    frame.loc[frame.index[0], ["account", "credits"]] = ["b", 1]
    found = build_report(frame, prices=book)
    note = next(fact.note for fact in found.facts if fact.label == "Cost in EUR")
    assert note == ">99.9 % of the credits are priced"
    hk.report(frame, tmp_path / "report.xlsx", prices=book)
    sheet = openpyxl.load_workbook(tmp_path / "report.xlsx")["Usage by account"]
    header = next(row for row in sheet.iter_rows() if row[0].value == "Account")
    column = next(cell.column for cell in header if cell.value == "Share")
    shares = [sheet.cell(header[0].row + row, column) for row in (1, 2)]
    assert [share.number_format for share in shares] == ['">99.9 %"', '"<0.1 %"']
    assert 0.999 < shares[0].value < 1
    assert "differ by one unit of the last place from a statement" in words(found)
