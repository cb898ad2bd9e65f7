"""Clips: what the bytes are decides what a file is called; what is no audio is refused."""

from __future__ import annotations

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinytag import TinyTag

from histkit import DownloadError
from histkit.audio.formats import AudioFormat, add_wav_header, expected_format, identify
from histkit.audio.structure import measure_clip
from histkit.sandbox.audio import clip


def told(body: bytes, output_format: str | None = None, content_type: str | None = None) -> AudioFormat:
    return identify(io.BytesIO(body), len(body), expected_format(output_format, content_type))


@pytest.mark.parametrize(
    ("output_format", "family"),
    [
        ("mp3_44100_128", "mp3"),
        ("wav_44100", "wav"),
        ("opus_48000_32", "opus"),
        ("pcm_16000", "pcm"),
        ("ulaw_8000", "ulaw"),
    ],
)
def test_a_clip_is_what_its_bytes_are(output_format: str, family: str) -> None:
    body, content_type = clip("an id", 1, 60, output_format, None)
    assert told(body, output_format).family == family
    assert told(body, None, content_type).family == family
    kind = told(body, output_format, "audio/mpeg")  # the service says audio/mpeg of everything
    assert kind.family == family
    assert measure_clip(io.BytesIO(body), len(body), kind).seconds == pytest.approx(4.0, abs=0.4)
    if family not in ("pcm", "ulaw"):
        assert told(body).family == family
        assert told(body, "mp3_44100_128").family == family  # a wrong row: the bytes are right


@pytest.mark.parametrize(
    "body", [b"", b"<!DOCTYPE html><html>", b" \n<html>", b'{"detail": "no"}', b"PK\x03\x04" + bytes(50)]
)
@pytest.mark.parametrize("output_format", [None, "mp3_44100_128", "pcm_24000"])
def test_nothing_html_json_and_zips_are_no_clip(body: bytes, output_format: str | None) -> None:
    with pytest.raises(DownloadError):
        told(body, output_format)


@pytest.mark.parametrize("output_format", [None, "mp3_44100_128", "opus_48000_32", "wav_44100"])
def test_unknown_bytes_are_refused_unless_samples_are_due(output_format: str | None) -> None:
    with pytest.raises(DownloadError, match="not"):
        told(bytes(1000), output_format)
    assert told(bytes(1000), "pcm_24000") == AudioFormat("pcm", 24_000)


def test_samples_that_begin_like_an_mp3_are_samples() -> None:
    assert told(b"\xff\xfb\x92\xc4" + bytes(100), "pcm_24000").family == "pcm"
    assert told(b"{[" + bytes(100), "pcm_24000").family == "pcm"


def test_a_broken_container_is_refused() -> None:
    with pytest.raises(DownloadError):
        measure_clip(io.BytesIO(b"RIFF\x00\x00\x00\x00WAVE"), 12, AudioFormat("wav"))


def test_a_bare_clip_of_unknown_rate_has_no_length() -> None:
    assert measure_clip(io.BytesIO(bytes(10)), 10, told(bytes(10), None, "audio/pcm")).seconds is None
    assert told(bytes(10), None, "audio/L16; rate=16000") == AudioFormat("pcm", 16_000)


@given(st.integers(2, 3_000_000), st.sampled_from([("pcm", 24_000, 1), ("ulaw", 8000, 7), ("alaw", 8000, 6)]))
def test_a_header_makes_a_wav_of_samples_and_keeps_each_of_them(size: int, what: tuple[str, int, int]) -> None:
    family, rate, tag = what
    body = (b"histkit-" * (size // 8 + 1))[:size]
    file = io.BytesIO(body)
    total = add_wav_header(file, size, AudioFormat(family, rate))
    made = file.getvalue()
    width = 2 if family == "pcm" else 1
    assert len(made) == total == struct.unpack("<I", made[4:8])[0] + 8
    assert total % 2 == 0
    assert struct.unpack("<HHIIHH", made[20:36]) == (tag, 1, rate, rate * width, width, 8 * width)
    start = made.index(b"data") + 8
    kept = size - size % width
    assert struct.unpack("<I", made[start - 4 : start])[0] == kept
    assert made[start : start + kept] == body[:kept]
    assert TinyTag.get(filename="x.wav", file_obj=io.BytesIO(made)).duration == pytest.approx(
        kept / width / rate, abs=0.01
    )
    if family == "pcm":
        with wave.open(io.BytesIO(made)) as sound:
            assert (sound.getnframes(), sound.getframerate(), sound.getnchannels()) == (kept // 2, rate, 1)
