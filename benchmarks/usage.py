"""Usage, takes, ledger, costs and a whole report of a million rows in memory; usage beside a groupby by hand.

``python -m benchmarks.usage JOB FOLDER`` loads the local history in FOLDER, does one job and prints as JSON how many
seconds it took, the peak of memory and that of loading alone. What is compared runs in turn in one process.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import pandas as pd

from benchmarks.measure import peak_megabytes

TURNS = 5
PRICES = {"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]}


def by_hand(df: pd.DataFrame, name: str) -> pd.DataFrame:
    """Sum as people write it: a dialogue has no voice of its own and ends up under no name."""
    keys = [name, pd.Grouper(key="date", freq="MS")]
    groups = df[[name, "date", "characters", "credits"]].groupby(keys, observed=True, dropna=False)
    return groups.agg(
        items=("credits", "size"), characters=("characters", "sum"), credits=("credits", "sum")
    ).reset_index()


def by_hand_shared(df: pd.DataFrame) -> pd.DataFrame:
    """Sum by voice with each dialogue shared out among its voices, as histkit counts."""
    talks = df.loc[df["dialogue"].notna(), ["date", "characters", "credits", "dialogue"]].reset_index(names="row")
    lines = talks.assign(dialogue=talks["dialogue"].map(json.loads)).explode("dialogue", ignore_index=True)
    said = pd.DataFrame(
        {
            "row": lines["row"],
            "voice_id": lines["dialogue"].str["voice_id"],
            "weight": lines["dialogue"].str["text"].str.len().astype("int64"),
        }
    )
    parts = said.groupby(["row", "voice_id"], sort=False)["weight"].sum().reset_index()
    parts = parts[parts["weight"] > 0].merge(talks.drop(columns="dialogue"), on="row").assign(items=1)
    for name in ("items", "characters", "credits"):
        parts[name] = _largest_remainder(parts, name)
    rest = df.loc[df["dialogue"].isna(), ["voice_id", "date", "characters", "credits"]].assign(items=1)
    voices = pd.api.types.union_categoricals([rest["voice_id"].array, pd.Categorical(parts["voice_id"].astype("str"))])
    both = pd.concat([rest.drop(columns="voice_id"), parts[["date", "characters", "credits", "items"]]])
    both["voice_id"] = voices
    keys = ["voice_id", pd.Grouper(key="date", freq="MS")]
    return both.groupby(keys, observed=True, dropna=False)[["items", "characters", "credits"]].sum().reset_index()


def _largest_remainder(parts: pd.DataFrame, name: str) -> pd.Series:
    exact = parts[name] * parts["weight"]
    whole = parts.groupby("row")["weight"].transform("sum")
    share = exact // whole
    left = parts[name] - share.groupby(parts["row"]).transform("sum")
    rank = (exact % whole).groupby(parts["row"]).rank(method="first", ascending=False)
    return share + (rank <= left)


def usage_model(df: pd.DataFrame) -> dict[str, float]:
    """Sum by model and month, in turn with a groupby by hand."""
    import histkit as hk

    return in_turn(
        df, {"histkit": lambda: hk.usage_table(df, "model", "MS"), "by hand": lambda: by_hand(df, "model_id")}
    )


def usage_voice(df: pd.DataFrame) -> dict[str, float]:
    """Sum by voice and month, in turn with two groupbys by hand."""
    import histkit as hk

    return in_turn(
        df,
        {
            "histkit": lambda: hk.usage_table(df, "voice", "MS"),
            "by hand": lambda: by_hand(df, "voice_id"),
            "by hand, shared": lambda: by_hand_shared(df),
        },
    )


def in_turn(df: pd.DataFrame, jobs: dict[str, Callable[[], pd.DataFrame]]) -> dict[str, float]:
    """Do jobs in turn, several times; return the median seconds of each."""
    runs: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(TURNS):
        for name, job in jobs.items():
            started = time.perf_counter()
            table = job()
            runs[name].append(time.perf_counter() - started)
            if int(table["credits"].sum()) != int(df["credits"].sum()):
                raise SystemExit(f"{name} lost credits.")
    return {name: statistics.median(seconds) for name, seconds in runs.items()}


def takes(df: pd.DataFrame) -> None:
    """Find the takes of all lines."""
    import histkit as hk

    hk.takes(df)


def ledger(df: pd.DataFrame) -> None:
    """Chain the counters, by day."""
    import histkit as hk

    hk.ledger(df, "D")


def costs(df: pd.DataFrame) -> None:
    """Price everything, by voice and month."""
    import histkit as hk

    hk.cost_table(df, "voice", "MS", prices=PRICES)


def report(df: pd.DataFrame) -> None:
    """Write a whole report with prices and quota as HTML; importing matplotlib is part of it."""
    import histkit as hk

    newest = df["date"].max()
    plan = {
        "character_count": 60_000,
        "character_limit": 110_000,
        "next_character_count_reset_unix": int(newest.timestamp()) + 9 * 86_400,
    }
    with tempfile.TemporaryDirectory() as folder:
        hk.report(df, f"{folder}/report.html", prices=PRICES, subscription=plan, now=newest)


ONE_BY_ONE: dict[str, Callable[[pd.DataFrame], None]] = {job.__name__: job for job in (takes, ledger, costs, report)}
COMPARED: dict[str, Callable[[pd.DataFrame], dict[str, float]]] = {
    job.__name__: job for job in (usage_model, usage_voice)
}


def once(job: str, folder: str) -> dict[str, Any]:
    """Do a job in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.usage", job, folder]
    result: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    print(f"  {job}: {result}", file=sys.stderr)
    return result


def table(folder: str, rounds: int) -> str:
    """Measure everything on the local history of a folder; return the table."""
    runs: dict[str, list[dict[str, Any]]] = {job: [] for job in (*COMPARED, *ONE_BY_ONE)}
    for _ in range(rounds):
        for job, results in runs.items():
            results.append(once(job, folder))
    medians = {
        job: {name: statistics.median(run[name] for run in results) for name in results[0]}
        for job, results in runs.items()
    }
    lines = ["| a frame of 1,000,000 rows | |", "|---|---|"]
    for job, words in (("usage_model", "model"), ("usage_voice", "voice")):
        seconds = medians[job]
        ours, plain = seconds["histkit"], seconds["by hand"]
        line = f"| usage by {words} and month | **{ours:.2f} s**; a groupby by hand {plain:.2f} s ({plain / ours:.1f}x)"
        if "by hand, shared" in seconds:
            shared = seconds["by hand, shared"]
            line += f", with dialogues shared out {shared:.2f} s ({shared / ours:.1f}x)"
        lines.append(f"{line} |")
    for job, words in (
        ("takes", "takes of all texts"),
        ("ledger", "ledger by day"),
        ("costs", "costs by voice and month"),
        ("report", "report as HTML, with prices and quota"),
    ):
        median = medians[job]
        more = median["peak_mb"] - median["loaded_mb"]
        lines.append(f"| {words} | **{median['seconds']:.1f} s**, {max(more, 0):.0f} MB beyond the peak of loading |")
    lines.append(f"| ... the frame alone, loaded | peak {medians['takes']['loaded_mb']:.0f} MB |")
    return "\n".join(lines)


def main() -> None:
    """Do one job."""
    job, folder = sys.argv[1:]
    import histkit as hk

    hk.usage_table(hk.sample_history(10), "voice", "MS")
    df = hk.load(folder)
    loaded = peak_megabytes()
    if job in COMPARED:
        print(json.dumps(COMPARED[job](df)))
        return
    started = time.perf_counter()
    ONE_BY_ONE[job](df)
    print(json.dumps({"seconds": time.perf_counter() - started, "peak_mb": peak_megabytes(), "loaded_mb": loaded}))


if __name__ == "__main__":
    main()
