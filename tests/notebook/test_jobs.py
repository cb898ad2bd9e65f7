"""Pulls, zips and exports of the explorer that run in the background: progress, Cancel, confirmation, result lines."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import histkit as hk
from histkit import HistoryClient
from histkit.notebook import job_actions
from histkit.sandbox import Sandbox
from tests.conftest import client_of

ENDED = ("done", "failed", "cancelled")


class Desk:
    """An explorer and the events of its jobs."""

    def __init__(self, df: pd.DataFrame, client: HistoryClient | None = None) -> None:
        self.explorer = df.speech.explore(client=client)
        self.events: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self.explorer.service.listen(self._hear)

    def _hear(self, event: dict[str, Any]) -> None:
        json.dumps(event, allow_nan=False)
        if event["event"] == "job":
            with self._news:
                self.events.append(event)
                self._news.notify_all()

    def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        reply, buffers = self.explorer.service.answer({"id": 1, "view": "a", "kind": kind, **fields})
        assert buffers == []
        assert "\n" not in reply.get("error", "")
        return reply

    def start(self, action: str, target: Path | str, rows: str = "filtered") -> str:
        reply = self.ask("job", action=action, target=str(target), rows=rows)
        assert "error" not in reply, reply
        return str(reply["job"])

    def wait(self, job: str, *states: str, seconds: float = 60) -> dict[str, Any]:
        """Return the first event of a job that has one of some states; by default its end."""

        def found() -> dict[str, Any] | None:
            of = (event for event in self.events if event["job"] == job and event["state"] in (states or ENDED))
            return next(of, None)

        with self._news:
            assert self._news.wait_for(lambda: found() is not None, seconds), self.events[-3:]
        event = found()
        assert event is not None
        return event

    def run(self, action: str, target: Path | str, rows: str = "filtered") -> dict[str, Any]:
        return self.wait(self.start(action, target, rows))

    def running(self, job: str) -> dict[str, Any]:
        """Wait until a job has begun with its work."""
        with self._news:
            begun = lambda: any(event["job"] == job and event["total"] for event in self.events)  # noqa: E731
            assert self._news.wait_for(begun, 60)
        return self.events[-1]


def files_of(folder: Path) -> dict[str, bytes]:
    """The content of each file but the manifest's Parquet, whose bytes depend on the order of its writes."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".parquet")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_pull_of_ticked_rows_ends_with_a_line_and_a_manifest(
    shared_box: Sandbox, client: HistoryClient, tmp_path: Path
) -> None:
    df = hk.read_history(client=client, limit=30, progress=False)
    desk = Desk(df, client)
    assert desk.explorer.manifest is None
    desk.ask("tick", op="set", positions=[3, 7, 8], on=True)
    end = desk.run("pull", tmp_path / "audio", "ticked")
    assert (end["state"], end["done"], end["total"], end["by"]) == ("done", 3, 3, "a")
    assert end["line"] == f"{tmp_path}/audio: 3 done; explorer.manifest has each row."
    manifest = desk.explorer.manifest
    assert manifest is not None
    assert manifest.index.tolist() == [3, 7, 8]
    assert hk.verify(tmp_path / "audio")["status"].tolist() == ["ok"] * 3
    assert "3 skipped" in desk.run("pull", tmp_path / "audio", "ticked")["line"]
    end = desk.run("zip", tmp_path / "a.zip", "ticked")
    assert end["line"] == f"{tmp_path}/a.zip: 3 done; explorer.manifest has each row."
    assert [job["state"] for job in desk.ask("jobs")["jobs"]] == ["done"] * 3


def test_what_it_would_do_is_said_first_for_any_size_if_that_is_wanted(
    shared_box: Sandbox, client: HistoryClient, tmp_path: Path
) -> None:
    df = hk.read_history(client=client, limit=3, progress=False)
    desk = Desk(df, client)
    for action, name, words in (
        ("pull", "audio", ["3 files", "3 requests", "about", "costs no credits"]),
        ("csv", "rows.csv", ["3 rows", "about"]),
    ):
        reply = desk.ask("job", action=action, target=str(tmp_path / name), rows="filtered", ask=True)
        question = desk.wait(reply["job"], "waiting")["confirm"]["text"]
        assert all(word in question for word in words), question
        assert not (tmp_path / name).exists()
        desk.ask("confirm", job=reply["job"])
        assert desk.wait(reply["job"])["state"] == "done"
        assert (tmp_path / name).exists()
    assert "ask=" in desk.ask("job", action="csv", target="x.csv", rows="filtered", ask="yes")["error"]


def test_clips_that_were_pulled_into_any_folder_are_played_from_there(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(4, 2)
    df = hk.read_history(client=client_of(box), progress=False)
    desk = Desk(df, client_of(box))
    desk.explorer.service.answer({"id": 1, "view": "a", "kind": "clip", "position": 0})
    assert desk.run("pull", tmp_path / "elsewhere")["state"] == "done"
    box.reset()
    for position in range(4):
        reply, _ = desk.explorer.service.answer({"id": 1, "view": "a", "kind": "clip", "position": position})
        assert reply["from"] == "folder"
    assert box.requests() == []


def test_csv_and_parquet_have_the_rows_of_the_filters(tmp_path: Path) -> None:
    df = hk.sample_history(400)
    desk = Desk(df)
    desk.ask("query", filters={"text": "clock"})
    kept = desk.explorer.filtered.reset_index(drop=True)
    assert 0 < len(kept) < 400
    for action, read in (("csv", hk.read_csv), ("parquet", hk.read_parquet)):
        path = tmp_path / f"rows.{action}"
        end = desk.run(action, path)
        assert (end["state"], end["line"]) == ("done", f"{path}: {len(kept):,} rows.")
        assert read(path)["history_item_id"].tolist() == kept["history_item_id"].tolist()
    assert (tmp_path / "rows.csv").read_bytes().startswith(b"\xef\xbb\xbf")  # Excel assumes another encoding without
    assert desk.explorer.manifest is None


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.faults) for seed in (1, 2))])
def test_cancelled_at_random_moments_and_resumed_the_result_is_that_of_an_undisturbed_run(
    box_of: Callable[..., Sandbox], tmp_path: Path, short_waits: None, seed: int
) -> None:
    chance = random.Random(seed)
    box = box_of(24, 8, clip_bytes=9000, bandwidth=150_000)
    client = client_of(box)
    df = hk.read_history(client=client, progress=False)
    desk = Desk(df, client)
    box.set(reset=0.1, cut_off=0.1, error_503=0.1)
    ends = []
    for action, target in (("pull", "cut"), ("zip", "cut.zip")):
        for _ in range(3):
            job = desk.start(action, tmp_path / target)
            time.sleep(chance.random() * 0.7)
            assert "error" not in desk.ask("cancel", job=job)
            ends.append(desk.wait(job, seconds=5))
            assert not [path for path in tmp_path.rglob("*.part")]
    assert "cancelled" in {end["state"] for end in ends}
    box.set(reset=0, cut_off=0, error_503=0)
    assert desk.run("pull", tmp_path / "cut")["state"] == "done"
    pulled = desk.explorer.manifest
    assert desk.run("zip", tmp_path / "cut.zip")["state"] == "done"
    whole = hk.download_audio(df, tmp_path / "whole", client=client, progress=False)
    hk.download_zip(df, tmp_path / "whole.zip", client=client, progress=False)
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")
    assert (tmp_path / "cut.zip").read_bytes() == (tmp_path / "whole.zip").read_bytes()
    assert pulled is not None
    pd.testing.assert_series_equal(pulled["sha256"], whole["sha256"])


def test_cancel_says_what_came_and_does_not_wait_for_requests_that_hang(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(20, 4)
    client = client_of(box)
    df = hk.read_history(client=client, progress=False)
    box.set(audio_delay=60)
    desk = Desk(df, client)
    pull, zipped = desk.start("pull", tmp_path / "audio"), desk.start("zip", tmp_path / "a.zip")
    for job in (pull, zipped):
        desk.running(job)
    began = time.monotonic()
    for job in (pull, zipped):
        desk.ask("cancel", job=job)
    lines = [desk.wait(job)["line"] for job in (pull, zipped)]
    assert time.monotonic() - began < 10
    assert lines == [
        f"Cancelled. 0 of 20 clips came and stay in {tmp_path}/audio; the next pull goes on from there.",
        f"Cancelled. {tmp_path}/a.zip was not written.",
    ]
    assert "error" not in desk.ask("cancel", job=pull)  # it may have ended meanwhile
    assert list(tmp_path.rglob("*.mp3")) == []
    assert not (tmp_path / "a.zip").exists()


def test_two_jobs_never_write_to_one_target_and_the_explorer_answers_meanwhile(
    box_of: Callable[..., Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = box_of(20, 4)
    client = client_of(box)
    df = hk.read_history(client=client, progress=False)
    box.set(audio_delay=6)
    one, two = Desk(df, client), Desk(df, client)
    job = one.start("pull", tmp_path / "audio")
    one.running(job)
    assert "running already" in one.ask("job", action="pull", target=str(tmp_path / "b"), rows="filtered")["error"]
    monkeypatch.chdir(tmp_path)
    for name in ("audio", "./audio/", f"{tmp_path}/x/../audio"):
        assert "written already" in two.ask("job", action="pull", target=name, rows="filtered")["error"]
    began = time.monotonic()
    assert one.ask("query", filters={"text": "the"})["count"] < 20
    assert one.ask("jobs")["jobs"][0]["state"] == "running"
    assert time.monotonic() - began < 2
    one.ask("cancel", job=job)
    one.wait(job)
    box.set(audio_delay=0)
    assert two.run("pull", "audio")["state"] == "done"


def test_much_is_confirmed_first_with_size_and_time(
    shared_box: Sandbox, client: HistoryClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_actions, "MANY_REQUESTS", 4)
    df = hk.read_history(client=client, limit=12, progress=False)
    desk = Desk(df, client)
    desk.ask("tick", op="set", positions=[0, 1, 2, 3, 4], on=True)
    before = len(shared_box.requests())
    job = desk.start("pull", tmp_path / "audio", "ticked")
    plan = desk.wait(job, "waiting")["confirm"]
    assert (plan["requests"], plan["bytes"] > 0, plan["seconds"] > 0) == (5, True, True)
    assert "5 requests" in plan["text"]
    assert "second" in plan["text"]
    assert len(shared_box.requests()) == before
    assert not (tmp_path / "audio").exists()
    desk.ask("tick", op="all", on=True)  # what was asked about is done, not what is ticked since
    assert desk.ask("confirm", job=job)["started"]
    assert desk.wait(job)["done"] == 5
    assert "already" in desk.ask("confirm", job=job)["error"]
    job = desk.start("pull", tmp_path / "never", "ticked")
    desk.wait(job, "waiting")
    desk.ask("cancel", job=job)
    assert desk.wait(job)["line"] == "Not confirmed, so nothing was done."
    assert not (tmp_path / "never").exists()


def test_a_large_export_is_confirmed_by_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    df = hk.sample_history(5000)
    desk = Desk(df)
    monkeypatch.setattr(job_actions, "MANY_BYTES", 100_000)
    for action in ("csv", "parquet"):
        path = tmp_path / f"rows.{action}"
        job = desk.start(action, path)
        plan = desk.wait(job, "waiting")["confirm"]
        assert not path.exists()
        desk.ask("confirm", job=job)
        assert desk.wait(job)["state"] == "done"
        assert plan["bytes"] == pytest.approx(path.stat().st_size, rel=0.7 if action == "parquet" else 0.1)


def test_the_line_leads_with_the_reason_when_something_failed(
    box_of: Callable[..., Sandbox], tmp_path: Path, short_waits: None
) -> None:
    box = box_of(20, 4)
    client = client_of(box, max_retries=0)
    df = hk.read_history(client=client, progress=False)
    desk = Desk(df, client)
    box.set(error_500=3)
    end = desk.run("pull", tmp_path / "audio")
    assert end["state"] == "failed"
    assert end["line"].startswith("3 clips of 20 failed: ")
    assert f"{tmp_path}/audio: " in end["line"]
    assert desk.run("pull", tmp_path / "audio")["state"] == "done"

    wrong = Desk(df, client_of(box, api_key="sk_wrong"))
    end = wrong.run("pull", tmp_path / "other")
    assert end["state"] == "failed"
    assert isinstance(wrong.explorer.last_error, hk.AuthenticationError)
    assert end["line"].startswith(str(wrong.explorer.last_error)[:40])
    (tmp_path / "file").write_text("no folder")
    end = desk.run("pull", tmp_path / "file")
    assert end["line"].startswith(f"{tmp_path}/file can't be used as a folder")
    unknown = Desk(df.assign(history_item_id=[f"gone{n}" for n in range(20)]), client).run("pull", tmp_path / "gone")
    assert unknown["state"] == "failed"
    assert unknown["line"].startswith("None of the 20 requested rows exists in the account of this key")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"action": "burn"}, "action="),
        ({"rows": "all"}, "rows="),
        ({"rows": "ticked"}, "No row is ticked."),
        ({"target": ""}, "empty string"),
        ({"target": 7}, "not int"),
        ({"target": "a\0b"}, "zero byte"),
        ({"action": "zip", "target": "audio"}, "has no ending"),
        ({"action": "csv", "target": "-"}, "standard output"),
        ({"action": "csv", "target": "/dev/null"}, "use the name of a file"),
        ({"action": "parquet", "target": "rows.csv"}, "use rows.parquet"),
        ({"action": "pull", "target": "-"}, "standard output"),
    ],
)
def test_what_can_not_be_done_is_a_line(fields: dict[str, Any], message: str) -> None:
    desk = Desk(hk.sample_history(5))
    reply = desk.ask("job", **{"action": "pull", "target": "audio", "rows": "filtered", **fields})
    assert message in reply["error"]
    assert desk.events == []
    for kind in ("confirm", "cancel"):
        for job in ("77", None, [1]):
            assert "no job" in desk.ask(kind, job=job)["error"]


def test_a_connection_that_breaks_ends_no_job(tmp_path: Path) -> None:
    desk = Desk(hk.sample_history(50))

    def broken(event: dict[str, Any]) -> None:
        raise OSError("the page was closed")

    desk.explorer.service.listen(broken)
    assert desk.run("csv", tmp_path / "rows.csv")["state"] == "done"
    assert isinstance(desk.explorer.last_error, OSError)
