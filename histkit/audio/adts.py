"""AAC in ADTS frames (``audio/aac``): walk them to the end of the file. Layout: ISO/IEC 13818-7, 6.2."""

from __future__ import annotations

from histkit.audio.clip_reader import BLOCK, BrokenClip, ByteReader, ClipStructure, id3v2_size, start_of_trailing_tags

_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350)
_HEADER = 7
_BLOCK_SAMPLES = 1024


def is_adts_frame(head: bytes) -> bool:
    """Return whether the first bytes are the header of an ADTS frame."""
    return (
        len(head) >= _HEADER
        and head[0] == 0xFF
        and head[1] & 0xF6 == 0xF0
        and head[2] >> 2 & 15 < len(_RATES)
        and _frame_size(head) >= _HEADER
    )


def begins_with_adts_frames(head: bytes, size: int) -> bool:
    """Return whether a file of `size` bytes begins with two frames, or with one that is all of it."""
    if not is_adts_frame(head):
        return False
    first = _frame_size(head)
    return first == size or is_adts_frame(head[first : first + _HEADER])


def _frame_size(head: bytes) -> int:
    return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5


def inspect_adts(reader: ByteReader) -> ClipStructure:
    """Return the structure of AAC in ADTS frames; its frames are whole to the last byte.

    Nothing shows that none follow, so that ``proof`` is ``none``.

    Raises
    ------
    BrokenClip
        A frame is cut, or bytes are no frame.
    """
    at, seconds, blocks = id3v2_size(reader.read(0, 10)), 0.0, 0
    block, start, rate = b"", at, 0
    while at < reader.size:
        offset = at - start
        if offset + _HEADER > len(block):
            block, start, offset = reader.read(at, BLOCK), at, 0
        head = block[offset : offset + _HEADER]
        if not is_adts_frame(head):
            break
        size = _frame_size(head)
        if at + size > reader.size:
            raise BrokenClip(f"The last frame of the AAC is cut: {reader.size - at:,} of {size:,} bytes.")
        frame_rate = _RATES[head[2] >> 2 & 15]
        if frame_rate != rate:
            seconds += blocks * _BLOCK_SAMPLES / (rate or frame_rate)
            blocks, rate = 0, frame_rate
        blocks += (head[6] & 3) + 1
        at += size
    if not blocks:
        raise BrokenClip("The AAC holds no sound.")
    if at < reader.size and at != start_of_trailing_tags(reader):
        raise BrokenClip(f"The AAC is damaged or cut: the bytes from {at:,} on are no whole frame.")
    return ClipStructure(seconds + blocks * _BLOCK_SAMPLES / rate)
