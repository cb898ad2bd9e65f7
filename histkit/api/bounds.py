"""Bounds of one response: its size, and the time until it is complete.

The timeout of a socket bounds the time between two bytes only: a response that sends a byte now and then, or never
ends, would hold a call for ever, fill the memory or the disk. A read that is too slow is ended from another thread,
which closes the connection, because a blocked read can't be interrupted otherwise.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from histkit.api.options import RequestOptions, options_of
from histkit.errors import InputError, TransportError
from histkit.util.arguments import real_number, whole_number
from histkit.util.text import quoted

MAX_SECONDS = 1_000_000  # a socket refuses timeouts that its clock can't hold
SLOWEST_STREAM = 8192  # bytes a second on average, below which audio counts as stalled after the total timeout
ERROR_BYTES = 1 << 20  # of an error's body; the rest is not read
_LOOK_SECONDS = 0.1
_IDLE_LOOKS = 20
_NUMBER = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")


def seconds_of(name: str, value: Any) -> float:
    """Return a number of seconds that a timeout may have.

    Raises
    ------
    InputError
        The value is not such a number.
    """
    seconds = real_number(value)
    if seconds is None or not 0.001 <= seconds <= MAX_SECONDS:
        raise InputError(f"{name}={quoted(value)} must be a number of seconds from 0.001 to {MAX_SECONDS:,}.")
    return seconds


@dataclass(frozen=True)
class Bounds:
    """The bounds of a response.

    Attributes
    ----------
    total_timeout : float
        Seconds for one attempt of a request, from sending it to the last byte. A stream of audio gets one more second
        for each 8 KiB that arrived.
    max_page_bytes : int
        Largest JSON response, in bytes after decompression.
    max_clip_bytes : int
        Largest audio file or zip, in bytes.
    """

    total_timeout: float = 600.0
    max_page_bytes: int = 256 << 20
    max_clip_bytes: int = 2 << 30

    @classmethod
    def of(cls, total_timeout: Any, max_page_bytes: Any, max_clip_bytes: Any) -> Bounds:
        """Return bounds after a check of their values; for None, those of the environment, else the defaults."""
        given = {"total_timeout": total_timeout, "max_page_bytes": max_page_bytes, "max_clip_bytes": max_clip_bytes}
        return cls.of_environment()._with(given)

    @classmethod
    def of_environment(cls) -> Bounds:
        """Return the bounds that ``HISTKIT_TOTAL_TIMEOUT``, ``..._MAX_PAGE_BYTES`` and ``..._MAX_CLIP_BYTES`` state.

        Raises
        ------
        InputError
            One of them is not a number in its range.
        """
        values = {}
        for name in vars(cls()):
            variable = f"HISTKIT_{name.upper()}"
            text = os.environ.get(variable, "").strip()
            if text:
                values[name] = _bound(name, _number(text), variable)
        return cls(**values)

    def for_call(self, options: RequestOptions | None) -> Bounds:
        """Return the bounds with those that the options of a call replace."""
        options = options_of(options)
        return self._with({name: options.get(name) for name in vars(self)})

    def _with(self, values: Mapping[str, Any]) -> Bounds:
        """Return the bounds with some of other values, which are checked; None keeps one."""
        return replace(self, **{name: _bound(name, value, name) for name, value in values.items() if value is not None})

    def check_page(self, size: int, where: str) -> None:
        """Raise `TransportError` if a JSON response is larger than `max_page_bytes`."""
        if size > self.max_page_bytes:
            raise too_large(where, "max_page_bytes", self.max_page_bytes)

    def check_clip(self, size: int, where: str) -> None:
        """Raise `TransportError` if an audio file or a zip is larger than `max_clip_bytes`."""
        if size > self.max_clip_bytes:
            raise too_large(where, "max_clip_bytes", self.max_clip_bytes)


def _bound(name: str, value: Any, label: str) -> Any:
    """Return the value of a bound after a check; `label` names it in the message."""
    return seconds_of(label, value) if name == "total_timeout" else whole_number(label, value, 1)


def _number(text: str) -> float | str:
    """Return the number that a text states, an int where it has no fraction; any other text as it is."""
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)


def too_large(where: str, name: str, value: int) -> TransportError:
    """Return the error of a response that exceeds a bound; another attempt would exceed it too."""
    error = TransportError(
        f"The response of {where} is larger than {value:,} bytes ({name}) and was not read to its end; "
        f"HistoryClient({name}=...) allows larger ones."
    )
    error.passing = False
    return error


def too_slow(where: str, seconds: float, *, stream: bool = False) -> TransportError:
    """Return the error of a response that was not complete in time."""
    slower = f" at less than {SLOWEST_STREAM // 1024} KiB a second" if stream else ""
    return TransportError(
        f"No complete response from {where} within {seconds:,g} s{slower} (total_timeout), although the connection "
        "stood: try again later; HistoryClient(total_timeout=...) allows more time."
    )


class Watch:
    """One read that has a deadline, and may be cancelled."""

    __slots__ = ("cancel", "deadline", "expired", "interrupt")

    def __init__(self, deadline: float, interrupt: Callable[[], object], cancel: threading.Event | None) -> None:
        self.deadline = deadline
        self.interrupt = interrupt
        self.cancel = cancel
        self.expired = False


class Watchdog:
    """Interrupts reads at their deadline and where they are cancelled, from a thread that runs while there are some.

    Examples
    --------
    >>> import socket, time
    >>> reader, writer = socket.socketpair()
    >>> watchdog = Watchdog()
    >>> with watchdog.watch(time.monotonic() + 0.2, lambda: reader.shutdown(socket.SHUT_RDWR)) as watch:
    ...     received = reader.recv(1)
    >>> received, watch.expired
    (b'', True)
    >>> reader.close(), writer.close()
    (None, None)
    """

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watch(
        self, deadline: float, interrupt: Callable[[], object], cancel: threading.Event | None = None
    ) -> Iterator[Watch]:
        """Call `interrupt` if the block lasts until `deadline` (of `time.monotonic`), or until `cancel` is set."""
        watch = Watch(deadline, interrupt, cancel)
        with self._lock:
            self._watches.add(watch)
            if self._thread is None or not self._thread.is_alive():  # the first one, or a forked process
                self._thread = threading.Thread(target=self._look, name="watchdog of histkit", daemon=True)
                self._thread.start()
        try:
            yield watch
        finally:
            with self._lock:
                self._watches.discard(watch)

    def _look(self) -> None:
        idle = 0
        while True:
            time.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            with self._lock:
                idle = 0 if self._watches else idle + 1
                if idle > _IDLE_LOOKS:
                    self._thread = None
                    return
                for watch in self._watches:
                    late = watch.deadline <= now
                    if not late and (watch.cancel is None or not watch.cancel.is_set()):
                        continue
                    watch.expired = watch.expired or late
                    with suppress(OSError, ValueError, RuntimeError):  # it has been closed meanwhile
                        watch.interrupt()
