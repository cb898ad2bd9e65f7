"""The bars of downloads: finished files again, and many small clips from a service that takes a while to answer."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

import histkit as hk
from benchmarks.audio import CLIP_BYTES, LATENCY
from benchmarks.audio import pool_of_requests as pool
from benchmarks.bars import Bar, data
from histkit.audio.destination import LocalFolder
from histkit.audio.jobs import ids_of, jobs_of
from histkit.audio.manifest import Entry, FolderManifest
from histkit.audio.naming import Template, stems_of
from histkit.audio.options import DEFAULT_NAME
from histkit.sandbox import serve

FINISHED, FEW = 100_000, 10
CLIPS, FLIGHT = 1_000, 10


def _finished(folder: str) -> tuple[pd.DataFrame, Path]:
    """Return a history and the folder of its finished files, which is made the first time."""
    df = data.frame(folder, FINISHED)
    path = Path(folder) / f"audio-{len(df)}"
    if not path.exists():
        making = path.with_name(f"{path.name}.{os.getpid()}")
        making.mkdir()
        record = FolderManifest(LocalFolder(making))
        ids = ids_of(df, "downloading audio")
        for job in jobs_of(df, ids, stems_of(df, Template.parse(DEFAULT_NAME)), {}):
            content, file = job.id.encode(), f"{job.stem}.mp3"
            (making / file).parent.mkdir(parents=True, exist_ok=True)
            (making / file).write_bytes(content)
            sha256 = hashlib.sha256(content).hexdigest()
            record.add(Entry(job.id, file, "done", len(content), 1.5, sha256, proof="structure"))
        record.close()
        making.rename(path)
    return df, path


def _again(folder: str, rows: Callable[[pd.DataFrame], pd.DataFrame]) -> Iterator[int | None]:
    df, path = _finished(folder)
    asked, client = rows(df), hk.HistoryClient("sk_no_request")
    yield None
    pulled = hk.download_audio(asked, path, client=client, progress=False)
    yield int((pulled["status"] == "skipped").sum())


def _exists(folder: str, rows: Callable[[pd.DataFrame], pd.DataFrame]) -> Iterator[int | None]:
    """Look whether each file is there, under a name that is known already; its size and content are not checked."""
    df, path = _finished(folder)
    asked = rows(df)
    files = [str(path / file) for file in pd.read_parquet(path / "manifest.parquet")["path"][: len(asked)]]
    yield None
    yield sum(map(os.path.exists, files))


def _all(df: pd.DataFrame) -> pd.DataFrame:
    return df


def _few(df: pd.DataFrame) -> pd.DataFrame:
    return df.iloc[len(df) // 2 :].head(FEW)


def all_again(folder: str) -> Iterator[int | None]:
    """Pull finished files again."""
    return _again(folder, _all)


def all_exist(folder: str) -> Iterator[int | None]:
    """Look for all of them."""
    return _exists(folder, _all)


def few_again(folder: str) -> Iterator[int | None]:
    """Pull a few of the finished files again."""
    return _again(folder, _few)


def few_exist(folder: str) -> Iterator[int | None]:
    """Look for a few of them."""
    return _exists(folder, _few)


def _clips(pull: Callable[[Any, hk.HistoryClient, pd.DataFrame, Path], object]) -> Iterator[int | None]:
    """Download clips into a new folder; the sandbox has made them before, and answers after a while."""
    clips = data.scaled(CLIPS)
    with serve(items=clips, clip_bytes=CLIP_BYTES) as box, tempfile.TemporaryDirectory() as scratch:
        client = hk.HistoryClient(box.api_key, base_url=box.url, max_concurrency=FLIGHT)
        df = hk.read_history(client=client, progress=False)
        hk.download_audio(df, Path(scratch) / "before", client=client, progress=False)
        box.set(latency=LATENCY)
        folder = Path(scratch) / "audio"
        folder.mkdir()
        yield None
        pull(box, client, df, folder)
        yield sum(file.is_file() and not file.name.startswith("manifest.") for file in folder.rglob("*"))


def pull_clips(folder: str) -> Iterator[int | None]:
    """Pull them."""
    return _clips(lambda box, client, df, path: hk.download_audio(df, path, client=client, progress=False))


def pool_of_requests(folder: str) -> Iterator[int | None]:
    """Download them with requests in a pool of threads: no check, no names, no record, no retry."""
    return _clips(
        lambda box, client, df, path: pool(box.url, box.api_key, FLIGHT, df["history_item_id"].tolist(), path)
    )


def ideal(folder: str) -> Iterator[int | None]:
    """Wait as long as the service does."""
    yield None
    time.sleep(data.scaled(CLIPS) * LATENCY / FLIGHT)
    yield None


BARS = (
    Bar(
        f"pull of {FINISHED:,} finished files again",
        all_again,
        {"`os.path.exists` of each, which tells nothing of its content": all_exist},
        aim=2.5,
    ),
    Bar(
        f"pull of {FEW} of {FINISHED:,} finished files again",
        few_again,
        {"`os.path.exists` of each, which tells nothing of its content": few_exist},
        aim=0.15,
    ),
    Bar(
        f"pull of {CLIPS:,} clips of {CLIP_BYTES // 1000} kB, {1e3 * LATENCY:.0f} ms each, {FLIGHT} in flight",
        pull_clips,
        {"the ideal": ideal, f"{FLIGHT} threads with requests, nothing checked": pool_of_requests},
        aim=1.15,
        of="the ideal",
    ),
)
