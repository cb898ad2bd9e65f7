"""Ctrl-C: one line that says what is safe, and exit code 130."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from histkit.sandbox import Sandbox


@pytest.mark.parametrize(
    ("command", "faults", "line"),
    [
        (["sync"], {"latency": 0.3}, "Interrupted. What was read is kept; run it again to resume."),
        (["pull"], {"audio_delay": 0.3}, "Interrupted. Finished clips are kept; run it again to resume."),
        (["usage"], {"latency": 30.0}, "Interrupted. Files are complete or as they were; run it again."),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
def test_ctrl_c_says_what_is_safe(
    box_of: Callable[..., Sandbox], tmp_path: Path, command: list[str], faults: dict[str, float], line: str
) -> None:
    box = box_of(items=3000, **faults)
    environment = {**os.environ, "ELEVENLABS_API_KEY": box.api_key, "ELEVENLABS_BASE_URL": box.url}
    process = subprocess.Popen(
        [sys.executable, "-m", "histkit.cli", *command],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not box.requests():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 130, messages
    assert f"histkit: {line}" in messages.decode()
    assert b"Aborted" not in messages
    assert b"Traceback" not in messages
