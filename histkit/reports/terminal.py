"""A report on a terminal (rich)."""

from __future__ import annotations

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
        The report.
    console : rich.console.Console, optional
        Default: standard output.
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
    """Build a table for a terminal, with a bar beside the numbers of each column that has one."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rendered = Table(
        title=Text(table.title) if table.title else None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption=Text(table.note) if table.note else None,
        caption_justify="left",
        show_footer=bool(table.totals),
    )
    _add_columns(rendered, table)
    bars = {column.name: _bars(table, column.name) for column in table.columns if column.bar}
    for row, cells in enumerate(rows_of(table)):
        line = []
        for column, cell in zip(table.columns, cells, strict=True):
            line.append(Text(cell))
            if column.bar:
                line.append(Text(bars[column.name][row], style="blue"))
        rendered.add_row(*line)
    return rendered


def _add_columns(rendered: Any, table: ReportTable) -> None:
    from rich.text import Text

    footers = totals_of(table) if table.totals else [""] * len(table.columns)
    for column, footer in zip(table.columns, footers, strict=True):
        rendered.add_column(
            Text(column.label),
            Text(footer),
            justify="right" if column.numeric else "left",
            no_wrap=column.numeric,
            overflow="fold",
        )
        if column.bar:
            rendered.add_column("", no_wrap=True)


def _bars(table: ReportTable, name: str) -> list[str]:
    shares = bar_shares(table, name)
    return [_BAR * max(round(share * _BAR_CELLS), 1 if share > 0 else 0) for share in shares]
