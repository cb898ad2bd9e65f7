"""Progress bars of tqdm: a widget in a notebook, none where output goes to a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from histkit.util.arguments import true_or_false
from histkit.util.background import report_progress
from histkit.util.text import encodable_text, format_size, terminal_text


def in_notebook() -> bool:
    """Return whether this runs in a notebook."""
    ipython = sys.modules.get("IPython")
    return hasattr(ipython.get_ipython(), "kernel") if ipython is not None else False


def progress_bar(progress: bool | None, **options: Any) -> Any:
    """Return a tqdm bar.

    Parameters
    ----------
    progress : bool or None
        True shows it, False doesn't; None shows it in a notebook and on a terminal.
    **options
        Passed to ``tqdm`` (``total``, ``desc``, ``unit``, ...).

    Raises
    ------
    InputError
        `progress` is something else.
    """
    if progress is not None:
        progress = true_or_false("progress", progress)
    notebook = in_notebook()
    if progress is None:
        progress = notebook or (sys.stderr is not None and sys.stderr.isatty())
    if notebook and progress:
        from tqdm.auto import tqdm
    else:
        from tqdm.std import tqdm  # type: ignore[assignment]
    return tqdm(disable=not progress, dynamic_ncols=True, **options)


def print_summary(line: str, progress: bool | None) -> None:
    """Print a line in a notebook, else on standard error, unless `progress` is False."""
    stream = sys.stdout if in_notebook() else sys.stderr
    if progress is not False and stream is not None:
        print(encodable_text(terminal_text(line), getattr(stream, "encoding", None) or "utf-8"), file=stream)


@contextmanager
def file_progress(progress: bool | None, total: int, title: str) -> Iterator[Callable[[int | None], None]]:
    """Yield a function that advances a progress bar by one file and its size in bytes, and reports it to a watch."""
    done = size = 0
    report_progress(done, total, size)

    def count(file_bytes: int | None) -> None:
        nonlocal done, size
        done, size = done + 1, size + (file_bytes or 0)
        report_progress(done, total, size)
        bar.set_postfix_str(format_size(size), refresh=False)
        bar.update()

    with progress_bar(progress, total=total, desc=title, unit="file") as bar:
        yield count
