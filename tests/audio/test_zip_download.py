"""Zips: one entry for each clip, the same rows give the same bytes, a manifest tells what is what."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tracemalloc
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from tinytag import TinyTag

import histkit as hk
from histkit import download_audio, download_zip
from histkit.sandbox import Sandbox
from tests.conftest import client_of


def test_each_row_is_one_entry_in_order_and_named_as_a_file_would_be(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(60, 6, clip_bytes=5000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        zipped = download_zip(df, tmp_path / "all.zip", client=client)
        pulled = download_audio(df, tmp_path / "all", client=client)
    facts = zipped.attrs["histkit"]
    assert facts["zip"] == str(tmp_path / "all.zip")
    assert 0 < facts["requests"] < 10
    pd.testing.assert_frame_equal(zipped, pulled, check_like=False)
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [*zipped["path"], "manifest.csv"]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        for path, sha256, date in zip(zipped["path"], zipped["sha256"], df["date"], strict=True):
            assert hashlib.sha256(archive.read(path)).hexdigest() == sha256
            wanted = date.timetuple()[:5]
            assert archive.getinfo(path).date_time[:5] == wanted
        inside = pd.read_csv(io.BytesIO(archive.read("manifest.csv")))
    assert inside["history_item_id"].tolist() == df["history_item_id"].tolist()
    assert inside["path"].tolist() == zipped["path"].tolist()


def test_the_same_rows_give_the_same_bytes(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(30, 6, clip_bytes=5000, jitter=0.05)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        for path in ("a.zip", "b.zip"):
            download_zip(df, tmp_path / path, client=client)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_clip_that_is_gone_is_in_the_manifest_and_not_in_the_zip(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(10, 6, clip_bytes=5000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        box.remove(df["history_item_id"].iloc[[2]].tolist())
        zipped = download_zip(df, tmp_path / "all.zip", client=client)
        assert zipped["status"].tolist() == ["done"] * 2 + ["gone"] + ["done"] * 7
        with zipfile.ZipFile(tmp_path / "all.zip") as archive:
            assert len(archive.namelist()) == 10
            inside = pd.read_csv(io.BytesIO(archive.read("manifest.csv")))
        assert inside["status"].tolist() == zipped["status"].tolist()
        box.remove(df["history_item_id"].tolist())
        before = (tmp_path / "all.zip").read_bytes()
        with pytest.raises(hk.DownloadError, match="No clip could be downloaded"):
            download_zip(df, tmp_path / "all.zip", client=client)
    assert (tmp_path / "all.zip").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["all.zip"]


def test_rows_of_one_name_are_told_apart_and_one_clip_is_one_entry(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(10, 6, clip_bytes=5000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        zipped = download_zip(df.iloc[[0, 1, 0]], tmp_path / "x.zip", name="take", client=client)
        with zipfile.ZipFile(tmp_path / "x.zip") as archive:
            assert len(set(archive.namelist())) == len(archive.namelist()) == 3
        assert zipped["path"].iloc[0] == zipped["path"].iloc[2] != zipped["path"].iloc[1]


def test_wav_reaches_every_entry(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(60, 6)
    with client_of(box) as client:
        ids = hk.read_history(client=client)["history_item_id"].head(12)
        zipped = download_zip(ids, tmp_path / "x.zip", format="wav", client=client)
        with zipfile.ZipFile(tmp_path / "x.zip") as archive:
            for path, seconds in zip(zipped["path"], zipped["seconds"], strict=True):
                sound = TinyTag.get(filename=path, file_obj=io.BytesIO(archive.read(path)))
                assert sound.duration == pytest.approx(seconds, abs=0.01)


def test_no_rows_a_bad_name_and_a_bad_key_make_no_zip(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(10, 6)
    ids = pd.Series([row["history_item_id"] for row in box.history()])
    with client_of(box) as client:
        with pytest.raises(hk.InputError, match="no rows"):
            download_zip(ids.head(0), tmp_path / "x.zip", client=client)
        with pytest.raises(hk.InputError, match="colour"):
            download_zip(ids, tmp_path / "x.zip", name="{colour}", client=client)
        with pytest.raises(hk.InputError, match="format"):
            download_zip(ids, tmp_path / "x.zip", format="flac", client=client)
        with pytest.raises(hk.InputError, match="is a folder"):
            download_zip(ids, tmp_path, client=client)
    assert box.requests() == []
    with client_of(box, api_key="sk_wrong") as client, pytest.raises(hk.AuthenticationError):
        download_zip(ids, tmp_path / "x.zip", client=client)
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_zip(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(24, 6, clip_bytes=2_000_000)
    with client_of(box) as client:
        ids = hk.read_history(client=client)["history_item_id"]
        tracemalloc.start()
        download_zip(ids, tmp_path / "x.zip", client=client)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (tmp_path / "x.zip").stat().st_size > 40_000_000
    assert peak < 12_000_000


def test_a_pipe_stays_a_pipe_and_a_link_is_followed(shared_box: Sandbox, tmp_path: Path) -> None:
    with client_of(shared_box) as client:
        df = hk.read_history(client=client, progress=False, limit=2)
        os.mkfifo(tmp_path / "pipe.zip")
        with ThreadPoolExecutor(1) as threads:
            read = threads.submit((tmp_path / "pipe.zip").read_bytes)
            download_zip(df, tmp_path / "pipe.zip", client=client, progress=False)
        assert stat.S_ISFIFO((tmp_path / "pipe.zip").stat().st_mode)
        (tmp_path / "real").mkdir()
        (tmp_path / "link.zip").symlink_to(tmp_path / "real" / "clips.zip")
        download_zip(df, tmp_path / "link.zip", client=client, progress=False)
    assert (tmp_path / "link.zip").is_symlink()
    assert (tmp_path / "real" / "clips.zip").read_bytes() == read.result()
    assert zipfile.is_zipfile(tmp_path / "real" / "clips.zip")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["clips.zip", "link.zip", "pipe.zip", "real"]
