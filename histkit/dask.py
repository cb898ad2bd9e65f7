"""Histories that don't fit into memory: `scan`, and ``ddf.speech`` on every Dask frame once this module is imported.

Each method runs the pandas function on every partition, and first on the empty meta frame, so that an invalid
argument is refused immediately. It selects the columns it needs, so that no others are read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import tzinfo
from functools import partial
from typing import Any, Literal

import pandas as pd

from histkit.archive.load import LocalHistory, open_history
from histkit.errors import InputError
from histkit.frame.filters import RowFilter
from histkit.frame.json_values import json_array
from histkit.frame.keys import id_endings, refuse_duplicates, rows_checked
from histkit.frame.schema import category_dtype, to_frame
from histkit.retakes.takes import line_keys, takes, voice_keys
from histkit.usage.aggregate import TEXT, UsageQuery, column_of, combine, is_voice, partial_sums
from histkit.usage.label_rules import COLUMN, Rule, Rules, read_rules
from histkit.usage.label_zones import FACT
from histkit.usage.labels import assign_labels, possible_dates
from histkit.usage.table import build_table, parse_query
from histkit.util.accessors import forget_accessor
from histkit.util.arrays import Hashes

# Dask's operations, by name, that give a row what they give it in any order of the rows, and read no index.
_ROW_BY_ROW = ("Projection", "Filter", "Assign", *("LT", "LE", "EQ", "NE", "GE", "GT", "And", "Or", "Invert", "Isin"))
_MISSING: ImportError | None = None
try:
    import dask
    import dask.dataframe as dd
    from dask.dataframe.dispatch import meta_nonempty
    from dask.dataframe.extensions import register_dataframe_accessor
    from dask.dataframe.utils import clear_known_categories
except ImportError as error:  # without the extra, `histkit.scan` is still a name that says what to install
    _MISSING = error


def from_months(
    read: Callable[[Any, list[Any] | None], pd.DataFrame], keys: Sequence[Any], meta: pd.DataFrame
) -> dd.DataFrame:
    """Return a Dask DataFrame with one partition for each key.

    Parameters
    ----------
    read : callable
        ``read(key, columns)`` returns a frame with these columns; it must be picklable. It is called on the workers
        with the columns that a computation needs.
    keys : sequence
        One key per partition, in order; without keys there is one empty partition.
    meta : pandas.DataFrame
        A frame of the same columns and dtypes; its rows and categories are left out. Its ``attrs`` are those of the
        whole.

    Returns
    -------
    dask.dataframe.DataFrame
        Without known divisions. The categories of a partition are its own.
    """
    empty = clear_known_categories(meta.iloc[:0].reset_index(drop=True))
    reader = _Reader(read) if len(keys) else _Reader(_Nothing(empty))
    with dask.config.set({"dataframe.convert-string": False}):  # the dtypes are those of `meta`
        return dd.from_map(reader, list(keys) or [None], meta=empty, label="months")


class DaskSpeechAccessor:
    """The speech history methods of a Dask DataFrame: those of the pandas accessor, lazily.

    Examples
    --------
    >>> import dask.dataframe as dd
    >>> import histkit as hk
    >>> import histkit.dask
    >>> ddf = dd.from_pandas(hk.sample_history(300), npartitions=3)
    >>> ddf.speech.filter(source="TTS").speech.usage(by="model").compute().columns.tolist()
    ['model', 'items', 'characters', 'credits']
    """

    def __init__(self, frame: dd.DataFrame) -> None:
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
    ) -> dd.DataFrame:
        """Keep the rows that meet every condition, in each partition.

        Parameters
        ----------
        voice, model, source, text, after, before, speaker, tz, regex
            As in `histkit.filter_items`.

        Returns
        -------
        dask.dataframe.DataFrame
            Lazy. Only the columns of the conditions are read to choose the rows.

        Raises
        ------
        InputError, SchemaError
            An argument is invalid, or a column is missing. Raised immediately, not at ``compute()``.
        """
        rows = RowFilter.of(
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
        if not rows.conditions():
            return self._frame
        rows.mask(self._frame._meta)
        part = self._part(rows.columns())
        return self._frame[part.map_partitions(_mask, rows, meta=(None, bool))]

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
    ) -> dd.DataFrame:
        """Sum items, characters and credits by group and period.

        Parameters
        ----------
        by, freq, tz, top, fill, compare, billing, week_start
            As in `histkit.usage_table`.

        Returns
        -------
        dask.dataframe.DataFrame
            One partition: the table. Each partition is reduced to partial sums on its worker; empty periods and
            comparisons are added when all are combined.
        """
        query = parse_query(
            by, freq, tz=tz, top=top, fill=fill, compare=compare, billing=billing, week_start=week_start
        )
        example = _example(self._frame._meta, query)
        unfilled = query if query.fill is None else replace(query, fill=(None, None))
        meta = build_table(partial_sums(example, query), unfilled).iloc[:0]
        meta.attrs.clear()
        return _in_any_order(self._part(query.columns())).reduction(
            partial_sums,
            combine=_combined,
            aggregate=build_table,
            meta=meta,
            chunk_kwargs={"query": query},
            aggregate_kwargs={"query": query},
            token="usage",
        )

    def label(
        self,
        rules: Rules,
        *,
        column: str | None = None,
        unassigned: str = "unassigned",
        tz: str | tzinfo = "UTC",
    ) -> dd.DataFrame:
        """Add a column that labels each row by the first rule that matches it.

        Parameters
        ----------
        rules, column, unassigned, tz
            As in `histkit.label`. The rules are read immediately; workers don't need the file.

        Returns
        -------
        dask.dataframe.DataFrame
            Lazy, with the column, whose categories are the same in each partition.
        """
        default, parsed_rules = read_rules(rules, tz)
        name = default if column is None else column
        meta = assign_labels(self._frame._meta, parsed_rules, name, unassigned)
        part = self._part(column for rule in parsed_rules for column in rule.columns())
        labels = part.map_partitions(_labels, parsed_rules, name, unassigned, meta=meta[name])
        labelled = self._frame.assign(**{name: labels})
        facts = meta.attrs["histkit"]
        del facts["labels"]  # counts of rows
        if dates := possible_dates(parsed_rules, unassigned):
            facts[FACT] = {**facts.get(FACT, {}), name: dates}
        labelled._meta.attrs["histkit"] = facts
        return labelled

    def takes(
        self,
        *,
        keep: Literal["last", "first"] | Iterable[str] = "last",
        near: float | None = None,
        across_accounts: bool = False,
    ) -> dd.DataFrame:
        """Find the takes of each line.

        Parameters
        ----------
        keep : "last", "first", or ids
            As in `histkit.takes`; an id that is in no partition is ignored.
        near : float, optional
            As in `histkit.takes`; the rows of a voice are then shuffled into one partition, whose worker needs their
            memory.
        across_accounts : bool, default False
            As in `histkit.takes`.

        Returns
        -------
        dask.dataframe.DataFrame
            The rows in a different order: the rows of a line are shuffled into one partition. The index is kept.

        Raises
        ------
        InputError, SchemaError
            An argument is invalid, or a column is missing. Raised immediately, not at ``compute()``.
        """
        if isinstance(keep, Iterable) and not isinstance(keep, str):
            keep = list(keep)
        ids = [] if keep in ("last", "first") else keep if isinstance(keep, list) else [keep]
        example = self._frame._meta.reindex(range(len(ids)))
        with rows_checked():  # an id may be named twice
            takes(
                example.assign(history_item_id=pd.Series(ids, dtype=object)) if ids else example,
                keep=keep,
                near=near,
                across_accounts=across_accounts,
            )
        keys = line_keys if near is None else voice_keys
        meta = takes(self._frame._meta)
        meta.attrs.clear()
        part = self._part([*meta.columns, "dialogue", "character_count_change_from"])
        named = [name for name in part.columns if isinstance(part.dtypes[name], pd.CategoricalDtype)]
        packed = part.astype(dict.fromkeys(named, TEXT)).assign(
            line_key=part.map_partitions(keys, across_accounts=across_accounts, meta=("line_key", "uint64")),
            dialogue=part[["dialogue"]].map_partitions(_packed, meta=("dialogue", TEXT)),
        )
        return packed.shuffle("line_key").map_partitions(_takes, ids or keep, near, named, across_accounts, meta=meta)

    def statement(
        self,
        client: str,
        period: Any,
        *,
        path: str | os.PathLike[str] | None = None,
        column: str = COLUMN,
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
        """Compute the statement of one client for one period, immediately.

        Parameters
        ----------
        client, period, path, column, tz, prices, by, title, terms, number, issue_date, locale, issue, correct
            As in `histkit.statement`. With `issue` or `correct`, which look at the rows of other periods too, the
            columns of the statement are gathered for all rows, here 8 bytes a row and the rows of the period.
        register, force
            As in `histkit.statement`.

        Returns
        -------
        pandas.DataFrame
            As that of `histkit.statement`: the rows that it depends on are gathered, and it is computed from them.

        Raises
        ------
        InputError, SchemaError, ArchiveError
            As `histkit.statement`. Where the labels are of another zone, rows near a date of the rules are refused if
            the rules alone don't tell that their label is independent of it.
        """
        from histkit.reports.register import register_of
        from histkit.reports.statement import statement
        from histkit.reports.statement_rows import StatementRows, repeated_endings

        meta = self._frame._meta
        everything = issue is True or correct is True
        groups = (
            [name for entry in register_of(meta, register).read().entries for name in entry.by] if everything else []
        )
        needs = StatementRows.of(meta, period, column, tz, prices, by, groups)
        part = self._part(needs.columns)
        if everything:
            rows = part.compute()
        else:
            ids = part[["history_item_id"]]
            endings = dask.compute(*(dask.delayed(_endings)(each) for each in ids.to_delayed()))
            repeated = repeated_endings(endings)
            rows = part.map_partitions(needs.select, repeated, meta=part._meta).compute()
            refuse_duplicates(rows, "the statement", total=sum(map(len, endings)))
        rows.attrs = dict(meta.attrs)
        with rows_checked() if not everything else nullcontext():
            return statement(
                rows.reset_index(drop=True),
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

    def _part(self, columns: Iterable[Any]) -> dd.DataFrame:
        needed = set(columns)
        return self._frame[[column for column in self._frame.columns if column in needed]]


@dataclass(frozen=True, eq=False)
class _Reader:
    """Reads some columns of one partition; Dask passes them because the parameter is called ``columns``."""

    read: Callable[[Any, list[Any] | None], pd.DataFrame]

    def __call__(self, key: Any, columns: list[Any]) -> pd.DataFrame:
        return self.read(key, columns)[columns]


@dataclass(frozen=True, eq=False)
class _Nothing:
    """Reads no rows."""

    empty: pd.DataFrame

    def __call__(self, key: Any, columns: list[Any] | None) -> pd.DataFrame:
        return self.empty


def _in_any_order(frame: dd.DataFrame) -> dd.DataFrame:
    """Return a frame of a scan whose months are read without sorting their rows, if its operations allow that."""
    expression, sources = frame.expr, set()
    for node in expression.walk():
        name = type(node).__name__
        if name == "FromMapProjectable":
            sources.add(node)
        elif name == "MapPartitions":
            if node.operand("func") not in (_mask, _labels):
                return frame
        elif name not in _ROW_BY_ROW:
            return frame
    readers = {node.operand("func") for node in sources}
    reader = readers.pop() if len(readers) == 1 else None
    read: Any = reader.read if isinstance(reader, _Reader) else None
    if getattr(read, "__func__", None) is not LocalHistory.frame:
        return frame
    unsorted = _Reader(partial(read, ordered=False))
    for node in sources:
        expression = expression.substitute(node, node.substitute_parameters({"func": unsorted}))
    return type(frame)(expression)


def _mask(frame: pd.DataFrame, rows: RowFilter) -> pd.Series:
    return pd.Series(rows.mask(frame), index=frame.index)


def _labels(frame: pd.DataFrame, rules: list[Rule], column: str, unassigned: str) -> pd.Series:
    return assign_labels(frame, rules, column, unassigned)[column]


def _combined(partials: pd.DataFrame) -> pd.DataFrame:
    return combine([partials])


def _packed(frame: pd.DataFrame) -> pd.Series:
    """Return dialogues as JSON: the shuffle can't name the dtype of an older version's lists."""
    texts = json_array("dialogue", frame["dialogue"])
    return pd.Series(pd.array(texts, dtype=TEXT), index=frame.index)


def _endings(frame: pd.DataFrame) -> Hashes:
    return id_endings(frame["history_item_id"])


def _takes(
    frame: pd.DataFrame, keep: str | list[str], near: float | None, named: list[str], across_accounts: bool
) -> pd.DataFrame:
    """Restore categories, which the shuffle can't carry, and find the takes."""
    if not isinstance(keep, str):
        existing = set(frame["history_item_id"])
        keep = [item for item in keep if item in existing]
    columns = {name: pd.Categorical(frame[name].astype(category_dtype())) for name in named}
    return takes(frame.assign(**columns), keep=keep, near=near, across_accounts=across_accounts)


def _example(meta: pd.DataFrame, query: UsageQuery) -> pd.DataFrame:
    """Return two rows with values in the columns of the groups, to check that these can be grouped and folded."""
    example = meta.reindex(range(2))
    for name in query.names:
        column = column_of(name)
        if not is_voice(name) and column in meta.columns and meta[column].dtype != object:  # which could hold anything
            example[column] = meta_nonempty(meta[[column]])[column].array
    return example


def scan(
    path: str | os.PathLike[str] = "data/history",
    *,
    columns: Sequence[str] | None = None,
    after: Any = None,
    before: Any = None,
    voice: str | Iterable[str] | None = None,
    model: str | Iterable[str] | None = None,
    source: str | Iterable[str] | None = None,
    account: str | Iterable[str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
    tz: str | tzinfo = "UTC",
) -> dd.DataFrame:
    """Open a local history as a Dask DataFrame, one partition per month. Needs the extra ``dask``.

    ``filter``, ``usage``, ``label``, ``takes`` and ``statement`` run on it through the same ``ddf.speech``, with the
    same numbers.

    Parameters
    ----------
    path, columns, after, before, voice, model, source, account, storage_options, tz
        As in `load`.

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy; the columns and dtypes of `load`, newest month first. Only the manifest is read.

    Raises
    ------
    ArchiveError, InputError
        As `load`; errors in a month's file are raised by ``compute()``.

    Warns
    -----
    UserWarning
        A voice or an account is not in this history. Models and sources are not looked up.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=500) as box:
    ...     df = hk.sync("history", client=hk.HistoryClient(box.api_key, base_url=box.url), progress=False)
    >>> ddf = hk.scan("history")
    >>> int(ddf["credits"].sum().compute()) == int(df["credits"].sum())
    True
    """
    if _MISSING is not None:
        raise InputError(f"scan() needs Dask ({_MISSING}): pip install 'histkit[dask]'.")
    opened = open_history(
        path, columns, after, before, account, storage_options, voice=voice, model=model, source=source, tz=tz
    )
    meta = to_frame(opened.empty())
    meta.attrs["histkit"] = opened.facts
    return from_months(opened.frame, opened.files or [None], meta)


if _MISSING is None:
    forget_accessor(dd.DataFrame, "speech", __name__)
    register_dataframe_accessor("speech")(DaskSpeechAccessor)
