"""`delete`: shows what it would do, then deletes exactly that and writes it down first."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.deletion.delete import delete
from histkit.deletion.journal import Journal
from histkit.deletion.plan import COLUMNS
from histkit.frame.json_values import plain_value
from histkit.sandbox import Sandbox
from tests.conftest import client_of
from tests.effort import examples


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No journal lands in the repository."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def box(box_of: Callable[..., Sandbox]) -> Sandbox:
    return box_of(60)


def frame_of(box: Sandbox) -> pd.DataFrame:
    with client_of(box) as client:
        df = hk.read_history(client=client, progress=False)
    box.reset()
    return df


def left(box: Sandbox) -> list[str]:
    return [row["history_item_id"] for row in box.history()]


def lines_of(path: Path | str = "data/deleted.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_bytes().split(b"\n")[:-1]]


def asked(box: Sandbox) -> list[tuple[str, str]]:
    return [(each["method"], each["path"].rpartition("/")[2]) for each in box.requests()]


def test_without_confirm_it_only_says_what_it_would_do(
    box: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    df = frame_of(box).iloc[10:20]
    plan = delete(df, client=client_of(box))
    assert box.requests() == []
    assert list(tmp_path.iterdir()) == []
    assert plan.index.equals(df.index)
    assert {name: str(dtype) for name, dtype in plan.dtypes.items()} == {
        name: str(pd.array([], dtype=dtype).dtype)  # type: ignore[call-overload,unused-ignore]
        for name, dtype in COLUMNS.items()
    }
    assert set(plan["status"]) == {"would delete"}
    assert plan["credits"].equals(df["credits"])
    assert plan["path"].isna().all()
    facts = plan.attrs["histkit"]
    assert facts == {
        "dry_run": True,
        "counts": {"would delete": 10, "kept": 0},
        "credits": df["credits"].sum(),
        "credits_unknown": 0,
        "journal": str(Path("data/deleted.jsonl").absolute()),
        "history": None,
        "marked": 0,
        "interrupted": False,
    }
    json.dumps(facts)
    said = capsys.readouterr()
    first, last = df["date"].min(), df["date"].max()
    assert said.out == ""
    assert said.err == (
        f"Would delete 10 rows of {first:%Y-%m-%d} to {last:%Y-%m-%d} UTC ({df['credits'].sum():,} credits). "
        "Nothing was deleted yet: confirm to delete.\n"
    )


def test_confirm_deletes_exactly_these_rows_in_their_order(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    df = frame_of(box).sample(12, random_state=0)
    done = delete(df, confirm=True, client=client_of(box), progress=False)
    assert capsys.readouterr() == ("", "")
    assert asked(box) == [("DELETE", item) for item in df["history_item_id"]]
    assert set(done["status"]) == {"deleted"}
    assert done["error"].isna().all()
    assert done.index.equals(df.index)
    assert done["history_item_id"].tolist() == df["history_item_id"].tolist()
    assert len(left(box)) == 48
    assert not set(left(box)) & set(df["history_item_id"])
    facts = done.attrs["histkit"]
    assert facts["counts"] == {"deleted": 12, "gone": 0, "kept": 0, "failed": 0, "pending": 0}
    assert (facts["dry_run"], facts["interrupted"]) == (False, False)
    assert facts["credits"] == df["credits"].sum()


def test_the_line_says_what_was_done(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    df = frame_of(box).head(3)
    box.remove(df["history_item_id"].iloc[2])
    delete(df, confirm=True, client=client_of(box))
    total = df["credits"].sum()
    said = capsys.readouterr().err
    assert said.splitlines()[-1] == (
        f"Deleted 2 rows ({total:,} credits), 1 gone already; record: {Path('data/deleted.jsonl').absolute()}"
    )
    with pytest.warns(UserWarning, match="None of the 3 requested rows exists in the account of this key: "):
        delete(df, confirm=True, client=client_of(box))
    assert "0 rows" in capsys.readouterr().err


def test_what_is_not_there_counts_as_done(box: Sandbox) -> None:
    df = frame_of(box).head(5)
    box.remove(df["history_item_id"].iloc[[1, 3]])
    done = delete(df, confirm=True, client=client_of(box), progress=False)
    assert done["status"].tolist() == ["deleted", "gone", "deleted", "gone", "deleted"]
    assert done["error"].isna().all()
    with pytest.warns(UserWarning, match="were they deleted, or is it the key of another account"):
        again = delete(df, confirm=True, client=client_of(box), progress=False)
    assert set(again["status"]) == {"gone"}
    assert len(left(box)) == 55


@pytest.mark.parametrize("confirm", [1, "yes", None, np.True_, [True], 0, ""])
def test_only_true_confirms(box: Sandbox, confirm: Any, tmp_path: Path) -> None:
    with pytest.raises(hk.InputError, match="use True, and nothing else"):
        delete(frame_of(box), confirm=confirm, client=client_of(box))
    assert box.requests() == []
    assert list(tmp_path.iterdir()) == []


def test_each_id_is_deleted_once_and_told_in_each_of_its_rows(box: Sandbox) -> None:
    df = frame_of(box).head(4)
    twice = pd.concat([df, df.iloc[::-1]])
    plan = delete(twice, progress=False)
    assert plan.attrs["histkit"]["counts"]["would delete"] == 4
    assert plan.attrs["histkit"]["credits"] == df["credits"].sum()
    done = delete(twice, confirm=True, client=client_of(box), progress=False)
    assert len(box.requests()) == 4
    assert done["status"].tolist() == ["deleted"] * 8
    assert done.index.tolist() == [0, 1, 2, 3, 3, 2, 1, 0]


def test_a_series_of_ids_is_enough(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    ids = pd.Series(left(box)[:3], index=["a", "b", "b"])
    plan = delete(ids)
    assert plan.attrs["histkit"]["credits"] is None
    assert "Would delete 3 rows (credits unknown)." in capsys.readouterr().err
    done = delete(ids, confirm=True, client=client_of(box), progress=False)
    assert done["status"].to_dict() == {"a": "deleted", "b": "deleted"}
    assert done["credits"].isna().all()
    rows = [line["row"] for line in lines_of() if line["event"] == "asked"]
    assert rows == [{"history_item_id": item} for item in ids]


def test_an_empty_frame_is_nothing_to_do(box: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    df = frame_of(box).head(0)
    for confirm in (False, True):
        done = delete(df, confirm=confirm, client=client_of(box))
        assert len(done) == 0
        assert done.columns.tolist() == list(COLUMNS)
        assert done.attrs["histkit"]["credits"] == 0
    assert box.requests() == []
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == "Nothing would be deleted.\nNothing to delete.\n"


def test_a_price_that_is_not_known_is_not_zero(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    df = frame_of(box).head(5)
    df.loc[[1, 3], "credits"] = pd.NA
    plan = delete(df)
    assert plan.attrs["histkit"]["credits"] == df["credits"].sum()
    assert plan.attrs["histkit"]["credits_unknown"] == 2
    assert "credits, unknown of 2 rows)" in capsys.readouterr().err
    for without in (df.drop(columns=["credits", "date", "date_unix"]), df.assign(credits=np.nan)):
        plan = delete(without)
        assert plan.attrs["histkit"]["credits"] is None
        assert plan["credits"].isna().all()
        assert "(credits unknown)" in capsys.readouterr().err
    assert delete(df.assign(credits=12.0), progress=False).attrs["histkit"]["credits"] == 60


def test_the_frame_is_left_alone_whatever_it_is(box: Sandbox) -> None:
    df = frame_of(box).head(6)
    df.index = pd.Index([7, 7, 7, "x", None, 2.5])
    df["mine"] = [{"a": np.int64(1)}, (1, np.nan), pd.NaT, np.array([1.5, np.inf]), b"raw", "half \ud800 pair"]
    df[("a", "b")] = pd.Categorical([None, "x", "y", "x", None, "x"])
    before = df.copy(deep=True)
    done = delete(df, confirm=True, client=client_of(box), progress=False)
    pd.testing.assert_frame_equal(df, before)
    assert done.index.equals(df.index)
    rows = [line["row"] for line in lines_of() if line["event"] == "asked"]
    assert [row["mine"] for row in rows] == [
        {"a": 1},
        [1, None],
        None,
        [1.5, "inf"],
        "b'raw'",
        "half \ud800 pair",
    ]
    assert [row["('a', 'b')"] for row in rows] == [None, "x", "y", "x", None, "x"]


@pytest.mark.parametrize("missing", [pd.NA, None, ""])
def test_a_row_without_an_id_stops_it_before_anything_happens(box: Sandbox, missing: Any, tmp_path: Path) -> None:
    df = frame_of(box).head(4).astype({"history_item_id": object})
    df.loc[[1, 2], "history_item_id"] = missing
    with pytest.raises(hk.InputError, match="2 rows of 4 without an id can't be deleted"):
        delete(df, confirm=True, client=client_of(box))
    assert box.requests() == []
    assert list(tmp_path.iterdir()) == []


def test_what_can_not_be_used_is_named_before_anything_happens(box: Sandbox, tmp_path: Path) -> None:
    df = frame_of(box).head(2)
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (df, {"journal": None}, "nothing is deleted without a record"),
        (df, {"journal": ""}, "nothing is deleted without a record"),
        (df, {"journal": "s3://bucket/deleted.jsonl"}, "use a file on this machine"),
        (df, {"journal": "zero\0byte"}, "has a zero byte"),
        (df, {"history": True}, "use the folder of a sync, or False"),
        (df, {"history": "nowhere"}, "'nowhere' is not a local history"),
        (df, {"history": "s3://bucket/history"}, "is not a local history on this machine"),
        (df, {"only_verified": True}, "A path must be"),
        (df, {"client": hk.AsyncHistoryClient(box.api_key, base_url=box.url)}, "not AsyncHistoryClient"),
        (df.assign(account=["a", "b"]), {}, r"2 accounts \(a, b\)"),
        (df.assign(account=["a", None]), {}, "Some rows are of the account a and some name none"),
        (df.assign(history_item_id=["..", "x"]), {}, "history_item_id must be an id"),
        (df.assign(**{"1": 1}).rename(columns={"text": 1}), {}, "Two columns have one name"),
        (df["history_item_id"].tolist(), {}, "items must be a DataFrame"),
    ]
    for items, options, says in cases:
        for confirm in (True, False):
            with pytest.raises(hk.InputError, match=says):
                delete(items, confirm=confirm, **{"client": client_of(box), **options})
    with pytest.raises(hk.SchemaError, match="'history_item_id', which deleting needs"):
        delete(df[["text"]])
    assert box.requests() == []
    assert list(tmp_path.iterdir()) == []


def test_the_journal_holds_each_row_before_it_is_asked_for_and_what_came_of_it(box: Sandbox) -> None:
    df = frame_of(box)
    df = pd.concat([df[df["dialogue"].notna()].head(1), df.head(3)]).drop_duplicates("history_item_id")
    box.remove(df["history_item_id"].iloc[1])
    delete(df, confirm=True, client=client_of(box), progress=False)
    begin, *middle, end = lines_of()
    assert begin["event"] == "begin"
    assert (begin["rows"], begin["credits"], begin["only_verified"]) == (len(df), df["credits"].sum(), None)
    assert (end["event"], end["deleted"], end["gone"], end["stopped"]) == ("end", len(df) - 1, 1, None)
    assert [line["event"] for line in middle[::2]] == ["asked"] * len(df)
    assert [line["event"] for line in middle[1::2]] == ["deleted", "gone"] + ["deleted"] * (len(df) - 2)
    assert [line["history_item_id"] for line in middle[::2]] == df["history_item_id"].tolist()
    assert [line["history_item_id"] for line in middle[1::2]] == df["history_item_id"].tolist()
    for line, (_, row) in zip(middle[::2], df.iterrows(), strict=True):
        told = line["row"]
        assert list(told) == df.columns.tolist()
        assert pd.Timestamp(told["date"]) == row["date"]
        for name in ("text", "dialogue", "voice_name", "credits", "date_unix", "stability", "extra", "state"):
            assert told[name] == (None if pd.isna(row[name]) else row[name])
    assert all(pd.Timestamp(line["time"]).tzinfo is not None for line in lines_of())


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.dictionaries(st.text(), values, max_size=4), min_size=1, max_size=4))
@settings(max_examples=examples(25))  # each flushes up to eight lines to the disk
def test_whatever_a_row_says_is_one_line_that_gives_it_back(rows: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "deleted.jsonl"
        for each in rows:
            with Journal(path) as journal:
                journal.add("asked", row=plain_value(each))
        assert [line["row"] for line in lines_of(path)] == rows


def test_days_are_told_whatever_says_them(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    df = frame_of(box).head(4)
    first, last = f"{df['date'].min():%Y-%m-%d}", f"{df['date'].max():%Y-%m-%d}"
    span = f" of {first} to {last} UTC (" if first != last else f" of {first} UTC ("
    gaps = df.assign(date_unix=df["date_unix"].astype("Int64"))
    gaps.loc[1, "date_unix"] = pd.NA
    for each in (
        gaps,
        df.drop(columns="date_unix"),
        df.drop(columns="date_unix").assign(date=df["date"].astype(str)),
        df.assign(date_unix=df["date_unix"].astype(str)),
    ):
        delete(each)
        assert span in capsys.readouterr().err
    for each in (df.assign(date_unix=pd.NA), df.drop(columns="date_unix").assign(date="someday")):
        delete(each)
        assert "Would delete 4 rows (" in capsys.readouterr().err


def test_journals_are_only_added_to(box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    df = frame_of(box)
    path = tmp_path / "deep" / "er" / "deleted.jsonl"
    delete(df.head(1), confirm=True, journal="~/deep/er/deleted.jsonl", client=client_of(box), progress=False)
    before = path.read_bytes()
    path.write_bytes(before + b'{"event": "as')  # the run was killed in the middle of a line
    delete(df.iloc[1:3], confirm=True, journal=path, client=client_of(box), progress=False)
    assert path.read_bytes().startswith(before + b'{"event": "as\n{"event": "begin"')
    assert len(path.read_bytes().splitlines()) == 4 + 1 + 6


def test_without_a_journal_nothing_is_deleted(box: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    df = frame_of(box).head(3)
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for journal in ("file/deleted.jsonl", "folder"):
        with pytest.raises(
            hk.HistkitError, match=r"is (?:not )?a folder.* Nothing is deleted without a journal"
        ) as caught:
            delete(df, confirm=True, journal=journal, client=client_of(box))
        assert "\n" not in str(caught.value)
    (tmp_path / "prices.toml").write_text('currency = "EUR"')
    with pytest.raises(hk.InputError, match=r"prices\.toml exists and is not a file of JSON lines: use another name\."):
        delete(df, confirm=True, journal=tmp_path / "prices.toml", client=client_of(box))
    assert (tmp_path / "prices.toml").read_text() == 'currency = "EUR"'
    assert box.requests() == []
    assert capsys.readouterr().err == ""


def test_a_journal_on_a_full_disk_is_no_record(box: Sandbox) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    df = frame_of(box).head(3)
    with pytest.raises(hk.ArchiveError, match="No space left on device"), Journal(full) as journal:
        journal.add("begin")
    with pytest.raises(hk.ArchiveError, match="No space left on device"):
        delete(df, confirm=True, journal=full, client=client_of(box), progress=False)
    assert box.requests() == []


def test_only_what_is_safely_here_is_deleted(box: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    df = frame_of(box).head(6)
    client = client_of(box)
    pulled = hk.download_audio(df.head(5), tmp_path / "audio", client=client, progress=False)
    damaged, lost = (tmp_path / "audio" / pulled["path"].iloc[place] for place in (1, 2))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    lost.unlink()
    box.reset()
    capsys.readouterr()
    plan = delete(df, only_verified=tmp_path / "audio", client=client)
    assert plan["status"].tolist() == ["would delete", "kept", "kept", "would delete", "would delete", "kept"]
    assert plan["path"].dropna().tolist() == pulled["path"].iloc[[0, 3, 4]].tolist()
    assert plan.attrs["histkit"]["counts"] == {"would delete": 3, "kept": 3}
    assert plan.attrs["histkit"]["credits"] == df["credits"].iloc[[0, 3, 4]].sum()
    assert f"3 with a verified copy in {tmp_path / 'audio'}, 3 without are kept." in capsys.readouterr().err
    done = delete(df, confirm=True, only_verified=tmp_path / "audio", client=client)
    assert done["status"].tolist() == ["deleted", "kept", "kept", "deleted", "deleted", "kept"]
    assert done["path"].equals(plan["path"])
    assert "Deleted 3 rows" in (said := capsys.readouterr().err)
    assert "3 kept" in said
    assert set(df["history_item_id"].iloc[[1, 2, 5]]) <= set(left(box))
    assert len(left(box)) == 57
    assert lines_of()[0]["only_verified"] == str(tmp_path / "audio")


def test_without_any_verified_copy_nothing_is_asked_or_written(
    box: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    df = frame_of(box)
    hk.download_audio(df.tail(1), tmp_path / "audio", client=client_of(box), progress=False)
    box.reset()
    done = delete(df.head(3), confirm=True, only_verified=tmp_path / "audio", client=client_of(box))
    assert set(done["status"]) == {"kept"}
    assert f"none of 3 has a verified copy in {tmp_path / 'audio'}" in capsys.readouterr().err
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(hk.DownloadError, match="is not a folder of downloaded audio"):
            delete(df, confirm=True, only_verified=folder, client=client_of(box))
    assert box.requests() == []
    assert not (tmp_path / "data").exists()


def test_deleting_answers_as_the_service_does(box: Sandbox) -> None:
    client, item = client_of(box), left(box)[0]
    answer = client.with_raw_response.delete(item)
    assert (answer.status_code, answer.data.status) == (200, "ok")
    with pytest.raises(hk.NotFoundError) as caught:
        client.delete(item)
    assert caught.value.status_code == 404
    with pytest.raises(hk.NotFoundError):
        client.get(item)
    with pytest.raises(hk.PermissionDeniedError, match="speech_history_write"):
        client_of(box, api_key=box.key("speech_history_read")).delete(left(box)[0])
