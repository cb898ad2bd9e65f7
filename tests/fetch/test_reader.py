"""`read_history`: every row once, newest first, whatever is asked for and whatever goes wrong."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import msgspec
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.sandbox import Sandbox
from tests.conftest import client_of
from tests.effort import examples
from tests.raw_service import Service, row


def read(box: Sandbox, **arguments: Any) -> pd.DataFrame:
    workers = arguments.get("workers") or 4
    with client_of(box, max_concurrency=workers, max_retries=arguments.pop("max_retries", 8)) as client:
        return hk.read_history(client=client, progress=False, **arguments)


@pytest.fixture(scope="module")
def whole(shared_box: Sandbox) -> pd.DataFrame:
    return read(shared_box)


def ids_of(box: Sandbox) -> list[str]:
    return [row["history_item_id"] for row in box.history()]


@pytest.mark.parametrize("workers", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("items", [1, 999, 1000, 1001, 2000, 7300])
def test_every_row_comes_once_in_the_services_order_within_the_requests_allowed(
    box_of: Callable[..., Sandbox], items: int, workers: int
) -> None:
    box = box_of(items=items, seed=items)
    df = read(box, workers=workers)
    assert df["history_item_id"].tolist() == ids_of(box)
    pages = -(-items // 1000)
    # The oldest page is asked for along with the newest; where that is all, nobody waits for the request to be sent.
    assert df.attrs["histkit"]["requests"] - (pages == 1) <= len(box.requests()) <= df.attrs["histkit"]["requests"]
    assert df.attrs["histkit"]["requests"] <= pages + 2 * workers + 2
    if workers == 1:
        assert df.attrs["histkit"]["requests"] == pages
        assert not any("date_before_unix" in each["query"] for each in box.requests())


@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_no_request_is_in_flight_once_it_has_returned(sort: str) -> None:
    with Service([row(1, 1_790_000_000)]) as of:
        answer = of.answer
        ended = []

        def slow(path: str, query: dict[str, str]) -> dict[str, Any] | None:
            page = answer(path, query)
            time.sleep(0.3 if query["sort_direction"] == sort else 0)
            ended.append(query["sort_direction"])
            return page

        of.answer = slow  # type: ignore[method-assign]
        assert len(hk.read_history(client=of.client, workers=4, progress=False)) == 1
        asked = [query["sort_direction"] for _, query in of.asked]
        assert sorted(ended) == sorted(asked)
        time.sleep(0.1)
        assert len(of.asked) == len(asked)


def test_windows_are_half_open_and_chain(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=30_000, latency=0.01)
    assert read(box, workers=8)["history_item_id"].tolist() == ids_of(box)
    windows = {
        (each["query"].get("date_after_unix"), each["query"].get("date_before_unix"))
        for each in box.requests()
        if "date_after_unix" in each["query"]
    }
    assert len(windows) >= 8


def test_a_service_that_does_not_sort_oldest_first_is_read_side_by_side_and_it_says_so(
    box_of: Callable[..., Sandbox],
) -> None:
    box = box_of(items=30_000, latency=0.01)
    assert "sorting" not in read(box, workers=8).attrs["histkit"]
    box.set(ignore_sort=True)
    before = len(box.requests())
    df = read(box, workers=8)
    assert df["history_item_id"].tolist() == ids_of(box)
    assert "split by date" in df.attrs["histkit"]["sorting"]
    assert df.attrs["histkit"]["requests"] <= 30 + 2 * 8 + 2
    tops = {each["query"].get("date_before_unix") for each in box.requests()[before:]}
    assert len(tops) >= 8


FILTERS: list[tuple[dict[str, Any], Callable[[pd.DataFrame], pd.Series]]] = [
    ({"voice": "Rachel"}, lambda df: df.voice_name == "Rachel"),
    ({"voice": "rachel"}, lambda df: df.voice_name == "Rachel"),
    ({"voice": "21m00Tcm4TlvDq8ikWAM"}, lambda df: df.voice_id == "21m00Tcm4TlvDq8ikWAM"),
    ({"voice": "Roger"}, lambda df: df.voice_name.astype("string").str.startswith("Roger -")),
    (
        {"voice": ["Rachel", "21m00Tcm4TlvDq8ikWAM", "nobody"]},
        lambda df: (df.voice_name == "Rachel") | (df.voice_id == "21m00Tcm4TlvDq8ikWAM"),
    ),
    ({"model": "eleven_v3"}, lambda df: df.model_id == "eleven_v3"),
    ({"model": ["eleven_v3", "eleven_flash_v2_5"]}, lambda df: df.model_id.isin(["eleven_v3", "eleven_flash_v2_5"])),
    ({"source": "TTS"}, lambda df: df.source == "TTS"),
    ({"source": "Projects"}, lambda df: df.source == "Projects"),
    ({"source": ["STS", "Dubbing"]}, lambda df: df.source.isin(["STS", "Dubbing"])),
    ({"after": "2026-06-01"}, lambda df: df.date >= "2026-06-01"),
    ({"before": "2026-06-01T12:00+02:00"}, lambda df: df.date < "2026-06-01T10:00Z"),
    (
        {"after": "2026-03-01", "before": pd.Timestamp("2026-05-01"), "voice": "Rachel", "source": "TTS"},
        lambda df: (
            (df.date >= "2026-03-01") & (df.date < "2026-05-01") & (df.voice_name == "Rachel") & (df.source == "TTS")
        ),
    ),
    ({"model": "eleven_v3", "source": "TTS"}, lambda df: (df.model_id == "eleven_v3") & (df.source == "TTS")),
    ({"voice": "nobody at all"}, lambda df: df.voice_name == "nobody at all"),
    ({"after": 4_000_000_000}, lambda df: df.date_unix >= 4_000_000_000),
]


@pytest.mark.filterwarnings("ignore:.* matches no ")
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize(("asked", "meant"), FILTERS, ids=lambda each: str(each) if isinstance(each, dict) else "")
def test_filters_equal_filtering_the_whole_history(
    shared_box: Sandbox, whole: pd.DataFrame, asked: dict[str, Any], meant: Any, workers: int
) -> None:
    got = read(shared_box, workers=workers, **asked)
    expected = whole[meant(whole).fillna(False).astype(bool)]
    assert got["history_item_id"].tolist() == expected["history_item_id"].tolist()
    assert got.dtypes.astype(str).equals(whole.dtypes.astype(str))


@pytest.mark.filterwarnings("ignore:.* matches no ")
@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_mix_of_filters_equals_filtering_the_whole_history(
    shared_box: Sandbox, whole: pd.DataFrame, data: st.DataObject
) -> None:
    def some(column: str) -> Any:
        return st.none() | st.lists(st.sampled_from(sorted(whole[column].dropna().unique())), min_size=1, max_size=3)

    voice = data.draw(some("voice_id") | some("voice_name"))
    model, source = data.draw(some("model_id")), data.draw(some("source"))
    dates = sorted(data.draw(st.lists(st.sampled_from(whole["date"].tolist()), min_size=2, max_size=2)))
    got = read(shared_box, voice=voice, model=model, source=source, after=dates[0], before=dates[1])
    mask = (whole.date >= dates[0]) & (whole.date < dates[1])
    if voice is not None:
        short = whole.voice_name.astype("string").str.split(" - ").str[0]
        mask &= whole.voice_id.isin(voice) | whole.voice_name.isin(voice) | short.isin(voice).fillna(False)
    mask &= whole.model_id.isin(model) if model is not None else True
    mask &= whole.source.isin(source) if source is not None else True
    assert got["history_item_id"].tolist() == whole[mask]["history_item_id"].tolist()


def test_what_the_service_can_filter_is_sent_to_it(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=300)
    read(box, voice="21m00Tcm4TlvDq8ikWAM", model="eleven_v3", source="TTS", search="the", after=1_700_000_000)
    query = box.requests()[0]["query"]
    assert query["voice_id"] == "21m00Tcm4TlvDq8ikWAM"
    assert query["model_id"] == "eleven_v3"
    assert query["source"] == "TTS"
    assert query["search"] == "the"
    assert query["date_after_unix"] == "1700000000"


@pytest.mark.parametrize("fault", ["search_needs_source", "model_needs_source"])
def test_a_filter_that_the_service_refuses_alone_is_done_here(box_of: Callable[..., Sandbox], fault: str) -> None:
    box = box_of(items=2500)
    asked = {"search": "chapter"} if fault.startswith("search") else {"model": "eleven_v3"}
    expected = read(box, **asked)["history_item_id"].tolist()
    box.set(**{fault: True})
    assert expected
    assert read(box, **asked)["history_item_id"].tolist() == expected


@pytest.mark.parametrize("limit", [0, 1, 10, 999, 1000, 2500, 99_999])
def test_limit_gives_the_newest_rows(shared_box: Sandbox, whole: pd.DataFrame, limit: int) -> None:
    assert read(shared_box, limit=limit)["history_item_id"].tolist() == whole["history_item_id"].tolist()[:limit]


def test_limit_counts_the_rows_that_are_kept(shared_box: Sandbox, whole: pd.DataFrame) -> None:
    got = read(shared_box, limit=20, source="Projects")
    assert got["history_item_id"].tolist() == whole[whole.source == "Projects"]["history_item_id"].tolist()[:20]


def test_an_empty_history_is_a_typed_empty_frame(box_of: Callable[..., Sandbox], whole: pd.DataFrame) -> None:
    box = box_of(items=1)
    box.remove(ids_of(box))
    df = read(box)
    assert len(df) == 0
    assert df.attrs["histkit"]["complete"]
    assert df.dtypes.astype(str).equals(whole.dtypes.astype(str))


def test_attrs_hold_plain_facts(whole: pd.DataFrame) -> None:
    facts = whole.attrs["histkit"]
    assert set(facts) == {"complete", "fetched_at", "requests", "problems", "rows"}
    assert all(isinstance(value, (bool, int, str, list)) for value in facts.values())
    assert pd.concat([whole, whole]).attrs == whole.attrs


FAULTS: list[dict[str, Any]] = [
    {"repeat_cursor": True},
    {"repeat_cursor": 0.3},
    {"missing_cursor": True},
    {"shuffle": True},
    {"short_pages": 0.4},
    {"empty_pages": 0.4},
    {"ignore_sort": True},
    {"ignore_sort": True, "ignore_dates": True},
    {"ignore_sort": True, "short_pages": 0.4, "repeat_cursor": 0.3, "rate_limit": 0.1},
    {"reset": 0.1, "cut_off": 0.1, "html": 0.1, "error_500": 0.1},
    {"rate_limit": 0.1, "too_many": 0.1, "error_503": 0.05, "truncated_json": 0.1},
    {"concurrency": 2, "latency": 0.02},
    {"shuffle": True, "repeat_cursor": 0.3, "short_pages": 0.3},
]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("faults", FAULTS, ids=str)
def test_a_misbehaving_service_is_still_read_whole(
    box_of: Callable[..., Sandbox], faults: dict[str, Any], workers: int
) -> None:
    box = box_of(items=6200, **faults)
    df = read(box, workers=workers)
    truth = {row["history_item_id"]: row["date_unix"] for row in box.history()}
    assert df["history_item_id"].is_unique
    assert set(df["history_item_id"]) == set(truth)
    assert df["date"].is_monotonic_decreasing
    assert len(box.requests()) < 150


@pytest.mark.parametrize("answer", ["error", "empty", "restart", "continue"])
@pytest.mark.parametrize("workers", [1, 4])
def test_a_deleted_cursor_row_loses_nothing(box_of: Callable[..., Sandbox], answer: str, workers: int) -> None:
    box = box_of(items=6200, vanish_cursor=0.5, deleted_cursor=answer)
    df = read(box, workers=workers)
    assert df["history_item_id"].is_unique
    assert set(ids_of(box)) <= set(df["history_item_id"])


@pytest.mark.parametrize("workers", [1, 4])
def test_rows_that_arrive_meanwhile_shift_nothing(box_of: Callable[..., Sandbox], workers: int) -> None:
    box = box_of(items=5200)
    before = ids_of(box)
    box.set(arriving=True)
    df = read(box, workers=workers)
    got = df["history_item_id"].tolist()
    assert len(ids_of(box)) > len(before)
    assert got[-len(before) :] == before
    assert len(got) - len(before) <= 2  # what arrived before the first answer


@pytest.mark.parametrize("workers", [1, 4])
def test_rows_that_vanish_meanwhile_do_no_harm(box_of: Callable[..., Sandbox], workers: int) -> None:
    box = box_of(items=5200, vanishing=True)
    df = read(box, workers=workers)
    assert df["history_item_id"].is_unique
    assert set(ids_of(box)) <= set(df["history_item_id"])


def test_a_stop_in_the_middle_raises_with_the_rows_so_far(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=4500)
    with client_of(box, max_retries=1) as client:
        pages = iter(range(100))
        request = client.transport.request

        def fail_later(*args: Any, **kwargs: Any) -> Any:
            if next(pages) == 2:
                box.set(error_500=True)
            return request(*args, **kwargs)

        client.transport.request = fail_later  # type: ignore[method-assign]
        with pytest.raises(hk.PaginationError, match="could not be read to its end") as caught:
            hk.read_history(client=client, workers=1, progress=False)
    partial = caught.value.partial
    assert partial["history_item_id"].tolist() == ids_of(box)[:2000]
    assert partial.attrs["histkit"]["complete"] is False
    assert isinstance(caught.value.__cause__, hk.ServerError)


def test_one_second_with_more_rows_than_a_page_and_no_cursor_is_an_error_with_the_rows_so_far(
    box_of: Callable[..., Sandbox],
) -> None:
    box = box_of(items=50)
    box.add(2500, date_unix=1_900_000_000)
    assert len(read(box, workers=4)) == 2550
    box.set(repeat_cursor=True)
    with pytest.raises(hk.PaginationError, match="second") as caught:
        read(box, workers=1)
    assert len(caught.value.partial) >= 1000


def test_alignments_come_only_when_asked_for(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=60, alignments=True)
    plain, full = read(box), read(box, alignments=True)
    assert "alignments" not in plain
    pd.testing.assert_frame_equal(plain, full.drop(columns="alignments"))
    for times, item in zip(full["alignments"], box.history(), strict=True):
        if item.get("alignments"):
            assert msgspec.json.decode(times) == item["alignments"]
        else:
            assert pd.isna(times)


def test_a_row_that_breaks_the_form_is_kept_and_named(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(items=30)
    item = ids_of(box)[4]
    box.update(item, character_count_change_to=None)
    with pytest.warns(UserWarning, match=item):
        df = read(box)
    assert len(df) == 30
    assert df["history_item_id"][4] == item
    assert pd.isna(df["credits"][4])
    assert item in df.attrs["histkit"]["problems"][0]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"after": "yesterday-ish"}, "after="),
        ({"before": object()}, "before="),
        ({"after": "2026-05-01", "before": "2026-04-01"}, "later than"),
        ({"workers": 0}, "workers"),
        ({"limit": -1}, "limit"),
        ({"voice": 7}, "voice"),
    ],
)
def test_a_wrong_argument_is_one_clear_line_before_any_request(
    box_of: Callable[..., Sandbox], wrong: dict[str, Any], words: str
) -> None:
    box = box_of(items=3)
    with pytest.raises(hk.InputError, match=words) as caught:
        read(box, **wrong)
    assert "\n" not in str(caught.value)
    assert box.requests() == []


def test_the_first_error_is_the_services_own(shared_box: Sandbox) -> None:
    with pytest.raises(hk.AuthenticationError):
        hk.read_history(client=client_of(shared_box, api_key="sk_wrong"), progress=False)


def test_progress_goes_to_stderr_only_when_wanted(shared_box: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        hk.read_history(client=client_of(shared_box), progress=True, limit=2000)
    shown = capfd.readouterr()
    assert "2.00k rows" in shown.err
    assert shown.out == ""
    hk.read_history(client=client_of(shared_box), limit=10)
    assert capfd.readouterr().err == ""
