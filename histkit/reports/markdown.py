"""A report as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from histkit.reports.model import Report, ReportTable, rows_of, totals_of
from histkit.util.text import format_value, one_line_text

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~$&@]|(?<=\w):(?=//)|(?<=\bwww)\.|^[-+=](?=[ =-]|$))", re.IGNORECASE)
_LIST_NUMBER = re.compile(r"^(\d{1,9})([.)])(?= |$)")


def markdown(report: Report) -> str:
    """Render a report as Markdown; texts of the history are escaped."""
    lines = [f"# {escaped(report.title)}", "", escaped(report.subtitle), ""]
    for fact in report.facts:
        note = f" ({escaped(fact.note)})" if fact.note else ""
        lines.append(f"- **{escaped(fact.label)}**: {escaped(format_value(fact.value, fact.kind))}{note}")
    for section in report.text_sections():
        lines += ["", f"## {escaped(section.title)}"]
        for note in section.notes:
            lines += ["", escaped(note)]
        for table in section.tables:
            lines += ["", *_table(table)]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    r"""Return a text as one line, with everything escaped that has a meaning in Markdown or HTML.

    Examples
    --------
    >>> escaped("a|b <i> *c*")
    'a\\|b \\<i\\> \\*c\\*'
    """
    return _LIST_NUMBER.sub(r"\1\\\2", _MARKS.sub(r"\\\1", one_line_text(text)))


def _table(table: ReportTable) -> Iterator[str]:
    if table.title:
        yield f"### {escaped(table.title)}"
        yield ""
    yield "| " + " | ".join(escaped(column.label) for column in table.columns) + " |"
    yield "|" + "|".join("---:" if column.numeric else "---" for column in table.columns) + "|"
    for cells in rows_of(table):
        yield "| " + " | ".join(map(escaped, cells)) + " |"
    if table.has_totals_line:
        cells = totals_of(table)
        yield "| " + " | ".join(f"**{escaped(cell)}**" if cell else "" for cell in cells) + " |"
    if table.note:
        yield ""
        yield escaped(table.note)
