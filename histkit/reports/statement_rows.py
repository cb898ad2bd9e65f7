"""The rows of a history that a statement depends on: a part of it for which `statement` returns the same.

A statement counts the rows of one period. It also looks at others, for few facts: which clients, names and accounts
there are, how new the rows are, and whether an id is there twice. One row for each of these facts is enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from histkit.errors import InputError
from histkit.frame.clock import SECOND, zone_of
from histkit.frame.columns import factorize, factorize_text
from histkit.frame.dates import instants_of
from histkit.frame.dialogues import flat_lines, parsed_dialogues
from histkit.frame.keys import id_endings
from histkit.frame.schema import require
from histkit.money.prices import read_prices
from histkit.usage.aggregate import is_voice
from histkit.usage.dialogue import parts_of
from histkit.usage.periods import parse_period
from histkit.usage.table import parse_query
from histkit.util.arrays import Hashes, Ints, Mask
from histkit.util.text import quoted

_ID, _DATE, _DIALOGUE = "history_item_id", "date", "dialogue"
_OPTIONAL = ("account", "state")
_MEASURED = (_ID, _DATE, _DIALOGUE, "characters", "credits")  # all others hold names


@dataclass(frozen=True)
class StatementRows:
    """What a statement reads of a history, and of which rows.

    Attributes
    ----------
    columns : list
        The columns.
    start, end : int
        The period, in microseconds since 1970; the end is exclusive.
    voiced : bool
        Whether its lines are by voice: their labels depend on the voices of all rows.
    """

    columns: list[Any]
    start: int
    end: int
    voiced: bool

    @classmethod
    def of(
        cls, meta: pd.DataFrame, period: Any, column: Any, tz: Any, prices: Any, by: Any, more: Iterable[Any] = ()
    ) -> StatementRows:
        """Check the arguments of a statement.

        Parameters
        ----------
        meta : pandas.DataFrame
            A frame with the columns and dtypes of the history.
        period, column, tz, prices, by
            As in `histkit.statement`.
        more : iterable
            Other groups than those in `by`.

        Raises
        ------
        InputError, SchemaError
            As `histkit.statement`.
        """
        zone = zone_of(tz)
        span, query = parse_period(period, zone), parse_query(by, None, tz=zone, top=None)
        if not isinstance(column, str) or column not in meta.columns:
            raise InputError(
                f"The frame has no column {quoted(column)}; run ddf.speech.label(rules) first, or pass column=."
            )
        needed = [_ID, _DATE, column, *query.columns()]
        if prices is not None:
            needed += read_prices(prices, tz=zone).for_clients(column).columns(meta)
        require(meta, needed, "a statement")
        groups = [name for name in more if is_voice(name) or name in (*meta.columns, "model", "source")]
        needed += [*parse_query(groups, None, tz=zone, top=None).columns(), *_OPTIONAL]
        columns = [name for name in dict.fromkeys(needed) if name in meta.columns]
        voiced = any(map(is_voice, (*query.names, *groups)))
        return cls(columns, span.start * SECOND, span.end * SECOND, voiced)

    def select(self, frame: pd.DataFrame, repeated: Hashes) -> pd.DataFrame:
        """Return the rows of one part that the statement depends on, in their order.

        Parameters
        ----------
        frame : pandas.DataFrame
            Some rows of the history, with the columns.
        repeated : uint64 array
            The `id_endings` that two rows of the history share.
        """
        instants, dated = instants_of(frame[_DATE])
        kept = ~dated | ((instants >= self.start) & (instants < self.end))
        kept |= np.isin(id_endings(frame[_ID]), repeated)
        for rows in self._examples(frame, instants, dated):
            kept[rows] = True
        return frame[kept]

    def _examples(self, frame: pd.DataFrame, instants: Ints, dated: Mask) -> Iterator[Ints]:
        """Yield a row for each fact: names, the newest of each account and voice."""
        for name in frame.columns:
            if name not in _MEASURED:
                yield _last(factorize(frame[name])[0], np.arange(len(frame)))
        by_age = np.argsort(np.where(dated, instants, np.iinfo(np.int64).min), kind="stable")
        yield by_age[-1:]
        if "account" in frame.columns:
            yield _last(factorize_text(frame["account"])[0], by_age)
        if _DIALOGUE not in frame.columns:
            return
        frame = frame.assign(**{_DIALOGUE: parsed_dialogues(frame[_DIALOGUE])})
        lines = flat_lines(frame[_DIALOGUE])
        for names in (lines.voice_ids, lines.voice_names):
            yield lines.rows[_last(_codes(names), np.arange(len(lines.rows)))]
        if self.voiced:
            parts = parts_of(frame)
            alone = np.setdiff1d(np.arange(len(frame)), parts.spoken.rows)
            rows = np.r_[alone, parts.spoken.rows]
            voices, names = (
                np.r_[parts.voices[alone], parts.spoken.voices],
                np.r_[parts.names[alone], parts.spoken.names],
            )
            codes = pd.factorize((voices + 1) * (len(parts.texts) + 1) + names + 1)[0]
            order = np.argsort(instants[rows], kind="stable")
            yield rows[_last(codes.astype(np.int64), order)]


def repeated_endings(endings: Iterable[Hashes]) -> Hashes:
    """Return the numbers of `id_endings` that occur twice."""
    ordered = np.sort(np.concatenate([np.zeros(0, np.uint64), *endings]))
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    return repeated[repeated > 0]  # 0: no id


def _last(codes: Ints, order: Ints) -> Ints:
    """Return for each code its last place in an order."""
    places = np.full(int(codes.max(initial=-1)) + 2, -1, np.int64)
    places[codes[order]] = order  # the code -1, of missing values, is the last
    return places[places >= 0]


def _codes(texts: pa.Array) -> Ints:
    encoded: Ints = texts.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return encoded
