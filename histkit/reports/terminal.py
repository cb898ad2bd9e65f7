"""A report as Markdown, and on a terminal (rich)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from histkit.reports.model import Report, Table, shown

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~$&])")
_BAR = "█"
_BAR_CELLS = 12


def markdown(report: Report) -> str:
    """Write a report as Markdown; words from the history stay words."""
    lines = [f"# {escaped(report.title)}", "", escaped(report.subtitle), ""]
    for fact in report.facts:
        note = f" ({escaped(fact.note)})" if fact.note else ""
        lines.append(f"- **{escaped(fact.label)}**: {escaped(shown(fact.value, fact.kind))}{note}")
    for section in report.sections:
        lines += ["", f"## {escaped(section.title)}"]
        for note in section.notes:
            lines += ["", escaped(note)]
        for table in section.tables:
            lines += ["", *_table(table)]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    r"""Take from a text all that means something in Markdown or HTML.

    Examples
    --------
    >>> escaped("a|b <i> *c*")
    'a\\|b \\<i\\> \\*c\\*'
    """
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield f"### {escaped(table.title)}"
        yield ""
    yield "| " + " | ".join(escaped(column.label) for column in table.columns) + " |"
    yield "|" + "|".join("---:" if column.number else "---" for column in table.columns) + "|"
    for cells in rows_of(table):
        yield "| " + " | ".join(map(escaped, cells)) + " |"
    if table.totals:
        cells = totals_of(table)
        yield "| " + " | ".join(f"**{escaped(cell)}**" if cell else "" for cell in cells) + " |"
    if table.note:
        yield ""
        yield escaped(table.note)


def rows_of(table: Table) -> Iterator[list[str]]:
    """Give the cells of each row as they are read."""
    columns = [table.frame[column.name].astype(object).tolist() for column in table.columns]
    for values in zip(*columns, strict=True):
        yield [shown(value, column.kind) for value, column in zip(values, table.columns, strict=True)]


def totals_of(table: Table) -> list[str]:
    """Give the cells of the last line."""
    found = []
    for place, column in enumerate(table.columns):
        if column.name in table.totals:
            found.append(shown(table.totals[column.name], column.kind))
        else:
            found.append("Total" if not place else "")
    return found


def print_report(report: Report, console: Any = None) -> None:
    """Print a report on a terminal.

    Parameters
    ----------
    report : Report
        What to print.
    console : rich.console.Console, optional
        Where; default: standard output.
    """
    from rich.console import Console
    from rich.text import Text

    console = console or Console()
    console.print(Text(report.title, style="bold"))
    console.print(Text(report.subtitle, style="dim"))
    for fact in report.facts:
        line = Text(f"  {fact.label}: ").append(shown(fact.value, fact.kind), style="bold")
        console.print(line.append(f"  {fact.note}" if fact.note else "", style="dim"))
    for section in report.sections:
        console.print()
        console.print(Text(section.title, style="bold underline"))
        for note in section.notes:
            console.print(Text(note, style="dim"))
        for table in section.tables:
            console.print(rich_table(table))


def rich_table(table: Table) -> Any:
    """Make a table for a terminal, with a bar beside the numbers of the columns that have one."""
    from rich import box
    from rich.table import Table as Rich
    from rich.text import Text

    made = Rich(title=Text(table.title) if table.title else None, box=box.SIMPLE_HEAD, title_justify="left",
                caption=Text(table.note) if table.note else None, caption_justify="left",
                show_footer=bool(table.totals))  # fmt: skip
    feet = totals_of(table) if table.totals else [""] * len(table.columns)
    for column, foot in zip(table.columns, feet, strict=True):
        made.add_column(Text(column.label), Text(foot), justify="right" if column.number else "left",
                        no_wrap=column.number, overflow="fold")  # fmt: skip
        if column.bar:
            made.add_column("", no_wrap=True)
    bars = {column.name: list(_bars(table, column.name)) for column in table.columns if column.bar}
    for number, cells in enumerate(rows_of(table)):
        line = []
        for column, cell in zip(table.columns, cells, strict=True):
            line.append(Text(cell))
            if column.bar:
                line.append(Text(bars[column.name][number], style="blue"))
        made.add_row(*line)
    return made


def _bars(table: Table, name: str) -> Iterator[str]:
    for part in bar_shares(table, name):
        yield _BAR * max(round(part * _BAR_CELLS), 1 if part > 0 else 0)


def bar_shares(table: Table, name: str) -> list[float]:
    """Give how far the bar of each cell of a column goes, 0 to 1 of the largest."""
    values = [0.0 if value is None else float(value) for value in table.frame[name].astype(object).where(
        table.frame[name].notna(), None).tolist()]  # fmt: skip
    largest = max(map(abs, values), default=0.0)
    return [abs(value) / largest if largest else 0.0 for value in values]
