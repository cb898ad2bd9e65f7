"""What the explorer shows: which rows are meant, in which order, which of them are on the page and which are ticked.

No widget in here: state in, frames out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError, SchemaError
from histkit.frame.filters import filter_items
from histkit.frame.schema import require
from histkit.usage.clock import clock_time, iso, zone_of
from histkit.util.arrays import Ints
from histkit.util.text import one_line_text

NEEDED = (
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
_DRAWN = ["date", "voice_id", "voice_name", "model_id", "source", "dialogue", "characters", "credits"]
_NUMBERS = re.compile(r"\s*(\d{1,9})(?:\s*[-–]\s*(\d{1,9}))?\s*")
_TEXT_CHARACTERS, _VOICE_CHARACTERS = 60, 24


@dataclass(frozen=True)
class FilterState:
    """What rows are asked for; nothing given, nothing asked.

    Attributes
    ----------
    voice, model, source : tuple of str
        As of `histkit.filter_items`.
    first, last : date or None
        Days, both inclusive, on the clock of the explorer's zone.
    text : str
        What the text has in it, in any letter case.
    pattern : bool
        Whether `text` is a regular expression.
    least, most : int or None
        Credits, both inclusive; rows whose credits are not known are left out by either.
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
        """Give the arguments of `histkit.filter_items`.

        Raises
        ------
        InputError
            The last day is before the first.
        """
        if self.first and self.last and self.first > self.last:
            raise InputError(f"The last day ({self.last}) is before the first ({self.first}).")
        given: dict[str, Any] = {
            name: words[0] if len(words) == 1 else list(words)
            for name, words in (("voice", self.voice), ("model", self.model), ("source", self.source))
            if words
        }
        if self.text:
            given["text"] = self.text if self.pattern else re.escape(self.text)
        if self.first:
            given["after"] = _midnight(self.first, tz)
        if self.last:
            given["before"] = _midnight(self.last + timedelta(days=1), tz)
        return given

    def code(self, tz: str) -> str:
        """Give the expression that keeps the same rows of a frame called ``df``."""
        words = ", ".join(f"{name}={_literal(value)}" for name, value in self.arguments(tz).items())
        code = f"df.speech.filter({words})" if words else "df"
        for name, value in (("ge", self.least), ("le", self.most)):
            if value is not None:
                code += f'.loc[lambda rows: rows["credits"].{name}({value}).fillna(False)]'
        return code

    def apply(self, frame: pd.DataFrame, tz: str) -> pd.DataFrame:
        """Keep the rows that are asked for, in their order and on their index."""
        given = self.arguments(tz)
        kept = filter_items(frame, **given) if given else frame
        for name, value in (("ge", self.least), ("le", self.most)):
            if value is not None:
                kept = kept[getattr(kept["credits"], name)(value).fillna(False)]
        return kept


def _midnight(day: date, tz: str) -> str:
    zone = zone_of(tz)
    return iso(clock_time(day, zone, "day"), zone)


def _literal(value: Any) -> str:
    return f'r"{value}"' if isinstance(value, str) and "\\" in value and '"' not in value else repr(value)


@dataclass
class Selection:
    """The rows of an explorer: all, those that are meant, those of the page, those that are ticked.

    Attributes
    ----------
    frame : DataFrame
        All rows.
    tz : str
        The zone of its days.
    conditions : Conditions
        Which rows are meant.
    order : str
        One of `ORDERS`.
    page, size : int
        Which page is shown, from 0, and how many rows it has.
    """

    frame: pd.DataFrame
    tz: str = "UTC"
    conditions: FilterState = field(default_factory=FilterState)
    order: str = "newest first"
    page: int = 0
    size: int = 25

    def __post_init__(self) -> None:
        require(self.frame, NEEDED, "the explorer")
        if not isinstance(self.frame["date"].dtype, pd.DatetimeTZDtype):
            kind = self.frame["date"].dtype
            raise SchemaError(f"Column 'date' ({kind}) holds no dates with a zone; histkit.read_csv makes them.")
        self._numbered = self.frame.reset_index(drop=True)
        self._numbered.attrs.clear()
        self._ticked = np.zeros(len(self.frame), bool)
        self._meant: Ints = np.arange(len(self.frame))
        self._sort()

    def ask(self, conditions: FilterState) -> None:
        """Ask for other rows; ticks stay on the rows that are still meant.

        Raises
        ------
        InputError
            The conditions can't be used; nothing has changed.
        """
        kept = conditions.apply(self._numbered, self.tz).index.to_numpy(np.int64)
        self.conditions, self._meant, self.page = conditions, kept, 0
        meant = np.zeros(len(self.frame), bool)
        meant[kept] = True
        self._ticked &= meant
        self._sort()

    def sort(self, order: str) -> None:
        """Put the rows in another order, from the first page on."""
        self.order, self.page = order, 0
        self._sort()

    def turn(self, pages: int) -> None:
        """Turn so many pages, not beyond the first and the last."""
        self.page = min(max(self.page + pages, 0), self.pages - 1)

    @property
    def pages(self) -> int:
        """How many pages there are, one at least."""
        return max(1, -(-len(self._meant) // self.size))

    @property
    def filtered(self) -> pd.DataFrame:
        """The rows that are meant, in the frame's order, with all columns."""
        return self.frame.iloc[self._meant]

    @property
    def selected(self) -> pd.DataFrame:
        """The ticked rows, in the frame's order, with all columns."""
        return self.frame.iloc[np.flatnonzero(self._ticked)]

    @property
    def credits(self) -> tuple[pd.Series, pd.Series]:
        """The credits of the rows that are meant, and of the ticked ones; no other column is copied."""
        column = self._numbered["credits"]
        return column.iloc[self._meant], column.iloc[np.flatnonzero(self._ticked)]

    @property
    def drawn(self) -> pd.DataFrame:
        """The rows that are meant, with the columns that charts need."""
        return self.frame[_DRAWN].iloc[self._meant]

    @property
    def code(self) -> str:
        """The expression that gives `filtered` again."""
        return self.conditions.code(self.tz)

    @property
    def places(self) -> Ints:
        """Positions, in the frame, of the rows of the page."""
        return self._shown[self.page * self.size : (self.page + 1) * self.size]

    def ticked_here(self) -> list[int]:
        """Give which rows of the page are ticked, from 0."""
        return np.flatnonzero(self._ticked[self.places]).tolist()

    def tick(self, rows: Iterable[int]) -> None:
        """Tick these rows of the page, and no other of it."""
        places = self.places
        self._ticked[places] = False
        self._ticked[places[[row for row in rows if row < len(places)]]] = True

    def tick_all(self, on: bool) -> None:
        """Tick all rows that are meant, or none."""
        self._ticked[:] = False
        self._ticked[self._meant] = on

    def tick_numbers(self, words: str) -> None:
        """Tick rows by their numbers in the present order, such as "1-20, 35".

        Raises
        ------
        InputError
            That is no list of numbers of rows; nothing is ticked.
        """
        places: list[int] = []
        for part in words.replace(";", ",").split(","):
            match = _NUMBERS.fullmatch(part)
            if match is None:
                raise InputError(f"Tick rows: {part.strip()!r:.40} is no number of a row; write 1-20, 35.")
            first, last = int(match[1]), int(match[2] or match[1])
            if not 1 <= first <= last <= len(self._shown):
                raise InputError(f"Tick rows: {part.strip()!r} is not within 1 to {len(self._shown):,}.")
            places += range(first - 1, last)
        self._ticked[self._shown[places]] = True

    def table(self) -> pd.DataFrame:
        """Give the rows of the page as they are shown: texts in one line, moments on the clock of the zone."""
        rows = self._numbered.iloc[self.places]
        dates = rows["date"].dt.tz_convert(self.tz).dt.strftime("%Y-%m-%d %H:%M:%S")
        first = self.page * self.size + 1
        return pd.DataFrame(
            {
                "#": [f"{first + number:,}" for number in range(len(rows))],
                "Date": dates.astype(object).where(dates.notna(), "–").tolist(),
                "Voice": [_said(name, lines) for name, lines in zip(rows["voice_name"], rows["dialogue"], strict=True)],
                "Text": [_line(text, lines) for text, lines in zip(rows["text"], rows["dialogue"], strict=True)],
                "Credits": [_number(each) for each in rows["credits"]],
                "Characters": [_number(each) for each in rows["characters"]],
                "Model": _words(rows["model_id"]),
                "Source": _words(rows["source"]),
            }
        )

    def copy(self, **changes: Any) -> Selection:
        """Give another of the same frame."""
        return replace(self, **changes)

    def _sort(self) -> None:
        name, ascending = ORDERS[self.order]
        column = self._numbered[name].iloc[self._meant]
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype("string")
        self._shown: Ints = column.sort_values(ascending=ascending, kind="stable", na_position="last").index.to_numpy(
            np.int64
        )


def choices(column: pd.Series, names: pd.Series | None = None) -> list[tuple[str, str]]:
    """Give what a filter offers, the commonest first: label with the number of rows, and value.

    Parameters
    ----------
    column : Series
        Ids or words.
    names : Series, optional
        A name for each row; the newest of a value labels it. Rows are taken to be newest first.
    """
    counts = column.value_counts()
    counts = counts[counts > 0]
    labels: dict[Any, str] = {}
    if names is not None:
        first = pd.DataFrame({"value": column, "name": names}).dropna().drop_duplicates("value")
        labels = dict(zip(first["value"].astype(str), first["name"].astype(str), strict=True))
    found = []
    for value, count in counts.items():
        label = one_line_text(labels.get(str(value), str(value)))
        if list(labels.values()).count(labels.get(str(value), "")) > 1:
            label += f" ({str(value)[:6]})"
        found.append((f"{label}  ·  {count:,}", str(value)))
    return found


def _words(column: pd.Series) -> list[str]:
    return ["–" if pd.isna(each) else one_line_text(str(each)) for each in column]


def _said(name: Any, lines: Any) -> str:
    if _some(lines):
        return "(dialogue)"
    return "–" if name is None or pd.isna(name) else _cut(one_line_text(str(name)), _VOICE_CHARACTERS)


def _cut(line: str, most: int) -> str:
    return line if len(line) <= most else line[: most - 2].rstrip() + " …"


def _line(text: Any, lines: Any) -> str:
    if _some(lines):
        text = " / ".join(f"{line.get('voice_name') or '?'}: {line.get('text') or ''}" for line in lines)
    if text is None or pd.isna(text):
        return "–"
    return _cut(one_line_text(str(text)[: 4 * _TEXT_CHARACTERS]), _TEXT_CHARACTERS)


def _some(lines: Any) -> bool:
    return isinstance(lines, (list, tuple, np.ndarray)) and len(lines) > 0


def _number(value: Any) -> str:
    return "–" if pd.isna(value) else f"{int(value):,}"
