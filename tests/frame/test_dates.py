"""One vocabulary of dates, in Python and on the command line; everything else is refused with its ISO spelling."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.frame.dates import as_unix, date_range, parse_date
from histkit.util.text import quoted
from tests.effort import examples

NOW = datetime(2026, 11, 26, 17, 30, tzinfo=UTC)  # a Thursday
BERLIN = ZoneInfo("Europe/Berlin")


def utc(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp())


ACCEPTED: list[tuple[Any, int, int]] = [  # what is typed, its start, its end
    ("2026-10-01", utc(2026, 10, 1), utc(2026, 10, 2)),
    ("2026-10-01T14:30", utc(2026, 10, 1, 14, 30), utc(2026, 10, 1, 14, 30, 1)),
    ("2026-10-01 14:30:05", utc(2026, 10, 1, 14, 30, 5), utc(2026, 10, 1, 14, 30, 6)),
    ("2026-10-01T14:30:05.25Z", utc(2026, 10, 1, 14, 30, 6), utc(2026, 10, 1, 14, 30, 6)),
    ("2026-10-01T14:30:05.0000000001z", utc(2026, 10, 1, 14, 30, 6), utc(2026, 10, 1, 14, 30, 6)),
    ("2026-10-01t14:30+02:00", utc(2026, 10, 1, 12, 30), utc(2026, 10, 1, 12, 30, 1)),
    ("2026-10-01 14:30-0530", utc(2026, 10, 1, 20), utc(2026, 10, 1, 20, 0, 1)),
    ("2026-10-01 14:30+02", utc(2026, 10, 1, 12, 30), utc(2026, 10, 1, 12, 30, 1)),
    ("2026-10", utc(2026, 10, 1), utc(2026, 11, 1)),
    ("2026-Q3", utc(2026, 7, 1), utc(2026, 10, 1)),
    ("2026-q4", utc(2026, 10, 1), utc(2027, 1, 1)),
    ("2026-W40", utc(2026, 9, 28), utc(2026, 10, 5)),
    ("2026", utc(2026, 1, 1), utc(2027, 1, 1)),
    ("today", utc(2026, 11, 26), utc(2026, 11, 27)),
    ("Yesterday", utc(2026, 11, 25), utc(2026, 11, 26)),
    ("1d", utc(2026, 11, 25), utc(2026, 11, 26)),
    ("7d", utc(2026, 11, 19), utc(2026, 11, 20)),
    ("2W", utc(2026, 11, 12), utc(2026, 11, 13)),
    ("last week", utc(2026, 11, 16), utc(2026, 11, 23)),
    ("this week", utc(2026, 11, 23), utc(2026, 11, 30)),
    ("last month", utc(2026, 10, 1), utc(2026, 11, 1)),
    ("this month", utc(2026, 11, 1), utc(2026, 12, 1)),
    ("LAST QUARTER", utc(2026, 7, 1), utc(2026, 10, 1)),
    ("this quarter", utc(2026, 10, 1), utc(2027, 1, 1)),
    ("last year", utc(2025, 1, 1), utc(2026, 1, 1)),
    ("this year", utc(2026, 1, 1), utc(2027, 1, 1)),
    ("1790812800", 1_790_812_800, 1_790_812_801),
    (1_790_812_800, 1_790_812_800, 1_790_812_801),
    (1_790_812_800.0, 1_790_812_800, 1_790_812_801),
    (np.int64(1_420_070_400), 1_420_070_400, 1_420_070_401),
    (4_102_444_800, 4_102_444_800, 4_102_444_801),
    (date(2026, 10, 1), utc(2026, 10, 1), utc(2026, 10, 2)),
    (datetime.fromisoformat("2026-10-01T12:00:00.000001"), utc(2026, 10, 1, 12, 0, 1), utc(2026, 10, 1, 12, 0, 1)),
    (pd.Timestamp("2026-10-01", tz="Asia/Kolkata"), utc(2026, 9, 30, 18, 30), utc(2026, 9, 30, 18, 30, 1)),
    (np.datetime64("2026-10-01"), utc(2026, 10, 1), utc(2026, 10, 1, 0, 0, 1)),
    (pd.Period("2026-10", "M"), utc(2026, 10, 1), utc(2026, 11, 1)),
]
REFUSED: list[tuple[Any, tuple[str, ...]]] = [  # what is typed, and the spellings that the message must have
    ("01/10/2026", ("2026-10-01 (1 October)", "2026-01-10 (10 January)")),
    ("1/10/26", ("2026-10-01", "2026-01-10")),
    ("13/10/2026", ("use 2026-10-13.",)),
    ("10/13/2026", ("use 2026-10-13.",)),
    ("13/10/2026 14:30", ("use 2026-10-13T14:30.",)),
    ("10/2026", ("use 2026-10.",)),
    ("1.10.2026", ("2026-10-01",)),
    ("2026/10/01", ("use 2026-10-01.",)),
    ("2026.10.01", ("use 2026-10-01.",)),
    ("2026-1-5", ("use 2026-01-05.",)),
    ("2026-13-01", ("use 2026-01-13.",)),
    ("2026-00", ("2026-10-01",)),
    ("2026-00-10", ("2026-10-01",)),
    ("2026-02-30", ("use 2026-02-28.",)),
    ("Oct 1 2026", ("use 2026-10-01.",)),
    ("1st October 2026", ("use 2026-10-01.",)),
    ("Thu, 01 Oct 2026 14:30:00 GMT", ("2026-10-01",)),
    ("Thu, 01 Oct 2026 14:30:00 GMT", ("use 2026-10-01T14:30:00Z.",)),
    ("14:30 1 Oct 2026", ("use 2026-10-01T14:30.",)),
    ("2026-10-01T14:30 +0200", ("use 2026-10-01T14:30+0200.",)),
    ("2026-10-01 14:30:05 UTC", ("use 2026-10-01T14:30:05Z.",)),
    ("2026-10-01 14:30 CET", ("use 2026-10-01.",)),  # not 14:30 of another zone
    ("2026-10-01T1430", ("use 2026-10-01T14:30.",)),
    ("yesterday 8am", ("use 2026-11-25T08:00.",)),
    ("4 Sept", ("use 2026-09-04.",)),
    ("Sept 2026", ("use 2026-09.",)),
    ("1. März 2026", ("use 2026-03-01.",)),
    ("Mai", ("use 2026-05.",)),
    ("2026年10月1日", ("use 2026-10-01.",)),
    ("Oct-26", ("use 2026-10-26 or 2026-10.",)),
    ("Oct '26", ("use 2026-10.",)),
    ("31/04/2026", ("use 2026-04-30.",)),
    ("29.2.2027", ("use 2027-02-28.",)),
    ("2026-W40-1", ("use 2026-09-28.",)),
    ("2026-275", ("use 2026-10-02.",)),
    ("1.7908128E9", ("use 1790812800.",)),
    ("October", ("use 2026-10.",)),
    ("December", ("use 2025-12.",)),
    ("1 October", ("use 2026-10-01.",)),
    ("Octber 2026", ("use 2026-10.",)),
    ("20261001", ("use 2026-10-01.",)),
    ("20261001T143000Z", ("use 2026-10-01T14:30:00Z.",)),
    ("202610", ("use 2026-10.",)),
    (20261001, ("use '2026-10-01'.",)),
    (2026, ("use '2026'.",)),
    ("1790812800000", ("1790812800 or 2026-10-01",)),
    (1790812800000, ("1790812800 or '2026-10-01'",)),
    (1_790_812_800.5, ("use 1790812800.",)),
    ("1790812800.5", ("use 1790812800.",)),
    ("Q3 2026", ("use 2026-Q3.",)),
    ("2026Q3", ("use 2026-Q3.",)),
    ("2026-10-01T14", ("use 2026-10-01T14:00.",)),
    ("2026-10-01 2:30 pm", ("use 2026-10-01T14:30.",)),
    ("2026-10-01/2026-10-15", ("use 2026-10-01.",)),
    ("２０２６-１０-０１", ("use 2026-10-01.",)),
    ("٢٠٢٦-١٠-٠١", ("use 2026-10-01.",)),
    ("2026\u201310\u201301", ("use 2026-10-01.",)),
    ("7 days ago", ("use 7d.",)),
    ("last 2 weeks", ("use 2w.",)),
    ("3m", ("use 2026-08-26.",)),
    ("6 months", ("use 2026-05-26.",)),
    ("3h", ("use 2026-11-26T14:30.",)),
    ("now", ("use 2026-11-26T17:30.",)),
    ("tomorrow", ("use 2026-11-27.",)),
    ("last tuesday", ("use 2026-11-24.",)),
    ("last-month", ("use 'last month'.",)),
    ("previous month", ("use 'last month'.",)),
    ("yestrday", ("use yesterday.",)),
    *(
        (value, ("2026-10-01", "last month"))
        for value in ("", "soon", "noon", "-", "all", "0000-99-99", "14:30", "9" * 99)
    ),
    *((value, ("from 2015 to 2100",)) for value in (0, -5, 1_420_070_399, 4_102_444_801, 10**30)),
    *((value, ("2026-10-01",)) for value in (None, True, [], {}, b"2026-10-01", float("nan"), float("inf"), pd.NaT)),
    (np.datetime64("NaT"), ("2026-10-01",)),
    (10**5000, ("2026-10-01",)),
]


@pytest.mark.parametrize(("value", "start", "end"), ACCEPTED, ids=lambda each: quoted(each)[:30])
def test_the_vocabulary(value: Any, start: int, end: int) -> None:
    span = parse_date(value, "after", now=NOW)
    assert (span.start, span.end) == (start, end)


@pytest.mark.parametrize(("value", "spellings"), REFUSED, ids=lambda each: quoted(each)[:30])
def test_everything_else_is_refused_with_what_it_could_mean(value: Any, spellings: tuple[str, ...]) -> None:
    with pytest.raises(hk.InputError, match=r"after=.* is not a date; ") as caught:
        as_unix(value, "after", now=NOW)
    message = str(caught.value)
    assert "\n" not in message
    for spelling in spellings:
        assert spelling in message
    for text in re.findall(r"use ([^ .;]+|'[^']+')\.$", message):  # a suggestion is itself accepted
        suggested = text.strip("'")
        assert as_unix(int(suggested) if suggested.isdecimal() and len(suggested) > 4 else suggested, "after")


@pytest.mark.parametrize("value", [value for value, _ in REFUSED], ids=lambda each: quoted(each)[:30])
def test_every_function_refuses_the_same(value: Any) -> None:
    frame = hk.sample_history(20)
    if value is None:
        return
    for call in (
        lambda: frame.speech.filter(after=value),
        lambda: hk.read_history(before=value),
        lambda: hk.official_usage(value),
        lambda: hk.usage_table(frame, None, "D", fill=(value, None)),
        lambda: hk.label(frame, [{"label": "A", "after": value}]),
    ):
        with pytest.raises(hk.InputError):
            call()


CANONICAL = re.compile(
    r"\d{4}(-(Q[1-4]|W\d\d|\d\d(-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d(:\d\d)?)?)?)?)?))?"
    r"|TODAY|YESTERDAY|[1-9]\d{0,3}[DW]|(LAST|THIS) (WEEK|MONTH|QUARTER|YEAR)|\d{10}",
    re.ASCII,
)


@settings(max_examples=examples(200))
@given(st.integers() | st.integers(1_300_000_000, 4_300_000_000) | st.floats() | st.integers(20150101, 21001231))
def test_a_number_is_whole_seconds_from_2015_to_2100(number: float) -> None:
    if 1_420_070_400 <= number <= 4_102_444_800 and number == int(number):
        assert as_unix(number, "after") == number
    else:
        with pytest.raises(hk.InputError, match="is not a date; "):
            as_unix(number, "after")


DAYS = st.dates(date(1990, 1, 1), date(2099, 12, 31))
STRFTIME = "%d/%m/%Y %m/%d/%Y %d.%m.%Y %Y/%m/%d %Y%m%d %d-%m-%Y %b-%d-%Y %B %d/%m/%y %Y-%m-%d %Y-%m %Y-W%V %c".split()
TYPED = (
    st.text(max_size=12)
    | st.text("0123456789-/.:TZWQdw +\u0661\uff11", max_size=20)
    | st.builds(lambda day, form: day.strftime(form), DAYS, st.sampled_from(STRFTIME))
    | st.builds(
        lambda word, unit: word + unit, st.sampled_from(["last ", "7", "-1", "00", "next "]), st.sampled_from("dwmhy")
    )
)


@settings(max_examples=examples(400))
@given(TYPED)
@example("January")
@example("24")
@example("12:30")
@example("2026-10-01T14:30:00.5.5")
def test_what_is_accepted_is_in_canonical_form(text: str) -> None:
    if CANONICAL.fullmatch(text.strip().upper()) is None:
        with pytest.raises(hk.InputError, match="is not a date; ") as caught:
            parse_date(text, "after", now=NOW)
        assert "\n" not in str(caught.value)
        return
    with suppress(hk.InputError):  # a day such as 30 February
        span = parse_date(text, "after", now=NOW)
        assert span.start <= span.end


@settings(max_examples=examples(200))
@given(DAYS, st.sampled_from(["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata"]))
def test_a_day_is_a_day_of_the_zone_in_every_spelling(day: date, name: str) -> None:
    zone = ZoneInfo(name)
    start = as_unix(day, "after", zone)
    assert as_unix(str(day), "after", zone) == start
    assert datetime.fromtimestamp(start - 1, zone).date() < day <= datetime.fromtimestamp(start, zone).date()
    span = parse_date(str(day), "after", zone)
    assert span.end == as_unix(day + timedelta(days=1), "after", zone)
    week = parse_date(f"{day:%G-W%V}", "after", zone)
    month = parse_date(f"{day:%Y-%m}", "after", zone)
    for wider in (week, month, parse_date(f"{day:%Y}", "after", zone)):
        assert wider.start <= start < wider.end


@settings(max_examples=examples(100))
@given(
    st.integers(utc(2015, 1, 2), utc(2099, 12, 30)).map(lambda second: datetime.fromtimestamp(second, UTC)),
    st.sampled_from(["UTC", "Asia/Tokyo", "America/Havana"]),
)
def test_relative_dates_follow_the_clock_of_the_zone(now: datetime, name: str) -> None:
    zone = ZoneInfo(name)
    today = now.astimezone(zone).date()
    assert parse_date("today", "after", zone, now=now).label == str(today)
    assert as_unix("7d", "after", zone, now=now) == as_unix(today - timedelta(days=7), "after", zone)
    assert as_unix("2w", "after", zone, now=now) == as_unix(today - timedelta(days=14), "after", zone)
    month = parse_date("last month", "after", zone, now=now)
    assert month.label == f"{today.replace(day=1) - timedelta(days=1):%Y-%m}"
    assert month.end == as_unix("this month", "after", zone, now=now)
    assert parse_date("last week", "a", zone, now=now).end == as_unix("this week", "a", zone, now=now)
    assert parse_date("last quarter", "a", zone, now=now).end == as_unix("this quarter", "a", zone, now=now)


def test_the_start_of_a_span_counts_on_both_sides() -> None:
    df = hk.sample_history(2000)
    assert date_range("2026-09", "2026-10") == (utc(2026, 9, 1), utc(2026, 10, 1))
    kept = df.speech.filter(after="2026-09", before="2026-10")
    assert 0 < len(kept) == df["date"].between("2026-09-01", "2026-10-01", "left").sum()


def test_days_are_those_of_tz() -> None:
    df = hk.sample_history(20_000)
    kept = df.speech.filter(after="2026-10-01", before="2026-10-24", tz="Asia/Kolkata")
    expected = df.speech.filter(after="2026-10-01T00:00+05:30", before="2026-10-24T00:00+05:30")
    assert kept.equals(expected)
    assert not kept.equals(df.speech.filter(after="2026-10-01", before="2026-10-24"))
    assert as_unix("2026-10-25T02:30", "after", BERLIN) == utc(2026, 10, 25, 0, 30)  # the earlier of two


@pytest.mark.parametrize(
    ("value", "words"), [("last month", "moves with the calendar"), ("01/10/2026", "use 2026-10-01")]
)
def test_a_price_begins_on_a_fixed_date(value: str, words: str) -> None:
    with pytest.raises(hk.InputError, match=words):
        hk.read_prices({"currency": "EUR", "price": [{"per_1000_credits": 1, "valid_from": value}]})
