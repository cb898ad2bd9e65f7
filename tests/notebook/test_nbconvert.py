"""What is left of an explorer in a saved notebook, and in the page that nbconvert makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import histkit as hk
from tests.browser import running_browser
from tests.jupyter import write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
CHANGED = (
    "from histkit.notebook.filter_state import FilterState\nimport time\n"
    "explorer.service.change(filters=FilterState(text='the clock'))\n"
    "before = explorer.filtered\ntime.sleep(4)"
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that runs cells in a real kernel, and returns the notebook."""
    import nbformat  # slow, and most tests run without it
    from nbclient import NotebookClient

    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")

    def run(*cells: str) -> Any:
        path = tmp_path / "look.ipynb"
        write_notebook(path, *cells)
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
        return notebook

    return run


def test_a_converted_notebook_is_readable_and_shows_the_last_state(run: Callable[..., Any], tmp_path: Path) -> None:
    from nbconvert import HTMLExporter

    notebook = run(
        "import histkit as hk\ndf = hk.sample_history(300)\nexplorer = df.speech.explore()\nexplorer", CHANGED
    )
    page = tmp_path / "look.html"
    page.write_text(HTMLExporter().from_notebook_node(notebook)[0], "utf-8")
    kept = hk.sample_history(300).speech.filter(text="the clock")
    with running_browser() as browser, browser.new_context(offline=True) as context:
        shown = context.new_page()
        shown.goto(page.as_uri())
        snapshot = shown.locator(".histkit-snapshot")
        text = snapshot.inner_text()
        assert "Run this cell to continue." in text
        assert f"{len(kept):,} of 300 rows, {kept['credits'].sum():,} credits" in text
        assert "df.speech.filter(text='the clock')" in text
        assert snapshot.locator("table.histkit-rows tr").count() == 1 + min(len(kept), 25)
        assert kept["text"].iloc[0][:40] in text
        assert snapshot.locator("img").first.evaluate("image => image.naturalWidth") == 720
        assert shown.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_a_notebook_without_texts_has_none_anywhere(run: Callable[..., Any]) -> None:
    cells = "import histkit as hk\ndf = hk.sample_history(300)\nexplorer = df.speech.explore(keep=False)\nexplorer"
    saved = json.dumps(run(cells, CHANGED.replace("the clock", "the c.ock")), ensure_ascii=False)
    assert "Run this cell to continue." in saved
    outputs = saved.replace(json.dumps(CHANGED.replace("the clock", "the c.ock"))[1:-1], "")
    assert "c.ock" not in outputs
    df = hk.sample_history(300)
    texts = [text for text in df["text"].dropna() if len(text) > 20]
    assert len(texts) > 200
    for text in texts:
        for start in range(0, len(text) - 20, 20):
            assert json.dumps(text[start : start + 20], ensure_ascii=False)[1:-1] not in outputs
