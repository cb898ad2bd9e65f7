"""A folder that is not as histkit wrote it: named, never read as something else, healed by a full sync."""

from __future__ import annotations

import json
import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import histkit as hk
from histkit.archive.integrity import warn_of_strays
from histkit.archive.manifest import partition_span, read_manifest
from histkit.cli import main
from histkit.sandbox import Sandbox
from histkit.util.storage import ReadStore
from tests.archive.flips import count_flips
from tests.conftest import client_of
from tests.effort import some
from tests.local_history import NOTHING, OCTOBER, forget_checksums, found, read, sync
from tests.raw_service import Service, row, same
from tests.warm_sandbox import SandboxForks

AUGUST, SEPTEMBER = "year=2026/month=8/history.parquet", "year=2026/month=9/history.parquet"


@pytest.fixture(scope="module")
def small_box(forks: SandboxForks) -> Iterator[Sandbox]:
    with forks.serve(items=700, seed=7) as box:
        yield box


@pytest.fixture(scope="module")
def small(small_box: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "history"
    sync(folder, small_box, diff=True)
    return folder


@pytest.fixture(scope="module")
def whole(small: Path) -> pd.DataFrame:
    return hk.load(small)


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    shutil.copytree(small, tmp_path / "history")
    return tmp_path / "history"


def plainly(path: Path) -> pa.Table:
    return pq.read_table(path, partitioning=None)


def copied_over(folder: Path) -> None:
    shutil.copy(folder / AUGUST, folder / SEPTEMBER)


def written_otherwise(folder: Path) -> None:
    pq.write_table(plainly(folder / SEPTEMBER), folder / SEPTEMBER, compression="snappy")


def rows_lost(folder: Path) -> None:
    pq.write_table(plainly(folder / SEPTEMBER)[5:], folder / SEPTEMBER)


def rows_twice(folder: Path) -> None:
    table = plainly(folder / SEPTEMBER)
    pq.write_table(pa.concat_tables([table, table]), folder / SEPTEMBER)


def rows_of_another_month(folder: Path) -> None:
    tables = [plainly(folder / file) for file in (SEPTEMBER, AUGUST)]
    pq.write_table(pa.concat_tables([tables[0], tables[1][:7]]), folder / SEPTEMBER)


def rows_moved_to_another_month(folder: Path) -> None:
    rows_of_another_month(folder)
    pq.write_table(plainly(folder / AUGUST)[7:], folder / AUGUST)


def cut(folder: Path) -> None:
    data = (folder / SEPTEMBER).read_bytes()
    (folder / SEPTEMBER).write_bytes(data[: len(data) // 2])


def empty(folder: Path) -> None:
    (folder / SEPTEMBER).write_bytes(b"")


def of_another_schema(folder: Path) -> None:
    pq.write_table(pa.table({"history_item_id": [1, 2], "x": ["a", "b"]}), folder / SEPTEMBER)


def of_text(folder: Path) -> None:
    table = plainly(folder / SEPTEMBER)
    column = table.column("date_unix").cast(pa.string())
    pq.write_table(table.set_column(table.column_names.index("date_unix"), "date_unix", column), folder / SEPTEMBER)


def with_dates(folder: Path, dates: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> None:
    table = plainly(folder / SEPTEMBER)
    place = table.column_names.index("date_unix")
    pq.write_table(table.set_column(place, "date_unix", dates(table.column("date_unix"))), folder / SEPTEMBER)


def of_timestamps(folder: Path) -> None:
    with_dates(folder, lambda dates: dates.cast(pa.timestamp("s", "UTC")))  # Parquet has milliseconds at least


def of_milliseconds(folder: Path) -> None:
    with_dates(folder, lambda dates: pc.multiply(dates, 1000))


def without_texts(folder: Path) -> None:
    pq.write_table(plainly(folder / SEPTEMBER).drop_columns(["text"]), folder / SEPTEMBER)


def without_some_ids(folder: Path) -> None:
    table = plainly(folder / SEPTEMBER)
    place = table.column_names.index("history_item_id")
    ids = [None] * 5 + table.column("history_item_id").to_pylist()[5:]
    pq.write_table(table.set_column(place, "history_item_id", pa.array(ids, pa.large_string())), folder / SEPTEMBER)


def a_folder(folder: Path) -> None:
    (folder / SEPTEMBER).unlink()
    (folder / SEPTEMBER).mkdir()


def missing(folder: Path) -> None:
    (folder / SEPTEMBER).unlink()


WRONG = [
    *(copied_over, written_otherwise, rows_lost, rows_twice, rows_of_another_month, rows_moved_to_another_month, cut),
    *(empty, of_another_schema, of_text, a_folder, missing),
    *(of_timestamps, of_milliseconds, without_texts, without_some_ids),
]


def month_01(folder: Path) -> None:
    shutil.copytree((folder / SEPTEMBER).parent, folder / "year=2026/month=09", dirs_exist_ok=True)


def year_abc(folder: Path) -> None:
    shutil.copytree((folder / SEPTEMBER).parent, folder / "year=abc/month=1", dirs_exist_ok=True)


def beside(folder: Path) -> None:
    shutil.copy(folder / SEPTEMBER, (folder / SEPTEMBER).with_name("history (1).parquet"))


def deeper(folder: Path) -> None:
    shutil.copytree((folder / SEPTEMBER).parent, folder / "year=2026/month=9/month=9", dirs_exist_ok=True)


def at_the_top(folder: Path) -> None:
    shutil.copy(folder / SEPTEMBER, folder / "backup.parquet")


def a_month_more(folder: Path) -> None:
    shutil.copytree((folder / SEPTEMBER).parent, folder / "year=2027/month=3", dirs_exist_ok=True)


def link_to_itself(folder: Path) -> None:
    (folder / "year=2026/month=13").symlink_to(folder, target_is_directory=True)
    (folder / "notes").symlink_to("notes")  # no tool reads it


def of_rows_without_a_date(folder: Path) -> None:
    shutil.copytree((folder / SEPTEMBER).parent, folder / "year=0/month=0", dirs_exist_ok=True)


def of_older_rows_without_a_date(folder: Path) -> None:
    target = folder / "year=__HIVE_DEFAULT_PARTITION__/month=__HIVE_DEFAULT_PARTITION__"
    shutil.copytree((folder / SEPTEMBER).parent, target, dirs_exist_ok=True)


MONTHS_MORE = [a_month_more, of_rows_without_a_date, of_older_rows_without_a_date]
STRAYS = [month_01, year_abc, beside, deeper, at_the_top, link_to_itself, *MONTHS_MORE]


def checked(folder: Path, *options: str) -> tuple[int, dict[str, tuple[str, str]]]:
    done = CliRunner().invoke(main, ["check", str(folder), "--json", *options])
    rows = json.loads(done.stdout)["rows"] if done.exit_code in (0, 1) and done.stdout else []
    return done.exit_code, {row["file"]: (row["state"], row["cure"]) for row in rows if row["cure"]}


# An older version's manifest has nothing to compare these with.
NOT_COMPARED = [written_otherwise, rows_lost, of_text, of_timestamps, without_texts, without_some_ids]
QUICK = [copied_over, rows_twice, cut, of_milliseconds, without_some_ids]


@pytest.mark.parametrize(
    ("harm", "legacy"),
    [
        *(pytest.param(harm, False, marks=() if harm in QUICK else pytest.mark.faults) for harm in WRONG),
        *(pytest.param(harm, True, marks=pytest.mark.faults) for harm in WRONG if harm not in NOT_COMPARED),
    ],
)
def test_a_month_that_is_not_what_was_written_is_named_and_healed_by_a_full_sync(
    small_box: Sandbox, copy: Path, whole: pd.DataFrame, harm: Callable[[Path], None], legacy: bool
) -> None:
    if legacy:
        forget_checksums(copy)
    harm(copy)
    with pytest.raises(hk.ArchiveError, match=r"month=[89]/history\.parquet .*sync\(full=True\)") as caught:
        hk.load(copy)
    assert "\n" not in str(caught.value)
    same(hk.load(copy, before="2026-08-01"), hk.filter_items(whole, before="2026-08-01").reset_index(drop=True))
    with pytest.raises(hk.ArchiveError, match=r"month=[89]/history\.parquet .*sync\(full=True\)"):
        sync(copy, small_box)
    code, wrong = checked(copy)
    assert code == 1
    assert SEPTEMBER in wrong
    assert "Restore" not in wrong[SEPTEMBER][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what was set aside
        df = sync(copy, small_box, full=True)
    same(df, whole)
    assert found(df) == {**found(df), "new": 0, "missing": 0}  # what was lost is restored
    assert checked(copy) == (0, {})
    assert found(sync(copy, small_box)) == NOTHING


@pytest.mark.parametrize(
    "harm",
    some(WRONG, written_otherwise, rows_lost, of_timestamps, of_milliseconds, without_texts, without_some_ids),
    ids=lambda harm: harm.__name__,
)
def test_a_repair_makes_right_what_needs_no_service_and_says_so_of_the_rest(
    copy: Path, whole: pd.DataFrame, harm: Callable[[Path], None]
) -> None:
    harm(copy)
    code, wrong = checked(copy, "--repair")
    if harm in (written_otherwise, of_text, of_timestamps, rows_twice, rows_of_another_month):
        assert (code, wrong) == (0, {})
        same(hk.load(copy), whole)
        assert len(list((copy / ".histkit-aside").rglob("*.aside"))) == 1
    else:
        assert code == 1
        assert all("histkit sync --full" in cure for _, cure in wrong.values())
        with pytest.raises(hk.ArchiveError):
            hk.load(copy)


def test_a_month_that_a_sync_adds_meanwhile_is_no_stray_file(service: Callable[..., Service], folder: Path) -> None:
    of = service([row(1, OCTOBER)])
    sync(folder, of)
    before = read_manifest(ReadStore(folder))
    assert before is not None
    of.rows.insert(0, row(2, OCTOBER + 40 * 86_400))
    sync(folder, of)
    warn_of_strays(folder, before)  # a warning would be an error
    (folder / SEPTEMBER).parent.mkdir(parents=True)
    (folder / SEPTEMBER).write_bytes(b"")
    with pytest.warns(UserWarning, match="1 file that the history does not have"):
        warn_of_strays(folder, before)


@pytest.mark.parametrize(
    "harm",
    some(STRAYS, month_01, a_month_more, link_to_itself, of_older_rows_without_a_date),
    ids=lambda harm: harm.__name__,
)
def test_a_stray_file_is_never_taken_in(
    small_box: Sandbox, copy: Path, whole: pd.DataFrame, harm: Callable[[Path], None]
) -> None:
    harm(copy)
    with pytest.warns(UserWarning, match="1 file that the history does not have") as caught:
        same(hk.load(copy), whole)
    assert len(caught) == 1
    if harm in MONTHS_MORE:  # a sync could have to write that very file
        with pytest.raises(hk.ArchiveError, match="not a file of this history"):
            sync(copy, small_box)
    else:
        with pytest.warns(UserWarning, match="1 file that the history does not have"):
            same(sync(copy, small_box), whole)
    assert checked(copy)[0] == 1
    with pytest.warns(UserWarning, match="moved to"):
        same(sync(copy, small_box, full=True), whole)
    assert checked(copy) == (0, {})
    assert len(pd.read_parquet(copy)) == len(whole)
    (copy / "notes").unlink(missing_ok=True)
    harm(copy)
    assert checked(copy, "--repair") == (0, {})
    same(hk.load(copy), whole)


def test_rows_that_only_a_damaged_folder_has_are_kept_by_a_full_sync(
    box_of: Callable[..., Sandbox], folder: Path
) -> None:
    box = box_of(items=900)
    df = sync(folder, box)
    here = df[(df["date"] >= "2026-08-01") & (df["date"] < "2026-10-01")]
    box.remove(here["history_item_id"].iloc[::5].tolist())
    rows_moved_to_another_month(folder)
    with pytest.warns(UserWarning, match="was not as histkit wrote it"):
        again = sync(folder, box, full=True)
    assert sorted(again["history_item_id"]) == sorted(df["history_item_id"])
    assert again["missing_since"].notna().sum() == len(here.iloc[::5])


def test_rows_lost_of_an_account_that_was_not_synced_are_said_until_it_is(
    box_of: Callable[..., Sandbox], folder: Path
) -> None:
    clients = {"a": client_of(box_of(items=300)), "b": client_of(box_of(items=300, seed=5))}
    df = hk.sync(folder, accounts=clients, progress=False)
    empty(folder)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        hk.sync(folder, accounts={"a": clients["a"]}, full=True, progress=False)
    assert any("rows of b were lost" in str(warning.message) for warning in caught)
    with pytest.warns(UserWarning, match="rows of b were lost"):
        assert hk.load(folder).attrs["histkit"]["complete"] is False
    again = hk.sync(folder, accounts=clients, progress=False)
    same(again, df)
    assert (found(again)["new"], again.attrs["histkit"]["restored"]) == (0, 35)  # b's in that month
    assert hk.sync(folder, accounts=clients, progress=False, full=True).attrs["histkit"]["restored"] == 0


def test_new_rows_beside_restored_ones_are_told_apart(box_of: Callable[..., Sandbox], folder: Path) -> None:
    box = box_of(items=300)
    df = sync(folder, box)
    newest = max(
        folder.glob("year=*/month=*/history.parquet"), key=lambda path: pd.read_parquet(path)["date_unix"].max()
    )
    lost = len(pd.read_parquet(newest))
    newest.write_bytes(newest.read_bytes()[:-100])
    box.add(7)
    with pytest.warns(UserWarning, match="was not as histkit wrote it"):
        changes = hk.sync(folder, client=client_of(box), progress=False, full=True, diff=True)
    assert changes["change"].value_counts().to_dict() == {"restored": lost, "new": 7}
    assert changes.attrs["histkit"]["diff"] == {"new": 7, "changed": 0, "missing": 0}
    assert changes.attrs["histkit"]["restored"] == lost
    assert set(changes.loc[changes["change"] == "restored", "history_item_id"]) <= set(df["history_item_id"])
    assert len(hk.load(folder)) == 307


def test_an_older_versions_history_is_upgraded_by_the_next_sync_without_a_download(
    small_box: Sandbox, copy: Path, whole: pd.DataFrame
) -> None:
    for path in copy.rglob("*.parquet"):
        pq.write_table(plainly(path), path)  # without checksums of pages
    forget_checksums(copy)
    same(hk.load(copy), whole)
    said = "months of an older version have no checksum yet"
    assert said in CliRunner().invoke(main, ["check", str(copy)]).stderr
    small_box.reset()
    assert found(sync(copy, small_box)) == NOTHING
    assert len(small_box.requests()) <= 2
    months = json.loads((copy / "_manifest.json").read_text())["months"]
    assert all(month["crc32"] is not None for month in months.values())
    assert all(b"page_checksums" in pq.read_schema(path).metadata[b"histkit"] for path in copy.rglob("*.parquet"))
    same(hk.load(copy), whole)
    assert checked(copy) == (0, {})
    assert said not in CliRunner().invoke(main, ["check", str(copy)]).stderr


BAD_JSON = [
    *(b"", b"\xff\xfe", b"[1]", b"null", b"{}", b'{"schema_version": true}', b'{"schema_version": 1e999}'),
    *(b'{"schema_version": 3, "months": []}', b'{"schema_version": 3, "accounts": {"": {"synced_at": "now"}}}'),
    b'{"schema_version": 3, "accounts": {"": {"watermark": 9999999999999999}}}',
    b'{"schema_version": 3, "months": {"../x/year=2026/month=1/history.parquet": {"rows": 1, "bytes": 1}}}',
    b'{"schema_version": 3, "months": {"year=2026/month=1/history.parquet": {"rows": -1, "bytes": 1}}}',
    b'{"a":' * 100_000,
]


BAD_MANIFESTS = [*BAD_JSON, None]  # None: a folder


@pytest.mark.parametrize("data", some(BAD_MANIFESTS, b"null", BAD_JSON[-1], None), ids=range(len(BAD_MANIFESTS)))
def test_a_manifest_that_is_none_is_one_line_and_is_made_again(
    small_box: Sandbox, copy: Path, whole: pd.DataFrame, data: bytes | None
) -> None:
    if data is None:
        (copy / "_manifest.json").unlink()
        (copy / "_manifest.json").mkdir()
    else:
        (copy / "_manifest.json").write_bytes(data)
    for call in (lambda: hk.load(copy), lambda: hk.scan(copy), lambda: sync(copy, small_box)):
        with pytest.raises(hk.ArchiveError, match=r"_manifest\.json is damaged .*sync\(full=True\)") as caught:
            call()
        assert "\n" not in str(caught.value)
    assert checked(copy)[0] == 1
    assert checked(copy, "--repair") == (0, {})
    same(hk.load(copy), whole)


@pytest.mark.parametrize(
    ("harm", "there"),
    some(
        [(cut, True), (cut, False), (without_some_ids, True), (without_some_ids, False)],
        (cut, True),
        (without_some_ids, False),
    ),
    ids=["cut, there", "cut, missing", "ids, there", "ids, missing"],
)
def test_a_repair_makes_no_manifest_without_a_month_that_it_cant_read(
    small_box: Sandbox, copy: Path, whole: pd.DataFrame, harm: Callable[[Path], None], there: bool
) -> None:
    """A manifest without the month would be one of fewer rows, and a load could not tell."""
    harm(copy)
    (copy / "_manifest.json").unlink()
    if there:
        (copy / "_manifest.json").write_bytes(b"{}")
    for _ in range(2):
        code, wrong = checked(copy, "--repair")
        assert code == 1
        assert SEPTEMBER in wrong
        assert wrong["_manifest.json"][0] == ("damaged (it has no schema_version)" if there else "missing")
        with pytest.raises(hk.ArchiveError, match="is damaged" if there else "no local history|unfinished first sync"):
            hk.load(copy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what was set aside
        same(sync(copy, small_box, full=True), whole)
    assert checked(copy) == (0, {})


@pytest.mark.parametrize("unfinished", [True, False])
def test_a_missing_manifest_is_named_and_made_again_unless_a_sync_is_unfinished(
    small_box: Sandbox, copy: Path, whole: pd.DataFrame, unfinished: bool
) -> None:
    """Of a first sync that was killed, the months on disk can be some of them."""
    (copy / "_manifest.json").unlink()
    if unfinished:
        (copy / SEPTEMBER).unlink()
        (copy / ".histkit" / "spool").mkdir()
        (copy / ".histkit" / "spool" / "state.json").write_bytes(b"{}")
    cure = "histkit sync --full" if unfinished else "histkit sync --full, or histkit check --repair"
    assert checked(copy) == (1, {"_manifest.json": ("missing", cure)})
    if unfinished:
        assert checked(copy, "--repair") == (1, {"_manifest.json": ("missing", cure)})
        with pytest.raises(hk.ArchiveError, match="an unfinished first sync"):
            hk.load(copy)
        with pytest.warns(UserWarning, match="of an unfinished sync is damaged"):
            same(sync(copy, small_box), whole)
    else:
        assert checked(copy, "--repair") == (0, {})
        same(hk.load(copy), whole)
    assert checked(copy) == (0, {})


@pytest.mark.parametrize("data", some(BAD_JSON, b"null", BAD_JSON[-1]), ids=range(len(BAD_JSON)))
def test_an_unfinished_sync_that_is_damaged_is_said_and_fetched_again(
    small_box: Sandbox, copy: Path, whole: pd.DataFrame, data: bytes
) -> None:
    spool = copy / ".histkit" / "spool"
    spool.mkdir()
    (spool / "state.json").write_bytes(data)
    (spool / "00000000.arrow").write_bytes(b"ARROW1 and nothing")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        same(sync(copy, small_box), whole)
    assert all("of an unfinished sync is damaged" in str(warning.message) for warning in caught)
    assert not spool.exists()


def test_flipped_bits_are_named_or_have_no_effect(tmp_path: Path) -> None:
    counts = count_flips(16, seed=1, folder=tmp_path)
    assert sum(counts.values()) == 16
    assert counts["other values"] == counts["raw errors"] == counts["aborts"] == 0, counts


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_a_thousand_flipped_bits_are_named_or_have_no_effect(tmp_path: Path) -> None:
    counts = count_flips(1000, seed=2, folder=tmp_path)
    assert sum(counts.values()) == 1000
    assert counts["other values"] == counts["raw errors"] == counts["aborts"] == 0, counts


def test_check_prints_a_table_that_says_what_is_right(copy: Path) -> None:
    done = CliRunner().invoke(main, ["check", str(copy)])
    assert done.exit_code == 0
    assert "2026-09" in done.output
    copied_over(copy)
    done = CliRunner().invoke(main, ["check", str(copy)])
    assert done.exit_code == 1
    assert "a copy of 2026-08" in " ".join(done.output.split())
    done = CliRunner().invoke(main, ["check", str(copy / "nothing")])
    assert done.exit_code == 1
    assert "holds no local history" in done.output


def test_a_remote_month_of_another_size_or_month_is_named(copy: Path) -> None:
    rows_twice(copy)
    with pytest.raises(hk.ArchiveError, match=r"bytes instead of"):
        hk.load(f"file://{copy}")
    forget_checksums(copy)
    shutil.copy(copy / AUGUST, copy / SEPTEMBER)
    arguments: Any = {"columns": ["credits"]}
    with pytest.raises(hk.ArchiveError, match=r"bytes instead of|rows of another month"):
        hk.load(f"file://{copy}", **arguments)


def page_byte(path: Path) -> int:
    """Return the place of a byte of a page's data, which the page's checksum covers, unlike the pages' headers."""
    metadata = pq.read_metadata(path).row_group(0)
    (texts,) = (chunk for chunk in map(metadata.column, range(metadata.num_columns)) if chunk.path_in_schema == "text")
    return int(texts.data_page_offset + texts.total_compressed_size - 1)


def test_a_flipped_bit_of_a_remote_months_footer_or_page_is_named(copy: Path, whole: pd.DataFrame) -> None:
    path = copy / SEPTEMBER
    data = path.read_bytes()
    footer = int.from_bytes(data[-8:-4], "little")
    for place in (len(data) - 8 - footer // 2, len(data) - 8 - footer // 3, page_byte(path)):
        changed = bytearray(data)
        changed[place] ^= 16
        path.write_bytes(changed)
        with pytest.raises(hk.ArchiveError, match=r"month=9/history\.parquet is damaged"):
            hk.load(f"file://{copy}")
    path.write_bytes(data)
    same(hk.load(f"file://{copy}"), whole)


def flip(path: Path, place: int, bit: int = 3) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    path.write_bytes(data)


def test_a_sync_names_a_damaged_month_that_it_does_not_need_and_stores_the_new_rows(
    box_of: Callable[..., Sandbox], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = box_of(items=900)
    monkeypatch.setenv("ELEVENLABS_API_KEY", box.api_key)
    monkeypatch.setenv("ELEVENLABS_BASE_URL", box.url)
    sync(folder, box, diff=True)
    flip(folder / AUGUST, page_byte(folder / AUGUST))
    for diff in (True, False):
        with pytest.raises(hk.ArchiveError, match=r"month=8/history\.parquet is damaged.*sync\(full=True\)") as caught:
            sync(folder, box, diff=diff)
        assert "\n" not in str(caught.value)
    new = {*box.add(3)}
    changes = folder.with_name("changes.csv")
    done = CliRunner().invoke(main, ["sync", str(folder), "--json", "--changes", str(changes)])
    assert done.exit_code == 1
    summary, error = done.stderr.splitlines()
    assert summary.endswith("; 1 month damaged")
    assert f"{folder / AUGUST} is damaged" in error
    assert "histkit sync --full" in error
    assert json.loads(done.stdout)["diff"] == {"new": 3, "changed": 0, "missing": 0}
    assert {*pd.read_csv(changes)["history_item_id"]} == new
    assert new < {*hk.load(folder, after="2026-09-01")["history_item_id"]}
    done = CliRunner().invoke(main, ["sync", str(folder), "--full"])
    assert done.exit_code == 0
    assert "damaged (page checksum differs); moved to" in done.stderr
    assert f"{folder / AUGUST}: damaged" in done.stderr
    assert checked(folder) == (0, {})
    assert CliRunner().invoke(main, ["sync", str(folder)]).exit_code == 0
    same(hk.load(folder), read(box))


def test_a_damaged_page_is_a_short_state_and_stays_until_a_full_sync(copy: Path) -> None:
    flip(copy / SEPTEMBER, page_byte(copy / SEPTEMBER))
    damaged = (copy / SEPTEMBER).read_bytes()
    for options in ((), ("--repair",)):
        assert checked(copy, *options) == (1, {SEPTEMBER: ("damaged (page checksum differs)", "histkit sync --full")})
        assert (copy / SEPTEMBER).read_bytes() == damaged
    assert not (copy / ".histkit-aside").exists()


def test_damage_outside_of_the_pages_data_is_a_short_state(copy: Path) -> None:
    path = copy / SEPTEMBER
    data = path.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for place, part in ((4, "page header"), (footer, "footer")):
        flip(path, place)
        assert checked(copy) == (1, {SEPTEMBER: (f"damaged ({part} can't be read)", "histkit sync --full")})
        path.write_bytes(data)
    pq.write_table(plainly(path).replace_schema_metadata({"histkit": "("}), path)
    assert checked(copy) == (1, {SEPTEMBER: ("damaged (footer can't be read)", "histkit sync --full")})


def rewritten_with_another_value(folder: Path) -> None:
    with_dates(folder, lambda dates: pc.subtract(dates, pc.cast(pc.equal(dates, pc.max(dates)), pa.int64())))


def test_a_month_whose_values_may_differ_is_never_taken_in_by_a_repair(
    small_box: Sandbox, copy: Path, whole: pd.DataFrame
) -> None:
    rewritten_with_another_value(copy)
    for options in ((), ("--repair",)):
        code, wrong = checked(copy, *options)
        state = "written by another program, its values may differ"
        assert (code, wrong) == (1, {SEPTEMBER: (state, "histkit sync --full")})
    with pytest.raises(hk.ArchiveError, match=r"month=9/history\.parquet"):
        hk.load(copy)
    with pytest.warns(UserWarning, match="a copy is"):
        same(sync(copy, small_box, full=True), whole)


@pytest.mark.parametrize("without", ["manifest", "checksums"])
def test_rows_that_lost_their_ids_are_not_taken_in_where_no_checksum_tells(
    small_box: Sandbox, copy: Path, whole: pd.DataFrame, without: str
) -> None:
    if without == "manifest":
        (copy / "_manifest.json").write_bytes(b"")
    else:
        forget_checksums(copy)
    without_some_ids(copy)
    for options in ((), ("--repair",)):
        code, wrong = checked(copy, *options)
        assert code == 1
        assert wrong[SEPTEMBER] == ("holds 5 rows without an id", "histkit sync --full")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what was set aside
        same(sync(copy, small_box, full=True), whole)
    assert checked(copy) == (0, {})


def test_rows_that_never_had_an_id_are_taken_in_again(tmp_path: Path) -> None:
    rows = [row(number, OCTOBER + number) for number in range(6)]
    rows[2]["history_item_id"] = rows[3]["history_item_id"] = None
    folder = tmp_path / "history"
    with Service(rows) as service, pytest.warns(UserWarning, match="history_item_id"):
        df = sync(folder, service)
    assert df["history_item_id"].isna().sum() == 2
    (folder / "_manifest.json").write_bytes(b"")
    assert checked(folder, "--repair") == (0, {})
    same(hk.load(folder), df)
    path = next(folder.rglob("*.parquet"))
    pq.write_table(plainly(path), path, compression="snappy")
    assert checked(folder, "--repair") == (0, {})
    same(hk.load(folder), df)


@pytest.mark.parametrize("flips", [20, pytest.param(200, marks=pytest.mark.faults)])
def test_a_repair_takes_in_a_flipped_month_only_if_no_value_differs(small: Path, tmp_path: Path, flips: int) -> None:
    """Each month has one flipped bit; half of the bits are in the footers, which the pages' checksums don't cover."""
    dice = random.Random(flips)
    originals = {path.relative_to(small): path.read_bytes() for path in sorted(small.rglob("*.parquet"))}
    done = 0
    while done < flips:
        folder = tmp_path / f"history {done}"
        shutil.copytree(small, folder)
        for file, data in originals.items():
            footer = int.from_bytes(data[-8:-4], "little") + 8
            flip(folder / file, dice.randrange(dice.choice((0, len(data) - footer)), len(data)), dice.randrange(8))
        code, wrong = checked(folder, "--repair")
        for file, data in originals.items():
            repaired = (folder / file).read_bytes() == data
            assert repaired != (file.as_posix() in wrong)
        assert code == bool(wrong)
        for name in wrong:
            span = partition_span(name)
            assert span is not None
            with pytest.raises(hk.ArchiveError, match=name):
                hk.load(folder, after=span[0], before=span[1])
        done += len(originals)
