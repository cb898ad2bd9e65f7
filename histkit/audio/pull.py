"""Clips into a folder: each verified before it gets its name, each written down as it is finished."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from histkit.api.client import HistoryClient
from histkit.audio.destination import Target
from histkit.audio.fetch import Cancelled, client_or_own, fetch, side_by_side, threads_for
from histkit.audio.jobs import Job, trouble
from histkit.audio.manifest import Entry, Record
from histkit.errors import HistkitError, TransportError
from histkit.util.progress import progress_bar

_FEWEST_BROKEN = 8  # clips in a row without an answer, after which the service counts as out of reach


class Pull:
    """Pulls clips into a folder and writes each down in its record.

    Parameters
    ----------
    client : HistoryClient or None
        None: one is made of the environment, and closed at the end.
    target : Target
        The folder, locked.
    record : Record
        Its manifest.
    wav : bool
        Make WAV of everything.
    """

    def __init__(self, client: HistoryClient | None, target: Target, record: Record, wav: bool) -> None:
        self._given, self._target, self._record, self._wav = client, target, record, wav
        self._cancel = threading.Event()
        self._parts: set[Path] = set()
        self._broken = 0

    def all(self, jobs: Sequence[Job], workers: int | None, progress: bool | None) -> dict[str, Entry]:
        """Pull side by side; whatever ends it, no temporary file stays and what is finished is written down."""
        try:
            found = self._all(jobs, workers, progress) if jobs else {}
        except BaseException:
            self._leave()
            with suppress(HistkitError, OSError):  # the journal still has it
                self._record.close()
            raise
        self._record.close()
        return found

    def _all(self, jobs: Sequence[Job], workers: int | None, progress: bool | None) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        pulled = 0
        with client_or_own(self._given, workers) as self._client:
            threads = workers or threads_for(self._client)
            self._most_broken = max(_FEWEST_BROKEN, 2 * threads)
            with (
                progress_bar(progress, total=len(jobs), desc="Audio", unit="file") as bar,
                closing(side_by_side(self._one, jobs, threads, self._cancel)) as done,
            ):
                for _, entry in done:
                    found[entry.history_item_id] = entry
                    pulled += entry.bytes or 0
                    bar.set_postfix_str(f"{pulled / 1e6:.1f} MB", refresh=False)
                    bar.update()
        return found

    def _leave(self) -> None:
        with self._record.lock:  # after this no thread that still hangs in a request can name a file
            self._cancel.set()
            for part in self._parts:
                with suppress(OSError):
                    part.unlink(missing_ok=True)

    def _one(self, job: Job) -> Entry:
        broken = False
        try:
            if self._broken >= self._most_broken:
                raise TransportError(f"Not tried: {self._broken} clips before it got no answer from the service.")
            entry = self._pulled(job)
        except (HistkitError, OSError) as error:
            entry = self._trouble(job, error)
            broken = isinstance(error, TransportError)
        self._broken = self._broken + 1 if broken else 0
        return entry

    def _trouble(self, job: Job, error: HistkitError | OSError) -> Entry:
        source = job.source
        plain = trouble(source.history_item_id, error)
        entry = plain
        if plain.status == "failed":
            form = "wav" if self._wav else None
            told = source.output_format, source.content_type
            entry = replace(plain, format=form, stem=job.stem, output_format=told[0], content_type=told[1])
        self._note(entry)
        return entry

    def _note(self, entry: Entry, part: Path | None = None) -> None:
        """Give a whole file its name and write the clip down; neither once the pull is over."""
        if part is not None and self._target.remote:  # an upload holds nobody up, and may come too late to be noted
            self._target.put(part, str(entry.path))
            part = None
        with self._record.lock:
            if self._cancel.is_set():
                raise Cancelled
            if part is not None:
                self._target.put(part, str(entry.path))
            self._record.add(entry)

    def _pulled(self, job: Job) -> Entry:
        part = self._target.part(job.stem)
        try:
            with self._begun(part) as file:
                clip = fetch(self._client, job.source, self._wav, file, self._cancel)
                file.flush()
                os.fsync(file.fileno())
            entry = Entry(
                job.source.history_item_id,
                f"{job.stem}.{clip.extension}",
                "done",
                clip.bytes,
                clip.seconds,
                clip.sha256,
                format="wav" if clip.converted else None,
            )
            self._note(entry, part)
            return entry
        finally:
            self._parts.discard(part)
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _begun(self, part: Path) -> BinaryIO:
        with self._record.lock:
            if self._cancel.is_set():
                raise Cancelled
            self._parts.add(part)
            return part.open("x+b")
