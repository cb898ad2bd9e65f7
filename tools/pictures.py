"""Draw the pictures of README and docs from the sandbox's history; ``make chart``.

The charts below examples are drawn by ``tools/examples.py``.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import histkit as hk

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def main() -> None:
    """Draw all of them; report and explorer are photographed in Chromium."""
    axes = hk.sample_history(5000).speech.plot_usage(by="voice", freq="MS")
    axes.figure.savefig(DOCS / "usage.png", dpi=120)
    photograph(DOCS / "report.png")
    photograph_usage(DOCS / "show-usage.png")
    photograph_explorer(DOCS / "explorer.png")


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


def photograph_explorer(path: Path) -> None:
    """Take a picture of the explorer in JupyterLab: a word searched for, some rows ticked."""
    sys.path.insert(0, str(ROOT))
    from tests.browser import running_browser
    from tests.jupyter import lab, notebook_page, run_all, write_notebook

    with tempfile.TemporaryDirectory() as scratch:
        room = Path(scratch, "room")
        room.mkdir()
        write_notebook(room / "look.ipynb", "import histkit as hk\n\ndf = hk.sample_history(5000)\ndf.speech.explore()")
        with (
            lab(room, Path(scratch)) as address,
            running_browser() as browser,
            notebook_page(browser, address, "look.ipynb", height=1300) as (page, _),
        ):
            page.evaluate("() => { window.jupyterapp.commands.execute('application:toggle-left-area') }")
            run_all(page)
            view = page.locator(".histkit-explorer")
            view.get_by_placeholder("Search the texts").fill("harbour")
            page.wait_for_timeout(3000)
            for row in (1, 2, 5):
                view.locator(".hk-body .hk-row input[type=checkbox]").nth(row).click()
            page.mouse.move(0, 0)
            page.wait_for_timeout(1500)
            view.screenshot(path=path)


if __name__ == "__main__":
    main()
