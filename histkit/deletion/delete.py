"""Delete history items: a dry run by default, each row journaled before its request, one request at a time."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from histkit.api.client import HistoryClient, borrowed_client, check_client
from histkit.api.existence import absence_hint
from histkit.archive.manifest import read_manifest
from histkit.archive.tombstones import mark_deleted
from histkit.audio.fetch import CircuitBreaker
from histkit.deletion.journal import Journal
from histkit.deletion.options import DEFAULT_JOURNAL
from histkit.deletion.ownership import Ownership
from histkit.deletion.plan import DeletionPlan, Json, Result, plan_deletion, price_text
from histkit.deletion.request import delete_item
from histkit.errors import ApiError, ArchiveError, InputError
from histkit.util.progress import print_summary, progress_bar
from histkit.util.storage import ReadStore, local_path, normalize_path
from histkit.util.text import count_noun, error_line, hide_passwords, quoted

_STATUSES = ("deleted", "gone", "kept", "failed", "pending")
_MAX_UNANSWERED = 5  # consecutive rows without a response, after which the service counts as unreachable


def delete(
    items: pd.DataFrame | pd.Series,
    *,
    confirm: bool = False,
    only_verified: str | os.PathLike[str] | None = None,
    history: str | os.PathLike[str] | Literal[False] | None = None,
    journal: str | os.PathLike[str] = DEFAULT_JOURNAL,
    progress: bool | None = None,
    client: HistoryClient | None = None,
) -> pd.DataFrame:
    """Delete history items permanently, text and audio. Without ``confirm=True`` nothing is deleted.

    Each row is written to a journal with all its columns before it is deleted, and the result after it. The rows of a
    local history stay there and are marked as deleted.

    Parameters
    ----------
    items : DataFrame or Series
        A history with ``history_item_id``, or a Series of ids. Deleted in row order, each id once.
    confirm : bool
        True deletes. False makes no request, writes nothing, and prints what would be deleted.
    only_verified : path-like or str, optional
        A folder of `download_audio`. Only rows with a file in it are deleted whose content, which is read and hashed
        again, matches the folder's manifest, and which is known to be the whole clip: see Notes.
    history : path-like, str or False, optional
        Local history (of `sync`) in which the rows are marked: ``state`` becomes ``deleted``, ``missing_since`` is set.
        Default: the history that the frame was loaded from, if it still exists. False: none.
    journal : path-like or str, default "data/deleted.jsonl"
        JSON lines to append to; created with its folder if it does not exist. If the rows come from a local history
        outside the working directory, the default is ``deleted.jsonl`` beside that history.
    progress : bool, optional
        Show a progress bar and print a summary; default: the bar in notebooks and on terminals, the summary always.
    client : HistoryClient, optional
        Default: a client with the key and base URL of the environment. The key needs the scope
        ``speech_history_write``.

    Returns
    -------
    DataFrame
        On the index of `items`: ``history_item_id``, ``status``, ``path`` (of the verified file, relative to
        `only_verified`), ``credits`` (Int64, what the row cost; missing if unknown), ``error`` (one line). The status
        is ``would delete`` or ``kept`` (no verified file) without `confirm`. With it, it is ``deleted``, ``gone`` (no
        longer existed), ``kept``, ``failed``, or ``pending`` (not tried: the service became unreachable).
        ``attrs["histkit"]`` has ``dry_run``, ``counts`` (ids by status), ``credits`` (of the deleted rows, if
        known) and ``credits_unknown`` (rows), ``journal`` (absolute path), ``history``, ``marked`` (rows),
        ``interrupted``; with `only_verified` also ``known_by_length`` (ids to delete whose copies are raw samples,
        known to be whole by their length only), ``unproven`` and ``suspect`` (ids that are kept).

    Raises
    ------
    InputError
        A row has no id, the rows belong to several accounts, or an argument is invalid. Raised before the first
        request.
    SchemaError
        `items` lacks ``history_item_id``, or has two columns of one name.
    AuthenticationError, PermissionDeniedError
        The key is missing or refused, or lacks the scope. What was deleted before is in the journal and marked.
    ArchiveError
        The journal can't be written (nothing more is deleted then), `history` is damaged, or it is of the sandbox and
        the key is not.
    DownloadError
        `only_verified` is not a folder of `download_audio`, or its manifest can't be read.

    Warns
    -----
    UserWarning
        No row was found in the key's account, or deleted rows could not be marked: the history that the frame was
        loaded from no longer exists, or a sync is writing into it.

    Notes
    -----
    A copy is known to be whole if its ``proof`` (see `download_audio`) is ``structure`` or ``hash``. ``length`` is
    enough for raw samples only (PCM, mu-law, A-law), which can show nothing better; those rows are counted apart.
    ``none`` is not: the row is kept, and `verify` with ``prove=True`` proves the copy by a second download. A copy is
    suspect, whatever its proof, if it lasts less than half of what the row states (``duration``, or the end of the last
    character in ``alignments``) minus one second, and raw samples also with more than 200 characters a second.

    With the key of another account every row looks deleted. If the first three rows do not exist, up to 20 others are
    looked up, and if none of them exists the deletion stops. Rows that no longer exist are marked in a local history
    only if a row was deleted, or another row of the history is in the key's account.

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
    return run_deletion(
        items,
        partial(print_summary, progress=progress),
        confirm=confirm,
        only_verified=only_verified,
        history=history,
        journal=journal,
        progress=progress,
        client=client,
    )


def run_deletion(
    items: pd.DataFrame | pd.Series,
    report: Callable[[str], None],
    *,
    confirm: bool,
    only_verified: str | os.PathLike[str] | None = None,
    history: str | os.PathLike[str] | Literal[False] | None = None,
    journal: str | os.PathLike[str] = DEFAULT_JOURNAL,
    progress: bool | None = None,
    client: HistoryClient | None = None,
) -> pd.DataFrame:
    """Delete as `delete` does; `report` gets the line that it prints."""
    if confirm is not True and confirm is not False:
        raise InputError(f"confirm={quoted(confirm)}: use True, and nothing else, to delete permanently.")
    check_client(client)
    folder, problem = _history_to_mark(items, history)
    path = _journal_path(journal, folder)
    plan = plan_deletion(items, only_verified, progress)
    if not confirm:
        report(plan.summary() + (f" {problem}" if problem and plan.ids else ""))
        facts = {"dry_run": True, "counts": plan.counts, **plan.credits_of(plan.ids), "interrupted": False}
        return plan.table({}, {**facts, **_places(path, folder, 0)})
    run = DeletionRun(plan, path, folder, problem)
    try:
        if plan.ids:
            run.run(client, progress)
    finally:
        if run.started or not plan.ids:
            report(run.summary())
        reservation = run.not_marked or run.absence_hint()
        if reservation:
            warnings.warn(reservation, stacklevel=3)
    return run.table()


def _places(journal: Path, folder: Path | None, marked: int) -> Json:
    return {"journal": str(journal), "history": str(folder) if folder is not None else None, "marked": marked}


def _journal_path(journal: Any, history: Path | None) -> Path:
    """Return the absolute path of the journal; the default follows a local history that is elsewhere."""
    if (
        isinstance(journal, str)
        and journal == DEFAULT_JOURNAL
        and history is not None
        and not history.resolve().is_relative_to(Path.cwd())
    ):
        return history.resolve().parent / Path(DEFAULT_JOURNAL).name
    name = os.fspath(journal) if isinstance(journal, (str, os.PathLike)) else None
    if not isinstance(name, str) or not name or "://" in name:
        raise InputError(
            f"journal={quoted(journal)}: use a file on this machine; nothing is deleted without a record of it."
        )
    return local_path(name).absolute()


def _history_to_mark(items: pd.DataFrame | pd.Series, history: Any) -> tuple[Path | None, str | None]:
    """Return the local history to mark rows in, or None, and a sentence if the frame's own history can't be marked."""
    if history is False:
        return None, None
    if history is None:
        return _loaded_from(items)
    if not isinstance(history, (str, os.PathLike)):
        raise InputError(f"history={quoted(history)}: use the folder of a sync, or False for none.")
    name = normalize_path(history)
    if not _is_local_history(name):
        problem = "is not a local history on this machine; use the folder of a sync, or False"
        raise InputError(f"history={quoted(name)} {problem}.")
    return Path(name), None


def _loaded_from(items: pd.DataFrame | pd.Series) -> tuple[Path | None, str | None]:
    """Return the history that the frame's attrs name, if its path is absolute and it still exists."""
    facts = getattr(items, "attrs", {}).get("histkit")  # what is neither frame nor series is refused later
    name = facts.get("path") if isinstance(facts, Mapping) else None
    if not isinstance(name, str):
        return None, None
    if "://" in name:
        return None, f"Rows of {hide_passwords(name)} are not marked: it is not on this machine."
    if not Path(name).is_absolute() or not _is_local_history(name):
        return None, f"The history {name}, which the rows were loaded from, was not found and is not marked."
    return Path(name), None


def _is_local_history(name: str) -> bool:
    return "://" not in name and Path(name).is_dir() and read_manifest(ReadStore(name)) is not None


class DeletionRun:
    """Deletes planned rows, one request at a time.

    Parameters
    ----------
    plan : DeletionPlan
        The rows.
    journal : Path
        The journal.
    folder : Path or None
        Local history in which the rows are marked.
    problem : str or None
        Why no history is marked although the rows come from one.

    Attributes
    ----------
    started : bool
        Whether the journal could be opened.
    not_marked : str or None
        Why deleted rows were not marked.
    """

    def __init__(self, plan: DeletionPlan, journal: Path, folder: Path | None, problem: str | None) -> None:
        self._plan, self._journal, self._folder, self._problem = plan, journal, folder, problem
        self._in_doubt: str | None = None
        self._stopped: str | None = None
        self._marked = 0
        self._results: dict[str, Result] = {}
        self._ownership: Ownership | None = None
        self.started = False
        self.not_marked: str | None = None

    def run(self, client: HistoryClient | None, progress: bool | None) -> None:
        """Delete. However this ends, deleted rows are journaled and marked."""
        with borrowed_client(client) as service:
            self._ownership = Ownership(service, list(self._plan.ids), self._folder, self._plan.account)
            self._run(service, self._ownership, progress)

    def _run(self, service: HistoryClient, ownership: Ownership, progress: bool | None) -> None:
        plan = self._plan
        with Journal(self._journal) as journal:
            begin = {"rows": len(plan.ids), **plan.credits_of(plan.ids)}
            journal.add("begin", **begin, only_verified=plan.folder or None)
            self.started = True
            try:
                with progress_bar(progress, total=len(plan.ids), desc="Delete", unit=" rows") as bar:
                    self._delete_rows(service, ownership, journal, bar)
            except BaseException as error:
                self._stopped = error_line(error) or type(error).__name__
                self._mark(ownership.is_certain)
                with suppress(ArchiveError):  # the first error is the one to report
                    self._end(journal)
                raise
            self._mark(bool(self._deleted()) and ownership.confirm())
            self._end(journal)

    def _delete_rows(self, client: HistoryClient, ownership: Ownership, journal: Journal, bar: Any) -> None:
        breaker = CircuitBreaker(_MAX_UNANSWERED)
        for item, row in self._plan.records():
            if breaker.tripped:
                self._stopped = f"{breaker.limit} consecutive rows got no response from the service."
                return
            journal.add("asked", history_item_id=item, row=row)
            self._in_doubt = item
            try:
                outcome = delete_item(client, item)
            except ApiError as error:
                self._in_doubt = None
                journal.add("failed", history_item_id=item, error=error_line(error))
                raise
            breaker.record(answered=outcome.answered)
            self._results[item] = outcome.status, outcome.error
            self._in_doubt = None
            journal.add(outcome.status, history_item_id=item, error=outcome.error)
            bar.update()
            if outcome.long_wait:
                self._stopped = outcome.error
                return
            if ownership.refutes(outcome.status):
                self._stopped = (
                    f"none of the first {len(self._results)} rows exists in the account of this key, nor of the others "
                    "that were looked up: is it the key of another account? Nothing was marked."
                )
                return

    def absence_hint(self) -> str | None:
        """Return a sentence if no row was found in the account of the key."""
        if self._ownership is None or self._ownership.is_certain:
            return None
        return absence_hint(len(self._results), sum(status == "gone" for status, _ in self._results.values()))

    def _deleted(self) -> list[str]:
        return [item for item, (status, _) in self._results.items() if status in ("deleted", "gone")]

    def _credited(self) -> list[str]:
        """Return the rows whose credits count: those that are gone only if the key is of their account."""
        return self._deleted() if self._ownership is not None and self._ownership.is_certain else []

    def _mark(self, is_certain: bool) -> None:
        ids = self._deleted()
        if not ids:
            return
        if self._folder is None:
            self.not_marked = self._problem
            return
        if not is_certain:
            self.not_marked = (
                f"Nothing was marked in {self._folder}: no row was found in the account of this key. If it is the key "
                "of the right account and they were deleted elsewhere, sync(full=True) marks them missing."
            )
            return
        try:
            now = datetime.now(UTC).replace(microsecond=0)
            self._marked = mark_deleted(self._folder, ids, now, account=self._plan.account)
        except (ArchiveError, OSError) as error:
            self.not_marked = (
                f"Not all of {count_noun(len(ids), 'row')} deleted are marked in {self._folder}: "
                f"{error_line(error).rstrip('.')}."
                " Run sync(full=True) later, which marks them missing."
            )

    def _end(self, journal: Journal) -> None:
        facts = {"marked": self._marked, "stopped": self._stopped, "in_doubt": self._in_doubt}
        journal.add("end", **self._counts(), **facts)

    def _counts(self) -> dict[str, int]:
        counts = dict.fromkeys(_STATUSES, 0)
        for status, _ in self._results.values():
            counts[status] += 1
        counts["kept"] = self._plan.kept
        counts["pending"] = len(self._plan.ids) - len(self._results)
        return counts

    def table(self) -> pd.DataFrame:
        """Return the result of each row; rows that were not tried are ``pending``."""
        facts = {"dry_run": False, "counts": self._counts(), **self._plan.credits_of(self._credited())}
        facts |= {"interrupted": self._stopped is not None, **_places(self._journal, self._folder, self._marked)}
        return self._plan.table(dict.fromkeys(self._plan.ids, ("pending", self._stopped)) | self._results, facts)

    def summary(self) -> str:
        """Return the line that is printed."""
        counts = self._counts()
        if not self._plan.ids:
            kept = f": none of {counts['kept']:,} has a verified copy in {self._plan.folder}" if counts["kept"] else ""
            kept += self._plan.kept_reasons()
            return f"Nothing to delete{kept}."
        deleted = self._credited()
        price = price_text(self._plan.credits_of(deleted))
        line = f"Deleted {count_noun(counts['deleted'], 'row')} ({price}){self._plan.length_note(deleted)}"
        words = {"gone": "gone already", "failed": "failed", "kept": "kept", "pending": "not reached"}
        line += "".join(f", {counts[name]:,} {word}" for name, word in words.items() if counts[name])
        line += self._plan.kept_reasons()
        if self._marked:
            line += f"; {self._marked:,} marked in {self._folder}"
        if self._stopped:
            line += f"; stopped: {self._stopped.rstrip('.')}"
        return f"{line}; record: {self._journal}"
