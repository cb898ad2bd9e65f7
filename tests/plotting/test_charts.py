"""Hours of the week, quota and takes in pictures: what is drawn is what the tables say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import histkit as hk

mpl.use("Agg")
from matplotlib import pyplot as plt

NOW = pd.Timestamp("2026-10-31T20:00:00Z")
PLAN = {"character_count": 40_000, "character_limit": 90_000, "next_character_count_reset_unix": 1794648600}


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    return hk.sample_history(1500)


def told(axes: Any) -> str:
    """Give all words of a picture, drawn for real."""
    axes.figure.canvas.draw()
    return " ".join([axes.get_title(loc="left"), *(text.get_text() for text in axes.texts)])


@pytest.mark.parametrize("measure", ["items", "characters", "credits"])
@pytest.mark.parametrize("tz", ["UTC", "Asia/Kolkata", "America/St_Johns"])
def test_the_hours_add_up_to_the_total(history: pd.DataFrame, measure: str, tz: str) -> None:
    axes = history.speech.plot_hours(tz=tz, measure=measure)
    drawn = np.asarray(axes.images[0].get_array())
    local = history["date"].dt.tz_convert(tz)
    values = pd.Series(1, history.index) if measure == "items" else history[measure].fillna(0)
    sums = values.groupby([local.dt.day_of_week, local.dt.hour]).sum()
    for (day, hour), expected in sums.items():
        assert drawn[day, hour] == expected
    assert drawn.sum() == values.sum()
    assert f"{int(values.sum()):,} {measure} · clock of {tz}" in told(axes)


def test_rows_without_a_date_are_told_and_not_drawn(history: pd.DataFrame) -> None:
    frame = history.head(100).copy()
    frame.loc[frame.index[:3], "date"] = pd.NaT
    axes = hk.plot_hours(frame)
    assert np.asarray(axes.images[0].get_array()).sum() == 97
    assert "3 rows without a date not drawn" in told(axes)
    assert "no rows with a date" in told(hk.plot_hours(frame.head(3)))


def test_the_quota_shows_what_was_measured_and_where_it_heads(history: pd.DataFrame) -> None:
    days = hk.forecast(history, subscription=PLAN, now=NOW)
    axes = hk.plot_quota(days)
    assert "40,000 of 90,000 credits used" in told(axes)
    assert "plan: 90,000" in told(axes)
    assert axes.get_ylim()[1] > 90_000
    used = next(line for line in axes.lines if line.get_label() == "used, measured")
    assert used.get_ydata()[-1] == 40_000
    median = next(line for line in axes.lines if line.get_label() == "median")
    assert median.get_ydata()[0] == 40_000  # it goes on where the measured line ends
    assert median.get_ydata()[-1] == days["p50"].iloc[-1]


def test_the_day_on_which_credits_run_out_is_marked(history: pd.DataFrame) -> None:
    days = hk.forecast(history, subscription=PLAN | {"character_count": 89_900}, now=NOW)
    assert days.attrs["histkit"]["run_out"]
    words = told(hk.plot_quota(days))
    assert f"runs out on {days.attrs['histkit']['run_out'][:10]}" in words


def test_a_forecast_without_a_plan_or_a_history_can_be_drawn(history: pd.DataFrame) -> None:
    told(hk.plot_quota(hk.forecast(history, subscription={"character_count": 5}, now=NOW)))
    told(hk.plot_quota(hk.forecast(history.head(0), subscription=PLAN, now=NOW)))
    told(history.speech.plot_quota(subscription=PLAN, now=NOW, ax=plt.subplots()[1]))
    loaded = hk.forecast(history, subscription=PLAN, now=NOW)
    loaded.attrs.clear()
    told(hk.plot_quota(loaded))
    assert "no days" in told(hk.plot_quota(loaded.head(0)))


def test_the_takes_show_kept_and_thrown_away(history: pd.DataFrame) -> None:
    table = hk.takes(history)
    axes = hk.plot_takes(table, top=5)
    kept, lost = axes.containers
    sums = table.groupby("line")[["credits", "thrown_away"]].sum().sort_values("thrown_away", ascending=False).head(5)
    assert [bar.get_width() for bar in lost] == sums["thrown_away"].tolist()
    ends = [bar.get_x() + bar.get_width() for bar in lost]
    assert ends == sums["credits"].tolist()
    assert len(kept) == 5
    assert f"{table.attrs['histkit']['lines_with_takes']} texts with several takes" in told(axes)
    assert told(history.speech.plot_takes(top=5)) == told(axes)


def test_hostile_and_foreign_texts_are_only_drawn(history: pd.DataFrame) -> None:
    texts = ["$x^2$", "_under", "さくら", "Emoji 🎙️", "line\nbreak", "\u202eevil", "x" * 400, "a\\$b", "\x00bell"]
    frame = pd.concat([history.head(9).assign(text=texts)] * 2, ignore_index=True)
    frame["history_item_id"] = [f"id{number}" for number in range(18)]
    axes = hk.plot_takes(frame.assign(dialogue=None))
    told(axes)
    assert len(axes.get_yticklabels()) == 9


def test_no_takes_and_no_rows_say_so(history: pd.DataFrame) -> None:
    assert "no rows" in told(hk.plot_takes(history.head(0)))
    single = history[hk.takes(history)["takes"] == 1]
    assert "no text has several takes" in told(hk.plot_takes(single))
    assert "no rows" in told(hk.plot_hours(history.head(0)))


def test_shares_are_those_of_the_whole(history: pd.DataFrame) -> None:
    axes = history.speech.plot_share(by="model", top=3)
    assert sum(bar.get_width() for bar in axes.patches) == history["credits"].sum()


def test_what_can_not_be_drawn_is_named(history: pd.DataFrame) -> None:
    for top in (0, 41, True, "5"):
        with pytest.raises(hk.InputError, match="from 1 to 40"):
            hk.plot_takes(history, top=top)  # type: ignore[arg-type]
    with pytest.raises(hk.InputError, match="measure='cost' is not a measure"):
        hk.plot_hours(history, measure="cost")
    with pytest.raises(hk.SchemaError, match="cumulative"):
        hk.plot_quota(history)
    with pytest.raises(hk.SchemaError, match="date"):
        hk.plot_hours(history.drop(columns="date"))
