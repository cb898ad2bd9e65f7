"""The state of the explorer, without widgets: filters, order, page and ticked rows of a frame."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError, SchemaError
from histkit.frame.clock import iso, zone_of
from histkit.frame.columns import whole_numbers
from histkit.frame.dates import as_unix
from histkit.frame.dialogues import dialogues_of
from histkit.frame.filters import filter_items
from histkit.frame.schema import DESCRIPTIVE_COLUMNS, require
from histkit.util.arrays import Ints
from histkit.util.text import NOTHING, format_value, one_line_text, shorten

ORDERS = {
    "newest first": ("date", False),
    "oldest first": ("date", True),
    "most credits first": ("credits", False),
    "fewest credits first": ("credits", True),
    "longest text first": ("characters", False),
    "shortest text first": ("characters", True),
    "by voice": ("voice_name", True),
    "by model": ("model_id", True),
}
_CHART_COLUMNS = ["date", "voice_id", "voice_name", "model_id", "source", "dialogue", "characters", "credits"]
_NUMBERS = re.compile(r"\s*(\d{1,9})(?:\s*[-–]\s*(\d{1,9}))?\s*")
_TEXT_CHARACTERS, _VOICE_CHARACTERS = 60, 24


@dataclass(frozen=True)
class FilterState:
    """The filters of an explorer; the defaults keep every row.

    Attributes
    ----------
    voice, model, source : tuple of str
        As in `histkit.filter_items`.
    first, last : date or None
        Days, both inclusive, in the explorer's zone.
    text : str
        Searched for in any letter case.
    pattern : bool
        Whether `text` is a regular expression.
    least, most : int or None
        Bounds of the credits, both inclusive; either drops rows with unknown credits.
    """

    voice: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None
    text: str = ""
    pattern: bool = False
    least: int | None = None
    most: int | None = None

    def arguments(self, tz: str) -> dict[str, Any]:
        """Return the arguments of `histkit.filter_items`.

        Raises
        ------
        InputError
            The last day is before the first.
        """
        if self.first and self.last and self.first > self.last:
            raise InputError(f"The last day ({self.last}) is before the first ({self.first}).")
        lists = {"voice": self.voice, "model": self.model, "source": self.source}
        arguments: dict[str, Any] = {
            name: values[0] if len(values) == 1 else list(values) for name, values in lists.items() if values
        }
        if self.text:
            arguments["text"] = self.text if self.pattern else re.escape(self.text)
        if self.first:
            arguments["after"] = _midnight(self.first, tz)
        if self.last:
            arguments["before"] = _midnight(self.last + timedelta(days=1), tz)
        return arguments

    def code(self, tz: str) -> str:
        """Return the expression that filters a frame called ``df`` in the same way."""
        arguments = ", ".join(f"{name}={_literal(value)}" for name, value in self.arguments(tz).items())
        code = f"df.speech.filter({arguments})" if arguments else "df"
        for method, bound in self._credit_bounds():
            code += f'.loc[lambda rows: rows["credits"].{method}({bound}).fillna(False)]'
        return code

    def apply(self, frame: pd.DataFrame, tz: str) -> pd.DataFrame:
        """Filter a frame; the rows stay in their order and on their index."""
        arguments = self.arguments(tz)
        kept = filter_items(frame, **arguments) if arguments else frame
        for method, bound in self._credit_bounds():
            kept = kept[getattr(kept["credits"], method)(bound).fillna(False)]
        return kept

    def _credit_bounds(self) -> list[tuple[str, int]]:
        return [(method, bound) for method, bound in (("ge", self.least), ("le", self.most)) if bound is not None]


def _midnight(day: date, tz: str) -> str:
    zone = zone_of(tz)
    return iso(as_unix(day, "day", zone), zone)


def _literal(value: Any) -> str:
    return f'r"{value}"' if isinstance(value, str) and "\\" in value and '"' not in value else repr(value)


@dataclass
class Selection:
    """The rows of an explorer: all of them, the filtered ones, those of the page, the ticked ones.

    Attributes
    ----------
    frame : DataFrame
        All rows.
    tz : str
        The zone of its days.
    filters : FilterState
        The filters in force.
    order : str
        One of `ORDERS`.
    page, size : int
        The page shown, from 0, and its number of rows.
    """

    frame: pd.DataFrame
    tz: str = "UTC"
    filters: FilterState = field(default_factory=FilterState)
    order: str = "newest first"
    page: int = 0
    size: int = 25

    def __post_init__(self) -> None:
        require(self.frame, DESCRIPTIVE_COLUMNS, "the explorer")
        if not isinstance(self.frame["date"].dtype, pd.DatetimeTZDtype):
            kind = self.frame["date"].dtype
            raise SchemaError(f"Column 'date' ({kind}) holds no dates with a zone; histkit.read_csv makes them.")
        for name in ("characters", "credits"):
            whole_numbers(self.frame[name])  # raises SchemaError
        self._numbered = self.frame.reset_index(drop=True)
        self._numbered.attrs.clear()
        self._ticked = np.zeros(len(self.frame), bool)
        self._kept: Ints = np.arange(len(self.frame))
        self._sort()

    def filter(self, filters: FilterState) -> None:
        """Apply filters; ticked rows that pass them stay ticked.

        Raises
        ------
        InputError
            The filters are invalid; the selection is unchanged.
        """
        kept = filters.apply(self._numbered, self.tz).index.to_numpy(np.int64)
        self.filters, self._kept, self.page = filters, kept, 0
        mask = np.zeros(len(self.frame), bool)
        mask[kept] = True
        self._ticked &= mask
        self._sort()

    def sort(self, order: str) -> None:
        """Sort the rows and go to the first page."""
        self.order, self.page = order, 0
        self._sort()

    def turn(self, pages: int) -> None:
        """Move by a number of pages, negative for back; stop at the first or last."""
        self.page = min(max(self.page + pages, 0), self.pages - 1)

    @property
    def pages(self) -> int:
        """The number of pages, at least 1."""
        return max(1, -(-len(self._kept) // self.size))

    @property
    def filtered(self) -> pd.DataFrame:
        """The filtered rows, in the frame's order, with all columns."""
        return self.frame.iloc[self._kept]

    @property
    def selected(self) -> pd.DataFrame:
        """The ticked rows, in the frame's order, with all columns."""
        return self.frame.iloc[np.flatnonzero(self._ticked)]

    @property
    def credits(self) -> tuple[pd.Series, pd.Series]:
        """The credits of the filtered and of the ticked rows; no other column is copied."""
        column = self._numbered["credits"]
        return column.iloc[self._kept], column.iloc[np.flatnonzero(self._ticked)]

    @property
    def chart_rows(self) -> pd.DataFrame:
        """The filtered rows, with the columns that charts need."""
        return self.frame[_CHART_COLUMNS].iloc[self._kept]

    @property
    def code(self) -> str:
        """The expression that returns `filtered` again."""
        return self.filters.code(self.tz)

    @property
    def positions(self) -> Ints:
        """The positions in the frame of the rows of the page."""
        return self._sorted[self.page * self.size : (self.page + 1) * self.size]

    def ticked_here(self) -> list[int]:
        """Return which rows of the page are ticked, counted from 0."""
        return np.flatnonzero(self._ticked[self.positions]).tolist()

    def tick(self, rows: Iterable[int]) -> None:
        """Tick these rows of the page, and untick its others."""
        positions = self.positions
        self._ticked[positions] = False
        self._ticked[positions[[row for row in rows if row < len(positions)]]] = True

    def tick_all(self, on: bool) -> None:
        """Tick all filtered rows, or none."""
        self._ticked[:] = False
        self._ticked[self._kept] = on

    def tick_numbers(self, text: str) -> None:
        """Tick rows by their numbers in the present order, such as "1-20, 35".

        Raises
        ------
        InputError
            The text is not a list of row numbers; no row is ticked.
        """
        positions: list[int] = []
        for part in text.replace(";", ",").split(","):
            match = _NUMBERS.fullmatch(part)
            if match is None:
                raise InputError(f"Tick rows: {part.strip()!r:.40} is not a row number; write 1-20, 35.")
            first, last = int(match[1]), int(match[2] or match[1])
            if not 1 <= first <= last <= len(self._sorted):
                raise InputError(f"Tick rows: {part.strip()!r} is not within 1 to {len(self._sorted):,}.")
            positions += range(first - 1, last)
        self._ticked[self._sorted[positions]] = True

    def table(self) -> pd.DataFrame:
        """Return the rows of the page for display: texts in one line, dates in the zone."""
        rows = self._numbered.iloc[self.positions]
        dates = rows["date"].dt.tz_convert(self.tz).dt.strftime("%Y-%m-%d %H:%M:%S")
        first = self.page * self.size + 1
        dialogues = dialogues_of(rows)
        return pd.DataFrame(
            {
                "#": [f"{number:,}" for number in range(first, first + len(rows))],
                "Date": dates.astype(object).where(dates.notna(), NOTHING).tolist(),
                "Voice": list(map(_voice, rows["voice_name"], dialogues)),
                "Text": list(map(_text, rows["text"], dialogues)),
                "Credits": [format_value(credits, "count") for credits in rows["credits"]],
                "Characters": [format_value(characters, "count") for characters in rows["characters"]],
                "Model": [_one_line(model) for model in rows["model_id"]],
                "Source": [_one_line(source) for source in rows["source"]],
            }
        )

    def copy(self, **changes: Any) -> Selection:
        """Return another selection of the same frame."""
        return replace(self, **changes)

    def _sort(self) -> None:
        name, ascending = ORDERS[self.order]
        column = self._numbered[name].iloc[self._kept]
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype("string")
        ordered = column.sort_values(ascending=ascending, kind="stable", na_position="last")
        self._sorted: Ints = ordered.index.to_numpy(np.int64)


def choices(column: pd.Series, names: pd.Series | None = None) -> list[tuple[str, str]]:
    """Return the options of a filter, the commonest value first: label with the number of rows, and value.

    Parameters
    ----------
    column : Series
        Ids or words, the newest row first.
    names : Series, optional
        A name for each row; the newest name of a value labels it.
    """
    counts = column.value_counts()
    labels: dict[str, str] = {}
    if names is not None:
        newest = pd.DataFrame({"value": column, "name": names}).dropna().drop_duplicates("value")
        labels = dict(zip(map(str, newest["value"]), map(str, newest["name"]), strict=True))
    uses = Counter(labels.values())
    options = []
    for value, count in counts[counts > 0].items():
        name = labels.get(str(value), str(value))
        label = one_line_text(name) + (f" ({str(value)[:6]})" if uses[name] > 1 else "")
        options.append((f"{label}  ·  {count:,}", str(value)))
    return options


def _one_line(value: Any) -> str:
    return one_line_text(format_value(value, "text"))


def _voice(name: Any, lines: Any) -> str:
    return "(dialogue)" if lines else shorten(_one_line(name), _VOICE_CHARACTERS)


def _text(text: Any, lines: Any) -> str:
    if lines:
        text = " / ".join(f"{line.get('voice_name') or '?'}: {line.get('text') or ''}" for line in lines)
    head = text[: 4 * _TEXT_CHARACTERS] if isinstance(text, str) else text  # a text can be very long
    return shorten(_one_line(head), _TEXT_CHARACTERS)
