"""What the tests of the local history share: folders, services, and looks at the files."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pandas as pd

import histkit as hk
from histkit.sandbox import Sandbox
from tests.conftest import client_of
from tests.raw_service import Service

OCTOBER, NOVEMBER = 1_790_812_800, 1_793_491_200  # 2026-10-01 and 2026-11-01, UTC
DAY = 86_400
NOW = int(time.time())
NOTHING = {"new": 0, "changed": 0, "missing": 0}


def sync(folder: Path, of: Sandbox | Service, **options: Any) -> pd.DataFrame:
    client = of.client if isinstance(of, Service) else client_of(of)
    return hk.sync(folder, client=client, progress=False, **options)


def read(of: Sandbox | Service) -> pd.DataFrame:
    client = of.client if isinstance(of, Service) else client_of(of)
    return hk.read_history(client=client, progress=False)


def found(frame: pd.DataFrame) -> dict[str, int]:
    counts: dict[str, int] = frame.attrs["histkit"]["diff"]
    return counts


def ids_of(rows: Any) -> list[str]:
    return [each["history_item_id"] for each in rows]


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Give the months' files: inode and time of change."""
    paths = sorted(folder.glob("year=*/month=*/*"))
    return {path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


def forget_checksums(folder: Path, **changes: Any) -> None:
    """Make the manifest one of histkit 0.1, which had no checksums; `changes` are made to its accounts."""
    manifest = json.loads((folder / "_manifest.json").read_text())
    manifest.pop("crc32", None)
    for month in manifest["months"].values():
        month.pop("crc32", None)
    for account in manifest["accounts"].values():
        account.update(changes)
    (folder / "_manifest.json").write_text(json.dumps(manifest))


def leftovers(folder: Path) -> list[str]:
    """Give the files that a finished sync should not leave behind."""
    wanted = ("history.parquet", "_manifest.json", "lock")
    return [str(path) for path in folder.rglob("*") if path.is_file() and path.name not in wanted]
