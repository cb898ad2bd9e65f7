"""``histkit demo``: every step once, on the sandbox: sync, tables, chart, files, audio, zip."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import pandas as pd

import histkit as hk
from histkit.reports.model import ReportColumn, ReportTable, group_column, period_column
from histkit.reports.sections import usage_report_table
from histkit.reports.terminal import output_console, print_table
from histkit.sandbox import serve
from histkit.util.outputs import PNG, OutputFile
from histkit.util.text import format_size, shorten

CLIPS = 10
NEWEST = (
    ReportColumn("date", "Date", "moment"),
    ReportColumn("voice_name", "Voice"),
    ReportColumn("text", "Text"),
    ReportColumn("credits", "Credits", "count"),
)


def run_demo(folder: Path, items: int) -> None:
    """Write Parquet, CSV, a chart, ten audio files and a zip into `folder`, and print a summary.

    Parameters
    ----------
    folder : Path
        Created if it does not exist. Files of an earlier run are replaced, except audio files.
    items : int
        Rows of the made-up history.
    """
    console, _ = output_console()
    console.soft_wrap = True
    history = folder / f"history-{items}"
    with serve(items=items) as box, hk.HistoryClient(box.api_key, base_url=box.url) as client:
        df = hk.sync(history, client=client)
        print_table(ReportTable("The newest rows of a made-up account", _newest(df), NEWEST))
        by_voice = df.speech.usage(by="voice", top=10)
        table = usage_report_table(by_voice, [group_column("voice")])
        print_table(replace(table, title="Usage by voice"))
        monthly = df.speech.usage(by=[], freq="MS").tail(12)
        table = usage_report_table(monthly, [period_column("MS")])
        print_table(replace(table, title="Usage by month (the last twelve)"))
        files = [df.speech.to_parquet(folder / "history.parquet"), df.speech.to_csv(folder / "history.csv")]
        files.append(_chart(df, folder / "usage.png"))
        clips = df.speech.filter(voice=str(df["voice_name"].value_counts().index[0]), source="TTS").head(CLIPS)
        pulled = clips.speech.download_audio(folder / "audio", name="{date:%Y-%m-%d} {text:.40}", client=client)
        clips.speech.download_zip(folder / "audio.zip", client=client)
        files.append(folder / "audio.zip")
    console.print(f"\n{len(df):,} rows with {df.attrs['histkit']['requests']} requests. Made:")
    for path in files:
        console.print(f"  {path}  {format_size(path.stat().st_size)}", markup=False)
    first = folder / "audio" / str(pulled["path"].iloc[0])
    console.print(f"  {folder / 'audio'}  {len(pulled)} clips, such as {first.name}", markup=False)
    console.print("\nTry next:", *(f"  {line}" for line in suggestions(folder, history, items)), sep="\n", markup=False)


def suggestions(folder: Path, history: Path, items: int) -> list[str]:
    """Return commands to try next, each with a comment; they work in the current directory."""
    program, source = _program(), f"--history {shlex.quote(str(history))}"
    commands = [
        (f"{program} usage monthly --by model --since 2026-08-01 {source}", "by any column and period"),
        (f"{program} takes --top 5 {source}", "texts that were generated again and again"),
        (f"{program} report {shlex.quote(str(folder / 'report.html'))} {source}", "a page to send to others"),
        (f"{program} sandbox --items {items}", "this account, for code of yours"),
        (f"ELEVENLABS_API_KEY=sk_... {program} sync", "your own history, into data/history"),
    ]
    if Path("Makefile").is_file() and Path("notebooks/quickstart.ipynb").is_file():
        commands.append(("make notebook", "the same in JupyterLab"))
    return [f"{command}  # {remark}" for command, remark in commands]


def _program() -> str:
    """Return the command that starts this histkit: its name if it is on the PATH, else its path."""
    script = shutil.which("histkit", path=sysconfig.get_path("scripts"))
    if script is None:
        return f"{shlex.quote(sys.executable)} -m histkit.cli"
    installed = shutil.which("histkit")
    if installed is not None and Path(installed).samefile(script):
        return "histkit"
    return shlex.quote(min(script, os.path.relpath(script), key=len))


def _newest(df: pd.DataFrame) -> pd.DataFrame:
    """Return the newest rows that have a text, the texts cut to one line."""
    rows = df[df["text"].notna()].head(5)[[column.name for column in NEWEST]]
    texts = [shorten(text, 47) for text in rows["text"]]
    return rows.assign(text=texts, voice_name=rows["voice_name"].astype("string").str.partition(" - ")[0])


def _chart(df: pd.DataFrame, path: Path) -> Path:
    axes = df.speech.plot_usage(by="voice", freq="MS")
    with OutputFile(path, PNG).open() as temporary:
        axes.figure.savefig(temporary, dpi=150, format="png")
    return path
