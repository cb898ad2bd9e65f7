"""``make bench-official``: histkit beside the official command line and the official SDK, on one sandbox.

The command line is the npm package ``@elevenlabs/cli`` in the version of `VERSION`, which is installed into
build/official. The SDK has no call that reads more than one page, so it is measured in the loop that one writes
around it. The table goes into README.md and docs/benchmarks.md.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import histkit as hk
from histkit.sandbox import Sandbox, serve

VERSION = "1.3.0"
FOLDER = Path("build/official")
PROGRAM = FOLDER / "node_modules/.bin/elevenlabs"
ROWS, CLIPS, NEW, ROUNDS = 12_500, 100, 3, 5
PAGES = (Path("README.md"), Path("docs/benchmarks.md"))


def main() -> None:
    """Install the command line, measure, print the table, and write it into the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    package = f"@elevenlabs/cli@{VERSION}"
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(FOLDER), package]
    subprocess.run(npm, check=True)
    lines = [
        f"| a history of {ROWS:,} rows | histkit | official CLI {VERSION} | official SDK {version('elevenlabs')} |",
        "|---|---|---|---|",
        rows_of_one_call(),
        seconds_for_all_rows(),
        rows_with_broken_answers(),
        requests_of_the_next_read(),
        whole_clips(),
    ]
    table = "\n".join(lines)
    print(table)
    for path in PAGES:
        before, _, rest = path.read_text("utf-8").partition("<!-- official -->\n")
        after = rest.partition("<!-- /official -->")[2]
        path.write_text(f"{before}<!-- official -->\n{table}\n<!-- /official -->{after}", "utf-8")


def rows_of_one_call() -> str:
    """Count the rows that the call named after the whole history returns."""
    with serve(items=ROWS) as box:
        own = len(read(box))
        default, code = cli_rows(box)
        largest, _ = cli_rows(box, "--page-size", "1000", "--page-limit", "100")
        sdk = len(sdk_of(box).history.list().history)
    command = f"`history list --page-all`: {default}, exit code {code}; with pages of 1,000: {largest:,}"
    return f"| rows of one call | **{own:,}** | {command} | `history.list()`: {sdk} |"


def seconds_for_all_rows() -> str:
    """Time reading every row."""
    with serve(items=ROWS) as box:
        read(box)  # the sandbox encodes its pages once
        own, loop = [], []
        for _ in range(ROUNDS):
            own.append(seconds(lambda: read(box)))
            loop.append(seconds(lambda: sdk_loop(box)))
    return (
        f"| time for all rows | **{statistics.median(own):.2f} s** | not possible | "
        f"{statistics.median(loop):.2f} s, in a loop of yours |"
    )


def rows_with_broken_answers() -> str:
    """Count the rows when one answer in ten breaks off in the middle."""
    with serve(items=ROWS, cut_off=0.1) as box:
        own = len(read(box))
    with serve(items=ROWS, cut_off=0.1) as box:
        done, ok = 10, 0
        for _ in range(done):
            ok += cli_rows(box)[1] == 0
    with serve(items=ROWS, cut_off=0.1) as box:
        rows, error = sdk_loop(box)
    loop = f"{rows:,}, then `{error}`" if error else f"{rows:,}"
    return f"| ... one answer in ten breaks off | **{own:,}** | {done - ok} of {done} calls fail | {loop} |"


def requests_of_the_next_read() -> str:
    """Count the requests that bring an earlier read up to date."""
    with serve(items=ROWS) as box, tempfile.TemporaryDirectory() as folder:
        with client_of(box) as client:
            hk.sync(folder, client=client, progress=False)
            box.add(NEW)
            box.reset()
            new = hk.sync(folder, client=client, progress=False).attrs["histkit"]["diff"]["new"]
        own = len(box.requests())
        box.reset()
        sdk_loop(box)
        loop = len(box.requests())
    if new != NEW:
        raise SystemExit(f"{new} new rows instead of {NEW}")
    own_requests = "1 request" if own == 1 else f"{own} requests"
    return f"| {NEW} rows later, up to date again | **{own_requests}** | not possible | {loop} requests |"


def whole_clips() -> str:
    """Count the audio files that are whole when one answer in ten breaks off in the middle."""
    with serve(items=ROWS) as box, tempfile.TemporaryDirectory() as scratch, client_of(box) as client:
        clips = hk.read_history(limit=CLIPS, client=client, progress=False)
        whole = {clip: b"".join(sdk_of(box).history.get_audio(clip)) for clip in clips["history_item_id"]}
        box.set(cut_off=0.1, only="audio")
        files = hk.download_audio(clips, Path(scratch, "own"), client=client, name="{id}", progress=False)
        read_back = [Path(scratch, "own", path).read_bytes() for path in files["path"]]
        own = sum(data == whole[clip] for data, clip in zip(read_back, files["history_item_id"], strict=True))
        command = {clip: cli_audio(box, clip, Path(scratch, f"{clip}.mp3")) for clip in whole}
        left = sum(data is not None and data != whole[clip] for clip, data in command.items())
        sdk = sum(sdk_audio(box, clip) == data for clip, data in whole.items())
    good = sum(data == whole[clip] for clip, data in command.items())
    return (
        f"| {CLIPS} clips, one answer in ten breaks off | **{own} whole** | "
        f"{good} whole, {left} broken files under their names | {sdk} whole, {CLIPS - sdk} exceptions |"
    )


def client_of(box: Sandbox) -> hk.HistoryClient:
    """Make our client of a sandbox."""
    return hk.HistoryClient(box.api_key, base_url=box.url)


def sdk_of(box: Sandbox) -> Any:
    """Make the official client of a sandbox."""
    from elevenlabs import ElevenLabs

    return ElevenLabs(api_key=box.api_key, base_url=box.url)


def read(box: Sandbox) -> Any:
    """Read the whole history with histkit."""
    with client_of(box) as client:
        return hk.read_history(client=client, progress=False)


def sdk_loop(box: Sandbox) -> tuple[int, str]:
    """Read the whole history with the SDK in a loop; return the rows, and the error that ended it."""
    client, rows, cursor = sdk_of(box), 0, None
    while True:
        try:
            page = client.history.list(page_size=1000, start_after_history_item_id=cursor)
        except Exception as error:
            return rows, type(error).__name__
        rows += len(page.history)
        if not page.has_more:
            return rows, ""
        cursor = page.last_history_item_id


def sdk_audio(box: Sandbox, clip: str) -> bytes | None:
    """Fetch a clip with the SDK; None where it raises."""
    try:
        return b"".join(sdk_of(box).history.get_audio(clip))
    except Exception:
        return None


def cli(box: Sandbox, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the official command line on a sandbox."""
    return subprocess.run(
        [PROGRAM, "history", *arguments, "--base-url", box.url],
        env={**os.environ, "ELEVENLABS_API_KEY": box.api_key},
        capture_output=True,
        text=True,
        check=False,
    )


def cli_rows(box: Sandbox, *arguments: str) -> tuple[int, int]:
    """Return how many rows ``history list --page-all`` prints, and its exit code."""
    done = cli(box, "list", "--page-all", "--format", "json", *arguments)
    return (len(json.loads(done.stdout)["history"]) if done.returncode == 0 else 0), done.returncode


def cli_audio(box: Sandbox, clip: str, path: Path) -> bytes | None:
    """Have the command line write a clip to a file; None where there is no file afterwards."""
    cli(box, "get_audio", "--history-item-id", clip, "-o", str(path))
    return path.read_bytes() if path.exists() else None


def seconds(call: Any) -> float:
    """Time one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
