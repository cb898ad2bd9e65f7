"""Time the requests of the explorer's service, without a browser.

Run ``python -m benchmarks.explorer 1000000``, or with a Parquet file in place of the number of rows.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

import histkit as hk
from histkit.notebook.explorer import explore
from histkit.notebook.service import Service

HEADINGS = ["date", "voice_name", "credits", "characters", "model_id", "source"]


def main() -> None:
    argument = sys.argv[1] if len(sys.argv) > 1 else "100000"
    frame = hk.read_parquet(argument) if Path(argument).exists() else hk.sample_history(int(argument))
    print(f"{len(frame):,} rows; seconds: wall clock, processor")
    for line in measure(frame):
        print(line)


def measure(frame: pd.DataFrame) -> list[str]:
    """Return a line for each interaction."""
    lines = []

    def timed(name: str, service: Service | None, *requests: dict[str, Any]) -> Service:
        start, processor = time.perf_counter(), time.process_time()
        if service is None:
            service = explore(frame).service
        size = 0
        for request in requests:
            reply, _ = service.answer({"id": 1, "view": "a", **request})
            if "error" in reply:
                raise SystemExit(f"{name}: {reply['error']}")
            size += len(json.dumps(reply))
        wall, cpu = time.perf_counter() - start, time.process_time() - processor
        lines.append(f"{name:44} {wall:6.3f} {cpu:6.3f}  {size / 1e3:8.1f} kB")
        return service

    chart = {"kind": "chart", "by": "voice", "freq": "auto"}
    profiles = {"kind": "profiles", "keys": HEADINGS}

    def query(**fields: Any) -> dict[str, Any]:
        return {"kind": "query", **fields}

    def by(*keys: tuple[str, bool]) -> dict[str, Any]:
        return query(sort=[{"key": key, "descending": descending} for key, descending in keys])

    service = timed("open: first rows", None, {"kind": "open"})
    timed("profiles, first", service, profiles)
    timed("profiles, again", service, profiles)
    timed("chart, first", service, chart)
    timed("chart, again", service, chart)
    far = len(frame) // 2
    timed("a far window", service, {"kind": "rows", "start": far, "stop": far + 60})
    for key in ("credits", "voice_name", "date"):
        for descending in (False, True):
            timed(f"sort by {key}{', descending' * descending}", service, by((key, descending)))
    timed("sort by text, first", service, by(("text", False)))
    timed("sort by date", service, by(("date", False)))
    timed("sort by text, warm", service, by(("text", True)))
    timed("sort by voice, credits", service, by(("voice_name", False), ("credits", True)))
    timed("sort by text, date", service, by(("text", False), ("date", True)))
    timed("sort by date, descending", service, by(("date", True)))
    for text in ("t", "the", "chapter", "straße", "no such words", "İ"):
        search = query(filters={"text": text})
        timed(f"search {text}", service, search)
        timed("  with profiles", service, profiles)
        timed("  with chart", service, chart)
    timed("search cleared", service, query(filters={"text": ""}))
    edges = service.answer(profiles)[0]["profiles"]["credits"]["bounds"]
    timed("brush of credits", service, query(filters={"credits": [edges[2][0], edges[8][1]]}))
    timed("  with profiles", service, profiles)
    timed("  with chart", service, chart)
    timed("brush of a period", service, query(filters={"after": "2025-06-01", "before": "2026-03-01"}))
    timed("  with profiles", service, profiles)
    timed("  with chart", service, chart)
    timed("search in the brushed", service, query(filters={"text": "the clock"}))
    timed("  with profiles", service, profiles)
    timed("  with chart", service, chart)
    timed("tick all", service, {"kind": "tick", "op": "all", "on": True})
    timed("only ticked", service, query(shown_only=True))
    timed("details", service, {"kind": "detail", "position": far})
    return lines


if __name__ == "__main__":
    main()
