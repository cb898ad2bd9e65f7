"""``python -m histkit.cli``: the same as the command ``histkit``."""

from histkit.cli.app import main

main()
