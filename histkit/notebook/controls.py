"""Shared by the widgets: imports, status lines, output areas."""

from __future__ import annotations

import html
from typing import Any

from histkit.errors import InputError


def import_widgets() -> Any:
    """Import ipywidgets.

    Raises
    ------
    InputError
        It is not installed.
    """
    try:
        import ipywidgets
    except ImportError as error:
        raise InputError(f"The picker needs {error.name}: pip install 'histkit[notebook]'.") from None
    return ipywidgets


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
