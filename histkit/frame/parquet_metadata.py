"""The version of a Parquet file's schema in its footer, and the upgrade of older schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from histkit.errors import ArchiveError
from histkit.frame.json_values import json_array
from histkit.frame.schema import DATE, JSON_COLUMNS, KINDS, SCHEMA_VERSION
from histkit.util.text import error_line

_KEY = b"histkit"


class NewerVersionError(ArchiveError):
    """A newer histkit wrote the file."""


def make_footer(facts: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Return the metadata of a file of this version."""
    return {_KEY: json.dumps({"schema_version": SCHEMA_VERSION, **facts}).encode()}


def read_footer(metadata: Mapping[bytes, bytes] | None, where: str) -> dict[str, Any]:
    """Return the facts in a file's metadata; a file of another tool has none.

    Raises
    ------
    NewerVersionError
        A newer histkit wrote the file.
    """
    try:
        facts: dict[str, Any] = json.loads((metadata or {}).get(_KEY, b"{}"))
        version = facts.pop("schema_version", 0)
        newer = version > SCHEMA_VERSION
    except (ValueError, TypeError, AttributeError):
        raise ArchiveError(f"{where} has a footer that can't be read: write it again or restore a copy.") from None
    if newer:
        raise NewerVersionError(f"{where} was written by a newer histkit: upgrade with pip install -U histkit.")
    return facts


def upgrade_schema(table: pa.Table, where: str) -> pa.Table:
    """Cast the known columns to their current types, whatever version or tool wrote them.

    Raises
    ------
    ArchiveError
        A column holds something else; the message names it.
    """
    for position, field in enumerate(table.schema):
        kind = KINDS.get(field.name)
        # Arrow ignores the names of list items when it compares types; here they have to be equal.
        if kind is None or (field.type == kind and str(field.type) == str(kind)):
            continue
        column = table.column(position)
        try:
            table = table.set_column(position, pa.field(field.name, kind), _cast(field.name, column, kind))
        except (pa.ArrowException, TypeError, ValueError) as error:
            what = f"{where}: column {field.name!r} is {field.type}, not {kind}"
            raise ArchiveError(f"{what} ({error_line(error)}). Write it again or restore a copy.") from None
    return table


def readable_schema(schema: pa.Schema, existing: pa.Schema) -> pa.Schema:
    """Return a schema with the nested types of an older file's columns, which Arrow can't cast to text.

    Parameters
    ----------
    schema : pyarrow.Schema
        The current schema.
    existing : pyarrow.Schema
        The file's. `upgrade_schema` converts what was read.
    """
    for name in JSON_COLUMNS:
        place, file_place = schema.get_field_index(name), existing.get_field_index(name)
        if place >= 0 and file_place >= 0 and pa.types.is_nested(existing.field(file_place).type):
            schema = schema.set(place, existing.field(file_place))
    return schema


def _cast(name: str, column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if name in JSON_COLUMNS:
        return json_array(name, column).cast(kind)
    if pa.types.is_dictionary(kind) and not pa.types.is_dictionary(column.type):
        return column.cast(kind.value_type).dictionary_encode().cast(kind)
    if name == "date_unix" and pa.types.is_timestamp(column.type):  # in whatever unit
        column = column.cast(pa.timestamp("s", column.type.tz))
    if kind == DATE and pa.types.is_timestamp(column.type) and column.type.tz is None:
        return pc.assume_timezone(column.cast(pa.timestamp("us")), "UTC")
    return column.cast(kind)
