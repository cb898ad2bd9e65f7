"""`HistoryClient` next to the official SDK's history client: same server, same calls, same results."""

from __future__ import annotations

import asyncio
import inspect
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from elevenlabs.core.api_error import ApiError as SdkError

import histkit as hk
from histkit.api.models import SpeechHistoryItemResponse
from histkit.sandbox import Sandbox
from tests.conftest import client_of

QUERIES: list[dict[str, Any]] = [
    {},
    {"page_size": 7},
    {"page_size": 1000, "sort_direction": "asc"},
    {"voice_id": "21m00Tcm4TlvDq8ikWAM", "page_size": 50},
    {"model_id": "eleven_v3"},
    {"source": "STS"},
    {"search": "chapter", "source": "TTS"},
    {"date_after_unix": 1_780_000_000, "date_before_unix": 1_785_000_000, "page_size": 30},
    {"page_size": 3, "request_options": {"additional_query_parameters": {"source": "TTS"}}},
]


@pytest.fixture(scope="module")
def sdk(shared_box: Sandbox, sdk_of: Callable[[Sandbox], Any]) -> Any:
    return sdk_of(shared_box)


def same_item(ours: SpeechHistoryItemResponse, theirs: Any) -> None:
    assert ours.model_dump() == theirs.model_dump()
    for name in type(theirs).model_fields:
        if name not in ("alignments", "dialogue"):
            assert getattr(ours, name) == getattr(theirs, name)
    for line, other in zip(ours.dialogue or [], theirs.dialogue or [], strict=True):
        assert (line.text, line.voice_id, line.voice_name) == (other.text, other.voice_id, other.voice_name)


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_list_gives_what_the_sdk_gives(client: hk.HistoryClient, sdk: Any, query: dict[str, Any]) -> None:
    ours, theirs = client.history.list(**query), sdk.history.list(**query)
    assert (ours.has_more, ours.last_history_item_id) == (theirs.has_more, theirs.last_history_item_id)
    assert ours.scanned_until == theirs.scanned_until
    assert len(ours.history) == len(theirs.history) > 0
    for pair in zip(ours.history, theirs.history, strict=True):
        same_item(*pair)


def test_a_cursor_goes_on_as_with_the_sdk(client: hk.HistoryClient, sdk: Any) -> None:
    first = client.list(page_size=20)
    query = {"page_size": 20, "start_after_history_item_id": first.last_history_item_id}
    assert client.list(**query).model_dump() == sdk.history.list(**query).model_dump()


def test_get_gives_what_the_sdk_gives(client: hk.HistoryClient, sdk: Any) -> None:
    for item in client.list(page_size=100).history[::9]:
        same_item(client.get(item.history_item_id), sdk.history.get(item.history_item_id))


def test_alignments_have_the_sdks_attributes(box_of: Callable[..., Sandbox], sdk_of: Any) -> None:
    box = box_of(items=20, alignments=True)
    sdk = sdk_of(box)
    ours, theirs = client_of(box).list().history, sdk.history.list().history
    pairs = [(mine, other) for mine, other in zip(ours, theirs, strict=True) if other.alignments]
    assert pairs
    for mine, other in pairs:
        assert mine.alignments.normalized_alignment.characters == other.alignments.normalized_alignment.characters
        assert mine.model_dump() == other.model_dump()


def test_get_audio_gives_the_sdks_bytes(client: hk.HistoryClient, sdk: Any) -> None:
    item = client.list(page_size=1).history[0].history_item_id
    assert b"".join(client.get_audio(item)) == b"".join(sdk.history.get_audio(item))
    chunks = [*client.get_audio(item, request_options={"chunk_size": 512})]
    assert {len(chunk) for chunk in chunks[:-1]} == {512}


def test_download_gives_the_sdks_bytes(client: hk.HistoryClient, sdk: Any) -> None:
    ids = [item.history_item_id for item in client.list(page_size=4).history]
    for request in (
        {"history_item_ids": ids[:1]},
        {"history_item_ids": ids[:1], "output_format": "wav"},
        {"history_item_ids": ids[:1], "output_format": None},
    ):
        assert b"".join(client.download(**request)) == b"".join(sdk.history.download(**request))
    ours, theirs = (
        zipfile.ZipFile(BytesIO(b"".join(each.download(history_item_ids=ids)))) for each in (client, sdk.history)
    )
    assert ours.namelist() == theirs.namelist()
    assert [ours.read(name) for name in ours.namelist()] == [theirs.read(name) for name in theirs.namelist()]


def test_delete_gives_what_the_sdk_gives(box_of: Callable[..., Sandbox], sdk_of: Any) -> None:
    box = box_of(items=10)
    sdk, client = sdk_of(box), client_of(box)
    one, two = [item["history_item_id"] for item in box.history()[:2]]
    assert client.delete(one).model_dump() == sdk.history.delete(two).model_dump() == {"status": "ok"}
    with pytest.raises(hk.NotFoundError):
        client.get(one)


REFUSED: list[Callable[[Any], Any]] = [
    lambda history: history.list(page_size="many"),
    lambda history: history.list(source="Projects"),
    lambda history: history.list(page_size=5000),
    lambda history: history.get("no_such_item"),
    lambda history: history.delete("no_such_item"),
    lambda history: [*history.get_audio("no_such_item")],
    lambda history: [*history.download(history_item_ids=["a", "b"], output_format="mp3")],
    lambda history: [*history.download(history_item_ids=[])],
]


def _without_ids(body: Any) -> Any:
    if isinstance(body, dict):
        return {name: _without_ids(value) for name, value in body.items() if name != "request_id"}
    return body


@pytest.mark.parametrize("call", REFUSED, ids=range(len(REFUSED)))
def test_errors_are_those_of_the_sdk(client: hk.HistoryClient, sdk: Any, call: Callable[[Any], Any]) -> None:
    with pytest.raises(SdkError) as theirs:
        call(sdk.history)
    with pytest.raises(hk.ApiError) as ours:
        call(client.history)
    assert ours.value.status_code == theirs.value.status_code
    assert _without_ids(ours.value.body) == _without_ids(theirs.value.body)
    if type(theirs.value) is not SdkError:
        assert type(ours.value).__name__ == type(theirs.value).__name__
    assert ours.value.headers["content-type"] == theirs.value.headers["content-type"]
    assert ours.value.request_id


@pytest.mark.parametrize("name", ["list", "get", "delete", "get_audio", "download"])
@pytest.mark.parametrize("kind", ["HistoryClient", "AsyncHistoryClient"])
def test_parameters_and_defaults_are_the_sdks(name: str, kind: str) -> None:
    import elevenlabs.history.client as theirs

    ours, other = (inspect.signature(getattr(getattr(module, kind), name)).parameters for module in (hk, theirs))
    assert {key: (each.kind, each.default) for key, each in ours.items()} == {
        key: (each.kind, each.default) for key, each in other.items()
    }


def test_raw_responses_have_headers_and_data(client: hk.HistoryClient, sdk: Any) -> None:
    ours, theirs = (each.with_raw_response.list(page_size=2) for each in (client, sdk.history))
    assert ours.status_code == theirs.status_code == 200
    assert ours.headers.keys() == theirs.headers.keys()
    assert ours.data.model_dump() == theirs.data.model_dump()
    item = ours.data.history[0].history_item_id
    with client.with_raw_response.get_audio(item) as mine, sdk.history.with_raw_response.get_audio(item) as other:
        assert mine.headers["content-type"] == other.headers["content-type"]
        assert b"".join(mine.data) == b"".join(other.data)
    with pytest.raises(TypeError, match="per_page"):
        client.with_raw_response.list(per_page=3)


def test_request_options_reach_the_request(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=5, error_503=3)
    client = client_of(box)
    with pytest.raises(hk.ServerError):
        client.list(request_options={"max_retries": 0})
    assert [each["status"] for each in box.requests()] == [503]
    box.set(error_503=None, latency=1.0)
    with pytest.raises(hk.TransportError, match="timeout"):
        client.list(request_options={"timeout_in_seconds": 0.2, "max_retries": 0})
    box.set(latency=0)
    with pytest.raises(hk.AuthenticationError):
        client.list(request_options={"additional_headers": {"xi-api-key": "sk_other"}})


def test_the_async_client_awaits_the_same_calls(shared_box: Sandbox, client: hk.HistoryClient) -> None:
    async def calls() -> None:
        async with hk.AsyncHistoryClient(shared_box.api_key, base_url=shared_box.url) as other:
            page = await other.history.list(page_size=5)
            assert page.model_dump() == client.list(page_size=5).model_dump()
            item = page.history[0].history_item_id
            assert (await other.get(item)).text == page.history[0].text
            audio = b"".join([chunk async for chunk in other.get_audio(item)])
            assert audio == b"".join(client.get_audio(item))
            zipped = b"".join([chunk async for chunk in other.download(history_item_ids=[item, item])])
            assert zipped.startswith(b"PK")
            sizes = [len(each.history) async for each in other.iter_pages(page_size=1000)]
            assert sum(sizes) == len(shared_box.history())
            assert (await other.with_raw_response.list(page_size=1)).status_code == 200
            async with other.with_raw_response.get_audio(item) as response:
                assert b"".join([chunk async for chunk in response.data]) == audio
            with pytest.raises(hk.NotFoundError):
                await other.delete("no_such_item")
            assert (await other.subscription()).character_limit > 0
            pages = await asyncio.gather(*(other.list(page_size=50) for _ in range(6)))
            assert len({each.last_history_item_id for each in pages}) == 1

    asyncio.run(calls())


@pytest.mark.parametrize("fault", ["partial", "no_content"])
def test_audio_that_is_a_part_or_none_is_an_error_unless_it_was_asked_for(
    box_of: Callable[..., Sandbox], fault: str
) -> None:
    box = box_of(items=5, **{fault: True}, only="audio")
    item = box.history()[0]["history_item_id"]
    client = client_of(box)

    async def chunks(**options: Any) -> bytes:
        async with hk.AsyncHistoryClient(box.api_key, base_url=box.url) as other:
            return b"".join([chunk async for chunk in other.get_audio(item, **options)])

    for read in (lambda: b"".join(client.get_audio(item)), lambda: asyncio.run(chunks())):
        with pytest.raises(hk.TransportError, match="HTTP 20"):
            read()
    options: Any = {"request_options": {"additional_headers": {"Range": "bytes=0-99"}}}
    with client.with_raw_response.get_audio(item) as response:
        part = b"".join(response.data)
    assert b"".join(client.get_audio(item, **options)) == asyncio.run(chunks(**options)) == part


def test_models_and_subscription(client: hk.HistoryClient, sdk: Any) -> None:
    assert [each.model_id for each in client.models()] == [each.model_id for each in sdk.models.list()]
    ours, theirs = client.subscription(), sdk.user.subscription.get()
    for name in ("tier", "character_count", "character_limit", "status", "next_character_count_reset_unix"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.voice_limit == theirs.voice_limit  # a field that only the answer names


def test_iter_pages_gives_each_row_once_in_order(shared_box: Sandbox, client: hk.HistoryClient) -> None:
    pages = [*client.iter_pages(page_size=700)]
    assert [item.history_item_id for page in pages for item in page.history] == [
        row["history_item_id"] for row in shared_box.history()
    ]
    assert [page.has_more for page in pages] == [True] * (len(pages) - 1) + [False]
    tts = [item for page in client.iter_pages(source="TTS", date_after_unix=1_785_000_000) for item in page.history]
    assert tts
    assert {item.source for item in tts} == {"TTS"}


def test_an_id_can_not_change_the_route(client: hk.HistoryClient, shared_box: Sandbox) -> None:
    with pytest.raises(hk.NotFoundError):
        client.get("../models?x=1#")
    assert shared_box.requests()[-1]["path"].startswith("/v1/history/")
    with pytest.raises(hk.InputError):
        client.get("")
    with pytest.raises(hk.InputError):
        client.delete("..")


def test_the_calls_of_the_seed_run_unchanged(box_of: Callable[..., Sandbox], tmp_path: Any) -> None:
    box = box_of(items=40)
    client = client_of(box)
    history = client.history.list(page_size=10, sort_direction="asc", source="TTS")
    assert [item.text for item in history.history]
    first, second = (item.history_item_id for item in history.history[:2])
    assert client.history.get(history_item_id=first).history_item_id == first
    with (tmp_path / "output.mp3").open("wb") as f:
        for chunk in client.history.get_audio(history_item_id=first):
            f.write(chunk)
    with (tmp_path / "history_items.zip").open("wb") as f:
        for chunk in client.history.download(history_item_ids=[first, second], output_format="wav"):
            f.write(chunk)
    assert zipfile.is_zipfile(tmp_path / "history_items.zip")
    assert client.history.delete(history_item_id=first).status == "ok"
