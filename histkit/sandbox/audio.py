"""Audio of the sandbox: a clip for each row in its format; the takes of a text differ slightly."""

import json
import struct
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from histkit.sandbox import synth
from histkit.sandbox.prng import number

CONTENT_TYPES = {
    "mp3": "audio/mpeg",
    "pcm": "audio/pcm",
    "wav": "audio/wav",
    "ulaw": "audio/basic",
    "opus": "audio/ogg",
}
EXTENSION_FORMATS = {
    "audio/mpeg": "mp3_44100_128",
    "audio/pcm": "pcm_24000",
    "audio/wav": "wav_44100",
    "audio/basic": "ulaw_8000",
    "audio/ogg": "opus_48000_32",
}
_BIT_RATES = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_LONGEST_SECONDS, _SHORTEST_SECONDS, _CHARACTERS_A_SECOND = 12.0, 0.6, 15.0
SILENCE = synth.SYLLABLES
_EACH = synth.SYLLABLES // len(synth.PITCHES)
_REVERSED = bytes(int(f"{k:08b}"[::-1], 2) for k in range(256))


@lru_cache(maxsize=1)
def _palette() -> dict[str, list[list[bytes]]]:
    """Return the MP3 frames and the Opus packets of each syllable."""
    packed = zlib.decompress(Path(__file__).with_name("palette.bin").read_bytes())
    head, _, blocks = packed.partition(b"\n")
    palette: dict[str, list[list[bytes]]] = {}
    at = 0
    for name, syllables in json.loads(head).items():
        palette[name] = []
        for sizes in syllables:
            pieces = []
            for size in sizes:
                pieces.append(blocks[at : at + size])
                at += size
            palette[name].append(pieces)
    return palette


@lru_cache(maxsize=4)
def _mp3_pieces(kilobits: int) -> list[bytes]:
    """Return each syllable as MP3 frames of a bit rate; what a frame does not need is filled with zeros."""
    # With the padding bit in every frame the size is right to a tenth of a percent.
    head = bytes([0xFF, 0xFB, _BIT_RATES.index(kilobits) << 4 | 0b0010, 0xC4])
    size = 144_000 * kilobits // 44_100 + 1
    return [b"".join((head + frame).ljust(size, b"\0") for frame in frames) for frames in _palette()["mp3"]]


def _mp3_header_frame(frame: bytes, frames: int) -> bytes:
    """Return the first frame of an MP3, as LAME writes it: without sound, with the number of frames and bytes."""
    tag = struct.pack(">4sIII", b"Info", 3, frames, (frames + 1) * len(frame))
    return (frame[:4] + bytes(17) + tag).ljust(len(frame), b"\0")


@lru_cache(maxsize=8)
def _pcm_pieces(rate: int) -> list[bytes]:
    return [row.tobytes() for row in synth.samples(rate)]


@lru_cache(maxsize=1)
def _ulaw_pieces() -> list[bytes]:
    """Return each syllable as 8 kHz mu-law (ITU-T G.711)."""
    wave = synth.samples(8000).astype(np.int32)
    size = np.minimum(np.abs(wave), 32_635) + 132
    exponent = np.floor(np.log2(size)).astype(np.int32) - 7
    code = ~(np.where(wave < 0, 0x80, 0) | exponent << 4 | (size >> exponent + 3) & 0x0F) & 0xFF
    return [row.tobytes() for row in code.astype(np.uint8)]


def _ogg_page(body: list[bytes], position: int, serial: int, sequence: int, flags: int) -> bytes:
    lacing = b"".join(b"\xff" * (len(one) // 255) + bytes([len(one) % 255]) for one in body)
    head = struct.pack("<4sBBqIII", b"OggS", 0, flags, position, serial, sequence, 0) + bytes([len(lacing)])
    raw = head + lacing + b"".join(body)
    # Ogg's checksum is the CRC-32 of zlib read backwards: bits of each byte and of the result reversed.
    check = zlib.crc32(raw.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    check = int(f"{check:032b}"[::-1], 2)
    return raw[:22] + struct.pack("<I", check) + raw[26:]


def _ogg(packets: list[bytes], serial: int) -> bytes:
    """Wrap Opus packets of 20 ms into an Ogg file (RFC 7845)."""
    head = struct.pack("<8sBBHIhB", b"OpusHead", 1, 1, 312, 48_000, 0, 0)
    vendor = b"histkit"
    tags = b"OpusTags" + struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", 0)
    pages = [_ogg_page([head], 0, serial, 0, 2), _ogg_page([tags], 0, serial, 1, 0)]
    for first in range(0, len(packets), 50):
        body = packets[first : first + 50]
        done = first + len(body)
        pages.append(_ogg_page(body, done * 960, serial, len(pages), 4 if done == len(packets) else 0))
    return b"".join(pages)


def _pieces(output_format: str) -> tuple[str, int, list[bytes]]:
    """Return the family of a format, its sample rate and the syllables in it."""
    family, *numbers = output_format.split("_")
    rate = int(numbers[0]) if numbers and numbers[0].isdigit() else 44_100
    match family:
        case "pcm" | "wav":
            return family, rate, _pcm_pieces(rate)
        case "ulaw":
            return family, 8000, _ulaw_pieces()
        case "opus":
            return family, 48_000, [b"".join(packets) for packets in _palette()["opus"]]
        case _:
            # The palette's frames fit into 128 kbit/s and more; a smaller rate is served as 128.
            kilobits = int(numbers[1]) if len(numbers) > 1 and numbers[1].isdigit() else 128
            return "mp3", 44_100, _mp3_pieces(kilobits if kilobits in (128, 160, 192, 224, 256, 320) else 128)


def _phrase(salt: int, pitch: int, count: int) -> list[int]:
    """Return which syllables are heard: words of one to four with short breaks between them."""
    syllables: list[int] = []
    k = 0
    while len(syllables) < count:
        dice = number(salt, "phrase", k)
        k += 1
        syllables += [pitch * _EACH + (dice >> 8 * place) % _EACH for place in range(1, 2 + dice % 4)]
        syllables.append(SILENCE)
    return [*syllables[: count - 1], SILENCE]


@lru_cache(maxsize=128)
def clip(history_item_id: str, pitch: int, characters: int, output_format: str, size: int | None) -> tuple[bytes, str]:
    """Return the audio of a row and its content type.

    Parameters
    ----------
    history_item_id
        The same id gives the same audio; other ids (other takes) differ.
    pitch
        Pitch of the voice, 0 to 3.
    characters
        Length of the text: about 15 characters a second, 12 seconds at most.
    output_format
        One of the API's, such as ``mp3_44100_128``, ``pcm_24000``, ``wav_44100``, ``ulaw_8000``, ``opus_48000_32``.
    size
        Approximate size in bytes, which replaces the length of the text.
    """
    family, rate, pieces = _pieces(output_format)
    seconds = min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, characters / _CHARACTERS_A_SECOND))
    count = max(2, round(size / len(pieces[0])) if size else round(seconds / synth.SECONDS))
    salt = zlib.crc32(history_item_id.encode()) << 20 | len(history_item_id)
    phrase = _phrase(salt, pitch, min(count, 400))
    phrase = (phrase * (count // len(phrase) + 1))[:count]
    if family == "opus":
        packets = [packet for k in phrase for packet in _palette()["opus"][k]]
        body = _ogg(packets, salt & 0xFFFFFFFF)
    else:
        body = b"".join(pieces[k] for k in phrase)
    if family == "mp3":
        size_of_frame = len(pieces[0]) // len(_palette()["mp3"][0])
        body = _mp3_header_frame(body[:size_of_frame], len(body) // size_of_frame) + body
    if family == "wav":
        head = struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            b"RIFF",
            36 + len(body),
            b"WAVE",
            b"fmt ",
            16,
            1,
            1,
            rate,
            rate * 2,
            2,
            16,
            b"data",
            len(body),
        )
        body = head + body
    return body, CONTENT_TYPES[family]


def stored_format(row: dict[str, Any]) -> str:
    """Return the format of a row's audio; older rows state only a content type."""
    return row.get("output_format") or EXTENSION_FORMATS.get(row.get("content_type") or "", "mp3_44100_128")


def with_stream_sizes(wav: bytes, size: int) -> bytes:
    """Return a WAV of `clip` whose header states the sizes of a stream of unknown length."""
    stated = struct.pack("<I", size)
    return wav[:4] + stated + wav[8:40] + stated + wav[44:]
