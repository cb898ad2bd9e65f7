"""Pulling audio: histkit beside the ideal and beside a loop over the official SDK; zips; finished files."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.measure import peak_megabytes
from histkit.sandbox import Sandbox, serve

CLIPS, CLIP_BYTES, LATENCY = 1000, 200_000, 0.02
ZIP_CLIPS, ZIP_CLIP_BYTES = 1000, 2_000_000
FINISHED = 10_000


def table(rounds: int) -> str:
    """Measure everything and return the table."""
    lines = ["| audio | histkit | beside it |", "|---|---|---|"]
    with serve(items=CLIPS, clip_bytes=CLIP_BYTES) as box:
        _run("pull", box, 4)  # the sandbox makes its clips
        sdk = 0.0
        for flight in (4, 10):
            ideal = CLIPS * LATENCY / flight
            box.set(latency=LATENCY)
            ours = statistics.median(_run("pull", box, flight)["seconds"] for _ in range(rounds))
            if flight == 4:
                sdk = statistics.median(_run("sdk", box, 1)["seconds"] for _ in range(max(1, rounds // 2)))
            pool = statistics.median(_run("pool", box, flight)["seconds"] for _ in range(rounds))
            what = f"{CLIPS:,} clips of {CLIP_BYTES // 1000} kB, {1e3 * LATENCY:.0f} ms each, {flight} in flight"
            beside = (
                f"ideal {ideal:.1f} s (ours: {ours / ideal:.2f}x); {flight} threads by hand, nothing checked "
                f"{pool:.1f} s ({pool / ideal:.2f}x the ideal); SDK in a loop {sdk:.1f} s ({sdk / ours:.1f}x ours)"
            )
            lines.append(f"| {what} | **{ours:.1f} s** | {beside} |")
        many, one = (_run(name, box, 4) for name in ("zip", "zip one by one"))
        what = f"the same {CLIPS:,} clips as one zip"
        beside = f"clip by clip {one['seconds']:.1f} s, {one['requests']:,} requests"
        lines.append(f"| {what} | **{many['seconds']:.1f} s**, {many['requests']:,} requests | {beside} |")
    with serve(items=ZIP_CLIPS, clip_bytes=ZIP_CLIP_BYTES) as box:
        large = _run("zip", box, 4)
        what = f"a zip of {large['bytes'] / 1e9:.1f} GB: growth of memory"
        lines.append(f"| {what} | **{large['grown_mb']:.0f} MB** | {large['seconds']:.0f} s |")
    skipped = _skip()
    lines.append(f"| {FINISHED:,} finished files, pulled again | **{skipped:.2f} s** | no request |")
    return "\n".join(lines)


def _run(what: str, box: Sandbox, flight: int) -> dict[str, Any]:
    """Run one of them once, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.audio", what, box.url, box.api_key, str(flight), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    if result["clips"] not in (CLIPS, ZIP_CLIPS):
        raise SystemExit(f"{what} lost clips: {result}")
    print(f"  {what}, {flight} in flight: {result}", file=sys.stderr)
    return result


def _skip() -> float:
    """Time a pull that finds everything done."""
    import histkit as hk
    from histkit.audio.destination import LocalFolder
    from histkit.audio.manifest import Entry, FolderManifest
    from histkit.audio.naming import Template, stems_of
    from histkit.audio.options import DEFAULT_NAME

    df = hk.sample_history(FINISHED)
    with tempfile.TemporaryDirectory() as folder:
        record = FolderManifest(LocalFolder(Path(folder)))
        for stem, item in zip(stems_of(df, Template.parse(DEFAULT_NAME)), df["history_item_id"], strict=True):
            path = Path(folder) / f"{stem}.mp3"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
            record.add(Entry(item, f"{stem}.mp3", "done", 1, 1.0, "0" * 64))
        record.close()
        started = time.perf_counter()
        pulled = hk.download_audio(df, folder, client=hk.HistoryClient("sk_no_request"))
        seconds = time.perf_counter() - started
    if set(pulled["status"]) != {"skipped"}:
        raise SystemExit("finished files were not skipped")
    return seconds


def _pull(client: Any, rows: Any, folder: Path) -> tuple[int, int]:
    import histkit as hk

    pulled = hk.download_audio(rows, folder / "audio", client=client)
    return int((pulled["status"] == "done").sum()), int(pulled["bytes"].sum())


def _sdk(url: str, key: str, folder: Path) -> dict[str, Any]:
    """Pull as one does with the official SDK: page by page, clip by clip."""
    from elevenlabs import ElevenLabs

    client = ElevenLabs(api_key=key, base_url=url)
    ids: list[str] = []
    cursor = None
    while True:
        page = client.history.list(page_size=1000, start_after_history_item_id=cursor)
        ids += [row.history_item_id for row in page.history]
        cursor = page.last_history_item_id
        if not page.has_more:
            break
    started = time.perf_counter()
    for item in ids:
        with (folder / f"{item}.mp3").open("wb") as file:
            for chunk in client.history.get_audio(item):
                file.write(chunk)
    return {"seconds": time.perf_counter() - started, "clips": len(ids)}


def pool_of_requests(url: str, key: str, flight: int, ids: list[str], folder: Path) -> None:
    """Pull as a good script does: requests in threads, no check, no names, no record, no retry."""
    import requests

    session = requests.Session()
    session.headers["xi-api-key"] = key
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=flight))

    def one(item: str) -> None:
        answer = session.get(f"{url}/v1/history/{item}/audio", timeout=60)
        answer.raise_for_status()
        (folder / f"{item}.mp3").write_bytes(answer.content)

    with ThreadPoolExecutor(flight) as threads:
        list(threads.map(one, ids))


def main() -> None:
    """Arguments: what, url, key, in flight, folder."""
    what, url, key, flight, name = sys.argv[1:]
    folder = Path(name)
    if what == "sdk":
        print(json.dumps(_sdk(url, key, folder)))
        return
    import histkit as hk

    with hk.HistoryClient(key, base_url=url, max_concurrency=int(flight)) as client:
        df = hk.read_history(client=client)
        hk.download_audio(df.head(2), folder / "warm", client=client)  # imports
        before, asked = peak_megabytes(), client.transport.requests
        started = time.perf_counter()
        if what == "pull":
            clips, size = _pull(client, df, folder)
        elif what == "pool":
            pool_of_requests(url, key, int(flight), df["history_item_id"].tolist(), folder)
            files = list(folder.glob("*.mp3"))
            clips, size = len(files), sum(file.stat().st_size for file in files)
        else:
            options = {} if what == "zip" else {"bulk": False}
            done = hk.download_zip(df, folder / "all.zip", client=client, **options)
            clips, size = int(done["path"].notna().sum()), (folder / "all.zip").stat().st_size
        result = {"seconds": time.perf_counter() - started, "clips": clips, "bytes": size}
        grown = peak_megabytes() - before
    print(json.dumps(result | {"grown_mb": grown, "requests": client.transport.requests - asked}))


if __name__ == "__main__":
    main()
