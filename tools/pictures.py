"""Draw the pictures of README and docs from the sandbox's history; ``make chart``.

The charts below examples are drawn by ``tools/examples.py``.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

import histkit as hk

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def main() -> None:
    """Draw all of them; report, explorer and picker are photographed in Chromium."""
    axes = hk.sample_history(5000).speech.plot_usage(by="voice", freq="MS")
    axes.figure.savefig(DOCS / "usage.png", dpi=120)
    photograph(DOCS / "report.png")
    photograph_usage(DOCS / "show-usage.png")
    photograph_explorer(DOCS / "explorer.png")
    film_explorer(DOCS / "explorer-tour.png")
    photograph_picker(DOCS / "picker.png")


def photograph(path: Path) -> None:
    """Take a picture of the head of a report."""
    prices = {"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]}
    with tempfile.TemporaryDirectory() as folder, sheet_of(1000, 980) as sheet:
        page = Path(folder, "report.html")
        hk.report(hk.sample_history(5000), page, title="Speech usage of Studio Nord", prices=prices, tz="Europe/Berlin")
        sheet.goto(page.as_uri())
        sheet.screenshot(path=path)


def photograph_usage(path: Path) -> None:
    """Take a picture of a usage table as a notebook shows it."""
    usage = hk.sample_history(3000).speech.usage("voice", top=4)
    with sheet_of(800, 300) as sheet:
        look = "table { border-collapse: collapse; font: 13px sans-serif } td, th { padding: 6px; white-space: nowrap }"
        sheet.set_content(f"<style>{look}</style>{hk.show_usage(usage).to_html()}")
        sheet.locator("table").screenshot(path=path)


@contextlib.contextmanager
def sheet_of(width: int, height: int) -> Iterator[Page]:
    """Open a page of Chromium that is `width` by `height`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1.5)
        browser.close()


@contextlib.contextmanager
def view_of(cell: str) -> Iterator[tuple[Page, Locator]]:
    """Run a cell in JupyterLab; yields the page, and the explorer or the picker that the cell displays."""
    sys.path.insert(0, str(ROOT))
    from tests.browser import running_browser
    from tests.jupyter import lab, notebook_page, run_all, write_notebook

    with tempfile.TemporaryDirectory() as scratch:
        room = Path(scratch, "room")
        room.mkdir()
        write_notebook(room / "look.ipynb", cell)
        with (
            lab(room, Path(scratch)) as address,
            running_browser() as browser,
            notebook_page(browser, address, "look.ipynb", height=1300) as (page, _),
        ):
            page.evaluate("() => { window.jupyterapp.commands.execute('application:toggle-left-area') }")
            run_all(page)
            yield page, page.locator(".histkit-explorer")


def photograph_explorer(path: Path) -> None:
    """Take a picture of the explorer in JupyterLab: a word searched for, some rows ticked."""
    with view_of("import histkit as hk\n\ndf = hk.sample_history(5000)\ndf.speech.explore()") as (page, view):
        view.get_by_placeholder("Search the texts").fill("harbour")
        page.wait_for_timeout(3000)
        for row in (1, 2, 5):
            view.locator(".hk-body .hk-row input[type=checkbox]").nth(row).click()
        page.mouse.move(0, 0)
        page.wait_for_timeout(1500)
        view.screenshot(path=path)


TOUR = """import histkit as hk
from histkit.sandbox import serve

box = serve(items=1500, seed=3, alignments=True).__enter__()
client = hk.HistoryClient(box.api_key, base_url=box.url)
df = hk.read_history(client=client, progress=False)
explorer = df.speech.explore(client=client, page_size=9)
explorer.service.answer({"kind": "columns", "widths": {"text": 250, "date": 160, "voice_name": 140}})
explorer"""
POINTER = """() => {
    const pointer = document.createElement('div');
    pointer.innerHTML = '<svg width="20" height="26"><path d="M2 2v18l5-4 3 7 3-1-3-7h6z" stroke="#fff"/></svg>';
    pointer.style.cssText = 'position: fixed; z-index: 10000; pointer-events: none';
    document.body.append(pointer);
    document.addEventListener('pointermove', event => {
        pointer.style.left = `${event.clientX - 2}px`;
        pointer.style.top = `${event.clientY - 2}px`;
    }, true);
}"""


def film_explorer(path: Path) -> None:
    """Take an animated picture of the explorer, 900 pixels wide: search, sort, brush, play, tick."""
    frames: list[tuple[Image.Image, int]] = []
    with view_of(TOUR) as (page, view):
        view.locator(".hk-chart[aria-busy=false]").wait_for()
        page.set_viewport_size({"width": 1080, "height": 1300})
        page.evaluate(POINTER)
        page.wait_for_timeout(1500)
        top = view.bounding_box() or {}
        foot = view.locator(".hk-player").or_(view.locator(".hk-actions")).last.bounding_box() or {}
        clip = {**top, "height": foot["y"] - top["y"]}

        def shoot(milliseconds: int) -> None:
            with Image.open(io.BytesIO(page.screenshot(clip=clip))) as picture:
                frames.append((picture.convert("RGB"), milliseconds))

        def go_to(place: Locator, share: float = 0.5) -> tuple[float, float]:
            box = place.bounding_box() or {}
            x, y = box["x"] + share * box["width"], box["y"] + box["height"] / 2
            page.mouse.move(x, y)
            return x, y

        def settle(milliseconds: int = 900) -> None:
            page.wait_for_timeout(milliseconds)

        shoot(900)
        search = view.get_by_placeholder("Search the texts")
        go_to(search)
        search.click()
        for letters in ("the", " cl", "ock"):
            page.keyboard.type(letters)
            shoot(160)
        settle()
        shoot(900)
        heading = view.get_by_role("columnheader", name="Credits").get_by_role("button", name="Credits")
        go_to(heading)
        shoot(250)
        for _ in range(2):
            heading.click()
            settle()
            shoot(500)
        histogram = view.get_by_role("columnheader", name="Date").locator(".hk-plot")
        go_to(histogram, 0.45)
        page.mouse.down()
        for share in (0.55, 0.7, 0.85):
            go_to(histogram, share)
            settle(500)
            shoot(200)
        page.mouse.up()
        settle()
        shoot(800)
        play = view.locator("[aria-rowindex='3'] .hk-play")
        go_to(play)
        shoot(250)
        play.click()
        view.locator("[aria-rowindex='3'] .hk-wave.hk-drawn").wait_for()
        for _ in range(5):
            shoot(300)
        for row in (2, 3, 5):
            tick = view.locator(f"[aria-rowindex='{row}'] input")
            go_to(tick)
            tick.click()
            settle(400)
            shoot(350)
        settle()
        shoot(1500)
    colours = frames[-1][0].quantize(255, dither=Image.Dither.NONE)
    pictures = [picture.quantize(palette=colours, dither=Image.Dither.NONE) for picture, _ in frames]
    times = [milliseconds for _, milliseconds in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=times, loop=0, optimize=True)


PICK = """import histkit as hk
from histkit.sandbox import serve

box = serve(items=1500, alignments=True).__enter__()
client = hk.HistoryClient(box.api_key, base_url=box.url)
df = hk.read_history(client=client, progress=False)
df.speech.filter(text="Is there anything else I can do").speech.pick_takes(near=0.85, client=client)"""


def photograph_picker(path: Path) -> None:
    """Take a picture of the picker in JupyterLab: some lines chosen, a take that plays."""
    with view_of(PICK) as (page, view):
        view.get_by_role("listbox").focus()
        for _ in range(3):
            view.locator(".hk-wave.hk-drawn").nth(1).wait_for()
            page.keyboard.press("Enter")
            page.wait_for_timeout(1500)
        page.keyboard.press("2")
        page.wait_for_timeout(1200)
        page.keyboard.press("Space")
        page.wait_for_timeout(300)
        view.screenshot(path=path)


if __name__ == "__main__":
    main()
