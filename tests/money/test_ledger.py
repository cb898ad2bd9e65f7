"""The ledger: what the counters tell adds up, and nothing that merely ran side by side looks like more."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.money.ledger import FROM, SUMS, TO, chain_counters, ledger
from tests.effort import examples

pytestmark = pytest.mark.filterwarnings("ignore:The frame has no column 'history_item_id'")

START = 1_790_812_800  # 2026-10-01, UTC
HOUR, DAY = 3600, 86_400
ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/Sao_Paulo", "Pacific/Apia"]
FREQS = ["h", "D", "W", "MS", "QS", "YS", "6h"]


def frame_of(rows: Iterable[tuple[Any, ...]]) -> pd.DataFrame:
    """Make a history of (seconds, from, to); credits are missing where the counter fell."""
    columns = [list(each) for each in zip(*rows, strict=True)] or [[], [], []]
    before, after = (pd.array(each, dtype="Int64") for each in columns[1:3])
    seconds = pd.Series(pd.to_datetime(pd.array(columns[0], "Int64"), unit="s", utc=True))
    spent = after - before
    spent[(spent < 0).fillna(False).to_numpy(bool)] = pd.NA
    return pd.DataFrame({"date": seconds.astype("datetime64[us, UTC]"), "credits": spent, FROM: before, TO: after})


def facts_of(rows: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    """Return the facts of a ledger; check that its table says the same."""
    table = ledger(frame_of(rows))
    facts: dict[str, Any] = dict(table.attrs["histkit"])
    for name in ("seen", "overlap", "rows"):
        assert facts[name] == table[name].sum()
    assert facts["periods_unknown"] == table["unseen"].isna().sum() <= facts["unknown"]
    for name in ("unseen", "adjustment", "resets"):
        assert (table[name].isna() == table["unseen"].isna()).all()
    if not facts["unknown"]:
        assert facts["unseen"] == table["unseen"].sum()
        assert facts["adjustment"] == table["adjustment"].sum()
        assert len(facts["resets"]) == table["resets"].sum()
    return facts


@dataclass
class Account:
    """A true account: a counter that calls, hidden spending and billing resets change, and what can be known of it."""

    now: int = START
    counter: int = 0
    hidden: int = 0
    unseen: int = 0
    resets: int = 0
    calls: int = 0
    rows: list[tuple[int, int, int]] = field(default_factory=list)

    def spend(self, amount: int) -> None:
        self.counter += amount
        self.hidden += amount

    def reset(self) -> None:
        self.counter = self.hidden = 0
        self.resets += 1

    def call(self, cost: int, lasts: int = 0) -> None:
        """Charge a call at its start; its row is dated at its end."""
        self.unseen += self.hidden if self.calls else 0
        self.hidden = 0
        self.calls += 1
        self.rows.append((self.now + lasts, self.counter, self.counter + cost))
        self.counter += cost


costs = st.sampled_from([0, 0, 1, 5, 28, 1000, 40_000]) | st.integers(0, 10_000)
steps = st.tuples(st.integers(1, 3 * DAY), costs, st.integers(0, 3).map(lambda each: each == 0), costs, st.booleans())


@given(st.lists(steps, max_size=40), st.integers(0, 10**9))
def test_calls_one_after_another_are_told_from_all_else(steps: list[Any], opening: int) -> None:
    account = Account(counter=opening)
    for wait, cost, resets, hidden, spends in steps:
        account.now += wait
        last = account.counter
        if resets and account.rows:
            account.now += 120
            account.spend(50_000)  # more than a row's refund, so that its fall is a reset
            account.call(0)
            account.now += HOUR
            last = account.counter
            account.reset()
        if spends:
            account.now += 120  # or it might have been a call over the reset
            account.spend(hidden // 25 if resets and account.calls else hidden)  # a reset lands near zero
        assert resets or account.counter >= last
        account.call(cost)
    facts = facts_of(account.rows)
    assert facts["seen"] == sum(after - before for _, before, after in account.rows)
    assert facts["unseen"] == account.unseen
    assert len(facts["resets"]) == account.resets
    assert facts["overlap"] == facts["concurrent"] == facts["adjustment"] == facts["unknown"] == 0


bursts = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 120), st.integers(0, 100), st.integers(0, 50)), max_size=25
)


@given(bursts, st.booleans())
def test_calls_side_by_side_are_no_reset_and_hide_nothing(burst: list[Any], at_end: bool) -> None:
    account = Account()
    for wait, lasts, cost, hidden in burst:
        account.now += wait
        account.spend(hidden)
        account.call(cost, lasts if at_end else 0)
    facts = facts_of(account.rows)
    assert facts["resets"] == []
    assert facts["unseen"] == account.unseen
    assert facts["overlap"] == 0
    assert facts["seen"] == sum(cost for _, _, cost, _ in burst)


@given(bursts, st.booleans())
def test_calls_that_read_one_counter_make_no_unseen_credits(burst: list[Any], at_end: bool) -> None:
    now, events = START, []
    for wait, length, cost, hidden in burst:
        now, lasts = now + wait, max(length, 1)
        events += [(now, 1, hidden, None), (now, 2, cost, lasts), (now + lasts, 0, cost, None)]
    counter, true, seen, rows = 0, 0, 0, []
    for time, kind, amount, lasts in sorted(events, key=lambda each: each[:2]):
        if kind == 2:  # reads the counter at its start, adds to it at its end
            rows.append((time + (lasts if at_end else 0), counter, counter + amount))
            seen += amount
        else:
            counter += amount
            true += amount if kind == 1 else 0
    facts = facts_of(rows)
    assert facts["resets"] == []
    assert 0 <= facts["unseen"] <= true
    assert facts["seen"] == seen


cycles = st.lists(st.tuples(bursts.filter(bool), bursts.filter(bool), st.integers(1, 40)), min_size=1, max_size=4)


@given(cycles, st.booleans())
def test_a_reset_between_calls_side_by_side_is_found_once(parts: list[Any], at_end: bool) -> None:
    account = Account()

    def run(burst: list[Any]) -> None:
        for wait, lasts, cost, hidden in burst:
            account.now += wait
            account.spend(hidden)
            account.call(cost, lasts if at_end else 0)

    for before, after, days in parts:
        account.call(100_000)
        account.now += days * DAY
        run(before)
        account.reset()
        run(after)
        account.now += HOUR
    facts = facts_of(account.rows)
    assert len(facts["resets"]) == account.resets
    assert facts["unseen"] == account.unseen
    assert facts["overlap"] == 0


counters = st.none() | st.integers(0, 3000) | st.integers(0, 10**10)
seconds = st.none() | st.integers(START, START + 600) | st.integers(START, START + 100 * DAY)
junk = st.lists(st.tuples(seconds, counters, counters), max_size=30)
known = st.integers(START, START + 600) | st.integers(START, START + 100 * DAY)
whole = st.lists(
    st.tuples(known, st.integers(0, 3000), st.integers(0, 500)).map(lambda row: (row[0], row[1], row[1] + row[2])),
    min_size=1,
    max_size=30,
)


@given(junk, st.sampled_from(FREQS), st.sampled_from(ZONES))
def test_the_periods_add_up_whatever_the_rows(rows: list[Any], freq: str, zone: str) -> None:
    frame = frame_of(rows)
    before = frame.copy(deep=True)
    table = ledger(frame, freq, tz=zone)
    pd.testing.assert_frame_equal(frame, before)
    facts = table.attrs["histkit"]
    used = frame[frame[[FROM, TO, "date"]].notna().all(axis=1).to_numpy()]
    assert facts["seen"] == used["credits"].sum() == table["seen"].sum()
    assert table["rows"].sum() == facts["rows"] == len(used)
    assert facts["rows_without_date"] == frame["date"].isna().sum()
    assert facts["rows_without_counters"] + facts["rows_without_date"] + facts["rows"] == len(frame)
    signed = table["adjustment"].fillna(0)
    assert (signed <= 0).all()
    assert (table[[*SUMS, "counter"]].drop(columns="adjustment").fillna(0) >= 0).all().all()
    assert (table["chained"] <= table["rows"]).all()
    assert table["period"].is_monotonic_increasing
    assert table["period"].is_unique
    daily = ledger(frame).attrs["histkit"]
    assert daily == facts


@given(whole)
def test_the_counter_grew_by_seen_unseen_and_adjustments_less_the_overlap(rows: list[tuple[int, int, int]]) -> None:
    frame = frame_of(rows)
    found = chain_counters(frame)
    starts, first = frame[FROM].to_numpy(np.int64)[found.rows], 0
    for cycle in np.unique(found.cycles):
        own = found.cycles == cycle
        figures = found.spent + found.unseen - found.overlap + found.adjustment
        runs = found.runs[own]
        last = found.counters[own][runs == runs.max()].max()
        if cycle == 0:
            first = starts[own][runs == runs.min()].min()
        if not found.unknown[own].any():
            assert last - (first if cycle == 0 else 0) == figures[own].sum()


@given(junk, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_their_index_do_not_matter(rows: list[Any], random: Any) -> None:
    frame = frame_of(rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = frame.iloc[order].set_axis([0] * len(rows))
    pd.testing.assert_frame_equal(ledger(shuffled, "h"), ledger(frame, "h"))
    assert ledger(shuffled).attrs == ledger(frame).attrs


@given(junk)
def test_columns_of_other_types_give_the_same_ledger(rows: list[Any]) -> None:
    frame = frame_of(rows)
    loose = frame.astype(dict.fromkeys(["credits", FROM, TO], object))
    pd.testing.assert_frame_equal(ledger(loose), ledger(frame))


@given(st.lists(st.tuples(st.sampled_from(["own", "acme", None]), known, *[st.integers(0, 3000)] * 2), max_size=20))
def test_each_account_has_its_own_ledger(rows: list[Any]) -> None:
    frame = frame_of([row[1:] for row in rows]).assign(account=pd.Categorical([row[0] for row in rows]))
    table = ledger(frame)
    names = frame["account"].unique().tolist()
    if len(names) < 2:
        assert "account" not in table.columns
        return
    assert table.columns[0] == "account"
    assert table["account"].dtype == frame["account"].dtype
    for name in names:
        mask = frame["account"].isna() if pd.isna(name) else frame["account"] == name
        own = table["account"].isna() if pd.isna(name) else table["account"] == name
        alone = ledger(frame[mask.to_numpy(bool)])
        part = table[own.to_numpy(bool)].drop(columns="account").reset_index(drop=True)
        pd.testing.assert_frame_equal(part, alone)


def test_a_gap_belongs_to_the_row_that_shows_it_and_the_counter_is_carried() -> None:
    table = ledger(frame_of([(START, 100, 150), (START + DAY, 150, 170), (START + 3 * DAY, 500, 600)]))
    assert table["period"].dt.day.tolist() == [1, 2, 4]
    assert table["unseen"].tolist() == [0, 0, 330]
    assert table["chained"].tolist() == [0, 1, 0]
    assert table["counter"].tolist() == [150, 170, 600]
    assert table.attrs["histkit"]["chained"] == 0.5
    assert table.attrs["histkit"]["estimate"] is True


def test_a_refund_is_an_adjustment_and_no_reset() -> None:
    facts = facts_of([(START, 500_000, 500_100), (START + 2 * HOUR, 500_099, 500_200)])
    assert (facts["unseen"], facts["adjustment"], facts["resets"], facts["unknown"]) == (0, -1, [], 0)


def test_what_was_spent_since_a_reset_is_unseen_and_its_instant_is_told() -> None:
    facts = facts_of([(START, 1700, 1900), (START + DAY, 40, 60), (START + DAY + 9, 60, 61)])
    assert facts["unseen"] == 40
    assert facts["resets"] == ["2026-10-02T00:00:00+00:00"]


def test_rows_of_one_second_are_chained_by_their_counters() -> None:
    facts = facts_of([(START, 30, 40), (START, 10, 30), (START, 10, 10), (START, 0, 10), (START, 40, 40)])
    assert (facts["chained"], facts["unseen"], facts["concurrent"], facts["resets"]) == (1.0, 0, 0, [])


def test_a_row_dated_before_the_one_it_follows_is_chained() -> None:
    facts = facts_of([(START + 5, 100, 150), (START + 4, 150, 170), (START + 9, 170, 171)])
    assert (facts["chained"], facts["unseen"], facts["resets"]) == (1.0, 0, [])


def test_a_gap_after_rows_side_by_side_is_theirs_first() -> None:
    both = [(START, 100, 150), (START, 100, 120)]
    assert (facts_of(both)["overlap"], facts_of(both)["unseen"]) == (20, 0)
    later = facts_of([*both, (START + 60, 170, 180)])
    assert (later["overlap"], later["unseen"], later["concurrent"], later["chained"]) == (0, 0, 1, 0.5)
    assert facts_of([*both, (START + 60, 190, 200)])["unseen"] == 20


def test_a_row_that_runs_over_a_reset_is_one_and_has_no_price() -> None:
    facts = facts_of([(START, 800, 850), (START + 20, 900, 30), (START + 21, 30, 40)])
    assert (len(facts["resets"]), facts["seen"], facts["unseen"], facts["chained"]) == (1, 60, 80, 0.5)
    alone = ledger(frame_of([(START, 900, 30)]))
    assert alone["seen"].isna().all()
    assert alone[["unseen", "resets", "counter"]].to_numpy().tolist() == [[30, 1, 30]]


def test_two_rows_that_run_over_a_reset_show_one() -> None:
    rows = [(START - DAY, 0, 800), (START, 800, 10), (START + 1, 800, 30), (START + 2, 805, 40), (START + 90, 40, 50)]
    assert len(facts_of(rows)["resets"]) == 1


def test_a_slightly_fallen_row_is_no_reset() -> None:
    facts = facts_of([(START, 100, 150), (START + 60, 150, 145), (START + 61, 145, 160), (START + DAY, 160, 170)])
    assert (facts["resets"], facts["unseen"], facts["adjustment"]) == ([], 0, -5)


def test_a_reset_soon_after_the_first_row_is_found_with_the_next() -> None:
    rows = [(START, 900, 1000), (START + 60, 0, 50), (START + 200, 50, 60)]
    assert facts_of(rows)["resets"] == ["2026-10-01T00:01:00+00:00"]
    late = [*rows, (START + 65, 1000, 1010)]
    facts = facts_of(late)
    assert (len(facts["resets"]), facts["unseen"], facts["chained"]) == (1, 0, 1.0)


def test_a_made_up_history_shows_each_billing_month() -> None:
    frame = hk.sample_history(3000)
    facts = ledger(frame).attrs["histkit"]
    months = {(pd.Timestamp(each) - pd.Timedelta(days=13, hours=9.5)).strftime("%Y-%m") for each in facts["resets"]}
    assert len(months) == len(facts["resets"]) == 23
    assert facts["seen"] == frame["credits"].sum()
    assert 0.97 < facts["chained"] < 1
    fewer = ledger(frame[frame["source"] == "TTS"]).attrs["histkit"]
    assert fewer["unseen"] > facts["unseen"]
    assert fewer["seen"] + fewer["unseen"] <= facts["seen"] + facts["unseen"]


def test_rows_without_usable_counters_are_counted_and_left_out() -> None:
    rows = [(START, 0, 5), (START + 1, None, 7), (START + 2, -5, 7), (START + 3, 5, 10**15), (None, 5, 6)]
    facts = facts_of(rows)
    assert (facts["rows"], facts["rows_without_counters"], facts["rows_without_date"], facts["seen"]) == (1, 3, 1, 5)
    assert facts["chained"] is None


def test_an_empty_frame_gives_an_empty_ledger_of_the_same_form() -> None:
    full = ledger(frame_of([(START, 0, 5)]), "W", tz="Asia/Tokyo")
    for empty in (frame_of([]), hk.sample_history(5).iloc[:0]):
        table = ledger(empty, "W", tz="Asia/Tokyo")
        assert len(table) == 0
        pd.testing.assert_series_equal(table.dtypes, full.dtypes)
        assert table.attrs["histkit"]["chained"] is None


@pytest.mark.parametrize("missing", ["date", "credits", FROM, TO])
def test_a_missing_column_is_named(missing: str) -> None:
    with pytest.raises(hk.SchemaError, match=f"'{missing}'"):
        ledger(frame_of([(START, 0, 5)]).drop(columns=missing))


@pytest.mark.parametrize(("column", "value"), [(FROM, 1.5), (TO, "many"), ("credits", "1x"), ("date", "never")])
def test_a_column_of_the_wrong_kind_is_named(column: str, value: Any) -> None:
    with pytest.raises(hk.SchemaError, match=f"'{column}'"):
        ledger(frame_of([(START, 0, 5)]).assign(**{column: value}))


@pytest.mark.parametrize("arguments", [{"freq": "fortnight"}, {"freq": None}, {"tz": "Mars"}])
def test_an_argument_that_cannot_be_used_is_named(arguments: dict[str, Any]) -> None:
    with pytest.raises(hk.InputError, match=next(iter(arguments))):
        ledger(frame_of([(START, 0, 5)]), **arguments)


@settings(max_examples=examples(10))
@given(st.integers(1, 20), st.integers(0, 50))
def test_many_short_cycles_are_parted(cycles: int, start: int) -> None:
    rows = [
        (START + each * DAY + step, start + step * 1000, start + step * 1000 + 1000)
        for each in range(cycles)
        for step in range(3)
    ]
    facts = facts_of(rows)
    assert (len(facts["resets"]), facts["unseen"], facts["overlap"]) == (cycles - 1, start * (cycles - 1), 0)


MONTH = 30 * DAY


def test_several_refunds_in_a_gap_are_one_adjustment_and_what_is_spent_after_is_unseen() -> None:
    rows = [(START, 90_000, 91_000), (START + DAY, 90_700, 90_800), (START + 2 * DAY, 90_950, 91_000)]
    facts = facts_of(rows)
    assert (facts["adjustment"], facts["unseen"], facts["resets"]) == (-300, 150, [])


def test_a_refund_among_concurrent_rows_is_no_reset_and_shows_at_the_next_row() -> None:
    rows = [(START, 5000, 5100), (START + 4, 5100, 5200), (START + 2, 5130, 5300), (START + 600, 5300, 5310)]
    facts = facts_of(rows)
    assert (facts["adjustment"], facts["overlap"], facts["unseen"], facts["resets"]) == (0, 70, 0, [])


def test_refunds_in_a_dense_stream_are_adjustments() -> None:
    counter, rows, refunds = 10_000, [], 0
    for place in range(195):
        if place % 40 == 39:
            counter -= 37
            refunds += 37
        rows.append((START + 20 * place, counter, counter + 50))
        counter += 50
    facts = facts_of(rows)
    assert (facts["adjustment"], facts["unseen"], facts["resets"], facts["overlap"]) == (-refunds, 0, [], 0)


def test_a_refund_right_after_a_reset_is_no_second_reset() -> None:
    rows = [(START, 40_000, 41_000), (START + DAY, 0, 250), (START + 2 * DAY, 100, 200), (START + 3 * DAY, 0, 90)]
    facts = facts_of(rows)
    assert (len(facts["resets"]), facts["adjustment"], facts["unseen"]) == (1, -350, 0)


def test_a_reset_when_few_credits_had_been_spent_is_found_by_its_month() -> None:
    rows = [(START, 40_000, 41_000), (START + DAY, 0, 20), (START + MONTH, 20, 150), (START + MONTH + 2 * DAY, 0, 30)]
    assert len(facts_of(rows)["resets"]) == 2


def test_a_reset_after_unseen_spending_is_found_by_the_months_of_the_others() -> None:
    rows = [(START, 40_000, 41_000), (START + DAY, 0, 20)]
    rows += [(START + MONTH, 40_000, 41_000), (START + MONTH + 2 * DAY, 25_000, 25_100)]
    facts = facts_of([*rows, (START + 2 * MONTH, 40_000, 41_000), (START + 2 * MONTH + DAY, 0, 20)])
    assert (len(facts["resets"]), facts["unknown"]) == (3, 0)
    assert facts["unseen"] == 39_980 + 25_000 + 14_900


def test_a_fall_that_nothing_explains_is_missing_and_counted() -> None:
    rows = [(START, 499_000, 500_000), (START + DAY, 300_000, 300_100), (START + 2 * DAY, 300_150, 300_200)]
    table = ledger(frame_of(rows))
    assert table["unseen"].isna().tolist() == [False, True, False]
    assert table["seen"].tolist() == [1000, 100, 50]
    assert table["counter"].tolist() == [500_000, 300_100, 300_200]
    facts = facts_of(rows)
    assert (facts["unknown"], facts["periods_unknown"], facts["unseen"], facts["resets"]) == (1, 1, 50, [])
    monthly = ledger(frame_of(rows), "MS")
    assert monthly[["unseen", "adjustment", "resets"]].isna().all().all()
    assert monthly.attrs["histkit"]["unseen"] == 50


@pytest.mark.parametrize("landing", [60_000, 150_000, 200_000, 250_000])
def test_a_low_landing_is_a_reset_only_if_so_much_can_have_been_spent_since(landing: int) -> None:
    first, half_an_hour = (START, 500_000, 500_100), HOUR // 2
    soon = facts_of([first, (START + 2 * HOUR, landing, landing + 100)])
    assert (soon["resets"], soon["unseen"], soon["adjustment"], soon["unknown"]) == ([], 0, 0, 1)
    later = facts_of([first, (START + 21 * DAY, landing, landing + 100)])
    assert (len(later["resets"]), later["unseen"], later["unknown"]) == (1, landing, 0)
    busy = START - 50 * HOUR
    before = [(busy, 499_000 - landing, 500_000 - landing), (busy + half_an_hour, 500_000, 500_000)]
    assert len(facts_of([*before, first, (START + 2 * HOUR, landing, landing + 100)])["resets"]) == 1


@pytest.mark.parametrize(("days", "found"), [(3, 0), (14, 0), (29, 1), (31, 1), (44, 0), (61, 1)])
def test_a_low_landing_is_a_reset_if_it_is_months_from_another(days: int, found: int) -> None:
    month = START + days * DAY
    rows = [
        (START, 300_000, 300_100),
        (START + HOUR, 0, 100),
        (month, 400_000, 400_000),
        (month + HOUR, 90_000, 90_100),
    ]
    for history in (rows, _mirrored(rows)):
        facts = facts_of(history)
        assert (len(facts["resets"]), facts["unknown"]) == (1 + found, 1 - found)


def _mirrored(rows: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Let the two falls change places: the doubtful one comes first."""
    (first, *high), (second, *low), (third, *full), (fourth, *landing) = rows
    return [(first, *full), (second, *landing), (third, *high), (fourth, *low)]


def test_refunds_that_take_back_half_of_a_young_counter_are_no_second_reset() -> None:
    rows = [(START, 90_000, 91_000), (START + HOUR, 0, 900), (START + DAY, 900, 1800), (START + DAY + HOUR, 300, 400)]
    facts = facts_of(rows)
    assert (len(facts["resets"]), facts["unknown"], facts["unseen"]) == (1, 1, 0)


def test_a_refund_of_a_large_row_is_no_reset_that_lands_where_little_can_have_been_spent() -> None:
    rows = [(START, 500, 2500), (START + HOUR, 2500, 3000), (START + 2 * HOUR, 1400, 1500)]
    facts = facts_of(rows)
    assert (facts["resets"], facts["adjustment"], facts["unseen"]) == ([], -1600, 0)
    late = facts_of([*rows[:2], (START + 20 * DAY, 1400, 1500)])
    assert (len(late["resets"]), late["unseen"]) == (1, 1400)


@pytest.mark.parametrize("size", [350, 9_000, 60_000])
def test_a_refund_a_month_after_a_reset_is_none_for_its_date_alone(size: int) -> None:
    month = START + MONTH
    height, landing = 5 * size // 2, 3 * size // 2
    rows = [(START, 190_000, 200_000), (START + HOUR, 0, 100), (month, height, height)]
    facts = facts_of([*rows, (month + HOUR, landing, landing + 10)])
    assert len(facts["resets"]) == 1
    assert (facts["unknown"], facts["adjustment"]) == ((1, 0) if size == 60_000 else (0, -size))


def test_dates_that_are_not_those_of_the_account_explain_no_fall() -> None:
    frame = frame_of([(START, 500_000, 500_100), (START + 2 * HOUR, 200_000, 200_100)])
    assert ledger(frame, billing=15).attrs["histkit"]["unknown"] == 1
    assert len(ledger(frame, billing=1).attrs["histkit"]["resets"]) == 1


def test_the_known_dates_of_resets_decide() -> None:
    rows = [(START, 49_000, 50_000), (START + DAY, 30_000, 30_100), (START + 9 * DAY, 30_100, 30_200)]
    frame = frame_of(rows)
    subscription = {
        "next_character_count_reset_unix": START + MONTH + DAY,
        "character_refresh_period": "monthly_period",
    }
    for billing in (1, "2026-10-01", subscription):
        facts = ledger(frame, billing=billing).attrs["histkit"]
        assert (len(facts["resets"]), facts["unseen"], facts["unknown"]) == (1, 30_000, 0)
    facts = ledger(frame, billing=15).attrs["histkit"]
    assert (facts["resets"], facts["unknown"]) == ([], 1)
    refund = frame_of([(START, 500_000, 500_100), (START + 2 * HOUR, 500_099, 500_200)])
    facts = ledger(refund, billing=1).attrs["histkit"]
    assert (facts["resets"], facts["adjustment"]) == ([], -1)


def test_resets_are_known_by_account() -> None:
    frame = pd.concat([frame_of([(START, 49_000, 50_000), (START + DAY, 30_000, 30_100)])] * 2, ignore_index=True)
    frame["account"] = ["a", "a", "b", "b"]
    table = ledger(frame, "MS", billing={"a": 1})
    assert table["unseen"].tolist() == [30_000, pd.NA]
    with pytest.raises(hk.InputError, match="several accounts"):
        ledger(frame, billing=1)
    with pytest.raises(hk.InputError, match="'c'"):
        ledger(frame, billing={"c": 1})
    with pytest.raises(hk.InputError, match="next_character_count_reset_unix"):
        ledger(frame.drop(columns="account"), billing={"character_count": 1})


def test_accounts_of_equal_counters_are_never_chained() -> None:
    alone = frame_of([(START, 0, 100), (START + HOUR, 100, 250), (START + DAY, 400, 500)])
    frame = pd.concat([alone.assign(account=name) for name in ("a", "b")], ignore_index=True)
    frame["history_item_id"] = [f"item{row}" for row in range(len(frame))]
    table, both = ledger(frame), frame.speech.ledger(across_accounts=True)
    assert table.drop(columns="account").iloc[:2].equals(ledger(alone))
    assert table["account"].tolist() == ["a", "a", "b", "b"]
    assert "account" not in both.columns
    assert both["unseen"].tolist() == [0, 300]
    assert both["chained"].tolist() == [2, 0]
    assert both["counter"].isna().all()
    assert both.attrs == table.attrs
    pd.testing.assert_frame_equal(ledger(alone.assign(account="a"), across_accounts=True), ledger(alone))


keys = st.sampled_from(["web", "app", None])


@settings(max_examples=examples(15))  # nine ledgers each
@given(st.lists(st.tuples(keys, st.sampled_from(["a", "b"]), known, *[st.integers(0, 3000)] * 2), max_size=20))
def test_a_ledger_by_group_has_the_sums_of_the_one_without(rows: list[Any]) -> None:
    frame = frame_of([row[2:] for row in rows]).assign(
        key=pd.Categorical([row[0] for row in rows]),
        account=pd.array([row[1] for row in rows], dtype="string"),
        number=np.arange(len(rows)) % 2,
    )
    for across in (False, True):
        whole = ledger(frame, "W", across_accounts=across)
        keys = [name for name in ("account", "period") if name in whole.columns]
        for by in ("key", ["key", "number"], "account", []):
            table = ledger(frame, "W", by=by, across_accounts=across)
            sums = table.groupby(keys)[list(SUMS)].sum(min_count=1)
            expected = whole.groupby(keys)[list(SUMS)].sum(min_count=1)
            pd.testing.assert_frame_equal(sums, expected)
            assert table["counter"].count() == whole["counter"].count()
            for name in by if isinstance(by, list) else [by]:
                assert name in table.columns
    if not rows:
        return
    table = ledger(frame, "W", by="key", across_accounts=True)
    own = frame[(frame["key"] == "web").fillna(False).to_numpy(bool)]
    assert table.loc[(table["key"] == "web").to_numpy(bool), "rows"].sum() == len(own)
    seen = table.loc[(table["key"] == "web").to_numpy(bool), "seen"].sum()
    assert seen == own["credits"].sum()
    rest = table["rows"].isna()
    assert table.loc[rest, "key"].isna().all()
    assert table.loc[~rest, ["unseen", "adjustment", "overlap", "resets", "counter"]].isna().all().all()


def test_dialogues_are_divided_among_their_voices_in_a_ledger_too() -> None:
    frame = hk.sample_history(600)
    table, usage = ledger(frame, "YS", by="voice"), hk.usage_table(frame, "voice")
    seen = table.groupby("voice")["seen"].sum()
    assert seen.to_dict() == usage.set_index("voice")["credits"].to_dict()


part_of = st.lists(st.tuples(st.sampled_from(["a", "b", None]), seconds, counters, counters), max_size=40)


@given(
    part_of,
    st.lists(st.integers(0, 101), min_size=1, max_size=3, unique=True).map(sorted),
    st.sampled_from(ZONES),
    st.booleans(),
)
def test_the_ledgers_of_parts_of_the_time_are_those_of_the_whole(
    rows: list[Any], days: list[int], zone: str, across: bool
) -> None:
    account = pd.array([row[0] for row in rows], dtype="string")
    frame = frame_of([row[1:] for row in rows]).assign(account=account)
    first = pd.Timestamp(START, unit="s", tz="UTC").tz_convert(zone).normalize()
    edges = [None, *(first + pd.DateOffset(days=day) for day in days), None]
    whole, columns, parts = ledger(frame, tz=zone, across_accounts=across), [*SUMS, "counter", "period"], []
    for after, before in itertools.pairwise(edges):
        part = ledger(frame, tz=zone, across_accounts=across, after=after, before=before)
        inside = np.ones(len(whole), bool)
        inside &= (whole["period"] >= after).to_numpy() if after else True
        inside &= (whole["period"] < before).to_numpy() if before else True
        pd.testing.assert_frame_equal(part[columns], whole.loc[inside, columns].reset_index(drop=True))
        parts.append(part.attrs["histkit"])
    facts = whole.attrs["histkit"]
    for name in ("seen", "unseen", "adjustment", "overlap", "unknown", "rows", "concurrent", "periods_unknown"):
        assert sum(part[name] for part in parts) == facts[name], name
    assert [reset for part in parts for reset in part["resets"]] == facts["resets"]
    assert sum(part["rows_without_counters"] for part in parts) == facts["rows_without_counters"]
    assert {part["rows_without_date"] for part in parts} == {facts["rows_without_date"]}


def test_a_part_of_a_period_has_what_its_own_rows_say() -> None:
    """The gap before its first row is one of all rows; a frame that is filtered before has none."""
    hour = 3600
    frame = frame_of([(START, 0, 100), (START + hour, 150, 250), (START + 2 * hour, 250, 300)])
    (line,) = ledger(frame, "MS", after=START + hour, before=START + 2 * hour).to_dict("records")
    assert (line["rows"], line["chained"], line["seen"], line["unseen"], line["counter"]) == (1, 0, 100, 50, 250)
    alone = ledger(frame.iloc[1:2], "MS")
    assert alone["unseen"].tolist() == [0]
    facts = ledger(frame, "MS", after=START + hour).attrs["histkit"]
    assert (facts["rows"], facts["seen"], facts["unseen"], facts["chained"]) == (2, 150, 50, 0.5)
    with pytest.raises(hk.InputError, match="is later than"):
        ledger(frame, after="2026-11", before="2026-10")


@pytest.mark.faults
def test_a_million_rows_of_nonsense_take_seconds() -> None:
    """Random counters, a dozen rows a second: thousands of falls, each with a thousand rows around it."""
    random, size = np.random.default_rng(0), 1_000_000
    starts = (10 ** random.uniform(0, 9, size)).astype(np.int64)
    ends = starts + (10 ** random.uniform(0, 4, size)).astype(np.int64)
    date = pd.to_datetime(START + np.sort(random.integers(0, DAY, size)), unit="s", utc=True)
    frame = pd.DataFrame({"date": date, "credits": ends - starts, FROM: starts, TO: ends})
    begun = process_time()
    facts = ledger(frame).attrs["histkit"]
    assert process_time() - begun < 40
    assert facts["rows"] == size
    assert facts["seen"] == int((ends - starts).sum())


@pytest.mark.parametrize("by", ["unseen", "rows", "period", "credits", "nothing", {"a": 1}, 3])
def test_a_group_that_cannot_be_is_refused(by: Any) -> None:
    with pytest.raises((hk.InputError, hk.SchemaError)):
        ledger(hk.sample_history(5), by=by)
