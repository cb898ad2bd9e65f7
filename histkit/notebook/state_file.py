"""The file of an explorer's state: its filters, order, columns and ticks, written as they change."""

from __future__ import annotations

import atexit
import json
import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from histkit.errors import ArchiveError, HistkitError, InputError
from histkit.frame.columns import factorize_text, text_array
from histkit.notebook.filter_state import FilterState
from histkit.notebook.series import GROUPS
from histkit.notebook.service import CHANGES, Service
from histkit.notebook.sorting import SortKey
from histkit.util.arguments import whole_number
from histkit.util.arrays import Mask
from histkit.util.callers import warn_caller
from histkit.util.files import atomic_write, remove_temporary_files, resolve_file, shown_path
from histkit.util.storage import STDOUT, local_path
from histkit.util.text import count_noun, error_line, error_reason, quoted

VERSION = 1
_KIND = "histkit explorer"
_WAIT = 0.5  # seconds in which changes are gathered before they are written
_MOST_BYTES = 500_000_000
_WIDEST = 2_000  # pixels of a column
_ID, _ACCOUNT = "history_item_id", "account"
_EMPTY: tuple[Any, ...] = (None, "", False, [], [None, None])  # values of filters that are not set


class _Sort(msgspec.Struct):
    key: str
    descending: bool = False


class _Columns(msgspec.Struct):
    shown: list[str] = []
    widths: dict[str, int] = {}


class _Chart(msgspec.Struct):
    by: str | None = None
    freq: str | None = None
    measure: str | None = None


class _Ticked(msgspec.Struct):
    history_item_ids: list[str]
    account: str | None = None


class _Content(msgspec.Struct):
    kind: str
    version: int
    filters: dict[str, Any] = {}
    sort: list[_Sort] | None = None
    columns: _Columns = msgspec.field(default_factory=_Columns)
    chart: _Chart = msgspec.field(default_factory=_Chart)
    ticked: list[_Ticked] = []


@dataclass(frozen=True)
class _State:
    """What a file is written of: plain values and a copy of the ticks, so that it is written without the lock."""

    filters: dict[str, Any]
    sort: list[dict[str, Any]]
    columns: dict[str, Any]
    chart: dict[str, str]
    ticked: Mask


class StateFile:
    """Restores an explorer's state from a file, and writes it there shortly after each change and at the exit.

    Parameters
    ----------
    path : path-like
        The file; it is created with the first change.
    service : Service
        Whose state. What the file has is applied to it; `Service.notes` gets a line about what can't be.

    Raises
    ------
    InputError
        The file exists and is not the state of an explorer, or can't be read.
    """

    def __init__(self, path: str | os.PathLike[str], service: Service) -> None:
        self.path = local_path(path)
        if os.fspath(path) == STDOUT:
            raise InputError("state='-' is standard output, and a file is due here; a file of that name is ./-.")
        self._service = service
        self._absent: list[_Ticked] = []  # ticked rows that the frame lacks
        self._lock = threading.Lock()  # of the file
        self._changed, self._timer = False, threading.Lock()
        self._is_said = False
        key = str(self.path.absolute())
        earlier = _files.get(key)
        if earlier is not None:  # that of the same cell, run before
            earlier.flush()
        content = _read(self.path)
        self._seen = _signature(self.path)
        if content is not None:
            self._restore(content)
        _files[key] = self
        service.listen(self._on_event)

    def _on_event(self, event: dict[str, Any]) -> None:
        if event.get("event") not in CHANGES:
            return
        if event["event"] == "changed_ticks" and not event["ticked"]["count"]:
            self._absent = []  # untick all
        self._changed = True
        if self._timer.acquire(blocking=False):
            timer = threading.Timer(_WAIT, self._write_later)
            timer.daemon, timer.name = True, "histkit-state"
            timer.start()

    def _write_later(self) -> None:
        self._timer.release()
        self.flush()

    def flush(self) -> None:
        """Write the state if it has changed since it was written last. What goes wrong is said once, in the widget."""
        with self._lock:
            if not self._changed:
                return
            self._changed = False
            try:
                if _signature(self.path) != self._seen:
                    _read(self.path)  # raises if it is another's file by now
                _write(self.path, self._lines())
                self._seen = _signature(self.path)
                self._is_said = False
            except (HistkitError, OSError) as error:
                self._say(error)

    def _say(self, error: Exception) -> None:
        self._service.last_error = error
        if not self._is_said:
            self._is_said = True
            self._service.note(f"The state is not saved: {error_line(error, 400)} It stays as it is in this session.")

    def _lines(self) -> Iterator[str]:
        """Yield the parts of the file."""
        service = self._service
        with service.lock:
            selection = service.selection
            state = _State(
                {name: value for name, value in selection.filters.message(selection.tz).items() if value not in _EMPTY},
                [{"key": str(key.column), "descending": key.descending} for key in selection.sort],
                {"shown": list(service.shown), "widths": dict(service.widths)},
                dict(service.chart),
                selection.ticked.copy(),
            )
        head = {"kind": _KIND, "version": VERSION, "filters": state.filters, "sort": state.sort}
        yield json.dumps({**head, "columns": state.columns, "chart": state.chart}, indent=2, ensure_ascii=False)[:-2]
        yield ',\n  "ticked": ['
        groups = [*_ticked_ids(selection.frame, state.ticked), *self._absent]
        for place, group in enumerate(groups):
            ids = json.dumps(group.history_item_ids, ensure_ascii=False, separators=(",\n      ", ": "))[1:-1]
            account = "" if group.account is None else f'"account": {json.dumps(group.account, ensure_ascii=False)}, '
            yield f'{"," if place else ""}\n    {{{account}"history_item_ids": [\n      {ids}\n    ]}}'
        yield "\n  ]\n}\n" if groups else "]\n}\n"

    def _restore(self, content: _Content) -> None:
        service, name = self._service, shown_path(self.path)
        unknown = dict.fromkeys(
            key
            for key in (*content.columns.shown, *content.columns.widths, *(sort.key for sort in content.sort or ()))
            if key not in service.columns
        )
        chart = {name: value for name, value in msgspec.structs.asdict(content.chart).items() if value is not None}
        by = chart.get("by", GROUPS[0])
        if by not in GROUPS and not service.has_groups(by):
            del chart["by"]
            if by not in service.columns:
                unknown[by] = None
        try:
            filters = FilterState().changed(content.filters, service.selection.tz)
            widths = {
                key: whole_number("width", width, 1, _WIDEST)
                for key, width in content.columns.widths.items()
                if key not in unknown
            }
            chart = service.chart_choice(chart)[0]
        except InputError as error:
            raise InputError(f"{name} is not the state of an explorer: {error_line(error)}") from None
        sort = None
        if content.sort is not None:
            keys = {sort.key: sort.descending for sort in reversed(content.sort) if sort.key not in unknown}
            order = [sort.key for sort in content.sort if sort.key in keys]
            sort = [SortKey(service.columns[key].name, keys[key]) for key in dict.fromkeys(order)]
        ticked, self._absent = _find(service.selection.frame, content.ticked)
        service.restore(
            filters=filters,
            sort=sort,
            shown=[key for key in dict.fromkeys(content.columns.shown) if key not in unknown],
            widths=widths,
            chart=chart,
            ticked=ticked,
        )
        if unknown:
            one = len(unknown) == 1
            names = ", ".join(quoted(key, 40) for key in [*unknown][:5]) + (" and others" if len(unknown) > 5 else "")
            line = f"The history has no column{'' if one else 's'} {names}, which {name} names."
            warn_caller(line)
            service.note(line)
        gone = sum(len(group.history_item_ids) for group in self._absent)
        if gone:
            verb = "was" if gone == 1 else "were"
            service.note(f"{count_noun(gone, 'row')} that {verb} ticked: not in this history. {name} keeps the ticks.")


_files: weakref.WeakValueDictionary[str, StateFile] = weakref.WeakValueDictionary()  # by path


@atexit.register
def _flush_all() -> None:
    for file in list(_files.values()):
        file.flush()


def _signature(path: Path) -> tuple[int, ...] | None:
    """Return what changes when a file is written by somebody else; None if there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _read(path: Path) -> _Content | None:
    """Read a file of this module; return None if there is none.

    Raises
    ------
    InputError
        It is something else, or can't be read.
    """
    name, advice = shown_path(path), "use another file name, or delete it first"
    try:
        file = resolve_file(path)
        if not file.exists():
            return None
        if file.stat().st_size > _MOST_BYTES:
            raise InputError(f"{name} is too large for the state of an explorer; {advice}.")
        data = file.read_bytes()
    except ArchiveError as error:
        raise InputError(f"state: {error_line(error, 400)}") from None
    except OSError as error:
        raise InputError(f"{name} can't be read: {error_reason(error)}; use another file name.") from None
    try:
        content = msgspec.json.decode(data, type=_Content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{name} is not the state of an explorer ({error_line(error)}); {advice}.") from None
    if content.kind != _KIND:
        raise InputError(f"{name} is not the state of an explorer (kind={quoted(content.kind)}); {advice}.")
    if content.version != VERSION:
        raise InputError(
            f"{name} has version {content.version} of an explorer's state, and this histkit knows version {VERSION}; "
            "use another file name, or another histkit."
        )
    return content


def _write(path: Path, lines: Iterable[str]) -> None:
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)
    remove_temporary_files(resolve_file(path).parent, ".")


def _accounts(frame: pd.DataFrame) -> tuple[Any, list[str]] | None:
    """Return the code of each row's account, and the accounts; a missing one is an empty text."""
    if _ACCOUNT not in frame.columns:
        return None
    codes, names = factorize_text(frame[_ACCOUNT])
    return np.where(codes < 0, len(names), codes), [*names, ""]


def _ids(frame: pd.DataFrame) -> Any:
    if _ID not in frame.columns:
        return pa.nulls(len(frame), pa.large_string())
    return text_array(frame[_ID])


def _ticked_ids(frame: pd.DataFrame, ticked: Mask) -> Iterator[_Ticked]:
    """Yield the ids of the ticked rows by account; rows without an id are left out."""
    rows = np.flatnonzero(ticked)
    if not len(rows):
        return
    ids = _ids(frame).take(pa.array(rows))
    accounts = _accounts(frame)
    if accounts is None or not len(accounts[0]) or (accounts[0] == accounts[0][0]).all():
        groups: list[tuple[str | None, pa.Array]] = [(None, ids)]
    else:
        codes = accounts[0][rows]
        groups = [(name, ids.filter(pa.array(codes == code))) for code, name in enumerate(accounts[1])]
    for name, of_account in groups:
        distinct = of_account.drop_null().unique().to_pylist()
        if distinct:
            yield _Ticked(distinct, name)


def _find(frame: pd.DataFrame, groups: list[_Ticked]) -> tuple[Mask, list[_Ticked]]:
    """Return which rows have the ids of a file, and the ids that no row has.

    Ids without an account are those of any: they were saved of a history of one account.
    """
    ticked = np.zeros(len(frame), bool)
    absent: list[_Ticked] = []
    if not groups:
        return ticked, absent
    ids = _ids(frame)
    accounts = _accounts(frame)
    for group in groups:
        wanted = pa.array(group.history_item_ids, ids.type).unique()
        here = pc.is_in(ids, value_set=wanted, skip_nulls=True).to_numpy(zero_copy_only=False)
        if group.account is not None and accounts is not None:
            codes, names = accounts
            here = here & (codes == (names.index(group.account) if group.account in names else -1))
        ticked |= here
        lost = wanted.filter(pc.invert(pc.is_in(wanted, value_set=ids.filter(pa.array(here))))).to_pylist()
        if lost:
            absent.append(_Ticked(lost, group.account))
    return ticked, absent
