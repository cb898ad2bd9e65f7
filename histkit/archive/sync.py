"""`histkit.sync`: fetch the accounts one after the other, and merge them at once, in a locked folder."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from histkit.api.client import HistoryClient, borrowed_client, check_client
from histkit.archive.account import AccountSync, FetchedJob, PendingRows
from histkit.archive.integrity import BUSY, changed_months, changed_months_error, open_for_update
from histkit.archive.load import load
from histkit.archive.manifest import WORK, write_manifest
from histkit.archive.merge import DIFF_SCHEMA, Diff, NeededMonthError, PartitionMerge
from histkit.archive.request_log import LogSync
from histkit.errors import ArchiveError, HistkitError, InputError
from histkit.fetch.reader import warn_of_problems
from histkit.frame.decode import PageDecoder
from histkit.frame.schema import TEXT, to_frame
from histkit.util.arguments import true_or_false, whole_number
from histkit.util.files import exclusive_lock, remove_temporary_files
from histkit.util.progress import print_summary, progress_bar
from histkit.util.storage import folder_name
from histkit.util.text import count_noun, hide_passwords

if TYPE_CHECKING:
    import pandas as pd

_MOST_PENDING = 1_000_000  # rows of several accounts that wait on disk to be merged
_NO_NAME = "(the account without a name)"


class DamagedMonthError(ArchiveError):
    """A month's file is not what was written; the sync itself was completed.

    Attributes
    ----------
    changes : pandas.DataFrame
        What `sync` returns with ``diff=True``.
    """

    def __init__(self, message: str, changes: pd.DataFrame) -> None:
        super().__init__(message)
        self.changes = changes


class SyncRun:
    """One call of `histkit.sync`; the caller holds the folder's lock."""

    def __init__(
        self, folder: Path, *, full: bool, workers: int | None, progress: bool | None, diff: bool, requests: bool
    ) -> None:
        self._folder = folder
        self._full = full
        self._workers = workers
        self._progress = progress
        self._remove_partial_files()
        history = open_for_update(folder, full=full)
        self._manifest = history.manifest
        self.repaired = history.notes
        self._diff = Diff(diff)
        self._accounts: list[str] = []
        self._requests = 0
        self._with_log = requests
        self._log_rows = 0
        self.failed_logs: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.full_due: dict[str, str] = {}
        self.problems: list[str] = []
        self.damaged: list[str] = []

    def sync(self, clients: Mapping[str, HistoryClient]) -> None:
        """Sync each account; raise only if none could be synced."""
        strange = self._manifest.accounts.keys() - {""} if "" in clients else self._manifest.accounts.keys() & {""}
        if strange:
            names = ", ".join(sorted(strange - {""})) or _NO_NAME
            raise InputError(
                f"{self._folder} was synced with {'accounts=' if '' in clients else 'one client'} ({names}): do it "
                "the same way again, or use another folder."
            )
        self._accounts, decoder = [*clients], PageDecoder()
        accounts = {
            name: AccountSync(
                self._folder,
                self._manifest,
                name,
                client,
                decoder,
                full=self._full,
                workers=self._workers or client.transport.limit.ceiling,
                progress=self._progress,
            )
            for name, client in clients.items()
        }
        self._fetch_and_merge(accounts, AccountSync.resume)
        self._fetch_and_merge(accounts, AccountSync.fetch)
        for name, account in accounts.items():
            self._requests += account.result.requests
            self.problems += account.result.problems
            if name in self.failed:
                continue
            account.conclude()
            if account.result.full_due is not None:
                self.full_due[name] = account.result.full_due
            if self._with_log:
                self._sync_log(name, clients[name])
        self.damaged = changed_months(self._folder, self._manifest)  # also of the months that the sync did not need

    def _fetch_and_merge(
        self, accounts: Mapping[str, AccountSync], fetch: Callable[[AccountSync, PendingRows], FetchedJob | None]
    ) -> None:
        """Fetch each account's rows and merge those of many accounts at once, so that a month is written once."""
        jobs, pending = dict[str, FetchedJob](), PendingRows()
        for name, account in accounts.items():
            if name in self.failed:
                continue
            try:
                job = fetch(account, pending)
            except HistkitError as error:
                self._fail(name, error, len(accounts))
                continue
            if job is None:
                continue
            jobs[name] = job
            if len(accounts) > 1:
                pending.add(job.rows)
            # The months are written again whenever as many rows wait as the folder has: twice in all, at most.
            if sum(job.count() for job in jobs.values()) >= max(_MOST_PENDING, self._manifest.rows()):
                self._merge(accounts, jobs)
                jobs, pending = {}, PendingRows()
        self._merge(accounts, jobs)

    def _merge(self, accounts: Mapping[str, AccountSync], jobs: Mapping[str, FetchedJob]) -> None:
        for full in (True, False):
            chosen = {name: job for name, job in jobs.items() if job.job.full == full}
            while chosen and (failed := self._merge_or_name_failed(accounts, chosen, full=full)):
                for name, error in failed.items():
                    self._fail(name, error, len(accounts))
                    del chosen[name]

    def _merge_or_name_failed(
        self, accounts: Mapping[str, AccountSync], jobs: Mapping[str, FetchedJob], *, full: bool
    ) -> Mapping[str, HistkitError]:
        """Merge the jobs of all accounts; return the accounts that can't be merged, and then merge none."""
        now, rows = int(time.time()), [job.rows for job in jobs.values()]
        merge = PartitionMerge(self._folder, self._manifest, rows, full=full, now=now, diff=self._diff.keep_rows)
        if full and self._manifest.months:
            failed = {}
            for name, known in merge.known().items():
                try:
                    accounts[name].check_missing(*known, fetched=jobs[name].count())
                except HistkitError as error:
                    failed[name] = error
            if failed:
                return failed
        try:
            files = merge.files()
        except NeededMonthError as error:
            return error.accounts
        shown = self._progress if len(files) > 2 else False
        for file in progress_bar(shown, iterable=files, desc="months", unit=" months"):
            merge.month(file)
        merge.finish()
        for name, job in jobs.items():
            accounts[name].merged(job, now)
        self._diff.add(merge.diff)
        write_manifest(self._folder, self._manifest)
        for name in jobs:
            accounts[name].finish()
        return {}

    def _fail(self, name: str, error: HistkitError, accounts: int) -> None:
        """Note that an account failed; raise the error if each of them has."""
        if len(self.failed) == accounts - 1:
            raise error
        self.failed[name] = str(error)

    def _sync_log(self, name: str, client: HistoryClient) -> None:
        """Sync the request log of an account; the history is stored, whether that succeeds or not."""
        log = LogSync(self._folder, name, client, self._progress)
        try:
            log.run(full=self._full)
        except HistkitError as error:
            self.failed_logs[name] = str(error)
        finally:
            self._requests += log.requests
            self._log_rows += max(0, log.new)
            self.repaired += log.repaired

    def diff_table(self) -> pa.Table:
        """Return the rows that are new, changed or missing, by account."""
        table = pa.concat_tables([DIFF_SCHEMA.empty_table(), *self._diff.tables])
        if len(self._manifest.accounts) < 2:
            return table
        places = pc.index_in(table.column("account").cast(TEXT), pa.array([*self._accounts], TEXT))
        return table.take(pa.array(np.argsort(places.to_numpy(), kind="stable")))

    def facts(self) -> dict[str, Any]:
        """Return the facts of the sync for a frame's ``attrs``."""
        counts = {name: getattr(self._diff, name) for name in ("new", "changed", "missing")}
        facts = {"diff": counts, "restored": self._diff.restored, "requests": self._requests}
        if self._with_log:
            facts |= {"new_log_rows": self._log_rows, "failed_logs": dict(self.failed_logs)}
        return {**facts, "failed": dict(self.failed), "full_due": self.full_due}

    def summary(self) -> str:
        """Return the line to print."""
        diff, rows = self._diff, self._manifest.rows()
        changes = f"{diff.new:,} new, {diff.changed:,} changed, {diff.missing:,} missing"
        changes += f", {diff.restored:,} restored" * bool(diff.restored)
        requests = f"{self._requests:,} request{'s' * (self._requests != 1)}"
        damaged = f"; {count_noun(len(self.damaged), 'month')} damaged" if self.damaged else ""
        log = f"; request log: {self._log_rows:,} new" if self._with_log else ""
        lines = [f"{self._folder}: {rows:,} rows; {changes}{log} ({requests}){damaged}"]
        for name, reason in self.full_due.items():
            account = f" of {name}" if name else ""
            lines.append(
                f"{self._folder}: a full sync{account} is due, sync(full=True) or histkit sync --full: {reason}"
            )
        return "\n".join(lines)

    def _remove_partial_files(self) -> None:
        """Remove the temporary files of killed syncs."""
        remove_temporary_files(self._folder, ".", "year=*/month=*", f"{WORK}/*")


def validate_clients(
    path: str | os.PathLike[str],
    accounts: Mapping[str, HistoryClient] | None,
    client: HistoryClient | None,
    workers: int | None,
) -> dict[str, HistoryClient] | None:
    """Check the arguments of `histkit.sync`; return the clients by account, None where one has to be created."""
    if "://" in os.fspath(path):
        url = hide_passwords(os.fspath(path))
        raise InputError(f"sync writes into a folder of this machine, not into {url}; copy it there afterwards.")
    if workers is not None:
        whole_number("workers", workers, 1)
    if accounts is not None and client is not None:
        raise InputError("Use either accounts= or client=, not both.")
    if accounts is not None:
        return _account_clients(accounts)
    if client is None:
        return None
    check_client(client)
    return {"": client}


def _account_clients(accounts: Mapping[str, HistoryClient]) -> dict[str, HistoryClient]:
    if not (isinstance(accounts, Mapping) and accounts):
        raise InputError("accounts= takes names and clients: accounts={'studio': HistoryClient(...), ...}.")
    for name, client in accounts.items():
        check_client(client, f"accounts[{name!r}]", required=True)
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"accounts= has the name {name!r}; names must be non-empty strings.")
    keys: dict[str, str] = {}
    for name, client in accounts.items():
        first = keys.setdefault(client.transport.identity or name, name)
        if first != name:
            raise InputError(f"accounts= has one key under two names, {first!r} and {name!r}; use one of them.")
    return {**accounts}


def sync(
    path: str | os.PathLike[str] = "data/history",
    *,
    full: bool = False,
    accounts: Mapping[str, HistoryClient] | None = None,
    diff: bool = False,
    requests: bool = False,
    client: HistoryClient | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Update a local history and return it: the first sync fetches all rows, later ones only new rows.

    Pages are saved as they arrive, so that an interrupted sync is resumed by the next one.

    Parameters
    ----------
    path : path-like, default "data/history"
        The folder; created if it is missing.
    full : bool
        Read the complete history again: changed rows are updated, and rows that the service no longer has are kept and
        marked by ``missing_since``.
    accounts : mapping of str to HistoryClient, optional
        Several accounts in one folder, distinguished by the column ``account``. All are fetched before the months are
        written. An account that fails does not stop the others; a warning names it.
    diff : bool
        Return the rows that are new, changed, missing or restored instead of the history, which is then not read:
        memory stays flat, and a sync without new rows takes a fraction of a second.
    requests : bool
        Also update the workspace's request log beside the history, which `load_requests` reads. The key needs the scope
        ``workspace_analytics_full_read``. Where the log can't be read, the history is synced all the same, and a
        warning says why.
    client : HistoryClient, optional
        Default: a client with the key and base URL of the environment.
    workers : int, optional
        Number of windows read concurrently; default: the client's ``max_concurrency`` (4).
    progress : bool, optional
        Show bars and a summary line; default: bars in notebooks and on terminals, the line always.

    Returns
    -------
    pandas.DataFrame
        As `load`. ``attrs["histkit"]`` also has ``diff`` (``new``, ``changed``, ``missing``: numbers of rows),
        ``restored`` (rows that were lost with a month's file, and fetched again), ``requests``, ``failed`` (account to
        error) and ``full_due`` (account to the reason why a full sync is due: the last one is more than 30 days ago, or
        the counters show credits that are in no row). With `requests` also ``new_log_rows`` and ``failed_logs``
        (account to error). With `diff`: one row for each row of the history that is new, changed, missing or restored,
        with the columns ``change``, ``account``, ``history_item_id``, ``date``, ``voice_name``, ``characters``,
        ``credits``.

    Raises
    ------
    ArchiveError
        Another sync is writing into the folder; a file is damaged (every byte is compared; rows that were fetched are
        stored first) or can't be written; the key belongs to another account.
    PaginationError
        The history could not be read to its end. Fetched rows are kept.
    InputError
        An argument is invalid.
    ApiError, TransportError
        The first request failed (see `histkit.errors`).

    Notes
    -----
    New rows appear late, and rows of one second tie. So each sync reads the newest hour again, or at most
    500 rows, but always 15 minutes. It requests rows that were still ``processing`` for 30 days. Known ids are
    recognised. A date in the future hides no newer row: only dates up to the moment of reading count.
    Before a full sync marks rows missing, it requests up to 20 of them by their ids.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=500) as box:
    ...     client = hk.HistoryClient(box.api_key, base_url=box.url)
    ...     df = hk.sync("history", client=client, progress=False)
    ...     new = box.add(3)
    ...     again = hk.sync("history", client=client, progress=False)
    >>> len(df), len(again), again.attrs["histkit"]["diff"]
    (500, 503, {'new': 3, 'changed': 0, 'missing': 0})
    """
    full, diff, requests = (
        true_or_false(name, value) for name, value in (("full", full), ("diff", diff), ("requests", requests))
    )
    folder, clients = Path(folder_name(path)), validate_clients(path, accounts, client, workers)
    if folder.is_file():
        raise ArchiveError(f"{folder} is a file; sync keeps a local history in a folder, such as data/history.")
    with ExitStack() as stack:
        if clients is None:
            clients = {"": stack.enter_context(borrowed_client(None, workers))}
        stack.enter_context(exclusive_lock(folder / WORK / "lock", BUSY.format(folder)))
        run = SyncRun(folder, full=full, workers=workers, progress=progress, diff=diff, requests=requests)
        run.sync(clients)
    print_summary(run.summary(), progress)
    warn_of_problems(run.problems, stacklevel=3)
    if run.repaired:
        warnings.warn(f"{folder} was not as histkit wrote it: {'; '.join(run.repaired)}.", stacklevel=2)
    if run.failed:
        failures = "; ".join(f"{name}: {error}" for name, error in run.failed.items())
        warnings.warn(f"{len(run.failed)} of {len(clients)} accounts were not synced: {failures}", stacklevel=2)
    for name, reason in run.failed_logs.items():
        account = f" of {name}" if name else ""
        warnings.warn(f"The request log{account} was not synced to its end: {reason}", stacklevel=2)
    changes = to_frame(run.diff_table())
    if run.damaged:
        changes.attrs["histkit"] = run.facts()
        raise DamagedMonthError(str(changed_months_error(folder, run.damaged)), changes)
    frame = changes if diff else load(folder)
    frame.attrs["histkit"] = {**frame.attrs.get("histkit", {}), **run.facts()}
    return frame
