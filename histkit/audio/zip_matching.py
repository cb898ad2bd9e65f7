"""Many clips in one request: which rows are asked for together, and which entry of the service's zip is which row.

Names in the service's zips carry no id and no more of the moment than its second, so rows that are asked for together
were all made in seconds of their own, and an entry counts only where the whole zip leaves no doubt.
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

from histkit.audio.fetch import Source
from histkit.audio.formats import bytes_a_second, expected_format
from histkit.audio.jobs import Job
from histkit.errors import ApiError, HistkitError, TransportError
from histkit.frame.columns import texts_of, values_of

FEWEST_ROWS, CHUNK_ROWS = 4, 50  # of one request; clients were seen to send up to 100
CHUNK_BYTES = 64e6  # estimated: what is thrown away when a zip breaks off
OPEN_CHUNKS = 8  # rows of one second go into different ones
SPAN_ROWS = 500  # from the first row of a chunk to its last: bounds what waits to be written
_LONG_CLIP = CHUNK_BYTES / 8  # one so large gains nothing by being asked for with others
_CHARACTERS_A_SECOND = 15.0  # of speech; an estimate
_ID_LENGTH = 12  # a shorter id at the end of a name may be chance
_MOST_FAILED, _MOST_DOUBTED = 6, 2
_MOMENT = re.compile(
    r"(?:^|[/\\])ElevenLabs[_ -]"
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T_ ]([0-9]{2})[^0-9A-Za-z/\\]([0-9]{2})[^0-9A-Za-z/\\]([0-9]{2})(?![0-9])"
)
_COPY = re.compile(r" ?\([0-9]+\)$")


@dataclass(eq=False)
class _Chunk:
    rows: list[int] = field(default_factory=list)
    seconds: set[int] = field(default_factory=set)
    bytes: float = 0.0


def plan_requests(seconds: Sequence[int | None], sizes: Sequence[float]) -> list[tuple[int, ...]]:
    """Part rows into requests.

    Parameters
    ----------
    seconds : sequence of int or None
        When each row was made; None for one that must be asked for alone.
    sizes : sequence of float
        Estimated bytes of each clip.

    Returns
    -------
    list of tuple of int
        Positions, by the first of each: one row, or 4 to 50 of different seconds whose clips are at most 64 MB, none
        500 rows or more from the first. Each row is in one of them.

    Examples
    --------
    >>> plan_requests([5, 5, 6, None, 7, 8], [1e5] * 6)
    [(0, 2, 4, 5), (1,), (3,)]
    """
    parts: list[tuple[int, ...]] = []
    chunks: list[_Chunk] = []
    for row, (second, size) in enumerate(zip(seconds, sizes, strict=True)):
        while chunks and row - chunks[0].rows[0] >= SPAN_ROWS:  # they stand by their first rows
            parts.append(tuple(chunks.pop(0).rows))
        fit = (each for each in chunks if second not in each.seconds and each.bytes + size <= CHUNK_BYTES)
        chunk = next(fit, None) or (_Chunk() if len(chunks) < OPEN_CHUNKS else None)
        if second is None or chunk is None or size > _LONG_CLIP:
            parts.append((row,))
            continue
        if not chunk.rows:
            chunks.append(chunk)
        chunk.rows.append(row)
        chunk.seconds.add(second)
        chunk.bytes += size
        if len(chunk.rows) == CHUNK_ROWS:
            chunks.remove(chunk)
            parts.append(tuple(chunk.rows))
    parts += [tuple(chunk.rows) for chunk in chunks]
    few = [(row,) for part in parts if len(part) < FEWEST_ROWS for row in part]
    return sorted([*few, *(part for part in parts if len(part) >= FEWEST_ROWS)])


def joins(source: Source, wav: bool) -> bool:
    """Tell whether a clip may be asked for together with others: it would be the same file as asked for alone."""
    kind = expected_format(source.output_format, source.content_type)
    if kind is None:
        return False
    if wav:
        return kind.family != "wav" and not kind.wrappable  # the service makes it WAV on either route
    return bool(source.output_format) or not kind.bare  # the answer to a single request may tell more of a bare one


@dataclass(frozen=True)
class RequestedClip:
    """A row that was asked for together with others: its id, its second and, to reject by it, its voice's name."""

    history_item_id: str
    second: int
    voice: str | None = None


def moments_of(items: pd.DataFrame | pd.Series) -> list[datetime | None]:
    """Give the ``date`` of each row."""
    if not isinstance(items, pd.DataFrame) or "date" not in items.columns:
        return [None] * len(items)
    return [None if pd.isna(each) else each for each in pd.to_datetime(items["date"], utc=True)]


def sizes_of(items: pd.DataFrame | pd.Series, rows: Sequence[int], *, wav: bool) -> list[float]:
    """Estimate the bytes of clips: 15 characters a second, times the bytes of a second of the format."""
    counted, formats = values_of(items, "characters"), values_of(items, "output_format")
    texts = texts_of(items) if isinstance(items, pd.DataFrame) else [None] * len(items)
    known = [counted[row] if isinstance(counted[row], (int, float)) else len(str(texts[row] or "")) for row in rows]
    return [
        count / _CHARACTERS_A_SECOND * bytes_a_second(formats[row], wav=wav)
        for count, row in zip(known, rows, strict=True)
    ]


def estimate_of(items: pd.DataFrame | pd.Series, rows: Sequence[int], *, wav: bool) -> int | None:
    """Estimate the bytes of clips together; None where nothing tells how long they are."""
    told = isinstance(items, pd.DataFrame) and {"characters", "text", "dialogue"} & set(items.columns)
    return round(sum(sizes_of(items, rows, wav=wav))) if told or not rows else None


def asked_of(
    items: pd.DataFrame | pd.Series, jobs: Sequence[Job], rows: Sequence[int], moments: list[datetime | None], wav: bool
) -> list[RequestedClip | None]:
    """Make what is known of clips that may be asked for together; None for those of unknown second or format."""
    told = [None if moment is None else int(moment.timestamp() // 1) for moment in moments]
    if isinstance(items, pd.DataFrame) and "date_unix" in items.columns:
        numbers = (
            pd.to_numeric(items["date_unix"], errors="coerce")
            .astype("Float64")
            .to_numpy(float, na_value=math.nan)
            .tolist()
        )
        unix = [int(each) if abs(each) < 1 << 40 else None for each in numbers]  # NaN is not less
        known = "date" in items.columns  # both: they must agree
        told = [each if not known or each == other else None for each, other in zip(unix, told, strict=True)]
    voices, lines = values_of(items, "voice_name"), values_of(items, "dialogue")
    return [
        RequestedClip(job.source.history_item_id, second, None if lines[row] is not None else voices[row])
        if (second := told[row]) is not None and job.source.history_item_id and joins(job.source, wav)
        else None
        for row, job in zip(rows, jobs, strict=True)
    ]


@dataclass(frozen=True)
class Tie:
    """What the names in a zip say.

    Attributes
    ----------
    rows : dict of int to int
        Entry to row: the only one of the second or the id in its name, claimed by no other entry.
    unclear : tuple of int
        Entries that name no row, or one that another entry names too.
    foreign : bool
        Whether a name holds a second that nobody asked for, or another row's voice: then nothing in the zip is sure.
    """

    rows: dict[int, int]
    unclear: tuple[int, ...]
    foreign: bool


def match_entries(names: Sequence[str], asked: Sequence[RequestedClip]) -> Tie:
    """Tell which entry of a zip is which row, as far as the names say it.

    Even a tie may be wrong as long as a row is left over: with a clock that is not UTC an entry can name the second of
    another row. When each entry is tied and each row too, it can't: the latest would need a later one.

    Parameters
    ----------
    names : sequence of str
        Paths of the entries.
    asked : sequence of Asked
        The rows, of different seconds.

    Examples
    --------
    >>> match_entries(["x/ElevenLabs_1970-01-01T00_00_07_Ann_m2.mp3"], [RequestedClip("a", 6), RequestedClip("b", 7)])
    Tie(rows={0: 1}, unclear=(), foreign=False)
    """
    by_second = {row.second: place for place, row in enumerate(asked)}
    claims: dict[int, int] = {}
    foreign = False
    for entry, name in enumerate(names):
        place = _by_id(name, asked)
        second, rest = _moment(name)
        if place is None and second is not None:
            place = by_second.get(second)
            foreign |= place is None or _is_other_voice(rest, asked[place].voice, asked)
        if place is not None:
            claims[entry] = place
    many = Counter(claims.values())
    sure = {entry: place for entry, place in claims.items() if many[place] == 1}
    return Tie(sure, tuple(entry for entry in range(len(names)) if entry not in sure), foreign)


def _by_id(name: str, asked: Sequence[RequestedClip]) -> int | None:
    """Give the row whose id ends a name, as it did before 2023-09."""
    stem = _COPY.sub("", re.split(r"[/\\]", name)[-1].rpartition(".")[0])
    ids = (row.history_item_id for row in asked)
    found = [place for place, item in enumerate(ids) if len(item) >= _ID_LENGTH and stem.endswith(f"_{item}")]
    return found[0] if len(found) == 1 else None


def _moment(name: str) -> tuple[int | None, str]:
    """Give the second in a name, and what follows it; None also where a voice's name holds another."""
    seconds = set()
    rest = ""
    for found in _MOMENT.finditer(name):
        try:
            seconds.add(calendar.timegm(datetime(*map(int, found.groups())).timetuple()))  # type: ignore[arg-type]  # noqa: DTZ001
        except ValueError:
            return None, ""
        rest = rest or name[found.end() :]
    return (seconds.pop(), rest) if len(seconds) == 1 else (None, "")


def _is_other_voice(rest: str, own: str | None, asked: Sequence[RequestedClip]) -> bool:
    """Tell whether a name goes on with the voice of another row, and not with the own one, also if that was renamed."""
    said, mine = _letters(rest), _letters(own or "")
    if not mine or said.startswith(mine):
        return False
    others = {_letters(row.voice or "") for row in asked} - {mine, ""}
    return any(said.startswith(each) and not mine.startswith(each) for each in others if len(each) > 2)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


class BulkRoute:
    """Whether it is still worth asking for many at once; threads share it.

    Six requests in a row that fail end it (one id that spoils its zips fails less often), and so do names that don't
    say which row is which: at once where they say nothing, else with the second such zip; and a clip that is another
    file when it is asked for alone.
    """

    def __init__(self) -> None:
        self.is_open = True
        self._failed = self._doubted = 0
        self._agrees: bool | None = None
        self._lock, self._comparing = threading.Lock(), threading.Lock()

    def worked(self) -> None:
        """Note a zip that could be read."""
        with self._lock:
            self._failed = 0

    def failed(self) -> None:
        """Note a request that brought no zip."""
        with self._lock:
            self._failed += 1
            self.is_open = self.is_open and self._failed < _MOST_FAILED

    def doubted(self, *, wholly: bool) -> None:
        """Note a zip whose names leave doubts, or say nothing at all."""
        with self._lock:
            self._doubted += 1
            self.is_open = self.is_open and not wholly and self._doubted < _MOST_DOUBTED

    def agrees(self, compare: Callable[[], bool | None]) -> bool:
        """Tell whether clips out of zips are the files that they are when asked for alone.

        Parameters
        ----------
        compare : callable
            Tells it of one clip, None where it can't; called until it can, by one thread at a time.
        """
        with self._comparing:
            if self._agrees is None:
                self._agrees = compare()
            self.is_open = self.is_open and self._agrees is not False
            return self._agrees is True


def may_be_one_of_many(error: HistkitError) -> bool:
    """Tell whether a request for many may have failed for the sake of one of them."""
    if not isinstance(error, ApiError) or error.status_code is None:
        return isinstance(error, TransportError)
    return error.status_code >= 400 and error.status_code not in (401, 402, 403, 408, 429)
