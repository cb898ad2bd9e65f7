"""Retries, the limit on requests in flight, and the safety of the key."""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

import histkit as hk
from histkit.api.concurrency import AdaptiveLimit
from histkit.api.retry import retry_after
from histkit.api.transport import ByteStream, OpenBody
from histkit.sandbox import Sandbox
from tests.conftest import client_of

FAULTS_OF_LIST = ["reset", "cut_off", "html", "truncated_json", "error_408", "error_500", "error_503", "rate_limit"]


@pytest.mark.parametrize("fault", [*FAULTS_OF_LIST, "too_many"])
def test_a_passing_fault_of_a_get_is_survived(box_of: Callable[..., Sandbox], fault: str) -> None:
    box = box_of(items=30, **{fault: 2})
    assert len(client_of(box).list().history) == 30
    assert [each["fault"] for each in box.requests()] == [fault, fault, None]


@pytest.mark.parametrize("fault", ["reset", "cut_off", "html", "error_503", "rate_limit"])
def test_a_passing_fault_of_audio_and_of_the_bulk_post_is_survived(box_of: Callable[..., Sandbox], fault: str) -> None:
    box = box_of(items=30)
    client = client_of(box)
    ids = [row["history_item_id"] for row in box.history()[:3]]
    audio, bundle = b"".join(client.get_audio(ids[0])), b"".join(client.download(history_item_ids=ids))
    box.set(**{fault: 2})
    assert b"".join(client.get_audio(ids[0])) == audio
    box.set(**{fault: 2})
    assert b"".join(client.download(history_item_ids=ids)) == bundle


@pytest.mark.parametrize(("fault", "kind"), [("error_500", hk.ServerError), ("rate_limit", hk.RateLimitError)])
def test_a_lasting_fault_is_raised_after_the_retries(
    box_of: Callable[..., Sandbox], fault: str, kind: type[hk.ApiError]
) -> None:
    box = box_of(items=3, **{fault: True})
    with pytest.raises(kind):
        client_of(box, max_retries=2).list()
    assert len(box.requests()) == 3


def test_html_that_lasts_is_an_api_error_with_the_text(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=3, html=True)
    with pytest.raises(hk.ApiError, match="web page") as caught:
        client_of(box, max_retries=1).list()
    assert caught.value.status_code == 200
    assert "Just a moment" in caught.value.body


def test_delete_is_tried_again_after_a_429_only(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=4, rate_limit=1)
    one, two = (row["history_item_id"] for row in box.history()[:2])
    client = client_of(box)
    client.delete(one)
    box.reset()
    box.set(rate_limit=0, error_500=1)
    with pytest.raises(hk.ServerError):
        client.delete(two)
    assert len(box.requests()) == 1


def test_retry_after_is_honoured(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=3, rate_limit=1, retry_after=1)
    started = time.monotonic()
    client_of(box).list()
    first, second = box.requests()
    assert second["started"] - first["ended"] >= 0.95
    assert time.monotonic() - started < 5


def test_retry_after_may_be_a_date() -> None:
    soon = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    assert 15 < (retry_after({"retry-after": soon}) or 0) <= 20
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}) == 0
    assert retry_after({"retry-after": "7"}) == 7
    assert retry_after({"retry-after": "later"}) is None
    assert retry_after({}) is None


@pytest.mark.parametrize(
    "value", ["-5", "nan", "inf", "1e3", "1_000", "12s", "\u0661", "", "5, x", "Mon, 99 Foo", "9" * 20]
)
def test_a_retry_after_that_http_does_not_know_is_none(value: str) -> None:
    assert retry_after({"retry-after": value}) is None


def test_a_retry_after_sent_twice_is_the_longer_one_and_milliseconds_are_known() -> None:
    assert retry_after({"retry-after": "3, 20"}) == 20
    assert retry_after({"retry-after": "2", "retry-after-ms": "1500"}) == 1.5


def test_a_date_is_measured_by_the_services_own_clock() -> None:
    headers = {"retry-after": "Thu, 01 Jan 1970 00:10:00 GMT", "date": "Thu, 01 Jan 1970 00:09:30 GMT"}
    assert retry_after(headers) == 30
    assert retry_after(headers | {"retry-after": "Thu, 01 Jan 1970 00:10:00"}) == 30


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("error_503", hk.ServerError), ("rate_limit", hk.RateLimitError), ("too_many", hk.RateLimitError)],
)
def test_a_server_that_asks_for_hours_is_neither_waited_for_nor_asked_again(
    box_of: Callable[..., Sandbox], fault: str, kind: type[hk.ApiError]
) -> None:
    box = box_of(items=3, retry_after=80000, **{fault: True})
    client = client_of(box)
    lines = []
    for call in (client.list, lambda: client.delete("a"), lambda: b"".join(client.get_audio("a")), client.subscription):
        with pytest.raises(kind, match=r"asks to wait 22 hours, until \d{4}-\d\d-\d\d \d\d:\d\d UTC") as caught:
            call()
        lines.append(str(caught.value))
    assert len(set(lines)) == 1
    assert "\n" not in lines[0]
    assert len(box.requests()) == 1
    box.set(**{fault: 0})
    assert len(client_of(box).list().history) == 3  # another client is not held back, nor is another key
    assert (
        len(client.list(request_options={"additional_headers": {"xi-api-key": box.key("speech_history_read")}}).history)
        == 3
    )


def test_the_clips_behind_a_long_wait_are_not_tried(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(items=60)
    frame = hk.read_history(client=client_of(box))
    box.set(rate_limit=True, retry_after=80000)
    box.reset()
    manifest = hk.download_audio(frame, tmp_path / "audio", client=client_of(box, max_concurrency=2))
    assert set(manifest.status) == {"failed"}
    assert manifest.error.str.contains("22 hours").all()
    assert len(box.requests()) <= 2
    box.reset()
    with pytest.raises(hk.DownloadError, match="22 hours"):
        hk.download_zip(frame, tmp_path / "clips.zip", client=client_of(box, max_concurrency=2))
    assert len(box.requests()) <= 2


def test_a_client_asks_again_when_the_wait_is_over(
    box_of: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    box = box_of(items=3, rate_limit=1, retry_after=80000)
    client = client_of(box)
    with pytest.raises(hk.RateLimitError):
        client.list()
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 79990)
    with pytest.raises(hk.RateLimitError):
        client.list()
    monkeypatch.setattr(time, "time", lambda: now() + 80010)
    assert len(client.list().history) == 3


def test_a_stream_that_breaks_gives_one_whole_body_or_an_error(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=5, clip_bytes=300_000)
    client = client_of(box)
    item = box.history()[0]["history_item_id"]
    whole = b"".join(client.get_audio(item))
    box.set(cut_off=3)
    chunks = client.get_audio(item, request_options={"chunk_size": 1000})
    assert b"".join(chunks) == whole
    box.set(cut_off=True)
    with pytest.raises(hk.TransportError, match="broke"):
        b"".join(client.get_audio(item, request_options={"max_retries": 1}))
    assert client.transport.limit.in_flight == 0


def test_a_body_that_changes_in_between_is_an_error() -> None:
    def body(chunks: list[bytes], breaks: bool) -> OpenBody:
        def read() -> Iterator[bytes]:
            yield from chunks
            if breaks:
                raise requests.exceptions.ChunkedEncodingError

        return OpenBody(200, {}, AdaptiveLimit(1).slot(), read, lambda: None)

    bodies = iter([body([b"abc", b"def"], True), body([b"abX", b"defghi"], False)])
    stream = ByteStream(lambda: next(bodies), 2, "/x", threading.Event())
    with pytest.raises(hk.TransportError, match="changed"):
        b"".join(stream)


def test_waiting_ends_when_cancelled(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=3, error_503=True, retry_after=30)
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    started = time.monotonic()
    with pytest.raises(hk.HistkitError):
        client_of(box).transport.request("GET", "/v1/history", bytes, cancel=cancel)
    assert time.monotonic() - started < 5
