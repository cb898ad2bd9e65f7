"""The sandbox's request log: consistent with its history, in the shape that the official SDK knows."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from histkit.sandbox import FAULTS, Sandbox, serve
from histkit.sandbox.request_log import REQUESTS

END = 1793476800000
WORDS = {name: fault.words for name, fault in FAULTS.items() if name.startswith("log_") and fault.words}


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with serve(items=400, seed=3) as box:
        yield box


def post(box: Sandbox, key: str | None = None, **body: Any) -> requests.Response:
    headers = {"xi-api-key": key or box.api_key, "Connection": "close"}
    return requests.post(box.url + REQUESTS, json=body, headers=headers, timeout=20)


def rows(box: Sandbox, **body: Any) -> list[dict[str, Any]]:
    answer = post(box, **{"limit": 1000, **body}).json()
    assert len(answer["columns"]) == len(answer["column_types"]) == len(answer["column_units"])
    return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]


def test_every_row_of_the_history_has_its_request(box):
    log = {row["request_id"]: row for row in rows(box, start_time=0)}
    history = box.history()
    for item in history:
        request = log[item["request_id"]]
        assert request["timestamp"] // 1000 == item["date_unix"]
        assert request["credits"] == item["character_count_change_to"] - item["character_count_change_from"]
        assert request["status_code"] == 200
        assert (request["voice_id"] is None) == (not item.get("voice_id"))
    others = [row for request, row in log.items() if request not in {item["request_id"] for item in history}]
    assert {row["product_type"] for row in others} == {"TTS", "Music"}
    assert {row["status_code"] for row in others} > {200, 429}
    assert len({row["api_key_name"] for row in log.values()}) >= 4
    assert len({row["user_id"] for row in log.values()}) == 3
    assert any(row["hashed_xi_api_key"] is None for row in log.values())


def test_official_client_reads_the_log(box, sdk_of):
    client = sdk_of(box)
    newest = client.workspace.analytics.requests.get(end_time=END, limit=5)
    oldest = client.workspace.analytics.requests.get(start_time=0, limit=5)
    assert newest.columns[:2] == ["timestamp", "request_id"]
    assert newest.column_types[0] == "DateTime"
    assert len(newest.column_units) == len(newest.rows[0])
    times = [row[0] for row in newest.rows]
    assert times == sorted(times, reverse=True)
    assert [row[0] for row in oldest.rows] == sorted(row[0] for row in oldest.rows)
    assert oldest.rows[-1][0] < newest.rows[-1][0]
    some = client.workspace.analytics.requests.get(
        start_time=0, sort="desc", filters=[{"column": "status_code", "operation": "gt", "values": [200]}], search="tts"
    )
    assert {row[some.columns.index("status_code")] for row in some.rows} <= {401, 422, 429, 500}
    assert some.rows


def test_order_and_bounds_are_those_of_the_documentation(box):
    full = rows(box, start_time=0)
    middle = full[len(full) // 2]["timestamp"]
    after = rows(box, start_time=middle)
    before = rows(box, end_time=middle)
    assert after[0]["timestamp"] == middle
    assert before[0]["timestamp"] < middle
    assert len(after) + len(before) == len(full)
    assert len(post(box, start_time=0).json()["rows"]) == 100
    assert rows(box, start_time=0, end_time=END, sort="asc") == full
    assert rows(box, start_time=0, end_time=END) == full[::-1]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"start_time": "x"}, 422),
        ({"start_time": 0, "limit": 0}, 422),
        ({"start_time": 0, "limit": 1001}, 422),
        ({"start_time": 0, "sort": "up"}, 422),
        ({"start_time": 0, "search": 3}, 422),
        ({"start_time": 0, "filters": [{"column": "nope", "operation": "eq", "values": [1]}]}, 400),
        ({"start_time": 0, "filters": [{"column": "model", "operation": "like", "values": [1]}]}, 422),
        ({"start_time": 0, "filters": [{"column": "model"}]}, 422),
    ],
)
def test_what_is_not_possible_is_refused(box, body, status):
    assert post(box, **body).status_code == status


def test_a_key_needs_the_scope(box):
    answer = post(box, key=box.key("speech_history_read"), start_time=0)
    assert answer.status_code == 401
    assert "workspace_analytics_full_read" in answer.json()["detail"]["message"]
    assert post(box, key=box.key("workspace_analytics_full_read"), start_time=0).status_code == 200


@pytest.mark.parametrize(("fault", "word"), [(name, word) for name, words in WORDS.items() for word in words])
def test_each_word_of_a_fault_answers(box, fault, word):
    box.set(**{fault: word})
    answer = post(box, start_time=0, end_time=END).json()
    assert len(answer["rows"]) == 100


def test_faults_of_the_log(box):
    whole = rows(box, start_time=0)
    box.set(log_cap=7)
    assert len(rows(box, start_time=0)) == 7
    box.set(log_cap=None, log_burst=30)
    more = rows(box, start_time=0)
    assert len(more) == len(whole) + 30
    times = [row["timestamp"] for row in more]
    assert max(times.count(time) for time in set(times)) >= 30
    box.set(log_burst=None, log_empty=1)
    assert rows(box, start_time=0) == []
    assert rows(box, start_time=0) == whole
    box.set(log_repeat=1)
    assert rows(box, start_time=END) == whole
    assert rows(box, start_time=END) == []
    box.set(log_blank=0.2)
    blank = rows(box, start_time=0)
    assert any(row["timestamp"] is None for row in blank)
    assert any(row["request_id"] is None for row in blank)
    box.set(log_blank=None, arriving=1)
    assert len(rows(box, start_time=0)) == len(whole) + 1
    box.set(error_409=1, only="log")
    assert post(box, start_time=0).status_code == 409


def test_added_rows_are_in_the_log_at_their_time(box):
    middle = rows(box, start_time=0)[200]["timestamp"] // 1000
    (item,) = box.add(1, date_unix=middle)
    box.remove(item)
    full = rows(box, start_time=0)
    times = [row["timestamp"] for row in full]
    assert times == sorted(times)
    assert sum(row["timestamp"] == middle * 1000 for row in full) == 1


def test_a_million_rows_answer_quickly():
    with serve(items=1_000_000) as box:
        post(box, end_time=END, limit=1000)  # which draws them
        started = time.monotonic()
        for end in range(END, END - 20 * 10**9, -(10**9)):
            assert len(post(box, end_time=end, limit=1000).json()["rows"]) == 1000
        assert time.monotonic() - started < 5
