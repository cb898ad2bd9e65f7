"""A full sync: what is gone is marked, what changed is brought up to date, another account is refused."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import requests

import histkit as hk
from histkit.sandbox import Sandbox
from tests.local_history import DAY, NOTHING, NOW, files_of, found, ids_of, read, sync
from tests.raw_service import Service, row, same


def test_rows_that_vanish_are_kept_and_marked_by_a_full_sync_only(box_of: Callable[..., Sandbox], folder: Path) -> None:
    box = box_of(items=800)
    rows = box.history()
    sync(folder, box)
    gone = ids_of(rows[3:300:40])
    box.remove(gone)
    df = sync(folder, box)
    assert len(df) == 800
    assert df["missing_since"].isna().all()
    started = pd.Timestamp.now("UTC").floor("s")
    df = sync(folder, box, full=True)
    assert found(df) == {"new": 0, "changed": 0, "missing": len(gone)}
    assert sorted(df.loc[df["missing_since"].notna(), "history_item_id"]) == sorted(gone)
    assert df["missing_since"].dropna().between(started, pd.Timestamp.now("UTC")).all()
    same(df[df["missing_since"].isna()].reset_index(drop=True), read(box))
    before = files_of(folder)
    again = sync(folder, box, full=True)
    assert found(again) == NOTHING
    assert again["missing_since"].equals(df["missing_since"])
    assert files_of(folder) == before


def test_a_row_that_comes_back_is_cleared_and_counts_as_changed(service: Callable[..., Service], folder: Path) -> None:
    rows = [row(number, NOW - 9000 * number) for number in range(40)]
    of = service(rows)
    sync(folder, of)
    of.rows = rows[:10] + rows[11:]
    assert found(sync(folder, of, full=True))["missing"] == 1
    of.rows = rows
    df = sync(folder, of, full=True)
    assert found(df) == {"new": 0, "changed": 1, "missing": 0}
    same(df, read(of))


def test_a_full_sync_brings_changed_rows_up_to_date(box_of: Callable[..., Sandbox], folder: Path) -> None:
    box = box_of(items=700)
    rows = box.history()
    sync(folder, box)
    dialogue = next(place for place, each in enumerate(rows) if each.get("dialogue"))
    lines = [line | {"text": "said otherwise"} for line in rows[dialogue]["dialogue"]]
    box.update(rows[dialogue]["history_item_id"], dialogue=lines)
    box.update(rows[100]["history_item_id"], voice_name="Renamed", share_link_id="abc")
    box.update(rows[200]["history_item_id"], voice_name=None, settings={"stability": 0.25})
    box.update(rows[300]["history_item_id"], something_new=[1, 2])
    diff = sync(folder, box, full=True, diff=True)
    assert found(diff) == {"new": 0, "changed": 4, "missing": 0}
    assert diff.columns.tolist() == [
        *("change", "account", "history_item_id", "date", "voice_name", "characters", "credits")
    ]
    assert set(diff["change"]) == {"changed"}
    wanted = {rows[place]["history_item_id"] for place in (dialogue, 100, 200, 300)}
    assert set(diff["history_item_id"]) == wanted
    same(hk.load(folder), read(box))
    assert hk.load(folder, voice="renamed")["history_item_id"].tolist() == [rows[100]["history_item_id"]]


def test_the_frame_of_changes_tells_each_row_once(service: Callable[..., Service], folder: Path) -> None:
    rows = [row(number, NOW - 9 * DAY * number, voice_id=f"v{number}", voice_name="Vera") for number in range(40)]
    of = service(rows)
    first = sync(folder, of, diff=True)
    assert (first["change"] == "new").all()
    assert first["history_item_id"].tolist() == ids_of(rows)
    of.rows = [row(99, NOW + 5), *rows[:5], rows[5] | {"state": "deleted"}, *rows[7:]]
    diff = sync(folder, of, full=True, diff=True)
    assert dict(zip(diff["history_item_id"], diff["change"], strict=True)) == {
        "id99": "new",
        "id5": "changed",
        "id6": "missing",
    }
    assert found(diff) == {"new": 1, "changed": 1, "missing": 1}
    empty = sync(folder, of, diff=True)
    assert len(empty) == 0
    assert empty.dtypes.astype(str).equals(diff.dtypes.astype(str))


def test_a_row_whose_date_changes_is_there_once(service: Callable[..., Service], folder: Path) -> None:
    of = service([row(number, NOW - 3 * DAY * number) for number in range(60)])
    sync(folder, of)
    moved = of.rows.pop(40)
    of.rows.insert(0, moved | {"date_unix": NOW + 5})
    same(sync(folder, of, full=True), read(of))


def test_a_listing_that_leaves_rows_out_marks_nothing_missing(service: Callable[..., Service], folder: Path) -> None:
    of = service([row(number, NOW - 9000 * number) for number in range(50)])
    before = sync(folder, of)
    of.hidden = {"id7", "id8", "id30"}
    for _ in range(2):
        with pytest.raises(hk.PaginationError, match="left out rows of its listing"):
            sync(folder, of, full=True)
    same(hk.load(folder), before)
    of.hidden = set()
    of.rows.insert(0, row(99, NOW + 2))
    df = sync(folder, of)
    assert found(df)["new"] == 1
    same(sync(folder, of, full=True), read(of))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("age", ["newer", "same time", "older"])
def test_another_accounts_key_is_refused_and_mixes_nothing(
    service: Callable[..., Service], folder: Path, full: bool, age: str
) -> None:
    mine = service([row(number, NOW - 900 * number) for number in range(30)])
    shift = {"newer": 3 * DAY, "same time": 0, "older": -90 * DAY}[age]
    theirs = service([row(1000 + number, NOW + shift - 900 * number) for number in range(30)])
    before = sync(folder, mine)
    for _ in range(2):
        with pytest.raises(hk.ArchiveError, match="another account"):
            sync(folder, theirs, full=full)
        same(hk.load(folder), before)
    assert found(sync(folder, mine)) == NOTHING
    assert found(sync(folder, mine, full=True)) == NOTHING


def test_a_made_up_history_says_so_and_the_refusal_says_which_account_is_which(
    box_of: Callable[..., Sandbox], service: Callable[..., Service], folder: Path
) -> None:
    box, real = box_of(items=40), service([row(1000 + number, NOW + 9 - number) for number in range(30)])
    sync(folder, box)
    made_up = json.loads((folder / "_manifest.json").read_text())["accounts"][""]
    assert made_up["service"] == "sandbox"
    assert box.api_key not in str(made_up)
    newest = f"{hk.load(folder)['date'].max():%Y-%m-%d %H:%M} UTC"
    for full in (False, True):
        with pytest.raises(hk.ArchiveError) as refused:
            sync(folder, real, full=full)
        told = f"{folder} has the history of the sandbox's made-up account, up to {newest}, and this key is of another "
        assert str(refused.value).startswith(told + "account, an account at 127.0.0.1. ")
    assert [query for _, query in real.asked] == [{"page_size": "1"}] * 2  # is it a key at all?
    sync(folder.with_name("real"), real)
    assert (
        json.loads((folder.with_name("real") / "_manifest.json").read_text())["accounts"][""]["service"] == "127.0.0.1"
    )
    with pytest.raises(
        hk.ArchiveError, match=r"real has the history of an account at 127\.0\.0\.1, .* made-up account"
    ):
        sync(folder.with_name("real"), box)
    with pytest.raises(hk.ArchiveError, match=r"made-up account, up to .* whose history has 30 rows and none of the"):
        sync(folder, box_of(items=30, seed=9), full=True)


def test_beside_a_made_up_history_the_key_in_use_counts(
    box_of: Callable[..., Sandbox], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = box_of(items=40)
    sync(folder, box)
    monkeypatch.delenv("ELEVENLABS_API_KEY", raising=False)
    with hk.HistoryClient() as client, pytest.raises(hk.AuthenticationError, match="No API key"):
        hk.sync(folder, client=client)
    with requests.Session() as session:
        session.headers["xi-api-key"] = box.api_key
        client = hk.HistoryClient(base_url=box.url, session=session)
        assert len(hk.sync(folder, client=client, progress=False)) == 40


def test_another_accounts_key_is_refused_also_where_the_newest_rows_are_known_to_be_gone(
    service: Callable[..., Service], folder: Path
) -> None:
    mine = service([row(number, NOW - 9000 * number) for number in range(30)])
    theirs = service([row(1000 + number, NOW + 50 - number) for number in range(30)])
    sync(folder, mine)
    del mine.rows[:4]
    sync(folder, mine, full=True)
    with pytest.raises(hk.ArchiveError, match="another account"):
        sync(folder, theirs)
    assert len(hk.load(folder)) == 30


def test_the_key_of_another_account_does_not_go_on_with_an_unfinished_sync(
    service: Callable[..., Service], folder: Path
) -> None:
    mine = service([row(number, NOW - 900 * number) for number in range(3000)])
    theirs = service([row(9000 + number, NOW - 900 * number) for number in range(30)])
    whole = mine.answer
    mine.answer = lambda path, query: whole(path, query) if len(mine.asked) < 2 else None  # type: ignore[method-assign]
    with pytest.raises(hk.PaginationError, match="kept"):
        sync(folder, mine, workers=1)
    with pytest.raises(hk.ArchiveError, match="another account"):
        sync(folder, theirs)
    mine.answer = whole  # type: ignore[method-assign]
    same(sync(folder, mine, workers=1), read(mine))


@pytest.mark.parametrize("many", [1, 5, 120])
def test_deleting_the_newest_rows_does_not_block_a_sync(
    box_of: Callable[..., Sandbox], folder: Path, many: int
) -> None:
    box = box_of(items=400)
    sync(folder, box)
    box.remove(ids_of(box.history()[:many]))
    df = sync(folder, box)
    assert len(df) == 400
    box.add(2)
    df = sync(folder, box, full=True)
    assert found(df) == {"new": 2, "changed": 0, "missing": many}
    same(df[df["missing_since"].isna()].reset_index(drop=True), read(box))


def test_deleting_everything_is_believed_by_a_full_sync(service: Callable[..., Service], folder: Path) -> None:
    of = service([row(number, NOW - 9 * DAY * number) for number in range(30)])
    sync(folder, of)
    of.rows = []
    with pytest.raises(hk.ArchiveError, match=r"full=True"):
        sync(folder, of)
    df = sync(folder, of, full=True)
    assert found(df) == {"new": 0, "changed": 0, "missing": 30}
    assert df["missing_since"].notna().all()
    of.rows = [row(500, NOW + 5)]
    assert len(sync(folder, of)) == 31


def test_no_warning_is_left_over(service: Callable[..., Service], folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        of = service([row(number, NOW - number) for number in range(5)])
        sync(folder, of)
        sync(folder, of, full=True, diff=True)
