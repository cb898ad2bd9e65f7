"""Tables and reports on a terminal of any width, or in a pipe: no number is ever cut, folded or left out unnoticed.

Where a table is wider than the terminal, these are given up in this order: the bars; the space between columns; the
columns of least worth (`ReportColumn.drop_rank`), which a line below the table names; at last the rows are stacked, a
line per cell. Texts are folded at spaces, and never within a number.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histkit.reports.model import Report, ReportColumn, ReportTable, bar_shares, rows_of, totals_of
from histkit.util.folding import cell_length, fold, output_width, pieces_of
from histkit.util.text import encodable_text, format_value, terminal_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

PIPE_WIDTH = 160  # characters, where there is no terminal; a table may exceed it
_BAR_CELLS = 12
_LEAST_TEXT, _LEAST_ID = 12, 24  # characters; longer words, and longer ones with digits (ids), can be broken
_COMFORTABLE_TEXT = 24  # characters; bars go before longer texts are folded any narrower


def output_console() -> tuple[Console, bool]:
    """Return a console on standard output, and whether its width is fixed (a table must not exceed it)."""
    from rich.console import Console

    console, width = Console(highlight=False), output_width()
    if console.is_jupyter:
        return console, False
    console.width = width or _pipe_width()
    return console, width is not None


def _pipe_width() -> int:
    """Return the columns of the terminal that most likely shows what is piped (to head, to less), else a default."""
    with suppress(AttributeError, OSError, ValueError):
        if stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode):
            return os.get_terminal_size(sys.stderr.fileno()).columns or PIPE_WIDTH
    return PIPE_WIDTH


def print_table(table: ReportTable, hint: str = "") -> None:
    """Print a table on standard output.

    Parameters
    ----------
    table : ReportTable
        The table.
    hint : str, optional
        How to see the columns for which the terminal is too narrow; default: on a wider terminal.
    """
    console, fixed = output_console()
    console.print(rich_table(table, fixed=fixed, hint=hint), crop=False)


def print_report(report: Report, console: Console | None = None) -> None:
    """Print a report on a terminal.

    Parameters
    ----------
    report : Report
        The report.
    console : rich.console.Console, optional
        Default: standard output.
    """
    fixed = True
    if console is None:
        console, fixed = output_console()

    def show(text: str, style: str, indent: int = 0) -> None:
        for line in fold(encodable_text(terminal_text(text), console.encoding), console.width - indent):
            _print_line(console, [(" " * indent + line, style)])

    show(report.title, "bold")
    show(report.subtitle, "dim")
    for fact in report.facts:
        _print_fact(console, fact.label, format_value(fact.value, fact.kind), fact.note)
    for section in report.text_sections():
        _print_line(console, [])
        show(section.title, "bold underline")
        for note in section.notes:
            show(note, "dim")
        for table in section.tables:
            console.print(rich_table(table, fixed=fixed), crop=False)


def _print_fact(console: Console, label: str, value: str, note: str) -> None:
    """Print a headline number: one line where there is room, else the note on lines of its own."""
    label, value, note = (encodable_text(terminal_text(text), console.encoding) for text in (label, value, note))
    head = [(f"  {label}: ", ""), (value, "bold")]
    if note and cell_length("".join(text for text, _ in head) + f"  {note}") <= console.width:
        _print_line(console, [*head, (f"  {note}", "dim")])
        return
    _print_line(console, head)
    for line in fold(note, console.width - 4) if note else ():
        _print_line(console, [(f"    {line}", "dim")])


def _print_line(console: Console, parts: Sequence[tuple[str, str]]) -> None:
    console.print(_line(parts), crop=False)


def _line(parts: Sequence[tuple[str, str]]) -> Text:
    """Return a line of styled texts that `rich` leaves as it is, without spaces at its end."""
    from rich.text import Text

    line = Text.assemble(*parts, no_wrap=True, overflow="ignore", end="\n")
    line.rstrip()
    return line


def rich_table(table: ReportTable, *, fixed: bool = True, hint: str = "") -> Any:
    """Return a table for `rich`, laid out for the width it is printed at.

    Parameters
    ----------
    table : ReportTable
        The table.
    fixed : bool
        Whether the table must not exceed the width. If not, as in a pipe, it exceeds it rather than lose a column.
    hint : str, optional
        As in `print_table`.
    """
    return _TerminalTable(table, fixed, hint or "use a wider terminal")


def _least_width(text: str) -> int:
    """Return the width below which a text can't be folded without breaking a short word or a number."""
    widths = [0]
    for word in text.split(" "):
        length, least = cell_length(word), _LEAST_ID if any(map(str.isdigit, word)) else _LEAST_TEXT
        widths.append(length if length <= least else max(least, *map(cell_length, pieces_of(word))))
    return max(widths)


@dataclass(frozen=True)
class _Cells:
    """The texts of a column, and the widths it can have."""

    column: ReportColumn
    label: str
    texts: list[str]
    total: str
    bars: list[str]

    @property
    def natural(self) -> int:
        return max(map(cell_length, [self.label, self.total, *self.texts]))

    @property
    def least(self) -> int:
        cells = [self.total, *self.texts]
        return max(_least_width(self.label), *map(_least_width if self.column.foldable else cell_length, cells))

    def lines(self, text: str, width: int, *, label: bool = False) -> list[str]:
        """Fold a cell, and align its lines."""
        lines = fold(text, width) if label or self.column.foldable else [text]
        right = self.column.numeric
        padded = [" " * max(0, width - cell_length(line)) for line in lines]
        return [pad + line if right else line + pad for line, pad in zip(lines, padded, strict=True)]


@dataclass(frozen=True)
class _Layout:
    """How the columns stand beside each other."""

    columns: list[_Cells]
    widths: list[int]
    margin: int
    gap: int
    with_bars: bool


@dataclass(frozen=True)
class _TerminalTable:
    """A table that `rich` lays out when it prints it."""

    table: ReportTable
    fixed: bool
    hint: str

    def __rich_console__(self, console: Console, options: Any) -> Iterator[Any]:
        encoding, width = console.encoding, options.max_width
        columns = _cells_of(self.table, encoding)
        layout = _choose_layout(columns, width, fixed=self.fixed)

        def prose(text: str, style: str, indent: int) -> Iterator[Text]:
            for line in fold(encodable_text(terminal_text(text), encoding), width - indent) if text else ():
                yield _line([(" " * indent + line, style)])

        indent = layout.margin if layout is not None else 0
        yield from prose(self.table.title, "italic", indent)
        if layout is None:
            yield from _stacked(columns, width, len(self.table.frame), with_totals=self.table.has_totals_line)
        else:
            rule = "─" if encoding.startswith("utf") else "-"
            yield from _beside(layout, rule, len(self.table.frame), with_totals=self.table.has_totals_line)
            omitted = [cells.label for cells in columns if cells not in layout.columns]
            if omitted:
                yield from prose(f"Not shown at this width: {', '.join(omitted)}; {self.hint}.", "dim", indent)
        yield from prose(self.table.note, "dim", indent)


def _cells_of(table: ReportTable, encoding: str) -> list[_Cells]:
    def clean(text: str) -> str:
        return encodable_text(terminal_text(text), encoding)

    columns = list(zip(*rows_of(table), strict=True)) or [()] * len(table.columns)
    totals = totals_of(table) if table.has_totals_line else [""] * len(table.columns)
    block = "█" if encoding.startswith("utf") else "#"
    return [
        _Cells(
            column,
            clean(column.label),
            [clean(text) for text in texts],
            clean(total),
            [block * max(round(share * _BAR_CELLS), share > 0) for share in bar_shares(table, column.name)]
            if column.bar
            else [],
        )
        for column, texts, total in zip(table.columns, columns, totals, strict=True)
    ]


def _choose_layout(columns: list[_Cells], width: int, *, fixed: bool) -> _Layout | None:
    """Choose what is given up to fit into a width; None: the rows are stacked."""
    natural, least = {}, {}
    for position, cells in enumerate(columns):
        natural[position], least[position] = cells.natural, cells.least
    comfortable = {
        position: max(least[position], min(natural[position], _COMFORTABLE_TEXT)) for position in range(len(columns))
    }

    def fitted(
        kept: list[int], floor: dict[int, int], margin: int, gap: int, *, bars: bool = False, exceed: bool = False
    ) -> _Layout | None:
        bar_columns = sum(columns[position].column.bar for position in kept) if bars else 0
        room = width - margin - gap * (len(kept) - 1) - (_BAR_CELLS + gap) * bar_columns
        if sum(floor[position] for position in kept) > room and not exceed:
            return None
        widths = _share_room([floor[position] for position in kept], [natural[position] for position in kept], room)
        return _Layout([columns[position] for position in kept], widths, margin, gap, bars)

    kept = list(range(len(columns)))
    layout = fitted(kept, comfortable, 2, 3, bars=True) or fitted(kept, least, 2, 3)
    ranked = sorted((columns[place].column.drop_rank, place) for place in kept[1:] if columns[place].column.drop_rank)
    while layout is None:
        layout = fitted(kept, least, 0, 2, exceed=not fixed)
        if layout is None and not ranked:
            return None
        if layout is None:
            kept.remove(ranked.pop(0)[1])
    return layout


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


def _beside(layout: _Layout, rule: str, rows: int, *, with_totals: bool) -> Iterator[Text]:
    """Yield the lines of a table whose columns stand beside each other."""
    bar = _BAR_CELLS + layout.gap if layout.with_bars else 0
    full = sum(layout.widths) + layout.gap * (len(layout.widths) - 1)
    full += bar * sum(cells.column.bar for cells in layout.columns)
    yield _line([])
    labels = [cells.lines(cells.label, width, label=True) for cells, width in _pairs(layout)]
    yield from _row(layout, labels, [""] * len(labels), "bold")
    yield _line([(" " * (layout.margin // 2) + rule * (full + layout.margin // 2), "")])
    for row in range(rows):
        texts = [cells.lines(cells.texts[row], width) for cells, width in _pairs(layout)]
        yield from _row(layout, texts, [cells.bars[row] if cells.bars else "" for cells in layout.columns], "")
    if with_totals:
        yield _line([])
        totals = [cells.lines(cells.total, width) for cells, width in _pairs(layout)]
        yield from _row(layout, totals, [""] * len(totals), "bold")
    yield _line([])


def _pairs(layout: _Layout) -> Iterator[tuple[_Cells, int]]:
    return zip(layout.columns, layout.widths, strict=True)


def _row(layout: _Layout, cells: Sequence[Sequence[str]], bars: Sequence[str], style: str) -> Iterator[Text]:
    """Yield the lines of a row: the first lines of its folded cells, the second ones, and so on."""
    for number in range(max(map(len, cells))):
        parts = [(" " * layout.margin, "")]
        for position, ((column, width), lines) in enumerate(zip(_pairs(layout), cells, strict=True)):
            parts.append((" " * layout.gap if position else "", ""))
            parts.append((lines[number] if number < len(lines) else " " * width, style))
            if column.column.bar and layout.with_bars:
                bar = bars[position] if number == 0 else ""
                parts.append((" " * layout.gap + bar + " " * (_BAR_CELLS - len(bar)), "blue"))
        yield _line(parts)


def _stacked(columns: list[_Cells], width: int, rows: int, *, with_totals: bool) -> Iterator[Text]:
    """Yield the lines of a table that is too wide for the terminal: a line per cell, a paragraph per row."""
    for row in range(rows):
        yield _line([])
        for cells in columns:
            yield from _labelled(cells.label, cells.texts[row], width, is_text=cells.column.foldable)
    if with_totals:
        yield _line([])
        yield _line([(columns[0].total, "bold")])
        for cells in columns[1:]:
            if cells.total:
                yield from _labelled(cells.label, cells.total, width, is_text=False)
    yield _line([])


def _labelled(label: str, value: str, width: int, *, is_text: bool) -> Iterator[Text]:
    """Yield ``label: value``; below the label where it doesn't fit beside it."""
    if cell_length(f"{label}: {value}") <= width:
        yield _line([(f"{label}: ", "dim"), (value, "")])
        return
    for line in fold(f"{label}:", width):
        yield _line([(line, "dim")])
    for line in fold(value, width - 2) if is_text else [value]:
        yield _line([(("  " if cell_length(line) + 2 <= width else "") + line, "")])
