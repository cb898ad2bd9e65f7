"""The bars of the start: whole processes, from the shell's call to their end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.bars import Bar

AIM = 0.25  # seconds


def _process(*arguments: str) -> Iterator[None]:
    command = [sys.executable, *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # compiles what is not compiled yet
    yield None
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    yield None


def help_(folder: str) -> Iterator[None]:
    """Print the list of commands."""
    return _process("-m", "histkit.cli", "--help")


def help_of_a_command(folder: str) -> Iterator[None]:
    """Print the help of the command with most options."""
    return _process("-m", "histkit.cli", "statement", "--help")


def click_alone(folder: str) -> Iterator[None]:
    """Print the help of the least program of click."""
    return _process("-c", "import sys, click; sys.argv[1:] = ['--help']; click.command()(lambda: None)()")


def client(folder: str) -> Iterator[None]:
    """Make a client, which imports requests."""
    return _process("-c", "import histkit; histkit.HistoryClient('key')")


def requests_alone(folder: str) -> Iterator[None]:
    """Import requests, which a client by hand would use."""
    return _process("-c", "import requests")


def pandas_and_histkit(folder: str) -> Iterator[None]:
    """Import both; frames have their accessor."""
    return _process("-c", "import pandas, histkit; pandas.DataFrame.speech")


def pandas_alone(folder: str) -> Iterator[None]:
    """Import pandas."""
    return _process("-c", "import pandas")


BARS = (
    Bar("`histkit --help`, the process", help_, {"one command of click": click_alone}, aim=AIM),
    Bar("`histkit statement --help`, the process", help_of_a_command, {"one command of click": click_alone}, aim=AIM),
    Bar("`import histkit; histkit.HistoryClient(key)`, the process", client, {"requests": requests_alone}, aim=AIM),
    Bar(
        "`import pandas, histkit`, the process",
        pandas_and_histkit,
        {"pandas": pandas_alone},
        aim=1.1,
        of="pandas",
    ),
)
