"""The bars of reading: pages to columns, and whole reads from a sandbox in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import msgspec
import pandas as pd
import requests

import histkit as hk
from benchmarks.bars import Bar, data
from histkit.frame.decode import PageDecoder
from histkit.frame.schema import to_frame
from histkit.sandbox import Sandbox, history, page_bytes, serve

ROWS, MANY, LOG = 60_000, 1_000_000, 300_000
PAGE, WORKERS, LATENCY = 1000, 8, 0.15
LOG_ROUTE = "/v1/workspace/analytics/requests"
CATEGORIES = (
    "voice_id",
    "voice_name",
    "voice_category",
    "model_id",
    "source",
    "state",
    "content_type",
    "output_format",
)

Value = list[int] | None
Read = Callable[[Sandbox], pd.DataFrame]


def decode(folder: str) -> Iterator[Value]:
    """Decode pages."""
    bodies, decoder = _bodies(), PageDecoder()
    yield None
    yield _value(to_frame([decoder(body).rows for body in bodies]))


def decode_by_hand(folder: str) -> Iterator[Value]:
    """Decode the same pages to plain objects, and these to a frame."""
    bodies = _bodies()
    yield None
    yield _value(_frame([row for body in bodies for row in msgspec.json.decode(body)["history"]]))


def read(folder: str) -> Iterator[Value]:
    """Read from a service as far away as the real one."""
    return _reading(_with_histkit, ROWS, latency=LATENCY)


def read_without_order(folder: str) -> Iterator[Value]:
    """Read from one that does not sort oldest first."""
    return _reading(_with_histkit, ROWS, latency=LATENCY, ignore_sort=True)


def read_by_hand(folder: str) -> Iterator[Value]:
    """Read with a pool of threads, each for a window of time, which is what one can write in an hour."""
    return _reading(_side_by_side, ROWS, latency=LATENCY)


def read_many(folder: str) -> Iterator[Value]:
    """Read a million rows."""
    return _reading(_with_histkit, MANY)


def read_many_by_hand(folder: str) -> Iterator[Value]:
    """Follow the cursor through a million rows."""
    return _reading(_one_after_another, MANY)


def log(folder: str) -> Iterator[int | None]:
    """Read the request log."""
    with serve(items=data.scaled(LOG)) as box, _client(box) as client:
        yield None
        yield len(hk.read_requests(client=client, progress=False))


def log_by_hand(folder: str) -> Iterator[int | None]:
    """Read the request log as it is sent here: sorted, with bounds that are half open."""
    with serve(items=data.scaled(LOG)) as box, _session(box) as session:
        yield None
        names: list[str] = []
        rows: dict[str, list[Any]] = {}
        end, new = 2_000_000_000_000, True
        while new:
            body = {"start_time": 1_577_836_800_000, "end_time": end, "limit": PAGE, "sort": "desc"}
            answer = msgspec.json.decode(session.post(box.url + LOG_ROUTE, json=body, timeout=60).content)
            names = answer["columns"]
            time, item = names.index("timestamp"), names.index("request_id")
            found = {row[item]: row for row in answer["rows"]}
            new = not rows.keys() >= found.keys()
            rows |= found
            end = min((int(row[time]) for row in found.values()), default=0) + 1
        frame = pd.DataFrame(list(rows.values()), columns=names)
        frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="ms", utc=True)
        yield len(frame)


def _bodies() -> list[bytes]:
    items = history(data.scaled(ROWS))
    return [page_bytes(items[start : start + PAGE]) for start in range(0, len(items), PAGE)]


def _reading(reader: Read, rows: int, **faults: Any) -> Iterator[Value]:
    """Measure a read; one before it has the sandbox encode the rows, and imports what is imported late."""
    with serve(items=data.scaled(rows)) as box:
        reader(box)
        box.set(**faults)
        yield None
        yield _value(reader(box))


def _value(frame: pd.DataFrame) -> list[int]:
    return [len(frame), int(frame["date_unix"].sum())]


def _client(box: Sandbox) -> hk.HistoryClient:
    return hk.HistoryClient(box.api_key, base_url=box.url, max_concurrency=WORKERS)


def _session(box: Sandbox) -> requests.Session:
    session = requests.Session()
    session.headers["xi-api-key"] = box.api_key
    return session


def _with_histkit(box: Sandbox) -> pd.DataFrame:
    with _client(box) as client:
        return hk.read_history(client=client, progress=False)


def _one_after_another(box: Sandbox) -> pd.DataFrame:
    with _session(box) as session:
        return _frame(_rows(session, box.url, {}))


def _side_by_side(box: Sandbox) -> pd.DataFrame:
    with _session(box) as session, ThreadPoolExecutor(WORKERS) as pool:
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=WORKERS))
        ends = pool.map(lambda sort: _page(session, box.url, {"sort_direction": sort, "page_size": 1}), ("asc", "desc"))
        first, last = (page["history"][0]["date_unix"] for page in ends)
        cuts = [first + (last + 1 - first) * place // (3 * WORKERS) for place in range(3 * WORKERS + 1)]
        windows = [{"date_after_unix": start, "date_before_unix": end} for start, end in pairwise(cuts)]
        found = list(pool.map(lambda window: _rows(session, box.url, window), windows[::-1]))
    return _frame([row for rows in found for row in rows])


def _rows(session: requests.Session, url: str, window: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    parameters = {"page_size": PAGE, **window}
    while True:
        page = _page(session, url, parameters)
        rows += page["history"]
        if not page["has_more"]:
            return rows
        parameters["start_after_history_item_id"] = page["last_history_item_id"]


def _page(session: requests.Session, url: str, parameters: dict[str, Any]) -> dict[str, Any]:
    response = session.get(f"{url}/v1/history", params=parameters, timeout=60)
    response.raise_for_status()
    page: dict[str, Any] = msgspec.json.decode(response.content)
    return page


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Make a frame with the types that one needs next."""
    frame = pd.DataFrame(rows)
    frame = frame.join(pd.DataFrame([row["settings"] or {} for row in rows]))
    frame["date"] = pd.to_datetime(frame["date_unix"], unit="s", utc=True)
    frame["credits"] = frame["character_count_change_to"] - frame["character_count_change_from"]
    frame["characters"] = frame["text"].str.len()
    for name in CATEGORIES:
        frame[name] = frame[name].astype("category")
    return frame.drop(columns=["settings", "alignments"])


HAND = "requests and msgspec"
BARS = (
    Bar(
        f"{ROWS // PAGE} pages of {PAGE:,} rows to a frame",
        decode,
        {"msgspec": decode_by_hand},
        0.3,
        measure="processor",
    ),
    Bar(
        f"`read_history`, {ROWS:,} rows, {1000 * LATENCY:.0f} ms a page, {WORKERS} workers "
        f"(waiting alone: {-(-ROWS // (PAGE * WORKERS)) * LATENCY:.1f} s)",
        read,
        {f"{HAND}, {WORKERS} threads": read_by_hand},
        aim=1.45,
    ),
    Bar(
        "... from a service that ignores `sort_direction=asc`",
        read_without_order,
        {"one that sorts": read},
        aim=1.3,
        of="one that sorts",
    ),
    Bar(f"`read_history`, {MANY:,} rows", read_many, {HAND: read_many_by_hand}, 10, measure="processor", rounds=1),
    Bar(f"`read_requests`, {LOG:,} rows of the log", log, {HAND: log_by_hand}, 6, measure="processor", rounds=1),
)
