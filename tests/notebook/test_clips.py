"""The sound of a row: from the folder, else fetched once and kept; one line for whatever is wrong."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tinytag import TinyTag

import histkit as hk
from histkit import download_audio
from histkit.audio import formats
from histkit.notebook.clips import Clips
from histkit.sandbox import Sandbox
from tests.conftest import client_of


def ask(explorer: Any, **fields: Any) -> tuple[dict[str, Any], list[bytes]]:
    reply, buffers = explorer.service.answer({"id": 1, "view": "a", "kind": "clip", **fields})
    return reply, buffers


def one_of_each_format(df: pd.DataFrame) -> list[int]:
    rows = df.groupby(["output_format", "content_type"], observed=True, dropna=False).head(1)
    assert {"pcm_16000", "ulaw_8000"} <= set(rows["output_format"].dropna())
    return [int(row) for row in rows.index]


def test_each_format_comes_as_browsers_play_it_and_is_fetched_once(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(400, 2)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        explorer = df.speech.explore(client=client, folder="nothing")
        rows = one_of_each_format(df)
        box.reset()
        replies = [ask(explorer, position=row) for row in rows]
        asked = len(box.requests())
        assert [ask(explorer, position=row) for row in rows] == replies
        assert len(box.requests()) == asked
    assert asked <= len(rows) + 1  # samples that no column declares are asked for again, as WAV
    for row, (reply, (body,)) in zip(rows, replies, strict=True):
        assert reply["from"] == "service"
        assert reply["mime"] in formats.BROWSER_TYPES.values()
        tag = TinyTag.get(filename="x", file_obj=io.BytesIO(body))
        assert reply["seconds"] == pytest.approx(tag.duration, abs=0.1)
        assert reply["words"] is None
        assert str(df["voice_name"].iloc[row]) == reply["voice"]
        if df["output_format"].iloc[row] in ("pcm_16000", "ulaw_8000"):
            assert (reply["mime"], body[:4]) == ("audio/wav", b"RIFF")


def test_clips_of_the_folder_are_played_without_a_request_or_a_key(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(400, 2, clip_bytes=5000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        rows = one_of_each_format(df)
        files = download_audio(df.iloc[rows], tmp_path, name="{id}", client=client)
        fetched = Clips(df, None, client)
        there = Clips(df, str(tmp_path))  # no client, no key
        for row, path in zip(rows, files["path"], strict=True):
            reply, (body,) = there.answer(row)
            other, (sound,) = fetched.answer(row)
            assert (reply["from"], other["from"]) == ("folder", "service")
            assert (reply["mime"], len(body), reply["seconds"]) == (other["mime"], len(sound), other["seconds"])
            assert body.endswith((tmp_path / path).read_bytes())


def test_what_the_manifest_does_not_verify_is_fetched(box_of: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = box_of(20, 2, clip_bytes=5000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        clips = Clips(df, str(tmp_path / "audio"), client)
        assert clips.answer(0)[0]["from"] == "service"
        files = download_audio(df.head(4), tmp_path / "audio", name="{id}", client=client)
        assert clips.answer(0)[0]["from"] == "folder"  # the manifest is new
        whole = clips.answer(1)[1]
        path = tmp_path / "audio" / files["path"].iloc[1]
        path.write_bytes(path.read_bytes()[:-1] + b"?")  # as long as before
        assert clips.answer(1) == (clips.answer(1)[0] | {"from": "service"}, whole)
        (tmp_path / "audio" / files["path"].iloc[2]).unlink()
        assert clips.answer(2)[0]["from"] == "service"
        for name in ("manifest.parquet", "manifest.jsonl"):
            (tmp_path / "audio" / name).write_bytes(b"oops")
        assert clips.answer(3)[0]["from"] == "service"


def test_a_clip_is_kept_once_and_within_bounds(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(20, 2, clip_bytes=5000)
    with client_of(box) as client:
        df = hk.read_history(client=client)
        sizes = [len(Clips(df, None, client).answer(row)[1][0]) for row in range(3)]
        clips = Clips(df, None, client, most_bytes=sizes[0] + max(sizes[1:]))
        box.reset()
        replies: list[Any] = []
        threads = [threading.Thread(target=lambda: replies.append(clips.answer(0))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(replies) == 6
        assert all(reply == replies[0] for reply in replies)
        assert len(box.requests()) == 1
        for row in (1, 0, 2):  # the one played least recently is 1
            clips.answer(row)
        assert len(box.requests()) == 3
        clips.answer(0)
        assert len(box.requests()) == 3
        clips.answer(1)
        assert len(box.requests()) == 4


def test_a_browser_may_ask_for_wav(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(20, 2, clip_bytes=5000)
    with client_of(box) as client:
        explorer = hk.read_history(client=client).speech.explore(client=client, folder="nothing")
        assert ask(explorer, position=0)[0]["mime"] == "audio/mpeg"
        reply, (body,) = ask(explorer, position=0, wav=True)
        assert (reply["mime"], body[:4]) == ("audio/wav", b"RIFF")
        assert "wav=" in ask(explorer, position=0, wav="yes")[0]["error"]


def test_words_come_with_alignments(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(60, 2, clip_bytes=3000, alignments=True)
    with client_of(box) as client:
        df = hk.read_history(client=client, alignments=True)
        clips = Clips(df, None, client)
        row = int(df.index[df["alignments"].notna()][0])
        words = clips.answer(row)[0]["words"]
        assert [word["text"] for word in words] == str(df["text"].iloc[row]).split()
        assert clips.answer(int(df.index[df["alignments"].isna()][0]))[0]["words"] is None
        parsed = df.assign(alignments=[{"alignment": None}] * len(df))
        assert Clips(parsed, None, client).answer(row)[0]["words"] is None


def test_words_of_a_frame_without_alignments_come_from_the_service(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(60, 2, clip_bytes=3000, alignments=True)

    def words_of(explorer: Any, row: int) -> Any:
        return explorer.service.answer({"kind": "words", "position": row})[0]["words"]

    with client_of(box) as client:
        df, aligned = hk.read_history(client=client), hk.read_history(client=client, alignments=True)
        explorer, other = (frame.speech.explore(client=client, folder="nothing") for frame in (df, aligned))
        row, without = (
            int(aligned.index[mask][0]) for mask in (aligned["alignments"].notna(), aligned["alignments"].isna())
        )
        box.reset()
        assert words_of(other, row) == ask(other, position=row)[0]["words"]
        assert [asked["path"].endswith("/audio") for asked in box.requests()] == [True]
        assert words_of(explorer, row) == words_of(other, row)
        assert len(box.requests()) == 2
        assert words_of(explorer, without) is None
        box.remove([df["history_item_id"].iloc[row]])
        assert words_of(explorer, row) is None
    assert words_of(df.speech.explore(folder="nothing"), row) is None  # no key
    assert explorer.last_error is None


def test_what_is_wrong_is_one_line(box_of: Callable[..., Sandbox]) -> None:
    df = hk.sample_history(30)
    explorer = df.speech.explore(folder="nothing")
    for wrong in (-1, 30, "3", None, 2.5):
        assert "position=" in ask(explorer, position=wrong)[0]["error"]
    assert ask(explorer, position=3)[0]["error"].startswith("No API key")
    assert isinstance(explorer.last_error, hk.AuthenticationError)
    nameless = df.assign(history_item_id=df["history_item_id"].where(df.index != 2)).speech.explore()
    assert "no history_item_id" in ask(nameless, position=2)[0]["error"]
    box = box_of(5, 2, clip_bytes=3000)
    with client_of(box) as client, client_of(box, api_key="sk_wrong") as stranger:
        rows = hk.read_history(client=client)
        assert "API key" in ask(rows.speech.explore(client=stranger, folder="nothing"), position=0)[0]["error"]
        box.remove([rows["history_item_id"].iloc[1]])
        explorer = rows.speech.explore(client=client, folder="nothing")
        assert "Not found, or deleted" in ask(explorer, position=1)[0]["error"]
        assert ask(explorer, position=0)[0]["from"] == "service"
        box.close()
        gone = ask(explorer, position=2)[0]["error"]
        assert "refused" in gone
        assert "\n" not in gone
        assert ask(explorer, position=0)[0]["from"] == "service"  # kept


def test_a_slow_service_leaves_the_kernel_free(box_of: Callable[..., Sandbox]) -> None:
    pytest.importorskip("anywidget")
    from histkit.notebook.widget import make_widget

    entered, leave = threading.Event(), threading.Event()

    def answer(message: Any) -> Any:
        if message["kind"] == "clip":
            entered.set()
            assert leave.wait(10)
        return {"kind": message["kind"]}, []

    class Comm:
        comm_id = "x"

        def on_msg(self, callback: Any) -> None:
            self.callback = callback

        def close(self, *_: Any, **__: Any) -> None:
            pass

    Comm.__module__ = "ipykernel.comm.comm"
    widget = make_widget("explorer", answer)
    sent: list[Any] = []
    arrived = threading.Event()

    def send(content: Any, buffers: Any = None) -> None:
        sent.append(content["kind"])
        arrived.set()

    widget.send = send
    widget.set_trait("comm", Comm())
    widget._handle_custom_msg({"kind": "clip"}, [])
    assert entered.wait(10)
    widget._handle_custom_msg({"kind": "ping"}, [])
    assert sent == ["ping"]
    arrived.clear()
    leave.set()
    assert arrived.wait(10)
    assert sent == ["ping", "clip"]
