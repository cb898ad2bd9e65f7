"""Timeline of the sample history: working sessions over two years, with a rhythm of weekdays, hours and bursts."""

from dataclasses import dataclass

import numpy as np

from histkit.sandbox.prng import F64, I64, below, pick, uniform

END = 1793476800
"""End of every history: 2026-10-31T20:00:00Z. Not the current time, so that a seed always gives the same history."""
DAY = 86_400
ADHOC, AUDIOBOOK, STUDIO, DUBBING, AGENT, ARTICLE, FLOWS = range(7)

_SHARES = np.array([0.75, 0.015, 0.02, 0.012, 0.07, 0.05, 0.02])
_SHORTEST = np.array([1, 60, 20, 10, 4, 3, 3])
_LONGEST = np.array([10, 420, 120, 60, 30, 15, 20])
_MEAN_GAP = np.array([50, 9, 3, 2, 14, 4, 6])
_TIES = np.array([0.02, 0.2, 0.35, 0.3, 0.05, 0.1, 0.2])
_WEEK = np.array([1.0, 1.1, 1.15, 1.05, 0.85, 0.22, 0.16])
_HOURS = np.array([2, 1, 1, 1, 1, 3, 8, 20, 45, 70, 80, 70, 45, 60, 75, 75, 60, 40, 25, 22, 20, 16, 9, 4], dtype=float)


@dataclass(frozen=True)
class Rows:
    """Rows in the order of their sessions: moment, theme, number and start of the session, place in it."""

    date: I64
    theme: I64
    session: I64
    place: I64
    age: F64
    """0 at the beginning of the history, 1 at its end (the session's moment)."""
    sessions: int


def span(items: int) -> int:
    """Return how many days a history of that size covers: two years from 1,000 rows on."""
    return min(730, max(1, round(items * 0.75)))


def _days(days: int, end: int, seed: int) -> F64:
    """Return the weight of each day: growth, weekday, a free hand for each week, quiet holidays."""
    first = end // DAY - days + 1
    number = np.arange(days, dtype=np.int64)
    weekday = (first + number + 3) % 7
    growth = 0.35 + 1.65 * number / days
    mood = 0.6 + 0.8 * uniform(seed, "week", days // 7 + 2)[number // 7]
    dates = (first + number).astype("datetime64[D]")
    year_day = (dates - dates.astype("datetime64[Y]")).astype(np.int64)
    quiet = np.where((year_day >= 356) | (year_day < 5), 0.25, np.where((year_day >= 205) & (year_day < 222), 0.5, 1.0))
    return np.asarray(growth * _WEEK[weekday] * mood * quiet, dtype=np.float64)


def rows(items: int, seed: int, end: int) -> Rows:
    """Draw the sessions of a history and spread `items` rows over them."""
    many = items // 3 + 8
    theme = pick(uniform(seed, "theme", many), _SHARES)
    if items < 5000:
        theme[theme == AUDIOBOOK] = ADHOC
    theme[0] = ADHOC
    size = _SHORTEST[theme] + below(seed, "size", many, _LONGEST[theme] - _SHORTEST[theme] + 1)
    # In a small account no single afternoon may be most of the history.
    size = np.minimum(size, max(4, items // 40))
    if items >= 300:
        # An audiobook evening in every longer history, however the dice fall.
        theme[1], size[1] = AUDIOBOOK, min(360, items // 5)
    count = int(np.searchsorted(np.cumsum(size), items)) + 1
    theme, size = theme[:count], size[:count].astype(np.int64)
    size[-1] -= int(size.sum()) - items

    days = span(items)
    # One session in each slice of the total weight: growth shows in small histories too.
    day = pick((np.arange(count) + uniform(seed, "day", count)) / count, _days(days, end, seed))
    hour = pick(uniform(seed, "hour", count), _HOURS)
    start = (end // DAY - days + 1 + day) * DAY + hour * 3600 + below(seed, "second", count, 3600)
    start = np.where(start > end - 5400, start - DAY, start)
    if count > 1 and theme[1] == AUDIOBOOK:
        start[1] = (end // DAY - days // 3) * DAY + 17 * 3600
    start[0] = end - 1500

    session = np.repeat(np.arange(count, dtype=np.int64), size)
    opening = np.cumsum(size) - size
    place = np.arange(items, dtype=np.int64) - opening[session]
    of_row = theme[session]
    gap = 1 + below(seed, "gap", items, 2 * _MEAN_GAP[of_row])
    gap[(uniform(seed, "tie", items) < _TIES[of_row]) | (place == 0)] = 0
    elapsed = np.cumsum(gap)
    elapsed -= elapsed[opening][session]
    age = np.clip((start - (end - days * DAY)) / (days * DAY), 0.0, 1.0)
    return Rows(np.minimum(start[session] + elapsed, end), of_row, session, place, age[session], count)
