"""Answers that only look like a clip, from a server that sends what it likes."""

from __future__ import annotations

import gzip
import random
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.sandbox.audio import clip
from tests.effort import examples

pytestmark = pytest.mark.usefixtures("short_waits")

WAV = clip("an id", 1, 60, "wav_44100", None)[0]
PCM = clip("an id", 1, 60, "pcm_24000", None)[0]
Answer = tuple[int, dict[str, str], bytes]


def sized(body: bytes, status: int = 200, **headers: str) -> Answer:
    return status, {"Content-Length": str(len(body)), **headers}, body


def chunked(body: bytes, *, end: bool = True) -> Answer:
    pieces = [body[at : at + 5000] for at in range(0, len(body), 5000)]
    sent = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
    return 200, {"Transfer-Encoding": "chunked"}, sent + (b"0\r\n\r\n" if end else b"")


@contextmanager
def answering(answer: Callable[[int], Answer], *, exists: bool = True) -> Iterator[Any]:
    """Serve clips as `answer` says, by the number of the request; rows exist or don't."""
    counter = iter(range(10_000))
    accepted: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path.endswith("/audio"):
                accepted.append(self.headers.get("Accept-Encoding", ""))
                status, headers, body = answer(next(counter))
            else:
                status, headers, body = sized(b'{"history_item_id":"a","state":"created"}' if exists else b"{}")
                status = 200 if exists else 404
            self.send_response(status)
            for name, value in {"Content-Type": "audio/wav", **headers, "Connection": "close"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            return

    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.accepted = accepted
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def pull(server: Any, folder: Path, output_format: str = "wav_44100", max_retries: int = 0) -> pd.Series:
    df = pd.DataFrame({"history_item_id": ["a"], "output_format": [output_format]})
    url = f"http://127.0.0.1:{server.server_port}"
    with hk.HistoryClient("sk_test", base_url=url, max_retries=max_retries) as client:
        return hk.download_audio(df, folder, name="{id}", client=client, progress=False).iloc[0]


@pytest.mark.parametrize(
    ("body", "answer", "proof"),
    [
        (WAV, sized(WAV), "structure"),
        (WAV, (200, {}, WAV), "structure"),
        (WAV, chunked(WAV), "structure"),
        (WAV, sized(gzip.compress(WAV), **{"Content-Encoding": "gzip"}), "structure"),
        (PCM, sized(PCM), "length"),
        (PCM, sized(PCM, **{"Content-Range": f"bytes 0-{len(PCM) - 1}/{len(PCM)}"}), "length"),
        (PCM, sized(PCM, **{"Content-Encoding": "identity"}), "length"),
        (PCM, (200, {}, PCM), "none"),
        (PCM, chunked(PCM), "none"),
        (PCM, (200, {"Content-Range": f"bytes 0-{len(PCM) - 1}/{len(PCM)}"}, PCM), "length"),
        (PCM, sized(gzip.compress(PCM), **{"Content-Encoding": "gzip"}), "none"),
        (PCM, sized(zlib.compress(PCM), **{"Content-Encoding": "deflate"}), "none"),
        (PCM, sized(gzip.compress(gzip.compress(PCM)), **{"Content-Encoding": "x-gzip, gzip"}), "none"),
    ],
)
def test_whole_bodies_are_clips_however_they_come(body: bytes, answer: Answer, proof: str, tmp_path: Path) -> None:
    with answering(lambda _: answer) as server:
        pulled = pull(server, tmp_path, "wav_44100" if body is WAV else "pcm_24000")
    assert (pulled["status"], pulled["proof"]) == ("done", proof)
    assert (tmp_path / pulled["path"]).read_bytes() == body


@pytest.mark.parametrize(
    "answer",
    [
        *(sized(WAV, status) for status in (201, 202, 203, 206, 207, 226)),
        sized(WAV[: len(WAV) // 2], 206),
        sized(WAV[: len(WAV) // 2], 206, **{"Content-Range": f"bytes 0-{len(WAV) // 2 - 1}/{len(WAV)}"}),
        sized(WAV[len(WAV) // 2 :], 206, **{"Content-Range": f"bytes {len(WAV) // 2}-{len(WAV) - 1}/{len(WAV)}"}),
        (204, {}, b""),
        sized(b"", 205),
        sized(b""),
        (200, {}, b""),
        sized(WAV[: len(WAV) // 2]),
        (200, {}, WAV[: len(WAV) // 2]),
        (200, {"Content-Length": str(len(WAV))}, WAV[: len(WAV) // 2]),
        chunked(WAV[: len(WAV) // 2]),
        chunked(WAV[: len(WAV) // 2], end=False),
        sized(gzip.compress(WAV)[:9000], **{"Content-Encoding": "gzip"}),
        sized(b"Service is busy, try again."),
    ],
)
def test_what_is_no_whole_clip_is_retried_and_then_one_line(answer: Answer, tmp_path: Path) -> None:
    with answering(lambda _: answer) as server:
        pulled = pull(server, tmp_path / "failed", max_retries=1)
        assert pulled["status"] == "failed"
        assert "\n" not in pulled["error"]
        assert {path.name for path in (tmp_path / "failed").iterdir()} == {"manifest.csv", "manifest.parquet"}
    with answering(lambda number: answer if number < 2 else sized(WAV)) as server:
        pulled = pull(server, tmp_path / "done", max_retries=3)
        assert (pulled["status"], pulled["proof"]) == ("done", "structure")
        assert (tmp_path / "done" / pulled["path"]).read_bytes() == WAV


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": f"bytes 0-{len(PCM) // 2 - 1}/{len(PCM)}"},
        {"Content-Range": f"bytes {len(PCM) // 2}-{len(PCM) - 1}/{len(PCM)}"},
        {"Content-Range": "bytes 0-99/*"},
        {"Content-Range": "nonsense"},
        {"Content-Range": f"bytes 0-{len(PCM) - 1}/{len(PCM)}"},
        {"Content-Type": "multipart/byteranges; boundary=x"},
        {"Content-Encoding": "zstd"},
        {"Content-Encoding": "gzip, br"},
    ],
)
def test_samples_that_a_header_says_are_not_all_or_not_samples_are_no_clip(
    headers: dict[str, str], tmp_path: Path
) -> None:
    half = PCM[: len(PCM) // 4 * 2]
    with answering(lambda _: sized(half, **headers)) as server:
        pulled = pull(server, tmp_path, "pcm_24000")
    assert pulled["status"] == "failed"
    assert "\n" not in pulled["error"]


@pytest.mark.parametrize("family", ["pcm_24000", "ulaw_8000", "alaw_8000"])
def test_bytes_that_look_like_no_samples_are_not_whole_for_their_length(family: str, tmp_path: Path) -> None:
    compressed = random.Random(1).randbytes(30_000)  # as the rest of a compressed file that lost its beginning
    with answering(lambda _: sized(compressed)) as server:
        pulled = pull(server, tmp_path, family)
        assert (pulled["status"], pulled["proof"]) == ("done", "none")
        for body in (b"FORM\0\0\0\0AIFF", b".snd", b"caff", b"\x1a\x45\xdf\xa3"):
            with answering(lambda _, body=body: sized(body + compressed)) as other:
                assert "which the service does not offer" in pull(other, tmp_path / "other", family)["error"]


REFUSED = sized(b'{"detail": "no"}', **{"Content-Type": "application/json"})[1:]
PAGE = sized(b"<html><title>404</title></html>", **{"Content-Type": "text/html"})[1:]


@pytest.mark.parametrize(
    "answer",
    [
        *((status, *REFUSED) for status in (400, 409, 410, 422)),
        (404, *PAGE),  # of a proxy, not of the service
        (429, {}, b""),
        (204, {}, b""),
        sized(b""),
        sized(WAV[:5000]),
    ],
)
@pytest.mark.filterwarnings("ignore:The requested row does not exist")
def test_a_row_that_does_not_exist_is_gone_whatever_its_clip_says(answer: Answer, tmp_path: Path) -> None:
    for exists, status in ((False, "gone"), (True, "failed")):
        with answering(lambda _: answer, exists=exists) as server:
            assert pull(server, tmp_path / status, max_retries=1)["status"] == status


def test_a_body_that_breaks_off_is_never_completed_by_another_one(tmp_path: Path) -> None:
    broken = (200, {"Content-Length": str(len(PCM))}, PCM[:90_000])
    for second in (sized(PCM[:90_000]), sized(PCM, 206), sized(PCM[90_000:], 206), (204, {}, b""), sized(PCM[2:])):
        with answering(lambda number, second=second: (broken, second, sized(PCM))[min(number, 2)]) as server:
            pulled = pull(server, tmp_path / "pcm", "pcm_24000", max_retries=4)
            assert (pulled["status"], pulled["proof"]) == ("done", "length")
            (saved,) = (tmp_path / "pcm").glob("*.pcm")
            assert saved.read_bytes() == PCM
            assert set(hk.verify(tmp_path / "pcm", progress=False)["status"]) == {"ok"}
            saved.unlink()


def broken_off(share: float) -> Answer:
    return 200, {"Content-Length": str(len(WAV))}, WAV[: round(len(WAV) * share)]


@settings(max_examples=examples(20))
@given(
    st.lists(
        st.one_of(
            st.floats(0, 1).map(lambda share: sized(WAV[: round(len(WAV) * share)])),
            st.floats(0, 1).map(lambda share: (200, {}, WAV[: round(len(WAV) * share)])),
            st.floats(0, 1).map(lambda share: chunked(WAV[: round(len(WAV) * share)])),
            st.floats(0, 0.99).map(broken_off),
            st.sampled_from([sized(WAV, 206), (204, {}, b""), sized(b"<html>busy</html>"), (503, {}, b""), sized(WAV)]),
        ),
        max_size=6,
    ),
    st.integers(0, 4),
)
def test_whatever_comes_in_whatever_order_a_saved_clip_is_the_whole_one(answers: list[Answer], retries: int) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        answering(lambda number: answers[number] if number < len(answers) else (204, {}, b"")) as server,
    ):
        pulled = pull(server, Path(folder), max_retries=retries)
        files = [path.read_bytes() for path in Path(folder).iterdir() if not path.name.startswith("manifest")]
        assert pulled["status"] in ("done", "failed")
        assert files == ([WAV] if pulled["status"] == "done" else [])


def test_silence_that_only_the_user_knows_as_samples_is_proven_by_a_second_download(tmp_path: Path) -> None:
    silence = bytes(48_000)
    answer = sized(silence, **{"Content-Type": "audio/mpeg"})
    with answering(lambda _: answer) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        with hk.HistoryClient("sk_test", base_url=url, max_retries=0) as client:
            df = pd.DataFrame({"history_item_id": ["a"], "content_type": ["audio/mpeg"]})
            for options in ({}, {"format": "wav"}):
                folder = tmp_path / str(len(options))
                pulled = hk.download_audio(df, folder, client=client, sample_rate=24_000, progress=False, **options)
                assert (pulled["status"][0], pulled["proof"][0], pulled["seconds"][0]) == ("done", "none", 1.0)
                proven = hk.verify(folder, prove=True, client=client, progress=False)
                assert (proven["status"][0], proven["proof"][0]) == ("ok", "hash")


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (b"<html><title>Item &amp; not found</title></html>", "text/html", "A web page ('Item & not found') came"),
        (b"gone\n<b>now</b>", "text/html; charset=utf-8", "but text/html: 'gone <b>now</b>'."),
        (b"", "text/html", "but text/html without a body."),
        (b'{"detail": "no clip"}', "application/json", "but application/json: {'detail': 'no clip'}."),
    ],
)
def test_another_answer_than_a_clip_is_named(tmp_path: Path, body: bytes, content_type: str, words: str) -> None:
    with answering(lambda _: sized(body, **{"Content-Type": content_type}), exists=False) as server:
        row = pull(server, tmp_path)
    assert row["status"] == "failed"
    assert words in row["error"]
    assert row["error"].endswith("(HTTP 200)")


def test_clips_are_requested_as_they_are_so_that_their_size_is_declared(tmp_path: Path) -> None:
    def answer(number: int) -> Answer:
        if "gzip" in server.accepted[number]:
            return sized(gzip.compress(PCM), **{"Content-Encoding": "gzip"})
        return sized(PCM)

    with answering(answer) as server:
        assert pull(server, tmp_path, "pcm_24000")["proof"] == "length"
        url = f"http://127.0.0.1:{server.server_port}"
        with hk.HistoryClient("sk_test", base_url=url) as client:
            options = {"additional_headers": {"Accept-Encoding": "gzip"}}
            assert b"".join(client.get_audio("a", request_options=options)) == PCM
    assert server.accepted == ["identity", "gzip"]
