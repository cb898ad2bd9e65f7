"""``df.speech``: the functions of the package as methods of a frame; written by ``tools/accessor.py``."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from histkit.util.accessors import register_accessor

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from histkit.api.client import HistoryClient
    from histkit.notebook.explorer import Explorer
    from histkit.notebook.picker import Picker
    from histkit.notebook.players import Players
    from histkit.usage.label_rules import Rules


class SpeechAccessor:
    """The speech history methods of a DataFrame.

    A method works on any frame with the columns it needs, and raises `histkit.SchemaError` for a missing one.

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
        voice: str | Iterable[str] | None = None,
        model: str | Iterable[str] | None = None,
        source: str | Iterable[str] | None = None,
        text: str | re.Pattern[str] | None = None,
        after: Any = None,
        before: Any = None,
        speaker: str | Iterable[str] | None = None,
        tz: str | tzinfo = "UTC",
        regex: bool = True,
    ) -> pd.DataFrame:
        """Keep the rows that meet every condition, in their order and on their index.

        See `histkit.filter_items` for details.

        Parameters
        ----------
        voice : str or list of str, optional
            Ids or names of the row's own voice: exact id, or name in any letter case, full or the part before " - ". A
            dialogue has no voice of its own; see `speaker`.
        model, source : str or list of str, optional
            Model ids and sources, in any letter case.
        text : str or re.Pattern, optional
            Regular expression searched for in the text and in each line of a dialogue; a str ignores letter case. A
            search that takes too long is ended.
        after, before : str, date, datetime, Timestamp or int, optional
            Dates, after inclusive and before exclusive: ISO days and times (``2026-10-01``, ``2026-10-01T14:30Z``), the
            start of a span (``2026-10``, ``2026-Q3``, ``2026-W40``, ``2026``), ``today``, ``yesterday``, ``7d``,
            ``2w``, ``last month``, or whole seconds since 1970 (2015 to 2100). Everything else is refused.
        speaker : str or list of str, optional
            As `voice`, and also the dialogues in which such a voice speaks.
        tz : str or tzinfo, default "UTC"
            Zone of days and naive times in `after` and `before`, an IANA name.
        regex : bool, default True
            False: `text` is searched for as it is, in any letter case: ``filter(text="C++", regex=False)``.
        """
        from histkit.frame.filters import filter_items

        return filter_items(
            self._frame,
            voice=voice,
            model=model,
            source=source,
            text=text,
            after=after,
            before=before,
            speaker=speaker,
            tz=tz,
            regex=regex,
        )

    def label(
        self, rules: Rules, *, column: str | None = None, unassigned: str = "unassigned", tz: str | tzinfo = "UTC"
    ) -> pd.DataFrame:
        """Add a column with the label of the first rule that matches each row.

        See `histkit.label` for details.

        Parameters
        ----------
        rules : path-like, dict, or list of dict
            A TOML file, its content as a dict, or its list of rules: see Notes.
        column : str, optional
            Name of the new column; default is the one in the rules, else ``client``. An existing column is replaced,
            but columns of the history and words of ``usage_table(by=)`` (voice, model, ...) are refused.
        unassigned : str, default "unassigned"
            Label of the rows that no rule matches.
        tz : str or tzinfo, default "UTC"
            Zone of the rules' days and naive times, unless the rules have a ``tz`` of their own. For statements, the
            same as theirs: `histkit.statement` refuses rows that have another label by the days of its own zone.
        """
        from histkit.usage.labels import label

        return label(self._frame, rules, column=column, unassigned=unassigned, tz=tz)

    def attribute(
        self,
        log: pd.DataFrame | str | os.PathLike[str],
        on: str | tuple[str, str] = "request_id",
        *,
        columns: Sequence[str] | None = None,
        suffix: str = "_log",
    ) -> pd.DataFrame:
        """Add the columns of a log to the rows of a history: who spent it, by key, user, app, project or customer.

        See `histkit.attribute` for details.

        Parameters
        ----------
        log : DataFrame or path-like
            A log of your own, the result of `read_requests` or `load_requests`, or a CSV, JSON lines or Parquet file.
        on : str or (str, str), default "request_id"
            The key: a column of both, or the column of the frame and that of the log. Keys are compared as texts,
            without blanks around them.
        columns : sequence of str, optional
            Columns of the log to add; default: all but the key.
        suffix : str, default "_log"
            Ending for columns of the log whose names a history has, or that mean something in its tables (``credits``,
            ``model``, ``period``, ...): ``credits_log``.
        """
        from histkit.usage.attribution import attribute

        return attribute(self._frame, log, on, columns=columns, suffix=suffix)

    def usage(
        self,
        by: Literal["voice", "speaker", "model", "source"] | Hashable | Iterable[Hashable] = "voice",
        freq: str | None = None,
        *,
        tz: str | tzinfo = "UTC",
        top: int | None = None,
        fill: bool | tuple[Any, Any] = False,
        compare: Literal["previous"] | None = None,
        billing: Any = None,
        week_start: str | None = None,
    ) -> pd.DataFrame:
        """Sum items, characters and credits by group and period.

        See `histkit.usage_table` for details.

        Parameters
        ----------
        by : str or list, default "voice"
            ``"voice"`` (or its synonym ``"speaker"``), ``"model"``, ``"source"``, or the name of any column, or a list
            of these. None or an empty list: all rows are one group.
        freq : str, optional
            A pandas alias: ``h`` (also ``2h``, ``6h``, ...), ``D``, ``W`` (weeks from Monday; see `week_start`),
            ``MS``, ``QS``, ``YS``, or an older spelling of these. Or ``"billing"``: from reset to reset of `billing`.
        tz : str or tzinfo, default "UTC"
            Zone of the periods, an IANA name.
        top : int, optional
            Number of groups to keep, those of most credits over all periods. The rest becomes one group ``other``, or
            ``(rest)`` if a group has that name.
        fill : bool or (start, end), default False
            Whether to add the periods in which a group has no rows, with zeros: from the first period to the last, or
            between two dates (naive ones are in `tz`; the end is exclusive; None: that of the history). Rows outside
            stay.
        compare : {"previous"}, optional
            Compare each period with the one before; adds the four columns described under Returns.
        billing : Subscription, mapping, int or date, optional
            For ``freq="billing"``: ``client.subscription()`` or anything with its fields (next reset; a period of 1, 3,
            6 or 12 months), a day of the month (from midnight), or the date of one monthly reset.
        week_start : str, optional
            For ``freq="W"``: the day on which weeks start, by default Monday. (``W-SAT`` are weeks that end on
            Saturday.)
        """
        from histkit.usage.table import usage_table

        return usage_table(
            self._frame, by, freq, tz=tz, top=top, fill=fill, compare=compare, billing=billing, week_start=week_start
        )

    def speakers(self) -> pd.DataFrame:
        """Divide each row among the voices that speak in it, as `usage_table` does.

        See `histkit.speakers` for details.
        """
        from histkit.usage.table import speakers

        return speakers(self._frame)

    def dialogue_lines(self) -> pd.DataFrame:
        """Return the lines of the dialogues, one row each.

        See `histkit.dialogue_lines` for details.
        """
        from histkit.frame.dialogues import dialogue_lines

        return dialogue_lines(self._frame)

    def plot_usage(
        self,
        by: Literal["voice", "speaker", "model", "source"] | Hashable | Iterable[Hashable] = "voice",
        freq: str | None = "D",
        *,
        tz: str | tzinfo = "UTC",
        measure: Literal["items", "characters", "credits"] = "credits",
        kind: Literal["bar", "area"] | None = None,
        top: int = 9,
        billing: Any = None,
        week_start: str | None = None,
        ax: Axes | None = None,
    ) -> Axes:
        """Draw usage over time, stacked by group, or as one bar per group.

        See `histkit.plot_usage` for details.

        Parameters
        ----------
        by : str or list, default "voice"
            The groups, as in `histkit.usage_table`; None: one group.
        freq : str or None, default "D"
            Length of the periods, as in `histkit.usage_table`. None: one horizontal bar per group, no time axis.
        tz : str or tzinfo, default "UTC"
            The zone of the periods and of the dates shown.
        measure : {"credits", "characters", "items"}
            Quantity to sum.
        kind : {"bar", "area"}, optional
            Over time: a bar per period, as wide as the period is long, or a stepped area. Default: bars for at most 100
            periods, an area for at most 400; if there are more, the periods are longer than `freq`, such as weeks for
            three years of days, and the chart says so.
        top : int, default 9
            Number of groups shown, the largest by `measure`: 1 to 40. Each has a colour of its own; colour-blind
            readers can distinguish the first nine. The others are one grey group ``other``. Small axes show as many
            horizontal bars as there is room for.
        billing, week_start : optional
            For ``freq="billing"`` and ``freq="W"``, as in `histkit.usage_table`.
        ax : matplotlib.axes.Axes, optional
            The axes to draw into; default: those of a new pyplot figure. In small axes the texts are smaller, and the
            legend counts the groups for which it has no room.
        """
        from histkit.plotting.usage import plot_usage

        return plot_usage(
            self._frame,
            by,
            freq,
            tz=tz,
            measure=measure,
            kind=kind,
            top=top,
            billing=billing,
            week_start=week_start,
            ax=ax,
        )

    def plot_share(
        self,
        by: Literal["voice", "speaker", "model", "source"] | Hashable | Iterable[Hashable] = "voice",
        *,
        measure: Literal["items", "characters", "credits"] = "credits",
        top: int = 10,
        ax: Axes | None = None,
    ) -> Axes:
        """Draw each group's share of the total: `plot_usage` without a time axis.

        See `histkit.plot_share` for details.

        Parameters
        ----------
        by : str or list, default "voice"
            The groups, as in `histkit.usage_table`; None: one group.
        measure : {"credits", "characters", "items"}
            Quantity to sum.
        top : int, default 9
            Number of groups shown, the largest by `measure`: 1 to 40. Each has a colour of its own; colour-blind
            readers can distinguish the first nine. The others are one grey group ``other``. Small axes show as many
            horizontal bars as there is room for.
        ax : matplotlib.axes.Axes, optional
            The axes to draw into; default: those of a new pyplot figure. In small axes the texts are smaller, and the
            legend counts the groups for which it has no room.
        """
        from histkit.plotting.usage import plot_share

        return plot_share(self._frame, by, measure=measure, top=top, ax=ax)

    def plot_hours(
        self,
        *,
        tz: str | tzinfo = "UTC",
        measure: Literal["items", "characters", "credits"] = "items",
        ax: Axes | None = None,
    ) -> Axes:
        """Draw a heat map of the hours of the week at which speech is generated.

        See `histkit.plot_hours` for details.

        Parameters
        ----------
        tz : str or tzinfo, default "UTC"
            The zone of the hours.
        measure : {"items", "characters", "credits"}
            Quantity to sum.
        ax : matplotlib.axes.Axes, optional
            The axes to draw into; default: those of a new pyplot figure.
        """
        from histkit.plotting.charts import plot_hours

        return plot_hours(self._frame, tz=tz, measure=measure, ax=ax)

    def takes(
        self,
        *,
        keep: Literal["last", "first"] | Iterable[str] = "last",
        near: float | None = None,
        across_accounts: bool = False,
    ) -> pd.DataFrame:
        """Find the takes of each line: the rows in which the same voice says the same text.

        See `histkit.takes` for details.

        Parameters
        ----------
        keep : "last", "first", or history_item_ids, default "last"
            The take to keep of each line: the newest, the oldest, or the one whose id is in this list; lines without an
            id in it keep the newest.
        near : float, optional
            Also treat similar texts as the same (extra ``near``): the least similarity, 0.5 to 1, such as 0.9.
        across_accounts : bool, default False
            Whether the same text and voice in two accounts is one line. Without a column ``account`` all rows are of
            one account; rows whose account is missing are another one.
        """
        from histkit.retakes.takes import takes

        return takes(self._frame, keep=keep, near=near, across_accounts=across_accounts)

    def keepers(
        self,
        *,
        script: Any = None,
        keep: Literal["last", "first"] | Iterable[str] = "last",
        near: float | None = None,
        across_accounts: bool = False,
    ) -> pd.DataFrame:
        """Return the take that is kept of each line, in the order of the script.

        See `histkit.keepers` for details.

        Parameters
        ----------
        script : path-like, list of str, or DataFrame, optional
            The lines to be spoken: a text file (UTF-8, one line of the script per line, blank lines are ignored), a
            list of texts, or a frame with the column ``text`` and optionally ``voice`` (name or id), for lines of one
            voice only. Default: none; lines are in the order in which each was first generated.
        keep, near, across_accounts
            As in `histkit.takes`; with `near`, a line of the script without an exact match is matched with the most
            similar texts.
        """
        from histkit.retakes.keepers import keepers

        return keepers(self._frame, script=script, keep=keep, near=near, across_accounts=across_accounts)

    def waste(
        self,
        by: Literal["voice", "speaker", "model", "source"] | Hashable | Iterable[Hashable] = "voice",
        freq: str | None = None,
        *,
        keep: Literal["last", "first"] | Iterable[str] = "last",
        near: float | None = None,
        across_accounts: bool = False,
        tz: str | tzinfo = "UTC",
        week_start: str | None = None,
        billing: Any = None,
    ) -> pd.DataFrame:
        """Sum the takes that were not kept by group and period: their number, paid and free, and their credits.

        See `histkit.waste` for details.

        Parameters
        ----------
        by : str or list, default "voice"
            ``"voice"`` (or its synonym ``"speaker"``), ``"model"``, ``"source"``, or the name of any column, or a list
            of these. None or an empty list: all rows are one group.
        freq : str, optional
            A pandas alias: ``h`` (also ``2h``, ``6h``, ...), ``D``, ``W`` (weeks from Monday; see `week_start`),
            ``MS``, ``QS``, ``YS``, or an older spelling of these. Or ``"billing"``: from reset to reset of `billing`.
        keep, near, across_accounts
            As in `histkit.takes`: accounts are separate.
        tz : str or tzinfo, default "UTC"
            Zone of the periods, an IANA name.
        week_start : str, optional
            For ``freq="W"``: the day on which weeks start, by default Monday. (``W-SAT`` are weeks that end on
            Saturday.)
        billing : Subscription, mapping, int or date, optional
            For ``freq="billing"``: ``client.subscription()`` or anything with its fields (next reset; a period of 1, 3,
            6 or 12 months), a day of the month (from midnight), or the date of one monthly reset.
        """
        from histkit.money.waste import waste

        return waste(
            self._frame,
            by,
            freq,
            keep=keep,
            near=near,
            across_accounts=across_accounts,
            tz=tz,
            week_start=week_start,
            billing=billing,
        )

    def plot_takes(self, *, top: int = 12, ax: Axes | None = None) -> Axes:
        """Draw the texts with the most credits thrown away, next to the credits of the kept takes.

        See `histkit.plot_takes` for details.

        Parameters
        ----------
        top : int, default 12
            Number of texts, 1 to 40.
        ax : matplotlib.axes.Axes, optional
            The axes to draw into; default: those of a new pyplot figure.
        """
        from histkit.plotting.charts import plot_takes

        return plot_takes(self._frame, top=top, ax=ax)

    def cost_table(
        self,
        by: Literal["voice", "speaker", "model", "source"] | Hashable | Iterable[Hashable] = "voice",
        freq: str | None = None,
        *,
        prices: Any,
        tz: str | tzinfo = "UTC",
        top: int | None = None,
        billing: Any = None,
        week_start: str | None = None,
    ) -> pd.DataFrame:
        """Sum items, characters, credits and what they cost by group and period.

        See `histkit.cost_table` for details.

        Parameters
        ----------
        by : str or list, default "voice"
            ``"voice"`` (or its synonym ``"speaker"``), ``"model"``, ``"source"``, or the name of any column, or a list
            of these. None or an empty list: all rows are one group.
        freq : str, optional
            A pandas alias: ``h`` (also ``2h``, ``6h``, ...), ``D``, ``W`` (weeks from Monday; see `week_start`),
            ``MS``, ``QS``, ``YS``, or an older spelling of these. Or ``"billing"``: from reset to reset of `billing`.
        prices : path-like, mapping, DataFrame or PriceBook
            See `read_prices`.
        tz : str or tzinfo, default "UTC"
            Zone of the periods, an IANA name.
        top : int, optional
            Number of groups to keep, those of most credits over all periods. The rest becomes one group ``other``, or
            ``(rest)`` if a group has that name.
        billing : Subscription, mapping, int or date, optional
            For ``freq="billing"``: ``client.subscription()`` or anything with its fields (next reset; a period of 1, 3,
            6 or 12 months), a day of the month (from midnight), or the date of one monthly reset.
        week_start : str, optional
            For ``freq="W"``: the day on which weeks start, by default Monday. (``W-SAT`` are weeks that end on
            Saturday.)
        """
        from histkit.money.costs import cost_table

        return cost_table(self._frame, by, freq, prices=prices, tz=tz, top=top, billing=billing, week_start=week_start)

    def add_cost(self, prices: Any, *, tz: str | tzinfo = "UTC") -> pd.DataFrame:
        """Add the cost of each row.

        See `histkit.add_cost` for details.

        Parameters
        ----------
        prices : path-like, mapping, DataFrame or PriceBook
            See `read_prices`.
        tz : str or tzinfo, default "UTC"
            Zone of ``valid_from`` values without one; a day starts at its first instant there. ``tz`` in the file takes
            precedence.
        """
        from histkit.money.prices import add_cost

        return add_cost(self._frame, prices, tz=tz)

    def reprice(
        self,
        model: str | None = None,
        by: Literal["voice", "speaker", "model", "source"] | Hashable | Iterable[Hashable] = None,
        freq: str | None = "MS",
        *,
        prices: Any = None,
        current_prices: Any = None,
        plan: Any = None,
        multipliers: Mapping[str, Any] | None = None,
        tz: str | tzinfo = "UTC",
        billing: Any = None,
        week_start: str | None = None,
    ) -> pd.DataFrame:
        """Estimate what the rows would have cost on another model, at other prices or on other plans.

        See `histkit.reprice` for details.

        Parameters
        ----------
        model : str, optional
            The other model. Default: each row stays on its own, and costs what was measured.
        by : str or list, optional
            Groups, as in `histkit.usage_table`; ``model`` is the one that was used. Default: all rows are one group.
        freq : str, default "MS"
            Length of the periods, as in `histkit.usage_table`; None for the total.
        prices : path-like, mapping, DataFrame or PriceBook, optional
            The other prices, see `read_prices`. Prices by model are those of the other model. Those of the rows of
            `frame` are in one currency.
        current_prices : path-like, mapping, DataFrame or PriceBook, optional
            The prices of what was measured. Default: `prices`.
        plan : path-like, mapping, list of mappings, optional
            One plan, or several to compare: see Notes. Not with `prices`.
        multipliers : mapping of str to number, optional
            Credits per character of models that are not documented here, or whose price has changed.
        tz, billing, week_start
            As in `histkit.usage_table`; `tz` also for the days in prices.
        """
        from histkit.money.what_if import reprice

        return reprice(
            self._frame,
            model,
            by,
            freq,
            prices=prices,
            current_prices=current_prices,
            plan=plan,
            multipliers=multipliers,
            tz=tz,
            billing=billing,
            week_start=week_start,
        )

    def ledger(
        self,
        freq: str = "D",
        *,
        by: Hashable | Iterable[Hashable] = None,
        tz: str | tzinfo = "UTC",
        billing: Any = None,
        across_accounts: bool = False,
        after: Any = None,
        before: Any = None,
    ) -> pd.DataFrame:
        """Chain the credit counters of the rows: seen and unseen credits and billing resets by period.

        See `histkit.ledger` for details.

        Parameters
        ----------
        freq : str, default "D"
            Length of the periods, as `histkit.usage_table` takes it.
        by : str or list, optional
            Columns that divide what the rows say, such as ``"api_key"`` of an attributed history; as
            `histkit.usage_table` takes them. Each group gets a row of its own in each period.
        tz : str or tzinfo, default "UTC"
            Zone of the periods, an IANA name.
        billing : Subscription, mapping, int or date, optional
            The known dates of the billing resets, as `histkit.usage_table` takes them. With several accounts a dict of
            the account to these.
        across_accounts : bool, default False
            Whether to add up the ledgers of several accounts by period. Their counters are never chained to one
            another.
        after, before : str, date, datetime, Timestamp or int, optional
            Dates as in `histkit.filter_items`, in `tz`: only what these rows say is summed. All rows of the frame are
            chained, so that the first of them has its gap; a frame that was filtered before lacks it.
        """
        from histkit.money.ledger import ledger

        return ledger(
            self._frame,
            freq,
            by=by,
            tz=tz,
            billing=billing,
            across_accounts=across_accounts,
            after=after,
            before=before,
        )

    def forecast(
        self,
        *,
        subscription: Any = None,
        now: Any = None,
        tz: str | tzinfo = "UTC",
        days: int | None = None,
        client: HistoryClient | None = None,
    ) -> pd.DataFrame:
        """Forecast the credit counter of the account day by day until the billing reset.

        See `histkit.forecast` for details.

        Parameters
        ----------
        subscription : Subscription or dict, optional
            The result of `HistoryClient.subscription`, or a dict with its ``character_count`` and, if known,
            ``character_limit``, ``next_character_count_reset_unix``, ``character_refresh_period`` and
            ``max_credit_limit_extension``. Default: it is requested (the key needs the scope ``user_read``).
        now : str, date or datetime, optional
            The instant of the forecast, at which the counter is ``character_count``; a naive one is UTC. Default: the
            present. Later rows are ignored.
        tz : str or tzinfo, default "UTC"
            Zone of the days, an IANA name.
        days : int, optional
            Number of days after today to forecast, at most 400 and not beyond the reset. Default: until the reset, or
            30 if that is unknown.
        client : HistoryClient, optional
            Default: a client with the key and base URL of the environment.
        """
        from histkit.money.forecast import forecast

        return forecast(self._frame, subscription=subscription, now=now, tz=tz, days=days, client=client)

    def plot_quota(
        self,
        *,
        subscription: Any = None,
        now: Any = None,
        tz: str | tzinfo = "UTC",
        days: int | None = None,
        client: HistoryClient | None = None,
        ax: Axes | None = None,
    ) -> Axes:
        """Draw the credits used, their forecast and the plan's limit.

        See `histkit.plot_quota` for details.

        Parameters
        ----------
        subscription : Subscription or dict, optional
            The result of `HistoryClient.subscription`, or a dict with its ``character_count`` and, if known,
            ``character_limit``, ``next_character_count_reset_unix``, ``character_refresh_period`` and
            ``max_credit_limit_extension``. Default: it is requested (the key needs the scope ``user_read``).
        now : str, date or datetime, optional
            The instant of the forecast, at which the counter is ``character_count``; a naive one is UTC. Default: the
            present. Later rows are ignored.
        tz : str or tzinfo, default "UTC"
            Zone of the days, an IANA name.
        days : int, optional
            Number of days after today to forecast, at most 400 and not beyond the reset. Default: until the reset, or
            30 if that is unknown.
        client : HistoryClient, optional
            Default: a client with the key and base URL of the environment.
        ax : matplotlib.axes.Axes, optional
            The axes to draw into; default: those of a new pyplot figure.
        """
        from histkit.money.forecast import forecast
        from histkit.plotting.charts import plot_quota

        return plot_quota(
            forecast(self._frame, subscription=subscription, now=now, tz=tz, days=days, client=client), ax=ax
        )

    def reconcile(
        self,
        freq: Literal["MS", "D", "W", "QS", "YS", "h"] = "MS",
        *,
        after: Any = None,
        before: Any = None,
        tz: str | tzinfo = "UTC",
        billing: Any = None,
        official: pd.DataFrame | None = None,
        requests: pd.DataFrame | None = None,
        by: str | Sequence[str] | None = None,
        client: HistoryClient | None = None,
    ) -> pd.DataFrame:
        """Compare the credits of the history and the gaps of the ledger with the official figures of the account.

        See `histkit.reconcile` for details.

        Parameters
        ----------
        freq : {"MS", "D", "W", "QS", "YS", "h"}
            Length of the periods.
        after, before : str, date, datetime, Timestamp or int, optional
            Start and end as in `filter_items`, extended to whole days; default: the days of the frame.
        tz : str, default "UTC"
            IANA name of the zone of the periods.
        billing : Subscription, mapping, int or date, optional
            The known dates of the billing resets, as `ledger` takes them.
        official : DataFrame, optional
            The result of `official_usage` by days of `tz` (by hours for hours); default: it is fetched.
        requests : DataFrame, optional
            The request log of the time, as `read_requests` returns it: see Notes. With a column ``account``, the
            requests of the frame's account are taken.
        by : str or list of str, optional
            With `requests`: words as in `official_usage`, or columns of the log. Default: ``["api_key", "user"]``.
        client : HistoryClient, optional
            Default: a client with the key and base URL of the environment.
        """
        from histkit.money.reconciliation import reconcile

        return reconcile(
            self._frame,
            freq,
            after=after,
            before=before,
            tz=tz,
            billing=billing,
            official=official,
            requests=requests,
            by=by,
            client=client,
        )

    def report(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        title: str | None = None,
        tz: str = "UTC",
        freq: str | None = None,
        top: int = 15,
        prices: Any = None,
        subscription: Any = None,
        billing: Any = None,
        now: Any = None,
        force: bool = False,
    ) -> Path | None:
        """Write a usage report, or print it on the terminal.

        See `histkit.report` for details.

        Parameters
        ----------
        path : path-like, optional
            The file; its extension selects the format: ``.html`` (one file, inline charts), ``.xlsx`` (extra ``xlsx``)
            or ``.md``. An existing report is replaced. Links are followed; a device, a pipe and ``-`` (standard output)
            are streamed to, as HTML if they have no extension. None: print on the terminal.
        title : str, optional
            The headline.
        tz : str, default "UTC"
            IANA name of the zone of all dates.
        freq : str, optional
            Length of the periods, as in `usage_table`; default: days, months or quarters, depending on the length of
            the history.
        top : int, default 15
            Maximum number of rows of a table; the others become ``other``.
        prices : path, mapping, DataFrame or PriceBook, optional
            Prices of credits, see `read_prices`: adds costs to the tables, with the share that is priced.
        subscription : Subscription or mapping, optional
            Plan and counter (``client.subscription()``): adds the quota and its forecast.
        billing : Subscription, mapping, int or date, optional
            For ``freq="billing"``, as in `usage_table`; default: `subscription`.
        now : str, datetime or Timestamp, optional
            Start of the forecast; a naive date is UTC. Default: the current time.
        force : bool
            Also replace a file of another kind.
        """
        from histkit.reports.report import report

        return report(
            self._frame,
            path,
            title=title,
            tz=tz,
            freq=freq,
            top=top,
            prices=prices,
            subscription=subscription,
            billing=billing,
            now=now,
            force=force,
        )

    def statement(
        self,
        client: str,
        period: Any,
        *,
        path: str | os.PathLike[str] | None = None,
        column: str = "client",
        tz: str | tzinfo = "UTC",
        prices: Any = None,
        by: Any = ("voice", "model"),
        title: str | None = None,
        terms: Any = None,
        number: str | None = None,
        issue_date: Any = None,
        locale: str | None = None,
        issue: bool = False,
        correct: bool = False,
        register: str | os.PathLike[str] | None = None,
        force: bool = False,
    ) -> pd.DataFrame:
        """Compute the statement of one client for one period: line items, totals, and a fingerprint of the billed rows.

        See `histkit.statement` for details.

        Parameters
        ----------
        client : str
            A value of the column, such as "Acme" or "unassigned". Rows with a missing value count as "unassigned".
        period : str or (start, end)
            A year "2026", a quarter "2026-Q3", a month "2026-10", an ISO week "2026-W41", a day "2026-10-05"; or two
            days or instants (str, date, datetime), the end exclusive. All in `tz`.
        path : path-like, optional
            Also write it to this file: ``.html`` (one file, prints well), ``.xlsx`` (extra ``xlsx``), ``.md``, ``.csv``
            (the lines alone) or ``.json``; the same statement gives the same bytes. An existing file of the same kind
            is replaced. Links are followed; devices, pipes and ``-`` (standard output) are streamed to.
        column : str, default "client"
            The column with the client of each row.
        tz : str or tzinfo, default "UTC"
            IANA name of the zone of the period, and of the days in `prices`.
        prices : path-like, mapping, DataFrame or PriceBook, optional
            See `histkit.read_prices`; adds costs.
        by : str or list, default ("voice", "model")
            The groups that make the lines, as in `histkit.usage_table`.
        title : str, optional
            Default: "Statement for <client>, <period>".
        terms : path-like or mapping, optional
            A TOML file, or its content, with the parties, the minimum fee, the markup and the tax; see Notes.
        number : str, optional
            The number; ``{n}`` in it is counted in the register, as in ``"2026-{n:03}"``; ``{year}`` and ``{month}``
            are those of the issue date. Default: that of `terms`, else ``"{year}-{n:04}"``.
        issue_date : str or date, optional
            Default: that of `terms`, else the day of issue in `tz`.
        locale : str, optional
            Format numbers and dates as in a locale, such as ``"de_DE"`` (extra ``locale``). CSV and JSON stay as they
            are.
        issue : bool
            Enter the statement in the register. A statement that was issued is written again with the same bytes; if
            its rows, prices or terms have changed, this is an error that says how. So is a first statement in another
            zone than the client's statements before it: rows in between would be billed twice or never.
        correct : bool
            Where it was issued and has changed, make a correction: a statement that bills the difference. Where rows
            are billed to other clients that are no longer theirs, correct these first. Without `issue`, a preview; if
            there is nothing to correct, this is an error.
        register : path-like, optional
            The register: a file of JSON lines, or the folder of a history. Default: ``_statements.jsonl`` in the folder
            of the local history that the frame was loaded from.
        force : bool
            Also replace a file of another kind.
        """
        from histkit.reports.statement import statement

        return statement(
            self._frame,
            client,
            period,
            path=path,
            column=column,
            tz=tz,
            prices=prices,
            by=by,
            title=title,
            terms=terms,
            number=number,
            issue_date=issue_date,
            locale=locale,
            issue=issue,
            correct=correct,
            register=register,
            force=force,
        )

    def statements(
        self,
        period: Any,
        *,
        folder: str | os.PathLike[str] | None = None,
        format: Literal["md", "html", "xlsx", "csv", "json"] = "md",
        column: str = "client",
        tz: str | tzinfo = "UTC",
        prices: Any = None,
        by: Any = ("voice", "model"),
        terms: Any = None,
        issue_date: Any = None,
        locale: str | None = None,
        issue: bool = False,
        correct: bool = False,
        register: str | os.PathLike[str] | None = None,
        force: bool = False,
    ) -> pd.DataFrame:
        """Compute the statements of all clients for one period; together they bill every row of the period.

        See `histkit.statements` for details.

        Parameters
        ----------
        period : str or (start, end)
            A year "2026", a quarter "2026-Q3", a month "2026-10", an ISO week "2026-W41", a day "2026-10-05"; or two
            days or instants (str, date, datetime), the end exclusive. All in `tz`.
        folder : path-like, optional
            Also write each statement into this folder, to a file named by client and period.
        format : {"md", "html", "xlsx", "csv", "json"}
            The format of these files.
        column : str, default "client"
            The column with the client of each row.
        tz : str or tzinfo, default "UTC"
            IANA name of the zone of the period, and of the days in `prices`.
        prices : path-like, mapping, DataFrame or PriceBook, optional
            See `histkit.read_prices`; adds costs.
        by : str or list, default ("voice", "model")
            The groups that make the lines, as in `histkit.usage_table`.
        terms : path-like or mapping, optional
            A TOML file, or its content, with the parties, the minimum fee, the markup and the tax; see Notes.
        issue_date : str or date, optional
            Default: that of `terms`, else the day of issue in `tz`.
        locale : str, optional
            Format numbers and dates as in a locale, such as ``"de_DE"`` (extra ``locale``). CSV and JSON stay as they
            are.
        issue : bool
            Enter all of them in the register, or none; but not the rows that are "unassigned".
        correct : bool
            With `issue`: as in `statement`. The file of a correction has its number in its name.
        register : path-like, optional
            The register: a file of JSON lines, or the folder of a history. Default: ``_statements.jsonl`` in the folder
            of the local history that the frame was loaded from.
        force : bool
            Also replace files of another kind.
        """
        from histkit.reports.statement import statements

        return statements(
            self._frame,
            period,
            folder=folder,
            format=format,
            column=column,
            tz=tz,
            prices=prices,
            by=by,
            terms=terms,
            issue_date=issue_date,
            locale=locale,
            issue=issue,
            correct=correct,
            register=register,
            force=force,
        )

    def explore(
        self,
        *,
        client: HistoryClient | None = None,
        folder: str | os.PathLike[str] = "audio",
        tz: str = "UTC",
        page_size: int = 25,
        state: str | os.PathLike[str] | None = None,
        keep: bool = True,
    ) -> Explorer:
        """Explore a history in a notebook: filter, sort and play rows, tick them and download their audio.

        See `histkit.explore` for details.

        Parameters
        ----------
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
            A JSON file from which filters, order, columns, ticks and what the chart shows are restored when the cell is
            run again. It is created with the first change, and written again shortly after each. Ticks are saved by
            ``history_item_id``, and ``account`` where there are several.
        keep : bool, default True
            The notebook keeps a page of what the explorer shows: totals, chart, first rows, code. False leaves out
            texts, what is searched for, and columns of your own that may hold texts.
        """
        from histkit.notebook.explorer import explore

        return explore(self._frame, client=client, folder=folder, tz=tz, page_size=page_size, state=state, keep=keep)

    def pick_takes(
        self,
        *,
        near: float | None = None,
        across_accounts: bool = False,
        folder: str | os.PathLike[str] | None = None,
        client: HistoryClient | None = None,
    ) -> Picker:
        """Choose the take to keep of each line by listening.

        See `histkit.pick_takes` for details.

        Parameters
        ----------
        near : float, optional
            Also treat similar texts as the same (extra ``near``): the least similarity, 0.5 to 1, such as 0.9.
        across_accounts : bool, default False
            Whether the same text and voice in two accounts is one line. Without a column ``account`` all rows are of
            one account; rows whose account is missing are another one.
        folder : path-like, optional
            Folder of `download_audio`; clips in it are played from there.
        client : HistoryClient, optional
            Client for playback. Default: a client with the key and base URL of the environment, created when it is
            first needed.
        """
        from histkit.notebook.picker import pick_takes

        return pick_takes(self._frame, near=near, across_accounts=across_accounts, folder=folder, client=client)

    def play(
        self, *, folder: str | os.PathLike[str] | None = None, client: HistoryClient | None = None, limit: int = 10
    ) -> Players:
        """Show an audio player for each row in a notebook, with voice, date and text. Costs no credits.

        See `histkit.play` for details.

        Parameters
        ----------
        folder : path-like, optional
            A folder of `download_audio`. Clips that exist there are not requested. If it is below the working directory
            (that of the notebook), clips are played from there and not stored in the notebook.
        client : HistoryClient, optional
            Default: a client with the key and base URL of the environment.
        limit : int
            Number of rows to show, 1 to 10. Other clips are stored in the notebook: at most 2 MB per clip and 6 MB in
            total.
        """
        from histkit.notebook.players import play

        return play(self._frame, folder=folder, client=client, limit=limit)

    def download_audio(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str = "{date:%Y-%m}/{voice}/{text:.40}-{id}",
        workers: int | None = None,
        format: Literal["wav"] | None = None,
        overwrite: bool = False,
        sample_rate: int | None = None,
        dry_run: bool = False,
        progress: bool | None = None,
        client: HistoryClient | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Download each row's audio into a folder. Interrupted runs resume; finished files are not requested again.

        See `histkit.download_audio` for details.

        Parameters
        ----------
        folder : path-like or str
            Target folder; created if it does not exist. Also a URL that fsspec knows (``s3://bucket/audio``; extra
            ``remote``). There the manifest is written every few seconds instead of after each clip, and two downloads
            at the same time are not detected.
        name : str
            Template of the path in the folder, without extension. Fields: every column, and ``id``, ``voice`` (name,
            else id, ``dialogue``), ``model``, ``index`` (position from 0), ``date`` (UTC, ``{date:%Y-%m}``), ``text``
            (``{text:.40}``: the first 40 characters). Values never create folders. Where rows would share a path, their
            ids are appended. The default becomes ``{id}`` if its columns are absent.
        workers : int, optional
            Threads that download, verify and write. Requests in flight stay within the client's ``max_concurrency``;
            default: two more than that, so that verifying and writing delay no request.
        format : {None, "wav"}
            None keeps the generated format. "wav": PCM, mu-law and A-law get a header, the service converts other
            formats.
        overwrite : bool
            Download finished files again. Where the bytes are those of the first download, ``proof`` becomes ``hash``.
        sample_rate : int, optional
            Samples per second of raw samples (PCM without a header) whose row states no rate; rows older than 2026-03
            can have such. With it, ``seconds`` is known and ``format="wav"`` adds the header here.
        dry_run : bool
            Make no request and write nothing: ``status`` is ``pending`` for clips that would be downloaded, ``path``
            the expected file (with the extension that the row declares, if any).
        progress : bool, optional
            Show a progress bar; default: in a notebook and on a terminal.
        client : HistoryClient, optional
            Default: a client with the key and base URL of the environment.
        storage_options : mapping, optional
            Passed to fsspec.
        """
        from histkit.audio.folder import download_audio

        return download_audio(
            self._frame,
            folder,
            name=name,
            workers=workers,
            format=format,
            overwrite=overwrite,
            sample_rate=sample_rate,
            dry_run=dry_run,
            progress=progress,
            client=client,
            storage_options=storage_options,
        )

    def download_zip(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        format: Literal["wav"] | None = None,
        bulk: bool = True,
        sample_rate: int | None = None,
        dry_run: bool = False,
        progress: bool | None = None,
        client: HistoryClient | None = None,
        storage_options: Mapping[str, Any] | None = None,
        force: bool = False,
    ) -> pd.DataFrame:
        """Download the audio of any number of rows into one zip, one entry per history item. Costs no credits.

        See `histkit.download_zip` for details.

        Parameters
        ----------
        path : path-like or str
            The zip. An existing zip is replaced when the new one is complete. Links are followed; a device, a pipe and
            ``-`` (standard output) are streamed to. Also a URL that fsspec knows (``s3://bucket/all.zip``; extra
            ``remote``): the zip is written on this machine and uploaded.
        name : str
            Template of the path in the folder, without extension. Fields: every column, and ``id``, ``voice`` (name,
            else id, ``dialogue``), ``model``, ``index`` (position from 0), ``date`` (UTC, ``{date:%Y-%m}``), ``text``
            (``{text:.40}``: the first 40 characters). Values never create folders. Where rows would share a path, their
            ids are appended. The default becomes ``{id}`` if its columns are absent.
        format : {None, "wav"}
            None keeps the generated format. "wav": PCM, mu-law and A-law get a header, the service converts other
            formats.
        bulk : bool
            Request up to 50 clips at once, as zips of the service, where the names in these zips identify every clip.
            This needs rows of known format that were generated in different seconds (a Series of ids has neither). All
            others, and clips of a failed bulk request, are requested individually; with False, all are. One clip is
            requested both ways, and the service's zips are used only if both are equal, so that `bulk` does not change
            the result.
        sample_rate : int, optional
            Samples per second of raw samples (PCM without a header) whose row states no rate; rows older than 2026-03
            can have such. With it, ``seconds`` is known and ``format="wav"`` adds the header here.
        dry_run : bool
            Make no request and write nothing: ``status`` is ``pending``, ``path`` the entry that would be written.
        progress : bool, optional
            Show a progress bar; default: in a notebook and on a terminal.
        client : HistoryClient, optional
            Default: a client with the key and base URL of the environment.
        storage_options : mapping, optional
            Passed to fsspec.
        force : bool
            Also write to a name with another ending, and over a file of another kind.
        """
        from histkit.audio.zip_download import download_zip

        return download_zip(
            self._frame,
            path,
            name=name,
            format=format,
            bulk=bulk,
            sample_rate=sample_rate,
            dry_run=dry_run,
            progress=progress,
            client=client,
            storage_options=storage_options,
            force=force,
        )

    def delete(
        self,
        *,
        confirm: bool = False,
        only_verified: str | os.PathLike[str] | None = None,
        history: str | os.PathLike[str] | Literal[False] | None = None,
        journal: str | os.PathLike[str] = "data/deleted.jsonl",
        progress: bool | None = None,
        client: HistoryClient | None = None,
    ) -> pd.DataFrame:
        """Delete history items permanently, text and audio. Without ``confirm=True`` nothing is deleted.

        See `histkit.delete` for details.

        Parameters
        ----------
        confirm : bool
            True deletes. False makes no request, writes nothing, and prints what would be deleted.
        only_verified : path-like or str, optional
            A folder of `download_audio`. Only rows with a file in it are deleted whose content, which is read and
            hashed again, matches the folder's manifest, and which is known to be the whole clip: see Notes.
        history : path-like, str or False, optional
            Local history (of `sync`) in which the rows are marked: ``state`` becomes ``deleted``, ``missing_since`` is
            set. Default: the history that the frame was loaded from, if it still exists. False: none.
        journal : path-like or str, default "data/deleted.jsonl"
            JSON lines to append to; created with its folder if it does not exist. If the rows come from a local history
            outside the working directory, the default is ``deleted.jsonl`` beside that history.
        progress : bool, optional
            Show a progress bar and print a summary; default: the bar in notebooks and on terminals, the summary always.
        client : HistoryClient, optional
            Default: a client with the key and base URL of the environment. The key needs the scope
            ``speech_history_write``.
        """
        from histkit.deletion.delete import delete

        return delete(
            self._frame,
            confirm=confirm,
            only_verified=only_verified,
            history=history,
            journal=journal,
            progress=progress,
            client=client,
        )

    def to_parquet(self, path: str | os.PathLike[str], *, force: bool = False) -> Path:
        """Write a frame as one Parquet file (zstd) that any tool reads.

        See `histkit.to_parquet` for details.

        Parameters
        ----------
        path : path-like
            The file; its folder is created. An existing file of the same kind is replaced when the new one is complete.
            Links are followed; a device, a pipe and ``-`` (standard output) are streamed to.
        force : bool
            Also write to a name with another ending, and over a file of another kind.
        """
        from histkit.frame.files import to_parquet

        return to_parquet(self._frame, path, force=force)

    def to_csv(self, path: str | os.PathLike[str], *, excel: bool = False, force: bool = False) -> Path:
        """Write a frame as CSV: UTF-8, dates in ISO 8601, lists as JSON.

        See `histkit.to_csv` for details.

        Parameters
        ----------
        path : path-like
            The file; its folder is created. An existing file of the same kind is replaced when the new one is complete.
            Links are followed; a device, a pipe and ``-`` (standard output) are streamed to.
        excel : bool
            Begin with a byte order mark, without which Excel assumes another encoding.
        force : bool
            Also write to a name with another ending, and over a file of another kind.
        """
        from histkit.frame.files import to_csv

        return to_csv(self._frame, path, excel=excel, force=force)

    def to_xlsx(self, path: str | os.PathLike[str], *, force: bool = False) -> Path:
        """Write a frame as an Excel sheet: real numbers and dates, ids and texts as text, no formulas.

        See `histkit.to_xlsx` for details.

        Parameters
        ----------
        path : path-like
            The file; its folder is created. An existing file of the same kind is replaced when the new one is complete.
            Links are followed; a device, a pipe and ``-`` (standard output) are streamed to.
        force : bool
            Also write to a name with another ending, and over a file of another kind.
        """
        from histkit.frame.files import to_xlsx

        return to_xlsx(self._frame, path, force=force)


register_accessor("speech", SpeechAccessor)
