"""The fault matrix: each operation, against a service of which a share of the requests fails, compared with the truth.

A run that ends with an error says so, and is started again; what counts is what the last run leaves. The truth is read
before the faults are set.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pytest

import histkit as hk
from histkit.api import retry
from histkit.archive import account
from histkit.fetch import reader
from histkit.sandbox import Sandbox
from tests.conftest import client_of
from tests.warm_sandbox import SandboxForks

T = TypeVar("T")

RATES = (0.0, 0.1, 0.3)
REQUESTS = ("reset", "cut_off", "html", "error_408", "error_500", "error_503", "rate_limit", "too_many")
LISTS = ("truncated_json", "repeat_cursor", "missing_cursor", "shuffle", "short_pages", "empty_pages")
CLIPS = ("cut_sized", "cut_unsized", "partial", "no_content", "empty", "zip_broken", "zip_bare")
SHARES = (0.5, 0.31, 0.77, 0.94)  # of a body, where it is cut
MOST_RUNS = 30


@dataclass
class Tally:
    """What one or several runs gave.

    Attributes
    ----------
    runs, requests, hit : int
        Runs, their requests, and the requests that met a fault.
    again : int
        Runs that ended with an error or with failed clips, and were started again.
    compared : int
        Rows or files that were compared with the truth.
    lost, doubled, wrong : int
        Of these: missing, there more than once, or with another value.
    unproven : int
        Clips that are not whole, and whose bytes can't show it, apart from `wrong`: they are recorded as not proven by
        their structure.
    """

    runs: int = 0
    requests: int = 0
    hit: int = 0
    again: int = 0
    compared: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    unproven: int = 0
    examples: list[str] = field(default_factory=list)

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(self)))


def faults_of(rate: float, kinds: tuple[str, ...]) -> dict[str, float]:
    """Return faults of which about `rate` of the requests meet one."""
    return dict.fromkeys(kinds, rate / len(kinds)) if rate else {}


def measure(operation: str, rate: float, seed: int, forks: SandboxForks, folder: Path) -> Tally:
    """Run one operation against a service of its own and compare the result with the truth."""
    share = SHARES[seed % len(SHARES)]
    with forks.serve(items=SIZES[operation], seed=seed, clip_bytes=6000, cut_share=share) as box, patient():
        return OPERATIONS[operation](box, rate, folder, Tally(runs=1))


@contextmanager
def patient() -> Iterator[None]:
    """Wait a 25th as long before each further attempt, and read a tenth of a page, so that more requests are sent."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "BACKOFF_SECONDS", 0.02)
        patch.setattr(reader, "PAGE_SIZE", 100)
        patch.setattr(account, "PAGE_SIZE", 100)
        yield


def until_done(tally: Tally, box: Sandbox, run: Callable[[], T], done: Callable[[T], bool] = lambda _: True) -> T:
    """Run until it ends without an error and with everything done; add its requests to the tally."""
    for _ in range(MOST_RUNS):
        try:
            result = run()
        except hk.HistkitError:
            tally.again += 1
            continue
        if done(result):
            break
        tally.again += 1
    else:
        raise AssertionError(f"not done after {MOST_RUNS} runs")
    sent = box.requests()
    tally.requests += len(sent)
    tally.hit += sum(entry["fault"] is not None for entry in sent)
    box.reset()
    return result


def patient_client(box: Sandbox) -> hk.HistoryClient:
    return client_of(box, max_retries=8)


def truth_of(box: Sandbox) -> pd.DataFrame:
    with client_of(box) as client:
        frame = hk.read_history(client=client, progress=False)
    box.reset()
    return frame


def compare_rows(tally: Tally, rows: pd.DataFrame, truth: pd.DataFrame) -> None:
    """Count the rows that are lost, doubled or have another value."""
    tally.compared += len(truth)
    tally.doubled += int(rows["history_item_id"].duplicated().sum())
    existing = rows.drop_duplicates("history_item_id").set_index("history_item_id")
    expected = truth.set_index("history_item_id")
    tally.lost += len(expected.index.difference(existing.index))
    tally.wrong += len(existing.index.difference(expected.index))
    both = expected.index.intersection(existing.index)
    texts = [frame.loc[both, expected.columns].astype(object).map(repr) for frame in (existing, expected)]
    tally.wrong += int((texts[0] != texts[1]).any(axis=1).sum())


def read(box: Sandbox, rate: float, folder: Path, tally: Tally) -> Tally:
    truth = truth_of(box)
    box.set(**faults_of(rate, REQUESTS + LISTS))
    with patient_client(box) as client:
        compare_rows(tally, until_done(tally, box, lambda: hk.read_history(client=client, progress=False)), truth)
    return tally


def sync(box: Sandbox, rate: float, folder: Path, tally: Tally) -> Tally:
    """Sync an empty folder, sync new rows, and sync in full after rows were changed and removed."""
    path = folder / "history"
    ids = [row["history_item_id"] for row in box.history()]
    for change in ("", "new", "changed"):
        box.set(**dict.fromkeys(REQUESTS + LISTS, 0))
        if change == "new":
            box.add(60)
        if change == "changed":
            for item in ids[100:110]:
                box.update(item, state="processing")
            box.remove(ids[200:220])
        truth = truth_of(box)
        box.set(**faults_of(rate, REQUESTS + LISTS))
        with patient_client(box) as client:
            full = change == "changed"
            until_done(tally, box, lambda: hk.sync(path, client=client, full=full, progress=False))  # noqa: B023
        rows = hk.load(path)
        gone = rows[rows["missing_since"].notna()]["history_item_id"]
        expected = set(ids[200:220]) if change == "changed" else set()
        tally.wrong += len(set(gone) ^ expected)
        compare_rows(tally, rows[rows["missing_since"].isna()], truth)
    return tally


def pull(box: Sandbox, rate: float, folder: Path, tally: Tally) -> Tally:
    truth, clips = _clips_of(box, folder)
    box.set(**faults_of(rate, REQUESTS + CLIPS))
    with patient_client(box) as client:
        pulled = until_done(
            tally,
            box,
            lambda: hk.download_audio(truth, folder / "audio", client=client, progress=False),
            lambda manifest: bool(manifest["status"].isin(["done", "skipped"]).all()),
        )
    files = {row.history_item_id: (folder / "audio" / row.path).read_bytes() for row in pulled.itertuples()}
    _compare_clips(tally, clips, files, dict(zip(pulled["history_item_id"], pulled["proof"], strict=True)))
    left = [path for path in (folder / "audio").rglob("*") if path.is_file()]
    tally.wrong += len(left) - len(files) - len(list((folder / "audio").glob("manifest.*")))
    return tally


def pack(box: Sandbox, rate: float, folder: Path, tally: Tally) -> Tally:
    truth, clips = _clips_of(box, folder)
    box.set(**faults_of(rate, REQUESTS + CLIPS))
    target = folder / "clips.zip"
    with patient_client(box) as client:
        packed = until_done(
            tally,
            box,
            lambda: hk.download_zip(truth, target, client=client, progress=False),
            lambda manifest: bool(manifest["status"].isin(["done", "skipped"]).all()),
        )
    with zipfile.ZipFile(target) as archive:
        files = {row.history_item_id: archive.read(row.path) for row in packed.itertuples()}
    _compare_clips(tally, clips, files, dict(zip(packed["history_item_id"], packed["proof"], strict=True)))
    tally.wrong += len([path for path in folder.iterdir() if path.name not in ("clean", "clips.zip")])
    return tally


def delete(box: Sandbox, rate: float, folder: Path, tally: Tally) -> Tally:
    """Pull, then delete what is verified; compare copies, what is left at the service, the journal and the marks."""
    path, audio, journal = folder / "history", folder / "audio", folder / "deleted.jsonl"
    with client_of(box) as client:
        hk.sync(path, client=client, progress=False)
    chosen = hk.load(path).iloc[::3]
    _, clips = _clips_of(box, folder)
    before = set(clips)
    box.set(**faults_of(rate, REQUESTS + CLIPS))
    with patient_client(box) as client:
        pulled = until_done(
            tally,
            box,
            lambda: hk.download_audio(chosen, audio, client=client, progress=False),
            lambda manifest: bool(manifest["status"].isin(["done", "skipped"]).all()),
        )
    results: dict[str, str] = {}

    def run() -> pd.DataFrame:
        # A run is started again for the rows that it says it could not delete.
        open_rows = chosen[~chosen["history_item_id"].isin([item for item, word in results.items() if word == "done"])]
        with patient_client(box) as client:
            deleted = hk.delete(
                open_rows, confirm=True, only_verified=audio, journal=journal, client=client, progress=False
            )
        for item, status in zip(deleted["history_item_id"], deleted["status"], strict=True):
            results[item] = "done" if status in ("deleted", "gone") else status
        return deleted

    until_done(tally, box, run, lambda _: set(results.values()) <= {"done", "kept"})
    left = {row["history_item_id"] for row in box.history()}
    stated = {item for item, word in results.items() if word == "done"}
    tally.compared += len(before)
    tally.lost += len((before - left) - set(chosen["history_item_id"]))  # deleted, and never chosen
    tally.wrong += len((before - left) ^ stated)
    journaled = {line.get("history_item_id") for line in map(json.loads, journal.read_text("utf-8").splitlines())}
    tally.lost += len((before - left) - journaled)  # deleted without a record of the row
    marked = hk.load(path)
    tally.wrong += len(set(marked[marked["state"] == "deleted"]["history_item_id"]) ^ stated)
    for item, name, proof in pulled[["history_item_id", "path", "proof"]].itertuples(index=False):
        if item not in left and (audio / name).read_bytes() != clips[item]:  # deleted, and the copy is not the clip
            tally.lost += proof != "length"
            tally.unproven += proof == "length"
    return tally


def _clips_of(box: Sandbox, folder: Path) -> tuple[pd.DataFrame, dict[str, bytes]]:
    """Return the rows, and each one's clip."""
    truth = truth_of(box)
    with client_of(box) as client:
        clips = {item: b"".join(client.get_audio(item)) for item in truth["history_item_id"]}
    box.reset()
    return truth, clips


def _compare_clips(tally: Tally, clips: dict[str, bytes], files: dict[str, bytes], proofs: dict[str, Any]) -> None:
    tally.compared += len(clips)
    tally.lost += len(clips.keys() - files.keys())
    for item, content in files.items():
        if content == clips[item]:
            continue
        if clips[item].startswith(content) and proofs[item] in ("length", "none"):
            tally.unproven += 1
        else:
            tally.wrong += 1
            tally.examples.append(f"{item}: {proofs[item]}")


OPERATIONS: dict[str, Callable[[Sandbox, float, Path, Tally], Tally]] = {
    "read": read,
    "sync": sync,
    "pull": pull,
    "zip": pack,
    "delete": delete,
}
SIZES = {"read": 4000, "sync": 2000, "pull": 60, "zip": 150, "delete": 90}
