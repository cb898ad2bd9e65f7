"""Display a widget, and beside it the page that the notebook keeps.

Both are outputs of the cell: first the widget, then the page. JupyterLab shows of one output only one form, and of a
widget that is gone nothing but an error; of two outputs it shows both. The page's style hides it while a live view
stands before it, and hides a dead one. Since it is an output of its own it can be replaced without touching the view.
"""

from __future__ import annotations

import html
import secrets
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from histkit.errors import InputError
from histkit.notebook.snapshot import CONTINUE

_WAIT = 1.0  # seconds in which a view opens
_QUIET = 2.0  # seconds without a change before a page is written again
Bundle = tuple[dict[str, Any], dict[str, Any]]


def widget_bundle(make: Callable[[], Any], text: str, **options: Any) -> Bundle:
    """Return the data and metadata of a widget's output; those of a message if the widget can't be made.

    Parameters
    ----------
    make : callable
        Returns the widget.
    text : str
        The output where there are no widgets.
    **options : Any
        Those of ``_repr_mimebundle_``.
    """
    try:
        bundle = make()._repr_mimebundle_(**options)
    except InputError as error:  # IPython would show a traceback
        return {"text/plain": f"{text}\n{error}", "text/html": f'<p role="alert">{html.escape(str(error))}</p>'}, {}
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    return {**(data or {}), "text/plain": text}, metadata or {}


def display_bundle(
    bundle: Bundle, text: str, kept: str, finish: Callable[[], str] | None = None
) -> Callable[[str, str], None] | None:
    """Display a widget's output, and the page that the notebook keeps.

    Parameters
    ----------
    bundle : tuple of dict
        The widget's data and metadata.
    text : str
        The output where there is neither HTML nor a widget.
    kept : str
        The page as HTML.
    finish : callable, optional
        Returns a better page, which takes its place. It runs on a thread, after the view has had time to open.

    Returns
    -------
    callable or None
        Replaces the page, and the text beside it, wherever this output is. None if no page is kept.
    """
    from IPython.core.getipython import get_ipython

    data, metadata = bundle
    shell: Any = get_ipython()
    if getattr(shell, "kernel", None) is None:  # a terminal
        print(data["text/plain"])
        return None
    publish = shell.display_pub.publish
    publish(data=data, metadata=metadata)
    if "text/html" in data:  # there is no widget
        return None
    transient = {"display_id": secrets.token_hex(16)}

    def show(page: str, text: str = text, *, update: bool = False) -> None:
        plain = f"{text}\n{CONTINUE}"
        publish(data={"text/html": page, "text/plain": plain}, metadata={}, transient=transient, update=update)

    show(kept)
    if finish is not None:
        later = threading.Timer(_WAIT, lambda: show(finish(), update=True))
        later.daemon, later.name = True, "histkit-page"
        later.start()
    return partial(show, update=True)


class KeptPages:
    """The pages that notebooks keep of one object, written again when it has changed and then stays as it is.

    Parameters
    ----------
    make : callable
        Returns the page, and the text beside it. It runs on a thread.
    """

    def __init__(self, make: Callable[[], tuple[str, str]]) -> None:
        self._make = make
        self._shows: list[Callable[[str, str], None]] = []
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def add(self, show: Callable[[str, str], None] | None) -> None:
        """Keep a page up to date; `show` is what `display_bundle` returned."""
        if show is not None:
            with self._lock:
                self._shows.append(show)

    def changed(self) -> None:
        """Write the pages again after a while in which this is not called."""
        with self._lock:
            if not self._shows:
                return
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(_QUIET, self._write)
            self._timer.daemon, self._timer.name = True, "histkit-page"
            self._timer.start()

    def _write(self) -> None:
        page, text = self._make()
        with self._lock:
            shows = list(self._shows)
        for show in shows:
            show(page, text)
