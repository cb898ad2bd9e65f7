"""Run one side in a process of its own and print what it took, as JSON: seconds, processor seconds, memory, value.

Arguments: module, function, folder.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path

from benchmarks.measure import peak_megabytes


def main() -> None:
    """Measure from the first ``yield`` of the side to its second."""
    module, function, folder = sys.argv[1:]
    steps = getattr(importlib.import_module(module), function)(folder)
    next(steps)
    forget_peak()
    before, processor, started = peak_megabytes(), processor_seconds(), time.perf_counter()
    value = next(steps)
    seconds, used, peak = time.perf_counter() - started, processor_seconds() - processor, peak_megabytes()
    for _ in steps:
        raise SystemExit(f"{function} has a third yield")
    print(json.dumps({"seconds": seconds, "processor": used, "memory": peak - before, "peak": peak, "value": value}))


def forget_peak() -> None:
    """Set the peak of memory back to what is in use now, where the kernel lets one."""
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")


def processor_seconds() -> float:
    """Return the processor time of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


if __name__ == "__main__":
    main()
