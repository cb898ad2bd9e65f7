"""The columns that the explorer's table can show, and how their cells are formatted."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pandas as pd

from histkit.frame.clock import is_repeated, zone_of
from histkit.frame.columns import plain_values
from histkit.notebook.filter_state import BOUNDS
from histkit.util.text import escape_surrogates, format_value, is_missing, one_line_text

Kind = Literal["text", "count", "number", "date", "category", "seconds"]

SHOWN = ("date", "voice_name", "text", "credits", "characters", "model_id", "source")
FILTERS = {  # the filter of FIELDS that a column has
    "date": "date",
    "voice_name": "voice",
    "text": "text",
    "credits": "credits",
    "characters": "characters",
    "model_id": "model",
    "source": "source",
}
_LABELS = {
    "voice_name": "Voice",
    "model_id": "Model",
    "history_item_id": "History item",
    "voice_id": "Voice id",
    "character_count_change_from": "Counter before",
    "character_count_change_to": "Counter after",
}
_WITHOUT_CELLS = ("dialogue", "alignments", "date_unix")  # which the text, the panel and the date show
_WIDTHS: dict[Kind, int] = {"text": 200, "count": 96, "number": 96, "date": 168, "category": 140, "seconds": 88}
_WIDTHS_OF = {"text": 420, "voice_name": 150, "model_id": 190, "source": 100}
_SECONDS = ("seconds", "duration")


@dataclass(frozen=True)
class TableColumn:
    """A column of the explorer's table.

    Attributes
    ----------
    key : str
        Its name in messages: the name of the frame's column as text.
    name : hashable
        The frame's column.
    label : str
        Its heading.
    kind : str
        How its values are formatted and sorted.
    align : {"left", "right"}
        Where its texts stand.
    width : int
        Pixels.
    filter : str or None
        The field of the filters for it.
    profile : bool
        Whether its heading can have a histogram or bars.
    """

    key: str
    name: Hashable
    label: str
    kind: Kind
    align: Literal["left", "right"]
    width: int
    filter: str | None
    profile: bool

    def message(self, *, shown: bool, width: int | None = None) -> dict[str, Any]:
        """Return the column as JSON values."""
        fields = asdict(self)
        del fields["name"]
        return {**fields, "width": self.width if width is None else width, "shown": shown, "sortable": True}


def table_columns(frame: pd.DataFrame) -> dict[str, TableColumn]:
    """Return the columns that a table of the frame can show by key: those shown by default first."""
    names = [*SHOWN, *(name for name in frame.columns if name not in SHOWN and name not in _WITHOUT_CELLS)]
    columns: dict[str, TableColumn] = {}
    for name in names:
        key = escape_surrogates(str(name))
        if key not in columns:
            columns[key] = table_column(key, name, frame[name])
    return columns


def table_column(key: str, name: Hashable, values: pd.Series) -> TableColumn:
    """Return how a column of a frame is shown."""
    kind = (
        "text" if key == "text" else "category" if key in ("voice_name", "model_id", "source") else _kind(key, values)
    )
    return TableColumn(
        key,
        name,
        one_line_text(_LABELS.get(key, key.replace("_", " ").capitalize())) or "(no name)",
        kind,
        "right" if kind in ("count", "number", "seconds") else "left",
        _WIDTHS_OF.get(key, _WIDTHS[kind]),
        FILTERS.get(key),
        kind != "text",
    )


def _kind(key: str, values: pd.Series) -> Kind:
    dtype = values.dtype
    if key in BOUNDS:
        return "count"
    if isinstance(dtype, pd.DatetimeTZDtype):
        return "date"
    if isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(dtype):
        return "category"
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype):
        if key in _SECONDS:
            return "seconds"
        is_count = pd.api.types.is_integer_dtype(dtype) and not dtype == np.dtype(np.uint64)
        return "count" if is_count else "number"  # which hold integers beyond int64 approximately
    return "text"


def cell_texts(kind: Kind, values: pd.Series, tz: str) -> list[str | None]:
    """Format the values of a column, each as one line; None where a value is missing."""
    if kind == "date":
        return _dates(values, tz)
    return [None if is_missing(value) else _cell(kind, value) for value in plain_values(values)]


def _cell(kind: Kind, value: Any) -> str:
    if kind == "count":
        return format_value(value, "count")
    if kind == "seconds":
        return f"{value:,.1f} s"
    if kind == "number" and isinstance(value, float):
        return format_value(round(value, 6), "money")
    return format_value(value, "money" if kind == "number" or isinstance(value, Decimal) else "text")


def _dates(values: pd.Series, tz: str) -> list[str | None]:
    """Format dates by the clock of a zone, with the offset from UTC where the clock shows a time twice."""
    zone = zone_of(tz)
    local = values.dt.tz_convert(getattr(zone, "key", zone))
    texts = local.dt.strftime("%Y-%m-%d %H:%M:%S")
    cells: list[str | None] = []
    for moment, text in zip(local.tolist(), texts.tolist(), strict=True):
        if is_missing(moment):
            cells.append(None)
            continue
        wall = moment.tz_localize(None).to_pydatetime(warn=False)
        cells.append(f"{text} {moment:%z}" if is_repeated(wall, zone) else text)
    return cells


def shown_text(text: Any, lines: Iterable[Any]) -> str | None:
    """Return the spoken text of a row: its text, or the lines of its dialogue with their speakers."""
    if lines:
        return " / ".join(f"{line.get('voice_name') or '?'}: {line.get('text') or ''}" for line in lines)
    return None if is_missing(text) else str(text)


def voice_text(name: Any, lines: Any) -> str | None:
    """Return the voice of a row; a dialogue has several."""
    if lines:
        return "(dialogue)"
    return None if is_missing(name) else format_value(name, "text")
