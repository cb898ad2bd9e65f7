"""The quota section of a report."""

from __future__ import annotations

from typing import Any

from histkit.money.forecast import forecast
from histkit.plotting.charts import backtest_sentence, plot_quota
from histkit.reports.model import Chart, Section
from histkit.reports.sections import ReportSpec
from histkit.util.text import format_value


def quota_section(spec: ReportSpec) -> Section:
    """Build the section on the plan's credits and when they run out."""
    days = forecast(spec.frame, subscription=spec.subscription, now=spec.now, tz=spec.tz)
    chart = Chart("Credits used, and where they are heading", lambda: lambda ax: plot_quota(days, ax=ax), 3.8)
    return Section("quota", "Quota", tuple(quota_lines(days.attrs["histkit"])), charts=(chart,))


def quota_lines(facts: dict[str, Any]) -> list[str]:
    """Describe a forecast, one sentence per line."""
    share = f" ({format_value(facts['used_share'], 'share')})" if facts["used_share"] is not None else ""
    used, limit, left = (format_value(facts[name], "count") for name in ("used", "limit", "left"))
    lines = [f"{used} of {limit} credits are used{share}, {left} are left."]
    if facts["reset"]:
        lines.append(f"The next reset is on {facts['reset'][:10]}.")
    if facts["run_out"]:
        early, late = facts["run_out_early"] or facts["run_out"], facts["run_out_late"]
        span = f"between {early[:10]} and {late[:10]}" if late else f"{early[:10]} at the earliest"
        lines.append(f"At the present rate they run out on {facts['run_out'][:10]} (an estimate: {span}).")
    elif facts["run_out_early"]:
        early = facts["run_out_early"][:10]
        lines.append(f"At the present rate they last (an estimate), but they may run out on {early} already.")
    elif facts["reset"] and facts["limit"]:
        lines.append("At the present rate they last until the reset (an estimate).")
    return [*lines, *band_lines(facts), *facts["notes"]]


def band_lines(facts: dict[str, Any]) -> list[str]:
    """Describe the band of a forecast and how often it held, one sentence per line."""
    if not facts["projected"] or not facts["until"]:
        return []
    low, middle, high = (format_value(facts["projected"][name], "count") for name in ("p10", "p50", "p90"))
    when = "the reset" if facts["until"] == facts["reset"] else facts["until"][:10]
    when = when if facts["reset"] else f"{when}, without a reset before"
    lines = [f"By {when}, the counter will be between {low} and {high} (8 times in 10; the median is {middle})."]
    if facts["backtest"]:
        lines.append(f"{backtest_sentence(facts['backtest'])}.")
    return lines
