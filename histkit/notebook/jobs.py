"""Downloads and exports that run beside the kernel: a thread each, with progress, a stop, and a line at the end.

A job looks at first at what there is to do. If that is much, or people want to be asked, it waits until they have
confirmed it. Views hear of each step by an event, and a view that was opened later, or missed some, asks for ``jobs``.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from histkit.errors import HistkitError, InputError
from histkit.notebook.job_actions import Action, Plan, Result, actions
from histkit.util.arguments import one_of, true_or_false
from histkit.util.background import Cancelled, Watch, check_stopped, watched
from histkit.util.text import count_noun, error_line, format_duration, format_size, quoted
from histkit.util.threads import DaemonThreads

if TYPE_CHECKING:
    from histkit.api.client import HistoryClient
    from histkit.notebook.dispatch import Message, Reply
    from histkit.notebook.service import Service
    from histkit.util.arrays import Mask

State = Literal["running", "waiting", "done", "failed", "cancelled"]

_EVENT_SECONDS = 0.2  # least time between two events of progress
_LEAST_SECONDS = 5.0  # of work before the time that is left is estimated
_KEPT_JOBS = 20
_NOT_CONFIRMED = "Not confirmed, so nothing was done."

_places: set[str] = set()  # that jobs of this process write to
_places_lock = threading.Lock()


class Jobs:
    """The downloads and exports of an explorer. Answers the requests ``job``, ``confirm``, ``cancel`` and ``jobs``.

    Parameters
    ----------
    service : Service
        Has the rows, and sends the events.
    client : HistoryClient or None
        For downloads; None: a client of the environment.
    pulled : callable
        Called with the folder of each pull, however it ended.

    Attributes
    ----------
    manifest : DataFrame or None
        The result of the last download that ended.
    """

    def __init__(self, service: Service, client: HistoryClient | None, pulled: Callable[[str], None]) -> None:
        self._service, self._pulled = service, pulled
        self._actions: Mapping[str, Action] = actions(client)
        self._jobs: dict[str, Job] = {}
        self._ids = itertools.count(1)
        self._lock = threading.RLock()
        self._threads = DaemonThreads()
        self.manifest: pd.DataFrame | None = None
        service.handlers |= {"job": self._job, "confirm": self._confirm, "cancel": self._cancel, "jobs": self._list}

    def _job(self, message: Message) -> tuple[Reply, list[bytes]]:
        name = one_of("action", message.get("action"), self._actions)
        which = one_of("rows", message.get("rows"), ("ticked", "filtered"))
        target, action = message.get("target"), self._actions[name]
        ask = true_or_false("ask", message.get("ask", False))
        place = action.place(target)  # type: ignore[arg-type]  # refuses what is no path
        with self._service.lock:
            selection = self._service.selection
            rows = (selection.ticked if which == "ticked" else selection.kept).copy()
        if not rows.any():
            raise InputError("No row is ticked." if which == "ticked" else "No row passes the filters.")
        view = message.get("view")
        with self._lock:
            if any(job.name == name and job.is_open for job in self._jobs.values()):
                raise InputError("This is running already: wait for its end, or cancel it.")
            view = view if isinstance(view, str) else None
            job = Job(str(next(self._ids)), name, action, str(target), rows, view, ask)
            self._start(job, place, confirmed=False)
            self._jobs[job.id] = job
            self._forget_old_jobs()
        return {"job": job.id, "started": True}, []

    def _forget_old_jobs(self) -> None:
        ended = [job.id for job in self._jobs.values() if not job.is_open]
        for key in ended[:-_KEPT_JOBS]:
            del self._jobs[key]

    def _confirm(self, message: Message) -> tuple[Reply, list[bytes]]:
        with self._lock:
            job = self._find(message)
            if job.state != "waiting":
                raise InputError("This was confirmed or cancelled already.")
            self._start(job, job.action.place(job.target), confirmed=True)
        self._send(job)
        return {"job": job.id, "started": True}, []

    def _cancel(self, message: Message) -> tuple[Reply, list[bytes]]:
        with self._lock:
            job = self._find(message)
            job.watch.stop.set()
            if job.state == "waiting":
                job.end("cancelled", _NOT_CONFIRMED)
        self._send(job)
        return {"job": job.id}, []

    def _list(self, message: Message) -> tuple[Reply, list[bytes]]:
        with self._lock:
            return {"jobs": [job.event() for job in self._jobs.values()]}, []

    def _find(self, message: Message) -> Job:
        key = message.get("job")
        job = self._jobs.get(key) if isinstance(key, str) else None
        if job is None:
            raise InputError(f"There is no job {quoted(key)}.")
        return job

    def _start(self, job: Job, place: str, *, confirmed: bool) -> None:
        """Start the thread of a job; it holds its place as long as it runs."""
        _hold(place, job.target)
        job.begin(self._send)
        try:
            self._threads.submit(self._run, job, place, confirmed)
        except BaseException:
            _release(place)
            raise

    def _run(self, job: Job, place: str, confirmed: bool) -> None:
        plan: Plan | None = None
        state: State = "failed"
        line = ""
        try:
            with watched(job.watch):
                rows = self._service.selection.frame[job.rows]
                plan = None if confirmed else job.action.plan(rows, job.target)
                if plan is None or not (plan.large or job.ask):
                    check_stopped()
                    plan = None
                    state, line = self._result(job, job.action.run(rows, job.target))
        except Cancelled:
            plan, state, line = None, "cancelled", f"Cancelled. {job.kept()}"
        except HistkitError as error:
            self._service.last_error = error
            line = f"{error_line(error, 500)} {job.kept()}"
        except Exception as error:  # views would wait for ever
            self._service.last_error = error
            line = f"{type(error).__name__}: {error_line(error)} (see explorer.last_error) {job.kept()}"
        finally:
            _release(place)
        if plan is None and job.name == "pull":
            self._pulled(job.target)
        with self._lock:
            if plan is None:
                job.end(state, line)
            elif job.watch.stop.is_set():
                job.end("cancelled", _NOT_CONFIRMED)
            else:
                job.wait(plan)
        self._send(job)

    def _result(self, job: Job, result: Result) -> tuple[State, str]:
        if result.manifest is not None:
            self.manifest = result.manifest
        notes = " ".join(job.watch.warnings)
        return "failed" if result.failed or notes else "done", f"{notes} {result.line}".strip()

    def _send(self, job: Job) -> None:
        try:
            self._service.emit(job.event())
        except Exception as error:  # of the connection: the job goes on, and views ask for it
            self._service.last_error = error


class Job:
    """One download or export.

    Attributes
    ----------
    id, name, target : str
        Its number, the name of its action, and where it writes.
    action : Action
        What it does.
    rows : bool array
        The rows it takes.
    ask : bool
        Whether it waits for people's word even if there is little to do.
    state : {"running", "waiting", "done", "failed", "cancelled"}
        ``waiting`` is until people have confirmed it.
    watch : Watch
        Stops it.
    """

    def __init__(
        self, key: str, name: str, action: Action, target: str, rows: Mask, view: str | None, ask: bool
    ) -> None:
        self.id, self.name, self.action, self.target, self.rows, self.ask = key, name, action, target, rows, ask
        self.state: State = "running"
        self._view = view
        self._line = ""
        self._plan: Plan | None = None
        self._done = self._total = self._size = 0
        self._began = self._sent = 0.0
        self.watch = Watch(self._report)
        self._tell: Callable[[Job], None] = lambda job: None

    @property
    def is_open(self) -> bool:
        """Whether it runs, or waits."""
        return self.state in ("running", "waiting")

    def begin(self, tell: Callable[[Job], None]) -> None:
        """Begin, or go on after a confirmation; `tell` is called with the job where its progress is to be shown."""
        self.state, self._tell, self._began = "running", tell, time.monotonic()

    def wait(self, plan: Plan) -> None:
        """Wait until people have confirmed a plan."""
        self._plan, self.state = plan, "waiting"

    def end(self, state: State, line: str) -> None:
        """End with a line about the result."""
        self.state, self._line = state, line

    def kept(self) -> str:
        """Return what is there after it broke off."""
        return self.action.kept(self._done, self._total, self.target)

    def _report(self, done: int, total: int, size: int) -> None:
        if not done:
            self._began = time.monotonic()
        self._done, self._total, self._size = done, total, size
        now = time.monotonic()
        if now - self._sent >= _EVENT_SECONDS:
            self._sent = now
            self._tell(self)

    def event(self) -> dict[str, Any]:
        """Return the event that tells views of it."""
        plan = self._plan if self.state == "waiting" else None
        return {
            "event": "job",
            "job": self.id,
            "action": self.name,
            "target": self.target,
            "by": self._view,
            "state": self.state,
            "done": self._done,
            "total": self._total,
            "text": self._text() if self.state == "running" else "",
            "confirm": None if plan is None else plan._asdict(),
            "line": self._line,
        }

    def _text(self) -> str:
        if self.watch.stop.is_set():
            return "Stopping"
        if not self._total:
            return "Looking at what there is to do"
        done, total, unit = self._done, self._total, self.action.unit
        size = f", {format_size(self._size)}" if self._size else ""
        seconds = time.monotonic() - self._began
        left = ""
        if done and seconds > _LEAST_SECONDS:
            left = f", about {format_duration(seconds * (total - done) / done)} left"
        return f"{done:,} of {count_noun(total, unit)}{size}{left}"


def _hold(place: str, target: str) -> None:
    """Keep other jobs of this process from writing to a file or folder.

    Raises
    ------
    InputError
        One of them does.
    """
    with _places_lock:
        if place in _places:
            raise InputError(f"{target} is being written already: wait for that to end, or cancel it.")
        _places.add(place)


def _release(place: str) -> None:
    with _places_lock:
        _places.discard(place)
