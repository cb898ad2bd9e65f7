"""Fixtures: notebooks in one JupyterLab."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from histkit.sandbox import Sandbox
from tests.browser import chromium, running_browser
from tests.jupyter import lab, notebook_page, run_all, write_notebook


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A server; the folder of its notebooks, and the address of its pages."""
    chromium()
    scratch = tmp_path_factory.mktemp("lab")
    room = scratch / "room"
    room.mkdir()
    with lab(room, scratch) as address:
        yield room, address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real Chromium, without pages."""
    with running_browser() as running:
        yield running


@pytest.fixture
def room(jupyterlab: tuple[Path, str], tmp_path: Path) -> Path:
    """The folder of the test's notebook."""
    folder = jupyterlab[0] / tmp_path.name
    folder.mkdir()
    return folder


@pytest.fixture
def page_of(jupyterlab: tuple[Path, str], browser: Any, room: Path) -> Iterator[Callable[..., tuple[Any, list[str]]]]:
    """Return a function that runs cells in JupyterLab, and returns the page and the errors of its console."""
    with ExitStack() as stack:

        def start(*cells: str) -> tuple[Any, list[str]]:
            write_notebook(room / "look.ipynb", *cells)
            opened = notebook_page(browser, jupyterlab[1], f"{room.name}/look.ipynb")
            page, problems = stack.enter_context(opened)
            run_all(page)
            return page, problems

        yield start


def client_cell(box: Sandbox) -> str:
    """The code of a client of a sandbox."""
    return f"import histkit as hk\nclient = hk.HistoryClient({box.api_key!r}, base_url={box.url!r})"
