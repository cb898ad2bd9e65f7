"""Audio files of each format, built from the sandbox's clips or from random bytes: whole ones, with given headers."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

from histkit.audio.flac import crc_8, crc_16
from histkit.audio.ogg import checksum
from histkit.sandbox.audio import clip

MP3_FRAME = 418  # bytes of the sandbox's frames: 128 kbit/s, padded, mono
MP3_SAMPLES = 1152


def pcm(seconds: float = 3.0, rate: int = 24_000) -> bytes:
    body, _ = clip("pcm", 1, 100, f"pcm_{rate}", None)
    count = round(seconds * rate) * 2
    return (body * (count // len(body) + 1))[:count]


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    """Return a RIFF chunk; `size` is what its header says."""
    return struct.pack("<4sI", name, len(content) if size is None else size) + content + bytes(len(content) % 2)


def wav(
    samples: bytes,
    rate: int = 24_000,
    *,
    riff_size: int | None = None,
    data_size: int | None = None,
    before: bytes = b"",
    after: bytes = b"",
    form: bytes | None = None,
    name: bytes = b"RIFF",
) -> bytes:
    """Return a WAV; `riff_size` and `data_size` are what its headers say, where they are not true."""
    form = form or struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
    body = b"WAVE" + before + chunk(b"fmt ", form) + chunk(b"data", samples, data_size) + after
    return name + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


def rf64(samples: bytes, *, size: int | None = None) -> bytes:
    """Return an RF64; `size` replaces both sizes of its ds64 chunk."""
    total = 4 + 36 + 24 + 8 + len(samples)
    sizes = struct.pack("<QQQI", total if size is None else size, len(samples) if size is None else size, 0, 0)
    large = 0xFFFFFFFF
    return wav(samples, riff_size=large, data_size=large, before=chunk(b"ds64", sizes), name=b"RF64")


def mp3_frames(seconds: float = 3.0) -> list[bytes]:
    """Return the frames of an MP3 without a header frame; each holds its own data."""
    count = round(seconds * 44_100 / MP3_SAMPLES)
    body, _ = clip("mp3", 1, 100, "mp3_44100_128", count * MP3_FRAME)
    frames = [body[at : at + MP3_FRAME] for at in range(MP3_FRAME, len(body), MP3_FRAME)]  # without the header frame
    return (frames * (count // len(frames) + 1))[:count]


def header_frame(
    frames: int, size: int = 0, *, tag: bytes = b"Info", delay: int | None = None, padding: int = 0
) -> bytes:
    """Return a Xing, Info or VBRI frame that states a number of frames and, if not 0, of bytes."""
    start = b"\xff\xfb\x92\xc4"
    if tag == b"VBRI":
        content = bytes(32) + tag + struct.pack(">HHHII", 1, 0, 75, size, frames)
        return (start + content).ljust(MP3_FRAME, b"\0")
    content = (
        bytes(17) + tag + struct.pack(">II", 3 if size else 1, frames) + (struct.pack(">I", size) if size else b"")
    )
    if delay is not None:
        content += b"LAME3.100" + bytes(12) + (delay << 12 | padding).to_bytes(3, "big")
    return (start + content).ljust(MP3_FRAME, b"\0")


def mp3(seconds: float = 3.0, *, tag: bytes | None = None, delay: int | None = None, padding: int = 0) -> bytes:
    """Return an MP3, with a true header frame if there is a `tag`."""
    frames = mp3_frames(seconds)
    head = (
        header_frame(len(frames), (len(frames) + 1) * MP3_FRAME, tag=tag, delay=delay, padding=padding) if tag else b""
    )
    return head + b"".join(frames)


def mp3_with_reservoir(seconds: float = 3.0) -> bytes:
    """Return an MP3 as LAME writes it: the data of a frame begins up to 511 bytes before it; filling at the end."""
    side_info, head = 17, 4
    room = MP3_FRAME - head - side_info
    stream = bytearray()
    headers = []
    for number, frame in enumerate(mp3_frames(seconds)):
        side = int.from_bytes(frame[head : head + side_info], "big")
        bits = side_info * 8
        used = (sum(side >> bits - offset - 12 & 0xFFF for offset in (18, 77)) + 7) // 8
        back = min(511, number * room - len(stream))
        stream += bytes(number * room - back - len(stream))  # filling where the reservoir is full
        side = side & (1 << bits - 9) - 1 | back << bits - 9
        stream += frame[head + side_info :][:used]
        headers.append(frame[:head] + side.to_bytes(side_info, "big"))
    stream += b"LAME3.100"
    stream += b"\xaa" * (len(headers) * room - len(stream))
    return b"".join(header + stream[k * room : (k + 1) * room] for k, header in enumerate(headers))


def mp3_with_silence(*, tag: bytes | None = None, variable: bool = False) -> bytes:
    """Return an MP3 that ends in digital silence, with the mark that LAME writes in each of its silent frames."""
    low = b"\xff\xfb\x12\xc4".ljust(44, b"\0") + b"LAME3.100"  # 32 kbit/s
    silent = low.ljust(105, b"\xaa") if variable else mp3_frames(1)[0][:44].ljust(100, b"\0") + b"LAME3.100"
    frames = mp3_frames(0.3) + [silent if variable else silent.ljust(MP3_FRAME, b"\xaa")] * 20
    size = MP3_FRAME + sum(map(len, frames))
    head = header_frame(len(frames), size, tag=tag, delay=576, padding=1000) if tag else b""
    return head + b"".join(frames)


def id3v2(content: bytes = bytes(200)) -> bytes:
    size = len(content)
    return b"ID3\x04\x00\x00" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + content


def id3v1() -> bytes:
    return b"TAG" + b"title".ljust(125, b"\0")


def apev2(*, header: bool = True) -> bytes:
    item = struct.pack("<II", 4, 0) + b"Title\0Test"
    fields = struct.pack("<IIII", 2000, len(item) + 32, 1, 1 << 31 if header else 0)
    edge = b"APETAGEX" + fields + bytes(8)
    return (edge if header else b"") + item + edge


def opus() -> bytes:
    return clip("opus", 1, 60, "opus_48000_32", None)[0]


def ogg_pages(body: bytes) -> list[bytes]:
    pages = []
    while body:
        count = body[26]
        size = 27 + count + sum(body[27 : 27 + count])
        pages.append(body[:size])
        body = body[size:]
    return pages


def with_checksum(page: bytes) -> bytes:
    return page[:22] + struct.pack("<I", checksum(page)) + page[26:]


def flac(samples: int = 40_000, *, block: int = 4096, stated: int | None = None, rate: int = 24_000) -> bytes:
    """Return a FLAC of random samples, uncompressed; `stated` is what its header says of their number."""
    total = samples if stated is None else stated
    facts = rate << 44 | 0 << 41 | 15 << 36 | total
    info = (
        struct.pack(">HH", block, block)
        + bytes(3)
        + (2 * block + 11).to_bytes(3, "big")
        + facts.to_bytes(8, "big")
        + bytes(16)
    )
    body = b"fLaC" + b"\x80\x00\x00\x22" + info
    dice = random.Random(1)
    for number, start in enumerate(range(0, samples, block)):
        count = min(block, samples - start)
        head = b"\xff\xf8\x70\x08" + chr(number).encode() + struct.pack(">H", count - 1)
        frame = head + bytes([crc_8(head), 0b00000010]) + dice.randbytes(2 * count)
        body += frame + crc_16(frame).to_bytes(2, "big")
    return body


def adts(frames: int = 100) -> bytes:
    dice = random.Random(2)
    body = b""
    for _ in range(frames):
        size = 7 + dice.randrange(150, 400)
        head = bytes([0xFF, 0xF1, 0x5C, 0x40 | size >> 11, size >> 3 & 0xFF, (size & 7) << 5 | 0x1F, 0xFC])
        body += head + dice.randbytes(size - 7)
    return body


def box(kind: bytes, *content: bytes) -> bytes:
    inner = b"".join(content)
    return struct.pack(">I4s", 8 + len(inner), kind) + inner


def _movie(tables: bytes, *more: bytes, duration: int) -> bytes:
    header = box(b"mvhd", bytes(12), struct.pack(">II", 1000, duration), bytes(80))
    media = box(
        b"mdia",
        box(b"mdhd", bytes(12), struct.pack(">IIHH", 24_000, duration * 24, 0, 0)),
        box(b"hdlr", bytes(8), b"soun", bytes(13)),
        box(b"minf", box(b"stbl", tables)),
    )
    return box(b"moov", header, box(b"trak", box(b"tkhd", bytes(12), struct.pack(">I", 1), bytes(68)), media), *more)


def m4a(samples: Sequence[bytes] | None = None, *, movie_first: bool = True) -> bytes:
    """Return an MP4 of samples of 1024 at 24 kHz, five in a chunk."""
    dice = random.Random(3)
    samples = samples or [dice.randbytes(dice.randrange(150, 400)) for _ in range(100)]
    sizes = [len(sample) for sample in samples]
    brand = box(b"ftyp", b"M4A \0\0\0\0")

    def movie(start: int) -> bytes:
        offsets = [start + sum(sizes[:k]) for k in range(0, len(sizes), 5)]
        tables = (
            box(b"stts", struct.pack(">IIII", 0, 1, len(sizes), 1024))
            + box(b"stsc", struct.pack(">IIIII", 0, 1, 1, 5, 1))
            + box(b"stsz", struct.pack(f">III{len(sizes)}I", 0, 0, len(sizes), *sizes))
            + box(b"stco", struct.pack(f">II{len(offsets)}I", 0, len(offsets), *offsets))
        )
        return _movie(tables, duration=len(sizes) * 1024 // 24)

    media = box(b"mdat", *samples)
    if movie_first:
        return brand + movie(len(brand) + len(movie(0)) + 8) + media
    return brand + media + movie(len(brand) + 8)


def fragmented(fragments: int = 10, *, index: bool = False, stated: bool = False) -> bytes:
    """Return a fragmented MP4; `index` at its end, or its duration `stated` at its start."""
    dice = random.Random(4)
    count = 10
    duration = fragments * count * 1024 // 24
    extends = (box(b"mehd", struct.pack(">II", 0, duration)) if stated else b"") + box(
        b"trex", struct.pack(">IIIIII", 0, 1, 1, 1024, 0, 0)
    )
    tables = box(b"stts", bytes(8)) + box(b"stsc", bytes(8)) + box(b"stsz", bytes(12)) + box(b"stco", bytes(8))
    body = box(b"ftyp", b"M4A \0\0\0\0") + _movie(tables, box(b"mvex", extends), duration=0)
    for _ in range(fragments):
        samples = [dice.randbytes(dice.randrange(150, 400)) for _ in range(count)]

        def fragment(offset: int, sizes: list[int]) -> bytes:
            run = struct.pack(f">IIi{count}I", 0x201, count, offset, *sizes)
            return box(b"moof", box(b"traf", box(b"tfhd", struct.pack(">II", 0x020000, 1)), box(b"trun", run)))

        sizes = [len(sample) for sample in samples]
        body += fragment(len(fragment(0, sizes)) + 8, sizes) + box(b"mdat", *samples)
    return body + (box(b"mfra", box(b"mfro", struct.pack(">II", 0, 24))) if index else b"")
