"""``python -m benchmarks.forecast``: how often the band of the quota's forecast holds, on made-up accounts.

Accounts of eight kinds are made, each with a history of three weeks to fourteen months, and forecast from a random
instant of a billing cycle to its end, where the truth is known. The seeds of the table are not those that the forecast
was tuned on. ``--write`` puts the table into docs/howto/quota.md. ``--prior`` prints the misses of accounts of the
tuning seeds, which are `histkit.money.calibration.PRIOR`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from histkit.money.calibration import DailySums, sampled_band
from histkit.money.forecast import forecast

DAY = 86_400
HELD_OUT, TUNING = 1_000_000, 0  # the first seeds
ACCOUNTS, PRIOR_ACCOUNTS = 200, 250  # of each kind
PAGE = Path(__file__).parent.parent / "docs/howto/quota.md"
_YEAR_2025 = 1_735_689_600
_MONTHS = 17
_MISS_PENALTY = 10  # 2 / (1 - 0.8)


@dataclass(frozen=True)
class Account:
    """A made-up account.

    Attributes
    ----------
    frame : pandas.DataFrame
        Its history up to `now`, newest first.
    subscription : dict
        Its subscription at `now`.
    truth : int
        Its counter just before the reset.
    month : float
        Its credits in thirty days, for scale: of the last two months or of its whole life, whichever is higher.
    """

    kind: str
    frame: pd.DataFrame
    subscription: dict[str, Any]
    now: pd.Timestamp
    truth: int
    month: float


@dataclass(frozen=True)
class Outcome:
    """Whether the band held the truth, its interval score, and the account's own back-test."""

    kind: str
    held: bool
    score: float
    backtest: tuple[int, int]


def _noise(random: np.random.Generator, size: int, spread: float) -> Any:
    return random.lognormal(-spread * spread / 2, spread, size)


def steady(random: np.random.Generator, weekdays: Any) -> Any:
    """Use about the same every day."""
    return _noise(random, len(weekdays), random.uniform(0.2, 0.6))


def weekday(random: np.random.Generator, weekdays: Any) -> Any:
    """Use about the same on working days, and little or nothing at the weekend."""
    return np.where(weekdays < 5, 1, random.uniform(0, 0.15)) * steady(random, weekdays)


def sparse(random: np.random.Generator, weekdays: Any) -> Any:
    """Use something on one day in five to twenty."""
    active = random.random(len(weekdays)) < random.uniform(0.05, 0.2)
    return active * _noise(random, len(weekdays), random.uniform(0.5, 1))


def deadlines(random: np.random.Generator, weekdays: Any) -> Any:
    """Use four to ten times as much in the days before a deadline, every two to six weeks."""
    days, day = random.uniform(0.05, 0.4) * _noise(random, len(weekdays), 0.5), -int(random.integers(0, 30))
    every, length, height = random.uniform(14, 42), int(random.integers(2, 6)), random.uniform(4, 10)
    while day < len(days):
        day += max(5, round(every * random.normal(1, 0.12)))
        days[max(0, day - length) : max(0, day)] *= height * _noise(random, 1, 0.4)
    return days


def bursts(random: np.random.Generator, weekdays: Any) -> Any:
    """Work on projects of three to twelve days, with pauses of five to thirty."""
    days, day = np.zeros(len(weekdays)), -int(random.integers(0, 20))
    pause, length = random.uniform(5, 30), random.uniform(3, 12)
    while day < len(days):
        stop = day + 1 + random.poisson(length)
        days[max(0, day) : max(0, stop)] = random.lognormal(0, 0.5)
        day = stop + 1 + round(random.exponential(pause))
    return days * _noise(random, len(days), 0.5)


def sessions(random: np.random.Generator, weekdays: Any) -> Any:
    """Have single sessions of very different size, one to five a week."""
    counts = random.poisson(random.uniform(0.15, 0.7), len(weekdays))
    return np.array([random.lognormal(0, 1.1, count).sum() for count in counts])


def regime_change(random: np.random.Generator, weekdays: Any) -> Any:
    """Change the level by up to a factor of three, every one to four months."""
    dwell, level = random.uniform(30, 120), 1.0
    days, day = np.zeros(len(weekdays)), -int(random.uniform(0, dwell))
    while day < len(days):
        stop = day + 7 + round(random.exponential(dwell))
        days[max(0, day) : max(0, stop)] = level
        level, day = float(np.clip(level * np.exp(random.uniform(-1.1, 1.1)), 0.05, 20)), stop
    return days * np.where(weekdays < 5, 1, random.uniform(0.2, 1)) * _noise(random, len(days), 0.4)


def growth(random: np.random.Generator, weekdays: Any) -> Any:
    """Use ten per cent less to thirty per cent more each month."""
    rate = np.log(random.uniform(0.9, 1.3)) / 30
    week = np.where(weekdays < 5, 1, random.uniform(0.2, 1))
    return np.exp(rate * np.arange(len(weekdays))) * week * _noise(random, len(weekdays), 0.4)


KINDS: dict[str, Callable[[np.random.Generator, Any], Any]] = {
    "steady": steady,
    "weekday": weekday,
    "sparse": sparse,
    "deadlines": deadlines,
    "bursts": bursts,
    "sessions": sessions,
    "regime change": regime_change,
    "growth": growth,
}


def make_account(kind: str, seed: int, shortest: int = 21, longest: int = 425) -> Account:
    """Make an account of one kind whose history is `shortest` to `longest` days long, with a row before today."""
    for attempt in range(1000):
        random = np.random.default_rng([list(KINDS).index(kind), seed, attempt])
        account = _draw(kind, random, shortest, longest)
        if account is not None:
            return account
    raise AssertionError(f"{kind} {seed}: no history in a thousand")


def _draw(kind: str, random: np.random.Generator, shortest: int, longest: int) -> Account | None:
    reset = _YEAR_2025 + int(random.integers(450 * DAY, 800 * DAY))
    stamp = pd.Timestamp(reset, unit="s", tz="UTC")
    resets = np.array([(stamp - pd.DateOffset(months=back)).timestamp() for back in range(_MONTHS, -1, -1)], np.int64)
    begin = int(resets[-2])
    now = int(random.integers(begin, reset))
    first = now - int(random.integers(shortest, longest + 1)) * DAY
    starts = np.arange(first // DAY, reset // DAY + 1)
    levels = KINDS[kind](random, (starts + 3) % 7)  # 1970 began on a Thursday
    times, spent = _rows(random, starts * DAY, levels * random.lognormal(np.log(3000), 1.3))
    inside = (times >= first) & (times < reset)
    times, spent = times[inside], spent[inside]
    past = times <= now
    if not len(times) or times[0] // DAY >= now // DAY:
        return None
    total = np.cumsum(spent)
    cycle_starts = np.r_[0, np.r_[0, total][np.searchsorted(times, resets)]]
    after = total - cycle_starts[np.searchsorted(resets, times, "right")]
    frame = pd.DataFrame(
        {
            "history_item_id": [f"row{number}" for number in range(int(past.sum()))],
            "date": pd.to_datetime(times[past], unit="s", utc=True).astype("datetime64[us, UTC]"),
            "credits": pd.array(spent[past], "Int64"),
            "character_count_change_from": pd.array((after - spent)[past], "Int64"),
            "character_count_change_to": pd.array(after[past], "Int64"),
        }
    )
    plan = {
        "character_count": int(spent[past & (times >= begin)].sum()),
        "character_limit": 10**9,
        "next_character_count_reset_unix": reset,
        "character_refresh_period": "monthly_period",
    }
    month = 30 * max(spent[times > reset - 60 * DAY].sum() / 60, spent.sum() / len(starts), 1)
    truth = int(spent[times >= begin].sum())
    return Account(kind, frame[::-1].reset_index(drop=True), plan, stamp - pd.Timedelta(reset - now, "s"), truth, month)


def _rows(random: np.random.Generator, starts: Any, levels: Any) -> tuple[Any, Any]:
    """Divide the credits of each day among rows at times around a usual hour, sorted by time."""
    counts = np.where(levels > 0, 1 + random.poisson(random.uniform(1, 12), len(levels)), 0)
    days = np.repeat(np.arange(len(levels)), counts)
    hours = np.clip(random.normal(random.uniform(8, 18), random.uniform(1, 4), len(days)), 0, 23.99)
    times = starts[days] + (3600 * hours).astype(np.int64)
    shares = random.exponential(1, len(days))
    spent = np.round(levels[days] * shares / np.bincount(days, shares, len(levels))[days]).astype(np.int64)
    order = np.argsort(times, kind="stable")
    return times[order], spent[order]


def measure(kind: str, seed: int) -> Outcome:
    """Forecast one account and compare with the truth."""
    account = make_account(kind, seed)
    table = forecast(account.frame, subscription=account.subscription, now=account.now)
    facts = table.attrs["histkit"]
    low, high = facts["projected"]["p10"], facts["projected"]["p90"]
    test = facts["backtest"] or {"held": 0, "of": 0}
    held, score = judge(low, high, account.truth)
    return Outcome(kind, held, score / account.month, (test["held"], test["of"]))


def judge(low: float, high: float, truth: float) -> tuple[bool, float]:
    """Return whether a band of 80 % holds the truth, and its interval score: its width, and ten times each miss."""
    missed = max(0.0, low - truth, truth - high)
    return not missed, high - low + _MISS_PENALTY * missed


def outcomes(accounts: int, first_seed: int = HELD_OUT, workers: int = 2) -> list[Outcome]:
    """Measure so many accounts of each kind."""
    kinds = [kind for kind in KINDS for _ in range(accounts)]
    seeds = [first_seed + number for _ in KINDS for number in range(accounts)]
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(measure, kinds, seeds, chunksize=10))


def coverage_table(results: list[Outcome]) -> str:
    """Return the table of the documentation."""
    by_kind = {kind: [result for result in results if result.kind == kind] for kind in KINDS}
    lines = ["| kind of account | the band held | interval score |", "|---|---:|---:|"]
    for kind, group in {**by_kind, "**all**": list(results)}.items():
        held, score = np.mean([one.held for one in group]), np.mean([one.score for one in group])
        lines.append(f"| {kind} | {100 * held:.1f} % | {score:.2f} |")
    return "\n".join(lines)


def prior_misses(shortest: int, longest: int, accounts: int) -> list[float]:
    """Return the misses of the sampled band at the reset, in steps of five per cent, on the tuning seeds."""
    kinds = [kind for kind in KINDS for _ in range(accounts)]
    seeds = [TUNING + number for _ in KINDS for number in range(accounts)]
    with ProcessPoolExecutor(2) as pool:
        misses = list(pool.map(partial(_miss, shortest, longest), kinds, seeds, chunksize=10))
    return [round(float(miss), 3) for miss in np.quantile(misses, np.arange(1, 20) / 20)]


def _miss(shortest: int, longest: int, kind: str, seed: int) -> float:
    account = make_account(kind, seed, shortest, longest)
    times = account.frame["date"].to_numpy("datetime64[s]").astype(np.int64)
    credits = account.frame["credits"].to_numpy(np.int64)
    now, reset = int(account.now.timestamp()), account.subscription["next_character_count_reset_unix"]
    first, today = int(times.min()) // DAY, now // DAY
    late, early = times % DAY > now % DAY, times % DAY < reset % DAY

    def by_day(inside: Any) -> Any:
        return np.bincount(times[inside] // DAY - first, credits[inside], today - first + 1).astype(np.int64)

    sums = DailySums(by_day(times <= now), by_day(late), by_day(early), by_day(late & early), 0)
    spent = account.truth - account.subscription["character_count"]
    return float(sampled_band(sums, reset // DAY - today).miss(np.array(spent))[-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=ACCOUNTS, help="of each kind")
    parser.add_argument("--write", action="store_true", help="write the table into docs/howto/quota.md")
    parser.add_argument("--prior", action="store_true", help="print the misses of the tuning seeds")
    arguments = parser.parse_args()
    if arguments.prior:
        for shortest, longest in ((1, 6), (7, 13), (14, 27), (28, 425)):
            print(shortest, prior_misses(shortest, longest, PRIOR_ACCOUNTS))
        return
    results = outcomes(arguments.accounts)
    table = coverage_table(results)
    print(table)
    tested = [one.backtest for one in results if one.backtest[1]]
    held, of = (sum(counts) for counts in zip(*tested, strict=True))
    print(
        f"back-tests of their own: {100 * held / of:.1f} % of {of:,} windows, for {len(tested):,} of {len(results):,}"
    )
    if arguments.write:
        head, _, rest = PAGE.read_text().partition("<!-- coverage -->")
        tail = rest.partition("<!-- /coverage -->")[2]
        PAGE.write_text(f"{head}<!-- coverage -->\n{table}\n<!-- /coverage -->{tail}")


if __name__ == "__main__":
    main()
