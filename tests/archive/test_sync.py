"""`sync`: everything once, then only what is new; nothing lost; what is gone is marked."""

from __future__ import annotations

import json
import os
import re
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

import histkit as hk
from histkit.frame import parquet_metadata as _versions
from histkit.sandbox import Sandbox
from tests.conftest import client_of
from tests.local_history import forget_checksums

KNOWN = [column.name for column in hk.COLUMNS]


def sync(path: Path, box: Sandbox, **options: Any) -> pd.DataFrame:
    options = {"progress": False, "max_retries": 8, **options}
    with client_of(box, max_retries=options.pop("max_retries")) as client:
        return hk.sync(path, client=client, **options)


def ids_of(box: Sandbox) -> list[str]:
    return [row["history_item_id"] for row in box.history()]


def changes(path: Path, box: Sandbox, **options: Any) -> dict[str, int]:
    found = sync(path, box, diff=True, **options)
    counts: dict[str, int] = found["change"].value_counts().to_dict()
    facts = found.attrs["histkit"]["diff"]
    assert {name: count for name, count in facts.items() if count} == counts
    return counts


def stamps(path: Path) -> dict[str, tuple[int, int]]:
    return {str(file): (file.stat().st_ino, file.stat().st_mtime_ns) for file in path.rglob("*.parquet")}


@pytest.mark.parametrize(("items", "workers"), [(1, 4), (999, 1), (1000, 4), (1001, 1), (4321, 4)])
def test_the_first_sync_has_every_row_in_the_services_order(
    box_of: Callable[..., Sandbox], tmp_path: Path, items: int, workers: int
) -> None:
    box = box_of(items=items, seed=items)
    df = sync(tmp_path, box, workers=workers)
    assert df["history_item_id"].tolist() == ids_of(box)
    assert len(box.requests()) <= -(-items // 1000) + 2 * workers + 3
    with client_of(box) as client:
        read = hk.read_history(client=client, progress=False)
    pd.testing.assert_frame_equal(df[KNOWN], read, check_categorical=False)
    assert df.columns.tolist() == [*KNOWN, "account", "missing_since"]
    assert df[["account", "missing_since"]].isna().all(axis=None)
    assert sorted(file.name for file in tmp_path.iterdir() if not file.name.startswith("year=")) == [
        ".histkit",
        "_manifest.json",
    ]


def test_with_nothing_new_two_requests_are_enough_and_no_month_is_touched(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(items=5000)
    sync(tmp_path, box)
    before = stamps(tmp_path)
    for _ in range(3):
        box.reset()
        assert changes(tmp_path, box) == {}
        assert len(box.requests()) <= 2
    assert stamps(tmp_path) == before


def test_new_rows_are_fetched_alone_and_only_their_month_is_written(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(items=5000)
    sync(tmp_path, box)
    before = stamps(tmp_path)
    new = box.add(7)
    box.reset()
    df = sync(tmp_path, box)
    assert df["history_item_id"].tolist() == ids_of(box)
    assert df["history_item_id"].tolist()[:7] == new[::-1]
    assert df.attrs["histkit"]["diff"] == {"new": 7, "changed": 0, "missing": 0}
    assert len(box.requests()) <= 2
    after = stamps(tmp_path)
    assert {file: stamp for file, stamp in after.items() if before.get(file) == stamp} == before


def test_rows_that_appear_late_and_rows_of_the_newest_second_are_found(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(items=1500)
    box.add(3)
    newest = box.history()[0]["date_unix"]
    sync(tmp_path, box)
    box.add(2, date_unix=newest)
    box.add(1, date_unix=newest - 3000)
    assert changes(tmp_path, box) == {"new": 3}
    assert sorted(hk.load(tmp_path)["history_item_id"]) == sorted(ids_of(box))
    assert changes(tmp_path, box) == {}


def test_a_second_of_more_rows_than_a_page_is_synced_again_without_loss(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(items=10)
    now = int(time.time())
    box.add(1700, date_unix=now)
    assert len(sync(tmp_path, box)) == 1710
    box.add(5, date_unix=now)
    assert changes(tmp_path, box) == {"new": 5}
    assert hk.load(tmp_path)["history_item_id"].tolist() == ids_of(box)


@pytest.mark.parametrize("count", [1, 30])
def test_rows_that_were_processing_are_asked_for_again(
    box_of: Callable[..., Sandbox], tmp_path: Path, count: int
) -> None:
    box = box_of(items=3000)
    now = int(time.time())
    early = [box.add(date_unix=now - 86_400 - 60 * number)[0] for number in range(count)]
    box.add(900, date_unix=now)
    for item in early:
        box.update(item, state="processing", character_count_change_to=0, character_count_change_from=0)
    sync(tmp_path, box)
    assert changes(tmp_path, box) == {}
    for item in early:
        box.update(item, state="created", character_count_change_to=77)
    assert changes(tmp_path, box) == {"changed": count}
    df = hk.load(tmp_path).set_index("history_item_id")
    assert set(df.loc[early, "credits"]) == {77}
    box.reset()
    assert changes(tmp_path, box) == {}
    assert len(box.requests()) <= 2


def test_a_processing_row_that_vanishes_is_marked(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(items=1000)
    now = int(time.time())
    item = box.add(date_unix=now - 86_400)[0]
    box.add(3, date_unix=now)
    box.update(item, state="processing")
    sync(tmp_path, box)
    box.remove(item)
    assert changes(tmp_path, box) == {"missing": 1}
    assert changes(tmp_path, box) == {}
    assert hk.load(tmp_path).set_index("history_item_id")["missing_since"].notna().sum() == 1


def test_a_full_sync_marks_what_is_gone_and_brings_changes_and_returns(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(items=2500)
    first = sync(tmp_path, box)
    ids = first["history_item_id"].tolist()
    gone = [ids[5], ids[1200], ids[2499]]
    kept = next(row for row in box.history() if row["history_item_id"] == gone[1])
    box.remove(gone)
    box.update(ids[700], text="said anew", character_count_change_to=10**6, character_count_change_from=10**6 - 5)
    assert changes(tmp_path, box) == {}
    found = sync(tmp_path, box, full=True, diff=True)
    assert found.groupby("change", observed=True)["history_item_id"].apply(set).to_dict() == {
        "missing": set(gone),
        "changed": {ids[700]},
    }
    df = hk.load(tmp_path)
    assert df["history_item_id"].tolist() == ids
    assert set(df["history_item_id"][df["missing_since"].notna()]) == set(gone)
    assert df.set_index("history_item_id").loc[ids[700], ["text", "credits"]].tolist() == ["said anew", 5]
    assert (
        df["credits"].sum() - first["credits"].sum() == 5 - first.set_index("history_item_id").loc[ids[700], "credits"]
    )
    assert changes(tmp_path, box, full=True) == {}
    again = {name: value for name, value in kept.items() if name != "alignments"}
    box.add(**again)
    assert changes(tmp_path, box, full=True) == {"changed": 1}
    assert hk.load(tmp_path)["missing_since"].notna().sum() == 2


def test_an_account_that_was_emptied_keeps_its_rows_here(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(items=700)
    df = sync(tmp_path, box)
    box.remove(ids_of(box))
    assert changes(tmp_path, box, full=True) == {"missing": 700}
    assert hk.load(tmp_path)["credits"].sum() == df["credits"].sum()


def test_deleting_the_newest_rows_upstream_does_not_stop_a_sync(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(items=1200)
    new = box.add(4)
    sync(tmp_path, box)
    box.remove(new)
    assert changes(tmp_path, box) == {}
    box.add(2)
    assert changes(tmp_path, box) == {"new": 2}


def test_another_accounts_key_is_refused_and_mixes_nothing(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box, other = box_of(items=1200), box_of(items=1300, seed=9)
    sync(tmp_path, box)
    before = stamps(tmp_path)
    for full in (False, True):
        with pytest.raises(hk.ArchiveError, match="another account"):
            sync(tmp_path, other, full=full)
        (tmp_path / ".histkit" / "spool" / "state.json").unlink(missing_ok=True)
    assert stamps(tmp_path) == before
    assert changes(tmp_path, box) == {}


def test_accounts_are_told_apart_and_one_that_fails_does_not_sink_the_others(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    boxes = {"studio": box_of(items=1100), "../agency ä": box_of(items=900, seed=4)}
    clients: dict[str, hk.HistoryClient] = {name: client_of(box) for name, box in boxes.items()}
    df = hk.sync(tmp_path, accounts=clients, progress=False)
    for name, box in boxes.items():
        assert df["history_item_id"][df["account"] == name].tolist() == ids_of(box)
    assert df["date"].is_monotonic_decreasing
    assert len(hk.load(tmp_path, account="studio")) == 1100
    boxes["studio"].add(2)
    broken = {"bad": client_of(boxes["studio"], api_key="sk_wrong"), **clients}
    with pytest.warns(UserWarning, match="1 of 3 accounts were not synced: bad: "):
        df = hk.sync(tmp_path, accounts=broken, progress=False)
    assert set(df.attrs["histkit"]["failed"]) == {"bad"}
    assert df.attrs["histkit"]["diff"]["new"] == 2
    with pytest.raises(hk.AuthenticationError):
        hk.sync(tmp_path, accounts={"bad": broken["bad"]}, progress=False)
    with pytest.raises(hk.InputError, match="accounts="):
        hk.sync(tmp_path, client=clients["studio"], progress=False)
    inside = [path for path in tmp_path.parent.rglob("*agency*")]
    assert not inside


def test_names_come_before_or_never(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(items=10)
    sync(tmp_path, box)
    with pytest.raises(hk.InputError, match="one client"):
        hk.sync(tmp_path, accounts={"a": client_of(box)}, progress=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"workers": 0}, "workers"),
        ({"accounts": {}}, "accounts="),
        ({"accounts": {" ": 1}}, "HistoryClient"),
        ({"accounts": {"a": "sk_key"}}, "HistoryClient"),
        ({"client": "sk_key"}, "HistoryClient"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(hk.InputError, match=words) as caught:
        hk.sync(tmp_path / "h", **arguments)
    assert "sk_key" not in str(caught.value)
    with pytest.raises(hk.InputError, match="folder of this machine"):
        hk.sync("s3://bucket/history", progress=False)


def test_two_syncs_at_once_the_second_says_so(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(items=4000, latency=0.1)
    first = threading.Thread(target=sync, args=(tmp_path, box), kwargs={"workers": 1})
    first.start()
    time.sleep(0.3)
    with pytest.raises(hk.ArchiveError, match="Another sync is writing"):
        sync(tmp_path, box)
    first.join()
    assert hk.load(tmp_path)["history_item_id"].tolist() == ids_of(box)


def test_a_load_during_a_sync_sees_whole_months(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(items=1500)
    sync(tmp_path, box)
    errors: list[BaseException] = []
    stop = threading.Event()

    def look() -> None:
        try:
            while not stop.is_set():
                assert len(hk.load(tmp_path)) >= 1500
        except BaseException as error:
            errors.append(error)

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(6):
        box.add(50, date_unix=int(time.time()) - 100 * number)
        sync(tmp_path, box, full=number % 2 == 0, diff=True)
    stop.set()
    reader.join()
    assert errors == []
    assert len(hk.load(tmp_path)) == 1800


def stop_halfway(path: Path, box: Sandbox, workers: int) -> str:
    """Sync from a service that fails until pages are on disk and the sync has stopped; give the error's words."""
    for share in (0.3, 0.3, 0.2, 0.2, 0.1, 0.1):
        box.set(error_503=share)
        try:
            sync(path, box, max_retries=0, workers=workers, full=True, diff=True)
        except hk.PaginationError as error:
            box.set(error_503=None)
            return str(error)
        except hk.ServerError:
            continue  # the very first request
    raise AssertionError


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sync_that_stops_goes_on_where_it_was(box_of: Callable[..., Sandbox], tmp_path: Path, workers: int) -> None:
    box = box_of(items=30_000)
    words = stop_halfway(tmp_path, box, workers)
    kept = int(re.search(r"The ([\d,]+) rows read so far are kept; run sync again", words)[1].replace(",", ""))  # type: ignore[index]
    assert 1000 <= kept < 30_000
    box.reset()
    df = sync(tmp_path, box, workers=workers)
    assert df["history_item_id"].tolist() == ids_of(box)
    pages = [each for each in box.requests() if each["path"] == "/v1/history"]
    assert len(pages) <= -(-(30_000 - kept) // 1000) + 2 * workers + 4
    assert not any(tmp_path.rglob("*.arrow"))


def test_a_half_done_sync_of_another_key_is_refused(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box, other = box_of(items=20_000), box_of(items=3000, seed=8)
    stop_halfway(tmp_path, box, 1)
    with pytest.raises(hk.ArchiveError, match="unfinished first sync"):
        hk.load(tmp_path)
    with pytest.raises(hk.ArchiveError, match="belongs to another account"):
        sync(tmp_path, other)
    assert sync(tmp_path, box)["history_item_id"].tolist() == ids_of(box)


def test_a_manifest_older_than_its_months_loses_nothing(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(items=2000)
    sync(tmp_path, box)
    manifest = (tmp_path / "_manifest.json").read_bytes()
    box.add(5)
    sync(tmp_path, box)
    (tmp_path / "_manifest.json").write_bytes(manifest)
    box.add(1)
    with pytest.raises(hk.ArchiveError, match=r"history\.parquet .*sync\(full=True\)"):
        sync(tmp_path, box)
    with pytest.warns(UserWarning, match="was not as histkit wrote it"):
        assert sync(tmp_path, box, full=True)["history_item_id"].tolist() == ids_of(box)
    (tmp_path / "_manifest.json").unlink()
    assert sync(tmp_path, box)["history_item_id"].tolist() == ids_of(box)
    assert json.loads((tmp_path / "_manifest.json").read_bytes())["schema_version"] == 3


def test_any_tool_reads_the_folder(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(items=3000)
    df = sync(tmp_path, box)
    files = f"{tmp_path}/**/*.parquet"
    total = duckdb.sql(f"SELECT count(*), sum(credits) FROM read_parquet('{files}', hive_partitioning = true)")
    assert total.fetchall() == [(3000, df["credits"].sum())]
    [month] = duckdb.sql(f"SELECT count(*) FROM '{files}' WHERE year = 2026 AND month = 9").fetchall()
    inside = (df["date"] >= "2026-09-01") & (df["date"] < "2026-10-01")
    assert month == (inside.sum(),)
    ordered = duckdb.sql(f"SELECT history_item_id FROM '{files}' ORDER BY date DESC, tie").fetchall()
    assert [item for (item,) in ordered] == df["history_item_id"].tolist()
    table = pads.dataset(tmp_path, partitioning="hive").to_table()
    assert table.num_rows == len(pd.read_parquet(tmp_path)) == 3000
    for file in tmp_path.rglob("*.parquet"):
        assert b'"schema_version": 3' in pq.read_schema(file).metadata[b"histkit"]
        assert pq.ParquetFile(file).metadata.row_group(0).column(0).compression == "ZSTD"
        assert file.parent.name.startswith("month=")
        dates = pd.DatetimeIndex(pq.read_table(file, columns=["date"])["date"].to_pandas()).tz_convert("UTC")
        assert {f"year={date.year}/month={date.month}" for date in dates} == {
            f"{file.parent.parent.name}/{file.parent.name}"
        }


def test_the_statistics_make_a_voice_cheap_to_find(tmp_path: Path) -> None:
    from histkit.archive.partitions import FILE_SCHEMA, PartitionReader, writing_month
    from histkit.frame.schema import to_arrow
    from histkit.util.storage import ReadStore

    frame = hk.sample_history(3000)
    frame = pd.concat([frame] * 15, ignore_index=True)
    frame["date_unix"] = pd.array(range(1_793_000_000, 1_793_000_000 - len(frame), -1), dtype="Int64")
    frame = frame.assign(account=None, missing_since=pd.NaT)
    table = to_arrow(frame.assign(tie=0))
    table = table.set_column(table.column_names.index("tie"), "tie", table.column("tie").cast("int32"))
    with writing_month(tmp_path, "a.parquet") as month:
        month.add(table.select(FILE_SCHEMA.names).cast(FILE_SCHEMA))
    with PartitionReader(ReadStore(tmp_path), "a.parquet") as file:
        groups = list(file.groups())
        spans = [file.bounds(group, "voice_id") for group in groups]
        rachel = [span for span in spans if span and span[0] <= "21m00Tcm4TlvDq8ikWAM" <= span[1]]
        assert 0 < len(rachel) <= len(groups) / 2
        dates = {file.bounds(group, "date_unix")[:2] for group in groups}  # type: ignore[index]
        assert len(dates) >= 2
        assert max(date for _, date in dates) == 1_793_000_000


@pytest.fixture(scope="module")
def folder(shared_box: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("local") / "history"
    sync(path, shared_box)
    return path


@pytest.mark.filterwarnings("ignore:.*'nobody' matches no voice")
@pytest.mark.parametrize(
    "conditions",
    [
        {"voice": "rachel"},
        {"voice": "21m00Tcm4TlvDq8ikWAM"},
        {"voice": ["Roger", "Lucía"], "model": "eleven_v3"},
        {"voice": "nobody"},
        {"model": ["eleven_v3", "eleven_multilingual_v2"]},
        {"source": "tts"},
        {"after": "2026-02-01", "before": "2026-06-15 12:00"},
        {"after": "2026-10-31", "voice": "Narrator"},
        {"before": "2020-01-01"},
        {},
    ],
)
def test_a_load_is_the_same_as_filtering_the_whole(folder: Path, conditions: dict[str, Any]) -> None:
    whole = hk.load(folder)
    expected = whole.speech.filter(**conditions).reset_index(drop=True)
    pd.testing.assert_frame_equal(hk.load(folder, **conditions), expected, check_categorical=False)
    some = hk.load(folder, columns=["credits", "text", "date"], **conditions)
    pd.testing.assert_frame_equal(some, expected[["credits", "text", "date"]], check_categorical=False)
    lazy = hk.scan(folder, **conditions).compute().reset_index(drop=True)
    pd.testing.assert_frame_equal(lazy, expected, check_categorical=False)


def test_a_scan_gives_the_numbers_of_pandas(folder: Path) -> None:
    df, ddf = hk.load(folder), hk.scan(folder)
    assert ddf.npartitions == len(list(folder.rglob("*.parquet")))
    pd.testing.assert_frame_equal(ddf.speech.usage("voice", "MS").compute(), df.speech.usage("voice", "MS"))
    mine, theirs = df.speech.takes(), ddf.speech.takes().compute()
    assert mine["thrown_away"].sum() == theirs["thrown_away"].sum()
    rules = {"rule": [{"label": "Acme", "voice": "Rachel"}]}
    lazy = ddf.speech.label(rules).speech.usage("client").compute()
    pd.testing.assert_frame_equal(lazy, df.speech.label(rules).speech.usage("client"))


def test_what_is_not_asked_for_is_not_read(shared_box: Sandbox, tmp_path: Path) -> None:
    sync(tmp_path, shared_box)
    damaged = sorted(tmp_path.rglob("*.parquet"))[0]
    oldest = min(tmp_path.rglob("*.parquet"), key=lambda path: [int(part.split("=")[1]) for part in path.parts[-3:-1]])
    oldest.write_bytes(b"PAR1" + os.urandom(500) + b"PAR1")
    assert len(hk.load(tmp_path, after="2026-09-01")) > 0
    with pytest.raises(hk.ArchiveError, match=r"history\.parquet is damaged.* Restore a copy, or run") as caught:
        hk.load(tmp_path)
    assert str(oldest) in str(caught.value)
    assert damaged.exists()
    oldest.unlink()
    with pytest.raises(hk.ArchiveError, match="is missing: restore a copy") as caught:
        hk.load(tmp_path)
    df = sync(tmp_path, shared_box, full=True)
    assert df["history_item_id"].tolist() == ids_of(shared_box)


def test_a_newest_month_that_vanished_is_not_replaced_by_the_newest_hour(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(items=2000)
    sync(tmp_path, box)
    box.add(1, date_unix=box.history()[0]["date_unix"])
    newest = tmp_path / "year=2026" / "month=10" / "history.parquet"
    newest.unlink()
    with pytest.raises(hk.ArchiveError, match="is missing"):
        sync(tmp_path, box)
    assert sync(tmp_path, box, full=True)["history_item_id"].tolist() == ids_of(box)


def test_an_older_file_is_upgraded_and_a_newer_one_refused(
    box_of: Callable[..., Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = box_of(items=1500)
    df = sync(tmp_path, box)
    file = max(tmp_path.rglob("*.parquet"), key=lambda path: path.stat().st_size)
    table = pq.read_table(file, partitioning=None).drop_columns(["account", "missing_since", "tie"])
    table = table.set_column(0, "history_item_id", table.column(0).cast("string"))
    place = table.column_names.index("voice_name")
    table = table.set_column(place, "voice_name", table.column(place).cast("string"))
    place = table.column_names.index("characters")
    table = table.set_column(place, "characters", table.column(place).cast("int32"))
    table = table.sort_by([("date_unix", "descending")])
    pq.write_table(table.replace_schema_metadata({b"histkit": b'{"schema_version": 1}'}), file)
    forget_checksums(tmp_path)
    again = hk.load(tmp_path)
    assert again.dtypes.astype(str).equals(df.dtypes.astype(str))
    assert sorted(again["history_item_id"]) == sorted(df["history_item_id"])
    assert changes(tmp_path, box, full=True) == {}
    pq.write_table(table.replace_schema_metadata({b"histkit": b'{"schema_version": 99}'}), file)
    forget_checksums(tmp_path)
    with pytest.raises(hk.ArchiveError, match="newer histkit"):
        hk.load(tmp_path)
    (tmp_path / "_manifest.json").write_text('{"schema_version": 99}')
    with pytest.raises(hk.ArchiveError, match="newer histkit"):
        hk.load(tmp_path)
    (tmp_path / "_manifest.json").write_text('{"schema_ver')
    with pytest.raises(hk.ArchiveError, match="damaged"):
        hk.load(tmp_path)
    assert _versions.SCHEMA_VERSION == 3


def test_urls_of_fsspec_are_read(folder: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for path in folder.rglob("*"):
        if path.is_file():
            memory.pipe(f"/bucket/{path.relative_to(folder)}", path.read_bytes())
    whole = hk.load(folder)
    for url in ("memory://bucket", f"file://{folder}"):
        pd.testing.assert_frame_equal(hk.load(url), whole)
        pd.testing.assert_frame_equal(hk.scan(url).compute().reset_index(drop=True), whole, check_categorical=False)
    with pytest.raises(hk.ArchiveError, match="no local history"):
        hk.load("memory://nothing")
    with pytest.raises(hk.ArchiveError, match="Protocol not known"):
        hk.load("nosuch://bucket")
    with pytest.raises(hk.InputError, match="storage_options="):
        hk.load(folder, storage_options={"key": "x"})
    with pytest.raises(hk.InputError, match="columns='colour'"):
        hk.load(folder, columns=["colour"])
    with pytest.raises(hk.ArchiveError, match="no local history: sync first"):
        hk.load(folder / "none")


def test_what_was_found_is_said_in_a_line(
    box_of: Callable[..., Sandbox], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sync(tmp_path, box_of(items=12), progress=None)
    assert capsys.readouterr().err.startswith(f"{tmp_path}: 12 rows; 12 new, 0 changed, 0 missing (")


@pytest.mark.parametrize("call", [hk.sync, hk.load, hk.scan])
def test_a_folder_that_is_none_is_told(call: Any, tmp_path: Path) -> None:
    with pytest.raises(hk.InputError, match="A path must be"):
        call(hk.HistoryClient("sk_a"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(hk.ArchiveError, match="file") as caught:
        call(tmp_path / "file", **({"client": hk.HistoryClient("sk_a")} if call is hk.sync else {}))
    assert "\n" not in str(caught.value)


def test_the_home_folder_is_known_by_its_sign(
    box_of: Callable[..., Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(sync(Path("~/history"), box_of(items=20))) == len(hk.load("~/history")) == 20
    assert (tmp_path / "history" / "_manifest.json").exists()
