"""Date arguments and date columns as instants since 1970, UTC."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError, SchemaError
from histkit.util.arguments import real_number
from histkit.util.arrays import Ints, Mask
from histkit.util.text import quoted

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_unix(value: Any, name: str) -> int:
    """Return a date in whole seconds since 1970.

    Fractions of a second are rounded up. The history's dates are whole seconds, so comparisons stay exact.

    Parameters
    ----------
    value : str, date, datetime, pandas.Timestamp, int or float
        A naive date is UTC; a number is seconds.
    name : str
        The argument's name, for the error.

    Raises
    ------
    InputError
        The value is not a date.

    Examples
    --------
    >>> as_unix("2026-10-01", "after")
    1790812800
    """
    number = real_number(value)
    if number is not None:
        return math.ceil(number)
    if isinstance(value, (str, date, datetime, np.datetime64)):
        try:
            stamp = pd.Timestamp(value)
            if not pd.isna(stamp):
                stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
                return int(-((_EPOCH - stamp.ceil("us").to_pydatetime(warn=False)) // timedelta(seconds=1)))
        except (ValueError, TypeError, OverflowError):
            value = str(value)
    raise InputError(f"{name}={quoted(value)} is not a date; use one such as '2026-10-01' or '2026-10-01 14:30+02:00'.")


def date_range(after: Any, before: Any) -> tuple[int | None, int | None]:
    """Return the arguments ``after=`` and ``before=`` in seconds since 1970; None leaves a side open.

    Raises
    ------
    InputError
        One of them is not a date, or `after` is later than `before`.
    """
    first = None if after is None else as_unix(after, "after")
    end = None if before is None else as_unix(before, "before")
    if first is not None and end is not None and first > end:
        raise InputError(f"after={quoted(after)} is later than before={quoted(before)}.")
    return first, end


def to_micros(seconds: int) -> int:
    """Return seconds as microseconds, within the range of an int64."""
    return max(-(2**62), min(2**62, seconds * 1_000_000))


def _holds_numbers(column: pd.Series) -> bool:
    kinds = ("integer", "floating", "mixed-integer", "mixed-integer-float", "decimal", "complex", "boolean")
    return column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) in kinds


def instants_of(column: pd.Series) -> tuple[Ints, Mask]:
    """Return a column of dates in microseconds since 1970, UTC, and a mask of the known ones; a naive date is UTC.

    Raises
    ------
    SchemaError
        The column holds something other than dates.
    """
    text = not (pd.api.types.is_datetime64_any_dtype(column.dtype) or isinstance(column.dtype, pd.ArrowDtype))
    try:
        if pd.api.types.is_numeric_dtype(column.dtype) or _holds_numbers(column):
            raise TypeError
        dates = pd.to_datetime(column, utc=True, format="ISO8601" if text else None).astype("datetime64[us, UTC]")
    except (TypeError, ValueError):
        raise SchemaError(f"Column {column.name!r} ({column.dtype}) holds something other than dates.") from None
    return dates.dt.tz_convert(None).to_numpy("datetime64[us]").view(np.int64), dates.notna().to_numpy()


def timestamps_of(frame: pd.DataFrame | pd.Series, name: str = "date") -> list[pd.Timestamp | None]:
    """Return the date of each row, UTC; None where it is missing or there is no such column.

    Raises
    ------
    SchemaError
        The column holds something other than dates.
    """
    if not isinstance(frame, pd.DataFrame) or name not in frame.columns:
        return [None] * len(frame)
    micros, known = instants_of(frame[name])
    dates = pd.to_datetime(micros, unit="us", utc=True)
    return [date if has_date else None for date, has_date in zip(dates, known.tolist(), strict=True)]
