"""The band of a forecast: sample the days ahead in blocks of a week, and widen it by how far past bands missed.

The sampled band alone is too narrow, because the days ahead are not the last eight weeks again. So it is tested where
the outcome is known: on past days of the same account, at the same time of day and as many days ahead (a back-test).
A miss is the logarithm of the ratio by which the outcome lay outside the band; it is negative if the outcome lay
inside. The band is widened on both sides by the 80th percentile of the misses (conformalized quantile regression;
Romano, Patterson and Candes, 2019). Older misses count less, and so do those of windows that overlap.

A short history has few misses or none. Those of made-up accounts (`PRIOR`) are added with the weight of six windows: at
first they decide alone, after a year they matter little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from histkit.util.arrays import Floats, Ints

SEED, PATHS, PAST_PATHS = 0, 2000, 400
PERCENTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
COVERAGE = 0.8  # of the band from p10 to p90
WEEK, SAMPLED_DAYS, BACK_DAYS = 7, 56, 400
FEW_DAYS, ENOUGH_DAYS = 14, 28
# Misses of made-up accounts by days of history, in steps of five per cent: see `benchmarks.forecast`.
# fmt: off
PRIOR: dict[int, tuple[float, ...]] = {
    0: (-0.305, -0.197, -0.141, -0.105, -0.076, -0.049, -0.025, 0.0, 0.011, 0.037, 0.068, 0.101, 0.141, 0.183, 0.259,
        0.333, 0.426, 0.54, 0.828),
    7: (-0.331, -0.214, -0.164, -0.132, -0.11, -0.092, -0.077, -0.063, -0.048, -0.034, -0.018, 0.0, 0.002, 0.022, 0.052,
        0.1, 0.171, 0.274, 0.428),
    14: (-0.294, -0.179, -0.105, -0.071, -0.052, -0.034, -0.022, -0.011, 0.0, 0.0, 0.011, 0.026, 0.043, 0.067, 0.094,
         0.129, 0.197, 0.294, 0.514),
    28: (-0.406, -0.299, -0.219, -0.155, -0.111, -0.084, -0.066, -0.051, -0.038, -0.026, -0.015, -0.002, 0.0, 0.003,
         0.016, 0.039, 0.078, 0.13, 0.238),
}
# fmt: on
_PRIOR_WEIGHT = 6.0
_HALF_LIFE = 100.0  # days
_LARGEST_MISS = 3.0  # twenty-fold


@dataclass(frozen=True)
class DailySums:
    """Credits of each past day, oldest first; arrays of shape (days + 1,), the last is today.

    Attributes
    ----------
    whole : int64 array
        Of the whole day (today: up to now).
    rest : int64 array
        After the time of day at which the forecast is made.
    start : int64 array
        Before the time of day at which it ends; the whole day if it ends at midnight.
    between : int64 array
        Between the two.
    oldest : int
        The first day of the history.
    """

    whole: Ints
    rest: Ints
    start: Ints
    between: Ints
    oldest: int

    @property
    def today(self) -> int:
        """The position of today."""
        return len(self.whole) - 1

    def mean(self, day: int) -> float:
        """Return the mean of the days before `day`; 1 if they have no credits."""
        return float(self.whole[self.oldest : day].mean()) or 1.0

    def outcome(self, day: int, ahead: int, columns: int) -> Ints:
        """Return the credits spent since the forecast of `day`, at the end of each of the first `columns` days."""
        spent = self.whole[day : day + columns].copy()
        if columns > ahead:
            spent[ahead] = self.start[day + ahead]
        if columns:
            spent[0] = self.rest[day] if ahead else self.between[day]
        return np.cumsum(spent)


@dataclass(frozen=True)
class Band:
    """Credits spent from now to the end of each day ahead.

    Attributes
    ----------
    p10, p50, p90 : float64 arrays, shape (days,)
        Percentiles in whole credits; not negative, not falling.
    held, tested : int
        In how many of the past windows that don't overlap the band of that day held the outcome at the end.
    """

    p10: Floats
    p50: Floats
    p90: Floats
    held: int
    tested: int


@dataclass(frozen=True)
class SampledBand:
    """Credits spent by the end of each day ahead, as sampled.

    Attributes
    ----------
    quantiles : int64 array, shape (3, days)
        The percentiles.
    unit : float64 array, shape (days,)
        What misses are relative to: the mean, and one average day, so that a miss of little by nothing stays small.
    """

    quantiles: Ints
    unit: Floats

    def miss(self, outcome: Ints) -> Floats:
        """Return how far the outcome of each day lay outside the band."""
        low, _, high = self._logs(self.quantiles)
        reached = self._logs(outcome)
        misses: Floats = np.clip(np.maximum(low - reached, reached - high), -_LARGEST_MISS, _LARGEST_MISS)
        return misses

    def widened(self, miss: Floats) -> tuple[Floats, Floats]:
        """Return the edges that would just have held outcomes with such misses; the median stays between them."""
        low, _, high = self._logs(self.quantiles)
        low, high = (np.maximum(np.expm1(edge) * self.unit, 0) for edge in (low - miss, high + miss))
        return np.minimum(low, self.quantiles[1]), np.maximum(high, self.quantiles[1])

    def _logs(self, credits: Ints | Floats) -> Floats:
        logs: Floats = np.log1p(credits / self.unit)
        return logs


def calibrated_band(sums: DailySums, ahead: int) -> Band:
    """Sample the rest of today and `ahead` more days, and calibrate their band; needs one past day."""
    sampled = sampled_band(sums, ahead)
    days, misses = past_misses(sums, ahead)
    edges = sampled.widened(width_of(misses, days, sums.today, _prior(sums.today - sums.oldest)))
    low, high = (np.maximum.accumulate(np.round(edge)) for edge in edges)
    return Band(low, sampled.quantiles[1].astype(np.float64), high, *_test(sums, ahead, days, misses))


def sampled_band(sums: DailySums, ahead: int) -> SampledBand:
    """Sample the rest of today and `ahead` more days; needs one past day."""
    return _sample(sums, sums.today, ahead, ahead + 1, PATHS)


def _sample(sums: DailySums, day: int, ahead: int, columns: int, paths: int) -> SampledBand:
    """Sample what is spent from `day` on, at the end of each of the first `columns` days of `ahead` + 1.

    The weeks to draw from are drawn first, because eight weeks are themselves a small sample.
    """
    past = min(day - sums.oldest, SAMPLED_DAYS)
    width = WEEK if past >= FEW_DAYS else 1
    weeks = past // width
    pool = np.arange(day - weeks * width, day).reshape(weeks, width)
    blocks, within = np.divmod(np.arange(columns), width)
    random = np.random.default_rng(SEED)
    drawn = random.integers(0, weeks, (paths, weeks))
    drawn = np.take_along_axis(drawn, random.integers(0, weeks, (paths, int(blocks[-1]) + 1)), axis=1)
    days = pool[drawn[:, blocks], within]
    spent = sums.whole[days]
    if columns > ahead:
        spent[:, -1] = sums.start[days[:, -1]]
    spent[:, 0] = (sums.rest if ahead else sums.between)[days[:, 0]]
    totals = np.cumsum(spent, axis=1)
    quantiles = np.sort(totals, axis=0)[[math.ceil(share * paths) - 1 for share in PERCENTILES.values()]]
    return SampledBand(quantiles, totals.mean(axis=0) + sums.mean(day))


def past_misses(sums: DailySums, ahead: int) -> tuple[Ints, Floats]:
    """Return past days, a week apart, newest first, and the misses of their bands: shape (past days, days ahead).

    A miss whose outcome is not known yet is NaN.
    """
    days = np.arange(sums.today - WEEK, sums.oldest + ENOUGH_DAYS - 1, -WEEK)
    misses = np.full((len(days), ahead + 1), np.nan)
    for place, day in enumerate(days.tolist()):
        columns = min(ahead + 1, sums.today - day)
        sampled = _sample(sums, day, ahead, columns, PAST_PATHS)
        misses[place, :columns] = sampled.miss(sums.outcome(day, ahead, columns))
    return days, misses


def _prior(days_of_history: int) -> Floats:
    return np.array(PRIOR[max(days for days in PRIOR if days <= days_of_history)])


def width_of(misses: Floats, days: Ints, today: int, prior: Floats) -> Floats:
    """Return the weighted 80th percentile of the misses and the prior ones, for each day ahead."""
    ahead = np.arange(misses.shape[1])
    known = ~np.isnan(misses)
    weights = 0.5 ** ((today - days[:, None] - ahead) / _HALF_LIFE) * np.minimum(1, WEEK / np.maximum(ahead, 1))
    weights = np.vstack([np.where(known, weights, 0), np.full((len(prior), len(ahead)), _PRIOR_WEIGHT / len(prior))])
    misses = np.vstack([np.where(known, misses, 0), np.repeat(prior[:, None], len(ahead), axis=1)])
    order = np.argsort(misses, axis=0, kind="stable")
    sums = np.cumsum(np.take_along_axis(weights, order, axis=0), axis=0)
    place = np.argmax(sums >= COVERAGE * sums[-1] * (1 - 1e-12), axis=0)
    width: Floats = np.take_along_axis(misses, np.take_along_axis(order, place[None], axis=0), axis=0)[0]
    return width


def _test(sums: DailySums, ahead: int, days: Ints, misses: Floats) -> tuple[int, int]:
    """Count past windows that don't overlap, and those whose outcome was in the band as it would have been calibrated.

    Only the windows that had ended by then calibrate it.
    """
    ended = np.flatnonzero(~np.isnan(misses[:, -1]))[:: max(1, -(-ahead // WEEK))]
    held = 0
    for place in ended.tolist():
        day = int(days[place])
        before = days + ahead < day
        width = width_of(misses[before], days[before], day, _prior(day - sums.oldest))[-1]
        held += bool(misses[place, -1] <= width + 1e-9)
    return held, len(ended)
