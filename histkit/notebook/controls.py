"""Shared by the widgets: imports, status lines, output areas, typed numbers."""

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
    """Silence the warning of itables about options that it passes on to DataTables but doesn't document."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "These arguments are not documented", SyntaxWarning)
        yield


def status_line(text: str, *, error: bool = False) -> str:
    """Return a line of HTML that screen readers announce when it changes; errors are red."""
    color = "var(--jp-error-color1, #b3261e)" if error else "inherit"
    return f'<div role="status" style="color:{color}">{html.escape(text)}</div>'


def display_in(output: Any, content: Any) -> None:
    """Replace the content of an output widget; links to files work as in a cell."""
    from IPython.display import display

    output.outputs = ()
    with output:
        display(content)  # type: ignore[no-untyped-call]


def run_in_output(output: Any, action: Callable[[], T]) -> T:
    """Run an action whose progress is shown in an output widget, and return its result.

    Its exception is raised here; the widget would show it as a traceback instead.
    """
    output.outputs = ()
    results: list[T] = []
    failure: BaseException | None = None
    with output:
        try:
            results.append(action())
        except BaseException as error:  # also an interrupt of the kernel
            failure = error
    if failure is not None:
        output.outputs = ()
        raise failure
    return results[0]


def parse_int(text: str, name: str) -> int | None:
    """Parse a typed integer, which may have thousands separators; None for an empty string."""
    digits = text.replace(",", "").replace(" ", "").strip()
    if not digits:
        return None
    try:
        return int(digits)
    except ValueError:
        raise InputError(f"{name}: {text!r} is not a whole number.") from None


def describe_rows(credits: pd.Series, noun: str) -> str:
    """Return the number of rows and the sum of their credits, as in ``3 ticked, 120 credits``."""
    total = 0 if credits.empty else credits.sum(min_count=1)
    return f"{len(credits):,} {noun}, {'credits not known' if pd.isna(total) else f'{int(total):,} credits'}"
