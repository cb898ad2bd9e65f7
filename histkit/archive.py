"""Histories as files: Parquet and CSV, written whole or not at all, and read back with their dtypes."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from histkit.errors import ArchiveError, SchemaError
from histkit.schema import ALIGNMENTS_COLUMN, COLUMNS, to_arrow, to_frame

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
_FOOTER = b"histkit"
_FORMULA = r"^('*[=+\-@\t\r])"  # what a spreadsheet would run, and the same after our own mark


def to_parquet(frame: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write a frame as one Parquet file (zstd) that any tool reads.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one; further columns are kept, the index is not.
    path : path-like
        The file; its folder is made. It is replaced only when the new file is whole.

    Returns
    -------
    pathlib.Path
        The file. Its footer holds the schema version under ``histkit``.

    Raises
    ------
    SchemaError
        A column can't be stored.
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
    table = to_arrow(frame)
    facts = {"schema_version": SCHEMA_VERSION, **_plain_facts(frame.attrs.get("histkit"))}
    table = table.replace_schema_metadata({_FOOTER: json.dumps(facts).encode()})
    with _replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    return Path(path)


def read_parquet(path: str | os.PathLike[str], *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a file of `to_parquet`, with the dtypes it was written with.

    Parameters
    ----------
    path : path-like
        The file.
    columns : sequence of str, optional
        Only these columns.

    Raises
    ------
    ArchiveError
        The file is not there, is damaged, or was written by a newer histkit.
    """
    try:
        table = pq.read_table(path, columns=list(columns) if columns is not None else None)
    except (OSError, pa.ArrowException) as error:
        raise ArchiveError(f"{path} can't be read: {_line(error)}. Write it again or restore a copy.") from None
    facts = json.loads((table.schema.metadata or {}).get(_FOOTER, b"{}"))
    if facts.pop("schema_version", SCHEMA_VERSION) > SCHEMA_VERSION:
        raise ArchiveError(f"{path} was written by a newer histkit: upgrade with pip install -U histkit.")
    frame = to_frame(table)
    if facts:
        frame.attrs["histkit"] = facts
    return frame


def to_csv(frame: pd.DataFrame, path: str | os.PathLike[str], *, excel: bool = False) -> Path:
    r"""Write a frame as CSV: UTF-8, dates in ISO 8601, lists as JSON.

    A text that a spreadsheet would run as a formula (it begins with ``= + - @``, a tab or a return) gets an
    apostrophe in front; `read_csv` takes it off again.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one, or a usage table; the index is not written.
    path : path-like
        The file; its folder is made. It is replaced only when the new file is whole.
    excel : bool
        Begin with a byte order mark, without which Excel takes the text for another encoding.

    Returns
    -------
    pathlib.Path
        The file.
    """
    import pandas as pd

    out = {}
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            out[name] = column.map(lambda stamp: stamp.isoformat(), na_action="ignore").astype(object)
        elif pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
            out[name] = column
        else:
            out[name] = column.astype(object).map(_cell, na_action=None).astype("string")
            out[name] = out[name].str.replace(_FORMULA, r"'\1", regex=True)
    with _replacing(path) as temporary:
        encoding = "utf-8-sig" if excel else "utf-8"
        pd.DataFrame(out, columns=frame.columns, index=frame.index).to_csv(temporary, index=False, encoding=encoding)
    return Path(path)


def read_csv(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a file of `to_csv` with the dtypes of `COLUMNS`.

    What CSV can't keep: an empty text comes back as missing, and columns that are not of a history get the dtype
    that pandas guesses.

    Raises
    ------
    ArchiveError
        The file is not there or is no CSV.
    SchemaError
        A value doesn't fit its column; the message names the column.
    """
    import pandas as pd

    try:
        known = {column.name: column.arrow for column in (*COLUMNS, ALIGNMENTS_COLUMN)}
        header = list(pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns)
        texts = {name: "string" for name in header if name in known}
        raw = pd.read_csv(path, dtype=texts, encoding="utf-8-sig", keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise ArchiveError(f"{path} can't be read as CSV: {_line(error)}.") from None
    for name in header:
        if pd.api.types.is_string_dtype(raw[name].dtype):
            raw[name] = raw[name].astype("string").str.replace(r"^'('*[=+\-@\t\r])", r"\1", regex=True)
    columns = []
    for name in header:
        try:
            columns.append(_parsed(raw[name], known[name]) if name in known else pa.array(raw[name], from_pandas=True))
        except (pa.ArrowException, ValueError, TypeError) as error:
            raise SchemaError(
                f"{path}: column {name!r} has a value that is no {known.get(name)}: {_line(error)}"
            ) from None
    return to_frame(pa.table(columns, names=header))


@contextmanager
def _replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary file beside `path` that takes its place when the block ends well, and vanishes otherwise."""
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ArchiveError(f"{target} can't be written: {error.strerror or error}.") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _plain_facts(facts: Any) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name != "problems"} if isinstance(facts, dict) else {}


def _cell(value: Any) -> Any:
    if isinstance(value, (list, dict)) or hasattr(value, "tolist"):
        return json.dumps(value if isinstance(value, (list, dict)) else value.tolist(), ensure_ascii=False)
    return value


def _parsed(column: pd.Series, kind: pa.DataType) -> pa.Array:
    if pa.types.is_nested(kind):
        return pa.array([json.loads(value) if isinstance(value, str) else None for value in column], kind)
    array = pa.array(column, pa.large_string(), from_pandas=True)
    if pa.types.is_boolean(kind):
        decode: Callable[[str | None], bool | None] = {"True": True, "False": False, None: None}.__getitem__
        return pa.array([decode(value) for value in array.to_pylist()], kind)
    if pa.types.is_dictionary(kind):
        return array.dictionary_encode().cast(kind)
    return array.cast(kind)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
