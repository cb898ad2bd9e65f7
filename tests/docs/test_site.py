"""The documentation site tells the truth: its code and its commands run, and nothing public is left out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import histkit as hk
from histkit.cli import main
from histkit.sandbox import Sandbox

pytestmark = pytest.mark.any_pandas

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text("utf-8") for path in sorted(DOCS.rglob("*.md"))}
COMMANDS = [
    (page, command)
    for page, text in PAGES.items()
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    for command in re.findall(r"^\$ (.*)$", block, re.MULTILINE)
]
RULES = '[[rule]]\nlabel = "Acme"\nvoice = ["Rachel", "Roger"]\n'
PRICES = 'currency = "EUR"\n[[price]]\nper_1000_credits = "0.30"\n'


@pytest.mark.parametrize("page", [page for page, text in PAGES.items() if "```python" in text])
def test_the_code_of_a_page_runs(page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    try:
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", PAGES[page], re.DOTALL)):
            exec(compile(code, f"{page}, block {number}", "exec"), space)
    finally:
        for name in ("client", "box"):
            if name in space:
                space[name].close()


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_the_commands_of_a_page_run(
    page: str, command: str, shared_box: Sandbox, local: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ELEVENLABS_BASE_URL", shared_box.url)
    monkeypatch.setenv("ELEVENLABS_API_KEY", shared_box.api_key)
    words = shlex.split(command, comments=True)
    if words[1] != "sync":
        Path("data").mkdir()
        Path("data/history").symlink_to(local)
    Path("clients.toml").write_text(RULES)
    Path("prices.toml").write_text(PRICES)
    said = hk.load(local, voice="Rachel", columns=["text"])["text"].dropna()
    Path("chapter-1.txt").write_text("\n".join(" ".join(text.split()) for text in said.head(2)), "utf-8")
    if words[1] == "verify":
        run("pull", "--voice", "Rachel", "--limit", "2", "-o", words[2])
    assert words[0] == "histkit"
    run(*words[1:])


def run(*arguments: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output


def test_every_public_name_is_in_the_reference() -> None:
    written = re.findall(r"^::: histkit\.\S+\.(\w+)$", "\n".join(PAGES.values()), re.MULTILINE)
    assert sorted(written) == sorted([*(set(hk.__all__) - {"COLUMNS"}), "SpeechAccessor"])


def test_every_error_has_its_cure() -> None:
    rows = re.findall(r"^\| `(\w+Error)` \| (.+) \| (.+) \|$", PAGES["errors.md"], re.MULTILINE)
    assert sorted(row[0] for row in rows) == sorted(name for name in hk.__all__ if name.endswith("Error"))
