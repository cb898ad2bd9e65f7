"""A JupyterLab server on loopback, and a notebook in a real Chromium."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_READY = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
_START = 90  # seconds until the server has an address, on a busy machine


@contextmanager
def lab(folder: Path, scratch: Path) -> Iterator[str]:
    """Run JupyterLab on a folder; yields the address of its pages, with the token and a place for theirs."""
    places = {
        name: str(scratch / name)
        for name in (
            "JUPYTER_RUNTIME_DIR",
            "JUPYTER_CONFIG_DIR",
            "JUPYTER_DATA_DIR",
            "IPYTHONDIR",
            "JUPYTERLAB_SETTINGS_DIR",
        )
    }
    news = Path(places["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--ip=127.0.0.1",
        "--port=0",
        "--allow-root",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.extension_manager=readonly",
    ]
    with (scratch / "lab.log").open("wb") as log:
        server = subprocess.Popen(command, env={**os.environ, **places}, stdout=log, stderr=log)
        try:
            yield _address(server, Path(places["JUPYTER_RUNTIME_DIR"]), scratch / "lab.log")
        finally:
            server.terminate()
            server.wait(30)


def _address(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    end = time.monotonic() + _START
    while time.monotonic() < end and server.poll() is None:
        for path in runtime.glob("jpserver-*.json"):
            try:
                facts = json.loads(path.read_text())
            except ValueError:  # being written
                break
            return f"http://127.0.0.1:{facts['port']}/lab/{{}}?token={facts['token']}"
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab didn't start: {log.read_text()[-2000:]}")


def write_notebook(path: Path, *cells: str) -> None:
    """Write a notebook of code cells."""
    import nbformat  # slow, and most tests run without it

    v4: Any = nbformat.v4
    notebook = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)


@contextmanager
def notebook_page(browser: Any, address: str, name: str, *, height: int = 1400) -> Iterator[tuple[Any, list[str]]]:
    """Open a notebook of a `lab` in a browser; yields the page, and the errors of its console as they come."""
    problems: list[str] = []
    with browser.new_context(viewport={"width": 1500, "height": height}) as context:
        page = context.new_page()
        page.set_default_timeout(45_000)
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        workspace = Path(name).with_suffix("").as_posix().replace("/", "-")  # where a page opens what was open before
        page.goto(address.format(f"workspaces/{workspace}/tree/{name}"))
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        page.wait_for_function(_READY)
        yield page, problems
        page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")


def run_all(page: Any) -> None:
    """Run all cells without waiting for their end."""
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")


def run_cell(page: Any, code: str) -> None:
    """Put code into the first cell and run it, without waiting for its end."""
    page.evaluate(
        """(code) => {
            const notebook = window.jupyterapp.shell.currentWidget.content;
            notebook.activeCellIndex = 0;
            notebook.widgets[0].model.sharedModel.setSource(code);
            window.jupyterapp.commands.execute('notebook:run-cell');
        }""",
        code,
    )


def restart(page: Any) -> None:
    """Take the outputs away and start the kernel again."""
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.wait_for_function(_READY)


def in_kernel(page: Any, code: str) -> str:
    """Run code in the notebook's kernel, and return what it printed."""
    printed: str = page.evaluate(
        """async (code) => {
            const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const future = kernel.requestExecute({code});
            let text = '';
            future.onIOPub = ({content}) => { text += content.text ?? content.evalue ?? ''; };
            await future.done;
            return text;
        }""",
        code,
    )
    return printed.strip()
