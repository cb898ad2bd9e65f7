"""What the tests of the commands share: a run in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from histkit.cli import main


def run(*arguments: str, code: int = 0) -> Result:
    """Run a command, which must end with an exit code and without a traceback."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result
