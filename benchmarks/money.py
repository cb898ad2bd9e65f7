"""The ledger and a statement as one would write them in pandas, polars and DuckDB, from a frame in memory.

The ledgers by hand know no concurrent rows, refunds and unexplained falls: each fall of the counter is a reset. The
statements share dialogues out among their voices; in polars and DuckDB in fractions, which need no rounding. None of
them checks for rows that occur twice.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pandas as pd

CLIENTS = [f"Client {number}" for number in range(15)]
CLIENT, MONTH = CLIENTS[7], "2026-09"
FIRST, END = "2026-09-01", "2026-10-01"
PRICES = {"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]}
COUNTERS = ["date", "character_count_change_from", "character_count_change_to"]
BILLED = ["date", "client", "voice_id", "model_id", "characters", "credits", "dialogue"]

CHAINED = """
WITH gaps AS (
    SELECT date, character_count_change_to - character_count_change_from AS credits,
           character_count_change_from AS start,
           start - lag(character_count_change_to) OVER (ORDER BY date, character_count_change_from) AS gap
    FROM counters
)
SELECT date_trunc('day', date) AS period, count(*) AS rows, sum(credits) AS credits,
       sum(CASE WHEN gap < 0 THEN start ELSE gap END) AS unseen, count_if(gap < 0) AS resets
FROM gaps GROUP BY 1 ORDER BY 1
"""
BILL = f"""
WITH rows AS (
    SELECT row_number() OVER () AS number, * FROM history
    WHERE client = '{CLIENT}' AND date >= '{FIRST} 00:00:00+00' AND date < '{END} 00:00:00+00'
), lines AS (
    SELECT number, model_id, characters, credits, unnest(
        from_json(dialogue, '[{{"text": "VARCHAR", "voice_id": "VARCHAR"}}]'), recursive := true
    ) FROM rows WHERE dialogue IS NOT NULL
), parts AS (
    SELECT voice_id, model_id, sum(length(text)) / greatest(any_value(characters), 1) AS items,
           items * any_value(characters) AS characters, items * any_value(credits) AS credits
    FROM lines GROUP BY number, voice_id, model_id
)
SELECT voice_id, model_id, sum(items) AS items, sum(characters) AS characters, sum(credits) AS credits,
       sum(credits) * 0.0003 AS cost
FROM (
    SELECT voice_id, model_id, 1.0 AS items, characters, credits FROM rows WHERE dialogue IS NULL
    UNION ALL SELECT voice_id, model_id, items, characters, credits FROM parts
) GROUP BY ALL ORDER BY credits DESC
"""


def chain_in_pandas(df: pd.DataFrame) -> pd.DataFrame:
    """Chain the counters with shift, and sum by day."""
    rows = df[COUNTERS].sort_values(COUNTERS[:2])
    start, end = rows["character_count_change_from"], rows["character_count_change_to"]
    gap = start - end.shift()
    fell = (gap < 0).fillna(False)
    table = pd.DataFrame({"credits": end - start, "unseen": gap.mask(fell, start), "resets": fell})
    return table.groupby(rows["date"].dt.floor("D")).sum().reset_index()


def chain_in_polars(df: pd.DataFrame) -> pd.DataFrame:
    """Chain the counters with polars."""
    import polars as pl

    start, end = pl.col("character_count_change_from"), pl.col("character_count_change_to")
    chained = pl.from_pandas(df[COUNTERS]).lazy().sort(COUNTERS[:2]).with_columns(gap=start - end.shift())
    fell = pl.col("gap") < 0
    table = chained.group_by(period=pl.col("date").dt.truncate("1d")).agg(
        rows=pl.len(),
        credits=(end - start).sum(),
        unseen=pl.when(fell).then(start).otherwise(pl.col("gap")).sum(),
        resets=fell.sum(),
    )
    return table.sort("period").collect().to_pandas()


def chain_in_duckdb(df: pd.DataFrame) -> pd.DataFrame:
    """Chain the counters with DuckDB."""
    import duckdb

    counters = df[COUNTERS]
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        return database.register("counters", counters).execute(CHAINED).df()


LEDGERS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "pandas": chain_in_pandas,
    "polars": chain_in_polars,
    "DuckDB": chain_in_duckdb,
}


def labelled(df: pd.DataFrame) -> pd.DataFrame:
    """Divide rows among 15 clients."""
    return df.assign(client=pd.Categorical.from_codes(np.arange(len(df)) % len(CLIENTS), CLIENTS))


def rows_of(df: pd.DataFrame, client: str) -> pd.DataFrame:
    """Select the rows of a client and the month."""
    dates = df["date"]
    return df[
        (df["client"] == client) & (dates >= pd.Timestamp(FIRST, tz="UTC")) & (dates < pd.Timestamp(END, tz="UTC"))
    ]


def bill_in_pandas(shares: pd.DataFrame) -> pd.DataFrame:
    """Sum the shares of voices by voice and model, and price them."""
    keys = ["voice_id", "model_id"]
    table = shares.groupby(keys, observed=True, dropna=False)[["items", "characters", "credits"]].sum().reset_index()
    costs = [round(Decimal(int(credits)) * Decimal("0.0003"), 2) for credits in table["credits"]]
    return table.assign(cost=costs).sort_values("credits", ascending=False)


def bill_in_polars(df: pd.DataFrame) -> pd.DataFrame:
    """Select, share out and sum with polars."""
    import polars as pl

    first, end = (pd.Timestamp(day, tz="UTC").to_pydatetime() for day in (FIRST, END))
    date, talk = pl.col("date"), pl.col("dialogue")
    rows = (
        pl.from_pandas(df[BILLED])
        .filter((pl.col("client") == CLIENT) & (date >= first) & (date < end))
        .with_columns(pl.col("voice_id", "model_id").cast(pl.String))
        .with_row_index("number")
    )
    line = pl.List(pl.Struct({"text": pl.String, "voice_id": pl.String}))
    spoken = (
        rows.filter(talk.is_not_null())
        .select("number", "model_id", "characters", "credits", talk.str.json_decode(line))
        .explode("dialogue")
        .unnest("dialogue")
        .with_columns(share=pl.col("text").str.len_chars() / pl.col("characters").clip(1))
        .select(
            *("voice_id", "model_id"),
            items=pl.col("share"),
            characters=pl.col("share") * pl.col("characters"),
            credits=pl.col("share") * pl.col("credits"),
        )
    )
    measures = [pl.col(name).cast(pl.Float64) for name in ("characters", "credits")]
    plain = rows.filter(talk.is_null()).select("voice_id", "model_id", pl.lit(1.0).alias("items"), *measures)
    table = (
        pl.concat([plain, spoken]).group_by("voice_id", "model_id").agg(pl.col("items", "characters", "credits").sum())
    )
    return table.with_columns(cost=pl.col("credits") * 0.0003).sort("credits", descending=True).to_pandas()


def bill_in_duckdb(df: pd.DataFrame) -> pd.DataFrame:
    """Select, share out and sum with DuckDB."""
    import duckdb

    history = df[BILLED]
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        return database.register("history", history).execute(BILL).df()


STATEMENTS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {"polars": bill_in_polars, "DuckDB": bill_in_duckdb}
