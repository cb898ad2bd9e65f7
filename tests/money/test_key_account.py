"""A counter or official figures are compared with the rows of their own account only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import histkit as hk
from histkit.money.forecast import forecast
from histkit.money.key_account import refuse_other_account
from histkit.sandbox import Sandbox
from tests.cli.commands import run

OTHER = "None of the 10 requested rows exists in the account of this key"


@pytest.fixture
def boxes(box_of: Callable[..., Sandbox]) -> tuple[Sandbox, Sandbox]:
    """Two accounts."""
    return box_of(items=120, seed=3), box_of(items=120, seed=4)


def test_the_key_of_another_account_is_refused_in_python(boxes: tuple[Sandbox, Sandbox]) -> None:
    own, other = (hk.HistoryClient(box.api_key, base_url=box.url) for box in boxes)
    with own, other:
        frame = hk.read_history(client=own).assign(account="agency")
        for compare in (hk.reconcile, forecast):
            assert len(compare(frame, client=own))
            with pytest.raises(hk.InputError, match=f"{OTHER}.* must be that of account 'agency'"):
                compare(frame, client=other)
        refuse_other_account(frame.drop(columns="history_item_id"), other)  # nothing is known
        refuse_other_account(frame.iloc[:0], other)
        refuse_other_account(pd.concat([frame, frame.assign(account="b")]), other)
        with pytest.raises(hk.InputError, match=r"^The requested row does not exist"):
            refuse_other_account(frame.head(1), other)


def test_deleted_rows_and_a_key_that_may_not_read_show_no_other_account(
    boxes: tuple[Sandbox, Sandbox],
) -> None:
    box, _ = boxes
    with hk.HistoryClient(box.api_key, base_url=box.url) as client:
        frame = hk.read_history(client=client)
        for item in frame["history_item_id"].head(5):
            client.delete(item)
        refuse_other_account(frame, client)
        gone = frame.assign(missing_since=pd.Timestamp("2026-11-01", tz="UTC")).head(5)
        refuse_other_account(gone, client)
    with hk.HistoryClient(box.key("user_read"), base_url=box.url) as blind:
        refuse_other_account(frame.head(5), blind)


def test_the_commands_refuse_the_key_of_another_account(
    boxes: tuple[Sandbox, Sandbox], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, box in zip(("agency", "studio"), boxes, strict=True):
        with hk.HistoryClient(box.api_key, base_url=box.url) as client:
            hk.sync("data/history", accounts={name: client}, progress=False)
    monkeypatch.setenv("ELEVENLABS_API_KEY", boxes[1].api_key)
    monkeypatch.setenv("ELEVENLABS_BASE_URL", boxes[1].url)
    for arguments in (["ledger", "--official"], ["quota"], ["report", "--quota"], ["usage", "billing"]):
        run(*arguments, "--account", "studio")
        lines = run(*arguments, "--account", "agency", code=1).stderr.splitlines()
        assert [OTHER in line for line in lines] == [True]
        assert lines[0].endswith("must be that of account 'agency'.")


def test_a_part_of_a_history_is_no_account(boxes: tuple[Sandbox, Sandbox], monkeypatch: pytest.MonkeyPatch) -> None:
    box, _ = boxes
    monkeypatch.setenv("ELEVENLABS_API_KEY", box.api_key)
    monkeypatch.setenv("ELEVENLABS_BASE_URL", box.url)
    frame = hk.read_history()
    plan = {"character_count": 10**6, "character_limit": 2 * 10**6}
    voice = frame["voice_name"].dropna().iloc[0]
    with pytest.raises(hk.InputError, match=f"part of a history .voice {voice}.*forecast all rows"):
        frame.speech.filter(voice=voice).speech.forecast(subscription=plan)
    assert "a part of a history" in run("quota", "--live", "--voice", voice, code=1).stderr
    assert len(forecast(frame.speech.filter(after="2026-10-01"), subscription=plan))
    cut = forecast(frame[frame["voice_name"] == voice], subscription=plan)
    assert any("part of a history" in note for note in cut.attrs["histkit"]["notes"])
    assert not any("part of a history" in note for note in forecast(frame, subscription=plan).attrs["histkit"]["notes"])
