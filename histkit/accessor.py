"""``df.speech``: the functions of the package on a frame. Delegates, imports late; no logic here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from histkit.api.client import HistoryClient
    from histkit.notebook.explorer import Explorer
    from histkit.notebook.picker import Picker

Words = str | Iterable[str] | None


@pd.api.extensions.register_dataframe_accessor("speech")
class SpeechAccessor:
    """The speech history methods of a DataFrame.

    Any frame will do that has the columns a method needs; one that lacks such a column raises `histkit.SchemaError`.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.sample_history(300)
    >>> df.speech.usage(by="model").columns.tolist()
    ['model', 'items', 'characters', 'credits']
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def filter(
        self,
        *,
        voice: Words = None,
        model: Words = None,
        source: Words = None,
        text: str | re.Pattern[str] | None = None,
        after: Any = None,
        before: Any = None,
        speaker: Words = None,
    ) -> pd.DataFrame:
        """Keep the rows that meet every condition: see `histkit.filter_items`."""
        from histkit.frame.filters import filter_items

        return filter_items(
            self._frame, voice=voice, model=model, source=source, text=text, after=after, before=before, speaker=speaker
        )

    def usage(self, by: Words = "voice", freq: str | None = None, *, tz: str = "UTC", **options: Any) -> pd.DataFrame:
        """Sum items, characters and credits by group and period: see `histkit.usage_table`."""
        from histkit.usage.table import usage_table

        return usage_table(self._frame, by, freq, tz=tz, **options)

    def plot_usage(self, by: str = "voice", freq: str | None = "D", **options: Any) -> Axes:
        """Draw usage over time or by group: see `histkit.plot_usage`."""
        from histkit.plotting.usage import plot_usage

        return plot_usage(self._frame, by, freq, **options)

    def plot_share(self, by: str = "voice", **options: Any) -> Axes:
        """Draw each group's share of the whole: see `histkit.plot_share`."""
        from histkit.plotting.usage import plot_share

        return plot_share(self._frame, by, **options)

    def plot_hours(self, *, tz: str = "UTC", **options: Any) -> Axes:
        """Draw the hours of the week in which speech is generated: see `histkit.plot_hours`."""
        from histkit.plotting.charts import plot_hours

        return plot_hours(self._frame, tz=tz, **options)

    def plot_takes(self, **options: Any) -> Axes:
        """Draw the texts whose takes cost most: see `histkit.plot_takes`."""
        from histkit.plotting.charts import plot_takes

        return plot_takes(self._frame, **options)

    def plot_quota(self, *, subscription: Any = None, **options: Any) -> Axes:
        """Draw the credits used against the plan's, with a forecast: see `histkit.plot_quota`."""
        from histkit.money.forecast import forecast
        from histkit.plotting.charts import plot_quota

        ax = options.pop("ax", None)
        return plot_quota(forecast(self._frame, subscription=subscription, **options), ax=ax)

    def label(self, rules: Any, *, column: str | None = None, unassigned: str = "unassigned") -> pd.DataFrame:
        """Add a column that tells whose rows are whose, by rules: see `histkit.label`."""
        from histkit.usage.labels import label

        return label(self._frame, rules, column=column, unassigned=unassigned)

    def takes(self, *, keep: Words = "last", near: float | None = None) -> pd.DataFrame:
        """Tell the takes of each line apart, what was kept and what thrown away: see `histkit.takes`."""
        from histkit.retakes.takes import takes

        return takes(self._frame, keep="last" if keep is None else keep, near=near)

    def keepers(self, *, script: Any = None, **options: Any) -> pd.DataFrame:
        """Pick the take that is kept of each line, in the order of a script: see `histkit.keepers`."""
        from histkit.retakes.keepers import keepers

        return keepers(self._frame, script=script, **options)

    def waste(self, by: Words = "voice", freq: str | None = None, **options: Any) -> pd.DataFrame:
        """Sum the takes that were not kept, paid and free: see `histkit.waste`."""
        from histkit.money.waste import waste

        return waste(self._frame, by, freq, **options)

    def ledger(self, freq: str = "D", *, tz: str = "UTC") -> pd.DataFrame:
        """Chain the credit counters: seen, unseen, resets: see `histkit.ledger`."""
        from histkit.money.ledger import ledger

        return ledger(self._frame, freq, tz=tz)

    def report(self, path: str | os.PathLike[str] | None = None, **options: Any) -> Path | None:
        """Write a usage report (.html, .xlsx, .md), or print it: see `histkit.report`."""
        from histkit.reports.report import report

        return report(self._frame, path, **options)

    def statement(self, client: str, period: Any, **options: Any) -> pd.DataFrame:
        """Make what one client is billed for one period: see `histkit.statement`."""
        from histkit.reports.statement import statement

        return statement(self._frame, client, period, **options)

    def explore(self, *, client: HistoryClient | None = None, **options: Any) -> Explorer:
        """Look through the rows in a notebook: filter, listen, tick, pull: see `histkit.explore`."""
        from histkit.notebook.explorer import explore

        return explore(self._frame, client=client, **options)

    def pick_takes(self, *, client: HistoryClient | None = None, **options: Any) -> Picker:
        """Choose, line by line and by ear, which take is kept: see `histkit.pick_takes`."""
        from histkit.notebook.picker import pick_takes

        return pick_takes(self._frame, client=client, **options)

    def play(self, *, folder: str | os.PathLike[str] | None = None, client: HistoryClient | None = None) -> Any:
        """Show audio players in a notebook, at most ten: see `histkit.play`."""
        from histkit.notebook.players import play

        return play(self._frame, folder=folder, client=client)

    def download_audio(self, folder: str | os.PathLike[str], **options: Any) -> pd.DataFrame:
        """Pull each row's audio into a folder, resumable: see `histkit.download_audio`."""
        from histkit.audio.folder import download_audio

        return download_audio(self._frame, folder, **options)

    def download_zip(self, path: str | os.PathLike[str], **options: Any) -> pd.DataFrame:
        """Pull the audio of all rows into one zip: see `histkit.download_zip`."""
        from histkit.audio.zip_download import download_zip

        return download_zip(self._frame, path, **options)

    def delete(self, *, confirm: bool = False, **options: Any) -> pd.DataFrame:
        """Delete the rows from the service; says what it would do unless `confirm` is True: see `histkit.delete`."""
        from histkit.deletion.delete import delete

        return delete(self._frame, confirm=confirm, **options)

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Write one Parquet file: see `histkit.to_parquet`."""
        from histkit.frame.files import to_parquet

        return to_parquet(self._frame, path)

    def to_csv(self, path: str | os.PathLike[str], *, excel: bool = False) -> Path:
        """Write one CSV file: see `histkit.to_csv`."""
        from histkit.frame.files import to_csv

        return to_csv(self._frame, path, excel=excel)

    def to_xlsx(self, path: str | os.PathLike[str]) -> Path:
        """Write one Excel sheet: see `histkit.to_xlsx`."""
        from histkit.frame.files import to_xlsx

        return to_xlsx(self._frame, path)
