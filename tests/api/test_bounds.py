"""A response that never ends, or ends too late, is an error that names the bound; nothing waits for ever."""

from __future__ import annotations

import gzip
import itertools
import pickle
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import histkit as hk
from histkit.api.bounds import Bounds, Watchdog
from tests.raw_service import raw_answers

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
CLIP = b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\n"
REFUSED = b"HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
PIECE = b"x" * 4096


def drip(text: bytes, seconds: float = 0.05) -> Iterator[bytes]:
    for byte in itertools.cycle(text):
        yield bytes([byte])
        time.sleep(seconds)


def chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)


def client_for(url: str, **options: Any) -> hk.HistoryClient:
    return hk.HistoryClient("sk_test", base_url=url, **{"max_retries": 0, **options})


SLOW: dict[str, Callable[[], Iterable[bytes]]] = {
    "a body with a length": lambda: [OK, b"content-length: 1000000\r\n\r\n", *[drip(b" ")]],
    "a body without a length": lambda: [OK, b"\r\n", drip(b" ")],
    "chunks": lambda: [OK, CHUNKED, (b"1\r\n \r\n" for _ in drip(b" "))],
    "the size of a chunk": lambda: [OK, CHUNKED, drip(b"0")],
    "trailers": lambda: [OK, CHUNKED, b"1\r\n \r\n0\r\n", drip(b"a: b\r\n")],
    "trailers without end": lambda: [OK, CHUNKED, b"1\r\n \r\n0\r\n", itertools.repeat(b"a: b\r\n" * 500)],
    "the status line": lambda: [drip(b"HTTP/1.1 200 OK")],
    "headers": lambda: [OK, drip(b"x-header: more\r\n")],
    "interim answers without end": lambda: [itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)],
    "compressed nothing without end": lambda: [
        OK,
        b"content-encoding: gzip\r\n",
        CHUNKED,
        itertools.repeat(b"14\r\n" + gzip.compress(b"", mtime=0) + b"\r\n"),
    ],
}


@pytest.mark.parametrize("name", SLOW)
def test_a_page_that_is_never_complete_ends_at_the_total_time(name: str) -> None:
    with raw_answers(SLOW[name]) as url:
        started = time.monotonic()
        with pytest.raises(hk.TransportError, match=r"within 0\.6 s \(total_timeout\)") as caught:
            client_for(url, total_timeout=0.6).list()
        assert 0.5 < time.monotonic() - started < 5
        assert caught.value.passing
        assert "\n" not in str(caught.value)


def test_a_total_time_holds_for_a_session_of_the_callers_own() -> None:
    with raw_answers(SLOW["a body with a length"]) as url, requests.Session() as session:
        with pytest.raises(hk.TransportError, match="total_timeout"):
            client_for(url, total_timeout=0.6, session=session).list()


def test_a_slow_answer_is_tried_again_while_there_is_time() -> None:
    body = b'{"history":[],"has_more":false}'
    answers = [[OK, drip(b" ")], [OK, b"content-length: %d\r\n\r\n" % len(body), body]]
    with raw_answers(lambda: answers.pop(0)) as url:
        page = client_for(url, total_timeout=0.5, max_retries=1).list()
    assert page.history == []


LARGE: dict[str, Callable[[], Iterable[bytes]]] = {
    "chunks": lambda: [OK, CHUNKED, chunks(itertools.repeat(PIECE))],
    "a body without a length": lambda: [OK, b"\r\n", itertools.repeat(PIECE)],
    "a declared length": lambda: [OK, b"content-length: 10000000000\r\n\r\n", itertools.repeat(PIECE)],
    "a compressed body": lambda: [
        OK,
        b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(BOMB),
        [BOMB],
    ],
}
BOMB = gzip.compress(bytes(30_000_000), mtime=0)


@pytest.mark.parametrize("name", LARGE)
def test_a_page_without_end_is_refused_at_the_largest_size_and_not_tried_again(name: str) -> None:
    asked: list[int] = []

    def answer() -> Iterable[bytes]:
        asked.append(1)
        return LARGE[name]()

    with raw_answers(answer) as url:
        with pytest.raises(hk.TransportError, match=r"larger than 1,000,000 bytes \(max_page_bytes\)") as caught:
            client_for(url, max_page_bytes=1_000_000, max_retries=3).list()
        assert not caught.value.passing
        assert "HistoryClient(max_page_bytes=...)" in str(caught.value)
        assert asked == [1]


@pytest.mark.parametrize("name", ["chunks", "a body without a length", "a declared length"])
def test_a_clip_without_end_is_refused_at_the_largest_size(name: str) -> None:
    def answer() -> Iterable[bytes]:
        return [CLIP, *list(LARGE[name]())[1:]]

    with raw_answers(answer) as url:
        received: list[bytes] = []
        with pytest.raises(hk.TransportError, match=r"larger than 100,000 bytes \(max_clip_bytes\)"):
            received.extend(client_for(url, max_clip_bytes=100_000, max_retries=3).get_audio("a"))
        assert len(b"".join(received)) <= 100_000


def test_an_endless_clip_leaves_no_file(tmp_path: Path) -> None:
    frame = hk.sample_history(20).head(2)
    with raw_answers(lambda: [CLIP, CHUNKED, chunks(itertools.repeat(PIECE))]) as url:
        client = client_for(url, max_clip_bytes=100_000)
        manifest = hk.download_audio(frame, tmp_path / "audio", client=client)
        assert manifest.status.tolist() == ["failed", "failed"]
        assert manifest.error.str.contains("max_clip_bytes").all()
        with pytest.raises(hk.DownloadError, match="max_clip_bytes"):
            hk.download_zip(frame, tmp_path / "clips.zip", client=client)
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(name for name in left if "manifest" not in name and "lock" not in name) == []


def test_a_clip_that_drips_is_too_slow() -> None:
    with raw_answers(lambda: [CLIP, b"content-length: 100000\r\n\r\n", drip(b"x")]) as url:
        with pytest.raises(hk.TransportError, match="less than 8 KiB a second"):
            b"".join(client_for(url, total_timeout=0.6, max_retries=3).get_audio("a"))


def test_a_clip_may_take_longer_than_the_total_time_while_enough_bytes_come() -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(6):
            yield PIECE
            time.sleep(0.2)

    with raw_answers(lambda: [CLIP, b"content-length: %d\r\n\r\n" % (6 * len(PIECE)), pieces()]) as url:
        assert len(b"".join(client_for(url, total_timeout=0.5).get_audio("a"))) == 6 * len(PIECE)


def test_the_callers_own_pauses_do_not_count() -> None:
    with raw_answers(lambda: [CLIP, b"content-length: 30000\r\n\r\n", b"x" * 30000]) as url:
        stream = client_for(url, total_timeout=0.6).get_audio("a", request_options={"chunk_size": 10000})
        received = 0
        for chunk in stream:
            received += len(chunk)
            time.sleep(0.5)
    assert received == 30000


@pytest.mark.parametrize("end", ["endless", "slow"])
def test_an_error_page_without_end_is_still_that_error_and_shows_no_part_of_the_key(end: str) -> None:
    page = b"<html> no " + b"y" * 3000 + b" such key: sk_te"
    body = {"endless": itertools.chain([page], itertools.repeat(b" sk_te" * 500)), "slow": [page]}[end]

    def answer() -> Iterable[bytes]:
        return [REFUSED, b"\r\n", body, *([drip(b" ", 0.3)] if end == "slow" else [])]

    with raw_answers(answer) as url:
        with pytest.raises(hk.AuthenticationError) as caught:
            client_for(url, timeout=0.6).list()
    assert caught.value.status_code == 401
    assert len(caught.value.body) <= 1 << 20
    assert not caught.value.body.rstrip(" …").endswith("sk_te") or end == "endless"


def test_bounds_of_one_call_replace_those_of_the_client() -> None:
    with raw_answers(LARGE["chunks"]) as url:
        with pytest.raises(hk.TransportError, match="5,000 bytes"):
            client_for(url).list(request_options={"max_page_bytes": 5000})
    with raw_answers(SLOW["chunks"]) as url:
        with pytest.raises(hk.TransportError, match=r"0\.3 s"):
            client_for(url).list(request_options={"total_timeout": 0.3})


@pytest.mark.parametrize("kind", [hk.HistoryClient, hk.AsyncHistoryClient])
@pytest.mark.parametrize(
    "options",
    [
        {"total_timeout": 0},
        {"total_timeout": "long"},
        {"max_page_bytes": 0},
        {"max_clip_bytes": -1},
        {"max_clip_bytes": 1.5},
        {"max_page_bytes": True},
    ],
)
def test_a_bound_that_is_no_bound_is_refused(kind: Any, options: dict[str, Any]) -> None:
    with pytest.raises(hk.InputError, match=next(iter(options))):
        kind("sk_test", **options)


def test_the_bounds_are_the_clients_and_survive_a_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    client = hk.HistoryClient(total_timeout=5, max_page_bytes=6, max_clip_bytes=7)
    assert (client.total_timeout, client.max_page_bytes, client.max_clip_bytes) == (5, 6, 7)
    assert pickle.loads(pickle.dumps(client)).transport.bounds == Bounds(5, 6, 7)


def test_the_watchdogs_thread_ends_and_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("histkit.api.bounds._LOOK_SECONDS", 0.01)
    watchdog = Watchdog()
    for _ in range(2):
        called = threading.Event()
        with watchdog.watch(time.monotonic() + 0.05, called.set) as watch:
            assert called.wait(5)
            assert watch.expired
        thread = watchdog._thread
        assert thread is not None
        thread.join(5)
        assert not thread.is_alive()


HANGING: dict[str, Callable[[Iterator[bytes]], Iterable[bytes]]] = {
    "before the head": lambda pause: [pause],
    "within the head": lambda pause: [CLIP, pause],
    "within a body with a length": lambda pause: [CLIP, b"content-length: 1000000\r\n\r\n", PIECE, pause],
    "within a body without a length": lambda pause: [CLIP, b"connection: close\r\n\r\n", PIECE, pause],
    "within chunks": lambda pause: [CLIP, CHUNKED, *chunks([PIECE]), pause],
}


@pytest.mark.parametrize("where", HANGING)
def test_a_stream_that_hangs_ends_where_it_is_cancelled(where: str) -> None:
    sent, ended, cancel = threading.Event(), threading.Event(), threading.Event()

    def pause() -> Iterator[bytes]:
        sent.set()
        ended.wait(30)
        yield b""

    def answer() -> Iterator[bytes]:
        for part in HANGING[where](pause()):
            yield from [part] if isinstance(part, bytes) else part

    def cancel_soon() -> None:
        sent.wait(30)
        time.sleep(0.3)
        cancel.set()

    with raw_answers(answer) as url, client_for(url, max_retries=3, max_concurrency=1) as client:
        threading.Thread(target=cancel_soon, daemon=True).start()
        try:
            with pytest.raises(hk.TransportError):
                b"".join(client.transport.stream("GET", "/v1/history/x/audio", cancel=cancel, hold=True))
            assert cancel.is_set()
            assert not ended.is_set()
            with client.transport.limit.slot(threading.Event()) as slot:  # which the request has given back
                slot.succeeded()
        finally:
            ended.set()


def test_the_environment_sets_bounds_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTKIT_TOTAL_TIMEOUT", "30")
    monkeypatch.setenv("HISTKIT_MAX_CLIP_BYTES", "1000")
    client = hk.HistoryClient("sk_x", max_clip_bytes=7)
    assert (client.total_timeout, client.max_page_bytes, client.max_clip_bytes) == (30.0, 256 << 20, 7)
    assert hk.HistoryClient("sk_x").max_clip_bytes == 1000
    monkeypatch.setenv("HISTKIT_TOTAL_TIMEOUT", "0.5")
    assert hk.HistoryClient("sk_x").total_timeout == 0.5


def test_options_of_a_call_replace_bounds_of_the_client_only(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = Bounds.of(5, 6, 7)
    monkeypatch.setenv("HISTKIT_TOTAL_TIMEOUT", "soon")
    assert bounds.for_call({"max_page_bytes": 8}) == Bounds(5, 8, 7)
    assert bounds.for_call(None) == bounds
    with pytest.raises(hk.InputError, match="max_page_bytes=0"):
        bounds.for_call({"max_page_bytes": 0})


@pytest.mark.parametrize("value", ["0", "-1", "2.5", "2 GiB", "1e9", "nan", "٣"])
def test_a_bound_of_the_environment_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HISTKIT_MAX_CLIP_BYTES", value)
    with pytest.raises(hk.InputError, match="HISTKIT_MAX_CLIP_BYTES="):
        hk.HistoryClient("sk_x")
