"""The checkpoint of an unfinished sync: the pages fetched so far, and the state of its windows.

A page is written before the state that counts it and has its checksum. A sync that is killed in between fetches that
page again: one page a window at most.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from histkit.api.pagination import PageWindow
from histkit.archive.manifest import check_json, crc_of, json_with_checksum, months_of, partition_path
from histkit.errors import ArchiveError
from histkit.frame.schema import SCHEMA, SCHEMA_VERSION
from histkit.util.files import atomic_write
from histkit.util.text import error_line

STATE = "state.json"
_PAGES = "[0-9]" * 8 + ".arrow"
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


class SyncJob(msgspec.Struct, frozen=True):
    """The job of a sync.

    Attributes
    ----------
    account : str
        Its name.
    after : int or None
        The date to start from; None: all.
    full : bool
        Whether to look for missing rows.
    started : int
        When it started, seconds since 1970: the earlier one of this machine's clock and the service's.
    """

    account: str
    after: int | None
    full: bool
    started: int


class _Window(msgspec.Struct, forbid_unknown_fields=True):
    """The state of a `PageWindow`."""

    page_size: int
    remember: int | None
    after: int | None
    before: int | None
    position: int | None
    newest: int | None
    done: bool
    _cursor: str | None
    _restarted_at: int | None
    _cursor_faults: int
    _length: int
    _asked_before: int | None
    from_top: bool = False


class _State(msgspec.Struct):
    """The job, its windows, and the CRC-32 of each page's file; pages of older versions have none."""

    purpose: SyncJob
    windows: list[_Window]
    pages: dict[str, int] | None = None
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class StagedPage:
    """A page on disk: the file, its rows, oldest and newest date (None: no row has one), and rows without a date."""

    path: Path
    rows: int
    oldest: int | None
    newest: int | None
    undated: int
    problems: tuple[str, ...]

    def holds(self, start: int | None, end: int | None) -> bool:
        """Return whether rows can lie in the seconds ``[start, end)``; without bounds: whether rows have no date."""
        if start is None or end is None:
            return self.undated > 0
        return self.newest is not None and self.oldest is not None and self.newest >= start and self.oldest < end

    def months(self) -> set[str]:
        """Return the months' files that rows can be of."""
        files = {partition_path(None)} if self.undated else set()
        if self.newest is None or self.oldest is None:
            return files
        if self.newest - self.oldest < 366 * 86_400:
            return files.union(months_of(self.oldest, self.newest))
        return files.union(map(partition_path, self.read(["date_unix"]).column(0).drop_null().to_pylist()))

    def newest_until(self, moment: int) -> int | None:
        """Return the newest date that is not later than a moment; None if there is none."""
        if self.newest is None or self.newest <= moment:
            return self.newest
        dates = self.read(["date_unix"]).column(0)
        newest: int | None = pc.max(dates.filter(pc.less_equal(dates, moment))).as_py()
        return newest

    def read(self, columns: Sequence[str] = SCHEMA.names) -> pa.Table:
        """Read the rows, in the order they were fetched."""
        options = pa.ipc.IpcReadOptions(included_fields=sorted(map(SCHEMA.get_field_index, columns)))
        try:
            with pa.memory_map(str(self.path)) as file:
                return pa.ipc.open_file(file, options=options).read_all().replace_schema_metadata(None)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(self.path, error) from None


class SyncCheckpoint:
    """The folder that holds one account's unfinished sync.

    A damaged one is discarded with a warning: its pages are fetched again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state: _State | None = None
        self._next = 0
        self._crcs: dict[str, int] = {}  # of the pages written
        self._checked: dict[str, StagedPage] = {}
        if folder.is_dir():
            try:
                self._resume()
            except ArchiveError as error:
                warnings.warn(f"{error} It is discarded, and its pages are fetched again.", stacklevel=2)
                self._state = None
        if self._state is None:
            self.discard()

    def _resume(self) -> None:
        """Read the state, and check the pages that it counts; others, which a kill left, are removed."""
        self._state = _read_state(self.folder / STATE)
        paths = sorted(self.folder.glob(_PAGES))
        if self._state is None:
            return
        if self._state.pages is not None:
            for path in paths:
                if path.name not in self._state.pages:
                    path.unlink(missing_ok=True)
            self._crcs = dict(self._state.pages)
            paths = [self.folder / name for name in sorted(self._crcs)]
            for path in paths:
                _check_page(path, self._crcs[path.name])
        self._next = max((int(path.stem) for path in paths), default=-1) + 1
        self.pages()

    @property
    def job(self) -> SyncJob | None:
        """The job of the sync on disk; None if there is none."""
        return self._state.purpose if self._state is not None else None

    def windows(self) -> list[PageWindow]:
        """Return the windows as they were saved."""
        windows = self._state.windows if self._state is not None else []
        return [PageWindow.restored(msgspec.to_builtins(window)) for window in windows]

    def begin(self, job: SyncJob) -> None:
        """Start a new sync; an earlier one on disk is discarded."""
        self.discard()
        self._state = _State(job, [], {})

    def limit_start(self, moment: int | None) -> None:
        """Move the start of the job back to a moment; None changes nothing."""
        assert self._state is not None
        if moment is not None and moment < self._state.purpose.started:
            self._state.purpose = msgspec.structs.replace(self._state.purpose, started=moment)

    def add(self, rows: pa.RecordBatch, problems: Iterable[str]) -> None:
        """Write a page to disk."""
        dates = pc.min_max(rows.column("date_unix")).as_py()
        facts = {"oldest": dates["min"], "newest": dates["max"], "problems": list(problems)}
        facts |= {"rows": len(rows), "undated": rows.column("date_unix").null_count}
        schema = SCHEMA.with_metadata({b"page": json.dumps(facts).encode()})
        path = self.folder / f"{self._next:08}.arrow"
        with atomic_write(path) as temporary:
            with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, schema, options=_OPTIONS) as writer:
                writer.write_batch(pa.RecordBatch.from_arrays(rows.columns, schema=schema))
            with temporary.open("rb", buffering=0) as written:
                self._crcs[path.name], _ = crc_of(written)
        self._next += 1

    def save(self, windows: Iterable[PageWindow]) -> None:
        """Save the state of the windows."""
        assert self._state is not None
        self._state.windows = [msgspec.convert(window.state(), _Window) for window in windows]
        self._state.pages = dict(self._crcs)
        with atomic_write(self.folder / STATE) as temporary:
            temporary.write_bytes(json_with_checksum(self._state))

    def pages(self) -> list[StagedPage]:
        """Return the pages in the order they were fetched."""
        for path in sorted(self.folder.glob(_PAGES)):
            if path.name not in self._checked:
                self._checked[path.name] = _facts(path)
        return [self._checked[name] for name in sorted(self._checked)]

    def discard(self) -> None:
        """Remove everything."""
        if self.folder.exists():
            (self.folder / STATE).unlink(missing_ok=True)  # first: pages without a state are ignored
            shutil.rmtree(self.folder)
        self._state, self._next = None, 0
        self._crcs, self._checked = {}, {}


def _read_state(path: Path) -> _State | None:
    """Read the state; None if there is none, or a version of histkit with another schema wrote it."""
    try:
        data = path.read_bytes()
        has_checksum = check_json(data)
        if msgspec.json.decode(data, type=_Version).schema_version != SCHEMA_VERSION:
            return None
        state = msgspec.json.decode(data, type=_State)
        if state.pages is not None and not has_checksum:
            raise ValueError("its checksum is missing")
        names = state.pages or {}
        if any(Path(name).name != name or not Path(name).match(_PAGES) for name in names):
            raise ValueError("it names a page that is none")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from None
    return state


class _Version(msgspec.Struct):
    schema_version: int = SCHEMA_VERSION


def _check_page(path: Path, crc32: int) -> None:
    try:
        with path.open("rb", buffering=0) as file:
            if crc_of(file)[0] != crc32:
                raise _damaged(path, ValueError("its checksum differs"))
    except OSError as error:
        raise _damaged(path, error) from None


def _facts(path: Path) -> StagedPage:
    try:
        with pa.memory_map(str(path)) as file:
            facts = json.loads(pa.ipc.open_file(file).schema.metadata[b"page"])
        page = msgspec.convert({**facts, "path": str(path)}, StagedPage, dec_hook=lambda kind, value: kind(value))
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None
    return page


def _damaged(path: Path, error: BaseException) -> ArchiveError:
    return ArchiveError(f"{path} of an unfinished sync is damaged ({error_line(error)}).")
