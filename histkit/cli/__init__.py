"""The command line: ``histkit``, from `histkit.cli.app`."""

from histkit.cli.app import main

__all__ = ["main"]
