"""`read_requests`: everything between two times or an error, whatever order and bounds the service has."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.errors import InputError, PaginationError, PermissionDeniedError, SchemaError
from histkit.fetch.request_log import LogReading
from histkit.frame.columnar import decode_columns
from histkit.frame.log_table import join_tables, table_of
from histkit.sandbox import Sandbox
from tests.conftest import client_of
from tests.effort import examples
from tests.fetch.log_service import LogService

T0 = 1_790_000_000  # seconds
SILENT: dict[str, Any] = {"progress": False}


def make_log(seed: int, rows: int, *, spread: int, fraction: bool) -> list[tuple[int, str]]:
    """Make requests within `spread` milliseconds of T0; some share a millisecond."""
    chance = random.Random(seed)
    times = [chance.randrange(spread) * 1000 for _ in range(rows)]
    times = [moment + chance.randrange(1000) * fraction for moment in times]
    return [(T0 * 1_000_000 + moment, f"r{number}") for number, moment in enumerate(times)]


def read(service: LogService, after: int | None, before: int | None) -> pd.DataFrame:
    return hk.read_requests(after, before, client=service.client, **SILENT)


def truth(log: list[tuple[int, str]], after: int | None, before: int | None) -> set[str]:
    return {
        item
        for moment, item in log
        if (after is None or moment >= after * 1_000_000) and (before is None or moment < before * 1_000_000)
    }


@pytest.fixture(scope="module")
def service() -> Iterator[LogService]:
    with LogService() as running:
        yield running


BOUNDS = st.sampled_from(["inclusive", "exclusive"])
SPANS = st.sampled_from([(None, None), (T0 + 2, T0 + 7), (None, T0 + 5), (T0 + 3, None), (T0 - 50, T0 + 99)])


@settings(max_examples=examples(10))
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(0, 60),
    spread=st.sampled_from([30, 3000, 10_000]),
    fraction=st.booleans(),
    starts=BOUNDS,
    ends=BOUNDS,
    order=st.sampled_from(["asked", "ascending", "descending", "shuffled"]),
    cap=st.integers(12, 30),
    grain=st.sampled_from([1, 1, 1000]),
    short=st.booleans(),
    span=SPANS,
)
def test_everything_is_read_where_the_bounds_mean_something(
    service, seed, rows, spread, fraction, starts, ends, order, cap, grain, short, span
):
    log = make_log(seed, rows, spread=spread, fraction=fraction)
    options = {"starts": starts, "ends": ends, "order": order, "cap": cap, "grain": grain, "short": short}
    frame = read(service.become(log, **options, seed=seed), *span)
    assert frame["request_id"].is_unique
    assert set(frame["request_id"]) == truth(log, *span)
    assert frame["at"].is_monotonic_decreasing


@settings(max_examples=examples(10))
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(0, 50),
    spread=st.sampled_from([3, 30, 3000]),
    starts=st.sampled_from(["inclusive", "exclusive", "ignored"]),
    ends=st.sampled_from(["inclusive", "exclusive", "ignored"]),
    order=st.sampled_from(["asked", "ascending", "descending", "shuffled"]),
    cap=st.sampled_from([1, 2, 3, 8, 30]),
    repeats=st.sampled_from([0, 0, 20]),
    empties=st.sampled_from([0, 0, 20]),
    filters=st.sampled_from(["applied", "ignored", "refused"]),
    span=SPANS,
)
def test_nothing_is_short_without_an_error(
    service, seed, rows, spread, starts, ends, order, cap, repeats, empties, filters, span
):
    log = make_log(seed, rows, spread=spread, fraction=False)
    options = {"starts": starts, "ends": ends, "order": order, "cap": cap, "empties": empties}
    service.become(log, **options, repeats=repeats, filters=filters, seed=seed)
    expected, problem = truth(log, *span), None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            frame = read(service, *span)
        except PaginationError as error:
            frame, problem = error.partial, error
    assert frame["request_id"].is_unique
    assert frame.attrs["histkit"]["complete"] is (problem is None)
    assert set(frame["request_id"]) <= expected
    doubt = filters != "applied" and any("may have more requests" in str(warning.message) for warning in caught)
    assert problem is not None or doubt or set(frame["request_id"]) == expected


@pytest.mark.parametrize("order", ["asked", "ascending", "descending", "shuffled"])
@pytest.mark.parametrize("fraction", [False, True])
def test_one_row_an_answer_loses_no_row_of_a_millisecond(service: LogService, order: str, fraction: bool) -> None:
    for spread in (1, 4):
        log = make_log(3, 10, spread=spread, fraction=fraction)
        frame = read(service.become(log, order=order, cap=1, starts="exclusive", ends="inclusive"), None, None)
        assert set(frame["request_id"]) == truth(log, None, None)


@pytest.mark.parametrize("filters", ["refused", "ignored"])
def test_a_millisecond_of_which_nothing_shows_the_end_is_a_warning(service: LogService, filters: str) -> None:
    log = make_log(3, 20, spread=1, fraction=False)
    service.become(log, cap=2, filters=filters)
    with pytest.warns(UserWarning, match="2026-09-21T14:13:20.000Z may have more requests"):
        assert len(read(service, None, None)) == 2
    service.become([*log, (log[0][0] + 5000, "a"), (log[0][0] + 9000, "b")], cap=30, filters=filters)
    assert len(read(service, None, None)) == 22


@pytest.fixture
def box(box_of) -> Sandbox:
    return box_of(items=1500, seed=4)


def of_box(box: Sandbox, after: Any = None, before: Any = None, **options: Any) -> pd.DataFrame:
    with client_of(box, **options) as client:
        return hk.read_requests(after, before, client=client, **SILENT)


@pytest.fixture(scope="module")
def expected(forks) -> pd.DataFrame:
    with forks.serve(items=1500, seed=4) as box:
        return of_box(box)


def test_the_log_has_the_requests_of_the_history_and_typed_columns(box, expected):
    history = hk.read_history(client=client_of(box), **SILENT)
    assert set(history["request_id"]) < set(expected["request_id"])
    assert expected["timestamp"].dtype == "datetime64[us, UTC]"
    assert expected["timestamp"].is_monotonic_decreasing
    dtypes = {name: str(dtype) for name, dtype in expected.dtypes.items()}
    assert dtypes["request_id"] == "string"
    assert {dtypes[name] for name in ("model", "user_id", "hashed_xi_api_key")} == {"category"}
    assert (dtypes["status_code"], dtypes["latency"], dtypes["is_streaming"]) == ("Int64", "Float64", "boolean")
    facts = expected.attrs["histkit"]
    assert facts["units"] == {"timestamp": "ms", "latency": "ms", "credits": "credits"}
    assert facts["complete"] is True
    assert (facts["time_column"], facts["id_column"]) == ("timestamp", "request_id")
    merged = history.merge(expected, on="request_id", suffixes=("", "_log"))
    assert (merged["credits"] == merged["credits_log"]).all()


def test_rows_are_those_of_the_official_client(box, sdk_of, expected):
    answer = sdk_of(box).workspace.analytics.requests.get(start_time=0, end_time=1793476800000, limit=1000)
    place = answer.columns.index("request_id")
    assert expected["request_id"].head(1000).tolist() == [row[place] for row in answer.rows]
    assert expected["latency"].head(1000).isna().sum() == sum(
        row[answer.columns.index("latency")] is None for row in answer.rows
    )


def test_dates_select(box, expected):
    october = of_box(box, "2026-10-01", "2026-10-15T12:00")
    inside = expected["timestamp"].between(
        pd.Timestamp("2026-10-01", tz="UTC"), pd.Timestamp("2026-10-15T12", tz="UTC")
    )
    assert october["request_id"].tolist() == expected.loc[inside, "request_id"].tolist()
    berlin = hk.read_requests("2026-10-01", tz="Europe/Berlin", client=client_of(box), **SILENT)
    assert berlin["timestamp"].min() >= pd.Timestamp("2026-09-30T22:00", tz="UTC")
    empty = of_box(box, "2021", "2022")
    assert empty.dtypes.astype(str).to_dict() == expected.head(0).dtypes.astype(str).to_dict()
    assert len(empty) == 0
    with pytest.raises(InputError, match="after="):
        of_box(box, "2026-10", "2026-09")


@pytest.mark.parametrize(
    "faults",
    [
        {"log_ends": "inclusive"},
        {"log_ends": "ignored"},
        {"log_starts": "exclusive"},
        {"log_starts": "ignored"},
        {"log_order": "ascending"},
        {"log_order": "descending"},
        {"log_order": "shuffled"},
        {"log_cap": 100},
        {"log_times": "iso"},
        {"log_times": "us"},
        {"log_columns": "reordered"},
        {"log_repeat": 2},
        {"log_empty": 1},
        {"rate_limit": 1, "too_many": 1, "error_500": 1, "error_409": 2},
        {"truncated_json": 3},
        {"cut_off": 2, "reset": 1, "html": 1},
        {"log_burst": 400},
        {"log_burst": 1200, "log_cap": 300},
        {"arriving": True},
    ],
    ids=str,
)
def test_every_answer_of_the_service_is_read_to_the_end(box, expected, faults, short_waits):
    box.set(**faults, only="log")
    frame = of_box(box, before="2026-11-01")
    more = faults.get("log_burst", 0)
    assert frame["request_id"].is_unique
    assert len(frame) == len(expected) + more
    assert set(expected["request_id"]) <= set(frame["request_id"])
    if not more and "log_order" not in faults:
        order = frame["request_id"].tolist() == expected["request_id"].tolist()
        assert order or expected["timestamp"].duplicated().any()


def test_a_renamed_log_describes_itself(box, expected):
    box.set(log_columns="renamed")
    frame = of_box(box)
    facts = frame.attrs["histkit"]
    assert (facts["time_column"], facts["id_column"]) == ("event_time", "history_request_id")
    assert facts["units"]["duration_ms"] == "ms"
    assert frame["history_request_id"].tolist() == expected["request_id"].tolist()


def test_a_log_without_request_ids_has_each_row_once(box, expected):
    box.set(log_columns="bare", log_cap=200)
    frame = of_box(box)
    assert "request_id" not in frame.columns
    assert frame.attrs["histkit"]["id_column"] is None
    assert frame.attrs["histkit"]["rows_without_id"] == len(frame)
    assert frame["timestamp"].tolist() == expected["timestamp"].tolist()


def test_columns_that_change_are_joined(box, expected):
    box.set(log_columns="changing", log_cap=100)
    frame = of_box(box)
    assert frame["request_id"].tolist() == expected["request_id"].tolist()
    assert frame["region"].isna().any()
    assert frame["region"].dropna().isin(["us", "eu"]).all()
    assert frame["status_code"].astype(int).tolist() == expected["status_code"].tolist()


def test_a_unit_that_changes_is_an_error_that_names_the_column(box):
    box.set(log_columns="unit")
    with pytest.raises(SchemaError, match="The unit of the column 'latency' of the request log changed from"):
        of_box(box)


def test_rows_without_time_or_id_are_kept_and_counted(box, expected):
    box.set(log_blank=0.05, log_cap=300)
    frame = of_box(box)
    facts = frame.attrs["histkit"]
    assert len(frame) == len(expected)
    assert facts["rows_without_time"] == frame["timestamp"].isna().sum() > 10
    assert facts["rows_without_id"] == frame["request_id"].isna().sum() > 10
    assert frame["timestamp"].dropna().is_monotonic_decreasing
    assert frame["credits"].sum() == expected["credits"].sum()


@pytest.mark.parametrize("filters", ["refused", "ignored"])
def test_more_requests_in_a_millisecond_than_an_answer_holds_is_said(box, expected, filters):
    box.set(log_burst=1001, log_filters=filters)
    with pytest.raises(PaginationError, match=r"1 millisecond of the request log, such as 202\d") as caught:
        of_box(box)
    assert len(set(expected["request_id"]) - set(caught.value.partial["request_id"])) <= 1  # of that millisecond
    assert caught.value.partial.attrs["histkit"]["complete"] is False


def test_filters_read_such_a_millisecond(box, expected):
    box.set(log_burst=2300)
    assert len(of_box(box)) == len(expected) + 2300


def test_a_service_that_ignores_the_times_is_an_error_with_what_was_read(box):
    box.set(log_starts="ignored", log_ends="ignored")
    with pytest.raises(PaginationError, match="ignores start_time") as caught:
        of_box(box)
    assert 0 < len(caught.value.partial) <= 1500


def test_failures_in_the_middle_keep_what_was_read(box):
    with client_of(box, max_retries=0) as client:
        reading = LogReading.of(None, None)
        pages = reading.fetch(client).pages()
        reading.keep(next(pages))
        box.set(error_500=True)
        with pytest.raises(hk.ServerError):
            next(pages)
        with pytest.raises(hk.ServerError):
            hk.read_requests(client=client, **SILENT)
    box.set(error_500=None, log_cap=50, log_repeat=0.0, error_503=0.05)
    with client_of(box, max_retries=0) as client, pytest.raises(PaginationError, match="could not be read to its end"):
        hk.read_requests(client=client, **SILENT)


def test_a_key_without_the_scope_gets_a_line_that_names_it(box):
    with pytest.raises(PermissionDeniedError, match="workspace_analytics_full_read") as caught:
        of_box(box, api_key=box.key("speech_history_read"))
    assert caught.value.scope == "workspace_analytics_full_read"
    assert "\n" not in str(caught.value)


def answer(columns: list[str], types: list[str | None], units: list[str | None], *rows: list[Any]) -> pa.Table:
    body = {"columns": columns, "column_types": types, "column_units": units, "rows": list(rows)}
    return table_of(decode_columns(body, "/v1/example"))


def test_joined_tables_keep_every_value():
    one = answer(["a", "b", "c"], ["Int", "String", None], [None, None, None], [1, "x", None])
    two = answer(["c", "a", "d"], ["Float", "Float", "Bool"], [None] * 3, [2.5, 0.5, True])
    joined = join_tables([one, two])
    assert joined.column_names == ["a", "b", "c", "d"]
    assert joined.to_pylist() == [
        {"a": 1.0, "b": "x", "c": None, "d": None},
        {"a": 0.5, "b": None, "c": 2.5, "d": True},
    ]
    texts = join_tables([one, answer(["a"], ["String"], [None], ["n/a"])])
    assert texts.column("a").to_pylist() == ["1", "n/a"]


def test_rows_of_one_id_that_differ_are_said(service):
    class Twice(LogService):
        def table(self, rows: Any) -> dict[str, Any]:
            made = super().table(rows)
            for row in made["rows"]:
                row[1] = "same"
            return made

    log = [(T0 * 1_000_000 + 1000, "a"), (T0 * 1_000_000 + 5000, "b")]
    with Twice(log) as twice, pytest.warns(UserWarning, match="request 'same' has several rows that differ"):
        frame = read(twice, None, None)
    assert len(frame) == 1
    assert frame["at"].iloc[0].microsecond == 5000


@settings(max_examples=examples(4))
@given(seed=st.integers(0, 10**6), renames_at=st.integers(0, 9))
@pytest.mark.parametrize("names", [("time", "request_id"), ("at", "id"), ("timestamp", "history_request_id")])
def test_columns_that_are_renamed_while_the_log_is_read_keep_their_first_names(
    service: LogService, names: tuple[str, str], seed: int, renames_at: int
) -> None:
    log = make_log(seed, 400, spread=9000, fraction=False)
    service.become(log, cap=60, new_names=names, renames_at=renames_at)
    frame = read(service, T0 - 10, T0 + 99)
    first = ("at", "request_id") if renames_at else names
    facts = frame.attrs["histkit"]
    assert (facts["time_column"], facts["id_column"]) == first
    assert sorted(frame[first[1]]) == sorted(item for _, item in log)
    assert frame.columns.tolist() == [*first, "user_id", "latency"]
    assert facts["rows_without_time"] == facts["rows_without_id"] == 0


@pytest.mark.parametrize(("before", "after"), [("request_id", None), (None, "request_id")])
def test_ids_that_come_or_go_while_the_log_is_read_are_an_error(
    service: LogService, before: str | None, after: str | None
) -> None:
    service.become(
        make_log(1, 400, spread=9000, fraction=False),
        cap=60,
        names=("at", before),
        new_names=("at", after),
        renames_at=3,
    )
    with pytest.raises(PaginationError, match=r"request ids \('request_id'\).*read the log anew") as stop:
        read(service, T0 - 10, T0 + 99)
    assert 0 < len(stop.value.partial) < 400
