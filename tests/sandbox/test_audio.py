"""The sandbox's audio: every format plays, is as long as its text and repeats exactly."""

import io
import wave
import zipfile
from collections.abc import Iterator

import numpy as np
import pytest
import requests
from tinytag import TinyTag

from histkit.sandbox import Sandbox, serve
from histkit.sandbox.audio import clip

KINDS = {
    "mp3_44100_128": "audio/mpeg",
    "mp3_44100_192": "audio/mpeg",
    "pcm_24000": "audio/pcm",
    "pcm_16000": "audio/pcm",
    "wav_44100": "audio/wav",
    "ulaw_8000": "audio/basic",
    "opus_48000_32": "audio/ogg",
}


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with serve(items=400, seed=1) as box:
        yield box


def fetch(box: Sandbox, history_item_id: str) -> requests.Response:
    url = f"{box.url}/v1/history/{history_item_id}/audio"
    return requests.get(url, headers={"xi-api-key": box.api_key}, timeout=20)


def bulk(box: Sandbox, ids: list[str], **more) -> requests.Response:
    body = {"history_item_ids": ids, **more}
    return requests.post(f"{box.url}/v1/history/download", json=body, headers={"xi-api-key": box.api_key}, timeout=20)


@pytest.mark.parametrize("output_format", KINDS)
def test_each_format_has_the_length_of_its_text(output_format):
    body, content_type = clip("oneItem", 1, 90, output_format, None)
    assert content_type == KINDS[output_format]
    family, rate = output_format.split("_")[:2]
    if family in ("pcm", "ulaw"):
        seconds = len(body) / int(rate) / (2 if family == "pcm" else 1)
    else:
        tag = TinyTag.get(file_obj=io.BytesIO(body))
        seconds = tag.duration
    assert seconds == pytest.approx(90 / 15, rel=0.08)


def test_every_mp3_frame_stands_alone():
    body, _ = clip("oneItem", 0, 500, "mp3_44100_128", None)
    frames = [body[at : at + 418] for at in range(0, len(body), 418)]
    assert len(body) % 418 == 0
    assert all(frame[:2] == b"\xff\xfb" for frame in frames)
    # The first nine bits after the header point into earlier frames.
    assert all(frame[4] == 0 and frame[5] < 0x80 for frame in frames)


def test_sound_is_there_and_does_not_clip():
    body, _ = clip("oneItem", 2, 120, "wav_44100", None)
    with wave.open(io.BytesIO(body)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 44_100)
        samples = np.frombuffer(sound.readframes(sound.getnframes()), dtype="<i2").astype(float)
    assert 8_000 < np.abs(samples).max() < 24_000
    assert np.sqrt((samples**2).mean()) > 2_000


def test_takes_differ_and_repeat():
    assert clip("takeA", 1, 80, "mp3_44100_128", None) == clip("takeA", 1, 80, "mp3_44100_128", None)
    assert clip("takeA", 1, 80, "mp3_44100_128", None) != clip("takeB", 1, 80, "mp3_44100_128", None)


def test_length_is_bounded_and_size_can_be_asked_for():
    longest = TinyTag.get(file_obj=io.BytesIO(clip("x", 1, 9_000, "mp3_44100_128", None)[0]))
    assert longest.duration == pytest.approx(12, abs=0.3)
    for size in (20_000, 1_000_000):
        assert len(clip("x", 1, 10, "mp3_44100_128", size)[0]) == pytest.approx(size, rel=0.1)


def test_each_row_is_served_in_its_own_format(box):
    seen = set()
    for row in box.history():
        output_format = row.get("output_format")
        if output_format and output_format not in seen:
            seen.add(output_format)
            answer = fetch(box, row["history_item_id"])
            assert answer.headers["Content-Type"] == row["content_type"] == KINDS[output_format]
            assert answer.content
    assert "mp3_44100_128" in seen
    pcm = box.add(output_format="pcm_24000", content_type="audio/pcm")[0]
    answer = fetch(box, pcm)
    assert answer.headers["Content-Type"] == "audio/pcm"
    assert len(answer.content) % 2 == 0


def test_one_id_is_bare_audio_and_wav_on_request(box):
    one = box.history()[0]["history_item_id"]
    assert bulk(box, [one]).content == fetch(box, one).content
    answer = bulk(box, [one], output_format="wav")
    assert answer.headers["Content-Type"] == "audio/wav"
    assert answer.content[:4] == b"RIFF"


def test_several_ids_are_a_zip_named_by_the_second(box):
    ids = [row["history_item_id"] for row in box.history()[:12]]
    answer = bulk(box, ids)
    assert answer.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        sounds = [archive.read(name) for name in names]
    assert sounds == [fetch(box, one).content for one in ids]
    assert all(name.startswith("ElevenLabs_history/ElevenLabs_20") and name.endswith(".mp3") for name in names)
    assert not any(one in name for one in ids for name in names)


def test_two_takes_of_one_second_collide(box):
    like = {
        "date_unix": 1_700_000_000,
        "voice_id": "21m00Tcm4TlvDq8ikWAM",
        "voice_name": "Rachel",
        "voice_category": "premade",
        "model_id": "eleven_multilingual_v2",
        "dialogue": None,
        "settings": {"stability": 0.5, "similarity_boost": 0.75, "style": 0, "speed": 1, "use_speaker_boost": True},
        "output_format": "mp3_44100_128",
    }
    pair = box.add(2, **like)
    expected = "ElevenLabs_history/ElevenLabs_2023-11-14T22_13_20_Rachel_pre_sp100_s50_sb75_se0_b_m2"
    with zipfile.ZipFile(io.BytesIO(bulk(box, pair).content)) as archive:
        assert archive.namelist() == [f"{expected}.mp3", f"{expected} (1).mp3"]
    box.set(zip_collisions="duplicate")
    with zipfile.ZipFile(io.BytesIO(bulk(box, [pair[0], pair[0]]).content)) as archive:
        assert archive.namelist() == [f"{expected}.mp3", f"{expected}.mp3"]
    box.set(zip_collisions=None)
    box.remove(pair)


def test_names_in_a_zip_are_safe_unless_raw_ones_are_asked_for(box):
    loud = box.add(2, voice_name='../AC/DC: <b>"Loud"</b>', dialogue=None)
    with zipfile.ZipFile(io.BytesIO(bulk(box, loud).content)) as archive:
        assert all(name.count("/") == 1 for name in archive.namelist())
    box.set(zip_names="raw")
    with zipfile.ZipFile(io.BytesIO(bulk(box, loud).content)) as archive:
        assert all("../AC/DC" in name for name in archive.namelist())
    box.set(zip_names=None)
    box.remove(loud)


def test_unknown_ids_are_an_error_or_left_out(box):
    ids = [row["history_item_id"] for row in box.history()[:2]]
    assert bulk(box, [*ids, "nobody"]).status_code == 404
    box.set(unknown_ids="omit")
    with zipfile.ZipFile(io.BytesIO(bulk(box, [*ids, "nobody"]).content)) as archive:
        assert len(archive.namelist()) == 2
    box.set(unknown_ids=None)
