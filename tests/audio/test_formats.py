"""Clips: what the bytes are decides what a file is called; what is no audio is refused."""

from __future__ import annotations

import io
import random
import struct
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinytag import TinyTag

from histkit import DownloadError
from histkit.audio.formats import AudioFormat, add_wav_header, expected_format, identify
from histkit.audio.structure import measure_clip
from histkit.sandbox.audio import clip
from tests.audio import audio_files as files
from tests.audio.test_structure_cuts import CLIPS


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


def bare(body: bytes, content_type: str | None = "audio/mpeg") -> AudioFormat:
    """Identify the clip of a row older than ``output_format``."""
    return identify(io.BytesIO(body), len(body), expected_format(None, content_type), undeclared=True)


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("volume", [1, 0.3, 0.005])
def test_bare_samples_of_a_row_without_output_format_are_recognised(rate: int, volume: float) -> None:
    samples = np.frombuffer(clip("an id", 1, 60, f"pcm_{rate}", None)[0], "<i2")
    body = (samples * volume).astype("<i2").tobytes()
    assert bare(body) == AudioFormat("pcm")
    if volume > 0.01:
        assert bare(b"\xff\xfb\x92\xc4" + body) == AudioFormat("pcm")  # starts like an MP3 frame by chance
    with pytest.raises(DownloadError, match="not mp3"):
        told(body, "mp3_44100_128")
    assert measure_clip(io.BytesIO(body), len(body), bare(body)).proof == "none"


@pytest.mark.parametrize("volume", [3, 500, 8000])
def test_bare_noise_that_is_not_loud_is_recognised(volume: int) -> None:
    noise = np.random.default_rng(volume).integers(-volume, volume, 24_000).astype("<i2").tobytes()
    assert bare(noise) == AudioFormat("pcm")


def test_bytes_of_no_known_format_are_samples_only_where_the_user_states_it() -> None:
    noise = np.random.default_rng(2).bytes(48_000)
    with pytest.raises(DownloadError, match="sample_rate= saves them"):
        bare(noise)
    stated = identify(io.BytesIO(noise), len(noise), expected_format(None, "audio/mpeg"), undeclared=True, stated=True)
    assert stated == AudioFormat("pcm")


def test_bare_mu_law_and_silence_of_such_a_row_are_recognised() -> None:
    body, _ = clip("an id", 1, 60, "ulaw_8000", None)
    assert bare(body) == AudioFormat("ulaw", 8000)
    assert bare(bytes(48_000)) == AudioFormat("pcm")


@pytest.mark.parametrize("name", CLIPS)
def test_what_has_a_header_is_identified_by_it_also_in_such_a_row(name: str) -> None:
    make, output_format = CLIPS[name]
    body = make()
    assert bare(body).family == output_format.partition("_")[0]


@pytest.mark.parametrize("output_format", [None, "pcm_24000", "ulaw_8000"])
@pytest.mark.parametrize(("family", "body"), [("mp3", files.mp3()), ("aac", files.adts())])
def test_frames_are_no_samples_whatever_a_row_or_the_user_states(
    family: str, body: bytes, output_format: str | None
) -> None:
    expected = expected_format(output_format, "audio/mpeg")
    undeclared = output_format is None
    audio_format = identify(io.BytesIO(body), len(body), expected, undeclared=undeclared, stated=True)
    assert audio_format == AudioFormat(family)


def test_samples_that_start_like_a_frame_are_samples() -> None:
    for start in (files.mp3()[:4], files.adts()[:7] + b"\0"):
        assert told(start + files.pcm(), "pcm_24000") == AudioFormat("pcm", 24_000)


@pytest.mark.parametrize(
    "body",
    [
        b"upstream connect error or disconnect/reset before headers",
        "Der Dienst ist nicht verfügbar. サービス".encode() * 40,
        b'{"detail": {"status": "quota_exce',
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"\xff\xd8\xff\xe0" + bytes(100),
        b"%PDF-1.7\n\xe2\xe3" + bytes(100),
        b"\x1f\x8b\x08\x00" + bytes(100),
        b"\x28\xb5\x2f\xfd" + bytes(100),
        b"GIF89a" + bytes(100),
    ],
)
@pytest.mark.parametrize("output_format", [None, "mp3_44100_128", "pcm_24000", "ulaw_8000"])
def test_text_and_other_files_are_no_clip(body: bytes, output_format: str | None) -> None:
    with pytest.raises(DownloadError, match="came instead of audio"):
        told(body, output_format)
    with pytest.raises(DownloadError, match="came instead of audio"):
        bare(body)


@pytest.mark.parametrize("name", ["MP3, frames only", "MP3, bit reservoir", "Ogg Opus", "MP4, index first", "FLAC"])
def test_the_second_half_of_a_compressed_clip_is_no_bare_clip(name: str) -> None:
    body = CLIPS[name][0]()
    half = body[len(body) // 2 + 1 :]
    with pytest.raises(DownloadError):
        bare(half)


@given(st.integers(0, 10**9), st.integers(1000, 60_000))
def test_random_bytes_are_no_bare_clip(seed: int, size: int) -> None:
    body = b"\0" + random.Random(seed).randbytes(size)
    with pytest.raises(DownloadError):
        bare(body)


def test_a_tag_stands_before_any_format() -> None:
    for family, body in [("mp3", files.mp3()), ("aac", files.adts()), ("flac", files.flac())]:
        tagged = files.id3v2() + body
        assert told(tagged).family == bare(tagged).family == told(tagged, "pcm_24000").family == family
        whole, plain = (measure_clip(io.BytesIO(each), len(each), AudioFormat(family)) for each in (tagged, body))
        assert whole == plain
