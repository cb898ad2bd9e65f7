"""Takes of several accounts: what two accounts give together is what each gives alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.retakes.lines import line_table
from histkit.retakes.takes import line_keys
from tests.effort import examples
from tests.retakes.test_takes import frame_of, line

ACCOUNTS = ["a", "b", None]
SCRIPT = ["One two three", "four five", "not there"]
FACTS = ("rows", "lines", "lines_with_takes", "thrown_away", "rows_without_credits")

texts = st.sampled_from(["One two three", "one two three!", "One two thre", "Four five", "six", None])
rows = st.lists(
    st.fixed_dictionaries(
        {
            "text": texts,
            "voice_id": st.sampled_from(["v", "w"]),
            "account": st.sampled_from(ACCOUNTS),
            "credits": st.none() | st.integers(0, 9),
            "date_unix": st.integers(1_790_000_000, 1_790_000_009),
            "dialogue": st.none() | st.lists(st.builds(line, st.just("six"), st.sampled_from(["v", "w"])), max_size=2),
        }
    ),
    max_size=14,
)
nears = st.sampled_from([None, 0.8])


def with_accounts(several: list[dict[str, Any]]) -> pd.DataFrame:
    accounts = pd.array([row["account"] for row in several], dtype="string[pyarrow]")
    return frame_of(several).assign(account=pd.Categorical(accounts), model_id="m", source="TTS", characters=3)


def parts_of(frame: pd.DataFrame) -> list[pd.DataFrame]:
    named = frame["account"].astype(object)
    return [frame[named.isna() if name is None else named.eq(name)] for name in ACCOUNTS]


@settings(max_examples=examples(20))
@given(near=nears, several=rows, keep=st.sampled_from(["last", "first"]))
def test_takes_of_several_accounts_are_those_of_each(near: float | None, several: Any, keep: Any) -> None:
    frame = with_accounts(several)
    whole = hk.takes(frame, keep=keep, near=near)
    alone = [hk.takes(part, keep=keep, near=near) for part in parts_of(frame)]
    pd.testing.assert_frame_equal(whole, pd.concat(alone).loc[frame.index], check_categorical=False)
    for name in FACTS:
        assert whole.attrs["histkit"][name] == sum(part.attrs["histkit"][name] for part in alone)
    unnamed = hk.takes(parts_of(frame)[2])
    pd.testing.assert_frame_equal(unnamed.drop(columns="account"), hk.takes(parts_of(frame)[2].drop(columns="account")))


@settings(max_examples=examples(20))
@given(near=nears, several=rows)
def test_waste_of_several_accounts_is_that_of_each(near: float | None, several: Any) -> None:
    frame = with_accounts(several)
    whole = hk.waste(frame, ["account", "voice_id"], near=near).astype({"account": object, "voice_id": object})
    alone = pd.concat(hk.waste(part, ["account", "voice_id"], near=near) for part in parts_of(frame))
    keys = ["account", "voice_id"]
    alone = alone.astype({"account": object, "voice_id": object})
    expected, found = (table.sort_values(keys, ignore_index=True) for table in (alone, whole))
    pd.testing.assert_frame_equal(found, expected)
    by_voice = hk.waste(frame, "voice_id", near=near)
    assert by_voice["thrown_away_items"].sum() == alone["thrown_away_items"].sum()


@settings(max_examples=examples(20))
@given(several=rows, script=st.sampled_from([None, SCRIPT]), near=nears)
def test_keepers_of_several_accounts_are_those_of_each(several: Any, script: Any, near: float | None) -> None:
    frame = with_accounts(several)
    whole = hk.keepers(frame, script=script, near=near)
    alone = [hk.keepers(part, script=script, near=near) for part in parts_of(frame)]
    together = pd.concat([part.astype({"account": "string"}) for part in alone])
    order = ["history_item_id"] if script is None else ["script_line", "history_item_id"]
    found = whole.astype({"account": "string"}).sort_values(order)
    pd.testing.assert_frame_equal(found, together.sort_values(order), check_dtype=False)
    if script is not None:
        facts = [part.attrs["histkit"] for part in alone]
        missing = set.intersection(*(set(each["missing_lines"]) for each in facts))
        assert set(whole.attrs["histkit"]["missing_lines"]) == missing
        voices = set.union(*(set(each["lines_of_several_voices"]) for each in facts))
        assert set(whole.attrs["histkit"]["lines_of_several_voices"]) == voices
        said = [set(range(1, 4)) - set(each["missing_lines"]) for each in facts]
        both = {number for number in range(1, 4) if sum(number in each for each in said) > 1}
        assert set(whole.attrs["histkit"]["lines_of_several_accounts"]) == both


@settings(max_examples=examples(15))
@given(several=rows)
def test_accounts_are_mixed_on_purpose(several: Any) -> None:
    frame = with_accounts(several)
    without = frame.drop(columns="account")
    mixed = hk.takes(frame, across_accounts=True)
    pd.testing.assert_frame_equal(mixed.drop(columns="account"), hk.takes(without))
    pd.testing.assert_frame_equal(hk.waste(frame, "voice", across_accounts=True), hk.waste(without, "voice"))
    found = hk.keepers(frame, script=SCRIPT, across_accounts=True)
    pd.testing.assert_frame_equal(found.drop(columns="account"), hk.keepers(without, script=SCRIPT))
    assert found.attrs["histkit"]["lines_of_several_accounts"] == []
    assert line_keys(frame, across_accounts=True).tolist() == line_keys(without).tolist()


def test_two_accounts_with_the_same_texts_and_voices_waste_what_each_does() -> None:
    one = hk.sample_history(2000).assign(account="A")
    two = one.assign(account="B")
    both = pd.concat([one, two], ignore_index=True)
    for near in (None, 0.9):
        lost = hk.takes(one, near=near).attrs["histkit"]["thrown_away"]
        assert hk.takes(both, near=near).attrs["histkit"]["thrown_away"] == 2 * lost
    by_account = hk.waste(both, "account")
    assert by_account["thrown_away"].nunique() == 1
    assert len(hk.keepers(both)) == 2 * len(hk.keepers(one))
    picker = both.speech.pick_takes()
    assert len(picker.lines) == 2 * len(one.speech.pick_takes().lines)
    assert len(picker.keepers) == 2 * len(hk.keepers(one))
    mixed = both.speech.pick_takes(across_accounts=True)
    assert len(mixed.lines) > len(one.speech.pick_takes().lines)
    assert len(mixed.keepers) == len(hk.keepers(both, across_accounts=True))
    facts = [hk.takes(frame, across_accounts=True).attrs["histkit"] for frame in (both, one)]
    assert facts[0]["lines"] == facts[1]["lines"]


def test_lines_name_their_account_where_there_are_several() -> None:
    several = [{**line("one", "v"), "account": name, "credits": 1} for name in ("a", "a", "b", "b", None, None)]
    frame = with_accounts(several)
    table = line_table(hk.takes(frame))
    assert set(table["account"].dropna()) == {"a", "b"}
    assert table["account"].isna().sum() == 1
    assert "account" not in line_table(hk.takes(frame.head(2))).columns
    assert line_table(hk.takes(frame, across_accounts=True))["account"].isna().all()
    labels = [tick.get_text() for tick in hk.plot_takes(frame).get_yticklabels()]
    assert sorted(labels) == ["one (a)", "one (b)", "one (several or no account)"]
    mixed = [tick.get_text() for tick in hk.plot_takes(hk.takes(frame, across_accounts=True)).get_yticklabels()]
    assert mixed == ["one (several or no account)"]


def test_a_flag_is_true_or_false() -> None:
    frame = with_accounts([])
    for call in (hk.takes, hk.waste, hk.keepers):
        with pytest.raises(hk.InputError, match="across_accounts='yes' must be True or False"):
            call(frame, across_accounts="yes")  # type: ignore[operator]
    assert np.array_equal(hk.takes(frame, across_accounts=np.True_), hk.takes(frame))  # type: ignore[arg-type]
