"""Audio formats: identify a clip by its bytes, its row's ``output_format`` and its content type; write WAV headers.

The service sends PCM, mu-law and A-law without a header, so their bytes do not identify them. Every other format is
identified by its first bytes. WAV layout and format tags: RFC 2361; Ogg Opus: RFC 7845.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

from histkit.audio.adts import begins_with_adts_frames, is_adts_frame
from histkit.audio.clip_reader import id3v2_size
from histkit.audio.mpeg import begins_with_frames, parse_frame_header
from histkit.audio.samples import family_of_samples
from histkit.errors import DownloadError

BLOCK = 1 << 18
HEAD_BYTES = 4096
_WAV_TAGS = {"pcm": 1, "alaw": 6, "ulaw": 7}  # WAV format tags of the headerless formats
SAMPLE_BYTES = {"pcm": 2, "alaw": 1, "ulaw": 1}
_FAMILIES = {"mp3", "wav", "opus", "m4a", "flac", "aac", *_WAV_TAGS}
_MIME = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/ogg": "opus",
    "audio/opus": "opus",
    "application/ogg": "opus",
    "audio/mp4": "m4a",
    "audio/x-m4a": "m4a",
    "audio/m4a": "m4a",
    "audio/aac": "aac",
    "audio/aacp": "aac",
    "audio/x-aac": "aac",
    "audio/flac": "flac",
    "audio/pcm": "pcm",
    "audio/l16": "pcm",
    "audio/basic": "ulaw",
    "audio/pcmu": "ulaw",
    "audio/x-mulaw": "ulaw",
    "audio/pcma": "alaw",
    "audio/x-alaw": "alaw",
    "audio/x-alaw-basic": "alaw",
}
_OTHER_FILES = {
    "A PNG image": b"\x89PNG\r\n",
    "A GIF image": b"GIF8",
    "A JPEG image": b"\xff\xd8\xff",
    "A PDF": b"%PDF-",
    "A gzip file": b"\x1f\x8b\x08",
    "A zip": b"PK\x05\x06",
    "A zstd file": b"\x28\xb5\x2f\xfd",
    "A 7z file": b"7z\xbc\xaf\x27\x1c",
}
_OTHER_AUDIO = {"AIFF": b"FORM", "AU": b".snd", "CAF": b"caff", "WebM": b"\x1a\x45\xdf\xa3"}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_RATE = re.compile(r";\s*rate=(\d{4,6})\b")
BROWSER_TYPES = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "opus": "audio/ogg",
    "ogg": "audio/ogg",
    "m4a": "audio/mp4",
    "aac": "audio/aac",
    "flac": "audio/flac",
}


@dataclass(frozen=True)
class AudioFormat:
    """Format of a clip.

    Attributes
    ----------
    family : str
        ``mp3``, ``wav``, ``opus``, ``ogg``, ``m4a``, ``flac``, ``aac``, ``pcm``, ``ulaw`` or ``alaw``; also
        the file extension.
    rate : int or None
        Samples per second of a headerless family; None if unknown, and for families with a header.
    """

    family: str
    rate: int | None = None

    @property
    def headerless(self) -> bool:
        """Whether the service sends it without a header."""
        return self.family in _WAV_TAGS

    @property
    def wrappable(self) -> bool:
        """Whether a WAV header can be added: the format is headerless and its rate is known."""
        return self.headerless and self.rate is not None


def expected_format(output_format: str | None, content_type: str | None) -> AudioFormat | None:
    """Return the format a clip should have, from the row's ``output_format``, else from a content type.

    Examples
    --------
    >>> expected_format("pcm_24000", "audio/mpeg"), expected_format(None, "audio/basic"), expected_format(None, None)
    (AudioFormat(family='pcm', rate=24000), AudioFormat(family='ulaw', rate=8000), None)
    """
    family, _, rest = (output_format or "").lower().partition("_")
    if family in _FAMILIES:
        rate = re.match(r"\d{4,6}(?=_|$)", rest)
        return _audio_format(family, int(rate.group()) if rate else None)
    mime = (content_type or "").lower()
    family = _MIME.get(mime.partition(";")[0].strip(), "")
    rate = _RATE.search(mime)
    return _audio_format(family, int(rate.group(1)) if rate else None) if family else None


def _audio_format(family: str, rate: int | None) -> AudioFormat:
    if family in ("ulaw", "alaw"):
        rate = rate or 8000  # the only rate of these formats in the service
    return AudioFormat(family, rate if family in _WAV_TAGS else None)


def identify(
    file: BinaryIO, size: int, expected: AudioFormat | None, *, undeclared: bool = False, stated: bool = False
) -> AudioFormat:
    """Return the format of a complete clip, and check that it is audio.

    Parameters
    ----------
    file : binary file
        The clip; its position changes.
    size : int
        Its size in bytes.
    expected : AudioFormat or None
        The format it should have; None if unknown.
    undeclared : bool
        Whether the row has no ``output_format``, or an unknown one. Such a row may say ``audio/mpeg`` of samples
        without a header, which are then recognised by their likeness; the rate of PCM is unknown.
    stated : bool
        Whether the user states that such a row has samples. Bytes of no known format are then PCM.

    Raises
    ------
    DownloadError
        The clip is empty, a web page, text, JSON, a zip or another kind of file, or not in the expected format.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if not size:
        raise DownloadError("The clip is empty.")
    _refuse_non_audio(file, head, size)
    family = _family_by_magic(head)
    tag = id3v2_size(head)
    if tag:
        file.seek(tag)
        family = _family_by_magic(file.read(HEAD_BYTES)) or family
    # raw samples may start like a frame
    by_chance = (family == "mp3" and not begins_with_frames(head, size)) or (
        family == "aac" and not tag and not begins_with_adts_frames(head, size)
    )
    if expected is not None and expected.headerless and (family is None or by_chance):
        if size < SAMPLE_BYTES[expected.family]:
            raise DownloadError("The clip is shorter than one sample.")
        return expected
    if undeclared and (family is None or by_chance):
        samples = family_of_samples(file, size) or ("pcm" if stated and size > 1 else None)
        if samples is not None:
            return _audio_format(samples, None)
    if family is None:
        advice = "; if they are raw samples, sample_rate= saves them" if undeclared else ""
        raise DownloadError(
            f"The bytes are not {expected.family if expected else 'of any known audio format'}{advice}."
        )
    return AudioFormat(family)


def _refuse_non_audio(file: BinaryIO, head: bytes, size: int) -> None:
    start = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<?xml")):
        raise DownloadError("A web page came instead of audio.")
    if start.startswith((b"{", b"[")) and size <= BLOCK:
        file.seek(0)
        try:
            json.loads(file.read())
        except ValueError:
            pass
        else:
            raise DownloadError("JSON came instead of audio.")
    if head.startswith(b"PK\x03\x04"):
        raise DownloadError("A zip came instead of one clip.")
    for name, magic in _OTHER_FILES.items():
        if head.startswith(magic):
            raise DownloadError(f"{name} came instead of audio.")
    for name, magic in _OTHER_AUDIO.items():
        if head.startswith(magic):
            raise DownloadError(f"The clip is {name}, which the service does not offer and histkit can't check.")
    if _is_text(head):
        raise DownloadError("Text came instead of audio.")


def _is_text(head: bytes) -> bool:
    """Return whether bytes are UTF-8 without control characters; their last character may be cut."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return _CONTROL.search(text) is None


def _family_by_magic(head: bytes) -> str | None:
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"OggS":
        return "opus" if b"OpusHead" in head[:128] else "ogg"
    if head[4:8] == b"ftyp":
        return "m4a"
    if head[:4] == b"fLaC":
        return "flac"
    if head[:3] == b"ID3" or parse_frame_header(head[:4]) is not None:
        return "mp3"
    return "aac" if is_adts_frame(head) else None


def add_wav_header(file: BinaryIO, size: int, audio_format: AudioFormat) -> int:
    """Insert a WAV header before raw samples, in place and block by block; return the new size in bytes.

    Parameters
    ----------
    file : binary file, open for reading and writing
        PCM (16 bit, mono, little-endian), mu-law or A-law samples.
    size : int
        Size in bytes; an incomplete last sample is dropped.
    audio_format : AudioFormat
        A format that is `AudioFormat.wrappable`.
    """
    data = size - size % SAMPLE_BYTES[audio_format.family]
    header = wav_header(data, audio_format)
    end = data
    while end > 0:
        start = max(0, end - BLOCK)
        file.seek(start)
        block = file.read(end - start)
        file.seek(start + len(header))
        file.write(block)
        end = start
    file.seek(0)
    file.write(header)
    total = len(header) + data
    if data % 2:  # chunks end on an even byte
        file.seek(total)
        file.write(b"\0")
        total += 1
    file.truncate(total)
    return total


def wav_header(data: int, audio_format: AudioFormat) -> bytes:
    """Return the WAV header for `data` bytes of samples."""
    family, rate = audio_format.family, audio_format.rate or 0
    tag, width = _WAV_TAGS[family], SAMPLE_BYTES[family]
    form = struct.pack("<HHIIHH", tag, 1, rate, rate * width, width, 8 * width)
    if tag != 1:  # other than PCM: size of the (empty) extension, and the number of samples
        form += struct.pack("<H4sII", 0, b"fact", 4, data)
    form_size = 16 if tag == 1 else 18
    chunks = b"WAVE" + struct.pack("<4sI", b"fmt ", form_size) + form + struct.pack("<4sI", b"data", data)
    return struct.pack("<4sI", b"RIFF", len(chunks) + data + data % 2) + chunks


def bytes_per_second(output_format: str | None, *, wav: bool = False) -> float:
    """Estimate the bytes per second of speech in a format; 16 kB (128 kbit/s) if it is unknown.

    Examples
    --------
    >>> bytes_per_second("mp3_44100_192"), bytes_per_second("pcm_24000"), bytes_per_second("ulaw_8000")
    (24000.0, 48000.0, 8000.0)
    """
    family, *numbers = (output_format or "").lower().split("_")
    known = [int(number) for number in numbers if number.isdigit()]
    if family in _WAV_TAGS and known:
        return float(known[0] * SAMPLE_BYTES[family])
    if wav or family == "wav":
        return float((known[0] if known else 44_100) * 2)
    return known[1] * 125.0 if len(known) > 1 else 16_000.0


def size_of(file: BinaryIO) -> int:
    """Return the size of an open file in bytes."""
    return file.seek(0, os.SEEK_END)
