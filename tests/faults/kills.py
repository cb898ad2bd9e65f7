"""Kills: each command that writes is killed (SIGKILL) at any moment of its run, and run again; what is lost then?

After each kill every file at its final name must be whole. After the next undisturbed run the result must be that of a
run that was never killed, and nothing temporary may be left.
"""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import random
import shutil
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

import histkit as hk
from histkit.sandbox import Sandbox
from tests.conftest import client_of
from tests.warm_sandbox import SandboxForks

WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(
    [
        *("histkit.cli.app", "histkit.cli.history", "histkit.cli.audio", "histkit.cli.usage", "histkit.cli.statements"),
        *("histkit.archive.sync", "histkit.archive.load", "histkit.audio.folder"),
        *("histkit.audio.zip_download", "histkit.deletion.delete", "histkit.reports.report", "histkit.frame.files"),
        *("histkit.reports.statement_files", "histkit.plotting.charts", "matplotlib.pyplot", "xlsxwriter", "jinja2"),
    ]
)
KILLS_A_ROUND = 11
CHOSEN = ("--voice", "Rachel")
HELD = (".parquet", ".csv", ".xlsx", ".html", ".md", ".json", ".jsonl", ".zip", ".toml", ".aside")


@dataclass
class Kills:
    """What the kills of one command left.

    Attributes
    ----------
    kills : int
        Kills that hit a run.
    half : int
        Files at their final name that were not whole after a kill.
    lost : int
        Rounds after which the result was not that of an undisturbed run.
    left : int
        Temporary files after the run that followed the kills.
    examples : list of str
        What these were.
    """

    kills: int = 0
    half: int = 0
    lost: int = 0
    left: int = 0
    examples: list[str] = field(default_factory=list)

    def __add__(self, other: Kills) -> Kills:
        return Kills(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(self)))


@dataclass(frozen=True)
class Command:
    """A command: its arguments, what its result is (to compare), and what it needs before."""

    arguments: tuple[str, ...]
    result: Callable[[Path, Sandbox], object]
    prepare: Callable[[Path, Sandbox], None] = lambda folder, box: None
    latency: float = 0.0
    codes: tuple[int, ...] = (0,)


def measure(name: str, kills: int, seed: int, forks: SandboxForks, folder: Path) -> Kills:
    """Kill one command so many times, in rounds of `KILLS_A_ROUND`, each followed by an undisturbed run."""
    dice = random.Random(f"{name} {seed}")
    total = Kills()
    rounds = 0
    while total.kills < kills:
        rounds += 1
        total += _round(COMMANDS[name], min(KILLS_A_ROUND, kills - total.kills), dice, forks, folder / f"{rounds}")
        shutil.rmtree(folder / f"{rounds}")
    return total


def _round(command: Command, kills: int, dice: random.Random, forks: SandboxForks, folder: Path) -> Kills:
    seed = dice.randrange(1000)
    with _prepared(command, seed, forks, folder / "undisturbed") as box:
        started = time.monotonic()
        assert _start(command, box, folder / "undisturbed", None)
        duration = time.monotonic() - started
        expected = command.result(folder / "undisturbed", box)
    total = Kills()
    with _prepared(command, seed, forks, folder / "killed") as box:
        finished = 0
        while total.kills < kills and finished < 4 * kills:
            if _start(command, box, folder / "killed", dice.random() * duration):
                finished += 1
            else:
                total.kills += 1
            half = [path for path in _files(folder / "killed") if not _is_whole(path)]
            total.half += len(half)
            total.examples += [f"half: {path.name}" for path in half]
        assert _start(command, box, folder / "killed", None)
        result = command.result(folder / "killed", box)
        if result != expected:
            total.lost += 1
            total.examples.append(f"{' '.join(command.arguments)}: {result!r:.300} instead of {expected!r:.300}")
    names = [path.relative_to(folder / "killed") for path in (folder / "killed").rglob("*") if path.is_file()]
    left = [name for name in names if name.suffix not in HELD and "audio" not in name.parts and name.name != "lock"]
    left += [name for name in names if name.name.startswith(".histkit-") or name.suffix in (".part", ".arrow")]
    total.left += len(set(left))
    total.examples += [f"left: {name}" for name in sorted(set(left))]
    return total


def _prepared(command: Command, seed: int, forks: SandboxForks, folder: Path) -> Sandbox:
    folder.mkdir(parents=True)
    box = forks.serve(items=ITEMS, seed=seed, clip_bytes=20_000)
    command.prepare(folder, box)
    box.set(latency=command.latency)
    return box


def _start(command: Command, box: Sandbox, folder: Path, seconds: float | None) -> bool:
    """Run a command; kill it after so many seconds. Return whether it ended by itself."""
    process = WARM.Process(target=_run, args=(str(folder), box.url, box.api_key, command.arguments))
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        return False
    errors = (folder / "errors.md").read_text("utf-8")
    assert process.exitcode in command.codes, (command.arguments, process.exitcode, errors)
    return True


def _run(folder: str, url: str, key: str, arguments: tuple[str, ...]) -> None:
    os.chdir(folder)
    os.environ |= {"ELEVENLABS_API_KEY": key, "ELEVENLABS_BASE_URL": url, "MPLBACKEND": "agg", "TQDM_DISABLE": "1"}
    errors = os.open("errors.md", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    from histkit.cli import main

    main(list(arguments))


def _files(folder: Path) -> list[Path]:
    """Return the files at their final names."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") and path.suffix in HELD and path.name != "errors.md"
    ]


def _is_whole(path: Path) -> bool:
    """Return whether a file can be read to its end."""
    try:
        match path.suffix:
            case ".parquet":
                pq.read_table(path)
            case ".xlsx" | ".zip":
                with zipfile.ZipFile(path) as archive:
                    return archive.testzip() is None
            case ".json":
                json.loads(path.read_bytes())
            case ".html":
                return path.read_text("utf-8").rstrip().endswith("</html>")
            case ".csv":
                rows = list(csv.reader(io.StringIO(path.read_text("utf-8-sig"))))
                return len({len(row) for row in rows}) == 1 and path.read_bytes().endswith(b"\n")
            case ".md":
                return path.read_bytes().endswith(b"\n")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
        return False
    return True


def _history(folder: Path, box: Sandbox) -> None:
    with client_of(box) as client:
        hk.sync(folder / "data" / "history", client=client, progress=False)


def _history_and_changes(folder: Path, box: Sandbox) -> None:
    _history(folder, box)
    ids = [row["history_item_id"] for row in box.history()]
    box.remove(ids[10:20])
    for item in ids[30:40]:
        box.update(item, state="processing")
    box.add(20, date_unix=1_790_000_000)


def _history_and_audio(folder: Path, box: Sandbox) -> None:
    _history(folder, box)
    rows = hk.load(folder / "data" / "history", voice="Rachel")
    with client_of(box) as client:
        hk.download_audio(rows, folder / "audio", client=client, progress=False)


def _rows(frame: pd.DataFrame) -> list[tuple[str, ...]]:
    names = [name for name in frame.columns if name not in ("first_seen", "last_seen", "missing_since")]
    return [tuple(map(repr, row)) for row in frame[names].astype(object).itertuples(index=False)]


def _broken_history(folder: Path, box: Sandbox) -> None:
    """Copy a month over another, and add a folder of a month that doesn't exist."""
    _history(folder, box)
    months = sorted((folder / "data" / "history").glob("year=*/month=*/*.parquet"))
    shutil.copy(months[0], months[1])
    shutil.copytree(months[2].parent, months[2].parent.parent / "month=13")


def _healed(folder: Path, box: Sandbox) -> object:
    with client_of(box) as client, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it names what was wrong
        hk.sync(folder / "data" / "history", client=client, full=True, progress=False)
    return _synced(folder, box)


def _synced(folder: Path, box: Sandbox) -> object:
    frame = hk.load(folder / "data" / "history")
    return _rows(frame), frame["missing_since"].notna().tolist()


def _pulled(folder: Path, box: Sandbox) -> object:
    checked = hk.verify(folder / "audio")
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in (folder / "audio").rglob("*.*")}
    clips = {name: content for name, content in files.items() if "manifest" not in name and "/." not in name}
    return sorted(checked["status"].tolist()), clips


def _zipped(folder: Path, box: Sandbox) -> object:
    with zipfile.ZipFile(folder / "clips.zip") as archive:
        return sorted((entry.filename, entry.CRC) for entry in archive.infolist() if "manifest" not in entry.filename)


def _text_of(name: str) -> Callable[[Path, Sandbox], object]:
    return lambda folder, box: (folder / name).read_bytes()


def _table_of(name: str) -> Callable[[Path, Sandbox], object]:
    return lambda folder, box: _rows(pd.read_parquet(folder / name))


def _workbook_of(name: str) -> Callable[[Path, Sandbox], object]:
    def cells(folder: Path, box: Sandbox) -> object:
        with zipfile.ZipFile(folder / name) as archive:
            return {entry: archive.read(entry) for entry in archive.namelist() if not entry.startswith("docProps/")}

    return cells


def _existing(name: str) -> Callable[[Path, Sandbox], object]:
    return lambda folder, box: _is_whole(folder / name)


def _statements(folder: Path, box: Sandbox) -> object:
    return {path.name: path.read_bytes() for path in (folder / "bills").iterdir() if not path.name.startswith(".")}


def _deleted(folder: Path, box: Sandbox) -> object:
    left = [row["history_item_id"] for row in box.history()]
    lines = [json.loads(line) for line in (folder / "data" / "deleted.jsonl").read_text("utf-8").splitlines()]
    gone = sorted({line["history_item_id"] for line in lines if line["event"] in ("deleted", "gone")})
    rows = sorted({line["history_item_id"] for line in lines if line["event"] == "asked"})
    frame = hk.load(folder / "data" / "history")
    return left, gone, rows, sorted(frame[frame["state"] == "deleted"]["history_item_id"])


def _audio_with_gaps(folder: Path, box: Sandbox) -> None:
    _history_and_audio(folder, box)
    for path in sorted((folder / "audio").rglob("*.mp3"))[::2]:
        path.unlink()


def _manifest(folder: Path, box: Sandbox) -> object:
    return hk.verify(folder / "audio")["status"].tolist()


def _labelled(folder: Path, box: Sandbox) -> None:
    _history(folder, box)
    (folder / "rules.toml").write_text('[[rule]]\nlabel = "Acme"\nvoice = "Rachel"\n', "utf-8")


ITEMS = 300
COMMANDS: dict[str, Command] = {
    "sync": Command(("sync",), _synced, latency=0.05),
    "sync --full": Command(("sync", "--full"), _synced, _history_and_changes, latency=0.05),
    "check --repair": Command(("check", "--repair"), _healed, _broken_history, codes=(0, 1)),
    "pull": Command(("pull", *CHOSEN), _pulled, _history, latency=0.01),
    "zip": Command(("zip", "clips.zip", *CHOSEN), _zipped, _history, latency=0.05),
    "delete": Command(
        ("delete", "--only-verified", "audio", "--confirm", *CHOSEN), _deleted, _history_and_audio, latency=0.01
    ),
    "verify --forget": Command(("verify", "--forget"), _manifest, _audio_with_gaps, codes=(0, 5)),
    "export .csv": Command(("export", "rows.csv"), _text_of("rows.csv"), _history),
    "export .parquet": Command(("export", "rows.parquet"), _table_of("rows.parquet"), _history),
    "export .xlsx": Command(("export", "rows.xlsx"), _workbook_of("rows.xlsx"), _history),
    "report .html": Command(("report", "usage.html"), _existing("usage.html"), _history),
    "report .xlsx": Command(("report", "usage.xlsx"), _existing("usage.xlsx"), _history),
    "report .md": Command(("report", "usage.md"), _existing("usage.md"), _history),
    "statements": Command(("statements", "2026", "-o", "bills", "--rules", "rules.toml"), _statements, _labelled),
}
