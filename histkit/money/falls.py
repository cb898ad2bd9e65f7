"""Falls of the credit counter: billing resets, adjustments such as refunds, and falls that nothing explains.

A reset sets the counter to 0, so what comes next lands near 0, about a month after the reset before it. A refund takes
back a part of what was spent, so it is small, or small beside the counter.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np

from histkit.frame.clock import DAY, HOUR
from histkit.usage.buckets import bucket
from histkit.usage.periods import Freq
from histkit.util.arrays import Ints, Mask

ADJUSTMENT, RESET, UNKNOWN = 0, 1, 2
_SMALL = 400  # credits; two small refunds between two rows are not more
_SHARE = 10  # a refund of less than a tenth of the counter is credible whatever its size, and so is a reset to that
_NEAR_ZERO = 20  # a landing below a twentieth of the counter is a reset, even soon after another: a change of plan
_BURST = 2  # how many times as much as is known of an account can have been spent in as much time
_REFILLED, _SMALL_REFILLED = 32, 8  # that a counter is spent up again to within this share is a coincidence
_NEAR = DAY  # a reset may come this long before or after its date
_MONTH = (28 * DAY - DAY, 31 * DAY + DAY)
_MONTHS = 3  # over more months, the dates of resets are too vague to tell anything
_VAGUE = 12 * DAY  # of a fall that a refund explains
_HALF_DAY, _DAYS = 12 * HOUR, 4 * DAY


@dataclass(frozen=True)
class Billing:
    """The known dates of an account's billing resets: the lengths of its billing periods and their zone."""

    freq: Freq
    zone: tzinfo

    def has_reset(self, since: Ints, until: Ints) -> Mask:
        """Return whether a reset lies between two instants (microseconds since 1970), or close to them."""
        codes, _ = bucket(np.r_[since - _NEAR, until + _NEAR], self.freq, self.zone)
        size = len(since)
        result: Mask = codes[:size] != codes[size:]
        return result


@dataclass(frozen=True)
class Falls:
    """Falls of one account's counter in order of time; arrays of shape (falls,).

    Attributes
    ----------
    heights, landings : int64 arrays
        The counter before and after the fall.
    since, until : int64 arrays
        Dates of the last row before the fall and of the first after it, in microseconds since 1970.
    """

    heights: Ints
    landings: Ints
    since: Ints
    until: Ints


@dataclass(frozen=True)
class Gaps:
    """What an account is known to have spent between two rows; arrays of shape (rows,), in order of time.

    Attributes
    ----------
    times : int64 array
        Dates of the rows, in microseconds since 1970.
    unseen : int64 array
        Credits spent between the row before and this one.
    """

    times: Ints
    unseen: Ints

    def most_within(self, length: int) -> int:
        """Return the most credits that were spent between rows within a span of time (microseconds)."""
        if not len(self.times):
            return 0
        sums = np.cumsum(self.unseen)
        return int((sums - sums[np.searchsorted(self.times, self.times - length)]).max())


def explain_falls(falls: Falls, largest: int, billing: Billing | None = None, gaps: Gaps | None = None) -> Ints:
    """Explain each fall of a counter.

    A fall that lands below half of the counter and exceeds any credible refund (400 credits and the largest row) is a
    reset if it lands near zero, below a twentieth. If it lands higher, it is one where the known dates of resets say
    so; without these, if no other reset is less than a month away and it lands below a tenth, or so much can have been
    spent since the row before, or if it may be one to three months from another reset. Otherwise it is unknown.

    A low fall that doesn't exceed a credible refund is a reset where the dates say so; without these, if no other reset
    is less than a month away, so much can have been spent, and it exceeds 400 credits, follows a pause of days, or may
    be one to three months from another. Otherwise it is an adjustment.

    A fall that lands above half is a reset where the dates say so; without these, if it may be one to three months from
    the resets before and after it, and so much can have been spent or no refund explains it. Otherwise it is an
    adjustment if it is a credible refund or less than a tenth of the counter, and unknown if it isn't.

    Parameters
    ----------
    falls : Falls
        All falls of an account.
    largest : int
        Credits of its most expensive row.
    billing : Billing, optional
        The known dates of its resets.
    gaps : Gaps, optional
        What it spent elsewhere at other times.

    Returns
    -------
    int64 array
        `ADJUSTMENT`, `RESET` or `UNKNOWN` for each fall.
    """
    size = falls.heights - falls.landings
    low = 2 * falls.landings <= falls.heights
    credible = size <= max(_SMALL, largest)
    near = falls.landings * _NEAR_ZERO <= falls.heights
    kinds = np.where(low & ~credible & near, RESET, ADJUSTMENT)
    kinds[~credible & ~near & (low | (size * _SHARE > falls.heights))] = UNKNOWN
    share = np.where((size > _SMALL) | (billing is not None), _REFILLED, _SMALL_REFILLED)
    doubtful = np.flatnonzero((low & (credible | ~near)) | (~low & (size * share >= falls.heights)))
    if billing is not None:
        doubtful = doubtful[billing.has_reset(falls.since[doubtful], falls.until[doubtful])]
    order = np.argsort(~low[doubtful] * (1 + falls.landings[doubtful] / falls.heights[doubtful]), kind="stable")
    resets = _Resets(falls, np.flatnonzero(kinds == RESET).tolist(), gaps)
    for place, is_low in zip(doubtful[order].tolist(), low[doubtful[order]].tolist(), strict=True):
        if resets.explain(place, is_low=is_low, refund=bool(kinds[place] != UNKNOWN), dated=billing is not None):
            kinds[place] = RESET
    return kinds


class _Resets:
    """The resets found so far, and whether another fall can be one."""

    def __init__(self, falls: Falls, places: list[int], gaps: Gaps | None) -> None:
        self._places, self._gaps = places, gaps
        self._most: dict[int, int] = {}
        self._heights, self._landings = falls.heights, falls.landings
        self._since, self._until = falls.since, falls.until

    def explain(self, place: int, *, is_low: bool, refund: bool, dated: bool) -> bool:
        """Return whether a doubtful fall is a reset, and remember it if so; `refund` if it may be one instead."""
        index = bisect_left(self._places, place)
        spans = [self._span(*sorted((place, other))) for other in self._places[max(0, index - 1) : index + 1]]
        if any(most < _MONTH[0] for _, most in spans):
            return False
        months = [_is_months(least, most, _VAGUE if refund else most) for least, most in spans]
        found = dated
        if not dated and is_low:
            found = any(months) or not refund or self._is_clear(place)
            found &= self._can_be_spent(place) or (not refund and any(months))
        elif not dated:
            found = bool(months) and all(months)
            found &= self._can_be_spent(place) or (not refund and len(months) > 1)
        if not found:
            return False
        self._places.insert(index, place)
        return True

    def _is_clear(self, place: int) -> bool:
        """Return whether a low fall is a reset rather than a small refund without regard to others."""
        landing, pause = int(self._landings[place]), int(self._until[place] - self._since[place])
        large = int(self._heights[place]) - landing > _SMALL
        return large or pause >= (_DAYS if landing else _HALF_DAY)

    def _can_be_spent(self, place: int) -> bool:
        """Return whether the counter can have reached its landing from 0 since the row before.

        The height itself was spent in about a month at most.
        """
        height, landing = int(self._heights[place]), int(self._landings[place])
        pause = int(self._until[place] - self._since[place])
        if landing * _SHARE <= height or landing * _MONTH[1] <= _BURST * height * pause:
            return True
        return landing <= _BURST * self._most_within(pause)

    def _most_within(self, pause: int) -> int:
        """Return the most that was spent elsewhere in about as much time."""
        if self._gaps is None:
            return 0
        hours = (pause // HOUR).bit_length()
        if hours not in self._most:
            self._most[hours] = self._gaps.most_within(HOUR << hours)
        return self._most[hours]

    def _span(self, early: int, late: int) -> tuple[int, int]:
        """Return the least and the most time that can be between two falls."""
        return int(self._since[late] - self._until[early]), int(self._until[late] - self._since[early])


def _is_months(least: int, most: int, vague: int) -> bool:
    """Return whether a span of time may be one to three months, and is known well enough to tell."""
    months = range(1, _MONTHS + 1)
    return most - least <= vague and any(least <= n * _MONTH[1] and most >= n * _MONTH[0] for n in months)
