"""The rows of a statement as an auditor counts them: account, id, credits and price of each, and their fingerprints."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from histkit.frame.columns import integer_array, text_array, whole_numbers
from histkit.frame.schema import TEXT
from histkit.money.currencies import amount_text
from histkit.money.price_match import NO_PRICE
from histkit.money.prices import PriceBook

KEY = ["account", "history_item_id"]
COLUMNS = [*KEY, "credits", "price"]
_STRING = pd.StringDtype("pyarrow")
_ENCODING = "json+zstd+base64"


def price_text(currency: str, per_1000_credits: Decimal) -> str:
    """Return a price as one text, equal for equal amounts.

    Examples
    --------
    >>> price_text("EUR", Decimal("0.300"))
    'EUR 0.3'
    """
    return f"{currency} {amount_text(per_1000_credits)}"


def billed_rows(rows: pd.DataFrame, book: PriceBook | None) -> pd.DataFrame:
    """Return what a bill counts of some rows.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of a history with ``history_item_id``, ``credits``, ``date``, and what the prices need.
    book : PriceBook or None
        The prices.

    Returns
    -------
    pandas.DataFrame
        On a RangeIndex: ``account``, ``history_item_id`` (string), ``credits`` (Int64, missing if unknown) and
        ``price`` (string: currency and amount per 1,000 credits; missing if there is none).
    """
    values, known = whole_numbers(rows["credits"])
    prices: Any = np.full(len(rows), None, object)
    if book is not None:
        index = np.where(values < 0, NO_PRICE, book.price_index(rows))
        texts = np.array([*(price_text(price.currency, price.per_1000_credits) for price in book.prices), None], object)
        prices = texts[index]  # NO_PRICE is the last
    accounts = rows["account"] if "account" in rows.columns else pd.Series(None, rows.index, dtype=object)
    return pd.DataFrame(
        {
            "account": _strings(accounts),
            "history_item_id": _strings(rows["history_item_id"]),
            "credits": integer_array(values, ~known),
            "price": pd.array(prices, dtype=_STRING),
        }
    )


def _strings(column: pd.Series) -> Any:
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([text_array(column)]))).astype(_STRING).array


def no_rows() -> pd.DataFrame:
    """Return a frame of billed rows without any."""
    return pd.DataFrame({name: pd.array([], "Int64" if name == "credits" else _STRING) for name in COLUMNS})


def rows_fingerprint(rows: pd.DataFrame) -> str:
    """Return the fingerprint of ids and credits: see `histkit.statement`."""
    return _digest(_lines(rows, prices=False), ())


def fingerprint(rows: pd.DataFrame, terms: Iterable[str] = ()) -> str:
    """Return the fingerprint of ids, credits, prices and terms: see `histkit.statement`."""
    terms = tuple(terms)
    if not terms and rows["price"].isna().all():
        return rows_fingerprint(rows)
    return _digest(_lines(rows, prices=True), terms)


def _lines(rows: pd.DataFrame, *, prices: bool) -> pa.Array:
    ids, credits = text_array(rows["history_item_id"]), rows["credits"]
    numbers = pa.array(credits, from_pandas=True).cast(TEXT)
    tab = pa.scalar("\t", TEXT)
    parts = [ids, tab, numbers, *([tab, text_array(rows["price"])] if prices else [])]
    end = [pa.scalar("\n", TEXT), pa.scalar("", TEXT)]
    return pc.binary_join_element_wise(*parts, *end, null_handling="replace", null_replacement="")


def _digest(lines: pa.Array, terms: Iterable[str]) -> str:
    text = "".join(lines.take(pc.array_sort_indices(lines)).to_pylist()) + "".join(f"{term}\n" for term in terms)
    return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def exact_costs(rows: pd.DataFrame) -> dict[str, tuple[Decimal, int]]:
    """Return the exact cost and the priced credits of each currency."""
    priced = rows[rows["price"].notna() & rows["credits"].notna()]
    sums: dict[str, tuple[Decimal, int]] = {}
    for price, credits in priced.groupby("price")["credits"].sum().items():
        currency, amount = str(price).split()
        cost, count = sums.get(currency, (Decimal(0), 0))
        sums[currency] = cost + Decimal(amount).scaleb(-3) * int(credits), count + int(credits)
    return dict(sorted(sums.items()))


def encode_rows(rows: pd.DataFrame) -> dict[str, Any]:
    """Return rows, with a column ``sign`` (1 or -1), in the compact form of a register's line."""
    ordered = rows.sort_values([*KEY, "sign"], kind="stable")
    content: dict[str, Any] = {"history_item_id": ordered["history_item_id"].tolist()}
    for name in ("account", "price"):
        codes, values = pd.factorize(ordered[name])
        content[name] = {"values": [str(value) for value in values], "codes": codes.tolist()}
    content["credits"] = [None if pd.isna(value) else int(value) for value in ordered["credits"].astype(object)]
    content["sign"] = ordered["sign"].tolist()
    data = msgspec.json.encode(content)
    packed = pa.Codec("zstd").compress(data, asbytes=True)
    return {
        "encoding": _ENCODING,
        "count": len(ordered),
        "bytes": len(data),
        "data": base64.b64encode(packed).decode(),
    }


def decode_rows(packed: dict[str, Any]) -> pd.DataFrame:
    """Return the rows that `encode_rows` packed.

    Raises
    ------
    ValueError
        They are damaged, or a newer version wrote them.
    """
    try:
        if packed["encoding"] != _ENCODING:
            raise ValueError(f"the encoding {packed['encoding']!r} is not known")
        data = base64.b64decode(packed["data"], validate=True)
        raw = pa.Codec("zstd").decompress(data, int(packed["bytes"]), asbytes=True)
        content = msgspec.json.decode(raw)
        columns: dict[str, Any] = {"history_item_id": pd.array(content["history_item_id"], dtype=_STRING)}
        for name in ("account", "price"):
            values = np.array([*content[name]["values"], None], object)
            columns[name] = pd.array(values[np.array(content[name]["codes"], np.int64)], dtype=_STRING)
        columns["credits"] = pd.array(content["credits"], dtype="Int64")
        columns["sign"] = np.array(content["sign"], np.int64)
        rows = pd.DataFrame(columns)[[*COLUMNS, "sign"]]
    except (KeyError, TypeError, IndexError, OSError, pa.ArrowException, msgspec.DecodeError) as error:
        raise ValueError(f"its rows can't be read ({type(error).__name__})") from None
    if len(rows) != packed["count"]:
        raise ValueError(f"it has {len(rows):,} rows instead of {packed['count']:,}")
    return rows


def net_rows(changes: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return what is billed after some statements and their corrections, each as `decode_rows` returns it.

    Returns
    -------
    pandas.DataFrame
        The columns of `billed_rows`, and ``times`` (int64): how often a row is billed. 1, unless a line is missing.
    """
    frames = [frame for frame in changes if len(frame)]
    if not frames:
        return no_rows().assign(times=np.zeros(0, np.int64))
    stacked = pd.concat(frames, ignore_index=True)
    if (stacked["sign"] == 1).all() and not stacked.duplicated(COLUMNS).any():
        return stacked.drop(columns="sign").assign(times=1)
    sums = stacked.groupby(COLUMNS, dropna=False, sort=False)["sign"].sum()
    net = sums[sums != 0].rename("times").reset_index()
    return net.astype({**dict.fromkeys([*KEY, "price"], _STRING), "credits": "Int64", "times": np.int64})
