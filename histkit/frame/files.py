"""Histories as files: Parquet, CSV and XLSX, written atomically; Parquet and CSV are also read."""

from __future__ import annotations

import io
import json
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from histkit.errors import ArchiveError, InputError, SchemaError
from histkit.frame.formulas import guard_formulas, remove_guards
from histkit.frame.parquet_metadata import make_footer, read_footer, upgrade_schema
from histkit.frame.schema import KINDS, TEXT, check_frame, one_array, to_arrow, to_frame
from histkit.frame.spreadsheet_csv import (
    as_utf8,
    decimal_commas,
    find_separator,
    read_dates,
    read_flags,
    read_numbers,
    refuse_shortened,
)
from histkit.frame.workbook import open_workbook
from histkit.util.arguments import column_names, true_or_false
from histkit.util.background import check_stopped, report_progress
from histkit.util.outputs import CSV, PARQUET, XLSX, OutputFile
from histkit.util.storage import local_path, normalize_path
from histkit.util.text import cell_text, error_line, one_line_text, quoted, terminal_text

if TYPE_CHECKING:
    import pandas as pd

_CSV_BATCH = 65_536  # rows
_SHEET_ROWS, _CELL_CHARACTERS = 1_048_575, 32_767  # of Excel, without the header
_PARQUET_OPTIONS: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}
_BOOK = {"constant_memory": True, "default_date_format": "yyyy-mm-dd hh:mm:ss"}
_WIDTHS = {"history_item_id": 23, "date": 19, "text": 60, "voice_name": 24, "voice_id": 23, "model_id": 24}


def _ignore(*_: int) -> None:
    pass


def to_parquet(frame: pd.DataFrame, path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write a frame as one Parquet file (zstd) that any tool reads.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one; further columns are kept, the index is not.
    path : path-like
        The file; its folder is created. An existing file of the same kind is replaced when the new one is complete.
        Links are followed; a device, a pipe and ``-`` (standard output) are streamed to.
    force : bool
        Also write to a name with another ending, and over a file of another kind.

    Returns
    -------
    pathlib.Path
        The file. Its footer holds the schema version under ``histkit``.

    Raises
    ------
    SchemaError
        A column can't be stored.
    InputError
        The name has another ending, or the file exists and is of another kind.
    ArchiveError
        The file can't be written.

    Examples
    --------
    >>> import tempfile, histkit as hk
    >>> df = hk.sample_history(50)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = hk.read_parquet(hk.to_parquet(df, f"{folder}/history.parquet"))
    >>> again.equals(df)
    True
    """
    output = OutputFile(path, PARQUET, force=force)
    table = _parquet_table(frame)
    check_stopped()
    with output.open() as temporary, temporary.open("wb") as file:
        pq.write_table(table, file, **_PARQUET_OPTIONS)
        check_stopped()
    return output.path


def write_parquet(frame: pd.DataFrame, file: BinaryIO) -> None:
    """Write what `to_parquet` writes to an open file."""
    pq.write_table(_parquet_table(frame), file, **_PARQUET_OPTIONS)


def _parquet_table(frame: pd.DataFrame) -> pa.Table:
    return to_arrow(frame).replace_schema_metadata(make_footer(_plain_facts(frame.attrs.get("histkit"))))


def read_parquet(path: str | os.PathLike[str], *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a file of `to_parquet`, with the dtypes it was written with.

    Parameters
    ----------
    path : path-like
        The file.
    columns : sequence of str, optional
        Columns to read; default: all.

    Returns
    -------
    pandas.DataFrame
        With a RangeIndex and the dtypes of `histkit.COLUMNS`. ``attrs["histkit"]`` holds the metadata that `to_parquet`
        stored.

    Raises
    ------
    InputError
        `columns` is not a list of names.
    ArchiveError
        The file does not exist, is damaged, or was written by a newer histkit.

    Examples
    --------
    >>> import tempfile, histkit as hk
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = hk.to_parquet(hk.sample_history(50), f"{folder}/history.parquet")
    ...     hk.read_parquet(path, columns=["date", "credits"]).shape
    (50, 2)
    """
    names = column_names(columns)
    repeated = next((name for name in names or () if (names or []).count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"columns= names {quoted(repeated)} twice; name each column once.")
    try:
        table = pq.read_table(normalize_path(path), columns=names, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise ArchiveError(f"{path} can't be read: {error_line(error)}. Write it again or restore a copy.") from None
    facts = read_footer(table.schema.metadata, str(path))
    frame = to_frame(upgrade_schema(table, str(path)))
    if facts:
        frame.attrs["histkit"] = facts
    return frame


def to_csv(frame: pd.DataFrame, path: str | os.PathLike[str], *, excel: bool = False, force: bool = False) -> Path:
    r"""Write a frame as CSV: UTF-8, dates in ISO 8601, lists as JSON.

    A text that a spreadsheet would run as a formula (it begins with ``= + - @``, also after blanks, or one of its
    parts after a semicolon, a tab or a line end does) gets an apostrophe there, which `read_csv` removes.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one, or a usage table; the index is not written.
    path : path-like
        The file; its folder is created. An existing file of the same kind is replaced when the new one is complete.
        Links are followed; a device, a pipe and ``-`` (standard output) are streamed to.
    excel : bool
        Begin with a byte order mark, without which Excel assumes another encoding.
    force : bool
        Also write to a name with another ending, and over a file of another kind.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    SchemaError
        A column can't be stored.
    InputError
        The name has another ending, or the file exists and is of another kind.
    ArchiveError
        The file can't be written.

    Examples
    --------
    >>> import tempfile, histkit as hk
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = hk.to_csv(hk.sample_history(50), f"{folder}/history.csv", excel=True)
    ...     hk.read_csv(path).shape[0]
    50
    """
    excel = true_or_false("excel", excel)
    output = OutputFile(path, CSV, force=force)
    table = _storable(frame)
    check_stopped()
    with output.open() as temporary, temporary.open("wb") as file:
        file.write(b"\xef\xbb\xbf" if excel else b"")
        _write_csv_table(table, file, report_progress)
    return output.path


def write_csv(frame: pd.DataFrame, file: BinaryIO) -> None:
    """Write what `to_csv` writes to an open file."""
    _write_csv_table(_storable(frame), file)


def _write_csv_table(
    table: pa.Table,
    file: BinaryIO,
    report: Callable[[int, int], None] = _ignore,
    change: Callable[[pa.Table], pa.Table] | None = None,
) -> None:
    """Write a table as CSV, some rows at a time.

    Parameters
    ----------
    table : pyarrow.Table
        The rows, of `_storable`.
    file : binary file
        Where to write.
    report : callable
        Called before and after each batch with the rows written and all.
    change : callable, optional
        Changes the cells of each batch.
    """
    cells = _csv_table(table.slice(0, _CSV_BATCH))
    cells = change(cells) if change is not None else cells
    with pacsv.CSVWriter(file, cells.schema) as writer:
        report(0, len(table))
        for start in range(0, len(table), _CSV_BATCH):
            if start:
                cells = _csv_table(table.slice(start, _CSV_BATCH))
                cells = change(cells) if change is not None else cells
            writer.write_table(cells.combine_chunks())
            report(start + len(cells), len(table))


def csv_text(frame: pd.DataFrame, *, for_terminal: bool = False) -> str:
    """Return the text that `to_csv` writes; for a terminal with texts on one line, as `terminal_text` returns them."""
    file = io.BytesIO()
    _write_csv_table(_storable(frame), file, change=_terminal_table if for_terminal else None)
    return file.getvalue().decode()


def _terminal_table(table: pa.Table) -> pa.Table:
    names = [terminal_text(name) for name in table.column_names]
    return pa.table([_terminal_cells(column) for column in table.columns], names=names)


def _terminal_cells(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if column.type != TEXT:
        return column
    return pa.chunked_array([[None if text is None else terminal_text(text) for text in column.to_pylist()]], TEXT)


def _storable(frame: pd.DataFrame) -> pa.Table:
    return to_arrow(_decimals_as_texts(frame))


def _csv_table(table: pa.Table) -> pa.Table:
    """Return rows with the cells that are written to CSV."""
    names = guard_formulas(pa.chunked_array([table.column_names], TEXT)).to_pylist()
    return pa.table([_csv_cells(column) for column in table.columns], names=names)


def _decimals_as_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with Python decimals as texts: an Arrow column would have one number of places for all."""
    check_frame(frame, "to_csv")
    columns = [name for name in frame.columns if _holds_decimals(frame[name])]
    texts = {name: frame[name].map("{:f}".format, na_action="ignore").astype("string[pyarrow]") for name in columns}
    return frame.assign(**texts) if texts else frame


def _holds_decimals(column: Any) -> bool:
    import pandas as pd

    if not isinstance(column, pd.Series) or not pd.api.types.is_object_dtype(column.dtype):
        return False
    return bool(pd.api.types.infer_dtype(column, skipna=True) == "decimal")


def read_csv(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a file of `to_csv` with the dtypes of `COLUMNS`.

    The types of other columns are inferred. Missing and empty texts are distinguished: only empty texts are quoted.

    A file that a spreadsheet saved again is read, too: with semicolons or tabs, in UTF-16 or Windows-1252, with decimal
    commas, with its own dates if the column ``date_unix`` is there. What it changed for good is refused: an id that
    became a number, a date that could mean two days. Empty texts are missing then.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    pandas.DataFrame
        The columns of the file, with a RangeIndex.

    Raises
    ------
    ArchiveError
        The file does not exist or is not CSV.
    SchemaError
        A value doesn't fit its column; the message names the column.

    Examples
    --------
    >>> import tempfile, histkit as hk
    >>> df = hk.sample_history(50)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = hk.read_csv(hk.to_csv(df, f"{folder}/history.csv"))
    >>> again["credits"].dtype.name, int(again["credits"].sum()) == int(df["credits"].sum())
    ('Int64', True)
    """
    raw, separator = _read_raw(path, KINDS)
    names = remove_guards(pa.chunked_array([raw.column_names], TEXT)).to_pylist()
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise SchemaError(f"{path} has several columns named {quoted(repeated)}; remove one.")
    cells = {
        name: remove_guards(column) if column.type in (TEXT, pa.string()) else column
        for name, column in zip(names, raw.columns, strict=True)
    }
    columns = {}
    for name, column in cells.items():
        try:
            if name in KINDS:
                columns[name] = _parsed(name, column, KINDS[name], cells.get("date_unix"))
            else:
                columns[name] = decimal_commas(column) if separator != "," and column.type == TEXT else column
        except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
            what = f"column {name!r} has a value that is no {KINDS.get(name)}"
            raise SchemaError(f"{path}: {what}: {error_line(error)}") from None
    return to_frame(pa.table(columns))


def read_foreign_csv(path: str | os.PathLike[str], texts: Sequence[str]) -> pd.DataFrame:
    """Read a CSV file that is no history: the columns named in `texts` as they are written, the others as inferred.

    Raises
    ------
    ArchiveError
        The file does not exist or is not CSV.
    SchemaError
        Two columns have one name.
    """
    raw, separator = _read_raw(path, dict.fromkeys(texts, TEXT))
    if len(set(raw.column_names)) < len(raw.column_names):
        repeated = next(name for name in raw.column_names if raw.column_names.count(name) > 1)
        raise SchemaError(f"{path} has several columns named {quoted(repeated)}; remove one.")
    columns = {}
    for name, column in zip(raw.column_names, raw.columns, strict=True):
        if column.type == TEXT:
            column = remove_guards(column)
            column = decimal_commas(column) if separator != "," and name not in texts else column
        columns[name] = column
    return to_frame(pa.table(columns))


def _read_raw(path: str | os.PathLike[str], known: Mapping[str, pa.DataType]) -> tuple[pa.Table, str]:
    """Return the cells of a CSV file, those of known columns as texts, and the separator."""
    file = local_path(path)
    try:
        data, separator = find_separator(as_utf8(file.read_bytes()), known)
        options = pacsv.ConvertOptions(
            column_types=dict.fromkeys(known, TEXT),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        )
        parsing = pacsv.ParseOptions(delimiter=separator, newlines_in_values=True)
        table = pacsv.read_csv(pa.BufferReader(data), parse_options=parsing, convert_options=options)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ArchiveError(f"{path} can't be read as CSV: {error_line(error)}.") from None
    types = [pa.field(field.name, TEXT if field.type == pa.string() else field.type) for field in table.schema]
    return table.cast(pa.schema(types)), separator


def to_xlsx(frame: pd.DataFrame, path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write a frame as an Excel sheet: real numbers and dates, ids and texts as text, no formulas.

    Needs the extra ``xlsx``.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one, or a usage table; the index is not written. Lists become JSON. Dates are
        written as a clock in their zone shows them (UTC, in a history), since Excel has no zones. A text of more than
        32,767 characters, the limit of a cell, is cut and ends in "…"; a warning states how many.
    path : path-like
        The file; its folder is created. An existing file of the same kind is replaced when the new one is complete.
        Links are followed; a device, a pipe and ``-`` (standard output) are streamed to.
    force : bool
        Also write to a name with another ending, and over a file of another kind.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    InputError
        More rows than a sheet holds (1,048,575), xlsxwriter is not installed, the name has another ending, or the file
        exists and is of another kind.
    ArchiveError
        The file can't be written.

    Examples
    --------
    >>> import tempfile, histkit as hk
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = hk.to_xlsx(hk.sample_history(50), f"{folder}/history.xlsx")
    >>> path.name
    'history.xlsx'
    """
    output = OutputFile(path, XLSX, force=force)
    check_frame(frame, "to_xlsx")
    if len(frame) > _SHEET_ROWS:
        rows = f"A sheet holds {_SHEET_ROWS:,} rows, not {len(frame):,}"
        raise InputError(f"{rows}: filter first, or write CSV or Parquet.")
    table = to_arrow(frame)
    options: dict[str, Any] = dict.fromkeys(("strings_to_formulas", "strings_to_urls", "strings_to_numbers"), False)
    cut = 0
    with output.open() as temporary, open_workbook(temporary, {**options, **_BOOK}, "to_xlsx") as book:
        sheet, bold = book.add_worksheet("history"), book.add_format({"bold": True, "bottom": 1})
        for place, name in enumerate(table.column_names):
            sheet.set_column(place, place, _WIDTHS.get(name, 14))
            sheet.write_string(0, place, one_line_text(name), bold)
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, max(1, len(table)), max(0, table.num_columns - 1))
        row = 0
        for batch in table.to_batches(max_chunksize=4096):
            columns = [_values(column) for column in batch.columns]
            for values in zip(*columns, strict=True):
                row += 1
                for place, value in enumerate(values):
                    if isinstance(value, str):
                        value = cell_text(value)
                        if len(value) > _CELL_CHARACTERS:
                            value, cut = value[: _CELL_CHARACTERS - 1] + "…", cut + 1
                        sheet.write_string(row, place, value)
                    elif isinstance(value, float) and math.isinf(value):  # a cell holds no infinite number
                        sheet.write_string(row, place, str(value))
                    elif value is not None and value == value:
                        sheet.write(row, place, value)
    if cut:
        warnings.warn(f"{cut:,} texts are longer than a cell of {path} holds and were cut.", stacklevel=2)
    return output.path


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        local = pc.local_timestamp(column) if column.type.tz is not None else column
        column = local.cast(pa.timestamp("ms"), safe=False)
    elif pa.types.is_nested(column.type):
        return _json_cells(column)
    elif pa.types.is_dictionary(column.type):
        column = column.cast(TEXT)
    values: list[Any] = column.to_pylist()
    return values


def _json_cells(column: pa.Array | pa.ChunkedArray) -> list[str | None]:
    return [None if value is None else json.dumps(value, ensure_ascii=False) for value in column.to_pylist()]


def _plain_facts(facts: Any) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name != "problems"} if isinstance(facts, dict) else {}


def _csv_cells(array: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Return a column as it is written to CSV: numbers as they are, everything else as guarded text."""
    if pa.types.is_timestamp(array.type):
        return _iso_texts(array)
    if pa.types.is_nested(array.type):
        return guard_formulas(pa.chunked_array([_json_cells(array)], TEXT))
    if pa.types.is_boolean(array.type):
        return pc.if_else(array, "True", "False")
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        return array
    if pa.types.is_dictionary(array.type):
        return pa.chunked_array([_guarded_category(chunk) for chunk in array.chunks], TEXT)
    return guard_formulas(array.cast(TEXT))


def _guarded_category(array: pa.DictionaryArray) -> pa.Array:
    words = guard_formulas(pa.chunked_array([array.dictionary.cast(TEXT)]))
    return one_array(words).take(array.indices)


def _iso_texts(stamps: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Return moments in ISO 8601 as `datetime.isoformat` writes them: a fraction only where there is one."""
    kind = stamps.type
    if kind.unit == "ns" or kind.tz not in (None, "UTC"):
        return pa.array([None if stamp is None else stamp.isoformat() for stamp in stamps.to_pylist()], TEXT)
    counts = stamps.cast(pa.timestamp("us")).cast(pa.int64())
    seconds = pc.divide(pc.subtract(counts, remainder := _remainders(counts)), 1_000_000)
    texts = seconds.cast(pa.timestamp("s")).cast(pa.string())
    if pc.any(pc.not_equal(remainder, 0)).as_py():
        exact = counts.cast(pa.timestamp("us")).cast(pa.string())
        texts = pc.if_else(pc.equal(remainder, 0), texts, exact)
    texts = pc.utf8_replace_slice(texts, 10, 11, "T")
    return pc.binary_join_element_wise(texts, "+00:00" if kind.tz else "", "").cast(TEXT)


def _remainders(microseconds: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the microseconds within their second, which are never negative."""
    values = microseconds.fill_null(0).to_numpy() % 1_000_000
    return pc.if_else(microseconds.is_valid(), pa.chunked_array([values]), None)


def _parsed(
    name: str, column: pa.ChunkedArray, kind: pa.DataType, seconds: pa.ChunkedArray | None
) -> pa.ChunkedArray | pa.Array:
    if pa.types.is_boolean(kind):
        return read_flags(column)
    if pa.types.is_timestamp(kind):
        return read_dates(column, seconds if name == "date" else None)
    if kind == TEXT or pa.types.is_dictionary(kind):
        if name.endswith("_id"):
            refuse_shortened(column)
        return column.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else column
    return read_numbers(column, kind)
