"""MP4 (M4A): walk the boxes, also of fragmented files. Layout: ISO/IEC 14496-12."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from histkit.audio.clip_reader import BrokenClip, ByteReader, ClipStructure

_MAX_TABLES = 1 << 26  # bytes of a moov or moof box
_MAX_BOXES = 1_000_000
_HEADER = 8
_OUTERMOST = set(b"ftyp styp pdin moov moof mdat mfra sidx ssix prft emsg free skip wide meta udta uuid pnot".split())
_STATED_ERROR = 0.1  # seconds by which the stated duration of all fragments may be wrong


class _Box(NamedTuple):
    kind: bytes
    start: int  # of its content
    end: int


@dataclass
class _Track:
    """A sound track."""

    number: int
    timescale: int
    duration: int = 0  # of its samples, in units of the timescale
    chunks_end: int = 0  # where the last of its bytes should end
    edits: list[tuple[int, int]] | None = None  # (duration in units of the movie, start in units of the track)
    default_duration: int = 0
    default_size: int = 0

    def seconds(self, movie_timescale: int) -> float:
        """Return the seconds that are played: the edits, as far as there are samples for them."""
        if not self.edits or not movie_timescale:
            return self.duration / self.timescale
        total = 0.0
        for duration, start in self.edits:
            rest = max(0.0, (self.duration - start) / self.timescale)
            total += min(duration / movie_timescale, rest) if duration else rest
        return total


class _Boxes:
    """The boxes of a file, or those in the content of one."""

    def __init__(self, reader: ByteReader) -> None:
        self._reader = reader
        self._count = 0

    def within(self, start: int, end: int, *, outermost: bool = False) -> Iterator[_Box]:
        at = start
        while at < end:
            self._count += 1
            if self._count > _MAX_BOXES:
                raise BrokenClip("The MP4 has too many boxes to be sound.")
            head = self._reader.read(at, min(_HEADER, end - at))
            if not any(head) and outermost and not any(self._reader.read(at, min(end - at, 4096))):
                return  # zeros behind the last box
            if len(head) < _HEADER:
                raise BrokenClip("The MP4 is cut within the header of a box.")
            size, start_of_content = int.from_bytes(head[:4], "big"), at + _HEADER
            if size == 1:
                size, start_of_content = self._reader.number(start_of_content, 8, "big"), start_of_content + 8
            elif size == 0:
                size = end - at
            if size < start_of_content - at:
                raise BrokenClip(f"The MP4 is damaged: the box at byte {at:,} has a size of {size}.")
            if at + size > end:
                name = head[4:].decode("ascii", "replace") if head[4:].isalnum() else "?"
                raise BrokenClip(f"The MP4 is cut: {end - at:,} of {size:,} bytes of the box {name!r} are there.")
            yield _Box(head[4:], start_of_content, at + size)
            at += size

    def first(self, box: _Box, *path: bytes) -> _Box | None:
        """Return the first box at a path within a box."""
        for kind in path:
            inner = next((child for child in self.within(box.start, box.end) if child.kind == kind), None)
            if inner is None:
                return None
            box = inner
        return box


def inspect_mp4(reader: ByteReader) -> ClipStructure:
    """Return the structure of an MP4: its tables are compared with the bytes that are there.

    ``proof`` of a fragmented file is ``structure`` if it states its whole duration, or has its random access index at
    the end; otherwise further fragments may be missing.

    Raises
    ------
    BrokenClip
        A box is cut, the index or samples are missing.
    """
    return _Mp4Walk(reader).run()


class _Mp4Walk:
    def __init__(self, reader: ByteReader) -> None:
        self._reader = reader
        self._boxes = _Boxes(reader)
        self._tracks: dict[int, _Track] = {}
        self._movie_timescale = 0
        self._fragmented = False
        self._stated: float = 0  # seconds of all fragments, as the file states
        self._indexed = False
        self._checked = True  # the tables of all tracks are such that histkit reads

    def run(self) -> ClipStructure:
        media: list[_Box] = []
        seen: set[bytes] = set()
        plain = True  # False for boxes such as those of an answer that broke off and began again
        for box in self._boxes.within(0, self._reader.size, outermost=True):
            again = box.kind in seen
            plain = plain and box.kind in _OUTERMOST and not (again and box.kind in (b"ftyp", b"moov"))
            seen.add(box.kind)
            if box.kind == b"moov" and not again:
                self._read_movie(box)
            elif box.kind == b"moof":
                self._read_fragment(box)
            elif box.kind == b"mdat":
                media.append(box)
            self._indexed = box.kind == b"mfra" or (self._indexed and box.kind not in (b"moof", b"mdat"))
        if b"moov" not in seen:
            raise BrokenClip("The MP4 is not whole: its index (moov) is missing.")
        if not self._tracks:
            raise BrokenClip("The MP4 has no sound track.")
        reached = max(track.chunks_end for track in self._tracks.values())
        if reached > max((box.end for box in media), default=0):
            raise BrokenClip(f"The MP4 is not whole: its samples reach to byte {reached:,} of {self._reader.size:,}.")
        # In a fragmented file the durations of edits are those of the first fragment, or nothing.
        timescale = 0 if self._fragmented else self._movie_timescale
        seconds = max(track.seconds(timescale) for track in self._tracks.values())
        if not seconds:
            raise BrokenClip("The MP4 holds no sound.")
        proven = self._has_all_fragments() if self._fragmented else self._checked
        return ClipStructure(seconds, "structure" if proven and plain else "none")

    def _has_all_fragments(self) -> bool:
        """Return whether the file shows that no fragment is missing.

        Raises
        ------
        BrokenClip
            Some are missing.
        """
        if not self._stated:
            return self._indexed
        seconds = max(track.duration / track.timescale for track in self._tracks.values())
        if seconds < self._stated - _STATED_ERROR:
            raise BrokenClip(f"The MP4 is not whole: {seconds:.1f} of {self._stated:.1f} s are there.")
        return seconds >= self._stated - 2 / self._movie_timescale or self._indexed

    def _number(self, at: int, count: int = 4) -> int:
        return self._reader.number(at, count, "big")

    def _read_movie(self, movie: _Box) -> None:
        _check_size(movie)
        header = self._boxes.first(movie, b"mvhd")
        if header is not None:
            self._movie_timescale = self._number(header.start + (20 if self._number(header.start, 1) == 1 else 12))
        for box in self._boxes.within(movie.start, movie.end):
            if box.kind == b"trak":
                self._read_track(box)
        extends = self._boxes.first(movie, b"mvex")
        if extends is not None:
            self._fragmented = True
            self._read_defaults(extends)

    def _read_track(self, track: _Box) -> None:
        boxes, number = self._boxes, self._number
        handler = boxes.first(track, b"mdia", b"hdlr")
        header = boxes.first(track, b"mdia", b"mdhd")
        table = boxes.first(track, b"mdia", b"minf", b"stbl")
        identity = boxes.first(track, b"tkhd")
        if handler is None or header is None or self._reader.read(handler.start + 8, 4) != b"soun":
            return
        timescale = number(header.start + (20 if number(header.start, 1) == 1 else 12))
        if not timescale:
            raise BrokenClip("The MP4 is damaged: its sound track has no rate.")
        track_id = 0
        if identity is not None:
            track_id = number(identity.start + (20 if number(identity.start, 1) == 1 else 12))
        result = self._tracks[track_id] = _Track(track_id, timescale)
        result.edits = self._read_edits(track)
        if table is not None:
            listed, result.duration = self._read_durations(table)
            stored, result.chunks_end = self._read_end_of_chunks(table)
            if listed > stored and self._checked:
                raise BrokenClip(f"The MP4 is damaged: it lists {listed:,} pieces of sound and stores {stored:,}.")

    def _read_edits(self, track: _Box) -> list[tuple[int, int]] | None:
        box = self._boxes.first(track, b"edts", b"elst")
        if box is None:
            return None
        wide = self._number(box.start, 1) == 1
        width, at = (8 if wide else 4), box.start + 8
        edits = []
        for _ in range(min(self._number(box.start + 4), (box.end - at) // (2 * width + 4))):
            duration, start = self._number(at, width), self._number(at + width, width)
            if start < 1 << 8 * width - 1:  # others (-1) are pauses
                edits.append((duration, start))
            at += 2 * width + 4
        return edits

    def _table(
        self, box: _Box, columns: int, kind: str = ">u4", skip: int = 4
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
        """Return the rows of a table as uint64: as many as its header states.

        Raises
        ------
        BrokenClip
            Rows are missing.
        """
        count = self._number(box.start + skip)
        start, width = box.start + skip + 4, columns * np.dtype(kind).itemsize
        if start + count * width > box.end:
            raise BrokenClip("The MP4 is damaged: a table of its index is cut.")
        raw = self._reader.read(start, count * width)
        return np.frombuffer(raw, kind).astype(np.uint64).reshape(count, columns)

    def _read_durations(self, table: _Box) -> tuple[int, int]:
        """Return how many samples a track lists, and their duration in units of its timescale."""
        box = self._boxes.first(table, b"stts")
        rows = [] if box is None else self._table(box, 2).tolist()
        return sum(count for count, _ in rows), sum(count * duration for count, duration in rows)

    def _read_end_of_chunks(self, table: _Box) -> tuple[int, int]:
        """Return how many samples a track stores, and where the last byte of them should end."""
        sizes_box = self._boxes.first(table, b"stsz")
        runs_box = self._boxes.first(table, b"stsc")
        offsets_box, kind = self._boxes.first(table, b"stco"), ">u4"
        if offsets_box is None:
            offsets_box, kind = self._boxes.first(table, b"co64"), ">u8"
        if sizes_box is None or runs_box is None or offsets_box is None:
            self._checked = False
            return 0, 0
        offsets = self._table(offsets_box, 1, kind)[:, 0]
        runs = self._table(runs_box, 3).astype(np.int64)
        if not len(offsets) or not len(runs):
            return 0, 0
        firsts = np.clip(runs[:, 0] - 1, 0, len(offsets))
        counts = np.diff(np.append(firsts, len(offsets)))
        if firsts[0] or (counts < 0).any():
            raise BrokenClip("The MP4 is damaged: its table of chunks is inconsistent.")
        per_chunk = np.repeat(runs[:, 1], counts)
        uniform, total = self._number(sizes_box.start + 4), self._number(sizes_box.start + 8)
        samples = int(per_chunk.sum())
        if samples > total:
            raise BrokenClip("The MP4 is damaged: its chunks have more samples than its table of sizes.")
        if int(offsets.max()) > self._reader.size or int(per_chunk.max()) * uniform > self._reader.size:
            raise BrokenClip(f"The MP4 is not whole: its samples reach beyond its {self._reader.size:,} bytes.")
        if uniform:
            chunk_bytes = per_chunk.astype(np.uint64) * np.uint64(uniform)
        else:
            ends = np.concatenate([[0], np.cumsum(self._table(sizes_box, 1, skip=8)[:, 0])]).astype(np.uint64)
            last = np.cumsum(per_chunk)
            chunk_bytes = ends[last] - ends[last - per_chunk]
        return samples, int((offsets + chunk_bytes).max())

    def _read_defaults(self, extends: _Box) -> None:
        for box in self._boxes.within(extends.start, extends.end):
            if box.kind == b"trex":
                track = self._tracks.get(self._number(box.start + 4))
                if track is not None:
                    track.default_duration = self._number(box.start + 12)
                    track.default_size = self._number(box.start + 16)
            elif box.kind == b"mehd" and self._movie_timescale:
                wide = self._number(box.start, 1) == 1
                self._stated = self._number(box.start + 4, 8 if wide else 4) / self._movie_timescale

    def _read_fragment(self, fragment: _Box) -> None:
        _check_size(fragment)
        self._fragmented = True
        for box in self._boxes.within(fragment.start, fragment.end):
            if box.kind == b"traf":
                self._read_run(box, fragment.start - _HEADER)

    def _read_run(self, box: _Box, fragment_start: int) -> None:
        header = self._boxes.first(box, b"tfhd")
        if header is None:
            return
        track = self._tracks.get(self._number(header.start + 4))
        if track is None:
            return
        flags, at = self._number(header.start) & 0xFFFFFF, header.start + 8
        base, duration, size = fragment_start, track.default_duration, track.default_size
        if flags & 1:
            base, at = self._number(at, 8), at + 8
        at += 4 if flags & 2 else 0
        if flags & 8:
            duration, at = self._number(at), at + 4
        if flags & 16:
            size, at = self._number(at), at + 4
        position = base
        for run in self._boxes.within(box.start, box.end):
            if run.kind == b"trun":
                position = self._add_samples(track, run, base, position, (duration, size))
        track.chunks_end = max(track.chunks_end, position)

    def _add_samples(self, track: _Track, run: _Box, base: int, position: int, defaults: tuple[int, int]) -> int:
        """Add the samples of a fragment's run to its track; return where their bytes should end."""
        flags, count, at = self._number(run.start) & 0xFFFFFF, self._number(run.start + 4), run.start + 8
        if flags & 1:
            offset = int.from_bytes(self._reader.read(at, 4), "big", signed=True)
            position, at = base + offset, at + 4
        at += 4 if flags & 4 else 0
        columns = [flag for flag in (0x100, 0x200, 0x400, 0x800) if flags & flag]
        if at + 4 * len(columns) * count > run.end:
            raise BrokenClip("The MP4 is damaged: a table of its index is cut.")
        rows = np.frombuffer(self._reader.read(at, 4 * len(columns) * count), ">u4").astype(np.uint64)
        rows = rows.reshape(count if columns else 0, len(columns))
        durations = int(rows[:, columns.index(0x100)].sum()) if 0x100 in columns else defaults[0] * count
        sizes = int(rows[:, columns.index(0x200)].sum()) if 0x200 in columns else defaults[1] * count
        track.duration += durations
        return position + sizes


def _check_size(box: _Box) -> None:
    if box.end - box.start > _MAX_TABLES:
        raise BrokenClip(f"The MP4 has an index of {box.end - box.start:,} bytes, more than histkit reads.")
