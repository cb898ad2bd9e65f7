"""The quota forecast: extrapolate the counter of the subscription to the next billing reset.

The days ahead are sampled in `histkit.money.calibration`, which also tests the band on the account's own past.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from histkit.api.client import HistoryClient, borrowed_client, check_client
from histkit.errors import InputError
from histkit.frame.clock import DAY, HOUR, SECOND, timestamps, zone_of
from histkit.frame.columns import whole_numbers
from histkit.frame.dates import as_unix, instants_of
from histkit.frame.keys import refuse_duplicates
from histkit.frame.schema import require
from histkit.frame.scope import scope_of
from histkit.money.calibration import (
    BACK_DAYS,
    COVERAGE,
    FEW_DAYS,
    PERCENTILES,
    SAMPLED_DAYS,
    Band,
    DailySums,
    calibrated_band,
)
from histkit.money.chains import FROM, TO, Entries, chain_counters
from histkit.money.falls import RESET, Billing, Falls, Gaps, explain_falls
from histkit.money.key_account import refuse_other_account
from histkit.money.ledger import several_accounts
from histkit.usage.buckets import bucket, edges
from histkit.usage.periods import REFRESH_MONTHS, Freq, billing_freq
from histkit.util.arguments import real_number, whole_number
from histkit.util.arrays import Ints, add_by_code
from histkit.util.text import count_noun, quoted

SHOWN_DAYS, AHEAD_DAYS, MOST_DAYS = 30, 30, 400
_MOST = 2**52  # no number of credits is this large
_LAST = 221_845_392_000  # seconds; the year 9000


def forecast(
    frame: pd.DataFrame,
    *,
    subscription: Any = None,
    now: Any = None,
    tz: str | tzinfo = "UTC",
    days: int | None = None,
    client: HistoryClient | None = None,
) -> pd.DataFrame:
    """Forecast the credit counter of the account day by day until the billing reset.

    Parameters
    ----------
    frame : pandas.DataFrame
        The complete history of one account; needs ``date`` and ``credits``. With ``character_count_change_from`` and
        ``_to`` unseen credits (see `histkit.ledger`) are included.
    subscription : Subscription or dict, optional
        The result of `HistoryClient.subscription`, or a dict with its ``character_count`` and, if known,
        ``character_limit``, ``next_character_count_reset_unix``, ``character_refresh_period`` and
        ``max_credit_limit_extension``. Default: it is requested (the key needs the scope ``user_read``).
    now : str, date or datetime, optional
        The instant of the forecast, at which the counter is ``character_count``; a naive one is UTC. Default: the
        present. Later rows are ignored.
    tz : str or tzinfo, default "UTC"
        Zone of the days, an IANA name.
    days : int, optional
        Number of days after today to forecast, at most 400 and not beyond the reset. Default: until the reset, or 30 if
        that is unknown.
    client : HistoryClient, optional
        Default: a client with the key and base URL of the environment.

    Returns
    -------
    pandas.DataFrame
        With a RangeIndex, one row for each day from the start of the billing cycle (30 days ago if that is unknown) to
        the last day of the forecast:

        - ``date`` (``datetime64[us, tz]``): first instant of the day
        - ``credits`` (Int64): spent on that day, today's up to now; missing for future days
        - ``cumulative`` (Int64): the counter at the end of the day, or now; missing for future days
        - ``p10``, ``p50``, ``p90`` (Float64): percentiles of the counter at the end of the day, in whole credits, from
          today on; missing before, and without history. The band from p10 to p90 is meant to hold 8 times in 10.

        ``attrs["histkit"]``, with None for unknown values:

        - ``used``, ``limit``, ``left``, ``used_share`` (0.9 is 90 %), ``extension`` (``max_credit_limit_extension``)
        - ``reset`` and ``until``: instants of the billing reset and of the end of the forecast
        - ``run_out``, ``run_out_early``, ``run_out_late``: days on which ``p50``, ``p90`` and ``p10`` reach the limit;
          None if not by ``until``
        - ``projected`` and ``overage``: dicts of p10, p50, p90: the counter at ``until``, and its excess over the limit
          if usage is not stopped
        - ``backtest``: dict of ``held`` and ``of`` (past windows that don't overlap, each of ``days`` days, and those
          in which the band of that day held the outcome) and ``meant`` (0.8); None if the history is too short
        - ``daily_mean`` and ``days_of_history``: of the last eight weeks
        - ``confidence`` ("normal", "low" below two weeks of history), ``estimate`` (True), ``notes`` (texts)

    Raises
    ------
    InputError
        An argument is invalid, the frame has several accounts or is a part of a history that conditions selected,
        ``character_count`` is missing, or none of the rows looked up exists in the account of the key.
    SchemaError
        The frame lacks a column.
    ApiError, TransportError
        The subscription can't be read.

    Notes
    -----
    Future weeks are sampled from the last eight weeks, including days without rows: blocks of seven days, so that
    weekdays and runs of busy days stay together. The eight weeks themselves are resampled first, because they are a
    small sample. Of today and the day of the reset, only the hours ahead count. With less than two weeks of history,
    single days are sampled, and weekdays are not distinguished.

    The same is done for past days of the account, a week apart, over up to 400 days. The band is then widened or
    narrowed so that it would have held 8 in 10 of those outcomes. A short history is complemented by the misses of
    made-up accounts; before about eight weeks, the width comes from them alone, and a note says so.

    The back-test can't know of a change that is still to come: a new project, a price or a plan. The same input
    produces the same forecast.

    Credits that only the counter shows are assumed to be spent evenly between the last row and now. Refunds lower
    ``cumulative`` on their day; they are neither usage nor forecast.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.money.forecast import forecast
    >>> df = hk.sample_history(3000)
    >>> plan = {"character_count": 33459, "character_limit": 100_000, "next_character_count_reset_unix": 1794648600}
    >>> table = forecast(df, subscription=plan, now="2026-11-01", tz="Europe/Berlin")
    >>> table.columns.tolist()
    ['date', 'credits', 'cumulative', 'p10', 'p50', 'p90']
    >>> table.attrs["histkit"]["left"], table.attrs["histkit"]["estimate"]
    (66541, True)
    """
    zone = zone_of(tz)
    present = (math.floor(datetime.now(UTC).timestamp()) if now is None else as_unix(now, "now")) * SECOND
    if not 0 <= present <= _LAST * SECOND:
        raise InputError(f"now={quoted(now)} is too far away to forecast from; use a date of this century.")
    if days is not None:
        days = whole_number("days", days, 1, MOST_DAYS)
    require(frame, ("date", "credits"), "the forecast")
    refuse_duplicates(frame, "the forecast")
    if several_accounts(frame):
        raise InputError("The frame has several accounts; a counter belongs to one: df[df['account'] == '...'].")
    notes = _scope_notes(frame, zone)
    plan = _plan(_get_subscription(frame, subscription, client), present, notes)
    spending = _spending(frame, plan, present, notes)
    ahead = days or (AHEAD_DAYS if plan.reset is None else MOST_DAYS)
    calendar = _calendar(plan, spending, present, zone, ahead, notes)
    band = _band(calendar, spending, notes)
    table = _table(plan, calendar, spending, band)
    table.attrs["histkit"] = _facts(plan, calendar, spending, table, band, notes)
    return table


def used_share(subscription: Any) -> Fraction | None:
    """Return the exact share of the credits that is used; None without a limit or a counter.

    Parameters
    ----------
    subscription : Subscription or dict
        As `forecast` takes it.

    Returns
    -------
    fractions.Fraction or None
        1 if all are used; it can be more.

    Examples
    --------
    >>> from histkit.money.forecast import used_share
    >>> used_share({"character_count": 900, "character_limit": 1000}) >= Fraction(90, 100)
    True
    """
    used, limit = (_whole(_field(subscription, name)) for name in ("character_count", "character_limit"))
    return Fraction(used, limit) if used is not None and limit else None


@dataclass(frozen=True)
class _Quota:
    """Figures of the subscription; the next reset and the one before it in microseconds; the dates of all resets."""

    used: int
    limit: int | None
    reset: int | None
    start: int | None
    extension: int | str | None
    billing: Billing | None


@dataclass(frozen=True)
class _Spending:
    """Credits, the instants at which they were spent (microseconds, UTC), and the start of the cycle, if known.

    `refunds` are credits by which the counter fell then; 0 or negative.
    """

    times: Ints
    credits: Ints
    refunds: Ints
    cycle_start: int | None


@dataclass(frozen=True)
class _Calendar:
    """Days: their starts and the end of the last (microseconds); the first to show and the first of the history."""

    starts: Ints
    shown: pd.DatetimeIndex
    first: int
    oldest: int
    today: int
    now: int
    until: int


def _scope_notes(frame: pd.DataFrame, zone: tzinfo) -> list[str]:
    """Return a reservation about rows that lie between those of the frame, if some seem to.

    Raises
    ------
    InputError
        Conditions left them out.
    """
    scope = scope_of(frame, zone)
    if scope.filtered:
        raise InputError(
            f"These rows are a part of a history ({scope.filtered}), and the counter is that of the whole account: "
            "forecast all rows."
        )
    if scope.gaps:
        return [f"These rows are a part of a history ({scope.part}): the credits of the others are not known."]
    return []


def _get_subscription(frame: pd.DataFrame, subscription: Any, client: HistoryClient | None) -> Any:
    """Return the subscription that was passed, or request that of the account whose rows these are."""
    check_client(client)
    if subscription is not None:
        return subscription
    with borrowed_client(client) as service:
        refuse_other_account(frame, service)
        return service.subscription()


def _plan(subscription: Any, now: int, notes: list[str]) -> _Quota:
    names = ("character_count", "character_limit", "next_character_count_reset_unix", "max_credit_limit_extension")
    used, limit, reset, extension = (_whole(_field(subscription, name)) for name in names)
    if used is None:
        raise InputError(
            "subscription= takes the result of HistoryClient.subscription(), or a dict with its character_count, "
            f"not {quoted(subscription, 60)}."
        )
    reset, start, billing = (reset or 0) * SECOND, None, None
    periods = [str(_field(subscription, name)) for name in ("character_refresh_period", "billing_period")]
    period = next((period for period in periods if period in REFRESH_MONTHS), None)
    if period and 0 < reset <= _LAST * SECOND:
        dates = {"next_character_count_reset_unix": reset // SECOND, "character_refresh_period": period}
        billing = Billing(billing_freq(dates, UTC), UTC)
    if not now < reset <= _LAST * SECOND:
        note = "The reset date is not known."
        if 0 < reset <= now:
            day = f"{pd.Timestamp(reset, unit='us'):%Y-%m-%d}"
            note = f"The reset date ({day}) has passed; the counter may be older: request the subscription again."
        notes.append(note)
        reset = 0
    if reset and period:
        last = (pd.Timestamp(reset, unit="us") - pd.DateOffset(months=REFRESH_MONTHS[period])).timestamp()
        start = int(last) * SECOND if last * SECOND <= now else None
    word = _field(subscription, names[3])
    return _Quota(used, limit, reset or None, start, word if isinstance(word, str) else extension, billing)


def _field(subscription: Any, name: str) -> Any:
    return subscription.get(name) if isinstance(subscription, Mapping) else getattr(subscription, name, None)


def _whole(value: Any) -> int | None:
    number = real_number(value)
    return int(number) if number is not None and 0 <= number < _MOST else None


def _spending(frame: pd.DataFrame, plan: _Quota, now: int, notes: list[str]) -> _Spending:
    """Return the credits of the rows, unseen credits of the ledger, and credits that only the counter shows."""
    times, dated = instants_of(frame["date"])
    early = dated & (times <= now)
    if (later := int((dated & ~early).sum())) > 0:
        notes.append(f"{later} rows are dated later than the forecast and left out.")
    frame, times = frame[[name for name in ("date", "credits", FROM, TO) if name in frame.columns]][early], times[early]
    start, counters = plan.start, {FROM, TO} <= set(frame.columns)
    entries = chain_counters(frame, billing=plan.billing) if counters else None
    if entries is None or not len(entries.times):
        credits, known = whole_numbers(frame["credits"])
        notes.append("Without the counters of the rows, credits spent outside them are not known.")
        return _Spending(times[known], np.maximum(credits[known], 0), np.zeros(int(known.sum()), np.int64), start)
    credits = entries.spent + entries.unseen - entries.overlap
    if falls := int(entries.unknown.sum()):
        notes.append(
            f"The counter fell {count_noun(falls, 'time')} for an unknown reason; the credits around are not known."
        )
    if start is None and len(entries.reset_rows):
        start = int(entries.times[entries.reset_rows[-1]])
    since, gap, start = _since_last(entries, plan, start, now, notes)
    if gap:
        notes.append(
            f"{gap:,} credits were spent since the last row according to the counter, assumed to be spread evenly."
        )
        middles, parts = _spread(gap, max(since, now - MOST_DAYS * DAY), now)
        refunds = np.r_[entries.adjustment, np.zeros(len(parts), np.int64)]
        return _Spending(np.r_[entries.times, middles], np.r_[credits, parts], refunds, start)
    return _Spending(entries.times, credits, entries.adjustment, start)


def _since_last(
    entries: Entries, plan: _Quota, start: int | None, now: int, notes: list[str]
) -> tuple[int, int, int | None]:
    """Return since when and by how much the counter grew without a row, and the start of the cycle."""
    newest = int(entries.times.max())
    counter = entries.last_counter
    if start is not None and start > newest:
        return start, plan.used, start
    if plan.used >= counter:
        return newest, plan.used - counter, start
    fall = Falls(*(np.array([value]) for value in (counter, plan.used, newest, now)))
    order = np.argsort(entries.times, kind="stable")
    gaps = Gaps(entries.times[order], entries.unseen[order])
    if plan.start is None and explain_falls(fall, int(entries.spent.max()), plan.billing, gaps)[0] == RESET:
        return newest, plan.used, newest
    lower = f"The counter is {counter - plan.used:,} lower than at the last row"
    notes.append(f"{lower}: a refund, or the subscription is older or of another account.")
    return newest, 0, start


def _spread(credits: int, since: int, now: int) -> tuple[Ints, Ints]:
    """Spread credits evenly over time; return the middle of each hour and its credits."""
    hours = max(1, (now - since) // HOUR)
    middles = since + (now - since) * (2 * np.arange(hours) + 1) // (2 * hours)
    sums: Ints = np.round(np.linspace(0, credits, hours + 1)).astype(np.int64)
    return middles.astype(np.int64), sums[1:] - sums[:-1]


def _calendar(plan: _Quota, spending: _Spending, now: int, zone: tzinfo, ahead: int, notes: list[str]) -> _Calendar:
    start = max(spending.cycle_start or now - SHOWN_DAYS * DAY, now - MOST_DAYS * DAY)
    lowest, highest = min(start, now - (BACK_DAYS + 2) * DAY), now + (ahead + 2) * DAY
    _, ends = bucket(np.array([lowest, highest]), Freq("D"), zone)
    starts = edges(ends, Freq("D"), zone)
    first, today = (np.searchsorted(starts, [start, now], "right") - 1).tolist()
    until = int(starts[today + ahead + 1])
    if plan.reset is not None and plan.reset <= until:
        until = plan.reset
    elif plan.reset is not None:
        notes.append("The forecast ends before the reset.")
    starts = starts[: int(np.searchsorted(starts, until, "left")) + 1]
    dates = timestamps(starts[:-1], zone)
    past = np.searchsorted(starts, spending.times, "right") - 1
    oldest = max(int(past.min(initial=today)), today - BACK_DAYS)
    return _Calendar(starts, dates, first, oldest, today, now, until)


def _by_day(calendar: _Calendar, spending: _Spending, after: int = -1, before: int | None = None) -> Ints:
    """Sum the credits of each day, within the time of day between `after` and `before` (both exclusive)."""
    day = np.searchsorted(calendar.starts, spending.times, "right") - 1
    kept = day >= 0
    passed = spending.times[kept] - calendar.starts[day[kept]]
    inside = (passed > after) & (passed < (np.iinfo(np.int64).max if before is None else before))
    return add_by_code(spending.credits[kept][inside], day[kept][inside], len(calendar.starts) - 1)


def _refunds_by_day(calendar: _Calendar, spending: _Spending) -> Ints:
    day = np.searchsorted(calendar.starts, spending.times, "right") - 1
    return add_by_code(spending.refunds[day >= 0], day[day >= 0], len(calendar.starts) - 1)


def _band(calendar: _Calendar, spending: _Spending, notes: list[str]) -> Band | None:
    """Return the band of the credits spent from now on; None without a past day."""
    past = calendar.today - calendar.oldest
    if past < 1:
        notes.append("There is no complete day of history yet, so there is no forecast.")
        return None
    if past < FEW_DAYS:
        notes.append(f"Only {count_noun(past, 'day')} of history: weekdays are not distinguished.")
    since, last = calendar.now - int(calendar.starts[calendar.today]), int(calendar.starts[-2])
    stop = calendar.until - last if calendar.until < calendar.starts[-1] else None
    days = slice(0, calendar.today + 1)
    sums = DailySums(
        whole=_by_day(calendar, spending)[days],
        rest=_by_day(calendar, spending, since)[days],
        start=_by_day(calendar, spending, before=stop)[days],
        between=_by_day(calendar, spending, since, stop)[days],
        oldest=calendar.oldest,
    )
    band = calibrated_band(sums, len(calendar.starts) - 2 - calendar.today)
    if not band.tested:
        notes.append(
            "The history is too short to test the band on past days: its width is that of made-up accounts of this age."
        )
    return band


def _table(plan: _Quota, calendar: _Calendar, spending: _Spending, band: Band | None) -> pd.DataFrame:
    credits, refunds = _by_day(calendar, spending), _refunds_by_day(calendar, spending)
    place = np.arange(len(credits))
    ahead, today = place > calendar.today, place == calendar.today
    known = place >= np.searchsorted(calendar.starts, spending.times.min(initial=calendar.now + 1), "right") - 1
    known &= len(spending.times) > 0
    later = np.cumsum(np.where(ahead, 0, credits)[::-1])[::-1] - credits
    later += np.cumsum(refunds[::-1])[::-1] - refunds
    counters = np.maximum(plan.used - later, 0)  # rows of an older cycle would go below 0
    data: dict[str, Any] = {"date": calendar.shown}
    data["credits"] = pd.arrays.IntegerArray(credits, ahead | ~known)
    data["cumulative"] = pd.arrays.IntegerArray(counters, ahead | ~(known | today))
    for name in PERCENTILES:
        values = np.zeros(len(credits))
        if band is not None:
            values[calendar.today :] = plan.used + getattr(band, name)
        data[name] = pd.arrays.FloatingArray(values, ~(ahead | today) | (band is None))
    return pd.DataFrame(data).iloc[calendar.first :].reset_index(drop=True)


def _facts(
    plan: _Quota, calendar: _Calendar, spending: _Spending, table: pd.DataFrame, band: Band | None, notes: list[str]
) -> dict[str, Any]:
    past = _by_day(calendar, spending)[max(calendar.oldest, calendar.today - SAMPLED_DAYS) : calendar.today]
    limit, projected, overage = plan.limit or None, None, None
    if band is not None:
        projected = {name: int(table[name].iloc[-1]) for name in PERCENTILES}
    if limit is None:
        notes.append("There is no limit, so nothing runs out.")
    elif projected is not None:
        overage = {name: max(0, end - limit) for name, end in projected.items()}
    zone = calendar.shown.tz
    reset = None if plan.reset is None else timestamps(np.array([plan.reset]), zone)[0].isoformat()
    return {
        "used": plan.used,
        "limit": plan.limit,
        "left": None if plan.limit is None else max(0, plan.limit - plan.used),
        "used_share": None if limit is None else plan.used / limit,
        "reset": reset,
        "until": timestamps(np.array([calendar.until]), zone)[0].isoformat(),
        **_run_out(plan, table),
        "projected": projected,
        "overage": overage,
        "extension": plan.extension,
        "backtest": _backtest(calendar, band),
        "daily_mean": float(past.mean()) if len(past) else None,
        "days_of_history": len(past),
        "confidence": None if not len(past) else "low" if len(past) < FEW_DAYS else "normal",
        "estimate": True,
        "notes": notes,
    }


def _run_out(plan: _Quota, table: pd.DataFrame) -> dict[str, str | None]:
    """Return the days on which the median and the two edges of the band reach the limit."""
    dates, limit = table["date"].dt.strftime("%Y-%m-%d").tolist(), plan.limit
    edges = {"run_out": "p50", "run_out_early": "p90", "run_out_late": "p10"}
    if not limit:
        return dict.fromkeys(edges)
    past = (table["cumulative"] >= limit).fillna(False).to_numpy(bool)
    reached = {name: past | (table[edge] >= limit).fillna(False).to_numpy(bool) for name, edge in edges.items()}
    return {name: dates[int(np.argmax(days))] if days.any() else None for name, days in reached.items()}


def _backtest(calendar: _Calendar, band: Band | None) -> dict[str, Any] | None:
    if band is None or not band.tested:
        return None
    days = max(1, round((calendar.until - calendar.now) / DAY))
    return {"held": band.held, "of": band.tested, "days": days, "meant": COVERAGE}
