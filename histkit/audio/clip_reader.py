"""What the walkers of the audio containers share: their result, their error, and random access to a file in blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Literal

BLOCK = 1 << 18
StructureProof = Literal["structure", "none"]


class BrokenClip(Exception):
    """A clip is not whole or can't be read; the message is one line for the user."""


@dataclass(frozen=True)
class ClipStructure:
    """Measured length of a clip, and whether its bytes show that it is whole.

    Attributes
    ----------
    seconds : float or None
        Length measured from the samples, frames or pages that are there; None if unknown (a headerless clip of unknown
        rate, a codec that histkit can't measure, or a clip with a `problem`).
    proof : {"structure", "none"}
        ``structure``: the container shows that the clip ends where the bytes end. ``none``: it can't show it.
    problem : str or None
        One line if the clip is certainly not whole or can't be read; None otherwise.
    """

    seconds: float | None
    proof: StructureProof = "none"
    problem: str | None = None


class ByteReader:
    """Random access to the bytes of a file; reads ahead by `BLOCK` bytes, so that memory stays bounded.

    Parameters
    ----------
    file : binary file
        Seekable; its position changes.
    size : int
        Size in bytes.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.size = size
        self._file = file
        self._start = 0
        self._block = b""

    def read(self, at: int, count: int) -> bytes:
        """Return `count` bytes from the position `at`; fewer at the end of the file, none outside of it."""
        if at < 0 or at >= self.size:
            return b""
        count = min(count, self.size - at)
        offset = at - self._start
        if offset < 0 or offset + count > len(self._block):
            self._file.seek(at)
            self._start, self._block, offset = at, self._file.read(max(count, BLOCK)), 0
        return self._block[offset : offset + count]

    def number(self, at: int, count: int, order: Literal["little", "big"]) -> int:
        """Return the unsigned whole number in `count` bytes from the position `at`.

        Raises
        ------
        BrokenClip
            The file ends before.
        """
        raw = self.read(at, count)
        if len(raw) < count:
            raise BrokenClip(f"The clip ends within a header, at byte {self.size:,}.")
        return int.from_bytes(raw, order)


def id3v2_size(head: bytes) -> int:
    """Return the size of the ID3v2 tag that begins with these (ten or more) bytes; 0 if they are no such tag."""
    if head[:3] != b"ID3" or len(head) < 10 or max(head[6:10]) >= 0x80:
        return 0
    return 10 + _synchsafe(head[6:10]) + (10 if head[5] & 0x10 else 0)


def _synchsafe(raw: bytes) -> int:
    """Return the number in four bytes of seven bits."""
    return raw[0] << 21 | raw[1] << 14 | raw[2] << 7 | raw[3]


def start_of_trailing_tags(reader: ByteReader) -> int:
    """Return where the tags at the end of a file begin (ID3v1, APEv2, Lyrics3, ID3v2 with a footer)."""
    end = reader.size
    while True:
        size = _trailing_tag_size(reader, end)
        if not 0 < size <= end:
            return end
        end -= size


def _trailing_tag_size(reader: ByteReader, end: int) -> int:
    if end >= 128 and reader.read(end - 128, 3) == b"TAG" and reader.read(end - 131, 8) != b"APETAGEX":
        return 128 + (227 if end >= 355 and reader.read(end - 355, 4) == b"TAG+" else 0)
    footer = reader.read(end - 32, 32) if end >= 32 else b""
    if footer[:8] == b"APETAGEX":
        return int.from_bytes(footer[12:16], "little") + (32 if footer[23] & 0x80 else 0)
    if footer[-9:] == b"LYRICS200" and footer[-15:-9].isdigit():
        return int(footer[-15:-9]) + 15
    if footer[-10:-7] == b"3DI" and max(footer[-4:]) < 0x80:
        return 20 + _synchsafe(footer[-4:])
    return 0
