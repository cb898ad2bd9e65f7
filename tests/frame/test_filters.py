"""`filter_items` means the same on any frame, and the same as `read_history`."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.frame.dates import as_unix
from histkit.frame.text_search import FEW, _cased, search_mask, to_re2
from tests.effort import examples, some

DF = hk.sample_history(700, seed=3)


def values(column: str) -> list[str]:
    return sorted(DF[column].dropna().unique())


@given(
    voice=st.none() | st.lists(st.sampled_from([*values("voice_id"), *values("voice_name"), "roger"]), max_size=3),
    model=st.none() | st.sampled_from(values("model_id")) | st.lists(st.sampled_from(values("model_id")), max_size=2),
    source=st.none() | st.sampled_from(values("source")),
    text=st.none() | st.sampled_from([r"chapter \d+", "the", r"^\W", "ü|ö", r"(?=x)"]),
    dates=st.lists(st.sampled_from(DF["date"].tolist()), min_size=2, max_size=2).map(sorted),
)
def test_a_filter_equals_looking_at_each_row(voice: Any, model: Any, source: Any, text: Any, dates: list[Any]) -> None:
    got = DF.speech.filter(voice=voice, model=model, source=source, text=text, after=dates[0], before=dates[1])
    folded = {each.casefold() for each in voice or []}

    def meets(row: Any) -> bool:
        name = "" if pd.isna(row.voice_name) else row.voice_name.casefold()
        lines = [row.text] if isinstance(row.text, str) else []
        lines += [line["text"] for line in json.loads(row.dialogue)] if isinstance(row.dialogue, str) else []
        return (
            (voice is None or row.voice_id in voice or bool({name, name.split(" - ")[0]} & folded))
            and (model is None or row.model_id in ([model] if isinstance(model, str) else model))
            and (source is None or row.source == source)
            and (text is None or any(re.search(text, line, re.IGNORECASE) for line in lines))
            and dates[0] <= row.date < dates[1]
        )

    assert got.index.tolist() == [row.Index for row in DF.itertuples() if meets(row)]


@pytest.mark.parametrize("change", ["reversed", "plain strings", "twice", "no extra columns", "odd index"])
def test_any_frame_will_do(change: str) -> None:
    frame = {
        "reversed": lambda: DF[::-1],
        "plain strings": lambda: DF.astype({"voice_id": object, "voice_name": object, "model_id": "string"}),
        "twice": lambda: pd.concat([DF, DF.head(20)]),
        "no extra columns": lambda: DF[["voice_id", "voice_name", "model_id"]],
        "odd index": lambda: DF.set_index("request_id", drop=False),
    }[change]()
    before = frame.copy()
    got = frame.speech.filter(voice="Rachel", model="eleven_multilingual_v2")
    assert len(got) == ((frame.voice_name == "Rachel") & (frame.model_id == "eleven_multilingual_v2")).sum() > 0
    pd.testing.assert_frame_equal(frame, before)


def test_a_speaker_is_found_in_dialogues_too() -> None:
    talks = DF[DF["dialogue"].notna()]
    name = json.loads(talks["dialogue"].iloc[0])[0]["voice_name"]
    own, spoken = DF.speech.filter(voice=name), DF.speech.filter(speaker=name)
    assert set(own.index) < set(spoken.index)
    assert talks.index[0] in spoken.index
    assert own["dialogue"].isna().all()


def test_text_is_searched_in_dialogue_lines() -> None:
    row = DF[DF["dialogue"].notna()].iloc[0]
    found = DF.speech.filter(text=re.escape(json.loads(row["dialogue"])[1]["text"]))
    assert row["history_item_id"] in found["history_item_id"].tolist()


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"text": "chapter ("}, hk.InputError, "regular expression"),
        ({"text": 3}, hk.InputError, "text="),
        ({"after": "noon"}, hk.InputError, "after="),
        ({"voice": [1]}, hk.InputError, "voice="),
    ],
)
def test_a_wrong_argument_is_one_clear_line(wrong: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        DF.speech.filter(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "asked"), [("voice_name", {"voice": "x"}), ("date", {"after": "2026-10-01"}), ("text", {"text": "x"})]
)
def test_a_frame_that_lost_a_column_names_it(column: str, asked: dict[str, Any]) -> None:
    with pytest.raises(hk.SchemaError, match=column):
        DF.drop(columns=column).speech.filter(**asked)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-10-01", 1_790_812_800),
        ("2026-10-01 02:00+02:00", 1_790_812_800),
        (date(2026, 10, 1), 1_790_812_800),
        (datetime(2026, 10, 1, tzinfo=UTC), 1_790_812_800),
        (pd.Timestamp("2026-10-01", tz="Asia/Kolkata"), 1_790_793_000),
        (np.datetime64("2026-10-01"), 1_790_812_800),
        (1_790_812_800, 1_790_812_800),
        (1_790_812_800.0, 1_790_812_800),
        ("2026-10-01 00:00:00.001", 1_790_812_801),
    ],
)
def test_dates_become_whole_seconds(value: Any, seconds: int) -> None:
    assert as_unix(value, "after") == seconds


@pytest.mark.parametrize("value", ["", "soon", None, float("nan"), True, [], "0000-99-99"])
def test_what_is_no_date_is_refused(value: Any) -> None:
    with pytest.raises(hk.InputError, match="before="):
        as_unix(value, "before")


TEXT = pd.StringDtype("pyarrow")
LETTERS = "aAbiIkKsS01_ -.\n\r\x0b\x1c\x85\xa0\x00ßüÜıİ\u212aſжЖΣσς\u0660中😀"
CLASSES = r"[a-k] [^a-k] [K-S_] [\w.] [^\s] [^\W] [\-a] [а-я] [^ß] [i] [^ſ0-9] [^\W\w]".split()
KINDS = [".", *r"\d \D \w \W \s \S \. \\ \-".split(), r"\ "]
atoms = st.sampled_from([*"aibks0 _-ßüÜıİ\u212aſжσς中😀", *KINDS, *CLASSES])
times = st.sampled_from(["", "", "", "?", "*", "+", "??", "*?", "+?", "{2}", "{0,2}", "{1,}", "{,2}", "++"])
pieces = st.builds("{}{}".format, atoms, times) | st.sampled_from([r"\b", "|", "^", "$", r"\B", r"\A", r"\Z", "{", "]"])
inner = st.lists(pieces, max_size=4).map("".join)
groups = st.builds(
    "{}{}){}".format, st.sampled_from(["(", "(?:", "(?i:", "(?="]), inner, st.sampled_from(["", "?", "??", "*"])
)
patterns = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "^"]),
    st.lists(pieces | groups, max_size=4).map("".join),
    st.sampled_from(["", "$"]),
)
some_texts = st.lists(st.none() | st.text(st.sampled_from(LETTERS), max_size=6), min_size=1, max_size=12)


@given(patterns, st.sampled_from([re.IGNORECASE, re.NOFLAG, re.DOTALL, re.ASCII]), some_texts)
@example("k$", re.IGNORECASE, ["k\n", "\u212a", "k\n\n"])
@example(r"\s", re.NOFLAG, ["\x1c", "\x85", "\xa0", "\u3000"])
@example(r"\bü", re.NOFLAG, ["ü", "aü"])
@example("", re.NOFLAG, ["", None])
def test_a_large_search_finds_what_re_finds(pattern: str, flags: re.RegexFlag, texts: list[str | None]) -> None:
    try:
        compiled = re.compile(pattern, flags)
    except (re.error, OverflowError):
        assume(False)
    column = pd.Series(pd.array(texts, dtype=TEXT))
    expected = [text is not None and compiled.search(text) is not None for text in texts]
    assert search_mask(column, compiled, few=0).tolist() == expected


CLASSES = ("[kis]", r"\w\d?", r"[^\Wßı]", r"\s|σ")


@pytest.mark.parametrize("pattern", some([*CLASSES, "[^İ]", *"kiİßµǅ\u0345Κʼ8中", r"\+"], *CLASSES))
def test_every_character_is_what_it_is_to_re(pattern: str) -> None:
    every = [chr(place) for place in range(0x110000) if not 0xD800 <= place < 0xE000]
    compiled = re.compile(pattern, re.IGNORECASE)
    assert to_re2(compiled) is not None
    found = search_mask(pd.Series(pd.array(every, dtype=TEXT)), compiled)
    assert found.tolist() == [compiled.search(each) is not None for each in every]


@pytest.mark.parametrize("turned", [False, pytest.param(True, marks=pytest.mark.faults)])
def test_only_cased_characters_match_others(turned: bool) -> None:
    every = {chr(place) for place in range(0x110000)}
    assert set(_cased()) == {char for char in every if len({char, char.lower(), char.upper(), char.casefold()}) > 1}
    uncased = "".join(sorted(every - set(_cased())))
    found, text = (uncased, _cased()) if turned else (_cased(), uncased)
    assert re.search(f"[{re.escape(found)}]", text, re.IGNORECASE) is None


@pytest.mark.parametrize("flags", [re.IGNORECASE, re.NOFLAG])
@pytest.mark.parametrize("letter", [*map(chr, range(1, 128)), *"İıſßẞσΣςµμǅǆᾳᾼΐﬅﬆ", "\u0345", "\u1c80", "中"])
def test_a_letter_finds_every_character_that_re_finds(letter: str, flags: re.RegexFlag) -> None:
    compiled = re.compile(re.escape(letter), flags)
    every = [char for char in _cased()] + [letter, "中", ".", "+", "a"]
    found = search_mask(pd.Series(pd.array(every, dtype=TEXT)), compiled, few=0)
    assert found.tolist() == [compiled.search(each) is not None for each in every]


def test_a_large_frame_is_filtered_as_a_small_one() -> None:
    large = pd.concat([DF] * (FEW // len(DF) + 1), ignore_index=True)
    for text in (r"chapter \d+", "the|und", r"\bI\b", "ü", r"(\w)\1"):
        kept = large.speech.filter(text=text)
        small = DF.speech.filter(text=text)
        assert len(kept) == len(small) * (len(large) // len(DF))
        assert kept["history_item_id"].tolist()[: len(small)] == small["history_item_id"].tolist()


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?=a)", "(ab)*", "a++", "a{,2}", "(?i)a", r"\Aa", "a{11}", r"\w+\w+\w"])
def test_what_could_differ_is_left_to_re(pattern: str) -> None:
    assert to_re2(re.compile(pattern, re.NOFLAG)) is None


HARD = [
    *(r"(a+)+$", r"(a|aa)+$", r"(a|a?)+$", r"(.*a){20}$", r"(?:a*)*(?:a*)*c", r"(.*)(.*)(.*)\1c", r"(?i:(a+)+)$"),
    "(?x) (a # [\n+)+ $ # ]",
]


@pytest.mark.parametrize("pattern", HARD)
@pytest.mark.parametrize("few", [0, FEW])
def test_a_pattern_that_cannot_finish_is_ended(pattern: str, few: int) -> None:
    texts = pd.Series(["a" * 3000 + "b!", None, "aaa"], dtype="string[pyarrow]")
    begun = time.monotonic()
    with pytest.raises(
        hk.InputError, match=r"took more than \d+ seconds; use a simpler pattern.*regex=False"
    ) as caught:
        search_mask(texts, re.compile(pattern), few=few, time_limit=0.3)
    assert time.monotonic() - begun < 10
    assert "\n" not in str(caught.value)


def test_many_long_texts_end_a_simple_search_too() -> None:
    texts = pd.Series(["a" * 15_000 + "b"] * 200, dtype=object)
    with pytest.raises(hk.InputError, match="took more than"):
        search_mask(texts, re.compile("a*$"), time_limit=-1.4)


@settings(max_examples=examples(60))
@given(patterns, st.lists(st.none() | st.text(st.sampled_from(LETTERS + "\ud800"), max_size=6), max_size=5))
def test_a_search_finds_what_re_finds_wherever_it_runs(pattern: str, texts: list[str | None]) -> None:
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError):
        assume(False)
    expected = [text is not None and compiled.search(text) is not None for text in texts]
    assert search_mask(pd.Series(texts, dtype=object), compiled).tolist() == expected


@settings(max_examples=examples(100))
@given(st.text(min_size=1, max_size=8) | st.sampled_from(["C++", "(a+)+$", "[", "\\", "a.b", "1 + 1 = 2?"]))
@example("C++")
def test_a_literal_text_is_found_as_it_is(text: str) -> None:
    assume(not any("\ud800" <= char <= "\udfff" for char in text))
    rows = DF.head(4).assign(text=pd.array([f"so {text}.", text.upper(), "Cccc", None], "string[pyarrow]"))
    kept = rows.speech.filter(text=text, regex=False)
    found = re.compile(re.escape(text), re.IGNORECASE)
    expected = [index for index, value in rows["text"].items() if isinstance(value, str) and found.search(value)]
    assert kept.index.tolist() == expected
    assert 0 in expected
    labels = hk.label(rows, [{"label": "A", "text": text, "regex": False}])["client"].tolist()
    assert [label == "A" for label in labels] == [index in expected for index in rows.index]


def test_a_compiled_pattern_is_no_literal() -> None:
    with pytest.raises(hk.InputError, match="regex=False takes text= as a str"):
        DF.speech.filter(text=re.compile("a"), regex=False)
    with pytest.raises(hk.InputError, match="regex='no' must be True or False"):
        DF.speech.filter(text="a", regex="no")  # type: ignore[arg-type]
    with pytest.raises(hk.InputError, match="with regex=False it is searched for as it is"):
        DF.speech.filter(text="C++(")
