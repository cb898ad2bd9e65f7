"""Rows that occur twice: exactly those are found, money refuses them, the rest warns once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import histkit as hk
from histkit.frame.keys import repeated_rows

DF = hk.label(hk.sample_history(400, seed=2), {"rule": [{"label": "Acme", "voice": "Rachel"}]})
PRICES = {"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]}
SUBSCRIPTION = {"character_count": 10, "character_limit": 100_000, "tier": "creator"}
OFFICIAL = pd.DataFrame({"period": pd.to_datetime(["2026-09-01"], utc=True), "credits": [1.0]})
NOW = DF["date"].max()

REFUSES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "add_cost": lambda df: hk.add_cost(df, PRICES),
    "cost_table": lambda df: hk.cost_table(df, prices=PRICES),
    "ledger": hk.ledger,
    "statement": lambda df: hk.statement(df, "Acme", "2026-09", prices=PRICES),
    "statement without prices": lambda df: hk.statement(df, "Acme", "2026-09"),
    "statements": lambda df: hk.statements(df, "2026-09"),
    "takes": hk.takes,
    "waste": hk.waste,
    "keepers": hk.keepers,
    "forecast": lambda df: hk.forecast(df, subscription=SUBSCRIPTION, now=NOW),
    "reconcile": lambda df: hk.reconcile(df, official=OFFICIAL),
    "report with prices": lambda df: hk.report(df, "report.md", prices=PRICES),
    "plot_takes": hk.plot_takes,
}
WARNS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "usage_table": hk.usage_table,
    "speakers": hk.speakers,
    "plot_usage": hk.plot_usage,
    "plot_share": hk.plot_share,
    "plot_hours": hk.plot_hours,
    "report": lambda df: hk.report(df, "report.html"),
    "explore": hk.explore,
}


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    yield
    plt.close("all")


def caught(call: Callable[[pd.DataFrame], Any], frame: pd.DataFrame) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", "No installed font has the letters")
        call(frame)
    return found


@pytest.mark.parametrize("name", [*REFUSES, *WARNS])
def test_rows_of_two_reads_that_overlap_are_refused_or_warned_of(name: str, tmp_path: Path) -> None:
    twice = pd.concat([DF.iloc[:300], DF.iloc[252:]])
    says = r"^48 rows of 448 repeat another \(history_item_id '\w+'\), and .+ would count them twice: "
    cure = r"drop them with df\.drop_duplicates\(\"history_item_id\"\)\.$"
    if name in REFUSES:
        with pytest.raises(hk.SchemaError, match=says + cure):
            REFUSES[name](twice)
        assert list(tmp_path.iterdir()) == []
        assert caught(REFUSES[name], twice.drop_duplicates("history_item_id")) == []
        return
    found = caught(WARNS[name], twice)
    assert len(found) == 1
    assert str(found[0].message).startswith("48 rows of 448 repeat another")
    assert found[0].filename == __file__
    assert caught(WARNS[name], twice.drop_duplicates("history_item_id")) == []


def test_a_report_on_rows_that_occur_twice_has_usage_only(tmp_path: Path) -> None:
    twice = pd.concat([DF, DF.iloc[:48]])
    with pytest.warns(UserWarning, match="48 rows of 448 repeat another") as caught:
        hk.report(twice, tmp_path / "twice.md", subscription=SUBSCRIPTION, now=NOW)
    hk.report(DF, tmp_path / "once.md", subscription=SUBSCRIPTION, now=NOW)
    twice_text, once_text = ((tmp_path / f"{name}.md").read_text("utf-8") for name in ("twice", "once"))
    headings = [[line for line in text.splitlines() if line.startswith("## ")] for text in (twice_text, once_text)]
    left_out = ["## Quota", "## Top texts", "## Takes", "## Ledger"]
    assert [line for line in headings[1] if line not in headings[0]] == left_out
    assert [line for line in headings[0] if line not in headings[1]] == []
    assert f"Texts, takes, ledger and quota. {caught[0].message}" in twice_text.replace("\\", "")
    assert "(rows that occur twice are counted twice)" in twice_text
    assert "counted twice" not in once_text
    for fact in ("Thrown away", "Unseen"):
        assert (fact in twice_text, fact in once_text) == (False, True)


@pytest.mark.parametrize("name", [*REFUSES, *WARNS])
def test_a_frame_without_ids_is_taken_with_one_warning(name: str) -> None:
    needed = name in ("takes", "waste", "keepers", "plot_takes", "report", "report with prices", "explore")
    call = (REFUSES | WARNS)[name]
    frame = DF.drop(columns="history_item_id")
    if needed or name.startswith("statement"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(hk.SchemaError, match="no column 'history_item_id'"):
                call(frame)
        return
    found = caught(call, frame)
    assert [str(each.message).startswith("The frame has no column 'history_item_id', so") for each in found] == [True]
    assert caught(call, frame.iloc[:1]) == []


def test_the_right_sums_after_the_cure() -> None:
    twice = pd.concat([DF, DF])
    once = twice.drop_duplicates("history_item_id")
    assert hk.usage_table(once).equals(hk.usage_table(DF))
    assert hk.cost_table(once, prices=PRICES).equals(hk.cost_table(DF, prices=PRICES))


def test_a_merge_that_fans_out_is_refused() -> None:
    projects = pd.DataFrame({"voice_name": ["Rachel", "Rachel"], "project": ["a", "b"]})
    fanned = DF.astype({"voice_name": object}).merge(projects, on="voice_name")
    with pytest.raises(hk.SchemaError, match="repeat another"):
        hk.ledger(fanned)


@pytest.mark.parametrize("kind", ["csv", "parquet", "plain csv"])
def test_files_are_checked_as_frames_are(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.parquet" if kind == "parquet" else "a.csv")
    twice = pd.concat([DF, DF.head(5)])
    if kind == "parquet":
        frame = hk.read_parquet(hk.to_parquet(twice, path))
    else:
        hk.to_csv(twice, path)
        frame = hk.read_csv(path) if kind == "csv" else pd.read_csv(path)
    with pytest.raises(hk.SchemaError, match="5 rows of 405 repeat another"):
        hk.cost_table(frame.assign(date=frame["date"].astype("datetime64[us, UTC]")), prices=PRICES)


def test_accounts_may_share_ids_and_rows_without_an_account_may_not() -> None:
    a, b = (DF.assign(account=pd.Categorical([name] * len(DF))) for name in "ab")
    both = pd.concat([a, b])
    assert caught(hk.usage_table, both) == []
    with pytest.raises(hk.SchemaError, match=r'drop_duplicates\(\["account", "history_item_id"\]\)'):
        hk.ledger(pd.concat([both, a.head(2)]))
    with pytest.raises(hk.SchemaError, match=r'3 rows of 403 .*drop_duplicates\("history_item_id"\)'):
        hk.ledger(pd.concat([a, DF.head(3)]))


ids = st.none() | st.sampled_from(["", "x", "x" * 30, "y" * 20, "é" * 9, "\0" * 20]) | st.text(max_size=20)
accounts = st.sampled_from([None, "a", "b"])


@given(st.lists(st.tuples(ids, accounts), max_size=12), st.sampled_from(["string[pyarrow]", "object", "category"]))
def test_exactly_the_repeated_keys_are_found(keys: list[tuple[str | None, str | None]], dtype: str) -> None:
    names = pd.Series([name for name, _ in keys], dtype=object)
    frame = pd.DataFrame({"history_item_id": names.astype(dtype) if len(keys) else names})
    seen: set[Any] = set()
    expected = [k for k, (name, _) in enumerate(keys) if name and (name in seen or seen.add(name))]
    assert repeated_rows(frame).tolist() == expected
    seen, expected = set(), []
    unnamed = {name for name, account in keys if account is None}
    for k, (name, account) in enumerate(keys):
        key = name if name in unnamed else (name, account)
        if name and key in seen:
            expected.append(k)
        seen.add(key)
    frame["account"] = pd.Categorical([account for _, account in keys])
    assert repeated_rows(frame).tolist() == expected


def test_ids_of_any_kind_and_many_of_them() -> None:
    assert repeated_rows(pd.DataFrame({"history_item_id": [1, 2, 1]})).tolist() == [2]
    assert repeated_rows(pd.DataFrame({"history_item_id": [1.5, None, None]})).tolist() == []
    assert repeated_rows(
        pd.DataFrame({"history_item_id": pd.Series(["\ud800", "\ud801", "\ud800"], dtype=object)})
    ).tolist() == [2]
    many = pd.DataFrame({"history_item_id": pd.array([f"{k:020}" for k in range(100_000)], "string[pyarrow]")})
    assert repeated_rows(pd.concat([many.sample(frac=1, random_state=1), many.iloc[[7, 9]]])).tolist() == [
        100_000,
        100_001,
    ]
