"""Sandboxes forked from a process that has imported everything: each costs a tenth of one that starts from nothing."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from typing import Any

from histkit.sandbox import Sandbox
from histkit.sandbox.process import SETUP

# Each order carries the ends of two pipes; the answer is the pid of the child that serves on them.
_PARENT = """
import os, socket
import histkit.sandbox.__main__ as sandbox
from histkit.sandbox.rows import page_bytes, rows

rows(100, 0)
orders = socket.socket(fileno=int(sys.argv[1]))
while True:
    order, pipes, _, _ = socket.recv_fds(orders, 1, 2)
    if not order:
        break
    pid = os.fork()
    if not pid:
        orders.close()
        os.dup2(pipes[0], 0)
        os.dup2(pipes[1], 1)
        os.closerange(3, 256)
        try:
            os._exit(sandbox.main())
        finally:
            os._exit(1)
    for pipe in pipes:
        os.close(pipe)
    orders.sendall(pid.to_bytes(4, "big"))
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
"""


class ForkedProcess:
    """The part of `subprocess.Popen` that a sandbox needs, for a process that is another one's child."""

    def __init__(self, pid: int, stdin: int, stdout: int) -> None:
        self.pid = pid
        self.stdin, self.stdout = os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb")
        self._handle = os.pidfd_open(pid)
        self._ended = False

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends."""
        if not self._ended:
            if not select.select([self._handle], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("sandbox", timeout or 0)
            self._ended = True
            os.close(self._handle)
        return 0

    def poll(self) -> int | None:
        """Return None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End it."""
        if not self._ended:
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)


class SandboxForks:
    """Starts sandboxes; ``serve`` has the arguments of `histkit.sandbox.serve`."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-c", SETUP + _PARENT, str(theirs.fileno())]
            self._parent = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])

    def close(self) -> None:
        """End the process that they are forked from."""
        self._orders.close()
        self._parent.wait()

    def serve(self, items: int = 1000, seed: int = 0, *, alignments: bool = False, **faults: Any) -> Sandbox:
        """Start a sandbox."""
        forks = self

        class ForkedSandbox(Sandbox):
            def _spawn(self) -> Any:
                return forks.fork()

        return ForkedSandbox(items, seed, 0, alignments, faults)

    def fork(self) -> ForkedProcess:
        """Fork a process that waits for a sandbox's configuration."""
        (inside, stdin), (stdout, outside) = os.pipe(), os.pipe()
        socket.send_fds(self._orders, [b"1"], [inside, outside])
        pid = int.from_bytes(self._orders.recv(4), "big")
        os.close(inside)
        os.close(outside)
        return ForkedProcess(pid, stdin, stdout)
