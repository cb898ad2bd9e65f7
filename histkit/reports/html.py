"""A report as one self-contained HTML file: inline SVG charts, no requests, all texts of the history escaped."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from histkit.reports.model import Chart, Report, ReportTable, bar_shares, rows_of, totals_of
from histkit.util.text import format_value, one_line_text

_WIDTH, _HEIGHT = re.compile(r'\swidth="[\d.]+pt"'), re.compile(r'\sheight="[\d.]+pt"')

_LONGEST_WORD = 26  # characters that fit beside the other columns


@dataclass(frozen=True)
class _Cell:
    text: str
    numeric: bool
    bar_percent: int | None

    @property
    def short_words(self) -> bool:
        """Whether no word has to be broken, as a model's name."""
        return all(len(word) <= _LONGEST_WORD for word in self.text.split())


@dataclass(frozen=True)
class _RenderedChart:
    title: str
    svg: object


def html(report: Report) -> str:
    """Render a report as one HTML document."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_clean
    )
    template = environment.from_string(files("histkit.reports").joinpath("report.html.jinja").read_text("utf-8"))
    charts = {
        section.key: [_RenderedChart(chart.title, Markup(svg_of(chart))) for chart in section.charts]
        for section in report.sections
    }
    return template.render(
        report=report, charts=charts, format_value=format_value, cells_of=_cells, totals_of=totals_of
    )


def _clean(value: object) -> object:
    """Return what the template prints: of a text only the visible characters; SVG, which is safe, as it is."""
    return one_line_text(value) if type(value) is str else value


def _cells(table: ReportTable) -> Iterator[list[_Cell]]:
    bars = {column.name: bar_shares(table, column.name) for column in table.columns if column.bar}
    for row, texts in enumerate(rows_of(table)):
        yield [
            _Cell(text, column.numeric, round(100 * bars[column.name][row]) if column.bar else None)
            for text, column in zip(texts, table.columns, strict=True)
        ]


def svg_of(chart: Chart) -> str:
    """Render a chart as inline SVG: selectable text, scaled to the page; the same data gives the same bytes."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    salt = hashlib.sha256(chart.title.encode()).hexdigest()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 10}), warnings.catch_warnings():
        # the browser draws the letters, in its own fonts
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure = Figure(figsize=(9.0, chart.height), layout="constrained")
        FigureCanvasSVG(figure)
        chart.prepare()(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    head, _, rest = svg.partition(">")
    return _HEIGHT.sub("", _WIDTH.sub("", head)) + ">" + rest
