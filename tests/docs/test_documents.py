"""README and notebooks tell the truth: their code runs, the column table is the package's."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import histkit as hk

pytestmark = pytest.mark.any_pandas

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("number", range(len(re.findall(r"```python\n", README))))
def test_the_readmes_code_runs(number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[number]
    exec(compile(code, f"README block {number}", "exec"), {})


def test_the_readme_shows_code_before_line_20() -> None:
    assert README.splitlines().index("```python") < 20
    assert "![" in README


def test_the_readmes_column_table_is_the_packages() -> None:
    table = README.partition("<!-- columns -->\n")[2].partition("\n<!-- /columns -->")[0]
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert [row[:2] for row in rows] == [[column.name, column.pandas] for column in hk.COLUMNS]
    assert [row[3] for row in rows] == [column.meaning.strip(" `") for column in hk.COLUMNS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_and_is_committed_without_outputs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert not [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]
    monkeypatch.setitem(os.environ, "PYDEVD_DISABLE_FILE_VALIDATION", "1")
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 1
