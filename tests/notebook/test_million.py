"""The explorer at a million rows in JupyterLab: the right rows after a far jump, a sort, and a search as one types."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.jupyter import in_kernel

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
SIZE = 1_000_000
MAKE = f"""import histkit as hk, numpy as np, pandas as pd
part = hk.sample_history(2_000)
df = part.take(np.arange({SIZE}) % len(part)).reset_index(drop=True)
df["history_item_id"] = pd.Series([f"id{{row}}" for row in range(len(df))], dtype=df["history_item_id"].dtype)
df["date"] = pd.Timestamp("2026-01-01", tz="UTC") - pd.to_timedelta(np.arange(len(df)), unit="s")
df["credits"] = pd.array(np.arange(len(df)) * 7_919 % len(df), "Int64")
df["text"] = pd.Series([f"line {{row}} of {{row % 97}}" for row in range(len(df))], dtype=df["text"].dtype)
df["dialogue"] = pd.Series(pd.NA, index=df.index, dtype=df["dialogue"].dtype)"""
EXPLORE = "explorer = df.speech.explore()\nexplorer"


def shows(page: Any, number: int, row: int) -> None:
    """Wait until the row of a number shows a row of the frame."""
    cell = page.locator(f".hk-body [aria-rowindex='{number + 2}'] .hk-text")
    cell.get_by_text(f"line {row} of {row % 97}", exact=True).wait_for()


def jump(page: Any, number: int) -> None:
    """Move the scroll bar to where a row is in view."""
    script = "(grid, share) => { grid.scrollTop = (grid.scrollHeight - grid.clientHeight) * share; }"
    page.locator(".hk-grid").evaluate(script, number / SIZE)


def test_the_rows_of_a_million_are_right_after_a_jump_a_sort_and_a_search(page_of: Callable[..., Any]) -> None:
    page, problems = page_of(MAKE, EXPLORE)
    credits = np.arange(SIZE) * 7_919 % SIZE
    shows(page, 0, 0)
    jump(page, 500_000)
    shows(page, 500_000, 500_000)

    page.get_by_role("button", name="Credits", exact=True).click()
    by_credits = pd.Series(credits).sort_values(kind="stable").index
    shows(page, 0, by_credits[0])
    jump(page, 700_000)
    shows(page, 700_000, by_credits[700_000])

    box = page.get_by_role("searchbox")
    box.click()
    page.keyboard.type("line 12345", delay=40)
    found = [row for row in range(SIZE) if f"line {row} of {row % 97}".startswith("line 12345")]
    page.get_by_text(f"{len(found)} of {SIZE:,} rows").first.wait_for()
    in_order = sorted(found, key=lambda row: credits[row])
    for number in (0, len(found) - 1):
        shows(page, number, in_order[number])
    kept = json.loads(in_kernel(page, "print(explorer.filtered.index.tolist())"))
    assert kept == found
    assert problems == []
