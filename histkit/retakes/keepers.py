"""Keepers: one take of each line, in the order of a script."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.filters import filter_items
from histkit.retakes.similarity import checked_near, nearest
from histkit.retakes.takes import AGE, oldest_first, plain_texts, takes, text_numbers
from histkit.util.arrays import Ints
from histkit.util.storage import local_path

if TYPE_CHECKING:
    from numpy.typing import NDArray


_LINE = "script_line"


def keepers(
    frame: pd.DataFrame,
    *,
    script: Any = None,
    keep: str | Iterable[str] = "last",
    near: float | None = None,
) -> pd.DataFrame:
    """Return the take that is kept of each line, in the order of the script.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one, as `histkit.takes` needs it.
    script : path-like, list of str, or DataFrame, optional
        What is to be said, line by line: a text file (UTF-8, one line of the script per line, blank ones don't count),
        the texts, or a frame with the column ``text`` and, if lines are for one voice alone, ``voice`` (name or id).
        Default: none; lines are in the order in which each was first generated.
    keep, near
        As in `histkit.takes`; with `near`, a line of the script that nobody said as it stands is looked for among
        texts that are nearly the same, the likest first.

    Returns
    -------
    pandas.DataFrame
        Rows of the frame with all its columns, on its index, and with a script ``script_line`` (Int64, from 1). A line
        that several voices said has a row for each; one that stands in the script twice has its rows twice.
        ``attrs["histkit"]`` has, beside the frame's own facts, ``lines`` (of the script), ``missing_lines`` (their
        numbers), ``lines_of_several_voices`` (their numbers) and ``not_in_script`` (how many keepers are in no line).

    Raises
    ------
    InputError
        A script that can't be read, or that has no line; arguments that `histkit.takes` refuses.
    SchemaError
        The frame lacks a column.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.sample_history(2000)
    >>> script = df["text"].dropna().drop_duplicates().head(3).tolist()
    >>> kept = hk.keepers(df, script=[*script, "Nobody ever said this."])
    >>> kept["script_line"].drop_duplicates().tolist(), kept.attrs["histkit"]["missing_lines"]
    ([1, 2, 3], [4])
    """
    likeness = checked_near(near)
    wanted = None if script is None else _parse_script(script)
    found = takes(frame, keep=keep, near=near)
    first, kept, codes = _picked(found)
    facts = frame.attrs.get("histkit")
    told: dict[str, Any] = dict(facts) if isinstance(facts, Mapping) else {}
    if wanted is None:
        age = frame[[name for name in AGE if name in frame.columns]].iloc[first]
        result = frame.iloc[kept[oldest_first(age, np.zeros(len(first), np.uint64))]]
        told |= {"lines": len(first)}
    else:
        matches = _matches(frame, codes, kept, wanted, likeness)
        rows, lines = kept[matches["code"]], matches[_LINE].to_numpy()
        result = frame.iloc[rows].assign(**{_LINE: pd.array(lines + 1, "Int64")})
        numbers, counts = np.unique(lines, return_counts=True)
        told |= {
            "lines": len(wanted),
            "missing_lines": (np.setdiff1d(np.arange(len(wanted)), numbers) + 1).tolist(),
            "lines_of_several_voices": (numbers[counts > 1] + 1).tolist(),
            "not_in_script": len(np.setdiff1d(kept, rows)),
        }
    result.attrs["histkit"] = told
    return result


def _picked(found: pd.DataFrame) -> tuple[Ints, Ints, Ints]:
    """Give the positions of the first take and of the keeper of each line, and the line of each row.

    A row of no line is a line of its own.
    """
    codes = pd.factorize(found["line"])[0].astype(np.int64)
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.sum())
    sizes = int(codes.max(initial=-1)) + 1
    first, kept = np.empty(sizes, np.int64), np.empty(sizes, np.int64)
    for places, chosen in ((first, found["take"].eq(1)), (kept, found["keeper"])):
        rows = np.flatnonzero(chosen.to_numpy(bool))
        places[codes[rows]] = rows
    return first, kept, codes


def _matches(
    frame: pd.DataFrame, codes: Ints, kept: Ints, script: list[tuple[str, str | None]], near: float | None
) -> pd.DataFrame:
    """Give the pairs of a line of the script (from 0) and a line of the takes that says it."""
    numbers, said = text_numbers(frame["text"])
    spoken = pd.DataFrame({"number": numbers[said], "code": codes[said], "row": np.flatnonzero(said)})
    spoken = spoken.drop_duplicates(["number", "code"])
    texts = pd.Series([text for text, _ in script], dtype=object)
    asked = pd.DataFrame({"number": text_numbers(texts)[0], _LINE: np.arange(len(script))})
    matches = [_of_voices(frame, asked.merge(spoken, on="number"), kept, script)]
    if near is not None:
        left = np.setdiff1d(asked[_LINE], matches[0][_LINE])
        said_texts, left_texts = plain_texts(frame["text"].iloc[spoken["row"]]), plain_texts(texts.iloc[left])
        for voice in dict.fromkeys(script[line][1] for line in left.tolist()):
            here = _rows_of(frame, voice)[kept[spoken["code"]]].nonzero()[0]
            own = [place for place, line in enumerate(left.tolist()) if script[line][1] == voice]
            found = nearest([left_texts[place] for place in own], [said_texts[place] for place in here.tolist()], near)
            pairs = [
                (left[own[asking]], spoken["code"].iloc[here[each]]) for asking, places in found for each in places
            ]
            matches.append(pd.DataFrame(pairs, columns=[_LINE, "code"], dtype=np.int64))
    together = pd.concat([each[[_LINE, "code"]] for each in matches], ignore_index=True).drop_duplicates()
    return together.assign(row=kept[together["code"]]).sort_values([_LINE, "row"], ignore_index=True)


def _of_voices(
    frame: pd.DataFrame, matches: pd.DataFrame, kept: Ints, script: list[tuple[str, str | None]]
) -> pd.DataFrame:
    """Keep the matches whose voice is the one that the script wants."""
    fits = np.ones(len(matches), bool)
    voices = np.array([script[line][1] for line in matches[_LINE]], dtype=object)
    for voice in {each for each in voices if each is not None}:
        own = voices == voice
        fits[own] = _rows_of(frame, voice)[kept[matches["code"][own]]]
    return matches[fits]


def _rows_of(frame: pd.DataFrame, voice: str | None) -> NDArray[np.bool_]:
    if voice is None:
        return np.ones(len(frame), bool)
    mask = np.zeros(len(frame), bool)
    mask[filter_items(frame.set_axis(range(len(frame))), voice=voice).index] = True
    return mask


def _parse_script(script: Any) -> list[tuple[str, str | None]]:
    """Read a script: the text of each line, and its voice where it has one."""
    if isinstance(script, pd.DataFrame):
        if "text" not in script.columns:
            raise InputError("script= is a frame without the column 'text'.")
        voices = script["voice"] if "voice" in script.columns else pd.Series(None, script.index, dtype=object)
        lines = [(text, voice) for text, voice in zip(script["text"], voices, strict=True)]
    elif isinstance(script, (str, os.PathLike)):
        try:
            text = local_path(script).read_text("utf-8-sig")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise InputError(f"script={str(script)!r:.80} can't be read: {reason}; or give a list of texts.") from None
        lines = [(line, None) for line in text.split("\n") if line.strip()]
    else:
        lines = [(text, None) for text in script] if isinstance(script, Iterable) else []
    for number, (text, voice) in enumerate(lines, 1):
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"script=: line {number} is {text!r:.40}, not a text that says something.")
        if voice is not None and not (pd.api.types.is_scalar(voice) and pd.isna(voice)) and not isinstance(voice, str):
            raise InputError(f"script=: the voice of line {number} is {voice!r:.40}; give a name or an id.")
    if not lines:
        raise InputError("script= has no line; give a text file, a list of texts, or a frame with the column 'text'.")
    return [(text, voice if isinstance(voice, str) else None) for text, voice in lines]
