"""What the tables of money must say, in plain Python: row by row, in whole numbers and decimals.

Written from the documentation alone; it imports nothing of histkit. Rows are dictionaries of plain values, one for each
generation: ``history_item_id``, ``account``, ``date_unix``, ``voice_id``, ``voice_name``, ``model_id``, ``source``,
``text``, ``characters``, ``character_count_change_from`` and ``_to``, ``credits``, ``dialogue`` (a list of lines), and
columns of the user's own.
"""

from __future__ import annotations

import calendar
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from typing import Any

Row = Mapping[str, Any]
Key = tuple[Any, ...]
Sums = tuple[int, int | None, int | None]  # items, characters, credits
Voice = tuple[str, str] | None
Costs = dict[Key, dict[str, tuple[Decimal, int]]]  # by group and currency: exact cost, and the credits that have it

DAY, HOUR = 86_400, 3600
MONTHS = {"MS": 1, "QS": 3, "YS": 12}


def local(second: int, zone: tzinfo) -> datetime:
    """Return what a clock of the zone shows."""
    return datetime.fromtimestamp(second, UTC).astimezone(zone).replace(tzinfo=None)


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Return the first second in (low, high] for which a condition holds that stays true from then on."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


@lru_cache(maxsize=100_000)
def day_start(day: date, zone: tzinfo) -> int:
    """Return the first second whose local date is this day or a later one."""
    noon = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp())
    return _first(noon - 2 * DAY, noon + 2 * DAY, lambda second: local(second, zone).date() >= day)


@lru_cache(maxsize=100_000)
def wall_instant(wall: datetime, zone: tzinfo) -> int:
    """Return the first second at which a clock shows this time or, if it is skipped, at which it is set forward."""
    near = int(wall.replace(tzinfo=UTC).timestamp())
    shown = [near - offset for offset in range(-15 * HOUR, 15 * HOUR, 900) if local(near - offset, zone) == wall]
    if shown:
        return min(shown)
    return _first(near - DAY, near + DAY, lambda second: local(second, zone) > wall)


@dataclass(frozen=True)
class Billing:
    """Billing periods: a day of the month from midnight, or the instant of one reset and the months between two."""

    day: int | None = None
    reset: int | None = None
    months: int = 1

    def starts(self, second: int, zone: tzinfo) -> int:
        """Return the start of the period that holds a second."""
        anchor = datetime.fromisoformat("2024-01-01") if self.reset is None else local(self.reset, zone)
        at = local(second, zone)
        since = (at.year - anchor.year) * 12 + at.month - anchor.month
        steps = [since // self.months * self.months + self.months * step for step in (-1, 0, 1)]
        return max(start for step in steps if (start := self._start(anchor, step, zone)) <= second)

    def _start(self, anchor: datetime, months: int, zone: tzinfo) -> int:
        if self.reset is not None and not months:
            return self.reset
        number = anchor.year * 12 + anchor.month - 1 + months
        year, month = divmod(number, 12)
        wanted = self.day if self.day is not None else anchor.day
        day = min(wanted, calendar.monthrange(year, month + 1)[1])
        return wall_instant(anchor.replace(year=year, month=month + 1, day=day), zone)


def period_start(second: int, freq: str, zone: tzinfo, billing: Billing | None = None) -> int:
    """Return the first second of the period that holds a second: h, 6h, D, W (from Monday), MS, QS, YS, billing."""
    if freq == "billing":
        assert billing is not None
        return billing.starts(second, zone)
    at = local(second, zone)
    if freq == "h":
        return _hour_start(second, zone)
    if freq == "6h":
        return wall_instant(at.replace(hour=at.hour // 6 * 6, minute=0, second=0), zone)
    day = at.date()
    if freq == "W":
        day -= timedelta(days=day.weekday())
    elif freq in MONTHS:
        day = day.replace(month=(day.month - 1) // MONTHS[freq] * MONTHS[freq] + 1, day=1)
    return day_start(day, zone)


def _hour_start(second: int, zone: tzinfo) -> int:
    """Return the first second with the same date, hour and offset from UTC."""

    def hour(moment: int) -> tuple[Any, ...]:
        shown = datetime.fromtimestamp(moment, UTC).astimezone(zone)
        return shown.date(), shown.hour, shown.utcoffset()

    own, before = hour(second), second - HOUR
    return _first(before, second, lambda moment: hour(moment) == own) if hour(before) != own else before


def divide(amount: int, weights: Sequence[int]) -> list[int]:
    """Divide a whole number by weights: rounded down, the rest to the largest remainders, ties to the first."""
    total = sum(weights)
    exact = [Fraction(amount * weight, total) for weight in weights]
    shares = [int(part) for part in exact]  # none is negative
    order = sorted(range(len(weights)), key=lambda place: (shares[place] - exact[place], place))
    for place in order[: amount - sum(shares)]:
        shares[place] += 1
    return shares


def voice_of(voice_id: str | None, name: str | None) -> Voice:
    """Return who speaks: the id, or the name where there is no id."""
    return ("id", voice_id) if voice_id is not None else ("name", name) if name is not None else None


def parts(row: Row) -> list[tuple[Voice, Sums]]:
    """Return the voices of a row and their shares of it: of a dialogue, by the characters of their lines."""
    measures = (1, row["characters"], row["credits"])
    lines = row["dialogue"]
    if not lines:
        return [(voice_of(row["voice_id"], row["voice_name"]), measures)]
    spoken: dict[Voice, int] = {}
    for line in lines:
        voice = voice_of(line["voice_id"], line["voice_name"])
        spoken[voice] = spoken.get(voice, 0) + len(line["text"] or "")
    heard = {voice: length for voice, length in spoken.items() if length} or {next(iter(spoken)): 1}
    shares: list[list[int | None]] = [[] for _ in heard]
    for amount in measures:
        divided = [None] * len(heard) if amount is None else divide(amount, [*heard.values()])
        for own, part in zip(shares, divided, strict=True):
            own.append(part)
    return [(voice, (own[0] or 0, own[1], own[2])) for voice, own in zip(heard, shares, strict=True)]


def add(sums: Iterable[Sums]) -> Sums:
    """Add sums; a total of which no part is known is missing."""
    totals: list[int | None] = [0, None, None]
    for measures in sums:
        for place, amount in enumerate(measures):
            if amount is not None:
                totals[place] = (totals[place] or 0) + amount
    return totals[0] or 0, totals[1], totals[2]


def lines_of(
    rows: Iterable[Row],
    by: Sequence[str],
    freq: str | None = None,
    zone: tzinfo = UTC,
    billing: Billing | None = None,
    split: Callable[[Row], Any] | None = None,
) -> dict[Key, Sums]:
    """Sum rows by groups and period; `split` adds one more group.

    The words voice, speaker, model and source are those of the documentation; every other name is a column.
    """
    found: dict[Key, list[Sums]] = {}
    for row in rows:
        fixed = {
            "model": row["model_id"] if row["model_id"] is not None else "(unknown)",
            "source": row["source"] if row["source"] is not None else "(unknown)",
        }
        start = None
        if freq is not None and row["date_unix"] is not None:
            start = period_start(row["date_unix"], freq, zone, billing)
        several = {"voice", "speaker"} & set(by)
        for voice, measures in parts(row) if several else [(None, (1, row["characters"], row["credits"]))]:
            words = {**fixed, "voice": voice, "speaker": voice}
            key = tuple(words[name] if name in words else row[name] for name in by)
            key += () if freq is None else (start,)
            key += () if split is None else (split(row),)
            found.setdefault(key, []).append(measures)
    return {key: add(sums) for key, sums in found.items()}


@dataclass(frozen=True)
class Price:
    """A line of a price book; `starts` is the second of ``valid_from``."""

    per_1000: Decimal
    currency: str
    starts: int | None = None
    client: str | None = None
    voice: str | None = None  # an id
    model: str | None = None
    source: str | None = None
    account: str | None = None

    def conditions(self) -> tuple[bool, ...]:
        """Return which conditions it has, in the order of precedence."""
        values = (self.client, self.voice, self.model, self.source, self.account)
        return tuple(value is not None for value in values)

    def meets(self, row: Row) -> bool:
        """Return whether a row meets all conditions and the start."""
        second = row["date_unix"]
        if second is None or (self.starts is not None and second < self.starts):
            return False
        client = row.get("client")
        pairs = (
            (self.client, "unassigned" if client is None else client),
            (self.model, row["model_id"]),
            (self.source, row["source"]),
            (self.account, row.get("account")),
        )
        if any(wanted is not None and wanted != value for wanted, value in pairs):
            return False
        speakers = {line["voice_id"] for line in row["dialogue"]} if row["dialogue"] else {row["voice_id"]}
        return self.voice is None or speakers == {self.voice}


def price_of(row: Row, book: Sequence[Price]) -> Price | None:
    """Return the price of a row; None if none applies, or the credits are unknown or negative."""
    if row["credits"] is None or row["credits"] < 0:
        return None
    alone = (False, False, False, False, True)
    own = any(price.conditions() == alone and price.account == row.get("account") for price in book)
    applicable = [price for price in book if price.meets(row) and not (own and not any(price.conditions()))]
    return max(
        applicable,
        key=lambda price: (
            sum(price.conditions()),
            price.conditions(),
            price.starts is not None,
            price.starts or 0,
        ),
        default=None,
    )


def cost_of(row: Row, book: Sequence[Price]) -> Decimal | None:
    """Return the exact cost of a row."""
    price = price_of(row, book)
    return None if price is None else row["credits"] * price.per_1000 / 1000


def costs_of(
    rows: Iterable[Row],
    by: Sequence[str],
    book: Sequence[Price],
    freq: str | None = None,
    zone: tzinfo = UTC,
    billing: Billing | None = None,
) -> Costs:
    """Return exact cost and priced credits of each group, by currency; credits without a price have none."""
    found: Costs = {}
    for key, (_, _, credits) in lines_of(rows, by, freq, zone, billing, lambda row: price_of(row, book)).items():
        *group, price = key
        if price is None or credits is None:
            found.setdefault(tuple(group), {})
            continue
        costs = found.setdefault(tuple(group), {})
        cost, priced = costs.get(price.currency, (Decimal(0), 0))
        costs[price.currency] = cost + credits * price.per_1000 / 1000, priced + credits
    return found


DIGITS = {"EUR": 2, "JPY": 0, "KWD": 3}


def rounded(amount: Decimal, currency: str) -> Decimal:
    """Round an exact amount half to even to the smallest unit of its currency."""
    with localcontext(prec=60):
        return amount.quantize(Decimal(1).scaleb(-DIGITS[currency]), ROUND_HALF_EVEN)


def same_words(text: str) -> str:
    """Return a text without what makes no other take of it."""
    plain = {
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "-",
        "\N{HORIZONTAL ELLIPSIS}": "...",
    }
    for fine, simple in plain.items():
        text = text.replace(fine, simple)
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def line_of(row: Row) -> Key | None:
    """Return what makes two rows takes of one line, in one account; None for a row without text."""
    if row["dialogue"]:
        talk = tuple(
            (voice_of(line["voice_id"], line["voice_name"]), same_words(line["text"] or "")) for line in row["dialogue"]
        )
        return (row["account"], "dialogue", talk) if any(text for _, text in talk) else None
    text = same_words(row["text"] or "")
    return (row["account"], voice_of(row["voice_id"], row["voice_name"]), text) if text else None


def takes_of(rows: Sequence[Row], keep: str = "last") -> list[tuple[int, int, bool]]:
    """Return number of the take, number of takes and whether it is kept, of each row."""
    lines: dict[Key, list[int]] = {}
    for place, row in enumerate(rows):
        line = line_of(row)
        lines.setdefault(("row", place) if line is None else line, []).append(place)
    result: list[tuple[int, int, bool]] = [(0, 0, False)] * len(rows)
    for places in lines.values():
        places.sort(key=lambda place: _age(rows[place]))
        kept = places[-1 if keep == "last" else 0]
        for number, place in enumerate(places, 1):
            result[place] = number, len(places), place == kept
    return result


def _age(row: Row) -> Key:
    low = -(2**63)
    second, counter = row["date_unix"], row["character_count_change_from"]
    return low if second is None else second, low if counter is None else counter, row["history_item_id"]


def waste_of(
    rows: Sequence[Row],
    by: Sequence[str],
    freq: str | None = None,
    zone: tzinfo = UTC,
    keep: str = "last",
) -> dict[Key, tuple[int, int, int, int, int | None, int | None]]:
    """Return items, takes not kept, paid and free of these, credits, and credits thrown away, of each group."""
    kinds = {}
    for row, (_, _, kept) in zip(rows, takes_of(rows, keep), strict=True):
        credits = row["credits"]
        kinds[id(row)] = "kept" if kept else "unknown" if credits is None else "free" if credits == 0 else "paid"
    result: dict[Key, dict[str, Sums]] = {}
    for key, sums in lines_of(rows, by, freq, zone, split=lambda row: kinds[id(row)]).items():
        result.setdefault(key[:-1], {})[key[-1]] = sums
    table = {}
    for key, kind in result.items():
        lost = [kind[name] for name in ("paid", "free", "unknown") if name in kind]
        paid, free = (kind[name][0] if name in kind else 0 for name in ("paid", "free"))
        everything, thrown = add(kind.values()), add(lost)
        table[key] = (everything[0], thrown[0], paid, free, everything[2], thrown[2] if lost else 0)
    return table
