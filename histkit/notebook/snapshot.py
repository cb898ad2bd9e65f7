"""The readable page that a notebook keeps of the explorer: what it shows.

It is HTML without scripts, and can be read without styles too, which GitHub and untrusted notebooks remove. The bars of
its chart are an image in colours that are visible on white and on black; all words are HTML in the page's own ink.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from histkit.frame.schema import KINDS
from histkit.notebook.columns import TableColumn
from histkit.notebook.filter_state import BOUNDS, NAMES, FilterState
from histkit.notebook.selection import Totals
from histkit.notebook.service import Service
from histkit.notebook.windows import window
from histkit.util.text import NOTHING, format_value, one_line_text, shorten

CONTINUE = "Run this cell to continue."
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6060E0", "#C04060", "#107080", "#C030C0", "#507050", "#9050A0"),
    "#808080",
)  # each has a contrast of 3 to white and to JupyterLab's dark page
MOST_BYTES = 200_000
_ROWS_BYTES, _CODE_CHARACTERS, _CELL_CHARACTERS, _NAME_CHARACTERS = 100_000, 4_000, 200, 60
_MOST_ROWS, _MOST_COLUMNS, _MOST_NAMES = 25, 30, 10
_WIDTH, _HEIGHT = 720, 150
_WORDS = ("text", "dialogue", "alignments", "extra")  # the columns of a history that hold what was spoken
# Classes are doubled to be stronger than the styles of tables in notebooks.
_STYLE = """<style>
.histkit-snapshot { font: 13px/1.5 system-ui, sans-serif; color: inherit; max-width: 1100px; overflow-x: auto }
.histkit-snapshot p { margin: 0 0 6px }
.histkit-snapshot .histkit-continue { font-weight: 600 }
.histkit-snapshot.histkit-snapshot table {
  border: 0; border-collapse: collapse; margin: 0 0 10px; color: inherit; table-layout: auto;
  caption { caption-side: top; padding: 0 0 4px; text-align: left; color: inherit }
  tr:nth-child(n), tr:nth-child(n):hover { background: none; border: 0 }
  th, td { padding: 2px 10px 2px 0; border: 0; font-size: 13px; max-width: 420px; overflow-wrap: break-word;
    text-align: left; vertical-align: top; background: none; color: inherit }
  [align=right] { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
  &.histkit-rows :is(th, td) { border-bottom: 1px solid rgba(128, 128, 128, .35) }
  &.histkit-chart td { max-width: none; padding-right: 6px }
  &.histkit-chart td[valign=bottom] { vertical-align: bottom }
  &.histkit-chart td, td.histkit-date { white-space: nowrap }
}
.histkit-snapshot img { display: inline-block; margin: 0; max-width: none; background: none }
.histkit-snapshot code { white-space: pre-wrap; overflow-wrap: anywhere; background: none; color: inherit }
/* A live view stands in the output before this one. It takes the place of this page when it has opened. */
.jp-OutputArea-child:has([data-histkit-view=open]) + .jp-OutputArea-child:has(.histkit-snapshot),
.jp-OutputArea-child:has(+ .jp-OutputArea-child .histkit-snapshot):not(:has([data-histkit-view=open])),
:root:not(:has(.jp-OutputArea-child)):has([data-histkit-view=open]) .histkit-snapshot { display: none }
.jp-OutputArea-child:is(:has([data-histkit-view=waiting]), :has([data-histkit-view=silent]))
  + .jp-OutputArea-child .histkit-continue { font-size: 0 }
.jp-OutputArea-child:has([data-histkit-view=waiting]) + .jp-OutputArea-child .histkit-continue::after {
  content: "The kernel is working; the live view comes after that."; font-size: 13px }
.jp-OutputArea-child:has([data-histkit-view=silent]) + .jp-OutputArea-child .histkit-continue::after {
  content: "The kernel doesn't answer: it is busy, or this cell is to be run again."; font-size: 13px }
</style>"""


def page(title: str, parts: Iterable[str]) -> str:
    """Return a page that takes the place of a live view wherever there is none.

    Parameters
    ----------
    title : str
        What was displayed, as text.
    parts : iterable of str
        HTML.
    """
    head = f'<p class="histkit-continue">{html.escape(title)}. {CONTINUE}</p>'
    return f'{_STYLE}<div class="histkit-snapshot">{head}{"".join(parts)}</div>'


def explorer_page(service: Service, *, keep: bool = True, with_chart: bool = True) -> str:
    """Return the page of an explorer's present state: totals, filters, chart, the first rows, code.

    Parameters
    ----------
    service : Service
        The explorer's kernel side.
    keep : bool
        Whether the page has texts: what was spoken, and what is searched for. Without them, columns that may hold texts
        are left out, too.
    with_chart : bool
        Whether it has the chart, which takes long for very many rows.

    Returns
    -------
    str
        HTML of less than `MOST_BYTES`.
    """
    with service.lock:
        selection = service.selection
        filters, tz = selection.filters, selection.tz
        if not keep and filters.text:
            filters = replace(filters, text="…", pattern=False)
        all_columns = [service.columns[key] for key in service.shown]
        columns = [column for column in all_columns if keep or _is_wordless(service, column)]
        shown = columns[:_MOST_COLUMNS]
        last = min(service.page_size, _MOST_ROWS)
        rows = window(selection, shown, 0, last)["rows"]
        totals, ticked, hidden = selection.totals(), selection.totals(selection.ticked), selection.hidden()
        sort = [(service.columns.get(str(key.column)), key.descending) for key in selection.sort]
        of_all = len(selection.frame)
        empty = service.empty(totals)
    parts = [_paragraph(_sums(totals, ticked, hidden, of_all))]
    words = [*filter_words(filters, tz, service.voice_labels() if filters.voice else {})]
    if words:
        parts.append(_paragraph("Filters: " + "; ".join(words)))
    if with_chart and totals.rows:
        chart, _ = service.answer({"kind": "chart"})
        parts += [] if "error" in chart else _chart(chart)
    if empty is not None:
        parts.append(_paragraph(empty))
    else:
        order = [f"{column.label}{', descending' if down else ''}" for column, down in sort if column is not None]
        left_out = [column.label for column in all_columns if column not in columns]
        parts.append(_table(rows, shown, totals.rows, ticked.rows > 0, order, left_out))
        if len(columns) > len(shown):
            parts.append(_paragraph(f"{len(columns) - len(shown):,} more columns are not kept here."))
    code = filters.code(tz)
    if len(code) > _CODE_CHARACTERS:
        code = f"{code[:100]} … (explorer.code has all of it)"
    parts.append(f"<p>The rows as code: <code>{html.escape(code)}</code></p>")
    return page("The explorer as it was last", parts)


def filter_words(filters: FilterState, tz: str, voices: Mapping[str, str]) -> Iterator[str]:
    """Yield a few words about each filter in force.

    Examples
    --------
    >>> [*filter_words(FilterState(voice=("v1",), text="clock", least=10), "UTC", {"v1": "Rachel"})]
    ['voice Rachel', 'text “clock”', 'credits from 10']
    """
    for name in NAMES:
        values = [_short(voices.get(value, value) if name == "voice" else value) for value in getattr(filters, name)]
        if values:
            more = len(values) - _MOST_NAMES
            yield f"{name} {' or '.join(values[:_MOST_NAMES])}{f' or {more:,} more' if more > 0 else ''}"
    days = filters.message(tz)
    for words, first, last in (("days", "first", "last"), ("dates", "after", "before")):
        if days[first] is not None or days[last] is not None:
            yield f"{words}{_span(days[first], days[last])}"
    if filters.text:
        yield f"{'pattern' if filters.pattern else 'text'} “{_short(filters.text)}”"
    for column, names in BOUNDS.items():
        least, most = (getattr(filters, name) for name in names)
        if least is not None or most is not None:
            yield f"{column}{_span(least, most)}"


def _span(first: Any, last: Any) -> str:
    shown = [None if end is None else f"{end:,}" if isinstance(end, int) else str(end) for end in (first, last)]
    return "".join(f" {word} {end}" for word, end in zip(("from", "to"), shown, strict=True) if end is not None)


def _is_wordless(service: Service, column: TableColumn) -> bool:
    """Return whether a column holds nothing that somebody said or wrote."""
    if column.key in KINDS:
        return column.key not in _WORDS
    return column.kind in ("count", "number", "date", "seconds")


def _short(text: str) -> str:
    return shorten(one_line_text(text), _NAME_CHARACTERS)


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def _credits(number: int | None) -> str:
    return "credits not known" if number is None else f"{number:,} credits"


def _sums(totals: Totals, ticked: Totals, hidden: int, of_all: int) -> str:
    of = "" if totals.rows == of_all else f" of {of_all:,}"
    text = f"{totals.rows:,}{of} rows, {_credits(totals.credits)}"
    if ticked.rows:
        more = f", {hidden:,} of them hidden by the filters" if hidden else ""
        text += f"; {ticked.rows:,} ticked, {_credits(ticked.credits)}{more}"
    return text


def _table(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[TableColumn],
    count: int,
    with_ticks: bool,
    order: Sequence[str],
    left_out: Sequence[str],
) -> str:
    marks = ['<th scope="col">Ticked</th>'] if with_ticks else []
    heads = [f'<th scope="col"{_align(column)}>{html.escape(_short(column.label))}</th>' for column in columns]
    lines: list[str] = []
    size = 0
    for row in rows:
        cells = ["<td>✓</td>" if row["t"] else "<td></td>"] if with_ticks else []
        cells += [_cell(text, column) for text, column in zip(row["c"], columns, strict=True)]
        line = f"<tr>{''.join(cells)}</tr>"
        size += len(line.encode())
        if size > _ROWS_BYTES:
            break
        lines.append(line)
    words = f"The first {len(lines):,} of {count:,} rows" if len(lines) < count else "All rows"
    caption = words + (f", sorted by {', then '.join(map(_short, order))}" if order else "")
    if left_out:
        caption += f"; not kept: {', '.join(map(_short, left_out[:_MOST_NAMES]))}"
    return (
        f'<table class="histkit-rows"><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{''.join([*marks, *heads])}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def _align(column: TableColumn) -> str:
    return ' align="right"' if column.align == "right" else ""


def _cell(text: str | None, column: TableColumn) -> str:
    shown = NOTHING if text is None else html.escape(shorten(text, _CELL_CHARACTERS))
    kind = ' class="histkit-date"' if column.kind == "date" else ' dir="auto"' if column.align == "left" else ""
    return f"<td{_align(column)}{kind}>{shown}</td>"


def _chart(chart: Mapping[str, Any]) -> Iterator[str]:
    """Yield the chart's description, its bars, and a table that is the key to them."""
    yield _paragraph(shorten(chart["alt"], 600) + (f" {chart['note']}." if chart["note"] else ""))
    labels, series = chart["periods"], chart["series"]
    heights = [[max(value or 0, 0) for value in each["values"]] for each in series]
    highest = max(map(sum, zip(*heights, strict=True)), default=0)
    if not highest:
        return
    top = _round_up(highest)
    shown = labels if len(labels) < 3 else [labels[0], labels[len(labels) // 2], labels[-1]]
    places = ("left", "right") if len(shown) == 2 else ("left", "center", "right")
    ticks = "".join(
        f'<td align="{place}" style="text-align: {place}; padding: 0; border: 0">{html.escape(label)}</td>'
        for label, place in zip(shown, places, strict=False)
    )
    yield (
        '<table class="histkit-chart"><tbody>'
        f'<tr><td align="right" valign="top">{top:,}</td><td rowspan="2" valign="top">'
        f'<img width="{_WIDTH}" height="{_HEIGHT}" alt="" src="{_data_url(_bars(heights, top))}"></td></tr>'
        '<tr><td align="right" valign="bottom">0</td></tr>'
        f'<tr><td></td><td><table width="{_WIDTH}" style="margin: 0"><tbody><tr>{ticks}</tr></tbody></table></td></tr>'
        "</tbody></table>"
    )
    total = sum(each["total"] for each in series)
    yield '<table class="histkit-key"><tbody>'
    for place, each in enumerate(series):
        share = format_value(each["total"] / total, "share") if total else NOTHING
        yield (
            f'<tr><td><img width="10" height="10" alt="" src="{_data_url(_swatch(_colour(place)))}"></td>'
            f'<td dir="auto">{html.escape(_short(each["label"]))}</td>'
            f'<td align="right">{each["total"]:,}</td><td align="right">{share}</td></tr>'
        )
    yield "</tbody></table>"


def _round_up(number: int) -> int:
    """Return the next number of one digit and zeros that is not below a positive number.

    Examples
    --------
    >>> _round_up(1), _round_up(3), _round_up(50), _round_up(51)
    (1, 3, 50, 60)
    """
    power: int = 10 ** (len(str(number)) - 1)
    return -(-number // power) * power


def _colour(place: int) -> str:
    return COLOURS[min(place, len(COLOURS) - 1)]


def _bars(heights: Sequence[Sequence[int]], top: int) -> str:
    """Return stacked bars as SVG, the first series lowest."""
    step = _WIDTH / len(heights[0])
    width = max(step * 0.85, 0.5)
    room = _HEIGHT - 2
    base = [0] * len(heights[0])
    paths = []
    for place, series in enumerate(heights):
        bars = []
        for period, height in enumerate(series):
            if height:
                lower, upper = (room - room * sums / top + 1 for sums in (base[period], base[period] + height))
                base[period] += height
                bars.append(f"M{period * step:.1f} {lower:.2f}V{upper:.2f}h{width:.2f}V{lower:.2f}z")
        paths.append(f'<path fill="{_colour(place)}" d="{"".join(bars)}"/>')
    lines = "".join(f"M0 {y}H{_WIDTH}" for y in (1, 1 + room / 2, 1 + room))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}">'
        f'<path stroke="#808080" stroke-opacity=".45" d="{lines}"/>{"".join(paths)}</svg>'
    )


def _swatch(colour: str) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10">'
        f'<rect width="10" height="10" fill="{colour}"/></svg>'
    )


def _data_url(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
