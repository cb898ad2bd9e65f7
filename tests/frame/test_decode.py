"""Pages with rows that no schema foresees: every other row is as it would be, the odd one is named, its values kept."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histkit.frame.decode import PageDecoder
from histkit.frame.schema import SETTINGS, to_frame
from histkit.util.raw_json import is_deep, read_value, split_array, split_object
from tests.effort import examples
from tests.raw_service import row

DEEP = "[" * 100_000 + "]" * 100_000
DEEP_OBJECT = '{"a":' * 100_000 + "1" + "}" * 100_000
DATE = 1_780_000_000
NUMBERS = [name for name in SETTINGS if name != "use_speaker_boost"]
PLAIN = [row(1, DATE, text="one", feedback={"ü": [1.50]}), row(2, DATE + 1, text="two")]


def page(*rows: str, more: str = "") -> bytes:
    return f'{{"history": [{", ".join(rows)}], "has_more": false, "last_history_item_id": null{more}}}'.encode(
        "utf-8", "surrogateescape"
    )


def raw_row(field: str, value: str) -> str:
    """Return a row as JSON with a field as it is written."""
    text = json.dumps({name: value for name, value in row(9, DATE + 9).items() if name != field})
    return f"{text[:-1]}, {json.dumps(field)}: {value}}}"


def decode(body: bytes, **options: Any) -> tuple[pd.DataFrame, tuple[str, ...]]:
    decoded = PageDecoder(**options)(body)
    assert len(decoded.facts.ids) == len(decoded.rows)
    return to_frame([decoded.rows], **options), decoded.problems


EXPECTED, _ = decode(page(*map(json.dumps, PLAIN)))
ODD = {
    "deep in a known field": ("text", DEEP, "text", DEEP),
    "deep object in a known field": ("voice_id", DEEP_OBJECT, "voice_id", DEEP_OBJECT),
    "deep in an unknown field": ("novel", DEEP, "novel", DEEP),
    "deep in an id of a name": ("no.vel", DEEP_OBJECT, "no.vel", DEEP_OBJECT),
    "deep in the settings": ("settings", f'{{"style": 0.5, "odd": {DEEP}}}', "settings", {"odd": DEEP}),
    "deep in the dialogue": ("dialogue", DEEP, "dialogue", DEEP),
    "deep in a counter": ("character_count_change_to", DEEP, "character_count_change_to", DEEP),
    "just too deep": ("novel", "[" * 101 + "]" * 101, "novel", "[" * 101 + "]" * 101),
    "a surrogate in a text": ("text", '"a\\ud83d"', "text", "a\ud83d"),
    "a surrogate in a category": ("voice_name", '"\\udfff"', "voice_name", "\udfff"),
    "NaN": ("novel", "NaN", "novel", "NaN"),
    "NaN in a setting": ("settings", '{"stability": NaN, "style": 1}', "settings", {"stability": "NaN"}),
    "infinity in a counter": ("character_count_change_to", "-Infinity", "character_count_change_to", "-Infinity"),
    "a number out of range": ("novel", "1e999", "novel", "1e999"),
    "a number of 4,400 digits": ("novel", "9" * 4400, "novel", "9" * 4400),
    "a counter of 4,400 digits": ("character_count_change_to", "9" * 4400, "character_count_change_to", "9" * 4400),
    "no UTF-8": ("text", '"a\udcff"', None, None),
    "a text that is a number": ("text", "12", "text", 12),
    "a voice that is an object": ("voice_id", '{"id": "x"}', "voice_id", {"id": "x"}),
    "a state that is a list": ("state", "[1, null]", "state", [1, None]),
    "a date in milliseconds": ("date_unix", "1786610923000", "date_unix", 1_786_610_923_000),
    "a date that is a flag": ("date_unix", "true", "date_unix", True),
    "a date that is words": ("date_unix", '"soon"', "date_unix", "soon"),
    "a date that is a time": ("date_unix", '"2026-10-01T00:00:00Z"', "date_unix", "2026-10-01T00:00:00Z"),
    "a counter with a fraction": ("character_count_change_to", "100.5", "character_count_change_to", 100.5),
    "settings that are a list": ("settings", "[1]", "settings", [1]),
    "a dialogue that is a text": ("dialogue", '"none"', "dialogue", "none"),
    "a dialogue of numbers": ("dialogue", '[{"text": 1}]', "dialogue", [{"text": 1}]),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_value_is_kept_named_and_takes_nothing_with_it(name: str) -> None:
    field, text, key, value = ODD[name]
    frame, problems = decode(page(json.dumps(PLAIN[0]), raw_row(field, text), json.dumps(PLAIN[1])))
    pd.testing.assert_frame_equal(frame.iloc[[0, 2]].reset_index(drop=True), EXPECTED, check_categorical=False)
    assert frame["history_item_id"][1] == "id9"
    assert [problem.partition(":")[0] for problem in problems] == ["id9"] or name == "NaN in a setting"
    assert all(len(problem) < 200 and "\n" not in problem for problem in problems)
    if key is None:
        assert pd.isna(frame["extra"][1])
        assert frame["text"][1] == "a\ufffd"
        return
    assert json.loads(frame["extra"][1]) == {key: value}
    if field in frame.columns and "surrogate" not in name:
        assert pd.isna(frame[field][1])
    if field == "settings" and "style" in text:
        assert frame["style"][1] in (0.5, 1)
    if field == "character_count_change_to":
        assert pd.isna(frame["credits"][1])


@pytest.mark.parametrize("name", ["extra", "date", "credits", "account", "missing_since", "(no column)", ""])
@pytest.mark.parametrize("value", [7, "a", [[1]], {"a": 1}])
def test_a_field_that_has_the_name_of_a_column_of_ours_is_kept(name: str, value: Any) -> None:
    odd = {**row(9, PLAIN[0]["date_unix"]), name: value}
    for more in ({}, {"text": 12}):  # as a new field, and beside a value of the wrong type
        frame, _ = decode(page(json.dumps(PLAIN[0]), json.dumps({**odd, **more})))
        assert json.loads(frame["extra"][1]) == {name: value, **more}
        assert frame["credits"].tolist() == decode(page(*map(json.dumps, PLAIN[:1] * 2)))[0]["credits"].tolist()


@pytest.mark.parametrize(
    ("text", "date"),
    [("1786610923.5", 1_786_610_923), ("-0.5", -1), ('"1786610923"', 1_786_610_923), ("1786610923.0", 1_786_610_923)],
)
def test_a_date_that_is_sure_is_read_and_kept_as_it_came(text: str, date: int) -> None:
    frame, problems = decode(page(raw_row("date_unix", text)))
    assert frame["date_unix"][0] == date
    assert frame["date"][0] == pd.Timestamp(date, unit="s", tz="UTC")
    kept = [] if text.endswith(".0") else [json.loads(text)]
    assert [json.loads(extra)["date_unix"] for extra in frame["extra"].dropna()] == kept
    assert len(problems) == len(kept)


@pytest.mark.parametrize("value", ["100", "100.0", '"100"'])
def test_a_counter_of_whole_digits_is_read(value: str) -> None:
    frame, _ = decode(page(raw_row("character_count_change_to", value)))
    assert (frame["character_count_change_to"][0], frame["credits"][0]) == (100, 100)
    assert frame["extra"].notna().tolist() == [value == '"100"']


def test_a_number_for_an_id_is_its_digits_and_other_ids_are_missing() -> None:
    frame, problems = decode(page(raw_row("history_item_id", "123"), raw_row("history_item_id", "[1]")))
    assert frame["history_item_id"].tolist()[0] == "123"
    assert frame["history_item_id"].isna().tolist() == [False, True]
    assert [json.loads(text) for text in frame["extra"]] == [{"history_item_id": 123}, {"history_item_id": [1]}]
    assert [problem.partition(":")[0] for problem in problems] == ["123", "a row without id"]


def test_what_is_no_row_is_a_row_of_its_value_alone() -> None:
    frame, problems = decode(page("3", json.dumps(PLAIN[0]), DEEP, "null", '"a"'))
    assert frame["history_item_id"].notna().tolist() == [False, True, False, False, False]
    assert [json.loads(text)["row"] for text in frame["extra"].dropna().drop(1)] == [3, DEEP, "a"]
    assert len(problems) == 4
    assert all("the row is not an object" in problem for problem in problems)


def test_an_odd_envelope_takes_no_row_with_it() -> None:
    for more in (f', "scanned": {DEEP}', ', "x": NaN', ', "x": "\\ud83d"', f', "x": {"9" * 5000}', ', "x": "\udcff"'):
        frame, problems = decode(page(*map(json.dumps, PLAIN), more=more))
        pd.testing.assert_frame_equal(frame, EXPECTED)
        assert problems == ()


@pytest.mark.parametrize("text", [DEEP, "[1]", '"a"', "NaN", '{"alignment": NaN, "x": "\\ud83d"}', f'{{"x": {DEEP}}}'])
def test_odd_alignments_are_kept(text: str) -> None:
    frame, problems = decode(page(raw_row("alignments", text)), alignments=True)
    kept = [cell for cell in (frame["alignments"][0], frame["extra"][0]) if isinstance(cell, str)]
    assert len(kept) == 1
    assert problems
    assert frame["credits"].tolist() == [1]


@pytest.mark.parametrize(
    "body", [b'{"history": [{"a": nope}], "has_more": true}', b'{"history": [}], "has_more": true}']
)
def test_a_page_that_is_not_json_is_a_decode_error(body: bytes) -> None:
    for broken in (body, page(json.dumps(PLAIN[0]))[:-1], page(json.dumps(PLAIN[0])) + b"x", page("{") + b"}", b"[]"):
        with pytest.raises(msgspec.DecodeError):
            PageDecoder()(broken)


plain_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = st.dictionaries(st.sampled_from(["novel", "no vel", "feedback", "avatar_context", "dialogue"]), plain_json)


@settings(max_examples=examples(15))  # the other row is nested deep
@given(fields)
def test_a_row_is_the_same_beside_any_other_row(odd: dict[str, Any]) -> None:
    lines = odd.pop("dialogue", None)
    if isinstance(lines, list):
        odd["dialogue"] = [{"text": str(line), "voice_id": None, "voice_name": "x"} for line in lines]
    good = json.dumps(row(1, DATE, **odd, settings={"style": 1, "odd": odd.get("novel")}))
    alone, problems = decode(page(good))
    beside, _ = decode(page(good, raw_row("novel", DEEP)))
    assert problems == ()
    pd.testing.assert_frame_equal(beside.iloc[:1], alone, check_categorical=False)
    kept = {name: value for name, value in odd.items() if value is not None and name != "dialogue"}
    assert {**kept, **({"settings": {"odd": odd.get("novel")}})} == json.loads(alone["extra"][0])


numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.none()
known_settings = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(NUMBERS, numbers), "use_speaker_boost": st.none() | st.booleans()}
)
odd_settings = st.dictionaries(st.sampled_from([*SETTINGS, "pitch", "zzz"]), plain_json, max_size=2)


def fits(name: str, value: Any) -> bool:
    return type(value) in ({bool} if name == "use_speaker_boost" else {int, float})


@given(
    st.lists(st.none() | known_settings | st.builds(lambda *parts: parts[0] | parts[1], known_settings, odd_settings))
)
def test_each_setting_is_in_its_column_or_in_extra(rows: list[dict[str, Any] | None]) -> None:
    decoder = PageDecoder()
    plain = [{"stability": 1}] * 2  # a page before the odd ones, and one after them
    for each in (plain, rows, plain):
        body = page(*(json.dumps(row(number, DATE, settings=values)) for number, values in enumerate(each)))
        frame = to_frame([decoder(body).rows])
        for name in SETTINGS:
            values = [(values or {}).get(name) for values in each]
            expected = [float(value) if fits(name, value) else None for value in values]
            assert frame[name].astype(object).where(frame[name].notna(), None).tolist() == expected
        kept = [None if pd.isna(text) else list(json.loads(text)["settings"].items()) for text in frame["extra"]]
        odd = [
            [
                (name, value)
                for name, value in (values or {}).items()
                if name not in SETTINGS or not (value is None or fits(name, value))
            ]
            for values in each
        ]
        assert kept == [values or None for values in odd]


def test_a_setting_beyond_all_floats_is_kept() -> None:
    frame, _ = decode(page(json.dumps(row(1, DATE, settings={"stability": 10**400, "style": 1}))))
    assert frame["style"][0] == 1
    assert pd.isna(frame["stability"][0])
    assert json.loads(frame["extra"][0]) == {"settings": {"stability": 10**400}}


@given(st.lists(st.tuples(st.sampled_from([None, "", "a", "ü😀"]), st.lists(st.sampled_from([None, "", "bü😀"])))))
def test_categories_and_lengths_are_those_of_the_rows(rows: list[tuple[str | None, list[str | None]]]) -> None:
    lines = [[{"text": text, "voice_id": None, "voice_name": "x"} for text in texts] for _, texts in rows]
    frame, _ = decode(
        page(
            *(
                json.dumps(row(number, DATE, text=text, voice_id=text, dialogue=dialogue or None))
                for number, ((text, _), dialogue) in enumerate(zip(rows, lines, strict=True))
            )
        )
    )
    texts = [text or None for text, _ in rows]
    assert frame["voice_id"].astype(object).where(frame["voice_id"].notna(), None).tolist() == texts
    assert frame["voice_id"].cat.categories.tolist() == list(dict.fromkeys(filter(None, texts)))
    spoken = [text if not dialogue else text or None for (text, _), dialogue in zip(rows, lines, strict=True)]
    assert [None if pd.isna(text) else text for text in frame["text"]] == spoken
    lengths = [
        sum(len(line or "") for line in texts) if texts else None if text is None else len(text) for text, texts in rows
    ]
    assert [None if pd.isna(length) else length for length in frame["characters"]] == lengths
    assert [None if pd.isna(text) else json.loads(text) for text in frame["dialogue"]] == [
        [{"text": line["text"], "voice_id": None, "voice_name": "x"} for line in dialogue] or None for dialogue in lines
    ]


@given(st.dictionaries(st.text(), plain_json))
def test_the_scan_splits_as_a_decoder_does(value: dict[str, Any]) -> None:
    for body in (json.dumps(value).encode(), json.dumps(value, indent=1, ensure_ascii=False).encode()):
        assert {read_value(name)[0]: read_value(text)[0] for name, text in split_object(body)} == value
    body = json.dumps([*value.values()]).encode()
    assert [read_value(text)[0] for text in split_array(body)] == [*value.values()]


@given(st.binary(max_size=12) | st.text(alphabet='{}[]",:\\ a1', max_size=12).map(str.encode))
def test_the_scan_refuses_what_is_no_object(body: bytes) -> None:
    try:
        expected = json.loads(body)
    except ValueError:
        expected = None
    try:
        members = {read_value(name)[0]: read_value(text)[0] for name, text in split_object(body)}
    except msgspec.DecodeError:
        assert not isinstance(expected, dict)
        return
    assert members == expected or expected is None


def test_depth_is_measured_without_recursion() -> None:
    value: Any = []
    for _ in range(50_000):
        value = [value]
    assert is_deep(value)
    assert not is_deep([[{}] * 3] * 3)
