"""A service of raw rows for tests, which may say and lack anything."""

from __future__ import annotations

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pandas as pd

import histkit as hk

Row = dict[str, Any]


def row(number: int, date: Any, **fields: Any) -> Row:
    """Make a row as the service gives it."""
    plain = {"character_count_change_from": 0, "character_count_change_to": 1, "content_type": "audio/mpeg"}
    return {"history_item_id": f"id{number}", "date_unix": date, "state": "created", **plain, **fields}


class JsonServer(ABC):
    """A service on a real socket whose answers are JSON; `client` is one of it."""

    client: hk.HistoryClient

    @abstractmethod
    def respond(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer to a request."""

    def start(self, key: str = "sk_test") -> None:
        """Serve in a thread until the end of the ``with`` block."""
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, body = service.respond(self.path, self.rfile.read(int(self.headers.get("content-length", 0))))
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.client = hk.HistoryClient(key, base_url=f"http://127.0.0.1:{self._server.server_port}", max_retries=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self._server.shutdown()
        self._server.server_close()


class Service(JsonServer):
    """A service of raw rows, which may lack anything; `rows` are in its order, `hidden` ones are not listed."""

    def __init__(self, rows: Iterable[Row] = (), key: str = "sk_test") -> None:
        self.rows = list(rows)
        self.hidden: set[str] = set()
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.start(key)

    def respond(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer to a request."""
        parts = urlsplit(path)
        found = self.answer(parts.path, dict(parse_qsl(parts.query)))
        data = self.body(found if found is not None else {"detail": {"status": "not_found"}})
        return 404 if found is None else 200, data

    def body(self, found: Any) -> bytes:
        """Encode an answer."""
        return msgspec.json.encode(found)

    def answer(self, path: str, query: dict[str, str]) -> Row | None:
        """Answer a request; None is a 404."""
        self.asked.append((path, query))
        if path != "/v1/history":
            wanted = path.rpartition("/")[2]
            return next((each for each in self.rows if each.get("history_item_id") == wanted), None)
        first, end = (query.get(name) for name in ("date_after_unix", "date_before_unix"))
        rows = [each for each in self.rows if each.get("history_item_id") not in self.hidden]
        if first is not None or end is not None:
            span = int(first or -(10**15)), int(end or 10**15)
            dated = (each for each in rows if each.get("date_unix") is not None)
            rows = [each for each in dated if span[0] <= each["date_unix"] < span[1]]
        rows = rows[::-1] if query.get("sort_direction") == "asc" else rows
        cursor = query.get("start_after_history_item_id")
        if cursor is not None:
            places = [place for place, each in enumerate(rows) if each.get("history_item_id") == cursor]
            rows = rows[places[0] + 1 :] if places else []
        size = int(query["page_size"])
        last = rows[:size][-1].get("history_item_id") if rows else None
        return {"history": rows[:size], "has_more": len(rows) > size, "last_history_item_id": last}


def same(got: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Check that a local history holds what a frame does: rows, order, values, dtypes."""
    assert got.columns.tolist()[: len(expected.columns)] == expected.columns.tolist()
    pd.testing.assert_frame_equal(got[expected.columns.tolist()], expected, check_categorical=False)


@contextmanager
def raw_answers(answer: Callable[[], Iterable[bytes | Iterable[bytes]]]) -> Iterator[str]:
    """Serve raw bytes on a socket, for a service that ignores HTTP; yield its URL.

    Parameters
    ----------
    answer : callable
        Called for each connection; returns what is sent after the request, pieces or iterables of pieces, without end
        if they have none.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def pieces() -> Iterator[bytes]:
        for part in answer():
            yield from [part] if isinstance(part, bytes) else part

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                received = connection.recv(65536)
                if not received:
                    return
                request += received
            for piece in pieces():
                if ended.is_set():
                    return
                connection.sendall(piece)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
