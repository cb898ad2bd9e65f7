"""``histkit demo``: the whole way once, on the sandbox: sync, tables, chart, files, audio, zip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import histkit as hk
from histkit.sandbox import serve

if TYPE_CHECKING:
    import pandas as pd

BAR = 14  # characters
MEASURES = ("items", "characters", "credits")


def run_demo(folder: Path, items: int) -> None:
    """Write Parquet, CSV, a chart, ten audio files and a zip into `folder`, and print what was made.

    Parameters
    ----------
    folder : Path
        Made if need be; files of an earlier run are replaced, audio that is there is kept.
    items : int
        Rows of the made-up history.
    """
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    with serve(items=items) as box:
        client = hk.HistoryClient(box.api_key, base_url=box.url)
        df = hk.sync(folder / f"history-{items}", client=client, progress=True)
        console.print(_table("Usage by voice", df.speech.usage(by="voice", top=12), "voice"))
        monthly = df.speech.usage(by=[], freq="MS").tail(12)
        monthly["period"] = monthly["period"].dt.strftime("%B %Y")
        console.print(_table("Usage by month (the last twelve)", monthly, "period"))
        made = [df.speech.to_parquet(folder / "history.parquet"), df.speech.to_csv(folder / "history.csv")]
        made.append(_chart(df, folder / "usage.png"))
        ten = df.speech.filter(source="TTS").head(10)
        pulled = ten.speech.download_audio(folder / "audio", client=client, progress=True)
        ten.speech.download_zip(folder / "audio.zip", client=client, progress=True)
        made += [folder / "audio" / path for path in pulled["path"]] + [folder / "audio.zip"]
    console.print(f"\n{len(df):,} rows, {df.attrs['histkit']['requests']} requests for them. Made:", highlight=False)
    for path in made:
        size = f"{path.stat().st_size / 1e3:,.0f} kB"
        console.print(f"  {escape(str(path))}  [dim]{size}[/]", highlight=False, soft_wrap=True)
    console.print(
        "\nTry next:\n"
        f"  open {folder / 'usage.png'}\n"
        "  histkit sandbox            a made-up account to point your own code at\n"
        "  export ELEVENLABS_API_KEY=...; histkit sync      your own history\n"
        "  make notebook              the same in JupyterLab\n",
        highlight=False,
        soft_wrap=True,
    )


def _chart(df: pd.DataFrame, path: Path) -> Path:
    axes = df.speech.plot_usage(by="voice", freq="MS")
    axes.figure.savefig(path, dpi=150)
    return path


def _table(title: str, usage: pd.DataFrame, label: str) -> object:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_footer=True)
    table.add_column(label.replace("period", "month"), overflow="ellipsis", no_wrap=True, max_width=24)
    for name in MEASURES:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    most = usage["credits"].max()
    for row in usage.to_dict("records"):
        bar = "█" * round(BAR * row["credits"] / most)
        table.add_row(escape(str(row[label])), *(f"{row[name]:,}" for name in MEASURES), bar)
    table.columns[0].footer = "all of these"
    for column, name in zip(table.columns[1:], MEASURES, strict=False):
        column.footer = f"{usage[name].sum():,}"
    return table
