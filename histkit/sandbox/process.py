"""The handle of a running sandbox, and the functions that start it."""

import json
import os
import secrets
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterable
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from histkit.api.credentials import SANDBOX_KEY
from histkit.sandbox.faults import check
from histkit.sandbox.prng import identity
from histkit.sandbox.rows import check_size

_ROOT = Path(__file__).parents[2]
# Has the child import the sandbox without the package's own __init__, which imports pandas (0.4 s).
SETUP = f"""
import sys, types
sys.modules["histkit"] = types.ModuleType("histkit")
sys.modules["histkit"].__path__ = [{str(_ROOT / "histkit")!r}]
"""
_CHILD = 'import runpy\nrunpy.run_module("histkit.sandbox", run_name="__main__")\n'
_START_SECONDS = 60


def _end(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def check_port(port: Any) -> int:
    """Return a port as an int; raises `InputError` for an invalid one."""
    from histkit.util.arguments import whole_number  # it loads pandas, which the server does without

    return whole_number("port", port, 0, 65_535)


class Sandbox:
    """A running sandbox; use it with ``with``, or call `close`.

    Attributes
    ----------
    url
        Base URL, such as ``http://127.0.0.1:40123``.
    api_key
        A key with all scopes, derived from the seed.
    """

    url: str
    api_key: str

    def __init__(self, items: int, seed: int, port: int, alignments: bool, faults: dict[str, Any]) -> None:
        faults = check(faults)
        items, seed = check_size(items, seed)
        port = check_port(port)
        self.api_key = SANDBOX_KEY + identity(seed, "key", 0)
        self._token = secrets.token_urlsafe(24)
        config = {
            "items": items,
            "seed": seed,
            "port": port,
            "alignments": alignments,
            "faults": faults,
            "api_key": self.api_key,
            "token": self._token,
        }
        process = self._spawn()
        self._close = weakref.finalize(self, _end, process)
        self._process = process
        self.pid = process.pid
        self._port = self._started(process, json.dumps(config).encode() + b"\n")
        self.url = f"http://127.0.0.1:{self._port}"

    def _spawn(self) -> "subprocess.Popen[bytes]":
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        # -P keeps files of the working directory from being imported in place of modules.
        return subprocess.Popen(
            [sys.executable, "-P", "-c", SETUP + _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
        )

    def _started(self, process: "subprocess.Popen[bytes]", config: bytes) -> int:
        assert process.stdin
        assert process.stdout
        late = threading.Timer(_START_SECONDS, process.kill)
        late.daemon = True
        late.start()
        try:
            process.stdin.write(config)
            process.stdin.flush()
            answer = json.loads(process.stdout.readline() or b'{"error": "the server process ended at once"}')
        except BrokenPipeError:
            answer = {"error": "the server process ended at once"}
        finally:
            late.cancel()
        if "port" not in answer:
            self.close()
            raise OSError(f"the sandbox did not start: {answer['error']}")
        return int(answer["port"])

    def __enter__(self) -> Self:
        """Return the running sandbox."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the sandbox."""
        self.close()

    def __repr__(self) -> str:
        """Return a repr with the URL, without the key."""
        return f"<Sandbox {self.url}{'' if self._close.alive else ' closed'}>"

    def close(self) -> None:
        """End the server; a second call does nothing."""
        self._close()

    def wait(self) -> None:
        """Wait until Ctrl-C (which is raised as KeyboardInterrupt) or until the server ends."""
        forever = threading.Event()
        while self._close.alive and self._process.poll() is None and not forever.wait(0.5):
            pass

    def _call(self, name: str, arguments: dict[str, Any] | None = None) -> Any:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=120)
        try:
            connection.request(
                "POST", f"/_sandbox/{name}", json.dumps(arguments or {}).encode(), {"X-Sandbox-Token": self._token}
            )
            answer = connection.getresponse()
            body = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise ValueError(body["detail"])
        return body

    def requests(self) -> list[dict[str, Any]]:
        """Return the API requests so far: method, path, query, status, fault, started, ended (monotonic seconds)."""
        requests: list[dict[str, Any]] = self._call("requests")
        return requests

    def reset(self) -> None:
        """Clear the recorded requests and the peak."""
        self._call("reset")

    def peak_in_flight(self) -> int:
        """Return the maximum number of API requests that were in flight at the same time."""
        return int(self._call("peak"))

    def set(self, **faults: Any) -> None:
        """Change some faults from now on; None resets a fault to its default."""
        self._call("set", check(faults))

    def faults(self) -> dict[str, Any]:
        """Return the active faults; for a counted fault, the remaining number."""
        faults: dict[str, Any] = self._call("faults")
        return faults

    def add(self, n: int = 1, **fields: Any) -> list[str]:
        """Add `n` rows at the top and return their ids, oldest first.

        Fields override the generated values; with `date_unix`, a row is inserted at its date.
        """
        ids: list[str] = self._call("add", {"n": n, "fields": fields})
        return ids

    def remove(self, ids: str | Iterable[str]) -> int:
        """Remove rows; return how many existed."""
        return int(self._call("remove", {"ids": [ids] if isinstance(ids, str) else list(ids)}))

    def update(self, history_item_id: str, **fields: Any) -> None:
        """Change fields of a row; raises KeyError if it does not exist."""
        if not self._call("update", {"id": history_item_id, "fields": fields}):
            raise KeyError(history_item_id)

    def history(self) -> list[dict[str, Any]]:
        """Return all rows in the API's form, newest first, without paging and faults."""
        rows: list[dict[str, Any]] = self._call("history")
        return rows

    def key(self, *scopes: str) -> str:
        """Return another valid key that has only these scopes."""
        return str(self._call("key", {"scopes": scopes}))


def serve(items: int = 1000, seed: int = 0, *, port: int = 0, alignments: bool = False, **faults: Any) -> Sandbox:
    """Start an API server on the loopback address with a realistic history and playable audio.

    Parameters
    ----------
    items : int, default 1000
        Rows of the history, 1 to 1,000,000.
    seed : int, default 0
        The same `items` and `seed` give the same history, key and faults.
    port : int, default 0
        Port to listen on; 0 selects a free one.
    alignments : bool, default False
        Whether rows have alignments (pages about ten times as large).
    **faults : Any
        Faults to inject: see `FAULTS` for the names. A rate is a float below 1 (a chance), True (always) or a
        whole number (the number of requests that fail next).

    Returns
    -------
    Sandbox
        A context manager with `url` and `api_key`. The server is a separate process, which ends with this one.

    Raises
    ------
    InputError
        A fault is unknown or has an invalid value, or another argument is invalid.
    OSError
        The server does not start, for instance because the port is in use.

    Examples
    --------
    >>> with serve(items=30) as box:
    ...     len(box.history()), box.requests()
    (30, [])
    """
    return Sandbox(items, seed, port, alignments, faults)


def run(
    items: int = 1000,
    seed: int = 0,
    *,
    port: int = 0,
    alignments: bool = False,
    started: Callable[[Sandbox], object] | None = None,
    **faults: Any,
) -> None:
    """Serve in the foreground until Ctrl-C; `started` is called with the running sandbox. Prints nothing."""
    with serve(items, seed, port=port, alignments=alignments, **faults) as box:
        try:
            if started is not None:
                started(box)
            box.wait()
        except KeyboardInterrupt:
            return
