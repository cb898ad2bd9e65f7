"""FLAC: walk the frames to the end of the file, and verify the last one. Layout: RFC 9639."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from histkit.audio.clip_reader import BLOCK, BrokenClip, ByteReader, ClipStructure, id3v2_size, start_of_trailing_tags

_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_HEADER_BYTES = 16  # of the longest frame header
_MAX_METADATA_BLOCKS = 10_000
_MAX_FRAME_BYTES = 1 << 24
_BLOCK_SIZES = {1: 192, **{code: 144 << code for code in range(2, 6)}, **{code: 1 << code for code in range(8, 16)}}


def _crc_table(polynomial: int, width: int) -> tuple[int, ...]:
    table = []
    for value in range(256):
        value <<= width - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> width - 1 & 1 else 0)
        table.append(value & (1 << width) - 1)
    return tuple(table)


_CRC_8, _CRC_16 = _crc_table(0x07, 8), _crc_table(0x8005, 16)


class _Frame(NamedTuple):
    start: int
    number: int  # of the frame, or of its first sample if `variable`
    samples: int
    variable: bool

    @property
    def following(self) -> int:
        return self.number + (self.samples if self.variable else 1)


class _StreamInfo(NamedTuple):
    rate: int
    samples: int  # 0: unknown
    largest_frame: int  # bytes; 0: unknown


def crc_8(data: bytes) -> int:
    """Return the checksum of a frame header."""
    check = 0
    for byte in data:
        check = _CRC_8[check ^ byte]
    return check


def crc_16(data: bytes) -> int:
    """Return the checksum of a frame."""
    check = 0
    for byte in data:
        check = check << 8 & 0xFFFF ^ _CRC_16[check >> 8 ^ byte]
    return check


def inspect_flac(reader: ByteReader) -> ClipStructure:
    """Return the structure of a FLAC file.

    ``proof`` is ``structure`` if the frames hold the number of samples that the header states. Where it states none
    (the file was streamed), each frame must be there and the last one whole; nothing shows that none follows, so that
    ``proof`` is ``none``.

    Raises
    ------
    BrokenClip
        Frames are missing, or the last one is cut.
    """
    info, at = _read_metadata(reader)
    end = start_of_trailing_tags(reader)
    samples, last = 0, None
    for frame in _frames(reader, at, end):
        if last is None and frame.start != at:
            break
        if last is not None and 0 < info.largest_frame < frame.start - last.start:
            raise BrokenClip(f"The FLAC is damaged: the frame at byte {last.start:,} is larger than its header allows.")
        samples += frame.samples
        last = frame
    if last is None:
        raise BrokenClip(
            "The FLAC holds no sound." if at >= end else "The FLAC is damaged: its first frame is missing."
        )
    if samples < info.samples or not _is_whole(reader, last, end):
        total = f" of {info.samples:,}" if info.samples else ""
        raise BrokenClip(f"The FLAC is not whole: it ends within the frame of sample {samples:,}{total}.")
    return ClipStructure(samples / info.rate, "structure" if samples == info.samples else "none")


def _read_metadata(reader: ByteReader) -> tuple[_StreamInfo, int]:
    """Return the header's facts, and where the first frame begins."""
    at, info = id3v2_size(reader.read(0, 10)) + 4, None
    for _ in range(_MAX_METADATA_BLOCKS):
        head = reader.number(at, 4, "big")
        kind, size = head >> 24 & 0x7F, head & 0xFFFFFF
        if kind == 0 and size >= 18 and info is None:
            facts = reader.number(at + 14, 8, "big")
            info = _StreamInfo(facts >> 44, facts & (1 << 36) - 1, reader.number(at + 11, 3, "big"))
        at += 4 + size
        if at > reader.size:
            raise BrokenClip("The FLAC ends within its header.")
        if head >> 31:
            break
    if info is None or not info.rate:
        raise BrokenClip("The FLAC has no header.")
    return info, at


def _frames(reader: ByteReader, at: int, end: int) -> Iterator[_Frame]:
    """Yield the frames in order; headers are recognised by their checksum and their number."""
    expected: _Frame | None = None
    while at < end:
        window = reader.read(at, min(BLOCK, end - at))
        if not window:  # the file is shorter than its size
            return
        for match in _SYNC.finditer(window):
            start = at + match.start()
            frame = _parse_frame(start, reader.read(start, _HEADER_BYTES))
            if frame is None or (expected is not None and not _follows(expected, frame)):
                continue
            expected = frame
            yield frame
        at += max(1, len(window) - 1)


def _follows(frame: _Frame, following: _Frame) -> bool:
    return (
        following.start > frame.start
        and following.number == frame.following
        and following.variable == frame.variable
        and following.start - frame.start <= _MAX_FRAME_BYTES
    )


def _parse_frame(start: int, head: bytes) -> _Frame | None:
    """Return the frame whose header is in `head`; None if it is no header."""
    if len(head) < 6 or head[3] & 1 or head[2] & 15 == 15 or not head[2] >> 4:
        return None
    number, at = _read_number(head, 4)
    if not at:
        return None
    code = head[2] >> 4
    extra = {6: 1, 7: 2}.get(code, 0)
    samples = int.from_bytes(head[at : at + extra], "big") + 1 if extra else _BLOCK_SIZES.get(code, 0)
    at += extra + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if at >= len(head) or crc_8(head[:at]) != head[at]:
        return None
    return _Frame(start, number, samples, bool(head[1] & 1))


def _read_number(head: bytes, at: int) -> tuple[int, int]:
    """Return the number coded as in UTF-8 (up to 36 bits), and the position behind it; 0 if it is none."""
    first = head[at]
    if first < 0x80:
        return first, at + 1
    length = 8 - (first ^ 0xFF).bit_length()
    rest = head[at + 1 : at + length]
    if not 2 <= length <= 7 or len(rest) < length - 1 or any(byte & 0xC0 != 0x80 for byte in rest):
        return 0, 0
    number = first & (0x7F >> length)
    for byte in rest:
        number = number << 6 | byte & 0x3F
    return number, at + length


def _is_whole(reader: ByteReader, frame: _Frame, end: int) -> bool:
    size = end - frame.start
    return 2 < size <= _MAX_FRAME_BYTES and crc_16(reader.read(frame.start, size)) == 0
