"""Is a local history what histkit wrote? Compare the folder with its manifest, and repair it.

A month's file is right if its checksum is that of the manifest, or of a sync that was killed before it wrote the
manifest. Any other file is read by a child process first, since a damaged file can end a process that reads it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from histkit.archive.checkpoint import STATE
from histkit.archive.manifest import (
    MANIFEST,
    OLD_UNDATED,
    UNDATED,
    WORK,
    Account,
    DamagedManifestError,
    HistoryManifest,
    Month,
    crc_of,
    is_month,
    month_label,
    newest_first,
    partition_path,
    read_manifest,
    read_replaced,
    twin_of,
    write_manifest,
)
from histkit.archive.merge import id_keys, row_keys, voices_of
from histkit.archive.partitions import (
    FILE_SCHEMA,
    REFETCH,
    PartitionReader,
    changed_error,
    month_written_again,
    rows_of_month,
    sort_rows,
    writing_month,
)
from histkit.archive.upgrade import is_copied, move_undated, rewrite_month
from histkit.errors import ArchiveError
from histkit.frame.parquet_metadata import NewerVersionError
from histkit.frame.schema import TEXT
from histkit.util.files import exclusive_lock
from histkit.util.storage import ReadStore, normalize_path
from histkit.util.text import count_noun, error_line

ASIDE = ".histkit-aside"
BUSY = "Another sync is writing into {}: wait for it to end."
_FULL, _REPAIR = "sync(full=True)", "histkit check --repair"
_UNKNOWN = "not a file of this history"
_REWRITTEN = "written by another program"
_SECONDS = 600  # for one file
_SHOWN = 3  # stray files in a message
_REASONS = {  # what Arrow says of a damaged file, and shorter words for it; the first that fits
    "page integrity": "page checksum differs",
    "Deserializing page header failed": "page header can't be read",
    "Couldn't deserialize thrift": "footer can't be read",
    "has a footer that can't be read": "footer can't be read",
}


@dataclass
class MonthState:
    """The state of a month's file, or of another file in the folder.

    Attributes
    ----------
    file : str
        Path in the folder.
    state : str
        ``ok``, or what is wrong.
    cure : str
        What makes it right; empty where it is.
    rows : int or None
        Rows that can be read.
    intact : bool
        Whether its rows are those that were written, so that it can be repaired without the service.
    readable : bool
        Whether its rows can be read.
    label : str
        What readers call it; default: its month, else its path.
    """

    file: str
    state: str = "ok"
    cure: str = ""
    rows: int | None = None
    intact: bool = False
    readable: bool = True
    label: str = ""

    def __post_init__(self) -> None:
        self.label = self.label or month_label(self.file)

    def line(self, folder: Path) -> str:
        """Return the state as the beginning of a sentence."""
        return f"{folder / self.file} {'' if self.state.startswith('holds') else 'is '}{self.state}"


@dataclass
class Content:
    """What a child process found in a month's file.

    Attributes
    ----------
    rows, wrong, twice, unnamed : int
        Rows; rows of other months; rows that are there more than once; rows without an id, unless the file is what this
        version writes for its rows. Such a row may have lost its id.
    current : bool
        Whether this version wrote it.
    voices : list of (id, name)
        Its voices.
    accounts : list of str or None
        Its accounts.
    problem : str
        Why it can't be read; empty if it can.
    lacking : str
        The first column that this version writes and the file does not have; empty if there is none.
    newer : str
        The message where a newer histkit wrote it.
    """

    rows: int = 0
    wrong: int = 0
    twice: int = 0
    unnamed: int = 0
    current: bool = False
    voices: list[tuple[str | None, str | None]] = field(default_factory=list)
    accounts: list[str | None] = field(default_factory=list)
    problem: str = ""
    lacking: str = ""
    newer: str = ""

    def fault(self) -> str:
        """Return what is wrong with the rows; empty if nothing is."""
        if self.problem:
            return f"damaged ({self.problem})"
        parts = [f"{count_noun(self.wrong, 'row')} of other months"] if self.wrong else []
        parts += [f"{count_noun(self.twice, 'row')} twice"] if self.twice else []
        parts += [f"{count_noun(self.unnamed, 'row')} without an id"] if self.unnamed else []
        return f"holds {' and '.join(parts)}" if parts else ""


def inspect(folder: Path, file: str) -> Content:
    """Read a month's file completely."""
    try:
        with PartitionReader(ReadStore(folder), file) as month:
            lacking = [name for name in FILE_SCHEMA.names if name not in month.names]
            needed = {"history_item_id", "date_unix"}.intersection(lacking)
            if needed:
                return Content(problem=f"it has no column {min(needed)}")
            table, current = month.read(month.groups(), FILE_SCHEMA.names), month.has_page_checksums
        table.validate(full=True)
    except NewerVersionError as error:
        return Content(newer=error_line(error))
    except (ArchiveError, pa.ArrowException) as error:
        return Content(problem=_reason(error, f"{folder / file}"))
    if not _has_dates(table):
        return Content(problem="its column date_unix does not hold seconds since 1970")
    inside = rows_of_month(table, file)
    voices = sorted(voices_of(table), key=lambda pair: (pair[0] or "", pair[1] or ""))
    accounts = pc.unique(table.column("account").cast(TEXT)).to_pylist()
    rows = len(table)
    twice = rows - len(pc.unique(row_keys(table)))
    unnamed = table.column("history_item_id").null_count
    if unnamed and _checksum_of(folder / file) == month_written_again(table).checksum:
        unnamed = 0
    first = lacking[0] if lacking else ""
    return Content(
        rows, rows - pc.sum(inside, min_count=0).as_py(), twice, unnamed, current, voices, accounts, lacking=first
    )


def _reason(error: Exception, where: str) -> str:
    """Return why a file can't be read, without its name and what to do."""
    line = error_line(error, 1000).removeprefix(where).lstrip(": ")
    for advice in (". Restore a copy", ". Write it again"):
        line = line.partition(advice)[0]
    inner = line.removeprefix("is damaged (")
    reason = inner if inner == line else inner.removesuffix(")")
    return next((plain for words, plain in _REASONS.items() if words in reason), reason.rstrip("."))


def _has_dates(table: pa.Table) -> bool:
    """Return whether all dates are of the years 1 to 9999."""
    bounds = pc.min_max(table.column("date_unix")).as_py()
    try:
        return all(bool(partition_path(bound)) for bound in bounds.values())
    except (ValueError, OverflowError, OSError):
        return False


def inspect_apart(folder: Path, files: Sequence[str]) -> dict[str, Content]:
    """Read months' files in a child process; one that ends it is damaged."""
    found: dict[str, Content] = {}
    code = "import sys; from histkit.archive.integrity import main; main(sys.argv[1], sys.argv[2:])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    while rest := [file for file in files if file not in found]:
        try:
            done = subprocess.run(
                [sys.executable, "-c", code, str(folder.absolute()), *rest],
                capture_output=True,
                env=environment,
                timeout=_SECONDS * len(rest),
                check=False,
            ).stdout
        except subprocess.TimeoutExpired as error:
            done = error.stdout or b""
        before = len(found)
        for line in done.splitlines():
            file, facts = json.loads(line)
            facts["voices"] = [tuple(pair) for pair in facts["voices"]]
            found[file] = Content(**facts)
            if found[file].newer:
                raise NewerVersionError(found[file].newer)
        if len(found) - before < len(rest):
            found[rest[len(found) - before]] = Content(problem="reading it ends the process")
    return found


def main(folder: str, files: Iterable[str]) -> None:
    """Print what each file holds as a line of JSON: the child process of `inspect_apart`."""
    for file in files:
        print(json.dumps([file, vars(inspect(Path(folder), file))]), flush=True)


def stray_files(folder: Path, known: Iterable[str]) -> list[str]:
    """Return the files that are no months of the history and that other tools take for some."""
    months = {*known}
    if OLD_UNDATED in months or is_copied(folder):
        months |= {UNDATED, OLD_UNDATED}
    return sorted(file for file in _files(folder, "", frozenset()) if file not in months)


def _files(folder: Path, prefix: str, above: frozenset[str]) -> Iterator[str]:
    """Yield the files that other tools read; `above` are the folders that hold this one, so that a loop ends."""
    try:
        place = os.path.realpath(folder / prefix)
        entries = [] if place in above else list(os.scandir(folder / prefix))
    except OSError:
        return
    if place in above and prefix.startswith("year="):
        yield prefix.rstrip("/")
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if entry.name.startswith((".", "_")):
            continue
        if Path(entry.path).is_dir() and not is_month(name):
            yield from _files(folder, f"{name}/", above | {place})
        elif name.startswith("year=") or name.endswith(".parquet"):
            yield name


def warn_of_strays(folder: Path, manifest: HistoryManifest) -> None:
    """Warn of files that are no months of the history; they are not read."""
    store = ReadStore(folder)
    strays = stray_files(folder, {*manifest.months, *read_replaced(store)})
    if strays:  # a sync may have written them since the manifest was read: its note goes once the manifest has them
        noted, latest = read_replaced(store), read_manifest(store)
        strays = [file for file in strays if file not in noted and (latest is None or file not in latest.months)]
    if strays:
        names = ", ".join(strays[:_SHOWN]) + (", ..." if len(strays) > _SHOWN else "")
        warnings.warn(
            f"{folder} has {count_noun(len(strays), 'file')} that the history does not have and does not read "
            f"({names}): run histkit check --repair, which moves such files aside.",
            stacklevel=5,
        )


class HistoryFolder:
    """A local history's folder and manifest, compared with each other; the caller holds the folder's lock.

    Parameters
    ----------
    folder : Path
        The folder.
    deep : bool
        Compare the checksum of every month, not only its size.

    Attributes
    ----------
    manifest : HistoryManifest
        With the months of a killed sync. Of a damaged or missing one, what the months say.
    made_again : bool
        Whether the manifest is damaged or missing.
    problems : list of MonthState
        What is not as it should be.
    notes : list of str
        What was repaired, and what could not be compared.
    older : list of str
        Months that an older version wrote.
    unproven : int
        Months that the manifest has no checksum of, because an older version wrote it.
    """

    def __init__(self, folder: Path, *, deep: bool) -> None:
        self.folder = folder
        self._store = ReadStore(folder)
        self._deep = deep
        self.problems: list[MonthState] = []
        self.notes: list[str] = []
        self.older: list[str] = []
        self.unproven = 0
        self.damaged_manifest: DamagedManifestError | None = None
        existing = self._read()
        self.made_again = existing is None
        self.manifest = existing or HistoryManifest()
        replaced = read_replaced(self._store)
        self._take_replaced()
        if existing is None:
            self._rebuild()
        else:
            self._compare()
        self.strays = stray_files(folder, {*self.manifest.months, *replaced, *(state.file for state in self.problems)})

    def _read(self) -> HistoryManifest | None:
        try:
            return read_manifest(self._store)
        except DamagedManifestError as error:
            self.damaged_manifest = error
            return None

    def _take_replaced(self) -> None:
        """Take in the months that a killed sync replaced."""
        voices = set(self.manifest.voices)
        for file, months in read_replaced(self._store).items():
            found = self._checksum(file)
            for month in months:
                if is_month(file) and found == month.month.checksum:
                    self.manifest.months[file] = month.month
                    voices |= set(month.voices)
        self.manifest.voices = list(voices)

    def _checksum(self, file: str) -> tuple[int, int] | None:
        return _checksum_of(self.folder / file)

    def _months_on_disk(self) -> list[str]:
        paths = self.folder.glob("year=*/month=*/history.parquet")
        files = [file for path in paths if is_month(file := path.relative_to(self.folder).as_posix())]
        return [file for file in files if not (file == OLD_UNDATED and UNDATED in files)]

    def _rebuild(self) -> None:
        """Make the manifest of the months on disk; accounts are read completely by the next sync."""
        unknown = [file for file in self._months_on_disk() if file not in self.manifest.months]
        self._adopt(unknown, rebuild=True)

    def _adopt(self, files: Sequence[str], *, rebuild: bool = False) -> None:
        """Take in months that no checksum vouches for, if each row is in its month, once."""
        if not files:
            return
        voices = set(self.manifest.voices)
        for file, content in inspect_apart(self.folder, files).items():
            known, found = self.manifest.months.get(file), self._checksum(file)
            if known is not None and found is not None and found[1] == known.bytes:
                content = replace(content, unnamed=0)  # an older version wrote it
            if content.fault() or found is None or (known is not None and content.rows < known.rows):
                self._add_problem(file, content)
                continue
            self.manifest.months[file] = Month(content.rows, found[1], found[0])
            self.older += [] if content.current else [file]
            voices |= set(content.voices)
            for account in content.accounts if rebuild else ():
                self.manifest.accounts.setdefault(account or "", Account())
        self.manifest.voices = list(voices)

    def _compare(self) -> None:
        months = self.manifest.months
        legacy = bool(months) and all(month.crc32 is None for month in months.values())
        doubtful, other = [], []
        for file, month in list(months.items()):
            path = self.folder / file
            if not path.is_file():
                state = "a folder" if path.is_dir() else "missing"
                self.problems.append(MonthState(file, state, _FULL, readable=False))
            elif month.crc32 is None:
                self.unproven += 1
                doubtful.append(file)
            elif path.stat().st_size != month.bytes or (self._deep and self._checksum(file) != month.checksum):
                other.append(file)
        if legacy:  # a killed sync of an older version can have left more
            doubtful += [file for file in self._months_on_disk() if file not in months]
        self._upgrade(doubtful)
        for file, content in inspect_apart(self.folder, other).items():
            self._add_problem(file, content)

    def _upgrade(self, files: Iterable[str]) -> None:
        """Take in months of an older version, which had no checksums, if each row is in its month, once."""
        doubtful = []
        for file in files:
            known, found = self.manifest.months.get(file), self._checksum(file)
            if self._deep or known is None or found is None or found[1] != known.bytes:
                doubtful.append(file)
                continue
            with PartitionReader(self._store, file) as month:
                dates = month.read(month.groups(), ["date_unix"])
            if pc.all(rows_of_month(dates, file), min_count=0).as_py():
                self.manifest.months[file] = Month(known.rows, found[1], found[0])
                self.older.append(file)
            else:
                doubtful.append(file)
        self._adopt(doubtful)

    def _add_problem(self, file: str, content: Content) -> None:
        known = self.manifest.months.get(file)
        unique = content.rows - content.wrong - content.twice
        proven = not content.problem and known is not None and self._proves_values(file, known)
        if proven and known is not None and known.crc32 is not None:
            content = replace(content, unnamed=0)
        intact = not content.unnamed and (proven if known is not None else not (content.problem or content.wrong))
        twin = self._twin(file)
        state = f"a copy of {month_label(twin)}" if twin else content.fault() or self._other_bytes(file, known)
        if known is not None and not content.problem and not twin and unique < known.rows:
            state += f", {count_noun(known.rows - unique, 'row')} missing"
        elif known is not None and content.lacking:
            state += f", without the column {content.lacking}"
        elif not intact and state == _REWRITTEN:
            state += ", its values may differ"
        rows = None if content.problem else content.rows
        cure = f"{_FULL}, or {_REPAIR}" if intact else _FULL
        self.problems.append(MonthState(file, state, cure, rows, intact, not content.problem))

    def _proves_values(self, file: str, known: Month) -> bool:
        """Return whether a readable month's rows are those that were written: written again, they have its checksum.

        The number of rows proves nothing: a flipped bit keeps it. A month of an older version has no checksum.
        """
        table = self._read_month(file)
        rows = _distinct(table.filter(rows_of_month(table, file)))
        if known.crc32 is None:
            return len(rows) == known.rows
        return month_written_again(rows).checksum == known.checksum

    def _read_month(self, file: str) -> pa.Table:
        with PartitionReader(self._store, file) as month:
            return month.read(month.groups(), FILE_SCHEMA.names)

    def _other_bytes(self, file: str, known: Month | None) -> str:
        """Return what is wrong with a month of the right number of rows: no other program writes as many bytes."""
        flipped = known is not None and (self.folder / file).stat().st_size == known.bytes
        return "damaged (checksum differs)" if flipped else _REWRITTEN

    def _twin(self, file: str) -> str | None:
        return twin_of(self.manifest.months, file, self._checksum(file))

    def states(self) -> list[MonthState]:
        """Return the state of everything in the folder, newest month first."""
        bad = {state.file: state for state in self.problems}
        months = [bad.get(file) or MonthState(file, rows=month.rows) for file, month in self.manifest.months.items()]
        months += [state for file, state in bad.items() if file not in self.manifest.months]
        order = {file: place for place, file in enumerate(newest_first(state.file for state in months))}
        months.sort(key=lambda state: order[state.file])
        strays = [MonthState(file, _UNKNOWN, f"{_FULL}, or {_REPAIR}") for file in self.strays]
        manifest = []
        if self.damaged_manifest is not None:
            state = str(self.damaged_manifest).removeprefix(f"{self.folder / MANIFEST} is ").partition(": restore")[0]
            manifest = [MonthState(MANIFEST, state, f"{_FULL}, or {_REPAIR}")]
        elif self.made_again:
            manifest = [MonthState(MANIFEST, "missing", _FULL if self.unfinished() else f"{_FULL}, or {_REPAIR}")]
        return [*manifest, *months, *strays, *self._doubles(bad)]

    def _doubles(self, bad: Iterable[str]) -> list[MonthState]:
        """Find rows that are in two months."""
        if not self._deep:
            return []
        keys = []
        for file in self.manifest.months:
            if file not in bad:
                with PartitionReader(self._store, file) as month:
                    table = month.read(month.groups(), ["history_item_id", "account"])
                keys += id_keys(table).chunks
        every = pa.chunked_array(keys, TEXT)
        count = len(every) - len(pc.unique(every))
        state = f"{count_noun(count, 'row')} in two months"
        return [MonthState("(all months)", state, _FULL)] if count else []

    def unfinished(self) -> bool:
        """Return whether a sync was interrupted."""
        return any((self.folder / WORK).glob(f"*/{STATE}"))

    def raise_problems(self) -> None:
        """Raise an error that names the first problem and its cure."""
        if self.damaged_manifest is not None:
            raise self.damaged_manifest
        unknown = [MonthState(file, _UNKNOWN, _FULL) for file in self.strays if is_month(file)]  # would be replaced
        problems = [*self.problems, *unknown]
        if problems:
            more = f" (histkit check shows {len(problems) - 1:,} more)" if problems[1:] else ""
            repair = ", or histkit check --repair" if problems[0].intact else ""
            raise ArchiveError(f"{problems[0].line(self.folder)}{more}: restore a copy, or {REFETCH}{repair}.")

    def upgrade(self) -> None:
        """Write the months of older versions as this version does; no request is needed."""
        move_undated(self.folder, self.manifest)
        for file in [UNDATED if file == OLD_UNDATED else file for file in self.older]:
            if file in self.manifest.months and (self.folder / file).is_file():
                self.manifest.months[file] = rewrite_month(self.folder, file)
        self.older = []

    def repair(self, *, full: bool) -> None:
        """Repair what can be repaired without the service; before a full sync also what that will complete.

        What is replaced is kept in `ASIDE`. A file that can't be repaired stays until a full sync replaces it.
        """
        lost = not all(state.intact for state in self.problems)
        rebuilt = self.damaged_manifest is not None and (full or not lost)
        if rebuilt:
            self._set_aside(MANIFEST, "damaged; made again from the months")
            self.damaged_manifest = None
        for file in self.strays:
            self._set_aside(file, _UNKNOWN)
        self.strays = []
        others: list[pa.Table] = []
        known = {file: month.rows for file, month in self.manifest.months.items()}
        repaired = [state.file for state in self.problems if not state.intact and full]
        for state in self.problems:
            if state.intact or full:
                others += self._repair_month(state)
        self.problems = [state for state in self.problems if not (state.intact or full)]
        self._add_rows(others)
        for file in repaired:
            kept = self.manifest.months[file].rows if (self.folder / file).exists() else 0
            lost_rows = known.get(file, 0) - kept
            if lost_rows > 0:
                self.manifest.lost[file] = lost_rows
        if rebuilt and not lost:  # else a load before the end of the full sync would not miss what is lost
            write_manifest(self.folder, self.manifest)

    def _repair_month(self, state: MonthState) -> list[pa.Table]:
        """Write a month again with those of its rows that belong to it; return the others."""
        file, path = state.file, self.folder / state.file
        if not state.intact:
            for account in self.manifest.accounts.values():
                account.incomplete = True
        if not state.readable:
            if path.exists():
                self._set_aside(file, state.state)
            return []
        table = self._read_month(file)
        if not state.intact:  # else rows that lost their ids would be there beside those that are fetched
            table = table.filter(pc.is_valid(table.column("history_item_id")))
        self._set_aside(file, state.state, keep=True)
        inside = rows_of_month(table, file)
        rows = _distinct(table.filter(inside))
        if len(rows):
            self._write(file, rows, note=state.intact)
        else:
            path.unlink()
        return [table.filter(pc.invert(inside))]

    def _add_rows(self, tables: Sequence[pa.Table]) -> None:
        """Add rows to the months of their dates where they are not there yet."""
        table = pa.concat_tables([FILE_SCHEMA.empty_table(), *tables])
        unrepaired = {state.file for state in self.problems}
        files = np.array([partition_path(date) for date in table.column("date_unix").to_pylist()], object)
        for file in sorted(set(files.tolist()) - unrepaired):
            rows = table.filter(pa.array(files == file))
            if (self.folder / file).exists():
                with PartitionReader(self._store, file, self.manifest.months.get(file)) as month:
                    rows = pa.concat_tables([month.read(month.groups(), FILE_SCHEMA.names), rows])
            known = self.manifest.months.get(file)
            rows = _distinct(rows)
            if known is None or len(rows) > known.rows or not (self.folder / file).exists():
                self._write(file, rows, note=False)

    def _write(self, file: str, rows: pa.Table, *, note: bool) -> None:
        voices = voices_of(rows)
        with writing_month(self.folder, file, voices, note=note) as writer:
            writer.add(sort_rows(rows.unify_dictionaries()))
        self.manifest.months[file] = writer.month
        self.manifest.voices = list({*self.manifest.voices, *voices})

    def _set_aside(self, file: str, why: str, *, keep: bool = False) -> None:
        target = set_aside(self.folder, file, keep=keep)
        verb = "a copy is" if keep else "moved to"
        self.notes.append(f"{self.folder / file}: {why}; {verb} {target}")


def set_aside(folder: Path, file: str, *, keep: bool = False) -> Path:
    """Move a file or folder of a local history into `ASIDE`, or copy it there; return its new path."""
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    target = folder / ASIDE / stamp / f"{file}.aside"
    number = 1
    while target.exists():
        number += 1
        target = folder / ASIDE / stamp / f"{file}.{number}.aside"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if keep:
            shutil.copy2(folder / file, target)
        else:
            shutil.move(folder / file, target)
    except OSError as error:
        raise ArchiveError(f"{folder / file} can't be moved to {target}: {error_line(error)}.") from None
    return target


def _checksum_of(path: Path) -> tuple[int, int] | None:
    try:
        with path.open("rb", buffering=0) as opened:
            return crc_of(opened)
    except OSError:
        return None


def changed_months(folder: Path, manifest: HistoryManifest) -> list[str]:
    """Return the months whose file is not the one that a manifest knows, newest first: every byte is read."""
    return [
        file for file in newest_first(manifest.months) if _checksum_of(folder / file) != manifest.months[file].checksum
    ]


def changed_months_error(folder: Path, files: Sequence[str]) -> ArchiveError:
    """Return the error that names the first of the months that `changed_months` found."""
    more = f"; {count_noun(len(files) - 1, 'other month')} too" if files[1:] else ""
    return changed_error(str(folder / files[0]), f"its checksum differs{more}")


def open_for_update(folder: Path, *, full: bool = False) -> HistoryFolder:
    """Compare a folder with its manifest before writing into it; the caller holds the folder's lock.

    Parameters
    ----------
    folder : Path
        The local history.
    full : bool
        Repair it first: a full sync follows, which fetches what was lost.

    Raises
    ------
    ArchiveError
        A file is not what histkit wrote, and `full` is False.
    """
    history = HistoryFolder(folder, deep=full)
    if full:
        history.repair(full=True)
    else:
        history.raise_problems()
        warn_of_strays(folder, history.manifest)
    history.upgrade()
    return history


def check_history(path: str | os.PathLike[str], *, repair: bool = False) -> HistoryFolder:
    """Compare a local history with its manifest, every byte of it.

    Parameters
    ----------
    path : path-like or str
        The folder of `histkit.sync`.
    repair : bool
        Repair what can be repaired without the service.

    Returns
    -------
    HistoryFolder
        Its `states` say what is right; `notes` what was repaired.

    Raises
    ------
    ArchiveError
        There is no local history, another process is writing into it, or it is of a newer histkit.
    """
    folder = Path(normalize_path(path))
    store = ReadStore(folder)
    try:
        there = read_manifest(store) is not None or any(folder.glob("year=*/month=*/*"))
    except DamagedManifestError:
        there = True
    if not there:
        raise ArchiveError(
            f"{folder} holds no local history: sync first (histkit.sync({str(folder)!r}), or histkit sync)."
        )
    with exclusive_lock(folder / WORK / "lock", BUSY.format(folder)):
        history = HistoryFolder(folder, deep=True)
        if repair:
            history.repair(full=False)
            if not (history.made_again and (history.problems or history.unfinished())):  # else a load misses no rows
                history.upgrade()
                write_manifest(folder, history.manifest)
                history.made_again = False
        elif history.unproven:
            months = count_noun(history.unproven, "month")
            has = "has" if history.unproven == 1 else "have"
            history.notes.append(
                f"{months} of an older version {has} no checksum yet, and only rows and pages were compared: "
                f"the next sync adds it, or {_REPAIR}."
            )
    return history


def _distinct(table: pa.Table) -> pa.Table:
    """Return each row once."""
    keys = row_keys(table).to_pylist()
    first = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
    return table if len(first) == len(keys) else table.take(pa.array(sorted(first.values()), pa.int64()))
