"""A service that the sandbox can't play: raw answers of what the documentation leaves open."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

import histkit as hk
from histkit.frame.decode import PageDecoder
from histkit.frame.schema import to_frame
from histkit.sandbox import Sandbox
from tests.conftest import client_of

BASE = 1_780_000_000
Answer = Callable[[dict[str, str]], dict[str, Any]]


def row(number: int, date: Any, **fields: Any) -> dict[str, Any]:
    plain = {"character_count_change_from": 0, "character_count_change_to": 1, "content_type": "audio/mpeg"}
    return {"history_item_id": f"id{number}", "date_unix": date, "state": "created", **plain, **fields}


@pytest.fixture
def service() -> Iterator[Callable[[Answer], hk.HistoryClient]]:
    """Serve what a function of the query answers."""
    servers: list[ThreadingHTTPServer] = []

    def serve(answer: Answer) -> hk.HistoryClient:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = json.dumps(answer(dict(parse_qsl(urlsplit(self.path).query)))).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.send_header("x-echo", self.headers["xi-api-key"])
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return hk.HistoryClient("sk_test", base_url=f"http://127.0.0.1:{server.server_port}", max_retries=0)

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def paged(
    rows: list[dict[str, Any]],
    *,
    sorts: bool = True,
    asc_minds_dates: bool = True,
    eager: bool = False,
    most: int = 1000,
) -> Answer:
    """Answer as the service does (rows newest first), with the given weaknesses."""
    places = {each["history_item_id"]: place for place, each in enumerate(rows)}

    def answer(query: dict[str, str]) -> dict[str, Any]:
        ascending = sorts and query.get("sort_direction") == "asc"
        minds = asc_minds_dates or not ascending
        first = int(query.get("date_after_unix", -(10**12))) if minds else -(10**12)
        end = int(query.get("date_before_unix", 10**12)) if minds else 10**12
        after = places.get(query.get("start_after_history_item_id", ""), -1)
        found = [each for each in rows[after + 1 :] if first <= each["date_unix"] < end]
        found = found[::-1] if ascending else found
        size = min(most, int(query["page_size"]))
        page = found[:size]
        last = page[-1]["history_item_id"] if page else None
        return {"history": page, "has_more": bool(page) if eager else len(found) > size, "last_history_item_id": last}

    return answer


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("most", [1000, 10, 1])
def test_a_service_that_never_sorts_is_read_whole_even_from_a_page_of_one_second(
    service: Any, workers: int, most: int
) -> None:
    count = 4000 if most == 1000 else 12 * most
    rows = [row(number, BASE if number < 1.5 * most else BASE - 10 * number) for number in range(count)]
    df = hk.read_history(client=service(paged(rows, sorts=False, most=most)), workers=workers, progress=False)
    assert df["history_item_id"].tolist() == [each["history_item_id"] for each in rows]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("back", [20_000, 45_000])
def test_oldest_first_that_ignores_dates_brings_no_row_from_outside(service: Any, workers: int, back: int) -> None:
    rows = [row(number, BASE - 10 * number) for number in range(5000)]
    client = service(paged(rows, asc_minds_dates=False))
    df = hk.read_history(client=client, after=BASE - back, workers=workers, progress=False)
    assert len(df) == back // 10 + 1


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("count", [1, 1000, 4321])
def test_more_to_come_until_an_empty_page(service: Any, workers: int, count: int) -> None:
    rows = [row(number, BASE - 10 * number) for number in range(count)]
    client = service(paged(rows, eager=True))
    assert len(hk.read_history(client=client, workers=workers, progress=False)) == count
    assert sum(len(page.history) for page in client.iter_pages()) == count


def test_a_name_that_looks_like_an_id_is_found(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=50)
    for item in box.history()[:5]:
        box.update(item["history_item_id"], voice_name="NarratorVoice2026Max")
    df = hk.read_history(voice="NarratorVoice2026Max", client=client_of(box), progress=False)
    assert len(df) == 5


def test_an_answers_headers_never_show_the_key(service: Any) -> None:
    client = service(lambda _: {"history": 1})
    assert "sk_test" not in str(client.with_raw_response.list().headers)
    with pytest.raises(hk.ApiError) as caught:
        hk.read_history(client=client, progress=False)
    assert "sk_test" not in str(vars(caught.value))


@pytest.mark.parametrize(
    "page", [{"history": [row(1, BASE)]}, {"history": None, "has_more": False}, {"history": [3], "has_more": True}]
)
def test_iter_pages_never_ends_early_on_a_page_that_is_none(service: Any, page: dict[str, Any]) -> None:
    with pytest.raises(hk.SchemaError):
        [*service(lambda _: page).iter_pages()]


def frame_of(*rows: dict[str, Any]) -> Any:
    page = PageDecoder()(json.dumps({"history": rows, "has_more": False}).encode())
    return to_frame([page.rows]), page.problems


@pytest.mark.parametrize("date", [2**70, 2**62, 1_780_000_000_000, -(2**61)])
def test_a_date_out_of_range_is_missing_and_named(date: int) -> None:
    df, problems = frame_of(row(1, date), row(2, BASE))
    assert df["date"].isna().tolist() == [True, False]
    assert len(problems) == 1
    assert "id1" in problems[0]


def test_settings_and_lines_that_fit_no_column_go_to_extra() -> None:
    lines = [{"text": "a", "voice_id": "v", "voice_name": "V", "emotion": "sad"}]
    settings = {"stability": "0.5", "style": 10**30, "speed": True, "use_speaker_boost": 1, "similarity_boost": 1}
    df, _ = frame_of(row(1, BASE, dialogue=lines), row(2, BASE, settings=settings), row(3, BASE, settings=[1]))
    assert json.loads(df["dialogue"][0]) == lines
    assert df["extra"].isna().tolist() == [True, False, False]
    assert json.loads(df["extra"][1])["settings"].keys() == {"stability", "speed", "use_speaker_boost"}
    assert (df["style"][1], df["similarity_boost"][1]) == (1e30, 1.0)
    assert json.loads(df["extra"][2]) == {"settings": [1]}


def test_rows_without_an_id_are_all_kept() -> None:
    df, problems = frame_of(*[{**row(0, BASE), "history_item_id": ""}] * 3, row(1, BASE))
    assert len(df) == 4
    assert problems


@pytest.mark.parametrize("name", ['we"ird', "back\\slash", "\x01", "", "ключ", "a b"])
def test_a_new_field_may_have_any_name(name: str) -> None:
    df, problems = frame_of(row(1, BASE, **{name: 7}), row(2, BASE))
    assert json.loads(df["extra"][0]) == {name: 7}
    assert not problems


def test_new_fields_may_appear_in_many_threads_at_once() -> None:
    for _ in range(30):
        decoder = PageDecoder()
        bodies = [
            json.dumps({"history": [row(1, BASE, **{f"new{number % 3}": 1})], "has_more": False}).encode()
            for number in range(8)
        ]
        with ThreadPoolExecutor(8) as pool:
            found = [*pool.map(decoder, bodies)]
        assert all(page.rows.column("extra")[0].as_py() for page in found)


def test_paused_streams_hold_nobody_up(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=12, clip_bytes=100_000)
    client = client_of(box)
    ids = [each["history_item_id"] for each in box.history()]
    streams = [client.get_audio(item) for item in ids]
    assert all(next(stream) for stream in streams)
    assert client.get(ids[0]).history_item_id == ids[0]
    for stream in streams:
        stream.close()  # type: ignore[attr-defined]


def test_many_async_downloads_end(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=24, clip_bytes=50_000)
    ids = [each["history_item_id"] for each in box.history()]

    async def pull(client: hk.AsyncHistoryClient, item: str) -> int:
        return sum([len(chunk) async for chunk in client.get_audio(item)])

    async def all_of_them() -> list[int]:
        async with hk.AsyncHistoryClient(box.api_key, base_url=box.url) as client:
            return await asyncio.wait_for(asyncio.gather(*(pull(client, item) for item in ids)), 60)

    assert all(size > 1000 for size in asyncio.run(all_of_them()))


def test_a_cancelled_async_download_is_a_timeout_and_nothing_else(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=3, clip_bytes=200_000, bandwidth=20_000)
    item = box.history()[0]["history_item_id"]

    async def pull() -> None:
        async with hk.AsyncHistoryClient(box.api_key, base_url=box.url) as client:
            async for _ in client.get_audio(item):
                pass

    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(pull(), 0.7))


@pytest.mark.parametrize(
    "options",
    [
        dict.fromkeys(["timeout_in_seconds", "max_retries", "additional_headers", "chunk_size"]),
        {"additional_query_parameters": None, "additional_headers": {"x-none": None}},
    ],
    ids=["none", "none inside"],
)
def test_options_of_none_are_as_not_given(box_of: Callable[..., Sandbox], options: Any) -> None:
    box = box_of(items=3)
    client = client_of(box)
    assert len(client.list(request_options=options).history) == 3
    assert b"".join(client.get_audio(box.history()[0]["history_item_id"], request_options=options))


@pytest.mark.parametrize(
    "wrong", [{"timeout": None}, {"max_concurrency": 1.5}, {"max_retries": -1}, {"base_url": "http://[x"}]
)
def test_a_client_that_can_not_be_made_says_why(wrong: dict[str, Any]) -> None:
    with pytest.raises(hk.InputError, match=next(iter(wrong))):
        hk.HistoryClient("sk_x", **wrong)
    with pytest.raises(hk.InputError, match="chunk_size"):
        [*hk.HistoryClient("sk_x").get_audio("x", request_options={"chunk_size": 0})]
    with pytest.raises(hk.AuthenticationError, match="must be a string"):
        hk.HistoryClient(b"sk_x")  # type: ignore[arg-type]
