"""Zones of labels: the dates of a column's rules whose instants depend on a zone, kept as facts and checked later."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.clock import first_instant, iso, name_of, zone_of
from histkit.frame.columns import factorize
from histkit.frame.dates import instants_of, parse_date, to_micros
from histkit.frame.schema import KINDS
from histkit.util.arrays import Ints, Mask
from histkit.util.text import count_noun, quoted

FACT = "label_dates"
_EXTREMES = tuple(timezone(timedelta(hours=hours)) for hours in (-12, 14))
_REACH = 24 * 3600  # seconds; no zone is further from UTC, now or in the past
_MOST_LISTED = 3


@dataclass(frozen=True)
class ZonedBound:
    """A date of a rule that is a day or a time of a clock: another instant in another zone.

    Attributes
    ----------
    wall : int
        The time of the clock, in seconds since its 1970-01-01 00:00.
    instant : int
        The instant in the zone of the rules, in seconds since 1970.
    """

    wall: int
    instant: int

    def rows_near(self, instants: Ints, dated: Mask) -> Mask:
        """Return which rows are so close to it that another zone could put them on its other side."""
        low, high = to_micros(self.wall - _REACH), to_micros(self.wall + _REACH)
        near: Mask = dated & (instants >= low) & (instants < high)
        return near


def zoned_bounds(dates: Mapping[str, Any], zone: tzinfo) -> Iterator[ZonedBound]:
    """Yield the dates that depend on the zone; instants (with an offset, or numbers) don't.

    Parameters
    ----------
    dates : mapping of str to date
        Dates as `histkit.frame.dates.parse_date` takes them, by the name of their condition; None is no date.
    zone : tzinfo
        The zone in which they are read.
    """
    for name, value in dates.items():
        if value is None or len({parse_date(value, name, other).start for other in _EXTREMES}) == 1:
            continue
        span = parse_date(value, name, zone)
        fixed = span.label if span.relative else value  # "today" is another day in another zone
        yield ZonedBound(parse_date(fixed, name, UTC).start, span.start)


def zone_facts(
    bounds: Mapping[ZonedBound, Ints], codes: Ints, labels: Sequence[str], zone: tzinfo, *, own: bool
) -> dict[str, Any]:
    """Return what `check_label_zone` needs to know of a column of labels, as plain values; empty if nothing.

    Parameters
    ----------
    bounds : mapping of ZonedBound to int64 array
        The rows whose label could depend on each date.
    codes : int64 array
        Label of each row, as a position in `labels`.
    labels : sequence of str
        All labels.
    zone : tzinfo
        The zone of the rules.
    own : bool
        Whether the rules themselves name it.
    """
    dates = [
        {"wall": bound.wall, "instant": bound.instant, "labels": [labels[code] for code in np.unique(codes[rows])]}
        for bound, rows in bounds.items()
        if len(rows)
    ]
    return {"tz": name_of(zone), "own": own, "dates": dates} if dates else {}


def check_label_zone(frame: pd.DataFrame, column: Any, zone: tzinfo, inside: Mask, issued: str = "") -> None:
    """Refuse rows that the dates of rules may have labelled otherwise, had they been days of this zone.

    The facts are those that `label` left in the frame's ``attrs``. A frame without any has lost them, as in ``concat``
    and ``merge``, or was read from a CSV file: nothing is known, nothing refused, and a warning says so.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history with the column.
    column : str
        The column of labels.
    zone : tzinfo
        The zone in which the rows were selected.
    inside : mask
        The rows that were.
    issued : str
        A statement that was issued in this zone, and would be corrected, for the message.

    Raises
    ------
    InputError
        There are such rows: dated between the instants that one date is in both zones, with a label that depends on it.
    """
    if "histkit" not in frame.attrs and column not in KINDS and column != "account" and inside.any():
        warnings.warn(
            f"The frame has lost its facts on the labels in {quoted(column)}, as in concat, merge or a CSV file, so it "
            f"isn't checked that dates of their rules are days of {name_of(zone)}; label the frame again.",
            stacklevel=2,
        )
    facts = _facts_of(frame, column)
    if not facts:
        return
    instants, dated = instants_of(frame["date"])
    codes, values = factorize(frame[column])
    affected = np.zeros(len(frame), bool)
    days: dict[str, int] = {}
    for date in facts["dates"]:
        start, end = sorted((date["instant"], first_instant(date["wall"], zone)))
        between = inside & dated & (instants >= to_micros(start)) & (instants < to_micros(end))
        depends = np.array([*(str(value) in date["labels"] for value in values), False], bool)
        between &= depends[codes]
        if between.any():
            affected |= between
            days[_wall_text(date["wall"])] = date["instant"]
    if not days:
        return
    own, name, theirs = facts["own"], name_of(zone), facts["tz"]
    listed = sorted(days)[:_MOST_LISTED]
    rows = count_noun(int(affected.sum()), "row")
    what = (
        f"{rows} of the period may have the wrong label in {quoted(column)}: its rules read {', '.join(listed)} as a "
        f"date of {theirs}, and"
    )
    if issued:
        exact = iso(days[listed[0]], zone_of(theirs))
        raise InputError(
            f"{what} {issued} is of {name}; write dates with an offset into the rules, as in {exact}: these are the "
            "same in every zone."
        )
    again = f"write tz = {name!r} into the rules" if own else f"label again with tz={name!r}"
    raise InputError(f"{what} this is a statement of {name}; {again}, or use tz={theirs!r} here.")


def _wall_text(wall: int) -> str:
    text = iso(wall, UTC)[:16]
    return text.removesuffix("T00:00")


def _facts_of(frame: pd.DataFrame, column: Any) -> dict[str, Any] | None:
    """Return the facts on a column, None where there are none that can be read: attrs may hold anything."""
    history = frame.attrs.get("histkit")
    columns = history.get(FACT) if isinstance(history, Mapping) else None
    facts = columns.get(column) if isinstance(columns, Mapping) and isinstance(column, str) else None
    try:
        return {
            "tz": str(facts["tz"]),  # type: ignore[index]
            "own": bool(facts["own"]),  # type: ignore[index]
            "dates": [
                {"wall": int(date["wall"]), "instant": int(date["instant"]), "labels": set(map(str, date["labels"]))}
                for date in facts["dates"]  # type: ignore[index]
            ],
        }
    except (KeyError, TypeError, ValueError):
        return None
