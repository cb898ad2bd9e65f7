"""Pictures of usage: what is drawn is what the table says, whatever the names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.plotting.palette import GREY, PALETTE
from histkit.plotting.usage import plot_usage
from tests.effort import examples

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.dates import date2num

pytestmark = pytest.mark.filterwarnings("ignore:The frame has no column 'history_item_id'")

HOSTILE = [
    "$x^2$ and $",
    "_under",
    "さくら",
    "ليلى",
    "Emoji 🎙️ host",
    "line\nbreak",
    "\u202eevil",
    "",
    "   ",
    "a\\$b",
    "x" * 400,
    "%d {0} #",
    "\x00\x07bell",
    "other",
    "all",
    "(no voice)",
]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def frame_of(names: list[str | None], days: int = 20, each: int = 3) -> pd.DataFrame:
    """Make a history of voices, `each` rows a voice."""
    size = len(names) * each
    codes = np.arange(size) % max(len(names), 1)
    ids = [f"id{number:02d}abcdefgh" for number in range(len(names))]
    return pd.DataFrame(
        {
            "date": pd.Timestamp("2026-01-01", tz="UTC")
            + pd.to_timedelta(np.arange(size) * days * 86_400 // size, unit="s"),
            "voice_id": pd.Categorical.from_codes(codes, ids),
            "voice_name": pd.Series([names[code] for code in codes], dtype=object),
            "dialogue": pd.Series([None] * size, dtype=object),
            "characters": pd.array(np.arange(size) + 10, dtype="Int64"),
            "credits": pd.array((codes + 1) * 100, dtype="Int64"),
        }
    )


def drawn(axes: Any) -> None:
    """Draw for real: missing letters and bad mathematics show only then, as warnings, which are errors."""
    axes.figure.canvas.draw()


def bars(axes: Any) -> list[Any]:
    return [bar for container in axes.containers for bar in container]


def legend(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_matplotlib_is_imported_only_when_a_picture_is_drawn() -> None:
    code = "import sys, histkit.plotting.usage; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("measure", ["items", "characters", "credits"])
@pytest.mark.parametrize("freq", ["D", "W", "MS", None])
def test_the_bars_add_up_to_the_total(measure: str, freq: str | None) -> None:
    frame = hk.sample_history(300)
    axes = plot_usage(frame, "voice", freq, measure=measure, kind="bar", tz="Europe/Berlin")
    total = len(frame) if measure == "items" else int(frame[measure].sum())
    assert sum(bar.get_width() if freq is None else bar.get_height() for bar in bars(axes)) == total
    assert any(f"{total:,} {measure}" in text.get_text() for text in axes.texts)
    assert measure in (axes.get_xlabel(), axes.get_ylabel())
    drawn(axes)


def test_month_bars_are_as_wide_as_their_months() -> None:
    frame = frame_of(["Anna"], days=90, each=60)
    axes = plot_usage(frame, None, "MS", kind="bar")
    edges = date2num(np.array(["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"], "datetime64[us]"))
    middles = [bar.get_x() + bar.get_width() / 2 for bar in bars(axes)]
    assert middles == pytest.approx((edges[1:] + edges[:-1]) / 2)
    assert np.diff([bar.get_width() for bar in bars(axes)]) == pytest.approx([-3 * 0.9, 3 * 0.9])


def test_many_periods_are_drawn_as_one_area() -> None:
    frame = frame_of(["Anna", "Ben"], days=400, each=300)
    axes = plot_usage(frame, "voice", "D")
    assert not axes.containers
    assert len(axes.collections) == 2
    drawn(axes)


def test_at_most_nine_groups_are_shown_and_the_rest_is_grey() -> None:
    frame = frame_of([f"Voice {number}" for number in range(14)])
    axes = plot_usage(frame, "voice", "D")
    assert legend(axes)[0] == "other (5)"
    assert legend(axes)[-1] == "Voice 13"
    colours = [to_hex(container[0].get_facecolor()).upper() for container in axes.containers]
    assert colours == [each.upper() for each in (*PALETTE, GREY)]
    flat = plot_usage(frame, "voice", None, top=12)
    assert [label.get_text() for label in flat.get_yticklabels()][-1] == "other (2)"


def test_names_are_short_and_told_apart() -> None:
    names = ["Roger - Laid-Back, Casual", "Anna - Warm", "Anna - Cold", "Narrator", "Narrator"]
    axes = plot_usage(frame_of(list(names)), "voice", "D")
    shown = ["Narrator (id04ab)", "Narrator (id03ab)", "Anna - Cold", "Anna - Warm", "Roger"]
    assert legend(axes)[::-1] == shown


@pytest.mark.parametrize("freq", ["D", None])
def test_hostile_names_are_only_drawn(freq: str | None) -> None:
    for names in (HOSTILE[:9], HOSTILE[9:]):
        axes = plot_usage(frame_of(list(names)), "voice", freq)
        drawn(axes)
        texts = legend(axes) if freq else [label.get_text() for label in axes.get_yticklabels()]
        assert len(texts) == len(set(texts)) == len(names)
        assert all(len(text) < 60 and "\n" not in text for text in texts)


@settings(max_examples=examples(12))
@given(st.lists(st.text(max_size=12), min_size=2, max_size=9))
def test_any_names_can_be_drawn(names: list[str]) -> None:
    try:
        axes = plot_usage(frame_of(list(names)), "voice", "W")
        drawn(axes)
        assert len(set(legend(axes))) == len(names)
    finally:
        plt.close("all")


@pytest.mark.parametrize("freq", ["h", "MS", None])
def test_an_empty_history_says_so(freq: str | None) -> None:
    axes = plot_usage(hk.sample_history(20).iloc[:0], "voice", freq)
    assert "no rows" in [text.get_text() for text in axes.texts]
    drawn(axes)


def test_what_is_unknown_or_left_out_is_said() -> None:
    frame = frame_of(["Anna", "Ben"], each=50)
    frame.loc[:2, "credits"] = pd.NA
    frame.loc[5:6, "date"] = pd.NaT
    said = " ".join(text.get_text() for text in plot_usage(frame, "voice", "D").texts).replace("\n", " ")
    assert "3 % of rows without credits" in said
    assert "2 rows without a date (300 credits) not drawn" in said
    unknown = plot_usage(frame.assign(credits=pd.array([pd.NA] * 100, "Int64")), "voice", "D")
    assert any("credits unknown" in text.get_text() for text in unknown.texts)
    nowhen = plot_usage(frame.assign(date=pd.Series([pd.NaT] * 100, dtype="datetime64[us, UTC]")), "voice", "D")
    assert "no rows with a date" in [text.get_text() for text in nowhen.texts]


def test_it_draws_where_it_is_told_and_returns_that() -> None:
    figure, grid = plt.subplots(1, 2)
    assert plot_usage(hk.sample_history(100), "model", "QS", ax=grid[1]) is grid[1]
    assert plt.get_fignums() == [figure.number]
    drawn(grid[1])


def test_nothing_is_clipped_in_a_figure_of_our_own() -> None:
    frame = frame_of(["A voice of a rather long name", "Ben"] * 5, each=10)
    for freq in ("D", None):
        axes = plot_usage(frame, "voice", freq)
        drawn(axes)
        inside = axes.figure.bbox.padded(1)
        box = axes.get_tightbbox(axes.figure.canvas.get_renderer())
        assert inside.x0 <= box.x0
        assert inside.x1 >= box.x1
        assert inside.y0 <= box.y0
        assert inside.y1 >= box.y1


@pytest.mark.parametrize(
    "arguments",
    [
        {"measure": "euros"},
        {"kind": "pie"},
        {"kind": "area", "freq": None},
        {"top": 0},
        {"top": 41},
        {"freq": "eon"},
        {"tz": "Mars"},
    ],
)
def test_an_argument_that_cannot_be_used_is_named(arguments: dict[str, Any]) -> None:
    with pytest.raises(hk.InputError, match=next(iter(arguments))):
        plot_usage(hk.sample_history(20), **arguments)
    assert not plt.get_fignums()
