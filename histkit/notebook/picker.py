"""The picker of takes: the takes of a line beside one another, and the choice of the take to keep."""

from __future__ import annotations

import html
import os
from typing import TYPE_CHECKING, Any

import pandas as pd

from histkit.api.client import check_client
from histkit.errors import SchemaError
from histkit.notebook.clips import Clips, check_folder
from histkit.notebook.dispatch import Message
from histkit.notebook.display import Bundle, KeptPages, display_bundle, widget_bundle
from histkit.notebook.picker_service import PickerService
from histkit.notebook.snapshot import page
from histkit.notebook.widget import check_widgets, make_widget
from histkit.retakes.keepers import keepers
from histkit.retakes.takes import takes
from histkit.util.text import count_noun, one_line_text

if TYPE_CHECKING:
    from histkit.api.client import HistoryClient

_MOST_KEPT = 4_000  # ids in the page that a notebook keeps
_EMPTY = "No text has several takes."
_AGAIN = "Generate a line again, or pass near=0.9 to take similar texts for takes of one line."
_NEARER = "Generate a line again, or pass a smaller near= (down to 0.5)."


def pick_takes(
    frame: pd.DataFrame,
    *,
    near: float | None = None,
    across_accounts: bool = False,
    folder: str | os.PathLike[str] | None = None,
    client: HistoryClient | None = None,
) -> Picker:
    """Choose the take to keep of each line by listening.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one.
    near : float, optional
        As in `histkit.takes`.
    across_accounts : bool, default False
        As in `histkit.takes`.
    folder : path-like, optional
        Folder of `download_audio`; clips in it are played from there.
    client : HistoryClient, optional
        Client for playback. Default: a client with the key and base URL of the environment, created when it is first
        needed.

    Returns
    -------
    Picker
        Displays itself. ``.keep`` has the chosen ids, for ``keep=`` of `histkit.takes` and `histkit.keepers`, and
        ``.keepers`` the rows to keep of all lines.

    Raises
    ------
    InputError
        anywidget is not installed, or an argument is invalid.
    SchemaError
        The frame lacks a column.
    DownloadError
        `folder` is a file, or lies below one.

    Examples
    --------
    >>> import histkit as hk
    >>> picker = hk.sample_history(500).speech.pick_takes()
    >>> len(picker.keepers) == int(picker.takes["keeper"].sum())
    True
    """
    check_client(client)
    if folder is not None:
        check_folder(folder)
    check_widgets("picker")
    return Picker(frame, near, None if folder is None else os.fspath(folder), client, across_accounts)


class Picker:
    """The result of `pick_takes`: it displays itself, and has the takes that are chosen in it.

    Attributes
    ----------
    service : PickerService
        What answers the requests of the views.
    lines : list of str
        The lines with more than one take, those with most credits thrown away first.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        near: float | None,
        folder: str | None,
        client: HistoryClient | None,
        across_accounts: bool = False,
    ) -> None:
        self._frame, self._near, self._across_accounts = frame, near, across_accounts
        table = takes(frame, near=near, across_accounts=across_accounts)
        if table["history_item_id"].isna().any():
            raise SchemaError("A row has no history_item_id, by which takes are chosen; drop such rows first.")
        self._ids = table["history_item_id"]
        self._table: tuple[list[str], pd.DataFrame] = [], table
        empty = f"{_EMPTY} {_AGAIN if near is None else _NEARER}"
        self.service = PickerService(frame, table, Clips(frame, folder, client), empty)
        self.lines = self.service.choice.lines
        self._widget: Any = None
        self._pages = KeptPages(lambda: (self._page(), repr(self)))
        self.service.listen(self._on_event)

    def _on_event(self, event: Message) -> None:
        if event["event"] == "chosen":
            self._pages.changed()

    @property
    def widget(self) -> Any:
        """The widget that is displayed."""
        if self._widget is None:
            widget = make_widget("picker", self.service.answer)
            self.service.listen(widget.send)
            self._widget = widget
        return self._widget

    @property
    def keep(self) -> list[str]:
        """The chosen ids."""
        with self.service.lock:
            chosen = list(self.service.choice.chosen.values())
        return [str(item) for item in self._ids.iloc[chosen]]

    @property
    def takes(self) -> pd.DataFrame:
        """The table of takes: the chosen ones are kept, and the last one of all other lines."""
        keep = self.keep
        if self._table[0] != keep:
            self._table = keep, takes(self._frame, **self._options(keep))
        return self._table[1]

    @property
    def keepers(self) -> pd.DataFrame:
        """The rows to keep: the chosen takes, and the last take of all other lines."""
        return keepers(self._frame, **self._options(self.keep))

    def _options(self, keep: list[str]) -> dict[str, Any]:
        return {"keep": keep or "last", "near": self._near, "across_accounts": self._across_accounts}

    @property
    def last_error(self) -> Exception | None:
        """The error that was shown last."""
        return self.service.last_error

    def __repr__(self) -> str:
        return f"<picker of takes: {len(self.lines):,} lines with several, {len(self.keep):,} chosen>"

    def _display_(self) -> Any:
        """Return what marimo displays."""
        return self.widget

    def _ipython_display_(self) -> None:
        self._pages.add(display_bundle(widget_bundle(lambda: self.widget, repr(self)), repr(self), self._page()))

    def _repr_mimebundle_(self, **options: Any) -> Bundle:
        data, metadata = widget_bundle(lambda: self.widget, repr(self), **options)
        return {"text/html": self._page(), **data}, metadata

    def _page(self) -> str:
        """Return the page that the notebook keeps: how far the choice is, and the choice as code, without texts."""
        keep = self.keep
        words = f"{count_noun(len(self.lines), 'line')} with several takes, {len(keep):,} chosen"
        parts = [f"<p>{words}</p>"]
        if keep:
            ids = ", ".join(map(repr, map(one_line_text, keep[:_MOST_KEPT])))
            more = f", … {len(keep) - _MOST_KEPT:,} more" if len(keep) > _MOST_KEPT else ""
            near = "" if self._near is None else f", near={float(self._near)!r}"
            across = ", across_accounts=True" if self._across_accounts else ""
            code = f"df.speech.keepers(keep=[{ids}{more}]{near}{across})"
            parts.append(f"<p>The rows to keep as code: <code>{html.escape(code)}</code></p>")
        return page("The picker of takes as it was last", parts)
