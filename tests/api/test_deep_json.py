"""JSON that is nested too deep for a decoder, in answers to single calls."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import histkit as hk
from tests.raw_service import raw_answers

DEEP = b"[" * 100_000 + b"]" * 100_000
ROW = (
    b'{"history_item_id": "a", "date_unix": 1790000000, "character_count_change_from": 0,'
    b' "character_count_change_to": 7, "content_type": "audio/mpeg", "state": "created", "settings": %s, "new": %s}'
)


@contextmanager
def answering(status: int, body: bytes) -> Iterator[hk.HistoryClient]:
    head = b"HTTP/1.1 %d Answer\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
    with raw_answers(lambda: [head, body]) as url, hk.HistoryClient("sk_x", base_url=url, max_retries=0) as client:
        yield client


def test_a_deep_value_takes_no_other_with_it() -> None:
    with answering(200, ROW % (DEEP, b'{"x": ' + DEEP + b"}")) as client:
        item = client.get("a")
    assert (item.history_item_id, item.character_count_change_to) == ("a", 7)
    assert item.settings == DEEP.decode()
    assert item.model_extra["new"] == {"x": DEEP.decode()}


def test_a_page_with_a_deep_row_is_read() -> None:
    page = b'{"history": [%s, %s], "has_more": false, "last_history_item_id": "a"}'
    with answering(200, page % (ROW % (b"null", DEEP), ROW % (b'{"style": 0.5}', b"1"))) as client:
        rows = client.list().history
    assert [row.settings for row in rows] == [None, {"style": 0.5}]
    assert rows[0].model_extra["new"] == DEEP.decode()


@pytest.mark.parametrize("body", [DEEP, b'{"detail": %s}' % DEEP, b'{"detail": {"message": %s}}' % DEEP])
def test_a_deep_error_is_one_line(body: bytes) -> None:
    with answering(400, body) as client, pytest.raises(hk.BadRequestError) as caught:
        client.get("a")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
