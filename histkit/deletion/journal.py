"""Journal of deletions: a line of JSON for each row before it is deleted, and one for the result."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from histkit.errors import ArchiveError, HistkitError
from histkit.util.files import AppendOnlyFile
from histkit.util.outputs import JSON_LINES, OutputFile
from histkit.util.text import error_reason


class Journal:
    """Append-only JSON lines; each line is flushed to disk before the next step.

    Parameters
    ----------
    path : Path
        The file; it and its folder are created if they do not exist.

    Raises
    ------
    InputError
        The file exists and holds something else.
    ArchiveError
        The file can't be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            OutputFile(path, JSON_LINES)  # raises InputError if a file is there that is something else
        except HistkitError as error:
            raise type(error)(f"{error} Nothing is deleted without a journal.") from None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = AppendOnlyFile(path)
        except (OSError, ValueError) as error:
            raise self._not_writable(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, event: str, **facts: Any) -> None:
        """Append a line: the event, the time (UTC) and `facts`, which are JSON values."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"event": event, "time": stamp, **facts}, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            self._file.write(line.encode("utf-8", "backslashreplace"))  # a lone surrogate is legal JSON as \\udxxx
            self._file.flush_to_disk()
        except OSError as error:
            raise self._not_writable(error) from None

    def _not_writable(self, error: Exception) -> ArchiveError:
        reason = error_reason(error)
        return ArchiveError(f"The journal {self._path} can't be written: {reason}. Nothing is deleted without it.")
