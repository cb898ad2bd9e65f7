"""The quota section of a report."""

from __future__ import annotations

from typing import Any

from histkit.money.forecast import forecast
from histkit.plotting.charts import plot_quota
from histkit.reports.model import Chart, Section
from histkit.reports.sections import ReportSpec
from histkit.util.text import format_value


def quota_section(wanted: ReportSpec) -> Section:
    """Make the section on the plan's credits and when they run out."""
    found = forecast(wanted.frame, subscription=wanted.subscription, now=wanted.now, tz=wanted.tz)
    facts = found.attrs["histkit"]
    lines = quota_lines(facts)
    chart = Chart("Credits used, and where they are heading", lambda ax: plot_quota(found, ax=ax), (9, 3.8))
    return Section("quota", "Quota", tuple(lines), charts=(chart,))


def quota_lines(facts: dict[str, Any]) -> list[str]:
    """Say what a forecast found."""
    used = f" ({100 * facts['used_share']:.1f} %)" if facts["used_share"] is not None else ""
    lines = [
        f"{format_value(facts['used'], 'count')} of {format_value(facts['limit'], 'count')} credits are used{used}, "
        f"{format_value(facts['left'], 'count')} are left."
    ]
    if facts["reset"]:
        lines.append(f"The next reset is on {facts['reset'][:10]}.")
    if facts["run_out"]:
        early, late = facts["run_out_early"] or facts["run_out"], facts["run_out_late"]
        span = f"between {early[:10]} and {late[:10]}" if late else f"{early[:10]} at the earliest"
        lines.append(f"At the present rate they run out on {facts['run_out'][:10]} (an estimate: {span}).")
    elif facts["reset"] and facts["limit"]:
        lines.append("At the present rate they last until the reset (an estimate).")
    return [*lines, *facts["notes"]]
