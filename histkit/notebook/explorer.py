"""The explorer: filters, a table, a chart and a player in a notebook, on top of the functions of the package."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from histkit.api.client import check_client
from histkit.audio.folder import download_audio
from histkit.audio.manifest import describe_plan, status_counts
from histkit.audio.zip_download import download_zip
from histkit.errors import HistkitError, InputError
from histkit.frame.clock import zone_of
from histkit.frame.files import to_csv
from histkit.frame.keys import rows_checked, warn_of_duplicates
from histkit.notebook.controls import display_in, parse_int, run_in_output
from histkit.notebook.explorer_view import ExplorerView
from histkit.notebook.players import play
from histkit.notebook.selection import FilterState, Selection
from histkit.plotting.usage import plot_usage
from histkit.util.arguments import whole_number
from histkit.util.storage import normalize_path
from histkit.util.text import count_noun, join_counts

if TYPE_CHECKING:
    from histkit.api.client import HistoryClient


def explore(
    frame: pd.DataFrame,
    *,
    client: HistoryClient | None = None,
    folder: str | os.PathLike[str] = "audio",
    tz: str = "UTC",
    page_size: int = 25,
) -> Explorer:
    """Explore a history in a notebook: filter, sort and play rows, tick them and download their audio.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one.
    client : HistoryClient, optional
        Client for playback and downloads. Default: a client with the key and base URL of the environment, created
        when it is first needed.
    folder : path-like, default "audio"
        Folder for downloads; clips in it are played from there.
    tz : str, default "UTC"
        IANA name of the zone of the dates.
    page_size : int, default 25
        Rows of the table, 1 to 200; only these are sent to the browser.

    Returns
    -------
    Explorer
        Displays itself. ``.filtered`` and ``.selected`` are DataFrames with all columns of the frame; ``.code`` is the
        expression that returns ``.filtered``.

    Raises
    ------
    InputError
        ipywidgets or itables is not installed, or an argument is invalid.
    SchemaError
        The frame lacks a column.

    Examples
    --------
    >>> import histkit as hk
    >>> explorer = hk.sample_history(200).speech.explore()
    >>> len(explorer.filtered), len(explorer.selected), explorer.code
    (200, 0, 'df')
    """
    page_size = whole_number("page_size", page_size, 1, 200)
    zone_of(tz)
    check_client(client)
    normalize_path(folder)  # so that an invalid folder is refused here, not by a button
    selection = Selection(frame, tz, size=page_size)
    warn_of_duplicates(frame, "the explorer")
    return Explorer(selection, client, os.fspath(folder))


class Explorer:
    """The result of `explore`: it connects the widgets with the rows they select, and displays itself.

    Attributes
    ----------
    state : Selection
        The filtered, shown and ticked rows.
    view : ExplorerView
        The widgets.
    manifest : DataFrame or None
        The result of the last pull or zip.
    last_error : Exception or None
        The error that was shown last.
    """

    def __init__(self, state: Selection, client: HistoryClient | None, folder: str) -> None:
        self.state = state
        self.view = ExplorerView(state, folder)
        self.manifest: pd.DataFrame | None = None
        self.last_error: Exception | None = None
        self._client, self._busy = client, False
        self._scheduled: asyncio.TimerHandle | None = None
        self._connect()
        self.view.show(state)
        self._draw_soon()

    @property
    def widget(self) -> Any:
        """The widget that is displayed."""
        return self.view.widget

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
        """The call that returns `filtered` again, for a frame called ``df``."""
        return self.state.code

    def __repr__(self) -> str:
        return f"<explorer: {len(self.filtered):,} of {len(self.state.frame):,} rows, {len(self.selected):,} ticked>"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)

    def _connect(self) -> None:
        """Connect each control with its action."""
        view, state = self.view, self.state
        for control in view.filters.values():
            control.observe(self._on(lambda _: self._filter()), "value")
        view.order.observe(self._on(lambda change: self._update(state.sort, change["new"])), "value")
        view.table.observe(self._on(lambda change: self._tick(change["new"])), "selected_rows")
        view.numbers.observe(self._on(lambda _: self._tick_numbers()), "value")
        view.chart_by.observe(lambda _: self._draw_soon(), "value")
        for button, action in (
            (view.clear, self._clear_filters),
            (view.earlier, lambda: self._update(state.turn, -1)),
            (view.later, lambda: self._update(state.turn, 1)),
            (view.tick_all, lambda: self._update(state.tick_all, True)),
            (view.untick_all, lambda: self._update(state.tick_all, False)),
            (view.listen, self._listen),
            (view.pull, self._pull),
            (view.make_zip, self._make_zip),
            (view.export, self._export),
        ):
            button.on_click(self._on(partial(_ignore_event, action)))

    def _on(self, action: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a handler that runs an action and shows its error as one line."""

        def handle(event: Any) -> None:
            if self._busy:  # an action changes other controls
                return
            self._busy = True
            try:
                self.view.show_message("")
                action(event)
            except HistkitError as error:
                self._show_error(error, str(error))
            except KeyboardInterrupt:
                self.view.show_message("Stopped. Press the button again to resume.", error=True)
            except Exception as error:  # otherwise it would only appear in the browser's log
                self._show_error(error, f"{type(error).__name__}: {error} (see explorer.last_error)")
            finally:
                self._busy = False

        return handle

    def _show_error(self, error: Exception, text: str) -> None:
        self.last_error = error
        self.view.show_message(text, error=True)

    def _filter(self) -> None:
        values = self.view.filter_values()
        for name in ("least", "most"):
            values[name] = parse_int(values[name], "Credits")
        self._update(self.state.filter, FilterState(**values))
        self._draw_soon()

    def _clear_filters(self) -> None:
        self.view.clear_filters()
        self._update(self.state.filter, FilterState())
        self._draw_soon()

    def _update(self, change: Callable[[Any], None], value: Any) -> None:
        """Change the state and show it."""
        change(value)
        self.view.show(self.state)

    def _tick(self, rows: Iterable[int]) -> None:
        self.state.tick(rows)
        self.view.show_summary(self.state)

    def _tick_numbers(self) -> None:
        if self.view.numbers.value.strip():
            self._update(self.state.tick_numbers, self.view.numbers.value)

    def _ticked_rows(self) -> pd.DataFrame:
        rows = self.selected
        if rows.empty:
            raise InputError("No row is ticked: click on rows of the table, or press 'Tick all'.")
        return rows

    def _listen(self) -> None:
        folder = self.view.folder.value or None
        if folder is not None and not (Path(normalize_path(folder)) / "manifest.parquet").exists():
            folder = None
        display_in(self.view.players, play(self._ticked_rows(), folder=folder, client=self._client))

    def _pull(self) -> None:
        self._download(download_audio, self.view.folder.value)

    def _make_zip(self) -> None:
        self._download(download_zip, self.view.zip.value)

    def _download(self, download: Callable[..., pd.DataFrame], target: str) -> None:
        """Download the ticked rows into a folder or zip, or show what would be downloaded."""
        rows, dry_run = self._ticked_rows(), self.view.dry_run.value
        options = {"dry_run": True} if dry_run else {"progress": True}
        manifest = run_in_output(self.view.progress, lambda: download(rows, target, client=self._client, **options))
        if dry_run:
            self.view.show_message(describe_plan(manifest.attrs["histkit"], target))
            return
        self.manifest = manifest
        failed = manifest[manifest["status"] == "failed"]
        reason = f" The first that failed: {failed['error'].iloc[0]}" if len(failed) else ""
        counts = join_counts(status_counts(manifest))
        self.view.show_message(f"{target}: {counts}; explorer.manifest has each row.{reason}", error=bool(reason))

    def _export(self) -> None:
        kind, rows = ("ticked", self.selected) if len(self.selected) else ("filtered", self.filtered)
        path = to_csv(rows, self.view.csv.value, excel=True)
        self.view.show_message(f"{path}: {count_noun(len(rows), f'{kind} row')}.")

    def _draw_soon(self) -> None:
        """Draw the chart after the table is shown if there is an event loop, as in a notebook; else now."""
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        try:
            self._scheduled = asyncio.get_running_loop().call_later(0.05, self._draw_scheduled)
        except RuntimeError:
            self._draw()

    def _draw_scheduled(self) -> None:
        self._scheduled = None
        try:
            self._draw()
        except Exception as error:  # the event loop would only log it
            self._show_error(error, f"The chart: {error}")

    def _draw(self) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8.6, 3.4), layout="constrained")
        FigureCanvasAgg(figure)
        rows = self.state.chart_rows
        days = 0 if rows["date"].isna().all() else (rows["date"].max() - rows["date"].min()).days
        freq = "D" if days <= 62 else "W" if days <= 400 else "MS"
        with rows_checked():  # when the explorer was opened
            plot_usage(rows, self.view.chart_by.value, freq, tz=self.state.tz, ax=figure.add_subplot())
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100)
        self.view.chart.value = buffer.getvalue()


def _ignore_event(action: Callable[[], None], _: Any) -> None:
    action()
