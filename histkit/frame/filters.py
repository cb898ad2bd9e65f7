"""Row filters, the same for frames and for Arrow rows as they are read.

A voice is matched by its exact id, or by its name in any letter case: the full name, or the part before " - " of
modern names ("Roger" finds "Roger - Laid-Back, Casual, Resonant"). Models and sources match in any letter case, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from histkit.errors import InputError
from histkit.frame.clock import iso_in_range, zone_of
from histkit.frame.columns import factorize
from histkit.frame.dates import date_range, instants_of, to_micros
from histkit.frame.dialogues import DialogueLines, flat_lines
from histkit.frame.kept_rows import rows_where
from histkit.frame.names import KnownNames, fold_name, voice_keys, warn_unmatched
from histkit.frame.provenance import record_selection
from histkit.frame.schema import check_frame, require, to_frame
from histkit.frame.text_search import FEW, FEW_FOR_WORDS, search_mask
from histkit.util.arguments import true_or_false
from histkit.util.arrays import Ints, Mask
from histkit.util.text import is_valid_unicode, quoted

Names = tuple[str, ...] | None
_Rows = TypeVar("_Rows", pa.Table, pa.RecordBatch)

NAME_CONDITIONS = ("voice", "speaker", "model", "source", "account")
CONDITION_COLUMNS: dict[str, tuple[str, ...]] = {
    "voice": ("voice_id", "voice_name"),
    "model": ("model_id",),
    "source": ("source",),
    "speaker": ("voice_id", "voice_name", "dialogue"),
    "text": ("text", "dialogue"),
    "after": ("date",),
    "before": ("date",),
    "account": ("account",),
}


@dataclass(frozen=True)
class RowFilter:
    """Conditions that a row must all meet; None means any.

    Attributes
    ----------
    voice, model, source, speaker, account : tuple of str or None
        As in `filter_items`; accounts by their exact names.
    text : re.Pattern or None
        Searched for in the text and in each line of a dialogue.
    after, before : int or None
        Seconds since 1970, inclusive and exclusive.
    """

    voice: Names = None
    model: Names = None
    source: Names = None
    speaker: Names = None
    account: Names = None
    text: re.Pattern[str] | None = None
    after: int | None = None
    before: int | None = None

    @classmethod
    def of(
        cls,
        *,
        voice: Any = None,
        model: Any = None,
        source: Any = None,
        speaker: Any = None,
        account: Any = None,
        text: Any = None,
        after: Any = None,
        before: Any = None,
        tz: Any = "UTC",
        regex: Any = True,
    ) -> RowFilter:
        """Return the filter for a user's arguments; raises `InputError`."""
        return cls(
            as_name_list(voice, "voice"),
            as_name_list(model, "model"),
            as_name_list(source, "source"),
            as_name_list(speaker, "speaker"),
            as_name_list(account, "account"),
            None if text is None else _pattern(text, true_or_false("regex", regex)),
            *date_range(after, before, zone_of(tz)),
        )

    def conditions(self) -> tuple[str, ...]:
        """Return the names of the conditions that are set."""
        return tuple(name for name in CONDITION_COLUMNS if getattr(self, name) is not None)

    def facts(self) -> dict[str, Any]:
        """Return the conditions that are set as plain values by name: dates in ISO 8601, a pattern as its text."""
        facts: dict[str, Any] = {}
        for name in self.conditions():
            value = getattr(self, name)
            if isinstance(value, int):
                facts[name] = iso_in_range(value, UTC)
            else:
                facts[name] = value.pattern if isinstance(value, re.Pattern) else [*value]
        return facts

    def columns(self) -> tuple[str, ...]:
        """Return the distinct columns that the conditions use."""
        return tuple(dict.fromkeys(column for name in self.conditions() for column in CONDITION_COLUMNS[name]))

    def mask(self, frame: pd.DataFrame) -> Mask:
        """Return a mask of the rows that meet the conditions.

        Raises
        ------
        SchemaError
            The frame lacks a column that a condition needs, or it holds something else.
        """
        mask: Mask = np.ones(len(frame), bool)
        for name, test in _TESTS.items():
            if getattr(self, name) is not None:
                mask &= test(frame, getattr(self, name))
        if self.after is not None or self.before is not None:
            mask &= _date_mask(frame, self.after, self.before)
        if self.text is not None:  # last, on the rows that are left: the one condition that looks at every row's text
            require(frame, ["text"], "the filter text=")
            texts = frame[[name for name in CONDITION_COLUMNS["text"] if name in frame.columns]]
            mask[np.flatnonzero(mask)] = _text_mask(rows_where(texts, mask), self.text)
        return mask

    def unmatched(self, known: KnownNames) -> list[str]:
        """Return a message for each name in the conditions that matches none of the names that occur."""
        return [
            problem
            for condition in NAME_CONDITIONS
            for name in getattr(self, condition) or ()
            if (problem := known.problem(condition, name)) is not None
        ]

    def has_names(self) -> bool:
        """Return whether a condition has names."""
        return any(getattr(self, condition) for condition in NAME_CONDITIONS)

    def single_names(self) -> bool:
        """Return whether no condition has several names: then each name matches if any row is left."""
        return all(len(getattr(self, condition) or ()) < 2 for condition in NAME_CONDITIONS)

    def select(self, rows: _Rows) -> _Rows:
        """Return the Arrow rows that meet the conditions."""
        if not self.conditions():
            return rows
        read = rows.select(list(self.columns()))
        table = read if isinstance(read, pa.Table) else pa.Table.from_batches([read])
        return rows.filter(pa.array(self.mask(to_frame(table))))


def filter_items(
    frame: pd.DataFrame,
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

    Parameters
    ----------
    frame : pandas.DataFrame
        A history; needs only the columns that the conditions use.
    voice : str or list of str, optional
        Ids or names of the row's own voice: exact id, or name in any letter case, full or the part before " - ". A
        dialogue has no voice of its own; see `speaker`.
    model, source : str or list of str, optional
        Model ids and sources, in any letter case.
    text : str or re.Pattern, optional
        Regular expression searched for in the text and in each line of a dialogue; a str ignores letter case. A search
        that takes too long is ended.
    after, before : str, date, datetime, Timestamp or int, optional
        Dates, after inclusive and before exclusive: ISO days and times (``2026-10-01``, ``2026-10-01T14:30Z``), the
        start of a span (``2026-10``, ``2026-Q3``, ``2026-W40``, ``2026``), ``today``, ``yesterday``, ``7d``, ``2w``,
        ``last month``, or whole seconds since 1970 (2015 to 2100). Everything else is refused.
    speaker : str or list of str, optional
        As `voice`, and also the dialogues in which such a voice speaks.
    tz : str or tzinfo, default "UTC"
        Zone of days and naive times in `after` and `before`, an IANA name.
    regex : bool, default True
        False: `text` is searched for as it is, in any letter case: ``filter(text="C++", regex=False)``.

    Returns
    -------
    pandas.DataFrame
        A new frame. ``attrs["histkit"]`` also has ``selection``, the conditions of this and earlier calls, and the
        number of ``rows``: a report says by them that it is on a part of a history.

    Raises
    ------
    InputError
        A regular expression or a date is invalid.
    SchemaError
        The frame lacks a column that a condition needs.

    Warns
    -----
    UserWarning
        A name matches no row, although there are rows; the line has the names that are close to it.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.sample_history(500)
    >>> rachel = hk.filter_items(df, voice="rachel")
    >>> rachel.voice_name.astype(str).unique().tolist()
    ['Rachel']
    """
    check_frame(frame, "filter_items()")
    conditions = RowFilter.of(
        voice=voice,
        model=model,
        source=source,
        speaker=speaker,
        text=text,
        after=after,
        before=before,
        tz=tz,
        regex=regex,
    )
    mask = conditions.mask(frame)
    if conditions.has_names() and len(frame) and not (conditions.single_names() and mask.any()):
        warn_unmatched(conditions.unmatched(known_names(frame, conditions)), stacklevel=2)
    selected = rows_where(frame, mask)
    if conditions.conditions():
        record_selection(selected, conditions.facts())
    return selected


def known_names(frame: pd.DataFrame, conditions: RowFilter, *, unused: bool = False) -> KnownNames:
    """Return the names that occur in the rows of a frame, as far as the conditions need them.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history.
    conditions : RowFilter
        Its names decide which columns are read.
    unused : bool
        Also the categories that no row has: pandas keeps those of the rows that were filtered out.
    """
    known = KnownNames()
    if conditions.voice or conditions.speaker:
        for column, place in (("voice_id", 0), ("voice_name", 1)):
            known.voices |= {
                (value, None) if place == 0 else (None, value) for value in _distinct(frame[column], unused)
            }
    if conditions.speaker:
        lines = flat_lines(frame["dialogue"])
        known.voices |= {(value, None) for value in pc.unique(lines.voice_ids).to_pylist() if value is not None}
        known.voices |= {(None, value) for value in pc.unique(lines.voice_names).to_pylist() if value is not None}
    for condition, column in (("model", "model_id"), ("source", "source"), ("account", "account")):
        if getattr(conditions, condition):
            getattr(known, f"{condition}s").update(_distinct(frame[column], unused))
    return known


def _distinct(column: pd.Series, unused: bool) -> list[str]:
    """Return the distinct values that rows have, or with `unused` also the categories without rows."""
    codes, values = factorize(column)
    counts = np.bincount(codes + 1, minlength=len(values) + 1)[1:]
    return [str(value) for value, count in zip(values, counts, strict=True) if count or unused]


def as_name_list(value: Any, name: str) -> Names:
    """Return an argument that is one string or several as a tuple; None means any."""
    if value is None:
        return None
    values = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (value,)
    for item in values:
        if not isinstance(item, str) or not is_valid_unicode(item):
            raise InputError(f"{name}= must be a string or a list of strings, not {quoted(item)}.")
    return values


def name_test(names: Iterable[str]) -> Callable[[str], bool]:
    """Return a predicate for voices that have one of some names: in any letter case, full or the part before " - "."""
    folded = {fold_name(name) for name in names}
    return lambda name: not folded.isdisjoint(voice_keys(name))


def _word_test(names: Iterable[str]) -> Callable[[str], bool]:
    folded = {fold_name(name) for name in names}
    return lambda name: fold_name(name) in folded


def _pattern(text: Any, regex: bool) -> re.Pattern[str]:
    if isinstance(text, re.Pattern) and isinstance(text.pattern, str):
        if not regex:
            raise InputError("regex=False takes text= as a str, not a compiled pattern.")
        return text
    if not isinstance(text, str):
        raise InputError(f"text= takes a regular expression, not {quoted(text)}.")
    try:
        return re.compile(text if regex else re.escape(text), re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(
            f"text={quoted(text)} is not a regular expression: {error}; with regex=False it is searched for as it is."
        ) from None


def _coded_mask(codes: Ints, values: Iterable[Any], test: Callable[[str], bool]) -> Mask:
    """Test each distinct value once; a missing value never passes."""
    passes = np.array([*(test(str(value)) for value in values), False], bool)
    mask: Mask = passes[codes]
    return mask


def _column_mask(column: pd.Series, test: Callable[[str], bool]) -> Mask:
    return _coded_mask(*factorize(column), test)


def _voice_mask(frame: pd.DataFrame, names: tuple[str, ...]) -> Mask:
    require(frame, CONDITION_COLUMNS["voice"], "the filter voice=")
    by_id = _column_mask(frame["voice_id"], names.__contains__)
    return by_id | _column_mask(frame["voice_name"], name_test(names))


def _speaker_mask(frame: pd.DataFrame, names: tuple[str, ...]) -> Mask:
    require(frame, CONDITION_COLUMNS["speaker"], "the filter speaker=")
    mask = _voice_mask(frame, names)
    lines = flat_lines(frame["dialogue"])
    ids, voice_names = pd.Series(lines.voice_ids.to_pylist()), pd.Series(lines.voice_names.fill_null("").to_pylist())
    spoken = _column_mask(ids, names.__contains__) | _column_mask(voice_names, name_test(names))
    mask[lines.rows[spoken]] = True
    return mask


def _model_mask(frame: pd.DataFrame, names: tuple[str, ...]) -> Mask:
    require(frame, CONDITION_COLUMNS["model"], "the filter model=")
    return _column_mask(frame["model_id"], _word_test(names))


def _source_mask(frame: pd.DataFrame, names: tuple[str, ...]) -> Mask:
    require(frame, CONDITION_COLUMNS["source"], "the filter source=")
    return _column_mask(frame["source"], _word_test(names))


def _account_mask(frame: pd.DataFrame, names: tuple[str, ...]) -> Mask:
    require(frame, CONDITION_COLUMNS["account"], "the filter account=")
    return _column_mask(frame["account"], names.__contains__)


_TESTS: dict[str, Callable[[pd.DataFrame, tuple[str, ...]], Mask]] = {
    "voice": _voice_mask,
    "speaker": _speaker_mask,
    "model": _model_mask,
    "source": _source_mask,
    "account": _account_mask,
}


def _date_mask(frame: pd.DataFrame, after: int | None, before: int | None) -> Mask:
    require(frame, ["date"], "filtering by date")
    instants, mask = instants_of(frame["date"])
    if after is not None:
        mask = mask & (instants >= to_micros(after))
    if before is not None:
        mask = mask & (instants < to_micros(before))
    return mask


def _text_mask(frame: pd.DataFrame, pattern: re.Pattern[str]) -> Mask:
    lines = flat_lines(frame["dialogue"]) if "dialogue" in frame.columns else None
    return text_mask(frame["text"], lines, pattern)


def text_mask(texts: pd.Series, lines: DialogueLines | None, pattern: re.Pattern[str]) -> Mask:
    """Return a mask of the rows in whose text, or in a line of whose dialogue, a pattern is found.

    Parameters
    ----------
    texts : pandas.Series
        The text of each row.
    lines : DialogueLines or None
        The lines of the dialogues among these rows.
    pattern : re.Pattern
        As for `histkit.frame.text_search.search_mask`.
    """
    mask = search_mask(texts, pattern)
    if lines is not None and len(lines.rows):
        spoken = pd.Series(pd.StringDtype("pyarrow").__from_arrow__(lines.texts.fill_null("")))
        few = FEW_FOR_WORDS if len(texts) >= FEW else FEW  # the texts needed the sets of characters already
        mask[lines.rows[search_mask(spoken, pattern, few=few)]] = True
    return mask
