"""The kernel's side of the explorer: every request of a view and its reply, without a widget.

Kernels run handlers on several threads: a lock guards the state, and long computations run on a snapshot of it outside
the lock.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.dialogues import parsed_dialogues
from histkit.frame.kept_rows import rows_where
from histkit.notebook.columns import SHOWN, TableColumn, table_columns
from histkit.notebook.details import TakeFinder, row_details
from histkit.notebook.dispatch import Dispatcher, Message, Reply
from histkit.notebook.filter_state import FilterState
from histkit.notebook.profiles import Bars, Histogram, profile, voice_labels
from histkit.notebook.selection import Selection, Totals
from histkit.notebook.series import CHART_FREQS, GROUPS, chart_series
from histkit.notebook.sorting import SortKey
from histkit.notebook.windows import MOST_ROWS, window
from histkit.usage.aggregate import MEASURES
from histkit.util.arguments import one_of, true_or_false, whole_number
from histkit.util.arrays import Mask
from histkit.util.background import Cancelled, Watch, watched
from histkit.util.text import quoted

CHANGES = ("changed", "changed_ticks", "changed_chart")  # events of a state that a file and a page have
_MOST_KEYS, _WIDEST = 10, 2_000
_CHART_COLUMNS = ["date", "voice_id", "voice_name", "model_id", "source", "dialogue", "characters", "credits"]
NO_ROWS = "The history has no rows. Get some with df = hk.sync(), hk.read_history() or hk.sample_history()."
_NONE_PASS = "No row passes the filters."
_NONE_TICKED = "No row is ticked."


class Service(Dispatcher):
    """Answers the requests of an explorer's views.

    Parameters
    ----------
    selection : Selection
        The state, which all views share.
    page_size : int, default 25
        Rows that the table is high.
    defaults : mapping, optional
        Targets of downloads and exports by action.
    """

    def __init__(
        self,
        selection: Selection,
        *,
        page_size: int = 25,
        defaults: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__("explorer")
        self.selection, self.page_size = selection, page_size
        self.chart = {"by": "voice", "freq": "auto", "measure": "credits"}  # what a view that opens draws
        self.defaults = dict(defaults or {})
        self.columns: dict[str, TableColumn] = table_columns(selection.frame)
        self.shown = [key for key in SHOWN if key in self.columns]
        self.widths: dict[str, int] = {}
        self._version = 0  # of the columns
        self._queries = threading.Lock()  # held by the query that is answered
        self._watch: Watch | None = None  # of its search
        self._profiles: dict[str, Histogram | Bars] = {}
        self._takes = TakeFinder(selection.frame)
        self._voices: dict[str, str] | None = None
        self._parsed: pd.DataFrame | None = None
        self._drawn: tuple[Any, Reply] | None = None  # the last chart, and what it is of
        self.handlers |= {
            "open": self._open,
            "query": self._query,
            "stop": self._stop,
            "rows": self._rows,
            "profiles": self._answer_profiles,
            "chart": self._chart,
            "tick": self._tick,
            "columns": self._columns,
            "detail": self._detail,
            "find": self._find,
        }

    @property
    def version(self) -> int:
        """Grows with every change of filters, sort or shown columns."""
        return self.selection.version + self._version

    def restore(
        self,
        *,
        filters: FilterState,
        sort: Sequence[SortKey] | None,
        shown: Sequence[str],
        widths: Mapping[str, int],
        chart: Mapping[str, str],
        ticked: Mask,
    ) -> None:
        """Set the whole state, before any view is open; without `sort` or `shown` these stay as they are."""
        with self.lock:
            self.selection.change(filters=filters, sort=sort)
            self.selection.tick(np.flatnonzero(ticked).tolist(), True)
            self.shown = list(shown) or self.shown
            self.widths |= widths
            self.chart = dict(chart)

    def change(self, by: str | None = None, **changes: Any) -> None:
        """Change the selection as `Selection.change` does, and tell the views; `by` is the view that asked for it."""
        with self.lock:
            self.selection.change(**changes)
            self.emit({"event": "changed", "by": by, **self._state()})  # under the lock: events come in order

    def _state(self) -> Reply:
        """Return what all views show beside the rows."""
        selection = self.selection
        totals = selection.totals()
        return {
            "version": self.version,
            "filters": selection.filters.message(selection.tz),
            "sort": [{"key": str(key.column), "descending": key.descending} for key in selection.sort],
            "shown_only": selection.shown_only,
            "count": totals.rows,
            "credits": totals.credits,
            "ticked": self._ticked(),
            "columns": self._column_messages(),
            "code": selection.code,
            "empty": self.empty(totals),
        }

    def empty(self, totals: Totals) -> str | None:
        """Return a line on why the table has no rows; None if it has some."""
        if totals.rows:
            return None
        return NO_ROWS if self.selection.frame.empty else _NONE_TICKED if self.selection.shown_only else _NONE_PASS

    def _ticked(self) -> Reply:
        selection = self.selection
        totals = selection.totals(selection.ticked)
        return {
            "count": totals.rows,
            "credits": totals.credits,
            "hidden": selection.hidden(),
            "shown_only": selection.shown_only,
        }

    def _column_messages(self) -> list[Reply]:
        order = [*self.shown, *(key for key in self.columns if key not in self.shown)]
        return [self.columns[key].message(shown=key in self.shown, width=self.widths.get(key)) for key in order]

    def _window(self, start: int, stop: int) -> Reply:
        return window(self.selection, [self.columns[key] for key in self.shown], start, stop)

    def _with_rows(self) -> Reply:
        return {**self._state(), "rows": self._window(0, self._first_rows())}

    def _first_rows(self) -> int:
        """Return the number of rows that open and query send: enough for the table and some scrolling."""
        return max(60, 2 * self.page_size)

    def _open(self, message: Message) -> tuple[Reply, list[bytes]]:
        with self.lock:
            frame = self.selection.frame
            total = self.selection.totals(np.ones(len(frame), bool))
            head = {
                "tz": self.selection.tz,
                "total": {"rows": total.rows, "credits": total.credits},
                "page": self._first_rows(),
                "page_size": self.page_size,
                "chart": dict(self.chart),
                "defaults": self.defaults,
                "account_columns": "account" in frame.columns,
                "alignments": "alignments" in frame.columns,
                "notes": list(self.notes),
            }
            return {**head, **self._with_rows()}, []

    def _query(self, message: Message) -> tuple[Reply, list[bytes]]:
        with self._queries:
            if message.get("filters") is not None:
                self._search(message["filters"])
            return self._change(message)

    def _search(self, filters: Any) -> None:
        """Find the rows that pass filters, which are kept for the change; without the lock, as it may take seconds."""
        with self.lock:
            state = self.selection.filters.changed(filters, self.selection.tz)
        watch = self._watch = Watch(lambda done, total, size: None)
        try:
            with watched(watch):
                self.selection.masks.passing(state)
        except Cancelled:
            raise InputError("The search was stopped.") from None
        finally:
            self._watch = None

    def _stop(self, message: Message) -> tuple[Reply, list[bytes]]:
        watch = self._watch
        if watch is not None:
            watch.stop.set()
        return {"stopped": watch is not None}, []

    def _change(self, message: Message) -> tuple[Reply, list[bytes]]:
        with self.lock:
            changes: dict[str, Any] = {}
            if message.get("filters") is not None:
                changes["filters"] = self.selection.filters.changed(message["filters"], self.selection.tz)
            if message.get("sort") is not None:
                changes["sort"] = self._sort_keys(message["sort"])
            if message.get("shown_only") is not None:
                changes["shown_only"] = true_or_false("shown_only", message["shown_only"])
            self.selection.change(**changes)
            reply = self._with_rows()
            self._tell_changed(message, reply)
        return reply, []

    def _sort_keys(self, value: Any) -> list[SortKey]:
        if not isinstance(value, (list, tuple)) or len(value) > _MOST_KEYS:
            raise InputError(f"sort={quoted(value)} must be a list of at most {_MOST_KEYS} keys.")
        keys: dict[str, SortKey] = {}
        for part in value:
            if not isinstance(part, Mapping):
                raise InputError(f"sort={quoted(value)} must be a list of objects with key and descending.")
            column = self._column(part.get("key"))
            keys.setdefault(
                column.key, SortKey(column.name, true_or_false("descending", part.get("descending", False)))
            )
        return list(keys.values())

    def _column(self, key: Any) -> TableColumn:
        column = self.columns.get(key) if isinstance(key, str) else None
        if column is None:
            raise InputError(f"The table has no column {quoted(key)}.")
        return column

    def _rows(self, message: Message) -> tuple[Reply, list[bytes]]:
        start, stop = (whole_number(name, message.get(name), 0) for name in ("start", "stop"))
        if stop - start > MOST_ROWS:
            raise InputError(f"A request has at most {MOST_ROWS} rows, not {stop - start:,}.")
        with self.lock:
            return {"version": self.version, **self._window(start, stop)}, []

    def voice_labels(self) -> dict[str, str]:
        """Return the label of each voice by its id."""
        with self.lock:
            if self._voices is None:
                self._voices = voice_labels(self._chart_rows("voice"))
            return self._voices

    def _answer_profiles(self, message: Message) -> tuple[Reply, list[bytes]]:
        keys = message.get("keys")
        if not isinstance(keys, (list, tuple)) or len(keys) > len(self.columns):
            raise InputError(f"keys={quoted(keys)} must be a list of columns.")
        columns = [self._column(key) for key in keys]
        for column in columns:
            if not column.profile:
                raise InputError(f"Column {quoted(column.key)} has no profile.")
        with self.lock:
            version, filters = self.version, self.selection.filters
            masks: list[Mask] = [self.selection.masks.passing(filters, without=column.filter) for column in columns]
        messages = {}
        for column, rows in zip(columns, masks, strict=True):
            if column.key not in self._profiles:
                labels = self.voice_labels() if column.filter == "voice" else {}
                self._profiles[column.key] = profile(self.selection.frame, column, self.selection.tz, labels)
            messages[column.key] = self._profiles[column.key].message(rows)
        return {"version": version, "profiles": messages}, []

    def _chart(self, message: Message) -> tuple[Reply, list[bytes]]:
        choice, group = self.chart_choice(message)
        with self.lock:
            version, kept = self.version, self.selection.kept
            rows = self._chart_rows(group)
            if true_or_false("chosen", message.get("chosen", False)) and choice != self.chart:
                self.chart = choice
                self.tell("changed_chart", message, {"chart": choice})
            drawn = self._drawn
        if drawn is not None and drawn[0] == (version, choice):
            return dict(drawn[1]), []
        if not kept.all():
            rows = rows_where(rows, kept)
        series = chart_series(rows, group, choice["freq"], choice["measure"], self.selection.tz, self.voice_labels())
        reply = {"version": version, **series, "by": choice["by"]}
        self._drawn = (version, choice), reply
        return dict(reply), []

    def chart_choice(self, message: Mapping[str, Any]) -> tuple[dict[str, str], Hashable]:
        """Return group, period and measure of a chart, and the group as `chart_series` takes it.

        Parameters
        ----------
        message : mapping
            Has any of ``by``, ``freq`` and ``measure``; the others are those of the present chart.

        Raises
        ------
        InputError
            One of them is not possible.
        """
        by = message.get("by", self.chart["by"])
        freq = one_of("freq", message.get("freq", self.chart["freq"]), CHART_FREQS)
        measure = one_of("measure", message.get("measure", self.chart["measure"]), MEASURES)
        if by in GROUPS:
            return {"by": by, "freq": freq, "measure": measure}, by
        column = self._column(by)
        if not self.has_groups(by):
            raise InputError(f"The chart can't be by {quoted(by)}; choose a column of few values.")
        return {"by": column.key, "freq": freq, "measure": measure}, column.name

    def has_groups(self, key: str) -> bool:
        """Return whether a column's values can be the groups of the chart."""
        return key in self.columns and self.columns[key].kind == "category"

    def _chart_rows(self, group: Hashable) -> pd.DataFrame:
        """Return all rows, with the columns that a chart needs, and dialogues that are parsed."""
        frame = self.selection.frame
        if self._parsed is None:
            self._parsed = frame[_CHART_COLUMNS].assign(dialogue=parsed_dialogues(frame["dialogue"]))
        if group in GROUPS or group in _CHART_COLUMNS:
            return self._parsed
        return pd.concat([self._parsed, frame[[group]]], axis=1)

    def _tick(self, message: Message) -> tuple[Reply, list[bytes]]:
        op = one_of("op", message.get("op"), ("set", "range", "all", "none"))
        on = op != "none" and true_or_false("on", message.get("on", True))
        with self.lock:
            if op in ("range", "all") and message.get("version", self.version) != self.version:
                raise InputError("The table has changed in the meantime; tick the rows again.")
            if op == "set":
                positions = message.get("positions")
                if not isinstance(positions, (list, tuple)):
                    raise InputError(f"positions={quoted(positions)} must be a list of rows.")
                self.selection.tick([whole_number("positions", position, 0) for position in positions], on)
            elif op == "range":
                first, last = (whole_number(name, message.get(name), 0) for name in ("from_n", "to_n"))
                self.selection.tick_range(first, last, on)
            elif op == "all":
                self.selection.tick_all(on)
            else:
                self.selection.untick()
            reply = {"version": self.version, "ticked": self._ticked()}
            self.tell("changed_ticks", message, reply)
        return reply, []

    def _columns(self, message: Message) -> tuple[Reply, list[bytes]]:
        with self.lock:
            shown, widths = message.get("shown"), message.get("widths")
            if shown is not None:
                if not isinstance(shown, (list, tuple)) or not shown:
                    raise InputError(f"shown={quoted(shown)} must be a list of columns, at least one.")
                shown = list(dict.fromkeys(self._column(key).key for key in shown))
            if widths is not None:
                if not isinstance(widths, Mapping):
                    raise InputError(f"widths={quoted(widths)} must be an object of pixels by column.")
                widths = {
                    self._column(key).key: whole_number("width", width, 1, _WIDEST) for key, width in widths.items()
                }
            if shown is not None and shown != self.shown:
                self.shown = shown
                self._version += 1
            self.widths |= widths or {}
            reply = self._with_rows()
            self._tell_changed(message, reply)
        return reply, []

    def _detail(self, message: Message) -> tuple[Reply, list[bytes]]:
        selection = self.selection
        position = self.position_of(message)
        return {
            **row_details(selection.frame, position, self.columns, selection.tz),
            "takes": self._takes.takes(position, selection.tz),
        }, []

    def _find(self, message: Message) -> tuple[Reply, list[bytes]]:
        position = self.position_of(message)
        with self.lock:
            places = np.flatnonzero(self.selection.positions == position).tolist()
            return {"version": self.version, "n": places[0] if places else None}, []

    def position_of(self, message: Message) -> int:
        """Return the row that a request names.

        Raises
        ------
        InputError
            It names none.
        """
        rows = len(self.selection.frame)
        if not rows:
            raise InputError("The history has no rows.")
        return whole_number("position", message.get("position"), 0, rows - 1)

    def _tell_changed(self, message: Message, reply: Reply) -> None:
        self.tell("changed", message, {name: value for name, value in reply.items() if name != "rows"})
