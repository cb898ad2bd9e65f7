"""MP3: walk MPEG audio frame by frame to the end of the file.

Covers MPEG 1, 2 and 2.5, layers I to III, free format, ID3v2, ID3v1, APEv2 and Lyrics3 tags, several files joined into
one. The header frame that encoders write first (Xing, Info, VBRI) holds no sound; its number of frames is compared with
the frames that are there. A file without it is read to its last byte: each frame must be whole. That alone does not
show that no frame is missing, and neither does the mark that some encoders write behind the last data: it also stands
in digital silence, and in every frame of an encoder that does without a bit reservoir.

Layout: ISO/IEC 11172-3, ISO/IEC 13818-3, the ID3v2.4 and the LAME header specifications.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from histkit.audio.clip_reader import (
    BLOCK,
    BrokenClip,
    ByteReader,
    ClipStructure,
    id3v2_size,
    start_of_trailing_tags,
)

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_KILOBITS = {
    (1, 3): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 1): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_LAYER_3, _LAYER_1 = 1, 3  # codes in the frame header
_SYNC = re.compile(rb"\xff[\xe2-\xff]")
_LEADING_BYTES, _STRAY_BYTES = 1 << 19, 1 << 16  # unknown bytes tolerated before the first frame, and after it
_TAGS = {b"Xing", b"Info"}
_TAG_REACH = 64  # a header frame is recognised by its first bytes
_PLACEHOLDER = 0x7FFFFF00  # numbers from here on are placeholders of programs that stream
_MAX_BREAKS = 1000  # places where tags or stray bytes stand between frames
_FREE_FORMAT_BYTES = 8192  # of the largest free format frame
_DECODER_DELAY = 529


class FrameHeader(NamedTuple):
    """Header of an MPEG audio frame."""

    stream: tuple[int, int, int, bool]  # version, layer (as coded), rate, free format: equal in all frames of a stream
    size: int  # bytes; 0 in free format
    samples: int
    rate: int
    side_info: int  # bytes between header and main data; 0 but in layer III
    padding: int


class _HeaderFrame(NamedTuple):
    """Claims of a Xing, Info or VBRI frame; 0 where there is none."""

    frames: int
    bytes: int
    delay: int
    padding: int


@dataclass
class _Segment:
    """One of the files that a joined MP3 consists of."""

    start: int
    claim: _HeaderFrame | None = None
    frames: int = 0

    @property
    def expected(self) -> int:
        return self.claim.frames if self.claim is not None else 0


@lru_cache(maxsize=8192)
def parse_frame_header(head: bytes) -> FrameHeader | None:
    """Return the header in the first four bytes of an MPEG audio frame; None if they are something else."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    kilobits, rate_code = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 0 or kilobits == 15 or rate_code == 3 or head[3] & 3 == 2:
        return None
    rate, padding = _RATES[version][rate_code], head[2] >> 1 & 1
    bits = 1000 * _KILOBITS[1 if version == 3 else 2, layer][kilobits]
    samples = 384 if layer == _LAYER_1 else 1152 if version == 3 or layer != _LAYER_3 else 576
    slot = 4 if layer == _LAYER_1 else 1
    size = (samples // 8 * bits // rate // slot + padding) * slot if bits else 0
    side_info = 0
    if layer == _LAYER_3:
        mono = head[3] >> 6 == 3
        side_info = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    return FrameHeader((version, layer, rate, not bits), size, samples, rate, side_info, padding * slot)


def begins_with_frames(head: bytes, size: int) -> bool:
    """Return whether a file of `size` bytes begins with a tag, or with two frames or one that is all of it.

    Two frames of free format are not recognised.
    """
    if head[:3] == b"ID3":
        return True
    header = parse_frame_header(head[:4])
    if header is None or not header.size:
        return False
    following = parse_frame_header(head[header.size : header.size + 4])
    return header.size == size or (following is not None and following.stream == header.stream)


def inspect_mp3(reader: ByteReader) -> ClipStructure:
    """Return the structure of an MP3 (also of layers I and II).

    ``seconds`` is what a full decode gives: encoder delay and padding are left out where one header frame states them
    for the whole file. ``proof`` is ``structure`` if the number of frames or bytes in the header frame is there,
    or a tag follows the last frame.

    Raises
    ------
    BrokenClip
        A frame is cut, or frames are missing.
    """
    return _Mp3Walk(reader).run()


class _Mp3Walk:
    def __init__(self, reader: ByteReader) -> None:
        self._reader = reader
        self._end = start_of_trailing_tags(reader)
        self._stream: tuple[int, int, int, bool] | None = None
        self._free_sizes: dict[tuple[int, int, int, bool], int] = {}
        self._segments: list[_Segment] = []
        self._samples: dict[int, int] = {}  # by rate
        self._stray = 0
        self._starts_late = False  # other bytes than zeros and tags come before the first frame

    def run(self) -> ClipStructure:
        at = breaks = 0
        while at < self._end:
            at = self._walk_frames(at)
            if at < self._end:
                at = self._skip(at)
                breaks += 1
            if breaks > _MAX_BREAKS:
                raise BrokenClip(f"The MP3 is damaged: its frames are interrupted more than {_MAX_BREAKS:,} times.")
        if not self._samples:
            raise BrokenClip("The MP3 holds no sound.")
        for segment, following in pairwise([*self._segments, None]):
            if segment is not None:
                self._check(segment, following.start if following is not None else self._end)
        return ClipStructure(self._seconds(), "structure" if self._is_proven() else "none")

    def _walk_frames(self, at: int) -> int:
        """Walk whole frames of one stream; return the position of the first bytes that are something else."""
        reader, end = self._reader, self._end
        stream, samples, frames, rate = self._stream, 0, 0, 0
        block, start = b"", at
        while at < end:
            offset = at - start
            if offset + _TAG_REACH > len(block):
                block, start, offset = reader.read(at, BLOCK), at, 0
            header = parse_frame_header(block[offset : offset + 4])
            if header is None or (header.stream != stream and not self._begins_stream(at, header)):
                break
            size = header.size or self._free_size(at, header)
            if not size or at + size > end:
                break
            tag_at = offset + 4 + header.side_info
            if block[tag_at : tag_at + 4] in _TAGS or block[offset + 36 : offset + 40] == b"VBRI":
                self._add(frames, samples, rate)
                samples = frames = 0
                self._segments.append(_Segment(at, _read_claim(reader.read(at, min(size, 256)), header)))
            else:
                if header.stream != stream:
                    self._add(frames, samples, rate)
                    samples = frames = 0
                if not self._segments:
                    self._segments.append(_Segment(at))
                frames += 1
                samples += header.samples
            self._stream, stream, rate = header.stream, header.stream, header.rate
            at += size
        self._add(frames, samples, rate)
        return at

    def _add(self, frames: int, samples: int, rate: int) -> None:
        if frames:
            self._segments[-1].frames += frames
            self._samples[rate] = self._samples.get(rate, 0) + samples

    def _begins_stream(self, at: int, header: FrameHeader) -> bool:
        """Return whether a frame of another stream is followed by a second one like it, or by the end or a tag."""
        size = header.size or self._free_size(at, header)
        if self._stream is None and at + size > self._end:  # the only frame, cut
            return True
        return bool(size) and self._continues(at + size, header)

    def _continues(self, at: int, header: FrameHeader) -> bool:
        if at >= self._end:
            return at == self._end
        following = parse_frame_header(self._reader.read(at, 4))
        if following is None:
            return self._tag_size(at) > 0
        return following.stream == header.stream

    def _free_size(self, at: int, header: FrameHeader) -> int:
        """Return the size of a free format frame: the distance to the next frame of the same kind, 0 if there is none.

        All frames of a stream have one size, but for the padding.
        """
        if header.stream not in self._free_sizes:
            window = self._reader.read(at, 2 * _FREE_FORMAT_BYTES)
            for match in _SYNC.finditer(window, 4 + header.side_info, _FREE_FORMAT_BYTES):
                distance = match.start()
                following = parse_frame_header(window[distance : distance + 4])
                if following is None or following.size or following.stream != header.stream:
                    continue
                unpadded = distance - header.padding
                third = at + distance + unpadded + following.padding
                if third == self._end or self._is_free_frame(third, header):
                    self._free_sizes[header.stream] = unpadded
                    break
        unpadded = self._free_sizes.get(header.stream, 0)
        return unpadded and unpadded + header.padding

    def _is_free_frame(self, at: int, header: FrameHeader) -> bool:
        following = parse_frame_header(self._reader.read(at, 4))
        return following is not None and not following.size and following.stream == header.stream

    def _skip(self, at: int) -> int:
        """Return where frames may go on behind bytes that are no whole frame.

        Raises
        ------
        BrokenClip
            They are a cut frame or tag, or too many to be stray ones.
        """
        size = self._tag_size(at)
        if size:
            if at + size > self._reader.size:
                raise BrokenClip("A tag of the MP3 is cut.")
            if self._segments and self._reader.read(at, 3) == b"ID3" and at + size < self._end:
                self._segments.append(_Segment(at + size))
            return at + size
        self._refuse_cut_frame(at)
        following = self._find_frames(at + 1)
        if self._segments:
            self._stray += following - at
        elif any(self._reader.read(at, following - at)):
            self._starts_late = True
        if self._stray > _STRAY_BYTES:
            raise BrokenClip(f"The MP3 is damaged: the bytes from {at:,} on are no frames.")
        return following

    def _refuse_cut_frame(self, at: int) -> None:
        rest = self._end - at
        head = self._reader.read(at, min(rest, 4))
        header = parse_frame_header(head)
        if header is not None and self._stream in (None, header.stream):
            size = header.size or self._free_sizes.get(header.stream, 0)
            if rest < (size or _FREE_FORMAT_BYTES):
                expected = f" of {size:,}" if size else ""
                raise BrokenClip(f"The last frame of the MP3 is cut: {rest:,}{expected} bytes.")
        elif rest < 4 and head[:1] == b"\xff" and head[1:2] >= b"\xe0"[: len(head) - 1]:
            raise BrokenClip(f"The last frame of the MP3 is cut: {rest} bytes of it are there.")

    def _find_frames(self, at: int) -> int:
        """Return where the next two frames stand in a row, or the next tag; the end if there are none in reach."""
        reach = _STRAY_BYTES if self._segments else _LEADING_BYTES
        window = self._reader.read(at, min(reach, self._end - at))
        for match in _SYNC.finditer(window):
            position = at + match.start()
            header = parse_frame_header(window[match.start() : match.start() + 4])
            if header is None or (self._stream is not None and header.stream != self._stream):
                continue
            size = header.size or self._free_size(position, header)
            if size and self._continues(position + size, header):
                return position
        if at + len(window) < self._end:
            raise BrokenClip("The MP3 is damaged: no frames follow." if self._segments else "The MP3 has no frames.")
        return self._end

    def _tag_size(self, at: int) -> int:
        """Return the size of the tag at a position; 0 if there is none."""
        head = self._reader.read(at, 32)
        size = id3v2_size(head)
        if size:
            return size
        if head[:8] == b"APETAGEX" and len(head) == 32:
            return 32 + int.from_bytes(head[12:16], "little")
        return 128 if head[:3] == b"TAG" else 0

    def _is_counted(self, segment: _Segment) -> bool:
        return 0 < segment.expected == segment.frames

    def _check(self, segment: _Segment, end: int) -> None:
        """Compare a file's header frame with its frames.

        Raises
        ------
        BrokenClip
            Frames are missing.
        """
        claim = segment.claim
        if claim is None:
            return
        missing = claim.frames - segment.frames
        # Some encoders count the header frame as well; the number of bytes then shows that the last frame is there.
        if missing > 1 or (missing == 1 and claim.bytes > end - segment.start):
            raise BrokenClip(f"The MP3 holds {segment.frames:,} of {claim.frames:,} frames.")
        if not claim.frames and claim.bytes > end - segment.start:
            raise BrokenClip(f"The MP3 holds {end - segment.start:,} of {claim.bytes:,} bytes.")

    def _is_proven(self) -> bool:
        *before, last = self._segments
        if self._is_counted(last):
            return not self._stray or all(self._is_counted(segment) for segment in before)
        if self._stray:
            return False
        if last.claim is not None and last.claim.bytes == self._end - last.start:
            return True
        if last.claim is not None and last.frames < last.expected and not last.claim.bytes:
            return False
        return self._end < self._reader.size and not self._starts_late

    def _seconds(self) -> float:
        seconds = sum(samples / rate for rate, samples in self._samples.items())
        if len(self._segments) == 1 and len(self._samples) == 1:
            (segment,), (rate,) = self._segments, self._samples
            claim = segment.claim
            if claim is not None and claim.delay and segment.frames <= claim.frames:
                start, end = claim.delay + _DECODER_DELAY, max(0, claim.padding - _DECODER_DELAY)
                trimmed = next((cut / rate for cut in (start + end, start) if cut / rate < seconds), 0.0)
                return seconds - trimmed
        return seconds


def _read_claim(frame: bytes, header: FrameHeader) -> _HeaderFrame:
    """Return the claims of a header frame."""
    if frame[36:40] == b"VBRI":
        return _HeaderFrame(_stated(frame, 50), _stated(frame, 46), 0, 0)
    at = 4 + header.side_info
    flags, at = int.from_bytes(frame[at + 4 : at + 8], "big"), at + 8
    numbers = []
    for flag in (1, 2):
        numbers.append(_stated(frame, at) if flags & flag else 0)
        at += 4 if flags & flag else 0
    at += (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
    delay = padding = 0
    if frame[at : at + 4] in (b"LAME", b"Lavf", b"Lavc"):
        trimmed = int.from_bytes(frame[at + 21 : at + 24], "big")
        delay, padding = trimmed >> 12, trimmed & 0xFFF
    return _HeaderFrame(numbers[0], numbers[1], delay, padding)


def _stated(frame: bytes, at: int) -> int:
    """Return a number of a header frame; 0 for a placeholder."""
    number = int.from_bytes(frame[at : at + 4], "big")
    return number if number < _PLACEHOLDER else 0
