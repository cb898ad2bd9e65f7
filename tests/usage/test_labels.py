"""Labels: the first rule that matches names a row, in every part of a history alike."""

from __future__ import annotations

import itertools
import json
import pickle
import re
import warnings
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import histkit as hk
from histkit.frame.filters import filter_items
from histkit.frame.names import UnmatchedNameWarning
from histkit.usage.label_rules import Rule, read_rules
from histkit.usage.labels import assign_labels, label

DF = hk.sample_history(250, seed=3).assign(
    account=lambda frame: pd.Categorical(np.where(frame.index % 3 == 0, None, np.where(frame.index % 2, "acme", "own")))
)
TOML = r"""
column = "team"

[[rule]]
label = "Acme"
voice = ["rachel", "w8NcJd3YpLq5TgXv1ZmB"]
after = 2026-01-01

[[rule]]
label = "In house"
source = "tts"
text = '^\W*\w'
before = 2026-10-01T12:00:00Z

[[rule]]
label = "Acme"
account = "acme"
"""


def values(column: str) -> list[str]:
    return sorted(DF[column].dropna().astype(str).unique())


def one_or_more(items: list[str]) -> st.SearchStrategy[Any]:
    return st.sampled_from(items) | st.lists(st.sampled_from(items), min_size=1, max_size=3)


voices = one_or_more([*values("voice_id"), *values("voice_name"), "roger", "nobody"])
instants = st.sampled_from(DF["date"].tolist())
conditions = {
    "voice": voices,
    "speaker": voices,
    "model": one_or_more(values("model_id")),
    "source": one_or_more([*values("source"), "tts"]),
    "text": st.sampled_from([r"chapter \d+", "the", r"^\W", "ü|ö", "(?=x)y", re.compile("The")]),
    "account": one_or_more(["acme", "own", "ACME"]),
}
rule_sets = st.lists(
    st.tuples(
        st.sampled_from(["Acme", "In house", "Ümläut 🚀", "nan", " x "]),
        st.fixed_dictionaries({}, optional={**conditions, "after": instants}).filter(bool),
    ).map(lambda pair: {"label": pair[0], **pair[1]}),
    min_size=1,
    max_size=5,
)


def by_hand(frame: pd.DataFrame, rules: list[dict[str, Any]]) -> list[str]:
    """Label by filtering the whole frame once for each rule, the last rule first."""
    found = pd.Series("unassigned", index=range(len(frame)), dtype=object)
    frame = frame.reset_index(drop=True)
    for rule in reversed(rules):
        wanted = {key: value for key, value in rule.items() if key not in ("label", "account")}
        rows = filter_items(frame, **wanted)
        accounts = rule.get("account")
        if accounts is not None:
            rows = rows[rows["account"].isin([accounts] if isinstance(accounts, str) else accounts)]
        found[rows.index] = rule["label"]
    return found.tolist()


@pytest.mark.filterwarnings("ignore:.* match(es)? no")
@given(rule_sets, st.integers(0, 250))
def test_labels_are_those_of_filtering_rule_by_rule(rules: list[dict[str, Any]], rows: int) -> None:
    frame = DF.iloc[:rows]
    before = frame.copy(deep=True)
    labelled = label(frame, rules)
    assert labelled["client"].astype(object).tolist() == by_hand(frame, rules)
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_frame_equal(labelled.drop(columns="client"), frame)
    counts = labelled.attrs["histkit"]["labels"]
    assert list(counts) == [*dict.fromkeys(rule["label"] for rule in rules), "unassigned"]
    assert counts == {name: int((labelled["client"] == name).sum()) for name in counts}
    assert all(type(count) is int for count in counts.values())


@pytest.mark.filterwarnings("ignore:.* match(es)? no")
@given(rule_sets, st.integers(1, 3), st.randoms(use_true_random=False))
def test_parts_of_a_history_agree_with_the_whole(rules: list[dict[str, Any]], parts: int, random: Any) -> None:
    part_of = np.array([random.randrange(parts) for _ in range(len(DF))])
    whole = label(DF, rules)
    done = [label(DF[part_of == part], rules) for part in range(parts)]
    assert all(each["client"].dtype == whole["client"].dtype for each in done)
    pd.testing.assert_series_equal(pd.concat([each["client"] for each in done]).sort_index(), whole["client"])


def test_the_first_rule_that_matches_wins() -> None:
    rules = [
        {"label": "b", "text": "the"},
        {"label": "a", "text": "."},
        {"label": "b", "voice": values("voice_id")[::2]},
    ]
    labelled = label(DF, rules, column="who", unassigned="(rest)")
    assert labelled["who"].cat.categories.tolist() == ["b", "a", "(rest)"]
    assert not labelled["who"].cat.ordered
    the = DF["history_item_id"].isin(filter_items(DF, text="the")["history_item_id"])
    assert (labelled["who"][the] == "b").all()
    assert set(labelled["who"][~the]) == {"a", "b", "(rest)"}


def test_a_file_a_dict_and_a_list_say_the_same(tmp_path: Path) -> None:
    path = tmp_path / "clients.toml"
    path.write_bytes(b"\xef\xbb\xbf" + TOML.replace("\n", "\r\n").encode())
    rules = [
        {"label": "Acme", "voice": ("rachel", "w8NcJd3YpLq5TgXv1ZmB"), "after": date(2026, 1, 1)},
        {
            "label": "In house",
            "source": ["tts"],
            "text": r"^\W*\w",
            "before": datetime(2026, 10, 1, 12, tzinfo=UTC),
        },
        {"label": "Acme", "account": "acme"},
    ]
    read = read_rules(path)
    assert read[0] == "team"
    assert read == read_rules(str(path)) == read_rules({"column": "team", "rule": rules})
    assert read_rules(rules) == ("client", read[1])
    assert read[1][2] == Rule("Acme", account=("acme",))
    assert read[1][0].conditions() == {"voice": ("rachel", "w8NcJd3YpLq5TgXv1ZmB"), "after": date(2026, 1, 1)}
    pd.testing.assert_frame_equal(label(DF, path), label(DF, rules, column="team"))
    assert set(label(DF, path)["team"]) == {"Acme", "In house", "unassigned"}


def test_a_rule_cannot_be_changed_and_can_be_sent_to_another_process() -> None:
    rule = read_rules([{"label": "Acme", "text": re.compile("^a"), "voice": "Rachel"}])[1][0]
    with pytest.raises(AttributeError):
        rule.label = "x"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(rule)) == rule


def test_the_index_the_order_and_the_facts_stay() -> None:
    frame = DF.head(30).set_axis([5] * 30)
    frame.attrs = {"mine": [1], "histkit": {"complete": True, "labels": {"old": 1}}}
    labelled = label(frame, [{"label": "Acme", "voice": "Rachel"}])
    assert labelled.index.tolist() == [5] * 30
    assert labelled.columns.tolist() == [*DF.columns, "client"]
    assert labelled["history_item_id"].tolist() == frame["history_item_id"].tolist()
    assert frame.attrs == {"mine": [1], "histkit": {"complete": True, "labels": {"old": 1}}}
    acme = int((labelled["client"] == "Acme").sum())
    facts = {"complete": True, "labels": {"Acme": acme, "unassigned": 30 - acme}}
    rules = labelled.attrs["histkit"]["rules"]
    assert labelled.attrs == {"mine": [1], "histkit": {**facts, "rules": rules}}
    assert set(rules) == {"client"}
    other = label(frame, [{"label": "Acme", "voice": "Roger"}], column="team").attrs["histkit"]["rules"]
    assert other["team"] != rules["client"]


def test_labelling_again_replaces_the_label() -> None:
    once = label(DF, [{"label": "Acme", "voice": "Rachel"}])
    twice = label(once, [{"label": "All", "text": "."}])
    assert twice["client"].cat.categories.tolist() == ["All", "unassigned"]
    assert twice.columns.tolist() == once.columns.tolist()


def messages(frame: pd.DataFrame, rules: Any) -> list[str]:
    """Return the warnings of labelling, which are all on names and point at the caller."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        label(frame, rules)
    assert {(warning.category, warning.filename) for warning in caught} <= {(UnmatchedNameWarning, __file__)}
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ({"voice": "Rachl"}, "voice='Rachl' matches no voice; did you mean 'Rachel'?"),
        ({"voice": ["Rachel", "Rachl"]}, "voice='Rachl' matches no voice; did you mean 'Rachel'?"),
        ({"speaker": "Rachl", "text": "a"}, "speaker='Rachl' matches no voice; did you mean 'Rachel'?"),
        ({"model": "elven_v3"}, "model='elven_v3' matches no model; did you mean 'eleven_v3'"),
        ({"source": ("TTS", "TTTS")}, "source='TTTS' matches no source; did you mean 'TTS'"),
        ({"account": "acmee"}, "account='acmee' matches no account; did you mean 'acme'?"),
        ({"voice": values("voice_id")[0].swapcase()}, "Ids keep their letter case."),
    ],
    ids=str,
)
def test_a_mistyped_name_in_a_rule_is_warned_of_once(conditions: dict[str, Any], words: str, tmp_path: Path) -> None:
    rules = [{"label": "Acme", **conditions}, {"label": "again", **conditions}]
    (message,) = messages(DF, rules)
    assert message.startswith("rules: rule 'Acme': ")
    assert words in message
    path = tmp_path / "clients.toml"
    lines = [f"{name} = {list(value) if isinstance(value, tuple) else value!r}" for name, value in conditions.items()]
    path.write_text("\n".join(["[[rule]]", "label = 'Acme'", *lines]), "utf-8")
    assert messages(DF, path) == [message.replace("rules:", f"{path}:", 1)]
    assert messages(DF.iloc[:0], path) == []


def test_names_that_are_close_to_none_are_one_line() -> None:
    absent = [{"label": "a", "voice": "Nobody at all"}, {"label": "b", "voice": "aaaaaaaaaaaaaaaaaaa1"}]
    assert messages(DF, absent[:1]) == [
        "rules: 1 name matches none of the rows: voice='Nobody at all' (rule 'a'). Check its spelling."
    ]
    both = (
        "rules: 2 names match none of the rows: voice='Nobody at all' (rule 'a'), voice='aaaaaaaaaaaaaaaaaaa1' "
        "(rule 'b'). Check their spelling."
    )
    assert messages(DF, absent) == [both]
    (close, rest) = messages(DF, [*absent, {"label": "c", "voice": "Rachl"}])
    assert (close.endswith("did you mean 'Rachel'?"), rest) == (True, both)
    (many,) = messages(DF, [{"label": "a", "speaker": [f"{place}" * 9 for place in range(1, 9)]}])
    assert many.startswith("rules: 8 names match none of the rows: speaker='111111111' (rule 'a'), speaker='222222222'")
    assert many.endswith("speaker='555555555' (rule 'a') and 3 more. Check their spelling.")
    assert messages(DF.iloc[:0], absent) == []


def test_another_number_of_a_name_is_not_used_yet_and_no_mistake() -> None:
    rules = [{"label": "a", "voice": "Roger 2"}, {"label": "b", "model": "eleven_v9"}]
    (message,) = messages(DF, rules)
    assert message == (
        "rules: 2 names match none of the rows: voice='Roger 2' (rule 'a'; did you mean 'Roger'?), model='eleven_v9' "
        "(rule 'b'; did you mean 'eleven_v3'?). Check their spelling."
    )


def test_a_name_that_is_in_other_rows_is_no_mistake() -> None:
    """A part of a frame keeps the categories of the whole."""
    every = [{"label": name, "model": name} for name in values("model_id")]
    every += [{"label": name, "voice": name} for name in values("voice_name")]
    for row in range(0, len(DF), 40):
        assert messages(DF.iloc[row : row + 1], every) == []


@given(
    st.sampled_from(["TTS", "STS", "Projects", "PD", "Dubbing", "PlayAPI", "ConvAI", "InVPC", "flows", "voicepreview"])
)
def test_a_source_of_the_documentation_is_never_mistyped(source: str) -> None:
    assert messages(DF[DF["source"] == "TTS"].astype({"source": str}), [{"label": "Acme", "source": source}]) == []


def test_an_empty_frame_gets_the_same_column() -> None:
    rules = [{"label": "Acme", "voice": "Rachel", "account": "acme"}, {"label": "x", "speaker": "Rachel", "text": "a"}]
    empty = label(DF.iloc[:0], rules)
    assert empty["client"].dtype == label(DF, rules)["client"].dtype
    assert empty.attrs["histkit"]["labels"] == {"Acme": 0, "x": 0, "unassigned": 0}


@pytest.mark.parametrize(
    ("column", "rule"),
    [
        ("account", {"account": "acme"}),
        ("voice_id", {"voice": "Rachel"}),
        ("voice_name", {"speaker": "Rachel"}),
        ("dialogue", {"speaker": "Rachel"}),
        ("model_id", {"model": "eleven_v3"}),
        ("source", {"source": "TTS"}),
        ("text", {"text": "a"}),
        ("date", {"before": "2026-01-01"}),
    ],
)
def test_a_column_that_a_rule_needs_is_named_whatever_the_rows(column: str, rule: dict[str, Any]) -> None:
    rules = (
        [{"label": "all", "text": ""}, {"label": "Acme", **rule}] if column != "text" else [{"label": "Acme", **rule}]
    )
    for frame in (DF, DF.iloc[:0]):
        with pytest.raises(hk.SchemaError, match=f"'{column}'"):
            label(frame.drop(columns=column), rules)


def test_only_the_columns_of_the_rules_are_needed() -> None:
    frame = DF[["voice_id", "voice_name"]]
    assert label(frame, [{"label": "Acme", "voice": "Rachel"}]).columns.tolist() == ["voice_id", "voice_name", "client"]


GOOD = {"label": "Acme", "voice": "Rachel"}


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([], ["no rule", "[[rule]]"]),
        ({}, ["no rule"]),
        (7, ["rules=", "7"]),
        (None, ["rules="]),
        (b"rules.toml", ["rules="]),
        ({"rule": GOOD}, ["[[rule]]", "two brackets"]),
        ({"rules": [GOOD]}, ["'rules'", "[[rule]]"]),
        ({"column": 3, "rule": [GOOD]}, ["column", "3"]),
        ({"column": " ", "rule": [GOOD]}, ["column"]),
        ({"column": "text", "rule": [GOOD]}, ["'text'", "another name"]),
        (["Acme"], ["rule 1", "table", "'Acme'"]),
        ([GOOD, {"voice": "Rachel"}], ["rule 2", "label"]),
        ([GOOD, {"label": "", "voice": "Rachel"}], ["rule 2", "label", "''"]),
        ([GOOD, {"label": 5, "voice": "Rachel"}], ["rule 2", "label", "5"]),
        ([GOOD, {"label": "Ads\nand more"}], ["rule 2 ('Ads\\nand more')", "no condition", "voice"]),
        ([{**GOOD, "voices": "x"}], ["rule 1 ('Acme')", "'voices'", "voice, model"]),
        ([{**GOOD, 3: "x"}], ["rule 1 ('Acme')", "3"]),
        ([{**GOOD, "voice": 3}], ["rule 1 ('Acme')", "voice", "3"]),
        ([{**GOOD, "voice": []}], ["rule 1 ('Acme')", "voice", "[]"]),
        ([{**GOOD, "model": ["a", 1]}], ["rule 1 ('Acme')", "model"]),
        ([{**GOOD, "source": {"a": 1}}], ["rule 1 ('Acme')", "source"]),
        ([{**GOOD, "account": None}], ["rule 1 ('Acme')", "account", "None"]),
        ([{**GOOD, "text": "chapter ("}], ["rule 1 ('Acme')", "'chapter ('", "regular expression"]),
        ([{**GOOD, "text": "a{99999999999999999999}"}], ["rule 1 ('Acme')"]),
        ([{**GOOD, "text": "(" * 5000 + ")" * 5000}], ["rule 1 ('Acme')"]),
        ([{**GOOD, "text": 3}], ["rule 1 ('Acme')", "text", "3"]),
        ([{**GOOD, "text": re.compile(b"x")}], ["rule 1 ('Acme')", "text"]),
        ([{**GOOD, "text": None}], ["rule 1 ('Acme')", "text", "None"]),
        ([{**GOOD, "after": "noon"}], ["rule 1 ('Acme')", "after", "'noon'"]),
        ([{**GOOD, "after": 2026}], ["rule 1 ('Acme')", "after", "2026"]),
        ([{**GOOD, "before": True}], ["rule 1 ('Acme')", "before", "True"]),
        ([{**GOOD, "before": None}], ["rule 1 ('Acme')", "before", "None"]),
        ([{**GOOD, "after": "2026-02-01", "before": "2026-01-01"}], ["rule 1 ('Acme')", "later"]),
        ([{**GOOD, "dialogues": "some"}], ["rule 1 ('Acme')", "'any', 'most'", "'some'"]),
        ([{**GOOD, "dialogues": True}], ["rule 1 ('Acme')", "'any', 'most'", "True"]),
        ([{**GOOD, "dialogues": 0}], ["rule 1 ('Acme')", "above 0", "0"]),
        ([{**GOOD, "dialogues": 1.5}], ["rule 1 ('Acme')", "up to 1", "1.5"]),
        ([{**GOOD, "dialogues": float("nan")}], ["rule 1 ('Acme')", "nan"]),
        ([{"label": "Acme", "model": "x", "dialogues": "any"}], ["rule 1 ('Acme')", "voice =", "missing"]),
        ([{"label": "Acme", "dialogues": "any"}], ["rule 1 ('Acme')", "no condition"]),
        ([{**GOOD, "where": "web"}], ["rule 1 ('Acme')", "where = {"]),
        ([{**GOOD, "where": {}}], ["rule 1 ('Acme')", "where = {"]),
        ([{**GOOD, "where": {"app": []}}], ["rule 1 ('Acme')", "'app'", "[]"]),
        ([{**GOOD, "where": {"app": 1.5}}], ["rule 1 ('Acme')", "'app'", "1.5"]),
        ([{**GOOD, "where": {"app": {"a": 1}}}], ["rule 1 ('Acme')", "'app'"]),
        ([{**GOOD, "where": {3: "web"}}], ["rule 1 ('Acme')", "3"]),
        ([{**GOOD, "app": "web"}], ["rule 1 ('Acme')", "where = { column = 'value' }"]),
    ],
)
def test_a_rule_that_cannot_be_used_is_one_clear_line(rules: Any, words: list[str]) -> None:
    for read in (read_rules, lambda rules: label(DF.iloc[:0], rules)):
        with pytest.raises(hk.InputError) as caught:
            read(rules)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500
        for word in words:
            assert word in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[[rule]\nlabel = 'x'", ["is not TOML", "line 1"]),
        (b"[[rule]]\nlabel = 'x'\nlabel = 'y'", ["is not TOML"]),
        (b"[[rule]]\nlabel = 'x'\ntext = \"\\d\"", ["is not TOML", "single"]),
        (b"x = " + b"[" * 100_000, ["is not TOML"]),
        ("[[rule]]\nlabel = 'Müller'".encode("latin-1"), ["is not UTF-8"]),
        ("[[rule]]".encode("utf-16"), ["is not UTF-8"]),
        (b"", ["no rule"]),
        (b"[rule]\nlabel = 'x'\nvoice = 'y'", ["two brackets"]),
        (b"[[rule]]\nlabel = 'x'\nvoice = 'y'\n[[rule]]\nlabel = 'z'\nafter = 12:30:00", ["rule 2 ('z')", "after"]),
        (b"[[rule]]\nlabel = 'x'\n[rule.voice]\nname = 'y'", ["rule 1 ('x')", "voice"]),
    ],
)
def test_a_broken_file_is_named_on_one_line(tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / "clients.toml"
    path.write_bytes(content)
    with pytest.raises(hk.InputError) as caught:
        read_rules(path)
    assert "\n" not in str(caught.value)
    for word in [str(path), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", ["none.toml", "", "two\nlines.toml", "zero\x00byte"])
def test_a_file_that_is_not_there_is_named_on_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(hk.InputError) as caught:
        read_rules(f"{tmp_path}/{name}")
    assert "\n" not in str(caught.value)
    assert str(tmp_path)[:40] in str(caught.value)  # a long one is cut


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"column": ""}, ["column="]),
        ({"column": 3}, ["column=", "3"]),
        ({"column": "credits"}, ["column=", "'credits'"]),
        ({"column": "missing_since"}, ["column=", "'missing_since'"]),
        ({"unassigned": None}, ["unassigned=", "None"]),
        ({"unassigned": ""}, ["unassigned="]),
        ({"unassigned": "Acme"}, ["unassigned=", "'Acme'"]),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(hk.InputError) as caught:
        label(DF, [GOOD], **options)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    "word", ["voice", "speaker", "model", "source", "items", "characters", "credits", "period", "date", "account"]
)
def test_a_word_that_usage_tables_understand_is_no_name_of_a_column(word: str) -> None:
    rules = [{"label": "Acme", "voice": "Rachel"}]
    for call in (
        lambda: label(DF, rules, column=word),
        lambda: label(DF, {"column": word, "rule": rules}),
        lambda: read_rules({"column": word, "rule": rules}),
    ):
        with pytest.raises(hk.InputError, match=f"'{word}'.*choose another name") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ["client", "project", "Voice", "voices", "other", "team"])
def test_usage_sees_a_column_of_labels(word: str) -> None:
    labelled = label(DF, [{"label": "Acme", "voice": "Rachel"}], column=word)
    table = hk.usage_table(labelled, word)
    assert set(table[word]) == set(labelled[word].unique())


@pytest.mark.parametrize("where", ["argument", "rules"])
def test_the_days_of_rules_are_those_of_tz(where: str) -> None:
    rules: dict[str, Any] = {
        "rule": [{"label": "New", "after": "2026-09-01"}, {"label": "Old", "before": date(2026, 9, 1)}],
        **({"tz": "Europe/Berlin"} if where == "rules" else {}),
    }
    rows = DF.head(2).assign(
        date=pd.to_datetime(["2026-08-31T21:59:59Z", "2026-08-31T22:30:00Z"]).astype(DF["date"].dtype)
    )
    labelled = label(rows, rules, tz="UTC" if where == "rules" else "Europe/Berlin")
    assert labelled["client"].tolist() == ["Old", "New"]
    assert label(rows, {"rule": rules["rule"]})["client"].tolist() == ["Old", "Old"]
    with pytest.raises(hk.InputError, match="tz='Mars' is not a time zone"):
        label(rows, {**rules, "tz": "Mars"})


def dialogue_frame(*dialogues: list[tuple[str, str]] | None) -> pd.DataFrame:
    cells = [
        None
        if lines is None
        else json.dumps([{"text": text, "voice_id": f"{name}-id", "voice_name": name} for name, text in lines])
        for lines in dialogues
    ]
    frame = DF[DF["dialogue"].isna()].head(len(cells)).reset_index(drop=True)
    own = [None if cell else "Ann" for cell in cells]
    return frame.assign(dialogue=pd.Series(cells, dtype=DF["dialogue"].dtype), voice_id=None, voice_name=own)


def shared(frame: pd.DataFrame, dialogues: Any, voice: Any = "ann") -> list[int]:
    rows = assign_labels(frame, read_rules([{"label": "Acme", "voice": voice, "dialogues": dialogues}])[1])
    return np.flatnonzero(rows["client"] == "Acme").tolist()


def test_dialogues_belong_to_a_voice_by_its_share_of_the_characters() -> None:
    frame = dialogue_frame(
        None,
        [("Ann", "x" * 6), ("Bob", "x" * 4)],
        [("Ann", "x" * 5), ("Bob", "x" * 5)],
        [("Ann", "x"), ("Bob", "x" * 8), ("Ann", "xx"), ("Cy", "x" * 9)],
        [("Ann", ""), ("Bob", "x")],
        [("Bob", "x")],
    )
    assert label(frame, [{"label": "Acme", "voice": "Ann"}])["client"].eq("Acme").tolist() == [True] + [False] * 5
    assert shared(frame, "any") == [0, 1, 2, 3]
    assert shared(frame, "most") == [0, 1]
    assert shared(frame, 0.5) == [0, 1, 2]
    assert shared(frame, 0.15) == [0, 1, 2, 3]
    assert shared(frame, 0.150001) == [0, 1, 2]
    assert shared(frame, 1) == [0]
    assert shared(frame, "most", ["ann", "Bob-id"]) == [0, 1, 2, 3, 4, 5]
    order = [{"label": name, "voice": name, "dialogues": "any"} for name in ("Bob", "Ann")]
    assert label(frame, order)["client"].tolist() == ["Ann", "Bob", "Bob", "Bob", "Bob", "Bob"]


lines_of_dialogues = st.lists(
    st.none()
    | st.lists(st.tuples(st.sampled_from(["Ann", "Bob", "Cy"]), st.text("xy ", max_size=6)), min_size=1, max_size=5),
    min_size=1,
    max_size=6,
)


@given(
    dialogues=lines_of_dialogues, share=st.sampled_from(["any", "most"]) | st.floats(0.01, 1).map(lambda x: round(x, 2))
)
def test_the_share_of_a_dialogue_is_that_of_usage(dialogues: Any, share: Any) -> None:
    frame = dialogue_frame(*dialogues)
    found = {name: set(shared(frame, share, name)) for name in ("Ann", "Bob", "Cy")}
    for row in range(len(frame)):
        # 10,000 credits: the parts of usage are the shares, to a unit
        part = frame.iloc[[row]].assign(credits=10_000)
        table = hk.usage_table(part, "voice")
        usage = {str(voice): credits for voice, credits in zip(table["voice"], table["credits"], strict=True)}
        for name in found:
            mine, limit = int(usage.get(name, 0)), {"any": 1, "most": 5001}.get(share) or round(share * 10_000)
            if abs(mine - limit) > 1:
                assert (row in found[name]) == (mine >= limit)
    if share == "most" or (not isinstance(share, str) and share > 0.5):
        assert not any(found[one] & found[other] for one, other in itertools.combinations(found, 2))


def test_a_voice_that_only_speaks_in_dialogues_is_known_to_rules_with_dialogues() -> None:
    frame = dialogue_frame(None, [("Bob", "x")])
    rule = {"label": "Acme", "voice": "Bob"}
    assert messages(frame, [{**rule, "dialogues": "any"}]) == []
    assert len(messages(frame, [rule])) == 1
    with_typo = messages(frame, [{"label": "Acme", "voice": "Bobb", "dialogues": "any"}])
    assert with_typo == ["rules: rule 'Acme': voice='Bobb' matches no voice; did you mean 'Bob'?"]


LOGGED = DF.head(8).assign(
    app=pd.Categorical(["web", "mobile", "tv", None] * 2),
    project=[1.0, 2.0, np.nan, 1.0] * 2,
    test=pd.array([True, False, None, True] * 2, "boolean"),
    key=pd.array(["1", "2", None, "x"] * 2, "string[pyarrow]"),
)


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ({"app": ["web", "mobile"]}, [0, 1, 4, 5]),
        ({"app": "tv"}, [2, 6]),
        ({"project": 1}, [0, 3, 4, 7]),
        ({"test": True}, [0, 3, 4, 7]),
        ({"key": "1"}, [0, 4]),
        ({"app": ["web"], "project": [1, 2], "test": True}, [0, 4]),
    ],
)
def test_other_columns_are_conditions_by_exact_values(where: dict[str, Any], rows: list[int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labelled = label(LOGGED, [{"label": "Acme", "where": where}])
    assert np.flatnonzero(labelled["client"] == "Acme").tolist() == rows
    with_voice = label(LOGGED, [{"label": "Acme", "where": where, "after": "1990-01-01", "before": "1990-02-01"}])
    assert not with_voice["client"].eq("Acme").any()


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"app": "wbe"}, "rules: rule 'Acme': app='wbe' matches no value; did you mean 'web'?"),
        ({"app": ["web", "Mobile"]}, "rules: rule 'Acme': app='Mobile' matches no value; did you mean 'mobile'?"),
        ({"project": 77}, "rules: 1 name matches none of the rows: project=77 (rule 'Acme'). Check its spelling."),
        ({"test": 1}, "rules: 1 name matches none of the rows: test=1 (rule 'Acme'). Check its spelling."),
        ({"key": 1}, "rules: rule 'Acme': key=1 matches no value; did you mean '1'?"),
    ],
)
def test_a_value_that_no_row_has_is_warned_of(where: dict[str, Any], message: str) -> None:
    assert messages(LOGGED, [{"label": "Acme", "where": where}]) == [message]


def test_a_column_that_is_not_there_is_named_with_a_close_one() -> None:
    with pytest.raises(hk.SchemaError, match=r"no column 'ap', which the rule for 'Acme' needs\. Did you mean 'app'\?"):
        label(LOGGED, [{"label": "Acme", "where": {"ap": "web"}}])
    with pytest.raises(hk.SchemaError, match="no column 'app'"):
        label(DF.head(0), [{"label": "Acme", "where": {"app": "web"}}])


def test_the_new_conditions_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text("""
        [[rule]]
        label = "Acme"
        voice = "Rachel"
        dialogues = 0.3
        [[rule]]
        label = "Web"
        where = { app = ["web", "mobile"], project = 1 }
    """)
    rules = read_rules(path)[1]
    assert rules[0].conditions() == {"voice": ("Rachel",), "dialogues": Fraction(3, 10)}
    assert rules[1].conditions() == {"where": (("app", ("web", "mobile")), ("project", (1,)))}
    assert pickle.loads(pickle.dumps(rules)) == rules
    assert label(LOGGED, path)["client"].eq("Web").sum() == 2
