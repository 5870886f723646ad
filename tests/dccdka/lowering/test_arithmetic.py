"""Integer multipliers, shifts and zero points stand for the real numbers closely enough."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng

from dccdka.lowering.arithmetic import (
    common_shift,
    offset_of,
    requantisation,
    scalar_requantisation,
    scale_and_zero_point,
)
from dccdka.lowering.graph import Scaling


def requantise(total: int, multiplier: int, bias: int, scaling: Scaling) -> int:
    """FORMAT.md, and a failure where a device's registers would not hold a step."""
    shifted = total << scaling.accumulator_shift
    steps = (shifted * multiplier >> 16) + bias
    assert max(abs(shifted), abs(steps)) < 2**31
    return steps >> scaling.fraction_bits


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_zero_is_exact_and_the_range_is_held(one, other):
    scale, zero_point = scale_and_zero_point(min(one, other), max(one, other))
    assert -128 <= zero_point <= 127
    assert (127 - zero_point) * scale >= max(one, other) - scale
    assert (-128 - zero_point) * scale <= min(one, other) + scale


@given(
    st.integers(0, 2**32),
    st.floats(-14, 17),  # log2 of the weights' magnitude, added up
    st.floats(5, 12),  # log2 of the steps that the sums reach: a trained layer's reach some hundreds
    st.tuples(st.integers(-128, 127), st.integers(-128, 127)).map(sorted),
)
def test_channels_give_factor_times_sum_plus_offset_within_a_half_and_a_tenth_of_a_step(seed, weights, reach, limits):
    random = default_rng(seed)
    greatest = np.ceil(127 * 2.0**weights * random.uniform(0.1, 1, 8)).astype(np.int64)
    least = -np.ceil(greatest * random.uniform(0, 1, 8)).astype(np.int64)
    factors = 2.0**reach / greatest * random.uniform(0.1, 1, 8) * random.choice([-1, 1], 8)
    factors[random.random(8) < 0.1] = 0
    offsets = random.normal(0, 2.0**reach / 2, 8)
    result = requantisation(factors, offsets, least, greatest, limits)
    # A fraction bit fewer for each doubling beyond what 32 bits hold; a whole step is cut off at most.
    allowed = 0.5 + max(0.1, 1.01 * 2.0**-result.scaling.fraction_bits)
    for factor, offset, multiplier, bias, *ends in zip(
        factors, offsets, result.multiplier.tolist(), result.bias.tolist(), least, greatest, strict=True
    ):
        for total in (*map(int, ends), *random.integers(ends[0], ends[1] + 1, 20).tolist()):
            exact = np.clip(factor * total + offset, *limits)
            assert abs(np.clip(requantise(total, multiplier, bias, result.scaling), *limits) - exact) <= allowed


@given(st.floats(-9, 9), st.integers(1, 2**16))
def test_the_largest_multiplier_has_fifteen_bits_and_a_mantissa_of_nine_reaches_it(logarithm, greatest):
    factor = np.array([2.0**logarithm])
    ends = np.array([-greatest]), np.array([greatest])
    result = requantisation(factor, np.zeros(1), *ends, limits=(-128, 127))
    if result.multiplier[0] != 0:
        assert 16000 < result.multiplier[0] <= 511 << 6


@pytest.mark.parametrize(
    ("factor", "offset", "least", "greatest", "value"),
    [
        (0.3, 5.4, 0, 0, 5),  # no weights
        (0.01, -300.0, -1000, 1000, -128),  # never above the lower limit
        (-1e5, 1e9, -1000, 1000, 100),  # never below the upper one
        (1e-30, -7.6, -(2**30), 2**30, -8),
    ],
)
def test_what_is_the_same_for_all_sums_has_no_multiplier_and_is_exact(factor, offset, least, greatest, value):
    both = requantisation(
        np.array([factor, 0.01]),
        np.array([offset, 0]),
        np.array([least, -1000]),
        np.array([greatest, 1000]),
        (-128, 100),
    )
    assert both.multiplier[0] == 0
    assert both.bias[0] >> both.scaling.fraction_bits == value
    assert both.multiplier[1] > 16000


@pytest.mark.parametrize("factor", [2.0**20, np.inf, np.nan])
def test_factors_beyond_every_output_are_refused(factor):
    with pytest.raises(OverflowError, match="a rescaling by"):
        requantisation(np.array([factor]), np.zeros(1), np.array([-(2**20)]), np.array([2**20]))


def test_all_that_treats_channels_alike_has_one_multiplier():
    # An average of 2 x 2 from scale 0.5 and zero point -10 to scale 1 and zero point 20.
    scaling, multiplier, bias = scalar_requantisation(0.125, 20 + 0.125 * 40, (-512, 508), (-128, 127))
    results = [requantise(total, multiplier, bias, scaling) for total in (-40, 0, 8, 12)]
    assert results == [20, 25, 26, 27]  # 26.5 goes up


@given(st.floats(1e-4, 3e4), st.floats(1e-4, 3e4), st.integers(0, 3))
def test_two_factors_share_a_shift_and_fit_sixteen_bits(first, second, signs):
    factors = (first * (1 - (signs & 1) * 2), second * (1 - (signs & 2)))
    a, b, shift = common_shift(factors)
    assert max(abs(a), abs(b)) < 2**15
    # A 15-bit multiplier's rounding, or that of the largest shift
    allowed = max(2.0**-15 * max(first, second), 2.0**-23) * 1.001
    assert abs(a / 2.0**shift - factors[0]) <= allowed
    assert abs(b / 2.0**shift - factors[1]) <= allowed


def test_a_factor_of_one_is_exact_and_one_too_large_is_refused():
    assert common_shift((1.0, 0.3))[::2] == (1 << 14, 14)
    with pytest.raises(OverflowError, match="does not fit"):
        common_shift((1.0, 2.0**15))


@given(st.floats(0.01, 4), st.floats(0.01, 4), *[st.integers(-128, 127)] * 5)
def test_sums_of_two_are_within_half_a_step_and_zeros_exact(first, second, zero, zero_a, zero_b, a, b):
    m_a, m_b, shift = common_shift((first, second))
    offset = offset_of(zero, shift, m_a * zero_a, m_b * zero_b)
    assert abs(offset) + 128 * (m_a + m_b) < 2**31
    exact = zero + first * (a - zero_a) + second * (b - zero_b)
    assert abs((a * m_a + b * m_b + offset >> shift) - exact) <= 0.5 + 0.04
    assert zero_a * m_a + zero_b * m_b + offset >> shift == zero
