"""What lies on disk: plain Parquet that any tool reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import histkit as hk
from histkit.archive.partitions import FILE_SCHEMA
from tests.local_history import DAY, NOVEMBER, NOW, OCTOBER, files_of, forget_checksums, ids_of, read, sync
from tests.raw_service import Service, row, same


def test_rows_lie_in_the_month_of_their_second_in_utc(service: Callable[..., Service], folder: Path) -> None:
    dates = [NOVEMBER + 1, NOVEMBER, NOVEMBER - 1, OCTOBER, OCTOBER - 1]
    of = service([row(number, date) for number, date in enumerate(dates)])
    same(sync(folder, of), read(of))
    assert sorted(files_of(folder)) == [f"year=2026/month={month}/history.parquet" for month in (10, 11, 9)]
    months = {
        month: pq.read_table(folder / f"year=2026/month={month}/history.parquet", partitioning=None)
        for month in (9, 10, 11)
    }
    assert {month: table["date_unix"].to_pylist() for month, table in months.items()} == {
        9: [OCTOBER - 1],
        10: [NOVEMBER - 1, OCTOBER],
        11: [NOVEMBER + 1, NOVEMBER],
    }
    assert hk.load(folder, after=OCTOBER, before=NOVEMBER)["date_unix"].tolist() == [NOVEMBER - 1, OCTOBER]
    assert hk.load(folder, after=NOVEMBER)["date_unix"].tolist() == [NOVEMBER + 1, NOVEMBER]
    assert hk.load(folder, before=OCTOBER)["date_unix"].tolist() == [OCTOBER - 1]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Service]]:
    """40,000 rows of one month, 40 voices."""
    rng = np.random.default_rng(3)
    voices = rng.integers(0, 40, 40_000)
    dates = np.sort(rng.integers(OCTOBER, NOVEMBER, 40_000))[::-1].tolist()
    rows = [
        row(number, date, voice_id=f"voice{voice:02}", voice_name=f"Name {voice} - of a voice", text="x" * 20)
        for number, (date, voice) in enumerate(zip(dates, voices.tolist(), strict=True))
    ]
    folder = tmp_path_factory.mktemp("large") / "history"
    with Service(rows) as of:
        hk.sync(folder, client=of.client, progress=False, diff=True)
        yield folder, of


def test_a_months_file_is_zstd_with_groups_narrow_in_voice_and_date(large: tuple[Path, Service]) -> None:
    file = pq.ParquetFile(large[0] / "year=2026/month=10/history.parquet")
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    assert len(groups) >= 5
    assert {group.column(0).compression for group in groups} == {"ZSTD"}
    assert json.loads(file.schema_arrow.metadata[b"histkit"])["schema_version"] == 3

    def holding(name: str, value: Any) -> int:
        place = file.schema_arrow.names.index(name)
        bounds = [group.column(place).statistics for group in groups]
        assert all(each.has_min_max and each.has_null_count for each in bounds)
        return sum(each.min <= value <= each.max for each in bounds)

    assert file.metadata.row_group(0).column(2).path_in_schema == "date_unix"
    assert holding("voice_id", "voice07") <= len(groups) // 2
    assert holding("voice_name", "Name 7 - of a voice") < len(groups)
    newest = (NOVEMBER - 1) - 3600
    assert holding("date_unix", newest) < len(groups)
    assert holding("date_unix", OCTOBER + 3600) < len(groups)
    table = pq.read_table(large[0] / "year=2026/month=10/history.parquet", partitioning=None)
    assert table.schema.names == FILE_SCHEMA.names


@pytest.mark.filterwarnings("ignore:.*'nobody' matches no voice")
def test_one_months_many_rows_come_in_order_and_of_a_voice_only_its_own(large: tuple[Path, Service]) -> None:
    df = hk.load(large[0])
    assert df["history_item_id"].tolist() == ids_of(large[1].rows)
    expected = df[df["voice_id"] == "voice07"]["history_item_id"].tolist()
    for asked in ("voice07", "name 7", "NAME 7 - of a voice", ["voice07", "nobody"]):
        assert hk.load(large[0], voice=asked)["history_item_id"].tolist() == expected
    assert len(hk.load(large[0], voice="nobody")) == 0


def test_groups_that_can_not_hold_what_is_asked_for_are_not_read(large: tuple[Path, Service], tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(large[0], folder)
    path = folder / "year=2026/month=10/history.parquet"
    metadata = pq.read_metadata(path)
    whole = hk.load(folder, columns=["history_item_id", "voice_id", "date_unix"])
    span = metadata.row_group(0)
    place = FILE_SCHEMA.names.index("voice_id")
    damaged = span.column(place).statistics
    with path.open("r+b") as file:  # the first group's voices, which a reader of that group needs
        at = span.column(place).dictionary_page_offset
        file.seek(at)
        file.write(b"\xff" * (span.column(place).total_compressed_size))
    with pytest.raises(hk.ArchiveError, match=r"month=10/history.parquet is damaged.*sync\(full=True\)"):
        hk.load(folder, voice="voice00")  # its checksum is that of the whole file
    forget_checksums(folder)
    voice = next(name for name in sorted(set(whole["voice_id"]), reverse=True) if name > damaged.max)
    got = hk.load(folder, voice=voice, columns=["history_item_id"])
    assert got["history_item_id"].tolist() == whole[whole["voice_id"] == voice]["history_item_id"].tolist()
    oldest = span.column(FILE_SCHEMA.names.index("date_unix")).statistics.min
    early = hk.load(folder, before=oldest, columns=["voice_id"])
    assert 0 < len(early) == (whole["date_unix"] < oldest).sum()
    with pytest.raises(hk.ArchiveError, match=r"month=10/history.parquet is damaged.*sync\(full=True\)"):
        hk.load(folder, voice=damaged.max)


def test_duckdb_reads_it(local: Path, whole: pd.DataFrame) -> None:
    with duckdb.connect() as db:
        for pattern in ("*/*/*.parquet", "**/*.parquet"):
            table = f"read_parquet('{local}/{pattern}', hive_partitioning = true)"
            rows = db.sql(f"SELECT count(*), sum(credits), count(DISTINCT voice_id) FROM {table}").fetchall()[0]
            assert rows == (len(whole), int(whole["credits"].sum()), whole["voice_id"].nunique())
        by_voice = db.sql(f"SELECT voice_name, sum(credits)::BIGINT FROM {table} GROUP BY ALL").fetchall()
        expected = whole.astype({"voice_name": object}).groupby("voice_name", dropna=False)["credits"].sum()
        assert {name: credits or 0 for name, credits in by_voice} == {
            None if pd.isna(name) else name: int(credits) for name, credits in expected.items()
        }
        ordered = db.sql(f"SELECT history_item_id FROM {table} ORDER BY date DESC, tie").fetchall()
        assert [item for (item,) in ordered] == whole["history_item_id"].tolist()
        months = db.sql(f"SELECT year::INT, month::INT, count(*) FROM {table} GROUP BY ALL ORDER BY ALL").fetchall()
        sizes = whole.groupby([whole["date"].dt.year, whole["date"].dt.month]).size()
        assert months == [(year, month, size) for (year, month), size in sizes.items()]


def test_duckdb_reads_rows_without_a_date_too(service: Callable[..., Service], folder: Path) -> None:
    with pytest.warns(UserWarning, match="violate"):
        df = sync(folder, service([row(1, NOW), row(2, NOW - 40 * DAY), row(3, None)]))
    with duckdb.connect() as db:
        table = f"read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
        ordered = db.sql(f"SELECT history_item_id FROM {table} ORDER BY date DESC NULLS LAST, tie").fetchall()
        assert [item for (item,) in ordered] == df["history_item_id"].tolist()
    assert ds.dataset(folder, partitioning="hive").count_rows() == 3


def test_pyarrow_and_pandas_read_it(local: Path, whole: pd.DataFrame) -> None:
    data = ds.dataset(local, partitioning="hive")
    assert data.count_rows() == len(whole)
    table = data.to_table(columns=["credits", "voice_name"], filter=pc.field("year") == 2026)
    assert pc.sum(table["credits"]).as_py() == whole.loc[whole["date"].dt.year == 2026, "credits"].sum()
    frame = pd.read_parquet(local, columns=["history_item_id", "credits", "date"])
    assert len(frame) == len(whole)
    assert frame["credits"].sum() == whole["credits"].sum()
    assert set(frame["history_item_id"]) == set(whole["history_item_id"])


def test_the_manifest_is_written_last_and_says_what_there_is(local: Path, whole: pd.DataFrame) -> None:
    manifest = json.loads((local / "_manifest.json").read_text())
    assert manifest["schema_version"] == 3
    assert {name: (local / name).stat().st_size for name in files_of(local)} == {
        name: month["bytes"] for name, month in manifest["months"].items()
    }
    assert sum(month["rows"] for month in manifest["months"].values()) == len(whole)
    assert manifest["accounts"][""]["watermark"] == whole["date_unix"].max()
    assert (local / "_manifest.json").stat().st_mtime_ns >= max(time for _, time in files_of(local).values())
    assert "sk_" not in (local / "_manifest.json").read_text()
