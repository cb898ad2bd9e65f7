"""The explorer in JupyterLab: at each size of history and window, in each theme, by mouse and by keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.axe import violations
from tests.notebook.test_jupyterlab import in_kernel, says

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
HISTORY = "import histkit as hk\ndf = hk.sample_history(100_000)\nsmall = df.head(300)"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
LOOKS = [("light", "none", 1440), ("dark", "none", 390), ("light", "active", 768)]


def test_each_size_is_readable_at_each_width_in_each_theme(page_of: Callable[..., Any]) -> None:
    cells = ["df.head(0).speech.explore(page_size=2)", "df.head(1).speech.explore(page_size=2)"]
    cells += ["explorer = small.speech.explore(page_size=5)\nexplorer", "explorer", "df.speech.explore(page_size=5)"]
    page, problems = page_of(HISTORY, *cells)
    views = page.locator(".histkit-explorer")
    for number, rows in enumerate(["0 rows", "1 row", "300 rows", "300 rows", "100,000 rows"]):
        says(views.nth(number), f"^{rows}")
    says(views.nth(0), "Get some with df = hk.sync")
    page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    for theme, forced, width in LOOKS:
        page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", THEMES[theme])
        page.emulate_media(forced_colors=forced)
        page.set_viewport_size({"width": width, "height": 1400})
        page.wait_for_function("() => !document.querySelector('.histkit-explorer .hk-chart[aria-busy=true]')")
        fits = "() => [...document.querySelectorAll('.histkit-explorer')].every(e => e.scrollWidth <= e.clientWidth)"
        page.wait_for_function(fits)
        first = views.nth(2).get_by_role("columnheader").nth(2)
        assert first.inner_text().startswith("Text" if width == 390 else "Date")
        text = views.nth(2).locator("[aria-rowindex='2'] .hk-text").first.bounding_box()
        assert width > 390 or (text["x"] + text["width"] <= width and text["width"] >= 150)
        found = violations(page.evaluate, "[...document.querySelectorAll('.histkit-explorer')]")
        assert found == [], (theme, forced, width)
    assert problems == []


def test_everything_is_reached_by_keyboard_alone(page_of: Callable[..., Any], room: Path) -> None:
    page, problems = page_of(HISTORY, "explorer = df.speech.explore(tz='Europe/Berlin')\nexplorer", "other = 1")
    view = page.locator(".histkit-explorer")
    says(view, "^100,000 rows")
    cells = page.locator(".jp-Cell").count()
    press = page.keyboard.press

    def focused() -> str:
        code = "() => { const e = document.activeElement; return `${e.getAttribute('aria-label') ?? e.innerText}` }"
        return str(page.evaluate(code))

    def tab_to(pattern: str, key: str = "Tab") -> None:
        seen = []
        for _ in range(40):
            press(key)
            seen.append(focused())
            if re.search(pattern, seen[-1]):
                return
        pytest.fail(f"Tab doesn't reach {pattern}: {seen}")

    # Search, and let go with Escape.
    view.get_by_role("searchbox", name="Search").focus()
    page.keyboard.type("the clock")
    found = in_kernel(page, "print(f'{len(df.speech.filter(text=\"the clock\")):,}')")
    says(view, f"^{found} of 100,000 rows")
    press("Escape")
    says(view, "^100,000 rows")

    # Columns: one more, and it moves.
    tab_to("^Columns")
    press("Enter")
    popup = view.get_by_role("dialog", name="Columns")
    box = popup.get_by_role("checkbox", name="History item", exact=True)
    box.focus()
    press("Space")
    view.get_by_role("columnheader", name="History item").wait_for()
    press("Alt+ArrowUp")
    press("Escape")
    assert focused().startswith("Columns")

    # The header: sort by two columns, a wider column, values and a histogram as filters.
    tab_to("^Date")
    press("ArrowRight")
    press("Enter")
    view.locator("[role=columnheader][aria-sort=ascending]", has_text="Voice").wait_for()
    for _ in range(2):
        press("ArrowRight")
    assert focused().startswith("Credits")
    press("Shift+Enter")
    press("Shift+Enter")
    view.locator("[role=columnheader][aria-sort=descending]", has_text="Credits").wait_for()
    width = view.get_by_role("columnheader", name="Credits").bounding_box()["width"]
    press("Shift+ArrowRight")
    page.wait_for_function(
        "width => [...document.querySelectorAll('[role=columnheader]')].some(head => "
        "head.innerText.startsWith('Credits') && head.offsetWidth > width)",
        arg=width,
    )
    tab_to("^Credits from")
    press("ArrowRight")
    says(view, r"^[\d,]+ of 100,000 rows")
    assert in_kernel(page, "print(explorer.state.filters.least, len(explorer.filtered))").split()[0] != "None"
    press("Escape")
    says(view, "^100,000 rows")
    view.get_by_role("button", name=re.compile(r"\d+ more$")).first.focus()
    press("Enter")
    values = view.get_by_role("dialog", name="Voice: values")
    page.keyboard.type("luc")
    values.get_by_role("checkbox").locator("visible=true").first.wait_for()
    assert values.locator("label:visible").count() == 1
    press("Tab")
    press("Space")
    rows = in_kernel(page, "print(f'{len(df.speech.filter(voice=\"Lucía\")):,}')")
    says(view, f"^{rows} of 100,000 rows")
    press("Escape")
    assert in_kernel(page, "print(explorer.code)") == "df.speech.filter(voice='Xo9DwLf4UyAi6CbGt1Jr')"
    press("Escape")
    says(view, "^100,000 rows")

    # The table: far rows, ticks, ranges, the panel. None of these keys is the notebook's.
    grid = view.get_by_role("grid")
    grid.locator("[aria-rowindex='2'] .hk-text").first.focus()
    for key in ("t", "ArrowDown", "Shift+ArrowDown", "Shift+ArrowDown"):
        press(key)
    says(view, "4 ticked")
    expected = "set(df.index[explorer.state.positions[:4]])"
    assert in_kernel(page, f"print(set(explorer.selected.index) == {expected})") == "True"
    press("Control+End")
    grid.locator("[aria-rowindex='100001']:not(.hk-waiting)").wait_for()
    press("t")
    says(view, "5 ticked")
    press("Control+Home")
    for key in ("b", "a", "d", "d", "x", "z", "m", "y"):
        press(key)
    press("Enter")
    panel = view.get_by_role("group", name="Row details")
    panel.get_by_text("Settings").wait_for()
    press("Escape")
    panel.wait_for(state="hidden")
    press("Control+a")
    says(view, "100,000 ticked")
    assert page.locator(".jp-Cell").count() == cells
    tab_to("^Untick all", "Shift+Tab")
    press("Enter")
    view.get_by_text("ticked").locator("visible=true").first.wait_for(state="hidden")

    # Rows to a file, after a question.
    view.get_by_role("searchbox", name="Search").focus()
    page.keyboard.type("the clock")
    says(view, f"^{found} of 100,000 rows")
    view.get_by_role("checkbox", name="Ask first").focus()
    press("Space")
    view.get_by_role("textbox", name="Path of the CSV file").focus()
    press("Enter")
    says(view, f"{found} rows would be written to rows.csv")
    tab_to("^Export CSV now")
    press("Enter")
    says(view, rf"^rows\.csv: {found} rows")
    assert (room / "rows.csv").exists()
    assert problems == []


def test_what_goes_wrong_is_one_line(page_of: Callable[..., Any], room: Path) -> None:
    (room / "file").write_text("no folder")
    page, problems = page_of(
        "import os\nos.environ.pop('ELEVENLABS_API_KEY', None)\n" + HISTORY,
        "explorer = small.speech.explore(state='state/explorer.json')\nexplorer",
        "gone = hk.HistoryClient('key', base_url='http://127.0.0.1:9', max_retries=0)\n"
        "small.speech.explore(client=gone)",
    )
    one, two = page.locator(".histkit-explorer").nth(0), page.locator(".histkit-explorer").nth(1)
    for view in (one, two):
        says(view, "^300 rows")
    (room / "state").write_text("no folder")
    one.get_by_role("row").nth(1).get_by_role("checkbox").click()
    says(one, "^The state is not saved")
    one.get_by_role("button", name="Close this message").click()
    one.locator(".hk-body .hk-play").first.click()
    says(one, "ELEVENLABS_API_KEY")
    for target in ("file", "file/audio"):
        one.get_by_role("textbox", name="Folder of the audio").fill(target)
        one.get_by_role("button", name="Pull audio", exact=True).click()
        says(one, r"^Pull audio: .*file")
    one.get_by_role("textbox", name="Path of the CSV file").fill("file/rows.csv")
    one.get_by_role("button", name="Export CSV", exact=True).click()
    says(one, r"^(Export CSV: )?.*file")
    two.locator(".hk-body .hk-play").first.click()
    says(two, "127.0.0.1")
    two.get_by_role("row").nth(5).get_by_role("checkbox").click()  # the message is over the first ones
    two.get_by_role("button", name="Pull audio", exact=True).click()
    says(two, "1 clip of 1 failed")
    assert "Traceback" not in page.locator(".jp-Notebook").inner_text()
    assert [entry.name for entry in room.iterdir() if entry.is_dir() and entry.name != "audio"] in (
        [],
        [".ipynb_checkpoints"],
    )
    assert problems == []
