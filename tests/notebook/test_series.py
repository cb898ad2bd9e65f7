"""The chart of the explorer has the numbers of the usage table."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.notebook.filter_state import FilterState
from histkit.notebook.selection import Selection
from histkit.notebook.series import TOP
from histkit.notebook.service import Service
from tests.effort import examples
from tests.notebook.strategies import ZONES, filters


def history() -> pd.DataFrame:
    df = hk.sample_history(500)
    df.loc[df.index[::17], "credits"] = pd.NA
    df.loc[df.index[5::31], "date"] = pd.NaT
    df["many"] = pd.Categorical([f"group {place * place % 23}" for place in range(len(df))])
    return df


DF = history()


def chart(service: Service, **fields: Any) -> dict[str, Any]:
    reply, _ = service.answer({"id": 1, "view": "a", "kind": "chart", **fields})
    assert "error" not in reply, reply
    return reply


@settings(max_examples=examples(12))
@given(
    conditions=filters(),
    tz=ZONES,
    by=st.sampled_from(["voice", "model", "source", "many", "model_id"]),
    freq=st.sampled_from(["auto", "D", "W", "MS", "QS", "YS"]),
    measure=st.sampled_from(["credits", "characters", "items"]),
)
def test_the_series_are_those_of_the_usage_table(
    conditions: FilterState, tz: str, by: str, freq: str, measure: str
) -> None:
    service = Service(Selection(DF, tz))
    service.change(filters=conditions)
    rows = conditions.apply(DF, tz)
    reply = chart(service, by=by, freq=freq, measure=measure)
    assert (reply["by"], reply["measure"], reply["version"]) == (by, measure, service.version)
    assert reply["freq"] == freq or freq == "auto"
    table = hk.usage_table(rows, by, reply["freq"], tz=tz)
    total = hk.usage_table(rows, by)
    order = total.assign(known=total[measure].fillna(0)).sort_values("known", ascending=False, kind="stable")
    voices = {label: id_ for label, id_ in table.attrs["histkit"].get("voices", {}).items()}
    assert len(reply["series"]) == min(len(total), TOP + 1)
    if len(total) > TOP:
        assert (reply["series"][-1]["key"], reply["series"][-1]["label"]) == (None, "Other")
    sums = [series["total"] for series in reply["series"][:TOP]]
    assert sums == order["known"].head(TOP).tolist()
    assert sum(series["total"] for series in reply["series"]) == int(total[measure].fillna(0).sum())
    starts = [pd.Timestamp(start, unit="s", tz="UTC") for start in reply["starts"]]
    assert len(starts) == len(reply["periods"]) == len(reply["bounds"]) == len(reply["totals"])
    assert [pd.Timestamp(first) for first, _ in reply["bounds"]] == starts
    dated = table[table["period"].notna()]
    assert set(dated["period"]) <= set(starts)
    named = set()
    for series in reply["series"][:TOP]:
        label = next((name for name, id_ in voices.items() if id_ == series["key"]), series["label"])
        named.add(label)
        cells = dict(
            zip(*(dated.loc[dated[by].astype(str) == label, name] for name in ("period", measure)), strict=True)
        )
        assert series["values"] == [_plain(cells.get(start, 0)) for start in starts]
    if len(total) > TOP:
        rest = dated[~dated[by].astype(str).isin(named)].groupby("period")[measure].sum(min_count=1)
        assert reply["series"][-1]["values"] == [_plain(rest.get(start, 0)) for start in starts]
    by_period = dated.groupby("period")[measure].sum()
    assert [value or 0 for value in reply["totals"]] == [int(by_period.get(start, 0)) for start in starts]


def _plain(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)


def test_what_is_not_drawn_is_said() -> None:
    reply = chart(Service(Selection(DF)), by="voice", freq="MS")
    assert f"{int(DF['date'].isna().sum())} rows without a date" in reply["note"]
    assert f"credits of {int(DF['credits'].isna().sum())} rows not known" in reply["note"]
    assert reply["alt"].startswith("Credits per month by voice, ")
    assert f"{int(DF['credits'].sum()):,}" in reply["alt"]
    empty = chart(Service(Selection(DF.head(0))))
    assert (empty["series"], empty["periods"], empty["alt"]) == ([], [], "Chart without rows.")
    undated = chart(Service(Selection(DF.assign(date=pd.Series(pd.NaT, DF.index, "datetime64[us, UTC]")))))
    assert undated["periods"] == []
    assert "without a date" in undated["note"]


def test_dialogues_that_the_chart_divides_and_a_filter_leaves_out_are_said() -> None:
    service = Service(Selection(DF))
    dialogues = int(DF["dialogue"].notna().sum())
    note = f"{dialogues} dialogues: here they are divided among their voices, a filter by voice leaves them out"
    assert chart(service, by="voice")["note"].endswith(note)
    assert "dialogue" not in chart(service, by="model")["note"]
    voice = chart(service, by="voice")["series"][0]["key"]
    service.change(filters=FilterState(voice=(voice,)))
    assert "dialogue" not in (chart(service, by="voice")["note"] or "")
    one = Service(Selection(DF[DF["dialogue"].notna()].head(1).assign(credits=1)))
    assert "1 dialogue: here it is divided among its voices" in chart(one, by="voice")["note"]


def test_too_many_periods_are_refused_with_what_to_choose() -> None:
    service = Service(Selection(DF))
    reply, _ = service.answer({"id": 1, "view": "a", "kind": "chart", "freq": "h"})
    assert reply["error"] == "The chart would have more than 2,000 hours; choose days."
    for by in ("text", "credits", "nothing", None, 5, ["voice"]):
        reply, _ = service.answer({"id": 1, "view": "a", "kind": "chart", "by": by})
        assert "error" in reply


def test_a_voice_has_one_label_whatever_the_filters() -> None:
    df = DF.copy()
    df["voice_name"] = df["voice_name"].astype("string")
    half = df["date"] < df["date"].median()
    voice = df["voice_id"].value_counts().index[0]
    df.loc[half & (df["voice_id"] == voice), "voice_name"] = "Earlier name"
    service = Service(Selection(df))
    labels = {series["key"]: series["label"] for series in chart(service)["series"]}
    service.change(filters=FilterState(before=int(df["date"].median().timestamp()), voice=(voice,)))
    (series,) = [series for series in chart(service)["series"] if series["key"] == voice]
    assert series["label"] == labels[voice] != "Earlier name"


@pytest.mark.parametrize(("days", "freq"), [(1, "h"), (60, "D"), (500, "W"), (2000, "MS"), (8000, "QS")])
def test_periods_are_as_long_as_fits(days: int, freq: str) -> None:
    first = pd.Timestamp("2000-01-01", tz="UTC")
    df = DF.head(2).assign(date=pd.Series([first, first + pd.Timedelta(days=days)]).astype("datetime64[us, UTC]"))
    assert chart(Service(Selection(df)))["freq"] == freq
