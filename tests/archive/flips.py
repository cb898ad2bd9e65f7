"""Flip single bits of a local history, and count what comes of it: for the tests and for ``make faults``'s table."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

OUTCOMES = ("named", "no effect", "other values", "raw errors", "aborts")
_BATCH = 100


def count_flips(n: int, seed: int = 0, folder: Path | None = None) -> dict[str, int]:
    """Flip one bit of a file of a local history, `n` times, and count the outcomes.

    Month files (three in four), the manifest, and the checkpoint of an unfinished sync take turns. Each flip is
    followed by a `load` (after a flip in the checkpoint: a `sync`). The flips are made by child processes, so that one
    that ends its process is counted.

    Parameters
    ----------
    n : int
        Number of flips.
    seed : int
        Selects the bits.
    folder : Path, optional
        Where to work; default: a temporary folder that is removed.

    Returns
    -------
    dict of str to int
        The flips by outcome: ``named`` (an error or a warning of histkit names a file), ``no effect``, ``other
        values``, ``raw errors`` (an error of another library), ``aborts`` (the process ended).
    """
    counts = Counter(dict.fromkeys(OUTCOMES, 0))
    with tempfile.TemporaryDirectory(dir=folder) as place:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        done = 0
        while done < n:
            arguments = [place, str(seed), str(done), str(min(n, done + _BATCH))]
            command = [sys.executable, "-m", "tests.archive.flips", *arguments]
            child = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
            outcomes = [json.loads(line) for line in child.stdout.splitlines()]
            counts.update(outcomes)
            done += len(outcomes)
            if child.returncode < 0:
                counts["aborts"] += 1
                done += 1
            elif child.returncode:
                raise RuntimeError(child.stderr)
    return dict(counts)


def main(place: Path, seed: int, first: int, last: int) -> None:
    """Make the flips of one child process, and print each outcome as a line of JSON."""
    import warnings

    import pandas as pd

    import histkit as hk
    from histkit.sandbox import serve

    with serve(items=2500, seed=3) as box:
        client = hk.HistoryClient(box.api_key, base_url=box.url, max_retries=0)
        clean = place / "clean"
        shutil.rmtree(clean, ignore_errors=True)
        hk.sync(clean, client=client, progress=False, workers=1, diff=True)
        unfinished = place / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(clean, unfinished)
        box.set(error_503=0.5)
        for attempt in range(50):  # until pages are on disk
            try:
                hk.sync(unfinished, client=client, progress=False, workers=1, diff=True, full=True)
            except hk.HistkitError:
                if list(unfinished.rglob("*.arrow")):
                    break
            if attempt == 49:
                raise RuntimeError("no sync stopped halfway")
        box.set(error_503=None)
        whole = hk.load(clean)
        for number in range(first, last):
            dice = random.Random(f"{seed} {number}")
            checkpoint = number % 8 == 7
            work = place / "work"
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(unfinished if checkpoint else clean, work)
            if checkpoint:
                files = sorted(path for path in (work / ".histkit" / "spool").iterdir())
            else:
                files = [work / "_manifest.json"] if number % 8 == 3 else sorted(work.rglob("*.parquet"))
            path = dice.choice(files)
            data = bytearray(path.read_bytes())
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            path.write_bytes(data)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    df = hk.sync(work, client=client, progress=False, workers=1) if checkpoint else hk.load(work)
                    pd.testing.assert_frame_equal(df, whole, check_categorical=False)
                    outcome = "named" if any(path.name in str(warning.message) for warning in caught) else "no effect"
                except hk.HistkitError as error:
                    outcome = "named" if path.name in str(error) and "\n" not in str(error) else "raw errors"
                except AssertionError:
                    outcome = "other values"
                except Exception:
                    outcome = "raw errors"
            print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
