"""``histkit ...``: the package's functions from the command line. Data to stdout, progress and errors to stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import histkit as hk
from histkit.sandbox.faults import FAULTS


class _Commands(click.Group):
    """A group whose commands end an error of histkit's own with one line, not a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except hk.HistkitError as error:
            click.echo(f"histkit: {error}", err=True)
            ctx.exit(1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(hk.__version__)
def main() -> None:
    """Read the speech history of an ElevenLabs account: everything generated, as tables, charts and audio.

    The key is read from ELEVENLABS_API_KEY. No key? Try: histkit demo
    """


def _filters(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--limit", type=click.IntRange(min=0), help="Only the newest so many rows."),
        click.option("--before", metavar="DATE", help="Rows before this date (UTC unless it says otherwise)."),
        click.option("--after", metavar="DATE", help="Rows at or after this date."),
        click.option("--search", metavar="TEXT", help="The service's own text search."),
        click.option("--source", multiple=True, help="Source (TTS, STS, Projects, ...); may be repeated."),
        click.option("--model", multiple=True, help="Model id; may be repeated."),
        click.option("--voice", multiple=True, help="Voice name or id; may be repeated."),
    ):
        command = option(command)
    return command


@main.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--format", "kind", type=click.Choice(["parquet", "csv"]), help="Default: by the file's ending.")
@click.option("--excel", is_flag=True, help="CSV that opens right in Excel (byte order mark).")
@click.option("--workers", type=click.IntRange(min=1), help="Windows read side by side (4).")
@_filters
def export(path: Path, kind: str | None, excel: bool, workers: int | None, **filters: Any) -> None:
    """Read the history from the API and write it to PATH (.parquet or .csv)."""
    kind = kind or {".parquet": "parquet", ".csv": "csv"}.get(path.suffix.lower())
    if kind is None:
        raise click.BadParameter(f"{path} ends in neither .parquet nor .csv: add --format.", param_hint="PATH")
    chosen: dict[str, Any] = {name: value or None for name, value in filters.items() if name != "limit"}
    frame = hk.read_history(workers=workers, limit=filters["limit"], **chosen)
    hk.to_parquet(frame, path) if kind == "parquet" else hk.to_csv(frame, path, excel=excel)
    click.echo(f"{path}: {len(frame):,} rows, {path.stat().st_size / 1e6:,.1f} MB")


@main.command()
@click.option("--items", default=1000, show_default=True, type=click.IntRange(min=0), help="Rows in the history.")
@click.option("--seed", default=0, show_default=True, help="Another seed, another account.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Default: any free port.")
@click.option("--fault", multiple=True, metavar="NAME=VALUE", help=f"Misbehave: {', '.join(sorted(FAULTS))}.")
def sandbox(items: int, seed: int, port: int, fault: tuple[str, ...]) -> None:
    """Serve a made-up account on this machine until Ctrl-C, to try things without a key."""
    from histkit.sandbox import Sandbox, run

    def announce(box: Sandbox) -> None:
        click.echo(f"export ELEVENLABS_BASE_URL={box.url}")
        click.echo(f"export ELEVENLABS_API_KEY={box.api_key}")
        click.echo(f"{items:,} made-up rows are served; end with Ctrl-C.", err=True)

    try:
        run(items, seed, port=port, started=announce, **dict(map(_fault, fault)))
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from None


@main.command()
@click.option("--folder", default="data/demo", show_default=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--items", default=5000, show_default=True, type=click.IntRange(min=1), help="Rows in the history.")
def demo(folder: Path, items: int) -> None:
    """Show the whole way on a made-up account: read, tables, chart, audio, zip. No key, no network."""
    from histkit.demo import run_demo

    run_demo(folder, items)


def _fault(text: str) -> tuple[str, Any]:
    name, mark, value = text.partition("=")
    if not mark:
        raise ValueError(f"--fault {text}: write NAME=VALUE, e.g. error_500=0.1")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, {"true": True, "false": False, "none": None}.get(value.lower(), value)


if __name__ == "__main__":
    sys.exit(main())
