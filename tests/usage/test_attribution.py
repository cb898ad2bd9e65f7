"""`attribute`: a log joined to a history; no row more, no credit lost, and what is not covered is said."""

from __future__ import annotations

import math
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import histkit as hk
from histkit.usage.attribution import coverage_line, who_column
from tests.conftest import client_of

pytestmark = pytest.mark.filterwarnings("ignore:.* of .* rows .* are in the log")


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    return hk.sample_history(400)


def facts_of(frame: pd.DataFrame) -> dict[str, Any]:
    facts: dict[str, Any] = frame.attrs["histkit"]["attribution"]
    return facts


@pytest.mark.parametrize("seed", range(16))
def test_every_row_has_the_value_of_its_key_and_every_credit_is_counted(seed):
    chance = random.Random(seed)
    rows, extra, copies = chance.randint(0, 60), chance.randint(0, 10), chance.randint(0, 20)
    frame = hk.sample_history(60, seed=3).sample(frac=1, random_state=seed)
    frame.index = pd.Index([f"row {number}" for number in range(60)])
    frame["request_id"] = frame["request_id"].where(pd.Series(np.arange(60) % 7 != 0, index=frame.index))
    known = [key for key in frame["request_id"].head(rows).tolist() if isinstance(key, str)]
    pairs = [(f" {key} ", chance.choice(["web", "app", None])) for key in known]
    pairs += [(f"other{number}", "x") for number in range(extra)]
    pairs += [chance.choice(pairs) for _ in range(copies if pairs else 0)]
    chance.shuffle(pairs)
    log = pd.DataFrame({"request_id": [key for key, _ in pairs], "app": [app for _, app in pairs]}, dtype=object)
    result = hk.attribute(frame, log)
    oracle = {key.strip(): app for key, app in pairs}
    expected = [oracle.get(key) if isinstance(key, str) else None for key in frame["request_id"].tolist()]
    assert [None if pd.isna(app) else app for app in result["app"].tolist()] == expected
    assert result.index.equals(frame.index)
    pd.testing.assert_frame_equal(result.drop(columns="app"), frame)
    facts = facts_of(result)
    matched = [isinstance(key, str) and key in oracle for key in frame["request_id"].tolist()]
    assert facts["rows_matched"] == sum(matched)
    assert facts["credits_matched"] == frame.loc[matched, "credits"].sum()
    assert facts["credits_matched"] + facts["credits_unmatched"] == facts["credits"] == frame["credits"].sum()
    assert facts["rows_without_key"] == frame["request_id"].isna().sum()
    present = set(frame["request_id"].dropna())
    assert facts["log_rows_unmatched"] == sum(key.strip() not in present for key, _ in pairs)
    table = hk.usage_table(result, "app")
    assert table["credits"].sum() == frame["credits"].sum()
    assert table["items"].sum() == len(frame)


def test_a_key_that_stands_twice_with_different_values_is_named(df):
    key = df["request_id"].iloc[5]
    log = pd.DataFrame({"request_id": [key, "b", key], "app": ["web", "x", "app"], "team": ["t", "t", "t"]})
    with pytest.raises(hk.SchemaError, match=f"'request_id' '{key}' twice, with different values of 'app'"):
        hk.attribute(df, log)
    assert hk.attribute(df, log, columns=["team"])["team"].notna().sum() == 1
    equal = log.assign(app="web")
    assert len(hk.attribute(df, equal)) == len(df)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (["a", 1], ["a", 1], True),
        (["a", 1], ["a", 2], False),
        ({"x": {"y": 1}}, {"x": {"y": 1}}, True),
        ({"x": {"y": 1}}, {"x": {"y": None}}, False),
        (["a"], None, False),
        (["a"], "a", False),
        (None, math.nan, True),
    ],
)
def test_nested_values_of_a_key_that_stands_twice_are_compared(df, first, second, same):
    keys = [df["request_id"].iloc[0]] * 2
    log = pd.DataFrame({"request_id": [*keys, "other"], "tags": pd.Series([first, second, ["b"]], dtype=object)})
    if same:
        assert hk.attribute(df.head(1), log)["tags"].iloc[0] == first
    else:
        with pytest.raises(hk.SchemaError, match="twice, with different values of 'tags'"):
            hk.attribute(df.head(1), log)


def test_names_of_the_history_get_a_suffix(df):
    log = df[["request_id", "credits", "voice_id"]].assign(model="m", period="p", customer="c")
    result = hk.attribute(df, log)
    assert facts_of(result)["columns"] == ["credits_log", "voice_id_log", "model_log", "period_log", "customer"]
    assert result["credits"].equals(df["credits"])
    assert hk.attribute(df, log, columns=["credits"], suffix=" (log)")["credits (log)"].sum() == df["credits"].sum()
    with pytest.raises(hk.InputError, match="'credits' would be 'credits_log', which the frame has, too"):
        hk.attribute(result, log)


def test_dtypes_can_be_missing(df):
    log = pd.DataFrame(
        {
            "request_id": df["request_id"].head(3).tolist(),
            "whole": np.arange(3),
            "part": [0.5, 1.5, np.nan],
            "flag": [True, False, True],
            "app": pd.Categorical(["a", "b", "a"]),
            "note": ["x", "y", "z"],
            "at": pd.to_datetime(["2026-10-01"] * 3, utc=True),
        }
    )
    result = hk.attribute(df, log)
    dtypes = result.dtypes.astype(str).to_dict()
    assert (dtypes["whole"], dtypes["part"], dtypes["flag"]) == ("Int64", "Float64", "boolean")
    assert dtypes["app"] == "category"
    assert dtypes["note"] in ("string", "str")
    assert result["whole"].head(3).tolist() == [0, 1, 2]
    assert result[["whole", "flag", "app", "note", "at"]].iloc[3:].isna().all(axis=None)


def test_other_keys(df):
    numbered = df.assign(job=np.arange(len(df)))
    log = pd.DataFrame({"nr": [0.0, 2.0, None], "app": ["a", "b", "c"]})
    result = hk.attribute(numbered, log, on=("job", "nr"))
    assert result["app"].head(3).tolist()[::2] == ["a", "b"]
    assert facts_of(result)["log_rows_unmatched"] == 1
    with pytest.raises(hk.SchemaError, match="The log has no column 'request_id'"):
        hk.attribute(df, log)
    with pytest.raises(hk.SchemaError, match="did you mean 'app'"):
        hk.attribute(numbered, log, on=("job", "nr"), columns=["App"])
    for on in (3, ("a",), ("a", "b", "c"), None):
        with pytest.raises(hk.InputError, match="on="):
            hk.attribute(df, log, on=on)


def test_logs_in_files(df, tmp_path):
    log = pd.DataFrame({"request_id": df["request_id"].head(50), "app": ["web", "app"] * 25})
    log.to_csv(tmp_path / "log.csv", index=False)
    (tmp_path / "semi.csv").write_bytes(b"\xef\xbb\xbf" + log.to_csv(index=False, sep=";").encode())
    log.to_json(tmp_path / "log.jsonl", orient="records", lines=True)
    log.to_parquet(tmp_path / "log.parquet")
    expected = hk.attribute(df, log)["app"].tolist()
    for name in ("log.csv", "semi.csv", "log.jsonl", "log.parquet"):
        assert hk.attribute(df, tmp_path / name)["app"].fillna("").tolist() == [
            "" if pd.isna(x) else x for x in expected
        ]
    with pytest.raises(hk.InputError, match="must end in one of"):
        hk.attribute(df, tmp_path / "log.txt")
    with pytest.raises(hk.ArchiveError, match="can't be read"):
        hk.attribute(df, tmp_path / "absent.csv")
    (tmp_path / "bad.jsonl").write_text('{"request_id": ')
    with pytest.raises(hk.ArchiveError, match="can't be read"):
        hk.attribute(df, tmp_path / "bad.jsonl")


def test_ids_of_files_stay_as_they_are_written(df, tmp_path):
    numbered = df.assign(job=[f"{number:05}" for number in range(len(df))])
    (tmp_path / "log.csv").write_text("job,app\n00001,a\n00002,b\n")
    result = hk.attribute(numbered, tmp_path / "log.csv", on="job")
    assert result["app"].iloc[1:3].tolist() == ["a", "b"]


def test_coverage_is_said(df):
    log = df[["request_id"]].head(100).assign(app="web")
    with pytest.warns(UserWarning, match=r"100 of 400 rows \(25.0 %\) and .* are in the log; 300 rows are assigned to"):
        hk.attribute(df, log)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hk.attribute(df, df[["request_id"]].assign(app="web"))
    nearly = {"rows": 100_000, "rows_matched": 99_999, "credits": None, "log_rows_unmatched": 1}
    assert coverage_line(nearly) == (
        "99,999 of 100,000 rows (99.9 %) are in the log; 1 row is assigned to nobody; 1 row of the log without one."
    )


def test_what_is_made_of_the_new_columns_sums_exactly(df):
    log = df[["request_id"]].iloc[::3].assign(app=pd.Categorical(["web", "app"] * 67), team=pd.NA)
    result = hk.attribute(df, log)
    assert set(hk.usage_table(result, "app")["app"].astype(object).fillna("")) == {"web", "app", ""}
    assert hk.usage_table(result, "team")["credits"].sum() == df["credits"].sum()
    monthly = hk.usage_table(result, ["app", "voice"], "MS", top=1)
    assert monthly["credits"].sum() == df["credits"].sum()
    costs = hk.cost_table(result, "app", prices={"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]})
    assert costs["credits"].sum() == df["credits"].sum()
    labelled = hk.label(result, [{"label": "Acme", "where": {"app": "web"}}], column="payer")
    assert (labelled["payer"] == "Acme").sum() == (result["app"] == "web").sum()
    assert hk.ledger(result, "MS")["seen"].sum() == df["credits"].sum()
    assert len(hk.waste(result, by="app")) >= 1


def test_older_rows_without_a_request_id_are_missing_and_counted(df):
    old = df.assign(request_id=pd.Series([None] * len(df), index=df.index, dtype="string"))
    result = hk.attribute(old, df[["request_id"]].assign(app="web"))
    assert result["app"].isna().all()
    assert facts_of(result)["rows_without_key"] == len(df)
    empty = hk.attribute(df.head(0), df[["request_id"]].assign(app="web"))
    assert empty["app"].tolist() == []
    assert hk.attribute(df, pd.DataFrame({"request_id": [], "app": []}))["app"].isna().all()


def test_the_request_log_tells_who_spent_it(box_of):
    box = box_of(items=800, seed=2)
    with client_of(box) as client:
        frame = hk.read_history(client=client, progress=False)
        log = hk.read_requests(client=client, progress=False)
    result = frame.speech.attribute(log)
    assert facts_of(result)["rows_matched"] == len(frame)
    assert (result["credits_log"] == result["credits"]).all()
    table = hk.usage_table(result, "user_label")
    spent = log[log["request_id"].isin(frame["request_id"])].groupby("user_label", observed=True)["credits"].sum()
    assert dict(zip(table["user_label"], table["credits"], strict=True)) == spent.astype(int).to_dict()
    keys = who_column(log, "api_key")
    assert set(keys.dropna()) == set(log["api_key_name"].dropna())
    shared = log.assign(api_key_name=log["api_key_name"].astype("string").where(log["api_key_name"].isna(), "same"))
    assert who_column(shared, "api_key").nunique() == log["hashed_xi_api_key"].nunique()
    with pytest.raises(hk.SchemaError, match="no column of users"):
        who_column(log[["request_id"]], "user")


def test_a_frame_is_needed(df, tmp_path: Path):
    with pytest.raises(hk.InputError, match="needs a DataFrame"):
        hk.attribute([1], df)
    with pytest.raises(hk.SchemaError, match="several columns named"):
        hk.attribute(df, pd.DataFrame([["a", 1, 2]], columns=["request_id", "x", "x"]))
