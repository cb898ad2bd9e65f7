"""What a sync fetches: everything once, then what is new, and rows that were still processing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import histkit as hk
from histkit.archive.sync import DamagedMonthError
from histkit.sandbox import Sandbox
from tests.conftest import client_of
from tests.local_history import DAY, NOTHING, NOW, files_of, found, ids_of, leftovers, read, sync
from tests.raw_service import Service, row, same


@pytest.mark.parametrize(("items", "workers"), [(1, 1), (17, 4), (1000, 1), (1001, 4), (4321, 1)])
def test_the_first_sync_brings_everything_in_the_services_order(
    box_of: Callable[..., Sandbox], folder: Path, items: int, workers: int
) -> None:
    box = box_of(items=items, seed=items)
    df = sync(folder, box, workers=workers)
    assert found(df) == {"new": items, "changed": 0, "missing": 0}
    assert df["history_item_id"].tolist() == ids_of(box.history())
    same(df, read(box))
    same(hk.load(folder), df)
    assert df["account"].isna().all()
    assert df["missing_since"].isna().all()
    assert df.columns.tolist() == [*(column.name for column in hk.COLUMNS), "account", "missing_since"]
    assert df["missing_since"].dtype == "datetime64[us, UTC]"
    assert df.attrs["histkit"]["complete"] is True
    assert df.attrs["histkit"]["failed"] == {}
    assert leftovers(folder) == []


def test_an_empty_history_is_one_too(service: Callable[..., Service], folder: Path) -> None:
    of = service()
    df = sync(folder, of)
    assert len(df) == 0
    same(df, read(of))
    of.rows = [row(1, NOW)]
    assert found(sync(folder, of))["new"] == 1
    assert hk.load(folder)["history_item_id"].tolist() == ["id1"]


def test_a_later_sync_brings_what_is_new_in_two_requests_and_writes_no_old_month(
    box_of: Callable[..., Sandbox], folder: Path
) -> None:
    box = box_of(items=3000)
    sync(folder, box)
    before = files_of(folder)
    box.add(7)
    box.reset()
    df = sync(folder, box)
    assert found(df) == {"new": 7, "changed": 0, "missing": 0}
    assert df.attrs["histkit"]["requests"] == len(box.requests()) <= 2
    same(df, read(box))
    after = files_of(folder)
    changed = {name for name in after if after[name] != before.get(name)}
    this_month = f"year={df['date'][0].year}/month={df['date'][0].month}/history.parquet"
    assert changed == {this_month}


@pytest.mark.parametrize("diff", [False, True])
def test_a_sync_that_finds_nothing_new_reads_and_writes_next_to_nothing(
    box_of: Callable[..., Sandbox], folder: Path, diff: bool
) -> None:
    box = box_of(items=3000)
    sync(folder, box)
    before = files_of(folder)
    away = {name for name in before if "year=2026/month=1" not in name}
    content = {name: (folder / name).read_bytes() for name in away}
    times = {name: (folder / name).stat() for name in away}
    for name in away:  # a month that has no part in it is not decoded; its bytes are compared at the end
        (folder / name).write_bytes(b"x" * len(content[name]))
    box.reset()
    with pytest.raises(DamagedMonthError, match=f"{len(away) - 1} other months too") as caught:
        hk.sync(folder, client=client_of(box), progress=False, diff=True)
    frame = caught.value.changes
    for name in away:
        (folder / name).write_bytes(content[name])
        os.utime(folder / name, ns=(times[name].st_atime_ns, times[name].st_mtime_ns))
    assert len(frame) == 0
    assert found(frame) == NOTHING
    assert len(box.requests()) <= 2
    assert files_of(folder) == before
    if not diff:
        same(sync(folder, box), read(box))


def test_rows_that_appear_late_with_an_older_date_are_found(box_of: Callable[..., Sandbox], folder: Path) -> None:
    box = box_of(items=300)
    first = sync(folder, box)
    newest = int(first["date_unix"][0])
    ties = int((first["date_unix"] == newest).sum())
    late = [box.add(date_unix=newest - back)[0] for back in (0, 1, 60, 3000, 3600)]
    df = sync(folder, box)
    assert found(df) == {"new": 5, "changed": 0, "missing": 0}
    assert set(late) < set(df["history_item_id"])
    assert (df["date_unix"] == newest).sum() == ties + 1
    same(df, read(box))
    assert found(sync(folder, box)) == NOTHING


def test_rows_of_the_watermarks_second_are_found_however_many_there_are(
    service: Callable[..., Service], folder: Path
) -> None:
    of = service([row(number, NOW) for number in range(1500)] + [row(5000 + number, NOW - 90) for number in range(9)])
    same(sync(folder, of), read(of))
    of.rows.insert(0, row(7000, NOW))
    of.rows.insert(800, row(7001, NOW))
    of.rows.insert(1502, row(7002, NOW - 1))
    df = sync(folder, of)
    assert found(df) == {"new": 3, "changed": 0, "missing": 0}
    same(df, read(of))


def test_where_an_hour_has_many_rows_the_newest_quarter_is_read_again(
    service: Callable[..., Service], folder: Path
) -> None:
    of = service([row(number, NOW - number) for number in range(3000)])
    sync(folder, of)
    of.asked.clear()
    of.rows[300:300] = [row(9000, NOW - 300)]
    of.rows[900:900] = [row(9001, NOW - 898)]
    df = sync(folder, of)
    assert found(df) == {"new": 2, "changed": 0, "missing": 0}
    assert len(of.asked) == 1
    same(df, read(of))


def test_an_unknown_field_goes_to_extra_and_stays_there(service: Callable[..., Service], folder: Path) -> None:
    of = service([row(1, NOW, mood="calm"), row(2, NOW - 5), row(3, NOW - 5, **{"odd name": [1]})])
    df = sync(folder, of)
    assert json.loads(df["extra"][0]) == {"mood": "calm"}
    same(df, read(of))
    same(sync(folder, of, full=True), read(of))


def test_rows_without_a_date_or_an_id_are_kept(service: Callable[..., Service], folder: Path) -> None:
    nameless = [{**row(0, NOW - 7, text=text), "history_item_id": None} for text in ("a", "b")]
    of = service([row(1, NOW), *nameless, row(2, NOW - 9), row(3, None), row(4, None)])
    for full in (False, True, False):
        with pytest.warns(UserWarning, match="violate the API's schema"):
            df = sync(folder, of, full=full)
        with pytest.warns(UserWarning, match="violate the API's schema"):
            expected = read(of)
        same(df, expected)
        assert df["history_item_id"].isna().sum() == 2
        assert df["date"].isna().sum() == 2
    assert found(df) == NOTHING
    assert len(hk.load(folder, after="2020-01-01")) == 4


@pytest.mark.parametrize("date", [-62_135_596_800, -1, 0, 253_402_300_799])
def test_a_date_far_away_is_as_good_as_any(service: Callable[..., Service], folder: Path, date: int) -> None:
    rows = sorted([row(1, NOW), row(2, NOW - 5), row(3, date)], key=lambda each: -each["date_unix"])
    of = service(rows)
    same(sync(folder, of), read(of))
    of.rows.insert(0 if date < NOW else 1, row(4, NOW + 1))
    assert len(sync(folder, of)) == 4
    same(sync(folder, of, full=True), read(of))


def test_a_client_of_its_own_is_made_of_the_environment(
    shared_box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ELEVENLABS_API_KEY", shared_box.api_key)
    monkeypatch.setenv("ELEVENLABS_BASE_URL", shared_box.url)
    assert len(hk.sync(folder)) == 5500
    said = capsys.readouterr()
    assert f"{folder}: 5,500 rows; 5,500 new, 0 changed, 0 missing" in said.err
    assert said.out == ""
    hk.sync(folder, progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("many", [3, 19, 20, 21, 45])
def test_rows_still_processing_are_asked_for_again_also_when_they_are_old(
    service: Callable[..., Service], folder: Path, many: int
) -> None:
    of = service([row(0, NOW), *[row(1 + number, NOW - 2 * DAY - 60 * (number // 3)) for number in range(60)]])
    busy = [of.rows[1 + (number * 7) % 60]["history_item_id"] for number in range(many)]
    ready = {each["history_item_id"]: each for each in of.rows}
    of.rows = [each | {"state": "processing"} if each["history_item_id"] in busy else each for each in of.rows]
    assert (sync(folder, of)["state"] == "processing").sum() == many
    of.asked.clear()
    df = sync(folder, of)
    assert found(df) == NOTHING
    assert len(of.asked) <= 21
    of.rows = [ready[item] | {"character_count_change_to": 50} for item in ids_of(of.rows)]
    df = sync(folder, of)
    assert found(df)["changed"] >= many
    assert set(df["state"]) == {"created"}
    assert set(df.loc[df["history_item_id"].isin(busy), "credits"]) == {50}
    assert df["history_item_id"].tolist() == ids_of(of.rows)
    of.asked.clear()
    sync(folder, of)
    assert len(of.asked) == 1


def test_a_row_that_was_processing_and_is_gone_is_marked(box_of: Callable[..., Sandbox], folder: Path) -> None:
    box = box_of(items=200)
    box.add()
    old = box.add(date_unix=NOW - 5 * DAY, state="processing")[0]
    sync(folder, box)
    box.remove(old)
    df = sync(folder, box)
    assert found(df) == {"new": 0, "changed": 0, "missing": 1}
    assert df.loc[df["missing_since"].notna(), "history_item_id"].tolist() == [old]
    box.reset()
    assert found(sync(folder, box)) == NOTHING
    assert len(box.requests()) == 1


def test_more_than_twenty_rows_that_were_processing_and_are_gone_are_marked(
    service: Callable[..., Service], folder: Path
) -> None:
    of = service([row(0, NOW), *[row(1 + number, NOW - 9000 - number, state="processing") for number in range(30)]])
    sync(folder, of)
    del of.rows[1:]
    df = sync(folder, of)
    assert df["missing_since"].notna().sum() == 30
    of.asked.clear()
    assert found(sync(folder, of)) == NOTHING
    assert len(of.asked) == 1


def test_a_row_without_a_date_gets_one_and_is_there_once(service: Callable[..., Service], folder: Path) -> None:
    of = service([row(1, NOW), row(2, NOW - 40 * DAY), row(3, None, state="processing")])
    with pytest.warns(UserWarning, match="violate"):
        sync(folder, of)
    of.rows = [row(1, NOW), row(3, NOW - 20 * DAY), row(2, NOW - 40 * DAY)]
    df = sync(folder, of)
    assert df["history_item_id"].tolist() == ["id1", "id3", "id2"]
    assert df["date"].notna().all()
    same(hk.load(folder), df)
