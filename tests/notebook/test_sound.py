"""Sound in the explorer, in JupyterLab in a real Chromium: by mouse and by keyboard, from the service and from disk."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from histkit.sandbox import Sandbox
from tests.axe import violations
from tests.notebook.conftest import client_cell

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
READ = (
    "df = hk.read_history(client=client, alignments=True, progress=False)\n"
    "pulled = hk.download_audio(df.head(1), 'audio', client=client, progress=False)"
)
EXPLORE = "explorer = df.speech.explore(client=client)\nexplorer"
STATE = "() => { const a = document.querySelector('.histkit-explorer audio'); return [a.currentTime, a.paused]; }"


def row(page: Any, number: int) -> Any:
    return page.locator(f".hk-body [aria-rowindex='{number + 2}']")


def plays(page: Any, button: Any) -> float:
    """Wait until sound is heard; returns where in the clip it is."""
    button.and_(page.locator("[aria-label^=Pause].hk-on")).wait_for()
    page.wait_for_function("() => document.querySelector('.histkit-explorer audio').currentTime > 0")
    first = page.evaluate(STATE)
    page.wait_for_function(f"() => document.querySelector('.histkit-explorer audio').currentTime > {first[0]} + 0.2")
    assert page.evaluate(STATE)[1] is False
    return float(page.evaluate(STATE)[0])


def test_rows_are_heard_by_mouse_and_by_keyboard(page_of: Callable[..., Any], box_of: Callable[..., Sandbox]) -> None:
    box = box_of(60, 2, alignments=True)
    page, problems = page_of(client_cell(box), READ, EXPLORE)
    row(page, 0).locator(".hk-play").wait_for()
    box.reset()

    row(page, 0).locator(".hk-play").click()  # from the folder
    plays(page, row(page, 0).locator(".hk-play"))
    assert box.requests() == []
    row(page, 0).locator(".hk-wave.hk-drawn").wait_for()
    box_of_wave = row(page, 0).locator(".hk-wave").bounding_box()
    page.mouse.click(box_of_wave["x"] + 0.8 * box_of_wave["width"], box_of_wave["y"] + 5)
    page.wait_for_function(
        "() => { const a = document.querySelector('.histkit-explorer audio'); "
        "return a.currentTime > 0.6 * a.duration; }"
    )
    row(page, 0).locator(".hk-play").click()
    page.wait_for_function("() => document.querySelector('.histkit-explorer audio').paused")

    row(page, 1).locator(".hk-text").first.click()  # from the service, by keys alone
    page.keyboard.press("Space")
    plays(page, row(page, 1).locator(".hk-play"))
    assert [asked["path"].rpartition("/")[2] for asked in box.requests()] == ["audio"]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    plays(page, row(page, 2).locator(".hk-play"))
    row(page, 1).locator("[aria-label^=Play]").wait_for()  # one at a time

    page.keyboard.press("Enter")
    panel = page.get_by_role("group", name="Row details")
    panel.get_by_text("Settings").wait_for()
    assert page.evaluate("() => document.activeElement.closest('.hk-panel') !== null")
    lit = panel.locator(".hk-lit")
    lit.wait_for()
    word = lit.inner_text()
    page.wait_for_function(f"() => document.querySelector('.hk-panel .hk-lit')?.innerText !== {word!r}")
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('.histkit-explorer audio').paused")
    assert violations(page.evaluate, "document.querySelector('.histkit-explorer')") == []
    page.keyboard.press("Escape")
    panel.wait_for(state="hidden")
    assert page.evaluate("() => document.activeElement.closest('.hk-row').getAttribute('aria-rowindex')") == "4"

    page.get_by_label("Play on").check()
    row(page, 2).locator(".hk-text").first.click()
    page.keyboard.press("Space")
    plays(page, row(page, 2).locator(".hk-play"))
    seek = page.get_by_role("group", name="Player").get_by_role("slider")
    seek.focus()
    page.keyboard.press("End")
    plays(page, row(page, 3).locator(".hk-play"))  # the next begins by itself

    box.close()
    row(page, 9).locator(".hk-play").click()
    page.get_by_role("alert").get_by_text(re.compile("No complete response")).wait_for()
    row(page, 2).locator(".hk-play").click()  # kept
    plays(page, row(page, 2).locator(".hk-play"))
    page.evaluate("() => { window.sound = document.querySelector('.histkit-explorer audio') }")
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    page.wait_for_function("() => window.sound.paused && !window.sound.isConnected")
    assert not problems
