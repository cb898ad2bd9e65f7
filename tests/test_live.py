"""What only the real service can tell. Skipped without ``HISTKIT_LIVE_API_KEY``; reads only, deletes nothing."""

from __future__ import annotations

import os
from itertools import islice

import pytest

import histkit as hk

KEY = os.environ.get("HISTKIT_LIVE_API_KEY")
pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not KEY, reason="no HISTKIT_LIVE_API_KEY: nothing is asked of the service"),
]


@pytest.fixture
def client() -> hk.HistoryClient:
    return hk.HistoryClient(KEY)


def test_pages_have_no_unknown_fields_and_break_no_form(client: hk.HistoryClient) -> None:
    df = hk.read_history(limit=1000, client=client)
    assert not df.attrs["histkit"]["problems"], "look at these rows: is the form in pages.py still right?"
    assert df["extra"].isna().all(), f"new fields, to be documented: {df['extra'].dropna().head(3).tolist()}"


def test_windows_and_the_cursor_give_the_same_rows(client: hk.HistoryClient) -> None:
    alone = hk.read_history(workers=1, client=client)
    before = int(alone["date_unix"].iloc[0]) + 1 if len(alone) else None
    side_by_side = hk.read_history(workers=4, before=before, client=client)
    assert side_by_side["history_item_id"].tolist() == alone["history_item_id"].tolist()


def test_oldest_first_with_a_cursor_goes_on(client: hk.HistoryClient) -> None:
    first = client.list(page_size=5, sort_direction="asc")
    if first.has_more:
        cursor = first.last_history_item_id
        second = client.list(page_size=5, sort_direction="asc", start_after_history_item_id=cursor)
        assert second.history[0].date_unix >= first.history[-1].date_unix, "asc and the cursor do not go together"


@pytest.mark.parametrize("filters", [{"model_id": "eleven_multilingual_v2"}, {"search": "the"}], ids=str)
def test_a_filter_without_source_is_taken(client: hk.HistoryClient, filters: dict[str, str]) -> None:
    client.list(page_size=1, **filters)  # type: ignore[arg-type]  # a 4xx here: the service insists on source


def test_a_page_size_of_1001_is_refused_with_a_code(client: hk.HistoryClient) -> None:
    with pytest.raises(hk.ApiError) as caught:
        client.list(page_size=1001)
    assert caught.value.code == "invalid_page_size", "write down status and body: they are not documented"


def test_an_unknown_cursor_has_an_answer_that_is_known(client: hk.HistoryClient) -> None:
    status = 200
    try:
        client.list(page_size=2, start_after_history_item_id="AAAAAAAAAAAAAAAAAAAA")
    except hk.ApiError as error:
        status = error.status_code or 0
    assert status in (200, 400, 404, 422), "paging.Window.fail does not take this for the cursor's fault"


def test_audio_is_what_the_row_says(client: hk.HistoryClient) -> None:
    for item in islice(client.list(page_size=3).history, 3):
        audio = b"".join(client.get_audio(item.history_item_id))
        assert audio, item.history_item_id
        assert (item.output_format or "mp3").split("_")[0] in ("mp3", "pcm", "wav", "opus", "ulaw", "alaw", "m4a")


def test_the_subscriptions_counter_is_not_below_the_newest_row(client: hk.HistoryClient) -> None:
    newest = client.list(page_size=1).history
    if newest:
        assert client.subscription().character_count >= 0, newest[0].character_count_change_to
