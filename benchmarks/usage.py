"""Usage, takes, ledger, costs, a statement and a whole report of a million rows in memory.

Usage is compared with a groupby by hand, the ledger and the statement with what one would write for them in pandas,
polars and DuckDB (`benchmarks.money`).

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
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pandas as pd

from benchmarks import money
from benchmarks.measure import peak_megabytes

TURNS = 5
MEASURES = ["items", "characters", "credits"]


def by_hand(df: pd.DataFrame, name: str) -> pd.DataFrame:
    """Sum as people write it: a dialogue has no voice of its own and ends up under no name."""
    groups = df[[name, "characters", "credits"]].groupby([name, _months(df)], observed=True, dropna=False)
    return groups.agg(
        items=("credits", "size"), characters=("characters", "sum"), credits=("credits", "sum")
    ).reset_index()


def by_hand_shared(df: pd.DataFrame) -> pd.DataFrame:
    """Sum by voice and month with each dialogue shared out among its voices, as histkit counts."""
    rows = shared_out(df, "date")
    return rows.groupby(["voice_id", _months(rows)], observed=True, dropna=False)[MEASURES].sum().reset_index()


def _months(df: pd.DataFrame) -> pd.Series:
    """Return the month of each row, by which groups are summed faster than by ``pd.Grouper``."""
    return df["date"].dt.tz_localize(None).dt.to_period("M")


def shared_out(df: pd.DataFrame, kept: str) -> pd.DataFrame:
    """Return a row for each voice of each row, with its shares and one more column of the row."""
    talks = df.loc[df["dialogue"].notna(), [kept, "characters", "credits", "dialogue"]].reset_index(names="row")
    lines = talks.assign(dialogue=talks["dialogue"].map(json.loads).astype(object)).explode(
        "dialogue", ignore_index=True
    )
    said = pd.DataFrame(
        {
            "row": lines["row"],
            "voice_id": lines["dialogue"].str["voice_id"],
            "weight": lines["dialogue"].str["text"].str.len().astype("int64"),
        }
    )
    parts = said.groupby(["row", "voice_id"], sort=False)["weight"].sum().reset_index()
    parts = parts[parts["weight"] > 0].merge(talks.drop(columns="dialogue"), on="row").assign(items=1)
    for name in MEASURES:
        parts[name] = _largest_remainder(parts, name)
    rest = df.loc[df["dialogue"].isna(), ["voice_id", kept, "characters", "credits"]].assign(items=1)
    voices = pd.api.types.union_categoricals([rest["voice_id"].array, pd.Categorical(parts["voice_id"].astype("str"))])
    both = pd.concat([rest.drop(columns="voice_id"), parts[[kept, "characters", "credits", "items"]]])
    both["voice_id"] = voices
    return both


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


def ledger_compared(df: pd.DataFrame) -> dict[str, float]:
    """Chain the counters by day, in turn with a chain by hand in pandas, polars and DuckDB."""
    import histkit as hk

    ours = {"histkit": lambda: hk.ledger(df, "D").rename(columns={"seen": "credits"})}
    return in_turn(df, ours | {name: partial(chain, df) for name, chain in money.LEDGERS.items()})


def statement_compared(df: pd.DataFrame) -> dict[str, float]:
    """Bill one client of 15 for one month, with dialogues shared out, in turn with a bill by hand."""
    import histkit as hk

    df = money.labelled(df)
    ours: dict[str, Callable[[], pd.DataFrame]] = {
        "histkit": lambda: hk.statement(df, money.CLIENT, money.MONTH, prices=money.PRICES)
    }
    by_hand: dict[str, Callable[[], pd.DataFrame]] = {
        "pandas": lambda: money.bill_in_pandas(shared_out(money.rows_of(df, money.CLIENT), "model_id")),
        **{name: partial(bill, df) for name, bill in money.STATEMENTS.items()},
    }
    return in_turn(money.rows_of(df, money.CLIENT), ours | by_hand)


def in_turn(df: pd.DataFrame, jobs: Mapping[str, Callable[[], pd.DataFrame]]) -> dict[str, float]:
    """Do jobs in turn, several times; return the median seconds of each."""
    runs: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(TURNS):
        for name, job in jobs.items():
            started = time.perf_counter()
            table = job()
            runs[name].append(time.perf_counter() - started)
            if round(table["credits"].sum()) != int(df["credits"].sum()):
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


def statement(df: pd.DataFrame) -> None:
    """Bill one client for one month."""
    import histkit as hk

    hk.statement(money.labelled(df), money.CLIENT, money.MONTH, prices=money.PRICES)


def costs(df: pd.DataFrame) -> None:
    """Price everything, by voice and month."""
    import histkit as hk

    hk.cost_table(df, "voice", "MS", prices=money.PRICES)


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
        hk.report(df, f"{folder}/report.html", prices=money.PRICES, subscription=plan, now=newest)


ONE_BY_ONE: dict[str, Callable[[pd.DataFrame], None]] = {
    job.__name__: job for job in (takes, ledger, statement, costs, report)
}
COMPARED: dict[str, Callable[[pd.DataFrame], dict[str, float]]] = {
    job.__name__: job for job in (usage_model, usage_voice, ledger_compared, statement_compared)
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
    for job, words in _BILLS.items():
        lines.append(compared_line(words, medians[f"{job}_compared"], _more(medians[job])))
    for job, words in (
        ("takes", "takes of all texts"),
        ("costs", "costs by voice and month"),
        ("report", "report as HTML, with prices and quota"),
    ):
        median = medians[job]
        lines.append(f"| {words} | **{median['seconds']:.1f} s**, {_more(median):.0f} MB beyond the peak of loading |")
    lines.append(f"| ... the frame alone, loaded | peak {medians['takes']['loaded_mb']:.0f} MB |")
    return "\n".join(lines)


_BILLS = {"ledger": "ledger by day", "statement": "statement of one client for one month, with prices"}


def _more(median: Mapping[str, float]) -> float:
    return max(median["peak_mb"] - median["loaded_mb"], 0.0)


def compared_line(words: str, seconds: Mapping[str, float], megabytes: float) -> str:
    """Return the line of a job beside the same by hand, the fastest first."""
    ours = seconds["histkit"]
    peers = sorted((took, name) for name, took in seconds.items() if name != "histkit")
    beside = ", ".join(f"{name} {took:.2f} s ({took / ours:.2g}x)" for took, name in peers)
    return f"| {words} | **{ours:.2f} s**, {megabytes:.0f} MB beyond the peak of loading; by hand {beside} |"


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
