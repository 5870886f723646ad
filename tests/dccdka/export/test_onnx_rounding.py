"""An offset before ONNX's rounding (halves to even) gives what a shift of integers gives."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dccdka.export.onnx_rounding import Rounding
from dccdka.lowering.graph import Scaling

ROUNDINGS = st.builds(
    Rounding,
    st.integers(-(2**15), 2**15 - 1),
    st.integers(-(2**24), 2**24),
    st.integers(0, 20),
)


@given(ROUNDINGS, st.integers(-(2**16), 2**16))
@pytest.mark.parametrize("astray", [-1, 0, 1])
def test_anywhere_within_the_slack_every_integer_rounds_like_the_shift(
    astray: int, rounding: Rounding, integer: int
) -> None:
    exact = Fraction(rounding.multiplier * integer, 1 << rounding.bits)
    offset = Fraction(rounding.offset) + astray * Fraction(rounding.slack)
    assert round(exact + offset) == (rounding.multiplier * integer + rounding.numerator) >> rounding.bits


@given(st.builds(Rounding, st.integers(1, 2**10), st.integers(-(2**12), 2**12), st.integers(0, 10)))
def test_a_little_more_than_twice_the_slack_away_some_integer_rounds_otherwise(rounding: Rounding) -> None:
    offset = Fraction(rounding.offset) + Fraction(rounding.slack) * Fraction(21, 10)
    assert any(
        round(Fraction(rounding.multiplier * integer, 1 << rounding.bits) + offset)
        != (rounding.multiplier * integer + rounding.numerator) >> rounding.bits
        for integer in range(1 << rounding.bits)
    )


@given(st.integers(-(2**15), 2**15 - 1), st.integers(-(2**20), 2**20), st.integers(-(2**15), 2**15))
def test_a_requantisation_is_one_shift(multiplier: int, bias: int, total: int) -> None:
    rounding = Rounding.of(Scaling(accumulator_shift=3, fraction_bits=5), multiplier, bias)
    two_shifts = ((((total << 3) * multiplier) >> 16) + bias) >> 5
    assert (rounding.multiplier * total + rounding.numerator) >> rounding.bits == two_shifts
