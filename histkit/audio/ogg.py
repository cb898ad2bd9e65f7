"""Ogg: walk the pages of Opus, Vorbis, FLAC and Speex to the page that ends each stream.

A page has a checksum and a number, so that a damaged or a missing one is seen; the last page of a stream says that it
is the last. Layout: RFC 3533; Opus: RFC 7845.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from histkit.audio.clip_reader import BrokenClip, ByteReader, ClipStructure

_HEADER = 27
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_OPUS_RATE = 48_000
_OPUS_FRAME = (480, 960, 1920, 2880) * 3 + (480, 960) * 2 + (120, 240, 480, 960) * 4  # samples by configuration


@dataclass
class _Stream:
    """One logical stream."""

    sequence: int
    codec: str | None
    rate: int
    pre_skip: int = 0
    position: int | None = None  # granule position of the last page where a packet ends
    first: int | None = None  # position at which the first page of sound begins
    samples: int = 0  # Opus: those of the packets that are there
    ended: bool = False

    def seconds(self) -> float | None:
        if self.codec is None or not self.rate:
            return None
        if self.position is None or self.position < 0:
            return 0.0
        length = self.position - (self.first or 0)
        if self.codec == "opus":
            length = min(length, self.samples)
        return max(0, length - self.pre_skip) / self.rate


@dataclass
class _Link:
    """Streams that run side by side; a chained file has several links, one after the other."""

    streams: dict[int, _Stream] = field(default_factory=dict)
    opening: bool = True

    def seconds(self) -> float | None:
        return max(
            (seconds for stream in self.streams.values() if (seconds := stream.seconds()) is not None), default=None
        )


def inspect_ogg(reader: ByteReader) -> ClipStructure:
    """Return the structure of an Ogg file; ``seconds`` is the sum over chained streams.

    Raises
    ------
    BrokenClip
        A page is cut, damaged or missing, or a stream does not end.
    """
    links: list[_Link] = []
    at = 0
    while at < reader.size:
        page = _read_page(reader, at)
        if page is None:
            break
        _take_page(links, page, at)
        at += len(page)
    if not links:
        raise BrokenClip("The Ogg file holds no pages.")
    if not all(stream.ended for stream in links[-1].streams.values()):
        if at < reader.size:
            raise BrokenClip(f"The Ogg file is damaged or cut: the bytes from {at:,} on are no page.")
        raise BrokenClip("The Ogg file is not whole: the page that ends its stream is missing.")
    lengths = [length for link in links if (length := link.seconds()) is not None]
    if lengths and not sum(lengths):
        raise BrokenClip("The Ogg file holds no sound.")
    return ClipStructure(sum(lengths) if lengths else None, "structure")


def _read_page(reader: ByteReader, at: int) -> bytes | None:
    """Return the page at a position; None if the bytes there are no page.

    Raises
    ------
    BrokenClip
        The page is cut or damaged.
    """
    header = reader.read(at, _HEADER)
    if header[:4] != b"OggS"[: len(header)]:
        return None
    lacing = reader.read(at + _HEADER, header[26]) if len(header) == _HEADER else b""
    size = _HEADER + len(lacing) + sum(lacing)
    if len(header) < _HEADER or len(lacing) < header[26] or at + size > reader.size:
        raise BrokenClip(f"The last page of the Ogg file is cut: {reader.size - at:,} bytes of it are there.")
    page = reader.read(at, size)
    if checksum(page) != int.from_bytes(page[22:26], "little"):
        raise BrokenClip(f"The Ogg file is damaged: the page at byte {at:,} has another checksum.")
    return page


def checksum(page: bytes) -> int:
    """Return the checksum of a page, whose own field counts as zeros.

    It is the CRC-32 of zlib read backwards: bits of each byte and of the result reversed.
    """
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_REVERSED)
    check = zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{check:032b}"[::-1], 2)


def _take_page(links: list[_Link], page: bytes, at: int) -> None:
    flags = page[5]
    position, serial, sequence = struct.unpack("<qII", page[6:22])
    lacing = page[_HEADER : _HEADER + page[26]]
    content = page[_HEADER + page[26] :]
    if flags & _FIRST:
        if not links or not links[-1].opening:
            if links and not all(stream.ended for stream in links[-1].streams.values()):
                raise BrokenClip(f"The Ogg file is not whole: another stream begins at byte {at:,}, before the end.")
            links.append(_Link())
        links[-1].streams[serial] = _open_stream(content, sequence)
        links[-1].streams[serial].ended = bool(flags & _LAST)
        return
    stream = links[-1].streams.get(serial) if links else None
    if stream is None:
        raise BrokenClip(f"The Ogg file is damaged: the stream at byte {at:,} has no beginning.")
    links[-1].opening = False
    if sequence != stream.sequence + 1 & 0xFFFFFFFF or stream.ended:
        raise BrokenClip(f"The Ogg file is damaged: pages are missing before byte {at:,}.")
    stream.sequence = sequence
    if stream.codec == "opus":
        samples = _opus_samples(content, lacing, continued=bool(flags & _CONTINUED))
        stream.samples += samples
        if stream.first is None and samples and position >= 0:
            stream.first = max(0, position - stream.samples) if not flags & _LAST else 0
    if position >= 0:
        stream.position = position
    stream.ended = bool(flags & _LAST)


def _open_stream(head: bytes, sequence: int) -> _Stream:
    if head[:8] == b"OpusHead" and len(head) >= 19:
        return _Stream(sequence, "opus", _OPUS_RATE, int.from_bytes(head[10:12], "little"))
    if head[:7] == b"\x01vorbis" and len(head) >= 16:
        return _Stream(sequence, "vorbis", int.from_bytes(head[12:16], "little"))
    if head[:5] == b"\x7fFLAC" and len(head) >= 30:
        return _Stream(sequence, "flac", int.from_bytes(head[27:30], "big") >> 4)
    if head[:8] == b"Speex   " and len(head) >= 40:
        return _Stream(sequence, "speex", int.from_bytes(head[36:40], "little"))
    return _Stream(sequence, None, 0)


def _opus_samples(content: bytes, lacing: bytes, *, continued: bool) -> int:
    """Return the samples (at 48 kHz) of the packets that begin on a page, but for the header packets."""
    if content[:8] == b"OpusTags":
        return 0
    total = at = 0
    begins = not continued
    for size in lacing:
        if begins and size:
            total += _packet_samples(content[at : at + 2])
        begins = size < 255
        at += size
    return total


def _packet_samples(packet: bytes) -> int:
    """Return the samples (at 48 kHz) of an Opus packet, from its first two bytes (RFC 6716, 3.1)."""
    count = (1, 2, 2)[packet[0] & 3] if packet[0] & 3 < 3 else (packet[1] & 63 if len(packet) > 1 else 0)
    return _OPUS_FRAME[packet[0] >> 3] * count
