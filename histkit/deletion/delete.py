"""Deleting history items: shown first, written down before it is asked for, and done row by row."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from histkit.api.client import HistoryClient, borrowed_client, check_client
from histkit.archive.manifest import read_manifest
from histkit.archive.tombstones import mark_deleted
from histkit.deletion.journal import Journal
from histkit.deletion.plan import DeletionPlan, Found, Json, plan_deletion, price_of, rows_of
from histkit.deletion.request import delete_item
from histkit.errors import ApiError, ArchiveError, InputError
from histkit.util.progress import in_notebook, progress_bar
from histkit.util.storage import ReadStore, normalize_path
from histkit.util.text import error_line

_STATUSES = ("deleted", "gone", "kept", "failed", "pending")
_MOST_BROKEN = 5  # rows in a row without an answer, after which the service counts as out of reach


def delete(
    items: pd.DataFrame | pd.Series,
    *,
    confirm: bool = False,
    only_verified: str | os.PathLike[str] | None = None,
    history: str | os.PathLike[str] | bool | None = None,
    journal: str | os.PathLike[str] = "data/deleted.jsonl",
    progress: bool | None = None,
    client: HistoryClient | None = None,
) -> pd.DataFrame:
    """Delete history items for good, text and audio; without ``confirm=True`` only say what would be deleted.

    Each row is written into a journal with all its columns before it is asked for, and what came of it after. Rows of a
    local history stay there, marked as deleted.

    Parameters
    ----------
    items : DataFrame or Series
        A history with ``history_item_id``, or a Series of ids. Deleted in the order of the rows, each id once.
    confirm : bool
        Must be True for anything to be deleted. Otherwise no request is made and nothing is written.
    only_verified : path-like or str, optional
        A folder of `download_audio`: only rows are deleted that have a file there whose bytes, which are read and
        hashed again, are those that were pulled.
    history : path-like, str or False, optional
        Local history (of `sync`) in which the rows are marked: ``state`` is ``deleted``, ``missing_since`` is set.
        Default: the one that the frame was loaded from, where it says so. False: none.
    journal : path-like or str, default "data/deleted.jsonl"
        JSON lines that are added to; the folder is made.
    progress : bool, optional
        Show a bar and a line of what was or would be done; default: the bar in notebooks and on terminals, the line
        always.
    client : HistoryClient, optional
        Default: one made of the environment. Its key needs the scope ``speech_history_write``.

    Returns
    -------
    DataFrame
        On the index of `items`: ``history_item_id``, ``status``, ``path`` (the verified file, relative to
        `only_verified`), ``credits`` (Int64, what the row cost; missing where unknown), ``error`` (one line). Without
        `confirm` the status is ``would delete`` or ``kept`` (no verified file); otherwise ``deleted``, ``gone`` (it was
        not there any more: as good), ``kept``, ``failed``, or ``pending`` (not asked for: the service went out of
        reach). ``attrs["histkit"]`` has ``dry_run``, ``counts`` (status to ids), ``credits`` (of what was or would be
        deleted, as far as known) and ``credits_unknown`` (rows), ``journal``, ``history``, ``marked`` (rows),
        ``interrupted``.

    Raises
    ------
    InputError
        A row without an id, rows of several accounts, or an argument that can't be used; before anything is done.
    AuthenticationError, PermissionDeniedError
        The key is no good or lacks the scope. What was deleted before is in the journal and marked.
    ArchiveError
        The journal can't be written (then nothing more is deleted), or `history` is damaged.
    DownloadError
        `only_verified` is no folder of `download_audio`, or its manifest can't be read.

    Warns
    -----
    UserWarning
        Deleted rows could not be marked in the local history, as when a sync is writing into it.

    Examples
    --------
    >>> import tempfile, histkit as hk
    >>> from histkit.deletion.delete import delete
    >>> from histkit.sandbox import serve
    >>> with serve(items=20) as box:
    ...     client = hk.HistoryClient(box.api_key, base_url=box.url)
    ...     df = hk.read_history(client=client, progress=False)
    ...     plan = delete(df.tail(3), client=client, progress=False)
    ...     done = delete(df.tail(3), confirm=True, client=client, progress=False)
    ...     left = len(box.history())
    >>> plan.status.tolist(), done.status.tolist(), left
    (['would delete', 'would delete', 'would delete'], ['deleted', 'deleted', 'deleted'], 17)
    """
    if confirm is not True and confirm is not False:
        raise InputError(f"confirm={confirm!r:.60}: give True, and nothing else, to delete for good.")
    check_client(client)
    path = _journal_path(journal)
    plan = plan_deletion(items, only_verified, progress)
    folder = _history_of(items, history)
    if not confirm:
        _say(plan.summary(), progress)
        facts = {"dry_run": True, "counts": plan.counts, **plan.credits_of(plan.ids), "interrupted": False}
        return plan.frame({}, {**facts, **_places(path, folder, 0)})
    run = DeletionRun(plan, path, folder)
    try:
        if plan.ids:
            run.all(client, progress)
    finally:
        if run.begun or not plan.ids:
            _say(run.summary(), progress)
        if run.unmarked:
            warnings.warn(run.unmarked, stacklevel=2)
    return run.table()


def _say(line: str, progress: bool | None) -> None:
    if progress is not False:
        print(line, file=None if in_notebook() else sys.stderr)


def _places(journal: Path, folder: Path | None, marked: int) -> Json:
    return {"journal": str(journal), "history": str(folder) if folder is not None else None, "marked": marked}


def _journal_path(journal: Any) -> Path:
    name = journal if isinstance(journal, (str, os.PathLike)) else None
    if name is None or not os.fspath(name) or "://" in os.fspath(name):
        raise InputError(
            f"journal={journal!r:.60}: give a file of this machine; nothing is deleted without a record of it."
        )
    return Path(name).expanduser()


def _history_of(items: pd.DataFrame | pd.Series, history: Any) -> Path | None:
    """Give the local history to mark rows in; None for none."""
    if history is False:
        return None
    if history is None:
        facts = items.attrs.get("histkit")
        told = facts.get("path") if isinstance(facts, Mapping) else None
        if not isinstance(told, str) or "://" in told or not Path(told).is_dir():
            return None
        return Path(told) if read_manifest(ReadStore(told)) is not None else None
    if not isinstance(history, (str, os.PathLike)):
        raise InputError(f"history={history!r:.60}: give the folder of a sync, or False for none.")
    name = normalize_path(history)
    if "://" in name or not Path(name).is_dir() or read_manifest(ReadStore(name)) is None:
        raise InputError(f"history={name!r} is no local history on this machine; give the folder of a sync, or False.")
    return Path(name)


class DeletionRun:
    """Deletes what is planned, one row after the other."""

    def __init__(self, plan: DeletionPlan, journal: Path, folder: Path | None) -> None:
        self._plan, self._journal, self._folder = plan, journal, folder
        self._doubt: str | None = None
        self._stopped: str | None = None
        self._marked = 0
        self.begun = False
        self.unmarked: str | None = None
        self._found: dict[str, Found] = {}

    def all(self, client: HistoryClient | None, progress: bool | None) -> None:
        """Do it; whatever ends it, what was deleted is written down and marked."""
        plan = self._plan
        with borrowed_client(client) as service, Journal(self._journal) as journal:
            begin = {"rows": len(plan.ids), **plan.credits_of(plan.ids)}
            journal.add("begin", **begin, only_verified=plan.folder or None)
            self.begun = True
            try:
                with progress_bar(progress, total=len(plan.ids), desc="Delete", unit=" rows") as bar:
                    self._each(service, journal, bar)
            except BaseException as error:
                self._stopped = error_line(error) or type(error).__name__
                self._mark()
                with suppress(ArchiveError):  # what ended it is what has to be said
                    self._end(journal)
                raise
            self._mark()
            self._end(journal)

    def _each(self, client: HistoryClient, journal: Journal, bar: Any) -> None:
        broken = 0
        for item, row in self._plan.records():
            if broken == _MOST_BROKEN:
                self._stopped = f"{broken} rows one after the other got no answer from the service."
                return
            journal.add("asked", history_item_id=item, row=row)
            self._doubt = item
            try:
                outcome = delete_item(client, item)
            except ApiError as error:
                self._doubt = None
                journal.add("failed", history_item_id=item, error=error_line(error))
                raise
            broken = 0 if outcome.answered else broken + 1
            self._found[item] = outcome.status, outcome.error
            self._doubt = None
            journal.add(outcome.status, history_item_id=item, error=outcome.error)
            bar.update()

    def _done(self) -> list[str]:
        return [item for item, (status, _) in self._found.items() if status in ("deleted", "gone")]

    def _mark(self) -> None:
        done = self._done()
        if self._folder is None or not done:
            return
        try:
            moment = datetime.now(UTC).replace(microsecond=0)
            self._marked = mark_deleted(self._folder, done, moment, account=self._plan.account)
        except (ArchiveError, OSError) as error:
            self.unmarked = (
                f"Not all of {rows_of(len(done))} deleted are marked in {self._folder}: "
                f"{error_line(error).rstrip('.')}."
                " Run sync(full=True) later, which marks them missing."
            )

    def _end(self, journal: Journal) -> None:
        journal.add("end", **self._counts(), marked=self._marked, stopped=self._stopped, in_doubt=self._doubt)

    def _counts(self) -> dict[str, int]:
        counts = dict.fromkeys(_STATUSES, 0)
        for status, _ in self._found.values():
            counts[status] += 1
        counts["kept"] = self._plan.kept
        counts["pending"] = len(self._plan.ids) - len(self._found)
        return counts

    def table(self) -> pd.DataFrame:
        """Give what came of each row; one that was not reached is ``pending``."""
        facts = {"dry_run": False, "counts": self._counts(), **self._plan.credits_of(self._done())}
        facts |= {"interrupted": self._stopped is not None, **_places(self._journal, self._folder, self._marked)}
        return self._plan.frame(dict.fromkeys(self._plan.ids, ("pending", self._stopped)) | self._found, facts)

    def summary(self) -> str:
        """Give the line that is printed."""
        counts, done = self._counts(), self._done()
        if not self._plan.ids:
            kept = f": none of {counts['kept']:,} has a verified copy in {self._plan.folder}" if counts["kept"] else ""
            return f"Nothing to delete{kept}."
        line = f"Deleted {rows_of(counts['deleted'])} ({price_of(self._plan.credits_of(done))})"
        words = {"gone": "gone already", "failed": "failed", "kept": "kept", "pending": "not reached"}
        line += "".join(f", {counts[name]:,} {word}" for name, word in words.items() if counts[name])
        if self._marked:
            line += f"; {self._marked:,} marked in {self._folder}"
        if counts["gone"] and not counts["deleted"]:
            line += "; if that is strange, is the key of the account that they are from?"
        if self._stopped:
            line += f"; stopped: {self._stopped.rstrip('.')}"
        return f"{line}; record: {self._journal}"
