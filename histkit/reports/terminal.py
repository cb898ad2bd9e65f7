"""A report as Markdown, and on a terminal (rich)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from histkit.reports.model import Report, ReportTable, bar_shares, rows_of, totals_of
from histkit.util.text import format_value

_BAR = "█"
_BAR_CELLS = 12


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
        line = Text(f"  {fact.label}: ").append(format_value(fact.value, fact.kind), style="bold")
        console.print(line.append(f"  {fact.note}" if fact.note else "", style="dim"))
    for section in report.sections:
        console.print()
        console.print(Text(section.title, style="bold underline"))
        for note in section.notes:
            console.print(Text(note, style="dim"))
        for table in section.tables:
            console.print(rich_table(table))


def rich_table(table: ReportTable) -> Any:
    """Make a table for a terminal, with a bar beside the numbers of the columns that have one."""
    from rich import box
    from rich.table import Table as Rich
    from rich.text import Text

    made = Rich(
        title=Text(table.title) if table.title else None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption=Text(table.note) if table.note else None,
        caption_justify="left",
        show_footer=bool(table.totals),
    )
    feet = totals_of(table) if table.totals else [""] * len(table.columns)
    for column, foot in zip(table.columns, feet, strict=True):
        made.add_column(
            Text(column.label),
            Text(foot),
            justify="right" if column.number else "left",
            no_wrap=column.number,
            overflow="fold",
        )
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


def _bars(table: ReportTable, name: str) -> Iterator[str]:
    for part in bar_shares(table, name):
        yield _BAR * max(round(part * _BAR_CELLS), 1 if part > 0 else 0)
