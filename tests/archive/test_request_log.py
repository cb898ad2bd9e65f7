"""The request log beside a history: synced, interrupted, killed, damaged, read again."""

from __future__ import annotations

import json
import multiprocessing
import random
import re
import signal
import time
import warnings
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import pandas as pd
import pytest
from click.testing import CliRunner

import histkit as hk
from histkit.archive import request_log
from histkit.archive.request_log import FOLDER, STATE, LogSync
from histkit.cli import main
from histkit.sandbox import Sandbox
from tests.conftest import client_of
from tests.fetch.log_service import LogService

WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(["histkit.archive.sync", "histkit.archive.request_log", "histkit.sandbox"])


def sync(folder: Path, box: Sandbox, **options: Any) -> dict[str, Any]:
    with client_of(box, **options.pop("client", {})) as client:
        frame = hk.sync(folder, client=client, requests=True, progress=False, diff=True, **options)
    facts: dict[str, Any] = frame.attrs["histkit"]
    return facts


def live(box: Sandbox) -> pd.DataFrame:
    with client_of(box) as client:
        return hk.read_requests(client=client, progress=False)


def assert_same(log: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        log.astype({name: "object" for name in log.select_dtypes("category")}),
        expected.astype({name: "object" for name in expected.select_dtypes("category")}),
    )


@pytest.fixture
def box(box_of) -> Sandbox:
    return box_of(items=2500, seed=6)


@pytest.fixture
def small_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "_COMMIT_ROWS", 300)


def test_the_log_is_that_of_the_service(folder, box):
    facts = sync(folder, box)
    log = hk.load_requests(folder)
    assert_same(log, live(box))
    assert facts["new_log_rows"] == len(log)
    assert log.attrs["histkit"]["complete"] is True
    assert log.attrs["histkit"]["units"]["latency"] == "ms"
    assert log["request_id"].dtype == "string"


def test_the_next_sync_reads_new_rows_and_the_last_hour(folder, box):
    sync(folder, box)
    before = len(hk.load_requests(folder))
    box.reset()
    assert sync(folder, box)["new_log_rows"] == 0
    asked = [request for request in box.requests() if request["path"].endswith("/requests")]
    assert len(asked) <= 8
    end = int(hk.load_requests(folder)["timestamp"].max().timestamp())
    for step in range(3):
        box.add(1, date_unix=end + 100 + step)
    assert sync(folder, box)["new_log_rows"] == 3
    newest = int(hk.load_requests(folder)["timestamp"].max().timestamp())
    box.add(2, date_unix=newest - 1800)  # late
    box.add(1, date_unix=newest - 30 * 86_400)  # far too late: a full sync finds it
    assert sync(folder, box)["new_log_rows"] == 2
    assert sync(folder, box, full=True)["new_log_rows"] == 1
    log = hk.load_requests(folder)
    assert len(log) == before + 6
    assert_same(log, live(box))


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of Dask
def test_readers_of_the_folder_are_undisturbed(folder, box):
    sync(folder, box)
    history = hk.load(folder)
    assert len(pd.read_parquet(folder)) == len(history) == 2500
    assert dd.read_parquet(folder, columns=["credits"])["credits"].sum().compute() == history["credits"].sum()
    assert len(hk.scan(folder)) == 2500
    assert not [path for path in (folder / FOLDER).rglob("*") if path.suffix == ".parquet"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hk.load(folder)
    facts = hk.sync(folder, client=client_of(box), progress=False).attrs["histkit"]
    assert "failed_logs" not in facts


def test_dates_columns_and_copies(folder, box, tmp_path):
    sync(folder, box)
    everything = hk.load_requests(folder)
    part = hk.load_requests(folder, after="2026-08-10", before="2026-10-02", columns=["timestamp", "user_id"])
    bounds = pd.Timestamp("2026-08-10", tz="UTC"), pd.Timestamp("2026-10-02", tz="UTC")
    expected = everything[everything["timestamp"].between(*bounds, inclusive="left")]
    assert part["timestamp"].tolist() == expected["timestamp"].tolist()
    assert part.columns.tolist() == ["timestamp", "user_id"]
    assert hk.load_requests(folder, after="2031").empty
    with pytest.raises(hk.InputError, match="columns='nope' is not a column of this request log"):
        hk.load_requests(folder, columns=["nope"])
    with pytest.raises(hk.InputError, match="account='nobody'"):
        hk.load_requests(folder, account="nobody")


def test_without_a_log_the_line_says_what_to_run(folder, box):
    hk.sync(folder, client=client_of(box), progress=False, diff=True)
    with pytest.raises(hk.ArchiveError, match=r"has no request log; run sync\(requests=True\) first"):
        hk.load_requests(folder)


def test_a_key_without_the_scope_syncs_the_history_and_says_which_scope_is_missing(folder, box):
    key = box.key("speech_history_read")
    with pytest.warns(UserWarning, match="The request log was not synced.*workspace_analytics_full_read"):
        facts = sync(folder, box, client={"api_key": key})
    assert len(hk.load(folder)) == 2500
    assert "workspace_analytics_full_read" in facts["failed_logs"][""]


def test_each_account_has_its_log(folder, box, box_of):
    other = box_of(items=300, seed=8)
    accounts = {"one": client_of(box), "two": client_of(other)}
    hk.sync(folder, accounts=accounts, requests=True, progress=False, diff=True)
    log = hk.load_requests(folder)
    assert log["account"].dtype == "category"
    assert log["account"].value_counts().to_dict() == {"one": len(live(box)), "two": len(live(other))}
    assert log["timestamp"].is_monotonic_decreasing
    assert checked(folder) == (0, [("request log of one", "ok"), ("request log of two", "ok")])
    two = hk.load_requests(folder, account="two")
    assert set(two["request_id"]) == set(live(other)["request_id"])


def test_an_interrupted_sync_goes_on_where_it_stopped(folder, box, small_commits):
    box.set(log_cap=50, error_500=0.02, only="log")
    failures = 0
    for _ in range(60):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            facts = sync(folder, box, client={"max_retries": 0})
        if not facts["failed_logs"]:
            break
        failures += 1
        assert any("was not synced to its end" in str(warning.message) for warning in caught)
    assert failures > 0
    assert not facts["failed_logs"]
    box.set(error_500=None, only=None, log_cap=None)
    assert_same(hk.load_requests(folder), live(box))


def test_a_part_that_was_not_read_is_said(folder, box, small_commits):
    box.set(log_cap=50)
    failing = {"client": {"max_retries": 0}}
    for _ in range(50):
        box.set(error_500=0.05, only="log")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            facts = sync(folder, box, **failing)
        if facts["failed_logs"] and facts["new_log_rows"]:
            break
    box.set(error_500=None)
    with pytest.warns(UserWarning, match="was not read from 2020-01-01T00:00:00"):
        log = hk.load_requests(folder)
    assert log.attrs["histkit"]["complete"] is False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert hk.load_requests(folder, after=log["timestamp"].iloc[5]).attrs["histkit"]["complete"] is True
    sync(folder, box)
    assert hk.load_requests(folder).attrs["histkit"]["complete"] is True


def _killed(folder: Path, url: str, key: str) -> None:
    request_log._COMMIT_ROWS = 200
    with hk.HistoryClient(key, base_url=url) as client:
        hk.sync(folder, client=client, requests=True, progress=False, diff=True)


def test_kills_lose_nothing(folder, box):
    box.set(log_cap=100)
    chance = random.Random(5)
    hits = 0
    for _ in range(12):
        process = WARM.Process(target=_killed, args=(folder, box.url, box.api_key))
        process.start()
        process.join(chance.uniform(0.1, 1.6))
        if process.is_alive():
            process.kill()
            hits += 1
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        if (folder / FOLDER / STATE).exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                log = hk.load_requests(folder)
            assert not len(log) or log["request_id"].is_unique
    assert hits > 2
    sync(folder, box)
    assert_same(hk.load_requests(folder), live(box))
    names = {path.name for path in (folder / FOLDER).rglob("*") if path.is_file()}
    assert not [name for name in names if name.startswith(".histkit-")]
    months = [name.split(".")[0] for name in names if name.endswith(".arrow")]
    assert len(months) == len(set(months))


def checked(folder: Path) -> tuple[int, list[tuple[str, str]]]:
    """Run ``histkit check``; return its exit code, and label and state of the lines on the log."""
    done = CliRunner().invoke(main, ["check", str(folder), "--json"])
    rows = json.loads(done.stdout)["rows"]
    assert all((row["state"] == "ok") == (not row["cure"]) for row in rows)
    assert {row["cure"] for row in rows} <= {"", "histkit sync --full --requests"}
    return done.exit_code, [(row["month"], row["state"]) for row in rows if row["file"].startswith(FOLDER)]


def flipped(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])


HARMS = [(flipped, "damaged (checksum differs)"), (Path.unlink, "missing")]


@pytest.mark.parametrize(("harm", "fault"), HARMS, ids=["flipped", "missing"])
def test_a_damaged_file_is_named_and_healed_by_a_full_sync(folder, box, harm, fault):
    hk.sync(folder, client=client_of(box), progress=False, diff=True)
    assert checked(folder) == (0, [])
    sync(folder, box)
    whole = hk.load_requests(folder)
    assert checked(folder) == (0, [("request log", "ok")])
    path = min((folder / FOLDER).rglob("2026-10.*.arrow"))
    harm(path)
    message = rf"{path.name} is {re.escape(fault)}: .*sync\(full=True, requests=True\)"
    with pytest.raises(hk.ArchiveError, match=message) as caught:
        hk.load_requests(folder)
    assert "\n" not in str(caught.value)
    assert checked(folder) == (1, [("2026-10 (request log)", fault)])
    with pytest.warns(UserWarning, match=message):
        sync(folder, box)
    with pytest.warns(UserWarning, match=rf"{path.name}: {re.escape(fault)}"):
        facts = sync(folder, box, full=True)
    assert facts["new_log_rows"] == 0
    assert_same(hk.load_requests(folder), whole)
    assert checked(folder) == (0, [("request log", "ok")])
    assert len([*(folder / ".histkit-aside").rglob("*.arrow.aside")]) == (harm is flipped)


def lose_a_key(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"rows"', b'"row$"'))


@pytest.mark.parametrize(
    ("harm", "fault"),
    [(lose_a_key, "damaged (its checksum differs)"), (Path.unlink, "missing")],
    ids=["cut", "missing"],
)
def test_a_damaged_state_is_named_and_removes_no_file_of_the_log(folder, box, harm, fault):
    sync(folder, box)
    whole = hk.load_requests(folder)
    files = {path.name: path.read_bytes() for path in (folder / FOLDER).rglob("*.arrow")}
    harm(folder / FOLDER / STATE)
    message = rf"_state\.json is {re.escape(fault)}: .*sync\(full=True, requests=True\)"
    with pytest.raises(hk.ArchiveError, match=r"has no request log" if fault == "missing" else message):
        hk.load_requests(folder)
    assert checked(folder) == (1, [("request log", fault)])
    with pytest.warns(UserWarning, match=message):
        sync(folder, box)
    assert {path.name: path.read_bytes() for path in (folder / FOLDER).rglob("*.arrow")} == files
    with pytest.warns(UserWarning, match=rf"_state\.json: {re.escape(fault)}; _requests moved to"):
        sync(folder, box, full=True)
    assert_same(hk.load_requests(folder), whole)
    aside = {path.name: path.read_bytes() for path in (folder / ".histkit-aside").rglob("*.arrow")}
    assert aside == files
    assert checked(folder) == (0, [("request log", "ok")])


def test_rows_without_time_or_id_stay_once(folder, box):
    box.set(log_blank=0.03)
    sync(folder, box)
    sync(folder, box, full=True)
    log = hk.load_requests(folder)
    assert len(log) == len(live(box))
    assert log["timestamp"].isna().any()
    started = time.monotonic()
    assert hk.load_requests(folder, after="2026-10")["timestamp"].notna().all()
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("names", [("time", "request_id"), ("at", "id"), ("timestamp", "history_request_id")])
def test_columns_that_are_renamed_between_syncs_keep_their_first_names(tmp_path: Path, names: tuple[str, str]) -> None:
    start = 1_790_000_000
    rows = [((start + number * 60) * 1_000_000, f"r{number}") for number in range(300)]
    with LogService(rows[:200]) as service:
        for log, behaviour in ((rows[:200], {}), (rows, {"names": names})):
            service.become(log, **behaviour)
            LogSync(tmp_path, "", service.client, progress=False).run(full=False)
    log = hk.load_requests(tmp_path)
    assert log["request_id"].tolist() == [item for _, item in rows[::-1]]
    assert log.columns.tolist() == ["at", "request_id", "user_id", "latency"]
    assert log["at"].notna().all()
    part = hk.load_requests(tmp_path, after=start + 60 * 50, before=start + 60 * 250)
    assert part["request_id"].tolist() == [item for _, item in rows[249:49:-1]]


def test_accounts_whose_columns_have_other_names_are_one_log(tmp_path: Path) -> None:
    start = 1_790_000_000
    for account, names in (("a", ("at", "request_id")), ("b", ("time", "id"))):
        rows = [((start + number * 60) * 1_000_000, f"{account}{number}") for number in range(10)]
        with LogService(rows, names=names) as service:
            LogSync(tmp_path, account, service.client, progress=False).run(full=False)
    log = hk.load_requests(tmp_path)
    assert set(log["request_id"]) == {f"{account}{number}" for account in "ab" for number in range(10)}
    assert log["at"].notna().all()
