"""Billing periods: from one reset of the account's counter to the next, on the same day and at the same clock time."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from datetime import tzinfo
from typing import Any

from histkit.errors import InputError
from histkit.usage.buckets import Freq, clock_time, name_of, wall_time

RESET = "next_character_count_reset_unix"
PERIODS = ("character_refresh_period", "billing_period")  # the counter's own first: it is what is reset
_MONTHS = {"monthly_period": 1, "3_month_period": 3, "6_month_period": 6, "annual_period": 12}


def billing_freq(billing: Any, zone: tzinfo) -> Freq:
    """Read when the counter is reset.

    Parameters
    ----------
    billing : histkit.api.models.Subscription, mapping, int, or date
        The account's subscription (anything with its fields, also the official SDK's object), a day of the month (1 to
        31, from midnight), or the date of one reset (from then on and before, once a month). A naive date is on the
        clock of `zone`.
    zone : tzinfo
        On whose clock the time of the reset stays the same.

    Raises
    ------
    InputError
        It is none of them, or the subscription states no reset or a period that is not known here.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> billing_freq({"next_character_count_reset_unix": 1794700800}, ZoneInfo("Asia/Tokyo"))
    Freq(unit='B', count=1, anchor=0, day=15, time=32400, reset=1794700800)
    """
    if isinstance(billing, numbers.Real):
        days = [day for day in range(1, 32) if day == billing and not isinstance(billing, bool)]
        if not days:
            raise InputError(f"billing={billing!r} is no day of the month; give 1 to 31, or the date of a reset.")
        return Freq("B", day=days[0])
    count = 1
    if isinstance(billing, Mapping) or hasattr(billing, RESET):
        billing, count = _reset_of(billing)
    elif billing is None:
        raise InputError(
            "freq='billing' needs billing=: the account's subscription, or the day of the month of the reset."
        )
    seconds = clock_time(billing, zone, "billing")
    try:
        shown = wall_time(seconds, zone)
    except OverflowError:
        raise InputError(
            f"billing={billing!r} lies too far from today in {name_of(zone)}; give another reset."
        ) from None
    month = (shown.year - 1970) * 12 + shown.month - 1
    return Freq("B", count, month % count, shown.day, shown.hour * 3600 + shown.minute * 60 + shown.second, seconds)


def _reset_of(subscription: Any) -> tuple[int, int]:
    """Give the next reset in seconds, and how many months lie between two."""
    fields = {
        name: subscription.get(name) if isinstance(subscription, Mapping) else getattr(subscription, name, None)
        for name in (RESET, *PERIODS)
    }
    reset, stated = fields[RESET], [fields[name] for name in PERIODS if fields[name] is not None]
    if not isinstance(reset, numbers.Real) or isinstance(reset, bool):
        raise InputError(f"The subscription states no reset ({RESET}={reset!r}); give billing= a day of the month.")
    period = str(stated[0]) if stated else "monthly_period"
    if period not in _MONTHS:
        raise InputError(
            f"The subscription's period {period!r} is none of {', '.join(_MONTHS)}; give billing= a day of the month."
        )
    return int(float(reset)), _MONTHS[period]
