"""Retries, the limit on requests in flight, and the safety of the key."""

from __future__ import annotations

import contextlib
import email.utils
import logging
import pickle
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

import histkit as hk
from histkit.api.concurrency import AdaptiveLimit
from histkit.api.credentials import check_base_url, is_loopback
from histkit.api.error_mapping import error_from_response
from histkit.api.retry import retry_after
from histkit.api.transport import ByteStream
from histkit.sandbox import Sandbox
from tests.conftest import client_of

pytestmark = pytest.mark.any_pandas

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


def test_a_server_that_asks_for_an_hour_is_not_waited_for(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=3, error_503=True, retry_after=3600)
    started = time.monotonic()
    with pytest.raises(hk.ServerError):
        client_of(box).list()
    assert time.monotonic() - started < 5


def test_the_limit_shrinks_to_what_the_server_bears_and_grows_back(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=300, concurrency=2, latency=0.02)
    client = client_of(box, max_concurrency=8)
    with ThreadPoolExecutor(8) as pool:
        assert len([*pool.map(lambda _: client.list(page_size=5), range(40))]) == 40
        assert client.transport.limit.current < 8
        box.set(concurrency=None, latency=0)
        [*pool.map(lambda _: client.list(page_size=5), range(160))]
    assert client.transport.limit.current == 8


@given(st.integers(1, 12), st.lists(st.booleans(), max_size=60))
def test_the_limit_stays_between_one_and_the_ceiling(ceiling: int, outcomes: list[bool]) -> None:
    limit = AdaptiveLimit(ceiling)
    for good in outcomes:
        with limit.slot() as slot:
            assert 1 <= limit.in_flight <= limit.current <= ceiling
            slot.succeeded() if good else slot.refused()
    assert limit.in_flight == 0


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
    class Answer:
        status_code = 200
        headers: dict[str, str] = {}  # noqa: RUF012

        def __init__(self, chunks: list[bytes], breaks: bool) -> None:
            self.chunks, self.breaks = chunks, breaks

        def iter_content(self, _: int) -> object:
            yield from self.chunks
            if self.breaks:
                raise requests.exceptions.ChunkedEncodingError

        def close(self) -> None:
            return None

    answers = iter([Answer([b"abc", b"def"], True), Answer([b"abX", b"defghi"], False)])
    stream = ByteStream(lambda: (next(answers), {}, AdaptiveLimit(1).slot()), 3, 2, "/x", threading.Event())
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


# The key.


@pytest.fixture
def secret(box_of: Callable[..., Sandbox]) -> tuple[Sandbox, str]:
    box = box_of(items=20)
    return box, box.api_key


def test_the_key_is_in_no_repr(secret: tuple[Sandbox, str]) -> None:
    box, key = secret
    client = client_of(box)
    client.list()
    texts = [repr(client), repr(client.transport), repr(vars(client.transport)), repr(client.with_raw_response)]
    texts += [repr(vars(client)), repr(hk.AsyncHistoryClient(key, base_url=box.url)), str(client.transport.__dict__)]
    assert not [text for text in texts if key in text]


def test_the_key_is_in_no_log(secret: tuple[Sandbox, str], caplog: pytest.LogCaptureFixture) -> None:
    box, key = secret
    box.set(error_500=1)
    with caplog.at_level(logging.DEBUG):
        client_of(box).list()
    assert "/v1/history" in caplog.text
    assert key not in caplog.text


@pytest.mark.parametrize("fault", ["reset", "error_500", "cut_off", "html", "redirect"])
def test_the_key_is_in_no_traceback_even_with_local_variables(secret: tuple[Sandbox, str], fault: str) -> None:
    box, key = secret
    box.set(**{fault: "/elsewhere" if fault == "redirect" else True})
    for call in (
        lambda: client_of(box, max_retries=1).list(),
        lambda: [*client_of(box, max_retries=1).get_audio("x")],
        lambda: hk.read_history(client=client_of(box, max_retries=1), progress=False),
    ):
        with pytest.raises(hk.HistkitError) as caught:
            call()
        assert key not in locals_of_the_package(caught.value)
    with pytest.raises(hk.InputError) as refused:
        hk.HistoryClient(key, base_url="http://api.elevenlabs.io")
    assert key not in locals_of_the_package(refused.value)


def locals_of_the_package(error: BaseException | None) -> str:
    """Show the local variables of all frames below this file, as a debugger or a pretty traceback would."""
    shown = ""
    while error is not None:
        shown += f"{error!r} {error}"
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename != __file__:
                for name, value in frame.f_locals.items():
                    with contextlib.suppress(AttributeError):  # the repr of an object that isn't made yet
                        shown += f"{name}: {value!r}"
        error = error.__cause__ or error.__context__
    return shown


def test_a_client_with_a_key_is_not_pickled_and_one_without_has_none(
    secret: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, key = secret
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(client_of(box))
    monkeypatch.setenv("ELEVENLABS_API_KEY", key)
    data = pickle.dumps(hk.HistoryClient(base_url=box.url))
    assert key.encode() not in data
    assert len(pickle.loads(data).list().history) == 20


def test_the_key_is_in_no_frame_and_no_file(secret: tuple[Sandbox, str], tmp_path: object) -> None:
    box, key = secret
    df = hk.read_history(client=client_of(box), progress=False)
    assert key not in str(df.attrs) + df.to_csv()
    assert key.encode() not in hk.to_parquet(df, f"{tmp_path}/a.parquet").read_bytes()
    assert key.encode() not in hk.to_csv(df, f"{tmp_path}/a.csv").read_bytes()
    assert key.encode() not in pickle.dumps(df)


def test_an_answer_that_repeats_the_key_is_redacted(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=3)
    client = client_of(box)
    with pytest.raises(hk.UnprocessableEntityError) as caught:
        client.list(source=box.api_key)
    assert box.api_key not in str(caught.value.body)


def test_no_redirect_is_followed(box_of: Callable[..., Sandbox]) -> None:
    elsewhere, box = box_of(items=1), box_of(items=3)
    box.set(redirect=elsewhere.url + "/v1/history")
    with pytest.raises(hk.ApiError, match="never redirected"):
        client_of(box).list()
    with pytest.raises(hk.ApiError, match="never redirected"):
        [*client_of(box).get_audio("x")]
    assert elsewhere.requests() == []


@pytest.mark.parametrize(
    "url",
    "http://api.elevenlabs.io http://localhost.evil.example http://10.0.0.1 ftp://x api.elevenlabs.io http://0.0.0.0 "
    "http://user:pw@127.0.0.1 https://x/?a=b http://[::2] https://".split(),
)
def test_a_base_url_that_would_show_the_key_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(hk.InputError):
        hk.HistoryClient("sk_x", base_url=url)
    monkeypatch.setenv("ELEVENLABS_BASE_URL", url)
    with pytest.raises(hk.InputError):
        hk.HistoryClient("sk_x").list()


@pytest.mark.parametrize("url", ["https://api.eu.residency.elevenlabs.io/", "http://localhost:80", "http://[::1]:8"])
def test_https_and_this_machine_are_taken(url: str) -> None:
    assert check_base_url(url) == url.rstrip("/")
    assert is_loopback("http://127.8.9.1:99")


def test_a_loopback_server_is_not_asked_through_a_proxy(
    secret: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert client_of(secret[0], max_retries=0).list().history


def test_key_and_host_are_read_when_they_are_needed(
    secret: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, key = secret
    client = hk.HistoryClient()
    with pytest.raises(hk.AuthenticationError, match="ELEVENLABS_API_KEY"):
        client.list()
    monkeypatch.setenv("ELEVENLABS_BASE_URL", box.url)
    monkeypatch.setenv("ELEVENLABS_API_KEY", key)
    assert client.list().history
    assert len(hk.read_history(progress=False)) == 20


@pytest.mark.parametrize("key", ["", "  ", "sk_a\nb", "sk ä", "sk a"])
def test_a_key_that_can_be_none_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(hk.AuthenticationError) as caught:
        hk.HistoryClient(key)
    assert not key.strip() or key not in str(caught.value)


# Errors that say what to do.


def test_a_wrong_key_says_so(shared_box: Sandbox) -> None:
    with pytest.raises(hk.AuthenticationError, match="doesn't accept this API key") as caught:
        client_of(shared_box, api_key="sk_wrong").list()
    assert caught.value.code == "invalid_api_key"
    assert caught.value.request_id
    assert caught.value.request_id in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", ["current", "legacy"])
def test_a_missing_scope_is_named_and_is_no_wrong_key(box_of: Callable[..., Sandbox], shape: str) -> None:
    box = box_of(items=3, error_shape=shape)
    with pytest.raises(hk.PermissionDeniedError, match="speech_history_read") as caught:
        client_of(box, api_key=box.key("voices_read")).list()
    assert (caught.value.status_code, caught.value.scope) == (401, "speech_history_read")
    with pytest.raises(hk.PermissionDeniedError, match="speech_history_write"):
        client_of(box, api_key=box.key("speech_history_read")).delete(box.history()[0]["history_item_id"])


def test_quota_words_in_a_401_are_no_wrong_key(box_of: Callable[..., Sandbox]) -> None:
    with pytest.raises(hk.ApiError, match="credits are used up") as caught:
        client_of(box_of(items=3, quota_401=True)).list()
    assert not isinstance(caught.value, hk.AuthenticationError)


def test_a_422_names_the_parameter(client: hk.HistoryClient) -> None:
    with pytest.raises(hk.UnprocessableEntityError, match="page_size"):
        client.list(page_size="many")  # type: ignore[arg-type]


def test_an_unreachable_server_is_one_line() -> None:
    with pytest.raises(hk.TransportError, match=r"127\.0\.0\.1:9.*Check the network") as caught:
        hk.HistoryClient("sk_x", base_url="http://127.0.0.1:9", max_retries=1).list()
    assert "\n" not in str(caught.value)


def test_the_command_line_prints_one_line(tmp_path: object) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "histkit.cli", "export", "--live", f"{tmp_path}/a.csv"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.count("\n") == 1
    assert "ELEVENLABS_API_KEY" in run.stderr


@pytest.mark.parametrize(
    "body",
    [
        {"detail": "a\nb\x1b[31m"},
        {"detail": [{"loc": 5, "msg": "x\ny"}]},
        {"detail": [{"loc": ["query", "page_size"], "msg": "m" * 5000}]},
        {"detail": {"message": "a\r\nb", "status": "c\nd", "request_id": "e\nf"}},
    ],
    ids=range(4),
)
def test_no_error_body_breaks_the_line(body: object) -> None:
    line = str(error_from_response(422, {}, body))
    assert line.isprintable()
    assert len(line) < 700


BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["detail", "code", "status", "message", "error", "loc", "msg"]), inner)
    ),
    max_leaves=12,
)


@given(st.integers(300, 599), BODIES)
def test_any_error_body_becomes_one_line(status: int, body: object) -> None:
    error = error_from_response(status, {}, body, path="/v1/history")
    assert error.status_code == status
    assert str(error)
    assert "\n" not in str(error)
