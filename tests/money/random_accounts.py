"""Random histories for the recomputation: counters that run concurrently, refunds, dialogues, several accounts."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from tests.money.oracle import Billing, Price

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour of summer time, in the south
    "Asia/Kolkata",
    "America/Santiago",  # clocks change at midnight, in the south
    "Africa/Cairo",  # on the day of the change there is no midnight
    "America/St_Johns",
)
START, END = (int(datetime(year, month, 1, tzinfo=UTC).timestamp()) for year, month in ((2025, 9), (2026, 12)))
VOICES = {
    "21m00Tcm4TlvDq8ikWAM": "Rachel",
    "CwhRBWXzGAHq8TQ4Fs17": "Roger",
    "Hs6RkPfn2Wz0aQ5xYb8L": "Ines",
    "b5VkMs8HjNg2RzTq7EpC": "ナレーター",
    "pNInz6obpgDQGcFmaJgB": "Adam",
}
MODELS = ("eleven_multilingual_v2", "eleven_flash_v2_5", "eleven_v3", None)
SOURCES = ("TTS", "STS", "Projects", None)
CLIENTS = ("Acme", "Beta", "Zoë", None)
TEXTS = (
    "Chapter one.",
    "It's a test - of sorts...",
    '"Come in," she said.',
    "Straße und Bäche",
    "one two three",
    "Ｆｕｌｌ ｗｉｄｔｈ",
    "🦆 ducks",
    "x",
)


def _changes(zone: ZoneInfo) -> list[int]:
    """Return about when the clocks of a zone change."""
    hours = range(START, END, 3600)
    offsets = [datetime.fromtimestamp(hour, zone).utcoffset() for hour in hours]
    return [hour for hour, one, other in zip(hours[1:], offsets, offsets[1:], strict=False) if one != other]


CHANGES = {name: _changes(ZoneInfo(name)) for name in ZONES}


def moment(rng: Random, zone: str) -> int:
    """Return a second: often near a change of the clocks or near the midnight of a first day."""
    kind = rng.random()
    if kind < 0.2 and CHANGES[zone]:
        return rng.choice(CHANGES[zone]) + rng.randint(-30 * 3600, 30 * 3600)
    if kind < 0.5:
        day = datetime(2025, 9, 1, tzinfo=ZoneInfo(zone)) + timedelta(days=rng.choice((0, 30, 61, 91, 122, 303, 334)))
        return int(day.timestamp()) + rng.randint(-7200, 7200)
    return rng.randint(START, END)


def retake(rng: Random, text: str) -> str:
    """Return a text that is the same line, written in another way."""
    ways = (
        text.upper() if "ß" not in text else text,
        f"  {text.replace(' ', '  ')}\n",
        text.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}").replace("...", "\N{HORIZONTAL ELLIPSIS}"),
        text.replace(" - ", " \N{EN DASH} "),
        text,
    )
    return rng.choice(ways)


def _voice(rng: Random, plain: bool) -> tuple[str | None, str | None]:
    """Return id and name of a voice: some are renamed, some have lost their id, some rows have none."""
    voice_id, name = rng.choice([*VOICES.items()])
    if plain:
        return voice_id, name
    kind = rng.random()
    if kind < 0.08:
        return None, "Ghost"
    if kind < 0.14:
        return None, None
    return voice_id, rng.choice((name, name, f"{name} II", None))


def random_rows(seed: int, *, accounts: int | None = None) -> tuple[list[dict[str, Any]], str]:
    """Return a random history and a zone in which it is odd.

    In half of all, voices keep one name. `accounts` is their number, else one to three.
    """
    rng = Random(seed)
    zone, plain = ZONES[seed % len(ZONES)], seed % 2 == 0
    rows: list[dict[str, Any]] = []
    for account in ("studio", "lab", "home")[: accounts or rng.randint(1, 3)]:
        rows += _account(rng, account, zone, plain)
    rng.shuffle(rows)
    return rows, zone


def _account(rng: Random, account: str, zone: str, plain: bool) -> list[dict[str, Any]]:
    counter = rng.choice((0, 17_189, 2**40))
    rows: list[dict[str, Any]] = []
    instants = sorted(moment(rng, zone) for _ in range(rng.randint(0, 45)))
    waiting: list[dict[str, Any]] = []  # requests that run at the same time end in another order
    for number, second in enumerate(instants):
        row = _row(rng, account, number, second, plain)
        cost = rng.choice((0, 1, len(row["text"] or ""), rng.randint(0, 5000), rng.randint(0, 5000)))
        row["_cost"] = cost
        waiting.append(row)
        if rng.random() < 0.7 or number == len(instants) - 1:
            rng.shuffle(waiting)
            for ended in waiting:
                spent = ended.pop("_cost")
                ended["character_count_change_from"] = counter
                ended["character_count_change_to"] = counter + spent
                counter += spent
            waiting = []
        if rng.random() < 0.05:
            counter -= min(counter, rng.randint(1, 199))  # a refund
        if rng.random() < 0.1:
            counter += rng.randint(1, 3000)  # spent outside the history
        if rng.random() < 0.02:
            counter = 0  # a reset
        rows.append(row)
    return [_finished(rng, row) for row in rows]


def _row(rng: Random, account: str, number: int, second: int, plain: bool) -> dict[str, Any]:
    voice_id, name = _voice(rng, plain)
    text = retake(rng, rng.choice(TEXTS)) if rng.random() < 0.7 else f"Sentence {rng.randint(0, 30)}"
    dialogue = None
    if rng.random() < 0.25:
        dialogue = [_line(rng, plain) for _ in range(rng.randint(1, 5))]
        voice_id = name = text = None  # type: ignore[assignment]
    return {
        "history_item_id": f"item{number:03}",  # of each account
        "account": account,
        "date_unix": second,
        "voice_id": voice_id,
        "voice_name": name,
        "model_id": rng.choice(MODELS),
        "source": rng.choice(SOURCES),
        "text": rng.choice(("", None)) if dialogue is None and rng.random() < 0.05 else text,
        "dialogue": dialogue,
        "project": rng.choice(("red", "blue", "(rest)", None)),
        "client": rng.choice(CLIENTS),
    }


def _line(rng: Random, plain: bool) -> dict[str, Any]:
    voice_id, name = _voice(rng, plain)
    return {"text": rng.choice((*TEXTS, "", None)), "voice_id": voice_id, "voice_name": name}


def _finished(rng: Random, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as it is read: with what is derived, and with values that are missing."""
    lines = row["dialogue"]
    length = len(row["text"] or "") if not lines else sum(len(line["text"] or "") for line in lines)
    if rng.random() < 0.04:
        row |= {rng.choice(("character_count_change_from", "character_count_change_to")): None}
    before, after = row["character_count_change_from"], row["character_count_change_to"]
    credits = None if before is None or after is None else after - before
    date = None if rng.random() < 0.04 else row["date_unix"]
    return {**row, "characters": None if rng.random() < 0.03 else length, "credits": credits, "date_unix": date}


def frame_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return rows as a frame of histkit's dtypes."""
    columns = {name: [row[name] for row in rows] for name in _COLUMNS}
    texts = pd.StringDtype("pyarrow")
    data: dict[str, Any] = {}
    for name, values in columns.items():
        if name in ("history_item_id", "text"):
            data[name] = pd.array(values, dtype=texts)
        elif name == "dialogue":
            lines = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
            data[name] = pd.array(lines, dtype=texts)
        elif name == "date_unix":
            seconds = pd.Series(pd.array(values, "Int64"))
            data["date"] = pd.to_datetime(seconds, unit="s", utc=True).astype("datetime64[us, UTC]")
            data[name] = seconds
        elif name in ("project",):
            data[name] = pd.Series(values, dtype=object)
        elif name in _CATEGORIES:
            data[name] = pd.Categorical(pd.array(values, dtype=texts))
        else:
            data[name] = pd.array(values, dtype="Int64")
    return pd.DataFrame(data)


_CATEGORIES = ("account", "voice_id", "voice_name", "model_id", "source", "client")
_COLUMNS = (
    *("history_item_id", "account", "date_unix", "voice_id", "voice_name", "model_id", "source", "text", "dialogue"),
    *("project", "client", "characters", "credits", "character_count_change_from", "character_count_change_to"),
)


def random_billing(rng: Random) -> tuple[Billing, Any]:
    """Return billing periods, and what `usage_table` takes for them."""
    if rng.random() < 0.5:
        day = rng.choice((1, 5, 15, 29, 30, 31))
        return Billing(day=day), day
    reset, months = rng.randint(START, END), rng.choice((1, 1, 3, 6, 12))
    names = {1: "monthly_period", 3: "3_month_period", 6: "6_month_period", 12: "annual_period"}
    return Billing(reset=reset, months=months), {
        "next_character_count_reset_unix": reset,
        "character_refresh_period": names[months],
    }


def random_book(rng: Random, zone: str) -> tuple[list[Price], dict[str, Any]]:
    """Return prices, and the same as a price book."""
    prices: dict[tuple[Any, ...], Price] = {}
    currencies = rng.choice((["EUR"], ["EUR"], ["JPY"], ["EUR", "KWD"], ["EUR", "JPY", "KWD"]))
    for _ in range(rng.randint(1, 8)):
        price = Price(
            Decimal(rng.randint(0, 99_999)).scaleb(-rng.choice((0, 2, 4, 6))),
            rng.choice(currencies),
            rng.choice((None, None, moment(rng, zone))),
        )
        for name, values in _CONDITIONS.items():
            if rng.random() < 0.25:
                price = replace(price, **{name: rng.choice(values)})  # type: ignore[arg-type]
        prices[price.conditions(), *(getattr(price, name) for name in _CONDITIONS), price.starts] = price
    book = []
    for price in prices.values():
        line: dict[str, Any] = {"per_1000_credits": f"{price.per_1000:f}", "currency": price.currency}
        if price.starts is not None:
            line["valid_from"] = datetime.fromtimestamp(price.starts, UTC)
        book.append(line | {name: value for name in _CONDITIONS if (value := getattr(price, name)) is not None})
    return [*prices.values()], {"price": book}


_CONDITIONS: dict[str, tuple[str, ...]] = {
    "client": ("Acme", "Beta", "unassigned"),
    "voice": tuple(VOICES),
    "model": tuple(model for model in MODELS if model),
    "source": tuple(source for source in SOURCES if source),
    "account": ("studio", "lab", "home"),
}
