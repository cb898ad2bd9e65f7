"""The register of issued statements: append-only JSON lines, each with the hash of the one before.

A line is what was billed: number, client, period, fingerprints, totals, rows, and the hash of the file. The statements
that are issued together are lines of one group, appended in one write. A kill leaves a group complete or without its
last line, and then none of it counts.

A chain of hashes shows no loss at its end. So the hash of the last line that was appended is kept in a file beside the
register, its head: a register that was cut, restored from an older copy or removed lacks that line.

The line is the decision; the file follows from it. The bytes of each file lie in a folder beside the register before
the line is appended, and are copied to their place afterwards. What a kill leaves there is finished by the next issue.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from histkit.archive.manifest import MANIFEST
from histkit.errors import ArchiveError, InputError
from histkit.reports.billed_rows import decode_rows, net_rows
from histkit.reports.options import REGISTER
from histkit.util.files import (
    atomic_write,
    exclusive_lock,
    flush_folder,
    flush_to_disk,
    hash_of,
    sha256_of,
    shown_path,
    write_errors,
)
from histkit.util.storage import local_path
from histkit.util.text import error_line, error_reason

FIRST = "0" * 64  # stands for the hash of the line before the first one
VERSION = 1
_HASH = b',"hash":"'
_WAIT_SECONDS = 120

Key = tuple[str, int, int]


class Entry(msgspec.Struct, kw_only=True, omit_defaults=False):
    """A statement or a correction in the register.

    Attributes
    ----------
    prev : str
        Hash of the line before.
    number, corrects : str or None
        Its number; for a correction, the number of the first statement of the client and the period.
    part : (int, int)
        Its place in the group of statements that were issued together, from 1, and their number.
    series, count : str or None, int or None
        What a counted number is a count of, and the count.
    start, end : str
        The period, ISO 8601; the end is exclusive.
    totals, amounts : dict
        Of this entry alone: what a correction bills is the difference.
    terms, letter : dict
        The terms that change amounts, and those that don't.
    voices : list of (id or None, name or None, label)
        How voices are labelled.
    file, sha256 : str or None
        Path, relative to the register's folder where possible; hash of its bytes.
    rows : dict
        The rows that it bills (``sign`` 1) or credits (-1): see `decode_rows`.
    """

    prev: str
    version: int
    number: str
    corrects: str | None
    part: tuple[int, int]
    series: str | None
    count: int | None
    issue_date: str
    issued_at: str
    client: str
    column: str
    period: str
    start: str
    end: str
    tz: str
    by: list[str]
    title: str
    fingerprint: str
    rows_fingerprint: str
    rules: str | None = None
    totals: dict[str, int | None] = msgspec.field(default_factory=dict)
    amounts: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    priced: bool = False
    terms: dict[str, str] = msgspec.field(default_factory=dict)
    letter: dict[str, Any] = msgspec.field(default_factory=dict)
    changes: dict[str, int] = msgspec.field(default_factory=dict)
    voices: list[tuple[str | None, str | None, str]] = msgspec.field(default_factory=list)
    file: str | None = None
    sha256: str | None = None
    rows: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def key(self) -> Key:
        """What all entries of a client and a period share."""
        return self.client, _seconds(self.start), _seconds(self.end)


def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())


@dataclass
class RegisterState:
    """What a register holds.

    Attributes
    ----------
    entries : list of Entry
        In their order.
    problems : list of str
        A line for each line of the file that is not as it was written.
    size : int
        Bytes up to the last complete group; what a kill left behind it does not count.
    last_hash : str
        Of the last line of these.
    torn : str
        What a kill left; empty if nothing.
    ends : bool
        Whether the last line has its line feed.
    hashes : set of str
        Of the last line of each group.
    """

    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    size: int = 0
    last_hash: str = FIRST
    torn: str = ""
    ends: bool = True
    hashes: set[str] = field(default_factory=set)

    @cached_property
    def by_key(self) -> dict[Key, list[Entry]]:
        """The entries of each client and period."""
        groups: dict[Key, list[Entry]] = {}
        for entry in self.entries:
            groups.setdefault(entry.key, []).append(entry)
        return groups

    def net(self, key: Key) -> pd.DataFrame:
        """Return what is billed to a client for a period: see `net_rows`; raises ValueError for damaged rows."""
        return net_rows(decode_rows(entry.rows) for entry in self.by_key.get(key, ()))

    def next_count(self, series: str) -> int:
        """Return the next count of a series of numbers."""
        return 1 + max((entry.count or 0 for entry in self.entries if entry.series == series), default=0)


class Register:
    """A register's file.

    Parameters
    ----------
    path : path-like
        The file, or the folder of a history, which has it under a name of its own.

    Raises
    ------
    InputError
        The path is a URL, or a file that is something else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        place = local_path(path)
        place = place / REGISTER if place.is_dir() else place
        self.path = Path(os.path.realpath(place))  # a link has the lock of its target
        if self.path.suffix.lower() in (".parquet", ".pq"):
            raise InputError(f"{shown_path(self.path)}: a register is JSON lines; use a name such as statements.jsonl.")
        self.head = self.path.with_name(f".{self.path.name}.head")
        self.staging = self.path.with_name(f".{self.path.name}-files")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the register, waiting for a process that has it."""
        lock = self.path.with_name(f".{self.path.name}.lock")
        busy = f"Another process is issuing statements into {shown_path(self.path)}: wait for it to end."
        with exclusive_lock(lock, busy, timeout=_WAIT_SECONDS):
            yield

    def read(self) -> RegisterState:
        """Read and check all lines; without a file there are none. Lines that were lost at its end are a problem.

        Raises
        ------
        ArchiveError
            The file can't be read.
        InputError
            It is something else.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            data = b""
        except OSError as error:
            raise ArchiveError(f"{shown_path(self.path)} can't be read: {error_reason(error)}.") from None
        if data and _HASH not in data and not data.startswith(b'{"prev":"'):
            raise InputError(f"{shown_path(self.path)} exists and is not a register of statements: use another name.")
        state = read_lines(data, shown_path(self.path))
        if not state.problems:
            state.problems += self._lost(state)
        return state

    def exists(self) -> bool:
        """Return whether anything was issued here."""
        return self.path.is_file() or self.head.is_file()

    def _lost(self, state: RegisterState) -> list[str]:
        """Return a line on the lines that the head proves to be lost; none if there is no head."""
        try:
            head = self.head.read_text("ascii").strip()
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            return [f"{shown_path(self.head)} can't be read: {error_line(error)}."]
        if head in state.hashes:
            return []
        what = "lacks the last line that was written to it" if self.path.exists() else "is gone"
        return [f"{shown_path(self.path)} {what} ({self.head.name} beside it has its hash): it would be billed again."]

    def read_intact(self) -> RegisterState:
        """Read all lines; raises `ArchiveError` for one that is not as it was written."""
        state = self.read()
        if state.problems:
            raise ArchiveError(f"{state.problems[0]} Nothing is issued: restore a copy of the register.")
        return state

    def append(self, entries: Sequence[Entry], state: RegisterState) -> None:
        """Append a group of entries, and flush it to the disk; the caller holds the lock.

        Raises
        ------
        ArchiveError
            The file can't be written; then it is as it was.
        """
        data, last = b"" if state.ends else b"\n", state.last_hash
        for place, entry in enumerate(entries, 1):
            entry.prev, entry.part = last, (place, len(entries))
            body = msgspec.json.encode(entry)
            last = hashlib.sha256(body).hexdigest()
            data += body[:-1] + _HASH + last.encode() + b'"}\n'
        with write_errors(self.path):
            created = not self.path.exists()
            with self.path.open("ab", buffering=0) as file:  # else closing it writes what the full disk refused
                try:
                    file.truncate(state.size)
                    rest = memoryview(data)
                    while rest:
                        rest = rest[file.write(rest) :]
                    flush_to_disk(file)
                except BaseException:
                    with suppress(OSError):
                        os.ftruncate(file.fileno(), state.size)
                    raise
            if created:
                flush_folder(self.path.parent)
        with suppress(ArchiveError), atomic_write(self.head) as temporary:  # an older head is true, too
            temporary.write_text(f"{last}\n", "ascii")

    @contextmanager
    def staged(self) -> Iterator[Path]:
        """Yield the folder for the bytes of files, which is removed again where it is empty."""
        with write_errors(self.staging):
            self.staging.mkdir(parents=True, exist_ok=True)
            try:
                yield self.staging
            finally:
                with suppress(OSError):
                    self.staging.rmdir()

    def stage(self, temporary: Path) -> str:
        """Flush a file in the staging folder and name it by its hash, which is returned."""
        with temporary.open("r+b") as file:
            digest = sha256_of(file)
            flush_to_disk(file)
        temporary.replace(self.staging / digest)
        flush_folder(self.staging)
        return digest

    def finish(self, entries: Iterable[Entry]) -> None:
        """Copy the staged files of entries to their places, and remove all others.

        Raises
        ------
        ArchiveError
            A file can't be written; its bytes stay where they are.
        """
        if not self.staging.is_dir():
            return
        places: dict[str, list[Path]] = {}
        for entry in entries:
            if entry.file is not None and entry.sha256 is not None:
                places.setdefault(entry.sha256, []).append(self.place(entry.file))
        failure: ArchiveError | None = None
        for staged in sorted(self.staging.iterdir()):
            try:
                for place in places.get(staged.name, ()):
                    if hash_of(place) != staged.name:
                        copy_file(staged, place)
            except ArchiveError as error:
                failure = failure or error
                continue
            with suppress(OSError):
                staged.unlink()
        with suppress(OSError):
            self.staging.rmdir()
        if failure is not None:
            raise failure

    def place(self, file: str) -> Path:
        """Return the path of an entry's file."""
        return Path(os.path.normpath(self.path.parent / file))

    def check_free(self, path: Path, entries: Iterable[Entry]) -> None:
        """Raise `InputError` if a path is the file of an entry."""
        file = self.relative(path)
        for entry in entries:
            if entry.file == file:
                raise InputError(f"{shown_path(path)} is the file of statement {entry.number}: use another name.")

    def relative(self, path: Path) -> str:
        """Return a path as an entry holds it."""
        absolute = os.path.realpath(path)
        with suppress(ValueError):  # another drive
            return os.path.relpath(absolute, self.path.parent)
        return absolute


class HistoryRegisters:
    """The registers into which rows of one local history were issued: a row is billed at most once over all of them.

    The history's own register, and those of a list beside it. What a register shares with another one, as a copy does,
    counts as its own.

    Parameters
    ----------
    folder : Path
        Of the history.
    register : Register
        The one that is used.
    """

    def __init__(self, folder: Path, register: Register) -> None:
        self.own = Register(folder)
        self.register = register
        self._list = self.own.path.with_name("_statement_registers.txt")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the history's own register and the one that is used; a history that is read-only has neither."""
        with ExitStack() as stack:
            if os.access(self.own.path.parent, os.W_OK):
                if self.own.path != self.register.path:
                    stack.enter_context(self.own.locked())
            stack.enter_context(self.register.locked())
            yield

    def note(self) -> None:
        """Add the register to the list, before anything is entered in it; the caller holds both."""
        known = self._listed()
        writable = os.access(self.own.path.parent, os.W_OK)
        if writable and self.register.path not in (self.own.path, *known):
            paths = [self.own.relative(path) for path in [*known, self.register.path]]  # stay right when all is moved
            with atomic_write(self._list) as temporary:
                temporary.write_bytes(b"".join(os.fsencode(path) + b"\n" for path in paths))

    def _listed(self) -> list[Path]:
        try:
            lines = self._list.read_bytes().splitlines()
        except OSError:
            return []
        return [self.own.place(os.fsdecode(line)) for line in lines if line]

    def others(self, state: RegisterState) -> Iterator[tuple[Path, RegisterState]]:
        """Yield the path of each other register, and what a state lacks of it.

        Raises
        ------
        ArchiveError
            A line of a register was changed, or it is gone and its head is not.

        Warns
        -----
        UserWarning
            A register is gone: what was billed there can't be known.
        """
        shared = {(entry.prev, entry.number, entry.issued_at) for entry in state.entries}
        listed = self._listed()
        for path in dict.fromkeys([self.own.path, *listed]):
            other = Register(path)
            if path == self.register.path:
                continue
            if other.exists():
                entries = other.read_intact().entries
                yield path, RegisterState([e for e in entries if (e.prev, e.number, e.issued_at) not in shared])
            elif path in listed:
                warnings.warn(
                    f"{shown_path(path)} is gone, a register of this history: what was billed there could be billed "
                    f"again. Put it back, or remove its line from {shown_path(self._list)}.",
                    stacklevel=6,  # at the call of statement or statements
                )


def copy_file(source: Path, target: Path) -> None:
    """Copy a file atomically."""
    with atomic_write(target) as temporary:
        shutil.copyfile(source, temporary)


def read_lines(data: bytes, where: str) -> RegisterState:
    """Decode the lines of a register and check them against each other.

    Parameters
    ----------
    data : bytes
        The content of the file.
    where : str
        The file, for messages.
    """
    state = RegisterState()
    *lines, rest = data.split(b"\n")
    if rest and _is_complete(rest):  # an editor removed the last line feed
        lines, rest, state.ends = [*lines, rest], b"", False
    group: list[Entry] | None = []
    position, previous = 0, FIRST
    for number, line in enumerate(lines, 1):
        position = min(position + len(line) + 1, len(data))
        try:
            entry, digest = _decode(line)
            if entry.prev != previous:
                raise ValueError("it doesn't follow the line before: a line was changed, removed or moved")
            if group is not None and entry.part != (len(group) + 1, group[0].part[1] if group else entry.part[1]):
                raise ValueError("it is not the next of its group")
        except ValueError as error:
            state.problems.append(f"{where}, line {number}: {error_line(error)}.")
            previous = _hash_in(line) or previous
            group = None  # until the next group starts
            continue
        previous = digest
        if group is not None:
            group.append(entry)
        if entry.part[0] == entry.part[1]:
            state.entries += [entry] if group is None else group
            state.size, state.last_hash, group = position, digest, []
            state.hashes.add(digest)
    if group or rest:
        what = "a line that was not written to its end" if rest else "a group without its last line"
        state.torn = f"{where} ends in {what}, as a kill leaves it: it does not count, and the next issue removes it."
    return state


def _is_complete(line: bytes) -> bool:
    try:
        entry, _ = _decode(line)
    except ValueError:
        return False
    return entry.part[0] == entry.part[1]


def _decode(line: bytes) -> tuple[Entry, str]:
    head, mark, tail = line.rpartition(_HASH)
    digest = hashlib.sha256(head + b"}").hexdigest()
    if not mark:
        raise ValueError("it is not a line of a register")
    if tail != digest.encode() + b'"}':
        raise ValueError("it was changed after it was written: its hash differs")
    try:
        version = msgspec.json.decode(head + b"}", type=dict[str, Any]).get("version")
        if not isinstance(version, int) or version > VERSION:
            raise ValueError("a newer histkit wrote it: upgrade with pip install -U histkit")
        entry = msgspec.json.decode(head + b"}", type=Entry)
        _ = entry.key
    except (msgspec.DecodeError, TypeError, RecursionError) as error:
        raise ValueError(f"it can't be read ({error_line(error)})") from None
    return entry, digest


def _hash_in(line: bytes) -> str | None:
    _, mark, tail = line.rpartition(_HASH)
    return tail[:64].decode("ascii", "replace") if mark else None


def register_of(frame: pd.DataFrame, register: Any) -> Register:
    """Return the register that was passed, or else that of the frame's local history.

    Raises
    ------
    InputError
        The frame has no local history that is still there.
    """
    if register is not None:
        return Register(register)
    folder = history_folder(frame)
    if folder is not None:
        return Register(folder)
    raise InputError("The frame has no folder of a local history for the register: pass register='statements.jsonl'.")


def history_folder(frame: pd.DataFrame) -> Path | None:
    """Return the folder of the local history that a frame was loaded from, if it is still there."""
    facts = frame.attrs.get("histkit")
    path = facts.get("path") if isinstance(facts, Mapping) else None
    if isinstance(path, str) and "://" not in path and Path(path).is_absolute() and (Path(path) / MANIFEST).is_file():
        return Path(path)
    return None
