"""Display a widget, and beside it the page that the notebook keeps.

Both are outputs of the cell: first the widget, then the page. JupyterLab shows of one output only one form, and of a
widget that is gone nothing but an error; of two outputs it shows both. The page's style hides it while a live view
stands before it, and hides a dead one.
"""

from __future__ import annotations

import html
import secrets
import threading
from collections.abc import Callable
from typing import Any

from histkit.errors import InputError
from histkit.notebook.snapshot import CONTINUE

_WAIT = 1.0  # seconds
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


def display_bundle(bundle: Bundle, text: str, kept: str, finish: Callable[[], str] | None = None) -> None:
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
    """
    from IPython.core.getipython import get_ipython

    data, metadata = bundle
    shell: Any = get_ipython()
    if getattr(shell, "kernel", None) is None:  # a terminal
        print(data["text/plain"])
        return
    publish = shell.display_pub.publish
    publish(data=data, metadata=metadata)
    if "text/html" in data:  # there is no widget
        return
    transient = {"display_id": secrets.token_hex(16)}

    def show(page: str, *, update: bool = False) -> None:
        plain = f"{text}\n{CONTINUE}"
        publish(data={"text/html": page, "text/plain": plain}, metadata={}, transient=transient, update=update)

    show(kept)
    if finish is not None:
        later = threading.Timer(_WAIT, lambda: show(finish(), update=True))
        later.daemon, later.name = True, "histkit-page"
        later.start()
