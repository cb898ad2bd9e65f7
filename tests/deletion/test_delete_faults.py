"""`delete` where things go wrong: answers that leave open what happened, keys without rights, kills and Ctrl-C."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import histkit as hk
from histkit.deletion.delete import delete
from histkit.sandbox import Sandbox
from tests.conftest import client_of
from tests.deletion.test_delete import asked, frame_of, left, lines_of

pytestmark = pytest.mark.usefixtures("short_waits")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def outcomes(path: Path | str = "data/deleted.jsonl") -> dict[str, str]:
    """Give what the journal says of each row last; ``asked`` of one in doubt."""
    return {line["history_item_id"]: line["event"] for line in lines_of(path) if "history_item_id" in line}


@pytest.mark.parametrize("fault", ["error_500", "error_503", "error_408", "reset", "html", "truncated_json"])
def test_an_answer_that_leaves_it_open_is_followed_by_a_look(box_of: Callable[..., Sandbox], fault: str) -> None:
    box = box_of(20)
    df = frame_of(box).head(2)
    box.set(only="delete", **{fault: 1})
    done = delete(df, confirm=True, client=client_of(box), progress=False)
    first, second = df["history_item_id"]
    assert done["status"].tolist() == ["deleted", "deleted"]
    if fault == "truncated_json":  # it was carried out, and only the answer is broken
        assert asked(box) == [("DELETE", first), ("GET", first), ("DELETE", second)]
    else:
        assert asked(box) == [("DELETE", first), ("GET", first), ("DELETE", first), ("DELETE", second)]
    assert len(left(box)) == 18


def test_an_answer_that_is_lost_on_the_way_back_counts_as_deleted(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(20)
    df = frame_of(box).head(3)
    box.set(only="delete", cut_off=True)
    done = delete(df, confirm=True, client=client_of(box), progress=False)
    assert done["status"].tolist() == ["deleted"] * 3
    assert [method for method, _ in asked(box)] == ["DELETE", "GET"] * 3
    assert len(left(box)) == 17


def test_a_row_that_stays_is_tried_three_times_and_the_others_go_on(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(20)
    df = frame_of(box).head(3)
    box.set(only="delete", error_500=3)
    done = delete(df, confirm=True, client=client_of(box), progress=False)
    assert done["status"].tolist() == ["failed", "deleted", "deleted"]
    assert [method for method, _ in asked(box)] == ["DELETE", "GET"] * 3 + ["DELETE"] * 2
    error = done["error"].iloc[0]
    assert "The service failed" in error
    assert "\n" not in error
    facts = done.attrs["histkit"]
    assert facts["counts"] == {"deleted": 2, "gone": 0, "kept": 0, "failed": 1, "pending": 0}
    assert facts["credits"] == df["credits"].iloc[1:].sum()
    assert list(outcomes().values()) == ["failed", "deleted", "deleted"]
    assert [line["error"] for line in lines_of() if line["event"] == "failed"] == [error]


def test_a_refusal_is_not_tried_again(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(20)
    df = frame_of(box).head(2)
    box.set(only="delete", redirect=1)
    done = delete(df, confirm=True, client=client_of(box), progress=False)
    assert done["status"].tolist() == ["failed", "deleted"]
    assert [method for method, _ in asked(box)] == ["DELETE", "DELETE"]


def test_a_429_is_waited_for(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(20)
    df = frame_of(box).head(2)
    box.set(only="delete", rate_limit=2)
    assert set(delete(df, confirm=True, client=client_of(box), progress=False)["status"]) == {"deleted"}
    assert [method for method, _ in asked(box)] == ["DELETE"] * 4


@pytest.mark.parametrize("fault", ["rate_limit", "error_503"])
def test_a_wait_of_hours_ends_the_run_and_no_further_row_is_tried(box_of: Callable[..., Sandbox], fault: str) -> None:
    box = box_of(20)
    df = frame_of(box).head(5)
    client = client_of(box)
    assert delete(df.head(1), confirm=True, client=client, progress=False)["status"].tolist() == ["deleted"]
    box.reset()
    box.set(retry_after=80000, **{fault: True})
    done = delete(df.tail(4), confirm=True, client=client, progress=False)
    assert done["status"].tolist() == ["failed", "pending", "pending", "pending"]
    assert done["error"].str.contains("22 hours").all()
    assert len(asked(box)) == 1
    assert len(left(box)) == 19


def test_five_rows_without_an_answer_end_the_run(
    box_of: Callable[..., Sandbox], capsys: pytest.CaptureFixture[str]
) -> None:
    box = box_of(20)
    df = frame_of(box).head(9)
    client = client_of(box, max_retries=0)
    delete(df.head(1), confirm=True, client=client, progress=False)
    box.set(reset=True)
    done = delete(df, confirm=True, client=client)
    assert done["status"].tolist() == ["failed"] * 5 + ["pending"] * 4
    assert done["error"].iloc[:5].str.endswith("It may be gone: the service could not be reached.").all()
    assert done["error"].iloc[5:].str.startswith("5 consecutive rows got no response").all()
    facts = done.attrs["histkit"]
    assert facts["interrupted"] is True
    assert facts["counts"]["pending"] == 4
    assert facts["credits"] == 0
    assert "4 not reached; stopped: 5 consecutive rows" in capsys.readouterr().err
    assert lines_of()[-1]["stopped"].startswith("5 consecutive rows")
    assert set(df["history_item_id"].iloc[5:]).isdisjoint(line.get("history_item_id") for line in lines_of())
    box.set(reset=None)
    again = delete(df, confirm=True, client=client, progress=False)
    assert again["status"].tolist() == ["gone"] + ["deleted"] * 8


def test_rows_that_fail_now_and_then_do_not_end_the_run(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(24, reset=0.3, error_500=0.2, cut_off=0.1)
    box.set(only="delete")
    df = frame_of(box)
    done = delete(df, confirm=True, client=client_of(box), progress=False)
    assert set(done["status"]) <= {"deleted", "failed"}
    assert set(done.loc[done["status"] == "failed", "history_item_id"]) == set(left(box))
    assert (done["status"] == "deleted").sum() > 12


def test_a_key_without_the_scope_ends_the_run_at_its_first_row(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(20)
    df = frame_of(box).head(3)
    client = client_of(box, api_key=box.key("speech_history_read"))
    with pytest.raises(hk.PermissionDeniedError, match="lacks the scope speech_history_write") as caught:
        delete(df, confirm=True, client=client, progress=False)
    assert caught.value.scope == "speech_history_write"
    assert len(box.requests()) == 1
    assert len(left(box)) == 20
    assert [line["event"] for line in lines_of()] == ["begin", "asked", "failed", "end"]
    assert "speech_history_write" in lines_of()[-1]["stopped"]
    with pytest.raises(hk.AuthenticationError):
        delete(df, confirm=True, client=client_of(box, api_key="sk_wrong"), progress=False)
    with pytest.raises(hk.AuthenticationError, match="No API key"):
        delete(df, confirm=True, progress=False)


def test_a_key_that_may_delete_but_not_read_is_enough(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(20)
    df = frame_of(box).head(2)
    box.set(only="delete", cut_off=1)
    client = client_of(box, api_key=box.key("speech_history_write"))
    done = delete(df, confirm=True, client=client, progress=False)
    assert set(done["status"]) == {"deleted"}
    assert len(left(box)) == 18
    box.set(error_500=3)
    failed = delete(pd.Series(left(box)[:1]), confirm=True, client=client, progress=False)
    assert failed["error"].iloc[0].endswith("It may be gone: the service could not be reached.")


@pytest.mark.parametrize("fault", ["html_403", "quota_401", "unusual_activity"])
def test_what_stops_every_row_is_raised(box_of: Callable[..., Sandbox], fault: str, tmp_path: Path) -> None:
    box = box_of(20)
    client = client_of(box)
    df = hk.sync(tmp_path / "history", client=client, progress=False).head(5)
    delete(df.head(2), confirm=True, client=client, progress=False)
    box.set(only="delete", **{fault: True})
    with pytest.raises(hk.ApiError) as caught:
        delete(df, confirm=True, client=client, progress=False)
    assert caught.value.status_code in (401, 403)
    assert len(left(box)) == 18


@contextmanager
def answering(delete: Callable[[str], tuple[int, Any]], get: Callable[[str], tuple[int, Any]]) -> Iterator[Any]:
    """Serve what a service might say that the sandbox doesn't."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_DELETE(self) -> None:
            self._say(*delete(self.path.rpartition("/")[2]))

        def do_GET(self) -> None:
            self._say(*get(self.path.rpartition("/")[2]))

        def _say(self, status: int, answer: Any) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    with hk.HistoryClient("sk_test", base_url=f"http://127.0.0.1:{server.server_port}", max_retries=0) as client:
        yield client
    server.shutdown()
    server.server_close()


def test_a_row_that_is_still_given_but_as_deleted_is_deleted() -> None:
    with answering(lambda _: (500, {}), lambda item: (200, {"history_item_id": item, "state": "deleted"})) as client:
        done = delete(pd.Series(["a"]), confirm=True, client=client, progress=False)
    assert done["status"].tolist() == ["deleted"]


def test_an_answer_that_is_not_ok_is_not_believed() -> None:
    said = {"a": "error", "b": "ok"}
    there = (200, {"history_item_id": "a", "state": "created"})
    with answering(lambda item: (200, {"status": said[item]}), lambda _: there) as client:
        done = delete(pd.Series(["a", "b"]), confirm=True, client=client, progress=False)
    assert done["status"].tolist() == ["failed", "deleted"]
    assert "answers 'error'" in done["error"].iloc[0]


def test_the_scope_is_named_also_where_the_service_does_not() -> None:
    with (
        answering(lambda _: (403, {"detail": "Forbidden"}), lambda _: (404, {})) as client,
        pytest.raises(hk.PermissionDeniedError, match="Deleting needs the scope speech_history_write") as caught,
    ):
        delete(pd.Series(["a"]), confirm=True, client=client, progress=False)
    assert caught.value.scope == "speech_history_write"


def test_a_404_in_words_of_a_400_counts_as_gone() -> None:
    with answering(lambda _: (400, {"detail": {"status": "history_item_not_found"}}), lambda _: (404, {})) as client:
        with pytest.warns(UserWarning, match="The requested row does not exist in the account of this key"):
            done = delete(pd.Series(["a"]), confirm=True, client=client, progress=False)
    assert done["status"].tolist() == ["gone"]


DELETE = """
import sys, histkit as hk
from histkit.deletion.delete import delete
url, key, history = sys.argv[1:]
delete(hk.load(history), confirm=True, client=hk.HistoryClient(key, base_url=url))
"""


def start(box: Sandbox, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", DELETE, box.url, box.api_key, str(folder)], stderr=subprocess.PIPE
    )


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def some_gone(box: Sandbox, rows: int) -> Callable[[], bool]:
    return lambda: len(left(box)) < rows


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
@pytest.mark.parametrize("rows", [3, 11, 24])
def test_after_a_kill_the_journal_knows_what_is_gone_but_for_one_row_in_doubt(
    box_of: Callable[..., Sandbox], tmp_path: Path, rows: int
) -> None:
    box = box_of(200)
    with client_of(box) as client:
        df = hk.sync(tmp_path / "history", client=client, progress=False)
    box.set(latency=0.01)
    process = start(box, tmp_path / "history")
    wait_for(some_gone(box, 200 - rows))
    process.kill()
    process.communicate()
    time.sleep(0.1)  # what was just asked for may still be carried out
    gone = set(df["history_item_id"]) - set(left(box))
    told = outcomes()
    doubt = [item for item, event in told.items() if event == "asked"]
    assert len(doubt) <= 1
    assert gone - set(doubt) == {item for item, event in told.items() if event == "deleted"}
    assert len(gone) > rows
    rows_told = {line["history_item_id"]: line["row"] for line in lines_of() if line["event"] == "asked"}
    texts = df.set_index("history_item_id")["text"]
    assert all(row["text"] == (None if pd.isna(texts[item]) else texts[item]) for item, row in rows_told.items())
    box.set(latency=None)
    with client_of(box) as client:
        again = delete(hk.load(tmp_path / "history"), confirm=True, client=client, progress=False)
    assert left(box) == []
    assert set(again.loc[again["status"] == "gone", "history_item_id"]) == gone
    assert hk.load(tmp_path / "history")["missing_since"].notna().all()


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to another process")
def test_ctrl_c_in_a_terminal_leaves_everything_written_down_and_marked(
    box_of: Callable[..., Sandbox], tmp_path: Path
) -> None:
    box = box_of(200)
    with client_of(box) as client:
        df = hk.sync(tmp_path / "history", client=client, progress=False)
    box.set(latency=0.01)
    process = start(box, tmp_path / "history")
    wait_for(some_gone(box, 190))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode != 0
    assert b"KeyboardInterrupt" in said
    assert b"stopped: KeyboardInterrupt" in said
    time.sleep(0.1)
    end = lines_of()[-1]
    gone = set(df["history_item_id"]) - set(left(box)) - {end["in_doubt"]}
    assert end["event"] == "end"
    assert end["stopped"] == "KeyboardInterrupt"
    assert end["deleted"] == end["marked"] == len(gone)
    local = hk.load(tmp_path / "history")
    assert set(local.loc[local["missing_since"].notna(), "history_item_id"]) == gone


@pytest.mark.skipif(os.name == "nt", reason="no signal to a thread there")
def test_ctrl_c_goes_on_up(box_of: Callable[..., Sandbox]) -> None:
    box = box_of(20)
    df = frame_of(box)
    delete(df.head(2), confirm=True, client=client_of(box), progress=False)
    box.set(latency=30)
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        delete(df, confirm=True, client=client_of(box), progress=False)
    assert time.monotonic() - started < 10
    assert lines_of()[-1]["in_doubt"] == df["history_item_id"].iloc[0]


FULL = """
import resource, signal, sys, histkit as hk
from histkit.deletion.delete import delete
url, key, history, size = sys.argv[1:]
df = hk.load(history)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), resource.RLIM_INFINITY))
try:
    delete(df, confirm=True, history=False, client=hk.HistoryClient(key, base_url=url))
except hk.ArchiveError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit on files there")
@pytest.mark.parametrize("size", [4000, 9000, 15000])
def test_a_disk_that_fills_up_ends_the_run_with_every_deletion_in_the_journal(
    box_of: Callable[..., Sandbox], tmp_path: Path, size: int
) -> None:
    box = box_of(100)
    with client_of(box) as client:
        df = hk.sync(tmp_path / "history", client=client, progress=False)
    command = [sys.executable, "-W", "error", "-c", FULL, box.url, box.api_key, str(tmp_path / "history"), str(size)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Nothing is deleted without it." in ended.stdout
    assert "Traceback" not in ended.stderr
    gone = set(df["history_item_id"]) - set(left(box))
    whole = [json.loads(line) for line in Path("data/deleted.jsonl").read_bytes().split(b"\n")[:-1]]
    assert gone
    assert gone <= {line.get("history_item_id") for line in whole if line["event"] == "asked"}
