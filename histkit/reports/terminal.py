"""A report on a terminal (rich)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from histkit.reports.model import Report, ReportColumn, ReportTable, bar_shares, rows_of, totals_of
from histkit.util.text import format_value

_BAR = "█"
_BAR_CELLS = 12
_GAP = 3  # characters between two columns
_LEAST_TEXT = 12  # longer texts can be folded


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
            console.print(rich_table(table), crop=False)


def rich_table(table: ReportTable) -> Any:
    """Return a table for `rich`, laid out for the width it is printed at.

    Numbers and dates are never cut: on a narrow terminal, headings and texts wrap and bars are omitted. A table that is
    still too wide exceeds the terminal.
    """
    return _TerminalTable(table)


@dataclass(frozen=True)
class _TerminalTable:
    """A table that `rich` lays out when it prints it."""

    table: ReportTable

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        columns, rows = self.table.columns, list(rows_of(self.table))
        footers = totals_of(self.table) if self.table.totals else [""] * len(columns)
        cells = [[footer, *(row[position] for row in rows)] for position, footer in enumerate(footers)]
        least = [_least_width(column, texts) for column, texts in zip(columns, cells, strict=True)]
        natural = [_longest([column.label, *texts]) for column, texts in zip(columns, cells, strict=True)]
        bars = (_BAR_CELLS + _GAP) * sum(column.bar for column in columns)
        room = options.max_width - _GAP * len(columns) - 1
        if sum(least) + bars > room:
            bars = 0
        widths = _share_room(least, natural, room - bars)
        rendered = _build_table(self.table, rows, footers, widths, with_bars=bars > 0)
        needed = sum(widths) + bars + _GAP * len(columns) + 1
        yield from console.render(rendered, options.update(max_width=max(options.max_width, needed)))


def _longest(texts: Iterable[str]) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, texts), default=0)


def _least_width(column: ReportColumn, cells: Sequence[str]) -> int:
    """Return the width that a column needs at least: its longest word, but any text can be folded."""
    words = _longest(column.label.split())
    return max(words, min(_longest(cells), _LEAST_TEXT) if column.kind == "text" else _longest(cells))


def _share_room(least: Sequence[int], natural: Sequence[int], room: int) -> list[int]:
    """Return the widths of columns: the narrowest ones grow first, up to their natural widths."""
    widths = list(least)
    growing = [position for position, width in enumerate(widths) if width < natural[position]]
    for _ in range(room - sum(widths)):
        if not growing:
            break
        narrowest = min(growing, key=widths.__getitem__)
        widths[narrowest] += 1
        if widths[narrowest] == natural[narrowest]:
            growing.remove(narrowest)
    return widths


def _build_table(
    table: ReportTable, rows: Sequence[Sequence[str]], footers: Sequence[str], widths: Sequence[int], *, with_bars: bool
) -> Any:
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
    cells: list[list[Text]] = []
    for position, column in enumerate(table.columns):
        justify: Any = "right" if column.numeric else "left"
        label, footer = Text(column.label), Text(footers[position])
        rendered.add_column(label, footer, justify=justify, width=widths[position], overflow="fold")
        cells.append([Text(row[position]) for row in rows])
        if column.bar and with_bars:
            rendered.add_column("", no_wrap=True, width=_BAR_CELLS)
            cells.append([Text(bar, style="blue") for bar in _bars(table, column.name)])
    for line in zip(*cells, strict=True):
        rendered.add_row(*line)
    return rendered


def _bars(table: ReportTable, name: str) -> list[str]:
    shares = bar_shares(table, name)
    return [_BAR * max(round(share * _BAR_CELLS), 1 if share > 0 else 0) for share in shares]
