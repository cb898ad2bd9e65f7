"""The explorer: filters, a table, a chart and a player in a notebook; what it does, the functions below it do."""

from __future__ import annotations

import asyncio
import html
import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from histkit.audio.folder import download_audio
from histkit.audio.zip_download import download_zip
from histkit.errors import HistkitError, InputError
from histkit.frame.files import to_csv
from histkit.notebook.controls import import_widgets, parse_int, run_in_output, showing, status, sums, undocumented
from histkit.notebook.players import play
from histkit.notebook.selection import ORDERS, FilterState, Selection, choices
from histkit.plotting.usage import plot_usage
from histkit.usage.clock import zone_of
from histkit.util.arguments import whole_number
from histkit.util.storage import normalize_path

if TYPE_CHECKING:
    from histkit.api.client import HistoryClient

_WIDE = "292px"
_NARROW = {"description_width": "76px"}
_TABLE: dict[str, Any] = {  # the page is made here: no sorting or searching within it
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
_EMPTY: dict[str, Any] = {
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


def explore(
    frame: pd.DataFrame,
    *,
    client: HistoryClient | None = None,
    folder: str = "audio",
    tz: str = "UTC",
    page_size: int = 25,
) -> Explorer:
    """Look through a history in a notebook: filter, sort, listen, tick rows and pull them.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one.
    client : HistoryClient, optional
        For listening, pulling and zips; default: one made of the environment when one of these buttons is pressed.
    folder : str, default "audio"
        Where audio is pulled to, and played from where it is there already.
    tz : str, default "UTC"
        IANA name of the zone of the dates.
    page_size : int, default 25
        Rows of the table; only these are sent to the browser.

    Returns
    -------
    Explorer
        Shows itself; ``.filtered`` and ``.selected`` are DataFrames with all columns of the frame, ``.code`` is the
        call that gives ``.filtered`` again.

    Raises
    ------
    InputError
        ipywidgets or itables is not installed; an argument that can't be used.
    SchemaError
        The frame lacks a column.

    Examples
    --------
    >>> import histkit as hk
    >>> explorer = hk.sample_history(200).speech.explore()
    >>> explorer.state.ask(type(explorer.state.conditions)(text="chapter"))
    >>> explorer.code
    "df.speech.filter(text='chapter')"
    """
    page_size = whole_number("page_size", page_size, 1, 200)
    zone_of(tz)
    return Explorer(Selection(frame, tz, size=page_size), client, folder)


class Explorer:
    """What `explore` gives: the controls, and the frames that they choose.

    Attributes
    ----------
    state : Explored
        Which rows are meant, shown and ticked.
    manifest : DataFrame or None
        What the last pull or zip gave.
    last_error : Exception or None
        What the last line in red is about.
    """

    def __init__(self, state: Selection, client: HistoryClient | None, folder: str) -> None:
        self.state = state
        self.manifest: pd.DataFrame | None = None
        self.last_error: Exception | None = None
        self._client, self._busy = client, False
        self._drawing: asyncio.TimerHandle | None = None
        self._w, table = import_widgets()
        self._filters = self._make_filters()
        self._make_table(table)
        self._make_actions(folder)
        self._chart = self._w.Image(format="png", layout={"max_width": "100%"})
        self._chart_by = self._w.Dropdown(options=["voice", "model", "source"], description="Chart by")
        self._chart_by.observe(lambda _: self._draw_soon(), "value")
        self._summary, self._code = self._w.HTML(), self._w.HTML()
        self._message, self._output = self._w.HTML(), self._w.Output()
        self._player = self._w.Output()
        self.widget = self._laid_out()
        self._show(drawn=False)
        self._draw_soon()

    @property
    def filtered(self) -> pd.DataFrame:
        """The rows that the filters keep, in the frame's order, with all columns."""
        return self.state.filtered

    @property
    def selected(self) -> pd.DataFrame:
        """The ticked rows, in the frame's order, with all columns."""
        return self.state.selected

    @property
    def code(self) -> str:
        """The call that gives `filtered` again, of a frame called ``df``."""
        return self.state.code

    def __repr__(self) -> str:
        return f"<explorer: {len(self.filtered):,} of {len(self.state.frame):,} rows, {len(self.selected):,} ticked>"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)

    # what there is to press

    def _make_filters(self) -> dict[str, Any]:
        w, frame = self._w, self.state.frame
        wide = {"width": _WIDE}
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
        made: dict[str, Any] = {
            name: w.SelectMultiple(
                options=options,
                description=name.capitalize(),
                rows=min(max(len(options), 2), 6),
                layout=wide,
                style=_NARROW,
                tooltip="Ctrl or Shift for several; none: all",
            )
            for name, options in lists.items()
        }
        made["first"] = w.DatePicker(description="From", layout=wide, style=_NARROW)
        made["last"] = w.DatePicker(description="To", layout=wide, style=_NARROW)
        typed = {"continuous_update": False, "layout": wide, "style": _NARROW}
        made["text"] = w.Text(description="Text has", placeholder="words", **typed)
        made["pattern"] = w.Checkbox(description="regular expression", layout=wide, style=_NARROW)
        made["least"] = w.Text(description="Credits ≥", placeholder="any", **typed)
        made["most"] = w.Text(description="Credits ≤", placeholder="any", **typed)
        for control in made.values():
            control.observe(lambda _: self._do(self._ask), "value")
        self._clear = w.Button(description="Clear filters", icon="eraser", layout=wide)
        self._clear.on_click(lambda _: self._do(self._clear_filters))
        return made

    def _make_table(self, table: Any) -> None:
        w = self._w
        with undocumented():
            self._table = table(self.state.table(), **_TABLE)
        self._table.observe(lambda change: self._do(lambda: self._tick(change["new"])), "selected_rows")
        self._order = w.Dropdown(options=[*ORDERS], description="Order")
        self._order.observe(lambda change: self._do(lambda: self._sort(change["new"])), "value")
        self._before, self._after = (
            w.Button(tooltip=words, icon=icon, description=words, layout={"width": "auto"})
            for words, icon in (("Earlier page", "chevron-left"), ("Later page", "chevron-right"))
        )
        self._before.on_click(lambda _: self._do(lambda: self._turn(-1)))
        self._after.on_click(lambda _: self._do(lambda: self._turn(1)))
        self._where = w.Label()
        self._all, self._none = (
            w.Button(description=words, layout={"width": "auto"}) for words in ("Tick all", "Untick all")
        )
        self._all.on_click(lambda _: self._do(lambda: self._tick_all(True)))
        self._none.on_click(lambda _: self._do(lambda: self._tick_all(False)))
        self._numbers = w.Text(
            description="Tick rows",
            placeholder="1-20, 35",
            continuous_update=False,
            layout={"width": "190px"},
            style=_NARROW,
        )
        self._numbers.observe(lambda _: self._do(self._tick_numbers), "value")

    def _make_actions(self, folder: str) -> None:
        w = self._w
        self._folder = w.Text(value=folder, description="Folder")
        self._zip, self._csv = w.Text(value="audio.zip", description="Zip"), w.Text(value="rows.csv", description="CSV")
        self._dry = w.Checkbox(description="only say what would be done", indent=False)
        self._buttons = {}
        for words, icon, action in (
            ("Listen", "play", self._listen),
            ("Pull audio", "download", self._pull),
            ("Make zip", "file-archive-o", self._make_zip),
            ("Export CSV", "table", self._export),
        ):
            button = w.Button(description=words, icon=icon, button_style="primary" if words == "Pull audio" else "")
            button.on_click(lambda _, action=action: self._do(action))
            self._buttons[words] = button

    def _laid_out(self) -> Any:
        w, buttons = self._w, self._buttons
        filters = w.VBox([*self._filters.values(), self._clear], layout={"width": "308px", "flex": "0 0 auto"})
        head = w.HBox(
            [self._order, self._before, self._where, self._after, self._numbers, self._all, self._none],
            layout={"flex_flow": "row wrap", "align_items": "center"},
        )
        acts = w.VBox(
            [
                w.HBox([buttons["Listen"], self._dry], layout={"align_items": "center"}),
                w.HBox([self._folder, buttons["Pull audio"]]),
                w.HBox([self._zip, buttons["Make zip"]]),
                w.HBox([self._csv, buttons["Export CSV"]]),
            ]
        )
        main = w.VBox(
            [
                self._summary,
                head,
                self._table,
                self._message,
                acts,
                self._output,
                self._player,
                self._chart_by,
                self._chart,
                self._code,
            ],
            layout={"flex": "1 1 600px", "min_width": "0"},
        )
        return w.HBox([filters, main], layout={"flex_flow": "row wrap", "width": "100%"})

    # what happens then

    def _do(self, action: Callable[[], None]) -> None:
        """Do something; what goes wrong is said in the widget, in one line."""
        if self._busy:
            return
        self._busy = True
        try:
            self._say("")
            action()
        except HistkitError as error:
            self.last_error = error
            self._say(str(error), bad=True)
        except KeyboardInterrupt:
            self._say("Stopped. Press the button again, and it goes on.", bad=True)
        except Exception as error:  # a lost log is no place for it: it is said here, and kept
            self.last_error = error
            self._say(f"{type(error).__name__}: {error} (explorer.last_error has it)", bad=True)
        finally:
            self._busy = False

    def _say(self, words: str, *, bad: bool = False) -> None:
        self._message.value = status(words, bad=bad) if words else ""

    def _ask(self) -> None:
        values = {name: control.value for name, control in self._filters.items()}
        for name in ("least", "most"):
            values[name] = parse_int(values[name], "Credits")
        self.state.ask(FilterState(**values))
        self._show()

    def _clear_filters(self) -> None:
        for name, control in self._filters.items():
            control.value = _EMPTY[name]
        self.state.ask(FilterState())
        self._show()

    def _sort(self, order: str) -> None:
        self.state.sort(order)
        self._show(drawn=False)

    def _turn(self, pages: int) -> None:
        self.state.turn(pages)
        self._show(drawn=False)

    def _tick(self, rows: Iterable[int]) -> None:
        self.state.tick(rows)
        self._count()

    def _tick_all(self, on: bool) -> None:
        self.state.tick_all(on)
        self._show(drawn=False)

    def _tick_numbers(self) -> None:
        if self._numbers.value.strip():
            self.state.tick_numbers(self._numbers.value)
            self._show(drawn=False)

    def _ticked(self) -> pd.DataFrame:
        rows = self.selected
        if rows.empty:
            raise InputError("No row is ticked: click on rows of the table, or press 'Tick all'.")
        return rows

    def _listen(self) -> None:
        folder = self._folder.value or None
        if folder is not None and not (Path(normalize_path(folder)) / "manifest.parquet").exists():
            folder = None
        players = play(self._ticked(), folder=folder, client=self._client)
        showing(self._player, players)

    def _pull(self) -> None:
        self._run(lambda rows, **options: download_audio(rows, self._folder.value, **options), self._folder.value)

    def _make_zip(self) -> None:
        self._run(lambda rows, **options: download_zip(rows, self._zip.value, **options), self._zip.value)

    def _run(self, pull: Callable[..., pd.DataFrame], where: str) -> None:
        rows, dry = self._ticked(), self._dry.value
        options = {"dry_run": True} if dry else {"progress": True}
        found = run_in_output(self._output, lambda: pull(rows, client=self._client, **options))
        if dry:
            facts = found.attrs["histkit"]
            size = facts["estimated_bytes"]
            about = "of unknown size" if size is None else f"about {size / 1e6:,.1f} MB (an estimate)"
            self._say(
                f"{facts['files']:,} files would be pulled into {where}: {facts['requests']:,} requests, {about}."
            )
            return
        self.manifest = found
        counts = found["status"].value_counts(sort=False)
        done = ", ".join(f"{count:,} {status}" for status, count in counts.items() if count)
        failed = found[found["status"] == "failed"]
        why = f" The first that failed: {failed['error'].iloc[0]}" if len(failed) else ""
        self._say(f"{where}: {done}; explorer.manifest has each row.{why}", bad=bool(len(failed)))

    def _export(self) -> None:
        rows = self.selected if len(self.selected) else self.filtered
        path = to_csv(rows, self._csv.value, excel=True)
        self._say(f"{path}: {len(rows):,} {'ticked' if len(self.selected) else 'filtered'} rows.")

    # what is seen

    def _show(self, *, drawn: bool = True) -> None:
        state = self.state
        with undocumented():
            self._table.update(state.table(), selected_rows=state.ticked_here())
        self._where.value = f"page {state.page + 1:,} of {state.pages:,}"
        self._before.disabled, self._after.disabled = state.page == 0, state.page + 1 >= state.pages
        self._code.value = f"<pre>{html.escape(state.code)}</pre>"
        self._count()
        if drawn:
            self._draw_soon()

    def _count(self) -> None:
        meant, ticked = self.state.credits
        parts = [sums(meant, f"of {len(self.state.frame):,} rows")]
        if len(ticked):
            parts.append(sums(ticked, "ticked"))
        self._summary.value = f'<div aria-live="polite"><b>{"</b> · <b>".join(parts)}</b></div>'

    def _draw_soon(self) -> None:
        """Draw the chart after the table is seen where there is an event loop, as in a notebook; else now."""
        if self._drawing is not None:
            self._drawing.cancel()
            self._drawing = None
        try:
            self._drawing = asyncio.get_running_loop().call_later(0.05, self._draw_now)
        except RuntimeError:
            self._draw()

    def _draw_now(self) -> None:
        self._drawing = None
        try:
            self._draw()
        except Exception as error:  # nobody else would hear of it
            self.last_error = error
            self._say(f"The chart: {error}", bad=True)

    def _draw(self) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8.6, 3.4), layout="constrained")
        FigureCanvasAgg(figure)
        rows = self.state.drawn
        days = 0 if rows["date"].isna().all() else (rows["date"].max() - rows["date"].min()).days
        freq = "D" if days <= 62 else "W" if days <= 400 else "MS"
        plot_usage(rows, self._chart_by.value, freq, tz=self.state.tz, ax=figure.add_subplot())
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100)
        self._chart.value = buffer.getvalue()
