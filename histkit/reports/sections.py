"""A report's sections, made of a history: what was used, by whom, what was thrown away, what is not in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd

from histkit.money.costs import cost_table_of
from histkit.money.ledger import ledger
from histkit.money.prices import PriceBook
from histkit.money.waste import waste_table_of
from histkit.plotting.charts import plot_hours, plot_takes
from histkit.plotting.usage import plot_share, plot_usage
from histkit.reports.model import Chart, Fact, ReportColumn, ReportTable, Section, period_kind, share_of, total_of
from histkit.retakes.lines import line_table
from histkit.usage.table import usage_table
from histkit.util.text import one_line_text

_TEXT_CHARACTERS = 120
_MEASURES = (
    ReportColumn("items", "Items", "count"),
    ReportColumn("characters", "Characters", "count"),
    ReportColumn("credits", "Credits", "count", bar=True),
    ReportColumn("share", "Share", "share"),
)
_BY = {"model": "model", "voice": "voice", "source": "source", "client": "client", "account": "account"}


@dataclass(frozen=True)
class ReportSpec:
    """What a report is about.

    Attributes
    ----------
    frame : DataFrame
        The history; with `prices`, of `numbered` rows.
    tz : str
        The zone of its periods.
    freq : str
        Their length.
    billing : Any
        For periods from reset to reset.
    top : int
        Rows of a table at most; the rest is one row.
    prices : PriceBook or None
        What credits cost.
    subscription : Any
        Plan and counter; None: no forecast.
    now : Timestamp or None
        The moment of the forecast.
    """

    frame: pd.DataFrame
    tz: str
    freq: str
    billing: Any
    top: int
    prices: PriceBook | None
    subscription: Any
    now: pd.Timestamp | None


def usage_sections(wanted: ReportSpec) -> Iterator[Section]:
    """Make the sections on usage: by period, and by whatever else the frame has."""
    by_period = _priced(wanted, None, wanted.freq)
    chart = Chart(
        "Credits over time, by voice",
        lambda ax: plot_usage(wanted.frame, "voice", wanted.freq, tz=wanted.tz, billing=wanted.billing, ax=ax),
        (9, 4),
    )
    table = _usage(by_period, (ReportColumn("period", "From", period_kind(wanted.freq)),), wanted)
    yield Section("periods", "Usage by period", charts=(chart,), tables=(table,))
    names = ["voice", "model", "source", *(name for name in ("client", "account") if name in wanted.frame.columns)]
    for name in names:
        if name == "account" and wanted.frame["account"].nunique(dropna=False) < 2:
            continue
        found = _priced(wanted, name, None)
        charts: tuple[Chart, ...] = ()
        if name in ("voice", "model", "client"):
            charts = (Chart(f"Share of credits by {name}", _sharer(wanted.frame, name), (9, 3.2)),)
        notes = (
            ("The credits of a dialogue are shared out among its voices by their characters.",)
            if name == "voice"
            else ()
        )
        yield Section(
            f"by-{name}",
            f"Usage by {name}",
            notes,
            (_usage(found, (ReportColumn(name, name.capitalize()),), wanted),),
            charts,
        )
    hours = Chart("Items by hour and weekday", lambda ax: plot_hours(wanted.frame, tz=wanted.tz, ax=ax), (9, 3.2))
    yield Section("hours", "When it is generated", (f"Hours of the clock in {wanted.tz}.",), charts=(hours,))


def _sharer(frame: pd.DataFrame, name: str) -> Any:
    return lambda ax: plot_share(frame, name, ax=ax)


def _priced(wanted: ReportSpec, by: str | None, freq: str | None) -> pd.DataFrame:
    top, billing = (None, wanted.billing) if freq else (wanted.top, None)
    if wanted.prices is None:
        return usage_table(wanted.frame, by, freq, top=top, tz=wanted.tz, billing=billing)
    return cost_table_of(wanted.frame, wanted.prices, by, freq, top, tz=wanted.tz, billing=billing)


def _usage(found: pd.DataFrame, heads: tuple[ReportColumn, ...], wanted: ReportSpec) -> ReportTable:
    rows = found.assign(share=share_of(found["credits"]))
    columns = (*heads, *_MEASURES, *(money_columns(found) if wanted.prices is not None else ()))
    totals: dict[str, Any] = {name: total_of(rows[name]) for name in ("items", "characters", "credits")}
    if wanted.prices is not None:
        totals |= money_totals(found)
    return ReportTable("", rows, columns, totals)


def money_columns(found: pd.DataFrame) -> list[ReportColumn]:
    """Give the columns of a cost table: one currency stands in the heading, what is priced if not all is."""
    facts = found.attrs["histkit"]
    columns = [ReportColumn("cost", "Cost", "money"), ReportColumn("currency", "Currency")]
    if len(facts["totals"]) == 1:
        columns = [ReportColumn("cost", f"Cost in {next(iter(facts['totals']))}", "money")]
    return columns if facts["priced"] == 1 else [*columns, ReportColumn("priced", "Priced", "share")]


def money_totals(found: pd.DataFrame) -> dict[str, Any]:
    """Give the last line of a cost table; costs in several currencies have no sum."""
    facts = found.attrs["histkit"]
    costs = [Decimal(total["cost"]) for total in facts["totals"].values()]
    return {"priced": facts["priced"]} | ({"cost": costs[0]} if len(costs) == 1 else {})


def text_section(wanted: ReportSpec, found: pd.DataFrame) -> Section:
    """Make the section on the texts that cost most, all their takes together."""
    lines = line_table(found, wanted.top, by=["credits"], several=False)
    lines["text"] = [short(text) for text in lines["text"]]
    columns = (
        ReportColumn("text", "Text"),
        ReportColumn("voice", "Voice"),
        ReportColumn("takes", "Takes", "count"),
        ReportColumn("credits", "Credits", "count", bar=True),
    )
    return Section(
        "texts", "Top texts", ("All takes of a text by one voice count together.",), (ReportTable("", lines, columns),)
    )


def takes_section(wanted: ReportSpec, found: pd.DataFrame) -> Section:
    """Make the section on takes: what was thrown away, by voice and by model."""
    facts = found.attrs["histkit"]
    notes = (
        f"{facts['lines_with_takes']:,} of {facts['lines']:,} texts were generated more than once by the same voice. "
        f"The last take counts as kept; {facts['thrown_away']:,} credits went into the others.",
    )
    columns = (
        ReportColumn("thrown_away_items", "Takes thrown away", "count"),
        ReportColumn("paid", "Paid", "count"),
        ReportColumn("free", "Free", "count"),
        ReportColumn("thrown_away", "Credits thrown away", "count", bar=True),
        ReportColumn("share", "Of its credits", "share"),
    )
    tables = []
    if facts["lines_with_takes"]:
        length = {"h": "D", "D": "W"}.get(wanted.freq, wanted.freq)
        billing = wanted.billing if length == "billing" else None
        for title, by, freq in (("By voice", "voice", None), ("By model", "model", None), ("By period", None, length)):
            lost = waste_table_of(wanted.frame, found, by, freq, tz=wanted.tz, billing=billing if freq else None)
            head = (
                ReportColumn("period", "From", period_kind(freq)) if by is None else ReportColumn(by, by.capitalize())
            )
            if by is not None:
                lost = lost[lost["thrown_away_items"].gt(0) | lost["thrown_away"].gt(0).fillna(False)].head(wanted.top)
            tables.append(ReportTable(title, lost, (head, *columns)))
    chart = Chart("Texts with most credits thrown away", lambda ax: plot_takes(found, ax=ax), (9, 4.4))
    return Section("takes", "Takes", notes, tuple(tables), (chart,) if tables else ())


def ledger_section(found: pd.DataFrame, freq: str) -> Section:
    """Make the section on the credit ledger."""
    facts = found.attrs["histkit"]
    notes = (
        "An estimate. Each row tells the account's credit counter before and after it; where the next row begins "
        "higher, credits were spent outside this history (music, sound effects, deleted rows, other people), and a "
        "drop is a billing reset. What was spent between the last row and a reset can't be known.",
    )
    columns = [
        ReportColumn("period", "From", period_kind(freq)),
        ReportColumn("rows", "Rows", "count"),
        ReportColumn("chained", "Chained", "count"),
        ReportColumn("seen", "Seen", "count", bar=True),
        ReportColumn("unseen", "Unseen (estimate)", "count", bar=True),
        ReportColumn("resets", "Resets", "count"),
    ]
    if "account" in found.columns:
        columns.insert(0, ReportColumn("account", "Account"))
    totals = {name: total_of(found[name]) for name in ("rows", "chained", "seen", "unseen", "resets")}
    note = f"{facts['rows_without_counters']:,} rows tell no counter." if facts.get("rows_without_counters") else ""
    return Section("ledger", "Ledger", notes, (ReportTable("", found, tuple(columns), totals, note),))


def left_out(wanted: ReportSpec, counter: pd.DataFrame | None) -> Section:
    """Make the section on what the report doesn't contain."""
    frame = wanted.frame
    notes = [
        "Music, sound effects and agents' conversations: the service keeps them elsewhere.",
        "What others generated under their own keys, and rows that were deleted before they were first synced.",
    ]
    unknown = int(frame["credits"].isna().sum())
    undated = int(frame["date"].isna().sum())
    if unknown:
        notes.append(f"{unknown:,} rows don't tell what they cost; they count as rows, not as 0 credits.")
    if undated:
        notes.append(f"{undated:,} rows have no date; they are in the totals and in no period.")
    if "missing_since" in frame.columns and (gone := int(frame["missing_since"].notna().sum())):
        notes.append(f"{gone:,} rows are counted that the service has no more.")
    if counter is not None and (unseen := int(counter["unseen"].sum())):
        notes.append(f"About {unseen:,} credits that the counter shows and this history doesn't (an estimate).")
    return Section("left-out", "What is not included", tuple(notes))


def summary(wanted: ReportSpec, found: pd.DataFrame, counter: pd.DataFrame | None) -> tuple[Fact, ...]:
    """Make the numbers that stand out."""
    frame = wanted.frame
    unknown = int(frame["credits"].isna().sum())
    facts = [
        Fact("Items", len(frame)),
        Fact(
            "Credits",
            total_of(frame["credits"]),
            note=f"of {unknown:,} more items it is not known" if unknown else "measured",
        ),
        Fact("Characters", total_of(frame["characters"])),
        Fact("Voices", frame["voice_id"].nunique() if "voice_id" in frame else None),
        Fact("Thrown away", found.attrs["histkit"]["thrown_away"], note="credits for takes that were not kept"),
    ]
    if counter is not None:
        facts.append(Fact("Unseen", total_of(counter["unseen"]), note="credits outside this history; an estimate"))
    if wanted.prices is not None:
        money = cost_table_of(frame, wanted.prices, None, None, None, tz=wanted.tz).attrs["histkit"]
        for currency, total in money["totals"].items():
            share = money["priced"]
            note = "all credits are priced" if share == 1 else f"{100 * share:.1f} % of the credits are priced"
            facts.append(Fact(f"Cost in {currency}", Decimal(total["cost"]), "money", note))
    return tuple(facts)


def counters(frame: pd.DataFrame, freq: str, tz: str) -> pd.DataFrame | None:
    """Make the ledger, where the frame has counters."""
    needed: Iterable[str] = ("character_count_change_from", "character_count_change_to")
    return ledger(frame, freq, tz=tz) if all(name in frame.columns for name in needed) else None


def short(text: Any) -> str:
    """Cut a text for a table."""
    if text is None or pd.isna(text):
        return "(dialogue)"
    line = one_line_text(str(text))
    return line if len(line) <= _TEXT_CHARACTERS else line[: _TEXT_CHARACTERS - 2].rstrip() + " …"
