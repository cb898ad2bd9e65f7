"""Keepers: one take of each line, in the order of a script."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.columns import plain_values
from histkit.frame.filters import filter_items
from histkit.frame.schema import check_frame
from histkit.retakes.similarity import checked_near, nearest
from histkit.retakes.takes import AGE, account_codes, oldest_first, plain_texts, takes, text_numbers
from histkit.util.arrays import Ints, Mask
from histkit.util.storage import local_path
from histkit.util.text import quoted

ScriptLine = tuple[str, str | None]  # text and voice
_LINE = "script_line"


def keepers(
    frame: pd.DataFrame,
    *,
    script: Any = None,
    keep: Literal["last", "first"] | Iterable[str] = "last",
    near: float | None = None,
    across_accounts: bool = False,
) -> pd.DataFrame:
    """Return the take that is kept of each line, in the order of the script.

    Each account has its own lines, and says its own lines of the script.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one, as `histkit.takes` needs it.
    script : path-like, list of str, or DataFrame, optional
        The lines to be spoken: a text file (UTF-8, one line of the script per line, blank lines are ignored), a list of
        texts, or a frame with the column ``text`` and optionally ``voice`` (name or id), for lines of one voice only.
        Default: none; lines are in the order in which each was first generated.
    keep, near, across_accounts
        As in `histkit.takes`; with `near`, a line of the script without an exact match is matched with the most similar
        texts.

    Returns
    -------
    pandas.DataFrame
        Rows of the frame with all its columns and its index, and with a script ``script_line`` (Int64, from 1). A line
        spoken by several voices, or in several accounts, has a row for each; a line that is twice in the script has its
        rows twice. ``attrs["histkit"]`` has the facts of the frame, ``lines`` (number of lines of the script),
        ``missing_lines`` (of all accounts), ``lines_of_several_voices`` (in one account) and
        ``lines_of_several_accounts`` (line numbers), and ``not_in_script`` (number of keepers in no line).

    Raises
    ------
    InputError
        The script can't be read or has no line; an argument that `histkit.takes` refuses.
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
    lines = None if script is None else parse_script(script)
    takes_of_frame = takes(frame, keep=keep, near=near, across_accounts=across_accounts)
    accounts = account_codes(frame, across_accounts=across_accounts)
    first, kept, codes = _first_and_kept(takes_of_frame)
    attrs = frame.attrs.get("histkit")
    facts: dict[str, Any] = dict(attrs) if isinstance(attrs, Mapping) else {}
    if lines is None:
        age = frame[[name for name in AGE if name in frame.columns]].iloc[first]
        result = frame.iloc[kept[oldest_first(age, np.zeros(len(first), np.uint64))]]
        facts |= {"lines": len(first)}
    else:
        matches = _matches(frame, codes, kept, accounts, lines, likeness)
        rows, numbers = kept[matches["code"]], matches[_LINE].to_numpy()
        result = frame.iloc[rows].assign(**{_LINE: pd.array(numbers + 1, "Int64")})
        in_accounts = matches.assign(account=accounts[rows]).groupby([_LINE, "account"]).size()
        voices, several = in_accounts.groupby(_LINE).max(), in_accounts.groupby(_LINE).size()
        facts |= {
            "lines": len(lines),
            "missing_lines": (np.setdiff1d(np.arange(len(lines)), numbers) + 1).tolist(),
            "lines_of_several_voices": (voices.index[voices > 1] + 1).tolist(),
            "lines_of_several_accounts": (several.index[several > 1] + 1).tolist(),
            "not_in_script": len(np.setdiff1d(kept, rows)),
        }
    result.attrs["histkit"] = facts
    return result


def _first_and_kept(takes_of_frame: pd.DataFrame) -> tuple[Ints, Ints, Ints]:
    """Return the positions of the first take and of the keeper of each line, and the line of each row.

    A row that says nothing counts as a line.
    """
    codes = pd.factorize(takes_of_frame["line"])[0].astype(np.int64)
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.sum())
    size = int(codes.max(initial=-1)) + 1
    first, kept = np.empty(size, np.int64), np.empty(size, np.int64)
    for places, chosen in ((first, takes_of_frame["take"].eq(1)), (kept, takes_of_frame["keeper"])):
        rows = np.flatnonzero(chosen.to_numpy(bool))
        places[codes[rows]] = rows
    return first, kept, codes


def _matches(
    frame: pd.DataFrame, codes: Ints, kept: Ints, accounts: Ints, script: list[ScriptLine], near: float | None
) -> pd.DataFrame:
    """Return the pairs of a line of the script (from 0) and a line of the takes that says it."""
    numbers, has_text = text_numbers(frame["text"])
    spoken = pd.DataFrame({"number": numbers[has_text], "code": codes[has_text], "row": np.flatnonzero(has_text)})
    spoken = spoken.drop_duplicates(["number", "code"])
    texts = pd.Series([text for text, _ in script], dtype=object)
    lines = pd.DataFrame({"number": text_numbers(texts)[0], _LINE: np.arange(len(script))})
    matches = [_of_voices(frame, lines.merge(spoken, on="number"), kept, script)]
    if near is not None:
        for _, of_account in spoken.groupby(accounts[spoken["row"]]):
            exact = matches[0].loc[matches[0]["row"].isin(of_account["row"]), _LINE]
            unmatched = np.setdiff1d(lines[_LINE], exact)
            matches += _similar_matches(frame, of_account, kept, script, unmatched, near)
    together = pd.concat([pairs[[_LINE, "code"]] for pairs in matches], ignore_index=True).drop_duplicates()
    return together.assign(row=kept[together["code"]]).sort_values([_LINE, "row"], ignore_index=True)


def _similar_matches(
    frame: pd.DataFrame, spoken: pd.DataFrame, kept: Ints, script: list[ScriptLine], unmatched: Ints, near: float
) -> list[pd.DataFrame]:
    """Return, for each voice in the script, the pairs of an unmatched line and the most similar spoken texts."""
    spoken_texts = plain_texts(frame["text"].iloc[spoken["row"]])
    script_texts = plain_texts(pd.Series([script[line][0] for line in unmatched.tolist()], dtype=object))
    matches = []
    for voice in dict.fromkeys(script[line][1] for line in unmatched.tolist()):
        places = [place for place, line in enumerate(unmatched.tolist()) if script[line][1] == voice]
        candidates = _rows_of(frame, voice)[kept[spoken["code"]]].nonzero()[0]
        similar = nearest(
            [script_texts[place] for place in places], [spoken_texts[place] for place in candidates.tolist()], near
        )
        pairs = [
            (unmatched[places[number]], spoken["code"].iloc[candidates[best]])
            for number, bests in similar
            for best in bests
        ]
        matches.append(pd.DataFrame(pairs, columns=[_LINE, "code"], dtype=np.int64))
    return matches


def _of_voices(frame: pd.DataFrame, matches: pd.DataFrame, kept: Ints, script: list[ScriptLine]) -> pd.DataFrame:
    """Return the matches spoken by the voice of their line of the script, if it has one."""
    fits = np.ones(len(matches), bool)
    voices = np.array([script[line][1] for line in matches[_LINE]], dtype=object)
    for voice in {voice for voice in voices if voice is not None}:
        of_voice = voices == voice
        fits[of_voice] = _rows_of(frame, voice)[kept[matches["code"][of_voice]]]
    return matches[fits]


def _rows_of(frame: pd.DataFrame, voice: str | None) -> Mask:
    if voice is None:
        return np.ones(len(frame), bool)
    mask = np.zeros(len(frame), bool)
    mask[filter_items(frame.set_axis(range(len(frame))), voice=voice).index] = True
    return mask


def parse_script(script: Any) -> list[ScriptLine]:
    """Return the text of each line of a script, and its voice if it has one.

    Parameters
    ----------
    script : path-like, iterable of str or DataFrame
        As in `keepers`.

    Raises
    ------
    InputError
        The script can't be read, or it has no line.
    """
    if isinstance(script, pd.DataFrame):
        lines = _lines_of_frame(script)
    elif isinstance(script, (str, os.PathLike)):
        lines = [(line, None) for line in _read_text(script).split("\n") if line.strip()]
    else:
        lines = [(text, None) for text in script] if isinstance(script, Iterable) else []
    if not lines:
        raise InputError("script= has no line; use a text file, a list of strings, or a frame with the column 'text'.")
    return [_checked_line(number, text, voice) for number, (text, voice) in enumerate(lines, 1)]


def _lines_of_frame(script: pd.DataFrame) -> list[tuple[Any, Any]]:
    check_frame(script, "the script")
    if "text" not in script.columns:
        raise InputError("script= is a frame without the column 'text'.")
    voices = plain_values(script["voice"]) if "voice" in script.columns else [None] * len(script)
    return list(zip(script["text"], voices, strict=True))


def _read_text(path: str | os.PathLike[str]) -> str:
    try:
        return local_path(path).read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"script={quoted(str(path))} can't be read: {reason}; or pass a list of strings.") from None


def _checked_line(number: int, text: Any, voice: Any) -> ScriptLine:
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"script=: line {number} is {quoted(text, 40)}, not a non-empty text.")
    if voice is not None and not isinstance(voice, str):
        raise InputError(f"script=: the voice of line {number} is {quoted(voice, 40)}; use a name or an id.")
    return text, voice
