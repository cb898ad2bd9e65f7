"""The tables of usage and money, recomputed in plain Python, row by row, and in DuckDB. No difference is allowed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

import histkit as hk
from tests.effort import examples
from tests.money import oracle
from tests.money.oracle import DIGITS, Key, Row, Sums, rounded, voice_of
from tests.money.random_accounts import frame_of, random_billing, random_book, random_rows

pytestmark = pytest.mark.hypothesis  # in make faults with 1,000 frames

PARTS = 10
GROUPS: tuple[tuple[str, ...], ...] = (
    ("voice",),
    ("speaker",),
    ("model",),
    ("source",),
    ("account",),
    ("project",),
    ("client",),
    ("voice_name",),
    (),
    ("voice", "model"),
    ("account", "voice"),
    ("project", "source", "model"),
)
FREQS = (None, "h", "6h", "D", "W", "MS", "QS", "YS", "billing")
MEASURES = ["items", "characters", "credits"]


def thorough() -> bool:
    return examples(1) > 1


def seeds(part: int, every: int = 1) -> list[int]:
    """Return the seeds of a part of the frames: of 1,000 in ``make faults``, else of 60, or of every n-th of these.

    On pandas 2.2 they are of 30.
    """
    if thorough():
        return [*range(part, 1000, PARTS)]
    return [seed for seed in range(part, min(60, examples(120)), PARTS) if (seed // PARTS + part) % every == 0]


def number(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)


def second_of(moment: Any) -> int | None:
    return None if pd.isna(moment) else int(moment.value // 10**9 if moment.unit == "ns" else moment.timestamp())


class Voices:
    """The voices that the labels of a table mean, and the labels that they may have."""

    def __init__(self, rows: Sequence[Row], table: pd.DataFrame) -> None:
        self._ids = table.attrs["histkit"]["voices"]
        names: dict[Any, dict[int, set[str]]] = {}
        for row in rows:
            heard = {voice for voice, _ in oracle.parts(row)}  # a voice without a word in a dialogue is left out
            for line in row["dialogue"] or [row]:
                voice = voice_of(line["voice_id"], line["voice_name"])
                if line["voice_name"] is not None and voice in heard:
                    second = -(2**62) if row["date_unix"] is None else row["date_unix"]
                    names.setdefault(voice, {}).setdefault(second, set()).add(line["voice_name"])
        self._latest = {voice: seen[max(seen)] for voice, seen in names.items()}

    def __getitem__(self, label: str) -> oracle.Voice:
        if label == "(no voice)":
            return None
        voice_id = self._ids[label]
        voice = ("name", label.removesuffix(" (no id)")) if voice_id is None else ("id", voice_id)
        assert any(label.startswith(name) for name in self._latest.get(voice, {voice[1]})), label
        return voice


def keys_of(table: pd.DataFrame, rows: Sequence[Row], by: Sequence[str], freq: str | None) -> list[Key]:
    """Return the group and period of each line of a table as the oracle has them."""
    columns = []
    for name in by:
        values: list[Any] = [None if pd.isna(value) else value for value in table[name]]
        if name in ("voice", "speaker"):
            voices = Voices(rows, table)
            values = [voices[label] for label in values]
        columns.append(values)
    if freq is not None:
        columns.append([second_of(moment) for moment in table["period"]])
    return [*zip(*columns, strict=True)] if columns else [()] * len(table)


def sums_in(table: pd.DataFrame, keys: Sequence[Key]) -> dict[Key, Sums]:
    lines = [tuple(map(number, line)) for line in table[MEASURES].itertuples(index=False)]
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, lines, strict=True))  # type: ignore[arg-type]


def in_order(table: pd.DataFrame, column: str = "credits") -> bool:
    """Return whether lines are sorted by period, then by an amount, the largest first and the unknown last."""
    keys = []
    for line in table.to_dict("records"):
        period = second_of(line["period"]) if "period" in table.columns else 0
        amount = number(line[column])
        keys.append((period is None, period or 0, amount is None, -(amount or 0)))
    return keys == sorted(keys)


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore the warnings on random frames: prices and rules for names that a frame does not have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def described(seed: int, *what: Any) -> str:
    return f"seed {seed}: {what}"


@pytest.mark.parametrize("part", range(PARTS))
def test_usage_tables(part: int) -> None:
    for seed in seeds(part):
        rng = Random(f"usage {seed}")
        rows, zone = random_rows(seed)
        frame = frame_of(rows)
        billing, billed = random_billing(rng)
        # every group in every period is met in a few frames
        cases = [(by, FREQS[(seed + place) % len(FREQS)]) for place, by in enumerate(GROUPS)]
        cases += [(GROUPS[seed % len(GROUPS)], freq) for freq in FREQS]
        cases = [*dict.fromkeys(cases)]
        for by, freq in rng.sample(cases, 12 if thorough() else 3):
            table = hk.usage_table(frame, [*by], freq, tz=zone, **({"billing": billed} if freq == "billing" else {}))
            expected = oracle.lines_of(rows, by, freq, ZoneInfo(zone), billing)
            if not rows and not by and freq is None:
                expected = {(): (0, 0, 0)} if len(table) else {}
            assert sums_in(table, keys_of(table, rows, by, freq)) == expected, described(seed, by, freq, zone, billed)
            assert in_order(table)
            facts = table.attrs["histkit"]
            assert facts["rows"] == len(rows)
            if rows:
                assert facts.get("rows_without_credits", 0) == sum(row["credits"] is None for row in rows)


@pytest.mark.parametrize("part", range(PARTS))
def test_the_largest_groups_and_the_rest(part: int) -> None:
    for seed in seeds(part, 3):
        rows, zone = random_rows(seed)
        expected = oracle.lines_of(rows, ["project"])
        table = hk.usage_table(frame_of(rows), "project", tz=zone, top=2)
        found = sums_in(table, keys_of(table, rows, ["project"], None))
        if len(expected) <= 2:
            assert found == expected
            continue
        (label,) = found.keys() - expected.keys()
        kept = {key: sums for key, sums in found.items() if key != label}
        folded = {key: sums for key, sums in expected.items() if key not in kept}
        assert label == ("other",), "no project of that name"
        assert {key: expected[key] for key in kept} == kept
        assert found[label] == oracle.add(folded.values())
        assert min(sums[2] or 0 for sums in kept.values()) >= max(sums[2] or 0 for sums in folded.values())
        assert table["project"].iloc[-1] == label[0]


def check_rounding(exact: Sequence[Decimal], costs: Sequence[Decimal], currency: str) -> None:
    """Check that costs are exact amounts, rounded by largest remainder to add up to the rounded total."""
    unit = Decimal(1).scaleb(-DIGITS[currency])
    with localcontext(prec=60):
        assert sum(costs, Decimal(0)) == rounded(sum(exact, Decimal(0)), currency)
        ups: list[Decimal] = []
        downs: list[Decimal] = []
        for amount, cost in zip(exact, costs, strict=True):
            assert cost % unit == 0
            remainder = amount % unit
            assert cost in (amount - remainder, amount - remainder + unit)
            (downs if cost == amount - remainder else ups).append(remainder)
        assert min(ups, default=unit) >= max(downs, default=Decimal(0))


def check_lines(
    table: pd.DataFrame, keys: Sequence[Key], sums: dict[Key, Sums], costs: oracle.Costs
) -> dict[str, list[Decimal]]:
    """Compare lines with the sums and exact costs of their groups; return the exact costs by currency."""
    exact: dict[str, list[Decimal]] = {}
    shown: dict[str, list[Decimal]] = {}
    merged: dict[Key, list[Sums]] = {}
    found: dict[Key, set[str | None]] = {}
    for key, line in zip(keys, table.to_dict("records"), strict=True):
        measures = (int(line["items"]), number(line["characters"]), number(line["credits"]))
        merged.setdefault(key, []).append(measures)
        currency = None if pd.isna(line["currency"]) else line["currency"]
        priced = 0
        if currency is None:
            assert pd.isna(line["cost"])
        else:
            assert currency not in found.setdefault(key, set())
            found[key].add(currency)
            cost, priced = costs[key][currency]
            exact.setdefault(currency, []).append(cost)
            shown.setdefault(currency, []).append(line["cost"])
        if measures[2]:
            assert line["priced"] == pytest.approx(float(Fraction(priced, measures[2])), abs=1e-12)
        else:
            assert pd.isna(line["priced"])
    assert {key: oracle.add(parts) for key, parts in merged.items()} == sums
    assert found == {key: {*group} for key, group in costs.items() if group}
    for currency, amounts in exact.items():
        check_rounding(amounts, shown[currency], currency)
    return exact


def check_totals(facts: dict[str, Any], exact: dict[str, list[Decimal]], costs: oracle.Costs) -> None:
    """Compare the totals of a cost table by currency."""
    assert facts["totals"].keys() == exact.keys()
    for currency, total in facts["totals"].items():
        with localcontext(prec=60):
            assert Decimal(total["exact"]) == sum(exact[currency], Decimal(0))
            assert Decimal(total["cost"]) == rounded(sum(exact[currency], Decimal(0)), currency)
        assert int(total["credits"]) == sum(group[currency][1] for group in costs.values() if currency in group)


@pytest.mark.parametrize("part", range(PARTS))
def test_costs(part: int) -> None:
    for seed in seeds(part, 2):
        rng = Random(f"costs {seed}")
        rows, zone = random_rows(seed)
        frame = frame_of(rows)
        prices, book = random_book(rng, zone)
        billing, billed = random_billing(rng)
        with quiet():
            priced = hk.add_cost(frame, book, tz=zone)
        for row, cost, currency in zip(rows, priced["cost"], priced["currency"], strict=True):
            expected, price = oracle.cost_of(row, prices), oracle.price_of(row, prices)
            assert (None if pd.isna(cost) else cost) == expected, described(seed, row, prices)
            assert (None if pd.isna(currency) else currency) == (None if price is None else price.currency)
        for place in range(4 if thorough() else 2):
            by, freq = rng.choice(GROUPS), FREQS[(seed + place) % len(FREQS)]
            options = {"billing": billed} if freq == "billing" else {}
            with quiet():
                table = hk.cost_table(frame, [*by], freq, prices=book, tz=zone, **options)
            where = oracle.lines_of(rows, by, freq, ZoneInfo(zone), billing)
            costs = oracle.costs_of(rows, by, prices, freq, ZoneInfo(zone), billing)
            try:
                exact = check_lines(table, keys_of(table, rows, by, freq), where, costs)
                check_totals(table.attrs["histkit"], exact, costs)
            except AssertionError as error:
                raise AssertionError(described(seed, by, freq, zone, prices)) from error


def spans(zone: ZoneInfo) -> list[tuple[str, int, int]]:
    """Return periods, and their first seconds."""

    def start(*day: int) -> int:
        return oracle.day_start(datetime(*day).date(), zone)  # type: ignore[arg-type]  # noqa: DTZ001

    return [
        ("2025-10", start(2025, 10, 1), start(2025, 11, 1)),
        ("2026-03", start(2026, 3, 1), start(2026, 4, 1)),
        ("2026-Q3", start(2026, 7, 1), start(2026, 10, 1)),
        ("2026", start(2026, 1, 1), start(2027, 1, 1)),
        ("2025-W44", start(2025, 10, 27), start(2025, 11, 3)),
        ("2025-10-26", start(2025, 10, 26), start(2025, 10, 27)),
    ]


@pytest.mark.parametrize("part", range(PARTS))
def test_statements(part: int) -> None:
    for seed in seeds(part, 6):
        rng = Random(f"statements {seed}")
        rows, zone = random_rows(seed)
        frame = frame_of(rows)
        prices, book = random_book(rng, zone)
        period, start, end = spans(ZoneInfo(zone))[seed % 6]
        dated = [row for row in rows if row["date_unix"] is not None and start <= row["date_unix"] < end]
        of_client: dict[str, list[Row]] = {}
        for row in dated:
            of_client.setdefault(row["client"] or "unassigned", []).append(row)
        if not rows:
            continue
        by = rng.choice([("model",), ("account", "source"), ("voice_name",), ("project", "model")])
        with quiet():
            table = hk.statements(frame, period, prices=book, tz=zone, by=[*by])
        assert set(table["client"]) == set(of_client)
        for client, billed in of_client.items():
            lines = table[table["client"] == client]
            assert oracle.add(
                (int(one["items"]), number(one["characters"]), number(one["credits"]))
                for one in lines.to_dict("records")
            ) == oracle.add((1, row["characters"], row["credits"]) for row in billed)
            with quiet():
                bill = hk.statement(frame, client, period, prices=book, tz=zone, by=[*by])
            sums, costs = oracle.lines_of(billed, by), oracle.costs_of(billed, by, prices)
            totals: dict[str, Decimal] = {}
            for billed_row in billed:
                price = oracle.price_of(billed_row, prices)
                if price is not None:
                    cost = billed_row["credits"] * price.per_1000 / 1000
                    with localcontext(prec=60):
                        totals[price.currency] = totals.get(price.currency, Decimal(0)) + cost
            expected = {currency: rounded(total, currency) for currency, total in totals.items()}
            facts = bill.attrs["histkit"]
            assert {name: Decimal(text) for name, text in facts["totals"]["cost"].items()} == expected, seed
            found = {name: cost for name, cost in zip(lines["currency"], lines["cost"], strict=True) if pd.notna(name)}
            assert found == expected
            assert (facts["rows"], facts["start"][:10], facts["end"][:10]) == (
                len(billed),
                *(datetime.fromtimestamp(second, ZoneInfo(zone)).date().isoformat() for second in (start, end)),
            )
            undated = [row for row in rows if row["date_unix"] is None and (row["client"] or "unassigned") == client]
            assert facts["rows_without_date"] == len(undated)
            check_lines(bill, keys_of(bill, billed, by, None), sums, costs)


@pytest.mark.parametrize("part", range(PARTS))
def test_takes_and_waste(part: int) -> None:
    for seed in seeds(part, 3):
        rows, zone = random_rows(seed)
        frame = frame_of(rows)
        keep = "last" if seed % 3 else "first"
        takes = hk.takes(frame, keep=keep)
        found = [
            (number(line["take"]), number(line["takes"]), bool(line["keeper"])) for line in takes.to_dict("records")
        ]
        expected = oracle.takes_of(rows, keep)
        assert found == expected, described(seed, zone)
        thrown = sum(row["credits"] or 0 for row, (*_, kept) in zip(rows, expected, strict=True) if not kept)
        assert takes.attrs["histkit"]["thrown_away"] == thrown
        tables = ((GROUPS[seed % len(GROUPS)], FREQS[seed % 8]), (("voice",), None), (("account",), "MS"))
        for by, freq in tables if thorough() else tables[:1]:
            table = hk.waste(frame, [*by], freq, tz=zone, keep=keep)
            table.attrs["histkit"] = {
                **table.attrs["histkit"],
                "voices": hk.usage_table(frame, "voice").attrs["histkit"]["voices"],
            }
            columns = ["items", "thrown_away_items", "paid", "free", "credits", "thrown_away"]
            lines = [tuple(map(number, line)) for line in table[columns].itertuples(index=False)]
            waste = dict(zip(keys_of(table, rows, by, freq), lines, strict=True))
            assert waste == oracle.waste_of(rows, by, freq, ZoneInfo(zone), keep), described(seed, by, freq, zone)
            assert freq is not None or in_order(table, "thrown_away")


@pytest.mark.parametrize("part", range(PARTS))
def test_reconciled_sums(part: int) -> None:
    for seed in seeds(part, 3):
        rng = Random(f"reconcile {seed}")
        rows, name = random_rows(seed, accounts=1)
        zone, frame = ZoneInfo(name), frame_of(rows)
        dates = [row["date_unix"] for row in rows if row["date_unix"] is not None]
        if not dates:
            continue
        freq = ("MS", "D", "W", "QS", "YS")[seed % 5]
        first, last = (oracle.local(second, zone).date() for second in (min(dates), max(dates)))
        days = [oracle.day_start(first + timedelta(days=day), zone) for day in range((last - first).days + 1)]
        figures = {day: rng.choice((0.0, 1.5, float(rng.randint(0, 10_000)))) for day in days}
        unknown = {day for day in days if rng.random() < 0.005}
        values = [None if day in unknown else figure for day, figure in figures.items()]
        periods = (
            pd.to_datetime(pd.Series(days), unit="s", utc=True).dt.tz_convert(name).astype(f"datetime64[us, {name}]")
        )
        official = pd.DataFrame({"period": periods, "credits": pd.array(values, "Float64")})
        with quiet():
            table = hk.reconcile(frame, freq, official=official, tz=name)  # type: ignore[arg-type]
            counted = hk.ledger(frame, "D", tz=name)
        expected: dict[int, dict[str, Any]] = {}
        for day, figure in zip(days, values, strict=True):
            line = expected.setdefault(
                oracle.period_start(day, freq, zone), {"history": 0, "official": 0.0, "gap": 0, "adjustment": 0}
            )
            line["official"] = None if figure is None or line["official"] is None else line["official"] + figure
        for day, gap, adjustment in zip(counted["period"], counted["unseen"], counted["adjustment"], strict=True):
            line = expected[oracle.period_start(int(day.timestamp()), freq, zone)]
            for column, amount in (("gap", gap), ("adjustment", adjustment)):
                line[column] = None if pd.isna(amount) or line[column] is None else line[column] + int(amount)
        for (start,), (*_, credits) in oracle.lines_of(rows, [], freq, zone).items():
            if start is not None:
                expected[start]["history"] = credits or 0
        for line in expected.values():
            parts = [line[column] for column in ("official", "history", "gap", "adjustment")]
            line["unexplained"] = None if None in parts else parts[0] - sum(parts[1:])
        columns = ["history", "gap", "adjustment", "official", "unexplained"]
        found = {
            second_of(line["period"]): {column: None if pd.isna(line[column]) else line[column] for column in columns}
            for line in table.to_dict("records")
        }
        assert found == expected, described(seed, freq, name)
        facts = table.attrs["histkit"]
        for column in columns:
            known = [line[column] for line in expected.values() if line[column] is not None]
            assert facts[column] == pytest.approx(sum(known)), described(seed, column)


def in_duckdb(rows: Sequence[Row]) -> duckdb.DuckDBPyConnection:
    """Return a database with the rows, and the shares of their voices computed in it."""
    database = duckdb.connect()
    plain = {"characters": pa.int64(), "credits": pa.int64(), "date_unix": pa.int64(), "place": pa.int64()}
    texts = ("account", "model_id", "source", "project", "client", "history_item_id")
    columns: dict[str, Any] = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in texts}
    places = [{**row, "place": place} for place, row in enumerate(rows)]
    columns |= {name: pa.array([row[name] for row in places], kind) for name, kind in plain.items()}
    lines = [
        (place, number, repr(voice_of(line["voice_id"], line["voice_name"])), line["text"] or "", bool(row["dialogue"]))
        for place, row in enumerate(rows)
        for number, line in enumerate(row["dialogue"] or [row])
    ]
    names = ("place", "number", "voice", "words", "talk")
    kinds = (pa.int64(), pa.int64(), pa.string(), pa.string(), pa.bool_())
    spoken = [pa.array([line[at] for line in lines], kind) for at, kind in enumerate(kinds)]
    database.register("history", pa.table(columns))
    database.register("lines", pa.table(spoken, names=[*names]))
    database.execute(
        """
        create table speakers as
        with heard as (
            select place, voice, min(number) as first, sum(length(words)) as weight from lines where talk group by all
            union all
            select place, voice, 0, 1 from lines where not talk
        ), counted as (
            select *, sum(weight) over (partition by place) as total,
                   row_number() over (partition by place order by first) as turn
            from heard
        )
        select place, voice, first, case when total = 0 then 1 else weight end as weight,
               case when total = 0 then 1 else total end as total
        from counted where weight > 0 or (total = 0 and turn = 1);

        create table shares as
        with amounts as (
            select place, 'items' as measure, 1 as amount from history
            union all select place, 'characters', characters from history
            union all select place, 'credits', credits from history
        ), floors as (
            select s.place, voice, first, measure, amount,
                   amount::hugeint * weight::hugeint // total::hugeint as share,
                   amount::hugeint * weight::hugeint % total::hugeint as remainder
            from speakers s join amounts a using (place)
        )
        select place, voice, measure,
               share + case when row_number() over (partition by place, measure order by remainder desc, first)
                                 <= amount - sum(share) over (partition by place, measure) then 1 else 0 end as share
        from floors;
        """
    )
    return database


TRUNCATED = {"D": "day", "W": "week", "MS": "month", "QS": "quarter", "YS": "year"}


@pytest.mark.parametrize("part", range(PARTS))
def test_duckdb_agrees(part: int) -> None:
    for seed in seeds(part, 3):
        rng = Random(f"duckdb {seed}")
        rows, zone = random_rows(seed)
        if not rows:
            continue
        frame, database = frame_of(rows), in_duckdb(rows)
        freq = [*TRUNCATED][seed % 5]
        period = f"date_trunc('{TRUNCATED[freq]}', timezone('{zone}', to_timestamp(date_unix)))::date"
        measure = "sum(share) filter (measure = '{}')::bigint"
        sums = ", ".join(measure.format(name) for name in MEASURES)
        answer = database.execute(
            f"select voice, {period}, {sums} from shares join history using (place) group by 1, 2"
        ).fetchall()
        table = hk.usage_table(frame, "voice", freq, tz=zone)
        voices = Voices(rows, table)
        days = table["period"].dt.tz_localize(None).dt.date
        found = {
            (repr(voices[line["voice"]]), None if pd.isna(day) else day): tuple(number(line[name]) for name in MEASURES)
            for line, day in zip(table.to_dict("records"), days, strict=True)
        }
        assert found == {line[:2]: line[2:] for line in answer}, described(seed, freq, zone)
        columns = rng.choice((["account", "source"], ["project"], ["client", "account"]))
        listed = ", ".join(f"coalesce({name}, '(unknown)')" if name == "source" else name for name in columns)
        amounts = "count(*), sum(characters)::bigint, sum(credits)::bigint"
        answer = database.execute(f"select {listed}, {period}, {amounts} from history group by all").fetchall()
        table = hk.usage_table(frame, columns, freq, tz=zone)
        days = table["period"].dt.tz_localize(None).dt.date
        groups = [
            tuple(None if pd.isna(value) else value for value in line)
            for line in table[columns].itertuples(index=False)
        ]
        sums_by_group = {
            (*group, None if pd.isna(day) else day): tuple(number(line[name]) for name in MEASURES)
            for group, day, line in zip(groups, days, table.to_dict("records"), strict=True)
        }
        size = len(columns) + 1
        assert sums_by_group == {line[:size]: line[size:] for line in answer}, described(seed, columns, freq, zone)
        rate = Decimal(rng.randint(1, 99_999)).scaleb(-4)
        (cost,) = database.execute(
            f"select sum(credits::decimal(19, 0) * {rate / 1000:f}::decimal(12, 7)) from history"
            " where date_unix is not null"
        ).fetchone() or (None,)
        book = {"currency": "EUR", "price": [{"per_1000_credits": f"{rate:f}"}]}
        total = hk.cost_table(frame, "account", prices=book).attrs["histkit"]["totals"].get("EUR")
        assert (None if total is None else Decimal(total["exact"])) == cost, described(seed, rate)
