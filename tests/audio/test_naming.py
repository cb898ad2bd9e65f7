"""Names: whatever a voice is called and whatever is said, a path is legal everywhere and stays in its folder."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pathvalidate import FileNameSanitizer, is_valid_filename

import histkit as hk
from histkit.audio.naming import Template, stems_of
from histkit.audio.options import DEFAULT_NAME
from histkit.util.filenames import casefold_path, safe_name, unique_names
from histkit.util.text import one_line_text
from tests.effort import examples

HOSTILE = [
    "../../etc/passwd",
    "..",
    ".",
    "",
    " ",
    "/",
    "\\",
    "C:\\x",
    "C:",
    "CON",
    "con",
    "nul .x",
    "COM¹",
    "CONIN$",
    "aux.mp3",
    "a\u202eb",
    "\u200d",
    "\u200b",
    "\ud800",
    "-rf /",
    "~root",
    ".bashrc",
    "x. . .",
    "a\0b",
    "\x1b[31m",
    "é" * 300,
    "👩‍👩‍👧‍👦" * 40,
    "हि" * 100,
    "e\u0301",
    "\u212b",
    "ﬁ",
    "=cmd()",
    "a:b",
    "LPT1. .",
    "\u2028",
    "İ",
    "ß",
    "%00",
    "{id}",
]
texts = st.one_of(
    st.text(), st.sampled_from(HOSTILE), st.text(alphabet="./\\ :*CONaux-~\u202e\u200d\ud800é", max_size=400)
)


def is_legal(name: str) -> bool:
    return (
        0 < len(name.encode()) <= 255
        and is_valid_filename(name, platform="universal", fs_encoding="utf-8")
        and name == unicodedata.normalize("NFC", name)
        and name[0] not in "-~. "
        and name[-1] not in ". "
        and not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name)
        and not set(name) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
        and not PureWindowsPath(name).is_reserved()
        and PurePosixPath(name).name == name == PureWindowsPath(name).name
    )


@settings(max_examples=examples(200))
@given(texts, st.integers(16, 255))
def test_any_text_becomes_a_name_that_is_legal_on_every_system(text: str, room: int) -> None:
    name = safe_name(text, room)
    assert is_legal(name)
    assert len(name.encode()) <= room


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_become_legal_ones(text: str) -> None:
    assert is_legal(safe_name(text))
    assert is_legal(safe_name(text * 50, 30))


@settings(max_examples=examples(100))
@given(texts)
def test_a_clean_name_stays_as_it_is(text: str) -> None:
    assert safe_name(safe_name(text)) == safe_name(text)


@settings(max_examples=examples(100))
@given(st.text(alphabet="abc déß_ ,;.!'()&-\u4e2d7", min_size=10, max_size=90))
def test_the_short_way_for_plain_names_gives_a_legal_name_too(text: str) -> None:
    assert is_legal(safe_name(text))


rows = st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=12)


@settings(max_examples=examples(60))
@given(
    rows,
    st.sampled_from(["{voice}/{text}", "{voice}/{text:.3}-{id}", "{text}", "{voice}-{model}/a/{id}", DEFAULT_NAME]),
)
@example([("", "", ""), (" ", "\0", "..")], "{voice}/{text}")
def test_paths_of_hostile_rows_are_legal_distinct_and_have_the_folders_of_the_template(
    found: list[tuple[str, str, str]], name: str
) -> None:
    frame = pd.DataFrame(
        {
            "history_item_id": [f"id{place}" for place in range(len(found))],
            "voice_name": [voice for voice, _, _ in found],
            "model_id": [model for _, model, _ in found],
            "text": [text for _, _, text in found],
            "date": pd.Timestamp("2026-10-05 23:30", tz="UTC"),
        },
        dtype=object,
    )
    stems = unique_names(stems_of(frame, Template.parse(name)), frame["history_item_id"].tolist(), {})
    for stem in stems:
        parts = stem.split("/")
        assert len(parts) == name.count("/") + 1
        assert all(map(is_legal, parts))
        assert is_legal(parts[-1] + ".opus")
    assert len(set(map(casefold_path, stems))) == len(stems)
    assert unique_names(stems_of(frame, Template.parse(name)), frame["history_item_id"].tolist(), {}) == stems


@settings(max_examples=examples(80))
@given(st.lists(texts.filter(bool), min_size=1, max_size=8, unique=True), st.booleans())
def test_hostile_ids_are_told_apart_too(ids: list[str], same: bool) -> None:
    stems = ["a/b"] * len(ids) if same else [safe_name(item) for item in ids]
    found = unique_names(stems, ids, {})
    assert len(set(map(casefold_path, found))) == len(ids)
    assert all(is_legal(part) for stem in found for part in stem.split("/"))


def test_rows_of_one_path_get_their_id_in_any_order() -> None:
    stems, ids = ["a/Hello", "a/hello", "a/other"], ["one", "two", "three"]
    assert unique_names(stems, ids, {}) == ["a/Hello-one", "a/hello-two", "a/other"]
    assert unique_names(stems[::-1], ids[::-1], {}) == ["a/other", "a/hello-two", "a/Hello-one"]


def test_ids_that_differ_only_in_letter_case_are_told_apart() -> None:
    found = unique_names(["aBc", "abc"], ["aBc", "abc"], {})
    assert len({name.lower() for name in found}) == 2


def test_who_has_a_path_keeps_it_and_a_newcomer_gets_another() -> None:
    owners = {"a": "one", "b-two": "two"}
    assert unique_names(["a", "A", "b"], ["three", "one", "two"], owners) == ["a-three", "A", "b-two"]


def row(**fields: object) -> pd.DataFrame:
    return pd.DataFrame([{"history_item_id": "abc", **fields}])


def stem(frame: pd.DataFrame, name: str) -> str:
    return stems_of(frame, Template.parse(name))[0]


def test_dates_are_utc_and_their_format_makes_folders_where_it_says_so() -> None:
    frame = row(date=pd.Timestamp("2026-11-01 00:30", tz="Europe/Berlin"))
    assert stem(frame, "{date:%Y-%m}/{id}") == "2026-10/abc"
    assert stem(frame, "{date:%Y/%m}/{id}") == "2026/10/abc"
    assert stem(frame, "{date}") == "2026-10-31_23-30-00"


def test_missing_values_are_unknown_and_never_nan() -> None:
    frame = row(voice_name=None, voice_id=pd.NA, model_id=float("nan"), text=pd.NA, date=pd.NaT, credits=pd.NA)
    assert (
        stem(frame, "{voice}/{model}/{date:%Y}/{credits:05d}/{text:.40}-{id}") == "unknown/unknown/unknown/unknown/abc"
    )
    assert stem(frame, "{text}") == "unknown"


def test_a_dialogue_is_called_dialogue_and_by_its_first_line() -> None:
    lines = [
        {"text": "Well,\n then", "voice_id": "v", "voice_name": "Ann"},
        {"text": "Yes", "voice_id": "w", "voice_name": "B"},
    ]
    assert stem(row(dialogue=lines, text=None, voice_name=None), "{voice}/{text}") == "dialogue/Well, then"


def test_texts_are_cut_by_characters_and_formats_are_pythons() -> None:
    frame = row(text="日本語の文章です", credits=7, stability=0.5)
    assert stem(frame, "{text:.3}") == "日本語"
    assert stem(frame, "{index:03d} {credits:04d} {stability:.2f}") == "000 0007 0.50"


def test_a_long_name_is_cut_and_its_id_stays_in_the_suffix() -> None:
    stems = stems_of(pd.DataFrame({"history_item_id": ["a1", "b2"], "text": ["é" * 400] * 2}), Template.parse("{text}"))
    found = unique_names(stems, ["a1", "b2"], {})
    assert [name[-3:] for name in found] == ["-a1", "-b2"]
    assert all(len(name.encode()) <= 250 for name in found)


@pytest.mark.parametrize(
    "name",
    [
        "",
        None,
        7,
        "/{id}",
        "../{id}",
        "{id}/",
        "a//{id}",
        "./{id}",
        "a/../{id}",
        "C:/{id}",
        "a\\{id}",
        "{id",
        "{id}}",
        "{id!r}",
        "{id:{index}}",
        "{id}.mp3",
        "{text}.WAV",
        "x/..",
    ],
)
def test_what_is_no_template_or_leads_out_is_refused(name: object) -> None:
    with pytest.raises(hk.InputError, match="name="):
        Template.parse(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["{voise}", "{}", "{0}", "{text.__class__}", "{text[0]}", "{voice}/{colour}"])
def test_an_unknown_field_is_named_and_the_fields_are_listed(name: str) -> None:
    with pytest.raises(hk.InputError, match=r"has the field \{.*they have: .*history_item_id.*voice"):
        stem(row(voice_name="A", text="b"), name)


@pytest.mark.parametrize("name", ["{text:d}", "{credits:%Y}", "{index:zz}"])
def test_a_format_that_does_not_fit_is_refused(name: str) -> None:
    with pytest.raises(hk.InputError, match="name="):
        stem(row(text="b", credits=3), name)


def test_the_default_falls_back_to_the_id_without_its_columns() -> None:
    assert stems_of(pd.Series(["a", "b"]), Template.parse(DEFAULT_NAME)) == ["a", "b"]
    assert stem(row(), DEFAULT_NAME) == "abc"


LETTERS = [
    "a",
    "b",
    " ",
    "  ",
    "\t",
    "\n",
    "\u0301",
    "e",
    "é",
    "\u200c",
    "\x00",
    "\ud800",
    "ß",
    "\u00a0",
    "\u202e",
    "日",
    "k" * 5,
]


@given(letters=st.lists(st.sampled_from(LETTERS), max_size=14), kept=st.integers(0, 7))
def test_a_text_is_cut_as_if_all_of_it_were_one_line_first(letters, kept):
    text = "".join(letters)
    expected = format(one_line_text(text), f".{kept}").rstrip()
    template = Template.parse(f"{{id:.{kept}}}-end")
    assert template.stem({"id": text}) == safe_name(f"{expected}-end")


@given(text=st.text(st.sampled_from("aZ é日.-–—‘’“”…'!,"), min_size=1, max_size=90))
def test_a_plain_name_is_what_pathvalidate_makes_of_it(text):
    sanitized = FileNameSanitizer(max_len=255, platform="universal", fs_encoding="utf-8").sanitize(
        one_line_text(text), "_"
    )
    assert safe_name(text) == safe_name(sanitized)
