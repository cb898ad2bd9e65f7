"""Run one contender in a process of its own and print what it took, as JSON: seconds, rows, peak memory."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def main() -> None:
    """Arguments: contender, url, key, workers, alignments (0 or 1)."""
    name, url, key, workers, alignments = sys.argv[1:]
    from benchmarks.contenders import CONTENDERS

    contender = CONTENDERS[name]
    if name == "histkit":  # imports are measured apart, for every contender
        import histkit.fetch.reader  # noqa: F401
    elif name == "official SDK":
        import elevenlabs.history.client  # noqa: F401
    else:
        import requests  # noqa: F401
    started = time.perf_counter()
    df = contender(url, key, int(workers), alignments == "1")
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "rows": len(df), "peak_mb": peak_megabytes()}))


def peak_megabytes() -> float:
    """Return the peak memory of this process (``ru_maxrss`` would count the process that it was forked from)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
