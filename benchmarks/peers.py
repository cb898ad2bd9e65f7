"""Other tables in JupyterLab, and what they can do of what `benchmarks.explorer_browser` measures in the explorer.

None of them says which rows are right: a time ends with the first frame in which the rows shown are others than before.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.jupyter import in_kernel

SEARCH = "the clock"


class Step(NamedTuple):
    """What is measured of a table.

    Attributes
    ----------
    event : str or None
        The type of the events of which the last begins the time; None: it begins at once.
    condition : str
        A JavaScript expression of a function that says whether it is done; "changed" stands for the rows shown.
    act : callable
        Takes the page and does it.
    """

    event: str | None
    condition: str
    act: Callable[[Any], None]


class Peer(NamedTuple):
    """Another table.

    Attributes
    ----------
    name : str
        Of its package.
    cell : str
        Code that shows the frame ``df``.
    shown : str
        A JavaScript expression of what the first rows show, as a text; empty before they are there.
    steps : dict
        A step by what it measures.
    cannot : dict
        Why there is no step, in a few words.
    """

    name: str
    cell: str
    shown: str
    steps: dict[str, Step]
    cannot: dict[str, str]

    def rows_shown(self) -> str:
        """Return the condition that the first rows are there."""
        return f"(() => () => {self.shown} !== '')()"

    def changed(self) -> str:
        """Return the condition that the rows shown are others than now."""
        look = f"() => {self.shown}"
        return f"((look) => {{ const old = look(); return () => !['', old].includes(look()); }})({look})"


_TABLE = """([...document.querySelectorAll('.jp-OutputArea .dataTable tbody tr')].slice(0, 3)
  .map((row) => row.textContent).join(''))"""
_QUAK = """((() => {
  const host = [...document.querySelectorAll('.jp-OutputArea div')].find((div) => div.shadowRoot);
  const root = host?.shadowRoot ?? document.querySelector('.jp-OutputArea');
  return [...(root?.querySelectorAll('.quak tbody tr td') ?? [])].slice(0, 30).map((cell) => cell.textContent).join('');
})())"""
# The canvas of the grid, as numbers of its pixels.
_CANVAS = """((() => {
  const canvas = document.querySelector('.lm-DataGrid-viewport canvas');
  if (!canvas || canvas.width === 0) return '';
  const {data} = canvas.getContext('2d').getImageData(canvas.width / 4, 40, canvas.width / 4, 200);
  let sum = 0;
  for (let at = 0; at < data.length; at += 4) sum = (31 * sum + data[at]) % 2147483647;
  const first = data[0];
  return data.every((value, at) => at % 4 !== 0 || value === first) ? '' : String(sum);
})())"""


def _click_heading(name: str) -> Callable[[Any], None]:
    def act(page: Any) -> None:
        page.locator(".jp-OutputArea thead th").filter(has_text=name).first.locator(".dt-column-order").click()

    return act


def _sort_in_quak(page: Any) -> None:
    heading = page.locator(".quak thead th").filter(has_text="credits")
    heading.hover()  # shows the button
    heading.locator(".sort-button").click()


def _search_in_itables(page: Any) -> None:
    page.locator(".dt-search input").click()
    page.keyboard.type(SEARCH, delay=90)


def _drag_bar(page: Any) -> None:
    bar = page.locator(".lm-DataGrid-scrollBar[data-orientation=vertical]")
    track, thumb = (bar.locator(part).bounding_box() for part in (".lm-ScrollBar-track", ".lm-ScrollBar-thumb"))
    x = thumb["x"] + thumb["width"] / 2
    page.mouse.move(x, thumb["y"] + thumb["height"] / 2)
    page.mouse.down()
    page.mouse.move(x, track["y"] + track["height"] / 2)
    page.mouse.up()


def _transform(**change: Any) -> Callable[[Any], None]:
    def act(page: Any) -> None:
        in_kernel(page, f"grid.transform([{change!r}])")

    return act


PEERS = (
    Peer(
        "itables",
        "from itables.widget import ITable\nITable(df, maxBytes=0)",
        _TABLE,
        {
            "a far row": Step("click", "changed", lambda page: page.locator(".dt-paging-button.last").click()),
            "sort by credits": Step("click", "changed", _click_heading("credits")),
            "sort by text, cold": Step("click", "changed", _click_heading("text")),
            "search: table": Step(
                "keydown",
                "(() => () => document.querySelector('.dt-search input')?.value === "
                f"{json.dumps(SEARCH)} && document.querySelector('.dt-info')?.textContent.includes('filtered'))()",
                _search_in_itables,
            ),
        },
        {},
    ),
    Peer(
        "quak",
        "import quak\nquak.Widget(df)",
        _QUAK,
        {"sort by credits": Step("mousedown", "changed", _sort_in_quak)},
        {"a far row": "rows come as one scrolls", "sort by text, cold": "as above", "search: table": "no search"},
    ),
    Peer(
        "ipydatagrid",
        "from ipydatagrid import DataGrid\ngrid = DataGrid(df)\ngrid",
        _CANVAS,
        {
            "a far row": Step("pointermove", "changed", _drag_bar),
            "sort by credits": Step(None, "changed", _transform(type="sort", column="credits", desc=False)),
            "sort by text, cold": Step(None, "changed", _transform(type="sort", column="text", desc=False)),
        },
        {"search: table": "its filter fails at missing texts"},
    ),
)
"""The tables, in the order of the columns."""
