"""The data of the bars: made once in a folder, then read by every side."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

import histkit as hk
from histkit.sandbox import serve


def scaled(number: int) -> int:
    """Return a number of rows, files or accounts, times ``BARS_SCALE`` of the environment; at least 10."""
    return max(10, round(number * float(os.environ.get("BARS_SCALE", "1"))))


def frame(folder: str, rows: int) -> pd.DataFrame:
    """Load the frame of a local history of so many rows, scaled."""
    return hk.load(history(folder, rows))


def history(folder: str, rows: int) -> str:
    """Return the folder of a local history of so many rows, scaled; it is synced from the sandbox the first time."""
    rows = scaled(rows)
    path = Path(folder) / f"history-{rows}"
    if not path.exists():
        making = path.with_name(f"{path.name}.{os.getpid()}")
        with serve(items=rows) as box, hk.HistoryClient(box.api_key, base_url=box.url) as client:
            hk.sync(making, client=client, diff=True, progress=False)
        making.rename(path)
    return str(path)
