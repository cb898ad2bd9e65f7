"""Requests of a widget's views and their replies, without a widget: shared by the explorer and the picker.

``frontend/PROTOCOL.md`` describes the messages. `Dispatcher.answer` takes any value and never raises: what can't be
answered is a line in ``error``.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from histkit.errors import HistkitError, InputError
from histkit.util.text import error_line, is_valid_unicode, quoted

Message = Mapping[str, Any]
Reply = dict[str, Any]
Handler = Callable[[Message], tuple[Reply, list[bytes]]]
Listener = Callable[[Reply], None]


class Dispatcher:
    """Answers the requests of views, and sends them events.

    Kernels run handlers on several threads.

    Parameters
    ----------
    name : str
        What people call the object that has `last_error`, as "explorer".

    Attributes
    ----------
    handlers : dict
        The function for each kind of request: it takes the request and returns the fields of the reply and binary
        buffers. It runs without the lock; errors of the package become the reply's ``error``. Others may be added.
    lock : threading.RLock
        Held while the state is read or changed.
    last_error : Exception or None
        The error that a reply had last; not that of a request with ``quiet``.
    notes : list of str
        Lines that each view shows when it opens; see `note`.
    """

    def __init__(self, name: str) -> None:
        self.handlers: dict[str, Handler] = {"ping": lambda message: ({}, [])}
        self.lock = threading.RLock()
        self.last_error: Exception | None = None
        self.notes: list[str] = []
        self._name = name
        self._listeners: list[Listener] = []

    def answer(self, message: Any) -> tuple[Reply, list[bytes]]:
        """Return the reply to a request, and its binary buffers.

        Parameters
        ----------
        message : Any
            As it came from a view; anything that isn't a request gets an error.
        """
        request = message if isinstance(message, Mapping) else {}
        reply: Reply = {name: _plain(request.get(name)) for name in ("id", "view", "kind")}
        try:
            if not isinstance(message, Mapping):
                raise InputError(f"A request must be an object, not {quoted(message)}.")
            handler = self.handlers.get(reply["kind"]) if isinstance(reply["kind"], str) else None
            if handler is None:
                raise InputError(f"kind={quoted(request.get('kind'))} is no kind of request.")
            fields, buffers = handler(request)
        except HistkitError as error:
            return self._failed(request, reply, error, error_line(error, 500))
        except KeyboardInterrupt:
            return {**reply, "error": "Stopped."}, []
        except Exception as error:  # a view would wait for ever
            line = f"{type(error).__name__}: {error_line(error)} (see {self._name}.last_error)"
            return self._failed(request, reply, error, line)
        return {**fields, **reply}, buffers

    def _failed(self, request: Message, reply: Reply, error: Exception, line: str) -> tuple[Reply, list[bytes]]:
        if request.get("quiet") is not True:
            self.last_error = error
        return {**reply, "error": line or type(error).__name__}, []

    def listen(self, listener: Listener) -> None:
        """Call a function with every event."""
        self._listeners.append(listener)

    def emit(self, event: Reply) -> None:
        """Send an event to all listeners."""
        for listener in list(self._listeners):
            listener(event)

    def tell(self, event: str, message: Message, reply: Reply) -> None:
        """Send what a request has changed to all listeners; ``by`` is the view that asked for it."""
        self.emit({"event": event, "by": _plain(message.get("view")), **reply})

    def note(self, line: str) -> None:
        """Show a line in all views, those that are open and those that will open."""
        self.notes.append(line)
        self.emit({"event": "note", "text": line})


def _plain(value: Any) -> Any:
    """Return an id of a request as a value that JSON can hold."""
    if isinstance(value, str):
        return value if is_valid_unicode(value) else quoted(value)
    if value is None or (isinstance(value, (int, float)) and abs(value) <= sys.float_info.max):
        return value
    return quoted(value)
