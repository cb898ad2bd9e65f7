"""The columns of a history: one table, `COLUMNS`, that defines the frame, the files and the documentation's table.

Field names, types and what may be missing: the service's OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from histkit.errors import InputError, SchemaError
from histkit.frame.names import MissingColumnError, close_names
from histkit.util.text import error_line, quoted

if TYPE_CHECKING:
    import pandas as pd

TEXT = pa.large_string()
CATEGORY = pa.dictionary(pa.int32(), TEXT)
DATE = pa.timestamp("us", tz="UTC")
LINE = pa.struct([("text", TEXT), ("voice_id", TEXT), ("voice_name", TEXT)])
JSON_COLUMNS = ("dialogue", "alignments")  # JSON text; lists and structs before version 3


@dataclass(frozen=True)
class Column:
    """One column: its name, Arrow type, pandas dtype, the API field it comes from, and what it means."""

    name: str
    arrow: pa.DataType
    pandas: str
    field: str
    meaning: str


def _column(name: str, arrow: pa.DataType, meaning: str, field: str | None = None) -> Column:
    return Column(name, arrow, _PANDAS[str(arrow)], name if field is None else field, meaning)


_PANDAS = {
    str(TEXT): "string[pyarrow]",
    str(CATEGORY): "category",
    str(DATE): "datetime64[us, UTC]",
    "int64": "Int64",
    "double": "Float64",
    "bool": "boolean",
}

COLUMNS: tuple[Column, ...] = (
    _column("history_item_id", TEXT, "id of the generation; unique"),
    _column("date", DATE, "when it was generated", "date_unix"),
    _column("date_unix", pa.int64(), "the same in seconds since 1970"),
    _column("voice_id", CATEGORY, "voice; missing for a dialogue"),
    _column("voice_name", CATEGORY, "the voice's name at that time"),
    _column("voice_category", CATEGORY, "premade, cloned, generated, professional, ..."),
    _column("model_id", CATEGORY, "model"),
    _column("source", CATEGORY, "TTS, STS, Projects, Dubbing, ConvAI, ..."),
    _column("state", CATEGORY, "created, processing, deleted"),
    _column("text", TEXT, "what was spoken; missing for a dialogue"),
    _column("characters", pa.int64(), "Unicode code points of the text, or of all dialogue lines", "text, dialogue"),
    _column(
        "credits",
        pa.int64(),
        "measured price, `to - from`; 0 is legal; missing where the counter fell (unknown)",
        "character_count_change_*",
    ),
    _column("character_count_change_from", pa.int64(), "the account's credit counter before"),
    _column("character_count_change_to", pa.int64(), "the account's credit counter after"),
    _column("stability", pa.float64(), "voice setting, 0 to 1", "settings"),
    _column("similarity_boost", pa.float64(), "voice setting, 0 to 1", "settings"),
    _column("style", pa.float64(), "voice setting, 0 to 1", "settings"),
    _column("speed", pa.float64(), "voice setting, 1 is normal", "settings"),
    _column("use_speaker_boost", pa.bool_(), "voice setting", "settings"),
    _column("content_type", CATEGORY, "MIME type of the audio"),
    _column("output_format", CATEGORY, "format as generated, e.g. mp3_44100_128; missing on old rows"),
    _column("request_id", TEXT, "id of the generating request"),
    _column("share_link_id", TEXT, "id of the share link"),
    _column("dialogue", TEXT, "JSON of a dialogue's lines (text, voice_id, voice_name); see `dialogue_lines`"),
    _column("extra", TEXT, "JSON of fields this version doesn't know; missing where there are none", ""),
)
ALIGNMENTS_COLUMN = _column("alignments", TEXT, "JSON: when each character is heard; only with alignments=True")
ARCHIVE_COLUMNS: tuple[Column, ...] = (
    _column("account", CATEGORY, "name in `sync(accounts=...)`; missing where accounts have no names", ""),
    _column("missing_since", DATE, "when `sync(full=True)` first found the row gone from the service", ""),
)
KINDS = {column.name: column.arrow for column in (*COLUMNS, *ARCHIVE_COLUMNS, ALIGNMENTS_COLUMN)}
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799  # of the years 1 and 9999, UTC
SCHEMA_VERSION = 3  # 1: without ARCHIVE_COLUMNS; 2: dialogue as a list of structs
SCHEMA = pa.schema([pa.field(column.name, column.arrow) for column in COLUMNS])
SETTINGS = ("stability", "similarity_boost", "style", "speed", "use_speaker_boost")


def schema(*, alignments: bool = False) -> pa.Schema:
    """Return the Arrow schema of a history."""
    return SCHEMA.append(pa.field("alignments", TEXT)) if alignments else SCHEMA


def to_frame(batches: Iterable[pa.RecordBatch] | pa.Table, *, alignments: bool = False) -> pd.DataFrame:
    """Convert Arrow rows to a DataFrame with the dtypes of `COLUMNS`.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch, or pyarrow.Table
        Rows in the order of the frame.
    alignments : bool
        Whether the rows have the column ``alignments``.

    Returns
    -------
    pandas.DataFrame
        With a RangeIndex.
    """
    import pandas as pd

    if isinstance(batches, pa.Table):
        table = batches
    else:
        table = pa.Table.from_batches(list(batches), schema=schema(alignments=alignments))
    table = table.unify_dictionaries()
    names, columns = table.column_names, table.columns[::-1]
    del batches, table  # so that a column's memory is free once it is converted
    data: dict[str, Any] = {}
    for name in names:
        column = columns.pop()
        data[name] = _pandas_column(column, column.type)
    return pd.DataFrame(data)


def to_arrow(frame: pd.DataFrame) -> pa.Table:
    """Convert a frame to an Arrow table: known columns in their types of `COLUMNS`, others as inferred, no index.

    Raises
    ------
    SchemaError
        A column can't be converted to its type; the message names it.
    """
    from histkit.frame.json_values import inferred_array, json_array

    check_frame(frame, "a file")
    if not frame.columns.is_unique or not all(isinstance(name, str) for name in frame.columns):
        raise SchemaError("Column names must be distinct strings to be stored; rename them first (df.columns = [...]).")
    arrays = []
    for name in frame.columns:
        kind = KINDS.get(name)
        try:
            array = json_array(name, frame[name]) if name in JSON_COLUMNS else inferred_array(frame[name])
            array = array if kind is None else array.cast(kind)
            if pa.types.is_timestamp(array.type):
                _check_years(array)
            arrays.append(array)
        except (pa.ArrowException, TypeError, ValueError) as error:
            what = f"Column {name!r} can't be stored as {kind or 'an Arrow column'}"
            raise SchemaError(f"{what}: {error_line(error)}") from None
    return pa.table(arrays, names=list(frame.columns))


def _check_years(dates: pa.Array | pa.ChunkedArray) -> None:
    bounds = pc.min_max(dates.cast(pa.timestamp("s", dates.type.tz), safe=False).cast(pa.int64())).as_py()
    if bounds["min"] is not None and not FIRST_SECOND <= bounds["min"] <= bounds["max"] <= LAST_SECOND:
        raise ValueError("a date is before the year 1 or after the year 9999")


DESCRIPTIVE_COLUMNS = (  # needed by reports and by the explorer
    "history_item_id",
    "date",
    "voice_id",
    "voice_name",
    "model_id",
    "source",
    "text",
    "dialogue",
    "characters",
    "credits",
)


def check_frame(frame: object, purpose: str) -> None:
    """Check that an argument is a DataFrame whose columns have different names.

    Parameters
    ----------
    frame : object
        The argument.
    purpose : str
        What needs the frame, for the message: ``"usage by voice"``.

    Raises
    ------
    InputError
        The argument is not a DataFrame.
    SchemaError
        Two columns have one name.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"{purpose[:1].upper()}{purpose[1:]} needs a DataFrame, not {type(frame).__name__}.")
    if not frame.columns.is_unique:
        name = frame.columns[frame.columns.duplicated()][0]
        raise SchemaError(
            f"The frame has several columns named {quoted(name)}; keep one: df.loc[:, ~df.columns.duplicated()]."
        )


def require(
    frame: pd.DataFrame,
    columns: Iterable[str],
    purpose: str,
    also: Iterable[str] = (),
    advice: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Check a frame as `check_frame` does, and raise `MissingColumnError` for the first of `columns` that it lacks.

    The message has the columns with a close name, and the close ones of the words in `also`, or else the advice on the
    column.
    """
    check_frame(frame, purpose)
    for name in columns:
        if name not in frame.columns:
            close = close_names(name, [*map(str, frame.columns), *also]) if isinstance(name, str) else []
            hint = f"Did you mean {' or '.join(map(quoted, close))}?" if close else advice.get(name, "")
            raise MissingColumnError(f"The frame has no column {quoted(name)}, which {purpose} needs. {hint}".rstrip())


def category_dtype() -> Any:
    """Return the dtype that the categories of texts have in this pandas."""
    import pandas as pd

    return "str" if pd.__version__ >= "3" else object


def one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return an Arrow column as one array."""
    while isinstance(column, pa.ChunkedArray):  # combined chunks of a dictionary may be one chunk again
        if column.num_chunks == 0 and pa.types.is_dictionary(column.type):  # which older pyarrow can't combine
            return pa.array([], column.type.value_type).dictionary_encode().cast(column.type)
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column


def _pandas_column(column: pa.ChunkedArray, kind: pa.DataType) -> Any:
    import pandas as pd

    if pa.types.is_dictionary(kind) and kind.value_type in (TEXT, pa.string()):
        combined = one_array(column)
        values = pd.Index(combined.dictionary.to_pylist(), dtype=category_dtype())
        codes = combined.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        categories = pd.Categorical.from_codes(codes, categories=values)
        unused = "" in values and not bool((codes == values.get_loc("")).any())  # of a month without a name
        categories = categories.remove_categories([""]) if unused else categories
        if len(categories.categories) or not len(codes) or pd.__version__ >= "3":
            return categories
        none = pd.Index([], dtype="string[pyarrow]")  # without a type they are null in a file, which Dask can't read
        return pd.Categorical.from_codes(codes, categories=none)
    if kind == DATE:
        return pd.Series(column.to_pandas()).astype("datetime64[us, UTC]")
    if pa.types.is_nested(kind):
        return pd.arrays.ArrowExtensionArray(column)
    text = pd.StringDtype("pyarrow")
    dtypes: dict[str, Any] = {"int64": pd.Int64Dtype(), "double": pd.Float64Dtype(), "bool": pd.BooleanDtype()}
    dtype = dtypes.get(str(kind), text if kind in (TEXT, pa.string()) else None)
    return column.to_pandas() if dtype is None else dtype.__from_arrow__(column)
