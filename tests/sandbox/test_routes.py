"""The sandbox's routes, their checks and the shapes of its refusals."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from histkit.sandbox import Sandbox, serve


class Api:
    """A plain client: the sandbox's address, a session with its key."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        self.session = requests.Session()
        self.session.headers["xi-api-key"] = box.api_key

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.session.get(self.box.url + path, params=query, timeout=20, allow_redirects=False)

    def page(self, **query: Any) -> dict[str, Any]:
        answer = self.get("/v1/history", **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def walk(self, **query: Any) -> list[dict[str, Any]]:
        found, cursor = [], None
        while True:
            page = self.page(**query, **({"start_after_history_item_id": cursor} if cursor else {}))
            found += page["history"]
            if not page["has_more"]:
                return found
            cursor = page["last_history_item_id"]


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serve(items=600, seed=3) as box:
        api = Api(box)
        with api.session:
            yield api


@pytest.fixture(scope="module")
def truth(api: Api) -> list[dict[str, Any]]:
    return api.box.history()


@pytest.mark.parametrize("size", [1, 7, 100, 599, 600, 1000])
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_pages_join_to_the_whole_history(api, truth, size, direction):
    if size == 1:
        page = api.page(page_size=1, sort_direction=direction)
        assert page["history"] == [truth[-1 if direction == "asc" else 0]]
        assert page["has_more"]
        return
    assert api.walk(page_size=size, sort_direction=direction) == (truth if direction == "desc" else truth[::-1])


def test_page_is_100_rows_without_a_size(api, truth):
    page = api.page()
    assert page["history"] == truth[:100]
    assert page["last_history_item_id"] == truth[99]["history_item_id"]
    assert page["scanned_until"] == truth[99]["date_unix"]


def test_dates_are_inclusive_and_exclusive(api, truth):
    after, before = truth[400]["date_unix"], truth[100]["date_unix"]
    expected = [row for row in truth if after <= row["date_unix"] < before]
    window = {"page_size": 90, "date_after_unix": after, "date_before_unix": before}
    assert api.walk(**window) == expected
    assert api.walk(**window, sort_direction="asc") == expected[::-1]


@pytest.mark.parametrize(
    ("query", "keep"),
    [
        ({"voice_id": "21m00Tcm4TlvDq8ikWAM"}, lambda row: row["voice_id"] == "21m00Tcm4TlvDq8ikWAM"),
        ({"model_id": "eleven_v3"}, lambda row: row.get("model_id") == "eleven_v3"),
        ({"source": "TTS"}, lambda row: row.get("source") == "TTS"),
        ({"source": "STS"}, lambda row: row.get("source") == "STS"),
        ({"source": "Flows"}, lambda row: row.get("source") == "Flows"),
        ({"search": "LIGHTHOUSE"}, lambda row: "lighthouse" in said(row).casefold()),
        ({"search": "chapter 1", "source": "TTS"}, lambda row: "chapter 1" in said(row).casefold()),
        ({"voice_id": "nobody"}, lambda row: False),
    ],
)
def test_filters_answer_like_a_look_at_every_row(api, truth, query, keep):
    def expected(row):
        return keep(row) and ("source" not in query or row.get("source") == query["source"])

    rows = [row for row in truth if expected(row)]
    assert api.walk(page_size=50, **query) == rows
    assert rows or query in ({"voice_id": "nobody"}, {"source": "Flows"})


def said(row: dict[str, Any]) -> str:
    return "\n".join([row["text"] or "", *(line["text"] for line in row["dialogue"] or [])])


def test_empty_page_has_no_cursor(api):
    page = api.page(voice_id="nobody")
    assert page == {"history": [], "last_history_item_id": None, "has_more": False, "scanned_until": None}


@pytest.mark.parametrize("size", [0, -5, 1001])
def test_page_size_out_of_range_is_a_400(api, size):
    answer = api.get("/v1/history", page_size=size)
    detail = answer.json()["detail"]
    assert answer.status_code == 400
    assert detail["code"] == "invalid_page_size"
    assert detail["request_id"] == answer.headers["request-id"] == answer.headers["x-trace-id"]


@pytest.mark.parametrize(
    "query",
    [{"page_size": "many"}, {"date_after_unix": "today"}, {"sort_direction": "up"}, {"source": "Projects"}],
)
def test_wrong_types_are_a_validation_list(api, query):
    answer = api.get("/v1/history", **query)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", next(iter(query))]


def test_single_item_and_its_absence(api, truth):
    row = truth[5]
    assert api.get(f"/v1/history/{row['history_item_id']}").json() == row
    missing = api.get("/v1/history/doesNotExist")
    assert missing.status_code == 404
    assert missing.json()["detail"].keys() == {"type", "code", "message", "status", "request_id", "param"}
    assert missing.json()["detail"]["code"] == "history_item_not_found"


def test_delete_takes_a_row_away_once():
    with serve(items=20) as box:
        api = Api(box)
        with api.session:
            victim = box.history()[4]["history_item_id"]
            url = f"{box.url}/v1/history/{victim}"
            assert api.session.delete(url, timeout=5).json() == {"status": "ok"}
            assert api.session.delete(url, timeout=5).status_code == 404
            assert victim not in [row["history_item_id"] for row in api.walk(page_size=6)]


@pytest.mark.parametrize(("key", "code"), [(None, "missing_api_key"), ("sk_wrong", "invalid_api_key")])
def test_wrong_key_is_refused(api, key, code):
    answer = requests.get(api.box.url + "/v1/history", headers={"xi-api-key": key} if key else {}, timeout=5)
    assert answer.status_code == 401
    assert answer.json()["detail"]["code"] == code


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v1/history", "speech_history_read"),
        ("GET", "/v1/history/x/audio", "speech_history_read"),
        ("DELETE", "/v1/history/x", "speech_history_write"),
        ("GET", "/v1/user/subscription", "user_read"),
        ("GET", "/v1/models", "models_read"),
    ],
)
def test_lacking_scope_is_named(api, method, path, scope):
    key = api.box.key("voices_read")
    answer = requests.request(method, api.box.url + path, headers={"xi-api-key": key}, timeout=5)
    detail = answer.json()["detail"]
    assert answer.status_code == 401
    assert (detail["code"], detail["status"]) == ("unauthorized", "missing_permissions")
    assert detail["message"].startswith(f"The API key you used is missing the permission {scope} ")


def test_a_key_with_the_scope_is_let_in(api):
    for scope, path in [("voices_read", "/v1/voices"), ("speech_history_read", "/v1/history")]:
        headers = {"xi-api-key": api.box.key(scope)}
        assert requests.get(api.box.url + path, headers=headers, timeout=5).status_code == 200


def test_unknown_paths_and_methods(api):
    assert api.get("/v1/music").json() == {"detail": "Not Found"}
    for method in ("PUT", "PATCH", "HEAD", "OPTIONS"):
        assert api.session.request(method, api.box.url + "/v1/history", timeout=5).status_code == 405
    assert api.session.post(api.box.url + "/v1/history", timeout=5).json() == {"detail": "Method Not Allowed"}


def test_other_hosts_are_refused(api):
    answer = api.session.get(api.box.url + "/v1/history", headers={"Host": "evil.example"}, timeout=5)
    assert answer.status_code == 403


def test_control_calls_need_the_token(api):
    answer = api.session.post(api.box.url + "/_sandbox/history", timeout=5)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"history_item_ids": []}',
        b'{"history_item_ids": "x"}',
        b'{"history_item_ids": [1]}',
        b"nonsense",
        b'{"history_item_id": "x"}',
    ],
)
def test_bulk_download_checks_its_body(api, body):
    answer = api.session.post(api.box.url + "/v1/history/download", data=body, timeout=5)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == "body"


def test_bulk_download_knows_two_formats(api, truth):
    ids = [truth[0]["history_item_id"]]
    body = {"history_item_ids": ids, "output_format": "mp3_44100_128"}
    answer = api.session.post(api.box.url + "/v1/history/download", json=body, timeout=5)
    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid_output_format", "message": "output_format must be wav or none"}


def test_account_routes(api, truth):
    subscription = api.get("/v1/user/subscription").json()
    assert subscription["character_count"] == truth[0]["character_count_change_to"]
    assert subscription["character_count"] <= subscription["character_limit"]
    assert subscription["next_character_count_reset_unix"] > truth[0]["date_unix"]
    voices = {voice["voice_id"]: voice["name"] for voice in api.get("/v1/voices").json()["voices"]}
    assert "Old Greg" not in voices.values()
    assert "Anika - Clear, Warm and Professional" in voices.values()
    assert "eleven_v3" in {model["model_id"] for model in api.get("/v1/models").json()}


def test_legacy_error_shape():
    with serve(items=5, error_shape="legacy") as box:
        answer = requests.get(box.url + "/v1/history", timeout=5)
        assert answer.json()["detail"].keys() == {"status", "message"}


def test_the_official_client_reads_and_downloads(api, truth):
    import elevenlabs
    import httpx

    with httpx.Client(timeout=20) as http:
        client = elevenlabs.ElevenLabs(api_key=api.box.api_key, base_url=api.box.url, httpx_client=http)
        page = client.history.list(page_size=40)
        assert [item.history_item_id for item in page.history] == [row["history_item_id"] for row in truth[:40]]
        one = client.history.get(truth[0]["history_item_id"])
        assert one.date_unix == truth[0]["date_unix"]
        assert b"".join(client.history.get_audio(one.history_item_id))
        packed = b"".join(client.history.download(history_item_ids=[row["history_item_id"] for row in truth[:3]]))
        assert packed.startswith(b"PK\x03\x04")
        assert client.user.subscription.get().character_count == truth[0]["character_count_change_to"]
        assert client.models.list()
        with pytest.raises(elevenlabs.core.api_error.ApiError) as caught:
            client.history.get("doesNotExist")
        assert caught.value.status_code == 404
