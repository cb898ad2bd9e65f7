"""The session of a client: its connections know when the head of a response is due.

The timeout of a socket starts anew with each byte, so a status line or headers that come byte by byte, or
"100 Continue" without end, would hold a request for ever.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from histkit.api.bounds import Watchdog


class Heads(threading.local):
    """When the head of the response that a thread waits for is due.

    Attributes
    ----------
    interrupt : callable or None
        Ends the connection of the thread's last response; None if a session of the caller's made it.
    """

    def __init__(self, watchdog: Watchdog) -> None:
        self.watchdog = watchdog
        self.deadline: float | None = None
        self.cancel: threading.Event | None = None
        self.interrupt: Callable[[], object] | None = None

    @contextmanager
    def until(self, deadline: float, cancel: threading.Event | None = None) -> Iterator[None]:
        """Set the deadline (of `time.monotonic`) of the requests that the block sends, and what cancels them."""
        self.deadline, self.cancel, self.interrupt = deadline, cancel, None
        try:
            yield
        finally:
            self.deadline = self.cancel = None

    def wait(self, read: Callable[[], HTTPResponse], sock: Any) -> HTTPResponse:
        """Read the head of a response; the connection ends at the deadline, or where the request is cancelled."""
        if self.deadline is None or sock is None:
            return read()

        def interrupt() -> None:
            with suppress(OSError, ValueError):
                sock.shutdown(socket.SHUT_RDWR)

        self.interrupt = interrupt
        with self.watchdog.watch(self.deadline, interrupt, self.cancel):
            return read()


def own_session(connections: int, heads: Heads) -> requests.Session:
    """Return a session whose connections keep to `heads`.

    Parameters
    ----------
    connections : int
        Connections that are kept open per host.
    heads : Heads
        The deadlines.
    """

    class Connection(HTTPConnection):
        def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as in urllib3
            return heads.wait(super().getresponse, self.sock)

    class SecureConnection(HTTPSConnection):
        def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as in urllib3
            return heads.wait(super().getresponse, self.sock)

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = {"http": Pool, "https": SecurePool}

        def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **kwargs)
            if not proxy.lower().startswith("socks"):  # which has connections of its own
                manager.pool_classes_by_scheme = {"http": Pool, "https": SecurePool}
            return manager

    session = requests.Session()
    adapter = Adapter(pool_connections=2, pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.trust_env = False  # requests would read the environment for each request
    return session
