"""The picker of takes: the takes of a line with players, and the choice of the take to keep."""

from __future__ import annotations

import html
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from histkit.api.client import check_client
from histkit.errors import HistkitError, SchemaError
from histkit.frame.dates import timestamps_of
from histkit.money.ledger import several_accounts
from histkit.notebook.controls import display_in, import_widgets, status_line
from histkit.notebook.display import Bundle, display_bundle, widget_bundle
from histkit.notebook.players import Players, play
from histkit.notebook.snapshot import page
from histkit.retakes.keepers import keepers
from histkit.retakes.lines import line_table
from histkit.retakes.takes import takes
from histkit.util.storage import normalize_path
from histkit.util.text import count_noun, format_value, one_line_text

if TYPE_CHECKING:
    from histkit.api.client import HistoryClient

_MOST_PLAYERS = 10  # side by side; of more takes the newest


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
        Folder of `download_audio` from which clips are played.
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
        ipywidgets is not installed, or an argument is invalid.
    SchemaError
        The frame lacks a column.

    Examples
    --------
    >>> import histkit as hk
    >>> picker = hk.sample_history(500).speech.pick_takes()
    >>> len(picker.keepers) == int(picker.takes["keeper"].sum())
    True
    """
    check_client(client)
    return Picker(frame, near, None if folder is None else normalize_path(folder), client, across_accounts)


class Picker:
    """The result of `pick_takes`; displays itself.

    Attributes
    ----------
    takes : DataFrame
        The table of takes, with the last one of each line kept.
    lines : list of str
        The lines with more than one take, those with most credits thrown away first.
    keep : list of str
        The chosen ids.
    last_error : Exception or None
        The error that was shown last.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        near: float | None,
        folder: str | None,
        client: HistoryClient | None,
        across_accounts: bool = False,
    ) -> None:
        self._frame, self._near, self._folder, self._client = frame, near, folder, client
        self._across_accounts = across_accounts
        self.takes = takes(frame, near=near, across_accounts=across_accounts)
        if self.takes["history_item_id"].isna().any():
            raise SchemaError("A row has no history_item_id, by which takes are chosen; drop such rows first.")
        table = line_table(self.takes)
        self.lines: list[str] = table.index.tolist()
        self._rows_of: dict[str, Any] = self.takes.groupby("line").indices if self.lines else {}
        self._chosen: dict[str, str] = {}
        self.last_error: Exception | None = None
        self._line, self._updating = 0, False
        self._make_widgets(import_widgets())
        self._show()

    @property
    def keep(self) -> list[str]:
        """The chosen ids."""
        return list(self._chosen.values())

    @property
    def keepers(self) -> pd.DataFrame:
        """The rows to keep: the chosen takes, and the last take of all other lines."""
        return keepers(self._frame, keep=self.keep or "last", near=self._near, across_accounts=self._across_accounts)

    def __repr__(self) -> str:
        return f"<picker of takes: {len(self.lines):,} lines with several, {len(self._chosen):,} chosen>"

    def _ipython_display_(self) -> None:
        bundle = widget_bundle(lambda: self.widget, repr(self))
        display_bundle(bundle, repr(self), self._page())

    def _repr_mimebundle_(self, **options: Any) -> Bundle:
        data, metadata = widget_bundle(lambda: self.widget, repr(self), **options)
        return {"text/html": self._page(), **data}, metadata

    def _page(self) -> str:
        """Return the page that the notebook keeps: how far the choice is, without texts."""
        words = f"{count_noun(len(self.lines), 'line')} with several takes, {len(self._chosen):,} chosen"
        return page("The picker of takes as it was displayed", [f"<p>{words}</p>"])

    def _make_widgets(self, w: Any) -> None:
        self._head, self._note, self._players = w.HTML(), w.HTML(), w.Output()
        self._radio = w.RadioButtons(description="Keep", layout={"width": "100%"})
        self._radio.observe(lambda change: self._choose(change["new"]), "value")
        self._buttons = []
        for description, icon, action in (
            ("Earlier line", "chevron-left", lambda: self._turn(-1)),
            ("Later line", "chevron-right", lambda: self._turn(1)),
            ("Listen to all", "play", self._listen),
        ):
            button = w.Button(description=description, icon=icon, layout={"width": "auto"})
            button.on_click(lambda _, action=action: action())
            self._buttons.append(button)
        self.widget = w.VBox([self._head, w.HBox(self._buttons), self._radio, self._note, self._players])
        self.widget.add_class("histkit-live")  # the kept page makes room for it

    def _rows(self) -> pd.DataFrame:
        """Return the takes of the current line, the oldest first."""
        return self.takes.iloc[self._rows_of[self.lines[self._line]]].sort_values("take")

    def _show(self) -> None:
        self._players.outputs = ()
        self._note.value = ""
        self._buttons[0].disabled = self._line == 0
        self._buttons[1].disabled = self._line + 1 >= len(self.lines)
        self._buttons[2].disabled = not self.lines
        if not self.lines:
            self._head.value = "<b>No text has several takes.</b>"
            return
        rows = self._rows()
        text, voice = (rows[name].iloc[-1] for name in ("text", "voice_name"))
        spoken = "(dialogue)" if pd.isna(text) else one_line_text(str(text))
        speaker = "" if pd.isna(voice) else one_line_text(str(voice))
        if several_accounts(self.takes):
            speaker = f"{speaker} ({format_value(rows['account'].iloc[-1], 'text')})"
        line = f"Line {self._line + 1:,} of {len(self.lines):,} with several takes"
        self._head.value = (
            f"<div>{line} · {len(self._chosen):,} chosen</div>"
            f'<p dir="auto"><b>{html.escape(speaker)}</b>: {html.escape(spoken)}</p>'
        )
        chosen = self._chosen.get(self.lines[self._line], rows["history_item_id"].iloc[-1])
        self._updating = True
        dated = zip(rows.iterrows(), timestamps_of(rows), strict=True)
        self._radio.options = [(_label(row, date), row["history_item_id"]) for (_, row), date in dated]
        self._radio.value = chosen
        self._updating = False

    def _choose(self, item: str | None) -> None:
        if item is not None and not self._updating:
            self._chosen[self.lines[self._line]] = item
            self._note.value = f"Kept: {html.escape(item)}. Of lines without a choice the last take is kept."

    def _turn(self, lines: int) -> None:
        self._line = min(max(self._line + lines, 0), max(len(self.lines) - 1, 0))
        self._show()

    def _listen(self) -> None:
        takes = self._rows().tail(_MOST_PLAYERS)
        rows = self._frame.iloc[self._rows_of[self.lines[self._line]]].set_index("history_item_id", drop=False)
        try:
            players = play(rows.loc[takes["history_item_id"]], folder=self._folder, client=self._client)
        except HistkitError as error:
            self.last_error = error
            self._note.value = status_line(str(error), error=True)
            return
        cards = [
            replace(card, voice=f"Take {take}", text="" if self._near is None else card.text)
            for card, take in zip(players.cards, takes["take"], strict=True)
        ]
        display_in(self._players, Players(cards, len(cards), abreast=True))


def _label(row: pd.Series, moment: pd.Timestamp | None) -> str:
    date = "no date" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"
    credits = "credits not known" if pd.isna(row["credits"]) else f"{int(row['credits']):,} credits"
    return f"Take {row['take']} · {date} · {credits} · {row['history_item_id']}"
