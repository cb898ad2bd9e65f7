"""Numbers within their bounds, and nothing else."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import histkit as hk
from histkit.util.arguments import real_number, whole_number

BOUNDS = st.tuples(st.integers(-50, 50), st.integers(0, 50)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.integers(-200, 200), BOUNDS, st.sampled_from([int, np.int64, np.int32]))
def test_a_whole_number_is_accepted_within_its_bounds_only(number: int, bounds: tuple[int, int], kind: Any) -> None:
    least, most = bounds
    if least <= number <= most:
        accepted = whole_number("top", kind(number), least, most)
        assert accepted == number
        assert type(accepted) is int
    else:
        with pytest.raises(hk.InputError, match=f"^top=.* must be a whole number from {least} to {most}"):
            whole_number("top", kind(number), least, most)


@given(st.booleans() | st.floats() | st.text() | st.none() | st.binary() | st.lists(st.integers()))
def test_everything_else_is_refused_in_one_short_line(value: Any) -> None:
    with pytest.raises(hk.InputError) as caught:
        whole_number("workers", value, 1)
    line = str(caught.value)
    assert line.startswith("workers=")
    assert line.endswith(" must be a whole number of at least 1.")
    assert "\n" not in line
    assert len(line) < 160


@given(
    st.booleans() | st.floats() | st.integers() | st.text() | st.none() | st.sampled_from([10**400, np.float32(2.5)])
)
def test_a_real_number_is_finite_and_no_flag(value: Any) -> None:
    number = real_number(value)
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    assert number is None or (is_number and type(number) is float and math.isfinite(number))
    assert number == value or not is_number or not -1e300 < value < 1e300
