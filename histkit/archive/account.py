"""One account's part of a sync: finish what was begun, fetch what is new, merge it into the months."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from histkit.api.client import HistoryClient
from histkit.api.credentials import SANDBOX
from histkit.api.options import history_item_path
from histkit.api.pagination import PageWindow
from histkit.archive.checkpoint import StagedPage, SyncCheckpoint, SyncJob
from histkit.archive.manifest import WORK, Account, HistoryManifest, newest_first, partition_span, write_manifest
from histkit.archive.merge import Diff, PartitionMerge, own_rows
from histkit.archive.partitions import PartitionReader
from histkit.errors import ArchiveError, HistkitError, NotFoundError, PaginationError
from histkit.fetch.windows import WindowedFetch, WindowRows, rows_of
from histkit.frame.decode import Page, PageDecoder
from histkit.util.progress import progress_bar
from histkit.util.storage import ReadStore

PAGE_SIZE = 1000
_REMEMBERED = 10_000  # ids that each window tells repeated pages by; whatever comes twice is told apart when merged
_OVERLAP_SECONDS, _OVERLAP_ROWS = 3600, 500  # read again each time: rows appear late; less where a page is full of them
_PATIENCE = 30 * 86_400  # a row that is still processing after this is asked for by full syncs alone
_MOST_ASKED = 20  # rows still processing that are asked for one by one
_FRESH = 3600  # a full sync that began this long ago counts as one of now
_SAMPLE = 20  # rows that a full sync didn't find are asked for one by one before any is called missing


@dataclass
class AccountSyncResult:
    """What a sync of one account came to."""

    diff: Diff
    requests: int = 0
    problems: list[str] = field(default_factory=list)


class AccountSync:
    """Brings one account's rows in a folder up to date; the caller holds the folder's lock.

    Parameters
    ----------
    folder : Path
        The local history.
    manifest : Manifest
        Of the folder; it is brought up to date and written.
    name : str
        The account, "" where accounts have no names.
    client : HistoryClient
        Its client.
    """

    def __init__(
        self,
        folder: Path,
        manifest: HistoryManifest,
        name: str,
        client: HistoryClient,
        *,
        workers: int,
        progress: bool | None,
        diff: bool,
    ) -> None:
        self._folder = folder
        self._store = ReadStore(folder)
        self._manifest = manifest
        self._name = name
        self._client = client
        self._workers = workers
        self._progress = progress
        self._decoder = PageDecoder()
        self._spool = SyncCheckpoint(folder / WORK / (sha256(name.encode()).hexdigest()[:12] if name else "spool"))
        self._account = manifest.accounts.get(name, Account())
        self._outcome = AccountSyncResult(Diff(diff))

    def run(self, *, full: bool) -> AccountSyncResult:
        """Do it; what was fetched before an error stays on disk for the next time."""
        self._check_service()
        unfinished = self._spool.purpose
        if unfinished is not None and unfinished.after is not None and (full or self._account.watermark is None):
            self._spool.discard()  # what it was to bring is fetched again in any case
            unfinished = None
        if unfinished is not None:
            self._check_same_account(self._spool.pages())
            self._go_on(unfinished)
            full = full and not (unfinished.full and unfinished.started > time.time() - _FRESH)
        self._begin(full=full)
        return self._outcome

    def _begin(self, *, full: bool) -> None:
        after = None if full or self._account.watermark is None else self._overlap()[0]
        waiting = [date for date in self._processing().values() if date is not None]
        if after is not None and len(waiting) > _MOST_ASKED:
            after = min(after, *waiting)  # one by one they would take more requests
        purpose = SyncJob(self._name, after, full, int(time.time()))
        self._spool.begin(purpose)
        self._go_on(purpose)

    def _go_on(self, purpose: SyncJob) -> None:
        windows = self._spool.windows() or [PageWindow(purpose.after, None, PAGE_SIZE, _REMEMBERED)]
        self._fetch(purpose, windows)
        pages = self._spool.pages()
        known = self._overlap()[1] if purpose.after is not None else []
        if purpose.after is not None and self._manifest.months:
            self._check_not_another_account(pages, known)
        gone = self._ask_processing(purpose, pages)
        self._commit(purpose, gone)

    def _fetch(self, purpose: SyncJob, windows: list[PageWindow]) -> None:
        what = f"sync {self._name}".rstrip()
        with progress_bar(self._progress, desc=what, unit=" rows", unit_scale=True) as bar:
            spooled = bar.n = sum(page.rows for page in self._spool.pages())
            before = spooled
            bar.refresh()

            def keep(part: WindowRows, page: Page, rows: list[int]) -> None:
                nonlocal spooled
                if rows:
                    self._spool.add(rows_of(page, rows), page.problems)
                self._spool.save(part.window for part in walk.parts)
                spooled += len(rows)
                bar.update(len(rows))
                bar.set_postfix_str(f"{walk.requests} requests", refresh=False)

            walk = WindowedFetch(
                self._client,
                self._decoder,
                keep,
                windows,
                workers=self._workers,
                eager=purpose.after is None and len(windows) == 1,
            )
            try:
                walk.run()
            except HistkitError as error:
                if spooled == before or isinstance(error, ArchiveError):
                    raise
                kept = f"The {spooled:,} rows read so far are kept; sync again and it goes on there."
                raise PaginationError(f"The sync into {self._where()} stopped: {error} {kept}") from error
            finally:
                self._outcome.requests += walk.requests

    def _overlap(self) -> tuple[int, list[str]]:
        """Give the date from which to read again, and the ids on disk of that time: of the newest hour or 500 rows."""
        assert self._account.watermark is not None
        mark = min(self._account.watermark, int(time.time()))  # a date of the future must not hide what comes now
        dates, ids = np.zeros(0, np.int64), np.zeros(0, object)
        for file in newest_first(self._manifest.months):
            span = partition_span(file)
            if span is None or span[1] <= mark - _OVERLAP_SECONDS:
                break
            with PartitionReader(self._store, file) as month:
                groups = [group for group in month.groups() if _reaches(month, group, mark - _OVERLAP_SECONDS)]
                table = month.read(groups, ["date_unix", "account", "history_item_id", "missing_since"])
            table = table.filter(pc.and_(own_rows(table, self._name), pc.is_null(table.column("missing_since"))))
            dates = np.r_[dates, table.column("date_unix").to_numpy()]
            ids = np.r_[ids, np.array(table.column("history_item_id").to_pylist(), object)]
        recent = np.sort(dates[dates >= mark - _OVERLAP_SECONDS])[::-1]
        after = int(min(mark, recent[_OVERLAP_ROWS - 1])) if len(recent) >= _OVERLAP_ROWS else mark - _OVERLAP_SECONDS
        return after, [item for item in ids[dates >= after].tolist() if item is not None]

    def _ask_processing(self, purpose: SyncJob, pages: Sequence[StagedPage]) -> list[str]:
        """Ask again for rows that were still processing and were not in the pages; give the ids that are gone."""
        waiting = {} if purpose.full else self._processing()
        if waiting:
            for page in pages:
                for item in page.read(["history_item_id"]).column(0).to_pylist():
                    waiting.pop(item, None)
        gone: list[str] = []
        for item in waiting:
            found = self._item(item)
            if found is None:
                gone.append(item)
            else:
                self._spool.add(found.rows, found.problems)
        return gone

    def _processing(self) -> dict[str, int | None]:
        """Give ids and dates of rows that were processing and may still become something."""
        early = time.time() - _PATIENCE
        return {item: date for item, date in self._account.processing.items() if date is None or date > early}

    def _item(self, item: str) -> Page | None:
        """Fetch one row as a page; None when it is gone."""

        def decode(body: bytes) -> Page:
            return self._decoder(b'{"has_more":false,"history":[' + body + b"]}")

        self._outcome.requests += 1
        try:
            return self._client.transport.request("GET", history_item_path(item), decode).data
        except NotFoundError:
            return None

    def _commit(self, purpose: SyncJob, gone: Sequence[str]) -> None:
        pages = self._spool.pages()
        now = int(time.time())
        merge = PartitionMerge(
            self._folder,
            self._manifest,
            self._name,
            pages,
            full=purpose.full,
            gone=gone,
            now=now,
            diff=self._outcome.diff.keep_rows,
        )
        if purpose.full and self._manifest.months:
            self._check_missing(*merge.known(), fetched=sum(page.rows for page in pages))
        dates = [self._account.processing[item] for item in gone]
        dates += self._account.processing.values() if self._account.processing else []
        files = merge.files(dates)
        quiet = self._progress if len(files) > 2 else False
        for file in progress_bar(quiet, iterable=files, desc="months", unit=" months"):
            merge.month(file)
        merge.finish()
        self._update(purpose, pages, gone, now)
        self._outcome.diff.add(merge.diff)
        self._outcome.problems += [problem for page in pages for problem in page.problems]
        write_manifest(self._folder, self._manifest)
        self._spool.discard()

    def _update(self, purpose: SyncJob, pages: Sequence[StagedPage], gone: Sequence[str], now: int) -> None:
        account = self._account
        newest = [page.newest for page in pages if page.newest is not None]
        if newest:
            account.watermark = max(*newest, account.watermark or 0)
        for item in gone:
            account.processing.pop(item, None)
        if purpose.full:
            account.processing = {}
        for page in pages:
            table = page.read(["history_item_id", "date_unix", "state"])
            for item in account.processing.keys() & set(table.column("history_item_id").to_pylist()):
                del account.processing[item]
            unfinished = table.filter(pc.fill_null(pc.equal(table.column("state").cast("string"), "processing"), False))
            columns = (unfinished.column(name).to_pylist() for name in ("history_item_id", "date_unix"))
            account.processing |= dict(zip(*columns, strict=True))
        stamp = datetime.fromtimestamp(now, UTC).isoformat()
        account.service = self._client.transport.service
        account.synced_at = self._manifest.synced_at = stamp
        if purpose.full or purpose.after is None:
            account.full_at = stamp
        self._manifest.accounts[self._name] = account

    def _check_service(self) -> None:
        """Refuse to mix a made-up history and a real one, before any request."""
        before, now = self._account.service, self._client.transport.service
        if before and (before == SANDBOX) != (now == SANDBOX):
            raise ArchiveError(
                f"{self._describe_folder()}, and this key is of another account, {_describe(now)}. Sync into another "
                "folder (histkit sync FOLDER), or delete this one if you don't need it."
            )

    def _check_same_account(self, pages: Sequence[StagedPage]) -> None:
        """Make sure that the pages of an unfinished sync are of the account that is asked now."""
        rows = []
        for page in pages[:: -(-len(pages) // (_SAMPLE // 2)) or 1]:
            rows += page.read(["history_item_id"]).column(0).drop_null().slice(0, 2).to_pylist()
        if rows and not self._any_there(rows):
            raise ArchiveError(
                f"The unfinished sync in {self._spool.folder} is of another account: none of its rows is in this one's "
                "history. Sync with the key it was begun with, or delete that folder."
            )

    def _check_not_another_account(self, pages: Sequence[StagedPage], known: Sequence[str]) -> None:
        """Refuse to mix two accounts: some row known of the overlap is there, or some known row at all."""
        fetched = {item for page in pages for item in page.read(["history_item_id"]).column(0).to_pylist()}
        if fetched.intersection(known):
            return
        some = [*known[:3], *self._some_ids()]
        if some and not self._any_there(some):
            self._spool.discard()
            raise ArchiveError(
                f"{self._describe_folder()}. This key is of {self._describe_service()}, whose history has none of the "
                "rows looked up. If it is another account, give it a folder or a name of its own (accounts=). If the "
                "rows were deleted there, sync(full=True) marks them missing and goes on."
            )

    def _check_missing(self, known: int, found: int, absent: Sequence[str], *, fetched: int) -> None:
        if known > _SAMPLE and fetched and not found:
            self._spool.discard()
            raise ArchiveError(
                f"{self._describe_folder()}. This key is of another account, {self._describe_service()}, whose history "
                f"has {fetched:,} rows and none of the folder's {known:,}. Give it a folder or a name of its own "
                "(accounts=)."
            )
        step = -(-len(absent) // _SAMPLE) or 1
        if self._any_there(absent[::step]):
            self._spool.discard()
            raise PaginationError(
                f"The service left out rows of its listing that it still has (of {len(absent):,} not listed). Nothing "
                "was marked missing; sync again later."
            )

    def _some_ids(self) -> list[str]:
        """Give ids of this account from all over the folder."""
        found = []
        files = newest_first(self._manifest.months)
        for file in files[:: -(-len(files) // _SAMPLE) or 1]:
            with PartitionReader(self._store, file) as month:
                table = month.read(month.groups()[:1], ["account", "history_item_id", "missing_since"])
            table = table.filter(pc.and_(own_rows(table, self._name), pc.is_null(table.column("missing_since"))))
            found += table.column("history_item_id").drop_null().slice(0, 2).to_pylist()
        return found

    def _any_there(self, items: Sequence[str]) -> bool:
        return any(self._item(item) is not None for item in items)

    def _describe_folder(self) -> str:
        """Return whose rows the folder has, and up to when."""
        mark = self._account.watermark
        until = f", up to {datetime.fromtimestamp(mark, UTC):%Y-%m-%d %H:%M} UTC" if mark is not None else ""
        return f"{self._where()} has the history of {_describe(self._account.service)}{until}"

    def _describe_service(self) -> str:
        return _describe(self._client.transport.service)

    def _where(self) -> str:
        return f"{self._folder} (account {self._name})" if self._name else str(self._folder)


def _describe(service: str) -> str:
    """Return an account's service as words of a sentence."""
    if service == SANDBOX:
        return "the sandbox's made-up account"
    return f"an account at {service}" if service else "an account"


def _reaches(month: PartitionReader, group: int, date: int) -> bool:
    bounds = month.bounds(group, "date_unix")
    return bounds is None or (bounds[1] is not None and bounds[1] >= date)
