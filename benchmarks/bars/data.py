"""The data of the bars: made once in a folder, then read by every side."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

import histkit as hk
from histkit.archive.manifest import WORK, read_manifest, write_manifest
from histkit.sandbox import Sandbox, process, serve
from histkit.util.storage import ReadStore


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
        with serving(rows) as box, hk.HistoryClient(box.api_key, base_url=box.url) as client:
            hk.sync(making, client=client, diff=True, progress=False)
        making.rename(path)
    return str(path)


def serving(rows: int) -> Sandbox:
    """Serve a history of any size: `serve` refuses more than a million rows, the server itself does not."""
    check = vars(process)["check_size"]
    vars(process)["check_size"] = lambda items, seed: (items, seed)
    try:
        return serve(items=rows)
    finally:
        vars(process)["check_size"] = check


def linked_history(source: str, times: int) -> str:
    """Return the folder of a history whose months are those of another one, linked `times` under as many years.

    No file is copied, so that each row is there several times, at the same date.
    """
    path = Path(f"{source}-linked{times}")
    if not path.exists():
        making = path.with_name(f"{path.name}.{os.getpid()}")
        manifest = read_manifest(ReadStore(source))
        assert manifest is not None
        (making / WORK).mkdir(parents=True)
        years = 1 + len({file.split("/")[0] for file in manifest.months})
        months = {}
        for file, month in manifest.months.items():
            year, rest = file.removeprefix("year=").split("/", 1)
            for place in range(times):
                name = f"year={int(year) - place * years}/{rest}"
                (making / name).parent.mkdir(parents=True)
                (making / name).hardlink_to(Path(source) / file)
                months[name] = month
        manifest.months = months
        write_manifest(making, manifest)
        making.rename(path)
    return str(path)
