"""A statement of a period that is not complete says so in its file; and voices have one label in all periods."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

import histkit as hk
from histkit.sandbox import Sandbox
from tests.conftest import client_of
from tests.reports.test_statement import read_at

LATER = "2027-02-01T00:00:00+00:00"
KINDS = ("md", "html", "xlsx", "csv", "json")


@pytest.fixture(scope="module")
def df() -> pd.DataFrame:
    return hk.label(hk.sample_history(1500), [{"label": "Acme", "voice": "Rachel"}])


def reasons_of(frame: pd.DataFrame, client: str = "Acme", period: Any = "2026-08", **options: Any) -> list[str]:
    found: list[str] = hk.statement(frame, client, period, **options).attrs["histkit"]["provisional"]
    return found


def text_of(path: Path) -> str:
    if path.suffix == ".xlsx":
        book = openpyxl.load_workbook(path)
        return "\n".join(str(cell.value) for sheet in book for row in sheet for cell in row)
    return path.read_text("utf-8")


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("2026-08-20T10:00:00+00:00", "the history was read 2026-08-20T10:00:00+00:00, before the end of the period"),
        ("2026-09-01T00:05:00+00:00", "less than 15 minutes after the period"),
        ("2026-09-01T00:15:00+00:00", ""),
        (LATER, ""),
    ],
)
def test_a_period_that_was_read_before_its_end_is_provisional(
    df: pd.DataFrame, tmp_path: Path, moment: str, words: str
) -> None:
    frame = read_at(df, moment)
    reasons = reasons_of(frame)
    assert len(reasons) == bool(words)
    for kind in KINDS:
        path = tmp_path / f"a.{kind}"
        hk.statement(frame, "Acme", "2026-08", path=path)
        text = text_of(path).lower().replace("\\", "")
        assert ("provisional" in text) == (bool(words) or kind == "json")
        assert words.lower() in text
    assert json.loads((tmp_path / "a.json").read_text())["provisional"] == reasons
    if words:
        with pytest.raises(hk.InputError, match="is provisional and can't be issued"):
            hk.statement(frame, "Acme", "2026-08", issue=True, register=tmp_path / "register.jsonl")
        assert not (tmp_path / "register.jsonl").exists()


def test_a_csv_without_lines_says_provisional_too(df: pd.DataFrame, tmp_path: Path) -> None:
    hk.statement(read_at(df, "2026-11-01T00:00:00+00:00"), "Acme", "2027-05", path=tmp_path / "a.csv")
    assert "provisional" in (tmp_path / "a.csv").read_text()


def test_an_unknown_time_of_reading_counts_by_the_newest_row(df: pd.DataFrame) -> None:
    unknown = df.copy()
    unknown.attrs = {"histkit": {}}
    assert not reasons_of(unknown)
    newest = unknown["date"].max().strftime("%Y-%m")
    (reason,) = reasons_of(unknown, "unassigned", newest)
    assert "when the history was read is not known, and its newest row is of" in reason


def test_rows_that_may_change_make_only_their_client_provisional(df: pd.DataFrame) -> None:
    frame = read_at(df, LATER)
    august = (frame["date"] >= "2026-08-01") & (frame["date"] < "2026-09-01")
    first = frame.index[august & (frame["client"] == "Acme")][0]
    state = frame["state"].astype(object).where(frame.index != first, "processing")
    processing = frame.assign(state=pd.Categorical(state))
    assert reasons_of(processing) == ["1 row is still processing"]
    assert not reasons_of(processing, "unassigned")
    assert not reasons_of(processing, "Acme", "2026-07")
    undated = frame.assign(date=frame["date"].where(frame.index != first))
    assert reasons_of(undated) == ["1 row has no date and is in no period"]
    assert not reasons_of(undated, "unassigned")
    table = hk.statements(undated, "2026-07")
    assert table.attrs["histkit"]["provisional"] == ["1 row has no date and is in no period"]


def test_a_history_that_was_not_read_to_its_end_is_provisional(df: pd.DataFrame) -> None:
    frame = read_at(df, LATER)
    frame.attrs["histkit"] = {**frame.attrs["histkit"], "complete": False}
    assert reasons_of(frame) == ["the history was not read to its end: rows may be missing"]


def set_synced(folder: Path, **moments: str) -> None:
    """Change when accounts were synced, in the manifest."""
    manifest = json.loads((folder / "_manifest.json").read_text())
    manifest.pop("crc32", None)
    for month in manifest["months"].values():
        month["crc32"] = month["footer_bytes"] = month["footer_crc32"] = None
    for name, moment in moments.items():
        manifest["accounts"][name]["synced_at"] = moment
    manifest["synced_at"] = max(account["synced_at"] for account in manifest["accounts"].values())
    (folder / "_manifest.json").write_text(json.dumps(manifest))


def test_each_account_of_a_local_history_counts(tmp_path: Path, box_of: Callable[..., Sandbox]) -> None:
    boxes = {name: box_of(items=300, seed=seed) for seed, name in enumerate(("studio", "lab"))}
    clients = {name: client_of(box) for name, box in boxes.items()}
    hk.sync(tmp_path / "h", accounts=clients, progress=False)
    set_synced(tmp_path / "h", studio="2026-08-20T00:00:00+00:00", lab="2026-12-01T00:00:00+00:00")
    rules = [{"label": "Acme", "voice": "Rachel"}]
    frame = hk.label(hk.load(tmp_path / "h"), rules)
    (reason,) = reasons_of(frame)
    assert reason.startswith("account 'studio' was synced 2026-08-20T00:00:00+00:00, before the end of the period")
    assert not reasons_of(frame, period="2026-07")
    only = hk.label(hk.load(tmp_path / "h", account="lab"), rules)
    assert not reasons_of(only)
    set_synced(tmp_path / "h", studio="2026-12-01T00:00:00+00:00")
    assert reasons_of(frame) == [reason]  # of the frame that was loaded before
    assert not reasons_of(hk.label(hk.load(tmp_path / "h"), rules))


def test_a_filtered_frame_of_a_local_history_is_provisional(tmp_path: Path, box_of: Callable[..., Sandbox]) -> None:
    hk.sync(tmp_path / "h", client=client_of(box_of(items=400)), progress=False)
    set_synced(tmp_path / "h", **{"": LATER})
    frame = hk.load(tmp_path / "h").assign(client="Acme")
    assert not reasons_of(frame)
    (reason,) = reasons_of(frame[frame["voice_name"] == "Rachel"])
    assert reason.startswith("the frame lacks ")
    month = tmp_path / "h/year=2026/month=8/history.parquet"
    month.write_bytes(month.read_bytes()[:-200])
    (reason,) = reasons_of(frame)
    assert "can't be compared" in reason
    assert "month=8" in reason


def test_a_voice_has_one_label_in_all_periods(tmp_path: Path) -> None:
    frame = hk.sample_history(1500)
    rachel = frame.loc[frame["voice_name"] == "Rachel", "voice_id"].iloc[0]
    twin = frame["date"] >= "2026-09-15"
    ids = frame["voice_id"].astype(object).where(~(twin & (frame["voice_name"] == "Rachel")), "zzTwinOfRachel000000")
    frame = read_at(frame.assign(voice_id=ids, client="Acme"), LATER)
    for month in ("2026-07", "2026-08", "2026-09", "2026-10"):
        labels = set(hk.statement(frame, "Acme", month)["voice"])
        assert "Rachel" not in labels
        assert labels >= ({f"Rachel ({rachel[:6]})"} if month < "2026-09" else {"Rachel (zzTwin)"})
    alone = frame[frame["voice_id"] != "zzTwinOfRachel000000"]
    assert "Rachel" in set(hk.statement(alone, "Acme", "2026-07")["voice"])
