"""Errors that say what to do, whatever the service sends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import histkit as hk
from histkit.api.error_mapping import error_from_response
from histkit.deletion.delete import delete
from histkit.sandbox import Sandbox
from tests.conftest import client_of
from tests.raw_service import raw_answers


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


WORDS = "Your last payment failed, so the account is on hold."


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("code", ["payment_issue", "needs_authorization", "whatever_comes_next", "account_on_hold"])
@pytest.mark.parametrize(
    "shape",
    [
        lambda code: {"detail": {"status": code, "message": WORDS}},
        lambda code: {
            "detail": {"type": "authentication_error", "code": "unauthorized", "status": code, "message": WORDS}
        },
        lambda code: {"error": code, "message": WORDS},
        lambda code: {"error": {"code": code, "message": WORDS}},
    ],
    ids=range(4),
)
def test_a_refusal_with_a_code_of_its_own_keeps_the_services_words(
    status: int, code: str, shape: Callable[[str], object]
) -> None:
    error = error_from_response(status, {}, shape(code))
    assert not isinstance(error, hk.AuthenticationError)
    assert error.code == code
    assert str(error) == f"The service refuses the request ({code}): {WORDS} (HTTP {status}, {code})"


@pytest.mark.parametrize("detail", [WORDS, {"message": WORDS}, {"type": None, "code": "", "message": WORDS}])
def test_a_401_without_a_code_keeps_the_services_words(detail: object) -> None:
    error = error_from_response(401, {}, {"detail": detail})
    assert isinstance(error, hk.AuthenticationError)
    assert WORDS in str(error)
    assert "accept this API key" not in str(error)


@pytest.mark.parametrize("body", ["", {}, {"detail": {"code": "missing_api_key", "message": "No key."}}, None])
def test_a_401_that_names_the_key_or_nothing_is_a_wrong_key(body: object) -> None:
    error = error_from_response(401, {}, body)
    assert isinstance(error, hk.AuthenticationError)
    assert "doesn't accept this API key" in str(error)


@given(st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=30), st.text(min_size=1, max_size=60))
def test_any_unknown_code_of_a_401_leaves_the_services_words_in_the_line(code: str, words: str) -> None:
    assume(code not in ("unauthorized", "authentication_error", "forbidden", "authorization_error"))  # say nothing
    error = error_from_response(401, {}, {"detail": {"code": "unauthorized", "status": code, "message": words}})
    printed = " ".join("".join(char if char.isprintable() else " " for char in words).split())
    assert printed in str(error)
    assert code in str(error)


def test_a_refusal_of_the_account_ends_a_download_at_once(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(items=40, only="audio", payment_issue=True)
    frame = hk.read_history(client=client_of(box))
    box.reset()
    with pytest.raises(hk.ApiError, match="payment_issue"):
        hk.download_audio(frame, tmp_path, client=client_of(box, max_concurrency=2))
    assert len(box.requests()) < 10


def test_a_422_names_the_parameter(client: hk.HistoryClient) -> None:
    with pytest.raises(hk.UnprocessableEntityError, match="page_size"):
        client.list(page_size="many")  # type: ignore[arg-type]


def test_a_404_of_a_proxy_does_not_mean_that_a_row_is_gone(tmp_path: Path) -> None:
    page = b"<html><title>404 Not Found</title></html>"
    head = b"HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    with raw_answers(lambda: [head % len(page), page]) as url, hk.HistoryClient("sk_x", base_url=url) as client:
        with pytest.raises(hk.ApiError, match="web page") as caught:
            client.get("a")
        assert not isinstance(caught.value, hk.NotFoundError)
        rows = pd.DataFrame({"history_item_id": ["a"], "output_format": ["mp3_44100_128"]})
        assert hk.download_audio(rows, tmp_path / "audio", client=client)["status"].tolist() == ["failed"]
        journal = tmp_path / "deleted.jsonl"
        done = delete(rows, confirm=True, journal=journal, client=client, progress=False)
    assert done["status"].tolist() == ["failed"]
    assert "web page" in done["error"][0]


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
