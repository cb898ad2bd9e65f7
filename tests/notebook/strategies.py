"""Random filters of the explorer."""

from __future__ import annotations

import datetime
from datetime import UTC
from typing import Any

from hypothesis import strategies as st

from histkit.notebook.filter_state import FilterState

ZONES = st.sampled_from(["UTC", "America/St_Johns", "Asia/Tokyo"])
WORDS = ["", "the", "the clock", "'", '"', "\\", "a.b", "a\\", "\\n", "\\\n", "[", "e\n", "I", "ß", "Σ", "K", "ſ"]


def _seconds(first: datetime.date, last: datetime.date) -> st.SearchStrategy[int]:
    start, end = (int(datetime.datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) for day in (first, last))
    return st.integers(start, end)


def filters(**parts: Any) -> st.SearchStrategy[FilterState]:
    """Return filters that leave rows of a sample history, of any combination."""
    fields: dict[str, Any] = {
        "voice": st.sampled_from([(), ("Rachel",), ("Rachel", "Lucía")]),
        "model": st.sampled_from([(), ("eleven_v3",)]),
        "source": st.sampled_from([(), ("TTS", "STS")]),
        "first": st.none() | st.dates(datetime.date(2025, 1, 1), datetime.date(2025, 12, 1)),
        "last": st.none() | st.dates(datetime.date(2025, 12, 1), datetime.date(2026, 10, 31)),
        "after": st.none() | _seconds(datetime.date(2025, 1, 1), datetime.date(2025, 11, 30)),
        "before": st.none() | _seconds(datetime.date(2025, 12, 3), datetime.date(2026, 10, 31)),
        "text": st.sampled_from(WORDS),
        "pattern": st.just(False),
        "least": st.none() | st.integers(0, 300),
        "most": st.none() | st.integers(300, 1000),
        "shortest": st.none() | st.integers(0, 200),
        "longest": st.none() | st.integers(200, 1000),
    }
    return st.builds(FilterState, **{**fields, **parts})
