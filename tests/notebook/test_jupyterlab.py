"""The explorer and the picker as people use them: in JupyterLab, in a real Chromium, down to the files on the disk."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

import histkit as hk
from histkit.sandbox import Sandbox
from tests.browser import chromium
from tests.jupyter import lab, notebook_page, run_all, write_notebook

pytestmark = [pytest.mark.any_pandas, pytest.mark.browser, pytest.mark.timeout(240)]
CELLS = (
    "import os\nimport histkit as hk\nclient = hk.HistoryClient(os.environ['SANDBOX_KEY'], "
    "base_url=os.environ['SANDBOX_URL'])\ndf = hk.read_history(client=client, progress=False)",
    "explorer = df.speech.explore(client=client)\nexplorer",
    "picker = df.speech.pick_takes(client=client)\npicker",
    "hk.show_usage(df.speech.usage('voice'))",
)


def test_people_filter_listen_tick_pull_and_zip(
    shared_box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chromium()
    monkeypatch.setenv("SANDBOX_KEY", shared_box.api_key)
    monkeypatch.setenv("SANDBOX_URL", shared_box.url)
    room = tmp_path / "room"
    room.mkdir()
    write_notebook(room / "look.ipynb", *CELLS)
    with lab(room, tmp_path) as address, notebook_page(address, "look.ipynb") as (page, problems):
        run_all(page)
        rows = page.locator("table.histkit-rows tbody tr")
        rows.first.wait_for()
        assert rows.count() == 25

        page.get_by_label("Voice").select_option(label=_starting(page, "Voice", "Rachel"))
        page.get_by_text(re.compile(r"^[\d,]+ of 5,500 rows")).wait_for()
        page.wait_for_function(
            "[...document.querySelectorAll('table.histkit-rows tbody tr')].every(row => "
            "row.cells[2].innerText === 'Rachel')"
        )
        rows.nth(1).click()
        rows.nth(3).click()
        page.keyboard.press("Tab")  # and by the keyboard alone: on to the next row, which the space bar ticks
        page.keyboard.press("Space")
        page.get_by_text(re.compile("3 ticked")).wait_for()
        _every_control_has_a_name(page)

        page.get_by_role("button", name=re.compile("Listen$")).click()
        players = page.locator(".histkit-players audio")
        players.first.wait_for()
        assert players.count() == 3
        played = page.evaluate("""async () => {
            const sound = document.querySelector('.histkit-players audio');
            sound.muted = true;
            await sound.play();
            await new Promise(done => setTimeout(done, 400));
            return [sound.duration, sound.currentTime];
        }""")
        assert played[0] > 0
        assert played[1] > 0

        page.get_by_role("textbox", name="Folder").fill("")
        page.get_by_role("button", name="Pull audio").click()
        page.get_by_role("status").get_by_text(re.compile("A path must be")).wait_for()
        assert page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
        page.get_by_role("textbox", name="Folder").fill("audio")
        page.get_by_role("button", name="Pull audio").click()
        page.get_by_text(re.compile("audio: 3 done")).wait_for()
        page.get_by_role("button", name="Make zip").click()
        page.get_by_text(re.compile(r"audio\.zip: 3 done")).wait_for()
        page.get_by_role("button", name="Export CSV").click()
        page.get_by_text(re.compile(r"rows\.csv: 3 ticked rows")).wait_for()
        assert page.get_by_text(re.compile("df.speech.filter")).count() >= 1

        page.get_by_role("radio").first.check()
        page.get_by_text(re.compile("Of lines without a choice")).wait_for()
        page.get_by_role("button", name="Listen to all").click()
        page.locator(".histkit-players").nth(1).wait_for()
        assert "linear-gradient" in page.locator("td[style], style", has_text="").evaluate_all(
            "all => all.map(each => each.outerHTML).join()"
        )
        assert not problems
    files = [path for path in (room / "audio").rglob("*.mp3")]
    assert len(files) == 3
    assert hk.verify(room / "audio")["status"].tolist() == ["ok"] * 3
    with zipfile.ZipFile(room / "audio.zip") as file:
        assert file.testzip() is None
        assert len(file.namelist()) == 4
    exported = hk.read_csv(room / "rows.csv")
    assert set(exported["voice_name"]) == {"Rachel"}
    assert len(exported) == 3


def _starting(page: Any, label: str, start: str) -> str:
    options: list[str] = page.get_by_label(label).locator("option").all_inner_texts()
    return next(option for option in options if option.startswith(start))


def _every_control_has_a_name(page: Any) -> None:
    nameless = page.evaluate("""() => [...document.querySelectorAll(
        '.jp-OutputArea-output :is(button, input, select, textarea)')].filter(each => {
            const labels = each.labels ? [...each.labels].map(label => label.innerText).join('') : '';
            return !(labels || each.innerText || each.getAttribute('aria-label') || each.title).trim();
        }).map(each => each.outerHTML.slice(0, 200))""")
    assert nameless == []
