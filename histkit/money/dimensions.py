"""What official usage figures can be broken down by, and what the routes call it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from histkit.errors import InputError
from histkit.util.text import quoted


@dataclass(frozen=True)
class Dimension:
    """What usage can be broken down by: the word for it, and what the routes call it (None: that route lacks it).

    Attributes
    ----------
    word : str
        As in ``by=``.
    usage : str or None
        Column of `USAGE`.
    stats : str or None
        Breakdown of `STATS`.
    cost : bool
        Whether `COST` has the column.
    limited : bool
        Whether it is one of those of which `COST` takes two at most.
    """

    word: str
    usage: str | None
    stats: str | None = None
    cost: bool = False
    limited: bool = False


DIMENSIONS = (
    Dimension("api_key", "hashed_xi_api_key", "api_keys", cost=True, limited=True),
    Dimension("user", "user_id", "user", cost=True, limited=True),
    Dimension("model", "model", "model", cost=True),
    Dimension("voice", "voice_id", "voice"),
    Dimension("product", "product_type", "product_type", cost=True, limited=True),
    Dimension("region", "region", "region", cost=True, limited=True),
    Dimension("source", "request_source", "request_source", cost=True),
    Dimension("resource", "resource_id", "resource"),
    Dimension("subresource", "subresource_id", "subresource_id"),
    Dimension("workspace", "reporting_workspace_id", "reporting_workspace_id", cost=True, limited=True),
    Dimension("billing_group", "billing_group_id", cost=True, limited=True),
    Dimension("queue", "request_queue_type", "request_queue"),
    Dimension("voice_multiplier", "voice_multiplier", "voice_multiplier"),
    Dimension("surface", "surface", cost=True, limited=True),
    Dimension("actor", "actor", cost=True, limited=True),
    Dimension("currency", "fiat_currency", cost=True),
    Dimension("charge", "fiat_charge_type", cost=True),
    Dimension("group", None, "groups"),
    Dimension("has_api_key", None, "has_api_key"),
)
BY_NAME = {name: one for one in DIMENSIONS for name in (one.stats, one.usage, one.word) if name is not None}


def dimensions_of(by: Any) -> dict[str, Dimension]:
    """Parse ``by=``: a word, a name that the API has for it, or a list of these; keep the user's spelling as key.

    Raises
    ------
    InputError
        A word is unknown or there twice.
    """
    words = [] if by is None else [by] if isinstance(by, str) else by
    if not isinstance(words, Sequence):
        raise InputError(f"by={quoted(by)} must be a word or a list of words.")
    chosen: dict[str, Dimension] = {}
    for word in words:
        one = BY_NAME.get(word) if isinstance(word, str) else None
        if one is None:
            known = ", ".join(repr(dimension.word) for dimension in DIMENSIONS)
            raise InputError(f"by={quoted(word)} is not possible; use one or more of {known}.")
        if one in chosen.values():
            raise InputError(f"by={quoted(by)}: {quoted(word)} is there twice.")
        chosen[word] = one
    return chosen
