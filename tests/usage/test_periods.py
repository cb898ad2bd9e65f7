"""Billing periods, weeks from any day, and empty periods: in any zone, on either side of a change of the clocks."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import histkit as hk
from histkit.api.models import Subscription
from histkit.frame.clock import zone_of
from histkit.usage.buckets import bucket
from histkit.usage.periods import parse_freq
from histkit.usage.table import usage_table
from tests.usage.test_table import MEASURES, ZONES, bys, frame_of, frames, frames_and_freqs

pytestmark = pytest.mark.filterwarnings("ignore:The frame has no column 'history_item_id'")

PERIODS = {"monthly_period": 1, "3_month_period": 3, "6_month_period": 6, "annual_period": 12}
instants = st.integers(1_200_000_000, 2_000_000_000)
ZERO = [0, 0, 0]


def check_sums(table: pd.DataFrame, frame: pd.DataFrame) -> None:
    assert int(table["items"].sum()) == len(frame)
    for name in ("characters", "credits"):
        assert int(table[name].sum()) == int(frame[name].sum())


def rows_at(seconds: list[int]) -> pd.DataFrame:
    return frame_of([{"date_unix": each, "credits": 1, "characters": 1, "text": str(each)} for each in seconds])


def reset_in(month: int, day: int, time: timedelta, zone: ZoneInfo) -> int:
    """Give the second at which the clock first shows the reset of a month, or has jumped over it."""
    year, number = divmod(month, 12)
    last = calendar.monthrange(year, number + 1)[1]
    wall = datetime(year, number + 1, min(day, last)) + time  # noqa: DTZ001
    early, late = (int((wall.replace(tzinfo=UTC) + timedelta(days=each)).timestamp()) for each in (-2, 2))
    shown = wall.replace(tzinfo=zone).astimezone(UTC)
    if shown.astimezone(zone).replace(tzinfo=None) == wall:
        return int(shown.timestamp())
    while late - early > 1:  # skipped: the clock is behind the reset and then ahead of it
        middle = (early + late) // 2
        ahead = datetime.fromtimestamp(middle, zone).replace(tzinfo=None) > wall
        early, late = (early, middle) if ahead else (middle, late)
    return late


def start_by_hand(second: int, day: int, time: timedelta, zone: ZoneInfo, count: int = 1, anchor: int = 0) -> int:
    near = datetime.fromtimestamp(second, zone)
    month = near.year * 12 + near.month - 1
    months = [each for each in range(month - count, month + 2) if each % count == anchor % count]
    return max(start for each in months if (start := reset_in(each, day, time, zone)) <= second)


@given(st.lists(instants, min_size=1, max_size=6, unique=True), st.integers(1, 31), st.sampled_from(ZONES))
@example([1541297000, 1541304000], 4, "America/Sao_Paulo")
@example([1324000000, 1325289600], 30, "Pacific/Apia")
@example([1194148859, 1194148861, 1194152000], 4, "America/St_Johns")
def test_a_billing_period_starts_on_the_day_of_the_month(seconds: list[int], day: int, zone: str) -> None:
    table = usage_table(rows_at(seconds), "text", "billing", billing=day, tz=zone)
    for row in table.itertuples():
        start = start_by_hand(int(row.text), day, timedelta(), ZoneInfo(zone))
        assert row.period.timestamp() == start


@given(
    st.lists(instants, min_size=1, max_size=5, unique=True),
    instants,
    st.sampled_from(list(PERIODS)),
    st.sampled_from(ZONES),
)
@example([1_793_000_000], 1_792_888_200, "monthly_period", "Europe/Berlin")  # 02:30 in the hour that comes first
@example([1_793_000_000], 1_792_891_800, "monthly_period", "Europe/Berlin")  # 02:30 in the hour that comes again
def test_periods_run_both_ways_from_the_reset_at_the_same_clock_time(
    seconds: list[int], reset: int, period: str, zone: str
) -> None:
    subscription = {"next_character_count_reset_unix": reset, "character_refresh_period": period}
    table = usage_table(rows_at([*seconds, reset, reset - 1]), "text", "billing", billing=subscription, tz=zone)
    starts = {int(row.text): int(row.period.timestamp()) for row in table.itertuples()}
    assert starts[reset] == reset > starts[reset - 1]
    shown = datetime.fromtimestamp(reset, ZoneInfo(zone))
    time = timedelta(hours=shown.hour, minutes=shown.minute, seconds=shown.second)
    month = shown.year * 12 + shown.month - 1
    for second in seconds:
        start = start_by_hand(second, shown.day, time, ZoneInfo(zone), PERIODS[period], month)
        around = abs(starts[second] - reset) < 86_400  # the reset itself may be the later of two equal clock times
        assert starts[second] == (reset if around and start != starts[second] else start)


@given(frames, bys, st.integers(1, 31) | st.dates(date(2000, 1, 1), date(2050, 1, 1)), st.sampled_from(ZONES))
def test_billing_periods_add_up_to_the_rows(frame: pd.DataFrame, by: Any, billing: Any, zone: str) -> None:
    for more in ({}, {"fill": True}, {"compare": "previous"}):
        check_sums(usage_table(frame, by, "billing", billing=billing, tz=zone, **more), frame)


def test_a_day_that_a_month_lacks_is_its_last() -> None:
    days = pd.date_range("2024-01-01", "2024-12-31", tz="Europe/Berlin")
    frame = rows_at([int(day.timestamp()) for day in days])
    table = usage_table(frame, None, "billing", billing=31, tz="Europe/Berlin")
    shown = [f"{start:%m-%d %H:%M}" for start in table["period"]]
    assert shown[:5] == ["12-31 00:00", "01-31 00:00", "02-29 00:00", "03-31 00:00", "04-30 00:00"]
    assert table["items"].tolist()[:5] == [30, 29, 31, 30, 31]


def test_the_clock_that_keeps_its_time_is_that_of_tz() -> None:
    frame = rows_at([int(pd.Timestamp(f"2026-{month:02}-20", tz="UTC").timestamp()) for month in range(1, 13)])
    reset = pd.Timestamp("2026-11-15 14:00", tz="UTC")
    here = usage_table(frame, None, "billing", billing=reset, tz="Europe/Berlin")["period"]
    assert {f"{start:%d %H:%M}" for start in here} == {"15 15:00"}
    assert {f"{start:%d %H:%M}" for start in here.dt.tz_convert("UTC")} == {"15 13:00", "15 14:00"}
    utc = usage_table(frame, None, "billing", billing=reset)["period"]
    assert {f"{start:%d %H:%M}" for start in utc} == {"15 14:00"}


RESET = int(pd.Timestamp("2026-10-15", tz="UTC").timestamp())


@pytest.mark.parametrize(
    "same",
    [
        15,
        np.int32(15),
        15.0,
        "2026-10-15",
        "2024-02-15 00:00+00:00",
        date(2030, 1, 15),
        datetime(2026, 10, 15, tzinfo=UTC),
        pd.Timestamp("2026-10-15", tz="UTC"),
        pd.Timestamp("2026-10-15 05:30", tz="Asia/Kolkata"),
        np.datetime64("2026-10-15"),
        {"next_character_count_reset_unix": RESET},
        {"next_character_count_reset_unix": RESET, "billing_period": "monthly_period"},
        {"next_character_count_reset_unix": RESET, "character_refresh_period": "monthly_period", "billing_period": "x"},
        Subscription.from_api({"tier": "creator", "next_character_count_reset_unix": RESET}),
        SimpleNamespace(next_character_count_reset_unix=RESET, character_refresh_period="monthly_period"),
    ],
    ids=str,
)
def test_the_reset_can_be_told_in_many_ways(same: Any) -> None:
    frame = hk.sample_history(300)
    pd.testing.assert_frame_equal(
        usage_table(frame, "model", "billing", billing=same), usage_table(frame, "model", "billing", billing=15)
    )


@pytest.mark.parametrize(
    ("billing", "words"),
    [
        (None, "needs billing="),
        (0, "day of the month"),
        (32, "day of the month"),
        (True, "day of the month"),
        (1.5, "day of the month"),
        (RESET, "day of the month"),
        ("soon", "not a date"),
        ([15], "not a date"),
        (pd.NaT, "not a date"),
        ({}, "states no reset"),
        ({"next_character_count_reset_unix": None}, "states no reset"),
        ({"next_character_count_reset_unix": True}, "states no reset"),
        ({"next_character_count_reset_unix": "soon"}, "states no reset"),
        ({"next_character_count_reset_unix": RESET, "character_refresh_period": "weekly_period"}, "weekly_period"),
        ({"next_character_count_reset_unix": 10**15}, "too far"),
        (Subscription.from_api({"tier": "free"}), "states no reset"),
    ],
    ids=str,
)
def test_a_reset_that_cannot_be_used_is_told_on_one_line(billing: Any, words: str) -> None:
    with pytest.raises(hk.InputError, match=words) as caught:
        usage_table(hk.sample_history(20), "voice", "billing", billing=billing)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("day", ["Monday", "tuesday", "WED", "Th", "friday", "sat", "Sunday"])
def test_weeks_start_on_any_day(day: str) -> None:
    frame = hk.sample_history(300)
    table = usage_table(frame, None, "W", week_start=day, tz="Asia/Tokyo")
    assert all(start.day_name().lower().startswith(day.lower()) for start in table["period"])
    check_sums(table, frame)
    ends = (table["period"].iloc[0] - pd.Timedelta(hours=12)).day_name()[:3].upper()
    pd.testing.assert_frame_equal(table, usage_table(frame, None, f"W-{ends}", tz="Asia/Tokyo"))


@pytest.mark.parametrize(
    "arguments",
    [
        {"week_start": "Sunday"},
        {"week_start": "Sunday", "freq": "D"},
        {"week_start": "Sunday", "freq": "W-SAT"},
        {"week_start": "Sunday", "freq": "billing", "billing": 3},
        {"week_start": "S", "freq": "W"},
        {"week_start": "", "freq": "W"},
        {"week_start": 6, "freq": "W"},
        {"week_start": "someday", "freq": "W"},
        {"billing": 3},
        {"billing": 3, "freq": "MS"},
        {"fill": True},
        {"fill": "2026", "freq": "D"},
        {"fill": 3, "freq": "D"},
        {"fill": ("2026-01-01",), "freq": "D"},
        {"fill": ("2026-01-01", "soon"), "freq": "D"},
        {"fill": ("2026-01-02", "2026-01-01"), "freq": "D"},
        {"fill": ("2026-01-01", "2026-01-01"), "freq": "D"},
        {"fill": ("1900-01-01", "2100-01-01"), "freq": "h"},
        {"fill": ("0001-01-01", "9999-01-01"), "freq": "D"},
    ],
    ids=str,
)
def test_what_does_not_go_together_is_told_on_one_line(arguments: dict[str, Any]) -> None:
    with pytest.raises(hk.InputError, match=next(iter(arguments))) as caught:
        usage_table(hk.sample_history(50), **arguments)
    assert "\n" not in str(caught.value)


@given(frames_and_freqs, bys, st.sampled_from(ZONES), st.none() | st.integers(1, 3))
def test_filling_adds_zeros_and_nothing_else(
    frame_and_freq: tuple[pd.DataFrame, str], by: Any, zone: str, top: int | None
) -> None:
    frame, freq = frame_and_freq
    plain = usage_table(frame, by, freq, tz=zone, top=top)
    table = usage_table(frame, by, freq, tz=zone, top=top, fill=True)
    check_sums(table, frame)
    added = table[table["items"].eq(0) & table["credits"].eq(0) & table["characters"].eq(0)]
    silent = plain["items"].eq(0) & plain["credits"].eq(0) & plain["characters"].eq(0)  # a voice of a small part
    assert len(added) - silent.sum() == len(table) - len(plain)
    kept = table.merge(plain, how="inner", on=[name for name in plain.columns if name not in MEASURES])
    assert len(kept) == len(plain)
    pd.testing.assert_series_equal(table.dtypes, plain.dtypes)
    assert table.attrs == plain.attrs
    names = [name for name in plain.columns if name not in (*MEASURES, "period")]
    groups = len(plain.drop_duplicates(names)) if names else min(len(plain), 1)
    dated = table[table["period"].notna()]
    assert len(dated) == groups * dated["period"].nunique() or not len(plain[plain["period"].notna()])
    assert not table.duplicated([*names, "period"]).any()


@given(instants, st.integers(1, 60), st.sampled_from(["h", "2h", "6h", "D"]), st.sampled_from(ZONES))
@example(1_792_800_000, 40, "h", "Europe/Berlin")
@example(1_774_700_000, 40, "h", "Europe/Berlin")
@example(1_775_300_000, 40, "h", "Australia/Lord_Howe")
@example(1_325_100_000, 60, "D", "Pacific/Apia")
def test_the_filled_periods_are_those_that_any_row_would_have(second: int, hours: int, freq: str, zone: str) -> None:
    dense = rows_at(list(range(second, second + hours * 3600, 900)))
    sparse = dense.iloc[[0, -1]]
    filled = usage_table(sparse, None, freq, tz=zone, fill=True)
    assert filled["period"].tolist() == usage_table(dense, None, freq, tz=zone)["period"].tolist()
    check_sums(filled, sparse)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Los_Angeles", "Pacific/Kiritimati"])
def test_a_span_is_on_the_clock_of_the_table(zone: str) -> None:
    frame = hk.sample_history(300)
    for empty in (frame, frame.iloc[:0]):
        table = usage_table(empty, None, "D", tz=zone, fill=("2019-03-01", "2019-04-01"))
        march = table[table["period"] < pd.Timestamp("2019-04-01", tz=zone)]
        assert [f"{start:%d}" for start in march["period"]] == [f"{day:02}" for day in range(1, 32)]
        assert march[MEASURES].values.tolist() == [ZERO] * 31
        check_sums(table, empty) if len(empty) else None
    assert len(table) == 31


def test_a_span_keeps_rows_outside_and_may_be_open() -> None:
    frame = rows_at(
        [int(pd.Timestamp(day, tz="UTC").timestamp()) for day in ("2026-01-05", "2026-01-09", "2026-01-20")]
    )
    table = usage_table(frame, None, "D", fill=("2026-01-08", "2026-01-11 00:00"))
    assert [start.day for start in table["period"]] == [5, 8, 9, 10, 20]
    table = usage_table(frame, None, "D", fill=(None, "2026-01-11 00:00"))
    assert [start.day for start in table["period"]] == [5, 6, 7, 8, 9, 10, 20]
    table = usage_table(frame, None, "D", fill=("2026-01-18", None))
    assert [start.day for start in table["period"]] == [5, 9, 18, 19, 20]
    table = usage_table(frame, None, "D", fill=(None, pd.Timestamp("2026-01-22", tz="UTC")))
    assert len(table) == 17


def test_a_filled_table_has_every_group_in_every_period_and_the_undated_last() -> None:
    frame = hk.sample_history(400)
    frame.loc[::50, "date"] = pd.NaT
    table = usage_table(frame, ["model", "use_speaker_boost"], "MS", fill=True)
    dated = table[table["period"].notna()]
    assert len(dated) == dated["period"].nunique() * len(
        frame.groupby(["model_id", "use_speaker_boost"], observed=True, dropna=False)
    )
    assert table["period"].isna().sum() == len(usage_table(frame[frame["date"].isna()], ["model", "use_speaker_boost"]))
    assert table["period"].iloc[-1] is pd.NaT
    assert table["use_speaker_boost"].dtype == "boolean"


@given(
    instants,
    st.integers(1, 500),
    st.sampled_from(["h", "2h", "6h", "D", "W", "MS", "QS-FEB", "YS"]),
    st.sampled_from(ZONES),
    st.booleans(),
    st.integers(0, 2**32),
)
@example(1_541_297_000, 3, "D", "America/Sao_Paulo", True, 1)
@example(1_324_000_000, 40, "D", "Pacific/Apia", False, 1)
@example(1_194_100_000, 2, "D", "America/St_Johns", True, 1)
@example(1_775_300_000, 3, "h", "Australia/Lord_Howe", False, 1)
@example(-2_000_000_000, 500, "h", "Africa/Monrovia", False, 1)
def test_rows_in_order_of_time_fall_into_the_buckets_that_each_alone_falls_into(
    second: int, days: int, freq: str, zone: str, newest_first: bool, seed: int
) -> None:
    seconds = np.sort(np.random.default_rng(seed).integers(second, second + days * 86_400, 6_000))
    times = seconds[::-1] * 1_000_000 if newest_first else seconds * 1_000_000
    length, where = parse_freq(freq), zone_of(zone)
    codes, starts = bucket(times, length, where)
    alone = [bucket(times[place : place + 1_000], length, where) for place in range(0, 6_000, 1_000)]
    assert starts[codes].tolist() == np.concatenate([firsts[own] for own, firsts in alone]).tolist()
    assert sorted(set(codes.tolist())) == list(range(len(starts)))
    assert len(set(starts.tolist())) == len(starts)
