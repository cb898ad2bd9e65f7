"""What the sandbox does wrong on request, and the control calls of its handle."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

import histkit as hk
from histkit.errors import InputError
from histkit.sandbox import Sandbox, run, serve


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with serve(items=120, seed=2) as box:
        yield box


def get(box: Sandbox, path: str = "/v1/history", **query: Any) -> requests.Response:
    headers = {"xi-api-key": box.api_key, "Connection": "close"}
    return requests.get(box.url + path, params=query, headers=headers, timeout=20, allow_redirects=False)


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["history_item_id"] for row in rows]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("rate_limit", 429, "rate_limit_exceeded"),
        ("too_many", 429, "too_many_concurrent_requests"),
        ("error_500", 500, "internal_error"),
        ("error_503", 503, "service_unavailable"),
        ("error_408", 408, "request_timeout"),
        ("error_409", 409, "already_running"),
        ("quota_401", 401, "quota_exceeded"),
        ("payment_issue", 401, "payment_issue"),
        ("unusual_activity", 401, "detected_unusual_activity"),
    ],
)
def test_counted_faults_happen_so_often_and_no_more(box, fault, status, code):
    box.set(**{fault: 2})
    answers = [get(box) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert answers[0].json()["detail"]["code"] == code
    assert "Retry-After" not in answers[0].headers
    assert [entry["fault"] for entry in box.requests()] == [fault, fault, None]
    assert box.faults() == {}


def test_rates_are_the_same_dice_for_the_same_seed():
    def codes(seed: int) -> list[int]:
        with serve(items=5, seed=seed, error_503=0.4) as box:
            return [get(box, page_size=1).status_code for _ in range(30)]

    assert codes(1) == codes(1)
    assert codes(1) != codes(2)
    assert 4 <= codes(1).count(503) <= 20


def test_retry_after_in_seconds_or_as_a_date(box):
    box.set(rate_limit=True, retry_after=3)
    assert get(box).headers["Retry-After"] == "3"
    box.set(retry_after="date", rate_limit=0, error_503=True)
    assert parsedate_to_datetime(get(box).headers["Retry-After"]).tzinfo is not None


def test_reset_and_cut_off_break_the_connection(box):
    one = ids(box.history())[0]
    box.set(reset=1)
    with pytest.raises(requests.ConnectionError, match=r"reset|aborted"):
        get(box)
    for path in ("/v1/history", f"/v1/history/{one}/audio"):
        box.set(cut_off=1)
        with pytest.raises(requests.RequestException, match=r"IncompleteRead|broken"):
            get(box, path)
    assert [entry["fault"] for entry in box.requests()] == ["reset", "cut_off", "cut_off"]


def test_web_pages_instead_of_answers(box):
    box.set(html=1)
    answer = get(box)
    assert (answer.status_code, answer.headers["Content-Type"][:9]) == (200, "text/html")
    assert "Just a moment" in answer.text
    box.set(html_403=1)
    assert get(box).status_code == 403
    box.set(redirect=1)
    answer = get(box)
    assert answer.status_code == 302
    assert "Help Center" in get(box, answer.headers["Location"]).text
    box.set(redirect="http://127.0.0.1:9/elsewhere")
    assert {get(box).headers["Location"] for _ in range(2)} == {"http://127.0.0.1:9/elsewhere"}


def test_truncated_json_has_a_true_length(box):
    box.set(truncated_json=1)
    answer = get(box)
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.content)


def test_only_one_kind_of_request_fails(box):
    one = ids(box.history())[0]
    box.set(error_500=True, only="audio")
    assert get(box).status_code == 200
    assert get(box, f"/v1/history/{one}/audio").status_code == 500


def test_latency_bandwidth_and_audio_delay(box):
    one = ids(box.history())[0]
    box.set(latency=0.15)
    get(box)
    box.set(latency=None, audio_delay=0.15)
    get(box, f"/v1/history/{one}/audio")
    get(box, f"/v1/history/{one}")
    box.set(audio_delay=None, bandwidth=100_000, clip_bytes=30_000)
    get(box, f"/v1/history/{one}/audio")
    took = [entry["ended"] - entry["started"] for entry in box.requests()]
    assert took[0] > 0.14
    assert took[1] > 0.14
    assert took[2] < 0.1
    assert took[3] > 0.2


def test_concurrency_is_a_real_limit(box):
    box.set(concurrency=2, latency=0.4)
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(get(box).status_code)) for _ in range(5)]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200, 200, 429, 429, 429]
    assert box.peak_in_flight() == 3


def test_a_client_of_four_threads_is_never_five(box):
    box.set(concurrency=4)
    with ThreadPoolExecutor(4) as pool:
        assert {answer.status_code for answer in pool.map(lambda _: get(box, page_size=20), range(200))} == {200}
    assert box.peak_in_flight() <= 4


def walk(box: Sandbox, size: int = 25, pages: int = 60, **query: Any) -> tuple[list[str], list[dict[str, Any]]]:
    found, seen, cursor = [], [], None
    for _ in range(pages):
        page = get(box, page_size=size, **query, **({"start_after_history_item_id": cursor} if cursor else {})).json()
        seen.append(page)
        found += ids(page["history"])
        cursor = page["last_history_item_id"]
        if not page["has_more"] or cursor is None:
            break
    return found, seen


@pytest.mark.parametrize(
    "faults", [{"short_pages": True}, {"empty_pages": 0.5}, {"short_pages": 0.5, "empty_pages": 0.3}]
)
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_short_and_empty_pages_lose_no_row(box, faults, direction):
    box.set(**faults)
    truth = ids(box.history())
    shortened = False
    for _ in range(5):  # the fault is drawn page by page: one walk in 250 is spared by chance
        found, seen = walk(box, sort_direction=direction)
        assert found == (truth if direction == "desc" else truth[::-1])
        cursors = [page["last_history_item_id"] for page in seen]
        assert len(set(cursors)) == len(cursors)
        shortened = shortened or any(len(page["history"]) < 25 for page in seen[:-1])
    assert shortened


def test_repeated_cursor(box):
    box.set(repeat_cursor=True)
    _, seen = walk(box, pages=4)
    assert seen[0] == seen[1] == seen[2]
    assert seen[0]["has_more"]


def test_missing_cursor_and_shuffled_rows(box):
    box.set(missing_cursor=1)
    page = get(box, page_size=10).json()
    assert (page["last_history_item_id"], page["has_more"]) == (None, True)
    box.set(shuffle=1)
    truth = ids(box.history())
    page = get(box, page_size=10).json()
    assert ids(page["history"]) != truth[:10]
    assert sorted(ids(page["history"])) == sorted(truth[:10])
    assert page["last_history_item_id"] == truth[9]


def test_cursor_of_a_row_that_is_gone():
    for manner in ("continue", "error", "empty", "restart"):
        with serve(items=30, deleted_cursor=manner) as box:
            truth = ids(box.history())
            box.remove(truth[9])
            answer = get(box, page_size=5, start_after_history_item_id=truth[9])
            if manner == "error":
                assert (answer.status_code, answer.json()["detail"]["code"]) == (400, "invalid_cursor")
                continue
            expected = {"continue": truth[10:15], "empty": [], "restart": truth[:5]}[manner]
            assert ids(answer.json()["history"]) == expected
            assert answer.json()["has_more"] == (manner != "empty")


def test_unknown_cursor_is_refused(box):
    assert get(box, start_after_history_item_id="neverWas").json()["detail"]["code"] == "invalid_cursor"


def test_rows_that_come_and_go_while_paging():
    with serve(items=60, vanish_cursor=True) as box:
        truth = ids(box.history())
        assert walk(box, 10)[0] == truth
        assert ids(box.history()) == [one for k, one in enumerate(truth) if k % 10 != 9]
    with serve(items=60, arriving=True, vanishing=3) as box:
        truth = ids(box.history())
        found, _ = walk(box, 10)
        left = ids(box.history())
        assert len(set(truth) - set(left)) <= 3
        assert set(found) >= set(truth) & set(left)
        assert len(left) > 60


def test_ignored_parameters(box):
    box.set(ignore_sort=True, ignore_dates=True)
    assert get(box, sort_direction="asc", date_after_unix=2_000_000_000).json() == get(box).json()


def test_search_and_model_may_need_a_source(box):
    box.set(search_needs_source=True, model_needs_source=True)
    for query in ({"search": "rain"}, {"model_id": "eleven_v3"}):
        assert get(box, **query).json()["detail"][0]["loc"] == ["query", "source"]
        assert get(box, **query, source="TTS").status_code == 200


def test_dropped_fields(box):
    box.set(drop_fields=["settings", "voice_name"])
    page = get(box, page_size=3).json()
    assert all("settings" not in row and "voice_name" not in row and "text" in row for row in page["history"])
    assert "settings" in box.history()[0]


def test_unknown_faults_and_values_are_refused_before_anything_starts(box):
    with pytest.raises(ValueError, match=r"unknown fault 'erorr_500'; the sandbox knows arriving, .*zip_names"):
        serve(erorr_500=1)
    for wrong in (
        {"error_500": 1.5},
        {"deleted_cursor": "maybe"},
        {"drop_fields": "text"},
        {"ignore_sort": 1},
        {"latency": -1},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            box.set(**wrong)
    with pytest.raises(ValueError, match="items=0 must be a whole number from 1 to 1000000"):
        serve(items=0)


def test_rows_arrive_change_and_vanish():
    with serve(items=40) as box:
        before = box.history()
        first, second = box.add(2, text="Just now.", state="processing")
        assert ids(box.history())[:2] == [second, first]
        assert get(box, page_size=2).json()["history"] == box.history()[:2]
        newest = box.history()[1]
        assert (newest["text"], newest["state"]) == ("Just now.", "processing")
        assert newest["date_unix"] >= int(time.time()) - 5
        assert newest["character_count_change_from"] == before[0]["character_count_change_to"]
        box.update(first, state="created", anything={"new": 1})
        assert get(box, f"/v1/history/{first}").json()["anything"] == {"new": 1}
        late = box.add(date_unix=before[10]["date_unix"])[0]
        assert ids(box.history())[12] == late
        assert ids(get(box, search="just now").json()["history"]) == [second, first]
        assert box.remove([first, second, late, "nobody"]) == 3
        assert box.history() == before
        with pytest.raises(KeyError):
            box.update(first, text="gone")


def test_log_tells_the_query_and_the_times(box):
    started = time.monotonic()
    get(box, page_size=5, search="a b")
    (entry,) = box.requests()
    assert entry.keys() == {"method", "path", "query", "status", "fault", "started", "ended"}
    assert (entry["method"], entry["path"], entry["status"]) == ("GET", "/v1/history", 200)
    assert entry["query"] == {"page_size": "5", "search": "a b"}
    assert started - 1 < entry["started"] <= entry["ended"]
    box.reset()
    assert box.requests() == []


def test_alignments_are_served_and_cached():
    with serve(items=1000, alignments=True) as box:
        first = get(box, page_size=1000)
        assert len(first.content) > 3_000_000
        assert get(box, page_size=1000).content == first.content


def test_close_ends_the_process_and_so_does_the_end_of_its_parent():
    box = serve(items=5)
    assert psutil.pid_exists(box.pid)
    assert box.api_key not in repr(box)
    box.close()
    box.close()
    assert not psutil.pid_exists(box.pid)
    program = """if True:
        import time
        from histkit.sandbox import serve
        box = serve(items=5)
        print(box.pid, flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    with parent:
        child = int(parent.stdout.readline())
        assert psutil.pid_exists(child)
        parent.kill()
    deadline = time.monotonic() + 5
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_starts_fast_and_without_pandas(box):
    started = time.monotonic()
    with serve(items=1000) as fast:
        assert time.monotonic() - started < 3
        mapped = {Path(file.path).name for file in psutil.Process(fast.pid).memory_maps()}
        assert not any("pandas" in name or "arrow" in name for name in mapped)


def test_taken_port_is_an_error_that_says_so(box):
    with pytest.raises(OSError, match="did not start"):
        serve(items=5, port=int(box.url.rsplit(":", 1)[1]))


def test_run_hands_over_the_sandbox_and_returns_when_it_is_closed():
    seen = []

    def started(box: Sandbox) -> None:
        seen.append(get(box, page_size=1).status_code)
        box.close()

    run(items=5, started=started)
    assert seen == [200]


@pytest.mark.parametrize(
    "fault",
    [
        {"latency": float("nan")},
        {"latency": float("inf")},
        {"jitter": -1},
        {"rate_limit": 1.5},
        {"rate_limit": "often"},
        {"ignore_sort": 1},
        {"deleted_cursor": []},
        {"drop_fields": "text"},
        {"drop_fields": [5]},
        {"poison_status": 7},
        {"poison_status": 200},
        {"retry_after": "soon"},
    ],
    ids=str,
)
def test_a_value_that_a_fault_can_not_have_is_named_with_those_it_can(fault: dict[str, Any]) -> None:
    name, value = next(iter(fault.items()))
    with pytest.raises(InputError, match=rf"{name}=.* is not possible \(.*\); use ") as caught:
        serve(items=1, **fault)
    assert repr(value) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, -1, 1_000_001, 1.0, "5", None, True])
def test_a_size_that_no_history_has_is_refused_in_one_line(size: Any) -> None:
    for make in (lambda: serve(items=size), lambda: hk.sample_history(size)):
        with pytest.raises(InputError, match="must be a whole number from 1 to 1000000") as caught:
            make()
        assert "\n" not in str(caught.value)
