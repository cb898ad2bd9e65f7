"""Rows of a request log as Arrow tables: pages of one log joined, rows that were read twice removed, and the frame.

No column of the log is documented. So a table keeps the service's names, and the type and unit that the service states
for a column are in the metadata of its field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from histkit.errors import SchemaError
from histkit.frame.columnar import ColumnarAnswer
from histkit.frame.json_values import json_text, plain_value
from histkit.frame.schema import CATEGORY, DATE, TEXT, one_array, to_frame
from histkit.util.arrays import Ints, Mask
from histkit.util.text import quoted

if TYPE_CHECKING:
    import pandas as pd

NEVER = int(np.iinfo(np.int64).min)
"""The time of a row without one."""
WHO = {
    "api_key": ("api_key_name", "api_key_label", "api_key", "hashed_xi_api_key", "api_key_id"),
    "user": ("user_label", "user_name", "user_email", "user", "user_id"),
}
"""The columns of a request log that tell the key and the user, readable ones first."""
WHO_ADVICE = dict.fromkeys(WHO, "Keys and users are in the request log, which attribute joins to the rows.")
"""What to do where a history lacks such a column."""
_TYPE, _UNIT, _NAIVE = b"type", b"unit", b"without_offset"
_TIMES = ("timestamp", "time", "request_time", "event_time", "created_at", "start_time", "started_at", "date")
_IDS = ("request_id", "id", "history_request_id", "log_id")
_TEXTS = ("JSON", "Map", "Array")  # types whose columns stay texts
_MOST_CATEGORIES = 10_000
_FEW_ROWS = 1000


def table_of(answer: ColumnarAnswer) -> pa.Table:
    """Return the rows of an answer, with stated types and units in the fields' metadata."""
    arrays, fields = [], []
    for name in answer.frame.columns:
        array = one_array(pa.array(answer.frame[name], from_pandas=True))
        if pa.types.is_string(array.type) or pa.types.is_null(array.type):
            array = array.cast(TEXT)
        stated = {_TYPE: answer.types[name], _UNIT: answer.units[name]}
        facts = {key: value.encode() for key, value in stated.items() if value is not None}
        if name in answer.without_offset:
            facts[_NAIVE] = b"1"
        arrays.append(array)
        fields.append(pa.field(name, array.type, metadata=facts))
    return pa.table(arrays, schema=pa.schema(fields))


def time_column(answer: ColumnarAnswer) -> str:
    """Return the name of the column of the requests' times; raises `SchemaError` if it can't be told."""
    return answer.time_column(*_TIMES)


def id_column(names: Sequence[str]) -> str | None:
    """Return the name of the column of the requests' ids; None if there is none.

    Examples
    --------
    >>> id_column(["time", "history_request_id"]), id_column(["time", "voice_id"])
    ('history_request_id', None)
    """
    known = next((name for name in _IDS if name in names), None)
    similar = [name for name in names if name.casefold().endswith(("request_id", "requestid"))]
    return known if known is not None else similar[0] if len(similar) == 1 else None


def with_known_names(table: pa.Table, names: Mapping[str | None, str | None]) -> pa.Table:
    """Rename columns: the service may have renamed the column of times or ids since it sent the first rows.

    Parameters
    ----------
    table : pyarrow.Table
        Rows of a log.
    names : mapping of str to str
        The known name of a column by the name that it has here; None stands for an unknown one, which changes nothing.
        Nor is anything renamed to a name that another column has.
    """
    taken = set(table.column_names)
    new = {name: known for name, known in names.items() if known is not None and known not in taken}
    return table.rename_columns([new.get(name, name) for name in table.column_names]) if new else table


def stated(table: pa.Table, fact: str) -> dict[str, str]:
    """Return what the service states of the columns: ``"type"`` or ``"unit"``, where it does."""
    facts = {field.name: (field.metadata or {}).get(fact.encode()) for field in table.schema}
    return {name: value.decode() for name, value in facts.items() if value is not None}


def is_naive(table: pa.Table) -> bool:
    """Return whether times were texts without an offset from UTC."""
    return any(_NAIVE in (field.metadata or {}) for field in table.schema)


def join_tables(tables: Iterable[pa.Table]) -> pa.Table:
    """Join tables that may have different columns, in the order in which they first occur.

    A column of two types is a number if both are, else a text; one without values takes the other's type.

    Raises
    ------
    SchemaError
        The unit of a column differs from table to table: its values can't be compared.
    """
    tables = list(tables)
    fields: dict[str, pa.Field] = {}
    empty: dict[str, bool] = {}
    for table in tables:
        for place, field in enumerate(table.schema):
            blank = table.column(place).null_count == len(table)
            known = fields.get(field.name)
            if known is None:
                fields[field.name], empty[field.name] = field, blank
            elif known is not field:
                _check_unit(known, field, blank=blank or empty[field.name])
                fields[field.name] = _common(known, field, empty[field.name], blank)
                empty[field.name] &= blank
    schema = pa.schema(list(fields.values()))
    return pa.concat_tables([_cast(table, schema) for table in tables]) if tables else schema.empty_table()


def _check_unit(known: pa.Field, other: pa.Field, *, blank: bool) -> None:
    units = [(field.metadata or {}).get(_UNIT, b"").decode() for field in (known, other)]
    if units[0] != units[1] and not blank and not any(pa.types.is_timestamp(field.type) for field in (known, other)):
        names = " to ".join(quoted(unit) if unit else "none" for unit in units)
        raise SchemaError(
            f"The unit of the column {quoted(known.name)} of the request log changed from {names} while it was read."
        )


def _common(known: pa.Field, other: pa.Field, known_blank: bool, other_blank: bool) -> pa.Field:
    if known.type == other.type or other_blank:
        return known
    if known_blank:
        return other
    numbers = {pa.int64(), pa.float64()}
    return known.with_type(pa.float64() if {known.type, other.type} <= numbers else TEXT)


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(len(table), field.type))
            continue
        column = table.column(field.name)
        if column.type != field.type and column.null_count == len(column):
            column = pa.nulls(len(column), field.type)
        columns.append(column.cast(field.type, safe=False))
    return pa.table(columns, schema=schema)


def read_once(table: pa.Table, name: str | None, times: Ints, pages: Ints) -> tuple[Ints, list[str]]:
    """Return the places of the rows without those that were read before, and the ids whose rows differ in one page.

    Parameters
    ----------
    table : pyarrow.Table
        Rows in the order of reading.
    name : str or None
        The column of ids. Of the rows of one id the newest stays, of equal times that of the last page.
    times, pages : array of int64
        Time and page of each row. Rows without an id are the same if all their values are, but equal rows of one page
        are different requests.
    """
    ids = np.full(len(table), None, object) if name is None else _texts(table.column(name))
    blank = np.array([value is None for value in ids], bool)
    keep = np.ones(len(table), bool)
    clashes = _mark_repeated_ids(table, ids, blank, times, pages, keep)
    _mark_repeated_rows(table, np.flatnonzero(blank), times, pages, keep)
    return np.flatnonzero(keep), clashes


def _texts(column: pa.ChunkedArray) -> Any:
    return np.array(column.cast(TEXT).to_pylist(), object)


def _mark_repeated_ids(table: pa.Table, ids: Any, blank: Mask, times: Ints, pages: Ints, keep: Mask) -> list[str]:
    """Mark all rows of an id but the newest."""
    import pandas as pd

    places = np.flatnonzero(~blank)
    places = places[pd.Series(ids[places], dtype=object).duplicated(keep=False).to_numpy(bool)]
    order = places[np.lexsort((pages[places], times[places]))]
    last: dict[str, int] = {}
    repeated: dict[str, list[int]] = {}
    for place in order.tolist():
        item = ids[place]
        before = last.get(item)
        if before is not None:
            keep[before] = False
            repeated.setdefault(item, [before]).append(place)
        last[item] = place
    row = _row_texts(table)
    clashes = []
    for item, found in repeated.items():
        by_page: dict[int, set[str]] = {}
        for place in found:
            by_page.setdefault(int(pages[place]), set()).add(row(place))
        if any(len(rows) > 1 for rows in by_page.values()):
            clashes.append(item)
    return clashes


def _mark_repeated_rows(table: pa.Table, places: Ints, times: Ints, pages: Ints, keep: Mask) -> None:
    """Mark rows without an id that an earlier page had: of equal rows, as many stay as one page had at most."""
    if not len(places):
        return
    pages_of_time: dict[int, set[int]] = {}
    for time, page in zip(times[places].tolist(), pages[places].tolist(), strict=True):
        pages_of_time.setdefault(time, set()).add(page)
    row = _row_texts(table)
    by_row: dict[str, dict[int, list[int]]] = {}
    for place in places.tolist():
        if len(pages_of_time[int(times[place])]) > 1:
            by_row.setdefault(row(place), {}).setdefault(int(pages[place]), []).append(place)
    for by_page in by_row.values():
        most = max(by_page.values(), key=len)
        for found in by_page.values():
            keep[found] = found is most


def _row_texts(table: pa.Table) -> Callable[[int], str]:
    """Return a function from a row's place to the JSON of its values that are there."""

    def text(place: int) -> str:
        (values,) = table.slice(place, 1).to_pylist()
        return json_text(plain_value({name: value for name, value in values.items() if value is not None}))

    return text


def newest_first(times: Ints, places: Ints) -> Ints:
    """Sort places of rows by time, newest first, rows of one time in their order, rows without a time last."""
    return places[np.argsort(-times[places].astype(float), kind="stable")] if len(places) else places


def log_frame(table: pa.Table, request_id: str | None) -> pd.DataFrame:
    """Convert rows of a log to a frame: ids as texts, texts of few values as categories, times in UTC.

    Parameters
    ----------
    table : pyarrow.Table
        The rows.
    request_id : str or None
        The column of the requests' ids.
    """
    types = stated(table, "type")
    columns, fields = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        if field.type == TEXT and field.name != request_id and types.get(field.name) not in _TEXTS:
            distinct = pc.count_distinct(column).as_py()
            if distinct <= _MOST_CATEGORIES and (len(table) <= _FEW_ROWS or 2 * distinct <= len(table)):
                column = column.dictionary_encode().cast(CATEGORY)
        elif pa.types.is_timestamp(field.type):
            column = column.cast(DATE)
        columns.append(column)
        fields.append(pa.field(field.name, column.type))
    return to_frame(pa.table(columns, schema=pa.schema(fields)))
