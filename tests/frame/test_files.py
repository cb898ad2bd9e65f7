"""Parquet and CSV: what goes in comes out, whole files or none, nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape

import histkit as hk
from histkit.frame import files, parquet_metadata
from histkit.frame.json_values import records
from histkit.util.text import cell_text
from tests.effort import examples


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    return hk.sample_history(800)


@pytest.mark.parametrize("part", ["all", "none", "some columns", "odd index", "own columns"])
def test_parquet_gives_back_the_same_frame(df: pd.DataFrame, tmp_path: Path, part: str) -> None:
    frame = {
        "all": df,
        "none": df.head(0),
        "some columns": df[["history_item_id", "credits", "date"]],
        "odd index": df.tail(30),
        "own columns": df.assign(client="Acme", n=3, score=0.5, ok=True),
    }[part]
    again = hk.read_parquet(frame.speech.to_parquet(tmp_path / "deep" / "a.parquet"))
    assert again.columns.tolist() == frame.columns.tolist()
    known = [name for name in frame.columns if name in df.columns]
    pd.testing.assert_frame_equal(again[known], frame[known].reset_index(drop=True), check_categorical=False)
    if part == "own columns":
        assert again[["client", "n", "score", "ok"]].iloc[0].tolist() == ["Acme", 3, 0.5, True]


def test_any_tool_reads_the_parquet_file(df: pd.DataFrame, tmp_path: Path) -> None:
    path = hk.to_parquet(df, tmp_path / "a.parquet")
    table = pq.read_table(path)
    assert table.num_rows == len(df)
    assert b'"schema_version": 3' in pq.read_schema(path).metadata[b"histkit"]
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"
    assert len(pd.read_parquet(path)) == len(df)


def test_csv_gives_back_rows_and_dtypes(df: pd.DataFrame, tmp_path: Path) -> None:
    for excel in (False, True):
        again = hk.read_csv(df.speech.to_csv(tmp_path / "a.csv", excel=excel))
        assert again.dtypes.astype(str).equals(df.dtypes.astype(str))
        pd.testing.assert_frame_equal(again, df, check_categorical=False)
        assert (tmp_path / "a.csv").read_bytes().startswith(b"\xef\xbb\xbf") is excel


def test_no_csv_cell_is_a_formula(df: pd.DataFrame, tmp_path: Path) -> None:
    hostile = df.head(5).assign(text=pd.array(["=1+1", "+a", "-b", "@c", "'=d"], dtype="string[pyarrow]"))
    path = hk.to_csv(hostile, tmp_path / "a.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert not [cell for row in rows for name, cell in row.items() if cell[:1] in "=+@" and cell]
    assert [row["text"] for row in rows] == ["'=1+1", "'+a", "'-b", "'@c", "''=d"]
    assert hk.read_csv(path)["text"].tolist() == hostile["text"].tolist()


@given(
    st.lists(
        st.text(
            st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        ),
        max_size=8,
    )
)
def test_any_text_survives_csv(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    frame = pd.DataFrame(
        {"text": pd.array(texts, dtype="string[pyarrow]"), "credits": pd.array([1] * len(texts), "Int64")}
    )
    hk.to_csv(frame, path)
    assert hk.read_csv(path)["text"].tolist() == texts


@settings(max_examples=examples(30))
@given(
    moments=st.lists(st.none() | st.datetimes(*map(datetime.fromisoformat, ("0001-01-02", "9999-12-30"))), max_size=9),
    zone=st.sampled_from([None, "UTC", "Europe/Berlin", "+05:30"]),
    whole=st.booleans(),
)
def test_dates_are_written_as_python_writes_them(moments: list[datetime | None], zone: str | None, whole: bool) -> None:
    moments = [moment and moment.replace(microsecond=0) if whole else moment for moment in moments]
    column = pa.array(moments, pa.timestamp("us")).cast(pa.timestamp("us", zone))
    frame = pd.DataFrame({"at": pd.Series(column, dtype=pd.ArrowDtype(column.type)), "n": range(len(moments))})
    cells = [line.split(",")[0] for line in files.csv_text(frame).splitlines()[1:]]
    assert cells == ["" if stamp is None else f'"{stamp.isoformat()}"' for stamp in column.to_pylist()]


def test_the_bytes_do_not_depend_on_the_batches(
    df: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = df.assign(text=df["text"].where(df.index % 7 > 0, '=1;\t+2\n"quoted"'), late=pd.NA)
    whole = hk.to_csv(odd, tmp_path / "whole.csv").read_bytes()
    monkeypatch.setattr(files, "_CSV_BATCH", 33)
    assert hk.to_csv(odd, tmp_path / "parts.csv").read_bytes() == whole
    assert hk.to_csv(odd[:0], tmp_path / "none.csv").read_bytes() == whole[: whole.index(b"\n") + 1]


def test_a_usage_table_can_be_written_as_csv(df: pd.DataFrame, tmp_path: Path) -> None:
    path = hk.to_csv(df.speech.usage(by="model", freq="MS"), tmp_path / "usage.csv")
    assert path.read_text().splitlines()[0] == '"model","period","items","characters","credits"'


def test_a_failed_write_leaves_the_old_file_and_no_other(
    df: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = hk.to_parquet(df.head(3), tmp_path / "a.parquet")

    def broken(table: object, temporary: BinaryIO, **_: object) -> None:
        temporary.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.pq, "write_table", broken)
    with pytest.raises(hk.ArchiveError, match="No space left"):
        hk.to_parquet(df, path)
    monkeypatch.undo()
    assert len(hk.read_parquet(path)) == 3
    assert [each.name for each in tmp_path.iterdir()] == ["a.parquet"]


def test_a_damaged_or_newer_file_is_named(df: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hk.to_parquet(df, tmp_path / "a.parquet")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(hk.ArchiveError, match=r"a\.parquet"):
        hk.read_parquet(path)
    with pytest.raises(hk.ArchiveError, match=r"none\.parquet"):
        hk.read_parquet(tmp_path / "none.parquet")
    monkeypatch.setattr(parquet_metadata, "SCHEMA_VERSION", 4)
    hk.to_parquet(df, path)
    monkeypatch.undo()
    with pytest.raises(hk.ArchiveError, match="newer histkit"):
        hk.read_parquet(path)


def test_a_csv_with_a_wrong_value_names_the_column(df: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("history_item_id,credits\nabc,many\n")
    with pytest.raises(hk.SchemaError, match="credits"):
        hk.read_csv(path)
    with pytest.raises(hk.ArchiveError, match=r"none\.csv"):
        hk.read_csv(tmp_path / "none.csv")


def test_excel_gets_real_numbers_and_dates_and_no_formula(df: pd.DataFrame, tmp_path: Path) -> None:
    texts = pd.array(["=1+1", "+a", "http://a.b", "007", "x" * 40_000], dtype="string[pyarrow]")
    hostile = df.head(5).assign(text=texts)
    with pytest.warns(UserWarning, match="1 texts are longer"):
        path = hostile.speech.to_xlsx(tmp_path / "a.xlsx")
    sheet = openpyxl.load_workbook(path)["history"]
    header, *rows = sheet.iter_rows()
    assert [cell.value for cell in header] == df.columns.tolist()
    cells = [dict(zip(df.columns, row, strict=True)) for row in rows]
    assert [row["text"].value for row in cells[:4]] == texts[:4].tolist()
    assert {row["text"].data_type for row in cells} == {"s"}
    assert len(cells[4]["text"].value) == 32_767
    assert [row["credits"].value for row in cells] == hostile["credits"].tolist()
    assert [row["date"].value for row in cells] == hostile["date"].dt.tz_localize(None).tolist()
    assert not any(cell.hyperlink for row in cells for cell in row.values())


def test_excel_shows_a_table_in_its_own_zone(df: pd.DataFrame, tmp_path: Path) -> None:
    table = df.speech.usage("model", "MS", tz="Asia/Tokyo")
    sheet = pd.read_excel(hk.to_xlsx(table, tmp_path / "a.xlsx"))
    assert sheet["period"].tolist() == table["period"].dt.tz_localize(None).tolist()
    assert sheet["credits"].tolist() == table["credits"].tolist()


def test_a_sheet_that_is_too_long_is_refused_and_nothing_is_written(
    df: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_SHEET_ROWS", 100)
    with pytest.raises(hk.InputError, match="100 rows, not 800"):
        hk.to_xlsx(df, tmp_path / "a.xlsx")
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=examples(15))
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=6))
def test_any_text_comes_back_from_excel_without_its_control_characters_alone(texts: list[str]) -> None:
    frame = pd.DataFrame({"text": pd.array(texts, dtype="string[pyarrow]")})
    with tempfile.TemporaryDirectory() as folder:
        sheet = openpyxl.load_workbook(hk.to_xlsx(frame, f"{folder}/a.xlsx"))["history"]
    found = [row[0].value or "" for row in sheet.iter_rows(min_row=2)]
    assert [unescape(text) for text in found] == [cell_text(text) for text in texts]


@pytest.mark.parametrize("column", ["dialogue", "alignments", "other"])
@pytest.mark.parametrize("wrap", [lambda cell: [cell], lambda cell: ({"a": cell},)], ids=["list", "tuple"])
def test_a_cell_that_is_nested_too_deep_is_one_line(tmp_path: Path, column: str, wrap: Callable[[Any], Any]) -> None:
    """Arrow would end the process."""
    cell: Any = 1
    for _ in range(100_000):
        cell = wrap(cell)
    frame = pd.DataFrame({column: pd.Series([cell], dtype=object)})
    for write in (hk.to_csv, hk.to_parquet):
        with pytest.raises(hk.SchemaError, match=rf"Column '{column}' .*nested deeper than 100 levels") as caught:
            write(frame, tmp_path / "x", force=True)
        assert "\n" not in str(caught.value)
    with pytest.raises(hk.InputError, match="nested deeper than 100 levels"):
        records(frame)
    assert not list(tmp_path.iterdir())
    rows = hk.sample_history(3)
    rows["text"] = pd.Series([cell, None, None], dtype=object)
    for read in (hk.takes, hk.waste, lambda frame: hk.download_audio(frame, tmp_path / "audio", dry_run=True)):
        with pytest.raises(hk.InputError, match="nested deeper than 100 levels"):
            read(rows)
    shallow = pd.DataFrame({"other": pd.Series([[[[1]]], [[]], None], dtype=object)})
    assert records(shallow) == [{"other": [[[1]]]}, {"other": [[]]}, {"other": None}]
    again = hk.read_parquet(hk.to_parquet(shallow, tmp_path / "x.parquet"))
    assert len(again) == 3
