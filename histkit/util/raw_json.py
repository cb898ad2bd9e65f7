"""JSON that a strict decoder refuses: nested too deep, no UTF-8, NaN, endless numbers, halves of surrogate pairs.

The text is split by a scan that does not recurse, so that one value can't take its row, or its page, with it.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

MOST_NESTED = 100  # levels of a value that is kept as JSON; a deeper one is kept as the text of its JSON
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]', re.DOTALL)
_PAIRS = {ord("]"): ord("["), ord("}"): ord("{")}
_MOST_DIGITS = 4000  # Python converts 4,300


class JsonText(str):
    """A value as it is written, which no JSON value can stand for."""


def split_object(body: bytes) -> list[tuple[bytes, bytes]]:
    """Return the names and values of a JSON object as they are written.

    Raises
    ------
    msgspec.DecodeError
        The text is no object. What its values hold is not checked, except that their brackets match.
    """
    members = _split(body, ord("{"))
    if any(len(member) != 2 for member in members):
        raise msgspec.DecodeError("a member of an object is not a name and a value")
    return [(name.strip(), value.strip()) for name, value in members]


def split_array(body: bytes) -> list[bytes]:
    """Return the elements of a JSON array as they are written; raises as `split_object` does."""
    members = _split(body, ord("["))
    if any(len(member) != 1 for member in members):
        raise msgspec.DecodeError("an element of an array has a name")
    return [element.strip() for (element,) in members]


def read_value(body: bytes) -> tuple[Any, str | None]:
    """Decode a value.

    Returns
    -------
    value : JSON value
        A `JsonText` stands for what JSON can't hold, or a decoder can't read: NaN, a number that is too large, a value
        that is nested deeper than `MOST_NESTED`.
    problem : str or None
        What is unusual about it.

    Raises
    ------
    msgspec.DecodeError
        The text is not JSON.
    """
    try:
        value = msgspec.json.decode(body)
        return (JsonText(body.decode()), "is nested too deep") if is_deep(value) else (value, None)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    text, problem = body.decode("utf-8", "replace"), None
    if text.encode() != body:
        problem = "is not UTF-8"
    odd: list[str] = []

    def constant(word: str) -> str:
        odd.append(f"has {word}, which is not JSON")
        return JsonText(word)

    def number(digits: str) -> Any:
        if len(digits) > _MOST_DIGITS or (not digits.lstrip("-").isdigit() and abs(float(digits)) == float("inf")):
            odd.append("has a number that is too large")
            return JsonText(digits)
        return int(digits) if digits.lstrip("-").isdigit() else float(digits)

    try:
        value = json.loads(text, parse_constant=constant, parse_int=number, parse_float=number)
    except RecursionError:
        return JsonText(text), problem or "is nested too deep"
    except ValueError as error:
        raise msgspec.DecodeError(f"not JSON: {error}") from None
    if is_deep(value):
        return JsonText(text), problem or "is nested too deep"
    return value, problem or (odd[0] if odd else None)


def read_shallow(body: bytes, levels: int = 3) -> Any:
    """Decode JSON that is nested too deep for a decoder: its objects, and arrays of objects, to some levels.

    What is nested too deep within them is `JsonText`.

    Raises
    ------
    msgspec.DecodeError
        The text is not JSON.
    """
    value, _ = read_value(body)
    if not isinstance(value, JsonText) or levels == 0:
        return value
    if body.lstrip()[:1] == b"{":
        return {read_value(name)[0]: read_shallow(member, levels - 1) for name, member in split_object(body)}
    elements = split_array(body)
    if not elements[0].startswith(b"{"):
        return value
    return [read_shallow(element, levels - 1) for element in elements]


def is_deep(value: Any) -> bool:
    """Return whether a value is nested deeper than `MOST_NESTED`, without recursion."""
    level = [value]
    for _ in range(MOST_NESTED):
        level = [
            element
            for parent in level
            if isinstance(parent, (dict, list))
            for element in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(element, (dict, list))
        ]
        if not level:
            return False
    return True


def _split(body: bytes, opening: int) -> list[list[bytes]]:
    """Split the object or array that a text is at its commas, and each member at its colons."""
    if body.lstrip()[:1] != bytes([opening]):
        raise msgspec.DecodeError(f"the text does not begin with {chr(opening)}")
    opened: list[int] = []
    members: list[list[bytes]] = []
    member: list[bytes] = []
    start = end = 0
    for token in _TOKEN.finditer(body):
        mark, place = body[token.start()], token.start()
        if mark == ord('"'):
            continue
        if end:
            break
        if mark in _PAIRS:
            if not opened or opened.pop() != _PAIRS[mark]:
                raise msgspec.DecodeError("brackets don't match")
            if not opened:
                end = token.end()
                members.append([*member, body[start:place]])
        elif mark in _PAIRS.values():
            start = start if opened else token.end()
            opened.append(mark)
        elif len(opened) == 1:
            member.append(body[start:place])
            start = token.end()
            if mark == ord(","):
                members.append(member)
                member = []
    if not end or body[end:].strip():
        raise msgspec.DecodeError("the text ends within a value, or goes on after it")
    return [] if len(members) == 1 and not b"".join(members[0]).strip() else members
