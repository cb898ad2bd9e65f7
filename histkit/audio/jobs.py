"""Download jobs: one per distinct history item, with its target path; manifest lines of clips without a file."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec
import pandas as pd

from histkit.api.error_mapping import concerns_every_request
from histkit.audio.fetch import Clip, Source
from histkit.audio.formats import bytes_per_second
from histkit.audio.manifest import Entry, manifest_frame
from histkit.audio.options import SAMPLE_RATES
from histkit.errors import HistkitError, InputError, NotFoundError
from histkit.frame.columns import plain_values, strings_of, values_of
from histkit.frame.dates import timestamps_of
from histkit.frame.dialogues import spoken_texts
from histkit.frame.schema import require
from histkit.util.arguments import one_of, true_or_false, whole_number
from histkit.util.filenames import unique_names
from histkit.util.text import error_line, escape_surrogates

_DISK_FULL = frozenset({errno.ENOSPC, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)})
_CHARACTERS_PER_SECOND = 15.0  # of speech; an estimate


class Job(msgspec.Struct, frozen=True, gc=False):
    """A clip and its target path without extension."""

    source: Source
    stem: str

    @property
    def id(self) -> str:
        """The id of the history item."""
        return self.source.history_item_id


def validate_options(
    format: Literal["wav"] | None = None,
    workers: int | None = None,
    progress: bool | None = None,
    sample_rate: int | None = None,
    **flags: bool,
) -> bool:
    """Return whether WAV is requested; raise `InputError` for an option of another type or value."""
    one_of("format", format, (None, "wav"))
    if sample_rate is not None:
        whole_number("sample_rate", sample_rate, *SAMPLE_RATES)
    if workers is not None:
        whole_number("workers", workers, 1)
    if progress is not None:
        true_or_false("progress", progress)
    for name, value in flags.items():
        true_or_false(name, value)
    return format == "wav"


def ids_of(items: pd.DataFrame | pd.Series, purpose: str) -> list[str]:
    """Return the id of each row, "" where it is missing. Half a surrogate pair, which no file can hold, is escaped.

    Raises
    ------
    InputError
        `items` is neither a DataFrame nor a Series.
    SchemaError
        There is no column ``history_item_id``, or two columns have one name.
    """
    if isinstance(items, pd.DataFrame):
        require(items, ["history_item_id"], purpose)
        items = items["history_item_id"]
    elif not isinstance(items, pd.Series):
        raise InputError(f"items must be a DataFrame of history rows or a Series of ids, not {type(items).__name__}.")
    return ["" if value is None else escape_surrogates(str(value)) for value in plain_values(items)]


def check_accounts(items: pd.DataFrame | pd.Series) -> None:
    """Raise `InputError` for rows of several accounts, of which a client reads one."""
    accounts = sorted({str(account) for account in values_of(items, "account") if account is not None})
    if len(accounts) > 1:
        raise InputError(
            f"These rows belong to {len(accounts)} accounts ({', '.join(accounts[:5])}) and a client reads one: "
            f"take those of one, df[df['account'] == {accounts[0]!r}], with its client."
        )


def first_rows(ids: Iterable[str]) -> dict[str, int]:
    """Return the distinct ids in order, and the position of each one's first row."""
    rows: dict[str, int] = {}
    for row, item in enumerate(ids):
        rows.setdefault(item, row)
    return rows


def jobs_of(
    items: pd.DataFrame | pd.Series,
    ids: Sequence[str],
    stems: Sequence[str],
    paths_in_use: Mapping[str, str],
    sample_rate: int | None = None,
) -> list[Job]:
    """Return one job per distinct history item, in the order of the rows.

    Parameters
    ----------
    items : DataFrame or Series
        The rows.
    ids, stems : sequences of str
        Id and path without extension of each row. A clip takes the path of its first row.
    paths_in_use : mapping of str to str
        Paths of existing files and their clips: see `histkit.util.filenames.unique_names`.
    sample_rate : int, optional
        Samples per second of raw samples whose rate is unknown.
    """
    firsts = first_rows(ids)
    names = unique_names([stems[row] for row in firsts.values()], list(firsts), paths_in_use)
    formats, types = strings_of(items, "output_format"), strings_of(items, "content_type")
    sources = (Source(item, formats[row], types[row], sample_rate) for item, row in firsts.items())
    return [Job(source, stem) for source, stem in zip(sources, names, strict=True)]


def known_missing(items: pd.DataFrame | pd.Series, ids: Sequence[str]) -> dict[str, Entry]:
    """Return the clips that a local history marks as missing; they are not requested.

    Raises
    ------
    SchemaError
        The column ``missing_since`` holds something other than dates.
    """
    since = timestamps_of(items, "missing_since")
    return {
        item: Entry(item, None, "gone", error=f"Not requested: missing from the service since {date:%Y-%m-%d}.")
        for item, date in zip(ids, since, strict=True)
        if date is not None
    }


def size_estimates(items: pd.DataFrame | pd.Series, rows: Sequence[int], *, wav: bool) -> list[float]:
    """Estimate the bytes of the clips of some rows: 15 characters per second of speech, times the format's bit rate."""
    counts, formats = values_of(items, "characters"), strings_of(items, "output_format")
    texts = spoken_texts(items) if isinstance(items, pd.DataFrame) else [None] * len(items)
    characters = [
        count if isinstance(count, (int, float)) and math.isfinite(count) else len(text or "")
        for count, text in ((counts[row], texts[row]) for row in rows)
    ]
    return [
        count / _CHARACTERS_PER_SECOND * bytes_per_second(formats[row], wav=wav)
        for count, row in zip(characters, rows, strict=True)
    ]


def dry_run_manifest(
    items: pd.DataFrame | pd.Series,
    ids: Sequence[str],
    jobs: Iterable[Job],
    known: Mapping[str, Entry],
    *,
    wav: bool,
    requests: int,
) -> pd.DataFrame:
    """Return the manifest of a dry run.

    Parameters
    ----------
    items : DataFrame or Series
        The rows.
    ids : sequence of str
        The id of each row.
    jobs : iterable of Job
        Clips that may be downloaded.
    known : mapping of str to Entry
        Clips that would not be downloaded.
    wav : bool
        Whether WAV is requested.
    requests : int
        Number of requests, without retries.
    """
    pending = {job.id: _pending_entry(job, wav) for job in jobs if job.id not in known}
    rows = [row for item, row in first_rows(ids).items() if item in pending]
    has_length = isinstance(items, pd.DataFrame) and bool({"characters", "text", "dialogue"} & set(items.columns))
    size = round(sum(size_estimates(items, rows, wav=wav))) if has_length or not rows else None
    entries = pending | dict(known)
    manifest = manifest_frame((entries[item] for item in ids), items.index)
    manifest.attrs["histkit"] = {"dry_run": True, "files": len(rows), "requests": requests, "estimated_bytes": size}
    return manifest


def _pending_entry(job: Job, wav: bool) -> Entry:
    expected = job.source.expected_format()
    extension = "wav" if wav else expected.family if expected is not None else "mp3"
    return Entry(job.id, f"{job.stem}.{extension}", "pending")


def entry_of(job: Job, clip: Clip) -> Entry:
    """Return the line of a downloaded clip."""
    return Entry(
        job.id,
        f"{job.stem}.{clip.extension}",
        "done",
        clip.bytes,
        clip.seconds,
        clip.sha256,
        clip.note,
        clip.proof,
        format="wav" if clip.converted else None,
        output_format=job.source.output_format,
        content_type=job.source.content_type,
    )


def failure_entry(item: str, error: HistkitError | OSError) -> Entry:
    """Return a clip's line for an error; an error that every clip would have is raised."""
    if concerns_every_request(error):
        raise error
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        raise error
    if isinstance(error, NotFoundError):  # without the id of the request, so that the same rows give the same line
        return Entry(
            item, None, "gone", error=f"The service has no audio of it, or no longer: {error.code or 'HTTP 404'}."
        )
    return Entry(item, None, "failed", error=error_line(error, 500))
