"""The explorer and the picker as people use them: in JupyterLab, in a real Chromium, down to the files on the disk."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import histkit as hk
from histkit.plotting.palette import contrast
from histkit.sandbox import Sandbox
from tests.axe import violations
from tests.jupyter import in_kernel, run_all
from tests.notebook.conftest import client_cell

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
READ = "df = hk.read_history(client=client, progress=False)"
EXPLORE = "explorer = df.speech.explore(client=client, tz='Europe/Berlin')\nexplorer"
PICK = "picker = df.speech.pick_takes(client=client)\npicker"
SHOW = "hk.show_usage(df.speech.usage('voice'))"
VIEW = ".histkit-explorer"


def says(view: Any, pattern: str) -> None:
    """Wait until a view shows a text."""
    view.get_by_text(re.compile(pattern)).locator("visible=true").first.wait_for()


def test_people_search_sort_brush_and_tick_and_the_next_cell_has_the_rows(
    page_of: Callable[..., Any], shared_box: Sandbox
) -> None:
    page, problems = page_of(client_cell(shared_box), READ, EXPLORE, "explorer")
    one, two = page.locator(VIEW).nth(0), page.locator(VIEW).nth(1)
    for view in (one, two):
        says(view, "^5,500 rows")
        view.get_by_role("row").nth(3).wait_for()
    total = in_kernel(page, "print(f'{df[\"credits\"].sum():,}')")
    assert f"{total} credits" in one.inner_text()

    one.get_by_role("columnheader", name="Credits").get_by_role("button", name="Credits").click()
    one.get_by_role("columnheader", name="Credits").get_by_role("button", name="Credits").click()
    one.locator("[role=columnheader][aria-sort=descending]").wait_for()
    most = in_kernel(page, "print(f'{df[\"credits\"].max():,}')")
    for view in (one, two):
        view.get_by_role("row").nth(1).get_by_text(most, exact=True).first.wait_for()

    one.get_by_role("row").nth(1).get_by_role("checkbox").click()
    one.get_by_role("row").nth(4).get_by_role("checkbox").click(modifiers=["Shift"])
    for view in (one, two):
        says(view, "4 ticked")
    order = "df.sort_values('credits', ascending=False, kind='stable')"
    code = f"print(set(explorer.selected.index) == set({order}.head(4).index), len(explorer.selected))"
    assert in_kernel(page, code) == "True 4"

    two.get_by_role("searchbox").fill("no such words")
    says(one, "No row passes the filters")
    says(one, "4 hidden")
    two.get_by_role("searchbox").fill("the clock")
    found = in_kernel(page, "print(f'{len(df.speech.filter(text=\"the clock\")):,}')")
    for view in (one, two):
        says(view, f"^{found} of 5,500 rows")
    assert in_kernel(page, "print(explorer.code)") == "df.speech.filter(text='the clock')"
    assert in_kernel(page, f"print(len(explorer.filtered), len(explorer.selected), {order}.index[0])").split()[1] == "4"

    in_kernel(
        page, "from histkit.notebook.filter_state import FilterState\nexplorer.service.change(filters=FilterState())"
    )
    for view in (one, two):
        says(view, "^5,500 rows")
    far = one.get_by_role("grid")
    far.evaluate("grid => { grid.scrollTop = grid.scrollHeight }")
    last = in_kernel(page, f"print({order}['credits'].dropna().iloc[-1])")
    one.get_by_role("row").last.get_by_text(last, exact=True).first.wait_for()
    assert problems == []


def test_people_brush_a_period_and_click_a_voice_in_the_chart(page_of: Callable[..., Any], shared_box: Sandbox) -> None:
    page, problems = page_of(client_cell(shared_box), READ, EXPLORE)
    view = page.locator(VIEW)
    says(view, "^5,500 rows")
    chart = view.get_by_role("group", name="Chart of usage")
    picture = chart.get_by_role("img")
    alt = in_kernel(page, "print(explorer.service.answer({'kind': 'chart'})[0]['alt'])")
    assert picture.get_attribute("aria-label") == alt

    # A drag over the chart; both ends are within a period.
    periods = int(in_kernel(page, "print(len(explorer.service.answer({'kind': 'chart'})[0]['periods']))"))
    chart.locator(".hk-chart-foot").scroll_into_view_if_needed()
    box = chart.locator(".hk-chart-bars").bounding_box()
    from_bin, to_bin = periods // 4, periods // 2
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + (from_bin + 0.5) * box["width"] / periods, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + (to_bin + 0.5) * box["width"] / periods, middle, steps=4)
    expected = in_kernel(
        page,
        "bounds = explorer.service.answer({'kind': 'chart'})[0]['bounds']\n"
        f"kept = df.speech.filter(after=bounds[{from_bin}][0], before=bounds[{to_bin}][1])\n"
        "print(f'{len(kept):,}')",
    )
    page.mouse.up()
    says(view, f"^{expected} of 5,500 rows")
    assert in_kernel(page, "print(explorer.filtered.index.equals(kept.index), len(kept) > 0)") == "True True"

    # A click on the lowest segment of a bar is one on its largest voice.
    view.locator(".hk-chart[aria-busy=false]").wait_for()
    tallest = in_kernel(
        page,
        "largest = explorer.service.answer({'kind': 'chart'})[0]['series'][0]\nvalues = largest['values']\n"
        "one = kept.speech.filter(voice=largest['key'])\n"
        "print(values.index(max(value or 0 for value in values)), len(values), len(one))",
    )
    place, periods, rows = (int(number) for number in tallest.split())
    chart.locator(".hk-chart-foot").scroll_into_view_if_needed()
    box = chart.locator(".hk-chart-bars").bounding_box()
    page.mouse.click(box["x"] + (place + 0.5) * box["width"] / periods, box["y"] + box["height"] - 3)
    says(view, f"^{rows:,} of 5,500 rows")
    assert in_kernel(page, "print(explorer.filtered.index.equals(one.index))") == "True"
    pressed = chart.locator(".hk-legend-item[aria-pressed=true]")
    pressed.wait_for()
    assert pressed.inner_text().startswith(in_kernel(page, "print(largest['label'])"))

    # The table has the numbers of the usage table, by keyboard.
    chart.get_by_role("button", name="Show as table").press("Enter")
    total = chart.locator(".hk-chart-table tfoot td").last.inner_text()
    assert total == in_kernel(page, 'print(f\'{one.speech.usage("voice")["credits"].sum():,}\')')
    chart.get_by_role("button", name="Show as chart").press("Enter")

    # By keyboard: the voice is let go, and an edge of the period moved.
    pressed.press("Enter")
    says(view, f"^{expected} of 5,500 rows")
    view.locator(".hk-chart[aria-busy=false]").wait_for()
    edge = chart.get_by_role("slider", name="Period of the chart from")
    start = edge.get_attribute("aria-valuetext")
    edge.press("ArrowRight")
    assert edge.get_attribute("aria-valuetext") != start
    fewer = in_kernel(
        page,
        "after = explorer.service.answer({'kind': 'chart'})[0]['bounds'][1][0]\n"
        "fewer = kept.speech.filter(after=after)\nprint(f'{len(fewer):,}')",
    )
    edge.press("Enter")
    says(view, f"^{fewer} of 5,500 rows")
    assert in_kernel(page, "print(explorer.filtered.index.equals(fewer.index))") == "True"
    edge.press("Escape")
    says(view, "^5,500 rows")

    # A theme switch: the colours are read again.
    colour = "span => getComputedStyle(span).backgroundColor"
    light = chart.locator(".hk-legend .hk-swatch").first.evaluate(colour)
    page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    changed = "light => getComputedStyle(document.querySelector('.hk-legend .hk-swatch')).backgroundColor !== light"
    page.wait_for_function(changed, arg=light)
    for swatch in chart.locator(".hk-legend .hk-swatch").all():
        red, green, blue = re.findall(r"\d+", swatch.evaluate(colour))
        assert contrast((int(red) / 255, int(green) / 255, int(blue) / 255), "#111111") >= 3
    page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")
    assert problems == []


def test_a_view_of_a_kernel_that_was_restarted_says_so(page_of: Callable[..., Any]) -> None:
    page, _ = page_of("import histkit as hk\ndf = hk.sample_history(300)", "df.speech.explore()")
    view = page.locator(VIEW)
    says(view, "^300 rows")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    view.get_by_role("searchbox").fill("the clock")
    says(view, "run this cell again")
    view.get_by_role("row").nth(1).get_by_text(re.compile("2026-")).first.wait_for()


def test_people_pull_in_the_background_cancel_and_go_on_while_the_kernel_is_free(
    page_of: Callable[..., Any], box_of: Callable[..., Sandbox], room: Path
) -> None:
    box = box_of(40, 4, audio_delay=0.6)
    small = "from histkit.notebook import job_actions\njob_actions.MANY_REQUESTS = 10"
    page, problems = page_of(client_cell(box), READ, small, EXPLORE, "explorer")
    one, two = page.locator(VIEW).nth(0), page.locator(VIEW).nth(1)
    says(two, "^40 rows")
    one.get_by_role("textbox", name="Folder of the audio").press("Enter")
    question = one.get_by_role("alertdialog")
    question.wait_for()
    assert "40 requests" in question.inner_text()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    for view in (one, two):
        says(view, r"Pull audio: [1-9]\d* of 40 clips")
    assert in_kernel(page, "print(6 * 7)") == "42"
    two.get_by_role("button", name="Cancel: Pull audio").click()
    for view in (one, two):
        says(view, r"Cancelled\. [1-9]\d* of 40 clips came")
    assert in_kernel(page, "print(explorer.manifest)") == "None"

    box.set(audio_delay=0)
    one.get_by_role("button", name="Pull audio", exact=True).click()
    one.get_by_role("button", name="Pull audio now").click()
    for view in (one, two):
        says(view, r"^audio: .*\d+ skipped.*explorer\.manifest has each row")
    statuses = "explorer.manifest['status'].isin(['done', 'skipped'])"
    assert in_kernel(page, f"print({statuses}.all(), len(explorer.manifest))") == "True 40"
    one.get_by_role("textbox", name="Path of the CSV file").press("Enter")
    says(two, r"^rows\.csv: 40 rows")
    assert hk.verify(room / "audio")["status"].tolist() == ["ok"] * 40
    assert len(hk.read_csv(room / "rows.csv")) == 40
    assert problems == []


def test_people_pick_takes_by_keyboard_alone(page_of: Callable[..., Any], shared_box: Sandbox) -> None:
    page, problems = page_of(client_cell(shared_box), READ, PICK, "picker")
    one, two = page.locator(VIEW).nth(0), page.locator(VIEW).nth(1)
    lines = int(in_kernel(page, "print(len(picker.lines))"))
    for view in (one, two):
        says(view, f"^Line 1 of {lines}$")
        says(view, f"^0 of {lines} chosen$")
    assert page.locator(".histkit-snapshot").count() == 2
    assert page.locator(".histkit-snapshot").locator("visible=true").count() == 0

    # The list has the focus first: keys of the notebook, such as 1 and b, are keys of the picker.
    cells = page.locator(".jp-Cell").count()
    one.get_by_role("listbox").focus()
    page.keyboard.press("1")
    one.locator(".hk-take.hk-current .hk-play.hk-on").wait_for()
    one.locator(".hk-take .hk-wave.hk-drawn").nth(1).wait_for()
    page.keyboard.press("2")
    one.locator(".hk-take.hk-current .hk-play.hk-on[aria-label='Pause take 2']").wait_for()
    moved = "() => document.querySelector('.histkit-picker audio').currentTime > 0"
    page.wait_for_function(moved)
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    for view in (one, two):
        says(view, f"^1 of {lines} chosen$")
    says(one, f"^Line 2 of {lines}$")
    rows = "takes[takes['line'] == picker.lines[{}]].sort_values('take')['history_item_id'].iloc[{}]"
    in_kernel(page, "takes = df.speech.takes()")
    assert in_kernel(page, f"print(picker.keep == [{rows.format(0, 1)}])") == "True"

    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    says(one, f"^2 of {lines} chosen$")
    assert in_kernel(page, f"print(picker.keep[1] == {rows.format(1, -2)})") == "True"
    page.keyboard.press("u")
    says(one, f"^1 of {lines} chosen$")
    says(one, f"^Line 2 of {lines}$")
    page.keyboard.press("ArrowUp")
    says(one, f"^Line 1 of {lines}$")
    page.keyboard.press("Delete")
    says(two, f"^0 of {lines} chosen$")
    page.keyboard.press("Control+z")
    says(two, f"^1 of {lines} chosen$")

    page.keyboard.press("/")
    page.keyboard.type("the clock")
    says(one, f"^[0-9]+ of {lines} lines$")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    says(one.locator(".hk-stage"), "[Tt]he clock")
    page.keyboard.press("Enter")
    for view in (one, two):
        says(view, f"^2 of {lines} chosen$")
    text = in_kernel(page, "print(takes.set_index('history_item_id').loc[picker.keep[1], 'text'])")
    assert "the clock" in text.lower()
    kept = "set(picker.keep) <= set(picker.keepers['history_item_id'])"
    assert in_kernel(page, f"print({kept}, picker.last_error)") == "True None"
    assert page.locator(".jp-Cell").count() == cells
    _every_control_has_a_name(page)
    assert violations(page.evaluate, "document.querySelector('.histkit-picker')") == []
    assert problems == []

    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    one.get_by_role("listbox").press("Enter")
    says(one, "run this cell again")


def test_people_see_usage_with_bars_and_players(page_of: Callable[..., Any], shared_box: Sandbox) -> None:
    page, problems = page_of(client_cell(shared_box), READ, SHOW, "hk.play(df.head(2), client=client)")
    page.locator(".histkit-players").first.wait_for()
    played = page.evaluate("""async () => {
        const sound = document.querySelector('.histkit-players audio');
        sound.muted = true;
        await sound.play();
        await new Promise(done => setTimeout(done, 400));
        return [sound.duration, sound.currentTime];
    }""")
    assert played[0] > 0
    assert played[1] > 0
    assert "linear-gradient" in page.locator("td[style], style", has_text="").evaluate_all(
        "all => all.map(each => each.outerHTML).join()"
    )
    _every_control_has_a_name(page)
    assert not problems


def _every_control_has_a_name(page: Any) -> None:
    nameless = page.evaluate("""() => [...document.querySelectorAll(
        '.jp-OutputArea-output :is(button, input, select, textarea)')].filter(each => {
            const labels = each.labels ? [...each.labels].map(label => label.innerText).join('') : '';
            return !(labels || each.innerText || each.getAttribute('aria-label') || each.title).trim();
        }).map(each => each.outerHTML.slice(0, 200))""")
    assert nameless == []


def test_a_notebook_that_is_opened_again_shows_the_page_it_kept(
    page_of: Callable[..., Any], shared_box: Sandbox
) -> None:
    explore = "explorer = df.speech.explore(client=client, state='explorer.json')\nexplorer"
    page, problems = page_of(client_cell(shared_box), READ, explore)
    view, kept = page.locator(VIEW), page.locator(".histkit-snapshot")
    says(view, "^5,500 rows")
    assert not kept.is_visible()
    view.get_by_role("searchbox").fill("the clock")
    says(view, "^[0-9,]+ of 5,500 rows")
    view.get_by_role("row").nth(1).get_by_role("checkbox").click()
    says(view, "1 ticked")
    page.evaluate("() => { window.view = document.querySelector('.histkit-explorer') }")
    page.wait_for_function("() => document.querySelector('.histkit-snapshot').textContent.includes('1 ticked')")
    assert page.evaluate("() => window.view === document.querySelector('.histkit-explorer')")
    assert not kept.is_visible()
    assert problems == []
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.reload()
    kept.wait_for()
    assert "Run this cell to continue." in kept.inner_text()
    assert "of 5,500 rows" in kept.inner_text()
    assert "Filters: text “the clock”" in kept.inner_text()
    assert kept.locator("table.histkit-rows tr").count() == 26
    assert kept.locator("img").first.evaluate("image => image.naturalWidth") == 720
    assert page.get_by_text("Error displaying widget").locator("visible=true").count() == 0

    run_all(page)
    says(view, "of 5,500 rows")
    says(view, "1 ticked")
    assert view.get_by_role("searchbox").input_value() == "the clock"
    assert not kept.is_visible()
    in_kernel(page, "import os, threading; threading.Timer(0.5, os._exit, [1]).start()")
    view.get_by_role("searchbox").fill("the")
    says(view, "run this cell again")
