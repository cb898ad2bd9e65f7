"""A clip that is cut anywhere is refused, or at least never counted as whole; property tests on hostile bytes."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histkit import DownloadError
from histkit.audio.formats import AudioFormat, expected_format, identify
from histkit.audio.structure import ClipStructure, inspect_clip
from histkit.sandbox.audio import clip
from tests.audio import audio_files as files
from tests.effort import examples

CLIPS: dict[str, tuple[Callable[[], bytes], str]] = {
    "WAV": (lambda: files.wav(files.pcm()), "wav_24000"),
    "WAV, chunks around": (
        lambda: files.wav(files.pcm(), before=files.chunk(b"JUNK", bytes(28)), after=files.chunk(b"LIST", bytes(60))),
        "wav_24000",
    ),
    "WAV, streamed": (lambda: files.wav(files.pcm(), riff_size=0x7FFFFFFF, data_size=0x7FFFFFFF), "wav_24000"),
    "WAV, RF64": (lambda: files.rf64(files.pcm()), "wav_24000"),
    "MP3, number of frames": (lambda: files.id3v2() + files.mp3(tag=b"Info"), "mp3_44100_128"),
    "MP3, VBRI": (lambda: files.mp3(tag=b"VBRI"), "mp3_44100_128"),
    "MP3, two joined": (lambda: files.mp3(tag=b"Info") * 2, "mp3_44100_128"),
    "MP3, tag at the end": (lambda: files.mp3() + files.apev2() + files.id3v1(), "mp3_44100_128"),
    "MP3, bit reservoir": (lambda: files.id3v2() + files.mp3_with_reservoir(), "mp3_44100_128"),
    "MP3, frames only": (files.mp3, "mp3_44100_128"),
    "Ogg Opus": (files.opus, "opus_48000_32"),
    "Ogg Opus, chained": (lambda: files.opus() * 2, "opus_48000_32"),
    "MP4, index first": (files.m4a, "m4a_aac_44100_128"),
    "MP4, index last": (lambda: files.m4a(movie_first=False), "m4a_aac_44100_128"),
    "MP4, fragmented": (files.fragmented, "m4a_aac_44100_128"),
    "MP4, fragmented, duration": (lambda: files.fragmented(stated=True), "m4a_aac_44100_128"),
    "FLAC": (files.flac, "flac"),
    "FLAC, streamed": (lambda: files.flac(stated=0), "flac"),
    "AAC (ADTS)": (files.adts, "aac"),
    "PCM": (files.pcm, "pcm_24000"),
    "mu-law": (lambda: clip("ulaw", 1, 60, "ulaw_8000", None)[0], "ulaw_8000"),
}
UNPROVEN = {"PCM", "mu-law", "AAC (ADTS)", "MP3, frames only", "MP3, bit reservoir"}


def inspect(body: bytes, output_format: str) -> ClipStructure:
    """Return what a download sees of a body: refused as no audio, or its structure."""
    file = io.BytesIO(body)
    try:
        audio_format = identify(file, len(body), expected_format(output_format, None))
    except DownloadError as error:
        return ClipStructure(None, problem=str(error))
    return inspect_clip(file, len(body), audio_format)


def whole_beginnings(name: str, body: bytes) -> set[int]:
    """Return where a clip can be cut so that a whole clip is left: the first of two, or all but the tags at its end."""
    if name in ("MP3, two joined", "Ogg Opus, chained"):
        return {len(body) // 2}
    return {body.index(mark) for mark in (b"APETAGEX", b"TAGtitle") if mark in body}


def count_cuts(name: str, number: int, seed: int) -> Counter[str]:
    """Cut a clip of `CLIPS` at random places, a third of them near the edges of its parts, and count what is seen.

    Returns
    -------
    Counter
        ``caught``: refused. ``not provable``: kept, but never deleted at the service for its structure; also a cut
        that leaves a whole clip (`whole_beginnings`). ``wrong``: taken for whole.
    """
    make, output_format = CLIPS[name]
    body = make()
    dice = random.Random(seed)
    edges = [
        at for mark in (b"\xff\xfb\x92", b"OggS", b"mdat", b"moof", b"data", b"\xff\xf8") for at in _places(body, mark)
    ]
    whole = whole_beginnings(name, body)
    result: Counter[str] = Counter()
    for turn in range(number):
        if turn % 3 == 0 and edges:
            at = dice.choice(edges) + dice.randrange(-9, 10)
        else:
            at = dice.randrange(1, len(body))
        at = min(max(at, 1), len(body) - 1)
        structure = inspect(body[:at], output_format)
        if structure.problem is not None:
            result["caught"] += 1
        elif structure.proof == "none" or at in whole:
            result["not provable"] += 1
        else:
            result["wrong"] += 1
    return result


def _places(body: bytes, mark: bytes) -> Iterable[int]:
    at = body.find(mark)
    while at >= 0:
        yield at
        at = body.find(mark, at + 1)


@pytest.mark.parametrize("name", CLIPS)
def test_whole_clips_are_whole(name: str) -> None:
    make, output_format = CLIPS[name]
    structure = inspect(make(), output_format)
    assert structure.problem is None
    assert structure.seconds is not None
    assert 1.5 < structure.seconds < 9
    proven = not name.endswith(("streamed", "fragmented")) and name not in UNPROVEN
    assert structure.proof == ("structure" if proven else "none")


@pytest.mark.parametrize("name", CLIPS)
def test_a_cut_clip_is_never_taken_for_whole(name: str) -> None:
    counts = count_cuts(name, examples(30), 1)
    assert counts["wrong"] == 0
    if name not in ("PCM", "mu-law", "WAV, streamed"):
        assert counts["caught"] > counts["not provable"]


@pytest.mark.parametrize("tag", [b"Info", b"Xing", None])
@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize("step", [97, pytest.param(1, marks=pytest.mark.faults)])
def test_no_cut_of_an_mp3_that_ends_in_silence_is_taken_for_whole(tag: bytes | None, variable: bool, step: int) -> None:
    body = files.mp3_with_silence(tag=tag, variable=variable)
    assert inspect(body, "mp3_44100_128").proof == ("structure" if tag else "none")
    edges = {
        at + shift for mark in (b"\xff\xfb", b"LAME3.100") for at in _places(body, mark) for shift in range(-2, 12)
    }
    for at in sorted({*range(1, len(body), step), *edges & set(range(1, len(body)))}):
        structure = inspect(body[:at], "mp3_44100_128")
        assert structure.problem if tag else structure.proof == "none", at


@pytest.mark.faults
def test_three_hundred_cuts_of_each_format() -> None:
    table = {name: count_cuts(name, 300, 7) for name in CLIPS}
    for name, counts in table.items():
        print(
            f"{name:28} caught {counts['caught']:4}, not provable {counts['not provable']:4}, wrong {counts['wrong']}"
        )
    assert not any(counts["wrong"] for counts in table.values())


@pytest.mark.faults
@pytest.mark.parametrize("name", CLIPS)
def test_every_cut_of_a_clip(name: str) -> None:
    make, output_format = CLIPS[name]
    body = make()
    whole = whole_beginnings(name, body)
    cuts = (at for at in range(1, len(body)) if at not in whole)
    assert [at for at in cuts if inspect(body[:at], output_format).proof == "structure"] == []


FAMILIES = ["wav", "mp3", "opus", "ogg", "m4a", "flac", "aac", "pcm", "ulaw"]
BODIES = [make() for make, _ in CLIPS.values()]


@given(
    st.binary(max_size=3000),
    st.sampled_from(FAMILIES),
    st.sampled_from([b"", b"RIFF0000WAVE", b"ID3", b"OggS\0", b"fLaC"]),
)
def test_random_bytes_never_raise(body: bytes, family: str, start: bytes) -> None:
    body = start + body
    for size in (len(body), len(body) + 5000):  # a file that became shorter after its size was read
        structure = inspect_clip(io.BytesIO(body), size, AudioFormat(family))
    assert structure.problem is None or "\n" not in structure.problem


@given(st.data())
def test_changed_clips_never_raise(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from(BODIES)))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, min(len(body) - 1, data.draw(st.sampled_from([64, 700, len(body)])))))
        change = data.draw(st.binary(min_size=1, max_size=8))
        if data.draw(st.booleans()):
            body[at : at + len(change)] = change
        else:
            body[at:at] = change
    for family in FAMILIES[:7]:
        structure = inspect_clip(io.BytesIO(body), len(body), AudioFormat(family))
        assert structure.seconds is None or structure.seconds >= 0
        assert (structure.problem is None) or structure.proof == "none"
