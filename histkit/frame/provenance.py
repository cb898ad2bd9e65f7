"""Provenance: which conditions selected the rows of a frame and how many there were, kept as facts in its attrs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

SELECTION, ROWS = "selection", "rows"
CONTIGUOUS = frozenset({"after", "before", "account", "limit"})  # what these leave out doesn't lie between the rows


def record_selection(frame: pd.DataFrame, conditions: Mapping[str, Any]) -> None:
    """Add conditions to the facts of a frame, and the number of rows that they left.

    Parameters
    ----------
    frame : pandas.DataFrame
        A new frame, which nobody else has yet: its ``attrs`` are replaced.
    conditions : mapping
        Plain values by the name of their condition; none if all rows were read.
    """
    facts = {**_facts_of(frame), ROWS: len(frame)}
    if conditions:
        facts[SELECTION] = [*selections_of(frame), dict(conditions)]
    frame.attrs["histkit"] = facts


def selections_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the conditions that selected the rows, one mapping for each step, as far as the attrs have them."""
    steps = _facts_of(frame).get(SELECTION)
    return [dict(step) for step in steps if isinstance(step, Mapping)] if isinstance(steps, (list, tuple)) else []


def rows_recorded(frame: pd.DataFrame) -> int | None:
    """Return the number of rows that the frame had when it was read or filtered; None if that is not known."""
    rows = _facts_of(frame).get(ROWS)
    return rows if isinstance(rows, int) and not isinstance(rows, bool) else None


def _facts_of(frame: pd.DataFrame) -> dict[str, Any]:
    facts = frame.attrs.get("histkit")
    return dict(facts) if isinstance(facts, Mapping) else {}
