"""Bulk downloads: which rows share a request, and which entry of the service's zip belongs to which row.

Entry names in the service's zips contain no id, and of the date only the second. Rows that share a request were
therefore all generated in different seconds, and an entry is used only if the whole zip is unambiguous.
"""

from __future__ import annotations

import calendar
import math
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pandas as pd

from histkit.api.error_mapping import concerns_every_request
from histkit.audio.fetch import Source
from histkit.audio.jobs import Job
from histkit.errors import ApiError, HistkitError, TransportError
from histkit.frame.columns import strings_of, values_of

MIN_ROWS, BATCH_ROWS = 4, 50  # of one request; other clients were seen to send up to 100
BATCH_BYTES = 64e6  # estimated; lost when a zip breaks off
OPEN_BATCHES = 8  # rows of one second go into different batches
SPAN_ROWS = 500  # from the first row of a batch to its last: bounds what waits to be written
_LONG_CLIP = BATCH_BYTES / 8  # a clip so large gains nothing from a shared request
_ID_LENGTH = 12  # a shorter id at the end of a name may be a coincidence
_MAX_FAILED, _MAX_AMBIGUOUS = 6, 2
_TIMESTAMP = re.compile(
    r"(?:^|[/\\])ElevenLabs[_ -]"
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T_ ]([0-9]{2})[^0-9A-Za-z/\\]([0-9]{2})[^0-9A-Za-z/\\]([0-9]{2})(?![0-9])"
)
_COPY_SUFFIX = re.compile(r" ?\([0-9]+\)$")


def plan_requests(seconds: Sequence[int | None], sizes: Sequence[float]) -> list[tuple[int, ...]]:
    """Partition rows into requests.

    Parameters
    ----------
    seconds : sequence of int or None
        When each row was generated, in seconds since 1970; None for a row that needs a request of its own.
    sizes : sequence of float
        Estimated bytes of each clip.

    Returns
    -------
    list of tuple of int
        Row positions, sorted by the first of each request: one row, or 4 to 50 rows of different seconds whose clips
        take at most 64 MB, none 500 rows or more after the first. Each row is in one request.

    Examples
    --------
    >>> plan_requests([5, 5, 6, None, 7, 8], [1e5] * 6)
    [(0, 2, 4, 5), (1,), (3,)]
    """
    planner = _RequestPlanner()
    for row, (second, size) in enumerate(zip(seconds, sizes, strict=True)):
        planner.add(row, second, size)
    return planner.requests()


@dataclass(eq=False)
class _Batch:
    rows: list[int] = field(default_factory=list)
    seconds: set[int] = field(default_factory=set)
    bytes: float = 0.0

    def accepts(self, second: int, size: float) -> bool:
        return second not in self.seconds and self.bytes + size <= BATCH_BYTES

    def add(self, row: int, second: int, size: float) -> None:
        self.rows.append(row)
        self.seconds.add(second)
        self.bytes += size


class _RequestPlanner:
    """First-fit packing of rows into batches, of which a few are open at a time."""

    def __init__(self) -> None:
        self._open: list[_Batch] = []  # sorted by their first rows
        self._closed: list[tuple[int, ...]] = []

    def add(self, row: int, second: int | None, size: float) -> None:
        while self._open and row - self._open[0].rows[0] >= SPAN_ROWS:
            self._close(self._open[0])
        batch = None if second is None or size > _LONG_CLIP else self._batch_for(second, size)
        if batch is None or second is None:
            self._closed.append((row,))
            return
        batch.add(row, second, size)
        if len(batch.rows) == BATCH_ROWS:
            self._close(batch)

    def _batch_for(self, second: int, size: float) -> _Batch | None:
        batch = next((batch for batch in self._open if batch.accepts(second, size)), None)
        if batch is None and len(self._open) < OPEN_BATCHES:
            batch = _Batch()
            self._open.append(batch)
        return batch

    def _close(self, batch: _Batch) -> None:
        self._open.remove(batch)
        self._closed.append(tuple(batch.rows))

    def requests(self) -> list[tuple[int, ...]]:
        """Close all batches; a batch of few rows becomes single requests."""
        batches = self._closed + [tuple(batch.rows) for batch in self._open]
        singles = [(row,) for batch in batches if len(batch) < MIN_ROWS for row in batch]
        return sorted(singles + [batch for batch in batches if len(batch) >= MIN_ROWS])


@dataclass(frozen=True)
class RequestedClip:
    """A row of a shared request: its id, its second and, to detect contradictions, its voice's name."""

    history_item_id: str
    second: int
    voice: str | None = None


def requested_clips(
    items: pd.DataFrame | pd.Series,
    jobs: Sequence[Job],
    rows: Sequence[int],
    dates: Sequence[datetime | None],
    wav: bool,
) -> list[RequestedClip | None]:
    """Return what identifies each clip in a zip; None for a clip that needs a request of its own.

    Parameters
    ----------
    items : DataFrame or Series
        All rows.
    jobs, rows : sequences of Job and int
        The clips, and the position of the first row of each.
    dates : sequence of datetime or None
        The date of each row of `items`.
    wav : bool
        Whether WAV is requested.
    """
    seconds = _seconds_of(items, dates)
    voices, lines = strings_of(items, "voice_name"), values_of(items, "dialogue")
    clips: list[RequestedClip | None] = []
    for row, job in zip(rows, jobs, strict=True):
        second = seconds[row]
        if second is None or not job.id or not _can_share_request(job.source, wav):
            clips.append(None)
        else:
            clips.append(RequestedClip(job.id, second, None if lines[row] is not None else voices[row]))
    return clips


def _seconds_of(items: pd.DataFrame | pd.Series, dates: Sequence[datetime | None]) -> list[int | None]:
    """Return the second in which each row was generated; None where unknown or where date and date_unix differ."""
    seconds = [None if date is None else int(date.timestamp() // 1) for date in dates]
    if not isinstance(items, pd.DataFrame) or "date_unix" not in items.columns:
        return seconds
    try:
        column = pd.to_numeric(items["date_unix"], errors="coerce").astype("Float64")
    except TypeError:  # complex numbers, lists
        return [None] * len(items)
    numbers = column.to_numpy(float, na_value=math.nan).tolist()
    unix = [int(number) if abs(number) < 1 << 40 else None for number in numbers]  # False for NaN
    if "date" not in items.columns:
        return unix
    return [second if second == other else None for second, other in zip(unix, seconds, strict=True)]


def _can_share_request(source: Source, wav: bool) -> bool:
    """Return whether a clip out of a zip is the same file as the response to a request of its own."""
    expected = source.expected_format()
    if expected is None:
        return False
    if wav:
        return expected.family != "wav" and not expected.wrappable  # the service converts it in both cases
    return source.declared or not expected.headerless  # a single response may declare a different rate


@dataclass(frozen=True)
class EntryMatch:
    """Entries of a zip and the rows that their names identify.

    Attributes
    ----------
    rows : dict of int to int
        Entry to row: the only row of the second or id in the name, claimed by no other entry.
    unmatched : tuple of int
        Entries that name no row, or a row that another entry names too.
    contradictory : bool
        Whether a name has a second of no requested row, or another row's voice. Then no entry is certain.
    """

    rows: dict[int, int]
    unmatched: tuple[int, ...]
    contradictory: bool


def match_entries(names: Sequence[str], clips: Sequence[RequestedClip]) -> EntryMatch:
    """Match zip entries to history items by file name.

    A match can be wrong while a row is unmatched: if the service's clock is not UTC, an entry can name the second of
    another row. If every entry and every row is matched, it can't: the latest entry would need a later row.

    Parameters
    ----------
    names : sequence of str
        Paths of the entries.
    clips : sequence of RequestedClip
        The requested rows, of different seconds.

    Examples
    --------
    >>> match_entries(["x/ElevenLabs_1970-01-01T00_00_07_Ann_m2.mp3"], [RequestedClip("a", 6), RequestedClip("b", 7)])
    EntryMatch(rows={0: 1}, unmatched=(), contradictory=False)
    """
    by_second = {clip.second: row for row, clip in enumerate(clips)}
    claims: dict[int, int] = {}
    contradictory = False
    for entry, name in enumerate(names):
        row = _row_by_id(name, clips)
        second, rest = _second_in(name)
        if row is None and second is not None:
            row = by_second.get(second)
            contradictory |= row is None or _names_other_voice(rest, clips[row].voice, clips)
        if row is not None:
            claims[entry] = row
    counts = Counter(claims.values())
    unique = {entry: row for entry, row in claims.items() if counts[row] == 1}
    return EntryMatch(unique, tuple(entry for entry in range(len(names)) if entry not in unique), contradictory)


def _row_by_id(name: str, clips: Sequence[RequestedClip]) -> int | None:
    """Return the row whose id ends a name, as names did before 2023-09."""
    stem = _COPY_SUFFIX.sub("", re.split(r"[/\\]", name)[-1].rpartition(".")[0])
    ids = (clip.history_item_id for clip in clips)
    rows = [row for row, item in enumerate(ids) if len(item) >= _ID_LENGTH and stem.endswith(f"_{item}")]
    return rows[0] if len(rows) == 1 else None


def _second_in(name: str) -> tuple[int | None, str]:
    """Return the second in a name and the text after it; None also if a voice's name contains another second."""
    seconds = set()
    rest = ""
    for match in _TIMESTAMP.finditer(name):
        try:
            seconds.add(calendar.timegm(datetime(*map(int, match.groups())).timetuple()))  # type: ignore[arg-type]  # noqa: DTZ001
        except ValueError:
            return None, ""
        rest = rest or name[match.end() :]
    return (seconds.pop(), rest) if len(seconds) == 1 else (None, "")


def _names_other_voice(rest: str, voice: str | None, clips: Sequence[RequestedClip]) -> bool:
    """Return whether a name continues with the voice of another row instead of `voice`, which may have been renamed."""
    text, expected = _letters(rest), _letters(voice or "")
    if not expected or text.startswith(expected):
        return False
    others = {_letters(clip.voice or "") for clip in clips} - {expected, ""}
    return any(text.startswith(other) and not expected.startswith(other) for other in others if len(other) > 2)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


class BulkRoute:
    """Whether shared requests are still worthwhile; the state is shared by all threads.

    They end after six failures in a row (a single bad id, whose zips are halved, fails less often), after two zips with
    ambiguous names or one whose names contain no second, and if a clip differs from the response to a request of its
    own.
    """

    def __init__(self) -> None:
        self.is_open = True
        self._failed = self._ambiguous = 0
        self._trusted: bool | None = None
        self._lock, self._comparing = threading.Lock(), threading.Lock()

    def succeeded(self) -> None:
        """Record a readable zip."""
        with self._lock:
            self._failed = 0

    def failed(self) -> None:
        """Record a request that brought no zip."""
        with self._lock:
            self._failed += 1
            self.is_open = self.is_open and self._failed < _MAX_FAILED

    def ambiguous(self, *, entirely: bool) -> None:
        """Record a zip with ambiguous names; `entirely` if no entry could be matched."""
        with self._lock:
            self._ambiguous += 1
            self.is_open = self.is_open and not entirely and self._ambiguous < _MAX_AMBIGUOUS

    def close(self) -> None:
        """End shared requests: their zips are larger than a clip may be."""
        with self._lock:
            self.is_open = False

    def is_trusted(self, compare: Callable[[], bool | None]) -> bool:
        """Return whether clips out of zips equal the responses to single requests.

        Parameters
        ----------
        compare : callable
            Compares one clip; None if it can't. Called by one thread at a time until it returns a result.
        """
        with self._comparing:
            if self._trusted is None:
                self._trusted = compare()
            self.is_open = self.is_open and self._trusted is not False
            return self._trusted is True


def may_be_one_bad_row(error: HistkitError) -> bool:
    """Return whether a shared request may have failed because of one of its rows."""
    if not isinstance(error, ApiError) or error.status_code is None:
        return isinstance(error, TransportError)
    return error.status_code >= 400 and error.status_code not in (408, 429) and not concerns_every_request(error)
