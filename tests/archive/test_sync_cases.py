"""`sync` where an account, a folder or a row is not what one would think: nothing mixed, hidden, doubled or stuck."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import histkit as hk
from tests.raw_service import Row, Service, row, same

NOW = int(time.time())


def sync(path: Path, service: Service, **options: Any) -> pd.DataFrame:
    return hk.sync(path, client=service.client, progress=False, **options)


def rows_of(count: int, first: int = 0, step: int = 10) -> list[Row]:
    return [row(first + number, NOW - step * number) for number in range(count)]


@pytest.mark.parametrize("full", [False, True])
def test_after_another_key_was_refused_the_right_one_goes_on(tmp_path: Path, full: bool) -> None:
    with Service(rows_of(30)) as mine, Service(rows_of(30, first=1000)) as other:
        sync(tmp_path, mine)
        with pytest.raises(hk.ArchiveError, match="another account"):
            sync(tmp_path, other, full=full)
        assert len(sync(tmp_path, mine)) == 30


def test_another_key_is_refused_also_where_the_newest_rows_are_missing(tmp_path: Path) -> None:
    with Service(rows_of(30, step=3000)) as mine, Service(rows_of(30, first=1000)) as other:
        sync(tmp_path, mine)
        del mine.rows[:3]
        sync(tmp_path, mine, full=True)
        with pytest.raises(hk.ArchiveError, match="another account"):
            sync(tmp_path, other)
        assert len(hk.load(tmp_path)) == 30


def test_a_listing_that_is_whole_again_ends_the_complaint(tmp_path: Path) -> None:
    with Service(rows_of(30)) as service:
        sync(tmp_path, service)
        service.hidden = {"id5", "id6"}
        with pytest.raises(hk.PaginationError, match="Nothing was marked missing"):
            sync(tmp_path, service, full=True)
        service.hidden = set()
        assert sync(tmp_path, service, full=True)["missing_since"].isna().all()


def test_an_emptied_account_is_told_and_a_full_sync_marks_its_rows(tmp_path: Path) -> None:
    with Service(rows_of(30)) as service:
        sync(tmp_path, service)
        service.rows = []
        with pytest.raises(hk.ArchiveError, match="marks them missing"):
            sync(tmp_path, service)
        assert sync(tmp_path, service, full=True)["missing_since"].notna().all()


def test_a_date_of_the_future_hides_no_new_row(tmp_path: Path) -> None:
    with Service([row(0, NOW + 10**8), *rows_of(5, first=1)]) as service:
        sync(tmp_path, service)
        service.rows.insert(1, row(9, NOW))
        assert len(sync(tmp_path, service)) == 7


@pytest.mark.parametrize("dates", [[NOW, 5, 0, -5, -62_135_596_800], [253_402_300_799, NOW]])
def test_dates_of_any_year_are_kept(tmp_path: Path, dates: list[int]) -> None:
    with Service([row(number, date) for number, date in enumerate(dates)]) as service:
        sync(tmp_path, service)
        same(sync(tmp_path, service, full=True), hk.read_history(client=service.client, progress=False))


def test_a_row_that_gets_another_date_is_there_once(tmp_path: Path) -> None:
    with Service([*rows_of(3, step=86_400 * 40), row(77, None, state="processing")]) as service:
        with pytest.warns(UserWarning, match="violate the API's schema"):
            sync(tmp_path, service)
        service.rows = [row(77, NOW + 5), *service.rows[:3]]
        df = sync(tmp_path, service)
        assert df["history_item_id"].tolist() == ["id77", "id0", "id1", "id2"]
        service.rows = [{**service.rows[3], "date_unix": NOW + 6}, *service.rows[:3]]
        assert sync(tmp_path, service, full=True)["history_item_id"].tolist() == ["id2", "id77", "id0", "id1"]


def test_a_row_asked_for_alone_keeps_its_place_in_its_second(tmp_path: Path) -> None:
    tied = [row(number, NOW - 9000, state="processing" if number == 3 else "created") for number in range(1, 6)]
    with Service([row(0, NOW), *tied]) as service:
        sync(tmp_path, service)
        service.rows[3] = row(3, NOW - 9000, character_count_change_to=9)
        same(sync(tmp_path, service), hk.read_history(client=service.client, progress=False))


def test_a_voice_is_found_though_the_manifest_is_older_than_the_month(tmp_path: Path) -> None:
    with Service(rows_of(10)) as service:
        sync(tmp_path, service)
        manifest = (tmp_path / "_manifest.json").read_bytes()
        service.rows.insert(0, row(99, NOW + 5, voice_id="new", voice_name="Newcomer"))
        sync(tmp_path, service)
        (tmp_path / "_manifest.json").write_bytes(manifest)
        with pytest.warns(UserWarning, match="was not as histkit wrote it"):
            sync(tmp_path, service, full=True)
        assert len(hk.load(tmp_path, voice="newcomer")) == 1


def test_a_month_that_was_lost_here_and_there_is_forgotten(tmp_path: Path) -> None:
    with Service(rows_of(60, step=86_400 * 3)) as service:
        sync(tmp_path, service)
        lost = sorted(tmp_path.rglob("*.parquet"))[0]
        gone = set(pq.read_table(lost, columns=["history_item_id"], partitioning=None).column(0).to_pylist())
        lost.unlink()
        service.rows = [each for each in service.rows if each["history_item_id"] not in gone]
        assert len(sync(tmp_path, service, full=True)) == len(hk.load(tmp_path)) == 60 - len(gone)


def test_many_rows_that_were_processing_cost_few_requests(tmp_path: Path) -> None:
    waiting = [row(number, NOW - 9000 - number, state="processing") for number in range(1, 40)]
    with Service([row(0, NOW), *waiting]) as service:
        sync(tmp_path, service)
        service.rows = [{**each, "state": "created"} for each in service.rows]
        service.asked.clear()
        assert set(sync(tmp_path, service)["state"]) == {"created"}
        assert len(service.asked) <= 2
        service.rows = service.rows[:1]
        service.asked.clear()
        assert sync(tmp_path, service)["missing_since"].isna().all()
        assert len(service.asked) <= 2


NO_MANIFESTS = [
    *("", "{}", "[1]", "null", '{"schema_version": "x"}', '{"schema_version": 2, "months": 1}'),
    *('{"schema_version": 2, "accounts": {}}', '{"schema_version": 2, "months": {}}'),
    '{"schema_version": 2, "months": {"x": {"rows": 1, "bytes": 1}}}',
]


@pytest.mark.parametrize("text", NO_MANIFESTS)
def test_a_manifest_that_is_none_is_told_in_a_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "_manifest.json").write_text(text)
    with pytest.raises(hk.ArchiveError, match=r"_manifest\.json is damaged") as caught:
        hk.load(tmp_path)
    assert "\n" not in str(caught.value)
