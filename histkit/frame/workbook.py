"""Excel workbooks through XlsxWriter: its temporary files are swept, and its errors are those of the system."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from histkit.errors import InputError
from histkit.util.files import temporary_folder


class _WorkbookFile(io.BufferedRandom):
    """A file that ignores what is written after the workbook, or its failure.

    The zip of a failed workbook is never closed: its destructor would write, and print an error that nobody can catch.
    """

    _given_up, _position = False, 0

    def give_up(self) -> None:
        """Close the file; raises OSError if the disk is full."""
        try:
            self._position = self.tell()
        finally:
            self._given_up = True
            self.close()

    def write(self, data: Any, /) -> int:
        """Write, or count what would be written."""
        if not self._given_up:
            return super().write(data)
        self._position += len(data)
        return len(data)

    def seek(self, position: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a position."""
        if not self._given_up:
            return super().seek(position, whence)
        self._position = position
        return position

    def tell(self) -> int:
        """Return the position."""
        return self._position if self._given_up else super().tell()

    def flush(self) -> None:
        """Write what is buffered."""
        if not self._given_up or not self.closed:
            super().flush()


@contextmanager
def open_workbook(path: Path, options: Mapping[str, Any], user: str) -> Iterator[Any]:
    """Yield a new workbook, which is written to `path` when the block succeeds.

    Parameters
    ----------
    path : Path
        The file; temporary files are beside it.
    options : mapping
        Of ``xlsxwriter.Workbook``.
    user : str
        What needs the workbook, for the message.

    Raises
    ------
    InputError
        XlsxWriter is not installed.
    OSError
        The file can't be written.
    """
    try:
        import xlsxwriter
        from xlsxwriter.exceptions import FileCreateError
    except ImportError:
        raise InputError(f"{user} needs XlsxWriter: pip install 'histkit[xlsx]'.") from None
    with temporary_folder(path.parent) as folder, _WorkbookFile(io.FileIO(path, "w+")) as file:
        book = xlsxwriter.Workbook(file, {**options, "tmpdir": str(folder)})
        try:
            yield book
            book.close()
            file.flush()
        except FileCreateError as error:
            reason = error.args[0]
            raise reason if isinstance(reason, OSError) else OSError(str(error)) from None
        finally:
            file.give_up()
            for sheet in book.worksheets():  # of a failed one the temporary file is still open
                rows = getattr(sheet, "row_data_fh", None)
                if rows is not None:
                    with suppress(OSError):
                        rows.close()
