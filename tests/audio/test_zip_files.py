"""Which clips are asked for together, which entry of a zip is which row, and what is read out of any zip."""

from __future__ import annotations

import hashlib
import io
import zipfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import histkit as hk
from histkit.audio.fetch import Source
from histkit.audio.formats import AudioFormat
from histkit.audio.zip_files import BrokenZipError, FileSlice, entry_names, format_of, read_entries
from histkit.audio.zip_matching import (
    BATCH_BYTES,
    BATCH_ROWS,
    MIN_ROWS,
    OPEN_BATCHES,
    SPAN_ROWS,
    BulkRoute,
    RequestedClip,
    match_entries,
    plan_requests,
)
from histkit.sandbox.audio import clip

SECONDS = st.integers(0, 4_000_000_000)


@given(st.lists(st.tuples(st.none() | st.integers(0, 40), st.sampled_from([1e4, 3e6, 2e7])), max_size=1500))
def test_a_plan_holds_each_row_once_and_its_requests_are_bounded(rows: list[tuple[int | None, float]]) -> None:
    seconds, sizes = [row[0] for row in rows], [row[1] for row in rows]
    parts = plan_requests(seconds, sizes)
    assert sorted(row for part in parts for row in part) == list(range(len(rows)))
    assert [part[0] for part in parts] == sorted(part[0] for part in parts)
    together = [part for part in parts if len(part) > 1]
    assert all(len(part) >= MIN_ROWS for part in together)
    for part in together:
        inside = [seconds[row] for row in part]
        assert None not in inside
        assert len(set(inside)) == len(inside) <= BATCH_ROWS
        assert part[-1] - part[0] < SPAN_ROWS
        assert list(part) == sorted(part)
        assert sum(sizes[row] for row in part) <= BATCH_BYTES
    for row in range(len(rows)):
        assert sum(part[0] <= row < part[-1] for part in together) <= OPEN_BATCHES


def test_a_plan_of_different_seconds_is_as_short_as_it_can_be() -> None:
    assert list(map(len, plan_requests(list(range(1020)), [1e5] * 1020))) == [50] * 20 + [20]


VOICES = st.sampled_from(
    ["Ann", "Ann - calm", "Bob_gen_sp100", "", "a/b", "x/ElevenLabs_2001-01-01T00_00_00_y", "Ö – &"]
)
TIMES = st.sampled_from(["%Y-%m-%dT%H_%M_%S", "%Y-%m-%dT%H %M %S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H-%M-%S"])
ZONES = ["UTC", "Europe/London", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia"]


def named(second: int, voice: str, form: str, folder: str, clock: Any) -> str:
    moment = datetime.fromtimestamp(second, UTC).astimezone(clock)
    return f"{folder}ElevenLabs_{moment.strftime(form)}_{voice}_pvc_sp100_s50_m2.mp3"


@given(st.dictionaries(SECONDS, VOICES, max_size=30), TIMES, st.sampled_from(["", "x/", "a/b/"]), st.randoms())
def test_names_that_are_clear_tie_every_row_in_any_order(
    rows: dict[int, str], form: str, folder: str, random: Any
) -> None:
    asked = [RequestedClip(f"item{second:016}", second, voice) for second, voice in rows.items()]
    order = random.sample(range(len(asked)), len(asked))
    names = [named(asked[k].second, asked[k].voice or "", form, folder, UTC) for k in order]
    found = match_entries(names, asked)
    assert not found.contradictory
    clear = {entry: row for entry, row in enumerate(order) if "/ElevenLabs" not in (asked[row].voice or "")}
    assert found.rows == clear
    assert sorted([*found.rows, *found.unmatched]) == list(range(len(names)))


@given(st.data())
def test_whatever_the_clock_a_zip_that_explains_all_its_rows_is_tied_rightly(data: st.DataObject) -> None:
    base = data.draw(st.sampled_from([1_790_000_000, 1_774_745_000, 1_792_890_000]))  # the last two: clocks change
    gaps = st.sampled_from([1, 60, 1800, 3600, 7200, 86_400])
    seconds = sorted({base + a * b for a, b in data.draw(st.lists(st.tuples(st.integers(-3, 3), gaps), max_size=20))})
    shift = data.draw(st.sampled_from([timezone(timedelta(seconds=k)) for k in (-3600, -1, 0, 1, 60, 3600, 7200)]))
    clock = data.draw(st.sampled_from([shift, *map(ZoneInfo, ZONES)]))
    asked = [RequestedClip(f"item{second:016}", second) for second in seconds]
    there = data.draw(st.permutations(range(len(asked))))
    found = match_entries([named(asked[k].second, "Ann", "%Y-%m-%dT%H_%M_%S", "", clock) for k in there], asked)
    if not found.contradictory and not found.unmatched and len(found.rows) == len(asked):
        assert found.rows == dict(enumerate(there))


@given(st.lists(st.text(max_size=60), max_size=10), st.lists(SECONDS, unique=True, max_size=10))
def test_names_of_any_kind_tie_no_row_twice(names: list[str], seconds: list[int]) -> None:
    asked = [RequestedClip(f"item{second:016}", second) for second in seconds]
    found = match_entries(names + [named(each, "x", "%Y-%m-%dT%H_%M_%S", "", UTC) for each in seconds], asked)
    assert len(set(found.rows.values())) == len(found.rows)


def test_another_voice_than_the_row_has_is_no_tie() -> None:
    rows = [RequestedClip("a" * 20, 100, "Rachel"), RequestedClip("b" * 20, 200, "Roger")]
    names = [named(second, voice, "%Y-%m-%dT%H_%M_%S", "", UTC) for second, voice in ((100, "Roger"), (200, "Rachel"))]
    assert match_entries(names, rows).contradictory
    renamed = [
        named(second, voice, "%Y-%m-%dT%H_%M_%S", "", UTC)
        for second, voice in ((100, "Rachel - Calm"), (200, "Somebody else"))
    ]
    assert match_entries(renamed, rows).rows == {0: 0, 1: 1}


def test_a_second_that_nobody_asked_for_makes_the_zip_foreign() -> None:
    names = [named(second, "x", "%Y-%m-%dT%H_%M_%S", "", UTC) for second in (100, 300)]
    assert match_entries(names, [RequestedClip("a" * 20, 100), RequestedClip("b" * 20, 200)]).contradictory


def test_a_second_that_two_entries_claim_is_nobodys() -> None:
    rows = [RequestedClip("a" * 20, 100), RequestedClip("b" * 20, 200)]
    name = named(100, "x", "%Y-%m-%dT%H_%M_%S", "", UTC)
    found = match_entries([name, name.replace(".mp3", " (1).mp3"), named(200, "x", "%Y-%m-%dT%H_%M_%S", "", UTC)], rows)
    assert found.rows == {2: 1}
    assert found.unmatched == (0, 1)


def test_an_id_at_the_end_of_a_name_ties_whatever_the_clock() -> None:
    rows = [RequestedClip("ja9xsmfGhxYcymxGcOGB", 100), RequestedClip("m2", 200)]
    name = "x/ElevenLabs_2023-05-01T10_00_00_Ann_ja9xsmfGhxYcymxGcOGB (1).mp3"
    assert match_entries([name], rows).rows == {0: 0}
    assert match_entries(["x/Ann_m2.mp3"], rows).rows == {}  # too short to be no chance


def packed(files: dict[str, bytes], method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def piece(data: bytes, before: bytes = b"", after: bytes = b"") -> FileSlice:
    return FileSlice(io.BytesIO(before + data + after), len(before), len(data))


@given(
    st.dictionaries(st.text("abc/_", min_size=1, max_size=8).filter(lambda name: name[-1] != "/"), st.binary()),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    st.binary(max_size=50),
    st.binary(max_size=50),
)
def test_what_a_zip_holds_is_read_where_it_lies(
    files: dict[str, bytes], method: int, before: bytes, after: bytes
) -> None:
    zipped = piece(packed(files, method), before, after)
    assert entry_names(zipped) == list(files)
    for found, data in zip(read_entries(zipped), files.values(), strict=True):
        with found.data.open() as file:
            assert file.read() == data
        assert found.sha256 == hashlib.sha256(data).hexdigest()


@given(st.data(), st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
def test_a_damaged_zip_is_refused_or_read_rightly(data: st.DataObject, method: int) -> None:
    files = {"one": b"hello" * 20, "two": bytes(range(200))}
    whole = bytearray(packed(files, method))
    for place, byte in data.draw(st.dictionaries(st.integers(0, len(whole) - 1), st.integers(0, 255))).items():
        whole[place] = byte
    zipped = piece(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    try:
        entry_names(zipped)
        found = read_entries(zipped)
    except BrokenZipError:
        return
    sums = {hashlib.sha256(each).hexdigest() for each in files.values()}
    for each in found:
        with each.data.open() as file:
            assert hashlib.sha256(file.read()).hexdigest() == each.sha256
        assert each.sha256 in sums or each.data.size < 100


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_expands_without_bound_is_refused(method: int) -> None:
    zipped = piece(packed({"ElevenLabs.mp3": bytes(30_000_000)}, method))
    with pytest.raises(BrokenZipError, match="expand"):
        read_entries(zipped)


def test_a_clip_is_what_its_row_says_or_nothing_sure() -> None:
    frames = clip("one", 1, 40, "mp3_44100_128", 5000)[0]
    samples = b"\xff\xfb\x12" + bytes(4000)  # quiet samples that look like an MP3's first bytes
    mp3, pcm = Source("x", None, "audio/mpeg"), Source("x", "pcm_24000", "audio/mpeg")
    assert format_of(piece(frames), mp3, False) == AudioFormat("mp3")
    assert format_of(piece(b"ID3" + bytes(7) + frames), mp3, False) == AudioFormat("mp3")
    assert format_of(piece(samples), mp3, False) is None
    assert format_of(piece(samples), pcm, False) == AudioFormat("pcm", 24_000)
    assert format_of(piece(clip("one", 1, 40, "wav_44100", 5000)[0]), mp3, False) is None
    assert format_of(piece(clip("one", 1, 40, "wav_44100", 5000)[0]), mp3, True) == AudioFormat("wav")
    assert format_of(piece(frames), mp3, True) is None
    with pytest.raises(hk.DownloadError, match="web page"):
        format_of(piece(b"<html>"), mp3, False)


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_are_a_clip_or_an_error_of_ours(data: bytes) -> None:
    for start in (b"", b"\xff\xfb\x90\xc4", b"\xff\xfb\x12"):
        with suppress(hk.DownloadError):
            assert format_of(piece(start + data), Source("x", None, "audio/mpeg"), False) in (None, AudioFormat("mp3"))


def test_a_route_that_fails_is_left_and_one_bad_row_leaves_it_open() -> None:
    route = BulkRoute()
    for failed in range(20):  # each level of halves has a good one
        route.failed()
        if failed % 3 == 2:
            route.succeeded()
    assert route.is_open
    for _ in range(6):
        route.failed()
    assert not route.is_open
    for entirely, zips in ((True, 1), (False, 2)):
        route = BulkRoute()
        for _ in range(zips):
            assert route.is_open
            route.ambiguous(entirely=entirely)
        assert not route.is_open


def test_clips_are_compared_until_one_tells() -> None:
    route = BulkRoute()
    answers = iter([None, None, True])
    assert [route.is_trusted(lambda: next(answers)) for _ in range(4)] == [False, False, True, True]
    other = BulkRoute()
    assert [other.is_trusted(lambda: False) for _ in range(2)] == [False, False]
    assert not other.is_open
