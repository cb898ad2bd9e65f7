"""Dialogues: JSON text that every pandas function takes, the helper that reads it, and the lists of older versions."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import histkit as hk
from histkit.frame.decode import PageDecoder
from histkit.frame.schema import to_frame
from tests.raw_service import row

DF = hk.sample_history(400, seed=3)
LINE = pa.struct([(name, pa.large_string()) for name in ("text", "voice_id", "voice_name")])
FIELDS = ["text", "voice_id", "voice_name"]


def page(*rows: Any) -> dict[str, Any]:
    return {"history": rows, "has_more": False, "last_history_item_id": None}


texts = st.none() | st.text()
lines = st.fixed_dictionaries({name: texts for name in FIELDS}, optional={"emotion": st.integers(), "é": st.text()})
dialogues = st.lists(st.none() | st.lists(lines, max_size=4), max_size=5)


def as_lists(frame: pd.DataFrame) -> pd.Series:
    """Return the dialogues as version 2 had them: an Arrow list of structs."""
    cells = [json.loads(text) if isinstance(text, str) else None for text in frame["dialogue"]]
    return pd.Series(pd.array(cells, dtype=pd.ArrowDtype(pa.list_(LINE))), index=frame.index)


def older_frames() -> dict[str, pd.DataFrame]:
    arrow = as_lists(DF)
    objects = pd.Series([json.loads(x) if isinstance(x, str) else x for x in DF["dialogue"]], DF.index, dtype=object)
    indented = [json.dumps(x, indent=2) if isinstance(x, list) else None for x in objects]
    mixed = pd.concat([DF["dialogue"].iloc[:200].astype(object), arrow.iloc[200:].astype(object)])
    return {
        "Arrow lists": DF.assign(dialogue=arrow),
        "lists of dicts": DF.assign(dialogue=objects),
        "arrays": DF.assign(dialogue=[np.array(x, object) if isinstance(x, list) else None for x in objects]),
        "texts and lists": DF.assign(dialogue=mixed),
        "texts as objects": DF.assign(dialogue=DF["dialogue"].astype(object)),
        "indented texts": DF.assign(dialogue=indented),
    }


@pytest.mark.parametrize("kind", older_frames())
def test_the_dialogues_of_an_older_version_mean_the_same(kind: str, tmp_path: Path) -> None:
    frame = older_frames()[kind]
    pd.testing.assert_frame_equal(hk.dialogue_lines(frame), hk.dialogue_lines(DF))
    pd.testing.assert_frame_equal(hk.speakers(frame), hk.speakers(DF))
    pd.testing.assert_frame_equal(hk.usage_table(frame, "voice", "MS"), hk.usage_table(DF, "voice", "MS"))
    name = hk.dialogue_lines(DF)["voice_name"].iloc[0]
    assert hk.filter_items(frame, speaker=name).index.equals(hk.filter_items(DF, speaker=name).index)
    assert hk.takes(frame)["line"].equals(hk.takes(DF)["line"])
    if kind != "indented texts":
        assert hk.read_parquet(hk.to_parquet(frame, tmp_path / "a.parquet")).equals(DF)
        assert hk.read_csv(hk.to_csv(frame, tmp_path / "a.csv"))["dialogue"].equals(DF["dialogue"])


def test_a_file_of_version_2_is_read_as_text(tmp_path: Path) -> None:
    table = pa.table({"dialogue": pa.array(as_lists(DF).array), "credits": pa.array(DF["credits"])})
    pq.write_table(table.replace_schema_metadata({b"histkit": b'{"schema_version": 2}'}), tmp_path / "a.parquet")
    assert hk.read_parquet(tmp_path / "a.parquet").equals(DF[["dialogue", "credits"]])


@given(dialogues)
@example([[{"text": "\ud83d", "voice_id": "v\udfff", "voice_name": None, "\ud800": ["\ud800"]}]])
@example([[{"text": 'a"},{"text":"b', "voice_id": "\\", "voice_name": "\n\u2028"}], [], None])
def test_the_cell_has_what_the_service_sent_and_the_helper_reads_it(dialogues: list[Any]) -> None:
    rows = [row(k, 1_780_000_000 + k, dialogue=talk) for k, talk in enumerate(dialogues)]
    frame = to_frame([PageDecoder()(json.dumps(page(*rows)).encode()).rows])
    for cell, talk in zip(frame["dialogue"], dialogues, strict=True):
        assert (json.loads(cell) if isinstance(cell, str) else None) == (talk or None)
    read = hk.dialogue_lines(frame)
    spoken = [(k, n, line) for k, talk in enumerate(dialogues) for n, line in enumerate(talk or ())]
    assert read.index.tolist() == [k for k, _, _ in spoken]
    assert read["line"].tolist() == [n for _, n, _ in spoken]
    assert read["history_item_id"].tolist() == [f"id{k}" for k, _, _ in spoken]
    for name in FIELDS:
        sent = [line[name] for _, _, line in spoken]
        clean = [text if text is None else text.encode("utf-8", "replace").decode() for text in sent]
        assert [None if pd.isna(text) else text for text in read[name]] == clean
    lengths = read["text"].str.len().fillna(0).groupby(level=0).sum()
    assert frame["characters"].loc[lengths.index].tolist() == lengths.tolist()


def test_the_helper_has_the_dtypes_of_a_history_on_any_frame() -> None:
    for frame in (DF, DF.iloc[:0], DF[DF["dialogue"].isna()], DF.set_axis(["x"] * len(DF)), DF[["dialogue"]]):
        read = frame.speech.dialogue_lines()
        assert read.dtypes.astype(str).tolist() == ["string", "Int64", "category", "category", "string"]
        assert len(read) == sum(len(json.loads(text)) for text in frame["dialogue"].dropna())
    assert hk.dialogue_lines(DF[["dialogue"]])["history_item_id"].isna().all()
    with pytest.raises(hk.SchemaError, match="'dialogue', which the table of dialogue lines needs"):
        hk.dialogue_lines(DF[["text"]])
    for wrong in ("text", "[1]", '{"text": "a"}', '[{"text": 1}]', "[" * 100_000 + "]" * 100_000):
        with pytest.raises(hk.SchemaError, match="'dialogue' holds no lists of lines") as caught:
            hk.dialogue_lines(DF.assign(dialogue=wrong))
        assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of Dask, on pandas 3.1
def test_everyday_pandas_works_on_the_whole_frame(tmp_path: Path) -> None:
    assert DF["dialogue"].notna().any()

    def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
        pd.testing.assert_frame_equal(left, right, check_dtype=pd.__version__ >= "3")  # pandas 2 reads string[python]

    same(pd.concat([DF, DF]).drop_duplicates(), DF)
    assert pd.concat([DF, DF]).duplicated().sum() == len(DF)
    assert DF.nunique()["dialogue"] == len(set(DF["dialogue"].dropna())) > 1
    assert DF.describe(include="all")["dialogue"]["count"] == DF["dialogue"].notna().sum()
    assert DF.convert_dtypes()["dialogue"].equals(DF["dialogue"])
    assert DF["dialogue"].value_counts().sum() == DF["dialogue"].notna().sum()
    assert DF.sort_values("dialogue")["dialogue"].isna().sum() == DF["dialogue"].isna().sum()
    assert len(DF.groupby("dialogue")) == DF["dialogue"].nunique()
    assert len(DF.merge(DF, on="history_item_id")) == len(DF)
    DF.to_parquet(tmp_path / "a.parquet")
    same(pd.read_parquet(tmp_path / "a.parquet"), DF)
    DF.to_feather(tmp_path / "a.feather")
    same(pd.read_feather(tmp_path / "a.feather"), DF)
    same(pickle.loads(pickle.dumps(DF)), DF)
    DF.to_csv(tmp_path / "a.csv", index=False)
    assert pd.read_csv(tmp_path / "a.csv")["dialogue"].dropna().tolist() == DF["dialogue"].dropna().tolist()
    dd.from_pandas(DF, npartitions=2).to_parquet(tmp_path / "parts")
    again = pd.read_parquet(tmp_path / "parts").reset_index(drop=True)
    assert again["dialogue"].astype(object).equals(DF["dialogue"].astype(object))
    accounts = to_frame(pa.table({"account": pa.nulls(3, pa.dictionary(pa.int32(), pa.large_string()))}))
    dd.from_pandas(accounts, npartitions=2).to_parquet(tmp_path / "accounts")  # of a history without names of accounts
    assert dd.read_parquet(tmp_path / "accounts").compute()["account"].isna().sum() == 3
    assert hk.usage_table(pd.read_parquet(tmp_path / "a.parquet")).equals(hk.usage_table(DF))


def test_alignments_are_the_text_that_was_sent() -> None:
    times = {"characters": ["é"], "character_start_times_seconds": [0.0], "character_end_times_seconds": [0.25]}
    sent = [{"alignment": times, "normalized_alignment": None, "more": [1]}, None]
    body = json.dumps(page(*[row(k, 1_780_000_000, alignments=value) for k, value in enumerate(sent)]), indent=1)
    frame = to_frame([PageDecoder(alignments=True)(body.encode()).rows], alignments=True)
    assert json.loads(frame["alignments"][0]) == sent[0]
    assert " " not in frame["alignments"][0]
    assert pd.isna(frame["alignments"][1])
    assert frame["alignments"].dtype == "string[pyarrow]"
    assert frame.drop_duplicates().equals(frame)
