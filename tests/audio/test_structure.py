"""Lengths are those of the samples that are there, whatever a header claims; what is cut is named."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histkit import DownloadError
from histkit.audio.formats import AudioFormat
from histkit.audio.structure import ClipStructure, inspect_clip, measure_clip
from tests.audio import audio_files as files

SAMPLES = files.pcm(3.0)
# What programs write that stream a WAV without knowing its size, and the same less the bytes of a header.
PLACEHOLDERS = [
    *(base - less for base in (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2_000_000_000) for less in (0, 1, 8, 36, 44)),
    0x7FFFF000,
    0x7FFFF024,
    0x7FFFFF00,
    0x7EFFFFFF,
    0x40000000,
    0,
]


def inspect(body: bytes, family: str, rate: int | None = None) -> ClipStructure:
    return inspect_clip(io.BytesIO(body), len(body), AudioFormat(family, rate))


def problem(body: bytes, family: str) -> str:
    structure = inspect(body, family)
    assert (structure.seconds, structure.proof) == (None, "none")
    assert structure.problem is not None
    return structure.problem


# WAV


@pytest.mark.parametrize("size", PLACEHOLDERS)
def test_a_streamed_wav_is_as_long_as_what_is_there_and_unproven(size: int) -> None:
    assert inspect(files.wav(SAMPLES, riff_size=size, data_size=size), "wav") == ClipStructure(3.0, "none")
    assert inspect(files.wav(SAMPLES, riff_size=36, data_size=size), "wav") == ClipStructure(3.0, "none")
    half = files.wav(SAMPLES, riff_size=size, data_size=size)[: 44 + 72_000]
    assert inspect(half, "wav") == ClipStructure(1.5, "none")


@pytest.mark.parametrize("size", PLACEHOLDERS)
def test_one_true_size_of_a_wav_is_enough(size: int) -> None:
    for body in (files.wav(SAMPLES, riff_size=size), files.wav(SAMPLES, data_size=size)):
        assert inspect(body, "wav") == ClipStructure(3.0, "structure")
        assert "bytes" in problem(body[: 44 + 72_000], "wav")


def test_half_a_wav_says_how_much_is_there() -> None:
    body = files.wav(SAMPLES)
    assert problem(body[: 44 + 72_000], "wav") == "The WAV holds 72,000 of 144,000 bytes of samples."
    with pytest.raises(DownloadError, match=r"^The WAV holds 72,000 of 144,000 bytes of samples\.$"):
        measure_clip(io.BytesIO(body), 44 + 72_000, AudioFormat("wav"))
    assert "samples" in problem(body[:44], "wav")
    assert "format" in problem(body[:30], "wav")


@given(
    st.sampled_from([(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (6, 8), (7, 8)]),
    st.integers(1, 6),
    st.integers(1000, 192_000),
    st.integers(1, 3000),
    st.booleans(),
    st.lists(st.sampled_from([b"LIST", b"JUNK", b"fact", b"abcd"]), max_size=3),
    st.lists(st.sampled_from([b"LIST", b"id3 "]), max_size=2),
    st.data(),
)
def test_every_wav_with_true_sizes_is_measured_and_every_cut_seen(
    coding: tuple[int, int], channels: int, rate: int, count: int, extensible: bool,
    before: list[bytes], after: list[bytes], data: st.DataObject,
) -> None:  # fmt: skip
    tag, bits = coding
    width = channels * bits // 8
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else tag, channels, rate, rate * width, width, bits)
    if extensible:
        form += struct.pack("<HHIH", 22, bits, 0, tag) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    body = files.wav(
        bytes(count * width),
        form=form,
        before=b"".join(files.chunk(name, bytes(data.draw(st.integers(0, 9)))) for name in before),
        after=b"".join(files.chunk(name, bytes(9)) for name in after),
    )
    structure = inspect(body, "wav")
    assert structure == ClipStructure(pytest.approx(count / rate), "structure")
    cut = data.draw(st.integers(12, len(body) - 1))
    whole_samples = len(body) - cut <= 1 and not after and count * width % 2  # only the padding byte is missing
    assert inspect(body[:cut], "wav").proof == ("structure" if whole_samples else "none")


def test_large_wavs_have_their_sizes_in_a_chunk_of_their_own() -> None:
    body = files.rf64(SAMPLES)
    assert inspect(body, "wav") == ClipStructure(3.0, "structure")
    assert inspect(body.replace(b"RF64", b"BW64"), "wav") == ClipStructure(3.0, "structure")
    assert "bytes of samples" in problem(body[:-2000], "wav")
    for size in (0, (1 << 64) - 1, (1 << 63) - 1):
        assert inspect(files.rf64(SAMPLES, size=size), "wav") == ClipStructure(3.0, "none")


def test_bytes_behind_the_samples_of_a_wav_do_not_count() -> None:
    body = files.wav(SAMPLES)
    for filling in (bytes(128), files.id3v1(), bytes(50) + files.apev2()):  # both sizes agree on the end
        assert inspect(body + filling, "wav") == ClipStructure(3.0, "structure")
    half = body[: len(body) // 2]
    assert inspect(half + body, "wav").proof == "none"  # an answer that broke off, and began again
    assert inspect(body + body, "wav") == ClipStructure(3.0, "none")  # a second WAV, which no program plays
    assert inspect(files.wav(SAMPLES, riff_size=0) + b"\x93" * 1001, "wav") == ClipStructure(3.0, "none")
    assert "no samples" in problem(files.wav(b"", after=files.chunk(b"LIST", bytes(20))), "wav")


@pytest.mark.parametrize("form", [(1, 0, 24_000, 48_000, 2, 16), (1, 1, 0, 0, 2, 16), (1, 1, 24_000, 48_000, 0, 0)])
def test_a_wav_header_that_can_not_be_right_is_named(form: tuple[int, ...]) -> None:
    assert "inconsistent" in problem(files.wav(SAMPLES, form=struct.pack("<HHIIHH", *form)), "wav")


# MP3


@pytest.mark.parametrize("tag", [b"Info", b"Xing", b"VBRI", None])
@pytest.mark.parametrize("start", [b"", files.id3v2(), files.id3v2() + files.id3v2(bytes(20)), bytes(300)])
@pytest.mark.parametrize("end", [b"", files.id3v1(), files.apev2(), files.apev2(header=False) + files.id3v1()])
def test_an_mp3_is_as_long_as_its_frames(tag: bytes | None, start: bytes, end: bytes) -> None:
    seconds = len(files.mp3_frames()) * 1152 / 44_100
    proof = "structure" if tag or end else "none"
    assert inspect(start + files.mp3(tag=tag) + end, "mp3") == ClipStructure(pytest.approx(seconds), proof)


def test_joined_mp3s_are_as_long_as_all_of_them() -> None:
    one = inspect(files.mp3(tag=b"Info"), "mp3").seconds
    assert one is not None
    parts = [
        files.mp3(tag=b"Info"),
        files.mp3(),
        files.id3v2() + files.mp3(tag=b"Xing") + files.id3v1(),
        files.mp3(tag=b"VBRI"),
    ]
    for first in parts:
        for second in parts:
            proof = "none" if second == files.mp3() else "structure"
            assert inspect(first + second, "mp3") == ClipStructure(pytest.approx(2 * one), proof)
    assert "frames" in problem(parts[0][: -10 * files.MP3_FRAME] + parts[0], "mp3")  # the first one is cut
    gapless = files.mp3(tag=b"Info", delay=576, padding=1000)
    assert inspect(gapless + gapless, "mp3").seconds == pytest.approx(2 * one)


def test_encoder_delay_and_padding_are_no_sound() -> None:
    frames = len(files.mp3_frames())
    structure = inspect(files.mp3(tag=b"Info", delay=576, padding=1000), "mp3")
    assert structure.seconds == pytest.approx((frames * 1152 - 576 - 1000) / 44_100)


def test_a_variable_rate_without_header_frame_is_measured() -> None:
    low = b"\xff\xfb\x12\xc4".ljust(105, b"\0")  # silence at 32 kbit/s
    body = low * 153 + b"".join(files.mp3_frames(6.0))
    frames = 153 + len(files.mp3_frames(6.0))
    assert inspect(body, "mp3") == ClipStructure(pytest.approx(frames * 1152 / 44_100), "none")


@pytest.mark.parametrize("count", [1, 60, 114])
def test_frames_that_the_header_frame_promises_must_be_there(count: int) -> None:
    frames = files.mp3_frames()
    for tag in (b"Info", b"Xing", b"VBRI"):
        head = files.header_frame(len(frames), (len(frames) + 1) * files.MP3_FRAME, tag=tag)
        assert f"holds {count} of {len(frames)} frames" in problem(head + b"".join(frames[:count]), "mp3")
    for placeholder in (0, 0xFFFFFFFF, 0x7FFFFFFF):
        structure = inspect(files.header_frame(placeholder) + b"".join(frames), "mp3")
        assert structure == ClipStructure(pytest.approx(len(frames) * 1152 / 44_100), "none")


def test_a_header_frame_that_counts_itself_is_true() -> None:
    frames = files.mp3_frames()
    size = (len(frames) + 1) * files.MP3_FRAME
    body = files.header_frame(len(frames) + 1, size) + b"".join(frames)
    assert inspect(body, "mp3").proof == "structure"
    assert inspect(files.header_frame(len(frames) + 1) + b"".join(frames), "mp3").proof == "none"


def test_a_cut_last_frame_is_named() -> None:
    assert problem(files.mp3()[:-18], "mp3") == "The last frame of the MP3 is cut: 400 of 418 bytes."
    for rest in (1, 2, 3):
        assert "cut" in problem((files.mp3() + b"\xff\xfb\x92\xc4")[: len(files.mp3()) + rest], "mp3")
    assert "cut" in problem(files.id3v2(bytes(5000))[:1000], "mp3")


def test_frames_alone_do_not_show_the_end() -> None:
    for body in (files.mp3(), files.mp3_with_reservoir()):
        for size in range(files.MP3_FRAME, len(body) + 1, files.MP3_FRAME):
            assert inspect(body[:size], "mp3").proof == "none"


@pytest.mark.parametrize("mark", [b"LAME3.99.5", b"LAME3.98 (beta)", b"LAME3.100", b"LAME"])
@pytest.mark.parametrize("filling", [b"\xaa", b"\x55", b"\0"])
def test_the_mark_of_the_encoder_does_not_show_it(mark: bytes, filling: bytes) -> None:
    """It stands in digital silence, too, and in every frame of an encoder without a bit reservoir."""
    *frames, last = files.mp3_frames()
    marked = (last[:200] + mark).ljust(files.MP3_FRAME, filling)
    for body in (b"".join([*frames, marked]), marked * 3):
        assert inspect(body, "mp3").proof == "none"
    assert inspect(files.header_frame(3) + marked * 3, "mp3").proof == "structure"


def test_stray_bytes_between_frames_are_not_counted_and_prove_nothing() -> None:
    frames = files.mp3_frames()
    seconds = pytest.approx(len(frames) * 1152 / 44_100)
    middle = len(frames) // 2
    stray = b"\x00stray\xff\xfb\x00" * 9
    body = b"".join(frames[:middle]) + stray + b"".join(frames[middle:])
    assert inspect(body, "mp3") == ClipStructure(seconds, "none")
    assert inspect(files.header_frame(len(frames)) + body, "mp3") == ClipStructure(seconds, "structure")
    assert inspect(b"".join(frames) + bytes(500), "mp3") == ClipStructure(seconds, "none")
    assert "damaged" in problem(b"".join(frames) + bytes(200_000), "mp3")  # as a hole in a file reads


def test_a_tag_at_the_end_does_not_show_that_the_beginning_is_there() -> None:
    body = files.mp3()[238:] + files.id3v1()
    for start in (b"\xff\xfb\x92\xc4" + bytes(100), files.mp3()[:200], b"stray"):
        assert inspect(start + body, "mp3").proof == "none"
    assert inspect(bytes(300) + files.mp3() + files.id3v1(), "mp3").proof == "structure"


def test_other_layers_and_versions_and_free_format_are_walked() -> None:
    def repeated(head: bytes, size: int, count: int = 50) -> bytes:
        return head.ljust(size, b"\0") * count

    for head, size, rate, samples in [
        (b"\xff\xf3\x40\xc4", 104, 22_050, 576),  # MPEG 2, layer III, 32 kbit/s
        (b"\xff\xe3\x40\xc4", 208, 11_025, 576),  # MPEG 2.5
        (b"\xff\xfd\x80\xc4", 417, 44_100, 1152),  # layer II, 128 kbit/s
        (b"\xff\xff\x40\xc4", 136, 44_100, 384),  # layer I, 128 kbit/s (in slots of four bytes)
        (b"\xff\xfb\x00\xc4", 700, 44_100, 1152),  # free format
    ]:
        body = repeated(head, size)
        assert inspect(body, "mp3") == ClipStructure(pytest.approx(50 * samples / rate), "none")
        assert "cut" in problem(body[:-5], "mp3")


# Ogg


def test_ogg_needs_all_its_pages() -> None:
    pages = files.ogg_pages(files.opus())
    whole = inspect(b"".join(pages), "opus")
    assert whole.proof == "structure"
    assert "ends its stream" in problem(b"".join(pages[:-1]), "opus")
    assert "missing" in problem(b"".join(pages[:3] + pages[4:]), "opus")
    damaged = bytearray(b"".join(pages))
    damaged[len(damaged) // 2] ^= 1
    assert "checksum" in problem(bytes(damaged), "opus")
    assert inspect(b"".join(pages) * 3, "opus") == ClipStructure(pytest.approx(3 * (whole.seconds or 0)), "structure")
    assert "not whole" in problem(b"".join(pages[:-1]) + b"".join(pages), "opus")


def test_an_ogg_whose_position_starts_late_or_claims_too_much_is_as_long_as_its_packets() -> None:
    pages = files.ogg_pages(files.opus())
    whole = inspect(b"".join(pages), "opus").seconds

    def moved(page: bytes, by: int) -> bytes:
        position = struct.unpack("<q", page[6:14])[0] + by
        return files.with_checksum(page[:6] + struct.pack("<q", position) + page[14:])

    late = pages[:2] + [moved(page, 480_000) for page in pages[2:]]
    assert inspect(b"".join(late), "opus").seconds == pytest.approx(whole)
    claiming = [*pages[:-1], moved(pages[-1], 1 << 40)]
    assert inspect(b"".join(claiming), "opus").seconds == pytest.approx(whole, abs=0.03)
    trimmed = [*pages[:-1], moved(pages[-1], -400)]
    assert inspect(b"".join(trimmed), "opus").seconds == pytest.approx((whole or 0) - 400 / 48_000)


# MP4, FLAC, AAC


@pytest.mark.parametrize("movie_first", [True, False])
def test_an_mp4_needs_its_index_and_all_that_it_lists(movie_first: bool) -> None:
    body = files.m4a(movie_first=movie_first)
    assert inspect(body, "m4a") == ClipStructure(pytest.approx(100 * 1024 / 24_000), "structure")
    media = body.index(b"mdat") - 4
    to_the_end = body[:media] + bytes(4) + body[media + 4 :]  # a size of 0: as far as the file goes
    if movie_first:
        assert inspect(to_the_end, "m4a").proof == "structure"
        assert "reach" in problem(to_the_end[:-100], "m4a")
        assert "index" in problem(body[:16] + body[media:], "m4a")
    else:
        assert "index" in problem(body[: body.index(b"moov") - 4], "m4a")
        assert "index" in problem(to_the_end, "m4a")
    assert "cut" in problem(body[:-1], "m4a")


def test_an_mp4_that_broke_off_and_began_again_is_not_proven() -> None:
    for body in (files.m4a(), files.fragmented(index=True), files.fragmented(stated=True)):
        last = body.rindex(b"mdat") - 4
        assert inspect(body[:last] + body, "m4a").proof == "none"
        assert inspect(body + body, "m4a").proof == "none"
        assert inspect(body + files.box(b"abcd", bytes(20)), "m4a").proof == "none"
        assert inspect(body + files.box(b"free", bytes(20)), "m4a").proof == inspect(body, "m4a").proof


def test_fragments_are_added_up() -> None:
    seconds = pytest.approx(100 * 1024 / 24_000)
    assert inspect(files.fragmented(), "m4a") == ClipStructure(seconds, "none")
    assert inspect(files.fragmented(index=True), "m4a") == ClipStructure(seconds, "structure")
    body = files.fragmented(stated=True)
    assert inspect(body, "m4a") == ClipStructure(seconds, "structure")
    assert "3.8 of 4.3 s" in problem(body[: body.rindex(b"moof") - 4], "m4a")


def test_a_flac_holds_the_samples_that_its_header_states() -> None:
    assert inspect(files.flac(40_000), "flac") == ClipStructure(pytest.approx(40_000 / 24_000), "structure")
    assert inspect(files.flac(40_000, stated=0), "flac") == ClipStructure(pytest.approx(40_000 / 24_000), "none")
    body = files.flac(40_960)
    frame = body.rindex(b"\xff\xf8\x70\x08")
    assert "36,864 of 40,960" in problem(body[:frame], "flac")
    assert "not whole" in problem(body[:-1], "flac")
    damaged = bytearray(body)
    damaged[-100] ^= 1
    assert "not whole" in problem(bytes(damaged), "flac")
    assert "larger than its header allows" in problem(body[:50_000] + body, "flac")  # broke off, and began again


def test_aac_frames_are_walked() -> None:
    assert inspect(files.adts(100), "aac") == ClipStructure(pytest.approx(100 * 1024 / 22_050), "none")
    assert "cut" in problem(files.adts(100)[:-1], "aac")


@pytest.mark.parametrize("end", [files.id3v1(), files.apev2(), files.apev2(header=False) + files.id3v1()])
def test_tags_behind_flac_and_aac_are_skipped_as_behind_mp3(end: bytes) -> None:
    assert inspect(files.flac() + end, "flac") == inspect(files.flac(), "flac")
    assert inspect(files.adts() + end, "aac") == inspect(files.adts(), "aac")
    assert "not whole" in problem(files.flac()[:-1] + end, "flac")
    assert "damaged" in problem(files.adts() + b"stray" + end, "aac")
    assert problem(files.adts()[:-1] + end, "aac").startswith("The AAC is damaged or cut")


# Samples


def test_samples_prove_nothing_and_must_be_whole() -> None:
    assert inspect(SAMPLES, "pcm", 24_000) == ClipStructure(3.0, "none")
    assert inspect(SAMPLES, "pcm") == ClipStructure(None, "none")
    assert inspect(bytes(8001), "ulaw", 8000) == ClipStructure(8001 / 8000, "none")
    assert "sample" in problem(SAMPLES[:-1], "pcm")
    assert np.isclose(inspect(SAMPLES[:-2], "pcm", 24_000).seconds or 0, 3.0, atol=1e-4)
