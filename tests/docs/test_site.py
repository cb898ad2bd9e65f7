"""README and documentation tell the truth: they show what their examples print, and nothing public is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import histkit as hk
from tools import examples

DOCS = examples.DOCS
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text("utf-8") for path in sorted(DOCS.rglob("*.md"))}
EXAMPLES = examples.pages()


@pytest.mark.parametrize("page", EXAMPLES, ids=[page.path.stem for page in EXAMPLES])
def test_a_page_shows_what_its_examples_print(page: examples.Page) -> None:
    assert examples.difference(page) == "", "`make examples` writes it again"


def test_each_picture_of_a_page_is_there_and_each_file_is_shown() -> None:
    shown = set()
    for name, text in {**PAGES, "../README.md": examples.README.read_text("utf-8")}.items():
        for link in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text):
            picture = (DOCS / name).parent.joinpath(link).resolve()
            assert picture.read_bytes().startswith(b"\x89PNG"), (name, link)
            shown.add(picture)
    assert shown == set(DOCS.resolve().rglob("*.png"))


def test_a_stale_output_and_a_block_that_fails_are_noticed(tmp_path: Path) -> None:
    page = examples.Page(tmp_path / "page.md", cells=False)
    page.path.write_text("```python\nprint(6 * 7)\n```\n\n```text\n41\n```\n\nAnd on.\n")
    assert "-41\n+42" in examples.difference(page)
    page.path.write_text(page.fresh(tmp_path, {}))
    assert examples.difference(page) == ""
    page.path.write_text("```python\nraise SystemExit(3)\n```\n")
    with pytest.raises(SystemExit, match="line 1: exit code 3"):
        page.fresh(tmp_path, {})
    page.path.write_text("```console\n$ histkit usage --history nowhere\n```\n")
    page.cells = True  # in this process, which is faster
    with pytest.raises(SystemExit, match="exit code 1"):
        page.fresh(tmp_path, {})


def test_the_column_table_is_the_packages() -> None:
    table = PAGES["columns.md"].partition("<!-- columns -->\n")[2].partition("\n<!-- /columns -->")[0]
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert [row[:2] for row in rows] == [[column.name, column.pandas] for column in hk.COLUMNS]
    assert [row[3] for row in rows] == [column.meaning.strip(" `") for column in hk.COLUMNS]


def test_the_comparison_with_the_official_tools_is_one_table() -> None:
    shown = [
        re.search(r"<!-- official -->\n(.+?)\n<!-- /official -->", text, re.DOTALL)
        for text in (examples.README.read_text("utf-8"), PAGES["benchmarks.md"])
    ]
    assert shown[0] is not None
    assert shown[1] is not None
    assert shown[0][1] == shown[1][1]
    assert len(shown[0][1].splitlines()) == 2 + 5


def test_every_public_name_is_in_the_reference() -> None:
    written = re.findall(r"^::: histkit\.(?:accessor\.)?(\w+)$", "\n".join(PAGES.values()), re.MULTILINE)
    assert sorted(written) == sorted([*(set(hk.__all__) - {"COLUMNS"}), "SpeechAccessor"])
    beside = re.findall(r"^::: (histkit\.(?:dask|sandbox)\.\w+)$", PAGES["reference/beside.md"], re.MULTILINE)
    assert beside == ["histkit.dask.DaskSpeechAccessor", "histkit.sandbox.serve", "histkit.sandbox.Sandbox"]


def test_every_error_has_its_cure() -> None:
    rows = re.findall(r"^\| `(\w+Error)` \| (.+) \| (.+) \|$", PAGES["errors.md"], re.MULTILINE)
    assert sorted(row[0] for row in rows) == sorted(name for name in hk.__all__ if name.endswith("Error"))
