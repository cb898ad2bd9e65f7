"""The local history after a deletion: the rows stay, marked, whatever syncs follow."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import histkit as hk
from histkit.archive.tombstones import mark_deleted
from histkit.deletion.delete import delete
from histkit.sandbox import Sandbox
from histkit.util.files import exclusive_lock
from tests.conftest import client_of
from tests.local_history import DAY, NOTHING, NOW, OCTOBER, files_of, found, leftovers, sync
from tests.raw_service import Service, row

MOMENT = datetime(2026, 11, 5, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def marked(folder: Path) -> set[str]:
    df = hk.load(folder)
    rows = df["missing_since"].notna()
    assert (df["state"] == "deleted").equals(rows)
    return set(df.loc[rows, "history_item_id"])


def check_same_but_for_marks(after: pd.DataFrame, before: pd.DataFrame) -> None:
    names = [name for name in before.columns if name not in ("missing_since", "state")]
    pd.testing.assert_frame_equal(after[names], before[names], check_categorical=False)


def test_deleted_rows_stay_in_the_history_they_came_from_and_are_marked(
    box_of: Callable[..., Sandbox], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = box_of(300)
    before = sync(folder, box)
    some = before.iloc[40:60]
    started = pd.Timestamp.now("UTC").floor("s")
    box.remove(some["history_item_id"].iloc[0])  # a 404 is marked too
    done = delete(some, confirm=True, client=client_of(box))
    assert done["status"].tolist() == ["gone"] + ["deleted"] * 19
    assert done.attrs["histkit"]["history"] == str(folder)
    assert done.attrs["histkit"]["marked"] == 20
    assert f"20 marked in {folder}" in capsys.readouterr().err
    after = hk.load(folder)
    check_same_but_for_marks(after, before)
    assert marked(folder) == set(some["history_item_id"])
    assert after["missing_since"].dropna().between(started, pd.Timestamp.now("UTC")).all()
    assert leftovers(folder) == []


def test_only_the_months_concerned_are_written(box_of: Callable[..., Sandbox], folder: Path) -> None:
    df = sync(folder, box_of(2000))
    before = files_of(folder)
    assert len(before) > 2
    some = df[df["date"].dt.strftime("%Y-%m") == df["date"].iloc[-1].strftime("%Y-%m")].head(3)
    assert mark_deleted(folder, some["history_item_id"], MOMENT) == 3
    changed = [file for file, facts in files_of(folder).items() if before[file] != facts]
    assert changed == [f"year={some['date'].iloc[0].year}/month={some['date'].iloc[0].month}/history.parquet"]
    now = files_of(folder)
    assert mark_deleted(folder, some["history_item_id"], datetime.now(UTC)) == 0
    assert mark_deleted(folder, ["unknown"], MOMENT) == 0
    assert mark_deleted(folder, [], MOMENT) == 0
    assert files_of(folder) == now
    assert set(hk.load(folder)["missing_since"].dropna()) == {pd.Timestamp(MOMENT)}


def test_the_marks_stay_through_later_syncs_and_count_as_nothing_new(
    box_of: Callable[..., Sandbox], folder: Path
) -> None:
    box = box_of(600)
    df = sync(folder, box)
    some = pd.concat([df.head(5), df.iloc[100:130]])
    delete(some, confirm=True, client=client_of(box), progress=False)
    gone = set(some["history_item_id"])
    after = hk.load(folder)
    for full in (False, True, False, True):
        again = sync(folder, box, full=full)
        assert found(again) == NOTHING
        pd.testing.assert_frame_equal(again, after)
    new = box.add(3)
    assert found(sync(folder, box)) == {"new": 3, "changed": 0, "missing": 0}
    box.remove(new[0])
    assert found(sync(folder, box, full=True)) == {"new": 0, "changed": 0, "missing": 1}
    local = hk.load(folder).set_index("history_item_id")
    assert set(local.index[local["missing_since"].notna()]) == gone | {new[0]}
    assert set(local.index[local["state"] == "deleted"]) == gone
    assert local["missing_since"].reindex(sorted(gone)).nunique() == 1


def test_a_row_that_the_service_lists_again_is_not_marked_any_more(
    service: Callable[..., Service], folder: Path
) -> None:
    rows = [row(number, NOW - 9000 * number) for number in range(40)]
    of = service(rows)
    sync(folder, of)
    mark_deleted(folder, ["id10"], MOMENT)
    assert marked(folder) == {"id10"}
    assert found(sync(folder, of, full=True)) == {"new": 0, "changed": 1, "missing": 0}
    assert marked(folder) == set()


@pytest.mark.parametrize("full", [False, True])
def test_deleting_the_newest_rows_is_no_sign_of_another_account(
    box_of: Callable[..., Sandbox], folder: Path, full: bool
) -> None:
    box = box_of(200)
    df = sync(folder, box)
    delete(df.head(150), confirm=True, client=client_of(box), progress=False)
    box.add(2)
    assert found(sync(folder, box, full=full)) == {"new": 2, "changed": 0, "missing": 0}
    assert len(marked(folder)) == 150


@pytest.mark.parametrize("full", [False, True])
def test_deleting_everything_is_no_sign_of_another_account(
    service: Callable[..., Service], folder: Path, full: bool
) -> None:
    of = service([row(number, NOW - 9000 * number) for number in range(60)])
    df = sync(folder, of)
    mark_deleted(folder, df["history_item_id"], MOMENT)
    of.rows = [row(100, NOW - 5)]
    assert found(sync(folder, of, full=full)) == {"new": 1, "changed": 0, "missing": 0}
    assert len(marked(folder)) == 60


def test_an_unfinished_sync_brings_no_deleted_row_back(box_of: Callable[..., Sandbox], folder: Path) -> None:
    box = box_of(3000)
    df = sync(folder, box)
    for removed, kept in ((df["history_item_id"].iloc[:30], False), (pd.Series(["unknown"]), True)):
        box.set(error_500=0.5)
        spooled: list[Path] = []
        while not spooled:
            with suppress(hk.HistkitError):
                hk.sync(folder, full=True, client=client_of(box, max_retries=0), progress=False)
            spooled = list((folder / ".histkit").rglob("*.arrow"))
        box.set(error_500=None)
        delete(removed, confirm=True, history=folder, client=client_of(box), progress=False)
        assert [path for path in spooled if path.exists()] == (spooled if kept else [])
        assert found(sync(folder, box)) == NOTHING
        assert marked(folder) == set(df["history_item_id"].iloc[:30])


def test_a_row_that_was_still_processing_is_not_asked_for_again(service: Callable[..., Service], folder: Path) -> None:
    rows = [row(number, NOW - 2 * DAY * number - 5) for number in range(10)]
    rows[3] |= {"state": "processing"}
    of = service(rows)
    sync(folder, of)
    of.rows = [each for each in rows if each["history_item_id"] != "id3"]
    mark_deleted(folder, ["id3"], MOMENT)
    of.asked.clear()
    assert found(sync(folder, of)) == NOTHING
    assert "/v1/history/id3" not in [path for path, _ in of.asked]


def test_marks_of_a_run_that_was_killed_before_it_wrote_the_manifest_count(
    box_of: Callable[..., Sandbox], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    box = box_of(500)
    df = sync(folder, box)
    gone = df["history_item_id"].iloc[::50]
    box.remove(gone)
    with monkeypatch.context() as patch:
        patch.setattr("histkit.archive.tombstones.write_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            mark_deleted(folder, gone, MOMENT)
    assert marked(folder) == set(gone)
    assert found(sync(folder, box, full=True)) == NOTHING
    assert mark_deleted(folder, gone, MOMENT) == 0
    assert marked(folder) == set(gone)


def test_ids_of_other_accounts_in_the_folder_are_left_alone(service: Callable[..., Service], folder: Path) -> None:
    dates = {"a": OCTOBER, "b": OCTOBER + 100}
    services = {name: service([row(number, date + number) for number in range(9)]) for name, date in dates.items()}
    clients = {name: each.client for name, each in services.items()}
    df = hk.sync(folder, accounts=clients, progress=False)
    services["a"].rows = services["a"].rows[2:]
    for own in (df[df["account"] == "a"], df[df["account"] == "a"].astype({"account": object})):
        told = delete(own[own["history_item_id"].isin(["id0", "id1"])], progress=False)
        assert told.attrs["histkit"]["history"] == str(folder)
    assert mark_deleted(folder, ["id0", "id1"], MOMENT, account="a") == 2
    local = hk.load(folder)
    assert set(local.loc[local["missing_since"].notna(), "account"]) == {"a"}
    with pytest.raises(hk.InputError, match="2 accounts"):
        delete(df, progress=False)


def test_big_months_are_marked_in_slices_and_keep_their_order(service: Callable[..., Service], folder: Path) -> None:
    rows = [row(number, OCTOBER + (70_000 - number) // 3, voice_id=f"v{number % 7}") for number in range(70_000)]
    rows += [row(number, None) for number in range(70_000, 70_010)]
    of = service(rows)
    with pytest.warns(UserWarning, match="date_unix is None"):
        before = sync(folder, of)
    gone = [*before["history_item_id"].iloc[::999], "id70004"]
    assert mark_deleted(folder, gone, MOMENT) == len(set(gone))
    check_same_but_for_marks(hk.load(folder), before)
    assert marked(folder) == set(gone)


def test_a_history_that_a_sync_is_writing_into_is_warned_of(box_of: Callable[..., Sandbox], folder: Path) -> None:
    box = box_of(50)
    df = sync(folder, box)
    with (
        exclusive_lock(folder / ".histkit" / "lock", "busy"),
        pytest.warns(UserWarning, match=r"3 rows deleted .* a sync is writing into .*sync\(full=True\) later") as said,
    ):
        done = delete(df.head(3), confirm=True, client=client_of(box), progress=False)
    assert "\n" not in str(said[0].message)
    assert said[0].filename == __file__
    assert set(done["status"]) == {"deleted"}
    assert done.attrs["histkit"]["marked"] == 0
    assert marked(folder) == set()
    assert found(sync(folder, box, full=True))["missing"] == 3


def test_a_damaged_month_is_warned_of_and_the_others_are_marked(box_of: Callable[..., Sandbox], folder: Path) -> None:
    box = box_of(2000)
    df = sync(folder, box)
    *whole, last = sorted(folder.glob("year=*/month=*/history.parquet"))
    last.write_bytes(b"PAR1 and nothing")
    with pytest.warns(UserWarning, match=r"Not all of 20 rows deleted are marked in .* is damaged"):
        done = delete(df.iloc[::100], confirm=True, client=client_of(box), progress=False)
    assert set(done["status"]) == {"deleted"}
    with pytest.warns(UserWarning, match="moved to"):
        sync(folder, box, full=True)
    for path in whole:
        rows = hk.read_parquet(path)
        assert (rows["state"] == "deleted").tolist() == rows["history_item_id"].isin(done["history_item_id"]).tolist()


def test_which_history_is_marked(box_of: Callable[..., Sandbox], folder: Path, tmp_path: Path) -> None:
    box = box_of(50)
    df = sync(folder, box)
    other = tmp_path / "other"
    sync(other, box)
    cases: list[tuple[dict[str, Any], str | None]] = [
        ({}, str(folder)),
        ({"history": False}, None),
        ({"history": other}, str(other)),
    ]
    for options, expected in cases:
        assert delete(df, progress=False, **options).attrs["histkit"]["history"] == expected
    table = tmp_path / "df.parquet"
    hk.to_parquet(df, table)
    elsewhere = pd.DataFrame(df)
    for path in (None, 7, "s3://bucket/history", str(table), str(tmp_path), str(tmp_path / "nowhere")):
        elsewhere.attrs = {"histkit": {"path": path}}
        assert delete(elsewhere, progress=False).attrs["histkit"]["history"] is None
    elsewhere.attrs = {"histkit": "mine"}
    assert delete(elsewhere, progress=False).attrs["histkit"]["history"] is None
    delete(df.head(2), confirm=True, history=other, client=client_of(box), progress=False)
    assert (marked(folder), marked(other)) == (set(), set(df["history_item_id"].head(2)))
    (folder / "_manifest.json").write_text("{")
    with pytest.raises(hk.ArchiveError, match=r"_manifest.json is damaged"):
        delete(df.iloc[5:8], confirm=True, client=client_of(box), progress=False)
    assert len(box.history()) == 48


def test_a_folder_that_is_no_history_is_not_made_one(tmp_path: Path) -> None:
    with pytest.raises(hk.ArchiveError, match="holds no local history"):
        mark_deleted(tmp_path / "nowhere", ["id1"], MOMENT)
    assert list(tmp_path.iterdir()) == []


def test_a_history_is_marked_from_any_directory(
    box_of: Callable[..., Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = box_of(50)
    sync(Path("hist"), box)
    df = hk.load("hist")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    done = delete(df.head(3), confirm=True, client=client_of(box), progress=False)
    assert done.attrs["histkit"]["history"] == str(tmp_path / "hist")
    assert done.attrs["histkit"]["marked"] == 3
    assert marked(tmp_path / "hist") == set(df["history_item_id"].head(3))


@pytest.mark.parametrize("told", ["hist", "/nowhere/hist", "s3://bucket/hist"])
def test_a_history_that_is_not_found_is_said_in_one_line(
    box_of: Callable[..., Sandbox], capsys: pytest.CaptureFixture[str], told: str
) -> None:
    box = box_of(50)
    df = sync(Path("hist"), box)  # a relative path in attrs is not trusted, although it leads there by chance
    df.attrs["histkit"]["path"] = told
    plan = delete(df.head(3))
    assert plan.attrs["histkit"]["history"] is None
    line = capsys.readouterr().err
    assert line.startswith("Would delete 3 rows")
    assert line.count("\n") == 1
    assert told in line
    assert "not marked" in line
    with pytest.warns(UserWarning, match=rf"{told}.* not marked") as said:
        done = delete(df.head(3), confirm=True, client=client_of(box), progress=False)
    assert "\n" not in str(said[0].message)
    assert (done.attrs["histkit"]["history"], done.attrs["histkit"]["marked"]) == (None, 0)
    assert marked(Path("hist")) == set()
