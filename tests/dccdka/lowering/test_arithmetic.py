"""Integer multipliers, shifts and zero points stand for the real numbers closely enough."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dccdka.lowering.arithmetic import common_shift, multiplier_and_shift, requantisation, scale_and_zero_point

signs = st.sampled_from([-1.0, 1.0])


@given(st.floats(2.0**-30, 2.0**29), signs)
def test_a_factor_is_its_multiplier_over_its_power_of_two(magnitude, sign):
    multiplier, shift = multiplier_and_shift(sign * magnitude)
    assert 2**30 <= abs(multiplier) < 2**31
    assert 1 <= shift <= 62
    assert multiplier / 2.0**shift == pytest.approx(sign * magnitude, rel=2.0**-30)


@given(st.floats(0, 2.0**-31))
def test_tiny_factors_keep_their_absolute_precision(factor):
    multiplier, shift = multiplier_and_shift(factor)
    assert abs(multiplier / 2.0**shift - factor) <= 2.0**-62


def test_a_huge_factor_is_refused():
    with pytest.raises(OverflowError, match="does not fit"):
        multiplier_and_shift(2.0**30)


@given(st.floats(1e-4, 1e4), st.floats(1e-4, 1e4))
def test_two_factors_share_the_shift_of_the_larger(first, second):
    a, b, shift = common_shift((first, second))
    assert a / 2.0**shift == pytest.approx(first, abs=max(first, second) * 2.0**-30)
    assert b / 2.0**shift == pytest.approx(second, abs=max(first, second) * 2.0**-30)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_zero_is_exact_and_the_range_is_held(one, other):
    scale, zero_point = scale_and_zero_point(min(one, other), max(one, other))
    assert -128 <= zero_point <= 127
    assert (127 - zero_point) * scale >= max(one, other) - scale
    assert (-128 - zero_point) * scale <= min(one, other) + scale


@given(
    st.one_of(st.just(0.0), st.floats(1e-12, 1e3)),
    signs,
    st.floats(-300, 300),
    st.integers(-(2**20), 2**20),
)
def test_a_channel_gives_factor_times_sum_plus_offset_within_half_a_step(magnitude, sign, offset, total):
    result = requantisation(np.array([sign * magnitude]), np.array([offset]))
    shift = int(result.shift[0])
    product = (total + int(result.bias[0])) * int(result.multiplier[0])
    integer = (product + (1 << (shift - 1))) >> shift
    exact = sign * magnitude * total + offset
    # Half a step of rounding, half a factor by the bias' own rounding, and what the smallest factor may add
    allowed = 0.5 + magnitude / 2 + abs(offset) * 2.0**-10 + abs(exact) * 2.0**-29
    assert abs(integer - exact) <= allowed + 1e-6
