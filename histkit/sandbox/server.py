"""The sandbox's server: one process of its own, loopback only, one thread for each connection."""

import hmac
import socket
import socketserver
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from histkit.sandbox.faults import Faults
from histkit.sandbox.prng import chance
from histkit.sandbox.responses import BODY_FAULTS, Reply, damage, json_reply
from histkit.sandbox.routes import Api, Request
from histkit.sandbox.rows import rows
from histkit.sandbox.store import Store

CONTROL = "/_sandbox/"
_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class RequestLog:
    """The requests and their responses, in the order of arrival."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._entries: list[dict[str, Any]] = []
        self._number = 0
        self.in_flight = 0
        self.peak = 0

    def begin(self) -> tuple[int, int]:
        """Count a request as in flight; return its number and the number in flight."""
        with self._lock:
            self._number += 1
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            return self._number, self.in_flight

    def note(self, request: Request, started: float) -> dict[str, Any]:
        """Record a request."""
        entry = {
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "status": None,
            "fault": None,
            "started": started,
            "ended": None,
        }
        with self._lock:
            self._entries.append(entry)
        return entry

    def end(self, entry: dict[str, Any]) -> None:
        """Count a request as finished; a second call does nothing."""
        with self._lock:
            if entry["ended"] is None:
                entry["ended"] = time.monotonic()
                self.in_flight -= 1
                self._lock.notify_all()

    def entries(self) -> list[dict[str, Any]]:
        """Return the recorded requests; waits briefly for responses that are being sent."""
        with self._lock:
            self._lock.wait_for(lambda: not self.in_flight, timeout=0.5)
            return [dict(entry) for entry in self._entries]

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._lock.wait_for(lambda: not self.in_flight, timeout=0.5)
            self._entries.clear()
            self.peak = self.in_flight


class Server(ThreadingHTTPServer):
    """The listening socket and what its handlers share."""

    daemon_threads = True
    request_queue_size = 1024
    allow_reuse_address = sys.platform != "win32"

    def __init__(self, config: dict[str, Any]) -> None:
        self.token: str = config["token"]
        self.seed: int = config["seed"]
        made = rows(config["items"], self.seed, aligned=config["alignments"])
        self.api = Api(Store(made, self.seed), Faults(self.seed, config["faults"]), config["api_key"])
        self.journal = RequestLog()
        super().__init__(("127.0.0.1", config["port"]), Handler)

    def server_bind(self) -> None:
        """Bind without a reverse DNS lookup."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that closed their connection."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def control(self, name: str, given: dict[str, Any]) -> bytes:
        """Execute a control call of the process that started the sandbox."""
        store = self.api.store
        answer: Any = None
        match name:
            case "requests":
                answer = self.journal.entries()
            case "reset":
                self.journal.reset()
            case "peak":
                answer = self.journal.peak
            case "set":
                self.api.faults.set(given)
            case "faults":
                answer = self.api.faults.all()
            case "add":
                answer = store.add(given["n"], **given["fields"])
            case "remove":
                answer = store.remove(given["ids"])
            case "update":
                answer = store.update(given["id"], **given["fields"])
            case "history":
                return store.history()
            case "key":
                answer = self.api.key(given["scopes"])
            case _:
                raise ValueError(f"unknown control call {name!r}")
        return msgspec.json.encode(answer)


class Handler(BaseHTTPRequestHandler):
    """Reads the requests of one connection and sends the responses, with the faults that are set."""

    protocol_version = "HTTP/1.1"
    server_version = "histkit-sandbox"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing to the terminal."""

    def _read(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _any(self) -> None:
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0] or "127.0.0.1"
        if not self.path.startswith("/") or self.path.startswith("//"):
            self._send(json_reply({"detail": "Not Found"}, 404))
        elif host not in _HOSTS:
            self._send(json_reply({"detail": "The sandbox answers on the loopback address only."}, 403))
        elif self.path.startswith(CONTROL):
            self._control()
        else:
            self._serve()

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = do_HEAD = do_OPTIONS = _any

    def _control(self) -> None:
        body = self._read()
        token = self.headers.get("X-Sandbox-Token") or ""
        if not hmac.compare_digest(token.encode("latin-1", "replace"), self.server.token.encode()):
            self._send(json_reply({"detail": "Not Found"}, 404))
            return
        try:
            answer = self.server.control(self.path.removeprefix(CONTROL), msgspec.json.decode(body or b"{}"))
            self._send(Reply(200, answer))
        except (ValueError, TypeError, KeyError) as error:
            self._send(json_reply({"detail": str(error)}, 400))

    def _serve(self) -> None:
        body, key = self._read(), self.headers.get("xi-api-key")
        number, in_flight = self.server.journal.begin()
        request = Request.read(self.command, self.path, key, body, number)
        entry = self.server.journal.note(request, time.monotonic())
        try:
            self._respond(request, in_flight, entry)
        finally:
            self.server.journal.end(entry)

    def _respond(self, request: Request, in_flight: int, entry: dict[str, Any]) -> None:
        api, faults = self.server.api, self.server.api.faults
        pause = faults["latency"] + faults["jitter"] * chance(self.server.seed, "jitter", request.number)
        if request.kind in ("audio", "download"):
            pause += faults["audio_delay"]
        if pause and not api.is_over_limit(request, in_flight):
            time.sleep(pause)
        if api.strikes("reset", request):
            entry["fault"] = "reset"
            self.server.journal.end(entry)
            self._hang_up()
            return
        reply = api.answer(request, in_flight)
        sent = len(reply.body)
        if reply.status == 200 and reply.fault not in ("html", "redirect") and sent > 1:
            json = reply.content_type == "application/json"
            if json and api.strikes("truncated_json", request):
                reply.fault, reply.body = "truncated_json", reply.body[: sent * 2 // 3]
            elif api.strikes("cut_off", request):
                reply.fault, sent = "cut_off", sent // 2
            elif request.kind in ("audio", "download"):
                reply.sized = not faults["unsized"]
                fault = next((name for name in BODY_FAULTS if api.strikes(name, request)), None)
                if fault is not None:
                    damage(reply, fault, faults["cut_share"])
                    sent = len(reply.body)
        entry["status"], entry["fault"] = reply.status, reply.fault
        reply.headers |= {"request-id": request.trace, "x-trace-id": request.trace}
        self._send(reply, sent, faults["bandwidth"], entry)

    def _hang_up(self) -> None:
        # A linger time of zero makes the close a reset.
        linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True

    def _send(
        self,
        reply: Reply,
        sent: int | None = None,
        bandwidth: float | None = None,
        entry: dict[str, Any] | None = None,
    ) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        if reply.sized:
            self.send_header("Content-Length", str(len(reply.body)))
        elif reply.status != 204:
            self.send_header("Connection", "close")  # which is the end of the body
        for name, value in reply.headers.items():
            self.send_header(name, value)
        body = b"" if self.command == "HEAD" else reply.body[:sent]
        self._headers_buffer: list[bytes]
        answer = b"".join(self._headers_buffer) + b"\r\n" + body
        self._headers_buffer = []
        if bandwidth:
            step = max(1, int(bandwidth / 20))
            for first in range(0, len(answer) - 1, step):
                self.wfile.write(answer[first : min(first + step, len(answer) - 1)])
                time.sleep(min(len(answer) - first, step) / bandwidth)
        else:
            self.wfile.write(memoryview(answer)[:-1])
        if reply.endless:
            while True:  # until the client hangs up, which raises an error that is ignored
                self.wfile.write(body)
        # Counted as finished before the last byte: a client that has all bytes may send the next request at once.
        if entry is not None:
            self.server.journal.end(entry)
        self.wfile.write(answer[-1:])
        if len(body) < len(reply.body) and self.command != "HEAD":
            self.close_connection = True

    def finish(self) -> None:
        """Close the connection; it may be gone already."""
        try:
            super().finish()
        except (OSError, ValueError):
            pass
