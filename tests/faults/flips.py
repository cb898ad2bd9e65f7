"""Flip single bits of downloaded clips and of their manifest: `verify` has to name each clip that is another one.

Those of a local history are flipped in `tests.archive.flips`.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import histkit as hk
from tests.conftest import client_of
from tests.warm_sandbox import SandboxForks

OUTCOMES = ("named", "no effect", "other values", "raw errors")


def count_clip_flips(number: int, seed: int, forks: SandboxForks, folder: Path) -> dict[str, Counter[str]]:
    """Flip one bit of a file of an audio folder, so many times for clips and a quarter as often for the manifest.

    Returns
    -------
    dict of str to Counter
        By kind of file, how often `verify` named the file, saw no difference, other values, or failed with an error of
        another library.
    """
    with forks.serve(items=40, seed=seed, clip_bytes=8000) as box, client_of(box) as client:
        rows = hk.read_history(client=client, progress=False)
        hk.download_audio(rows, folder / "audio", client=client, progress=False)
    files = [file for file in (folder / "audio").rglob("*") if file.is_file()]
    clips = [file for file in files if "manifest" not in file.name]
    manifest = [file for file in files if file.name == "manifest.parquet"]
    dice = random.Random(seed)
    return {
        "clip": _count(folder / "audio", clips, number, dice),
        "manifest of a folder": _count(folder / "audio", manifest, number // 4, dice),
    }


def _count(folder: Path, files: list[Path], number: int, dice: random.Random) -> Counter[str]:
    truth = hk.verify(folder)
    counts = Counter(dict.fromkeys(OUTCOMES, 0))
    for _ in range(number):
        file = dice.choice(files)
        original = file.read_bytes()
        flipped = bytearray(original)
        flipped[dice.randrange(len(flipped))] ^= 1 << dice.randrange(8)
        file.write_bytes(flipped)
        try:
            checked = hk.verify(folder)
        except hk.HistkitError as error:
            counts["named" if file.name in str(error) and "\n" not in str(error) else "raw errors"] += 1
        except Exception:
            counts["raw errors"] += 1
        else:
            name = file.relative_to(folder).as_posix()
            wrong = checked[checked["status"] != "ok"]
            if name in set(wrong["path"].dropna()):
                counts["named"] += 1
            else:
                counts["no effect" if checked.equals(truth) else "other values"] += 1
        file.write_bytes(original)
    return counts
