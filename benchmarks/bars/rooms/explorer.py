"""The bars of the explorer's state: filters, and what its views ask for, without a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from benchmarks.bars import Bar, data
from histkit.notebook.explorer import explore

ROWS = 1_000_000
AIM = 0.3  # seconds
WORDS = "the clock"
VOICES = ["Rachel", "Narrator"]
FIRST, LAST = "2025-06-01", "2026-05-31"
LEAST, MOST = 50, 400


def _filtered(folder: str, **filters: Any) -> Iterator[int]:
    """Set filters as a view does, and take the frame of the rows that pass."""
    explorer = explore(data.frame(folder, ROWS))
    _ask(explorer.service, "open")
    yield 0
    _ask(explorer.service, "query", filters=filters)
    yield len(explorer.filtered)


def _by_hand(folder: str, mask: Callable[[pd.DataFrame], Any]) -> Iterator[int]:
    df = data.frame(folder, ROWS)
    yield 0
    yield len(df[mask(df)])


def _ask(service: Any, kind: str, **fields: Any) -> Any:
    reply, _ = service.answer({"id": 1, "view": "a", "kind": kind, **fields})
    if "error" in reply:
        raise SystemExit(f"{kind}: {reply['error']}")
    return reply


def text(folder: str) -> Iterator[int]:
    """Search for words, for the first time in the process."""
    return _filtered(folder, text=WORDS)


def text_by_hand(folder: str) -> Iterator[int]:
    """Search the texts and the dialogues with pandas."""
    return _by_hand(
        folder,
        lambda df: (
            df["text"].str.contains(WORDS, case=False, na=False)
            | df["dialogue"].str.contains(WORDS, case=False, na=False)
        ),
    )


def voices_and_dates(folder: str) -> Iterator[int]:
    """Keep two voices of a year."""
    return _filtered(folder, voice=VOICES, first=FIRST, last=LAST)


def voices_and_dates_by_hand(folder: str) -> Iterator[int]:
    """Keep the same rows with pandas; the names are typed as they are in the frame."""
    end = pd.Timestamp(LAST, tz="UTC") + pd.Timedelta(days=1)
    return _by_hand(
        folder,
        lambda df: df["voice_name"].isin(VOICES) & (df["date"] >= pd.Timestamp(FIRST, tz="UTC")) & (df["date"] < end),
    )


def numbers(folder: str) -> Iterator[int]:
    """Keep a range of credits, and texts of some length."""
    return _filtered(folder, credits=[LEAST, MOST], characters=[LEAST, None])


def numbers_by_hand(folder: str) -> Iterator[int]:
    """Keep the same rows with pandas."""
    return _by_hand(
        folder,
        lambda df: df["credits"].between(LEAST, MOST).fillna(False) & (df["characters"] >= LEAST).fillna(False),
    )


def search_to_chart(folder: str) -> Iterator[int]:
    """Search for a common word, then draw the headings and the chart of the rows, as a view does."""
    explorer = explore(data.frame(folder, ROWS))
    chart = {"by": "voice", "freq": "auto"}
    _ask(explorer.service, "open")
    _ask(explorer.service, "profiles", keys=["date", "voice_name", "credits"])
    _ask(explorer.service, "chart", **chart)
    yield 0
    count = _ask(explorer.service, "query", filters={"text": "the"})["count"]
    _ask(explorer.service, "profiles", keys=["date", "voice_name", "credits"])
    _ask(explorer.service, "chart", **chart)
    yield count


def _bar(what: str, ours: Any, beside: Any) -> Bar:
    return Bar(f"explorer: filter by {what}, {ROWS:,} rows", ours, {"pandas by hand": beside}, aim=AIM)


BARS = (
    _bar("text", text, text_by_hand),
    _bar("voices and dates", voices_and_dates, voices_and_dates_by_hand),
    _bar("numbers", numbers, numbers_by_hand),
    Bar(f"explorer: search, headings and chart, {ROWS:,} rows", search_to_chart, aim=0.5),
)
