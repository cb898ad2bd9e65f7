"""`sync` and dates: no date of a row hides other rows, rows that appear late are found, months are left and entered."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.dataframe as dd
import duckdb
import pandas as pd
import pyarrow.dataset as ds
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import histkit as hk
from tests.effort import examples
from tests.local_history import DAY, NOTHING, NOW, OCTOBER, forget_checksums, found, ids_of, read, sync
from tests.raw_service import Row, Service, row, same

FAR_PAST, FAR_FUTURE = -62_135_596_800, 253_402_300_799
UNDATED = "year=0/month=0/history.parquet"
HIVE = "year=__HIVE_DEFAULT_PARTITION__/month=__HIVE_DEFAULT_PARTITION__/history.parquet"


def quiet(folder: Path, of: Service, **options: Any) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rows without a date
        return sync(folder, of, **options)


def listed(rows: list[Row]) -> list[Row]:
    """Sort rows as the service lists them, those without a date on top."""
    return sorted(rows, key=lambda each: -(each["date_unix"] if each["date_unix"] is not None else 2**60))


@pytest.mark.parametrize(
    "strange",
    [30 * DAY, 1, 5000, FAR_FUTURE - NOW, FAR_PAST - NOW, -NOW, None],
    ids=["a month", "a second", "hours", "far future", "far past", "1970", "none"],
)
@pytest.mark.parametrize("count", [1, 40])
def test_a_row_of_a_strange_date_hides_no_new_row(
    service: Callable[..., Service], folder: Path, strange: int | None, count: int
) -> None:
    now = int(time.time()) + 5
    plain = [row(number, NOW - 5 * DAY - 60 * number) for number in range(300)]
    odd = [
        row(1000 + number, None if strange is None else min(now + strange + number, FAR_FUTURE))
        for number in range(count)
    ]
    of = service(listed([*plain, *odd]))
    quiet(folder, of)
    late = [row(2000 + number, NOW - 4 * DAY + 5000 * number) for number in range(60)]
    of.rows = listed([*of.rows, *late])
    assert found(quiet(folder, of)) == {"new": 60, "changed": 0, "missing": 0}
    of.rows = listed([each for each in of.rows if each not in odd])  # the strange ones are deleted
    of.rows = listed([*of.rows, row(3000, NOW - 600)])
    assert found(quiet(folder, of))["new"] == 1
    assert found(quiet(folder, of))["new"] == 0
    assert set(ids_of(of.rows)) <= set(hk.load(folder)["history_item_id"])


def test_where_every_date_lies_in_the_future_every_row_is_found(service: Callable[..., Service], folder: Path) -> None:
    of = service([row(number, NOW + 40 * DAY - number) for number in range(1500)])
    sync(folder, of)
    of.rows[1500:] = [row(9000, NOW - 5)]
    assert found(sync(folder, of)) == {"new": 1, "changed": 0, "missing": 0}
    of.rows[1500:] = [row(9001, NOW - 4), row(9000, NOW - 5)]
    assert found(sync(folder, of)) == {"new": 1, "changed": 0, "missing": 0}
    same(hk.load(folder), read(of))


@pytest.mark.parametrize("ahead", [-400 * DAY, 400 * DAY])
def test_a_wrong_clock_of_this_machine_hides_no_row(
    service: Callable[..., Service], folder: Path, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    of = service([row(0, NOW + 100 * DAY), *(row(1 + number, NOW - 3 * DAY - number) for number in range(20))])
    clock = time.time
    with monkeypatch.context() as patch:
        patch.setattr("histkit.archive.account.time", SimpleNamespace(time=lambda: clock() + ahead))
        sync(folder, of)
        of.rows.insert(1, row(50, NOW - 2 * DAY))
        assert found(sync(folder, of))["new"] == 1
    of.rows.insert(1, row(51, NOW - DAY))
    assert found(sync(folder, of))["new"] == 1
    same(hk.load(folder), read(of))


def test_a_watermark_of_the_future_that_an_older_version_left_is_not_trusted(
    service: Callable[..., Service], folder: Path
) -> None:
    of = service([row(0, NOW + 30 * DAY), *(row(1 + number, NOW - 5 * DAY - number) for number in range(50))])
    sync(folder, of)
    forget_checksums(folder, watermark=NOW + 30 * DAY)
    of.rows.insert(1, row(99, NOW - 4 * DAY))
    assert found(sync(folder, of)) == {"new": 1, "changed": 0, "missing": 0}
    assert json.loads((folder / "_manifest.json").read_text())["accounts"][""]["watermark"] <= NOW


@pytest.mark.parametrize(("rate", "late"), [(1, 520), (5, 110), (10, 60), (1, 890), (0.1, 3500)])
@pytest.mark.parametrize("ago", [0, 40 * DAY])
def test_rows_that_appear_late_are_found(
    service: Callable[..., Service], folder: Path, rate: float, late: int, ago: int
) -> None:
    rows = [row(number, NOW - ago - int(number / rate)) for number in range(4000)]
    hidden = {each["history_item_id"] for each in rows if NOW - ago - late <= each["date_unix"] < NOW - ago - late + 20}
    of = service(rows)
    of.hidden = hidden
    sync(folder, of, diff=True)
    of.hidden = set()
    of.asked.clear()
    same(sync(folder, of), read(of))
    assert len(of.asked) <= 12


def counted(number: int, date: int, start: int, end: int, **fields: Any) -> Row:
    return row(number, date, **{"character_count_change_from": start, "character_count_change_to": end}, **fields)


def test_a_gap_of_the_counter_says_that_a_full_sync_is_due(
    service: Callable[..., Service], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = NOW - 20 * DAY
    rows = [counted(number, start + 60 * number, 10 * number, 10 * number + 10) for number in range(3000)]
    of = service(rows[100::-1])
    assert sync(folder, of).attrs["histkit"]["full_due"] == {}
    del rows[1500:1503]  # rows that the service does not list yet
    of.rows = rows[2000::-1]
    due = sync(folder, of).attrs["histkit"]["full_due"][""]
    assert due.startswith("30 credits in 1 gap of the counter since ")
    of.rows = rows[::-1]
    assert sync(folder, of).attrs["histkit"]["full_due"][""] == due  # also when the gap is no longer read again
    capsys.readouterr()
    hk.sync(folder, client=of.client, diff=True)
    assert f"a full sync is due, sync(full=True) or histkit sync --full: {due}" in capsys.readouterr().err
    for full in (True, False):
        assert sync(folder, of, full=full).attrs["histkit"]["full_due"] == {}


def test_a_gap_that_late_rows_fill_and_a_reset_of_the_counter_are_no_gaps(
    service: Callable[..., Service], folder: Path
) -> None:
    rows = [counted(number, NOW - 6000 + number, 10 * number, 10 * number + 10) for number in range(3000)]
    of = service(rows[500::-1])
    sync(folder, of)
    of.rows = [each for each in rows[2600::-1] if not 2300 < rows.index(each) < 2310]
    assert "" in sync(folder, of).attrs["histkit"]["full_due"]
    of.rows = rows[2600::-1]
    reset = [counted(9000 + number, NOW - 3000 + number, 5 * number, 5 * number + 5) for number in range(100)]
    of.rows = [*reset[::-1], *of.rows]
    assert sync(folder, of).attrs["histkit"]["full_due"] == {}


def test_a_last_full_sync_of_long_ago_is_said(service: Callable[..., Service], folder: Path) -> None:
    of = service([row(number, NOW - number) for number in range(5)])
    sync(folder, of)
    forget_checksums(folder, full_at=datetime.fromtimestamp(NOW - 45 * DAY, UTC).isoformat())
    assert sync(folder, of).attrs["histkit"]["full_due"] == {"": "the last one was 45 days ago"}
    assert sync(folder, of, full=True).attrs["histkit"]["full_due"] == {}


def test_new_rows_without_a_date_are_found_where_the_listing_has_them(
    service: Callable[..., Service], folder: Path
) -> None:
    of = service([row(number, NOW - 4000 * number) for number in range(1500)])
    sync(folder, of)
    of.rows[2:2] = [row(8000, None), row(8001, None)]
    of.asked.clear()
    assert found(quiet(folder, of)) == {"new": 2, "changed": 0, "missing": 0}
    assert len(of.asked) == 1
    assert found(quiet(folder, of)) == NOTHING


def test_where_the_listing_has_rows_without_a_date_last_a_full_sync_is_due(
    service: Callable[..., Service], folder: Path
) -> None:
    of = service([*(row(number, NOW - 4000 * number) for number in range(1500)), row(8000, None)])
    assert quiet(folder, of).attrs["histkit"]["full_due"] == {}
    forget_checksums(folder, full_at=datetime.fromtimestamp(NOW - 2 * DAY, UTC).isoformat())
    of.rows.append(row(8001, None))
    df = quiet(folder, of)
    assert (found(df)["new"], df.attrs["histkit"]["full_due"][""]) == (
        0,
        "new rows without a date are found by a full sync alone",
    )
    df = quiet(folder, of, full=True)
    assert (found(df)["new"], df.attrs["histkit"]["full_due"]) == (1, {})


@settings(max_examples=examples(8), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_however_rows_appear_an_incremental_sync_has_those_of_a_full_one(
    service: Callable[..., Service], tmp_path: Path, data: st.DataObject
) -> None:
    moments = st.integers(0, 40 * DAY).map(lambda back: NOW - back)
    strange = st.sampled_from([NOW + DAY, NOW + 40 * DAY, FAR_FUTURE, 0, FAR_PAST, None])
    dates = data.draw(st.lists(moments | strange, min_size=1, max_size=30))
    of = service(listed([row(number, date) for number, date in enumerate(dates)]))
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    quiet(folder, of)
    for round_ in (1, 2):
        known = [each["date_unix"] for each in of.rows if each["date_unix"] is not None and each["date_unix"] <= NOW]
        since = max(known, default=FAR_PAST) - 900
        later = st.integers(max(since, NOW - 40 * DAY), NOW) | st.sampled_from([NOW + 2 * DAY, FAR_FUTURE])
        new = data.draw(st.lists(later, max_size=8))
        of.rows = listed([*of.rows, *(row(1000 * round_ + number, date) for number, date in enumerate(new))])
        df = quiet(folder, of)
        assert found(df)["new"] == len(new)
        assert set(df["history_item_id"]) == set(ids_of(of.rows))
    assert found(quiet(folder, of, full=True)) == NOTHING


BORDER = OCTOBER - 10


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("before", "after"), [(BORDER, OCTOBER + 20), (OCTOBER + 20, BORDER), (None, BORDER), (BORDER, None)]
)
def test_a_row_that_moves_to_another_month_is_changed_once(
    service: Callable[..., Service], folder: Path, full: bool, before: int | None, after: int | None
) -> None:
    others = [row(1, OCTOBER + 40), row(2, OCTOBER), row(3, OCTOBER - 30), row(4, OCTOBER - 40 * DAY)]
    of = service(listed([*others, row(77, before)]))
    quiet(folder, of)
    of.rows = listed([*others, row(77, after)])
    df = quiet(folder, of, full=full)
    assert found(df) == {"new": 0, "changed": 1, "missing": 0}
    assert sorted(df["history_item_id"]) == ["id1", "id2", "id3", "id4", "id77"]
    moved = df.loc[df["history_item_id"] == "id77", "date_unix"].tolist()
    assert moved == [after] if after is not None else pd.isna(moved[0])
    assert found(quiet(folder, of, full=full)) == NOTHING
    assert found(quiet(folder, of, full=True)) == NOTHING


def test_a_row_that_moves_from_an_old_month_is_changed_by_an_incremental_sync(
    service: Callable[..., Service], folder: Path
) -> None:
    of = service([row(number, NOW - 20 * DAY * number) for number in range(20)])
    sync(folder, of)
    moved = of.rows.pop(15)
    of.rows.insert(0, {**moved, "date_unix": NOW - 1})
    of.rows.insert(0, row(99, NOW))
    df = sync(folder, of, diff=True)
    assert dict(zip(df["history_item_id"], df["change"], strict=True)) == {"id15": "changed", "id99": "new"}
    assert sorted(hk.load(folder)["history_item_id"]) == sorted(ids_of(of.rows))


def test_a_row_that_left_a_month_while_it_was_damaged_is_named_once_the_month_is_restored(
    service: Callable[..., Service], folder: Path
) -> None:
    of = service([row(number, NOW - 20 * DAY * number) for number in range(20)])
    sync(folder, of)
    moved = of.rows.pop(15)
    [old] = [
        path
        for path in folder.glob("year=*/month=*/history.parquet")
        if moved["history_item_id"] in pd.read_parquet(path)["history_item_id"].tolist()
    ]
    sound = old.read_bytes()
    old.write_bytes(sound[:100] + bytes([sound[100] ^ 8]) + sound[101:])
    of.rows.insert(0, {**moved, "date_unix": NOW - 1})
    with pytest.raises(hk.ArchiveError, match=r"restore a copy|Restore a copy"):
        sync(folder, of)
    old.write_bytes(sound)
    with pytest.warns(UserWarning, match=r"1 row is there twice, in 20.*run sync\(full=True\)"):
        df = hk.load(folder)
    assert (df["history_item_id"] == moved["history_item_id"]).sum() == 2
    healed = sync(folder, of, full=True)
    assert sorted(healed["history_item_id"]) == sorted(ids_of(of.rows))
    old_again = hk.load(folder)  # without a warning
    assert len(old_again) == 20


SAME = [
    ({"settings": {"stability": "NaN"}}, {"settings": {"stability": "NaN"}}),
    ({"settings": {"stability": 0.0}}, {"settings": {"stability": -0.0}}),
    ({"settings": {"stability": 1}}, {"settings": {"stability": 1.0}}),
    ({"mood": {"a": 1, "b": [2.0, "x"]}}, {"mood": {"b": [2, "x"], "a": 1.0}}),
    (
        {"dialogue": [{"text": "a", "voice_id": "v", "voice_name": "n"}]},
        {"dialogue": [{"voice_name": "n", "voice_id": "v", "text": "a"}]},
    ),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_value_that_is_written_otherwise_is_no_change(
    service: Callable[..., Service], folder: Path, one: Row, other: Row
) -> None:
    of = service([row(number, NOW - number, **one) for number in range(4)])
    quiet(folder, of)
    of.rows = [row(number, NOW - number, **other) for number in range(4)]
    for full in (False, True, True):
        assert found(quiet(folder, of, full=full)) == NOTHING


def test_what_is_no_longer_the_same_is_a_change(service: Callable[..., Service], folder: Path) -> None:
    of = service([row(1, NOW, settings={"stability": 0.5}), row(2, NOW - 5, settings={"stability": 0.25})])
    sync(folder, of)
    for fields in ({"settings": {"stability": 0.75}}, {"mood": True}, {"mood": 1}, {"mood": "1"}, {"mood": None}):
        of.rows[0] = row(1, NOW, **fields)
        assert found(sync(folder, of)) == {"new": 0, "changed": 1, "missing": 0}, fields


class NanService(Service):
    """Sends a bare NaN, which is no JSON, where a row says so, as careless servers do."""

    def body(self, found: Any) -> bytes:
        return super().body(found).replace(b'"NaN"', b"NaN")


def test_nan_is_the_same_as_nan(folder: Path) -> None:
    with NanService([row(1, NOW, settings={"stability": "NaN"}), row(2, NOW - 5, mood="NaN")]) as of:
        for full in (False, True, False, True):
            counts = found(quiet(folder, of, full=full))
            assert counts["changed"] == counts["missing"] == 0


def every_tool(folder: Path) -> dict[str, int]:
    """Count a history's rows by tools that know nothing of histkit."""
    with duckdb.connect() as db:
        table = f"read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
        count = db.sql(f"SELECT count(year::INT + month::INT) FROM {table}").fetchall()[0][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Dask's own calls
        rows = len(dd.read_parquet(folder).compute(scheduler="sync"))
    return {
        "pandas": len(pd.read_parquet(folder)),
        "dask": rows,
        "pyarrow": ds.dataset(folder, partitioning="hive").to_table().num_rows,
        "duckdb": count,
    }


def test_any_tool_reads_a_history_with_a_row_without_a_date(service: Callable[..., Service], folder: Path) -> None:
    of = service([*(row(number, NOW - 3 * DAY * number) for number in range(40)), row(99, None)])
    df = quiet(folder, of)
    assert set(every_tool(folder).values()) == {41}
    assert len(df) == 41
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")} == set(
        json.loads((folder / "_manifest.json").read_text())["months"]
    )


def test_any_tool_reads_months_in_which_a_column_is_missing(service: Callable[..., Service], folder: Path) -> None:
    formats = [None, "mp3_44100_128", None, "pcm_24000"]
    of = service([row(number, NOW - 31 * DAY * number, output_format=form) for number, form in enumerate(formats)])
    df = quiet(folder, of)
    assert set(every_tool(folder).values()) == {4}
    assert df["output_format"].cat.categories.tolist() == ["mp3_44100_128", "pcm_24000"]
    assert df["account"].cat.categories.empty
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Dask's own calls
        by_dask = dd.read_parquet(folder).compute(scheduler="sync").sort_values("date_unix", ascending=False)
    assert by_dask["output_format"].astype(object).where(by_dask["output_format"].notna(), None).tolist() == formats


@pytest.mark.parametrize("killed", [False, True])
def test_an_older_historys_rows_without_a_date_are_moved_by_the_next_sync(
    service: Callable[..., Service], folder: Path, killed: bool
) -> None:
    of = service([*(row(number, NOW - 3 * DAY * number) for number in range(40)), row(99, None)])
    quiet(folder, of)
    (folder / HIVE).parent.mkdir(parents=True)
    shutil.move(folder / UNDATED, folder / HIVE)
    shutil.rmtree(folder / "year=0")
    forget_checksums(folder)
    manifest = json.loads((folder / "_manifest.json").read_text())
    manifest["months"][HIVE] = manifest["months"].pop(UNDATED)
    (folder / "_manifest.json").write_text(json.dumps(manifest))
    assert len(hk.load(folder)) == 41
    if killed:  # in between, with both files there
        (folder / UNDATED).parent.mkdir(parents=True)
        shutil.copy(folder / HIVE, folder / UNDATED)
    assert len(quiet(folder, of)) == 41
    assert not list(folder.rglob("*HIVE*"))
    assert set(every_tool(folder).values()) == {41}
    assert found(quiet(folder, of, full=True)) == NOTHING
