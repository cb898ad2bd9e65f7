"""Deleting with the key of another account: every row looks deleted there, and none must be marked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import histkit as hk
from histkit.archive.manifest import read_manifest, write_manifest
from histkit.cli import main
from histkit.deletion.delete import delete
from histkit.sandbox import Sandbox
from histkit.util.storage import ReadStore
from tests.conftest import client_of

pytestmark = pytest.mark.usefixtures("short_waits")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sync(folder: Path, box: Sandbox) -> pd.DataFrame:
    hk.sync(folder, client=client_of(box), progress=False)
    return hk.load(folder)


def marked(folder: Path) -> int:
    return int(hk.load(folder)["missing_since"].notna().sum())


@pytest.mark.parametrize("rows", [1, 2, 3, 12, 40, 300])
def test_another_accounts_key_marks_nothing_and_stops_soon(
    box_of: Callable[..., Sandbox], folder: Path, rows: int
) -> None:
    box, other = box_of(300), box_of(300, 2)
    df = sync(folder, box)
    with pytest.warns(UserWarning, match="Nothing was marked in .*: no row was found in the account of this key"):
        done = delete(df.head(rows), confirm=True, client=client_of(other), progress=False)
    assert set(done["status"]) <= {"gone", "pending"}
    assert marked(folder) == 0
    assert len(box.history()) == len(other.history()) == 300
    deletions = [request for request in other.requests() if request["method"] == "DELETE"]
    assert len(deletions) == (3 if rows > 12 else rows)
    assert len(other.requests()) <= len(deletions) + 31
    if rows > 12:
        assert done.attrs["histkit"]["interrupted"]
        assert done["error"].str.contains("is it the key of another account").sum() == rows - 3


@pytest.mark.parametrize("rows", [1, 2, 40])
def test_another_accounts_key_is_named_alike_for_clips_and_deletions(
    box_of: Callable[..., Sandbox], tmp_path: Path, rows: int
) -> None:
    """Without a local history, too, and by each function."""
    box, other = box_of(60), box_of(60, 2)
    df = hk.read_history(client=client_of(box), progress=False).head(rows)
    hint = r"exists? in the account of this key: .* or is it the key of another account\?"
    with pytest.warns(UserWarning, match=hint) as caught:
        pulled = hk.download_audio(df, tmp_path / "audio", client=client_of(other), progress=False)
    assert (len(caught), caught[0].filename) == (1, __file__)
    assert set(pulled["status"]) == {"gone"}
    with pytest.warns(UserWarning, match=hint) as caught:
        delete(df, confirm=True, client=client_of(other), progress=False)
    assert (len(caught), caught[0].filename) == (1, __file__)
    box.set(error_500=1.0)
    failed = hk.download_audio(
        df, tmp_path / "failed", client=client_of(box, max_retries=0), progress=False
    )  # no sign of either
    assert set(failed["status"]) == {"failed"}
    with pytest.warns(UserWarning, match=hint):
        again = hk.retry_failed(failed, client=client_of(other), progress=False)
    assert set(again["status"]) == {"gone"}
    box.set(error_500=0.0)
    part = hk.download_audio(df, tmp_path / "right", client=client_of(box), progress=False)
    assert set(part["status"]) == {"done"}


def test_rows_that_were_deleted_elsewhere_are_marked_with_the_right_key(
    box_of: Callable[..., Sandbox], folder: Path
) -> None:
    box = box_of(300)
    df = sync(folder, box)
    part = df.iloc[20:60]
    box.remove(part["history_item_id"].tolist())
    done = delete(part, confirm=True, client=client_of(box), progress=False)  # other rows of the history are there
    assert set(done["status"]) == {"gone"}
    assert marked(folder) == 40


def test_a_deletion_that_goes_on_finds_its_remaining_rows(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(100)
    df = hk.read_history(client=client_of(box), progress=False)
    box.remove(df["history_item_id"].head(90).tolist())
    done = delete(df, confirm=True, client=client_of(box), progress=False)
    assert done["status"].tolist() == ["gone"] * 90 + ["deleted"] * 10


def test_everything_deleted_before_leaves_the_marks_to_a_full_sync(
    box_of: Callable[..., Sandbox], folder: Path
) -> None:
    box = box_of(30)
    df = sync(folder, box)
    box.remove(df["history_item_id"].tolist())
    with pytest.warns(UserWarning, match=r"sync\(full=True\) marks them missing"):
        delete(df.head(3), confirm=True, client=client_of(box), progress=False)
    assert marked(folder) == 0


def test_a_key_that_may_not_read_goes_on_but_marks_nothing_that_is_gone(
    box_of: Callable[..., Sandbox], folder: Path
) -> None:
    box = box_of(60)
    df = sync(folder, box)
    box.remove(df["history_item_id"].head(20).tolist())
    writer = client_of(box, api_key=box.key("speech_history_write"))
    with pytest.warns(UserWarning, match="Nothing was marked"):
        done = delete(df.head(20), confirm=True, client=writer, progress=False)
    assert set(done["status"]) == {"gone"}
    assert marked(folder) == 0
    done = delete(df.head(25), confirm=True, client=writer, progress=False)
    assert done["status"].tolist() == ["gone"] * 20 + ["deleted"] * 5
    assert marked(folder) == 25


def test_a_made_up_history_and_a_real_key_are_told_apart_before_any_request(
    box_of: Callable[..., Sandbox], folder: Path
) -> None:
    box = box_of(30)
    df = sync(folder, box)
    with hk.HistoryClient("sk_real_key", base_url=box.url) as real:
        box.reset()
        with pytest.raises(hk.ArchiveError, match=r"sandbox's made-up account.*nothing was deleted"):
            delete(df, confirm=True, client=real, progress=False)
    assert box.requests() == []
    manifest = read_manifest(ReadStore(str(folder)))
    assert manifest is not None
    manifest.accounts[""].service = "api.elevenlabs.io"
    write_manifest(folder, manifest)
    with pytest.raises(hk.ArchiveError, match=r"an account at api.elevenlabs.io, and this key is of another account"):
        delete(hk.load(folder), confirm=True, client=client_of(box), progress=False)
    assert box.requests() == []


def test_the_command_says_it_in_its_own_words(
    box_of: Callable[..., Sandbox], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, other = box_of(60), box_of(60, 2)
    sync(folder, box)
    monkeypatch.setenv("ELEVENLABS_BASE_URL", other.url)
    monkeypatch.setenv("ELEVENLABS_API_KEY", other.api_key)
    plan = CliRunner().invoke(main, ["delete", "--history", str(folder), "--limit", "40"])
    assert plan.exit_code == 0
    assert plan.stderr.endswith("Nothing was deleted yet: --confirm deletes them.\n")
    done = CliRunner().invoke(main, ["delete", "--history", str(folder), "--limit", "40", "--confirm"])
    assert done.exit_code == 5
    assert "is it the key of another account?" in done.stderr
    assert "histkit sync --full marks them missing" in done.stderr
    assert "UserWarning" not in done.stderr
    assert marked(folder) == 0


def test_the_journal_of_a_history_elsewhere_lies_beside_it(
    box_of: Callable[..., Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    box = box_of(30)
    df = sync(tmp_path / "archive" / "history", box)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    done = delete(df.head(2), confirm=True, client=client_of(box))
    record = tmp_path / "archive" / "deleted.jsonl"
    assert done.attrs["histkit"]["journal"] == str(record)
    assert record.exists()
    assert capsys.readouterr().err.endswith(f"; record: {record}\n")
    assert list((tmp_path / "work").iterdir()) == []
