"""The explorer at 300,000 rows: the same rows, order and numbers as pandas and the functions of the package."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import histkit as hk
from histkit.notebook.selection import Selection
from histkit.notebook.service import Service
from tests.notebook.test_sorting import comparable

pytestmark = [pytest.mark.faults]
SIZE = 300_000


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    """Return rows in several chunks, shuffled, with ids and dates of their own."""
    rng = np.random.default_rng(0)
    part = hk.sample_history(6_000)
    df = pd.concat([part.sample(frac=1, random_state=place) for place in range(SIZE // len(part))], ignore_index=True)
    df["history_item_id"] = pd.array([f"id{place}" for place in range(SIZE)], df["history_item_id"].dtype)
    df["date"] = df["date"] - pd.to_timedelta(rng.integers(0, 10**6, SIZE), unit="s")
    df.loc[rng.random(SIZE) < 0.02, "credits"] = pd.NA
    return df


@pytest.fixture(scope="module")
def service(df: pd.DataFrame) -> Service:
    return Service(Selection(df, "Europe/Berlin"))


def ask(service: Service, kind: str, **fields: Any) -> dict[str, Any]:
    reply, _ = service.answer({"id": 1, "view": "a", "kind": kind, **fields})
    assert "error" not in reply, reply
    return reply


@pytest.mark.parametrize(
    "keys", [["text"], ["voice_name", "credits"], ["credits", "text"], ["date"], ["source", "text", "history_item_id"]]
)
@pytest.mark.parametrize("descending", [False, True])
def test_the_order_is_that_of_pandas(df: pd.DataFrame, service: Service, keys: list[str], descending: bool) -> None:
    down = [descending != (place % 2 == 1) for place in range(len(keys))]
    sort = [{"key": key, "descending": value} for key, value in zip(keys, down, strict=True)]
    version = ask(service, "query", sort=sort)["version"]
    wanted = comparable(df[keys]).sort_values(keys, ascending=[not value for value in down], kind="stable").index
    assert service.selection.positions.tolist() == wanted.tolist()
    far = ask(service, "rows", version=version, start=SIZE // 2, stop=SIZE // 2 + 60)["rows"]
    assert [row["p"] for row in far] == wanted[SIZE // 2 : SIZE // 2 + 60].tolist()


@pytest.mark.parametrize("text", ["t", "the clock", "ß", "İ", "(", "no such words"])
def test_a_search_finds_what_filter_items_finds(df: pd.DataFrame, service: Service, text: str) -> None:
    reply = ask(service, "query", filters={"text": text})
    wanted = hk.filter_items(df, text=text, regex=False)
    assert reply["count"] == len(wanted)
    assert service.selection.filtered.index.equals(wanted.index)
    narrowed = ask(service, "query", filters={"credits": [50, 200], "source": ["TTS"]})
    part = wanted[wanted["credits"].between(50, 200).fillna(False) & (wanted["source"] == "TTS")]
    assert (narrowed["count"], narrowed["credits"]) == (len(part), int(part["credits"].sum()))
    profile = ask(service, "profiles", keys=["credits"])["profiles"]["credits"]
    others = wanted[wanted["source"] == "TTS"]["credits"]
    assert profile["counts"] == [int(others.between(*pair).sum()) for pair in profile["bounds"]]
    chart = ask(service, "chart", by="model", freq="MS")
    table = hk.usage_table(part, "model", tz="Europe/Berlin")
    assert sum(series["total"] for series in chart["series"]) == int(table["credits"].sum())
    ask(service, "query", filters={"text": "", "credits": [None, None], "source": []})
