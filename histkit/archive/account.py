"""One account's part of a sync: resume an interrupted one, fetch new rows, and note what was merged."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from histkit.api.client import HistoryClient
from histkit.api.credentials import SANDBOX
from histkit.api.options import history_item_path
from histkit.api.pagination import PageWindow
from histkit.archive.checkpoint import StagedPage, SyncCheckpoint, SyncJob
from histkit.archive.counter_gaps import counter_gaps
from histkit.archive.known_ids import some_known_ids
from histkit.archive.manifest import (
    UNDATED,
    WORK,
    Account,
    HistoryManifest,
    newest_first,
    partition_span,
    seconds_of,
)
from histkit.archive.merge import FetchedAccount, account_rows
from histkit.archive.partitions import PartitionReader, word_rows
from histkit.errors import ArchiveError, HistkitError, NotFoundError, PaginationError
from histkit.fetch.windows import WindowedFetch, WindowRows, rows_of
from histkit.frame.decode import Page, PageDecoder
from histkit.frame.schema import TEXT
from histkit.util.progress import progress_bar
from histkit.util.storage import ReadStore
from histkit.util.text import count_noun

PAGE_SIZE = 1000
_IDENTITY = ["history_item_id", "date_unix"]
_REMEMBERED = 10_000  # ids by which a window recognises repeated pages; the merge removes other duplicates
# Each sync reads the newest hour again, since rows appear late: at most 500 rows, but always 15 minutes.
_OVERLAP_SECONDS, _OVERLAP_ROWS, _LATE_SECONDS = 3600, 500, 900
_FULL_DAYS = 30  # then a full sync is due
_MOST_GAPS = 1000
_PATIENCE = 30 * 86_400  # seconds; older rows that are still processing are refreshed by full syncs alone
_MOST_REQUESTED = 20  # rows still processing that are requested one by one
_FRESH = 3600  # seconds; a resumed full sync that began this recently is not repeated
_SAMPLE = 20  # rows to request by id before a full sync marks any row missing


@dataclass(frozen=True)
class FetchedJob:
    """A job whose rows are all on disk, in the account's checkpoint, and not merged yet."""

    job: SyncJob
    rows: FetchedAccount

    def count(self) -> int:
        """Return the number of rows fetched."""
        return sum(page.rows for page in self.rows.pages)


@dataclass
class AccountSyncResult:
    """The result of syncing one account: requests, problems of rows, and why a full sync is due."""

    requests: int = 0
    problems: list[str] = field(default_factory=list)
    full_due: str | None = None


class AccountSync:
    """Fetches one account's rows into a folder; the caller holds the folder's lock, and merges them.

    Parameters
    ----------
    folder : Path
        The local history.
    manifest : HistoryManifest
        The folder's manifest; it is updated, and the caller writes it.
    name : str
        The account; "" where accounts have no names.
    client : HistoryClient
        The account's client.
    decoder : PageDecoder
        What decodes the pages; it learns new fields from one account for all.
    full : bool
        Whether to read the complete history.
    workers : int
        Number of windows read concurrently.
    progress : bool, optional
        Whether to show a bar.

    Attributes
    ----------
    result : AccountSyncResult
        What is known of the sync so far.
    """

    def __init__(
        self,
        folder: Path,
        manifest: HistoryManifest,
        name: str,
        client: HistoryClient,
        decoder: PageDecoder,
        *,
        full: bool,
        workers: int,
        progress: bool | None,
    ) -> None:
        self.name = name
        self._full = full
        self._folder = folder
        self._store = ReadStore(folder)
        self._manifest = manifest
        self._client = client
        self._workers = workers
        self._progress = progress
        self._decoder = decoder
        self._checkpoint = SyncCheckpoint(folder / WORK / (sha256(name.encode()).hexdigest()[:12] if name else "spool"))
        self._account = manifest.accounts.get(name, Account())
        if (self._account.watermark or 0) > seconds_of(self._account.synced_at) + _LATE_SECONDS:
            self._account.watermark = None  # of histkit 0.1: a date in the future, behind which rows were not read
        self.result = AccountSyncResult()
        self._resumed: SyncJob | None = None
        self._undated = False  # whether rows without a date were fetched

    def resume(self, pending: PendingRows) -> FetchedJob | None:
        """Fetch the rest of an unfinished sync; None if there is none. Pages stay on disk also after an error."""
        self._check_service()
        unfinished = self._checkpoint.job
        if unfinished is None:
            return None
        if unfinished.after is not None and (self._full or self._account.watermark is None):
            self._checkpoint.discard()  # its rows are fetched again in any case
            return None
        self._check_same_account(self._checkpoint.pages())
        self._resumed = unfinished
        return self._complete(unfinished, pending)

    def fetch(self, pending: PendingRows) -> FetchedJob:
        """Fetch the rows that are new, or all of them in a full sync. Pages stay on disk also after an error."""
        full = self._full
        if self._resumed is not None:
            full = full and not (self._resumed.full and self._resumed.started > time.time() - _FRESH)
        complete = full or self._account.incomplete or self._account.watermark is None
        after = None if complete else self._overlap()[0]
        waiting = [date for date in self._processing().values() if date is not None]
        if after is not None and len(waiting) > _MOST_REQUESTED:
            after = min(after, *waiting)  # single requests would be more
        job = SyncJob(self.name, after, full, int(time.time()))
        self._checkpoint.begin(job)
        return self._complete(job, pending)

    def _complete(self, job: SyncJob, pending: PendingRows) -> FetchedJob:
        windows = self._checkpoint.windows() or [
            PageWindow(job.after, None, PAGE_SIZE, _REMEMBERED, from_top=job.after is not None)
        ]
        self._fetch(job, windows)
        pages = self._checkpoint.pages()
        self._check_not_under_another_name(pages, pending)
        known = self._overlap()[1] if job.after is not None else []
        if not job.full and self._manifest.months:
            self._check_not_another_account(pages, known)
        gone = self._refresh_processing(job, pages)
        dates = [self._account.processing[item] for item in gone] + [*self._account.processing.values()]
        rows = FetchedAccount(self.name, self._checkpoint.pages(), gone, dates, self._account.watermark)
        return FetchedJob(job, rows)

    def _fetch(self, job: SyncJob, windows: list[PageWindow]) -> None:
        label = f"sync {self.name}".rstrip()
        with progress_bar(self._progress, desc=label, unit=" rows", unit_scale=True) as bar:
            staged = bar.n = sum(page.rows for page in self._checkpoint.pages())
            before = staged
            bar.refresh()

            def keep(part: WindowRows, page: Page, rows: list[int]) -> None:
                nonlocal staged
                if rows:
                    self._checkpoint.add(rows_of(page, rows), page.problems)
                self._checkpoint.limit_start(fetch.served_at)
                self._checkpoint.save(part.window for part in fetch.parts)
                staged += len(rows)
                bar.update(len(rows))
                bar.set_postfix_str(f"{fetch.requests} requests", refresh=False)

            fetch = WindowedFetch(
                self._client,
                self._decoder,
                keep,
                windows,
                workers=self._workers,
                eager=job.after is None and len(windows) == 1,
            )
            try:
                fetch.run()
            except HistkitError as error:
                if staged == before or isinstance(error, ArchiveError):
                    raise
                saved = f"The {staged:,} rows read so far are kept; run sync again to resume."
                raise PaginationError(
                    f"The sync into {self._where()} stopped: {str(error).rstrip('.')}. {saved}"
                ) from error
            finally:
                self.result.requests += fetch.requests

    def _overlap(self) -> tuple[int, list[str]]:
        """Return the date to read from again, and the ids on disk since then."""
        mark = self._account.watermark
        assert mark is not None
        dates, ids = np.zeros(0, np.int64), np.zeros(0, object)
        for file in newest_first(self._manifest.months):
            span = partition_span(file)
            if span is None or span[1] <= mark - _OVERLAP_SECONDS:
                break
            with PartitionReader(self._store, file, self._manifest.months.get(file)) as month:
                groups = [group for group in month.groups() if _reaches(month, group, mark - _OVERLAP_SECONDS)]
                table = month.read(groups, ["date_unix", "account", "history_item_id", "missing_since"])
            table = table.filter(pc.and_(account_rows(table, self.name), pc.is_null(table.column("missing_since"))))
            dates = np.r_[dates, table.column("date_unix").to_numpy()]
            ids = np.r_[ids, np.array(table.column("history_item_id").to_pylist(), object)]
        recent = np.sort(dates[dates >= mark - _OVERLAP_SECONDS])[::-1]
        after = mark - _OVERLAP_SECONDS
        if len(recent) >= _OVERLAP_ROWS:
            after = int(min(mark - _LATE_SECONDS, recent[_OVERLAP_ROWS - 1]))
        return after, [item for item in ids[dates >= after].tolist() if item is not None]

    def _refresh_processing(self, job: SyncJob, pages: Sequence[StagedPage]) -> list[str]:
        """Request the rows that were still processing and are not in the pages; return the ids that are gone."""
        waiting = {} if job.full else self._processing()
        if waiting:
            for page in pages:
                for item in page.read(["history_item_id"]).column(0).to_pylist():
                    waiting.pop(item, None)
        gone: list[str] = []
        for item in waiting:
            row = self._fetch_item(item)
            if row is None:
                gone.append(item)
            else:
                self._checkpoint.add(row.rows, row.problems)
        return gone

    def _processing(self) -> dict[str, int | None]:
        """Return ids and dates of the rows that are still processing and not too old."""
        early = time.time() - _PATIENCE
        return {item: date for item, date in self._account.processing.items() if date is None or date > early}

    def _fetch_item(self, item: str) -> Page | None:
        """Fetch one row as a page; None if it is gone."""

        def decode(body: bytes) -> Page:
            return self._decoder(b'{"has_more":false,"history":[' + body + b"]}")

        self.result.requests += 1
        try:
            return self._client.transport.request("GET", history_item_path(item), decode).data
        except NotFoundError:
            return None

    def merged(self, fetched: FetchedJob, now: int) -> None:
        """Note in the manifest that the rows of a job are in the months, at a moment in seconds since 1970."""
        pages = fetched.rows.pages
        self._update(fetched.job, pages, fetched.rows.gone, now)
        self.result.problems += [problem for page in pages for problem in page.problems]

    def finish(self) -> None:
        """Discard the checkpoint, once the manifest is written."""
        self._checkpoint.discard()

    def conclude(self) -> None:
        """Find out whether a full sync is due."""
        unseen = not self._undated and self._has_undated()
        self.result.full_due = _full_due(self._account, undated_unseen=unseen)

    def check_missing(self, known: int, refetched: int, absent: Sequence[str], *, fetched: int) -> None:
        """Raise if rows that a complete read left out are not to be marked missing.

        Parameters
        ----------
        known : int
            Rows of the account on disk that are not marked missing.
        refetched : int
            How many of them were fetched again.
        absent : sequence of str
            The ids of the others.
        fetched : int
            Rows fetched.

        Raises
        ------
        ArchiveError
            None of the known rows was fetched: the key is of another account.
        PaginationError
            The service still has rows that it left out.
        """
        if known > _SAMPLE and fetched and not refetched:
            self._checkpoint.discard()
            raise ArchiveError(
                f"{self._describe_folder()}. This key is of another account, {self._describe_service()}, whose history "
                f"has {fetched:,} rows and none of the folder's {known:,}. Give it a folder or a name of its own "
                "(accounts=)."
            )
        step = -(-len(absent) // _SAMPLE) or 1
        if self._any_exists(absent[::step]):
            self._checkpoint.discard()
            raise PaginationError(
                f"The service left out rows of its listing that it still has (of {len(absent):,} not listed). Nothing "
                "was marked missing; sync again later."
            )

    def _update(self, job: SyncJob, pages: Sequence[StagedPage], gone: Sequence[str], now: int) -> None:
        account = self._account
        started = self._checkpoint.job.started if self._checkpoint.job is not None else job.started
        self._undated = any(page.undated for page in pages)
        known = account.watermark
        newest = [date for page in pages if (date := page.newest_until(started)) is not None]
        if newest:
            account.watermark = max(newest)
            if known is not None:
                account.watermark = max(known, account.watermark)
        if job.after is not None:
            since = job.after
            if account.full_until is not None:
                since = max(since, account.full_until - _LATE_SECONDS)  # older gaps were there in a complete read, too
            fresh = counter_gaps(pages, since, started - _LATE_SECONDS)
            account.gaps = [*(gap for gap in account.gaps if gap[0] < since), *fresh][-_MOST_GAPS:]
        for item in gone:
            account.processing.pop(item, None)
        if job.full:
            account.processing = {}
        for page in pages:
            table = page.read(["history_item_id", "date_unix", "state"])
            for item in account.processing.keys() & set(table.column("history_item_id").to_pylist()):
                del account.processing[item]
            unfinished = table.filter(word_rows(table, "state", "processing"))
            columns = (unfinished.column(name).to_pylist() for name in ("history_item_id", "date_unix"))
            account.processing |= dict(zip(*columns, strict=True))
        stamp = datetime.fromtimestamp(now, UTC).isoformat()
        account.service = self._client.transport.service
        account.synced_at = self._manifest.synced_at = stamp
        if job.full or job.after is None:
            account.full_at, account.full_until, account.gaps = stamp, account.watermark, []
            account.incomplete = False
            self._manifest.unsearched.pop(self.name, None)
        self._manifest.accounts[self.name] = account
        if not any(account.incomplete for account in self._manifest.accounts.values()):
            self._manifest.lost = {}

    def _has_undated(self) -> bool:
        """Return whether rows of the account without a date are on disk, and not missing."""
        known = self._manifest.months.get(UNDATED)
        if known is None:
            return False
        with PartitionReader(self._store, UNDATED, known) as month:
            table = month.read(month.groups(), ["account", "missing_since"])
        rows = pc.and_(account_rows(table, self.name), pc.is_null(table.column("missing_since")))
        return bool(pc.any(rows).as_py())

    def _check_service(self) -> None:
        """Refuse to mix a sandbox history and a real one; first a request tells whether the key is one at all."""
        before, now = self._account.service, self._client.transport.service
        if is_other_service(before, now):
            self.result.requests += 1
            self._client.transport.request("GET", "/v1/history", self._decoder, params={"page_size": 1})
            raise ArchiveError(
                f"{self._describe_folder()}, and this key is of another account, {describe_service(now)}. Sync into "
                "another folder (histkit sync FOLDER), or delete this one if you don't need it."
            )

    def _check_not_under_another_name(self, pages: Sequence[StagedPage], pending: PendingRows) -> None:
        """Raise if the rows of an account that is new in the folder are there, or pending, under another name."""
        if self.name in self._manifest.accounts or not (self._manifest.accounts or pending):
            return
        if pages:
            self._check_name(pending.account_of(pages[len(pages) // 2].read(_IDENTITY)))
        for page in {pages[place].path: pages[place] for place in (0, len(pages) // 2, -1) if pages}.values():
            fetched = page.read(_IDENTITY)
            for file in page.months() & self._manifest.months.keys():
                with PartitionReader(self._store, file, self._manifest.months[file]) as month:
                    table = month.read(month.groups(), [*_IDENTITY, "account"])
                names = table.column("account").cast(TEXT)
                there = table.set_column(2, "account", names).join(fetched, _IDENTITY, join_type="inner")
                if 2 * len(there) > len(fetched):
                    self._check_name(there.column("account")[0].as_py())

    def _check_name(self, other: str | None) -> None:
        if other is not None:
            self._checkpoint.discard()
            raise ArchiveError(
                f"The history of account {self.name} is in {self._folder} already, as account {other}: is it "
                "the same account? Its rows would be there twice. Use one name for it, or another folder."
            )

    def _check_same_account(self, pages: Sequence[StagedPage]) -> None:
        """Raise unless the pages of the unfinished sync belong to the client's account."""
        rows = []
        for page in pages[:: -(-len(pages) // (_SAMPLE // 2)) or 1]:
            rows += page.read(["history_item_id"]).column(0).drop_null().slice(0, 2).to_pylist()
        if rows and not self._any_exists(rows):
            raise ArchiveError(
                f"The unfinished sync in {self._checkpoint.folder} belongs to another account: none of its rows is in "
                "this account's history. Use the key of that account, or delete that folder."
            )

    def _check_not_another_account(self, pages: Sequence[StagedPage], known: Sequence[str]) -> None:
        """Raise if the folder belongs to another account: no known row is in the pages, nor found by its id."""
        fetched = {item for page in pages for item in page.read(["history_item_id"]).column(0).to_pylist()}
        if fetched.intersection(known):
            return
        some = [*known[:3], *self._some_ids()]
        if some and fetched.isdisjoint(some) and not self._any_exists(some):
            self._checkpoint.discard()
            raise ArchiveError(
                f"{self._describe_folder()}. This key is of {self._describe_service()}, whose history has none of the "
                "rows looked up. If it is another account, give it a folder or a name of its own (accounts=). If the "
                "rows were deleted there, sync(full=True) marks them missing and continues."
            )

    def _some_ids(self) -> list[str]:
        """Return some ids of this account from months spread over the folder."""
        return some_known_ids(self._store, self._manifest, self.name, _SAMPLE, 2)

    def _any_exists(self, items: Sequence[str]) -> bool:
        return any(self._fetch_item(item) is not None for item in items)

    def _describe_folder(self) -> str:
        """Describe the account whose rows the folder has, and its newest date."""
        mark = self._account.watermark
        until = f", up to {datetime.fromtimestamp(mark, UTC):%Y-%m-%d %H:%M} UTC" if mark is not None else ""
        return f"{self._where()} has the history of {describe_service(self._account.service)}{until}"

    def _describe_service(self) -> str:
        return describe_service(self._client.transport.service)

    def _where(self) -> str:
        return f"{self._folder} (account {self.name})" if self.name else str(self._folder)


class PendingRows:
    """Ids and dates of the rows that were fetched and are not merged yet, by account."""

    def __init__(self) -> None:
        self._rows = pa.table({"history_item_id": pa.array([], TEXT), "date_unix": pa.array([], pa.int64())})
        self._accounts: list[tuple[str, int]] = []  # names, and where the rows of each end

    def __len__(self) -> int:
        return len(self._accounts)

    def add(self, rows: FetchedAccount) -> None:
        """Add the rows of an account."""
        self._rows = pa.concat_tables([self._rows, *(page.read(_IDENTITY) for page in rows.pages)])
        self._accounts.append((rows.name, len(self._rows)))

    def account_of(self, rows: pa.Table) -> str | None:
        """Return the account that most of some rows are of; None if there is none."""
        same = pc.fill_null(pc.is_in(self._rows.column("history_item_id"), rows.column("history_item_id")), False)
        known = pa.array(np.flatnonzero(same.to_numpy()))
        there = self._rows.take(known).append_column("place", known).join(rows, _IDENTITY, join_type="inner")
        places, start = there.column("place").to_numpy(), 0
        for name, end in self._accounts:
            if 2 * int(((places >= start) & (places < end)).sum()) > len(rows):
                return name
            start = end
        return None


def is_other_service(before: str, now: str) -> bool:
    """Return whether a history of one service is certainly not of another: one is the sandbox, one is not."""
    return bool(before and now) and (before == SANDBOX) != (now == SANDBOX)


def describe_service(service: str) -> str:
    """Describe an account by its service."""
    if service == SANDBOX:
        return "the sandbox's made-up account"
    return f"an account at {service}" if service else "an account"


def _full_due(account: Account, *, undated_unseen: bool) -> str | None:
    """Return why a full sync is due; None if it is not.

    Parameters
    ----------
    account : Account
        The account's state.
    undated_unseen : bool
        Whether it has rows without a date, and none was fetched, so that new ones would not be either.
    """
    reasons = []
    days = int(seconds_of(account.synced_at) - seconds_of(account.full_at)) // 86_400
    if days > _FULL_DAYS:
        reasons.append(f"the last one was {days:,} days ago" if account.full_at else "there was none")
    elif days > 0 and undated_unseen:
        reasons.append("new rows without a date are found by a full sync alone")
    if account.gaps:
        count, credits = len(account.gaps), sum(credits for _, credits in account.gaps)
        first = datetime.fromtimestamp(min(date for date, _ in account.gaps), UTC)
        reasons.append(
            f"{credits:,} credits in {count_noun(count, 'gap')} of the counter since {first:%Y-%m-%d %H:%M} UTC are "
            "in no row (rows that appeared late, or products that the history doesn't list)"
        )
    return "; ".join(reasons) or None


def _reaches(month: PartitionReader, group: int, date: int) -> bool:
    bounds = month.bounds(group, "date_unix")
    return bounds is None or (bounds[1] is not None and bounds[1] >= date)
