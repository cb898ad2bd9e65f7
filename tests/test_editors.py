"""What editors see: keywords after the bracket of a call, and types that a strict checker reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import histkit as hk
from histkit.accessor import SpeechAccessor
from tests.effort import some
from tests.test_accessor import METHODS, parameters_of


@pytest.mark.parametrize("method", some(METHODS, "filter", "usage", "plot_usage", "download_audio", "explore"))
def test_completion_in_a_call_offers_every_keyword(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """In IPython, as Tab does after the bracket: each parameter that has a name, with its ``=``."""
    from IPython.core.completer import provisionalcompleter
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.testing.globalipapp import start_ipython

    monkeypatch.delenv("VIRTUAL_ENV", raising=False)  # IPython warns when another environment is activated
    shell: InteractiveShell = start_ipython() or InteractiveShell.instance()
    shell.user_ns["df"] = hk.sample_history(5)
    with provisionalcompleter():
        line = f"df.speech.{method}("
        offered = {completion.text for completion in shell.Completer.completions(line, len(line))}
    assert offered >= {f"{parameter.name}=" for parameter in parameters_of(getattr(SpeechAccessor, method))}


USER_SCRIPT = """
import histkit as hk
from histkit import errors, sandbox

version: str = hk.__version__
history = hk.sync("data/history", full=True)
again = hk.load("data/history", after="2026-10-01", voice=["Rachel"])
table = hk.usage_table(again, ["voice", "model"], "W", tz="Europe/Berlin", top=5, compare="previous")
costs = hk.cost_table(again, prices={"currency": "EUR"}, freq=None)
try:
    hk.read_history(limit=10, client=hk.HistoryClient("key"))
except (hk.PaginationError, errors.ApiError, hk.HistkitError) as error:
    print(str(error))
axes = hk.plot_usage(again, "voice", measure="characters", kind="bar")
axes.set_title("voices")
hk.download_audio(again, "audio", format="wav", dry_run=True)
with sandbox.serve(items=10) as box:
    print(box.url, hk.COLUMNS[0].name)
"""


def test_a_strict_type_checker_reads_the_public_names(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(USER_SCRIPT)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "script.py"]
    # pandas has no type information of its own that mypy reads; that is not what is checked here
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\n[mypy-pandas.*]\nignore_missing_imports = true\nfollow_imports = skip\n")
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.stdout.startswith("Success"), result.stdout + result.stderr
