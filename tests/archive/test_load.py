"""Reading a local history: no more than is asked for, older and newer versions, damage, and fsspec."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.archive.partitions import FILE_SCHEMA
from histkit.frame.schema import SCHEMA
from histkit.sandbox import Sandbox
from tests.conftest import client_of
from tests.effort import examples, some
from tests.local_history import DAY, NOTHING, NOW, files_of, forget_checksums, found, read, sync
from tests.raw_service import Service, row, same

LINE = pa.struct([(name, pa.large_string()) for name in ("text", "voice_id", "voice_name")])


@pytest.mark.filterwarnings("ignore:.* matches no ")
@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_asked_for_is_what_filtering_the_whole_gives(
    local: Path, whole: pd.DataFrame, data: st.DataObject
) -> None:
    def some(column: str, *more: str) -> Any:
        values = sorted(whole[column].dropna().unique())
        return st.lists(st.sampled_from([*values, *more]), max_size=3)

    names = sorted(whole["voice_name"].dropna().unique())
    short = st.sampled_from([name.split(" - ")[0].upper() for name in names] + ["nobody"])
    asked: dict[str, Any] = {}
    if data.draw(st.booleans()):
        asked["voice"] = data.draw(some("voice_id") | some("voice_name") | short | st.lists(short, max_size=3))
    if data.draw(st.booleans()):
        asked["model"] = data.draw(some("model_id", "no_model"))
    if data.draw(st.booleans()):
        asked["source"] = data.draw(some("source", "tts"))
    moments = st.sampled_from([*whole["date"].tolist(), pd.Timestamp("2026-06-01", tz="UTC")])
    dates = sorted(data.draw(st.lists(moments, max_size=2)))
    asked |= {"after": dates[0]} if dates else {}
    asked |= {"before": dates[1]} if len(dates) == 2 else {}
    columns = data.draw(st.none() | st.lists(st.sampled_from(whole.columns.tolist()), min_size=1, unique=True))
    got = hk.load(local, columns=columns, **asked)
    expected = hk.filter_items(whole, **asked).reset_index(drop=True)
    expected = expected if columns is None else expected[columns]
    pd.testing.assert_frame_equal(got, expected, check_categorical=False)
    assert got.dtypes.astype(str).equals(expected.dtypes.astype(str))


def test_columns_come_in_the_order_they_are_asked_for(local: Path, whole: pd.DataFrame) -> None:
    got = hk.load(local, columns=["credits", "date", "credits", "dialogue", "account"])
    assert got.columns.tolist() == ["credits", "date", "dialogue", "account"]
    same(got[["credits"]], whole[["credits"]])
    with pytest.raises(hk.InputError, match=r"columns=\['text'\]"):
        hk.load(local, columns="text")
    with pytest.raises(hk.InputError, match="'tie' is not a column"):
        hk.load(local, columns=["text", "tie"])
    with pytest.raises(hk.InputError, match="later than"):
        hk.load(local, after="2026-02-01", before="2026-01-01")
    with pytest.raises(hk.InputError, match="after"):
        hk.load(local, after="yesterday or so")
    with pytest.raises(hk.InputError, match="storage_options"):
        hk.load(local, storage_options={"anon": True})


def test_months_outside_the_dates_are_not_opened(local: Path, whole: pd.DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(local, folder)
    victim = folder / "year=2026/month=3/history.parquet"
    victim.write_bytes(b"PAR1 this is no month PAR1")
    for span in ({"after": "2026-04-01"}, {"before": "2026-03-01"}, {"after": "2026-04-01", "before": "2026-04-02"}):
        same(hk.load(folder, **span), hk.filter_items(whole, **span).reset_index(drop=True))
    for span in ({}, {"after": "2026-03-31T23:59:59"}, {"before": "2026-03-01T00:00:01"}):
        with pytest.raises(hk.ArchiveError, match=r"2026/month=3/history.parquet is damaged.*sync\(full=True\)"):
            hk.load(folder, **span)
    assert hk.load(folder, after="2026-04-01").attrs["histkit"]["complete"] is True


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "a folder"])
def test_a_month_that_is_damaged_or_missing_is_named_and_a_full_sync_brings_it_back(
    shared_box: Sandbox, local: Path, whole: pd.DataFrame, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(local, folder)
    victim = folder / "year=2026/month=3/history.parquet"
    data = victim.read_bytes()
    victim.unlink()
    if damage == "a folder":
        victim.mkdir()
    elif damage != "gone":
        victim.write_bytes(data[: len(data) // 2] if damage == "cut" else b"")
    with pytest.raises(hk.ArchiveError, match=r"month=3/history.parquet .*sync\(full=True\)|can't be read"):
        hk.load(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what was moved aside
        same(sync(folder, shared_box, full=True), whole)
    aside = [path for path in (folder / ".histkit-aside").rglob("*") if path.name == "history.parquet.aside"]
    assert len(aside) == (damage != "gone")


def test_a_lost_month_that_the_service_has_no_more_is_forgotten_by_a_full_sync(
    service: Callable[..., Service], folder: Path
) -> None:
    of = service([row(number, NOW - 3 * DAY * number) for number in range(60)])
    df = sync(folder, of)
    lost = sorted(files_of(folder))[1]
    year, month = (int(part.partition("=")[2]) for part in lost.split("/")[:2])
    inside = (df["date"].dt.year == year) & (df["date"].dt.month == month)
    of.rows = [each for each in of.rows if each["history_item_id"] not in set(df.loc[inside, "history_item_id"])]
    (folder / lost).unlink()
    same(sync(folder, of, full=True), df[~inside].reset_index(drop=True))
    same(hk.load(folder), df[~inside].reset_index(drop=True))


def test_a_month_of_version_1_is_made_like_todays_in_reading_and_in_syncing(
    box_of: Callable[..., Sandbox], folder: Path
) -> None:
    box = box_of(items=600)
    df = sync(folder, box)
    path = folder / max(files_of(folder), key=lambda name: (folder / name).stat().st_size)
    rows = pq.read_table(path, partitioning=None)
    rows = rows.sort_by([("date_unix", "descending"), ("tie", "ascending")])
    arrays = {}
    for name in SCHEMA.names:
        column = rows.column(name)
        if name == "dialogue":
            column = pa.chunked_array(
                [pa.array([text and json.loads(text) for text in column.to_pylist()], pa.list_(LINE))]
            )
        elif pa.types.is_dictionary(column.type) or column.type == pa.large_string():
            column = column.cast(pa.string())
        elif name in ("characters", "credits"):
            column = column.cast(pa.int32())
        elif name == "date":
            column = column.cast(pa.timestamp("ms", "UTC"))
        arrays[name] = column
    old = pa.table(arrays).replace_schema_metadata({b"histkit": b'{"schema_version": 1}'})
    pq.write_table(old, path, row_group_size=50)
    forget_checksums(folder)
    same(hk.load(folder), df)
    some = df["voice_name"].dropna().iloc[5]
    same(hk.load(folder, voice=some), hk.filter_items(df, voice=some).reset_index(drop=True))
    after = hk.load(folder, after=int(df["date_unix"].median()))
    same(after, hk.filter_items(df, after=int(df["date_unix"].median())).reset_index(drop=True))
    assert found(sync(folder, box, full=True)) == NOTHING
    inside = set(rows["history_item_id"].to_pylist())
    item = next(each for each in box.history() if each["history_item_id"] in inside)
    box.update(item["history_item_id"], share_link_id="changed")
    again = sync(folder, box, full=True)
    assert found(again) == {"new": 0, "changed": 1, "missing": 0}
    same(again, read(box))
    assert pq.read_schema(path).metadata[b"histkit"] == FILE_SCHEMA.metadata[b"histkit"]
    assert pq.read_schema(path).names == FILE_SCHEMA.names


@pytest.mark.parametrize("where", ["month", "manifest"])
def test_what_a_newer_histkit_wrote_is_left_alone(service: Callable[..., Service], folder: Path, where: str) -> None:
    of = service([row(1, NOW)])
    sync(folder, of)
    if where == "month":
        path = folder / next(iter(files_of(folder)))
        table = pq.read_table(path, partitioning=None)
        pq.write_table(table.replace_schema_metadata({b"histkit": b'{"schema_version": 99}'}), path)
        forget_checksums(folder)
    else:
        manifest = json.loads((folder / "_manifest.json").read_text())
        (folder / "_manifest.json").write_text(json.dumps(manifest | {"schema_version": 99, "accounts": "other"}))
    before = files_of(folder)
    for act in (lambda: hk.load(folder), lambda: sync(folder, of), lambda: sync(folder, of, full=True)):
        with pytest.raises(hk.ArchiveError, match="newer histkit: upgrade"):
            act()
    assert files_of(folder) == before


DAMAGED_MANIFESTS = [
    *(b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"schema_version": "2"}', b'{"schema_version": 2, "months": 3}'),
    b'{"schema_version": 2, "months": {"nonsense": {"rows": 1, "bytes": 1}}}',
    b'{"schema_version": 2, "months": {"year=2026/month=13/history.parquet": {"rows": 1, "bytes": 1}}}',
    b'{"schema_version": 2, "months": {"../year=2026/month=1/history.parquet": {"rows": 1, "bytes": 1}}}',
    b'{"schema_version": 2, "accounts": {"": {"watermark": "now"}}}',
]
NINE = [row(number, NOW - 10 * DAY * number, voice_id="v", voice_name="Vera") for number in range(9)]


def test_a_damaged_manifest_is_named(service: Callable[..., Service], folder: Path) -> None:
    of = service(NINE)
    sync(folder, of)
    for data in DAMAGED_MANIFESTS:
        (folder / "_manifest.json").write_bytes(data)
        for act in (lambda: hk.load(folder), lambda: sync(folder, of)):
            with pytest.raises(hk.ArchiveError, match=r"_manifest.json is damaged .* or run sync\(full=True\)"):
                act()


@pytest.mark.parametrize("data", some(DAMAGED_MANIFESTS, b"{", DAMAGED_MANIFESTS[8], DAMAGED_MANIFESTS[-1]))
def test_a_full_sync_makes_a_new_manifest(service: Callable[..., Service], folder: Path, data: bytes) -> None:
    of = service(NINE)
    df = sync(folder, of)
    (folder / "_manifest.json").write_bytes(data)
    del of.rows[4]
    with pytest.warns(UserWarning, match=r"_manifest\.json: damaged; made again from the months; moved to "):
        again = sync(folder, of, full=True)
    assert found(again) == {"new": 0, "changed": 0, "missing": 1}
    same(again.drop(columns="missing_since"), df.drop(columns="missing_since"))
    assert len(hk.load(folder, voice="vera")) == 9


def test_where_there_is_nothing_to_read_the_error_says_what_to_do(
    service: Callable[..., Service], folder: Path
) -> None:
    with pytest.raises(hk.ArchiveError, match="holds no local history: sync first") as caught:
        hk.load(folder)
    assert str(folder) in str(caught.value)
    assert not folder.exists()
    of = service([row(number, NOW - number) for number in range(3000)])
    whole = of.answer
    of.answer = lambda path, query: whole(path, query) if len(of.asked) < 2 else None  # type: ignore[method-assign]
    with pytest.raises(hk.PaginationError, match=r"The 2,000 rows read so far are kept; run sync again"):
        sync(folder, of, workers=1)
    with pytest.raises(hk.ArchiveError, match="an unfinished first sync: run sync again"):
        hk.load(folder)


def test_a_folder_behind_fsspec_is_read_the_same(local: Path, whole: pd.DataFrame) -> None:
    memory = fsspec.filesystem("memory")
    for path in local.rglob("*"):
        if path.is_file() and path.name != "lock":
            memory.pipe(f"/archive/{path.relative_to(local)}", path.read_bytes())
    some = whole["voice_name"].dropna().iloc[0]
    try:
        for url in ("memory://archive", "memory://archive/", f"file://{local}"):
            df = hk.load(url)
            same(df, whole)
            assert df.attrs["histkit"]["path"] == url.rstrip("/")
            got = hk.load(url, voice=some, after="2026-01-01", columns=["date", "text"])
            expected = hk.filter_items(whole, voice=some, after="2026-01-01")[["date", "text"]].reset_index(drop=True)
            pd.testing.assert_frame_equal(got, expected)
            ddf = hk.scan(url, columns=["credits", "date"])
            assert int(ddf["credits"].sum().compute(scheduler="sync")) == int(whole["credits"].sum())
        same(hk.load(f"file://{local}", storage_options={"auto_mkdir": False}), whole)
        with pytest.raises(hk.ArchiveError, match="memory://elsewhere holds no local history"):
            hk.load("memory://elsewhere")
        with pytest.raises(hk.ArchiveError, match="nosuchprotocol://x"):
            hk.load("nosuchprotocol://x")
        memory.rm("/archive/year=2026/month=3/history.parquet")
        with pytest.raises(hk.ArchiveError, match=r"memory://archive/year=2026/month=3/history\.parquet is missing"):
            hk.load("memory://archive")
    finally:
        memory.rm("/archive", recursive=True)


@pytest.mark.parametrize("failing", ["open", "read"])
def test_a_remote_store_that_fails_in_its_own_way_is_one_line_that_names_the_file(
    local: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    memory = fsspec.filesystem("memory")
    read, open_file = MemoryFile.read, MemoryFileSystem.open

    def failing_read(file: MemoryFile, *size: int) -> bytes:
        if str(file.path).endswith(".parquet"):
            raise RuntimeError("the token has\nexpired")
        return bytes(read(file, *size))

    def failing_open(system: MemoryFileSystem, path: str, *arguments: Any, **options: Any) -> Any:
        if path.endswith(".parquet"):
            raise RuntimeError("the token has\nexpired")
        return open_file(system, path, *arguments, **options)

    try:
        for path in local.rglob("*"):
            if path.is_file() and path.name != "lock":
                memory.pipe(f"/failing/{path.relative_to(local)}", path.read_bytes())
        if failing == "read":
            monkeypatch.setattr(MemoryFile, "read", failing_read)
        else:
            monkeypatch.setattr(MemoryFileSystem, "open", failing_open)
        with pytest.raises(hk.ArchiveError, match=r"/history\.parquet .*the token has expired") as caught:
            hk.load("memory://failing")
        assert "\n" not in str(caught.value)
    finally:
        memory.rm("/failing", recursive=True)


def test_a_month_is_opened_once_so_that_a_sync_can_replace_it_meanwhile(
    local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, opened, open_file = fsspec.filesystem("memory"), list[str](), MemoryFileSystem.open

    def counted(system: MemoryFileSystem, path: str, *arguments: Any, **options: Any) -> Any:
        opened.append(path)
        return open_file(system, path, *arguments, **options)

    try:
        for path in local.rglob("*"):
            if path.is_file() and path.name != "lock":
                memory.pipe(f"/once/{path.relative_to(local)}", path.read_bytes())
        monkeypatch.setattr(MemoryFileSystem, "open", counted)
        for conditions in ({}, {"voice": "Rachel", "after": "2026-01-01"}):
            opened.clear()
            assert len(hk.load("memory://once", **conditions)) > 0
            months = [path for path in opened if path.endswith(".parquet")]
            assert len(months) == len(set(months)) > 0
    finally:
        memory.rm("/once", recursive=True)


def test_scan_gives_the_rows_of_load_month_by_month(local: Path, whole: pd.DataFrame) -> None:
    ddf = hk.scan(local)
    assert ddf.npartitions == len(files_of(local))
    got = ddf.compute(scheduler="sync").reset_index(drop=True)
    same(got, whole)
    some = whole["voice_name"].dropna().iloc[0]
    part = hk.scan(local, voice=some, before="2026-06-01").compute(scheduler="sync").reset_index(drop=True)
    same(part, hk.filter_items(whole, voice=some, before="2026-06-01").reset_index(drop=True))
    with pytest.warns(UserWarning, match="voice='nobody' matches no voice"):
        nothing = hk.scan(local, voice="nobody")
    assert len(nothing.compute(scheduler="sync")) == 0
    with pytest.raises(hk.ArchiveError, match="no local history"):
        hk.scan(local / "nowhere")


def test_a_path_may_be_a_str_and_the_default_is_data_history(
    shared_box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    df = hk.sync(client=client_of(shared_box), progress=False)
    assert (tmp_path / "data" / "history" / "_manifest.json").is_file()
    same(hk.load("data/history/"), df)
    same(hk.load(), df)
    if os.name == "posix":
        assert (tmp_path / "data/history/_manifest.json").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
