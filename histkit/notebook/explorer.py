"""The explorer: filters, a table, a chart and sound in a notebook, on top of the functions of the package."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pandas as pd

from histkit.api.client import check_client
from histkit.frame.clock import zone_of
from histkit.frame.keys import warn_of_duplicates
from histkit.notebook.clips import Clips, check_folder
from histkit.notebook.dispatch import Message, Reply
from histkit.notebook.display import Bundle, KeptPages, display_bundle, widget_bundle
from histkit.notebook.jobs import Jobs
from histkit.notebook.selection import Selection
from histkit.notebook.service import CHANGES, Service
from histkit.notebook.snapshot import explorer_page
from histkit.notebook.state_file import StateFile
from histkit.notebook.widget import check_widgets, make_widget
from histkit.util.arguments import true_or_false, whole_number

if TYPE_CHECKING:
    from histkit.api.client import HistoryClient

_LARGE = 200_000  # rows; with more the chart of the kept page is drawn after the table is shown


def explore(
    frame: pd.DataFrame,
    *,
    client: HistoryClient | None = None,
    folder: str | os.PathLike[str] = "audio",
    tz: str = "UTC",
    page_size: int = 25,
    state: str | os.PathLike[str] | None = None,
    keep: bool = True,
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
        Rows that the table is high, 1 to 200. Only these and some around them are sent to the browser.
    state : path-like, optional
        A JSON file from which filters, order, columns, ticks and what the chart shows are restored when the cell is run
        again. It is created with the first change, and written again shortly after each. Ticks are saved by
        ``history_item_id``, and ``account`` where there are several.
    keep : bool, default True
        The notebook keeps a page of what the explorer shows: totals, chart, first rows, code. False leaves out texts,
        what is searched for, and columns of your own that may hold texts.

    Returns
    -------
    Explorer
        Displays itself. ``.filtered`` and ``.selected`` are DataFrames with all columns of the frame; ``.code`` is the
        expression that returns ``.filtered``.

    Raises
    ------
    InputError
        anywidget is not installed, an argument is invalid, or `state` exists and is something else.
    SchemaError
        The frame lacks a column.
    DownloadError
        `folder` is a file, or lies below one.

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
    check_folder(folder)
    check_widgets("explorer")
    keep = true_or_false("keep", keep)
    selection = Selection(frame, tz)
    warn_of_duplicates(frame, "the explorer")
    explorer = Explorer(selection, client, os.fspath(folder), page_size, keep)
    if state is not None:
        explorer.state_file = StateFile(state, explorer.service)
    return explorer


class Explorer:
    """The result of `explore`: it displays itself, and has the rows that are selected in it.

    Attributes
    ----------
    state : Selection
        The filtered, shown and ticked rows.
    service : Service
        What answers the requests of the views.
    state_file : StateFile or None
        Where the state is saved.
    """

    def __init__(
        self,
        state: Selection,
        client: HistoryClient | None,
        folder: str,
        page_size: int = 25,
        keep: bool = True,
    ) -> None:
        self.state = state
        defaults = {"folder": folder, "zip": "audio.zip", "csv": "rows.csv", "parquet": "rows.parquet"}
        self.service = Service(state, page_size=page_size, defaults=defaults)
        self.service.handlers |= {"clip": self._clip, "words": self._words}
        self._clips = Clips(state.frame, folder, client)
        self._jobs = Jobs(self.service, client, self._clips.add_folder)
        self._widget: Any = None
        self._keep = keep
        self._pages = KeptPages(lambda: (self._page(), repr(self)))
        self.service.listen(self._on_event)
        self.state_file: StateFile | None = None

    def _on_event(self, event: Message) -> None:
        if event["event"] in CHANGES:
            self._pages.changed()

    def _page(self) -> str:
        return explorer_page(self.service, keep=self._keep)

    def _clip(self, message: Message) -> tuple[Reply, list[bytes]]:
        wav = true_or_false("wav", message.get("wav", False))
        return self._clips.answer(self.service.position_of(message), wav=wav)

    def _words(self, message: Message) -> tuple[Reply, list[bytes]]:
        return {"words": self._clips.words(self.service.position_of(message))}, []

    @property
    def widget(self) -> Any:
        """The widget that is displayed."""
        if self._widget is None:
            widget = make_widget("explorer", self.service.answer)
            self.service.listen(widget.send)
            self._widget = widget
        return self._widget

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

    @property
    def manifest(self) -> pd.DataFrame | None:
        """The result of the last pull or zip that ended; None before the first."""
        return self._jobs.manifest

    @property
    def last_error(self) -> Exception | None:
        """The error that was shown last."""
        return self.service.last_error

    def __repr__(self) -> str:
        kept, ticked = self.state.filtered_count(), self.state.ticked_count()
        return f"<explorer: {kept:,} of {len(self.state.frame):,} rows, {ticked:,} ticked>"

    def _display_(self) -> Any:
        """Return what marimo displays."""
        return self.widget

    def _ipython_display_(self) -> None:
        is_large = len(self.state.frame) > _LARGE
        show = display_bundle(
            widget_bundle(lambda: self.widget, repr(self)),
            repr(self),
            explorer_page(self.service, keep=self._keep, with_chart=not is_large),
            self._page if is_large else None,
        )
        self._pages.add(show)

    def _repr_mimebundle_(self, **options: Any) -> Bundle:
        data, metadata = widget_bundle(lambda: self.widget, repr(self), **options)
        return {"text/html": self._page(), **data}, metadata
