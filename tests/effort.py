"""How much is tried: a useful size in ``make test``, many times more in ``make faults``.

Tests of a fixed size that is too large for ``make test`` are marked ``faults``. Property tests run in both: with the
hypothesis profile "quick" there, with "thorough" here; ``make test-pandas22`` runs them with "few".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings

FEW, QUICK, THOROUGH = 10, 40, 400  # examples of a property test that doesn't say how many


def some(cases: Iterable[Any], *quick: Any) -> list[Any]:
    """Mark the cases that ``make test`` leaves out: all but those named; a tuple has one value per parameter."""
    full = pytest.mark.faults
    return [
        case if case in quick else pytest.param(*case if isinstance(case, tuple) else (case,), marks=full)
        for case in cases
    ]


def examples(number: int) -> int:
    """Return how many examples to try: `number` in ``make test``, ten times as many in ``make faults``."""
    return max(1, number * settings.default.max_examples // QUICK)
