"""The README is short, and the notebooks run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_the_readme_can_be_read_to_its_end() -> None:
    lines = README.splitlines()
    assert len(lines) <= 150
    assert lines.index("```python") < 20
    assert README.count("![") == 2


def parameter(path: Path) -> Any:
    """The first notebook runs in ``make test``, the others in ``make browser``: each takes a kernel."""
    return pytest.param(path, marks=[] if path.stem == "quickstart" else pytest.mark.browser, id=path.name)


@pytest.mark.parametrize("path", [parameter(path) for path in NOTEBOOKS])
def test_a_notebook_runs_and_is_committed_without_outputs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat  # slow, and most tests run without it
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    assert not [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]
    monkeypatch.setitem(os.environ, "PYDEVD_DISABLE_FILE_VALIDATION", "1")
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 1
