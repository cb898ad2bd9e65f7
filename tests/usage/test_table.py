"""Usage tables: sums that add up, whatever the frame, the zone and the period."""

from __future__ import annotations

import itertools
import json
import re
import zoneinfo
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.frame.dates import as_unix
from histkit.frame.filters import filter_items
from histkit.usage.dialogue import apportion
from histkit.usage.table import speakers, usage_table
from tests.effort import examples

pytestmark = pytest.mark.filterwarnings("ignore:The frame has no column 'history_item_id'")

TEXT = pd.StringDtype("pyarrow")
LINE = pa.struct([("text", pa.string()), ("voice_id", pa.string()), ("voice_name", pa.string())])
MEASURES = ["items", "characters", "credits"]
ZONES = sorted(zoneinfo.available_timezones() - {"localtime"})
FREQS = ["h", "D", "W", "MS", "QS", "YS", "2h", "6h", "W-SAT", "QS-FEB", "YS-APR"]
CATEGORIES = ("voice_id", "voice_name", "model_id", "source")


def json_of(lines: Any) -> str | None:
    return None if lines is None else json.dumps(lines, ensure_ascii=False)


def frame_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Make a history, typed as histkit's, of rows with any of its fields."""
    column = {name: [row.get(name) for row in rows] for name in (*CATEGORIES, "text", "characters", "credits")}
    seconds = [row.get("date_unix") for row in rows]
    data: dict[str, Any] = {
        "date": pd.Series(pd.to_datetime(pd.array(seconds, "Int64"), unit="s", utc=True)).astype("datetime64[us, UTC]")
    }
    for name in CATEGORIES:
        data[name] = pd.Categorical(pd.array(column[name], dtype=TEXT))
    data["text"] = pd.array(column["text"], dtype=TEXT)
    for name in ("characters", "credits"):
        data[name] = pd.array(column[name], dtype="Int64")
    data["dialogue"] = pd.array([json_of(row.get("dialogue")) for row in rows], dtype="string[pyarrow]")
    return pd.DataFrame(data)


def line(text: str | None, voice_id: str | None, voice_name: str | None = None) -> dict[str, Any]:
    return {"text": text, "voice_id": voice_id, "voice_name": voice_name}


IDS = ["21m00Tcm4TlvDq8ikWAM", "21m00TAAAAAAAAAAAAAA", "b5VkMs8HjNg2RzTq7EpC", "", None]
NAMES = ["Anna", "Anna (21m00T)", "Roger - Laid-Back", "(no voice)", "other", "", None]
lines = st.builds(line, st.sampled_from(["", "a", "abc", "ä" * 10, None]), st.sampled_from(IDS), st.sampled_from(NAMES))
amounts = st.none() | st.integers(0, 5000) | st.integers(0, 2**50)
rows = st.fixed_dictionaries(
    {
        "voice_id": st.sampled_from(IDS),
        "voice_name": st.sampled_from(NAMES),
        "model_id": st.sampled_from(["eleven_v3", "(unknown)", "other", None]),
        "source": st.sampled_from(["TTS", "STS", None]),
        "text": st.sampled_from(["Chapter 1", "chapter ii", "", None]),
        "characters": amounts,
        "credits": amounts,
        "date_unix": st.none() | st.integers(1_430_000_000, 2_000_000_000),
        "dialogue": st.none() | st.lists(lines, max_size=5),
    }
)
frames = st.lists(rows, max_size=12).map(frame_of)
season = st.none() | st.integers(1_772_000_000, 1_780_000_000)
frames_of_a_season = st.lists(
    st.builds(lambda row, second: {**row, "date_unix": second}, rows, season), max_size=12
).map(frame_of)
# years of days or weeks are thousands of rows that tell no more than those of a season
frames_and_freqs = st.tuples(frames, st.sampled_from(["MS", "QS-FEB", "YS"])) | st.tuples(
    frames_of_a_season, st.sampled_from(["D", "W"])
)
bys = st.sampled_from(
    [
        "voice",
        "speaker",
        "model",
        "source",
        None,
        "text",
        "voice_name",
        "credits_",
        ["voice", "model"],
        ["source", "text"],
    ]
).filter(lambda by: by != "credits_")


def check_sums(table: pd.DataFrame, frame: pd.DataFrame) -> None:
    assert int(table["items"].sum()) == len(frame)
    for name in ("characters", "credits"):
        assert int(table[name].sum()) == int(frame[name].sum())
        assert table[name].notna().any() == frame[name].notna().any()
    assert (table[MEASURES].fillna(0) >= 0).all().all()
    assert isinstance(table.index, pd.RangeIndex)
    assert all(table[name].dtype == "Int64" for name in MEASURES)


@given(frames, bys, st.sampled_from([None, *FREQS]), st.sampled_from(ZONES), st.none() | st.integers(1, 3))
def test_the_groups_add_up_to_the_rows(frame: pd.DataFrame, by: Any, freq: str, zone: str, top: int | None) -> None:
    before = frame.copy(deep=True)
    table = usage_table(frame, by, freq, tz=zone, top=top)
    check_sums(table, frame)
    pd.testing.assert_frame_equal(frame, before)
    names = [name for name in table.columns if name not in MEASURES]
    assert not (names and table.duplicated(names).any())


@given(frames, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_their_index_do_not_matter(frame: pd.DataFrame, random: Any) -> None:
    order = list(range(len(frame)))
    random.shuffle(order)
    shuffled = frame.iloc[order].set_axis([0] * len(frame))
    for by, freq in (("voice", None), (["model", "voice"], "MS")):
        pd.testing.assert_frame_equal(usage_table(shuffled, by, freq), usage_table(frame, by, freq))


@given(frames.filter(lambda frame: len(frame) > 0))
def test_columns_turned_to_objects_give_the_same_table(frame: pd.DataFrame) -> None:
    loose = frame.astype(dict.fromkeys([*CATEGORIES, "text", "dialogue", "characters", "credits"], object))
    for by in ("voice", "model"):
        pd.testing.assert_frame_equal(usage_table(loose, by, "D"), usage_table(frame, by, "D"))


def shares_by_hand(total: int, weights: list[int]) -> list[int]:
    exact = [Fraction(total * weight, sum(weights)) for weight in weights]
    shares = [int(each) for each in exact]
    order = sorted(range(len(weights)), key=lambda place: (shares[place] - exact[place], place))
    for place in order[: total - sum(shares)]:
        shares[place] += 1
    return shares


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**60),
            st.lists(st.integers(0, 2**20), min_size=1, max_size=6).filter(lambda each: sum(each)),
        ),
        max_size=8,
    )
)
def test_apportioning_is_exact_and_by_largest_remainder(groups: list[tuple[int, list[int]]]) -> None:
    sizes = [len(weights) for _, weights in groups]
    number = np.repeat(np.arange(len(groups)), sizes)
    totals = np.repeat(np.array([total for total, _ in groups], np.int64), sizes)
    weights = np.array([weight for _, each in groups for weight in each], np.int64)
    expected = [share for total, each in groups for share in shares_by_hand(total, each)]
    assert apportion(totals, weights, number).tolist() == expected


@given(frames)
def test_speakers_share_out_each_row(frame: pd.DataFrame) -> None:
    table = speakers(frame)
    assert table.columns.tolist() == ["row", "voice_id", "voice_name", *MEASURES]
    assert table["row"].is_monotonic_increasing
    back = table.groupby("row")[MEASURES].sum(min_count=1)
    assert back.index.tolist() == list(range(len(frame)))
    assert (back["items"] == 1).all()
    for name in ("characters", "credits"):
        pd.testing.assert_series_equal(
            back[name].reset_index(drop=True), frame[name], check_names=False, check_index_type=False
        )


def test_a_dialogue_counts_for_its_voices_by_their_characters() -> None:
    talk = [line("aaaaaa", "A", "Anna"), line("bbb", "B", "Ben"), line("a", "A", "Anna"), line("", "C", "Cleo")]
    frame = frame_of([{"dialogue": talk, "characters": 10, "credits": 5, "date_unix": 1}])
    table = usage_table(frame)
    assert table.values.tolist() == [["Anna", 1, 7, 4], ["Ben", 0, 3, 1]]
    pd.testing.assert_frame_equal(usage_table(frame, "speaker"), table.rename(columns={"voice": "speaker"}))


def test_ties_go_to_the_first_speaker() -> None:
    talk = [line("xx", "B", "Ben"), line("yy", "A", "Anna")]
    table = speakers(frame_of([{"dialogue": talk, "characters": 4, "credits": 3}]))
    assert table[["voice_name", *MEASURES]].values.tolist() == [["Ben", 1, 2, 2], ["Anna", 0, 2, 1]]


def test_silent_and_empty_dialogues_are_counted_once() -> None:
    silent = [line("", "B", "Ben"), line(None, "A", "Anna")]
    frame = frame_of(
        [
            {"dialogue": silent, "characters": 0, "credits": 7},
            {"dialogue": [], "characters": 0, "credits": 2},
        ]
    )
    assert usage_table(frame).values.tolist() == [["Ben", 1, 0, 7], ["(no voice)", 1, 0, 2]]


def test_an_unknown_sum_is_missing_and_never_zero() -> None:
    frame = frame_of(
        [
            {"voice_id": "A", "voice_name": "Anna", "credits": None, "characters": 3},
            {"voice_id": "B", "voice_name": "Ben", "credits": 0, "characters": None},
            {"voice_id": "B", "voice_name": "Ben", "credits": None, "characters": None, "date_unix": 5},
        ]
    )
    table = usage_table(frame)
    assert table["voice"].tolist() == ["Ben", "Anna"]
    assert table["credits"].tolist() == [0, pd.NA]
    assert table["characters"].tolist() == [pd.NA, 3]
    assert table.attrs["histkit"] == {
        "rows": 3,
        "rows_without_credits": 2,
        "rows_without_characters": 2,
        "rows_without_date": 2,
        "voices": {"Anna": "A", "Ben": "B"},
    }


def test_a_voice_is_its_id_shown_by_its_latest_name() -> None:
    frame = frame_of(
        [
            {"voice_id": "A", "voice_name": "Old", "credits": 1, "date_unix": 10},
            {"voice_id": "A", "voice_name": "New", "credits": 1, "date_unix": 20},
            {"voice_id": "A", "voice_name": None, "credits": 1, "date_unix": 30},
            {"voice_id": "nameless", "credits": 1, "date_unix": 30},
        ]
    )
    assert usage_table(frame)[["voice", "credits"]].values.tolist() == [["New", 3], ["nameless", 1]]


def test_the_latest_name_is_found_in_any_order_beside_dialogues() -> None:
    anna = {"voice_id": "A", "credits": 1}
    talk = [line("hi", "A", "Anna")]
    frame = frame_of(
        [
            {"dialogue": talk, "credits": 1, "date_unix": 30},
            {**anna, "voice_name": "Older", "date_unix": 10},
            {**anna, "voice_name": "Old", "date_unix": 20},
        ]
    )
    for order in itertools.permutations(range(3)):
        assert usage_table(frame.iloc[list(order)])["voice"].tolist() == ["Anna"]


def test_voices_of_one_name_are_told_apart() -> None:
    voices = [
        ("21m00Tcm4T", "Anna"),
        ("21m00TXYZ", "Anna"),
        (None, "Anna"),
        ("zzz", "(no voice)"),
        ("y", "Ben"),
        (None, None),
    ]
    frame = frame_of([{"voice_id": each, "voice_name": name, "credits": 1} for each, name in voices])
    table = usage_table(frame)
    expected = {"Anna (21m00Tc)", "Anna (21m00TX)", "Anna (no id)", "(no voice) (zzz)", "Ben", "(no voice)"}
    assert set(table["voice"]) == expected
    assert table.attrs["histkit"]["voices"]["Anna (21m00Tc)"] == "21m00Tcm4T"
    assert "(no voice)" not in table.attrs["histkit"]["voices"]


def test_groups_come_by_credits_and_periods_in_time() -> None:
    frame = hk.sample_history(400)
    table = usage_table(frame, "model")
    assert table["credits"].is_monotonic_decreasing
    timed = usage_table(frame, "model", "MS", tz="Asia/Tokyo")
    assert timed.columns.tolist() == ["model", "period", *MEASURES]
    assert str(timed["period"].dtype) == "datetime64[us, Asia/Tokyo]"
    assert timed["period"].is_monotonic_increasing
    for _, part in timed.groupby("period"):
        assert part["credits"].is_monotonic_decreasing


def test_top_keeps_the_largest_over_all_periods() -> None:
    frame = hk.sample_history(400)
    largest = usage_table(frame, "voice")["voice"].head(3).tolist()
    table = usage_table(frame, "voice", "QS", top=3)
    assert set(table["voice"]) == {*largest, "other"}
    check_sums(table, frame)
    flat = usage_table(frame, "voice", top=3)
    assert flat["voice"].tolist() == [*largest, "other"]
    assert set(flat.attrs["histkit"]["voices"]) == set(largest)


def test_any_column_keeps_its_values_and_its_missing_ones() -> None:
    frame = hk.label(hk.sample_history(200), [{"label": "Acme", "voice": "Rachel"}])
    account = pd.Categorical(["work", "home", None, "home"] * 50)
    frame = frame.assign(account=account, billed=[True, False] * 100, team=pd.array([1, None] * 100, dtype="Int64"))
    settings = ("stability", "similarity_boost", "style", "speed", "use_speaker_boost")
    for name in (*settings, "account", "client", "billed", "team", "voice_category", "output_format", "voice_id"):
        for more in ({}, {"freq": "QS", "fill": True}, {"freq": "QS", "compare": "previous"}):
            table = usage_table(frame, name, **more)
            assert table[name].dtype == frame[name].dtype
            missing = frame[name].isna()
            assert table[name].isna().any() == missing.any()
            assert int(table.loc[table[name].isna(), "items"].sum()) == missing.sum()
            assert int(table["items"].sum()) == len(frame)
            assert int(table["credits"].sum()) == int(frame["credits"].sum())
        values = frame.groupby(name, observed=True, dropna=False)["credits"].sum(min_count=1)
        assert sorted(usage_table(frame, name)["credits"].dropna()) == sorted(values.dropna())


def test_an_empty_frame_gives_an_empty_table_of_the_same_form() -> None:
    frame = hk.sample_history(200)
    for by, freq in (("voice", "D"), (["model", "use_speaker_boost"], None), (None, "h")):
        table = usage_table(frame.iloc[:0], by, freq, tz="Europe/Berlin")
        assert len(table) == 0
        pd.testing.assert_series_equal(table.dtypes, usage_table(frame, by, freq, tz="Europe/Berlin").dtypes)


instants = st.integers(1_200_000_000, 2_000_000_000)


@settings(max_examples=examples(60))
@given(
    st.lists(instants, min_size=1, max_size=8, unique=True),
    st.sampled_from(ZONES),
    st.sampled_from(["D", "W", "MS", "YS"]),
)
@example([1541297000, 1541304000], "America/Sao_Paulo", "D")
@example([1324000000, 1325289600], "Pacific/Apia", "D")
@example([1194148859, 1194148861, 1194152000], "America/St_Johns", "D")
def test_a_day_is_the_one_on_the_local_calendar(seconds: list[int], zone: str, freq: str) -> None:
    local = {each: datetime.fromtimestamp(each, ZoneInfo(zone)).date() for each in seconds}
    first = {
        "D": lambda day: day,
        "W": lambda day: day - timedelta(days=day.weekday()),
        "MS": lambda day: day.replace(day=1),
        "YS": lambda day: day.replace(month=1, day=1),
    }[freq]
    frame = frame_of([{"date_unix": each, "credits": 1, "characters": 1} for each in seconds])
    table = usage_table(frame, None, freq, tz=zone)
    expected: dict[Any, int] = {}
    for day in local.values():
        expected[first(day)] = expected.get(first(day), 0) + 1
    assert table["items"].tolist() == [expected[day] for day in sorted(expected)]
    for start, day in zip(table["period"], sorted(expected), strict=True):
        instant = start.astimezone(UTC)
        shown = instant.astimezone(ZoneInfo(zone)).date()
        assert shown >= day
        assert (instant - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).date() < shown


@settings(max_examples=examples(60))
@given(instants, st.sampled_from(ZONES))
@example(1_775_314_800 - 60, "Australia/Lord_Howe")
@example(1_775_314_800 + 60, "Australia/Lord_Howe")
@example(1_792_890_000, "Europe/Berlin")
def test_an_hour_holds_one_clock_hour_of_one_offset(second: int, zone: str) -> None:
    where = ZoneInfo(zone)
    near = [second + 600 * step for step in range(-20, 21)]
    frame = frame_of([{"date_unix": each, "credits": 1, "text": str(each)} for each in near])
    table = usage_table(frame, "text", "h", tz=zone)
    starts = {int(row.text): row.period.astimezone(UTC) for row in table.itertuples()}
    for each in near:
        shown, start = datetime.fromtimestamp(each, where), starts[each].astimezone(where)
        assert start.timestamp() <= each < start.timestamp() + 3600
        assert (start.utcoffset(), start.hour, start.date()) == (shown.utcoffset(), shown.hour, shown.date())
    assert len(set(starts.values())) == len(
        {(when.utcoffset(), when.hour, when.date()) for when in (datetime.fromtimestamp(each, where) for each in near)}
    )


def test_the_repeated_hour_of_autumn_makes_two_buckets() -> None:
    seconds = [as_unix(f"2026-10-25 {time}", "after") for time in ("00:30", "01:30", "02:30")]
    frame = frame_of([{"date_unix": each, "credits": 1} for each in seconds])
    table = usage_table(frame, None, "h", tz="Europe/Berlin")
    assert [str(each) for each in table["period"]] == [
        "2026-10-25 02:00:00+02:00",
        "2026-10-25 02:00:00+01:00",
        "2026-10-25 03:00:00+01:00",
    ]
    day = usage_table(frame, None, "D", tz="Europe/Berlin")
    assert day["items"].tolist() == [3]


def test_a_day_without_midnight_starts_at_its_first_instant() -> None:
    frame = frame_of([{"date_unix": as_unix("2018-11-04 15:00", "after"), "credits": 1}])
    table = usage_table(frame, None, "D", tz="America/Sao_Paulo")
    assert str(table["period"][0]) == "2018-11-04 01:00:00-02:00"


@pytest.mark.parametrize(
    ("spelling", "standard"),
    [
        ("H", "h"),
        ("d", "D"),
        ("W-SUN", "W"),
        ("M", "MS"),
        ("ME", "MS"),
        ("3MS", "QS"),
        ("Q", "QS"),
        ("Y", "YS"),
        ("A", "YS"),
        ("12MS", "YS"),
        ("QE-DEC", "QS"),
        ("Y-MAR", "YS-APR"),
        ("Q-JAN", "QS-FEB"),
    ],
)
def test_other_spellings_mean_the_same(spelling: str, standard: str) -> None:
    frame = hk.sample_history(300)
    pd.testing.assert_frame_equal(usage_table(frame, None, spelling), usage_table(frame, None, standard))


@pytest.mark.parametrize("freq", ["W-SAT", "MS", "QS-FEB", "YS-APR", "W", "D", "h"])
def test_periods_are_those_of_pandas(freq: str) -> None:
    frame = hk.sample_history(500)
    ours = usage_table(frame, None, freq).set_index("period")["credits"]
    alias = {"MS": "M", "QS-FEB": "Q-JAN", "YS-APR": "Y-MAR"}.get(freq, freq)
    starts = frame["date"].dt.tz_convert(None).dt.to_period(alias).dt.start_time
    theirs = frame["credits"].groupby(starts).sum()
    assert ours.tolist() == theirs.tolist()
    assert [each.tz_convert(None) for each in ours.index] == theirs.index.tolist()


@pytest.mark.parametrize(
    "arguments",
    [
        {"freq": "fortnight"},
        {"freq": "2D"},
        {"freq": "5h"},
        {"freq": "0h"},
        {"freq": 7},
        {"freq": ""},
        {"tz": "Mars"},
        {"tz": "Europe"},
        {"tz": ""},
        {"tz": None},
        {"tz": "../etc/passwd"},
        {"top": 0},
        {"top": True},
        {"by": "credits"},
        {"by": "period", "freq": "D"},
        {"by": "stability", "top": 1},
    ],
)
def test_an_argument_that_cannot_be_used_is_named_on_one_line(arguments: dict[str, Any]) -> None:
    with pytest.raises(hk.InputError) as caught:
        usage_table(hk.sample_history(50), **arguments)
    assert "\n" not in str(caught.value)
    assert any(name in str(caught.value) for name in arguments)


@pytest.mark.parametrize("missing", ["characters", "credits", "voice_id", "voice_name", "dialogue", "date"])
def test_a_missing_column_is_named(missing: str) -> None:
    with pytest.raises(hk.SchemaError, match=f"'{missing}'"):
        usage_table(hk.sample_history(20).drop(columns=missing), "voice", "D")


def test_a_column_of_the_wrong_kind_is_named() -> None:
    frame = hk.sample_history(20)
    for name, value in (("credits", 1.5), ("date", "never"), ("dialogue", "text")):
        with pytest.raises(hk.SchemaError, match=f"'{name}'"):
            usage_table(frame.assign(**{name: value}), "voice", "D")


def matches(row: dict[str, Any], wanted: str) -> bool:
    name = (row["voice_name"] or "").casefold()
    return wanted == row["voice_id"] or (bool(name) and wanted.casefold() in (name, name.split(" - ")[0]))


@given(
    st.lists(rows, max_size=8),
    st.sampled_from([None, "anna", "ROGER", "21m00Tcm4TlvDq8ikWAM"]),
    st.sampled_from([None, "anna", "b5VkMs8HjNg2RzTq7EpC"]),
    st.sampled_from([None, "tts"]),
    st.sampled_from([None, r"chapter \w+$", re.compile("^[ab]")]),
    st.none() | st.integers(1_430_000_000, 2_000_000_000),
)
@pytest.mark.filterwarnings("ignore::histkit.frame.names.UnmatchedNameWarning")
def test_a_filter_keeps_what_a_look_at_each_row_keeps(
    rows: list[dict[str, Any]], voice: Any, speaker: Any, source: Any, text: Any, after: Any
) -> None:
    frame = frame_of(rows)
    kept = filter_items(frame, voice=voice, speaker=speaker, source=source, text=text, after=after)
    pattern = re.compile(text, re.IGNORECASE) if isinstance(text, str) else text
    expected = []
    for place, row in enumerate(rows):
        spoken = row["dialogue"] or []
        texts = [row["text"], *(each["text"] for each in spoken)]
        if (
            (voice is None or matches(row, voice))
            and (speaker is None or any(matches(each, speaker) for each in [row, *spoken]))
            and (source is None or (row["source"] or "").casefold() == source)
            and (pattern is None or any(pattern.search(each) for each in texts if each is not None))
            and (after is None or (row["date_unix"] is not None and row["date_unix"] >= after))
        ):
            expected.append(place)
    assert kept.index.tolist() == expected


@pytest.mark.parametrize("by", ["api_key", "user"])
def test_a_key_or_user_is_sought_in_the_request_log(by: str) -> None:
    for call in (hk.usage_table, hk.ledger, lambda df, by: hk.reprice(df, "eleven_v3", by)):
        with pytest.raises(hk.SchemaError, match="are in the request log, which attribute joins to the rows"):
            call(hk.sample_history(5), by=by)
