"""Each test has the module's sandbox as if it were new."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from histkit.sandbox import FAULTS, Sandbox


@pytest.fixture
def box(shared: Sandbox) -> Iterator[Sandbox]:
    """Yield the sandbox of the module's fixture `shared`, without requests and faults of other tests."""
    shared.reset()
    yield shared
    shared.set(**dict.fromkeys(FAULTS))
