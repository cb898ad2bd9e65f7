"""Argument checks: integers within bounds, strings of few legal values, flags."""

from __future__ import annotations

import math
import numbers
import operator
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from histkit.errors import InputError
from histkit.util.text import is_valid_unicode, quoted


def whole_number(name: str, value: Any, least: int, most: int | None = None) -> int:
    """Return an integer argument within its bounds as an int; booleans and floats are refused.

    Parameters
    ----------
    name : str
        The argument, for the message.
    value : Any
        What the user passed.
    least, most : int
        Bounds, both inclusive; no upper bound by default.

    Raises
    ------
    InputError
        The value is not an integer, or is out of bounds.

    Examples
    --------
    >>> whole_number("workers", 4, 1)
    4
    >>> whole_number("workers", 0, 1)
    Traceback (most recent call last):
    histkit.errors.InputError: workers=0 must be a whole number of at least 1.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least or (most is not None and number > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise InputError(f"{name}={quoted(value)} must be a whole number {bounds}.")
    return number


def real_number(value: Any) -> float | None:
    """Return a real number as a finite float; None for anything else, also for booleans.

    Examples
    --------
    >>> import numpy as np
    >>> real_number(np.float32(0.5)), real_number(True), real_number(10**400), real_number(float("nan"))
    (0.5, None, None, None)
    """
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # an int beyond all floats
        return None
    return number if math.isfinite(number) else None


def one_of(name: str, value: Any, words: Iterable[str | None], problem: str = "is not possible") -> Any:
    """Return an argument after checking that it is one of a few legal values.

    Parameters
    ----------
    name : str
        The argument, for the message.
    value : Any
        What the user passed.
    words : iterable of str, or None among them
        The legal values.
    problem : str
        Description of an illegal value, for the message.

    Raises
    ------
    InputError
        The value is not legal.

    Examples
    --------
    >>> one_of("format", "mp3", ("wav", None))
    Traceback (most recent call last):
    histkit.errors.InputError: format='mp3' is not possible; use one of 'wav', None.
    """
    words = tuple(words)
    if not (value is None or isinstance(value, str)) or value not in words:
        raise InputError(f"{name}={quoted(value)} {problem}; use one of {', '.join(map(repr, words))}.")
    return value


def column_names(value: Any) -> list[str] | None:
    """Return the argument ``columns=`` as a list of names; None stays None.

    Raises
    ------
    InputError
        The value is not a list of strings.
    """
    if value is None:
        return None
    if isinstance(value, str):
        raise InputError(f"columns= takes a list of names: columns=[{quoted(value)}].")
    names = list(value) if isinstance(value, Iterable) and not isinstance(value, Mapping) else [value]
    for name in names:
        if not isinstance(name, str) or not is_valid_unicode(name):
            raise InputError(f"columns= takes a list of names, not {quoted(value)}.")
    return names


def true_or_false(name: str, value: Any) -> bool:
    """Return a flag as a bool; raises `InputError` for everything but True and False, also NumPy's."""
    of_numpy = getattr(sys.modules.get("numpy"), "bool_", bool)  # no value is NumPy's before NumPy is imported
    if not isinstance(value, (bool, of_numpy)):
        raise InputError(f"{name}={quoted(value)} must be True or False.")
    return bool(value)
