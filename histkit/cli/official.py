"""``histkit official`` and ``who``: the workspace's own figures, and who spent them."""

from __future__ import annotations

from collections import Counter
from datetime import tzinfo
from decimal import Decimal
from typing import Any

import pandas as pd

import histkit as hk
from histkit.cli.common import DateBounds, date_bounds, print_table
from histkit.cli.cut_periods import note_cut_periods
from histkit.cli.options import PERIODS
from histkit.cli.output import print_note
from histkit.frame.clock import zone_of
from histkit.frame.columns import plain_values
from histkit.money.dimensions import Dimension, dimensions_of
from histkit.money.usage_routes import STATS, USAGE
from histkit.reports.model import ReportColumn, ReportTable, heading, no_name, period_column, share_of, total_of
from histkit.usage.periods import parse_freq
from histkit.util.text import count_noun, quoted

_DEFAULT_START = "30d"
_LONG = 24  # characters of an id that a reader does without
_SHORT, _SUFFIX = 12, 6


def official(period: str, by: tuple[str, ...], json_: bool, csv_: bool, **chosen: Any) -> None:
    """Run ``histkit official`` with the values of its options."""
    table, note = _figures(period, by, **chosen)
    _print(table, by, period, json_, csv_, note=note)


def who(period: str, by: tuple[str, ...], json_: bool, csv_: bool, **chosen: Any) -> None:
    """Run ``histkit who`` with the values of its options."""
    table, note = _figures(period, by, **chosen)
    figure = "cost" if "cost" in table.columns else "credits"
    groups = [name for name in ("period", "currency") if name in table.columns]
    facts = table.attrs
    if groups:
        parts = [share_of(part) for _, part in table.groupby(groups, sort=False)[figure]]
        shares = pd.concat(parts).reindex(table.index) if parts else share_of(table[figure])
    else:
        shares = share_of(table[figure])
    table = table.assign(share=shares)
    table.attrs = facts
    _print(table, by, period, json_, csv_, note=note)


def _figures(
    period: str, by: tuple[str, ...], *, tz: str, column: str | None, **typed: str | None
) -> tuple[pd.DataFrame, str]:
    """Fetch the figures; also return what a reader must know of them."""
    if typed["after"] is None and typed["since"] is None:
        typed["since"] = _default_start(typed, tz)
    bounds = date_bounds(**typed, tz=tz)
    table = hk.official_usage(
        bounds.after, bounds.before, by=list(by) or None, freq=PERIODS[period], tz=tz, column=column
    )
    return table, _note(table, bounds.of_range(table.attrs["histkit"]), PERIODS[period], zone_of(tz))


def _default_start(typed: dict[str, str | None], tz: str) -> str:
    """Return the start of the default period; raise `InputError` if the end that was typed is not in it."""
    end = date_bounds(**typed, tz=tz).before
    start = date_bounds(**dict.fromkeys(typed) | {"since": _DEFAULT_START}, tz=tz).after
    if end is not None and start is not None and end <= start:
        name = "before" if typed["before"] is not None else "until"
        raise hk.InputError(
            f"--{name} {quoted(typed[name])} is earlier than the last 30 days, which are read by default: add --since."
        )
    return _DEFAULT_START


def _note(table: pd.DataFrame, bounds: DateBounds, freq: str | None, zone: tzinfo) -> str:
    """Return what a reader must know of the figures: cut periods, missing ones, the route, in sentences."""
    facts = table.attrs["histkit"]
    notes = []
    if freq is not None:
        notes.append(note_cut_periods(table, parse_freq(freq), zone, bounds, what="figures"))
    else:
        first, end = (pd.Timestamp(facts[side]).tz_convert(zone) for side in ("after", "before"))
        notes.append(f"From {first:%Y-%m-%d} to {end - pd.Timedelta(1, 'us'):%Y-%m-%d} ({facts['tz']}).")
    if facts["missing"]:
        notes.append(
            f"{count_noun(facts['missing'], 'figure')} missing: the service has none; totals are of the others."
        )
    said = facts["refusals"].get(USAGE)
    if said:
        what = f"Figures of the older route {STATS}" if facts["route"] == STATS else "Figures in money"
        notes.append(f"{what}, because the service says: {said}")
    return " ".join(filter(None, notes))


def _print(table: pd.DataFrame, by: tuple[str, ...], period: str, json_: bool, csv_: bool, *, note: str) -> None:
    figure = "cost" if "cost" in table.columns else "credits"
    currencies = set(plain_values(table["currency"])) if "currency" in table.columns else set()
    totals = {} if len(currencies) > 1 else {figure: total_of(table[figure])}
    if json_ or csv_:
        print_table(ReportTable("", table, (), totals), json_, csv_)
        return
    if table.empty:
        print_note("No usage in this range.")
    print_table(_report_table(table, dimensions_of(list(by)), period, totals, note), json_, csv_)


def _report_table(
    table: pd.DataFrame, by: dict[str, Dimension], period: str, totals: dict[str, Any], note: str
) -> ReportTable:
    """Arrange figures for readers: names instead of ids where there are some, only rows with usage."""
    figure = "cost" if "cost" in table.columns else "credits"
    if by:
        table = table[(table[figure] != 0).fillna(True)].reset_index(drop=True)
    words = [word for word in by if word in table.columns]
    shown = [name for name in table.columns if name not in {"period", "currency", "share", figure, *words}]
    frame = pd.DataFrame(index=table.index)
    columns = []
    freq = PERIODS[period]
    if freq is not None:
        frame["period"] = table["period"]
        columns.append(period_column(freq))
    for word in words:
        names = [name for name in shown if name.startswith(_stems(word, by[word]))]
        shown = [name for name in shown if name not in names[:1]]
        frame[word] = _labels(table[word], table[names[0]] if names else None, word)
        columns.append(ReportColumn(word, heading(word)))
    for name in shown:
        frame[name] = table[name]
        columns.append(ReportColumn(name, heading(name), drop_rank=3))
    digits = 4 if figure == "cost" else 2
    whole = figure == "credits" and bool((table[figure].dropna() % 1 == 0).all())
    title = "Credits"
    if figure == "cost":
        currencies = table["currency"].dropna().unique().tolist()
        title = f"Cost in {currencies[0]}" if len(currencies) == 1 else "Cost"
        if len(currencies) > 1:
            frame["currency"] = table["currency"]
            columns.append(ReportColumn("currency", "Currency"))
    if whole:
        frame[figure] = table[figure]
        columns.append(ReportColumn(figure, title, "count", bar=True))
    else:
        frame[figure] = [_decimal(value, digits) for value in plain_values(table[figure])]
        columns.append(ReportColumn(figure, title, "money", bar=True))
        totals = {name: _decimal(None if pd.isna(total) else total, digits) for name, total in totals.items()}
    if "share" in table.columns:
        frame["share"] = table["share"]
        columns.append(ReportColumn("share", "Share", "share", drop_rank=1))
    return ReportTable("", frame, tuple(columns), totals, note)


def _stems(word: str, one: Dimension) -> tuple[str, ...]:
    """Return how a column of display names for a breakdown may begin."""
    known = (word, one.word, one.usage or word, (one.usage or word).removesuffix("_id"))
    return (*known, "xi_api_key") if one.word == "api_key" else known


def _labels(ids: pd.Series, names: pd.Series | None, word: str) -> list[str]:
    """Return the name of each id, with a part of the id where ids share one; long ids without a name are cut."""
    pairs = list(zip(plain_values(ids), [None] * len(ids) if names is None else plain_values(names), strict=True))
    shared = Counter(name for _, name in set(pairs) if name is not None)
    return [_label(identity, name, shared, word) for identity, name in pairs]


def _label(identity: Any, name: str | None, shared: Counter[str], word: str) -> str:
    if identity is None:
        return name if name is not None else no_name(word)
    text = str(identity)
    if name is None:
        return text if len(text) <= _LONG else f"{text[:_SHORT]}…"
    return name if shared[name] == 1 else f"{name} ({text[:_SUFFIX]})"


def _decimal(value: Any, digits: int) -> Decimal | None:
    return None if value is None else Decimal(f"{value:.{digits}f}")
