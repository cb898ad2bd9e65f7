"""What is no history is refused by an error of histkit, by every function that draws, reports or shows one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest

import histkit as hk

mpl.use("Agg")

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "report": lambda frame: hk.report(frame),
    "statement": lambda frame: hk.statement(frame, "Acme", "2026"),
    "statements": lambda frame: hk.statements(frame, "2026"),
    "plot_usage": hk.plot_usage,
    "plot_share": hk.plot_share,
    "plot_hours": hk.plot_hours,
    "plot_quota": hk.plot_quota,
    "plot_takes": hk.plot_takes,
    "explore": hk.explore,
    "pick_takes": hk.pick_takes,
    "show_usage": hk.show_usage,
}
HISTORY = hk.sample_history(20)
FRAMES: dict[str, Any] = {
    "a Series": HISTORY["text"],
    "a dict": HISTORY.to_dict("list"),
    "a list": HISTORY.to_dict("records"),
    "None": None,
    "a text": "history.parquet",
    "a number": 5,
    "columns of one name": pd.concat([HISTORY, HISTORY[["text", "credits", "date"]]], axis=1),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_what_is_no_frame_of_a_history_is_refused(function: Callable[[Any], Any], frame: Any) -> None:
    with pytest.raises(hk.HistkitError) as caught:
        function(frame)
    assert "\n" not in str(caught.value)
