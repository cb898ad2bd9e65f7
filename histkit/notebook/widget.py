"""The widget that shows the explorer and the picker: the bundle of the front end, and messages to and fro."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from histkit.errors import InputError
from histkit.util.threads import DaemonThreads

Kind = Literal["explorer", "picker"]
Answer = Callable[[Any], tuple[dict[str, Any], list[bytes]]]
SLOW = ("clip", "words", "query")  # requests that wait for the service, or for a search that may be stopped
STATIC = Path(__file__).parent / "static"


def check_widgets(kind: Kind) -> None:
    """Check that widgets can be made.

    Raises
    ------
    InputError
        anywidget is not installed.
    """
    try:
        import anywidget  # noqa: F401
    except ImportError as error:
        raise InputError(f"The {kind} needs {error.name or 'anywidget'}: pip install 'histkit[notebook]'.") from None


def make_widget(kind: Kind, answer: Answer, *, static: Path = STATIC) -> Any:
    """Return a widget whose requests a function answers.

    Parameters
    ----------
    kind : {"explorer", "picker"}
        What the front end shows.
    answer : callable
        Takes a request, returns its reply and binary buffers; see `histkit.notebook.dispatch.Dispatcher.answer`.
        Requests of a kind in `SLOW` are answered on another thread, so that the kernel stays free.
    static : Path
        The folder of the front end's bundle.

    Raises
    ------
    InputError
        anywidget is not installed, or the bundle is not there.
    """
    code, style = bundle(static)
    check_widgets(kind)
    return _widget_class()(answer, kind=kind, _esm=code, _css=style)


def bundle(static: Path = STATIC) -> tuple[str, str]:
    """Return the front end's code and style.

    Raises
    ------
    InputError
        A file is not there.
    """
    try:
        return (static / "explorer.js").read_text("utf-8"), (static / "explorer.css").read_text("utf-8")
    except OSError as error:
        name = Path(error.filename or static).name
        raise InputError(
            f"The front end of the explorer is not there ({name} in histkit/notebook/static): install histkit again, "
            "or run 'make frontend' in a clone of it."
        ) from None


def _sends_from_threads(comm: Any) -> bool:
    """Return whether a connection takes messages from any thread: that of ipykernel does, others may not."""
    return type(comm).__module__.partition(".")[0] == "ipykernel"


@cache
def _widget_class() -> type:
    import anywidget
    import traitlets

    class ExplorerWidget(anywidget.AnyWidget):
        """A view of the explorer or the picker; it has no state but what it shows at first."""

        _esm = traitlets.Unicode().tag(sync=True)
        _css = traitlets.Unicode().tag(sync=True)
        kind = traitlets.Unicode().tag(sync=True)

        def __init__(self, answer: Answer, **traits: Any) -> None:
            super().__init__(**traits)
            self._answer = answer
            self._threads = DaemonThreads()
            self.on_msg(self._receive)

        def _receive(self, _: Any, content: Any, buffers: Any) -> None:
            if isinstance(content, Mapping) and content.get("kind") in SLOW and _sends_from_threads(self.comm):
                self._threads.submit(contextvars.copy_context().run, self._reply, content)
            else:
                self._reply(content)

        def _reply(self, content: Any) -> None:
            reply, sound = self._answer(content)
            self.send(reply, sound)

    return ExplorerWidget
