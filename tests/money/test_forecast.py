"""The forecast: the same days give the same days again, and what is unknown stays unknown."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from benchmarks.forecast import KINDS, PAGE, Account, Outcome, coverage_table, make_account, measure
from histkit import HistoryClient
from histkit.api.models import Subscription
from histkit.money.calibration import PRIOR, DailySums, past_misses, width_of
from histkit.money.forecast import forecast, used_share
from histkit.money.ledger import FROM, TO, ledger
from histkit.reports.quota import quota_lines
from histkit.sandbox import Sandbox
from tests.effort import examples

pytestmark = pytest.mark.filterwarnings("ignore:The frame has no column 'history_item_id'")

NOW = 1_790_812_800  # 2026-10-01, UTC, a Thursday
HOUR, DAY = 3600, 86_400
BAND = ["p10", "p50", "p90"]
ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/Sao_Paulo", "Pacific/Apia"]


def frame_of(rows: list[tuple[int, int]], *, counters: bool = True) -> pd.DataFrame:
    """Make a history of (seconds, credits), oldest first, whose counter starts at 0 and is never reset."""
    seconds, spent = ([row[place] for row in rows] for place in (0, 1))
    after = np.cumsum(np.array(spent, np.int64))
    dates = pd.Series(pd.to_datetime(pd.array(seconds, "Int64"), unit="s", utc=True)).astype("datetime64[us, UTC]")
    frame = pd.DataFrame({"date": dates, "credits": pd.array(spent, dtype="Int64")})
    if counters:
        frame[FROM], frame[TO] = pd.array(after - np.array(spent, np.int64), "Int64"), pd.array(after, "Int64")
    return frame


def daily(credits: int, days: int, *, at: int = 12 * HOUR, **options: Any) -> pd.DataFrame:
    """Make a history of so many credits on each of the days before now."""
    return frame_of([(NOW - day * DAY + at, credits) for day in range(days, 0, -1)], **options)


def plan(used: int, limit: int | None = 100_000, days: float | None = 20, **others: Any) -> dict[str, Any]:
    reset = None if days is None else int(NOW + days * DAY)
    known = {"character_count": used, "character_limit": limit, "next_character_count_reset_unix": reset}
    return {**known, "character_refresh_period": "monthly_period", **others}


def facts_of(frame: pd.DataFrame, subscription: Any, **options: Any) -> dict[str, Any]:
    table = forecast(frame, subscription=subscription, now=NOW, **options)
    facts: dict[str, Any] = table.attrs["histkit"]
    assert json.loads(json.dumps(facts)) == facts
    return facts


histories = st.lists(st.tuples(st.integers(NOW - 80 * DAY, NOW + 5 * DAY), st.integers(0, 5000)), max_size=60).map(
    sorted
)


@settings(max_examples=examples(25))
@given(
    histories,
    st.integers(0, 200_000),
    st.none() | st.integers(0, 200_000),
    st.none() | st.floats(-20, 500),
    st.sampled_from(["monthly_period", "annual_period", "3_month_period", None, "weekly"]),
    st.sampled_from(ZONES),
    st.none() | st.integers(1, 400),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_every_forecast_has_its_form(
    rows: Any, used: int, limit: Any, days: Any, period: Any, zone: str, ahead: Any, counters: bool, random: Any
) -> None:
    frame = frame_of(rows, counters=counters)
    before = frame.copy(deep=True)
    subscription = plan(used, limit, days, character_refresh_period=period)
    table = forecast(frame, subscription=subscription, now=NOW + 7 * HOUR, tz=zone, days=ahead)
    pd.testing.assert_frame_equal(frame, before)
    facts = table.attrs["histkit"]
    json.dumps(facts)
    assert table.columns.tolist() == ["date", "credits", "cumulative", *BAND]
    assert table.dtypes.astype(str).tolist() == [f"datetime64[us, {zone}]", "Int64", "Int64", *["Float64"] * 3]
    assert table["date"].is_monotonic_increasing
    assert table["date"].dt.date.is_unique
    today = table["date"].searchsorted(pd.Timestamp(NOW + 7 * HOUR, unit="s", tz="UTC"), "right") - 1
    assert table["cumulative"][today] == used
    assert table["cumulative"].dropna().is_monotonic_increasing
    assert table["cumulative"][today + 1 :].isna().all()
    assert table["credits"][today + 1 :].isna().all()
    assert table[BAND][:today].isna().all(axis=None)
    ahead_of = table[BAND][today:]
    if facts["days_of_history"]:
        assert (ahead_of["p10"] <= ahead_of["p50"]).all()
        assert (ahead_of["p50"] <= ahead_of["p90"]).all()
        assert (ahead_of >= used).all(axis=None)
        assert all(ahead_of[name].is_monotonic_increasing for name in BAND)
        assert facts["projected"] == {name: ahead_of[name].iloc[-1] for name in BAND}
        assert (ahead_of == ahead_of.round()).all(axis=None)
        if limit:
            for name, edge in (("run_out_early", "p90"), ("run_out", "p50"), ("run_out_late", "p10")):
                reached = table[(table["cumulative"] >= limit).fillna(False) | (table[edge] >= limit).fillna(False)]
                assert facts[name] == (f"{reached['date'].iloc[0]:%Y-%m-%d}" if len(reached) else None)
                assert facts["overage"][edge] == max(0, facts["projected"][edge] - limit)
        test = facts["backtest"]
        assert test is None or (0 <= test["held"] <= test["of"] and test["of"] >= 1 and test["days"] >= 1)
        assert (test is None) == any("too short to test" in note for note in facts["notes"])
    else:
        assert ahead_of.isna().all(axis=None)
        assert facts["projected"] is facts["overage"] is facts["daily_mean"] is facts["confidence"] is None
    runs_out = [facts[name] or "9999" for name in ("run_out_early", "run_out", "run_out_late")]
    assert runs_out == sorted(runs_out)
    order = list(range(len(rows)))
    random.shuffle(order)
    again = frame.iloc[order].set_axis([0] * len(rows))
    np.random.seed(random.randrange(2**32))
    same = forecast(again, subscription=subscription, now=NOW + 7 * HOUR, tz=zone, days=ahead)
    pd.testing.assert_frame_equal(same, table)
    assert same.attrs == table.attrs


@given(st.integers(1, 500), st.integers(1, 56), st.integers(1, 19), st.booleans())
def test_the_same_credits_each_day_run_out_on_the_exact_day(each: int, days: int, left: int, counters: bool) -> None:
    used = each * days
    facts = facts_of(daily(each, days, counters=counters), plan(used, used + each * left))
    day = (datetime.fromtimestamp(NOW, UTC) + timedelta(days=left - 1)).strftime("%Y-%m-%d")
    assert facts["run_out"] == day
    assert facts["run_out_early"] <= day
    assert facts["run_out_late"] is None or facts["run_out_late"] >= day
    assert facts["projected"]["p50"] == used + each * 20
    assert facts["projected"]["p10"] <= facts["projected"]["p50"] <= facts["projected"]["p90"]
    assert facts["overage"] == {name: max(0, end - used - each * left) for name, end in facts["projected"].items()}
    assert (facts["daily_mean"], facts["days_of_history"], facts["left"]) == (each, days, each * left)
    assert facts["confidence"] == ("low" if days < 14 else "normal")
    assert facts_of(daily(each, days), plan(used, used + each * 21))["run_out"] is None


@given(
    st.lists(st.tuples(st.integers(NOW - 80 * DAY, NOW - 1), st.integers(0, 900)), min_size=1, max_size=50).map(sorted),
    st.integers(2, 1000),
)
def test_credits_in_another_unit_give_the_same_forecast(rows: Any, scale: int) -> None:
    used = sum(row[1] for row in rows)
    one = forecast(frame_of(rows), subscription=plan(used, used + 900, character_refresh_period=None), now=NOW)
    many = [(second, spent * scale) for second, spent in rows]
    bigger = plan(used * scale, (used + 900) * scale, character_refresh_period=None)
    other = forecast(frame_of(many), subscription=bigger, now=NOW)
    for name in ("credits", "cumulative", *BAND):
        pd.testing.assert_series_equal(one[name] * scale, other[name], rtol=0, atol=scale)  # in whole credits
    for name in ("run_out", "used_share", "reset", "until", "backtest"):
        assert one.attrs["histkit"][name] == other.attrs["histkit"][name]


def test_weekdays_are_told_apart_after_two_weeks() -> None:
    rows = [(NOW - day * DAY + HOUR, 0 if (3 - day) % 7 in (5, 6) else 100) for day in range(28, 0, -1)]
    table = forecast(frame_of(rows), subscription=plan(2000, days=14), now=NOW)
    ahead = table[table["p50"].notna()]
    spent = ahead["p50"].diff().fillna(ahead["p50"].iloc[0] - 2000)
    assert spent.tolist() == [0 if day in (5, 6) else 100 for day in ahead["date"].dt.day_of_week]
    assert (ahead["p90"] - ahead["p10"] <= 0.25 * (ahead["p50"] - 2000)).all()
    few = forecast(frame_of(rows[-13:]), subscription=plan(2000, days=14), now=NOW).attrs["histkit"]
    assert few["projected"]["p10"] < few["projected"]["p90"]
    assert few["confidence"] == "low"
    assert any("weekdays" in note for note in few["notes"])


def test_of_today_and_the_last_day_only_the_hours_ahead_count() -> None:
    frame = daily(100, 28)  # at noon
    for hour, today in ((9, 100), (15, 0)):
        for stop, last in ((0, 0), (11, 0), (13, 100)):
            subscription = plan(2800, days=10 + stop / 24)
            table = forecast(frame, subscription=subscription, now=NOW + hour * HOUR)
            assert table.attrs["histkit"]["projected"]["p50"] == 2800 + today + 900 + last
    table = forecast(frame, subscription=plan(2800, days=13 / 24), now=NOW + 9 * HOUR)
    assert table["p50"].dropna().tolist() == [2900]
    assert forecast(frame, subscription=plan(2800, days=0.4), now=NOW + 9 * HOUR)["p50"].iloc[-1] == 2800


def test_days_are_those_of_the_zone_also_when_the_clocks_change() -> None:
    zone = ZoneInfo("Europe/Berlin")
    noons = [datetime(2026, 10, 1, 12, tzinfo=zone) + timedelta(days=day) for day in range(20)]
    frame = frame_of([(int(noon.timestamp()), 10) for noon in noons])
    reset = int(datetime(2026, 11, 1, tzinfo=zone).timestamp())
    table = forecast(
        frame,
        subscription={"character_count": 200, "character_limit": 280, "next_character_count_reset_unix": reset},
        now=datetime(2026, 10, 21, tzinfo=zone),
        tz="Europe/Berlin",
    )
    assert table["date"].dt.strftime("%m-%d %H").tolist()[-12:] == [f"10-{day} 00" for day in range(20, 32)]
    assert table["p50"].dropna().tolist() == [210 + 10 * day for day in range(11)]
    assert table.attrs["histkit"]["run_out"] == "2026-10-28"
    assert table.attrs["histkit"]["reset"] == "2026-11-01T00:00:00+01:00"


def test_credits_that_only_the_counter_shows_count() -> None:
    rows = frame_of([(NOW - day * DAY + 12 * HOUR, 100) for day in range(30, 0, -1)])
    seen = rows.iloc[::2]
    facts = facts_of(seen, plan(3000))
    assert facts["daily_mean"] * facts["days_of_history"] == pytest.approx(3000, abs=0.01)
    blind = facts_of(seen[["date", "credits"]], plan(3000))
    assert blind["daily_mean"] < 0.6 * facts["daily_mean"]
    assert any("counters" in note for note in blind["notes"])


def test_a_history_that_ends_early_is_filled_up_evenly() -> None:
    frame = daily(100, 40).iloc[:30]
    table = forecast(frame, subscription=plan(4000, days=10), now=NOW)
    facts = table.attrs["histkit"]
    assert facts["daily_mean"] == pytest.approx(100)
    assert any("1,000 credits" in note for note in facts["notes"])
    assert table["cumulative"].dropna().tolist()[-1] == 4000
    assert table["credits"].sum() == pytest.approx(table["cumulative"].dropna().iloc[-1] - 4000 + 2000, abs=150)


def test_a_reset_since_the_last_row_is_seen() -> None:
    frame = daily(100, 40).iloc[:30]
    table = forecast(frame, subscription=plan(500, days=26), now=NOW)
    assert table["date"].iloc[0] == pd.Timestamp("2026-09-27", tz="UTC")
    assert table["cumulative"].dropna().tolist() == [125, 250, 375, 500, 500]
    unknown = plan(500, days=26, character_refresh_period=None)
    assert forecast(frame, subscription=unknown, now=NOW)["cumulative"].dropna().iloc[-1] == 500


def test_a_lower_counter_than_the_last_row_had_is_noted() -> None:
    facts = facts_of(daily(100, 10), plan(700))
    assert any("lower" in note for note in facts["notes"])


def test_the_cycle_starts_where_the_subscription_or_the_ledger_says() -> None:
    frame = hk.sample_history(3000)
    newest = int(frame[TO].iloc[0])
    reset = pd.Timestamp("2026-11-14 09:30", tz="UTC")
    known = {
        "character_count": newest,
        "character_limit": 100_000,
        "next_character_count_reset_unix": reset.timestamp(),
    }
    told = forecast(frame, subscription={**known, "billing_period": "monthly_period"}, now="2026-11-01")
    assert told["date"].iloc[0] == pd.Timestamp("2026-10-14", tz="UTC")
    found = forecast(frame, subscription=known, now="2026-11-01")
    assert found["date"].iloc[0] == pd.Timestamp(ledger(frame).attrs["histkit"]["resets"][-1]).floor("D")
    assert told["cumulative"].iloc[0] == 0
    cycle = ledger(frame)[lambda table: table["period"] >= told["date"].iloc[1]]
    assert told["credits"].sum() == cycle[["seen", "unseen"]].to_numpy().sum() - cycle["overlap"].sum()


def test_no_history_is_no_forecast() -> None:
    for frame in (frame_of([]), frame_of([], counters=False), hk.sample_history(3).iloc[:0]):
        table = forecast(frame, subscription=plan(500), now=NOW)
        assert table[[*BAND, "credits"]].isna().all(axis=None)
        assert table["cumulative"].dropna().tolist() == [500]
        facts = table.attrs["histkit"]
        assert facts["days_of_history"] == 0
        assert facts["run_out"] is facts["projected"] is facts["overage"] is None
        assert any("there is no forecast" in note for note in facts["notes"])
    old = plan(5, character_refresh_period=None)
    assert facts_of(frame_of([(NOW - 90 * DAY, 5)]), old)["projected"] == dict.fromkeys(BAND, 5)


def test_rows_of_the_future_are_left_out() -> None:
    frame = daily(100, 20)
    more = pd.concat([frame, frame.iloc[-1:].assign(date=pd.Timestamp(NOW + DAY, unit="s", tz="UTC"), credits=10**6)])
    with_notes = facts_of(more, plan(2000))
    assert with_notes["projected"] == facts_of(frame, plan(2000))["projected"]
    assert with_notes["notes"][0].startswith("1 rows")


@pytest.mark.parametrize(("limit", "left"), [(0, 0), (None, None), (float("nan"), None), ("many", None)])
def test_without_a_limit_nothing_runs_out(limit: Any, left: Any) -> None:
    facts = facts_of(daily(10, 20), plan(200, limit))
    assert facts["left"] == left
    assert facts["used_share"] is facts["run_out"] is facts["overage"] is None
    assert facts["projected"]["p50"] == 400


def test_a_counter_above_the_limit_has_run_out_already() -> None:
    facts = facts_of(daily(10, 20), plan(200, 150, max_credit_limit_extension="unlimited"))
    assert (facts["left"], facts["extension"], facts["overage"]["p50"]) == (0, "unlimited", 250)
    assert facts["run_out"] == facts["run_out_early"] == facts["run_out_late"] == "2026-09-25"
    assert facts_of(frame_of([]), plan(200, 150))["run_out"] == "2026-10-01"


@pytest.mark.parametrize("days", [None, -3, 0, 10**9])
def test_without_a_coming_reset_the_forecast_goes_thirty_days(days: Any) -> None:
    facts = facts_of(daily(10, 20), plan(200, days=days))
    assert facts["reset"] is None
    assert facts["until"] == "2026-11-01T00:00:00+00:00"
    assert any("reset" in note for note in facts["notes"])


def test_how_far_ahead_can_be_said() -> None:
    frame = daily(10, 20)
    assert facts_of(frame, plan(200), days=5)["projected"]["p50"] == 260
    assert facts_of(frame, plan(200), days=5)["reset"] == "2026-10-21T00:00:00+00:00"
    assert any("before the reset" in note for note in facts_of(frame, plan(200), days=5)["notes"])
    assert facts_of(frame, plan(200), days=300)["projected"]["p50"] == 400
    year = facts_of(frame, plan(200, days=365, character_refresh_period="annual_period"))
    assert year["projected"]["p50"] == 200 + 3650
    assert facts_of(frame, plan(200, days=2000))["until"].startswith("2027-11-")


@given(st.integers(0, 10**9), st.none() | st.integers(0, 10**9))
def test_the_used_share_is_exact(used: int, limit: int | None) -> None:
    share = used_share(Subscription.from_api({"character_count": used, "character_limit": limit}))
    assert share == (Fraction(used, limit) if limit else None)
    assert used_share({"character_limit": limit}) is None


def test_the_service_is_asked_where_no_subscription_is_given(
    client: HistoryClient, shared_box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = hk.sample_history(5500, seed=7)
    asked = client.subscription()
    table = forecast(frame, client=client, now="2026-11-01")
    given = forecast(frame, subscription=asked, now="2026-11-01")
    pd.testing.assert_frame_equal(table, given)
    assert table.attrs == given.attrs
    assert table.attrs["histkit"]["used"] == asked.character_count
    monkeypatch.setenv("ELEVENLABS_API_KEY", shared_box.api_key)
    monkeypatch.setenv("ELEVENLABS_BASE_URL", shared_box.url)
    assert forecast(frame, now="2026-11-01").attrs == given.attrs
    assert forecast(frame).attrs["histkit"]["used"] == asked.character_count


def test_without_a_key_the_missing_key_is_told() -> None:
    with pytest.raises(hk.AuthenticationError):
        forecast(daily(1, 3))


def test_a_naive_instant_is_utc() -> None:
    subscription = plan(200)
    for now in ("2026-10-01", "2026-10-01T02:00:00+02:00", datetime(2026, 10, 1)):  # noqa: DTZ001 - that it may be
        table = forecast(daily(10, 20), subscription=subscription, now=now)
        pd.testing.assert_frame_equal(table, forecast(daily(10, 20), subscription=subscription, now=NOW))


@pytest.mark.parametrize(
    "arguments",
    [
        {"days": 0},
        {"days": 401},
        {"days": True},
        {"days": 1.5},
        {"tz": "Mars"},
        {"now": "someday"},
        {"now": 10**15},
        {"now": "1900-01-01"},
        {"client": "sk_key"},
        {"subscription": 5},
        {"subscription": {}},
        {"subscription": {"character_count": None}},
        {"subscription": {"character_count": -4}},
        {"subscription": {"character_count": True}},
        {"subscription": {"character_count": 2.0**70}},
    ],
)
def test_an_argument_that_cannot_be_used_is_named_on_one_line(arguments: dict[str, Any]) -> None:
    with pytest.raises(hk.InputError, match=next(iter(arguments))) as caught:
        forecast(daily(10, 20), **{"subscription": plan(5), "now": NOW, **arguments})
    assert "\n" not in str(caught.value)


def test_several_accounts_are_refused() -> None:
    frame = daily(10, 20).assign(account=["a", "b"] * 10)
    with pytest.raises(hk.InputError, match="several accounts"):
        forecast(frame, subscription=plan(5))
    assert facts_of(frame[frame["account"] == "a"], plan(200))["used"] == 200


@pytest.mark.parametrize("missing", ["date", "credits"])
def test_a_missing_column_is_named(missing: str) -> None:
    with pytest.raises(hk.SchemaError, match=f"'{missing}'"):
        forecast(daily(10, 20).drop(columns=missing), subscription=plan(5))


def test_the_band_holds_about_eight_times_in_ten() -> None:
    results = [measure(kind, 700_000 + number) for kind in KINDS for number in range(8)]
    assert 0.7 <= np.mean([result.held for result in results]) <= 0.92
    held, of = (sum(result.backtest[place] for result in results) for place in (0, 1))
    assert of > 300
    assert 0.75 <= held / of <= 0.87


def test_the_table_of_the_docs_is_that_of_the_harness() -> None:
    table = PAGE.read_text().partition("<!-- coverage -->\n")[2].partition("\n<!-- /coverage -->")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    assert [kind for kind, _, _ in cells] == [*KINDS, "**all**"]
    held = [float(share.removesuffix(" %")) for _, share, _ in cells]
    scores = [float(score) for _, _, score in cells]
    assert (np.mean(held[:-1]), np.mean(scores[:-1])) == pytest.approx((held[-1], scores[-1]), abs=0.06)
    assert 78 <= held[-1] <= 84
    assert min(held) >= 70
    results = [
        Outcome(kind, place < 2 * share, score, (0, 0))
        for kind, share, score in zip(KINDS, held, scores, strict=False)
        for place in range(200)
    ]
    assert coverage_table(results).splitlines()[:-1] == table.splitlines()[:-1]


def test_the_band_is_tested_on_past_windows_that_do_not_overlap() -> None:
    for days, ahead, windows in ((400, 20, 17), (400, 2, 53), (70, 20, 2), (100, 6, 10), (54, 20, 1), (47, 20, 0)):
        facts = facts_of(daily(100, days), plan(100 * days, days=ahead))
        expected = {"held": windows, "of": windows, "days": ahead, "meant": 0.8} if windows else None
        assert facts["backtest"] == expected
        assert any("too short to test" in note for note in facts["notes"]) == (not windows)


def test_an_account_that_changes_has_a_wider_band_than_its_last_weeks_show() -> None:
    used, ends = plan(400 * 150, days=20), {}
    for name, level in (("same", 150), ("other", 100)):
        rows = [(NOW - day * DAY + HOUR, 150 if day <= 60 or (day // 30) % 2 else level) for day in range(400, 0, -1)]
        facts = facts_of(frame_of(rows), used)
        ends[name] = facts["projected"]
        assert (facts["backtest"]["held"] < facts["backtest"]["of"]) == (name == "other")
    assert ends["same"]["p50"] == ends["other"]["p50"] == 420 * 150
    assert ends["same"]["p90"] - ends["same"]["p10"] <= 0.01 * 3000
    assert ends["other"]["p90"] - ends["other"]["p10"] >= 0.3 * 3000


def test_a_past_band_knows_nothing_of_later_days() -> None:
    random = np.random.default_rng(1)
    whole = random.poisson(3, 301).astype(np.int64) * 100
    changed = np.r_[whole[:200], whole[200:] * 50]
    for ahead in (0, 1, 12):
        early, late = (DailySums(days, days, days, days, 0) for days in (whole, changed))
        (days, misses), (_, others) = past_misses(early, ahead), past_misses(late, ahead)
        before = days + ahead < 200
        assert before.sum() > 10
        np.testing.assert_array_equal(misses[before], others[before])
        assert not np.array_equal(misses, others)


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=90), st.integers(0, 12), st.integers(0, 5))
def test_misses_are_measured_where_the_outcome_is_known(days: list[int], ahead: int, first: int) -> None:
    whole = np.array(days, np.int64)
    sums = DailySums(whole, whole // 2, whole // 3, whole // 4, min(first, len(days) - 2))
    past, misses = past_misses(sums, ahead)
    assert np.array_equal(~np.isnan(misses), past[:, None] + np.arange(ahead + 1) < sums.today)
    for day in past.tolist():
        parts = [days[day + number] for number in range(ahead + 1)] if day + ahead < sums.today else []
        if parts:
            parts[0], parts[-1] = days[day] // 2, days[day + ahead] // 3
            parts = parts if ahead else [days[day] // 4]
            assert sums.outcome(day, ahead, ahead + 1).tolist() == np.cumsum(parts).tolist()


@given(st.lists(st.floats(-3, 3), max_size=30), st.integers(1, 4))
def test_the_width_is_the_weighted_percentile_of_the_misses(values: list[float], columns: int) -> None:
    days = 500 - 7 * np.arange(1, len(values) + 1)
    misses = np.repeat(np.array(values).reshape(-1, 1), columns, axis=1)
    prior = np.array(PRIOR[28])
    for column, width in enumerate(width_of(misses, days, 500, prior).tolist()):
        weighted = [
            (miss, 0.5 ** ((500 - day - column) / 100)) for miss, day in zip(values, days.tolist(), strict=True)
        ]
        weighted = sorted([*weighted, *((miss, 6 / len(prior)) for miss in prior.tolist())])
        share = 0.8 * sum(weight for _, weight in weighted)
        sums = itertools.accumulate(weight for _, weight in weighted)
        expected = next(miss for (miss, _), total in zip(weighted, sums, strict=True) if total >= share * (1 - 1e-9))
        assert width == pytest.approx(expected)


def test_quota_lines_tell_the_band_and_its_test() -> None:
    facts = facts_of(daily(100, 100), plan(10_000, 11_950))
    lines = quota_lines(facts)
    assert "The band held in 3 of 3 past periods of 20 days." in lines
    assert any(line.startswith("By the reset, the counter will be between 11,9") for line in lines)
    assert not any("too short" in line for line in lines)
    passed = quota_lines({**facts, "reset": None})
    end = f"By {facts['until'][:10]}, without a reset before, the counter will be between 11,9"
    assert any(line.startswith(end) for line in passed)
    maybe = quota_lines({**facts, "run_out": None, "run_out_early": "2026-10-19"})
    assert "At the present rate they last (an estimate), but they may run out on 2026-10-19 already." in maybe
    few = quota_lines(facts_of(daily(100, 10), plan(1000)))
    assert not any("The band held" in line for line in few)
    assert any("too short to test the band" in line for line in few)
    assert not any("the counter will be" in line for line in quota_lines(facts_of(frame_of([]), plan(500))))
    ends = quota_lines(facts_of(daily(100, 100), plan(10_000), days=5))
    assert any(line.startswith("By 2026-10-07, the counter") for line in ends)


def with_refunds(account: Account, seed: int) -> tuple[pd.DataFrame, int]:
    """Refund 1 to 199 credits before 3 % of the rows, never below 0; also return what the last cycle got back."""
    frame = account.frame[::-1].reset_index(drop=True)
    random = np.random.default_rng(seed)
    refunds = np.where(random.random(len(frame)) < 0.03, random.integers(1, 200, len(frame)), 0).tolist()
    before, after, refunded, last = frame[FROM].tolist(), frame[TO].tolist(), 0, 0
    for row, refund in enumerate(refunds):
        if before[row] < last:
            refunded = 0
        last = after[row]
        refunded = min(refunded + refund, before[row])
        before[row] -= refunded
        after[row] -= refunded
    frame[FROM], frame[TO] = pd.array(before, "Int64"), pd.array(after, "Int64")
    return frame[::-1].reset_index(drop=True), refunded


@pytest.mark.parametrize("kind", ["steady", "weekday", "bursts", "growth"])
@pytest.mark.parametrize("period", ["monthly_period", None])
def test_refunds_read_neither_as_resets_nor_as_spending(kind: str, period: str | None) -> None:
    accounts = (make_account(kind, seed, shortest=120) for seed in itertools.count(800_000))
    large = (account for account in accounts if account.month > 30_000 and account.subscription["character_count"])
    for seed, account in enumerate(itertools.islice(large, 5)):
        frame, refunded = with_refunds(account, seed)
        plan = {**account.subscription, "character_refresh_period": period}
        used = plan["character_count"]
        same = forecast(account.frame, subscription=plan, now=account.now).attrs["histkit"]
        facts = forecast(frame, subscription={**plan, "character_count": used - refunded}, now=account.now).attrs[
            "histkit"
        ]
        for name in BAND:
            assert facts["projected"][name] + refunded == pytest.approx(same["projected"][name], rel=0.03)
        assert facts["daily_mean"] == pytest.approx(same["daily_mean"], rel=0.03)


def test_a_refund_lowers_the_counter_of_its_day_and_nothing_else() -> None:
    frame = daily(1000, 40)
    frame.loc[35:, [FROM, TO]] -= 150
    table = forecast(frame, subscription=plan(39_850), now=NOW)
    same = forecast(daily(1000, 40), subscription=plan(40_000), now=NOW)
    pd.testing.assert_series_equal(table["credits"], same["credits"])
    assert (table["p90"] + 150).equals(same["p90"])
    lower = (same["cumulative"] - table["cumulative"]).dropna()
    assert set(lower) == {0, 150}
    since = forecast(daily(1000, 40), subscription=plan(39_850), now=NOW)
    assert any("150 lower" in note for note in since.attrs["histkit"]["notes"])
    assert since["credits"].sum() == same["credits"].sum()
    unknown = plan(39_850, character_refresh_period=None)
    assert forecast(daily(1000, 40), subscription=unknown, now=NOW).attrs["histkit"]["daily_mean"] == 1000
