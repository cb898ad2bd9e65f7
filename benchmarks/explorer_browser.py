"""Time the explorer as people see it: in JupyterLab in a real Chromium, beside other tables on the same frame.

Run ``python -m benchmarks.explorer_browser --write``. The others are measured where they are installed in a folder of
their own, without what they need besides (the project has it)::

    pip install --no-deps --target FOLDER itables quak ipydatagrid py2vega gast bqplot bqscales traittypes
    python -m benchmarks.explorer_browser --peers FOLDER --write

A time begins with the event of the mouse or the keyboard, and ends after the first frame that shows the right rows;
which these are, the explorer's service says, whose order and filters the tests compare with pandas. Each round has a
fresh kernel that has loaded the frame and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from playwright.sync_api import TimeoutError as PageTimeout

import histkit as hk
from benchmarks.__main__ import machine, write_table
from benchmarks.peers import PEERS, SEARCH, Peer
from histkit.notebook.explorer import explore
from histkit.notebook.service import Service
from histkit.sandbox import Sandbox, serve
from tests.browser import running_browser
from tests.jupyter import in_kernel, lab, notebook_page, restart, run_cell, write_notebook

SIZES = (300, 100_000, 1_000_000)
CLIP_BYTES = 320_000  # 20 seconds of MP3 at 128 kbit/s
LONGEST = 30  # seconds until rows count as not shown
SLOW = 8  # seconds to the first rows of another table after which one round is enough
MEASURES = {  # what a line of the table says, and the aim at a million rows, in seconds
    "first rows": 1.0,
    "first chart": None,
    "a far row": 0.15,
    "sort by credits": 0.5,
    "sort by text, cold": None,
    "... warm": 1.0,
    "search: table": 0.5,
    "... chart": 0.5,
    "brush in a header: table": 0.25,
    "... chart, too": None,
    "a frame of a fling, 95th percentile": 0.04,
    "a clip of 20 s is heard": 0.5,
}
COMPARED = ("first rows", "a far row", "sort by credits", "sort by text, cold", "search: table")
Times = dict[str, list[float]]

# Times from the last event of a type (or from now on) to the end of the first frame in which a condition holds.
_WATCH = """
([conditions, type, seconds]) => {
  let start = type === null ? performance.now() : null;
  const left = new Map(Object.entries(conditions).map(([name, source]) => [name, eval(source)]));
  const ends = {};
  const listener = (event) => { start = event.timeStamp; };
  if (type !== null) window.addEventListener(type, listener, {capture: true});
  const limit = performance.now() + 1000 * seconds;
  window.timed = null;
  new Promise((resolve) => {
    const look = () => {
      if (start !== null) {
        for (const [name, holds] of left) {
          if (!holds()) continue;
          left.delete(name);
          const channel = new MessageChannel();
          channel.port1.onmessage = () => { ends[name] = performance.now(); };
          channel.port2.postMessage(null);
        }
      }
      if (left.size > 0 && performance.now() < limit) { requestAnimationFrame(look); return; }
      setTimeout(() => {
        if (type !== null) window.removeEventListener(type, listener, {capture: true});
        resolve(Object.fromEntries(Object.entries(ends).map(([name, end]) => [name, (end - start) / 1000])));
      }, 20);
    };
    requestAnimationFrame(look);
  }).then((times) => { window.timed = times; });
}
"""
# The row of a number shows these cells, and no row in view waits.
_ROW = """(() => {{
  const cells = {cells};
  return () => {{
    const row = document.querySelector('.histkit-explorer .hk-body .hk-row:not([hidden])[aria-rowindex="{number}"]');
    if (!row || row.classList.contains('hk-waiting')) return false;
    if (document.querySelector('.histkit-explorer .hk-body .hk-row.hk-waiting:not([hidden])')) return false;
    const shown = [...row.querySelectorAll('.hk-cell:not(.hk-lead):not(.hk-tick)')].map((cell) => cell.textContent);
    return shown.every((text, index) => text === (cells[index] ?? ''));
  }};
}})()"""
# The explorer says that it has searched for a text, and another condition holds.
_SEARCHED = """((shown) => () =>
  document.querySelector('.histkit-explorer .hk-code code').textContent.includes({text}) && shown())({shown})"""
_CHART = """(() => () => {{
  const canvas = document.querySelector('.histkit-explorer .hk-chart-canvas');
  return canvas?.querySelector('canvas') && canvas.getAttribute('aria-label') === {alt};
}})()"""
_PLAYING = """(() => {
  let plays = false;
  document.querySelector('.histkit-explorer audio').addEventListener('playing', () => { plays = true; }, {once: true});
  return () => plays;
})()"""
_FRAMES = """
() => {
  window.frames_seen = [];
  let last = null;
  window.fling = true;
  const look = (now) => {
    if (last !== null) window.frames_seen.push((now - last) / 1000);
    last = now;
    if (window.fling) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
"""


class Watched:
    """The times that `watching` found; empty until it has ended."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}


@contextmanager
def watching(page: Any, conditions: dict[str, str], event: str | None, seconds: float = LONGEST) -> Iterator[Watched]:
    """Time what the body does, until each condition holds in the page.

    Parameters
    ----------
    page : playwright Page
        The notebook.
    conditions : dict
        A JavaScript expression of a function without arguments, by name.
    event : str or None
        The type of the events of which the last begins the time; None: it begins at once.
    seconds : float
        After which conditions that don't hold are left out.
    """
    watched = Watched()
    page.evaluate(_WATCH, [conditions, event, seconds])
    yield watched
    done = page.wait_for_function("() => window.timed", timeout=1000 * (seconds + 5))  # a page may be busy for minutes
    watched.times = done.json_value()


def row_shown(number: int, cells: list[str | None]) -> str:
    """Return the condition that a row of the explorer is in view, and all those around it."""
    return _ROW.format(number=number + 2, cells=json.dumps(cells))


def chart_shown(alt: str) -> str:
    """Return the condition that the explorer's chart is drawn and has a description."""
    return _CHART.format(alt=json.dumps(alt))


def fling(page: Any, place: tuple[float, float]) -> list[float]:
    """Turn the wheel over a place, 16,000 pixels in two seconds, and return how long each frame took."""
    devtools = page.context.new_cdp_session(page)
    x, y = place
    page.mouse.move(x, y)
    page.evaluate(_FRAMES)
    gesture = {"x": x, "y": y, "yDistance": -16_000, "speed": 8_000, "gestureSourceType": "mouse", "preventFling": True}
    devtools.send("Input.synthesizeScrollGesture", gesture)
    frames: list[float] = page.evaluate("() => { window.fling = false; return window.frames_seen; }")
    devtools.detach()
    page.wait_for_timeout(500)  # until the table has come to rest
    return frames


def percentile(values: list[float], share: float) -> float:
    """Return the value that a share of all values doesn't exceed."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


class Expected:
    """What the explorer has to show, as its service says it: a service of its own, so that the kernel's stays cold."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._service: Service = explore(frame).service

    def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Return the reply to a request."""
        reply, _ = self._service.answer({"id": 1, "view": "a", "kind": kind, **fields})
        if "error" in reply:
            raise SystemExit(reply["error"])
        return reply

    def first(self, **fields: Any) -> str:
        """Return the condition that the first row is shown after a query."""
        return row_shown(0, self.ask("query", **fields)["rows"]["rows"][0]["c"])

    def row(self, number: int) -> str:
        """Return the condition that a row of the present order is shown."""
        return row_shown(number, self.ask("rows", start=number, stop=number + 1)["rows"][0]["c"])

    def chart(self) -> str:
        """Return the condition that the chart of the present filters is drawn."""
        return chart_shown(self.ask("chart", by="voice", freq="auto")["alt"])


def measure_explorer(page: Any, frame: pd.DataFrame, expected: Expected) -> dict[str, list[float]]:
    """Return the times of one round; the notebook's kernel has the frame as ``df`` and a client."""
    times: Times = defaultdict(list)
    view = page.locator(".histkit-explorer")

    def add(watched: Watched, *names: str) -> None:
        for name in names:
            if name in watched.times:
                times[name].append(watched.times[name])
            else:
                say(f"{len(frame):,} rows: {name} wasn't shown within {LONGEST} s")

    conditions = {"first rows": expected.first(filters={"text": ""}, sort=[NEWEST]), "first chart": expected.chart()}
    with watching(page, conditions, None) as watched:
        run_cell(page, "explorer = df.speech.explore(client=client)\nexplorer")
    add(watched, "first rows", "first chart")
    view.scroll_into_view_if_needed()
    page.wait_for_timeout(1500)  # the page that the notebook keeps is drawn a second later

    for share in (0.5, 0.3, 0.8):
        number = int(share * len(frame))
        with watching(page, {"a far row": expected.row(number)}, None) as watched:
            scroll_to(page, number)
        add(watched, "a far row")
    scroll_to(page, 0)

    def click(heading: str, name: str, *keys: tuple[str, bool]) -> None:
        sort = [{"key": key, "descending": descending} for key, descending in keys]
        with watching(page, {name: expected.first(sort=sort)}, "click") as watched:
            header(view, heading).get_by_role("button", name=heading, exact=True).click()
        add(watched, name)

    click("Credits", "sort by credits", ("credits", False))
    click("Credits", "sort by credits", ("credits", True))
    click("Text", "sort by text, cold", ("text", False))
    click("Text", "... warm", ("text", True))
    header(view, "Text").get_by_role("button", name="Text", exact=True).click()

    first = expected.first(filters={"text": SEARCH}, sort=[])
    conditions = {
        name: _SEARCHED.format(text=json.dumps(SEARCH), shown=condition)
        for name, condition in (("search: table", first), ("... chart", expected.chart()))
    }
    box = view.get_by_role("searchbox")
    box.click()
    with watching(page, conditions, "keydown") as watched:
        page.keyboard.type(SEARCH, delay=90)
    add(watched, "search: table", "... chart")
    with watching(page, {"all": expected.first(filters={"text": ""}), "chart": expected.chart()}, "keydown"):
        page.keyboard.press("Escape")

    brush(page, view, expected, add)

    frames = fling(page, middle(view.get_by_role("grid").bounding_box()))
    times["a frame of a fling, 95th percentile"].append(percentile(frames, 0.95))
    scroll_to(page, 0)
    view.locator(".hk-body [aria-rowindex='2']:not(.hk-waiting) .hk-play").wait_for()
    with watching(page, {"a clip of 20 s is heard": _PLAYING}, "click") as watched:
        view.locator(".hk-body [aria-rowindex='2'] .hk-play").click()
    add(watched, "a clip of 20 s is heard")
    return times


NEWEST = {"key": "date", "descending": True}


def brush(page: Any, view: Any, expected: Expected, add: Callable[..., None]) -> None:
    """Brush over some bins of the credits; the table follows while the mouse moves, the time begins at its release."""
    bounds = expected.ask("profiles", keys=["credits"])["profiles"]["credits"]["bounds"]
    low, high = len(bounds) // 8, len(bounds) // 2
    plot = header(view, "Credits").locator(".hk-plot").bounding_box()
    step, y = plot["width"] / len(bounds), plot["y"] + plot["height"] / 2
    filters = {"credits": [bounds[low][0], bounds[high][1]]}
    conditions = {"brush in a header: table": expected.first(filters=filters), "... chart, too": expected.chart()}
    page.mouse.move(plot["x"] + (low + 0.5) * step, y)
    page.mouse.down()
    with watching(page, conditions, "pointerup") as watched:
        page.mouse.move(plot["x"] + (high + 0.5) * step, y, steps=12)
        page.mouse.up()
    add(watched, "brush in a header: table", "... chart, too")
    with watching(page, {"all": expected.first(filters={"credits": None})}, "dblclick"):
        page.mouse.dblclick(plot["x"] + (low + 0.5) * step, y)


def header(view: Any, name: str) -> Any:
    """Return the heading of a column."""
    return view.get_by_role("columnheader").filter(has=view.page.get_by_role("button", name=name, exact=True))


def middle(box: dict[str, float]) -> tuple[float, float]:
    """Return the middle of a box."""
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def scroll_to(page: Any, number: int) -> None:
    """Move the scroll bar of the explorer to where a row is in view."""
    page.evaluate(
        """([number, count]) => {
            const grid = document.querySelector('.histkit-explorer .hk-grid');
            grid.scrollTop = (grid.scrollHeight - grid.clientHeight) * number / count;
        }""",
        [number, int(page.locator(".histkit-explorer .hk-grid").get_attribute("aria-rowcount")) - 1],
    )


def medians(rounds: list[Times]) -> dict[str, float]:
    """Return the median of each measure over all rounds."""
    names = {name for times in rounds for name, values in times.items() if values}
    return {name: statistics.median([each for times in rounds for each in times.get(name, [])]) for name in names}


def cell(seconds: float | None, aim: float | None = None) -> str:
    """Return a time as the table has it; in bold where it meets the aim."""
    if seconds is None:
        return "–"
    text = f"{1000 * seconds:.0f} ms" if seconds < 0.0995 else f"{seconds:.2f} s"
    return f"**{text}**" if aim is not None and seconds <= aim else text


@contextmanager
def notebook(browser: Any, folder: Path, address: str) -> Iterator[Any]:
    """Open an empty notebook in a new page."""
    write_notebook(folder / "time.ipynb", "")
    with notebook_page(browser, address, "time.ipynb") as (page, _):
        yield page


def load(page: Any, path: Path) -> None:
    """Load the frame in the kernel."""
    lines = (
        "import os, sys",
        "import histkit as hk",
        "sys.path.append(os.environ.get('PEERS', ''))",
        f"df = hk.read_parquet({str(path)!r})",
        "client = hk.HistoryClient(os.environ['SANDBOX_KEY'], base_url=os.environ['SANDBOX_URL'])",
        "print(len(df))",
    )
    in_kernel(page, "\n".join(lines))


def frame_of(size: int, box: Sandbox, folder: Path) -> tuple[pd.DataFrame, Path]:
    """Return a sample history and its file; the newest row's clip is one that the sandbox serves."""
    base = folder / f"{size}.parquet"
    if not base.exists():
        say(f"a sample history of {size:,} rows is made")
        hk.to_parquet(hk.sample_history(size), base)
    frame = hk.read_parquet(base)
    newest = frame["date"].argmax()
    served = box.history()[0]
    frame.loc[frame.index[newest], "history_item_id"] = served["history_item_id"]
    frame["output_format"] = frame["output_format"].astype("string")
    frame.loc[frame.index[newest], "output_format"] = served["output_format"]
    path = folder / f"{size}-played.parquet"
    hk.to_parquet(frame, path)
    return hk.read_parquet(path), path


def say(line: str) -> None:
    """Print progress."""
    print(f"{time.monotonic() - _STARTED:4.0f} s  {line}", file=sys.stderr, flush=True)


_STARTED = time.monotonic()


def measure(
    folder: Path, scratch: Path, sizes: tuple[int, ...], rounds: int, peers: list[Peer]
) -> dict[str, dict[int, dict[str, float]]]:
    """Return the medians by what was measured and size."""
    results: dict[str, dict[int, dict[str, float]]] = defaultdict(dict)
    with serve(items=10, seed=15, clip_bytes=CLIP_BYTES) as box:
        os.environ["SANDBOX_KEY"], os.environ["SANDBOX_URL"] = box.api_key, box.url
        room = scratch / "room"
        room.mkdir()
        with lab(room, scratch) as address, running_browser() as browser:
            for size in sizes:
                frame, path = frame_of(size, box, folder)
                expected = Expected(frame)
                runs = []
                with notebook(browser, room, address) as page:
                    for turn in range(rounds):
                        if turn:
                            restart(page)
                        load(page, path)
                        runs.append(measure_explorer(page, frame, expected))
                        say(f"histkit, {size:,} rows, round {turn + 1} of {rounds}: {shown(runs[-1])}")
                results["histkit"][size] = medians(runs)
                for peer in peers:
                    if all(results[peer.name].values()):  # else it didn't show fewer rows
                        results[peer.name][size] = measure_peer(browser, room, address, path, peer, frame, rounds)
    return results


def shown(times: Times) -> str:
    """Return times on a line."""
    return ", ".join(f"{name} {'/'.join(f'{each:.3f}' for each in values)}" for name, values in times.items())


def measure_peer(
    browser: Any, room: Path, address: str, path: Path, peer: Peer, frame: pd.DataFrame, rounds: int
) -> dict[str, float]:
    """Return the medians of what another table can do; nothing where it doesn't show the rows."""
    runs: list[Times] = []
    with suppress(PageTimeout), notebook(browser, room, address) as page:
        for turn in range(rounds):
            if turn:
                restart(page)
            load(page, path)
            times: Times = defaultdict(list)
            with watching(page, {"first rows": peer.rows_shown()}, None) as watched:
                run_cell(page, peer.cell)
            for name, step in peer.steps.items():
                if "first rows" not in watched.times:
                    break
                page.wait_for_timeout(500)
                condition = peer.changed() if step.condition == "changed" else step.condition
                with watching(page, {name: condition}, step.event) as done:
                    step.act(page)
                times[name] += done.times.values()
            times["first rows"] += watched.times.values()
            runs.append(times)
            say(f"{peer.name}, {len(frame):,} rows, round {turn + 1}: {shown(times)}")
            if watched.times.get("first rows", SLOW) >= SLOW:
                break
    return medians(runs)


def table(
    results: dict[str, dict[int, dict[str, float]]], sizes: tuple[int, ...], rounds: int, versions: dict[str, str]
) -> str:
    """Return the Markdown tables."""
    size = (Path(hk.__file__).parent / "notebook" / "static" / "explorer.js").stat().st_size
    heads = [f"{size:,} rows" for size in sizes]
    lines = [
        f"| the explorer in JupyterLab | {' | '.join(heads)} | aim at a million |",
        "|---|" + "---|" * (len(sizes) + 1),
    ]
    for name, aim in MEASURES.items():
        cells = [cell(results["histkit"][each].get(name), aim) for each in sizes]
        lines.append(f"| {name} | {' | '.join(cells)} | {'' if aim is None else cell(aim)} |")
    lines.append(f"| the bundle | {size / 1000:.0f} kB |" + " |" * (len(sizes) - 1) + " 300 kB |")
    return "\n".join([*lines, *beside(results, sizes, versions), "", f"{machine()}; medians of {rounds} rounds."])


def beside(
    results: dict[str, dict[int, dict[str, float]]], sizes: tuple[int, ...], versions: dict[str, str]
) -> list[str]:
    """Return the lines of the table that compares the explorer with others."""
    peers = [peer for peer in PEERS if peer.name in versions]
    if not peers:
        return []
    named = [f"{peer.name} {versions[peer.name]}" for peer in peers]
    lines = ["", f"| | histkit | {' | '.join(named)} |", "|---|---|" + "---|" * len(peers)]
    for name in COMPARED:
        for size in sizes:
            cells = [f"**{cell(results['histkit'][size].get(name))}**"]
            for peer in peers:
                found = results[peer.name].get(size, {})
                reason = peer.cannot.get(name, "not measured") if found else f"no rows within {LONGEST} s"
                cells.append(cell(found[name]) if name in found else f"– ({reason})")
            lines.append(f"| {name}, {size:,} rows | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Measure, and print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, help="folder in which the other tables are installed")
    parser.add_argument("--folder", type=Path, help="folder that keeps the sample histories for the next run")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/benchmarks.md")
    options = parser.parse_args()
    peers = []
    if options.peers is not None:
        peers = list(PEERS)
        os.environ["PEERS"] = str(options.peers.resolve())
        sys.path.append(os.environ["PEERS"])  # for their versions
        os.environ["JUPYTER_PATH"] = str(options.peers.resolve() / "share" / "jupyter")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        results = measure(folder, Path(scratch), tuple(options.sizes), options.rounds, peers)
    versions = {peer.name: version(peer.name) for peer in peers}
    text = table(results, tuple(options.sizes), options.rounds, versions)
    print(text)
    if options.write:
        write_table("explorer", text)


if __name__ == "__main__":
    main()
