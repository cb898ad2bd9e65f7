"""A name that matches nothing says what it could have meant; letter case counts for ids only."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.frame.names import close_names, fold_name
from histkit.sandbox import Sandbox
from tests.conftest import client_of
from tests.effort import examples

DF = hk.sample_history(400)
TYPOS = [
    ({"voice": "Rachl"}, "voice='Rachl' matches no voice; did you mean 'Rachel'?"),
    ({"voice": "rachell"}, "did you mean 'Rachel'?"),
    ({"speaker": "Rachl"}, "speaker='Rachl' matches no voice; did you mean 'Rachel'?"),
    ({"model": "eleven_v9"}, "model='eleven_v9' matches no model; did you mean 'eleven_v3'"),
    ({"source": "TTTS"}, "source='TTTS' matches no source; did you mean 'TTS'"),
    ({"voice": "zzzzzz"}, "the voices are "),
    ({"voice": ""}, "voice='' matches no voice; the voices are "),
    ({"voice": "x" * 100_000}, "matches no voice"),
    ({"voice": "Ra\nchl"}, "matches no voice"),
    ({"voice": "a1" * 10}, "no row has this id"),
]


@pytest.mark.parametrize(("condition", "words"), TYPOS, ids=lambda each: str(each)[:30])
def test_a_typo_warns_and_leaves_the_empty_frame(condition: dict[str, str], words: str) -> None:
    with pytest.warns(UserWarning, match=re.escape(words)) as caught:
        empty = DF.speech.filter(**condition)
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert caught[0].filename == __file__ or "accessor" in caught[0].filename
    pd.testing.assert_frame_equal(empty, DF.iloc[:0])


def test_of_several_names_each_that_matches_nothing_is_named() -> None:
    with pytest.warns(UserWarning, match="did you mean") as caught:
        kept = DF.speech.filter(voice=["Rachel", "Rachl"], model=["eleven_v3", "eleven_v9", "eleven_v2_5"])
    assert [str(each.message).partition(" ")[0] for each in caught] == [
        "voice='Rachl'",
        "model='eleven_v9'",
        "model='eleven_v2_5'",
    ]
    assert kept.equals(DF.speech.filter(voice="Rachel", model="eleven_v3"))


def test_names_that_match_apart_but_not_together_are_no_mistake() -> None:
    kept = DF.speech.filter(voice="Rachel", after="2026-01-01", before="2026-01-02")
    assert kept.empty
    assert DF.iloc[:0].speech.filter(voice="Rachl").empty  # nothing to compare with
    assert DF[DF["source"] == "TTS"].speech.filter(source="InVPC").empty  # a source that the API documents


def test_an_id_in_another_letter_case_is_told() -> None:
    voice_id = DF["voice_id"].dropna().iloc[0]
    with pytest.warns(UserWarning, match=f"did you mean '{voice_id}'. Ids keep their letter case"):
        assert DF.speech.filter(voice=voice_id.swapcase()).empty


@settings(max_examples=examples(50))
@given(st.sampled_from(["voice", "speaker", "model", "source"]), st.data())
def test_letter_case_blanks_and_unicode_form_are_ignored(condition: str, data: st.DataObject) -> None:
    column = {"voice": "voice_name", "speaker": "voice_name", "model": "model_id"}.get(condition, "source")
    name = data.draw(st.sampled_from(sorted(DF[column].dropna().unique())))
    change = data.draw(
        st.sampled_from([str.upper, str.lower, str.title, " {} ".format, partial(unicodedata.normalize, "NFD")])
    )
    assert DF.speech.filter(**{condition: change(name)}).equals(DF.speech.filter(**{condition: name}))
    assert len(DF.speech.filter(**{condition: change(name)})) > 0


@settings(max_examples=examples(100))
@given(st.text(max_size=30), st.lists(st.text(max_size=20), max_size=8))
def test_close_names_are_existing_names(name: str, existing: list[str]) -> None:
    forms = {form for other in existing for form in (other, other.split(" - ")[0].strip())}
    assert set(close_names(name, existing)) <= forms
    if fold_name(name) in map(fold_name, existing) and name.strip():
        assert fold_name(close_names(name, existing)[0]) == fold_name(name)


@pytest.fixture
def history(box_of: Callable[..., Sandbox], tmp_path: Path) -> tuple[Path, hk.HistoryClient]:
    box = box_of(300, 3)
    client = client_of(box)
    hk.sync(tmp_path / "history", client=client, progress=False)
    return tmp_path / "history", client


@pytest.mark.parametrize(
    ("condition", "words"),
    [*(typo for typo in TYPOS[:5] if "speaker" not in typo[0]), ({"account": "nosuch"}, "account='nosuch' matches no")],
    ids=str,
)
def test_load_and_read_history_do_the_same(history: Any, condition: dict[str, str], words: str) -> None:
    folder, client = history
    with pytest.warns(UserWarning, match=re.escape(words)) as caught:
        empty = hk.load(folder, **condition)
    assert len(caught) == 1
    pd.testing.assert_frame_equal(empty, hk.load(folder).iloc[:0], check_categorical=False)
    if "account" not in condition:
        with pytest.warns(UserWarning, match=re.escape(words)):
            assert hk.read_history(client=client, progress=False, **condition).empty


def test_a_name_of_another_month_is_no_mistake(history: Any) -> None:
    folder, _ = history
    df = hk.load(folder)
    counts = df["model_id"].value_counts()
    rare = counts[counts > 0].index[-1]
    last = df.loc[df["model_id"] == rare, "date"].max()
    assert hk.load(folder, model=str(rare), after=last + pd.Timedelta("1s")).empty
    assert hk.load(folder, voice="Rachel", before="2020-01-01").empty
    assert hk.load(folder, columns=["credits"], model=[str(rare), "ELEVEN_V3"]).columns.tolist() == ["credits"]


@pytest.mark.parametrize("condition", [{"model": "ELEVEN_V3"}, {"source": "tts"}, {"voice": "RACHEL"}], ids=str)
def test_letter_case_is_ignored_by_every_reader(history: Any, condition: dict[str, str]) -> None:
    folder, client = history
    ids = hk.load(folder).speech.filter(**condition)["history_item_id"].tolist()
    assert ids
    assert hk.load(folder, **condition)["history_item_id"].tolist() == ids
    assert sorted(hk.read_history(client=client, progress=False, **condition)["history_item_id"]) == sorted(ids)
    rules = [{"label": "A", **condition}]
    assert (hk.label(DF, rules)["client"] == "A").sum() == len(DF.speech.filter(**condition))


def test_rules_for_names_that_are_not_there_yet_warn_and_label_nothing() -> None:
    with pytest.warns(UserWarning, match="^rules: 1 name matches none of the rows: voice='Nobody at all' ") as caught:
        labelled = hk.label(DF, [{"label": "A", "voice": "Nobody at all"}])
    assert len(caught) == 1
    assert set(labelled["client"]) == {"unassigned"}


@pytest.mark.parametrize(("by", "words"), [("voic", "'voice'"), ("modle", "'model'"), ("sourc", "'source'")])
def test_a_misspelt_group_is_named(by: str, words: str) -> None:
    with pytest.raises(hk.SchemaError, match=f"Did you mean .*{words}"):
        DF.speech.usage(by=by)
