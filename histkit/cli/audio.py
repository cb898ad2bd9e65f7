"""``histkit pull``, ``zip``, ``verify``, ``delete``."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Literal

import click
import pandas as pd

import histkit as hk
from histkit.audio.destination import open_destination
from histkit.audio.manifest import describe_plan, status_counts
from histkit.audio.zip_download import zip_output
from histkit.cli.common import (
    date_bounds,
    in_words_of_command,
    print_json,
    report_failures,
    reported_warnings,
    rows_of,
    was_typed,
)
from histkit.cli.group import SOME_FAILED
from histkit.cli.output import print_line, print_message, print_note
from histkit.deletion.delete import run_deletion
from histkit.retakes.keepers import parse_script
from histkit.util.outputs import OutputFile
from histkit.util.storage import local_path
from histkit.util.text import count_noun, format_size, join_counts

_SCRIPT_NAME = "{script_line:04}-{voice}-{text:.40}"


def _items(ids: tuple[str, ...], chosen: dict[str, Any]) -> pd.DataFrame:
    """Read the rows that the options select, and of these the ones with an id in `ids`, if there are any."""
    rows = rows_of(**chosen)
    if not ids:
        return rows
    unknown = sorted(set(ids) - set(rows["history_item_id"]))
    if unknown:
        raise click.UsageError(f"--id {unknown[0]}: the {len(rows):,} selected rows have no such id.")
    return rows[rows["history_item_id"].isin(ids)]


def _keepers(items: pd.DataFrame, script: list[str] | None, near: float | None) -> pd.DataFrame:
    """Select one take per line, or per line of a script; report lines without a take or with several voices."""
    selected = hk.keepers(items, script=script, near=near)
    facts = selected.attrs["histkit"]
    reports = {
        "missing_lines": "have no take",
        "lines_of_several_voices": "have takes of several voices, all of which are selected",
        "lines_of_several_accounts": "have takes in several accounts, all of which are selected (or use --account)",
    }
    for name, report in reports.items():
        numbers = facts.get(name)
        if numbers:
            first = ", ".join(map(str, numbers[:10])) + (", ..." if len(numbers) > 10 else "")
            print_message(f"{len(numbers):,} of {facts['lines']:,} lines of the script {report}: {first}")
    return selected


def _outcome(counts: dict[str, int], size: int, where: str) -> str:
    return f"{where}: {join_counts(counts)}, {format_size(size)}"


def _print_plan(plan: pd.DataFrame, json_: bool) -> None:
    facts = plan.attrs["histkit"]
    if json_:
        print_json(facts | {"counts": status_counts(plan)})
        return
    print_line(describe_plan(facts))
    others = {status: count for status, count in status_counts(plan).items() if status != "pending"}
    if others:
        print_line(f"Of the others: {join_counts(others)}.")
    pending = plan.loc[plan["status"] == "pending", "path"].head(5)
    for path in pending:
        print_line(f"  {path}")
    if facts["files"] > len(pending):
        print_line("  ...")


def pull(
    folder: str,
    name: str,
    format_: Literal["wav"] | None,
    ids: tuple[str, ...],
    overwrite: bool,
    sample_rate: int | None,
    dry_run: bool,
    workers: int | None,
    kept: bool,
    script: str | None,
    near: float | None,
    json_: bool,
    **chosen: Any,
) -> None:
    """Run ``histkit pull`` with the values of its options."""
    with closing(open_destination(folder)) as destination:  # these raise before anything is read
        destination.check()
    lines = None if script is None else [text for text, _ in parse_script(script)]
    items = _items(ids, chosen)
    if kept or script is not None:
        items = _keepers(items, lines, near)
        name = name if was_typed("name") or script is None else _SCRIPT_NAME
    elif near is not None:
        raise click.UsageError("--near needs --keepers or --script.")
    options: dict[str, Any] = {"name": name, "format": format_, "overwrite": overwrite, "workers": workers}
    options["sample_rate"] = sample_rate
    pulled = hk.download_audio(items, folder, dry_run=dry_run, **options)
    if dry_run:
        _print_plan(pulled, json_)
        return
    _print_result(pulled, folder, json_)


def _print_result(pulled: pd.DataFrame, where: str, json_: bool, output: OutputFile | None = None) -> None:
    """Print the counts of a download and its first failures; on stderr alone if the zip was streamed."""
    counts, size = status_counts(pulled), int(pulled["bytes"].sum())
    facts = {"counts": counts, "bytes": size, "path": where}
    streamed, replaced = (output is not None and output.streamed), (output is not None and output.exists)
    if json_:
        print_json(facts if output is None else facts | {"replaced": replaced}, err=streamed)
    else:
        (print_note if streamed else print_line)(_outcome(counts, size, where) + " (replaced)" * replaced)
    _print_notes(pulled)
    if report_failures(pulled):
        raise SystemExit(SOME_FAILED)


def _print_notes(pulled: pd.DataFrame) -> None:
    """Print reservations about clips that were saved."""
    saved = pulled[pulled["status"].isin(["done", "skipped"])]
    for note, count in saved["error"].value_counts().items():
        print_message(f"{count_noun(count, 'clip')}: {in_words_of_command(str(note))}")


def zip_(
    path: str,
    name: str,
    format_: Literal["wav"] | None,
    ids: tuple[str, ...],
    one_by_one: bool,
    sample_rate: int | None,
    dry_run: bool,
    force: bool,
    json_: bool,
    **chosen: Any,
) -> None:
    """Run ``histkit zip`` with the values of its options."""
    output = zip_output(path, force=force)
    items = _items(ids, chosen)
    options: dict[str, Any] = {"name": name, "format": format_, "sample_rate": sample_rate, "force": force}
    if dry_run:
        _print_plan(hk.download_zip(items, path, dry_run=True, **options), json_)
        return
    packed = hk.download_zip(items, path, bulk=not one_by_one, **options)
    _print_result(packed, path, json_, output)


def verify(folder: str, forget: bool, prove: bool, json_: bool) -> None:
    """Run ``histkit verify`` with the values of its options."""
    checked = hk.verify(folder, forget=forget, prove=prove)
    facts = checked.attrs["histkit"]
    if json_:
        print_json(facts | {"bytes": int(checked["bytes"].sum())})
    else:
        print_line(_outcome(facts["counts"], int(checked["bytes"].sum()), folder))
        _print_proofs(checked, prove)
    bad = checked[checked["status"] != "ok"]
    for path, error in zip(bad["path"].head(10), bad["error"].head(10), strict=True):
        print_message(f"{path}: {error}")
    if len(bad):
        if not forget and {"changed", "damaged"} & set(bad["status"]):
            print_message("with --forget, the next pull replaces changed and damaged files.")
        raise SystemExit(SOME_FAILED)


def _print_proofs(checked: pd.DataFrame, prove: bool) -> None:
    """Print how the clips are known to be whole, if not all show it themselves."""
    proofs = checked.attrs["histkit"]["proofs"]
    if set(proofs) <= {"structure"}:
        return
    words = {"structure": "by their structure", "hash": "by a second download", "length": "by their length only"}
    known = ", ".join(f"{proofs[proof]:,} {word}" for proof, word in words.items() if proof in proofs)
    print_line(
        f"Known to be whole: {known or 'none'}" + (f"; not known: {proofs['none']:,}" if "none" in proofs else "")
    )
    notes = checked[(checked["status"] == "ok") & checked["error"].notna()]
    for path, error in zip(notes["path"].head(10), notes["error"].head(10), strict=True):
        print_message(f"{path}: {error}")
    if not prove and {"length", "none"} & set(proofs):
        print_message("with --prove, they are downloaded again and compared.")


def delete(
    ids: tuple[str, ...], only_verified: str | None, confirm: bool, journal: str, json_: bool, **chosen: Any
) -> None:
    """Run ``histkit delete`` with the values of its options."""
    local_path(chosen["history"])  # the rows are marked there
    bounds = date_bounds(**{name: chosen.pop(name) for name in ("after", "before", "since", "until", "tz")})
    conditions = (*ids, bounds.description, *(chosen[name] for name in ("voice", "model", "source", "search", "text")))
    if confirm and not any(conditions) and chosen["limit"] is None:
        raise click.UsageError("This would delete the complete history: select rows (--before, --voice, --id, ...).")
    if bounds.description:
        print_note(bounds.description)
    items = _items(ids, {**chosen, "after": bounds.after, "before": bounds.before})
    options: dict[str, Any] = {"confirm": confirm, "only_verified": only_verified, "journal": journal}
    with reported_warnings():
        done = run_deletion(items, lambda line: print_note(in_words_of_command(line)), **options)
    if json_:
        print_json(done.attrs["histkit"])
    if report_failures(done) or done.attrs["histkit"]["interrupted"]:
        raise SystemExit(SOME_FAILED)
