"""The widgets of the explorer: controls, table, chart, and how they are laid out."""

from __future__ import annotations

import html
from typing import Any

import pandas as pd

from histkit.notebook.controls import describe_rows, import_widgets, status_line, undocumented
from histkit.notebook.selection import ORDERS, Selection, choices

_WIDE = "292px"
_NARROW = {"description_width": "76px"}
_TABLE: dict[str, Any] = {  # Selection sorts and pages; the browser gets one page
    "select": {"style": "multi", "keys": True},
    "classes": "display compact nowrap histkit-rows",
    "ordering": False,
    "searching": False,
    "paging": False,
    "info": False,
    "showIndex": False,
    "allow_html": False,
    "maxBytes": 0,
    "scrollX": True,
    "scrollY": "330px",
    "scrollCollapse": True,
    "autoWidth": True,
    "layout": {"topStart": None, "topEnd": None, "bottomStart": None, "bottomEnd": None},
    "columnDefs": [
        {"targets": [0, 4, 5], "className": "dt-right", "type": "string"},
        {"targets": [1, 2, 3, 6, 7], "className": "dt-left", "type": "string"},
    ],
}
_NO_FILTERS: dict[str, Any] = {
    "voice": (),
    "model": (),
    "source": (),
    "first": None,
    "last": None,
    "text": "",
    "pattern": False,
    "least": "",
    "most": "",
}


class ExplorerView:
    """The widgets of an explorer. They show its state; the explorer handles their events.

    Attributes
    ----------
    filters : dict
        The filter controls, by field of `histkit.notebook.selection.FilterState`.
    widget : ipywidgets.Widget
        The container of all widgets.
    """

    def __init__(self, state: Selection, folder: str) -> None:
        self._w, table = import_widgets()
        self.filters = self._make_filters(state.frame)
        self.clear = self._w.Button(description="Clear filters", icon="eraser", layout={"width": _WIDE})
        with undocumented():
            self.table = table(state.table(), **_TABLE)
        self._make_row_controls()
        self._make_action_controls(folder)
        self.chart = self._w.Image(format="png", layout={"max_width": "100%"})
        self.chart_by = self._w.Dropdown(options=["voice", "model", "source"], description="Chart by")
        self.summary, self.message, self.code = self._w.HTML(), self._w.HTML(), self._w.HTML()
        self.progress, self.players = self._w.Output(), self._w.Output()
        self.widget = self._lay_out()

    def _make_filters(self, frame: pd.DataFrame) -> dict[str, Any]:
        w = self._w
        newest = (
            frame[["date", "voice_id", "voice_name"]]
            .reset_index(drop=True)
            .sort_values("date", ascending=False, kind="stable")
        )
        lists = {
            "voice": choices(newest["voice_id"], newest["voice_name"]),
            "model": choices(frame["model_id"]),
            "source": choices(frame["source"]),
        }
        common: dict[str, Any] = {"layout": {"width": _WIDE}, "style": _NARROW}
        typed = {"continuous_update": False, **common}
        filters: dict[str, Any] = {
            name: w.SelectMultiple(
                options=options,
                description=name.capitalize(),
                rows=min(max(len(options), 2), 6),
                tooltip="Ctrl or Shift selects several; none selected: all",
                **common,
            )
            for name, options in lists.items()
        }
        return filters | {
            "first": w.DatePicker(description="From", **common),
            "last": w.DatePicker(description="To", **common),
            "text": w.Text(description="Text has", placeholder="words", **typed),
            "pattern": w.Checkbox(description="regular expression", **common),
            "least": w.Text(description="Credits ≥", placeholder="any", **typed),
            "most": w.Text(description="Credits ≤", placeholder="any", **typed),
        }

    def _make_row_controls(self) -> None:
        self.order = self._w.Dropdown(options=[*ORDERS], description="Order")
        self.earlier, self.later = (
            self._button("Earlier page", "chevron-left"),
            self._button("Later page", "chevron-right"),
        )
        self.page = self._w.Label()
        self.tick_all, self.untick_all = self._button("Tick all"), self._button("Untick all")
        self.numbers = self._w.Text(
            description="Tick rows",
            placeholder="1-20, 35",
            continuous_update=False,
            layout={"width": "190px"},
            style=_NARROW,
        )

    def _make_action_controls(self, folder: str) -> None:
        w = self._w
        self.folder = w.Text(value=folder, description="Folder")
        self.zip = w.Text(value="audio.zip", description="Zip")
        self.csv = w.Text(value="rows.csv", description="CSV")
        self.dry_run = w.Checkbox(description="dry run", indent=False)
        self.listen = w.Button(description="Listen", icon="play")
        self.pull = w.Button(description="Pull audio", icon="download", button_style="primary")
        self.make_zip = w.Button(description="Make zip", icon="file-archive-o")
        self.export = w.Button(description="Export CSV", icon="table")

    def _button(self, description: str, icon: str = "") -> Any:
        return self._w.Button(description=description, icon=icon, tooltip=description, layout={"width": "auto"})

    def _lay_out(self) -> Any:
        w = self._w
        filters = w.VBox([*self.filters.values(), self.clear], layout={"width": "308px", "flex": "0 0 auto"})
        head = w.HBox(
            [self.order, self.earlier, self.page, self.later, self.numbers, self.tick_all, self.untick_all],
            layout={"flex_flow": "row wrap", "align_items": "center"},
        )
        actions = w.VBox(
            [
                w.HBox([self.listen, self.dry_run], layout={"align_items": "center"}),
                w.HBox([self.folder, self.pull]),
                w.HBox([self.zip, self.make_zip]),
                w.HBox([self.csv, self.export]),
            ]
        )
        main = w.VBox(
            [
                *(self.summary, head, self.table, self.message, actions),
                *(self.progress, self.players, self.chart_by, self.chart, self.code),
            ],
            layout={"flex": "1 1 600px", "min_width": "0"},
        )
        return w.HBox([filters, main], layout={"flex_flow": "row wrap", "width": "100%"})

    def filter_values(self) -> dict[str, Any]:
        """Return the values of the filter controls."""
        return {name: control.value for name, control in self.filters.items()}

    def clear_filters(self) -> None:
        """Empty the filter controls."""
        for name, control in self.filters.items():
            control.value = _NO_FILTERS[name]

    def show(self, state: Selection) -> None:
        """Show the page, its ticks, the sums and the code of a selection."""
        with undocumented():
            self.table.update(state.table(), selected_rows=state.ticked_here())
        self.page.value = f"page {state.page + 1:,} of {state.pages:,}"
        self.earlier.disabled, self.later.disabled = state.page == 0, state.page + 1 >= state.pages
        self.code.value = f"<pre>{html.escape(state.code)}</pre>"
        self.show_summary(state)

    def show_summary(self, state: Selection) -> None:
        """Show the number of rows and credits that are filtered and ticked."""
        filtered, ticked = state.credits
        parts = [describe_rows(filtered, f"of {len(state.frame):,} rows")]
        if len(ticked):
            parts.append(describe_rows(ticked, "ticked"))
        self.summary.value = f'<div aria-live="polite"><b>{"</b> · <b>".join(parts)}</b></div>'

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Show a line below the table; an empty text removes it."""
        self.message.value = status_line(text, error=error) if text else ""
