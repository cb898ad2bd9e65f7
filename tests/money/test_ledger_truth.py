"""The ledger of simulated accounts beside what really happened in them."""

from __future__ import annotations

import statistics

import numpy as np
import pandas as pd
import pytest

from histkit.money.ledger import FROM, TO, chain_counters
from tests.effort import examples
from tests.money.accounts import Truth, simulate


def chained(truth: Truth) -> dict[str, int]:
    """Sum what the ledger finds in the rows of an account."""
    date, start, stop = np.array(truth.rows, np.int64).T
    frame = pd.DataFrame({"date": pd.to_datetime(date, unit="s", utc=True), FROM: start, TO: stop})
    entries = chain_counters(frame)
    sums = {name: int(vars(entries)[name].sum()) for name in ("spent", "unseen", "overlap", "adjustment", "unknown")}
    return {**sums, "resets": len(entries.reset_rows)}


def test_accounts_without_refunds_are_exact() -> None:
    refilled = 0
    for seed in range(number := examples(60)):
        truth = simulate(seed)
        found = chained(truth)
        if truth.refilled:
            refilled += 1
            continue
        expected = (truth.unseen, truth.resets, 0, 0, 0)
        assert tuple(found[name] for name in ("unseen", "resets", "adjustment", "overlap", "unknown")) == expected, seed
    assert refilled <= number // 50


@pytest.mark.parametrize("concurrent", [0.0, 0.4])
def test_refunds_make_no_false_reset_and_hardly_change_what_is_unseen(concurrent: float) -> None:
    errors, missed = [], 0
    for seed in range(number := max(15, examples(15))):
        truth = simulate(seed, refunds=0.03, concurrent=concurrent)
        found = chained(truth)
        assert found["resets"] <= truth.resets, seed
        missed += truth.resets - found["resets"]
        errors.append(abs(found["unseen"] - truth.unseen) / (found["spent"] + truth.unseen))
    assert statistics.median(errors) < 0.002
    assert missed <= number // 50


def test_concurrent_calls_alone_are_hardly_ever_taken_for_refunds() -> None:
    errors = []
    for seed in range(max(20, examples(20))):
        truth = simulate(seed, concurrent=0.4)
        found = chained(truth)
        assert found["resets"] <= truth.resets, seed
        errors.append(abs(found["unseen"] - truth.unseen) / (found["spent"] + truth.unseen))
    assert statistics.median(errors) == 0
    assert statistics.quantiles(errors, n=10)[-1] < 0.01
