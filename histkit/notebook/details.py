"""Everything about one row, for the explorer's panel: texts, settings, and the takes of the same line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import HistkitError
from histkit.frame.columns import factorize, plain_values
from histkit.frame.dialogues import dialogues_of
from histkit.frame.kept_rows import rows_where
from histkit.frame.schema import SETTINGS
from histkit.notebook.columns import TableColumn, cell_texts, shown_text, voice_text
from histkit.notebook.windows import rows_at, runs_right_to_left, short_line
from histkit.retakes.takes import line_keys
from histkit.util.arrays import Hashes, Ints
from histkit.util.text import format_value, one_line_text, replace_surrogates

MOST_TAKES = 50
_LONGEST = 100_000  # characters of the text
_SAID = ("history_item_id", "account", "voice_id", "voice_name", "text", "dialogue")
_ELSEWHERE = ("text", *SETTINGS)


def row_details(frame: pd.DataFrame, position: int, columns: Mapping[str, TableColumn], tz: str) -> dict[str, Any]:
    """Return the fields of a row as texts.

    Returns
    -------
    dict
        ``fields`` and ``settings`` (label and value; those that are missing are left out), ``text`` with its line
        breaks, ``rtl``, and ``dialogue`` (voice and text of each line).
    """
    names = ["text", "dialogue", *(column.name for column in columns.values() if column.key != "text")]
    row = rows_at(frame, names, np.array([position]))
    lines = dialogues_of(row)[0]
    fields, settings = [], []
    for column in columns.values():
        cell = cell_texts(column.kind, row[column.name], tz)[0]
        if column.key == "voice_name":
            cell = voice_text(row[column.name].iloc[0], lines)
        if cell is not None and column.key not in _ELSEWHERE:
            fields.append({"label": column.label, "value": short_line(cell)[0]})
        elif cell is not None and column.key in SETTINGS:
            settings.append({"label": column.label, "value": short_line(cell)[0]})
    spoken = shown_text(row["text"].iloc[0], lines) or ""
    text = "" if lines else several_lines(spoken)
    return {
        "position": position,
        "fields": fields,
        "text": text,
        "rtl": runs_right_to_left(spoken),
        "dialogue": [
            {
                "voice": one_line_text(format_value(line.get("voice_name") or line.get("voice_id") or "?", "text")),
                "text": several_lines(str(line.get("text") or "")),
            }
            for line in lines
        ],
        "settings": settings,
    }


class TakeFinder:
    """Finds the takes of a row's line. The texts of a voice are compared once, when a row of it is first asked for."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._said = frame[[name for name in _SAID if name in frame.columns]]
        self._lines: dict[tuple[str, int], tuple[Ints, Hashes]] = {}

    def takes(self, position: int, tz: str) -> list[dict[str, Any]]:
        """Return the takes of a row's line, as `histkit.takes` finds them, the newest first.

        Returns
        -------
        list of dict
            ``position``, ``date``, ``credits``, ``text``, and ``same``: whether it is this row. Empty for a line that
            was spoken once; at most `MOST_TAKES`, and always this row.
        """
        try:
            rows, keys = self._lines_of_voice(position)
        except HistkitError:  # texts or dialogues of another type: no rows are takes of one line
            return []
        same = rows[keys == keys[np.searchsorted(rows, position)]]
        if len(same) < 2:
            return []
        dates = self._frame["date"].iloc[same].reset_index(drop=True)
        newest = same[dates.sort_values(ascending=False, kind="stable").index.to_numpy(np.int64)]
        shown = newest[:MOST_TAKES]
        if position not in shown:
            shown = np.r_[shown[:-1], position]
        takes = rows_at(self._frame, ["text", "dialogue", "date", "credits"], shown)
        texts = map(shown_text, takes["text"], dialogues_of(takes))
        dated, credits = cell_texts("date", takes["date"], tz), plain_values(takes["credits"])
        return [
            {
                "position": place,
                "date": date,
                "credits": cost,
                "text": short_line(text or "")[0],
                "same": place == position,
            }
            for place, date, cost, text in zip(shown.tolist(), dated, credits, texts, strict=True)
        ]

    def _lines_of_voice(self, position: int) -> tuple[Ints, Hashes]:
        """Return the rows that have the voice of a row, and the key of each one's line; without an id, by the name."""
        has_id = pd.notna(self._frame["voice_id"].iloc[position])
        name = "voice_id" if has_id else "voice_name"
        codes, _ = factorize(self._frame[name])
        voice = name, int(codes[position])
        if voice not in self._lines:
            same = codes == codes[position]
            if not has_id:
                same &= self._frame["voice_id"].isna().to_numpy(bool)
            rows = np.flatnonzero(same)
            self._lines[voice] = rows, line_keys(rows_where(self._said, same)).to_numpy()
        return self._lines[voice]


def several_lines(text: str) -> str:
    """Return a text without control characters but line feeds; a very long one is cut."""
    lines = replace_surrogates(text[:_LONGEST]).splitlines()
    cut = " …" if len(text) > _LONGEST else ""
    return "\n".join(map(one_line_text, lines)) + cut
