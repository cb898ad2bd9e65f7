"""A report as a file: which it is, tells its ending."""

from __future__ import annotations

from pathlib import Path

from histkit.reports.html import html
from histkit.reports.model import Report
from histkit.reports.terminal import markdown
from histkit.reports.xlsx import write_xlsx
from histkit.util.files import replacing

ENDINGS = (".html", ".htm", ".xlsx", ".md")


def write_report(report: Report, path: Path) -> None:
    """Write a report, all of it or nothing; the same report gives the same bytes.

    Parameters
    ----------
    report : Report
        What to write.
    path : Path
        With one of `ENDINGS`.

    Raises
    ------
    ArchiveError
        The file can't be written.
    InputError
        A package is missing that writes it.
    """
    ending = path.suffix.lower()
    with replacing(path) as temporary:
        if ending == ".xlsx":
            write_xlsx(report, temporary)
        else:
            text = markdown(report) if ending == ".md" else html(report)
            temporary.write_text(text, encoding="utf-8", newline="\n", errors="replace")
