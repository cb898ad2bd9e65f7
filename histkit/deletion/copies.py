"""Which local copies are good enough to delete the originals, and why the others are not."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pandas as pd

from histkit.audio.verify import PROVEN, FileCheck, verified_copies
from histkit.frame.columns import values_of

_SHORTEST_PART = 0.5  # of the time that the service states; a clip may lack silence, not half of the speech
_SLACK_SECONDS = 1.0
_MOST_CHARACTERS_PER_SECOND = 200.0  # speech has 10 to 30
_SLOWEST_RATE = 8000  # samples per second; gives the greatest length that raw samples of unknown rate can have
_DURATION = re.compile(r"(?:audio_)?duration(?P<thousandth>_ms|_millis|_milliseconds)?(?:_s|_secs?|_seconds)?")


@dataclass(frozen=True)
class Copies:
    """The local copies of the history items of a deletion.

    Attributes
    ----------
    paths : dict of str to str
        Files that allow the deletion, by history item.
    by_length : frozenset of str
        Items among these that are raw samples, known to be whole by their number of bytes only.
    reasons : dict of str to str
        Why items with a verified file are kept.
    suspect : frozenset of str
        Items among these whose clip is far too short for its row.
    """

    paths: dict[str, str]
    by_length: frozenset[str]
    reasons: dict[str, str]
    suspect: frozenset[str]

    @property
    def unproven(self) -> int:
        """Number of items with a verified file that is not known to be whole."""
        return len(self.reasons) - len(self.suspect)


def judge_copies(
    items: pd.DataFrame | pd.Series,
    firsts: Mapping[str, int],
    folder: str | os.PathLike[str],
    progress: bool | None,
) -> Copies:
    """Verify the files of some history items, and decide which of them allow the deletion.

    The proofs ``structure`` and ``hash`` do. ``length`` does for raw samples only (PCM, mu-law, A-law), which can show
    nothing better; ``none`` never does. No proof counts for a clip that lasts less than half of the row's duration, or
    of the time at which its last character ends, minus one second. For raw samples the text counts too: more than 200
    characters a second are no speech.

    Parameters
    ----------
    items : DataFrame or Series
        All rows.
    firsts : mapping of str to int
        The history items, and the first row of each.
    folder : path-like or str
        A folder of `download_audio`.
    progress : bool, optional
        Show a progress bar.

    Raises
    ------
    DownloadError
        The folder has no manifest, or it can't be read.
    """
    checks = verified_copies(folder, firsts, progress=progress)
    durations = _Durations(items)
    paths, reasons, by_length, suspect = {}, {}, set(), set()
    for item in firsts:  # in the order of the rows
        check = checks.get(item)
        if check is None:
            continue
        doubt = durations.doubt(firsts[item], check)
        if doubt is not None:
            suspect.add(item)
            reasons[item] = f"{check.path} {doubt}: download it again (overwrite=True)."
        elif check.proof in PROVEN:
            paths[item] = check.path
        elif check.proof == "length" and check.raw:
            paths[item] = check.path
            by_length.add(item)
        else:
            known = "is known to be whole by its length only" if check.proof == "length" else "is not known to be whole"
            reasons[item] = f"{check.path} {known}: {how_to_prove(folder)} downloads it again to compare."
    return Copies(paths, frozenset(by_length), reasons, frozenset(suspect))


def how_to_prove(folder: str | os.PathLike[str]) -> str:
    """Return the call that proves the copies of a folder by a second download."""
    return f"verify({str(folder)!r}, prove=True)"


class _Durations:
    """What the rows of a frame say about the length of their clips."""

    def __init__(self, items: pd.DataFrame | pd.Series) -> None:
        names = [str(name) for name in items.columns] if isinstance(items, pd.DataFrame) else []
        self._columns = {name: values_of(items, name) for name in names if _DURATION.fullmatch(name)}
        self._alignments = values_of(items, "alignments")
        self._extra = values_of(items, "extra")
        self._characters = values_of(items, "characters")

    def doubt(self, row: int, check: FileCheck) -> str | None:
        """Return the end of a sentence about a clip that is far too short for its row; None for any other clip."""
        seconds = check.seconds
        if seconds is None and check.bytes is not None and check.raw:
            seconds = check.bytes / _SLOWEST_RATE
        if seconds is None:
            return None
        stated = max(self._stated(row), default=0.0)
        if seconds < _SHORTEST_PART * stated - _SLACK_SECONDS:
            return f"lasts {seconds:,.1f} s and should last {stated:,.1f} s"
        count = self._characters[row]
        if check.raw and check.proof != "hash" and _is_number(count):
            if seconds + _SLACK_SECONDS < count / _MOST_CHARACTERS_PER_SECOND:
                return f"lasts {seconds:,.1f} s, too short for {count:,} characters"
        return None

    def _stated(self, row: int) -> Iterator[float]:
        """Yield the durations in seconds that a row states."""
        fields = {name: values[row] for name, values in self._columns.items()}
        fields |= _as_object(self._extra[row])
        for name, value in fields.items():
            match = _DURATION.fullmatch(name)
            if match is not None and _is_number(value):
                yield value / 1000 if match["thousandth"] else float(value)
        for alignment in _as_object(self._alignments[row]).values():
            ends = alignment.get("character_end_times_seconds") if isinstance(alignment, Mapping) else None
            yield from filter(_is_number, ends if isinstance(ends, list) else ())


def _as_object(value: Any) -> dict[str, Any]:
    """Return a cell that holds an object, or the JSON of one, as a dict; an empty one for anything else."""
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    return dict(value) if isinstance(value, Mapping) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
