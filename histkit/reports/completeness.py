"""Why a statement of a period is provisional: what its rows or their history may lack."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from histkit.archive.load import load
from histkit.archive.manifest import HistoryManifest, read_manifest
from histkit.errors import ArchiveError, HistkitError
from histkit.frame.clock import SECOND, iso
from histkit.frame.columns import factorize_text, text_array
from histkit.util.arrays import Ints, Mask
from histkit.util.storage import ReadStore
from histkit.util.text import count_noun, quoted

LATE_SECONDS = 900  # rows appear in the service's history up to this time after they were made


@dataclass(frozen=True)
class HistoryState:
    """What is known of the history that a frame holds.

    Attributes
    ----------
    folder : Path or None
        The local history's folder, if the frame comes from one that is still there.
    incomplete : bool
        Whether the history was not read to its end.
    read_at : dict of str to int
        When each account was synced or read, in seconds since 1970; the account without a name is ``""``.
    verb : {"synced", "read"}
        Which of the two.
    """

    folder: Path | None
    incomplete: bool
    read_at: dict[str, int]
    verb: str = "synced"


def history_state(frame: pd.DataFrame) -> HistoryState:
    """Return what a frame's ``attrs`` and its folder's manifest say; a fact that can't be checked is not used."""
    facts = frame.attrs.get("histkit")
    facts = facts if isinstance(facts, Mapping) else {}
    incomplete = facts.get("complete") is False
    fetched = _seconds(facts.get("fetched_at"))
    folder, manifest = _folder_of(facts)
    if manifest is None:
        return HistoryState(None, incomplete, {} if fetched is None else {"": fetched}, "read")
    loaded, loaded_at = facts.get("accounts"), _seconds(facts.get("synced_at"))
    read_at = {}
    for name, account in manifest.accounts.items():
        known = _seconds(loaded.get(name)) if isinstance(loaded, Mapping) else None
        moments = _seconds(account.synced_at), known if known is not None else loaded_at
        read_at[name] = min((moment for moment in moments if moment is not None), default=0)
    return HistoryState(folder, incomplete, read_at)


def _folder_of(facts: Mapping[str, Any]) -> tuple[Path | None, HistoryManifest | None]:
    path = facts.get("path")
    if not isinstance(path, str) or "://" in path or not Path(path).is_absolute():
        return None, None
    try:
        manifest = read_manifest(ReadStore(path))
    except ArchiveError:
        return None, None
    return (None, None) if manifest is None else (Path(path), manifest)


def _seconds(moment: Any) -> int | None:
    if not isinstance(moment, str) or not moment:
        return None
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return int(parsed.timestamp()) if parsed.tzinfo is not None else None


def history_reasons(
    frame: pd.DataFrame, state: HistoryState, start: int, end: int, zone: tzinfo, instants: Ints, dated: Mask
) -> list[str]:
    """Return why the frame may not have all rows of a period.

    Parameters
    ----------
    frame : pandas.DataFrame
        The complete frame.
    state : HistoryState
        Of this frame.
    start, end : int
        The period in seconds since 1970; the end is exclusive.
    zone : tzinfo
        Zone of the dates in the reasons.
    instants : int64 array
        Date of each row in microseconds.
    dated : bool array
        Which rows have one.
    """
    reasons = []
    if state.incomplete:
        reasons.append("the history was not read to its end: rows may be missing")
    for name, moment, rows in _accounts(frame, state, dated):
        whose = f"account {quoted(name, 60)}" if name else "the history"
        if moment is not None:
            if moment < end + LATE_SECONDS:
                when = "before the end of the period" if moment < end else "less than 15 minutes after the period"
                reasons.append(f"{whose} was {state.verb} {iso(moment, zone)}, {when}: later rows are not included")
            continue
        newest = int(instants[rows].max()) // SECOND if rows.any() else None
        if newest is None or newest < end:
            row = "it has no dated row" if newest is None else f"its newest row is of {iso(newest, zone)}"
            reasons.append(f"when {whose} was read is not known, and {row}: later rows are not included")
    return reasons + _lacking_rows(frame, state, start, end, instants, dated)


def _accounts(frame: pd.DataFrame, state: HistoryState, dated: Mask) -> Iterator[tuple[str, int | None, Mask]]:
    """Yield the name of each account in the frame, when it was read, and its dated rows."""
    if "account" not in frame.columns:
        yield "", min(state.read_at.values(), default=None), dated
        return
    if frame.empty and state.read_at:
        for name, moment in sorted(state.read_at.items()):
            yield name, moment, dated
        return
    codes, names = factorize_text(frame["account"])
    for code, name in [*enumerate(names), (-1, "")]:
        rows = codes == code
        if rows.any() or not len(frame):
            of_all = state.read_at.get("") if state.verb == "read" else None
            yield name, state.read_at.get(name, of_all), rows & dated


def _lacking_rows(
    frame: pd.DataFrame, state: HistoryState, start: int, end: int, instants: Ints, dated: Mask
) -> list[str]:
    """Return whether the frame lacks rows of the period that the history in its folder has."""
    if state.folder is None or "history_item_id" not in frame.columns:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of the same history were shown when the frame was read
            stored = load(state.folder, columns=["history_item_id", "account"], after=start, before=end)
    except HistkitError as error:
        return [f"the history in {state.folder} can't be compared: {str(error).rstrip('.')}"]
    if "account" in frame.columns:
        stored = stored[stored["account"].isna() | stored["account"].isin(frame["account"].dropna().unique())]
    rows = frame["history_item_id"][dated & (instants >= start * SECOND) & (instants < end * SECOND)]
    here = pc.is_in(text_array(stored["history_item_id"]), value_set=text_array(rows))  # pandas' isin takes seconds
    lacking = len(stored) - (pc.sum(here).as_py() or 0)
    if not lacking:
        return []
    return [
        f"the frame lacks {count_noun(lacking, 'row')} of the {len(stored):,} that the history has in this period: "
        "load it again, and filter nothing"
    ]


def row_reasons(undated: int, processing: int, twice: int) -> list[str]:
    """Return why the rows of one client may change; `twice` have the id of a row of another account."""
    reasons = []
    if undated:
        has = "has no date and is" if undated == 1 else "have no date and are"
        reasons.append(f"{count_noun(undated, 'row')} {has} in no period")
    if processing:
        reasons.append(f"{count_noun(processing, 'row')} {'is' if processing == 1 else 'are'} still processing")
    if twice:
        reasons.append(
            f"{count_noun(twice, 'row')} {'is' if twice == 1 else 'are'} there under two accounts, as after one got "
            "another name: leave out those of one account"
        )
    return reasons
