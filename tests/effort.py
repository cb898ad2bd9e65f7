"""How much is tried: a useful size in ``make test``, many times more in ``make faults``.

Tests of a fixed size that is too large for ``make test`` are marked ``faults``. Property tests run in both: with the
hypothesis profile "quick" there, with "thorough" here.
"""

from __future__ import annotations

from hypothesis import settings

QUICK, THOROUGH = 40, 400  # examples of a property test that doesn't say how many


def examples(number: int) -> int:
    """Return how many examples to try: `number` in ``make test``, ten times as many in ``make faults``."""
    return number * settings.default.max_examples // QUICK
