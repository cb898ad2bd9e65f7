"""The child process of a sandbox: ``python -m histkit.sandbox``, started by `histkit.sandbox.serve`.

It reads its configuration as one line of JSON from standard input, writes one line with its port, and ends when the
input is closed: when the parent process closes the sandbox, exits or is killed.
"""

import json
import os
import signal
import sys
import threading
import warnings

from histkit.sandbox.server import Server


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def main() -> int:
    """Serve until the standard input is closed."""
    # Ctrl-C reaches all processes of the terminal; the parent decides when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.filterwarnings("ignore", message="Duplicate name", category=UserWarning)
    line = sys.stdin.buffer.readline()
    if not line:
        return 2
    try:
        server = Server(json.loads(line))
    except (OSError, ValueError, OverflowError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    print(json.dumps({"port": server.server_port}), flush=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
