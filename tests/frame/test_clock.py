"""Local midnights: one rule for the first instant of a day, in every zone, wherever a day is an argument."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.frame.clock import DAY, SECOND
from histkit.frame.dates import as_unix
from histkit.usage.buckets import bucket, edges
from histkit.usage.periods import Freq, parse_period
from tests.effort import examples

ZONES = sorted(zoneinfo.available_timezones() - {"localtime"})
ODD = [  # day, zone, its first instant: midnight is skipped, skipped, skipped, repeated, repeated, or the whole day is
    ("2018-11-04", "America/Sao_Paulo", "2018-11-04T01:00:00-02:00"),
    ("2026-04-24", "Africa/Cairo", "2026-04-24T01:00:00+03:00"),
    ("2026-09-06", "America/Santiago", "2026-09-06T01:00:00-03:00"),
    ("2026-11-01", "America/Havana", "2026-11-01T00:00:00-04:00"),
    ("2007-11-04", "America/St_Johns", "2007-11-04T00:00:00-02:30"),
    ("2011-12-30", "Pacific/Apia", "2011-12-31T00:00:00+14:00"),
]


def first_instant_by_hand(day: date, zone: ZoneInfo) -> int:
    """Walk through the days around, and return the first second at which a clock shows the day, or a later one."""
    around = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())

    def begun(second: int) -> bool:
        return datetime.fromtimestamp(second, zone).date() >= day

    late = next(second for second in range(around - 30 * 3600, around + 60 * 3600, 60) if begun(second))
    return next(second for second in range(late - 60, late + 1) if begun(second))


def days_of_changes(zone: ZoneInfo, year: int) -> list[date]:
    """Return the days of a year beside which the clock is set, and one on which it is not."""
    days = [date(year, 1, 1) + timedelta(days=number) for number in range(365)]
    noons = [datetime(day.year, day.month, day.day, 12, tzinfo=zone).utcoffset() for day in days]
    changed = [place for place in range(1, 365) if noons[place] != noons[place - 1]]
    return sorted({days[180], *(days[min(place + step, 364)] for place in changed for step in (-1, 0, 1))})


@settings(max_examples=examples(60))
@given(st.sampled_from(ZONES), st.integers(1900, 2037))
@example("America/Sao_Paulo", 2018)
@example("Africa/Cairo", 2026)
@example("America/Santiago", 2026)
@example("America/Havana", 2026)
@example("America/St_Johns", 2007)
@example("Pacific/Apia", 2011)
@example("Pacific/Kwajalein", 1993)
@example("Africa/Monrovia", 1972)
@example("America/Scoresbysund", 2024)
def test_a_day_starts_at_the_first_instant_that_a_clock_shows(name: str, year: int) -> None:
    zone = ZoneInfo(name)
    for day in days_of_changes(zone, year):
        start = first_instant_by_hand(day, zone)
        assert as_unix(day, "day", zone) == start
        prices = {"currency": "EUR", "price": [{"per_1000_credits": 1, "valid_from": day}]}
        moment = hk.read_prices(prices, tz=name).prices[0].valid_from
        assert moment is not None
        assert moment.timestamp() == start
        if datetime.fromtimestamp(start, zone).date() == day:  # and is not skipped as a whole
            assert parse_period(day.isoformat(), zone).start == start
            instants = np.array([start - 1, start, start + 3600], np.int64) * SECOND
            codes, starts = bucket(instants, Freq("D"), zone)
            assert starts[codes].tolist()[1:] == [start * SECOND] * 2
            assert starts[codes][0] < start * SECOND
            assert edges(starts[codes][:2], Freq("D"), zone)[-2] == start * SECOND


@pytest.mark.parametrize(("day", "zone", "start"), ODD)
@pytest.mark.parametrize("written", [str, date.fromisoformat, pd.Timestamp, datetime.fromisoformat])
def test_a_price_may_begin_on_a_day_without_its_midnight(day: str, zone: str, start: str, written: Any) -> None:
    prices = {"currency": "EUR", "tz": zone, "price": [{"per_1000_credits": "1", "valid_from": written(day)}]}
    assert hk.read_prices(prices).prices[0].valid_from == pd.Timestamp(start)
    second = int(pd.Timestamp(start).timestamp())
    frame = hk.sample_history(20).iloc[:2].assign(credits=pd.array([1000, 1000], "Int64"))
    dates = pd.to_datetime([second - 1, second], unit="s", utc=True).astype("datetime64[us, UTC]")
    costs = hk.add_cost(frame.assign(date=dates), prices)["cost"]
    assert costs.isna().tolist() == [True, False]


@pytest.mark.parametrize(("day", "zone", "start"), ODD)
def test_a_price_in_a_file_may_too(tmp_path: Path, day: str, zone: str, start: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(f'currency = "EUR"\ntz = "{zone}"\n[[price]]\nper_1000_credits = 1\nvalid_from = {day}\n')
    assert hk.read_prices(path).prices[0].valid_from == pd.Timestamp(start)


@pytest.mark.parametrize(("day", "zone", "start"), ODD[:-1])
def test_every_argument_that_is_a_day_starts_at_the_same_instant(day: str, zone: str, start: str) -> None:
    second = int(pd.Timestamp(start).timestamp())
    where = ZoneInfo(zone)
    after = date.fromisoformat(day) + timedelta(days=1)
    for form in (day, (day, str(after)), pd.Period(day, "D")):
        assert parse_period(form, where).start == second
    assert parse_period((str(date.fromisoformat(day) - timedelta(days=3)), day), where).end == second
    billing = hk.usage_table(hk.sample_history(5), None, "billing", billing=day, tz=zone)
    assert len(billing)
    frame = hk.sample_history(20).iloc[:2]
    dates = pd.to_datetime([second - 1, second], unit="s", utc=True).astype("datetime64[us, UTC]")
    frame = frame.assign(date=dates)
    filled = hk.usage_table(frame, None, "D", tz=zone, fill=(day, str(after)))["period"]
    assert filled.iloc[-1] == pd.Timestamp(start)


@pytest.mark.parametrize("form", ["2011-12-30", ("2011-12-30", "2011-12-31")])
def test_a_day_that_is_skipped_as_a_whole_is_no_period(form: Any) -> None:
    with pytest.raises(hk.InputError, match="ends before it starts"):
        parse_period(form, ZoneInfo("Pacific/Apia"))


def test_instants_without_a_zone_in_utc_are_as_they_are() -> None:
    assert as_unix("2026-10-01", "after") == 1790812800
    assert bucket(np.array([0, DAY - 1, DAY]), Freq("D"), UTC)[0].tolist() == [0, 0, 1]
