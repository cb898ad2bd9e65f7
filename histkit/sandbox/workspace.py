"""The members and API keys of the sandbox's workspace, and which of them made each row of its history."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from histkit.sandbox import catalog
from histkit.sandbox.columns import Columns
from histkit.sandbox.prng import I64, noise

NO_KEY = -1
"""The key of a row that was made on the website."""


@dataclass(frozen=True)
class Member:
    """One user of the workspace."""

    user_id: str
    name: str


@dataclass(frozen=True)
class Key:
    """One API key: its name, and the number of the user it belongs to."""

    name: str
    user: int

    @property
    def hashed(self) -> str:
        """What the service shows in place of the key."""
        return sha256(f"sandbox key {self.name}".encode()).hexdigest()


MEMBERS = (
    Member("u4RsTq8ZbLm2XcVn7KdW", "Mara Ilić"),
    Member("u9HgPe3YtNj6BkWs1FvQ", "Jonas Weber"),
    Member("u2DkMx7CzQa5LrUy8ThE", "Build service"),
)
KEYS = (Key("app-prod", 2), Key("audiobooks", 0), Key("newsroom", 1), Key("agents", 2), Key("old-prototype", 1))
_AGENTS = 3
_WEBSITE = ("Projects", "Dubbing", "AN", "VoicePreview")
_BLOCK = 7200  # seconds in which rows of one voice have one key


def keys_of(data: Columns, seed: int) -> I64:
    """Return the number of the key of each row; `NO_KEY` for rows made on the website."""
    block = (data.date // _BLOCK * 31 + data.voice) % 9973
    drawn = (noise(seed, "key of block", 9973)[block] >> np.uint64(33)).astype(np.int64) % 100
    key = np.select([drawn < 40, drawn < 65, drawn < 85], [0, 1, 2], NO_KEY)
    old = data.date < data.end - data.days * 43_200  # the first half of the history
    key = np.where(old & (drawn % 3 == 0), 4, key)
    key = np.where(data.source == catalog.SOURCES.index("ConvAI"), _AGENTS, key)
    website = [catalog.SOURCES.index(name) for name in _WEBSITE]
    return np.where(np.isin(data.source, website), NO_KEY, key).astype(np.int64)


def users_of(data: Columns, keys: I64) -> I64:
    """Return the number of the user of each row: of its key, or on the website, by voice."""
    owners = np.array([*(key.user for key in KEYS), 0])
    return np.where(keys == NO_KEY, data.voice % 2, owners[keys]).astype(np.int64)
