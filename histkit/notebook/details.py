"""Everything about one row, for the explorer's panel: texts, settings, and the takes of the same line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import HistkitError
from histkit.frame.columns import factorize, plain_values
from histkit.frame.dialogues import dialogues_of
from histkit.frame.schema import SETTINGS
from histkit.notebook.columns import TableColumn, cell_texts, shown_text, voice_text
from histkit.notebook.windows import rows_at, runs_right_to_left, short_line
from histkit.retakes.takes import line_keys
from histkit.util.arrays import Ints
from histkit.util.text import format_value, one_line_text, replace_surrogates

MOST_TAKES = 50
_LONGEST = 100_000  # characters of the text
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
    text = "" if lines else _several_lines(spoken)
    return {
        "position": position,
        "fields": fields,
        "text": text,
        "rtl": runs_right_to_left(spoken),
        "dialogue": [
            {
                "voice": one_line_text(format_value(line.get("voice_name") or line.get("voice_id") or "?", "text")),
                "text": _several_lines(str(line.get("text") or "")),
            }
            for line in lines
        ],
        "settings": settings,
    }


def row_takes(frame: pd.DataFrame, position: int, tz: str) -> list[dict[str, Any]]:
    """Return the takes of a row's line, as `histkit.takes` tells them, the newest first.

    Returns
    -------
    list of dict
        ``position``, ``date``, ``credits``, ``text``, and ``same``: whether it is this row. Empty for a line that was
        spoken once.
    """
    candidates = _same_voice(frame, position)
    try:
        keys = line_keys(frame.iloc[candidates]).to_numpy()
    except HistkitError:  # texts or dialogues of another type: then no rows are takes of one line
        return []
    same = candidates[keys == keys[np.searchsorted(candidates, position)]]
    if len(same) < 2:
        return []
    dates = frame["date"].iloc[same].reset_index(drop=True)
    newest = dates.sort_values(ascending=False, kind="stable", na_position="last").index[:MOST_TAKES]
    positions = same[newest.to_numpy(np.int64)].tolist()
    shown = rows_at(frame, ["text", "dialogue", "date", "credits"], np.array(positions))
    texts = map(shown_text, shown["text"], dialogues_of(shown))
    return [
        {
            "position": place,
            "date": date,
            "credits": credits,
            "text": short_line(text or "")[0],
            "same": place == position,
        }
        for place, date, credits, text in zip(
            positions,
            cell_texts("date", shown["date"], tz),
            plain_values(shown["credits"]),
            texts,
            strict=True,
        )
    ]


def _same_voice(frame: pd.DataFrame, position: int) -> Ints:
    """Return the positions of the rows that have the voice of a row; without a voice, of those without one."""
    name = "voice_id" if pd.notna(frame["voice_id"].iloc[position]) else "voice_name"
    codes, _ = factorize(frame[name])
    same = codes == codes[position]
    if name == "voice_name":
        same &= frame["voice_id"].isna().to_numpy(bool)
    return np.flatnonzero(same)


def _several_lines(text: str) -> str:
    """Return a text without control characters but line feeds."""
    lines = replace_surrogates(text[:_LONGEST]).splitlines()
    cut = " …" if len(text) > _LONGEST else ""
    return "\n".join(map(one_line_text, lines)) + cut
