"""Several accounts in one folder, and arguments that can not be used."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

import histkit as hk
from histkit.archive.manifest import partition_path
from histkit.archive.sync import SyncRun
from histkit.sandbox import Sandbox
from tests.conftest import client_of
from tests.effort import examples
from tests.local_history import DAY, NOW, found, ids_of, read
from tests.raw_service import Row, Service, row, same


def both(one: Service, other: Service) -> dict[str, hk.HistoryClient]:
    return {"studio": one.client, "agency": other.client}


def test_accounts_share_a_folder_with_a_watermark_each(service: Callable[..., Service], folder: Path) -> None:
    studio = service([row(number, NOW - 5 * number, text="studio") for number in range(1200)])
    agency = service([row(number, NOW - 60 * DAY - 5 * number, text="agency") for number in range(50)])
    df = hk.sync(folder, accounts=both(studio, agency), progress=False)
    assert found(df) == {"new": 1250, "changed": 0, "missing": 0}
    assert df["account"].dtype == "category"
    assert df["account"].value_counts().to_dict() == {"studio": 1200, "agency": 50}
    assert (df["account"].astype(str) == df["text"].astype(str)).all()
    for of in (studio, agency):
        of.asked.clear()
    agency.rows.insert(0, row(900, NOW - 60 * DAY + 1, text="agency"))
    df = hk.sync(folder, accounts=both(studio, agency), progress=False)
    assert found(df) == {"new": 1, "changed": 0, "missing": 0}
    assert len(studio.asked) == len(agency.asked) == 1
    same(hk.load(folder, account="agency").drop(columns="account"), read(agency))
    same(hk.load(folder, account=["studio"]).drop(columns="account"), read(studio))
    with pytest.warns(UserWarning, match="'nobody' matches no account"):
        assert len(hk.load(folder, account=["studio", "agency", "nobody"])) == 1251
    with pytest.warns(UserWarning, match="did you mean 'studio'"):
        assert len(hk.load(folder, account="Studio")) == 0


def test_rows_of_one_second_and_of_one_id_stand_by_account(service: Callable[..., Service], folder: Path) -> None:
    studio = service([row(number, NOW - number // 4) for number in range(20)])
    agency = service([row(19 - number, NOW - number // 4) for number in range(20)])
    for _ in range(2):
        df = hk.sync(folder, accounts=both(studio, agency), progress=False, full=True)
        assert len(df) == 40
        assert df["date_unix"].is_monotonic_decreasing
        first = df[df["date_unix"] == NOW]
        assert first["account"].tolist() == ["agency"] * 4 + ["studio"] * 4
        for name, of in (("studio", studio), ("agency", agency)):
            assert df.loc[df["account"] == name, "history_item_id"].tolist() == ids_of(of.rows)
    del studio.rows[7]
    df = hk.sync(folder, accounts=both(studio, agency), progress=False, full=True)
    gone = df[df["missing_since"].notna()]
    assert (gone["account"].tolist(), gone["history_item_id"].tolist()) == (["studio"], ["id7"])
    with duckdb.connect() as db:
        query = f"SELECT account, history_item_id FROM read_parquet('{folder}/*/*/*.parquet') ORDER BY date DESC, ALL"
        query = query.replace("ALL", "account, tie")
        assert db.sql(query).fetchall() == list(zip(df["account"], df["history_item_id"], strict=True))


def test_one_account_that_fails_does_not_stop_the_others(box_of: Callable[..., Sandbox], folder: Path) -> None:
    box, other = box_of(items=60, seed=1), box_of(items=70, seed=2)
    good = {"bad": client_of(box, api_key="sk_wrong"), "good": client_of(other)}
    with pytest.warns(UserWarning, match="1 of 2 accounts were not synced: bad: ") as caught:
        df = hk.sync(folder, accounts=good, progress=False)
    assert caught[0].filename == __file__
    assert len(df) == 70
    assert [*df.attrs["histkit"]["failed"]] == ["bad"]
    assert "sk_wrong" not in str(df.attrs)
    df = hk.sync(folder, accounts={"bad": client_of(box), "good": client_of(other)}, progress=False)
    assert (len(df), df.attrs["histkit"]["failed"]) == (130, {})
    with pytest.raises(hk.AuthenticationError):
        hk.sync(
            folder, accounts={name: client_of(box, api_key=f"sk_{name}") for name in ("bad", "worse")}, progress=False
        )
    assert len(hk.load(folder)) == 130


def history_of(folder: Path) -> pd.DataFrame:
    """Return all rows with their places within a second, as a folder's files have them."""
    files = sorted(folder.glob("year=*/month=*/history.parquet"))
    rows = pd.concat([pq.read_table(file).to_pandas().astype(object) for file in files], ignore_index=True)
    return rows.assign(missing_since=rows["missing_since"].notna())  # the second differs


def changes_of(frames: list[pd.DataFrame]) -> list[tuple[Any, ...]]:
    """Return the changes of several syncs, by account; within one, as they were reported."""
    rows = [row for frame in frames for row in frame.astype(object).itertuples(index=False, name=None)]
    return sorted(map(repr, rows))


@pytest.mark.parametrize("seed", range(examples(8)))
def test_accounts_merged_at_once_are_as_those_merged_one_by_one(
    seed: int, service: Callable[..., Service], tmp_path: Path
) -> None:
    """Rows that are new, changed, moved to another month, gone, without a date or an id; syncs that break off.

    The rows of a second keep their order: another order alone is stored with the next change of the month.
    """
    rng = random.Random(seed)
    count = rng.randrange(2, 5)
    of = {f"a{number}": service() for number in range(count)}
    together, apart = tmp_path / "together", tmp_path / "apart"

    def made(number: int, place: int) -> Row:
        fields: dict[str, Any] = {"text": rng.choice(["one", "two", "three"]), "voice_name": rng.choice("abc")}
        date = NOW - rng.choice([0, 1, 1, DAY * rng.randrange(120), 3600])
        if rng.random() < 0.03:
            fields["date_unix"] = None
        if rng.random() < 0.03:
            fields["history_item_id"] = None
        return {**row(number if rng.random() < 0.1 else 10_000 * place + number, date), **fields}

    for step in range(3):
        for place, each in enumerate(of.values()):
            rows = [one for one in each.rows if rng.random() < 0.97]
            for one in rng.sample(rows, len(rows) // 8):
                back = rng.choice([0, 1, 40 * DAY])
                one |= {"text": rng.choice(["new", "one"]), "date_unix": one["date_unix"] and one["date_unix"] - back}
            rows = [
                made(1000 * step + number, place) for number in range(rng.choice([0, 3, 60]) if step else 60)
            ] + rows
            each.rows = sorted(rows, key=lambda one: -(one["date_unix"] or 0))
        full = step > 0 and rng.random() < 0.7
        order = rng.sample([*of], count)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options: dict[str, Any] = {"full": full, "diff": True, "progress": False}
            one_by_one = [hk.sync(apart, accounts={name: of[name].client}, **options) for name in order]
            if rng.random() < 0.3:
                stop_before_the_merge(together, {name: of[name].client for name in order}, full=full)
            at_once = hk.sync(together, accounts={name: of[name].client for name in order}, **options)
        assert changes_of([at_once]) == changes_of(one_by_one)
        assert at_once["account"].astype(str).drop_duplicates().tolist() == [
            name for name in order if name in set(at_once["account"])
        ]
        pd.testing.assert_frame_equal(history_of(together), history_of(apart))


def stop_before_the_merge(folder: Path, clients: dict[str, hk.HistoryClient], *, full: bool) -> None:
    """Sync up to the merge, as a kill at that moment leaves the folder."""

    class Stopped(BaseException):
        pass

    def stop(*_: Any, **__: Any) -> None:
        raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SyncRun, "_merge", stop)
        with pytest.raises(Stopped):
            hk.sync(folder, accounts=clients, full=full, diff=True, progress=False)


def test_a_damaged_month_fails_the_accounts_that_need_it_alone(service: Callable[..., Service], folder: Path) -> None:
    of = {name: service() for name in "abc"}
    for place, each in enumerate(of.values()):
        each.rows = [row(10 * place + number, NOW - 70 * DAY * place) for number in range(3)]
    clients = {name: each.client for name, each in of.items()}
    hk.sync(folder, accounts=clients, progress=False)
    damaged = partition_path(NOW - 140 * DAY)
    path = folder / damaged
    path.write_bytes(path.read_bytes()[:-20] + b"\0" * 20)
    for place, each in enumerate(of.values()):
        each.rows.insert(0, row(10 * place + 9, NOW - 70 * DAY * place + 1))
    with pytest.warns(UserWarning, match="1 of 3 accounts were not synced: c: "), pytest.raises(hk.ArchiveError):
        hk.sync(folder, accounts=clients, diff=True, progress=False)
    path.unlink()
    assert set(hk.sync(folder, accounts=clients, full=True, progress=False)["account"]) == {*"abc"}


def test_accounts_with_and_without_names_are_not_mixed(service: Callable[..., Service], tmp_path: Path) -> None:
    of = service([row(1, NOW)])
    hk.sync(tmp_path / "a", client=of.client, progress=False)
    with pytest.raises(hk.InputError, match="one client"):
        hk.sync(tmp_path / "a", accounts={"studio": of.client}, progress=False)
    hk.sync(tmp_path / "b", accounts={"studio": of.client}, progress=False)
    with pytest.raises(hk.InputError, match=r"accounts= \(studio\)"):
        hk.sync(tmp_path / "b", client=of.client, progress=False)
    assert len(hk.load(tmp_path / "a")) == len(hk.load(tmp_path / "b")) == 1


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "ä/…\n", "x" * 5000, "a=b&c", ".", "__HIVE_DEFAULT_PARTITION__"]
)
def test_an_account_may_have_any_name(service: Callable[..., Service], tmp_path: Path, name: str) -> None:
    of = service([row(number, NOW - number) for number in range(3)])
    df = hk.sync(tmp_path / "home" / "history", accounts={name: of.client}, progress=False)
    assert df["account"].tolist() == [name] * 3
    assert len(hk.load(tmp_path / "home" / "history", account=name)) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"home"}
    assert {path.name for path in (tmp_path / "home").iterdir()} == {"history"}
    assert {path.name for path in (tmp_path / "home" / "history").iterdir()} == {
        *("_manifest.json", ".histkit"),
        f"year={df['date'][0].year}",
    }


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"accounts": {}}, "accounts="),
        ({"accounts": {"a": "sk_x"}}, "HistoryClient"),
        ({"accounts": {"": None}}, "HistoryClient"),
        ({"client": "sk_x"}, "HistoryClient"),
        ({"workers": 0}, "workers"),
        ({"workers": True}, "workers"),
    ],
)
def test_arguments_that_can_not_be_used_are_named(folder: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(hk.InputError, match=says):
        hk.sync(folder, progress=False, **options)
    assert not folder.exists()


def test_more_arguments_that_can_not_be_used(folder: Path, client: hk.HistoryClient) -> None:
    with pytest.raises(hk.InputError, match="not both"):
        hk.sync(folder, client=client, accounts={"a": client})
    with pytest.raises(hk.InputError, match="must be non-empty strings"):
        hk.sync(folder, accounts={" ": client})
    with pytest.raises(hk.InputError, match="folder of this machine"):
        hk.sync("memory://history", client=client)
    assert not folder.exists()


def test_one_key_or_one_account_under_two_names_is_refused(service: Callable[..., Service], folder: Path) -> None:
    of = service([row(number, NOW - number) for number in range(2500)])
    again = hk.HistoryClient("sk_test", base_url=of.client.transport.base_url)
    with pytest.raises(hk.InputError, match="one key under two names, 'a' and 'b'"):
        hk.sync(folder, accounts={"a": of.client, "b": again}, progress=False)
    hk.sync(folder, accounts={"a": of.client}, progress=False)
    other_key = hk.HistoryClient("sk_another_key_of_that_account", base_url=of.client.transport.base_url)
    of.rows.insert(0, row(9000, NOW + 1))
    with pytest.raises(hk.ArchiveError, match=r"account b is in .*history already, as account a"):
        hk.sync(folder, accounts={"b": other_key}, progress=False)
    with pytest.warns(UserWarning, match=r"1 of 2 accounts were not synced: b: .*as account a"):
        df = hk.sync(folder, accounts={"a": of.client, "b": other_key}, progress=False)
    assert set(df["account"]) == {"a"}
    assert len(df) == 2501


def test_a_mistyped_key_beside_a_sandbox_history_is_told_as_one(box_of: Callable[..., Sandbox], folder: Path) -> None:
    box = box_of(items=40)
    hk.sync(folder, client=client_of(box), progress=False)
    with pytest.raises(hk.AuthenticationError):
        hk.sync(folder, client=client_of(box, api_key="sk_mistyped"), progress=False)


def test_a_file_in_place_of_the_folder_is_said(tmp_path: Path, client: hk.HistoryClient) -> None:
    (tmp_path / "clients.toml").write_text("")
    for call in (hk.load, hk.scan, lambda path: hk.sync(path, client=client)):
        with pytest.raises(hk.ArchiveError, match=r"clients\.toml is a file") as caught:
            call(tmp_path / "clients.toml")
        assert "Errno" not in str(caught.value)
