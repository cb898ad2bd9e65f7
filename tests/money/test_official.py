"""The workspace's own figures: which route answers, what its columns mean, and what is missing, 0, money or a total."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.money.usage_routes import COST, STATS, USAGE
from histkit.sandbox import Sandbox
from histkit.sandbox.analytics import COST_GROUPS_FREE, GROUPS, USD_A_CREDIT
from histkit.sandbox.workspace import KEYS, MEMBERS
from tests.conftest import client_of
from tests.effort import examples

if TYPE_CHECKING:
    from elevenlabs import ElevenLabs

SCOPE = "workspace_analytics_full_read"
DAY_MS = 86_400_000
OCTOBER = 1_790_812_800  # 2026-10-01


def spent_by_hand(history: list[dict[str, Any]]) -> list[tuple[datetime, dict[str, Any], int]]:
    """Return time, attributes and credits of all that the counters of a history show, in plain Python."""
    events = []
    before = None
    for row in sorted(reversed(history), key=lambda row: row["date_unix"]):
        start, stop = row["character_count_change_from"], row["character_count_change_to"]
        moment = datetime.fromtimestamp(row["date_unix"], UTC)
        voice = None if row.get("dialogue") else row.get("voice_id")
        events.append((moment, {"product": "TTS", "voice": voice, "model": row.get("model_id")}, stop - start))
        if before is not None:
            unseen = start - before if start >= before else max(start, 0)
            events.append((moment, {"product": "Music", "voice": None, "model": "music_v1"}, unseen))
        before = stop
    return events


def local_start(moment: datetime, freq: str, zone: str) -> datetime:
    """Return the start of the period of an instant, in plain Python."""
    local = moment.astimezone(ZoneInfo(zone))
    if freq == "h":
        return moment - timedelta(minutes=local.minute, seconds=local.second)
    day = local.date()
    if freq == "W":
        day -= timedelta(days=day.weekday())
    elif freq == "MS":
        day = day.replace(day=1)
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


@contextmanager
def answering(routes: dict[str, Any]) -> Iterator[hk.HistoryClient]:
    """Serve fixed answers by path: a JSON value, a status and a value, or a function of the request's body."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length") or 0))
            found = routes.get(self.path.partition("?")[0], (404, {"detail": "Not Found"}))
            found = found(msgspec.json.decode(sent or b"{}")) if callable(found) else found
            status, value = found if isinstance(found, tuple) else (200, found)
            body = msgspec.json.encode(value)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        with hk.HistoryClient("sk_test", base_url=f"http://127.0.0.1:{server.server_port}", max_retries=0) as client:
            yield client
    finally:
        server.shutdown()
        server.server_close()


def stats_of(usage: dict[str, list[float | None]], days: int = 3, unit: int = 1000) -> dict[str, Any]:
    """Return an answer of the deprecated route, from 1 October on."""
    return {"time": [(OCTOBER + 86_400 * day) * unit for day in range(days)], "usage": usage}


def values_of(column: pd.Series) -> list[Any]:
    """Return a column as Python values, None where one is missing."""
    return [None if pd.isna(value) else value for value in column.tolist()]


# The official SDK and plain Python -----------------------------------------------------------------------------------


def test_the_official_sdk_reads_the_same_figures(
    shared_box: Sandbox, sdk_of: Callable[[Sandbox], ElevenLabs], client: hk.HistoryClient
) -> None:
    days = hk.official_usage("2026-09-01", "2026-10-01", client=client)
    assert days.columns.tolist() == ["period", "credits"]
    assert days["period"].tolist() == pd.date_range("2026-09-01", "2026-09-30", tz="UTC").tolist()
    assert days.attrs["histkit"]["route"] == USAGE
    first, end = (int(pd.Timestamp(day, tz="UTC").timestamp() * 1000) for day in ("2026-09-01", "2026-10-01"))
    old = sdk_of(shared_box).usage.get(start_unix=first, end_unix=end, aggregation_interval="day")
    assert old.time == [int(each.timestamp() * 1000) for each in days["period"]]
    assert old.usage == {"All": days["credits"].tolist()}
    new = sdk_of(shared_box).workspace.usage.get_usage_by_product_over_time(
        start_time=first, end_time=end, interval_seconds=86_400, group_by=[], time_zone="UTC"
    )
    figure = new.columns.index("usage")
    with_usage = days[days["credits"] > 0]
    assert [row[figure] for row in new.rows] == with_usage["credits"].tolist()
    assert new.column_units[figure] == "credits"
    assert len(new.rows) < len(days)


def test_the_sdk_may_group_and_filter_by_all_columns(
    shared_box: Sandbox, sdk_of: Callable[[Sandbox], ElevenLabs]
) -> None:
    from elevenlabs.types import ColumnFilter

    usage = sdk_of(shared_box).workspace.usage
    span = {"start_time": OCTOBER * 1000 - 30 * DAY_MS, "end_time": OCTOBER * 1000}
    whole = usage.get_usage_by_product_over_time(**span, interval_seconds=604_800, group_by=[])
    all_of_them = usage.get_usage_by_product_over_time(**span, interval_seconds=604_800, group_by=[*GROUPS])
    assert all_of_them.columns[1 : len(GROUPS) + 1] == [*GROUPS]
    assert {"user_label", "voice_name"} <= set(all_of_them.columns)
    totals = [sum(row[answer.columns.index("usage")] for row in answer.rows) for answer in (whole, all_of_them)]
    assert totals[0] == totals[1] > 0
    music = usage.get_usage_by_product_over_time(
        **span, filters=[ColumnFilter(column="product_type", operation="eq", values=["Music"])]
    )
    assert {row[1] for row in music.rows} == {"Music"}


def test_the_sdk_reads_the_costs_of_a_workspace_that_is_billed_in_money(
    box_of: Callable[..., Sandbox], sdk_of: Callable[[Sandbox], ElevenLabs]
) -> None:
    from elevenlabs.core.api_error import ApiError
    from elevenlabs.types import MetronomeUsageColumnFilter

    box = box_of(2000, money_since=OCTOBER)
    usage = sdk_of(box).workspace.usage
    span = {"start_time": OCTOBER * 1000, "end_time": OCTOBER * 1000 + 31 * DAY_MS}
    with pytest.raises(ApiError, match="billed by cost"):
        usage.get_usage_by_product_over_time(**span)
    free = usage.get_usage(**span, interval_seconds=86_400, group_by=["user_id", *COST_GROUPS_FREE])
    assert "usd" in free.column_units
    assert "user_label" in free.columns
    with pytest.raises(ApiError, match="at most two"):
        usage.get_usage(**span, interval_seconds=86_400, group_by=["user_id", "region"])
    with pytest.raises(ApiError, match="whole UTC days"):
        usage.get_usage(**span, interval_seconds=3600)
    narrowed = MetronomeUsageColumnFilter(column="region", operation="in", values=["us", "eu"])
    two = usage.get_usage(**span, interval_seconds=86_400, group_by=["user_id", "region"], filters=[narrowed])
    place = two.columns.index("total_cost")
    with client_of(box) as client:
        ours = hk.official_usage("2026-10-01", "2026-11-01", by=["user", "region"], client=client)
    assert ours["cost"].sum() == pytest.approx(sum(row[place] for row in two.rows))
    assert ours.attrs["histkit"]["unit"] == "USD"


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Cairo"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=examples(25))
@given(data=st.data())
def test_sums_are_those_of_plain_python_in_any_zone(
    data: st.DataObject, shared_box: Sandbox, client: hk.HistoryClient, events: list[Any]
) -> None:
    zone = data.draw(st.sampled_from(ZONES), "zone")
    freq = data.draw(st.sampled_from(["h", "D", "W", "MS"]), "freq")
    by = data.draw(st.sampled_from([None, "product", "voice", ["model", "product"]]), "by")
    first = datetime(2026, 10, 31, tzinfo=UTC) - timedelta(days=data.draw(st.integers(1, 400), "days ago"))
    length = data.draw(st.integers(1, 9 if freq == "h" else 100), "days")
    day = first.date()
    table = hk.official_usage(day, day + timedelta(days=length), by=by, freq=freq, tz=zone, client=client)
    limits = [datetime(at.year, at.month, at.day, tzinfo=ZoneInfo(zone)) for at in (day, day + timedelta(days=length))]
    words = [] if by is None else [by] if isinstance(by, str) else by
    expected: dict[Any, int] = defaultdict(int)
    for moment, labels, credits in events:
        if limits[0] <= moment < limits[1] and credits:
            expected[(local_start(moment, freq, zone), *(labels[word] for word in words))] += credits
    keys = [
        [time.to_pydatetime().astimezone(UTC) for time in table["period"]],
        *(values_of(table[word]) for word in words),
    ]
    got = dict(zip(zip(*keys, strict=True), table["credits"], strict=True))
    assert {key: credits for key, credits in got.items() if credits} == expected
    assert len(got) == len(table)
    periods = table["period"].drop_duplicates()
    assert periods.is_monotonic_increasing
    if by is None:
        starts = {local_start(limits[0] + timedelta(minutes=15 * k), freq, zone) for k in range(96 * length + 8)}
        inside = {start for start in starts if start < limits[1]}
        assert len(periods) == len(inside)


@pytest.fixture(scope="module")
def events(shared_box: Sandbox) -> list[Any]:
    """All that the counters of the shared sandbox show; the models of its oldest rows are known to the service only."""
    rows = shared_box.history()
    with client_of(shared_box) as client:
        known = hk.read_history(client=client)
    assert len(known) == len(rows)
    return spent_by_hand(rows)


# What the columns mean ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", ["usual", "renamed", "reordered", "new", "bare"])
@pytest.mark.parametrize("times", ["ms", "int_ms", "int_s", "s", "iso", "naive"])
def test_columns_are_found_by_unit_and_type_wherever_they_are(shuffled: Sandbox, columns: str, times: str) -> None:
    with client_of(shuffled) as client:
        shuffled.set(usage_columns=None, usage_times=None)
        span = ("2026-09-20", "2026-11-01")
        plain = hk.official_usage(*span, by="product", tz="Europe/Berlin", client=client)
        two = hk.official_usage(*span, by=["user", "api_key"], freq="MS", client=client)
        shuffled.set(usage_columns=columns, usage_times=times)
        again = hk.official_usage(*span, by="product", tz="Europe/Berlin", client=client)
        pd.testing.assert_frame_equal(again, plain)
        assert again["period"].min() == pd.Timestamp("2026-09-20", tz="Europe/Berlin")
        if columns != "renamed":
            more = hk.official_usage(*span, by=["user", "api_key"], freq="MS", client=client)
            pd.testing.assert_frame_equal(more[["user", "api_key", "credits"]], two[["user", "api_key", "credits"]])
            assert ("user_label" in more) == (columns != "bare")


@pytest.fixture(scope="module")
def shuffled(forks: Any) -> Iterator[Sandbox]:
    """A sandbox whose columns change."""
    with forks.serve(items=1500, seed=5) as box:
        yield box


def test_of_two_columns_of_credits_none_is_taken(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(800, usage_columns="two_credits")
    with client_of(box) as client:
        with pytest.raises(hk.SchemaError, match=r"2 columns in credits.*'discounted'.*column=") as caught:
            hk.official_usage("2026-10-01", "2026-11-01", client=client)
        assert USAGE in str(caught.value)
        chosen = hk.official_usage("2026-10-01", "2026-11-01", column="usage", client=client)
        box.set(usage_columns=None)
        pd.testing.assert_frame_equal(chosen, hk.official_usage("2026-10-01", "2026-11-01", client=client))


def test_a_zone_that_the_service_does_not_apply_is_said(box_of: Callable[..., Sandbox]) -> None:
    with client_of(box_of(800, usage_zone="ignored")) as client:
        with pytest.raises(hk.SchemaError, match="where no day starts in Europe/Berlin"):
            hk.official_usage("2026-10-01", "2026-11-01", tz="Europe/Berlin", client=client)
        with (
            pytest.raises(hk.SchemaError, match="hours are known in tz='UTC' only"),
            answering({USAGE: _one(["2026-10-01T00:00:00", 1.0])}) as other,
        ):
            hk.official_usage("2026-10-01", "2026-10-02", tz="Europe/Berlin", freq="h", client=other)


def _one(*rows: Sequence[Any], unit: str = "credits", kind: str = "DateTime", time_unit: str | None = "ms") -> Any:
    return {
        "columns": ["t", "x"],
        "column_types": [kind, "Float"],
        "column_units": [time_unit, unit],
        "rows": [list(row) for row in rows],
    }


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (_one([OCTOBER * 1000, 1.0], unit="usd"), "no column in credits.*'x' \\(Float, usd\\)"),
        (_one([OCTOBER * 1000, 1.0], kind="Map"), "no column of times"),
        (_one([OCTOBER * 1000, "much"]), "does not hold numbers"),
        (_one([OCTOBER * 1000, True]), "does not hold numbers"),
        (_one([OCTOBER * 1000]), "row 0 has 1 values for 2 columns"),
        (_one([OCTOBER * 1000 + 1, 1.0]), "a bucket starts at 2026-10-01T00:00:00"),
        (_one([None, 1.0], [OCTOBER * 1000, 1.0]), "1 rows have no time"),
        ({"rows": []}, "columns is None"),
    ],
)
def test_an_answer_that_is_not_understood_is_named_by_route(answer: Any, message: str) -> None:
    with answering({USAGE: answer}) as client, pytest.raises(hk.SchemaError, match=message) as caught:
        hk.official_usage("2026-10-01", "2026-10-04", client=client)
    assert USAGE in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_group_that_can_not_be_told_from_another_is_said() -> None:
    names = ["start", "who", "what", "credits"]
    answer = {
        "columns": names,
        "column_types": ["Int", "String", "String", "Int"],
        "column_units": ["ms", None, None, "credits"],
        "rows": [[OCTOBER * 1000, "a", "b", 3]],
    }
    with answering({USAGE: answer}) as client:
        with pytest.raises(hk.SchemaError, match="without a column that is known to be user_id"):
            hk.official_usage("2026-10-01", "2026-10-02", by=["user", "model"], client=client)
        answer["columns"] = ["start", "User_ID", "what", "credits"]
        table = hk.official_usage("2026-10-01", "2026-10-02", by=["user", "model"], client=client)
    assert table[["user", "model", "credits"]].values.tolist() == [["a", "b", 3.0]]


# Missing, absent, total -----------------------------------------------------------------------------------------------


def test_null_days_are_missing_and_absent_ones_are_zero_where_only_buckets_with_usage_are_sent() -> None:
    rows: list[list[Any]] = [[OCTOBER * 1000, None], [OCTOBER * 1000 + 2 * DAY_MS, 4.5]]
    with answering({USAGE: _one(*rows)}) as client:
        days = hk.official_usage("2026-10-01", "2026-10-05", client=client)
        months = hk.official_usage("2026-10-01", "2026-10-05", freq="MS", client=client)
        whole = hk.official_usage("2026-10-01", "2026-10-05", freq=None, client=client)
        older = hk.official_usage("2019-12-30", "2020-01-03", client=client)
    assert values_of(days["credits"]) == [None, 0.0, 4.5, 0.0]
    assert days.attrs["histkit"]["missing"] == 1
    assert values_of(months["credits"]) == [None]
    assert whole.columns.tolist() == ["credits"]
    assert values_of(whole["credits"]) == [None]
    assert values_of(older["credits"]) == [None, None, 0.0, 0.0]  # no route knows of a time before 2020


def test_null_and_absent_days_are_missing_where_every_bucket_is_sent() -> None:
    with answering({STATS: stats_of({"All": [None, 2.5]}, 2)}) as client:
        days = hk.official_usage("2026-10-01", "2026-10-05", client=client)
    assert values_of(days["credits"]) == [None, 2.5, None, None]
    assert days.attrs["histkit"]["route"] == STATS


@pytest.mark.parametrize("unit", [1, 1000, 1_000_000])
def test_seconds_are_not_taken_for_milliseconds_of_1970(unit: int) -> None:
    with answering({STATS: stats_of({"All": [1.0, 2.0, 3.0]}, unit=unit)}) as client:
        days = hk.official_usage("2026-10-01", "2026-10-04", client=client)
    assert days["period"].tolist() == pd.date_range("2026-10-01", periods=3, tz="UTC").tolist()
    assert days["credits"].tolist() == [1.0, 2.0, 3.0]


def test_a_bucket_that_starts_at_the_end_is_not_counted(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(3000, usage_end=True)
    with client_of(box) as client:
        span = ("2026-10-01", "2026-10-08")
        for gone in (False, True):
            box.set(no_usage=gone, usage_end=False)
            plain = hk.official_usage(*span, by="product", client=client)
            box.set(usage_end=True)
            assert hk.official_usage(*span, by="product", client=client).equals(plain)
        day = hk.official_usage("2026-10-08", "2026-10-09", client=client)
    assert day["credits"].sum() > 0


def test_a_total_is_never_added_to_its_parts() -> None:
    usage: dict[str, list[float | None]] = {"All": [24.5, 0, 3], "TTS": [20.5, 0, 3], "Music": [4, 0, 0]}

    def of(breakdown: bool) -> Any:
        return stats_of(usage if breakdown else {"All": usage["All"]})

    with answering({STATS: of(True)}) as client:
        assert hk.official_usage("2026-10-01", "2026-10-04", client=client)["credits"].tolist() == [24.5, 0, 3]
        parts = hk.official_usage("2026-10-01", "2026-10-04", by="product", freq=None, client=client)
    assert dict(zip(parts["product"], parts["credits"], strict=True)) == {"TTS": 23.5, "Music": 4.0}


def test_what_the_parts_lack_of_a_total_is_nobodys_and_a_label_called_all_is_a_label(
    box_of: Callable[..., Sandbox],
) -> None:
    answers: dict[str, Any] = {}

    def usage(body: dict[str, Any]) -> Any:
        return answers["parts" if body["group_by"] else "whole"]

    def rows(*labelled: tuple[str, float]) -> Any:
        return {
            "columns": ["t", "voice_id", "credits"],
            "column_types": ["Int", "String", "Float"],
            "column_units": ["ms", None, "credits"],
            "rows": [[OCTOBER * 1000, label, amount] for label, amount in labelled],
        }

    with answering({USAGE: usage}) as client:
        answers |= {"parts": rows(("All", 10.0), ("a", 6.0), ("b", 1.0)), "whole": _one([OCTOBER * 1000, 10.0])}
        table = hk.official_usage("2026-10-01", "2026-10-02", by="voice", client=client)
        assert dict(zip(values_of(table["voice"]), table["credits"], strict=True)) == {"a": 6, None: 3, "b": 1}
        answers["whole"] = _one([OCTOBER * 1000, 17.0])
        table = hk.official_usage("2026-10-01", "2026-10-02", by="voice", client=client)
        assert dict(zip(table["voice"], table["credits"], strict=True)) == {"All": 10, "a": 6, "b": 1}
    box = box_of(2000, usage_all=True)
    with client_of(box) as client:
        for gone in (False, True):
            box.set(no_usage=gone, usage_all=False)
            plain = hk.official_usage("2026-08-01", "2026-11-01", by="model", client=client)
            box.set(usage_all=True)
            same = hk.official_usage("2026-08-01", "2026-11-01", by="model", client=client)
            assert same.equals(plain)
            whole = hk.official_usage("2026-08-01", "2026-11-01", client=client)
            assert whole["credits"].sum() == plain["credits"].sum()


def test_what_parts_lack_of_totals_in_two_currencies_keeps_its_currency() -> None:
    def costs(body: dict[str, Any]) -> Any:
        by_product = "product_type" in body["group_by"]
        totals = [("All", "usd", 2.25), ("All", "eur", 2.5)]
        rows = [("TTS", "usd", 1.25), ("TTS", "eur", 2.0), *totals] if by_product else totals
        return {
            "columns": ["t", *(["product_type"] if by_product else []), "fiat_currency", "total_cost"],
            "column_types": ["Int", *(["String"] if by_product else []), "String", "Float"],
            "column_units": ["ms", *([None] if by_product else []), None, None],
            "rows": [[OCTOBER * 1000, *row[not by_product :]] for row in rows],
        }

    refused = 400, {"detail": {"status": "cost", "message": f"Billed by cost: use {COST}."}}
    with answering({USAGE: refused, COST: costs}) as client:
        table = hk.official_usage("2026-10-01", "2026-10-02", by="product", client=client)
    lines = set(zip(values_of(table["product"]), table["currency"], table["cost"], strict=True))
    assert lines == {("TTS", "USD", 1.25), ("TTS", "EUR", 2.0), (None, "USD", 1.0), (None, "EUR", 0.5)}


def test_usage_with_an_empty_label_is_nobodys() -> None:
    answer = {
        "columns": ["t", "voice_id", "credits"],
        "column_types": ["Int", "String", "Float"],
        "column_units": ["ms", None, "credits"],
        "rows": [[OCTOBER * 1000, "", 5], [OCTOBER * 1000, None, 6], [OCTOBER * 1000, "v", 1]],
    }
    with answering({USAGE: answer}) as client:
        table = hk.official_usage("2026-10-01", "2026-10-02", by="voice", client=client)
    assert dict(zip(values_of(table["voice"]), table["credits"], strict=True)) == {None: 11, "v": 1}


def test_a_column_that_is_named_is_taken_or_refused() -> None:
    answer = {
        "columns": ["t", "spent", "saved", "price", "count"],
        "column_types": ["Int", "Float", "Float", "Float", "Float"],
        "column_units": ["ms", "credits", "credits", "usd", None],
        "rows": [[OCTOBER * 1000, 5, 6, 7, 8]],
    }
    with answering({USAGE: answer}) as client:

        def of(column: str | None) -> Any:
            frame = hk.official_usage("2026-10-01", "2026-10-02", column=column, client=client)
            return frame["credits"].tolist()

        assert (of("spent"), of("saved"), of("count")) == ([5], [6], [8])
        for column, message in {
            "charged": "without the column 'charged'",
            "price": "'price' is in usd, not in credits",
            None: "2 columns in credits.*Name the right one: column=",
        }.items():
            with pytest.raises(hk.SchemaError, match=message):
                of(column)


def test_totals_and_parts_of_different_days_are_all_counted() -> None:
    days = [(OCTOBER + 86_400 * day) * 1000 for day in range(3)]
    answer = {
        "columns": ["credits", "kind", "t"],
        "column_types": ["Float", "String", "Int"],
        "column_units": ["credits", None, "ms"],
        "rows": [[5, "All", days[0]], [2, "a", days[1]], [2, "All", days[1]], [1, "a", days[2]], [3, "b", days[2]]],
    }
    whole = _one([days[0], 5.0], [days[1], 2.0], [days[2], 4.0])
    with answering({USAGE: lambda body: answer if body["group_by"] == ["model"] else whole}) as client:
        table = hk.official_usage("2026-10-01", "2026-10-04", by="model", freq=None, client=client)
        assert dict(zip(values_of(table["model"]), table["credits"], strict=True)) == {"a": 3, "b": 3, None: 5}
    with answering({USAGE: answer}) as client:
        table = hk.official_usage("2026-10-01", "2026-10-04", client=client)
        assert table["credits"].tolist() == [5, 2, 4]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_any_order_names_and_nulls_have_the_sums_of_plain_python(
    data: st.DataObject, canned: tuple[dict[str, Any], hk.HistoryClient]
) -> None:
    answer, client = canned
    zone = data.draw(st.sampled_from(ZONES), "zone")
    noon = datetime(2026, 10, 1, 12, tzinfo=ZoneInfo(zone))
    midnights = [int(local_start(noon + timedelta(days=day), "D", zone).timestamp()) for day in range(40)]
    rows = data.draw(
        st.lists(
            st.tuples(
                st.integers(0, 39),
                st.none() | st.sampled_from(["a", "b", "all of it"]),
                st.none() | st.integers(0, 10**6).map(lambda number: number / 8),
            ),
            max_size=30,
        )
    )
    time_unit, scale = data.draw(st.sampled_from([("ms", 1000), ("s", 1), (None, 1000), ("us", 1_000_000)]))
    columns = [
        (data.draw(st.sampled_from(["timestamp", "t", "Bucket"])), "DateTime", time_unit),
        (data.draw(st.sampled_from(["user_id", "user", "spender"])), "String", None),
        (data.draw(st.sampled_from(["usage", "x"])), data.draw(st.sampled_from(["Float", "Int"])), "credits"),
        ("user_label", "String", None),
        ("charged", "Float", "usd"),
        ("new", data.draw(st.sampled_from(["Int", "Tensor", "JSON"])), None),
    ]
    table = [[midnights[day] * scale, user, credits, "N", 0.5, day] for day, user, credits in rows]
    order = data.draw(st.permutations(range(len(columns))))
    names, types, units = ([columns[place][field] for place in order] for field in range(3))
    answer.clear()
    answer.update(
        columns=names, column_types=types, column_units=units, rows=[[row[place] for place in order] for row in table]
    )
    expected: dict[tuple[Any, Any], float | None] = {}
    for day, user, credits in rows:
        key = (midnights[day], user)
        before = expected.get(key, 0.0)
        expected[key] = None if credits is None or before is None else before + credits
    got = hk.official_usage("2026-10-01", "2026-11-10", by="user", tz=zone, client=client)
    found = {
        (int(period.timestamp()), None if pd.isna(user) else user): None if pd.isna(credits) else credits
        for period, user, credits in zip(got["period"], got["user"], got["credits"], strict=True)
        if pd.isna(credits) or credits
    }
    assert found == {key: credits for key, credits in expected.items() if credits is None or credits}


@pytest.fixture(scope="module")
def canned() -> Iterator[tuple[dict[str, Any], hk.HistoryClient]]:
    """An answer that a test fills, and a client of it."""
    answer: dict[str, Any] = {}
    with answering({USAGE: answer}) as client:
        yield answer, client


# Which route answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["voice", "model", "product", "user", "api_key", "source", "region", "resource"])
def test_a_breakdown_adds_up_to_the_whole_on_both_routes(box_of: Callable[..., Sandbox], by: str) -> None:
    box = box_of(1500)
    with client_of(box) as client:
        whole = hk.official_usage("2026-01-01", "2026-11-01", client=client)
        for gone in (False, True):
            box.set(no_usage=gone)
            parts = hk.official_usage("2026-01-01", "2026-11-01", by=by, client=client)
            assert parts.attrs["histkit"]["route"] == (STATS if gone else USAGE)
            assert parts[by].nunique() > 1
            assert parts["credits"].sum() == whole["credits"].sum()


@pytest.mark.parametrize("tz", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("freq", ["h", "6h", "D", "W-SAT", "MS", None])
def test_both_routes_give_the_same_frame(shuffled: Sandbox, tz: str, freq: str | None) -> None:
    shuffled.set(usage_columns=None, usage_times=None)
    with client_of(shuffled) as client, client_of(shuffled, api_key=shuffled.key("speech_history_read")) as limited:
        new, old = (
            hk.official_usage("2026-10-20", "2026-11-01", freq=freq, tz=tz, client=one) for one in (client, limited)
        )
    pd.testing.assert_frame_equal(new, old)
    assert SCOPE in old.attrs["histkit"]["refusals"][USAGE]
    assert old.attrs["histkit"]["route"] == STATS


def test_users_and_keys_have_the_names_that_the_service_appends(shared_box: Sandbox, client: hk.HistoryClient) -> None:
    table = hk.official_usage("2026-01-01", "2026-11-01", by=["user_id", "api_key"], freq=None, client=client)
    names = {member.user_id: member.name for member in MEMBERS}
    assert table["user_label"].tolist() == [names[user] for user in table["user_id"]]
    keys = {key.hashed: key.name for key in KEYS}
    assert values_of(table["api_key_label"]) == [keys.get(key) for key in values_of(table["api_key"])]
    assert table["credits"].is_monotonic_decreasing
    assert str(table["user_id"].dtype) == "string"


def test_a_missing_scope_is_one_line_that_names_it(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(50)
    with client_of(box, api_key=box.key("speech_history_read")) as client:
        for question in ({"by": ["user", "api_key"]}, {"by": "surface"}, {"tz": "Asia/Kolkata"}):
            with pytest.raises(hk.PermissionDeniedError, match=SCOPE) as caught:
                hk.official_usage("2026-10-01", client=client, **question)
            assert caught.value.scope == SCOPE
            assert "\n" not in str(caught.value)
        box.set(no_stats=True)
        with pytest.raises(hk.PermissionDeniedError, match=rf"{SCOPE}.*{STATS}: Not Found") as caught:
            hk.official_usage("2026-10-01", client=client)
        assert caught.value.scope == SCOPE


def test_where_every_route_refuses_all_reasons_are_said() -> None:
    sentence = "Ask again on a Tuesday."
    with answering({USAGE: (400, {"detail": {"code": "x", "message": sentence}})}) as client:
        with pytest.raises(hk.BadRequestError, match=f"{USAGE}: Ask again.*{COST}: Not Found; {STATS}: Not Found"):
            hk.official_usage("2026-10-01", "2026-10-02", client=client)
        with pytest.raises(hk.BadRequestError, match=f"{STATS} has one breakdown at a time"):
            hk.official_usage("2026-10-01", "2026-10-02", by=["user", "model"], client=client)
    with answering({}) as client, pytest.raises(hk.NotFoundError, match=f"{USAGE}: Not Found; {STATS}: Not Found"):
        hk.official_usage("2026-10-01", "2026-10-02", client=client)
    words = {"detail": {"message": f"This workspace is billed by cost. Use {COST} instead."}}
    for status in (402, 403, 409):
        with answering({USAGE: (status, words), COST: _one([OCTOBER * 1000, 1.5], unit="usd")}) as client:
            assert hk.official_usage("2026-10-01", "2026-10-02", client=client)["cost"].tolist() == [1.5]
    payment = {"detail": {"status": "payment_issue", "message": "Your last payment failed."}}
    with answering({USAGE: (401, payment), STATS: stats_of({"All": [1.0]}, 1)}) as client:
        with pytest.raises(hk.ApiError, match="Your last payment failed"):
            hk.official_usage("2026-10-01", "2026-10-02", client=client)


# Money ----------------------------------------------------------------------------------------------------------------


def test_a_workspace_that_is_billed_in_money_has_costs_and_no_credits(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(3000)
    span = ("2026-10-01", "2026-11-01")
    with client_of(box) as client:
        credits = hk.official_usage(*span, by=["api_key", "user"], freq="MS", client=client)
        box.set(money_since=OCTOBER - 86_400)
        costs = hk.official_usage(*span, by=["api_key", "user"], freq="MS", client=client)
        assert costs.columns.tolist() == [
            "period",
            "api_key",
            "user",
            "api_key_label",
            "user_label",
            "currency",
            "cost",
        ]
        assert costs["currency"].unique().tolist() == ["USD"]
        assert costs[["api_key", "user"]].equals(credits[["api_key", "user"]])
        assert np.allclose(costs["cost"], credits["credits"] * USD_A_CREDIT, atol=1e-6 * 31 * 20)
        assert costs.attrs["histkit"]["unit"] == "USD"
        assert costs.attrs["histkit"]["route"] == COST
        days = hk.official_usage(*span, client=client)
        assert days.columns.tolist() == ["period", "currency", "cost"]
        assert len(days) == 31
        early = hk.official_usage("2026-09-01", "2026-09-30", client=client)
        assert early.columns.tolist() == ["period", "credits"]  # before the move
        with pytest.raises(hk.InputError, match="billed in money"):
            hk.reconcile(hk.read_history(client=client), client=client)
        with pytest.raises(hk.InputError, match="billed in money"):
            hk.reconcile(hk.read_history(client=client), official=days)


@pytest.mark.parametrize("question", [{"by": "voice"}, {"tz": "Europe/Berlin"}, {"freq": "h"}, {}])
def test_what_money_can_not_be_asked_shows_the_services_sentence(
    box_of: Callable[..., Sandbox], question: dict[str, Any]
) -> None:
    box = box_of(100, money_since=OCTOBER, no_stats=True)
    with client_of(box) as client:
        if not question:
            assert "cost" in hk.official_usage("2026-10-01", "2026-10-02", client=client)
            return
        with pytest.raises(hk.BadRequestError, match=r"billed by cost.*figures in money") as caught:
            hk.official_usage("2026-10-01", "2026-10-02", client=client, **question)
    assert "Not Found" not in str(caught.value)


def test_the_currency_is_that_of_the_rows_or_else_the_unit() -> None:
    refusal = (400, {"detail": {"message": f"billed by cost, use {COST}"}})
    rows = [[OCTOBER * 1000, 1.5, "eur"], [OCTOBER * 1000, 2.0, "gbp"]]
    answer = {
        "columns": ["t", "total_cost", "fiat_currency"],
        "column_types": ["DateTime", "Float", "String"],
        "column_units": ["ms", None, None],
        "rows": rows,
    }
    with answering({USAGE: refusal, COST: answer}) as client:
        table = hk.official_usage("2026-10-01", "2026-10-02", client=client)
        assert dict(zip(table["currency"], table["cost"], strict=True)) == {"EUR": 1.5, "GBP": 2.0}
        assert table.attrs["histkit"]["unit"] == "EUR GBP"
    with answering({USAGE: refusal, COST: _one([OCTOBER * 1000, 1.5], unit="inr")}) as client:
        table = hk.official_usage("2026-10-01", "2026-10-02", client=client)
        assert table[["currency", "cost"]].values.tolist() == [["INR", 1.5]]
    with answering({USAGE: refusal, COST: _one([OCTOBER * 1000, 1.5], unit="credits")}) as client:
        with pytest.raises(hk.SchemaError, match="no column in usd or eur"):
            hk.official_usage("2026-10-01", "2026-10-02", client=client)


# Arguments ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"before": "2026-09-01"}, "earlier"),
        ({"by": "weather"}, "by='weather' is not possible; use one or more of 'api_key'"),
        ({"by": ["user", "user_id"]}, "there twice"),
        ({"by": 5}, "a word or a list"),
        ({"freq": "2D"}, "freq='2D'"),
        ({"tz": "Mars"}, "tz='Mars'"),
        ({"column": 3}, "column=3"),
        ({"by": ["group", "user"]}, "known to"),
    ],
)
def test_arguments_that_can_not_be_are_said(client: hk.HistoryClient, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(hk.InputError, match=message):
        hk.official_usage("2026-10-01", client=client, **arguments)


# The history beside them ----------------------------------------------------------------------------------------------


def test_history_gap_and_unexplained_add_up_to_the_official_figure(client: hk.HistoryClient) -> None:
    df = hk.read_history(client=client)
    table = hk.reconcile(df, client=client)
    assert table["history"].sum() == df["credits"].sum()
    explained = table["history"] + table["gap"] + table["adjustment"]
    assert (explained + table["unexplained"] == table["official"]).all()
    assert table["unexplained"].abs().sum() < 0.02 * table["official"].sum()
    assert table["period"].is_monotonic_increasing
    assert str(table["period"].dtype) == "datetime64[us, UTC]"
    fewer = df[df["model_id"] != df["model_id"].mode()[0]]
    assert hk.reconcile(fewer, client=client)["gap"].sum() > table["gap"].sum()
    for freq in ("D", "W", "QS", "YS"):
        other = hk.reconcile(df, freq, client=client)
        assert other["official"].sum() == table["official"].sum()
        assert other["gap"].sum() == table["gap"].sum()


@pytest.mark.parametrize("tz", ["Europe/Berlin", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("freq", ["MS", "D", "h"])
def test_the_comparison_is_exact_in_any_zone(client: hk.HistoryClient, tz: str, freq: Any) -> None:
    df = hk.read_history(client=client, after="2026-09-01")
    table = hk.reconcile(df, freq, after="2026-10-01", before="2026-11-01", tz=tz, client=client)
    assert (table["unexplained"] == 0).all()
    assert table["period"].iloc[0] == pd.Timestamp("2026-10-01", tz=tz)
    first, end = (pd.Timestamp(day, tz=tz) for day in ("2026-10-01", "2026-11-01"))
    assert table["history"].sum() == df.loc[df["date"].between(first, end, "left"), "credits"].sum()


def test_missing_official_figures_stay_missing(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(1500, usage_nulls=0.05)
    with client_of(box) as client:
        df = hk.read_history(client=client, after="2026-06-01")
        for limited in (False, True):
            if limited:
                box.set(no_usage=True)
            days = hk.reconcile(df, "D", client=client)
            missing = days["official"].isna()
            assert missing.any()
            assert days["unexplained"].isna().equals(missing)
            assert (days.loc[~missing, "unexplained"].iloc[1:] == 0).all()
            assert days.attrs["histkit"]["missing"]["official"] == missing.sum()
            months = hk.reconcile(df, client=client)
            gone = set(days.loc[missing, "period"].dt.strftime("%Y-%m"))
            assert set(months.loc[months["official"].isna(), "period"].dt.strftime("%Y-%m")) == gone
            assert months.attrs["histkit"]["official"] == months["official"].sum()


def counted(*readings: tuple[str, int, int]) -> pd.DataFrame:
    """Return a history of rows that read the counter: time, before, after."""
    rows = hk.sample_history(len(readings))
    before, after = (pd.array([reading[place] for reading in readings], "Int64") for place in (1, 2))
    return rows.assign(
        date=pd.to_datetime([reading[0] for reading in readings], utc=True).astype("datetime64[us, UTC]"),
        character_count_change_from=before,
        character_count_change_to=after,
        credits=after - before,
    )


def test_a_refund_is_an_adjustment_and_an_unexplained_fall_is_missing() -> None:
    first, second = ("2026-10-01T10:00", 500_000, 500_100), ("2026-10-01T12:00", 500_099, 500_200)
    late = ("2026-10-03T12:00", 440_000, 440_100)
    official = pd.DataFrame(
        {"period": pd.date_range("2026-10-01", periods=3, tz="UTC"), "credits": [200.0, 0.0, 100.0]}
    )
    table = hk.reconcile(counted(first, second), "D", after="2026-10-01", before="2026-10-04", official=official)
    assert table.iloc[0, 1:].tolist() == [201, 0, -1, 200.0, 0.0]
    assert table.iloc[1, 1:].tolist() == [0, 0, 0, 0.0, 0.0]
    table = hk.reconcile(counted(first, second, late), "D", official=official)
    facts = table.attrs["histkit"]
    unknown = hk.ledger(counted(first, second, late), "D").attrs["histkit"]["unknown"]
    assert unknown == facts["missing"]["gap"] == facts["missing"]["unexplained"] == 1
    assert table["unexplained"].isna().tolist() == [False, False, True]
    assert values_of(hk.reconcile(counted(first, second, late), official=official)["unexplained"]) == [None]


def test_official_figures_of_other_days_are_refused_and_absent_ones_are_missing(client: hk.HistoryClient) -> None:
    df = hk.read_history(client=client, after="2026-10-01", before="2026-10-11")
    official = hk.official_usage("2026-10-01", "2026-10-11", tz="Europe/Berlin", client=client)
    with pytest.raises(hk.InputError, match=r"not days of UTC; use the result of official_usage\(\.\.\., freq='D'"):
        hk.reconcile(df, "D", official=official)
    official = hk.official_usage("2026-10-01", "2026-10-11", by="product", client=client)
    table = hk.reconcile(df, "D", after="2026-10-01", before="2026-10-11", official=official)
    assert (table["unexplained"].iloc[1:] == 0).all()
    fewer = official[official["period"] != pd.Timestamp("2026-10-05", tz="UTC")]
    table = hk.reconcile(df, "D", after="2026-10-01", before="2026-10-11", official=fewer)
    assert table["official"].isna().tolist() == [day == 4 for day in range(10)]


def test_a_date_beyond_the_rows_is_named(client: hk.HistoryClient) -> None:
    frame = hk.sample_history(50)
    with pytest.raises(hk.InputError, match=r"after='2030' is later than the last row: pass before="):
        hk.reconcile(frame, after="2030", client=client)
    with pytest.raises(hk.InputError, match=r"before='2016' is earlier than the first row: pass after="):
        hk.reconcile(frame, before="2016", client=client)


def test_rows_of_several_accounts_and_wrong_keys_are_refused(box_of: Callable[..., Sandbox]) -> None:
    df = hk.sample_history(50)
    with pytest.raises(hk.InputError, match="daily"):
        hk.reconcile(df, "x", client=None)  # type: ignore[arg-type]
    with pytest.raises(hk.InputError, match="several accounts"):
        hk.reconcile(df.assign(account=["a", "b"] * 25), client=None)
    with client_of(box_of(5), api_key="sk_wrong") as wrong, pytest.raises(hk.AuthenticationError):
        hk.reconcile(df, client=wrong)
