"""`attribute`: join a log, of requests or of the caller's own, to the rows of a history by a key."""

from __future__ import annotations

import os
import warnings
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from histkit.errors import ArchiveError, InputError, SchemaError
from histkit.frame.columns import NO_CODE, factorize_values, text_array, whole_numbers
from histkit.frame.files import read_foreign_csv
from histkit.frame.json_values import json_text, plain_value
from histkit.frame.log_table import WHO
from histkit.frame.names import close_names
from histkit.frame.schema import KINDS, check_frame, require, to_frame
from histkit.usage.aggregate import RESERVED
from histkit.util.arguments import column_names
from histkit.util.arrays import Ints, Mask
from histkit.util.storage import local_path
from histkit.util.text import count_noun, error_line, quoted

FACT = "attribution"
_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq")
_SHOWN = 12  # characters of an id beside a name


def attribute(
    frame: pd.DataFrame,
    log: pd.DataFrame | str | os.PathLike[str],
    on: str | tuple[str, str] = "request_id",
    *,
    columns: Sequence[str] | None = None,
    suffix: str = "_log",
) -> pd.DataFrame:
    """Add the columns of a log to the rows of a history: who spent it, by key, user, app, project or customer.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one.
    log : DataFrame or path-like
        A log of your own, the result of `read_requests` or `load_requests`, or a CSV, JSON lines or Parquet file.
    on : str or (str, str), default "request_id"
        The key: a column of both, or the column of the frame and that of the log. Keys are compared as texts, without
        blanks around them.
    columns : sequence of str, optional
        Columns of the log to add; default: all but the key.
    suffix : str, default "_log"
        Ending for columns of the log whose names a history has, or that mean something in its tables (``credits``,
        ``model``, ``period``, ...): ``credits_log``.

    Returns
    -------
    pandas.DataFrame
        A copy of the frame with the same rows, order and index, and the columns of the log, missing where a row has no
        match. ``attrs["histkit"]["attribution"]`` has ``columns`` (of the frame),
        ``rows``, ``rows_matched``, ``rows_without_key``, ``credits``, ``credits_matched``, ``credits_unmatched``,
        ``rows_without_credits``, ``log_rows``, and ``log_rows_unmatched`` (of keys that no row has, or without a key).

    Raises
    ------
    SchemaError
        The frame or the log lacks a column; a key stands twice in the log with different values.
    InputError
        An argument is invalid, or the frame has a column of that name with the suffix, too.
    ArchiveError
        The file can't be read.

    Warns
    -----
    UserWarning
        Rows have no match; the line has the shares of rows and credits that have one.

    Examples
    --------
    >>> import histkit as hk
    >>> df = hk.sample_history(300)
    >>> log = df[["request_id"]].assign(app=["web", "phone", "desk"] * 100)
    >>> hk.usage_table(hk.attribute(df, log), "app")["app"].tolist() != []
    True
    """
    check_frame(frame, "attribute")
    left, right = _keys(on)
    if not isinstance(suffix, str) or not suffix:
        raise InputError(f"suffix={quoted(suffix)} is not possible; use an ending such as '_log'.")
    names = column_names(columns)
    log = read_log(log, right) if not isinstance(log, pd.DataFrame) else log
    require(frame, [left], "attribute")
    _require_in_log(log, [right, *(names or [])])
    names = [name for name in log.columns if name != right] if names is None else list(dict.fromkeys(names))
    names = [name for name in names if name != right]
    added = _target_names(frame, names, suffix)
    keys, places = _codes(frame[left], log[right])
    rows = _first_rows(places, int(keys.max(initial=NO_CODE)) + 1, log, names, right)
    found = rows[keys]
    result = frame.copy()
    for name, target in zip(names, added, strict=True):
        result[target] = _taken(log[name], found).set_axis(frame.index)
    facts = _coverage(frame, keys, places, found, added)
    result.attrs["histkit"] = {**frame.attrs.get("histkit", {}), FACT: facts}
    line = coverage_line(facts)
    if facts["rows_matched"] < facts["rows"]:
        warnings.warn(line, stacklevel=2)
    return result


def coverage_line(facts: dict[str, Any]) -> str:
    """Return how much of a history a log covers, in a line.

    Examples
    --------
    >>> coverage_line({"rows": 4, "rows_matched": 3, "credits": 10, "credits_matched": 10, "log_rows_unmatched": 0})
    '3 of 4 rows (75.0 %) and 10 of 10 credits (100.0 %) are in the log; 1 row is assigned to nobody.'
    """
    rows = _share(facts["rows_matched"], facts["rows"], "rows")
    credits = (
        "" if facts["credits"] is None else f" and {_share(facts['credits_matched'], facts['credits'], 'credits')}"
    )
    left = facts["rows"] - facts["rows_matched"]
    nobody = f"; {count_noun(left, 'row')} {'is' if left == 1 else 'are'} assigned to nobody" if left else ""
    unmatched = facts["log_rows_unmatched"]
    more = f"; {count_noun(unmatched, 'row')} of the log without one" if unmatched else ""
    return f"{rows}{credits} are in the log{nobody}{more}."


def _share(part: int, whole: int, noun: str) -> str:
    """Return a share that reads 100.0 % only if it is, and 0.0 % only if there is none."""
    tenths = 0 if not whole else round(1000 * part / whole)
    if 0 < part < whole:
        tenths = min(999, max(1, tenths))
    share = f" ({tenths / 10:.1f} %)" if whole else ""
    return f"{part:,} of {whole:,} {noun}{share}"


def read_log(path: str | os.PathLike[str], key: str) -> pd.DataFrame:
    """Read a log from a CSV, JSON lines or Parquet file; the key as it is written.

    Raises
    ------
    InputError
        The ending is of none of these.
    ArchiveError
        The file can't be read.
    """
    file = local_path(path)
    ending = file.suffix.lower()
    if ending not in _ENDINGS:
        raise InputError(f"log={quoted(str(path))} must end in one of {', '.join(_ENDINGS)}, or be a DataFrame.")
    try:
        if ending in (".csv", ".tsv"):
            return read_foreign_csv(file, [key])
        if ending in (".parquet", ".pq"):
            return to_frame(pq.read_table(file))
        return _read_json_lines(file)
    except (OSError, pa.ArrowException, ValueError) as error:
        if isinstance(error, (ArchiveError, InputError)):
            raise
        raise ArchiveError(f"{path} can't be read: {error_line(error)}.") from None


def _read_json_lines(file: Path) -> pd.DataFrame:
    lines = file.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    records = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                records.append(msgspec.json.decode(line, type=dict[str, Any]))
            except (msgspec.DecodeError, RecursionError) as error:
                raise ValueError(f"line {number}: {error_line(error)}") from None
    return pd.DataFrame(records)


def who_column(log: pd.DataFrame, word: str) -> pd.Series:
    """Return who made each request of a log: the name of its ``"api_key"`` or ``"user"``, with the id if shared.

    Raises
    ------
    SchemaError
        The log has no such column.
    """
    present = [name for name in WHO[word] if name in log.columns]
    if not present:
        raise SchemaError(
            f"The request log has no column of {word.replace('_', ' ')}s; it has "
            f"{', '.join(quoted(name) for name in log.columns)}."
        )
    names, ids = log[present[0]].astype("string[pyarrow]"), log[present[-1]].astype("string[pyarrow]")
    if present[0] == present[-1]:
        return names.rename(word)
    pairs = pd.DataFrame({"name": names, "id": ids}).drop_duplicates()
    shared = pairs["name"].value_counts()
    several = names.isin(shared.index[shared > 1])
    told_apart = names.where(~several.fillna(False), names + " (" + ids.str.slice(0, _SHOWN) + ")")
    return told_apart.fillna(names).fillna(ids).rename(word)


def _keys(on: Any) -> tuple[str, str]:
    if isinstance(on, str):
        return on, on
    if isinstance(on, (tuple, list)) and len(on) == 2 and all(isinstance(name, str) for name in on):
        return on[0], on[1]
    raise InputError(f"on={quoted(on)} is not possible; use a column, or the column of the frame and that of the log.")


def _require_in_log(log: pd.DataFrame, names: Sequence[str]) -> None:
    if not log.columns.is_unique:
        name = log.columns[log.columns.duplicated()][0]
        raise SchemaError(f"The log has several columns named {quoted(name)}; keep one.")
    for name in names:
        if name not in log.columns:
            close = close_names(name, [*map(str, log.columns)])
            hint = f"did you mean {' or '.join(map(quoted, close))}? " if close else ""
            listed = ", ".join(quoted(other, 40) for other in log.columns[:20])
            raise SchemaError(f"The log has no column {quoted(name)}: {hint}it has {listed or 'no columns'}.")


def _target_names(frame: pd.DataFrame, names: Sequence[Hashable], suffix: str) -> list[Hashable]:
    """Return the names of the columns to add; those that are taken get the suffix."""
    taken = {*frame.columns, *KINDS, *RESERVED}
    targets: list[Hashable] = []
    for name in names:
        target = f"{name}{suffix}" if name in taken else name
        if target in frame.columns or target in targets or (target != name and target in names):
            whose = "frame" if target in frame.columns else "log"
            raise InputError(
                f"The log's column {quoted(name)} would be {quoted(target)}, which the {whose} has, too: rename the "
                "log's column, choose others by columns=, or pass another suffix=."
            )
        targets.append(target)
    return targets


def _codes(left: pd.Series, right: pd.Series) -> tuple[Ints, Ints]:
    """Return the keys of the frame and of the log as codes of one numbering."""
    texts = [_key_texts(left), _key_texts(right)]
    encoded = pa.chunked_array(texts).combine_chunks() if len(left) + len(right) else texts[0]
    encoded = encoded if isinstance(encoded, pa.Array) else encoded.chunk(0)
    codes = encoded.dictionary_encode().indices.fill_null(NO_CODE).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes[: len(left)], codes[len(left) :]


def _key_texts(column: pd.Series) -> pa.Array:
    """Return keys as trimmed texts, missing where they are empty; a whole number has no decimals."""
    if pd.api.types.is_float_dtype(column.dtype):
        whole = column.dropna()
        if (whole == whole.round()).all() and (whole.abs() < 2**53).all():
            column = column.astype("Float64").astype("Int64")
    texts = pc.utf8_trim_whitespace(text_array(column))
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, texts.type), texts)


def _first_rows(codes: Ints, least: int, log: pd.DataFrame, names: Sequence[Any], key: str) -> Ints:
    """Return the first row of the log for each code, at least for `least` of them; -1 for none.

    Raises
    ------
    SchemaError
        Rows of one key differ.
    """
    rows = np.full(max(least, int(codes.max(initial=NO_CODE)) + 1) + 1, NO_CODE, np.int64)  # the last one is for -1
    places = np.flatnonzero(codes != NO_CODE)[::-1]
    rows[codes[places]] = places  # the first one is written last
    repeated = places[rows[codes[places]] != places]
    differing: Mask = np.zeros(len(repeated), bool)
    first = rows[codes[repeated]]
    differs: dict[str, Mask] = {}
    for name in names if len(repeated) else ():
        differs[str(name)] = _differ(log[name], repeated, first)
        differing |= differs[str(name)]
    if differing.any():
        place = int(repeated[differing].min())
        column = next(name for name, mask in differs.items() if mask[repeated == place].any())
        keys = len(np.unique(codes[repeated[differing]]))
        more = f" ({keys - 1:,} more keys)" if keys > 1 else ""
        raise SchemaError(
            f"The log has {quoted(key)} {quoted(str(log[key].iloc[place]))} twice, with different values of "
            f"{quoted(column)}{more}: make its rows unique, or choose the columns that agree by columns=."
        )
    return rows


def _differ(column: pd.Series, rows: Ints, others: Ints) -> Mask:
    """Return whether the value of each row is another one than that of the other row; missing values are equal."""
    pairs = column.take(np.r_[rows, others])
    if pairs.dtype == object and any(isinstance(value, (list, dict, set, np.ndarray)) for value in pairs):
        pairs = pd.Series([json_text(plain_value(value)) for value in pairs], dtype=object)
    codes = factorize_values(pairs)[0]
    differs: Mask = codes[: len(rows)] != codes[len(rows) :]
    return differs


def _taken(column: pd.Series, rows: Ints) -> pd.Series:
    """Return the values of rows, missing for -1, in a dtype that has missing values."""
    dtype = column.dtype
    if isinstance(dtype, np.dtype):
        if dtype.kind in "iu":
            column = column.astype("Int64" if dtype.kind == "i" else "UInt64")
        elif dtype.kind == "f":
            column = column.astype("Float64")
        elif dtype.kind == "b":
            column = column.astype("boolean")
        elif dtype.kind == "O" and pd.api.types.infer_dtype(column, skipna=True) in ("string", "empty"):
            column = column.astype("string[pyarrow]")
    values = column.array.take(rows, allow_fill=True)
    return pd.Series(values)


def _coverage(
    frame: pd.DataFrame, keys: Ints, log_keys: Ints, found: Ints, added: Sequence[Hashable]
) -> dict[str, Any]:
    matched = found != NO_CODE
    facts: dict[str, Any] = {
        "columns": [str(name) for name in added],
        "rows": len(frame),
        "rows_matched": int(matched.sum()),
        "rows_without_key": int((keys == NO_CODE).sum()),
        "credits": None,
        "credits_matched": None,
        "credits_unmatched": None,
        "rows_without_credits": None,
        "log_rows": len(log_keys),
        "log_rows_unmatched": int((~np.isin(log_keys, keys[keys != NO_CODE])).sum()),
    }
    if "credits" in frame.columns:
        credits, known = whole_numbers(frame["credits"])
        facts["credits"] = int(credits.sum())
        facts["credits_matched"] = int(credits[matched].sum())
        facts["credits_unmatched"] = facts["credits"] - facts["credits_matched"]
        facts["rows_without_credits"] = int((~known).sum())
    return facts
