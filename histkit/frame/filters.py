"""Which rows: one set of conditions, applied to Arrow pages while reading and to frames afterwards, with one meaning.

A voice is matched by its exact id, or by its name in any letter case: the whole name, or what stands before " - " in
the service's modern names ("Roger" finds "Roger - Laid-Back, Casual, Resonant").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from histkit.errors import InputError
from histkit.frame.dates import _micros, as_unix, instants_of
from histkit.frame.schema import require
from histkit.frame.text_search import search_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray


Names = tuple[str, ...] | None


@dataclass(frozen=True)
class RowFilter:
    """Conditions on voice, model, source and text; None means any."""

    voices: Names = None
    models: Names = None
    sources: Names = None
    contains: str | None = None

    @classmethod
    def of(cls, *, voice: Any = None, model: Any = None, source: Any = None) -> RowFilter:
        """Make a selection of user's arguments: one value or several."""
        return cls(as_name_list(voice, "voice"), as_name_list(model, "model"), as_name_list(source, "source"))

    def empty(self) -> bool:
        """Tell whether every row meets the conditions."""
        return self == RowFilter()

    def of_batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Keep the rows of an Arrow batch that meet the conditions."""
        masks = []
        if self.voices is not None:
            ids = _batch_mask(batch.column("voice_id"), self.voices.__contains__)
            masks.append(ids | _batch_mask(batch.column("voice_name"), name_test(self.voices)))
        if self.models is not None:
            masks.append(_batch_mask(batch.column("model_id"), self.models.__contains__))
        if self.sources is not None:
            masks.append(_batch_mask(batch.column("source"), _source_test(self.sources)))
        if self.contains is not None:
            test = re.compile(re.escape(self.contains), re.IGNORECASE).search
            texts, lines = batch.column("text").to_pylist(), batch.column("dialogue").to_pylist()
            masks.append(np.array([_spoken_test(test, *pair) for pair in zip(texts, lines, strict=True)], bool))
        return batch.filter(pa.array(np.logical_and.reduce(masks))) if masks else batch


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
) -> pd.DataFrame:
    """Keep the rows that meet every condition, in their order and on their index.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history; needs only the columns of the conditions that are given.
    voice : str or list of str, optional
        Ids or names of the row's own voice: exact id, or name in any letter case, whole or the part before " - ". A
        dialogue has no voice of its own; see `speaker`.
    model, source : str or list of str, optional
        Model ids; sources in any letter case.
    text : str or re.Pattern, optional
        Regular expression searched for in the text and in each line of a dialogue; a str ignores letter case.
    after, before : str, datetime, Timestamp or int, optional
        Dates: after is inclusive, before exclusive; a naive one is UTC, a number is seconds since 1970.
    speaker : str or list of str, optional
        As `voice`, and also the dialogues in which such a voice speaks.

    Returns
    -------
    pandas.DataFrame
        A new frame.

    Raises
    ------
    InputError
        A broken expression or date.
    SchemaError
        The frame lacks a column that a condition needs.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.sample_history(500)
    >>> rachel = hk.filter_items(df, voice="rachel")
    >>> rachel.voice_name.astype(str).unique().tolist()
    ['Rachel']
    """
    mask: NDArray[np.bool_] = np.ones(len(frame), bool)
    if voice is not None:
        mask &= _voice_mask(frame, as_name_list(voice, "voice") or (), "voice=")
    if speaker is not None:
        wanted = as_name_list(speaker, "speaker") or ()
        mask &= _voice_mask(frame, wanted, "speaker=") | _speaker_mask(frame, wanted)
    if model is not None:
        require(frame, ["model_id"], "the filter model=")
        mask &= _column_mask(frame["model_id"], (as_name_list(model, "model") or ()).__contains__)
    if source is not None:
        require(frame, ["source"], "the filter source=")
        mask &= _column_mask(frame["source"], _source_test(as_name_list(source, "source") or ()))
    if after is not None or before is not None:
        require(frame, ["date"], "filtering by date")
        first = None if after is None else as_unix(after, "after")
        end = None if before is None else as_unix(before, "before")
        if first is not None and end is not None and first > end:
            raise InputError(f"after={after!r} is later than before={before!r}.")
        instants, known = instants_of(frame["date"])
        mask &= known
        mask &= True if first is None else instants >= _micros(first)
        mask &= True if end is None else instants < _micros(end)
    if text is not None:  # last, on what is left: the one condition that looks at every row's text
        left = np.flatnonzero(mask)
        mask[left] = _text_mask(frame.iloc[left], _pattern(text))
    return frame[mask]


def as_name_list(value: Any, name: str) -> Names:
    """Check a user's argument: a text or several; None means any."""
    if value is None:
        return None
    values = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (value,)
    for each in values:
        if not isinstance(each, str):
            raise InputError(f"{name}= takes a text or a list of texts, not {each!r}.")
    return values


def name_test(wanted: Sequence[str]) -> Callable[[str], bool]:
    """Make the test whether a voice's name is one of some names: in any letter case, whole or the part before " - "."""
    folded = {each.casefold() for each in wanted}
    return lambda name: name.casefold() in folded or name.casefold().split(" - ")[0].strip() in folded


def _source_test(wanted: Sequence[str]) -> Callable[[str], bool]:
    folded = {each.casefold() for each in wanted}
    return lambda source: source.casefold() in folded


def _spoken_test(
    test: Callable[[str], object], text: str | None, lines: Iterable[dict[str, str | None]] | None
) -> bool:
    return bool(text is not None and test(text)) or any(bool(test(line.get("text") or "")) for line in lines or ())


def _batch_mask(column: pa.DictionaryArray, test: Callable[[str], bool]) -> NDArray[np.bool_]:
    table = np.array([*map(test, column.dictionary.to_pylist()), False], bool)
    mask: NDArray[np.bool_] = table[column.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    return mask


def _column_mask(column: pd.Series, test: Callable[[str], bool]) -> NDArray[np.bool_]:
    if not isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype("category")
    table = np.array([*(test(str(each)) for each in column.cat.categories), False], bool)
    mask: NDArray[np.bool_] = table[column.cat.codes.to_numpy()]
    return mask


def _voice_mask(frame: pd.DataFrame, wanted: Sequence[str], purpose: str) -> NDArray[np.bool_]:
    require(frame, ["voice_id", "voice_name"], f"the filter {purpose}")
    by_id = _column_mask(frame["voice_id"], wanted.__contains__)
    return by_id | _column_mask(frame["voice_name"], name_test(wanted))


def _speaker_mask(frame: pd.DataFrame, wanted: Sequence[str]) -> NDArray[np.bool_]:
    require(frame, ["dialogue"], "the filter speaker=")
    by_name = name_test(wanted)
    mask = np.zeros(len(frame), bool)
    dialogue = frame["dialogue"]
    for row in np.flatnonzero(dialogue.notna().to_numpy()):
        mask[row] = any(line["voice_id"] in wanted or by_name(line["voice_name"] or "") for line in dialogue.iloc[row])
    return mask


def _text_mask(frame: pd.DataFrame, pattern: re.Pattern[str]) -> NDArray[np.bool_]:
    require(frame, ["text"], "the filter text=")
    mask = search_mask(frame["text"], pattern)
    if "dialogue" in frame.columns:
        dialogue = frame["dialogue"]
        for row in np.flatnonzero(dialogue.notna().to_numpy()):
            mask[row] = mask[row] or _spoken_test(pattern.search, None, dialogue.iloc[row])
    return mask


def _pattern(text: str | re.Pattern[str]) -> re.Pattern[str]:
    if isinstance(text, re.Pattern):
        return text
    if not isinstance(text, str):
        raise InputError(f"text= takes a regular expression, not {text!r}.")
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise InputError(
            f"text={text!r} is not a regular expression: {error}; re.escape() makes one of any text."
        ) from None
