"""``histkit pull``, ``zip``, ``verify``, ``delete``."""

from __future__ import annotations

from typing import Any, Literal

import click
import pandas as pd

import histkit as hk
from histkit.audio.manifest import describe_plan, status_counts
from histkit.audio.naming import DEFAULT_NAME
from histkit.cli.common import JSON, SOME_FAILED, filters, print_json, report_failures, rows_of, was_typed
from histkit.util.text import join_counts

_SCRIPT_NAME = "{script_line:04}-{voice}-{text:.40}"
_NAME = click.option("--name", default=DEFAULT_NAME, show_default=True, metavar="TEMPLATE", help="Name of each file.")
_WAV = click.option("--format", "format_", type=click.Choice(["wav"]), help="Make WAV of everything.")
_IDS = click.option("--id", "ids", multiple=True, metavar="ID", help="Only this history item; may be repeated.")
_DRY = click.option("--dry-run", is_flag=True, help="Say what would be done; fetch no audio, write nothing.")


def _items(ids: tuple[str, ...], chosen: dict[str, Any]) -> pd.DataFrame:
    """Read the rows that are meant, in a local history of several accounts those of the account whose key is set."""
    rows = rows_of(**chosen)
    if not ids:
        return rows
    unknown = sorted(set(ids) - set(rows["history_item_id"]))
    if unknown:
        raise click.UsageError(f"--id {unknown[0]}: there is no such row among the {len(rows):,} that are meant.")
    return rows[rows["history_item_id"].isin(ids)]


def _kept(items: pd.DataFrame, script: str | None, near: float | None) -> pd.DataFrame:
    """Keep one take of each line, or of each line of a script; say what the script has and the history hasn't."""
    kept = hk.keepers(items, script=script, near=near)
    facts = kept.attrs["histkit"]
    told_of = {"missing_lines": "have no take", "lines_of_several_voices": "were said by several voices: all are meant"}
    for name, what in told_of.items():
        numbers = facts.get(name)
        if numbers:
            some = ", ".join(map(str, numbers[:10])) + (", ..." if len(numbers) > 10 else "")
            click.echo(f"histkit: {len(numbers):,} of {facts['lines']:,} lines of the script {what}: {some}", err=True)
    return kept


def _outcome(counts: dict[str, int], size: int, where: str) -> str:
    return f"{where}: {join_counts(counts)}, {size / 1e6:,.1f} MB"


def _planned(plan: pd.DataFrame, json_: bool) -> None:
    facts = plan.attrs["histkit"]
    if json_:
        print_json(facts | {"counts": status_counts(plan)})
        return
    click.echo(describe_plan(facts))
    there = status_counts(plan)
    there.pop("pending", None)
    if there:
        click.echo(f"Of the others: {join_counts(there)}.")
    pending = plan.loc[plan["status"] == "pending", "path"].head(5)
    for path in pending:
        click.echo(f"  {path}")
    if facts["files"] > len(pending):
        click.echo("  ...")


@click.command()
@click.option("-o", "--folder", default="audio", show_default=True, help="Where to; also a URL such as s3://bucket/a.")
@_NAME
@_WAV
@_IDS
@click.option("--overwrite", is_flag=True, help="Pull again what is there.")
@_DRY
@click.option("--workers", type=click.IntRange(min=1), help="Clips pulled side by side.")
@click.option("--keepers", "kept", is_flag=True, help="Of several takes of a text only the last.")
@click.option("--script", type=click.Path(dir_okay=False), help="Text file, a line each: only its lines, last takes.")
@click.option("--near", type=float, help="With these: texts as like as this (0.5 to 1) are takes of one line.")
@JSON
@filters
def pull(
    folder: str,
    name: str,
    format_: Literal["wav"] | None,
    ids: tuple[str, ...],
    overwrite: bool,
    dry_run: bool,
    workers: int | None,
    kept: bool,
    script: str | None,
    near: float | None,
    json_: bool,
    **chosen: Any,
) -> None:
    """Pull the audio of the rows that are meant into a folder; costs no credits.

    Interrupted? Run it again: it goes on. Exit code 5: some clips failed, the others are there.
    """
    items = _items(ids, chosen)
    if kept or script is not None:
        items = _kept(items, script, near)
        name = name if was_typed("name") or script is None else _SCRIPT_NAME
    elif near is not None:
        raise click.UsageError("--near goes with --keepers or --script.")
    options: dict[str, Any] = {"name": name, "format": format_, "overwrite": overwrite, "workers": workers}
    pulled = hk.download_audio(items, folder, dry_run=dry_run, **options)
    if dry_run:
        _planned(pulled, json_)
        return
    _report(pulled, folder, json_)


def _report(pulled: pd.DataFrame, where: str, json_: bool, size: int | None = None) -> None:
    counts = status_counts(pulled)
    size = int(pulled["bytes"].sum()) if size is None else size
    if json_:
        print_json({"counts": counts, "bytes": size, "path": where})
    else:
        click.echo(_outcome(counts, size, where))
    if report_failures(pulled):
        raise SystemExit(SOME_FAILED)


@click.command("zip")
@click.argument("path", type=click.Path(dir_okay=False))
@_NAME
@_WAV
@_IDS
@click.option("--one-by-one", is_flag=True, help="Fetch each clip by itself, none by the service's own zips.")
@_DRY
@JSON
@filters
def zip_(
    path: str,
    name: str,
    format_: Literal["wav"] | None,
    ids: tuple[str, ...],
    one_by_one: bool,
    dry_run: bool,
    json_: bool,
    **chosen: Any,
) -> None:
    """Pull the audio of the rows that are meant into one zip; costs no credits.

    Exit code 5: some clips failed and are not in the zip.
    """
    items = _items(ids, chosen)
    if dry_run:
        _planned(hk.download_zip(items, path, name=name, format=format_, dry_run=True), json_)
        return
    packed = hk.download_zip(items, path, name=name, format=format_, bulk=not one_by_one)
    _report(packed, path, json_)


@click.command()
@click.argument("folder", default="audio")
@click.option("--forget", is_flag=True, help="Have the next pull fetch again what is changed or missing.")
@JSON
def verify(folder: str, forget: bool, json_: bool) -> None:
    """Read every file of a pull's FOLDER (audio) again and compare it with the manifest; no request.

    Exit code 5: some files are changed, missing or can't be read.
    """
    found = hk.verify(folder, forget=forget)
    facts = found.attrs["histkit"]
    if json_:
        print_json(facts | {"bytes": int(found["bytes"].sum())})
    else:
        click.echo(_outcome(facts["counts"], int(found["bytes"].sum()), folder))
    bad = found[found["status"] != "ok"]
    for path, error in zip(bad["path"].head(10), bad["error"].head(10), strict=True):
        click.echo(f"histkit: {path}: {error}", err=True)
    if len(bad):
        if not forget and set(bad["status"]) & {"changed", "missing"}:
            click.echo("histkit: --forget has the next pull fetch them again.", err=True)
        raise SystemExit(SOME_FAILED)


@click.command()
@_IDS
@click.option("--only-verified", metavar="FOLDER", help="Only rows whose audio is in this folder, read and hashed.")
@click.option("--confirm", is_flag=True, help="Do it; without this nothing is deleted.")
@click.option("--journal", default="data/deleted.jsonl", show_default=True, help="What was deleted is kept here.")
@JSON
@filters
def delete(
    ids: tuple[str, ...], only_verified: str | None, confirm: bool, journal: str, json_: bool, **chosen: Any
) -> None:
    """Delete the rows that are meant from the service; shows what it would do unless --confirm is given.

    The local history keeps the rows, marked deleted. Exit code 5: some rows could not be deleted.
    """
    items = _items(ids, chosen)
    everything = not ids and not any(chosen[name] for name in ("voice", "model", "source", "search", "after", "before"))
    if confirm and everything and chosen["limit"] is None:
        raise click.UsageError("This would delete the whole history: say which rows (--before, --voice, --id, ...).")
    done = hk.delete(items, confirm=confirm, only_verified=only_verified, journal=journal)
    if json_:
        print_json(done.attrs["histkit"])
    if report_failures(done):
        raise SystemExit(SOME_FAILED)


COMMANDS = (pull, zip_, verify, delete)
