"""What the explorer's buttons do with rows: pull audio, make a zip, write CSV or Parquet; how large that would be."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol

import numpy as np
import pandas as pd

from histkit.api.client import DEFAULT_CONCURRENCY
from histkit.audio.folder import download_audio
from histkit.audio.manifest import describe_plan, status_counts
from histkit.audio.zip_download import download_zip, zip_output
from histkit.errors import InputError
from histkit.frame.files import to_csv, to_parquet, write_csv, write_parquet
from histkit.util.outputs import CSV, PARQUET, FileKind, OutputFile
from histkit.util.storage import folder_name, normalize_path
from histkit.util.text import count_noun, format_duration, format_size, join_counts, quoted

if TYPE_CHECKING:
    from histkit.api.client import HistoryClient

MANY_BYTES, MANY_REQUESTS = 1_000_000_000, 1_000
_REQUEST_SECONDS, _BYTES_PER_SECOND = 0.5, 5e6  # of a service that was not measured yet
_SAMPLE_ROWS = 2_000


class Plan(NamedTuple):
    """What an action would do; what is not known is None."""

    requests: int
    bytes: int | None
    seconds: float | None
    text: str

    @property
    def large(self) -> bool:
        """Whether people are asked before it begins: more than 1 GB, or more than 1,000 requests."""
        return self.requests > MANY_REQUESTS or (self.bytes or 0) > MANY_BYTES


class Result(NamedTuple):
    """How an action ended: a line that leads with the reason where something failed, and the manifest of downloads."""

    line: str
    failed: bool = False
    manifest: pd.DataFrame | None = None


class Action(Protocol):
    """One of the explorer's actions.

    Attributes
    ----------
    unit : str
        What its progress counts: clip or row.
    """

    unit: str

    def place(self, target: str) -> str:
        """Return what identifies the file or folder that a target names.

        Raises
        ------
        HistkitError
            It can't be written to.
        """

    def plan(self, rows: pd.DataFrame, target: str) -> Plan:
        """Return what the action would do; nothing is requested or written."""

    def run(self, rows: pd.DataFrame, target: str) -> Result:
        """Do it."""

    def kept(self, done: int, total: int, target: str) -> str:
        """Return what is there after the action broke off."""


class Download:
    """Pulls audio into a folder, or makes a zip of it.

    Parameters
    ----------
    client : HistoryClient or None
        None: a client of the environment.
    zipped : bool
        Whether a zip is made.
    """

    unit = "clip"

    def __init__(self, client: HistoryClient | None, *, zipped: bool) -> None:
        self._client, self._zipped = client, zipped
        self._download: Callable[..., pd.DataFrame] = download_zip if zipped else download_audio
        threads = DEFAULT_CONCURRENCY if client is None else client.transport.limit.ceiling
        self._clip_seconds = _REQUEST_SECONDS / threads

    def place(self, target: str) -> str:
        """Return the folder or zip."""
        if self._zipped:
            _check_file(zip_output(target), target)
        else:
            folder_name(target)
        return place_of(target)

    def plan(self, rows: pd.DataFrame, target: str) -> Plan:
        """Return what a dry run found."""
        facts = self._download(rows, target, dry_run=True, client=self._client).attrs["histkit"]
        requests, size = facts["requests"], facts["estimated_bytes"]
        seconds = max(facts["files"] * self._clip_seconds, (size or 0) / _BYTES_PER_SECOND)
        text = f"{describe_plan(facts, target)} That takes about {format_duration(seconds)} and costs no credits."
        return Plan(requests, size, seconds, text)

    def run(self, rows: pd.DataFrame, target: str) -> Result:
        """Download."""
        started = time.monotonic()
        manifest = self._download(rows, target, progress=False, client=self._client)
        counts = status_counts(manifest)
        if counts.get("done"):
            self._clip_seconds = (time.monotonic() - started) / counts["done"]
        line = f"{target}: {join_counts(counts)}; explorer.manifest has each row."
        failed = manifest[manifest["status"] == "failed"]
        if failed.empty:
            return Result(line, manifest=manifest)
        reason = f"{count_noun(len(failed), 'clip')} of {len(manifest):,} failed: {_sentence(failed['error'].iloc[0])}"
        return Result(f"{reason} {line} Press the button again to try them again.", True, manifest)

    def kept(self, done: int, total: int, target: str) -> str:
        """Return how many clips are in the folder."""
        if self._zipped:
            return f"{target} was not written."
        if not total:
            return "No clip was requested."
        return f"{done:,} of {count_noun(total, 'clip')} came and stay in {target}; the next pull goes on from there."


class Export:
    """Writes rows to a file.

    Parameters
    ----------
    kind : FileKind
        CSV or PARQUET.
    """

    unit = "row"

    def __init__(self, kind: FileKind) -> None:
        self._kind = kind
        self._write: Callable[[pd.DataFrame, BinaryIO], None] = write_csv if kind is CSV else write_parquet

    def place(self, target: str) -> str:
        """Return the file."""
        _check_file(OutputFile(target, self._kind), target)
        return place_of(target)

    def plan(self, rows: pd.DataFrame, target: str) -> Plan:
        """Return size and time as measured on some of the rows."""
        numbers = np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE_ROWS)).astype(int)
        head, sample = io.BytesIO(), io.BytesIO()
        self._write(rows.head(0), head)
        started = time.monotonic()
        self._write(rows.iloc[numbers], sample)
        seconds = (time.monotonic() - started) * len(rows) / len(numbers)
        size = round((sample.tell() - head.tell()) * len(rows) / len(numbers)) + head.tell()
        text = f"{count_noun(len(rows), 'row')} would be written to {target}: about {format_size(size)} (an estimate)."
        return Plan(0, size, seconds, f"{text} That takes about {format_duration(seconds)}.")

    def run(self, rows: pd.DataFrame, target: str) -> Result:
        """Write the file."""
        path = to_csv(rows, target, excel=True) if self._kind is CSV else to_parquet(rows, target)
        return Result(f"{path}: {count_noun(len(rows), 'row')}.")

    def kept(self, done: int, total: int, target: str) -> str:
        """Return that the file is as before."""
        return f"{target} was not written."


def actions(client: HistoryClient | None) -> dict[str, Action]:
    """Return the actions by the names that the front end has for them."""
    return {
        "pull": Download(client, zipped=False),
        "zip": Download(client, zipped=True),
        "csv": Export(CSV),
        "parquet": Export(PARQUET),
    }


def place_of(target: str) -> str:
    """Return what is equal for two names of one file or folder.

    Raises
    ------
    InputError
        The target is no path.
    """
    name = normalize_path(target)
    return name if "://" in name else os.path.normcase(Path(name).resolve())


def _check_file(output: OutputFile | None, target: str) -> None:
    if output is not None and output.streamed:
        raise InputError(f"{quoted(target)} is a device, a pipe or standard output; use the name of a file.")


def _sentence(text: Any) -> str:
    line = str(text)
    return line if line.endswith((".", "!", "?")) else f"{line}."
