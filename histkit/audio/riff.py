"""WAV: walk the chunks of a RIFF, RF64 or BW64 file.

Sizes in the header are claims. A program that streams doesn't know them and writes a placeholder: 0, 0xFFFFFFFF,
0x7FFFFFFF, 2,000,000,000, or one of these less the bytes of the header. The length is then that of the samples that are
there, and nothing shows that they are all. Some programs write other values above 1 GB; a clip of speech is never that
long. Layout: RFC 2361, EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from histkit.audio.clip_reader import (
    BrokenClip,
    ByteReader,
    ClipStructure,
    StructureProof,
    start_of_trailing_tags,
)

_PLACEHOLDER = 1_000_000_000  # sizes from here on are placeholders where the file has fewer bytes
_PLACEHOLDER_64 = 1 << 62
_MAX_CHUNKS = 10_000
_MOST_FILLING = 4096  # zeros behind the last chunk
_HEADER = 8
_PCM, _FLOAT, _ALAW, _ULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_UNCOMPRESSED = {_PCM, _FLOAT, _ALAW, _ULAW}
_BLOCK_CODECS = {0x02, 0x11}  # Microsoft's and IMA's ADPCM: whole blocks of a fixed number of samples
_KNOWN_CHUNKS = {b"data", b"LIST", b"fact", b"id3 ", b"ID3 ", b"bext", b"cue ", b"PEAK", b"JUNK", b"junk", b"iXML"}


@dataclass(frozen=True)
class _Chunk:
    name: bytes
    start: int  # of its content
    size: int  # that the header claims


@dataclass(frozen=True)
class _WaveFormat:
    rate: int
    block_bytes: int
    block_samples: int | None  # None: a codec without a fixed number

    def seconds(self, size: int) -> float | None:
        if self.block_samples is None:
            return None
        return size // self.block_bytes * self.block_samples / self.rate


def inspect_wav(reader: ByteReader) -> ClipStructure:
    """Return the structure of a WAV file: its sizes are compared with the bytes that are there.

    Raises
    ------
    BrokenClip
        Samples or chunks are missing, or the header is inconsistent.
    """
    riff_end = _riff_end(reader)
    wave: _WaveFormat | None = None
    large: tuple[int, int] | None = None
    for chunk in _chunks(reader, 12):
        if chunk.name == b"ds64":
            large = reader.number(chunk.start, 8, "little"), reader.number(chunk.start + 8, 8, "little")
            riff_end = None if _is_placeholder(large[0], _PLACEHOLDER_64) else large[0] + _HEADER
        elif chunk.name == b"fmt " and wave is None:
            wave = _wave_format(reader, chunk)
        elif chunk.name == b"data":
            if wave is None:
                raise BrokenClip("The WAV has no format chunk before its samples.")
            limit = _PLACEHOLDER
            if large is not None and chunk.size == 0xFFFFFFFF:
                chunk, limit = replace(chunk, size=large[1]), _PLACEHOLDER_64
            return _inspect_samples(reader, chunk, wave, riff_end, limit)
    raise BrokenClip("The WAV holds no samples.")


def _is_placeholder(size: int, limit: int = _PLACEHOLDER) -> bool:
    return size == 0 or size >= limit


def _riff_end(reader: ByteReader) -> int | None:
    """Return where the file ends according to its first header; None for a placeholder."""
    size = reader.number(4, 4, "little")
    return None if _is_placeholder(size) else size + _HEADER


def _chunks(reader: ByteReader, at: int) -> Iterator[_Chunk]:
    """Yield the chunks from a position on, until one reaches past the end of the file or there is no header."""
    for _ in range(_MAX_CHUNKS):
        header = reader.read(at, _HEADER)
        if len(header) < _HEADER:
            return
        chunk = _Chunk(header[:4], at + _HEADER, int.from_bytes(header[4:], "little"))
        yield chunk
        at = chunk.start + chunk.size
        if at % 2 and reader.read(at, 4) not in _KNOWN_CHUNKS:  # the padding byte, which some programs forget
            at += 1
    raise BrokenClip("The WAV has too many chunks to be sound.")


def _wave_format(reader: ByteReader, chunk: _Chunk) -> _WaveFormat:
    content = reader.read(chunk.start, min(chunk.size, 40))
    if len(content) < 16:
        raise BrokenClip("The format chunk of the WAV is incomplete.")
    tag, channels, rate, _, block_bytes, bits = struct.unpack("<HHIIHH", content[:16])
    if tag == _EXTENSIBLE and len(content) >= 26:
        tag = int.from_bytes(content[24:26], "little")
    if tag in _UNCOMPRESSED:
        block_bytes = channels * ((bits + 7) // 8) or block_bytes
    if not (channels and rate and block_bytes):
        raise BrokenClip(
            f"The WAV header is inconsistent: {channels} channels, {rate:,} samples per second, {block_bytes} bytes "
            "per sample."
        )
    if tag in _UNCOMPRESSED:
        return _WaveFormat(rate, block_bytes, 1)
    block_samples = int.from_bytes(content[18:20], "little") if tag in _BLOCK_CODECS else 0
    return _WaveFormat(rate, block_bytes, block_samples or None)


def _inspect_samples(
    reader: ByteReader, data: _Chunk, wave: _WaveFormat, riff_end: int | None, limit: int
) -> ClipStructure:
    available = reader.size - data.start
    if _is_placeholder(data.size, limit) and not 0 < data.size <= available and not _is_empty(reader, data):
        return _inspect_streamed(reader, data, wave, riff_end)
    if data.size > available:
        raise BrokenClip(f"The WAV holds {max(0, available):,} of {data.size:,} bytes of samples.")
    if data.size < wave.block_bytes:
        raise BrokenClip("The WAV holds no samples.")
    end = data.start + data.size
    explained = _end_of_chunks(reader, end + end % 2)
    if riff_end is not None and riff_end > reader.size + _HEADER:  # some programs count the first header as well
        raise BrokenClip(f"The WAV holds {reader.size:,} of {riff_end:,} bytes.")
    proof: StructureProof = "structure"
    agreed = riff_end is not None and end <= riff_end <= reader.size
    if explained < reader.size and not (agreed and _is_filling(reader, explained)):
        proof = "none"  # the bytes behind the samples may be samples as well, or those of an answer that was sent twice
    return ClipStructure(wave.seconds(data.size), proof)


def _inspect_streamed(reader: ByteReader, data: _Chunk, wave: _WaveFormat, riff_end: int | None) -> ClipStructure:
    """Return the structure of a file whose data size is a placeholder: its samples reach to the end of the file."""
    if riff_end is not None and riff_end > reader.size + _HEADER:
        raise BrokenClip(f"The WAV holds {reader.size:,} of {riff_end:,} bytes.")
    size = reader.size - data.start
    if size < wave.block_bytes:
        raise BrokenClip("The WAV holds no samples.")
    if wave.block_samples == 1 and size % wave.block_bytes:
        raise BrokenClip(f"The last sample of the WAV is cut: {size % wave.block_bytes} of {wave.block_bytes} bytes.")
    return ClipStructure(wave.seconds(size), "structure" if riff_end == reader.size else "none")


def _is_empty(reader: ByteReader, data: _Chunk) -> bool:
    """Return whether a data chunk of size 0 holds no samples: other chunks, or nothing, follow."""
    if data.size:
        return False
    return data.start >= reader.size or (
        reader.read(data.start, 4) in _KNOWN_CHUNKS and _end_of_chunks(reader, data.start) >= reader.size
    )


def _end_of_chunks(reader: ByteReader, at: int) -> int:
    """Return where the chunks behind the samples end: the end of the file, or the first bytes that are no chunk.

    Raises
    ------
    BrokenClip
        The last chunk is cut.
    """
    end = at
    for chunk in _chunks(reader, at):
        end = chunk.start + chunk.size
        if not (chunk.name.isascii() and chunk.name.decode("ascii").isprintable()) or chunk.name == b"RIFF":
            return chunk.start - _HEADER
        if end > reader.size:
            if chunk.name in _KNOWN_CHUNKS and not _is_placeholder(chunk.size):
                raise BrokenClip(f"The last chunk of the WAV is cut: {reader.size:,} of {end:,} bytes.")
            return chunk.start - _HEADER
        end += end % 2
    return end


def _is_filling(reader: ByteReader, at: int) -> bool:
    """Return whether the bytes from a position to the end are zeros and tags, as other programs append them."""
    end = start_of_trailing_tags(reader)
    return end - at <= _MOST_FILLING and not any(reader.read(at, max(0, end - at)))
