"""Takes: the same words by the same voice, counted by value alone, on any part of a history."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import histkit as hk
from histkit.retakes.takes import line_keys, takes

TEXT = pd.StringDtype("pyarrow")
LINE = pa.struct([("text", pa.string()), ("voice_id", pa.string()), ("voice_name", pa.string())])
NEEDED = ["history_item_id", "date", "voice_id", "voice_name", "text", "dialogue", "credits"]
NEW = {
    "line": "string[pyarrow]",
    "take": "Int64",
    "takes": "Int64",
    "keeper": "boolean",
    "thrown_away": "Int64",
    "free": "boolean",
}


def json_of(lines: Any) -> str | None:
    return None if lines is None else json.dumps(lines, ensure_ascii=False)


def frame_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Make a history, typed as histkit's, of rows with any of its fields; ids are made where none is given."""
    column = {name: [row.get(name) for row in rows] for name in ("voice_id", "voice_name", "text", "credits")}
    seconds = pd.array([row.get("date_unix") for row in rows], "Int64")
    ids = [row.get("id", f"id{place}") for place, row in enumerate(rows)]
    return pd.DataFrame(
        {
            "history_item_id": pd.array(ids, dtype=TEXT),
            "date": pd.Series(pd.to_datetime(seconds, unit="s", utc=True)).astype("datetime64[us, UTC]"),
            "voice_id": pd.Categorical(pd.array(column["voice_id"], dtype=TEXT)),
            "voice_name": pd.Categorical(pd.array(column["voice_name"], dtype=TEXT)),
            "text": pd.array(column["text"], dtype=TEXT),
            "credits": pd.array(column["credits"], dtype="Int64"),
            "character_count_change_from": pd.array([row.get("counter") for row in rows], dtype="Int64"),
            "dialogue": pd.array([json_of(row.get("dialogue")) for row in rows], dtype="string[pyarrow]"),
        }
    )


def line(text: str | None, voice_id: str | None, voice_name: str | None = None) -> dict[str, Any]:
    return {"text": text, "voice_id": voice_id, "voice_name": voice_name}


texts = st.sampled_from(
    [
        "Hello there",
        "hello  THERE",
        " hello\nthere ",
        "Hello—there",
        "hello-there",
        "Straße",
        "STRASSE",
        "",
        " \t ",
        None,
    ]
)
voices = st.sampled_from(["A", "B", "", None])
names = st.sampled_from(["Anna", "A", "", None])
rows = st.fixed_dictionaries(
    {
        "voice_id": voices,
        "voice_name": names,
        "text": texts,
        "credits": st.none() | st.integers(0, 3) | st.integers(0, 2**40),
        "date_unix": st.none() | st.integers(1_700_000_000, 1_700_000_002),
        "counter": st.none() | st.integers(0, 2),
        "dialogue": st.none() | st.lists(st.builds(line, texts, voices, names), max_size=2),
    }
)
frames = st.lists(rows, max_size=14).map(frame_of)
keeps = st.sampled_from(["last", "first", ["id3"], ["id0", "id5", "id9"]])


def plain(text: str | None) -> str:
    """Give a text of the strategies above as it is compared."""
    return " ".join(unicodedata.normalize("NFKC", (text or "").replace("—", "-")).casefold().split())


def line_of(row: Any) -> Any:
    """Tell the line of a row by looking at it; None for no line."""

    def voice(voice_id: Any, name: Any) -> Any:
        known = [("id", voice_id), ("name", name)]
        return next((pair for pair in known if isinstance(pair[1], str) and pair[1]), None)

    talk = json.loads(row.dialogue) if isinstance(row.dialogue, str) else []
    said = [(voice(each["voice_id"], each["voice_name"]), plain(each["text"])) for each in talk]
    if any(text for _, text in said):
        return said
    text = plain(row.text) if isinstance(row.text, str) else ""
    return (voice(row.voice_id, row.voice_name), text) if text else None


def age(row: Any) -> tuple[Any, ...]:
    def known(value: Any) -> Any:
        return -1 if pd.isna(value) else value.timestamp() if isinstance(value, pd.Timestamp) else value

    return known(row.date), known(row.character_count_change_from), row.history_item_id


def chosen_in(frame: pd.DataFrame, keep: Any) -> Any:
    """Leave out of a choice what the frame has not, and all but one take of a line."""
    if isinstance(keep, str):
        return keep
    found: list[tuple[Any, str]] = []
    for row in frame.itertuples():
        mine = line_of(row)
        if row.history_item_id in keep and (mine is None or mine not in [each for each, _ in found]):
            found.append((mine, row.history_item_id))
    return [each for _, each in found]


@given(frames, keeps)
def test_takes_are_those_that_a_look_at_each_row_finds(frame: pd.DataFrame, keep: Any) -> None:
    keep, before = chosen_in(frame, keep), frame.copy(deep=True)
    table = takes(frame, keep=keep)
    pd.testing.assert_frame_equal(frame, before)
    everything = list(frame.itertuples())
    for row, got in zip(everything, table.itertuples(), strict=True):
        mine = line_of(row)
        line = [row] if mine is None else sorted((each for each in everything if line_of(each) == mine), key=age)
        kept = line[0] if keep == "first" else line[-1]
        kept = next((each for each in line if not isinstance(keep, str) and each.history_item_id in keep), kept)
        assert (got.take, got.takes, got.keeper) == (line.index(row) + 1, len(line), row is kept)
        assert pd.isna(got.line) == (mine is None)
        if row is kept:
            assert got.thrown_away == 0
        else:
            assert pd.isna(got.thrown_away) if pd.isna(row.credits) else got.thrown_away == row.credits
        assert pd.isna(got.free) if pd.isna(row.credits) else got.free == (row.credits == 0)


@given(frames, keeps, st.integers(1, 4))
def test_parts_by_line_give_what_the_whole_gives(frame: pd.DataFrame, keep: Any, parts: int) -> None:
    keep = chosen_in(frame, keep)
    number = line_keys(frame) % parts
    done = []
    for part in range(parts):
        piece = frame[number == part]
        mine = keep if isinstance(keep, str) else [each for each in keep if each in set(piece["history_item_id"])]
        done.append(takes(piece, keep=mine))
    pd.testing.assert_frame_equal(pd.concat(done).sort_index().astype(NEW), takes(frame, keep=keep), check_like=True)
    whole = takes(frame, keep=keep).attrs["histkit"]
    assert whole == {name: sum(each.attrs["histkit"][name] for each in done) for name in whole}


@given(frames, keeps, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing_but_the_order(frame: pd.DataFrame, keep: Any, random: Any) -> None:
    keep, order = chosen_in(frame, keep), list(range(len(frame)))
    random.shuffle(order)
    shuffled = frame.iloc[order]
    pd.testing.assert_frame_equal(takes(shuffled, keep=keep), takes(frame, keep=keep).iloc[order])
    pd.testing.assert_series_equal(line_keys(shuffled), line_keys(frame).iloc[order])


@given(frames, keeps)
def test_what_is_kept_and_what_is_thrown_away_add_up_to_all_credits(frame: pd.DataFrame, keep: Any) -> None:
    table = takes(frame, keep=chosen_in(frame, keep))
    facts = table.attrs["histkit"]
    assert table["credits"][table["keeper"]].sum() + table["thrown_away"].sum() == frame["credits"].sum()
    assert facts == {
        "rows": len(frame),
        "lines": table["line"].nunique(),
        "lines_with_takes": int((table["take"] == 2).sum()),
        "thrown_away": table["thrown_away"].sum(),
        "rows_without_credits": frame["credits"].isna().sum(),
    }
    assert all(type(value) is int for value in facts.values())
    assert table["keeper"].sum() == facts["lines"] + table["line"].isna().sum()


@given(frames)
def test_columns_turned_to_objects_give_the_same_lines(frame: pd.DataFrame) -> None:
    loose = frame.astype(dict.fromkeys(["history_item_id", "voice_id", "voice_name", "text", "dialogue"], object))
    pd.testing.assert_series_equal(line_keys(loose), line_keys(frame))
    pd.testing.assert_frame_equal(takes(loose)[list(NEW)], takes(frame)[list(NEW)])
    for dtype in ("category", "string[python]", "str"):
        other = frame[frame["text"].notna()]  # pandas 2 makes a text of what is missing
        pd.testing.assert_series_equal(line_keys(other.astype({"text": dtype})), line_keys(other))


some_text = st.text(alphabet=" \t\n\v\x1c\x1f\x85\xa0\u3000\u2028aAbZ~\x00\x7f-éÉßſK", max_size=6) | st.text()


@given(st.lists(some_text, min_size=1, max_size=6))
@example(["a  b", "A b", " a b", "a b ", "a\tb", "a\x1fb", "a\x00b", "a\x85b", "K", "k"])
def test_any_two_texts_are_one_line_when_their_plain_forms_are_one(said: list[str]) -> None:
    said = [text for text in said if not set(text) & set(TYPOGRAPHIC)]
    table = takes(frame_of([{"text": text, "voice_id": "A"} for text in said]))
    forms, lines = [plain(text) for text in said], table["line"].fillna("").tolist()
    assert [line == "" for line in lines] == [form == "" for form in forms]
    assert [lines.index(each) for each in lines] == [forms.index(each) for each in forms]


PINNED = ["5fb27519303b59e8", "c3964e70858e83ae", "b476d2e26fc97209", "6c16e2ed3edb26ad"]
PINNED_ROW = 10678477083286931855
TYPOGRAPHIC = "‘’‚‛‹›′‵ʹʻʼʽ´΄“”„‟«»″‶〝〞〟‐‑‒–—―−﹘︱︲ŉ…"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("“Don’t” – she said…", '"don\'t" - SHE said...'),
        ("„Nein“, sagte er — leise", '"nein", sagte er - leise'),
        ("«Oui»", '"oui"'),
        ("It´s 5′ 3″", "it's 5' 3\""),
        ("non‑breaking‐hyphen −1", "Non-breaking-hyphen -1"),
        ("STRASSE", "straße"),
        ("Cafe\u0301", "CAFÉ"),
        ("ﬁne ＷＩＤＥ", "Fine wide"),
        ("a\u00a0b\u3000c\r\n\td\u2028e", " a b c d e "),
    ],
)
def test_letter_case_white_space_and_typography_do_not_make_another_line(one: str, other: str) -> None:
    table = takes(frame_of([{"text": one, "voice_id": "A"}, {"text": other, "voice_id": "A"}]))
    assert table["takes"].tolist() == [2, 2]


@pytest.mark.parametrize("sign", TYPOGRAPHIC)
def test_every_typographic_sign_has_a_plain_one(sign: str) -> None:
    plain_sign = {"ŉ": "'n", "…": "..."}.get(sign)
    options = [plain_sign] if plain_sign else ["'", '"', "-"]
    table = takes(frame_of([{"text": f"a{each}b"} for each in (sign, *options)]))
    assert table["takes"].iloc[0] == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"text": "Hello.", "voice_id": "A"}, {"text": "Hello!", "voice_id": "A"}),
        ({"text": "Hello", "voice_id": "A"}, {"text": "Hello", "voice_id": "a"}),
        ({"text": "Hello", "voice_id": "A"}, {"text": "Hello", "voice_name": "A"}),
        ({"text": "Hello", "voice_id": "A"}, {"text": "Hello"}),
        ({"text": "a b", "voice_id": "A"}, {"text": "ab", "voice_id": "A"}),
        ({"text": "a\x00b", "voice_id": "A"}, {"text": "a", "voice_id": "A"}),
        ({"dialogue": [line("Hi", "A"), line("Ho", "B")]}, {"dialogue": [line("Ho", "B"), line("Hi", "A")]}),
        ({"dialogue": [line("Hi", "A"), line("Ho", "B")]}, {"dialogue": [line("Hi", "B"), line("Ho", "A")]}),
        ({"dialogue": [line("Hi", "A"), line("Hi", "A")]}, {"dialogue": [line("Hi", "A")]}),
        ({"dialogue": [line("Hi Ho", "A")]}, {"dialogue": [line("Hi", "A"), line("Ho", "A")]}),
    ],
)
def test_other_words_or_another_voice_are_another_line(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert takes(frame_of([one, other]))["takes"].tolist() == [1, 1]


def test_a_voice_keeps_its_lines_when_it_is_renamed() -> None:
    rows = [{"text": "Hi", "voice_id": "A", "voice_name": name} for name in ("Old", "New", None)]
    assert takes(frame_of(rows))["takes"].tolist() == [3, 3, 3]
    rows = [{"text": "Hi", "voice_name": name} for name in ("Old", "Old", "New")]
    assert takes(frame_of(rows))["takes"].tolist() == [2, 2, 1]


def test_takes_are_numbered_by_age_and_cost_what_they_cost() -> None:
    frame = frame_of(
        [
            {"id": "c", "text": "Hi", "voice_id": "A", "date_unix": 30, "credits": 5},
            {"id": "a", "text": "hi", "voice_id": "A", "date_unix": 10, "credits": 7},
            {"id": "x", "text": "Ho", "voice_id": "A", "date_unix": 20, "credits": None},
            {"id": "b", "text": "HI ", "voice_id": "A", "date_unix": 20, "credits": 0},
            {"id": "d", "text": " hi", "voice_id": "A", "date_unix": None, "credits": None},
        ]
    ).set_axis([7, 7, 1, 0, "end"])
    table = takes(frame)
    assert table.index.tolist() == [7, 7, 1, 0, "end"]
    assert table["take"].tolist() == [4, 2, 1, 3, 1]
    assert table["takes"].tolist() == [4, 4, 1, 4, 4]
    assert table["keeper"].tolist() == [True, False, True, False, False]
    assert table["thrown_away"].tolist() == [0, 7, 0, 0, pd.NA]
    assert table["free"].tolist() == [False, False, pd.NA, True, pd.NA]
    assert table.attrs["histkit"] == {
        "rows": 5,
        "lines": 2,
        "lines_with_takes": 1,
        "thrown_away": 7,
        "rows_without_credits": 2,
    }
    assert takes(frame, keep="first")["keeper"].tolist() == [False, False, True, False, True]
    assert takes(frame, keep=["b"])["keeper"].tolist() == [False, False, True, True, False]
    assert takes(frame, keep="b")["thrown_away"].tolist() == [5, 7, 0, 0, pd.NA]


def test_takes_of_one_second_come_by_the_counter_and_then_by_id() -> None:
    same = {"text": "Hi", "voice_id": "A", "date_unix": 10}
    frame = frame_of(
        [{**same, "id": "a", "counter": 9}, {**same, "id": "c", "counter": 5}, {**same, "id": "b", "counter": 5}]
    )
    assert takes(frame)["take"].tolist() == [3, 2, 1]
    assert takes(frame.drop(columns="character_count_change_from"))["take"].tolist() == [1, 3, 2]


def test_a_row_that_says_nothing_is_its_own_only_take() -> None:
    silent = [
        {"text": None},
        {"text": ""},
        {"text": " \n\u3000"},
        {"dialogue": []},
        {"dialogue": [line(" ", "A"), line(None, "B")]},
    ]
    table = takes(frame_of([{**row, "voice_id": "A", "credits": 4} for row in silent]))
    assert table["line"].isna().all()
    assert (table[["take", "takes"]] == 1).all().all()
    assert table["keeper"].all()
    assert (table["thrown_away"] == 0).all()
    assert table.attrs["histkit"]["lines"] == 0


def test_rows_that_say_nothing_are_spread_over_the_parts() -> None:
    frame = frame_of([{"text": None} for _ in range(400)])
    assert (line_keys(frame) % 4).value_counts().between(60, 140).all()


def test_a_number_is_the_same_in_every_process_and_release() -> None:
    frame = frame_of(
        [
            {"text": "Hello — there", "voice_id": "21m00Tcm4TlvDq8ikWAM", "voice_name": "Rachel"},
            {"text": "Grüße, Jürgen", "voice_name": "Rachel"},
            {"text": "Hello there"},
            {"dialogue": [line("Hi", "A"), line("Ho", None, "Ben")]},
            {"id": "VW7YKqPnjY4h39yTbx2L"},
        ]
    )
    assert takes(frame)["line"].tolist() == [*PINNED, pd.NA]
    assert line_keys(frame).tolist() == [*(int(each, 16) for each in PINNED), PINNED_ROW]
    code = (
        "import histkit as hk; from histkit.retakes.takes import line_keys; "
        "print(int(line_keys(hk.sample_history(300)).astype(object).sum()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == int(line_keys(hk.sample_history(300)).astype(object).sum())


def test_columns_have_their_dtypes_whatever_the_rows() -> None:
    frame = hk.sample_history(300)
    for part in (frame, frame.iloc[:0], frame[frame["text"].isna()], frame[frame["dialogue"].notna()]):
        table = takes(part)
        assert {name: str(table[name].dtype) for name in NEW} == {
            name: str(pd.Series([], dtype=dtype).dtype) for name, dtype in NEW.items()
        }
        kept = ["history_item_id", "date", "voice_id", "voice_name", "model_id", "text", "characters", "credits"]
        assert table.columns.tolist() == [*kept, *NEW]
        pd.testing.assert_frame_equal(table[kept], part[kept])
        assert table.index.equals(part.index)
        assert line_keys(part).dtype == np.uint64
    assert takes(frame.iloc[:0]).attrs["histkit"] == dict.fromkeys(takes(frame).attrs["histkit"], 0)
    assert takes(frame[NEEDED]).columns.tolist() == [
        name for name in [*kept, *NEW] if name not in ("model_id", "characters")
    ]


def test_the_facts_of_the_frame_stay_its_own() -> None:
    frame = hk.sample_history(50)
    before = dict(frame.attrs["histkit"])
    takes(frame)
    assert frame.attrs["histkit"] == before


@pytest.mark.parametrize("missing", NEEDED)
def test_a_missing_column_is_named(missing: str) -> None:
    frame = hk.sample_history(20).drop(columns=missing)
    with pytest.raises(hk.SchemaError, match=f"'{missing}'"):
        takes(frame)
    if missing not in ("date", "credits"):
        with pytest.raises(hk.SchemaError, match=f"'{missing}'"):
            line_keys(frame)


def test_a_column_of_the_wrong_kind_is_named() -> None:
    talk = pd.array([[{"text": "Hi", "voice_id": "A"}]], pd.ArrowDtype(pa.list_(pa.struct(list(LINE)[:2]))))
    dialogues = ("text", "[1]", '{"a": 1}', 3, talk)
    wrong = [("credits", 1.5), ("date", "never"), *(("dialogue", each) for each in dialogues)]
    for name, value in wrong:
        with pytest.raises(hk.SchemaError, match=f"'{name}'") as caught:
            takes(frame_of([{"text": "Hi"}]).assign(**{name: value}))
        assert "\n" not in str(caught.value)


def test_texts_that_are_no_good_unicode_are_told_apart_all_the_same() -> None:
    said = [
        "\ud800",
        "\udfff",
        "\ud800 ",
        "a" * 100_000,
        "\u202eabc",
        "abc",
        3,
        3.5,
        "3",
        None,
        float("nan"),
        "\x00",
        "👩\u200d👧",
    ]
    frame = frame_of([{} for _ in said]).assign(text=pd.Series(said, dtype=object))
    table = takes(frame)
    assert table["takes"].tolist() == [2, 1, 2, 1, 1, 1, 2, 1, 2, 1, 1, 1, 1]
    assert table["line"].isna().sum() == 2


def test_a_row_that_stands_twice_in_a_frame_is_refused() -> None:
    frame = frame_of([{"id": "a", "text": "Hi", "credits": 3}, {"id": "a", "text": "Hi", "credits": 3}])
    with pytest.raises(hk.SchemaError, match=r"1 row of 2 repeats another \(history_item_id 'a'\).*drop_duplicates"):
        takes(frame, keep=["a"])


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        (["id0", "id2"], ["'id0'", "'id2'"]),
        ("lst", ["'lst'", "'last'", "'first'"]),
        (["id0", "p", "q", "r", "s", "t"], ["'p', 'q', 'r' and 2 more"]),
        (["id0", "gone\nforever"], [r"'gone\nforever'"]),
        (["id0", None], ["keep=", "None"]),
        ([["id0"]], ["keep=", "['id0']"]),
        (3, ["keep=", "3"]),
        (None, ["keep=", "None"]),
    ],
)
def test_a_choice_that_cannot_be_used_is_named_on_one_line(keep: Any, words: list[str]) -> None:
    frame = frame_of([{"text": "Hi"}, {"text": "Ho"}, {"text": "hi"}])
    with pytest.raises(hk.InputError) as caught:
        takes(frame, keep=keep)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words)


def test_a_line_without_a_chosen_take_keeps_its_last() -> None:
    frame = frame_of([{"text": text, "date_unix": place} for place, text in enumerate(["Hi", "Hi", "Ho", "Ho", None])])
    chosen = [["id0"], pd.Series(["id0", "id0"]), ("id0", "id4"), {"id0"}]
    for keep in chosen:
        assert takes(frame, keep=keep)["keeper"].tolist() == [True, False, False, True, True]
    assert takes(frame, keep=[])["keeper"].tolist() == takes(frame)["keeper"].tolist()


@pytest.mark.parametrize("block", [1, 7])
def test_texts_that_lie_in_several_blocks_are_takes_of_one_line(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    df = hk.sample_history(300)
    texts = df["text"].astype(object)
    texts.iloc[::5], texts.iloc[1::50], texts.iloc[2::50] = "Again", None, ""
    frames = [df.assign(text=texts), df.assign(text=texts.astype(TEXT)), df.assign(text=texts.astype("category"))]
    expected = [takes(frame) for frame in frames]
    monkeypatch.setattr("histkit.retakes.takes.BLOCK", block)
    for frame, table in zip(frames, expected, strict=True):
        pd.testing.assert_frame_equal(takes(frame), table)
