"""Help, versions, completion and wrong command lines load click alone; each command has the work that it names."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys

import pytest

from histkit.cli import main
from histkit.cli.history import _WRITERS
from histkit.cli.options import EXPORT_FORMATS

HEAVY = {"pandas", "numpy", "pyarrow", "matplotlib", "requests", "urllib3", "rich", "jinja2", "msgspec", "tqdm", "dask"}
PROGRAM = """
import json, sys
from histkit.cli import main
codes = []
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except SystemExit as end:
        codes.append(end.code)
print(json.dumps([codes, sorted({name.split('.')[0] for name in sys.modules})]), file=sys.__stderr__)
"""


def loaded_by(*command_lines: list[str], **environment: str) -> tuple[list[int], set[str]]:
    """Run command lines in one new process; return their exit codes, and the packages that it imported."""
    import json

    command = [sys.executable, "-c", PROGRAM, json.dumps(command_lines)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})
    codes, modules = json.loads(done.stderr.splitlines()[-1])
    return codes, set(modules)


def test_the_help_of_every_command_loads_nothing_heavy() -> None:
    lines = [["--help"], ["-h"], ["--version"], *([name, "--help"] for name in main.commands)]
    codes, modules = loaded_by(*lines)
    assert codes == [0] * len(lines)
    assert not HEAVY & modules


def test_a_wrong_command_line_loads_nothing_heavy() -> None:
    lines = [["dance"], ["--wrong"], *([name, "--wrong"] for name in main.commands)]
    lines += [["usage", "monthy"], ["export", "--format", "exe"], ["pull", "--sample-rate", "1"], ["sync", "s3://a"]]
    codes, modules = loaded_by(*lines)
    assert codes == [2] * (len(lines) - 1) + [1]
    assert not HEAVY & modules


def test_a_command_loads_what_it_needs_when_it_runs() -> None:
    codes, modules = loaded_by(["check", "/no/such/folder"])
    assert codes == [1]
    assert "pandas" in modules


def test_completion_of_a_shell_loads_nothing_heavy() -> None:
    program = (
        "import atexit, sys; atexit.register(lambda: print(*{name.split('.')[0] for name in sys.modules}, "
        "file=sys.stderr)); from histkit.cli import main; main(prog_name='histkit')"
    )
    words = {"_HISTKIT_COMPLETE": "bash_complete", "COMP_WORDS": "histkit statements --fo", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**os.environ, **words}
    )
    assert "plain,--format" in done.stdout.split()
    assert not HEAVY & set(done.stderr.split())


@pytest.mark.parametrize("name", sorted(main.commands))
def test_a_command_runs_the_function_that_takes_its_options(name: str) -> None:
    command = main.commands[name]
    names = {parameter.name for parameter in command.params}
    assert command.callback is not None
    source = inspect.getsource(command.callback)
    found = re.search(r"^    from (histkit\.cli\.\w+) import (\w+)", source, re.MULTILINE)
    assert found is not None
    module = __import__(found[1], fromlist=[found[2]])
    parameters = inspect.signature(getattr(module, found[2])).parameters.values()
    taken = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
    assert taken <= names
    assert taken == names or any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def test_each_format_of_export_has_a_writer() -> None:
    assert tuple(_WRITERS) == EXPORT_FORMATS
