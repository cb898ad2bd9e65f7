"""Charts in a dozen sizes and styles: texts can be read, none covers another, none leaves the figure."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.plotting.charts import hours_drawing, takes_drawing
from histkit.plotting.usage import usage_drawing
from tests.effort import examples, some
from tests.plotting.measure import drawn_texts, problems
from tests.plotting.test_charts import NOW, PLAN
from tests.plotting.test_usage import frame_of

mpl.use("Agg")
from matplotlib import pyplot as plt

pytestmark = pytest.mark.filterwarnings("ignore:The frame has no column 'history_item_id'")

HISTORY = hk.sample_history(700)
FORECAST = hk.forecast(HISTORY, subscription=PLAN | {"character_count": 86_000}, now=NOW)
FOREIGN = frame_of(
    ["さくら", "ليلى", "Emoji 🎙️ host", "李小龙", "नमस्ते", "한국어 음성", "x" * 400, "$x^2$", "Ben", "_under"]
)
CHARTS: dict[str, Callable[[Any], Any]] = {  # computed once
    "days": usage_drawing(HISTORY),
    "hours": hours_drawing(HISTORY),
    "quota": lambda ax: hk.plot_quota(FORECAST, ax=ax),
    "share": usage_drawing(HISTORY, freq=None, top=10),
    "takes": takes_drawing(HISTORY),
    "foreign names": usage_drawing(FOREIGN.assign(history_item_id=FOREIGN.index.astype(str)), "voice", "W"),
}
SETTINGS = [  # style, inches, rows and columns of axes, layout engine, pixels an inch
    ("default", (8, 6), (2, 2), None, 60),
    ("default", (12, 7), (2, 3), "tight", 50),
    ("ggplot", (14, 3.4), (1, 6), "constrained", 60),
    ("fivethirtyeight", (12, 9), (2, 3), None, 50),
    ("bmh", (3.9, 14), (6, 1), "constrained", 60),
    ("grayscale", (8, 8), (4, 4), None, 80),
    ("dark_background", (16, 6), (3, 2), None, 40),
    ({"figure.facecolor": "none", "axes.facecolor": "none"}, (9, 6), (2, 3), None, 50),
]
MORE_SETTINGS = [
    ("dark_background", (8, 6), (2, 2), "constrained", 60),
    ("dark_background", (8, 8), (3, 2), None, 60),
    ("Solarize_Light2", (9, 9), (3, 3), None, 50),
    ("seaborn-v0_8-poster", (14, 10), (3, 2), "constrained", 40),
    ("classic", (10, 7), (2, 3), None, 60),
    (["dark_background", {"savefig.facecolor": "white"}], (9, 6), (2, 3), None, 50),
]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def drawn(axes: Any) -> None:
    axes.figure.canvas.draw()


def legend_of(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize(
    ("style", "inches", "grid", "layout", "dpi"),
    some([*SETTINGS, *MORE_SETTINGS], *SETTINGS),
)
def test_texts_can_be_read_in_any_style_and_size(
    style: Any, inches: tuple[float, float], grid: tuple[int, int], layout: Any, dpi: int
) -> None:
    with plt.style.context(style):
        figure, grid_axes = plt.subplots(*grid, figsize=inches, layout=layout, dpi=dpi, squeeze=False)
        for axes, draw in zip(grid_axes.flat, CHARTS.values(), strict=False):
            draw(axes)
        for axes in grid_axes.flat[len(CHARTS) :]:
            axes.set_visible(False)
        assert problems(figure) == []
        for axes in grid_axes.flat[: len(CHARTS)]:
            legend = axes.get_legend()
            if legend is not None:
                assert legend.get_window_extent().height < 0.42 * axes.bbox.height


@pytest.mark.parametrize("style", ["default", "dark_background"])
@pytest.mark.parametrize("name", CHARTS)
def test_texts_can_be_read_in_a_figure_of_their_own(name: str, style: str) -> None:
    with plt.style.context([style, {"figure.dpi": 50}]):
        axes = CHARTS[name](None)
        assert problems(axes.figure) == []


def test_the_measure_sees_what_is_wrong() -> None:
    figure = plt.figure(figsize=(2, 2), dpi=50)
    figure.text(0.5, 0.5, "faint", color="#999999")
    figure.text(0.5, 0.53, "over it")
    figure.text(0.9, 0.1, "outside")
    found = problems(figure)
    assert [problem.split()[0] for problem in found] == ["contrast", *[found[1].split()[0], found[2].split()[0]]]
    assert "outside: 'outside'" in found[1]
    assert "common: 'faint' and 'over it'" in found[2]
    assert len(found) == 3
    assert drawn_texts(figure)[0].contrast == pytest.approx(2.85, abs=0.01)  # of #999999 on white


def test_the_legend_of_small_axes_counts_the_groups_that_it_has_no_room_for() -> None:
    frame = frame_of([f"Voice {number}" for number in range(14)])
    axes = hk.plot_usage(frame, ax=plt.subplots(2, 2, figsize=(8, 6), dpi=50)[1][0, 0])
    drawn(axes)
    assert legend_of(axes)[0] == "Voice 13"  # the largest first, in rows
    shown = len(legend_of(axes)) - 1
    assert 4 <= shown < 10
    assert legend_of(axes)[-1] == f"+{10 - shown} more"
    legend = axes.get_legend().get_window_extent()
    data = axes.transData.transform((0, max(bar.get_y() + bar.get_height() for bar in axes.patches)))
    assert data[1] <= legend.y0  # no bar behind it
    colours = [patch.get_facecolor() for patch in axes.get_legend().get_patches()]
    assert len(set(colours)) == shown


def test_long_labels_are_cut_in_their_middle_for_a_narrow_legend() -> None:
    names = [f"A model of a long name, version {number}" for number in range(3)]
    axes = hk.plot_usage(frame_of(names), ax=plt.subplots(figsize=(3, 3), dpi=50)[1])
    drawn(axes)
    assert all("…" in label for label in legend_of(axes))
    assert len(set(legend_of(axes))) == 3


def test_small_axes_show_as_many_bars_as_have_room_and_the_whole_total() -> None:
    frame = frame_of([f"Voice {number}" for number in range(40)])
    for inches, most in ((1.9, 12), (6.0, 31)):
        axes = hk.plot_share(frame, top=30, ax=plt.subplots(figsize=(4, inches), dpi=50)[1])
        drawn(axes)
        assert 2 <= len(axes.patches) <= most
        assert sum(bar.get_width() for bar in axes.patches) == frame["credits"].sum()
    assert len(hk.plot_share(frame, top=30).patches) == 31


def test_a_chart_fits_whatever_size_its_figure_gets() -> None:
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), dpi=50)
    CHARTS["days"](axes[0])
    CHARTS["takes"](axes[1])
    for inches in ((9, 4), (5, 4), (12, 3), (9, 4)):
        figure.set_size_inches(inches)
        assert problems(figure) == []
    restored = pickle.loads(pickle.dumps(figure))
    restored.set_size_inches(6, 5)
    assert problems(restored) == []
    figure.set_layout_engine("constrained")
    assert problems(figure) == []


def test_a_chart_fits_in_subfigures_and_insets() -> None:
    figure = plt.figure(figsize=(9, 4), dpi=50)
    left, right = figure.subfigures(1, 2)
    CHARTS["share"](left.subplots())
    CHARTS["quota"](right.subplots())
    assert problems(figure) == []
    axes = plt.figure(figsize=(9, 6), dpi=50).add_axes((0, 0, 1, 1))
    inset = axes.inset_axes((0.3, 0.3, 0.5, 0.4))
    CHARTS["hours"](inset)
    drawn(axes)
    np.testing.assert_allclose(inset.get_position().bounds, (0.3, 0.3, 0.5, 0.4))


def test_what_the_user_changes_stays() -> None:
    figure, axes = plt.subplots(figsize=(5, 3), dpi=50)
    CHARTS["days"](axes)
    axes.set_title("Mine", loc="left")
    axes.set_ylim(0, 7)
    axes.legend(["one"])
    for inches in ((5, 3), (9, 3)):
        figure.set_size_inches(inches)
        drawn(axes)
        assert axes.get_title(loc="left") == "Mine"
        assert axes.get_ylim() == (0, 7)
        assert legend_of(axes) == ["one"]
    axes.clear()
    axes.plot([1, 2])
    drawn(axes)
    np.testing.assert_allclose(axes.get_position().bounds, axes.get_position(original=True).bounds)


@settings(max_examples=examples(8))
@given(
    start=st.datetimes(pd.Timestamp("1990-01-01"), pd.Timestamp("2040-01-01")),
    days=st.floats(0.5, 5_000),
    inches=st.floats(1.5, 15),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kolkata"]),
)
def test_dates_never_overlap_and_are_those_of_the_clock(start: Any, days: float, inches: float, zone: str) -> None:
    frame = frame_of(["Ben"]).assign(date=pd.to_datetime([start, start, start + pd.Timedelta(days=days)], utc=True))
    figure, axes = plt.subplots(figsize=(inches, 2.5), dpi=40)
    try:
        hk.plot_usage(frame, None, "h" if days < 30 else "D", tz=zone, kind="area", ax=axes)
        assert [problem for problem in problems(figure) if "common" in problem] == []
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert ticks or inches < 2.5
        for tick in ticks:
            moment = pd.Timestamp(mpl.dates.num2date(tick)).tz_convert(zone)
            assert (moment.minute, moment.second) == (0, 0) or len(ticks) < 15
    finally:
        plt.close(figure)


@pytest.mark.parametrize(("width", "hours"), [(14.0, 24), (7.0, 12), (4.0, 6), (2.0, 3)])
def test_the_hours_have_as_many_labels_as_there_is_room_for(width: float, hours: int) -> None:
    axes = hk.plot_hours(HISTORY, ax=plt.subplots(figsize=(width, 3), dpi=50)[1])
    drawn(axes)
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert hours / 2 <= len(labels) <= hours * 2
    assert labels[0] == "00:00"
    assert labels == [f"{place:02.0f}:00" for place in axes.get_xticks()]


def test_three_daily_years_are_drawn_by_week_unless_days_are_asked_for() -> None:
    frame = frame_of(["Anna", "Ben"], days=1095, each=800)
    axes = hk.plot_usage(frame, tz="Europe/Berlin")
    assert axes.get_title(loc="left") == "Credits per week by voice"
    assert any("days drawn by week" in text.get_text() for text in axes.texts)
    weeks = hk.usage_table(frame, None, "W", tz="Europe/Berlin")
    top = axes.collections[-1].get_paths()[0].vertices[:, 1]
    assert top.max() == weeks["credits"].max()
    assert hk.plot_usage(frame, kind="area").get_title(loc="left") == "Credits per day by voice"
    assert hk.plot_usage(frame, None, "h").get_title(loc="left") == "Credits per week"
    month = frame_of(["Anna"], days=40, each=800)
    assert hk.plot_usage(month, None, "h").get_title(loc="left") == "Credits per day"
    assert hk.plot_usage(month, None, "D").get_title(loc="left") == "Credits per day"


def test_up_to_forty_groups_have_a_colour_each() -> None:
    frame = frame_of([f"Voice {number}" for number in range(45)])
    with plt.style.context({"figure.dpi": 40}):
        axes = hk.plot_usage(frame, "voice", "MS", top=40)
        assert len({bars[0].get_facecolor() for bars in axes.containers}) == 41
        assert len(legend_of(axes)) == 41
        assert problems(axes.figure) == []
