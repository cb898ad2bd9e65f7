"""What the widgets share: their toolkit, lines that tell what happened, numbers that people type."""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pandas as pd

from histkit.errors import InputError

T = TypeVar("T")


def import_widgets() -> tuple[Any, Any]:
    """Import ipywidgets and the table widget.

    Raises
    ------
    InputError
        One is not installed.
    """
    try:
        import ipywidgets
        from itables.widget import ITable
    except ImportError as error:
        raise InputError(f"The explorer needs {error.name}: pip install 'histkit[notebook]'.") from None
    return ipywidgets, ITable


@contextmanager
def undocumented() -> Iterator[None]:
    """Pass options to DataTables that itables hands on, and warns of because it doesn't list them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "These arguments are not documented", SyntaxWarning)
        yield


def status(words: str, *, bad: bool = False) -> str:
    """Give a line that a screen reader tells when it changes, red where something went wrong."""
    color = "var(--jp-error-color1, #b3261e)" if bad else "inherit"
    return f'<div role="status" style="color:{color}">{html.escape(words)}</div>'


def showing(output: Any, shown: Any) -> None:
    """Show something in an output widget, instead of what was there; links to files work as in a cell."""
    from IPython.display import display

    output.outputs = ()
    with output:
        display(shown)  # type: ignore[no-untyped-call]


def run_in_output(output: Any, action: Callable[[], T]) -> T:
    """Do something whose progress is shown in an output widget.

    What it raises is raised here; left to the widget, it would end there as a traceback.
    """
    output.outputs = ()
    found: list[T] = []
    problem: BaseException | None = None
    with output:
        try:
            found.append(action())
        except BaseException as error:  # also an interrupt of the kernel
            problem = error
    if problem is not None:
        output.outputs = ()
        raise problem
    return found[0]


def parse_int(text: str, name: str) -> int | None:
    """Read a whole number that somebody typed; nothing typed, none."""
    words = text.replace(",", "").replace(" ", "").strip()
    if not words:
        return None
    try:
        return int(words)
    except ValueError:
        raise InputError(f"{name}: {text!r} is no whole number.") from None


def sums(credits: pd.Series, words: str) -> str:
    """Say how many rows these are, and their credits."""
    total = credits.sum(min_count=1)
    known = not pd.isna(total)
    told = "credits not known" if len(credits) and not known else f"{int(total) if known else 0:,} credits"
    return f"{len(credits):,} {words}, {told}"
