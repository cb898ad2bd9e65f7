"""The account's own figures: milliseconds, its successor, and what is left unexplained."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd
import pytest

import histkit as hk
from histkit.money.official import STATS, SUCCESSOR
from histkit.sandbox import Sandbox
from tests.conftest import client_of

if TYPE_CHECKING:
    from elevenlabs import ElevenLabs


def test_the_official_sdk_reads_the_same_figures(
    shared_box: Sandbox, sdk_of: Callable[[Sandbox], ElevenLabs], client: hk.HistoryClient
) -> None:
    days = hk.official_usage("2026-09-01", "2026-10-01", client=client)
    assert days["period"].tolist() == pd.date_range("2026-09-01", "2026-09-30", tz="UTC").tolist()
    first, end = (int(pd.Timestamp(day, tz="UTC").timestamp() * 1000) for day in ("2026-09-01", "2026-10-01"))
    theirs = sdk_of(shared_box).usage.get(start_unix=first, end_unix=end, aggregation_interval="day")
    assert theirs.time == [int(each.timestamp() * 1000) for each in days["period"]]
    assert theirs.usage == {"All": days["credits"].tolist()}
    assert days.attrs["histkit"]["route"] == STATS


def test_history_gap_and_unexplained_add_up_to_the_official_figure(client: hk.HistoryClient) -> None:
    df = hk.read_history(client=client)
    table = hk.reconcile(df, client=client)
    assert table["history"].sum() == df["credits"].sum()
    assert (table["history"] + table["gap"] + table["unexplained"] == table["official"]).all()
    assert table["unexplained"].abs().sum() < 0.02 * table["official"].sum()
    assert table["period"].is_monotonic_increasing
    assert str(table["period"].dtype) == "datetime64[us, UTC]"
    fewer = df[df["model_id"] != df["model_id"].mode()[0]]
    assert hk.reconcile(fewer, client=client)["gap"].sum() > table["gap"].sum()
    for freq in ("D", "W", "QS", "YS"):
        other = hk.reconcile(df, freq, client=client)
        assert other["official"].sum() == table["official"].sum()
        assert other["gap"].sum() == table["gap"].sum()


@pytest.mark.parametrize("by", ["voice", "model", "product"])
def test_a_breakdown_adds_up_to_the_whole(client: hk.HistoryClient, by: str) -> None:
    whole = hk.official_usage("2026-01-01", "2026-11-01", client=client)
    parts = hk.official_usage("2026-01-01", "2026-11-01", by=by, client=client)
    assert parts[by].nunique() > 1
    assert parts["credits"].sum() == whole["credits"].sum()


def test_where_the_old_route_is_gone_its_successor_answers(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(500)
    with client_of(box) as client:
        old = hk.official_usage("2026-06-01", "2026-11-01", client=client)
        box.set(no_stats=True)
        new = hk.official_usage("2026-06-01", "2026-11-01", client=client)
        assert new.attrs["histkit"]["route"] == SUCCESSOR
        kept = old[old["credits"] != 0].reset_index(drop=True)
        pd.testing.assert_frame_equal(new, kept)
        with pytest.raises(hk.NotFoundError):
            hk.official_usage("2026-06-01", "2026-11-01", by="voice", client=client)


def test_a_key_that_may_not_and_arguments_that_can_not_be_are_said(
    box_of: Callable[..., Sandbox], client: hk.HistoryClient
) -> None:
    with pytest.raises(hk.InputError, match="earlier"):
        hk.official_usage("2026-11-01", "2026-10-01", client=client)
    with pytest.raises(hk.InputError, match="by='user'"):
        hk.official_usage("2026-10-01", by="user", client=client)
    df = hk.sample_history(50)
    with pytest.raises(hk.InputError, match="daily"):
        hk.reconcile(df, "h", client=client)
    with pytest.raises(hk.InputError, match="several accounts"):
        hk.reconcile(df.assign(account=["a", "b"] * 25), client=client)
    with client_of(box_of(5), api_key="sk_wrong") as wrong, pytest.raises(hk.AuthenticationError):
        hk.reconcile(df, client=wrong)
