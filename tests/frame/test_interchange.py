"""Other tools read a frame as it is, without a detour through a file."""

from __future__ import annotations

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa

import histkit as hk


def test_polars_duckdb_and_the_arrow_stream_read_the_frame_as_it_is() -> None:
    df = hk.sample_history(500, seed=2)
    credits = int(df["credits"].sum())
    voices = {name: int(count) for name, count in df["voice_name"].value_counts().items() if count}

    # Polars: a category stays one, a missing value is null.
    rows = pl.from_pandas(df)
    assert rows.columns == df.columns.tolist()
    assert rows["credits"].sum() == credits
    assert rows["credits"].null_count() == df["credits"].isna().sum()
    assert rows["date"].dtype == pl.Datetime("us", "UTC")
    assert rows["voice_name"].dtype in (pl.Categorical, pl.Enum)
    counted = rows.drop_nulls("voice_name").group_by(pl.col("voice_name").cast(pl.String)).len()
    assert dict(counted.iter_rows()) == voices
    line = pl.List(pl.Struct({name: pl.String for name in ("text", "voice_id", "voice_name")}))
    lines = rows["dialogue"].drop_nulls().str.json_decode(line).explode().struct.field("text")
    assert lines.to_list() == hk.dialogue_lines(df)["text"].tolist() != []

    # DuckDB: by the name of the variable.
    with duckdb.connect() as db:
        sums = db.sql("SELECT sum(credits)::BIGINT, count(DISTINCT voice_name) FROM df").fetchall()
        spoken = db.sql(
            'SELECT unnest(from_json(dialogue, \'[{"text": "VARCHAR"}]\')).text FROM df WHERE dialogue IS NOT NULL'
        ).fetchall()
        newest = db.sql("SELECT history_item_id FROM df ORDER BY date DESC LIMIT 1").fetchall()
    assert sums == [(credits, len(voices))]
    assert [text for (text,) in spoken] == lines.to_list()
    assert newest == [(df.loc[df["date"].idxmax(), "history_item_id"],)]

    # Anything that speaks Arrow's C stream interface.
    table = pa.RecordBatchReader.from_stream(df).read_all()
    assert table.num_rows == len(df)
    assert set(df.columns) <= set(table.column_names)
    assert pa.types.is_dictionary(table.schema.field("model_id").type)
    assert pa.types.is_large_string(table.schema.field("dialogue").type)
    back = table.column("history_item_id").to_pandas()
    pd.testing.assert_series_equal(back.astype(object), df["history_item_id"].astype(object), check_names=False)
