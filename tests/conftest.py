"""Fixtures: sandboxes on a real socket, and clients of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, settings

import histkit as hk
from histkit import HistoryClient
from histkit.api import retry
from histkit.sandbox import Sandbox
from tests.effort import FEW, QUICK, THOROUGH
from tests.raw_service import Service
from tests.warm_sandbox import SandboxForks

if TYPE_CHECKING:
    from elevenlabs import ElevenLabs

for name, number in (("few", FEW), ("quick", QUICK), ("thorough", THOROUGH)):
    settings.register_profile(
        name,
        max_examples=number,
        deadline=None,  # a machine may be busy
        suppress_health_check=[HealthCheck.too_slow],
        derandomize=bool(os.environ.get("CI")),  # there a failure tells of the change; here each run looks elsewhere
    )
settings.load_profile("quick")


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """Have Ctrl-C work, here and in child processes, also where a shell started the tests with it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def working_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory that is not the repository."""
    return tmp_path_factory.mktemp("working_folder")


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, working_folder: Path) -> None:
    """No test ever finds a real key or host, or the local history of whoever runs the tests."""
    monkeypatch.delenv("ELEVENLABS_API_KEY", raising=False)
    monkeypatch.delenv("ELEVENLABS_BASE_URL", raising=False)
    monkeypatch.chdir(working_folder)


@pytest.fixture(scope="session")
def forks() -> Iterator[SandboxForks]:
    """Start sandboxes in a tenth of the time."""
    forks = SandboxForks()
    yield forks
    forks.close()


@pytest.fixture(scope="session")
def shared_box(forks: SandboxForks) -> Iterator[Sandbox]:
    """A sandbox that tests only read from, with no fault set."""
    with forks.serve(items=5500, seed=7) as box:
        yield box


@pytest.fixture
def client(shared_box: Sandbox) -> Iterator[HistoryClient]:
    with client_of(shared_box) as client:
        yield client


@pytest.fixture
def box_of(forks: SandboxForks) -> Iterator[Callable[..., Sandbox]]:
    """Make sandboxes that end with the test."""
    boxes: list[Sandbox] = []

    def make(items: int = 200, seed: int = 1, **faults: Any) -> Sandbox:
        boxes.append(forks.serve(items=items, seed=seed, **faults))
        return boxes[-1]

    yield make
    for box in boxes:
        box.close()


@pytest.fixture(scope="session")
def sdk_of() -> Iterator[Callable[[Sandbox], ElevenLabs]]:
    """Make official SDK clients whose connections are closed in the end."""
    import httpx
    from elevenlabs import ElevenLabs  # takes longer than all other imports together

    connections: list[httpx.Client] = []

    def make(box: Sandbox) -> ElevenLabs:
        connections.append(httpx.Client(follow_redirects=True, timeout=60))
        return ElevenLabs(api_key=box.api_key, base_url=box.url, httpx_client=connections[-1])

    yield make
    for connection in connections:
        connection.close()


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a 25th as long before each further attempt, where many requests fail and nobody asks how long it takes."""
    monkeypatch.setattr(retry, "BACKOFF_SECONDS", 0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a local history, not made yet."""
    return tmp_path / "history"


@pytest.fixture
def service() -> Iterator[Callable[..., Service]]:
    """Make services of raw rows that end with the test."""
    services: list[Service] = []

    def make(rows: Any = (), **options: Any) -> Service:
        services.append(Service(rows, **options))
        return services[-1]

    yield make
    for running in services:
        running.__exit__(None, None, None)


@pytest.fixture(scope="module")
def local(shared_box: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("local") / "history"
    hk.sync(folder, client=client_of(shared_box), progress=False, diff=True)
    return folder


@pytest.fixture(scope="module")
def whole(local: Path) -> pd.DataFrame:
    return hk.load(local)


def client_of(box: Sandbox, **options: Any) -> HistoryClient:
    """Make a client of a sandbox."""
    return HistoryClient(options.pop("api_key", box.api_key), base_url=box.url, **options)
