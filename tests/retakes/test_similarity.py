"""Takes of nearly the same text, what was thrown away in all, and keepers in the order of a script."""

from __future__ import annotations

import json
import random
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Indel

import histkit as hk
from histkit.cli import main
from histkit.retakes import candidates, similarity
from histkit.retakes.candidates import candidate_pairs
from histkit.retakes.similarity import likeness
from histkit.sandbox import Sandbox
from histkit.util.arrays import added_bits, bit_counts
from tests.effort import examples

WORDS = ["one", "two", "three", "four", "5", "6", "a", "the cat"]


def frame_of(rows: list[tuple[str, str]]) -> pd.DataFrame:
    """Make a history of voices and texts, a second apart, ten credits each."""
    frame = hk.sample_history(len(rows))
    moments = pd.Timestamp("2026-10-01", tz="UTC") + pd.to_timedelta(range(len(rows)), unit="s")
    voices = [voice for voice, _ in rows]
    return frame.assign(
        date=moments.astype(frame["date"].dtype),
        voice_id=pd.Categorical(voices),
        voice_name=pd.Categorical(voices),
        text=pd.array([text for _, text in rows], dtype=frame["text"].dtype),
        dialogue=pd.array([None] * len(rows), dtype=frame["dialogue"].dtype),
        credits=pd.array([10] * len(rows), "Int64"),
    )


def parts_of(table: pd.DataFrame) -> set[frozenset[int]]:
    return {frozenset(rows) for rows in table.groupby("line").indices.values()}


def test_a_comma_more_is_a_take_and_another_number_is_not() -> None:
    frame = frame_of(
        [
            ("R", "The rain had stopped by the time we came home."),
            ("R", "The rain had stopped, by the time we came home!"),
            ("R", "Chapter 12 begins in the old harbour of Bergen."),
            ("R", "Chapter 13 begins in the old harbour of Bergen."),
            ("S", "The rain had stopped by the time we came home."),
        ]
    )
    assert len(parts_of(hk.takes(frame))) == 5
    assert parts_of(hk.takes(frame, near=0.9)) == {frozenset({0, 1}), *(frozenset({row}) for row in (2, 3, 4))}
    assert hk.takes(frame, near=0.9)["keeper"].tolist() == [False, True, True, True, True]
    assert hk.takes(frame, near=0.9)["thrown_away"].sum() == 10


@settings(max_examples=examples(25))
@given(
    texts=st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=14),
    near=st.sampled_from([0.5, 0.7, 0.8, 0.9, 1.0]),
    data=st.data(),
)
def test_near_lines_are_what_comparing_all_pairs_gives(texts: list[str], near: float, data: Any) -> None:
    voices = data.draw(st.lists(st.sampled_from("RS"), min_size=len(texts), max_size=len(texts)))
    frame = frame_of([*zip(voices, texts, strict=True)])
    table = hk.takes(frame, near=near)
    parts = [{row} for row in range(len(texts))]
    for one, other in combinations(range(len(texts)), 2):
        same = [word for word in texts[one].split() if word.isdigit()] == [
            word for word in texts[other].split() if word.isdigit()
        ]
        like = Indel.normalized_similarity(texts[one], texts[other])
        if voices[one] == voices[other] and same and (like >= near or texts[one] == texts[other]):
            joined = [part for part in parts if one in part or other in part]
            parts = [part for part in parts if part not in joined] + [set().union(*joined)]
    assert parts_of(table) == {frozenset(part) for part in parts}
    shuffled = frame.sample(frac=1, random_state=len(texts))
    assert hk.takes(shuffled, near=near)["line"].sort_index().equals(table["line"])
    exact = hk.takes(frame)["line"]
    assert set(table["line"]) <= set(exact)


@pytest.mark.parametrize("near", [0, 0.4, 1.01, 90, "0.9", True, float("nan")])
def test_what_is_no_likeness_is_refused(near: Any) -> None:
    with pytest.raises(hk.InputError, match=r"near=.* from 0\.5 to 1, such as 0\.9"):
        hk.takes(hk.sample_history(5), near=near)


@settings(max_examples=examples(15))
@given(
    size=st.integers(0, 400),
    by=st.sampled_from(["voice", "model", None, ["voice", "source"], "speaker"]),
    freq=st.sampled_from([None, "W", "MS"]),
    keep=st.sampled_from(["last", "first"]),
    holes=st.integers(2, 9),
)
def test_what_was_thrown_away_adds_up(size: int, by: Any, freq: str | None, keep: str, holes: int) -> None:
    frame = hk.sample_history(2000, seed=3).head(size)
    frame = frame.assign(credits=frame["credits"].mask(frame.index % holes == 0))
    found = hk.takes(frame, keep=keep)
    table = hk.waste(frame, by, freq, keep=keep)
    lost = found[~found["keeper"]]
    assert table["items"].sum() == len(frame)
    assert table["thrown_away_items"].sum() == len(lost)
    assert table["free"].sum() == lost["free"].sum()
    assert table["paid"].sum() == (lost["credits"] > 0).sum()
    assert table["thrown_away"].sum() == found["thrown_away"].sum()
    assert table["credits"].sum() == frame["credits"].sum()
    usage = hk.usage_table(frame, by, freq)
    assert len(usage) == len(table)


def test_the_table_of_what_was_thrown_away_has_these_columns() -> None:
    df = hk.sample_history(2000)
    table = df.speech.waste(["voice", "model"], "W", tz="Europe/Berlin")
    assert table.columns.tolist() == [
        *("voice", "model", "period", "items", "thrown_away_items", "paid", "free"),
        *("credits", "thrown_away", "share"),
    ]
    assert str(table["period"].dtype) == "datetime64[us, Europe/Berlin]"
    assert {str(table[name].dtype) for name in table.columns[3:-1]} == {"Int64"}
    assert table["share"].dropna().between(0, 1).all()
    assert table.attrs["histkit"]["thrown_away"] == table["thrown_away"].sum()
    with pytest.raises(hk.InputError, match="by='paid'"):
        hk.waste(df.assign(paid="x"), "paid")


def test_keepers_are_one_of_each_line_oldest_line_first() -> None:
    df = hk.sample_history(2000)
    found = hk.takes(df)
    kept = hk.keepers(df.sample(frac=1, random_state=1))
    assert set(kept["history_item_id"]) == set(found["history_item_id"][found["keeper"]])
    first = found[found["take"] == 1].dropna(subset="line").set_index("line")["date"]
    lines = found["line"][kept.index]
    begun = kept["date"].where(lines.isna(), lines.map(first)).tolist()
    assert begun == sorted(begun)
    assert kept.columns.tolist() == df.columns.tolist()


def test_keepers_follow_the_script(tmp_path: Path) -> None:
    frame = frame_of(
        [
            ("R", "Second line."),
            ("R", "First line."),
            ("R", "FIRST  line."),
            ("S", "Second line."),
            ("R", "Not in the script."),
            ("S", "Third line, nearly as it stands."),
        ]
    )
    script = ["First line.", "Nobody said this.", "Second line.", "Third line, nearly as it stood.", "first line."]
    kept = frame.speech.keepers(script=script)
    assert [*zip(kept.index, kept["script_line"], strict=True)] == [(2, 1), (0, 3), (3, 3), (2, 5)]
    facts = kept.attrs["histkit"]
    assert (facts["lines"], facts["missing_lines"], facts["lines_of_several_voices"]) == (5, [2, 4], [3])
    assert facts["not_in_script"] == 2
    near = hk.keepers(frame, script=script, near=0.9)
    assert [*zip(near.index, near["script_line"], strict=True)] == [(2, 1), (0, 3), (3, 3), (5, 4), (2, 5)]
    path = tmp_path / "script.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n\r\n".join(script).encode())
    assert hk.keepers(frame, script=path).equals(kept)
    of_voices = pd.DataFrame({"text": script, "voice": ["R", "R", "S", None, "S"]})
    assert hk.keepers(frame, script=of_voices)[["script_line"]].to_dict() == {"script_line": {2: 1, 3: 3}}
    chosen = frame["history_item_id"][1]
    assert hk.keepers(frame, script=script, keep=[chosen]).index.tolist() == [1, 0, 3, 1]


@pytest.mark.parametrize(
    ("script", "line"),
    [
        (5, "has no line"),
        ([], "has no line"),
        ("none.txt", "can't be read"),
        ([""], "line 1 is ''"),
        (["a", 5], "line 2 is 5"),
        (pd.DataFrame({"line": ["a"]}), "without the column 'text'"),
        (pd.DataFrame({"text": ["a"], "voice": [4]}), "voice of line 1 is 4"),
    ],
)
def test_what_is_no_script_is_refused(script: Any, line: str) -> None:
    with pytest.raises(hk.InputError, match=line):
        hk.keepers(hk.sample_history(5), script=script)


def test_keepers_are_pulled_in_script_order(
    shared_box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELEVENLABS_BASE_URL", shared_box.url)
    monkeypatch.setenv("ELEVENLABS_API_KEY", shared_box.api_key)
    monkeypatch.chdir(tmp_path)
    with hk.HistoryClient(shared_box.api_key, base_url=shared_box.url) as client:
        df = hk.read_history(limit=60, voice="Rachel", client=client)
    texts = df["text"].dropna().drop_duplicates().tolist()[:3]
    Path("script.txt").write_text("\n".join([*reversed(texts), "Nobody said this."]), "utf-8")
    asked = ("pull", "--voice", "Rachel", "--limit", "60", "--live", "--script", "script.txt", "-o", "audio", "--json")
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 0, result.output
    assert "1 of 4 lines of the script have no take: 4" in result.stderr
    assert json.loads(result.stdout)["counts"] == {"done": 3}
    names = sorted(path.name for path in Path("audio").glob("*.mp3"))
    assert [name[:5] for name in names] == ["0001-", "0002-", "0003-"]
    assert texts[2][:10] in names[0]
    refused = CliRunner().invoke(main, ["pull", "--near", "0.9", "--live", "--limit", "1"])
    assert (refused.exit_code, "needs --keepers" in refused.stderr) == (2, True)


def edited(text: str, data: Any) -> str:
    letters = list(text)
    for _ in range(data.draw(st.integers(0, 1 + len(text) // 4))):
        place = data.draw(st.integers(0, len(letters)))
        if letters[place:] and data.draw(st.booleans()):
            del letters[place]
        else:
            letters.insert(place, data.draw(st.sampled_from("ab é日\U0001f600")))
    return "".join(letters)


@settings(max_examples=examples(60))
@given(
    bases=st.lists(st.text("ab é日\U0001f600", max_size=40), min_size=1, max_size=12),
    near=st.one_of(st.sampled_from([0.5, 2 / 3, 0.8, 0.9, 1.0]), st.floats(0.5, 1)),
    data=st.data(),
)
def test_no_similar_pair_is_left_out(bases: list[str], near: float, data: Any) -> None:
    texts = sorted([*bases, *(edited(text, data) for text in bases)], key=len)
    found, compared = set[tuple[int, int]](), 0
    for number, ones, others in candidate_pairs(texts, near):
        found |= set(zip(ones.tolist(), others.tolist(), strict=True))
        compared += number
    assert compared == len(texts)
    assert all(one < other for one, other in found)
    for one, other in combinations(range(len(texts)), 2):
        if likeness(texts[one], texts[other]) >= near:
            assert (one, other) in found


def test_lines_of_a_novel_are_linked_as_all_pairs_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many lines of one voice, of which only candidates are compared, in small parts."""
    rng = random.Random(7)
    words = ["the", "rain", "harbour", "had", "stopped", "by", "then", "came", "home", "Bergen", "old", "and", "3", "4"]
    texts = [" ".join(rng.choices(words, k=rng.randrange(4, 30))) for _ in range(150)]
    texts += [text.replace("rain", "snow", 1).replace("home", "back", 1) for text in texts]
    frame = frame_of([("R", text) for text in texts])
    expected = parts_of(hk.takes(frame, near=0.8))
    monkeypatch.setattr(similarity, "_FEW", 10_000)
    assert parts_of(hk.takes(frame, near=0.8)) == expected
    monkeypatch.setattr(similarity, "_FEW", 1)
    monkeypatch.setattr(similarity, "_PAIRS", 50)
    monkeypatch.setattr(candidates, "_CELLS", 100)
    monkeypatch.setattr(candidates, "_TEXTS", 7)
    for dense in (0, 4, 10**9):  # candidates are compared by pairs, by either, or with all texts of their part
        monkeypatch.setattr(similarity, "_DENSE", dense)
        assert parts_of(hk.takes(frame, near=0.8)) == expected
    assert 20 < len(expected) < len(texts)


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_bits_are_counted(words: list[int]) -> None:
    numbers = np.array(words, np.uint64)
    assert added_bits(numbers).tolist() == bit_counts(numbers).tolist() == [word.bit_count() for word in words]
