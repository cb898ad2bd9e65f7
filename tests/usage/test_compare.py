"""Each period beside the one before: changes that add up, split into volume and mix without a rest."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import histkit as hk
from histkit.usage.table import usage_table
from tests.usage.test_table import IDS, MEASURES, NAMES, ZONES, bys, check_sums, frame_of, frames_and_freqs, lines

pytestmark = pytest.mark.filterwarnings("ignore:The frame has no column 'history_item_id'")

COMPARED = ["credits_previous", "credits_change", "volume", "mix"]
FREQS = ["D", "W", "MS", "QS-FEB", "YS"]
near = st.integers(1_772_000_000, 1_780_000_000)
priced_rows = st.fixed_dictionaries(
    {
        "voice_id": st.sampled_from(IDS),
        "voice_name": st.sampled_from(NAMES),
        "model_id": st.sampled_from(["eleven_v3", "eleven_flash_v2_5", None]),
        "source": st.sampled_from(["TTS", "STS", None]),
        "characters": st.none() | st.integers(0, 30) | st.integers(0, 2**50),
        "credits": st.integers(0, 30) | st.integers(0, 2**50),
        "date_unix": near,
        "dialogue": st.none() | st.lists(lines, max_size=3),
    }
)
priced = st.lists(priced_rows, max_size=12).map(frame_of)


def zero(value: Any) -> int:
    return 0 if value is pd.NA else int(value)


def names_of(table: pd.DataFrame) -> list[Any]:
    return [name for name in table.columns if name not in (*MEASURES, *COMPARED, "period")]


@given(frames_and_freqs, bys, st.sampled_from(ZONES), st.none() | st.integers(1, 2))
def test_a_row_is_compared_with_its_group_in_the_period_before(
    frame_and_freq: tuple[pd.DataFrame, str], by: Any, zone: str, top: int | None
) -> None:
    frame, freq = frame_and_freq
    whole = usage_table(frame, by, freq, tz=zone, top=top, fill=True)
    names = names_of(whole)
    starts = sorted(whole["period"].dropna().unique())
    before = dict(zip(starts[1:], starts, strict=False))
    credits = {
        (*key, start): value for *key, start, value in whole[[*names, "period", "credits"]].astype(object).values
    }
    for fill in (False, True):
        table = usage_table(frame, by, freq, tz=zone, top=top, fill=fill, compare="previous")
        assert table.columns.tolist() == [*whole.columns, *COMPARED]
        assert all(table[name].dtype == "Int64" for name in COMPARED)
        check_zeros_and_sums(table, frame)
        for *key, start, now, previous, change in (
            table[[*names, "period", "credits", "credits_previous", "credits_change"]].astype(object).values
        ):
            then = credits[(*key, before[start])] if start in before else pd.NA
            assert previous is then or previous == then
            assert change is now - then or change == now - then
    # without `fill` there is a row wherever something was, now or before
    pd.testing.assert_frame_equal(table[MEASURES], whole[MEASURES])


def check_zeros_and_sums(table: pd.DataFrame, frame: pd.DataFrame) -> None:
    assert int(table["items"].sum()) == len(frame)
    for name in ("characters", "credits"):
        assert int(table[name].sum()) == int(frame[name].sum())
    split = table["volume"] + table["mix"]
    assert (split - table["credits_change"]).fillna(0).eq(0).all()
    assert (table["volume"].isna() == table["mix"].isna()).all()
    assert table["volume"].notna().le(table["credits_change"].notna()).all()


@given(priced, bys.filter(lambda by: by != "text"), st.sampled_from(FREQS), st.sampled_from(ZONES))
def test_the_parts_of_a_period_add_up_to_the_split_of_its_total(
    frame: pd.DataFrame, by: Any, freq: str, zone: str
) -> None:
    by = [name for name in by if name != "text"] if isinstance(by, list) else by
    table = usage_table(frame, by, freq, tz=zone, compare="previous")
    total = usage_table(frame, None, freq, tz=zone, compare="previous").set_index("period")
    whole = usage_table(frame, None, freq, tz=zone, fill=True).set_index("period")
    for place, (start, period) in enumerate(whole.iterrows()):
        rows = table[table["period"] == start]
        if place == 0:
            assert rows[COMPARED].isna().all().all()
            continue
        then = whole.iloc[place - 1]
        change = zero(period["credits"]) - zero(then["credits"])
        assert int(rows["credits_change"].sum()) == change
        grown = zero(period["characters"]) - zero(then["characters"])
        if not zero(then["characters"]):
            assert rows[["volume", "mix"]].isna().all().all()
            continue
        exact = Fraction(grown * zero(then["credits"]), zero(then["characters"]))
        if len(rows) and rows["volume"].notna().all():
            assert int(rows["volume"].sum()) == (2 * exact + 1) // 2
            assert int(rows["mix"].sum()) == change - (2 * exact + 1) // 2
            assert int(total.loc[start, "volume"]) == (2 * exact + 1) // 2
        else:  # only what 64 bits can't hold, or no rows in either period
            assert not len(rows) or then["credits"] > 2**20


@given(priced, st.randoms(use_true_random=False))
def test_neither_the_order_of_rows_nor_their_index_matters(frame: pd.DataFrame, random: Any) -> None:
    order = list(range(len(frame)))
    random.shuffle(order)
    shuffled = frame.iloc[order].set_axis([0] * len(frame))
    for by in ("voice", ["model", "source"]):
        pd.testing.assert_frame_equal(
            usage_table(shuffled, by, "D", compare="previous"), usage_table(frame, by, "D", compare="previous")
        )


def usage_of(*rows: tuple[int, str, int | None, int | None]) -> pd.DataFrame:
    """Make a table by month of rows (month, model, characters, credits)."""
    frame = frame_of(
        [
            {
                "model_id": model,
                "characters": characters,
                "credits": credits,
                "date_unix": int(pd.Timestamp(2026, month, 5, tz="UTC").timestamp()),
            }
            for month, model, characters, credits in rows
        ]
    )
    table = usage_table(frame, "model", "MS", compare="previous")
    return table.assign(month=table["period"].dt.month)[["month", "model", "credits", *COMPARED]]


def test_volume_is_the_change_in_characters_at_the_average_rate_and_mix_the_rest() -> None:
    table = usage_of((1, "v3", 600, 600), (1, "flash", 400, 200), (2, "v3", 900, 900), (2, "flash", 600, 300))
    assert table.values.tolist()[2:] == [[2, "v3", 900, 600, 300, 240, 60], [2, "flash", 300, 200, 100, 160, -60]]


def test_new_groups_and_those_that_are_gone_are_compared_with_zero() -> None:
    table = usage_of((1, "old", 100, 50), (2, "new", 100, 100), (4, "new", 10, 10))
    assert table.values.tolist() == [
        [1, "old", 50, pd.NA, pd.NA, pd.NA, pd.NA],
        [2, "new", 100, 0, 100, 50, 50],
        [2, "old", 0, 50, -50, -50, 0],
        [3, "new", 0, 100, -100, -100, 0],
        [4, "new", 10, 0, 10, pd.NA, pd.NA],  # nothing was made in March: no rate to tell volume from mix by
    ]


def test_what_has_no_characters_is_mix_and_what_has_no_price_is_missing() -> None:
    table = usage_of(
        (1, "tts", 100, 100), (1, "sts", None, 50), (2, "tts", 100, 100), (2, "sts", None, 80), (2, "odd", 10, None)
    )
    assert table.values.tolist()[2:] == [
        [2, "tts", 100, 100, 0, 0, 0],
        [2, "sts", 80, 50, 30, 0, 30],
        [2, "odd", pd.NA, 0, pd.NA, pd.NA, pd.NA],
    ]


def test_a_free_period_before_makes_all_of_the_change_mix() -> None:
    assert usage_of((1, "v3", 100, 0), (2, "v3", 200, 70)).values.tolist()[1] == [2, "v3", 70, 0, 70, 0, 70]


def test_rows_without_a_date_are_compared_with_nothing() -> None:
    frame = hk.sample_history(300)
    frame.loc[::7, "date"] = pd.NaT
    table = usage_table(frame, "model", "QS", compare="previous")
    assert table.loc[table["period"].isna(), COMPARED].isna().all().all()
    assert table["period"].isna().any()
    check_sums(table, frame)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"compare": "previous"}, "pass freq="),
        ({"compare": "year", "freq": "D"}, "compare='year'"),
        ({"compare": True, "freq": "D"}, "compare=True"),
        ({"compare": "previous", "freq": "D", "by": "mix"}, "by='mix'"),
        ({"compare": "previous", "freq": "D", "by": ["model", "credits_previous"]}, "by='credits_previous'"),
    ],
)
def test_what_cannot_be_compared_is_told_on_one_line(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(hk.InputError, match=words) as caught:
        usage_table(hk.sample_history(20), **arguments)
    assert "\n" not in str(caught.value)


def test_far_dates_by_the_hour_are_refused_before_they_fill_the_memory() -> None:
    frame = frame_of([{"date_unix": each, "credits": 1} for each in (0, 200_000_000_000)])
    with pytest.raises(hk.InputError, match="longer freq"):
        usage_table(frame, None, "h", compare="previous")
