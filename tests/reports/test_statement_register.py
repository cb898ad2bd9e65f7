"""Issued statements: a row is billed at most once, a correction bills the difference, and the register proves it."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.reports.changes import RowMatcher, compare_rows
from histkit.sandbox import Sandbox
from histkit.usage.label_rules import read_rules
from histkit.usage.labels import assign_labels
from tests.conftest import client_of
from tests.effort import examples
from tests.faults.kills import WARM
from tests.reports.test_statement import read_at

LATER = "2027-02-01T00:00:00+00:00"
PRICES = {"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]}
TERMS = {"number": "2026-{n:03}", "issue_date": "2026-09-02", "tax_rate": 19}
ACME = [{"label": "Acme", "voice": "Rachel"}, {"label": "Beta", "voice": "Roger"}]
BETA = [{"label": "Acme", "voice": "Nobody at all"}, {"label": "Beta", "voice": ["Rachel", "Roger"]}]


def labelled(rules: list[dict[str, Any]], items: int = 1500) -> pd.DataFrame:
    column, parsed = read_rules(rules)
    return read_at(assign_labels(hk.sample_history(items), parsed, column), LATER)


@pytest.fixture(scope="module")
def acme() -> pd.DataFrame:
    return labelled(ACME)


@pytest.fixture(scope="module")
def beta() -> pd.DataFrame:
    """The same rows after Rachel's voice has moved from Acme to Beta."""
    return labelled(BETA)


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    return {"prices": PRICES, "terms": TERMS, "register": tmp_path / "register.jsonl"}


def facts_of(table: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = table.attrs["histkit"]
    return found


def problems(register: Path, *rest: Any, **options: Any) -> list[str]:
    return [str(problem) for problem in hk.check_statements(register, *rest, **options)["problem"]]


def billed(register: Path) -> pd.Series:
    """Return how often each row is billed, net of corrections, by client."""
    rows = hk.issued_rows(register)
    net = rows.groupby(["history_item_id", "client"], dropna=False)["sign"].sum()
    return net[net != 0]


def test_a_preview_enters_nothing(acme: pd.DataFrame, options: dict[str, Any]) -> None:
    assert "number" in facts_of(hk.statement(acme, "Acme", "2026-08", **options))
    assert not options["register"].exists()
    assert hk.issued_statements(options["register"]).empty
    assert hk.issued_rows(options["register"]).empty


@pytest.mark.parametrize("kind", ["md", "html", "xlsx", "csv", "json"])
def test_issuing_again_gives_the_same_bytes_and_no_second_entry(
    acme: pd.DataFrame, options: dict[str, Any], tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"acme.{kind}"
    first = facts_of(hk.statement(acme, "Acme", "2026-08", path=path, issue=True, **options))
    assert (first["number"], first["issue_date"], first["again"]) == ("2026-001", "2026-09-02", False)
    before, lines = path.read_bytes(), options["register"].read_bytes()
    shuffled = read_at(acme.sample(frac=1, random_state=5), LATER)
    for change in (lambda: None, path.unlink, lambda: path.write_text("{}" if kind == "json" else "a,b\n")):
        if kind == "xlsx" and change is not path.unlink:
            continue
        if kind == "html" and change is not path.unlink and path.exists():
            path.write_bytes(b"<p>" if change() is not None else before)
        else:
            change()
        again = facts_of(hk.statement(shuffled, "Acme", "2026-08", path=path, issue=True, **options))
        assert again["again"]
        assert again["number"] == "2026-001"
        assert path.read_bytes() == before
    assert options["register"].read_bytes() == lines
    assert problems(options["register"], acme, prices=PRICES) == []


def test_the_same_statement_later_keeps_its_labels_of_voices(options: dict[str, Any], tmp_path: Path) -> None:
    frame = labelled(ACME)
    august = read_at(frame[frame["date"] < "2026-09-01"], LATER)
    path = tmp_path / "acme.md"
    hk.statement(august, "Acme", "2026-08", path=path, issue=True, **options)
    before = path.read_bytes()
    twin = (frame["date"] >= "2026-09-15") & (frame["voice_name"] == "Roger - Laid-Back, Casual, Resonant")
    names = frame["voice_name"].astype(object).where(~twin, "Rachel")  # another voice gets the same name
    now = read_at(frame.assign(voice_name=names), LATER)
    assert "Rachel" not in set(hk.statement(now, "Acme", "2026-08")["voice"])
    path.unlink()
    hk.statement(now, "Acme", "2026-08", path=path, issue=True, **options)
    assert path.read_bytes() == before


def test_a_voice_that_moves_is_not_billed_twice(
    acme: pd.DataFrame, beta: pd.DataFrame, options: dict[str, Any], tmp_path: Path
) -> None:
    register = options["register"]
    first = facts_of(hk.statement(acme, "Acme", "2026-08", path=tmp_path / "a.md", issue=True, **options))
    with pytest.raises(
        hk.InputError, match=r"rows of 'Beta', 2026-08 are billed already by statement 2026-001 of 'Acme'"
    ):
        hk.statement(beta, "Beta", "2026-08", issue=True, **options)
    with pytest.raises(hk.InputError, match=r"issued already, as 2026-001, .* rows went .*now of 'Beta'.*correct=True"):
        hk.statement(beta, "Acme", "2026-08", issue=True, **options)
    assert len(hk.issued_statements(register)) == 1
    table = hk.statement(beta, "Beta", "2026-08", path=tmp_path / "b.md", issue=True, correct=True, **options)
    (credit,) = facts_of(table)["corrections"]
    assert (credit["client"], credit["corrects"], credit["number"]) == ("Acme", "2026-001", "2026-002")
    assert facts_of(table)["number"] == "2026-003"
    issued = hk.issued_statements(register)
    assert issued["total"].iloc[1] == -issued["total"].iloc[0] == -Decimal(first["amounts"]["EUR"]["total"])
    assert "less 2026\\-001" in Path(credit["path"]).read_text() or "less 2026-001" in Path(credit["path"]).read_text()
    net = billed(register)
    truth = beta[(beta["client"] == "Beta") & (beta["date"] >= "2026-08-01") & (beta["date"] < "2026-09-01")]
    assert set(net.index.get_level_values("history_item_id")) == set(truth["history_item_id"])
    assert set(net.index.get_level_values("client")) == {"Beta"}
    assert problems(register, beta, prices=PRICES) == []
    assert any("came" in line for line in problems(register, acme, prices=PRICES))


def test_a_correction_bills_the_difference(acme: pd.DataFrame, options: dict[str, Any], tmp_path: Path) -> None:
    hk.statement(acme, "Acme", "2026-08", path=tmp_path / "a.md", issue=True, **options)
    mine = acme.index[(acme["client"] == "Acme") & (acme["date"] >= "2026-08-01") & (acme["date"] < "2026-09-01")]
    credits = acme["credits"].where(acme.index != mine[0], acme["credits"] + 70_000)
    changed = read_at(acme.assign(credits=credits).drop(mine[1]), LATER)
    with pytest.raises(hk.InputError) as caught:
        hk.statement(changed, "Acme", "2026-08", issue=True, **options)
    message = str(caught.value)
    assert "1 row went (1 no longer in the frame)" in message
    assert "the credits of 1 row changed" in message
    preview = hk.statement(changed, "Acme", "2026-08", correct=True, **options)
    with pytest.raises(hk.InputError, match="is the file of statement 2026-001"):
        hk.statement(changed, "Acme", "2026-08", path=tmp_path / "a.md", issue=True, correct=True, **options)
    table = hk.statement(changed, "Acme", "2026-08", path=tmp_path / "c.md", issue=True, correct=True, **options)
    pd.testing.assert_frame_equal(table, preview)
    full = hk.statement(changed, "Acme", "2026-08", prices=PRICES, terms=TERMS)
    issued = hk.issued_statements(options["register"])
    assert issued["total"].sum() == Decimal(facts_of(full)["amounts"]["EUR"]["total"])
    assert issued["credits"].sum() == full["credits"].sum()
    assert table["cost"].sum() == issued["lines"].iloc[1] == Decimal(facts_of(table)["amounts"]["EUR"]["lines"])
    assert table["credits"].sum() == issued["credits"].iloc[1]
    assert facts_of(table)["changes"] == {"came": 0, "went": 1, "credits": 1, "price": 0}
    assert problems(options["register"], changed, prices=PRICES) == []
    before = (tmp_path / "c.md").read_bytes()
    (tmp_path / "c.md").unlink()
    again = hk.statement(changed, "Acme", "2026-08", path=tmp_path / "c.md", issue=True, **options)
    assert (tmp_path / "c.md").read_bytes() == before
    assert facts_of(again)["number"] == "2026-002"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prices": {"currency": "EUR", "price": [{"per_1000_credits": "0.60"}]}}, r"the price of \d+ rows changed"),
        ({"terms": {**TERMS, "tax_rate": 7}}, r"the terms changed \(tax_rate\)"),
        ({"terms": {**TERMS, "notes": "Hello"}}, r"the terms changed \(notes\)"),
        ({"by": "model"}, r"the terms changed \(by\)"),
        ({"title": "Other"}, r"the terms changed \(title\)"),
        ({"locale": "de_DE"}, r"the terms changed \(locale\)"),
        ({"number": "2026-77"}, "issued already, as 2026-001, not as 2026-77"),
        ({"issue_date": "2026-09-30"}, "as 2026-001 of 2026-09-02, not of 2026-09-30"),
    ],
)
def test_what_changed_since_is_said(acme: pd.DataFrame, options: dict[str, Any], change: Any, words: str) -> None:
    hk.statement(acme, "Acme", "2026-08", issue=True, **options)
    with pytest.raises(hk.InputError, match=words):
        hk.statement(acme, "Acme", "2026-08", issue=True, **{**options, **change})
    if "not" not in words:
        hk.statement(acme, "Acme", "2026-08", issue=True, correct=True, **{**options, **change})
        assert problems(options["register"]) == []


def test_overlapping_periods_bill_no_row_twice(acme: pd.DataFrame, options: dict[str, Any]) -> None:
    hk.statement(acme, "Acme", "2026-08", issue=True, **options)
    with pytest.raises(hk.InputError, match="billed already by statement 2026-001 of 'Acme', 2026-08") as caught:
        hk.statement(acme, "Acme", "2026-Q3", issue=True, **options)
    assert "correct=True" not in str(caught.value)  # it would be refused
    assert str(caught.value).endswith("Use periods that don't overlap.")
    with pytest.raises(
        hk.InputError, match=r"12 rows would be billed twice: they belong to 'Acme', 2026-Q3 \(UTC\) and"
    ):
        hk.statement(acme, "Acme", "2026-Q3", issue=True, correct=True, **options)
    named = read_at(acme.assign(account="studio"), LATER)  # read without accounts before
    with pytest.raises(hk.InputError, match="billed already by statement 2026-001"):
        hk.statement(named, "Acme", "2026-Q3", issue=True, **options)
    for month in ("2026-07", "2026-09"):  # as advised
        hk.statement(acme, "Acme", month, issue=True, **options)
    quarter = acme[(acme["client"] == "Acme") & (acme["date"] >= "2026-07-01") & (acme["date"] < "2026-10-01")]
    assert hk.issued_statements(options["register"])["credits"].sum() == quarter["credits"].sum()
    assert problems(options["register"], acme, prices=PRICES) == []


def test_a_row_billed_in_a_month_of_another_zone_is_moved_as_the_message_says(
    acme: pd.DataFrame, options: dict[str, Any]
) -> None:
    """31 July, 22:30 UTC: of July, as Old was billed, and of August for New, in Berlin."""
    rows = acme.head(3).assign(
        credits=1000,
        voice_name="Rachel",
        date=pd.to_datetime(["2026-07-31T22:30Z", "2026-07-10T09:00Z", "2026-08-10T09:00Z"]),
    )
    old = read_at(hk.label(rows, [{"label": "Old", "voice": "Rachel"}]), LATER)
    hk.statement(old, "Old", "2026-07", issue=True, **options)

    def moved(day: str) -> pd.DataFrame:
        rules = [
            {"label": "New", "voice": "Rachel", "after": day},
            {"label": "Old", "voice": "Rachel", "before": day},
        ]
        return read_at(hk.label(rows, rules, tz="Europe/Berlin"), LATER)

    berlin = {**options, "tz": "Europe/Berlin", "issue": True}
    advice = "write dates with an offset into the rules, as in 2026-08-01T00:00:00+02:00: these are the same"
    for correct in (False, True):
        with pytest.raises(hk.InputError) as caught:
            hk.statement(moved("2026-08-01"), "New", "2026-08", correct=correct, **berlin)
        assert advice in str(caught.value)
        assert "statement 2026-001 of 'Old', 2026-07 is of UTC" in str(caught.value)
        assert "correct=True" not in str(caught.value)
    with pytest.raises(hk.InputError, match=r"With correct=True, a correction credits them there first\.$"):
        hk.statement(moved("2026-08-01T00:00:00+02:00"), "New", "2026-08", **berlin)
    hk.statement(moved("2026-08-01T00:00:00+02:00"), "New", "2026-08", correct=True, **berlin)
    issued = hk.issued_statements(options["register"])
    assert issued[["client", "credits"]].to_numpy().tolist() == [["Old", 2000], ["Old", -1000], ["New", 2000]]
    assert problems(options["register"], moved("2026-08-01T00:00:00+02:00"), prices=PRICES) == []


@pytest.fixture(scope="module")
def agency(acme: pd.DataFrame) -> pd.DataFrame:
    return read_at(acme.assign(account="agency"), LATER)


@pytest.fixture(scope="module")
def studio(acme: pd.DataFrame) -> pd.DataFrame:
    """The same rows after the account got another name."""
    return read_at(acme.assign(account="studio"), LATER)


RENAMED = r"another account than in the register \('studio', billed under 'agency'\), and known by their ids"


def test_rows_of_a_renamed_account_are_not_billed_again(
    agency: pd.DataFrame, studio: pd.DataFrame, options: dict[str, Any], tmp_path: Path
) -> None:
    register = options["register"]
    hk.statement(agency, "Acme", "2026-08", path=tmp_path / "a.md", issue=True, **options)
    before = register.read_bytes()
    with pytest.warns(UserWarning, match=RENAMED):
        again = hk.statement(studio, "Acme", "2026-08", path=tmp_path / "a.md", issue=True, **options)
    assert facts_of(again)["again"]
    for period, client, column in (("2026-Q3", "Acme", "client"), ("2026-08", "studio", "account")):
        with pytest.raises(hk.InputError, match="billed already by statement 2026-001 of 'Acme'") as caught:
            hk.statement(studio, client, period, column=column, issue=True, **options)
        assert re.search(RENAMED, str(caught.value))
    assert register.read_bytes() == before
    with pytest.warns(UserWarning, match=RENAMED):
        assert problems(register, studio, prices=PRICES) == []
    credits = studio["credits"].where(studio["client"] != "Acme", studio["credits"] + 1)
    more = read_at(studio.assign(credits=credits), LATER)
    with pytest.warns(UserWarning, match=RENAMED):
        hk.statement(more, "Acme", "2026-08", path=tmp_path / "c.md", issue=True, correct=True, **options)
    assert problems(register, more, prices=PRICES) == []  # all its rows are of the new name now
    assert (hk.issued_rows(register).groupby("history_item_id")["sign"].sum() == 1).all()


ROWS = st.dictionaries(
    st.sampled_from([f"id{n}" for n in range(6)]), st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 2))
)


def as_billed(rows: dict[str, tuple[str | None, int]]) -> pd.DataFrame:
    text = pd.StringDtype("pyarrow")
    return pd.DataFrame(
        {
            "account": pd.array([account for account, _ in rows.values()], dtype=text),
            "history_item_id": pd.array([*rows], dtype=text),
            "credits": pd.array([credits for _, credits in rows.values()], dtype="Int64"),
            "price": pd.array([None] * len(rows), dtype=text),
        }
    )


@settings(max_examples=examples(12), deadline=None)
@given(before=ROWS, now=ROWS)
def test_rows_are_compared_by_their_ids(before: dict[str, Any], now: dict[str, Any]) -> None:
    matcher = RowMatcher()
    signed, counts, went = compare_rows(as_billed(before), as_billed(now), matcher)
    both = before.keys() & now.keys()
    changed = {item for item in both if before[item][1] != now[item][1]}
    lost, new = before.keys() - both, now.keys() - both
    assert counts == {"came": len(new), "went": len(lost), "credits": len(changed), "price": 0}
    assert set(went["history_item_id"]) == lost
    expected = {(item, *before[item], -1) for item in lost | changed} | {
        (item, *now[item], 1) for item in new | changed
    }
    columns = ["history_item_id", "account", "credits", "sign"]
    found = {tuple(None if pd.isna(cell) else cell for cell in row) for row in signed[columns].itertuples(index=False)}
    assert found == expected
    names = {(before[item][0], now[item][0]) for item in both}
    assert matcher.renamed == {(old, name) for old, name in names if old and name and old != name}
    assert set(matcher.common(as_billed(before), as_billed(now))["history_item_id"]) == both


def test_rows_under_two_names_of_an_account_are_not_issued(
    agency: pd.DataFrame, studio: pd.DataFrame, options: dict[str, Any], tmp_path: Path
) -> None:
    """As after a sync of the same account under another name into the same folder."""
    both = read_at(pd.concat([agency, studio.iloc[: len(studio) // 2]], ignore_index=True), LATER)
    month = both[(both["date"] >= "2026-08-01") & (both["date"] < "2026-09-01")]
    month = month[month["history_item_id"].duplicated(keep=False)]
    for column, client in (("client", "Acme"), ("account", "studio")):
        count = int((month[column] == client).sum())
        preview = hk.statement(both, client, "2026-08", column=column, path=tmp_path / "a.md", **options)
        (reason,) = facts_of(preview)["provisional"]
        assert reason.startswith(f"{count} rows are there under two accounts")
        assert "two accounts" in (tmp_path / "a.md").read_text()
        with pytest.raises(hk.InputError, match="leave out those of one account"):
            hk.statement(both, client, "2026-08", column=column, issue=True, **options)
    assert "two accounts" in facts_of(hk.statements(both, "2026-08", **options))["provisional"][0]
    one = read_at(both[both["account"] == "agency"], LATER)
    hk.statement(one, "Acme", "2026-08", issue=True, **options)
    assert problems(options["register"], agency, prices=PRICES) == []
    rest = read_at(both[~both["history_item_id"].duplicated(keep=False)], LATER)
    assert facts_of(hk.statement(rest, "Acme", "2026-08", **options))["provisional"] == []


def test_a_client_stays_in_one_zone(acme: pd.DataFrame, options: dict[str, Any]) -> None:
    berlin = {**options, "tz": "Europe/Berlin", "issue": True}
    hk.statement(acme, "Acme", "2026-08", **berlin)
    for period in ("2026-08", "2026-09", "2026-07"):
        for correct in (False, True):
            with pytest.raises(
                hk.InputError, match=r"2026-001 of 'Acme', 2026-08 is in Europe/Berlin, and this one, .*UTC"
            ):
                hk.statement(acme, "Acme", period, issue=True, correct=correct, **options)
    assert len(hk.issued_statements(options["register"])) == 1
    hk.statement(acme, "Acme", "2026-09", **{**berlin, "tz": "Europe/Vienna"})  # the same days
    bridge = (pd.Timestamp("2026-10-01", tz="Europe/Berlin"), pd.Timestamp("2026-11-01", tz="UTC"))
    hk.statement(acme, "Acme", bridge, issue=True, **options)
    hk.statement(acme, "Acme", "2026-11", issue=True, **options)
    hk.statement(acme, "Beta", "2026-08", issue=True, **options)  # a client of its own zone
    assert problems(options["register"], acme, prices=PRICES) == []


def test_rows_between_periods_of_a_client_are_named(acme: pd.DataFrame, options: dict[str, Any]) -> None:
    hk.statement(acme, "Acme", "2026-07", issue=True, **options)
    assert problems(options["register"], acme, prices=PRICES) == []  # what was not billed before or after is no gap
    hk.statement(acme, "Acme", "2026-09", issue=True, **options)
    between = acme[(acme["client"] == "Acme") & (acme["date"] >= "2026-08-01") & (acme["date"] < "2026-09-01")]
    assert len(between)
    found = hk.check_statements(options["register"], acme, prices=PRICES)
    assert found[["kind", "client"]].to_numpy().tolist() == [["unbilled", "Acme"]]
    assert f"{len(between)} rows of 'Acme' between its periods are in no statement" in found["problem"].iloc[0]
    assert between["date"].min().strftime("%Y-%m-%dT%H:%M:%S") in found["problem"].iloc[0]
    assert problems(options["register"], acme, column=None) == []  # whose they are is not known


def test_a_preview_of_a_correction_is_one_or_says_why(acme: pd.DataFrame, beta: pd.DataFrame, options: Any) -> None:
    with pytest.raises(hk.InputError, match=r"Nothing was issued to 'Acme' for 2026-08.* nothing to correct"):
        hk.statement(acme, "Acme", "2026-08", correct=True, **options)
    hk.statement(acme, "Acme", "2026-08", issue=True, **options)
    with pytest.raises(hk.InputError, match=r"as 2026-001, and nothing has changed since: there is nothing to correct"):
        hk.statement(acme, "Acme", "2026-08", correct=True, **options)
    facts = facts_of(hk.statement(beta, "Beta", "2026-08", correct=True, **options))
    assert [(other["corrects"], other["client"]) for other in facts["corrections"]] == [("2026-001", "Acme")]
    assert len(hk.issued_statements(options["register"])) == 1


def test_all_clients_are_issued_together_or_none(
    acme: pd.DataFrame, beta: pd.DataFrame, options: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "bills"
    first = hk.statements(acme, "2026-08", folder=folder, format="md", issue=True, **options)
    assert first["client"].tolist() == ["Acme", "Beta", "unassigned"]
    assert first["number"].tolist()[:2] == ["2026-001", "2026-002"]
    assert pd.isna(first["number"].iloc[2])
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    hk.statements(acme, "2026-08", folder=folder, format="md", issue=True, **options)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    lines = options["register"].read_bytes()
    with pytest.raises(hk.InputError, match="differs now"):
        hk.statements(beta, "2026-08", folder=folder, format="md", issue=True, **options)
    assert options["register"].read_bytes() == lines
    table = hk.statements(beta, "2026-08", folder=folder, format="md", issue=True, correct=True, **options)
    assert table["corrects"].tolist()[:2] == ["2026-001", "2026-002"]
    assert {name: (folder / name).read_bytes() for name in files} == files
    assert problems(options["register"], beta, prices=PRICES) == []
    assert set(billed(options["register"]).index.get_level_values("client")) == {"Beta"}


def test_rows_that_all_went_to_nobody_are_not_forgotten(acme: pd.DataFrame, options: dict[str, Any]) -> None:
    hk.statements(acme, "2026-08", issue=True, **options)
    nobody = labelled([{"label": "Beta", "voice": "Roger"}])
    with pytest.raises(hk.InputError, match="'Acme', 2026-08 is issued already"):
        hk.statements(nobody, "2026-08", issue=True, **options)
    table = hk.statements(nobody, "2026-08", issue=True, correct=True, **options)
    assert table.loc[table["client"] == "Acme", "credits"].iloc[0] < 0
    assert problems(options["register"], nobody) == []
    assert facts_of(hk.statement(nobody, "Acme", "2026-08", issue=True, **options))["again"]


def test_a_local_history_has_its_register_and_readers_ignore_it(tmp_path: Path, box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=300)
    folder = tmp_path / "history"
    hk.sync(folder, client=client_of(box), progress=False)
    frame = hk.load(folder)
    month = frame["date"].min().strftime("%Y-%m")
    facts = facts_of(hk.statement(frame.assign(client="Acme"), "Acme", month, issue=True))
    assert facts["register"] == str(folder / "_statements.jsonl")
    assert hk.issued_statements(folder)["number"].tolist() == [facts["number"]]
    assert len(pd.read_parquet(folder)) == len(hk.load(folder)) == 300
    assert len(hk.scan(folder).compute()) == 300
    hk.sync(folder, client=client_of(box), progress=False)  # warns of no stray file
    stranger = frame.assign(client="Acme")
    stranger.attrs = {"histkit": {"path": str(tmp_path / "elsewhere")}}
    with pytest.raises(hk.InputError, match="pass register="):
        hk.statement(stranger, "Acme", month, issue=True)


def test_other_files_are_no_registers(acme: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text("[[rule]]\n")
    for name in ("rules.toml", "a.parquet"):
        with pytest.raises(hk.InputError, match="register"):
            hk.statement(acme, "Acme", "2026-08", issue=True, register=tmp_path / name)
    assert (tmp_path / "rules.toml").read_text() == "[[rule]]\n"
    with pytest.raises(hk.InputError, match="needs a file that stays"):
        hk.statement(acme, "Acme", "2026-08", path="-", issue=True, register=tmp_path / "r.jsonl")


@pytest.fixture(scope="module")
def three(acme: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a register of three statements and their files."""
    folder = tmp_path_factory.mktemp("three")
    for month in ("2026-07", "2026-08", "2026-09"):
        hk.statement(
            acme,
            "Acme",
            month,
            path=folder / f"{month}.md",
            prices=PRICES,
            terms=TERMS,
            issue=True,
            register=folder / "register.jsonl",
        )
    return folder


def copied(three: Path, folder: Path) -> Path:
    for path in three.glob("[!.]*"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder / "register.jsonl"


@settings(max_examples=examples(60))
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_named(three: Path, place: float, bit: int) -> None:
    data = bytearray((three / "register.jsonl").read_bytes())
    position = int(place * len(data))
    line = data[:position].count(b"\n") + 1
    data[position] ^= 1 << bit
    register = three / "flipped.jsonl"
    register.write_bytes(data)
    found = problems(register)
    assert found
    assert f"line {line}" in found[0] or "ends in a line" in found[0]


def test_lines_that_were_removed_moved_or_cut_are_named(
    three: Path, tmp_path: Path, acme: pd.DataFrame, options: dict[str, Any]
) -> None:
    register = copied(three, tmp_path)
    lines = register.read_bytes().splitlines(keepends=True)
    for changed, words in (
        (lines[1:], "line 1: it doesn't follow"),
        ([lines[0], lines[2]], "line 2: it doesn't follow"),
        ([lines[1], lines[0], lines[2]], "line 1: it doesn't follow"),
        ([lines[0], b"\n", *lines[1:]], "line 2: it is not a line of a register"),
    ):
        register.write_bytes(b"".join(changed))
        assert any(words in line for line in problems(register)), words
        with pytest.raises(hk.ArchiveError, match="Nothing is issued"):
            hk.statement(acme, "Acme", "2026-06", issue=True, **options)
        assert register.read_bytes() == b"".join(changed)
    register.write_bytes(b"".join(lines)[:-100])  # of a copy without the head, as a kill leaves it
    (line,) = [line for line in problems(register) if "ends in a line" in line]
    assert "the next issue removes it" in line
    facts = facts_of(hk.statement(acme, "Acme", "2026-06", issue=True, **options))
    assert facts["number"] == "2026-003"  # the cut line does not count
    (tmp_path / ".register.jsonl.head").unlink()
    register.write_bytes(b"".join(lines).rstrip(b"\n"))  # as some editors do
    assert problems(register) == []
    facts = facts_of(hk.statement(acme, "Acme", "2026-06", issue=True, **options))
    assert facts["number"] == "2026-004"
    assert problems(register) == []


def test_a_register_that_lost_its_end_is_not_gone_on_with(
    acme: pd.DataFrame, options: dict[str, Any], tmp_path: Path
) -> None:
    register = options["register"]
    hk.statement(acme, "Acme", "2026-07", issue=True, **options)
    older = register.read_bytes()
    hk.statement(acme, "Acme", "2026-08", issue=True, **options)
    newer = register.read_bytes()
    for lost, words in (
        (older, "lacks the last line"),
        (newer[:-1000], "lacks the last line"),
        (newer[:-40].replace(b"Acme", b"Beta"), ""),
        (b"", "lacks the last line"),
        (None, "is gone"),
    ):
        if lost is None:
            register.unlink()
        else:
            register.write_bytes(lost)
        assert any(words in line for line in problems(register))
        for month in ("2026-08", "2026-09"):
            with pytest.raises(hk.ArchiveError, match="Nothing is issued"):
                hk.statement(acme, "Acme", month, issue=True, **options)
        assert register.exists() == (lost is not None)
    register.write_bytes(newer)
    (tmp_path / ".register.jsonl.head").write_text(older.rsplit(b'"', 2)[1].decode())  # a kill before the head's turn
    assert problems(register) == []
    assert facts_of(hk.statement(acme, "Acme", "2026-08", issue=True, **options))["again"]


def test_a_link_to_a_register_is_the_register(acme: pd.DataFrame, options: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link = tmp_path / "far" / "link.jsonl"
    link.symlink_to(options["register"])
    hk.statement(acme, "Acme", "2026-07", path=tmp_path / "a.md", issue=True, **options)
    hk.statement(acme, "Acme", "2026-08", path=tmp_path / "b.md", issue=True, **{**options, "register": link})
    assert link.is_symlink()
    assert problems(link) == problems(options["register"]) == []
    assert not list((tmp_path / "far").glob(".*"))


@pytest.mark.parametrize("name", ["a.md", "link.md"])
def test_the_file_of_a_statement_is_written_by_no_other(
    acme: pd.DataFrame, options: dict[str, Any], tmp_path: Path, name: str
) -> None:
    hk.statement(acme, "Acme", "2026-08", path=tmp_path / "a.md", issue=True, **options)
    hk.statement(acme, "Beta", "2026-08", path=tmp_path / "b.md", issue=True, **options)
    (tmp_path / "link.md").symlink_to("a.md")
    before = (tmp_path / "a.md").read_bytes()
    for client, month, more in (
        ("Beta", "2026-08", {"issue": True}),  # again
        ("Acme", "2026-09", {"issue": True}),
        ("Acme", "2026-08", {}),
        ("Acme", "2026-08", {"correct": True}),
    ):
        with pytest.raises(hk.InputError, match=r"is the file of statement 2026-001"):
            hk.statement(acme, client, month, path=tmp_path / name, **more, **options)
    folder = named_as_issued(acme, options, tmp_path)
    with pytest.raises(hk.InputError, match="is the file of statement"):
        hk.statements(acme, "2026-08", folder=folder, **options)
    assert (tmp_path / "a.md").read_bytes() == before
    assert problems(options["register"]) == []


def named_as_issued(acme: pd.DataFrame, options: dict[str, Any], folder: Path) -> Path:
    """Issue a month into a folder, where the previews of the month have the same names."""
    hk.statements(acme, "2026-06", folder=folder / "all", issue=True, **options)
    for path in (folder / "all").glob("*2026-06*"):
        (folder / "all" / path.name.replace("2026-06", "2026-08")).symlink_to(path.name)
    return folder / "all"


def test_a_correction_needs_what_the_statement_was_computed_with(acme: pd.DataFrame, options: dict[str, Any]) -> None:
    hk.statement(acme, "Acme", "2026-08", tz="Europe/Berlin", issue=True, **options)
    before = options["register"].read_bytes()
    for change, words in (
        ({"prices": None, "terms": None}, "with prices: pass prices="),
        ({"terms": None}, "a markup or a tax: pass terms="),
        ({"tz": "Europe/Paris"}, "in Europe/Berlin: pass tz='Europe/Berlin'"),
    ):
        for issue in (True, False):
            arguments = {"tz": "Europe/Berlin", "issue": issue, "correct": True, **options, **change}
            with pytest.raises(hk.InputError, match=words):
                hk.statement(acme, "Acme", "2026-08", **arguments)
    assert options["register"].read_bytes() == before


def test_clients_of_another_column_are_not_corrected(acme: pd.DataFrame, options: dict[str, Any]) -> None:
    projects = read_at(acme.assign(project="Film"), LATER)
    hk.statement(projects, "Film", "2026-08", column="project", issue=True, **options)
    for correct, words in ((False, "billed already"), (True, "with column='project'")):
        with pytest.raises(hk.InputError, match=words):
            hk.statement(projects, "Acme", "2026-08", issue=True, correct=correct, **options)
    assert len(hk.issued_statements(options["register"])) == 1
    assert problems(options["register"], projects) == []


def test_the_days_of_prices_are_those_of_each_statement(acme: pd.DataFrame, options: dict[str, Any]) -> None:
    """A price from a day on is another one at night in another zone."""
    night = acme.iloc[:2].assign(
        client=["Acme", "Beta"], credits=1000, date=pd.to_datetime(["2026-08-31T22:30Z", "2026-09-10T00:00Z"])
    )
    prices = {
        "currency": "EUR",
        "price": [{"per_1000_credits": "1"}, {"per_1000_credits": "2", "valid_from": "2026-09-01"}],
    }
    options = {**options, "prices": prices, "terms": None, "issue": True}
    hk.statement(read_at(night, LATER), "Acme", "2026-09", tz="Europe/Berlin", **options)
    night.loc[night.index[0], "client"] = "Beta"
    table = hk.statement(read_at(night, LATER), "Beta", ("2026-08-15", "2026-09-15"), correct=True, **options)
    assert [line["number"] for line in facts_of(table)["corrections"]] == ["2026-0002"]
    issued = hk.issued_statements(options["register"])
    assert issued["total"].astype(str).tolist() == ["2.00", "-2.00", "3.00"]
    assert problems(options["register"], read_at(night, LATER), prices=prices) == []


def test_a_row_is_billed_once_over_all_registers_of_a_history(tmp_path: Path, box_of: Callable[..., Sandbox]) -> None:
    with client_of(box_of(items=300)) as client:
        hk.sync(tmp_path / "history", client=client, progress=False)
    frame = read_at(assign_labels(hk.load(tmp_path / "history"), read_rules(ACME)[1], "client"), LATER)
    frame.attrs["histkit"]["path"] = str(tmp_path / "history")
    month = frame.loc[frame["client"] == "Acme", "date"].max().strftime("%Y-%m")
    options: dict[str, Any] = {"prices": PRICES, "issue": True}
    for first, second in ((1, 2), (2, 0), (0, 1)):
        folder = tmp_path / f"from {first}"
        shutil.copytree(tmp_path / "history", folder)
        frame.attrs["histkit"]["path"] = str(folder)
        places = [folder, folder / "a.jsonl", folder / "b.jsonl"]
        hk.statement(frame, "Acme", month, register=places[first], **options)
        with pytest.raises(hk.InputError, match="in another register of this history: pass register="):
            hk.statement(frame, "Acme", month, register=places[second], **options)
        hk.statement(frame, "Beta", month, register=places[second], **options)
        original = hk.issued_statements(places[first]).attrs["histkit"]["register"]
        copy = folder / "copy.jsonl"
        shutil.copy(original, copy)
        assert facts_of(hk.statement(frame, "Acme", month, register=copy, **options))["again"]
        hk.load(folder)


def test_a_register_of_the_history_that_is_gone_is_named(tmp_path: Path, box_of: Callable[..., Sandbox]) -> None:
    folder = tmp_path / "history"
    with client_of(box_of(items=300)) as client:
        hk.sync(folder, client=client, progress=False)
    frame = assign_labels(hk.load(folder), read_rules(ACME)[1], "client")
    month = frame.loc[frame["client"] == "Acme", "date"].min().strftime("%Y-%m")
    with pytest.raises(hk.InputError, match="provisional"):
        hk.statement(frame.iloc[1:], "Acme", "2100", register=tmp_path / "a.jsonl", issue=True)
    assert not (folder / "_statement_registers.txt").exists()  # nothing was issued there
    hk.statement(frame, "Acme", month, register=tmp_path / "a.jsonl", issue=True)
    (tmp_path / "a.jsonl").rename(tmp_path / "far.jsonl")
    with pytest.raises(hk.ArchiveError, match=r"a\.jsonl is gone .*head.*Nothing is issued"):
        hk.statement(frame, "Acme", month, issue=True)
    (tmp_path / ".a.jsonl.head").unlink()
    with pytest.warns(UserWarning, match=r"a\.jsonl is gone, a register of this history.*_statement_registers\.txt"):
        hk.statement(frame, "Beta", month, issue=True)
    (folder / "_statement_registers.txt").unlink()
    assert facts_of(hk.statement(frame, "Beta", month, issue=True))["again"]


def test_files_that_are_gone_or_changed_are_named(three: Path, tmp_path: Path, acme: pd.DataFrame) -> None:
    register = copied(three, tmp_path)
    (tmp_path / "2026-07.md").unlink()
    (tmp_path / "2026-08.md").write_text("paid")
    assert [line.split("/")[-1] for line in problems(register)] == [
        "2026-07.md is missing: move it there, where it was when it was issued",
        "2026-08.md is not as it was issued",
    ]


def test_what_has_no_name_in_a_group_is_called_so_but_not_the_lines_taken_back(
    acme: pd.DataFrame, options: dict[str, Any], tmp_path: Path
) -> None:
    frame = read_at(acme.assign(api_key=["studio", None, None] * (len(acme) // 3)), LATER)
    hk.statement(frame.iloc[1:], "Acme", "2026-08", by="api_key", path=tmp_path / "a.md", issue=True, **options)
    assert "| (no API key) | " in (tmp_path / "a.md").read_text()
    frame = read_at(frame.assign(credits=frame["credits"] + 1), LATER)
    hk.statement(frame, "Acme", "2026-08", by="api_key", path=tmp_path / "b.md", issue=True, correct=True, **options)
    text = (tmp_path / "b.md").read_text()
    assert "| now | (no API key) | " in text
    assert "| less 2026-001 | – | -" in text


def test_bills_may_move_with_their_register(acme: pd.DataFrame, tmp_path: Path) -> None:
    """Files are named relative to the register: a folder with both, or the folder above both, can go anywhere."""
    for register in ("bills/register.jsonl", "history/_statements.jsonl"):
        before = tmp_path / Path(register).parent.name
        options: dict[str, Any] = {"prices": PRICES, "terms": TERMS, "register": before / register, "issue": True}
        (before / register).parent.mkdir(parents=True)
        for month in ("2026-07", "2026-08"):
            hk.statement(acme, "Acme", month, path=before / "bills" / f"{month}.md", **options)
        after = tmp_path / "far" / before.name
        shutil.move(before, after)
        assert problems(after / register, acme, prices=PRICES) == []
        paths = hk.issued_statements(after / register)["path"].tolist()
        assert paths == [str(after / "bills" / f"{month}.md") for month in ("2026-07", "2026-08")]
        options["register"] = after / register
        again = hk.statement(acme, "Acme", "2026-08", path=after / "bills" / "2026-08.md", **options)
        assert facts_of(again)["again"]
        hk.statement(acme, "Acme", "2026-09", path=after / "bills" / "2026-09.md", **options)
        assert problems(after / register, acme, prices=PRICES) == []
        assert not before.exists()


def test_a_changed_history_is_listed(three: Path, acme: pd.DataFrame) -> None:
    register = three / "register.jsonl"
    august = acme[(acme["client"] == "Acme") & (acme["date"] >= "2026-08-01") & (acme["date"] < "2026-09-01")]
    moved = acme.assign(date=acme["date"].where(acme.index != august.index[0], pd.Timestamp("2026-09-05", tz="UTC")))
    table = hk.check_statements(register, moved, prices=PRICES)
    assert set(table["kind"]) == {"changed"}
    assert table["number"].tolist() == ["2026-002", "2026-003"]
    assert "1 row went" in table["problem"].iloc[0]
    assert table["problem"].iloc[1] == "1 row came"
    without = hk.check_statements(register, moved, column=None)
    assert without["problem"].tolist() == ["1 row went (1 in another period)"]
    assert problems(register, acme, prices={"currency": "EUR", "price": [{"per_1000_credits": 1}]})[0].startswith(
        "the price of"
    )


def test_literal_numbers_are_unique_and_counts_go_around_them(acme: pd.DataFrame, options: dict[str, Any]) -> None:
    hk.statement(acme, "Acme", "2026-06", number="2026-002", issue=True, **options)
    with pytest.raises(hk.InputError, match="number='2026-002' is taken"):
        hk.statement(acme, "Acme", "2026-07", number="2026-002", issue=True, **options)
    numbers = [facts_of(hk.statement(acme, "Acme", m, issue=True, **options))["number"] for m in ("2026-07", "2026-08")]
    assert numbers == ["2026-001", "2026-003"]
    with pytest.raises(hk.InputError, match="a template such as"):
        hk.statements(acme, "2025", issue=True, **{**options, "terms": {"number": "X"}})
    assert problems(options["register"]) == []


MONTHS = ("2026-07", "2026-08")
CLIENTS = ("Acme", "Beta")
STEPS = st.one_of(
    st.tuples(st.just("label"), st.integers(0, 3), st.sampled_from((*CLIENTS, "unassigned"))),
    st.tuples(st.just("credits"), st.integers(0, 7), st.integers(0, 5000)),
    st.tuples(st.just("move"), st.integers(0, 7), st.sampled_from(MONTHS)),
    st.tuples(st.just("drop"), st.integers(0, 7), st.none()),
    st.tuples(st.just("issue"), st.sampled_from(CLIENTS), st.sampled_from(MONTHS)),
    st.tuples(st.just("correct"), st.sampled_from(CLIENTS), st.sampled_from(MONTHS)),
    st.tuples(st.just("all"), st.booleans(), st.sampled_from(MONTHS)),
)
SMALL = hk.sample_history(8)


@settings(max_examples=examples(6))  # up to ten statements each
@given(steps=st.lists(STEPS, min_size=3, max_size=10), seed=st.integers(0, 99))
def test_no_sequence_bills_a_row_twice(tmp_path_factory: pytest.TempPathFactory, steps: list[Any], seed: int) -> None:
    folder = tmp_path_factory.mktemp("sequence")
    dice = np.random.default_rng(seed)
    frame = SMALL.assign(
        client=dice.choice(CLIENTS, 8),
        date=pd.to_datetime([f"{MONTHS[n % 2]}-10" for n in range(8)], utc=True).astype("datetime64[us, UTC]"),
        credits=pd.array(dice.integers(0, 5000, 8), "Int64"),
        state="created",
    )
    gone: set[int] = set()
    options: dict[str, Any] = {"prices": PRICES, "terms": TERMS, "register": folder / "r.jsonl", "issue": True}
    for step, first, second in steps:
        now = read_at(frame.drop(list(gone)), LATER)
        try:
            if step == "label":
                frame.loc[[first, first + 4], "client"] = second
            elif step == "credits":
                frame.loc[first, "credits"] = second
            elif step == "move":
                frame.loc[first, "date"] = pd.Timestamp(f"{second}-10", tz="UTC")
            elif step == "drop" and len(gone) < 6:
                gone.add(first)
            elif step == "all":
                hk.statements(now, second, folder=folder / "all", format="json", correct=first, **options)
            elif step in ("issue", "correct"):
                path = folder / f"{len(list(folder.glob('*.json')))}.json"
                hk.statement(now, first, second, path=path, correct=step == "correct", **options)
        except hk.InputError as error:
            if not any(words in str(error) for words in ("billed already", "issued already", "is not in the column")):
                raise
        net = billed(options["register"])
        assert net.empty or (net == 1).all()
        assert not net.index.get_level_values("history_item_id").duplicated().any()
        assert problems(options["register"]) == []
    now = read_at(frame.drop(list(gone)), LATER)
    for month in MONTHS:
        hk.statements(now, month, correct=True, **options)
    for month in MONTHS:  # the first may have been waiting for the second
        hk.statements(now, month, correct=True, **options)
    net = billed(options["register"])
    truth = now[now["client"] != "unassigned"]
    assert dict(net.index.tolist()) == dict(zip(truth["history_item_id"], truth["client"], strict=True))
    issued = hk.issued_statements(options["register"])
    for client, total in issued.groupby("client")["credits"].sum().items():
        assert total == truth.loc[truth["client"] == client, "credits"].sum()
    for (client, month), lines in issued.groupby(["client", "period"])["lines"].sum().items():
        rows = truth[(truth["client"] == client) & (truth["date"].dt.strftime("%Y-%m") == month)]
        assert lines == round(Decimal(int(rows["credits"].sum())) * Decimal("0.30") / 1000, 2)
    assert problems(options["register"], now, prices=PRICES) == []


def _issue_months(folder: str, months: list[str], name: str) -> None:
    frame = labelled(ACME, 600)
    for month in months:
        hk.statement(
            frame,
            "Acme",
            month,
            path=Path(folder) / f"{name}{month}.html",
            prices=PRICES,
            terms=TERMS,
            issue=True,
            register=Path(folder) / "register.jsonl",
        )


ALL_MONTHS = [f"2026-{month:02}" for month in range(1, 10)]


@pytest.fixture
def processes() -> Iterator[Callable[..., multiprocessing.process.BaseProcess]]:
    started: list[Any] = []

    def start(*arguments: Any) -> Any:
        process = WARM.Process(target=_issue_months, args=arguments)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        if process.is_alive():
            process.kill()
        process.join()


@pytest.mark.parametrize("kills", [6, pytest.param(60, marks=pytest.mark.faults)])
def test_a_killed_issue_loses_and_doubles_nothing(tmp_path: Path, processes: Any, kills: int) -> None:
    dice = random.Random(3)
    done, killed = 0, 0
    while killed < kills and done < 20 * kills:
        months = ALL_MONTHS[: 1 + done % len(ALL_MONTHS)]
        process = processes(str(tmp_path), months, "")
        deadline = time.monotonic() + 120
        before = (tmp_path / "register.jsonl").stat().st_size if (tmp_path / "register.jsonl").exists() else 0
        staging = tmp_path / ".register.jsonl-files"
        while process.is_alive() and time.monotonic() < deadline and not staging.exists():  # an issue has begun
            time.sleep(0.001)
        time.sleep(dice.random() * 0.15)
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.join()
        done += 1
        found = [line for line in problems(tmp_path / "register.jsonl") if "ends in" not in line]
        assert all("not in its place yet" in line for line in found), (found, before)
        for path in tmp_path.glob("*.html"):
            assert path.read_text().endswith("</html>\n") or path.read_text().endswith("</html>")
    final = processes(str(tmp_path), ALL_MONTHS, "")
    final.join()
    assert final.exitcode == 0
    assert problems(tmp_path / "register.jsonl", labelled(ACME, 600), prices=PRICES) == []
    issued = hk.issued_statements(tmp_path / "register.jsonl")
    assert sorted(issued["number"]) == [f"2026-{n:03}" for n in range(1, len(ALL_MONTHS) + 1)]
    names = {path.name for path in tmp_path.iterdir()}
    own = {"register.jsonl", ".register.jsonl.lock", ".register.jsonl.head"}
    assert names == {*own, *(f"{month}.html" for month in ALL_MONTHS)}


def test_processes_that_issue_at_once_get_different_numbers(tmp_path: Path, processes: Any) -> None:
    started = [processes(str(tmp_path), order, "") for order in (ALL_MONTHS, ALL_MONTHS[::-1])]
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0, 0]
    issued = hk.issued_statements(tmp_path / "register.jsonl")
    assert sorted(issued["number"]) == [f"2026-{n:03}" for n in range(1, len(ALL_MONTHS) + 1)]
    assert set(issued["period"]) == set(ALL_MONTHS)
    assert problems(tmp_path / "register.jsonl", labelled(ACME, 600), prices=PRICES) == []


def test_a_disk_that_is_full_leaves_the_register_as_it_was(
    acme: pd.DataFrame, options: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    resource = pytest.importorskip("resource")
    hk.statement(acme, "Acme", "2026-08", issue=True, **options)
    register = options["register"]
    before = register.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (1, 2000):  # bytes of the next line that still fit
        with capfd.disabled():
            try:
                resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, limits[1]))
                with pytest.raises(
                    hk.ArchiveError, match=r"register\.jsonl can't be written: File too large"
                ) as caught:
                    hk.statement(acme, "Acme", "2026-09", issue=True, **options)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert "\n" not in str(caught.value)
        assert register.read_bytes() == before
    hk.statement(acme, "Acme", "2026-09", issue=True, **options)
    assert problems(register) == []


def test_a_file_that_cannot_be_written_is_not_issued(
    acme: pd.DataFrame, options: dict[str, Any], tmp_path: Path
) -> None:
    hk.statement(acme, "Acme", "2026-07", path=tmp_path / "a.md", issue=True, **options)
    before = options["register"].read_bytes()
    (tmp_path / "file").write_text("x")
    with pytest.raises(hk.ArchiveError, match="can't be written"):
        hk.statement(acme, "Acme", "2026-08", path=tmp_path / "file" / "b.md", issue=True, **options)
    assert options["register"].read_bytes() == before
    assert not (tmp_path / ".register.jsonl-files").exists()
