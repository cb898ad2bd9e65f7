"""Run the examples of README.md and docs/ and write below each one what it prints.

``python tools/examples.py [PAGE ...]`` rewrites the pages, ``--check`` exits with 1 where a page shows something else.

The blocks of a page run in order, in one empty folder, against a sandbox whose address and key are in the environment,
as ``histkit sandbox --items 3000`` prints them:

- ``python``: on a page of docs/ a notebook cell: names carry over, and the value of the last expression is shown,
  frames as Markdown tables, charts as pictures. In the README a program of its own.
- ``console``: each line behind ``$`` is run; the lines below it are its output. ``# exit code 4`` states another exit
  code than 0. Lines that start with a word of `SHOWN_ONLY` are not run.
- any block with ``title="name"`` is written to the file of that name.

The text block, table or picture directly below a python block is its output. Rewriting replaces it. What no two runs
share has a stand-in: a request id is ``...``, and the folder is ``/home/you``. The table of columns in docs/columns.md
is written from `histkit.COLUMNS`.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import io
import os
import pprint
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from click.testing import CliRunner
from markdown_it import MarkdownIt
from pandas.io.formats.style import Styler

import histkit as hk
from histkit.cli import main as command_line
from histkit.sandbox import Sandbox, serve

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
COLUMNS = DOCS / "columns.md"
ITEMS = 3000
HOME = "/home/you"
SHOWN_ONLY = ("export", "git", "make", "npm", "pip")
CELL_CHARACTERS = 60
TABLE_ROWS = 12
ENVIRONMENT = {"COLUMNS": "96", "LINES": "50", "MPLBACKEND": "agg", "TQDM_DISABLE": "1", "TZ": "UTC"}


@dataclass
class Block:
    """A fenced block of a page: its lines are ``start:end``, the fences included."""

    language: str
    title: str
    code: str
    start: int
    end: int


@dataclass
class Page:
    """A page whose examples run in one folder."""

    path: Path
    cells: bool  # python blocks share their names and show their value
    pictures: dict[str, Any] = field(default_factory=dict)  # path beside the page -> matplotlib figure

    def fresh(self, folder: Path, environment: dict[str, str]) -> str:
        """Run the page in `folder` and return its text with the outputs of this run."""
        text = self.path.read_text("utf-8")
        lines = text.split("\n")
        names: dict[str, Any] = {"__name__": "__main__"}
        result, copied = [], 0
        try:
            with settings(folder, environment):
                for block in blocks_of(text):
                    if block.start < copied:
                        continue  # an old output
                    result += lines[copied : block.start]
                    copied = block.end
                    if block.title:
                        Path(block.title).write_text(block.code, "utf-8")
                    if block.language == "console":
                        result += ["```console", *self.console(block), "```"]
                        continue
                    result += lines[block.start : block.end]
                    if block.language == "python":
                        copied = end_of_output(lines, block.end)
                        for shown in self.python(block, names):
                            result += ["", *shown.split("\n")]
        finally:
            for value in names.values():
                if isinstance(value, (hk.HistoryClient, Sandbox)):
                    value.close()
            plt.close("all")
        fresh = "\n".join([*result, *lines[copied:]])
        return fresh.replace(str(folder.resolve()), HOME).replace(str(folder), HOME)

    def python(self, block: Block, names: dict[str, Any]) -> list[str]:
        """Run a python block and return what it shows, each part as Markdown."""
        where = f"{self.path.name}, line {block.start + 1}"
        if not self.cells:
            code, output = run_program([sys.executable, "-u", "-"], block.code)
            if code:
                raise SystemExit(f"{where}: exit code {code}\n{output}")
            return fenced(output)
        tree = ast.parse(block.code, where)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        printed = io.StringIO()
        value = None
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            exec(compile(tree, where, "exec"), names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), where, "eval"), names)
        return [*fenced(printed.getvalue()), *self.shown(value)]

    def shown(self, value: Any) -> list[str]:
        """Return the Markdown that a notebook's display of `value` becomes."""
        if value is None or type(value).__module__.startswith("histkit.") or isinstance(value, Styler):
            return []  # the explorer and the like: the page has a picture of it
        if isinstance(value, pd.Series):
            value = value.rename(value.name or "value").reset_index()
        if isinstance(value, pd.DataFrame):
            return [table(value)]
        if hasattr(value, "get_figure"):
            name = f"pictures/{self.path.stem}-{len(self.pictures) + 1}.png"
            self.pictures[name] = value.get_figure()
            above = Path(*[".."] * len(self.path.parent.relative_to(DOCS).parts))
            return [f"![{value.get_title(loc='left') or value.get_title() or 'Chart'}]({(above / name).as_posix()})"]
        return fenced(value if isinstance(value, str) else pprint.pformat(value, width=96, sort_dicts=False))

    def console(self, block: Block) -> list[str]:
        """Run the commands of a console block and return its lines."""
        result = []
        for line in block.code.split("\n"):
            if not line.startswith("$ "):
                continue
            result.append(line)
            command, _, comment = line.removeprefix("$ ").partition(" # ")
            if command.split()[0] in SHOWN_ONLY:
                continue
            code, output = self.run(command)
            expected = re.search(r"exit code (\d+)", comment)
            if code != (int(expected[1]) if expected else 0):
                raise SystemExit(f"{self.path.name}: {command}: exit code {code}\n{output}")
            result += tidied(output)
        return result

    def run(self, command: str) -> tuple[int, str]:
        """Run one command; on a page of docs/ histkit runs in this process, which is faster."""
        words = shlex.split(command)
        if self.cells and words[0] == "histkit":
            done = CliRunner().invoke(command_line, words[1:], prog_name="histkit")
            return done.exit_code, done.output
        return run_program(["bash", "-c", command])


def run_program(command: list[str], text: str = "") -> tuple[int, str]:
    """Run a program on `text` and return its exit code and all that it prints."""
    done = subprocess.run(
        command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False
    )
    return done.returncode, done.stdout


def pages() -> list[Page]:
    """Return the README and all pages of docs/ that have examples."""
    found = [Page(README, cells=False)]
    for path in sorted(DOCS.rglob("*.md")):
        if re.search(r"^```(python|console)$", path.read_text("utf-8"), re.MULTILINE):
            found.append(Page(path, cells=True))
    return found


def blocks_of(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a Markdown text."""
    for token in MarkdownIt().parse(text):
        if token.type == "fence" and token.map:
            language, _, rest = token.info.partition(" ")
            title = re.search(r'title="([^"]+)"', rest)
            yield Block(language, title[1] if title else "", token.content, *token.map)


def with_columns(text: str) -> str:
    """Return a page with the table of columns written from `histkit.COLUMNS`."""
    lines = ["| column | dtype | from the API's | meaning |", "|---|---|---|---|"]
    for column in hk.COLUMNS:
        source = f"`{column.field}`" if column.field else ""
        lines.append(f"| `{column.name}` | `{column.pandas}` | {source} | {column.meaning} |")
    before, _, rest = text.partition("<!-- columns -->\n")
    return (
        before
        + "<!-- columns -->\n"
        + "\n".join(lines)
        + "\n<!-- /columns -->"
        + rest.partition("<!-- /columns -->")[2]
    )


def end_of_output(lines: list[str], start: int) -> int:
    """Return the line at which the output that begins at `start` ends; `start` where there is none."""
    end = at = start
    while True:
        while at < len(lines) and not lines[at]:
            at += 1
        if at == len(lines):
            return end
        if lines[at] == "```text":
            at = lines.index("```", at) + 1
        elif lines[at].startswith("|"):
            while at < len(lines) and (lines[at].startswith("|") or lines[at].startswith("*… ")):
                at += 1
        elif re.match(r"!\[.*\]\([./]*pictures/", lines[at]):
            at += 1
        else:
            return end
        end = at


def fenced(text: str) -> list[str]:
    """Return printed text as a fenced block, or nothing where nothing was printed."""
    lines = tidied(text)
    return ["\n".join(["```text", *lines, "```"])] if lines else []


def tidied(text: str) -> list[str]:
    """Return the lines of an output, without blank ones around it and trailing spaces."""
    text = re.sub(r"request id [0-9a-f]{32}", "request id ...", text)
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n").split("\n") if text.strip() else []


def table(frame: pd.DataFrame) -> str:
    """Return a frame as a Markdown table; long ones and long texts are cut, and say so."""
    if not isinstance(frame.index, pd.RangeIndex) and frame.index.name is not None:
        frame = frame.reset_index()
    numeric = [pd.api.types.is_numeric_dtype(kind) and kind != "boolean" for kind in frame.dtypes]
    lines = [
        "| " + " | ".join(str(name) for name in frame.columns) + " |",
        "|" + "|".join("---:" if number else "---" for number in numeric) + "|",
    ]
    for row in frame.head(TABLE_ROWS).itertuples(index=False, name=None):
        lines.append("| " + " | ".join(cell(value) for value in row) + " |")
    return "\n".join(lines)


def cell(value: Any) -> str:
    """Return one value as the text of a table's cell."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d" if value == value.normalize() else "%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{round(value, 4):.10g}"
    text = " ".join(str(value).split())
    text = text if len(text) <= CELL_CHARACTERS else text[: CELL_CHARACTERS - 1] + "…"
    return re.sub(r"([|*<\[\\`])", r"\\\1", text)


@contextlib.contextmanager
def settings(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """Work in `folder` with `environment` on top of this process's."""
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT | environment)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def run(page: Page) -> str:
    """Run a page in a folder of its own, against a sandbox of its own."""
    mpl.use("Agg")
    with tempfile.TemporaryDirectory() as folder, serve(items=ITEMS) as box:
        return page.fresh(Path(folder), {"ELEVENLABS_BASE_URL": box.url, "ELEVENLABS_API_KEY": box.api_key})


def difference(page: Page) -> str:
    """Return how a fresh run differs from what the page shows; empty where it doesn't."""
    shown = page.path.read_text("utf-8")
    return "\n".join(
        difflib.unified_diff(shown.split("\n"), run(page).split("\n"), str(page.path), "a fresh run", lineterm="")
    )


def main() -> None:
    """Rewrite or check the pages named on the command line, or all."""
    parser = argparse.ArgumentParser(description="Run the examples and write what they print.")
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--check", action="store_true", help="only compare")
    arguments = parser.parse_args()
    paths = {path.resolve() for path in arguments.paths}
    stale = False
    if not arguments.check:
        COLUMNS.write_text(with_columns(COLUMNS.read_text("utf-8")), "utf-8")
    for page in pages():
        if paths and page.path not in paths:
            continue
        print(page.path.relative_to(ROOT), file=sys.stderr)
        if arguments.check:
            changes = difference(page)
            print(changes, end="\n" if changes else "")
            stale |= bool(changes)
            continue
        page.path.write_text(run(page), "utf-8")
        for name, figure in page.pictures.items():
            (DOCS / name).parent.mkdir(exist_ok=True)
            figure.savefig(DOCS / name, dpi=110)
    sys.exit(stale)


if __name__ == "__main__":
    main()
