"""Zones of labels: a statement never bills a row by a date of another zone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.frame.clock import zone_of
from histkit.usage.label_zones import check_label_zone, zoned_bounds
from tests.effort import examples

RULES: list[dict[str, Any]] = [{"label": "New", "after": "2026-09-01"}, {"label": "Old", "before": date(2026, 9, 1)}]
ZONES = ("UTC", "Europe/Berlin", "Asia/Tokyo", "America/New_York", "Pacific/Kiritimati", "Asia/Kolkata")
HISTORY = hk.sample_history(60, seed=5)


def frame_of(*moments: str) -> pd.DataFrame:
    dates = pd.to_datetime([*moments], utc=True).astype("datetime64[us, UTC]")
    return HISTORY.head(len(moments)).assign(date=dates)


LATE = frame_of("2026-08-31T22:30:00Z", "2026-09-05T12:00:00Z", "2026-08-10T12:00:00Z")


def test_a_row_after_midnight_of_the_zone_is_never_billed_to_the_client_of_the_old_month() -> None:
    labelled = hk.label(LATE, RULES)
    message = (
        "1 row of the period may have the wrong label in 'client': its rules read 2026-09-01 as a date of UTC, and "
        "this is a statement of Europe/Berlin; label again with tz='Europe/Berlin', or use tz='UTC' here."
    )
    for call in (
        lambda: hk.statement(labelled, "Old", "2026-09", tz="Europe/Berlin"),
        lambda: hk.statement(labelled, "New", "2026-09", tz="Europe/Berlin"),
        lambda: hk.statements(labelled, "2026-09", tz="Europe/Berlin"),
    ):
        with pytest.raises(hk.InputError) as caught:
            call()
        assert str(caught.value) == message
    right = hk.label(LATE, RULES, tz="Europe/Berlin")
    assert hk.statements(right, "2026-09", tz="Europe/Berlin")[["client", "items"]].values.tolist() == [["New", 2]]
    assert hk.statements(labelled, "2026-09")[["client", "items"]].values.tolist() == [["New", 1]]


def test_rules_with_a_zone_of_their_own_name_the_remedy_in_their_file() -> None:
    labelled = hk.label(LATE, {"tz": "Europe/Berlin", "rule": RULES})
    with pytest.raises(hk.InputError, match=r"write tz = 'UTC' into the rules, or use tz='Europe/Berlin' here\.$"):
        hk.statements(labelled, "2026-08")
    assert len(hk.statements(labelled, "2026-09", tz="Europe/Berlin")) == 1


@pytest.mark.parametrize(
    "after",
    ["2026-09-01T00:00:00Z", "2026-09-01T02:00+02:00", 1788220800, pd.Timestamp("2026-09-01", tz="UTC")],
)
def test_an_instant_is_the_same_in_every_zone(after: Any) -> None:
    labelled = hk.label(LATE, [{"label": "New", "after": after}])
    assert "label_dates" not in labelled.attrs["histkit"]
    assert hk.statements(labelled, "2026-09", tz="Europe/Berlin")["items"].sum() == 2


def test_rows_whose_label_depends_on_no_date_are_billed() -> None:
    rules = [{"label": "Mine", "voice": HISTORY["voice_id"].dropna().astype(str).unique().tolist()}, *RULES]
    alone = LATE[LATE["voice_id"].notna()]
    assert len(hk.statements(hk.label(alone, rules), "2026-09", tz="Europe/Berlin")) == 1
    far = hk.label(LATE.iloc[1:], RULES)  # no row between the two midnights
    assert hk.statements(far, "2026-09", tz="Asia/Tokyo")["items"].tolist() == [1]


@settings(max_examples=examples(25))
@given(
    moments=st.lists(
        st.integers(0, 4 * 24 * 60).map(lambda minutes: datetime(2026, 8, 30, tzinfo=UTC) + timedelta(minutes=minutes)),
        min_size=1,
        max_size=12,
    ),
    rules=st.lists(
        st.fixed_dictionaries(
            {"label": st.sampled_from(["Acme", "Blue", "Zed"])},
            optional={
                "after": st.sampled_from(["2026-09-01", date(2026, 8, 31), "2026-08", "2026-09-01T12:00"]),
                "before": st.sampled_from(["2026-09-02", date(2026, 9, 1), "2026-09", "2026-09-01T00:00Z"]),
                "voice": st.sampled_from(HISTORY["voice_name"].dropna().astype(str).unique().tolist()),
            },
        ).filter(lambda rule: len(rule) > 1 and (rule.get("before") == "2026-09-02" or len(rule) < 3)),
        min_size=1,
        max_size=4,
    ),
    ruled=st.sampled_from(ZONES),
    stated=st.sampled_from(ZONES),
    data=st.data(),
)
@pytest.mark.filterwarnings("ignore:.*match:UserWarning")
def test_what_is_billed_is_what_labels_of_the_statements_zone_bill(
    moments: list[datetime], rules: list[dict[str, Any]], ruled: str, stated: str, data: st.DataObject
) -> None:
    rows = data.draw(
        st.lists(st.integers(0, len(HISTORY) - 1), min_size=len(moments), max_size=len(moments), unique=True)
    )
    dates = pd.to_datetime(moments, utc=True).astype("datetime64[us, UTC]")
    frame = HISTORY.iloc[rows].assign(date=dates)
    right = hk.label(frame, rules, tz=stated)
    labelled = hk.label(frame, rules, tz=ruled)
    period = ("2026-09-01", "2026-10-01")
    try:
        found = hk.statements(labelled, period, tz=stated)
    except hk.InputError:
        assert ruled != stated
        return
    pd.testing.assert_frame_equal(found, hk.statements(right, period, tz=stated))


def test_only_the_dates_that_matter_are_remembered_for_each_column() -> None:
    far = hk.sample_history(20).assign(date=pd.Timestamp("2026-01-01", tz="UTC").as_unit("us"))
    assert "label_dates" not in hk.label(far, RULES).attrs["histkit"]
    labelled = hk.label(LATE, RULES)
    assert json.loads(json.dumps(labelled.attrs["histkit"]))["label_dates"] == {
        "client": {
            "tz": "UTC",
            "own": False,
            "dates": [{"wall": 1788220800, "instant": 1788220800, "labels": ["Old"]}],
        }
    }
    both = hk.label(labelled, [{"label": "A", "before": "2026-09-01"}], column="team", tz="Asia/Tokyo")
    assert set(both.attrs["histkit"]["label_dates"]) == {"client", "team"}
    again = hk.label(both, [{"label": "A", "voice": "Rachel"}])
    assert set(again.attrs["histkit"]["label_dates"]) == {"team"}


def test_a_column_that_was_replaced_and_facts_that_are_broken_refuse_nothing() -> None:
    labelled = hk.label(LATE, RULES)
    mine = labelled.assign(client="Mine")
    assert hk.statements(mine, "2026-09", tz="Europe/Berlin")["items"].tolist() == [2]
    for broken in (5, {"client": 5}, {"client": {"dates": [{}]}}, {"client": {"tz": "x", "own": 1, "dates": 3}}):
        labelled.attrs["histkit"] = {"label_dates": broken}
        check_label_zone(labelled, "client", UTC, np.ones(len(labelled), bool))


@pytest.mark.parametrize(
    "lose",
    [
        lambda labelled: pd.concat([labelled.head(1), hk.label(LATE.iloc[1:], RULES, tz="Europe/Berlin")]),
        lambda labelled: labelled.merge(LATE[["history_item_id"]].assign(project="x"), how="left"),
    ],
    ids=["concat", "merge"],
)
def test_facts_that_pandas_dropped_are_missed_aloud(lose: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    lost = lose(hk.label(LATE, RULES))
    with pytest.warns(UserWarning, match=r"lost its facts on the labels in 'client'.* days of Asia/Tokyo; label the"):
        assert len(hk.statements(lost, "2026-09", tz="Asia/Tokyo")) > 0
    again = hk.label(lost, RULES)  # as the message says: now it is known
    with pytest.raises(hk.InputError, match="wrong label"):
        hk.statements(again, "2026-09", tz="Asia/Tokyo")
    account = lost.assign(account="studio").drop(columns="client")
    assert len(hk.statements(account, "2026-09", column="account", tz="Asia/Tokyo")) == 1  # no rules labelled these


def test_the_facts_are_kept_in_parquet(tmp_path: Any) -> None:
    hk.to_parquet(hk.label(LATE, RULES), tmp_path / "labelled.parquet")
    with pytest.raises(hk.InputError, match="wrong label"):
        hk.statements(hk.read_parquet(tmp_path / "labelled.parquet"), "2026-09", tz="Europe/Berlin")


@pytest.mark.parametrize(
    "value", ["today", "7d", "last month", "this week", "2026-09", pd.Period("2026-09"), "2026-09-01"]
)
def test_a_bound_is_that_of_the_same_date_in_another_zone(value: Any) -> None:
    zone = timezone(timedelta(hours=5))
    (bound,) = zoned_bounds({"after": value, "before": None}, zone)
    assert bound.wall - bound.instant == 5 * 3600
    assert bound.wall % 86_400 == 0
    assert next(zoned_bounds({"after": value}, zone_of("Asia/Tokyo"))).instant == pytest.approx(
        bound.instant - 4 * 3600,
        abs=86_400 * 31,  # "today" may be another day there
    )
