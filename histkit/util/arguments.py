"""Checks of arguments: whole numbers within bounds."""

from __future__ import annotations

import operator
from typing import Any

from histkit.errors import InputError


def whole_number(name: str, value: Any, least: int, most: int | None = None) -> int:
    """Return a whole number within its bounds as an int; NumPy integers are accepted, booleans and floats are not.

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
        The value is no whole number, or lies outside the bounds.

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
        raise InputError(f"{name}={value!r:.60} must be a whole number {bounds}.")
    return number
