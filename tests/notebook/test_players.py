"""Players: a few rows to listen to; hostile names stay text, and a notebook stays small."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest
from tinytag import TinyTag

import histkit as hk
from histkit import download_audio, play
from histkit.sandbox import Sandbox
from tests.conftest import client_of

SOUND = re.compile(r'<audio [^>]*src="data:(audio/[a-z0-9]+);base64,([A-Za-z0-9+/=]+)"')


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}


def test_each_row_has_a_player_that_a_browser_plays(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(200, 2)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        rows = df.groupby(["output_format", "content_type"], observed=True, dropna=False).head(1).head(10)
        page = play(rows, client=client)._repr_html_()
    sounds = SOUND.findall(page)
    assert len(sounds) == len(rows)
    for kind, body in sounds:
        assert kind in ("audio/mpeg", "audio/wav", "audio/ogg")  # samples are wrapped
        assert TinyTag.get(filename="x", file_obj=io.BytesIO(base64.b64decode(body))).duration
    for name in rows["voice_name"].dropna():
        assert str(name).split(" ")[0] in page


def test_at_most_ten_are_shown_and_it_says_so(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(30, 2, clip_bytes=3000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        shown = play(df, client=client)
        assert shown._repr_html_().count("<article>") == 10
        assert "The first 10 of 30 rows" in shown._repr_html_()
        assert repr(shown) == "<10 of 30 rows to listen to; shown in a notebook>"
        assert play(df.head(2), client=client)._repr_html_().count('class="note"') == 0
        assert "No rows" in play(df.head(0), client=client)._repr_html_()
        for limit in (0, 11, "3"):
            with pytest.raises(hk.InputError, match="limit"):
                play(df, client=client, limit=limit)  # type: ignore[arg-type]


def test_hostile_voices_texts_and_ids_stay_text(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(5, 2, clip_bytes=3000)
    with client_of(box) as client:
        df = hk.read_history(client=client).astype({"voice_name": object, "text": object})
        evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>\u202e'
        df["voice_name"], df["text"] = evil, evil
        df.loc[1, "history_item_id"] = "</div><script>"
        page = play(df, client=client)._repr_html_()
    seen = Tags(page)
    assert set(seen.tags) == {"style", "div", "article", "header", "b", "small", "p", "audio"}
    assert seen.names <= {"class", "dir", "controls", "preload", "src"}
    assert "\u202e" not in page
    assert page.count("&lt;script&gt;") >= 10


def test_local_files_are_played_without_a_request(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(200, 2, clip_bytes=5000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        rows = df[df["output_format"].notna()].groupby("output_format", observed=True).head(1).head(10)
        download_audio(rows, tmp_path, client=client)
        box.reset()
        page = play(rows, folder=tmp_path, client=client)._repr_html_()
        assert box.requests() == []
        assert len(SOUND.findall(page)) == len(rows)
        path = download_audio(rows, tmp_path, client=client)["path"].iloc[0]
        (tmp_path / path).unlink()
        play(rows, folder=tmp_path, client=client)
        assert len(box.requests()) == 1


def test_a_clip_that_can_not_be_had_says_why(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(5, 2, clip_bytes=3000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        box.remove(df["history_item_id"].iloc[[0]].tolist())
        page = play(df, client=client)._repr_html_()
    assert page.count("<audio") == 4
    assert "Not found, or deleted" in page
    with client_of(box, api_key="sk_wrong") as client, pytest.raises(hk.AuthenticationError):
        play(df, client=client)


def test_a_long_clip_is_not_stored_in_the_notebook(
    box_of: Callable[..., Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = box_of(5, 2, clip_bytes=2_500_000)
    with client_of(box) as client:
        rows = hk.read_history(client=client)
        rows = rows[rows["content_type"] == "audio/mpeg"].head(1)
        page = play(rows, client=client)._repr_html_()
        assert "Too long to store in the notebook (2.5 MB)" in page
        pulled = download_audio(rows, tmp_path / "a b", name="{id}", client=client)
        assert "play " in play(rows, folder=tmp_path / "a b", client=client)._repr_html_()
        monkeypatch.chdir(tmp_path)
        page = play(rows, folder="a b", client=client)._repr_html_()
    assert f'src="a%20b/{pulled["path"].iloc[0]}"' in page


def test_ids_are_enough(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(5, 2, clip_bytes=3000)
    with client_of(box) as client:
        ids = pd.Series([row["history_item_id"] for row in box.history()])
        assert play(ids, client=client)._repr_html_().count("<audio") == 5


def test_nothing_of_a_folder_below_the_notebook_is_stored_in_it(
    box_of: Callable[..., Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = box_of(40, 2, clip_bytes=5000)
    monkeypatch.chdir(tmp_path)
    with client_of(box) as client:
        rows = hk.read_history(client=client)
        rows = rows[rows["content_type"] == "audio/mpeg"].head(10)
        pulled = download_audio(rows, "audio #1", client=client)
        page = play(rows, folder="audio #1", client=client)._repr_html_()
    assert "data:" not in page
    for path in pulled["path"]:
        assert f'src="{quote(f"audio #1/{path}")}"' in page


def test_the_clips_of_a_notebook_are_a_few_megabytes_in_all(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(40, 2, clip_bytes=1_400_000)
    with client_of(box) as client:
        rows = hk.read_history(client=client)
        rows = rows[rows["content_type"] == "audio/mpeg"].head(6)
        page = play(rows, client=client)._repr_html_()
    assert page.count("<audio") == 4
    assert page.count("Too much to store in the notebook") == 2
    assert len(page) < 8_100_000


def test_a_folder_in_the_home_folder_is_found(
    box_of: Callable[..., Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    box = box_of(5, 2, clip_bytes=3000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        download_audio(df, "~/audio", name="{id}", client=client)
        assert (tmp_path / "audio" / "manifest.parquet").exists()
        box.reset()
        page = play(df, folder="~/audio", client=client)._repr_html_()
    assert page.count("<audio ") == 5
    assert box.requests() == []


def test_clips_of_a_folder_need_no_key(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(3, 2, clip_bytes=3000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        download_audio(df, tmp_path, name="{id}", client=client)
    assert play(df, folder=tmp_path)._repr_html_().count("<audio ") == 3
