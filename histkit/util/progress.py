"""Progress bars: tqdm, in a notebook its widget, nothing where nobody looks."""

from __future__ import annotations

import sys
from typing import Any


def in_notebook() -> bool:
    """Tell whether this runs in a notebook."""
    ipython = sys.modules.get("IPython")
    return hasattr(ipython.get_ipython(), "kernel") if ipython is not None else False


def progress_bar(progress: bool | None, **options: Any) -> Any:
    """Make a tqdm bar.

    Parameters
    ----------
    progress : bool or None
        True shows it, False doesn't; None shows it in a notebook and on a terminal.
    **options
        Passed to ``tqdm`` (``total``, ``desc``, ``unit``, ...).
    """
    notebook = in_notebook()
    if progress is None:
        progress = notebook or sys.stderr.isatty()
    if notebook and progress:
        from tqdm.auto import tqdm
    else:
        from tqdm.std import tqdm  # type: ignore[assignment]
    return tqdm(disable=not progress, dynamic_ncols=True, **options)
