"""The checkpoint of an unfinished sync: the pages fetched so far, and the state of its windows.

A page is written before the state that counts it. A sync that is killed in between fetches that page again: one page a
window at most.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from histkit.api.pagination import PageWindow
from histkit.errors import ArchiveError
from histkit.frame.schema import SCHEMA, SCHEMA_VERSION
from histkit.util.files import atomic_write
from histkit.util.text import error_line

_STATE = "state.json"
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


class _State(msgspec.Struct):
    purpose: SyncJob
    windows: list[dict[str, Any]]
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
    """The folder that holds one account's unfinished sync."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state: _State | None = None
        self._next = 0
        if folder.is_dir():
            self._state = _read_state(folder / _STATE)
            numbers = [int(path.stem) for path in folder.glob(_PAGES)]
            self._next = max(numbers, default=-1) + 1
        if self._state is None:
            self.discard()

    @property
    def job(self) -> SyncJob | None:
        """The job of the sync on disk; None if there is none."""
        return self._state.purpose if self._state is not None else None

    def windows(self) -> list[PageWindow]:
        """Return the windows as they were saved."""
        return [PageWindow.restored(state) for state in self._state.windows] if self._state is not None else []

    def begin(self, job: SyncJob) -> None:
        """Start a new sync; an earlier one on disk is discarded."""
        self.discard()
        self._state = _State(job, [])

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
        with (
            atomic_write(self.folder / f"{self._next:08}.arrow") as temporary,
            pa.OSFile(str(temporary), "wb") as file,
            pa.ipc.new_file(file, schema, options=_OPTIONS) as writer,
        ):
            writer.write_batch(pa.RecordBatch.from_arrays(rows.columns, schema=schema))
        self._next += 1

    def save(self, windows: Iterable[PageWindow]) -> None:
        """Save the state of the windows."""
        assert self._state is not None
        self._state.windows = [window.state() for window in windows]
        with atomic_write(self.folder / _STATE) as temporary:
            temporary.write_bytes(msgspec.json.encode(self._state))

    def pages(self) -> list[StagedPage]:
        """Return the pages in the order they were fetched."""
        return [_facts(path) for path in sorted(self.folder.glob(_PAGES))]

    def discard(self) -> None:
        """Remove everything."""
        if self.folder.exists():
            (self.folder / _STATE).unlink(missing_ok=True)  # first: pages without a state are ignored
            shutil.rmtree(self.folder)
        self._state, self._next = None, 0


def _read_state(path: Path) -> _State | None:
    """Read the state; None if there is none, or a version of histkit with another schema wrote it."""
    try:
        state = msgspec.json.decode(path.read_bytes(), type=_State)
    except (FileNotFoundError, msgspec.ValidationError):
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise _damaged(path, error) from None
    return state if state.schema_version == SCHEMA_VERSION else None


def _facts(path: Path) -> StagedPage:
    try:
        with pa.memory_map(str(path)) as file:
            facts = json.loads(pa.ipc.open_file(file).schema.metadata[b"page"])
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise _damaged(path, error) from None
    return StagedPage(path, facts["rows"], facts["oldest"], facts["newest"], facts["undated"], tuple(facts["problems"]))


def _damaged(path: Path, error: BaseException) -> ArchiveError:
    return ArchiveError(
        f"{path} of an unfinished sync is damaged ({error_line(error)}). "
        f"Delete the folder {path.parent} and sync again."
    )
