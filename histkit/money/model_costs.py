"""What rows would have cost on another model: a range for each row, from what is measured and what is documented.

A model charges a text its characters times the multiplier of the model, and a voice of the library may multiply that
again. The result is a whole number, rounded in a way that is not documented.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.columns import factorize_text, whole_numbers
from histkit.frame.names import UnmatchedNameError, did_you_mean, fold_name
from histkit.money.currencies import plain_amount
from histkit.usage.dialogue import voices_of
from histkit.util.arrays import Ints, Mask
from histkit.util.text import is_text, quoted

MULTIPLIERS = {
    **dict.fromkeys(("eleven_multilingual_v2", "eleven_v3", "eleven_v4"), Fraction(1)),
    **dict.fromkeys(("eleven_flash_v2", "eleven_flash_v2_5", "eleven_turbo_v2", "eleven_turbo_v2_5"), Fraction(1, 2)),
    **dict.fromkeys(("eleven_v3_conversational", "eleven_v4_turbo"), Fraction(1, 2)),
}  # credits per character of the list prices; no promotion
_NEAR = Fraction(11, 10)  # a voice that seems to multiply by less than this doesn't
_NARROW = Fraction(6, 5)  # the most and the least of a price that is known
_LONG = 20  # credits; the rounding of less hides whether a voice multiplies
BASES = ("measured", "documented", "unchanged", "unknown")
MEASURED, DOCUMENTED, UNCHANGED, UNKNOWN = range(4)


@dataclass(frozen=True)
class Estimates:
    """The credits that rows would have cost.

    Attributes
    ----------
    low, high : int64 arrays, shape (rows,)
        0 where nothing is known.
    basis : int64 array, shape (rows,)
        What they rest on, as a position in `BASES`.
    """

    low: Ints
    high: Ints
    basis: Ints


def read_multipliers(value: Any) -> dict[str, Fraction]:
    """Return the documented multipliers and a caller's own, by folded model id.

    Raises
    ------
    InputError
        `value` is not a mapping of model ids to positive numbers.
    """
    known = {fold_name(name): multiplier for name, multiplier in MULTIPLIERS.items()}
    if value is None:
        return known
    if not isinstance(value, Mapping):
        raise InputError(f"multipliers={quoted(value)} must be a mapping such as {{'eleven_v5': 0.7}}.")
    for name, number in value.items():
        amount = plain_amount(number)
        if not is_text(name) or amount is None or not 0 < amount <= 1000:
            shown = f"{quoted(name, 60)}: {quoted(number, 40)}"
            raise InputError(f"multipliers={{{shown}}} must be a model id and its credits per character, up to 1,000.")
        known[fold_name(name)] = Fraction(amount)
    return known


def estimate_credits(frame: pd.DataFrame, model: str | None, multipliers: Mapping[str, Fraction]) -> Estimates:
    """Estimate what each row would have cost on a model; None: its own.

    Parameters
    ----------
    frame : pandas.DataFrame
        Needs ``characters``, ``credits``, and for a model ``model_id``, ``source``, ``voice_id``, ``voice_name``,
        ``dialogue``.
    model : str or None
        The model.
    multipliers : mapping
        As `read_multipliers` returns them.

    Raises
    ------
    UnmatchedNameError
        Nothing is known of the model.
    """
    credits, known = whole_numbers(frame["credits"])
    known = known & (credits >= 0)
    low, high = np.where(known, credits, 0), np.where(known, credits, 0)
    if model is None:
        return Estimates(low, high, np.where(known, MEASURED, UNKNOWN))
    codes, models = factorize_text(frame["model_id"])
    wanted = fold_name(model)
    factor = multipliers.get(wanted)
    if factor is None and wanted not in map(fold_name, models):
        names = {*models, *MULTIPLIERS}
        raise UnmatchedNameError(f"model={quoted(model)} is not known; {did_you_mean(model, names, 'model')}")
    same = _by_code(codes, [fold_name(name) == wanted for name in models], False)
    basis = np.full(len(frame), UNKNOWN, np.int64)
    basis[known & changes_voices(frame)] = UNCHANGED
    basis[known & same] = MEASURED
    characters, counted = whole_numbers(frame["characters"])
    counted = counted & (characters > 0)
    own = [multipliers.get(fold_name(name)) for name in models]
    rounds_to_0 = _by_code(codes, [each is None or each < 1 for each in own], True) & (characters <= 1)
    free = known & (basis == UNKNOWN) & (credits == 0) & ~rounds_to_0
    basis[free] = DOCUMENTED  # a regeneration that is free on one model is free on another
    rows = np.flatnonzero(known & (basis == UNKNOWN))
    voices = _voices(frame)
    paid = known & counted & (credits > 0)
    measured = np.flatnonzero(paid & same)
    ranges = _factors(voices[measured], characters[measured], credits[measured], Fraction(1), hull=True)
    for voice, (least, most) in ranges.items():
        snapped = _snapped(least, most, factor)
        if snapped is None and factor is not None and most > _NARROW * least:
            continue  # short texts, whose rounding hides the multiplier
        of_voice = rows[(voices[rows] == voice) & counted[rows]]
        low[of_voice], high[of_voice] = _times(characters[of_voice], *(snapped or (least, most)))
        basis[of_voice] = MEASURED
    if factor is None:
        rows = rows[:0]
    listed = np.array([*(float(each or 0) for each in own), 0.0])[codes]
    on_list = np.flatnonzero(paid & (listed > 0) & (voices >= 0))
    multiples: dict[int, tuple[Fraction, Fraction]] = {}
    for multiplier in {each for each in own if each is not None}:
        of_price = on_list[listed[on_list] == float(multiplier)]
        found = _factors(voices[of_price], characters[of_price], credits[of_price], multiplier, hull=False)
        for voice, (least, most) in found.items():
            before = multiples.get(voice, (least, most))
            multiples[voice] = max(before[0], least), min(before[1], most)
    left = rows[basis[rows] == UNKNOWN]
    for (voice, code), places in _groups(voices[left], codes[left]) if factor is not None else ():
        some = left[places]
        own_price = own[code] if code >= 0 else None
        found_low, found_high, possible = _scaled(
            characters[some], counted[some], credits[some], own_price, factor or Fraction(1), multiples.get(voice)
        )
        low[some], high[some] = found_low, found_high
        basis[some[possible]] = DOCUMENTED
    unknown = basis == UNKNOWN
    low[unknown] = high[unknown] = 0
    return Estimates(low, high, basis)


def changes_voices(frame: pd.DataFrame) -> Mask:
    """Return which rows are of the voice changer, which is billed by time and has models of its own."""
    codes, models = factorize_text(frame["model_id"])
    source_codes, sources = factorize_text(frame["source"])
    by_model = _by_code(codes, ["_sts_" in name for name in models], False)
    return by_model | _by_code(source_codes, [fold_name(name) == "sts" for name in sources], False)


def _by_code(codes: Ints, values: list[bool], missing: bool) -> Mask:
    result: Mask = np.array([*values, missing], bool)[codes]
    return result


def _voices(frame: pd.DataFrame) -> Ints:
    """Return a number for the voice of each row: -1 without a voice, -2 for a dialogue."""
    ids, values = factorize_text(frame["voice_id"])
    names, _ = factorize_text(frame["voice_name"])
    voices = voices_of(ids, names, len(values))
    return np.where(frame["dialogue"].notna().to_numpy(bool) & (voices < 0), -2, voices)


def _factors(
    voices: Ints, characters: Ints, credits: Ints, multiplier: Fraction, *, hull: bool
) -> dict[int, tuple[Fraction, Fraction]]:
    """Return the least and the most by which each voice multiplies a price per character.

    Rows whose credits are within 1 of the product are all explained by factors of an interval. Where it is empty,
    because the price changed, it is the least and the most that a row cost (`hull`), or an empty interval.
    """
    ranges = {}
    for (voice, _), places in _groups(voices, np.zeros(len(voices), np.int64)):
        sizes, costs = characters[places], credits[places]
        least, most = _extreme(costs - 1, sizes, 1), _extreme(costs + 1, sizes, -1)
        if hull and least > most:
            least, most = _extreme(costs, sizes, -1), _extreme(costs, sizes, 1)
        ranges[voice] = least / multiplier, most / multiplier
    return ranges


def _groups(first: Ints, second: Ints) -> Iterator[tuple[tuple[int, int], Ints]]:
    """Yield each distinct pair of numbers with the places where it stands."""
    if not len(first):
        return
    order = np.lexsort((second, first))
    changes = np.diff(first[order], prepend=first[order[0]]) | np.diff(second[order], prepend=second[order[0]])
    for places in np.split(order, np.flatnonzero(changes)):
        yield (int(first[places[0]]), int(second[places[0]])), places


def _extreme(numerators: Ints, denominators: Ints, sign: int) -> Fraction:
    """Return the greatest (`sign` 1) or the least (-1) quotient, exactly."""
    quotients = sign * numerators / denominators
    best = quotients.max()
    close = quotients >= best - 1e-9 * abs(best)
    pairs = {*zip(numerators[close].tolist(), denominators[close].tolist(), strict=True)}
    return (max if sign > 0 else min)(Fraction(*pair) for pair in pairs)


def _snapped(least: Fraction, most: Fraction, factor: Fraction | None) -> tuple[Fraction, Fraction] | None:
    """Return the list price as a range if the measured one is close around it."""
    if factor is None or not factor * (2 - _NEAR) <= least <= factor <= most <= factor * _NEAR:
        return None
    return factor, factor


def _times(numbers: Ints, least: Fraction, most: Fraction) -> tuple[Ints, Ints]:
    """Return whole numbers times a range of multipliers, rounded down and up; not negative."""
    low = np.maximum(numbers, 0) * least.numerator // least.denominator
    high = -(-numbers * most.numerator // most.denominator)
    return np.maximum(low, 0), np.maximum(high, 0)


def _scaled(
    characters: Ints,
    counted: Mask,
    credits: Ints,
    own: Fraction | None,
    factor: Fraction,
    multiple: tuple[Fraction, Fraction] | None,
) -> tuple[Ints, Ints, Mask]:
    """Return the range of rows of a voice and a model, and which rows have one.

    Parameters
    ----------
    characters, counted, credits : arrays
        Of the rows; `counted` is where the characters are known.
    own, factor : Fraction
        List prices per character of the rows' model, if it has one, and of the other model.
    multiple : (Fraction, Fraction) or None
        By how much the voice multiplies list prices, as far as it is known; an empty interval if prices changed.
    """
    listed_low, listed_high = _times(characters, factor, factor)
    known = multiple is not None and multiple[0] <= multiple[1]
    if multiple is not None and known:
        snapped = _snapped(*multiple, Fraction(1)) or multiple
        listed_low, listed_high = _times(characters, snapped[0] * factor, snapped[1] * factor)
    if own is None:
        if not known:
            listed_low, listed_high = np.minimum(listed_low, credits), np.maximum(listed_high, credits)
        return listed_low, listed_high, counted
    ratio = factor / own
    spread = 0 if own == factor else 1  # what rounding hides
    scaled_low, _ = _times(credits - spread, ratio, ratio)
    _, scaled_high = _times(credits + spread, ratio, ratio)
    everywhere: Mask = np.ones(len(credits), bool)
    if known:
        low, high = np.maximum(listed_low, scaled_low), np.minimum(listed_high, scaled_high)
        contradicts = low > high
        low, high = np.where(contradicts, listed_low, low), np.where(contradicts, listed_high, high)
    else:
        own_low, own_high = _times(characters, own, own)
        as_listed = (own_low <= credits) & (credits <= own_high) & (own_low >= _LONG)
        low = np.where(as_listed, listed_low, np.minimum(listed_low, scaled_low))
        high = np.where(as_listed, listed_high, np.maximum(listed_high, scaled_high))
    return np.where(counted, low, scaled_low), np.where(counted, high, scaled_high), everywhere
