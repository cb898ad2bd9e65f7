"""The sections of a report and their tables: usage, texts, takes, the ledger, and what is not included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

import pandas as pd

from histkit.errors import InputError
from histkit.frame.clock import zone_of
from histkit.frame.columns import integer_array, whole_numbers
from histkit.money.costs import cost_table_of, costs_by_currency
from histkit.money.ledger import ledger, several_accounts
from histkit.money.prices import PriceBook
from histkit.money.waste import waste_table_of
from histkit.plotting.charts import hours_drawing, takes_drawing
from histkit.plotting.usage import usage_drawing
from histkit.reports.model import (
    MEASURE_COLUMNS,
    Chart,
    Fact,
    ReportColumn,
    ReportTable,
    Section,
    group_column,
    heading,
    measure_totals,
    name_missing,
    period_column,
    share_of,
    total_of,
)
from histkit.retakes.lines import line_table
from histkit.usage.dialogue import count_voices
from histkit.usage.periods import billing_freq, parse_freq
from histkit.usage.table import usage_table
from histkit.util.text import count_noun, format_value, one_line_text, shorten

_TEXT_CHARACTERS = 120
_MOST_BARS = 10  # in a chart of shares, besides that of the rest
_COUNTERS = ("character_count_change_from", "character_count_change_to")
ROUNDING_NOTE = (
    "Costs are exact; the lines of a table are rounded so that they add up to its rounded total. So a line can differ "
    "by one unit of the last place from a statement, or from another table, of the same rows."
)
DIALOGUE_NOTE = "The credits of a dialogue are divided among its voices in proportion to their characters."


@dataclass(frozen=True)
class ReportSpec:
    """The history of a report and its options.

    Attributes
    ----------
    frame : DataFrame
        The history; with `prices`, as `with_price_index` returns it.
    tz : str
        The zone of its periods.
    freq : str
        Their length.
    billing : Any
        For ``freq="billing"``.
    top : int
        Maximum number of rows of a table; the rest is one row.
    prices : PriceBook or None
        The prices of credits.
    subscription : Any
        Plan and counter; None: no forecast.
    now : Any
        Start of the forecast.
    duplicates : str or None
        The warning of rows that occur twice; the report then has usage only.
    """

    frame: pd.DataFrame
    tz: str
    freq: str
    billing: Any
    top: int
    prices: PriceBook | None
    subscription: Any
    now: Any
    duplicates: str | None = None

    @property
    def ledger_freq(self) -> str:
        """Length of the periods of the ledger, which knows no billing periods."""
        return "MS" if self.freq == "billing" else self.freq


def usage_sections(spec: ReportSpec) -> Iterator[Section]:
    """Build the sections on usage: by period, by each group the frame has, by hour of the week."""
    chart = Chart(
        "Credits over time, by voice",
        partial(usage_drawing, spec.frame, "voice", spec.freq, tz=spec.tz, billing=spec.billing),
        4.0,
    )
    table = usage_report_table(_usage_of(spec, None, spec.freq), [period_column(spec.freq)])
    notes: tuple[str, ...] = () if spec.prices is None else (ROUNDING_NOTE,)
    yield Section("periods", "Usage by period", notes, charts=(chart,), tables=(table,))
    for name in ("voice", "model", "source", "client", "account"):
        if name in ("client", "account") and name not in spec.frame.columns:
            continue
        if name == "account" and not several_accounts(spec.frame):
            continue
        table = usage_report_table(_usage_of(spec, name, None), [group_column(name)])
        charts: tuple[Chart, ...] = ()
        if name in ("voice", "model", "client"):
            share = partial(usage_drawing, spec.frame, name, None, top=_MOST_BARS)
            charts = (Chart(f"Share of credits by {name}", share, 3.2),)
        notes = (DIALOGUE_NOTE,) if name == "voice" else ()
        yield Section(f"by-{name}", f"Usage by {name}", notes, (table,), charts)
    hours = Chart("Items by hour and weekday", partial(hours_drawing, spec.frame, tz=spec.tz), 3.2)
    note = f"Hours of the clock in {spec.tz}."
    yield Section("hours", "When it is generated", (note,), charts=(hours,), needs_charts=True)


def _usage_of(spec: ReportSpec, by: str | None, freq: str | None) -> pd.DataFrame:
    top, billing = (None, spec.billing) if freq else (spec.top, None)
    if spec.prices is None:
        return usage_table(spec.frame, by, freq, top=top, tz=spec.tz, billing=billing)
    return cost_table_of(spec.frame, spec.prices, by, freq, top, tz=spec.tz, billing=billing)


def usage_report_table(table: pd.DataFrame, groups: Sequence[ReportColumn], note: str = "") -> ReportTable:
    """Arrange a usage table or a cost table for readers, with shares and totals.

    Parameters
    ----------
    table : pandas.DataFrame
        As `histkit.usage_table` (also compared) or `histkit.cost_table` returns it.
    groups : sequence of ReportColumn
        Its columns of groups and periods.
    note : str, optional
        A line below the table.
    """
    columns = [*groups, *MEASURE_COLUMNS]
    if "credits_change" in table.columns:
        columns += [
            ReportColumn("credits_previous", "Before", "count", drop_rank=3),
            ReportColumn("credits_change", "Change", "count"),
            ReportColumn("volume", "Volume", "count", drop_rank=2),
            ReportColumn("mix", "Mix", "count", drop_rank=1),
        ]
    else:
        table = table.assign(share=share_of(table["credits"]))
        columns.append(ReportColumn("share", "Share", "share", drop_rank=1))
    totals = measure_totals(table)
    if "cost" in table.columns:
        columns += _money_columns(table)
        totals |= _money_totals(table)
        table = table.assign(cost=costs_by_currency(table))
    return ReportTable("", table, tuple(columns), totals, note)


def _money_columns(table: pd.DataFrame) -> list[ReportColumn]:
    """Return the money columns of a cost table. A single currency is part of the heading."""
    facts = table.attrs["histkit"]
    columns = [ReportColumn("cost", "Cost", "money"), ReportColumn("currency", "Currency")]
    if len(facts["totals"]) == 1:
        columns = [ReportColumn("cost", f"Cost in {next(iter(facts['totals']))}", "money")]
    return columns if facts["priced"] == 1 else [*columns, ReportColumn("priced", "Priced", "share")]


def _money_totals(table: pd.DataFrame) -> dict[str, Any]:
    """Return the money totals of a cost table; costs in several currencies have no sum."""
    facts = table.attrs["histkit"]
    costs = [Decimal(total["cost"]) for total in facts["totals"].values()]
    return {"priced": facts["priced"]} | ({"cost": costs[0]} if len(costs) == 1 else {})


def line_report_table(lines: pd.DataFrame, measures: Sequence[ReportColumn], note: str = "") -> ReportTable:
    """Arrange the result of `line_table` for readers: texts are cut to one line."""
    texts = [
        "(dialogue)" if pd.isna(text) else shorten(one_line_text(str(text)), _TEXT_CHARACTERS) for text in lines["text"]
    ]
    rows = lines.reset_index(drop=True).assign(text=texts)
    columns = (
        ReportColumn("text", "Text"),
        ReportColumn("voice", "Voice"),
        *([ReportColumn("account", "Account")] if "account" in lines.columns else []),
        ReportColumn("takes", "Takes", "count", drop_rank=2),
    )
    return ReportTable("", rows, (*columns, *measures), {}, note)


def text_section(spec: ReportSpec, takes: pd.DataFrame) -> Section:
    """Build the section on the texts with most credits, all their takes together."""
    lines = line_table(takes, spec.top, by=["credits"], several=False)
    whose = "one voice in one account" if "account" in lines.columns else "one voice"
    table = line_report_table(lines, (ReportColumn("credits", "Credits", "count", bar=True),))
    return Section("texts", "Top texts", (f"All takes of a text by {whose} count together.",), (table,))


def takes_section(spec: ReportSpec, takes: pd.DataFrame, part: str = "") -> Section:
    """Build the section on takes that were not kept, by voice, model and period; `part`: what selected the rows."""
    facts = takes.attrs["histkit"]
    notes: tuple[str, ...] = (
        f"{facts['lines_with_takes']:,} of {facts['lines']:,} texts were generated more than once by the same voice. "
        f"The last take counts as kept; {facts['thrown_away']:,} credits went into the others.",
    )
    if part:
        notes = (*notes, "Only the rows of this report are compared; other takes of a text may be in the rest.")
    if not facts["lines_with_takes"]:
        return Section("takes", "Takes", notes)
    tables = (
        _waste_table(spec, takes, "By voice", "voice"),
        _waste_table(spec, takes, "By model", "model"),
        _waste_table(spec, takes, "By period", None),
    )
    chart = Chart("Texts with most credits thrown away", partial(takes_drawing, takes), 4.4)
    return Section("takes", "Takes", notes, tables, (chart,))


def _waste_table(spec: ReportSpec, takes: pd.DataFrame, title: str, by: str | None) -> ReportTable:
    """Arrange the credits thrown away by group, or by period where `by` is None."""
    if by is None:
        freq = _coarser(spec.freq)
        billing = spec.billing if freq == "billing" else None
        waste = waste_table_of(spec.frame, takes, None, freq, tz=spec.tz, billing=billing)
        group = period_column(freq)
    else:
        waste = waste_table_of(spec.frame, takes, by, None, tz=spec.tz)
        waste = waste[waste["thrown_away_items"].gt(0) | waste["thrown_away"].gt(0).fillna(False)].head(spec.top)
        group = group_column(by)
    columns = (
        group,
        ReportColumn("thrown_away_items", "Takes thrown away", "count", drop_rank=4),
        ReportColumn("paid", "Paid", "count", drop_rank=3),
        ReportColumn("free", "Free", "count", drop_rank=2),
        ReportColumn("thrown_away", "Credits thrown away", "count", bar=True),
        ReportColumn("share", "Of its credits", "share", drop_rank=1),
    )
    return ReportTable(title, waste, columns)


def _coarser(freq: str) -> str:
    """Return days for hours, weeks for days, and any longer period as it is."""
    unit = "B" if freq == "billing" else parse_freq(freq).unit
    return {"h": "D", "D": "W"}.get(unit, freq)


def ledger_section(table: pd.DataFrame, freq: str) -> Section:
    """Build the section on the credit ledger."""
    facts = table.attrs["histkit"]
    notes = (
        "An estimate. Each row states the account's credit counter before and after it. Where the next row starts "
        "higher, credits were spent outside this history: music, sound effects, deleted rows, other people. A drop to "
        "about zero is a billing reset, any other an adjustment, such as a refund. What was spent between the last row "
        "and a reset can't be known.",
    )
    unknown = facts.get("rows_without_counters")
    note = f"{unknown:,} rows state no counter." if unknown else ""
    return Section("ledger", "Ledger", notes, (ledger_report_table(table, freq, note),))


def ledger_report_table(table: pd.DataFrame, freq: str, note: str = "") -> ReportTable:
    """Arrange the result of `histkit.ledger` for readers, with totals of what is known.

    Adjustments are shown where there are any.
    """
    facts = table.attrs["histkit"]
    columns = [
        ReportColumn("rows", "Rows", "count", drop_rank=2),
        ReportColumn("chained", "Chained", "count", drop_rank=1),
        ReportColumn("seen", "Seen", "count", bar=True),
        ReportColumn("unseen", "Unseen (estimate)", "count", bar=True),
        ReportColumn("adjustment", "Adjustment", "count", drop_rank=4),
        ReportColumn("resets", "Resets", "count", drop_rank=3),
    ]
    totals = {column.name: total_of(table[column.name]) for column in columns}
    totals |= {"unseen": facts["unseen"], "adjustment": facts["adjustment"], "resets": len(facts["resets"])}
    if not facts["adjustment"] and not facts["unknown"]:
        columns = [column for column in columns if column.name != "adjustment"]
    notes = [note] if note else []
    if facts["by"]:
        notes.append("The last line of a period has what no row can say.")
    if facts["unknown"]:
        falls, them = count_noun(facts["unknown"], "fall"), "it" if facts["unknown"] == 1 else "them"
        notes.append(
            f"{falls} of the counter: neither a reset nor a refund explains {them}, so the period says – and the "
            "total is of the others."
        )
    groups = [ReportColumn("account", "Account")] if "account" in {*table.columns} - {*facts["by"]} else []
    groups += [period_column(freq), *(ReportColumn(name, heading(name)) for name in facts["by"])]
    table = name_missing(table, facts["by"], table["rows"].notna())
    return ReportTable("", table, (*groups, *columns), totals, " ".join(notes))


def omissions_section(spec: ReportSpec, counters: pd.DataFrame | None, part: str = "") -> Section:
    """Build the section on what the report doesn't contain; `part`: what selected its rows."""
    frame = spec.frame
    notes = [
        "Music, sound effects and agents' conversations: the service keeps them elsewhere.",
        "What others generated under their own keys, and rows that were deleted before they were first synced.",
    ]
    if part:
        notes.append(f"The rest of the history. This report is on a part of it: {part}.")
    if spec.duplicates is not None:
        notes.append(f"Texts, takes, ledger and quota. {spec.duplicates}")
    unknown = int(frame["credits"].isna().sum())
    undated = int(frame["date"].isna().sum())
    if unknown:
        notes.append(f"The credits of {unknown:,} rows are unknown; they count as rows, not as 0 credits.")
    if undated:
        notes.append(f"{undated:,} rows have no date; they are in the totals and in no period.")
    if "missing_since" in frame.columns and (missing := int(frame["missing_since"].notna().sum())):
        notes.append(f"{missing:,} rows that the service no longer has are counted.")
    if counters is not None and (unseen := counters.attrs["histkit"]["unseen"]):
        notes.append(f"About {unseen:,} credits that the counter shows and this history doesn't (an estimate).")
    return Section("left-out", "What is not included", tuple(notes))


def _sum_of(column: pd.Series) -> Any:
    """Sum the known values of a column of whole numbers of any dtype."""
    values, known = whole_numbers(column)
    return total_of(pd.Series(integer_array(values, ~known)))


def headline_facts(spec: ReportSpec, takes: pd.DataFrame | None, counters: pd.DataFrame | None) -> tuple[Fact, ...]:
    """Build the headline numbers of a report."""
    frame = spec.frame
    unknown = int(frame["credits"].isna().sum())
    note = f"of {unknown:,} more items it is not known" if unknown else "measured"
    if spec.duplicates is not None:
        note = "rows that occur twice are counted twice"
    facts = [
        Fact("Items", len(frame)),
        Fact("Credits", _sum_of(frame["credits"]), note=note),
        Fact("Characters", _sum_of(frame["characters"])),
        Fact("Voices", count_voices(frame), note=_voices_note(frame)),
    ]
    if takes is not None:
        thrown_away = takes.attrs["histkit"]["thrown_away"]
        facts.append(Fact("Thrown away", thrown_away, note="credits for takes that were not kept"))
    if counters is not None:
        sums = counters.attrs["histkit"]
        note = "credits outside this history; an estimate"
        if sums["unknown"]:
            note += f", without {count_noun(sums['unknown'], 'fall')} of the counter that nothing explains"
        facts.append(Fact("Unseen", sums["unseen"], note=note))
    if spec.prices is not None:
        money = cost_table_of(frame, spec.prices, None, None, None, tz=spec.tz).attrs["histkit"]
        share = money["priced"]
        note = "all credits are priced" if share == 1 else f"{format_value(share, 'share')} of the credits are priced"
        for currency, total in money["totals"].items():
            facts.append(Fact(f"Cost in {currency}", Decimal(total["cost"]), "money", note))
    return tuple(facts)


def _voices_note(frame: pd.DataFrame) -> str:
    """Return whose voices are counted: also those that speak only in dialogues, if these are in the frame.

    The rows of one voice, as a filter leaves them, lack the dialogues that it speaks in.
    """
    if "dialogue" in frame.columns and bool(frame["dialogue"].notna().any()):
        return "those in dialogues included"
    return "no dialogue is in these rows; what a voice speaks in dialogues is not counted"


def counter_table(spec: ReportSpec) -> pd.DataFrame | None:
    """Compute the ledger; None where the frame has no counters."""
    if not all(name in spec.frame.columns for name in _COUNTERS):
        return None
    return ledger(spec.frame, spec.ledger_freq, tz=spec.tz, billing=_known_resets(spec))


def _known_resets(spec: ReportSpec) -> Any:
    """Return what states the dates of billing resets; None where nothing does, or there are several accounts."""
    if several_accounts(spec.frame):
        return None
    if spec.billing is not None or spec.subscription is None:
        return spec.billing
    try:
        billing_freq(spec.subscription, zone_of(spec.tz))
    except InputError:  # a plan without reset, or of unknown length
        return None
    return spec.subscription
