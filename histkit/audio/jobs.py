"""What is to be pulled: the clips of some rows, each once, with a path; and what is said when one can't be had."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from histkit.audio.fetch import Source
from histkit.audio.formats import expected_format
from histkit.audio.manifest import Entry, FolderManifest
from histkit.errors import AuthenticationError, HistkitError, InputError, NotFoundError, PermissionDeniedError
from histkit.frame.columns import values_of
from histkit.frame.schema import require
from histkit.util.arguments import whole_number
from histkit.util.filenames import unique_names
from histkit.util.text import error_line

_FULL = frozenset({errno.ENOSPC, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)})


@dataclass(frozen=True)
class Job:
    """A clip and its path without extension."""

    source: Source
    stem: str


def validate_options(format: str | None, workers: int | None) -> bool:
    """Tell whether WAV is asked for; refuse a format or a number of threads that is not possible."""
    if format not in (None, "wav"):
        raise InputError(f'format={format!r}: give None (as generated) or "wav".')
    if workers is not None:
        whole_number("workers", workers, 1)
    return format == "wav"


def ids_of(items: pd.DataFrame | pd.Series) -> list[str]:
    """Give the id of each row, "" where it is missing; rows of several accounts are refused, a client reads one."""
    if isinstance(items, pd.DataFrame):
        require(items, ["history_item_id"], "pulling audio")
        accounts = sorted(map(str, items["account"].dropna().unique())) if "account" in items else []
        if len(accounts) > 1:
            raise InputError(
                f"These rows belong to {len(accounts)} accounts ({', '.join(accounts[:5])}) and a client reads one: "
                f"take those of one, df[df['account'] == {accounts[0]!r}], with its client."
            )
        items = items["history_item_id"]
    elif not isinstance(items, pd.Series):
        raise InputError(f"Give a DataFrame of history rows or a Series of ids, not {type(items).__name__}.")
    missing = items.isna().tolist()
    return ["" if gone else str(value) for value, gone in zip(items.tolist(), missing, strict=True)]


def jobs_of(
    items: pd.DataFrame | pd.Series, ids: Sequence[str], stems: Sequence[str], owners: Mapping[str, str]
) -> list[Job]:
    """Make one job for each clip, in the order of the rows.

    Parameters
    ----------
    items : DataFrame or Series
        The rows.
    ids, stems : sequences of str
        Id and path without extension of each row; a clip takes the path of its first.
    owners : mapping of str to str
        Whose paths the folder's files have: see `histkit.audio.naming.tell_apart`.
    """
    rows = distinct(ids)
    names = unique_names([stems[row] for row in rows], [ids[row] for row in rows], owners)
    formats, types = values_of(items, "output_format"), values_of(items, "content_type")
    sources = (Source(ids[row], formats[row], types[row]) for row in rows)
    return [Job(source, stem) for source, stem in zip(sources, names, strict=True)]


def distinct(ids: Sequence[str]) -> list[int]:
    """Give the position of the first row of each clip."""
    first: dict[str, int] = {}
    for row, item in enumerate(ids):
        first.setdefault(item, row)
    return list(first.values())


def distinct_of(ids: pd.Series) -> list[str]:
    """Give each id once."""
    return list(dict.fromkeys(ids_of(ids)))


def known_missing(items: pd.DataFrame | pd.Series, ids: Sequence[str]) -> dict[str, Entry]:
    """Give the clips that a local history says are gone: the service need not be asked."""
    moments = values_of(items, "missing_since")
    return {
        item: Entry(item, None, "gone", error=f"The service has had it no more since {moment:%Y-%m-%d}: not asked for.")
        for item, moment in zip(ids, moments, strict=True)
        if moment is not None
    }


def retry_jobs(
    record: FolderManifest, ids: Sequence[str], folder: str
) -> tuple[dict[str, Entry], list[tuple[Job, bool]]]:
    """Make the jobs of clips that failed, and whether each is to be WAV; the first are those that have a file by now.

    Raises
    ------
    InputError
        The folder's manifest knows nothing of a clip.
    """
    there = {entry.history_item_id: entry for entry in record.files_of(ids)}
    found, jobs = {}, []
    for item in ids:
        failed = record.trouble(item)
        if failed is not None and failed.stem is not None:
            jobs.append(
                (Job(Source(item, failed.output_format, failed.content_type), failed.stem), failed.format == "wav")
            )
        elif failed is not None or item in there:
            found[item] = failed or there[item].skipped()
        else:
            raise InputError(f"{folder} knows nothing of {item}: call download_audio with its row.")
    return found, jobs


def pending_entry(job: Job, wav: bool) -> Entry:
    """Make the line of a clip that a dry run would pull; its extension as far as the row tells."""
    kind = expected_format(job.source.output_format, job.source.content_type)
    extension = "wav" if wav else kind.family if kind is not None else "mp3"
    return Entry(job.source.history_item_id, f"{job.stem}.{extension}", "pending")


def failure_entry(item: str, error: HistkitError | OSError) -> Entry:
    """Make a clip's line of what went wrong; what would go wrong with every clip is raised."""
    if isinstance(error, (AuthenticationError, PermissionDeniedError)):
        raise error
    if isinstance(error, OSError) and error.errno in _FULL:
        raise error
    if isinstance(error, NotFoundError):  # said without the id of the request, so that the same rows give the same line
        return Entry(
            item, None, "gone", error=f"The service has no audio of it (any more): {error.code or 'HTTP 404'}."
        )
    return Entry(item, None, "failed", error=error_line(error, 500))
