"""Who spent what the history lacks: each credit is assigned to a key and user, or counted as unassigned."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.sandbox import serve
from tests.conftest import client_of
from tests.effort import examples

Answers = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module")
def answers() -> Answers:
    """A history, its workspace's request log, and the official figures by days."""
    with serve(items=600, seed=2) as box:
        client = client_of(box)
        history = hk.read_history(client=client, progress=False)
        log = hk.read_requests(client=client, progress=False)
        days = history["date"].min().normalize(), history["date"].max().normalize() + pd.Timedelta("1D")
        return history, log, hk.official_usage(*days, freq="D", client=client)


def plain(value: Any) -> Any:
    return None if pd.isna(value) else value


@settings(max_examples=examples(12))
@given(
    st.integers(0, 2**31),
    st.integers(0, 2**31),
    st.sampled_from([["api_key", "user"], "user_label", ["product", "status_code"], ["hashed_xi_api_key"]]),
    st.sampled_from(["MS", "W", "QS"]),
)
def test_each_credit_is_assigned_or_counted(answers: Answers, rows: int, lines: int, by: Any, freq: Any) -> None:
    history, log, official = answers
    frame = history.sample(frac=0.7, random_state=rows)  # what a history lacks: deleted rows, other products
    known = log.sample(frac=0.8, random_state=lines)
    known.attrs = log.attrs
    bounds = {"after": history["date"].min(), "before": history["date"].max() + pd.Timedelta("1s")}
    plain_table = hk.reconcile(frame, freq, official=official, **bounds)
    table = hk.reconcile(frame, freq, official=official, requests=known, by=by, **bounds)
    columns = {"api_key": "hashed_xi_api_key", "user": "user_id", "product": "product_type"}
    words = [by] if isinstance(by, str) else by
    ids = set(frame["request_id"])
    expected: dict[Any, list[float | None]] = {}
    for row in known.to_dict("records"):
        period = plain_table["period"][plain_table["period"] <= row["timestamp"]].max()
        if row["request_id"] not in ids and pd.notna(period):
            group = tuple(plain(row[columns.get(word, word)]) for word in words)
            expected.setdefault((period, *(None if each is None else str(each) for each in group)), []).append(
                plain(row["credits"])
            )
    assigned = table[table["assigned"]]
    found = {
        (line["period"], *(plain(line[word]) for word in words)): (line["requests"], plain(line["credits"]))
        for line in assigned.to_dict("records")
    }
    assert found == {
        key: (
            len(costs),
            sum(each for each in costs if each is not None) if any(c is not None for c in costs) else None,
        )
        for key, costs in expected.items()
    }
    outside = (plain_table["official"] - plain_table["history"]).set_axis(plain_table["period"])
    sums = table.groupby("period")["credits"].sum().reindex(outside.index).fillna(0)
    assert sums.tolist() == outside.tolist()
    facts = table.attrs["histkit"]
    assert facts["assigned"] + facts["unassigned"] == outside.sum()


def test_a_log_without_credits_leaves_all_unassigned(answers: Answers) -> None:
    history, log, official = answers
    bare = log.drop(columns="credits")
    bare.attrs = log.attrs
    table = hk.reconcile(history, official=official, requests=bare)
    assert table["credits"][table["assigned"]].isna().all()
    assert table["requests"].sum() == (~log["request_id"].isin(history["request_id"])).sum()
    facts = table.attrs["histkit"]
    assert facts["unassigned"] == facts["official"] - facts["history"]
    assert facts["credits_column"] is None


def test_requests_without_an_id_may_be_in_the_history_and_are_nobodys(answers: Answers) -> None:
    history, log, official = answers
    whole = hk.reconcile(history, official=official, requests=log)
    facts = whole.attrs["histkit"]
    lost = log.assign(request_id=log["request_id"].mask(log["request_id"].isin(history["request_id"].head(50))))
    lost.attrs = log.attrs
    table = hk.reconcile(history, official=official, requests=lost)
    pd.testing.assert_frame_equal(table, whole)
    assert table.attrs["histkit"]["requests_without_id"] == 50
    assert table.attrs["histkit"]["requests_in_history"] == facts["requests_in_history"] - 50


def test_a_day_without_official_figure_has_no_rest(answers: Answers) -> None:
    history, log, official = answers
    official = official.assign(credits=official["credits"].mask(official.index == 3))
    table = hk.reconcile(history, "MS", official=official, requests=log.iloc[:0].assign())
    assert table[~table["assigned"]]["credits"].isna().sum() == 1


@pytest.mark.parametrize(
    ("change", "options", "error", "words"),
    [
        (lambda log: None, {"by": "user"}, hk.InputError, "needs requests="),
        (lambda log: log, {"by": "usr"}, hk.InputError, "'usr' is not possible"),
        (lambda log: log, {"by": []}, hk.InputError, "one or more different words"),
        (lambda log: log, {"by": 5}, hk.InputError, "one or more different words"),
        (lambda log: log, {"by": pd.NA}, hk.InputError, "one or more different words"),
        (lambda log: log, {"by": [["user"]]}, hk.InputError, "one or more different words"),
        (lambda log: log, {"by": ["user", "user"]}, hk.InputError, "one or more different words"),
        (lambda log: log, {"by": "credits"}, hk.InputError, "a column of that name"),
        (lambda log: log.drop(columns="user_id"), {}, hk.SchemaError, "no column user_id or user"),
        (lambda log: log.drop(columns="request_id"), {}, hk.SchemaError, "no column 'request_id'"),
        (lambda log: pd.concat([log, log.head(1)]), {}, hk.SchemaError, "twice"),
        (lambda log: 7, {}, hk.InputError, "A split by requests needs a DataFrame"),
    ],
)
def test_what_can_not_be_split_is_one_line(answers: Answers, change: Any, options: Any, error: Any, words: str) -> None:
    history, log, official = answers
    with pytest.raises(error, match=words) as caught:
        hk.reconcile(history, official=official, requests=change(log), **options)
    assert "\n" not in str(caught.value)


def test_the_requests_of_other_accounts_are_left_out(answers: Answers) -> None:
    history, log, official = answers
    frame = history.sample(frac=0.7, random_state=1)
    expected = hk.reconcile(frame, official=official, requests=log)
    other = log.assign(account="b", request_id="b" + log["request_id"])
    both = pd.concat([log.assign(account="a"), other], ignore_index=True)
    both.attrs = log.attrs
    for name in ("string[pyarrow]", "category", object):
        typed = both.astype({"account": name})
        table = hk.reconcile(frame.assign(account="a"), official=official, requests=typed)
        pd.testing.assert_frame_equal(table, expected)
        assert table.attrs == expected.attrs
    with pytest.raises(hk.InputError, match=r"several accounts \('a', 'b'\).*load_requests\(\.\.\., account="):
        hk.reconcile(frame, official=official, requests=both)
    with pytest.raises(hk.InputError, match="no requests of account 'c'"):
        hk.reconcile(frame.assign(account="c"), official=official, requests=both)
