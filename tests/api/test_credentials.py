"""A key stays out of sight, wherever it was given and however the service writes it back."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

import histkit as hk
from histkit.api.credentials import Redactor, check_base_url, is_loopback, masked_url
from histkit.sandbox import Sandbox
from tests.conftest import client_of

KEY, OTHER = "sk_secret/key-0123456789", "sk_other_key_9876543210"


def escaped(key: str) -> str:
    return "".join(f"\\u{ord(char):04x}" for char in key)


def percent(key: str) -> str:
    return "".join(f"%{ord(char):02X}" for char in key)


class Echo:
    """A service that refuses each request and writes back what it was sent."""

    def __init__(self) -> None:
        self.write: Callable[[str], str] = str
        self.content_type = "application/json"
        self.received: list[dict[str, str]] = []
        echo = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                echo.received.append(headers)
                names = ("xi-api-key", "authorization", "x-goog-signature", "cookie")
                fields = json.loads(self.rfile.read(int(headers.get("content-length", 0))) or b"{}")
                sent = " ".join([*(headers[name] for name in names if name in headers), *fields.values()])
                body = (
                    f'{{"detail": {{"status": "no", "message": "refused: {echo.write(sent)} {self.path}"}}}}'.encode()
                )
                self.send_response(422)
                self.send_header("content-type", echo.content_type)
                self.send_header("request-id", sent)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def service() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


def with_session(headers: dict[str, str]) -> requests.Session:
    session = requests.Session()
    session.headers.update(headers)
    return session


GIVEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "argument": ({"api_key": KEY}, {}),
    "header": ({"api_key": OTHER}, {"additional_headers": {"xi-api-key": KEY}}),
    "header in capitals": ({"api_key": OTHER}, {"additional_headers": {"XI-API-KEY": KEY}}),
    "authorization": ({"api_key": OTHER}, {"additional_headers": {"Authorization": f"Bearer {KEY}"}}),
    "other header": ({"api_key": OTHER}, {"additional_headers": {"X-Goog-Signature": KEY}}),
    "session": ({"session": with_session({"xi-api-key": KEY})}, {}),
    "session, authorization": ({"api_key": OTHER, "session": with_session({"AUTHORIZATION": f"Bearer {KEY}"})}, {}),
    "session, cookie": ({"api_key": OTHER, "session": with_session({"Cookie": f"sid={KEY}; a=b"})}, {}),
    "query": ({"api_key": OTHER}, {"additional_query_parameters": {"api_token": KEY}}),
    "body": ({"api_key": OTHER}, {"additional_body_parameters": {"api_token": KEY}}),
}
WRITTEN = {"as it is": str, "escaped": escaped, "escaped twice": lambda key: escaped(key).replace("\\", "\\\\\\\\")}
WRITTEN |= {"percent twice": lambda key: percent(key).replace("%", "%25"), "upper case": str.upper}
WRITTEN |= {"percent": percent, "html": lambda key: "".join(f"&#x{ord(char):X};" for char in key)}


@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize("place", GIVEN)
def test_no_error_shows_a_key_that_was_sent(service: Echo, place: str, form: str, content_type: str) -> None:
    service.write, service.content_type = WRITTEN[form], content_type
    options, call = GIVEN[place]
    with hk.HistoryClient(base_url=service.url, max_retries=0, **options) as client:
        calls = (
            lambda: client.list(request_options=call),
            lambda: [*client.get_audio("x", request_options=call)],
        )
        for attempt in calls:
            with pytest.raises(hk.UnprocessableEntityError, match="refused") as caught:
                attempt()
            shown = (
                f"{caught.value} {caught.value!r} {caught.value.body} {caught.value.headers} {caught.value.request_id}"
            )
            for key in (KEY, OTHER):
                assert key not in shown
                assert escaped(key) not in shown
                assert percent(key) not in shown
                assert WRITTEN[form](key) not in shown


def test_the_argument_beats_the_session_and_a_header_of_the_call_beats_both(
    service: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sent(client: hk.HistoryClient, **options: Any) -> str:
        with pytest.raises(hk.ApiError):
            client.list(request_options=options)
        return service.received[-1]["xi-api-key"]

    def client(**options: Any) -> hk.HistoryClient:
        return hk.HistoryClient(base_url=service.url, max_retries=0, **options)

    session = with_session({"XI-Api-Key": "sk_session"})
    assert sent(client(api_key="sk_argument", session=session)) == "sk_argument"
    assert sent(client(session=session)) == "sk_session"
    monkeypatch.setenv("ELEVENLABS_API_KEY", "sk_environment")
    assert sent(client(session=session)) == "sk_session"
    assert sent(client()) == "sk_environment"
    header = {"xi-API-key": "sk_header"}
    assert sent(client(api_key="sk_argument", session=session), additional_headers=header) == "sk_header"
    assert session.headers["xi-api-key"] == "sk_session"


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=40), st.data())
def test_a_key_is_found_in_any_mixture_of_escapes(key: str, data: st.DataObject) -> None:
    forms = (
        str,
        escaped,
        percent,
        str.upper,
        lambda char: percent(char).replace("%", "%2525"),
        lambda char: f"\\x{ord(char):02x}",
        lambda char: f"&#{ord(char)};",
        lambda char: f"&#X{ord(char):04X};",
    )
    written = "".join(data.draw(st.sampled_from(forms))(char) for char in key)
    assert Redactor({"xi-api-key": key}, "").text(f"<{written}>") == "<(redacted)>"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=4, max_size=40), st.text(max_size=30))
def test_json_is_decoded_as_before_but_for_the_key(key: str, around: str) -> None:
    redactor = Redactor({"authorization": key.strip() or "abcd"}, "")
    answer = redactor.json(msgspec.json.encode({"message": f"{around}{key.strip() or 'abcd'}{around}", "number": 5}))
    assert (key.strip() or "abcd") not in str(answer["message"]).replace("(redacted)", "")
    assert answer["number"] == 5 or key.strip() in ("number", "5")


URLS = [
    "https://user:s3cret@host",
    "http://user:s3cret@127.0.0.1:80/x",
    "https://:s3cret@host",
    "https://us@er:s3cret@host/",
    "https://user:s3cret/w@host",
    "user:s3cret@host",
    "https://host/?api_key=s3cret",
    "https://host/#s3cret",
    "ftp://user:s3cret@host",
    "https:user:s3cret@host",
]


@pytest.mark.parametrize("url", URLS)
def test_a_password_in_a_base_url_is_refused_and_never_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(hk.InputError) as caught:
        hk.HistoryClient("sk_x", base_url=url)
    shown = str(caught.value)
    monkeypatch.setenv("ELEVENLABS_BASE_URL", url)
    client = hk.HistoryClient("sk_x")
    shown += repr(client) + repr(client.transport)
    with pytest.raises(hk.InputError) as caught:
        client.list()
    assert "s3cret" not in shown + str(caught.value)


@given(st.text(max_size=20), st.text(max_size=20))
def test_what_stands_before_an_at_sign_is_never_shown(user: str, rest: str) -> None:
    shown = masked_url(f"https://{user}S3CRET@{rest}")
    assert "S3CRET" not in shown


@pytest.mark.parametrize("value", ["ü€", "a\nb"])
def test_a_header_that_can_not_be_sent_is_an_error_of_one_line(shared_box: Sandbox, value: str) -> None:
    with hk.HistoryClient(shared_box.api_key, base_url=shared_box.url, max_retries=0) as client:
        with pytest.raises(hk.HistkitError) as caught:
            client.list(request_options={"additional_headers": {"x-note": value, "authorization": KEY}})
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"session": "x"},
        {"timeout": 0},
        {"timeout": "5"},
        {"timeout": float("nan")},
        {"max_retries": -1},
        {"max_retries": True},
        {"max_concurrency": 0},
        {"max_concurrency": 1.5},
        {"base_url": 5},
        {"base_url": ""},
    ],
    ids=str,
)
def test_options_that_can_not_be_used_are_named(options: dict[str, Any]) -> None:
    for kind in (hk.HistoryClient, hk.AsyncHistoryClient):
        with pytest.raises(hk.InputError, match=next(iter(options))):
            kind("sk_x", **options)


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


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=40))
def test_a_password_of_basic_authentication_is_redacted(password: str) -> None:
    header = "Basic " + base64.b64encode(f"user:{password}".encode()).decode()
    assert Redactor({"Authorization": header}, "").text(f"<{password}> <{header}>") == "<(redacted)> <(redacted)>"


def test_an_answer_that_repeats_the_key_is_in_no_traceback_with_local_variables(service: Echo) -> None:
    service.write, service.content_type = str, "text/plain"
    with (
        hk.HistoryClient(KEY, base_url=service.url, max_retries=0) as client,
        pytest.raises(hk.HistkitError) as caught,
    ):
        client.list()
    assert KEY not in locals_of_the_package(caught.value)
