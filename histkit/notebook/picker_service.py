"""The kernel's side of the picker: every request of a view and its reply, without a widget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.columns import plain_values
from histkit.frame.dialogues import dialogues_of
from histkit.frame.schema import SETTINGS
from histkit.notebook.choice import Choice
from histkit.notebook.clips import Clips
from histkit.notebook.columns import cell_texts, shown_text, table_column, voice_text
from histkit.notebook.details import several_lines
from histkit.notebook.dispatch import Dispatcher, Message, Reply
from histkit.notebook.filter_state import FilterState
from histkit.notebook.service import NO_ROWS
from histkit.notebook.windows import MOST_ROWS, rows_at, runs_right_to_left, short_line
from histkit.notebook.word_diff import word_diff
from histkit.util.arguments import true_or_false, whole_number
from histkit.util.arrays import Ints, Mask
from histkit.util.text import NOTHING, one_line_text

MOST_TAKES = 50  # of a line; of more takes the newest
_FIRST_LINES = 100
_TZ = "UTC"
_COMPARED = ("account", "model_id", "output_format", *SETTINGS)
_SHOWN = ("date", "credits", "text", "dialogue", "voice_name", *_COMPARED)


class PickerService(Dispatcher):
    """Answers the requests of a picker's views.

    Parameters
    ----------
    frame : DataFrame
        The history.
    takes_table : DataFrame
        Its takes.
    clips : Clips
        The sound of its rows.
    empty : str
        What to say where no line has several takes.
    """

    def __init__(self, frame: pd.DataFrame, takes_table: pd.DataFrame, clips: Clips, empty: str) -> None:
        super().__init__("picker")
        self.choice = Choice(takes_table)
        self._frame, self._clips = frame, clips
        self._empty = NO_ROWS if frame.empty else empty
        self._numbers = takes_table["take"]
        self._newest: Ints = np.array([takes[-1] for takes in self.choice.takes], np.int64)
        self._found: tuple[str, Mask] = "", np.ones(len(self._newest), bool)
        self.handlers |= {
            "open_picker": self._open,
            "lines": self._lines,
            "line": self._line,
            "choose": self._choose,
            "undo": self._undo,
            "clip": self._clip,
            "words": self._words,
        }

    def _open(self, message: Message) -> tuple[Reply, list[bytes]]:
        with self.lock:
            everything = self._found_by("")
            first = self.choice.next_line(-1, everything)
            total = len(self.choice.lines)
            line = None if not total else self._line_message(0 if first is None else first, everything)
            return {
                "total": total,
                "tz": _TZ,
                "alignments": "alignments" in self._frame.columns,
                "notes": list(self.notes),
                "empty": None if total else self._empty,
                "progress": self._progress(),
                "lines": self._window(everything, 0, _FIRST_LINES),
                "line": line,
            }, []

    def _progress(self) -> Reply:
        return {"chosen": len(self.choice.chosen), "steps": self.choice.steps}

    def _lines(self, message: Message) -> tuple[Reply, list[bytes]]:
        start, stop = (whole_number(name, message.get(name), 0) for name in ("start", "stop"))
        if stop - start > MOST_ROWS:
            raise InputError(f"A request has at most {MOST_ROWS} lines, not {stop - start:,}.")
        with self.lock:
            found = self._found_by(message.get("text", ""))
            place = None if message.get("n") is None else _place(self._line_of(message), found)
            return {**self._window(found, start, stop), "place": place}, []

    def _window(self, found: Mask, start: int, stop: int) -> Reply:
        """Return some of the lines that were found."""
        numbers = np.flatnonzero(found)
        shown = numbers[start:stop]
        return {"count": len(numbers), "start": start, "lines": self._line_rows(shown) if len(shown) else []}

    def _found_by(self, text: Any) -> Mask:
        """Return which lines have a text, as the search of the explorer finds it."""
        filters = FilterState().changed({"text": text}, _TZ)
        if self._found[0] != filters.text:
            lines = self._frame[["text", "dialogue"]].iloc[self._newest]
            self._found = filters.text, filters.row_filter(_TZ).mask(lines)
        if not filters.text:
            return np.ones(len(self._newest), bool)
        return self._found[1]

    def _line_rows(self, numbers: Ints) -> list[Reply]:
        rows = self._rows_at(self._newest[numbers], ("text", "dialogue", "voice_name"))
        return [
            {
                "n": number,
                "voice": voice,
                "account": self._account(number),
                "text": short_line(text)[0],
                "rtl": runs_right_to_left(text),
                "takes": len(self.choice.takes[number]),
                "chosen": self._take_number(self.choice.chosen.get(number)),
            }
            for number, (text, voice) in zip(numbers.tolist(), self._heads(rows), strict=True)
        ]

    def _heads(self, rows: pd.DataFrame) -> list[tuple[str, str | None]]:
        """Return the text and the voice of rows."""
        lines = dialogues_of(rows)
        texts = [text or "" for text in map(shown_text, rows["text"], lines)]
        return list(zip(texts, map(voice_text, rows["voice_name"], lines), strict=True))

    def _rows_at(self, positions: Ints, names: Sequence[str]) -> pd.DataFrame:
        return rows_at(self._frame, [name for name in names if name in self._frame.columns], positions)

    def _account(self, line: int) -> str | None:
        name = self.choice.accounts[line]
        return None if name is None else one_line_text(name)

    def _take_number(self, position: int | None) -> int | None:
        return None if position is None else int(self._numbers.iloc[position])

    def _line(self, message: Message) -> tuple[Reply, list[bytes]]:
        with self.lock:
            found = self._found_by(message.get("text", ""))
            numbers = np.flatnonzero(found)
            if not len(numbers):
                raise InputError("No line has this text.")
            place = whole_number("place", message.get("place"), 0, len(numbers) - 1)
            return self._line_message(int(numbers[place]), found), []

    def _line_of(self, message: Message) -> int:
        if not self.choice.lines:
            raise InputError(self._empty)
        return whole_number("n", message.get("n"), 0, len(self.choice.lines) - 1)

    def _line_message(self, line: int, found: Mask) -> Reply:
        """Return a line and its takes; where texts differ, each is compared with that of the first take."""
        everything = self.choice.takes[line]
        positions = everything[-MOST_TAKES:]
        chosen = self.choice.chosen.get(line)
        if chosen is not None and chosen not in positions:
            positions = np.r_[chosen, positions[1:]]
        rows = self._rows_at(positions, _SHOWN)
        heads = self._heads(rows)
        texts = [one_line_text(text) for text, _ in heads]
        differ = len(set(texts)) > 1
        dates, credits = cell_texts("date", rows["date"], _TZ), plain_values(rows["credits"])
        settings = _different_settings(rows)
        text, voice = heads[-1]
        return {
            "n": line,
            "place": _place(line, found),
            "voice": voice,
            "account": self._account(line),
            "text": several_lines(text),
            "rtl": runs_right_to_left(text),
            "left_out": len(everything) - len(positions),
            "takes": [
                {
                    "position": position,
                    "take": self._take_number(position),
                    "date": date,
                    "credits": cost,
                    "settings": facts,
                    "spans": word_diff(texts[0], spoken) if differ else None,
                    "rtl": runs_right_to_left(spoken),
                }
                for position, date, cost, facts, spoken in zip(
                    positions.tolist(), dates, credits, settings, texts, strict=True
                )
            ],
            **self._kept(line),
        }

    def _kept(self, line: int) -> Reply:
        chosen = self.choice.chosen.get(line)
        return {
            "chosen": chosen,
            "chosen_take": self._take_number(chosen),
            "keeper": self.choice.keeper(line),
        }

    def _choose(self, message: Message) -> tuple[Reply, list[bytes]]:
        with self.lock:
            line, take = self._line_of(message), message.get("position")
            takes = self.choice.takes[line].tolist()
            if take is not None and whole_number("position", take, 0) not in takes:
                raise InputError(f"position={take} is no take of this line.")
            found = self._found_by(message.get("text", ""))
            self.choice.choose(line, take)
            following = None if take is None else self.choice.next_line(line, found)
            reply = {"n": line, **self._kept(line), "progress": self._progress()}
            self.tell("chosen", message, reply)
            return {**reply, "next": None if following is None else self._line_message(following, found)}, []

    def _undo(self, message: Message) -> tuple[Reply, list[bytes]]:
        with self.lock:
            found = self._found_by(message.get("text", ""))
            line = self.choice.undo()
            if line is None:
                return {"line": None, "progress": self._progress()}, []
            self.tell("chosen", message, {"n": line, **self._kept(line), "progress": self._progress()})
            return {"line": self._line_message(line, found), "progress": self._progress()}, []

    def _position_of(self, message: Message) -> int:
        if self._frame.empty:
            raise InputError(NO_ROWS)
        return whole_number("position", message.get("position"), 0, len(self._frame) - 1)

    def _clip(self, message: Message) -> tuple[Reply, list[bytes]]:
        wav = true_or_false("wav", message.get("wav", False))
        return self._clips.answer(self._position_of(message), wav=wav)

    def _words(self, message: Message) -> tuple[Reply, list[bytes]]:
        return {"words": self._clips.words(self._position_of(message))}, []


def _place(line: int, found: Mask) -> int | None:
    """Return where a line is among those found; None if it is not."""
    return int(np.count_nonzero(found[:line])) if found[line] else None


def _different_settings(rows: pd.DataFrame) -> list[list[Reply]]:
    """Return the settings of each take in which they differ; one that is not known of a take is no difference."""
    settings: list[list[Reply]] = [[] for _ in range(len(rows))]
    for name in _COMPARED:
        if name not in rows.columns:
            continue
        column = table_column(name, name, rows[name])
        values = cell_texts(column.kind, rows[name], _TZ)
        if len({value for value in values if value is not None}) > 1:
            for facts, value in zip(settings, values, strict=True):
                facts.append({"label": column.label, "value": value or NOTHING})
    return settings
